//! Learns factor models: logistic regression, FM and FFM.
//!
//! Weights are learned pass by pass ([`optimizer`]) until rows held out stop improving. Where rows are few, some settings are
//! tried first.

mod blocks;
mod candidate;
mod choose;
mod coding;
mod numbered;
mod optimizer;
mod pace;

use std::iter;
use std::sync::atomic::{AtomicUsize, Ordering};

use clickcast_model::Model;
use clickcast_model::encode::{Encoded, Encoder};
use clickcast_model::factors::{FactorFamily, WeightType};
use clickcast_record::{Batch, Schema};

use crate::groundwork::{Groundwork, HELD_ROWS_MAX};
use crate::held_out::{HeldOut, Row, mean_loss};
use crate::split::Split;
use crate::stopping::until_it_stops_improving;
use crate::{Error, Phase, Source, calibrate};
use blocks::{PIECE_ROWS, Selection, in_random_order};
use candidate::{Candidate, coordinates, default_candidate};
use choose::{Measured, choose};
use numbered::{Numbered, Outcomes};
use optimizer::{Block, Optimizer};

/// Settings are searched for up to this many rows; beyond it a search is not worth the time of its fits. An FFM's fit takes about
/// ten times as long as the others': for 100,000 rows the search took 14 s of one core.
const ROWS_FEW_MAX: u64 = 200_000;
const ROWS_FEW_MAX_FFM: u64 = 110_000;
/// Parts of few rows, each held out once.
const FOLDS: u64 = 3;
/// Share of the rows held out where they are many, and where they are few but have times.
const HELD_SHARE: f64 = 0.1;
const HELD_SHARE_FEW: f64 = 0.2;
/// Rows are kept between passes up to this, as they were read for encoding and encoded for learning; beyond it
/// they are read anew.
const KEPT_BYTES_MAX: u64 = 512 << 20;
/// Weights and their sums of squares together at most; the best pass is kept beside them, so twice this.
const WEIGHTS_BYTES_MAX: usize = 256 << 20;
const EPOCHS_MAX: usize = 20;
/// Steps in which the rows held out are learned at last: each measures them by a copy of the weights.
const STEPS_LAST: usize = 12;

/// What to learn, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The family to learn.
    pub family: FactorFamily,
    /// The same data, seed and settings give the same bytes.
    pub seed: u64,
    /// Threads to learn with; the result does not depend on their number.
    pub threads: usize,
    /// Share of the unclicked rows to learn from, above 0 and up to 1; log-odds are corrected exactly.
    pub sample_negatives: f64,
    /// How the model keeps its weights.
    pub weights: WeightType,
}

/// The rows of a large source, encoded.
struct Rows {
    /// To learn from; `None` if they do not fit in memory.
    kept: Option<Vec<Block>>,
    held: HeldOut<Block>,
    data_hash: u64,
}

impl Rows {
    /// Puts rows that are sorted by their label in random order, if memory allows, and returns a note.
    fn shuffle(&mut self, seed: u64) -> &'static str {
        match &mut self.kept {
            // Meanwhile they are in memory twice.
            Some(blocks) if blocks.iter().map(Block::bytes).sum::<u64>() <= KEPT_BYTES_MAX / 2 => {
                *blocks = vec![Block::shuffled(&blocks.iter().collect::<Vec<_>>(), seed)];
                self.held = std::mem::take(&mut self.held).shuffled(seed);
                "the rows are sorted by their label: learned in random order"
            }
            _ => "the rows are sorted by their label, which learns badly: shuffle the files",
        }
    }
}

/// The result of one fit, on rows of its own.
struct Fit {
    epochs: usize,
    /// The rows held out, by the model that has none of them.
    held: Vec<Row>,
    /// The same rows as they were learned in the end; see [`Trainer::learn_progressively`].
    progressive: Vec<Row>,
}

