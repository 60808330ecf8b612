//! What the cases run: our release binary, and the peers in a virtual environment of their own.

use std::fs;

use anyhow::{Context, Result, bail};

use super::WORK;
use super::measure::{Contender, Timing, command, remove};
use crate::root;
use crate::run::{Run, measured};
use crate::steps::{is_there, must_succeed};

const REQUIREMENTS: &str = "bench/requirements.txt";
const PYTHON: &str = "target/bench/venv/bin/python";
const CLICKCAST: &str = "target/release/clickcast";

/// The tools, and how much they are to do.
pub(crate) struct Tools {
    pub(crate) quick: bool,
}

impl Tools {
    /// Installs the pinned peers, once for each set of pins.
    ///
    /// # Errors
    /// If Python or a package cannot be had: data and peers need them, so nothing can be measured.
    pub(crate) fn prepare(quick: bool) -> Result<Self> {
        let venv = format!("{WORK}/venv");
        let pins =
            fs::read_to_string(root().join(REQUIREMENTS)).with_context(|| format!("cannot read `{REQUIREMENTS}`"))?;
        let installed = root().join(&venv).join("installed.txt");
        if fs::read_to_string(&installed).is_ok_and(|text| text == pins) {
            return Ok(Self { quick });
        }
        if !is_there("python3", &["-m", "venv", "--help"]) {
            bail!("the peers need `python3` with `venv` (on Debian: python3-venv)");
        }
        remove(&venv)?;
        must_succeed(&mut command(&words(&["python3", "-m", "venv", &venv])))?;
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement", REQUIREMENTS];
        must_succeed(&mut command(&words(&[&[PYTHON], &install[..]].concat()))).context("cannot install the peers")?;
        fs::write(&installed, pins).with_context(|| format!("cannot write `{}`", installed.display()))?;
        Ok(Self { quick })
    }

    /// Chooses by mode.
    pub(crate) fn size<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Runs our binary once.
    ///
    /// # Errors
    /// If it fails, or prints anything but one JSON object.
    pub(crate) fn clickcast(&self, arguments: &[&str]) -> Result<Run> {
        measured(&mut command(&words(&[&[CLICKCAST], arguments].concat())))
    }

    /// Runs a script of `bench/` once.
    ///
    /// # Errors
    /// If it fails.
    pub(crate) fn script(&self, script: &str, arguments: &[&str]) -> Result<Run> {
        measured(&mut command(&words(&[&[PYTHON, script], arguments].concat())))
    }

    /// A folder of data, made once: into a folder aside, which gets its name when it is whole.
    ///
    /// # Errors
    /// What `make` failed with.
    pub(crate) fn data(&self, name: &str, make: impl FnOnce(&str) -> Result<()>) -> Result<String> {
        let folder = format!("{WORK}/data/{name}");
        if root().join(&folder).is_dir() {
            return Ok(folder);
        }
        let aside = format!("{folder}.part");
        remove(&aside)?;
        fs::create_dir_all(root().join(&aside)).with_context(|| format!("cannot make `{aside}`"))?;
        make(&aside).with_context(|| format!("cannot make the data `{folder}`"))?;
        fs::rename(root().join(&aside), root().join(&folder)).with_context(|| format!("cannot name `{folder}`"))?;
        Ok(folder)
    }
}

/// Our binary as a contender. `writes` is its output, removed before each run so that no run finds its work done.
pub(crate) fn ours(name: &'static str, arguments: &[&str], writes: &str) -> Contender {
    let words = words(&[&[CLICKCAST], arguments].concat());
    Contender { name, words, timing: Timing::Process, writes: Some(writes.to_owned()) }
}

/// A command of `bench/peers.py` as a contender.
pub(crate) fn peer(name: &'static str, arguments: &[&str]) -> Contender {
    let words = words(&[&[PYTHON, "bench/peers.py"], arguments].concat());
    Contender { name, words, timing: Timing::Reported, writes: None }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
