//! Knot, a DNS server that takes updates signed by TSIG, and keeps copies of another one's zones.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::program::{Program, free};
use super::world::APEX;

/// The key in base64, for every algorithm.
pub(crate) const SECRET: &str = "bm8gc2VjcmV0IGF0IGFsbDogYSBrZXkgZm9yIHRlc3Rz";

/// A running Knot.
pub(crate) struct Knot {
    pub(crate) address: SocketAddr,
    program: Program,
}

/// A zone that it serves.
pub(crate) struct Zone<'a> {
    pub(crate) name: &'a str,
    pub(crate) role: Role<'a>,
}

/// Whose the zone is.
pub(crate) enum Role<'a> {
    /// Its own: these records beside SOA and NS, and whom it tells of each change.
    Primary { records: &'a str, notify: Option<SocketAddr> },
    /// A copy of what this server has; it hands updates on.
    Secondary { of: SocketAddr },
    /// A copy that takes no updates, whoever asks.
    Copy { of: SocketAddr },
}

impl Knot {
    /// With one empty zone, at a free address.
    pub(crate) fn start(knotd: &Path, folder: &Path, algorithm: &str) -> Self {
        let zone = Zone { name: APEX, role: Role::Primary { records: "", notify: None } };
        Self::at(free(), knotd, folder, algorithm, &[zone])
    }

    /// With these zones, at this address. Who has the key may do everything.
    pub(crate) fn at(
        address: SocketAddr,
        knotd: &Path,
        folder: &Path,
        algorithm: &str,
        zones: &[Zone<'_>],
    ) -> Self {
        let name = format!("knot-{}-{}", address.ip(), address.port());
        let place = folder.join(&name);
        fs::create_dir(&place).unwrap();
        let config = configuration(&place, address, algorithm, zones);
        fs::write(place.join("knot.conf"), config).unwrap();
        let mut command = Command::new(knotd);
        command.arg("-c").arg(place.join("knot.conf"));
        let program = Program::start(command, folder, &name).listens(&[address]);
        Self { address, program }
    }

    /// What it has logged so far.
    pub(crate) fn said(&self) -> String {
        self.program.said()
    }
}

impl Zone<'_> {
    /// The other server of this zone, and what that is to Knot.
    fn remote(&self) -> Option<(&'static str, SocketAddr)> {
        match self.role {
            Role::Primary { notify, .. } => notify.map(|address| ("notify", address)),
            Role::Secondary { of } | Role::Copy { of } => Some(("master", of)),
        }
    }

    /// What the key is good for.
    fn rules(&self) -> &'static str {
        match self.role {
            Role::Primary { .. } | Role::Secondary { .. } => "acme",
            Role::Copy { .. } => "copy",
        }
    }

    /// Its part of the configuration. A primary's file is written beside.
    fn describe(&self, place: &Path, address: SocketAddr) -> String {
        let Self { name, role } = self;
        if let Role::Primary { records, .. } = role {
            let base = "@ 60 SOA ns hostmaster 1 900 300 86400 60\n@ 60 NS ns\nns 60 A";
            let text = format!("{base} {}\n{records}", address.ip());
            fs::write(place.join(name), text).unwrap();
        }
        let other = self.remote().map(|(what, _)| format!("    {what}: {name}\n"));
        format!(
            "  - domain: {name}\n    file: {name}\n    storage: \"{}\"\n    zonefile-sync: -1\n    acl: {}\n{}",
            place.display(),
            self.rules(),
            other.unwrap_or_default()
        )
    }
}

fn configuration(place: &Path, address: SocketAddr, algorithm: &str, zones: &[Zone<'_>]) -> String {
    let at = |address: SocketAddr| format!("{}@{}", address.ip(), address.port());
    let remotes = zones.iter().filter_map(|zone| {
        let (_, address) = zone.remote()?;
        Some(format!("  - id: {}\n    address: {}\n    key: acme\n", zone.name, at(address)))
    });
    let remotes: String = remotes.collect();
    let described: String = zones.iter().map(|zone| zone.describe(place, address)).collect();
    format!(
        r#"server:
    rundir: "{place}"
    listen: {listen}
log:
  - target: stderr
    any: info
database:
    storage: "{place}"
key:
  - id: acme
    algorithm: {algorithm}
    secret: {SECRET}
remote:
{remotes}
acl:
  - id: acme
    key: acme
    action: [update, transfer, notify]
  - id: copy
    key: acme
    action: [transfer, notify]
zone:
{described}"#,
        place = place.display(),
        listen = at(address),
    )
}
