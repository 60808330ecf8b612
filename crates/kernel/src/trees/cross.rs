//! Products of two sides, users and ads say: every entity of the left side scored with every one of the right side.
//!
//! A side's own features leave some leaves of a tree reachable, and in a pair exactly one leaf is reachable from both
//! sides. On the right it is kept for each leaf which entities reach it; on the left, for each entity and tree, the few
//! leaves it reaches and their values. Scoring a left entity with 128 right ones numbers those leaves, joins their sets
//! to one number a pair, and looks the value up.

use std::sync::atomic::{AtomicU64, Ordering};

use super::leaves::Ops;
use super::planes::Words;
use super::{BLOCK_WORDS, Form, Invalid, Slot, Split, dispatch};

/// Entities of the right side that are scored at once.
pub const UNIT_ROWS: usize = 128;

/// Rows of a full block.
pub(super) const BLOCK_ROWS: usize = 64 * BLOCK_WORDS;

/// Trees added before sums go back to memory.
pub(super) const TREES_AT_ONCE: usize = 16;

/// Most leaves of a tree: eight times the number of a set fits 16 bits.
const CROSS_LEAVES_MAX: usize = 8192;

/// One of the two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The rows of the scores.
    Left,
    /// The columns of the scores.
    Right,
}

/// Trees compiled for products. Leaf values are added in the order of the trees.
#[derive(Debug)]
pub struct CrossForest {
    /// No other forest of this process has it.
    pub(super) id: u64,
    left: Routes,
    right: Routes,
    pub(super) trees: Vec<Tree>,
    values: Vec<f64>,
    /// For each leaf the first word of its set of right entities among the tree's sets.
    set_of_leaf: Vec<u16>,
    /// For each of those sets the place of its reach.
    pub(super) set_places: Vec<u16>,
}

/// What is left of the trees for one side. Where the other side decides, both ways are open: they share a place.
#[derive(Debug)]
struct Routes {
    planes: usize,
    steps: Vec<Step>,
    /// For each leaf the place of its reach.
    leaf_places: Vec<u16>,
    places_max: usize,
}

/// A split of the side's own, with places of reach planes.
#[derive(Debug, Clone, Copy)]
struct Step {
    plane: u32,
    from: u16,
    pass: u16,
    fail: u16,
}

/// How many of everything a tree has.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tree {
    left_steps: usize,
    right_steps: usize,
    leaves: usize,
    pub(super) sets: usize,
}

/// For 128 right entities whether they are in a set: entity `64 w + 8 n + l` has the four bits from `8 n + 4 w` on of
/// word `l`.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Set(pub(super) [u64; 8]);

/// Eight leaves that a left entity reaches in a tree.
#[derive(Debug, Clone, Copy)]
#[repr(C)]
pub(super) struct Choice {
    /// Their values.
    pub(super) values: [f64; CHOICES],
    /// The sets of right entities that reach them: of each the first word among the sets of the tree.
    pub(super) sets: [u16; CHOICES],
}

/// Leaves in a [`Choice`].
pub(super) const CHOICES: usize = 8;

/// The choices of a left entity in a tree.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Head {
    pub(super) first: u32,
    /// Leaves reached: 1, 4, 8, 16 or a higher multiple of 8, since jumps that depend on it are hard to foresee. The
    /// last leaf is repeated to reach it. Its number then is that of the last place, which has all bits set.
    pub(super) count: u32,
}

/// Entities of the left side, and the leaves each reaches.
#[derive(Debug, Default)]
pub struct CrossLeft {
    pub(super) forest: u64,
    pub(super) trees: usize,
    pub(super) rows: usize,
    /// `[blocks, groups of trees, rows of the block, TREES_AT_ONCE]`.
    pub(super) heads: Vec<Head>,
    pub(super) choices: Vec<Choice>,
}

/// Entities of the right side, and who of them reaches each leaf.
#[derive(Debug, Default)]
pub struct CrossRight {
    pub(super) forest: u64,
    pub(super) trees: usize,
    pub(super) rows: usize,
    /// `[units, sets of all trees]`.
    pub(super) sets: Vec<Set>,
}

