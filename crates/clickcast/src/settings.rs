//! Where settings come from: flags, then `CLICKCAST_*` variables, then `clickcast.toml`, then defaults.
//!
//! Decisions are not settings. Each concerns one model or run, so it is taken from the command line only.

use std::path::Path;

use clap::Command;

use crate::failure::Failure;

/// The settings file, in the current folder.
const FILE: &str = "clickcast.toml";

/// The long names of flags that make a decision, such as to promote a model that the gate held.
const DECISIONS: [&str; 4] = ["expect", "fence", "force", "reason"];

/// Gives every flag, except those of decisions, its environment variable and its default from the settings file.
///
/// The file's top level sets any command's flags by their long names; a table sets one command's.
pub(crate) fn apply(command: Command) -> Result<Command, Failure> {
    let command = with_environment(command);
    if !Path::new(FILE).exists() {
        return Ok(command);
    }
    let text =
        std::fs::read_to_string(FILE).map_err(|error| Failure::input(format!("settings file `{FILE}`: {error}")))?;
    let table: toml::Table = toml::from_str(&text)
        .map_err(|error| Failure::input(format!("settings file `{FILE}`: {}", error.to_string().trim_end())))?;
    with_file(command, &table)
}

fn with_environment(command: Command) -> Command {
    let command = command.mut_args(|argument| match argument.get_long() {
        Some(long) if !DECISIONS.contains(&long) => {
            let variable = format!("CLICKCAST_{}", long.replace('-', "_").to_uppercase());
            argument.env(variable).hide_env(true)
        }
        _ => argument,
    });
    command.mut_subcommands(with_environment)
}

fn with_file(mut command: Command, table: &toml::Table) -> Result<Command, Failure> {
    let names: Vec<String> = command.get_subcommands().map(|sub| sub.get_name().to_owned()).collect();
    for (key, value) in table {
        let own = value.as_table().filter(|_| names.contains(key));
        let (targets, values): (&[String], Vec<(&String, &toml::Value)>) = match own {
            Some(own) => (std::slice::from_ref(key), own.iter().collect()),
            None => (&names, vec![(key, value)]),
        };
        for (flag, value) in values {
            if own.is_some() && command.get_arguments().any(|argument| argument.get_long() == Some(flag.as_str())) {
                return Err(Failure::input(format!(
                    "settings file `{FILE}`: `{flag}` applies to every command; put it above the table `[{key}]`"
                )));
            }
            if DECISIONS.contains(&flag.as_str()) {
                return Err(Failure::input(format!(
                    "settings file `{FILE}`: `{flag}` is a decision about one model or run; give it as `--{flag}` on the \
                     command line"
                )));
            }
            let text = match value {
                toml::Value::String(text) => text.clone(),
                toml::Value::Integer(_) | toml::Value::Float(_) | toml::Value::Boolean(_) => value.to_string(),
                _ => {
                    return Err(Failure::input(format!(
                        "settings file `{FILE}`: `{flag}` must be a string, number or boolean"
                    )));
                }
            };
            let mut known = false;
            let mut with_default = |argument: clap::Arg| {
                if argument.get_long() != Some(flag.as_str()) {
                    return argument;
                }
                known = true;
                argument.default_value(text.clone()).required(false)
            };
            // Settings of every command belong to the top level; clap passes them on to the commands.
            command = command.mut_args(&mut with_default);
            for target in targets {
                command = command.mut_subcommand(target, |sub| {
                    let sub = sub.mut_args(&mut with_default);
                    sub.mut_subcommands(|below| below.mut_args(&mut with_default))
                });
            }
            if !known {
                return Err(Failure::input(format!("settings file `{FILE}`: no command has a setting `{flag}`")));
            }
        }
    }
    Ok(command)
}
