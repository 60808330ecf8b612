//! A URI as a place: which kind of store, which bucket, which prefix.

use std::path::{Component, PathBuf};
use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::AmazonS3Builder;
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
            "file" => return Self::local(rest, uri),
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

    pub(crate) fn connect(&self) -> Result<Arc<dyn ObjectStore>, Error> {
        let Self::Bucket { cloud, bucket, .. } = self else { return Ok(Arc::new(LocalFileSystem::new())) };
        let failed = |error| Error::new("open", &self.uri(""), error);
        Ok(match cloud {
            Cloud::S3 => {
                let endpoint = std::env::var("AWS_ENDPOINT_URL").or_else(|_| std::env::var("AWS_ENDPOINT_URL_S3"));
                let plain = endpoint.is_ok_and(|endpoint| endpoint.starts_with("http://"));
                let builder = AmazonS3Builder::from_env().with_bucket_name(bucket).with_allow_http(plain);
                Arc::new(builder.build().map_err(failed)?)
            }
            Cloud::Google => {
                Arc::new(GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket).build().map_err(failed)?)
            }
            Cloud::Azure => {
                Arc::new(MicrosoftAzureBuilder::from_env().with_container_name(bucket).build().map_err(failed)?)
            }
        })
    }

    pub(crate) fn path(&self, key: &str) -> Result<Path, Error> {
        let path = match self {
            Self::Local { absolute, .. } => {
                Path::from_absolute_path(if key.is_empty() { absolute.clone() } else { absolute.join(key) })
            }
            Self::Bucket { prefix, .. } => Path::parse(format!("{prefix}/{key}").trim_matches('/')),
        };
        path.map_err(|error| Error::invalid("open", &self.uri(key), &error.to_string()))
    }

    pub(crate) fn uri(&self, key: &str) -> String {
        match self {
            Self::Local { typed, .. } if key.is_empty() => typed.display().to_string(),
            Self::Local { typed, .. } if typed.as_os_str() == "." => key.to_owned(),
            Self::Local { typed, .. } => typed.join(key).display().to_string(),
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
            Self::Bucket { .. } => None,
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
