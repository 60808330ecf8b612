//! Tree ensembles over rows in memory: our kernel beside LightGBM, whose model it scores, and every other engine, on
//! that model where it can and else on one of its own of the same size.

use anyhow::{Context, Result};

use super::super::measure::{Contender, race};
use super::super::results::{Claim, Comparison, Table};
use super::super::tools::{Tools, our_kernel, peer};

const SCRIPT: &str = "bench/trees.py";
pub(crate) const SCORE: &str = "bench/score.py";
/// Rows that are made; quick mode scores the first of them.
const ROWS: u64 = 100_000;
const ROWS_QUICK: u64 = 20_000;

pub(crate) const OURS: &str = "clickcast";
pub(crate) const LIGHTGBM: &str = "LightGBM";

/// A model of LightGBM's.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    trees: u64,
    leaves: u64,
    /// Of the 39 columns, the first so many.
    categorical: u64,
}

pub(crate) const LARGE: Shape = Shape { trees: 500, leaves: 63, categorical: 0 };
const SMALL: Shape = Shape { trees: 100, leaves: 31, categorical: 0 };
const CATEGORICAL: Shape = Shape { trees: 500, leaves: 63, categorical: 19 };

impl Shape {
    /// The folder of the model, its training rows, and the rows to score.
    ///
    /// # Errors
    /// If LightGBM is not there, or the disk is full.
    pub(crate) fn data(self, tools: &Tools) -> Result<String> {
        let numbers = [self.trees, self.leaves, self.categorical, ROWS].map(|number| number.to_string());
        let [trees, leaves, categorical, rows] = &numbers;
        tools.data(&format!("trees-{trees}x{leaves}-{categorical}"), SCRIPT, |out| {
            let options =
                ["--out", out, "--trees", trees, "--leaves", leaves, "--categorical", categorical, "--rows", rows];
            tools.script(SCRIPT, &[&["make"], &options[..]].concat()).map(drop)
        })
    }
}

/// A peer, and what was promised against it.
struct Peer {
    name: &'static str,
    engine: &'static str,
    script: &'static str,
    ratio_min: Option<f64>,
    options: &'static [&'static str],
}

const SAME_MODEL: &str = "bench/same_model.py";
const OWN_MODEL: &str = "bench/own_model.py";

const fn rival(name: &'static str, engine: &'static str, script: &'static str, ratio_min: Option<f64>) -> Peer {
    Peer { name, engine, script, ratio_min, options: &[] }
}

/// Those who score the large model, or one like it.
const PEERS: &[Peer] = &[
    rival("lleaves", "lleaves", SAME_MODEL, Some(7.0)),
    rival("oneDAL", "onedal", SAME_MODEL, None),
    Peer {
        name: "oneDAL, no missing values",
        engine: "onedal",
        script: SAME_MODEL,
        ratio_min: None,
        options: &["--missing", "none"],
    },
    rival("ONNX Runtime", "onnx", SAME_MODEL, None),
    rival("XGBoost, its own model", "xgboost", OWN_MODEL, None),
    rival("YDF, its own model", "ydf", OWN_MODEL, Some(3.5)),
    rival("CatBoost, its own model", "catboost", OWN_MODEL, Some(1.0)),
];

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    let large = "500 trees of 63 leaves, 39 numeric columns";
    let small = "100 trees of 31 leaves, 39 numeric columns";
    let categorical = "500 trees of 63 leaves, 19 of 39 columns categorical";
    let mut first = table(tools, LARGE, large, 40.0, PEERS)?;
    first.chart = Some(("trees.svg", large.to_owned()));
    Ok(vec![first, table(tools, SMALL, small, 15.0, &[])?, table(tools, CATEGORICAL, categorical, 50.0, &[])?])
}

/// LightGBM and these peers, on the model of one shape.
fn table(tools: &Tools, shape: Shape, work: &'static str, ratio_min: f64, peers: &[Peer]) -> Result<Table> {
    let data = shape.data(tools)?;
    let rows = tools.size(ROWS, ROWS_QUICK);
    let mut contenders = vec![our_kernel(OURS, rows, &data), in_memory(LIGHTGBM, rows, "lightgbm", &data, &data, &[])];
    let comparison = |peer, ratio_min| Comparison { work, ours: OURS, peer, ratio_min };
    let mut comparisons = vec![comparison(LIGHTGBM, Some(ratio_min))];
    for peer in peers {
        let model = tools.engine(peer.engine, peer.script, &data)?;
        contenders.push(in_memory(peer.name, rows, peer.engine, &data, &model, peer.options));
        comparisons.push(comparison(peer.name, peer.ratio_min));
    }
    let race = race(tools.size(5, 3), &contenders)?;
    let difference = race.entry(OURS).context("ours is measured")?.last.number("difference_max")?;
    let claim = Claim { text: format!("{work}: LightGBM's raw scores to the last bit"), holds: difference == 0.0 };
    let about = format!(
        "{work}, 5 % of the numbers missing; {rows} rows, one core. Ours takes columns of float32 numbers, which \
         it bins, and codes of categories; the peers what suits them best."
    );
    Ok(Table { about, race, baseline: Some(LIGHTGBM), comparisons, claims: vec![claim], ..Table::default() })
}

fn in_memory(
    name: &'static str,
    rows: u64,
    engine: &str,
    data: &str,
    model: &str,
    options: &[&'static str],
) -> Contender {
    let count = rows.to_string();
    let arguments = ["memory", "--engine", engine, "--data", data, "--model", model, "--rows", &count];
    peer(name, rows, SCORE, &[&arguments, options].concat())
}
