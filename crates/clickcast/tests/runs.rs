//! A day's predictions: staged, closed, audited, published, rolled back; and the errors that an audit finds.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use clickcast_testing::forgery::{ETAG, retold, shift_features};
use serde_json::Value;
use support::World;

/// Four days of impressions, and a model of the first day, promoted by force because the gate has not judged it.
fn world() -> World {
    let world = World::new();
    world.json("synth --rows 40000 --days 4 --out days --schema features.toml");
    world.json("train --data days/dt=2026-01-05 --schema features.toml --family lr --out model");
    world.json("models register --name ctr --model model --registry registry");
    world.json("models promote ctr@1 --channel champion --force --reason first --registry registry");
    world
}

fn predict(world: &World, day: &str) {
    let run = format!("--data days/dt={day} --out out --run dt={day}");
    world.json(&format!("predict --model ctr@champion --registry registry {run}"));
}

#[test]
fn a_run_is_published_only_after_a_passing_audit_and_rolled_back_in_one_write() {
    let world = world();
    for (day, previous) in [("2026-01-06", None), ("2026-01-07", Some("dt=2026-01-06"))] {
        predict(&world, day);
        assert_eq!(world.json(&format!("runs show dt={day} --out out"))["state"], "open");
        assert_eq!(world.run(&format!("runs publish dt={day} --out out")).code, 2, "it is open");
        assert_eq!(world.run(&format!("runs audit dt={day} --out out")).code, 2, "it is open");
        world.json(&format!("runs close dt={day} --out out"));
        assert_eq!(world.run(&format!("runs publish dt={day} --out out")).code, 3, "it was not audited");
        let audited = world.json(&format!("runs audit dt={day} --out out"));
        assert_eq!(audited["verdict"], "pass", "{audited}");
        assert_eq!(audited["rows_in"], audited["rows_out"]);
        assert_eq!(world.json(&format!("runs show dt={day} --out out"))["state"], "audited");
        let published = world.json(&format!("runs publish dt={day} --out out"));
        assert_eq!(published["previous"].as_str(), previous);
    }
    let back = world.json("runs rollback --reason wrong --out out");
    assert_eq!(back["run"], "dt=2026-01-06");
    assert_eq!(world.json("runs show dt=2026-01-07 --out out")["state"], "audited");
    assert_eq!(world.run("runs rollback --out out").code, 2, "there is nothing before the first");
    let page = std::fs::read_to_string(world.path("out/runs/dt=2026-01-07/audit.html")).unwrap();
    assert!(page.contains("the run before"), "the page compares");
}

#[test]
fn an_audit_compares_the_values_of_kept_columns_with_few_values() {
    let world = world();
    for day in ["2026-01-06", "2026-01-07"] {
        let run = format!("--data days/dt={day} --out out --run dt={day} --keep os,impression_id");
        world.json(&format!("predict --model ctr@champion --registry registry {run}"));
        world.json(&format!("runs close dt={day} --out out"));
        let audited = world.json(&format!("runs audit dt={day} --out out"));
        assert_eq!(audited["verdict"], "pass", "{audited}");
        world.json(&format!("runs publish dt={day} --out out"));
        let is_compared = audited["checks"].as_array().unwrap().iter().any(|check| check["name"] == "slices");
        assert_eq!(is_compared, day == "2026-01-07");
    }
    predict(&world, "2026-01-08");
    world.json("runs close dt=2026-01-08 --out out");
    let kept = std::fs::read(world.path("out/runs/dt=2026-01-07/scores.json")).unwrap();
    world.write("out/runs/dt=2026-01-07/scores.json", "{");
    let ended = world.run("runs audit dt=2026-01-08 --out out");
    assert!(ended.code == 2 && ended.stderr.contains("`runs audit dt=2026-01-07` writes it anew"), "{}", ended.stderr);
    world.write("out/runs/dt=2026-01-07/scores.json", kept);

    let scores = std::fs::read_to_string(world.path("out/runs/dt=2026-01-07/scores.json")).unwrap();
    let scores: Value = serde_json::from_str(&scores).unwrap();
    let slices: Vec<&String> = scores["by_value"].as_object().unwrap().keys().collect();
    assert_eq!(slices, ["dt = 2026-01-07", "os = android", "os = ios"], "an impression's own number is no slice");
    let page = std::fs::read_to_string(world.path("out/runs/dt=2026-01-07/audit.html")).unwrap();
    assert!(page.contains("By the values of carried columns") && page.contains("os = ios"));
}

