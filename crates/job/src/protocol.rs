//! What a worker does with a message, decided purely: the worker acts on it, and so does a simulation of many workers.
//!
//! The one rule that nothing may break: a message is acknowledged only when what it asks for is under its final name, was
//! looked at there, or was handed on to the queue; or when it asks for a part of what was overwritten since, which nobody can
//! score any more. Whatever dies before that leaves the message to be delivered again, and whoever gets it then finds the work
//! done or does it, with the same bytes.

use std::time::Duration;

/// What is to be done next with a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Look at the input, its run and its outputs.
    Look,
    /// Send what the message asks for as messages of their own: the ranges of a large input, or itself anew.
    HandOn,
    /// Fix what the run consists of.
    Close,
    /// Score it to its output, by a put that succeeds once.
    Score,
    /// Look whether the output is there, whole, of this input and model.
    Verify,
    /// Note in the run that the input can never be scored.
    Reject(String),
    /// Take the message from the queue: it is done.
    Acknowledge,
    /// Move the message to the dead letters.
    Bury(String),
    /// Leave the message, to be delivered again after a while.
    Leave(Duration),
    /// Make the message visible at once, for another worker.
    Release,
    /// Nothing more: the message is settled, or somebody else's.
    Forget,
}

impl Action {
    /// What it is called where workers are watched.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::HandOn => "hand_on",
            Self::Close => "close",
            Self::Score => "score",
            Self::Verify => "verify",
            Self::Reject(_) => "reject",
            Self::Acknowledge => "acknowledge",
            Self::Bury(_) => "bury",
            Self::Leave(_) => "leave",
            Self::Release => "release",
            Self::Forget => "forget",
        }
    }
}

/// What came of the last action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The message was received.
    Received,
    /// Its output is there already.
    Done,
    /// Its output is missing, or of an older version of the input.
    Missing,
    /// It asks for several things, such as the missing ranges of a large input.
    Several,
    /// It asks for a range, the first row group of which is this one, of an input that was overwritten since.
    Overwritten(u64),
    /// What it asks for is in the queue.
    HandedOn,
    /// It ends a run, all inputs of which have their outputs.
    Ready,
    /// It ends a run whose inputs are not all done; how often the message was received, and its round of asking again.
    Unready(u32, u32),
    /// The output was put, or somebody else's is there.
    Scored,
    /// What was verified is not there.
    Vanished,
    /// The failure was noted in the run.
    Rejected(String),
    /// The message is no longer in the queue.
    Settled,
    /// The message can't be understood, or its run takes nothing more: no input of an open run is to blame.
    Refused(String),
    /// The input can never be scored.
    Bad(String),
    /// It failed for a reason that may pass; the message was received so many times.
    Failed(u32),
    /// Another worker may have the message by now.
    LeaseLost,
    /// This worker is to end, or has enough; the message was received so many times.
    Drained(u32),
}

/// Receptions after which a message that is not at fault is sent anew: queues take one that was received some more times for
/// one that kills its workers, and bury it.
pub const RECEIVES_MAX: u32 = 4;

/// Receptions after which a message whose problem does not pass by itself, such as a run of a model that this registry doesn't
/// have, goes to the dead letters: somebody has to mend that, and then sends it again.
pub const LASTING_RECEIVES_MAX: u32 = 3;

/// Rounds of asking again for what a run lacks, before its end goes to the dead letters: about an hour, in which the slowest
/// range is scored.
pub const ROUNDS_MAX: u32 = 10;

/// Messages up to which a queue is quiet: only ends of runs and a few late ones wait there.
const QUIET_MESSAGES_MAX: u64 = 16;

/// What the end of a run does about inputs that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// It is left: they are about to come.
    Longer,
    /// It is sent anew, in the next round: they may be in somebody's hands.
    Round,
    /// They are asked for again, and it in the next round.
    Ask,
    /// They were asked for often enough.
    GiveUp,
}

/// Returns what the end of a run does about missing inputs. `receives` counts the deliveries of its message and `rounds` the
/// rounds of asking again; `visible` messages wait in the queue, and `held` are in other hands or left for later.
#[must_use]
pub fn wait(receives: u32, rounds: u32, visible: u64, held: u64) -> Wait {
    if receives < RECEIVES_MAX || visible > QUIET_MESSAGES_MAX {
        return Wait::Longer;
    }
    // Events are hints: one may be lost, or its message have gone to the dead letters with no fault of the input.
    match rounds {
        ROUNDS_MAX.. => Wait::GiveUp,
        // Many may be held for long, for the ends of many runs wait for each other: they are given one round.
        0 if visible + held > QUIET_MESSAGES_MAX => Wait::Round,
        _ => Wait::Ask,
    }
}

/// What to do after an event; `jitter` is from 0 to 1.
#[must_use]
pub fn next(event: &Event, jitter: f64) -> Action {
    match event {
        Event::Received => Action::Look,
        Event::Missing => Action::Score,
        Event::Several => Action::HandOn,
        // What is there now is cut anew once: were it cut by each of so many ranges, their square would be sent. The first
        // range stands for the input; where it was done before, the overwriting told of itself, or the folder's end asks.
        Event::Overwritten(0) => Action::HandOn,
        Event::Overwritten(_) => Action::Acknowledge,
        Event::Ready => Action::Close,
        Event::Scored => Action::Verify,
        Event::Done | Event::HandedOn => Action::Acknowledge,
        Event::Bad(reason) => Action::Reject(reason.clone()),
        // The run knows of it before the queue forgets it.
        Event::Rejected(reason) | Event::Refused(reason) => Action::Bury(reason.clone()),
        Event::Failed(RECEIVES_MAX..) | Event::Unready(RECEIVES_MAX.., _) | Event::Drained(RECEIVES_MAX..) => {
            Action::HandOn
        }
        Event::Failed(receives) => Action::Leave(backoff(*receives, jitter)),
        Event::Unready(receives, rounds) => Action::Leave(backoff(receives + rounds * RECEIVES_MAX, jitter)),
        Event::Vanished => Action::Leave(backoff(1, jitter)),
        Event::Drained(_) => Action::Release,
        Event::Settled | Event::LeaseLost => Action::Forget,
    }
}

