//! Workers on a queue in a file: what a worker costs beside plain `predict`, per row and per file, when there is nothing
//! to do, and until it has ended.

use std::fs;

use anyhow::{Context, Result, bail};

use super::super::WORK;
use super::super::measure::{Contender, command, race, remove};
use super::super::results::{Claim, Comparison, Table};
use super::super::tools::{Tools, ours};
use super::learning::Data;
use crate::root;
use crate::run::measured;

const PREDICT: &str = "clickcast predict";
const WORKER: &str = "clickcast worker";
const LARGE: &str = "draining a queue of large files";

/// Copies of the test file: enough that draining is measured, and not how a worker starts.
const LARGE_FILES: usize = 24;
const SMALL_FILE_ROWS: u64 = 10;

/// What a worker's rows per second are of `predict`'s, at least.
const RATIO_MIN: f64 = 0.95;
const SMALL_FILE_MAX_S: f64 = 0.005;
const IDLE_SHARE_MAX: f64 = 0.01;
/// From SIGTERM to the end.
const END_MAX_S: f64 = 2.0;
const MIB: f64 = 1024.0 * 1024.0;
/// What a worker's peak may be above `predict`'s: it looks at a batch while it scores another.
const MEMORY_MORE_MAX_MIB: f64 = 64.0;

/// A model in a registry, and where workers write.
struct World {
    registry: String,
    model: String,
    /// Holds the queue and the runs; see [`Contender::writes`].
    place: String,
}

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    let data = Data::prepare(tools)?;
    let world = World {
        registry: data.path("registry-workers"),
        model: data.path("model-workers"),
        place: format!("{WORK}/workers"),
    };
    world.register(tools, &data)?;
    let small_files: u64 = tools.size(10_000, 500);
    let large = copies(&data.path("test.parquet"), &data.path("partitions"), LARGE_FILES)?;
    let small = {
        let file = data.path("small.parquet");
        let rows = SMALL_FILE_ROWS.to_string();
        let repeat = ["repeat", "--data", &data.path("test.parquet"), "--out", &file, "--rows", &rows];
        tools.script("bench/factors.py", &repeat)?;
        copies(&file, &data.path("small"), small_files as usize)?
    };
    let large = world.large_files(&large, data.test_rows * LARGE_FILES as u64)?;
    let small = world.small_files(&small, small_files)?;
    Ok(vec![large, small])
}

/// A folder of so many copies of a file.
fn copies(file: &str, folder: &str, count: usize) -> Result<String> {
    let ending = file.rsplit('.').next().unwrap_or_default();
    let whole = root().join(folder);
    remove(folder)?;
    fs::create_dir_all(&whole)
        .and_then(|()| {
            (0..count).try_for_each(|number| {
                fs::copy(root().join(file), whole.join(format!("part-{number:05}.{ending}"))).map(drop)
            })
        })
        .with_context(|| format!("cannot fill `{folder}`"))?;
    Ok(folder.to_owned())
}

impl World {
    fn register(&self, tools: &Tools, data: &Data) -> Result<()> {
        let (rows, schema) = (data.path("train.parquet"), data.path("features.toml"));
        let Self { registry, model, .. } = self;
        remove(model)?;
        remove(registry)?;
        tools
            .clickcast(&["train", "--data", &rows, "--schema", &schema, "--family", "lr", "--out", model, "--json"])?;
        tools.register(model, registry)?;
        Ok(())
    }

    fn worker(&self) -> String {
        let Self { registry, place, .. } = self;
        format!(
            "target/release/clickcast worker --queue sqlite://{place}/queue.db --registry {registry} --model ctr@1 \
             --out {place}/out --cache {place}/models --threads 1 --quiet --json"
        )
    }

    fn send(&self, data: &str) -> String {
        format!(
            "mkdir -p {0} && target/release/clickcast queue send --queue sqlite://{0}/queue.db --data {data} --run day \
             --quiet --json > {0}/sent.json",
            self.place
        )
    }

    /// A shell's script that may write to the world's place.
    fn script(&self, name: &'static str, rows: u64, script: &str) -> Contender {
        let mut contender = ours(name, rows, &[], &self.place).pinned();
        contender.words.pop();
        contender.words.extend(["sh", "-c", script].map(str::to_owned));
        contender
    }

