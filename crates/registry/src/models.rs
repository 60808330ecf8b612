//! Versions of models, and channels that point to them.
//!
//! ```text
//! artifacts/<id>/...                         a model's files, by the hash that names it
//! models/<name>/versions/<version>.json      written once, when the files are whole
//! models/<name>/gates/<version>.json         what the gate said last
//! models/<name>/gates/<version>/<time>.json  what it ever said
//! models/<name>/channels/<channel>.json      a pointer to a version, with its history
//! ```

use std::collections::BTreeMap;

use clickcast_model::Family;
use clickcast_model::artifact::Artifact;
use clickcast_model::scores::Scores;
use clickcast_storage::Store;
use clickcast_verdict::{Judgement, Verdict};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::artifacts::{read_artifact, write_artifact};
use crate::cache::ModelCache;
use crate::pointer::{Change, Moved, Moves, Pointer};
use crate::records::{bytes, create, nonce, read};
use crate::{Channel, Error, Kind, Name, PinnedModel, Reference, Selector};

/// The channel whose version is in use, and what candidates are judged against.
pub const CHAMPION: &str = "champion";

/// Registrations of one model at the same moment, each of which takes a number from another.
const RACES_MAX: usize = 1000;

/// A registry: models by name and version.
#[derive(Debug, Clone)]
pub struct Registry {
    store: Store,
}

/// A version, as it was registered; never changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// The model's name.
    pub name: Name,
    /// 1, 2, 3 ... for each name.
    pub version: u64,
    /// The time of the registration, by the clock of the one who registered it.
    pub created: Timestamp,
    /// Who registered it.
    pub by: String,
    /// The artifact's hash.
    pub artifact: String,
    /// The model's family.
    pub family: Family,
    /// By which its writer recognizes it.
    nonce: String,
}

/// What the gate said of a version.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gated {
    /// When.
    pub at: Timestamp,
    /// The version it was compared with; none for a first model.
    pub champion: Option<u64>,
    /// The checks and the verdict.
    pub judgement: Judgement,
    /// Its scores of the newest rows it was judged by, which a run's audit compares with; `None` if it could not score them.
    #[serde(default)]
    pub scores: Option<Scores>,
}

/// A model in a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its name.
    pub name: Name,
    /// Its versions, oldest first.
    pub versions: Vec<VersionRecord>,
    /// Its channels and the versions they point to.
    pub channels: BTreeMap<Channel, u64>,
}

/// All that a registry knows of a version.
#[derive(Debug, Clone, PartialEq)]
pub struct Shown {
    /// The version.
    pub record: VersionRecord,
    /// The channels that point to it.
    pub channels: Vec<Channel>,
    /// What the gate said last.
    pub gate: Option<Gated>,
    /// What it ever said, oldest first.
    pub judgements: Vec<Gated>,
    /// All moves of each of the model's channels.
    pub moves: BTreeMap<Channel, Moves<u64>>,
}

impl Registry {
    /// The registry in a store; an empty one is a registry without models.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Returns its URI.
    #[must_use]
    pub fn uri(&self) -> String {
        self.store.uri("")
    }

    /// Registers a model as its name's next version.
    ///
    /// # Errors
    /// If the store can't be read or written.
    pub async fn register(
        &self,
        name: &Name,
        artifact: &Artifact,
        by: &str,
        at: Timestamp,
    ) -> Result<VersionRecord, Error> {
        write_artifact(&self.store, &artifact_folder(artifact.id()), artifact).await?;
        let mut record = VersionRecord {
            name: name.clone(),
            version: self.versions(name).await?.last().map_or(1, |last| last + 1),
            created: at,
            by: by.to_owned(),
            artifact: artifact.id().to_owned(),
            family: artifact.manifest().family,
            nonce: nonce(),
        };
        for _ in 0..RACES_MAX {
            let key = version_key(name, record.version);
            if create(&self.store, &key, &record, |found| found.nonce == record.nonce).await? {
                return Ok(record);
            }
            record.version += 1;
        }
        Err(Error::new(Kind::Conflict, format!("`{name}` is registered by too many at the same moment")))
    }

