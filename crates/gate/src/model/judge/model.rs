//! Checks of the model itself: what it scores, what it takes, and when it learned.

use super::limits::{CERTAIN_SHARE, CLOCK_AHEAD_HOURS, GOLDEN_DIFFERENCE_MAX, STALE_DAYS};
use super::{Check, Evidence, Verdict, percent};
use crate::model::measure::Observed;

const MS_PER_HOUR: f64 = 3_600_000.0;

pub(super) fn checks(evidence: &Evidence<'_>) -> Vec<Check> {
    let mut checks = vec![loads(evidence), golden(evidence), scores(evidence), schema(evidence)];
    checks.extend(age(evidence));
    checks.push(clock(evidence));
    checks
}

/// Whoever holds a model has verified every hash and put it together; this says so.
fn loads(evidence: &Evidence<'_>) -> Check {
    let manifest = evidence.candidate.manifest;
    Check::plain("loads", Verdict::Pass, format!("The {} model loads, and all its hashes are right.", manifest.family))
}

/// Whether the model says of the rows in its artifact what it said when it was made.
fn golden(evidence: &Evidence<'_>) -> Check {
    const NAME: &str = "golden_rows";
    let Some(difference) = evidence.candidate.golden_difference else {
        return Check::skipped(NAME, "The artifact has no golden rows (it was imported, or made by an older program).");
    };
    // A NaN is no probability, and not the same.
    let verdict = if difference <= GOLDEN_DIFFERENCE_MAX { Verdict::Pass } else { Verdict::Fail };
    let reason = match verdict {
        Verdict::Pass => "The model scores its golden rows as it did when it was made.".to_owned(),
        _ => format!(
            "The model's scores of its golden rows differ by {difference:.2e} from those when it was made: this program or \
             machine computes differently."
        ),
    };
    Check { observed: Some(difference), limit: Some(GOLDEN_DIFFERENCE_MAX), ..Check::plain(NAME, verdict, reason) }
}

fn scores(evidence: &Evidence<'_>) -> Check {
    for (what, observed) in [("labelled", Some(evidence.labelled)), ("today's", evidence.today)] {
        let Some(Observed { candidate, .. }) = observed else { continue };
        if candidate.invalid() > 0 {
            let reason = format!(
                "Of {what} rows, {} got the score NaN and {} a score outside 0 to 1.",
                candidate.not_a_number, candidate.out_of_range
            );
            return Check {
                observed: Some(candidate.invalid() as f64),
                ..Check::plain("scores", Verdict::Fail, reason)
            };
        }
        if candidate.is_constant() {
            return Check::plain("scores", Verdict::Fail, format!("All {what} rows have the same score."));
        }
        let certain = candidate.certain as f64 / candidate.rows().max(1) as f64;
        if certain >= CERTAIN_SHARE.hold {
            let reason = format!(
                "{} of {what} rows have a score of exactly 0 or 1, which no model can justify.",
                percent(certain)
            );
            return Check::above("scores", certain, CERTAIN_SHARE, reason);
        }
    }
    Check::plain("scores", Verdict::Pass, "All scores are probabilities, and they differ.")
}

fn schema(evidence: &Evidence<'_>) -> Check {
    let Some(champion) = evidence.champion else {
        return Check::plain(
            "champion",
            Verdict::Pass,
            "There is no champion yet, so the candidate is compared with nothing.",
        );
    };
    let own = evidence.candidate.manifest.schema.features();
    let others = champion.manifest.schema.features();
    if let Some(why) = evidence.champion_unfit {
        let reason = format!(
            "The champion can't score this data: {why}; a person has to look, because the scores can't be compared."
        );
        return Check::plain("champion", Verdict::Hold, reason);
    }
    let names = |these: &[clickcast_record::Feature], those: &[clickcast_record::Feature]| {
        let missing = these.iter().filter(|one| those.iter().all(|other| other.name != one.name));
        missing.map(|feature| format!("`{}`", feature.name)).collect::<Vec<_>>().join(", ")
    };
    let reason = match (names(own, others), names(others, own)) {
        (added, removed) if added.is_empty() && removed.is_empty() => {
            "The champion takes the same features.".to_owned()
        }
        (added, removed) if removed.is_empty() => {
            format!("These features are new since the champion, and are compared with nothing: {added}.")
        }
        (added, removed) if added.is_empty() => {
            format!("The candidate lacks these features of the champion: {removed}.")
        }
        (added, removed) => format!("These features are new since the champion: {added}; these are gone: {removed}."),
    };
    Check::plain("champion", Verdict::Pass, reason)
}

