//! The distribution of predicted probabilities.

use maud::{Markup, html};

use super::Svg;
use super::axis::{Axis, Scale, Unit, range};
use super::frame::{Entry, Frame, Key, colour, empty};

/// More bins than this side by side are joined: finer ones show noise.
const BINS_SHOWN_MAX: usize = 60;

/// The predictions of one series, counted by bins.
#[derive(Clone, Copy, Debug)]
pub struct ScoreSeries<'a> {
    /// The name shown in the legend.
    pub name: &'a str,
    /// The predictions in each bin.
    pub counts: &'a [u64],
    /// Predictions that are in no bin, because they are no probabilities.
    pub left_out: u64,
}

/// Plots how the predictions of each series spread, as shares of that series, over an axis of log-odds labelled with the
/// rates.
///
/// `edges` are the rates between which the bins lie, rising: one more than each series has counts. Bins that lack an edge are
/// not shown.
pub fn score_distribution(edges: &[f64], series: &[ScoreSeries<'_>]) -> Svg {
    let name = "Distribution of the predicted click rates";
    let bins = series.iter().map(|series| series.counts.len()).min().unwrap_or(0).min(edges.len().saturating_sub(1));
    let occupied = |bin: &usize| series.iter().any(|series| series.counts[*bin] > 0);
    let (Some(first), Some(last)) = ((0..bins).find(occupied), (0..bins).rfind(occupied)) else {
        return empty(name);
    };
    let (first, last) = (first.saturating_sub(2), (last + 2).min(bins - 1));
    let joined = (last + 1 - first).div_ceil(BINS_SHOWN_MAX);
    let shares: Vec<Vec<f64>> = series.iter().map(|series| shares(series.counts, first, last, joined)).collect();
    let high = range(shares.iter().flatten().copied()).map_or(1.0, |(_, high)| high);
    let shown: Vec<f64> = edges[first..=last].iter().copied().step_by(joined).chain([edges[last + 1]]).collect();
    let entries: Vec<Entry<'_>> =
        series.iter().enumerate().map(|(index, series)| Entry { name: series.name, key: Key::Area, index }).collect();
    let x = Axis::new("predicted click rate", Scale::LogOdds, Unit::Rate, edges[first], edges[last + 1]);
    let y = Axis::new("share of the predictions", Scale::Linear, Unit::Rate, 0.0, high * 1.06);
    let mut frame = Frame::new(x, y, &entries);
    frame.left_out = series.iter().map(|series| series.left_out as usize).sum();
    frame.render(
        name,
        &html! {
            @for (index, shares) in shares.iter().enumerate() { (outline(&frame, index, &shown, shares)) }
        },
    )
}

fn shares(counts: &[u64], first: usize, last: usize, joined: usize) -> Vec<f64> {
    let total = counts.iter().sum::<u64>().max(1) as f64;
    counts[first..=last].chunks(joined).map(|bins| bins.iter().sum::<u64>() as f64 / total).collect()
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
