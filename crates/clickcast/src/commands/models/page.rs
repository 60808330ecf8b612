//! The gate's page: the verdict, why in words, and pictures for what speaks against the model first.

use clickcast_gate::measure::{Observed, Slice};
use clickcast_gate::scores::{Shares, side_by_side};
use clickcast_gate::{Backtested, Check, Drift, Judgement, Scores, Verdict};
use clickcast_report::plot::{CalibrationBin, Series, bars, calibration, lines};
use clickcast_report::{Page, Verdict as Colour};

use crate::console::{grouped, measured};

/// Values and features drawn at most.
const BARS_MAX: usize = 12;

/// Everything that was measured, for the page.
pub(super) struct Measured {
    pub(super) labelled: Observed,
    pub(super) today: Option<Observed>,
    /// How far each feature of the newest rows has moved from those known.
    pub(super) drifts: Vec<Drift>,
}

pub(super) fn page(
    candidate: &str,
    champion: Option<&str>,
    judgement: &Judgement,
    measured: Option<&Measured>,
    backtested: Option<&[Backtested]>,
) -> String {
    let against_whom = champion.map_or_else(|| "The first of its name".to_owned(), |name| format!("Against {name}"));
    let mut page = Page::new(&format!("Gate of {candidate}"), &against_whom);
    let mut checks: Vec<&Check> = judgement.checks.iter().collect();
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    let against: Vec<&Check> = checks.iter().copied().filter(|check| check.verdict > Verdict::Pass).collect();
    let (colour, sentence) = match judgement.verdict {
        Verdict::Pass => (Colour::Good, "Nothing speaks against this model: it may be used."),
        Verdict::Hold => (Colour::Warn, "A person should look at this before the model is used."),
        Verdict::Fail => (Colour::Bad, "This model must not be used."),
    };
    page.verdict(colour, sentence);
    if let Some(measured) = measured {
        page.facts(&facts(measured));
    }
    if !against.is_empty() {
        let note = "Each of these is enough for the verdict; the worst come first.";
        page.section("What speaks against it", note);
        page.table(&["", "Check", "Observed", "Limit", "Why"], &check_rows(&against));
    }
    for drawing in measured.map(|measured| drawings(measured, &against)).unwrap_or_default() {
        page.section(drawing.title, drawing.note);
        for (picture, caption) in drawing.figures {
            page.figure(picture, &caption);
        }
    }
    if let Some(backtested) = backtested {
        page.section("How it did on earlier days", "Learned anew the same way, without the day that it was tried on.");
        let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
        let row = |tried: &Backtested| {
            let (entropy, calibration) = (number(tried.normalized_entropy), number(tried.calibration));
            vec![tried.day.clone(), tried.days_learned.to_string(), entropy, calibration]
        };
        let header = ["Tried on", "Days learned", "Normalized entropy", "Predicted over clicked"];
        page.table(&header, &backtested.iter().map(row).collect::<Vec<_>>());
    }
    page.section("All that was looked at", "");
    page.table(&["", "Check", "Observed", "Limit", "Why"], &check_rows(&checks));
    page.render()
}

fn facts(measured: &Measured) -> Vec<(&'static str, String)> {
    let mut facts = vec![("Labelled rows", grouped(measured.labelled.profile.rows))];
    facts.extend(measured.today.as_ref().map(|today| ("Rows of today", grouped(today.profile.rows))));
    if let Some(labels) = &measured.labelled.labels {
        let entropy = |entropy: Option<f64>| entropy.map_or_else(|| "-".to_owned(), |entropy| format!("{entropy:.4}"));
        facts.push(("Clicked rows", grouped(labels.candidate.positives)));
        facts.push(("Normalized entropy", entropy(labels.candidate.normalized_entropy)));
        if let Some(champion) = &labels.champion {
            facts.push(("The champion's", entropy(champion.normalized_entropy)));
        }
    }
    facts
}

/// A page's rows of checks: the verdict, the name, what was observed, its limit, and why.
pub(in crate::commands) fn check_rows(checks: &[&Check]) -> Vec<Vec<String>> {
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), measured);
    let row = |check: &&Check| {
        let verdict = format!("{:?}", check.verdict).to_lowercase();
        vec![verdict, check.name.replace('_', " "), number(check.observed), number(check.limit), check.reason.clone()]
    };
    checks.iter().map(row).collect()
}

/// Pictures that belong together.
struct Drawing {
    title: &'static str,
    note: &'static str,
    /// Beginnings of the names of checks that it explains.
    explains: &'static [&'static str],
    figures: Vec<(clickcast_report::Svg, String)>,
}

/// All pictures, those that explain what speaks against the model first.
fn drawings(measured: &Measured, against: &[&Check]) -> Vec<Drawing> {
    let Measured { labelled, today, drifts } = measured;
    let mut drawings = Vec::new();
    if labelled.labels.is_some() {
        drawings.push(Drawing {
            title: "Are the predictions right?",
            note: "Each dot is the rows of some values of one feature: on the line, as many clicked as was predicted.",
            explains: &["calibration", "normalized", "better", "training_labels", "training_click"],
            figures: calibrations(labelled),
        });
    }
    let newest = today.as_ref().unwrap_or(labelled);
    drawings.push(Drawing {
        title: "How are the scores distributed?",
        note: "Equal curves mean equal scores. The bars say where most of the difference lies.",
        explains: &["score", "rank"],
        figures: distributions(labelled, newest),
    });
    let mut figures = drift(newest, drifts);
    figures.extend(effects(newest));
    drawings.push(Drawing {
        title: "Which features have moved?",
        note: "By how their values are distributed, and by what they do to the score, candidate against champion.",
        explains: &["today", "labelled", "training", "label_leak", "feature"],
        figures,
    });
    let names = |drawing: &Drawing| {
        let explains = |check: &&&Check| drawing.explains.iter().any(|name| check.name.starts_with(name));
        !against.iter().any(|check| explains(&check))
    };
    drawings.sort_by_key(names);
    drawings.retain(|drawing| !drawing.figures.is_empty());
    drawings
}

