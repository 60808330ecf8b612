//! Measures a run: reads its files once, in order, in bounded memory.

use std::collections::{BTreeMap, BTreeSet};

use arrow_array::{Array, ArrayRef, StringArray};
use clickcast_dataset::{CTR, Error as DatasetError, Input, Looked, ScanEvent, discover, row_groups, sample, text_of};
use clickcast_gate::run::{AuditedInput, AuditedOutput, JudgedModel, RunScores, RunStatistics};
use clickcast_job::closing::sha256;
use clickcast_record::{Batch, Column, Feature, Kind, Need, Schema, Side};
use clickcast_registry::{OutputRecord, Reference, Registry, Run, RunManifest, Runs, Selector, VersionRecord};
use clickcast_verdict::Verdict;
use sha2::{Digest, Sha256};

use super::rescore::{Rescorer, Sampled};
use super::slices::Slices;
use crate::artifacts::open_registry;
use crate::data::{Data, if_readable, write_object};
use crate::observer::Progress;
use crate::{Error, Kind as ErrorKind, Observer, Resources};

/// What the run predicted, kept with it so that the next one can be compared with it.
const SCORES: &str = "scores.json";

/// What an audit measures, and with what.
pub(super) struct MeasureRequest<'a> {
    pub(super) run: &'a Run,
    pub(super) manifest: &'a RunManifest,
    /// The scores of the published run.
    pub(super) previous: Option<RunScores>,
    /// What the gate saw of the run's model.
    pub(super) judged: Option<JudgedModel>,
    /// Scores rows again; `None` if the run's model is in no registry.
    pub(super) rescorer: Option<&'a Rescorer>,
}

/// Reads a closed run's files, and returns what is to be judged.
pub(super) fn statistics(
    resources: &Resources,
    request: MeasureRequest<'_>,
    observer: &dyn Observer,
) -> Result<RunStatistics, Error> {
    let MeasureRequest { run, manifest, previous, judged, rescorer } = request;
    let rows = manifest.outputs.iter().map(|output| output.rows).sum();
    let mut reading = Reading { slices: Slices::default(), progress: Progress::rows(observer, "audit", Some(rows)) };
    let listed = |uri: &str| if_readable(resources.wait(discover(uri)));
    let now = listed(&run.record().input)?.unwrap_or_default();
    let now: BTreeMap<&str, &Input> = now.iter().map(|input| (input.object.key.as_str(), input)).collect();
    let files = listed(&run.store().uri(&run.key("ctr")))?.unwrap_or_default();
    let files: BTreeMap<&str, &Input> = files.iter().map(|file| (file.object.key.as_str(), file)).collect();
    let outputs = manifest.outputs.iter().map(|output| &output.key);
    let known: BTreeSet<&str> = outputs.chain(&manifest.superseded).map(String::as_str).collect();
    let mut of_input: BTreeMap<&str, Vec<&OutputRecord>> = BTreeMap::new();
    for output in &manifest.outputs {
        of_input.entry(&output.input).or_default().push(output);
    }
    let mut statistics = RunStatistics {
        artifact: run.record().model.artifact.clone(),
        inputs: Vec::new(),
        outputs: Vec::new(),
        errors: manifest.errors.iter().map(|error| (error.key.clone(), error.reason.clone())).collect(),
        unexpected_outputs: files.keys().filter(|key| !known.contains(*key)).map(|key| (*key).to_owned()).collect(),
        by_value: BTreeMap::new(),
        previous,
        judged,
    };
    for record in &manifest.inputs {
        let input = now.get(record.key.as_str()).copied();
        let own = of_input.remove(record.key.as_str()).unwrap_or_default();
        let groups = input.map(|input| if_readable(row_groups(input, resources.handle()))).transpose()?;
        let groups = groups.flatten().flatten();
        let mut audited = Vec::new();
        for output in &own {
            let place = statistics.outputs.len() + audited.len();
            let sampled = rescorer.and_then(|rescorer| rescorer.sampled(place, output, groups.as_deref()));
            let file = files.get(output.key.as_str()).copied();
            audited.push(audited_output(resources, output, file, sampled, &mut reading)?);
        }
        let is_same = input.is_some_and(|input| input.object.etag == record.etag);
        let rows = match input.filter(|_| is_same) {
            Some(input) => match compare_ids(resources, input, groups.as_deref(), &mut audited) {
                Err(error) if error.kind() != ErrorKind::Invalid => return Err(error),
                Err(_) => {
                    // What can't be compared doesn't agree.
                    audited.iter_mut().filter(|read| read.ids.is_some()).for_each(|read| {
                        read.output.ids_agree = Some(false);
                    });
                    None
                }
                Ok(rows) => rows,
            },
            None => None,
        };
        if let Some((rescorer, input)) = rescorer.zip(input.filter(|_| is_same)) {
            for read in &mut audited {
                read.output.rescored = rescored(resources, rescorer, input, read)?;
            }
        }
        statistics.outputs.extend(audited.into_iter().map(|read| read.output));
        statistics.inputs.push(AuditedInput {
            key: record.key.clone(),
            etag: record.etag.clone(),
            etag_now: input.map(|input| input.object.etag.clone()),
            row_groups: groups,
            rows,
        });
    }
    // Outputs of what is no input.
    for output in of_input.into_values().flatten() {
        let file = files.get(output.key.as_str()).copied();
        statistics.outputs.push(audited_output(resources, output, file, None, &mut reading)?.output);
    }
    statistics.by_value = reading.slices.scores();
    Ok(statistics)
}

