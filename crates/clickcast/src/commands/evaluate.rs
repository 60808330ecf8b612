//! `clickcast evaluate`: measures a model on labelled impressions.

use clickcast_operations::evaluate::{EvaluateRequest, Slice, evaluate};
use clickcast_report::number::grouped;

use super::{Context, model_location};
use crate::arguments::EvaluateArguments;

use crate::console::{self, decimal};
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &EvaluateArguments) -> Result<(), Failure> {
    let request = EvaluateRequest {
        model: model_location(&arguments.model, arguments.registry.as_deref()),
        data: arguments.data.clone(),
        label: arguments.label.clone(),
        by: arguments.by.clone(),
    };
    let report = evaluate(&context.resources, &request, &context.observer())?;
    console::result(&report, context.json)?;
    if context.json || report.evaluation.slices.is_empty() {
        return Ok(());
    }
    let header = vec!["value", "rows", "positives", "auc", "logloss", "calibration"];
    let rows = report.evaluation.slices.iter().map(row).collect();
    console::say(&format!("\n{}", console::table(Some(header), rows)))
}

fn row(slice: &Slice) -> Vec<String> {
    let metrics = &slice.metrics;
    vec![
        slice.value.clone().unwrap_or_else(|| "(missing)".to_owned()),
        grouped(metrics.rows),
        grouped(metrics.positives),
        decimal(metrics.auc),
        decimal(Some(metrics.logloss)),
        decimal(metrics.calibration),
    ]
}
