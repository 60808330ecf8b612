//! A benchmark of the gate: honest and sabotaged retrains, and the verdict on each.
//!
//! Run by `cargo xtask sabotage`. Prints one JSON object for each case; `docs/gates.md` explains the kinds.

#![allow(missing_docs, unreachable_pub, clippy::print_stdout, reason = "a program of its own")]

mod chance;
mod honest;
mod kinds;
mod scene;
mod table;
mod world;

use std::time::Instant;

use clickcast_learn::FactorFamily;
use clickcast_operations::models::OpenedModel;
use clickcast_verdict::{Judgement, Verdict};
use rayon::prelude::*;
use serde_json::json;

use chance::Chance;
use kinds::{KINDS, Place, Sabotage};
use scene::{entropy, expected_loss, gate, learn};
use table::Table;
use world::{Day, WINDOW_MAX, World};

/// What the sabotaged candidates of a market are judged with, and the honest one they are compared with.
struct Stage {
    champion: OpenedModel,
    honest: OpenedModel,
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
    // Which of a kind's strengths are tried: every so many, counted from the strongest.
    let every = number("--every", 1).max(1) as usize;
    let window = (number("--window", WINDOW_MAX as u64) as usize).clamp(1, WINDOW_MAX);
    // How many days earlier a sabotaged candidate's champion was learned. From `window` on, they share no day.
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

/// Calls `work` with each number below `count`, on all cores.
fn side_by_side(count: usize, work: impl Fn(usize) + Send + Sync) {
    // Cases take unequal times, so each is scheduled by itself.
    (0..count).into_par_iter().with_max_len(1).for_each(work);
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
            // Nothing was learned, so nothing can be delivered.
            Some(None) => return,
            Some(Some(learned)) => learned,
            None => &self.honest,
        };
        let start = Instant::now();
        let (labelled, today) = (labelled.as_ref().unwrap_or(&self.labelled), today.as_ref().unwrap_or(&self.today));
        let judgement = gate(learned, Some(&self.champion), labelled, Some(today));
        print(kind.name, &format!("{:?}", kind.place), strength, seed, self.cost(learned, today), &judgement, start);
    }

    /// Returns what delivering a candidate costs beyond the honest one, in normalized entropy.
    fn cost(&self, candidate: &OpenedModel, today: &Table) -> f64 {
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
