//! The data: days of an invented market, cut into what each model learns from and is judged by.

use std::ops::Range;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use clickcast_record::{Binding, Feature, Kind, Need, Roles, Schema, Side};
use clickcast_synth::{Generator, Settings, features_toml};
use jiff::civil::date;

use super::table::{Growing, Table, Values};

/// Days of a world: windows can begin on six days, and are judged by two more.
const DAYS: u32 = 21;
/// Days that a model learns from.
pub(crate) const WINDOW_MAX: usize = 11;

/// Days of impressions.
pub(crate) struct World {
    rows: Table,
    days: Vec<Range<usize>>,
}

/// The days of what is there when a candidate is judged.
pub(crate) struct Day {
    pub(crate) champion: Range<usize>,
    pub(crate) candidate: Range<usize>,
    pub(crate) labelled: Range<usize>,
    pub(crate) today: Range<usize>,
}

impl Day {
    /// The candidate learned `window` days, up to the `offset`th possible day, the champion as many so many days before; then
    /// come the labelled day and today.
    pub(crate) fn new(offset: usize, window: usize, champion_days: usize) -> Self {
        let end = offset + WINDOW_MAX + 1;
        Self {
            champion: (end - champion_days).saturating_sub(window)..end - champion_days,
            candidate: end - window..end,
            labelled: end..end + 1,
            today: end + 1..end + 2,
        }
    }
}

impl World {
    /// The market of a seed; `another_schema`: half of its columns, renamed, all categories as integers, without sides.
    pub(crate) fn new(seed: u64, rows_per_day: u64, another_schema: bool) -> Self {
        let rows = rows_per_day * u64::from(DAYS);
        // Weeks begin on another day for each seed.
        let first_day = date(2026, 1, 5 + (seed % 7) as i8);
        let generator = Generator::new(Settings { days: DAYS, seed, first_day, ..Settings::for_rows(rows) });
        let generator = generator.expect("the settings are in range");
        let schema = Schema::from_toml(&features_toml()).expect("the schema is right");
        let need = Need { labels: true, times: true, carried: Vec::new() };
        let binding = Binding::new(&schema, &need, &generator.schema()).expect("the columns are there");
        let mut rows = Growing::new(&schema, true);
        for index in 0..generator.blocks() {
            let block = generator.block(index);
            let truth = block.column_by_name("true_ctr").expect("the truth").as_primitive::<Float64Type>().values();
            rows.add(&binding.batch(&block, 0).expect("the values are right"), truth);
        }
        let rows = rows.table(schema);
        let rows = if another_schema { reduced(rows) } else { rows };
        let days = super::kinds::days(&rows);
        Self { rows, days }
    }

    /// Rows of some days.
    pub(crate) fn days(&self, days: Range<usize>) -> Table {
        self.rows.range(self.days[days.start].start..self.days[days.end - 1].end)
    }
}

/// Every other column under another name, its categories as hashes without meaning, all of side `context`.
fn reduced(mut table: Table) -> Table {
    let kept: Vec<usize> = (0..table.columns.len()).step_by(2).collect();
    let feature = |index: &usize| {
        let kind = table.schema.features()[*index].kind;
        let kind = if kind == Kind::Multi { Kind::Categorical } else { kind };
        Feature::new(format!("c{index}"), kind, Side::Context)
    };
    let schema = Schema::new(kept.iter().map(feature).collect()).expect("the names are distinct");
    let roles = Roles { weight: None, id: Vec::new(), ..table.schema.roles() };
    table.schema = schema.with_roles(roles).expect("the names are distinct");
    table.columns = kept.iter().map(|&index| Arc::new(plain(&table.columns[index]))).collect();
    table
}

fn plain(values: &Values) -> Values {
    let hashed = |names: &[String]| {
        let hashed = names.iter().map(|name| clickcast_record::hash::text(name).cast_signed().to_string());
        Arc::new(hashed.collect())
    };
    match values {
        Values::Numeric(values) => Values::Numeric(values.iter().map(|value| value * 10.0).collect()),
        Values::Categorical { codes, names } => Values::Categorical { codes: codes.clone(), names: hashed(names) },
        Values::Multi { codes, lists, names } => {
            let first = |&code: &u32| lists[code as usize].first().copied().unwrap_or(0);
            Values::Categorical { codes: codes.iter().map(first).collect(), names: hashed(names) }
        }
    }
}
