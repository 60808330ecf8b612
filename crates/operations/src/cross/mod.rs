//! Scores every user with every ad.

mod entities;
mod job;
mod number;
mod pairs;
mod per_ad;
mod sides;
mod top;

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use clickcast_dataset::{Input, footer};
use clickcast_model::Model;
use clickcast_model::cross::{Arithmetic, Cross};
use clickcast_record::{Precision, hash};
use clickcast_storage::Store;
use serde::Serialize;

use self::entities::{AdTable, read_ads};
use self::job::{Done, Job, Output, pairs_of};
use self::pairs::{PairSource, read_pairs};
use self::sides::{Sides, Sources, Table};
use self::top::Choice;
use crate::data::Data;
use crate::observer::{Progress, Stage, Unit};
use crate::resources::pace;
use crate::{Error, ModelLocation, Observer, Resources, artifacts, outputs, peak_memory_bytes};

/// Footer keys by which a second run knows a file.
const PARTNERS_KEY: &str = "clickcast.partners";
const SETTINGS_KEY: &str = "clickcast.cross";

/// Whose best partners are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Per {
    /// The best ads of each user.
    User,
    /// The best users of each ad.
    Ad,
}

/// Which pairs to score, which of them to keep, and where the predictions go.
#[derive(Debug, Clone, PartialEq)]
pub struct CrossRequest {
    /// The model.
    pub model: ModelLocation,
    /// The users, with the features of that side. They are streamed.
    pub users: String,
    /// The ads, with the features of that side. They are kept in memory.
    pub ads: String,
    /// Features of side `context` that are the same for all pairs, each as `NAME=VALUE`; others are columns of the users.
    pub context: Vec<String>,
    /// A table with the features of side `pair` and the ids of both sides; pairs that it does not list miss these features.
    pub pairs_table: Option<String>,
    /// The folder or prefix that predictions are written to, one file for each file of users, or of ads if `per` says so.
    pub out: String,
    /// How many pairs to keep of each user or ad; `None` keeps all.
    pub top_k: Option<u32>,
    /// Whose pairs `top_k` counts; `None` means each user's.
    pub per: Option<Per>,
    /// The probability below which pairs are not kept.
    pub threshold: Option<f64>,
    /// The type of the predictions. With `F64` each pair is scored exactly as `predict` would.
    pub precision: Precision,
    /// The columns to tell pairs by; if empty, the ids of the model's schema that one side has.
    pub id: Vec<String>,
}

/// What was scored.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CrossReport {
    /// Pairs scored.
    pub rows: u64,
    /// Files written.
    pub files: usize,
    /// Files that were already there.
    pub skipped: usize,
    /// Wall time.
    pub seconds: f64,
    /// Pairs scored by the wall time.
    pub rows_per_second: f64,
    /// Pairs written.
    pub written: u64,
    /// The most memory that the process has held.
    pub peak_memory_bytes: Option<u64>,
    /// Where the model is.
    pub model: String,
    /// The model's SHA-256.
    pub id: String,
    /// Always `None`: pairs are not staged in a run.
    pub run: Option<String>,
    /// The folder or prefix of the predictions.
    pub out: String,
}