#[test]
fn a_run_that_was_staged_by_relative_paths_is_closed_and_audited_from_anywhere() {
    let world = world();
    predict(&world, "2026-01-06");
    let (elsewhere, out) = (World::new(), world.path("out").display().to_string());
    elsewhere.json(&format!("runs close dt=2026-01-06 --out {out}"));
    let audited = elsewhere.json(&format!("runs audit dt=2026-01-06 --out {out}"));
    let is_rescored = audited["checks"].to_string().contains("rows were scored again; all predictions are the same");
    assert!(audited["verdict"] == "pass" && is_rescored, "{audited}");
}

#[test]
fn a_run_keeps_its_model_and_settings_and_an_input_after_its_close_is_refused() {
    let world = world();
    predict(&world, "2026-01-06");
    let again = world.json(
        "predict --model ctr@champion --registry registry --data days/dt=2026-01-06 --out out --run dt=2026-01-06",
    );
    assert_eq!((&again["rows"], &again["skipped"]), (&0.into(), &1.into()));
    world.json("train --data days/dt=2026-01-06 --schema features.toml --family lr --out other");
    for (arguments, part) in [
        ("--model other --data days/dt=2026-01-06", "model"),
        ("--model model --data days/dt=2026-01-06 --precision f64", "precision"),
        ("--model model --data days/dt=2026-01-07", "input"),
    ] {
        let ended = world.run(&format!("predict {arguments} --out out --run dt=2026-01-06 --quiet"));
        assert_eq!(ended.code, 2, "{}", ended.stderr);
        assert!(ended.stderr.contains(part), "{}", ended.stderr);
    }
    world.json("runs close dt=2026-01-06 --out out");
    world.json("runs close dt=2026-01-06 --out out");
    std::fs::copy(world.path("days/dt=2026-01-07/impressions.parquet"), world.path("days/dt=2026-01-06/late.parquet"))
        .unwrap();
    let late = world.run("predict --model model --data days/dt=2026-01-06 --out out --run dt=2026-01-06 --quiet");
    assert!(late.code == 2 && late.stderr.contains("is closed"), "{}", late.stderr);
    let closed = world.run("runs close dt=2026-01-06 --out out");
    assert!(closed.code == 2 && closed.stderr.contains("closed already"), "{}", closed.stderr);
}

#[test]
fn an_input_that_can_never_be_scored_is_noted_and_holds_the_audit() {
    let world = world();
    world.write("days/dt=2026-01-06/broken.parquet", "PAR1 no file");
    let ended = world.run(
        "predict --model ctr@champion --registry registry --data days/dt=2026-01-06 --out out --run r --json --quiet",
    );
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    let outcome: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!((&outcome["rows"], &outcome["errors"]), (&10_000.into(), &1.into()), "the others are scored");
    assert!(world.path("out/runs/r/errors/broken.parquet.json").exists());
    world.json("runs close r --out out");
    let audit = world.run("runs audit r --out out --json --quiet");
    assert_eq!(audit.code, 3);
    assert!(audit.stdout.contains("\"verdict\":\"hold\""), "{}", audit.stdout);
    assert_eq!(world.run("runs publish r --out out").code, 3);
    // A person may publish it anyway, with a reason.
    assert_eq!(world.run("runs publish r --out out --force").code, 2);
    world.json("runs publish r --out out --force --reason without-the-broken-one");
    // After the input is repaired, another run is complete.
    std::fs::remove_file(world.path("days/dt=2026-01-06/broken.parquet")).unwrap();
    world.json("predict --model ctr@champion --registry registry --data days/dt=2026-01-06 --out out --run r2");
    world.json("runs close r2 --out out");
    assert_eq!(world.json("runs audit r2 --out out")["verdict"], "pass");
}

