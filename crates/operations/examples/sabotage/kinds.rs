//! The ways in which a day's data is spoiled, each at a strength from 0 to 1.

use std::sync::Arc;

use clickcast_record::{Kind, Side};

use super::chance::Chance;
use super::table::{Table, Values};

/// What is spoiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// What the candidate learns from.
    Training,
    /// What is scored today.
    Today,
    /// What it learns from and the labelled rows: whoever makes both makes the same mistake in both.
    TrainingAndLabelled,
    /// The labelled rows and today's: the program that scores is another one.
    Scoring,
}

/// A kind of sabotage.
pub(crate) struct Sabotage {
    pub(crate) name: &'static str,
    pub(crate) place: Place,
    pub(crate) strengths: &'static [f64],
    /// Spoils rows; the last argument tells of the day before them, where a kind needs it.
    pub(crate) spoil: fn(&Table, f64, &mut Chance) -> Table,
}

const SHARES: &[f64] = &[0.1, 0.25, 0.5, 1.0];

/// All kinds that spoil rows. What spoils predictions is the audit's to find.
pub(crate) const KINDS: &[Sabotage] = &[
    Sabotage { name: "label leak", place: Place::TrainingAndLabelled, strengths: SHARES, spoil: leak },
    Sabotage { name: "shuffled column", place: Place::Training, strengths: SHARES, spoil: shuffle },
    Sabotage { name: "shuffled column", place: Place::Today, strengths: SHARES, spoil: shuffle },
    Sabotage { name: "swapped columns", place: Place::Training, strengths: SHARES, spoil: swap },
    Sabotage { name: "swapped columns", place: Place::Today, strengths: SHARES, spoil: swap },
    Sabotage { name: "stuck at default", place: Place::Training, strengths: SHARES, spoil: stick },
    Sabotage { name: "stuck at default", place: Place::Today, strengths: SHARES, spoil: stick },
    Sabotage { name: "stale features", place: Place::Training, strengths: SHARES, spoil: stale },
    Sabotage { name: "stale features", place: Place::Today, strengths: SHARES, spoil: stale },
    Sabotage { name: "wrong join key", place: Place::Training, strengths: SHARES, spoil: misjoin },
    Sabotage { name: "wrong join key", place: Place::Today, strengths: SHARES, spoil: misjoin },
    Sabotage { name: "unit change", place: Place::Training, strengths: SHARES, spoil: rescale },
    Sabotage { name: "unit change", place: Place::Today, strengths: SHARES, spoil: rescale },
    Sabotage { name: "truncated training", place: Place::Training, strengths: &[0.3, 0.6, 0.9, 0.97], spoil: truncate },
    Sabotage { name: "one day missing", place: Place::Training, strengths: &[1.0], spoil: lose_day },
    Sabotage { name: "segment missing", place: Place::Training, strengths: SHARES, spoil: lose_segment },
    Sabotage { name: "late positives", place: Place::Training, strengths: SHARES, spoil: late },
    Sabotage { name: "flipped labels", place: Place::Training, strengths: &[0.05, 0.1, 0.25, 0.5], spoil: flip },
    Sabotage {
        name: "negatives sampled",
        place: Place::Training,
        strengths: &[0.1, 0.25, 0.5, 0.9],
        spoil: undersample,
    },
    Sabotage { name: "duplicated positives", place: Place::Training, strengths: SHARES, spoil: duplicate },
    Sabotage { name: "hash changed", place: Place::Scoring, strengths: SHARES, spoil: rename },
    Sabotage { name: "category flood", place: Place::Today, strengths: &[0.05, 0.1, 0.25, 0.5, 1.0], spoil: flood },
    Sabotage { name: "missing as 0", place: Place::Training, strengths: SHARES, spoil: recode },
    Sabotage { name: "missing as 0", place: Place::Today, strengths: SHARES, spoil: recode },
];

/// A feature of some kind, by chance; where there is none, any.
fn column(table: &Table, chance: &mut Chance, fits: impl Fn(&Values) -> bool) -> usize {
    let fitting: Vec<usize> = (0..table.columns.len()).filter(|&index| fits(&table.columns[index])).collect();
    if fitting.is_empty() { chance.below(table.columns.len()) } else { fitting[chance.below(fitting.len())] }
}

/// A feature that tells the answer in a share of the rows; in the others it is what it was.
fn leak(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut table = table.clone();
    let index = column(&table, chance, |values| matches!(values, Values::Numeric(_)));
    for row in chance.some(table.rows(), strength) {
        let label = table.labels[row];
        match table.column_mut(index) {
            Values::Numeric(values) => values[row] = if label { 900.0 } else { 3.0 },
            Values::Categorical { codes, .. } => codes[row] = 1 + u32::from(label),
            Values::Multi { .. } => {}
        }
    }
    table
}

