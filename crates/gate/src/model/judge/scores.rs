//! Checks of scores without labels: against the champion on the same rows, and against its own of another day.

use super::limits::{
    DIVERGENCE, FEATURE_EFFECTS, RANK_CORRELATION, SCORE_DRIFT, SCORE_LEVEL, SCORE_SHIFT, SCORE_TAIL_HIGH,
    SCORE_TAIL_LOW, TAIL_SHARE,
};
use super::{Check, Evidence, percent, worst};
use crate::model::compare::entropy;
use crate::model::measure::Observed;
use crate::scores::{Shares, psi, tails};
use clickcast_model::scores::Scores;

pub(super) fn checks(evidence: &Evidence<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    // Today's rows are what will be delivered; without them the labelled ones have to do.
    let observed = evidence.today.unwrap_or(evidence.labelled);
    let clicks = evidence.labelled.labels.as_ref().map_or(0.0, |labels| labels.candidate.positives as f64);
    if let Some(champion) = &observed.champion {
        // What labels vouch for on the labelled rows is no fault of the candidate: there the champion is off.
        let vouched = evidence.labelled.champion.as_ref().filter(|_| clicks > 0.0 && evidence.today.is_some());
        let own_labelled = &evidence.labelled.candidate;
        let drift = psi(&observed.candidate, champion).unwrap_or(f64::NAN);
        let known = vouched.and_then(|champion| psi(own_labelled, champion)).unwrap_or(0.0);
        let reason = format!(
            "The distribution of scores differs from the champion's by a PSI of {drift:.3}; on labelled rows by {known:.3}."
        );
        checks.push(Check::above("score_drift", (drift - known).max(0.0), SCORE_DRIFT, reason));
        let level = |own: &Scores, other: &Scores| (own.mean().unwrap_or(0.0) / other.mean().unwrap_or(0.0)).ln();
        let known = vouched.map_or(0.0, |champion| level(own_labelled, champion));
        let (own, other) = (observed.candidate.mean().unwrap_or(0.0), champion.mean().unwrap_or(0.0));
        let moved = difference(level(&observed.candidate, champion), known);
        let reason = format!(
            "The mean score is {}, {} of the champion's on the same rows; on labelled rows it was {}.",
            percent(own),
            percent(own / other),
            percent(known.exp())
        );
        checks.push(Check::above("score_level", moved, SCORE_LEVEL, reason));
        checks.push(tail_shares(&observed.candidate, champion, vouched.map(|champion| (own_labelled, champion))));
        checks.extend(effects(observed, vouched.map(|_| evidence.labelled)));
        checks.extend(agreement(observed, other));
    }
    if let Some(today) = evidence.today {
        let shift = psi(&today.candidate, &evidence.labelled.candidate).unwrap_or(f64::NAN);
        let reason = format!("Today's scores differ from those of the labelled rows by a PSI of {shift:.3}.");
        checks.push(Check::above("score_shift", shift, SCORE_SHIFT, reason));
    }
    checks
}

/// How far two models are apart beyond what labels vouch for; nothing where they agree, though they did not on labelled
/// rows: on the first Sunday that one of them has learned they differ, on Monday no more.
fn difference(now: f64, known: f64) -> f64 {
    now.abs().min((now - known).abs())
}

/// How many scores are as low, or as high, as the champion's most extreme ones; against the same on labelled rows.
fn tail_shares(own: &Scores, champion: &Scores, labelled: Option<(&Scores, &Scores)>) -> Check {
    let known = labelled.and_then(|(own, champion)| tails(own, champion, TAIL_SHARE));
    let Some(now) = tails(own, champion, TAIL_SHARE) else {
        return Check::skipped("score_tails", "There are no scores to compare.");
    };
    let ratio = |shares: &Shares| (shares.first / shares.second).ln();
    let rows = own.rows().min(labelled.map_or(u64::MAX, |(own, _)| own.rows())) as f64;
    let moved = |place: usize| {
        let before = known.as_ref().map_or(0.0, |known| ratio(&known[place]));
        // Counts are as uncertain as the champion's, and the candidate's as one expects them.
        let scores = now[place].second * rows;
        let chance = 4.0 * (1.0 / scores + 1.0 / (scores * before.exp()).max(1.0)).sqrt();
        (difference(ratio(&now[place]), before) - chance).max(0.0)
    };
    let sides = [(SCORE_TAIL_LOW, "low"), (SCORE_TAIL_HIGH, "high")];
    // The side that is nearer its limit.
    let near = sides.iter().enumerate().map(|(place, (limits, _))| (moved(place) / limits.hold, place));
    let place = worst(near).map_or(0, |(_, place)| place);
    let (limits, side) = sides[place];
    let reason = format!(
        "{} of the scores are as {side} as the champion's {} most extreme ones.",
        percent(now[place].first),
        percent(now[place].second)
    );
    Check::above("score_tails", moved(place), limits, reason)
}

