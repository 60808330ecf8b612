//! Features of side `pair`: derived in rows, and listed by a table in pairs.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;

use support::World;
use support::pairs::{Pair, alike, read, write_out};

const IDS: &str = "--id user_id,ad_id";
/// The context of all pairs, except the hour, which each user has.
const CONTEXT: &str = "creative_age_days=3,weekend=0,publisher=pub_1,placement=,connection=wifi,position=2";

/// Rows, users, ads and their schema, with two more features.
fn world(more: &str) -> World {
    let world = World::new();
    world.json(
        "synth --rows 6000 --days 1 --users 230 --ads 37 --out rows.csv --schema features.toml \
         --users-out plain.csv --ads-out ads.csv",
    );
    let plain = std::fs::read_to_string(world.path("plain.csv")).unwrap();
    let hour = |(row, line): (usize, &str)| match row {
        0 => format!("{line},hour\n"),
        row => format!("{line},{}\n", row % 24),
    };
    world.write("users.csv", plain.lines().enumerate().map(hour).collect::<String>());
    // A pair has no impression id, which `predict` would require.
    let features = text(&world, "features.toml").replace("\"impression_id\", ", "");
    world.write("features.toml", format!("{features}\n{more}"));
    world
}

fn text(world: &World, name: &str) -> String {
    std::fs::read_to_string(world.path(name)).unwrap()
}

const COLUMNS: &str = "[[feature]]\nname = \"worth\"\nkind = \"numeric\"\nside = \"pair\"\n\
                       [[feature]]\nname = \"both\"\nkind = \"categorical\"\nside = \"pair\"\n";

/// Appends two columns to a CSV file: the worth and the kind, computed from each line's other cells.
fn append(world: &World, from: &str, to: &str, keep: impl Fn(usize) -> bool) {
    let text = text(world, from);
    let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let place = |name: &str| names.iter().position(|own| *own == name).unwrap();
    let (age, bid, carrier, campaign) = (place("age"), place("bid"), place("carrier"), place("campaign"));
    let mut out = format!("{},worth,both\n", names.join(","));
    for (row, line) in text.lines().skip(1).enumerate() {
        let cells: Vec<&str> = line.split(',').collect();
        let numbers = [cells[age], cells[bid]].map(|cell| cell.parse::<f64>());
        let worth = match numbers {
            [Ok(age), Ok(bid)] if keep(row) => (age * bid).to_string(),
            _ => String::new(),
        };
        let present = keep(row) && !cells[carrier].is_empty() && !cells[campaign].is_empty();
        let both = if present { format!("{}|{}", cells[carrier], cells[campaign]) } else { String::new() };
        out += &format!("{line},{worth},{both}\n");
    }
    world.write(to, out);
}

/// A table of every third line of a file of pairs, and of one pair that doesn't occur.
fn list(world: &World, pairs: &str, columns: &[&str]) {
    let text = text(world, pairs);
    let names: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    let picked = |line: &str| {
        let cells: Vec<&str> = line.split(',').collect();
        let of = |name: &&str| cells[names.iter().position(|own| own == name).unwrap()];
        columns.iter().map(of).collect::<Vec<_>>().join(",") + "\n"
    };
    let mut out = columns.join(",") + "\n";
    text.lines().skip(1).step_by(3).for_each(|line| out += &picked(line));
    out += &format!("nobody,nothing{}\n", ",".repeat(columns.len() - 2));
    world.write("pairs.csv", out);
}

/// For each id in order: its pairs above the threshold, the highest score first, up to K.
fn best(all: &[Pair], of: fn(&Pair) -> &String, k: usize, least: f64) -> Vec<Pair> {
    let mut ids: Vec<&String> = Vec::new();
    all.iter().map(of).for_each(|id| {
        if !ids.contains(&id) {
            ids.push(id);
        }
    });
    let each = ids.into_iter().flat_map(|id| {
        let mut own: Vec<Pair> = all.iter().filter(|pair| of(pair) == id && pair.2 >= least).cloned().collect();
        own.sort_by(|one, other| other.2.total_cmp(&one.2));
        own.truncate(k);
        own
    });
    each.collect()
}

