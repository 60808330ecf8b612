//! The cases: each makes its data, races its contenders, and says what was promised.

mod bulk;
mod files;
mod gate;
mod learning;
mod memory;
mod online;
mod pairs;
mod synthesis;
mod trees;
mod workers;

use anyhow::Result;

use super::results::Table;
use super::tools::Tools;

/// A case of the benchmark.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// Answers with no table where the mode leaves it out.
    pub(crate) measure: fn(&Tools) -> Result<Vec<Table>>,
}

/// Every case, in the order of the page. A new one is a module and a line here.
pub(crate) const ALL: &[Case] = &[
    Case { name: "trees", title: "Trees in memory", measure: trees::measure },
    Case { name: "online", title: "Trees a few rows at a time", measure: online::measure },
    Case { name: "files", title: "Trees from file to file", measure: files::measure },
    Case { name: "bulk", title: "A hundred million rows", measure: bulk::measure },
    Case { name: "pairs", title: "Users by ads", measure: pairs::measure },
    Case { name: "learning", title: "Learning from Criteo-like impressions", measure: learning::measure },
    Case { name: "synthesis", title: "Synthesizing impressions", measure: synthesis::measure },
    Case { name: "memory", title: "Memory while predicting", measure: memory::measure },
    Case { name: "gate", title: "Judging a model", measure: gate::measure },
    Case { name: "workers", title: "Workers on a queue", measure: workers::measure },
];
