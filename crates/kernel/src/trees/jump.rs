//! Routing one row by pointer jumping: all splits of a tree are decided at once, then followed in doubling strides.
//!
//! Rows with much in common, as one user's candidates have, are routed as a block through what is left of each tree:
//! the splits that all of them pass, or none, are jumped over.

use super::Form;
use super::forest::Forest;
#[cfg(target_arch = "x86_64")]
use super::jump_avx512;

/// Most leaves of a tree: its splits fit a register's bytes.
const LEAVES_MAX: usize = 64;
/// Most bytes that describe a row.
pub const ROW_BYTES: usize = 256;
/// Marks a split among children; leaves are plain.
pub(super) const SPLIT: u8 = 0x80;

/// A predicate as a comparison of bytes: the row's byte of this index is at most the limit.
#[derive(Debug, Clone, Copy)]
pub struct AtMost {
    /// Index of the row's byte.
    pub byte: u8,
    /// What it is compared with.
    pub limit: u8,
}

/// Trees laid out for jumping. Only exists on machines that have the instructions.
#[derive(Debug)]
pub struct Jump {
    trees: Vec<Tree>,
    values: Vec<[f64; LEAVES_MAX]>,
    /// Strides double this often until they span the deepest tree.
    doublings: u32,
    /// Bytes of a row that the trees look at.
    bytes: usize,
}

/// A tree's splits, one a byte: what is compared, and the children. A cache line each.
#[derive(Debug, Clone)]
#[repr(C, align(64))]
pub(super) struct Tree {
    pub(super) byte: [u8; 64],
    pub(super) limit: [u8; 64],
    pub(super) left: [u8; 64],
    pub(super) right: [u8; 64],
}

impl Jump {
    /// Lays out a forest whose predicates compare bytes; `None` if one does not, a tree has more than 64 leaves, or the
    /// form is not AVX-512.
    pub fn new(form: Form, forest: &Forest, predicate: impl Fn(u32) -> Option<AtMost>) -> Option<Self> {
        if form != Form::Avx512 || !form.is_available() {
            return None;
        }
        let mut jump = Self { trees: Vec::new(), values: Vec::new(), doublings: 0, bytes: 0 };
        for tree in forest.trees() {
            let splits = tree.splits();
            let mut values = [0.0; LEAVES_MAX];
            values.get_mut(..=splits)?.copy_from_slice(tree.values());
            // What is not a split, as the root of a tree without any, is passed by all on the way to leaf 0.
            let mut own = Tree { byte: [0; 64], limit: [u8::MAX; 64], left: [0; 64], right: [0; 64] };
            let child = |place: u16| match usize::from(place).checked_sub(splits) {
                Some(leaf) => leaf as u8,
                None => SPLIT | place as u8,
            };
            for (split, (plane, left, right)) in tree.places().enumerate() {
                let AtMost { byte, limit } = predicate(plane)?;
                (own.byte[split], own.limit[split]) = (byte, limit);
                (own.left[split], own.right[split]) = (child(left), child(right));
                jump.bytes = jump.bytes.max(usize::from(byte) + 1);
            }
            jump.doublings = jump.doublings.max(tree.depth().next_power_of_two().ilog2());
            jump.trees.push(own);
            jump.values.push(values);
        }
        Some(jump)
    }

    /// The raw score of the row with these bytes.
    pub fn score(&self, row: &[u8; ROW_BYTES]) -> f64 {
        #[cfg(target_arch = "x86_64")]
        {
            let (trees, values) = (&self.trees, &self.values);
            // SAFETY: a `Jump` exists only if `new` has found that the machine has the instructions.
            unsafe {
                match self.bytes {
                    0..=64 => jump_avx512::score::<1>(trees, values, self.doublings, row),
                    65..=128 => jump_avx512::score::<2>(trees, values, self.doublings, row),
                    _ => jump_avx512::score::<4>(trees, values, self.doublings, row),
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            // Unreachable: `new` has made none.
            let _ = (&self.trees, &self.values, self.doublings, self.bytes, row);
            f64::NAN
        }
    }
    /// Raw scores of a block of rows, each of whose bytes is from `low` to `high`.
    ///
    /// # Shapes
    /// `forest`: the one that was laid out; `planes`: `[planes, WORDS]`, of which those are looked at whose predicates
    /// some rows may pass and others not; `out`: at most `64 * WORDS` rows, overwritten.
    /// # Panics
    /// If `planes` is too short, or the forest another.
    pub fn score_block<const WORDS: usize>(
        &self,
        forest: &Forest,
        low: &[u8; ROW_BYTES],
        high: &[u8; ROW_BYTES],
        planes: &[u64],
        out: &mut [f64],
    ) {
        assert_eq!(forest.trees().count(), self.trees.len());
        let planes = planes.as_chunks().0;
        #[cfg(target_arch = "x86_64")]
        {
            let (trees, doublings) = (&self.trees, self.doublings);
            // SAFETY: a `Jump` exists only if `new` has found that the machine has the instructions.
            unsafe {
                match self.bytes {
                    0..=64 => jump_avx512::score_block::<1, WORDS>(trees, doublings, forest, low, high, planes, out),
                    65..=128 => jump_avx512::score_block::<2, WORDS>(trees, doublings, forest, low, high, planes, out),
                    _ => jump_avx512::score_block::<4, WORDS>(trees, doublings, forest, low, high, planes, out),
                }
            }
        }
        #[cfg(not(target_arch = "x86_64"))]
        {
            // Unreachable: `new` has made none.
            let _: (_, _, &[[u64; WORDS]], _) = (low, high, planes, out);
        }
    }
}
