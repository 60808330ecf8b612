//! What every queue does, asked of each kind there is.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use clickcast_storage::Kind;
use clickcast_storage::queue::{Fault, Message, Operation, Queue, RECEIVES_MAX, VISIBILITY};
use clickcast_testing::services::Moto;

const NOW: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);

/// A queue in a new file, and its clock.
struct World {
    queue: Queue,
    seconds: Arc<AtomicU64>,
    uri: String,
    folder: tempfile::TempDir,
}

impl World {
    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("sqlite://{}", folder.path().join("queue.db").display());
        let seconds = Arc::new(AtomicU64::new(1_700_000_000));
        let queue = Self::open(&uri, &seconds).await;
        Self { queue, seconds, uri, folder }
    }

    async fn open(uri: &str, seconds: &Arc<AtomicU64>) -> Queue {
        let seconds = seconds.clone();
        let clock = Arc::new(move || SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.load(Ordering::SeqCst)));
        Queue::open_with(uri, &[], clock).await.unwrap()
    }

    fn pass(&self, time: Duration) {
        self.seconds.fetch_add(time.as_secs(), Ordering::SeqCst);
    }

    async fn send(&self, bodies: &[&str]) {
        self.queue.send(&bodies.iter().map(|body| (*body).to_owned()).collect::<Vec<_>>()).await.unwrap();
    }

    async fn receive(&self, count_max: usize) -> Vec<Message> {
        self.queue.receive(count_max, NOW).await.unwrap()
    }
}

fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|message| message.body.as_str()).collect()
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(work)
}

#[test]
fn a_file_conforms() {
    run(async {
        let world = World::sqlite().await;
        conforms(&world.queue).await;
        a_short_visibility_brings_messages_back_soon(&Queue::open(&world.uri).await.unwrap()).await;
    });
}

#[test]
fn sqs_conforms() {
    let Some(moto) = Moto::start() else { return };
    moto.make_queue("bookings", "77");
    run(async {
        let open = async |uri: &str| Queue::open_with(uri, &moto.variables(), Arc::new(SystemTime::now)).await;
        let queue = open("sqs://bookings").await.unwrap();
        assert_eq!(queue.visibility(), Duration::from_secs(77));
        conforms(&queue).await;
        a_short_visibility_brings_messages_back_soon(&queue).await;
        let absent = open("sqs://absent").await.unwrap_err();
        assert_eq!(absent.kind(), Kind::NotFound, "{absent:?}");
        // A queue's URL says as much as its name.
        let url = format!("{}/123456789012/bookings", moto.endpoint());
        open(&url).await.unwrap().send(&["by its URL".to_owned()]).await.unwrap();
        assert_eq!(bodies(&queue.receive(1, SECOND).await.unwrap()), ["by its URL"]);
    });
}

#[test]
fn where_there_is_no_place_for_dead_letters_it_is_told_and_nothing_is_buried() {
    let Some(moto) = Moto::start() else { return };
    moto.make_queue("bookings", "77");
    run(async {
        let open = async |uri: &str| Queue::open_with(uri, &moto.variables(), Arc::new(SystemTime::now)).await.unwrap();
        assert!(open("sqs://bookings").await.has_dead_letters());
        // What is dead has no dead letters of its own.
        let queue = open("sqs://bookings-dead").await;
        assert!(!queue.has_dead_letters());
        queue.send(&["poison".to_owned()]).await.unwrap();
        let poison = queue.receive(1, SECOND).await.unwrap().remove(0);
        assert_eq!(queue.bury(&poison, "no column `age`").await.unwrap_err().kind(), Kind::Invalid);
        assert_eq!(queue.acknowledge(&[poison.receipt]).await.unwrap(), [true], "it is still held");
    });
}

