//! The contract with scripts: keys, exit codes, order, and the same bytes for the same work.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use serde_json::Value;
use support::World;

/// Three days of impressions, their schema, and a model of the first day.
fn world() -> World {
    let world = World::new();
    world.json("synth --rows 30000 --days 3 --users 2000 --ads 60 --out days --schema features.toml");
    world.json("train --data days/dt=2026-01-05 --schema features.toml --family lr --out model");
    world
}

fn keys(object: &Value, expected: &[&str]) {
    for key in expected {
        assert!(object.get(key).is_some(), "`{key}` is missing in {object}");
    }
}

#[test]
fn every_command_has_the_keys_it_promises() {
    let world = world();
    let trained = world
        .json("train --data days/dt=2026-01-05 --schema features.toml --family fm --out fm --valid days/dt=2026-01-06");
    keys(&trained, &["rows", "seconds", "rows_per_second", "model", "id", "valid"]);
    let evaluation = ["rows", "positives", "auc", "logloss", "normalized_entropy", "calibration", "slices"];
    keys(&trained["valid"], &evaluation);
    let evaluated = world.json("evaluate --model model --data days/dt=2026-01-06 --by format");
    keys(&evaluated, &evaluation);
    let slices = evaluated["slices"].as_array().unwrap();
    assert_eq!(slices.len(), 5);
    slices.iter().for_each(|slice| keys(slice, &evaluation[..6]));
    let rows: u64 = slices.iter().map(|slice| slice["rows"].as_u64().unwrap()).sum();
    assert_eq!(rows, evaluated["rows"].as_u64().unwrap());
    let predicted = world.json("predict --model model --data days --out out");
    let promised =
        ["rows", "files", "seconds", "rows_per_second", "peak_memory_bytes", "model", "id", "run", "skipped"];
    keys(&predicted, &promised);
    assert_eq!((&predicted["model"], &evaluated["model"]), (&Value::from("model"), &Value::from("model")));
    assert_eq!((&predicted["rows"], &predicted["files"]), (&Value::from(30_000), &Value::from(3)));
    keys(&world.json("schema --data days --label click"), &["text", "warnings"]);
    let demo = world.json("demo --dir demo");
    keys(&demo, &["report", "seconds", "measured", "judged", "delivered"]);
    let verdicts: Vec<&Value> = demo["judged"].as_array().unwrap().iter().map(|judged| &judged["verdict"]).collect();
    assert_eq!(verdicts[1..], ["pass", "fail"], "{demo}");
    assert_eq!(demo["delivered"]["audit"], "pass", "{demo}");
    let report = std::fs::read_to_string(world.path("demo/report.html")).unwrap();
    assert!(report.contains("<svg") && report.contains("Which models were let into use"));
}

#[test]
fn predictions_are_the_same_bytes_on_any_number_of_threads() {
    let world = world();
    for threads in [1, 2, 5] {
        world.json(&format!(
            "predict --model model --data days --out out-{threads} --keep placement --threads {threads}"
        ));
    }
    let one = world.files("out-1");
    assert_eq!(one.len(), 3);
    assert_eq!(one, world.files("out-2"));
    assert_eq!(one, world.files("out-5"));
}

#[test]
fn models_are_the_same_bytes_on_any_number_of_threads() {
    let world = world();
    for family in ["lr", "ffm"] {
        for threads in [1, 3] {
            world.json(&format!(
                "train --data days/dt=2026-01-05 --schema features.toml --family {family} --out {family}-{threads} --threads {threads}"
            ));
        }
        assert_eq!(world.files(&format!("{family}-1")), world.files(&format!("{family}-3")), "{family}");
    }
}

