//! Runs a command and measures what it took: wall time, CPU time, peak memory, and what it printed.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use wait4::Wait4;

use crate::steps::typed;

/// What one run took.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Run {
    pub(crate) wall_s: f64,
    /// User and system time of the process and the children it waited for.
    pub(crate) cpu_s: f64,
    pub(crate) memory_peak_bytes: u64,
    /// The JSON object on its standard output, or null.
    pub(crate) report: Value,
}

impl Run {
    /// A number of the report.
    ///
    /// # Errors
    /// If the report has no number under that key.
    pub(crate) fn number(&self, key: &str) -> Result<f64> {
        self.report[key].as_f64().with_context(|| format!("no number `{key}` in the report `{}`", self.report))
    }
}

/// Runs a command that reports in JSON on its standard output, or prints nothing there.
///
/// # Errors
/// If it cannot start, does not succeed, or prints anything else; the message ends with its last lines on stderr.
pub(crate) fn measured(command: &mut Command) -> Result<Run> {
    let shown = typed(command);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let start = Instant::now();
    let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
    let mut complaints = child.stderr.take().context("no pipe for stderr")?;
    let listener = std::thread::spawn(move || {
        let mut text = Vec::new();
        complaints.read_to_end(&mut text).map(|_bytes| String::from_utf8_lossy(&text).into_owned())
    });
    let mut printed = String::new();
    child.stdout.take().context("no pipe for stdout")?.read_to_string(&mut printed)?;
    let used = child.wait4()?;
    let wall_s = start.elapsed().as_secs_f64();
    let complaints = listener.join().ok().context("the reader of stderr ended early")??;
    if !used.status.success() {
        // Results quote this, and no clone's path belongs there.
        let complaints = complaints.replace(&*crate::root().to_string_lossy(), ".");
        bail!("`{shown}` ended with {}: {}", used.status, last_lines(&complaints, 5));
    }
    let report = match printed.trim() {
        "" => Value::Null,
        text => serde_json::from_str(text).with_context(|| format!("`{shown}` did not print one JSON object"))?,
    };
    let cpu_s = (used.rusage.utime + used.rusage.stime).as_secs_f64();
    Ok(Run { wall_s, cpu_s, memory_peak_bytes: used.rusage.maxrss, report })
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim().lines().collect();
    lines[lines.len().saturating_sub(count)..].join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn a_run_is_measured_and_its_report_read() {
        let run = measured(&mut shell("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo '{\"rows\": 7}'"))
            .expect("sh runs");
        assert_eq!(run.number("rows").expect("it is there"), 7.0);
        assert!(run.cpu_s > 0.0 && run.wall_s > 0.0, "{run:?}");
        assert!((100_000..1_000_000_000).contains(&run.memory_peak_bytes), "{run:?}");
    }

    #[test]
    fn a_run_that_prints_nothing_has_no_report() {
        let run = measured(&mut shell("exit 0")).expect("sh runs");
        assert_eq!(run.report, Value::Null);
        let error = run.number("auc").expect_err("there is none");
        assert_eq!(error.to_string(), "no number `auc` in the report `null`");
    }

    #[test]
    fn a_failed_run_says_what_it_complained_of() {
        let error = measured(&mut shell("echo no such column >&2; exit 2")).expect_err("it fails");
        assert!(error.to_string().ends_with("ended with exit status: 2: no such column"), "{error}");
        let error = measured(&mut shell("echo done")).expect_err("it is no JSON");
        assert!(error.to_string().ends_with("did not print one JSON object"), "{error}");
    }

    #[test]
    fn much_output_on_both_streams_does_not_block() {
        let run = measured(&mut shell("seq 50000 >&2; echo \"[$(seq -s , 50000)]\"; seq 50000 >&2")).expect("sh runs");
        assert_eq!(run.report.as_array().map(Vec::len), Some(50_000));
    }

    #[test]
    fn only_the_last_complaints_are_kept() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b | c");
        assert_eq!(last_lines("", 2), "");
    }
}
