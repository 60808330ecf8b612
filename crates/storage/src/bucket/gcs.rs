//! Google Cloud Storage.

use std::sync::Arc;

use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::{ObjectStore, Result};

pub(super) fn connect(bucket: &str, variables: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = GoogleCloudStorageBuilder::from_env().with_bucket_name(bucket);
    for (name, value) in variables {
        builder = builder.with_config(name.to_ascii_lowercase().parse()?, *value);
    }
    Ok(Arc::new(builder.with_retry(super::retries()).build()?))
}
