//! A queue that fails as told, for tests of whatever must survive it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::{Dead, Depth, Message, Port, Receipt};
use crate::Error;

/// An operation on a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// To send messages.
    Send,
    /// To receive messages.
    Receive,
    /// To extend some, or release one.
    Extend,
    /// To acknowledge some.
    Acknowledge,
    /// To bury one.
    Bury,
}

/// What happens to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// It fails, and nothing was done.
    Refused,
    /// It is done, but the answer is lost.
    LostAnswer,
    /// Its messages come in the opposite order, each twice.
    Doubled,
    /// The answer comes so much later.
    Late(Duration),
}

/// Which trouble the operation of this number meets, counted over all operations from 0.
type Plan = dyn Fn(Step, u64) -> Option<Trouble> + Send + Sync;

pub(super) struct Faulty {
    inner: Arc<dyn Port>,
    plan: Box<Plan>,
    operations: AtomicU64,
}

impl Faulty {
    pub(super) fn new(
        inner: Arc<dyn Port>,
        plan: impl Fn(Step, u64) -> Option<Trouble> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, plan: Box::new(plan), operations: AtomicU64::new(0) }
    }

    /// Performs an operation as planned.
    async fn perform<T>(&self, step: Step, work: impl Future<Output = Result<T, Error>>) -> Result<(T, bool), Error> {
        let lost = |what: &str| Error::unavailable("reach", "the queue", what);
        match (self.plan)(step, self.operations.fetch_add(1, Ordering::Relaxed)) {
            None => work.await.map(|done| (done, false)),
            Some(Trouble::Doubled) => work.await.map(|done| (done, true)),
            Some(Trouble::Refused) => Err(lost("refused")),
            Some(Trouble::LostAnswer) => work.await.and_then(|_| Err(lost("the answer was lost"))),
            Some(Trouble::Late(wait)) => {
                tokio::time::sleep(wait).await;
                work.await.map(|done| (done, false))
            }
        }
    }
}

#[async_trait]
impl Port for Faulty {
    async fn send(&self, bodies: &[String]) -> Result<(), Error> {
        let (done, twice) = self.perform(Step::Send, self.inner.send(bodies)).await?;
        if twice { self.inner.send(bodies).await } else { Ok(done) }
    }

    async fn receive(&self, count_max: usize, wait: Duration, visibility: Duration) -> Result<Vec<Message>, Error> {
        let receive = self.inner.receive(count_max, wait, visibility);
        let (mut messages, twice) = self.perform(Step::Receive, receive).await?;
        if twice {
            messages = messages.into_iter().rev().flat_map(|message| [message.clone(), message]).collect();
        }
        Ok(messages)
    }

    async fn extend(&self, receipts: &[Receipt], visible_in: Duration) -> Result<Vec<bool>, Error> {
        self.perform(Step::Extend, self.inner.extend(receipts, visible_in)).await.map(|(done, _)| done)
    }

    async fn acknowledge(&self, receipts: &[Receipt]) -> Result<Vec<bool>, Error> {
        self.perform(Step::Acknowledge, self.inner.acknowledge(receipts)).await.map(|(done, _)| done)
    }

    async fn bury(&self, message: &Message, reason: &str) -> Result<(), Error> {
        self.perform(Step::Bury, self.inner.bury(message, reason)).await.map(|(done, _)| done)
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
