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

/// Predict click-through rates in bulk: train on impression logs or import a LightGBM model, and score
/// feature files on disk or in an object store.
#[derive(Debug, Parser)]
#[command(name = "clickcast", version, propagate_version = true, arg_required_else_help = true)]
#[command(
    after_help = "Settings: a flag wins over the environment (CLICKCAST_THREADS=2), which wins over clickcast.toml in this folder \
    (threads = 2; a table such as [train] sets one command), which wins over the default.\n\
    Decisions (--expect, --fence, --force, --reason) are taken from the command line only.\n\
    Exit codes: 0 done; 1 failed, may be retried; 2 the request or its input is wrong; 3 a gate or an audit said fail or hold.\n\
    A data URI is a file, a folder or a prefix (s3://, gs://, az://) of .parquet, .csv or .tsv files, each also .gz or .zst."
)]
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
    /// Number of threads to compute with [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub(crate) threads: Option<u16>,
    /// Print no progress to stderr
    #[arg(long, global = true)]
    pub(crate) quiet: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a whole day on this machine, in about a minute: train, gate, score with two workers, audit, publish
    #[command(after_help = "Example:\n  clickcast demo")]
    Demo(DemoArguments),
    /// Generate synthetic impressions whose true CTR is known
    #[command(after_help = "Example:\n  clickcast synth --rows 1000000 --out day/impressions.parquet")]
    Synth(SynthArguments),
    /// Draft a feature schema from data, for you to edit
    #[command(
        after_help = "Example:\n  clickcast schema --data impressions.csv.gz --label click --id user_id,ad_id --out features.toml"
    )]
    Schema(SchemaArguments),
    /// Train a model on labelled impressions
    #[command(
        after_help = "Example:\n  clickcast train --data impressions/ --schema features.toml --family ffm --out model/"
    )]
    Train(TrainArguments),
    /// Import a model that another system trained
    #[command(
        after_help = "Example:\n  clickcast import --from lightgbm model.txt --schema features.toml --out model/"
    )]
    Import(ImportArguments),
    /// Evaluate a model on labelled impressions
    #[command(after_help = "Example:\n  clickcast evaluate --model model/ --data tomorrow.parquet --by device")]
    Evaluate(EvaluateArguments),
    /// Score every record of the input files
    #[command(after_help = "Example:\n  clickcast predict --model model/ --data bookings/ --out predictions/")]
    Predict(PredictArguments),
    /// Score every user with every ad
    #[command(
        after_help = "Example:\n  clickcast cross --model model/ --users users.parquet --ads ads.parquet --context hour=20 --top-k 10 --out best/"
    )]
    Cross(CrossArguments),
    /// Register and gate models, and choose the version in use
    Models(ModelsArguments),
    /// Close, audit and publish runs (a run is one day's predictions)
    Runs(RunsArguments),
    /// Score the files that a queue's messages name, until stopped
    #[command(
        after_help = "Example:\n  clickcast worker --queue sqlite:///tmp/day.db --registry registry/ --model ctr@champion --out predictions/"
    )]
    Worker(WorkerArguments),
    /// Send messages to a queue, count them, and handle dead letters
    Queue(QueueArguments),
}

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct DemoArguments {
    /// Folder to work in; created if it doesn't exist
    #[arg(long, value_name = "DIR", default_value = "clickcast-demo")]
    pub(crate) dir: PathBuf,
}

/// Arguments of `synth`.
#[derive(Debug, Args)]
pub(crate) struct SynthArguments {
    /// Number of impressions to generate
    #[arg(long, value_name = "N")]
    pub(crate) rows: u64,
    /// Output: a .parquet, .csv or .csv.gz file, or a folder that gets one Parquet file per day
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Number of users [default: derived from --rows]
    #[arg(long, value_name = "U")]
    pub(crate) users: Option<u64>,
    /// Number of ads [default: derived from --rows]
    #[arg(long, value_name = "A")]
    pub(crate) ads: Option<u64>,
    /// Number of days that the impressions cover
    #[arg(long, value_name = "D", default_value_t = 7)]
    pub(crate) days: u32,
    /// Random seed; the same seed gives the same bytes
    #[arg(long, value_name = "S", default_value_t = 1)]
    pub(crate) seed: u64,
    /// Also write all users, with their features, to this file
    #[arg(long, value_name = "URI")]
    pub(crate) users_out: Option<String>,
    /// Also write all ads, with their features, to this file
    #[arg(long, value_name = "URI")]
    pub(crate) ads_out: Option<String>,
    /// Also write the matching schema (features.toml) to this file
    #[arg(long, value_name = "F")]
    pub(crate) schema: Option<String>,
}

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub(crate) struct SchemaArguments {
    /// Data to read: a file, folder or prefix
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// Column that says whether an impression was clicked (0 or 1, or yes and no)
    #[arg(long, value_name = "COL")]
    pub(crate) label: String,
    /// Columns to copy to the predictions, as ids
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) id: Vec<String>,
    /// Columns to leave out of the schema
    #[arg(long, value_name = "A,B", value_delimiter = ',')]
    pub(crate) drop: Vec<String>,
    /// File to write the schema to [default: stdout]
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
    /// 16-bit floats (bfloat16): half the memory
    Bf16,
}

