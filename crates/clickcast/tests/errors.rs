//! Every failure is reported in one sentence, with the right exit code, and leaves nothing half-written.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;

use arrow_array::ArrayRef;
use clickcast_testing::services::SmallDisk;
use support::{World, runtime};

const SCHEMA: &str = "label = \"click\"\nid = [\"id\"]\n[[feature]]\nname = \"age\"\nkind = \"numeric\"\n\
                      [[feature]]\nname = \"os\"\nkind = \"categorical\"\n";

/// A few hundred rows to train a model on.
fn impressions() -> String {
    rows(400)
}

fn rows(count: usize) -> String {
    let mut text = "id,age,os,click\n".to_owned();
    for row in 0..count {
        let os = if row % 3 == 0 { "ios" } else { "android" };
        text += &format!("{row},{},{os},{}\n", row % 50, u8::from(row % 7 == 0 || row % 3 == 0));
    }
    text
}

/// A folder with data, a schema and a model.
fn world() -> World {
    let world = World::new();
    world.write("features.toml", SCHEMA);
    world.write("data/a.csv", impressions());
    world.json("train --data data --schema features.toml --family lr --out model");
    world
}

/// Runs a command that must fail: exit code 2, one sentence on stderr with all of `said`, nothing on stdout,
/// and no file under `out`.
fn refused(world: &World, arguments: &str, said: &[&str]) {
    let ended = world.run(arguments);
    assert_eq!(ended.code, 2, "{arguments}: {}{}", ended.stdout, ended.stderr);
    assert!(
        ended.stderr.lines().filter(|line| line.starts_with("error: ")).count() == 1,
        "{arguments}: {}",
        ended.stderr
    );
    for part in said {
        assert!(ended.stderr.contains(part), "{arguments}: wanted `{part}` in: {}", ended.stderr);
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(ended.stdout.is_empty(), "{arguments}: {}", ended.stdout);
    assert!(world.files("out").is_empty(), "{arguments} left {:?}", world.files("out"));
}

#[test]
fn data_that_can_not_be_read_is_refused_by_name_and_place() {
    let world = world();
    world.json("synth --rows 2000 --out good.parquet --schema synth.toml");
    let parquet = std::fs::read(world.path("good.parquet")).unwrap();
    world.write("bad/truncated.parquet", &parquet[..parquet.len() / 2]);
    world.write("bad/middle.parquet", [&parquet[..parquet.len() / 4], &parquet[parquet.len() / 2..]].concat());
    world.write("bad/text.parquet", impressions());
    world.write("bad/binary.csv", &parquet);
    world.write("bad/plain.csv.gz", impressions());
    world.write("bad/empty.csv", "");
    world.write("bad/empty.parquet", "");
    world.write("bad/latin.csv", b"id,age,os,click\n1,2,ios,0\n2,3,caf\xe9,1\n");
    world.write("bad/words.csv", "id,age,os,click\n1,2,ios,0\n2,old,ios,1\n");
    world.write("bad/column.csv", "id,age,click\n1,2,0\n");
    world.write("bad/ragged.csv", "id,age,os,click\n1,2,ios,0\n2,3,ios\n");
    std::fs::create_dir_all(world.path("bad/nothing")).unwrap();
    for (file, said) in [
        ("truncated.parquet", &["truncated.parquet"][..]),
        ("middle.parquet", &["middle.parquet"]),
        ("text.parquet", &["text.parquet", "Parquet"]),
        ("binary.csv", &["binary.csv"]),
        ("plain.csv.gz", &["plain.csv.gz", "gzip"]),
        ("empty.csv", &["empty.csv", "empty"]),
        ("empty.parquet", &["empty.parquet", "empty"]),
        ("latin.csv", &["latin.csv", "UTF-8"]),
        ("words.csv", &["words.csv", "age", "old"]),
        ("column.csv", &["column.csv", "`os` is missing"]),
        ("ragged.csv", &["ragged.csv"]),
        ("nothing", &["nothing"]),
        ("absent.csv", &["absent.csv"]),
    ] {
        refused(&world, &format!("predict --model model --data bad/{file} --out out"), said);
    }
}

#[test]
fn a_model_is_not_written_among_its_data() {
    let world = world();
    for out in ["data", "data/model"] {
        let train = format!("train --data data --schema features.toml --family lr --out {out}");
        refused(&world, &train, &[out, "is the folder of the input or below it"]);
    }
    // A model that was put there all the same is no data.
    world.json("train --data data --schema features.toml --family lr --out model");
    for (name, bytes) in world.files("model") {
        world.write(&format!("data/model/{name}"), bytes);
    }
    world.json("models register --name ctr --model data/model --registry data/registry");
    assert_eq!(world.json("predict --model data/model --data data --out out")["files"], 1);
}

#[test]
fn labels_and_weights_are_checked_row_by_row() {
    let world = world();
    let weighted = SCHEMA.replace("label", "weight = \"w\"\nlabel");
    world.write("weighted.toml", &weighted);
    let rows = |label: &str, weight: &str| format!("id,age,os,click,w\n1,2,ios,0,1\n2,3,ios,{label},{weight}\n");
    for (name, text, said) in [
        ("label", rows("2", "1"), &["label.csv", "`click`, row 2", "2"][..]),
        ("blank", rows("", "1"), &["blank.csv", "`click`, row 2", "missing"]),
        ("word", rows("maybe", "1"), &["word.csv", "`click`, row 2", "maybe"]),
        ("nan", rows("1", "NaN"), &["nan.csv", "`w`, row 2"]),
        ("infinite", rows("1", "inf"), &["infinite.csv", "`w`, row 2", "inf"]),
        ("negative", rows("1", "-1"), &["negative.csv", "`w`, row 2", "-1"]),
    ] {
        world.write(&format!("{name}.csv"), text);
        refused(&world, &format!("train --data {name}.csv --schema weighted.toml --family lr --out out"), said);
    }
    let one_class: String = impressions()
        .lines()
        .map(|line| {
            let kept = line.rsplit_once(',').unwrap().0;
            if line.ends_with("click") { format!("{line}\n") } else { format!("{kept},0\n") }
        })
        .collect();
    world.write("one.csv", one_class);
    refused(&world, "train --data one.csv --schema features.toml --family lr --out out", &["one.csv", "click"]);
    world.write("header.csv", "id,age,os,click\n");
    refused(&world, "train --data header.csv --schema features.toml --family ffm --out out", &["header.csv", "row"]);
    refused(&world, "evaluate --model model --data header.csv", &["header.csv", "no rows"]);
}

#[test]
fn zero_rows_are_scored_to_zero_rows_and_extra_columns_do_not_matter() {
    let world = world();
    world.write("header.csv", "id,age,os,click\n");
    let outcome = world.json("predict --model model --data header.csv --out out");
    assert_eq!((outcome["rows"].as_u64(), outcome["files"].as_u64()), (Some(0), Some(1)));
    world.write("extra.csv", "more,os,id,age\n9,ios,1,2\n");
    assert_eq!(world.json("predict --model model --data extra.csv --out out")["rows"], 1);
}

#[test]
fn models_that_differ_or_are_damaged_never_score() {
    let world = world();
    let files = world.files("model");
    type Change = dyn Fn(&str, Vec<u8>) -> Option<Vec<u8>>;
    let copy = |name: &str, change: &Change| {
        for (file, bytes) in &files {
            if let Some(bytes) = change(file, bytes.clone()) {
                world.write(&format!("{name}/{file}"), bytes);
            }
        }
    };
    copy("flipped", &|file, mut bytes| {
        if file.ends_with("safetensors") {
            let last = bytes.len() - 1;
            bytes[last] ^= 1;
        }
        Some(bytes)
    });
    copy("short", &|file, bytes| Some(if file == "model.json" { bytes[..bytes.len() / 2].to_vec() } else { bytes }));
    copy("newer", &|file, bytes| {
        Some(if file == "model.json" {
            String::from_utf8(bytes).unwrap().replacen("\"format\": 1", "\"format\": 99", 1).into_bytes()
        } else {
            bytes
        })
    });
    copy("partial", &|file, bytes| (file == "model.json").then_some(bytes));
    for (model, said) in [
        ("flipped", &["flipped", "SHA-256"][..]),
        ("short", &["short", "model.json"]),
        ("newer", &["newer", "format 99", "use a newer clickcast"]),
        ("partial", &["partial", "is missing"]),
        ("absent", &["absent", "no model"]),
    ] {
        refused(&world, &format!("predict --model {model} --data data --out out"), said);
    }
    world.write("kind.csv", "id,age,os\n1,young,ios\n");
    refused(&world, "predict --model model --data kind.csv --out out", &["kind.csv", "age"]);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let world = world();
    world.write("bad.toml", "label = \"click\"\n[[feature]]\nname = \"age\"\nkind = \"number\"\n");
    world.write("model.txt", "tree\nversion=v4\nnum_class=3\n");
    for (arguments, said) in [
        ("predict --model model --data data --out data", &["data", "input"][..]),
        ("predict --model model --data data/a.csv --out data", &["data", "input"]),
        ("predict --model model --data data --out data/out", &["data/out", "or below it"]),
        ("predict --model model --data . --out out", &["`out`", "or below it"]),
        ("predict --model model --data data --out out --keep ctr", &["`ctr` is the column of the predictions"]),
        ("predict --model model --data ftp://x/y --out out", &["ftp"]),
        ("predict --model model --data data --out out --keep nope", &["`nope` is missing"]),
        // A device that accepts no data, as a folder.
        ("predict --model model --data data --out /dev/full", &["`/dev/full` is not a folder"]),
        ("predict --model model --data data --out /dev/full/out", &["`/dev/full` is not a folder"]),
        ("train --data data --schema bad.toml --family lr --out out", &["bad.toml", "number"]),
        ("train --data data --schema absent.toml --family lr --out out", &["absent.toml"]),
        ("train --data data --schema features.toml --family lr --out out --sample-negatives 0", &["sample-negatives"]),
        ("schema --data data --label nope", &["`nope` is missing"]),
        ("schema --data data --label click --out data", &["data", "it is a folder"]),
        ("schema --data data --label click --out /dev/full", &["/dev/full", "a device, pipe or socket"]),
        ("synth --rows 10 --out rows.csv --schema /dev/full", &["/dev/full", "a device, pipe or socket"]),
        ("predict --model ctr@champion --data data --out out", &["`ctr@champion`", "give --registry"]),
        ("demo --dir /dev/full", &["`/dev/full` is not a folder"]),
        ("import --from lightgbm model.txt --out out", &["model.txt"]),
        ("import --from lightgbm absent.txt --out out", &["absent.txt"]),
        ("evaluate --model model --data data --by nope", &["`nope` is missing"]),
        ("synth --rows 10 --users 0 --out out/x.parquet", &["users"]),
    ] {
        refused(&world, arguments, said);
    }
}

#[test]
fn a_wrong_command_line_is_reported_in_one_sentence_with_what_to_do() {
    let world = World::new();
    let train = "train --data a --schema f";
    for (arguments, said) in [
        ("predikt", &["'predikt'", "'predict'", "see `clickcast --help`"][..]),
        ("predict --dta x", &["'--dta'", "'--data'", "see `clickcast predict --help`"]),
        ("predict --data x", &["--model <MODEL>, --out <URI>", "see `clickcast predict --help`"]),
        ("predict --data", &["'--data <URI>'", "see `clickcast predict --help`"]),
        ("queue stat --queue x", &["'stat'", "'stats'", "see `clickcast queue --help`"]),
        ("--json runs show a b --out x", &["'b'", "see `clickcast runs show --help`"]),
        ("synth --rows many --out x", &["'many'", "'--rows <N>'", "see `clickcast synth --help`"]),
        ("synth --rows 1 --rows 2 --out x", &["'--rows <N>'", "multiple times"]),
        (&format!("{train} --family fmm --out x"), &["'fmm'", "[possible values: lr, fm, ffm]; ", "'fm'"]),
        (
            "models promote ctr@1 --channel c --force --registry r",
            &["--reason <TEXT>", "clickcast models promote --help"],
        ),
        ("models register --name a/b --model m --registry r", &["'a/b'", "has a `/`"]),
    ] {
        refused(&world, arguments, said);
        let ended = world.run(arguments);
        assert_eq!(ended.stderr.trim_end().lines().count(), 1, "{arguments}: {}", ended.stderr);
    }
    let with = world.run_with("synth --rows 1 --out x.csv", &[("CLICKCAST_THREADS", "none")]);
    assert!(with.code == 2 && with.stderr.trim_end().lines().count() == 1, "{}", with.stderr);
    // `--help` prints the whole help.
    for (arguments, code) in [("--help", 0), ("predict --help", 0), ("--version", 0), ("predict --version", 0), ("", 2)]
    {
        let ended = world.run(arguments);
        let printed = ended.stdout + &ended.stderr;
        assert!(ended.code == code && !printed.contains("error: "), "{arguments}: {printed}");
        assert!(arguments.ends_with("version") || printed.contains("Usage: clickcast"), "{arguments}: {printed}");
    }
}

#[test]
fn listing_an_absent_folder_is_refused_and_an_empty_folder_lists_nothing() {
    let world = World::new();
    std::fs::create_dir(world.path("empty")).unwrap();
    world.write("file", "");
    for (command, flag, key) in [("runs list", "--out", "runs"), ("models list", "--registry", "models")] {
        for missing in ["missing", "file"] {
            let said = format!("there is no folder `{missing}`; give {flag}");
            refused(&world, &format!("{command} {flag} {missing}"), &[&said]);
        }
        assert_eq!(world.json(&format!("{command} {flag} empty"))[key].as_array().unwrap().len(), 0);
    }
}

#[test]
fn looking_into_a_mistyped_queue_creates_none() {
    let world = World::new();
    for command in ["stats", "dead", "redrive"] {
        let said = ["`sqlite://out/day.db`", "there is no such queue", "`queue send`"];
        refused(&world, &format!("queue {command} --queue sqlite://out/day.db"), &said);
    }
    assert_eq!(world.run("queue send --queue sqlite://out/day.db --data absent").code, 2);
    assert!(!world.path("out").exists());
    world.write("day.csv", "id\n1\n");
    world.json("queue send --queue sqlite://out/day.db --data day.csv --run r");
    assert_eq!(world.json("queue stats --queue sqlite://out/day.db")["visible"], 1);
    assert_eq!(world.json("queue redrive --queue sqlite://out/day.db")["redriven"], 0);
}

#[test]
fn predictions_are_never_written_among_the_inputs_however_the_folder_is_spelled() {
    let world = world();
    std::os::unix::fs::symlink(world.path("data"), world.path("link")).unwrap();
    let root = world.path("");
    let root = root.display().to_string();
    let root = root.trim_end_matches('/');
    for (data, out) in [
        ("data/a.csv".to_owned(), format!("file://{root}/data")),
        (format!("file://{root}/d%61ta/a.csv"), "data".to_owned()),
        ("data//a.csv".to_owned(), "./data/".to_owned()),
        ("link".to_owned(), "data".to_owned()),
        ("link".to_owned(), "data/predictions/today".to_owned()),
        ("data".to_owned(), "link/../data".to_owned()),
    ] {
        refused(&world, &format!("predict --model model --data {data} --out {out}"), &["the folder of the input"]);
    }
    assert_eq!(world.files("data").len(), 1);
    // If the input is a single file, its folder isn't searched; hidden files are not found.
    for (data, out) in [("data", "data/_out"), ("data", "data/x/.hidden/out"), ("data/a.csv", "data/out")] {
        world.json(&format!("predict --model model --data {data} --out {out}"));
        assert_eq!(world.files(out).len(), 1, "{data} {out}");
    }
}

#[test]
fn an_input_that_is_replaced_while_it_is_read_may_be_retried() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let world = world();
    let (path, other, text) = (world.path("data/a.csv"), world.path("other"), impressions());
    let ended = AtomicBool::new(false);
    let failed = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::SeqCst) {
                std::fs::write(&other, &text).unwrap();
                std::fs::rename(&other, &path).unwrap();
            }
        });
        // If the command finished before the replacement, try again.
        let mut runs = (0..100).map(|_| world.run("predict --model model --data data --out out --quiet"));
        let failed = runs.find(|run| run.code != 0);
        ended.store(true, Ordering::SeqCst);
        failed
    });
    let failed = failed.unwrap();
    assert_eq!(failed.code, 1, "{}", failed.stderr);
    assert!(failed.stderr.contains("data/a.csv`: it was changed in the meantime"), "{}", failed.stderr);
    assert_eq!(world.json("predict --model model --data data --out out")["rows"], 400);
}

