//! `cargo xtask layers`: which crate may use which, as a command that fails (decision 0001).

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::steps::cargo;

/// Every crate, lowest first, and the crates of ours that it may use, which are in rows above its own. The binary
/// `clickcast` may use all. `xtask` uses `testing` alone, which uses none, because it has to build when the others do not.
/// Dev-dependencies are not counted.
const LAYERS: &[(&str, &[&str])] = &[
    ("testing", &[]),
    ("record", &[]),
    ("kernel", &[]),
    ("model", &["record", "kernel"]),
    ("learn", &["record", "kernel", "model"]),
    ("storage", &[]),
    ("synth", &["record", "model"]),
    ("dataset", &["record", "storage"]),
    ("report", &[]),
    ("verdict", &[]),
    ("gate", &["record", "model", "report", "verdict"]),
    ("registry", &["record", "model", "storage", "verdict"]),
    ("job", &["record", "model", "dataset", "registry", "storage", "verdict"]),
    (
        "operations",
        &["record", "model", "learn", "storage", "synth", "dataset", "report", "verdict", "gate", "registry", "job"],
    ),
    ("telemetry", &[]),
    ("leader", &[]),
    ("scaler", &["storage", "leader", "report"]),
    ("server", &["record", "model", "registry", "report"]),
    (BINARY, &[]),
    ("xtask", &["testing"]),
];

const BINARY: &str = "clickcast";

/// Libraries that are walled in: the only crates that may use them. A name that ends in `*` stands for a family.
const WALLS: &[(&str, &[&str])] = &[
    ("arrow-cast", &["dataset"]),
    ("arrow-csv", &["dataset"]),
    ("parquet", &["dataset"]),
    ("object_store", &["storage"]),
    ("safetensors", &["model"]),
    ("aws-*", &["storage"]),
    ("rusqlite", &["storage"]),
    ("maud", &["report"]),
    ("kube", &["leader", "scaler"]),
    ("axum", &["telemetry", "server"]),
    ("prometheus-client", &["telemetry"]),
    ("opentelemetry*", &["telemetry"]),
    ("clap", &[BINARY, "xtask"]),
];

/// The crates that may contain `unsafe`. All others inherit the workspace's lints, which forbid it. These repeat the
/// workspace's lints without that one, and add [`UNSAFE_LINT`].
const UNSAFE_CRATES: &[&str] = &["kernel"];

/// The lint that the crates with `unsafe` have in addition.
const UNSAFE_LINT: &str = "undocumented_unsafe_blocks";

/// What the check has to know of a crate.
#[derive(Clone, Debug, Default)]
struct Crate {
    /// The package's name, as in `clickcast-record`.
    package: String,
    /// Its folder from the root, as in `crates/record`.
    folder: String,
    /// Packages that it needs to run or to be built; what only its tests need does not count.
    dependencies: Vec<String>,
    /// Whether its manifest says `[lints] workspace = true`.
    inherits_lints: bool,
    /// The lints that its own manifest sets, as in `clippy::all`.
    lints: Vec<String>,
}

impl Crate {
    fn name(&self) -> &str {
        short_name(&self.package).unwrap_or(&self.package)
    }
}

/// Compares the workspace with the tables above, and draws its crates.
///
/// # Errors
/// Every dependency, name or lint setting that the tables do not allow.
pub(crate) fn check_workspace() -> Result<()> {
    let crates = read_workspace()?;
    let manifest = fs::read_to_string(crate::root().join("Cargo.toml")).context("cannot read `Cargo.toml`")?;
    let manifest: toml::Table = manifest.parse().context("`Cargo.toml`")?;
    let workspace_lints = manifest.get("workspace").and_then(|workspace| workspace.get("lints"));
    let mut problems = check(&crates);
    problems.extend(own_lints(&crates, &lint_names(workspace_lints)));
    if !problems.is_empty() {
        bail!("the layers are broken (see `xtask/src/layers.rs`):\n  {}", problems.join("\n  "));
    }
    print!("{}", draw(&crates));
    Ok(())
}

/// Every way in which these crates break the tables.
fn check(crates: &[Crate]) -> Vec<String> {
    crates.iter().flat_map(|this| [names(this), layers(this), walls(this)].concat()).collect()
}

/// A crate's place and lints.
fn names(this: &Crate) -> Vec<String> {
    let name = this.name();
    let mut problems = Vec::new();
    let expected = if name == "xtask" { "xtask".to_owned() } else { format!("crates/{name}") };
    if this.folder != expected {
        problems.push(format!("`{}` lies in `{}`; its folder is `{expected}`", this.package, this.folder));
    }
    if !this.inherits_lints && !UNSAFE_CRATES.contains(&name) {
        problems.push(format!("`{name}` does not inherit the lints; add `[lints] workspace = true`"));
    }
    problems
}

