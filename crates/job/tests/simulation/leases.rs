//! Messages that workers keep from others while they work on them, until they stand still for too long.

use super::world::{Held, World};

/// How long a message that was received is invisible.
pub(crate) const VISIBILITY_S: u64 = 30;
/// As the worker does it: several times before a lease ends.
const BEAT_S: u64 = VISIBILITY_S / 4;

impl World {
    /// Each worker that doesn't stand still extends its lease when the time has come; that may fail.
    pub(crate) fn beat(&mut self) {
        if !self.rules.extends_leases {
            return;
        }
        for worker in 0..self.workers.len() {
            let is_stalled = self.is_stalled(worker);
            let Some(mut held) = self.workers[worker].held.take() else { continue };
            if !is_stalled && held.beat_at <= self.now && !self.is_lost(&held) {
                held.beat_at = self.now + BEAT_S;
                self.extend(&mut held);
            }
            self.workers[worker].held = Some(held);
        }
    }

    fn extend(&mut self, held: &mut Held) {
        if self.fault(10) {
            // Another beat comes before the lease ends, unless that fails, too.
            held.was_disturbed = true;
            return;
        }
        let until = self.now + VISIBILITY_S;
        match self.queue.get_mut(&held.message).filter(|message| message.receipt == held.receipt) {
            Some(message) => (message.visible_at, held.until) = (until, until),
            // Somebody else has it by now.
            None => held.until = self.now,
        }
    }

    pub(crate) fn is_lost(&self, held: &Held) -> bool {
        held.until <= self.now
    }

    pub(crate) fn is_stalled(&self, worker: usize) -> bool {
        self.now < self.workers[worker].stalled_until
    }

    /// A worker stands still, for less than a lease or for more, and its beats with it.
    pub(crate) fn stall(&mut self, worker: usize, mut held: Held) {
        self.workers[worker].stalled_until = self.now + VISIBILITY_S / 2 + self.random() % (2 * VISIBILITY_S);
        held.was_disturbed = true;
        // It may have looked at its lease right before.
        held.has_checked_lease = !self.is_lost(&held) && self.chance(50);
        self.workers[worker].held = Some(held);
    }

    /// A message comes into new hands only when its worker is gone, or was kept from its beats.
    pub(crate) fn check_delivery(&self, message: u64) -> Result<(), String> {
        let mut all_held = self.workers.iter().filter_map(|worker| worker.held.as_ref());
        match all_held.find(|held| held.message == message && !held.was_disturbed) {
            Some(held) => Err(format!("{:?} came into other hands while it was worked on", held.task)),
            None => Ok(()),
        }
    }
}