#[test]
fn slices_distinguish_an_empty_value_from_a_missing_one() {
    use arrow_array::{Float64Array, Int64Array, RecordBatch, StringArray};
    let world = world();
    let os = StringArray::from(vec![None, Some(""), Some("ios"), None, Some(""), None]);
    let rows = RecordBatch::try_from_iter_with_nullable([
        ("id", Arc::new(Int64Array::from(vec![1; 6])) as ArrayRef, true),
        ("age", Arc::new(Float64Array::from(vec![30.0; 6])), true),
        ("os", Arc::new(os), true),
        ("click", Arc::new(Int64Array::from(vec![0, 1, 0, 1, 0, 0])), true),
    ]);
    let (rows, runtime) = (rows.unwrap(), runtime());
    let uri = world.path("rows.parquet");
    let mut writer =
        clickcast_dataset::TableWriter::create(uri.to_str().unwrap(), runtime.handle(), rows.schema()).unwrap();
    writer.write(&rows).unwrap();
    writer.finish().unwrap();
    let evaluated = world.json("evaluate --model model --data rows.parquet --by os");
    let slices = evaluated["slices"].as_array().unwrap().iter();
    let found: Vec<_> = slices.map(|slice| (slice["value"].as_str(), slice["rows"].as_u64().unwrap())).collect();
    assert_eq!(found, [(None, 3), (Some(""), 2), (Some("ios"), 1)]);
    let ended = world.run("evaluate --model model --data rows.parquet --by os");
    assert!(ended.stdout.contains("(missing)"), "{}", ended.stdout);
}

