//! Synthetic impressions: what is written, and the report that `--json` prints.
#![allow(clippy::unwrap_used, missing_docs)]

use clickcast_operations::Resources;
use clickcast_operations::synthesize::{SynthesizeRequest, synthesize};
use clickcast_synth::Settings;
use clickcast_testing::Folder;

#[test]
fn the_report_has_the_keys_of_the_contract() {
    let folder = Folder::default();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let resources = Resources::new(runtime.handle().clone(), Resources::cores()).unwrap();
    let settings = Settings { days: 2, seed: 3, ..Settings::for_rows(2_000) };
    let request = SynthesizeRequest {
        users_out: Some(folder.uri("users.parquet")),
        ads_out: Some(folder.uri("ads.parquet")),
        schema: Some(folder.uri("features.toml")),
        ..SynthesizeRequest::new(settings, folder.uri("days"))
    };
    let mut report = synthesize(&resources, &request, &()).unwrap();
    let written: Vec<String> = folder.files("").into_iter().map(|(name, _)| name).collect();
    let days = ["days/dt=2026-01-05/impressions.parquet", "days/dt=2026-01-06/impressions.parquet"];
    assert_eq!(written, ["ads.parquet", days[0], days[1], "features.toml", "users.parquet"]);
    let bytes: usize = folder.files("days").iter().map(|(_, bytes)| bytes.len()).sum();
    assert_eq!(report.bytes, bytes as u64);

    // What depends on the machine.
    (report.out, report.bytes, report.seconds, report.rows_per_second) = ("days".to_owned(), 1, 1.5, 2.5);
    // Another math library may round the last bits otherwise.
    let optimum = report.optimum.as_mut().unwrap();
    assert!((0.01..0.05).contains(&optimum.true_ctr) && optimum.auc.unwrap() > 0.7, "{optimum:?}");
    (optimum.clicks, optimum.ctr, optimum.true_ctr, optimum.logloss) = (50, 0.5, 0.5, 0.5);
    (optimum.expected_logloss, optimum.base_logloss) = (0.5, 0.5);
    (optimum.normalized_entropy, optimum.auc) = (Some(0.5), Some(0.5));
    insta::assert_json_snapshot!(report, @r#"
    {
      "rows": 2000,
      "users": 1000,
      "ads": 100,
      "days": 2,
      "seed": 3,
      "out": "days",
      "files": 2,
      "bytes": 1,
      "seconds": 1.5,
      "rows_per_second": 2.5,
      "optimum": {
        "rows": 2000,
        "clicks": 50,
        "ctr": 0.5,
        "true_ctr": 0.5,
        "logloss": 0.5,
        "expected_logloss": 0.5,
        "base_logloss": 0.5,
        "normalized_entropy": 0.5,
        "auc": 0.5
      }
    }
    "#);
}
