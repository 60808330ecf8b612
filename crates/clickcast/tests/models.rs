//! Versions and channels through the command line, and how it refuses invalid requests.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::json;
use support::World;

fn world() -> World {
    let world = World::new();
    world.json("synth --rows 3000 --days 3 --out days --schema features.toml");
    world.json("train --data days/dt=2026-01-05 --schema features.toml --family lr --out model");
    world.json("models register --name ctr --model model --registry registry");
    world
}

#[test]
fn a_model_is_registered_promoted_shown_and_rolled_back() {
    let world = world();
    let promote = "models promote --registry registry --channel champion";
    let unjudged = world.run(&format!("{promote} ctr@1"));
    assert!(unjudged.code == 3 && unjudged.stderr.contains("not judged"), "{}", unjudged.stderr);
    assert_eq!(world.run(&format!("{promote} ctr@1 --force")).code, 2, "force needs a reason");
    let first = world.json(&format!("{promote} ctr@1 --force --reason first"));
    assert_eq!((&first["version"], &first["previous"]), (&json!(1), &json!(null)));
    let second = world.json("models register --name ctr --model model --registry registry");
    assert_eq!(second["version"], 2);
    let moved = world.run(&format!("{promote} ctr@2 --expect 2 --force --reason second"));
    assert!(moved.code == 2 && moved.stderr.contains("at version 1 by now"), "{}", moved.stderr);
    world.json(&format!("{promote} ctr@2 --expect 1 --force --reason second"));
    let listed = world.json("models list --registry registry");
    assert_eq!(listed["models"][0]["channels"], json!({"champion": 2}));
    let back = world.json("models rollback ctr --channel champion --reason wrong --registry registry");
    assert_eq!((&back["version"], &back["previous"]), (&json!(1), &json!(2)));
    let shown = world.json("models show ctr@champion --registry registry");
    assert_eq!(
        (&shown["version"], &shown["channels"], &shown["gate"]),
        (&json!(1), &json!(["champion"]), &json!(null))
    );
    let last = shown["history"]["champion"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["action"], &last["reason"]), (&json!("rollback"), &json!("wrong")));
}

#[test]
fn invalid_requests_are_refused_in_a_sentence() {
    let world = world();
    world.json("models promote ctr@1 --channel champion --force --reason first --registry registry");
    for (arguments, part) in [
        ("models register --name a/b --model model", "has a `/`"),
        ("models register --name größe --model model", "has a `ö`"),
        ("models register --name .. --model model", "must begin with"),
        ("models promote ctr@1 --channel 7 --force --reason x", "is a number"),
        ("models promote ctr@champion --channel next --force --reason x", "give a version's number"),
        ("models promote ctr@9 --channel champion --force --reason x", "there is no `ctr@9`"),
        ("models show ctr@9", "there is no `ctr@9`"),
        ("models show ctr@next", "no channel `next`"),
        ("models show ctr", "neither NAME@VERSION nor NAME@CHANNEL"),
        ("models list --name other", "no model `other`"),
        ("models rollback ctr --channel champion", "nothing to roll back to"),
        ("predict --model ctr@9 --data days --out out", "there is no `ctr@9`"),
    ] {
        let ended = world.run(&format!("{arguments} --registry registry --quiet"));
        assert!(ended.code == 2 && ended.stderr.contains(part), "{arguments}: {} {}", ended.code, ended.stderr);
    }
    world.write("registry/models/ctr/channels/champion.json", "{");
    for arguments in ["models list", "models show ctr@champion", "predict --model ctr@champion --data days --out out"] {
        let ended = world.run(&format!("{arguments} --registry registry --quiet"));
        let names_it = ended.stderr.contains("champion.json") && ended.stderr.contains("is damaged");
        assert!(ended.code == 2 && names_it, "{arguments}: {} {}", ended.code, ended.stderr);
    }
    // A version that is not damaged can still be used.
    world.json("models show ctr@1 --registry registry");
}

#[test]
fn an_audit_compares_the_run_with_what_the_gate_saw() {
    let world = world();
    let gate = "models gate --name ctr --candidate ctr@1 --data days/dt=2026-01-06 --registry registry";
    let judged = world.run(&format!("{gate} --json --quiet"));
    assert!(judged.code == 0 || judged.code == 3, "{}", judged.stderr);
    let predict = "predict --model ctr@1 --registry registry --data days/dt=2026-01-07 --out out --run r";
    world.json(predict);
    world.json("runs close r --out out");
    let audited = world.json("runs audit r --registry registry --out out");
    let names: Vec<_> = audited["checks"].as_array().unwrap().iter().map(|check| check["name"].clone()).collect();
    assert!(names.contains(&json!("gate_score_drift")) && names.contains(&json!("gate_mean_ratio")), "{audited}");
    // The gate saw a very different distribution.
    let path = "registry/models/ctr/gates/1.json";
    let mut gated: serde_json::Value = serde_json::from_slice(&std::fs::read(world.path(path)).unwrap()).unwrap();
    gated["scores"]["counts"].as_array_mut().unwrap().reverse();
    world.write(path, gated.to_string());
    let ended = world.run("runs audit r --registry registry --out out --json --quiet");
    let audited: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    let drift = audited["checks"].as_array().unwrap().iter().find(|check| check["name"] == "gate_score_drift");
    assert!(ended.code == 3 && drift.is_some_and(|check| check["verdict"] == "fail"), "{audited}");
}

#[test]
fn a_decision_comes_from_the_command_line_alone() {
    let world = world();
    let promote = "models promote ctr@1 --channel champion --registry registry";
    let forced = [("CLICKCAST_FORCE", "true"), ("CLICKCAST_REASON", "x"), ("CLICKCAST_EXPECT", "7")];
    let ended = world.run_with(promote, &forced);
    assert!(ended.code == 3, "{}: {}", ended.code, ended.stderr);
    world.write("clickcast.toml", "force = true\nreason = \"x\"\n");
    let ended = world.run(promote);
    assert!(ended.code == 2 && ended.stderr.contains("`force` is a decision"), "{}", ended.stderr);
    std::fs::remove_file(world.path("clickcast.toml")).unwrap();
    assert_eq!(world.run("models show ctr@champion --registry registry").code, 2, "nothing was promoted");
}