/// Scores the pairs of all files that are not done yet.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if the model, the sides or the context do not fit each other, an id comes
/// twice, the ads do not fit the memory set aside, or outputs would lie among the inputs.
pub fn cross(resources: &Resources, request: &CrossRequest, observer: &dyn Observer) -> Result<CrossReport, Error> {
    let start = Instant::now();
    let model = artifacts::load(resources, &request.model)?.model;
    let inputs = Inputs {
        users: Data::open(resources, &request.users)?,
        ads: Data::open(resources, &request.ads)?,
        table: match &request.pairs_table {
            Some(uri) => Some(Data::open(resources, uri)?),
            None => None,
        },
    };
    let out = Store::open(&request.out)?;
    let sides = Sides::new(&Sources {
        model: &model,
        users: Table { uri: inputs.users.uri(), columns: inputs.users.columns()? },
        ads: Table { uri: inputs.ads.uri(), columns: inputs.ads.columns()? },
        context: &request.context,
        ids: &request.id,
        pairs_table: request.pairs_table.as_deref(),
    })?;
    for note in sides.unknown_constants(&model)? {
        observer.note(&note);
    }
    inputs.refuse_outputs_among(request, &out)?;
    let plan = Plan { resources, request, observer, model: &model, inputs: &inputs, sides: &sides, out: &out };
    let (todo, skipped) = plan.split_done()?;
    let done = if todo.is_empty() { Done::default() } else { plan.score(&todo)? };
    let (seconds, rows_per_second) = pace(start, done.pairs);
    Ok(CrossReport {
        rows: done.pairs,
        files: todo.len(),
        skipped,
        seconds,
        rows_per_second,
        written: done.written,
        peak_memory_bytes: peak_memory_bytes(),
        model: request.model.model.clone(),
        id: model.artifact().id().to_owned(),
        run: None,
        out: request.out.clone(),
    })
}

/// The files of a request.
struct Inputs {
    users: Data,
    ads: Data,
    table: Option<Data>,
}

impl Inputs {
    /// The files that outputs are written for one by one, and those of the other side.
    fn own_and_partners(&self, per: Option<Per>) -> (&Data, &Data) {
        match per {
            Some(Per::Ad) => (&self.ads, &self.users),
            _ => (&self.users, &self.ads),
        }
    }

    fn refuse_outputs_among(&self, request: &CrossRequest, out: &Store) -> Result<(), Error> {
        outputs::refuse_to_write_into_the_input(&self.users, &request.out, out)?;
        outputs::refuse_to_write_into_the_input(&self.ads, &request.out, out)?;
        let both = self.users.inputs.iter().chain(&self.ads.inputs);
        let taken: HashSet<String> = both.map(|input| input.store.uri(&input.object.key)).collect();
        let (own, _) = self.own_and_partners(request.per);
        let mut outputs = own.inputs.iter().map(|input| out.uri(&input.output_key()));
        if let Some(output) = outputs.find(|output| taken.contains(output)) {
            return Err(Error::invalid(format!("`{output}` is an input; give `--out` another folder")));
        }
        match &self.table {
            Some(table) => outputs::refuse_to_write_into_the_input(table, &request.out, out),
            None => Ok(()),
        }
    }
}

/// A request whose inputs are known.
struct Plan<'a> {
    resources: &'a Resources,
    request: &'a CrossRequest,
    observer: &'a dyn Observer,
    model: &'a Model,
    inputs: &'a Inputs,
    sides: &'a Sides,
    out: &'a Store,
}

