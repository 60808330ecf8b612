//! Output files: where they must not go, and which of them are there already.

use std::collections::{BTreeMap, HashMap};

use clickcast_dataset::{footer, is_written};
use clickcast_model::Model;
use clickcast_storage::Store;

use crate::data::Data;
use crate::{Error, Observer, Resources};

/// Returns what a file's footer says of how it came to be, by which a second run knows it.
#[must_use]
pub(crate) fn metadata(model: &Model, own: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = std::iter::once((footer::MODEL, model.artifact().id())).chain(own.iter().copied());
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Whether there is an output with this metadata.
///
/// # Errors
/// If the store fails.
pub(crate) fn is_done(
    resources: &Resources,
    out: &Store,
    key: &str,
    metadata: &BTreeMap<String, String>,
) -> Result<bool, Error> {
    Ok(is_written(out, key, metadata, resources.handle())?)
}

/// Notes how many files are left alone.
pub(crate) fn note_skipped(observer: &dyn Observer, skipped: usize, files: usize) {
    if skipped > 0 {
        observer.note(&format!("{skipped} of {files} files are already done"));
    }
}

/// Refuses outputs among the inputs: the next run would read them as data, or they would replace data.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) with the folder or file in question.
pub(crate) fn refuse_to_write_into_the_input(data: &Data, out_uri: &str, out: &Store) -> Result<(), Error> {
    let mut taken: HashMap<String, String> = HashMap::new();
    for input in &data.inputs {
        if input.store.uri(&input.object.key) == out.uri(&input.output_key()) {
            return Err(in_the_input(out_uri));
        }
        if let Some(other) = taken.insert(input.output_key(), input.name()) {
            let key = input.output_key();
            return Err(Error::invalid(format!("`{other}` and `{}` would both be written to `{key}`", input.name())));
        }
    }
    refuse_folder_of_the_input(data, out_uri)
}

/// Refuses a folder that is the data's, or lies below it where the next run would read it.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) with the folder.
pub(crate) fn refuse_folder_of_the_input(data: &Data, out_uri: &str) -> Result<(), Error> {
    // Of a single file, the store is the folder that it is in.
    let Some(first) = data.inputs.first() else { return Ok(()) };
    let is_the_folder = key_below(&first.store.uri(""), out_uri)?.is_some_and(|key| key.is_empty());
    // The next run does not read what is below a hidden folder.
    let is_read = |key: &String| !key.split('/').any(|name| name.starts_with(['_', '.']));
    let is_below = key_below(data.uri(), out_uri)?.as_ref().is_some_and(is_read);
    if is_the_folder || is_below { Err(in_the_input(out_uri)) } else { Ok(()) }
}

fn key_below(folder: &str, uri: &str) -> Result<Option<String>, Error> {
    Ok(clickcast_storage::key_below(folder, uri)?)
}

fn in_the_input(out_uri: &str) -> Error {
    Error::invalid(format!("`{out_uri}` is the folder of the input or below it; give `--out` another one"))
}
