//! Queues: at least once, with a visibility timeout, and a place for what can't be worked on.
//!
//! A received message stays invisible to others for the queue's visibility timeout. Who works on it [`Queue::extend`]s
//! that, then [`Queue::acknowledge`]s; who dies lets it come back. After [`RECEIVES_MAX`] receptions, or at once by
//! [`Queue::bury`], it goes to the dead letters with a reason.

mod faults;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqs")]
mod sqs;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::Error;
pub use faults::{Step, Trouble};

/// Receptions after which a message is dead, where the queue itself doesn't say: one that killed so many workers will kill more.
pub const RECEIVES_MAX: u32 = 5;
/// How long a received message stays invisible, where the queue itself doesn't say.
pub const VISIBILITY: Duration = Duration::from_secs(30);

/// A queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    port: Arc<dyn Port>,
    uri: String,
    /// How long a received message stays invisible.
    visibility: Duration,
}

/// By which the holder of a message is told from those before.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub(crate) String);

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// As it was sent.
    pub body: String,
    /// For whatever is done with it.
    pub receipt: Receipt,
    /// How often it was received, this time included.
    pub receive_count: u32,
    /// When it was sent, by the queue's clock; none where it doesn't tell.
    pub sent_at: Option<SystemTime>,
}

/// A message that nobody will work on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// As it was sent.
    pub body: String,
    /// Why, where it is known.
    pub reason: Option<String>,
    /// How often it was received; none where the queue doesn't tell.
    pub receive_count: Option<u32>,
}

/// How much is in a queue.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// To be received.
    pub visible: u64,
    /// Received, and neither acknowledged nor come back.
    pub in_flight: u64,
    /// Not to be received yet.
    pub delayed: u64,
    /// Dead letters.
    pub dead: u64,
    /// How long the oldest message has waited; none where there is none, or the queue doesn't tell.
    pub oldest_age: Option<Duration>,
}

