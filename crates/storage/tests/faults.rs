//! What a caller sees of a store that fails, and how places are named.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use clickcast_storage::queue::Queue;
use clickcast_storage::{Error, Fault, Kind, Operation, Store, absolute, key_below};
use clickcast_testing::services::{Answers, Moto};
use support::{open, runtime};

/// A store whose `number`th request meets a fault.
fn failing(store: &Store, number: u64, fault: Fault) -> Store {
    store.clone().with_faults(move |_, request| (request == number).then_some(fault))
}

fn transient<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let error = outcome.unwrap_err();
    assert!(error.is_transient() && error.kind() == Kind::Unavailable, "{error:?}");
}

#[test]
fn failed_requests_are_worth_another_try_which_succeeds() {
    runtime().block_on(async {
        let store = Store::in_memory();
        store.put("a", "0123456789".into()).await.unwrap();
        let object = store.head("a").await.unwrap();
        for fault in [Fault::Refused, Fault::Truncated] {
            let failing = failing(&store, 0, fault);
            transient(failing.get("a").await);
            assert_eq!(failing.get("a").await.unwrap(), "0123456789");
        }
        transient(failing(&store, 0, Fault::Truncated).get_range(&object, 2..6).await);
        transient(failing(&store, 0, Fault::Refused).list().await);
        transient(failing(&store, 0, Fault::Refused).head("a").await);
        transient(failing(&store, 0, Fault::Refused).delete("a").await);
        transient(failing(&store, 0, Fault::Refused).put("a", "2".into()).await);
        assert_eq!(store.get("a").await.unwrap(), "0123456789");
    });
}

#[test]
fn a_write_whose_answer_is_lost_was_done_and_says_so_when_repeated() {
    runtime().block_on(async {
        let store = Store::in_memory();
        let failing = failing(&store, 0, Fault::LostAnswer);
        transient(failing.put_new("a", "1".into()).await);
        assert_eq!(failing.put_new("a", "1".into()).await.unwrap_err().kind(), Kind::Conflict);
        assert_eq!(store.get("a").await.unwrap(), "1");
    });
}

#[test]
fn an_upload_that_fails_anywhere_leaves_nothing_under_its_name() {
    runtime().block_on(async {
        let chunk = Bytes::from(vec![1; 9 << 20]);
        for new in [false, true] {
            for failed in [Operation::Put, Operation::Part, Operation::Complete] {
                let store = Store::in_memory();
                let plan = move |operation: Operation, _| (operation == failed).then_some(Fault::Refused);
                let failing = store.clone().with_faults(plan);
                let mut writer = if new { failing.writer_new("a") } else { failing.writer("a") };
                let written = writer.write(chunk.clone()).await;
                transient(match written {
                    Ok(()) => writer.finish().await.map(drop),
                    Err(error) => Err(error),
                });
                assert!(store.head("a").await.unwrap_err().is_not_found(), "{failed:?}");
            }
        }
    });
}

#[test]
fn a_writer_that_failed_once_never_makes_anything_appear() {
    runtime().block_on(async {
        for failed in [Operation::Put, Operation::Part] {
            let store = Store::in_memory();
            // The first such request alone: all others would succeed.
            let met = std::sync::atomic::AtomicBool::new(false);
            let failing = store.clone().with_faults(move |operation, _| {
                let first = operation == failed && !met.swap(true, std::sync::atomic::Ordering::SeqCst);
                first.then_some(Fault::Refused)
            });
            let mut writer = failing.writer("a");
            transient(writer.write(vec![1; 9 << 20].into()).await);
            transient(writer.write("2".into()).await);
            transient(writer.finish().await);
            assert!(store.head("a").await.unwrap_err().is_not_found(), "{failed:?}");
        }
    });
}

/// The variables of an S3 that lets anybody in.
fn variables<'a>(endpoints: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let login = [("AWS_ACCESS_KEY_ID", "a"), ("AWS_SECRET_ACCESS_KEY", "b"), ("AWS_REGION", "us-east-1")];
    [endpoints, &login].concat()
}