/// Working memory of [`CrossForest::push_left`] and [`CrossForest::push_right`].
#[derive(Debug, Default)]
pub struct CrossReach(Words);

impl CrossForest {
    /// A forest over so many predicate planes of either side, without trees.
    pub fn new(left_planes: usize, right_planes: usize) -> Self {
        static FORESTS: AtomicU64 = AtomicU64::new(1);
        Self {
            id: FORESTS.fetch_add(1, Ordering::Relaxed),
            left: Routes::new(left_planes),
            right: Routes::new(right_planes),
            trees: Vec::new(),
            values: Vec::new(),
            set_of_leaf: Vec::new(),
            set_places: Vec::new(),
        }
    }

    /// Appends a tree; each split is of the side whose planes it names.
    ///
    /// # Errors
    /// As [`super::Forest::push`]; the forest is then to be dropped.
    pub fn push(&mut self, splits: &[(Side, Split)], leaf_values: &[f64]) -> Result<(), Invalid> {
        let leaves = leaf_values.len();
        if leaves == 0 || leaves > CROSS_LEAVES_MAX || splits.len() != leaves - 1 {
            return Err(Invalid);
        }
        let left_steps = self.left.push(Side::Left, splits)?;
        let right_steps = self.right.push(Side::Right, splits)?;
        let places = &self.right.leaf_places[self.values.len()..];
        let mut distinct = places.to_vec();
        distinct.sort_unstable();
        distinct.dedup();
        let set = |place| distinct.binary_search(place).map_or(0, |set| set as u16 * 8);
        self.set_of_leaf.extend(places.iter().map(set));
        self.trees.push(Tree { left_steps, right_steps, leaves, sets: distinct.len() });
        self.set_places.append(&mut distinct);
        self.values.extend_from_slice(leaf_values);
        Ok(())
    }

    /// Empties a left side and makes it this forest's.
    pub fn clear_left(&self, side: &mut CrossLeft) {
        (side.forest, side.trees, side.rows) = (self.id, self.trees.len(), 0);
        side.heads.clear();
        side.choices.clear();
    }

    /// Empties a right side and makes it this forest's.
    pub fn clear_right(&self, side: &mut CrossRight) {
        (side.forest, side.trees, side.rows) = (self.id, self.trees.len(), 0);
        side.sets.clear();
    }

    /// Appends a block of entities to the left side. Only the last block may be smaller than 256.
    ///
    /// # Shapes
    /// `planes`: `[left planes, WORDS]`; `rows`: at most `64 * WORDS`.
    /// # Panics
    /// If `planes` is too short, the last block was smaller, the side is not this forest's or becomes too large (2^32
    /// choices).
    pub fn push_left<const WORDS: usize>(
        &self,
        form: Form,
        planes: &[u64],
        rows: usize,
        reach: &mut CrossReach,
        side: &mut CrossLeft,
    ) {
        assert_eq!((side.forest, side.trees), (self.id, self.trees.len()));
        assert!(side.rows.is_multiple_of(BLOCK_ROWS) && rows <= 64 * WORDS && WORDS <= BLOCK_WORDS);
        let forest = self;
        let (planes, reach) = self.left.slices::<WORDS>(planes, reach);
        // Until it is whole again the side is nobody's.
        side.forest = 0;
        dispatch!(form, push_left_inlined::<WORDS>(
            forest: &CrossForest, planes: &[[u64; WORDS]], reach: &mut [[u64; WORDS]], rows: usize, side: &mut CrossLeft
        ));
        assert!(u32::try_from(side.choices.len()).is_ok(), "a left side is too large");
        (side.forest, side.rows) = (self.id, side.rows + rows);
    }

