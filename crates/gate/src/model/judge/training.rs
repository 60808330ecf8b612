//! Checks of the training data, by its profile: whole, like the champion's, and without what can't be known beforehand.

use std::collections::BTreeMap;

use clickcast_model::profile::{Day, FeatureProfile, Profile, bins};

use super::days::{Known, counts, full_days};
use clickcast_report::number::{counted, grouped};

use super::limits::{
    CLICK_RATE_DROP, DETERMINES_DROP_LATER, DETERMINES_MIN, INFORMATION, INFORMATION_GAIN, OTHER_DAY_DIVERGENCE,
    POSITIVES_MIN, RATES_BY_VALUE, RATES_BY_VALUE_LATER, REPEATED_SHARE, ROWS_OF_CHAMPION, ROWS_OF_DAY,
    SAME_DAY_DIVERGENCE, SAME_DAY_SHARE, SEEN_SHARE,
};
use super::{Check, Evidence, Limits, Verdict, percent, worst};
use crate::model::compare::{coin_divergence, distance, entropy};

pub(super) fn checks(evidence: &Evidence<'_>) -> Vec<Check> {
    let Some(profile) = evidence.candidate.profile else { return Vec::new() };
    let champion = evidence.champion_profile();
    let labelled = &evidence.labelled.profile;
    let mut checks = vec![rows(profile, champion), days(profile, champion), click_rates(profile)];
    checks.push(repeated(profile, champion, labelled));
    checks.push(seen(labelled, profile, champion));
    checks.push(information(profile, champion));
    match champion {
        Some(champion) => {
            checks.push(same_days(profile, champion));
            checks.push(other_days(profile, champion, labelled));
            checks.push(rates_by_value(profile, champion, labelled));
            checks.push(joint("training_joint", profile, &[champion], DETERMINES_DROP_LATER));
        }
        None => checks.push(joint("training_joint", profile, &[labelled], DETERMINES_DROP_LATER)),
    }
    checks
}

fn rows(profile: &Profile, champion: Option<&Profile>) -> Check {
    let of_champion = match champion {
        Some(champion) => {
            let share = profile.rows as f64 / champion.rows.max(1) as f64;
            let reason = format!(
                "The model learned from {}; the champion from {}.",
                counted(profile.rows, "row"),
                grouped(champion.rows)
            );
            Check::below("training_rows", share, ROWS_OF_CHAMPION, reason)
        }
        None => Check::plain(
            "training_rows",
            Verdict::Pass,
            format!("The model learned from {}.", counted(profile.rows, "row")),
        ),
    };
    let positives = profile.positives.unwrap_or(0) as f64;
    if positives >= POSITIVES_MIN || of_champion.verdict == Verdict::Fail {
        return of_champion;
    }
    let reason = format!(
        "The model learned from {positives} clicked rows; {} more are needed to be more than chance.",
        POSITIVES_MIN - positives
    );
    Check {
        observed: Some(positives),
        limit: Some(POSITIVES_MIN),
        ..Check::plain("training_rows", Verdict::Hold, reason)
    }
}

/// No day is missing, and none but the first and the last is much smaller than the others.
fn days(profile: &Profile, champion: Option<&Profile>) -> Check {
    let days = &profile.days;
    if days.len() < 3 {
        return Check::skipped("training_days", "There are too few days to see whether one is missing.");
    }
    let small = smallest_day(days);
    let span = days[days.len() - 1].day.abs_diff(days[0].day) + 1;
    // Data whose days are mostly missing is not daily.
    if span >= 2 * days.len() as u64 || small.verdict == Verdict::Fail {
        return small;
    }
    let is_missing = |day: &i64| days.iter().all(|other| other.day != *day);
    // The champion lacks it too, or lacked that day of the week: no traffic.
    let is_usual = |day: i64| champion.is_some_and(|champion| (0..3).any(|weeks| lacks(champion, day - 7 * weeks)));
    let missing = (days[0].day..days[days.len() - 1].day).filter(|day| is_missing(day) && !is_usual(*day)).count();
    if missing == 0 {
        return small;
    }
    let reason = format!("{missing} of {span} days are missing from the training data.");
    Check { observed: Some(missing as f64), limit: Some(1.0), ..Check::plain("training_days", Verdict::Hold, reason) }
}

/// Whether a profile has no rows of a day, though of earlier and of later ones.
fn lacks(profile: &Profile, day: i64) -> bool {
    let days = &profile.days;
    let is_within = days.first().is_some_and(|first| first.day < day) && days.last().is_some_and(|last| last.day > day);
    is_within && days.iter().all(|other| other.day != day)
}

