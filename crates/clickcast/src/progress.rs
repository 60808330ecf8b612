//! Progress on stderr: a bar on a terminal, otherwise a line every ten seconds.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clickcast_operations::{Observer, Stage, Unit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex as Lock;

use crate::console;

/// How often a line is written if stderr is not a terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// The progress of a task.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Number of rows done.
    pub(crate) rows: u64,
    /// Number of rows in all, if known.
    pub(crate) rows_total: Option<u64>,
}

/// Shows the progress of an operation (a bar or lines for each stage) and its notes.
pub(crate) struct Console {
    stage: Lock<Option<Progress>>,
    quiet: bool,
}

impl Console {
    pub(crate) fn new(quiet: bool) -> Self {
        Self { stage: Lock::new(None), quiet }
    }
}

impl Observer for Console {
    fn begin(&self, stage: &Stage) {
        let unit = match stage.unit {
            Unit::Rows => "rows",
            Unit::Pairs => "pairs",
        };
        *self.stage.lock() = Some(Progress::of(stage.name, unit, stage.total, self.quiet));
    }

    fn advance(&self, count: u64) {
        if let Some(progress) = &*self.stage.lock() {
            progress.add(count);
        }
    }

    fn end(&self) {
        *self.stage.lock() = None;
    }

    fn note(&self, sentence: &str) {
        console::note(sentence, self.quiet);
    }
}

/// Counts a task's rows, or other units.
pub(crate) struct Progress {
    task: &'static str,
    unit: &'static str,
    /// Progress at `start`; work done before doesn't count for the speed.
    first: Reached,
    start: Instant,
    /// The progress now, and when the last line was written.
    reached: Mutex<(Reached, Instant)>,
    form: Form,
}

enum Form {
    Bar(ProgressBar),
    Lines,
    Quiet,
}

impl Progress {
    /// Starts counting another unit, such as `pairs`.
    pub(crate) fn of(task: &'static str, unit: &'static str, rows_total: Option<u64>, quiet: bool) -> Self {
        Self::from(task, unit, Reached { rows: 0, rows_total }, quiet)
    }

    /// Joins a task in progress whose rows others count, and shows its progress at once.
    pub(crate) fn joining(task: &'static str, first: Reached, quiet: bool) -> Self {
        let progress = Self::from(task, "rows", first, quiet);
        match progress.form {
            Form::Lines => progress.say(first),
            Form::Bar(_) | Form::Quiet => progress.show(first),
        }
        progress
    }

    fn from(task: &'static str, unit: &'static str, first: Reached, quiet: bool) -> Self {
        let form = if quiet {
            Form::Quiet
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(first.rows_total, ProgressDrawTarget::stderr_with_hz(8));
            let template = match first.rows_total {
                Some(_) => format!("{{msg:12}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{prefix}}"),
                None => format!("{{msg:12}} {{spinner}} {{human_pos}} {unit}, {{prefix}}"),
            };
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.set_message(task);
            Form::Bar(bar)
        } else {
            Form::Lines
        };
        let start = Instant::now();
        Self { task, unit, first, start, reached: Mutex::new((first, start)), form }
    }

    /// Adds rows that are done.
    pub(crate) fn add(&self, rows: u64) {
        self.update(|reached| reached.rows += rows);
    }

    /// Sets the progress that others have counted.
    pub(crate) fn see(&self, now: Reached) {
        self.update(|reached| *reached = now);
    }

    fn update(&self, change: impl FnOnce(&mut Reached)) {
        let Ok(mut state) = self.reached.lock() else { return };
        change(&mut state.0);
        self.show(state.0);
        if matches!(self.form, Form::Lines) && state.1.elapsed() >= LINE_INTERVAL {
            state.1 = Instant::now();
            self.say(state.0);
        }
    }

    fn show(&self, now: Reached) {
        let Form::Bar(bar) = &self.form else { return };
        now.rows_total.into_iter().for_each(|total| bar.set_length(total));
        bar.set_prefix(pace(self.first, now, self.start.elapsed(), self.unit));
        bar.set_position(now.rows);
    }

    fn say(&self, now: Reached) {
        let of = now.rows_total.map(|total| format!(" of {total}")).unwrap_or_default();
        let pace = pace(self.first, now, self.start.elapsed(), self.unit);
        // A closed stderr is no reason to stop.
        let _ = writeln!(std::io::stderr(), "{}: {}{of} {}, {pace}", self.task, now.rows, self.unit);
    }
}

/// Formats a task's speed since `first`, and its ETA at that speed.
fn pace(first: Reached, now: Reached, since_first: Duration, unit: &str) -> String {
    let rate = now.rows.saturating_sub(first.rows) as f64 / since_first.as_secs_f64().max(1e-9);
    let left = now.rows_total.map(|total| total.saturating_sub(now.rows)).filter(|&left| left > 0 && rate > 0.0);
    let eta = left.map(|left| format!(", ETA {:.0} s", left as f64 / rate)).unwrap_or_default();
    format!("{rate:.0} {unit}/s{eta}")
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_is_that_of_what_was_done_since_the_first_look() {
        let reached = |rows, rows_total| Reached { rows, rows_total };
        for (first, now, seconds, expected) in [
            (reached(0, None), reached(0, None), 0, "0 rows/s"),
            (reached(0, Some(100)), reached(20, Some(100)), 2, "10 rows/s, ETA 8 s"),
            (reached(0, None), reached(20, None), 2, "10 rows/s"),
            // Rows done before don't count.
            (reached(900, Some(1_000)), reached(900, Some(1_000)), 5, "0 rows/s"),
            (reached(900, Some(1_000)), reached(910, Some(1_000)), 5, "2 rows/s, ETA 45 s"),
            // More inputs came.
            (reached(900, Some(1_000)), reached(910, Some(2_000)), 5, "2 rows/s, ETA 545 s"),
            (reached(900, Some(1_000)), reached(1_000, Some(1_000)), 5, "20 rows/s"),
            // An output was replaced by one with fewer rows, or an input was deleted.
            (reached(900, Some(1_000)), reached(800, Some(700)), 5, "0 rows/s"),
        ] {
            assert_eq!(pace(first, now, Duration::from_secs(seconds), "rows"), expected, "{first:?} {now:?}");
        }
    }
}
