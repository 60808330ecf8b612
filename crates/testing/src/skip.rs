//! How a test records that it was skipped, and where the workspace is.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The environment variable that names the log of skipped tests.
pub const LOG_VARIABLE: &str = "CLICKCAST_SKIPPED_LOG";

/// The beginning of the reason of a test that lacks the folder of real data.
pub const SHARED_ABSENT: &str = "../shared is absent";

/// Records that the calling test is skipped, and why. The caller then returns.
pub fn because(why: &str) {
    let test = calling_test();
    eprintln!("SKIPPED: {test}: {why}");
    if let Some(log) = std::env::var_os(LOG_VARIABLE) {
        append(Path::new(&log), &test, why);
    }
}

/// Returns the path of a file in `../shared/data`. If it is absent, records the calling test as skipped and returns
/// `None`.
pub fn shared_data(file: &str) -> Option<PathBuf> {
    let path = workspace_root().join("../shared/data").join(file);
    if path.is_file() {
        return Some(path);
    }
    because(&format!("{SHARED_ABSENT}: no `../shared/data/{file}`"));
    None
}

/// Returns the root folder of the workspace.
pub fn workspace_root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().find(|folder| folder.join("Cargo.lock").is_file()).unwrap_or(package)
}

/// Adds one line to a log, in a single append, so that tests that run at the same time do not mix their lines.
pub fn append(log: &Path, test: &str, why: &str) {
    let line = format!("{test}\t{}\n", why.replace(['\n', '\t'], " "));
    let mut file = OpenOptions::new().create(true).append(true).open(log).expect("the log of skipped tests opens");
    file.write_all(line.as_bytes()).expect("the log of skipped tests takes a line");
}

/// Returns the name of the calling test: from nextest's variable, or else libtest's name of the thread.
fn calling_test() -> String {
    let binary = std::env::current_exe().ok().and_then(|path| Some(path.file_stem()?.to_string_lossy().into_owned()));
    let test = std::env::var("NEXTEST_TEST_NAME").ok();
    let test = test.or_else(|| std::thread::current().name().map(str::to_owned));
    format!("{}::{}", binary.unwrap_or_default(), test.unwrap_or_default())
}
