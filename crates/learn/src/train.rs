//! From labelled batches to a calibrated model.

use std::iter;
use std::sync::Mutex;

use clickcast_model::artifact::Training;
use clickcast_model::calibration::Calibration;
use clickcast_model::encode::{Encoded, Encoder};
use clickcast_model::factors::{FactorFamily, Factors, WeightType};
use clickcast_model::golden;
use clickcast_model::metrics::Accumulator;
use clickcast_model::profile::{self, Collector};
use clickcast_record::{Batch, Schema};

use crate::Error;
use crate::blocks::{PIECE_ROWS, Selection, Split, in_random_order};
use crate::calibrate::{self, Level, Row, level_shift};
use crate::choose::{Measured, choose};
use crate::fit::{Candidate, coordinates, default_candidate, until_it_stops_improving};
use crate::held::{Held, held_rows};
use crate::numbered::{Numbered, Outcomes};
use crate::optimizer::{Block, Optimizer};
use crate::profile::Profile;

/// Up to so many rows settings are searched for; above, one fit takes longer than they are worth. An FFM's fit takes
/// about ten times as long as the others': for 100,000 rows the search took 14 s of one core.
const ROWS_FEW_MAX: u64 = 200_000;
const ROWS_FEW_MAX_FFM: u64 = 110_000;
/// Parts of few rows, each held out once.
const FOLDS: u64 = 3;
/// Share of the rows held out where they are many, and where they are few but have times.
const HELD_SHARE: f64 = 0.1;
const HELD_SHARE_FEW: f64 = 0.2;
/// Rows held out at most: enough to see 0.0005 of log loss, and 160 MB of 40 features.
const HELD_ROWS_MAX: f64 = 1e6;
/// Rows are kept between passes up to this, as they were read for encoding and encoded for learning; beyond it
/// they are read anew.
const KEPT_BYTES_MAX: u64 = 512 << 20;
/// Weights and their sums of squares together at most; the best pass is kept beside them, so twice this.
const WEIGHTS_BYTES_MAX: usize = 256 << 20;
const EPOCHS_MAX: usize = 20;
/// Steps in which the rows held out are learned at last: each measures them by a copy of the weights.
const STEPS_LAST: usize = 12;

/// Labelled rows that can be gone through again and again, in one order.
pub trait Source<E> {
    /// Goes through all rows once, batch by batch.
    ///
    /// # Errors
    /// Of reading, and of `each`.
    fn pass(&mut self, each: &mut dyn FnMut(Batch) -> Result<(), E>) -> Result<(), E>;

    /// Told what the next pass is for.
    fn begin(&mut self, _phase: Phase) {}
}

/// What a pass is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// To see what values there are.
    Profile,
    /// To encode the rows.
    Encode,
    /// To learn, for the so-manieth time from 1.
    Learn(usize),
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// The family to learn.
    pub family: FactorFamily,
    /// The same data, seed and settings give the same bytes.
    pub seed: u64,
    /// Threads to learn with; the result doesn't depend on them.
    pub threads: usize,
    /// Share of the unclicked rows to learn from, above 0 and up to 1; log-odds are corrected exactly.
    pub sample_negatives: f64,
    /// How the model keeps its weights.
    pub weights: WeightType,
}

/// A model and how it came to be.
#[derive(Debug)]
pub struct Trained {
    /// From batches to slots.
    pub encoder: Encoder,
    /// The weights.
    pub factors: Factors,
    /// Fitted on rows held out.
    pub calibration: Calibration,
    /// For the artifact.
    pub training: Training,
    /// What the rows looked like, for whoever judges the model.
    pub profile: profile::Profile,
    /// Some of the rows, for whoever wants to see that the model still says the same of them.
    pub golden: golden::Rows,
}

/// The rows of a large source, encoded.
struct Rows {
    /// To learn from; none where they don't fit in memory.
    kept: Option<Vec<Block>>,
    held: Held,
    data_hash: u64,
}