    /// The version that a reference means.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if it does not exist, or [`Kind::Damaged`].
    pub async fn resolve(&self, reference: &Reference) -> Result<VersionRecord, Error> {
        let Reference { name, selector } = reference;
        let version = match selector {
            Selector::Version(version) => *version,
            Selector::Channel(channel) => {
                self.channel(name, channel).await?.map(|moves| moves.current).ok_or_else(|| {
                    Error::new(
                        Kind::NotFound,
                        format!(
                            "`{name}` has no channel `{channel}` in `{}`; `models list` shows what there is",
                            self.uri()
                        ),
                    )
                })?
            }
        };
        let record = read::<VersionRecord>(&self.store, &version_key(name, version)).await?;
        record.map(|read| read.value).ok_or_else(|| {
            let problem =
                format!("there is no `{name}@{version}` in `{}`; `models list` shows what there is", self.uri());
            Error::new(Kind::NotFound, problem)
        })
    }

    /// Reads and verifies a version's artifact.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or if the store can't be read.
    pub async fn load(&self, record: &VersionRecord) -> Result<Artifact, Error> {
        let folder = artifact_folder(&record.artifact);
        let artifact = read_artifact(&self.store, &folder).await?;
        if artifact.id() != record.artifact {
            let problem = format!("it is not the one that was registered as `{}@{}`", record.name, record.version);
            return Err(Error::damaged(&self.store.uri(&folder), problem));
        }
        Ok(artifact)
    }

    /// Reads and verifies the model that a run is pinned to, from the cache if it is there.
    ///
    /// # Errors
    /// [`Kind::Refused`] if the model is from no registry, or the version is another model; else as [`Registry::resolve`] and
    /// [`Registry::load`].
    pub async fn load_pinned(&self, pinned: &PinnedModel, cache: Option<&ModelCache>) -> Result<Artifact, Error> {
        if let Some(cache) = cache
            && let Some(artifact) = cache.get(&pinned.artifact).await
        {
            return Ok(artifact);
        }
        let (Some(name), Some(version)) = (&pinned.name, pinned.version) else {
            return Err(Error::refused(
                "the run was begun with a model that is in no registry; finish it with `predict --run`",
            ));
        };
        let reference = Reference { name: name.clone(), selector: Selector::Version(version) };
        let record = self.resolve(&reference).await?;
        if record.artifact != pinned.artifact {
            let sentence = format!("the registry has another model than the run's, `{}`", pinned.artifact);
            return Err(Error::refused(sentence));
        }
        let artifact = self.load(&record).await?;
        if let Some(cache) = cache {
            cache.put(&artifact).await;
        }
        Ok(artifact)
    }

    /// All models, or the one of a name, in alphabetical order.
    ///
    /// # Errors
    /// [`Kind::NotFound`] if there is no model of that name; [`Kind::Damaged`]; or if the store can't be read.
    pub async fn list(&self, name: Option<&Name>) -> Result<Vec<Listed>, Error> {
        let mut models: BTreeMap<Name, Listed> = BTreeMap::new();
        for object in self.store.list_below("models").await? {
            let Some(Entry { name: own, kind }) = Entry::of(&object.key) else { continue };
            if name.is_some_and(|name| *name != own) {
                continue;
            }
            let new = || Listed { name: own.clone(), versions: Vec::new(), channels: BTreeMap::new() };
            let listed = models.entry(own.clone()).or_insert_with(new);
            match kind {
                EntryKind::Version(version) => {
                    let record = read::<VersionRecord>(&self.store, &version_key(&own, version)).await?;
                    listed.versions.extend(record.map(|read| read.value));
                }
                EntryKind::Channel(channel) => {
                    if let Some(moves) = self.channel(&own, &channel).await? {
                        listed.channels.insert(channel, moves.current);
                    }
                }
            }
        }
        if let Some(name) = name.filter(|name| !models.contains_key(name)) {
            return Err(Error::new(Kind::NotFound, format!("there is no model `{name}` in `{}`", self.uri())));
        }
        let mut models: Vec<Listed> = models.into_values().collect();
        models.iter_mut().for_each(|listed| listed.versions.sort_by_key(|record| record.version));
        Ok(models)
    }

