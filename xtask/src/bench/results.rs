//! The page of results: where and when, then a section for each case.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;

use super::measure::{Entry, command};
use crate::root;

/// A case's part of the page.
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) outcome: Result<Vec<Table>>,
}

/// Contenders side by side.
#[derive(Default)]
pub(crate) struct Table {
    /// What was measured, on what data.
    pub(crate) about: String,
    pub(crate) entries: Vec<Entry>,
    /// The contender that the ratios compare with.
    pub(crate) baseline: Option<&'static str>,
    /// Figures that were not measured in this sitting.
    pub(crate) recorded: &'static [&'static str],
    pub(crate) claims: Vec<Claim>,
}

/// What we promised, and whether it held.
pub(crate) struct Claim {
    pub(crate) text: String,
    pub(crate) holds: bool,
}

/// Where and when the figures were taken.
pub(crate) struct Sitting {
    facts: Vec<(&'static str, String)>,
}

impl Sitting {
    /// This machine, at this moment. What cannot be found out is said to be unknown.
    pub(crate) fn now(quick: bool) -> Self {
        let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let pins = fs::read_to_string(root().join("bench/requirements.txt")).unwrap_or_default();
        let cores =
            std::thread::available_parallelism().map_or_else(|_| "unknown".to_owned(), |cores| cores.to_string());
        Self {
            facts: vec![
                ("date", jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()),
                ("mode", if quick { "quick: small data, not the record" } else { "full" }.to_owned()),
                ("processor", format!("{}, {cores} cores", value(&cpu, "model name"))),
                ("vector extensions", vector_extensions(&value(&cpu, "flags"))),
                ("memory", value(&memory, "MemTotal")),
                ("system", printed(&["uname", "-sr"])),
                ("clickcast", printed(&["git", "describe", "--always", "--dirty"])),
                ("compiler", printed(&["rustc", "--version"])),
                ("python", printed(&["python3", "--version"])),
                ("peers", pins.lines().filter(|pin| is_peer(pin)).collect::<Vec<_>>().join(", ")),
            ],
        }
    }
}

/// The whole page, in Markdown.
pub(crate) fn page(sitting: &Sitting, sections: &[Section]) -> String {
    let mut page = "# Benchmarks\n\nWritten by `cargo xtask bench`, in one sitting, contenders by turns. Speeds are rows per CPU \
                    second:\nour own count the whole process, the peers' theirs without Python's start. The ratio is to the \
                    contender marked 1.\n\n| | |\n|---|---|\n"
        .to_owned();
    for (name, fact) in &sitting.facts {
        line(&mut page, format_args!("| {name} | {fact} |"));
    }
    for section in sections {
        line(&mut page, format_args!("\n## {}", section.title));
        match &section.outcome {
            Ok(tables) if tables.is_empty() => line(&mut page, format_args!("\nLeft out in this mode.")),
            Ok(tables) => tables.iter().for_each(|table| write_table(&mut page, table)),
            Err(error) => line(&mut page, format_args!("\nNot measured: {error:#}")),
        }
    }
    page
}

fn write_table(page: &mut String, table: &Table) {
    line(page, format_args!("\n{}\n", table.about));
    line(page, format_args!("| | rows/s per CPU second | spread | ratio | wall s | peak MiB | logloss | AUC |"));
    line(page, format_args!("|---|---|---|---|---|---|---|---|"));
    let baseline = table.entries.iter().find(|entry| Some(entry.name) == table.baseline);
    for entry in &table.entries {
        let ratio = baseline.map(|base| entry.speed.median() / base.speed.median());
        let (logloss, auc) = entry.quality.map_or_else(Default::default, |quality| {
            (format!("{:.4}", quality.logloss), format!("{:.4}", quality.auc))
        });
        line(
            page,
            format_args!(
                "| {} | {} | {:.0} % | {} | {:.2} | {} | {logloss} | {auc} |",
                entry.name,
                quantity(entry.speed.median()),
                entry.speed.spread() * 100.0,
                ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
                entry.wall_s.median(),
                entry.memory_peak_bytes >> 20,
            ),
        );
    }
    if !table.recorded.is_empty() {
        line(page, format_args!("\nRecorded, not in the same run: {}.", table.recorded.join("; ")));
    }
    if !table.claims.is_empty() {
        line(page, format_args!(""));
    }
    for claim in &table.claims {
        let verdict = if claim.holds { "reached" } else { "**not reached**" };
        line(page, format_args!("- {verdict}: {}", claim.text));
    }
    line(page, format_args!("\n```sh"));
    for entry in &table.entries {
        line(page, format_args!("{}", entry.command));
    }
    line(page, format_args!("```"));
}

/// Adds a line; writing to a string cannot fail.
fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    let _always_ok = writeln!(page, "{text}");
}

