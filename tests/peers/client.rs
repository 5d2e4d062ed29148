//! How ACME clients of others are driven: where they work, and what they leave.

mod acme_sh;
mod acmetool;
mod caddy;
mod certbot;
mod dehydrated;
mod lego;
mod uacme;

use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use self::acme_sh::{AcmeSh, Wired};
pub(crate) use self::acmetool::Acmetool;
pub(crate) use self::caddy::Caddy;
pub(crate) use self::certbot::Certbot;
pub(crate) use self::dehydrated::Dehydrated;
pub(crate) use self::lego::Lego;
pub(crate) use self::uacme::{Uacme, mounts};
use super::program::{Ran, run, script};

pub(crate) const APEX: &str = "example.test";
pub(crate) const WILDCARD: &str = "*.example.test";
pub(crate) const EMAIL: &str = "ops@example.test";

/// A client, and whether it calls certferry's hook, wired as `hooks/CLIENT/README.md` says.
pub(crate) trait Client: Sync {
    /// Obtains its first certificate, for the apex and the wildcard if it can prove both.
    fn obtain(&self, spot: &Spot) -> Ran;
    /// Obtains another one, though none is due.
    fn again(&self, spot: &Spot) -> Ran;
    /// Where its certificate lies.
    fn left(&self, spot: &Spot) -> Left;
}

/// The files that a client leaves.
pub(crate) struct Left {
    pub(crate) chain: PathBuf,
    pub(crate) key: PathBuf,
}

impl Left {
    /// Two files of one folder.
    fn of(folder: &Path, [chain, key]: [&str; 2]) -> Self {
        Self { chain: folder.join(chain), key: folder.join(key) }
    }
}

/// Does a client that obtains call certferry's hook?
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deploys {
    Yes,
    No,
}

impl Deploys {
    /// The flag with `certferry hook`, as the client's README says it; or nothing.
    fn by<'a>(self, client: &str, flag: &'a str) -> Vec<&'a str> {
        if self == Self::No {
            return Vec::new();
        }
        told(client, &format!("{flag} \"certferry hook\""));
        vec![flag, "certferry hook"]
    }
}

/// Where a client works: a CA, a DNS that a script fills, and a folder.
pub(crate) struct Spot {
    /// The CA's ACME directory.
    pub(crate) directory: String,
    /// The root of the CA's own HTTPS.
    pub(crate) tls_root: PathBuf,
    /// The DNS that the CA asks.
    pub(crate) dns: SocketAddr,
    /// The ports at which the CA looks for HTTP-01 and TLS-ALPN-01, if it knows them.
    pub(crate) ports: Option<[u16; 2]>,
    /// Puts a value into that DNS, and takes it away.
    pub(crate) exec: PathBuf,
    pub(crate) folder: PathBuf,
    /// What the client has in its environment, and so its hook.
    pub(crate) vars: Vec<(&'static str, OsString)>,
    /// certferry, for whoever must name it by its path.
    pub(crate) certferry: PathBuf,
    /// A program that runs the client, and its arguments; none: it runs by itself.
    pub(crate) within: Vec<String>,
}

impl Spot {
    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A program whose environment holds nothing of this machine's.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut words = self.within.iter().map(AsRef::as_ref).chain([program.as_os_str()]);
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command.env_clear().current_dir(&self.folder).env("HOME", &self.folder);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.envs(self.vars.iter().map(|(name, value)| (name, value)));
        command
    }

    pub(crate) fn run(&self, command: Command) -> Ran {
        run(command, &self.folder)
    }

    /// Runs what must end well.
    pub(crate) fn done(&self, command: Command) -> Ran {
        let shown = format!("{command:?}");
        let ran = self.run(command);
        assert_eq!(ran.code, Some(0), "{shown}: {ran:#?}");
        ran
    }

    /// Writes a hook script of this name and `case`, in which `$exec` puts and takes away.
    fn hook(&self, name: &str, case: &str) -> PathBuf {
        let text = format!("#!/bin/sh\nexec='{}'\n{case}\n", self.exec.display());
        script(&self.at(name), &text)
    }
}

/// A file of `hooks/`, as users get it.
pub(crate) fn glue(path: &str) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks").join(path);
    fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// What a user types, which the client's README must say in these words.
pub(crate) fn told<'a>(client: &str, words: &'a str) -> &'a str {
    let readme = glue(&format!("{client}/README.md"));
    assert!(readme.contains(words), "hooks/{client}/README.md does not say `{words}`");
    words
}
