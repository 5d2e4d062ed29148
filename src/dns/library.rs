//! The services that the library dns-update knows: one adapter for all, on the table of kinds in `config`.
//!
//! It is told the zone, which is found by SOA; many of its services cannot list theirs. It adds and takes away one value
//! among others. Some write a whole zone at once, so its calls wait for one another.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use dns_update::{DnsRecord, DnsRecordType, DnsUpdater, Error};
use futures_util::future::{FutureExt as _, LocalBoxFuture};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::ask::Asker;
use super::{Dns, NotPut};
use crate::config::{self, Set};
use crate::secret::Redactor;

mod openers;

/// A service.
pub(super) struct Library {
    /// Name of the `[dns.NAME]`.
    name: String,
    service: &'static str,
    updater: DnsUpdater,
    ttl: u32,
    asker: Rc<Asker>,
    redactor: Redactor,
    /// One call at a time: several services read all values of a name or a zone, and write them back.
    at_work: Mutex<()>,
}

/// What was said, and the secrets among it as they are read.
struct Said<'a> {
    name: &'a str,
    library: &'a config::Library,
    secret: &'a dyn Fn(&Path) -> anyhow::Result<SecretString>,
    read: RefCell<Vec<SecretString>>,
}

/// Opens a service. `secret` reads the file of a secret.
///
/// # Errors
/// A secret cannot be read; the library does not take a setting.
pub(super) fn open(
    name: &str,
    library: &config::Library,
    secret: &dyn Fn(&Path) -> anyhow::Result<SecretString>,
    asker: Rc<Asker>,
) -> anyhow::Result<Library> {
    must_have_roots()?;
    let said = Said { name, library, secret, read: RefCell::default() };
    let opened = openers::updater(&said);
    let redactor = Redactor::knowing(said.read.take());
    let updater = opened.map_err(|error| match error.downcast::<Error>() {
        Ok(error) => anyhow!("`[dns.{name}]`: {}", redactor.clean(&error.to_string())),
        Err(error) => error,
    })?;
    Ok(Library {
        name: name.to_owned(),
        service: library.kind.service,
        updater,
        ttl: library.ttl,
        asker,
        redactor,
        at_work: Mutex::default(),
    })
}

impl Library {
    async fn add(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let zone = self.zone(name).await.map_err(NotPut::from)?;
        let record = vec![DnsRecord::TXT(value.to_owned())];
        let (name, kind) = (name.to_owned(), DnsRecordType::TXT);
        let add = self.updater.add_to_rrset(name.as_str(), kind, self.ttl, record, zone.as_str());
        self.in_time("add", &name, &zone, add).await
    }

    async fn remove(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let zone = self.zone(name).await?;
        let record = vec![DnsRecord::TXT(value.to_owned())];
        let kind = DnsRecordType::TXT;
        let remove = self.updater.remove_from_rrset(name, kind, record, zone.as_str());
        self.in_time("take away", name, &zone, remove).await
    }

    async fn zone(&self, name: &str) -> anyhow::Result<String> {
        self.asker.zone(name).await?.with_context(|| {
            format!(
                "no name server says in which zone {name} stands\nhelp: set `nameservers` of the `[dns.{}]` to servers that do",
                self.name
            )
        })
    }

    async fn in_time(
        &self,
        verb: &str,
        name: &str,
        zone: &str,
        call: impl Future<Output = dns_update::Result<()>>,
    ) -> anyhow::Result<()> {
        let _one_at_a_time = self.at_work.lock().await;
        let what = format!("{} did not {verb} the TXT value at {name}", self.service);
        match timeout(CALL, call).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(self.told(&what, zone, &error)),
            Err(_elapsed) => Err(anyhow!(
                "{what} within {} s\nhelp: nothing: the next run tries again",
                CALL.as_secs()
            )),
        }
    }

    fn told(&self, what: &str, zone: &str, error: &Error) -> anyhow::Error {
        let said = self.redactor.clean(&error.to_string());
        let own = &self.name;
        if matches!(error, Error::Unauthorized) {
            let help = format!(
                "the service does not take the keys of the `[dns.{own}]`: are they of this account, and allowed to change {zone}?"
            );
            return NotPut::from(anyhow!("{what}: {said}\nhelp: {help}")).into();
        }
        let help = match matches!(error, Error::NotFound) {
            true => format!(
                "the account of the `[dns.{own}]` must hold the zone {zone}, and its keys may change it"
            ),
            false => format!("compare the `[dns.{own}]` with what the service says of its keys"),
        };
        anyhow!("{what}: {said}\nhelp: {help}")
    }
}

impl Dns for Library {
    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<Option<String>>> {
        self.add(name, value).map(|done| done.map(|()| None)).boxed_local()
    }

    fn take_away<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        _id: Option<&'a str>,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.remove(name, value).boxed_local()
    }
}

impl Said<'_> {
    /// A setting without which nothing goes; a secret is read from its file.
    fn value(&self, key: &str) -> anyhow::Result<String> {
        self.may(key)?.with_context(|| {
            format!("`dns.{}.{key}` is missing\nhelp: write it into the configuration", self.name)
        })
    }

    /// A setting that may be left out.
    fn may(&self, key: &str) -> anyhow::Result<Option<String>> {
        debug_assert!(self.library.kind.settings.iter().any(|setting| setting.key == key), "{key}");
        match self.library.settings.get(key) {
            None => Ok(None),
            Some(Set::Text(text)) => Ok(Some(text.clone())),
            Some(Set::File(file)) => {
                let secret = (self.secret)(file)?;
                let text = secret.expose_secret().to_owned();
                self.read.borrow_mut().push(secret);
                Ok(Some(text))
            }
        }
    }

    /// The setting at this place of the kind's table.
    fn at(&self, place: usize) -> anyhow::Result<String> {
        let setting = self.library.kind.settings.get(place).context("a setting of the table")?;
        self.value(setting.key)
    }
}

/// The library trusts the system's roots, and would end the process where there are none.
fn must_have_roots() -> anyhow::Result<()> {
    let found = rustls_native_certs::load_native_certs();
    anyhow::ensure!(
        !found.certs.is_empty(),
        "the system has no roots to check the service's certificate by\nhelp: install ca-certificates"
    );
    Ok(())
}

/// One request of the library.
const REQUEST: Duration = Duration::from_secs(30);

/// One change: finding the zone, reading what is there, writing; three requests, one of which is tried again.
const CALL: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests;