/// Arguments of `train`.
#[derive(Debug, Args)]
pub(crate) struct TrainArguments {
    /// Labelled impressions to train on: a file, folder or prefix
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// Feature schema (features.toml)
    #[arg(long, value_name = "F")]
    pub(crate) schema: PathBuf,
    /// Family of the model
    #[arg(long, value_enum)]
    pub(crate) family: FamilyArgument,
    /// Folder or prefix to write the model to
    #[arg(long, value_name = "MODEL")]
    pub(crate) out: String,
    /// Labelled impressions for early stopping and calibration [default: the newest rows of --data, or a sample of them]
    #[arg(long, value_name = "URI")]
    pub(crate) valid: Option<String>,
    /// Share of the unclicked rows to train on, above 0 and at most 1; predictions are corrected for it [default: 1]
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub(crate) sample_negatives: Option<f64>,
    /// Number format of the stored weights
    #[arg(long, value_enum, default_value = "f32")]
    pub(crate) weights: WeightsArgument,
    /// Random seed; the same data and seed give the same bytes
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
    /// Format of the model file
    #[arg(long, value_enum)]
    pub(crate) from: ImportSource,
    /// Model file to import
    #[arg(value_name = "FILE")]
    pub(crate) file: String,
    /// Schema to take the label, ids and sides from [default: no label and no ids; features as the model file names them]
    #[arg(long, value_name = "F")]
    pub(crate) schema: Option<PathBuf>,
    /// Data that the model was trained on, so that `models gate` can compare other days with it: a file, folder or prefix
    #[arg(long, value_name = "URI")]
    pub(crate) data: Option<String>,
    /// Folder or prefix to write the model to
    #[arg(long, value_name = "MODEL")]
    pub(crate) out: String,
}

/// Arguments of `evaluate`.
#[derive(Debug, Args)]
pub(crate) struct EvaluateArguments {
    /// Model: a folder or prefix, or NAME@VERSION or NAME@CHANNEL together with --registry
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Folder or prefix of the registry; needed if MODEL is NAME@VERSION or NAME@CHANNEL
    #[arg(long, value_name = "URI")]
    pub(crate) registry: Option<String>,
    /// Labelled impressions to evaluate on: a file, folder or prefix
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// Also report the metrics for each value of this column
    #[arg(long, value_name = "COL")]
    pub(crate) by: Option<String>,
    /// Column of the label [default: the label of the model's schema]
    #[arg(long, value_name = "COL")]
    pub(crate) label: Option<String>,
}

/// Arguments of `predict`.
#[derive(Debug, Args)]
pub(crate) struct PredictArguments {
    /// Model: a folder or prefix, or NAME@VERSION or NAME@CHANNEL together with --registry
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Folder or prefix of the registry; needed if MODEL is NAME@VERSION or NAME@CHANNEL
    #[arg(long, value_name = "URI")]
    pub(crate) registry: Option<String>,
    /// Records to score: a file, folder or prefix
    #[arg(long, value_name = "URI")]
    pub(crate) data: String,
    /// Folder or prefix to write predictions to: one Parquet file per input file
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Name of the run to stage below --out; then use `runs close`, `runs audit` and `runs publish`
    #[arg(long, value_name = "NAME", value_parser = <clickcast_registry::RunName as std::str::FromStr>::from_str)]
    pub(crate) run: Option<clickcast_registry::RunName>,
    /// Floating-point precision of the `ctr` column
    #[arg(long, value_name = "PRECISION", value_parser = precision(), default_value_t)]
    pub(crate) precision: Precision,
    /// Columns to copy to the predictions, besides the schema's ids
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
    /// Model: a folder or prefix, or NAME@VERSION or NAME@CHANNEL together with --registry
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: String,
    /// Folder or prefix of the registry; needed if MODEL is NAME@VERSION or NAME@CHANNEL
    #[arg(long, value_name = "URI")]
    pub(crate) registry: Option<String>,
    /// Users and their features: a file, folder or prefix; streamed
    #[arg(long, value_name = "URI")]
    pub(crate) users: String,
    /// Ads and their features: a file, folder or prefix; kept in memory
    #[arg(long, value_name = "URI")]
    pub(crate) ads: String,
    /// Features of side `context` with one value for all pairs; the others are read from the users' columns
    #[arg(long, value_name = "K=V", value_delimiter = ',')]
    pub(crate) context: Vec<String>,
    /// File with features of side `pair` and the ids of both sides, up to 4 million pairs; all other pairs have missing
    /// values for them
    #[arg(long, value_name = "URI")]
    pub(crate) pairs_table: Option<String>,
    /// Folder or prefix to write predictions to: one Parquet file per users file (per ads file with `--per ad`)
    #[arg(long, value_name = "URI")]
    pub(crate) out: String,
    /// Keep only the K pairs with the highest CTR of each user (of each ad with `--per ad`)
    #[arg(long, value_name = "K", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) top_k: Option<u32>,
    /// Keep the best K of each user or of each ad [default: user]
    #[arg(long, value_enum, requires = "top_k")]
    pub(crate) per: Option<PerArgument>,
    /// Keep only pairs with at least this CTR, from 0 to 1
    #[arg(long, value_name = "CTR", value_parser = parse_threshold)]
    pub(crate) threshold: Option<f64>,
    /// Floating-point precision of the `ctr` column; f32 is fast, f64 scores each pair exactly as `predict` would
    #[arg(long, value_name = "PRECISION", value_parser = precision(), default_value_t)]
    pub(crate) precision: Precision,
    /// Columns that identify a pair, copied to the predictions [default: the schema's ids that the users or the ads have]
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
