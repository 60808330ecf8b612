//! `clickcast schema`: guesses a schema from data, to be edited.

use super::Context;
use super::data::{self, Data};
use crate::arguments::SchemaArguments;
use crate::console;
use crate::failure::Failure;
use crate::guess;

/// Rows looked at: enough to tell an id from a category, and read in a second.
const SAMPLE_ROWS: usize = 100_000;

pub(super) fn run(context: &Context, arguments: &SchemaArguments) -> Result<(), Failure> {
    let data = Data::open(context, &arguments.data)?;
    let sample = data.sample(context, SAMPLE_ROWS)?;
    let (text, warnings) = guess::guess(&sample, &arguments.label, &arguments.id, &arguments.drop)
        .map_err(|error| Failure::input(format!("`{}`: {error}", arguments.data)))?;
    for warning in &warnings {
        console::note(&format!("warning: {warning}"), context.quiet);
    }
    if let Some(out) = &arguments.out {
        data::write_object(context, out, text.as_str())?;
    }
    if context.json {
        let object = serde_json::json!({
            "rows": sample.num_rows(), "schema": arguments.out, "text": text, "warnings": warnings,
        });
        return console::result(&object, true);
    }
    match &arguments.out {
        Some(out) => console::say(&format!("{out}: read it through, then train with it")),
        None => console::say(text.trim_end()),
    }
}
