//! Guesses a feature schema from a sample of data: a first draft with its reasons, to be edited.

use std::collections::HashMap;
use std::fmt::Write as _;

use arrow_array::RecordBatch;
use arrow_schema::DataType;
use clickcast_model::metrics::Accumulator;
use clickcast_record::{
    Binding, Categorical, Category, Column, Error, Feature, Kind, Multi, Need, Roles, Schema, Side,
};

/// Above this share of distinct values a column tells rows apart, not what they have in common.
const ID_SHARE: f64 = 0.95;
/// A column that alone orders clicks this well is the label, or made from it.
const DISGUISE_AUC: f64 = 0.99;
/// A column that alone orders clicks this well deserves a question.
const STRONG_AUC: f64 = 0.75;
/// Mean length of text, in characters, above which it is prose rather than a category.
const PROSE_LENGTH: f64 = 40.0;
/// One text among so many numbers is a typing error, more are categories.
const STRAYS_ONE_IN: usize = 20;
/// Fewer sampled rows than this say nothing about ids or disguises.
const JUDGED_ROWS_MIN: usize = 50;

/// A guessed column.
struct Guess {
    name: String,
    kind: Kind,
    side: Side,
    /// What was seen, for the comment.
    seen: String,
    /// Why the column had better not be a feature.
    objection: Option<String>,
    /// Something to check.
    warning: Option<String>,
}

/// The text of a `features.toml` for data like `sample`, and its warnings, one sentence each.
///
/// # Errors
/// Where the label or an id is missing, the label is not 0/1, or no column is left to learn from.
pub(crate) fn guess(
    sample: &RecordBatch,
    label: &str,
    ids: &[String],
    dropped: &[String],
) -> Result<(String, Vec<String>), Error> {
    let file = sample.schema();
    let present = || file.fields().iter().map(|field| field.name().as_str()).collect::<Vec<_>>().join(", ");
    let named = ids.iter().chain(dropped).map(String::as_str);
    for column in std::iter::once(label).chain(named) {
        if file.column_with_name(column).is_none() {
            return Err(Error::MissingColumn { column: column.to_owned(), present: present() });
        }
    }
    let mut kept = file.fields().iter().filter(|field| !dropped.contains(field.name()));
    let time = kept.find(|field| is_time(field.data_type())).map(|field| field.name().clone());
    let mut candidates = Vec::new();
    let mut unread = Vec::new();
    for field in file.fields() {
        if field.name() == label || Some(field.name()) == time.as_ref() || dropped.contains(field.name()) {
            continue;
        }
        match kind_of(field.name(), field.data_type()) {
            Some(kind) => candidates.push(Feature::new(field.name(), kind, side_of(field.name()))),
            None => unread.push(format!("`{}` is {}, which no feature can be", field.name(), field.data_type())),
        }
    }
    let schema = Schema::new(candidates)?.with_roles(Roles { label: Some(label.to_owned()), ..Roles::default() })?;
    let batch = Binding::new(&schema, &Need { labels: true, ..Need::default() }, &file)?.batch(sample, 0)?;
    let labels = batch.labels.unwrap_or_default();
    let guesses: Vec<Guess> = schema
        .features()
        .iter()
        .zip(&batch.features)
        .map(|(feature, column)| judge(feature, column, &labels, ids.contains(&feature.name)))
        .collect();
    if guesses.iter().all(|guess| guess.objection.is_some()) {
        return Err(Error::Schema("no column of the data looks like a feature; name them by hand".to_owned()));
    }
    let warnings = guesses.iter().filter_map(|guess| {
        let reason = guess.objection.as_ref().or(guess.warning.as_ref())?;
        Some(format!("`{}` {reason}", guess.name))
    });
    let warnings = warnings.chain(unread).collect();
    Ok((write(&guesses, label, time.as_deref(), ids, sample.num_rows()), warnings))
}

fn is_time(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(..) | DataType::Date32 | DataType::Date64)
}

/// Words of a column's name, in lower case.
fn words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    let mut previous_lower = false;
    for character in name.chars() {
        if character.is_uppercase() && previous_lower {
            spaced.push(' ');
        }
        previous_lower = character.is_lowercase();
        spaced.push(if character.is_alphanumeric() { character } else { ' ' });
    }
    spaced.split_whitespace().map(str::to_lowercase).collect()
}

fn kind_of(name: &str, data_type: &DataType) -> Option<Kind> {
    const NAMES_OF_CODES: [&str; 9] = ["id", "code", "type", "category", "zip", "hash", "segment", "class", "uuid"];
    Some(match data_type {
        DataType::Dictionary(_, values) => kind_of(name, values)?,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Boolean => Kind::Categorical,
        DataType::List(_) | DataType::LargeList(_) => Kind::Multi,
        other if other.is_floating() => Kind::Numeric,
        other if other.is_integer() => {
            let code = words(name).iter().any(|word| NAMES_OF_CODES.contains(&word.as_str()));
            if code { Kind::Categorical } else { Kind::Numeric }
        }
        _ => return None,
    })
}