#[test]
fn a_store_that_asks_for_fewer_requests_is_asked_again_and_then_said_to_throttle() {
    runtime().block_on(async {
        let throttled = |status, body| async move {
            let server = Answers::with(status, body);
            let variables = variables(&[("AWS_ENDPOINT_URL", &server.endpoint)]);
            let error = Store::open_with("s3://bucket/x", &variables).unwrap().get("a").await.unwrap_err();
            assert_eq!((error.kind(), error.is_transient()), (Kind::Throttled, true), "{error:?}");
            assert!(server.requests() > 1, "{status} was not repeated");
        };
        let slow_down = "<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>";
        tokio::join!(throttled("503 Service Unavailable", slow_down), throttled("429 Too Many Requests", ""));
    });
}

#[test]
fn the_endpoint_for_s3_alone_goes_before_the_one_for_all_services() {
    let (all, own) = (Answers::with("403 Forbidden", ""), Answers::with("404 Not Found", ""));
    let endpoints = [("AWS_ENDPOINT_URL_S3", own.endpoint.as_str()), ("AWS_ENDPOINT_URL", &all.endpoint)];
    // Alone, it still allows plain HTTP.
    for (number, endpoints) in [(1, &endpoints[..]), (2, &endpoints[..1])] {
        let store = Store::open_with("s3://bucket/x", &variables(endpoints)).unwrap();
        assert!(runtime().block_on(store.get("a")).unwrap_err().is_not_found());
        assert_eq!((all.requests(), own.requests()), (0, number));
    }
}

#[test]
fn an_endpoint_that_is_not_there_is_worth_another_try() {
    // Bound and never listened to: nobody answers on this port.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    drop(socket);
    let store = Store::open_with("s3://bucket/x", &variables(&[("AWS_ENDPOINT_URL", &endpoint)])).unwrap();
    transient(runtime().block_on(store.get("a")));
}

#[test]
fn an_answer_that_never_comes_is_not_waited_for_forever() {
    let endpoint = silent();
    runtime().block_on(async {
        let variables = [&variables(&[("AWS_ENDPOINT_URL", &endpoint)])[..], &[("AWS_TIMEOUT", "100ms")]].concat();
        let store = Store::open_with("s3://bucket/x", &variables).unwrap();
        let queue = Queue::open_with("sqs://bookings", &variables, Arc::new(SystemTime::now));
        let (put, queue) = tokio::join!(store.put_new("a", "1".into()), queue);
        transient(put);
        transient(queue);
    });
}

/// A server that takes every request and answers none, as long as the test runs.
fn silent() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        // Held open: whoever asked is not even told that nobody listens.
        let held: Vec<_> = listener.incoming().collect();
        drop(held);
    });
    endpoint
}

#[test]
fn a_dropped_upload_to_s3_leaves_no_parts() {
    let Some(moto) = Moto::start() else { return };
    let runtime = runtime();
    let store = open(&moto, "s3://bucket/x");
    let uploads = || moto.text("bucket?uploads").matches("<Upload>").count();
    let mut writer = store.writer("large");
    runtime.block_on(writer.write(vec![1; 9 << 20].into())).unwrap();
    assert_eq!(uploads(), 1);
    drop(writer);
    // The runtime gives the parts up behind our back: wait for it, not for a time.
    let given_up = (0..200).any(|_| {
        runtime.block_on(store.list()).unwrap();
        uploads() == 0
    });
    assert!(given_up);
}

#[test]
fn uris_that_name_no_place_are_refused_in_a_sentence() {
    use std::error::Error as _;
    for (uri, said) in [
        ("", "a path is missing"),
        ("ftp://host/x", "`ftp://` is not supported"),
        // These name an account and perhaps a container, each in its own place.
        ("azure://container/x", "`azure://` is not supported"),
        ("abfs://container@account.dfs.core.windows.net/x", "`abfs://` is not supported"),
        ("abfss://container@account.dfs.core.windows.net/x", "`abfss://` is not supported"),
        ("s3:///x", "the bucket's name is missing"),
        ("file://host.example/x", "file:///FOLDER/NAME"),
        ("file:///tmp/50%", "%25"),
        ("file:///tmp/%zz", "%25"),
        ("file:///tmp/%f", "%25"),
        ("file:///tmp/caf%E9", "UTF-8"),
        ("file:///tmp/a%00b", "UTF-8"),
        ("file:///tmp/a?b", "%3F"),
        ("file:///tmp/a#b", "%23"),
    ] {
        let error = Store::open(uri).unwrap_err();
        let source = error.source().unwrap().to_string();
        assert!(error.kind() == Kind::Invalid && source.contains(said), "{uri}: {error}: {source}");
    }
    for uri in ["s3://bucket", "x/", "..", "s3://bucket/"] {
        let error = Store::open_parent(uri).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{uri}");
    }
}

