//! Services to test with: S3, SNS and SQS as moto imitates them, a server of fixed answers, and a full disk.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::skip;

/// A moto server (S3, SNS and SQS) of this test's own, stopped when dropped. It has a bucket named `bucket`.
pub struct Moto {
    endpoint: String,
    port: String,
}

impl Moto {
    /// Starts it on a free port. If moto can't be installed, records the test as skipped and returns `None`.
    pub fn start() -> Option<Self> {
        let script = skip::workspace_root().join("scripts/services/moto.sh");
        let output = Command::new(script).args(["start", "0"]).stderr(Stdio::inherit()).output();
        let printed = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let Some(endpoint) = printed.lines().find_map(|line| line.strip_prefix("ENDPOINT=")) else {
            skip::because("moto can't be started");
            return None;
        };
        let port = endpoint.rsplit_once(':').unwrap().1.to_owned();
        let moto = Self { endpoint: endpoint.to_owned(), port };
        // moto makes a bucket for any PUT request, signed or not.
        let made = Command::new("curl").args(["-sf", "-X", "PUT", &format!("{endpoint}/bucket")]).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        Some(moto)
    }

    /// Returns the standard environment variables that a client needs to reach it.
    pub fn variables(&self) -> [(&str, &str); 4] {
        [
            ("AWS_ENDPOINT_URL", self.endpoint.as_str()),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ]
    }

    /// Returns its address.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Makes a queue, and a queue for its dead letters.
    pub fn make_queue(&self, name: &str, visibility_s: &str) {
        let dead = format!("{name}-dead");
        let arn = format!("arn:aws:sqs:us-east-1:123456789012:{dead}");
        let policy = format!(r#"{{"deadLetterTargetArn":"{arn}","maxReceiveCount":"9"}}"#);
        self.create_queue(&dead, &[]);
        self.create_queue(name, &[("RedrivePolicy", &policy), ("VisibilityTimeout", visibility_s)]);
    }

    fn create_queue(&self, name: &str, attributes: &[(&str, &str)]) {
        let mut command = Command::new("curl");
        command.args(["-sf", &self.endpoint, "--data-urlencode", "Action=CreateQueue"]);
        command.args(["--data-urlencode", &format!("QueueName={name}")]);
        command.args(["-H", "Authorization: AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request"]);
        for (number, (attribute, value)) in attributes.iter().enumerate() {
            for pair in [format!("Name={attribute}"), format!("Value={value}")] {
                command.args(["--data-urlencode", &format!("Attribute.{}.{pair}", number + 1)]);
            }
        }
        let made = command.output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }

    /// Returns its answer to a plain GET request.
    pub fn text(&self, path: &str) -> String {
        let answer = Command::new("curl").args(["-sf", &format!("{}/{path}", self.endpoint)]).output().unwrap();
        String::from_utf8_lossy(&answer.stdout).into_owned()
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let script = skip::workspace_root().join("scripts/services/moto.sh");
        let _ = Command::new(script).args(["stop", &self.port]).stderr(Stdio::null()).status();
    }
}

/// A server that gives every request the same answer until the test ends.
pub struct Answers {
    /// Its address.
    pub endpoint: String,
    requests: Arc<AtomicUsize>,
}

impl Answers {
    /// Starts it with the answer to give.
    pub fn with(status: &str, body: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let length = body.len();
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}");
        let requests = Arc::new(AtomicUsize::new(0));
        let count = requests.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                // If a request is not read to its end, the client sees a reset connection.
                let head = BufReader::new(&stream).lines().map_while(Result::ok);
                head.take_while(|line| !line.is_empty()).for_each(drop);
                let _ = stream.write_all(answer.as_bytes());
            }
        });
        Self { endpoint, requests }
    }

    /// Returns the number of requests so far.
    pub fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

/// A file system of a few kilobytes, unmounted when dropped.
pub struct SmallDisk {
    folder: PathBuf,
}

impl SmallDisk {
    /// Mounts it on a folder. If that is not allowed here, records the test as skipped and returns `None`.
    pub fn mount(folder: &Path, kilobytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let size = format!("size={kilobytes}k");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder).output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            skip::because("a small file system can't be mounted here");
            return None;
        }
        Some(Self { folder: folder.to_owned() })
    }

    /// Returns the names of all files in it, hidden ones too.
    pub fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.folder).stderr(Stdio::null()).status();
    }
}
