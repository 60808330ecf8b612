//! What a registry allows, and what it says to odd requests.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use clickcast_registry::{Action, Change, Channel, Error, Fence, Gated, Kind, Registry, Runs, State};
use clickcast_storage::Store;
use clickcast_verdict::Verdict;
use support::{artifact, at, champion, change, gated, judgement, manifest, name, publish, run_record};

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// A registry with two versions that have passed the gate.
async fn registry() -> (Store, Registry) {
    let store = Store::in_memory();
    let registry = Registry::new(store.clone());
    for (version, weights) in [(1, b"one"), (2, b"two")] {
        registry.register(&name(), &artifact(weights), "ann", at(1)).await.unwrap();
        registry.record_gate(&name(), version, &gated(Verdict::Pass, (version > 1).then_some(1))).await.unwrap();
    }
    (store, registry)
}

#[track_caller]
fn refused<T: std::fmt::Debug>(done: Result<T, Error>, kind: Kind, part: &str) {
    let error = done.unwrap_err();
    let source = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    assert!(error.kind() == kind && format!("{error}: {source}").contains(part), "{error:?}");
    assert_eq!(error.is_transient(), kind == Kind::Conflict);
}

#[test]
fn only_what_has_passed_the_gate_is_promoted_unless_it_is_forced() {
    run(async {
        let (_, registry) = registry().await;
        for (weights, verdict, part) in [
            (b"3", None, "was not judged"),
            (b"4", Some(Verdict::Hold), "is held"),
            (b"5", Some(Verdict::Fail), "has failed"),
        ] {
            let version = registry.register(&name(), &artifact(weights), "ann", at(1)).await.unwrap().version;
            if let Some(verdict) = verdict {
                registry.record_gate(&name(), version, &gated(verdict, None)).await.unwrap();
            }
            let promote = async |change| registry.promote(&name(), version, &champion(), None, change).await;
            refused(promote(change()).await, Kind::NotPassed, part);
            let why = Some("the drift is a campaign".to_owned());
            let forced = promote(Change { forced: true, reason: why.clone(), ..change() }).await.unwrap();
            assert_eq!((forced.to, forced.forced, forced.reason), (version, true, why));
        }
    });
}

#[test]
fn what_the_gate_said_before_is_kept_and_its_last_word_counts() {
    run(async {
        let (_, registry) = registry().await;
        // The first second has no fraction, and the eleventh version is not the first one.
        let later = Gated { at: at(3) + jiff::SignedDuration::from_millis(500), ..gated(Verdict::Fail, Some(2)) };
        registry.record_gate(&name(), 1, &later).await.unwrap();
        registry.record_gate(&name(), 11, &gated(Verdict::Hold, None)).await.unwrap();
        let shown = registry.show(&"ctr@1".parse().unwrap()).await.unwrap();
        assert_eq!(shown.judgements, [gated(Verdict::Pass, None), later.clone()]);
        assert_eq!(shown.gate, Some(later));
        assert_eq!(registry.list(None).await.unwrap()[0].versions.len(), 2, "a judgement is no version");
    });
}

#[test]
fn who_takes_the_champions_place_was_judged_against_that_very_one() {
    run(async {
        let (_, registry) = registry().await;
        let third = registry.register(&name(), &artifact(b"three"), "ann", at(1)).await.unwrap().version;
        registry.record_gate(&name(), third, &gated(Verdict::Pass, Some(1))).await.unwrap();
        let promote = async |version, channel: &Channel, change| {
            registry.promote(&name(), version, channel, None, change).await.map(|moved| moved.to)
        };
        for version in [1, 2] {
            promote(version, &champion(), change()).await.unwrap();
        }
        refused(
            promote(third, &champion(), change()).await,
            Kind::NotPassed,
            "judged against version 1, and would take",
        );
        refused(promote(1, &champion(), change()).await, Kind::NotPassed, "judged against no champion");
        // To try it elsewhere takes nobody's place, whatever was there.
        let candidate = "candidate".parse().unwrap();
        for version in [2, third] {
            assert_eq!(promote(version, &candidate, change()).await.unwrap(), version);
        }
        let forced = Change { forced: true, reason: Some("it was better".to_owned()), ..change() };
        assert_eq!(promote(third, &champion(), forced).await.unwrap(), third);
        registry.roll_back(&name(), &champion(), change()).await.unwrap();
        registry.record_gate(&name(), third, &gated(Verdict::Pass, Some(2))).await.unwrap();
        assert_eq!(promote(third, &champion(), change()).await.unwrap(), third);
    });
}

