//! From columns to slots: which weights a record touches.
//!
//! Every feature is a field with a range of slots of its own, so weights are dense, a model is as
//! small as its data, and fields can be learned side by side. Slot 0 of a field is for missing
//! values. A numeric field then has one slot a quantile bin; a categorical or multi field has one
//! slot for every rare or unseen value together, then one for each value that was frequent enough
//! in training, found by its frozen hash.

mod table;

use clickcast_kernel::bins::{bins_f32, bins_f64};
use clickcast_record::{Batch, Categorical, Category, Column, Numeric, hash};
use serde::{Deserialize, Serialize};
use table::Table;

use crate::Error;
use crate::tensor::{Tensor, Values};

/// Bins at most, beside the one for missing values: edges fit a search of eight steps.
pub const BINS_MAX: usize = 256;
/// Slots of all fields together at most; 2^28 weights of 4 bytes are 1 GiB.
pub const SLOTS_MAX: u64 = 1 << 28;

/// Values whose places are asked for together.
const AHEAD: usize = 32;
const EDGES: &str = "encoder.edges";
const HASHES: &str = "encoder.hashes";

/// How one field's values become slots.
#[derive(Debug, Clone, PartialEq)]
pub enum Coding {
    /// Quantities: bin `b` holds the values with `b` edges at or below them.
    Bins {
        /// Finite, strictly increasing; fewer than [`BINS_MAX`].
        edges: Vec<f64>,
    },
    /// One category a row.
    Categories {
        /// Hashes of the values with a slot of their own, strictly increasing.
        hashes: Vec<u64>,
    },
    /// A list of categories a row.
    Lists {
        /// As for categories.
        hashes: Vec<u64>,
    },
}

/// Turns batches into slots.
#[derive(Debug, Clone)]
pub struct Encoder {
    fields: Vec<Field>,
    slots: u32,
}

#[derive(Debug, Clone)]
struct Field {
    name: String,
    coding: Coding,
    first: u32,
    finder: Finder,
}

#[derive(Debug, Clone)]
enum Finder {
    /// Edges, padded by infinity as the search wants them.
    Bins(Vec<f64>),
    Values(Table),
}

/// A batch as slots: one column a field.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Encoded {
    /// Number of rows.
    pub rows: usize,
    /// One column a field, in the encoder's order.
    pub columns: Vec<Slots>,
}

/// The slots of one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Slots {
    /// One slot a row.
    One(Vec<u32>),
    /// Several slots a row, each of value `1 / sqrt(count)`; at least one.
    Many {
        /// `rows + 1` positions in `slots`.
        offsets: Vec<u32>,
        /// The rows' slots, one row after another.
        slots: Vec<u32>,
    },
}

impl Slots {
    /// Returns the slots of one row.
    #[inline]
    #[must_use]
    pub fn row(&self, row: usize) -> &[u32] {
        match self {
            Self::One(slots) => std::slice::from_ref(&slots[row]),
            Self::Many { offsets, slots } => &slots[offsets[row] as usize..offsets[row + 1] as usize],
        }
    }

    /// Returns the number of slots of all rows together.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::One(slots) | Self::Many { slots, .. } => slots.len(),
        }
    }

    /// Returns whether there are no slots.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the slots of some rows.
    #[must_use]
    pub(crate) fn slice(&self, rows: std::ops::Range<usize>) -> Self {
        match self {
            Self::One(slots) => Self::One(slots[rows].to_vec()),
            Self::Many { offsets, slots } => {
                let bounds = &offsets[rows.start..=rows.end];
                Self::Many {
                    offsets: bounds.iter().map(|offset| offset - bounds[0]).collect(),
                    slots: slots[bounds[0] as usize..bounds[bounds.len() - 1] as usize].to_vec(),
                }
            }
        }
    }

    /// Returns the slots of some rows, in any order.
    #[must_use]
    pub(crate) fn gathered(&self, rows: &[usize]) -> Self {
        match self {
            Self::One(slots) => Self::One(rows.iter().map(|&row| slots[row]).collect()),
            Self::Many { .. } => {
                let (mut offsets, mut slots) = (vec![0], Vec::new());
                for &row in rows {
                    slots.extend_from_slice(self.row(row));
                    offsets.push(slots.len() as u32);
                }
                Self::Many { offsets, slots }
            }
        }
    }

    /// Returns one row's slots, repeated.
    #[must_use]
    pub(crate) fn repeated(&self, row: usize, times: usize) -> Self {
        match self {
            Self::One(slots) => Self::One(vec![slots[row]; times]),
            Self::Many { .. } => {
                let own = self.row(row);
                Self::Many {
                    offsets: (0..=times).map(|place| (place * own.len()) as u32).collect(),
                    slots: own.repeat(times),
                }
            }
        }
    }

    /// Appends the rows of another column of the same field.
    pub(crate) fn append(&mut self, more: Self) {
        match (self, more) {
            (Self::One(slots), Self::One(more)) => slots.extend(more),
            (Self::Many { offsets, slots }, Self::Many { offsets: more_offsets, slots: more }) => {
                let before = slots.len() as u32;
                offsets.extend(more_offsets.iter().skip(1).map(|offset| before + offset));
                slots.extend(more);
            }
            _ => unreachable!("a field is of one kind"),
        }
    }
}

