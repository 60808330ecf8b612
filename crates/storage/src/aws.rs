//! What Amazon's shared files say (`~/.aws/config`, `~/.aws/credentials`, `AWS_PROFILE`), for S3 as for SQS.
//!
//! The client of S3 knows keys of the environment, web identities and the roles of machines; this adds the files.

use std::env::var_os;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_config::meta::region::ProvideRegion;
use aws_config::profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider};
use aws_config::provider_config::ProviderConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_credential_types::provider::error::CredentialsError;
use object_store::CredentialProvider;
use object_store::aws::{AmazonS3Builder, AwsCredential};
use tokio::sync::Mutex;

/// Credentials that end sooner are fetched anew.
const REFRESH_BEFORE: Duration = Duration::from_secs(300);

/// What the files say of the profile in use.
struct Profile {
    region: Option<String>,
    credentials: Option<Arc<FromFiles>>,
}

/// Keys by the shared files, kept until they end.
#[derive(Debug)]
struct FromFiles {
    provider: ProfileFileCredentialsProvider,
    known: Mutex<Option<(Arc<AwsCredential>, Option<SystemTime>)>>,
}

/// Lets the files say what the environment doesn't.
pub(crate) fn with_profile(builder: AmazonS3Builder) -> AmazonS3Builder {
    let is_set = |name: &str| var_os(name).is_some_and(|value| !value.is_empty());
    // A profile that is named goes before an identity that the cluster gives, as in Amazon's own chain.
    let is_given = is_set("AWS_ACCESS_KEY_ID") || is_set("AWS_WEB_IDENTITY_TOKEN_FILE") && !is_set("AWS_PROFILE");
    let is_placed = ["AWS_REGION", "AWS_DEFAULT_REGION"].into_iter().any(is_set);
    if is_given && is_placed {
        return builder;
    }
    let Some(profile) = profile() else { return builder };
    let builder = match &profile.region {
        Some(region) if !is_placed => builder.with_region(region),
        _ => builder,
    };
    match &profile.credentials {
        Some(credentials) if !is_given => builder.with_credentials(credentials.clone()),
        _ => builder,
    }
}

/// Read once, by a thread of its own: who opens a store may be at work for a runtime already.
fn profile() -> Option<&'static Profile> {
    static PROFILE: OnceLock<Option<Profile>> = OnceLock::new();
    let read = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
        Some(runtime.block_on(read()))
    };
    PROFILE.get_or_init(|| std::thread::spawn(read).join().ok().flatten()).as_ref()
}

async fn read() -> Profile {
    let region = ProfileFileRegionProvider::new().region().await;
    let config = ProviderConfig::default().with_region(region.clone());
    let provider = ProfileFileCredentialsProvider::builder().configure(&config).build();
    let from_files = FromFiles { provider, known: Mutex::default() };
    // A profile may have a region alone: then the machine's role is asked.
    let is_there = from_files.get_credential().await.is_ok() || var_os("AWS_PROFILE").is_some();
    let region = region.map(|region| region.to_string());
    Profile { region, credentials: is_there.then(|| Arc::new(from_files)) }
}

impl FromFiles {
    async fn fetch(&self) -> Result<(Arc<AwsCredential>, Option<SystemTime>), CredentialsError> {
        let found = self.provider.provide_credentials().await?;
        let credential = AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        };
        Ok((Arc::new(credential), found.expiry()))
    }
}

#[async_trait]
impl CredentialProvider for FromFiles {
    type Credential = AwsCredential;

    async fn get_credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut known = self.known.lock().await;
        if let Some((credential, end)) = &*known
            && end.is_none_or(|end| end > SystemTime::now() + REFRESH_BEFORE)
        {
            return Ok(credential.clone());
        }
        let fetched = self.fetch().await;
        let (credential, _) = known.insert(fetched.map_err(|error| object_store::Error::Unauthenticated {
            path: "the shared files of AWS".to_owned(),
            source: Box::new(error),
        })?);
        Ok(credential.clone())
    }
}
