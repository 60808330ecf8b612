//! A folder to work in, and the binary to run in it.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)]

pub mod disturbed;
pub mod pairs;
pub mod torture;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A temporary folder.
pub struct World {
    folder: tempfile::TempDir,
}

/// How a command ended.
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl World {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Runs the binary in the folder; arguments are separated by spaces.
    pub fn run(&self, arguments: &str) -> Ended {
        self.run_with(arguments, &[])
    }

    pub fn run_with(&self, arguments: &str, environment: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_clickcast"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command.envs(environment.iter().copied());
        let output = command.output().unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the binary with `--json`, and expects it to succeed.
    pub fn json(&self, arguments: &str) -> Value {
        let ended = self.run(&format!("{arguments} --json --quiet"));
        assert_eq!(ended.code, 0, "{arguments}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{arguments}: {error}: {}", ended.stdout))
    }

    /// Every file below a folder, with its bytes.
    pub fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        collect(&self.path(folder), &mut files);
        let root = self.path(folder);
        let relative = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
        let mut files: Vec<_> = files.iter().map(|path| (relative(path), std::fs::read(path).unwrap())).collect();
        files.sort();
        files
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
