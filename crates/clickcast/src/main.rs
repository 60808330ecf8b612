//! Clickcast predicts click-through rates in bulk: the command line.

mod arguments;
mod commands;
mod console;
mod failure;
mod progress;
mod settings;

use std::io::Write;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches};

use arguments::Arguments;
use failure::Failure;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            // The exit code still tells where stderr is closed.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            failure.exit_code()
        }
    }
}

fn run() -> Result<(), Failure> {
    let command = settings::apply(Arguments::command())?;
    let line: Vec<_> = std::env::args_os().collect();
    let matches = arguments::read(command, &line)?;
    let arguments = Arguments::from_arg_matches(&matches).map_err(Failure::input)?;
    commands::run(arguments)
}