    /// All that a registry knows of a version.
    ///
    /// # Errors
    /// As [`Registry::resolve`].
    pub async fn show(&self, reference: &Reference) -> Result<Shown, Error> {
        let record = self.resolve(reference).await?;
        let mut moves = BTreeMap::new();
        for object in self.store.list_below(&format!("models/{}", record.name)).await? {
            if let Some(Entry { name, kind: EntryKind::Channel(channel) }) = Entry::of(&object.key)
                && name == record.name
            {
                match self.channel(&name, &channel).await {
                    Ok(found) => moves.extend(found.map(|found| (channel, found))),
                    // A damaged channel is no reason not to tell of a version that isn't.
                    Err(error) if error.kind() == Kind::Damaged => {}
                    Err(error) => return Err(error),
                }
            }
        }
        let pointing = moves.iter().filter(|(_, moves)| moves.current == record.version);
        let channels = pointing.map(|(channel, _)| channel.clone()).collect();
        let gate = self.gate(&record.name, record.version).await?;
        let judgements = self.judgements(&record.name, record.version).await?;
        Ok(Shown { record, channels, gate, judgements, moves })
    }

    /// Notes what the gate said of a version: it is the last word from now on, and what was said before is kept.
    ///
    /// # Errors
    /// If the store can't be written.
    pub async fn record_gate(&self, name: &Name, version: u64, gated: &Gated) -> Result<(), Error> {
        self.store.put(&format!("{}.json", judgement_key(name, version, gated.at)), bytes(gated)).await?;
        Ok(self.store.put(&gate_key(name, version), bytes(gated)).await?)
    }

    /// Where the page of what the gate said of a version at a time is kept: as the last one, and as that one.
    #[must_use]
    pub fn gate_page_uris(&self, name: &Name, version: u64, at: Timestamp) -> [String; 2] {
        let last = gate_key(name, version).replace(".json", ".html");
        [self.store.uri(&last), self.store.uri(&format!("{}.html", judgement_key(name, version, at)))]
    }

    /// What the gate ever said of a version, oldest first.
    async fn judgements(&self, name: &Name, version: u64) -> Result<Vec<Gated>, Error> {
        let mut judgements = Vec::new();
        for object in self.store.list_below(&format!("models/{name}/gates/{version}")).await? {
            if object.key.ends_with(".json") {
                judgements.extend(read::<Gated>(&self.store, &object.key).await?.map(|read| read.value));
            }
        }
        Ok(judgements)
    }

    /// Returns the last judgement of a version; `None` if it was never judged.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or if the store can't be read.
    pub async fn gate(&self, name: &Name, version: u64) -> Result<Option<Gated>, Error> {
        Ok(read(&self.store, &gate_key(name, version)).await?.map(|read| read.value))
    }

