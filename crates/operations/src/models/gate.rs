//! Judges a candidate before it is promoted.

use std::str::FromStr;
use std::time::Instant;

use clickcast_gate::model::measure::Observed;
use clickcast_gate::model::{Backtested, PageRequest, page};
use clickcast_job::sentence;
use clickcast_model::artifact::Artifact;
use clickcast_registry::{CHAMPION, Channel, Gated, Name, Reference, Registry, Selector, VersionRecord, read_artifact};
use clickcast_storage::Store;
use clickcast_verdict::{Check, Verdict};
use jiff::Timestamp;
use serde::Serialize;

use super::backtest::{DayFolders, backtest};
use super::judging::{Judged, JudgedRows, OpenedModel, Trial, judge_candidate};
use crate::artifacts::open_registry;
use crate::data::{Data, write_object};
use crate::{Error, Observer, Resources, peak_memory_bytes};

/// Which candidate to judge, and by which rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GateRequest {
    /// The URI of the registry.
    pub registry: String,
    /// The model's name. The candidate is compared with the version that its channel `champion` points to.
    pub name: Name,
    /// The candidate: a folder or prefix, or `NAME@VERSION` or `NAME@CHANNEL`.
    pub candidate: String,
    /// The newest labelled impressions. The candidate must not have learned from them.
    pub data: String,
    /// A sample of the records that will be scored today.
    pub today: Option<String>,
    /// Labelled impressions in one folder for each day, to retrain on; see [`super::backtest()`].
    pub backtest: Option<String>,
    /// The number of days that the backtest tries.
    pub backtest_days: usize,
    /// The file that the page is written to, besides the registry.
    pub report: Option<String>,
}

impl GateRequest {
    /// A request with the defaults of the command line.
    #[must_use]
    pub fn new(registry: impl Into<String>, name: Name, candidate: impl Into<String>, data: impl Into<String>) -> Self {
        Self {
            registry: registry.into(),
            name,
            candidate: candidate.into(),
            data: data.into(),
            today: None,
            backtest: None,
            backtest_days: 3,
            report: None,
        }
    }
}

/// The judgement of a candidate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateReport {
    /// Whether the candidate may be promoted.
    pub verdict: Verdict,
    /// The reason of the first of the worst checks; `None` if every check passed.
    pub why: Option<String>,
    /// The candidate.
    pub candidate: String,
    /// The version that it was compared with; `None` for a first model.
    pub champion: Option<String>,
    /// Whether the judgement was recorded, which it is if the candidate is registered.
    pub recorded: bool,
    /// The number of labelled rows; `None` if they were not measured.
    pub rows_labelled: Option<u64>,
    /// The number of today's rows; `None` if they were not measured.
    pub rows_today: Option<u64>,
    /// The days of the backtest.
    pub backtest: Vec<Backtested>,
    /// The checks.
    pub checks: Vec<Check>,
    /// Where the page is.
    pub report: Option<String>,
    /// Wall time.
    pub seconds: f64,
    /// The most memory that the process has held.
    pub peak_memory_bytes: Option<u64>,
}

/// Judges a candidate, records the judgement if the candidate is registered, and writes the page.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if there is no such candidate, the champion is damaged, or the data has no files. A
/// damaged candidate, and rows that can't be scored, are no errors: the judgement says so.
pub fn gate(resources: &Resources, request: &GateRequest, observer: &dyn Observer) -> Result<GateReport, Error> {
    let _span = tracing::info_span!("gate", model = %request.candidate).entered();
    let start = Instant::now();
    let registry = open_registry(&request.registry)?;
    let champion_version = champion_version(resources, request, &registry)?;
    let (version, candidate) = open_candidate(resources, request, &registry)?;
    let champion = champion_version.as_ref().map(|record| open_version(resources, &registry, record)).transpose()?;
    let labelled = Data::open(resources, &request.data)?;
    let today = request.today.as_deref().map(|uri| Data::open(resources, uri)).transpose()?;
    // A champion that can't be read is used for today's deliveries; that must be repaired first.
    let champion =
        champion.transpose().map_err(|why| Error::invalid(format!("the champion of `{}`: {why}", request.name)))?;
    let mut backtested = None;
    let judged = match &candidate {
        Err(why) => Judged::failed("loads", why),
        Ok(candidate) => {
            if let Some(history) = &request.backtest {
                let manifest = candidate.model().artifact().manifest();
                let history = DayFolders::open(resources, history)?;
                let tried = backtest(manifest, &history, request.backtest_days, resources.threads(), observer)?;
                backtested = Some(tried);
            }
            let trial = Trial {
                candidate,
                champion: champion.as_ref(),
                labelled: &labelled,
                today: today.as_ref().map(|today| today as &dyn JudgedRows),
                backtest: backtested.as_deref(),
                now_ms: Timestamp::now().as_millisecond(),
            };
            judge_candidate(&trial, observer)?
        }
    };
    let judged = Recorded { judged, backtested, version, champion: champion_version.map(|record| record.version) };
    let mut report = judged.record(resources, request, &registry)?;
    report.seconds = start.elapsed().as_secs_f64();
    report.peak_memory_bytes = peak_memory_bytes();
    Ok(report)
}

