//! Forged outputs: files of predictions changed without a Parquet library.

/// The key in a footer of the version (ETag) of the input that was scored.
pub const ETAG: &[u8] = b"clickcast.input_etag";

/// Returns the bytes of a forged file with the honest file's value of a key in its footer, or `None` if one of the
/// footers has no such key.
pub fn retold(honest: &[u8], mut forged: Vec<u8>, key: &[u8]) -> Option<Vec<u8>> {
    let (from, to) = (value(honest, key)?, value(&forged, key)?);
    let grown = i64::try_from(from.len()).ok()? - i64::try_from(to.len()).ok()?;
    forged[to.start - 1] = u8::try_from(from.len()).ok()?;
    forged.splice(to, honest[from].iter().copied());
    // The footer's length stands before the last four bytes.
    let at = forged.len().checked_sub(8)?;
    let length = u32::from_le_bytes(forged[at..at + 4].try_into().ok()?);
    let length = u32::try_from(i64::from(length) + grown).ok()?;
    forged[at..at + 4].copy_from_slice(&length.to_le_bytes());
    Some(forged)
}

/// Returns the range of a key's value. After the key come the type of a Thrift field, the length and the bytes.
fn value(bytes: &[u8], key: &[u8]) -> Option<std::ops::Range<usize>> {
    let end = bytes.windows(key.len()).position(|window| window == key)? + key.len();
    let length = usize::from(*bytes.get(end + 1)?);
    // The length of a longer value takes two bytes.
    (length < 128 && bytes.len() >= end + 2 + length).then_some(end + 2..end + 2 + length)
}

/// Replaces the features of each row from `first` on by those of the next row; identifiers and times stay.
pub fn shift_features(header: &str, rows: &mut [String], first: usize) {
    let is_id: Vec<bool> = header.split(',').map(|name| name.ends_with("_id") || name == "ts").collect();
    for row in first..rows.len().saturating_sub(1) {
        let shifted = is_id.iter().zip(rows[row].split(',').zip(rows[row + 1].split(',')));
        let shifted = shifted.map(|(is_id, (own, next))| if *is_id { own } else { next }).collect::<Vec<_>>().join(",");
        rows[row] = shifted;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that consists of a footer.
    fn file(etag: &str) -> Vec<u8> {
        let mut bytes = ETAG.to_vec();
        bytes.extend([0x18, etag.len() as u8]);
        bytes.extend(etag.as_bytes());
        bytes.extend((bytes.len() as u32).to_le_bytes());
        bytes.extend(b"PAR1");
        bytes
    }

    #[test]
    fn a_forged_file_carries_the_version_of_the_honest_files_input() {
        for (honest, forged) in [("\"12-ab\"", "\"7-ab\""), ("\"7-ab\"", "\"12-ab\""), ("a", "b")] {
            assert_eq!(retold(&file(honest), file(forged), ETAG), Some(file(honest)), "{honest} {forged}");
        }
        assert_eq!(retold(b"PAR1", file("a"), ETAG), None);
        assert_eq!(retold(&file("a"), ETAG.to_vec(), ETAG), None);
    }
}