#[test]
fn a_path_that_is_not_a_file_is_neither_read_nor_replaced() {
    let world = world();
    let pipe = |name: &str| {
        let path = world.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        path
    };
    pipe("pipe.csv");
    refused(&world, "predict --model model --data pipe.csv --out out", &["pipe.csv", "a device, pipe or socket"]);
    let output = pipe("pipes/a.csv.parquet");
    refused(&world, "predict --model model --data data --out pipes", &["a.csv.parquet", "a device, pipe or socket"]);
    assert!(std::os::unix::fs::FileTypeExt::is_fifo(&output.metadata().unwrap().file_type()));
}

#[test]
fn predictions_of_no_rows_have_the_columns_of_others() {
    let world = world();
    let runtime = runtime();
    world.write("mixed/none.csv", rows(0));
    world.write("mixed/some.csv", rows(3));
    world.json("predict --model model --data mixed --out out --keep os");
    let inputs = runtime.block_on(clickcast_dataset::discover(world.path("out").to_str().unwrap())).unwrap();
    let schemas = inputs.iter().map(|input| clickcast_dataset::sample(input, runtime.handle(), 9).unwrap().schema());
    let [none, some] = &schemas.collect::<Vec<_>>()[..] else { panic!("there are two files") };
    assert_eq!(none.fields(), some.fields());
    assert_eq!(none.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>(), ["id", "os", "ctr"]);
}

