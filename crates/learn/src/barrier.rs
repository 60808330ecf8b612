//! A barrier for steps of microseconds, which a sleeping one would multiply.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// How often a thread looks at the counter before it yields: about ten microseconds.
const SPINS: usize = 1 << 11;

pub(crate) struct Barrier {
    threads: usize,
    arrived: AtomicUsize,
    generation: AtomicUsize,
    broken: AtomicBool,
}

/// A thread's part in the barrier. If the thread panics, the others do, too: they would wait for ever.
pub(crate) struct Member<'a>(&'a Barrier);

impl Barrier {
    pub(crate) fn new(threads: usize) -> Self {
        let [arrived, generation] = [AtomicUsize::new(0), AtomicUsize::new(0)];
        Self { threads, arrived, generation, broken: AtomicBool::new(false) }
    }

    pub(crate) fn join(&self) -> Member<'_> {
        Member(self)
    }
}

impl Member<'_> {
    /// Waits for all threads.
    ///
    /// # Panics
    /// If another thread has panicked.
    pub(crate) fn wait(&self) {
        let Self(barrier) = self;
        let generation = barrier.generation.load(Ordering::Acquire);
        if barrier.arrived.fetch_add(1, Ordering::AcqRel) + 1 == barrier.threads {
            barrier.arrived.store(0, Ordering::Relaxed);
            barrier.generation.store(generation.wrapping_add(1), Ordering::Release);
            return;
        }
        let mut spins = 0;
        while barrier.generation.load(Ordering::Acquire) == generation {
            assert!(!barrier.broken.load(Ordering::Relaxed), "another thread has panicked");
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}

impl Drop for Member<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.broken.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_thread_passes_before_all_have_arrived() {
        const THREADS: usize = 3;
        let (barrier, arrived) = (Barrier::new(THREADS), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let member = barrier.join();
                    for round in 1..=2000 {
                        arrived.fetch_add(1, Ordering::Relaxed);
                        member.wait();
                        assert_eq!(arrived.load(Ordering::Relaxed), round * THREADS);
                        member.wait();
                    }
                });
            }
        });
    }

    #[test]
    fn a_thread_that_panics_takes_the_others_along() {
        let barrier = Barrier::new(2);
        let other = || {
            let member = barrier.join();
            member.wait();
            panic!("an error in learning");
        };
        let joined = std::thread::scope(|scope| {
            let handle = scope.spawn(other);
            let waiting = scope.spawn(|| {
                let member = barrier.join();
                member.wait();
                member.wait();
            });
            [handle.join().is_err(), waiting.join().is_err()]
        });
        assert_eq!(joined, [true, true]);
    }
}
