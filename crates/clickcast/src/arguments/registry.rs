//! Arguments of the commands that work with a registry: `models` and `runs`.

use std::str::FromStr;

use clap::{Args, Subcommand};
use clickcast_registry::{Channel, Name, Reference, RunName, Selector};

/// Arguments of `models`.
#[derive(Debug, Args)]
pub(crate) struct ModelsArguments {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: ModelsCommand,
}

/// The commands of `models`.
#[derive(Debug, Subcommand)]
pub(crate) enum ModelsCommand {
    /// Register a model as the next version of its name
    #[command(after_help = "Example:\n  clickcast models register --name ctr --model model/ --registry registry/")]
    Register(RegisterArguments),
    /// List models with their versions and channels
    #[command(after_help = "Example:\n  clickcast models list --registry registry/")]
    List(ListArguments),
    /// Show a version: its family, its channels and its verdicts
    #[command(after_help = "Example:\n  clickcast models show ctr@champion --registry registry/")]
    Show(ShowArguments),
    /// Judge a candidate against the champion before promotion; exit with 3 unless it passes
    #[command(
        after_help = "Example:\n  clickcast models gate --name ctr --candidate ctr@3 --data yesterday.parquet --today today/ --registry registry/ --report gate.html"
    )]
    Gate(GateArguments),
    /// Point a channel to a version that has passed the gate
    #[command(after_help = "Example:\n  clickcast models promote ctr@3 --channel champion --registry registry/")]
    Promote(PromoteArguments),
    /// Point a channel back to its previous version
    #[command(
        after_help = "Example:\n  clickcast models rollback ctr --channel champion --reason \"clicks fell\" --registry registry/"
    )]
    Rollback(RollbackArguments),
}

/// Where models are registered.
#[derive(Debug, Clone, Args)]
pub(crate) struct RegistryArgument {
    /// Folder or prefix of the model registry
    #[arg(long, value_name = "URI")]
    pub(crate) registry: String,
}

/// Arguments of `models register`.
#[derive(Debug, Args)]
pub(crate) struct RegisterArguments {
    /// Name of the model
    #[arg(long, value_name = "NAME", value_parser = Name::from_str)]
    pub(crate) name: Name,
    /// Folder or prefix of the model to register
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) registry: RegistryArgument,
}

/// Arguments of `models list`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// List only the model of this name
    #[arg(long, value_name = "NAME", value_parser = Name::from_str)]
    pub(crate) name: Option<Name>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgument,
}

/// Arguments of `models show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// Version to show
    #[arg(value_name = "NAME@VERSION|NAME@CHANNEL", value_parser = Reference::from_str)]
    pub(crate) model: Reference,
    #[command(flatten)]
    pub(crate) registry: RegistryArgument,
}

/// Arguments of `models gate`.
#[derive(Debug, Args)]
pub(crate) struct GateArguments {
    /// Name of the model; the candidate is compared with its channel `champion`
    #[arg(long, value_name = "NAME", value_parser = Name::from_str)]
    pub(crate) name: Name,
    /// Model to judge: a folder or prefix, or NAME@VERSION or NAME@CHANNEL
    #[arg(long, value_name = "MODEL|NAME@VERSION")]
    pub(crate) candidate: String,
    /// Newest labelled impressions; the candidate must not have been trained on them
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// Sample of the records that will be scored today; needs no labels
    #[arg(long, value_name = "URI")]
    pub(crate) today: Option<String>,
    /// Labelled impressions in one folder per day (dt=2026-01-05/): retrain with the candidate's recipe before each of the last
    /// days, and test each of these models on the next day
    #[arg(long, value_name = "URI")]
    pub(crate) backtest: Option<String>,
    /// Number of days to test on
    #[arg(long, value_name = "N", default_value_t = 3, requires = "backtest", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) backtest_days: u8,
    /// Also write the HTML report to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) report: Option<String>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgument,
}

/// A version by its number.
#[derive(Debug, Clone)]
pub(crate) struct Versioned {
    pub(crate) name: Name,
    pub(crate) version: u64,
}

