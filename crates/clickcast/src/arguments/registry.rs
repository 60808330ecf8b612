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
    /// Register a model as its name's next version
    #[command(after_help = "Example:\n  clickcast models register --name ctr --model model/ --registry registry/")]
    Register(RegisterArguments),
    /// List models, their versions and channels
    #[command(after_help = "Example:\n  clickcast models list --registry registry/")]
    List(ListArguments),
    /// Show a version: what it is, who points to it, what the gate said
    #[command(after_help = "Example:\n  clickcast models show ctr@champion --registry registry/")]
    Show(ShowArguments),
    /// Judge a model before it is promoted, against the champion; exit code 3 where it does not pass
    #[command(
        after_help = "Example:\n  clickcast models gate --name ctr --candidate ctr@3 --data yesterday.parquet --today today/ --registry registry/ --report gate.html"
    )]
    Gate(GateArguments),
    /// Point a channel to a version that has passed the gate
    #[command(after_help = "Example:\n  clickcast models promote ctr@3 --channel champion --registry registry/")]
    Promote(PromoteArguments),
    /// Point a channel again to the version before
    #[command(
        after_help = "Example:\n  clickcast models rollback ctr --channel champion --reason \"clicks fell\" --registry registry/"
    )]
    Rollback(RollbackArguments),
}

/// Where models are registered.
#[derive(Debug, Clone, Args)]
pub(crate) struct RegistryArgument {
    /// Folder or prefix of the registry
    #[arg(long, value_name = "URI")]
    pub(crate) registry: String,
}

/// Arguments of `models register`.
#[derive(Debug, Args)]
pub(crate) struct RegisterArguments {
    /// The model's name
    #[arg(long, value_name = "NAME", value_parser = Name::from_str)]
    pub(crate) name: Name,
    /// Folder or prefix of the model
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    #[command(flatten)]
    pub(crate) registry: RegistryArgument,
}

/// Arguments of `models list`.
#[derive(Debug, Args)]
pub(crate) struct ListArguments {
    /// Only the model of this name
    #[arg(long, value_name = "NAME", value_parser = Name::from_str)]
    pub(crate) name: Option<Name>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgument,
}

/// Arguments of `models show`.
#[derive(Debug, Args)]
pub(crate) struct ShowArguments {
    /// Which version
    #[arg(value_name = "NAME@VERSION|NAME@CHANNEL", value_parser = Reference::from_str)]
    pub(crate) model: Reference,
    #[command(flatten)]
    pub(crate) registry: RegistryArgument,
}

/// Arguments of `models gate`.
#[derive(Debug, Args)]
pub(crate) struct GateArguments {
    /// The model's name; its channel `champion` is what the candidate is compared with
    #[arg(long, value_name = "NAME", value_parser = Name::from_str)]
    pub(crate) name: Name,
    /// Folder or prefix of the model to judge, or NAME@VERSION or NAME@CHANNEL
    #[arg(long, value_name = "MODEL|NAME@VERSION")]
    pub(crate) candidate: String,
    /// The newest labelled impressions; the candidate must not have learned from them
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// A sample of the rows that will be scored, without labels
    #[arg(long, value_name = "URI")]
    pub(crate) today: Option<String>,
    /// Labelled impressions in a folder for each day (dt=2026-01-05/): learn anew by the candidate's recipe before each of its last
    /// days, and try each model on the day that follows
    #[arg(long, value_name = "URI")]
    pub(crate) backtest: Option<String>,
    /// Days to try
    #[arg(long, value_name = "N", default_value_t = 3, requires = "backtest", value_parser = clap::value_parser!(u8).range(1..))]
    pub(crate) backtest_days: u8,
    /// Also write a page for people here
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
    /// Which version
    #[arg(value_name = "NAME@VERSION", value_parser = parse_versioned)]
    pub(crate) model: Versioned,
    /// The channel to move, such as `champion`
    #[arg(long, value_name = "CHANNEL", value_parser = Channel::from_str)]
    pub(crate) channel: Channel,
    /// Only if the channel is at this version now
    #[arg(long, value_name = "VERSION")]
    pub(crate) expect: Option<u64>,
    /// Even where the gate has not passed it, or has against another champion
    #[arg(long, requires = "reason")]
    pub(crate) force: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    #[command(flatten)]
    pub(crate) registry: RegistryArgument,
}

/// Arguments of `models rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackArguments {
    /// The model
    #[arg(value_name = "NAME", value_parser = Name::from_str)]
    pub(crate) name: Name,
    /// The channel to move
    #[arg(long, value_name = "CHANNEL", value_parser = Channel::from_str)]
    pub(crate) channel: Channel,
    /// Why, for the history
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
    /// List runs and how far each has come
    #[command(after_help = "Example:\n  clickcast runs list --out predictions/")]
    List(OutArgument),
    /// Show a run: its model, how much is done, what the audit said
    #[command(after_help = "Example:\n  clickcast runs show dt=2026-11-24 --watch --out predictions/")]
    Show(ShowRunArguments),
    /// Fix what a run consists of
    #[command(after_help = "Example:\n  clickcast runs close dt=2026-11-24 --out predictions/")]
    Close(RunArguments),
    /// Check that a closed run is whole and looks right; writes audit.json and audit.html into it
    #[command(after_help = "Example:\n  clickcast runs audit dt=2026-11-24 --registry registry/ --out predictions/")]
    Audit(AuditArguments),
    /// Let readers see a run that has passed its audit
    #[command(after_help = "Example:\n  clickcast runs publish dt=2026-11-24 --out predictions/")]
    Publish(PublishArguments),
    /// Let readers see the run before again
    #[command(after_help = "Example:\n  clickcast runs rollback --reason \"wrong bookings\" --out predictions/")]
    Rollback(RollbackRunArguments),
}

/// Where runs are.
#[derive(Debug, Clone, Args)]
pub(crate) struct OutArgument {
    /// Folder or prefix that the runs are in
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
}

/// Arguments of commands on one run.
#[derive(Debug, Clone, Args)]
pub(crate) struct RunArguments {
    /// The run
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
    /// Registry of the run's model, to compare the run with what the gate saw
    #[arg(long, value_name = "URI")]
    pub(crate) registry: Option<String>,
}

/// Arguments of `runs show`.
#[derive(Debug, Args)]
pub(crate) struct ShowRunArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    /// Show progress until all inputs are done or the run is closed
    #[arg(long)]
    pub(crate) watch: bool,
}

/// Arguments of `runs publish`.
#[derive(Debug, Args)]
pub(crate) struct PublishArguments {
    #[command(flatten)]
    pub(crate) run: RunArguments,
    /// Publish it although its audit holds it; not where the audit failed
    #[arg(long, requires = "reason")]
    pub(crate) force: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Fencing token of the leader who publishes; once one was used, none and older ones are refused
    #[arg(long, value_name = "N")]
    pub(crate) fence: Option<u64>,
}

/// Arguments of `runs rollback`.
#[derive(Debug, Args)]
pub(crate) struct RollbackRunArguments {
    /// Only if this run is the published one
    #[arg(value_name = "RUN", value_parser = RunName::from_str)]
    pub(crate) run: Option<RunName>,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Fencing token of the leader who publishes
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
