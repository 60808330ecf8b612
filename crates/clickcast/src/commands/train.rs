//! `clickcast train`: trains a model on labelled impressions.

use clickcast_operations::train::{TrainRequest, train};

use super::Context;
use crate::arguments::{FamilyArgument, TrainArguments, WeightsArgument};
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &TrainArguments) -> Result<(), Failure> {
    let report = train(&context.resources, &request(arguments), &context.observer())?;
    if !context.json {
        for note in &report.notes {
            console::note(note, context.quiet);
        }
    }
    console::result(&report, context.json)
}

pub(super) fn request(arguments: &TrainArguments) -> TrainRequest {
    let family = match arguments.family {
        FamilyArgument::Lr => clickcast_learn::FactorFamily::Lr,
        FamilyArgument::Fm => clickcast_learn::FactorFamily::Fm,
        FamilyArgument::Ffm => clickcast_learn::FactorFamily::Ffm,
    };
    let weights = match arguments.weights {
        WeightsArgument::F32 => clickcast_model::factors::WeightType::F32,
        WeightsArgument::Bf16 => clickcast_model::factors::WeightType::Bf16,
    };
    TrainRequest {
        valid: arguments.valid.clone(),
        sample_negatives: arguments.sample_negatives.unwrap_or(1.0),
        weights,
        seed: arguments.seed,
        ..TrainRequest::new(arguments.data.clone(), arguments.schema.clone(), family, arguments.out.clone())
    }
}
