//! Queues with at-least-once delivery, a visibility timeout, and dead letters.
//!
//! A received message stays invisible to others for the queue's visibility timeout. A worker calls [`Queue::extend`] while it
//! works on the message, then [`Queue::acknowledge`]; if the worker dies, the message comes back. After [`RECEIVES_MAX`]
//! receptions, or at once by [`Queue::bury`], the message becomes a dead letter with a reason.

mod faults;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqs")]
mod sqs;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;

use crate::Error;
pub use faults::{Fault, Operation};

/// Receptions after which a message becomes a dead letter, unless the queue has its own limit: a message that killed so many
/// workers will kill more.
pub const RECEIVES_MAX: u32 = 5;
/// How long a received message stays invisible, unless the queue has its own timeout.
pub const VISIBILITY: Duration = Duration::from_secs(30);

/// A queue. Cheap to clone.
#[derive(Clone)]
pub struct Queue {
    port: Arc<dyn Port>,
    uri: String,
    /// How long a received message stays invisible.
    visibility: Duration,
}

/// Identifies one reception of a message: it tells the current holder from earlier ones.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt(pub(crate) String);

/// A received message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The text that was sent.
    pub body: String,
    /// Identifies this reception in later calls.
    pub receipt: Receipt,
    /// How often the message was received, including this time.
    pub receive_count: u32,
    /// When the message was sent, by the queue's clock, if the queue reports it.
    pub sent_at: Option<SystemTime>,
}

/// A dead letter: a message that no worker receives any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// The text that was sent.
    pub body: String,
    /// Why it is dead, if known.
    pub reason: Option<String>,
    /// How often it was received, if the queue reports it.
    pub receive_count: Option<u32>,
}

/// The number of messages in a queue, by state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Depth {
    /// Ready to be received.
    pub visible: u64,
    /// Received, and neither acknowledged nor visible again.
    pub in_flight: u64,
    /// Not ready yet.
    pub delayed: u64,
    /// Dead letters.
    pub dead: u64,
    /// The age of the oldest message; `None` if there is none, or the queue does not report it.
    pub oldest_age: Option<Duration>,
}

/// A kind of queue; see [`Queue`], which has the same operations.
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

/// Returns the current time.
pub type Clock = Arc<dyn Fn() -> SystemTime + Send + Sync>;

impl Queue {
    /// Opens a queue: `sqlite:///path`, which is created if it does not exist, `sqs://name`, or an SQS queue's URL.
    ///
    /// # Errors
    /// [`crate::Kind::Invalid`] for any other URI, or one whose cargo feature is off; any other kind if the queue can't be opened.
    pub async fn open(uri: &str) -> Result<Self, Error> {
        Self::open_with(uri, &[], Arc::new(SystemTime::now)).await
    }

    /// Opens a queue that exists.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`] if it does not exist; otherwise as [`Queue::open`].
    pub async fn open_existing(uri: &str) -> Result<Self, Error> {
        match uri.strip_prefix("sqlite://") {
            Some(path) if !std::path::Path::new(path).exists() => {
                let problem = "there is no such queue; check its name: `queue send` and `worker` create one";
                Err(Error::with(crate::Kind::NotFound, "open", uri, problem))
            }
            _ => Self::open(uri).await,
        }
    }

    /// Opens a queue as [`Queue::open`] does, with these variables instead of the environment's of the same name, and with this
    /// clock if the queue has none of its own.
    ///
    /// # Errors
    /// As [`Queue::open`].
    pub async fn open_with(uri: &str, variables: &[(&str, &str)], clock: Clock) -> Result<Self, Error> {
        let port = connect(uri, variables, clock).await?;
        Ok(Self { visibility: port.visibility(), port, uri: uri.to_owned() })
    }

    /// Returns the same queue with faults: `plan` is called with each operation and its number, counted from 0. For tests.
    #[must_use]
    pub fn with_faults(self, plan: impl Fn(Operation, u64) -> Option<Fault> + Send + Sync + 'static) -> Self {
        Self { port: Arc::new(faults::Faulty::new(self.port, plan)), ..self }
    }

    /// Returns the same queue with another visibility timeout for the messages received from it.
    #[must_use]
    pub fn with_visibility(self, visibility: Duration) -> Self {
        Self { visibility, ..self }
    }

    /// Returns the queue's URI as a person would type it.
    #[must_use]
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Returns how long a received message stays invisible.
    #[must_use]
    pub fn visibility(&self) -> Duration {
        self.visibility
    }

    /// Sends messages, in order.
    ///
    /// # Errors
    /// If the queue can't take them; some may have been sent.
    pub async fn send(&self, bodies: &[String]) -> Result<(), Error> {
        self.port.send(bodies).await
    }

    /// Receives up to `count_max` messages, and waits up to `wait` for the first one.
    ///
    /// # Errors
    /// If the queue can't be read.
    pub async fn receive(&self, count_max: usize, wait: Duration) -> Result<Vec<Message>, Error> {
        self.port.receive(count_max, wait, self.visibility).await
    }

    /// Keeps a message invisible to others until `visible_in` from now.
    ///
    /// # Errors
    /// [`crate::Kind::Conflict`] if the message has another holder now, or is gone.
    pub async fn extend(&self, receipt: &Receipt, visible_in: Duration) -> Result<(), Error> {
        match self.extend_all(std::slice::from_ref(receipt), visible_in).await?[..] {
            [true] => Ok(()),
            _ => Err(Error::conflict("extend a message of", &self.uri)),
        }
    }

    /// Keeps messages invisible to others until `visible_in` from now. Returns for each message whether the caller still held
    /// it; if not, it has another holder now, or is gone.
    ///
    /// # Errors
    /// If the queue can't be written; some messages may have been extended.
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

    /// Deletes messages whose work is done. Returns for each message whether the caller still held it; if not, it has another
    /// holder now, or is gone.
    ///
    /// # Errors
    /// If the queue can't be written; some messages may have been deleted.
    pub async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<bool>, Error> {
        self.port.acknowledge(receipts).await
    }

    /// Whether the queue has dead letters. Without them, a message that can't be worked on comes back until it expires.
    #[must_use]
    pub fn has_dead_letters(&self) -> bool {
        self.port.has_dead_letters()
    }

    /// Makes a message that can never be worked on a dead letter.
    ///
    /// # Errors
    /// As [`Queue::extend`]; [`crate::Kind::Invalid`] if the queue has no dead letters.
    pub async fn bury(&self, message: &Message, reason: &str) -> Result<(), Error> {
        self.port.bury(message, reason).await
    }

    /// Counts the messages.
    ///
    /// # Errors
    /// If the queue can't be read.
    pub async fn depth(&self) -> Result<Depth, Error> {
        self.port.depth().await
    }

    /// Returns up to `count_max` dead letters.
    ///
    /// # Errors
    /// If the queue can't be read.
    pub async fn dead(&self, count_max: usize) -> Result<Vec<Dead>, Error> {
        self.port.dead(count_max).await
    }

    /// Sends the dead letters again as new messages, and returns their number.
    ///
    /// # Errors
    /// If the queue can't be written.
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
