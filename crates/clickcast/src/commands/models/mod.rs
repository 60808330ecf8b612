//! `clickcast models`: versions of models, and channels that point to them.

mod backtest;
mod gate;

pub(super) use gate::gate;

use clickcast_model::Model;
use clickcast_operations::artifacts;
use clickcast_registry::{Change, Gated, Listed, Moved, Moves, Reference, Registry, Selector};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Context, open_to_list, who};
use crate::arguments::{
    ListArguments, ModelsCommand, PromoteArguments, RegisterArguments, RollbackArguments, ShowArguments,
};
use crate::console;
use crate::failure::Failure;

pub(super) fn run(context: &Context, command: &ModelsCommand) -> Result<(), Failure> {
    match command {
        ModelsCommand::Register(arguments) => console::result(&register(context, arguments)?, context.json),
        ModelsCommand::List(arguments) => list(context, arguments),
        ModelsCommand::Show(arguments) => show(context, arguments),
        ModelsCommand::Gate(arguments) => gate::run(context, arguments),
        ModelsCommand::Promote(arguments) => console::result(&promote(context, arguments)?, context.json),
        ModelsCommand::Rollback(arguments) => console::result(&roll_back(context, arguments)?, context.json),
    }
}

/// Registers a model that loads; what to report comes back.
pub(super) fn register(context: &Context, arguments: &RegisterArguments) -> Result<Value, Failure> {
    let artifact = artifacts::load_artifact(&context.resources, &arguments.model)?;
    // What can't be loaded is not registered.
    let model = Model::from_artifact(artifact)
        .map_err(|error| Failure::input(format!("model `{}`: {error}", arguments.model)))?;
    let registry = artifacts::open_registry(&arguments.registry.registry)?;
    let by = who();
    let registered = registry.register(&arguments.name, model.artifact(), &by, Timestamp::now());
    let record = context.runtime.block_on(registered)?;
    Ok(json!({"name": record.name, "version": record.version, "id": record.artifact, "created": record.created}))
}

fn list(context: &Context, arguments: &ListArguments) -> Result<(), Failure> {
    let registry = Registry::new(open_to_list(&arguments.registry.registry, "--registry", "models")?);
    let models = context.runtime.block_on(registry.list(arguments.name.as_ref()))?;
    if context.json {
        let models: Vec<Value> = models.iter().map(listed).collect();
        return console::result(&json!({ "models": models }), true);
    }
    let rows = models.iter().flat_map(|model| {
        model.versions.iter().map(|record| {
            let pointing = model.channels.iter().filter(|(_, version)| **version == record.version);
            let channels: Vec<&str> = pointing.map(|(channel, _)| channel.as_str()).collect();
            let name = format!("{}@{}", record.name, record.version);
            vec![name, record.family.clone(), minute(record.created), record.by.clone(), channels.join(", ")]
        })
    });
    console::say(&console::table(Some(vec!["model", "family", "created", "by", "channels"]), rows.collect()))
}

fn listed(model: &Listed) -> Value {
    let versions: Vec<Value> = model.versions.iter().map(|record| {
        json!({"version": record.version, "created": record.created, "family": record.family, "by": record.by, "id": record.artifact})
    }).collect();
    json!({"name": model.name, "versions": versions, "channels": model.channels})
}

