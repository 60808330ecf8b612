//! Streamed writes of objects that appear when they are finished.

use bytes::Bytes;
use object_store::{MultipartUpload, ObjectStoreExt, PutMode, PutPayload};
use tokio::runtime::Handle;

use crate::local::Staged;
use crate::{Error, Kind, Store};

/// Bytes of one part of an upload: above S3's least (5 MiB); 10,000 parts make 80 GB.
const PART_BYTES: usize = 8 << 20;

/// An object on its way. Dropped before it is finished, it never was.
#[derive(Debug)]
pub struct Writer {
    store: Store,
    key: String,
    /// Whether the object may not be there yet.
    new: bool,
    state: State,
    bytes: u64,
}

#[derive(Debug)]
enum State {
    /// Nothing was written yet.
    Untouched,
    Open(Form),
    /// A write failed, or was given up midway: what is there must not pass for the whole.
    Broken(Kind),
}

#[derive(Debug)]
enum Form {
    Local(Staged),
    /// Less than a part so far: perhaps one put is enough.
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
    /// Where the store can't take them.
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

    /// Makes the object appear; its length in bytes.
    ///
    /// # Errors
    /// Where the store can't take it, or could not take a part of it; [`Kind::Conflict`] where it may not be there
    /// yet but is. Then nothing has changed under its name.
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

    /// What was written so far, begun if need be; broken until it is put back.
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
    /// None once it has ended.
    upload: Option<Box<dyn MultipartUpload>>,
    /// Where the parts go, if not to the object itself: the last request of an upload can't ask that
    /// nothing be there, but a copy can.
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
        // What is left behind is hidden; failing to remove it is not the failure to report.
        let _ = store.delete(&staged).await;
        copied
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        // Parts cost money until they are given up. Who asks for it may be gone before it is done: a
        // bucket has its own rule for that.
        if let Some(mut upload) = self.upload.take() {
            drop(self.handle.spawn(async move { upload.abort().await }));
        }
    }
}

/// A hidden name beside the object's, which nobody else takes.
fn staged_key(key: &str) -> String {
    use std::hash::{BuildHasher, RandomState};
    let unique = RandomState::new().hash_one(std::process::id());
    let (folder, name) = key.rsplit_once('/').map_or(("", key), |(folder, name)| (folder, name));
    let separator = if folder.is_empty() { "" } else { "/" };
    format!("{folder}{separator}.{name}.{unique:016x}.part")
}