    /// Points a channel to a version that has passed the gate, or to any where that is forced. Who takes the champion's place has
    /// passed against that very one.
    ///
    /// # Errors
    /// [`Kind::NotPassed`] if the gate has not passed it so; [`Kind::Refused`] if the channel is not at `expected`; [`Kind::Conflict`] if it was
    /// moved at the same moment; [`Kind::NotFound`].
    pub async fn promote(
        &self,
        name: &Name,
        version: u64,
        channel: &Channel,
        expected: Option<u64>,
        change: Change,
    ) -> Result<Moved<u64>, Error> {
        let selector = Selector::Version(version);
        self.resolve(&Reference { name: name.clone(), selector }).await?;
        let gated = if change.forced { None } else { Some(self.passed(name, version).await?) };
        let may = |moves: Option<&Moves<u64>>| match (expected, moves.map(|moves| moves.current)) {
            (Some(expected), Some(current)) if expected != current => Err(Error::refused(format!(
                "channel `{channel}` of `{name}` is at version {current} by now, not {expected}"
            ))),
            (Some(expected), None) => {
                Err(Error::refused(format!("channel `{channel}` of `{name}` has no version yet, not {expected}")))
            }
            (_, Some(current)) if channel.as_str() == CHAMPION && current != version => match &gated {
                Some(Gated { champion, .. }) if *champion != Some(current) => {
                    let against = champion.map_or_else(|| "no champion".to_owned(), |old| format!("version {old}"));
                    let why = format!(
                        "was judged against {against}, and would take the place of version {current}; `models gate` judges it anew"
                    );
                    Err(not_passed(name, version, &why))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        };
        self.pointer(name, channel).promote(version, change, may).await
    }

    /// What the gate said of a version that it has passed.
    async fn passed(&self, name: &Name, version: u64) -> Result<Gated, Error> {
        let why = match self.gate(name, version).await? {
            Some(gated) => match gated.judgement.verdict {
                Verdict::Pass => return Ok(gated),
                Verdict::Hold => "is held by the gate",
                Verdict::Fail => "has failed the gate",
            },
            None => "was not judged by the gate yet; `models gate` does that",
        };
        Err(not_passed(name, version, why))
    }

    /// Points a channel again to the version before its last promotion.
    ///
    /// # Errors
    /// [`Kind::Refused`] if it does not exist; [`Kind::Conflict`] if it was moved at the same moment.
    pub async fn roll_back(&self, name: &Name, channel: &Channel, change: Change) -> Result<Moved<u64>, Error> {
        self.pointer(name, channel).roll_back(change, |_| Ok(())).await
    }

    /// Returns the version that a channel points to, and its history; `None` if nothing was ever promoted to it.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or if the store can't be read.
    pub async fn channel(&self, name: &Name, channel: &Channel) -> Result<Option<Moves<u64>>, Error> {
        self.pointer(name, channel).read().await
    }

    fn pointer(&self, name: &Name, channel: &Channel) -> Pointer<'_> {
        Pointer::new(&self.store, format!("models/{name}/channels/{channel}.json"))
    }

    async fn versions(&self, name: &Name) -> Result<Vec<u64>, Error> {
        let mut versions = Vec::new();
        for object in self.store.list_below(&format!("models/{name}")).await? {
            if let Some(Entry { name: own, kind: EntryKind::Version(version) }) = Entry::of(&object.key)
                && own == *name
            {
                versions.push(version);
            }
        }
        versions.sort_unstable();
        Ok(versions)
    }
}

fn not_passed(name: &Name, version: u64, why: &str) -> Error {
    Error::not_passed(format!("`{name}@{version}` {why}; --force --reason TEXT overrules it"))
}

/// What an object of a registry is, by its key.
struct Entry {
    name: Name,
    kind: EntryKind,
}

enum EntryKind {
    Version(u64),
    Channel(Channel),
}

impl Entry {
    fn of(key: &str) -> Option<Self> {
        let parts: Vec<&str> = key.split('/').collect();
        let ["models", name, folder, file] = parts[..] else { return None };
        let stem = file.strip_suffix(".json")?;
        let kind = match folder {
            "versions" => EntryKind::Version(stem.parse().ok()?),
            "channels" => EntryKind::Channel(stem.parse().ok()?),
            _ => return None,
        };
        Some(Self { name: name.parse().ok()?, kind })
    }
}

/// Ends in a slash, as a folder does.
fn artifact_folder(id: &str) -> String {
    format!("artifacts/{id}/")
}

fn version_key(name: &Name, version: u64) -> String {
    format!("models/{name}/versions/{version}.json")
}

fn gate_key(name: &Name, version: u64) -> String {
    format!("models/{name}/gates/{version}.json")
}

/// Without its ending: a judgement has a page, too.
fn judgement_key(name: &Name, version: u64, at: Timestamp) -> String {
    format!("models/{name}/gates/{version}/{}", at.strftime("%Y%m%dT%H%M%S%.9fZ"))
}
