//! Amazon's own chain of configuration, for S3 and SQS alike: the environment, the shared files (`~/.aws/config`,
//! `~/.aws/credentials`, `AWS_PROFILE`), a web identity, and the roles of containers and machines.

use aws_config::ConfigLoader;
use aws_credential_types::provider::error::CredentialsError;

/// What to do when the chain finds nobody to act for.
pub(crate) const NO_CREDENTIALS: &str = "no credentials were found in the environment, the shared files, a web identity or \
                                         the instance's role; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE";

/// Begins the chain with the stores' own HTTP client.
///
/// # Errors
/// If the machine's certificates can't be read.
pub(crate) fn chain() -> Result<ConfigLoader, reqwest::Error> {
    Ok(aws_config::defaults(aws_config::BehaviorVersion::latest()).http_client(crate::http::client()?))
}

/// Whether an error comes from a chain that found no credentials; the reason has a type of its own deep down alone.
pub(crate) fn lacks_credentials(error: &(dyn std::error::Error + 'static)) -> bool {
    std::iter::successors(Some(error), |&error| error.source())
        .any(|error| matches!(error.downcast_ref(), Some(CredentialsError::CredentialsNotLoaded(_))))
}

#[cfg(feature = "s3")]
pub(crate) use account::Account;

#[cfg(feature = "s3")]
mod account {
    use std::sync::{Arc, OnceLock};
    use std::time::{Duration, SystemTime};

    use async_trait::async_trait;
    use aws_config::SdkConfig;
    use aws_config::environment::EnvironmentVariableRegionProvider;
    use aws_config::meta::region::RegionProviderChain;
    use aws_config::profile::ProfileFileRegionProvider;
    use aws_credential_types::provider::error::CredentialsError;
    use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
    use object_store::CredentialProvider;
    use object_store::aws::{AmazonS3Builder, AwsCredential};
    use tokio::sync::Mutex;

    use super::NO_CREDENTIALS;

    /// Credentials that end sooner than this are fetched anew.
    const REFRESH_BEFORE: Duration = Duration::from_secs(300);

    /// What the chain says of the account in use: read once, as the files and variables were at first.
    #[derive(Debug, Clone)]
    pub(crate) struct Account {
        region: Option<String>,
        /// For all services, by a variable or a profile.
        endpoint: Option<String>,
        credentials: Option<Arc<Credentials>>,
    }

    impl Account {
        /// Reads the chain's files and variables; credentials are fetched by the first request.
        ///
        /// # Errors
        /// If they can't be read.
        pub(crate) fn of_environment() -> Result<&'static Self, String> {
            static ACCOUNT: OnceLock<Result<Account, String>> = OnceLock::new();
            let read = || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                let config = runtime.map_err(|error| error.to_string())?.block_on(read());
                config.map(Self::new).map_err(|error| error.to_string())
            };
            // On a thread of its own: the caller may be at work for a runtime already.
            let on_thread =
                || std::thread::spawn(read).join().unwrap_or_else(|_| Err("its thread panicked".to_owned()));
            ACCOUNT.get_or_init(on_thread).as_ref().map_err(Clone::clone)
        }

        fn new(config: SdkConfig) -> Self {
            Self {
                region: config.region().map(ToString::to_string),
                endpoint: config.endpoint_url().map(str::to_owned),
                credentials: config
                    .credentials_provider()
                    .map(|provider| Arc::new(Credentials { provider, known: Mutex::default() })),
            }
        }

        /// Hands on what the chain found; the store's own variables for S3 alone go before it.
        pub(crate) fn apply(&self, mut builder: AmazonS3Builder) -> AmazonS3Builder {
            use object_store::aws::AmazonS3ConfigKey::{Endpoint, S3Endpoint};
            if let Some(region) = &self.region {
                builder = builder.with_region(region);
            }
            let has_endpoint = [S3Endpoint, Endpoint].iter().any(|key| builder.get_config_value(key).is_some());
            if let Some(endpoint) = &self.endpoint
                && !has_endpoint
            {
                builder = builder.with_endpoint(endpoint);
            }
            if let Some(credentials) = &self.credentials {
                builder = builder.with_credentials(credentials.clone());
            }
            builder
        }
    }

    async fn read() -> Result<SdkConfig, reqwest::Error> {
        // Without the machine's own region: outside of Amazon's machines, asking for it takes seconds.
        let region = RegionProviderChain::first_try(EnvironmentVariableRegionProvider::new())
            .or_else(ProfileFileRegionProvider::new());
        Ok(super::chain()?.region(region).load().await)
    }

    /// The chain's credentials, kept until they end.
    #[derive(Debug)]
    struct Credentials {
        provider: SharedCredentialsProvider,
        known: Mutex<Option<(Arc<AwsCredential>, Option<SystemTime>)>>,
    }

    #[async_trait]
    impl CredentialProvider for Credentials {
        type Credential = AwsCredential;

        async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
            let mut known = self.known.lock().await;
            if let Some((credential, end)) = &*known
                && end.is_none_or(|end| end > SystemTime::now() + REFRESH_BEFORE)
            {
                return Ok(credential.clone());
            }
            let found = self.provider.provide_credentials().await.map_err(|error| {
                let refused = |source| object_store::Error::Unauthenticated { path: String::new(), source };
                match &error {
                    CredentialsError::CredentialsNotLoaded(_) => refused(NO_CREDENTIALS.into()),
                    CredentialsError::InvalidConfiguration(_) => refused(error.into()),
                    // Who gives the credentials does not answer now.
                    _ => object_store::Error::Generic { store: "S3", source: error.into() },
                }
            })?;
            let credential = Arc::new(AwsCredential {
                key_id: found.access_key_id().to_owned(),
                secret_key: found.secret_access_key().to_owned(),
                token: found.session_token().map(str::to_owned),
            });
            *known = Some((credential.clone(), found.expiry()));
            Ok(credential)
        }
    }
}
