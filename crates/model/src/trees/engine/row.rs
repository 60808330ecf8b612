//! The path for a few rows, as online requests have: each row is described once, then routed by itself.
//!
//! And the path for rows with much in common, as one user's candidates have: a block routed through what is left of the
//! trees.

use std::ops::Range;
use std::slice::IterMut;

use clickcast_kernel::trees::{AtMost, BLOCK_WORDS, Bins, Form, Jump, Walk, row_codes, threshold_planes};

use super::columns::{TreeColumn, fill_codes};
use super::compile::{Column, ColumnKind, Compiled, PredicateGroup};
use super::scratch::{Row, Scratch};

/// Predicates of a group that one byte of a row tells apart; a byte of this value passes none.
const BYTE_PLANES: usize = 255;

/// How single rows are scored, and rows with much in common.
#[derive(Debug)]
pub(super) enum RowPlan {
    /// By bytes, where trees are small, all splits numeric and the machine has the instructions.
    Jump(Jump),
    /// By a bit for each predicate.
    Walk(Walk),
}

impl RowPlan {
    pub(super) fn new(compiled: &Compiled, form: Form) -> Self {
        let predicates = byte_predicates(compiled);
        let predicate = |plane: u32| predicates.get(plane as usize).copied().flatten();
        match Jump::new(form, &compiled.forest, predicate) {
            Some(jump) => Self::Jump(jump),
            None => Self::Walk(Walk::new(&compiled.forest)),
        }
    }

    /// Returns the most rows that are faster one by one than as a block. Measured with `benches/trees.rs` on 500 trees of 63
    /// leaves: a block of up to 64 takes 63 µs where a row takes 2.9 µs by jumping (37 µs if the rows are alike), and
    /// 70 µs to 77 µs where it takes 8.6 µs (numeric) to 16 µs (categories) by walking.
    pub(super) fn rows_max(&self) -> usize {
        match self {
            Self::Jump(_) => 16,
            Self::Walk(_) => 6,
        }
    }

    /// Scores the rows from `first` on, as many as `out` has.
    pub(super) fn score(
        &self,
        compiled: &Compiled,
        form: Form,
        columns: &[TreeColumn<'_>],
        first: usize,
        row: &mut Row,
        out: &mut [f64],
    ) {
        for (index, out) in out.iter_mut().enumerate() {
            row_codes(form, numbers(compiled, columns, first + index), &mut row.codes);
            *out = match self {
                Self::Jump(jump) => {
                    row.set_bytes(compiled);
                    jump.score(&row.bytes)
                }
                Self::Walk(walk) => {
                    row.set_bits(compiled, columns, first + index);
                    walk.score(&row.bits)
                }
            };
        }
    }
}

/// Returns a row's value in each numeric column, and how it becomes a code.
fn numbers<'a>(
    compiled: &'a Compiled,
    columns: &[TreeColumn<'_>],
    row: usize,
) -> impl Iterator<Item = (&'a Bins, f64)> {
    compiled.columns.iter().filter_map(move |column| match &column.kind {
        ColumnKind::Numeric { bins, .. } => Some((bins, columns[column.feature].value(row))),
        ColumnKind::Categorical { .. } => None,
    })
}

impl RowPlan {
    /// Scores a block through what its rows leave of the trees, if they have so much in common that this pays.
    pub(super) fn score_alike<const WORDS: usize>(
        &self,
        compiled: &Compiled,
        form: Form,
        columns: &[TreeColumn<'_>],
        scratch: &mut Scratch,
        first: usize,
        out: &mut [f64],
    ) -> bool {
        let Self::Jump(jump) = self else { return false };
        let rows = first..first + out.len();
        let is_constant = |column: &&Column| is_constant(columns[column.feature], rows.clone());
        let decided: usize = compiled.columns.iter().filter(is_constant).map(Column::predicates).sum();
        if decided * 2 < compiled.planes {
            return false;
        }
        let mut codes = [0; 64 * BLOCK_WORDS];
        let codes = &mut codes[..out.len()];
        let (planes, equal) = (scratch.planes.as_mut_slice(), scratch.equal.as_mut_slice());
        let (mut low, mut high) = (scratch.row.bytes.iter_mut(), scratch.row.bytes_high.iter_mut());
        for (column, entries) in compiled.columns.iter().zip(&scratch.entries) {
            let ColumnKind::Numeric { bins, groups } = &column.kind else { continue };
            let constant = is_constant(&column).then(|| bins.code(columns[column.feature].value(first)) as usize);
            if constant.is_none() {
                fill_codes(column, form, columns[column.feature], entries, first, codes);
            }
            for group in groups {
                group.set_bytes(&mut low, |before| constant.map_or(0, |code| group.byte(code, before)));
                group.set_bytes(&mut high, |before| constant.map_or(u8::MAX, |code| group.byte(code, before)));
                if constant.is_none() {
                    let planes = &mut planes[group.first_plane * WORDS..][..group.planes * WORDS];
                    threshold_planes::<WORDS>(form, codes, &group.bin_of_code, equal, planes);
                }
            }
        }
        let (low, high) = (&scratch.row.bytes, &scratch.row.bytes_high);
        jump.score_block::<WORDS>(&compiled.forest, low, high, scratch.planes.as_mut_slice(), out);
        true
    }
}

impl Column {
    /// Returns the number of predicates of a numeric column.
    fn predicates(&self) -> usize {
        match &self.kind {
            ColumnKind::Numeric { groups, .. } => groups.iter().map(|group| group.planes).sum(),
            ColumnKind::Categorical { .. } => 0,
        }
    }
}

/// Returns whether a column has the same value in all of these rows.
fn is_constant(column: TreeColumn<'_>, rows: Range<usize>) -> bool {
    match column {
        TreeColumn::F32(values) => is_uniform(&values[rows], |value| value.to_bits()),
        TreeColumn::F64(values) => is_uniform(&values[rows], |value| value.to_bits()),
        TreeColumn::Coded { codes, .. } => is_uniform(&codes[rows], |&code| code),
        TreeColumn::Constant(_) => true,
    }
}

fn is_uniform<T, K: PartialEq>(values: &[T], key: impl Fn(&T) -> K) -> bool {
    values.iter().all(|value| key(value) == key(&values[0]))
}

/// For each plane the comparison of the row's bytes, where they have room for it; categories have none.
fn byte_predicates(compiled: &Compiled) -> Vec<Option<AtMost>> {
    let mut predicates = vec![None; compiled.planes];
    let mut byte = 0;
    for column in &compiled.columns {
        let ColumnKind::Numeric { groups, .. } = &column.kind else { continue };
        for group in groups {
            for planes in predicates[group.first_plane..][..group.planes].chunks_mut(BYTE_PLANES) {
                for (plane, limit) in planes.iter_mut().zip(0..) {
                    *plane = u8::try_from(byte).ok().map(|byte| AtMost { byte, limit });
                }
                byte += 1;
            }
        }
    }
    predicates
}

impl Row {
    /// Describes the row of `codes` by bytes, in the order of [`byte_predicates`].
    fn set_bytes(&mut self, compiled: &Compiled) {
        let mut bytes = self.bytes.iter_mut();
        let groups = compiled.columns.iter().filter_map(|column| match &column.kind {
            ColumnKind::Numeric { groups, .. } => Some(groups),
            ColumnKind::Categorical { .. } => None,
        });
        for (groups, &code) in groups.zip(&self.codes) {
            for group in groups {
                group.set_bytes(&mut bytes, |before| group.byte(code as usize, before));
            }
        }
    }

