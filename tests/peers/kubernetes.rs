//! The manifest for Kubernetes, as the cluster's own types have it (`kubernetes/main.go`).

use std::fs;
use std::path::Path;
use std::process::Command;

use super::program::{Ran, home, need, run};

const REMEDY: &str = "in an empty folder: go mod init x, tests/peers/kubernetes/main.go, go mod tidy, \
     go build -o $CERTFERRY_PEERS_HOME/bin/kubernetes-types";

/// What the types say of a manifest; none: they are not here.
fn read(manifest: &str) -> Option<Ran> {
    let program = home().join("bin/kubernetes-types");
    let program = need(program.is_file().then_some(program), "Kubernetes' types", REMEDY)?;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("manifest.yaml"), manifest).unwrap();
    let mut command = Command::new(program);
    command.arg(folder.path().join("manifest.yaml"));
    Some(run(command, folder.path()))
}

fn manifest() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/kubernetes/certferry.yaml");
    fs::read_to_string(path).unwrap()
}

#[test]
fn a_cluster_reads_the_manifest() {
    let Some(ran) = read(&manifest()) else { return };
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let kinds = ["ServiceAccount", "ConfigMap", "Secret", "PersistentVolumeClaim", "CronJob"];
    assert_eq!(ran.stdout.lines().collect::<Vec<_>>(), kinds);
}

#[test]
fn and_would_refuse_what_it_does_not_know() {
    let check = |what: &str, written: &str| {
        let changed = manifest().replacen(what, written, 1);
        assert_ne!(changed, manifest(), "{what}");
        let Some(ran) = read(&changed) else { return };
        assert_eq!(ran.code, Some(1), "{written}: {ran:#?}");
    };
    check("concurrencyPolicy", "concurencyPolicy");
    check("backoffLimit: 0", "backoffLimit: none");
    check("storage: 20Gi", "storage: twenty");
    check("fsGroup: 0", "fsgroup: [0]");
}
