//! Makes files of predictions that are wrong, yet tell of the true input: without a Parquet library, by the binary itself.

use anyhow::{Context, Result};

use super::workplace::Workplace;

/// What a footer calls the version of the input that was scored.
const ETAG: &[u8] = b"clickcast.input_etag";
/// What it calls the model that scored.
const MODEL: &[u8] = b"clickcast.model";

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
    /// Puts the predictions of a model of other rows in the place of the output; `change` is given the names of the columns,
    /// too.
    pub(super) fn forge(&self, model: &str, change: impl FnOnce(&str, &mut Vec<String>)) -> Result<()> {
        self.forge_told(model, change, &[ETAG])
    }

    /// As [`Partition::forge`], under the name of the model that the output was made by.
    pub(super) fn forge_renamed(&self, model: &str) -> Result<()> {
        self.forge_told(model, |_, _| {}, &[ETAG, MODEL])
    }

    fn forge_told(
        &self,
        model: &str,
        change: impl FnOnce(&str, &mut Vec<String>),
        retold_keys: &[&[u8]],
    ) -> Result<()> {
        let text = self.place.read_text(&self.input)?;
        let (header, rows) = text.split_once('\n').with_context(|| format!("`{}` is empty", self.input))?;
        let mut rows: Vec<String> = rows.lines().map(str::to_owned).collect();
        change(header, &mut rows);
        self.place.remove("forged")?;
        self.place.write(&format!("forged/in/{}", self.key), format!("{header}\n{}\n", rows.join("\n")))?;
        self.place.json(&format!(
            "predict --model {model} --registry registry --data forged/in --out forged/out --run {}",
            self.run
        ))?;
        let forged = self.place.read(&format!("forged/out/runs/{}/ctr/{}.parquet", self.run, self.key))?;
        let honest = self.place.read(&self.output)?;
        let retold = retold_keys.iter().try_fold(forged, |forged, key| retold(&honest, forged, key));
        self.place.write(&self.output, retold.context("a footer is not what it was")?)
    }
}

/// The bytes of a forged file with the honest one's value of a key in its footer; none where a footer has no such key.
fn retold(honest: &[u8], mut forged: Vec<u8>, key: &[u8]) -> Option<Vec<u8>> {
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

/// Where a key's value stands: after the key comes a field of the footer's protocol, its type, its length, its bytes.
fn value(bytes: &[u8], key: &[u8]) -> Option<std::ops::Range<usize>> {
    let end = bytes.windows(key.len()).position(|window| window == key)? + key.len();
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
            assert_eq!(retold(&file(honest), file(forged), ETAG), Some(file(honest)), "{honest} {forged}");
        }
        assert_eq!(retold(b"PAR1", file("a"), ETAG), None);
        assert_eq!(retold(&file("a"), ETAG.to_vec(), ETAG), None);
    }
}
