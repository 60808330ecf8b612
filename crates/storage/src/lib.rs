//! Where things are: a URI becomes a store of objects.
//!
//! A [`Store`] is an object store and a prefix in it: a local folder, or a prefix of an S3, Google or
//! Azure bucket. Whatever is written appears under its name whole or not at all.

mod error;
mod local;
mod place;
mod writer;

pub use error::{Error, Kind};
use place::Place;
pub use place::same_place;
pub use writer::Writer;

use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, UpdateVersion};

/// An object store and a prefix in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Store {
    objects: Arc<dyn ObjectStore>,
    place: Place,
}

/// An object as a listing or a look at it tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Its name below the store's prefix.
    pub key: String,
    /// Changes whenever its content does.
    pub etag: String,
    /// Its length in bytes.
    pub size: u64,
}

impl Store {
    /// Opens a folder or prefix, which need not exist: a path, or a `file://`, `s3://`, `gs://` or
    /// `az://` URI. The standard variables of each cloud (`AWS_ENDPOINT_URL` among them) are honoured.
    ///
    /// # Errors
    /// [`Kind::Invalid`] for any other URI, or where the variables contradict each other.
    pub fn open(uri: &str) -> Result<Self, Error> {
        let place = Place::parse(uri)?;
        Ok(Self { objects: place.connect()?, place })
    }

    /// Opens the folder or prefix that one object is in; the object's name comes beside it.
    ///
    /// # Errors
    /// As [`Store::open`], and for a URI that ends in no name.
    pub fn open_parent(uri: &str) -> Result<(Self, String), Error> {
        let (folder, name) = match uri.rsplit_once('/') {
            Some((folder, name)) => (if folder.is_empty() { "/" } else { folder }, name),
            None => (".", uri),
        };
        if name.is_empty() || name == "." || name == ".." {
            return Err(Error::invalid("open", uri, "the name of a file is missing at its end"));
        }
        Ok((Self::open(folder)?, name.to_owned()))
    }

    /// An object's name as a person would type it.
    #[must_use]
    pub fn uri(&self, key: &str) -> String {
        self.place.uri(key)
    }

    /// Where the object is a local file, or will be.
    #[must_use]
    pub fn local_path(&self, key: &str) -> Option<PathBuf> {
        self.place.local_path(key)
    }

    /// All objects below the prefix, by rising key, without those that a name beginning with `_` or
    /// `.` hides, as Spark reads a folder.
    ///
    /// # Errors
    /// Where the store can't be read; a folder that isn't there is empty.
    pub async fn list(&self) -> Result<Vec<Object>, Error> {
        let prefix = self.place.path("")?;
        let found: Vec<_> = match self.objects.list(Some(&prefix)).try_collect().await {
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

    /// Looks at an object without reading it.
    ///
    /// # Errors
    /// [`Kind::NotFound`], or where the store can't be read.
    pub async fn head(&self, key: &str) -> Result<Object, Error> {
        let meta = self.objects.head(&self.place.path(key)?).await;
        meta.map(|meta| object(key.to_owned(), &meta)).map_err(|error| Error::new("look at", &self.uri(key), error))
    }

    /// Reads an object whole.
    ///
    /// # Errors
    /// [`Kind::NotFound`], or where the store can't be read.
    pub async fn get(&self, key: &str) -> Result<Bytes, Error> {
        let failed = |error| Error::new("read", &self.uri(key), error);
        self.objects.get(&self.place.path(key)?).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    /// Reads a part of an object.
    ///
    /// # Errors
    /// [`Kind::Unavailable`] where fewer bytes come than were asked for; else as [`Store::get`].
    pub async fn get_range(&self, key: &str, range: Range<u64>) -> Result<Bytes, Error> {
        let length = range.end - range.start;
        let bytes = self.objects.get_range(&self.place.path(key)?, range).await;
        let bytes = bytes.map_err(|error| Error::new("read", &self.uri(key), error))?;
        if bytes.len() as u64 != length {
            let problem = format!("{} bytes came where {length} were asked for", bytes.len());
            return Err(Error::unavailable("read", &self.uri(key), &problem));
        }
        Ok(bytes)
    }

    /// Writes an object, in the place of any older one.
    ///
    /// # Errors
    /// Where the store can't be written.
    pub async fn put(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.put_with(key, bytes, PutMode::Overwrite).await
    }

    /// Writes an object that isn't there yet; of several at once, one succeeds.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where it is there, or where the store can't be written.
    pub async fn put_new(&self, key: &str, bytes: Bytes) -> Result<(), Error> {
        self.put_with(key, bytes, PutMode::Create).await
    }

    /// Replaces the version of an object that has this ETag; of several at once, one succeeds.
    ///
    /// # Errors
    /// [`Kind::Conflict`] where the object is another by now, or where the store can't be written.
    pub async fn update(&self, key: &str, bytes: Bytes, etag: &str) -> Result<(), Error> {
        let Some(path) = self.local_path(key) else {
            let version = UpdateVersion { e_tag: Some(etag.to_owned()), version: None };
            return self.put_with(key, bytes, PutMode::Update(version)).await;
        };
        // The local store has no conditional replacement: look and replace under a lock.
        let _lock = local::Lock::take(&path).map_err(|error| Error::io("lock", &self.uri(key), error))?;
        if self.head(key).await?.etag != etag {
            return Err(Error::conflict("replace", &self.uri(key)));
        }
        self.put(key, bytes).await
    }

    /// Deletes an object; one that isn't there is no error.
    ///
    /// # Errors
    /// Where the store can't be written.
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        match self.objects.delete(&self.place.path(key)?).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(Error::new("delete", &self.uri(key), error)),
        }
    }

    /// Begins an object of any length, which appears when it is finished.
    #[must_use]
    pub fn writer(&self, key: &str) -> Writer {
        Writer::new(self.clone(), key)
    }

    async fn put_with(&self, key: &str, bytes: Bytes, mode: PutMode) -> Result<(), Error> {
        let options = PutOptions { mode, ..PutOptions::default() };
        let put = self.objects.put_opts(&self.place.path(key)?, bytes.into(), options).await;
        put.map(|_| ()).map_err(|error| Error::new("write", &self.uri(key), error))
    }
}

fn object(key: String, meta: &object_store::ObjectMeta) -> Object {
    // Every store used here gives an ETag; where one doesn't, the time and size stand in.
    let etag = meta.e_tag.clone().unwrap_or_else(|| format!("{}-{}", meta.last_modified, meta.size));
    Object { key, etag, size: meta.size }
}
