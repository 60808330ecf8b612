//! LightGBM models read and scored exactly: golden files, a live comparison, and files nobody should trust.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::Command;

use clickcast_model::Model;
use clickcast_model::trees::lightgbm::{self, Kind};
use clickcast_model::trees::{Ensemble, FeatureKind, Plan, Scratch, TreeColumn};
use clickcast_record::{self as record, Batch, Categorical, Categories, Column, Feature, Numeric, Schema};
use proptest::prelude::*;

fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

fn model(name: &str) -> Ensemble {
    let text = std::fs::read(golden(&format!("{name}.txt"))).unwrap();
    lightgbm::parse(&text).unwrap_or_else(|error| panic!("{name}.txt: {error}"))
}

fn model_names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".txt").map(str::to_owned))
        .collect();
    names.sort();
    names
}

/// The number a cell feeds the model: pandas categories become their code, unknown ones NaN. Python spells them `7.0`, `True`.
fn cell(model: &Ensemble, column: usize, text: &str) -> f64 {
    let Some(categories) = &model.features()[column].categories else { return text.parse().unwrap() };
    let number = text.parse::<f64>().map(|number| number.to_string());
    let plain = number.unwrap_or_else(|_| text.to_ascii_lowercase());
    let place = categories.iter().map(|category| category.text()).position(|known| known == text || known == plain);
    place.map_or(f64::NAN, |code| code as f64)
}

fn check(context: &str, model: &Ensemble, row: &[f64], raw: f64, probability: f64) {
    let ours = model.raw_score(row);
    let same = ours.to_bits() == raw.to_bits() || ours.is_nan() && raw.is_nan();
    assert!(same, "{context}: raw score {ours:?}, LightGBM says {raw:?} for {row:?}");
    let ours = model.probability(ours);
    let near = (ours - probability).abs() <= 1e-12 || ours.is_nan() && probability.is_nan();
    assert!(near, "{context}: probability {ours:?}, LightGBM says {probability:?}");
}

#[test]
fn golden_rows_score_as_in_lightgbm() {
    let names = model_names(&golden(""));
    assert_eq!(names.len(), 20);
    for name in names {
        let model = model(&name);
        let text = std::fs::read_to_string(golden(&format!("{name}.csv"))).unwrap();
        let mut lines = text.lines();
        let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
        let features: Vec<&str> = model.features().iter().map(|feature| feature.name.as_str()).collect();
        assert_eq!(columns[..columns.len() - 2], features, "{name}");
        let mut rows = 0;
        for line in lines {
            let cells: Vec<&str> = line.split(',').collect();
            let row: Vec<f64> = (0..features.len()).map(|column| cell(&model, column, cells[column])).collect();
            let answer: Vec<f64> = cells[features.len()..].iter().map(|cell| cell.parse().unwrap()).collect();
            rows += 1;
            check(&format!("{name} row {rows}"), &model, &row, answer[0], answer[1]);
        }
        assert!(rows >= 200, "{name}");
    }
}

