//! Small JSON objects of a store.

use std::hash::{BuildHasher, Hasher, RandomState};

use clickcast_storage::{Kind as StorageKind, Store};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Kind};

/// An object as it was read, and the version of it that was.
pub(crate) struct Read<T> {
    pub(crate) value: T,
    pub(crate) etag: String,
}

/// An object that is replaced between a look at it and its reading is looked at anew; so many times in a row is no accident.
const READS_MAX: usize = 20;

/// Records are a few kilobytes, most of them: these are read by one request.
const SMALL_BYTES: u64 = 64 << 10;

/// Reads an object; returns `None` if it does not exist.
pub(crate) async fn read<T: DeserializeOwned>(store: &Store, key: &str) -> Result<Option<Read<T>>, Error> {
    for _ in 0..READS_MAX {
        let read = match store.look_into(key, SMALL_BYTES).await {
            Ok((object, Some(bytes))) => Ok((object, bytes)),
            Ok((object, None)) => store.get_range(&object, 0..object.size).await.map(|bytes| (object, bytes)),
            Err(error) => Err(error),
        };
        let (object, bytes) = match read {
            Ok(read) => read,
            Err(error) if error.is_not_found() => return Ok(None),
            Err(error) if error.kind() == StorageKind::Conflict => continue,
            Err(error) => return Err(error.into()),
        };
        let value = serde_json::from_slice(&bytes).map_err(|error| Error::damaged(&store.uri(key), error))?;
        return Ok(Some(Read { value, etag: object.etag }));
    }
    Err(Error::new(Kind::Conflict, format!("`{}` is replaced again and again", store.uri(key))))
}

/// An object's bytes.
pub(crate) fn bytes<T: Serialize>(value: &T) -> bytes::Bytes {
    // Records are strings, numbers, lists and maps with string keys: nothing in them can fail to print.
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text.into()
}

/// Writes an object that isn't there yet; whether it was this call that did.
///
/// An answer that is lost leaves open whether it was written: `is_own` tells from what is there.
pub(crate) async fn create<T: Serialize + DeserializeOwned>(
    store: &Store,
    key: &str,
    value: &T,
    is_own: impl Fn(&T) -> bool,
) -> Result<bool, Error> {
    match store.put_new(key, bytes(value)).await {
        Ok(()) => Ok(true),
        // A client that repeats a request whose answer was lost meets what it wrote itself.
        Err(error) if error.kind() == StorageKind::Conflict || error.is_transient() => {
            match read::<T>(store, key).await? {
                Some(found) => Ok(is_own(&found.value)),
                None => Err(error.into()),
            }
        }
        Err(error) => Err(error.into()),
    }
}

/// A number that no other writer has, by which one recognizes what one wrote.
pub(crate) fn nonce() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
