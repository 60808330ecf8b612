//! `clickcast models gate`: judges a model before it is promoted.

use std::str::FromStr;
use std::time::Instant;

use clickcast_dataset::Step;
use clickcast_gate::model::measure::{Measuring, Observed, Scorer};
use clickcast_gate::model::{
    Backtested, Described, Evidence, Measured, PageRequest, drifts, judge, page, reading_schema,
};
use clickcast_model::profile::Profile;
use clickcast_model::{Model, Scratch};
use clickcast_operations::artifacts::open_registry;
use clickcast_operations::data::{Data, write_object};
use clickcast_operations::peak_memory_bytes;
use clickcast_record::{Need, Schema};
use clickcast_registry::{CHAMPION, Channel, Gated, Kind, Reference, Registry, Selector, VersionRecord, read_artifact};
use clickcast_storage::Store;
use clickcast_verdict::{Check, Judgement, Verdict};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{Context, storage_failure};
use super::backtest;
use crate::arguments::GateArguments;
use crate::console;
use crate::failure::Failure;
use crate::progress::Progress;

/// A model with what it learned from.
pub(super) struct Opened {
    pub(super) model: Model,
    pub(super) profile: Option<Profile>,
    golden_difference: Option<f64>,
}

pub(super) fn run(context: &Context, arguments: &GateArguments) -> Result<(), Failure> {
    let outcome = gate(context, arguments)?;
    console::result(&outcome, context.json)?;
    if !context.json {
        console::say(&format!("\n{}", checks_table(&outcome)))?;
    }
    match outcome["verdict"].as_str() {
        Some("pass") => Ok(()),
        said => {
            let what = if said == Some("hold") { "is held by" } else { "fails" };
            let why = outcome["why"].as_str().unwrap_or_default();
            Err(Failure::gate(format!("`{}` {what} the gate: {why}", arguments.candidate)))
        }
    }
}

/// Judges a candidate, notes the judgement where it is registered, and writes the page; what to report comes back.
pub(in crate::commands) fn gate(context: &Context, arguments: &GateArguments) -> Result<Value, Failure> {
    let start = Instant::now();
    let registry = open_registry(&arguments.registry.registry)?;
    let champion_version = champion_version(context, arguments, &registry)?;
    let (version, candidate) = open_candidate(context, arguments, &registry)?;
    let champion = champion_version.as_ref().map(|record| open_version(context, &registry, record)).transpose()?;
    let (data, today) = (Data::open(&context.resources, &arguments.data)?, arguments.today.as_deref());
    let today = today.map(|uri| Data::open(&context.resources, uri)).transpose()?;
    let champion = match champion {
        Some(Ok(opened)) => Some(opened),
        // Whatever is delivered now can't be read again: that has to be seen to before anything else.
        Some(Err(why)) => return Err(Failure::input(format!("the champion of `{}`: {why}", arguments.name))),
        None => None,
    };
    let mut backtested = None;
    let (judgement, measured) = match candidate {
        Ok(candidate) => {
            if let Some(history) = &arguments.backtest {
                let (manifest, days_max) = (candidate.model.artifact().manifest(), arguments.backtest_days.into());
                backtested = Some(backtest::backtest(context, manifest, history, days_max)?);
            }
            judged(context, &candidate, champion.as_ref(), &data, today.as_ref(), backtested.as_deref())?
        }
        Err(why) => (Judgement::of(vec![failed("loads", why)]), None),
    };
    let newest = measured.as_ref().map(|measured| measured.today.as_ref().unwrap_or(&measured.labelled));
    let gated = Gated {
        at: Timestamp::now(),
        champion: champion_version.as_ref().map(|record| record.version),
        judgement,
        scores: newest.map(|observed| observed.candidate.clone()),
    };
    if let Some(version) = version {
        context.runtime.block_on(registry.record_gate(&arguments.name, version, &gated))?;
    }
    let judgement = &gated.judgement;
    let named = |version: u64| format!("{}@{version}", arguments.name);
    let candidate_name = version.map_or_else(|| arguments.candidate.clone(), named);
    let champion_name = gated.champion.map(named);
    let page = page(&PageRequest {
        candidate: &candidate_name,
        champion: champion_name.as_deref(),
        judgement,
        measured: measured.as_ref(),
        backtested: backtested.as_deref(),
    });
    let kept = version.map(|version| registry.gate_page_uris(&arguments.name, version, gated.at));
    for uri in arguments.report.iter().chain(kept.iter().flatten()) {
        write_object(&context.resources, uri, page.clone())?;
    }
    let worst = judgement.checks.iter().find(|check| check.verdict == judgement.verdict);
    let why = worst.filter(|_| judgement.verdict != Verdict::Pass).map(|check| &check.reason);
    let rows = |observed: Option<&Observed>| observed.map(|observed| observed.profile.rows);
    Ok(json!({
        "verdict": judgement.verdict,
        "why": why,
        "candidate": candidate_name,
        "champion": champion_name,
        "recorded": version.is_some(),
        "rows_labelled": rows(measured.as_ref().map(|measured| &measured.labelled)),
        "rows_today": rows(measured.as_ref().and_then(|measured| measured.today.as_ref())),
        "backtest": backtested.iter().flatten().map(backtest::to_json).collect::<Vec<_>>(),
        "checks": judgement.checks,
        "report": arguments.report.clone().or_else(|| kept.map(|[last, _]| last)),
        "seconds": start.elapsed().as_secs_f64(),
        "peak_memory_bytes": peak_memory_bytes(),
    }))
}

