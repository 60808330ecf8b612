//! Finds the files of a data URI.

use bytes::Bytes;
use clickcast_storage::{Error as StorageError, Object, Store};

use crate::Error;

/// A file of at most this size is read by one request: up to here, requests cost more than bytes.
pub(crate) const SMALL_BYTES: u64 = 256 << 10;

/// A file to read.
#[derive(Debug, Clone)]
pub struct Input {
    /// The store that contains it.
    pub store: Store,
    /// Its key, version and size.
    pub object: Object,
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    /// The columns given by its folders' names (`dt=2020-01-29/`), in order.
    pub(crate) hive: Vec<(String, Option<String>)>,
    /// The first and last row group to read; `None` for all.
    pub(crate) row_groups: Option<(u64, u64)>,
    /// The whole content, if the file was small enough to be read at first sight.
    pub(crate) whole: Option<Bytes>,
}

/// A described object, with its content if it is small.
#[derive(Debug, Clone)]
pub struct Looked {
    /// Its key, version and size.
    pub object: Object,
    whole: Option<Bytes>,
}

impl Looked {
    /// Describes an object, and reads it if it is small.
    ///
    /// # Errors
    /// [`clickcast_storage::Kind::NotFound`], or if the store can't be read.
    pub async fn at(store: &Store, key: &str) -> Result<Self, StorageError> {
        let (object, whole) = store.look_into(key, SMALL_BYTES).await?;
        Ok(Self { object, whole })
    }

    /// Reads a listed object if it is small.
    ///
    /// # Errors
    /// [`clickcast_storage::Kind::Conflict`] if it has changed, or if the store can't be read.
    pub async fn again(store: &Store, object: Object) -> Result<Self, StorageError> {
        let is_small = object.size <= SMALL_BYTES;
        let whole = if is_small { Some(store.get_range(&object, 0..object.size).await?) } else { None };
        Ok(Self { object, whole })
    }