    /// Appends a block of entities to the right side. Only the last block may be smaller than 256.
    ///
    /// # Shapes
    /// `planes`: `[right planes, WORDS]`; `rows`: at most `64 * WORDS`; `WORDS`: even.
    /// # Panics
    /// If `planes` is too short, the last block was smaller, or the side is not this forest's.
    pub fn push_right<const WORDS: usize>(
        &self,
        form: Form,
        planes: &[u64],
        rows: usize,
        reach: &mut CrossReach,
        side: &mut CrossRight,
    ) {
        assert_eq!((side.forest, side.trees), (self.id, self.trees.len()));
        assert!(side.rows.is_multiple_of(UNIT_ROWS) && rows <= 64 * WORDS && WORDS.is_multiple_of(2));
        let forest = self;
        let (planes, reach) = self.right.slices::<WORDS>(planes, reach);
        let first = side.sets.len();
        side.sets.resize(first + rows.div_ceil(UNIT_ROWS) * self.set_places.len(), Set([0; 8]));
        let sets = &mut side.sets[first..];
        dispatch!(form, push_right_inlined::<WORDS>(
            forest: &CrossForest, planes: &[[u64; WORDS]], reach: &mut [[u64; WORDS]], sets: &mut [Set]
        ));
        side.rows += rows;
    }
}

impl CrossLeft {
    /// How many entities there are.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl CrossRight {
    /// How many entities there are.
    pub fn rows(&self) -> usize {
        self.rows
    }
}

impl Routes {
    fn new(planes: usize) -> Self {
        Self { planes, steps: Vec::new(), leaf_places: Vec::new(), places_max: 1 }
    }

    /// Appends a tree as far as it is this side's, and says in how many steps.
    fn push(&mut self, side: Side, splits: &[(Side, Split)]) -> Result<usize, Invalid> {
        let mut split_places = vec![0; splits.len()];
        let mut leaf_places = vec![0; splits.len() + 1];
        let mut places = 1;
        let mut steps = 0;
        for (index, &(of, split)) in splits.iter().enumerate() {
            let from = split_places[index];
            let mut pass = from;
            let mut fail = from;
            if of == side {
                if split.plane as usize >= self.planes {
                    return Err(Invalid);
                }
                // At most two for each of `CROSS_LEAVES_MAX` splits: that fits.
                (pass, fail) = (places, places + 1);
                places += 2;
                steps += 1;
                self.steps.push(Step { plane: split.plane, from, pass, fail });
            }
            for (slot, place) in [(split.left, pass), (split.right, fail)] {
                let (places, child) = match slot {
                    Slot::Split(child) if usize::from(child) > index => (&mut split_places, child),
                    Slot::Leaf(leaf) => (&mut leaf_places, leaf),
                    Slot::Split(_) => return Err(Invalid),
                };
                *places.get_mut(usize::from(child)).ok_or(Invalid)? = place;
            }
        }
        self.leaf_places.append(&mut leaf_places);
        self.places_max = self.places_max.max(usize::from(places));
        Ok(steps)
    }

    fn slices<'a, const WORDS: usize>(
        &self,
        planes: &'a [u64],
        reach: &'a mut CrossReach,
    ) -> (&'a [[u64; WORDS]], &'a mut [[u64; WORDS]]) {
        reach.0.grow(self.places_max * WORDS);
        (&planes.as_chunks().0[..self.planes], &mut reach.0.as_mut_slice().as_chunks_mut().0[..self.places_max])
    }
}

/// Which rows reach each place.
#[inline(always)]
fn route<const WORDS: usize>(steps: &[Step], planes: &[[u64; WORDS]], reach: &mut [[u64; WORDS]]) {
    reach[0] = [!0; WORDS];
    for step in steps {
        // SAFETY: `Routes::push` has checked every plane and counted the places; `Routes::slices` cuts the slices so.
        unsafe {
            let here = *reach.get_unchecked(usize::from(step.from));
            let plane = *planes.get_unchecked(step.plane as usize);
            *reach.get_unchecked_mut(usize::from(step.pass)) = std::array::from_fn(|word| here[word] & plane[word]);
            *reach.get_unchecked_mut(usize::from(step.fail)) = std::array::from_fn(|word| here[word] & !plane[word]);
        }
    }
}

#[inline(always)]
fn push_right_inlined<const WORDS: usize, O: Ops>(
    forest: &CrossForest,
    planes: &[[u64; WORDS]],
    reach: &mut [[u64; WORDS]],
    sets: &mut [Set],
) {
    let mut steps = forest.right.steps.as_slice();
    let mut first = 0;
    for tree in &forest.trees {
        let (own, rest) = steps.split_at(tree.right_steps);
        steps = rest;
        route(own, planes, reach);
        for (unit, sets) in sets.chunks_exact_mut(forest.set_places.len()).enumerate() {
            let places = &forest.set_places[first..first + tree.sets];
            for (set, &place) in sets[first..].iter_mut().zip(places) {
                let reach = &reach[usize::from(place)];
                *set = spread([reach[2 * unit], reach[2 * unit + 1]]);
            }
        }
        first += tree.sets;
    }
}

