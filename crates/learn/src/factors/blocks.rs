//! Encoded rows, divided into those to learn from and those held out.

use std::ops::Range;

use clickcast_model::encode::{Encoded, Slots};

use super::numbered::Outcomes;
use super::optimizer::Block;
use crate::held_out::HeldOut;
use crate::random::{hash, uniform};
use crate::split::Split;

/// Which rows of the data to learn from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selection {
    pub(crate) split: Split,
    pub(crate) fold: u64,
    pub(crate) seed: u64,
    /// Share of the unclicked rows to learn from.
    pub(crate) negatives: f64,
}

/// The rows of one batch, by their purpose.
#[derive(Debug, Default)]
pub(crate) struct Parted {
    /// To learn from.
    pub(crate) learn: Block,
    /// To measure on, in pieces.
    pub(crate) held: Vec<Block>,
    /// The rows of each piece to learn from in the end, where not all.
    pub(crate) held_learn: Vec<Option<Block>>,
}

/// Rows that stay together where rows are learned in random order: enough for threads to be worth their start.
const TOGETHER_ROWS: usize = 4096;
/// Rows of a piece of those held out.
pub(crate) const PIECE_ROWS: usize = 1024;

impl Selection {
    /// Parts a batch whose first row is the data's `first_row`-th.
    pub(crate) fn part(&self, encoded: Encoded, outcomes: Outcomes, first_row: u64) -> Parted {
        let Outcomes { labels, weights, times } = outcomes;
        let all = Block { encoded, labels: labels.iter().map(|&label| f32::from(u8::from(label))).collect(), weights };
        let rows = all.encoded.rows;
        let kept = |row: usize| {
            labels[row] || self.negatives >= 1.0 || uniform(self.seed ^ 0x5A3B, first_row + row as u64) < self.negatives
        };
        let held_out = |row: &usize| {
            let time = times.as_ref().map(|times| times[*row]);
            self.split.holds_out(self.fold, self.seed, first_row + *row as u64, time)
        };
        let (held, mut learn): (Vec<usize>, Vec<usize>) = (0..rows).partition(held_out);
        learn.retain(|&row| kept(row));
        if learn.len() == rows {
            return Parted { learn: all, ..Parted::default() };
        }
        let of_piece = |piece: &[usize]| {
            let learned: Vec<usize> = piece.iter().copied().filter(|&row| kept(row)).collect();
            (all.select(piece), (learned.len() < piece.len()).then(|| all.select(&learned)))
        };
        let (held, held_learn) = held.chunks(PIECE_ROWS).map(of_piece).unzip();
        Parted { learn: all.select(&learn), held, held_learn }
    }
}

/// Returns pieces of blocks for one pass. In the order of time the last day would leave its own level in every weight.
pub(crate) fn in_random_order(blocks: &[Block], seed: u64, pass: usize) -> Vec<(&Block, Range<usize>)> {
    let of_block = |block: &Block| {
        let rows = block.encoded.rows;
        (0..rows).step_by(TOGETHER_ROWS).map(move |first| first..rows.min(first + TOGETHER_ROWS))
    };
    let mut pieces: Vec<_> =
        blocks.iter().flat_map(|block| of_block(block).map(move |rows| (block, rows))).enumerate().collect();
    pieces.sort_by_key(|(index, _)| hash(hash(seed, pass as u64), *index as u64));
    pieces.into_iter().map(|(_, piece)| piece).collect()
}

impl HeldOut<Block> {
    /// Puts the rows in random order, measured and learned as one block.
    pub(crate) fn shuffled(self, seed: u64) -> Self {
        if self.learn.is_empty() {
            return self;
        }
        let (measure, learn): (Vec<&Block>, Vec<&Block>) = self.pieces().unzip();
        Self { measure: vec![Block::shuffled(&measure, seed)], learn: vec![Some(Block::shuffled(&learn, seed))] }
    }
}

