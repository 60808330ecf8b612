//! `cargo xtask test` and `cargo xtask lint`: the steps, in order, up to the first that fails.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use clickcast_testing::skip::LOG_VARIABLE;

use crate::counts::{Counts, Runner, Skips};
use crate::steps::{cargo, is_there, must_succeed, overheard, step};
use crate::{house, layers, root};

/// Everything CI checks. Once the tests have begun, its last line is `N passed, N failed, N skipped`.
///
/// # Errors
/// The first step that failed before the tests. After that, a failure is printed above the last line and answered by
/// the exit code alone.
pub(crate) fn test(quick: bool, require_all: bool) -> Result<ExitCode> {
    checks()?;
    let mut tally = Tally::new()?;
    let outcome = tests(&mut tally, quick, require_all);
    if let Err(error) = &outcome {
        eprintln!("error: {error:#}");
    }
    println!("{}", tally.counts);
    Ok(if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// All checks without the tests, and the advisories, whose database has to be fetched.
///
/// # Errors
/// The first step that failed.
pub(crate) fn lint() -> Result<()> {
    checks()?;
    step("docs", docs)?;
    if is_there("cargo", &["deny", "fetch", "db"]) {
        return step("advisories", || deny(&["advisories"]));
    }
    println!("== advisories: left out: cargo-deny is not installed, or its database cannot be fetched from here");
    Ok(())
}

/// What is checked before tests are worth running, fastest first.
fn checks() -> Result<()> {
    step("format", || must_succeed(&mut cargo(&["fmt", "--all", "--check"])))?;
    step("layers", layers::check_workspace)?;
    step("house", house::check_workspace)?;
    if is_there("cargo", &["deny", "--version"]) {
        step("licences, bans and sources", || deny(&["licenses", "bans", "sources"]))?;
    } else {
        println!("== licences: left out: cargo-deny is not installed (`cargo install cargo-deny --locked`)");
    }
    step("clippy", || {
        must_succeed(&mut cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]))
    })?;
    step("without cloud services", without_services)?;
    // They are a workspace of their own, and nobody builds them every day. Most of what they stand on was checked just now.
    let fuzz = ["check", "--locked", "--quiet", "--manifest-path", "fuzz/Cargo.toml", "--target-dir", "target"];
    if !is_there("c++", &["--version"]) {
        println!("== fuzz targets: left out: libFuzzer needs a C++ compiler, and there is no `c++`");
        return Ok(());
    }
    step("fuzz targets", || must_succeed(&mut cargo(&fuzz)))
}

/// Checks the crates that load and score a local model, built without any cloud, queue or network.
fn without_services() -> Result<()> {
    let crates = ["storage", "model", "dataset", "registry"].map(|name| format!("--package=clickcast-{name}"));
    let crates = crates.iter().map(String::as_str);
    let arguments: Vec<_> =
        std::iter::once("clippy").chain(crates).chain(["--no-default-features", "--quiet"]).collect();
    must_succeed(cargo(&arguments).args(["--", "-D", "warnings"]))
}

fn deny(what: &[&str]) -> Result<()> {
    must_succeed(&mut cargo(&[&["deny", "--workspace", "--log-level", "error", "check"], what].concat()))
}

fn docs() -> Result<()> {
    must_succeed(cargo(&["doc", "--no-deps", "--workspace", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings"))
}

fn tests(tally: &mut Tally, quick: bool, require_all: bool) -> Result<()> {
    step("tests", || {
        if is_there("cargo", &["nextest", "--version"]) {
            let arguments = ["nextest", "run", "--workspace", "--no-fail-fast", "--no-tests=pass", "--color=never"];
            return tally.run(Runner::Nextest, cargo(&arguments));
        }
        tally.run(Runner::Libtest, cargo(&["test", "--workspace", "--tests", "--no-fail-fast"]))
    })?;
    step("doc tests", || {
        tally.run(Runner::Libtest, cargo(&["test", "--doc", "--workspace", "--no-fail-fast", "--quiet"]))
    })?;
    if !quick {
        step("docs", docs)?;
    }
    let unpardoned = tally.counts.skipped.saturating_sub(tally.skips.pardoned());
    if require_all && unpardoned > 0 {
        bail!("tests were skipped where all are required ({unpardoned} of them); those named above say what they lack");
    }
    Ok(())
}

/// The outcomes so far, and the log in which tests record that they were skipped.
struct Tally {
    counts: Counts,
    skips: Skips,
    log: PathBuf,
}

impl Tally {
    fn new() -> Result<Self> {
        let folder = root().join("target/xtask");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        let log = folder.join(format!("skipped-{}", std::process::id()));
        fs::write(&log, "").with_context(|| format!("cannot write `{}`", log.display()))?;
        Ok(Self { counts: Counts::default(), skips: Skips::default(), log })
    }

    /// Runs a test command and adds its outcomes.
    fn run(&mut self, runner: Runner, mut command: Command) -> Result<()> {
        command.env(LOG_VARIABLE, &self.log);
        let shown = crate::steps::typed(&command);
        let (succeeded, lines) = overheard(command)?;
        let skips = Skips::read(&fs::read_to_string(&self.log).context("cannot read the log of skipped tests")?);
        fs::write(&self.log, "").context("cannot empty the log of skipped tests")?;
        self.counts += Counts::read(runner, &lines).with_skips(&skips);
        skips.lines().for_each(|line| println!("skipped: {line}"));
        self.skips.add(skips);
        if !succeeded {
            bail!("`{shown}` failed; the tests that did are named above");
        }
        Ok(())
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        // A log left behind is only clutter.
        drop(fs::remove_file(&self.log));
    }
}
