//! Streamed writes of objects that appear when they are finished.

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt, PutMode, PutPayload};
use tokio::runtime::Handle;

use crate::local::Staged;
use crate::{Error, Kind, Store};

/// Bytes of one part of an upload: above S3's least (5 MiB); 10,000 parts make 80 GB.
const PART_BYTES: usize = 8 << 20;

/// An unfinished object. If it is dropped before [`Writer::finish`], nothing appears under its name.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    key: String,
    /// Whether the object must not exist yet.
    new: bool,
    state: State,
    bytes: u64,
}

#[derive(Debug)]
enum State {
    /// Nothing was written yet.
    Untouched,
    Open(Form),
    /// A write failed or was cancelled midway, so what was written must not be taken for the whole.
    Broken(Kind),
}

#[derive(Debug)]
enum Form {
    Local(Staged),
    /// Less than a part so far: one request may be enough.
    Buffered(Vec<u8>),
    Parts(Parts, Vec<u8>),
}

impl Writer {
    pub(crate) fn new(store: Store, key: &str, new: bool) -> Self {
        Self { store, key: key.to_owned(), new, state: State::Untouched, bytes: 0 }
    }

    /// Appends bytes. After an error the writer takes no more, and can't be finished.
    ///
    /// # Errors
    /// If the store can't take them.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        let appended = match self.take() {
            Ok(form) => self.append(form, &bytes).await,
            Err(error) => Err(error),
        };
        self.bytes += bytes.len() as u64;
        match appended {
            Ok(form) => self.state = State::Open(form),
            Err(error) => {
                self.state = State::Broken(error.kind());
                return Err(error);
            }
        }
        Ok(())
    }

    /// Makes the object appear, and returns its length in bytes.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if the object must not exist yet but does; any other kind if the store can't take it, or could not
    /// take a part of it. Then nothing has changed under its name.
    pub async fn finish(mut self) -> Result<u64, Error> {
        let form = self.take()?;
        match form {
            Form::Local(staged) => staged.finish(self.new).map_err(|error| self.failed(error))?,
            Form::Buffered(buffer) => {
                let mode = if self.new { PutMode::Create } else { PutMode::Overwrite };
                self.store.put_with(&self.key, buffer.into(), mode).await?;
            }
            Form::Parts(parts, buffer) => parts.finish(&self.store, &self.key, buffer).await?,
        }
        Ok(self.bytes)
    }

    /// Takes out what was written so far, or begins the object. The writer is broken until the caller puts it back.
    fn take(&mut self) -> Result<Form, Error> {
        match std::mem::replace(&mut self.state, State::Broken(Kind::Unavailable)) {
            State::Untouched => match self.store.location.file(&self.key)? {
                Some(path) => Staged::create(path).map(Form::Local).map_err(|error| self.failed(error)),
                None => self.store.location.path(&self.key).map(|_| Form::Buffered(Vec::new())),
            },
            State::Open(form) => Ok(form),
            State::Broken(kind) => Err(Error::incomplete("write", &self.store.uri(&self.key), kind)),
        }
    }

    async fn append(&self, form: Form, bytes: &[u8]) -> Result<Form, Error> {
        let (mut parts, mut buffer) = match form {
            Form::Local(mut staged) => {
                staged.write(bytes).map_err(|error| self.failed(error))?;
                return Ok(Form::Local(staged));
            }
            Form::Buffered(mut buffer) => {
                buffer.extend_from_slice(bytes);
                if buffer.len() < PART_BYTES {
                    return Ok(Form::Buffered(buffer));
                }
                (Parts::begin(&self.store, &self.key, self.new).await?, buffer)
            }
            Form::Parts(parts, mut buffer) => {
                buffer.extend_from_slice(bytes);
                (parts, buffer)
            }
        };
        while buffer.len() >= PART_BYTES {
            let rest = buffer.split_off(PART_BYTES);
            let part = std::mem::replace(&mut buffer, rest);
            let sent = parts.send(part).await;
            sent.map_err(|error| Error::new("write", &self.store.uri(&self.key), error))?;
        }
        Ok(Form::Parts(parts, buffer))
    }

    fn failed(&self, error: std::io::Error) -> Error {
        Error::io("write", &self.store.uri(&self.key), error)
    }
}

/// An upload by parts.
#[derive(Debug)]
struct Parts {
    /// `None` once it has ended.
    upload: Option<Box<dyn MultipartUpload>>,
    /// The key that the parts are written to, if not the object's own: the last request of an upload can't demand that the
    /// object not exist, but a copy can.
    staged: Option<String>,
    handle: Handle,
}

impl Parts {
    async fn begin(store: &Store, key: &str, new: bool) -> Result<Self, Error> {
        let staged = new.then(|| staged_key(key));
        let target = store.location.path(staged.as_deref().unwrap_or(key))?;
        let upload = store.objects.put_multipart(&target).await;
        let upload = upload.map_err(|error| Error::new("write", &store.uri(key), error))?;
        Ok(Self { upload: Some(upload), staged, handle: Handle::current() })
    }

    async fn send(&mut self, part: Vec<u8>) -> object_store::Result<()> {
        match &mut self.upload {
            Some(upload) => upload.put_part(PutPayload::from(part)).await,
            None => Ok(()),
        }
    }

    async fn finish(mut self, store: &Store, key: &str, rest: Vec<u8>) -> Result<(), Error> {
        let failed = |error| Error::new("write", &store.uri(key), error);
        if !rest.is_empty() {
            self.send(rest).await.map_err(failed)?;
        }
        if let Some(upload) = &mut self.upload {
            upload.complete().await.map_err(failed)?;
        }
        self.upload = None;
        let Some(staged) = self.staged.take() else { return Ok(()) };
        let (from, to) = (store.location.path(&staged)?, store.location.path(key)?);
        let copied = store.objects.copy_if_not_exists(&from, &to).await.map_err(failed);
        // A leftover is hidden, so a failure to remove it is not reported.
        let _ = store.delete(&staged).await;
        copied
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // Parts cost money until the upload is aborted. The process may end before that: buckets have a rule for such
        // leftovers.
        if let Some(mut upload) = self.upload.take() {
            drop(self.handle.spawn(async move { upload.abort().await }));
        }
    }
}

/// Returns a hidden, unique key beside the object's.
fn staged_key(key: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    let unique = RandomState::new().hash_one(std::process::id());
    let (folder, name) = key.rsplit_once('/').map_or(("", key), |(folder, name)| (folder, name));
    let separator = if folder.is_empty() { "" } else { "/" };
    format!("{folder}{separator}.{name}.{unique:016x}.part")
}
