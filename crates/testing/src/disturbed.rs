//! A proxy between a client and an HTTP service that disturbs requests and answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A proxy that disturbs some of the requests to an HTTP service.
pub struct Disturbed {
    /// The address to use instead of the service's own.
    pub endpoint: String,
    faults: Arc<AtomicU64>,
    requests: Arc<Mutex<Vec<String>>>,
}

/// The fate of a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    /// The answer says that the service is busy or broken; the service never sees the request.
    Refused(&'static str),
    /// The connection breaks before the service sees the request.
    Dropped,
    /// The service carries out the request, and its answer is lost.
    AnswerLost,
    /// The answer breaks off in the middle of its body.
    Truncated,
    Late,
    /// The service never sees the request, and no answer comes while the client waits.
    Hung,
}

impl Disturbed {
    /// Disturbs about one request in eight to this service.
    pub fn new(service: &str, seed: u64) -> Self {
        Self::with(service, move |request| Fault::of(seed, request))
    }

    /// Disturbs nothing, and records the requests.
    pub fn by_nothing(service: &str) -> Self {
        Self::with(service, |_| Fault::None)
    }

    fn with(service: &str, fault_of: impl Fn(u64) -> Fault + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let service = service.trim_start_matches("http://").to_owned();
        let (faults, requests) = (Arc::<AtomicU64>::default(), Arc::<Mutex<Vec<String>>>::default());
        let (counted, seen) = (faults.clone(), requests.clone());
        std::thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let (service, counted, seen) = (service.clone(), counted.clone(), seen.clone());
                let fault = fault_of(number as u64);
                std::thread::spawn(move || {
                    counted.fetch_add(u64::from(fault != Fault::None), Ordering::Relaxed);
                    // A client that hangs up early is no error here.
                    let _ = pass(client, &service, fault, &seen);
                });
            }
        });
        Self { endpoint, faults, requests }
    }

    /// Returns the requests so far: a method and a path, or `POST` and the action of a queue.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }

    /// Returns the number of requests disturbed so far.
    pub fn faults(&self) -> u64 {
        self.faults.load(Ordering::Relaxed)
    }
}

impl Fault {
    fn of(seed: u64, request: u64) -> Self {
        match fastrand::Rng::with_seed(seed ^ request).u32(..1000) {
            0..30 => Self::Refused("503 Slow Down"),
            30..50 => Self::Refused("500 Internal Server Error"),
            50..70 => Self::Dropped,
            70..80 => Self::AnswerLost,
            80..100 => Self::Truncated,
            100..120 => Self::Late,
            120..125 => Self::Hung,
            _ => Self::None,
        }
    }
}

/// Passes on one request and its answer, one of each per connection.
fn pass(client: TcpStream, service: &str, fault: Fault, seen: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(client.try_clone()?);
    let (mut head, mut length, mut target) = (String::new(), 0, None);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap_or(0);
        }
        if lower.starts_with("x-amz-target:") {
            target = line.trim().rsplit('.').next().map(str::to_owned);
        }
        if line == "\r\n" {
            break;
        }
        if !lower.starts_with("connection:") {
            head += &line;
        }
    }
    let mut asked = head.split_whitespace();
    let (method, path) = (asked.next().unwrap_or_default(), asked.next().unwrap_or_default());
    seen.lock().unwrap().push(format!("{method} {}", target.unwrap_or_else(|| path.replace("%3D", "="))));
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let mut client = client;
    match fault {
        Fault::Dropped => return client.shutdown(Shutdown::Both),
        Fault::Refused(status) => {
            return write!(client, "HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
        }
        // Waits until the client hangs up.
        Fault::Hung => return reader.read(&mut [0]).map(drop),
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
