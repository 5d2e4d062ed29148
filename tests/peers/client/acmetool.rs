//! acmetool: it calls whatever lies in its folder of hooks, for each event.

use std::fs;
use std::path::PathBuf;

use super::{Client, Deploys, EMAIL, Left, Spot, WILDCARD, glue};
use crate::program::{Ran, need_debian, script};

pub(crate) struct Acmetool {
    program: PathBuf,
    deploys: Deploys,
}

impl Acmetool {
    pub(crate) fn of_debian(deploys: Deploys) -> Option<Self> {
        Some(Self { program: need_debian("acmetool", "acmetool")?, deploys })
    }

    /// Its hooks folder holds nothing but the hook that deploys.
    pub(crate) fn obtain_alone(&self, spot: &Spot) -> Ran {
        self.configure(spot);
        fs::remove_file(spot.at("acme-hooks/challenges")).unwrap();
        self.run(spot, &["reconcile"])
    }

    /// Calls its hooks as if the certificate were new.
    pub(crate) fn notify(&self, spot: &Spot) -> Ran {
        self.run(spot, &["test-notify", WILDCARD])
    }

    fn run(&self, spot: &Spot, args: &[&str]) -> Ran {
        let mut command = spot.command(&self.program);
        command.env("SSL_CERT_FILE", &spot.tls_root).arg("--batch").args(args);
        command.arg("--state").arg(spot.at("acme")).arg("--hooks").arg(spot.at("acme-hooks"));
        spot.run(command)
    }

    fn configure(&self, spot: &Spot) {
        let (state, hooks) = (spot.at("acme"), spot.at("acme-hooks"));
        for folder in [state.join("conf"), state.join("desired"), hooks.clone()] {
            fs::create_dir_all(folder).unwrap();
        }
        let target = format!("request:\n  provider: {}\n", spot.directory);
        fs::write(state.join("conf/target"), target).unwrap();
        let responses = format!(
            "\"acme-enter-email\": \"{EMAIL}\"\n\
             \"acme-agreement:data:text/plain,Do%20what%20thou%20wilt\": true\n"
        );
        fs::write(state.join("conf/responses"), responses).unwrap();
        // Of a name without a star it would listen at port 80 of every address.
        fs::write(state.join("desired").join(WILDCARD), "").unwrap();
        let challenges = spot.hook(
            "acme-hooks/challenges",
            r#"case "$1" in
challenge-dns-start) exec "$exec" present "_acme-challenge.$2." "$4" ;;
challenge-dns-stop) exec "$exec" cleanup "_acme-challenge.$2." "$4" ;;
esac
exit 42"#,
        );
        if self.deploys == Deploys::Yes {
            script(&challenges.with_file_name("certferry"), &glue("acmetool/certferry"));
        }
    }
}

impl Client for Acmetool {
    fn obtain(&self, spot: &Spot) -> Ran {
        self.configure(spot);
        self.run(spot, &["reconcile"])
    }

    fn again(&self, spot: &Spot) -> Ran {
        // It knows no force: what it does not find, it obtains.
        fs::remove_dir_all(fs::canonicalize(spot.at("acme/live").join(WILDCARD)).unwrap()).unwrap();
        self.run(spot, &["reconcile"])
    }

    fn left(&self, spot: &Spot) -> Left {
        Left::of(&spot.at("acme/live").join(WILDCARD), ["fullchain", "privkey"])
    }
}
