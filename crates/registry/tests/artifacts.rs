//! A model's files: the old or the new ones are whole, whatever fails and whoever reads meanwhile.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::atomic::{AtomicBool, Ordering};

use clickcast_registry::{read_artifact, write_artifact};
use clickcast_storage::{Fault, Operation, Store};
use support::artifact;

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

#[test]
fn whatever_fails_while_a_model_is_overwritten_the_old_or_the_new_one_is_whole() {
    let (old, new) = (artifact(b"old"), artifact(b"new"));
    for fault in [Fault::Refused, Fault::LostAnswer] {
        // Each request in turn fails, and all after it, as for a process that died.
        for failed in 0.. {
            let store = Store::in_memory();
            run(write_artifact(&store, "", &old)).unwrap();
            let faulty = store.clone().with_faults(move |_, request| match request {
                request if request < failed => None,
                request if request == failed => Some(fault),
                _ => Some(Fault::Refused),
            });
            let written = run(write_artifact(&faulty, "", &new)).is_ok();
            let found = run(read_artifact(&store, "")).unwrap();
            assert!(found == new || (!written && found == old), "{fault:?} at {failed}");
            let files = run(store.list()).unwrap().len();
            if found == new && files == 3 {
                break;
            }
            assert!(failed < 9, "{files} files are left");
        }
    }
}

#[test]
fn a_model_that_is_replaced_while_it_is_read_is_read_anew() {
    let (old, new) = (artifact(b"old"), artifact(b"new"));
    let store = Store::in_memory();
    run(write_artifact(&store, "", &old)).unwrap();
    let (writer, written) = (store.clone(), AtomicBool::new(false));
    let (replacing, replaced) = (new.clone(), std::sync::Arc::new(written));
    let slow = store.with_faults(move |operation, request| {
        // The manifest has been read, and no payload.
        if operation == Operation::Get && request == 1 && !replaced.swap(true, Ordering::SeqCst) {
            let (writer, new) = (writer.clone(), replacing.clone());
            std::thread::spawn(move || run(write_artifact(&writer, "", &new)).unwrap()).join().unwrap();
        }
        None
    });
    assert!(run(read_artifact(&slow, "")).unwrap() == new);
}

#[test]
fn a_model_written_again_stays_as_it_is() {
    let store = Store::in_memory();
    for _ in 0..2 {
        run(write_artifact(&store, "", &artifact(b"same"))).unwrap();
        assert!(run(read_artifact(&store, "")).unwrap() == artifact(b"same"));
    }
}
