//! Knot, a DNS server that takes updates signed by TSIG.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::program::{Program, free};
use super::world::APEX;

/// The key in base64, for every algorithm.
pub(crate) const SECRET: &str = "bm8gc2VjcmV0IGF0IGFsbDogYSBrZXkgZm9yIHRlc3Rz";

/// A running Knot with an empty zone.
pub(crate) struct Knot {
    pub(crate) address: SocketAddr,
    _program: Program,
}

impl Knot {
    pub(crate) fn start(knotd: &Path, folder: &Path, algorithm: &str) -> Self {
        let address = free();
        let place = folder.join("knot");
        fs::create_dir(&place).unwrap();
        let zone = "@ 60 SOA ns hostmaster 1 900 300 86400 60\n@ 60 NS ns\nns 60 A 127.0.0.1\n";
        fs::write(place.join("zone"), zone).unwrap();
        let config = format!(
            r#"server:
    rundir: "{place}"
    listen: {ip}@{port}
log:
  - target: stderr
    any: info
database:
    storage: "{place}"
key:
  - id: acme
    algorithm: {algorithm}
    secret: {SECRET}
acl:
  - id: acme
    key: acme
    action: update
zone:
  - domain: {APEX}
    storage: "{place}"
    file: zone
    zonefile-sync: -1
    acl: acme
"#,
            place = place.display(),
            ip = address.ip(),
            port = address.port(),
        );
        fs::write(place.join("knot.conf"), config).unwrap();
        let mut command = Command::new(knotd);
        command.arg("-c").arg(place.join("knot.conf"));
        let program = Program::start(command, folder, "knotd").listens(&[address]);
        Self { address, _program: program }
    }
}
