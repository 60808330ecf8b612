//! A whole day by library calls alone, from synthetic impressions to a published run:
//! `cargo run --release -p clickcast-operations --example day -- FOLDER`

#![allow(clippy::print_stdout)]

use std::error::Error;
use std::path::Path;

use clickcast_learn::FactorFamily;
use clickcast_operations::models::{GateRequest, PromoteRequest, RegisterRequest, gate, promote, register};
use clickcast_operations::predict::{PredictRequest, predict};
use clickcast_operations::runs::{AuditRequest, PublishRequest, RunLocation, audit, close, publish};
use clickcast_operations::synthesize::{SynthesizeRequest, synthesize};
use clickcast_operations::train::{TrainRequest, train};
use clickcast_operations::{ModelLocation, Resources};
use clickcast_record::Precision;
use clickcast_registry::Name;
use clickcast_synth::Settings;
use clickcast_verdict::Verdict;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args().nth(1).ok_or("give a folder to work in")?;
    day(Path::new(&folder)).map(drop)
}

/// Returns the audit's verdict on the published run.
fn day(folder: &Path) -> Result<Verdict, Box<dyn Error>> {
    let runtime = tokio::runtime::Runtime::new()?;
    let resources = Resources::new(runtime.handle().clone(), Resources::cores())?;
    let path = |name: &str| folder.join(name).display().to_string();
    let (name, registry, by): (Name, _, _) = ("ctr".parse()?, path("registry"), "example".to_owned());

    // Train on the first day, judge the model on the second, and score the third.
    let settings = Settings { days: 3, ..Settings::for_rows(60_000) };
    let market =
        SynthesizeRequest { schema: Some(path("features.toml")), ..SynthesizeRequest::new(settings, path("days")) };
    synthesize(&resources, &market, &())?;
    let [learned, judged, booked] = ["05", "06", "07"].map(|day| path(&format!("days/dt=2026-01-{day}")));
    train(&resources, &TrainRequest::new(learned, path("features.toml"), FactorFamily::Lr, path("model")), &())?;

    let model =
        RegisterRequest { registry: registry.clone(), name: name.clone(), model: path("model"), by: by.clone() };
    let version = register(&resources, &model)?.version;
    let candidate = GateRequest::new(registry.clone(), name.clone(), format!("{name}@{version}"), judged);
    let gated = gate(&resources, &GateRequest { today: Some(booked.clone()), ..candidate }, &())?;
    // Without a champion to compare with, the gate may hold a model; to promote it anyway, give a reason.
    let promotion = PromoteRequest {
        registry: registry.clone(),
        name,
        version,
        channel: "champion".parse()?,
        expect: None,
        force: gated.verdict == Verdict::Hold,
        reason: gated.why,
        by: by.clone(),
    };
    promote(&resources, &promotion)?;

    let location = RunLocation { run: "dt=2026-01-07".parse()?, out: path("predictions") };
    let delivery = PredictRequest {
        model: ModelLocation::registered("ctr@champion", registry),
        data: booked,
        out: location.out.clone(),
        run: Some(location.run.clone()),
        precision: Precision::F32,
        keep: Vec::new(),
    };
    println!("{} rows scored", predict(&resources, &delivery, &())?.rows);
    close(&resources, &location, &())?;
    let audited = audit(&resources, &AuditRequest { location: location.clone(), registry: None }, &())?;
    publish(&resources, &PublishRequest { location, by, reason: None, force: false, fence: None })?;
    Ok(audited.verdict)
}

#[test]
fn a_day_goes_from_impressions_to_a_published_run() {
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(day(folder.path()).expect("a day"), Verdict::Pass);
}
