//! A queue with planned faults, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::{Dead, Depth, Message, Port, Receipt};
use crate::Error;

/// An operation on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// To send messages.
    Send,
    /// To receive messages.
    Receive,
    /// To extend messages, or to release one.
    Extend,
    /// To acknowledge messages.
    Acknowledge,
    /// To bury a message.
    Bury,
}

/// What happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails without effect.
    Refused,
    /// It takes effect, but the answer is lost.
    LostAnswer,
    /// Its messages arrive in the opposite order, each twice.
    Doubled,
    /// The answer is late by this time.
    Late(Duration),
}

/// Returns the fault that an operation meets; operations are counted from 0.
type Plan = dyn Fn(Operation, u64) -> Option<Fault> + Send + Sync;

pub(super) struct Faulty {
    inner: Arc<dyn Port>,
    plan: Box<Plan>,
    operations: AtomicU64,
}

impl Faulty {
    pub(super) fn new(
        inner: Arc<dyn Port>,
        plan: impl Fn(Operation, u64) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, plan: Box::new(plan), operations: AtomicU64::new(0) }
    }

    /// Performs an operation as planned.
    async fn perform<T>(
        &self,
        operation: Operation,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<(T, bool), Error> {
        let lost = |what: &str| Error::unavailable("reach", "the queue", what);
        match (self.plan)(operation, self.operations.fetch_add(1, Ordering::Relaxed)) {
            None => work.await.map(|done| (done, false)),
            Some(Fault::Doubled) => work.await.map(|done| (done, true)),
            Some(Fault::Refused) => Err(lost("refused")),
            Some(Fault::LostAnswer) => work.await.and_then(|_| Err(lost("the answer was lost"))),
            Some(Fault::Late(wait)) => {
                tokio::time::sleep(wait).await;
                work.await.map(|done| (done, false))
            }
        }
    }
}

#[async_trait]
impl Port for Faulty {
    async fn send(&self, bodies: &[String]) -> Result<(), Error> {
        let (done, twice) = self.perform(Operation::Send, self.inner.send(bodies)).await?;
        if twice { self.inner.send(bodies).await } else { Ok(done) }
    }

    async fn receive(&self, count_max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Message>, Error> {
        let receive = self.inner.receive(count_max, wait, visibility);
        let (mut messages, twice) = self.perform(Operation::Receive, receive).await?;
        if twice {
            messages = messages.into_iter().rev().flat_map(|message| [message.clone(), message]).collect();
        }
        Ok(messages)
    }

    async fn extend(&self, receipts: &[Receipt], visible_in: Duration) -> Result<Vec<bool>, Error> {
        self.perform(Operation::Extend, self.inner.extend(receipts, visible_in)).await.map(|(done, _)| done)
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<bool>, Error> {
        self.perform(Operation::Acknowledge, self.inner.acknowledge(receipts)).await.map(|(done, _)| done)
    }

    async fn bury(&self, message: &Message, reason: &str) -> Result<(), Error> {
        self.perform(Operation::Bury, self.inner.bury(message, reason)).await.map(|(done, _)| done)
    }

    async fn depth(&self) -> Result<Depth, Error> {
        self.inner.depth().await
    }

    async fn dead(&self, count_max: usize) -> Result<Vec<Dead>, Error> {
        self.inner.dead(count_max).await
    }

    async fn redrive(&self) -> Result<u64, Error> {
        self.inner.redrive().await
    }

    fn has_dead_letters(&self) -> bool {
        self.inner.has_dead_letters()
    }

    fn visibility(&self) -> Duration {
        self.inner.visibility()
    }
}