/// A judgement that is to be recorded.
struct Recorded {
    judged: Judged,
    backtested: Option<Vec<Backtested>>,
    /// The candidate's version, if it is registered.
    version: Option<u64>,
    champion: Option<u64>,
}

impl Recorded {
    /// Writes the judgement and its page.
    fn record(self, resources: &Resources, request: &GateRequest, registry: &Registry) -> Result<GateReport, Error> {
        let Self { judged: Judged { judgement, measured }, backtested, version, champion } = self;
        let newest = measured.as_ref().map(|measured| measured.today.as_ref().unwrap_or(&measured.labelled));
        let scores = newest.map(|observed| observed.candidate.clone());
        let gated = Gated { at: Timestamp::now(), champion, judgement, scores };
        if let Some(version) = version {
            resources.wait(registry.record_gate(&request.name, version, &gated))?;
        }
        let judgement = &gated.judgement;
        let named = |version: u64| format!("{}@{version}", request.name);
        let candidate = version.map_or_else(|| request.candidate.clone(), named);
        let champion = champion.map(named);
        let page = page(&PageRequest {
            candidate: &candidate,
            champion: champion.as_deref(),
            judgement,
            measured: measured.as_ref(),
            backtested: backtested.as_deref(),
        });
        let kept = version.map(|version| registry.gate_page_uris(&request.name, version, gated.at));
        for uri in request.report.iter().chain(kept.iter().flatten()) {
            write_object(resources, uri, page.clone())?;
        }
        let rows = |observed: Option<&Observed>| observed.map(|observed| observed.profile.rows);
        Ok(GateReport {
            verdict: judgement.verdict,
            why: judgement.why().map(str::to_owned),
            candidate,
            champion,
            recorded: version.is_some(),
            rows_labelled: rows(measured.as_ref().map(|measured| &measured.labelled)),
            rows_today: rows(measured.as_ref().and_then(|measured| measured.today.as_ref())),
            backtest: backtested.unwrap_or_default(),
            checks: judgement.checks.clone(),
            report: request.report.clone().or_else(|| kept.map(|[last, _]| last)),
            seconds: 0.0,
            peak_memory_bytes: None,
        })
    }
}

/// The version in use; `None` before the first promotion.
fn champion_version(
    resources: &Resources,
    request: &GateRequest,
    registry: &Registry,
) -> Result<Option<VersionRecord>, Error> {
    let channel = Channel::from_str(CHAMPION)?;
    let Some(moves) = resources.wait(registry.channel(&request.name, &channel))? else { return Ok(None) };
    let reference = Reference { name: request.name.clone(), selector: Selector::Version(moves.current) };
    Ok(Some(resources.wait(registry.resolve(&reference))?))
}

/// A model, or a sentence on how it is damaged.
type OpenedOrDamaged = Result<OpenedModel, String>;

/// The candidate, and its version if it is registered under the name.
fn open_candidate(
    resources: &Resources,
    request: &GateRequest,
    registry: &Registry,
) -> Result<(Option<u64>, OpenedOrDamaged), Error> {
    if let Ok(reference) = request.candidate.parse::<Reference>() {
        if reference.name != request.name {
            let sentence = format!("`{}` is not a version of `{}`; give one of its own", reference.name, request.name);
            return Err(Error::invalid(sentence));
        }
        let record = resources.wait(registry.resolve(&reference))?;
        return Ok((Some(record.version), open_version(resources, registry, &record)?));
    }
    let store = Store::open(&request.candidate)?;
    let artifact = match unless_damaged(resources.wait(read_artifact(&store, "")))? {
        Ok(artifact) => artifact,
        Err(why) => return Ok((None, Err(why))),
    };
    let listed = resources.wait(registry.list(None))?;
    let own = listed.iter().filter(|listed| listed.name == request.name).flat_map(|listed| &listed.versions);
    let version = own.filter(|record| record.artifact == artifact.id()).map(|record| record.version).max();
    Ok((version, open(artifact)))
}

/// A version's model, or how it is damaged.
fn open_version(resources: &Resources, registry: &Registry, record: &VersionRecord) -> Result<OpenedOrDamaged, Error> {
    Ok(unless_damaged(resources.wait(registry.load(record)))?.and_then(open))
}

fn open(artifact: Artifact) -> OpenedOrDamaged {
    OpenedModel::load(artifact).map_err(|error| sentence(&error))
}

/// Turns damage into a sentence; other errors stay errors.
fn unless_damaged(read: Result<Artifact, clickcast_registry::Error>) -> Result<Result<Artifact, String>, Error> {
    match read {
        Ok(artifact) => Ok(Ok(artifact)),
        Err(error) if error.kind() == clickcast_registry::Kind::Damaged => Ok(Err(sentence(&error))),
        Err(error) => Err(error.into()),
    }
}
