//! Workers on a queue in an SQLite file: even if workers are killed, a day's predictions equal those of one undisturbed process.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clickcast_testing::torture::{Dice, assert_ends_well, each_day, setting, signal};
use serde_json::Value;
use support::World;

const QUEUE: &str = "sqlite://queue.db";
const WORKER: &str =
    "worker --queue sqlite://queue.db --registry registry --model ctr@champion --out out --cache cache --threads 1";

/// A model that is promoted by force, and a day of small files.
fn world(files: usize, rows: usize) -> World {
    let world = World::new();
    world.json("synth --rows 20000 --days 1 --out learn.csv --schema features.toml");
    world.json("train --data learn.csv --schema features.toml --family lr --out model");
    world.json("models register --name ctr --model model --registry registry");
    world.json("models promote ctr@1 --channel champion --force --reason first --registry registry");
    world.json(&format!("synth --rows {} --days 1 --seed 2 --out day.csv", files * rows));
    let day = std::fs::read_to_string(world.path("day.csv")).unwrap();
    let (header, lines) = day.split_once('\n').unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    for (file, lines) in lines.chunks(rows).enumerate() {
        world.write(&format!("in/dt=1/{file:04}.csv"), format!("{header}\n{}\n", lines.join("\n")));
    }
    world
}

/// Returns the run as one undisturbed process writes it.
fn expected(world: &World) -> Vec<(String, Vec<u8>)> {
    let in_one = world.path("in/dt=1").display().to_string();
    let line = format!("predict --model ctr@champion --registry registry --data {in_one} --run dt=1 --out undisturbed");
    let ended = world.run(&format!("{line} --quiet"));
    assert!([0, 2].contains(&ended.code), "{}", ended.stderr);
    outputs(world, "undisturbed")
}

/// Returns the files of a run that readers see: without the store's locks and unfinished files.
fn names(world: &World, out: &str) -> Vec<String> {
    let entries = std::fs::read_dir(world.path(&format!("{out}/runs/dt=1/ctr"))).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".parquet") && !name.starts_with('.')).collect();
    names.sort();
    names
}

fn outputs(world: &World, out: &str) -> Vec<(String, Vec<u8>)> {
    let read =
        |name: String| (name.clone(), std::fs::read(world.path(&format!("{out}/runs/dt=1/ctr/{name}"))).unwrap());
    names(world, out).into_iter().map(read).collect()
}

fn assert_same(found: &[(String, Vec<u8>)], expected: &[(String, Vec<u8>)]) {
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!(names(found), names(expected));
    for (found, expected) in found.iter().zip(expected) {
        assert!(found == expected, "`{}` has other bytes", found.0);
    }
}

fn start(world: &World, arguments: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickcast"));
    command.args(WORKER.split_whitespace()).args(arguments.split_whitespace()).current_dir(world.path(""));
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Returns the address that a worker started with `--listen` reports.
fn address(worker: &mut Child) -> String {
    let mut said = String::new();
    let stderr = worker.stderr.as_mut().unwrap();
    let mut byte = [0];
    while !said.contains("/metrics") {
        assert_eq!(stderr.read(&mut byte).unwrap(), 1, "{said}");
        said.push(char::from(byte[0]));
    }
    said.rsplit("http://").next().unwrap().split('/').next().unwrap().to_owned()
}

fn get(address: &str, path: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_worker_scores_a_day_closes_its_run_and_buries_what_is_broken() {
    let world = world(12, 50);
    world.write("in/dt=1/broken.parquet", "PAR1 no file");
    let sent = world.json(&format!("queue send --queue {QUEUE} --data in/dt=1 --close"));
    assert_eq!((&sent["sent"], &sent["run"]), (&14.into(), &"dt=1".into()));
    let done = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!((&done["written"], &done["buried"], &done["closed"]), (&12.into(), &1.into(), &1.into()), "{done}");
    assert_eq!(done["rows"], 600);
    assert_same(&outputs(&world, "out"), &expected(&world));
    assert_eq!(world.json("runs show dt=1 --out out")["state"], "closed");
    assert!(world.path("out/runs/dt=1/errors/broken.parquet.json").exists());
    let dead = world.json(&format!("queue dead --queue {QUEUE}"));
    assert_eq!(dead["dead"].as_array().unwrap().len(), 1, "{dead}");
    assert!(dead["dead"][0]["reason"].as_str().unwrap().contains("broken.parquet"), "{dead}");
    // Repeated messages find the work done; a new input is too late.
    world.write("in/dt=1/late.csv", std::fs::read(world.path("in/dt=1/0001.csv")).unwrap());
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    let again = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!((&again["written"], &again["found_done"]), (&0.into(), &12.into()), "{again}");
    assert_eq!(
        world.json(&format!("queue stats --queue {QUEUE}"))["dead"],
        3,
        "the broken one, again, and the late one"
    );
}

/// Collects what is posted to it, as long as the test runs.
fn collector() -> (String, std::sync::mpsc::Receiver<String>) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/traces", listener.local_addr().unwrap());
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let (mut line, mut length) = (String::new(), 0);
            while stream.read_line(&mut line).unwrap() > 2 {
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer =
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}";
            stream.get_mut().write_all(answer.as_bytes()).unwrap();
            let _ = sender.send(String::from_utf8(body).unwrap());
        }
    });
    (url, receiver)
}

