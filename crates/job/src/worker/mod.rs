//! The worker: takes messages from a queue, scores what they ask for, and acknowledges what is done.
//!
//! Three threads hand messages on to each other, so that receiving, scoring and settling overlap: one receives and looks, one
//! scores, one verifies and acknowledges. What each does with a message is decided by [`crate::protocol`].

mod acts;
mod book;
mod counters;
mod drain;
mod leases;
mod speed;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use clickcast_registry::{PinnedModel, RunName};
use clickcast_storage::queue::{Message, Queue};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use acts::{InFlight, Stop};
use book::Book;
pub use book::Setup;
pub use counters::Counters;
pub use drain::Drain;
use leases::Leases;
pub use speed::Speed;

use crate::protocol::{self, Action, Event, messages_to_take};
use crate::{Error, Piece, Progress, Scorer, sentence};

/// How long one question to an empty queue waits: a worker that is to end waits no longer.
const RECEIVE_WAIT: Duration = Duration::from_secs(1);

/// What a worker works on, and with what.
pub struct WorkerConfig {
    /// Where messages come from.
    pub queue: Queue,
    /// Where runs, models and the settings of new runs are.
    pub setup: Setup,
    /// The run of all messages, instead of the one that a message names or its folder's.
    pub run: Option<RunName>,
    /// Threads that compute.
    pub threads: usize,
    /// Does input and output.
    pub handle: Handle,
    /// Asks the worker to end.
    pub drain: Arc<Drain>,
}

/// A worker; [`Worker::work`] is its life.
pub struct Worker {
    queue: Queue,
    setup: Setup,
    run: Option<RunName>,
    threads: usize,
    handle: Handle,
    drain: Arc<Drain>,
    counters: Arc<Counters>,
    leases: Leases,
    book: Book,
    /// Seconds that a message took of late.
    seconds_each: Mutex<Option<f64>>,
}

impl Worker {
    /// A worker for a queue.
    #[must_use]
    pub fn new(config: WorkerConfig) -> Self {
        let WorkerConfig { queue, setup, run, threads, handle, drain } = config;
        let counters = Arc::<Counters>::default();
        let leases = Leases::new(queue.clone(), counters.clone());
        let (book, seconds_each) = (Book::default(), Mutex::default());
        Self { queue, setup, run, threads, handle, drain, counters, leases, book, seconds_each }
    }