/// The smallest day but for the first and the last; there are three at least.
fn smallest_day(days: &[Day]) -> Check {
    let mut sizes: Vec<u64> = days.iter().map(|day| day.rows).collect();
    sizes.sort_unstable();
    let median = sizes[sizes.len() / 2] as f64;
    let inner = &days[1..days.len() - 1];
    let Some((share, _)) = worst(inner.iter().map(|day| (-(day.rows as f64) / median, day.day))) else {
        return Check::skipped("training_days", "There are too few days to see whether one is small.");
    };
    Check::below(
        "training_days",
        -share,
        ROWS_OF_DAY,
        format!("The smallest day has {} of the median day's rows.", percent(-share)),
    )
}

/// Clicks that have not arrived yet make a day look worse than it was.
fn click_rates(profile: &Profile) -> Check {
    let rate = |day: &Day| day.positives as f64 / day.rows.max(1) as f64;
    let mut rates: Vec<f64> = profile.days.iter().map(rate).collect();
    rates.sort_by(f64::total_cmp);
    let median = rates.get(rates.len() / 2).copied().unwrap_or(0.0);
    if profile.days.len() < 3 || median <= 0.0 {
        return Check::skipped("training_click_rate", "There are too few days to compare their click rates.");
    }
    let drop = |day: &Day| {
        let deviation = (median * (1.0 - median) / day.rows.max(1) as f64).sqrt();
        (median - rate(day) - 4.0 * deviation) / median
    };
    let (drop, day) = worst(profile.days.iter().map(|day| (drop(day), day))).unwrap_or((0.0, &profile.days[0]));
    let reason =
        format!("The lowest click rate of a day is {}; the median day has {}.", percent(rate(day)), percent(median));
    Check::above("training_click_rate", drop.max(0.0), CLICK_RATE_DROP, reason)
}

fn repeated(profile: &Profile, champion: Option<&Profile>, labelled: &Profile) -> Check {
    if champion.is_none() && profile.times.is_none() {
        return Check::skipped(
            "training_repeated",
            "The data has no times, so equal rows may be different impressions.",
        );
    }
    let reference = champion.unwrap_or(labelled);
    let clicked = |profile: &Profile| {
        let prints = &profile.fingerprints;
        if prints.positives == 0 { 0.0 } else { prints.positives_repeated as f64 / prints.positives as f64 }
    };
    // Of few clicked rows some are alike by chance.
    let chance = 3.0 / (profile.fingerprints.positives.max(1) as f64).sqrt() * 0.1;
    let all = profile.repeated_share() - reference.repeated_share();
    let of_clicked = clicked(profile) - clicked(reference) - chance;
    let reason = format!(
        "{} of the training rows occur more than once, and {} of the clicked ones.",
        percent(profile.repeated_share()),
        percent(clicked(profile))
    );
    Check::above("training_repeated", all.max(of_clicked).max(0.0), REPEATED_SHARE, reason)
}

fn seen(labelled: &Profile, profile: &Profile, champion: Option<&Profile>) -> Check {
    let (share, rows) = labelled.seen_share(profile);
    let usual = match champion {
        Some(champion) => labelled.seen_share(champion).0,
        None if profile.times.is_some() => labelled.repeated_share(),
        // Equal rows may be different impressions; most of them can't.
        None => 0.5,
    };
    let deviation = (share.max(1.0 / rows.max(1) as f64) / rows.max(1) as f64).sqrt();
    let reason = format!("{} of the labelled rows are also among the training rows.", percent(share));
    Check::above("seen_rows", (share - usual - 3.0 * deviation).max(0.0), SEEN_SHARE, reason)
}

/// What one feature alone tells of the label.
fn information(profile: &Profile, champion: Option<&Profile>) -> Check {
    let told = |profile: &Profile, feature: &FeatureProfile| information_of(profile, feature);
    let check = |feature: &FeatureProfile| {
        let before =
            champion.and_then(|champion| champion.feature(&feature.name).map(|(_, other)| told(champion, other)));
        let (now, limits) = (told(profile, feature), if before.is_some() { INFORMATION_GAIN } else { INFORMATION });
        let gain = (now - before.unwrap_or(0.0)).max(0.0);
        let reason = format!("`{}` alone explains {} of the label's entropy.", feature.name, percent(now));
        // Known and new features have limits of their own: the verdicts are compared, then how near the limits they are.
        (Check::above("label_leak", gain, limits, reason), gain / limits.hold)
    };
    let checks = profile.features.iter().map(check);
    let worst =
        checks.max_by(|(one, near), (other, nearer)| one.verdict.cmp(&other.verdict).then(near.total_cmp(nearer)));
    worst.map_or_else(|| Check::skipped("label_leak", "There are no features."), |(check, _)| check)
}

