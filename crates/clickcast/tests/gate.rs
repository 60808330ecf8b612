//! A retrained model at the gate: a good model is promoted, a bad one is stopped, and a model that can't be judged is reported.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::process::Command;

use clickcast_testing::skip;
use serde_json::Value;
use support::World;

const DAYS: [&str; 7] =
    ["2026-01-05", "2026-01-06", "2026-01-07", "2026-01-08", "2026-01-09", "2026-01-10", "2026-01-11"];

/// A week of impressions; a champion trained on its first four days (version 1), and a candidate trained on one more (version 2).
/// The sixth day is labelled already, and the seventh is today: a weekend that neither model has seen.
fn world() -> World {
    let world = World::new();
    world.json("synth --rows 140000 --days 7 --out days --schema features.toml");
    window(&world, "first", &DAYS[..4]);
    window(&world, "second", &DAYS[..5]);
    for (version, window) in [(1, "first"), (2, "second")] {
        world.json(&format!("train --data {window} --schema features.toml --family lr --out model{version}"));
        world.json(&format!("models register --name ctr --model model{version} --registry registry"));
    }
    world
}

fn window(world: &World, name: &str, days: &[&str]) {
    for day in days {
        let folder = world.path(&format!("{name}/dt={day}"));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(world.path(&format!("days/dt={day}/impressions.parquet")), folder.join("rows.parquet")).unwrap();
    }
}

const ROWS: &str = "--name ctr --data days/dt=2026-01-10 --today days/dt=2026-01-11 --registry registry";

/// Returns the gate's exit code and JSON.
fn gate(world: &World, arguments: &str) -> (i32, Value) {
    let ended = world.run(&format!("models gate {arguments} --json --quiet"));
    let said = serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {}", ended.stderr));
    (ended.code, said)
}

fn verdict_of<'a>(said: &'a Value, name: &str) -> &'a Value {
    let checks = said["checks"].as_array().unwrap();
    &checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no {name} in {said:#}"))["verdict"]
}

#[test]
fn a_good_retrain_is_promoted_and_a_bad_one_is_stopped() {
    let world = world();
    let (code, first) = gate(&world, &format!("{ROWS} --candidate ctr@1"));
    assert_eq!((code, first["verdict"].as_str(), &first["champion"]), (0, Some("pass"), &Value::Null), "{first:#}");
    world.json("models promote ctr@1 --channel champion --registry registry");

    let (code, second) = gate(&world, &format!("{ROWS} --candidate model2 --report gate.html"));
    assert_eq!((code, second["verdict"].as_str()), (0, Some("pass")), "{second:#}");
    assert_eq!((&second["candidate"], &second["champion"]), (&"ctr@2".into(), &"ctr@1".into()));
    for check in second["checks"].as_array().unwrap() {
        for key in ["name", "verdict", "observed", "limit", "reason"] {
            assert!(check.get(key).is_some(), "{key} in {check}");
        }
    }
    assert_eq!(verdict_of(&second, "golden_rows"), "pass", "{second:#}");
    let page = std::fs::read_to_string(world.path("gate.html")).unwrap();
    assert!(page.contains("Nothing speaks against this model") && page.contains("<svg") && !page.contains("<script"));
    let kept = std::fs::read_to_string(world.path("registry/models/ctr/gates/2.html")).unwrap();
    assert_eq!(kept, page, "the registry keeps the last one, too");
    assert_eq!(world.json("models show ctr@2 --registry registry")["gate"], "pass");
    assert_eq!(world.json("models show ctr@2 --registry registry")["judged"]["champion"], 1);
    // Another channel replaces no champion.
    world.json("models promote ctr@1 --channel candidate --registry registry");
    world.json("models promote ctr@2 --channel candidate --registry registry");
    world.json("models promote ctr@2 --channel champion --registry registry");
    // Version 1 was judged without a champion, so its verdict doesn't compare it with this champion.
    let back = world.run("models promote ctr@1 --channel champion --registry registry");
    let why = "judged against no champion, and would take the place of version 2";
    assert!(back.code == 3 && back.stderr.contains(why), "{}", back.stderr);
    // Judged again it is held, because it is older. Both judgements are kept, each with its page.
    gate(&world, &format!("{ROWS} --candidate ctr@1"));
    let shown = world.json("models show ctr@1 --registry registry");
    let judged: Vec<&Value> = shown["judgements"].as_array().unwrap().iter().map(|one| &one["champion"]).collect();
    assert_eq!(judged, [&Value::Null, &2.into()], "{shown:#}");
    let said = world.run("models show ctr@1 --registry registry").stdout;
    assert!(said.contains("against no champion") && said.contains("against version 2"), "{said}");
    let kept = world.files("registry/models/ctr/gates/1");
    assert_eq!(kept.iter().filter(|(name, _)| name.ends_with(".html")).count(), 2, "{:?}", kept.len());

    // Trained on four days and on the day that it is judged by, so it knows the answers.
    window(&world, "leaked", &DAYS[1..6]);
    world.json("train --data leaked --schema features.toml --family lr --out model3");
    world.json("models register --name ctr --model model3 --registry registry");
    let (code, third) = gate(&world, &format!("{ROWS} --candidate ctr@3 --report gate3.html"));
    assert_eq!((code, verdict_of(&third, "seen_rows").as_str()), (3, Some("fail")), "{third:#}");
    let page = std::fs::read_to_string(world.path("gate3.html")).unwrap();
    assert!(page.contains("This model must not be used"));
    assert_eq!(world.run("models promote ctr@3 --channel champion --registry registry").code, 3);
}

