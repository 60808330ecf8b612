//! Whatever request fails, or whoever comes at the same moment: the registry stays readable, and nothing is half there.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::collections::BTreeSet;

use clickcast_registry::{Error, Kind, Registry, Runs, State};
use clickcast_storage::{Fault, Store};
use clickcast_testing::services::Moto;
use clickcast_verdict::Verdict;
use support::{Places, artifact, at, champion, change, gated, manifest, name, run_record, runtime};

/// Requests that an operation makes at most; beyond it a fault is met by none.
const REQUESTS_MAX: u64 = 60;

/// Each request in turn fails: it alone, as in a bad moment, or all after it too, as for a process that died.
async fn under_every_fault(
    places: &Places,
    prepare: impl AsyncFn(&Store),
    act: impl AsyncFn(&Store) -> Result<(), Error>,
    check: impl AsyncFn(&Store, Result<(), Error>),
) {
    for fault in [Fault::Refused, Fault::LostAnswer] {
        for dies in [false, true] {
            for failed in 0.. {
                assert!(failed < REQUESTS_MAX, "the operation never ends");
                let store = places.fresh();
                prepare(&store).await;
                let met = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
                let meets = met.clone();
                let faulty = store.clone().with_faults(move |_, request| {
                    let fault = match request.cmp(&failed) {
                        std::cmp::Ordering::Less => None,
                        std::cmp::Ordering::Equal => Some(fault),
                        std::cmp::Ordering::Greater => dies.then_some(Fault::Refused),
                    };
                    meets.fetch_or(fault.is_some(), std::sync::atomic::Ordering::SeqCst);
                    fault
                });
                let done = act(&faulty).await;
                if let Err(error) = &done {
                    assert!(error.is_transient(), "{fault:?} at {failed}: {error:?}");
                }
                check(&store, done).await;
                if !met.load(std::sync::atomic::Ordering::SeqCst) {
                    break;
                }
            }
        }
    }
}

async fn a_registration_is_whole_or_absent(places: &Places) {
    let register = async |store: &Store, weights: &[u8]| {
        Registry::new(store.clone()).register(&name(), &artifact(weights), "ann", at(2)).await.map(|_| ())
    };
    under_every_fault(
        places,
        async |store| register(store, b"one").await.unwrap(),
        async |store| register(store, b"two").await,
        async |store, done| {
            let registry = Registry::new(store.clone());
            let versions = registry.list(None).await.unwrap().remove(0).versions;
            // A lost answer is recognized: whoever is told that it is done finds it once.
            assert!(versions.len() == 2 || (done.is_err() && versions.len() == 1), "{done:?} {versions:?}");
            for record in &versions {
                let expected: &[u8] = if record.version == 1 { b"one" } else { b"two" };
                assert!(registry.load(record).await.unwrap() == artifact(expected));
            }
            // Nothing stands in the way of the next one.
            register(store, b"two").await.unwrap();
        },
    )
    .await;
}

async fn a_channel_is_moved_whole_or_not_at_all(places: &Places) {
    let prepare = async |store: &Store| {
        let registry = Registry::new(store.clone());
        for (version, weights) in [(1, b"one"), (2, b"two")] {
            registry.register(&name(), &artifact(weights), "ann", at(version)).await.unwrap();
            registry
                .record_gate(&name(), version as u64, &gated(Verdict::Pass, (version > 1).then_some(1)))
                .await
                .unwrap();
        }
        registry.promote(&name(), 1, &champion(), None, change()).await.unwrap();
    };
    let promote = async |store: &Store| {
        Registry::new(store.clone()).promote(&name(), 2, &champion(), None, change()).await.map(|_| ())
    };
    under_every_fault(places, prepare, promote, async |store, done| {
        let registry = Registry::new(store.clone());
        let current = registry.channel(&name(), &champion()).await.unwrap().unwrap().current;
        assert!(current == 2 || (done.is_err() && current == 1), "{done:?} {current}");
        // Whoever was not told repeats it; one step back is then still the first version.
        if done.is_err() {
            promote(store).await.unwrap();
        }
        let back = registry.roll_back(&name(), &champion(), change()).await.unwrap();
        assert_eq!((back.to, back.from), (1, Some(2)));
    })
    .await;
    let promoted = async |store: &Store| {
        prepare(store).await;
        promote(store).await.unwrap();
    };
    let roll_back =
        async |store: &Store| Registry::new(store.clone()).roll_back(&name(), &champion(), change()).await.map(|_| ());
    under_every_fault(places, promoted, roll_back, async |store, done| {
        let moves = Registry::new(store.clone()).channel(&name(), &champion()).await.unwrap().unwrap();
        assert!(moves.current == 1 || (done.is_err() && moves.current == 2), "{done:?} {moves:?}");
    })
    .await;
}

