//! The cluster's files: rendered by Helm's own library, and checked against Kubernetes' own schemas.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "../../../xtask/src/skip.rs"]
mod skip;

use std::fs;
use std::process::{Command, Output};

/// The oldest Kubernetes that the chart takes, and a recent one.
const KUBERNETES: [&str; 2] = ["1.27", "1.34"];
const ENVIRONMENTS: [&str; 3] = ["dev", "stg", "prod"];
/// What every environment has to be told.
const NEEDED: [&str; 4] = [
    "worker.queue=https://sqs.eu-west-1.amazonaws.com/123456789012/clickcast-work",
    "worker.registry=s3://models/registry",
    "worker.out=s3://ctr/predictions",
    "scaling.region=eu-west-1",
];

#[test]
fn the_chart_is_sound_in_every_environment() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for environment in ENVIRONMENTS {
        let lint = chart("lint", environment, &NEEDED);
        assert!(lint.status.success(), "{environment}: {}", text(&lint));
        let file = folder.path().join(format!("{environment}.yaml"));
        fs::write(&file, rendered(environment, &[])).unwrap();
        for version in KUBERNETES {
            let check = helm(&["check", version, file.to_str().unwrap()]);
            assert!(check.status.success(), "{environment}: {}", text(&check));
            assert!(text(&check).contains("passed for resource deployment/clickcast"), "{}", text(&check));
        }
    }
    let broken = rendered("dev", &[]).replace("readOnlyRootFilesystem", "readonlyRoot");
    let file = folder.path().join("broken.yaml");
    fs::write(&file, broken).unwrap();
    assert!(!helm(&["check", KUBERNETES[0], file.to_str().unwrap()]).status.success());
}

#[test]
fn wrong_values_are_refused_with_their_name() {
    if !installed() {
        return;
    }
    for (value, said) in [
        ("worker.model=champion", "/worker/model"),
        ("worker.queue=", "/worker/queue"),
        ("worker.out=predictions", "/worker/out"),
        ("worker.precision=f16", "/worker/precision"),
        ("scaling.replicaMax=3", "replicaMax"),
        ("scaling.replicasMin=99", "scaling.replicasMin is above scaling.replicasMax"),
        ("worker.queue=sqs://work", "KEDA needs the queue's URL"),
    ] {
        let output = chart("template", "stg", &[&NEEDED[..], &[value]].concat());
        assert!(!output.status.success(), "{value} is taken");
        assert!(text(&output).contains(said), "{value}: {}", text(&output));
    }
}

#[test]
fn workers_come_from_zero_and_may_harm_nothing() {
    if !installed() {
        return;
    }
    let objects = rendered("prod", &["serviceAccount.annotations.role=arn:x", "config.LEVEL=high", "secretName=keys"]);
    for line in [
        "minReplicaCount: 0",
        "scaleOnInFlight: \"true\"",
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "automountServiceAccountToken: false",
        "terminationGracePeriodSeconds: 120",
        "role: arn:x",
        "LEVEL: \"high\"",
        "name: keys",
        "clickcast.io/nodes: inference",
    ] {
        assert!(objects.lines().any(|found| found.trim().trim_start_matches("- ") == line), "{line} in\n{objects}");
    }
    // KEDA's number of workers is not set back by a release.
    assert!(!objects.contains("replicas:"), "{objects}");
    let elsewhere = rendered("dev", &["config.AWS_REGION=eu-north-1"]);
    assert!(elsewhere.contains("AWS_REGION: \"eu-north-1\"") && !objects.contains("eu-north-1"), "{elsewhere}");
    assert_eq!(elsewhere.matches("AWS_REGION:").count(), 1, "{elsewhere}");
    let fixed = rendered("dev", &["scaling.enabled=false", "worker.queue=sqs://work"]);
    assert!(fixed.contains("replicas: 1") && !fixed.contains("keda.sh"), "{fixed}");
}

#[test]
fn terraform_names_only_what_it_declares() {
    if !installed() {
        return;
    }
    let source = skip::workspace_root().join("deploy/aws");
    let sound = helm(&["terraform", source.to_str().unwrap()]);
    assert!(sound.status.success(), "{}", text(&sound));
    let folder = tempfile::tempdir().unwrap();
    for file in fs::read_dir(&source).unwrap().map(Result::unwrap) {
        let content =
            fs::read_to_string(file.path()).unwrap().replace("variable \"retention_s\"", "variable \"kept_s\"");
        fs::write(folder.path().join(file.file_name()), content).unwrap();
    }
    let broken = helm(&["terraform", folder.path().to_str().unwrap()]);
    assert!(
        !broken.status.success() && text(&broken).contains("`var.retention_s` is not declared"),
        "{}",
        text(&broken)
    );
}

/// Whether Helm's library is here; where it can't be had, records the test as skipped.
fn installed() -> bool {
    let installed = helm(&["install"]).status.success();
    if !installed {
        skip::because("Helm's library can't be installed");
    }
    installed
}

/// The objects of an environment.
fn rendered(environment: &str, more: &[&str]) -> String {
    let output = chart("template", environment, &[&NEEDED[..], more].concat());
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout).unwrap()
}

fn chart(act: &str, environment: &str, set: &[&str]) -> Output {
    let folder = skip::workspace_root().join("charts/clickcast");
    let values = folder.join(format!("values-{environment}.yaml"));
    let mut arguments = vec![act, folder.to_str().unwrap(), "-f", values.to_str().unwrap()];
    arguments.extend(set.iter().flat_map(|value| ["--set", value]));
    helm(&arguments)
}

fn helm(arguments: &[&str]) -> Output {
    Command::new(skip::workspace_root().join("scripts/services/helm.sh")).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
