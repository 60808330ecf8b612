//! Pairs: each is scored as `predict` scores it as a row, and the best are chosen.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;

use support::World;
use support::pairs::{Pair, alike, read, write_out};

const IDS: &str = "--id user_id,ad_id";
/// The context of all pairs, except the hour, which each user has.
const CONTEXT: &str = "creative_age_days=3,weekend=0,publisher=pub_1,placement=,connection=wifi,position=2";
const FAMILIES: [&str; 3] = ["lr", "fm", "ffm"];

/// Users, ads, their schema and a model of each family.
fn world(families: &[&str]) -> World {
    let world = World::new();
    world.json(
        "synth --rows 6000 --days 1 --users 230 --ads 37 --out rows.parquet --schema features.toml \
         --users-out plain.csv --ads-out ads.csv",
    );
    let plain = std::fs::read_to_string(world.path("plain.csv")).unwrap();
    let hour = |(row, line): (usize, &str)| match row {
        0 => format!("{line},hour\n"),
        row => format!("{line},{}\n", row % 24),
    };
    world.write("users.csv", plain.lines().enumerate().map(hour).collect::<String>());
    for family in families {
        world.json(&format!("train --data rows.parquet --schema features.toml --family {family} --out {family}"));
    }
    world
}

/// Scores the pairs of some files with `cross` and with `predict`, and compares the scores.
fn compared(world: &World, model: &str, context: &str) {
    write_out(world, "users.csv", "ads.csv", context, "written.csv");
    let context = if context.is_empty() { String::new() } else { format!("--context {context}") };
    for (precision, difference_max) in [("f32", 1e-6), ("f64", 1e-12)] {
        let (to, rows) = (format!("out-{model}-{precision}"), format!("rows-{model}-{precision}"));
        let outcome = world.json(&format!(
            "cross --model {model} --users users.csv --ads ads.csv {context} {IDS} --precision {precision} --out {to}"
        ));
        world.json(&format!(
            "predict --model {model} --data written.csv --keep user_id,ad_id --precision {precision} --out {rows}"
        ));
        let found = read(&world.path(&format!("{to}/users.csv.parquet")));
        let expected = read(&world.path(&format!("{rows}/written.csv.parquet")));
        assert!(found.len() > 1000 && outcome["rows"] == found.len() as u64, "{outcome}");
        alike(&format!("{model}, {precision}"), &found, &expected, difference_max);
    }
}

#[test]
fn pairs_of_learned_models_score_as_rows() {
    let world = world(&[]);
    // A pair has no impression id, which `predict` would require.
    let features = std::fs::read_to_string(world.path("features.toml")).unwrap();
    world.write("features.toml", features.replace("\"impression_id\", ", ""));
    for family in FAMILIES {
        world.json(&format!("train --data rows.parquet --schema features.toml --family {family} --out {family}"));
        compared(&world, family, CONTEXT);
    }
}

#[test]
fn pairs_of_lightgbm_models_score_as_rows() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden");
    for (name, categorical) in
        [("numeric", &[][..]), ("categorical_small", &[0, 2]), ("linear", &[]), ("missing_nan", &[])]
    {
        let world = World::new();
        let rows = std::fs::read_to_string(golden.join(format!("{name}.csv"))).unwrap();
        let columns = rows.lines().next().unwrap().split(',').count() - 2;
        let side = |column: usize| ["user", "ad", "user", "ad", "context"][column % 5];
        let of = |wanted: &'static str| {
            (0..columns).filter(move |&column| side(column) == wanted || wanted == "user" && side(column) == "context")
        };
        let pick = |line: &str, wanted| {
            let cells: Vec<&str> = line.split(',').collect();
            of(wanted).map(|column| format!(",{}", cells[column])).collect::<String>()
        };
        for (file, id, wanted, skipped) in [("users.csv", "user_id", "user", 0), ("ads.csv", "ad_id", "ad", 80)] {
            let mut text = format!("{id}{}\n", pick(rows.lines().next().unwrap(), wanted));
            for (number, line) in rows.lines().skip(1 + skipped).take(70).enumerate() {
                text += &format!("{number}{}\n", pick(line, wanted));
            }
            world.write(file, text);
        }
        let mut schema = "id = [\"user_id\", \"ad_id\"]\n".to_owned();
        for column in 0..columns {
            let kind = if categorical.contains(&column) { "categorical" } else { "numeric" };
            schema +=
                &format!("[[feature]]\nname = \"Column_{column}\"\nkind = \"{kind}\"\nside = \"{}\"\n", side(column));
        }
        world.write("features.toml", schema);
        let file = golden.join(format!("{name}.txt"));
        world.json(&format!("import --from lightgbm {} --schema features.toml --out {name}", file.display()));
        compared(&world, name, "");
    }
}

