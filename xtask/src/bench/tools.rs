//! What the cases run: our release binary, and the peers in a virtual environment of their own.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};

use anyhow::{Context, Result, bail};

use super::WORK;
use super::measure::{Contender, Timing, command, remove};
use crate::root;
use crate::run::{Run, measured};
use crate::steps::{is_there, must_succeed};

const REQUIREMENTS: &str = "bench/requirements.txt";
const VENV: &str = "target/bench/venv";
const PYTHON: &str = "target/bench/venv/bin/python";
const SCORE: &str = "bench/score.py";
const CLICKCAST: &str = "target/release/clickcast";
const KERNEL: &str = "target/release/examples/kernel";

/// Holds why an engine has no model.
const FAILED: &str = "failed.txt";

/// A peer that needs more CPU time to train, convert or compile its model is reported as absent.
const PREPARE_BOUND: &str = "--cpu=300:310";

/// The tools, and how much they are to do.
pub(crate) struct Tools {
    pub(crate) quick: bool,
    pins: String,
}

impl Tools {
    /// Installs the pinned peers, once for each set of pins.
    ///
    /// # Errors
    /// If there is no Python, no `taskset` or no `prlimit`.
    pub(crate) fn prepare(quick: bool) -> Result<Self> {
        let pins =
            fs::read_to_string(root().join(REQUIREMENTS)).with_context(|| format!("cannot read `{REQUIREMENTS}`"))?;
        if !is_there("taskset", &["--version"]) || !is_there("prlimit", &["--version"]) {
            bail!("contenders are pinned by `taskset` and bounded by `prlimit` (on Debian: util-linux)");
        }
        let installed = root().join(VENV).join("installed.txt");
        if !fs::read_to_string(&installed).is_ok_and(|text| text == pins) {
            if !is_there("python3", &["-m", "venv", "--help"]) {
                bail!("the peers need `python3` with `venv` (on Debian: python3-venv)");
            }
            remove(VENV)?;
            must_succeed(&mut command(&words(&["python3", "-m", "venv", VENV])))?;
            install(&pins);
            fs::write(&installed, &pins).with_context(|| format!("cannot write `{}`", installed.display()))?;
        }
        Ok(Self { quick, pins })
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

    /// Registers a model as the next version of `ctr`.
    ///
    /// # Errors
    /// If it fails.
    pub(crate) fn register(&self, model: &str, registry: &str) -> Result<Run> {
        let version = ["--name", "ctr", "--model", model, "--registry", registry, "--json"];
        self.clickcast(&[&["models", "register"], &version[..]].concat())
    }

    /// Runs a script of `bench/` once.
    ///
    /// # Errors
    /// If it fails.
    pub(crate) fn script(&self, script: &str, arguments: &[&str]) -> Result<Run> {
        measured(&mut command(&words(&[&[PYTHON, script], arguments].concat())))
    }

    /// A folder of data, made once for each version of the pins and of the script that makes it: into a folder aside,
    /// which gets its name when it is whole.
    ///
    /// # Errors
    /// What `make` failed with.
    pub(crate) fn data(&self, name: &str, script: &str, make: impl FnOnce(&str) -> Result<()>) -> Result<String> {
        let text = fs::read_to_string(root().join(script)).with_context(|| format!("cannot read `{script}`"))?;
        let mut hasher = DefaultHasher::new();
        (&self.pins, text).hash(&mut hasher);
        let folder = format!("{WORK}/data/{name}-{:08x}", hasher.finish() as u32);
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

    /// The folder of an engine's own form of the model in the folder `data`, made once. A failure is kept too, or each
    /// run would wait for it again; the peer then fails with that reason, and is reported as absent.
    ///
    /// # Errors
    /// If the disk is full.
    pub(crate) fn engine(&self, engine: &str, script: &str, data: &str) -> Result<String> {
        let name = format!("{}-{engine}", data.rsplit('/').next().unwrap_or(data));
        self.data(&name, script, |out| {
            let prepare =
                ["prlimit", PREPARE_BOUND, PYTHON, SCORE, "prepare", "--engine", engine, "--data", data, "--out", out];
            println!("   preparing {engine}");
            if let Err(error) = measured(&mut command(&words(&prepare))) {
                let reason = format!("{error:#} (it may take 300 CPU seconds)");
                println!("   {reason}");
                fs::write(root().join(out).join(FAILED), reason).context("cannot keep the failure")?;
            }
            Ok(())
        })
    }
}

/// Installs all pins; or else, one by one, those that can be had: whoever misses one is absent from the results.
fn install(pins: &str) {
    let pip = [PYTHON, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let install = |arguments: &[&str]| must_succeed(&mut command(&words(&[&pip, arguments].concat())));
    let Err(error) = install(&["--requirement", REQUIREMENTS]) else { return };
    println!("{error:#}; one by one:");
    for pin in pins.lines() {
        if let Err(error) = install(&["--no-deps", pin]) {
            println!("{error:#}");
        }
    }
}

/// Our binary as a contender. `writes` is its output, removed before each run so that no run finds its work done.
pub(crate) fn ours(name: &'static str, rows: u64, arguments: &[&str], writes: &str) -> Contender {
    let words = words(&[&[CLICKCAST], arguments].concat());
    Contender { name, words, rows, timing: Timing::Process, is_peer: false, writes: Some(writes.to_owned()) }
}

/// Our tree kernel over the rows in memory of the folder `data`, on one core.
pub(crate) fn our_kernel(name: &'static str, rows: u64, data: &str) -> Contender {
    let words = words(&[KERNEL, data, &rows.to_string()]);
    Contender { name, words, rows, timing: Timing::Reported, is_peer: false, writes: None }.pinned()
}

/// A command of one of the scripts as a contender, on one core.
pub(crate) fn peer(name: &'static str, rows: u64, script: &str, arguments: &[&str]) -> Contender {
    let words = words(&[&[PYTHON, script], arguments].concat());
    Contender { name, words, rows, timing: Timing::Reported, is_peer: true, writes: None }.pinned()
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
