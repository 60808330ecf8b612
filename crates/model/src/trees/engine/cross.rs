//! Products of two sides: every user scored with every ad, without expanding the pairs.

use clickcast_kernel::trees as kernel;
use clickcast_kernel::trees::{BLOCK_WORDS, CrossForest, CrossReach, CrossSums, Form, Side, Words};

use super::super::ir::Ensemble;
use super::columns::{TreeColumn, fill_entries, fill_planes};
use super::compile::{Column, Predicates, base_leaf, fits, splits};
use super::plan::{PlanError, check};

/// An ensemble compiled for products of two sides. Threads share it.
///
/// What a side's own features decide in every tree is computed once an entity ([`CrossPlan::left`],
/// [`CrossPlan::right`]); a pair then costs one look-up a tree ([`CrossPlan::score`]).
///
/// # Tiles
/// A call scores all of a left with all of a right side, in tiles of its own that fit the caches: from 64 left entities
/// with 1024 right ones on, sizes hardly matter. A left entity takes about 70 KB and a right one 8 KB for 500 trees of
/// 63 leaves, so let left sides be small (64 to 256) and made anew in the same memory, and right ones large and kept.
/// The side with more of the splits should be the left one: the fewer leaves its entities reach, the faster.
#[derive(Debug)]
pub struct CrossPlan {
    is_left: Vec<bool>,
    engine: Engine,
    form: Form,
}

#[derive(Debug)]
enum Engine {
    Sliced(Box<Sliced>),
    /// Pair by pair with the oracle: linear trees, and models too odd for tables.
    Scalar(Ensemble),
}

#[derive(Debug)]
struct Sliced {
    left: Own,
    right: Own,
    forest: CrossForest,
}

/// How one side's columns become predicate planes.
#[derive(Debug)]
struct Own {
    columns: Vec<Column>,
    planes: usize,
}

/// Entities of the left side, made by [`CrossPlan::left`].
#[derive(Debug, Default)]
pub struct CrossLeft {
    rows: usize,
    sliced: kernel::CrossLeft,
    /// Instead, for the oracle: their values, a row each, NaN where the other side's are.
    scalar: Vec<Vec<f64>>,
}

/// Entities of the right side, made by [`CrossPlan::right`].
#[derive(Debug, Default)]
pub struct CrossRight {
    rows: usize,
    sliced: kernel::CrossRight,
    /// As [`CrossLeft`]'s.
    scalar: Vec<Vec<f64>>,
}

/// Working memory of all of [`CrossPlan`]'s work, reused from call to call.
#[derive(Debug, Default)]
pub struct CrossScratch {
    planes: Words,
    equal: Words,
    reach: CrossReach,
    entries: Vec<Vec<u32>>,
    sums: CrossSums,
}

impl CrossPlan {
    /// Compiles an ensemble for this machine's fastest form. `left` tells of each feature if the left side gives it.
    ///
    /// # Errors
    /// If `left` is not one a feature.
    pub fn new(ensemble: &Ensemble, left: &[bool]) -> Result<Self, PlanError> {
        Self::with_form(ensemble, left, Form::best())
    }

    /// As [`CrossPlan::new`] for a given form; one that this machine lacks runs as the portable one.
    ///
    /// # Errors
    /// As there.
    pub fn with_form(ensemble: &Ensemble, left: &[bool], form: Form) -> Result<Self, PlanError> {
        let features = ensemble.features().len();
        if left.len() != features {
            return Err(PlanError::Columns { given: left.len(), features });
        }
        let engine = compile(ensemble, left).unwrap_or_else(|| Engine::Scalar(ensemble.clone()));
        Ok(Self { is_left: left.to_vec(), engine, form })
    }

    /// Returns whether the bit-sliced engine scores this model; linear trees are left to the oracle.
    pub fn is_sliced(&self) -> bool {
        matches!(self.engine, Engine::Sliced(_))
    }