/// The mutual information of a feature's bins and the label over the label's entropy, less what chance makes of it.
fn information_of(profile: &Profile, feature: &FeatureProfile) -> f64 {
    let cells = feature.cells(|_| true);
    let (rows, positives) = totals(&cells);
    let rate = positives / rows;
    if rows == 0.0 || entropy(rate) == 0.0 || profile.positives.is_none() {
        return 0.0;
    }
    let told: f64 = cells.values().map(|(n, clicked)| n / rows * coin_divergence(clicked / n, rate)).sum();
    let by_chance = (cells.len() as f64 - 1.0) / (2.0 * rows);
    (told - by_chance) / entropy(rate)
}

fn totals(cells: &BTreeMap<u16, (f64, f64)>) -> (f64, f64) {
    cells.values().fold((0.0, 0.0), |sum, cell| (sum.0 + cell.0, sum.1 + cell.1))
}

/// Days that both profiles have, but for the oldest of either, which may hold older ones too or be a part; and for data
/// without times, which is one day.
fn shared_days<'a>(one: &'a Profile, other: &'a Profile) -> impl Iterator<Item = (usize, usize)> + 'a {
    full_days(one).filter_map(move |place| {
        let same = full_days(other).find(|&candidate| other.days[candidate].day == one.days[place].day)?;
        let timed = one.times.is_some() && other.times.is_some();
        (timed && place > 0 && same > 0).then_some((place, same))
    })
}

fn same_days(profile: &Profile, champion: &Profile) -> Check {
    let mut found: Option<(f64, String)> = None;
    let mut days = 0;
    for (place, same) in shared_days(profile, champion) {
        days += 1;
        for feature in &profile.features {
            let Some((_, other)) = champion.feature(&feature.name) else { continue };
            let Some(apart) = distance(&counts(feature, place), &counts(other, same)) else { continue };
            // In units of the divergence's limit.
            let observed = apart.jensen_shannon.max(apart.largest * SAME_DAY_DIVERGENCE.hold / SAME_DAY_SHARE.hold);
            if found.as_ref().is_none_or(|(most, _)| observed > *most) {
                let what = bins::describe(feature.kind, apart.bin);
                let text = format!(
                    "On a day that both models learned from, `{}` differs most: it is {what} in {} of the candidate's rows and in {} of the champion's.",
                    feature.name,
                    percent(apart.first),
                    percent(apart.second)
                );
                found = Some((observed, text));
            }
        }
    }
    let Some((observed, reason)) = found else {
        return Check::skipped("training_same_days", "The two models share no whole day.");
    };
    let reason = if observed > 0.0 {
        reason
    } else {
        format!("The training rows of the {} that both models learned from are alike.", counted(days as u64, "day"))
    };
    Check::above("training_same_days", observed, SAME_DAY_DIVERGENCE, reason)
}

/// Days that only the candidate learned from, each against those that the champion did, and the labelled one.
fn other_days(profile: &Profile, champion: &Profile, labelled: &Profile) -> Check {
    let shared: Vec<usize> = shared_days(profile, champion).map(|(place, _)| place).collect();
    let mut findings = Vec::new();
    for feature in &profile.features {
        let Some((_, before)) = champion.feature(&feature.name) else { continue };
        let mut known = Known::default();
        known.add(champion, before);
        if let Some((_, judged)) = labelled.feature(&feature.name) {
            known.add(labelled, judged);
        }
        let mut new: Vec<usize> = full_days(profile).filter(|place| !shared.contains(place)).collect();
        // From the known days outwards: a day that is explained explains the next one, so that a window may begin weeks earlier.
        new.sort_by_key(|&place| known.days_to(profile.days[place].day));
        for place in new {
            let (day, counts) = (profile.days[place].day, counts(feature, place));
            let Some(away) = known.away(day, &counts) else { continue };
            findings.push((away.excess, (&feature.name, away.divergence)));
            if away.excess < OTHER_DAY_DIVERGENCE.hold {
                known.add_day(day, counts);
            }
        }
    }
    let Some((excess, (name, divergence))) = worst(findings) else {
        return Check::skipped("training_new_days", "The candidate learned from no day that is new to the champion.");
    };
    let reason = format!(
        "On the days that only the candidate learned from, `{name}` differs most from the known days, by {divergence:.4} bits."
    );
    Check::above("training_new_days", excess, OTHER_DAY_DIVERGENCE, reason)
}

