//! Models where they are kept: a folder, or a version in a registry.

use clickcast_model::Model;
use clickcast_model::artifact::Artifact;
use clickcast_registry::{Name, Reference, Registry, read_artifact, write_artifact};
use clickcast_storage::Store;

use super::{Context, storage_failure};
use crate::failure::Failure;

/// A model, and what it is called where it comes from a registry.
pub(super) struct Loaded {
    pub(super) model: Model,
    pub(super) registered: Option<(Name, u64)>,
}

/// Reads and verifies the model in a folder, or, with a registry, the version of a name.
pub(super) fn load(context: &Context, model: &str, registry: Option<&str>) -> Result<Loaded, Failure> {
    let (artifact, registered) = match registry {
        Some(uri) if model.contains('@') => {
            let reference: Reference = model.parse()?;
            let registry = open_registry(uri)?;
            let (record, artifact) = context.runtime.block_on(async {
                let record = registry.resolve(&reference).await?;
                let artifact = registry.load(&record).await?;
                Ok::<_, clickcast_registry::Error>((record, artifact))
            })?;
            (artifact, Some((record.name, record.version)))
        }
        None if is_version(model) => {
            return Err(Failure::input(format!("`{model}` is a version in a registry; give --registry, too")));
        }
        _ => (load_artifact(context, model)?, None),
    };
    let model = Model::from_artifact(artifact).map_err(|error| Failure::input(format!("model `{model}`: {error}")))?;
    Ok(Loaded { model, registered })
}

/// Whether this names a version, such as `ctr@champion`, and no folder.
fn is_version(model: &str) -> bool {
    model.parse::<Reference>().is_ok() && !std::path::Path::new(model).exists()
}

/// Reads and verifies the files of the model in a folder.
pub(super) fn load_artifact(context: &Context, uri: &str) -> Result<Artifact, Failure> {
    let store = Store::open(uri).map_err(|error| storage_failure(&error))?;
    Ok(context.runtime.block_on(read_artifact(&store, ""))?)
}

/// Writes a model to a folder.
pub(super) fn save(context: &Context, artifact: &Artifact, uri: &str) -> Result<(), Failure> {
    let store = Store::open(uri).map_err(|error| storage_failure(&error))?;
    Ok(context.runtime.block_on(write_artifact(&store, "", artifact))?)
}

/// Opens a registry, which need not exist.
pub(super) fn open_registry(uri: &str) -> Result<Registry, Failure> {
    Ok(Registry::new(Store::open(uri).map_err(|error| storage_failure(&error))?))
}

impl From<clickcast_registry::Error> for Failure {
    fn from(error: clickcast_registry::Error) -> Self {
        match error.kind() {
            clickcast_registry::Kind::NotPassed => Self::gate(error),
            _ => Self::new(&error, error.is_transient()),
        }
    }
}
