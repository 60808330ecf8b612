//! Models where they are kept: read whole and verified, written manifest last.

use std::collections::BTreeMap;

use bytes::Bytes;
use clickcast_model::artifact::{Artifact, MANIFEST, ModelManifest};
use clickcast_storage::Store;

use crate::{Error, Kind};

/// A model is read anew if another takes its place in between; so many times in a row is no accident.
const READS_MAX: usize = 5;

/// Reads and verifies the model in a folder of a store: `folder` is empty, or ends in a slash.
///
/// # Errors
/// [`Kind::NotFound`] if it does not exist, [`Kind::Damaged`], or if the store can't be read.
pub async fn read_artifact(store: &Store, folder: &str) -> Result<Artifact, Error> {
    let mut manifest = read_manifest(store, folder).await?;
    for _ in 1..READS_MAX {
        let payloads = read_payloads(store, folder, &manifest).await?;
        if payloads.len() == manifest.payloads.len() {
            return verified(store, folder, manifest, payloads);
        }
        // A payload is missing: it is gone with its model if there is another one by now.
        let newer = read_manifest(store, folder).await?;
        if newer == manifest {
            return verified(store, folder, manifest, payloads);
        }
        manifest = newer;
    }
    Err(Error::new(Kind::Conflict, format!("model `{}` is replaced again and again", store.uri(folder))))
}

/// Writes a model. The manifest is written last, so that a manifest always belongs to a complete model.
///
/// # Errors
/// If the store can't be written.
pub async fn write_artifact(store: &Store, folder: &str, artifact: &Artifact) -> Result<(), Error> {
    let older = store.get(&format!("{folder}{MANIFEST}")).await.ok();
    let older = older.and_then(|bytes| Artifact::parse_manifest(&bytes).ok());
    let files = artifact.files();
    for (name, bytes) in &files {
        store.put(&format!("{folder}{name}"), bytes.clone()).await?;
    }
    for (name, payload) in older.iter().flat_map(|older| &older.payloads) {
        let file = payload.file_name(name);
        if files.iter().all(|(name, _)| *name != file) {
            // The model is written; what is left of the old one only takes room.
            let _ = store.delete(&format!("{folder}{file}")).await;
        }
    }
    Ok(())
}

async fn read_manifest(store: &Store, folder: &str) -> Result<ModelManifest, Error> {
    let bytes = store.get(&format!("{folder}{MANIFEST}")).await.map_err(|error| match error.is_not_found() {
        true => Error::new(Kind::NotFound, format!("`{}` holds no model: {MANIFEST} is missing", store.uri(folder))),
        false => error.into(),
    })?;
    Artifact::parse_manifest(&bytes).map_err(|error| damaged(store, folder, error))
}

/// The payloads that are there, by name.
async fn read_payloads(
    store: &Store,
    folder: &str,
    manifest: &ModelManifest,
) -> Result<BTreeMap<String, Bytes>, Error> {
    let mut payloads = BTreeMap::new();
    for (name, payload) in &manifest.payloads {
        match store.get(&format!("{folder}{}", payload.file_name(name))).await {
            Ok(bytes) => drop(payloads.insert(name.clone(), bytes)),
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(payloads)
}

fn verified(
    store: &Store,
    folder: &str,
    manifest: ModelManifest,
    payloads: BTreeMap<String, Bytes>,
) -> Result<Artifact, Error> {
    Artifact::verify(manifest, payloads).map_err(|error| damaged(store, folder, error))
}

fn damaged(store: &Store, folder: &str, error: clickcast_model::Error) -> Error {
    Error::damaged_subject(format!("model `{}`", store.uri(folder)), error)
}
