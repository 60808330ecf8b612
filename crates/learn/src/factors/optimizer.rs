//! Learning weights by stochastic gradient descent, on any number of threads to the same bits.
//!
//! Rows are taken a few at a time. First the threads share the rows: with all weights readable,
//! each finds its rows' errors and gradients' directions. Then they share the fields: each updates
//! the slots of its own fields, row after row. Neither step depends on how many threads there are,
//! and no two threads ever write the same slot.

use std::time::Instant;

use clickcast_kernel::descent::{Ftrl, FtrlConstants, adagrad, adagrad_step, ftrl_gather, ftrl_scatter};
use clickcast_kernel::factors::prefetch;
use clickcast_model::encode::{Encoded, Encoder, Slots, value_of};
use clickcast_model::factors::{FactorFamily, Factors, Shape, sum_slots};
use parking_lot::{Mutex, RwLock, RwLockReadGuard};
use rayon::prelude::*;

use super::pace::Pace;
use crate::Error;
use crate::barrier::Barrier;
use crate::held_out::Row;
use crate::random::{hash, uniform};
use crate::stopping::Learner;

/// Rows taken together; their gradients see the same weights. Few for an FFM, whose directions
/// (24 KB a row of 39 fields) should stay in the cache.
const ROWS_LR: usize = 64;
const ROWS_FM: usize = 16;
const ROWS_FFM: usize = 8;
/// Rows that one thread scores at a time.
const ROWS_SCORED: usize = 256;
/// The intercept starts at the data's log-odds and has little left to learn.
const INTERCEPT_RATE: f32 = 0.02;

/// Encoded rows with their labels.
#[derive(Debug, Clone, Default)]
pub(crate) struct Block {
    pub(crate) encoded: Encoded,
    /// 0 or 1.
    pub(crate) labels: Vec<f32>,
    /// All 1 where absent.
    pub(crate) weights: Option<Vec<f32>>,
}

/// The rates of learning.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rates {
    /// Learning rate of factors, or FTRL's alpha.
    pub(crate) rate: f32,
    /// Learning rate of an FM's or FFM's linear weights.
    pub(crate) rate_linear: f32,
    /// For FTRL only.
    pub(crate) l1: f32,
    /// Pulls factors (FTRL: weights) to zero; for AdaGrad at every visit.
    pub(crate) l2: f32,
    /// As `l2`, for an FM's or FFM's linear weights.
    pub(crate) l2_linear: f32,
    /// Factors start evenly within plus or minus this over the root of k.
    pub(crate) init: f32,
    /// What sums of squared gradients start at.
    pub(crate) square: f32,
}

/// Weights while they are learned.
pub(crate) struct Optimizer {
    shape: Shape,
    rates: Rates,
    /// Added to log-odds when scoring, not when learning: the correction for sampled negatives.
    shift: f32,
    offset: f32,
    regions: Vec<RwLock<Region>>,
    /// Each field's region.
    region_of: Vec<usize>,
    intercept: RwLock<Intercept>,
    pace: Mutex<Pace>,
}

/// The states of some neighbouring fields' slots.
#[derive(Clone)]
struct Region {
    fields: std::ops::Range<usize>,
    first_slot: u32,
    state: State,
}

#[derive(Clone)]
enum State {
    Ftrl(Vec<Ftrl>),
    /// `[slots, 2, stride]`: weights, then their sums of squared gradients.
    AdaGrad(Vec<f32>),
}

#[derive(Clone, Copy)]
struct Intercept {
    weight: f32,
    square: f32,
}

/// Everything that learning changes, to go back to.
pub(crate) struct Snapshot {
    states: Vec<State>,
    intercept: Intercept,
}

/// One thread's rows of those taken together.
#[derive(Default)]
struct Chunk {
    rows: std::ops::Range<usize>,
    /// Of each row's loss by its log-odds.
    gradients: Vec<f32>,
    directions: Vec<f32>,
}

