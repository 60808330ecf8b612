//! Clickcast predicts click-through rates in bulk: the command line.

mod arguments;
mod commands;
mod console;
mod failure;
mod log;
mod progress;
mod settings;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use arguments::Arguments;
use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // For TLS of every HTTP client in here. An error would say that it was named already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    quiet_guarded_panics();
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // If stderr is closed, the exit code still says it.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            failure.exit_code()
        }
    }
}

/// Leaves out of stderr the panics that reading a damaged file turns into errors.
fn quiet_guarded_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !clickcast_dataset::is_guarded() {
            report(panic);
        }
    }));
}

fn run() -> Result<(), Failure> {
    let command = settings::apply(Arguments::command())?;
    let line: Vec<_> = std::env::args_os().collect();
    let matches = arguments::read(command, &line)?;
    let arguments = Arguments::from_arg_matches(&matches).map_err(Failure::input)?;
    commands::run(arguments)
}
