//! What the local file system needs beyond the object store's own: a lock, and a streamed write.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// A lock beside a file, held until dropped; the system releases it if the process dies.
pub(crate) struct Lock(#[allow(dead_code, reason = "held, never read")] File);

impl Lock {
    pub(crate) fn take(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(beside(path, "lock"))?;
        file.lock()?;
        Ok(Self(file))
    }
}

/// A file that is written under a hidden name, then renamed.
#[derive(Debug)]
pub(crate) struct Staged {
    file: Option<File>,
    temporary: PathBuf,
    path: PathBuf,
}

impl Staged {
    pub(crate) fn create(path: PathBuf) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // One process writes one name once at a time; another process has another number.
        let temporary = beside(&path, &format!("{}.part", std::process::id()));
        let file = File::create(&temporary)?;
        Ok(Self { file: Some(file), temporary, path })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.file {
            Some(file) => file.write_all(bytes),
            None => Ok(()),
        }
    }

    pub(crate) fn finish(mut self) -> std::io::Result<()> {
        if let Some(file) = self.file.take() {
            // A rename may reach the disk before the content does.
            file.sync_all()?;
        }
        std::fs::rename(&self.temporary, &self.path)
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // After a rename there is nothing under this name; otherwise nobody wants what there is.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

/// A hidden name beside a file's.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{ending}"))
}
