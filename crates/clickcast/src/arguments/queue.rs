//! Arguments of `queue`.

use std::str::FromStr;

use clap::{Args, Subcommand};
use clickcast_registry::RunName;

/// Arguments of `queue`.
#[derive(Debug, Args)]
pub(crate) struct QueueArguments {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: QueueCommand,
}

/// The commands of `queue`.
#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// Send a message for each file of a folder, as a bucket's events would
    #[command(
        after_help = "Example:\n  clickcast queue send --queue sqlite:///tmp/day.db --data bookings/dt=2026-11-24"
    )]
    Send(SendArguments),
    /// Count the queue's messages: visible, in flight, delayed and dead
    #[command(after_help = "Example:\n  clickcast queue stats --queue sqlite:///tmp/day.db")]
    Stats(QueueArgument),
    /// List dead letters with their reasons
    #[command(after_help = "Example:\n  clickcast queue dead --queue sqlite:///tmp/day.db")]
    Dead(DeadArguments),
    /// Move the dead letters back to the queue
    #[command(after_help = "Example:\n  clickcast queue redrive --queue sqlite:///tmp/day.db")]
    Redrive(QueueArgument),
}

/// Which queue.
#[derive(Debug, Clone, Args)]
pub(crate) struct QueueArgument {
    /// Queue: sqlite:///path, sqs://name, or the URL of an SQS queue
    #[arg(long, value_name = "URI")]
    pub(crate) queue: String,
}

/// Arguments of `queue send`.
#[derive(Debug, Args)]
pub(crate) struct SendArguments {
    #[command(flatten)]
    pub(crate) queue: QueueArgument,
    /// Records to score: a file, folder or prefix
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// Name of the run [default: the folder's name]
    #[arg(long, value_name = "NAME", value_parser = RunName::from_str)]
    pub(crate) run: Option<RunName>,
    /// Close the run when all files are scored, as Spark's _SUCCESS object does
    #[arg(long)]
    pub(crate) close: bool,
}

/// Arguments of `queue dead`.
#[derive(Debug, Args)]
pub(crate) struct DeadArguments {
    #[command(flatten)]
    pub(crate) queue: QueueArgument,
    /// Largest number of dead letters to list
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub(crate) limit: usize,
}
