//! Honest retrains, as they vary from day to day.

use std::sync::Arc;
use std::time::Instant;

use super::chance::Chance;
use super::scene::{entropy, expected_loss, gate, learn};
use super::table::{Table, Values};
use super::world::{Day, World};
use clickcast_learn::FactorFamily;

/// How an honest retrain differs from the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Variation {
    Daily,
    AnotherSeed,
    RowOrder,
    ShorterWindow,
    LongerWindow,
    FewerRows,
    OldChampion,
    NewCampaign,
    WithoutChampion,
}

const VARIATIONS: [Variation; 9] = [
    Variation::Daily,
    Variation::AnotherSeed,
    Variation::RowOrder,
    Variation::ShorterWindow,
    Variation::LongerWindow,
    Variation::FewerRows,
    Variation::OldChampion,
    Variation::NewCampaign,
    Variation::WithoutChampion,
];

/// Judges each variation on two days of the week.
pub(crate) fn retrains(world: &World, seed: u64, window: usize) {
    let cases: Vec<(usize, Variation)> = VARIATIONS
        .into_iter()
        .enumerate()
        .flat_map(|(index, variation)| {
            [(index + seed as usize) % 6, (index + seed as usize + 3) % 6].map(|offset| (offset, variation))
        })
        .collect();
    super::side_by_side(cases.len(), |number| retrain(world, seed, window, cases[number]));
}

fn retrain(world: &World, seed: u64, window: usize, (offset, variation): (usize, Variation)) {
    let mut chance = Chance::new(seed * 77 + offset as u64);
    let Day { mut champion, mut candidate, labelled, today } = Day::new(offset, window, 1);
    let last = candidate.end;
    let mut candidate_seed = seed;
    match variation {
        Variation::AnotherSeed => candidate_seed += 1_000,
        Variation::ShorterWindow => candidate.start += 1,
        Variation::LongerWindow => candidate.start = last.saturating_sub(2 * window),
        Variation::OldChampion => champion = Day::new(offset, window.min(8), 7).champion,
        _ => {}
    }
    let family =
        if seed.is_multiple_of(10) && variation == Variation::Daily { FactorFamily::Ffm } else { FactorFamily::Lr };
    let champion = (variation != Variation::WithoutChampion)
        .then(|| learn(&world.days(champion), family, seed).expect("honest rows"));
    let mut training = world.days(candidate);
    match variation {
        Variation::RowOrder => training = training.take(&chance.shuffled(&(0..training.rows()).collect::<Vec<_>>())),
        Variation::FewerRows => training = training.take(&chance.some(training.rows(), 0.7)),
        _ => {}
    }
    let candidate = learn(&training, family, candidate_seed).expect("honest rows");
    drop(training);
    let (labelled, mut today) = (world.days(labelled), world.days(today));
    if variation == Variation::NewCampaign {
        today = with_campaign(&today, &mut chance);
    }
    let start = Instant::now();
    let judgement = gate(&candidate, champion.as_ref(), &labelled, Some(&today));
    let loss = |learned| expected_loss(learned, &today, &today.truth) / entropy(&today.truth);
    let cost = champion.as_ref().map_or(0.0, |champion| loss(&candidate) - loss(champion));
    super::print("honest", &format!("{variation:?}"), 0.0, seed, cost, &judgement, start);
}

/// Up to 4 % of today's rows show an ad that nobody has seen: a campaign that began this morning.
fn with_campaign(today: &Table, chance: &mut Chance) -> Table {
    let mut today = today.clone();
    let rows = chance.some(today.rows(), 0.01 + 0.03 * chance.clone().unit());
    let most = today.columns.iter().enumerate().filter_map(|(index, values)| match &**values {
        Values::Categorical { names, .. } => Some((names.len(), index)),
        _ => None,
    });
    // The ads: of the columns with many values the one with fewest beside it, whatever it is called.
    let mut most: Vec<(usize, usize)> = most.collect();
    most.sort_unstable();
    let index = most[most.len() / 2].1;
    if let Values::Categorical { codes, names } = today.column_mut(index) {
        let names = Arc::make_mut(names);
        names.push("a new campaign".to_owned());
        let code = names.len() as u32;
        rows.into_iter().for_each(|row| codes[row] = code);
    }
    today
}
