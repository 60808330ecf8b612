//! Runs the README's tour, the concepts page and the tutorial exactly as written.
#![allow(clippy::unwrap_used, missing_docs)]

mod support;

use std::path::Path;
use std::process::Command;

use clickcast_testing::skip;
use support::World;

/// Returns the text of a document's shell blocks.
fn shell(document: &str) -> String {
    let text = std::fs::read_to_string(skip::workspace_root().join(document)).unwrap();
    let (mut inside, mut script) = (false, String::new());
    for line in text.lines() {
        match (line.starts_with("```"), inside) {
            (true, false) => inside = line == "```sh",
            (true, true) => inside = false,
            (false, true) => script += &format!("{line}\n"),
            (false, false) => {}
        }
    }
    script
}

/// Runs a script in an empty folder with `clickcast` on the path, and returns its output.
fn typed(world: &World, script: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_clickcast")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-c", script])
        .current_dir(world.path(""))
        .env("PATH", path)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{printed}{}", String::from_utf8_lossy(&output.stderr));
    printed
}

#[test]
fn the_tour_of_the_readme_works_as_typed() {
    // The binary is built already, and the reader's own model doesn't exist here.
    let lines = shell("README.md");
    let lines = lines.lines().filter(|line| !line.starts_with("cargo ") && !line.contains("your-model"));
    let script: String = lines.map(|line| format!("{line}\n")).collect();
    assert!(script.lines().count() >= 6, "{script}");
    let world = World::new();
    let printed = typed(&world, &script);
    for expected in ["auc", "skipped", "Usage: clickcast"] {
        assert!(printed.contains(expected), "`{expected}` in: {printed}");
    }
    assert_eq!(world.files("predictions").len(), 1);
    assert_eq!(world.files("best").len(), 1);
    assert_eq!(world.files("all").len(), 3);
}

#[test]
fn the_tutorial_works_as_typed_and_predicts_as_lightgbm_does() {
    let Some(bank) = skip::shared_data("bank-additional-full.csv.gz") else { return };
    let script =
        shell("docs/tutorial.md").replace("../shared/data/bank-additional-full.csv.gz", bank.to_str().unwrap());
    assert!(script.contains(bank.to_str().unwrap()), "the tutorial names its data");
    let world = World::new();
    let printed = typed(&world, &script);
    assert!(printed.contains("12357 rows, largest difference 0.0e+00"), "{printed}");
}

#[test]
fn the_concepts_example_works_as_typed() {
    let world = World::new();
    let printed = typed(&world, &shell("docs/concepts.md"));
    assert!(printed.contains("published"), "{printed}");
    assert_eq!(world.files("out/runs/dt=2026-01-07/ctr").len(), 1);
    assert_eq!(world.files("out/runs/dt=2026-01-06/ctr").len(), 1);
}