/// Whether it learned from rows that are new enough, and from none that it is judged by.
fn age(evidence: &Evidence<'_>) -> Vec<Check> {
    let Some(profile) = evidence.candidate.profile else {
        let reason = "The model has no profile of its training data (it was imported, or made by an older program), so that data can't be checked.";
        return vec![Check::skipped("training_profile", reason)];
    };
    let (Some(learned), Some(judged)) = (profile.times, evidence.labelled.profile.times) else {
        return vec![Check::skipped("staleness", "The data has no times, so the model's age is unknown.")];
    };
    let day = |days: &[clickcast_model::profile::Day], last: bool| {
        let day = if last { days.last() } else { days.first() };
        day.map_or(0.0, |day| day.day as f64)
    };
    let gap = day(&evidence.labelled.profile.days, false) - day(&profile.days, true);
    let mut checks = vec![Check::above(
        "staleness",
        gap,
        STALE_DAYS,
        format!(
            "The last day of training is {gap} {} before the first labelled day.",
            if gap == 1.0 { "day" } else { "days" }
        ),
    )];
    let future = if learned.1 < judged.0 {
        Check::plain("future_rows", Verdict::Pass, "All training rows are older than the labelled rows.")
    } else if learned.1 > judged.1 {
        let reason = "The model learned from rows that are newer than all labelled rows; train on older rows.";
        Check::plain("future_rows", Verdict::Fail, reason)
    } else {
        let reason =
            "The training rows and the labelled rows overlap in time; judge by newer rows, or train on older ones.";
        Check::plain("future_rows", Verdict::Hold, reason)
    };
    checks.push(future);
    let older =
        evidence.champion_profile().and_then(|champion| champion.times).is_some_and(|times| times.1 > learned.1);
    let last_day =
        evidence.champion_profile().map_or(0.0, |champion| day(&champion.days, true)) - day(&profile.days, true);
    if older && last_day >= 1.0 {
        let reason = format!("The champion learned from rows {last_day} days newer than the candidate's newest.");
        checks.push(Check { observed: Some(last_day), ..Check::plain("newer_than_champion", Verdict::Hold, reason) });
    }
    checks
}

/// Rows from the future mean that a clock is wrong, and then no time can be trusted.
fn clock(evidence: &Evidence<'_>) -> Check {
    let profiles =
        [evidence.candidate.profile, Some(&evidence.labelled.profile), evidence.today.map(|today| &today.profile)];
    let newest = profiles.into_iter().flatten().filter_map(|profile| profile.times).map(|times| times.1).max();
    let Some(newest) = newest else {
        return Check::skipped("clock", "The data has no times to compare the clock with.");
    };
    let ahead_hours = (newest.as_ms() - evidence.now_ms) as f64 / MS_PER_HOUR;
    let verdict = if ahead_hours > CLOCK_AHEAD_HOURS { Verdict::Hold } else { Verdict::Pass };
    let reason = match verdict {
        Verdict::Pass => "No row is from the future.".to_owned(),
        _ => {
            format!(
                "The newest row is {ahead_hours:.0} hours ahead of this machine's clock; the data or the clock is wrong."
            )
        }
    };
    Check { observed: Some(ahead_hours), limit: Some(CLOCK_AHEAD_HOURS), ..Check::plain("clock", verdict, reason) }
}