#[test]
fn no_secret_is_in_what_is_said_of_a_failure() {
    run(async {
        // Nobody listens on port 9, so that the client's whole chain of errors is told.
        let variables = [
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9"),
            ("AWS_ACCESS_KEY_ID", "AKIATESTKEY"),
            ("AWS_SECRET_ACCESS_KEY", "very-secret"),
            ("AWS_REGION", "us-east-1"),
        ];
        let error = Queue::open_with("sqs://q", &variables, Arc::new(SystemTime::now)).await.unwrap_err();
        assert!(error.is_transient(), "{error:?}");
        let said = format!("{error:?} {error} {:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(!said.contains("very-secret") && !said.contains("AKIATESTKEY"), "{said}");
    });
}

/// A time that is given takes the place of the queue's own.
async fn a_short_visibility_brings_messages_back_soon(queue: &Queue) {
    queue.send(&["soon again".to_owned()]).await.unwrap();
    let short = queue.clone().with_visibility(SECOND);
    assert_eq!(short.visibility(), SECOND);
    assert_eq!(short.receive(1, SECOND).await.unwrap().len(), 1);
    let again = queue.receive(1, 20 * SECOND).await.unwrap().remove(0);
    assert_eq!((again.body.as_str(), again.receive_count), ("soon again", 2));
    assert_eq!(queue.acknowledge(&[again.receipt]).await.unwrap(), [true]);
}

/// What needs no clock, and holds of every queue, of which some keep no order.
async fn conforms(queue: &Queue) {
    let receive = async |count_max: usize| {
        let mut messages = queue.receive(count_max, SECOND).await.unwrap();
        messages.sort_by(|one, other| one.body.cmp(&other.body));
        messages
    };
    assert!(queue.receive(10, NOW).await.unwrap().is_empty());
    let sent: Vec<String> = (0..25).map(|number| format!("message {number} \u{fc}+%\n\"quoted\"")).collect();
    queue.send(&sent).await.unwrap();
    assert_eq!(queue.depth().await.unwrap().visible, 25);
    let mut received = BTreeSet::new();
    let (mut last, mut done) = (None, Vec::new());
    while received.len() < 25 {
        for message in receive(10).await {
            assert_eq!(message.receive_count, 1);
            assert!(message.sent_at.is_some());
            assert!(received.insert(message.body.clone()), "twice: {}", message.body);
            match last {
                None => last = Some(message),
                Some(_) => done.push(message.receipt),
            }
        }
    }
    assert_eq!(received, sent.into_iter().collect());
    assert_eq!(queue.acknowledge(&done).await.unwrap(), [true; 24]);
    let depth = queue.depth().await.unwrap();
    assert_eq!((depth.visible, depth.in_flight, depth.dead), (0, 1, 0));

    let held = last.unwrap();
    queue.extend(&held.receipt, Duration::from_secs(90)).await.unwrap();
    // Those that are gone keep nobody from the others.
    let several: Vec<_> = done[..12].iter().chain([&held.receipt]).cloned().collect();
    let were_held = queue.extend_all(&several, Duration::from_secs(90)).await.unwrap();
    assert_eq!(were_held, (0..13).map(|number| number == 12).collect::<Vec<_>>());
    assert!(queue.receive(10, NOW).await.unwrap().is_empty());
    queue.release(&held.receipt).await.unwrap();
    let again = receive(10).await.remove(0);
    assert_eq!((&again.body, again.receive_count), (&held.body, 2));

    queue.bury(&again, "no column `age`").await.unwrap();
    assert!(queue.receive(10, NOW).await.unwrap().is_empty());
    let dead = queue.dead(10).await.unwrap();
    assert_eq!((dead.len(), &dead[0].body, dead[0].reason.as_deref()), (1, &held.body, Some("no column `age`")));
}

#[test]
fn dead_letters_of_sqs_are_sent_again() {
    let Some(moto) = Moto::start() else { return };
    moto.make_queue("q", "30");
    run(async {
        let queue = Queue::open_with("sqs://q", &moto.variables(), Arc::new(SystemTime::now)).await.unwrap();
        let sent: Vec<String> = (0..12).map(|number| number.to_string()).collect();
        queue.send(&sent).await.unwrap();
        for _ in 0..2 {
            for message in queue.receive(10, SECOND).await.unwrap() {
                queue.bury(&message, "poison").await.unwrap();
            }
        }
        assert_eq!(queue.depth().await.unwrap().dead, 12);
        assert_eq!(queue.redrive().await.unwrap(), 12);
        let depth = queue.depth().await.unwrap();
        assert_eq!((depth.visible, depth.dead), (12, 0));
    });
}

#[test]
fn a_message_is_somebodys_until_it_is_acknowledged_or_comes_back() {
    run(async {
        let world = World::sqlite().await;
        assert!(world.receive(10).await.is_empty());
        world.send(&["a", "b", "c"]).await;
        let first = world.receive(2).await;
        assert_eq!(bodies(&first), ["a", "b"]);
        assert_eq!(first[0].receive_count, 1);
        let depth = world.queue.depth().await.unwrap();
        assert_eq!((depth.visible, depth.in_flight, depth.dead), (1, 2, 0));
        world.queue.acknowledge(&[first[0].receipt.clone()]).await.unwrap();
        assert_eq!(bodies(&world.receive(10).await), ["c"]);
        world.pass(VISIBILITY + SECOND);
        let again = world.receive(10).await;
        assert_eq!(bodies(&again), ["b", "c"]);
        assert_eq!(again[0].receive_count, 2);
        assert_eq!(world.queue.depth().await.unwrap().oldest_age, Some(VISIBILITY + SECOND));
    });
}

#[test]
fn who_has_lost_a_message_can_do_nothing_with_it() {
    run(async {
        let world = World::sqlite().await;
        world.send(&["a"]).await;
        let lost = world.receive(1).await.remove(0);
        world.pass(VISIBILITY + SECOND);
        let held = world.receive(1).await.remove(0);
        for outcome in [
            world.queue.extend(&lost.receipt, VISIBILITY).await,
            world.queue.release(&lost.receipt).await,
            world.queue.bury(&lost, "poison").await,
        ] {
            assert_eq!(outcome.unwrap_err().kind(), Kind::Conflict);
        }
        assert_eq!(world.queue.acknowledge(&[lost.receipt, held.receipt.clone()]).await.unwrap(), [false, true]);
        assert_eq!(world.queue.acknowledge(&[held.receipt]).await.unwrap(), [false]);
    });
}

#[test]
fn a_lease_is_extended_and_given_back_at_once() {
    run(async {
        let world = World::sqlite().await;
        world.send(&["a"]).await;
        let held = world.receive(1).await.remove(0);
        world.pass(VISIBILITY - SECOND);
        world.queue.extend(&held.receipt, VISIBILITY).await.unwrap();
        world.pass(VISIBILITY - SECOND);
        assert!(world.receive(1).await.is_empty());
        world.queue.release(&held.receipt).await.unwrap();
        assert_eq!(bodies(&world.receive(1).await), ["a"]);
    });
}

#[test]
fn what_is_received_too_often_or_buried_is_dead_until_it_is_sent_again() {
    run(async {
        let world = World::sqlite().await;
        world.send(&["poison", "never done"]).await;
        let poison = world.receive(1).await.remove(0);
        world.queue.bury(&poison, "no column `age`").await.unwrap();
        for count in 1..=RECEIVES_MAX {
            assert_eq!(world.receive(1).await[0].receive_count, count);
            world.pass(VISIBILITY + SECOND);
        }
        assert!(world.receive(10).await.is_empty());
        let dead = world.queue.dead(10).await.unwrap();
        let reasons: Vec<_> = dead.iter().map(|dead| (dead.body.as_str(), dead.reason.clone().unwrap())).collect();
        assert_eq!(reasons[0], ("poison", "no column `age`".to_owned()));
        assert_eq!(reasons[1], ("never done", format!("received {RECEIVES_MAX} times and never done")));
        assert_eq!(world.queue.dead(1).await.unwrap().len(), 1);
        assert_eq!(world.queue.redrive().await.unwrap(), 2);
        assert_eq!(bodies(&world.receive(10).await), ["poison", "never done"]);
        assert_eq!(world.queue.depth().await.unwrap().dead, 0);
    });
}

#[test]
fn many_receivers_of_one_queue_never_hold_the_same_message() {
    run(async {
        let world = World::sqlite().await;
        let sent: Vec<String> = (0..200).map(|number| number.to_string()).collect();
        world.queue.send(&sent).await.unwrap();
        let received = Arc::new(Mutex::new(Vec::new()));
        let receivers: Vec<_> = (0..4)
            .map(|_| {
                let (uri, seconds, received) = (world.uri.clone(), world.seconds.clone(), received.clone());
                tokio::spawn(async move {
                    // A connection of its own, as another process has.
                    let queue = World::open(&uri, &seconds).await;
                    loop {
                        let messages = queue.receive(7, NOW).await.unwrap();
                        if messages.is_empty() {
                            return;
                        }
                        let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
                        queue.acknowledge(&receipts).await.unwrap();
                        received.lock().unwrap().extend(messages.into_iter().map(|message| message.body));
                    }
                })
            })
            .collect();
        for receiver in receivers {
            receiver.await.unwrap();
        }
        let mut received = received.lock().unwrap().clone();
        received.sort_by_key(|body| body.parse::<u32>().unwrap());
        assert_eq!(received, sent);
    });
}

#[test]
fn what_was_sent_outlives_the_process_and_a_waiting_receiver_finds_it() {
    run(async {
        let World { queue, seconds, uri, folder } = World::sqlite().await;
        let waiting = {
            let queue = queue.clone();
            tokio::spawn(async move { queue.receive(1, Duration::from_secs(60)).await })
        };
        let other = World::open(&uri, &seconds).await;
        other.send(&["a".to_owned(), "b".to_owned()]).await.unwrap();
        assert_eq!(bodies(&waiting.await.unwrap().unwrap()), ["a"]);
        drop((queue, other));
        let later = World::open(&uri, &seconds).await;
        assert_eq!(bodies(&later.receive(10, NOW).await.unwrap()), ["b"]);
        drop(folder);
    });
}

#[test]
fn many_may_open_a_new_file_at_once() {
    run(async {
        for _ in 0..20 {
            let folder = tempfile::tempdir().unwrap();
            let uri = format!("sqlite://{}", folder.path().join("new/queue.db").display());
            let openers: Vec<_> = (0..16)
                .map(|number| {
                    let uri = uri.clone();
                    tokio::spawn(async move { Queue::open(&uri).await?.send(&[format!("{number}")]).await })
                })
                .collect();
            for opener in openers {
                opener.await.unwrap().unwrap();
            }
            assert_eq!(Queue::open(&uri).await.unwrap().depth().await.unwrap().visible, 16);
        }
    });
}

#[test]
fn a_lost_answer_and_a_doubled_message_are_what_a_worker_must_expect() {
    run(async {
        let world = World::sqlite().await;
        world.send(&["a", "b"]).await;
        let troubled = world.queue.clone().with_faults(|step, number| match (step, number) {
            (Operation::Receive, 0) => Some(Fault::Refused),
            (Operation::Receive, _) => Some(Fault::Doubled),
            (Operation::Acknowledge, _) => Some(Fault::LostAnswer),
            _ => None,
        });
        assert!(troubled.receive(10, NOW).await.unwrap_err().is_transient());
        let messages = troubled.receive(10, NOW).await.unwrap();
        assert_eq!(bodies(&messages), ["b", "b", "a", "a"]);
        let receipts: Vec<_> = messages.iter().map(|message| message.receipt.clone()).collect();
        assert!(troubled.acknowledge(&receipts[..2]).await.unwrap_err().is_transient());
        // What was done is done once: "b" is gone, and "a" goes by its first receipt.
        assert_eq!(world.queue.acknowledge(&receipts).await.unwrap(), [false, false, true, false]);
    });
}

#[test]
fn what_is_no_queue_is_refused() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "not a database, but long enough to be taken for one".repeat(100)).unwrap();
    for uri in ["/some/path", "redis://x", &format!("sqlite://{}", file.path().display())] {
        let error = run(Queue::open(uri)).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{uri}: {error:?}");
    }
}
