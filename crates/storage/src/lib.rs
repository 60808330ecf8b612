//! Turns a URI into a store of objects, or into a queue.
//!
//! A [`Store`] is an object store and a prefix in it: a local folder, or a prefix of an S3, Google or Azure bucket. An object
//! appears under its name whole or not at all. A [`queue::Queue`] hands out work.
//!
//! Each cloud and each kind of queue is a cargo feature: `s3`, `gcs`, `azure`, `sqs`, `sqlite`. Without any of them there are
//! local folders. A URI whose feature is off is an error that names the feature.

#[cfg(feature = "aws")]
mod aws;
mod bucket;
mod error;
mod faults;
#[cfg(feature = "http")]
mod http;
mod local;
mod location;
pub mod queue;
mod writer;

pub use error::{Error, Kind};
pub use faults::{Fault, Operation};
use location::Location;
pub use location::{absolute, key_below};
pub use writer::Writer;

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

/// An object store and a prefix in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    location: Location,
    /// Faults that the store's requests meet, in tests. Whole local writes make no request, but meet them too.
    faults: Option<faults::Faulty>,
}

/// An object's description, from a listing or a [`Store::head`] request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The object's name below the store's prefix.
    pub key: String,
    /// Changes whenever the content does.
    pub etag: String,
    /// The length in bytes.
    pub size: u64,
}

/// An open local object.
#[derive(Debug)]
pub struct LocalFile {
    file: File,
    uri: String,
    size: u64,
}

impl LocalFile {
    /// Reads from `position` until `out` is full or the object ends, and returns the number of bytes read.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if the file was cut short in the meantime; any other kind if the system can't read it.
    pub fn read_at(&self, position: u64, out: &mut [u8]) -> Result<usize, Error> {
        let length = self.size.saturating_sub(position).min(out.len() as u64) as usize;
        match self.file.read_exact_at(&mut out[..length], position) {
            Ok(()) => Ok(length),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(Error::conflict("read", &self.uri)),
            Err(error) => Err(Error::io("read", &self.uri, error)),
        }
    }
}

impl Store {
    /// Opens a folder or prefix, which need not exist: a path, or a `file://`, `s3://`, `gs://` or `az://` URI. Each cloud's
    /// standard environment variables apply, and for S3 the shared files of AWS as well. `AWS_ENDPOINT_URL_S3` takes
    /// precedence over `AWS_ENDPOINT_URL`; either may be `http://`.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for any other URI, for one whose cargo feature is off, or if the variables contradict each other.
    pub fn open(uri: &str) -> Result<Self, Error> {
        Self::open_with(uri, &[])
    }

