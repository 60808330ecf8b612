//! The runs that a worker works for, each with the model that it is pinned to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use clickcast_model::Model;
use clickcast_record::Precision;
use clickcast_registry::{
    Kind, ModelCache, PinnedModel, Reference, Registry, Rejected, Run, RunName, RunRecord, RunSettings, Runs,
};
use clickcast_storage::Store;
use jiff::Timestamp;
use parking_lot::Mutex;

use crate::message::Task;
use crate::{Error, carried};

/// What runs are begun with, and where they and their models are.
pub struct Setup {
    /// Where runs are staged.
    pub out: Store,
    /// Where models are registered.
    pub registry: Registry,
    /// The model of runs that begin here.
    pub reference: Reference,
    /// Settings of runs that begin here.
    pub settings: RunSettings,
    /// Models kept on disk.
    pub cache: Option<ModelCache>,
}

/// A run with what scores it.
pub(super) struct OpenRun {
    pub(super) run: Run,
    /// The folder or prefix of its inputs.
    pub(super) inputs: Store,
    pub(super) model: Arc<Model>,
    pub(super) carried: Vec<String>,
    pub(super) precision: Precision,
    /// Inputs that the run knows it can't score, as far as this worker has heard.
    pub(super) rejected: Mutex<BTreeSet<String>>,
    /// When it was last found open. Held while that is asked for: messages that come together share the answer.
    found_open: tokio::sync::Mutex<Option<Instant>>,
}

impl OpenRun {
    /// Whether the run was closed, as it was asked for at this time or later.
    pub(super) async fn is_closed_since(&self, since: Instant) -> Result<bool, Error> {
        let mut found_open = self.found_open.lock().await;
        if found_open.is_some_and(|asked| asked >= since) {
            return Ok(false);
        }
        let asked = Instant::now();
        let is_closed = self.run.is_closed().await?;
        if !is_closed {
            *found_open = Some(asked);
        }
        Ok(is_closed)
    }

    /// Whether inputs in this folder are the run's.
    ///
    /// # Errors
    /// [`Kind::Refused`](crate::Kind::Refused) if they are another run's.
    pub(super) fn check_folder(&self, folder: &str) -> Result<(), Error> {
        if self.run.record().has_input(folder) {
            return Ok(());
        }
        let RunRecord { run, input, .. } = self.run.record();
        let sentence = format!("run `{run}` has the input `{input}`, not `{folder}`; send it with another run's name");
        Err(Error::refused(sentence))
    }
}

/// Runs kept open; of more the one whose name is first gives way.
const RUNS_MAX: usize = 16;

/// The runs met so far.
#[derive(Default)]
pub(super) struct Book {
    runs: Mutex<BTreeMap<RunName, Arc<OpenRun>>>,
    /// The models of those runs, by hash.
    models: Mutex<BTreeMap<String, Arc<Model>>>,
    /// Held while a model is loaded: messages of a new run come together, and each would load it.
    loading: tokio::sync::Mutex<()>,
}

impl Book {
    /// The run of this name, begun where it isn't there, with the inputs of the task's folder.
    pub(super) async fn open(&self, setup: &Setup, name: &RunName, task: &Task) -> Result<Arc<OpenRun>, Error> {
        let known = self.runs.lock().get(name).cloned();
        let open = match known {
            Some(open) => open,
            None => {
                let open = Arc::new(self.open_anew(setup, name, task).await?);
                let mut runs = self.runs.lock();
                if runs.len() >= RUNS_MAX {
                    runs.pop_first();
                    self.models.lock().retain(|_, model| Arc::strong_count(model) > 1);
                }
                // Of messages that came together each opens it; all go on with the first one's.
                runs.entry(name.clone()).or_insert(open).clone()
            }
        };
        Ok(open)
    }