impl Rows {
    /// Puts rows that are sorted by their label in random order, if that can be; gives the note for it.
    fn shuffle(&mut self, seed: u64) -> &'static str {
        match &mut self.kept {
            // They are in memory twice meanwhile.
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
    /// The same as they were learned in the end; see [`Trainer::learn_progressively`].
    progressive: Vec<Row>,
}

/// Learns a model.
///
/// `valid`, where given, is what passes are stopped and the calibration fitted by. Otherwise it is
/// the newest rows where batches have times, else rows taken evenly.
///
/// # Errors
/// [`Error`] as `E`, and whatever the sources fail with.
pub fn train<E: From<Error> + Send>(
    source: &mut dyn Source<E>,
    valid: Option<&mut dyn Source<E>>,
    schema: &Schema,
    settings: &Settings,
) -> Result<Trained, E> {
    let mut profile = Profile::new(schema.features(), settings.seed);
    let (mut collector, mut golden) = (Collector::new(schema.features()), golden::Rows::default());
    let (mut kept, mut bytes) = (Some(Vec::new()), 0);
    source.begin(Phase::Profile);
    source.pass(&mut |batch| {
        if golden.is_empty() {
            golden = golden::Rows::of(&batch);
        }
        let numbers = rayon::join(|| profile.add(&batch), || collector.add_rows(&batch)).0?;
        match &mut kept {
            Some(batches) if bytes <= KEPT_BYTES_MAX && profile.numbers_hold => {
                let batch = Numbered::new(batch, numbers)?;
                bytes += batch.bytes() as u64;
                batches.push(batch);
            }
            _ => kept = None,
        }
        Ok(())
    })?;
    check(&profile)?;
    let mut valid_batches = Vec::new();
    if let Some(valid) = valid {
        valid.begin(Phase::Encode);
        let (mut rows, mut weight) = (0, 0.0);
        valid.pass(&mut |batch| {
            rows += batch.rows as u64;
            if rows <= HELD_ROWS_MAX as u64 {
                weight +=
                    batch.weights.as_ref().map_or(batch.rows as f64, |all| all.iter().map(|&w| f64::from(w)).sum());
                valid_batches.push(batch);
            }
            Ok(())
        })?;
        if weight <= 0.0 {
            return Err(Error::NoValidRows { rows }.into());
        }
    }
    let described = collector.profile_with(profile.distinct());
    let trainer = Trainer { schema, settings, profile: &profile, described, golden, valid: &valid_batches };
    match kept {
        Some(batches) if profile.rows <= rows_few_max(settings.family) => Ok(trainer.few(&batches)?),
        read => trainer.many(source, read),
    }
}

fn rows_few_max(family: FactorFamily) -> u64 {
    if family == FactorFamily::Ffm { ROWS_FEW_MAX_FFM } else { ROWS_FEW_MAX }
}

fn check(profile: &Profile) -> Result<(), Error> {
    if profile.rows == 0 {
        return Err(Error::NoRows);
    }
    if profile.positives == 0 || profile.positives == profile.rows {
        return Err(Error::OneClass { rows: profile.rows, clicked: profile.positives > 0 });
    }
    if profile.positive_weight <= 0.0 || profile.positive_weight >= profile.weight {
        return Err(Error::NoWeight);
    }
    Ok(())
}

struct Trainer<'a> {
    schema: &'a Schema,
    settings: &'a Settings,
    profile: &'a Profile,
    described: profile::Profile,
    golden: golden::Rows,
    valid: &'a [Batch],
}