#[test]
fn closing_a_run_says_how_many_inputs_have_no_predictions() {
    let world = world();
    std::fs::create_dir(world.path("in")).unwrap();
    copy(&world, "days/dt=2026-01-06/impressions.parquet", "in/a.parquet");
    world.write("in/broken.parquet", "PAR1 no file");
    let ended = world.run("predict --model ctr@1 --registry registry --data in --out out --run r --quiet");
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    for late in ["b", "c"] {
        copy(&world, "days/dt=2026-01-07/impressions.parquet", &format!("in/{late}.parquet"));
    }
    let closed = world.run("runs close r --out out --json");
    assert_eq!(closed.code, 0, "{}", closed.stderr);
    assert!(closed.stderr.contains("2 of 4 inputs are neither scored whole"), "{}", closed.stderr);
    let closed: Value = serde_json::from_str(&closed.stdout).unwrap();
    assert_eq!((&closed["missing"], &closed["errors"]), (&2.into(), &1.into()), "{closed}");
    assert_eq!(world.run("runs audit r --out out --quiet").code, 3);
}

#[test]
fn a_run_is_continued_however_the_path_of_its_input_is_spelled() {
    let world = world();
    let root = world.path("").display().to_string();
    let root = root.trim_end_matches('/');
    std::os::unix::fs::symlink(world.path("days"), world.path("link")).unwrap();
    predict(&world, "2026-01-06");
    for same in [format!("{root}/days"), format!("file://{root}/days"), "./days".to_owned(), "link".to_owned()] {
        let line = format!("--data {same}/dt=2026-01-06/ --out out --run dt=2026-01-06");
        let again = world.json(&format!("predict --model ctr@champion --registry registry {line}"));
        assert_eq!((&again["files"], &again["skipped"]), (&0.into(), &1.into()), "{same}: {again}");
    }
    // Messages have absolute paths, so a worker continues the run, too.
    world.json("queue send --queue sqlite://queue.db --data days/dt=2026-01-06");
    let worker = "worker --queue sqlite://queue.db --registry registry --model ctr@champion --cache cache --out out";
    let done = world.json(&format!("{worker} --until-idle"));
    assert_eq!((&done["found_done"], &done["buried"]), (&1.into(), &0.into()), "{done}");
}