#[test]
fn each_message_is_traced_and_an_absent_collector_stops_nothing() {
    let world = world(3, 50);
    world.write("in/dt=1/broken.parquet", "PAR1 no file");
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    let (url, received) = collector();
    world.json(&format!("{WORKER} --until-idle --otlp {url}"));
    let bodies: Vec<Value> = received.try_iter().map(|body| serde_json::from_str(&body).unwrap()).collect();
    let arrays =
        |body: &Value, pointer: &str| body.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
    let spans: Vec<Value> =
        bodies.iter().flat_map(|body| arrays(body, "/resourceSpans/0/scopeSpans/0/spans")).collect();
    let count = |name: &str| spans.iter().filter(|span| span["name"] == name).count();
    assert_eq!([count("message"), count("look"), count("score"), count("acknowledge"), count("bury")], [4, 4, 3, 3, 1]);
    for span in spans.iter().filter(|span| span["name"] == "message") {
        let text = span["attributes"].to_string();
        for part in ["dt=1", "ctr@1", "partition", "outcome"] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let steps = spans.iter().filter(|step| step["parentSpanId"] == span["spanId"]).count();
        assert!(steps >= 3, "{span}");
    }
    world.json(&format!("queue redrive --queue {QUEUE}"));
    let nobody = world.json(&format!("{WORKER} --until-idle --otlp http://127.0.0.1:9/v1/traces"));
    assert_eq!(nobody["buried"], 1, "{nobody}");
}

#[test]
fn a_repaired_input_is_no_longer_an_error_of_the_run() {
    let world = world(3, 50);
    let good = std::fs::read(world.path("in/dt=1/0001.csv")).unwrap();
    world.write("in/dt=1/0001.csv", "no,such,columns\n1,2,3\n");
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    let done = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!((&done["written"], &done["buried"]), (&2.into(), &1.into()), "{done}");
    world.write("in/dt=1/0001.csv", good);
    world.json(&format!("queue redrive --queue {QUEUE}"));
    let mended = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!(mended["written"], 1, "{mended}");
    // Another worker may have scored the input that this worker rejected: the rejection is still there.
    let rejected = r#"{"key":"0001.csv","etag":"older","reason":"no column"}"#;
    world.write("out/runs/dt=1/errors/0001.csv.json", rejected);
    let closed = world.json("runs close dt=1 --out out");
    assert_eq!((&closed["inputs"], &closed["errors"]), (&3.into(), &0.into()), "{closed}");
    assert_eq!(world.json("runs audit dt=1 --out out")["verdict"], "pass");
    assert_eq!(world.json("runs close dt=1 --out out")["closed"], closed["closed"], "it is closed once");
}