#[test]
fn a_channel_that_has_moved_is_told_and_its_history_says_who_when_why_and_from_what() {
    run(async {
        let (_, registry) = registry().await;
        let promote = async |version, expected| {
            registry.promote(&name(), version, &champion(), expected, change()).await.map(|moved| moved.from)
        };
        refused(promote(1, Some(1)).await, Kind::Refused, "has no version yet");
        assert_eq!(promote(1, None).await.unwrap(), None);
        assert_eq!(promote(2, Some(1)).await.unwrap(), Some(1));
        refused(promote(1, Some(1)).await, Kind::Refused, "at version 2 by now, not 1");
        let why = Change { reason: Some("clicks fell".to_owned()), by: "bob".to_owned(), ..change() };
        assert_eq!(registry.roll_back(&name(), &champion(), why).await.unwrap().to, 1);
        refused(registry.roll_back(&name(), &champion(), change()).await, Kind::Refused, "nothing to roll back to");
        let history = registry.channel(&name(), &champion()).await.unwrap().unwrap().history;
        let last = history.last().unwrap();
        assert_eq!((last.action, last.to, last.from), (Action::Rollback, 1, Some(2)));
        assert_eq!((last.by.as_str(), last.at, last.reason.as_deref()), ("bob", at(5), Some("clicks fell")));
        assert_eq!(history.len(), 3);
    });
}

#[test]
fn a_promotion_that_is_repeated_is_one_step_to_go_back() {
    run(async {
        let (_, registry) = registry().await;
        for version in [1, 2, 2, 2] {
            registry.promote(&name(), version, &champion(), None, change()).await.unwrap();
        }
        assert_eq!(registry.roll_back(&name(), &champion(), change()).await.unwrap().to, 1);
    });
}

#[test]
fn what_is_missing_or_damaged_is_named() {
    run(async {
        let (store, registry) = registry().await;
        let show = async |text: &str| registry.show(&text.parse().unwrap()).await;
        refused(show("ctr@3").await, Kind::NotFound, "there is no `ctr@3`");
        refused(show("other@1").await, Kind::NotFound, "there is no `other@1`");
        refused(show("ctr@champion").await, Kind::NotFound, "no channel `champion`");
        refused(registry.list(Some(&"other".parse().unwrap())).await, Kind::NotFound, "no model `other`");
        let promoted = registry.promote(&name(), 3, &champion(), None, Change { forced: true, ..change() }).await;
        refused(promoted, Kind::NotFound, "there is no `ctr@3`");
        for (key, damaged) in [
            ("models/ctr/versions/2.json", "not json"),
            ("models/ctr/channels/champion.json", "{\"current\":"),
            ("models/ctr/gates/1.json", ""),
        ] {
            store.put(key, damaged.into()).await.unwrap();
        }
        refused(show("ctr@2").await, Kind::Damaged, "models/ctr/versions/2.json");
        refused(show("ctr@champion").await, Kind::Damaged, "models/ctr/channels/champion.json");
        refused(registry.list(None).await, Kind::Damaged, "is damaged");
        refused(registry.gate(&name(), 1).await, Kind::Damaged, "models/ctr/gates/1.json");
        // The damaged channel is not overwritten by who would promote to it.
        store.put("models/ctr/gates/1.json", json(&gated(Verdict::Pass, None))).await.unwrap();
        refused(registry.promote(&name(), 1, &champion(), None, change()).await, Kind::Damaged, "champion.json");
    });
}

