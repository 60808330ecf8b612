//! What the local file system needs beyond the object store's own: a lock, and a staged write.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{Result, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

/// A lock beside a file, held until dropped; the system releases it if the process dies.
pub(crate) struct Lock(#[allow(dead_code, reason = "held, never read")] File);

impl Lock {
    /// Waits for the lock, on a thread where waiting stops nobody else.
    pub(crate) async fn take(path: PathBuf) -> Result<Self> {
        let locked = tokio::task::spawn_blocking(move || {
            let name = format!(".{}.lock", name_of(&path));
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path.with_file_name(name))?;
            file.lock()?;
            Ok(Self(file))
        });
        locked.await.map_err(std::io::Error::other)?
    }
}

/// A file that is written under a hidden name, then renamed. Dropped before, it is gone.
#[derive(Debug)]
pub(crate) struct Staged {
    file: NamedTempFile,
    path: PathBuf,
}

impl Staged {
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let folder = folder_of(&path);
        std::fs::create_dir_all(folder)?;
        let file = tempfile::Builder::new()
            .prefix(&format!(".{}.", name_of(&path)))
            .suffix(".part")
            // As any new file: what the process's mask leaves of it.
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        Ok(Self { file, path })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes)
    }

    /// Gives the file its name; where `new`, only if nothing has that name.
    pub(crate) fn finish(self, new: bool) -> Result<()> {
        let Self { file, path } = self;
        // A rename may reach the disk before the content does.
        file.as_file().sync_all()?;
        let folder = folder_of(&path).to_owned();
        match new {
            true => file.persist_noclobber(path),
            false => file.persist(path),
        }
        .map_err(|error| error.error)?;
        File::open(folder)?.sync_all()
    }
}

/// Replaces a file by a version whose time is later, so that no ETag ever comes back: inodes are used
/// again, and a file system's clock may stand still for milliseconds.
pub(crate) fn replace(path: PathBuf, bytes: &[u8]) -> Result<()> {
    let earlier = path.metadata()?.modified()?;
    let mut staged = Staged::create(path)?;
    staged.write(bytes)?;
    let own = staged.file.as_file().metadata()?.modified()?;
    // ETags hold microseconds.
    staged.file.as_file().set_modified(own.max(earlier + Duration::from_micros(1)))?;
    staged.finish(false)
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or(OsStr::new("")).to_string_lossy()
}
