//! Workers that share one large input by ranges of its row groups.
#![allow(clippy::unwrap_used, clippy::panic)]

mod support;

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::{ArrayRef, DictionaryArray, Float32Array, Int32Array, Int64Array, RecordBatch, StringArray};
use clickcast_dataset::TableWriter;
use clickcast_job::message::{Range, SUCCESS, Task};
use clickcast_storage::queue::{Depth, Queue};
use clickcast_testing::torture::signal;
use serde_json::Value;
use support::World;
use tokio::runtime::Runtime;

const QUEUE: &str = "sqlite://queue.db";
const WORKER: &str = "worker --queue sqlite://queue.db --registry registry --model ctr@champion --out out --cache cache \
                      --threads 1 --visibility-s 5";
/// Rows per row group.
const GROUP_ROWS: u64 = 1 << 20;
/// Rows per range.
const RANGE_ROWS: u64 = 4 * GROUP_ROWS;

/// A model that is promoted by force.
fn world() -> World {
    let world = World::new();
    world.write(
        "features.toml",
        "label = \"click\"\nid = [\"id\"]\n[[feature]]\nname = \"age\"\nkind = \"numeric\"\n\
         [[feature]]\nname = \"os\"\nkind = \"categorical\"\n",
    );
    let os = |row: u64| if row.is_multiple_of(3) { "ios" } else { "android" };
    let row = |row| format!("{row},{},{},{}\n", row % 50, os(row), u8::from(row % 7 == 0 || row % 3 == 0));
    world.write("learn.csv", "id,age,os,click\n".to_owned() + &(0..2_000).map(row).collect::<String>());
    world.json("train --data learn.csv --schema features.toml --family lr --out model");
    world.json("models register --name ctr --model model --registry registry");
    world.json("models promote ctr@1 --channel champion --force --reason first --registry registry");
    world
}

/// Writes rows that are numbered from `first` on, with one row group for each [`GROUP_ROWS`].
fn write_rows(world: &World, runtime: &Runtime, file: &str, first: u64, rows: u64) {
    let values: ArrayRef = Arc::new(StringArray::from(vec!["android", "ios", "other"]));
    let batch = |first: u64, rows: u64| {
        let numbers = first..first + rows;
        let os = Int32Array::from_iter_values(numbers.clone().map(|number| (number / 5 % 3) as i32));
        let os = DictionaryArray::try_new(os, values.clone()).unwrap();
        let age = Float32Array::from_iter_values(numbers.clone().map(|number| (number % 61) as f32));
        let id = Int64Array::from_iter_values(numbers.map(|number| number as i64));
        let columns: [(&str, ArrayRef); 3] = [("id", Arc::new(id)), ("age", Arc::new(age)), ("os", Arc::new(os))];
        RecordBatch::try_from_iter(columns).unwrap()
    };
    let path = world.path(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let schema = batch(0, 0).schema();
    let mut writer = TableWriter::create(path.to_str().unwrap(), runtime.handle(), schema).unwrap();
    for done in (0..rows).step_by(GROUP_ROWS as usize) {
        writer.write(&batch(first + done, GROUP_ROWS.min(rows - done))).unwrap();
    }
    writer.finish().unwrap();
}

/// Reads the ids and predictions of a file, in order.
fn read(world: &World, runtime: &Runtime, file: &str) -> RecordBatch {
    let inputs = runtime.block_on(clickcast_dataset::discover(world.path(file).to_str().unwrap())).unwrap();
    let batch = clickcast_dataset::sample(&inputs[0], runtime.handle(), usize::MAX).unwrap();
    // The folder `dt=1` becomes a column.
    let places: Vec<usize> = ["id", "ctr"].iter().map(|name| batch.schema().index_of(name).unwrap()).collect();
    batch.project(&places).unwrap()
}

/// Returns the outputs of the run, by name.
fn outputs(world: &World) -> Vec<String> {
    let files = world.files("out/runs/dt=1/ctr").into_iter().map(|(name, _)| name);
    files.filter(|name| name.ends_with(".parquet") && !name.starts_with('.')).collect()
}

fn start(world: &World, arguments: &str) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_clickcast"));
    command.args(WORKER.split_whitespace()).args(arguments.split_whitespace()).current_dir(world.path(""));
    command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap()
}

/// Returns the report of a worker that must have ended with success.
fn report(worker: Child) -> Value {
    let ended = worker.wait_with_output().unwrap();
    assert!(ended.status.success());
    serde_json::from_slice(&ended.stdout).unwrap()
}

fn queue(world: &World, runtime: &Runtime) -> Queue {
    runtime.block_on(Queue::open(&format!("sqlite://{}", world.path("queue.db").display()))).unwrap()
}

/// Sends a message for an object of the day, or for a range of an older version of it.
fn send(world: &World, runtime: &Runtime, name: &str, older: Option<(u64, u64)>) {
    let range = older.map(|row_groups| Range { row_groups, etag: "older".to_owned() });
    let task = Task { range, ..Task::new(world.path("in/dt=1").join(name).to_str().unwrap()) };
    runtime.block_on(queue(world, runtime).send(&[task.body()])).unwrap();
}

/// Polls the queue until the condition holds; fails after a minute.
fn wait_until(runtime: &Runtime, queue: &Queue, is_so: impl Fn(&Depth) -> bool) -> Depth {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        assert!(Instant::now() < end, "the queue has {:?}", runtime.block_on(queue.depth()));
        let depth = runtime.block_on(queue.depth()).unwrap();
        if is_so(&depth) {
            return depth;
        }
        std::thread::yield_now();
    }
}