    /// By `predict`, and by a worker from the filling of its queue on.
    fn contenders(&self, folder: &str, rows: u64) -> [Contender; 2] {
        let out = format!("{}/out", self.place);
        let arguments =
            ["predict", "--model", &self.model, "--data", folder, "--out", &out, "--threads", "1", "--quiet", "--json"];
        let worker = format!("{} && exec {} --until-idle", self.send(folder), self.worker());
        [ours(PREDICT, rows, &arguments, &self.place).pinned(), self.script(WORKER, rows, &worker)]
    }

    fn large_files(&self, folder: &str, rows: u64) -> Result<Table> {
        let race = race(5, &self.contenders(folder, rows))?;
        let idle_share = (self.stopped_after(15, None)?.0 - self.stopped_after(5, None)?.0) / 10.0;
        let (_, end_s) = self.stopped_after(1, Some(folder))?;
        let peak_mib = |name| Some(race.entry(name)?.memory_peak_bytes as f64 / MIB);
        let (worker_mib, predict_mib) =
            peak_mib(WORKER).zip(peak_mib(PREDICT)).context("a contender was not measured")?;
        Ok(Table {
            about: format!(
                "{rows} Criteo-like rows in {LARGE_FILES} files, LR, one thread on one core; the worker with the filling \
                 of its queue, an SQLite file. Its wall time ends with a second of waiting for more."
            ),
            race,
            comparisons: vec![Comparison { work: LARGE, ours: WORKER, peer: PREDICT, ratio_min: Some(RATIO_MIN) }],
            claims: vec![
                Claim {
                    text: format!(
                        "a worker takes {worker_mib:.0} MiB where `predict` takes {predict_mib:.0}; at most \
                         {MEMORY_MORE_MAX_MIB:.0} MiB more"
                    ),
                    holds: worker_mib <= predict_mib + MEMORY_MORE_MAX_MIB,
                },
                Claim {
                    text: format!(
                        "a worker with nothing to do takes {:.2} % of a core; at most {:.0} %",
                        idle_share * 100.0,
                        IDLE_SHARE_MAX * 100.0
                    ),
                    holds: idle_share <= IDLE_SHARE_MAX,
                },
                Claim {
                    text: format!("a worker ends {end_s:.2} s after SIGTERM, amid a file; at most {END_MAX_S:.0} s"),
                    holds: end_s <= END_MAX_S,
                },
            ],
            ..Table::default()
        })
    }

    fn small_files(&self, folder: &str, files: u64) -> Result<Table> {
        let race = race(3, &self.contenders(folder, files * SMALL_FILE_ROWS))?;
        let wall_s = race.entry(WORKER).context("the worker was not measured")?.wall_s.median();
        let each_s = wall_s / files as f64;
        Ok(Table {
            about: format!("{files} files of {SMALL_FILE_ROWS} rows, otherwise as above."),
            race,
            claims: vec![Claim {
                text: format!("a file costs a worker {:.2} ms; at most {:.0} ms", each_s * 1e3, SMALL_FILE_MAX_S * 1e3),
                holds: each_s <= SMALL_FILE_MAX_S,
            }],
            ..Table::default()
        })
    }

    /// The CPU seconds of a worker that is told to end after so many seconds, and how long it then took; with a queue of
    /// these files, or none.
    fn stopped_after(&self, seconds: u32, data: Option<&str>) -> Result<(f64, f64)> {
        remove(&self.place)?;
        let send = data.map_or_else(|| format!("mkdir -p {}", self.place), |data| self.send(data));
        measured(&mut command(&self.script(WORKER, 0, &send).words))?;
        let stopped = format!("exec timeout --preserve-status --signal=TERM {seconds} {}", self.worker());
        let run = measured(&mut command(&self.script(WORKER, 0, &stopped).words))?;
        if data.is_some() && run.number("released")? == 0.0 {
            bail!("the worker was done before it was told to end");
        }
        Ok((run.cpu_s, run.wall_s - f64::from(seconds)))
    }
}