#[test]
fn a_worker_that_is_told_to_end_releases_its_messages_at_once() {
    let world = world(200, 20);
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    let mut worker = start(&world, "");
    while names(&world, "out").len() < 5 {
        std::thread::yield_now();
    }
    signal(&worker, "TERM");
    assert!(worker.wait().unwrap().success());
    let left = world.json(&format!("queue stats --queue {QUEUE}"));
    assert_eq!(left["in_flight"], 0, "{left}");
    world.json(&format!("{WORKER} --until-idle"));
    assert_same(&outputs(&world, "out"), &expected(&world));
}

#[test]
fn the_second_interrupt_ends_a_worker_immediately_and_another_does_its_work() {
    let world = world(2, 30);
    let send = format!("queue send --queue {QUEUE} --data in/dt=1");
    world.json(&send);
    world.json(&format!("{WORKER} --until-idle"));
    world.write("in/dt=1/0000.csv", std::fs::read(world.path("in/dt=1/0001.csv")).unwrap());
    world.json(&send);
    // To replace an output the worker waits for its lock, and can't end by itself meanwhile.
    let lock = world.path(&format!("out/runs/dt=1/ctr/.{}.lock", names(&world, "out")[0]));
    let lock = std::fs::File::create(lock).unwrap();
    lock.lock().unwrap();
    let mut worker = start(&world, "--visibility-s 2 --listen 127.0.0.1:0");
    let address = address(&mut worker);
    while !get(&address, "/metrics").contains("clickcast_rows_total 30\n") {
        std::thread::yield_now();
    }
    signal(&worker, "INT");
    while get(&address, "/readyz").starts_with("HTTP/1.1 200") {
        std::thread::yield_now();
    }
    signal(&worker, "INT");
    assert_eq!(worker.wait().unwrap().code(), Some(130));
    drop(lock);
    let done = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!(done["written"], 1, "{done}");
    assert_same(&outputs(&world, "out"), &expected(&world));
}

#[test]
fn an_overwritten_input_replaces_its_output_while_the_run_is_open() {
    let world = world(2, 30);
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    world.json(&format!("{WORKER} --until-idle"));
    let second = std::fs::read(world.path("in/dt=1/0001.csv")).unwrap();
    world.write("in/dt=1/0000.csv", second);
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    let again = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!((&again["written"], &again["found_done"]), (&1.into(), &1.into()), "{again}");
    assert_same(&outputs(&world, "out"), &expected(&world));
}

#[test]
fn the_end_of_a_folder_asks_for_inputs_that_no_message_asked_for() {
    let world = world(2, 30);
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1 --close"));
    // Its event was lost.
    world.write("in/dt=1/lost.csv", std::fs::read(world.path("in/dt=1/0001.csv")).unwrap());
    let done = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!((&done["written"], &done["closed"]), (&3.into(), &1.into()), "{done}");
    assert_same(&outputs(&world, "out"), &expected(&world));
}

#[test]
fn missing_credentials_are_reported_with_what_to_set_and_no_retry() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickcast"));
    command.args(["queue", "stats", "--queue", "sqs://bookings"]).env_clear();
    let ended = command.env("AWS_REGION", "eu-west-1").env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(2), "{said}");
    assert!(said.contains("no credentials were found") && said.contains("AWS_ACCESS_KEY_ID"), "{said}");
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}

#[test]
fn log_lines_have_run_partition_and_model_and_no_secret() {
    let world = world(1, 20);
    world.write("in/dt=1/broken.parquet", "PAR1 no file");
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    let secrets = [("AWS_SECRET_ACCESS_KEY", "hush-key"), ("AWS_SESSION_TOKEN", "hush-token")];
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickcast"));
    command.args(WORKER.split_whitespace()).arg("--until-idle").current_dir(world.path("")).envs(secrets);
    let ended = command.output().unwrap();
    let said = String::from_utf8_lossy(&ended.stderr).into_owned() + &String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success() && !said.contains("hush"), "{said}");
    let lines: Vec<Value> = said.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let buried = lines.iter().find(|line| line["message"].as_str().is_some_and(|text| text.contains("dead letters")));
    let buried = buried.unwrap_or_else(|| panic!("{said}"));
    let partition = "runs/dt=1/ctr/broken.parquet";
    assert_eq!(
        (&buried["run"], &buried["partition"], &buried["model"]),
        (&"dt=1".into(), &partition.into(), &"ctr@1".into())
    );
}