fn json(value: &impl serde::Serialize) -> bytes::Bytes {
    serde_json::to_vec(value).unwrap().into()
}

#[test]
fn an_artifact_that_is_not_the_registered_one_is_refused() {
    run(async {
        let (store, registry) = registry().await;
        let record = registry.resolve(&"ctr@1".parse().unwrap()).await.unwrap();
        let other = registry.resolve(&"ctr@2".parse().unwrap()).await.unwrap();
        // Each file of the one is replaced by that of the other, so every hash in it is right.
        for object in store.list_below(&format!("artifacts/{}", other.artifact)).await.unwrap() {
            let bytes = store.get(&object.key).await.unwrap();
            store.put(&object.key.replace(&other.artifact, &record.artifact), bytes).await.unwrap();
        }
        refused(registry.load(&record).await.map(|_| ()), Kind::Damaged, "not the one that was registered");
    });
}

#[test]
fn versions_keep_their_order_whatever_the_clocks_of_those_who_register_say() {
    run(async {
        let registry = Registry::new(Store::in_memory());
        for (second, weights) in [(1_000_000_000, b"1"), (-5, b"2"), (0, b"3")] {
            registry.register(&name(), &artifact(weights), "ann", at(second)).await.unwrap();
        }
        let listed = registry.list(None).await.unwrap();
        let versions: Vec<_> = listed[0].versions.iter().map(|record| (record.version, record.created)).collect();
        assert_eq!(versions, [(1, at(1_000_000_000)), (2, at(-5)), (3, at(0))]);
    });
}

#[test]
fn a_run_of_an_unknown_precision_is_damaged_and_not_taken_for_f32() {
    run(async {
        let store = Store::in_memory();
        let runs = Runs::new(store.clone());
        runs.begin(run_record("today", 1)).await.unwrap();
        let key = "runs/today/run.json";
        let text = String::from_utf8(store.get(key).await.unwrap().to_vec()).unwrap();
        assert!(text.contains("\"f32\""), "{text}");
        store.put(key, text.replace("\"f32\"", "\"f16\"").into()).await.unwrap();
        refused(runs.open(&"today".parse().unwrap()).await, Kind::Damaged, key);
    });
}

#[test]
fn a_run_is_published_only_as_it_was_audited() {
    run(async {
        let runs = Runs::new(Store::in_memory());
        let today = runs.begin(run_record("today", 1)).await.unwrap();
        refused(today.record_audit(at(2), None, 1, judgement(Verdict::Pass)).await, Kind::Refused, "still open");
        refused(runs.publish(&today, change()).await, Kind::Refused, "still open");
        today.close(&manifest("today", 2, 10)).await.unwrap();
        refused(runs.publish(&today, change()).await, Kind::NotPassed, "was not audited");
        for (verdict, said) in [(Verdict::Hold, "is held by its audit"), (Verdict::Fail, "has not passed")] {
            today.record_audit(at(3), None, 1, judgement(verdict)).await.unwrap();
            refused(runs.publish(&today, change()).await, Kind::NotPassed, said);
        }
        today.record_audit(at(3), None, 1, judgement(Verdict::Pass)).await.unwrap();
        runs.publish(&today, change()).await.unwrap();
        refused(runs.publish(&today, change()).await, Kind::Refused, "is published already");
        assert_eq!(today.state().await.unwrap(), State::Published);
        refused(runs.roll_back(change()).await, Kind::Refused, "nothing to roll back to");
    });
}

