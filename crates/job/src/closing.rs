//! Closing a run: what it consists of, read from the footers of its files, and what it still lacks.

use std::collections::{BTreeMap, BTreeSet};

use clickcast_dataset::{Error as DatasetError, Input, Looked, discover, footer, looked_metadata, row_groups};
use clickcast_registry::{InputRecord, OutputRecord, Run, RunManifest};
use clickcast_storage::{Object, Store};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use tokio::runtime::Handle;

use crate::Error;

/// Files read at a time: nearly all of it is waiting for the store, tens of milliseconds a file.
const FILES_AT_ONCE: usize = 8;
/// Bytes of a large output read at a time: 32 MiB for all files that are read at once.
const PART_BYTES: u64 = 4 << 20;

/// Reads what a run consists of now: every input, and every output by its footer and the hash of its bytes.
///
/// `may_go_on` is asked before each file. Returns `None` once it says no. Must be called within a Tokio runtime.
///
/// # Errors
/// If the store can't be read just now. A file that is not readable Parquet is no error: the run's audit reports it.
pub async fn contents(
    run: &Run,
    closed: Timestamp,
    may_go_on: impl Fn() -> bool,
) -> Result<Option<RunManifest>, Error> {
    let listed = discover(&run.record().input).await?;
    let Some(inputs) = read_each(&listed, &may_go_on, |input| input_record(input.clone())).await? else {
        return Ok(None);
    };
    let listed = run.outputs().await?;
    let Some(mut outputs) = read_each(&listed, &may_go_on, |output| output_record(run, output, true)).await? else {
        return Ok(None);
    };
    let scored = scored(&inputs, &outputs);
    // Another worker may have scored an input after this one rejected it.
    let mut errors = run.rejected().await?;
    errors.retain(|rejected| !scored.contains(&rejected.key));
    // An input that was overwritten and is cut differently now leaves outputs of its older version behind.
    let etags: BTreeMap<&str, &str> = inputs.iter().map(|input| (input.key.as_str(), input.etag.as_str())).collect();
    let is_superseded = |output: &OutputRecord| {
        let is_older = etags.get(output.input.as_str()).is_some_and(|etag| *etag != output.input_etag);
        is_older && scored.contains(&output.input)
    };
    let superseded: Vec<String> =
        outputs.iter().filter(|output| is_superseded(output)).map(|output| output.key.clone()).collect();
    outputs.retain(|output| !superseded.contains(&output.key));
    let (run_name, model) = (run.record().run.clone(), run.record().model.clone());
    Ok(Some(RunManifest { run: run_name, closed, model, inputs, outputs, superseded, errors }))
}

/// Returns the keys of a manifest's inputs that are neither scored whole, as they are now, nor rejected.
#[must_use]
pub fn unfinished(manifest: &RunManifest) -> Vec<&str> {
    let scored = scored(&manifest.inputs, &manifest.outputs);
    let is_rejected =
        |input: &InputRecord| manifest.errors.iter().any(|error| error.key == input.key && error.etag == input.etag);
    let missing = manifest.inputs.iter().filter(|input| !scored.contains(&input.key) && !is_rejected(input));
    missing.map(|input| input.key.as_str()).collect()
}

/// Footers of outputs read so far, by key and ETag: an output is whole when it appears, and never changes.
pub type Footers = BTreeMap<(String, String), OutputRecord>;

/// Reads the footers of a run's outputs, but not the hashes of their bytes. Outputs in `footers` are not read again.
///
/// # Errors
/// If the store can't be read just now.
pub async fn outputs(run: &Run, footers: &mut Footers) -> Result<Vec<OutputRecord>, Error> {
    let listed = run.outputs().await?;
    let version = |object: &Object| (object.key.clone(), object.etag.clone());
    let unknown: Vec<Object> =
        listed.iter().filter(|object| !footers.contains_key(&version(object))).cloned().collect();
    let records = read_each(&unknown, &|| true, |object| output_record(run, object, false)).await?;
    footers.extend(unknown.iter().map(version).zip(records.unwrap_or_default()));
    Ok(listed.iter().filter_map(|object| footers.get(&version(object)).cloned()).collect())
}

/// Whether an input, in this version, has all its outputs.
///
/// # Errors
/// If the store can't be read just now.
pub async fn is_scored(input: &Input, outputs: &[OutputRecord]) -> Result<bool, Error> {
    let object = &input.object;
    if !outputs.iter().any(|output| output.input == object.key && output.input_etag == object.etag) {
        return Ok(false);
    }
    Ok(input_record(input.clone()).await?.is_covered_by(outputs))
}

