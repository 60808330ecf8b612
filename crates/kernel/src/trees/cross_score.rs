//! Adding up the sums of products, in tiles that fit a core's caches.

use std::ops::Range;

use super::Form;
use super::cross::{BLOCK_ROWS, Choice, CrossForest, CrossLeft, CrossRight, Head, Set, TREES_AT_ONCE, Tree, UNIT_ROWS};
use super::cross_sums::{Sums, UnitSums};

/// Left entities of a tile; it divides a block. With [`UNITS_AT_ONCE`] and [`TREES_AT_ONCE`] it bounds what a core's L2
/// cache should hold: sums (512 KB), and for a group of trees the choices (130 KB) and sets (280 KB).
const LEFT_AT_ONCE: usize = 64;

/// Units of right entities of a tile.
const UNITS_AT_ONCE: usize = 8;

/// Working memory of [`CrossForest::score`].
#[derive(Debug, Default)]
pub struct CrossSums(Vec<UnitSums>);

impl CrossForest {
    /// Raw scores of all pairs.
    ///
    /// # Shapes
    /// `out`: `[left rows, right rows]`, overwritten.
    /// # Panics
    /// If `out` has another size, or a side was made by another forest.
    pub fn score(&self, form: Form, left: &CrossLeft, right: &CrossRight, sums: &mut CrossSums, out: &mut [f64]) {
        let units = right.rows.div_ceil(UNIT_ROWS);
        assert_eq!((left.forest, left.trees), (self.id, self.trees.len()));
        assert_eq!((right.forest, right.trees), (self.id, self.trees.len()));
        assert_eq!(right.sets.len(), units * self.set_places.len());
        assert_eq!(out.len(), left.rows * right.rows);
        sums.0.resize(LEFT_AT_ONCE * UNITS_AT_ONCE, UnitSums([0.0; UNIT_ROWS]));
        for (part, out) in out.chunks_mut(LEFT_AT_ONCE * right.rows.max(1)).enumerate() {
            let rows = part * LEFT_AT_ONCE..left.rows.min((part + 1) * LEFT_AT_ONCE);
            for first_unit in (0..units).step_by(UNITS_AT_ONCE) {
                let units = first_unit..units.min(first_unit + UNITS_AT_ONCE);
                let first = first_unit * UNIT_ROWS;
                let length = right.rows.min(units.end * UNIT_ROWS) - first;
                let sums = &mut sums.0[..units.len() * rows.len()];
                let tile = Tile { forest: self, left, right, rows: rows.clone(), units };
                tile.score(form, sums);
                for (row, out) in out.chunks_exact_mut(right.rows).enumerate() {
                    let sums = sums[row..].iter().step_by(rows.len());
                    for (out, sums) in out[first..first + length].chunks_mut(UNIT_ROWS).zip(sums) {
                        out.copy_from_slice(&sums.0[..out.len()]);
                    }
                }
            }
        }
    }
}

/// Some left entities and some units of right ones, whose sums are made at once.
struct Tile<'a> {
    forest: &'a CrossForest,
    left: &'a CrossLeft,
    right: &'a CrossRight,
    /// Of one block.
    rows: Range<usize>,
    units: Range<usize>,
}

impl Tile<'_> {
    /// Overwrites `sums`, `[units, rows]`.
    fn score(&self, form: Form, sums: &mut [UnitSums]) {
        #[cfg(target_arch = "x86_64")]
        {
            use super::cross_sums::{InMemory, InRegisters};
            match form.or_portable() {
                Form::Portable => {}
                // SAFETY: `or_portable` has just asked the machine for the instructions of this form.
                Form::Avx2 => return unsafe { self.score_avx2::<InMemory>(sums) },
                // SAFETY: `or_portable` has just asked the machine for the instructions of this form.
                Form::Avx512 => return unsafe { self.score_avx512::<InRegisters>(sums) },
            }
        }
        let _ = form;
        self.score_inlined::<super::cross_sums::Plain>(sums);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2")]
    fn score_avx2<S: Sums>(&self, sums: &mut [UnitSums]) {
        self.score_inlined::<S>(sums);
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,bmi1,bmi2,avx512f,avx512bw,avx512vl,avx512dq,avx512vbmi,avx512ifma,gfni")]
    fn score_avx512<S: Sums>(&self, sums: &mut [UnitSums]) {
        self.score_inlined::<S>(sums);
    }

    #[inline(always)]
    fn score_inlined<S: Sums>(&self, sums: &mut [UnitSums]) {
        let groups = self.forest.trees.len().div_ceil(TREES_AT_ONCE);
        let sets_of_unit = self.forest.set_places.len();
        let (block, first_row) = (self.rows.start / BLOCK_ROWS, self.rows.start % BLOCK_ROWS);
        let block_rows = BLOCK_ROWS.min(self.left.rows - block * BLOCK_ROWS);
        sums.fill(UnitSums([0.0; UNIT_ROWS]));
        let mut first_set = 0;
        for (group, trees) in self.forest.trees.chunks(TREES_AT_ONCE).enumerate() {
            let first_head = (block * BLOCK_ROWS * groups + group * block_rows + first_row) * TREES_AT_ONCE;
            let heads = self.left.heads[first_head..].as_chunks::<TREES_AT_ONCE>().0;
            let group_sets: usize = trees.iter().map(|tree| tree.sets).sum();
            for (unit, sums) in self.units.clone().zip(sums.chunks_exact_mut(self.rows.len())) {
                let (sets, ahead) = self.right.sets[unit * sets_of_unit + first_set..].split_at(group_sets);
                // Sets are needed in no order that the processor could foresee: it is told of the next group's.
                let mut ahead = ahead.chunks(group_sets.div_ceil(self.rows.len()));
                for (heads, sums) in heads.iter().zip(sums) {
                    S::prefetch(ahead.next().unwrap_or_default());
                    add_trees::<S>(trees, heads, &self.left.choices, sets, sums);
                }
            }
            first_set += group_sets;
        }
    }
}

/// Adds a group of trees for one left entity with a unit of right ones.
#[inline(always)]
fn add_trees<S: Sums>(
    trees: &[Tree],
    heads: &[Head; TREES_AT_ONCE],
    choices: &[Choice],
    mut sets: &[Set],
    memory: &mut UnitSums,
) {
    let mut sums = S::load(memory);
    for (tree, head) in trees.iter().zip(heads) {
        let (own, after) = sets.split_at(tree.sets);
        sets = after;
        // SAFETY: `CrossForest::score` has checked that this forest made both sides. So the choices at a head, which
        // `push_choices` made, have as many leaves as the head says, and they name sets of this tree, all of which the
        // right side has.
        unsafe { sums.add(memory, head.count as usize, choices.get_unchecked(head.first as usize..), own) };
    }
    sums.store(memory);
}