/// Checks that pairs with a table score like rows with the same values, for every way of choosing pairs.
fn compared(world: &World, model: &str, rows: &str, context: &str) {
    let context = if context.is_empty() { String::new() } else { format!("--context {context}") };
    for (precision, difference_max) in [("f32", 1e-6), ("f64", 1e-12)] {
        let run = |arguments: &str, to: &str, file: &str| {
            let files = "cross --users users.csv --ads ads.csv --pairs-table pairs.csv";
            world.json(&format!(
                "{files} --model {model} {context} {IDS} --precision {precision} {arguments} --out {model}-{to}"
            ));
            read(&world.path(&format!("{model}-{to}/{file}.csv.parquet")))
        };
        let all = run("", &format!("all-{precision}"), "users");
        let to = format!("rows-{model}-{precision}");
        world.json(&format!(
            "predict --model {model} --data {rows} --keep user_id,ad_id --precision {precision} --out {to}"
        ));
        let expected = read(&world.path(&format!("{to}/{rows}.parquet")));
        assert!(all.len() > 1000);
        alike(&format!("{model}, {precision}"), &all, &expected, difference_max);
        let mut scores: Vec<f64> = all.iter().map(|pair| pair.2).collect();
        scores.sort_by(f64::total_cmp);
        let median = scores[scores.len() / 2];
        let likely: Vec<Pair> = all.iter().filter(|pair| pair.2 >= median).cloned().collect();
        let user: fn(&Pair) -> &String = |pair| &pair.0;
        let ad: fn(&Pair) -> &String = |pair| &pair.1;
        for (index, (arguments, file, expected)) in [
            ("--top-k 5".to_owned(), "users", best(&all, user, 5, 0.0)),
            ("--top-k 3 --per ad".to_owned(), "ads", best(&all, ad, 3, 0.0)),
            (format!("--threshold {median}"), "users", likely),
        ]
        .into_iter()
        .enumerate()
        {
            let found = run(&arguments, &format!("best-{index}-{precision}"), file);
            alike(&format!("{model}, {precision}, {arguments}"), &found, &expected, 0.0);
        }
    }
}

#[test]
fn a_derived_feature_is_the_column_it_would_be() {
    let world = world(COLUMNS);
    let derived = text(&world, "features.toml");
    let derived = derived.replace(
        "name = \"worth\"\nkind = \"numeric\"\nside = \"pair\"",
        "name = \"worth\"\nkind = \"numeric\"\nside = \"pair\"\nderive = \"age * bid\"",
    );
    let derived = derived.replace(
        "kind = \"categorical\"\nside = \"pair\"",
        "kind = \"categorical\"\nside = \"pair\"\nderive = \"join(carrier, campaign)\"",
    );
    assert!(derived.contains("join(") && derived.contains("age *"));
    world.write("derived.toml", derived);
    append(&world, "rows.csv", "columns.csv", |_| true);
    let scores = |schema: &str, data: &str, name: &str| {
        world.json(&format!("train --data {data} --schema {schema} --family ffm --out {name}"));
        world.json(&format!("predict --model {name} --data {data} --keep user_id,ad_id --out scores-{name}"));
        read(&world.path(&format!("scores-{name}/{data}.parquet")))
    };
    let (columns, derived) =
        (scores("features.toml", "columns.csv", "columns"), scores("derived.toml", "rows.csv", "derived"));
    alike("derived", &derived, &columns, 0.0);
}

#[test]
fn pairs_that_a_table_lists_score_as_rows_in_learned_models() {
    let world = world(COLUMNS);
    append(&world, "rows.csv", "columns.csv", |row| row % 2 == 0);
    write_out(&world, "users.csv", "ads.csv", CONTEXT, "plain-pairs.csv");
    append(&world, "plain-pairs.csv", "written.csv", |row| row % 3 == 0);
    list(&world, "written.csv", &["user_id", "ad_id", "worth", "both"]);
    for family in ["lr", "fm", "ffm"] {
        world.json(&format!("train --data columns.csv --schema features.toml --family {family} --out {family}"));
        compared(&world, family, "written.csv", CONTEXT);
    }
}

