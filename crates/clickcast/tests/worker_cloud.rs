//! Workers on moto's S3, SNS and SQS over HTTP: requests fail, messages come twice, workers die.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clickcast_storage::Store;
use clickcast_testing::Disturbed;
use clickcast_testing::services::Moto;
use clickcast_testing::torture::{Dice, assert_ends_well, each_day, setting, signal};
use serde_json::Value;
use support::{World, runtime};

const QUEUE: &str = "sqs://bookings";
/// Exit codes of workers: 1 if the cloud failed at their start, so that they must be started again.
const WELL: [i32; 2] = [0, 1];
const FOLDER: &str = "in/dt=1";
const WORKER: &str = "worker --queue sqs://bookings --registry registry --model ctr@champion --out s3://bucket/out --cache cache \
                      --threads 1 --quiet";
/// Number of poisoned files: their names end in .parquet, but they aren't Parquet files.
const POISONED: usize = 5;

/// Registers and promotes a model for the workers.
fn world_with_a_model() -> World {
    let world = World::new();
    world.json("synth --rows 20000 --days 1 --out learn.csv --schema features.toml");
    world.json("train --data learn.csv --schema features.toml --family lr --out model");
    world.json("models register --name ctr --model model --registry registry");
    world.json("models promote ctr@1 --channel champion --force --reason first --registry registry");
    world
}

/// Makes a bucket whose events go to a topic, and a queue that is subscribed to it.
fn make_events(world: &World, moto: &Moto) {
    moto.make_queue("bookings", "3");
    let topic = "arn:aws:sns:us-east-1:123456789012:bookings";
    ask(moto, "sns", &["Action=CreateTopic", "Name=bookings"]);
    let endpoint = "Endpoint=arn:aws:sqs:us-east-1:123456789012:bookings";
    ask(moto, "sns", &["Action=Subscribe", &format!("TopicArn={topic}"), "Protocol=sqs", endpoint]);
    let told = format!(
        "<NotificationConfiguration><TopicConfiguration><Topic>{topic}</Topic><Event>s3:ObjectCreated:*</Event>\
         </TopicConfiguration></NotificationConfiguration>"
    );
    let file = world.write("notification.xml", told);
    let url = format!("{}/bucket?notification", moto.endpoint());
    let put = Command::new("curl").args(["-sf", "-T", file.to_str().unwrap(), &url]).output().unwrap();
    assert!(put.status.success(), "{put:?}");
}

/// Sends a request of a service's query protocol.
fn ask(moto: &Moto, service: &str, pairs: &[&str]) {
    let who = format!("Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/{service}/aws4_request");
    let mut command = Command::new("curl");
    command.args(["-sf", moto.endpoint(), "-H", &who]);
    for pair in pairs {
        command.args(["--data-urlencode", pair]);
    }
    let answered = command.output().unwrap();
    assert!(answered.status.success(), "{pairs:?}: {answered:?}");
}

/// Puts a day of small files into the bucket.
fn upload(world: &World, moto: &Moto, files: usize, rows: usize) {
    world.json(&format!("synth --rows {} --days 1 --seed 2 --out day.csv", files * rows));
    let day = std::fs::read_to_string(world.path("day.csv")).unwrap();
    let (header, lines) = day.split_once('\n').unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    let mut names = Vec::new();
    for (file, lines) in lines.chunks(rows).enumerate() {
        names.push(format!("{file:04}.csv"));
        world.write(&format!("{FOLDER}/{file:04}.csv"), format!("{header}\n{}\n", lines.join("\n")));
    }
    for poisoned in 0..POISONED {
        names.push(format!("poisoned-{poisoned}.parquet"));
        world.write(&format!("{FOLDER}/poisoned-{poisoned}.parquet"), format!("PAR1 {poisoned}"));
    }
    world.write(&format!("{FOLDER}/_SUCCESS"), "");
    names.push("_SUCCESS".to_owned());
    let mut config = String::from("silent\nfail\n");
    for name in &names {
        let (file, url) =
            (world.path(&format!("{FOLDER}/{name}")), format!("{}/bucket/{FOLDER}/{name}", moto.endpoint()));
        let _ = writeln!(config, "upload-file = \"{}\"\nurl = \"{url}\"", file.display());
    }
    let config = world.write("upload.txt", config);
    let put = Command::new("curl").args(["--config", config.to_str().unwrap()]).output().unwrap();
    assert!(put.status.success(), "{put:?}");
}

