//! uacme: its hook proves only; who calls it deploys.

use std::path::{Path, PathBuf};

use super::{APEX, Client, Deploys, EMAIL, Left, Spot, WILDCARD, glue, told};
use crate::program::{Ran, find, need, need_debian, script};

/// Where Debian's libcurl has its roots; it reads no environment.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

pub(crate) struct Uacme {
    program: PathBuf,
    namespace: &'static str,
    deploys: Deploys,
}

impl Uacme {
    pub(crate) fn of_debian(deploys: Deploys) -> Option<Self> {
        let program = need_debian("uacme", "uacme")?;
        Some(Self { program, namespace: mounts()?, deploys })
    }

    fn run(&self, spot: &Spot, args: &[&str]) -> Ran {
        let mut command = spot.command(Path::new("unshare"));
        let text = format!(r#"mount --bind '{}' {ROOTS} && exec "$@""#, spot.tls_root.display());
        command.arg(self.namespace).args(["sh", "-c", &text, "sh"]);
        match self.deploys {
            Deploys::Yes => {
                told("uacme", "certferry-uacme -h");
                let ours = spot.at("certferry-uacme");
                command.arg(script(&ours, &glue("uacme/certferry-uacme")));
            }
            Deploys::No => {
                command.arg(&self.program);
            }
        }
        command.args(["--acme-url", &spot.directory, "--confdir"]).arg(spot.at("uacme")).args(args);
        spot.run(command)
    }

    fn issue(&self, spot: &Spot, flags: &[&str]) -> Ran {
        let hook = spot.hook(
            "uacme-hook",
            r#"case "$1 $2" in
"begin dns-01") exec "$exec" present "_acme-challenge.$3." "$5" ;;
"done dns-01" | "failed dns-01") exec "$exec" cleanup "_acme-challenge.$3." "$5" ;;
esac
exit 1"#,
        );
        let args = ["--no-ocsp", "-h", hook.to_str().unwrap(), "issue", APEX, WILDCARD];
        self.run(spot, &[flags, &args].concat())
    }
}

impl Client for Uacme {
    fn obtain(&self, spot: &Spot) -> Ran {
        let ran = self.run(spot, &["--yes", "new", EMAIL]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        self.issue(spot, &[])
    }

    fn again(&self, spot: &Spot) -> Ran {
        self.issue(spot, &["--force"])
    }

    fn left(&self, spot: &Spot) -> Left {
        let folder = spot.at("uacme");
        Left::of(&folder, ["example.test/cert.pem", "private/example.test/key.pem"])
    }
}

/// The flag by which unshare gives a program mounts of its own: root's, or by a user namespace.
pub(crate) fn mounts() -> Option<&'static str> {
    let works = |flag: &&str| {
        let mut command = std::process::Command::new("unshare");
        command.args([flag, "sh", "-c"]).arg(format!("mount --bind {ROOTS} {ROOTS}"));
        command.output().is_ok_and(|output| output.status.success())
    };
    let found = find("unshare").and_then(|_| ["-m", "-rm"].into_iter().find(works));
    need(found, "private mounts", "root, or user namespaces, and ca-certificates")
}
