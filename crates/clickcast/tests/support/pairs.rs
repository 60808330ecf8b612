//! Pairs of users and ads: written as rows, and read back from predictions.

use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_schema::DataType;

use super::World;

/// A user, an ad, and their prediction.
pub type Pair = (String, String, f64);

/// Joins every user's line with every ad's line, followed by the constants.
pub fn write_out(world: &World, users: &str, ads: &str, constants: &str, name: &str) {
    let read = |file: &str| std::fs::read_to_string(world.path(file)).unwrap();
    let (users, ads) = (read(users), read(ads));
    let pairs: Vec<(&str, &str)> = constants.split(',').filter_map(|pair| pair.split_once('=')).collect();
    let joined = |values: Vec<&str>| values.iter().map(|value| format!(",{value}")).collect::<String>();
    let (names, values) =
        (joined(pairs.iter().map(|pair| pair.0).collect()), joined(pairs.iter().map(|p| p.1).collect()));
    let mut text = format!("{},{}{names}\n", users.lines().next().unwrap(), ads.lines().next().unwrap());
    for user in users.lines().skip(1) {
        for ad in ads.lines().skip(1) {
            text += &format!("{user},{ad}{values}\n");
        }
    }
    world.write(name, text);
}

/// Reads the pairs of a file of predictions, in order.
pub fn read(path: &Path) -> Vec<Pair> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let inputs = runtime.block_on(clickcast_dataset::discover(path.to_str().unwrap())).unwrap();
    let batch = clickcast_dataset::sample(&inputs[0], runtime.handle(), 10_000_000).unwrap();
    let Some(users) = batch.column_by_name("user_id") else { return Vec::new() };
    let text = |name: &str, array| clickcast_dataset::text_of(name, array).unwrap();
    let (users, ads) = (text("user_id", users), text("ad_id", batch.column_by_name("ad_id").unwrap()));
    let ctr = batch.column_by_name("ctr").unwrap();
    let ctr = |row: usize| match ctr.data_type() {
        DataType::Float32 => f64::from(ctr.as_primitive::<Float32Type>().value(row)),
        _ => ctr.as_primitive::<Float64Type>().value(row),
    };
    (0..batch.num_rows()).map(|row| (users.value(row).to_owned(), ads.value(row).to_owned(), ctr(row))).collect()
}

/// Asserts the same pairs in the same order, with predictions within a tolerance.
pub fn alike(context: &str, found: &[Pair], expected: &[Pair], difference_max: f64) {
    assert_eq!(found.len(), expected.len(), "{context}");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((&found.0, &found.1), (&expected.0, &expected.1), "{context}");
        let near = (found.2 - expected.2).abs() <= difference_max || found.2.is_nan() && expected.2.is_nan();
        assert!(near, "{context}: {found:?} for {expected:?}");
    }
}