/// Whether rows of one value are clicked as often as before: labels or values that were mixed up are not.
///
/// On the days that both models learned from, where there are some. Else click rates have drifted too: what agrees with the
/// champion's days or with the labelled ones, which are nearer, is explained by them.
fn rates_by_value(profile: &Profile, champion: &Profile, labelled: &Profile) -> Check {
    let shared: Vec<(usize, usize)> = shared_days(profile, champion).collect();
    let findings = profile.features.iter().filter_map(|feature| {
        let (_, other) = champion.feature(&feature.name)?;
        let cost = if shared.is_empty() {
            let judged = labelled.feature(&feature.name).map(|(_, judged)| judged);
            let references = [Some(other), judged].into_iter().flatten();
            let mine = feature.cells(|_| true);
            references.filter_map(|reference| rates_cost(&mine, &reference.cells(|_| true))).min_by(f64::total_cmp)?
        } else {
            let mine = feature.cells(|day| shared.iter().any(|pair| pair.0 == day));
            rates_cost(&mine, &other.cells(|day| shared.iter().any(|pair| pair.1 == day)))?
        };
        Some((cost, &feature.name))
    });
    let Some((cost, name)) = worst(findings) else {
        return Check::skipped("training_labels", "The candidate shares no feature with the champion.");
    };
    let (what, limits) = match shared.is_empty() {
        true => ("the champion's data and the labelled rows", RATES_BY_VALUE_LATER),
        false => ("the champion's data", RATES_BY_VALUE),
    };
    let reason = format!(
        "Click rates by `{name}` differ most from {what}; the difference costs {} of normalized entropy.",
        percent(cost)
    );
    Check::above("training_labels", cost.max(0.0), limits, reason)
}

/// What is lost, in shares of the entropy, by taking the first's click rates for the second's; less what chance explains.
///
/// Both are compared with the rate of both together: to second order in their difference that is what one loses by the
/// other's, and a value of few rows, never clicked in one of them by chance, is not told for a certainty. The sum is the
/// likelihood-ratio statistic (Wilks 1938), whose mean is one for each value.
fn rates_cost(mine: &BTreeMap<u16, (f64, f64)>, theirs: &BTreeMap<u16, (f64, f64)>) -> Option<f64> {
    let ((rows_mine, _), (rows, clicked)) = (totals(mine), totals(theirs));
    if rows_mine == 0.0 || rows == 0.0 || clicked == 0.0 {
        return None;
    }
    let (mut cost, mut degrees) = (0.0, 0.0);
    for (bin, &(n, positives)) in theirs {
        let Some(&(n_mine, positives_mine)) = mine.get(bin) else { continue };
        let together = (positives + positives_mine) / (n + n_mine);
        let ratio =
            n * coin_divergence(positives / n, together) + n_mine * coin_divergence(positives_mine / n_mine, together);
        let per_row = 1.0 / n + 1.0 / n_mine;
        cost += n / rows * ratio * per_row;
        degrees += n / rows * 0.5 * per_row;
    }
    let bins = theirs.len() as f64;
    let by_chance = degrees * (1.0 + 2.0 * (2.0 / bins.max(1.0)).sqrt());
    Some((cost - by_chance) / entropy(clicked / rows))
}

/// Whether features still tell of each other what they told.
pub(super) fn joint(name: &str, profile: &Profile, references: &[&Profile], limits: Limits) -> Check {
    let mut findings = Vec::new();
    for (index, feature) in profile.features.iter().enumerate() {
        for (other, told) in profile.features.iter().zip(&feature.determines) {
            let Some(told) = *told else { continue };
            let drop_from = |reference: &&Profile| {
                let ((_, before), (place, _)) = (reference.feature(&feature.name)?, reference.feature(&other.name)?);
                let was = f64::from(before.determines.get(place).copied().flatten()?);
                // As of a share, but not below that of one in 50.
                let variance = |share: f64, alike: u32| (share * (1.0 - share)).max(0.02) / f64::from(alike.max(1));
                let deviation = (variance(was, before.alike) + variance(f64::from(told), feature.alike)).sqrt();
                Some((was - f64::from(told) - 4.0 * deviation, was))
            };
            // Whatever agrees with one of the references is explained by it, even where it tells less there than `DETERMINES_MIN`.
            let drops: Vec<(f64, f64)> = references.iter().filter_map(drop_from).collect();
            let is_strong = drops.iter().any(|(_, was)| *was >= DETERMINES_MIN);
            let least = drops.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).filter(|_| is_strong);
            let Some((drop, before)) = least else { continue };
            findings.push((drop, (index, &other.name, before, told)));
        }
    }
    let Some((drop, (index, other, before, told))) = worst(findings) else {
        return Check::skipped(name, "There are too few rows to see how features depend on each other.");
    };
    let feature = &profile.features[index].name;
    // An estimate of nothing may come out a little below it.
    let told = percent(f64::from(told).max(0.0));
    let reason = format!("`{feature}` determines {told} of `{other}`; before, it determined {}.", percent(before));
    Check::above(name, drop.max(0.0), limits, reason)
}
