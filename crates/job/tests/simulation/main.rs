//! Many workers, a queue, a store and a clock, simulated step by step with crashes between any two of them.
//!
//! Workers follow the very decisions of [`protocol::next`] and close a run by [`unfinished`]; a checker watches every step. That
//! the checker can fail is shown by rules one of which is broken.

#![allow(clippy::unwrap_used)]

mod closing;
mod leases;
mod world;

use clickcast_job::closing::unfinished;
use clickcast_job::protocol::{self, Action, Event};
use clickcast_registry::RunManifest;
use world::World;

/// What workers and stores go by.
#[derive(Clone, Copy)]
struct Rules {
    next: fn(&Event, f64) -> Action,
    may_close: fn(&RunManifest) -> bool,
    /// Whether a manifest is put only where there is none.
    closes_once: bool,
    /// Whether workers keep their messages from others while they work on them.
    extends_leases: bool,
}

const AS_BUILT: Rules = Rules {
    next: protocol::next,
    may_close: |manifest| unfinished(manifest).is_empty(),
    closes_once: true,
    extends_leases: true,
};

/// What ends badly, seed by seed.
fn failures(seeds: std::ops::Range<u64>, rules: Rules) -> impl Iterator<Item = String> {
    seeds.filter_map(move |seed| World::new(seed, rules).run().err().map(|problem| format!("seed {seed}: {problem}")))
}

/// Holds a broken rule against what the checker is to say of it.
fn is_found(seeds: std::ops::Range<u64>, rules: Rules, expected: &str) {
    let problem = failures(seeds, rules).next().unwrap();
    assert!(problem.contains(expected), "{problem}");
}

#[test]
fn whatever_crashes_every_input_is_scored_once_and_its_run_closed_once_and_only_the_poisoned_are_dead() {
    let seeds = std::env::var("CLICKCAST_SIMULATION_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(4_000);
    assert_eq!(failures(0..seeds, AS_BUILT).next(), None);
}

#[test]
fn the_checker_finds_an_acknowledgement_before_the_commit() {
    let next = |event: &Event, jitter| match event {
        Event::Missing => Action::Acknowledge,
        other => protocol::next(other, jitter),
    };
    is_found(0..20, Rules { next, ..AS_BUILT }, "was acknowledged and nothing is there");
}

#[test]
fn the_checker_finds_a_split_that_is_acknowledged_before_its_items_are_sent() {
    let next = |event: &Event, jitter| match event {
        Event::Several => Action::Acknowledge,
        other => protocol::next(other, jitter),
    };
    is_found(0..20, Rules { next, ..AS_BUILT }, "was acknowledged and nothing is there");
}

#[test]
fn the_checker_finds_a_burial_that_the_run_does_not_know_of() {
    let next = |event: &Event, jitter| match event {
        Event::Bad(reason) => Action::Bury(reason.clone()),
        other => protocol::next(other, jitter),
    };
    is_found(0..20, Rules { next, ..AS_BUILT }, "was buried and its run doesn't know why");
}

#[test]
fn the_checker_finds_a_bad_input_that_is_tried_for_ever() {
    let next = |event: &Event, jitter| match event {
        Event::Bad(_) => Action::Release,
        other => protocol::next(other, jitter),
    };
    is_found(0..3, Rules { next, ..AS_BUILT }, "never come to an end");
}

#[test]
fn the_checker_finds_an_overwritten_input_that_each_of_its_old_ranges_cuts_anew() {
    let next = |event: &Event, jitter| match event {
        Event::Overwritten(_) => Action::HandOn,
        other => protocol::next(other, jitter),
    };
    is_found(0..2_000, Rules { next, ..AS_BUILT }, "ranges were sent");
}

#[test]
fn the_checker_finds_a_message_for_a_whole_input_that_is_taken_for_one_of_an_old_range() {
    let next = |event: &Event, jitter| match event {
        Event::Several => protocol::next(&Event::Overwritten(1), jitter),
        other => protocol::next(other, jitter),
    };
    is_found(0..20, Rules { next, ..AS_BUILT }, "was acknowledged and nothing is there");
}

#[test]
fn the_checker_finds_a_run_that_is_closed_while_inputs_are_missing() {
    is_found(0..200, Rules { may_close: |_| true, ..AS_BUILT }, "closed without");
}

#[test]
fn the_checker_finds_a_run_that_is_closed_twice() {
    is_found(0..2_000, Rules { closes_once: false, ..AS_BUILT }, "closed twice");
}

#[test]
fn the_checker_finds_a_folders_end_that_gives_up_waiting() {
    let next = |event: &Event, jitter| match event {
        Event::Unready(..) => Action::Acknowledge,
        other => protocol::next(other, jitter),
    };
    is_found(0..20, Rules { next, ..AS_BUILT }, "nobody will close the run");
}

#[test]
fn the_checker_finds_work_that_is_not_kept_from_others_while_it_goes_on() {
    is_found(0..20, Rules { extends_leases: false, ..AS_BUILT }, "came into other hands");
}
