//! The commands: each calls an operation and prints its report.

mod cross;
mod delivery;
mod demo;
mod evaluate;
mod fleet;
mod import;
mod models;
mod predict;
mod queue;
mod runs;
mod schema;
mod synth;
mod train;
mod worker;

use std::num::NonZeroUsize;
use std::time::Instant;

use clickcast_operations::{ModelLocation, Resources};
use tokio::runtime::Runtime;

use crate::arguments::{Arguments, Command, Common};
use crate::failure::Failure;
use crate::log::Log;
use crate::progress::Console;

/// What every command needs.
pub(crate) struct Context {
    /// For input and output; operations compute on threads of their own.
    runtime: Runtime,
    /// The threads that operations compute with.
    resources: Resources,
    json: bool,
    quiet: bool,
}

/// Runs one command.
pub(crate) fn run(arguments: Arguments) -> Result<(), Failure> {
    let otlp = match &arguments.command {
        Command::Worker(arguments) => arguments.otlp.as_deref(),
        _ => None,
    };
    let _log = Log::start(arguments.common.quiet, otlp)?;
    let context = Context::new(&arguments.common)?;
    match arguments.command {
        Command::Demo(arguments) => demo::run(&context, &arguments),
        Command::Synth(arguments) => synth::run(&context, &arguments),
        Command::Schema(arguments) => schema::run(&context, &arguments),
        Command::Train(arguments) => train::run(&context, &arguments),
        Command::Import(arguments) => import::run(&context, &arguments),
        Command::Evaluate(arguments) => evaluate::run(&context, &arguments),
        Command::Predict(arguments) => predict::run(&context, &arguments),
        Command::Cross(arguments) => cross::run(&context, &arguments),
        Command::Models(arguments) => models::run(&context, &arguments.command),
        Command::Runs(arguments) => runs::run(&context, &arguments.command),
        Command::Queue(arguments) => queue::run(&context, &arguments.command),
        Command::Worker(arguments) => worker::run(&context, &arguments),
    }
}

impl Context {
    fn new(common: &Common) -> Result<Self, Failure> {
        // Two threads are enough to wait for network and disks.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime =
            runtime.map_err(|error| Failure::transient(format!("no threads for input and output: {error}")))?;
        let threads = common.threads.and_then(|threads| NonZeroUsize::new(threads.into()));
        let resources = Resources::new(runtime.handle().clone(), threads.unwrap_or_else(Resources::cores))?;
        Ok(Self { runtime, resources, json: common.json, quiet: common.quiet })
    }

    /// Shows an operation's progress on stderr.
    fn observer(&self) -> Console {
        Console::new(self.quiet)
    }
}

/// Returns the location of a model, from `--model` and `--registry`.
fn model_location(model: &str, registry: Option<&str>) -> ModelLocation {
    ModelLocation { model: model.to_owned(), registry: registry.map(str::to_owned) }
}

/// Returns the seconds since `start`, and the rows per second.
fn pace(start: Instant, rows: u64) -> (f64, f64) {
    let seconds = start.elapsed().as_secs_f64();
    (seconds, rows as f64 / seconds.max(1e-9))
}

fn storage_failure(error: &clickcast_storage::Error) -> Failure {
    Failure::new(error, error.is_transient())
}

/// Returns the user and the machine, for histories.
fn who() -> String {
    let user = std::env::var("USER").or_else(|_| std::env::var("LOGNAME"));
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    format!("{}@{}", user.as_deref().unwrap_or("unknown"), host.as_deref().unwrap_or("unknown").trim())
}
