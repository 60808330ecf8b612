//! What is wrong with a command line, in one sentence.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command};

use crate::failure::Failure;

/// Reads a command line; help and the version are printed, and end the process.
pub(crate) fn read(command: Command, line: &[OsString]) -> Result<ArgMatches, Failure> {
    let help = help(&command, line);
    command.try_get_matches_from(line).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        _ => Failure::input(format!("{}; see `{help}`", sentence(&error.to_string()))),
    })
}

/// What was printed in paragraphs: the problem, what goes on with it indented, tips; then the usage, which the help has, too.
fn sentence(printed: &str) -> String {
    let lines = printed.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more"));
    let mut sentence = String::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let text = line.trim();
        let (joint, text) = match text.strip_prefix("tip: ") {
            Some(tip) => ("; ", tip),
            None if sentence.is_empty() => ("", text.strip_prefix("error: ").unwrap_or(text)),
            // Items of a list, each on a line.
            None if sentence.ends_with(':') || text.starts_with('[') => (" ", text),
            None => (", ", text),
        };
        sentence += joint;
        sentence += text;
    }
    sentence
}

/// The command that explains the one at hand.
fn help(command: &Command, line: &[OsString]) -> String {
    let (mut words, mut command) = (command.get_name().to_owned(), command);
    for word in line.iter().skip(1) {
        if let Some(below) = command.find_subcommand(word) {
            words = format!("{words} {}", below.get_name());
            command = below;
        }
    }
    words + " --help"
}
