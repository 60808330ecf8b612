//! The command line: a contract that scripts rely on.

mod queue;
mod registry;
mod worker;
mod wrong;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clickcast_record::Precision;

pub(crate) use queue::*;
pub(crate) use registry::*;
pub(crate) use worker::WorkerArguments;
pub(crate) use wrong::read;

/// Predicts click-through rates in bulk: learns from impression logs, or takes a LightGBM model as
/// it is, and scores feature files on disk or in an object store.
#[derive(Debug, Parser)]
#[command(name = "clickcast", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Settings: flags, then environment (CLICKCAST_THREADS=2), then clickcast.toml in this folder \
    (threads = 2; a table [train] for one command), then defaults.\n\
    Exit codes: 0 done; 1 failed, may be retried; 2 the request or its input is wrong; 3 a gate or an audit said no, or hold.\n\
    A data URI is a file, a folder or a prefix (s3://, gs://, az://) of .parquet, .csv, .tsv (.gz, .zst).")]
pub(crate) struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Settings of every command.
    #[command(flatten)]
    pub(crate) common: Common,
}

/// Settings of every command.
#[derive(Debug, Clone, Args)]
pub(crate) struct Common {
    /// Print one JSON object on stdout instead of a table
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Threads to compute with [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// No progress on stderr
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// A whole day on this machine, in about a minute: learn, let the gate judge, deliver by two workers, audit, publish
    #[command(after_help = "Example:\n  clickcast demo")]
    Demo(DemoArguments),
    /// Make impressions whose true CTR is known
    #[command(after_help = "Example:\n  clickcast synth --rows 1000000 --out day/impressions.parquet")]
    Synth(SynthArguments),
    /// Guess a schema from data, to be edited
    #[command(
        after_help = "Example:\n  clickcast schema --data impressions.csv.gz --label click --id user_id,ad_id --out features.toml"
    )]
    Schema(SchemaArguments),
    /// Learn a model from labelled impressions
    #[command(
        after_help = "Example:\n  clickcast train --data impressions/ --schema features.toml --family ffm --out model/"
    )]
    Train(TrainArguments),
    /// Take a model that another system learned
    #[command(
        after_help = "Example:\n  clickcast import --from lightgbm model.txt --schema features.toml --out model/"
    )]
    Import(ImportArguments),
    /// Measure a model on labelled impressions
    #[command(after_help = "Example:\n  clickcast evaluate --model model/ --data tomorrow.parquet --by device")]
    Evaluate(EvaluateArguments),
    /// Score every record of some files
    #[command(after_help = "Example:\n  clickcast predict --model model/ --data bookings/ --out predictions/")]
    Predict(PredictArguments),
    /// Score every user with every ad
    #[command(
        after_help = "Example:\n  clickcast cross --model model/ --users users.parquet --ads ads.parquet --context hour=20 --top-k 10 --out best/"
    )]
    Cross(CrossArguments),
    /// Register models, judge them, and say which one is used
    Models(ModelsArguments),
    /// Close, audit and publish a day's predictions
    Runs(RunsArguments),
    /// Score what a queue asks for, until stopped
    #[command(
        after_help = "Example:\n  clickcast worker --queue sqlite:///tmp/day.db --registry registry/ --model ctr@champion --out predictions/"
    )]
    Worker(WorkerArguments),
    /// Send messages to a queue, and see what became of them
    Queue(QueueArguments),
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Folder to work in
    #[arg(long, value_name = "DIR", default_value = "clickcast-demo")]
    pub(crate) dir: PathBuf,
}

/// Arguments of `synth`.
#[derive(Debug, Args)]
pub(crate) struct SynthArguments {
    /// Number of impressions
    #[arg(long, value_name = "N")]
    pub(crate) rows: u64,
    /// Where to write: a .parquet, .csv or .csv.gz file, or a folder for one Parquet file a day
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Number of users [default: follows from the rows]
    #[arg(long, value_name = "U")]
    pub(crate) users: Option<u64>,
    /// Number of ads [default: follows from the rows]
    #[arg(long, value_name = "A")]
    pub(crate) ads: Option<u64>,
    /// Number of days
    #[arg(long, value_name = "D", default_value_t = 7)]
    pub(crate) days: u32,
    /// Seed: the same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Also write every user, with the features of that side, here
    #[arg(long, value_name = "URI")]
    pub(crate) users_out: Option<String>,
    /// Also write every ad, with the features of that side, here
    #[arg(long, value_name = "URI")]
    pub(crate) ads_out: Option<String>,
    /// Also write the matching features.toml here
    #[arg(long, value_name = "F")]
    pub(crate) schema: Option<String>,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// Data to look at
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// The column that says whether an impression was clicked
    #[arg(long, value_name = "COL")]
    pub(crate) label: String,
    /// Columns to carry to the predictions
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) id: Vec<String>,
    /// Columns to leave out
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) drop: Vec<String>,
    /// Where to write the schema [default: stdout]
    #[arg(long, value_name = "F")]
    pub(crate) out: Option<String>,
}

/// A model family that can be learned here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FamilyArgument {
    /// Logistic regression
    Lr,
    /// Factorization machine
    Fm,
    /// Field-aware factorization machine
    Ffm,
}

