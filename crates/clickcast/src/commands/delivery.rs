//! The second half of the demo's day: judges models, and publishes predictions if they pass.

use std::path::Path;
use std::str::FromStr;
use std::time::Instant;

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::TimestampMillisecondType;
use clickcast_dataset::TableWriter;
use clickcast_learn::FactorFamily;
use clickcast_operations::models::{self, GateReport, GateRequest, PromoteRequest, RegisterRequest};
use clickcast_operations::queue::{SendRequest, send};
use clickcast_operations::runs::{AuditRequest, PublishRequest, RunLocation, audit, close, publish};
use clickcast_operations::train::{TrainRequest, train};
use clickcast_registry::{Channel, Name, RunName};
use clickcast_synth::Generator;
use clickcast_verdict::Verdict;
use serde::Serialize;

use super::fleet::Fleet;
use super::runs::verdict_word;
use super::{Context, who};
use crate::console;
use crate::failure::Failure;

/// The model's name in the registry.
const NAME: &str = "ctr";
/// A folder with a day's data, and what the demo needs to process that day.
pub(super) struct Day<'a> {
    pub(super) context: &'a Context,
    pub(super) dir: &'a Path,
    /// The day whose bookings are scored.
    pub(super) booked: &'a str,
}

/// The gate's verdict on a model, and whether it was promoted.
#[derive(Serialize)]
pub(super) struct Judged {
    pub(super) version: String,
    /// The model's folder.
    pub(super) model: String,
    pub(super) verdict: Verdict,
    pub(super) why: Option<String>,
    pub(super) promoted: bool,
    /// The file of the gate's page.
    pub(super) page: String,
}

/// The result of scoring the bookings.
#[derive(Serialize)]
pub(super) struct Delivered {
    pub(super) rows: u64,
    pub(super) files: u64,
    pub(super) seconds: f64,
    /// The verdict of the run's audit.
    pub(super) audit: Verdict,
    pub(super) workers: [Share; 2],
}

/// One worker's share.
#[derive(Serialize)]
pub(super) struct Share {
    pub(super) files: u64,
    pub(super) rows: u64,
    pub(super) killed: bool,
}