/// What reading outputs goes along with.
struct Reading<'a> {
    slices: Slices,
    progress: Progress<'a>,
}

/// An output as it was read, and a hash of the carried columns, row by row.
struct ReadOutput {
    output: AuditedOutput,
    columns: Vec<String>,
    ids: Option<String>,
    /// The predictions that are to be made again.
    sampled: Option<(Sampled, Vec<f64>)>,
}

/// Reads an output; of one that can't be read, or isn't there, no rows are.
fn audited_output(
    resources: &Resources,
    record: &OutputRecord,
    file: Option<&Input>,
    sampled: Option<Sampled>,
    reading: &mut Reading<'_>,
) -> Result<ReadOutput, Error> {
    let mut output = AuditedOutput::unread(record.clone());
    let nothing = |output| ReadOutput { output, columns: Vec::new(), ids: None, sampled: None };
    let Some(file) = file else { return Ok(nothing(output)) };
    let mut sampled = sampled.map(|sampled| (sampled, Vec::new()));
    let looked = Looked::again(&file.store, file.object.clone());
    let looked = resources.wait(looked).map_err(DatasetError::from)?;
    output.is_unchanged = resources.wait(sha256(&file.store, &looked))? == record.sha256;
    match read_rows(resources, &Input::new(file.store.clone(), looked)?, &mut output, sampled.as_mut(), reading) {
        Ok((columns, ids)) => Ok(ReadOutput { output, columns, ids, sampled }),
        Err(error) if error.kind() != ErrorKind::Invalid => Err(error),
        Err(_) => {
            output.rows_read = 0;
            Ok(nothing(output))
        }
    }
}

