//! The messages that a worker holds, kept from others while it works on them.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clickcast_storage::queue::{Queue, Receipt};
use parking_lot::Mutex;

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
        self.held.lock().insert(receipt.clone(), asked + self.queue.visibility());
    }

    pub(super) fn drop(&self, receipt: &Receipt) {
        self.held.lock().remove(receipt);
    }

    /// Whether another worker may have the message by now.
    pub(super) fn is_lost(&self, receipt: &Receipt) -> bool {
        self.held.lock().get(receipt).is_none_or(|until| *until <= Instant::now())
    }

    /// Extends all leases again and again, each several times before it ends.
    pub(super) async fn keep(self) {
        let visibility = self.queue.visibility();
        let mut beat = tokio::time::interval(visibility / 4);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        beat.tick().await;
        loop {
            beat.tick().await;
            let held: Vec<Receipt> = self.held.lock().keys().cloned().collect();
            // A queue that doesn't answer is asked anew by the next beat, before any lease ends.
            let _ = tokio::time::timeout(visibility / 4, self.extend(held, visibility)).await;
        }
    }

    async fn extend(&self, mut receipts: Vec<Receipt>, visibility: Duration) {
        let asked = Instant::now();
        receipts.retain(|receipt| !self.is_lost(receipt));
        if receipts.is_empty() {
            return;
        }
        // After an error another beat comes before the leases end.
        let Ok(were_held) = self.queue.extend_all(&receipts, visibility).await else { return };
        let mut let_go = Vec::new();
        for (receipt, was_held) in receipts.into_iter().zip(were_held) {
            match self.held.lock().entry(receipt) {
                Entry::Occupied(lost) if !was_held => drop(lost.remove()),
                Entry::Occupied(mut held) => {
                    held.insert(asked + visibility);
                    Counters::count(&self.counters.extensions);
                }
                Entry::Vacant(gone) => let_go.extend(was_held.then(|| gone.into_key())),
            }
        }
        // They were let go in the meantime: this has hidden them anew from whoever is to have them. Of those that ended,
        // nothing is there.
        if !let_go.is_empty() {
            let _ = self.queue.extend_all(&let_go, Duration::ZERO).await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use clickcast_storage::queue::Operation;

    use super::*;

    #[test]
    fn a_message_that_is_let_go_during_an_extension_is_not_hidden_by_it() {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("sqlite://{}", folder.path().join("queue.db").display());
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let queue = Queue::open(&uri).await.unwrap();
            queue.send(&["a".to_owned()]).await.unwrap();
            let receipt = queue.receive(1, Duration::from_secs(5)).await.unwrap().remove(0).receipt;
            // While the extension is under way the worker drains: it drops the lease and releases the message.
            let draining = Arc::new(Mutex::new(None::<Leases>));
            let (drained, released, during) = (draining.clone(), queue.clone(), receipt.clone());
            let slow_queue = queue.clone().with_faults(move |step, _| {
                if let (Operation::Extend, Some(leases)) = (step, drained.lock().take()) {
                    leases.drop(&during);
                    let release = || tokio::runtime::Runtime::new().unwrap().block_on(released.release(&during));
                    std::thread::scope(|scope| scope.spawn(release).join()).unwrap().unwrap();
                }
                None
            });
            let leases = Leases::new(slow_queue, Arc::default());
            *draining.lock() = Some(leases.clone());
            leases.hold(&receipt, Instant::now());
            leases.extend(vec![receipt], queue.visibility()).await;
            assert_eq!(queue.receive(1, Duration::from_secs(5)).await.unwrap().len(), 1, "it is hidden");
        });
    }
}
