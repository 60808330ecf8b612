//! Where the next worse verdict begins, all in one place.
//!
//! None depends on what a column is called or means. Losses are in shares of the entropy of the labels, that is in units of
//! normalized entropy: 0.01 is the 1 % that must not get through. Each limit is a margin beyond what chance explains: a
//! check first takes off what samples of its size show of themselves. `docs/gates.md` tells each in words, and
//! `bench/SABOTAGE.md` what they let through and what they stop for nothing.

use clickcast_verdict::Limits;

const fn limits(hold: f64, fail: f64) -> Limits {
    Limits { hold, fail }
}

/// How far a golden row's probability may be from what the model said when it was made: sums in another order differ by less.
pub(crate) const GOLDEN_DIFFERENCE_MAX: f64 = 1e-6;
/// Scores of exactly 0 or 1, as a share: a few can come of rounding.
pub(crate) const CERTAIN_SHARE: Limits = limits(0.001, 0.1);
/// Days between the last day learned and the first one judged on: a week brings a new ad for every second one.
pub(crate) const STALE_DAYS: Limits = limits(7.0, 30.0);
/// Hours that a clock may go before ours: zones are up to 14 hours apart.
pub(crate) const CLOCK_AHEAD_HOURS: f64 = 26.0;

/// Clicked rows learned from, at least: with fewer, weights are chance.
pub(crate) const POSITIVES_MIN: f64 = 100.0;
/// Rows learned from, as a share of the champion's.
pub(crate) const ROWS_OF_CHAMPION: Limits = limits(0.5, 0.1);
/// Rows of one day within, as a share of the median day's: weekends and holidays have more than half.
pub(crate) const ROWS_OF_DAY: Limits = limits(0.4, 0.02);
/// How far a day's click rate may be below the median day's, as a share of it, beyond four deviations of chance.
pub(crate) const CLICK_RATE_DROP: Limits = limits(0.25, 0.6);
/// A day that both models learned from has the same rows, but for late ones and for sampling: divergence in bits.
pub(crate) const SAME_DAY_DIVERGENCE: Limits = limits(0.005, 0.1);
/// The same, by the largest difference of one bin's share.
pub(crate) const SAME_DAY_SHARE: Limits = limits(0.01, 0.2);
/// Another day may be as far from a known one as known days so far apart are, times a half more, and this beyond.
pub(crate) const OTHER_DAY_DIVERGENCE: Limits = limits(0.1, 0.3);
pub(crate) const OTHER_DAY_TIMES: f64 = 1.5;
/// By how much one bin's share may differ from that of the nearest day known (L-infinity), beyond chance.
pub(crate) const OTHER_DAY_SHARE: Limits = limits(0.3, 0.6);
/// Missing values, as a share of the rows, beyond those of the nearest day.
pub(crate) const MISSING_SHARE: Limits = limits(0.03, 0.3);
/// Rows with a value that training hadn't, beyond those of the labelled day: campaigns that begin may take a fifth.
pub(crate) const UNSEEN_SHARE: Limits = limits(0.25, 0.5);
/// By how much fewer of the labelled rows' values were learned than of today's values were there on the labelled day, as a
/// share of those: a window of days knows more than one day does.
pub(crate) const VALUES_LOST: Limits = limits(0.5, 0.9);
/// Values of today that were there on the labelled day, below which it isn't told.
pub(crate) const VALUES_SHARED_MIN: f64 = 30.0;
/// What a feature must move the score by to be held for its drift: a twentieth of the 1 %.
pub(crate) const INFLUENCE_MIN: f64 = 0.0005;
/// How much less one feature may tell of another, of 1 for all, beyond four deviations of chance. Where a tenth of the rows
/// is joined wrongly, two rows of a user agree in a fifth fewer cases.
/// Only what told two fifths at least is looked at, as an ad tells of its campaign: weaker dependences come and go.
pub(crate) const DETERMINES_MIN: f64 = 0.4;
pub(crate) const DETERMINES_DROP: Limits = limits(0.12, 0.4);
/// The same between days that differ by more than one: what campaigns there are differs.
pub(crate) const DETERMINES_DROP_LATER: Limits = limits(0.18, 0.5);
/// What click rates by value cost where the champion's are the truth.
pub(crate) const RATES_BY_VALUE: Limits = limits(0.005, 0.05);
/// The same where the two learned no day in common: within a week or two click rates drift by up to 1 %.
pub(crate) const RATES_BY_VALUE_LATER: Limits = limits(0.02, 0.1);
/// What one feature alone tells of the label beyond what the champion's data told.
pub(crate) const INFORMATION_GAIN: Limits = limits(0.05, 0.2);
/// The same without a champion: no honest feature of an impression tells a third of what there is to know.
pub(crate) const INFORMATION: Limits = limits(0.35, 0.7);
/// Rows that are there twice, beyond those of the champion's data, as a share.
pub(crate) const REPEATED_SHARE: Limits = limits(0.02, 0.2);
/// Labelled rows that the candidate learned from, beyond those the champion did.
pub(crate) const SEEN_SHARE: Limits = limits(0.01, 0.1);