impl Trainer<'_> {
    /// Few rows: tries settings on rows held out, then learns all rows by the best.
    fn few(&self, batches: &[Numbered]) -> Result<Trained, Error> {
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
        if self.profile.is_sorted_by_label() {
            notes.push("the rows are sorted by their label: learned in random order".to_owned());
        }
        self.finish(encoder, &optimizer, &rows, data_hash, notes)
    }

    /// Many rows: one fit by settings that hold there, then the rows held out are learned too. `read` are the source's
    /// batches where they were kept.
    fn many<E: From<Error>>(&self, source: &mut dyn Source<E>, read: Option<Vec<Numbered>>) -> Result<Trained, E> {
        let share = HELD_SHARE.min(HELD_ROWS_MAX / self.profile.rows as f64);
        let selection = self.selection(self.split(share), 0);
        let candidate = default_candidate(self.settings.family);
        let encoder = self.encoder(&candidate)?;
        let mut rows = self.encode_once(source, read, &encoder, &selection)?;
        self.hold_valid(&mut rows.held, &encoder)?;
        let order_note = self.profile.is_sorted_by_label().then(|| rows.shuffle(self.settings.seed));
        let Rows { kept, held, data_hash } = rows;
        let mut optimizer = self.optimizer(&encoder, &candidate, self.settings.threads);
        let mut number = 0;
        let history = until_it_stops_improving(&mut optimizer, &held.measure, EPOCHS_MAX, |optimizer, go_on| {
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
        let mut rows = Rows { kept: Some(Vec::new()), held: Held::default(), data_hash: 0 };
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
                let places = self.profile.places(encoder);
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
    fn hold_valid(&self, held: &mut Held, encoder: &Encoder) -> Result<(), Error> {
        let all = Selection { split: Split::None, fold: 0, seed: self.settings.seed, negatives: 1.0 };
        for batch in self.valid {
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
        let next = Mutex::new(0);
        let results: Vec<Mutex<Option<Result<Fit, Error>>>> = tasks.iter().map(|_| Mutex::default()).collect();
        let lock = |mutex: &Mutex<usize>| {
            let mut next = mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *next += 1;
            *next - 1
        };
        std::thread::scope(|scope| {
            for _ in 0..self.settings.threads.min(tasks.len()) {
                scope.spawn(|| {
                    loop {
                        let index = lock(&next);
                        let Some(&(candidate, (split, fold))) = tasks.get(index) else { break };
                        let fit = self.fit(candidate, batches, split, fold);
                        *results[index].lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(fit);
                    }
                });
            }
        });
        let results = results.into_iter().map(|result| {
            result.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).unwrap_or(Err(Error::NoRows))
        });
        let fits: Vec<Fit> = results.collect::<Result<_, _>>()?;
        let mut fits = fits.into_iter();
        Ok(candidates.iter().map(|_| fits.by_ref().take(trials.len()).collect()).collect())
    }

    /// One fit on the rows of a fold, measured on those held out.
    fn fit(&self, candidate: &Candidate, batches: &[Numbered], split: Split, fold: u64) -> Result<Fit, Error> {
        let encoder = self.encoder(candidate)?;
        let selection = self.selection(split, fold);
        let (learn, mut held, _) = self.encode_all(&selection, &encoder, batches)?;
        self.hold_valid(&mut held, &encoder)?;
        let mut optimizer = self.optimizer(&encoder, candidate, 1);
        let history = until_it_stops_improving(&mut optimizer, &held.measure, EPOCHS_MAX, |optimizer, _| {
            learn.iter().for_each(|block| optimizer.learn(block));
            Ok::<_, Error>(())
        })?;
        let rows = held_rows(&optimizer, &held.measure);
        let progressive = self.learn_progressively(&mut optimizer, &held);
        Ok(Fit { epochs: history.len(), held: rows, progressive })
    }

    /// Learns the rows held out at last, in steps; answers with what the model said of each before it learned it.
    ///
    /// A calibration must not correct what these rows have taught the model: what the newest day has of its own would be
    /// corrected twice. And a day's level may be its own or the first of more to come: half of it is learned.
    ///
    /// # Source
    /// Blum, Kalai and Langford, "Beating the hold-out", COLT 1999: progressive validation.
    fn learn_progressively(&self, optimizer: &mut Optimizer, held: &Held) -> Vec<Row> {
        if held.learn.is_empty() {
            return held_rows(optimizer, &held.measure);
        }
        if self.level() == Level::Ignored {
            let rows = held_rows(optimizer, &held.measure);
            optimizer.set_offset(0.5 * level_shift(&rows) as f32);
        }
        let step = held.measure.len().div_ceil(STEPS_LAST);
        let mut rows = Vec::new();
        let pieces: Vec<_> = held.pieces().collect();
        for pieces in pieces.chunks(step) {
            rows.extend(held_rows(optimizer, pieces.iter().map(|(measure, _)| *measure)));
            pieces.iter().for_each(|(_, learn)| optimizer.learn(learn));
        }
        rows
    }

    /// Whether a calibration is fitted to the level of the rows held out. A day's level is its own; rows held out evenly, or
    /// given, have the level of what is to come.
    fn level(&self) -> Level {
        if matches!(self.split(HELD_SHARE), Split::Time { .. }) { Level::Ignored } else { Level::Fitted }
    }

    /// What each candidate is tried on where rows are few: parts of the rows, each held out once.
    ///
    /// Without times the last rows are one more part: files are often written in the order of time, and what
    /// tomorrow brings is more like their end. In files of no order it is a part like any other.
    fn trials(&self) -> Vec<(Split, u64)> {
        match self.split(HELD_SHARE_FEW) {
            Split::Folds(_) => {
                let tail = (self.profile.rows as f64 * (1.0 - HELD_SHARE_FEW)) as u64;
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
    ) -> Result<(Vec<Block>, Held, u64), Error> {
        let places = self.profile.places(encoder);
        let (mut learn, mut held, mut data_hash) = (Vec::new(), Held::default(), 0u64);
        let mut first_row = 0;
        for batch in batches {
            let (encoded, outcomes) = batch.clone().into_encoded(encoder, &places)?;
            let parted = selection.part(encoded, outcomes, first_row);
            data_hash = data_hash.wrapping_add(parted.learn.data_hash(first_row));
            first_row += batch.rows as u64;
            learn.push(parted.learn);
            held.add(parted.held, parted.held_learn);
        }
        if self.profile.is_sorted_by_label() {
            learn = vec![Block::shuffled(&learn.iter().collect::<Vec<_>>(), selection.seed)];
            held = held.shuffled(selection.seed);
        }
        Ok((learn, held, data_hash))
    }

    fn split(&self, share: f64) -> Split {
        if !self.valid.is_empty() {
            return Split::None;
        }
        match self.profile.newest(share) {
            // Many rows may have one time, a day: of them some are taken.
            Some((from, found)) => Split::Time { from, one_in: (found / share).round().max(1.0) as u64 },
            _ if self.profile.rows <= rows_few_max(self.settings.family) => Split::Folds(FOLDS),
            _ => Split::Folds((1.0 / share).round() as u64),
        }
    }

    fn selection(&self, split: Split, fold: u64) -> Selection {
        Selection { split, fold, seed: self.settings.seed, negatives: self.settings.sample_negatives }
    }

    fn encoder(&self, candidate: &Candidate) -> Result<Encoder, Error> {
        let fields = self.schema.features().len();
        let numbers = match candidate.family {
            FactorFamily::Lr => 3,
            FactorFamily::Fm => 2 * (candidate.k + 1),
            FactorFamily::Ffm => 2 * candidate.k * fields,
        };
        self.profile.encoder(candidate.bins, candidate.count_min, WEIGHTS_BYTES_MAX / (4 * numbers))
    }

    fn optimizer(&self, encoder: &Encoder, candidate: &Candidate, threads: usize) -> Optimizer {
        let Settings { seed, sample_negatives, .. } = *self.settings;
        let negative_weight = (self.profile.weight - self.profile.positive_weight) * sample_negatives;
        let intercept = (self.profile.positive_weight / negative_weight).ln() as f32;
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
        mut notes: Vec<String>,
    ) -> Result<Trained, Error> {
        let factors = optimizer.factors(&encoder)?.into_type(self.settings.weights);
        let (calibration, note) = calibrate::fit(held, self.level());
        notes.push(note);
        let mut measured = Accumulator::new(held.len());
        for &(log_odds, label, weight) in held {
            measured.add(calibration.probability(log_odds), label, weight as f32);
        }
        let training = Training {
            rows: self.profile.rows,
            positives: self.profile.positives,
            times: self.profile.time_range,
            data_hash: format!("{data_hash:016x}"),
            held_out: measured.metrics(),
            notes,
        };
        let (profile, golden) = (self.described.clone(), self.golden.clone());
        Ok(Trained { encoder, factors, calibration, training, profile, golden })
    }
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