/// The lints of the workspace, other than the ban on `unsafe`, that crates with lints of their own lack.
fn own_lints(crates: &[Crate], workspace_lints: &[String]) -> Vec<String> {
    let unsafe_lint = format!("clippy::{UNSAFE_LINT}");
    let mut problems = Vec::new();
    for this in crates.iter().filter(|this| !this.inherits_lints) {
        let expected = workspace_lints.iter().filter(|lint| *lint != "rust::unsafe_code").chain([&unsafe_lint]);
        for lint in expected.filter(|lint| !this.lints.contains(lint)) {
            problems.push(format!("`{}` lacks the lint `{lint}`; add it to its `[lints]`", this.name()));
        }
    }
    problems
}

/// The names in a manifest's table of lints, as in `clippy::all`.
fn lint_names(lints: Option<&toml::Value>) -> Vec<String> {
    let tools = lints.and_then(toml::Value::as_table).into_iter().flatten();
    let names = tools.flat_map(|(tool, lints)| {
        let names = lints.as_table().into_iter().flat_map(toml::Table::keys);
        names.map(move |name| format!("{tool}::{name}"))
    });
    names.collect()
}

/// A crate's dependencies on ours.
fn layers(this: &Crate) -> Vec<String> {
    let name = this.name();
    let Some((_, may_use)) = LAYERS.iter().find(|(crate_name, _)| *crate_name == name) else {
        return vec![format!("`{name}` has no row in the table of layers")];
    };
    let ours = this.dependencies.iter().filter_map(|package| short_name(package));
    let forbidden = ours.filter(|used| name != BINARY && !may_use.contains(used));
    forbidden.map(|used| format!("`{name}` uses `{used}`; it may use {}", listed(may_use))).collect()
}

/// A crate's dependencies on walled-in libraries.
fn walls(this: &Crate) -> Vec<String> {
    let name = this.name();
    let mut problems = Vec::new();
    for dependency in &this.dependencies {
        let wall = WALLS.iter().find(|(library, _)| match library.strip_suffix('*') {
            Some(family) => dependency.starts_with(family),
            None => dependency == library,
        });
        if let Some((_, inside)) = wall.filter(|(_, inside)| !inside.contains(&name)) {
            problems.push(format!("`{name}` uses the library `{dependency}`; only {} may", listed(inside)));
        }
    }
    problems
}

/// `record` for `clickcast-record`; `None` for a package that is not ours.
fn short_name(package: &str) -> Option<&str> {
    match package {
        BINARY | "xtask" => Some(package),
        _ => package.strip_prefix("clickcast-"),
    }
}

