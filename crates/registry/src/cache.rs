//! A cache of models on this machine's disk, by their hashes.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clickcast_model::artifact::{Artifact, MANIFEST};
use clickcast_storage::Store;

use crate::artifacts::{read_artifact, write_artifact};

/// A folder that keeps artifacts, and evicts the least recently used ones. Its failures are never errors: an artifact that can't
/// be read is missing, and one that can't be written is not kept. Several processes may share the folder.
#[derive(Debug, Clone)]
pub struct ModelCache {
    folder: PathBuf,
    bytes_max: u64,
}

impl ModelCache {
    /// Creates a cache in a folder, which is created with its first artifact.
    #[must_use]
    pub fn new(folder: PathBuf, bytes_max: u64) -> Self {
        Self { folder, bytes_max }
    }

    /// Returns the artifact with this hash, verified; `None` if it is missing or damaged.
    pub async fn get(&self, id: &str) -> Option<Artifact> {
        let artifact = read_artifact(&self.store(id)?, "").await.ok().filter(|artifact| artifact.id() == id)?;
        // The time of the last use, for eviction.
        let _ = fs::File::open(self.folder.join(id)).and_then(|folder| folder.set_modified(SystemTime::now()));
        Some(artifact)
    }

    /// Keeps an artifact, and evicts others if there is no room for it.
    pub async fn put(&self, artifact: &Artifact) {
        let bytes: u64 = artifact.files().iter().map(|(_, bytes)| bytes.len() as u64).sum();
        self.make_room(self.bytes_max.saturating_sub(bytes));
        if let Some(store) = self.store(artifact.id()).filter(|_| bytes <= self.bytes_max) {
            let _ = write_artifact(&store, "", artifact).await;
        }
    }

    fn store(&self, id: &str) -> Option<Store> {
        // A name that is not a hash could lead to another folder.
        Store::open(self.folder.join(id).to_str()?).ok().filter(|_| is_hash(id))
    }

    fn make_room(&self, bytes_max: u64) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        // The folder may hold other things, too.
        let own = entries
            .filter(|entry| entry.file_name().to_str().is_some_and(is_hash) && entry.path().join(MANIFEST).is_file());
        let mut folders: Vec<(SystemTime, u64, PathBuf)> = own
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, bytes_in(&entry.path()), entry.path())))
            .collect();
        folders.sort();
        let mut bytes: u64 = folders.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, own, path) in folders {
            if bytes <= bytes_max {
                return;
            }
            if fs::remove_dir_all(path).is_ok() {
                bytes -= own;
            }
        }
    }
}

/// Returns whether a name is that of an artifact: a SHA-256 in hex.
fn is_hash(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn bytes_in(folder: &Path) -> u64 {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    files.filter_map(|file| Some(file.metadata().ok()?.len())).sum()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_models_are_evicted() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            (format!("{:064x}", 1), MANIFEST, false),
            (format!("{:064x}", 2), "no-manifest", true),
            ("precious".to_owned(), MANIFEST, true),
            ("g".repeat(64), MANIFEST, true),
        ];
        for (name, file, _) in &files {
            let place = folder.path().join(name);
            fs::create_dir_all(&place).unwrap();
            fs::write(place.join(file), [0; 1000]).unwrap();
        }
        ModelCache::new(folder.path().to_owned(), 10).make_room(0);
        for (name, file, is_kept) in &files {
            assert_eq!(folder.path().join(name).join(file).exists(), *is_kept, "{name}");
        }
    }
}
