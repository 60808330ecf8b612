//! Repeated runs by turns, and what they amount to.

use std::fs;
use std::io::ErrorKind;

use anyhow::{Context, Result, bail};

use crate::root;
use crate::run::{Run, measured};

/// The core to which a contender of one thread is pinned.
const CORE: &str = "0";

/// One who takes part: a command over `rows` rows.
#[derive(Clone, Debug)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    pub(crate) words: Vec<String>,
    /// What one pass over the data must report; who works in memory makes as many passes as the clock needs.
    pub(crate) rows: u64,
    pub(crate) timing: Timing,
    /// Whether the race goes on without it when it fails, and says so.
    pub(crate) is_peer: bool,
    /// What it writes, removed before each run: a path from the root, or none.
    pub(crate) writes: Option<String>,
}

impl Contender {
    /// The same, on one core.
    pub(crate) fn pinned(mut self) -> Self {
        self.words.splice(0..0, ["taskset", "--cpu-list", CORE].map(str::to_owned));
        self
    }
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
    pub(crate) is_peer: bool,
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

/// How a race ended.
#[derive(Debug, Default)]
pub(crate) struct Race {
    pub(crate) entries: Vec<Entry>,
    pub(crate) absent: Vec<Absent>,
}

/// A peer that could not be measured, and why.
#[derive(Debug)]
pub(crate) struct Absent {
    pub(crate) name: &'static str,
    pub(crate) reason: String,
}

impl Race {
    pub(crate) fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    pub(crate) fn entry_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.name == name)
    }
}

/// Repeated measurements of one quantity, in the order taken; never empty.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    samples: Vec<f64>,
}

impl Series {
    /// # Panics
    /// If there is no sample: whoever measures, measures at least once.
    pub(crate) fn new(samples: Vec<f64>) -> Self {
        assert!(!samples.is_empty(), "a series has samples");
        Self { samples }
    }

    /// How many times the other's, turn by turn: what slowed one turn down slowed both.
    pub(crate) fn ratio(&self, other: &Self) -> Self {
        Self::new(self.samples.iter().zip(&other.samples).map(|(ours, theirs)| ours / theirs).collect())
    }

    pub(crate) fn median(&self) -> f64 {
        let ascending = self.ascending();
        let middle = ascending.len() / 2;
        if ascending.len() % 2 == 1 {
            return ascending[middle];
        }
        f64::midpoint(ascending[middle - 1], ascending[middle])
    }

    /// The smallest and the largest.
    pub(crate) fn range(&self) -> (f64, f64) {
        let ascending = self.ascending();
        (ascending[0], ascending[ascending.len() - 1])
    }

    fn ascending(&self) -> Vec<f64> {
        let mut samples = self.samples.clone();
        samples.sort_by(f64::total_cmp);
        samples
    }
}

/// Runs each contender `repeats` times, by turns, so that what slows the machine down for a while slows all of them.
///
/// # Errors
/// If one of ours fails or reports the wrong rows, with its name. A peer that does is left out, and listed as absent.
pub(crate) fn race(repeats: usize, contenders: &[Contender]) -> Result<Race> {
    let mut runs = vec![Vec::new(); contenders.len()];
    let mut reasons = vec![None; contenders.len()];
    for turn in 1..=repeats {
        for ((contender, runs), reason) in contenders.iter().zip(&mut runs).zip(&mut reasons) {
            if reason.is_some() {
                continue;
            }
            match run_once(contender).with_context(|| contender.name.to_owned()) {
                Ok(run) => {
                    println!("   {turn}/{repeats} {}: {:.2} s", contender.name, run.wall_s);
                    runs.push(run);
                }
                Err(error) if contender.is_peer => {
                    println!("   {turn}/{repeats} absent: {error:#}");
                    *reason = Some(format!("{:#}", error.root_cause()));
                }
                Err(error) => return Err(error),
            }
        }
    }
    let mut race = Race::default();
    for ((contender, runs), reason) in contenders.iter().zip(&runs).zip(reasons) {
        match reason {
            Some(reason) => race.absent.push(Absent { name: contender.name, reason }),
            None => race.entries.push(entry(contender, runs)?),
        }
    }
    Ok(race)
}