fn listed(names: &[&str]) -> String {
    if names.is_empty() {
        return "none of our crates".to_owned();
    }
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

/// The crates in the table's order, each with an arrow to what it uses.
fn draw(crates: &[Crate]) -> String {
    let mut picture = String::new();
    for (name, _) in LAYERS {
        let Some(this) = crates.iter().find(|this| this.name() == *name) else { continue };
        let mut used: Vec<&str> = this.dependencies.iter().filter_map(|package| short_name(package)).collect();
        used.sort_by_key(|used| LAYERS.iter().position(|(name, _)| name == used));
        let arrow = if used.is_empty() { String::new() } else { format!(" -> {}", used.join(", ")) };
        picture.push_str(format!("  {name:<10}{arrow}").trim_end());
        picture.push('\n');
    }
    picture
}

fn read_workspace() -> Result<Vec<Crate>> {
    let output = cargo(&["metadata", "--no-deps", "--format-version", "1", "--locked"]).output()?;
    if !output.status.success() {
        bail!("`cargo metadata` failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("`cargo metadata` did not print JSON")?;
    metadata["packages"].as_array().into_iter().flatten().map(read_crate).collect()
}

fn read_crate(package: &Value) -> Result<Crate> {
    let manifest = Path::new(package["manifest_path"].as_str().context("a package without a manifest")?);
    let text = fs::read_to_string(manifest).with_context(|| format!("cannot read `{}`", manifest.display()))?;
    let table: toml::Table = text.parse().with_context(|| format!("`{}`", manifest.display()))?;
    let lints = table.get("lints");
    let inherits = lints.and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
    let folder = manifest.parent().context("a manifest without a folder")?;
    let dependencies = package["dependencies"].as_array().into_iter().flatten();
    let needed = dependencies.filter(|dependency| dependency["kind"] != "dev");
    Ok(Crate {
        package: package["name"].as_str().unwrap_or_default().to_owned(),
        folder: folder.strip_prefix(crate::root()).unwrap_or(folder).to_string_lossy().into_owned(),
        dependencies: needed.filter_map(|dependency| Some(dependency["name"].as_str()?.to_owned())).collect(),
        inherits_lints: inherits == Some(true),
        lints: lint_names(lints),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A well-placed crate with these dependencies.
    fn placed(package: &str, dependencies: &[&str]) -> Crate {
        let name = short_name(package).unwrap_or(package);
        Crate {
            package: package.to_owned(),
            folder: if name == "xtask" { name.to_owned() } else { format!("crates/{name}") },
            dependencies: dependencies.iter().map(|name| (*name).to_owned()).collect(),
            inherits_lints: true,
            lints: Vec::new(),
        }
    }

    #[test]
    fn the_table_only_looks_up() {
        for (row, (name, uses)) in LAYERS.iter().enumerate() {
            for used in *uses {
                let above = LAYERS[..row].iter().any(|(name, _)| name == used);
                assert!(above, "`{name}` may use `{used}`, which does not stand above it");
            }
        }
        for (library, inside) in WALLS {
            for name in *inside {
                assert!(
                    LAYERS.iter().any(|(layer, _)| layer == name),
                    "`{library}` is walled into an unknown `{name}`"
                );
            }
        }
    }

    #[test]
    fn only_what_the_table_names_may_be_used() {
        let rows: &[(&str, &[&str], Option<&str>)] = &[
            ("clickcast-record", &["arrow-array", "serde"], None),
            ("clickcast-model", &["clickcast-record", "clickcast-kernel"], None),
            ("clickcast-dataset", &["clickcast-record", "clickcast-storage", "parquet"], None),
            ("clickcast", &["clickcast-learn", "clickcast-report", "clap"], None),
            ("xtask", &["clap"], None),
            ("clickcast-record", &["clickcast-kernel"], Some("`record` uses `kernel`; it may use none of our crates")),
            ("clickcast-model", &["clickcast-learn"], Some("`model` uses `learn`; it may use `record`, `kernel`")),
            ("clickcast-report", &["clickcast"], Some("`report` uses `clickcast`; it may use none of our crates")),
            ("xtask", &["clickcast-record"], Some("`xtask` uses `record`; it may use `testing`")),
            (
                "clickcast-dataset",
                &["object_store"],
                Some("`dataset` uses the library `object_store`; only `storage` may"),
            ),
            ("clickcast", &["parquet"], Some("`clickcast` uses the library `parquet`; only `dataset` may")),
            ("clickcast-learn", &["aws-config"], Some("`learn` uses the library `aws-config`; only `storage` may")),
            ("clickcast-learn", &["clap"], Some("`learn` uses the library `clap`; only `clickcast`, `xtask` may")),
            ("clickcast-attic", &[], Some("`attic` has no row in the table of layers")),
        ];
        for (package, dependencies, expected) in rows {
            let problems = check(&[placed(package, dependencies)]);
            assert_eq!(problems.first().map(String::as_str), *expected, "{package} -> {dependencies:?}");
        }
    }

    #[test]
    fn a_crate_lies_in_the_folder_of_its_name_and_inherits_the_lints() {
        let model = placed("clickcast-model", &[]);
        let moved = Crate { folder: "crates/models".to_owned(), ..model.clone() };
        assert_eq!(check(&[moved]), ["`clickcast-model` lies in `crates/models`; its folder is `crates/model`"]);
        let lax = Crate { inherits_lints: false, ..model };
        assert_eq!(check(&[lax]), ["`model` does not inherit the lints; add `[lints] workspace = true`"]);
        let kernel = Crate { inherits_lints: false, ..placed("clickcast-kernel", &[]) };
        assert_eq!(check(&[kernel]), Vec::<String>::new());
    }

    #[test]
    fn a_crate_with_unsafe_has_all_other_lints_of_the_workspace() {
        let workspace = ["rust::unsafe_code", "clippy::all"].map(str::to_owned);
        let lints = |names: &[&str]| names.iter().map(|name| format!("clippy::{name}")).collect();
        let kernel = Crate { inherits_lints: false, ..placed("clickcast-kernel", &[]) };
        let whole = Crate { lints: lints(&["all", UNSAFE_LINT]), ..kernel.clone() };
        assert_eq!(own_lints(&[whole, placed("clickcast-model", &[])], &workspace), Vec::<String>::new());
        let lax = Crate { lints: lints(&[UNSAFE_LINT]), ..kernel };
        assert_eq!(own_lints(&[lax], &workspace), ["`kernel` lacks the lint `clippy::all`; add it to its `[lints]`"]);
    }

    #[test]
    fn every_problem_is_told_at_once() {
        let record = placed("clickcast-record", &["clickcast-model", "parquet"]);
        let report = placed("clickcast-report", &["clickcast-model"]);
        assert_eq!(check(&[record, report]).len(), 3);
    }

    #[test]
    fn the_drawing_follows_the_table() {
        let crates = [
            placed("clickcast", &["clickcast-model", "clickcast-record", "clap"]),
            placed("clickcast-model", &["serde", "clickcast-record"]),
            placed("clickcast-record", &[]),
        ];
        assert_eq!(draw(&crates), "  record\n  model      -> record\n  clickcast  -> record, model\n");
    }

    #[test]
    fn the_workspace_is_read_with_its_edges() {
        let crates = read_workspace().expect("cargo metadata runs here");
        let dataset = crates.iter().find(|this| this.name() == "dataset").expect("`dataset` is a member");
        assert_eq!(dataset.folder, "crates/dataset");
        assert!(dataset.inherits_lints);
        assert!(dataset.dependencies.contains(&"clickcast-record".to_owned()), "{dataset:?}");
    }
}
