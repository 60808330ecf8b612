//! Azure Blob Storage.

use std::sync::Arc;

use object_store::azure::MicrosoftAzureBuilder;
use object_store::{ObjectStore, Result};

pub(super) fn connect(container: &str, variables: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>> {
    let mut builder = MicrosoftAzureBuilder::from_env().with_container_name(container);
    for (name, value) in variables {
        builder = builder.with_config(name.to_ascii_lowercase().parse()?, *value);
    }
    Ok(Arc::new(builder.with_retry(super::retries()).build()?))
}
