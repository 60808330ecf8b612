//! Workers on S3, SNS and SQS, as moto imitates them over HTTP: requests fail, messages come twice, workers die.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../storage/tests/support/mod.rs"]
mod services;
mod support;

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use clickcast_storage::Store;
use serde_json::Value;
use services::Moto;
use support::World;
use support::disturbed::Disturbed;

const QUEUE: &str = "sqs://bookings";
/// The number of the signal that comes before a worker has begun to listen to signals.
const TERMINATED: i32 = 15;
const FOLDER: &str = "in/dt=1";
/// So many are poisoned: no Parquet file, whatever their name says.
const POISONED: usize = 5;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
}

/// Numbers that look random and follow from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// A model, a bucket that tells a topic of new objects, and a queue that hears of it.
fn world(moto: &Moto) -> World {
    let world = World::new();
    world.json("synth --rows 20000 --days 1 --out learn.csv --schema features.toml");
    world.json("train --data learn.csv --schema features.toml --family lr --out model");
    world.json("models register --name ctr --model model --registry registry");
    world.json("models promote ctr@1 --channel champion --force --reason first --registry registry");
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
    world
}

/// A request of a service's query protocol.
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

/// Puts a day of small files into the bucket, by one process.
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
    let line = format!(
        "worker --queue {QUEUE} --registry registry --model ctr@champion --out s3://bucket/out --cache cache --threads 1 --quiet"
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickcast"));
    command.args(line.split_whitespace()).current_dir(world.path("")).envs(variables.iter().copied());
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status().unwrap().success());
}

/// Unless it was killed, it says 0; or 1, if the cloud failed it while it began: then it is to be started again.
fn assert_ends_well(worker: &mut Child, signal: &str) {
    let ended = worker.wait().unwrap();
    let code = ended.code();
    assert!(signal == "KILL" || matches!(code, Some(0 | 1)) || ended.signal() == Some(TERMINATED), "{ended}");
}

/// The predictions in a store, by name.
fn outputs(store: &Store) -> Vec<(String, Vec<u8>)> {
    services::runtime().block_on(async {
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
fn the_shared_files_say_who_asks_s3_and_sqs() {
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
fn whatever_fails_between_worker_and_cloud_every_row_is_scored_once() {
    let Some(moto) = Moto::start() else { return };
    let seed = setting("CLICKCAST_TORTURE_SEED", u64::from(std::process::id()));
    let files = setting("CLICKCAST_CLOUD_FILES", 300) as usize;
    eprintln!("CLICKCAST_TORTURE_SEED={seed} CLICKCAST_CLOUD_FILES={files}");
    let mut dice = Dice(seed);
    let world = world(&moto);
    upload(&world, &moto, files, 10);
    let disturbed = Disturbed::new(moto.endpoint(), seed);
    let mut variables = moto.variables();
    // Every object is asked for a second time.
    let again = format!("queue send --queue {QUEUE} --data s3://bucket/{FOLDER}");
    assert_eq!(world.run_with(&format!("{again} --quiet"), &variables).code, 0);
    variables[0].1 = &disturbed.endpoint;

    let store = moto.open("s3://bucket/out");
    let is_closed = || services::runtime().block_on(store.head("runs/dt=1/manifest.json")).is_ok();
    let mut workers: Vec<Child> = (0..3).map(|_| start(&world, &variables)).collect();
    while !is_closed() {
        // The pace of the disturbance, not a wait for anything.
        std::thread::sleep(Duration::from_millis(300 + dice.roll(1_200)));
        let victim = dice.roll(workers.len() as u64) as usize;
        let act = ["KILL", "TERM", "STOP"][dice.roll(3) as usize];
        signal(&workers[victim], act);
        if act == "STOP" {
            // Longer than a message is its own: when it wakes up, others have its work.
            std::thread::sleep(Duration::from_secs(4));
            signal(&workers[victim], "CONT");
            continue;
        }
        assert_ends_well(&mut workers[victim], act);
        workers[victim] = start(&world, &variables);
    }
    for worker in &mut workers {
        signal(worker, "TERM");
        assert_ends_well(worker, "TERM");
    }
    eprintln!("{} requests disturbed", disturbed.faults());

    // What came twice is still there, and is found done.
    let variables = moto.variables();
    let idle = format!(
        "worker --queue {QUEUE} --registry registry --model ctr@champion --out s3://bucket/out --until-idle --quiet"
    );
    let ended = world.run_with(&idle, &variables);
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
    // Whoever looked at the poisoned ones delivers the others, and readers find just them.
    let publish = "runs publish dt=1 --out s3://bucket/out --force --reason poisoned --quiet";
    assert_eq!(world.run_with(publish, &variables).code, 0);
    let read = |key: &str| -> Value {
        let bytes = services::runtime().block_on(store.get(key)).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    let manifest = read(read("published.json")["current"]["manifest"].as_str().unwrap());
    let published: Vec<&str> =
        manifest["outputs"].as_array().unwrap().iter().map(|output| output["key"].as_str().unwrap()).collect();
    let names: Vec<String> = published.iter().map(|key| format!("runs/dt=1/ctr/{key}")).collect();
    assert_eq!(names, found.into_iter().map(|(key, _)| key).collect::<Vec<_>>());
}

#[test]
fn a_queue_without_dead_letters_is_told_of_and_its_bad_messages_are_left() {
    let Some(moto) = Moto::start() else { return };
    let world = world(&moto);
    let variables = moto.variables();
    // What is dead has no dead letters of its own. It has a poisoned file's message, and hears of no other.
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
    assert_ends_well(&mut worker, "TERM");
    let stats = world.run_with(&format!("queue stats --queue {queue} --json"), &variables);
    let stats: Value = serde_json::from_str(&stats.stdout).unwrap();
    assert_eq!(stats["in_flight"].as_u64(), Some(1), "{stats}");
}
