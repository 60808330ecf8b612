//! What `runs audit` stops: a day's predictions, spoiled between their scoring and their publication, and honest ones.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result, ensure};
use clickcast_testing::forgery::shift_features;

use super::Markets;
use super::forge::Partition;
use super::workplace::{Judged, Workplace};

/// Markets whose deliveries are judged: none that the gate is judged by, nor that it was tuned on, [`super::TUNED_ON`].
const MARKETS: [Markets; 3] = [
    Markets { seed_first: 501, seeds: 8, rows_per_day: 15_000 },
    Markets { seed_first: 601, seeds: 4, rows_per_day: 60_000 },
    // Outputs of more rows than a sample of each would have.
    Markets { seed_first: 651, seeds: 1, rows_per_day: 240_000 },
];
const MARKETS_QUICK: [Markets; 1] = [Markets { seed_first: 501, seeds: 1, rows_per_day: 15_000 }];

/// Yesterday's model learns the first day, the model the second; by the labels of the third the gate judges it for the fourth,
/// which is delivered, then the fifth.
const DAYS: [&str; 5] = ["day-1", "day-2", "day-3", "day-4", "day-5"];
const DELIVERED: &str = DAYS[3];
const PARTITIONS: usize = 6;
const RUN: &str = "delivery";
/// In the registry, in the order that they were learned.
const YESTERDAY: &str = "ctr@1";
const MODEL: &str = "ctr@2";

/// A delivery and what the audit said of it.
pub(super) struct Delivery {
    pub(super) kind: &'static str,
    pub(super) strength: &'static str,
    pub(super) seed: u64,
    /// What the gate said of the model.
    pub(super) gate: String,
    pub(super) judged: Judged,
}

impl Delivery {
    fn is_honest(&self) -> bool {
        self.kind == HONEST
    }
}

const HONEST: &str = "honest";

/// Something that goes wrong with a delivery.
struct Sabotage {
    kind: &'static str,
    strength: &'static str,
    act: Act,
}

/// A change of a partition's rows, so many of them.
type Change = fn(&mut Vec<String>, usize);
/// How many of a partition's rows.
type Count = fn(usize) -> usize;

#[derive(Clone, Copy)]
enum Act {
    /// Predictions of other rows than those of the input.
    Rows(Change, Count),
    /// So many partitions were scored by yesterday's model.
    OlderModel(usize),
    /// The same, under the name of the model that should have.
    OlderModelRenamed(usize),
    /// In so many partitions, or from a row on in one, each row was scored by the next one's features.
    ShiftedFeatures(usize, Count),
    /// So many partitions have no predictions.
    Missing(usize),
    ScoredTwice,
    InputChanged,
    InputChangedAfterClose,
    OutputChangedAfterClose,
}

const SHARES: [(&str, Count); 4] = [
    ("1 row", |_| 1),
    ("1 % of a partition", |rows| rows / 100),
    ("10 %", |rows| rows / 10),
    ("half", |rows| rows / 2),
];

/// Every kind at every strength.
fn sabotages() -> Vec<Sabotage> {
    let changes: [(&str, Change); 3] = [
        ("truncated", |rows, count| rows.truncate(rows.len() - count)),
        ("rows twice", |rows, count| rows.extend_from_within(..count)),
        // As many predictions as records, so only their ids can tell.
        ("rows in the place of others", |rows, count| {
            let from = rows.len() - count;
            (0..count).for_each(|row| rows[row] = rows[from + row].clone());
        }),
    ];
    let mut all = Vec::new();
    for (kind, change) in changes {
        all.extend(SHARES.map(|(strength, count)| Sabotage { kind, strength, act: Act::Rows(change, count) }));
    }
    let reverse: Change = |rows, count| rows[..count].reverse();
    let two: (&str, Count) = ("2 neighbours", |_| 2);
    let whole: (&str, Count) = ("all of a partition", |rows| rows);
    all.extend([two, SHARES[1], SHARES[2], SHARES[3], whole].map(|(strength, count)| Sabotage {
        kind: "rows in another order",
        strength,
        act: Act::Rows(reverse, count),
    }));
    let others = [
        ("by yesterday's model", "1 of 6 partitions", Act::OlderModel(1)),
        ("by yesterday's model", "all partitions", Act::OlderModel(PARTITIONS)),
        ("by yesterday's model, under today's name", "1 of 6 partitions", Act::OlderModelRenamed(1)),
        ("by yesterday's model, under today's name", "all partitions", Act::OlderModelRenamed(PARTITIONS)),
        ("features shifted by a row", "half of a partition", Act::ShiftedFeatures(1, |rows| rows / 2)),
        ("features shifted by a row", "1 of 6 partitions", Act::ShiftedFeatures(1, |_| 0)),
        ("features shifted by a row", "all partitions", Act::ShiftedFeatures(PARTITIONS, |_| 0)),
        ("partition missing", "1 of 6 partitions", Act::Missing(1)),
        ("partition missing", "3 of 6 partitions", Act::Missing(PARTITIONS / 2)),
        ("partition scored twice", "1 of 6 partitions", Act::ScoredTwice),
        ("input changed after it was scored", "1 byte, before the close", Act::InputChanged),
        ("input changed after it was scored", "1 byte, after the close", Act::InputChangedAfterClose),
        ("predictions changed after the close", "1 byte", Act::OutputChangedAfterClose),
    ];
    all.extend(others.map(|(kind, strength, act)| Sabotage { kind, strength, act }));
    all
}

