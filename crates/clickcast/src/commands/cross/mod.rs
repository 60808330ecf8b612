//! `clickcast cross`: scores every user with every ad.

mod entities;
mod job;
mod pairs;
mod per_ad;
mod sides;
mod top;

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use clickcast_dataset::{Input, footer};
use clickcast_model::Model;
use clickcast_model::cross::{Arithmetic, Cross};
use clickcast_operations::data::Data;
use clickcast_operations::{artifacts, outputs, peak_memory_bytes};
use clickcast_record::{Precision, hash};
use clickcast_storage::Store;
use serde_json::{Value, json};

use self::entities::{AdTable, read_ads};
use self::job::{Done, Job, Output, pairs_of};
use self::pairs::read_pairs;
use self::sides::{Sides, Table};
use self::top::Choice;
use super::{Context, model_location, pace, storage_failure};
use crate::arguments::{CrossArguments, PerArgument};
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;

/// Footer keys by which a second run knows a file.
const PARTNERS_KEY: &str = "clickcast.partners";
const SETTINGS_KEY: &str = "clickcast.cross";

pub(super) fn run(context: &Context, arguments: &CrossArguments) -> Result<(), Failure> {
    let outcome = cross(context, arguments)?;
    console::result(&outcome, context.json)
}

/// Scores the pairs of all files that are not done yet; what to report comes back.
fn cross(context: &Context, arguments: &CrossArguments) -> Result<Value, Failure> {
    let start = Instant::now();
    let model =
        artifacts::load(&context.resources, &model_location(&arguments.model, arguments.registry.as_deref()))?.model;
    let (users, ads) =
        (Data::open(&context.resources, &arguments.users)?, Data::open(&context.resources, &arguments.ads)?);
    let table = arguments.pairs_table.as_deref().map(|uri| Data::open(&context.resources, uri)).transpose()?;
    let out = Store::open(&arguments.out).map_err(|error| storage_failure(&error))?;
    let sides = Sides::new(
        &model,
        &Table { uri: users.uri(), columns: users.columns()? },
        &Table { uri: ads.uri(), columns: ads.columns()? },
        &arguments.context,
        &arguments.id,
        arguments.pairs_table.as_deref(),
    )?;
    let per_ad = arguments.per == Some(PerArgument::Ad);
    let (own, partners) = if per_ad { (&ads, &users) } else { (&users, &ads) };
    refuse_to_write_into_inputs(&users, &ads, own, &arguments.out, &out)?;
    if let Some(table) = &table {
        outputs::refuse_to_write_into_the_input(table, &arguments.out, &out)?;
    }
    let (todo, skipped) = todo(context, &model, arguments, &sides, (own, partners, table.as_ref()), &out)?;
    let done = match todo.is_empty() {
        true => Done::default(),
        false => score(context, &model, arguments, &sides, (&users, &ads, table.as_ref()), &out, &todo)?,
    };
    let (seconds, rows_per_second) = pace(start, done.pairs);
    Ok(json!({
        "rows": done.pairs,
        "files": todo.len(),
        "skipped": skipped,
        "seconds": seconds,
        "rows_per_second": rows_per_second,
        "written": done.written,
        "peak_memory_bytes": peak_memory_bytes(),
        "model": arguments.model,
        "id": model.artifact().id(),
        "run": Value::Null,
        "out": arguments.out,
    }))
}

fn score(
    context: &Context,
    model: &Model,
    arguments: &CrossArguments,
    sides: &Sides,
    (users, ads, table): (&Data, &Data, Option<&Data>),
    out: &Store,
    todo: &[Output],
) -> Result<Done, Failure> {
    let precision = arguments.precision;
    let arithmetic = match precision {
        Precision::F32 => Arithmetic::Fast,
        Precision::F64 => Arithmetic::AsRows,
    };
    let cross = Cross::new(model, sides.origins.clone(), sides.constants.as_ref(), arithmetic);
    let cross = cross.map_err(Failure::input)?;
    let ads = read_ads(&cross, sides, ads)?;
    let table = table.zip(sides.pairs.as_ref());
    let pairs = table.map(|(table, schema)| read_pairs(&cross, (sides, schema), table, &ads)).transpose()?;
    let top_k = arguments.top_k.map(|k| k as usize);
    let kept_all = top_k.is_none() && arguments.threshold.is_none();
    let choice = Choice { top_k, threshold: arguments.threshold.unwrap_or(f64::NEG_INFINITY) };
    let per_ad = arguments.per == Some(PerArgument::Ad);
    if let Some(k) = arguments.top_k.filter(|_| per_ad) {
        refuse_too_many(k, &ads)?;
    }
    let whole = todo.len() == users.inputs.len() || per_ad;
    let total = users.rows_total().filter(|_| whole);
    let total = total.map(|users| pairs_of(users, ads.prepared.rows() as u64)).transpose()?;
    let progress = Progress::of("cross", "pairs", total, context.quiet);
    let choice_of_job = (!kept_all).then_some(choice);
    let (ads, progress, cross) = (&ads, &progress, &cross);
    let job =
        Job { context, cross, sides, ads, pairs: pairs.as_ref(), out, precision, choice: choice_of_job, progress };
    match (per_ad, precision) {
        (false, Precision::F32) => job.per_user::<f32>(todo),
        (false, Precision::F64) => job.per_user::<f64>(todo),
        (true, Precision::F32) => job.per_ad::<f32>(&users.inputs, todo, choice),
        (true, Precision::F64) => job.per_ad::<f64>(&users.inputs, todo, choice),
    }
}