fn side_of(name: &str) -> Side {
    const USER: [&str; 5] = ["user", "age", "gender", "device", "customer"];
    const AD: [&str; 7] = ["ad", "item", "campaign", "advertiser", "creative", "banner", "movie"];
    let words = words(name);
    let names = |known: &[&str]| words.iter().any(|word| known.contains(&word.as_str()));
    match (names(&USER), names(&AD)) {
        (true, false) => Side::User,
        (false, true) => Side::Ad,
        _ => Side::Context,
    }
}

/// What a column's values show, whatever its kind.
struct Seen {
    kind: Kind,
    distinct: usize,
    /// Share of the rows without a value.
    missing: f64,
    /// For the comment.
    text: String,
    /// A score of some rows, and those rows' labels: their AUC is the column's own.
    scored: (Vec<f64>, Vec<bool>),
    /// Whether it is text that people wrote.
    prose: bool,
    /// A text among values that are nearly all numbers.
    stray: Option<String>,
}

fn judge(feature: &Feature, column: &Column, labels: &[bool], is_id: bool) -> Guess {
    let rows = labels.len();
    let seen = match column {
        Column::Numeric(values) => see_numbers(&(0..rows).map(|row| values.get(row)).collect::<Vec<_>>(), labels),
        Column::Categorical(values) => see_categories(values, labels),
        Column::Multi(lists) => see_lists(lists, rows),
    };
    let auc = auc(&seen.scored.0, &seen.scored.1);
    let judged = rows >= JUDGED_ROWS_MIN;
    let tells_rows_apart = seen.kind == Kind::Categorical && seen.distinct as f64 > ID_SHARE * rows as f64;
    let objection = if seen.distinct <= 1 {
        Some("is constant: it can tell nothing apart".to_owned())
    } else if judged && auc.is_some_and(|auc| auc > DISGUISE_AUC) {
        Some("may be the label in disguise: it alone tells clicks from others".to_owned())
    } else if judged && seen.prose {
        Some("looks like free text".to_owned())
    } else if judged && tells_rows_apart {
        Some("looks like an id: nearly every row has a value of its own".to_owned())
    } else if is_id && seen.kind == Kind::Numeric {
        Some("is carried as an id".to_owned())
    } else {
        None
    };
    let typo = seen.stray.map(|text| format!("is nearly all numbers, but `{text}` is none: a typing error, perhaps"));
    let warning = typo.or(match auc {
        Some(auc) if judged && auc > STRONG_AUC => {
            Some(format!("alone reaches AUC {auc:.2}: make sure that it is known before the impression"))
        }
        _ if judged && whole_and_distinct(column, seen.distinct, rows) => {
            Some("is a whole number that differs in nearly every row: an id or a time, perhaps".to_owned())
        }
        _ => None,
    });
    let mut text = seen.text;
    if seen.missing > 0.0 {
        let _ = write!(text, ", {:.1} % missing", seen.missing * 100.0);
    }
    Guess { name: feature.name.clone(), kind: seen.kind, side: feature.side, seen: text, objection, warning }
}

fn see_numbers(values: &[f64], labels: &[bool]) -> Seen {
    let distinct = count_distinct(values.iter().map(|value| value.to_bits()));
    let present = values.iter().filter(|value| !value.is_nan());
    let (low, high) =
        present.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)));
    Seen {
        kind: Kind::Numeric,
        distinct,
        missing: share(values, |value| value.is_nan()),
        text: format!("{distinct} values from {low} to {high}"),
        scored: (ranks(values), labels.to_vec()),
        prose: false,
        stray: None,
    }
}

fn see_categories(values: &Categorical, labels: &[bool]) -> Seen {
    let keys = keys(values);
    let distinct = count_distinct(keys.iter().copied());
    let (length, listed) = text_shape(values);
    Seen {
        kind: if listed { Kind::Multi } else { Kind::Categorical },
        distinct,
        missing: share(&keys, |key| *key == MISSING_KEY),
        text: format!("{distinct} values"),
        scored: (rates(&keys, labels), labels.iter().copied().skip(1).step_by(2).collect()),
        prose: length > PROSE_LENGTH && distinct as f64 > 0.5 * labels.len() as f64,
        stray: stray_text(values),
    }
}