    /// What it has done so far.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.counters.clone()
    }

    /// Loads the model of runs that begin now: a worker that can't is of no use. Its name and version.
    ///
    /// # Errors
    /// Where there is no such model, or it can't be read.
    pub fn check_model(&self) -> Result<String, Error> {
        self.handle.block_on(async {
            let version = self.setup.registry.resolve(&self.setup.reference).await?;
            let said = format!("{}@{}", version.name, version.version);
            let (name, artifact) = (Some(version.name), version.artifact);
            let pinned = PinnedModel { registry: None, name, version: Some(version.version), artifact };
            self.book.model(&self.setup, &pinned).await.map(|_| said)
        })
    }

    /// Works until it is asked to end, or, with `until_idle`, until nothing is left in the queue.
    ///
    /// # Errors
    /// Where the queue can't be used at all.
    pub fn work(&self, until_idle: bool) -> Result<(), Error> {
        let keeper = self.handle.spawn(self.leases.clone().keep());
        let worked = std::thread::scope(|scope| {
            // Each stage has one batch in its hands, and none lies between them.
            let (looked_at, to_score) = sync_channel(0);
            let (scored, to_settle) = sync_channel(0);
            let fetching = scope.spawn(move || self.fetch(until_idle, &looked_at));
            scope.spawn(move || self.settle(&to_settle));
            self.score(to_score, &scored);
            drop(scored);
            fetching.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        keeper.abort();
        worked
    }

    /// The first stage: receives messages, and looks at them.
    fn fetch(&self, until_idle: bool, looked_at: &SyncSender<Vec<InFlight>>) -> Result<(), Error> {
        let (mut failures, mut batches_without_work) = (0, 0);
        while !self.drain.is_asked() {
            self.counters.live();
            let seconds_each = *self.seconds_each.lock();
            let (count, asked) = (messages_to_take(seconds_each, batches_without_work), Instant::now());
            let messages = match self.handle.block_on(self.queue.receive(count, RECEIVE_WAIT)) {
                Ok(messages) => messages,
                Err(error) if error.is_transient() => {
                    failures += 1;
                    tracing::warn!("{}", sentence(&error));
                    let end = Instant::now() + protocol::backoff(failures, self.jitter());
                    while Instant::now() < end && !self.drain.is_asked() {
                        std::thread::sleep(Duration::from_millis(100));
                    }
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            failures = 0;
            if messages.is_empty() {
                if until_idle && self.is_idle()? {
                    return Ok(());
                }
                continue;
            }
            let mut to_score = self.look_at_all(messages, asked);
            if seconds_each.is_none() {
                // Each may take an hour: others have the rest.
                self.give_back(to_score.split_off(to_score.len().min(1)));
            }
            batches_without_work = if to_score.is_empty() { batches_without_work.saturating_add(1) } else { 0 };
            if !to_score.is_empty() && looked_at.send(to_score).is_err() {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Lets others have messages at once.
    fn give_back(&self, mut all: Vec<InFlight>) {
        all.iter_mut().for_each(|held| held.event = Event::Drained(held.message.receive_count));
        drop(self.advance_all(all));
    }

    /// Whether nothing is left to do, nor may come back from another worker.
    fn is_idle(&self) -> Result<bool, Error> {
        match self.handle.block_on(self.queue.depth()) {
            Ok(depth) => Ok(depth.visible + depth.in_flight + depth.delayed == 0),
            Err(error) if error.is_transient() => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Those of the messages that are to be scored; the others are settled.
    fn look_at_all(&self, messages: Vec<Message>, asked: Instant) -> Vec<InFlight> {
        messages.iter().for_each(|message| self.leases.hold(&message.receipt, asked));
        let mut all: Vec<InFlight> = messages.into_iter().map(InFlight::new).collect();
        if self.drain.is_asked() {
            all.iter_mut().for_each(|held| held.event = Event::Drained(held.message.receive_count));
        }
        self.advance_all(all)
    }

    /// Acts on messages until they are settled, or to be scored: those come back. What is done is acknowledged together.
    fn advance_all(&self, mut all: Vec<InFlight>) -> Vec<InFlight> {
        let mut to_score = Vec::new();
        while !all.is_empty() {
            let stops = self.advance_side_by_side(&mut all);
            let mut done = Vec::new();
            for (held, stop) in all.into_iter().zip(stops) {
                match stop {
                    Stop::Score => to_score.push(held),
                    Stop::Acknowledge => done.push(held),
                    Stop::Settled => {}
                }
            }
            if !done.is_empty() {
                self.acknowledge(&mut done);
            }
            all = done;
        }
        to_score
    }

    /// Most of it is waiting for stores.
    fn advance_side_by_side(&self, all: &mut [InFlight]) -> Vec<Stop> {
        match all {
            [only] => vec![self.advance(only)],
            many => std::thread::scope(|scope| {
                let acting: Vec<_> = many.iter_mut().map(|held| scope.spawn(move || self.advance(held))).collect();
                let joined = acting.into_iter().map(std::thread::ScopedJoinHandle::join);
                joined.map(|done| done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
            }),
        }
    }

    /// The second stage: scores, each run's messages together.
    fn score(&self, to_score: Receiver<Vec<InFlight>>, scored: &SyncSender<Vec<InFlight>>) {
        for mut batch in to_score {
            let (start, count) = (Instant::now(), batch.len());
            batch.sort_by_key(|held| held.open.as_ref().map(|open| Arc::as_ptr(open) as usize));
            let same_run = |a: &InFlight, b: &InFlight| match (&a.open, &b.open) {
                (Some(a), Some(b)) => Arc::ptr_eq(a, b),
                _ => false,
            };
            batch.chunk_by_mut(same_run).for_each(|chunk| self.score_run(chunk));
            *self.seconds_each.lock() = Some(start.elapsed().as_secs_f64() / count as f64);
            if scored.send(batch).is_err() {
                return;
            }
        }
    }

    /// Scores messages of one run; each then has an event that says what came of it.
    fn score_run(&self, batch: &mut [InFlight]) {
        let Some(open) = batch.first().and_then(|held| held.open.clone()) else { return };
        let scorer = self.scorer(&open);
        let mut next = 0;
        while next < batch.len() {
            let rest = &mut batch[next..];
            if self.drain.is_asked() {
                rest.iter_mut().for_each(|held| held.event = Event::Drained(held.message.receive_count));
                return;
            }
            next += self.score_some(&scorer, rest);
        }
    }

    /// Scores messages until one of them can't be; how many now have an event.
    fn score_some(&self, scorer: &Scorer<'_>, batch: &mut [InFlight]) -> usize {
        let pieces: Vec<Piece> = batch.iter().filter_map(|held| held.piece.clone()).collect();
        let score = Action::Score.name();
        let mut now = 0;
        let mut step = batch.first_mut().map(|held| held.step(score));
        let outcome = scorer.score(&pieces, |progress| match progress {
            Progress::Rows(rows) => {
                self.counters.beat(rows);
                !self.drain.is_overdue() && !self.leases.is_lost(&batch[now].message.receipt)
            }
            Progress::Ended(piece) => {
                now = piece + 1;
                drop(step.take());
                step = batch.get_mut(now).map(|held| held.step(score));
                !self.drain.is_asked()
            }
        });
        drop(step);
        let (ended, error) = match outcome {
            Ok(_) => (batch.len(), None),
            Err(error) => (error.piece, Some(error)),
        };
        batch[..ended].iter_mut().for_each(|held| held.event = Event::Scored);
        let Some((held, error)) = batch.get_mut(ended).zip(error) else { return ended };
        let receives = held.message.receive_count;
        held.event = if error.is_stopped() && self.leases.is_lost(&held.message.receipt) {
            Event::LeaseLost
        } else if error.is_stopped() {
            Event::Drained(receives)
        } else if error.is_of_input() {
            Event::Bad(sentence(&error))
        } else {
            held.warn(&sentence(&error));
            Event::Failed(receives)
        };
        ended + 1
    }

    /// The third stage: verifies, acknowledges, buries.
    fn settle(&self, to_settle: &Receiver<Vec<InFlight>>) {
        to_settle.iter().for_each(|batch| drop(self.advance_all(batch)));
    }

    /// From 0 to 1, of no sequence.
    fn jitter(&self) -> f64 {
        RandomState::new().hash_one(0) as f64 / u64::MAX as f64
    }
}
