//! The keys of reports, which scripts rely on: each operation's, with the types of their values.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use clickcast_learn::FactorFamily;
use clickcast_operations::evaluate::{EvaluateRequest, evaluate};
use clickcast_operations::import::{Format, ImportRequest, import};
use clickcast_operations::predict::{PredictRequest, predict};
use clickcast_operations::schema::{SchemaRequest, schema};
use clickcast_operations::train::{TrainRequest, train};
use clickcast_operations::{Kind, ModelLocation, Observer};
use clickcast_record::Precision;
use insta::assert_snapshot;
use support::{World, shape};

fn train_request(world: &World) -> TrainRequest {
    TrainRequest::new(
        world.path("days/dt=2026-01-05"),
        world.path("features.toml"),
        FactorFamily::Lr,
        world.path("model"),
    )
}

fn predict_request(world: &World) -> PredictRequest {
    PredictRequest {
        model: ModelLocation::folder(world.path("model")),
        data: world.path("days"),
        out: world.path("predictions"),
        run: None,
        precision: Precision::F32,
        keep: Vec::new(),
    }
}

#[test]
fn train_reports_its_rows_and_how_good_the_model_is() {
    let world = World::with_market();
    let report = train(&world.resources, &train_request(&world), &()).unwrap();
    assert_eq!((report.rows, report.family.to_string().as_str()), (2_000, "lr"));
    assert_snapshot!(shape(&report), @r"
    rows: integer
    seconds: number
    rows_per_second: number
    model: string
    id: string
    family: string
    valid.rows: integer
    valid.positives: integer
    valid.auc: number
    valid.logloss: number
    valid.normalized_entropy: number
    valid.calibration: number
    valid.slices: empty list
    notes[]: string
    peak_memory_bytes: integer
    ");
}

#[test]
fn evaluate_reports_all_rows_and_slices() {
    let world = World::with_market();
    train(&world.resources, &train_request(&world), &()).unwrap();
    let request = EvaluateRequest {
        model: ModelLocation::folder(world.path("model")),
        data: world.path("days/dt=2026-01-06"),
        label: None,
        by: Some("format".to_owned()),
    };
    let report = evaluate(&world.resources, &request, &()).unwrap();
    let rows: Vec<u64> = report.evaluation.slices.iter().map(|slice| slice.metrics.rows).collect();
    assert_eq!(rows, [1_333, 667]);
    assert_snapshot!(shape(&report), @r"
    rows: integer
    positives: integer
    auc: number
    logloss: number
    normalized_entropy: number
    calibration: number
    slices[].rows: integer
    slices[].positives: integer
    slices[].auc: number
    slices[].logloss: number
    slices[].normalized_entropy: number
    slices[].calibration: number
    slices[].value: string
    model: string
    id: string
    seconds: number
    rows_per_second: number
    ");
}

#[test]
fn predict_reports_what_it_wrote_and_then_finds_it_done() {
    let world = World::with_market();
    train(&world.resources, &train_request(&world), &()).unwrap();
    let report = predict(&world.resources, &predict_request(&world), &()).unwrap();
    assert_eq!((report.rows, report.files, report.skipped, report.errors), (4_000, 2, 0, 0));
    assert_snapshot!(shape(&report), @r"
    rows: integer
    files: integer
    skipped: integer
    errors: integer
    seconds: number
    rows_per_second: number
    peak_memory_bytes: integer
    model: string
    id: string
    run: null
    out: string
    ");
    let again = predict(&world.resources, &predict_request(&world), &()).unwrap();
    assert_eq!((again.rows, again.files, again.skipped), (0, 0, 2));
}

#[test]
fn import_reports_the_model() {
    let world = World::new();
    world.write("model.txt", include_str!("../../model/tests/golden/dart.txt"));
    let (file, out) = (world.path("model.txt"), world.path("model"));
    let request = ImportRequest { format: Format::Lightgbm, file, schema: None, data: None, out };
    let report = import(&world.resources, &request, &()).unwrap();
    assert_snapshot!(shape(&report), @r"
    model: string
    id: string
    family: string
    features: integer
    trees: integer
    ");
}

#[test]
fn schema_reports_a_draft_and_its_warnings() {
    let world = World::with_market();
    let request = SchemaRequest {
        data: world.path("days/dt=2026-01-05/part-0.csv"),
        label: "click".to_owned(),
        id: vec!["user_id".to_owned()],
        drop: Vec::new(),
        out: None,
    };
    let report = schema(&world.resources, &request).unwrap();
    assert!(report.text.contains("label = \"click\""), "{}", report.text);
    assert_snapshot!(shape(&report), @r"
    rows: integer
    schema: null
    text: string
    warnings[]: string
    ");
}

#[test]
fn a_model_is_not_written_into_the_folder_that_it_learns_from() {
    let world = World::with_market();
    for out in ["days/dt=2026-01-05", "days/dt=2026-01-05/model"] {
        let request = TrainRequest { out: world.path(out), ..train_request(&world) };
        let error = train(&world.resources, &request, &()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{error}");
        assert!(error.to_string().contains("is the folder of the input or below it"), "{error}");
    }
}

/// Cancels an operation as soon as something was done.
struct Impatient;

impl Observer for Impatient {
    fn is_cancelled(&self) -> bool {
        true
    }
}

#[test]
fn a_cancelled_operation_leaves_nothing_behind() {
    let world = World::with_market();
    let cancelled = train(&world.resources, &train_request(&world), &Impatient).unwrap_err();
    assert_eq!(cancelled.kind(), Kind::Cancelled);
    assert!(!std::path::Path::new(&world.path("model")).exists());
    train(&world.resources, &train_request(&world), &()).unwrap();
    let cancelled = predict(&world.resources, &predict_request(&world), &Impatient).unwrap_err();
    assert_eq!(cancelled.kind(), Kind::Cancelled);
    assert!(!std::path::Path::new(&world.path("predictions/dt=2026-01-05/part-0.parquet")).exists());
}