/// The version in use; none before the first promotion.
fn champion_version(
    context: &Context,
    arguments: &GateArguments,
    registry: &Registry,
) -> Result<Option<VersionRecord>, Failure> {
    let channel = Channel::from_str(CHAMPION)?;
    let Some(moves) = context.runtime.block_on(registry.channel(&arguments.name, &channel))? else { return Ok(None) };
    let reference = Reference { name: arguments.name.clone(), selector: Selector::Version(moves.current) };
    Ok(Some(context.runtime.block_on(registry.resolve(&reference))?))
}

/// The candidate's version, where it is registered under the name, and the candidate, or how it is damaged.
fn open_candidate(
    context: &Context,
    arguments: &GateArguments,
    registry: &Registry,
) -> Result<(Option<u64>, Result<Opened, String>), Failure> {
    if let Ok(reference) = arguments.candidate.parse::<Reference>() {
        if reference.name != arguments.name {
            let sentence = format!("`{}` is no version of `{}`; give one of its own", reference.name, arguments.name);
            return Err(Failure::input(sentence));
        }
        let record = context.runtime.block_on(registry.resolve(&reference))?;
        return Ok((Some(record.version), open_version(context, registry, &record)?));
    }
    let store = Store::open(&arguments.candidate).map_err(|error| storage_failure(&error))?;
    let artifact = match context.runtime.block_on(read_artifact(&store, "")) {
        Ok(artifact) => artifact,
        Err(error) if error.kind() == Kind::Damaged => return Ok((None, Err(error.to_string()))),
        Err(error) => return Err(error.into()),
    };
    let id = artifact.id().to_owned();
    let listed = context.runtime.block_on(registry.list(None))?;
    let own = listed.iter().filter(|listed| listed.name == arguments.name).flat_map(|listed| &listed.versions);
    let version = own.filter(|record| record.artifact == id).map(|record| record.version).max();
    Ok((version, open(artifact)))
}

/// A version's model, or how it is damaged.
fn open_version(
    context: &Context,
    registry: &Registry,
    record: &VersionRecord,
) -> Result<Result<Opened, String>, Failure> {
    match context.runtime.block_on(registry.load(record)) {
        Ok(artifact) => Ok(open(artifact)),
        Err(error) if error.kind() == Kind::Damaged => Ok(Err(error.to_string())),
        Err(error) => Err(error.into()),
    }
}

fn open(artifact: clickcast_model::artifact::Artifact) -> Result<Opened, String> {
    let model = Model::from_artifact(artifact).map_err(|error| error.to_string())?;
    let profile = model.profile().map_err(|error| error.to_string())?;
    let golden_difference = model.golden_difference().map_err(|error| error.to_string())?;
    Ok(Opened { model, profile, golden_difference })
}

fn described(opened: &Opened) -> Described<'_> {
    Described {
        manifest: opened.model.artifact().manifest(),
        profile: opened.profile.as_ref(),
        golden_difference: opened.golden_difference,
    }
}

fn failed(name: &str, reason: String) -> Check {
    Check { name: name.to_owned(), verdict: Verdict::Fail, observed: None, limit: None, reason }
}

