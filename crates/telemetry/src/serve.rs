//! The HTTP server: three pages, and bounds on what a client may ask of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderName, StatusCode};
use axum::routing::get;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::Metrics;

/// Bytes of a request's first line and headers: a scraper sends a few hundred.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// A client that takes longer to ask, or to read the answer, is cut off.
const PATIENCE: Duration = Duration::from_secs(5);
/// Connections at a time; more wait to be accepted. Half of the file handles that a process usually has: a thousand slow
/// clients are cut off within ten seconds, which is how long a scraper waits.
const CONNECTIONS_MAX: usize = 512;

/// What a process tells of itself.
pub trait Status: Send + Sync + 'static {
    /// Collects the metrics of this moment.
    fn metrics(&self) -> impl Future<Output = Metrics> + Send;

    /// Whether the process works.
    ///
    /// # Errors
    /// Why it should be restarted.
    fn live(&self) -> Result<(), &'static str>;

    /// Whether the process takes work.
    ///
    /// # Errors
    /// Why it takes none.
    fn ready(&self) -> Result<(), &'static str>;
}

/// Serves `/metrics`, `/healthz` and `/readyz` from now on, in the background. Returns the address, with the port that the
/// system chose if port 0 was asked for.
///
/// # Errors
/// If nothing can listen at the address.
pub async fn serve<S: Status>(address: SocketAddr, status: S) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address).await?;
    let address = listener.local_addr()?;
    tokio::spawn(accept(listener, router(status)));
    Ok(address)
}

type Page = (StatusCode, [(HeaderName, &'static str); 1], String);

const PLAIN: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn router<S: Status>(status: S) -> Router {
    Router::new()
        .route("/metrics", get(metrics::<S>))
        .route("/healthz", get(async |State(status): State<Arc<S>>| answer(status.live())))
        .route("/readyz", get(async |State(status): State<Arc<S>>| answer(status.ready())))
        .fallback(async || page(StatusCode::NOT_FOUND, "there are /metrics, /healthz and /readyz"))
        .with_state(Arc::new(status))
}

async fn metrics<S: Status>(State(status): State<Arc<S>>) -> Page {
    let text = status.metrics().await.text();
    (StatusCode::OK, [(CONTENT_TYPE, OPEN_METRICS)], text)
}

fn answer(status: Result<(), &'static str>) -> Page {
    match status {
        Ok(()) => page(StatusCode::OK, "ok"),
        Err(reason) => page(StatusCode::SERVICE_UNAVAILABLE, reason),
    }
}

fn page(status: StatusCode, text: &str) -> Page {
    (status, [(CONTENT_TYPE, PLAIN)], format!("{text}\n"))
}

async fn accept(listener: TcpListener, router: Router) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        // An error such as too many open files may pass.
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(PATIENCE / 10).await;
            continue;
        };
        let router = router.clone();
        tokio::spawn(async move {
            answer_one(stream, router).await;
            drop(permit);
        });
    }
}

/// Answers one request, or gives the client up.
async fn answer_one(stream: TcpStream, router: Router) {
    let mut http = http1::Builder::new();
    http.keep_alive(false).max_buf_size(REQUEST_BYTES_MAX).timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let connection = http.serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    // A client that breaks off, or sends no HTTP, is no concern of this process.
    let _ = tokio::time::timeout(PATIENCE, connection).await;
}