/// Reads an output's scores and rows; its carried columns and their hash come back.
fn read_rows(
    resources: &Resources,
    file: &Input,
    output: &mut AuditedOutput,
    mut sampled: Option<&mut (Sampled, Vec<f64>)>,
    reading: &mut Reading<'_>,
) -> Result<(Vec<String>, Option<String>), Error> {
    let head = sample(file, resources.handle(), 0)?;
    let names = head.schema().fields().iter().map(|field| field.name().clone()).collect::<Vec<_>>();
    let columns: Vec<String> = names.into_iter().filter(|name| name != CTR).collect();
    let mut hash = Sha256::new();
    each_batch(resources, file, (CTR, Kind::Numeric), &columns, |batch| {
        let Some(Column::Numeric(scores)) = batch.features.first() else {
            return Err(Error::invalid(format!("`{}` has no numbers in `{CTR}`", file.name())));
        };
        let texts = texts(&batch.carried)?;
        (0..batch.rows).for_each(|row| output.scores.add(scores.get(row)));
        if let Some((sampled, kept)) = sampled.as_deref_mut() {
            let taken = sampled.rows_of(output.rows_read, batch.rows);
            kept.extend(taken.map(|row| scores.get(row)));
        }
        reading.slices.add(&columns, &texts, scores);
        hash_rows(&mut hash, &texts, 0..batch.rows);
        output.rows_read += batch.rows as u64;
        reading.progress.advance(batch.rows as u64)
    })?;
    let ids = (!columns.is_empty()).then(|| format!("{:x?}", hash.finalize()));
    Ok((columns, ids))
}

/// How many of an output's sampled rows were scored again, and how many differ: all of them where the input can't be scored
/// any more. None where none was sampled.
fn rescored(
    resources: &Resources,
    rescorer: &Rescorer,
    input: &Input,
    read: &ReadOutput,
) -> Result<Option<(u64, u64)>, Error> {
    let Some((sampled, predictions)) = &read.sampled else { return Ok(None) };
    let rows = predictions.len() as u64;
    match rescorer.differing(resources, input, *sampled, predictions) {
        Err(error) if error.kind() != ErrorKind::Invalid => Err(error),
        differing => Ok(Some((rows, differing.unwrap_or(rows)))),
    }
}

/// Compares what outputs carry with their input's rows; how many rows it has, where that was read.
fn compare_ids(
    resources: &Resources,
    input: &Input,
    groups: Option<&[u64]>,
    outputs: &mut [ReadOutput],
) -> Result<Option<u64>, Error> {
    let Some(columns) = outputs.iter().find(|read| read.ids.is_some()).map(|read| read.columns.clone()) else {
        return Ok(None);
    };
    // Each output's rows, and the hash of the input's.
    let first_row = |group: u64| groups.unwrap_or_default().iter().take(group as usize).sum::<u64>();
    let mut ranges: Vec<(u64, u64, Sha256)> = outputs
        .iter()
        .map(|read| match read.output.record.row_groups {
            Some((first, last)) => (first_row(first), first_row(last + 1), Sha256::new()),
            None => (0, u64::MAX, Sha256::new()),
        })
        .collect();
    let mut rows = 0;
    each_batch(resources, input, (&columns[0], Kind::Categorical), &columns, |batch| {
        let (end, texts) = (rows + batch.rows as u64, texts(&batch.carried)?);
        for (first, last, hash) in &mut ranges {
            let (from, to) = ((*first).max(rows), (*last).min(end));
            if from < to {
                hash_rows(hash, &texts, (from - rows) as usize..(to - rows) as usize);
            }
        }
        rows = end;
        Ok(())
    })?;
    for (read, (_, _, hash)) in outputs.iter_mut().zip(ranges) {
        let expected = format!("{:x?}", hash.finalize());
        read.output.ids_agree = Some(read.ids.as_ref() == Some(&expected) && read.columns == columns);
    }
    Ok(Some(rows))
}

/// Takes rows of columns as text: each value by its length and its bytes, a missing one by a length that none has.
fn hash_rows(hash: &mut Sha256, texts: &[StringArray], rows: std::ops::Range<usize>) {
    // Column after column would make a batch's boundaries part of the hash.
    for row in rows {
        for text in texts {
            if text.is_null(row) {
                hash.update(u32::MAX.to_le_bytes());
            } else {
                let value = text.value(row);
                hash.update((value.len() as u32).to_le_bytes());
                hash.update(value);
            }
        }
    }
}