    /// Opens a folder or prefix as [`Store::open`] does, with these variables instead of the environment's of the same name.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(uri: &str, variables: &[(&str, &str)]) -> Result<Self, Error> {
        let location = Location::parse(uri)?;
        Ok(Self { objects: location.connect(variables)?, location, faults: None })
    }

    /// Creates an empty store that lives as long as its clones; for tests.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { objects: Arc::new(InMemory::new()), location: Location::Memory, faults: None }
    }

    /// Returns the same store with faults: `plan` is called with each request and its number, counted from 0. For tests.
    #[must_use]
    pub fn with_faults(self, plan: impl Fn(Operation, u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        let faults = faults::Faulty::new(self.objects, plan);
        Self { objects: Arc::new(faults.clone()), location: self.location, faults: Some(faults) }
    }

    /// Opens the folder or prefix that contains an object, and returns it with the object's name.
    ///
    /// # Errors
    /// As [`Store::open`], and if the URI does not end in a name.
    pub fn open_parent(uri: &str) -> Result<(Self, String), Error> {
        let path = location::decoded(uri)?;
        let (folder, name) = match path.rsplit_once('/') {
            // What follows `://` is a bucket.
            Some((folder, _)) if folder.ends_with(":/") => (folder, ""),
            Some((folder, name)) => (if folder.is_empty() { "/" } else { folder }, name),
            None => (".", &*path),
        };
        if name.is_empty() || name == "." || name == ".." {
            return Err(Error::invalid("open", uri, "the name of a file is missing at its end"));
        }
        Ok((Self::open(folder)?, name.to_owned()))
    }

    /// Returns an object's URI as a person would type it.
    #[must_use]
    pub fn uri(&self, key: &str) -> String {
        self.location.uri(key)
    }

    /// Whether the folder exists. A bucket has no folders: a prefix always exists, perhaps without objects.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.location.is_there()
    }

    /// Returns the path of the object's local file, whether or not it exists yet, or `None` if the store is not local.
    #[must_use]
    pub fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.location.file(key).ok().flatten()
    }

    /// Lists all objects below the prefix, sorted by key. As in Spark, a file or folder whose name begins with `_` or `.` is
    /// hidden. A folder that does not exist is empty.
    ///
    /// # Errors
    /// If the store can't be read.
    pub async fn list(&self) -> Result<Vec<Object>, Error> {
        self.list_in(self.location.root()?).await
    }

    /// Lists the objects in a folder below the prefix, as [`Store::list`] does; their keys begin at the prefix.
    ///
    /// # Errors
    /// As [`Store::list`].
    pub async fn list_below(&self, folder: &str) -> Result<Vec<Object>, Error> {
        self.list_in(self.location.path(folder)?).await
    }

    async fn list_in(&self, folder: Path) -> Result<Vec<Object>, Error> {
        let prefix = self.location.root()?;
        let found: Vec<_> = match self.objects.list(Some(&folder)).try_collect().await {
            Ok(found) => found,
            Err(object_store::Error::NotFound { .. }) => Vec::new(),
            Err(error) => return Err(Error::new("list", &self.uri(""), error)),
        };
        let mut objects = Vec::new();
        for meta in found {
            let Some(parts) = meta.location.prefix_match(&prefix) else { continue };
            let key = parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>().join("/");
            let hidden = key.split('/').any(|name| name.starts_with(['_', '.']));
            if !hidden && !key.is_empty() {
                objects.push(object(key, &meta));
            }
        }
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        Ok(objects)
    }

    /// Describes an object without reading it.
    ///
    /// # Errors
    /// [`Kind::NotFound`], or if the store can't be read.
    pub async fn head(&self, key: &str) -> Result<Object, Error> {
        let meta = self.objects.head(&self.readable(key)?).await;
        meta.map(|meta| object(key.to_owned(), &meta)).map_err(|error| Error::new("look at", &self.uri(key), error))
    }

    /// Describes an object, and reads it if it has at most `bytes_max` bytes: one request to a bucket does both.
    ///
    /// # Errors
    /// As [`Store::get_range`], and [`Kind::NotFound`].
    pub async fn look_into(&self, key: &str, bytes_max: u64) -> Result<(Object, Option<Bytes>), Error> {
        if matches!(self.location, Location::Bucket { .. }) {
            let options = GetOptions { range: Some(GetRange::Bounded(0..bytes_max)), ..GetOptions::default() };
            match self.read_as_it_is(key, options).await {
                Ok((object, bytes)) => {
                    let is_whole = bytes.len() as u64 == object.size;
                    return Ok((object, is_whole.then_some(bytes)));
                }
                // An empty object has no first byte to ask for.
                Err(error) if error.kind() == Kind::Invalid => {}
                Err(error) => return Err(error),
            }
        }
        let object = self.head(key).await?;
        let is_small = object.size <= bytes_max;
        let bytes = if is_small { Some(self.get_range(&object, 0..object.size).await?) } else { None };
        Ok((object, bytes))
    }

    /// Reads an object whole.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::Unavailable`] if the answer breaks off; or if the store can't be read.
    pub async fn get(&self, key: &str) -> Result<Bytes, Error> {
        self.read(key, GetOptions::default()).await
    }

    /// Reads a range of the version of an object that was listed or described. A range that goes beyond the object's end stops
    /// there. An empty one gives no bytes, without a request.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if the object has changed; otherwise as [`Store::get`].
    pub async fn get_range(&self, object: &Object, range: Range<u64>) -> Result<Bytes, Error> {
        let range = range.start..range.end.min(object.size);
        if range.is_empty() {
            return self.location.path(&object.key).map(|_| Bytes::new());
        }
        let options = GetOptions {
            range: Some(GetRange::Bounded(range)),
            if_match: Some(object.etag.clone()).filter(|etag| !etag.is_empty()),
            ..GetOptions::default()
        };
        self.read(&object.key, options).await
    }

    async fn read(&self, key: &str, options: GetOptions) -> Result<Bytes, Error> {
        self.read_as_it_is(key, options).await.map(|(_, bytes)| bytes)
    }

    /// Reads a range or all of an object, and describes the whole object as the answer does.
    async fn read_as_it_is(&self, key: &str, options: GetOptions) -> Result<(Object, Bytes), Error> {
        let failed = |error| Error::new("read", &self.uri(key), error);
        let result = self.objects.get_opts(&self.readable(key)?, options).await.map_err(failed)?;
        let wanted = result.range.end - result.range.start;
        let object = object(key.to_owned(), &result.meta);
        let bytes = result.bytes().await.map_err(failed)?;
        if bytes.len() as u64 != wanted {
            let problem = format!("{} bytes came where {wanted} were announced", bytes.len());
            return Err(Error::unavailable("read", &self.uri(key), &problem));
        }
        Ok((object, bytes))
    }

    /// Returns the path of an object that can be read. To open a pipe would wait for its other end, perhaps forever, so a pipe
    /// is refused.
    fn readable(&self, key: &str) -> Result<Path, Error> {
        let there = self.location.file(key)?.and_then(|path| path.metadata().ok());
        match there.and_then(|there| local::problem_with(&there)).filter(|problem| *problem != local::FOLDER) {
            Some(problem) => Err(Error::invalid("read", &self.uri(key), problem)),
            // A folder of this name is reported as an object that does not exist.
            None => self.location.path(key),
        }
    }

    /// Opens the file of the version of an object that was listed or described, or returns `None` if the store is not local.
    /// The open file stays the same, even if another takes its name.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if the object has changed; any other kind if it can't be opened.
    pub async fn open_local(&self, object: &Object) -> Result<Option<LocalFile>, Error> {
        self.readable(&object.key)?;
        let Some(path) = self.location.file(&object.key)? else { return Ok(None) };
        let file = File::open(path).map_err(|error| Error::io("read", &self.uri(&object.key), error))?;
        // The check follows the opening: if the version is right now, it was right then.
        if self.head(&object.key).await?.etag != object.etag {
            return Err(Error::conflict("read", &self.uri(&object.key)));
        }
        Ok(Some(LocalFile { file, uri: self.uri(&object.key), size: object.size }))
    }

    /// Writes an object, and replaces an older one.
    ///
    /// # Errors
    /// If the store can't be written.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.put_with(key, bytes, PutMode::Overwrite).await
    }

    /// Writes an object that does not exist yet. Of several writers at once, one succeeds.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if the object exists; any other kind if the store can't be written.
    pub async fn put_new(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.put_with(key, bytes, PutMode::Create).await
    }

    /// Replaces the version of an object that has this ETag. Of several writers at once, one succeeds.
    ///
    /// # Errors
    /// [`Kind::Conflict`] if the object has changed or is gone; any other kind if the store can't be written.
    pub async fn update(&self, key: &str, bytes: Bytes, etag: &str) -> Result<(), Error> {
        let updated = match self.location.file(key)? {
            Some(path) => self.update_local(path, key, bytes, etag).await,
            None => {
                let version = UpdateVersion { e_tag: Some(etag.to_owned()), version: None };
                self.put_with(key, bytes, PutMode::Update(version)).await
            }
        };
        updated.map_err(|error| if error.is_not_found() { Error::conflict("replace", &self.uri(key)) } else { error })
    }

    /// Replaces a file under a lock, because a file system has no conditional replacement.
    async fn update_local(&self, path: PathBuf, key: &str, bytes: Bytes, etag: &str) -> Result<(), Error> {
        let failed = |error| Error::io("replace", &self.uri(key), error);
        let lock = local::Lock::take(path.clone()).await.map_err(failed)?;
        if self.head(key).await?.etag != etag {
            return Err(Error::conflict("replace", &self.uri(key)));
        }
        let replaced = local::blocking(move || {
            // Held until the write is done, even if the caller no longer waits.
            let _lock = lock;
            local::put(path, &bytes, false)
        });
        self.written_locally(replaced).await.map_err(failed)
    }

    /// Deletes an object. An object that does not exist is not an error.
    ///
    /// # Errors
    /// If the store can't be written.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        match self.objects.delete(&self.location.path(key)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::new("delete", &self.uri(key), error)),
        }
    }

    /// Begins an object of any length. It appears when it is finished, and replaces an older one.
    #[must_use]
    pub fn writer(&self, key: &str) -> Writer {
        Writer::new(self.clone(), key, false)
    }

    /// Begins an object of any length that does not exist yet. Of several writers at once, one can finish.
    #[must_use]
    pub fn writer_new(&self, key: &str) -> Writer {
        Writer::new(self.clone(), key, true)
    }

    async fn put_with(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), Error> {
        if let Some(path) = self.location.file(key)? {
            let put = local::blocking(move || local::put(path, &bytes, matches!(mode, PutMode::Create)));
            return self.written_locally(put).await.map_err(|error| Error::io("write", &self.uri(key), error));
        }
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = self.objects.put_opts(&self.location.path(key)?, bytes.into(), options).await;
        put.map(|_| ()).map_err(|error| Error::new("write", &self.uri(key), error))
    }

    async fn written_locally(&self, put: impl Future<Output = std::io::Result<()>>) -> std::io::Result<()> {
        match &self.faults {
            Some(faults) => faults.put_locally(put).await,
            None => put.await,
        }
    }
}

fn object(key: String, meta: &object_store::ObjectMeta) -> Object {
    Object { key, etag: meta.e_tag.clone().unwrap_or_default(), size: meta.size }
}
