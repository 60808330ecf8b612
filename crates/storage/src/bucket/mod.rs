//! Connects to a bucket of a cloud, if the build has that cloud.

#[cfg(feature = "azure")]
mod azure;
#[cfg(feature = "gcs")]
mod gcs;
#[cfg(feature = "s3")]
mod s3;

use std::sync::Arc;

use object_store::ObjectStore;

use crate::Error;

/// The service that a bucket belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cloud {
    /// Amazon S3, or a server that speaks its protocol.
    S3,
    /// Google Cloud Storage.
    Google,
    /// Azure Blob Storage.
    Azure,
}

impl Cloud {
    /// Returns the service that a URI's scheme stands for.
    pub(crate) fn of_scheme(scheme: &str) -> Option<Self> {
        match scheme {
            "s3" | "s3a" => Some(Self::S3),
            "gs" => Some(Self::Google),
            "az" => Some(Self::Azure),
            _ => None,
        }
    }

    pub(crate) fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

/// Connects to a bucket; `variables` take the place of the environment's of the same name.
#[cfg_attr(not(feature = "http"), allow(unused_variables))]
pub(crate) fn connect(
    cloud: Cloud,
    bucket: &str,
    uri: &str,
    variables: &[(&str, &str)],
) -> Result<Arc<dyn ObjectStore>, Error> {
    #[cfg(feature = "http")]
    crate::http::set_up_tls();
    match cloud {
        #[cfg(feature = "s3")]
        Cloud::S3 => s3::connect(bucket, uri, variables),
        #[cfg(feature = "gcs")]
        Cloud::Google => gcs::connect(bucket, variables).map_err(|error| Error::new("open", uri, error)),
        #[cfg(feature = "azure")]
        Cloud::Azure => azure::connect(bucket, variables).map_err(|error| Error::new("open", uri, error)),
        #[cfg(not(feature = "s3"))]
        Cloud::S3 => Err(Error::absent(uri, "S3", "s3")),
        #[cfg(not(feature = "gcs"))]
        Cloud::Google => Err(Error::absent(uri, "Google Cloud Storage", "gcs")),
        #[cfg(not(feature = "azure"))]
        Cloud::Azure => Err(Error::absent(uri, "Azure Blob Storage", "azure")),
    }
}

/// How failed requests are repeated.
#[cfg(feature = "http")]
fn retries() -> object_store::RetryConfig {
    use std::time::Duration;

    /// The last try begins this long after the first at the latest: an overloaded store or a new leader recovers in
    /// seconds, and a longer wait looks like a hang. With the last wait and the last try (at most 30 s, the client's own
    /// limit), the answer is known within 65 s.
    const RETRIES_END: Duration = Duration::from_secs(30);
    /// The longest wait between two tries, so that several fit in.
    const RETRY_WAIT_MAX: Duration = Duration::from_secs(5);

    let backoff = object_store::BackoffConfig { max_backoff: RETRY_WAIT_MAX, ..Default::default() };
    object_store::RetryConfig { backoff, retry_timeout: RETRIES_END, ..Default::default() }
}
