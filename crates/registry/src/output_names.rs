//! The names of a run's outputs: each follows from its input's, and from the range of row groups that it holds.

/// The ending of every output.
const ENDING: &str = ".parquet";

/// Returns the name of an input's output, or of that of a range of its row groups, first and last.
///
/// `output` is the input's key with the ending of predictions, `.parquet`.
pub(crate) fn output_name(output: &str, row_groups: Option<(u64, u64)>) -> String {
    match row_groups {
        None => output.to_owned(),
        Some((first, last)) => format!("{}.g{first}-{last}{ENDING}", stem(output)),
    }
}

/// Whether an input has an output by name, or that of at least one range; `names` are all that there are, rising.
#[must_use]
pub fn has_output(output: &str, names: &[&str]) -> bool {
    if names.binary_search(&output).is_ok() {
        return true;
    }
    let of_ranges = format!("{}.g", stem(output));
    let first = names.partition_point(|name| *name < of_ranges.as_str());
    let mut same_start = names[first..].iter().map_while(|name| name.strip_prefix(&of_ranges));
    same_start.any(|rest| {
        let range = rest.strip_suffix(ENDING);
        range.is_some_and(|range| range.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
    })
}

fn stem(output: &str) -> &str {
    output.strip_suffix(ENDING).unwrap_or(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_has_an_output_of_its_own_name_or_of_a_range() {
        let range = output_name("b.parquet", Some((0, 3)));
        let names = ["a.parquet", range.as_str(), "c.gz.parquet"];
        assert_eq!(range, "b.g0-3.parquet");
        for (output, expected) in [
            ("a.parquet", true),
            ("b.parquet", true),
            ("c.parquet", false),
            ("d.parquet", false),
            ("c.gz.parquet", true),
        ] {
            assert_eq!(has_output(&output_name(output, None), &names), expected, "{output}");
        }
    }
}