/// Learns a model, with the profile of its data and golden rows.
///
/// `valid`, where given, is what passes are stopped and the calibration fitted by. Otherwise it is the newest rows if batches
/// have times, else rows taken evenly.
///
/// # Errors
/// [`Error`] as `E`, and whatever the sources fail with.
pub fn train<E: From<Error> + Send>(
    source: &mut dyn Source<E>,
    valid: Option<&mut dyn Source<E>>,
    schema: &Schema,
    settings: &Settings,
) -> Result<Model, E> {
    let (mut kept, mut bytes) = (Some(Vec::new()), 0);
    let base = Groundwork::new(source, valid, schema, settings.seed, |batch, numbers| {
        match (&mut kept, numbers) {
            (Some(batches), Some(numbers)) if bytes <= KEPT_BYTES_MAX => {
                let batch = Numbered::new(batch, numbers)?;
                bytes += batch.bytes() as u64;
                batches.push(batch);
            }
            _ => kept = None,
        }
        Ok(())
    })?;
    let trainer = Trainer { settings, base };
    match kept {
        Some(batches) if trainer.base.survey.rows <= rows_few_max(settings.family) => Ok(trainer.few(&batches)?),
        read => trainer.many(source, read),
    }
}

fn rows_few_max(family: FactorFamily) -> u64 {
    if family == FactorFamily::Ffm { ROWS_FEW_MAX_FFM } else { ROWS_FEW_MAX }
}

struct Trainer<'a> {
    settings: &'a Settings,
    base: Groundwork<'a>,
}

