//! The path for a few rows, as online requests have: each row is described once, then routed by itself.

use clickcast_kernel::trees::{AtMost, Form, Jump, ROW_BYTES, Walk};

use super::compile::{ColumnKind, Compiled};
use super::plan::TreeColumn;

/// Predicates of a family that one byte of a row tells apart; a byte of this value passes none.
const BYTE_PLANES: usize = 255;

/// How single rows are scored.
#[derive(Debug)]
pub(super) enum RowPlan {
    /// By bytes, where trees are small, all splits numeric and the machine has the instructions.
    Jump(Jump),
    /// By a bit for each predicate.
    Walk(Walk),
}

/// A row as the trees see it; as much of it is used as the plan needs.
#[derive(Debug)]
pub(super) struct Row {
    /// For every [`BYTE_PLANES`] predicates of a family, column after column: the bin, less the predicates before them.
    bytes: Box<[u8; ROW_BYTES]>,
    /// One bit for each predicate: whether the row passes.
    bits: Vec<u64>,
}

impl Default for Row {
    fn default() -> Self {
        Self { bytes: Box::new([0; ROW_BYTES]), bits: Vec::new() }
    }
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

    /// The most rows that are faster one by one than as a block. Measured with `benches/trees.rs`: a block of 64 takes
    /// 55 µs by AVX-512 and 90 µs or more without, a row 3.3 µs by jumping and 9.7 µs by walking.
    pub(super) fn rows_max(&self) -> usize {
        match self {
            Self::Jump(_) => 16,
            Self::Walk(_) => 8,
        }
    }

    /// Scores the rows from `first` on, as many as `out` has.
    pub(super) fn score(
        &self,
        compiled: &Compiled,
        columns: &[TreeColumn<'_>],
        first: usize,
        row: &mut Row,
        out: &mut [f64],
    ) {
        for (index, out) in out.iter_mut().enumerate() {
            *out = match self {
                Self::Jump(jump) => {
                    row.set_bytes(compiled, columns, first + index);
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

/// For each plane the comparison of the row's bytes, where they have room for it; categories have none.
fn byte_predicates(compiled: &Compiled) -> Vec<Option<AtMost>> {
    let mut predicates = vec![None; compiled.planes];
    let mut byte = 0;
    for column in &compiled.columns {
        let ColumnKind::Numeric { families, .. } = &column.kind else { continue };
        for family in families {
            for planes in predicates[family.first_plane..][..family.planes].chunks_mut(BYTE_PLANES) {
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
    /// Describes a row by bytes, in the order of [`byte_predicates`]. All columns are numeric.
    fn set_bytes(&mut self, compiled: &Compiled, columns: &[TreeColumn<'_>], row: usize) {
        let mut bytes = self.bytes.iter_mut();
        for column in &compiled.columns {
            let ColumnKind::Numeric { bins, families } = &column.kind else { continue };
            let code = bins.code(columns[column.feature].value(row)) as usize;
            for family in families {
                let bin = usize::from(family.bin_of_code[code]);
                for (before, byte) in (0..family.planes).step_by(BYTE_PLANES).zip(&mut bytes) {
                    *byte = bin.saturating_sub(before).min(BYTE_PLANES) as u8;
                }
            }
        }
    }

    /// Describes a row by one bit for each predicate.
    fn set_bits(&mut self, compiled: &Compiled, columns: &[TreeColumn<'_>], row: usize) {
        self.bits.clear();
        self.bits.resize(compiled.planes.div_ceil(64).max(1), 0);
        for column in &compiled.columns {
            let code = column.code(columns[column.feature].value(row)) as usize;
            match &column.kind {
                ColumnKind::Numeric { families, .. } => {
                    for family in families {
                        let bin = usize::from(family.bin_of_code[code]).min(family.planes);
                        set_range(&mut self.bits, family.first_plane + bin, family.first_plane + family.planes);
                    }
                }
                ColumnKind::Categorical { table, words, first_plane, .. } => {
                    let bits = &mut self.bits[first_plane / 64..][..*words];
                    bits.copy_from_slice(&table[code * words..][..*words]);
                }
            }
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
