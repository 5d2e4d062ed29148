//! How a TXT record is put into the DNS and taken away: two verbs, and the kinds of access that know them.

mod alidns;
mod ask;
mod exec;
#[cfg(test)]
mod fake;
mod rfc2136;
mod show;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::LocalBoxFuture;

use crate::aliyun::Account;
use crate::config::{self, Config, Provider};
use crate::ground::Ground;

pub use self::ask::Asker;
pub use self::show::Wanted;

/// An access to the DNS. `name` has no dot at its end; both verbs may be called again and then do nothing more.
pub trait Dns {
    /// Adds one TXT value beside those that are there. Answers the provider's id of the record, where it has one. Its
    /// error is a [`NotPut`] where it surely had no effect.
    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<Option<String>>>;

    /// Takes this one value away, by its id where known; one that is not there is no error.
    fn take_away<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        id: Option<&'a str>,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>>;
}

/// A put that surely had no effect: there is nothing to take away.
#[derive(Debug)]
pub struct NotPut(anyhow::Error);

impl fmt::Display for NotPut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#}", self.0)
    }
}

impl std::error::Error for NotPut {}

impl From<anyhow::Error> for NotPut {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

/// The accesses of a configuration; each is opened when it is asked for.
pub struct Accesses {
    configs: BTreeMap<String, config::Dns>,
    accounts: BTreeMap<String, Account>,
    base: Option<PathBuf>,
    ground: Ground,
}

/// An opened access: how values are put, how they are seen, how long that may take.
pub struct Access {
    /// Puts and takes away.
    pub dns: Rc<dyn Dns>,
    /// Asks its name servers.
    pub asker: Asker,
    /// `propagation_timeout`.
    pub propagation: Duration,
}

impl Accesses {
    /// The accesses of `config`, by these accounts. Nothing is opened yet.
    #[must_use]
    pub fn new(config: &Config, accounts: BTreeMap<String, Account>, ground: &Ground) -> Self {
        Self {
            configs: config.dns.clone(),
            accounts,
            base: config.file.as_deref().and_then(Path::parent).map(ToOwned::to_owned),
            ground: ground.clone(),
        }
    }

    /// Opens the `[dns.NAME]` of this name.
    ///
    /// # Errors
    /// There is none; otherwise as [`open`].
    pub fn open(&self, name: &str) -> anyhow::Result<Access> {
        let config = self.configs.get(name).with_context(|| {
            format!(
                "there is no `[dns.{name}]` in the configuration\nhelp: add it, at least until its records are taken away"
            )
        })?;
        Ok(Access {
            dns: open(config, &self.accounts, &self.ground, self.base.as_deref())?,
            asker: Asker::new(&config.nameservers),
            propagation: config.propagation_timeout,
        })
    }
}

/// Opens the access that a `[dns.NAME]` describes. `base` is the configuration's folder, for its relative files.
///
/// # Errors
/// Its key cannot be read; its account is not there.
pub fn open(
    config: &config::Dns,
    accounts: &BTreeMap<String, Account>,
    ground: &Ground,
    base: Option<&Path>,
) -> anyhow::Result<Rc<dyn Dns>> {
    Ok(match &config.provider {
        Provider::Alidns { aliyun } => {
            let account = accounts
                .get(aliyun)
                .with_context(|| format!("there is no `[aliyun.{aliyun}]`\nhelp: add it, or correct `aliyun` of the `[dns.NAME]`"))?;
            Rc::new(alidns::Alidns::new(account.clone()))
        }
        Provider::Rfc2136 { server, key_name, algorithm, key_file } => {
            let secret = crate::secret::read(key_file, &ground.env, base)?;
            let key = rfc2136::Key::new(key_name, *algorithm, &secret)?;
            Rc::new(rfc2136::Rfc2136::new(*server, key, ground.clock.clone()))
        }
        Provider::Exec { program } => Rc::new(exec::Exec::new(program.clone())),
    })
}