/// Returns the value of each slot of a row that has `count` slots of one field.
#[inline]
#[must_use]
pub fn value_of(count: usize) -> f32 {
    1.0 / (count as f32).sqrt()
}

impl Coding {
    /// Returns the number of slots.
    #[must_use]
    pub fn slots(&self) -> u64 {
        match self {
            Self::Bins { edges } => edges.len() as u64 + 2,
            Self::Categories { hashes } | Self::Lists { hashes } => hashes.len() as u64 + 2,
        }
    }

    fn check(&self) -> Result<(), String> {
        match self {
            Self::Bins { edges } if edges.len() >= BINS_MAX => Err(format!("it has {} edges", edges.len())),
            Self::Bins { edges } => (edges.iter().all(|edge| edge.is_finite()) && edges.is_sorted_by(|a, b| a < b))
                .then_some(())
                .ok_or_else(|| "its edges do not increase".to_owned()),
            Self::Categories { hashes } | Self::Lists { hashes } => {
                hashes.is_sorted_by(|a, b| a < b).then_some(()).ok_or_else(|| "its values are not in order".to_owned())
            }
        }
    }

    fn finder(&self) -> Finder {
        match self {
            Self::Bins { edges } => {
                let mut padded = edges.clone();
                padded.resize(if edges.len() < 64 { 64 } else { BINS_MAX }, f64::INFINITY);
                Finder::Bins(padded)
            }
            Self::Categories { hashes } | Self::Lists { hashes } => Finder::Values(Table::new(hashes)),
        }
    }
}

impl Encoder {
    /// Returns an encoder of fields by name.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind) for edges or hashes that are out of order, and for too many slots.
    pub fn new(codings: Vec<(String, Coding)>) -> Result<Self, Error> {
        let mut fields = Vec::with_capacity(codings.len());
        let mut slots = 0u64;
        for (name, coding) in codings {
            coding.check().map_err(|problem| Error::damaged(format!("feature `{name}`: {problem}")))?;
            let first = slots;
            slots += coding.slots();
            if slots > SLOTS_MAX {
                return Err(Error::damaged(format!("feature `{name}`: more than {SLOTS_MAX} slots")));
            }
            let finder = coding.finder();
            fields.push(Field { name, coding, first: first as u32, finder });
        }
        Ok(Self { fields, slots: slots as u32 })
    }

    /// Returns the number of slots of all fields together.
    #[must_use]
    pub fn slots(&self) -> u32 {
        self.slots
    }

    /// Returns the number of fields.
    #[must_use]
    pub fn fields(&self) -> usize {
        self.fields.len()
    }

    /// Returns a field's name.
    #[must_use]
    pub fn name(&self, field: usize) -> &str {
        &self.fields[field].name
    }

    /// Returns a field's first slot; `field == fields()` gives the number of slots.
    #[must_use]
    pub fn first_slot(&self, field: usize) -> u32 {
        self.fields.get(field).map_or(self.slots, |field| field.first)
    }

    /// Returns a field's coding.
    #[must_use]
    pub fn coding(&self, field: usize) -> &Coding {
        &self.fields[field].coding
    }

