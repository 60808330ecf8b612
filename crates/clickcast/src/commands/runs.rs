//! `clickcast runs`: a day's predictions from staged to published.

use std::time::Duration;

use clickcast_operations::runs::{
    AuditReport, AuditRequest, PublishRequest, RollBackRequest, RunLocation, ShowReport, Watch, audit, close, list,
    publish, roll_back,
};
use clickcast_registry::{Audited, Fence, State};
use clickcast_verdict::{Check, Verdict};

use super::models::minute;
use super::{Context, who};
use crate::arguments::{OutArgument, RunArguments, RunsCommand, ShowRunArguments};
use crate::console;
use crate::failure::Failure;
use crate::progress::{Progress, Reached};

/// How often a watched run is read.
const WATCH_EVERY: Duration = Duration::from_secs(1);

pub(super) fn run(context: &Context, command: &RunsCommand) -> Result<(), Failure> {
    let (resources, observer) = (&context.resources, context.observer());
    match command {
        RunsCommand::List(arguments) => print_list(context, arguments),
        RunsCommand::Show(arguments) => print_run(context, arguments),
        RunsCommand::Close(arguments) => {
            console::result(&close(resources, &location(arguments), &observer)?, context.json)
        }
        RunsCommand::Audit(arguments) => {
            let request = AuditRequest { location: location(&arguments.run), registry: arguments.registry.clone() };
            let report = audit(resources, &request, &observer)?;
            console::result(&report, context.json)?;
            if !context.json {
                print_checks(&report.checks)?;
            }
            exit_by_verdict(&report)
        }
        RunsCommand::Publish(arguments) => {
            let request = PublishRequest {
                location: location(&arguments.run),
                by: who(),
                reason: arguments.reason.clone(),
                force: arguments.force,
                fence: arguments.fence.map(Fence),
            };
            console::result(&publish(resources, &request)?, context.json)
        }
        RunsCommand::Rollback(arguments) => {
            let request = RollBackRequest {
                out: arguments.out.out.clone(),
                expected: arguments.run.clone(),
                by: who(),
                reason: arguments.reason.clone(),
                fence: arguments.fence.map(Fence),
            };
            console::result(&roll_back(resources, &request)?, context.json)
        }
    }
}

fn location(arguments: &RunArguments) -> RunLocation {
    RunLocation { run: arguments.run.clone(), out: arguments.out.out.clone() }
}

fn print_list(context: &Context, arguments: &OutArgument) -> Result<(), Failure> {
    let report = list(&context.resources, &arguments.out)?;
    if context.json {
        return console::result(&report, true);
    }
    let rows = report
        .runs
        .into_iter()
        .map(|run| vec![run.run.to_string(), word(run.state).to_owned(), minute(run.created), run.model]);
    console::say(&console::table(Some(vec!["run", "state", "begun", "model"]), rows.collect()))
}

fn print_run(context: &Context, arguments: &ShowRunArguments) -> Result<(), Failure> {
    let mut watched = Watch::open(&context.resources, &location(&arguments.run))?;
    if arguments.watch {
        watch(context, &mut watched)?;
    }
    let report = watched.report(&context.resources)?;
    if context.json {
        return console::result(&report, true);
    }
    let audited = report.audit.clone();
    console::result(&ShowReport { audit: None, ..report }, false)?;
    match audited {
        Some(audited) => print_reasons(&audited),
        None => Ok(()),
    }
}

/// Shows one bar for the whole run, until every input is done or the run is closed.
fn watch(context: &Context, watched: &mut Watch) -> Result<(), Failure> {
    let mut bar = None;
    loop {
        let progress = watched.look(&context.resources)?;
        let now = Reached { rows: progress.rows, rows_total: progress.rows_total };
        bar.get_or_insert_with(|| Progress::joining("run", now, context.quiet)).see(now);
        if progress.is_over() {
            return Ok(());
        }
        std::thread::sleep(WATCH_EVERY);
    }
}

/// Prints why an audit holds or fails a run.
fn print_reasons(audited: &Audited) -> Result<(), Failure> {
    let against = audited.judgement.checks.iter().filter(|check| check.verdict != Verdict::Pass);
    let rows: Vec<Vec<String>> =
        against.map(|check| vec![verdict_word(check.verdict).to_owned(), check.reason.clone()]).collect();
    if rows.is_empty() { Ok(()) } else { console::say(&format!("\n{}", console::table(None, rows))) }
}

/// Prints the checks as a table, the worst first.
fn print_checks(checks: &[Check]) -> Result<(), Failure> {
    let mut checks: Vec<&Check> = checks.iter().collect();
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    let rows = checks
        .into_iter()
        .map(|check| vec![verdict_word(check.verdict).to_owned(), check.name.to_string(), check.reason.clone()]);
    console::say(&format!("\n{}", console::table(None, rows.collect())))
}

fn exit_by_verdict(report: &AuditReport) -> Result<(), Failure> {
    let what = match report.verdict {
        Verdict::Pass => return Ok(()),
        Verdict::Hold => "is held by",
        Verdict::Fail => "fails",
    };
    let AuditReport { run, report, .. } = report;
    Err(Failure::gate(format!("run `{run}` {what} its audit; `{report}` says why")))
}

/// Returns a verdict as it is printed.
pub(super) fn verdict_word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Hold => "hold",
        Verdict::Fail => "fail",
    }
}

fn word(state: State) -> &'static str {
    match state {
        State::Open => "open",
        State::Closed => "closed",
        State::Audited => "audited",
        State::Published => "published",
    }
}
