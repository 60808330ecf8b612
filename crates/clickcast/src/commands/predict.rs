//! `clickcast predict`: the main job from end to end, files in and files out.

use std::collections::BTreeMap;
use std::time::Instant;

use clickcast_dataset::{Precision, PredictionWriter, prediction_metadata};
use clickcast_model::{Model, Scratch};
use clickcast_record::{Batch, Need};
use serde_json::{Value, json};

use super::data::{self, Data};
use super::{Context, models, pace, peak_memory_bytes};
use crate::arguments::{PrecisionArgument, PredictArguments};
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;

pub(super) fn run(context: &Context, arguments: &PredictArguments) -> Result<(), Failure> {
    let outcome = predict(context, arguments)?;
    console::result(&outcome, context.json)
}