impl Trainer<'_> {
    /// Learns few rows: tries settings on rows held out, then learns all rows by the best.
    fn few(&self, batches: &[Numbered]) -> Result<Model, Error> {
        let trials = self.trials();
        let mut candidates = vec![default_candidate(self.settings.family)];
        let (mut tried, mut measured, mut best) = (Vec::new(), Vec::new(), 0);
        for coordinate in iter::once(Vec::new()).chain(coordinates(self.settings.family)) {
            let changed = coordinate.iter().map(|change| {
                let mut candidate = candidates[best];
                change(&mut candidate);
                candidate
            });
            let new: Vec<Candidate> = changed.filter(|candidate| *candidate != candidates[best]).collect();
            candidates.extend(new);
            for fits in self.cross_fit(&candidates[tried.len()..], batches, &trials)? {
                measured.push(measure(&fits, &trials));
                tried.push(fits);
            }
            best = choose(&measured);
        }
        let (best, fits, loss) = (candidates[best], &tried[best], measured[best].loss());
        let of_folds = fits.iter().zip(&trials).filter(|(_, (split, _))| !matches!(split, Split::Tail(_)));
        let rows: Vec<Row> = of_folds.flat_map(|(fit, _)| fit.progressive.iter().copied()).collect();
        let mut notes = vec![format!(
            "few rows: tried {} settings, took {} with held-out log loss {:.5}",
            candidates.len(),
            describe(&best),
            loss
        )];
        let encoder = self.encoder(&best)?;
        let epochs = fits.iter().map(|fit| fit.epochs).sum::<usize>().div_ceil(fits.len()).max(1);
        let all = self.selection(Split::None, 0);
        let (learn, _, data_hash) = self.encode_all(&all, &encoder, batches)?;
        let optimizer = self.optimizer(&encoder, &best, self.settings.threads);
        for _ in 0..epochs {
            for block in &learn {
                optimizer.learn(block);
            }
        }
        notes.push(format!("learned all rows in {epochs} passes"));
        if self.base.survey.is_sorted_by_label() {
            notes.push("the rows are sorted by their label: learned in random order".to_owned());
        }
        self.finish(encoder, &optimizer, &rows, data_hash, notes)
    }

    /// Learns many rows: one fit by settings that suit them, then the rows held out are learned, too. `read` are the source's
    /// batches, if they were kept.
    fn many<E: From<Error>>(&self, source: &mut dyn Source<E>, read: Option<Vec<Numbered>>) -> Result<Model, E> {
        let share = HELD_SHARE.min(HELD_ROWS_MAX / self.base.survey.rows as f64);
        let selection = self.selection(self.split(share), 0);
        let candidate = default_candidate(self.settings.family);
        let encoder = self.encoder(&candidate)?;
        let mut rows = self.encode_once(source, read, &encoder, &selection)?;
        self.hold_valid(&mut rows.held, &encoder)?;
        let order_note = self.base.survey.is_sorted_by_label().then(|| rows.shuffle(self.settings.seed));
        let Rows { kept, held, data_hash } = rows;
        let mut optimizer = self.optimizer(&encoder, &candidate, self.settings.threads);
        let mut number = 0;
        let loss = |optimizer: &Optimizer| mean_loss(&optimizer.rows(&held.measure));
        let history = until_it_stops_improving(&mut optimizer, loss, EPOCHS_MAX, |optimizer, go_on| {
            number += 1;
            source.begin(Phase::Learn(number));
            match &kept {
                Some(blocks) => {
                    let pieces = in_random_order(blocks, self.settings.seed, number);
                    for (index, (block, rows)) in pieces.iter().enumerate() {
                        optimizer.learn_rows(block, rows.clone());
                        // A look at the held-out rows costs a tenth of a pass; one, at a quarter.
                        if index == pieces.len() / 4 && !go_on() {
                            break;
                        }
                    }
                }
                None => {
                    let mut first_row = 0;
                    source.pass(&mut |batch| {
                        let parted = selection.part(encode(&encoder, &batch)?, Outcomes::of(&batch)?, first_row);
                        first_row += batch.rows as u64;
                        optimizer.learn(&parted.learn);
                        Ok(())
                    })?;
                }
            }
            Ok::<_, E>(())
        })?;
        let rows = self.learn_progressively(&mut optimizer, &held);
        let held_out = history.last().copied().unwrap_or(f64::NAN);
        let mut notes = vec![format!(
            "many rows: took {}; {} passes, held-out log loss {held_out:.5}",
            describe(&candidate),
            history.len()
        )];
        notes.extend(order_note.map(str::to_owned));
        Ok(self.finish(encoder, &optimizer, &rows, data_hash, notes)?)
    }

    /// Encodes all rows, and keeps those to learn where they fit.
    fn encode_once<E: From<Error>>(
        &self,
        source: &mut dyn Source<E>,
        read: Option<Vec<Numbered>>,
        encoder: &Encoder,
        selection: &Selection,
    ) -> Result<Rows, E> {
        let mut rows = Rows { kept: Some(Vec::new()), held: HeldOut::default(), data_hash: 0 };
        let (mut first_row, mut bytes) = (0, 0);
        let mut keep = |encoded: Encoded, outcomes: Outcomes| {
            let encoded_rows = encoded.rows as u64;
            let parted = selection.part(encoded, outcomes, first_row);
            for (piece, block) in iter::once(&parted.learn).chain(&parted.held).enumerate() {
                let first_row = first_row + (piece * PIECE_ROWS) as u64;
                rows.data_hash = rows.data_hash.wrapping_add(block.data_hash(first_row));
            }
            first_row += encoded_rows;
            bytes += parted.learn.bytes();
            match &mut rows.kept {
                Some(kept) if bytes <= KEPT_BYTES_MAX => kept.push(parted.learn),
                _ => rows.kept = None,
            }
            rows.held.add(parted.held, parted.held_learn);
        };
        match read {
            Some(batches) => {
                let places = self.base.survey.places(encoder);
                for batch in batches {
                    let (encoded, outcomes) = batch.into_encoded(encoder, &places)?;
                    keep(encoded, outcomes);
                }
            }
            None => {
                source.begin(Phase::Encode);
                source.pass(&mut |batch| {
                    keep(encode(encoder, &batch)?, Outcomes::of(&batch)?);
                    Ok(())
                })?;
            }
        }
        Ok(rows)
    }

    /// Adds the rows given to measure on.
    fn hold_valid(&self, held: &mut HeldOut<Block>, encoder: &Encoder) -> Result<(), Error> {
        let all = Selection { split: Split::None, fold: 0, seed: self.settings.seed, negatives: 1.0 };
        for batch in &self.base.valid {
            held.measure.push(all.part(encode(encoder, batch)?, Outcomes::of(batch)?, 0).learn);
        }
        Ok(())
    }

    /// Fits each candidate on each fold, several at a time; each fit on one thread.
    fn cross_fit(
        &self,
        candidates: &[Candidate],
        batches: &[Numbered],
        trials: &[(Split, u64)],
    ) -> Result<Vec<Vec<Fit>>, Error> {
        let tasks: Vec<(&Candidate, (Split, u64))> =
            candidates.iter().flat_map(|candidate| trials.iter().map(move |&trial| (candidate, trial))).collect();
        // Threads of its own: a worker of a shared pool that waits for a loop within its fit would begin another fit meanwhile,
        // and hold the memory of both.
        let next = AtomicUsize::new(0);
        let work = || {
            let mut done = Vec::new();
            while let Some((index, &(candidate, (split, fold)))) = take(&next, &tasks) {
                done.push((index, self.fit(candidate, batches, split, fold)));
            }
            done
        };
        let mut fits = std::thread::scope(|scope| {
            let threads = self.settings.threads.min(tasks.len());
            let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
            let join = |worker: std::thread::ScopedJoinHandle<'_, _>| {
                worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            };
            workers.into_iter().flat_map(join).collect::<Vec<_>>()
        });
        fits.sort_by_key(|(index, _)| *index);
        let fits: Vec<Fit> = fits.into_iter().map(|(_, fit)| fit).collect::<Result<_, _>>()?;
        let mut fits = fits.into_iter();
        Ok(candidates.iter().map(|_| fits.by_ref().take(trials.len()).collect()).collect())
    }

    /// Fits a candidate to the rows of a fold, and measures it on those held out.
    fn fit(&self, candidate: &Candidate, batches: &[Numbered], split: Split, fold: u64) -> Result<Fit, Error> {
        let encoder = self.encoder(candidate)?;
        let selection = self.selection(split, fold);
        let (learn, mut held, _) = self.encode_all(&selection, &encoder, batches)?;
        self.hold_valid(&mut held, &encoder)?;
        let mut optimizer = self.optimizer(&encoder, candidate, 1);
        let loss = |optimizer: &Optimizer| mean_loss(&optimizer.rows(&held.measure));
        let history = until_it_stops_improving(&mut optimizer, loss, EPOCHS_MAX, |optimizer, _| {
            learn.iter().for_each(|block| optimizer.learn(block));
            Ok::<_, Error>(())
        })?;
        let rows = optimizer.rows(&held.measure);
        let progressive = self.learn_progressively(&mut optimizer, &held);
        Ok(Fit { epochs: history.len(), held: rows, progressive })
    }

    /// Learns the rows held out, in steps, and returns them as the model saw each before it learned it.
    ///
    /// A calibration must not correct what these rows have taught the model: what the newest day has of its own would be
    /// corrected twice. And a day's level may be its own or the first of more to come: half of it is learned.
    ///
    /// # Source
    /// Blum, Kalai and Langford, "Beating the hold-out", COLT 1999: progressive validation.
    fn learn_progressively(&self, optimizer: &mut Optimizer, held: &HeldOut<Block>) -> Vec<Row> {
        if held.learn.is_empty() {
            return optimizer.rows(&held.measure);
        }
        if self.base.level() == calibrate::Level::Ignored {
            let rows = optimizer.rows(&held.measure);
            optimizer.set_offset(0.5 * calibrate::level_shift(&rows) as f32);
        }
        let step = held.measure.len().div_ceil(STEPS_LAST);
        let mut rows = Vec::new();
        let pieces: Vec<_> = held.pieces().collect();
        for pieces in pieces.chunks(step) {
            rows.extend(optimizer.rows(pieces.iter().map(|(measure, _)| *measure)));
            pieces.iter().for_each(|(_, learn)| optimizer.learn(learn));
        }
        rows
    }

    /// Returns the parts of few rows that each candidate is tried on, each held out once.
    ///
    /// Without times the last rows are one more part: files are often written in the order of time, and what
    /// tomorrow brings is more like their end. In files of no order it is a part like any other.
    fn trials(&self) -> Vec<(Split, u64)> {
        match self.split(HELD_SHARE_FEW) {
            Split::Folds(_) => {
                let tail = (self.base.survey.rows as f64 * (1.0 - HELD_SHARE_FEW)) as u64;
                let folds = (0..FOLDS).map(|fold| (Split::Folds(FOLDS), fold));
                folds.chain([(Split::Tail(tail), 0)]).collect()
            }
            split => vec![(split, 0)],
        }
    }

    /// Blocks to learn from, rows held out, and the data's hash.
    fn encode_all(
        &self,
        selection: &Selection,
        encoder: &Encoder,
        batches: &[Numbered],
    ) -> Result<(Vec<Block>, HeldOut<Block>, u64), Error> {
        let places = self.base.survey.places(encoder);
        let (mut learn, mut held, mut data_hash) = (Vec::new(), HeldOut::default(), 0u64);
        let mut first_row = 0;
        for batch in batches {
            let (encoded, outcomes) = batch.clone().into_encoded(encoder, &places)?;
            let parted = selection.part(encoded, outcomes, first_row);
            data_hash = data_hash.wrapping_add(parted.learn.data_hash(first_row));
            first_row += batch.rows as u64;
            learn.push(parted.learn);
            held.add(parted.held, parted.held_learn);
        }
        if self.base.survey.is_sorted_by_label() {
            learn = vec![Block::shuffled(&learn.iter().collect::<Vec<_>>(), selection.seed)];
            held = held.shuffled(selection.seed);
        }
        Ok((learn, held, data_hash))
    }

    fn split(&self, share: f64) -> Split {
        // Few rows fall into few folds, so that all can be tried.
        let few = self.base.survey.rows <= rows_few_max(self.settings.family);
        let folds = if few { FOLDS } else { (1.0 / share).round() as u64 };
        self.base.split(share, folds)
    }

    fn selection(&self, split: Split, fold: u64) -> Selection {
        Selection { split, fold, seed: self.settings.seed, negatives: self.settings.sample_negatives }
    }

    fn encoder(&self, candidate: &Candidate) -> Result<Encoder, Error> {
        let fields = self.base.schema.features().len();
        let numbers = match candidate.family {
            FactorFamily::Lr => 3,
            FactorFamily::Fm => 2 * (candidate.k + 1),
            FactorFamily::Ffm => 2 * candidate.k * fields,
        };
        self.base.survey.encoder(candidate.bins, candidate.count_min, WEIGHTS_BYTES_MAX / (4 * numbers))
    }

    fn optimizer(&self, encoder: &Encoder, candidate: &Candidate, threads: usize) -> Optimizer {
        let Settings { seed, sample_negatives, .. } = *self.settings;
        let negative_weight = (self.base.survey.weight - self.base.survey.positive_weight) * sample_negatives;
        let intercept = (self.base.survey.positive_weight / negative_weight).ln() as f32;
        let shift = sample_negatives.ln() as f32;
        let shape = candidate.shape(encoder);
        Optimizer::new(encoder, shape, candidate.rates, intercept, shift, seed, threads)
    }

    fn finish(
        &self,
        encoder: Encoder,
        optimizer: &Optimizer,
        held: &[Row],
        data_hash: u64,
        notes: Vec<String>,
    ) -> Result<Model, Error> {
        let factors = optimizer.factors(&encoder)?.into_type(self.settings.weights);
        let (calibration, training) = self.base.report(held, data_hash, notes);
        let model = Model::from_factors(self.base.schema.clone(), encoder, factors, calibration, training)?;
        self.base.complete(model)
    }
}

