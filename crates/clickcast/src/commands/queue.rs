//! `clickcast queue`: sends, counts and redrives messages.

use clickcast_dataset::discover;
use clickcast_job::message::{SUCCESS, Task};
use clickcast_storage::absolute;
use clickcast_storage::queue::{Dead, Queue};
use serde_json::{Value, json};

use super::{Context, storage_failure};
use crate::arguments::{DeadArguments, QueueArgument, QueueCommand, SendArguments};
use crate::console;
use crate::failure::Failure;

/// Messages sent per call: many times what a queue takes in one request.
const SENT_AT_ONCE: usize = 1000;

pub(super) fn run(context: &Context, command: &QueueCommand) -> Result<(), Failure> {
    match command {
        QueueCommand::Send(arguments) => console::result(&send(context, arguments)?, context.json),
        QueueCommand::Stats(arguments) => console::result(&stats(context, arguments)?, context.json),
        QueueCommand::Dead(arguments) => dead(context, arguments),
        QueueCommand::Redrive(arguments) => {
            let queue = open_existing(context, arguments)?;
            let redriven = context.runtime.block_on(queue.redrive()).map_err(|error| storage_failure(&error))?;
            console::result(&json!({"redriven": redriven}), context.json)
        }
    }
}

/// Refuses a queue that doesn't exist: only sending and working create one, so a mistyped name is noticed.
fn open_existing(context: &Context, argument: &QueueArgument) -> Result<Queue, Failure> {
    context.runtime.block_on(Queue::open_existing(&argument.queue)).map_err(|error| storage_failure(&error))
}

/// Sends a message for each file, and returns the report.
pub(super) fn send(context: &Context, arguments: &SendArguments) -> Result<Value, Failure> {
    let inputs = context.runtime.block_on(discover(&arguments.data))?;
    let Some(first) = inputs.first() else {
        return Err(Failure::input(format!("`{}` has no files", arguments.data)));
    };
    // Workers may run in other folders, so the URI must be absolute.
    let folder = absolute(&first.store.uri("")).map_err(|error| storage_failure(&error))?;
    let task = |key: &str| Task {
        folder: Some(folder.clone()),
        run: arguments.run.clone(),
        ..Task::new(format!("{folder}/{key}"))
    };
    let mut tasks: Vec<Task> = inputs.iter().map(|input| task(&input.object.key)).collect();
    let run = tasks[0].run().map_err(|problem| Failure::input(format!("{problem}; give --run NAME")))?;
    tasks.extend(arguments.close.then(|| task(SUCCESS)));
    let bodies: Vec<String> = tasks.iter().map(Task::body).collect();
    let queue = context.runtime.block_on(Queue::open(&arguments.queue.queue));
    let queue = queue.map_err(|error| storage_failure(&error))?;
    for some in bodies.chunks(SENT_AT_ONCE) {
        context.runtime.block_on(queue.send(some)).map_err(|error| storage_failure(&error))?;
    }
    Ok(json!({"sent": bodies.len(), "files": inputs.len(), "run": run, "queue": arguments.queue.queue}))
}

fn stats(context: &Context, argument: &QueueArgument) -> Result<Value, Failure> {
    let queue = open_existing(context, argument)?;
    let depth = context.runtime.block_on(queue.depth()).map_err(|error| storage_failure(&error))?;
    Ok(json!({
        "visible": depth.visible,
        "in_flight": depth.in_flight,
        "delayed": depth.delayed,
        "dead": depth.dead,
        "oldest_age_seconds": depth.oldest_age.map(|age| age.as_secs_f64()),
    }))
}

fn dead(context: &Context, arguments: &DeadArguments) -> Result<(), Failure> {
    let queue = open_existing(context, &arguments.queue)?;
    let dead = context.runtime.block_on(queue.dead(arguments.limit)).map_err(|error| storage_failure(&error))?;
    if context.json {
        let list = |dead: &Dead| json!({"body": dead.body, "reason": dead.reason, "received": dead.receive_count});
        return console::say(&json!({"dead": dead.iter().map(list).collect::<Vec<_>>()}).to_string());
    }
    let row = |dead: Dead| vec![dead.reason.unwrap_or_else(|| "unknown".to_owned()), dead.body];
    console::say(&console::table(Some(vec!["reason", "message"]), dead.into_iter().map(row).collect()))
}
