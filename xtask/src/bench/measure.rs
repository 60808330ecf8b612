//! Repeated runs by turns, and what they amount to.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result, bail};

use crate::root;
use crate::run::{Run, measured};

/// Every contender runs this often. By turns, so that what slows the machine down for a while slows all of them.
const REPEATS: usize = 3;

/// One who takes part: a command over `rows` rows.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) words: Vec<String>,
    pub(crate) timing: Timing,
    /// What it writes, removed before each run: a path from the root, or none.
    pub(crate) writes: Option<String>,
}

/// Which CPU time counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Timing {
    /// The whole process, from start to end.
    Process,
    /// What the process reports as `cpu_seconds`: a peer's work without its interpreter's start.
    Reported,
}

/// A contender's runs.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: &'static str,
    /// The command as typed.
    pub(crate) command: String,
    /// Rows per CPU second.
    pub(crate) speed: Series,
    pub(crate) wall_s: Series,
    pub(crate) memory_peak_bytes: u64,
    /// Logloss and AUC on the test rows, once measured.
    pub(crate) quality: Option<Quality>,
    /// The last run, for what it reported.
    pub(crate) last: Run,
}

/// How good predictions are.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Quality {
    pub(crate) logloss: f64,
    pub(crate) auc: f64,
}

impl Quality {
    /// From the report of `clickcast evaluate --json` or of a peer.
    ///
    /// # Errors
    /// If it lacks either number.
    pub(crate) fn of(run: &Run) -> Result<Self> {
        Ok(Self { logloss: run.number("logloss")?, auc: run.number("auc")? })
    }
}

/// Repeated measurements of one quantity; never empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    ascending: Vec<f64>,
}

impl Series {
    /// # Panics
    /// If there is no sample: whoever measures, measures at least once.
    pub(crate) fn new(mut samples: Vec<f64>) -> Self {
        assert!(!samples.is_empty(), "a series has samples");
        samples.sort_by(f64::total_cmp);
        Self { ascending: samples }
    }

    pub(crate) fn median(&self) -> f64 {
        let middle = self.ascending.len() / 2;
        if self.ascending.len() % 2 == 1 {
            return self.ascending[middle];
        }
        f64::midpoint(self.ascending[middle - 1], self.ascending[middle])
    }

    /// The distance from the smallest to the largest, relative to the median.
    pub(crate) fn spread(&self) -> f64 {
        (self.ascending[self.ascending.len() - 1] - self.ascending[0]) / self.median()
    }
}

/// Runs each contender [`REPEATS`] times over `rows` rows, by turns.
///
/// # Errors
/// If one of them fails or does not report that many rows, with its name.
pub(crate) fn race(rows: u64, contenders: &[Contender]) -> Result<Vec<Entry>> {
    let mut runs = vec![Vec::new(); contenders.len()];
    for turn in 1..=REPEATS {
        for (contender, runs) in contenders.iter().zip(&mut runs) {
            let run = run_once(rows, contender).with_context(|| contender.name.to_owned())?;
            println!("   {turn}/{REPEATS} {}: {:.2} s", contender.name, run.wall_s);
            runs.push(run);
        }
    }
    contenders.iter().zip(runs).map(|(contender, runs)| entry(rows, contender, &runs)).collect()
}

fn run_once(rows: u64, contender: &Contender) -> Result<Run> {
    if let Some(path) = &contender.writes {
        remove(path)?;
    }
    let run = measured(&mut command(&contender.words))?;
    // Whoever does nothing, or finds the work done, is fast.
    let done = run.number("rows")?;
    if done != rows as f64 {
        bail!("it did {done} rows instead of {rows}");
    }
    Ok(run)
}

/// A command of these words, from the workspace's root.
pub(crate) fn command(words: &[String]) -> std::process::Command {
    let mut command = std::process::Command::new(&words[0]);
    command.args(&words[1..]).current_dir(root());
    command
}

/// Removes a file or folder, if it is there.
///
/// # Errors
/// If it is there and stays.
pub(crate) fn remove(path: &str) -> Result<()> {
    let whole = root().join(path);
    let removed = if whole.is_dir() { fs::remove_dir_all(&whole) } else { fs::remove_file(&whole) };
    match removed {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove `{path}`"))
        }
        _ => Ok(()),
    }
}