#[test]
fn file_uris_are_the_paths_they_stand_for() {
    for (uri, path) in [
        ("file:///tmp/a%20b", "/tmp/a b"),
        ("file:///tmp/50%25", "/tmp/50%"),
        ("file:///gr%C3%B6%C3%9Fe/x%3Fy%23z", "/größe/x?y#z"),
        ("file:///größe/x", "/größe/x"),
        ("file://localhost/tmp/x", "/tmp/x"),
        ("/tmp/a%20b", "/tmp/a%20b"),
    ] {
        assert_eq!(Store::open(uri).unwrap().uri("c"), format!("{path}/c"), "{uri}");
        let (folder, name) = Store::open_parent(uri).unwrap();
        assert_eq!(folder.uri(&name), path, "{uri}");
    }
    assert_eq!(Store::open_parent("file:///").unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn a_place_is_told_so_that_it_is_found_from_anywhere() {
    let here = std::env::current_dir().unwrap().display().to_string();
    for (typed, expected) in [
        (".", here.clone()),
        ("in/", format!("{here}/in")),
        ("./in/../out/dt=1", format!("{here}/out/dt=1")),
        ("/in/day.csv", "/in/day.csv".to_owned()),
        ("file:///in/a%20b", "/in/a b".to_owned()),
        ("s3a://bucket/in/", "s3://bucket/in".to_owned()),
        ("gs://bucket", "gs://bucket/".to_owned()),
    ] {
        assert_eq!(absolute(typed).unwrap(), expected, "{typed}");
    }
    assert_eq!(absolute("ftp://host/in").unwrap_err().kind(), Kind::Invalid);
}

#[test]
fn one_place_has_many_names() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().display();
    std::fs::create_dir(folder.path().join("in")).unwrap();
    std::fs::create_dir_all(folder.path().join("deep/er")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("in"), folder.path().join("link")).unwrap();
    std::os::unix::fs::symlink(folder.path().join("deep/er"), folder.path().join("far")).unwrap();
    for (folder, place, key) in [
        (format!("{root}/in"), format!("{root}/in/"), Some("")),
        (format!("{root}/in"), format!("file://{root}/x/../in"), Some("")),
        (format!("{root}/in"), format!("{root}/link"), Some("")),
        (format!("{root}/in"), format!("{root}/out"), None),
        (format!("{root}/in/new/x"), format!("{root}/link/new/x"), Some("")),
        (format!("{root}/in/new/x"), format!("{root}/link/new/y"), None),
        (format!("{root}/deep/new"), format!("{root}/far/../new"), Some("")),
        (format!("{root}/new"), format!("{root}/far/../new"), None),
        (format!("{root}/in"), format!("file://{root}/%6Cink"), Some("")),
        ("s3://b/x/".to_owned(), "s3a://b/x".to_owned(), Some("")),
        ("s3://b/x".to_owned(), "s3://c/x".to_owned(), None),
        ("x".to_owned(), "./x".to_owned(), Some("")),
        (format!("{root}/in"), format!("{root}/link/a/b/"), Some("a/b")),
        (format!("{root}/in/a"), format!("{root}/link"), None),
        (".".to_owned(), "out/_x".to_owned(), Some("out/_x")),
        ("s3://b".to_owned(), "s3://b/x/y/".to_owned(), Some("x/y")),
        ("s3://b/x".to_owned(), "s3a://b/x/y".to_owned(), Some("y")),
        ("s3://b/x".to_owned(), "s3://b/xy".to_owned(), None),
        ("s3://b/x".to_owned(), "gs://b/x".to_owned(), None),
        ("s3://b/x".to_owned(), "x".to_owned(), None),
    ] {
        assert_eq!(key_below(&folder, &place).unwrap().as_deref(), key, "{folder} {place}");
    }
}
