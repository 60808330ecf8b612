//! A URI as a place: which kind of store, which bucket, which prefix.

use std::borrow::Cow;
use std::path::{self, Component, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{BackoffConfig, ObjectStore, RetryConfig};

use crate::Error;
use crate::aws_profile::with_profile;

/// No request is tried again later than this after its first try: an overloaded store or a changed leader takes
/// seconds to recover, and whoever waits for longer can't tell it from a hang. With one last wait and one last try
/// (30 s at most, the client's own limit) the answer is known within 65 s.
const RETRIES_END: Duration = Duration::from_secs(30);
/// The longest wait between two tries, so that there are several of them before the end.
const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

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
        let uri = &*decoded(uri)?;
        let Some((scheme, rest)) = uri.split_once("://") else { return Self::local(uri) };
        let cloud = match scheme {
            "s3" | "s3a" => Cloud::S3,
            "gs" => Cloud::Google,
            "az" => Cloud::Azure,
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

    fn local(path: &str) -> Result<Self, Error> {
        if path.is_empty() {
            return Err(Error::invalid("open", path, "a path is missing"));
        }
        let typed = PathBuf::from(path);
        let from_root = path::absolute(&typed).map_err(|error| Error::io("open", path, error))?;
        let mut absolute = PathBuf::new();
        for component in from_root.components() {
            match component {
                // What is above a link is above the folder it leads to.
                Component::ParentDir => {
                    absolute = resolved(&absolute);
                    absolute.pop();
                }
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
                // Variables that are given stand for the environment, and whoever is named there.
                if variables.len() == 0 {
                    builder = with_profile(builder);
                }
                for (name, value) in variables {
                    builder = builder.with_config(name.parse().map_err(failed)?, value);
                }
                // What no one header can ask for, the end of an upload can.
                let builder = with_plain_http(builder).with_copy_if_not_exists(S3CopyIfNotExists::Multipart);
                Arc::new(builder.with_retry(retries()).build().map_err(failed)?)
            }
            Cloud::Google => {
                let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
                for (name, value) in variables {
                    builder = builder.with_config(name.parse().map_err(failed)?, value);
                }
                Arc::new(builder.with_retry(retries()).build().map_err(failed)?)
            }
            Cloud::Azure => {
                let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(bucket);
                for (name, value) in variables {
                    builder = builder.with_config(name.parse().map_err(failed)?, value);
                }
                Arc::new(builder.with_retry(retries()).build().map_err(failed)?)
            }
        })
    }

    /// The folder or prefix itself.
    pub(crate) fn root(&self) -> Result<Path, Error> {
        self.below("")
    }

    /// Where an object is; never outside the folder or prefix.
    pub(crate) fn path(&self, key: &str) -> Result<Path, Error> {
        self.check(key)?;
        self.below(key)
    }

    /// Where an object is a local file, or will be; none where the place isn't local.
    pub(crate) fn file(&self, key: &str) -> Result<Option<PathBuf>, Error> {
        self.check(key)?;
        Ok(match self {
            Self::Local { absolute, .. } => Some(absolute.join(key)),
            Self::Bucket { .. } | Self::Memory => None,
        })
    }

    /// Whether the folder is there; what has no folders always is.
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
}

/// The path that a `file://` URI names; anything else as it is.
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

/// Whether the object store keeps a local name for its own unfinished files.
fn is_reserved(key: &str) -> bool {
    let name = key.rsplit_once('/').map_or(key, |(_, name)| name);
    let number = name.split_once('#').map_or("", |(_, number)| number);
    !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// An endpoint that says `http://` asks for it; no other variable need.
fn with_plain_http(builder: AmazonS3Builder) -> AmazonS3Builder {
    let keys = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    let endpoint = keys.iter().find_map(|key| builder.get_config_value(key)).unwrap_or_default();
    if endpoint.to_ascii_lowercase().starts_with("http://") { builder.with_allow_http(true) } else { builder }
}

fn retries() -> RetryConfig {
    let backoff = BackoffConfig { max_backoff: RETRY_WAIT_MAX, ..BackoffConfig::default() };
    RetryConfig { backoff, retry_timeout: RETRIES_END, ..RetryConfig::default() }
}

/// The key of `place` below `folder`, both folders or prefixes however they are named; empty where they are the same,
/// none where `place` isn't below `folder`.
///
/// # Errors
/// Where one of them names none.
pub fn key_below(folder: &str, place: &str) -> Result<Option<String>, Error> {
    let identity = |uri: &str| -> Result<Place, Error> {
        Ok(match Place::parse(uri)? {
            Place::Local { absolute, .. } => Place::Local { typed: PathBuf::new(), absolute: resolved(&absolute) },
            bucket => bucket,
        })
    };
    Ok(match (identity(folder)?, identity(place)?) {
        (Place::Local { absolute: folder, .. }, Place::Local { absolute, .. }) => {
            absolute.strip_prefix(folder).ok().map(|key| key.to_string_lossy().into_owned())
        }
        (Place::Bucket { prefix: above, cloud, bucket }, Place::Bucket { prefix, cloud: other, bucket: name }) => {
            let key = prefix.strip_prefix(&above).filter(|_| (cloud, bucket) == (other, name));
            let key = key.filter(|key| above.is_empty() || key.is_empty() || key.starts_with('/'));
            key.map(|key| key.trim_start_matches('/').to_owned())
        }
        _ => None,
    })
}

/// The folder, prefix or file as anybody finds it: a path from the root on, without `.` and `..`.
///
/// # Errors
/// Where it names none.
pub fn absolute(uri: &str) -> Result<String, Error> {
    Ok(match Place::parse(uri)? {
        Place::Local { absolute, .. } => absolute.to_string_lossy().into_owned(),
        bucket => bucket.uri(""),
    })
}

/// The path with links replaced by where they lead, as far as it exists; the rest is only names.
fn resolved(path: &path::Path) -> PathBuf {
    let real = path.ancestors().find_map(|above| {
        let real = above.canonicalize().ok()?;
        Some(real.join(path.strip_prefix(above).ok()?))
    });
    real.unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use object_store::ClientConfigKey;

    use super::*;

    #[test]
    fn no_answer_is_waited_for_without_end() {
        let builder = AmazonS3Builder::new();
        for key in [ClientConfigKey::ConnectTimeout, ClientConfigKey::Timeout] {
            assert!(builder.get_config_value(&AmazonS3ConfigKey::Client(key)).is_some(), "{key:?}");
        }
    }

    #[test]
    fn plain_http_is_for_endpoints_that_say_so_and_where_it_is_allowed() {
        let (any, own, allow) = ("aws_endpoint_url", "aws_endpoint_url_s3", "aws_allow_http");
        for (variables, allowed) in [
            (&[][..], "false"),
            (&[(any, "https://a")], "false"),
            (&[(any, "http://a")], "true"),
            (&[(any, "HTTP://a")], "true"),
            (&[(own, "http://a"), (any, "https://b")], "true"),
            (&[(own, "https://a"), (any, "http://b")], "false"),
            (&[(allow, "true")], "true"),
            (&[(any, "https://a"), (allow, "true")], "true"),
        ] {
            let with = |builder: AmazonS3Builder, &(name, value): &(&str, &str)| {
                builder.with_config(name.parse().unwrap(), value)
            };
            let builder = with_plain_http(variables.iter().fold(AmazonS3Builder::new(), with));
            let found = builder.get_config_value(&AmazonS3ConfigKey::Client(ClientConfigKey::AllowHttp));
            assert_eq!(found.as_deref(), Some(allowed), "{variables:?}");
        }
    }
}
