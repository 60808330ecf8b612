//! Progress on stderr: a bar on a terminal, a line now and then otherwise.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use clickcast_operations::{Observer, Stage, Unit};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use parking_lot::Mutex as Lock;

use crate::console;

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// How far a task is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Rows that are done.
    pub(crate) rows: u64,
    /// Of so many, where it is known.
    pub(crate) rows_total: Option<u64>,
}

/// Shows what an operation is doing: a bar, or lines, for each stage, and its notes.
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

/// Counts rows of one task, or whatever else it is made of.
pub(crate) struct Progress {
    task: &'static str,
    unit: &'static str,
    /// Where the task was at `start`: what was done before tells nothing of its speed.
    first: Reached,
    start: Instant,
    /// And when it was last told in a line.
    reached: Mutex<(Reached, Instant)>,
    form: Form,
}

enum Form {
    Bar(ProgressBar),
    Lines,
    Quiet,
}

impl Progress {
    /// Starts counting rows; `rows_total` where it is known gives an ETA.
    pub(crate) fn new(task: &'static str, rows_total: Option<u64>, quiet: bool) -> Self {
        Self::of(task, "rows", rows_total, quiet)
    }

    /// Starts counting rows of another name, such as `pairs`.
    pub(crate) fn of(task: &'static str, unit: &'static str, rows_total: Option<u64>, quiet: bool) -> Self {
        Self::from(task, unit, Reached { rows: 0, rows_total }, quiet)
    }

    /// Looks at rows that others count, of a task that is under way; says where it is.
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

    /// So many more rows are done.
    pub(crate) fn add(&self, rows: u64) {
        self.update(|reached| reached.rows += rows);
    }

    /// It is there by now.
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
        // Nobody may be listening any more; that is no reason to stop working.
        let _ = writeln!(std::io::stderr(), "{}: {}{of} {}, {pace}", self.task, now.rows, self.unit);
    }
}

/// How fast a task is, by what was done since the first look at it, and when it will be done at that speed.
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
            // What was done before is no speed.
            (reached(900, Some(1_000)), reached(900, Some(1_000)), 5, "0 rows/s"),
            (reached(900, Some(1_000)), reached(910, Some(1_000)), 5, "2 rows/s, ETA 45 s"),
            // More inputs came.
            (reached(900, Some(1_000)), reached(910, Some(2_000)), 5, "2 rows/s, ETA 545 s"),
            (reached(900, Some(1_000)), reached(1_000, Some(1_000)), 5, "20 rows/s"),
            // An output gave way to one of fewer rows, or an input went.
            (reached(900, Some(1_000)), reached(800, Some(700)), 5, "0 rows/s"),
        ] {
            assert_eq!(pace(first, now, Duration::from_secs(seconds), "rows"), expected, "{first:?} {now:?}");
        }
    }
}
