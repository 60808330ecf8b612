//! Prints a command's output: a table for people, or one JSON object for scripts.

use std::io::Write;

use clickcast_report::number::grouped;
use clickcast_verdict::Check;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// Prints one line to stdout.
pub(crate) fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}") {
        // The reader has closed the pipe (`clickcast ... | head`).
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| Failure::transient(format!("stdout can't be written: {error}"))),
    }
}

/// Prints a note to stderr, unless `quiet` is set.
pub(crate) fn note(text: &str, quiet: bool) {
    if !quiet {
        // A closed stderr is no reason to stop.
        let _ = writeln!(std::io::stderr(), "{text}");
    }
}

/// Prints a command's report: as one JSON object with `--json`, otherwise its scalar fields as a table of two columns.
pub(crate) fn result(report: &impl Serialize, json: bool) -> Result<(), Failure> {
    let object = serde_json::to_value(report).map_err(|error| Failure::input(format!("the report: {error}")))?;
    if json {
        return say(&object.to_string());
    }
    let rows = object.as_object().into_iter().flatten();
    let rows = rows.filter(|(_, value)| !value.is_array() && !value.is_null());
    let mut cells = Vec::new();
    for (key, value) in rows {
        match value {
            Value::Object(inner) => {
                let inner = inner.iter().filter(|(_, value)| !value.is_object() && !value.is_array());
                cells.extend(inner.map(|(name, value)| vec![format!("{key} {}", words(name)), readable(name, value)]));
            }
            _ => cells.push(vec![words(key), readable(key, value)]),
        }
    }
    say(&table(None, cells))
}

/// Draws a table.
pub(crate) fn table(header: Option<Vec<&str>>, rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    if let Some(header) = header {
        table.set_header(header);
    }
    table.add_rows(rows);
    let drawn = table.to_string();
    drawn.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Draws checks as a table, the worst first.
pub(crate) fn checks(checks: &[Check]) -> String {
    let mut checks: Vec<&Check> = checks.iter().collect();
    checks.sort_by_key(|check| std::cmp::Reverse(check.verdict));
    let row = |check: &&Check| vec![check.verdict.to_string(), check.name.clone(), check.reason.clone()];
    table(None, checks.iter().map(row).collect())
}

fn words(key: &str) -> String {
    key.replace('_', " ")
}

/// Formats a number for people.
pub(crate) fn readable(key: &str, value: &Value) -> String {
    match value {
        Value::Number(number) if key.ends_with("bytes") => bytes(number.as_f64().unwrap_or(0.0)),
        Value::Number(number) if key == "version" || key == "seed" => number.to_string(),
        Value::Number(number) => match (number.as_u64(), number.as_f64()) {
            (Some(whole), _) => grouped(whole),
            (None, Some(real)) if real.abs() >= 1000.0 => grouped(real.round() as u64),
            (None, Some(real)) => format!("{real:.4}"),
            _ => number.to_string(),
        },
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    }
}

/// Formats a measure with four decimals, or a dash for `None`.
pub(crate) fn decimal(value: Option<f64>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.4}"))
}

fn bytes(count: f64) -> String {
    const MIB: f64 = 1024.0 * 1024.0;
    if count >= 1024.0 * MIB { format!("{:.2} GiB", count / 1024.0 / MIB) } else { format!("{:.1} MiB", count / MIB) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_printed_for_people() {
        for (key, value, expected) in [
            ("rows", serde_json::json!(1_234_567), "1 234 567"),
            ("rows", serde_json::json!(12), "12"),
            ("logloss", serde_json::json!(0.123_456), "0.1235"),
            ("rows_per_second", serde_json::json!(12_345.6), "12 346"),
            ("peak_memory_bytes", serde_json::json!(3_221_225_472_u64), "3.00 GiB"),
            ("auc", serde_json::json!(null), "-"),
        ] {
            assert_eq!(readable(key, &value), expected);
        }
    }
}
