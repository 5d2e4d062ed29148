//! lego, v4 and v5: both have their flags where the other does not.

use std::path::PathBuf;
use std::process::Command;

use super::{APEX, Client, Deploys, EMAIL, Left, Spot, WILDCARD};
use crate::program::{Ran, home, need, need_debian};

pub(crate) struct Lego {
    program: PathBuf,
    new: bool,
    deploys: Deploys,
}

impl Lego {
    pub(crate) fn of_debian(deploys: Deploys) -> Option<Self> {
        let program = need_debian("lego", "lego")?;
        let usage = Command::new(&program).args(["run", "--help"]).output().unwrap();
        let new = String::from_utf8_lossy(&usage.stdout).contains("--dns.propagation.disable-ans");
        Some(Self { program, new, deploys })
    }

    pub(crate) fn v5(deploys: Deploys) -> Option<Self> {
        let program = home().join("bin/lego");
        let found = program.is_file().then_some(program);
        let program = need(found, "lego v5", "see .ci/run, which builds it by Go")?;
        Some(Self { program, new: true, deploys })
    }

    /// Proves by dynamic updates, signed with this key of hmac-sha256: its name, its secret in base64.
    pub(crate) fn by_update(&self, spot: &Spot, name: &str, secret: &str) -> Ran {
        let prefix = if self.new { "DNSUPDATE" } else { "RFC2136" };
        let settings = [
            ("NAMESERVER", spot.dns.to_string()),
            ("TSIG_KEY", format!("{name}.")),
            ("TSIG_ALGORITHM", "hmac-sha256.".to_owned()),
            ("TSIG_SECRET", secret.to_owned()),
            ("SEQUENCE_INTERVAL", "0".to_owned()),
            ("POLLING_INTERVAL", "1".to_owned()),
        ]
        .map(|(name, value)| (format!("{prefix}_{name}"), value));
        let mut command = self.command(spot, &prefix.to_lowercase(), &self.first());
        command.envs(settings);
        spot.done(command)
    }

    fn by_hook(&self, spot: &Spot, verb: &[&str]) -> Ran {
        let mut command = self.command(spot, "exec", verb);
        command.env("EXEC_PATH", &spot.exec);
        command.env("EXEC_SEQUENCE_INTERVAL", "0").env("EXEC_POLLING_INTERVAL", "1");
        spot.run(command)
    }

    fn command(&self, spot: &Spot, provider: &str, verb: &[&str]) -> Command {
        let mut command = spot.command(&self.program);
        command.env("LEGO_CA_CERTIFICATES", &spot.tls_root);
        if self.new {
            command.args(verb);
        }
        command.args(["--accept-tos", "--email", EMAIL, "--dns", provider]);
        command.args(["--server", &spot.directory, "--dns.resolvers", &spot.dns.to_string()]);
        command.arg("--path").arg(spot.at("lego")).args(["-d", APEX, "-d", WILDCARD]);
        // It would ask the zone's name servers at port 53, where nothing of these tests is.
        if self.new {
            command.args(["--dns.propagation.disable-ans", "--no-random-sleep"]);
        } else {
            command.arg("--dns.disable-cp").args(verb);
        }
        command
    }

    fn first(&self) -> Vec<&'static str> {
        let hook = if self.new { "--deploy-hook" } else { "--run-hook" };
        [vec!["run"], self.deploys.by("lego", hook)].concat()
    }
}

impl Client for Lego {
    fn obtain(&self, spot: &Spot) -> Ran {
        self.by_hook(spot, &self.first())
    }

    fn again(&self, spot: &Spot) -> Ran {
        if self.new {
            return self.by_hook(spot, &[self.first(), vec!["--renew-force"]].concat());
        }
        let verb = vec!["renew", "--days", "9999", "--no-random-sleep"];
        let hook = self.deploys.by("lego", "--renew-hook");
        self.by_hook(spot, &[verb, hook].concat())
    }

    fn left(&self, spot: &Spot) -> Left {
        Left::of(&spot.at("lego/certificates"), ["example.test.crt", "example.test.key"])
    }
}