fn run_once(contender: &Contender) -> Result<Run> {
    if let Some(path) = &contender.writes {
        remove(path)?;
    }
    let run = measured(&mut command(&contender.words))?;
    // Whoever does nothing, or finds the work done, is fast.
    let (done, rows) = (run.number("rows")?, contender.rows as f64);
    let whole = match contender.timing {
        Timing::Process => done == rows,
        Timing::Reported => done >= rows && done % rows == 0.0,
    };
    if !whole {
        bail!("it did {done} rows instead of {rows}");
    }
    if contender.timing == Timing::Reported {
        run.number("cpu_seconds")?;
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

fn entry(contender: &Contender, runs: &[Run]) -> Result<Entry> {
    let speeds = runs.iter().map(|run| {
        let cpu_s = match contender.timing {
            Timing::Process => run.cpu_s,
            Timing::Reported => run.number("cpu_seconds")?,
        };
        // A process too short for the clock of CPU time counts as one tick.
        Ok(run.number("rows")? / cpu_s.max(0.001))
    });
    let last = runs.last().context("no run")?.clone();
    Ok(Entry {
        name: contender.name,
        is_peer: contender.is_peer,
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

    fn contender(name: &'static str, words: &[&str], timing: Timing, is_peer: bool) -> Contender {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        Contender { name, words, rows: 10, timing, is_peer, writes: None }
    }

    #[test]
    fn a_series_is_told_by_its_median_and_range() {
        let rows: &[(&[f64], f64, (f64, f64))] = &[
            (&[4.0], 4.0, (4.0, 4.0)),
            (&[3.0, 1.0], 2.0, (1.0, 3.0)),
            (&[9.0, 2.0, 4.0], 4.0, (2.0, 9.0)),
            (&[1.0, 2.0, 4.0, 3.0], 2.5, (1.0, 4.0)),
        ];
        for (samples, median, range) in rows {
            let series = Series::new(samples.to_vec());
            assert_eq!((series.median(), series.range()), (*median, *range), "{samples:?}");
        }
    }

    #[test]
    fn a_ratio_compares_turn_by_turn() {
        let ratio = Series::new(vec![8.0, 2.0, 6.0]).ratio(&Series::new(vec![4.0, 1.0, 2.0]));
        assert_eq!((ratio.median(), ratio.range()), (2.0, (2.0, 3.0)));
    }

    #[test]
    fn the_process_or_its_report_is_the_clock() {
        let runs = [
            run(2.0, r#"{"rows": 1000, "cpu_seconds": 0.5}"#),
            run(4.0, r#"{"rows": 1000, "cpu_seconds": 0.25}"#),
            run(5.0, r#"{"rows": 1000, "cpu_seconds": 1}"#),
        ];
        let words = ["ours", "train"];
        let whole = entry(&contender("ours", &words, Timing::Process, false), &runs).expect("it is measured");
        assert_eq!(whole.speed.median(), 250.0);
        assert_eq!((whole.wall_s.median(), whole.memory_peak_bytes), (8.0, 500));
        let part = entry(&contender("ours", &words, Timing::Reported, false).pinned(), &runs).expect("it is reported");
        assert_eq!(part.speed.median(), 2_000.0);
        assert_eq!(part.command, "taskset --cpu-list 0 ours train");
    }

    #[test]
    fn contenders_run_by_turns_and_one_that_fails_or_does_nothing_is_named() {
        let race = |script: &str, timing, is_peer| {
            let done = ["sh", "-c", "echo '{\"rows\": 10}'"];
            let lame = contender("lame", &["sh", "-c", script], timing, is_peer);
            race(2, &[contender("able", &done, Timing::Process, false), lame])
        };
        let rows = [
            ("exit 3", Timing::Process, "`sh -c exit 3` ended with exit status: 3: "),
            ("exit 0", Timing::Process, "no number `rows` in the report `null`"),
            ("echo '{\"rows\": 20}'", Timing::Process, "it did 20 rows instead of 10"),
            ("echo '{\"rows\": 0}'", Timing::Reported, "it did 0 rows instead of 10"),
            ("echo '{\"rows\": 25}'", Timing::Reported, "it did 25 rows instead of 10"),
            ("echo '{\"rows\": 20}'", Timing::Reported, "no number `cpu_seconds` in the report `{\"rows\":20}`"),
        ];
        for (script, timing, expected) in rows {
            let error = race(script, timing, false).expect_err("one of ours fails");
            assert_eq!(format!("{error:#}"), format!("lame: {expected}"));
            let others = race(script, timing, true).expect("the others run on");
            assert!(others.entry("able").is_some() && others.entry("lame").is_none());
            assert_eq!((others.absent[0].name, others.absent[0].reason.as_str()), ("lame", expected));
        }
        let both = race("echo '{\"rows\": 20, \"cpu_seconds\": 2}'", Timing::Reported, true).expect("both run");
        assert_eq!(both.entries[1].speed.median(), 10.0);
    }
}
