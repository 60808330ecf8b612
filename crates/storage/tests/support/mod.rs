//! Stores to test with.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

use clickcast_storage::Store;
use clickcast_testing::services::Moto;
use tokio::runtime::Runtime;

pub fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

pub fn open(moto: &Moto, uri: &str) -> Store {
    Store::open_with(uri, &moto.variables()).unwrap()
}
