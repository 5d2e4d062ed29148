//! dehydrated: one script is its hook for everything.

use std::fs;
use std::path::PathBuf;

use super::{APEX, Client, Deploys, EMAIL, Left, Spot, WILDCARD, told};
use crate::program::{Ran, need_debian};

/// The line of a hook script's `case` that is certferry's.
const DEPLOY: &str =
    r#"deploy_cert | unchanged_cert) certferry hook -- dehydrated "$@" || exit $? ;;"#;

pub(crate) struct Dehydrated {
    program: PathBuf,
    deploys: Deploys,
}

impl Dehydrated {
    pub(crate) fn of_debian(deploys: Deploys) -> Option<Self> {
        Some(Self { program: need_debian("dehydrated", "dehydrated")?, deploys })
    }

    /// As cron does, with these flags.
    pub(crate) fn cron(&self, spot: &Spot, flags: &[&str]) -> Ran {
        let mut args = vec!["--cron", "--domain", APEX, "--domain", WILDCARD];
        args.extend(flags);
        self.run(spot, &args)
    }

    fn run(&self, spot: &Spot, args: &[&str]) -> Ran {
        let mut command = spot.command(&self.program);
        command.arg("--config").arg(spot.at("dehydrated.conf")).args(args);
        spot.run(command)
    }

    fn configure(&self, spot: &Spot) {
        let deploy = match self.deploys {
            Deploys::Yes => told("dehydrated", DEPLOY),
            Deploys::No => "",
        };
        let case = format!(
            r#"case "$1" in
deploy_challenge) exec "$exec" present "_acme-challenge.$2." "$4" ;;
clean_challenge) exec "$exec" cleanup "_acme-challenge.$2." "$4" ;;
{deploy}
esac"#
        );
        let hook = spot.hook("dehydrated-hook", &case);
        let base = spot.at("dehydrated");
        fs::create_dir(&base).unwrap();
        let config = format!(
            "CA={}\nCHALLENGETYPE=dns-01\nHOOK='{}'\nBASEDIR='{}'\nCURL_OPTS='--cacert {}'\n\
             CONTACT_EMAIL={EMAIL}\nKEYSIZE=2048\n",
            spot.directory,
            hook.display(),
            base.display(),
            spot.tls_root.display(),
        );
        fs::write(spot.at("dehydrated.conf"), config).unwrap();
    }
}

impl Client for Dehydrated {
    fn obtain(&self, spot: &Spot) -> Ran {
        self.configure(spot);
        let ran = self.run(spot, &["--register", "--accept-terms"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        self.cron(spot, &[])
    }

    fn again(&self, spot: &Spot) -> Ran {
        self.cron(spot, &["--force"])
    }

    fn left(&self, spot: &Spot) -> Left {
        Left::of(&spot.at("dehydrated/certs/example.test"), ["fullchain.pem", "privkey.pem"])
    }
}
