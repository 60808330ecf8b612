//! How a test says that it was skipped; `main.rs` tells how other crates use this file.

#![allow(dead_code, reason = "each test that includes this file uses its own part of it")]

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The environment variable that names the log of skipped tests.
pub(crate) const LOG_VARIABLE: &str = "CLICKCAST_SKIPPED_LOG";

/// What a reason starts with when it is the absence of the folder of real data.
pub(crate) const SHARED_ABSENT: &str = "../shared is absent";

/// Records that the calling test does not test anything, and why. The caller then returns.
pub(crate) fn because(why: &str) {
    let test = calling_test();
    eprintln!("SKIPPED: {test}: {why}");
    if let Some(log) = std::env::var_os(LOG_VARIABLE) {
        append(Path::new(&log), &test, why);
    }
}

/// A file of `../shared/data`; when it is absent, records the calling test as skipped and answers `None`.
pub(crate) fn shared_data(file: &str) -> Option<PathBuf> {
    let path = workspace_root().join("../shared/data").join(file);
    if path.is_file() {
        return Some(path);
    }
    because(&format!("{SHARED_ABSENT}: no `../shared/data/{file}`"));
    None
}

/// The workspace's root: the outermost folder with a `Cargo.lock` above the crate that includes this file.
pub(crate) fn workspace_root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().filter(|folder| folder.join("Cargo.lock").is_file()).last().unwrap_or(package)
}

/// Adds one line; a single append, so that tests running at the same time do not mix their lines.
pub(crate) fn append(log: &Path, test: &str, why: &str) {
    let line = format!("{test}\t{}\n", why.replace(['\n', '\t'], " "));
    let mut file = OpenOptions::new().create(true).append(true).open(log).expect("the log of skipped tests opens");
    file.write_all(line.as_bytes()).expect("the log of skipped tests takes a line");
}

/// The calling test's name: nextest's own, else libtest's name of the thread.
fn calling_test() -> String {
    let binary = std::env::current_exe().ok().and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    let test = std::env::var("NEXTEST_TEST_NAME").ok();
    let test = test.or_else(|| std::thread::current().name().map(str::to_owned));
    format!("{}::{}", binary.unwrap_or_default(), test.unwrap_or_default())
}
