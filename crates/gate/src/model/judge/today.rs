//! Checks of the rows that will be scored: do they look like what was learned and judged.

use clickcast_model::profile::{FeatureProfile, Profile, bins};

use super::days::Known;
use super::limits::{
    DETERMINES_DROP, DETERMINES_DROP_LATER, INFLUENCE_MIN, MISSING_SHARE, OTHER_DAY_DIVERGENCE, OTHER_DAY_SHARE,
    UNSEEN_SHARE, VALUES_LOST, VALUES_SHARED_MIN,
};
use super::training::joint;
use super::{Check, Evidence, Limits, percent, worst};
use crate::model::compare::{Counts, distance, entropy};
use crate::model::measure::Observed;

/// How far one feature of some rows has moved.
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    /// The feature's place in the rows' profile.
    pub feature: usize,
    /// The divergence in bits from the day that explains it best, less what is usual between days.
    pub excess: f64,
    /// The divergence itself.
    pub divergence: f64,
    /// By how much one bin's share differs from the nearest day's, chance taken off; and that bin.
    pub largest: (f64, u16),
    /// Missing values beyond those of the day that has most.
    pub missing: f64,
    /// What the feature moves the score by, in shares of the entropy.
    pub influence: f64,
    /// Whether it never varied on the days known: nothing can have been learned from it.
    pub constant: bool,
}

pub(super) fn checks(evidence: &Evidence<'_>) -> Vec<Check> {
    let mut checks = Vec::new();
    let labelled = &evidence.labelled.profile;
    let learned: Vec<&Profile> =
        [evidence.champion_profile(), evidence.candidate.profile].into_iter().flatten().collect();
    checks.extend(drift("labelled", evidence.labelled, evidence.labelled, &learned));
    // Only what the champion learned from is known to be joined right.
    checks.extend(
        evidence
            .champion_profile()
            .map(|champion| joint("labelled_joint", labelled, &[champion], DETERMINES_DROP_LATER)),
    );
    let Some(today) = evidence.today else {
        checks.push(Check::skipped(
            "today",
            "No rows of today were given, so it is unknown whether the model scores them well.",
        ));
        return checks;
    };
    let known: Vec<&Profile> = [Some(labelled), evidence.candidate.profile].into_iter().flatten().collect();
    checks.extend(drift("today", today, evidence.labelled, &known));
    checks.push(joint("today_joint", &today.profile, &known, DETERMINES_DROP));
    checks.push(unseen(evidence.labelled, today));
    checks.extend(evidence.candidate.profile.map(|learned| lost(learned, labelled, &today.profile)));
    checks
}

/// How far each feature of the observed rows is from what is known of it.
#[must_use]
pub fn drifts(observed: &Observed, known: &[&Profile]) -> Vec<Drift> {
    let one = |(index, feature): (usize, &FeatureProfile)| {
        let mut days = Known::default();
        for profile in known {
            if let Some((_, other)) = profile.feature(&feature.name) {
                days.add(profile, other);
            }
        }
        let all: Counts = feature.cells(|_| true).into_iter().map(|(bin, (rows, _))| (bin, rows)).collect();
        let newest = observed.profile.days.last().map_or(0, |day| day.day);
        let away = days.away(newest, &all)?;
        let largest = days.counts().filter_map(|reference| distance(&all, reference));
        let largest = largest.min_by(|a, b| a.largest.total_cmp(&b.largest))?;
        let missing =
            |counts: &Counts| counts.get(&bins::MISSING).copied().unwrap_or(0.0) / counts.values().sum::<f64>();
        let most = days.counts().map(missing).max_by(f64::total_cmp).unwrap_or(0.0);
        let rows: f64 = all.values().sum();
        let chance = 4.0 * (most.max(1.0 / rows) / rows).sqrt();
        Some(Drift {
            feature: index,
            excess: away.excess,
            divergence: away.divergence,
            largest: (largest.largest, largest.bin),
            missing: (missing(&all) - most - chance).max(0.0),
            influence: influence(observed, index),
            constant: same_bin(&days),
        })
    };
    observed.profile.features.iter().enumerate().filter_map(one).collect()
}

/// Whether all known rows are in one bin.
fn same_bin(days: &Known) -> bool {
    let mut bins = days.counts().flat_map(|counts| counts.keys());
    let first = bins.next();
    bins.all(|bin| Some(bin) == first)
}

/// What a feature moves the candidate's score by, in shares of the entropy: the spread of the mean log-odds over its values.
fn influence(observed: &Observed, feature: usize) -> f64 {
    let slices = &observed.slices[feature];
    let rows: f64 = slices.values().map(|slice| slice.rows).sum();
    let mean = slices.values().map(|slice| slice.candidate_log_odds).sum::<f64>() / rows;
    let spread =
        |slice: &crate::model::measure::Slice| slice.rows * (slice.candidate_log_odds / slice.rows - mean).powi(2);
    let variance = slices.values().map(spread).sum::<f64>() / rows;
    let rate = observed.candidate.mean().unwrap_or(0.0).clamp(1e-6, 0.5);
    0.5 * rate * (1.0 - rate) * variance / entropy(rate)
}

