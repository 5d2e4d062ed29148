//! Caddy: a server that issues while it runs, by TLS-ALPN-01; it calls at its event `cert_obtained`.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::{APEX, Client, Deploys, EMAIL, Left, Spot, glue};
use crate::program::{Program, Ran, find, home, need, script, wait_until};

/// Caddy asks for a certificate as soon as it runs; the CA answers at once.
const OBTAINED: Duration = Duration::from_secs(60);

pub(crate) struct Caddy {
    pub(crate) program: PathBuf,
    deploys: Deploys,
}

impl Caddy {
    /// With the plugin that runs a command at an event.
    pub(crate) fn newest() -> Option<Self> {
        let program = home().join("bin/caddy");
        let found = program.is_file().then_some(program);
        let program = need(found, "newest caddy", "see .ci/run, which builds it by Go")?;
        Some(Self { program, deploys: Deploys::Yes })
    }

    /// Without that plugin.
    pub(crate) fn of_debian() -> Option<Self> {
        let unpacked = home().join("debian/usr/bin/caddy");
        let found = find("caddy").or_else(|| unpacked.is_file().then_some(unpacked));
        Some(Self { program: need(found, "caddy", "apt-get install caddy")?, deploys: Deploys::No })
    }

    /// Lets it run until its hook has ended, or until it has obtained; the Ran is the hook's.
    fn serve(&self, spot: &Spot, more: &str) -> Ran {
        fs::write(spot.at("Caddyfile"), self.caddyfile(spot, more)).unwrap();
        let ended = spot.at("ended");
        drop(fs::remove_file(&ended));
        let mut command = spot.command(&self.program);
        command.args(["run", "--adapter", "caddyfile", "--config", "Caddyfile"]);
        command.env("PATH", noted(spot));
        let caddy = Program::start(command, &spot.folder, "caddy");
        let is_done = || match self.deploys {
            Deploys::Yes => ended.exists(),
            Deploys::No => caddy.said().contains("certificate obtained successfully"),
        };
        let is_done = wait_until(OBTAINED, is_done);
        let stdout = caddy.said();
        assert!(is_done, "not obtained, or no hook ended: {stdout}");
        let code = fs::read_to_string(ended).map_or(0, |code| code.trim().parse().unwrap());
        Ran { code: Some(code), stdout, stderr: String::new() }
    }

    /// Ours of `hooks/`, and what leads it to this CA.
    fn caddyfile(&self, spot: &Spot, more: &str) -> String {
        let [http, tls] = spot.ports.expect("a CA that looks at ports");
        let options = format!(
            "{{\n\tadmin off\n\temail {EMAIL}\n\tacme_ca {}\n\tacme_ca_root {}\n\
             \thttp_port {http}\n\thttps_port {tls}\n\tdefault_bind 127.0.0.1\n{more}",
            spot.directory,
            spot.tls_root.display(),
        );
        let ours = match self.deploys {
            Deploys::Yes => glue("caddy/Caddyfile"),
            Deploys::No => "{\n}\n".to_owned(),
        };
        let config = spot.at("config.toml").display().to_string();
        let ours = ours.replace("/etc/certferry/caddy.toml", &config);
        ours.replacen("{\n", &options, 1) + &format!("{APEX} {{\n\trespond ok\n}}\n")
    }
}

/// A PATH whose certferry notes how it ended: Caddy tells nobody.
fn noted(spot: &Spot) -> std::ffi::OsString {
    let bin = spot.at("bin");
    fs::create_dir_all(&bin).unwrap();
    let (certferry, ended) = (spot.certferry.display(), spot.at("ended"));
    let ended = ended.display();
    let text = format!(
        "#!/bin/sh\n'{certferry}' \"$@\"\necho $? >'{ended}.new'\nmv '{ended}.new' '{ended}'\n"
    );
    script(&bin.join("certferry"), &text);
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path))).unwrap()
}

impl Client for Caddy {
    fn obtain(&self, spot: &Spot) -> Ran {
        self.serve(spot, "")
    }

    fn again(&self, spot: &Spot) -> Ran {
        if self.deploys == Deploys::Yes {
            return self.serve(spot, "\trenewal_window_ratio 0.999999999\n");
        }
        // The older one cannot be told to renew early: what it does not find, it obtains.
        fs::remove_dir_all(self.left(spot).chain.parent().unwrap()).unwrap();
        self.serve(spot, "")
    }

    fn left(&self, spot: &Spot) -> Left {
        let folder =
            fs::read_dir(spot.at(".local/share/caddy/certificates")).unwrap().next().unwrap();
        let folder = folder.unwrap().path().join(APEX);
        Left::of(&folder, ["example.test.crt", "example.test.key"])
    }
}
