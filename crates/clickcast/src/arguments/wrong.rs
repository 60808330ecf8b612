//! Reports what is wrong with a command line in one sentence.

use std::error::Error as _;
use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Command, Error};

use crate::failure::Failure;

/// Parses a command line. `--help` and `--version` print their text and end the process.
pub(crate) fn read(command: Command, line: &[OsString]) -> Result<ArgMatches, Failure> {
    let help = help(&command, line);
    command.try_get_matches_from(line).map_err(|error| match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.exit()
        }
        _ => Failure::input(format!("{}{}; see `{help}`", problem(&error), tips(&error))),
    })
}

/// Says what is wrong, from the error's kind and context.
fn problem(error: &Error) -> String {
    let text = |kind| texts(error, kind).join(", ");
    let (argument, value) = (text(ContextKind::InvalidArg), text(ContextKind::InvalidValue));
    match error.kind() {
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("a value is required for '{argument}' but none was supplied{}", possible_values(error))
        }
        ErrorKind::InvalidValue => format!("invalid value '{value}' for '{argument}'{}", possible_values(error)),
        ErrorKind::ValueValidation => match error.source() {
            Some(reason) => format!("invalid value '{value}' for '{argument}': {reason}"),
            None => format!("invalid value '{value}' for '{argument}'"),
        },
        ErrorKind::UnknownArgument => format!("unexpected argument '{argument}' found"),
        ErrorKind::InvalidSubcommand => {
            format!("unrecognized subcommand '{}'", text(ContextKind::InvalidSubcommand))
        }
        ErrorKind::MissingSubcommand => {
            let (command, known) = (text(ContextKind::InvalidSubcommand), text(ContextKind::ValidSubcommand));
            format!("'{command}' requires a subcommand but one was not provided [subcommands: {known}]")
        }
        ErrorKind::MissingRequiredArgument => {
            format!("the following required arguments were not provided: {argument}")
        }
        ErrorKind::ArgumentConflict => match text(ContextKind::PriorArg) {
            prior if prior.is_empty() || prior == argument => {
                format!("the argument '{argument}' cannot be used multiple times")
            }
            prior => format!("the argument '{argument}' cannot be used with '{prior}'"),
        },
        ErrorKind::NoEquals => format!("equal sign is needed when assigning values to '{argument}'"),
        ErrorKind::TooManyValues => format!("unexpected value '{value}' for '{argument}' found; no more were expected"),
        ErrorKind::TooFewValues => {
            let (least, found) = (text(ContextKind::MinValues), text(ContextKind::ActualNumValues));
            format!("{least} values required by '{argument}'; only {found} were provided")
        }
        ErrorKind::WrongNumberOfValues => {
            let (wanted, found) = (text(ContextKind::ExpectedNumValues), text(ContextKind::ActualNumValues));
            format!("{wanted} values required for '{argument}' but {found} were provided")
        }
        other => other.as_str().unwrap_or("the command line is wrong").to_owned(),
    }
}

fn possible_values(error: &Error) -> String {
    match texts(error, ContextKind::ValidValue) {
        values if values.is_empty() => String::new(),
        values => format!(" [possible values: {}]", values.join(", ")),
    }
}

/// Says what may have been meant.
fn tips(error: &Error) -> String {
    let tips = [
        (ContextKind::SuggestedSubcommand, "subcommand"),
        (ContextKind::SuggestedArg, "argument"),
        (ContextKind::SuggestedValue, "value"),
    ];
    let mut tips: String = tips
        .into_iter()
        .map(|(kind, what)| (what, texts(error, kind)))
        .filter(|(_, similar)| !similar.is_empty())
        .map(|(what, similar)| match similar.as_slice() {
            [one] => format!("; a similar {what} exists: '{one}'"),
            many => format!("; some similar {what}s exist: '{}'", many.join("', '")),
        })
        .collect();
    for tip in texts(error, ContextKind::Suggested) {
        tips += &format!("; {tip}");
    }
    tips
}

/// Returns what the error's context holds of a kind, as texts without styles.
fn texts(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        Some(ContextValue::Number(number)) => vec![number.to_string()],
        Some(ContextValue::Bool(value)) => vec![value.to_string()],
        _ => Vec::new(),
    }
}

/// Returns the command line that shows the help of the command at hand.
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