/// How a model keeps its weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum WeightsArgument {
    /// 32-bit floats
    F32,
    /// 16-bit floats with 8 bits of exponent: half the memory
    Bf16,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// Labelled impressions
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// The feature schema
    #[arg(long, value_name = "F")]
    pub(crate) schema: PathBuf,
    /// What to learn
    #[arg(long, value_enum)]
    pub(crate) family: FamilyArgument,
    /// Where to write the model: a folder or prefix
    #[arg(long, value_name = "MODEL")]
    pub(crate) out: String,
    /// Labelled impressions to stop early and calibrate by [default: the newest, or a sample, of --data]
    #[arg(long, value_name = "URI")]
    pub(crate) valid: Option<String>,
    /// Keep this share of the unclicked rows; predictions are corrected exactly
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub(crate) sample_negatives: Option<f64>,
    /// How the model keeps its weights
    #[arg(long, value_enum, default_value = "f32")]
    pub(crate) weights: WeightsArgument,
    /// Seed: the same data and seed give the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
}

/// Whose model to import.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ImportSource {
    /// LightGBM's text format (`Booster.save_model`)
    Lightgbm,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
pub(crate) struct ImportArguments {
    /// The model file's format
    #[arg(long, value_enum)]
    pub(crate) from: ImportSource,
    /// The model file
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// Schema whose label, ids and sides to keep [default: features alone, from the model file]
    #[arg(long, value_name = "F")]
    pub(crate) schema: Option<PathBuf>,
    /// What it learned from, for `models gate` to compare other days with: a file, folder or prefix
    #[arg(long, value_name = "URI")]
    pub(crate) data: Option<String>,
    /// Where to write the model: a folder or prefix
    #[arg(long, value_name = "MODEL")]
    pub(crate) out: String,
}

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArguments {
    /// Folder or prefix of the model, or NAME@VERSION or NAME@CHANNEL of --registry
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Folder or prefix of the registry that MODEL is a name of
    #[arg(long, value_name = "URI")]
    pub(crate) registry: Option<String>,
    /// Labelled impressions
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// Also measure each value of this column
    #[arg(long, value_name = "COL")]
    pub(crate) by: Option<String>,
    /// The label's column [default: the one of the model's schema]
    #[arg(long, value_name = "COL")]
    pub(crate) label: Option<String>,
}

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub(crate) struct PredictArguments {
    /// Folder or prefix of the model, or NAME@VERSION or NAME@CHANNEL of --registry
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Folder or prefix of the registry that MODEL is a name of
    #[arg(long, value_name = "URI")]
    pub(crate) registry: Option<String>,
    /// Records to score
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// Folder or prefix for the predictions: one Parquet file for each input
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Write a staged run of this name below --out, to be closed, audited and published
    #[arg(long, value_name = "NAME", value_parser = <clickcast_registry::RunName as std::str::FromStr>::from_str)]
    pub(crate) run: Option<clickcast_registry::RunName>,
    /// Precision of the `ctr` column
    #[arg(long, value_name = "PRECISION", value_parser = precision(), default_value_t)]
    pub(crate) precision: Precision,
    /// Columns to carry beside the schema's ids
    #[arg(long, value_name = "COLS", value_delimiter = ',')]
    pub(crate) keep: Vec<String>,
}

/// Whose best partners are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PerArgument {
    /// The best ads of each user
    User,
    /// The best users of each ad
    Ad,
}

/// Arguments of `cross`.
#[derive(Debug, Args)]
pub(crate) struct CrossArguments {
    /// Folder or prefix of the model, or NAME@VERSION or NAME@CHANNEL of --registry
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Folder or prefix of the registry that MODEL is a name of
    #[arg(long, value_name = "URI")]
    pub(crate) registry: Option<String>,
    /// Users, with the features of that side; they are streamed
    #[arg(long, value_name = "URI")]
    pub(crate) users: String,
    /// Ads, with the features of that side; they are kept in memory
    #[arg(long, value_name = "URI")]
    pub(crate) ads: String,
    /// Features of side `context` that are the same for all pairs; others are columns of the users
    #[arg(long, value_name = "K=V", value_delimiter = ',')]
    pub(crate) context: Vec<String>,
    /// Features of side `pair`: a file with the ids of both sides and these features, of up to 4 million pairs; of all other
    /// pairs they are missing
    #[arg(long, value_name = "URI")]
    pub(crate) pairs_table: Option<String>,
    /// Folder or prefix for the predictions: one Parquet file for each users file (each ads file with `--per ad`)
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Keep only so many pairs of each user (or ad), the likeliest first
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top_k: Option<u32>,
    /// Whose pairs `--top-k` counts [default: user]
    #[arg(long, value_enum, requires = "top_k")]
    pub(crate) per: Option<PerArgument>,
    /// Keep only pairs of at least this CTR
    #[arg(long, value_name = "CTR", value_parser = parse_threshold)]
    pub(crate) threshold: Option<f64>,
    /// Precision of the `ctr` column; f64 scores each pair exactly as `predict` would, f32 is fast
    #[arg(long, value_name = "PRECISION", value_parser = precision(), default_value_t)]
    pub(crate) precision: Precision,
    /// Columns to tell pairs by [default: those ids of the model's schema that one side has]
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) id: Vec<String>,
}

/// Parses a precision, and lists both in the help.
fn precision() -> impl TypedValueParser<Value = Precision> {
    PossibleValuesParser::new(Precision::ALL.map(Precision::as_str)).try_map(|text| text.parse::<Precision>())
}

fn parse_threshold(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(threshold) if (0.0..=1.0).contains(&threshold) => Ok(threshold),
        _ => Err("a CTR from 0 to 1".to_owned()),
    }
}

fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1.0 => Ok(rate),
        _ => Err("a share above 0 and up to 1".to_owned()),
    }
}
