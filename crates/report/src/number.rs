//! Numbers as people read them, in one style: on pages, in tables and in sentences.

/// Formats a count with a space between thousands: `1 234 567`.
#[must_use]
pub fn grouped(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Formats a count of things: `1 row`, `12 000 rows`. The noun is one whose plural ends in `s`.
#[must_use]
pub fn counted(count: u64, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(count))
}

/// Formats a measured number: a whole one without decimals, a tiny one not as 0.
#[must_use]
pub fn measured(value: f64) -> String {
    match value.abs() {
        size if value.fract() == 0.0 && size < 1e15 => format!("{value:.0}"),
        size if size < 0.0005 => format!("{value:.0e}"),
        _ => format!("{value:.4}"),
    }
}

/// Formats a share as a percentage: `2.50 %`, `31.4 %`, `100 %`.
#[must_use]
pub fn percent(share: f64) -> String {
    if share.abs() < 0.1 {
        format!("{:.2} %", share * 100.0)
    } else if share == 1.0 {
        "100 %".to_owned()
    } else {
        format!("{:.1} %", share * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_numbers_are_neither_too_long_nor_0() {
        for (value, expected) in [
            (0.0, "0"),
            (3.0, "3"),
            (0.123_456, "0.1235"),
            (-0.25, "-0.2500"),
            (1e-6, "1e-6"),
            (f64::NAN, "NaN"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(measured(value), expected);
        }
    }

    #[test]
    fn counts_have_their_thousands_apart_and_agree_with_their_noun() {
        for (count, expected) in [(0, "0 rows"), (1, "1 row"), (999, "999 rows"), (1_234_567, "1 234 567 rows")] {
            assert_eq!(counted(count, "row"), expected);
        }
    }

    #[test]
    fn small_shares_have_more_decimals_and_all_is_all() {
        for (share, expected) in [(0.025, "2.50 %"), (0.3141, "31.4 %"), (-0.02, "-2.00 %"), (1.0, "100 %")] {
            assert_eq!(percent(share), expected);
        }
    }
}