    /// Returns the content, if the object is small.
    #[must_use]
    pub fn whole(&self) -> Option<&Bytes> {
        self.whole.as_ref()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Parquet,
    Csv,
    Tsv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Input {
    /// Returns the file's URI as a person would type it.
    #[must_use]
    pub fn name(&self) -> String {
        self.store.uri(&self.object.key)
    }

    /// Returns the same file limited to these row groups, first and last. Row groups that it does not have give no rows.
    #[must_use]
    pub fn only(&self, row_groups: (u64, u64)) -> Self {
        Self { row_groups: Some(row_groups), ..self.clone() }
    }

    /// Returns the first and last row group that are read; `None` for all.
    #[must_use]
    pub fn row_groups(&self) -> Option<(u64, u64)> {
        self.row_groups
    }

    /// What its folders' names give, such as `dt` and `2026-01-05`, outermost first.
    pub fn folders(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.hive.iter().map(|(name, value)| (name.as_str(), value.as_deref()))
    }

    /// Whether an object's name is that of a data file.
    #[must_use]
    pub fn is_data(key: &str) -> bool {
        format_of(key).is_some()
    }

    /// The file that an object is.
    ///
    /// # Errors
    /// [`Kind::Content`](crate::Kind::Content) where its ending tells no format, or it is empty.
    pub fn new(store: Store, looked: Looked) -> Result<Self, Error> {
        let name = store.uri(&looked.object.key);
        let Looked { object, whole } = looked;
        input(store, object, &name).map(|input| Self { whole, ..input })
    }

    /// A file of ours, whatever its name.
    pub(crate) fn parquet(store: Store, looked: Looked) -> Self {
        let Looked { object, whole } = looked;
        let (format, compression) = (Format::Parquet, Compression::None);
        Self { store, object, format, compression, hive: Vec::new(), row_groups: None, whole }
    }

    /// The key of this file's output below an output folder: the same key, ending in `.parquet`.
    #[must_use]
    pub fn output_key(&self) -> String {
        let key = &self.object.key;
        if self.format == Format::Parquet && self.compression == Compression::None {
            key.clone()
        } else {
            format!("{key}.parquet")
        }
    }
}

/// The data files behind a URI: the one it names, or all below it, by rising key.
///
/// # Errors
/// [`Kind::Content`](crate::Kind::Content) where there is none, or the file's ending tells no format.
pub async fn discover(uri: &str) -> Result<Vec<Input>, Error> {
    // A name with a known ending is a file, unless it is a folder after all.
    if format_of(uri).is_some() {
        let (store, key) = Store::open_parent(uri)?;
        match store.head(&key).await {
            Ok(object) => {
                let name = store.uri(&key);
                return input(store, object, &name).map(|input| vec![input]);
            }
            Err(error) if error.is_not_found() => {}
            Err(error) => return Err(error.into()),
        }
    }
    let inputs = discover_in(&Store::open(uri)?).await?;
    if inputs.is_empty() {
        let problem =
            "no data here; give a .parquet, .csv or .tsv file (also .gz, .zst), or a folder or prefix of such files";
        return Err(Error::file(uri, problem));
    }
    Ok(inputs)
}

/// The data files below a store's prefix, by rising key; there may be none.
///
/// # Errors
/// Where the store can't be read, or a file is empty.
pub async fn discover_in(store: &Store) -> Result<Vec<Input>, Error> {
    let mut inputs = Vec::new();
    for object in store.list().await? {
        if format_of(&object.key).is_some() {
            let name = store.uri(&object.key);
            inputs.push(input(store.clone(), object, &name)?);
        }
    }
    Ok(inputs)
}

fn input(store: Store, object: Object, name: &str) -> Result<Input, Error> {
    let Some((format, compression)) = format_of(&object.key) else {
        return Err(Error::file(name, "its ending tells no format"));
    };
    if object.size == 0 {
        return Err(Error::file(name, "the file is empty; write it again"));
    }
    // The folder that the URI itself names may be a Hive folder too.
    let hive = hive(name);
    Ok(Input { store, object, format, compression, hive, row_groups: None, whole: None })
}

fn format_of(name: &str) -> Option<(Format, Compression)> {
    let lower = name.to_ascii_lowercase();
    let (stem, compression) = match (lower.strip_suffix(".gz"), lower.strip_suffix(".zst")) {
        (Some(stem), _) => (stem, Compression::Gzip),
        (_, Some(stem)) => (stem, Compression::Zstd),
        _ => (lower.as_str(), Compression::None),
    };
    match stem.rsplit_once('.')?.1 {
        "parquet" if compression == Compression::None => Some((Format::Parquet, compression)),
        "csv" => Some((Format::Csv, compression)),
        "tsv" => Some((Format::Tsv, compression)),
        _ => None,
    }
}

/// What Hive and Spark name the folder of missing values.
const HIVE_MISSING: &str = "__HIVE_DEFAULT_PARTITION__";

fn hive(name: &str) -> Vec<(String, Option<String>)> {
    let folders = name.rsplit_once('/').map_or("", |(folders, _)| folders);
    let pair = |folder: &str| folder.split_once('=').map(|(key, value)| (unescape(key), unescape(value)));
    let pairs = folders.split('/').filter_map(pair).filter(|(key, _)| !key.is_empty());
    pairs.map(|(key, value)| (key, Some(value).filter(|value| value != HIVE_MISSING))).collect()
}

/// Decodes a folder's name: Hive writes `%3A` for `:`, and so on.
fn unescape(text: &str) -> String {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    // A name that decodes to something other than text was not encoded.
    decoded.map_or_else(|_| text.to_owned(), |decoded| decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_tell_the_format() {
        use {Compression as C, Format as F};
        for (name, expected) in [
            ("a.parquet", Some((F::Parquet, C::None))),
            ("a.snappy.parquet", Some((F::Parquet, C::None))),
            ("A.CSV", Some((F::Csv, C::None))),
            ("a.csv.gz", Some((F::Csv, C::Gzip))),
            ("x/a.tsv.zst", Some((F::Tsv, C::Zstd))),
            ("a.parquet.gz", None),
            ("a.txt", None),
            ("csv", None),
        ] {
            assert_eq!(format_of(name), expected, "{name}");
        }
    }

    #[test]
    fn hive_folders_are_columns() {
        let pair = |key: &str, value: &str| (key.to_owned(), Some(value.to_owned()));
        assert_eq!(hive("in/dt=2020-01-29/hour=7/p.csv"), [pair("dt", "2020-01-29"), pair("hour", "7")]);
        assert_eq!(hive("t=01%3A00/u=50%/v=%zz/w=%ff/p.csv")[0], pair("t", "01:00"));
        assert_eq!(hive("u=50%/v=%zz/w=%ff/p.csv"), [pair("u", "50%"), pair("v", "%zz"), pair("w", "%ff")]);
        assert_eq!(hive("os=__HIVE_DEFAULT_PARTITION__/p.csv"), [("os".to_owned(), None)]);
        assert_eq!(hive("plain.csv"), []);
    }
}