fn texts(columns: &[(String, ArrayRef)]) -> Result<Vec<StringArray>, Error> {
    columns.iter().map(|(name, array)| text_of(name, array).map_err(Error::from)).collect()
}

/// Reads one column of a file as a feature, and others as they are, batch by batch.
fn each_batch(
    resources: &Resources,
    file: &Input,
    (name, kind): (&str, Kind),
    columns: &[String],
    mut each: impl FnMut(&Batch) -> Result<(), Error>,
) -> Result<(), Error> {
    let feature = Feature::new(name, kind, Side::Context);
    let schema = Schema::new(vec![feature]).map_err(Error::from)?;
    let need = Need { carried: columns.to_vec(), ..Need::default() };
    let whole = |batch: Batch| batch;
    Data::of(resources, vec![file.clone()]).scan(&schema, &need, whole, |step| match step {
        ScanEvent::Rows(batch) => each(&batch),
        ScanEvent::Begin(_) | ScanEvent::End(_) => Ok(()),
    })
}

/// The predictions of the run that readers see now; none where there is none, or it is this one.
pub(super) fn previous(resources: &Resources, runs: &Runs, run: &Run) -> Result<Option<RunScores>, Error> {
    let Some(published) = resources.wait(runs.published())? else { return Ok(None) };
    if published.current.run == run.record().run {
        return Ok(None);
    }
    let before = resources.wait(runs.open(&published.current.run))?;
    match resources.wait(before.store().get(&before.key(SCORES))) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| {
            let (name, uri) = (&before.record().run, before.store().uri(&before.key(SCORES)));
            let mend = format!("`runs audit {name}` writes it anew");
            Error::invalid(format!("`{uri}`, with which the run is compared, can't be read: {error}; {mend}"))
        }),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The run's version of its model in a registry, the given one or that the run began with; none where there is no registry,
/// or the model never was in one.
pub(super) fn registered(
    resources: &Resources,
    run: &Run,
    given: Option<&str>,
    observer: &dyn Observer,
) -> Result<Option<(Registry, VersionRecord)>, Error> {
    let model = &run.record().model;
    let uri = given.or(model.registry.as_deref());
    let (Some(uri), Some(name), Some(version)) = (uri, &model.name, model.version) else { return Ok(None) };
    let registry = open_registry(uri)?;
    let reference = Reference { name: name.clone(), selector: Selector::Version(version) };
    let record = match resources.wait(registry.resolve(&reference)) {
        // The registry may be another's, or a path of another machine.
        Err(error) if given.is_none() && !error.is_transient() => {
            let sentence = format!("`{uri}`, which the run's model came from, can't be read; give --registry: {error}");
            observer.note(&sentence);
            return Ok(None);
        }
        found => found?,
    };
    if record.artifact != model.artifact {
        return Err(Error::invalid(format!(
            "`{uri}` has another model as `{reference}` than the run; give its registry"
        )));
    }
    Ok(Some((registry, record)))
}

/// What the gate saw of a version; none where it was not judged, or could not be scored.
pub(super) fn judged(
    resources: &Resources,
    (registry, version): &(Registry, VersionRecord),
) -> Result<Option<JudgedModel>, Error> {
    let gated = resources.wait(registry.gate(&version.name, version.version))?;
    Ok(gated.and_then(|gated| {
        let has_passed = gated.judgement.verdict == Verdict::Pass;
        gated.scores.map(|scores| JudgedModel { has_passed, scores })
    }))
}

/// Keeps the scores for the next run's audit.
pub(super) fn write_scores(resources: &Resources, run: &Run, scores: &RunScores) -> Result<(), Error> {
    let bytes = serde_json::to_vec(scores).map_err(|error| Error::invalid(error.to_string()))?;
    write_object(resources, &run.store().uri(&run.key(SCORES)), bytes)
}
