//! Training and predicting with `lr`, `fm` and `ffm` on the data of `bench/criteo_like.py`, beside Vowpal Wabbit and
//! LightGBM. fwumious_wabbit, the peer to match, is neither on crates.io nor on PyPI: its figures are quoted.

use std::fs;

use anyhow::{Context, Result};

use super::super::measure::{Quality, Race, race};
use super::super::results::{Claim, Comparison, Table, quantity};
use super::super::tools::{Tools, ours, peer};
use crate::root;

const GENERATOR: &str = "bench/criteo_like.py";
const PEERS: &str = "bench/factors.py";

const FAMILIES: [(&str, &str); 3] = [("lr", "clickcast lr"), ("fm", "clickcast fm"), ("ffm", "clickcast ffm")];
const VOWPAL_WABBIT: &str = "Vowpal Wabbit LR";
const LIGHTGBM: &str = "LightGBM, 50 trees";

const TRAINING_RECORDED: &[&str] = &[
    "fwumious_wabbit (not on PyPI) LR 604 k rows/s, logloss 0.5090, AUC 0.7102",
    "fwumious_wabbit FFM k=4 21 k, 0.4716, 0.7685",
    "xLearn FM k=4 0.5160, FFM k=4 0.5068",
    "libffm 34-63 k, 0.5090",
    "the generator's own probabilities: 0.3759, 0.8680",
];
const PREDICTION_RECORDED: &[&str] = &[
    "fwumious_wabbit (not on PyPI) LR 488-682 k rows/s from text, FFM k=4 82-89 k",
    "xLearn FM k=4 435 k, FFM k=4 92 k",
    "LightGBM, 50 trees 151 k",
];

/// What fwumious_wabbit reached with 1 M training and 500 k test rows: family, logloss, training rows per CPU second.
const TO_MATCH: [(&str, f64, f64); 2] = [("lr", 0.5090, 604e3), ("ffm", 0.4716, 21e3)];

/// The noise of a logloss over 500 k test rows.
const LOGLOSS_NOISE: f64 = 0.001;

/// The data of this case.
pub(crate) struct Data {
    /// The folder, with `train` and `test` as `.parquet` and `.vw`, and `features.toml`.
    pub(crate) folder: String,
    pub(crate) train_rows: u64,
    pub(crate) test_rows: u64,
}

impl Data {
    /// Makes the data, or finds it made.
    ///
    /// # Errors
    /// If the generator fails or the disk is full.
    pub(crate) fn prepare(tools: &Tools) -> Result<Self> {
        let train_rows = tools.size(1_000_000, 50_000);
        let test_rows = tools.size(500_000, 50_000);
        let folder = tools.data(&format!("criteo-like-{train_rows}"), GENERATOR, |folder| {
            for (seed, name, rows) in [("1", "train", train_rows), ("2", "test", test_rows)] {
                let out = format!("{folder}/{name}");
                let rows = rows.to_string();
                tools.script(GENERATOR, &["--rows", &rows, "--seed", seed, "--out", &out])?;
            }
            fs::write(root().join(folder).join("features.toml"), schema()).context("cannot write the schema")
        })?;
        Ok(Self { folder, train_rows, test_rows })
    }

    pub(crate) fn path(&self, file: &str) -> String {
        format!("{}/{file}", self.folder)
    }
}

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    let data = Data::prepare(tools)?;
    let training = train(tools, &data)?;
    let prediction = predict(tools, &data)?;
    Ok(vec![training, prediction])
}

fn model(data: &Data, family: &str) -> String {
    data.path(&format!("model-{family}"))
}

fn train(tools: &Tools, data: &Data) -> Result<Table> {
    let (rows, schema) = (data.path("train.parquet"), data.path("features.toml"));
    let mut contenders = Vec::new();
    for (family, name) in FAMILIES {
        let out = model(data, family);
        let arguments = [
            "train",
            "--data",
            &rows,
            "--schema",
            &schema,
            "--family",
            family,
            "--out",
            &out,
            "--threads",
            "1",
            "--json",
        ];
        contenders.push(ours(name, data.train_rows, &arguments, &out).pinned());
    }
    let vw_model = data.path("model.vw");
    contenders.push(peer(
        VOWPAL_WABBIT,
        data.train_rows,
        PEERS,
        &["vw_train", "--data", &data.path("train.vw"), "--model", &vw_model],
    ));
    let test = data.path("test.parquet");
    let trees = data.path("model-50.txt");
    contenders.push(peer(
        LIGHTGBM,
        data.train_rows,
        PEERS,
        &["lightgbm_train", "--data", &rows, "--test", &test, "--model", &trees],
    ));

    // Training takes minutes, and varies little for it.
    let mut race = race(tools.size(3, 1), &contenders)?;
    for (family, name) in FAMILIES {
        let evaluation = tools.clickcast(&["evaluate", "--model", &model(data, family), "--data", &test, "--json"])?;
        let entry = race.entry_mut(name).context("ours are measured")?;
        entry.quality = Some(Quality::of(&evaluation).context("clickcast evaluate")?);
    }
    if let Some(entry) = race.entry_mut(VOWPAL_WABBIT) {
        let predicted = data.path("predicted-vw.txt");
        let arguments = ["vw_predict", "--data", &data.path("test.vw"), "--model", &vw_model, "--out", &predicted];
        entry.quality = Some(Quality::of(&tools.script(PEERS, &arguments)?)?);
    }
    if let Some(entry) = race.entry_mut(LIGHTGBM) {
        entry.quality = Some(Quality::of(&entry.last)?);
    }

    let claims = if tools.quick { Vec::new() } else { claims(&race) };
    Ok(Table {
        about: format!(
            "Training with defaults on {} rows of 13 integers and 26 categories from Parquet (Vowpal Wabbit: its text), \
             one thread; quality on {} other rows.",
            data.train_rows, data.test_rows
        ),
        race,
        baseline: Some(VOWPAL_WABBIT),
        recorded: TRAINING_RECORDED,
        comparisons: comparisons(["training, lr", "training, fm", "training, ffm"]),
        claims,
        ..Table::default()
    })
}