impl Day<'_> {
    fn path(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn note(&self, text: &str) {
        console::note(text, self.context.quiet);
    }

    /// Registers a model, lets the gate judge it, and promotes it if it passes.
    pub(super) fn judge(&self, model: &str) -> Result<Judged, Failure> {
        let (resources, registry) = (&self.context.resources, self.path("registry"));
        let name = Name::from_str(NAME)?;
        let register =
            RegisterRequest { registry: registry.clone(), name: name.clone(), model: self.path(model), by: who() };
        let version = models::register(resources, &register)?.version;
        let page = format!("gate-{NAME}-{version}.html");
        let gate = GateRequest {
            today: Some(self.path("bookings")),
            report: Some(self.path(&page)),
            ..GateRequest::new(&registry, name.clone(), format!("{NAME}@{version}"), self.path("next-day"))
        };
        let GateReport { verdict, why, .. } = models::gate(resources, &gate, &self.context.observer())?;
        let because = why.as_ref().map(|why| format!(": {why}")).unwrap_or_default();
        self.note(&format!("    {NAME}@{version} ({model}): {verdict}{because}"));
        // A person would decide on a first model, and on one that is held; here the demo does.
        let promoted = verdict != Verdict::Fail;
        if promoted {
            let reason = (verdict != Verdict::Pass).then(|| "the demo goes on".to_owned());
            let promote = PromoteRequest {
                registry,
                name,
                version,
                channel: Channel::from_str("champion")?,
                expect: None,
                force: reason.is_some(),
                reason,
                by: who(),
            };
            models::promote(resources, &promote)?;
        }
        Ok(Judged { version: format!("{NAME}@{version}"), model: model.to_owned(), verdict, why, promoted, page })
    }

    /// Trains on the days before `end_ms` after a wrong join: each row has the user of the row before it, so each column by
    /// itself looks right.
    pub(super) fn train_misjoined(&self, generator: &Generator, end_ms: i64) -> Result<(), Failure> {
        let users = generator.users(0..0).schema();
        let is_of_user = |name: &str| name != "user_id" && users.field_with_name(name).is_ok();
        let data = self.path("impressions-misjoined");
        let uri = format!("{data}/part-0.parquet");
        let mut writer = TableWriter::create(&uri, self.context.runtime.handle(), generator.schema())?;
        for block in (0..generator.blocks()).map(|index| generator.block(index)) {
            let times =
                block.column_by_name("ts").and_then(|times| times.as_primitive_opt::<TimestampMillisecondType>());
            if times.and_then(|times| times.values().last()).is_none_or(|&last| last >= end_ms) {
                break;
            }
            let rows = block.num_rows() - 1;
            let columns = block.schema_ref().fields().iter().zip(block.columns());
            let columns = columns.map(|(field, values)| values.slice(usize::from(!is_of_user(field.name())), rows));
            writer.write(&RecordBatch::try_new(block.schema(), columns.collect()).map_err(Failure::input)?)?;
        }
        writer.finish()?;
        let schema = self.dir.join("features.toml");
        let request = TrainRequest::new(data, schema, FactorFamily::Lr, self.path("model-misjoined"));
        train(&self.context.resources, &request, &self.context.observer())?;
        Ok(())
    }

    /// Scores the bookings with the champion into a run, with two workers of which one is killed; then closes, audits and
    /// publishes the run.
    pub(super) fn deliver(&self) -> Result<Delivered, Failure> {
        let start = Instant::now();
        let (registry, out) = (self.path("registry"), self.path("predictions"));
        let queue = format!("sqlite://{}", self.path("queue/bookings.db"));
        let run = RunName::from_str(&format!("dt={}", self.booked))?;
        let request =
            SendRequest { queue: queue.clone(), data: self.path("bookings"), run: Some(run.clone()), close: false };
        send(&self.context.resources, &request)?;
        let champion = format!("{NAME}@champion");
        let cache = self.path("queue/models");
        let arguments =
            ["--registry", &registry, "--model", &champion, "--out", &out, "--cache", &cache].map(str::to_owned);
        let logs = self.dir.join("queue");
        let fleet = Fleet { context: self.context, arguments: &arguments, queue: &queue, logs: &logs };
        let (is_killed, second) = fleet.work()?;

        let (resources, observer) = (&self.context.resources, self.context.observer());
        let location = RunLocation { run, out };
        let closed = close(resources, &location, &observer)?;
        let seconds = start.elapsed().as_secs_f64();
        let of_second = |key: &str| second[key].as_u64().unwrap_or(0);
        let (files_all, rows_all) = (closed.outputs as u64, closed.rows);
        let [files, rows] = [(files_all, of_second("written")), (rows_all, of_second("rows"))]
            .map(|(all, of_second)| (all.saturating_sub(of_second), of_second));
        self.note(&format!(
            "    two workers shared {} files: one {} after {}, the other did {}",
            files_all,
            if is_killed { "was killed" } else { "had ended" },
            files.0,
            files.1,
        ));
        let request = AuditRequest { location: location.clone(), registry: Some(registry) };
        let verdict = audit(resources, &request, &observer)?.verdict;
        self.note(&format!("    audit: {}", verdict_word(verdict)));
        if verdict == Verdict::Pass {
            let request = PublishRequest { location, by: who(), reason: None, force: false, fence: None };
            self.note(&format!("    published: {}", publish(resources, &request)?.run));
        }
        Ok(Delivered {
            rows: rows_all,
            files: files_all,
            seconds,
            audit: verdict,
            workers: [
                Share { files: files.0, rows: rows.0, killed: is_killed },
                Share { files: files.1, rows: rows.1, killed: false },
            ],
        })
    }
}