/// The features whose values' predictions are off most, each as a calibration curve.
fn calibrations(labelled: &Observed) -> Vec<(clickcast_report::Svg, String)> {
    let off = |slice: &Slice| (slice.positives - slice.candidate).powi(2) / slice.candidate.max(1.0);
    let mut features: Vec<(f64, usize)> = labelled
        .slices
        .iter()
        .enumerate()
        .map(|(index, slices)| (slices.values().map(off).sum::<f64>() - slices.len() as f64, index))
        .collect();
    features.sort_by(|one, other| other.0.total_cmp(&one.0));
    let figure = |&(_, index): &(f64, usize)| {
        let bin = |slice: &Slice| {
            let rate = slice.positives / slice.rows;
            let deviation = (rate.max(1.0 / slice.rows) / slice.rows).sqrt();
            CalibrationBin {
                predicted: slice.candidate / slice.rows,
                observed: rate,
                low: (rate - 2.0 * deviation).max(0.0),
                high: rate + 2.0 * deviation,
                rows: slice.rows as u64,
            }
        };
        let shown: Vec<CalibrationBin> =
            labelled.slices[index].values().filter(|slice| slice.candidate >= 5.0).map(bin).collect();
        (calibration(&shown), format!("By the values of {}.", labelled.profile.features[index].name))
    };
    features.iter().take(2).map(figure).collect()
}

fn distributions(labelled: &Observed, newest: &Observed) -> Vec<(clickcast_report::Svg, String)> {
    let (name, other) = match &newest.champion {
        Some(champion) => ("the champion, same rows", champion),
        None => ("the labelled rows", &labelled.candidate),
    };
    let curves = [curve(&newest.candidate), curve(other)];
    let series = [Series { name: "the candidate", points: &curves[0] }, Series { name, points: &curves[1] }];
    let picture = lines("Predicted log-odds of a click", "Share of the rows", &series);
    let mut figures = vec![(picture, "Scores of the newest rows.".to_owned())];
    if let Some(groups) = side_by_side(&newest.candidate, other) {
        let mut parts: Vec<(String, f64)> =
            groups.into_iter().map(|part: Shares| (format!("from {:.4}", part.from), part.psi())).collect();
        parts.sort_by(|one, other| other.1.total_cmp(&one.1));
        parts.truncate(BARS_MAX);
        let shown: Vec<(&str, f64)> = parts.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        figures
            .push((bars("Population stability index, by score", &shown), "A sum above 0.25 is a change.".to_owned()));
    }
    figures
}

fn curve(scores: &Scores) -> Vec<(f64, f64)> {
    let rows = scores.rows().max(1) as f64;
    let log_odds = |probability: f64| (probability / (1.0 - probability)).ln();
    let point = |(from, to, count): (f64, f64, u64)| (f64::midpoint(log_odds(from), log_odds(to)), count as f64 / rows);
    scores.bins().map(point).collect()
}

/// Features by how far their values are from those known.
fn drift(newest: &Observed, drifts: &[Drift]) -> Vec<(clickcast_report::Svg, String)> {
    let mut moved: Vec<(&str, f64)> =
        drifts.iter().map(|drift| (newest.profile.features[drift.feature].name.as_str(), drift.divergence)).collect();
    moved.sort_by(|one, other| other.1.total_cmp(&one.1));
    moved.truncate(BARS_MAX);
    if moved.is_empty() {
        return Vec::new();
    }
    let picture = bars("Divergence from the days known, in bits", &moved);
    vec![(picture, "0: as always; 1: no value in common.".to_owned())]
}

/// Features by how differently the two models take them, and the values of the first.
fn effects(newest: &Observed) -> Vec<(clickcast_report::Svg, String)> {
    if newest.champion.is_none() {
        return Vec::new();
    }
    let mut features: Vec<(usize, f64)> = newest.effect_differences().into_iter().map(f64::sqrt).enumerate().collect();
    features.sort_by(|one, other| other.1.total_cmp(&one.1));
    features.truncate(BARS_MAX);
    let name = |index: usize| newest.profile.features[index].name.as_str();
    let shown: Vec<(&str, f64)> = features.iter().map(|&(index, spread)| (name(index), spread)).collect();
    let all = bars("Difference in effect, in log-odds", &shown);
    let mut figures = vec![(all, "How differently the two models take each feature.".to_owned())];
    if let Some(&(index, _)) = features.first() {
        let mut values: Vec<(String, f64, f64)> = newest.slices[index]
            .iter()
            .map(|(&bin, slice)| (newest.describe(index, bin), slice.effect_difference(), slice.rows))
            .collect();
        values.sort_by(|one, other| other.2.total_cmp(&one.2));
        values.truncate(BARS_MAX);
        let shown: Vec<(&str, f64)> = values.iter().map(|(name, value, _)| (name.as_str(), *value)).collect();
        let picture = bars("Candidate less champion, in log-odds", &shown);
        figures.push((picture, format!("The commonest values of {}.", name(index))));
    }
    figures
}
