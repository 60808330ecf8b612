//! The gate's page: the verdict, the reasons, and pictures of what speaks against the model first.

use clickcast_report::number::grouped;
use clickcast_report::plot::{CalibrationBin, Series, bars, calibration, lines};
use clickcast_report::{Page, Svg};
use clickcast_verdict::{Check, Judgement, Verdict};

use super::measure::{Observed, Slice};
use super::{Backtested, Drift};
use crate::page::{add_checks, banner, curve};
use crate::scores::{Shares, side_by_side};

/// The values or features that one picture shows at most.
const BARS_MAX: usize = 12;

/// What was measured of a candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// Measured of the newest labelled rows.
    pub labelled: Observed,
    /// Measured of today's rows.
    pub today: Option<Observed>,
    /// How far each feature of the newest rows has moved from the days known; see [`super::drifts`].
    pub drifts: Vec<Drift>,
}

/// What a page of the gate shows.
#[derive(Debug, Clone, Copy)]
pub struct PageRequest<'a> {
    /// The candidate's name.
    pub candidate: &'a str,
    /// The champion's name; `None` for the first model of a name.
    pub champion: Option<&'a str>,
    /// The judgement.
    pub judgement: &'a Judgement,
    /// What was measured; `None` if the rows or the candidate could not be read.
    pub measured: Option<&'a Measured>,
    /// The result of the backtest, if there was one.
    pub backtested: Option<&'a [Backtested]>,
}

/// Renders the page of a judgement as HTML.
#[must_use]
pub fn page(request: &PageRequest<'_>) -> String {
    let PageRequest { candidate, champion, judgement, measured, backtested } = *request;
    let subtitle = champion.map_or_else(|| "The first of its name".to_owned(), |name| format!("Against {name}"));
    let mut page = Page::new(&format!("Gate of {candidate}"), &subtitle);
    let sentence = match judgement.verdict {
        Verdict::Pass => "Nothing speaks against this model: it may be used.",
        Verdict::Hold => "A person should look at this before the model is used.",
        Verdict::Fail => "This model must not be used.",
    };
    page.verdict(banner(judgement.verdict), sentence);
    if let Some(measured) = measured {
        page.facts(&facts(measured));
    }
    let checks = judgement.worst_first();
    let against: Vec<&Check> = checks.iter().copied().filter(|check| check.verdict > Verdict::Pass).collect();
    if !against.is_empty() {
        page.section("What speaks against it", "One check is enough for the verdict; the worst come first.");
        add_checks(&mut page, &against);
    }
    for drawing in measured.map(|measured| drawings(measured, &against)).unwrap_or_default() {
        page.section(drawing.title, drawing.note);
        for (picture, caption) in drawing.figures {
            page.figure(picture, &caption);
        }
    }
    if let Some(backtested) = backtested {
        add_backtest(&mut page, backtested);
    }
    page.section("All checks", "");
    add_checks(&mut page, &checks);
    page.render()
}

fn add_backtest(page: &mut Page, backtested: &[Backtested]) {
    let note = "Each row is a model of the same recipe that did not learn the day it was tried on.";
    page.section("How the recipe did on earlier days", note);
    let number = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"));
    let row = |tried: &Backtested| {
        let (entropy, calibration) = (number(tried.normalized_entropy), number(tried.calibration));
        vec![tried.day.clone(), tried.days_learned.to_string(), entropy, calibration]
    };
    let header = ["Tried on", "Days learned", "Normalized entropy", "Predicted over clicked"];
    page.table(&header, &backtested.iter().map(row).collect::<Vec<_>>());
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

/// The pictures of one section.
struct Drawing {
    title: &'static str,
    note: &'static str,
    /// It explains the checks whose names begin with one of these.
    explains: &'static [&'static str],
    figures: Vec<(Svg, String)>,
}

