//! Scores pieces of inputs, and writes each to a file of its own.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use clickcast_dataset::{
    CTR, Input, PredictionWriter, Replaces, Scan, ScanEvent, Written, footer, is_written, scan, written,
};
use clickcast_model::{Model, Scratch};
use clickcast_record::{Batch, Need, Precision};
use clickcast_storage::Store;
use tokio::runtime::Handle;

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
pub struct Scored {
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
/// In one sentence, where one of them is called as the predictions are.
pub fn carried(model: &Model, keep: &[String]) -> Result<Vec<String>, String> {
    let mut columns: Vec<String> = Vec::new();
    for column in model.schema().ids().iter().chain(keep) {
        if !columns.contains(column) {
            columns.push(column.clone());
        }
    }
    if columns.iter().any(|column| column == CTR) {
        return Err(format!("`{CTR}` is the column of the predictions; no other can be kept beside it"));
    }
    Ok(columns)
}

/// How far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// So many more rows are on their way out.
    Rows(u64),
    /// The piece of this number is written, or somebody else's is there.
    Ended(usize),
}

/// A piece that could not be scored.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct Error {
    /// Its number among those given; the ones before it are done.
    pub piece: usize,
    /// What came of those before it.
    pub scored: Scored,
    source: Box<Source>,
}

#[derive(Debug, thiserror::Error)]
enum Source {
    #[error(transparent)]
    Dataset(#[from] clickcast_dataset::Error),
    #[error(transparent)]
    Model(#[from] clickcast_model::Error),
    #[error("stopped")]
    Stopped,
}

impl Error {
    /// Whether repeating it may succeed.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match &*self.source {
            Source::Dataset(error) => error.is_transient(),
            Source::Model(_) => false,
            Source::Stopped => true,
        }
    }

    /// Whether the input itself is at fault, so that it can never be scored.
    #[must_use]
    pub fn is_of_input(&self) -> bool {
        match &*self.source {
            Source::Dataset(error) => error.is_of_file(),
            Source::Model(_) => true,
            Source::Stopped => false,
        }
    }

    /// Whether it was told to stop.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(*self.source, Source::Stopped)
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
    pub fn score(&self, pieces: &[Piece], mut go_on: impl FnMut(Told) -> bool) -> Result<Scored, Error> {
        // Scratch memory outlives a batch: as many as threads are ever in use at once.
        let scratches: Mutex<Vec<Scratch>> = Mutex::default();
        let lock = || scratches.lock().unwrap_or_else(PoisonError::into_inner);
        let map = |batch: Batch| {
            let mut scratch = lock().pop().unwrap_or_default();
            let mut scores = Vec::new();
            let scored = self.model.score(&batch, &mut scratch, &mut scores);
            lock().push(scratch);
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
        let (mut writer, mut ended, mut scored) = (None, 0, Scored::default());
        let done = scan(scan_of, map, |step| {
            match step {
                ScanEvent::Begin(index) => writer = Some(self.begin(&pieces[index])?),
                ScanEvent::Rows(batch) => {
                    let (carried, scores) = batch?;
                    if let Some(writer) = &mut writer {
                        writer.write(&carried, &scores)?;
                    }
                    scored.rows += scores.len() as u64;
                    if !go_on(Told::Rows(scores.len() as u64)) {
                        return Err(Source::Stopped);
                    }
                }
                ScanEvent::End(index) => {
                    if let Some(writer) = writer.take() {
                        self.end(writer, &pieces[index], &mut scored)?;
                    }
                    ended += 1;
                    if !go_on(Told::Ended(index)) {
                        return Err(Source::Stopped);
                    }
                }
            }
            Ok(())
        });
        done.map(|()| scored).map_err(|source| Error { piece: ended, scored, source: Box::new(source) })
    }

    fn begin(&self, piece: &Piece) -> Result<PredictionWriter, Source> {
        let create = PredictionWriter::create_at;
        Ok(create(&piece.place, self.out, &piece.output, self.handle, self.precision, self.metadata(piece))?)
    }

    fn end(&self, writer: PredictionWriter, piece: &Piece, scored: &mut Scored) -> Result<(), Source> {
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