/// Normalized entropy on the labelled rows beyond the worst of the earlier days that the recipe was tried on: days differ by
/// less than that.
pub(crate) const BACKTEST_LOSS: Limits = limits(0.02, 0.05);
/// Normalized entropy worse than the champion's: to hold, as it seems; to fail, as is sure.
pub(crate) const ENTROPY_LOSS: Limits = limits(0.009, 0.01);
/// What must be sure of it to hold: a model that learned from fewer rows is worse by a third of a per cent.
pub(crate) const ENTROPY_LOSS_SURE: f64 = 0.005;
/// Better than the champion's by more than retraining can bring.
pub(crate) const ENTROPY_GAIN: Limits = limits(0.05, 0.2);
/// A deviation of the difference in normalized entropy up to which 1 % can be told from nothing.
pub(crate) const ENTROPY_DEVIATION_MAX: f64 = 0.005;
/// Area under the curve below the champion's.
pub(crate) const AUC_LOSS: Limits = limits(0.01, 0.03);
/// The logarithm of predicted over clicked, beyond what chance and the day explain and beyond the champion's: 0.25 in
/// all costs two thirds of a per cent.
pub(crate) const CALIBRATION: Limits = limits(0.15, 0.5);
/// How far a day's own level may be from those learned: with few clicks three deviations of chance are more.
pub(crate) const CALIBRATION_OF_DAYS: f64 = 0.1;
/// What a correction by the values of one feature would win, beyond what it would win for the champion.
pub(crate) const CALIBRATION_BY_VALUE: Limits = limits(0.008, 0.05);
/// The same without a champion, beyond chance: then it holds what has drifted since the last day learned too.
pub(crate) const CALIBRATION_BY_VALUE_ALONE: Limits = limits(0.025, 0.1);
/// The logarithm of the mean score over the champion's, on the same rows, beyond what it was on labelled rows: 0.25 costs
/// two thirds of a per cent. A first weekend moves it by 0.18.
pub(crate) const SCORE_LEVEL: Limits = limits(0.25, 0.5);
/// Population stability of the candidate's scores against the champion's on the same rows, beyond that on labelled rows
/// (Siddiqi 2006 has 0.1 and 0.25 for one model; two honest ones differ by up to 0.15 more on another day).
pub(crate) const SCORE_DRIFT: Limits = limits(0.25, 0.5);
/// The same against its own scores of the labelled day.
pub(crate) const SCORE_SHIFT: Limits = limits(0.25, 0.5);
/// The champion's most extreme scores on either side, as a share.
pub(crate) const TAIL_SHARE: f64 = 0.01;
/// The logarithm of how many times as many scores are among the highest, beyond that on labelled rows and beyond chance.
pub(crate) const SCORE_TAIL_HIGH: Limits = limits(1.0, 2.0);
/// The same of the lowest, which are worth little: of honest models one has up to 3.5 times as many.
pub(crate) const SCORE_TAIL_LOW: Limits = limits(2.0, 4.0);
/// What one feature does to the score otherwise than for the champion, in shares of the entropy, beyond that on labelled rows.
pub(crate) const FEATURE_EFFECTS: Limits = limits(0.01, 0.05);
/// What the candidate would lose if the champion's scores were true.
pub(crate) const DIVERGENCE: Limits = limits(0.08, 0.2);
/// Spearman's correlation with the champion's scores within a slice.
pub(crate) const RANK_CORRELATION: Limits = limits(0.3, 0.15);
