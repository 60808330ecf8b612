//! A URI, parsed: which kind of store, which bucket, which prefix.

use std::borrow::Cow;
use std::path::{self, Component, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use crate::Error;
use crate::bucket::{self, Cloud};

/// A folder or prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Location {
    /// A local folder.
    Local {
        /// The path as it was typed.
        typed: PathBuf,
        /// From the root, without `.` and `..`.
        absolute: PathBuf,
    },
    /// A prefix of a bucket.
    Bucket {
        /// The service that the bucket belongs to.
        cloud: Cloud,
        /// The bucket's name.
        bucket: String,
        /// Without slashes at its ends.
        prefix: String,
    },
    /// This process's memory.
    Memory,
}

impl Location {
    pub(crate) fn parse(uri: &str) -> Result<Self, Error> {
        let uri = &*decoded(uri)?;
        let Some((scheme, rest)) = uri.split_once("://") else { return Self::local(uri) };
        let Some(cloud) = Cloud::of_scheme(scheme) else {
            let problem = format!("`{scheme}://` is not supported; use a path, file://, s3://, gs:// or az://");
            return Err(Error::invalid("open", uri, &problem));
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(Error::invalid("open", uri, "the bucket's name is missing"));
        }
        Ok(Self::Bucket { cloud, bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }

    fn local(path: &str) -> Result<Self, Error> {
        if path.is_empty() {
            return Err(Error::invalid("open", path, "a path is missing"));
        }
        let typed = PathBuf::from(path);
        let from_root = path::absolute(&typed).map_err(|error| Error::io("open", path, error))?;
        let mut absolute = PathBuf::new();
        for component in from_root.components() {
            match component {
                // The parent of a link is the parent of the folder that it leads to.
                Component::ParentDir => {
                    absolute = resolved(&absolute);
                    absolute.pop();
                }
                other => absolute.push(other),
            }
        }
        Ok(Self::Local { typed, absolute })
    }

    /// Opens the object store that the location is in; `variables` take the place of the environment's of the same name.
    pub(crate) fn connect(&self, variables: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>, Error> {
        match self {
            Self::Bucket { cloud, bucket, .. } => bucket::connect(*cloud, bucket, &self.uri(""), variables),
            Self::Local { .. } | Self::Memory => Ok(Arc::new(LocalFileSystem::new().with_fsync(true))),
        }
    }

    /// The folder or prefix itself.
    pub(crate) fn root(&self) -> Result<Path, Error> {
        self.below("")
    }

    /// Returns the path of an object, which is never outside the folder or prefix.
    pub(crate) fn path(&self, key: &str) -> Result<Path, Error> {
        self.check(key)?;
        self.below(key)
    }

    /// Returns the path of an object's local file, or `None` if the location is not local.
    pub(crate) fn file(&self, key: &str) -> Result<Option<PathBuf>, Error> {
        self.check(key)?;
        Ok(match self {
            Self::Local { absolute, .. } => Some(absolute.join(key)),
            Self::Bucket { .. } | Self::Memory => None,
        })
    }

    /// Whether the folder exists; a prefix of a bucket always does.
    pub(crate) fn is_there(&self) -> bool {
        match self {
            Self::Local { absolute, .. } => absolute.is_dir(),
            Self::Bucket { .. } | Self::Memory => true,
        }
    }

    fn check(&self, key: &str) -> Result<(), Error> {
        let problem = if key.split('/').any(|part| matches!(part, "" | "." | "..")) {
            "a name in a folder has no empty, `.` or `..` parts"
        } else if matches!(self, Self::Local { .. }) && is_reserved(key) {
            "a name that ends in `#` and a number can't be read again; give it another one"
        } else {
            return Ok(());
        };
        Err(Error::invalid("open", &self.uri(key), problem))
    }

    fn below(&self, key: &str) -> Result<Path, Error> {
        let path = match self {
            Self::Local { absolute, .. } => Path::from_absolute_path(absolute.join(key)),
            Self::Bucket { prefix, .. } => Path::parse(format!("{prefix}/{key}").trim_matches('/')),
            Self::Memory => Path::parse(key),
        };
        path.map_err(|error| Error::invalid("open", &self.uri(key), &error.to_string()))
    }

    pub(crate) fn uri(&self, key: &str) -> String {
        match self {
            Self::Local { typed, .. } if key.is_empty() => typed.display().to_string(),
            Self::Local { typed, .. } if typed.as_os_str() == "." => key.to_owned(),
            Self::Local { typed, .. } => typed.join(key).display().to_string(),
            Self::Memory => format!("memory/{key}"),
            Self::Bucket { cloud, bucket, prefix } => {
                let path = format!("{prefix}/{key}");
                format!("{}://{bucket}/{}", cloud.scheme(), path.trim_matches('/'))
            }
        }
    }
}

/// Returns the path that a `file://` URI names, and anything else as it is.
pub(crate) fn decoded(uri: &str) -> Result<Cow<'_, str>, Error> {
    let Some(rest) = uri.strip_prefix("file://") else { return Ok(Cow::Borrowed(uri)) };
    let is_escape = |after: &str| after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
    let well_formed = !rest.contains(['?', '#']) && rest.split('%').skip(1).all(is_escape);
    let url = url::Url::parse(uri).ok().filter(|_| well_formed);
    let path = url.and_then(|url| url.to_file_path().ok()?.into_os_string().into_string().ok());
    let path = path.filter(|path| !path.contains('\0'));
    let problem = "write it as file:///FOLDER/NAME, in UTF-8, with %25 for `%`, %3F for `?` and %23 for `#`";
    path.map(Cow::Owned).ok_or_else(|| Error::invalid("open", uri, problem))
}

/// Whether the object store reserves a local name for its own unfinished files.
fn is_reserved(key: &str) -> bool {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    let number = name.split_once('#').map_or("", |(_, number)| number);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Returns the key of `uri` below `folder`, both folders or prefixes, however they are written. The key is empty if they are
/// the same; it is `None` if `uri` is not below `folder`.
///
/// # Errors
/// If one of them is not the URI of a folder or prefix.
pub fn key_below(folder: &str, uri: &str) -> Result<Option<String>, Error> {
    let identity = |uri: &str| -> Result<Location, Error> {
        Ok(match Location::parse(uri)? {
            Location::Local { absolute, .. } => {
                Location::Local { typed: PathBuf::new(), absolute: resolved(&absolute) }
            }
            bucket => bucket,
        })
    };
    Ok(match (identity(folder)?, identity(uri)?) {
        (Location::Local { absolute: folder, .. }, Location::Local { absolute, .. }) => {
            absolute.strip_prefix(folder).ok().map(|key| key.to_string_lossy().into_owned())
        }
        (
            Location::Bucket { prefix: above, cloud, bucket },
            Location::Bucket { prefix, cloud: other, bucket: name },
        ) => {
            let key = prefix.strip_prefix(&above).filter(|_| (cloud, bucket) == (other, name));
            let key = key.filter(|key| above.is_empty() || key.is_empty() || key.starts_with('/'));
            key.map(|key| key.trim_start_matches('/').to_owned())
        }
        _ => None,
    })
}

/// Returns the URI of a folder, prefix or file in a form that does not depend on the current folder: a path from the root,
/// without `.` and `..`.
///
/// # Errors
/// If it is not such a URI.
pub fn absolute(uri: &str) -> Result<String, Error> {
    Ok(match Location::parse(uri)? {
        Location::Local { absolute, .. } => absolute.to_string_lossy().into_owned(),
        bucket => bucket.uri(""),
    })
}

/// Returns the path with its links resolved, as far as it exists.
fn resolved(path: &path::Path) -> PathBuf {
    let real = path.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        Some(real.join(path.strip_prefix(above).ok()?))
    });
    real.unwrap_or_else(|| path.to_owned())
}
