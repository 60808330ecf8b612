//! The keys of the reports of `runs`, `queue` and `worker`, which scripts rely on.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::sync::Arc;

use clickcast_job::worker::Drain;
use clickcast_learn::FactorFamily;
use clickcast_operations::Kind;
use clickcast_operations::models::{PromoteRequest, RegisterRequest, promote, register};
use clickcast_operations::queue::{SendRequest, dead, redrive, send, stats};
use clickcast_operations::runs::{
    AuditRequest, PublishRequest, RollBackRequest, RunLocation, audit, close, list, publish, roll_back, show,
};
use clickcast_operations::train::{TrainRequest, train};
use clickcast_operations::work::{WorkRequest, prepare};
use clickcast_record::Precision;
use clickcast_verdict::Verdict;
use insta::assert_snapshot;
use support::{World, shape};

/// A market with a champion.
fn world() -> World {
    let world = World::with_market();
    let (model, registry) = (world.path("model"), world.path("registry"));
    let (data, schema) = (world.path("days/dt=2026-01-05"), world.path("features.toml"));
    train(&world.resources, &TrainRequest::new(data, schema, FactorFamily::Lr, model.clone()), &()).unwrap();
    let (name, by): (clickcast_registry::Name, _) = ("ctr".parse().unwrap(), "test".to_owned());
    let request = RegisterRequest { registry: registry.clone(), name: name.clone(), model, by: by.clone() };
    let version = register(&world.resources, &request).unwrap().version;
    let promotion = PromoteRequest {
        registry,
        name,
        version,
        channel: "champion".parse().unwrap(),
        expect: None,
        force: true,
        reason: Some("first".to_owned()),
        by,
    };
    promote(&world.resources, &promotion).unwrap();
    world
}

fn queue(world: &World) -> String {
    format!("sqlite://{}", world.path("queue.db"))
}

/// Sends a day to the queue, and works until it is done; the shapes of both reports.
fn score(world: &World, day: &str) -> (RunLocation, [String; 2]) {
    let request =
        SendRequest { queue: queue(world), data: world.path(&format!("days/dt={day}")), run: None, close: false };
    let sent = send(&world.resources, &request).unwrap();
    let request = WorkRequest {
        queue: queue(world),
        registry: world.path("registry"),
        model: "ctr@champion".parse().unwrap(),
        out: world.path("out"),
        run: None,
        precision: Precision::F32,
        keep: Vec::new(),
        visibility: None,
        cache: None,
        cache_bytes: 0,
    };
    let worked = prepare(&world.resources, &request, Arc::<Drain>::default()).unwrap().work(true).unwrap();
    let location = RunLocation { run: sent.run.clone(), out: world.path("out") };
    (location, [shape(&sent), shape(&worked)])
}

fn publication(location: &RunLocation) -> PublishRequest {
    let (location, by, reason) = (location.clone(), "test".to_owned(), Some("it is a test".to_owned()));
    PublishRequest { location, by, reason, force: true, fence: None }
}

#[test]
fn sending_and_working_report_what_was_done() {
    let (_, [sent, worked]) = score(&world(), "2026-01-06");
    assert_snapshot!(sent, @r"
    sent: integer
    files: integer
    run: string
    queue: string
    ");
    assert_snapshot!(worked, @r"
    rows: integer
    written: integer
    found_done: integer
    overwritten: integer
    ignored: integer
    handed_on: integer
    buried: integer
    left: integer
    released: integer
    lost: integer
    closed: integer
    seconds: number
    rows_per_second: number
    peak_memory_bytes: integer
    model: string
    ");
}

#[test]
fn queues_report_their_messages_and_dead_letters() {
    let world = world();
    world.write("days/dt=2026-01-06/part-0.csv", "no,such,columns\n1,2,3\n");
    score(&world, "2026-01-06");
    let dead = dead(&world.resources, &queue(&world), 10).unwrap();
    assert_eq!(dead.dead.len(), 1);
    assert_snapshot!(shape(&dead), @r"
    dead[].body: string
    dead[].reason: string
    dead[].received: integer
    ");
    assert_snapshot!(shape(&redrive(&world.resources, &queue(&world)).unwrap()), @"redriven: integer");
    assert_snapshot!(shape(&stats(&world.resources, &queue(&world)).unwrap()), @r"
    visible: integer
    in_flight: integer
    delayed: integer
    dead: integer
    oldest_age_seconds: number
    ");
    let missing = stats(&world.resources, &format!("sqlite://{}", world.path("mistyped.db"))).unwrap_err();
    assert_eq!(missing.kind(), Kind::Invalid);
}

#[test]
fn runs_report_their_state_from_staged_to_published_and_back() {
    let world = world();
    let resources = &world.resources;
    let mut locations = Vec::new();
    for day in ["2026-01-05", "2026-01-06"] {
        let (location, _) = score(&world, day);
        let closed = close(resources, &location, &()).unwrap();
        assert_eq!((closed.inputs, closed.missing, closed.rows), (1, 0, 2_000));
        locations.push(location);
        if day == "2026-01-06" {
            assert_snapshot!(shape(&closed), @r"
            run: string
            inputs: integer
            outputs: integer
            errors: integer
            missing: integer
            rows: integer
            closed: string
            ");
        }
    }
    for location in &locations {
        let request = AuditRequest { location: location.clone(), registry: None };
        let audited = audit(resources, &request, &()).unwrap();
        assert_ne!(audited.verdict, Verdict::Fail, "{:?}", audited.checks);
        publish(resources, &publication(location)).unwrap();
    }
    let [first, second] = locations.as_slice() else { panic!("two days") };
    assert_snapshot!(shape(&list(resources, &first.out).unwrap()), @r"
    runs[].run: string
    runs[].state: string
    runs[].created: string
    runs[].model: string
    ");
    let shown = shape(&show(resources, second).unwrap());
    let keys: Vec<&str> = shown.lines().filter(|line| !line.starts_with("audit.")).collect();
    assert_snapshot!(keys.join("\n"), @r"
    run: string
    state: string
    model: string
    id: string
    input: string
    inputs: integer
    done: integer
    errors: integer
    rows: integer
    created: string
    verdict: string
    ");
    let request = RollBackRequest {
        out: second.out.clone(),
        expected: Some(second.run.clone()),
        by: "test".to_owned(),
        reason: None,
        fence: None,
    };
    let rolled_back = roll_back(resources, &request).unwrap();
    assert_eq!(rolled_back.run, first.run);
    assert_snapshot!(shape(&rolled_back), @r"
    run: string
    previous: string
    manifest: string
    ");
    assert_eq!(roll_back(resources, &request).unwrap_err().kind(), Kind::Invalid, "another run is published now");
}

#[test]
fn an_audit_reports_its_verdict_and_its_checks() {
    let world = world();
    let (location, _) = score(&world, "2026-01-06");
    let request = AuditRequest { location: location.clone(), registry: None };
    assert_eq!(audit(&world.resources, &request, &()).unwrap_err().kind(), Kind::Invalid, "it is still open");
    close(&world.resources, &location, &()).unwrap();
    let report = serde_json::to_value(audit(&world.resources, &request, &()).unwrap()).unwrap();
    let keys: Vec<&String> = report.as_object().unwrap().keys().collect();
    assert_eq!(keys, ["verdict", "run", "rows_in", "rows_out", "checks", "report"]);
    let keys: Vec<&String> = report["checks"][0].as_object().unwrap().keys().collect();
    assert_eq!(keys, ["name", "verdict", "observed", "limit", "reason"]);
    assert_eq!(report["rows_in"], report["rows_out"]);
}
