//! How a TXT record is put into the DNS and taken away: two verbs, and the kinds of access that know them.

mod acme_dns;
mod alidns;
mod ask;
mod caa;
mod doh;
mod exec;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
#[cfg(test)]
mod fake;
mod library;
mod rfc2136;
mod show;
mod texts;
mod webhook;
mod wire;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::future::{FutureExt as _, LocalBoxFuture, ready};
use secrecy::SecretString;

use crate::aliyun::Account;
use crate::config::{self, Config, Provider};
use crate::ground::Ground;
use crate::http::Http;

pub use self::alidns::zone_of;
pub use self::ask::Asker;
pub use self::caa::CaaSet;
pub use self::rfc2136::zone_at;
pub use self::show::Wanted;
pub use self::texts::Texts;

/// An access to the DNS. `name` has no dot at its end; both verbs may be called again and then do nothing more.
pub trait Dns {
    /// Makes ready for values of the challenge `name`, whose CNAMEs lead to `place`. Called before the first put.
    ///
    /// # Errors
    /// Something must be set first that only a person can set; what, exactly.
    fn make_ready<'a>(
        &'a self,
        name: &'a str,
        place: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        let _nothing_to_do = (name, place);
        ready(Ok(())).boxed_local()
    }

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

/// Remembers the accounts that we made at DNS servers. The store does.
pub trait Keep {
    /// The account (JSON) for `domain` at the server with this URL; none if there is none yet.
    ///
    /// # Errors
    /// Others may read it, the disk refuses.
    fn read(&self, server: &str, domain: &str) -> anyhow::Result<Option<SecretString>>;

    /// Remembers an account (JSON).
    ///
    /// # Errors
    /// The disk refuses.
    fn save(&self, server: &str, domain: &str, account: &SecretString) -> anyhow::Result<()>;
}

/// The accesses of a configuration; each is opened when it is asked for.
pub struct Accesses {
    configs: BTreeMap<String, config::Dns>,
    accounts: BTreeMap<String, Account>,
    base: Option<PathBuf>,
    http: Http,
    ground: Ground,
}

/// An opened access: how values are put, how they are seen, how long that may take.
pub struct Access {
    /// Puts and takes away.
    pub dns: Rc<dyn Dns>,
    /// Asks its name servers.
    pub asker: Rc<Asker>,
    /// `propagation_timeout`.
    pub propagation: Duration,
    /// `settle`.
    pub settle: Duration,
}

impl Accesses {
    /// The accesses of `config`, by these accounts. Nothing is opened yet.
    #[must_use]
    pub fn new(config: &Config, accounts: BTreeMap<String, Account>, ground: &Ground) -> Self {
        Self {
            configs: config.dns.clone(),
            accounts,
            base: config.file.as_deref().and_then(Path::parent).map(ToOwned::to_owned),
            http: Http::new().at_most(config.timeout),
            ground: ground.clone(),
        }
    }

    /// Opens the `[dns.NAME]` of this name. What it must remember, it keeps by `keep`.
    ///
    /// # Errors
    /// There is none; its key cannot be read; its account is not there.
    pub fn open(&self, name: &str, keep: Rc<dyn Keep>) -> anyhow::Result<Access> {
        let config = self.configs.get(name).with_context(|| {
            format!(
                "there is no `[dns.{name}]` in the configuration\nhelp: add it, at least until its records are taken away"
            )
        })?;
        let asker = Rc::new(self.asker_of(config));
        Ok(Access {
            dns: self.dns(name, config, &asker, keep)?,
            asker,
            propagation: config.propagation_timeout,
            settle: config.settle,
        })
    }

    /// Asks as the `[dns.NAME]` of this name says; where there is none, the system's name servers and the zones' own.
    #[must_use]
    pub fn asker(&self, name: &str) -> Asker {
        self.configs.get(name).map_or_else(|| Asker::new(&[]), |config| self.asker_of(config))
    }

    fn asker_of(&self, config: &config::Dns) -> Asker {
        let doh = config.doh.as_deref().map(|url| doh::Doh::new(url, self.http.clone()));
        Asker::new(&config.nameservers).or_by_https(doh)
    }

    fn dns(
        &self,
        name: &str,
        config: &config::Dns,
        asker: &Rc<Asker>,
        keep: Rc<dyn Keep>,
    ) -> anyhow::Result<Rc<dyn Dns>> {
        Ok(match &config.provider {
            Provider::Alidns { aliyun } => Rc::new(alidns::Alidns::new(self.account(aliyun)?)),
            Provider::Rfc2136 { server, key_name, algorithm, key_file } => {
                let secret = self.secret(key_file)?;
                let key = rfc2136::Key::new(key_name, *algorithm, &secret)?;
                let clock = self.ground.clock.clone();
                Rc::new(rfc2136::Rfc2136::new(*server, key, Rc::clone(asker), clock))
            }
            Provider::Exec { program } => Rc::new(exec::Exec::new(program.clone())),
            Provider::AcmeDns { server, allow_from, accounts_file } => {
                let known = accounts_file.as_deref().map(|file| self.secret(file)).transpose()?;
                let server = acme_dns::Server::new(server, allow_from, self.http.clone());
                Rc::new(acme_dns::AcmeDns::new(server, known.as_ref(), keep)?)
            }
            Provider::Webhook { endpoint, login } => {
                let login = login
                    .as_ref()
                    .map(|(user, file)| Ok::<_, anyhow::Error>((user.clone(), self.secret(file)?)));
                Rc::new(webhook::Webhook::new(endpoint, login.transpose()?, self.http.clone()))
            }
            Provider::Library(said) => {
                let secret = |file: &Path| self.secret(file);
                Rc::new(library::open(name, said, &secret, Rc::clone(asker))?)
            }
        })
    }

    fn account(&self, name: &str) -> anyhow::Result<Account> {
        self.accounts.get(name).cloned().with_context(|| {
            format!("there is no `[aliyun.{name}]`\nhelp: add it, or correct `aliyun` of the `[dns.NAME]`")
        })
    }

    /// A secret file of the configuration; relative names begin at its folder.
    fn secret(&self, file: &Path) -> anyhow::Result<SecretString> {
        crate::secret::read(file, &self.ground.env, self.base.as_deref())
    }
}
