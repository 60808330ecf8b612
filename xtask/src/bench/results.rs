//! The page of results: where and when, then a section for each case.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;

use super::measure::{Entry, Race, command};
use crate::root;

const INTRODUCTION: &str = "\
# Benchmarks

Written by `cargo xtask bench`, in one sitting, contenders by turns, each in a process of its own. Speeds are rows per
CPU second, medians of all turns. From file to file ours count the whole process, the peers theirs without Python's
start, imports and loading of the model; in memory everybody counts the scoring alone. A ratio is the median over the
turns of our speed divided by the peer's in the same turn, with the smallest and the largest; below 1 we lost.

| | |
|---|---|
";

/// The pins that the results tell; the rest are what these need.
const PEERS: [&str; 11] = [
    "catboost",
    "lightgbm",
    "lleaves",
    "llvmlite",
    "numpy",
    "onnxruntime",
    "pyarrow",
    "scikit-learn-intelex",
    "vowpalwabbit",
    "xgboost",
    "ydf",
];

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
    pub(crate) race: Race,
    /// The contender that the ratios compare with.
    pub(crate) baseline: Option<&'static str>,
    /// Figures that were not measured in this sitting.
    pub(crate) recorded: &'static [&'static str],
    pub(crate) comparisons: Vec<Comparison>,
    pub(crate) claims: Vec<Claim>,
    /// The file and the title of a picture of the speeds.
    pub(crate) chart: Option<(&'static str, String)>,
}

/// A line of the summary: one of ours beside one peer.
pub(crate) struct Comparison {
    pub(crate) work: &'static str,
    pub(crate) ours: &'static str,
    pub(crate) peer: &'static str,
    /// How many times the peer's speed was promised, if any.
    pub(crate) ratio_min: Option<f64>,
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
                ("pinning", "`taskset`, one core; peers with one thread in every library".to_owned()),
                ("compiler", printed(&["rustc", "--version"])),
                ("python", printed(&["target/bench/venv/bin/python", "--version"])),
                ("peers", pins.lines().filter(|pin| is_peer(pin)).collect::<Vec<_>>().join(", ")),
            ],
        }
    }
}