/// Every delivery of every market, size by size.
///
/// # Errors
/// If a command fails, or a file of predictions is not what it was.
pub(super) fn judge(quick: bool) -> Result<Vec<(Markets, Vec<Delivery>)>> {
    let mut all = Vec::new();
    for &markets in if quick { &MARKETS_QUICK[..] } else { &MARKETS } {
        let mut deliveries = Vec::new();
        for seed in markets.seed_first..markets.seed_first + markets.seeds {
            deliveries.extend(judge_market(seed, markets.rows_per_day).with_context(|| format!("seed {seed}"))?);
        }
        all.push((markets, deliveries));
    }
    Ok(all)
}

fn judge_market(seed: u64, rows_per_day: u64) -> Result<Vec<Delivery>> {
    let market = Market::new(seed, rows_per_day)?;
    let mut deliveries = Vec::new();
    for Sabotage { kind, strength, act } in sabotages() {
        let judged = market.sabotaged(act).with_context(|| format!("{kind}, {strength}"))?;
        deliveries.push(Delivery { kind, strength, seed, gate: market.gate.clone(), judged });
    }
    for (strength, deliver) in HONEST_DELIVERIES {
        let judged = deliver(&market).context(strength)?;
        deliveries.push(Delivery { kind: HONEST, strength, seed, gate: market.gate.clone(), judged });
    }
    Ok(deliveries)
}

type Deliver = fn(&Market) -> Result<Judged>;

const HONEST_DELIVERIES: [(&str, Deliver); 4] = [
    ("in one go", |market| {
        market.stage(MODEL, DELIVERED)?;
        market.closed_and_audited()
    }),
    ("in two goes", Market::in_two_goes),
    ("after the day before by yesterday's model", |market| market.after(YESTERDAY, DAYS[2], DELIVERED)),
    ("after the day before by the same model", |market| market.after(MODEL, DELIVERED, DAYS[4])),
];

/// Some days of a market, each cut into partitions, and two models.
struct Market {
    place: Workplace,
    /// Which partition is spoiled, counted from 0.
    spoiled: usize,
    /// What the gate said of the model.
    gate: String,
}

impl Market {
    fn new(seed: u64, rows_per_day: u64) -> Result<Self> {
        let place = Workplace::new(&format!("deliveries-{seed}"))?;
        let days = DAYS.len();
        let rows = rows_per_day * days as u64;
        place.json(&format!("synth --rows {rows} --days {days} --seed {seed} --out all.csv --schema features.toml"))?;
        cut(&place)?;
        for day in &DAYS[..2] {
            place.json(&format!("train --data {day} --schema features.toml --family lr --out model-{day}"))?;
            place.json(&format!("models register --name ctr --model model-{day} --registry registry"))?;
        }
        let gate = place.judged(&format!(
            "models gate --name ctr --candidate {MODEL} --data {} --today {DELIVERED} --registry registry",
            DAYS[2]
        ))?;
        Ok(Self { place, spoiled: seed as usize % PARTITIONS, gate: gate.verdict })
    }