fn show(context: &Context, arguments: &ShowArguments) -> Result<(), Failure> {
    let registry = artifacts::open_registry(&arguments.registry.registry)?;
    let shown = context.runtime.block_on(registry.show(&arguments.model))?;
    let history: Map<String, Value> =
        shown.moves.iter().map(|(channel, moves)| (channel.to_string(), json!(moves.history))).collect();
    let object = json!({
        "name": shown.record.name,
        "version": shown.record.version,
        "family": shown.record.family,
        "created": shown.record.created,
        "by": shown.record.by,
        "id": shown.record.artifact,
        "channels": shown.channels,
        "gate": shown.gate.as_ref().map(|gated| gated.judgement.verdict),
        "judged": shown.gate.as_ref().map(|gated| json!({
            "at": gated.at,
            "champion": gated.champion,
            "checks": gated.judgement.checks,
        })),
        "judgements": shown.judgements.iter().map(|gated| json!({
            "at": gated.at,
            "champion": gated.champion,
            "verdict": gated.judgement.verdict,
        })).collect::<Vec<_>>(),
        "history": history,
    });
    if context.json {
        return console::result(&object, true);
    }
    let mut rows: Vec<Vec<String>> = ["family", "created", "by", "id"]
        .iter()
        .map(|key| vec![(*key).to_owned(), console::readable(key, &object[*key])])
        .collect();
    rows.insert(0, vec!["model".to_owned(), format!("{}@{}", shown.record.name, shown.record.version)]);
    let channels: Vec<&str> = shown.channels.iter().map(clickcast_registry::Channel::as_str).collect();
    rows.push(vec!["channels".to_owned(), channels.join(", ")]);
    match &shown.gate {
        None => rows.push(vec!["gate".to_owned(), "not asked yet".to_owned()]),
        Some(gated) => {
            rows.push(vec![
                "gate".to_owned(),
                format!("{:?}, {}", gated.judgement.verdict, minute(gated.at)).to_lowercase(),
            ]);
            let against =
                gated.judgement.checks.iter().filter(|check| check.verdict != clickcast_verdict::Verdict::Pass);
            rows.extend(against.map(|check| vec![String::new(), check.reason.clone()]));
        }
    }
    console::say(&console::table(None, rows))?;
    if shown.judgements.len() > 1 {
        console::say(&format!("\njudgements\n{}", console::table(None, judged_rows(&shown.judgements))))?;
    }
    for (channel, moves) in &shown.moves {
        console::say(&format!("\nchannel {channel}\n{}", console::table(None, moved_rows(moves))))?;
    }
    Ok(())
}

fn judged_rows(judgements: &[Gated]) -> Vec<Vec<String>> {
    let row = |gated: &Gated| {
        let against = gated.champion.map_or_else(|| "no champion".to_owned(), |version| format!("version {version}"));
        let verdict = format!("{:?}", gated.judgement.verdict).to_lowercase();
        vec![minute(gated.at), verdict, format!("against {against}")]
    };
    judgements.iter().map(row).collect()
}

fn moved_rows(moves: &Moves<u64>) -> Vec<Vec<String>> {
    let row = |moved: &Moved<u64>| {
        let from = moved.from.map_or_else(|| "-".to_owned(), |version| version.to_string());
        let how = if moved.forced { "forced " } else { "" };
        let action = format!("{how}{:?}", moved.action).to_lowercase();
        let reason = moved.reason.clone().unwrap_or_default();
        vec![minute(moved.at), format!("{from} -> {}", moved.to), action, moved.by.clone(), reason]
    };
    moves.history.iter().map(row).collect()
}

/// Points a channel to a version; what to report comes back.
pub(super) fn promote(context: &Context, arguments: &PromoteArguments) -> Result<Value, Failure> {
    let PromoteArguments { model, channel, expect, force, reason, registry } = arguments;
    let registry = artifacts::open_registry(&registry.registry)?;
    let change = Change { by: who(), at: Timestamp::now(), reason: reason.clone(), forced: *force, fence: None };
    let promoted = registry.promote(&model.name, model.version, channel, *expect, change);
    let moved = context.runtime.block_on(promoted)?;
    Ok(json!({"name": model.name, "channel": channel, "version": moved.to, "previous": moved.from}))
}

fn roll_back(context: &Context, arguments: &RollbackArguments) -> Result<Value, Failure> {
    let RollbackArguments { name, channel, reason, registry } = arguments;
    let registry = artifacts::open_registry(&registry.registry)?;
    let change = Change { by: who(), at: Timestamp::now(), reason: reason.clone(), forced: false, fence: None };
    let moved = context.runtime.block_on(registry.roll_back(name, channel, change))?;
    // The channel has moved; whoever did it must know if what it points to now is gone.
    let reference = Reference { name: name.clone(), selector: Selector::Version(moved.to) };
    context.runtime.block_on(registry.resolve(&reference))?;
    Ok(json!({"name": name, "channel": channel, "version": moved.to, "previous": moved.from}))
}

/// A time for eyes, to the minute.
pub(super) fn minute(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M UTC").to_string()
}