/// Arguments of `models promote`.
#[derive(Debug, Args)]
pub(crate) struct PromoteArguments {
    /// Version to promote
    #[arg(value_name = "NAME@VERSION", value_parser = parse_versioned)]
    pub(crate) model: Versioned,
    /// Channel to move, such as `champion`
    #[arg(long, value_name = "CHANNEL", value_parser = Channel::from_str)]
    pub(crate) channel: Channel,
    /// Promote only if the channel points to this version now
    #[arg(long, value_name = "VERSION")]
    pub(crate) expect: Option<u64>,
    /// Promote even if the version has not passed the gate, or has passed it against another champion
    #[arg(long, requires = "reason")]
    pub(crate) force: bool,
    /// Reason, kept in the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgument,
}

/// Arguments of `models rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArguments {
    /// Name of the model
    #[arg(value_name = "NAME", value_parser = Name::from_str)]
    pub(crate) name: Name,
    /// Channel to move, such as `champion`
    #[arg(long, value_name = "CHANNEL", value_parser = Channel::from_str)]
    pub(crate) channel: Channel,
    /// Reason, kept in the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgument,
}

/// Arguments of `runs`.
#[derive(Debug, Args)]
pub(crate) struct RunsArguments {
    /// What to do
    #[command(subcommand)]
    pub(crate) command: RunsCommand,
}

/// The commands of `runs`.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// List runs with their states
    #[command(after_help = "Example:\n  clickcast runs list --out predictions/")]
    List(OutArgument),
    /// Show a run: its model, its progress and its audit
    #[command(after_help = "Example:\n  clickcast runs show dt=2026-11-24 --watch --out predictions/")]
    Show(ShowRunArguments),
    /// Close a run: fix its list of inputs and outputs
    #[command(after_help = "Example:\n  clickcast runs close dt=2026-11-24 --out predictions/")]
    Close(RunArguments),
    /// Audit a closed run: is it complete and correct, and are its scores as expected? Writes audit.json and audit.html
    #[command(after_help = "Example:\n  clickcast runs audit dt=2026-11-24 --registry registry/ --out predictions/")]
    Audit(AuditArguments),
    /// Publish a run that has passed its audit, so that readers see it
    #[command(after_help = "Example:\n  clickcast runs publish dt=2026-11-24 --out predictions/")]
    Publish(PublishArguments),
    /// Publish the previous run again
    #[command(after_help = "Example:\n  clickcast runs rollback --reason \"wrong bookings\" --out predictions/")]
    Rollback(RollbackRunArguments),
}

/// Where runs are.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutArgument {
    /// Folder or prefix that holds the runs
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
}

/// Arguments of commands on one run.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArguments {
    /// Name of the run
    #[arg(value_name = "RUN", value_parser = RunName::from_str)]
    pub(crate) run: RunName,
    #[command(flatten)]
    pub(crate) out: OutArgument,
}

/// Arguments of `runs audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    /// Registry of the run's model, to score records again and to compare with the gate's scores [default: the registry in run.json]
    #[arg(long, value_name = "URI")]
    pub(crate) registry: Option<String>,
}

/// Arguments of `runs show`.
#[derive(Debug, Args)]
pub(crate) struct ShowRunArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    /// Keep showing progress until all inputs are done or the run is closed
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Arguments of `runs publish`.
#[derive(Debug, Args)]
pub(crate) struct PublishArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    /// Publish the run although its audit said hold; a run whose audit failed is never published
    #[arg(long, requires = "reason")]
    pub(crate) force: bool,
    /// Reason, kept in the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Fencing token of the publishing leader; after one was used, older tokens and moves without a token are refused
    #[arg(long, value_name = "N")]
    pub(crate) fence: Option<u64>,
}

/// Arguments of `runs rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackRunArguments {
    /// Roll back only if this run is published now
    #[arg(value_name = "RUN", value_parser = RunName::from_str)]
    pub(crate) run: Option<RunName>,
    /// Reason, kept in the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Fencing token of the publishing leader; see `runs publish --help`
    #[arg(long, value_name = "N")]
    pub(crate) fence: Option<u64>,
    #[command(flatten)]
    pub(crate) out: OutArgument,
}

fn parse_versioned(text: &str) -> Result<Versioned, String> {
    match text.parse::<Reference>().map_err(|error| error.to_string())? {
        Reference { name, selector: Selector::Version(version) } => Ok(Versioned { name, version }),
        Reference { name, .. } => Err(format!("give a version's number, such as {name}@3")),
    }
}
