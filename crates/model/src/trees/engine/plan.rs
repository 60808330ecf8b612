//! The fast path: columns in, raw scores out, in blocks of rows.

use clickcast_kernel::trees::{BLOCK_WORDS, Form};

use super::super::ir::Ensemble;
use super::columns::{TreeColumn, fill_entries, fill_planes};
use super::compile::{Compiled, compile};
use super::row::RowPlan;
use super::scratch::Scratch;

/// An ensemble compiled for scoring in bulk. Threads share it; each has a [`Scratch`] of its own.
#[derive(Debug)]
pub struct Plan {
    features: usize,
    engine: Engine,
    form: Form,
}

#[derive(Debug)]
enum Engine {
    /// Bit-sliced; a few rows one by one.
    Sliced(Compiled, RowPlan),
    /// Row by row with the oracle: linear trees, and models too odd for tables.
    Scalar(Ensemble),
}

/// Columns that do not fit the plan or each other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// Not one column a feature.
    #[error("{given} columns, but the model has {features} features")]
    Columns {
        /// Columns given.
        given: usize,
        /// Features of the model.
        features: usize,
    },
    /// A column is shorter than the rows asked for.
    #[error("column {column} has {given} rows where {rows} are expected")]
    Rows {
        /// Index of the column.
        column: usize,
        /// Its rows.
        given: usize,
        /// Rows expected.
        rows: usize,
    },
    /// No room for the scores.
    #[error("room for {given} scores where {rows} rows are asked for")]
    Out {
        /// Scores there is room for.
        given: usize,
        /// Rows asked for.
        rows: usize,
    },
    /// A code beyond its dictionary.
    #[error("column {column} has code {code}, but its dictionary {entries} entries")]
    Code {
        /// Index of the column.
        column: usize,
        /// The code.
        code: u32,
        /// Entries of the dictionary.
        entries: usize,
    },
}

impl Plan {
    /// Compiles an ensemble for this machine's fastest form. Done once a model; takes about as long as parsing it.
    pub fn new(ensemble: &Ensemble) -> Self {
        Self::with_form(ensemble, Form::best())
    }

    /// Compiles an ensemble for a given form; one that this machine lacks runs as the portable one.
    pub fn with_form(ensemble: &Ensemble, form: Form) -> Self {
        let engine = match compile(ensemble) {
            Some(compiled) => {
                let rows = RowPlan::new(&compiled, form);
                Engine::Sliced(compiled, rows)
            }
            None => Engine::Scalar(ensemble.clone()),
        };
        Self { features: ensemble.features().len(), engine, form }
    }

    /// Returns whether the bit-sliced engine scores this model; linear trees are left to the oracle.
    pub fn is_sliced(&self) -> bool {
        matches!(self.engine, Engine::Sliced(..))
    }

    /// Raw scores, bit-equal to [`Ensemble::raw_score`] of every row.
    ///
    /// # Shapes
    /// `columns`: one a feature, each of at least `rows` rows; `out`: at least `rows`, of which the first `rows` are written.
    /// # Units
    /// As [`Ensemble::raw_score`].
    /// # Errors
    /// If the columns do not fit the model, the rows or their dictionaries, or `out` is too short; `out` is then unchanged.
    pub fn score(
        &self,
        columns: &[TreeColumn<'_>],
        rows: usize,
        scratch: &mut Scratch,
        out: &mut [f64],
    ) -> Result<(), PlanError> {
        check(columns, self.features, rows)?;
        let given = out.len();
        let out = out.get_mut(..rows).ok_or(PlanError::Out { given, rows })?;
        match &self.engine {
            Engine::Scalar(ensemble) => score_scalar(ensemble, columns, out),
            Engine::Sliced(compiled, rows) => score_sliced(compiled, rows, self.form, columns, scratch, out),
        }
        Ok(())
    }
}

pub(super) fn check(columns: &[TreeColumn<'_>], features: usize, rows: usize) -> Result<(), PlanError> {
    if columns.len() != features {
        return Err(PlanError::Columns { given: columns.len(), features });
    }
    for (column, values) in columns.iter().enumerate() {
        let given = match values {
            TreeColumn::F32(values) => values.len(),
            TreeColumn::F64(values) => values.len(),
            TreeColumn::Coded { codes, .. } => codes.len(),
            TreeColumn::Constant(_) => rows,
        };
        if given < rows {
            return Err(PlanError::Rows { column, given, rows });
        }
        if let TreeColumn::Coded { codes, values } = values
            && let Some(&code) = codes[..rows].iter().max()
            && code as usize >= values.len()
        {
            return Err(PlanError::Code { column, code, entries: values.len() });
        }
    }
    Ok(())
}

fn score_scalar(ensemble: &Ensemble, columns: &[TreeColumn<'_>], out: &mut [f64]) {
    let mut values = vec![0.0; columns.len()];
    for (row, out) in out.iter_mut().enumerate() {
        for (value, column) in values.iter_mut().zip(columns) {
            *value = column.value(row);
        }
        *out = ensemble.raw_score(&values);
    }
}

fn score_sliced(
    compiled: &Compiled,
    row_plan: &RowPlan,
    form: Form,
    columns: &[TreeColumn<'_>],
    scratch: &mut Scratch,
    out: &mut [f64],
) {
    const BLOCK_ROWS: usize = 64 * BLOCK_WORDS;
    let rows = out.len();
    if rows <= row_plan.rows_max() {
        return row_plan.score(compiled, form, columns, 0, &mut scratch.row, out);
    }
    scratch.planes.grow(compiled.planes * BLOCK_WORDS);
    scratch.equal.grow(compiled.planes * BLOCK_WORDS);
    fill_entries(&compiled.columns, columns, rows, &mut scratch.entries);
    let (blocks, rest) = out.as_chunks_mut::<BLOCK_ROWS>();
    for (index, out) in blocks.iter_mut().enumerate() {
        score_block::<BLOCK_WORDS>(compiled, row_plan, form, columns, scratch, index * BLOCK_ROWS, out);
    }
    let done = rows - rest.len();
    match rest.len() {
        few if few <= row_plan.rows_max() => row_plan.score(compiled, form, columns, done, &mut scratch.row, rest),
        0..=64 => score_block::<1>(compiled, row_plan, form, columns, scratch, done, rest),
        65..=128 => score_block::<2>(compiled, row_plan, form, columns, scratch, done, rest),
        _ => score_block::<BLOCK_WORDS>(compiled, row_plan, form, columns, scratch, done, rest),
    }
}

/// Scores the rows from `first` on, as many as `out` has.
fn score_block<const WORDS: usize>(
    compiled: &Compiled,
    row_plan: &RowPlan,
    form: Form,
    columns: &[TreeColumn<'_>],
    scratch: &mut Scratch,
    first: usize,
    out: &mut [f64],
) {
    if row_plan.score_alike::<WORDS>(compiled, form, columns, scratch, first, out) {
        return;
    }
    let planes = scratch.planes.as_mut_slice();
    let equal = scratch.equal.as_mut_slice();
    let rows = first..first + out.len();
    fill_planes::<WORDS>(&compiled.columns, form, columns, &scratch.entries, rows, planes, equal);
    compiled.forest.score_block::<WORDS>(form, planes, &mut scratch.reach, out);
}
