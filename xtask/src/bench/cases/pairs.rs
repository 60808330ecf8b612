//! Every user with every ad: all pairs written, and the best ten of each user.

use anyhow::{Context, Result};

use super::super::WORK;
use super::super::measure::{race, remove};
use super::super::results::{Claim, Comparison, Table};
use super::super::tools::{Tools, ours, peer};
use super::files::parquet;
use super::learning::Data;
use super::trees::LARGE;

const SCRIPT: &str = "bench/pairs.py";
const OURS: &str = "clickcast cross";
const LIGHTGBM: &str = "LightGBM on expanded rows";
const ALL_PAIRS: &str = "all pairs of users and ads, 500 trees of 63 leaves";
/// Rows that LightGBM scores; its speed does not depend on how many there are.
const EXPANDED: &str = "200000";
/// What a billion pairs may take as the best ten of each user, by trees.
const BILLION_S_MAX: f64 = 120.0;
/// Pairs a CPU second of a factorization machine.
const FACTORS_SPEED_MIN: f64 = 500e6;

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    let mut tables = vec![all_pairs(tools)?];
    if !tools.quick {
        tables.extend([best_by_trees(tools)?, best_by_factors(tools)?]);
    }
    Ok(tables)
}

/// A folder of users, ads and their schema, from the rows of a file.
fn sides(tools: &Tools, name: &str, file: &str, users: u64, ads: u64, numeric: u64) -> Result<String> {
    tools.data(&format!("pairs-{name}-{users}-{ads}"), SCRIPT, |folder| {
        let [users, ads, numeric] = [users, ads, numeric].map(|number| number.to_string());
        let sizes = ["--users", &users, "--ads", &ads, "--numeric", &numeric];
        tools.script(SCRIPT, &[&["make", "--file", file, "--out", folder][..], &sizes].concat()).map(drop)
    })
}

/// The large model with the sides of a folder's schema.
fn trees(tools: &Tools, data: &str, folder: &str) -> Result<String> {
    let (model, schema) = (format!("{WORK}/model-pairs"), format!("{folder}/features.toml"));
    remove(&model)?;
    let file = format!("{data}/model.txt");
    let import = ["import", "--from", "lightgbm", &file, "--schema", &schema, "--out", &model, "--json"];
    tools.clickcast(&import)?;
    Ok(model)
}

fn cross<'a>(model: &'a str, sides: &'a [String; 2], out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    let [users, ads] = sides;
    [&["cross", "--model", model, "--users", users, "--ads", ads, "--out", out, "--json"], more].concat()
}

fn files(folder: &str) -> [String; 2] {
    [format!("{folder}/users.parquet"), format!("{folder}/ads.parquet")]
}

fn all_pairs(tools: &Tools) -> Result<Table> {
    let (users, ads): (u64, u64) = (tools.size(20_000, 5_000), 2_000);
    let data = LARGE.data(tools)?;
    let folder = sides(tools, "trees", &parquet(tools, &data, 100_000)?, users, ads, 39)?;
    let (model, files, out) = (trees(tools, &data, &folder)?, files(&folder), format!("{WORK}/pairs"));
    let arguments = cross(&model, &files, &out, &["--threads", "1"]);
    let expanded = ["expanded", "--data", &data, "--out", &folder, "--pairs", EXPANDED];
    let contenders = [ours(OURS, users * ads, &arguments, &out).pinned(), peer(LIGHTGBM, 200_000, SCRIPT, &expanded)];
    let race = race(tools.size(5, 3), &contenders)?;
    remove(&out)?;
    let about = format!(
        "{users} users by {ads} ads, every pair written to Parquet, one core, one thread; 13 of 39 features are the \
         ads'. LightGBM scores {EXPANDED} expanded pairs in memory, without reading or writing."
    );
    let comparison = Comparison { work: ALL_PAIRS, ours: OURS, peer: LIGHTGBM, ratio_min: Some(200.0) };
    Ok(Table { about, race, baseline: Some(LIGHTGBM), comparisons: vec![comparison], ..Table::default() })
}

fn best_by_trees(tools: &Tools) -> Result<Table> {
    let (users, ads) = (100_000, 10_000);
    let data = LARGE.data(tools)?;
    let folder = sides(tools, "trees", &parquet(tools, &data, 100_000)?, users, ads, 39)?;
    let (model, files, out) = (trees(tools, &data, &folder)?, files(&folder), format!("{WORK}/pairs"));
    let arguments = cross(&model, &files, &out, &["--threads", "2", "--top-k", "10"]);
    let race = race(2, &[ours(OURS, users * ads, &arguments, &out)])?;
    let wall_s = race.entries.first().context("ours is measured")?.wall_s.median();
    let claim = Claim {
        text: format!("a billion pairs as the best ten of each user by 500 trees: {wall_s:.0} s; at most 120"),
        holds: wall_s <= BILLION_S_MAX,
    };
    let about = format!("{users} users by {ads} ads, the ten best ads of each user, 500 trees, two threads.");
    Ok(Table { about, race, claims: vec![claim], ..Table::default() })
}

fn best_by_factors(tools: &Tools) -> Result<Table> {
    let (users, ads) = (100_000, 10_000);
    let data = Data::prepare(tools)?;
    let folder = sides(tools, "criteo-like", &data.path("train.parquet"), users, ads, 13)?;
    let (schema, model) = (format!("{folder}/features.toml"), format!("{WORK}/model-pairs-fm"));
    remove(&model)?;
    let rows = data.path("train.parquet");
    let train = ["train", "--data", &rows, "--schema", &schema, "--family", "fm", "--out", &model, "--json"];
    tools.clickcast(&train)?;
    let (files, out) = (files(&folder), format!("{WORK}/pairs"));
    let arguments = cross(&model, &files, &out, &["--threads", "1", "--top-k", "10"]);
    let race = race(3, &[ours(OURS, users * ads, &arguments, &out).pinned()])?;
    let speed = race.entries.first().context("ours is measured")?.speed.median();
    let claim = Claim {
        text: format!("FM, k = 16: {:.0} M pairs a CPU second; at least 500", speed / 1e6),
        holds: speed >= FACTORS_SPEED_MIN,
    };
    let about = format!("{users} users by {ads} ads, the ten best ads of each user, FM with k = 16, one thread.");
    Ok(Table { about, race, claims: vec![claim], ..Table::default() })
}