/// Stops a worker when the condition holds, but not during a transaction, which would block the queue for others.
fn stopped_when(runtime: &Runtime, queue: &Queue, worker: &Child, is_so: impl Fn(&Depth) -> bool) -> Depth {
    loop {
        wait_until(runtime, queue, &is_so);
        signal(worker, "STOP");
        match runtime.block_on(queue.depth()) {
            Ok(depth) => return depth,
            Err(_) => signal(worker, "CONT"),
        }
    }
}

#[test]
fn a_large_input_is_shared_by_ranges_and_complete_although_a_worker_is_killed_with_one() {
    const RANGES: u64 = 3;
    const ROWS: u64 = 2 * RANGE_ROWS + 1_000;
    let (world, runtime) = (world(), Runtime::new().unwrap());
    write_rows(&world, &runtime, "in/dt=1/large.parquet", 0, ROWS);
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    let queue = queue(&world, &runtime);
    let left = |depth: &Depth| depth.visible + depth.in_flight;

    let mut victim = start(&world, "");
    // The message for the whole input is gone; the messages in flight are ranges.
    let held = stopped_when(&runtime, &queue, &victim, |depth| left(depth) == RANGES && depth.in_flight > 0).in_flight;
    let second = start(&world, "--until-idle --json");
    let both = wait_until(&runtime, &queue, |depth| depth.in_flight > held || left(depth) < RANGES);
    signal(&victim, "KILL");
    victim.wait().unwrap();
    assert!(left(&both) > 0 && outputs(&world).len() < RANGES as usize, "the killed one held something");
    let third = start(&world, "--until-idle --json");
    let (second, third) = (report(second), report(third));
    let of_both = |key: &str| second[key].as_u64().unwrap() + third[key].as_u64().unwrap();
    assert_eq!((of_both("written"), of_both("rows")), (RANGES, ROWS), "{second} {third}");

    // The event and the end of the folder come again: all is done, and the run is closed.
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1 --close"));
    let last = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!((&last["written"], &last["handed_on"], &last["closed"]), (&0.into(), &0.into(), &1.into()), "{last}");
    let audited = world.json("runs audit dt=1 --registry registry --out out");
    assert_eq!((&audited["verdict"], &audited["rows_out"]), (&"pass".into(), &ROWS.into()), "{audited}");

    world.json("predict --model ctr@1 --registry registry --data in/dt=1 --out undisturbed --threads 1");
    let expected = read(&world, &runtime, "undisturbed/large.parquet");
    let names = ["large.g0-3.parquet", "large.g4-7.parquet", "large.g8-8.parquet"];
    assert_eq!(outputs(&world), names);
    let mut first = 0;
    for name in names {
        let found = read(&world, &runtime, &format!("out/runs/dt=1/ctr/{name}"));
        assert!(found == expected.slice(first, found.num_rows()), "`{name}` has other rows");
        first += found.num_rows();
    }
    assert_eq!((first as u64, expected.num_rows() as u64), (ROWS, ROWS));
}

#[test]
fn a_large_input_that_was_overwritten_is_cut_again_by_one_of_its_old_ranges() {
    let (world, runtime) = (world(), Runtime::new().unwrap());
    write_rows(&world, &runtime, "in/dt=1/large.parquet", 0, RANGE_ROWS + 1_000);
    for row_groups in [(4, 7), (0, 3), (8, 9)] {
        send(&world, &runtime, "large.parquet", Some(row_groups));
    }
    let done = world.json(&format!("{WORKER} --until-idle"));
    let counts = ["overwritten", "handed_on", "written"].map(|key| done[key].as_u64().unwrap());
    assert_eq!(counts, [3, 2, 2], "one sends the input again, which then is cut once: {done}");
    assert_eq!(outputs(&world), ["large.g0-3.parquet", "large.g4-4.parquet"]);
}

#[test]
fn the_end_of_a_folder_finds_an_overwrite_that_no_message_reported() {
    let (world, runtime) = (world(), Runtime::new().unwrap());
    for file in ["a", "b"] {
        write_rows(&world, &runtime, &format!("in/dt=1/{file}.parquet"), 0, 100);
    }
    world.json(&format!("queue send --queue {QUEUE} --data in/dt=1"));
    world.json(&format!("{WORKER} --until-idle"));
    let older = world.files("out/runs/dt=1/ctr");
    write_rows(&world, &runtime, "in/dt=1/a.parquet", 500, 90);
    send(&world, &runtime, SUCCESS, None);
    let mut worker = start(&world, "");
    let end = Instant::now() + Duration::from_secs(120);
    while world.files("out/runs/dt=1/ctr") == older {
        assert!(Instant::now() < end, "nobody asked for it");
        std::thread::yield_now();
    }
    signal(&worker, "TERM");
    assert!(worker.wait().unwrap().success());
    assert_eq!(world.json("runs close dt=1 --out out")["rows"], 190);
    assert_eq!(world.json("runs audit dt=1 --registry registry --out out")["rows_out"], 190);
}

#[test]
fn a_message_for_a_deleted_object_begins_no_run() {
    let (world, runtime) = (world(), Runtime::new().unwrap());
    send(&world, &runtime, "gone.parquet", None);
    let done = world.json(&format!("{WORKER} --until-idle"));
    assert_eq!(done["buried"], 1, "{done}");
    let dead = world.json(&format!("queue dead --queue {QUEUE}"));
    assert!(dead["dead"][0]["reason"].as_str().unwrap().contains("gone.parquet` is gone"), "{dead}");
    assert!(world.files("out").is_empty(), "{:?}", world.files("out"));
}