fn shuffle(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut table = table.clone();
    let index = chance.below(table.columns.len());
    let places = chance.some(table.rows(), strength);
    let from = chance.shuffled(&places);
    let before = table.columns[index].clone();
    table.column_mut(index).set_from(&places, &before, &from);
    table
}

fn swap(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut swapped = table.clone();
    let one = column(table, chance, |values| !matches!(values, Values::Multi { .. }));
    let alike = |values: &Values| std::mem::discriminant(values) == std::mem::discriminant(&*table.columns[one]);
    let mut other = one;
    for _ in 0..100 {
        other = column(table, chance, alike);
        if other != one {
            break;
        }
    }
    let places = chance.some(table.rows(), strength);
    match (&*table.columns[one], &*table.columns[other]) {
        (Values::Numeric(_), Values::Numeric(_)) => {
            swapped.column_mut(one).set_from(&places, &table.columns[other], &places);
            swapped.column_mut(other).set_from(&places, &table.columns[one], &places);
        }
        (Values::Categorical { names, .. }, Values::Categorical { names: names_other, .. }) => {
            let shifted = |codes: &[u32], by: usize| {
                codes.iter().map(|&code| if code == 0 { 0 } else { code + by as u32 }).collect()
            };
            let both = |first: &[String], second: &[String]| [first, second].concat();
            for (target, source, own, others) in [(one, other, names, names_other), (other, one, names_other, names)] {
                let Values::Categorical { codes, .. } = &*table.columns[source] else { continue };
                let theirs = Values::Categorical { codes: shifted(codes, own.len()), names: Arc::default() };
                swapped.column_mut(target).set_from(&places, &theirs, &places);
                if let Values::Categorical { names, .. } = swapped.column_mut(target) {
                    *names = both(own, others).into();
                }
            }
        }
        _ => {}
    }
    swapped
}

/// A feature at 0, or at its first value, in a share of the rows.
fn stick(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut table = table.clone();
    let index = chance.below(table.columns.len());
    for row in chance.some(table.rows(), strength) {
        match table.column_mut(index) {
            Values::Numeric(values) => values[row] = 0.0,
            Values::Categorical { codes, .. } => codes[row] = 1,
            Values::Multi { codes, .. } => codes[row] = 0,
        }
    }
    table
}

fn side(table: &Table, side: Side) -> Vec<usize> {
    let features = table.schema.features().iter().enumerate();
    features.filter(|(_, feature)| feature.side == side).map(|(index, _)| index).collect()
}

/// Another row's values of some columns together.
fn borrow(
    table: &Table,
    columns: &[usize],
    strength: f64,
    chance: &mut Chance,
    from: impl Fn(usize, &mut Chance) -> usize,
) -> Table {
    let mut borrowed = table.clone();
    let places = chance.some(table.rows(), strength);
    let rows: Vec<usize> = places.iter().map(|&place| from(place, chance)).collect();
    for &index in columns {
        borrowed.column_mut(index).set_from(&places, &table.columns[index], &rows);
    }
    borrowed
}

/// The circumstances of an earlier row; where there are no sides, half of the columns.
fn stale(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let circumstances = side(table, Side::Context);
    let all = table.columns.len();
    let columns = if circumstances.len() < all { circumstances } else { (all / 2..all).collect() };
    borrow(table, &columns, strength, chance, |place, chance| place.saturating_sub(1 + chance.below(2_000)))
}

/// Everything known of a user but the id, from another user; where there are no sides, half of the columns.
fn misjoin(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let users = side(table, Side::User);
    let columns: Vec<usize> =
        if users.len() > 1 { users[1..].to_vec() } else { (0..table.columns.len() / 2).collect() };
    let rows = table.rows();
    borrow(table, &columns, strength, chance, |_, chance| chance.below(rows))
}

fn rescale(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut table = table.clone();
    let index = column(&table, chance, |values| matches!(values, Values::Numeric(_)));
    let factor = [1_000.0, 0.01][chance.below(2)];
    let rows = chance.some(table.rows(), strength);
    if let Values::Numeric(values) = table.column_mut(index) {
        rows.into_iter().for_each(|row| values[row] *= factor);
    }
    table
}

