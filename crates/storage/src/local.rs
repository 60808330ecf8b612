//! What the object store's own local store lacks: a lock, and a staged write.

use std::ffi::OsStr;
use std::fs::{File, Metadata, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Result, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;

/// The problem with a folder where a file is expected.
pub(crate) const FOLDER: &str = "it is a folder; give the name of a file";

/// The resolution of the time in an ETag.
const ETAG_STEP: Duration = Duration::from_micros(1);

/// A lock beside a file, held until dropped; the system releases it if the process dies.
pub(crate) struct Lock(#[allow(dead_code, reason = "held, never read")] File);

impl Lock {
    /// Waits for the lock.
    pub(crate) async fn take(path: PathBuf) -> Result<Self> {
        let locked = blocking(move || {
            let path = target(path)?;
            let name = format!(".{}.lock", name_of(&path));
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(path.with_file_name(name))?;
            file.lock()?;
            Ok(Self(file))
        });
        locked.await
    }
}

/// A file that is written under a hidden name, then renamed. If it is dropped before, it is deleted.
#[derive(Debug)]
pub(crate) struct Staged {
    file: NamedTempFile,
    path: PathBuf,
}

impl Staged {
    pub(crate) fn create(path: PathBuf) -> Result<Self> {
        let path = target(path)?;
        let folder = folder_of(&path);
        create_folder(folder)?;
        // A random name that is created or refused: two processes never share it.
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

    /// Gives the file its name; if `new`, only if nothing has that name.
    pub(crate) fn finish(self, new: bool) -> Result<()> {
        let Self { file, path } = self;
        if let Ok(older) = path.metadata() {
            // An ETag must never recur. Inodes are reused, and a file system's clock may stand still for milliseconds,
            // so each version gets a later time than the one before.
            let later = older.modified()? + ETAG_STEP;
            if file.as_file().metadata()?.modified()? < later {
                file.as_file().set_modified(later)?;
            }
        }
        // Otherwise the rename may reach the disk before the content does.
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

/// Writes a whole file; if `new`, only if nothing has its name.
pub(crate) fn put(path: PathBuf, bytes: &[u8], new: bool) -> Result<()> {
    let mut staged = Staged::create(path)?;
    staged.write(bytes)?;
    staged.finish(new)
}

/// Runs work that waits for the disk on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::other)?
}

/// Returns why something can't be read or replaced as a file, or `None` if it can.
pub(crate) fn problem_with(there: &Metadata) -> Option<&'static str> {
    match (there.is_dir(), there.is_file()) {
        (true, _) => Some(FOLDER),
        (_, true) => None,
        _ => Some("it is a device, pipe or socket; give the name of a file"),
    }
}

/// Returns the file that a path leads to: a write through a link replaces the link's target.
fn target(path: PathBuf) -> Result<PathBuf> {
    let Ok(there) = path.metadata() else { return Ok(path) };
    match problem_with(&there) {
        Some(problem) => Err(Error::new(ErrorKind::InvalidInput, problem)),
        None => path.canonicalize(),
    }
}

fn create_folder(folder: &Path) -> Result<()> {
    let new = folder.ancestors().take_while(|above| !above.exists()).count();
    std::fs::create_dir_all(folder).map_err(|error| {
        // The system's error does not say which part of the path is in the way.
        match folder.ancestors().find(|above| above.symlink_metadata().is_ok()).filter(|above| !above.is_dir()) {
            Some(above) => Error::new(ErrorKind::NotADirectory, format!("`{}` is not a folder", above.display())),
            None => error,
        }
    })?;
    // A crash may lose a new folder until the one above it has reached the disk.
    folder.ancestors().skip(1).take(new).try_for_each(|above| File::open(above)?.sync_all())
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn name_of(path: &Path) -> std::borrow::Cow<'_, str> {
    path.file_name().unwrap_or(OsStr::new("")).to_string_lossy()
}