#[test]
fn a_second_run_scores_only_what_is_new() {
    let world = world();
    let done = |arguments: &str| {
        let outcome = world.json(&format!("predict --data days --out out {arguments}"));
        (outcome["files"].as_u64().unwrap(), outcome["skipped"].as_u64().unwrap())
    };
    assert_eq!(done("--model model"), (3, 0));
    assert_eq!(done("--model model"), (0, 3));
    // A replaced file, another precision, another model, and a truncated output are all new work.
    let bytes = std::fs::read(world.path("days/dt=2026-01-06/impressions.parquet")).unwrap();
    world.write("days/dt=2026-01-06/impressions.parquet", bytes);
    assert_eq!(done("--model model"), (1, 2));
    assert_eq!(done("--model model --precision f64"), (3, 0));
    world.json("train --data days/dt=2026-01-05 --schema features.toml --family fm --out other");
    assert_eq!(done("--model other --precision f64"), (3, 0));
    let output = "out/dt=2026-01-07/impressions.parquet";
    let bytes = std::fs::read(world.path(output)).unwrap();
    world.write(output, &bytes[..bytes.len() / 2]);
    assert_eq!(done("--model other --precision f64"), (1, 2));
}

#[test]
fn the_same_rows_as_parquet_and_csv_are_scored_alike() {
    let world = World::new();
    world.json("synth --rows 20000 --days 2 --users 2000 --ads 60 --out rows.parquet --schema features.toml");
    world.json("synth --rows 20000 --days 2 --users 2000 --ads 60 --out rows.csv.gz");
    world.json("train --data rows.parquet --schema features.toml --family fm --out model");
    let of = |file: &str| {
        let mut evaluated = world.json(&format!("evaluate --model model --data {file}"));
        for volatile in ["seconds", "rows_per_second"] {
            evaluated.as_object_mut().unwrap().remove(volatile);
        }
        evaluated
    };
    assert_eq!(of("rows.parquet"), of("rows.csv.gz"));
}

#[test]
fn settings_come_from_flags_then_environment_then_file() {
    let world = World::new();
    world.write("clickcast.toml", "threads = 2\n[synth]\nseed = 7\ndays = 2\n");
    let seed = |environment: &[(&str, &str)], flag: &str| {
        let arguments = format!("synth --rows 100 --out x.parquet --json --quiet {flag}");
        let ended = world.run_with(&arguments, environment);
        let outcome: Value = serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("{}", ended.stderr));
        (outcome["seed"].as_u64().unwrap(), outcome["days"].as_u64().unwrap())
    };
    assert_eq!(seed(&[], ""), (7, 2));
    assert_eq!(seed(&[("CLICKCAST_SEED", "8")], ""), (8, 2));
    assert_eq!(seed(&[("CLICKCAST_SEED", "8")], "--seed 9"), (9, 2));
    for (settings, said) in [
        ("sede = 7\n", "no command has a setting `sede`"),
        ("[synth]\nsede = 7\n", "no command has a setting `sede`"),
        ("[synth]\nfamily = \"lr\"\n", "no command has a setting `family`"),
        // The setting applies to all commands.
        ("force = true\n", "`force` is a decision about one model or run; give it as `--force` on the command line"),
        ("[models]\nreason = \"so\"\n", "`reason` is a decision"),
        ("[runs]\nfence = 3\n", "`fence` is a decision"),
        ("expect = 1\n", "`expect` is a decision"),
        ("[train]\nthreads = 1\n", "`threads` applies to every command; put it above the table `[train]`"),
    ] {
        world.write("clickcast.toml", settings);
        let ended = world.run("synth --rows 100 --out x.parquet");
        assert_eq!(ended.code, 2, "{settings}");
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn the_optimum_is_beyond_every_model_but_a_model_comes_nearer_than_the_base_rate() {
    let world = World::new();
    let synth =
        world.json("synth --rows 60000 --days 2 --users 2000 --ads 60 --out rows.parquet --schema features.toml");
    world.json("train --data rows.parquet --schema features.toml --family ffm --out model");
    let evaluated = world.json("evaluate --model model --data rows.parquet");
    let (best, base) = (&synth["optimum"]["logloss"], &synth["optimum"]["base_logloss"]);
    let logloss = evaluated["logloss"].as_f64().unwrap();
    assert!(logloss < base.as_f64().unwrap(), "{logloss} against {base}");
    assert!(logloss > best.as_f64().unwrap() * 0.9, "{logloss} against {best}");
}