#[test]
fn a_file_without_rows_changes_no_model() {
    let world = world();
    world.write("mixed/0.csv", rows(0));
    world.write("mixed/a.csv", impressions());
    for family in ["lr", "fm", "ffm"] {
        for data in ["data", "mixed"] {
            world.json(&format!("train --data {data} --schema features.toml --family {family} --out {data}-{family}"));
        }
        let weights = |folder: &str| {
            let files = world.files(&format!("{folder}-{family}"));
            files.into_iter().filter(|(name, _)| name.ends_with("safetensors")).collect::<Vec<_>>()
        };
        assert!(weights("data") == weights("mixed") && !weights("data").is_empty(), "{family}");
    }
    assert_eq!(world.json("evaluate --model model --data mixed")["rows"], 400);
}

#[test]
fn a_full_disk_may_be_retried_and_leaves_nothing() {
    let world = world();
    world.write("large/a.csv", rows(20_000));
    let Some(disk) = SmallDisk::mount(&world.path("out"), 8) else { return };
    let ended = world.run("predict --model model --data large --out out --quiet");
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    let said = ended.stderr.trim_end();
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "{said}");
    assert!(said.contains("out/a.csv.parquet") && said.contains("No space left"), "{said}");
    assert!(ended.stdout.is_empty(), "{}", ended.stdout);
    assert!(disk.names().is_empty(), "left {:?}", disk.names());
    // Schemas and reports fail in the same way.
    std::fs::write(world.path("out/full"), vec![1; 8192]).unwrap();
    let ended = world.run("schema --data large --label click --out out/features.toml --quiet");
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("out/features.toml") && ended.stderr.contains("No space left"), "{}", ended.stderr);
    assert_eq!(disk.names(), ["full"]);
}
