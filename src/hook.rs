//! The dialects of other ACME clients: what a client says by environment, arguments and stdin becomes lineages and
//! names. Pure.

use std::fmt;
use std::path::Path;

use crate::config::Source;

mod acmetool;
mod arguments;
mod environment;
mod error;
mod signs;
mod words;
#[cfg(test)]
mod tests;

pub use acmetool::Hosts;
pub use error::Error;

/// How a hook was called.
pub struct Call<'a> {
    /// The environment; an empty variable counts as not set.
    pub var: &'a dyn Fn(&str) -> Option<&'a str>,
    /// What stands after `--`.
    pub args: &'a [String],
    /// What flags say.
    pub files: Option<Files<'a>>,
    /// Where relative paths begin for clients that have the hook run where they were called.
    pub here: &'a Path,
}

/// A chain and a key that flags name: for a client that has no dialect of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Files<'a> {
    /// The chain, leaf first.
    pub chain: &'a Path,
    /// Its key.
    pub key: &'a Path,
    /// What the certificate is called.
    pub name: Option<&'a str>,
}

/// What a call means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// There is a certificate that may be new.
    Certificate(Event),
    /// There are some, whose hostnames stand on stdin.
    Hosts(Hosts),
    /// Nothing that is our business: the hook ends with this status and says nothing.
    Nothing(u8),
}

/// A certificate that a client told its hook of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// How it was told.
    pub dialect: Dialect,
    /// Where the files are.
    pub source: Source,
    /// The lineage's name.
    pub name: String,
    /// The certificate's names.
    pub names: Names,
}

/// The names of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Names {
    /// As the client said; none if it was called by hand.
    Told(Vec<String>),
    /// The client does not tell them: they stand in its files.
    InFiles,
}

/// A way in which a client calls its hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// certbot's `--deploy-hook`: `RENEWED_LINEAGE`.
    Certbot,
    /// lego 4, `--run-hook` and `--renew-hook`: `LEGO_CERT_PATH`.
    Lego4,
    /// lego 5, `--deploy-hook`: `LEGO_HOOK_CERT_PATH`.
    Lego5,
    /// acme.sh, `--reloadcmd`, `--renew-hook` and `--post-hook` (`CERT_FULLCHAIN_PATH`), or a deploy hook (`$1` to `$5`).
    AcmeSh,
    /// dehydrated's hook script: `deploy_cert DOMAIN KEY CERT FULLCHAIN CHAIN TIMESTAMP`.
    Dehydrated,
    /// acmetool's hooks folder: `live-updated`, hostnames on stdin.
    Acmetool,
    /// uacme, which has no such hook: a script around it says `uacme CONFDIR IDENT`.
    Uacme,
    /// Caddy's event `cert_obtained`: `caddy IDENTIFIER CHAIN KEY`.
    Caddy,
    /// Any other client, by `--cert` and `--key`.
    Files,
}

/// What this call means: the dialect is found by its signs.
///
/// # Errors
/// There is none, there are two that contradict, or what it says is no certificate: with a `help:` line.
pub fn hear(call: &Call<'_>) -> Result<Heard, Error> {
    let (dialect, args) = signs::find(call)?;
    match dialect {
        Dialect::Certbot => environment::certbot(call).map(Heard::Certificate),
        Dialect::Lego4 => environment::lego4(call).map(Heard::Certificate),
        Dialect::Lego5 => environment::lego5(call).map(Heard::Certificate),
        Dialect::AcmeSh => match args {
            [] => environment::acme_sh(call).map(Heard::Certificate),
            [_, ..] => arguments::acme_sh(args).map(Heard::Certificate),
        },
        Dialect::Dehydrated => arguments::dehydrated(call, args),
        Dialect::Acmetool => acmetool::heard(call, args),
        Dialect::Uacme => arguments::uacme(call, args).map(Heard::Certificate),
        Dialect::Caddy => arguments::caddy(call, args).map(Heard::Certificate),
        Dialect::Files => arguments::files(call).map(Heard::Certificate),
    }
}

impl Dialect {
    /// The client, as claims name it. One with two dialects is one client: an update of it changes no claim.
    #[must_use]
    pub fn client(self) -> &'static str {
        match self {
            Self::Certbot => "certbot",
            Self::Lego4 | Self::Lego5 => "lego",
            Self::AcmeSh => "acme.sh",
            Self::Dehydrated => "dehydrated",
            Self::Acmetool => "acmetool",
            Self::Uacme => "uacme",
            Self::Caddy => "caddy",
            Self::Files => "other",
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lego4 => "lego 4",
            Self::Lego5 => "lego 5",
            Self::Files => "another client",
            Self::Certbot
            | Self::AcmeSh
            | Self::Dehydrated
            | Self::Acmetool
            | Self::Uacme
            | Self::Caddy => self.client(),
        })
    }
}

impl Names {
    /// What the client said.
    #[must_use]
    pub fn told(&self) -> &[String] {
        match self {
            Self::Told(names) => names,
            Self::InFiles => &[],
        }
    }
}