async fn a_run_goes_from_one_state_to_the_next_whole(places: &Places) {
    let prepare = async |store: &Store| {
        let runs = Runs::new(store.clone());
        support::publish(&runs, "before", 1).await.unwrap();
    };
    let deliver = async |store: &Store| support::publish(&Runs::new(store.clone()), "today", 2).await;
    under_every_fault(places, prepare, deliver, async |store, done| {
        let runs = Runs::new(store.clone());
        let published = runs.published().await.unwrap().unwrap().current;
        assert!(published.run.as_str() == "today" || done.is_err(), "{done:?}");
        // What readers see is closed and audited, whichever run it is.
        let run = runs.open(&published.run).await.unwrap();
        assert_eq!(run.state().await.unwrap(), State::Published);
        assert!(run.audited().await.unwrap().is_some() && run.manifest().await.unwrap().is_some());
        // Who repeats all of it ends where an undisturbed one does.
        if published.run.as_str() == "before" {
            support::publish(&runs, "today", 2).await.unwrap();
        }
        let back = runs.roll_back(change()).await.unwrap();
        assert_eq!(back.to.run.as_str(), "before");
    })
    .await;
}

async fn of_many_at_once_each_gets_a_number_and_one_gets_the_channel(places: &Places) {
    const MANY: u64 = 6;
    let store = places.fresh();
    let registering = (1..=MANY).map(|writer| {
        let registry = Registry::new(store.clone());
        tokio::spawn(async move {
            let by = format!("writer {writer}");
            registry.register(&name(), &artifact(by.as_bytes()), &by, at(1)).await.unwrap().version
        })
    });
    let mut versions = BTreeSet::new();
    for registered in registering.collect::<Vec<_>>() {
        versions.insert(registered.await.unwrap());
    }
    assert_eq!(versions, (1..=MANY).collect());
    let registry = Registry::new(store.clone());
    for version in 1..=MANY {
        registry.record_gate(&name(), version, &gated(Verdict::Pass, (version > 1).then_some(1))).await.unwrap();
    }
    registry.promote(&name(), 1, &champion(), None, change()).await.unwrap();
    let promoting = (2..=MANY).map(|version| {
        let registry = registry.clone();
        tokio::spawn(async move { registry.promote(&name(), version, &champion(), Some(1), change()).await })
    });
    let mut won = Vec::new();
    for promoted in promoting.collect::<Vec<_>>() {
        match promoted.await.unwrap() {
            Ok(moved) => won.push(moved),
            Err(error) => assert!(matches!(error.kind(), Kind::Conflict | Kind::Refused), "{error:?}"),
        }
    }
    assert_eq!(won.len(), 1, "{won:?}");
    let moves = registry.channel(&name(), &champion()).await.unwrap().unwrap();
    assert_eq!((moves.current, moves.history.len()), (won[0].to, 2));
}

async fn conforms(places: &Places) {
    a_registration_is_whole_or_absent(places).await;
    a_channel_is_moved_whole_or_not_at_all(places).await;
    a_run_goes_from_one_state_to_the_next_whole(places).await;
    of_many_at_once_each_gets_a_number_and_one_gets_the_channel(places).await;
}

#[test]
fn whatever_fails_a_registry_in_memory_stays_readable() {
    runtime().block_on(conforms(&Places::memory()));
}

#[test]
fn whatever_fails_a_registry_of_local_files_stays_readable() {
    let folder = tempfile::tempdir().unwrap();
    runtime().block_on(conforms(&Places::folder(folder.path())));
}

#[test]
fn whatever_fails_a_registry_on_s3_stays_readable() {
    let Some(moto) = Moto::start() else { return };
    runtime().block_on(conforms(&Places::moto(moto)));
}

#[test]
fn a_manifest_is_told_from_another_by_its_contents() {
    runtime().block_on(async {
        let runs = Runs::new(Store::in_memory());
        let run = runs.begin(run_record("r", 1)).await.unwrap();
        run.close(&manifest("r", 2, 10)).await.unwrap();
        // Closing again with the same contents is what a process does that was not told of its success.
        run.close(&manifest("r", 3, 10)).await.unwrap();
        let error = run.close(&manifest("r", 4, 11)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Refused, "{error:?}");
    });
}
