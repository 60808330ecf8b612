//! Steps: a named command, run and timed, whose failure says how to repeat it alone.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Runs `work` under a name, and prints how long it took.
///
/// # Errors
/// What `work` failed with, under the step's name.
pub(crate) fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("== {name}");
    let start = Instant::now();
    let outcome = work();
    let seconds = start.elapsed().as_secs_f64();
    let verdict = if outcome.is_ok() { "ok" } else { "FAILED" };
    println!("== {name}: {verdict} in {seconds:.1} s");
    outcome.with_context(|| format!("step `{name}`"))
}

/// `cargo` with these arguments, from the workspace's root.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.args(arguments).current_dir(crate::root());
    command
}

/// Runs a command to its end.
///
/// # Errors
/// If it cannot start or does not succeed; the message shows it as one would type it.
pub(crate) fn must_succeed(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", typed(command)))?;
    if !status.success() {
        bail!("`{}` ended with {status}", typed(command));
    }
    Ok(())
}

/// Runs a command to its end, passes on all it prints, and answers whether it succeeded and every line of it.
///
/// # Errors
/// If it cannot start or its output cannot be read.
pub(crate) fn overheard(mut command: Command) -> Result<(bool, Vec<String>)> {
    let (output, sink) = io::pipe()?;
    command.stdout(sink.try_clone()?).stderr(sink);
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", typed(&command)))?;
    drop(command); // Holds the pipe's other end, and with it the reader below.
    let mut lines = Vec::new();
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    while output.read_until(b'\n', &mut bytes)? > 0 {
        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
        println!("{line}");
        lines.push(line);
        bytes.clear();
    }
    Ok((child.wait()?.success(), lines))
}

/// Whether this program answers.
pub(crate) fn is_there(program: &str, arguments: &[&str]) -> bool {
    let status = Command::new(program).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// A command as one would type it.
pub(crate) fn typed(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_step_names_itself_and_its_command() {
        let error = step("doomed", || must_succeed(&mut Command::new("false"))).expect_err("`false` fails");
        assert!(format!("{error:#}").starts_with("step `doomed`: `false` ended with"), "{error:#}");
    }

    #[test]
    fn a_program_that_is_not_there_is_named() {
        let error = must_succeed(&mut Command::new("no-such-program")).expect_err("it cannot start");
        assert!(format!("{error:#}").contains("cannot start `no-such-program`"), "{error:#}");
    }

    #[test]
    fn both_streams_are_overheard_whole() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo out; echo err >&2; printf unended; exit 3"]);
        let (succeeded, mut lines) = overheard(command).expect("sh runs");
        lines.sort();
        assert!(!succeeded);
        assert_eq!(lines, ["err", "out", "unended"]);
    }
}