    fn partition(&self, number: usize) -> Partition<'_> {
        let key = partition_key(number);
        Partition {
            place: &self.place,
            run: RUN,
            input: format!("{DELIVERED}/{key}"),
            output: format!("out/runs/{RUN}/ctr/{key}.parquet"),
            key,
        }
    }

    /// So many partitions, from the spoiled one on.
    fn spoiled(&self, count: usize) -> impl Iterator<Item = Partition<'_>> {
        (0..count).map(|offset| self.partition((self.spoiled + offset) % PARTITIONS))
    }

    /// Scores a day into a new run, where nothing was delivered before.
    fn stage(&self, model: &str, day: &str) -> Result<()> {
        self.place.remove("out")?;
        self.place.json(&format!("predict --model {model} --registry registry --data {day} --out out --run {RUN}"))?;
        Ok(())
    }

    fn close(&self) -> Result<()> {
        self.place.json(&format!("runs close {RUN} --out out"))?;
        Ok(())
    }

    fn audit(&self) -> Result<Judged> {
        self.place.judged(&format!("runs audit {RUN} --out out --registry registry"))
    }

    fn closed_and_audited(&self) -> Result<Judged> {
        self.close()?;
        self.audit()
    }

    fn sabotaged(&self, act: Act) -> Result<Judged> {
        self.stage(MODEL, DELIVERED)?;
        let partition = self.partition(self.spoiled);
        match act {
            Act::Rows(change, count) => partition.forge(MODEL, |_, rows| change(rows, count(rows.len())))?,
            Act::OlderModel(count) => {
                self.spoiled(count).try_for_each(|partition| partition.forge(YESTERDAY, |_, _| {}))?;
            }
            Act::OlderModelRenamed(count) => {
                self.spoiled(count).try_for_each(|partition| partition.forge_renamed(YESTERDAY))?;
            }
            Act::ShiftedFeatures(count, first) => {
                let shift = |header: &str, rows: &mut Vec<String>| {
                    let first = first(rows.len());
                    shift_features(header, rows, first);
                };
                self.spoiled(count).try_for_each(|partition| partition.forge(MODEL, shift))?;
            }
            Act::Missing(count) => {
                self.spoiled(count).try_for_each(|partition| self.place.remove(&partition.output))?;
            }
            Act::ScoredTwice => {
                let bytes = self.place.read(&partition.output)?;
                self.place.write(&partition.output.replace("/part-", "/again-"), bytes)?;
            }
            Act::InputChanged | Act::InputChangedAfterClose | Act::OutputChangedAfterClose => {}
        }
        let input = self.place.read(&partition.input)?;
        if matches!(act, Act::InputChanged) {
            self.change_byte(&partition.input)?;
        }
        self.close()?;
        match act {
            Act::InputChangedAfterClose => self.change_byte(&partition.input)?,
            Act::OutputChangedAfterClose => self.change_byte(&partition.output)?,
            _ => {}
        }
        let judged = self.audit()?;
        // The next delivery is of the true rows again.
        self.place.write(&partition.input, input)?;
        Ok(judged)
    }

    /// Changes a byte in the middle of a file.
    fn change_byte(&self, name: &str) -> Result<()> {
        let mut bytes = self.place.read(name)?;
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.place.write(name, bytes)
    }

    /// A day of which half comes late, so that the second `predict` finds some of it done.
    fn in_two_goes(&self) -> Result<Judged> {
        let late: Vec<Partition<'_>> = self.spoiled(PARTITIONS / 2).collect();
        let aside = |partition: &Partition<'_>| self.place.path(&format!("late-{}", partition.key));
        for partition in &late {
            fs::rename(self.place.path(&partition.input), aside(partition)).context("cannot put an input aside")?;
        }
        self.stage(MODEL, DELIVERED)?;
        for partition in &late {
            fs::rename(aside(partition), self.place.path(&partition.input)).context("cannot put an input back")?;
        }
        let second = format!("predict --model {MODEL} --registry registry --data {DELIVERED} --out out --run {RUN}");
        let second = self.place.json(&second)?;
        ensure!(second["skipped"] == PARTITIONS - late.len(), "the second go did not find the first one's: {second}");
        self.closed_and_audited()
    }

    /// A day after one that was published.
    fn after(&self, model_before: &str, day_before: &str, day: &str) -> Result<Judged> {
        self.place.remove("out")?;
        for command in [
            &format!("predict --model {model_before} --registry registry --data {day_before} --out out --run before"),
            "runs close before --out out",
            "runs audit before --out out",
            "runs publish before --out out",
            &format!("predict --model {MODEL} --registry registry --data {day} --out out --run {RUN}"),
        ] {
            self.place.json(command)?;
        }
        self.closed_and_audited()
    }
}

fn partition_key(number: usize) -> String {
    format!("part-{}.csv", number + 1)
}

