//! `clickcast schema`: guesses a schema from data, to be edited.

use super::Context;
use super::data::Data;
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
        std::fs::write(out, &text).map_err(|error| Failure::input(format!("`{}`: {error}", out.display())))?;
    }
    if context.json {
        let out = arguments.out.as_ref().map(|path| path.display().to_string());
        return console::result(
            &serde_json::json!({"rows": sample.num_rows(), "schema": out, "text": text, "warnings": warnings}),
            true,
        );
    }
    match &arguments.out {
        Some(out) => console::say(&format!("{}: read it through, then train with it", out.display())),
        None => console::say(text.trim_end()),
    }
}
