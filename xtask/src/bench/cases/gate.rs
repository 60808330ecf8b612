//! The gate on a million labelled rows and a million of today's, by two models.

use anyhow::Result;

use super::super::measure::{command, remove};
use super::super::results::{Claim, Table};
use super::super::tools::Tools;
use super::learning::Data;
use crate::run::measured;

const SECONDS_MAX: f64 = 60.0;
const MIB: f64 = 1024.0 * 1024.0;
const MEMORY_MAX_MIB: f64 = 1024.0;

pub(crate) fn measure(tools: &Tools) -> Result<Vec<Table>> {
    let data = Data::prepare(tools)?;
    let (labelled, schema) = (data.path("train.parquet"), data.path("features.toml"));
    let (learned, registry) = (data.path("test.parquet"), data.path("registry-gate"));
    remove(&registry)?;
    for (model, seed) in [("champion", "1"), ("candidate", "2")] {
        let out = data.path(&format!("model-{model}"));
        remove(&out)?;
        let train = ["train", "--data", &learned, "--schema", &schema, "--family", "ffm", "--out", &out];
        tools.clickcast(&[&train[..], &["--seed", seed, "--json"]].concat())?;
        tools.register(&out, &registry)?;
    }
    let promote = ["models", "promote", "ctr@1", "--channel", "champion", "--force", "--reason", "a benchmark"];
    tools.clickcast(&[&promote[..], &["--registry", &registry, "--json"]].concat())?;
    // Whatever it says of them: a judgement that is no pass ends with 3.
    let gate = format!(
        "target/release/clickcast models gate --name ctr --candidate ctr@2 --data {labelled} --today {labelled} \
         --registry {registry} --quiet --json || test $? = 3"
    );
    let run = measured(&mut command(&["sh".to_owned(), "-c".to_owned(), gate]))?;
    let (rows, seconds) = (data.train_rows, run.wall_s);
    let memory_mib = run.memory_peak_bytes as f64 / MIB;
    Ok(vec![Table {
        about: format!(
            "{rows} Criteo-like rows with labels and {rows} without, 39 features, candidate and champion both FFMs of \
             {} rows, on all cores.",
            data.test_rows
        ),
        claims: vec![
            Claim {
                text: format!("the judgement takes {seconds:.1} s; at most {SECONDS_MAX:.0} s"),
                holds: seconds <= SECONDS_MAX,
            },
            Claim {
                text: format!("it takes {memory_mib:.0} MiB; at most {MEMORY_MAX_MIB:.0} MiB"),
                holds: memory_mib <= MEMORY_MAX_MIB,
            },
        ],
        ..Table::default()
    }])
}
