//! The commands one works with: `cargo xtask test`, `lint`, `layers`, `bench`, `sabotage`, `sanitize`, `real`.

#![allow(clippy::print_stdout, reason = "printing is what these commands do")]

mod bench;
mod circles;
mod counts;
mod house;
mod layers;
mod real;
mod run;
mod sabotage;
mod sanitize;
mod steps;
mod suite;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::FalseyValueParser;
use clap::{Parser, Subcommand};

/// The commands one works with.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Everything CI checks: format, layers, house rules, licences, clippy, tests, doc tests, docs.
    Test {
        /// Leave the docs build out.
        #[arg(long)]
        quick: bool,
        /// Fail when a test was skipped, as CI does.
        #[arg(long, env = "CI", value_parser = FalseyValueParser::new())]
        require_all: bool,
    },
    /// Format, layers, house rules, licences, clippy, docs and advisories; no tests.
    Lint,
    /// Compare every crate's dependencies with the table of layers, and draw it.
    Layers,
    /// Measure whole runs beside our peers and write `bench/RESULTS.md`; less than all, to `target/bench/RESULTS.md`.
    Bench {
        /// Smaller data and fewer repeats: under five minutes.
        #[arg(long)]
        quick: bool,
        /// Only the cases whose name contains this.
        #[arg(long)]
        case: Option<String>,
    },
    /// Run the tests of the kernels, and of the models that call them, under AddressSanitizer.
    Sanitize,
    /// Prove the gate and the audit: honest retrains and deliveries, and sabotaged ones by the hundred, into
    /// `bench/SABOTAGE.md`.
    Sabotage {
        /// Two markets and one seed of deliveries only, to `target/sabotage/SABOTAGE.md`.
        #[arg(long)]
        quick: bool,
        /// Markets of a million rows a day only, to `bench/SABOTAGE-LARGE.md`: 10 GB, and most of an hour.
        #[arg(long, conflicts_with = "quick")]
        large: bool,
    },
    /// Train and evaluate on the real data in `../shared/data`, beside the reference results.
    Real,
}

fn main() -> ExitCode {
    let done = |()| ExitCode::SUCCESS;
    let outcome = match Arguments::parse().command {
        Command::Test { quick, require_all } => suite::test(quick, require_all),
        Command::Lint => suite::lint().map(done),
        Command::Layers => layers::check_workspace().map(done),
        Command::Bench { quick, case } => bench::run(quick, case.as_deref()).map(done),
        Command::Sanitize => sanitize::address().map(done),
        Command::Sabotage { large: true, .. } => sabotage::run_large().map(done),
        Command::Sabotage { quick, .. } => sabotage::run(quick).map(done),
        Command::Real => real::run().map(done),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// The workspace's root folder.
fn root() -> PathBuf {
    clickcast_testing::skip::workspace_root().to_path_buf()
}