    async fn open_anew(&self, setup: &Setup, name: &RunName, task: &Task) -> Result<OpenRun, Error> {
        let runs = Runs::new(setup.out.clone());
        let run = match runs.open(name).await {
            Err(error) if error.kind() == Kind::NotFound => {
                check_object(task).await?;
                let version = setup.registry.resolve(&setup.reference).await?;
                let model = PinnedModel {
                    registry: Some(setup.registry.uri()),
                    name: Some(version.name),
                    version: Some(version.version),
                    artifact: version.artifact,
                };
                let record = RunRecord {
                    run: name.clone(),
                    model,
                    input: task.folder_and_key().0.to_owned(),
                    settings: setup.settings.clone(),
                    created: Timestamp::now(),
                };
                // Whoever was faster has decided.
                runs.begin_or_join(record).await?
            }
            other => other?,
        };
        let model = self.model(setup, &run.record().model).await?;
        let RunSettings { precision, keep } = &run.record().settings;
        let (precision, carried) = (*precision, carried(&model, keep)?);
        let rejected = run.rejected().await?.into_iter().map(|rejected: Rejected| rejected.key).collect();
        let inputs = Store::open(&run.record().input)?;
        Ok(OpenRun {
            run,
            inputs,
            model,
            carried,
            precision,
            rejected: Mutex::new(rejected),
            found_open: tokio::sync::Mutex::default(),
        })
    }

    /// The model that a run is pinned to.
    pub(super) async fn model(&self, setup: &Setup, pinned: &PinnedModel) -> Result<Arc<Model>, Error> {
        let known = || self.models.lock().get(&pinned.artifact).cloned();
        if let Some(model) = known() {
            return Ok(model);
        }
        let _loading = self.loading.lock().await;
        if let Some(model) = known() {
            return Ok(model);
        }
        let loaded = setup.registry.load_pinned(pinned, setup.cache.as_ref()).await;
        let artifact = loaded.map_err(|error| match error.kind() {
            Kind::Refused => Error::refused(error.to_string()),
            _ => error.into(),
        })?;
        let model = Model::from_artifact(artifact).map_err(Error::invalid)?;
        let model = Arc::new(model);
        self.models.lock().insert(pinned.artifact.clone(), model.clone());
        Ok(model)
    }
}

/// No run is begun for an object that is gone. A folder's end need be none.
async fn check_object(task: &Task) -> Result<(), Error> {
    if task.is_success() {
        return Ok(());
    }
    let (folder, key) = task.folder_and_key();
    match Store::open(folder)?.head(key).await {
        Err(error) if error.is_not_found() => Err(gone(task)),
        found => Ok(found.map(drop)?),
    }
}

pub(super) fn gone(task: &Task) -> Error {
    Error::refused(format!("`{}` is gone", task.object))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use clickcast_registry::Selector;
    use clickcast_storage::{Fault, Operation};

    use super::*;

    #[test]
    fn messages_of_a_new_run_that_come_together_load_its_model_once() {
        let reads = Arc::<AtomicU64>::default();
        let counted = reads.clone();
        // An answer that comes late lets the others ask, too.
        let store = Store::in_memory().with_faults(move |operation, _| {
            counted.fetch_add(u64::from(operation == Operation::Get), Ordering::Relaxed);
            Some(Fault::Late(Duration::from_millis(1)))
        });
        let model =
            Model::from_lightgbm(include_bytes!("../../../model/tests/golden/dart.txt").to_vec(), None).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let registry = Registry::new(store);
            let name: clickcast_registry::Name = "ctr".parse().unwrap();
            registry.register(&name, model.artifact(), "ann", Timestamp::UNIX_EPOCH).await.unwrap();
            let setup = Setup {
                out: Store::in_memory(),
                registry,
                reference: Reference { name: name.clone(), selector: Selector::Version(1) },
                settings: RunSettings { precision: Precision::F32, keep: Vec::new() },
                cache: None,
            };
            let pinned = PinnedModel {
                registry: None,
                name: Some(name),
                version: Some(1),
                artifact: model.artifact().id().to_owned(),
            };
            let load = async |times: usize| {
                let (book, before) = (Book::default(), reads.load(Ordering::Relaxed));
                let loads = (0..times).map(|_| book.model(&setup, &pinned));
                futures::future::join_all(loads).await.into_iter().for_each(|model| drop(model.unwrap()));
                reads.load(Ordering::Relaxed) - before
            };
            assert_eq!(load(8).await, load(1).await);
        });
    }
}
