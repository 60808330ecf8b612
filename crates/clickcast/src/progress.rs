//! Progress on stderr: a bar on a terminal, a line now and then otherwise.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// How often a line is written where there is no terminal.
const LINE_INTERVAL: Duration = Duration::from_secs(10);

/// Counts rows of one task, or whatever else it is made of.
pub(crate) struct Progress {
    task: &'static str,
    unit: &'static str,
    rows_total: Option<u64>,
    start: Instant,
    form: Form,
}

enum Form {
    Bar(ProgressBar),
    Lines(Mutex<(u64, Instant)>),
    Quiet,
}

impl Progress {
    /// Starts counting rows; `rows_total` where it is known gives an ETA.
    pub(crate) fn new(task: &'static str, rows_total: Option<u64>, quiet: bool) -> Self {
        Self::of(task, "rows", rows_total, quiet)
    }

    /// Starts counting rows of another name, such as `pairs`.
    pub(crate) fn of(task: &'static str, unit: &'static str, rows_total: Option<u64>, quiet: bool) -> Self {
        let start = Instant::now();
        let form = if quiet {
            Form::Quiet
        } else if std::io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(rows_total, ProgressDrawTarget::stderr_with_hz(8));
            let template = match rows_total {
                Some(_) => {
                    format!("{{msg:12}} {{wide_bar}} {{human_pos}}/{{human_len}} {unit}, {{per_sec}}, ETA {{eta}}")
                }
                None => format!("{{msg:12}} {{spinner}} {{human_pos}} {unit}, {{per_sec}}"),
            };
            if let Ok(style) = ProgressStyle::with_template(&template) {
                bar.set_style(style);
            }
            bar.set_message(task);
            Form::Bar(bar)
        } else {
            Form::Lines(Mutex::new((0, start)))
        };
        Self { task, unit, rows_total, start, form }
    }

    /// So many more rows are done.
    pub(crate) fn add(&self, rows: u64) {
        match &self.form {
            Form::Bar(bar) => bar.inc(rows),
            Form::Lines(state) => {
                let Ok(mut state) = state.lock() else { return };
                state.0 += rows;
                if state.1.elapsed() >= LINE_INTERVAL {
                    state.1 = Instant::now();
                    self.line(state.0);
                }
            }
            Form::Quiet => {}
        }
    }

    fn line(&self, rows: u64) {
        let rate = rows as f64 / self.start.elapsed().as_secs_f64();
        let eta = self.rows_total.filter(|&total| total > rows && rate > 0.0);
        let eta = eta.map(|total| format!(", ETA {:.0} s", (total - rows) as f64 / rate)).unwrap_or_default();
        let unit = self.unit;
        // Nobody may be listening any more; that is no reason to stop working.
        let _ = writeln!(std::io::stderr(), "{}: {rows} {unit}, {rate:.0} {unit}/s{eta}", self.task);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Form::Bar(bar) = &self.form {
            bar.finish_and_clear();
        }
    }
}
