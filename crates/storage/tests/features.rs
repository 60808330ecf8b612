//! What a build without a service says of a URI that needs it.
#![allow(clippy::unwrap_used, missing_docs)]

use std::error::Error as _;
use std::sync::Arc;

use clickcast_storage::queue::Queue;
use clickcast_storage::{Error, Kind, Store};

/// The service that an error says the build lacks.
fn missing(error: &Error) -> Option<(String, String)> {
    let said = error.source()?.to_string();
    let (service, feature) =
        said.strip_prefix("this build has no ")?.split_once("; build it with the cargo feature ")?;
    assert_eq!(error.kind(), Kind::Invalid);
    Some((service.to_owned(), feature.trim_matches('`').to_owned()))
}

#[test]
fn a_service_that_the_build_lacks_is_named_with_its_feature() {
    let login = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_REGION", "us-east-1")];
    for (uri, service, has) in [
        ("s3://b/k", ("S3", "s3"), cfg!(feature = "s3")),
        ("gs://b/k", ("Google Cloud Storage", "gcs"), cfg!(feature = "gcs")),
        ("az://b/k", ("Azure Blob Storage", "azure"), cfg!(feature = "azure")),
    ] {
        let variables = if uri.starts_with("s3") { &login[..] } else { &[] };
        let found = Store::open_with(uri, variables).err().and_then(|error| missing(&error));
        assert_eq!(found, (!has).then(|| (service.0.to_owned(), service.1.to_owned())), "{uri}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = format!("sqlite://{}", folder.path().join("queue.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for (uri, service, has) in [
        (file.as_str(), ("SQLite queues", "sqlite"), cfg!(feature = "sqlite")),
        ("http://127.0.0.1:9/q", ("SQS", "sqs"), cfg!(feature = "sqs")),
    ] {
        let opened = runtime.block_on(Queue::open_with(uri, &login, Arc::new(std::time::SystemTime::now)));
        let found = opened.err().and_then(|error| missing(&error));
        assert_eq!(found, (!has).then(|| (service.0.to_owned(), service.1.to_owned())), "{uri}");
    }
}
