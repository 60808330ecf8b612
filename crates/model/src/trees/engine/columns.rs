//! The columns of a call, and what the trees see of them: codes, and predicate planes.

use std::ops::Range;

use clickcast_kernel::trees::{BLOCK_WORDS, Form, category_planes, threshold_planes};

use super::compile::{Column, ColumnKind};

/// One feature's values for all rows of a call. NaN is missing.
#[derive(Debug, Clone, Copy)]
pub enum TreeColumn<'a> {
    /// One value a row.
    F32(&'a [f32]),
    /// One value a row.
    F64(&'a [f64]),
    /// Dictionary-coded: the value of a row is `values[codes[row]]`.
    Coded {
        /// One code a row.
        codes: &'a [u32],
        /// The dictionary.
        values: &'a [f64],
    },
    /// The same value in every row.
    Constant(f64),
}

impl TreeColumn<'_> {
    /// Returns the value of a row.
    ///
    /// # Panics
    /// If the column has no such row.
    #[inline]
    pub(super) fn value(&self, row: usize) -> f64 {
        match self {
            TreeColumn::F32(values) => f64::from(values[row]),
            TreeColumn::F64(values) => values[row],
            TreeColumn::Coded { codes, values } => values[codes[row] as usize],
            TreeColumn::Constant(value) => *value,
        }
    }
}

/// The codes of dictionaries' entries, for each of a plan's columns.
pub(super) fn fill_entries(own: &[Column], columns: &[TreeColumn<'_>], rows: usize, entries: &mut Vec<Vec<u32>>) {
    entries.resize_with(own.len(), Vec::new);
    for (column, entries) in own.iter().zip(entries) {
        entries.clear();
        // A dictionary larger than the batch is not worth going through.
        if let TreeColumn::Coded { values, .. } = columns[column.feature]
            && values.len() <= rows
        {
            entries.extend(values.iter().map(|&value| column.code(value)));
        }
    }
}

/// The predicate planes of a block of rows. `equal` is as `threshold_planes` wants it.
pub(super) fn fill_planes<const WORDS: usize>(
    own: &[Column],
    form: Form,
    columns: &[TreeColumn<'_>],
    entries: &[Vec<u32>],
    rows: Range<usize>,
    planes: &mut [u64],
    equal: &mut [u64],
) {
    let mut codes = [0; 64 * BLOCK_WORDS];
    let codes = &mut codes[..rows.len()];
    for (column, entries) in own.iter().zip(entries) {
        fill_codes(column, form, columns[column.feature], entries, rows.start, codes);
        match &column.kind {
            ColumnKind::Numeric { groups, .. } => {
                for group in groups {
                    let planes = &mut planes[group.first_plane * WORDS..][..group.planes * WORDS];
                    threshold_planes::<WORDS>(form, codes, &group.bin_of_code, equal, planes);
                }
            }
            ColumnKind::Categorical { table, words, first_plane, .. } => {
                let planes = &mut planes[first_plane * WORDS..][..64 * words * WORDS];
                category_planes::<WORDS>(form, codes, table, *words, planes);
            }
        }
    }
}

/// The codes of a column's rows from `first` on; `entries` are its dictionary's, where known.
pub(super) fn fill_codes(
    column: &Column,
    form: Form,
    values: TreeColumn<'_>,
    entries: &[u32],
    first: usize,
    codes: &mut [u32],
) {
    let rows = first..first + codes.len();
    match (values, &column.kind) {
        (TreeColumn::F32(values), ColumnKind::Numeric { bins, .. }) => bins.codes_f32(form, &values[rows], codes),
        (TreeColumn::F64(values), ColumnKind::Numeric { bins, .. }) => bins.codes_f64(&values[rows], codes),
        (TreeColumn::F32(values), ColumnKind::Categorical { .. }) => {
            for (code, &value) in codes.iter_mut().zip(&values[rows]) {
                *code = column.code(f64::from(value));
            }
        }
        (TreeColumn::F64(values), ColumnKind::Categorical { .. }) => {
            for (code, &value) in codes.iter_mut().zip(&values[rows]) {
                *code = column.code(value);
            }
        }
        (TreeColumn::Coded { codes: entry_of_row, values }, _) => {
            for (code, &entry) in codes.iter_mut().zip(&entry_of_row[rows]) {
                *code = match entries.get(entry as usize) {
                    Some(&code) => code,
                    None => column.code(values[entry as usize]),
                };
            }
        }
        (TreeColumn::Constant(value), _) => codes.fill(column.code(value)),
    }
}