#[test]
fn the_best_are_those_of_all_pairs_sorted() {
    let world = world(&["fm"]);
    let run = |arguments: &str, to: &str| {
        let files = "cross --model fm --users users.csv --ads ads.csv";
        world.json(&format!("{files} --context {CONTEXT} {arguments} --out {to}"))
    };
    for precision in ["f32", "f64"] {
        let all_to = format!("all-{precision}");
        run(&format!("--precision {precision}"), &all_to);
        let all = read(&world.path(&format!("{all_to}/users.csv.parquet")));
        let places = |of: fn(&Pair) -> &String| {
            let mut places: Vec<String> = Vec::new();
            all.iter().map(of).for_each(|id| {
                if !places.contains(id) {
                    places.push(id.clone());
                }
            });
            places
        };
        let (users, ads) = (places(|pair| &pair.0), places(|pair| &pair.1));
        assert_eq!((users.len(), ads.len()), (230, 37));
        let median = {
            let mut scores: Vec<f64> = all.iter().map(|pair| pair.2).collect();
            scores.sort_by(f64::total_cmp);
            scores[scores.len() / 2]
        };
        // For each id in order: its pairs above the threshold, the highest score first, up to K.
        let best = |ids: &[String], of: fn(&Pair) -> &String, k: usize, least: f64| {
            let each = ids.iter().flat_map(|id| {
                let mut own: Vec<Pair> = all.iter().filter(|pair| of(pair) == id && pair.2 >= least).cloned().collect();
                own.sort_by(|one, other| other.2.total_cmp(&one.2));
                own.truncate(k);
                own
            });
            each.collect::<Vec<Pair>>()
        };
        let user: fn(&Pair) -> &String = |pair| &pair.0;
        let ad: fn(&Pair) -> &String = |pair| &pair.1;
        let by_order: Vec<Pair> = all.iter().filter(|pair| pair.2 >= median).cloned().collect();
        for (index, (arguments, file, expected)) in [
            ("--top-k 1".to_owned(), "users", best(&users, user, 1, 0.0)),
            ("--top-k 5 --per user".to_owned(), "users", best(&users, user, 5, 0.0)),
            ("--top-k 1000".to_owned(), "users", best(&users, user, 1000, 0.0)),
            (format!("--top-k 9 --threshold {median}"), "users", best(&users, user, 9, median)),
            (format!("--threshold {median}"), "users", by_order),
            ("--threshold 1".to_owned(), "users", Vec::new()),
            ("--top-k 3 --per ad".to_owned(), "ads", best(&ads, ad, 3, 0.0)),
            (format!("--top-k 400 --per ad --threshold {median}"), "ads", best(&ads, ad, 400, median)),
        ]
        .into_iter()
        .enumerate()
        {
            let to = format!("best-{precision}-{index}");
            let outcome = run(&format!("--precision {precision} {arguments}"), &to);
            let found = read(&world.path(&format!("{to}/{file}.csv.parquet")));
            alike(&arguments, &found, &expected, 0.0);
            assert_eq!((&outcome["rows"], &outcome["written"]), (&(230 * 37).into(), &expected.len().into()));
        }
    }
}

#[test]
fn pairs_are_the_same_bytes_on_any_number_of_threads() {
    let world = world(&["ffm"]);
    for (index, arguments) in ["", "--top-k 4", "--top-k 4 --per ad", "--threshold 0.05"].iter().enumerate() {
        let run = |threads: usize| {
            let to = format!("out-{index}-{threads}");
            let files = "cross --model ffm --users users.csv --ads ads.csv";
            world.json(&format!("{files} --context {CONTEXT} {IDS} {arguments} --threads {threads} --out {to}"));
            world.files(&to)
        };
        let one = run(1);
        assert_eq!(one.len(), 1);
        assert_eq!(one, run(3), "{arguments}");
    }
}