#[test]
fn a_held_run_is_published_by_force_and_a_failed_one_never() {
    run(async {
        let runs = Runs::new(Store::in_memory());
        let today = runs.begin(run_record("today", 1)).await.unwrap();
        today.close(&manifest("today", 2, 10)).await.unwrap();
        let forced = || Change { forced: true, reason: Some("looked at".to_owned()), ..change() };
        refused(runs.publish(&today, forced()).await, Kind::NotPassed, "was not audited");
        today.record_audit(at(3), None, 1, judgement(Verdict::Fail)).await.unwrap();
        refused(runs.publish(&today, forced()).await, Kind::NotPassed, "has not passed");
        today.record_audit(at(4), None, 1, judgement(Verdict::Hold)).await.unwrap();
        let moved = runs.publish(&today, forced()).await.unwrap();
        assert!(moved.forced && moved.reason.as_deref() == Some("looked at"));
    });
}

#[test]
fn an_audit_of_another_manifest_counts_for_nothing() {
    run(async {
        let store = Store::in_memory();
        let runs = Runs::new(store.clone());
        let today = runs.begin(run_record("today", 1)).await.unwrap();
        today.close(&manifest("today", 2, 10)).await.unwrap();
        today.record_audit(at(3), None, 1, judgement(Verdict::Pass)).await.unwrap();
        // Somebody writes past us what the run consists of.
        store.put("runs/today/manifest.json", json(&manifest("today", 2, 11))).await.unwrap();
        assert_eq!(today.state().await.unwrap(), State::Closed);
        refused(runs.publish(&today, change()).await, Kind::NotPassed, "was not audited");
    });
}

#[test]
fn an_older_run_is_published_only_with_a_reason() {
    run(async {
        let runs = Runs::new(Store::in_memory());
        publish(&runs, "newer", 20).await.unwrap();
        refused(publish(&runs, "older", 10).await, Kind::Refused, "closed before the published run `newer`");
        let older = runs.open(&"older".parse().unwrap()).await.unwrap();
        let why = Change { reason: Some("the newer is wrong".to_owned()), ..change() };
        let moved = runs.publish(&older, why).await.unwrap();
        assert_eq!(moved.from.map(|from| from.run.to_string()).as_deref(), Some("newer"));
    });
}

#[test]
fn who_was_replaced_as_leader_can_not_publish() {
    run(async {
        let runs = Runs::new(Store::in_memory());
        publish(&runs, "monday", 1).await.unwrap();
        let tuesday = runs.begin(run_record("tuesday", 2)).await.unwrap();
        tuesday.close(&manifest("tuesday", 2, 10)).await.unwrap();
        tuesday.record_audit(at(2), None, 1, judgement(Verdict::Pass)).await.unwrap();
        let under = |fence: Option<u64>| Change { fence: fence.map(Fence), ..change() };
        runs.publish(&tuesday, under(Some(7))).await.unwrap();
        refused(runs.roll_back(under(None)).await, Kind::Refused, "needs a fencing token of 7");
        refused(runs.roll_back(under(Some(6))).await, Kind::Refused, "older than 7");
        assert_eq!(runs.roll_back(under(Some(7))).await.unwrap().to.run.as_str(), "monday");
        refused(runs.publish(&tuesday, under(Some(6))).await, Kind::Refused, "older than 7");
        runs.publish(&tuesday, under(Some(8))).await.unwrap();
    });
}

#[test]
fn a_channel_that_is_moved_while_it_is_read_is_read_anew() {
    let (store, registry) = run(registry());
    run(registry.promote(&name(), 1, &champion(), None, change())).unwrap();
    let met = std::sync::atomic::AtomicBool::new(false);
    let moved = store.with_faults(move |_, request| {
        // It has been looked at, and is moved before its bytes are read.
        if request == 1 && !met.swap(true, std::sync::atomic::Ordering::SeqCst) {
            let registry = registry.clone();
            let promote = move || run(registry.promote(&name(), 2, &champion(), Some(1), change())).unwrap();
            std::thread::spawn(promote).join().unwrap();
        }
        None
    });
    assert_eq!(run(Registry::new(moved).channel(&name(), &champion())).unwrap().unwrap().current, 2);
}
