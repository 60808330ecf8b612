//! Output files of a command: where they must not go, and which of them are there already.

use std::collections::{BTreeMap, HashMap};

use clickcast_dataset::{footer, is_written};
use clickcast_model::Model;
use clickcast_storage::Store;

use super::data::Data;
use super::{Context, storage_failure};
use crate::console;
use crate::failure::Failure;

/// What a file's footer says of how it came to be, and by which a second run knows it.
pub(super) fn metadata(model: &Model, own: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = std::iter::once((footer::MODEL, model.artifact().id())).chain(own.iter().copied());
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Whether there is an output that came to be in this very way.
pub(super) fn is_done(
    context: &Context,
    out: &Store,
    key: &str,
    metadata: &BTreeMap<String, String>,
) -> Result<bool, Failure> {
    Ok(is_written(out, key, metadata, context.runtime.handle())?)
}

/// Says how many files are left alone.
pub(super) fn note_skipped(context: &Context, skipped: usize, files: usize) {
    if skipped > 0 {
        console::note(&format!("{skipped} of {files} files are already done"), context.quiet);
    }
}

/// An output among the inputs would be read as data the next time, or take the place of data.
pub(super) fn refuse_to_write_into_the_input(data: &Data, out_uri: &str, out: &Store) -> Result<(), Failure> {
    let refuse = |place: &str| {
        Err(Failure::input(format!("`{place}` is the folder of the input or below it; give `--out` another one")))
    };
    let mut taken: HashMap<String, String> = HashMap::new();
    for input in &data.inputs {
        if input.store.uri(&input.object.key) == out.uri(&input.output_key()) {
            return refuse(out_uri);
        }
        if let Some(other) = taken.insert(input.output_key(), input.name()) {
            let key = input.output_key();
            return Err(Failure::input(format!("`{other}` and `{}` would both be written to `{key}`", input.name())));
        }
    }
    // Of a single file, the store is the folder that it is in.
    let Some(first) = data.inputs.first() else { return Ok(()) };
    let key_below =
        |folder: &str| clickcast_storage::key_below(folder, out_uri).map_err(|error| storage_failure(&error));
    // What a name hides is no input of the next run either.
    let is_read = |key: &String| !key.split('/').any(|name| name.starts_with(['_', '.']));
    let same = key_below(&first.store.uri(""))?.is_some_and(|key| key.is_empty());
    if same || key_below(data.uri())?.as_ref().is_some_and(is_read) { refuse(out_uri) } else { Ok(()) }
}