#[test]
fn a_hundred_thousand_rows_score_as_in_lightgbm() {
    const ROWS: usize = 100_000;
    let Some(python) = std::env::var_os("CLICKCAST_PYTHON") else {
        eprintln!("skipped: CLICKCAST_PYTHON names no python with lightgbm");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let status = Command::new(python)
        .arg(golden("make.py"))
        .arg("--live")
        .arg(folder.path())
        .arg(ROWS.to_string())
        .status()
        .unwrap();
    assert!(status.success());
    let numbers = |file: String| -> Vec<f64> {
        let bytes = std::fs::read(folder.path().join(file)).unwrap();
        bytes.as_chunks().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect()
    };
    for name in model_names(folder.path()) {
        let model = lightgbm::parse(&std::fs::read(folder.path().join(format!("{name}.txt"))).unwrap()).unwrap();
        let inputs = numbers(format!("{name}.inputs"));
        let answers = numbers(format!("{name}.answers"));
        assert_eq!(answers.len(), 2 * ROWS);
        for (index, (row, answer)) in inputs.chunks(model.features().len()).zip(answers.chunks(2)).enumerate() {
            check(&format!("{name} row {index}"), &model, row, answer[0], answer[1]);
        }
        let features = model.features().len();
        let columns: Vec<Vec<f64>> =
            (0..features).map(|feature| inputs.iter().skip(feature).step_by(features).copied().collect()).collect();
        let columns: Vec<TreeColumn<'_>> = columns.iter().map(|values| TreeColumn::F64(values)).collect();
        let mut raw = vec![0.0; ROWS];
        Plan::new(&model).score(&columns, ROWS, &mut Scratch::default(), &mut raw).unwrap();
        let same = |(ours, answer): (&f64, &[f64])| {
            ours.to_bits() == answer[0].to_bits() || ours.is_nan() && answer[0].is_nan()
        };
        assert!(raw.iter().zip(answers.chunks(2)).all(same), "{name}: the plan differs from LightGBM");
        eprintln!("{name}: {ROWS} rows are bit-equal, by the oracle and by the plan");
    }
}

#[test]
fn pandas_categories_belong_to_their_columns() {
    let model = model("pandas");
    let kinds: Vec<FeatureKind> = model.features().iter().map(|feature| feature.kind).collect();
    use FeatureKind::{Categorical, Numeric};
    assert_eq!(kinds, [Numeric, Categorical, Categorical, Numeric, Categorical]);
    let counts: Vec<Option<usize>> =
        model.features().iter().map(|feature| feature.categories.as_ref().map(Vec::len)).collect();
    assert_eq!(counts, [None, Some(5), Some(24), None, Some(2)]);
    assert_eq!(cell(&model, 1, "été"), 4.0);
    assert_eq!(cell(&model, 2, "23.0"), 23.0);
    assert_eq!(cell(&model, 4, "true"), 1.0);
}

/// Replaces text of a good file once and expects a refusal.
#[track_caller]
fn refused(name: &str, from: &str, to: &str, kind: Kind, says: &str) {
    let text = std::fs::read_to_string(golden(&format!("{name}.txt"))).unwrap();
    assert!(text.contains(from), "{name}.txt has no {from}");
    let error = lightgbm::parse(text.replacen(from, to, 1).as_bytes()).unwrap_err();
    assert_eq!(error.kind, kind, "{error}");
    assert!(error.to_string().contains(says), "{error}");
}

#[test]
fn models_without_a_click_probability_are_refused_by_name() {
    let binary = "objective=binary sigmoid:1";
    let cases = [
        ("objective=multiclass num_class:3", "multi-class objective `multiclass num_class:3`"),
        ("objective=lambdarank", "ranking objective `lambdarank`"),
        ("objective=regression", "regression objective `regression`"),
        ("objective=cross_entropy_lambda", "unknown objective `cross_entropy_lambda`"),
        ("label=x", "no objective"),
    ];
    for (to, says) in cases {
        refused("numeric", binary, to, Kind::Unsupported, says);
    }
    refused("numeric", "num_class=1", "num_class=3", Kind::Unsupported, "multi-class");
    refused("pandas", "[\"banner\"", "[\"other\"], [\"banner\"", Kind::Unsupported, "4 lists, but 3 columns");
    refused("numeric", "version=v4", "version=v5", Kind::Unsupported, "version `v5`");
}

#[test]
fn damage_is_named_with_its_line() {
    let cases = [
        ("numeric", "tree\n", "tre\n", "line 1: the first line is not `tree`"),
        ("numeric", "max_feature_idx=4", "max_feature_idx=4000000000", "5 names, but `max_feature_idx` is 4000000000"),
        ("numeric", "num_leaves=15", "num_leaves=99999999999", "99999999999 leaves"),
        ("numeric", "num_leaves=15", "num_leaves=131072", "15 values where 131072 are expected"),
        ("numeric", "num_leaves=15", "num_leaves=0", "0 leaves"),
        ("numeric", "split_feature=", "split_feature=9 ", "`split_feature`: more than the 14 values"),
        ("numeric", "left_child=", "left_child=x", "`left_child`: value 1"),
        ("numeric", "leaf_value=", "leaf_value=nan ", "`leaf_value`: more than"),
        ("numeric", "end of trees", "Tree=8", "no `num_leaves=`"),
        ("numeric", "\nTree=3", "\nend of trees", "not as many sizes"),
        ("numeric", "end of parameters", "", "before `end of parameters`"),
        ("categorical_small", "num_cat=", "num_cat=9", "`cat_boundaries`"),
        ("pandas", "\"banner\"", "[]", "`pandas_categorical` has `[]`"),
        ("pandas", "pandas_categorical:[[", "pandas_categorical:[[[", "whole JSON"),
        (
            "linear",
            "num_features=0",
            "num_features=18446744073709551615",
            "values where 18446744073709551615 are expected",
        ),
    ];
    for (name, from, to, says) in cases {
        refused(name, from, to, Kind::Malformed, says);
    }
}

fn small_tree(left: &str, right: &str) -> String {
    format!(
        "tree\nversion=v4\nnum_class=1\nnum_tree_per_iteration=1\nmax_feature_idx=0\nobjective=binary sigmoid:1\nfeature_names=a\n\n\
         Tree=0\nnum_leaves=3\nnum_cat=0\nsplit_feature=0 0\nthreshold=1 2\ndecision_type=2 2\nleft_child={left}\n\
         right_child={right}\nleaf_value=1 2 3\n\nend of trees\n"
    )
}

#[test]
fn nodes_that_are_no_tree_are_refused() {
    assert_eq!(lightgbm::parse(small_tree("1 -1", "-2 -3").as_bytes()).unwrap().raw_score(&[1.5]), 2.0);
    let cases = [
        ("0 -1", "-2 -3", "node 0 leads back to node 0"),
        ("1 0", "-2 -3", "node 1 leads back to node 0"),
        ("1 -1", "1 -3", "node 1 has two parents"),
        ("1 -1", "-2 -2", "leaf 1 has two parents"),
        ("1 -1", "-2 -4", "leaf 3, which the tree does not have"),
        ("2 -1", "-2 -3", "node 2, which the tree does not have"),
        ("1 -1", "-2 -2147483648", "leaf 2147483647"),
    ];
    for (left, right, says) in cases {
        let error = lightgbm::parse(small_tree(left, right).as_bytes()).unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
}

#[test]
fn every_truncation_before_the_trees_end_is_refused() {
    let text = std::fs::read(golden("one_tree.txt")).unwrap();
    let end = text.windows(12).position(|window| window == b"end of trees").unwrap() + 12;
    for length in 0..end {
        assert!(lightgbm::parse(&text[..length]).is_err(), "{length} bytes");
    }
    let windows: Vec<u8> =
        text.iter().flat_map(|&byte| if byte == b'\n' { vec![b'\r', b'\n'] } else { vec![byte] }).collect();
    assert_eq!(lightgbm::parse(&windows).unwrap(), lightgbm::parse(&text).unwrap());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_models_parse_to_a_tree_or_an_error(
        pick in 0_usize..4,
        edits in prop::collection::vec((any::<prop::sample::Index>(), prop::sample::select(b"0123456789-=. \n[]\"neE\xff".to_vec())), 1..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let name = ["one_tree", "linear_categorical", "categorical_small", "pandas"][pick];
        let mut text = std::fs::read(golden(&format!("{name}.txt"))).unwrap();
        for (at, byte) in edits {
            let at = at.index(text.len());
            text[at] = byte;
        }
        if let Some(cut) = cut {
            text.truncate(cut.index(text.len()));
        }
        if let Ok(model) = lightgbm::parse(&text) {
            let row = vec![1.0; model.features().len()];
            let _ = model.probability(model.raw_score(&row));
        }
    }
}

#[test]
fn a_schema_gives_columns_the_spaces_that_lightgbm_wrote_as_underscores() {
    let text = std::fs::read_to_string(golden("one_tree.txt")).unwrap();
    let names: Vec<String> =
        lightgbm::parse(text.as_bytes()).unwrap().features().iter().map(|feature| feature.name.clone()).collect();
    let spaced = names.join(" ").replacen(&names[0], "device_type", 1);
    let text = text.replacen(&format!("feature_names={}", names.join(" ")), &format!("feature_names={spaced}"), 1);
    let own = Model::from_lightgbm(text.clone().into_bytes(), None).unwrap();
    let features = own.schema().features().iter().map(|feature| {
        let mut feature = feature.clone();
        feature.name = feature.name.replace("device_type", "device type");
        feature
    });
    let schema = Schema::new(features.collect()).unwrap();
    let model = Model::from_lightgbm(text.into_bytes(), Some(&schema)).unwrap();
    assert_eq!(model.schema().features()[0].name, "device type");
    let read = Model::from_artifact(model.artifact().clone()).unwrap();
    assert_eq!(read.schema(), model.schema());
}

#[test]
fn truth_values_are_the_numbers_that_lightgbm_was_fed() {
    let text = std::fs::read(golden("categorical_small.txt")).unwrap();
    let model = Model::from_lightgbm(text, None).unwrap();
    let score = |zero: &str, one: &str| {
        let texts = Categories::Text(vec![zero, one].into());
        let column = |feature: &Feature| match feature.kind {
            record::Kind::Numeric => Column::Numeric(Numeric::F64(vec![0.5; 2].into())),
            _ => Column::Categorical(Categorical::Coded { codes: vec![1, 2].into(), categories: texts.clone() }),
        };
        let features = model.schema().features().iter().map(column).collect();
        let (labels, weights, times) = (None, None, None);
        let batch = Batch { rows: 2, first_row: 0, features, labels, weights, times, carried: Vec::new() };
        let mut out = Vec::new();
        model.score(&batch, &mut clickcast_model::Scratch::default(), &mut out).unwrap();
        out
    };
    let numbers = score("0", "1");
    assert_ne!(numbers[0], numbers[1]);
    for (zero, one) in [("false", "true"), ("False", "True"), (" FALSE", "TRUE ")] {
        assert_eq!(score(zero, one), numbers, "{zero} and {one}");
    }
}