/// A text among values that are nearly all numbers.
fn stray_text(values: &Categorical) -> Option<String> {
    let texts = (0..values.len()).filter_map(|row| match values.get(row) {
        Some(Category::Text(text)) => Some(text),
        _ => None,
    });
    let (mut present, mut strays, mut stray) = (0, 0, None);
    for text in texts {
        present += 1;
        if text.trim().parse::<f64>().is_err() {
            strays += 1;
            stray = stray.or(Some(text));
        }
    }
    stray.filter(|_| strays * STRAYS_ONE_IN <= present).map(str::to_owned)
}

fn see_lists(lists: &Multi, rows: usize) -> Seen {
    let keys = keys(&lists.values);
    let distinct = count_distinct(keys.iter().copied());
    let empty = lists.offsets.windows(2).filter(|pair| pair[0] == pair[1]).count();
    let rows = rows.max(1) as f64;
    Seen {
        kind: Kind::Multi,
        distinct,
        missing: empty as f64 / rows,
        text: format!("{distinct} items, {:.1} a row", keys.len() as f64 / rows),
        scored: (Vec::new(), Vec::new()),
        prose: false,
        stray: None,
    }
}

fn whole_and_distinct(column: &Column, distinct: usize, rows: usize) -> bool {
    let Column::Numeric(values) = column else { return false };
    distinct as f64 > ID_SHARE * rows as f64 && (0..rows).all(|row| values.get(row).fract() == 0.0)
}

/// The key of a missing category; a hash can be 0 too, which a draft may confuse.
const MISSING_KEY: u64 = 0;

fn keys(values: &Categorical) -> Vec<u64> {
    let mut keys = Vec::new();
    values.map_into(&mut keys, |category| category.map_or(MISSING_KEY, clickcast_record::Category::hash));
    keys
}

fn share<T>(values: &[T], test: impl Fn(&T) -> bool) -> f64 {
    values.iter().filter(|value| test(value)).count() as f64 / values.len().max(1) as f64
}

fn count_distinct(values: impl Iterator<Item = u64>) -> usize {
    values.collect::<std::collections::HashSet<_>>().len()
}

/// Mean length of text values, and whether they look like lists separated by `|`.
fn text_shape(values: &Categorical) -> (f64, bool) {
    let Categorical::Coded { categories, .. } = values else { return (0.0, false) };
    let (mut length, mut listed) = (0, 0);
    for index in 0..categories.len() {
        if let clickcast_record::Category::Text(text) = categories.get(index) {
            length += text.chars().count();
            listed += usize::from(text.contains('|'));
        }
    }
    let count = categories.len().max(1);
    (length as f64 / count as f64, listed * 10 > count)
}

/// Each value's rank in `[0, 1]`, missing lowest: a score whose AUC is the column's own.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let key = |row: usize| if values[row].is_nan() { f64::NEG_INFINITY } else { values[row] };
    order.sort_by(|&a, &b| key(a).total_cmp(&key(b)));
    let mut ranks = vec![0.0; values.len()];
    let mut rank = 0.0;
    for (place, &row) in order.iter().enumerate() {
        if place > 0 && key(order[place - 1]) != key(row) {
            rank = place as f64 / values.len() as f64;
        }
        ranks[row] = rank;
    }
    ranks
}

/// Each odd row's click rate of its category among the even rows: a rate that has not seen its row.
fn rates(keys: &[u64], labels: &[bool]) -> Vec<f64> {
    let mut counts: HashMap<u64, (f64, f64)> = HashMap::new();
    for (&key, &label) in keys.iter().zip(labels).step_by(2) {
        let entry = counts.entry(key).or_default();
        entry.0 += 1.0;
        entry.1 += f64::from(u8::from(label));
    }
    let prior = share(labels, |&label| label);
    let rate = |key: &u64| {
        let (rows, clicks) = counts.get(key).copied().unwrap_or_default();
        (clicks + prior) / (rows + 1.0)
    };
    keys.iter().skip(1).step_by(2).map(rate).collect()
}

/// How well the scores order clicks, in either direction.
fn auc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    let mut accumulator = Accumulator::new(scores.len());
    scores.iter().zip(labels).for_each(|(&score, &label)| accumulator.add(score, label, 1.0));
    let auc = accumulator.metrics()?.auc?;
    Some(auc.max(1.0 - auc))
}

