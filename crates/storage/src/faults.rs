//! A store with planned faults, for tests.
//!
//! Requests to the store and local writes of whole objects meet the faults. The file system's own calls and local streams do
//! not.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};

/// A request to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// To read an object, or look at it.
    Get,
    /// To write an object whole, or to begin one of parts.
    Put,
    /// To write a part.
    Part,
    /// To end an object of parts.
    Complete,
    /// To copy an object.
    Copy,
    /// To delete objects.
    Delete,
    /// To list objects.
    List,
}

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails without effect.
    Refused,
    /// It takes effect, but the answer is lost.
    LostAnswer,
    /// Only half of the bytes arrive.
    Truncated,
    /// The answer is late by this time.
    Late(Duration),
}

/// Returns the fault that a request meets; requests are counted from 0.
type Plan = dyn Fn(Operation, u64) -> Option<Fault> + Send + Sync;

#[derive(Clone)]
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    plan: Arc<Plan>,
    requests: Arc<AtomicU64>,
}

impl Faulty {
    pub(crate) fn new(
        inner: Arc<dyn ObjectStore>,
        plan: impl Fn(Operation, u64) -> Option<Fault> + Send + Sync + 'static,
    ) -> Self {
        Self { inner, plan: Arc::new(plan), requests: Arc::default() }
    }

    fn next(&self, operation: Operation) -> Option<Fault> {
        (self.plan)(operation, self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Writes a local object whole, as planned for a put.
    pub(crate) async fn put_locally(&self, put: impl Future<Output = std::io::Result<()>>) -> std::io::Result<()> {
        match self.next(Operation::Put) {
            None | Some(Fault::Truncated) => put.await,
            Some(Fault::Refused) => Err(io_failure("refused")),
            Some(Fault::LostAnswer) => put.await.and(Err(io_failure("the answer was lost"))),
            Some(Fault::Late(wait)) => {
                tokio::time::sleep(wait).await;
                put.await
            }
        }
    }

    /// Performs a request as planned, and returns whether its bytes are cut as well.
    async fn perform<T>(&self, operation: Operation, request: impl Future<Output = Result<T>>) -> Result<(T, bool)> {
        match self.next(operation) {
            None => request.await.map(|done| (done, false)),
            Some(Fault::Truncated) => request.await.map(|done| (done, true)),
            Some(Fault::Refused) => Err(failure("refused")),
            Some(Fault::LostAnswer) => match request.await {
                Ok(_) => Err(failure("the answer was lost")),
                Err(error) => Err(error),
            },
            Some(Fault::Late(wait)) => {
                tokio::time::sleep(wait).await;
                request.await.map(|done| (done, false))
            }
        }
    }
}

fn failure(what: &'static str) -> Error {
    Error::Generic { store: "faults", source: Box::new(io_failure(what)) }
}

fn io_failure(what: &'static str) -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, what)
}

impl fmt::Debug for Faulty {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Faulty({:?})", self.inner)
    }
}

impl fmt::Display for Faulty {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "faults before {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let put = self.perform(Operation::Put, self.inner.put_opts(location, payload, options)).await;
        put.map(|(done, _)| done)
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let begun = self.perform(Operation::Put, self.inner.put_multipart_opts(location, options)).await;
        let (inner, _) = begun?;
        Ok(Box::new(FaultyUpload { faults: self.clone(), inner }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (result, cut) = self.perform(Operation::Get, self.inner.get_opts(location, options)).await?;
        if !cut {
            return Ok(result);
        }
        let (meta, range, attributes) = (result.meta.clone(), result.range.clone(), result.attributes.clone());
        let extensions = result.extensions.clone();
        let whole: Bytes = result.bytes().await?;
        let half = Ok(whole.slice(..whole.len() / 2));
        let payload = GetResultPayload::Stream(futures::stream::iter([half]).boxed());
        Ok(GetResult { payload, meta, range, attributes, extensions })
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let faults = self.clone();
        let delete = async move {
            let deleted = async { Ok(faults.inner.delete_stream(locations).collect::<Vec<_>>().await) };
            match faults.perform(Operation::Delete, deleted).await {
                Ok((deleted, _)) => deleted,
                Err(error) => vec![Err(error)],
            }
        };
        delete.into_stream().flat_map(futures::stream::iter).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (faults, prefix) = (self.clone(), prefix.cloned());
        let list = async move {
            let listed = async { Ok(faults.inner.list(prefix.as_ref()).collect::<Vec<_>>().await) };
            match faults.perform(Operation::List, listed).await {
                Ok((listed, _)) => listed,
                Err(error) => vec![Err(error)],
            }
        };
        list.into_stream().flat_map(futures::stream::iter).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.perform(Operation::List, self.inner.list_with_delimiter(prefix)).await.map(|(done, _)| done)
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.perform(Operation::Copy, self.inner.copy_opts(from, to, options)).await.map(|(done, _)| done)
    }
}

#[derive(Debug)]
struct FaultyUpload {
    faults: Faulty,
    inner: Box<dyn MultipartUpload>,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (faults, part) = (self.faults.clone(), self.inner.put_part(data));
        async move { faults.perform(Operation::Part, part).await.map(|(done, _)| done) }.boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.faults.perform(Operation::Complete, self.inner.complete()).await.map(|(done, _)| done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
