//! Makes files of predictions that are wrong, yet tell of the true input: without a Parquet library, by the binary itself.

use anyhow::{Context, Result};

use super::workplace::Workplace;

/// What a footer calls the version of the input that was scored.
const ETAG: &[u8] = b"clickcast.input_etag";

/// A partition of a run, whose predictions are to be others.
pub(super) struct Partition<'a> {
    pub(super) place: &'a Workplace,
    /// The run's name: a footer has it too.
    pub(super) run: &'a str,
    pub(super) input: String,
    pub(super) output: String,
    /// The input's name in its folder.
    pub(super) key: String,
}

impl Partition<'_> {
    /// Puts the predictions of a model of other rows in the place of the output.
    pub(super) fn forge(&self, model: &str, change: impl FnOnce(&mut Vec<&str>)) -> Result<()> {
        let text = self.place.read_text(&self.input)?;
        let (header, rows) = text.split_once('\n').with_context(|| format!("`{}` is empty", self.input))?;
        let mut rows: Vec<&str> = rows.lines().collect();
        change(&mut rows);
        self.place.remove("forged")?;
        self.place.write(&format!("forged/in/{}", self.key), format!("{header}\n{}\n", rows.join("\n")))?;
        self.place.json(&format!("predict --model {model} --data forged/in --out forged/out --run {}", self.run))?;
        let forged = self.place.read(&format!("forged/out/runs/{}/ctr/{}.parquet", self.run, self.key))?;
        let honest = self.place.read(&self.output)?;
        self.place.write(&self.output, retold(&honest, forged).context("a footer is not what it was")?)
    }
}

/// The bytes of a forged file with the honest one's ETag in its footer; none where a footer has no ETag.
fn retold(honest: &[u8], mut forged: Vec<u8>) -> Option<Vec<u8>> {
    let (from, to) = (etag(honest)?, etag(&forged)?);
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

/// Where the ETag stands: after its key comes a field of the footer's protocol, its type, its length, its bytes.
fn etag(bytes: &[u8]) -> Option<std::ops::Range<usize>> {
    let end = bytes.windows(ETAG.len()).position(|window| window == ETAG)? + ETAG.len();
    let length = usize::from(*bytes.get(end + 1)?);
    // A longer one has a length of two bytes.
    (length < 128 && bytes.len() >= end + 2 + length).then_some(end + 2..end + 2 + length)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file that is all footer.
    fn file(etag: &str) -> Vec<u8> {
        let mut bytes = ETAG.to_vec();
        bytes.extend([0x18, etag.len() as u8]);
        bytes.extend(etag.as_bytes());
        bytes.extend((bytes.len() as u32).to_le_bytes());
        bytes.extend(b"PAR1");
        bytes
    }

    #[test]
    fn a_forged_file_tells_of_the_honest_ones_input() {
        for (honest, forged) in [("\"12-ab\"", "\"7-ab\""), ("\"7-ab\"", "\"12-ab\""), ("a", "b")] {
            assert_eq!(retold(&file(honest), file(forged)), Some(file(honest)), "{honest} {forged}");
        }
        assert_eq!(retold(b"PAR1", file("a")), None);
        assert_eq!(retold(&file("a"), ETAG.to_vec()), None);
    }
}
