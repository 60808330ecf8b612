//! The release binary in a folder of its own, and what its gate and its audit say.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use crate::root;

/// The exit code of a gate or an audit that stops what it judged.
const STOPPED: i32 = 3;

/// A folder that commands run in.
pub(super) struct Workplace {
    folder: PathBuf,
}

/// What a gate or an audit said.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Judged {
    pub(super) verdict: String,
    checks: Vec<Check>,
}

#[derive(Debug, Clone, Deserialize)]
struct Check {
    name: String,
    verdict: String,
}

impl Judged {
    pub(super) fn is_stopped(&self) -> bool {
        self.verdict != "pass"
    }

    /// The checks that speak against what was judged.
    pub(super) fn against(&self) -> Vec<&str> {
        self.checks.iter().filter(|check| check.verdict != "pass").map(|check| check.name.as_str()).collect()
    }
}

impl Workplace {
    /// An empty folder below `target/sabotage`; what an earlier benchmark left there goes.
    pub(super) fn new(name: &str) -> Result<Self> {
        let place = Self { folder: root().join("target/sabotage").join(name) };
        place.remove("")?;
        fs::create_dir_all(&place.folder).with_context(|| format!("cannot make `{}`", place.folder.display()))?;
        Ok(place)
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(super) fn read(&self, name: &str) -> Result<Vec<u8>> {
        fs::read(self.path(name)).with_context(|| format!("cannot read `{name}`"))
    }

    pub(super) fn read_text(&self, name: &str) -> Result<String> {
        String::from_utf8(self.read(name)?).with_context(|| format!("`{name}` is no text"))
    }

    /// Writes a file, and makes the folder that it is in.
    pub(super) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        fs::write(path, bytes).with_context(|| format!("cannot write `{name}`"))
    }

    /// Removes a file or a folder that may be there.
    pub(super) fn remove(&self, name: &str) -> Result<()> {
        let path = self.path(name);
        let removed = if path.is_dir() {
            fs::remove_dir_all(&path)
        } else if path.exists() {
            fs::remove_file(&path)
        } else {
            return Ok(());
        };
        removed.with_context(|| format!("cannot remove `{}`", path.display()))
    }

    /// Runs a command of the binary, whose arguments are separated by spaces; its report comes back.
    pub(super) fn json(&self, arguments: &str) -> Result<Value> {
        self.report(arguments, &[0])
    }

    /// Runs a gate or an audit: that it stops what it judges is no error.
    pub(super) fn judged(&self, arguments: &str) -> Result<Judged> {
        let report = self.report(arguments, &[0, STOPPED])?;
        serde_json::from_value(report).with_context(|| format!("`{arguments}` gave no verdict"))
    }

    fn report(&self, arguments: &str, codes: &[i32]) -> Result<Value> {
        let mut command = Command::new(root().join("target/release/clickcast"));
        command.args(arguments.split_whitespace()).args(["--json", "--quiet"]).current_dir(&self.folder);
        let output = command.output().context("cannot start `target/release/clickcast`")?;
        if !output.status.code().is_some_and(|code| codes.contains(&code)) {
            bail!("`{arguments}` ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
        }
        serde_json::from_slice(&output.stdout).with_context(|| format!("`{arguments}` did not print one JSON object"))
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A verdict, and one check that passed beside those that speak against.
    pub(in super::super) fn judged(verdict: &str, against: &[&str]) -> Judged {
        let check = |name: &str, verdict: &str| Check { name: name.to_owned(), verdict: verdict.to_owned() };
        let mut checks = vec![check("valid_scores", "pass")];
        checks.extend(against.iter().map(|name| check(name, verdict)));
        Judged { verdict: verdict.to_owned(), checks }
    }
}