impl Block {
    /// Returns some rows, in the order given.
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        let columns = self.encoded.columns.iter().map(|column| match column {
            Slots::One(slots) => Slots::One(rows.iter().map(|&row| slots[row]).collect()),
            Slots::Many { .. } => {
                let (mut offsets, mut slots) = (vec![0], Vec::new());
                for &row in rows {
                    slots.extend_from_slice(column.row(row));
                    offsets.push(slots.len() as u32);
                }
                Slots::Many { offsets, slots }
            }
        });
        Self {
            encoded: Encoded { rows: rows.len(), columns: columns.collect() },
            labels: rows.iter().map(|&row| self.labels[row]).collect(),
            weights: self.weights.as_ref().map(|weights| rows.iter().map(|&row| weights[row]).collect()),
        }
    }

    /// Returns the rows of blocks of one shape in random order: files may be sorted, and descent along sorted labels goes astray.
    pub(crate) fn shuffled(blocks: &[&Self], seed: u64) -> Self {
        let mut order: Vec<(u64, usize, usize)> = Vec::new();
        for (index, block) in blocks.iter().enumerate() {
            order.extend((0..block.encoded.rows).map(|row| (hash(hash(seed, index as u64), row as u64), index, row)));
        }
        order.sort_unstable();
        let fields = blocks.first().map_or(0, |block| block.encoded.columns.len());
        let columns = (0..fields).map(|field| {
            let column = |index: usize| &blocks[index].encoded.columns[field];
            if let Slots::One(_) = column(0) {
                return Slots::One(order.iter().map(|&(_, index, row)| column(index).row(row)[0]).collect());
            }
            let (mut offsets, mut slots) = (vec![0], Vec::new());
            for &(_, index, row) in &order {
                slots.extend_from_slice(column(index).row(row));
                offsets.push(slots.len() as u32);
            }
            Slots::Many { offsets, slots }
        });
        let columns = columns.collect();
        let weight = |index: usize, row: usize| blocks[index].weights.as_ref().map(|weights| weights[row]);
        Self {
            encoded: Encoded { rows: order.len(), columns },
            labels: order.iter().map(|&(_, index, row)| blocks[index].labels[row]).collect(),
            weights: order.iter().map(|&(_, index, row)| weight(index, row)).collect(),
        }
    }

    /// Returns about the bytes that the rows take in memory.
    pub(crate) fn bytes(&self) -> u64 {
        let column = |column: &Slots| match column {
            Slots::One(slots) => slots.len(),
            Slots::Many { offsets, slots } => offsets.len() + slots.len(),
        };
        let numbers = self.encoded.columns.iter().map(column).sum::<usize>() + 2 * self.labels.len();
        4 * numbers as u64
    }

    /// Returns a number that follows from the rows and their order, to tell data apart.
    pub(crate) fn data_hash(&self, first_row: u64) -> u64 {
        let keys: Vec<u64> = (0..self.encoded.rows as u64).map(|row| hash(17, first_row + row) | 1).collect();
        let mut sum = 0u64;
        for (field, column) in self.encoded.columns.iter().enumerate() {
            let mut field_sum = 0u64;
            match column {
                Slots::One(slots) => {
                    for (&slot, &key) in slots.iter().zip(&keys) {
                        field_sum = field_sum.wrapping_add(u64::from(slot + 1).wrapping_mul(key));
                    }
                }
                Slots::Many { .. } => {
                    for (row, &key) in keys.iter().enumerate() {
                        let of_row = column.row(row).iter().fold(0, |sum: u64, &slot| hash(sum, u64::from(slot)));
                        field_sum = field_sum.wrapping_add(of_row.wrapping_mul(key));
                    }
                }
            }
            sum = sum.wrapping_add(hash(field as u64, field_sum));
        }
        let labels = self.labels.iter().zip(&keys);
        labels.fold(sum, |sum, (&label, &key)| sum.wrapping_add(if label > 0.5 { key.rotate_left(32) } else { 0 }))
    }
}
