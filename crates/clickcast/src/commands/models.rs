//! `clickcast models`: versions of models, and channels that point to them.

use clickcast_operations::models::{
    GateReport, GateRequest, JudgementReport, ListReport, ListRequest, PromoteRequest, RegisterRequest,
    RollBackRequest, ShowReport, ShowRequest, gate, list, promote, register, roll_back, show,
};
use clickcast_registry::Moved;
use clickcast_verdict::{Check, Verdict};
use jiff::Timestamp;

use super::{Context, who};
use crate::arguments::{
    GateArguments, ListArguments, ModelsCommand, PromoteArguments, RegisterArguments, RollbackArguments, ShowArguments,
};
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, command: &ModelsCommand) -> Result<(), Failure> {
    let (resources, json) = (&context.resources, context.json);
    match command {
        ModelsCommand::Register(arguments) => {
            console::result(&register(resources, &register_request(arguments))?, json)
        }
        ModelsCommand::List(arguments) => {
            let report = list(resources, &list_request(arguments))?;
            if json { console::result(&report, true) } else { say_list(&report) }
        }
        ModelsCommand::Show(arguments) => {
            let report = show(resources, &show_request(arguments))?;
            if json { console::result(&report, true) } else { say_version(&report) }
        }
        ModelsCommand::Gate(arguments) => {
            let report = gate(resources, &gate_request(arguments), &context.observer())?;
            console::result(&report, json)?;
            if !json {
                console::say(&format!("\n{}", console::checks(&report.checks)))?;
            }
            outcome(&report, &arguments.candidate)
        }
        ModelsCommand::Promote(arguments) => console::result(&promote(resources, &promote_request(arguments))?, json),
        ModelsCommand::Rollback(arguments) => {
            console::result(&roll_back(resources, &roll_back_request(arguments))?, json)
        }
    }
}

/// Fails if the verdict is hold or fail.
fn outcome(report: &GateReport, candidate: &str) -> Result<(), Failure> {
    let what = match report.verdict {
        Verdict::Pass => return Ok(()),
        Verdict::Hold => "is held by",
        Verdict::Fail => "fails",
    };
    let why = report.why.as_deref().unwrap_or_default();
    Err(Failure::gate(format!("`{candidate}` {what} the gate: {why}")))
}

fn register_request(arguments: &RegisterArguments) -> RegisterRequest {
    let RegisterArguments { name, model, registry } = arguments;
    RegisterRequest { registry: registry.registry.clone(), name: name.clone(), model: model.clone(), by: who() }
}

fn list_request(arguments: &ListArguments) -> ListRequest {
    ListRequest { registry: arguments.registry.registry.clone(), name: arguments.name.clone() }
}

fn show_request(arguments: &ShowArguments) -> ShowRequest {
    ShowRequest { registry: arguments.registry.registry.clone(), model: arguments.model.clone() }
}

fn gate_request(arguments: &GateArguments) -> GateRequest {
    GateRequest {
        registry: arguments.registry.registry.clone(),
        name: arguments.name.clone(),
        candidate: arguments.candidate.clone(),
        data: arguments.data.clone(),
        today: arguments.today.clone(),
        backtest: arguments.backtest.clone(),
        backtest_days: arguments.backtest_days.into(),
        report: arguments.report.clone(),
    }
}

fn promote_request(arguments: &PromoteArguments) -> PromoteRequest {
    PromoteRequest {
        registry: arguments.registry.registry.clone(),
        name: arguments.model.name.clone(),
        version: arguments.model.version,
        channel: arguments.channel.clone(),
        expect: arguments.expect,
        force: arguments.force,
        reason: arguments.reason.clone(),
        by: who(),
    }
}

fn roll_back_request(arguments: &RollbackArguments) -> RollBackRequest {
    RollBackRequest {
        registry: arguments.registry.registry.clone(),
        name: arguments.name.clone(),
        channel: arguments.channel.clone(),
        reason: arguments.reason.clone(),
        by: who(),
    }
}

fn say_list(report: &ListReport) -> Result<(), Failure> {
    let mut rows = Vec::new();
    for model in &report.models {
        for version in &model.versions {
            let pointing = model.channels.iter().filter(|(_, channel)| **channel == version.version);
            let channels: Vec<&str> = pointing.map(|(channel, _)| channel.as_str()).collect();
            let name = format!("{}@{}", model.name, version.version);
            let (family, created) = (version.family.to_string(), minute(version.created));
            rows.push(vec![name, family, created, version.by.clone(), channels.join(", ")]);
        }
    }
    console::say(&console::table(Some(vec!["model", "family", "created", "by", "channels"]), rows))
}

fn say_version(report: &ShowReport) -> Result<(), Failure> {
    let row = |name: &str, value: String| vec![name.to_owned(), value];
    let channels: Vec<&str> = report.channels.iter().map(clickcast_registry::Channel::as_str).collect();
    let mut rows = vec![
        row("model", format!("{}@{}", report.name, report.version)),
        row("family", report.family.to_string()),
        row("created", report.created.to_string()),
        row("by", report.by.clone()),
        row("id", report.id.clone()),
        row("channels", channels.join(", ")),
    ];
    match (report.gate, &report.judged) {
        (Some(verdict), Some(judged)) => {
            rows.push(row("gate", format!("{verdict}, {}", minute(judged.at))));
            let against = judged.checks.iter().filter(|check| check.verdict != Verdict::Pass);
            rows.extend(against.map(|check: &Check| row("", check.reason.clone())));
        }
        _ => rows.push(row("gate", "not judged yet".to_owned())),
    }
    console::say(&console::table(None, rows))?;
    if report.judgements.len() > 1 {
        let rows = report.judgements.iter().map(judgement_row).collect();
        console::say(&format!("\njudgements\n{}", console::table(None, rows)))?;
    }
    for (channel, history) in &report.history {
        let rows = history.iter().map(moved_row).collect();
        console::say(&format!("\nchannel {channel}\n{}", console::table(None, rows)))?;
    }
    Ok(())
}

fn judgement_row(judgement: &JudgementReport) -> Vec<String> {
    let against = judgement.champion.map_or_else(|| "no champion".to_owned(), |version| format!("version {version}"));
    vec![minute(judgement.at), judgement.verdict.to_string(), format!("against {against}")]
}

fn moved_row(moved: &Moved<u64>) -> Vec<String> {
    let from = moved.from.map_or_else(|| "-".to_owned(), |version| version.to_string());
    let how = if moved.forced { "forced " } else { "" };
    let action = format!("{how}{:?}", moved.action).to_lowercase();
    let reason = moved.reason.clone().unwrap_or_default();
    vec![minute(moved.at), format!("{from} -> {}", moved.to), action, moved.by.clone(), reason]
}

/// Formats a time for people, to the minute.
pub(super) fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