#[test]
fn a_backtest_retrains_before_each_of_the_last_days() {
    let world = world();
    let (code, said) = gate(&world, &format!("{ROWS} --candidate ctr@2 --backtest days --report gate.html"));
    assert_eq!((code, verdict_of(&said, "backtest").as_str()), (0, Some("pass")), "{said:#}");
    let tried = said["backtest"].as_array().unwrap();
    let days: Vec<_> = tried.iter().map(|tried| (tried["day"].as_str().unwrap(), &tried["days_learned"])).collect();
    assert_eq!(days, [(DAYS[4], &4.into()), (DAYS[3], &3.into()), (DAYS[2], &2.into())]);
    for tried in tried {
        let entropy = tried["normalized_entropy"].as_f64().unwrap();
        assert!((0.8..1.0).contains(&entropy), "{tried}");
    }
    assert!(std::fs::read_to_string(world.path("gate.html")).unwrap().contains("How the recipe did on earlier days"));
    for (history, part) in [
        ("days/dt=2026-01-05", "too few of the days up to 2026-01-09"),
        ("model1", "no data here"),
        ("users.parquet", "is in no day's folder"),
    ] {
        world.json("synth --rows 1000 --days 1 --out other.parquet --users-out users.parquet");
        let ended = world.run(&format!("models gate {ROWS} --candidate ctr@2 --backtest {history}"));
        assert!(ended.code == 2 && ended.stderr.contains(part), "{history}: {}", ended.stderr);
    }
}

#[test]
fn a_backtest_works_with_integer_seconds() {
    let world = World::new();
    world.json("synth --rows 35000 --days 7 --out rows.csv --schema features.toml");
    let rows = std::fs::read_to_string(world.path("rows.csv")).unwrap();
    let (header, rows) = rows.split_once('\n').unwrap();
    let column = header.split(',').position(|name| name == "ts").unwrap();
    let mut days = std::collections::BTreeMap::<String, String>::new();
    for row in rows.lines() {
        let mut cells: Vec<&str> = row.split(',').collect();
        let time: jiff::civil::DateTime = cells[column].trim_end_matches('Z').parse().unwrap();
        let seconds = jiff::tz::TimeZone::UTC.to_timestamp(time).unwrap().as_second().to_string();
        cells[column] = &seconds;
        *days.entry(time.date().to_string()).or_insert_with(|| format!("{header}\n")) += &(cells.join(",") + "\n");
    }
    assert_eq!(days.keys().collect::<Vec<_>>(), DAYS.iter().collect::<Vec<_>>());
    for (day, rows) in &days {
        world.write(&format!("days/dt={day}/rows.csv"), rows);
        if day.as_str() <= DAYS[4] {
            world.write(&format!("window/dt={day}/rows.csv"), rows);
        }
    }
    for time_unit in ["", "time_unit = \"s\"\n"] {
        let schema = std::fs::read_to_string(world.path("features.toml")).unwrap();
        world.write("seconds.toml", schema.replacen("time = ", &format!("{time_unit}time = "), 1));
        let trained = world.json("train --data window --schema seconds.toml --family lr --out model");
        let rows: usize = days.range(..=DAYS[4].to_owned()).map(|(_, rows)| rows.lines().count() - 1).sum();
        assert_eq!(trained["rows"].as_u64(), Some(rows as u64), "{trained}");
        let (_, said) = gate(&world, &format!("{ROWS} --candidate model --backtest days"));
        let tried = said["backtest"].as_array().unwrap_or_else(|| panic!("{said:#}"));
        let days: Vec<_> = tried.iter().map(|tried| (tried["day"].as_str().unwrap(), &tried["days_learned"])).collect();
        assert_eq!(days, [(DAYS[4], &4.into()), (DAYS[3], &3.into()), (DAYS[2], &2.into())]);
        assert_eq!(verdict_of(&said, "staleness"), "pass", "{said:#}");
        assert_eq!(verdict_of(&said, "clock"), "pass", "{said:#}");
    }
}