impl Optimizer {
    pub(crate) fn new(
        encoder: &Encoder,
        shape: Shape,
        rates: Rates,
        intercept: f32,
        shift: f32,
        seed: u64,
        threads: usize,
    ) -> Self {
        let fields = encoder.fields();
        let regions_count = threads.clamp(1, fields.max(1));
        let mut region_of = vec![0; fields];
        let regions = (0..regions_count).map(|index| {
            let range = index * fields / regions_count..(index + 1) * fields / regions_count;
            region_of[range.clone()].fill(index);
            let (first, end) = (encoder.first_slot(range.start), encoder.first_slot(range.end));
            let state = match shape.family {
                FactorFamily::Lr => State::Ftrl(vec![Ftrl::default(); (end - first) as usize]),
                FactorFamily::Fm | FactorFamily::Ffm => {
                    let mut numbers = Vec::with_capacity((end - first) as usize * 2 * shape.stride());
                    for field in range.clone() {
                        for slot in encoder.first_slot(field)..encoder.first_slot(field + 1) {
                            start_slot(&mut numbers, shape, field, rates, hash(seed, u64::from(slot)));
                        }
                    }
                    State::AdaGrad(numbers)
                }
            };
            RwLock::new(Region { fields: range, first_slot: first, state })
        });
        let regions = regions.collect();
        let intercept = RwLock::new(Intercept { weight: intercept, square: 1.0 });
        Self { shape, rates, shift, offset: 0.0, regions, region_of, intercept, pace: Mutex::default() }
    }

    /// Raises the model's log-odds by an offset in all learning that follows, so that this difference is not learned.
    pub(crate) fn set_offset(&mut self, offset: f32) {
        self.offset = offset;
    }

    /// Learns every row once, in order.
    pub(crate) fn learn(&self, block: &Block) {
        self.learn_rows(block, 0..block.encoded.rows);
    }

    /// Learns some rows of a block once, in order.
    pub(crate) fn learn_rows(&self, block: &Block, rows: std::ops::Range<usize>) {
        let (start, threads) = (Instant::now(), self.pace.lock().threads(self.regions.len()));
        let count = rows.len();
        self.learn_with(block, rows, threads);
        self.pace.lock().add(threads, count, start.elapsed());
    }

    fn learn_with(&self, block: &Block, rows: std::ops::Range<usize>, threads: usize) {
        let barrier = Barrier::new(threads);
        let chunks: Vec<RwLock<Chunk>> = (0..threads).map(|_| RwLock::default()).collect();
        let work = |thread: usize| {
            let member = barrier.join();
            let rows_together = match self.shape.family {
                FactorFamily::Lr => ROWS_LR,
                FactorFamily::Fm => ROWS_FM,
                FactorFamily::Ffm => ROWS_FFM,
            };
            let mut scratch = Vec::new();
            for first in rows.clone().step_by(rows_together) {
                let count = rows_together.min(rows.end - first);
                {
                    let mut chunk = chunks[thread].write();
                    chunk.rows = first + thread * count / threads..first + (thread + 1) * count / threads;
                    self.find_gradients(block, &mut chunk);
                }
                member.wait();
                let chunks: Vec<_> = chunks.iter().map(RwLock::read).collect();
                if thread == 0 {
                    self.update_intercept(&chunks);
                }
                for region in self.regions.iter().skip(thread).step_by(threads) {
                    let mut region = region.write();
                    match self.shape.family {
                        FactorFamily::Lr => self.update_linear(&mut region, block, &chunks),
                        _ => self.update_factors(&mut region, block, &chunks, &mut scratch),
                    }
                }
                drop(chunks);
                member.wait();
            }
        };
        std::thread::scope(|scope| {
            for thread in 1..threads {
                let work = &work;
                scope.spawn(move || work(thread));
            }
            work(0);
        });
    }

    /// Returns every row's log-odds, equal to those of the model that [`Optimizer::factors`] makes but for its weights' type.
    pub(crate) fn log_odds(&self, block: &Block) -> Vec<f32> {
        let regions: Vec<_> = self.regions.iter().map(RwLock::read).collect();
        let mut all = vec![self.intercept.read().weight + self.shift; block.encoded.rows];
        all.par_chunks_mut(ROWS_SCORED).enumerate().for_each(|(index, log_odds)| {
            let first = index * ROWS_SCORED;
            let rows = first..first + log_odds.len();
            match self.shape.family {
                FactorFamily::Lr => self.add_linear(&regions, block, rows, log_odds),
                _ => self.add_factors(&regions, block, rows, log_odds, None),
            }
        });
        all
    }