fn entry(rows: u64, contender: &Contender, runs: &[Run]) -> Result<Entry> {
    let speeds = runs.iter().map(|run| {
        let cpu_s = match contender.timing {
            Timing::Process => run.cpu_s,
            Timing::Reported => run.number("cpu_seconds")?,
        };
        // A process too short for the clock of CPU time counts as one tick.
        Ok(rows as f64 / cpu_s.max(0.001))
    });
    let last = runs.last().context("no run")?.clone();
    Ok(Entry {
        name: contender.name,
        command: contender.words.join(" "),
        speed: Series::new(speeds.collect::<Result<_>>()?),
        wall_s: Series::new(runs.iter().map(|run| run.wall_s).collect()),
        memory_peak_bytes: runs.iter().map(|run| run.memory_peak_bytes).max().unwrap_or_default(),
        quality: None,
        last,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(cpu_s: f64, report: &str) -> Run {
        let report = serde_json::from_str(report).expect("JSON");
        Run { wall_s: cpu_s * 2.0, cpu_s, memory_peak_bytes: (cpu_s * 100.0) as u64, report }
    }

    fn contender(timing: Timing) -> Contender {
        Contender { name: "ours", words: vec!["ours".to_owned(), "train".to_owned()], timing, writes: None }
    }

    #[test]
    fn a_series_is_told_by_its_median_and_spread() {
        let rows: &[(&[f64], f64, f64)] = &[
            (&[4.0], 4.0, 0.0),
            (&[3.0, 1.0], 2.0, 1.0),
            (&[9.0, 2.0, 4.0], 4.0, 1.75),
            (&[1.0, 2.0, 3.0, 4.0], 2.5, 1.2),
        ];
        for (samples, median, spread) in rows {
            let series = Series::new(samples.to_vec());
            assert_eq!((series.median(), series.spread()), (*median, *spread), "{samples:?}");
        }
    }

    #[test]
    fn the_process_or_its_report_is_the_clock() {
        let runs = [
            run(2.0, r#"{"cpu_seconds": 0.5}"#),
            run(4.0, r#"{"cpu_seconds": 0.25}"#),
            run(5.0, r#"{"cpu_seconds": 1}"#),
        ];
        let whole = entry(1_000, &contender(Timing::Process), &runs).expect("it is measured");
        assert_eq!(whole.speed.median(), 250.0);
        assert_eq!((whole.wall_s.median(), whole.memory_peak_bytes), (8.0, 500));
        let part = entry(1_000, &contender(Timing::Reported), &runs).expect("it is reported");
        assert_eq!(part.speed.median(), 2_000.0);
        assert_eq!(part.command, "ours train");
    }

    #[test]
    fn a_peer_that_reports_no_time_is_refused() {
        let error = entry(1, &contender(Timing::Reported), &[run(1.0, "null")]).expect_err("no `cpu_seconds`");
        assert!(error.to_string().contains("cpu_seconds"), "{error}");
    }

    #[test]
    fn contenders_run_by_turns_and_one_that_fails_or_does_nothing_is_named() {
        let shell = |name, script: &str| Contender {
            name,
            words: ["sh", "-c", script].map(str::to_owned).to_vec(),
            timing: Timing::Process,
            writes: None,
        };
        let done = "echo '{\"rows\": 10}'";
        let entries = race(10, &[shell("a", done), shell("b", done)]).expect("both run");
        assert_eq!(entries.iter().map(|entry| entry.name).collect::<Vec<_>>(), ["a", "b"]);
        let rows = [
            ("exit 3", "lame: `sh -c exit 3` ended with exit status: 3"),
            ("exit 0", "lame: no number `rows` in the report `null`"),
            ("echo '{\"rows\": 0}'", "lame: it did 0 rows instead of 10"),
        ];
        for (script, expected) in rows {
            let error = race(10, &[shell("a", done), shell("lame", script)]).expect_err("one fails");
            assert!(format!("{error:#}").starts_with(expected), "{error:#}");
        }
    }
}
