//! The messages that a worker holds, kept from others while it works on them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use clickcast_storage::Kind;
use clickcast_storage::queue::{Queue, Receipt};

use super::counters::Counters;

/// Messages held, each until a time; one that is in doubt is lost.
#[derive(Clone)]
pub(super) struct Leases {
    queue: Queue,
    held: Arc<Mutex<HashMap<Receipt, Instant>>>,
    counters: Arc<Counters>,
}

impl Leases {
    pub(super) fn new(queue: Queue, counters: Arc<Counters>) -> Self {
        Self { queue, held: Arc::default(), counters }
    }

    /// Holds a message that was asked for at `asked`: its time has run since then at the earliest.
    pub(super) fn hold(&self, receipt: &Receipt, asked: Instant) {
        self.lock().insert(receipt.clone(), asked + self.queue.visibility());
    }

    pub(super) fn drop(&self, receipt: &Receipt) {
        self.lock().remove(receipt);
    }

    /// Whether another worker may have the message by now.
    pub(super) fn is_lost(&self, receipt: &Receipt) -> bool {
        self.lock().get(receipt).is_none_or(|until| *until <= Instant::now())
    }

    /// Extends all leases again and again, each several times before it ends.
    pub(super) async fn keep(self) {
        let visibility = self.queue.visibility();
        let mut beat = tokio::time::interval(visibility / 4);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.tick().await;
        loop {
            beat.tick().await;
            let held: Vec<Receipt> = self.lock().keys().cloned().collect();
            for receipt in held {
                self.extend(receipt, visibility).await;
            }
        }
    }

    async fn extend(&self, receipt: Receipt, visibility: Duration) {
        let asked = Instant::now();
        if self.is_lost(&receipt) {
            return;
        }
        let extended = self.queue.extend(&receipt, visibility).await;
        // What was settled in the meantime is held no more.
        let mut held = self.lock();
        match extended {
            Ok(()) => {
                if let Some(until) = held.get_mut(&receipt) {
                    *until = asked + visibility;
                    Counters::count(&self.counters.extensions);
                }
            }
            Err(error) if error.kind() == Kind::Conflict => drop(held.remove(&receipt)),
            // Another beat comes before the lease ends.
            Err(_) => {}
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Receipt, Instant>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