/// Takes the next task, with its number.
fn take<'a, T>(next: &AtomicUsize, tasks: &'a [T]) -> Option<(usize, &'a T)> {
    let index = next.fetch_add(1, Ordering::Relaxed);
    tasks.get(index).map(|task| (index, task))
}

fn encode(encoder: &Encoder, batch: &Batch) -> Result<Encoded, Error> {
    let mut encoded = Encoded::default();
    encoder.encode(batch, &mut encoded)?;
    Ok(encoded)
}

fn measure(fits: &[Fit], trials: &[(Split, u64)]) -> Measured {
    let mut measured = Measured::default();
    for (fit, (split, _)) in fits.iter().zip(trials) {
        match split {
            Split::Tail(_) => measured.set_tail(&fit.held),
            _ => measured.add(&fit.held),
        }
    }
    measured
}

fn describe(candidate: &Candidate) -> String {
    let Candidate { family, k, bins, count_min, rates } = candidate;
    let common = format!("{bins} bins, values seen {count_min} times");
    match family {
        FactorFamily::Lr => format!("alpha {}, l1 {}, l2 {}, {common}", rates.rate, rates.l1, rates.l2),
        _ => format!("k {k}, rate {}, l2 {:e}, linear l2 {:e}, {common}", rates.rate, rates.l2, rates.l2_linear),
    }
}
