//! `clickcast worker`: scores what a queue asks for, until it is stopped.

mod signals;
mod watch;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clickcast_job::worker::Drain;
use clickcast_operations::work::{WorkRequest, prepare};
use clickcast_telemetry::serve;

use super::Context;
use crate::arguments::WorkerArguments;
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &WorkerArguments) -> Result<(), Failure> {
    // Before anything else: a signal that comes early is obeyed, too.
    let drain = Arc::<Drain>::default();
    signals::listen(context, &drain)?;
    let ready = prepare(&context.resources, &request(arguments), drain.clone())?;
    let model = ready.model().to_owned();
    if let Some(address) = arguments.listen {
        let (counters, queue) = (ready.counters(), ready.queue().clone());
        let watched = watch::Watched { counters, drain, queue, model: model.clone() };
        let served = context.runtime.block_on(serve(address, watched));
        let address = served.map_err(|error| Failure::input(format!("`{address}` can't be listened at: {error}")))?;
        tracing::info!("watch at http://{address}/metrics");
    }
    tracing::info!("scoring by `{model}` what `{}` asks for", arguments.queue);
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
