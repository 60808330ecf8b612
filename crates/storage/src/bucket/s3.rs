//! Amazon S3, and servers that speak its protocol.

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, S3CopyIfNotExists};

use crate::Error;
use crate::aws::Account;

pub(super) fn connect(bucket: &str, uri: &str, variables: &[(&str, &str)]) -> Result<Arc<dyn ObjectStore>, Error> {
    let failed = |error| Error::new("open", uri, error);
    let mut builder = AmazonS3Builder::from_env().with_bucket_name(bucket);
    // Variables that are given stand for the environment, and for the account named there.
    if variables.is_empty() {
        let account = Account::of_environment().map_err(|problem| Error::invalid("open", uri, &problem))?;
        builder = account.apply(builder);
    }
    for (name, value) in variables {
        builder = builder.with_config(name.to_ascii_lowercase().parse().map_err(failed)?, *value);
    }
    // S3 has no header for "copy only if absent"; the end of an upload can be made conditional.
    let builder = with_plain_http(builder).with_copy_if_not_exists(S3CopyIfNotExists::Multipart);
    Ok(Arc::new(builder.with_retry(super::retries()).build().map_err(failed)?))
}

/// Allows plain HTTP if the endpoint says `http://`, without a second variable.
fn with_plain_http(builder: AmazonS3Builder) -> AmazonS3Builder {
    let keys = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint];
    let endpoint = keys.iter().find_map(|key| builder.get_config_value(key)).unwrap_or_default();
    if endpoint.to_ascii_lowercase().starts_with("http://") { builder.with_allow_http(true) } else { builder }
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
    fn plain_http_is_allowed_for_endpoints_that_say_so_and_where_it_is_asked_for() {
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