/// The last rows of each file of a day, or of all, are lost.
fn truncate(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let keep = 1.0 - strength;
    if chance.unit() < 0.5 {
        return table.range(0..(table.rows() as f64 * keep) as usize);
    }
    let rows: Vec<usize> =
        days(table).into_iter().flat_map(|day| day.clone().take((day.len() as f64 * keep) as usize)).collect();
    table.take(&rows)
}

/// The rows of each day.
pub(crate) fn days(table: &Table) -> Vec<std::ops::Range<usize>> {
    let Some(times) = &table.times else { return std::iter::once(0..table.rows()).collect() };
    let mut days = Vec::new();
    let mut first = 0;
    for run in times.chunk_by(|a, b| a.day() == b.day()) {
        days.push(first..first + run.len());
        first += run.len();
    }
    days
}

fn lose_day(table: &Table, _: f64, chance: &mut Chance) -> Table {
    let days = days(table);
    let lost = days[chance.below(days.len())].clone();
    table.take(&(0..table.rows()).filter(|row| !lost.contains(row)).collect::<Vec<_>>())
}

/// A value that 3 to 50 % of the rows have, and which rows have it.
fn segment(table: &Table, chance: &mut Chance) -> Vec<usize> {
    for _ in 0..200 {
        let index = column(table, chance, |values| matches!(values, Values::Categorical { .. }));
        let Values::Categorical { codes, .. } = &*table.columns[index] else { break };
        let code = codes[chance.below(codes.len())];
        let rows: Vec<usize> = (0..codes.len()).filter(|&row| codes[row] == code).collect();
        if (0.03..0.5).contains(&(rows.len() as f64 / codes.len() as f64)) {
            return rows;
        }
    }
    (0..table.rows() / 10).collect()
}

fn lose_segment(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut lost = vec![false; table.rows()];
    for row in segment(table, chance) {
        lost[row] = chance.unit() < strength;
    }
    table.take(&(0..table.rows()).filter(|&row| !lost[row]).collect::<Vec<_>>())
}

/// Clicks of the newest rows that have not arrived: all of the last day, fewer the older, back to a share of the days.
fn late(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut table = table.clone();
    let rows = table.rows();
    let first = (rows as f64 * (1.0 - strength)) as usize;
    for row in first..rows {
        let age = (rows - row) as f64 / (rows - first) as f64;
        table.labels[row] &= chance.unit() < age * 0.9;
    }
    table
}

fn flip(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut table = table.clone();
    for row in segment(&table, chance) {
        if chance.unit() < strength {
            table.labels[row] ^= true;
        }
    }
    table
}

fn undersample(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    table.take(&(0..table.rows()).filter(|&row| table.labels[row] || chance.unit() >= strength).collect::<Vec<_>>())
}

fn duplicate(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let rows = (0..table.rows()).flat_map(|row| {
        let twice = table.labels[row] && chance.unit() < strength;
        std::iter::repeat_n(row, 1 + usize::from(twice))
    });
    table.take(&rows.collect::<Vec<_>>())
}

/// Another hash finds no weight that was learned, in a share of the categorical columns.
fn rename(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut table = table.clone();
    let mut categorical: Vec<usize> =
        (0..table.columns.len()).filter(|&index| !matches!(*table.columns[index], Values::Numeric(_))).collect();
    categorical = chance.shuffled(&categorical);
    let count = (categorical.len() as f64 * strength).ceil() as usize;
    for &index in &categorical[..count.min(categorical.len())] {
        if let Values::Categorical { names, .. } | Values::Multi { names, .. } = table.column_mut(index) {
            Arc::make_mut(names).iter_mut().for_each(|name| name.insert(0, '#'));
        }
    }
    table
}

/// Values nobody has seen, in one column.
fn flood(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut table = table.clone();
    let index = column(&table, chance, |values| matches!(values, Values::Categorical { .. }));
    let rows = chance.some(table.rows(), strength);
    if let Values::Categorical { codes, names } = table.column_mut(index) {
        let first = names.len() as u32;
        Arc::make_mut(names).extend((0..50).map(|number| format!("new {number}")));
        rows.into_iter().for_each(|row| codes[row] = first + 1 + chance.below(50) as u32);
    }
    table
}

fn recode(table: &Table, strength: f64, chance: &mut Chance) -> Table {
    let mut table = table.clone();
    let features = table.schema.features().to_vec();
    for (values, feature) in table.columns.iter_mut().zip(features) {
        if feature.kind == Kind::Numeric
            && let Values::Numeric(values) = Arc::make_mut(values)
        {
            values.iter_mut().filter(|value| value.is_nan()).for_each(|value| {
                if chance.unit() < strength {
                    *value = 0.0;
                }
            });
        }
    }
    table
}