/// The first wait after a failure that may pass.
const BACKOFF_MIN_S: f64 = 2.0;
/// The longest: an outage's end is then noticed within minutes.
const BACKOFF_MAX_S: f64 = 120.0;

/// How long a message that failed is left, when it was received so many times: twice as long each time, and between half of
/// that and all of it by `jitter` (from 0 to 1), so that workers that failed together don't come back together.
#[must_use]
pub fn backoff(receives: u32, jitter: f64) -> Duration {
    let doubled = BACKOFF_MIN_S * 2_f64.powi(receives.saturating_sub(1).min(30) as i32);
    Duration::from_secs_f64(doubled.min(BACKOFF_MAX_S) * (0.5 + jitter.clamp(0.0, 1.0) / 2.0))
}

/// Messages that a worker holds at most: what the cloud's queues give at once.
pub const MESSAGES_MAX: usize = 10;
/// The work that a worker takes at a time: less, and the queue's answers are waited for; more, and others are idle at the end
/// of a day while this one still has some.
const TAKEN_S: f64 = 2.0;

/// How many messages to take at a time, when one took `seconds_each` of late. Where that isn't known yet, one, and twice as many
/// after each batch in which there was nothing to score: what comes doubled, or tells of outputs, comes by the thousand.
#[must_use]
pub fn messages_to_take(seconds_each: Option<f64>, batches_without_work: u32) -> usize {
    let fit = seconds_each.map_or(f64::from(1 << batches_without_work.min(4)), |seconds| TAKEN_S / seconds.max(1e-6));
    (fit as usize).clamp(1, MESSAGES_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_acknowledged_that_was_not_seen_done_handed_on_or_overwritten() {
        let reason = || "why".to_owned();
        let events = [
            Event::Received,
            Event::Done,
            Event::Missing,
            Event::Several,
            Event::Overwritten(0),
            Event::Overwritten(4),
            Event::HandedOn,
            Event::Ready,
            Event::Unready(1, 0),
            Event::Unready(9, 0),
            Event::Scored,
            Event::Vanished,
            Event::Rejected(reason()),
            Event::Settled,
            Event::Refused(reason()),
            Event::Bad(reason()),
            Event::Failed(3),
            Event::Failed(9),
            Event::LeaseLost,
            Event::Drained(1),
            Event::Drained(9),
        ];
        for event in events {
            let expected = matches!(event, Event::Done | Event::HandedOn | Event::Overwritten(1..));
            assert_eq!(next(&event, 0.0) == Action::Acknowledge, expected, "{event:?}");
            let expected = matches!(event, Event::Rejected(_) | Event::Refused(_));
            assert_eq!(matches!(next(&event, 0.0), Action::Bury(_)), expected, "{event:?}");
        }
    }

    #[test]
    fn what_a_run_lacks_is_asked_for_again_when_nobody_else_is_about_to() {
        for (receives, rounds, visible, held, expected) in [
            (1, 0, 0, 0, Wait::Longer),
            (3, 9, 0, 0, Wait::Longer),
            (4, 0, 1, 1, Wait::Ask),
            (9, 9, 16, 0, Wait::Ask),
            (4, 0, 17, 0, Wait::Longer),
            (4, 10, 17, 0, Wait::Longer),
            (4, 0, 1, 16, Wait::Round),
            (4, 1, 1, 16, Wait::Ask),
            (4, 10, 0, 0, Wait::GiveUp),
        ] {
            assert_eq!(wait(receives, rounds, visible, held), expected, "{receives} {rounds} {visible} {held}");
        }
    }

    #[test]
    fn failures_are_left_for_longer_each_time_within_bounds() {
        for (receives, jitter, seconds) in [
            (0, 1.0, 2.0),
            (1, 0.0, 1.0),
            (1, 1.0, 2.0),
            (2, 1.0, 4.0),
            (5, 0.5, 24.0),
            (8, 1.0, 120.0),
            (u32::MAX, 1.0, 120.0),
            (3, 7.0, 8.0),
        ] {
            assert_eq!(backoff(receives, jitter).as_secs_f64(), seconds, "{receives} {jitter}");
        }
    }

    #[test]
    fn small_messages_are_taken_by_the_ten_and_large_ones_one_by_one() {
        for (seconds_each, batches_without_work, expected) in [
            (None, 0, 1),
            (None, 1, 2),
            (None, 3, 8),
            (None, u32::MAX, 10),
            (Some(0.0), 0, 10),
            (Some(0.1), 0, 10),
            (Some(0.5), 0, 4),
            (Some(1.9), 0, 1),
            (Some(60.0), 9, 1),
        ] {
            let found = messages_to_take(seconds_each, batches_without_work);
            assert_eq!(found, expected, "{seconds_each:?} {batches_without_work}");
        }
    }
}
