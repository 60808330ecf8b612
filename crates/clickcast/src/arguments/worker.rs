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
    /// The queue: sqlite:///path, sqs://name, or an SQS queue's URL
    #[arg(long, value_name = "URI")]
    pub(crate) queue: String,
    /// Folder or prefix of the registry
    #[arg(long, value_name = "URI")]
    pub(crate) registry: String,
    /// The model of runs that begin now; a run keeps the one that it began with
    #[arg(long, value_name = "NAME@CHANNEL", value_parser = Reference::from_str)]
    pub(crate) model: Reference,
    /// Folder or prefix below which runs are staged
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// The run of all messages [default: the one a message names, or its input's folder]
    #[arg(long, value_name = "NAME", value_parser = RunName::from_str)]
    pub(crate) run: Option<RunName>,
    /// Precision of the `ctr` column in runs that begin now
    #[arg(long, value_name = "PRECISION", value_parser = precision(), default_value_t)]
    pub(crate) precision: Precision,
    /// Columns to carry beside the schema's ids in runs that begin now
    #[arg(long, value_name = "COLS", value_delimiter = ',')]
    pub(crate) keep: Vec<String>,
    /// How long a message is kept from other workers at a time; it is kept anew while it is worked on [default: the queue's]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=43_200))]
    pub(crate) visibility_s: Option<u32>,
    /// Serve /metrics, /healthz and /readyz at this address
    #[arg(long, value_name = "ADDR")]
    pub(crate) listen: Option<SocketAddr>,
    /// Send traces to the OpenTelemetry collector at this URL, by OTLP over HTTP, such as http://localhost:4318/v1/traces
    #[arg(long, value_name = "URL")]
    pub(crate) otlp: Option<String>,
    /// End when nothing is left in the queue, nor may come back from another worker
    #[arg(long)]
    pub(crate) until_idle: bool,
    /// Folder to keep models in [default: clickcast/models in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) cache: Option<PathBuf>,
    /// Bytes of models to keep there
    #[arg(long, value_name = "BYTES", default_value_t = 4 << 30)]
    pub(crate) cache_bytes: u64,
}
