//! Audits a closed run: measures its files, judges them, and keeps the judgement with the run.

use clickcast_gate::run::{PageRequest, audit as judge, page};
use clickcast_registry::RunName;
use clickcast_verdict::{Check, Verdict};
use jiff::Timestamp;
use serde::Serialize;

use super::RunLocation;
use super::measure::{self, MeasureRequest};
use super::rescore::Rescorer;
use crate::data::write_object;
use crate::{Error, Observer, Resources};

/// Which run to audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRequest {
    /// The run.
    pub location: RunLocation,
    /// The registry of its model; `None` takes the one that the run began with.
    pub registry: Option<String>,
}

/// What an audit says of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AuditReport {
    /// The worst verdict of all checks.
    pub verdict: Verdict,
    /// The run.
    pub run: RunName,
    /// Rows of the inputs; `None` if an input's format does not tell.
    pub rows_in: Option<u64>,
    /// Rows of the outputs.
    pub rows_out: u64,
    /// What was looked at.
    pub checks: Vec<Check>,
    /// The URI of the page.
    pub report: String,
}

/// Measures and judges a closed run, and writes the judgement, the scores and a page into it.
///
/// # Errors
/// If the run is open, its registry has another model, or a store fails. A verdict of hold or fail is no error.
pub fn audit(resources: &Resources, request: &AuditRequest, observer: &dyn Observer) -> Result<AuditReport, Error> {
    let name = &request.location.run;
    let _span = tracing::info_span!("audit", run = %name).entered();
    let (runs, run) = request.location.open(resources)?;
    let Some(manifest) = resources.wait(run.manifest())? else {
        return Err(Error::invalid(format!("run `{name}` is still open; `runs close` fixes what it consists of")));
    };
    let previous = measure::previous(resources, &runs, &run)?;
    let (mut judged, mut rescorer) = (None, None);
    if let Some(registered) = measure::registered(resources, &run, request.registry.as_deref(), observer)? {
        judged = measure::judged(resources, &registered)?;
        rescorer = Some(Rescorer::open(resources, &registered, &manifest.outputs)?);
    }
    let measured = MeasureRequest { run: &run, manifest: &manifest, previous, judged, rescorer: rescorer.as_ref() };
    let statistics = measure::statistics(resources, measured, observer)?;
    let judgement = judge(&statistics);
    measure::write_scores(resources, &run, &statistics.scores())?;
    let input = run.record().input.as_str();
    let page = page(&PageRequest { run: name.as_str(), input, judgement: &judgement, statistics: &statistics });
    let report = run.store().uri(&run.key("audit.html"));
    write_object(resources, &report, page)?;
    let (rows_in, rows_out) = (statistics.rows_in(), statistics.rows_out());
    let audited = resources.wait(run.record_audit(Timestamp::now(), rows_in, rows_out, judgement))?;
    Ok(AuditReport {
        verdict: audited.judgement.verdict,
        run: name.clone(),
        rows_in: audited.rows_in,
        rows_out: audited.rows_out,
        checks: audited.judgement.checks,
        report,
    })
}