#[test]
fn users_of_many_files_make_as_many_files_and_a_second_run_finds_them() {
    let world = world(&["lr"]);
    let text = std::fs::read_to_string(world.path("users.csv")).unwrap();
    let (header, lines) = text.split_once('\n').unwrap();
    let lines: Vec<&str> = lines.lines().collect();
    for (part, lines) in lines.chunks(100).enumerate() {
        world.write(&format!("users/part={part}/u.csv"), format!("{header}\n{}\n", lines.join("\n")));
    }
    world.write("users/part=none/u.csv", format!("{header}\n"));
    let run = |arguments: &str| {
        let files = "cross --model lr --users users --ads ads.csv --out out";
        let outcome = world.json(&format!("{files} --context {CONTEXT} {IDS} {arguments}"));
        for key in ["seconds", "rows_per_second", "peak_memory_bytes", "model", "id", "run"] {
            assert!(outcome.get(key).is_some(), "`{key}` is missing in {outcome}");
        }
        (outcome["files"].as_u64().unwrap(), outcome["skipped"].as_u64().unwrap(), outcome["rows"].as_u64().unwrap())
    };
    assert_eq!(run(""), (4, 0, 230 * 37));
    world.json(&format!("cross --model lr --users users.csv --ads ads.csv --out one --context {CONTEXT} {IDS}"));
    let parts =
        ["part=0", "part=1", "part=2", "part=none"].map(|part| read(&world.path(&format!("out/{part}/u.csv.parquet"))));
    assert_eq!(parts.concat(), read(&world.path("one/users.csv.parquet")));
    assert_eq!(run(""), (0, 4, 0));
    // Other settings, other users in one file, and other ads are new work.
    assert_eq!(run("--top-k 2").0, 4);
    world.write("users/part=2/u.csv", format!("{header}\n{}\n", lines[200..220].join("\n")));
    assert_eq!(run("--top-k 2"), (1, 3, 20 * 37));
    let ads = std::fs::read_to_string(world.path("ads.csv")).unwrap();
    world.write("ads.csv", ads.lines().take(11).map(|line| format!("{line}\n")).collect::<String>());
    assert_eq!(run("--top-k 2"), (4, 0, 220 * 10));
    assert_eq!(run("--top-k 2 --per ad"), (1, 0, 220 * 10));
    assert_eq!(run("--top-k 2 --per ad"), (0, 1, 0));
}

#[test]
fn an_unknown_category_of_the_context_is_said() {
    let world = world(&["lr"]);
    let run = |context: &str| {
        let files = "cross --model lr --users users.csv --ads ads.csv";
        world.run(&format!("{files} --context {context} {IDS} --top-k 1 --out {}", context.len()))
    };
    let known = run(&CONTEXT.replace("pub_1", "pub-0001"));
    assert!(known.code == 0 && !known.stderr.contains("not learned"), "{}", known.stderr);
    let unknown = run(&CONTEXT.replace("pub_1", "pub_unheard_of"));
    let said = "the model has not learned the category `pub_unheard_of` of column `publisher`";
    assert!(unknown.code == 0 && unknown.stderr.contains(said), "{}", unknown.stderr);
}