/// The whole page, in Markdown.
pub(crate) fn page(sitting: &Sitting, sections: &[Section]) -> String {
    let mut page = INTRODUCTION.to_owned();
    for (name, fact) in &sitting.facts {
        line(&mut page, format_args!("| {name} | {fact} |"));
    }
    write_summary(&mut page, sections);
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

/// All tables of the cases that were measured.
pub(crate) fn tables(sections: &[Section]) -> impl Iterator<Item = &Table> {
    sections.iter().filter_map(|section| section.outcome.as_ref().ok()).flatten()
}

fn write_summary(page: &mut String, sections: &[Section]) {
    line(page, format_args!("\n## Ratios\n\n| work | ours | peer | ratio | promised | predictions, ours / theirs |"));
    line(page, format_args!("|---|---|---|---|---|---|"));
    for table in tables(sections) {
        for comparison in &table.comparisons {
            let Comparison { work, ours, peer, ratio_min } = comparison;
            let Some(ours) = table.race.entry(ours) else { continue };
            let speed = quantity(ours.speed.median());
            let Some(theirs) = table.race.entry(peer) else {
                line(page, format_args!("| {work} | {speed} | {peer}: absent | | {} | |", promised(*ratio_min, None)));
                continue;
            };
            let ratio = ours.speed.ratio(&theirs.speed);
            let (low, high) = ratio.range();
            line(
                page,
                format_args!(
                    "| {work} | {speed} | {peer}: {} | **{}** ({} - {}) | {} | {} |",
                    quantity(theirs.speed.median()),
                    quantity(ratio.median()),
                    quantity(low),
                    quantity(high),
                    promised(*ratio_min, Some(ratio.median())),
                    side_by_side(ours, theirs),
                ),
            );
        }
    }
}

fn promised(ratio_min: Option<f64>, ratio: Option<f64>) -> String {
    match (ratio_min, ratio) {
        (Some(min), Some(ratio)) if ratio >= min => format!("{min}: reached"),
        (Some(min), Some(_)) => format!("{min}: **not reached**"),
        (Some(min), None) => format!("{min}: not measured"),
        (None, Some(ratio)) if ratio < 1.0 => "**we lose**".to_owned(),
        (None, _) => String::new(),
    }
}

fn side_by_side(ours: &Entry, theirs: &Entry) -> String {
    match (predictions(ours), predictions(theirs)) {
        (ours, theirs) if ours.is_empty() && theirs.is_empty() => "-".to_owned(),
        (ours, theirs) if theirs.is_empty() => format!("{ours} / -"),
        (ours, theirs) => format!("{ours} / {theirs}"),
    }
}

/// How good an entry's predictions are: by their quality, or by how far they are from those of LightGBM.
fn predictions(entry: &Entry) -> String {
    if let Some(quality) = entry.quality {
        return format!("logloss {:.4}, AUC {:.4}", quality.logloss, quality.auc);
    }
    match entry.last.report["difference_max"].as_f64() {
        Some(0.0) => "bit-equal".to_owned(),
        Some(difference) => format!("off by up to {difference:.0e}"),
        None => String::new(),
    }
}

fn write_table(page: &mut String, table: &Table) {
    line(page, format_args!("\n{}\n", table.about));
    if !table.race.entries.is_empty() {
        write_race(page, table);
    }
    if let Some((file, title)) = &table.chart {
        line(page, format_args!("\n![{title}]({file})"));
    }
    if !table.race.absent.is_empty() {
        line(page, format_args!(""));
    }
    for absent in &table.race.absent {
        line(page, format_args!("- absent: {}: {}", absent.name, absent.reason));
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
    if !table.race.entries.is_empty() {
        line(page, format_args!("\n```sh"));
        table.race.entries.iter().for_each(|entry| line(page, format_args!("{}", entry.command)));
        line(page, format_args!("```"));
    }
}

fn write_race(page: &mut String, table: &Table) {
    line(
        page,
        format_args!("| | rows/s per CPU second | smallest - largest | times | wall s | peak MiB | predictions |"),
    );
    line(page, format_args!("|---|---|---|---|---|---|---|"));
    let baseline = table.baseline.and_then(|name| table.race.entry(name));
    for entry in &table.race.entries {
        let ratio = baseline.map(|base| entry.speed.ratio(&base.speed).median());
        let (low, high) = entry.speed.range();
        line(
            page,
            format_args!(
                "| {} | {} | {} - {} | {} | {:.2} | {} | {} |",
                entry.name,
                quantity(entry.speed.median()),
                quantity(low),
                quantity(high),
                ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}")),
                entry.wall_s.median(),
                entry.memory_peak_bytes >> 20,
                predictions(entry),
            ),
        );
    }
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
    PEERS.iter().any(|peer| pin.split("==").next() == Some(peer))
}

fn printed(words: &[&str]) -> String {
    let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
    let output = command(&words).output().ok().filter(|output| output.status.success());
    output.map_or_else(|| "unknown".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::measure::{Absent, Quality, Series};
    use super::*;
    use crate::run::Run;

    fn entry(name: &'static str, speeds: &[f64], quality: Option<Quality>) -> Entry {
        Entry {
            name,
            is_peer: name != "ours",
            command: format!("{name} --threads 1"),
            speed: Series::new(speeds.to_vec()),
            wall_s: Series::new(vec![2.0]),
            memory_peak_bytes: 300 << 20,
            quality,
            last: Run {
                wall_s: 2.0,
                cpu_s: 2.0,
                memory_peak_bytes: 0,
                report: serde_json::json!({"difference_max": 0.0031}),
            },
        }
    }

    #[test]
    fn the_page_tells_where_what_ratio_and_what_failed() {
        let race = Race {
            entries: vec![
                entry("ours", &[90.0, 100.0, 110.0], Some(Quality { logloss: 0.5, auc: 0.75 })),
                entry("theirs", &[50.0, 40.0, 50.0], None),
            ],
            absent: vec![Absent { name: "lame", reason: "no wheel".to_owned() }],
        };
        let comparison = |peer, ratio_min| Comparison { work: "ten rows", ours: "ours", peer, ratio_min };
        let table = Table {
            about: "Ten rows.".to_owned(),
            race,
            baseline: Some("theirs"),
            recorded: &["another 12 k"],
            comparisons: vec![comparison("theirs", Some(2.0)), comparison("lame", Some(7.0)), comparison("ours", None)],
            claims: vec![
                Claim { text: "twice as fast".to_owned(), holds: true },
                Claim { text: "thrice as fast".to_owned(), holds: false },
            ],
            chart: Some(("ten.svg", "Ten rows".to_owned())),
        };
        let sections = [
            Section { title: "Learning", outcome: Ok(vec![table]) },
            Section { title: "Memory", outcome: Ok(Vec::new()) },
            Section { title: "Synthesis", outcome: Err(anyhow::anyhow!("no space").context("synth")) },
        ];
        let page = page(&Sitting { facts: vec![("date", "2026-11-24".to_owned())] }, &sections);
        let expected = "\
| date | 2026-11-24 |

## Ratios

| work | ours | peer | ratio | promised | predictions, ours / theirs |
|---|---|---|---|---|---|
| ten rows | 100 | theirs: 50.0 | **2.20** (1.80 - 2.50) | 2: reached | logloss 0.5000, AUC 0.7500 / off by up to 3e-3 |
| ten rows | 100 | lame: absent | | 7: not measured | |
| ten rows | 100 | ours: 100 | **1.00** (1.00 - 1.00) |  | logloss 0.5000, AUC 0.7500 / logloss 0.5000, AUC 0.7500 |

## Learning

Ten rows.

| | rows/s per CPU second | smallest - largest | times | wall s | peak MiB | predictions |
|---|---|---|---|---|---|---|
| ours | 100 | 90.0 - 110 | 2.20 | 2.00 | 300 | logloss 0.5000, AUC 0.7500 |
| theirs | 50.0 | 40.0 - 50.0 | 1.00 | 2.00 | 300 | off by up to 3e-3 |

![Ten rows](ten.svg)

- absent: lame: no wheel

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
    fn a_promise_is_kept_broken_or_open_and_a_loss_is_told() {
        let rows = [
            (Some(40.0), Some(40.0), "40: reached"),
            (Some(3.5), Some(3.4), "3.5: **not reached**"),
            (Some(3.5), None, "3.5: not measured"),
            (None, Some(0.9), "**we lose**"),
            (None, Some(1.0), ""),
        ];
        for (ratio_min, ratio, expected) in rows {
            assert_eq!(promised(ratio_min, ratio), expected);
        }
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