#[test]
fn pairs_that_a_table_lists_score_as_rows_in_lightgbm_models() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/golden");
    for (name, categorical) in [("numeric", &[][..]), ("categorical_small", &[0, 2])] {
        let world = World::new();
        let rows = std::fs::read_to_string(golden.join(format!("{name}.csv"))).unwrap();
        let names: Vec<&str> = rows.lines().next().unwrap().split(',').collect();
        let columns = names.len() - 2;
        let side = |column: usize| ["user", "ad", "pair"][column % 3];
        let line = |row: usize| rows.lines().nth(row + 1).unwrap().split(',').collect::<Vec<_>>();
        let cells = |row: usize, wanted: &str| {
            let line = line(row);
            let own = (0..columns).filter(|&column| side(column) == wanted);
            own.map(|column| format!(",{}", line[column])).collect::<String>()
        };
        let own = |wanted: &str| {
            (0..columns).filter(|&c| side(c) == wanted).map(|c| format!(",Column_{c}")).collect::<String>()
        };
        let (mut users, mut ads) = (format!("user_id{}\n", own("user")), format!("ad_id{}\n", own("ad")));
        let mut written = format!("user_id,ad_id{}{}{}\n", own("user"), own("ad"), own("pair"));
        for user in 0..60 {
            users += &format!("u{user}{}\n", cells(user, "user"));
            for ad in 0..41 {
                if user == 0 {
                    ads += &format!("a{ad}{}\n", cells(70 + ad, "ad"));
                }
                let row = user * 41 + ad;
                let listed = if row % 3 == 0 {
                    cells(row % 130, "pair")
                } else {
                    own("pair").replace(char::is_alphanumeric, "").replace('_', "")
                };
                written += &format!("u{user},a{ad}{}{}{listed}\n", cells(user, "user"), cells(70 + ad, "ad"));
            }
        }
        world.write("users.csv", users);
        world.write("ads.csv", ads);
        world.write("written.csv", written);
        let pair_columns = own("pair");
        let listed: Vec<&str> = ["user_id", "ad_id"].into_iter().chain(pair_columns.split(',').skip(1)).collect();
        list(&world, "written.csv", &listed);
        let mut schema = "id = [\"user_id\", \"ad_id\"]\n".to_owned();
        for column in 0..columns {
            let kind = if categorical.contains(&column) { "categorical" } else { "numeric" };
            schema +=
                &format!("[[feature]]\nname = \"Column_{column}\"\nkind = \"{kind}\"\nside = \"{}\"\n", side(column));
        }
        world.write("features.toml", schema);
        let file = golden.join(format!("{name}.txt"));
        world.json(&format!("import --from lightgbm {} --schema features.toml --out {name}", file.display()));
        compared(&world, name, "written.csv", "");
    }
}

#[test]
fn tables_that_make_no_sense_are_refused() {
    let world = world(COLUMNS);
    append(&world, "rows.csv", "columns.csv", |_| true);
    world.json("train --data columns.csv --schema features.toml --family lr --out lr");
    let ids = |file: &str| text(&world, file).lines().nth(1).unwrap().split(',').next().unwrap().to_owned();
    let (user, ad) = (ids("users.csv"), ids("ads.csv"));
    let header = "user_id,ad_id,worth,both";
    for (name, table) in [
        ("twice", format!("{header}\n{user},{ad},1,x\n{user},{ad},2,y\n")),
        ("no-id", format!("{header}\n,{ad},1,x\n")),
        ("no-ad", format!("user_id,worth,both\n{user},1,x\n")),
        ("no-worth", format!("user_id,ad_id,both\n{user},{ad},x\n")),
        ("none", format!("{header}\n")),
        ("whole", format!("{header}\n{user},{ad},1,x\n")),
    ] {
        world.write(&format!("{name}.csv"), table);
    }
    let files = format!("cross --model lr --users users.csv --ads ads.csv {IDS} --out out --quiet");
    for (arguments, said) in [
        (format!("--context {CONTEXT}"), ["feature `worth` (side = \"pair\")", "--pairs-table URI"]),
        (format!("--context {CONTEXT},worth=3 --pairs-table whole.csv"), ["`--context worth=3`", "--pairs-table"]),
        (format!("--context {CONTEXT} --pairs-table twice.csv"), ["twice.csv`, row 2", "came before"]),
        (format!("--context {CONTEXT} --pairs-table no-id.csv"), ["no-id.csv", "`user_id`, row 1: the id is missing"]),
        (format!("--context {CONTEXT} --pairs-table no-ad.csv"), ["no-ad.csv", "column `ad_id` is missing"]),
        (format!("--context {CONTEXT} --pairs-table no-worth.csv"), ["no-worth.csv", "column `worth` is missing"]),
        (format!("--context {CONTEXT} --pairs-table none.csv"), ["none.csv", "lists no pairs"]),
    ] {
        let ended = world.run(&format!("{files} {arguments}"));
        assert_eq!(ended.code, 2, "{arguments}: {}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.stderr.lines().filter(|line| line.starts_with("error: ")).count(), 1, "{}", ended.stderr);
        said.iter().for_each(|part| assert!(ended.stderr.contains(part), "wanted `{part}` in: {}", ended.stderr));
        assert!(world.files("out").is_empty(), "{arguments}");
    }
    let plain = text(&world, "features.toml").replace(COLUMNS, "");
    world.write("plain.toml", plain);
    world.json("train --data rows.csv --schema plain.toml --family lr --out plain");
    let files = files.replace("--model lr", "--model plain");
    let ended = world.run(&format!("{files} --context {CONTEXT} --pairs-table whole.csv"));
    assert!(
        ended.code == 2 && ended.stderr.contains("no feature of the model has `side = \"pair\"`"),
        "{}",
        ended.stderr
    );
}