#[test]
fn pairs_that_make_no_sense_are_refused() {
    let world = world(&["lr"]);
    let (users, ads) = ("users.csv", "ads.csv");
    let text = |file: &str| std::fs::read_to_string(world.path(file)).unwrap();
    let line = |file: &str, number: usize| text(file).lines().nth(number).unwrap().to_owned();
    world.write("twice/users.csv", format!("{}{}\n", text(users), line(users, 7)));
    world.write("twice/ads.csv", format!("{}{}\n", text(ads), line(ads, 3)));
    let missing = |file: &str| format!("{},{}\n", text(file), line(file, 2).split_once(',').unwrap().1);
    world.write("missing/users.csv", missing(users));
    world.write("missing/ads.csv", missing(ads));
    world.write("none/ads.csv", format!("{}\n", line(ads, 0)));
    world.write("both/ads.csv", text(ads).replace("campaign", "user_id"));
    world.write("short/users.csv", text(users).replacen("carrier", "carriers", 1));
    let given = |users: &str, ads: &str| format!("--users {users} --ads {ads} --context {CONTEXT}");
    let both = given(users, ads);
    let without = |name: &str| CONTEXT.split(',').filter(|pair| !pair.starts_with(name)).collect::<Vec<_>>().join(",");
    let rows: Vec<(String, &[&str])> = vec![
        (format!("{both} {IDS} --top-k 0"), &["--top-k", "0"]),
        (format!("{both} {IDS} --top-k -3"), &["-3"]),
        (format!("{both} {IDS} --per ad"), &["--top-k"]),
        (format!("{both} {IDS} --threshold 1.5"), &["--threshold", "a CTR from 0 to 1"]),
        (format!("{both} {IDS} --threshold NaN"), &["--threshold", "a CTR from 0 to 1"]),
        (format!("{both} {IDS} --top-k 4000000 --per ad"), &["--per ad", "37 ads", "more than 8000000 pairs"]),
        (
            format!("{both} --id user_id,ad_id,impression_id"),
            &["id column `impression_id` is in neither", "users.csv", "ads.csv", "--id"],
        ),
        (format!("{both} {IDS},user_id"), &["id column `user_id` is named twice"]),
        (format!("{both} {IDS},ctr"), &["id column `ctr` is the name of the predictions"]),
        (format!("{both} --id user_id"), &["no id column is in the ads `ads.csv`"]),
        (format!("{both} --id ad_id"), &["no id column is in the users `users.csv`"]),
        (format!("{} {IDS}", given(users, "both/ads.csv")), &["id column `user_id` is in both"]),
        (format!("{} {IDS}", given("twice/users.csv", ads)), &["twice/users.csv`, row 231: user_id `", "came before"]),
        (format!("{} {IDS}", given(users, "twice/ads.csv")), &["twice/ads.csv`, row 38: ad_id `", "came before"]),
        (format!("{} {IDS}", given("missing/users.csv", ads)), &["missing/users.csv", "`user_id`, row 231", "missing"]),
        (format!("{} {IDS}", given(users, "missing/ads.csv")), &["missing/ads.csv", "`ad_id`, row 38", "missing"]),
        (format!("{} {IDS}", given(users, "none/ads.csv")), &["none/ads.csv` has no ads"]),
        (format!("{} {IDS}", given("short/users.csv", ads)), &["short/users.csv", "column `carrier` is missing"]),
        (format!("{} {IDS}", given(users, users)), &["users.csv"]),
        (
            format!("--users {users} --ads {ads} --context {} {IDS}", without("publisher")),
            &["feature `publisher`", "--context publisher=VALUE", "users.csv"],
        ),
        (format!("{both},age=3 {IDS}"), &["`--context age=3`", "a feature of the user"]),
        (format!("{both},bid=3 {IDS}"), &["`--context bid=3`", "a feature of the ad"]),
        (format!("{both},nope=3 {IDS}"), &["no feature `nope`"]),
        (format!("{both},weekend=1 {IDS}"), &["`weekend` is given twice"]),
        (format!("{both},hour {IDS}"), &["NAME=VALUE"]),
        (
            format!("--users {users} --ads {ads} --context {},position=top {IDS}", without("position")),
            &["--context position=top", "numeric"],
        ),
    ];
    for (arguments, said) in rows {
        let ended = world.run(&format!("cross --model lr {arguments} --out out --quiet"));
        assert_eq!(ended.code, 2, "{arguments}: {}{}", ended.stdout, ended.stderr);
        let sentences = ended.stderr.lines().filter(|line| line.starts_with("error: ")).count();
        assert_eq!(sentences, 1, "{arguments}: {}", ended.stderr);
        for part in said {
            assert!(ended.stderr.contains(part), "{arguments}: wanted `{part}` in: {}", ended.stderr);
        }
        assert!(world.files("out").is_empty(), "{arguments}");
    }
    let ended = world.run(&format!("cross --model lr {both} {IDS} --out ."));
    assert!(ended.code == 2 && ended.stderr.contains("is the folder of the input"), "{}", ended.stderr);
    // A model without sides can't distinguish users from ads.
    world.write("sideless.toml", text("features.toml").replace("side = \"ad\"", "side = \"context\""));
    world.json("train --data rows.parquet --schema sideless.toml --family lr --out sideless");
    let ended = world.run(&format!("cross --model sideless {both} {IDS} --out out"));
    assert!(ended.code == 2 && ended.stderr.contains("feature `ad_id` (side = \"context\")"), "{}", ended.stderr);
}

#[test]
fn memory_follows_blocks_and_never_the_number_of_pairs() {
    let world = World::new();
    world.json(
        "synth --rows 12000 --days 1 --users 60000 --ads 500 --out rows.parquet --schema features.toml \
         --users-out users.parquet --ads-out ads.parquet",
    );
    world.json("train --data rows.parquet --schema features.toml --family fm --out fm");
    let files = "cross --model fm --users users.parquet --ads ads.parquet --threads 2";
    for (arguments, to) in [("--top-k 3", "best"), ("--top-k 3 --per ad", "users"), ("--threshold 0.9", "likely")] {
        let outcome = world.json(&format!("{files} --context {CONTEXT},hour=20 {IDS} {arguments} --out {to}"));
        assert_eq!(outcome["rows"], 30_000_000);
        let peak = outcome["peak_memory_bytes"].as_u64().unwrap();
        // The probabilities of all pairs would take 114 MiB.
        assert!(peak < 300 << 20, "{arguments}: {} MiB", peak >> 20);
    }
    // Writing all pairs, in several row groups, gives the same pairs.
    world.json("synth --rows 100 --days 1 --users 5000 --ads 500 --out few.parquet --users-out few-users.parquet");
    let files = "cross --model fm --users few-users.parquet --ads ads.parquet --threads 2";
    for (arguments, to) in [("", "all"), ("--threshold 0", "all-likely")] {
        let outcome = world.json(&format!("{files} --context {CONTEXT},hour=20 {IDS} {arguments} --out {to}"));
        assert_eq!(outcome["written"], 2_500_000);
        assert!(outcome["peak_memory_bytes"].as_u64().unwrap() < 400 << 20, "{outcome}");
    }
    let all = ["all", "all-likely"].map(|to| read(&world.path(&format!("{to}/few-users.parquet"))));
    assert!(all[0] == all[1]);
}
