//! Routing rows through trees.

use super::leaves::{Ops, spread_octet};
use super::planes::Words;
use super::{BLOCK_WORDS, Form, dispatch};

/// Most leaves of a tree. Slots are 16 bits wide, and at this size walking rows one by one is faster anyway.
pub const LEAVES_MAX: usize = 16_384;

/// A split of a tree: rows whose bit in the plane is set go left.
#[derive(Debug, Clone, Copy)]
pub struct Split {
    /// Index of the predicate's plane.
    pub plane: u32,
    /// Where the rows go that pass.
    pub left: Slot,
    /// Where the others go.
    pub right: Slot,
}

/// Where rows go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// To the tree's split of this index, above the index of the split they come from.
    Split(u16),
    /// To the leaf of this index.
    Leaf(u16),
}

/// A tree that cannot be routed: a plane, split or leaf out of range, or too many leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid;

/// Trees compiled for routing. Leaf values are added in the order of the trees.
#[derive(Debug)]
pub struct Forest {
    planes: usize,
    steps: Vec<Step>,
    trees: Vec<Extent>,
    values: Vec<f64>,
    /// For trees of at most 64 leaves: byte `k` of all values, `k` = 0 to 7.
    byte_planes: Vec<[[u8; 64]; 8]>,
    slots_max: usize,
}

/// A split with the places of its children among the tree's reach planes: splits first, leaves after them.
#[derive(Debug, Clone, Copy)]
struct Step {
    plane: u32,
    left: u16,
    right: u16,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    steps: usize,
    leaves: usize,
    values_first: usize,
    /// A power of two, at least 64.
    values: usize,
}

/// Working memory of [`Forest::score_block`].
#[derive(Debug, Default)]
pub struct Reach(Words);

impl Forest {
    /// A forest over `planes` predicate planes, without trees.
    pub fn new(planes: usize) -> Self {
        Self { planes, steps: Vec::new(), trees: Vec::new(), values: Vec::new(), byte_planes: Vec::new(), slots_max: 0 }
    }

    /// Appends a tree; without splits it is the constant of its only leaf. Breadth-first order of the splits is fastest.
    ///
    /// # Errors
    /// If an index is out of range; the forest is then to be dropped.
    pub fn push(&mut self, splits: &[Split], leaf_values: &[f64]) -> Result<(), Invalid> {
        let leaves = leaf_values.len();
        if leaves == 0 || leaves > LEAVES_MAX || splits.len() != leaves - 1 {
            return Err(Invalid);
        }
        for (index, split) in splits.iter().enumerate() {
            if split.plane as usize >= self.planes {
                return Err(Invalid);
            }
            let place = |slot| match slot {
                Slot::Split(child) if usize::from(child) > index && usize::from(child) < splits.len() => Ok(child),
                Slot::Leaf(leaf) if usize::from(leaf) < leaves => Ok(splits.len() as u16 + leaf),
                Slot::Split(_) | Slot::Leaf(_) => Err(Invalid),
            };
            self.steps.push(Step { plane: split.plane, left: place(split.left)?, right: place(split.right)? });
        }
        let values = leaves.next_power_of_two().max(64);
        let values_first = self.values.len();
        self.values.extend_from_slice(leaf_values);
        self.values.resize(values_first + values, 0.0);
        let mut byte_planes = [[0; 64]; 8];
        for (leaf, value) in leaf_values.iter().take(64).enumerate() {
            for (plane, byte) in byte_planes.iter_mut().zip(value.to_le_bytes()) {
                plane[leaf] = byte;
            }
        }
        self.byte_planes.push(byte_planes);
        self.trees.push(Extent { steps: splits.len(), leaves, values_first, values });
        self.slots_max = self.slots_max.max(splits.len() + leaves.next_multiple_of(8));
        Ok(())
    }

    /// The number of predicate planes.
    pub(super) fn planes(&self) -> usize {
        self.planes
    }

    /// The trees, to be laid out in other ways.
    pub(super) fn trees(&self) -> impl Iterator<Item = Tree<'_>> {
        let mut steps = self.steps.as_slice();
        self.trees.iter().map(move |extent| {
            let (own, rest) = steps.split_at(extent.steps);
            steps = rest;
            Tree { steps: own, values: &self.values[extent.values_first..][..extent.leaves] }
        })
    }

    /// For each tree byte `k` of its values, `k` = 0 to 7, if it has at most 64 leaves.
    pub(super) fn byte_planes(&self) -> &[[[u8; 64]; 8]] {
        &self.byte_planes
    }

    /// Raw scores of a block.
    ///
    /// # Shapes
    /// `planes`: `[planes, WORDS]`; `out`: at most `64 * WORDS` rows, overwritten.
    /// # Panics
    /// If `planes` is too short.
    pub fn score_block<const WORDS: usize>(&self, form: Form, planes: &[u64], reach: &mut Reach, out: &mut [f64]) {
        let planes = &planes.as_chunks::<WORDS>().0[..self.planes];
        reach.0.grow(self.slots_max * WORDS);
        let reach = reach.0.as_mut_slice().as_chunks_mut::<WORDS>().0;
        let forest = self;
        dispatch!(form, score_inlined::<WORDS>(forest: &Forest, planes: &[[u64; WORDS]], reach: &mut [[u64; WORDS]], out: &mut [f64]));
    }
}

/// A tree of a forest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree<'a> {
    steps: &'a [Step],
    values: &'a [f64],
}

impl<'a> Tree<'a> {
    /// The number of splits.
    pub(super) fn splits(self) -> usize {
        self.steps.len()
    }