/// What a kind of queue can do; see [`Queue`], which has the same operations.
#[async_trait]
pub(crate) trait Port: Send + Sync {
    async fn send(&self, bodies: &[String]) -> Result<(), Error>;
    async fn receive(&self, count_max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Message>, Error>;
    async fn extend(&self, receipts: &[Receipt], visible_in: Duration) -> Result<Vec<bool>, Error>;
    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<bool>, Error>;
    async fn bury(&self, message: &Message, reason: &str) -> Result<(), Error>;
    async fn depth(&self) -> Result<Depth, Error>;
    async fn dead(&self, count_max: usize) -> Result<Vec<Dead>, Error>;
    async fn redrive(&self) -> Result<u64, Error>;
    fn has_dead_letters(&self) -> bool;
    fn visibility(&self) -> Duration;
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

impl Queue {
    /// Opens a queue: `sqlite:///path`, which is made where it isn't there, `sqs://name`, or an SQS queue's URL.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for any other URI, or where the queue can't be opened.
    pub async fn open(uri: &str) -> Result<Self, Error> {
        Self::open_with(uri, &[], Arc::new(SystemTime::now)).await
    }

    /// As [`Queue::open`], of a queue that is there.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`] where it isn't; else as [`Queue::open`].
    pub async fn open_existing(uri: &str) -> Result<Self, Error> {
        match uri.strip_prefix("sqlite://") {
            Some(path) if !std::path::Path::new(path).exists() => {
                let problem = "there is no such queue; check its name: `queue send` and `worker` make one";
                Err(Error::with(crate::Kind::NotFound, "open", uri, problem))
            }
            _ => Self::open(uri).await,
        }
    }

    /// As [`Queue::open`], with these variables in the place of the environment's of the same name, and by another clock,
    /// where the queue's is this process's.
    ///
    /// # Errors
    /// As [`Queue::open`].
    pub async fn open_with(uri: &str, variables: &[(&str, &str)], clock: Clock) -> Result<Self, Error> {
        let port = connect(uri, variables, clock).await?;
        Ok(Self { visibility: port.visibility(), port, uri: uri.to_owned() })
    }

    /// The same queue, whose operations meet the troubles that `plan` gives: it is called with each operation and its number,
    /// counted from 0. For tests.
    #[must_use]
    pub fn with_faults(self, plan: impl Fn(Step, u64) -> Option<Trouble> + Send + Sync + 'static) -> Self {
        Self { port: Arc::new(faults::Faulty::new(self.port, plan)), ..self }
    }

    /// The same queue, from which messages are received for so long in the place of the queue's own time.
    #[must_use]
    pub fn with_visibility(self, visibility: Duration) -> Self {
        Self { visibility, ..self }
    }

    /// The queue as a person would type it.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// How long a received message stays invisible.
    #[must_use]
    pub fn visibility(&self) -> Duration {
        self.visibility
    }

    /// Sends messages, in order; where it fails some may have been sent.
    ///
    /// # Errors
    /// Where the queue can't take them.
    pub async fn send(&self, bodies: &[String]) -> Result<(), Error> {
        self.port.send(bodies).await
    }

    /// Receives up to so many messages; waits for the first one so long.
    ///
    /// # Errors
    /// Where the queue can't be read.
    pub async fn receive(&self, count_max: usize, wait: Duration) -> Result<Vec<Message>, Error> {
        self.port.receive(count_max, wait, self.visibility).await
    }

    /// Keeps a message from others for so long from now.
    ///
    /// # Errors
    /// [`crate::Kind::Conflict`] where it is somebody else's by now, or gone.
    pub async fn extend(&self, receipt: &Receipt, visible_in: Duration) -> Result<(), Error> {
        match self.extend_all(std::slice::from_ref(receipt), visible_in).await?[..] {
            [true] => Ok(()),
            _ => Err(Error::conflict("extend a message of", &self.uri)),
        }
    }

    /// Keeps messages from others for so long from now, and tells of each whether it was still the holder's; if not, it is
    /// somebody else's by now, or gone.
    ///
    /// # Errors
    /// Where the queue can't be written; some may be kept.
    pub async fn extend_all(&self, receipts: &[Receipt], visible_in: Duration) -> Result<Vec<bool>, Error> {
        self.port.extend(receipts, visible_in).await
    }

    /// Lets others receive a message at once.
    ///
    /// # Errors
    /// As [`Queue::extend`].
    pub async fn release(&self, receipt: &Receipt) -> Result<(), Error> {
        self.extend(receipt, Duration::ZERO).await
    }

    /// Ends messages, whose work is done, and tells of each whether it was still the holder's; if not, it is somebody else's
    /// by now, or gone.
    ///
    /// # Errors
    /// Where the queue can't be written; some may have ended.
    pub async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<bool>, Error> {
        self.port.acknowledge(receipts).await
    }

    /// Whether there is a place for what can't be worked on; without one it comes back until it expires.
    #[must_use]
    pub fn has_dead_letters(&self) -> bool {
        self.port.has_dead_letters()
    }

    /// Puts a message that can never be worked on among the dead letters.
    ///
    /// # Errors
    /// As [`Queue::extend`]; [`crate::Kind::Invalid`] where there is no place for them.
    pub async fn bury(&self, message: &Message, reason: &str) -> Result<(), Error> {
        self.port.bury(message, reason).await
    }

    /// How much there is.
    ///
    /// # Errors
    /// Where the queue can't be read.
    pub async fn depth(&self) -> Result<Depth, Error> {
        self.port.depth().await
    }

    /// Up to so many dead letters.
    ///
    /// # Errors
    /// Where the queue can't be read.
    pub async fn dead(&self, count_max: usize) -> Result<Vec<Dead>, Error> {
        self.port.dead(count_max).await
    }

    /// Sends the dead letters again, as new ones; how many there were.
    ///
    /// # Errors
    /// Where the queue can't be written.
    pub async fn redrive(&self) -> Result<u64, Error> {
        self.port.redrive().await
    }
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Queue({})", self.uri)
    }
}

/// Opens the kind of queue that the URI's scheme names, if the build has it.
#[cfg_attr(not(all(feature = "sqlite", feature = "sqs")), allow(unused_variables))]
async fn connect(uri: &str, variables: &[(&str, &str)], clock: Clock) -> Result<Arc<dyn Port>, Error> {
    match uri.split_once("://") {
        #[cfg(feature = "sqlite")]
        Some(("sqlite", path)) => Ok(Arc::new(sqlite::Sqlite::open(uri, path, clock).await?)),
        #[cfg(feature = "sqs")]
        Some(("sqs" | "http" | "https", _)) => Ok(Arc::new(sqs::Sqs::open(uri, variables).await?)),
        #[cfg(not(feature = "sqlite"))]
        Some(("sqlite", _)) => Err(Error::absent(uri, "SQLite queues", "sqlite")),
        #[cfg(not(feature = "sqs"))]
        Some(("sqs" | "http" | "https", _)) => Err(Error::absent(uri, "SQS", "sqs")),
        _ => Err(Error::invalid("open", uri, "this is not a queue; use sqlite:///path, sqs://name or its URL")),
    }
}
