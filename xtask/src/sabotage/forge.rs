//! Makes files of predictions that are wrong, yet tell of the true input: without a Parquet library, by the binary itself.

use anyhow::{Context, Result};
use clickcast_testing::forgery::{ETAG, retold};

use super::workplace::Workplace;

/// What a footer calls the model that scored.
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