fn write(guesses: &[Guess], label: &str, time: Option<&str>, ids: &[String], rows: usize) -> String {
    let quote = |text: &str| toml::Value::String(text.to_owned()).to_string();
    let mut text = format!("# Guessed from {rows} rows: read it through, and edit what you know better.\n\n");
    let _ = writeln!(text, "label = {}", quote(label));
    match time {
        Some(time) => drop(writeln!(text, "time = {}", quote(time))),
        None => text.push_str("# time = \"COLUMN\"    # lets training hold out the newest rows\n"),
    }
    if !ids.is_empty() {
        let _ = writeln!(text, "id = [{}]", ids.iter().map(|id| quote(id)).collect::<Vec<_>>().join(", "));
    }
    for guess in guesses {
        let off = if guess.objection.is_some() { "# " } else { "" };
        let _ = writeln!(text, "\n# {}: {}", guess.name.replace(['\n', '\r'], " "), guess.seen);
        let objection = guess.objection.as_ref().map(|why| format!("left out, it {why}"));
        for reason in objection.iter().chain(&guess.warning) {
            let _ = writeln!(text, "# WARNING: {reason}");
        }
        let (kind, side) = (format!("{:?}", guess.kind).to_lowercase(), format!("{:?}", guess.side).to_lowercase());
        let _ = writeln!(text, "{off}[[feature]]\n{off}name = {}\n{off}kind = \"{kind}\"", quote(&guess.name));
        if guess.side != Side::Context {
            let _ = writeln!(text, "{off}side = \"{side}\"");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::Arc;

    use arrow_array::{ArrayRef, Float64Array, Int32Array, StringArray, TimestampMillisecondArray};

    use super::*;

    fn sample() -> RecordBatch {
        let rows = 400;
        let clicked = |row: i32| row % 7 == 0;
        let ints = |value: fn(i32) -> i32| Arc::new((0..rows).map(value).collect::<Int32Array>()) as ArrayRef;
        let texts =
            |value: &dyn Fn(i32) -> String| Arc::new(StringArray::from_iter_values((0..rows).map(value))) as ArrayRef;
        RecordBatch::try_from_iter([
            ("click", ints(|row| i32::from(row % 7 == 0))),
            ("user_id", ints(|row| row)),
            ("device_type", ints(|row| row % 4)),
            (
                "price",
                Arc::new((0..rows).map(|row| Some(f64::from(row * 37 % 11))).collect::<Float64Array>()) as ArrayRef,
            ),
            ("age", texts(&|row| if row == 17 { "4O".to_owned() } else { (20 + row % 50).to_string() })),
            ("country", texts(&|row| format!("C{}", row % 5))),
            ("genres", texts(&|row| format!("a{}|b{}", row % 3, row % 5))),
            ("always", texts(&|_| "x".to_owned())),
            ("outcome", texts(&|row| if clicked(row) { "bought" } else { "left" }.to_owned())),
            ("comment", texts(&|row| format!("a long remark, number {row}, that nobody will ever make again"))),
        ])
        .unwrap()
    }

    #[test]
    fn kinds_roles_and_objections_are_guessed() {
        let (text, warnings) = guess(&sample(), "click", &["user_id".to_owned()], &[]).unwrap();
        let schema = Schema::from_toml(&text).unwrap();
        let kinds: Vec<(&str, Kind, Side)> =
            schema.features().iter().map(|feature| (feature.name.as_str(), feature.kind, feature.side)).collect();
        assert_eq!(
            kinds,
            [
                ("device_type", Kind::Categorical, Side::User),
                ("price", Kind::Numeric, Side::Context),
                ("age", Kind::Categorical, Side::User),
                ("country", Kind::Categorical, Side::Context),
                ("genres", Kind::Multi, Side::Context),
            ]
        );
        for (column, said) in [
            ("user_id", "looks like an id"),
            ("always", "is constant"),
            ("outcome", "label in disguise"),
            ("comment", "free text"),
            ("age", "`4O` is none"),
        ] {
            assert!(warnings.iter().any(|w| w.contains(column) && w.contains(said)), "{column}: {warnings:?}");
        }
    }

    #[test]
    fn a_time_is_named_unless_it_is_dropped() {
        let rows = sample();
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        for name in ["seen", "changed"] {
            let times = TimestampMillisecondArray::from_iter_values(0..rows.num_rows() as i64);
            columns.push((name.to_owned(), Arc::new(times)));
        }
        for name in ["click", "country"] {
            columns.push((name.to_owned(), rows.column_by_name(name).unwrap().clone()));
        }
        let rows = RecordBatch::try_from_iter(columns).unwrap();
        for (dropped, time) in [(&[][..], Some("seen")), (&["seen"], Some("changed")), (&["seen", "changed"], None)] {
            let dropped: Vec<String> = dropped.iter().map(|&name| name.to_owned()).collect();
            let (text, _) = guess(&rows, "click", &[], &dropped).unwrap();
            assert_eq!(Schema::from_toml(&text).unwrap().time(), time, "{dropped:?}");
        }
    }

    #[test]
    fn a_missing_label_is_named() {
        let error = guess(&sample(), "clicks", &[], &[]).unwrap_err().to_string();
        assert!(error.contains("`clicks` is missing") && error.contains("country"), "{error}");
    }
}
