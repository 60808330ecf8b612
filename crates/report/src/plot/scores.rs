//! The distribution of predicted probabilities.

use maud::{Markup, html};

use super::Svg;
use super::axis::{Axis, Scale, Unit, range};
use super::frame::{Entry, Frame, Key, colour, empty};

/// Log-odds of the lowest and highest bin's outer edge: probabilities of about 1e-7 and 1 - 1e-7.
const LOG_ODDS_MAX: f64 = 16.0;
const BINS_PER_UNIT: usize = 10;
const BINS: usize = 2 * LOG_ODDS_MAX as usize * BINS_PER_UNIT;
/// More bins than this side by side are joined: finer ones show noise.
const BINS_SHOWN_MAX: usize = 60;

/// Counts of predictions in bins of equal width in log-odds. Of constant size, whatever is added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScoreHistogram {
    counts: Vec<u64>,
    not_probabilities: u64,
}

impl Default for ScoreHistogram {
    fn default() -> Self {
        ScoreHistogram { counts: vec![0; BINS], not_probabilities: 0 }
    }
}

impl ScoreHistogram {
    /// Adds a prediction. Those nearer to 0 or 1 than the outermost bin count there; what is no probability is counted apart.
    pub fn add(&mut self, probability: f64) {
        if !(0.0..=1.0).contains(&probability) {
            self.not_probabilities += 1;
            return;
        }
        let log_odds = (probability / (1.0 - probability)).ln();
        let bin = ((log_odds + LOG_ODDS_MAX) * BINS_PER_UNIT as f64).clamp(0.0, (BINS - 1) as f64);
        self.counts[bin as usize] += 1;
    }

    fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn edge(bin: usize) -> f64 {
        1.0 / (1.0 + (LOG_ODDS_MAX - bin as f64 / BINS_PER_UNIT as f64).exp())
    }
}

/// How the predictions of each named series spread, as shares of that series, over an axis of log-odds labelled with the
/// rates.
pub fn score_distribution(series: &[(&str, &ScoreHistogram)]) -> Svg {
    let name = "Distribution of the predicted click rates";
    let occupied = |bin: &usize| series.iter().any(|(_, histogram)| histogram.counts[*bin] > 0);
    let (Some(first), Some(last)) = ((0..BINS).find(occupied), (0..BINS).rfind(occupied)) else {
        return empty(name);
    };
    let (first, last) = (first.saturating_sub(2), (last + 2).min(BINS - 1));
    let joined = (last + 1 - first).div_ceil(BINS_SHOWN_MAX);
    let shares: Vec<Vec<f64>> = series.iter().map(|(_, histogram)| shares(histogram, first, last, joined)).collect();
    let high = range(shares.iter().flatten().copied()).map_or(1.0, |(_, high)| high);
    let edges: Vec<f64> =
        (first..=last).step_by(joined).map(ScoreHistogram::edge).chain([ScoreHistogram::edge(last + 1)]).collect();
    let entries: Vec<Entry<'_>> =
        series.iter().enumerate().map(|(index, (name, _))| Entry { name, key: Key::Area, index }).collect();
    let x = Axis::new(
        "predicted click rate",
        Scale::LogOdds,
        Unit::Rate,
        ScoreHistogram::edge(first),
        ScoreHistogram::edge(last + 1),
    );
    let y = Axis::new("share of the predictions", Scale::Linear, Unit::Rate, 0.0, high * 1.06);
    let mut frame = Frame::new(x, y, &entries);
    frame.left_out = series.iter().map(|(_, histogram)| histogram.not_probabilities as usize).sum();
    frame.render(
        name,
        &html! {
            @for (index, shares) in shares.iter().enumerate() { (outline(&frame, index, &edges, shares)) }
        },
    )
}

fn shares(histogram: &ScoreHistogram, first: usize, last: usize, joined: usize) -> Vec<f64> {
    let total = histogram.total().max(1) as f64;
    histogram.counts[first..=last].chunks(joined).map(|bins| bins.iter().sum::<u64>() as f64 / total).collect()
}

fn outline(frame: &Frame, index: usize, edges: &[f64], shares: &[f64]) -> Markup {
    let steps = edges
        .iter()
        .zip(edges.iter().skip(1))
        .zip(shares)
        .flat_map(|((low, high), share)| [(*low, *share), (*high, *share)]);
    let closed = [(edges[0], 0.0)].into_iter().chain(steps).chain([(edges[edges.len() - 1], 0.0)]);
    let path = frame.path(closed);
    html! {
        path.area.(colour(index)) d=(path) {}
        path.outline.(colour(index)) d=(path) {}
    }
}