/// `labelled` tells what features move, too: one that is stuck today moves nothing today.
fn drift(what: &str, observed: &Observed, labelled: &Observed, known: &[&Profile]) -> Vec<Check> {
    let drifts = drifts(observed, known);
    let name = |drift: &Drift| observed.profile.features[drift.feature].name.clone();
    // What the model doesn't listen to does no harm; but a feature whose values are all new is not heard because they are.
    let heard = drifts.iter().filter(|drift| {
        let influence = drift.influence.max(influence(labelled, drift.feature));
        influence >= INFLUENCE_MIN || (drift.excess >= OTHER_DAY_DIVERGENCE.fail && !drift.constant)
    });
    let rows = if what == "today" { "today's" } else { "the labelled" };
    let mut checks = Vec::new();
    let mut graded = |check: &str, finding: Option<(f64, &Drift)>, limits: Limits, say: &dyn Fn(&Drift) -> String| {
        checks.push(match finding {
            Some((observed, drift)) => Check::above(check, observed, limits, say(drift)),
            None => Check::skipped(check, "No feature that moves the score can be compared."),
        });
    };
    let most = worst(heard.clone().map(|drift| (drift.excess, drift)));
    graded(&format!("{what}_drift"), most, OTHER_DAY_DIVERGENCE, &|drift| {
        format!("`{}` of {rows} rows differs by {:.4} bits from the nearest known day.", name(drift), drift.divergence)
    });
    let most = worst(heard.clone().map(|drift| (drift.largest.0, drift)));
    graded(&format!("{what}_share"), most, OTHER_DAY_SHARE, &|drift| {
        format!(
            "The share of {rows} rows where `{}` is {} differs by {} from the nearest known day.",
            name(drift),
            observed.describe(drift.feature, drift.largest.1),
            percent(drift.largest.0)
        )
    });
    let most = worst(heard.map(|drift| (drift.missing, drift)));
    graded(&format!("{what}_missing"), most, MISSING_SHARE, &|drift| {
        format!(
            "`{}` is missing in {rows} rows more often than on any known day, by {} of them.",
            name(drift),
            percent(drift.missing)
        )
    });
    checks
}

/// Values that the candidate never learned, today against the labelled day.
fn unseen(labelled: &Observed, today: &Observed) -> Check {
    let features = today.unseen.iter().zip(&labelled.unseen).zip(&today.profile.features).enumerate();
    let findings = features.filter_map(|(index, ((now, before), feature))| {
        let (now, before) = (now.as_ref()?, before.as_ref()?);
        let (share, usual) = (now.share()?, before.share()?);
        let mean = 0.5 * (share + usual);
        let deviation = (mean * (1.0 - mean) * (1.0 / now.rows as f64 + 1.0 / before.rows as f64)).sqrt();
        let heard = influence(today, index) >= INFLUENCE_MIN || influence(labelled, index) >= INFLUENCE_MIN;
        heard.then_some((share - usual - 4.0 * deviation, (&feature.name, share, usual)))
    });
    let Some((excess, (name, share, usual))) = worst(findings) else {
        return Check::skipped("today_unseen", "It is unknown which values the candidate learned.");
    };
    let reason = format!(
        "Of today's rows, {} have a value of `{name}` that the candidate never saw; of the labelled rows, {}.",
        percent(share),
        percent(usual)
    );
    Check::above("today_unseen", excess.max(0.0), UNSEEN_SHARE, reason)
}

/// Whether the labelled rows' values are those that were learned: renamed on all days that are scored, no day differs from
/// another. But then the labelled day has fewer of its values from the days before than today has from it.
fn lost(learned: &Profile, labelled: &Profile, today: &Profile) -> Check {
    // Rows of one day share more with each other than with any other day.
    let is_later = match (labelled.days.last(), today.days.first()) {
        (Some(labelled), Some(today)) => today.day > labelled.day,
        _ => false,
    };
    if labelled.times.is_none() || today.times.is_none() || !is_later {
        return Check::skipped("labelled_values", "Today's rows are not from a later day than the labelled rows.");
    }
    let findings = labelled.features.iter().filter_map(|feature| {
        let ((_, before), (_, after)) = (learned.feature(&feature.name)?, today.feature(&feature.name)?);
        let (known, values) = feature.values.known_share(&before.values);
        let (usual, values_usual) = after.values.known_share(&feature.values);
        let variance = |share: f64, values: usize| share * (1.0 - share) / values.max(1) as f64;
        let deviation = (variance(known, values) + variance(usual, values_usual)).sqrt();
        let is_told = usual * values_usual as f64 >= VALUES_SHARED_MIN;
        is_told.then_some(((usual - known - 4.0 * deviation) / usual, (&feature.name, known, usual)))
    });
    let Some((lost, (name, known, usual))) = worst(findings) else {
        return Check::skipped("labelled_values", "No feature has enough values that occur on both days.");
    };
    let reason = format!(
        "Of the values of `{name}` in the labelled rows, {} were learned; of those in today's rows, {} occur in the labelled rows.",
        percent(known),
        percent(usual)
    );
    Check::above("labelled_values", lost.max(0.0), VALUES_LOST, reason)
}