    /// Encodes one batch, reusing the memory of `encoded`.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) where the batch has other features than the encoder's.
    pub fn encode(&self, batch: &Batch, encoded: &mut Encoded) -> Result<(), Error> {
        if batch.features.len() != self.fields.len() {
            let (found, own) = (batch.features.len(), self.fields.len());
            return Err(Error::invalid(format!("the data has {found} features and the model {own}")));
        }
        encoded.rows = batch.rows;
        encoded.columns.resize_with(self.fields.len(), || Slots::One(Vec::new()));
        for ((field, column), out) in self.fields.iter().zip(&batch.features).zip(&mut encoded.columns) {
            field.encode(column, out)?;
        }
        Ok(())
    }

    /// Encodes one column of a batch.
    ///
    /// # Errors
    /// [`Kind::Invalid`](crate::Kind) where the column is of another kind than the field.
    pub fn encode_column(&self, field: usize, column: &Column, out: &mut Slots) -> Result<(), Error> {
        self.fields[field].encode(column, out)
    }

    /// Returns the slot of a category by its hash, or that of missing values if there is no hash.
    ///
    /// # Panics
    /// Where the field is of quantities.
    #[must_use]
    pub fn category_slot(&self, field: usize, hash: Option<u64>) -> u32 {
        let Field { first, finder: Finder::Values(table), .. } = &self.fields[field] else {
            unreachable!("quantities have no categories")
        };
        slot_of(hash, table, *first)
    }
}

impl Field {
    fn encode(&self, column: &Column, out: &mut Slots) -> Result<(), Error> {
        match (&self.finder, column) {
            (Finder::Bins(edges), Column::Numeric(values)) => {
                encode_numbers(values, edges, self.first, self.last(), out.one());
            }
            (Finder::Values(table), Column::Categorical(values))
                if matches!(self.coding, Coding::Categories { .. }) =>
            {
                encode_categories(values, table, self.first, out.one());
            }
            (Finder::Values(table), Column::Multi(lists)) if matches!(self.coding, Coding::Lists { .. }) => {
                let mut items = Vec::new();
                encode_categories(&lists.values, table, self.first, &mut items);
                let (offsets, slots) = out.many();
                for bounds in lists.offsets.windows(2) {
                    offsets.push(slots.len() as u32);
                    match &items[bounds[0]..bounds[1]] {
                        [] => slots.push(self.first),
                        list => slots.extend_from_slice(list),
                    }
                }
                offsets.push(slots.len() as u32);
            }
            _ => {
                let name = &self.name;
                return Err(Error::invalid(format!(
                    "feature `{name}` is of another kind in the model than in the data"
                )));
            }
        }
        Ok(())
    }

    fn last(&self) -> u32 {
        self.first + self.coding.slots() as u32 - 1
    }
}

impl Slots {
    fn one(&mut self) -> &mut Vec<u32> {
        if !matches!(self, Self::One(_)) {
            *self = Self::One(Vec::new());
        }
        match self {
            Self::One(slots) | Self::Many { slots, .. } => {
                slots.clear();
                slots
            }
        }
    }

    fn many(&mut self) -> (&mut Vec<u32>, &mut Vec<u32>) {
        *self = Self::Many { offsets: Vec::new(), slots: Vec::new() };
        match self {
            Self::Many { offsets, slots } => (offsets, slots),
            Self::One(_) => unreachable!("made on the line above"),
        }
    }
}

fn encode_numbers(values: &Numeric, edges: &[f64], first: u32, last: u32, out: &mut Vec<u32>) {
    out.resize(values.len(), 0);
    // Infinity passes the padding as well, hence the minimum.
    let slot = |bin: u32, missing: bool| if missing { first } else { (first + 1 + bin).min(last) };
    match values {
        Numeric::F32(values) => {
            bins_f32(values, edges, out);
            out.iter_mut().zip(values.iter()).for_each(|(out, value)| *out = slot(*out, value.is_nan()));
        }
        Numeric::F64(values) => {
            bins_f64(values, edges, out);
            out.iter_mut().zip(values.iter()).for_each(|(out, value)| *out = slot(*out, value.is_nan()));
        }
    }
}

