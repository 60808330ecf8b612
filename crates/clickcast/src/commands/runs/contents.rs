//! What a run consists of: its inputs and outputs by their footers, read side by side in bounded memory.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use clickcast_dataset::{Error, Input, Looked, discover, footer, looked_metadata, row_groups};
use clickcast_operations::data::if_readable;
use clickcast_registry::{InputRecord, Manifest, OutputRecord, Run};
use clickcast_storage::{Object, Store};
use clickcast_verdict::covers;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::super::Context;
use crate::failure::Failure;

/// Files read at a time: nearly all of it is waiting for the store, tens of milliseconds a file.
const SIDE_BY_SIDE: usize = 8;
/// Bytes of a large output that are read at a time: 32 MiB for all that are read side by side.
const PART_BYTES: u64 = 4 << 20;

/// What a run consists of now; none where it is not to go on. It reads every output, so that may be asked for on the way.
pub(super) fn manifest(
    context: &Context,
    run: &Run,
    closed: Timestamp,
    may_go_on: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Manifest>, Failure> {
    let inputs = context.runtime.block_on(discover(&run.record().input))?;
    let records = side_by_side(&inputs, |input| {
        if !may_go_on() {
            return Ok(None);
        }
        let groups = if_readable(row_groups(input, context.runtime.handle()))?.flatten();
        Ok(Some(InputRecord {
            key: input.object.key.clone(),
            etag: input.object.etag.clone(),
            rows: groups.as_ref().map(|groups| groups.iter().sum()),
            row_groups: groups.map(|groups| groups.len() as u64),
        }))
    })?;
    let objects = context.runtime.block_on(run.outputs())?;
    let outputs =
        side_by_side(
            &objects,
            |object| {
                if may_go_on() { output(context, run, object, true).map(Some) } else { Ok(None) }
            },
        )?;
    let Some(records) = records.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    let Some(mut outputs) = outputs.into_iter().collect::<Option<Vec<_>>>() else { return Ok(None) };
    // An input that was mended, or whose trouble has passed, may have been scored by a worker that never heard of it.
    let is_scored = |key: &str| inputs.iter().any(|input| input.object.key == key && is_done(context, input, &outputs));
    let mut errors = context.runtime.block_on(run.rejected())?;
    errors.retain(|rejected| !is_scored(&rejected.key));
    // An input that was overwritten, and is cut otherwise now, leaves behind what was scored of it before.
    let etags: BTreeMap<&str, &str> = records.iter().map(|input| (input.key.as_str(), input.etag.as_str())).collect();
    let is_superseded = |output: &OutputRecord| {
        let is_older = etags.get(output.input.as_str()).is_some_and(|etag| *etag != output.input_etag);
        is_older && is_scored(&output.input)
    };
    let superseded: Vec<String> =
        outputs.iter().filter(|output| is_superseded(output)).map(|output| output.key.clone()).collect();
    outputs.retain(|output| !superseded.contains(&output.key));
    let (run_name, model) = (run.record().run.clone(), run.record().model.clone());
    Ok(Some(Manifest { run: run_name, closed, model, inputs: records, outputs, superseded, errors }))
}

/// Outputs whose footers were read, by key and ETag: they are whole when they appear, and never change.
pub(super) type Footers = BTreeMap<(String, String), OutputRecord>;

/// The outputs that are there, by their footers; without their bytes' hashes. What was read before is not read again.
pub(super) fn outputs(context: &Context, run: &Run, footers: &mut Footers) -> Result<Vec<OutputRecord>, Failure> {
    let objects = context.runtime.block_on(run.outputs())?;
    let version = |object: &Object| (object.key.clone(), object.etag.clone());
    let unknown: Vec<Object> =
        objects.iter().filter(|object| !footers.contains_key(&version(object))).cloned().collect();
    let records = side_by_side(&unknown, |object| output(context, run, object, false))?;
    footers.extend(unknown.iter().map(version).zip(records));
    Ok(objects.iter().filter_map(|object| footers.get(&version(object)).cloned()).collect())
}

/// An output by its footer and, where that is wanted, the hash of its bytes; a small one is read by one request.
fn output(context: &Context, run: &Run, object: &Object, is_hashed: bool) -> Result<OutputRecord, Failure> {
    let key = run.key(&format!("ctr/{}", object.key));
    let listed = Object { key, ..object.clone() };
    let looked = context.runtime.block_on(Looked::again(run.store(), listed)).map_err(Error::from)?;
    let sha256 = if is_hashed { sha256(context, run.store(), &looked)? } else { String::new() };
    // What can't be read tells nothing of itself; the audit will say so.
    let found = looked_metadata(run.store(), looked, context.runtime.handle());
    let found = if_readable(found)?.unwrap_or_default();
    let text = |key: &str| found.get(key).cloned().unwrap_or_default();
    let range = found.get(footer::ROW_GROUPS).and_then(|range| range.split_once('-'));
    Ok(OutputRecord {
        key: object.key.clone(),
        input: text(footer::INPUT),
        input_etag: text(footer::INPUT_ETAG),
        row_groups: range.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?))),
        artifact: text(footer::MODEL),
        rows: text(footer::ROWS).parse().unwrap_or_default(),
        bytes: object.size,
        sha256,
    })
}

