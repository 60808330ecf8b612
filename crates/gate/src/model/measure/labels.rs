//! What labels tell of two models: losses by block, ranking, calibration.

use clickcast_model::metrics::{Accumulator, LogOddsBins, Metrics, logloss};
use clickcast_model::profile::bins;
use clickcast_record::Batch;
use clickcast_record::hash::integer as mix;
use serde::{Deserialize, Serialize};

/// Blocks that rows are resampled by: enough for a deviation that is right to 5 %.
const BLOCKS: usize = 256;
/// Rows of a block where no feature tells whose rows belong together.
const ROWS_PER_BLOCK: u64 = 64;
/// Of fewer blocks than this an interval says little: then the feature is no user's id, but a property that few values share.
const BLOCKS_MIN: usize = 64;
/// Clicked rows whose ranks are compared one by one, at most.
const POSITIVES_MAX: usize = 1 << 16;
/// Bins of log-odds that unclicked rows are ranked by.
const RANK_BINS: LogOddsBins = LogOddsBins::new(1 << 14);

/// What was measured by labels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Labels {
    /// How good the candidate is.
    pub candidate: Metrics,
    /// How good the champion is.
    pub champion: Option<Metrics>,
    /// The variance of the number of clicks, if the candidate's scores were the truth.
    pub clicks_variance: f64,
    /// Losses of both models, of rows that belong together.
    pub blocks: Vec<Block>,
    /// The candidate's AUC less the champion's.
    pub auc: Option<Difference>,
}

/// Rows that belong together, such as those of some users.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Block {
    /// Number of rows.
    pub rows: f64,
    /// The candidate's loss less the champion's, in nats, summed.
    pub excess_loss: f64,
}

/// A difference and how sure it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The difference.
    pub value: f64,
    /// Its standard deviation.
    pub deviation: f64,
}

/// Takes labelled batches.
#[derive(Debug)]
pub(super) struct Labelling {
    block_by: Option<usize>,
    candidate: Ranked,
    champion: Option<Ranked>,
    clicks_variance: f64,
    /// By the feature.
    blocks: Vec<Block>,
    /// By neighbouring rows.
    blocks_of_rows: Vec<Block>,
    /// Every so-manieth clicked row has its ranks compared.
    step: u64,
    positives: u64,
}

/// One model's scores.
#[derive(Debug)]
struct Ranked {
    metrics: Accumulator,
    /// Unclicked rows by bins of log-odds.
    negatives: Vec<u32>,
    /// Bins of clicked rows.
    positives: Vec<u16>,
}

impl Labelling {
    pub(super) fn new(block_by: Option<usize>) -> Self {
        Self {
            block_by,
            candidate: Ranked::new(),
            champion: None,
            clicks_variance: 0.0,
            blocks: vec![Block::default(); BLOCKS],
            blocks_of_rows: vec![Block::default(); BLOCKS],
            step: 1,
            positives: 0,
        }
    }

    pub(super) fn add(&mut self, first_row: u64, batch: &Batch, candidate: &[f64], champion: Option<&[f64]>) {
        let Some(labels) = &batch.labels else { return };
        for (row, &label) in labels.iter().enumerate() {
            let weight = batch.weights.as_ref().map_or(1.0, |weights| weights[row]);
            let ranked = label && self.positives.is_multiple_of(self.step);
            self.positives += u64::from(label);
            self.candidate.add(candidate[row], label, weight, ranked);
            self.clicks_variance += candidate[row] * (1.0 - candidate[row]);
            if let Some(champion) = champion {
                self.champion.get_or_insert_with(Ranked::new).add(champion[row], label, weight, ranked);
                let excess_loss = logloss(candidate[row], label) - logloss(champion[row], label);
                let add = |blocks: &mut Vec<Block>, together: u64| {
                    let block = &mut blocks[mix(together.cast_signed()) as usize % BLOCKS];
                    block.rows += f64::from(weight);
                    block.excess_loss += f64::from(weight) * excess_loss;
                };
                add(&mut self.blocks_of_rows, (first_row + row as u64) / ROWS_PER_BLOCK);
                if let Some(feature) = self.block_by {
                    add(&mut self.blocks, bins::hash(&batch.features[feature], row).unwrap_or(0));
                }
            }
        }
        if self.candidate.positives.len() > POSITIVES_MAX {
            self.step *= 2;
            self.candidate.thin();
            self.champion.iter_mut().for_each(Ranked::thin);
        }
    }

    pub(super) fn finish(self) -> Option<Labels> {
        let candidate = self.candidate.metrics.metrics()?;
        let auc = self.champion.as_ref().and_then(|champion| self.candidate.better_than(champion));
        let held = |blocks: Vec<Block>| blocks.into_iter().filter(|block| block.rows > 0.0).collect::<Vec<_>>();
        let blocks = held(self.blocks);
        Some(Labels {
            candidate,
            champion: self.champion.and_then(|champion| champion.metrics.metrics()),
            clicks_variance: self.clicks_variance,
            blocks: if blocks.len() < BLOCKS_MIN { held(self.blocks_of_rows) } else { blocks },
            auc,
        })
    }
}

impl Ranked {
    fn new() -> Self {
        Self { metrics: Accumulator::new(0), negatives: vec![0; RANK_BINS.count()], positives: Vec::new() }
    }

    fn add(&mut self, score: f64, label: bool, weight: f32, ranked: bool) {
        self.metrics.add(score, label, weight);
        let bin = RANK_BINS.bin(super::log_odds(score));
        if !label {
            self.negatives[bin] += 1;
        } else if ranked {
            self.positives.push(bin as u16);
        }
    }

    fn thin(&mut self) {
        let mut index = 0;
        self.positives.retain(|_| {
            index += 1;
            index % 2 == 1
        });
    }

    /// Of each clicked row the share of unclicked ones below it; ties count half.
    fn ranks(&self) -> Option<Vec<f64>> {
        let total: f64 = self.negatives.iter().map(|&count| f64::from(count)).sum();
        let mut below = 0.0;
        let middle = self.negatives.iter().map(|&count| {
            let middle = below + 0.5 * f64::from(count);
            below += f64::from(count);
            middle / total
        });
        let middle: Vec<f64> = middle.collect();
        (total > 0.0).then(|| self.positives.iter().map(|&bin| middle[usize::from(bin)]).collect())
    }

    /// The difference in AUC: the mean difference of the clicked rows' ranks, whose spread tells how sure it is.
    ///
    /// # Source
    /// DeLong et al., "Comparing the areas under two or more correlated ROC curves", Biometrics 44, 1988; the part of the
    /// unclicked rows is left out, for where clicks are rare it is small.
    fn better_than(&self, other: &Self) -> Option<Difference> {
        let differences: Vec<f64> = self.ranks()?.iter().zip(other.ranks()?).map(|(one, other)| one - other).collect();
        let rows = differences.len() as f64;
        if rows < 2.0 {
            return None;
        }
        let value = differences.iter().sum::<f64>() / rows;
        let variance = differences.iter().map(|difference| (difference - value).powi(2)).sum::<f64>() / (rows - 1.0);
        Some(Difference { value, deviation: (variance / rows).sqrt() })
    }
}