    /// The plane of a split.
    #[inline(always)]
    pub(super) fn plane(self, split: usize) -> usize {
        self.steps[split].plane as usize
    }

    /// The leaves' values; one more than splits.
    pub(super) fn values(self) -> &'a [f64] {
        self.values
    }

    /// For each split its plane and the places of its children: splits first, leaves after them.
    pub(super) fn places(self) -> impl Iterator<Item = (u32, u16, u16)> {
        self.steps.iter().map(|step| (step.plane, step.left, step.right))
    }

    /// The most splits on a way from the root to a leaf.
    pub(super) fn depth(self) -> usize {
        let mut depths = vec![0; self.splits() + self.values.len()];
        // Children come after their parents.
        for (split, step) in self.steps.iter().enumerate() {
            depths[usize::from(step.left)] = depths[split] + 1;
            depths[usize::from(step.right)] = depths[split] + 1;
        }
        depths.into_iter().max().unwrap_or(0)
    }
}

#[inline(always)]
fn score_inlined<const WORDS: usize, O: Ops>(
    forest: &Forest,
    planes: &[[u64; WORDS]],
    reach: &mut [[u64; WORDS]],
    out: &mut [f64],
) {
    assert!(planes.len() >= forest.planes && reach.len() >= forest.slots_max && WORDS <= BLOCK_WORDS);
    let mut sums = [[0.0; 64]; BLOCK_WORDS];
    let mut steps = forest.steps.as_slice();
    for (tree, byte_planes) in forest.trees.iter().zip(&forest.byte_planes) {
        let (own, rest) = steps.split_at(tree.steps);
        steps = rest;
        route(own, planes, reach);
        let index = collapse(&mut reach[tree.steps..], tree.leaves);
        let values = &forest.values[tree.values_first..tree.values_first + tree.values];
        for (word, sums) in sums.iter_mut().enumerate().take(WORDS) {
            match values.as_array::<64>() {
                Some(values) => O::add(std::array::from_fn(|bit| index[bit][word]), values, byte_planes, sums),
                None => add_many::<O>(&index.map(|plane| plane[word]), values, sums),
            }
        }
    }
    for (out, sums) in out.chunks_mut(64).zip(&sums) {
        for (row, out) in out.iter_mut().enumerate() {
            *out = sums[O::position(row)];
        }
    }
}

/// Which rows reach each split and leaf.
#[inline(always)]
fn route<const WORDS: usize>(steps: &[Step], planes: &[[u64; WORDS]], reach: &mut [[u64; WORDS]]) {
    reach[0] = [!0; WORDS];
    for (index, step) in steps.iter().enumerate() {
        // SAFETY: `Forest::push` has checked every plane against `planes` and every place against `slots_max`; `score_inlined` has
        // checked that the slices are as long.
        unsafe {
            let here = *reach.get_unchecked(index);
            let plane = *planes.get_unchecked(step.plane as usize);
            *reach.get_unchecked_mut(usize::from(step.left)) = std::array::from_fn(|word| here[word] & plane[word]);
            *reach.get_unchecked_mut(usize::from(step.right)) = std::array::from_fn(|word| here[word] & !plane[word]);
        }
    }
}

/// Bits of a leaf index; three for each level of the radix-8 tree, and 8^5 exceeds [`LEAVES_MAX`].
const INDEX_BITS: usize = 15;

/// Turns leaf planes, of which each row has exactly one bit, into the planes of the leaf index's bits. Overwrites them.
#[inline(always)]
fn collapse<const WORDS: usize>(planes: &mut [[u64; WORDS]], leaves: usize) -> [[u64; WORDS]; INDEX_BITS] {
    let or = |a: [u64; WORDS], b: [u64; WORDS]| -> [u64; WORDS] { std::array::from_fn(|word| a[word] | b[word]) };
    let mut index = [[0; WORDS]; INDEX_BITS];
    let mut count = leaves;
    for level in index.as_chunks_mut::<3>().0 {
        if count <= 1 {
            break;
        }
        let octets = count.div_ceil(8);
        planes[count..octets * 8].fill([0; WORDS]);
        let [mut bit0, mut bit1, mut bit2] = [[0; WORDS]; 3];
        for octet in 0..octets {
            let p: [[u64; WORDS]; 8] = planes.as_chunks::<8>().0[octet];
            let (p23, p45, p67) = (or(p[2], p[3]), or(p[4], p[5]), or(p[6], p[7]));
            bit0 = or(bit0, or(or(p[1], p[3]), or(p[5], p[7])));
            bit1 = or(bit1, or(p23, p67));
            let p4567 = or(p45, p67);
            bit2 = or(bit2, p4567);
            planes[octet] = or(or(or(p[0], p[1]), p23), p4567);
        }
        *level = [bit0, bit1, bit2];
        count = octets;
    }
    index
}

/// Adds the values of 64 rows for a tree of more than 64 leaves.
#[inline(always)]
fn add_many<O: Ops>(index: &[u64; INDEX_BITS], values: &[f64], sums: &mut [f64; 64]) {
    for octet in 0..8 {
        let low = spread_octet(&index[..8], octet).to_le_bytes();
        let high = spread_octet(&index[8..], octet).to_le_bytes();
        for row in 0..8 {
            let leaf = usize::from(low[row]) | usize::from(high[row]) << 8;
            // The mask only tells the compiler what holds anyway.
            sums[O::position(octet * 8 + row)] += values[leaf & (values.len() - 1)];
        }
    }
}
