//! Models, runs and places to keep them.
#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use clickcast_model::artifact::{Artifact, FORMAT, ModelManifest};
use clickcast_model::calibration::Calibration;
use clickcast_record::{Precision, Schema};
use clickcast_registry::{
    Change, Channel, Error, Gated, Name, OutputRecord, PinnedModel, RunManifest, RunRecord, RunSettings, Runs,
};
use clickcast_storage::Store;
use clickcast_testing::services::Moto;
use clickcast_verdict::{Check, Judgement, Verdict};
use jiff::Timestamp;
use tokio::runtime::Runtime;

/// Empty stores of one kind, as many as are asked for.
pub struct Places {
    open: Box<dyn Fn(u64) -> Store>,
    opened: AtomicU64,
}

impl Places {
    pub fn new(open: impl Fn(u64) -> Store + 'static) -> Self {
        Self { open: Box::new(open), opened: AtomicU64::new(0) }
    }

    pub fn memory() -> Self {
        Self::new(|_| Store::in_memory())
    }

    pub fn folder(folder: &Path) -> Self {
        let folder = folder.display().to_string();
        Self::new(move |number| Store::open(&format!("{folder}/{number}")).unwrap())
    }

    pub fn moto(moto: Moto) -> Self {
        Self::new(move |number| Store::open_with(&format!("s3://bucket/place-{number}"), &moto.variables()).unwrap())
    }

    pub fn fresh(&self) -> Store {
        (self.open)(self.opened.fetch_add(1, Ordering::SeqCst))
    }
}

pub fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

pub fn name() -> Name {
    "ctr".parse().unwrap()
}

pub fn champion() -> Channel {
    "champion".parse().unwrap()
}

/// So many seconds after the beginning.
pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_790_000_000 + second).unwrap()
}

pub fn change() -> Change {
    Change { by: "ann".to_owned(), at: at(5), reason: None, forced: false, fence: None }
}

pub fn artifact(weights: &[u8]) -> Artifact {
    let manifest = ModelManifest {
        format: FORMAT,
        family: clickcast_model::Family::Lr,
        schema: Schema::from_toml("[[feature]]\nname = \"age\"\nkind = \"numeric\"\n").unwrap(),
        schema_hash: String::new(),
        training: None,
        calibration: Calibration::Identity,
        parameters: serde_json::Value::Null,
        payloads: BTreeMap::new(),
        sha256: String::new(),
    };
    let payloads = ["a.safetensors", "b.txt"].map(|name| (name.to_owned(), weights.to_vec().into()));
    Artifact::new(manifest, payloads.into())
}

pub fn judgement(verdict: Verdict) -> Judgement {
    let reason = "It was looked at.".to_owned();
    Judgement::of(vec![Check { name: "loads".to_owned(), verdict, observed: None, limit: None, reason }])
}

pub fn gated(verdict: Verdict, champion: Option<u64>) -> Gated {
    Gated { at: at(3), champion, judgement: judgement(verdict), scores: None }
}

fn pinned() -> PinnedModel {
    PinnedModel { registry: None, name: None, version: None, artifact: "abc".to_owned() }
}

pub fn run_record(run: &str, created: i64) -> RunRecord {
    let settings = RunSettings { precision: Precision::F32, keep: Vec::new() };
    RunRecord { run: run.parse().unwrap(), model: pinned(), input: "in".to_owned(), settings, created: at(created) }
}

pub fn manifest(run: &str, closed: i64, rows: u64) -> RunManifest {
    let output = OutputRecord {
        key: "a.parquet".to_owned(),
        input: "a.parquet".to_owned(),
        input_etag: "1".to_owned(),
        row_groups: None,
        artifact: "abc".to_owned(),
        rows,
        bytes: 1,
        sha256: "00".to_owned(),
    };
    let run = run.parse().unwrap();
    RunManifest {
        run,
        closed: at(closed),
        model: pinned(),
        inputs: Vec::new(),
        outputs: vec![output],
        superseded: Vec::new(),
        errors: Vec::new(),
    }
}

/// Takes a run from its beginning to its readers.
pub async fn publish(runs: &Runs, name: &str, closed: i64) -> Result<(), Error> {
    let run = runs.begin(run_record(name, closed)).await?;
    run.close(&manifest(name, closed, 10)).await?;
    run.record_audit(at(closed), Some(10), 10, judgement(Verdict::Pass)).await?;
    runs.publish(&run, change()).await.map(|_| ())
}
