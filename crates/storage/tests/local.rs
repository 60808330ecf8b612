//! What is special about local files: devices, links, leftovers, and disks that are full.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::error::Error as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use clickcast_storage::{Error, Kind, Object, Store};
use clickcast_testing::services::SmallDisk;
use support::runtime;

fn open(folder: &Path) -> Store {
    Store::open(folder.to_str().unwrap()).unwrap()
}

/// An error of this kind, whose cause says this.
fn refused<T: std::fmt::Debug>(outcome: Result<T, Error>, kind: Kind, said: &str) {
    let error = outcome.unwrap_err();
    let cause = error.source().unwrap().to_string();
    assert!(error.kind() == kind && cause.contains(said), "wanted {kind:?}, `{said}`: {error}: {cause}");
}

#[test]
fn what_is_no_file_is_neither_read_nor_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("folder")).unwrap();
    assert!(Command::new("mkfifo").arg(path("pipe")).status().unwrap().success());
    let _socket = std::os::unix::net::UnixListener::bind(path("socket")).unwrap();
    symlink(path("pipe"), path("link")).unwrap();
    let store = open(folder.path());
    let object = |key: &str| Object { key: key.to_owned(), etag: "\"0\"".to_owned(), size: 1 };
    runtime().block_on(async {
        for (key, said) in
            [("folder", "a folder"), ("pipe", "pipe"), ("socket", "socket"), ("link", "give the name of a file")]
        {
            refused(store.put(key, "1".into()).await, Kind::Invalid, said);
            refused(store.put_new(key, "1".into()).await, Kind::Invalid, said);
            refused(store.update(key, "1".into(), "\"0\"").await, Kind::Invalid, said);
            refused(store.writer(key).write("1".into()).await, Kind::Invalid, said);
            refused(store.writer(key).finish().await, Kind::Invalid, said);
            if key == "folder" {
                assert!(store.get(key).await.unwrap_err().is_not_found());
                continue;
            }
            refused(store.get(key).await, Kind::Invalid, said);
            refused(store.head(key).await, Kind::Invalid, said);
            refused(store.open_local(&object(key)).await, Kind::Invalid, said);
        }
        // Never finished: should it be replaced, the machine would miss it.
        refused(open(Path::new("/dev")).writer("null").write("1".into()).await, Kind::Invalid, "device");
        refused(store.put("a#1", "1".into()).await, Kind::Invalid, "`#` and a number");
    });
    let mut names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["folder", "link", "pipe", "socket"]);
}

#[test]
fn a_file_in_a_folders_place_is_named() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "1").unwrap();
    symlink(folder.path().join("nowhere"), folder.path().join("dangling")).unwrap();
    runtime().block_on(async {
        for (place, key, said) in [
            (Path::new("/dev/full"), "out", "`/dev/full` is not a folder"),
            (Path::new("/dev/full/out"), "a", "`/dev/full` is not a folder"),
            (folder.path(), "file/a/b", "file` is not a folder"),
            (folder.path(), "dangling/a", "dangling` is not a folder"),
        ] {
            refused(open(place).put(key, "1".into()).await, Kind::Invalid, said);
            refused(open(place).writer_new(key).write("1".into()).await, Kind::Invalid, said);
        }
    });
}

#[test]
fn a_link_stays_and_what_it_leads_to_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::create_dir(path("far")).unwrap();
    std::fs::write(path("far/file"), "0").unwrap();
    symlink("far/file", path("link")).unwrap();
    let store = open(folder.path());
    runtime().block_on(async {
        store.put("link", "1".into()).await.unwrap();
        let etag = store.head("link").await.unwrap().etag;
        store.update("link", "2".into(), &etag).await.unwrap();
        assert_eq!(store.put_new("link", "3".into()).await.unwrap_err().kind(), Kind::Conflict);
        assert_eq!(store.get("far/file").await.unwrap(), "2");
    });
    assert_eq!(std::fs::read_link(path("link")).unwrap(), Path::new("far/file"));
}

#[test]
fn puts_at_once_are_each_whole_and_leave_only_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    // What a killed process may have left behind.
    std::fs::write(folder.path().join("x#1"), "half").unwrap();
    std::fs::write(folder.path().join(".x.part"), "half").unwrap();
    let bytes = |number: u8| Bytes::from(vec![number; 1 << 20]);
    runtime().block_on(async {
        // Two stores share nothing, as two processes don't.
        let puts = (0..16).map(|number| {
            let store = open(folder.path());
            tokio::spawn(async move { store.put("x", bytes(number)).await })
        });
        futures::future::join_all(puts).await.into_iter().for_each(|put| put.unwrap().unwrap());
        let found = store.get("x").await.unwrap();
        assert_eq!(found, bytes(found[0]));
    });
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3, "something is left behind");
}

#[test]
fn every_version_of_a_file_is_later_than_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let path = folder.path().join("x");
    let time = || path.metadata().unwrap().modified().unwrap();
    runtime().block_on(async {
        store.put("x", "0".into()).await.unwrap();
        // The clock is behind, as it seems to be where it ticks slowly.
        let ahead = time() + std::time::Duration::from_secs(3600);
        std::fs::File::options().write(true).open(&path).unwrap().set_modified(ahead).unwrap();
        store.put("x", "1".into()).await.unwrap();
        let put = time();
        store.update("x", "2".into(), &store.head("x").await.unwrap().etag).await.unwrap();
        let updated = time();
        store.writer("x").finish().await.unwrap();
        assert!(ahead < put && put < updated && updated < time());
    });
}

#[test]
fn a_full_disk_leaves_what_was_there_and_takes_more_once_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(&folder.path().join("disk"), 64) else { return };
    let store = open(&folder.path().join("disk"));
    let large = Bytes::from(vec![1; 1 << 20]);
    runtime().block_on(async {
        store.put("old", "1".into()).await.unwrap();
        let old = store.head("old").await.unwrap();
        for key in ["old", "new"] {
            for error in [
                store.put(key, large.clone()).await.unwrap_err(),
                store.writer(key).write(large.clone()).await.unwrap_err(),
            ] {
                assert_eq!((error.kind(), error.is_transient()), (Kind::Full, true), "{error:?}");
            }
        }
        let error = store.update("old", large.clone(), &old.etag).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Full, "{error:?}");
        // A writer that met it is done for, even if there is room by now.
        let mut writer = store.writer("new");
        writer.write("1".into()).await.unwrap();
        refused(writer.write(large).await, Kind::Full, "");
        assert_eq!(disk.names().iter().filter(|name| name.ends_with(".part")).count(), 0);
        refused(writer.write("2".into()).await, Kind::Full, "an earlier part");
        refused(writer.finish().await, Kind::Full, "an earlier part");
        assert_eq!(store.head("old").await.unwrap(), old);
        let mut names = disk.names();
        names.sort();
        assert_eq!(names, [".old.lock", "old"]);
        store.put("new", "1".into()).await.unwrap();
    });
}