#[test]
fn outputs_of_an_older_version_of_an_input_are_not_part_of_the_run() {
    let world = world();
    predict(&world, "2026-01-06");
    // As if the input had been larger, and cut into ranges.
    let output = "out/runs/dt=2026-01-06/ctr/impressions.parquet";
    copy(&world, output, "out/runs/dt=2026-01-06/ctr/impressions.g8-9.parquet");
    copy(&world, "days/dt=2026-01-07/impressions.parquet", "days/dt=2026-01-06/impressions.parquet");
    predict(&world, "2026-01-06");
    let closed = world.json("runs close dt=2026-01-06 --out out");
    assert_eq!((&closed["outputs"], &closed["missing"]), (&1.into(), &0.into()), "{closed}");
    let manifest = std::fs::read(world.path("out/runs/dt=2026-01-06/manifest.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    assert_eq!(manifest["superseded"], serde_json::json!(["impressions.g8-9.parquet"]));
    let audited = world.json("runs audit dt=2026-01-06 --out out --registry registry");
    assert_eq!(audited["verdict"], "pass", "{audited}");
}

/// Damages a run before or after it is closed; paired with the check that finds it.
struct Sabotage {
    found_by: &'static str,
    before_close: bool,
    act: fn(&World),
}

const INPUT: &str = "in/part.csv";
const OUTPUT: &str = "out/runs/r/ctr/part.csv.parquet";

#[test]
fn an_audit_finds_every_kind_of_damage_to_the_files() {
    let before = |found_by, act| Sabotage { found_by, before_close: true, act };
    let after = |found_by, act| Sabotage { found_by, before_close: false, act };
    let table = [
        before("coverage", |world| std::fs::remove_file(world.path(OUTPUT)).unwrap()),
        before("coverage", |world| copy(world, OUTPUT, "out/runs/r/ctr/twice.parquet")),
        // Predictions of the same rows in another order, of fewer rows, of more rows, or by another model.
        before("ids", |world| forge(world, "model", |lines| lines[1..].reverse())),
        before("rows", |world| forge(world, "model", |lines| lines.truncate(lines.len() / 2))),
        before("rows", |world| forge(world, "model", |lines| lines.extend_from_within(1..))),
        before("model", |world| forge(world, "yesterday", |_| {})),
        before("rescored", |world| {
            forge(world, "model", |lines| {
                let (header, rows) = lines.split_first_mut().unwrap();
                shift_features(header, rows, 0);
            });
        }),
        after("checksums", |world| spoil(world, OUTPUT)),
        after("inputs_unchanged", |world| spoil(world, INPUT)),
        after("inputs_unchanged", |world| std::fs::remove_file(world.path(INPUT)).unwrap()),
        after("strangers", |world| copy(world, OUTPUT, "out/runs/r/ctr/late.parquet")),
    ];
    let world = World::new();
    world.json("synth --rows 3000 --days 1 --out in/part.csv --schema features.toml");
    world.json("synth --rows 3000 --days 1 --seed 2 --out yesterday.csv");
    world.json("train --data in --schema features.toml --family lr --out model");
    world.json("train --data yesterday.csv --schema features.toml --family lr --out yesterday");
    world.json("models register --name ctr --model model --registry registry");
    let input = std::fs::read(world.path(INPUT)).unwrap();
    for Sabotage { found_by, before_close, act } in table {
        world.write(INPUT, &input);
        world.json("predict --model ctr@1 --registry registry --data in --out out --run r");
        if before_close {
            act(&world);
        }
        world.json("runs close r --out out");
        if !before_close {
            act(&world);
        }
        let ended = world.run("runs audit r --out out --registry registry --json --quiet");
        assert_eq!(ended.code, 3, "{found_by}: {}{}", ended.stdout, ended.stderr);
        let audited: Value = serde_json::from_str(&ended.stdout).unwrap();
        let checks = audited["checks"].as_array().unwrap();
        let is_found = checks.iter().any(|check| check["name"] == found_by && check["verdict"] != "pass");
        assert!(is_found, "{found_by}: {audited}");
        assert_eq!(world.run("runs publish r --out out").code, 3);
        std::fs::remove_dir_all(world.path("out")).unwrap();
    }
}

fn copy(world: &World, from: &str, to: &str) {
    std::fs::copy(world.path(from), world.path(to)).unwrap();
}

/// Changes a byte in the middle.
fn spoil(world: &World, file: &str) {
    let mut bytes = std::fs::read(world.path(file)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    world.write(file, bytes);
}

/// Replaces the output by predictions of other lines or by another model, with the footer of the true input.
fn forge(world: &World, model: &str, change: fn(&mut Vec<String>)) {
    let path = world.path(INPUT);
    let kept = std::fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = kept.lines().map(str::to_owned).collect();
    change(&mut lines);
    let forged = lines.join("\n") + "\n";
    world.write("forged-in/part.csv", forged);
    world.json(&format!("predict --model {model} --data forged-in --out out --run forged"));
    let bytes = std::fs::read(world.path("out/runs/forged/ctr/part.csv.parquet")).unwrap();
    let honest = std::fs::read(world.path(OUTPUT)).unwrap();
    world.write(OUTPUT, retold(&honest, bytes, ETAG).unwrap());
    std::fs::remove_dir_all(world.path("out/runs/forged")).unwrap();
}
