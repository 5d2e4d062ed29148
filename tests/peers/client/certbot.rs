//! certbot, by its manual hooks.

use std::path::{Path, PathBuf};

use super::{APEX, Client, Deploys, EMAIL, Left, Spot, WILDCARD, told};
use crate::program::{Ran, home, need, need_debian, script};

pub(crate) struct Certbot {
    program: PathBuf,
    deploys: Deploys,
}

impl Certbot {
    pub(crate) fn of_debian(deploys: Deploys) -> Option<Self> {
        Some(Self { program: need_debian("certbot", "certbot")?, deploys })
    }

    pub(crate) fn of_pypi(deploys: Deploys) -> Option<Self> {
        let program = home().join("certbot/bin/certbot");
        let found = program.is_file().then_some(program);
        let remedy =
            "python3 -m venv $CERTFERRY_PEERS_HOME/certbot, then its pip install certbot==5.8.0";
        Some(Self { program: need(found, "newest certbot", remedy)?, deploys })
    }

    /// As its timer does, with these flags; all is well with certbot itself.
    pub(crate) fn renew(&self, spot: &Spot, flags: &[&str]) -> Ran {
        self.run(spot, &[&["renew", "--no-random-sleep-on-renew"], flags].concat())
    }

    fn run(&self, spot: &Spot, args: &[&str]) -> Ran {
        let mut command = spot.command(&self.program);
        command.env("REQUESTS_CA_BUNDLE", &spot.tls_root);
        command.args(args).arg("--non-interactive");
        for name in ["config", "work", "logs"] {
            command.arg(format!("--{name}-dir")).arg(spot.at("certbot").join(name));
        }
        spot.done(command)
    }
}

impl Client for Certbot {
    fn obtain(&self, spot: &Spot) -> Ran {
        let [auth, cleanup] =
            ["present", "cleanup"].map(|verb| hook(&spot.folder, &spot.exec, verb));
        let mut args = vec!["certonly", "--server", &spot.directory];
        args.extend(["--agree-tos", "--email", EMAIL, "--no-eff-email"]);
        args.extend(["--manual", "--preferred-challenges", "dns"]);
        args.extend(["--manual-auth-hook", &auth, "--manual-cleanup-hook", &cleanup]);
        args.extend(["-d", APEX, "-d", WILDCARD]);
        if self.deploys == Deploys::Yes {
            args.extend(told("certbot", "--deploy-hook certferry").split(' '));
        }
        self.run(spot, &args)
    }

    fn again(&self, spot: &Spot) -> Ran {
        self.renew(spot, &["--force-renewal"])
    }

    fn left(&self, spot: &Spot) -> Left {
        let live = spot.at("certbot/config/live/example.test");
        Left::of(&live, ["fullchain.pem", "privkey.pem"])
    }
}

/// A hook of certbot's that lets `exec` put the value, or take it away.
pub(crate) fn hook(folder: &Path, exec: &Path, verb: &str) -> String {
    let text = format!(
        "#!/bin/sh\nexec '{}' {verb} \"_acme-challenge.$CERTBOT_DOMAIN.\" \"$CERTBOT_VALIDATION\"\n",
        exec.display()
    );
    script(&folder.join(verb), &text).display().to_string()
}
