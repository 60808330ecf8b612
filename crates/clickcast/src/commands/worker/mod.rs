//! `clickcast worker`: scores what a queue asks for, until it is stopped.

mod signals;
mod traces;
mod watch;

use std::io::IsTerminal;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clickcast_job::worker::{Drain, Listener, Note, Trace};
use clickcast_operations::work::{WorkRequest, prepare};
use clickcast_telemetry::serve;
use jiff::Timestamp;
use serde_json::json;

use super::Context;
use crate::arguments::WorkerArguments;
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &WorkerArguments) -> Result<(), Failure> {
    // Before anything else: a signal that comes early is obeyed, too.
    let drain = Arc::<Drain>::default();
    signals::listen(context, &drain)?;
    let log = |note: &Note| say(note, context.quiet);
    let traces = arguments.otlp.as_deref().map(traces::Traces::to).transpose()?;
    let trace = |trace: &Trace| traces.iter().for_each(|traces| traces.add(trace));
    let listener = Listener { note: &log, trace: &trace };
    let ready = prepare(&context.resources, &request(arguments), drain.clone(), listener)?;
    let (queue, model) = (ready.queue().clone(), ready.model().to_owned());
    if !queue.has_dead_letters() {
        log(&Note::new(format!(
            "`{}` has no queue for dead letters: what can't be scored comes back until it expires; set its attribute \
             RedrivePolicy, with a deadLetterTargetArn and a maxReceiveCount of 5",
            arguments.queue
        )));
    }
    if let Some(address) = arguments.listen {
        let watched = watch::Watched { counters: ready.counters(), drain, queue, model: model.clone() };
        let served = context.runtime.block_on(serve(address, watched));
        let address = served.map_err(|error| Failure::input(format!("`{address}` can't be listened at: {error}")))?;
        log(&Note::new(format!("watch at http://{address}/metrics")));
    }
    log(&Note::new(format!("scoring by `{model}` what `{}` asks for", arguments.queue)));
    let report = ready.work(arguments.until_idle)?;
    console::result(&report, context.json)
}

fn request(arguments: &WorkerArguments) -> WorkRequest {
    WorkRequest {
        queue: arguments.queue.clone(),
        registry: arguments.registry.clone(),
        model: arguments.model.clone(),
        out: arguments.out.clone(),
        run: arguments.run.clone(),
        precision: arguments.precision,
        keep: arguments.keep.clone(),
        visibility: arguments.visibility_s.map(|seconds| Duration::from_secs(seconds.into())),
        cache: arguments.cache.clone().or_else(user_cache),
        cache_bytes: arguments.cache_bytes,
    }
}

/// Where this user's programs keep what they can do without.
fn user_cache() -> Option<PathBuf> {
    let named = |variable: &str| std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let folder = named("XDG_CACHE_HOME").or_else(|| Some(named("HOME")?.join(".cache")))?;
    Some(folder.join("clickcast/models"))
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
