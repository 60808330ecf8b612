//! Plots, as SVG for a [`Page`](crate::Page).
//!
//! Values that are not finite are left out, and the picture says how many; with nothing left it says that instead. Series are
//! told apart by colour and by stroke. Points carry their numbers as tooltips.

mod axis;
mod bars;
mod calibration;
mod curves;
mod frame;
mod scores;
#[cfg(test)]
mod tests;

pub use bars::bars;
pub use calibration::{CalibrationBin, calibration};
pub use curves::{Series, gain, lines, roc};
pub use scores::{ScoreSeries, score_distribution};
#[cfg(test)]
pub(crate) use tests::well_formed;

/// A picture: an SVG element, to be placed in a [`Page`](crate::Page), whose style gives it colour and type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Svg(pub(crate) String);