/// Hashes the bytes of an output, reading a large one in parts: SHA-256, in hex.
///
/// # Errors
/// If the store can't be read, or the output was replaced in the meantime.
pub async fn sha256(store: &Store, looked: &Looked) -> Result<String, DatasetError> {
    let mut hash = Sha256::new();
    match looked.whole() {
        Some(bytes) => hash.update(bytes),
        None => {
            for first in (0..looked.object.size).step_by(PART_BYTES as usize) {
                hash.update(&store.get_range(&looked.object, first..first + PART_BYTES).await?);
            }
        }
    }
    Ok(hex::encode(hash.finalize()))
}

/// The keys of inputs that have all their outputs.
fn scored(inputs: &[InputRecord], outputs: &[OutputRecord]) -> BTreeSet<String> {
    let mut by_input: BTreeMap<&str, Vec<&OutputRecord>> = BTreeMap::new();
    for output in outputs {
        by_input.entry(&output.input).or_default().push(output);
    }
    let own = |input: &InputRecord| by_input.get(input.key.as_str()).into_iter().flatten().copied();
    inputs.iter().filter(|input| input.is_covered_by(own(input))).map(|input| input.key.clone()).collect()
}

async fn input_record(input: Input) -> Result<InputRecord, Error> {
    let (key, etag) = (input.object.key.clone(), input.object.etag.clone());
    let groups = blocking(move |handle| row_groups(&input, handle)).await;
    let groups = if_readable(groups)?.flatten();
    Ok(InputRecord {
        key,
        etag,
        rows: groups.as_ref().map(|groups| groups.iter().sum()),
        row_groups: groups.map(|groups| groups.len() as u64),
    })
}

/// Reads an output's footer and, if asked for, hashes its bytes. One request is enough for a small output.
async fn output_record(run: &Run, listed: &Object, is_hashed: bool) -> Result<OutputRecord, Error> {
    let store = run.store().clone();
    let object = Object { key: run.key(&format!("ctr/{}", listed.key)), ..listed.clone() };
    let looked = Looked::again(&store, object).await.map_err(DatasetError::from)?;
    let sha256 = if is_hashed { sha256(&store, &looked).await? } else { String::new() };
    let found = blocking(move |handle| looked_metadata(&store, looked, handle)).await;
    // An output without a readable footer has empty fields: the audit reports it.
    let found = if_readable(found)?.unwrap_or_default();
    let text = |key: &str| found.get(key).cloned().unwrap_or_default();
    let range = found.get(footer::ROW_GROUPS).and_then(|range| range.split_once('-'));
    Ok(OutputRecord {
        key: listed.key.clone(),
        input: text(footer::INPUT),
        input_etag: text(footer::INPUT_ETAG),
        row_groups: range.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?))),
        artifact: text(footer::MODEL),
        rows: text(footer::ROWS).parse().unwrap_or_default(),
        bytes: listed.size,
        sha256,
    })
}

/// Reads files, several at once, and returns what was read in their order; `None` once `may_go_on` says no.
async fn read_each<'a, T, R, F>(
    files: &'a [T],
    may_go_on: &impl Fn() -> bool,
    read: impl Fn(&'a T) -> F,
) -> Result<Option<Vec<R>>, Error>
where
    F: Future<Output = Result<R, Error>>,
{
    let each =
        stream::iter(files).map(|file| async { if may_go_on() { read(file).await.map(Some) } else { Ok(None) } });
    let read: Vec<Option<R>> = each.buffered(FILES_AT_ONCE).try_collect().await?;
    Ok(read.into_iter().collect())
}

