//! `clickcast runs`: a day's predictions from staged to published.

mod measure;
mod rescore;
mod show;
mod slices;

use clickcast_gate::run::{PageRequest, audit, page};
use clickcast_job::closing::{contents, unfinished};
use clickcast_operations::data::write_object;
use clickcast_registry::{Change, Fence, Run, RunName, Runs};
use clickcast_storage::Store;
use clickcast_verdict::Verdict;
use jiff::Timestamp;
use serde_json::{Value, json};

use rescore::Rescorer;

use super::{Context, storage_failure, who};
use crate::arguments::{
    AuditArguments, OutArgument, PublishArguments, RollbackRunArguments, RunArguments, RunsCommand,
};
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, command: &RunsCommand) -> Result<(), Failure> {
    match command {
        RunsCommand::List(arguments) => show::list(context, arguments),
        RunsCommand::Show(arguments) => show::show(context, arguments),
        RunsCommand::Close(arguments) => console::result(&close(context, arguments)?, context.json),
        RunsCommand::Audit(arguments) => {
            let audited = audit_run(context, arguments)?;
            console::result(&audited, context.json)?;
            say_checks(context, &audited)?;
            verdict(&audited, &arguments.run.run)
        }
        RunsCommand::Publish(arguments) => console::result(&publish(context, arguments)?, context.json),
        RunsCommand::Rollback(arguments) => console::result(&roll_back(context, arguments)?, context.json),
    }
}

fn open_runs(out: &OutArgument) -> Result<Runs, Failure> {
    Ok(Runs::new(Store::open(&out.out).map_err(|error| storage_failure(&error))?))
}

fn open(context: &Context, arguments: &RunArguments) -> Result<(Runs, Run), Failure> {
    let runs = open_runs(&arguments.out)?;
    let run = context.runtime.block_on(runs.open(&arguments.run))?;
    Ok((runs, run))
}

/// Fixes what a run consists of; what to report comes back.
pub(super) fn close(context: &Context, arguments: &RunArguments) -> Result<Value, Failure> {
    let (_, run) = open(context, arguments)?;
    if let Some(manifest) = context.runtime.block_on(contents(&run, Timestamp::now(), || true))? {
        context.runtime.block_on(run.close(&manifest))?;
    }
    // Whoever closed it first has decided.
    let manifest = context.runtime.block_on(run.manifest())?;
    let manifest = manifest.ok_or_else(|| Failure::transient(format!("run `{}` is not closed", arguments.run)))?;
    let rows: u64 = manifest.outputs.iter().map(|output| output.rows).sum();
    let missing = unfinished(&manifest).len();
    if missing > 0 {
        let sentence = format!(
            "{missing} of {} inputs are neither scored whole nor known to be bad; the audit of run `{}` will say which",
            manifest.inputs.len(),
            arguments.run
        );
        console::note(&sentence, context.quiet);
    }
    Ok(json!({
        "run": arguments.run,
        "inputs": manifest.inputs.len(),
        "outputs": manifest.outputs.len(),
        "errors": manifest.errors.len(),
        "missing": missing,
        "rows": rows,
        "closed": manifest.closed,
    }))
}

