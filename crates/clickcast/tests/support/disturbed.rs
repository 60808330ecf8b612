//! A server that stands between a client and an HTTP service, and disturbs what goes through it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts of what was disturbed, and the address to use in the service's place.
pub struct Disturbed {
    pub endpoint: String,
    faults: Arc<AtomicU64>,
}

/// What becomes of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The service is busy, or broken; it never saw the request.
    Refused(&'static str),
    /// The connection breaks before the service sees the request.
    Dropped,
    /// The service does what was asked for, and nobody hears of it.
    AnswerLost,
    /// The answer breaks off in the middle of its body.
    Truncated,
    Late,
}

impl Disturbed {
    /// Disturbs about one request in eight to this service.
    pub fn new(service: &str, seed: u64) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let service = service.trim_start_matches("http://").to_owned();
        let faults = Arc::<AtomicU64>::default();
        let counted = faults.clone();
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let (service, counted) = (service.clone(), counted.clone());
                std::thread::spawn(move || {
                    let fault = Fault::of(seed, number as u64);
                    counted.fetch_add(u64::from(fault != Fault::None), Ordering::Relaxed);
                    // Whoever breaks off meets what was meant for others.
                    let _ = pass(client, &service, fault);
                });
            }
        });
        Self { endpoint, faults }
    }

    /// Requests disturbed so far.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}

impl Fault {
    fn of(seed: u64, request: u64) -> Self {
        let mut bits = (seed ^ request).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        bits = (bits ^ (bits >> 32)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        match (bits >> 33) % 100 {
            0..3 => Self::Refused("503 Slow Down"),
            3..5 => Self::Refused("500 Internal Server Error"),
            5..7 => Self::Dropped,
            7..8 => Self::AnswerLost,
            8..10 => Self::Truncated,
            10..12 => Self::Late,
            _ => Self::None,
        }
    }
}

/// One request and its answer; connections are for one each.
fn pass(client: TcpStream, service: &str, fault: Fault) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head += &line;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut client = client;
    match fault {
        Fault::Dropped => return client.shutdown(Shutdown::Both),
        Fault::Refused(status) => {
            return write!(client, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        }
        Fault::Late => std::thread::sleep(Duration::from_millis(300)),
        _ => {}
    }
    let mut upstream = TcpStream::connect(service)?;
    upstream.write_all(format!("{head}connection: close\r\n\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer)?;
    match fault {
        Fault::AnswerLost => {}
        Fault::Truncated => {
            let head = answer.windows(4).position(|end| end == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
            client.write_all(&answer[..head + (answer.len() - head) / 2])?;
        }
        _ => client.write_all(&answer)?,
    }
    client.shutdown(Shutdown::Both)
}
