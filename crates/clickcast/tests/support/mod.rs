//! Runs the binary in a temporary folder.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

pub mod pairs;

use std::ops::Deref;

use tokio::runtime::Runtime;

/// A temporary folder with the binary.
pub struct World(clickcast_testing::World);

impl World {
    pub fn new() -> Self {
        Self(clickcast_testing::World::new(env!("CARGO_BIN_EXE_clickcast")))
    }
}

pub fn runtime() -> Runtime {
    Runtime::new().unwrap()
}

impl Deref for World {
    type Target = clickcast_testing::World;

    fn deref(&self) -> &clickcast_testing::World {
        &self.0
    }
}
