//! Versions: registering and listing them.

use std::collections::BTreeMap;

use clickcast_model::{Family, Model};
use clickcast_registry::{Channel, Gated, Listed, Moved, Name, Reference, Registry};
use clickcast_storage::Store;
use clickcast_verdict::{Check, Verdict};
use jiff::Timestamp;
use serde::Serialize;

use crate::artifacts::{load_artifact, open_registry};
use crate::{Error, Resources};

/// Which model to register, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterRequest {
    /// The URI of the registry.
    pub registry: String,
    /// The model's name.
    pub name: Name,
    /// The folder or prefix of the model.
    pub model: String,
    /// Who registers it.
    pub by: String,
}

/// A registered version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RegisterReport {
    /// The model's name.
    pub name: Name,
    /// Its version: 1, 2, 3 ... for each name.
    pub version: u64,
    /// The artifact's SHA-256.
    pub id: String,
    /// When it was registered.
    pub created: Timestamp,
}

/// Which models to list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// The URI of the registry.
    pub registry: String,
    /// Only the model of this name; `None` lists all.
    pub name: Option<Name>,
}

/// The models of a registry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListReport {
    /// The models, by name.
    pub models: Vec<ListedModel>,
}

/// One model of a registry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedModel {
    /// Its name.
    pub name: Name,
    /// Its versions, oldest first.
    pub versions: Vec<ListedVersion>,
    /// The version that each of its channels points to.
    pub channels: BTreeMap<Channel, u64>,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ListedVersion {
    /// Its number.
    pub version: u64,
    /// When it was registered.
    pub created: Timestamp,
    /// The model's family.
    pub family: Family,
    /// Who registered it.
    pub by: String,
    /// The artifact's SHA-256.
    pub id: String,
}

/// Which version to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShowRequest {
    /// The URI of the registry.
    pub registry: String,
    /// The version, or a channel that points to it.
    pub model: Reference,
}

/// All that a registry knows of a version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ShowReport {
    /// The model's name.
    pub name: Name,
    /// The version.
    pub version: u64,
    /// The model's family.
    pub family: Family,
    /// When it was registered.
    pub created: Timestamp,
    /// Who registered it.
    pub by: String,
    /// The artifact's SHA-256.
    pub id: String,
    /// The channels that point to it.
    pub channels: Vec<Channel>,
    /// The last verdict of the gate; `None` if it was not judged.
    pub gate: Option<Verdict>,
    /// The last judgement.
    pub judged: Option<LastJudgement>,
    /// All judgements, oldest first.
    pub judgements: Vec<JudgementReport>,
    /// All moves of each of the model's channels, oldest first.
    pub history: BTreeMap<Channel, Vec<Moved<u64>>>,
}

/// The last judgement of a version.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LastJudgement {
    /// When.
    pub at: Timestamp,
    /// The version that it was compared with; `None` for a first model.
    pub champion: Option<u64>,
    /// The checks.
    pub checks: Vec<Check>,
}

/// A judgement without its checks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct JudgementReport {
    /// When.
    pub at: Timestamp,
    /// The version that it was compared with; `None` for a first model.
    pub champion: Option<u64>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Registers a model as the next version of its name.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if the model can't be loaded.
pub fn register(resources: &Resources, request: &RegisterRequest) -> Result<RegisterReport, Error> {
    let artifact = load_artifact(resources, &request.model)?;
    // A model that can't be loaded must not be registered.
    let model = Model::from_artifact(artifact);
    let model = model.map_err(|error| Error::about(format!("model `{}`", request.model), error))?;
    let registry = open_registry(&request.registry)?;
    let registered = registry.register(&request.name, model.artifact(), &request.by, Timestamp::now());
    let record = resources.wait(registered)?;
    Ok(RegisterReport { name: record.name, version: record.version, id: record.artifact, created: record.created })
}

/// Lists the models of a registry.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if there is no such folder, or no model of that name.
pub fn list(resources: &Resources, request: &ListRequest) -> Result<ListReport, Error> {
    let store = Store::open(&request.registry)?;
    if !store.is_there() {
        let uri = &request.registry;
        return Err(Error::invalid(format!("there is no folder `{uri}`; give --registry the one that models are in")));
    }
    let listed = resources.wait(Registry::new(store).list(request.name.as_ref()))?;
    Ok(ListReport { models: listed.into_iter().map(listed_model).collect() })
}

fn listed_model(listed: Listed) -> ListedModel {
    let versions = listed.versions.into_iter().map(|record| ListedVersion {
        version: record.version,
        created: record.created,
        family: record.family,
        by: record.by,
        id: record.artifact,
    });
    ListedModel { name: listed.name, versions: versions.collect(), channels: listed.channels }
}

/// Shows all that a registry knows of a version.
///
/// # Errors
/// [`Kind::Invalid`](crate::Kind::Invalid) if there is no such version.
pub fn show(resources: &Resources, request: &ShowRequest) -> Result<ShowReport, Error> {
    let registry = open_registry(&request.registry)?;
    let shown = resources.wait(registry.show(&request.model))?;
    let judgement =
        |gated: &Gated| JudgementReport { at: gated.at, champion: gated.champion, verdict: gated.judgement.verdict };
    let last = |gated: Gated| LastJudgement { at: gated.at, champion: gated.champion, checks: gated.judgement.checks };
    Ok(ShowReport {
        name: shown.record.name,
        version: shown.record.version,
        family: shown.record.family,
        created: shown.record.created,
        by: shown.record.by,
        id: shown.record.artifact,
        channels: shown.channels,
        gate: shown.gate.as_ref().map(|gated| gated.judgement.verdict),
        judgements: shown.judgements.iter().map(judgement).collect(),
        judged: shown.gate.map(last),
        history: shown.moves.into_iter().map(|(channel, moves)| (channel, moves.history)).collect(),
    })
}
