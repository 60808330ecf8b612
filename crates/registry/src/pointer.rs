//! A pointer that many may move, one at a time: an object that is replaced only by who has seen what it holds.

use clickcast_storage::{Kind as StorageKind, Store};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::records::{bytes, nonce, read};
use crate::{Error, Kind};

/// Changes kept; at one a day this is eleven years.
const HISTORY_MAX: usize = 4096;

/// What a change was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// To something new.
    Promote,
    /// Back to what was there before the promotion that is undone.
    Rollback,
}

/// One change of a pointer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moved<T> {
    /// What it was.
    pub action: Action,
    /// What it points to since.
    pub to: T,
    /// What it pointed to before; `None` the first time.
    pub from: Option<T>,
    /// The time of the move, by the clock of the one who moved it.
    pub at: Timestamp,
    /// Who.
    pub by: String,
    /// Why; `None` if no reason was given.
    pub reason: Option<String>,
    /// Whether a gate that said no was overruled.
    pub forced: bool,
    /// The fencing token it was done under, where one is used.
    pub fence: Option<Fence>,
    /// By which its writer recognizes it.
    nonce: String,
}

/// What a pointer's object holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Moves<T> {
    /// What it points to.
    pub current: T,
    /// All changes, oldest first.
    pub history: Vec<Moved<T>>,
}

/// A number that rises with every leader: who holds an older one was replaced, and may not publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Fence(pub u64);

/// Who changes a pointer, and why.
#[derive(Debug, Clone)]
pub struct Change {
    /// Who.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why.
    pub reason: Option<String>,
    /// Whether a gate that said no is overruled.
    pub forced: bool,
    /// The fencing token, where one is used.
    pub fence: Option<Fence>,
}

/// A pointer in a store.
#[derive(Debug)]
pub struct Pointer<'a> {
    store: &'a Store,
    key: String,
}

impl<T: Clone + PartialEq> Moves<T> {
    /// What the promotions that were not undone point to, oldest first; the last is the current one. A promotion to where it
    /// points already, such as one that was repeated because its answer was lost, is nothing to go back from.
    fn standing(&self) -> Vec<&T> {
        let mut standing = Vec::new();
        for moved in &self.history {
            match moved.action {
                Action::Promote if standing.last() == Some(&&moved.to) => {}
                Action::Promote => standing.push(&moved.to),
                Action::Rollback => drop(standing.pop()),
            }
        }
        standing
    }
}

impl<'a> Pointer<'a> {
    pub(crate) fn new(store: &'a Store, key: String) -> Self {
        Self { store, key }
    }

    /// Returns what it holds; `None` if it was never moved.
    ///
    /// # Errors
    /// [`Kind::Damaged`], or if the store can't be read.
    pub async fn read<T: DeserializeOwned>(&self) -> Result<Option<Moves<T>>, Error> {
        Ok(read(self.store, &self.key).await?.map(|read| read.value))
    }

    /// Points to something, if `may` has nothing against it given what is there.
    ///
    /// # Errors
    /// What `may` says; [`Kind::Conflict`] if it was moved in between; or if the store can't be written.
    pub(crate) async fn promote<T: Clone + PartialEq + Serialize + DeserializeOwned>(
        &self,
        to: T,
        change: Change,
        may: impl FnOnce(Option<&Moves<T>>) -> Result<(), Error>,
    ) -> Result<Moved<T>, Error> {
        let found = read::<Moves<T>>(self.store, &self.key).await?;
        let moves = found.as_ref().map(|found| &found.value);
        may(moves)?;
        let (history, from) =
            moves.map_or((Vec::new(), None), |moves| (moves.history.clone(), Some(moves.current.clone())));
        let etag = found.map(|found| found.etag);
        self.write(history, moved(Action::Promote, to, from, change), etag).await
    }

    /// Points again to what it did before the last promotion that was not undone.
    ///
    /// # Errors
    /// [`Kind::Refused`] if it does not exist; else as [`Pointer::promote`].
    pub(crate) async fn roll_back<T: Clone + PartialEq + Serialize + DeserializeOwned>(
        &self,
        change: Change,
        may: impl FnOnce(&Moves<T>) -> Result<(), Error>,
    ) -> Result<Moved<T>, Error> {
        let nothing = || Error::refused(format!("`{}` has nothing to roll back to", self.store.uri(&self.key)));
        let found = read::<Moves<T>>(self.store, &self.key).await?.ok_or_else(nothing)?;
        may(&found.value)?;
        let standing = found.value.standing();
        let [.., before, _] = standing[..] else { return Err(nothing()) };
        let moved = moved(Action::Rollback, before.clone(), Some(found.value.current.clone()), change);
        self.write(found.value.history, moved, Some(found.etag)).await
    }

    async fn write<T: Clone + Serialize + DeserializeOwned>(
        &self,
        mut history: Vec<Moved<T>>,
        moved: Moved<T>,
        etag: Option<String>,
    ) -> Result<Moved<T>, Error> {
        history.push(moved.clone());
        history.drain(..history.len().saturating_sub(HISTORY_MAX));
        let moves = bytes(&Moves { current: moved.to.clone(), history });
        let written = match etag {
            Some(etag) => self.store.update(&self.key, moves, &etag).await,
            None => self.store.put_new(&self.key, moves).await,
        };
        let Err(error) = written else { return Ok(moved) };
        let is_conflict = error.kind() == StorageKind::Conflict;
        if !is_conflict && !error.is_transient() {
            return Err(error.into());
        }
        // A request whose answer was lost, or that a client repeated, was perhaps done.
        let found = read::<Moves<T>>(self.store, &self.key).await?;
        if found.is_some_and(|found| found.value.history.iter().any(|other| other.nonce == moved.nonce)) {
            return Ok(moved);
        }
        if is_conflict {
            let place = self.store.uri(&self.key);
            return Err(Error::new(Kind::Conflict, format!("`{place}` was moved by somebody else at the same moment")));
        }
        Err(error.into())
    }
}

fn moved<T>(action: Action, to: T, from: Option<T>, change: Change) -> Moved<T> {
    let Change { by, at, reason, forced, fence } = change;
    Moved { action, to, from, at, by, reason, forced, fence, nonce: nonce() }
}