fn encode_categories(values: &Categorical, table: &Table, first: u32, out: &mut Vec<u32>) {
    let slot = |value: Option<Category<'_>>| slot_of(value.map(|value| value.hash()), table, first);
    match values {
        // A dictionary larger than the batch is not worth hashing whole.
        Categorical::Coded { codes, categories } if categories.len() > codes.len() => {
            out.extend((0..codes.len()).map(|row| slot(values.get(row))));
        }
        Categorical::Coded { .. } => values.map_into(out, slot),
        Categorical::Integers { values: integers, nulls } => {
            let mut hashes = [0; AHEAD];
            for (chunk, integers) in integers.chunks(AHEAD).enumerate() {
                for (hash, &value) in hashes.iter_mut().zip(integers) {
                    *hash = hash::integer(value);
                    table.fetch(*hash);
                }
                out.extend((chunk * AHEAD..).zip(&hashes[..integers.len()]).map(|(row, &hash)| {
                    let present = nulls.as_ref().is_none_or(|nulls| nulls.is_valid(row));
                    slot_of(present.then_some(hash), table, first)
                }));
            }
        }
    }
}

#[inline]
fn slot_of(hash: Option<u64>, table: &Table, first: u32) -> u32 {
    hash.map_or(first, |hash| first + 1 + table.find(hash))
}

/// What `to_parts` puts in the model's description.
#[derive(Debug, Serialize, Deserialize)]
struct Part {
    name: String,
    kind: PartKind,
    /// Edges or values.
    count: usize,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum PartKind {
    Numeric,
    Categorical,
    Multi,
}

impl Encoder {
    /// Returns the encoder as a JSON description and tensors, for the artifact.
    #[must_use]
    pub fn to_parts(&self) -> (serde_json::Value, Vec<Tensor>) {
        let (mut all_edges, mut all_hashes) = (Vec::new(), Vec::new());
        let mut parts = Vec::new();
        for field in &self.fields {
            let (kind, count) = match &field.coding {
                Coding::Bins { edges } => {
                    all_edges.extend_from_slice(edges);
                    (PartKind::Numeric, edges.len())
                }
                Coding::Categories { hashes } | Coding::Lists { hashes } => {
                    all_hashes.extend(hashes.iter().flat_map(|&hash| [hash as u32, (hash >> 32) as u32]));
                    let multi = matches!(field.coding, Coding::Lists { .. });
                    (if multi { PartKind::Multi } else { PartKind::Categorical }, hashes.len())
                }
            };
            parts.push(serde_json::json!(Part { name: field.name.clone(), kind, count }));
        }
        let tensors = vec![
            Tensor { name: EDGES.to_owned(), values: Values::F64(all_edges.into()) },
            Tensor { name: HASHES.to_owned(), values: Values::U32(all_hashes.into()) },
        ];
        (serde_json::Value::Array(parts), tensors)
    }

    /// Reads what [`Encoder::to_parts`] gave.
    ///
    /// # Errors
    /// [`Kind::Damaged`](crate::Kind) for anything else.
    pub fn from_parts(description: &serde_json::Value, tensors: &[Tensor]) -> Result<Self, Error> {
        let damaged = |problem: &str| Error::damaged(format!("the encoder {problem}"));
        let parts: Vec<Part> =
            Deserialize::deserialize(description).map_err(|error| damaged(&format!("is not readable: {error}")))?;
        let find = |name: &str| tensors.iter().find(|tensor| tensor.name == name).map(|tensor| &tensor.values);
        let (Some(Values::F64(edges)), Some(Values::U32(hashes))) = (find(EDGES), find(HASHES)) else {
            return Err(damaged("lacks its tensors"));
        };
        let (mut edges, (mut hashes, odd)) = (&edges[..], hashes.as_chunks::<2>());
        let mut codings = Vec::with_capacity(parts.len());
        for part in parts {
            let coding = match part.kind {
                PartKind::Numeric => {
                    let (own, rest) = edges.split_at_checked(part.count).ok_or_else(|| damaged("lacks edges"))?;
                    edges = rest;
                    Coding::Bins { edges: own.to_vec() }
                }
                PartKind::Categorical | PartKind::Multi => {
                    let (own, rest) = hashes.split_at_checked(part.count).ok_or_else(|| damaged("lacks values"))?;
                    hashes = rest;
                    let hashes = own.iter().map(|&[low, high]| u64::from(low) | u64::from(high) << 32).collect();
                    match part.kind {
                        PartKind::Multi => Coding::Lists { hashes },
                        _ => Coding::Categories { hashes },
                    }
                }
            };
            codings.push((part.name, coding));
        }
        if !edges.is_empty() || !hashes.is_empty() || !odd.is_empty() {
            return Err(damaged("has values that belong to no feature"));
        }
        Self::new(codings)
    }
}

#[cfg(test)]
mod tests;
