//! Clients that do not behave: each is refused or cut off, and a scraper beside them is answered.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::time::Duration;

use clickcast_telemetry::{Metrics, Status, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

struct Healthy;

impl Status for Healthy {
    async fn metrics(&self) -> Metrics {
        let mut metrics = Metrics::new();
        metrics.counter("rows", "Rows scored", 7);
        metrics
    }

    fn live(&self) -> Result<(), &'static str> {
        Ok(())
    }

    fn ready(&self) -> Result<(), &'static str> {
        Err("it is about to end")
    }
}

async fn start() -> SocketAddr {
    serve("127.0.0.1:0".parse().unwrap(), Healthy).await.unwrap()
}

/// Sends bytes, and reads until the server closes; what was read before an error counts.
async fn ask(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_scraper_gets_metrics_and_kubernetes_two_answers() {
    let address = start().await;
    for (path, parts) in [
        ("/metrics", ["HTTP/1.1 200", "clickcast_rows_total 7"]),
        ("/healthz", ["HTTP/1.1 200", "ok"]),
        ("/readyz", ["HTTP/1.1 503", "about to end"]),
        ("/else", ["HTTP/1.1 404", "/metrics"]),
    ] {
        let answer = ask(address, format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await;
        assert!(parts.iter().all(|part| answer.contains(part)), "{path}: {answer}");
    }
}

#[tokio::test]
async fn what_is_no_request_for_a_page_is_refused() {
    let address = start().await;
    for (request, status) in [
        ("GET /../../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), "HTTP/1.1 404"),
        ("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi".to_owned(), "HTTP/1.1 405"),
        ("hello\r\n\r\n".to_owned(), "HTTP/1.1 400"),
    ] {
        let answer = ask(address, request.as_bytes()).await;
        assert!(answer.starts_with(status), "{request}: {answer}");
    }
    // The connection may be reset before the answer is read.
    let headers = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(10 << 20));
    let answer = ask(address, headers.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
}

#[tokio::test]
async fn slow_clients_are_cut_off_and_a_scraper_is_answered() {
    let address = start().await;
    let mut slow = Vec::new();
    for _ in 0..600 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metr").await.unwrap();
        slow.push(stream);
    }
    let asked = ask(address, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}
