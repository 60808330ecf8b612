//! Stores to test with: in memory, in a folder, and S3 as moto imitates it.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

#[path = "../../../../xtask/src/skip.rs"]
mod skip;

use std::process::{Command, Stdio};

use clickcast_storage::Store;
use tokio::runtime::Runtime;

pub fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// An S3 of this test's own, stopped when dropped.
pub struct Moto {
    endpoint: String,
    port: String,
}

impl Moto {
    /// Starts it on a free port; where it can't be had, records the test as skipped.
    pub fn start() -> Option<Self> {
        let script = skip::workspace_root().join("scripts/services/moto.sh");
        let output = Command::new(script).args(["start", "0"]).stderr(Stdio::inherit()).output();
        let printed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let Some(endpoint) = printed.lines().find_map(|line| line.strip_prefix("ENDPOINT=")) else {
            skip::because("moto can't be started");
            return None;
        };
        let port = endpoint.rsplit_once(':').unwrap().1.to_owned();
        let moto = Self { endpoint: endpoint.to_owned(), port };
        // moto makes a bucket for whoever asks by PUT, signed or not.
        let made = Command::new("curl").args(["-sf", "-X", "PUT", &format!("{endpoint}/bucket")]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        Some(moto)
    }

    pub fn open(&self, uri: &str) -> Store {
        let variables = [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ];
        Store::open_with(uri, &variables).unwrap()
    }
}

impl Moto {
    /// What it answers to a plain request.
    pub fn text(&self, path: &str) -> String {
        let answer = Command::new("curl").args(["-sf", &format!("{}/{path}", self.endpoint)]).output().unwrap();
        String::from_utf8_lossy(&answer.stdout).into_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let script = skip::workspace_root().join("scripts/services/moto.sh");
        let _ = Command::new(script).args(["stop", &self.port]).stderr(Stdio::null()).status();
    }
}