/// `1.27 M`, `604 k`, `82`: three digits that matter.
pub(crate) fn quantity(number: f64) -> String {
    let (scaled, unit) = match number {
        _ if number >= 999_500.0 => (number / 1e6, " M"),
        _ if number >= 999.5 => (number / 1e3, " k"),
        _ => (number, ""),
    };
    let digits = if scaled < 9.995 {
        2
    } else if scaled < 99.95 {
        1
    } else {
        0
    };
    format!("{scaled:.digits$}{unit}")
}

/// The value of the first `key : value` line.
fn value(text: &str, key: &str) -> String {
    let mut pairs = text.lines().filter_map(|line| line.split_once(':'));
    pairs
        .find(|(name, _)| name.trim() == key)
        .map_or_else(|| "unknown".to_owned(), |(_, value)| value.trim().to_owned())
}

/// The flags that decide which kernel runs.
fn vector_extensions(flags: &str) -> String {
    let telling = |flag: &&str| flag.starts_with("avx") || matches!(*flag, "fma" | "bmi2" | "gfni" | "asimd" | "sve");
    flags.split_whitespace().filter(telling).collect::<Vec<_>>().join(" ")
}

fn is_peer(pin: &str) -> bool {
    ["lightgbm", "numpy", "pyarrow", "scikit-learn", "vowpalwabbit"].iter().any(|peer| pin.starts_with(peer))
}

fn printed(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let output = command(&words).output().ok().filter(|output| output.status.success());
    output.map_or_else(|| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::measure::{Quality, Series};
    use super::*;
    use crate::run::Run;

    fn entry(name: &'static str, speeds: &[f64], quality: Option<Quality>) -> Entry {
        Entry {
            name,
            command: format!("{name} --threads 1"),
            speed: Series::new(speeds.to_vec()),
            wall_s: Series::new(vec![2.0]),
            memory_peak_bytes: 300 << 20,
            quality,
            last: Run { wall_s: 2.0, cpu_s: 2.0, memory_peak_bytes: 0, report: serde_json::Value::Null },
        }
    }

    #[test]
    fn the_page_tells_where_what_ratio_and_what_failed() {
        let table = Table {
            about: "Ten rows.".to_owned(),
            entries: vec![
                entry("ours", &[90.0, 100.0, 110.0], Some(Quality { logloss: 0.5, auc: 0.75 })),
                entry("theirs", &[50.0], None),
            ],
            baseline: Some("theirs"),
            recorded: &["another 12 k"],
            claims: vec![
                Claim { text: "twice as fast".to_owned(), holds: true },
                Claim { text: "thrice as fast".to_owned(), holds: false },
            ],
        };
        let sections = [
            Section { title: "Learning", outcome: Ok(vec![table]) },
            Section { title: "Memory", outcome: Ok(Vec::new()) },
            Section { title: "Synthesis", outcome: Err(anyhow::anyhow!("no space").context("synth")) },
        ];
        let page = page(&Sitting { facts: vec![("date", "2026-11-24".to_owned())] }, &sections);
        let expected = "\
| date | 2026-11-24 |

## Learning

Ten rows.

| | rows/s per CPU second | spread | ratio | wall s | peak MiB | logloss | AUC |
|---|---|---|---|---|---|---|---|
| ours | 100 | 20 % | 2.00 | 2.00 | 300 | 0.5000 | 0.7500 |
| theirs | 50.0 | 0 % | 1.00 | 2.00 | 300 |  |  |

Recorded, not in the same run: another 12 k.

- reached: twice as fast
- **not reached**: thrice as fast

```sh
ours --threads 1
theirs --threads 1
```

## Memory

Left out in this mode.

## Synthesis

Not measured: synth: no space
";
        assert_eq!(&page[page.find("| date").expect("a date")..], expected);
    }

    #[test]
    fn quantities_keep_three_digits() {
        let rows = [
            (1_274_000.0, "1.27 M"),
            (604_321.0, "604 k"),
            (21_040.0, "21.0 k"),
            (999_600.0, "1.00 M"),
            (999.6, "1.00 k"),
            (82.0, "82.0"),
            (0.5, "0.50"),
        ];
        for (number, expected) in rows {
            assert_eq!(quantity(number), expected);
        }
    }

    #[test]
    fn facts_are_read_from_what_the_kernel_says() {
        let cpu = "processor\t: 0\nmodel name\t: A: 7\nflags\t\t: fpu sse2 avx2 fma avx512f bmi2\nmodel name\t: B\n";
        assert_eq!(value(cpu, "model name"), "A: 7");
        assert_eq!(value(cpu, "cache"), "unknown");
        assert_eq!(vector_extensions(&value(cpu, "flags")), "avx2 fma avx512f bmi2");
    }
}
