//! The chart and the Terraform: rendered by Helm's own library, validated against Kubernetes' schemas and KEDA's types, and created
//! at a real API server.
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use clickcast_testing::skip;

/// The oldest version of Kubernetes that the chart supports, and a recent one.
const KUBERNETES: [&str; 2] = ["1.27", "1.34"];
const ENVIRONMENTS: [&str; 3] = ["dev", "stg", "prod"];
/// The values that every environment must set.
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
fn kedas_objects_are_of_its_types() {
    if !installed() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("objects.yaml");
    for environment in ENVIRONMENTS {
        fs::write(&file, rendered(environment, &[])).unwrap();
        let check = helm(&["keda", file.to_str().unwrap()]);
        assert!(check.status.success(), "{environment}: {}", text(&check));
        assert!(text(&check).contains("ScaledObject/clickcast: passed"), "{}", text(&check));
    }
    fs::write(&file, rendered("dev", &[]).replace("scaleTargetRef:", "scaleTarget:")).unwrap();
    let check = helm(&["keda", file.to_str().unwrap()]);
    assert!(!check.status.success() && text(&check).contains("scaleTargetRef"), "{}", text(&check));
}

#[test]
fn an_api_server_takes_every_object_and_every_part_of_it() {
    let Some(server) = ApiServer::start().filter(|_| installed()) else { return };
    let kinds = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/keda.yaml");
    let created = server.create(Path::new(kinds));
    assert!(created.status.success(), "{}", text(&created));
    let file = server.folder.path().join("objects.yaml");
    for environment in ENVIRONMENTS {
        let name = format!("name: {environment}");
        let objects =
            rendered(environment, &["config.LEVEL=high", "secretName=keys", "serviceAccount.annotations.role=arn:x"]);
        fs::write(&file, objects.replace("name: clickcast", &name)).unwrap();
        let created = server.create(&file);
        assert!(created.status.success(), "{environment}: {}", text(&created));
        for kind in ["ConfigMap", "Deployment", "ScaledObject", "ServiceAccount", "TriggerAuthentication"] {
            let line = format!("{kind}/{environment}: created");
            assert!(text(&created).contains(&line), "{line} in {}", text(&created));
        }
    }
    for (name, part, wrong, said) in [
        ("one", "readOnlyRootFilesystem", "readonlyRoot", "Deployment/one: came back without"),
        ("two", "fsGroup: 65532", "fsGroup: -1", "Deployment/two: refused"),
    ] {
        let objects = rendered("dev", &[]).replace("name: clickcast", &format!("name: {name}"));
        fs::write(&file, objects.replace(part, wrong)).unwrap();
        let created = server.create(&file);
        assert!(!created.status.success() && text(&created).contains(said), "{}", text(&created));
    }
}

#[test]
fn the_binary_needs_no_library_that_the_image_lacks() {
    // The libraries of `distroless/cc`, and the kernel's own.
    let had = ["libc.so.6", "libm.so.6", "libgcc_s.so.1", "/lib64/ld-linux-x86-64.so.2", "linux-vdso.so.1"];
    let Ok(listed) = Command::new("ldd").arg(env!("CARGO_BIN_EXE_clickcast")).output() else {
        return skip::because("`ldd` is missing");
    };
    let listed = text(&listed);
    let needed: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(needed.contains(&"libc.so.6"), "{listed}");
    assert!(needed.iter().all(|library| had.contains(library)), "{listed}");
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
        "selectPolicy: Disabled",
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
    let kept = rendered("prod", &["scaling.replicasMin=2"]);
    assert!(kept.contains("stabilizationWindowSeconds: 300") && !kept.contains("selectPolicy"), "{kept}");
    // A release must not reset KEDA's number of workers.
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

/// A Kubernetes API server for one test.
struct ApiServer {
    folder: tempfile::TempDir,
}

impl ApiServer {
    /// Starts a server. Building one takes ten minutes, so CI builds it in the background; on other machines build it by hand.
    fn start() -> Option<Self> {
        if std::env::var_os("CI").is_some() {
            let installed = kube(&["install"]);
            assert!(installed.status.success(), "{}", text(&installed));
        } else if !kube(&["installed"]).status.success() {
            skip::because("no API server is built; `scripts/services/kube.sh install` does it");
            return None;
        }
        let server = Self { folder: tempfile::tempdir().unwrap() };
        let started = kube(&["start", server.folder.path().to_str().unwrap()]);
        assert!(started.status.success(), "{}", text(&started));
        Some(server)
    }

    fn create(&self, objects: &Path) -> Output {
        let kubeconfig = self.folder.path().join("kubeconfig");
        helm(&["create", kubeconfig.to_str().unwrap(), objects.to_str().unwrap()])
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        kube(&["stop", self.folder.path().to_str().unwrap()]);
    }
}

fn kube(arguments: &[&str]) -> Output {
    service("kube.sh", arguments)
}

/// Returns whether Helm's library is installed; if it can't be installed, records the test as skipped.
fn installed() -> bool {
    let installed = helm(&["install"]).status.success();
    if !installed {
        skip::because("Helm's library can't be installed");
    }
    installed
}

/// Returns the rendered objects of an environment.
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
    service("helm.sh", arguments)
}

fn service(script: &str, arguments: &[&str]) -> Output {
    Command::new(skip::workspace_root().join("scripts/services").join(script)).args(arguments).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned()
}