/// Measures and judges a closed run, and writes what came of it into the run; what to report comes back.
pub(super) fn audit_run(context: &Context, arguments: &AuditArguments) -> Result<Value, Failure> {
    let AuditArguments { run: arguments, registry } = arguments;
    let (runs, run) = open(context, arguments)?;
    let manifest = context.runtime.block_on(run.manifest())?.ok_or_else(|| {
        Failure::input(format!("run `{}` is still open; `runs close` fixes what it consists of", arguments.run))
    })?;
    let previous = measure::previous(context, &runs, &run)?;
    let registered = measure::registered(context, &run, registry.as_deref())?;
    let (mut judged, mut rescorer) = (None, None);
    if let Some(registered) = &registered {
        judged = measure::judged(context, registered)?;
        rescorer = Some(Rescorer::open(context, registered, &manifest.outputs)?);
    }
    let statistics = measure::statistics(context, &run, &manifest, previous, judged, rescorer.as_ref())?;
    let judgement = audit(&statistics);
    let (rows_in, rows_out) = (statistics.rows_in(), statistics.rows_out());
    measure::write_scores(context, &run, &statistics.scores())?;
    let (name, input) = (arguments.run.as_str(), run.record().input.as_str());
    let page = page(&PageRequest { run: name, input, judgement: &judgement, statistics: &statistics });
    write_object(&context.resources, &run.store().uri(&run.key("audit.html")), page)?;
    let audited = run.record_audit(Timestamp::now(), rows_in, rows_out, judgement);
    let audited = context.runtime.block_on(audited)?;
    Ok(json!({
        "verdict": audited.judgement.verdict,
        "run": arguments.run,
        "rows_in": audited.rows_in,
        "rows_out": audited.rows_out,
        "checks": audited.judgement.checks,
        "report": run.store().uri(&run.key("audit.html")),
    }))
}

/// The checks as a table, the worst first.
fn say_checks(context: &Context, audited: &Value) -> Result<(), Failure> {
    if context.json {
        return Ok(());
    }
    let mut rows: Vec<(u8, Vec<String>)> = Vec::new();
    for check in audited["checks"].as_array().into_iter().flatten() {
        let verdict = check["verdict"].as_str().unwrap_or_default();
        let rank = ["fail", "hold", "pass"].iter().position(|known| *known == verdict).unwrap_or(0) as u8;
        let text = |key: &str| check[key].as_str().unwrap_or_default().to_owned();
        rows.push((rank, vec![verdict.to_owned(), text("name"), text("reason")]));
    }
    rows.sort_by_key(|(rank, _)| *rank);
    console::say(&format!("\n{}", console::table(None, rows.into_iter().map(|(_, row)| row).collect())))
}

fn verdict(audited: &Value, run: &RunName) -> Result<(), Failure> {
    match audited["verdict"].as_str() {
        Some("pass") => Ok(()),
        said => {
            let verdict = if said == Some("hold") { Verdict::Hold } else { Verdict::Fail };
            let what = if verdict == Verdict::Hold { "is held by" } else { "fails" };
            let report = audited["report"].as_str().unwrap_or_default();
            Err(Failure::gate(format!("run `{run}` {what} its audit; `{report}` says why")))
        }
    }
}

/// Lets readers see a run; what to report comes back.
pub(super) fn publish(context: &Context, arguments: &PublishArguments) -> Result<Value, Failure> {
    let PublishArguments { run: run_arguments, force, reason, fence } = arguments;
    let (runs, run) = open(context, run_arguments)?;
    let change =
        Change { by: who(), at: Timestamp::now(), reason: reason.clone(), forced: *force, fence: fence.map(Fence) };
    let moved = context.runtime.block_on(runs.publish(&run, change))?;
    Ok(json!({"run": moved.to.run, "previous": moved.from.map(|from| from.run), "manifest": moved.to.manifest}))
}

fn roll_back(context: &Context, arguments: &RollbackRunArguments) -> Result<Value, Failure> {
    let RollbackRunArguments { run, reason, fence, out } = arguments;
    let runs = open_runs(out)?;
    if let Some(expected) = run {
        let published = context.runtime.block_on(runs.published())?.map(|moves| moves.current.run);
        if published.as_ref() != Some(expected) {
            let now = published.map_or_else(|| "none".to_owned(), |run| format!("`{run}`"));
            return Err(Failure::input(format!("run `{expected}` is not the published one, which is {now}")));
        }
    }
    let change =
        Change { by: who(), at: Timestamp::now(), reason: reason.clone(), forced: false, fence: fence.map(Fence) };
    let moved = context.runtime.block_on(runs.roll_back(change))?;
    Ok(json!({"run": moved.to.run, "previous": moved.from.map(|from| from.run), "manifest": moved.to.manifest}))
}
