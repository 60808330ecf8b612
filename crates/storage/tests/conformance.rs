//! What every store keeps, checked on each of them: in memory, a local folder, S3.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::error::Error as _;

use bytes::Bytes;
use clickcast_storage::{Kind, Object, Store};
use clickcast_testing::services::Moto;
use support::{open, runtime};

/// More than two parts of an upload.
const LARGE_BYTES: usize = 20 << 20;

#[test]
fn a_store_in_memory_conforms() {
    runtime().block_on(conforms(Store::in_memory()));
}

#[test]
fn a_local_folder_conforms() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(conforms(Store::open(&format!("{}/deep/er", folder.path().display())).unwrap()));
}

#[test]
fn s3_conforms() {
    let Some(moto) = Moto::start() else { return };
    runtime().block_on(conforms(open(&moto, "s3://bucket/some/prefix")));
    let error = runtime().block_on(open(&moto, "s3://absent/x").put("a", "1".into())).unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (Kind::NotFound, false), "{error:?}");
}

async fn conforms(store: Store) {
    absent_objects_are_not_found(&store).await;
    whole_objects_come_back(&store).await;
    small_objects_come_with_the_look_at_them(&store).await;
    parts_are_those_of_one_version(&store).await;
    ranges_end_where_the_object_does(&store).await;
    names_stay_below_the_prefix(&store).await;
    names_are_kept(&store).await;
    listings_are_in_order_and_hide_what_is_hidden(&store).await;
    of_many_at_once_one_puts(&store).await;
    of_many_at_once_one_updates(&store).await;
    streams_appear_when_whole(&store).await;
}

async fn small_objects_come_with_the_look_at_them(store: &Store) {
    for (bytes, bytes_max, comes) in [("", 4, true), ("abc", 4, true), ("abcd", 4, true), ("abcde", 4, false)] {
        store.put("looked/into", bytes.into()).await.unwrap();
        let (object, whole) = store.look_into("looked/into", bytes_max).await.unwrap();
        assert_eq!(object, store.head("looked/into").await.unwrap());
        assert_eq!(whole, comes.then(|| Bytes::from(bytes)), "{bytes}");
    }
    store.delete("looked/into").await.unwrap();
    assert!(store.look_into("looked/into", 4).await.unwrap_err().is_not_found());
}

async fn keys(store: &Store) -> Vec<String> {
    store.list().await.unwrap().into_iter().map(|object| object.key).collect()
}

async fn absent_objects_are_not_found(store: &Store) {
    assert_eq!(keys(store).await, [""; 0]);
    for error in [store.get("a/b").await.unwrap_err(), store.head("a/b").await.unwrap_err()] {
        assert!(error.is_not_found() && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("a/b"), "{error}");
    }
    store.delete("a/b").await.unwrap();
    assert_eq!(store.update("a/b", "1".into(), "\"0\"").await.unwrap_err().kind(), Kind::Conflict);
}

async fn whole_objects_come_back(store: &Store) {
    for bytes in [Bytes::new(), Bytes::from_static(b"one"), vec![7; LARGE_BYTES].into()] {
        store.put("whole/x", bytes.clone()).await.unwrap();
        assert_eq!(store.get("whole/x").await.unwrap(), bytes);
        assert_eq!(store.head("whole/x").await.unwrap().size, bytes.len() as u64);
    }
    store.delete("whole/x").await.unwrap();
    assert!(store.get("whole/x").await.unwrap_err().is_not_found());
}

async fn parts_are_those_of_one_version(store: &Store) {
    store.put("part", "0123456789".into()).await.unwrap();
    let object = store.head("part").await.unwrap();
    assert_eq!(store.get_range(&object, 2..5).await.unwrap(), "234");
    assert_eq!(store.get_range(&object, 0..10).await.unwrap(), "0123456789");
    store.put("part", "abcdefghijk".into()).await.unwrap();
    let error = store.get_range(&object, 2..5).await.unwrap_err();
    assert_eq!((error.kind(), error.is_transient()), (Kind::Conflict, false), "{error:?}");
    assert_eq!(error.source().unwrap().to_string(), "it was changed in the meantime");
    if store.local_path("part").is_some() {
        assert_eq!(store.open_local(&object).await.unwrap_err().kind(), Kind::Conflict);
        assert!(store.open_local(&store.head("part").await.unwrap()).await.unwrap().is_some());
    } else {
        assert!(store.open_local(&object).await.unwrap().is_none());
    }
    store.delete("part").await.unwrap();
}

async fn ranges_end_where_the_object_does(store: &Store) {
    store.put("range", "0123456789".into()).await.unwrap();
    let object = store.head("range").await.unwrap();
    for (range, expected) in [
        (8..10, "89"),
        (8..11, "89"),
        (0..u64::MAX, "0123456789"),
        (9..1 << 40, "9"),
        (10..11, ""),
        (50..60, ""),
        (3..3, ""),
        (0..0, ""),
    ] {
        assert_eq!(store.get_range(&object, range.clone()).await.unwrap(), expected, "{range:?}");
    }
    store.put("range", Bytes::new()).await.unwrap();
    let empty = store.head("range").await.unwrap();
    assert_eq!(store.get_range(&empty, 0..1).await.unwrap(), "");
    store.delete("range").await.unwrap();
}

