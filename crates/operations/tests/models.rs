//! A model's way through the registry, by library calls: the reports have the keys that `--json` prints.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write as _;

use clickcast_learn::FactorFamily;
use clickcast_operations::Resources;
use clickcast_operations::models::{
    GateRequest, ListRequest, PromoteRequest, RegisterRequest, RollBackRequest, ShowRequest, gate, list, promote,
    register, roll_back, show,
};
use clickcast_operations::train::{TrainRequest, train};
use clickcast_testing::Folder;
use clickcast_verdict::Verdict;
use serde::Serialize;

const SCHEMA: &str = r#"
label = "click"
time = "ts"
time_unit = "s"

[[feature]]
name = "user"
kind = "categorical"
side = "user"

[[feature]]
name = "ad"
kind = "categorical"
side = "ad"
"#;
/// 2026-01-05, in seconds since 1970.
const FIRST_S: u64 = 1_767_571_200;
const DAY_S: u64 = 86_400;
const ROWS_PER_DAY: u64 = 3_000;

struct World {
    folder: Folder,
    runtime: tokio::runtime::Runtime,
}

impl World {
    /// Impressions of five days whose time column is integer seconds, and a model of the first four in the registry.
    fn new() -> Self {
        let world = Self { folder: Folder::default(), runtime: tokio::runtime::Runtime::new().unwrap() };
        std::fs::write(world.folder.uri("features.toml"), SCHEMA).unwrap();
        for day in 0..5 {
            let folder = if day < 4 { "days" } else { "newest" };
            world.write_day(folder, day);
        }
        let (data, schema) = (world.folder.uri("days"), world.folder.uri("features.toml"));
        let request = TrainRequest::new(data, schema, FactorFamily::Lr, world.folder.uri("model"));
        train(&world.resources(), &request, &()).unwrap();
        world
    }

    fn write_day(&self, folder: &str, day: u64) {
        let mut text = "ts,user,ad,click\n".to_owned();
        for row in day * ROWS_PER_DAY..(day + 1) * ROWS_PER_DAY {
            let mixed = row.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 20;
            let (user, ad) = (mixed % 101, mixed / 101 % 20);
            let click = u64::from(mixed / 7_919 % 40 < 1 + ad / 2);
            let second = FIRST_S + row * DAY_S / ROWS_PER_DAY;
            writeln!(text, "{second},u{user},a{ad},{click}").unwrap();
        }
        let folder = self.folder.uri(&format!("{folder}/dt=2026-01-0{}", 5 + day));
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(format!("{folder}/part-0.csv"), text).unwrap();
    }

    fn resources(&self) -> Resources {
        Resources::new(self.runtime.handle().clone(), Resources::cores()).unwrap()
    }

    fn register(&self) -> u64 {
        let (registry, model) = (self.folder.uri("registry"), self.folder.uri("model"));
        let request = RegisterRequest { registry, name: "ctr".parse().unwrap(), model, by: "me".to_owned() };
        let report = register(&self.resources(), &request).unwrap();
        assert_eq!(keys(&report), ["name", "version", "id", "created"]);
        report.version
    }

    fn promote(&self, version: u64, reason: Option<&str>) -> Result<String, String> {
        let request = PromoteRequest {
            registry: self.folder.uri("registry"),
            name: "ctr".parse().unwrap(),
            version,
            channel: "champion".parse().unwrap(),
            expect: None,
            force: true,
            reason: reason.map(str::to_owned),
            by: "me".to_owned(),
        };
        let report = promote(&self.resources(), &request).map_err(|error| error.to_string())?;
        Ok(serde_json::to_string(&report).unwrap())
    }
}

/// The keys of a report's JSON, in order.
fn keys(report: &impl Serialize) -> Vec<String> {
    serde_json::to_value(report).unwrap().as_object().unwrap().keys().cloned().collect()
}

#[test]
fn a_model_is_registered_promoted_and_rolled_back() {
    let world = World::new();
    let resources = world.resources();
    let registry = world.folder.uri("registry");
    assert_eq!((world.register(), world.register()), (1, 2));
    let refused = world.promote(1, None).unwrap_err();
    assert!(refused.contains("needs a reason"), "{refused}");
    let first = world.promote(1, Some("first")).unwrap();
    assert_eq!(first, r#"{"name":"ctr","channel":"champion","version":1,"previous":null}"#);
    world.promote(2, Some("second")).unwrap();
    let request = RollBackRequest {
        registry: registry.clone(),
        name: "ctr".parse().unwrap(),
        channel: "champion".parse().unwrap(),
        reason: None,
        by: "me".to_owned(),
    };
    let back = roll_back(&resources, &request).unwrap();
    let back = serde_json::to_string(&back).unwrap();
    assert_eq!(back, r#"{"name":"ctr","channel":"champion","version":1,"previous":2}"#);

    let listed = list(&resources, &ListRequest { registry: registry.clone(), name: None }).unwrap();
    assert_eq!(keys(&listed), ["models"]);
    assert_eq!(keys(&listed.models[0]), ["name", "versions", "channels"]);
    assert_eq!(keys(&listed.models[0].versions[0]), ["version", "created", "family", "by", "id"]);
    let model = "ctr@champion".parse().unwrap();
    let shown = show(&resources, &ShowRequest { registry, model }).unwrap();
    let expected =
        ["name", "version", "family", "created", "by", "id", "channels", "gate", "judged", "judgements", "history"];
    assert_eq!(keys(&shown), expected);
    assert_eq!((shown.version, shown.gate, shown.history.len()), (1, None, 1));
}

#[test]
fn a_candidate_is_judged_with_a_backtest_on_times_in_integer_seconds() {
    let world = World::new();
    let version = world.register();
    let (registry, data) = (world.folder.uri("registry"), world.folder.uri("newest"));
    let request = GateRequest {
        backtest: Some(world.folder.uri("days")),
        backtest_days: 2,
        ..GateRequest::new(&registry, "ctr".parse().unwrap(), format!("ctr@{version}"), data)
    };
    let report = gate(&world.resources(), &request, &()).unwrap();
    let expected = [
        "verdict",
        "why",
        "candidate",
        "champion",
        "recorded",
        "rows_labelled",
        "rows_today",
        "backtest",
        "checks",
        "report",
        "seconds",
        "peak_memory_bytes",
    ];
    assert_eq!(keys(&report), expected);
    assert_eq!(keys(&report.checks[0]), ["name", "verdict", "observed", "limit", "reason"]);
    assert_eq!(keys(&report.backtest[0]), ["day", "days_learned", "normalized_entropy", "calibration"]);
    let tried: Vec<(&str, usize)> = report.backtest.iter().map(|one| (one.day.as_str(), one.days_learned)).collect();
    assert_eq!(tried, [("2026-01-08", 3), ("2026-01-07", 2)], "{report:?}");
    let model = format!("ctr@{version}").parse().unwrap();
    let shown = show(&world.resources(), &ShowRequest { registry, model }).unwrap();
    assert_eq!(shown.gate, Some(report.verdict));
    assert!(report.verdict < Verdict::Fail || report.why.is_some());
}