    /// Describes the row of `codes` by one bit for each predicate.
    fn set_bits(&mut self, compiled: &Compiled, columns: &[TreeColumn<'_>], row: usize) {
        self.bits.clear();
        self.bits.resize(compiled.planes.div_ceil(64).max(1), 0);
        let mut codes = self.codes.iter();
        for column in &compiled.columns {
            match &column.kind {
                ColumnKind::Numeric { groups, .. } => {
                    let code = codes.next().map_or(0, |&code| code as usize);
                    for group in groups {
                        let bin = usize::from(group.bin_of_code[code]).min(group.planes);
                        set_range(&mut self.bits, group.first_plane + bin, group.first_plane + group.planes);
                    }
                }
                ColumnKind::Categorical { table, words, first_plane, .. } => {
                    let code = column.code(columns[column.feature].value(row)) as usize;
                    let bits = &mut self.bits[first_plane / 64..][..*words];
                    bits.copy_from_slice(&table[code * words..][..*words]);
                }
            }
        }
    }
}

impl PredicateGroup {
    /// Returns the byte of a code for the [`BYTE_PLANES`] predicates after the first `before`.
    fn byte(&self, code: usize, before: usize) -> u8 {
        usize::from(self.bin_of_code[code]).saturating_sub(before).min(BYTE_PLANES) as u8
    }

    /// Sets the next bytes, one for every [`BYTE_PLANES`] predicates of the group, by the number of predicates before.
    fn set_bytes(&self, bytes: &mut IterMut<'_, u8>, byte: impl Fn(usize) -> u8) {
        let mut before = 0;
        // By hand, for `step_by` divides.
        while before < self.planes {
            if let Some(next) = bytes.next() {
                *next = byte(before);
            }
            before += BYTE_PLANES;
        }
    }
}

/// Sets the bits from `start` up to but not including `end`.
fn set_range(bits: &mut [u64], start: usize, end: usize) {
    let mut at = start;
    while at < end {
        let length = (64 - at % 64).min(end - at);
        bits[at / 64] |= !0 >> (64 - length) << (at % 64);
        at += length;
    }
}
