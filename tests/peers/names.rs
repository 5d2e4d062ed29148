//! pebble-challtestsrv, the DNS that Pebble asks, and what any server shows when it is asked for TXT.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};

use super::pebble::Flavour;
use super::program::{Program, free, script};

/// A running pebble-challtestsrv.
pub(crate) struct Names {
    pub(crate) dns: SocketAddr,
    management: SocketAddr,
    _program: Program,
}

impl Names {
    pub(crate) fn start(flavour: &Flavour, folder: &Path) -> Self {
        let (dns, management) = (free(), free());
        let mut command = Command::new(&flavour.challtestsrv);
        command.arg(flavour.dns_flag).arg(dns.to_string());
        command.arg("-management").arg(management.to_string());
        command.args(["-defaultIPv6", ""]);
        // Only its DNS is wanted.
        for other in flavour.other_flags.iter().chain(&["-http01", "-https01", "-tlsalpn01"]) {
            command.args([other, ""]);
        }
        let program = Program::start(command, folder, "challtestsrv").listens(&[dns, management]);
        Self { dns, management, _program: program }
    }

    /// Where values are put by HTTP.
    pub(crate) fn management(&self) -> String {
        format!("http://{}", self.management)
    }

    /// A script for `provider = "exec"`, see [`exec`].
    pub(crate) fn exec(&self, folder: &Path) -> PathBuf {
        exec(folder, &self.management())
    }
}

/// A script for `provider = "exec"` that puts and takes away by pebble-challtestsrv's API at this URL, and writes each
/// call to `calls` in the folder.
pub(crate) fn exec(folder: &Path, url: &str) -> PathBuf {
    let text = format!(
        r#"#!/bin/sh
# pebble-challtestsrv can add a value, and clear a name with all its values.
echo "$1 $2 $3" >>'{calls}'
case "$1" in
present) exec curl -sSf '{url}/set-txt' -d "{{\"host\":\"$2\",\"value\":\"$3\"}}" ;;
cleanup) exec curl -sSf '{url}/clear-txt' -d "{{\"host\":\"$2\"}}" ;;
esac
"#,
        calls = folder.join("calls").display(),
    );
    script(&folder.join("exec"), &text)
}

/// The TXT values that a server shows at a name.
pub(crate) fn txt(server: SocketAddr, name: &str) -> Vec<String> {
    let answer = ask(server, &Name::from_ascii(name).unwrap(), RecordType::TXT);
    let values = answer.answers.iter().filter(|record| record.record_type() == RecordType::TXT);
    values.map(|record| record.data.to_string()).collect()
}

/// What a server answers.
pub(crate) fn ask(server: SocketAddr, name: &Name, kind: RecordType) -> Message {
    let mut question = Message::query();
    question.add_query(Query::query(name.clone(), kind));
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // Loopback loses a message only where the server has gone.
    socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    socket.send_to(&question.to_vec().unwrap(), server).unwrap();
    let mut bytes = [0; 4096];
    let length = socket.recv(&mut bytes).unwrap();
    Message::from_vec(&bytes[..length]).unwrap()
}
