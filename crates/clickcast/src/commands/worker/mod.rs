//! `clickcast worker`: scores what a queue asks for, until it is stopped.

mod signals;
mod traces;
mod watch;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clickcast_job::worker::{Counters, Drain, Listener, Note, Problem, Setup, Trace, Worker, WorkerConfig};
use clickcast_operations::artifacts::open_registry;
use clickcast_operations::peak_memory_bytes;
use clickcast_registry::ModelCache;
use clickcast_registry::RunSettings;
use clickcast_storage::Store;
use clickcast_storage::queue::Queue;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Context, pace, storage_failure};
use crate::arguments::WorkerArguments;
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &WorkerArguments) -> Result<(), Failure> {
    let outcome = work(context, arguments)?;
    console::result(&outcome, context.json)
}

/// Works until stopped; what to report comes back.
pub(super) fn work(context: &Context, arguments: &WorkerArguments) -> Result<Value, Failure> {
    let start = Instant::now();
    // Before anything else: a signal that comes early is obeyed, too.
    let drain = Arc::<Drain>::default();
    signals::listen(context, &drain)?;
    let queue = context.runtime.block_on(Queue::open(&arguments.queue)).map_err(|error| storage_failure(&error))?;
    let queue = match arguments.visibility_s {
        Some(seconds) => queue.with_visibility(Duration::from_secs(seconds.into())),
        None => queue,
    };
    let log = |note: &Note| say(note, context.quiet);
    let setup = setup(arguments)?;
    let traces = arguments.otlp.as_deref().map(traces::Traces::to).transpose()?;
    let trace = |trace: &Trace| traces.iter().for_each(|traces| traces.add(trace));
    let listener = Listener { note: &log, trace: &trace };
    if !queue.has_dead_letters() {
        log(&Note::new(format!(
            "`{}` has no queue for dead letters: what can't be scored comes back until it expires; set its attribute \
             RedrivePolicy, with a deadLetterTargetArn and a maxReceiveCount of 5",
            arguments.queue
        )));
    }
    let config = WorkerConfig {
        queue: queue.clone(),
        setup,
        run: arguments.run.clone(),
        threads: context.resources.threads(),
        handle: context.runtime.handle().clone(),
        drain: drain.clone(),
    };
    let worker = Worker::new(config, listener);
    let model = worker.check_model()?;
    let counters = worker.counters();
    if let Some(address) = arguments.listen {
        let watched = watch::Watched { counters: counters.clone(), drain: drain.clone(), queue, model: model.clone() };
        let address = watch::serve(context, address, watched)?;
        log(&Note::new(format!("watch at http://{address}/metrics")));
    }
    log(&Note::new(format!("scoring by `{model}` what `{}` asks for", arguments.queue)));
    worker.work(arguments.until_idle)?;
    Ok(report(&counters, start, &model))
}

fn setup(arguments: &WorkerArguments) -> Result<Setup, Failure> {
    let folder = arguments.cache.clone().or_else(user_cache);
    Ok(Setup {
        out: Store::open(&arguments.out).map_err(|error| storage_failure(&error))?,
        registry: open_registry(&arguments.registry)?,
        reference: arguments.model.clone(),
        settings: RunSettings { precision: arguments.precision, keep: arguments.keep.clone() },
        cache: folder.map(|folder| ModelCache::new(folder, arguments.cache_bytes)),
    })
}

/// Where this user's programs keep what they can do without.
fn user_cache() -> Option<PathBuf> {
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
    Some(folder.join("clickcast/models"))
}

fn report(counters: &Counters, start: Instant, model: &str) -> Value {
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let (seconds, rows_per_second) = pace(start, of(&counters.rows));
    json!({
        "rows": of(&counters.rows),
        "written": of(&counters.written),
        "found_done": of(&counters.found_done),
        "overwritten": of(&counters.overwritten),
        "ignored": of(&counters.ignored),
        "handed_on": of(&counters.handed_on),
        "buried": of(&counters.buried),
        "left": of(&counters.left),
        "released": of(&counters.released),
        "lost": of(&counters.lost),
        "closed": of(&counters.closed),
        "seconds": seconds,
        "rows_per_second": rows_per_second,
        "peak_memory_bytes": peak_memory_bytes(),
        "model": model,
    })
}

/// Says something on stderr: a line for eyes, or, where nobody looks, one JSON object with what it is about.
fn say(note: &Note, quiet: bool) {
    if std::io::stderr().is_terminal() {
        return console::note(&note.message, quiet);
    }
    let Note { message, run, partition, model } = note;
    let mut line = json!({"time": Timestamp::now().to_string(), "message": message});
    for (name, value) in [("run", run), ("partition", partition), ("model", model)] {
        if let Some(value) = value {
            line[name] = json!(value);
        }
    }
    console::note(&line.to_string(), quiet);
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        if problem.is_transient { Self::transient(problem) } else { Self::input(problem) }
    }
}
