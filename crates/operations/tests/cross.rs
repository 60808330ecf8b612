//! Users and ads crossed by library calls: the report is the command's `--json`, key by key.
#![allow(clippy::unwrap_used, missing_docs)]

use std::path::Path;
use std::sync::Mutex;

use clickcast_model::factors::FactorFamily;
use clickcast_operations::cross::{CrossReport, CrossRequest, Per, cross};
use clickcast_operations::train::{TrainRequest, train};
use clickcast_operations::{Error, Kind, ModelLocation, Observer, Resources, Stage, Unit};
use clickcast_record::Precision;

const SCHEMA: &str = "label = \"click\"\nid = [\"user\", \"ad\"]\n\
    [[feature]]\nname = \"age\"\nkind = \"numeric\"\nside = \"user\"\n\
    [[feature]]\nname = \"size\"\nkind = \"categorical\"\nside = \"ad\"\n\
    [[feature]]\nname = \"site\"\nkind = \"categorical\"\n";

/// A folder with a model of 400 rows, 20 users and 10 ads.
struct World {
    folder: tempfile::TempDir,
    resources: Resources,
    _runtime: tokio::runtime::Runtime,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let resources = Resources::new(runtime.handle().clone(), Resources::cores()).unwrap();
        let world = Self { folder: tempfile::tempdir().unwrap(), resources, _runtime: runtime };
        let rows = (0..400).map(|row| {
            let click = u8::from(row % 7 == 0 || row % 20 == 3);
            format!("u{},a{},{},s{},web{},{click}\n", row % 20, row % 10, 20 + row % 20, row % 3, row % 2)
        });
        world.write("rows.csv", &format!("user,ad,age,size,site,click\n{}", rows.collect::<String>()));
        let users = (0..20).map(|user| format!("u{user},{}\n", 20 + user));
        world.write("users.csv", &format!("user,age\n{}", users.collect::<String>()));
        let ads = (0..10).map(|ad| format!("a{ad},s{}\n", ad % 3));
        world.write("ads.csv", &format!("ad,size\n{}", ads.collect::<String>()));
        world.write("features.toml", SCHEMA);
        let schema = world.folder.path().join("features.toml");
        let request = TrainRequest::new(world.uri("rows.csv"), schema, FactorFamily::Lr, world.uri("model"));
        train(&world.resources, &request, &()).unwrap();
        world
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn uri(&self, name: &str) -> String {
        Path::new(self.folder.path()).join(name).to_str().unwrap().to_owned()
    }

    fn request(&self, out: &str) -> CrossRequest {
        CrossRequest {
            model: ModelLocation::folder(self.uri("model")),
            users: self.uri("users.csv"),
            ads: self.uri("ads.csv"),
            context: vec!["site=web1".to_owned()],
            pairs_table: None,
            out: self.uri(out),
            top_k: None,
            per: None,
            threshold: None,
            precision: Precision::F32,
            id: Vec::new(),
        }
    }

    fn cross(&self, request: &CrossRequest, observer: &dyn Observer) -> Result<CrossReport, Error> {
        cross(&self.resources, request, observer)
    }
}

/// Remembers what it is told, and cancels if it is to.
#[derive(Default)]
struct Listener {
    told: Mutex<Vec<String>>,
    cancels: bool,
}

impl Observer for Listener {
    fn begin(&self, stage: &Stage) {
        assert_eq!((stage.name, stage.unit), ("cross", Unit::Pairs));
        self.note(&format!("{:?} pairs", stage.total));
    }

    fn advance(&self, count: u64) {
        self.note(&format!("{count} done"));
    }

    fn note(&self, sentence: &str) {
        self.told.lock().unwrap().push(sentence.to_owned());
    }

    fn is_cancelled(&self) -> bool {
        self.cancels
    }
}

#[test]
fn the_report_has_the_keys_of_the_command() {
    let world = World::new();
    let report = world.cross(&world.request("all"), &()).unwrap();
    let scrubbed = CrossReport {
        seconds: 1.5,
        rows_per_second: 133.0,
        peak_memory_bytes: Some(1 << 20),
        model: "[path]".to_owned(),
        id: "[hash]".to_owned(),
        out: "[path]".to_owned(),
        ..report
    };
    insta::assert_json_snapshot!(scrubbed);
    let again = world.cross(&world.request("all"), &()).unwrap();
    assert_eq!((again.files, again.skipped, again.rows), (0, 1, 0));
}

#[test]
fn the_best_pairs_of_each_side_are_kept() {
    let world = World::new();
    for (per, precision, written) in
        [(None, Precision::F32, 40), (Some(Per::User), Precision::F64, 40), (Some(Per::Ad), Precision::F32, 20)]
    {
        let out = format!("best-{per:?}");
        let request = CrossRequest { top_k: Some(2), per, precision, ..world.request(&out) };
        let report = world.cross(&request, &()).unwrap();
        assert_eq!((report.rows, report.written), (200, written), "{per:?}");
    }
}

#[test]
fn an_observer_is_told_of_pairs_and_of_unknown_categories_and_may_cancel() {
    let world = World::new();
    let listener = Listener::default();
    let request = CrossRequest { context: vec!["site=elsewhere".to_owned()], ..world.request("unknown") };
    world.cross(&request, &listener).unwrap();
    let told = listener.told.into_inner().unwrap();
    assert!(told[0].contains("has not learned the category `elsewhere` of column `site`"), "{told:?}");
    assert_eq!(told[1..], ["None pairs", "200 done"]);

    let listener = Listener { cancels: true, ..Listener::default() };
    let error = world.cross(&world.request("cancelled"), &listener).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
    assert!(!world.folder.path().join("cancelled/users.csv.parquet").exists());
}

#[test]
fn what_does_not_fit_is_the_requests_fault() {
    let world = World::new();
    let refused = |request: CrossRequest, said: &str| {
        let error = world.cross(&request, &()).unwrap_err();
        assert!(error.kind() == Kind::Invalid && error.to_string().contains(said), "{error}");
    };
    refused(CrossRequest { context: Vec::new(), ..world.request("x") }, "`--context site=VALUE`");
    refused(CrossRequest { ads: world.uri("users.csv"), ..world.request("x") }, "is in both the users");
    refused(CrossRequest { out: world.uri(""), ..world.request("x") }, "is the folder of the input");
}
