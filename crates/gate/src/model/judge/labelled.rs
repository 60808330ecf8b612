//! Checks by labels: is it as good as the champion, and right on average, everywhere.

use super::limits::{
    AUC_LOSS, CALIBRATION, CALIBRATION_BY_VALUE, CALIBRATION_BY_VALUE_ALONE, CALIBRATION_OF_DAYS,
    ENTROPY_DEVIATION_MAX, ENTROPY_GAIN, ENTROPY_LOSS, ENTROPY_LOSS_SURE,
};
use super::{Check, Evidence, Verdict, percent, worst};
use crate::model::compare::{coin_divergence, entropy};
use crate::model::measure::{Block, Labels, Observed, Slice};
use clickcast_model::scores::Scores;
use clickcast_report::number::grouped;

/// Clicked rows below which nothing can be said.
const POSITIVES_MIN: u64 = 30;
/// Times that the blocks are drawn anew.
const DRAWS: usize = 2_000;

pub(super) fn checks(evidence: &Evidence<'_>) -> Vec<Check> {
    let observed = evidence.labelled;
    let Some(labels) = &observed.labels else {
        return vec![Check::plain("labels", Verdict::Hold, "The rows to judge by have no labels; give labelled rows.")];
    };
    let (rows, clicked) = (labels.candidate.rows, labels.candidate.positives);
    if clicked == rows || clicked < POSITIVES_MIN {
        let reason = match clicked {
            0 => format!(
                "None of the {} labelled rows was clicked; at least {POSITIVES_MIN} clicked rows are needed.",
                grouped(rows)
            ),
            all if all == rows => {
                format!("All {} labelled rows were clicked; rows of both kinds are needed.", grouped(rows))
            }
            few => {
                format!("Only {few} of the labelled rows were clicked; at least {POSITIVES_MIN} are needed.")
            }
        };
        return vec![Check {
            observed: Some(clicked as f64),
            limit: Some(POSITIVES_MIN as f64),
            ..Check::plain("labels", Verdict::Hold, reason)
        }];
    }
    let mut checks = vec![Check {
        observed: Some(clicked as f64),
        limit: Some(POSITIVES_MIN as f64),
        ..Check::plain(
            "labels",
            Verdict::Pass,
            format!("Of {} labelled rows, {} were clicked.", grouped(rows), grouped(clicked)),
        )
    }];
    checks.extend(loss(labels));
    checks.extend(labels.champion.as_ref().and(labels.auc).map(auc));
    checks.push(better_than_nothing(labels));
    checks.push(calibration(observed, labels));
    checks.push(calibration_by_value(observed, labels));
    checks
}

/// Whether it beats the prediction of the mean alone.
fn better_than_nothing(labels: &Labels) -> Check {
    let observed = labels.candidate.normalized_entropy.unwrap_or(f64::NAN);
    let verdict = if observed < 1.0 { Verdict::Pass } else { Verdict::Fail };
    let reason =
        format!("The normalized entropy is {observed:.4}; predicting the mean click rate for every row gives 1.");
    Check { observed: Some(observed), limit: Some(1.0), ..Check::plain("better_than_mean", verdict, reason) }
}

/// The difference in normalized entropy with a paired block bootstrap, judged in both directions.
fn loss(labels: &Labels) -> Vec<Check> {
    let (Some(champion), Some(own), Some(base)) = (
        &labels.champion,
        labels.candidate.normalized_entropy,
        labels.champion.as_ref().and_then(|other| other.normalized_entropy),
    ) else {
        return Vec::new();
    };
    // Both have the same labels, so the same entropy.
    let entropy = champion.logloss / base;
    let Interval { low, high, deviation } = bootstrap(&labels.blocks, entropy);
    let loss = own - base;
    let said = format!(
        "The normalized entropy is {own:.4}, the champion's {base:.4}; the difference is between {} and {}",
        percent(low),
        percent(high)
    );
    let worse = match () {
        () if low >= ENTROPY_LOSS.fail => {
            Check::above("normalized_entropy", loss, ENTROPY_LOSS, format!("{said}: the candidate is worse."))
        }
        () if loss >= ENTROPY_LOSS.hold && low >= ENTROPY_LOSS_SURE => {
            let check = Check::above(
                "normalized_entropy",
                loss,
                ENTROPY_LOSS,
                format!("{said}: the candidate is worse, perhaps by less than it seems."),
            );
            Check { verdict: Verdict::Hold, ..check }
        }
        () if deviation > ENTROPY_DEVIATION_MAX && high >= ENTROPY_LOSS.fail => {
            let times = (deviation / ENTROPY_DEVIATION_MAX).powi(2) - 1.0;
            let more = (times * labels.candidate.rows as f64).ceil();
            let reason = format!("{said}; about {} more labelled rows are needed to decide.", grouped(more as u64));
            let check = Check::plain("normalized_entropy", Verdict::Hold, reason);
            Check { observed: Some(deviation), limit: Some(ENTROPY_DEVIATION_MAX), ..check }
        }
        () => {
            let pass = Check::plain("normalized_entropy", Verdict::Pass, format!("{said}."));
            Check { observed: Some(loss), limit: Some(ENTROPY_LOSS.hold), ..pass }
        }
    };
    // Surely better, by what retraining can't bring.
    let gain = (-high).max(0.0);
    let reason = format!("The candidate is better than the champion by at least {}.", percent(gain));
    vec![worse, Check::above("too_good", gain, ENTROPY_GAIN, reason)]
}

struct Interval {
    low: f64,
    high: f64,
    deviation: f64,
}

