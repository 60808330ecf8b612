//! `clickcast queue`: what a person does with a queue.

use clickcast_operations::queue::{DeadLetter, SendRequest, dead, redrive, send, stats};

use super::Context;
use crate::arguments::{DeadArguments, QueueCommand};
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, command: &QueueCommand) -> Result<(), Failure> {
    let resources = &context.resources;
    match command {
        QueueCommand::Send(arguments) => {
            let request = SendRequest {
                queue: arguments.queue.queue.clone(),
                data: arguments.data.clone(),
                run: arguments.run.clone(),
                close: arguments.close,
            };
            console::result(&send(resources, &request)?, context.json)
        }
        QueueCommand::Stats(argument) => console::result(&stats(resources, &argument.queue)?, context.json),
        QueueCommand::Dead(arguments) => print_dead(context, arguments),
        QueueCommand::Redrive(argument) => console::result(&redrive(resources, &argument.queue)?, context.json),
    }
}

fn print_dead(context: &Context, arguments: &DeadArguments) -> Result<(), Failure> {
    let report = dead(&context.resources, &arguments.queue.queue, arguments.limit)?;
    if context.json {
        return console::result(&report, true);
    }
    let row = |letter: DeadLetter| vec![letter.reason.unwrap_or_else(|| "unknown".to_owned()), letter.body];
    console::say(&console::table(Some(vec!["reason", "message"]), report.dead.into_iter().map(row).collect()))
}