fn start(world: &World, variables: &[(&str, &str)]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickcast"));
    command.args(WORKER.split_whitespace()).current_dir(world.path("")).envs(variables.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

/// Returns the predictions in a store, by name.
fn outputs(store: &Store) -> Vec<(String, Vec<u8>)> {
    runtime().block_on(async {
        let mut found = Vec::new();
        for object in store.list_below("runs/dt=1/ctr").await.unwrap() {
            if object.key.ends_with(".parquet") {
                let bytes = store.get(&object.key).await.unwrap().to_vec();
                found.push((object.key, bytes));
            }
        }
        found.sort();
        found
    })
}

#[test]
fn s3_and_sqs_take_credentials_from_the_shared_files() {
    let Some(moto) = Moto::start() else { return };
    let world = World::new();
    moto.make_queue("bookings", "3");
    let keys = world.write("aws/credentials", "[day]\naws_access_key_id = test\naws_secret_access_key = test\n");
    let settings = world.write("aws/config", "[profile day]\nregion = us-east-1\n");
    let ask = |profile: &str, line: &str| {
        let environment = [
            ("AWS_PROFILE", profile),
            ("AWS_SHARED_CREDENTIALS_FILE", keys.to_str().unwrap()),
            ("AWS_CONFIG_FILE", settings.to_str().unwrap()),
            ("AWS_ENDPOINT_URL", moto.endpoint()),
        ];
        world.run_with(line, &environment)
    };
    for line in ["models list --registry s3://bucket/registry", &format!("queue stats --queue {QUEUE}")] {
        let ended = ask("day", line);
        assert_eq!(ended.code, 0, "{line}: {}", ended.stderr);
        let ended = ask("nobody", line);
        assert!(ended.code != 0 && !ended.stderr.contains("panicked"), "{line}: {}", ended.stderr);
    }
}

#[test]
fn a_small_partition_costs_a_worker_four_requests_and_a_share_of_its_batch() {
    const FILES: usize = 40;
    let Some(moto) = Moto::start() else { return };
    let world = world_with_a_model();
    moto.make_queue("bookings", "60");
    upload(&world, &moto, FILES, 10);
    let seen = Disturbed::by_nothing(moto.endpoint());
    let variables = moto.variables();
    let variables = [&variables[1..], &[("AWS_ENDPOINT_URL", &*seen.endpoint)]].concat();
    let send = format!("queue send --queue {QUEUE} --data s3://bucket/{FOLDER} --quiet");
    assert_eq!(world.run_with(&send, &moto.variables()).code, 0);
    let ended = world.run_with(&format!("{WORKER} --until-idle"), &variables);
    assert_eq!(ended.code, 0, "{}", ended.stderr);

    let requests = seen.requests();
    let count = |start: &str, end: &str| {
        requests.iter().filter(|request| request.starts_with(start) && request.ends_with(end)).count()
    };
    let outputs = "/bucket/out/runs/dt=1/ctr/";
    let receives = count("POST ReceiveMessage", "");
    let all_of_them = [
        // The input, once.
        ("an input is read", count("GET /bucket/in/", ".csv"), FILES..=FILES),
        // Is it there? And, once it was put: is it there now?
        ("an output is looked at", count(&format!("GET {outputs}"), ".csv.parquet"), 2 * FILES..=2 * FILES),
        ("an output is put", count(&format!("PUT {outputs}"), ".parquet"), FILES..=FILES),
        // Messages of one batch are received and acknowledged together.
        ("is the run closed?", count("HEAD ", "/manifest.json"), 1..=receives),
        ("done messages are acknowledged", count("POST DeleteMessageBatch", ""), 1..=receives + POISONED),
        ("messages are received", receives, 1..=FILES + POISONED + 5),
    ];
    for (what, found, expected) in &all_of_them {
        assert!(expected.contains(found), "{what}: {found}, not {expected:?}: {requests:#?}");
    }
    // The remaining requests are made once per run, or for a poisoned file.
    let known: usize = all_of_them.iter().map(|(_, found, _)| found).sum();
    assert!(requests.len() - known <= 12 + 8 * POISONED, "{} of {known}: {requests:#?}", requests.len());

    // Closing the run reads each output once.
    let ended = world.run_with("runs close dt=1 --out s3://bucket/out --quiet", &variables);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let requests = seen.requests().split_off(requests.len());
    let reads = requests.iter().filter(|request| request.contains(outputs)).count();
    assert_eq!(reads, FILES, "{requests:#?}");
}

#[test]
fn even_if_requests_to_the_cloud_fail_every_row_is_scored_once() {
    let files = setting("CLICKCAST_CLOUD_FILES", 1_000) as usize;
    each_day(|seed| torment_a_day(seed, files));
}

/// Runs one day of files, during which workers are killed and requests fail.
fn torment_a_day(seed: u64, files: usize) {
    let Some(moto) = Moto::start() else { return };
    let mut dice = Dice::new(seed);
    let world = world_with_a_model();
    make_events(&world, &moto);
    upload(&world, &moto, files, 10);
    let disturbed = Disturbed::new(moto.endpoint(), seed);
    let variables = moto.variables();
    // A second message asks for every object.
    let again = format!("queue send --queue {QUEUE} --data s3://bucket/{FOLDER}");
    assert_eq!(world.run_with(&format!("{again} --quiet"), &variables).code, 0);
    // Don't wait half a minute for each answer that never comes.
    let variables = [&variables[1..], &[("AWS_ENDPOINT_URL", &disturbed.endpoint), ("AWS_TIMEOUT", "3s")]].concat();

    let store = Store::open_with("s3://bucket/out", &moto.variables()).unwrap();
    let is_closed = || runtime().block_on(store.head("runs/dt=1/manifest.json")).is_ok();
    let mut workers: Vec<Child> = (0..3).map(|_| start(&world, &variables)).collect();
    while !is_closed() {
        // The interval between disturbances; it waits for nothing.
        std::thread::sleep(Duration::from_millis(300 + dice.roll(1_200)));
        let victim = dice.roll(workers.len() as u64) as usize;
        let act = ["KILL", "TERM", "STOP"][dice.roll(3) as usize];
        signal(&workers[victim], act);
        if act == "STOP" {
            // Longer than the visibility timeout: when the worker continues, others have its work.
            std::thread::sleep(Duration::from_secs(4));
            signal(&workers[victim], "CONT");
            continue;
        }
        assert_ends_well(&mut workers[victim], act, &WELL);
        workers[victim] = start(&world, &variables);
    }
    for worker in &mut workers {
        signal(worker, "TERM");
        assert_ends_well(worker, "TERM", &WELL);
    }
    eprintln!("{} of {} requests disturbed", disturbed.faults(), disturbed.requests().len());

    // The second messages are still there, and find the work done.
    let variables = moto.variables();
    let ended = world.run_with(&format!("{WORKER} --until-idle"), &variables);
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let predict = format!(
        "predict --model ctr@champion --registry registry --data s3://bucket/{FOLDER} --run dt=1 --out undisturbed --quiet"
    );
    assert_eq!(world.run_with(&predict, &variables).code, 2, "some can't be scored");
    let undisturbed = outputs(&Store::open(world.path("undisturbed").to_str().unwrap()).unwrap());
    let found = outputs(&store);
    let names = |files: &[(String, Vec<u8>)]| files.iter().map(|file| file.0.clone()).collect::<Vec<_>>();
    assert_eq!((found.len(), names(&found)), (files, names(&undisturbed)));
    assert!(found == undisturbed, "other bytes");

    let dead = world.run_with(&format!("queue dead --queue {QUEUE} --json"), &variables);
    let dead: Value = serde_json::from_str(&dead.stdout).unwrap();
    let mut dead: Vec<&str> =
        dead["dead"].as_array().unwrap().iter().map(|letter| letter["body"].as_str().unwrap()).collect();
    dead.sort_unstable();
    let innocent = dead.iter().find(|body| !body.contains("poisoned-"));
    assert!(innocent.is_none(), "{innocent:?}");
    for poisoned in 0..POISONED {
        assert!(
            dead.iter().any(|body| body.contains(&format!("poisoned-{poisoned}"))),
            "poisoned-{poisoned} is not dead"
        );
    }
    let audit = world.run_with("runs audit dt=1 --out s3://bucket/out --json --quiet", &variables);
    assert!(audit.code == 3 && audit.stdout.contains("\"verdict\":\"hold\""), "{}{}", audit.stdout, audit.stderr);
    // After looking at the poisoned files, a person publishes the others, and readers find only those.
    let publish = "runs publish dt=1 --out s3://bucket/out --force --reason poisoned --quiet";
    assert_eq!(world.run_with(publish, &variables).code, 0);
    let read = |key: &str| -> Value {
        let bytes = runtime().block_on(store.get(key)).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let manifest = read(read("published.json")["current"]["manifest"].as_str().unwrap());
    let published: Vec<&str> =
        manifest["outputs"].as_array().unwrap().iter().map(|output| output["key"].as_str().unwrap()).collect();
    let names: Vec<String> = published.iter().map(|key| format!("runs/dt=1/ctr/{key}")).collect();
    assert_eq!(names, found.into_iter().map(|(key, _)| key).collect::<Vec<_>>());
}

#[test]
fn a_queue_without_a_dead_letter_queue_is_reported_and_bad_messages_stay() {
    let Some(moto) = Moto::start() else { return };
    moto.make_queue("bookings", "3");
    let world = world_with_a_model();
    let variables = moto.variables();
    // The dead-letter queue has no dead-letter queue itself. It has the message of a poisoned file, and receives no other.
    let data = world.write("poison/dt=1/part-0.csv", "not,what\nthe,model\n");
    let queue = "sqs://bookings-dead";
    let send = format!("queue send --queue {queue} --data {} --quiet", data.display());
    assert_eq!(world.run_with(&send, &variables).code, 0);
    let line = format!("worker --queue {queue} --registry registry --model ctr@champion --out out --cache cache");
    let mut worker = Command::new(env!("CARGO_BIN_EXE_clickcast"));
    worker.args(line.split_whitespace()).current_dir(world.path("")).envs(variables);
    let mut worker = worker.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (mut lines, mut said) = (BufReader::new(worker.stderr.take().unwrap()).lines(), Vec::new());
    while !said.last().is_some_and(|line: &String| line.contains("comes back, for the queue has no dead letters")) {
        said.push(lines.next().unwrap().unwrap());
    }
    assert!(said.iter().any(|line| line.contains("RedrivePolicy")), "{said:?}");
    signal(&worker, "TERM");
    assert_ends_well(&mut worker, "TERM", &[0]);
    let stats = world.run_with(&format!("queue stats --queue {queue} --json"), &variables);
    let stats: Value = serde_json::from_str(&stats.stdout).unwrap();
    assert_eq!(stats["in_flight"].as_u64(), Some(1), "{stats}");
}