/// Four bits for one.
#[inline(always)]
fn spread(plane: [u64; 2]) -> Set {
    Set(std::array::from_fn(|lane| {
        let [low, high] = plane.map(|word| word >> lane & 0x0101_0101_0101_0101);
        (low | high << 4) * 15
    }))
}

#[inline(always)]
fn push_left_inlined<const WORDS: usize, O: Ops>(
    forest: &CrossForest,
    planes: &[[u64; WORDS]],
    reach: &mut [[u64; WORDS]],
    rows: usize,
    side: &mut CrossLeft,
) {
    let mut steps = forest.left.steps.as_slice();
    let mut first_leaf = 0;
    let mut masks: [[Vec<[u64; 64]>; BLOCK_WORDS]; TREES_AT_ONCE] = Default::default();
    for trees in forest.trees.chunks(TREES_AT_ONCE) {
        let mut leaf = first_leaf;
        for (tree, masks) in trees.iter().zip(&mut masks) {
            let (own, rest) = steps.split_at(tree.left_steps);
            steps = rest;
            route(own, planes, reach);
            let places = &forest.left.leaf_places[leaf..leaf + tree.leaves];
            leaf += tree.leaves;
            for (word, masks) in masks.iter_mut().enumerate().take(rows.div_ceil(64)) {
                masks.resize(places.len().div_ceil(64), [0; 64]);
                for (masks, places) in masks.iter_mut().zip(places.chunks(64)) {
                    for (mask, &place) in masks.iter_mut().zip(places) {
                        *mask = reach[usize::from(place)][word];
                    }
                    masks[places.len()..].fill(0);
                    O::transpose(masks);
                }
            }
        }
        let first_head = side.heads.len();
        for row in 0..rows {
            let mut leaf = first_leaf;
            for (tree, masks) in trees.iter().zip(&masks) {
                let leaves = leaf..leaf + tree.leaves;
                leaf += tree.leaves;
                let (values, sets) = (&forest.values[leaves.clone()], &forest.set_of_leaf[leaves]);
                side.heads.push(push_choices(&masks[row / 64], row % 64, values, sets, &mut side.choices));
            }
            side.heads.resize(first_head + (row + 1) * TREES_AT_ONCE, Head::default());
        }
        first_leaf = leaf;
    }
}

/// Appends the choices of a row whose reachable leaves are given by bit `leaf % 64` of `masks[leaf / 64][row]`.
#[inline(always)]
fn push_choices(masks: &[[u64; 64]], row: usize, values: &[f64], sets: &[u16], choices: &mut Vec<Choice>) -> Head {
    // `CrossForest::push_left` sees to it that this is right.
    let first = choices.len() as u32;
    let reached: u32 = masks.iter().map(|masks| masks[row].count_ones()).sum();
    let count = match reached {
        0 | 1 => 1,
        2..=4 => 4,
        9..=16 => 16,
        _ => reached.next_multiple_of(8),
    };
    let mut choice = Choice { values: [0.0; CHOICES], sets: [0; CHOICES] };
    let mut place = 0;
    for ((masks, values), sets) in masks.iter().zip(values.chunks(64)).zip(sets.chunks(64)) {
        let mut mask = masks[row];
        while mask != 0 {
            let leaf = mask.trailing_zeros() as usize;
            mask &= mask - 1;
            if place == CHOICES {
                choices.push(choice);
                place = 0;
            }
            (choice.values[place], choice.sets[place]) = (values[leaf], sets[leaf]);
            place += 1;
        }
    }
    for repeat in place.max(1)..CHOICES {
        (choice.values[repeat], choice.sets[repeat]) = (choice.values[repeat - 1], choice.sets[repeat - 1]);
    }
    choices.push(choice);
    Head { first, count }
}