/// Whether an input has all its outputs, of this version of it.
pub(super) fn is_done(context: &Context, input: &Input, outputs: &[OutputRecord]) -> bool {
    let object = &input.object;
    let own = outputs.iter().filter(|output| output.input == object.key && output.input_etag == object.etag);
    let row_groups = || row_groups(input, context.runtime.handle()).ok().flatten().map(|groups| groups.len() as u64);
    covers(&own.map(|output| output.row_groups).collect::<Vec<_>>(), row_groups)
}

/// The hash of an output's bytes, read in parts.
pub(super) fn sha256(context: &Context, store: &Store, looked: &Looked) -> Result<String, Failure> {
    let mut hash = Sha256::new();
    match looked.whole() {
        Some(bytes) => hash.update(bytes),
        None => {
            for first in (0..looked.object.size).step_by(PART_BYTES as usize) {
                let part = store.get_range(&looked.object, first..first + PART_BYTES);
                // Replaced in the meantime, it is worth another look.
                hash.update(&context.runtime.block_on(part).map_err(Error::from)?);
            }
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What `read` makes of each, in their order, or the first failure of any.
fn side_by_side<T: Sync, R: Send>(
    all: &[T],
    read: impl Fn(&T) -> Result<R, Failure> + Sync,
) -> Result<Vec<R>, Failure> {
    let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
    let read_some = || {
        let mut done = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(one) = all.get(number) else { return done };
            match read(one) {
                Ok(found) => done.push((number, found)),
                Err(failure) => {
                    next.store(all.len(), Ordering::Relaxed);
                    lock(&failed).get_or_insert(failure);
                }
            }
        }
    };
    let mut done = std::thread::scope(|scope| {
        let reading: Vec<_> = (0..SIDE_BY_SIDE.min(all.len())).map(|_| scope.spawn(read_some)).collect();
        let joined = reading.into_iter().map(std::thread::ScopedJoinHandle::join);
        joined.flat_map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
    });
    done.sort_by_key(|(number, _)| *number);
    match lock(&failed).take() {
        Some(failure) => Err(failure),
        None => Ok(done.into_iter().map(|(_, found)| found).collect()),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;
    use std::sync::atomic::AtomicU64;

    use clickcast_record::Precision;
    use clickcast_registry::{PinnedModel, RunRecord, RunSettings, Runs};
    use clickcast_storage::Operation;

    use super::*;
    use crate::arguments::Common;

    fn record(input: String) -> RunRecord {
        RunRecord {
            run: "r".parse().unwrap(),
            model: PinnedModel { registry: None, name: None, version: None, artifact: String::new() },
            input,
            settings: RunSettings { precision: Precision::F32, keep: Vec::new() },
            created: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn what_a_run_consists_of_is_not_told_by_a_worker_that_is_to_end() {
        let context = Context::new(&Common { json: false, threads: Some(1), quiet: true }).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.csv"), "id\n1\n").unwrap();
        let run = context
            .runtime
            .block_on(Runs::new(Store::in_memory()).begin(record(folder.path().display().to_string())))
            .unwrap();
        let told = |may_go_on| manifest(&context, &run, Timestamp::UNIX_EPOCH, &move || may_go_on).unwrap();
        assert_eq!(told(false), None);
        assert_eq!(told(true).unwrap().inputs.len(), 1);
    }

    #[test]
    fn an_output_that_was_read_is_read_again_only_where_another_is_in_its_place() {
        let context = Context::new(&Common { json: false, threads: Some(1), quiet: true }).unwrap();
        let reads = Arc::<AtomicU64>::default();
        let counted = reads.clone();
        let store = Store::in_memory().with_faults(move |operation, _| {
            counted.fetch_add(u64::from(operation == Operation::Get), Ordering::Relaxed);
            None
        });
        let run = context.runtime.block_on(Runs::new(store.clone()).begin(record("in".to_owned()))).unwrap();
        let put = |name: &str, text: &'static str| {
            context.runtime.block_on(store.put(&run.key(&format!("ctr/{name}")), text.into())).unwrap();
        };
        let mut footers = Footers::new();
        let mut found = || {
            let before = reads.load(Ordering::Relaxed);
            let count = outputs(&context, &run, &mut footers).unwrap().len();
            (count, reads.load(Ordering::Relaxed) > before)
        };
        put("a.parquet", "one");
        put("b.parquet", "two");
        assert_eq!(found(), (2, true));
        assert_eq!(found(), (2, false));
        put("a.parquet", "three");
        assert_eq!(found(), (2, true));
        put("c.parquet", "four");
        assert_eq!(found(), (3, true));
        assert_eq!(found(), (3, false));
    }
}
