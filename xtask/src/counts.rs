//! How many tests passed, failed and were skipped, read from what the test runners print.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::AddAssign;

use clickcast_testing::skip::SHARED_ABSENT;

/// Tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

/// Who runs tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Runner {
    /// `cargo nextest`: one summary for all.
    Nextest,
    /// `cargo test`: a summary for each binary.
    Libtest,
}

impl Counts {
    /// Sums the summaries in a run's output. What nextest repeats of a failed test has libtest's summary in it, which
    /// must not count a second time; so a runner's own summaries alone are read.
    pub(crate) fn read(runner: Runner, lines: &[String]) -> Self {
        let mut counts = Self::default();
        for line in lines {
            counts += summary(runner, line).unwrap_or_default();
        }
        counts
    }

    /// Moves tests that said they were skipped from the passed ones, where their runner counted them.
    pub(crate) fn with_skips(self, skips: &Skips) -> Self {
        let moved = (skips.tests.len() as u64).min(self.passed);
        Self { passed: self.passed - moved, skipped: self.skipped + moved, ..self }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// The tests that recorded themselves as skipped, with their reasons.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Skips {
    tests: BTreeMap<String, String>,
}

impl Skips {
    /// Reads the log that `skip.rs` writes: `test TAB reason`. A test that skips twice counts once.
    pub(crate) fn read(log: &str) -> Self {
        let tests = log.lines().filter_map(|line| line.split_once('\t'));
        Self { tests: tests.map(|(test, why)| (test.to_owned(), why.to_owned())).collect() }
    }

    /// Takes in the skips of another run.
    pub(crate) fn add(&mut self, other: Self) {
        self.tests.extend(other.tests);
    }

    /// One line for each skipped test.
    pub(crate) fn lines(&self) -> impl Iterator<Item = String> {
        self.tests.iter().map(|(test, why)| format!("{test}: {why}"))
    }

    /// How many were skipped because the folder of real data is absent, which no run has to have.
    pub(crate) fn pardoned(&self) -> u64 {
        self.tests.values().filter(|why| why.starts_with(SHARED_ABSENT)).count() as u64
    }
}

/// The counts of one summary line; `None` for any other line.
fn summary(runner: Runner, line: &str) -> Option<Counts> {
    let outcomes = match runner {
        Runner::Nextest => line.trim_start().strip_prefix("Summary [")?.split_once(" run: ")?.1,
        Runner::Libtest => line.strip_prefix("test result: ")?.split_once(". ")?.1,
    };
    let mut counts = Counts::default();
    for outcome in without_parentheses(outcomes).split([',', ';']) {
        let Some((number, word)) = outcome.trim().split_once(' ') else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        match word.trim() {
            "passed" => counts.passed += number,
            "skipped" | "ignored" => counts.skipped += number,
            "measured" | "filtered out" => {}
            _failed_or_timed_out => counts.failed += number,
        }
    }
    Some(counts)
}

/// `9 passed (1 slow, 2 leaky), 1 failed` without what qualifies a count.
fn without_parentheses(text: &str) -> String {
    let mut depth = 0_u32;
    let keep = |letter: &char| {
        match letter {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => return depth == 0,
        }
        false
    };
    text.chars().filter(keep).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(runner: Runner, output: &str, expected: (u64, u64, u64)) {
        let lines: Vec<String> = output.lines().map(str::to_owned).collect();
        let (passed, failed, skipped) = expected;
        assert_eq!(Counts::read(runner, &lines), Counts { passed, failed, skipped }, "{output}");
    }

    #[test]
    fn every_form_of_nextests_summary_is_read() {
        let check = |output, expected| check(Runner::Nextest, output, expected);
        check("", (0, 0, 0));
        check("     Summary [   0.003s] 5 tests run: 5 passed, 0 skipped", (5, 0, 0));
        check("  Summary [ 12.1s] 10 tests run: 9 passed (1 slow, 1 leaky), 1 failed, 2 skipped", (9, 1, 2));
        check("Summary [ 1.0s] 3 tests run: 0 passed, 1 failed, 1 exec failed, 1 timed out, 0 skipped", (0, 3, 0));
        check("Summary [ 1.0s] 2/8 tests run: 1 passed, 1 failed, 0 skipped", (1, 1, 0));
        check("Summary [ 1.0s] 1 test run: 1 passed, 0 skipped", (1, 0, 0));
    }

    #[test]
    fn a_failed_test_that_nextest_repeats_counts_once() {
        let repeated = "test result: FAILED. 0 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out";
        let output = format!("  {repeated}\n{repeated}\n Summary [ 0.1s] 2 tests run: 1 passed, 1 failed, 0 skipped");
        check(Runner::Nextest, &output, (1, 1, 0));
    }

    #[test]
    fn summaries_of_libtests_binaries_add_up_and_other_lines_are_passed_over() {
        let check = |output, expected| check(Runner::Libtest, output, expected);
        check("test result: ok. 4 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0s", (4, 0, 1));
        check(
            "test a ... ok\ntest result: ok. 2 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\n\
             5 failed attempts\ntest result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out",
            (3, 2, 0),
        );
    }

    #[test]
    fn a_recorded_skip_is_taken_from_the_passed_tests_once() {
        let skips =
            Skips::read("crate::a\tno server\ncrate::a\tno server either\ncrate::b\t../shared is absent: no `x`\n");
        let counts = Counts { passed: 5, failed: 1, skipped: 0 }.with_skips(&skips);
        assert_eq!(counts, Counts { passed: 3, failed: 1, skipped: 2 });
        assert_eq!(skips.pardoned(), 1);
    }

    #[test]
    fn what_a_test_records_is_what_is_read() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let log = folder.path().join("skipped");
        clickcast_testing::skip::append(&log, "crate::story", "no server\non this machine");
        let skips = Skips::read(&std::fs::read_to_string(&log).expect("the log is there"));
        assert_eq!(skips.lines().collect::<Vec<_>>(), ["crate::story: no server on this machine"]);
    }

    #[test]
    fn the_last_line_reads_as_promised() {
        assert_eq!(Counts { passed: 1, failed: 2, skipped: 3 }.to_string(), "1 passed, 2 failed, 3 skipped");
    }
}