#[test]
fn a_promotion_changes_no_run_that_has_begun() {
    let world = world(4, 30);
    let rest: Vec<Vec<u8>> =
        (1..4).map(|file| std::fs::read(world.path(&format!("in/dt=1/{file:04}.csv"))).unwrap()).collect();
    (1..4).for_each(|file| std::fs::remove_file(world.path(&format!("in/dt=1/{file:04}.csv"))).unwrap());
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    world.json(&format!("{WORKER} --until-idle"));
    world.json("train --data day.csv --schema features.toml --family lr --out other");
    world.json("models register --name ctr --model other --registry registry");
    world.json("models promote ctr@2 --channel champion --force --reason second --registry registry");
    for (file, bytes) in (1..4).zip(rest) {
        world.write(&format!("in/dt=1/{file:04}.csv"), bytes);
    }
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1 --close"));
    let done = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!((&done["written"], &done["model"]), (&3.into(), &"ctr@2".into()));
    let shown = world.json("runs show dt=1 --out out");
    assert_eq!(shown["state"], "closed");
    let line = format!(
        "predict --model ctr@1 --registry registry --data {} --out undisturbed",
        world.path("in/dt=1").display()
    );
    world.json(&format!("{line} --run dt=1"));
    assert_same(&outputs(&world, "out"), &outputs(&world, "undisturbed"));
}

#[test]
fn a_run_of_a_model_that_the_registry_does_not_have_ends_among_the_dead_letters() {
    let world = world(2, 20);
    // The run is pinned to a model that was never registered.
    world.json("train --data day.csv --schema features.toml --family lr --seed 5 --sample-negatives 0.9 --out stray");
    world.json(&format!("predict --model stray --data {} --out out --run dt=1", world.path("in/dt=1").display()));
    world.write("in/dt=1/late.csv", std::fs::read(world.path("in/dt=1/0000.csv")).unwrap());
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    let done = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!(done["written"], 0);
    let dead = world.json(&format!("queue dead --queue {QUEUE}"));
    let letters = dead["dead"].as_array().unwrap();
    assert_eq!(letters.len(), 3, "{dead}");
    assert!(letters.iter().all(|letter| letter["reason"].as_str().is_some_and(|reason| !reason.is_empty())), "{dead}");
}

#[test]
fn metrics_and_health_of_a_worker_are_served() {
    let world = world(3, 20);
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    let mut worker = start(&world, "--listen 127.0.0.1:0");
    let address = address(&mut worker);
    let get = |path: &str| get(&address, path);
    while !get("/metrics").contains("clickcast_partitions_total{outcome=\"written\"} 3") {
        std::thread::yield_now();
    }
    let metrics = get("/metrics");
    for part in [
        "clickcast_rows_total 60",
        "clickcast_worker_info{model=\"ctr@1\"",
        "clickcast_queue_messages{state=\"dead\"} 0",
    ] {
        assert!(metrics.contains(part), "{part}: {metrics}");
    }
    assert!(get("/healthz").starts_with("HTTP/1.1 200") && get("/readyz").starts_with("HTTP/1.1 200"));
    assert!(get("/else").starts_with("HTTP/1.1 404"));
    signal(&worker, "TERM");
    assert!(worker.wait().unwrap().success());
}

