//! Scores pieces of inputs, and writes each to a file of its own.

use std::collections::BTreeMap;
use std::fmt;

use clickcast_dataset::{
    CTR, Input, PredictionWriter, Replaces, Scan, ScanEvent, Written, footer, is_written, scan, written,
};
use clickcast_model::{Model, Scratch};
use clickcast_record::{Batch, Need, Precision};
use clickcast_storage::Store;
use parking_lot::Mutex;
use tokio::runtime::Handle;

use crate::{Error, Kind};

/// An input, or some of its row groups, and the file that its predictions go to.
#[derive(Debug, Clone)]
pub struct Piece {
    /// What is read; see [`Input::row_groups`] for some of it.
    pub input: Input,
    /// The output's key.
    pub output: String,
    /// What the output may take the place of.
    pub place: Replaces,
}

/// A model, and how it scores.
#[derive(Debug)]
pub struct Scorer<'a> {
    /// The model.
    pub model: &'a Model,
    /// Columns carried to the predictions.
    pub carried: Vec<String>,
    /// Numbers of the predictions.
    pub precision: Precision,
    /// The run, for the footers.
    pub run: Option<String>,
    /// Where predictions go.
    pub out: &'a Store,
    /// Threads that compute.
    pub threads: usize,
    /// Does input and output.
    pub handle: &'a Handle,
}

/// What came of some pieces.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ScoreTotals {
    /// Rows scored.
    pub rows: u64,
    /// Pieces written.
    pub written: usize,
    /// Pieces that somebody else wrote in the meantime.
    pub lost: usize,
}

/// The columns of a model's predictions beside `ctr`: the schema's ids, then those asked for, each once.
///
/// # Errors
/// [`Kind::Refused`] if one of them has the name of the predictions' column.
pub fn carried(model: &Model, keep: &[String]) -> Result<Vec<String>, Error> {
    let mut columns: Vec<String> = Vec::new();
    for column in model.schema().ids().iter().chain(keep) {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    if columns.iter().any(|column| column == CTR) {
        return Err(Error::refused(format!(
            "`{CTR}` is the column of the predictions; no other can be kept beside it"
        )));
    }
    Ok(columns)
}

/// How far scoring is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// This many more rows are being written.
    Rows(u64),
    /// The piece of this number is written, or somebody else's is there.
    Ended(usize),
}

/// A piece that could not be scored.
#[derive(Debug)]
pub struct PieceError {
    /// Its number among those given; the ones before it are done.
    pub piece: usize,
    /// What came of those before it.
    pub scored: ScoreTotals,
    error: Error,
}

impl PieceError {
    /// Returns what kind of failure it was.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.error.kind()
    }

    /// Whether repeating it may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.error.is_transient()
    }

    /// Whether the input itself is at fault, so that it can never be scored.
    #[must_use]
    pub fn is_of_input(&self) -> bool {
        self.kind() == Kind::Input
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.kind() == Kind::Stopped
    }
}

impl fmt::Display for PieceError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(formatter)
    }
}

impl std::error::Error for PieceError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&self.error)
    }
}

impl Scorer<'_> {
    /// What an output's footer says of how it came to be, and by which a later look knows it.
    #[must_use]
    pub fn metadata(&self, piece: &Piece) -> BTreeMap<String, String> {
        let object = &piece.input.object;
        let columns = format!("{};{:?}", self.carried.join(","), self.precision);
        let mut pairs = vec![
            (footer::MODEL, self.model.artifact().id().to_owned()),
            (footer::INPUT, object.key.clone()),
            (footer::INPUT_ETAG, object.etag.clone()),
            (footer::COLUMNS, columns),
        ];
        pairs.extend(piece.input.row_groups().map(|(first, last)| (footer::ROW_GROUPS, format!("{first}-{last}"))));
        pairs.extend(self.run.iter().map(|run| (footer::RUN, run.clone())));
        pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// What is under the name of a piece's output.
    ///
    /// # Errors
    /// Where the store can't be read.
    pub fn look(&self, piece: &Piece) -> Result<Written, clickcast_dataset::Error> {
        written(self.out, &piece.output, &self.metadata(piece), self.handle)
    }

    /// Whether a piece's output is there, of this model and this version of the input.
    ///
    /// # Errors
    /// Where the store can't be read for a reason that may pass.
    pub fn is_done(&self, piece: &Piece) -> Result<bool, clickcast_dataset::Error> {
        is_written(self.out, &piece.output, &self.metadata(piece), self.handle)
    }

    /// Scores pieces, in order; `go_on` is told how far it is, and says whether to.
    ///
    /// # Errors
    /// With the number of the piece that failed, or at which it was stopped; nothing of it is under its output's name.
    pub fn score(&self, pieces: &[Piece], mut go_on: impl FnMut(Progress) -> bool) -> Result<ScoreTotals, PieceError> {
        // Scratch memory outlives a batch: as many as threads are ever in use at once.
        let scratches: Mutex<Vec<Scratch>> = Mutex::default();
        let map = |batch: Batch| {
            let mut scratch = scratches.lock().pop().unwrap_or_default();
            let mut scores = Vec::new();
            let scored = self.model.score(&batch, &mut scratch, &mut scores);
            scratches.lock().push(scratch);
            scored.map(|()| (batch.carried, scores))
        };
        let inputs: Vec<Input> = pieces.iter().map(|piece| piece.input.clone()).collect();
        let need = Need { carried: self.carried.clone(), ..Need::default() };
        let scan_of = Scan {
            inputs: &inputs,
            schema: self.model.schema(),
            need: &need,
            threads: self.threads,
            batches_max: self.threads * Scan::BATCHES_PER_THREAD,
            handle: self.handle,
        };
        let (mut writer, mut ended, mut scored) = (None, 0, ScoreTotals::default());
        let done = scan(scan_of, map, |step| {
            match step {
                ScanEvent::Begin(index) => writer = Some(self.begin(&pieces[index])?),
                ScanEvent::Rows(batch) => {
                    let (carried, scores) = batch.map_err(Error::input)?;
                    if let Some(writer) = &mut writer {
                        writer.write(&carried, &scores)?;
                    }
                    scored.rows += scores.len() as u64;
                    if !go_on(Progress::Rows(scores.len() as u64)) {
                        return Err(Error::stopped());
                    }
                }
                ScanEvent::End(index) => {
                    if let Some(writer) = writer.take() {
                        self.end(writer, &pieces[index], &mut scored)?;
                    }
                    ended += 1;
                    if !go_on(Progress::Ended(index)) {
                        return Err(Error::stopped());
                    }
                }
            }
            Ok(())
        });
        done.map(|()| scored).map_err(|error| PieceError { piece: ended, scored, error })
    }

    fn begin(&self, piece: &Piece) -> Result<PredictionWriter, Error> {
        let create = PredictionWriter::create_at;
        Ok(create(&piece.place, self.out, &piece.output, self.handle, self.precision, self.metadata(piece))?)
    }

    fn end(&self, writer: PredictionWriter, piece: &Piece, scored: &mut ScoreTotals) -> Result<(), Error> {
        match writer.finish() {
            Ok(_) => scored.written += 1,
            // Somebody else was faster, or this process's first answer was lost: the bytes are the same.
            Err(error) => match self.is_done(piece) {
                Ok(true) if piece.place != Replaces::Any => scored.lost += 1,
                _ => return Err(error.into()),
            },
        }
        Ok(())
    }
}