    /// Makes entities of the left side ready: `side` holds them instead of what it held, in the same memory.
    ///
    /// # Shapes
    /// `columns`: one a feature; those of the left side have at least `rows` rows, the others are not looked at.
    /// # Errors
    /// If the columns do not fit the model, the rows or their dictionaries; `side` is then unchanged.
    pub fn left(
        &self,
        columns: &[TreeColumn<'_>],
        rows: usize,
        scratch: &mut CrossScratch,
        side: &mut CrossLeft,
    ) -> Result<(), PlanError> {
        let columns = self.own_columns(Side::Left, columns, rows)?;
        side.rows = rows;
        let Engine::Sliced(sliced) = &self.engine else {
            side.scalar = row_major(&columns, rows);
            return Ok(());
        };
        let Sliced { left, forest, .. } = &**sliced;
        forest.clear_left(&mut side.sliced);
        // A single user must not cost as much as 256.
        if rows <= 64 {
            left.for_blocks::<1>(self.form, &columns, rows, scratch, |planes, rows, reach| {
                forest.push_left::<1>(self.form, planes, rows, reach, &mut side.sliced);
            });
        } else {
            left.for_blocks::<BLOCK_WORDS>(self.form, &columns, rows, scratch, |planes, rows, reach| {
                forest.push_left::<BLOCK_WORDS>(self.form, planes, rows, reach, &mut side.sliced);
            });
        }
        Ok(())
    }

    /// Makes entities of the right side ready: `side` holds them instead of what it held, in the same memory.
    ///
    /// # Shapes
    /// `columns`: one a feature; those of the right side have at least `rows` rows, the others are not looked at.
    /// # Errors
    /// As [`CrossPlan::left`].
    pub fn right(
        &self,
        columns: &[TreeColumn<'_>],
        rows: usize,
        scratch: &mut CrossScratch,
        side: &mut CrossRight,
    ) -> Result<(), PlanError> {
        let columns = self.own_columns(Side::Right, columns, rows)?;
        side.rows = rows;
        let Engine::Sliced(sliced) = &self.engine else {
            side.scalar = row_major(&columns, rows);
            return Ok(());
        };
        let Sliced { right, forest, .. } = &**sliced;
        forest.clear_right(&mut side.sliced);
        right.for_blocks::<BLOCK_WORDS>(self.form, &columns, rows, scratch, |planes, rows, reach| {
            forest.push_right::<BLOCK_WORDS>(self.form, planes, rows, reach, &mut side.sliced);
        });
        Ok(())
    }

    /// Raw scores of every left entity with every right one, bit-equal to [`Ensemble::raw_score`] of the pair's row.
    ///
    /// # Shapes
    /// `out`: at least `[left rows, right rows]`, row-major, of which so much is written.
    /// # Units
    /// As [`Ensemble::raw_score`].
    /// # Errors
    /// If `out` is too short; it is then unchanged.
    /// # Panics
    /// If a side was made by another plan.
    pub fn score(
        &self,
        left: &CrossLeft,
        right: &CrossRight,
        scratch: &mut CrossScratch,
        out: &mut [f64],
    ) -> Result<(), PlanError> {
        let given = out.len();
        let rows = left.rows * right.rows;
        let out = out.get_mut(..rows).ok_or(PlanError::Out { given, rows })?;
        match &self.engine {
            Engine::Sliced(sliced) => {
                sliced.forest.score(self.form, &left.sliced, &right.sliced, &mut scratch.sums, out);
            }
            Engine::Scalar(ensemble) => self.score_scalar(ensemble, &left.scalar, &right.scalar, out),
        }
        Ok(())
    }

    /// Returns the columns of one side, checked, with the other's made constant.
    fn own_columns<'a>(
        &self,
        side: Side,
        columns: &[TreeColumn<'a>],
        rows: usize,
    ) -> Result<Vec<TreeColumn<'a>>, PlanError> {
        let mut own = columns.to_vec();
        for (column, &is_left) in own.iter_mut().zip(&self.is_left) {
            if is_left != (side == Side::Left) {
                *column = TreeColumn::Constant(f64::NAN);
            }
        }
        check(&own, self.is_left.len(), rows)?;
        Ok(own)
    }

    fn score_scalar(&self, ensemble: &Ensemble, left: &[Vec<f64>], right: &[Vec<f64>], out: &mut [f64]) {
        assert_eq!(left.len() * right.len(), out.len(), "a side was made by another plan");
        let pairs = left.iter().flat_map(|left| right.iter().map(move |right| (left, right)));
        let mut row = Vec::new();
        for ((left, right), out) in pairs.zip(out) {
            row.clear();
            row.extend((0..self.is_left.len()).map(|at| if self.is_left[at] { left[at] } else { right[at] }));
            *out = ensemble.raw_score(&row);
        }
    }
}

impl CrossLeft {
    /// Returns how many entities there are.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl CrossRight {
    /// Returns how many entities there are.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl Own {
    /// Calls `push` with the predicate planes and the number of rows of each block.
    fn for_blocks<const WORDS: usize>(
        &self,
        form: Form,
        columns: &[TreeColumn<'_>],
        rows: usize,
        scratch: &mut CrossScratch,
        mut push: impl FnMut(&[u64], usize, &mut CrossReach),
    ) {
        scratch.planes.grow(self.planes * WORDS);
        scratch.equal.grow(self.planes * WORDS);
        fill_entries(&self.columns, columns, rows, &mut scratch.entries);
        let planes = scratch.planes.as_mut_slice();
        let equal = scratch.equal.as_mut_slice();
        for first in (0..rows).step_by(64 * WORDS) {
            let block = first..rows.min(first + 64 * WORDS);
            let length = block.len();
            fill_planes::<WORDS>(&self.columns, form, columns, &scratch.entries, block, planes, equal);
            push(planes, length, &mut scratch.reach);
        }
    }
}

fn compile(ensemble: &Ensemble, is_left: &[bool]) -> Option<Engine> {
    if !fits(ensemble) {
        return None;
    }
    let side = |feature: u32| if is_left[feature as usize] { Side::Left } else { Side::Right };
    let predicates = |of: Side| {
        let nodes = ensemble.trees().iter().flat_map(|tree| tree.nodes());
        Predicates::new(nodes.filter(move |node| side(node.feature) == of))
    };
    let (left, right) = (predicates(Side::Left)?, predicates(Side::Right)?);
    let mut forest = CrossForest::new(left.planes, right.planes);
    if let Some(base) = base_leaf(ensemble) {
        forest.push(&[], &[base]).ok()?;
    }
    for tree in ensemble.trees() {
        let splits = splits(tree, |node| match side(node.feature) {
            Side::Left => left.plane(node),
            Side::Right => right.plane(node),
        })?;
        let splits: Vec<_> = splits.into_iter().map(|(node, split)| (side(node.feature), split)).collect();
        forest.push(&splits, tree.leaf_values()).ok()?;
    }
    let own = |predicates: Predicates<'_>| Own { columns: predicates.columns, planes: predicates.planes };
    Some(Engine::Sliced(Box::new(Sliced { left: own(left), right: own(right), forest })))
}

fn row_major(columns: &[TreeColumn<'_>], rows: usize) -> Vec<Vec<f64>> {
    (0..rows).map(|row| columns.iter().map(|column| column.value(row)).collect()).collect()
}