fn refuse_too_many(k: u32, ads: &AdTable) -> Result<(), Failure> {
    let (ads, kept_max) = (ads.prepared.rows() as u64, per_ad::KEPT_MAX);
    if ads * u64::from(k) <= kept_max {
        return Ok(());
    }
    Err(Failure::input(format!(
        "`--top-k {k} --per ad` of {ads} ads would keep more than {kept_max} pairs in memory; give a smaller K or fewer \
         ads"
    )))
}

/// The files of `own` whose output is not there yet, made in this very way from these partners; how many are.
fn todo(
    context: &Context,
    model: &Model,
    arguments: &CrossArguments,
    sides: &Sides,
    (own, partners, table): (&Data, &Data, Option<&Data>),
    out: &Store,
) -> Result<(Vec<Output>, usize), Failure> {
    let ids: Vec<&str> = sides.ids.iter().map(|(name, _)| name.as_str()).collect();
    let mut settings = format!(
        "{};{};{:?};{:?};{:?};{:?}",
        ids.join(","),
        arguments.context.join(","),
        arguments.precision,
        arguments.top_k,
        arguments.per,
        arguments.threshold
    );
    if let Some(table) = table {
        settings += &format!(";{}", version(&table.inputs));
    }
    let partners = version(&partners.inputs);
    let (mut outputs, mut skipped) = (Vec::new(), 0);
    for input in &own.inputs {
        let own = [
            (footer::INPUT, input.object.key.as_str()),
            (footer::INPUT_ETAG, &input.object.etag),
            (PARTNERS_KEY, &partners),
            (SETTINGS_KEY, &settings),
        ];
        let metadata: BTreeMap<String, String> = outputs::metadata(model, &own);
        let key = input.output_key();
        let done = outputs::is_done(&context.resources, out, &key, &metadata)?;
        skipped += usize::from(done);
        outputs.push((done, Output { input: input.clone(), key, metadata }));
    }
    // The best users of all ads come out of one pass: it is done whole or not at all.
    if arguments.per == Some(PerArgument::Ad) && skipped < outputs.len() {
        skipped = 0;
        outputs.iter_mut().for_each(|output| output.0 = false);
    }
    outputs::note_skipped(&context.observer(), skipped, outputs.len());
    Ok((outputs.into_iter().filter(|(done, _)| !done).map(|(_, output)| output).collect(), skipped))
}

/// What changes when one of the files does.
fn version(inputs: &[Input]) -> String {
    let text: String = inputs.iter().map(|input| format!("{}\0{}\n", input.name(), input.object.etag)).collect();
    format!("{:016x}", hash::text(&text))
}

fn refuse_to_write_into_inputs(
    users: &Data,
    ads: &Data,
    own: &Data,
    out_uri: &str,
    out: &Store,
) -> Result<(), Failure> {
    outputs::refuse_to_write_into_the_input(users, out_uri, out)?;
    outputs::refuse_to_write_into_the_input(ads, out_uri, out)?;
    let both = users.inputs.iter().chain(&ads.inputs);
    let taken: HashSet<String> = both.map(|input| input.store.uri(&input.object.key)).collect();
    match own.inputs.iter().map(|input| out.uri(&input.output_key())).find(|output| taken.contains(output)) {
        Some(output) => Err(Failure::input(format!("`{output}` is an input; give `--out` another folder"))),
        None => Ok(()),
    }
}