/// Cuts the rows into a folder for each day, and each day into partitions.
fn cut(place: &Workplace) -> Result<()> {
    let text = place.read_text("all.csv")?;
    let (header, rows) = text.split_once('\n').context("no rows")?;
    let time = header.split(',').position(|column| column == "ts").context("no column `ts`")?;
    // A time starts with its date.
    let date = |row: &&str| row.split(',').nth(time).and_then(|time| time.get(..10)).map(str::to_owned);
    let rows: Vec<&str> = rows.lines().collect();
    let days: Vec<&[&str]> = rows.chunk_by(|one, other| date(one) == date(other)).collect();
    ensure!(days.len() == DAYS.len(), "{} days where there should be {}", days.len(), DAYS.len());
    for (day, rows) in DAYS.iter().zip(days) {
        for (number, rows) in rows.chunks(rows.len().div_ceil(PARTITIONS)).enumerate() {
            let part = format!("{header}\n{}\n", rows.join("\n"));
            place.write(&format!("{day}/{}", partition_key(number)), part)?;
        }
    }
    Ok(())
}

/// What was stopped, by kind and strength, and what got through. Writing to a String cannot fail, here and below.
pub(super) fn section(page: &mut String, judged: &[(Markets, Vec<Delivery>)]) {
    let all = judged.iter().flat_map(|(_, deliveries)| deliveries);
    let (honest, spoiled): (Vec<&Delivery>, Vec<&Delivery>) = all.partition(|one| one.is_honest());
    let _ = writeln!(
        page,
        "\n# Deliveries\n\nWhat `runs audit` stops: a day in {PARTITIONS} partitions, by the release binary from \
         `predict --run` to the audit; each model learned one day, and the gate judged the later one by the labels \
         of the day between. Forged predictions tell of the true input in their footers, and are made before the run is closed, so that its manifest takes them for its own. Stopped is `hold` or \
         `fail`. All rows of these runs are scored again by the audit; of a run of more than 8,388,608 only 16,384 of \
         one row group of each output are, and what is wrong with other rows alone, under the right ids, would pass.\n\n\
         Deliveries in which a row is wrong: stopped {} of {}; honest deliveries stopped: {} of {}, {} of them by a model \
         that the gate had passed.",
        stopped(&spoiled),
        spoiled.len(),
        stopped(&honest),
        honest.len(),
        honest.iter().filter(|one| one.judged.is_stopped() && one.gate == "pass").count()
    );
    for (markets, deliveries) in judged {
        let _ = writeln!(page, "\n## {} rows a day, seeds {}\n", markets.rows_per_day, markets.seeds());
        table(page, deliveries);
    }
    page.push_str("\n## Deliveries that got through\n\n");
    list(page, spoiled.iter().filter(|one| !one.judged.is_stopped()), "None in which a row is wrong.");
    page.push_str("\n## Honest deliveries that were stopped\n\n");
    list(page, honest.iter().filter(|one| one.judged.is_stopped()), "None.");
}

fn stopped(deliveries: &[&Delivery]) -> usize {
    deliveries.iter().filter(|one| one.judged.is_stopped()).count()
}

/// A line for each kind and strength, in the order they were judged.
fn table(page: &mut String, deliveries: &[Delivery]) {
    page.push_str("| kind | strength | stopped | of | found by |\n|---|---|---:|---:|---|\n");
    let mut kinds: Vec<(&str, &str)> = Vec::new();
    for one in deliveries {
        if !kinds.contains(&(one.kind, one.strength)) {
            kinds.push((one.kind, one.strength));
        }
    }
    for (kind, strength) in kinds {
        let group: Vec<&Delivery> =
            deliveries.iter().filter(|one| (one.kind, one.strength) == (kind, strength)).collect();
        let found_by: BTreeSet<&str> = group.iter().flat_map(|one| one.judged.against()).collect();
        let found_by = found_by.into_iter().collect::<Vec<_>>().join(", ");
        let _ = writeln!(page, "| {kind} | {strength} | {} | {} | {found_by} |", stopped(&group), group.len());
    }
}

fn list<'a>(page: &mut String, deliveries: impl Iterator<Item = &'a &'a Delivery>, if_none: &str) {
    let mut is_empty = true;
    for Delivery { kind, strength, seed, gate, judged } in deliveries {
        is_empty = false;
        let said: Vec<&str> = std::iter::once(judged.verdict.as_str()).chain(judged.against()).collect();
        let _ =
            writeln!(page, "- {kind}, {strength}, seed {seed}: {}; the gate said {gate} of the model", said.join(", "));
    }
    if is_empty {
        let _ = writeln!(page, "{if_none}");
    }
}