    /// Returns held-out rows as the model sees them now.
    pub(crate) fn rows<'a>(&self, held_out: impl IntoIterator<Item = &'a Block>) -> Vec<Row> {
        let mut rows = Vec::new();
        for block in held_out {
            let weight = |row: usize| block.weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
            let log_odds = self.log_odds(block).into_iter().enumerate();
            rows.extend(log_odds.map(|(row, z)| (f64::from(z), block.labels[row] > 0.5, weight(row))));
        }
        rows
    }

    /// The first step: the chunk's rows' gradients and directions.
    fn find_gradients(&self, block: &Block, chunk: &mut Chunk) {
        let regions: Vec<_> = self.regions.iter().map(RwLock::read).collect();
        let Chunk { rows, gradients, directions } = chunk;
        gradients.clear();
        gradients.resize(rows.len(), self.intercept.read().weight + self.offset);
        match self.shape.family {
            FactorFamily::Lr => self.add_linear(&regions, block, rows.clone(), gradients),
            _ => self.add_factors(&regions, block, rows.clone(), gradients, Some(directions)),
        }
        for (row, value) in rows.clone().zip(gradients) {
            let weight = block.weights.as_ref().map_or(1.0, |weights| weights[row]);
            *value = weight * logistic_gradient(*value, block.labels[row]);
        }
    }

    fn add_linear(
        &self,
        regions: &[RwLockReadGuard<'_, Region>],
        block: &Block,
        rows: std::ops::Range<usize>,
        sums: &mut [f32],
    ) {
        for (column, &region) in block.encoded.columns.iter().zip(&self.region_of) {
            let region = &regions[region];
            let State::Ftrl(states) = &region.state else { continue };
            match column {
                Slots::One(slots) => ftrl_gather(states, region.first_slot, &slots[rows.clone()], sums),
                Slots::Many { .. } => {
                    for (row, sum) in rows.clone().zip(&mut *sums) {
                        let slots = column.row(row);
                        let weight = |&slot: &u32| states[(slot - region.first_slot) as usize].weight;
                        *sum += value_of(slots.len()) * slots.iter().map(weight).sum::<f32>();
                    }
                }
            }
        }
    }

    /// Adds to the rows' log-odds; where their directions are asked for, rows are to be learned, and else slots that no
    /// row touched add nothing.
    fn add_factors(
        &self,
        regions: &[RwLockReadGuard<'_, Region>],
        block: &Block,
        rows: std::ops::Range<usize>,
        log_odds: &mut [f32],
        mut directions: Option<&mut Vec<f32>>,
    ) {
        let (stride, fields) = (self.shape.stride(), self.shape.fields);
        if let Some(directions) = &mut directions {
            directions.resize(rows.len() * fields * stride, 0.0);
        }
        let lists = block.encoded.columns.iter().filter(|column| matches!(column, Slots::Many { .. })).count();
        let (mut summed, mut sum, zeros) = (vec![0.0; lists * stride], vec![0.0; stride], vec![0.0; stride]);
        let learns = directions.is_some();
        let vector = |field: usize, slot: u32| {
            let region = &regions[self.region_of[field]];
            if learns || self.is_touched(region, field, slot) { region.weights(slot, stride) } else { &zeros[..] }
        };
        for (index, row) in rows.enumerate() {
            if row + 1 < block.encoded.rows {
                for (field, column) in block.encoded.columns.iter().enumerate() {
                    if let Slots::One(slots) = column {
                        prefetch(regions[self.region_of[field]].weights(slots[row + 1], stride));
                    }
                }
            }
            let mut free = summed.chunks_exact_mut(stride);
            let mut vectors: Vec<&[f32]> = Vec::with_capacity(fields);
            for (field, column) in block.encoded.columns.iter().enumerate() {
                match column.row(row) {
                    [slot] => vectors.push(vector(field, *slot)),
                    slots => {
                        let Some(total) = free.next() else { continue };
                        sum_slots(slots.iter().map(|&slot| vector(field, slot)), total);
                        vectors.push(total);
                    }
                }
            }
            log_odds[index] += self.shape.log_odds(&vectors, &mut sum);
            if let Some(directions) = &mut directions {
                let directions = &mut directions[index * fields * stride..][..fields * stride];
                self.shape.directions(&vectors, &mut sum, directions);
            }
        }
    }

    /// Returns whether a row that was learned had the slot.
    #[inline]
    fn is_touched(&self, region: &Region, field: usize, slot: u32) -> bool {
        let stride = self.shape.stride();
        region.squares(slot, stride)[self.shape.linear(field)] != self.rates.square
    }

    /// What one thread does for all: moves the intercept.
    fn update_intercept(&self, chunks: &[RwLockReadGuard<'_, Chunk>]) {
        let gradients = chunks.iter().flat_map(|chunk| &chunk.gradients);
        let gradient = gradients.map(|&value| f64::from(value)).sum::<f64>() as f32;
        let mut intercept = self.intercept.write();
        intercept.square += gradient * gradient;
        intercept.weight -= INTERCEPT_RATE * gradient / intercept.square.sqrt();
    }

    /// The second step for logistic regression.
    fn update_linear(&self, region: &mut Region, block: &Block, chunks: &[RwLockReadGuard<'_, Chunk>]) {
        let Rates { rate, l1, l2, .. } = self.rates;
        let constants = FtrlConstants { inverse_rate: rate.recip(), beta: 1.0, l1, l2 };
        let State::Ftrl(states) = &mut region.state else { return };
        for field in region.fields.clone() {
            let column = &block.encoded.columns[field];
            for chunk in chunks {
                match column {
                    Slots::One(slots) => {
                        let slots = &slots[chunk.rows.clone()];
                        ftrl_scatter(states, region.first_slot, slots, &chunk.gradients, &constants);
                    }
                    Slots::Many { .. } => {
                        for (row, gradient) in chunk.rows.clone().zip(&chunk.gradients) {
                            let slots = column.row(row);
                            let gradient = gradient * value_of(slots.len());
                            for &slot in slots {
                                states[(slot - region.first_slot) as usize].step(gradient, &constants);
                            }
                        }
                    }
                }
            }
        }
    }

    /// The second step for factorization machines.
    fn update_factors(
        &self,
        region: &mut Region,
        block: &Block,
        chunks: &[RwLockReadGuard<'_, Chunk>],
        slots_of: &mut Vec<u32>,
    ) {
        let (stride, fields) = (self.shape.stride(), self.shape.fields);
        let Rates { rate, rate_linear, l2, l2_linear, .. } = self.rates;
        for chunk in chunks {
            for (index, row) in chunk.rows.clone().enumerate() {
                if row + 1 < block.encoded.rows {
                    for field in region.fields.clone() {
                        if let Slots::One(slots) = &block.encoded.columns[field] {
                            prefetch(region.squares(slots[row + 1], stride));
                        }
                    }
                }
                let directions = &chunk.directions[index * fields * stride..][..fields * stride];
                for field in region.fields.clone() {
                    let direction = &directions[field * stride..][..stride];
                    slots_of.clear();
                    slots_of.extend_from_slice(block.encoded.columns[field].row(row));
                    let scale = chunk.gradients[index] * value_of(slots_of.len());
                    let linear = self.shape.linear(field);
                    for &slot in &*slots_of {
                        let (weights, squares) = region.slot_mut(slot, stride);
                        let (weight, square) = (weights[linear], squares[linear]);
                        adagrad(weights, squares, direction, scale, rate, l2);
                        (weights[linear], squares[linear]) =
                            adagrad_step(weight, square, scale, rate_linear, l2_linear);
                    }
                }
            }
        }
    }

    /// Returns the model as it is now. A slot that no row touched adds nothing.
    pub(crate) fn factors(&self, encoder: &Encoder) -> Result<Factors, Error> {
        let stride = self.shape.stride();
        let mut weights = Vec::with_capacity(encoder.slots() as usize * stride);
        for region in &self.regions {
            let region = region.read();
            match &region.state {
                State::Ftrl(states) => weights.extend(states.iter().map(|state| state.weight)),
                State::AdaGrad(_) => {
                    for field in region.fields.clone() {
                        for slot in encoder.first_slot(field)..encoder.first_slot(field + 1) {
                            if self.is_touched(&region, field, slot) {
                                weights.extend_from_slice(region.weights(slot, stride));
                            } else {
                                weights.resize(weights.len() + stride, 0.0);
                            }
                        }
                    }
                }
            }
        }
        let intercept = self.intercept.read().weight;
        let mut factors = Factors::new(self.shape, intercept, weights, encoder).map_err(|_| Error::Diverged)?;
        factors.shift(self.shift);
        Ok(factors)
    }
}

impl Learner for Optimizer {
    type Snapshot = Snapshot;

    /// Fresh memory of this size costs as much as some thousand rows.
    fn snapshot(&self, older: Option<Snapshot>) -> Snapshot {
        let intercept = *self.intercept.read();
        let Some(Snapshot { mut states, .. }) = older else {
            let states = self.regions.iter().map(|region| region.read().state.clone()).collect();
            return Snapshot { states, intercept };
        };
        for (state, region) in states.iter_mut().zip(&self.regions) {
            match (state, &region.read().state) {
                (State::AdaGrad(older), State::AdaGrad(numbers)) => older.clone_from(numbers),
                (state, newer) => *state = newer.clone(),
            }
        }
        Snapshot { states, intercept }
    }

    fn restore(&mut self, snapshot: Snapshot) {
        for (region, state) in self.regions.iter().zip(snapshot.states) {
            region.write().state = state;
        }
        *self.intercept.write() = snapshot.intercept;
    }
}

impl Region {
    #[inline]
    fn weights(&self, slot: u32, stride: usize) -> &[f32] {
        match &self.state {
            State::AdaGrad(numbers) => &numbers[(slot - self.first_slot) as usize * 2 * stride..][..stride],
            State::Ftrl(_) => &[],
        }
    }

    #[inline]
    fn squares(&self, slot: u32, stride: usize) -> &[f32] {
        match &self.state {
            State::AdaGrad(numbers) => &numbers[((slot - self.first_slot) as usize * 2 + 1) * stride..][..stride],
            State::Ftrl(_) => &[],
        }
    }

    #[inline]
    fn slot_mut(&mut self, slot: u32, stride: usize) -> (&mut [f32], &mut [f32]) {
        match &mut self.state {
            State::AdaGrad(numbers) => {
                numbers[(slot - self.first_slot) as usize * 2 * stride..][..2 * stride].split_at_mut(stride)
            }
            State::Ftrl(_) => (&mut [], &mut []),
        }
    }
}

/// Appends a slot's starting state: factors at random, the linear weight zero.
fn start_slot(numbers: &mut Vec<f32>, shape: Shape, field: usize, rates: Rates, seed: u64) {
    let stride = shape.stride();
    let linear = shape.linear(field);
    let own = match shape.family {
        FactorFamily::Ffm => linear..linear + shape.k,
        FactorFamily::Lr | FactorFamily::Fm => linear..linear + 1,
    };
    let width = rates.init / (shape.k.max(1) as f32).sqrt();
    for index in 0..stride {
        let random = 2.0 * uniform(seed, index as u64) as f32 - 1.0;
        numbers.push(if own.contains(&index) { 0.0 } else { width * random });
    }
    numbers.resize(numbers.len() + stride, rates.square);
}

/// Returns the derivative of the log loss by the log-odds.
#[inline]
fn logistic_gradient(log_odds: f32, label: f32) -> f32 {
    let margin = if label > 0.5 { log_odds } else { -log_odds };
    let small = (-margin.abs()).exp();
    let wrong = if margin >= 0.0 { small / (1.0 + small) } else { 1.0 / (1.0 + small) };
    if label > 0.5 { -wrong } else { wrong }
}

#[cfg(test)]
mod tests;