/// The mean excess loss by drawing blocks anew, in shares of the entropy: 98 % of the draws lie within.
///
/// # Source
/// Efron, "Bootstrap methods: another look at the jackknife", 1979; by blocks, since a user's rows are alike.
fn bootstrap(blocks: &[Block], entropy: f64) -> Interval {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let mut next = |below: usize| {
        // A linear congruence (Knuth, "The Art of Computer Programming" 2, 3.3.4), whose high bits are good.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize * below) >> 31
    };
    let mut means: Vec<f64> = (0..DRAWS)
        .map(|_| {
            let (mut rows, mut loss) = (0.0, 0.0);
            for _ in 0..blocks.len() {
                let block = blocks[next(blocks.len())];
                rows += block.rows;
                loss += block.excess_loss;
            }
            loss / rows / entropy
        })
        .collect();
    means.sort_by(f64::total_cmp);
    let mean = means.iter().sum::<f64>() / DRAWS as f64;
    let variance = means.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / DRAWS as f64;
    Interval { low: means[DRAWS / 100], high: means[DRAWS - 1 - DRAWS / 100], deviation: variance.sqrt() }
}

fn auc(difference: crate::model::measure::Difference) -> Check {
    let loss = -difference.value;
    let sure = loss - 2.0 * difference.deviation;
    let reason = format!(
        "The AUC is {:.4} {} the champion's, give or take {:.4}.",
        loss.abs(),
        if loss > 0.0 { "below" } else { "above" },
        2.0 * difference.deviation
    );
    Check { observed: Some(loss), ..Check::above("auc", sure, AUC_LOSS, reason) }
}

/// The sum of predictions against the clicks. What the champion's predictions are off by in the same direction is the day's
/// doing and no fault of the candidate.
fn calibration(observed: &Observed, labels: &Labels) -> Check {
    let clicked = labels.candidate.positives as f64;
    let sum = |scores: &Scores| scores.mean().unwrap_or(0.0) * scores.rows() as f64;
    let predicted = sum(&observed.candidate);
    let deviation = labels.clicks_variance.max(clicked).sqrt() / clicked;
    let off = (predicted / clicked).ln();
    let beyond = (off.abs() - (3.0 * deviation).max(CALIBRATION_OF_DAYS)).max(0.0);
    let others = observed.champion.as_ref().map(|champion| (sum(champion) / clicked).ln());
    let fault = match others {
        Some(others) if others * off > 0.0 => beyond.min((off.abs() - others.abs()).max(0.0)),
        _ => beyond,
    };
    let mut reason = format!(
        "The candidate predicts {} clicks where there were {}: {} of them, give or take {}",
        grouped(predicted.round() as u64),
        grouped(clicked as u64),
        percent(predicted / clicked),
        percent(2.0 * deviation)
    );
    reason += &others.map_or(".".to_owned(), |others| format!("; the champion predicts {}.", percent(others.exp())));
    Check::above("calibration", if off.is_nan() { f64::NAN } else { fault }, CALIBRATION, reason)
}

/// What correcting the predictions by each feature's values would win, against the same for the champion.
fn calibration_by_value(observed: &Observed, labels: &Labels) -> Check {
    let rows = labels.candidate.rows as f64;
    let entropy = entropy(labels.candidate.positives as f64 / rows);
    let compared = labels.champion.is_some();
    let findings = observed.slices.iter().enumerate().map(|(index, slices)| {
        let own = correction(slices.values(), |slice| slice.candidate) / entropy;
        let others = compared.then(|| correction(slices.values(), |slice| slice.champion) / entropy);
        // Chance gives every bin half a nat; it is the same for both models, up to its spread.
        let by_chance = 0.5 * slices.len() as f64 / rows / entropy;
        let spread = (0.5 * slices.len() as f64).sqrt() / rows / entropy;
        let excess = match others {
            Some(others) => own - others - spread,
            None => own - by_chance - 3.0 * spread,
        };
        (excess, index)
    });
    let Some((excess, index)) = worst(findings) else {
        return Check::skipped("calibration_by_value", "There are no features.");
    };
    let feature = &observed.profile.features[index];
    let deviations = |slice: &Slice| (slice.positives - slice.candidate) / slice.candidate.max(1.0).sqrt();
    let slice = worst(observed.slices[index].iter().map(|(bin, slice)| (deviations(slice).abs(), (*bin, slice))));
    let example = slice.map_or(String::new(), |(_, (bin, slice))| {
        format!(
            ", most where it is {}: {:.0} clicks were predicted, {} seen",
            observed.describe(index, bin),
            slice.candidate,
            slice.positives
        )
    });
    let reason = format!(
        "Correcting the predictions by the values of `{}` would gain {} of normalized entropy more than {}{example}.",
        feature.name,
        percent(excess.max(0.0)),
        if compared { "the champion's" } else { "chance" }
    );
    Check::above(
        "calibration_by_value",
        excess.max(0.0),
        if compared { CALIBRATION_BY_VALUE } else { CALIBRATION_BY_VALUE_ALONE },
        reason,
    )
}

/// Nats a row that are won by predicting each bin's own click rate, beyond what predicting the whole's would win: the level is
/// another check's.
fn correction<'a>(slices: impl Iterator<Item = &'a Slice>, predicted: impl Fn(&Slice) -> f64) -> f64 {
    let won = |rows: f64, clicked: f64, predicted: f64| rows * coin_divergence(clicked / rows, predicted / rows);
    let (mut rows, mut clicked, mut all, mut by_bin) = (0.0, 0.0, 0.0, 0.0);
    for slice in slices {
        let predicted = predicted(slice);
        by_bin += won(slice.rows, slice.positives, predicted);
        (rows, clicked, all) = (rows + slice.rows, clicked + slice.positives, all + predicted);
    }
    (by_bin - won(rows, clicked, all)) / rows
}
