//! Models on this machine's disk, by the hash that names them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use clickcast_model::artifact::{Artifact, MANIFEST};
use clickcast_registry::{read_artifact, write_artifact};
use clickcast_storage::Store;

/// A folder of artifacts, the longest unused of which give way. It is a help, never a need: whatever fails with it is as if
/// nothing were there. Several workers may share it.
#[derive(Debug, Clone)]
pub struct ModelCache {
    folder: PathBuf,
    bytes_max: u64,
}

impl ModelCache {
    /// A cache in a folder, which is made when it is needed.
    #[must_use]
    pub fn new(folder: PathBuf, bytes_max: u64) -> Self {
        Self { folder, bytes_max }
    }

    /// The artifact with this hash, verified; none where it isn't there, or is damaged.
    pub(super) async fn get(&self, id: &str) -> Option<Artifact> {
        let artifact = read_artifact(&self.store(id)?, "").await.ok().filter(|artifact| artifact.id() == id)?;
        // Who looks for the longest unused looks at this.
        let _ = fs::File::open(self.folder.join(id)).and_then(|folder| folder.set_modified(SystemTime::now()));
        Some(artifact)
    }

    /// Keeps an artifact, and lets others go.
    pub(super) async fn put(&self, artifact: &Artifact) {
        let bytes: u64 = artifact.files().iter().map(|(_, bytes)| bytes.len() as u64).sum();
        self.make_room(self.bytes_max.saturating_sub(bytes));
        if let Some(store) = self.store(artifact.id()).filter(|_| bytes <= self.bytes_max) {
            let _ = write_artifact(&store, "", artifact).await;
        }
    }

    fn store(&self, id: &str) -> Option<Store> {
        // A name from elsewhere leads to no other folder.
        Store::open(self.folder.join(id).to_str()?).ok().filter(|_| is_hash(id))
    }

    fn make_room(&self, bytes_max: u64) {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        // Somebody may have given a folder that holds other things, too.
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

/// Whether a name is that of an artifact: a SHA-256 in hex.
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
    fn only_models_give_way() {
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