/// A run with one of two inputs scored, and a `runs show --watch` that has reported that.
fn watched(world: &World, run: &str) -> Child {
    world.json(&format!("synth --rows 30 --days 1 --seed 3 --out in/{run}/a.parquet"));
    world.json(&format!("queue send --queue {QUEUE} --data in/{run}"));
    world.json(&format!("{WORKER} --until-idle"));
    world.json(&format!("synth --rows 30 --days 1 --seed 4 --out in/{run}/b.parquet"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickcast"));
    command.args(["runs", "show", run, "--watch", "--json", "--out", "out"]).current_dir(world.path(""));
    let mut watch = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = String::new();
    BufReader::new(watch.stderr.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "run: 30 of 60 rows, 0 rows/s\n");
    watch
}

/// Returns what the watch printed until its end.
fn shown(watch: Child) -> Value {
    let ended = watch.wait_with_output().unwrap();
    assert!(ended.status.success());
    serde_json::from_slice(&ended.stdout).unwrap()
}

#[test]
fn watching_a_run_shows_new_inputs_and_ends_when_workers_finish_it() {
    let world = world(1, 30);
    let watch = watched(&world, "dt=2");
    world.json("synth --rows 30 --days 1 --seed 5 --out in/dt=2/c.parquet");
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=2 --close"));
    world.json(&format!("{WORKER} --until-idle"));
    let shown = shown(watch);
    assert_eq!((&shown["inputs"], &shown["done"], &shown["rows"]), (&3.into(), &3.into(), &90.into()), "{shown}");
}

#[test]
fn watching_a_run_ends_when_it_is_closed_even_with_missing_inputs() {
    let world = world(1, 30);
    let watch = watched(&world, "dt=2");
    world.json("runs close dt=2 --out out");
    let shown = shown(watch);
    assert_eq!(
        (&shown["state"], &shown["inputs"], &shown["done"]),
        (&"closed".into(), &2.into(), &1.into()),
        "{shown}"
    );
}

#[test]
fn even_if_workers_are_killed_every_row_is_scored_once_and_only_poisoned_files_are_dead() {
    let files = setting("CLICKCAST_TORTURE_FILES", 1_000) as usize;
    each_day(|seed| torment_a_day(seed, files));
}

/// Runs one day of files, during which workers are killed.
fn torment_a_day(seed: u64, files: usize) {
    let mut dice = Dice::new(seed);
    let world = world(files, 10);
    for poisoned in 0..5 {
        world.write(&format!("in/dt=1/poisoned-{poisoned}.parquet"), format!("PAR1 {poisoned}"));
    }
    let send = format!("queue send --queue {QUEUE} --data in/dt=1");
    // Every message twice: the second finds the work done, or does it.
    world.json(&send);
    world.json(&send);
    // A worker that is stopped for longer than this has lost its messages when it continues.
    let begin = || start(&world, "--visibility-s 2");
    let mut workers: Vec<Child> = (0..3).map(|_| begin()).collect();
    let mut kills = 0;
    while names(&world, "out").len() < files {
        // The interval between disturbances; it waits for nothing.
        std::thread::sleep(Duration::from_millis(30 + dice.roll(200)));
        let victim = dice.roll(workers.len() as u64) as usize;
        if dice.roll(20) == 0 {
            signal(&workers[victim], "STOP");
            std::thread::sleep(Duration::from_secs(3));
            signal(&workers[victim], "CONT");
            continue;
        }
        let mut dead = std::mem::replace(&mut workers[victim], begin());
        let with = if dice.roll(2) == 0 { "KILL" } else { "TERM" };
        signal(&dead, with);
        assert_ends_well(&mut dead, with, &[0]);
        kills += 1;
    }
    for worker in &mut workers {
        signal(worker, "TERM");
        assert_ends_well(worker, "TERM", &[0]);
    }
    eprintln!("{kills} workers ended");
    world.json(&format!("{WORKER} --until-idle"));
    assert_same(&outputs(&world, "out"), &expected(&world));
    let dead = world.json(&format!("queue dead --queue {QUEUE}"));
    let dead: BTreeSet<String> = dead["dead"].as_array().unwrap().iter().map(object).collect();
    let poisoned = (0..5).map(|poisoned| format!("poisoned-{poisoned}.parquet")).collect();
    assert_eq!(dead, poisoned);
    // After looking at the poisoned files, a person publishes the others.
    world.json("runs close dt=1 --out out");
    assert_eq!(world.run("runs audit dt=1 --out out --quiet").code, 3);
    world.json("runs publish dt=1 --out out --force --reason poisoned");
    let shown = world.json("runs show dt=1 --out out");
    assert_eq!((&shown["state"], &shown["done"]), (&"published".into(), &files.into()), "{shown}");
}

/// Returns the name of a dead letter's object.
fn object(dead: &Value) -> String {
    let body: Value = serde_json::from_str(dead["body"].as_str().unwrap()).unwrap();
    body["clickcast"]["object"].as_str().unwrap().rsplit('/').next().unwrap().to_owned()
}
