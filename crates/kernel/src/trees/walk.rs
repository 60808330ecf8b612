//! Routing one row by walking the trees, eight at a time: for online requests, where a block would be nearly empty.

use super::forest::Forest;

/// Trees walked side by side: a step of one waits for memory, and the other chains fill the time.
const LANES: usize = 8;
/// Steps between two looks at whether all are at their leaves.
const STRIDE: usize = 4;

/// Trees laid out for walking. Any forest can be walked, by plain Rust.
#[derive(Debug)]
pub struct Walk {
    /// Words of a row's predicate bits.
    words: usize,
    entries: Vec<Entry>,
    trees: Vec<Extent>,
    values: Vec<f64>,
}

/// A split, with the places of its children in the tree's entries; or a leaf, whose children are itself.
#[derive(Debug, Clone, Copy)]
struct Entry {
    plane: u32,
    left: u16,
    right: u16,
}

#[derive(Debug, Clone, Copy)]
struct Extent {
    entries_first: usize,
    /// Where the leaves begin among the entries.
    splits: usize,
    values_first: usize,
    depth: usize,
}

impl Walk {
    /// Lays out a forest.
    pub fn new(forest: &Forest) -> Self {
        let (mut entries, mut trees, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for tree in forest.trees() {
            let splits = tree.splits();
            trees.push(Extent {
                entries_first: entries.len(),
                splits,
                values_first: values.len(),
                depth: tree.depth(),
            });
            entries.extend(tree.places().map(|(plane, left, right)| Entry { plane, left, right }));
            let leaf = |leaf: usize| {
                // Below 2 * LEAVES_MAX, hence in 16 bits.
                let own = (splits + leaf) as u16;
                Entry { plane: 0, left: own, right: own }
            };
            entries.extend((0..tree.values().len()).map(leaf));
            values.extend_from_slice(tree.values());
        }
        Self { words: forest.planes().div_ceil(64).max(1), entries, trees, values }
    }

    /// The raw score of the row whose predicates have these outcomes: bit `p % 64` of word `p / 64` for plane `p`.
    ///
    /// # Panics
    /// If there are too few words.
    pub fn score(&self, bits: &[u64]) -> f64 {
        let bits = &bits[..self.words];
        let mut sum = 0.0;
        for trees in self.trees.chunks(LANES) {
            let lanes = std::array::from_fn(|lane| trees.get(lane).unwrap_or(&trees[0]));
            for (tree, place) in trees.iter().zip(self.leaves(lanes, bits)) {
                sum += self.values[tree.values_first + place - tree.splits];
            }
        }
        sum
    }

    /// The places of the leaves that the row reaches.
    #[inline(always)]
    fn leaves(&self, trees: [&Extent; LANES], bits: &[u64]) -> [usize; LANES] {
        let depth = trees.iter().map(|tree| tree.depth).max().unwrap_or(0);
        let first = trees.map(|tree| tree.entries_first);
        let splits = trees.map(|tree| tree.splits);
        let mut places = [0; LANES];
        for _ in 0..depth.div_ceil(STRIDE) {
            for _ in 0..STRIDE {
                for (place, first) in places.iter_mut().zip(first) {
                    // SAFETY: 0 is a place of every tree, since every tree has a leaf. All other places come from `step`
                    // for the same tree, whose children `Forest::push` has checked. `score` has cut `bits` to `self.words`.
                    *place = unsafe { self.step(first, *place, bits) };
                }
            }
            // Most rows end long before the deepest leaf.
            if places.iter().zip(splits).all(|(&place, splits)| place >= splits) {
                break;
            }
        }
        places
    }

    /// Returns where the row goes from a place of the tree whose entries begin at `first`.
    ///
    /// # Safety
    /// The place is one of that tree's, and `bits` has `self.words` words.
    #[inline(always)]
    unsafe fn step(&self, first: usize, place: usize, bits: &[u64]) -> usize {
        // SAFETY: the caller promises that the place is one of the tree's, so the entry exists, and that `bits` has
        // `self.words` words. `Forest::push` has checked every split's plane against the number of planes, which have that
        // many words; a leaf's plane 0 is in the one word that is always there.
        let (entry, word) = unsafe {
            let entry = self.entries.get_unchecked(first + place);
            (entry, *bits.get_unchecked(entry.plane as usize / 64))
        };
        let passes = word >> (entry.plane % 64) & 1 == 1;
        usize::from(std::hint::select_unpredictable(passes, entry.left, entry.right))
    }
}
