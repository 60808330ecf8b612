//! Models where they are kept: read whole and verified, written manifest last.

use clickcast_model::Model;
use clickcast_model::artifact::{Artifact, MANIFEST};
use clickcast_storage::Store;

use super::{Context, storage_failure};
use crate::failure::Failure;

/// Reads and verifies a model.
pub(super) fn load(context: &Context, uri: &str) -> Result<Model, Failure> {
    let store = Store::open(uri).map_err(|error| storage_failure(&error))?;
    let get = |name: &str| context.runtime.block_on(store.get(name));
    let manifest = get(MANIFEST).map_err(|error| match error.is_not_found() {
        true => Failure::input(format!("`{uri}` holds no model: {MANIFEST} is missing")),
        false => storage_failure(&error),
    })?;
    let damaged = |error: clickcast_model::Error| Failure::input(format!("model `{uri}`: {error}"));
    let manifest = Artifact::parse_manifest(&manifest).map_err(damaged)?;
    let mut payloads = std::collections::BTreeMap::new();
    for name in manifest.payloads.keys() {
        match get(name) {
            Ok(bytes) => drop(payloads.insert(name.clone(), bytes.to_vec())),
            // `verify` says which one is missing.
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(storage_failure(&error)),
        }
    }
    Artifact::verify(manifest, payloads).and_then(Model::from_artifact).map_err(damaged)
}

/// Writes a model, the manifest last: whoever finds a manifest finds a whole model.
pub(super) fn save(context: &Context, artifact: &Artifact, uri: &str) -> Result<(), Failure> {
    let store = Store::open(uri).map_err(|error| storage_failure(&error))?;
    for (name, bytes) in artifact.files() {
        context.runtime.block_on(store.put(name, bytes.into())).map_err(|error| storage_failure(&error))?;
    }
    Ok(())
}
