//! A URI as a place: which kind of store, which bucket, which prefix.

use std::path::{Component, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;

use crate::Error;

/// A folder or prefix.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// A local folder.
    Local {
        /// As it was typed.
        typed: PathBuf,
        /// From the root, without `.` and `..`.
        absolute: PathBuf,
    },
    /// A prefix of a bucket.
    Bucket {
        /// Whose bucket.
        cloud: Cloud,
        /// Its name.
        bucket: String,
        /// Without slashes at its ends.
        prefix: String,
    },
    /// Nowhere else.
    Memory,
}

/// Whose bucket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cloud {
    /// Amazon S3, or what speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Place {
    pub(crate) fn parse(uri: &str) -> Result<Self, Error> {
        let Some((scheme, rest)) = uri.split_once("://") else { return Self::local(uri, uri) };
        let cloud = match scheme {
            "file" => {
                let path = url::Url::parse(uri).ok().and_then(|url| url.to_file_path().ok());
                let path = path.ok_or_else(|| Error::invalid("open", uri, "write it as file:///FOLDER/NAME"))?;
                return Self::local(&path.to_string_lossy(), uri);
            }
            "s3" | "s3a" => Cloud::S3,
            "gs" => Cloud::Google,
            "az" | "azure" | "abfs" | "abfss" => Cloud::Azure,
            other => {
                let problem = format!("`{other}://` is unknown here; use a path, file://, s3://, gs:// or az://");
                return Err(Error::invalid("open", uri, &problem));
            }
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err(Error::invalid("open", uri, "the bucket's name is missing"));
        }
        Ok(Self::Bucket { cloud, bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() })
    }

    fn local(path: &str, uri: &str) -> Result<Self, Error> {
        if path.is_empty() {
            return Err(Error::invalid("open", uri, "a path is missing"));
        }
        let typed = PathBuf::from(path);
        let from_root = std::path::absolute(&typed).map_err(|error| Error::io("open", uri, error))?;
        let mut absolute = PathBuf::new();
        for component in from_root.components() {
            match component {
                Component::ParentDir => drop(absolute.pop()),
                other => absolute.push(other),
            }
        }
        Ok(Self::Local { typed, absolute })
    }

    pub(crate) fn connect(&self, variables: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>, Error> {
        let Self::Bucket { cloud, bucket, .. } = self else {
            return Ok(Arc::new(LocalFileSystem::new().with_fsync(true)));
        };
        let failed = |error| Error::new("open", &self.uri(""), error);
        let variables = variables.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value));
        Ok(match cloud {
            Cloud::S3 => {
                let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
                for (name, value) in variables {
                    builder = builder.with_config(name.parse().map_err(failed)?, value);
                }
                let endpoint = builder.get_config_value(&AmazonS3ConfigKey::Endpoint);
                let plain = endpoint.is_some_and(|endpoint| endpoint.starts_with("http://"));
                // What no one header can ask for, the end of an upload can.
                let builder = builder.with_allow_http(plain).with_copy_if_not_exists(S3CopyIfNotExists::Multipart);
                Arc::new(builder.build().map_err(failed)?)
            }
            Cloud::Google => {
                let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
                for (name, value) in variables {
                    builder = builder.with_config(name.parse().map_err(failed)?, value);
                }
                Arc::new(builder.build().map_err(failed)?)
            }
            Cloud::Azure => {
                let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
                for (name, value) in variables {
                    builder = builder.with_config(name.parse().map_err(failed)?, value);
                }
                Arc::new(builder.build().map_err(failed)?)
            }
        })
    }

    pub(crate) fn path(&self, key: &str) -> Result<Path, Error> {
        let path = match self {
            Self::Local { absolute, .. } => {
                Path::from_absolute_path(if key.is_empty() { absolute.clone() } else { absolute.join(key) })
            }
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
                let scheme = match cloud {
                    Cloud::S3 => "s3",
                    Cloud::Google => "gs",
                    Cloud::Azure => "az",
                };
                let path = format!("{prefix}/{key}");
                format!("{scheme}://{bucket}/{}", path.trim_matches('/'))
            }
        }
    }

    pub(crate) fn local_path(&self, key: &str) -> Option<PathBuf> {
        match self {
            Self::Local { absolute, .. } => Some(absolute.join(key)),
            Self::Bucket { .. } | Self::Memory => None,
        }
    }
}

/// Whether two URIs name the same folder or prefix.
///
/// # Errors
/// Where one of them names none.
pub fn same_place(a: &str, b: &str) -> Result<bool, Error> {
    let identity = |uri: &str| -> Result<Place, Error> {
        Ok(match Place::parse(uri)? {
            Place::Local { absolute, .. } => {
                // A link is the folder it leads to; what isn't there yet is only its name.
                let absolute = absolute.canonicalize().unwrap_or(absolute);
                Place::Local { typed: PathBuf::new(), absolute }
            }
            bucket => bucket,
        })
    };
    Ok(identity(a)? == identity(b)?)
}