/// Measures and judges. Rows that can't be read as the candidate takes them are a judgement, too.
fn judged(
    context: &Context,
    candidate: &Opened,
    champion: Option<&Opened>,
    data: &Data,
    today: Option<&Data>,
    backtest: Option<&[Backtested]>,
) -> Result<(Judgement, Option<Measured>), Failure> {
    let mut columns: Option<Vec<String>> = None;
    for data in [Some(data), today].into_iter().flatten() {
        let found = data.columns()?;
        let both = columns.map(|known| known.into_iter().filter(|column| found.contains(column)).collect());
        columns = Some(both.unwrap_or(found));
    }
    let columns = columns.unwrap_or_default();
    let champion_model = champion.map(|champion| &champion.model);
    let read = reading_schema(&candidate.model, champion_model, |name| columns.iter().any(|column| column == name));
    let (schema, champion_unfit) = match read {
        Ok(schema) => (schema, None),
        Err(why) => (candidate.model.schema().clone(), Some(why)),
    };
    let compared = champion_model.filter(|_| champion_unfit.is_none());
    let scorer = Scorer::new(&candidate.model, compared, &schema).map_err(Failure::input)?;
    let learned = candidate.profile.as_ref();
    let labelled = match measure(context, &scorer, &schema, learned, data, true) {
        Ok(observed) => observed,
        Err(failure) => return rejected("labelled_input", failure),
    };
    let today = today.map(|today| measure(context, &scorer, &schema, learned, today, false)).transpose();
    let today = match today {
        Ok(observed) => observed,
        Err(failure) => return rejected("today_input", failure),
    };
    let judgement = judge(&Evidence {
        candidate: described(candidate),
        champion: champion.map(described),
        champion_unfit: champion_unfit.as_deref(),
        labelled: &labelled,
        today: today.as_ref(),
        backtest,
        now_ms: Timestamp::now().as_millisecond(),
    });
    let newest = today.as_ref().unwrap_or(&labelled);
    let known: Vec<&Profile> = today.as_ref().map(|_| &labelled.profile).into_iter().chain(learned).collect();
    let drifts = drifts(newest, &known);
    Ok((judgement, Some(Measured { labelled, today, drifts })))
}

/// The judgement of rows that can't be read; a failure that may pass is no judgement.
fn rejected(check: &str, failure: Failure) -> Result<(Judgement, Option<Measured>), Failure> {
    if failure.is_transient() {
        return Err(failure);
    }
    Ok((Judgement::of(vec![failed(check, format!("The rows can't be scored: {failure}."))]), None))
}

fn measure(
    context: &Context,
    scorer: &Scorer<'_>,
    schema: &Schema,
    learned: Option<&Profile>,
    data: &Data,
    labelled: bool,
) -> Result<Observed, Failure> {
    let columns = data.columns()?;
    let has = |name: Option<&str>| name.is_some_and(|name| columns.iter().any(|column| column == name));
    // Rows without labels are no error: the judgement says that they are missing.
    let need = Need { labels: labelled && has(schema.label()), times: has(schema.time()), carried: Vec::new() };
    let progress = Progress::new(if labelled { "labelled" } else { "today" }, data.rows_total(), context.quiet);
    let mut measuring = Measuring::new(schema, learned);
    let score = |batch| scorer.score(batch, &mut Scratch::default());
    data.scan(schema, &need, score, |step| {
        let Step::Rows(scored) = step else { return Ok(()) };
        let scored = scored.map_err(Failure::input)?;
        measuring.add(&scored);
        progress.add(scored.rows() as u64);
        Ok::<(), Failure>(())
    })?;
    Ok(measuring.finish())
}

/// The checks, the worst first.
fn checks_table(outcome: &Value) -> String {
    let mut rows: Vec<(usize, Vec<String>)> = Vec::new();
    for check in outcome["checks"].as_array().into_iter().flatten() {
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        let verdict = text("verdict");
        let rank = ["fail", "hold", "pass"].iter().position(|known| *known == verdict).unwrap_or(0);
        rows.push((rank, vec![verdict, text("name"), text("reason")]));
    }
    rows.sort_by_key(|(rank, _)| *rank);
    console::table(None, rows.into_iter().map(|(_, row)| row).collect())
}
