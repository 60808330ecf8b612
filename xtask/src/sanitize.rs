//! `cargo xtask sanitize`: the tests of the kernels, and of the models that call them, under AddressSanitizer.

use std::env::consts::ARCH;
use std::process::Command;

use anyhow::Result;

use crate::steps::{cargo, must_succeed, step};

/// Runs the tests; the first bad access to memory ends them.
///
/// # Errors
/// If the sanitizer finds something, a test fails, or this is not Linux.
pub(crate) fn address() -> Result<()> {
    step("address sanitizer", || must_succeed(&mut command()))
}

fn command() -> Command {
    // A target that is named, were it the machine's own, keeps the sanitizer out of build scripts and macros.
    let target = format!("{ARCH}-unknown-linux-gnu");
    let place = ["--target", &target, "--target-dir", "target/asan"];
    let tests = ["-p", "clickcast-kernel", "-p", "clickcast-model", "--lib", "--tests"];
    let mut command = cargo(&[&["test"], &place[..], &tests[..]].concat());
    // The sanitizer is not stable yet; this lets the stable compiler have it.
    command.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", "-Zsanitizer=address");
    command
}