/// What each feature does to the score, against the champion, beyond the same where labels vouch for the candidate.
fn effects(observed: &Observed, labelled: Option<&Observed>) -> Option<Check> {
    let rate = observed.candidate.mean().unwrap_or(0.0).clamp(1e-6, 0.5);
    let known = labelled.map(Observed::effect_differences);
    let findings = observed.effect_differences().into_iter().enumerate().map(|(index, now)| {
        let before = known.as_ref().and_then(|known| known.get(index)).copied().unwrap_or(0.0);
        (0.5 * rate * (1.0 - rate) * (now - before) / entropy(rate), index)
    });
    let (cost, index) = worst(findings)?;
    let reason = format!(
        "The two models weigh `{}` most differently; the difference is worth {} of normalized entropy{}.",
        observed.profile.features[index].name,
        percent(cost.max(0.0)),
        if known.is_some() { " more than on the labelled rows" } else { "" }
    );
    Some(Check::above("feature_effects", cost.max(0.0), FEATURE_EFFECTS, reason))
}

fn agreement(observed: &Observed, mean: f64) -> Vec<Check> {
    let Some(agreement) = &observed.agreement else { return Vec::new() };
    let cost = agreement.divergence / entropy(mean.clamp(1e-6, 0.5));
    let reason = format!(
        "If the champion were right, the candidate's scores would cost {} of normalized entropy.",
        percent(cost)
    );
    let mut checks = vec![Check::above("score_disagreement", cost, DIVERGENCE, reason)];
    let worst = agreement.worst.filter(|worst| worst.correlation < agreement.correlation);
    let (correlation, reason) = match worst {
        Some(worst) => {
            let feature = &observed.profile.features[worst.feature];
            let what = observed.describe(worst.feature, worst.bin);
            let reason = format!(
                "The order of rows agrees least with the champion's where `{}` is {what}: the rank correlation is {:.2} there, and {:.2} overall.",
                feature.name, worst.correlation, agreement.correlation
            );
            (worst.correlation, reason)
        }
        None => (
            agreement.correlation,
            format!("The rank correlation with the champion's scores is {:.2}.", agreement.correlation),
        ),
    };
    checks.push(Check::below("rank_correlation", correlation, RANK_CORRELATION, reason));
    checks
}

#[cfg(test)]
mod tests {
    use super::*;
    use clickcast_verdict::Verdict;

    #[test]
    fn models_that_agree_or_differ_as_labels_vouch_do_not_differ() {
        for (now, known, expected) in
            [(0.0, 0.25, 0.0), (0.25, 0.25, 0.0), (0.25, 0.0, 0.25), (-0.25, 0.25, 0.25), (0.25, 0.75, 0.25)]
        {
            assert_eq!(difference(now, known), expected, "{now} now, {known} on labelled rows");
        }
    }

    #[test]
    fn a_tail_of_a_few_scores_is_no_evidence() {
        let scores = |low: u32| {
            let mut scores = Scores::default();
            (0..20_000).for_each(|row| scores.add(if row < low { 0.001 } else { 0.01 + f64::from(row) * 1e-6 }));
            scores
        };
        let champion = scores(200);
        for (labelled, today, verdict) in [(8, 1, Verdict::Pass), (200, 1, Verdict::Fail), (200, 190, Verdict::Pass)] {
            let check = tail_shares(&scores(today), &champion, Some((&scores(labelled), &champion)));
            assert_eq!(check.verdict, verdict, "{labelled} on labelled rows, {today} today: {check:?}");
        }
    }
}
