//! The manifest for Kubernetes: as the cluster's own types have it (`kubernetes/main.go`), and what its pod may do.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use certferry_sandbox::cloud::{Oidc, Role};
use certferry_sandbox::world::{OIDC_TOKEN, ROLE, World};

use super::program::{Ran, home, need, need_debian, run};

const REMEDY: &str = "in an empty folder: go mod init x, tests/peers/kubernetes/main.go, go mod tidy, \
     go build -o $CERTFERRY_PEERS_HOME/bin/kubernetes-types";

/// What of the manifest these tests do as a cluster does it.
const SAID: [&str; 4] =
    ["runAsUser: 65532", "runAsGroup: 65532", "fsGroup: 0", "fsGroupChangePolicy: OnRootMismatch"];

fn manifest() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging/kubernetes/certferry.yaml");
    fs::read_to_string(path).unwrap()
}

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

/// A pod's files, as the kubelet mounts them, and a world outside.
struct Pod {
    // The world ends before its folder.
    world: World,
    folder: tempfile::TempDir,
    env: Vec<(&'static str, String)>,
}

impl Pod {
    /// With the AccessKey's secret in the Secret; none: only root can be somebody else.
    fn new() -> Option<Self> {
        need(rustix::process::geteuid().is_root().then_some(()), "root", "run them as root")?;
        need_debian("setpriv", "util-linux")?;
        for said in SAID {
            assert!(manifest().contains(&format!(" {said}\n")), "{said}");
        }
        let pod = Self {
            world: World::start(),
            folder: tempfile::tempdir().unwrap(),
            env: vec![("PATH", "/usr/bin:/bin".to_owned())],
        };
        fs::copy(env!("CARGO_BIN_EXE_certferry"), pod.path("certferry")).unwrap();
        let config = pod.world.config(&pod.path("etc"));
        let (made, mounted) = (pod.path("etc/store"), pod.path("data/store"));
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, text.replace(made.to_str().unwrap(), mounted.to_str().unwrap()))
            .unwrap();
        fs::create_dir(pod.path("data")).unwrap();
        // defaultMode 0400, and what fsGroup makes of it; a volume is its group's to write.
        for (name, mode) in [("etc/aliyun.secret", 0o440), ("data", 0o2775), (".", 0o755)] {
            fs::set_permissions(pod.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        Some(pod)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// No AccessKey, but a token of the pod's own.
    fn by_rrsa(mut self) -> Self {
        fs::remove_file(self.path("etc/aliyun.secret")).unwrap();
        let config = self.path("etc/config.toml");
        let text = fs::read_to_string(&config).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("access_key"));
        fs::write(&config, lines.map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        fs::write(self.path("token"), OIDC_TOKEN).unwrap();
        self.env.push(("ALIBABA_CLOUD_ROLE_ARN", Role::new(ROLE).arn()));
        self.env.push(("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", Oidc::new(ROLE).arn));
        let token = self.path("token").display().to_string();
        self.env.push(("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token));
        self
    }

    /// `certferry renew` as the container runs it: nobody's user, fsGroup beside, no capability.
    fn renew(&self) -> Ran {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65532", "--regid=65532", "--groups=0", "--no-new-privs"]);
        command.args(["--inh-caps=-all", "--bounding-set=-all"]);
        command.arg(self.path("certferry")).arg("renew");
        command.env_clear().envs(self.env.iter().map(|(name, value)| (name, value)));
        command.env("CERTFERRY_CONFIG", self.path("etc/config.toml"));
        run(command, self.folder.path())
    }
}

fn check(pod: &Pod) {
    let first = pod.renew();
    assert_eq!(first.code, Some(0), "{first:#?}");
    assert!(first.stdout.contains("1 issued, 2 deployed"), "{first:#?}");
    let second = pod.renew();
    assert_eq!(second.code, Some(0), "{second:#?}");
    assert!(second.stdout.contains("2 in step"), "{second:#?}");
}

#[test]
fn a_pod_with_a_secret() {
    let Some(pod) = Pod::new() else { return };
    check(&pod);
    // fsGroupChangePolicy: Always.
    let mut chmod = Command::new("chmod");
    chmod.args(["-R", "g+rwX"]).arg(pod.path("data"));
    assert_eq!(run(chmod, pod.folder.path()).code, Some(0));
    let refused = pod.renew();
    assert_eq!(refused.code, Some(1), "{refused:#?}");
    assert!(refused.stderr.contains("others may write the store"), "{refused:#?}");
}

#[test]
fn a_pod_by_rrsa() {
    let Some(pod) = Pod::new() else { return };
    let pod = pod.by_rrsa();
    check(&pod);
    assert!(!pod.world.cloud.calls("AssumeRoleWithOIDC").is_empty());
}
