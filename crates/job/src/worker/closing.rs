//! Whether a run may be closed.

use clickcast_registry::{InputRecord, Manifest};

/// Whether an output, or one of a range, is there by its name; `outputs` are the keys of all, rising.
pub(super) fn is_present(output: &str, outputs: &[&str]) -> bool {
    let of_ranges = format!("{}.g", output.strip_suffix(".parquet").unwrap_or(output));
    let is_range = |key: &&str| {
        let range = key.strip_prefix(&of_ranges).and_then(|rest| rest.strip_suffix(".parquet"));
        range.is_some_and(|range| range.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-'))
    };
    let first = outputs.partition_point(|key| *key < of_ranges.as_str());
    let mut same_start = outputs[first..].iter().take_while(|key| key.starts_with(&of_ranges));
    outputs.binary_search(&output).is_ok() || same_start.any(is_range)
}

/// The inputs of a manifest that are neither scored whole, as they are now, nor known to be bad; by key.
#[must_use]
pub fn unfinished(manifest: &Manifest) -> Vec<&str> {
    let is_bad = |input: &InputRecord| manifest.errors.iter().any(|bad| bad.key == input.key && bad.etag == input.etag);
    let missing = manifest.inputs.iter().filter(|input| !is_bad(input) && !input.is_covered_by(&manifest.outputs));
    missing.map(|input| input.key.as_str()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use clickcast_registry::{OutputRecord, PinnedModel, Rejected};

    fn manifest(outputs: &[(&str, Option<(u64, u64)>)], errors: &[&str]) -> Manifest {
        let output = |&(input_etag, row_groups): &(&str, Option<(u64, u64)>)| OutputRecord {
            key: String::new(),
            input: "a.parquet".to_owned(),
            input_etag: input_etag.to_owned(),
            row_groups,
            artifact: String::new(),
            rows: 1,
            bytes: 1,
            sha256: String::new(),
        };
        let error =
            |etag: &&str| Rejected { key: "a.parquet".to_owned(), etag: (*etag).to_owned(), reason: "bad".to_owned() };
        Manifest {
            run: "r".parse().unwrap(),
            closed: jiff::Timestamp::UNIX_EPOCH,
            model: PinnedModel { registry: None, name: None, version: None, artifact: String::new() },
            inputs: vec![InputRecord {
                key: "a.parquet".to_owned(),
                etag: "new".to_owned(),
                rows: Some(6),
                row_groups: Some(6),
            }],
            outputs: outputs.iter().map(output).collect(),
            superseded: Vec::new(),
            errors: errors.iter().map(error).collect(),
        }
    }

    #[test]
    fn a_run_is_closed_only_when_every_input_is_scored_as_it_is_now_or_bad() {
        for (outputs, errors, is_finished) in [
            (vec![], vec![], false),
            (vec![("new", None)], vec![], true),
            (vec![("old", None)], vec![], false),
            (vec![("new", Some((0, 3)))], vec![], false),
            (vec![("new", Some((0, 3))), ("old", Some((4, 5)))], vec![], false),
            (vec![("new", Some((0, 3))), ("new", Some((4, 5)))], vec![], true),
            (vec![("new", Some((0, 3))), ("new", Some((3, 5)))], vec![], false),
            (vec![("new", None), ("new", Some((4, 5)))], vec![], false),
            (vec![], vec!["old"], false),
            (vec![], vec!["new"], true),
        ] {
            let manifest = manifest(&outputs, &errors);
            assert_eq!(unfinished(&manifest).is_empty(), is_finished, "{outputs:?} {errors:?}");
        }
    }

    #[test]
    fn outputs_are_known_by_their_names() {
        let outputs = ["a.parquet", "b.g0-3.parquet", "c.gz.parquet"];
        for (output, expected) in [
            ("a.parquet", true),
            ("b.parquet", true),
            ("c.parquet", false),
            ("d.parquet", false),
            ("c.gz.parquet", true),
        ] {
            assert_eq!(is_present(output, &outputs), expected, "{output}");
        }
    }
}