/// Ours against fwumious_wabbit's recorded figures, which hold for the full size only.
fn claims(race: &Race) -> Vec<Claim> {
    let mut claims = Vec::new();
    for (family, logloss_max, speed_min) in TO_MATCH {
        let named = FAMILIES.iter().find(|(name, _)| *name == family);
        let Some(entry) = named.and_then(|(_, name)| race.entry(name)) else { continue };
        let Some(quality) = entry.quality else { continue };
        claims.push(Claim {
            text: format!(
                "{family}: logloss {:.4}; fwumious_wabbit's {logloss_max:.4}, noise {LOGLOSS_NOISE}",
                quality.logloss
            ),
            holds: quality.logloss <= logloss_max + LOGLOSS_NOISE,
        });
        let speed = entry.speed.median();
        claims.push(Claim {
            text: format!(
                "{family}: trains {} rows per CPU second; fwumious_wabbit's recorded {}",
                quantity(speed),
                quantity(speed_min)
            ),
            holds: speed >= speed_min,
        });
    }
    claims
}

fn predict(tools: &Tools, data: &Data) -> Result<Table> {
    let rows = data.path("test.parquet");
    let mut contenders = Vec::new();
    for (family, name) in FAMILIES {
        let out = data.path(&format!("predicted-{family}"));
        let model = model(data, family);
        let arguments = ["predict", "--model", &model, "--data", &rows, "--out", &out, "--threads", "1", "--json"];
        contenders.push(ours(name, data.test_rows, &arguments, &out).pinned());
    }
    let (text, out) = (data.path("test.vw"), data.path("predicted-vw.txt"));
    let arguments = ["vw_predict", "--data", &text, "--model", &data.path("model.vw"), "--out", &out];
    contenders.push(peer(VOWPAL_WABBIT, data.test_rows, PEERS, &arguments));
    Ok(Table {
        about: format!("Predicting {} rows, file to file, one thread.", data.test_rows),
        race: race(tools.size(5, 3), &contenders)?,
        baseline: Some(VOWPAL_WABBIT),
        recorded: PREDICTION_RECORDED,
        comparisons: comparisons(["file to file, lr", "file to file, fm", "file to file, ffm"]),
        ..Table::default()
    })
}

/// Each family beside Vowpal Wabbit's logistic regression; nothing was promised against it.
fn comparisons(work: [&'static str; 3]) -> Vec<Comparison> {
    let compared = FAMILIES.iter().zip(work);
    compared.map(|((_, ours), work)| Comparison { work, ours, peer: VOWPAL_WABBIT, ratio_min: None }).collect()
}

/// The schema of the generator's columns.
fn schema() -> String {
    let numeric = (1..=13).map(|column| (format!("I{column}"), "numeric"));
    let categorical = (1..=26).map(|column| (format!("C{column}"), "categorical"));
    let features = numeric.chain(categorical);
    let features = features.map(|(name, kind)| format!("\n[[feature]]\nname = \"{name}\"\nkind = \"{kind}\"\n"));
    format!("label = \"label\"\n{}", features.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::super::super::measure::{Entry, Series};
    use super::*;
    use crate::run::Run;

    #[test]
    fn the_schema_has_the_generators_columns() {
        let table: toml::Table = schema().parse().expect("it is TOML");
        let features = table["feature"].as_array().expect("a list");
        assert_eq!(features.len(), 39);
        assert_eq!(features[12]["name"].as_str(), Some("I13"));
        assert_eq!((features[38]["name"].as_str(), features[38]["kind"].as_str()), (Some("C26"), Some("categorical")));
    }

    #[test]
    fn a_claim_holds_within_the_noise_and_at_the_recorded_speed() {
        let entry = |name, logloss, speed| Entry {
            name,
            is_peer: false,
            command: String::new(),
            speed: Series::new(vec![speed]),
            wall_s: Series::new(vec![1.0]),
            memory_peak_bytes: 0,
            quality: Some(Quality { logloss, auc: 0.7 }),
            last: Run { wall_s: 1.0, cpu_s: 1.0, memory_peak_bytes: 0, report: serde_json::Value::Null },
        };
        let entries = vec![entry("clickcast lr", 0.5099, 603e3), entry("clickcast ffm", 0.4727, 21e3)];
        let claims = claims(&Race { entries, absent: Vec::new() });
        assert_eq!(claims.iter().map(|claim| claim.holds).collect::<Vec<_>>(), [true, false, false, true]);
    }
}
