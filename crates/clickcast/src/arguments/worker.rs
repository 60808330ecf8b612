//! Arguments of `worker`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use clickcast_record::Precision;
use clickcast_registry::{Reference, RunName};

use super::precision;

/// Arguments of `worker`.
#[derive(Debug, Args)]
pub(crate) struct WorkerArguments {
    /// Queue: sqlite:///path, sqs://name, or the URL of an SQS queue
    #[arg(long, value_name = "URI")]
    pub(crate) queue: String,
    /// Folder or prefix of the model registry
    #[arg(long, value_name = "URI")]
    pub(crate) registry: String,
    /// Model for runs that begin now; a run that has begun keeps its model version
    #[arg(long, value_name = "NAME@CHANNEL", value_parser = Reference::from_str)]
    pub(crate) model: Reference,
    /// Folder or prefix to stage runs in
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Name of the run for all messages [default: the run that the message names, or the folder of its input]
    #[arg(long, value_name = "NAME", value_parser = RunName::from_str)]
    pub(crate) run: Option<RunName>,
    /// Floating-point precision of the `ctr` column, for runs that begin now
    #[arg(long, value_name = "PRECISION", value_parser = precision(), default_value_t)]
    pub(crate) precision: Precision,
    /// Columns to copy to the predictions, besides the schema's ids, for runs that begin now
    #[arg(long, value_name = "COLS", value_delimiter = ',')]
    pub(crate) keep: Vec<String>,
    /// Visibility timeout in seconds: how long a message is hidden from other workers; extended while the worker works on it
    /// [default: the queue's own]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=43_200))]
    pub(crate) visibility_s: Option<u32>,
    /// Address to serve /metrics, /healthz and /readyz at, such as 0.0.0.0:9090 [default: none]
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// URL of an OpenTelemetry collector to send traces to (OTLP over HTTP), such as http://localhost:4318/v1/traces [default: none]
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// Exit when the queue is empty and no other worker holds a message
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// Folder to cache models in [default: clickcast/models in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Largest size of the model cache, in bytes
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 30)]
    pub(crate) cache_bytes: u64,
}
