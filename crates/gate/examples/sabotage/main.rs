//! The proof of the gate: honest retrains and sabotaged ones, and what it says of each.
//!
//! Run by `cargo xtask sabotage`. Prints one JSON object a case; see `docs/gates.md` for what the kinds are.

#![allow(missing_docs, unreachable_pub, clippy::print_stdout, reason = "a program of its own")]

mod chance;
mod honest;
mod kinds;
mod scene;
mod table;
mod world;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use clickcast_learn::FactorFamily;
use clickcast_verdict::{Judgement, Verdict};
use serde_json::json;

use chance::Chance;
use kinds::{KINDS, Place, Sabotage};
use scene::{Learned, entropy, expected_loss, gate, learn};
use table::Table;
use world::{Day, WINDOW_MAX, World};

/// A candidate that is judged, beside an honest one.
struct Stage {
    champion: Learned,
    honest: Learned,
    training: Table,
    labelled: Table,
    today: Table,
    /// The honest candidate's expected loss today, and the entropy.
    loss: f64,
    entropy: f64,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |name: &str, default: u64| {
        let place = arguments.iter().position(|argument| argument == name);
        place.and_then(|place| arguments.get(place + 1)?.parse().ok()).unwrap_or(default)
    };
    let (first, count) = (number("--seed", 1), number("--seeds", 1));
    let rows_per_day = number("--rows-per-day", 20_000);
    // Of each kind's strengths the strongest, and every so-manieth before it.
    let every = number("--every", 1).max(1) as usize;
    let window = (number("--window", WINDOW_MAX as u64) as usize).clamp(1, WINDOW_MAX);
    // How many days earlier a sabotaged candidate's champion was learned: from the window's on they have no day in common.
    let champion_days = (number("--champion-days", 1) as usize).clamp(1, WINDOW_MAX);
    let only =
        arguments.iter().position(|argument| argument == "--only").and_then(|place| arguments.get(place + 1).cloned());
    for seed in first..first + count {
        // Every third seed is a market of another schema: fewer columns, renamed, without sides.
        let world = World::new(seed, rows_per_day, seed.is_multiple_of(3));
        if only.as_deref() != Some("sabotage") {
            honest::retrains(&world, seed, window);
        }
        if only.as_deref() != Some("honest") {
            sabotage(&world, seed, Day::new((seed % 6) as usize, window, champion_days), every);
        }
    }
}

fn sabotage(world: &World, seed: u64, day: Day, every: usize) {
    let family = if seed.is_multiple_of(10) { FactorFamily::Ffm } else { FactorFamily::Lr };
    let Day { champion, candidate, labelled, today } = day;
    let champion = learn(&world.days(champion), family, seed).expect("honest rows");
    let [training, labelled, today] = [candidate, labelled, today].map(|days| world.days(days));
    let honest = learn(&training, family, seed).expect("honest rows");
    let (loss, entropy) = (expected_loss(&honest, &today, &today.truth), entropy(&today.truth));
    let stage = Stage { champion, honest, training, labelled, today, loss, entropy };
    let strengths = |kind: &'static Sabotage| kind.strengths.iter().rev().step_by(every).rev();
    let cases: Vec<(&Sabotage, f64)> =
        KINDS.iter().flat_map(|kind| strengths(kind).map(move |&strength| (kind, strength))).collect();
    side_by_side(cases.len(), |number| {
        let (kind, strength) = cases[number];
        let mut chance = Chance::new(seed * 1_000 + number as u64);
        stage.judge(kind, strength, family, seed, &mut chance);
    });
    let future = stage.training.then(&stage.labelled).then(&stage.today);
    if let Some(candidate) = learn(&future, family, seed) {
        let start = Instant::now();
        let judgement = gate(&candidate, Some(&stage.champion), &stage.labelled, Some(&stage.today));
        print("future rows", "Training", 1.0, seed, stage.cost(&candidate, &stage.today), &judgement, start);
    }
}

/// Does numbered work on all cores, each piece on one.
fn side_by_side(count: usize, work: impl Fn(usize) + Sync) {
    let next = AtomicUsize::new(0);
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(number) = Some(next.fetch_add(1, Ordering::Relaxed)).filter(|&number| number < count) {
                    work(number);
                }
            });
        }
    });
}

impl Stage {
    fn judge(&self, kind: &Sabotage, strength: f64, family: FactorFamily, seed: u64, chance: &mut Chance) {
        let spoil = |table: &Table, chance: &mut Chance| (kind.spoil)(table, strength, chance);
        let both = &mut chance.clone();
        let (mut labelled, mut today, mut candidate) = (None, None, None);
        match kind.place {
            Place::Training => candidate = Some(learn(&spoil(&self.training, chance), family, seed)),
            Place::Today => today = Some(spoil(&self.today, chance)),
            Place::TrainingAndLabelled => {
                candidate = Some(learn(&spoil(&self.training, chance), family, seed));
                labelled = Some(spoil(&self.labelled, both));
            }
            Place::Scoring => {
                labelled = Some(spoil(&self.labelled, chance));
                today = Some(spoil(&self.today, both));
            }
        }
        let learned = match &candidate {
            // Nothing was learned: there is nothing to deliver.
            Some(None) => return,
            Some(Some(learned)) => learned,
            None => &self.honest,
        };
        let start = Instant::now();
        let (labelled, today) = (labelled.as_ref().unwrap_or(&self.labelled), today.as_ref().unwrap_or(&self.today));
        let judgement = gate(learned, Some(&self.champion), labelled, Some(today));
        print(kind.name, &format!("{:?}", kind.place), strength, seed, self.cost(learned, today), &judgement, start);
    }

    /// What delivering it costs, in normalized entropy, beyond the honest candidate.
    fn cost(&self, candidate: &Learned, today: &Table) -> f64 {
        (expected_loss(candidate, today, &self.today.truth) - self.loss) / self.entropy
    }
}

/// Prints one case.
fn print(kind: &str, place: &str, strength: f64, seed: u64, cost: f64, judgement: &Judgement, start: Instant) {
    let against = |verdict: &Verdict| *verdict > Verdict::Pass;
    let checks: Vec<_> =
        judgement.checks.iter().filter(|check| against(&check.verdict)).map(|check| &check.name).collect();
    let observed: serde_json::Map<_, _> =
        judgement.checks.iter().map(|check| (check.name.clone(), json!(check.observed))).collect();
    let reasons: Vec<_> =
        judgement.checks.iter().filter(|check| against(&check.verdict)).map(|check| &check.reason).collect();
    let case = json!({
        "kind": kind, "place": place, "strength": strength, "seed": seed, "cost": cost, "verdict": judgement.verdict,
        "against": checks, "observed": observed, "reasons": reasons, "seconds": start.elapsed().as_secs_f64(),
    });
    println!("{case}");
}