impl Plan<'_> {
    /// Returns the outputs that are not there yet, made in this very way from these inputs, and how many are.
    fn split_done(&self) -> Result<(Vec<Output>, usize), Error> {
        let (own, partners) = self.inputs.own_and_partners(self.request.per);
        let (partners, settings) = (version(&partners.inputs), self.settings());
        let (mut outputs, mut skipped) = (Vec::new(), 0);
        for input in &own.inputs {
            let own = [
                (footer::INPUT, input.object.key.as_str()),
                (footer::INPUT_ETAG, &input.object.etag),
                (PARTNERS_KEY, &partners),
                (SETTINGS_KEY, &settings),
            ];
            let metadata: BTreeMap<String, String> = outputs::metadata(self.model, &own);
            let key = input.output_key();
            let done = outputs::is_done(self.resources, self.out, &key, &metadata)?;
            skipped += usize::from(done);
            outputs.push((done, Output { input: input.clone(), key, metadata }));
        }
        // The best users of all ads come out of one pass: it is done whole or not at all.
        if self.request.per == Some(Per::Ad) && skipped < outputs.len() {
            skipped = 0;
            outputs.iter_mut().for_each(|output| output.0 = false);
        }
        outputs::note_skipped(self.observer, skipped, outputs.len());
        Ok((outputs.into_iter().filter(|(done, _)| !done).map(|(_, output)| output).collect(), skipped))
    }

    /// Returns what a footer says of the request: an output of other settings is made anew.
    fn settings(&self) -> String {
        let CrossRequest { context, precision, top_k, per, threshold, .. } = self.request;
        let ids: Vec<&str> = self.sides.ids.iter().map(|(name, _)| name.as_str()).collect();
        let (ids, context) = (ids.join(","), context.join(","));
        let settings = format!("{ids};{context};{precision:?};{top_k:?};{per:?};{threshold:?}");
        match &self.inputs.table {
            Some(table) => format!("{settings};{}", version(&table.inputs)),
            None => settings,
        }
    }

    fn score(&self, todo: &[Output]) -> Result<Done, Error> {
        let arithmetic = match self.request.precision {
            Precision::F32 => Arithmetic::Fast,
            Precision::F64 => Arithmetic::AsRows,
        };
        let (sides, users) = (self.sides, &self.inputs.users);
        let cross = Cross::new(self.model, sides.origins.clone(), sides.constants.as_ref(), arithmetic)?;
        let ads = read_ads(&cross, sides, &self.inputs.ads)?;
        let pairs = match (&self.inputs.table, &sides.pairs) {
            (Some(data), Some(schema)) => Some(read_pairs(&cross, &PairSource { sides, schema, data }, &ads)?),
            _ => None,
        };
        let per_ad = self.request.per == Some(Per::Ad);
        if let (true, Some(k)) = (per_ad, self.request.top_k) {
            refuse_too_many(k, &ads)?;
        }
        let whole = todo.len() == users.inputs.len() || per_ad;
        let total = match users.rows_total() {
            Some(users) if whole => Some(pairs_of(users, ads.prepared.rows() as u64)?),
            _ => None,
        };
        let progress = Progress::begin(self.observer, Stage { name: "cross", unit: Unit::Pairs, total });
        let job = Job {
            resources: self.resources,
            cross: &cross,
            sides,
            ads: &ads,
            pairs: pairs.as_ref(),
            out: self.out,
            precision: self.request.precision,
            progress: &progress,
        };
        let choice = self.choice();
        match (per_ad, self.request.precision) {
            (false, Precision::F32) => job.per_user::<f32>(todo, choice),
            (false, Precision::F64) => job.per_user::<f64>(todo, choice),
            (true, Precision::F32) => job.per_ad::<f32>(&users.inputs, todo, choice.unwrap_or(Choice::ALL)),
            (true, Precision::F64) => job.per_ad::<f64>(&users.inputs, todo, choice.unwrap_or(Choice::ALL)),
        }
    }

    /// Returns which pairs are kept, or `None` if all are.
    fn choice(&self) -> Option<Choice> {
        let CrossRequest { top_k, threshold, .. } = *self.request;
        let top_k = top_k.map(|k| k as usize);
        let choice = Choice { top_k, threshold: threshold.unwrap_or(Choice::ALL.threshold) };
        (top_k.is_some() || threshold.is_some()).then_some(choice)
    }
}

fn refuse_too_many(k: u32, ads: &AdTable) -> Result<(), Error> {
    let (ads, kept_max) = (ads.prepared.rows() as u64, per_ad::KEPT_MAX);
    if ads * u64::from(k) <= kept_max {
        return Ok(());
    }
    Err(Error::invalid(format!(
        "`--top-k {k} --per ad` of {ads} ads would keep more than {kept_max} pairs in memory; give a smaller K or fewer \
         ads"
    )))
}

/// Returns a hash that changes when one of the files does.
fn version(inputs: &[Input]) -> String {
    let text: String = inputs.iter().map(|input| format!("{}\0{}\n", input.name(), input.object.etag)).collect();
    format!("{:016x}", hash::text(&text))
}
