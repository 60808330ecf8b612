//! An artifact is read or refused: the bytes before the first NUL are `model.json`, those after it the payload.
//!
//! Nothing random has the right SHA-256. So the manifest is read twice: as it stands, and sealed anew around the
//! payload, which lets damage through to the readers of the families.
#![no_main]

use std::collections::BTreeMap;

use clickcast_model::Model;
use clickcast_model::artifact::{Artifact, ModelManifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let split = data.iter().position(|&byte| byte == 0).unwrap_or(data.len());
    let (json, payload) = data.split_at(split);
    let payload = payload.get(1..).unwrap_or_default();
    // A refusal is fine here.
    let _ = Artifact::parse_manifest(json);
    let Ok(manifest) = serde_json::from_slice::<ModelManifest>(json) else { return };
    let payloads = manifest.payloads.keys().map(|name| (name.clone(), payload.to_vec().into()));
    let payloads = payloads.collect::<BTreeMap<_, _>>();
    let Ok(model) = Model::from_artifact(Artifact::new(manifest, payloads)) else { return };
    assert!(!model.schema().features().is_empty());
});