/// Runs a reader that blocks on a thread that may.
async fn blocking<T: Send + 'static>(read: impl FnOnce(&Handle) -> T + Send + 'static) -> T {
    let handle = Handle::current();
    match tokio::task::spawn_blocking(move || read(&handle)).await {
        Ok(read) => read,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// What was read; `None` if the file never can be.
fn if_readable<T>(read: Result<T, DatasetError>) -> Result<Option<T>, Error> {
    match read {
        Err(error) if error.is_transient() => Err(error.into()),
        read => Ok(read.ok()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use clickcast_record::Precision;
    use clickcast_registry::{PinnedModel, Rejected, RunRecord, RunSettings, Runs};
    use clickcast_storage::Operation;
    use tokio::runtime::Runtime;

    use super::*;

    fn model() -> PinnedModel {
        PinnedModel { registry: None, name: None, version: None, artifact: String::new() }
    }

    fn record(input: String) -> RunRecord {
        RunRecord {
            run: "r".parse().unwrap(),
            model: model(),
            input,
            settings: RunSettings { precision: Precision::F32, keep: Vec::new() },
            created: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_worker_that_is_to_end_does_not_go_on_reading_what_a_run_consists_of() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.csv"), "id\n1\n").unwrap();
        Runtime::new().unwrap().block_on(async {
            let runs = Runs::new(Store::in_memory());
            let run = runs.begin(record(folder.path().display().to_string())).await.unwrap();
            let read = async |may_go_on| contents(&run, Timestamp::UNIX_EPOCH, || may_go_on).await.unwrap();
            assert_eq!(read(false).await, None);
            assert_eq!(read(true).await.unwrap().inputs.len(), 1);
        });
    }

    #[test]
    fn an_output_is_read_again_only_if_another_is_in_its_place() {
        let reads = Arc::<AtomicU64>::default();
        let counted = reads.clone();
        let store = Store::in_memory().with_faults(move |operation, _| {
            counted.fetch_add(u64::from(operation == Operation::Get), Ordering::Relaxed);
            None
        });
        Runtime::new().unwrap().block_on(async {
            let run = Runs::new(store.clone()).begin(record("in".to_owned())).await.unwrap();
            let put = async |name: &str, text: &'static str| {
                store.put(&run.key(&format!("ctr/{name}")), text.into()).await.unwrap();
            };
            let mut footers = Footers::new();
            let mut found = async || {
                let before = reads.load(Ordering::Relaxed);
                let count = outputs(&run, &mut footers).await.unwrap().len();
                (count, reads.load(Ordering::Relaxed) > before)
            };
            put("a.parquet", "one").await;
            put("b.parquet", "two").await;
            assert_eq!(found().await, (2, true));
            assert_eq!(found().await, (2, false));
            put("a.parquet", "three").await;
            assert_eq!(found().await, (2, true));
            put("c.parquet", "four").await;
            assert_eq!(found().await, (3, true));
            assert_eq!(found().await, (3, false));
        });
    }

    fn manifest(outputs: &[(&str, Option<(u64, u64)>)], errors: &[&str]) -> RunManifest {
        let output = |&(input_etag, row_groups): &(&str, Option<(u64, u64)>)| OutputRecord {
            key: String::new(),
            input: "a.parquet".to_owned(),
            input_etag: input_etag.to_owned(),
            row_groups,
            artifact: String::new(),
            rows: 1,
            bytes: 1,
            sha256: String::new(),
        };
        let error =
            |etag: &&str| Rejected { key: "a.parquet".to_owned(), etag: (*etag).to_owned(), reason: "bad".to_owned() };
        RunManifest {
            run: "r".parse().unwrap(),
            closed: Timestamp::UNIX_EPOCH,
            model: model(),
            inputs: vec![InputRecord {
                key: "a.parquet".to_owned(),
                etag: "new".to_owned(),
                rows: Some(6),
                row_groups: Some(6),
            }],
            outputs: outputs.iter().map(output).collect(),
            superseded: Vec::new(),
            errors: errors.iter().map(error).collect(),
        }
    }

    #[test]
    fn a_run_is_closed_only_if_every_input_is_scored_as_it_is_now_or_rejected() {
        for (outputs, errors, is_finished) in [
            (vec![], vec![], false),
            (vec![("new", None)], vec![], true),
            (vec![("old", None)], vec![], false),
            (vec![("new", Some((0, 3)))], vec![], false),
            (vec![("new", Some((0, 3))), ("old", Some((4, 5)))], vec![], false),
            (vec![("new", Some((0, 3))), ("new", Some((4, 5)))], vec![], true),
            (vec![("new", Some((0, 3))), ("new", Some((3, 5)))], vec![], false),
            (vec![("new", None), ("new", Some((4, 5)))], vec![], false),
            (vec![], vec!["old"], false),
            (vec![], vec!["new"], true),
        ] {
            let manifest = manifest(&outputs, &errors);
            assert_eq!(unfinished(&manifest).is_empty(), is_finished, "{outputs:?} {errors:?}");
        }
    }
}
