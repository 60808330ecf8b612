//! Models where they are kept: a folder, or a version in a registry.

use clickcast_model::Model;
use clickcast_model::artifact::Artifact;
use clickcast_registry::{Name, Reference, Registry, read_artifact, write_artifact};
use clickcast_storage::Store;

use crate::{Error, Resources};

/// Where a model is: a folder or prefix, or `NAME@VERSION` or `NAME@CHANNEL` in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelLocation {
    /// The folder or prefix, or the version's reference.
    pub model: String,
    /// The registry that a reference is looked up in.
    pub registry: Option<String>,
}

impl ModelLocation {
    /// A model in a folder, or below a prefix.
    #[must_use]
    pub fn folder(model: impl Into<String>) -> Self {
        Self { model: model.into(), registry: None }
    }

    /// A version in a registry, such as `ctr@champion`.
    #[must_use]
    pub fn registered(reference: impl Into<String>, registry: impl Into<String>) -> Self {
        Self { model: reference.into(), registry: Some(registry.into()) }
    }
}

/// A model, and its name and version where it comes from a registry.
pub struct Loaded {
    /// The model.
    pub model: Model,
    /// Its name and version in the registry; `None` for a model in a folder.
    pub registered: Option<(Name, u64)>,
}

/// Reads and verifies a model.
///
/// # Errors
/// If it is not there, is damaged, or a reference is given without a registry.
pub fn load(resources: &Resources, location: &ModelLocation) -> Result<Loaded, Error> {
    let model = &location.model;
    let (artifact, registered) = match &location.registry {
        Some(uri) if model.contains('@') => {
            let reference: Reference = model.parse()?;
            let registry = open_registry(uri)?;
            let record = resources.wait(registry.resolve(&reference))?;
            let artifact = resources.wait(registry.load(&record))?;
            (artifact, Some((record.name, record.version)))
        }
        None if is_reference(model) => {
            return Err(Error::invalid(format!("`{model}` is a version in a registry; give --registry, too")));
        }
        _ => (load_artifact(resources, model)?, None),
    };
    let model = Model::from_artifact(artifact).map_err(|error| Error::about(format!("model `{model}`"), error))?;
    Ok(Loaded { model, registered })
}

/// Whether this names a version, such as `ctr@champion`, and no folder.
fn is_reference(model: &str) -> bool {
    model.parse::<Reference>().is_ok() && !std::path::Path::new(model).exists()
}

/// Reads and verifies the files of the model in a folder.
///
/// # Errors
/// If it is not there, or is damaged.
pub(crate) fn load_artifact(resources: &Resources, uri: &str) -> Result<Artifact, Error> {
    let store = Store::open(uri)?;
    Ok(resources.wait(read_artifact(&store, ""))?)
}

/// Writes a model to a folder.
///
/// # Errors
/// If the store fails.
pub(crate) fn save(resources: &Resources, artifact: &Artifact, uri: &str) -> Result<(), Error> {
    let store = Store::open(uri)?;
    Ok(resources.wait(write_artifact(&store, "", artifact))?)
}

/// Opens a registry, which need not exist.
///
/// # Errors
/// If the URI is no place for objects.
pub(crate) fn open_registry(uri: &str) -> Result<Registry, Error> {
    Ok(Registry::new(Store::open(uri)?))
}
