//! `clickcast schema`: drafts a schema from data.

use clickcast_operations::schema::{SchemaRequest, schema};

use super::Context;
use crate::arguments::SchemaArguments;
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, arguments: &SchemaArguments) -> Result<(), Failure> {
    let request = SchemaRequest {
        data: arguments.data.clone(),
        label: arguments.label.clone(),
        id: arguments.id.clone(),
        drop: arguments.drop.clone(),
        out: arguments.out.clone(),
    };
    let report = schema(&context.resources, &request)?;
    for warning in &report.warnings {
        console::note(&format!("warning: {warning}"), context.quiet);
    }
    match &report.schema {
        _ if context.json => console::result(&report, true),
        Some(out) => console::say(&format!("{out}: review it before you train with it")),
        None => console::say(report.text.trim_end()),
    }
}