async fn names_stay_below_the_prefix(store: &Store) {
    for key in ["", ".", "..", "../x", "a/../x", "a/..", "a//b", "/a", "a/", "a/./b"] {
        let object = Object { key: key.to_owned(), etag: String::new(), size: 1 };
        let mut writer = store.writer(key);
        for outcome in [
            store.head(key).await.map(drop),
            store.get(key).await.map(drop),
            store.get_range(&object, 0..1).await.map(drop),
            store.get_range(&object, 1..1).await.map(drop),
            store.open_local(&object).await.map(drop),
            store.put(key, "1".into()).await,
            store.put_new(key, "1".into()).await,
            store.update(key, "1".into(), "\"0\"").await,
            store.delete(key).await,
            writer.write("1".into()).await,
            writer.finish().await.map(drop),
            store.writer_new(key).finish().await.map(drop),
        ] {
            assert_eq!(outcome.map_err(|error| error.kind()), Err(Kind::Invalid), "`{key}`");
        }
        assert_eq!(store.local_path(key), None, "`{key}`");
    }
    assert!(keys(store).await.is_empty());
}

async fn names_are_kept(store: &Store) {
    let names = [
        "a b.csv",
        "dt=2020-01-29/x.csv",
        "h=01%3A00/x",
        "größe/日本.csv",
        "a+b&c@d,e;f.csv",
        "q?r#s.csv",
        "x'(1)!.csv",
    ];
    for name in names {
        store.put(&format!("names/{name}"), Bytes::from(name)).await.unwrap();
    }
    let mut listed = Vec::new();
    for object in store.list().await.unwrap() {
        let name = object.key.strip_prefix("names/").unwrap().to_owned();
        assert_eq!(store.get(&object.key).await.unwrap(), name.as_bytes());
        assert_eq!(store.head(&object.key).await.unwrap(), object);
        store.delete(&object.key).await.unwrap();
        listed.push(name);
    }
    let mut names = names.to_vec();
    names.sort_unstable();
    assert_eq!(listed, names);
}

async fn listings_are_in_order_and_hide_what_is_hidden(store: &Store) {
    let hidden = ["_SUCCESS", ".x.crc", "_temporary/0/part-0", "b/.hidden/c"];
    let shown = ["a", "b/2", "b/c/1", "b1", "c"];
    for key in hidden.iter().chain(shown.iter().rev()) {
        store.put(key, Bytes::from_static(b"1")).await.unwrap();
    }
    assert_eq!(keys(store).await, shown);
    for key in hidden.iter().chain(&shown) {
        store.delete(key).await.unwrap();
    }
}

async fn of_many_at_once_one_puts(store: &Store) {
    for round in 0..5 {
        let key = format!("race/{round}");
        let puts = (0..8).map(|number: u32| {
            let (store, key) = (store.clone(), key.clone());
            tokio::spawn(async move { (number, store.put_new(&key, number.to_string().into()).await) })
        });
        let mut winners = Vec::new();
        for (number, outcome) in futures::future::join_all(puts).await.into_iter().map(Result::unwrap) {
            match outcome {
                Ok(()) => winners.push(number.to_string()),
                Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1);
        assert_eq!(store.get(&key).await.unwrap(), winners[0].as_bytes());
        store.delete(&key).await.unwrap();
    }
}

async fn of_many_at_once_one_updates(store: &Store) {
    const WRITERS: u32 = 8;
    const ADDED: u32 = 10;
    // Every sum has as many digits, so that no ETag differs by size.
    store.put("sum", "1000".into()).await.unwrap();
    let add = |store: Store| async move {
        let mut added = 0;
        while added < ADDED {
            let object = store.head("sum").await.unwrap();
            // Read by its version, or the sum would not be the one that the ETag stands for.
            let Ok(bytes) = store.get_range(&object, 0..object.size).await else { continue };
            let sum: u32 = std::str::from_utf8(&bytes).unwrap().parse().unwrap();
            match store.update("sum", (sum + 1).to_string().into(), &object.etag).await {
                Ok(()) => added += 1,
                Err(error) => assert_eq!(error.kind(), Kind::Conflict, "{error:?}"),
            }
        }
    };
    let writers = (0..WRITERS).map(|_| tokio::spawn(add(store.clone())));
    for writer in futures::future::join_all(writers).await {
        writer.unwrap();
    }
    assert_eq!(store.get("sum").await.unwrap(), (1000 + WRITERS * ADDED).to_string());
    store.delete("sum").await.unwrap();
}

async fn streams_appear_when_whole(store: &Store) {
    for length in [0, 10, LARGE_BYTES] {
        let bytes: Bytes = (0..length).map(|index| (index % 251) as u8).collect::<Vec<_>>().into();
        let chunks: Vec<Bytes> = bytes.chunks(3 << 20).map(Bytes::copy_from_slice).collect();
        let key = "stream/x";
        let mut dropped = store.writer(key);
        let mut first = store.writer_new(key);
        let mut second = store.writer_new(key);
        let mut last = store.writer(key);
        for chunk in &chunks {
            for writer in [&mut dropped, &mut first, &mut second, &mut last] {
                writer.write(chunk.clone()).await.unwrap();
            }
            assert!(keys(store).await.is_empty());
        }
        drop(dropped);
        assert!(store.head(key).await.unwrap_err().is_not_found());
        assert_eq!(first.finish().await.unwrap(), length as u64);
        assert_eq!(store.get(key).await.unwrap(), bytes);
        let etag = store.head(key).await.unwrap().etag;
        assert_eq!(second.finish().await.unwrap_err().kind(), Kind::Conflict);
        assert_eq!(store.head(key).await.unwrap().etag, etag);
        assert_eq!(last.finish().await.unwrap(), length as u64);
        assert_eq!(store.get(key).await.unwrap(), bytes);
        store.delete(key).await.unwrap();
        if let Some(path) = store.local_path("stream") {
            assert_eq!(std::fs::read_dir(path).unwrap().count(), 0, "something is left behind");
        }
    }
}
