//! acme.sh, by its documented contract: dehydrated issues, the files lie as acme.sh lays them, `acme.sh` here calls.

use std::fs;

use super::{Client, Dehydrated, Deploys, Left, Spot, glue, told};
use crate::program::{Ran, script};

/// How acme.sh is told to call certferry.
#[derive(Clone, Copy)]
pub(crate) enum Wired {
    /// `--deploy-hook certferry`, with the file of ours in its folder, and these CDN domains at the first call.
    DeployHook(&'static str),
    /// `--reloadcmd`.
    ReloadCmd,
}

pub(crate) struct AcmeSh {
    issuer: Dehydrated,
    wired: Wired,
}

impl AcmeSh {
    pub(crate) fn by_contract(wired: Wired) -> Option<Self> {
        Some(Self { issuer: Dehydrated::of_debian(Deploys::No)?, wired })
    }

    /// Lays what was issued where acme.sh has it, and calls.
    fn install(&self, spot: &Spot, issued: &Ran) -> Ran {
        assert_eq!(issued.code, Some(0), "{issued:#?}");
        let home = spot.at(".acme.sh");
        let is_first = !home.exists();
        let (folder, hooks) = (home.join("example.test"), home.join("deploy"));
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(&hooks).unwrap();
        let from = spot.at("dehydrated/certs/example.test");
        let files = [
            ("privkey.pem", "example.test.key"),
            ("cert.pem", "example.test.cer"),
            ("chain.pem", "ca.cer"),
            ("fullchain.pem", "fullchain.cer"),
        ];
        for (theirs, name) in files {
            fs::copy(from.join(theirs), folder.join(name)).unwrap();
        }
        let mut command = spot.command(&script(&spot.at("acme.sh"), include_str!("acme.sh")));
        match self.wired {
            Wired::DeployHook(domains) => {
                if is_first {
                    command.env(told("acme.sh", "CERTFERRY_DOMAINS"), domains);
                }
                let hook = hooks.join("certferry.sh");
                fs::write(&hook, glue("acme.sh/certferry.sh")).unwrap();
                command.args(["deploy", "certferry"]).arg(hook);
            }
            Wired::ReloadCmd => {
                told("acme.sh", "--reloadcmd \"certferry hook\"");
                command.args(["reload", "certferry hook"]);
            }
        }
        spot.run(command)
    }
}

impl Client for AcmeSh {
    fn obtain(&self, spot: &Spot) -> Ran {
        self.install(spot, &self.issuer.obtain(spot))
    }

    fn again(&self, spot: &Spot) -> Ran {
        self.install(spot, &self.issuer.again(spot))
    }

    fn left(&self, spot: &Spot) -> Left {
        Left::of(&spot.at(".acme.sh/example.test"), ["fullchain.cer", "example.test.key"])
    }
}
