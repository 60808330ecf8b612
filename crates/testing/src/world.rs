//! A temporary folder, and a program that runs in it.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A temporary folder, removed when dropped.
pub struct Folder {
    folder: tempfile::TempDir,
}

/// A temporary folder, and a program to run in it.
pub struct World {
    folder: Folder,
    program: PathBuf,
}

/// How a program ended.
pub struct Ended {
    /// Its exit code, or -1 if a signal ended it.
    pub code: i32,
    /// What it wrote to its standard output.
    pub stdout: String,
    /// What it wrote to its standard error.
    pub stderr: String,
}

impl Default for Folder {
    fn default() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }
}

impl Folder {
    /// Returns the path of a file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the same path as text.
    pub fn uri(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file, and makes the folders above it.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    /// Returns every file below a folder with its bytes, sorted by its path relative to that folder.
    pub fn files(&self, folder: &str) -> Vec<(String, Vec<u8>)> {
        let root = self.path(folder);
        let mut paths = Vec::new();
        collect(&root, &mut paths);
        let relative = |path: &Path| path.strip_prefix(&root).unwrap().display().to_string();
        let mut files: Vec<_> = paths.iter().map(|path| (relative(path), std::fs::read(path).unwrap())).collect();
        files.sort();
        files
    }
}

impl World {
    /// Makes an empty folder in which `program` runs.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self { folder: Folder::default(), program: program.into() }
    }

    /// Runs the program; the arguments are separated by white space.
    pub fn run(&self, arguments: &str) -> Ended {
        self.run_with(arguments, &[])
    }

    /// Runs the program with some environment variables.
    pub fn run_with(&self, arguments: &str, environment: &[(&str, &str)]) -> Ended {
        let mut command = Command::new(&self.program);
        command.args(arguments.split_whitespace()).current_dir(self.folder.folder.path());
        command.envs(environment.iter().copied());
        let output = command.output().unwrap();
        Ended {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the program with `--json --quiet`, asserts that it succeeds, and returns the JSON it prints.
    pub fn json(&self, arguments: &str) -> Value {
        let ended = self.run(&format!("{arguments} --json --quiet"));
        assert_eq!(ended.code, 0, "{arguments}: {}", ended.stderr);
        serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{arguments}: {error}: {}", ended.stdout))
    }
}

impl Deref for World {
    type Target = Folder;

    fn deref(&self) -> &Folder {
        &self.folder
    }
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}
