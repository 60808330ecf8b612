//! What a worker shows to those who watch it: Prometheus' text format, and two answers for Kubernetes.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use clickcast_job::worker::{Counters, Drain};
use clickcast_storage::queue::{Depth, Queue};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::super::Context;
use crate::failure::Failure;

/// A request's first line and headers; who sends more is no scraper.
const REQUEST_BYTES_MAX: usize = 8 << 10;
/// Who takes longer to ask or to read is cut off.
const PATIENCE: Duration = Duration::from_secs(5);

/// What is shown.
pub(super) struct Watched {
    pub(super) counters: Arc<Counters>,
    pub(super) drain: Arc<Drain>,
    pub(super) queue: Queue,
    pub(super) model: String,
}

/// Answers from now on; the address, with the port that the system chose where 0 was asked for.
pub(super) fn serve(context: &Context, address: SocketAddr, watched: Watched) -> Result<SocketAddr, Failure> {
    let failed = |error: std::io::Error| Failure::input(format!("`{address}` can't be listened at: {error}"));
    let listener = context.runtime.block_on(TcpListener::bind(address)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let watched = Arc::new(watched);
    context.runtime.spawn(async move {
        loop {
            // Out of file handles, say: it may pass.
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(PATIENCE / 10).await;
                continue;
            };
            let watched = watched.clone();
            tokio::spawn(async move { tokio::time::timeout(PATIENCE, answer(stream, &watched)).await });
        }
    });
    Ok(address)
}

async fn answer(mut stream: TcpStream, watched: &Watched) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|end| end == b"\r\n\r\n") && request.len() < REQUEST_BYTES_MAX {
        if stream.read_buf(&mut request).await? == 0 {
            break;
        }
    }
    let line = String::from_utf8_lossy(&request);
    let path = line.strip_prefix("GET ").and_then(|rest| rest.split([' ', '?']).next());
    let (status, body) = match path {
        Some("/metrics") => ("200 OK", metrics(watched, watched.queue.depth().await.ok())),
        Some("/healthz") if !watched.counters.is_live() => {
            ("503 Service Unavailable", "it neither asks for work nor does any\n".to_owned())
        }
        Some("/healthz") => ("200 OK", "ok\n".to_owned()),
        Some("/readyz") if watched.drain.is_asked() => ("503 Service Unavailable", "it is about to end\n".to_owned()),
        Some("/readyz") => ("200 OK", "ok\n".to_owned()),
        Some(_) => ("404 Not Found", "there are /metrics, /healthz and /readyz\n".to_owned()),
        None => ("400 Bad Request", "only GET is answered\n".to_owned()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await
}

/// All numbers, as Prometheus reads them.
fn metrics(watched: &Watched, depth: Option<Depth>) -> String {
    let Counters {
        rows,
        written,
        found_done,
        overwritten,
        ignored,
        handed_on,
        buried,
        left,
        released,
        lost,
        closed,
        extensions,
        heartbeat_s,
        live_s: _,
        speed: _,
    } = &*watched.counters;
    let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    let mut text = String::new();
    let mut say = |name: &str, kind: &str, help: &str, values: &[(&str, f64)]| {
        let _ = writeln!(text, "# HELP clickcast_{name} {help}\n# TYPE clickcast_{name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(text, "clickcast_{name}{labels} {value}");
        }
    };
    say("rows_total", "counter", "Rows scored.", &[("", of(rows) as f64)]);
    let speed = watched.counters.rows_per_second();
    say("rows_per_second", "gauge", "Rows scored a second in the last minute.", &[("", speed)]);
    let outcomes = [
        ("{outcome=\"written\"}", of(written) as f64),
        ("{outcome=\"found_done\"}", of(found_done) as f64),
        ("{outcome=\"overwritten\"}", of(overwritten) as f64),
        ("{outcome=\"ignored\"}", of(ignored) as f64),
        ("{outcome=\"handed_on\"}", of(handed_on) as f64),
        ("{outcome=\"buried\"}", of(buried) as f64),
        ("{outcome=\"left\"}", of(left) as f64),
        ("{outcome=\"released\"}", of(released) as f64),
        ("{outcome=\"lost\"}", of(lost) as f64),
    ];
    say("partitions_total", "counter", "Messages by what came of them.", &outcomes);
    say("runs_closed_total", "counter", "Runs closed.", &[("", of(closed) as f64)]);
    say("lease_extensions_total", "counter", "Times a message was kept from others.", &[("", of(extensions) as f64)]);
    let heartbeat = of(heartbeat_s) as f64;
    say("heartbeat_timestamp_seconds", "gauge", "When rows were last scored; 0 before.", &[("", heartbeat)]);
    if let Some(depth) = depth {
        let states = [
            ("{state=\"visible\"}", depth.visible as f64),
            ("{state=\"in_flight\"}", depth.in_flight as f64),
            ("{state=\"delayed\"}", depth.delayed as f64),
            ("{state=\"dead\"}", depth.dead as f64),
        ];
        say("queue_messages", "gauge", "Messages in the queue.", &states);
        if let Some(age) = depth.oldest_age {
            say("queue_oldest_age_seconds", "gauge", "Age of the oldest message.", &[("", age.as_secs_f64())]);
        }
    }
    let version = format!("{{model=\"{}\",version=\"{}\"}}", watched.model, env!("CARGO_PKG_VERSION"));
    say("worker_info", "gauge", "The model of runs that begin now, and the program's version.", &[(&version, 1.0)]);
    text
}
