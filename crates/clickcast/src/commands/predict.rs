//! `clickcast predict`: scores files, into plain files or into a run.

use clickcast_operations::predict::{PredictRequest, predict};

use super::{Context, model_location};
use crate::arguments::PredictArguments;
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &PredictArguments) -> Result<(), Failure> {
    let request = PredictRequest {
        model: model_location(&arguments.model, arguments.registry.as_deref()),
        data: arguments.data.clone(),
        out: arguments.out.clone(),
        run: arguments.run.clone(),
        precision: arguments.precision,
        keep: arguments.keep.clone(),
    };
    let report = predict(&context.resources, &request, &context.observer())?;
    console::result(&report, context.json)?;
    match &report.run {
        Some(run) if report.errors > 0 => Err(Failure::input(format!(
            "{} inputs can't be scored; `{}/runs/{run}/errors` says why, and the run's audit will hold",
            report.errors,
            report.out.trim_end_matches('/')
        ))),
        _ => Ok(()),
    }
}