/// Returns all sections; those that explain what speaks against the model come first.
fn drawings(measured: &Measured, against: &[&Check]) -> Vec<Drawing> {
    let Measured { labelled, today, drifts } = measured;
    let mut drawings = Vec::new();
    if labelled.labels.is_some() {
        drawings.push(Drawing {
            title: "Are the predictions right?",
            note: "Each dot stands for the rows of some values of one feature. On the line, as many were clicked as predicted.",
            explains: &["calibration", "normalized", "better", "training_labels", "training_click"],
            figures: calibrations(labelled),
        });
    }
    let newest = today.as_ref().unwrap_or(labelled);
    drawings.push(Drawing {
        title: "How are the scores distributed?",
        note: "If the curves coincide, the scores are alike. The bars show where they differ most.",
        explains: &["score", "rank"],
        figures: distributions(labelled, newest),
    });
    let mut figures = drift(newest, drifts);
    figures.extend(effects(newest));
    drawings.push(Drawing {
        title: "Which features have moved?",
        note: "Their values may be distributed differently, or the candidate may weigh them differently from the champion.",
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

/// Draws the calibration of the two features whose predictions are off most.
fn calibrations(labelled: &Observed) -> Vec<(Svg, String)> {
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
        (calibration(&shown), format!("By the values of `{}`.", labelled.profile.features[index].name))
    };
    features.iter().take(2).map(figure).collect()
}

fn distributions(labelled: &Observed, newest: &Observed) -> Vec<(Svg, String)> {
    let (name, other) = match &newest.champion {
        Some(champion) => ("the champion, same rows", champion),
        None => ("the labelled rows", &labelled.candidate),
    };
    let curves = [curve(&newest.candidate), curve(other)];
    let series = [Series { name: "the candidate", points: &curves[0] }, Series { name, points: &curves[1] }];
    let picture = lines("Predicted log-odds of a click", "Share of the rows", &series);
    let mut figures = vec![(picture, "The scores of the newest rows.".to_owned())];
    if let Some(groups) = side_by_side(&newest.candidate, other) {
        let mut parts: Vec<(String, f64)> =
            groups.into_iter().map(|part: Shares| (format!("from {:.4}", part.from), part.psi())).collect();
        parts.sort_by(|one, other| other.1.total_cmp(&one.1));
        parts.truncate(BARS_MAX);
        let shown: Vec<(&str, f64)> = parts.iter().map(|(name, value)| (name.as_str(), *value)).collect();
        figures.push((
            bars("Population stability index, by score", &shown),
            "A sum above 0.25 means that the scores have changed.".to_owned(),
        ));
    }
    figures
}

/// Draws the features whose distributions have moved most from the days known.
fn drift(newest: &Observed, drifts: &[Drift]) -> Vec<(Svg, String)> {
    let mut moved: Vec<(&str, f64)> =
        drifts.iter().map(|drift| (newest.profile.features[drift.feature].name.as_str(), drift.divergence)).collect();
    moved.sort_by(|one, other| other.1.total_cmp(&one.1));
    moved.truncate(BARS_MAX);
    if moved.is_empty() {
        return Vec::new();
    }
    let picture = bars("Divergence from the days known, in bits", &moved);
    vec![(picture, "0 means no change; 1 means no value in common.".to_owned())]
}

/// Draws the features that the two models weigh most differently, and the values of the first one.
fn effects(newest: &Observed) -> Vec<(Svg, String)> {
    if newest.champion.is_none() {
        return Vec::new();
    }
    let mut features: Vec<(usize, f64)> = newest.effect_differences().into_iter().map(f64::sqrt).enumerate().collect();
    features.sort_by(|one, other| other.1.total_cmp(&one.1));
    features.truncate(BARS_MAX);
    let name = |index: usize| newest.profile.features[index].name.as_str();
    let shown: Vec<(&str, f64)> = features.iter().map(|&(index, spread)| (name(index), spread)).collect();
    let all = bars("Difference in effect, in log-odds", &shown);
    let mut figures = vec![(all, "How differently the two models weigh each feature.".to_owned())];
    if let Some(&(index, _)) = features.first() {
        let mut values: Vec<(String, f64, f64)> = newest.slices[index]
            .iter()
            .map(|(&bin, slice)| (newest.describe(index, bin), slice.effect_difference(), slice.rows))
            .collect();
        values.sort_by(|one, other| other.2.total_cmp(&one.2));
        values.truncate(BARS_MAX);
        let shown: Vec<(&str, f64)> = values.iter().map(|(name, value, _)| (name.as_str(), *value)).collect();
        let picture = bars("Candidate less champion, in log-odds", &shown);
        figures.push((picture, format!("The most frequent values of `{}`.", name(index))));
    }
    figures
}