#[test]
fn a_model_that_cannot_be_judged_is_reported_in_a_sentence() {
    let world = world();
    // The users' table has neither ads nor labels.
    world.json("synth --rows 1000 --days 1 --out other.parquet --users-out users.parquet");
    let (code, said) = gate(&world, "--name ctr --data users.parquet --registry registry --candidate ctr@1");
    assert_eq!((code, verdict_of(&said, "labelled_input").as_str()), (3, Some("fail")), "{said:#}");

    // One byte of the weights is changed.
    let weights = world.files("model2").into_iter().find(|(name, _)| name.ends_with(".safetensors")).unwrap();
    let mut bytes = weights.1.clone();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    world.write(&format!("model2/{}", weights.0), bytes);
    let (code, said) = gate(&world, &format!("{ROWS} --candidate model2"));
    assert_eq!((code, verdict_of(&said, "loads").as_str()), (3, Some("fail")), "{said:#}");

    for (arguments, part) in [
        ("--name ctr --data nowhere.parquet --registry registry --candidate ctr@1", "nowhere.parquet"),
        ("--name ctr --data days --registry registry --candidate ctr@9", "ctr@9"),
        ("--name other --data days --registry registry --candidate ctr@1", "is not a version of `other`"),
    ] {
        let ended = world.run(&format!("models gate {arguments}"));
        assert!(ended.code == 2 && ended.stderr.contains(part), "{arguments}: {} {}", ended.code, ended.stderr);
    }
    world.write("registry/models/ctr/channels/champion.json", "no JSON");
    let ended = world.run(&format!("models gate {ROWS} --candidate ctr@1"));
    assert!(ended.code == 2 && ended.stderr.contains("champion"), "an unreadable registry: {}", ended.stderr);
}

/// Telephone offers in order of date; clients and success changed much over the years, and no column has the date.
#[test]
fn a_model_of_the_banks_first_years_does_not_pass_on_the_last_ones() {
    let Some(file) = skip::shared_data("bank-additional-full.csv.gz") else { return };
    let unpacked = Command::new("gzip").arg("-dc").arg(file).output().unwrap();
    let text = String::from_utf8(unpacked.stdout).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().collect();
    let world = World::new();
    let part = |rows: &[&str]| format!("{header}\n{}\n", rows.join("\n"));
    let (first, last) = rows.split_at(rows.len() * 7 / 10);
    world.write("first.csv", part(first));
    world.write("last.csv", part(last));
    world.json("schema --data first.csv --label y --drop duration --out features.toml");
    world.json("train --data first.csv --schema features.toml --family lr --out model");
    let (code, said) = gate(&world, "--name bank --data last.csv --registry registry --candidate model");
    assert_eq!((code, said["verdict"].as_str()), (3, Some("fail")), "{said:#}");
    assert_eq!(verdict_of(&said, "better_than_mean"), "fail", "{said:#}");
}

#[test]
fn an_imported_model_is_judged_by_its_training_data_if_that_is_given() {
    let world = World::new();
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../model/tests/golden/dart");
    let checks = |model: &str, data: &str| {
        world.json(&format!("import --from lightgbm {golden}.txt{data} --out {model}"));
        let line = format!("models gate --name dart --candidate {model} --data {golden}.csv --registry registry");
        let ended = world.run(&format!("{line} --json --quiet"));
        assert_eq!(ended.code, 3, "without labels it is held: {}", ended.stderr);
        let judged: Value = serde_json::from_str(&ended.stdout).unwrap();
        let checks = judged["checks"].as_array().unwrap().iter();
        checks.map(|check| (check["name"].to_string(), check["reason"].to_string())).collect::<Vec<_>>()
    };
    let has = |checks: &[(String, String)], name: &str| checks.iter().any(|(own, _)| own.contains(name));
    let alone = checks("alone", "");
    let described = checks("described", &format!(" --data {golden}.csv"));
    assert!(!has(&alone, "training_rows") && has(&described, "training_rows"), "{alone:?} {described:?}");
    let golden_rows = described.iter().find(|(name, _)| name.contains("golden_rows")).unwrap();
    assert!(!alone.contains(golden_rows), "{golden_rows:?}");
}
