//! acme-dns: a server that serves challenges alone. A CNAME leads each name to it, once; then its values are ours to set.
//!
//! <https://github.com/joohoi/acme-dns>. An account holds two values, the last two that were set: apex and wildcard fit.
//! It takes nothing away: a new value ends the oldest.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use futures_util::future::{FutureExt as _, LocalBoxFuture, ready};
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, Request, Url};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::{Dns, Keep, NotPut};
use crate::http::{Answer, Error, Http};
use crate::secret::Redactor;

/// The server, and our accounts there: one for each domain.
pub(super) struct AcmeDns {
    server: Server,
    /// Those of `accounts_file`, by domain.
    known: BTreeMap<String, Account>,
    keep: Rc<dyn Keep>,
    /// Those that were made ready in this run, by the name that the server serves.
    ready: RefCell<BTreeMap<String, Account>>,
    /// Held while an account is read or made, so that a domain has one.
    registering: Mutex<()>,
}

/// A server.
pub(super) struct Server {
    url: String,
    allow_from: Vec<String>,
    http: Http,
}

/// An account: a name that the server serves, and what lets us set its values. Other programs write the same in their own letters.
#[derive(Clone, Deserialize)]
struct Account {
    #[serde(alias = "Username")]
    username: String,
    #[serde(alias = "Password")]
    password: SecretString,
    #[serde(alias = "FullDomain")]
    fulldomain: String,
    #[serde(alias = "SubDomain")]
    subdomain: String,
}

impl Server {
    pub(super) fn new(url: &str, allow_from: &[String], http: Http) -> Self {
        Self { url: url.to_owned(), allow_from: allow_from.to_vec(), http }
    }

    async fn register(&self) -> anyhow::Result<SecretString> {
        let body = match self.allow_from.is_empty() {
            true => json!({}),
            false => json!({ "allowfrom": self.allow_from }),
        };
        let answer = self.post("register", &body, &[]).await.map_err(|error| self.gone(&error))?;
        if !matches!(answer.status, 200 | 201) {
            bail!(self.refusal("register", &answer, &Redactor::default()));
        }
        let text = String::from_utf8(answer.body).ok().filter(|text| account(text).is_some());
        // What it is cannot be shown: it may hold a password.
        text.map(SecretString::from).with_context(|| {
            format!("{}/register answered no account\nhelp: is `server` an acme-dns?", self.url)
        })
    }

    async fn update(&self, account: &Account, value: &str) -> anyhow::Result<()> {
        let body = json!({ "subdomain": account.subdomain, "txt": value });
        let login = [
            ("x-api-user", account.username.as_str()),
            ("x-api-key", account.password.expose_secret()),
        ];
        let answer = match self.post("update", &body, &login).await {
            Ok(answer) => answer,
            Err(error @ (Error::NotSent(_) | Error::Setup(_))) => {
                return Err(NotPut::from(self.gone(&error)).into());
            }
            Err(error) => return Err(self.gone(&error)),
        };
        if answer.status == 200 {
            return Ok(());
        }
        let redactor = Redactor::knowing([account.password.clone()]);
        Err(NotPut::from(self.refusal("update", &answer, &redactor)).into())
    }

    async fn post(
        &self,
        verb: &str,
        body: &Value,
        headers: &[(&'static str, &str)],
    ) -> Result<Answer, Error> {
        let url = Url::parse(&format!("{}/{verb}", self.url));
        let mut request =
            Request::new(Method::POST, url.map_err(|error| Error::Setup(error.to_string()))?);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in headers {
            let header = HeaderValue::from_str(value).ok();
            let mut header =
                header.ok_or_else(|| Error::Setup(format!("{name} cannot be a header")))?;
            header.set_sensitive(true);
            request.headers_mut().insert(HeaderName::from_static(name), header);
        }
        *request.body_mut() = Some(body.to_string().into());
        self.http.send(request, TIMEOUT).await
    }

    fn gone(&self, error: &Error) -> anyhow::Error {
        let url = &self.url;
        anyhow!("the acme-dns server {url}: {error}\nhelp: check `server` of the `[dns.NAME]`")
    }

    fn refusal(&self, verb: &str, answer: &Answer, redactor: &Redactor) -> anyhow::Error {
        let said = redactor.clean(String::from_utf8_lossy(&answer.body).trim());
        let remedy = match (verb, answer.status) {
            ("update", 401 | 403) => {
                "the server knows this account no more, or takes its updates from other networks (`allow_from`)"
            }
            ("register", 401 | 403 | 404) => {
                "the server registers nobody: make the account there, and name its file in `accounts_file`"
            }
            _ => "look into the log of the server",
        };
        anyhow!("{}/{verb} answered HTTP {}: {said}\nhelp: {remedy}", self.url, answer.status)
    }
}

impl AcmeDns {
    /// `known`: the text of `accounts_file`.
    pub(super) fn new(
        server: Server,
        known: Option<&SecretString>,
        keep: Rc<dyn Keep>,
    ) -> anyhow::Result<Self> {
        let known = match known {
            // serde's own error would quote what it read.
            Some(text) => serde_json::from_str(text.expose_secret()).ok().with_context(|| {
                "the `accounts_file` of the `[dns.NAME]` holds no accounts of acme-dns\n\
                 help: it is `{\"example.com\": {\"username\", \"password\", \"fulldomain\", \"subdomain\"}}`, as lego and \
                 acme-dns-client write it"
            })?,
            None => BTreeMap::new(),
        };
        let (ready, registering) = (RefCell::default(), Mutex::default());
        Ok(Self { server, known, keep, ready, registering })
    }

    async fn check(&self, name: &str, place: &str) -> anyhow::Result<()> {
        let domain = name.strip_prefix("_acme-challenge.").unwrap_or(name);
        let account = self.account(domain).await?;
        let wanted = account.fulldomain.trim_end_matches('.').to_ascii_lowercase();
        if place != wanted {
            let is = match place == name {
                true => "has no CNAME yet".to_owned(),
                false => format!("leads to {place}"),
            };
            bail!("{name} {is}\nhelp: set this record, once: {name}. CNAME {wanted}.");
        }
        self.ready.borrow_mut().insert(wanted, account);
        Ok(())
    }

    /// The account for a domain: of the file, of the store, or a new one.
    async fn account(&self, domain: &str) -> anyhow::Result<Account> {
        if let Some(account) = self.known.get(domain) {
            return Ok(account.clone());
        }
        let _one_at_a_time = self.registering.lock().await;
        let url = &self.server.url;
        if let Some(text) = self.keep.read(url, domain)? {
            return account(text.expose_secret()).with_context(|| {
                format!("what the store keeps of {domain} at {url} is no account of acme-dns")
            });
        }
        let text = self.server.register().await?;
        self.keep.save(url, domain, &text)?;
        account(text.expose_secret()).context("an account")
    }

    async fn set(&self, name: &str, value: &str) -> anyhow::Result<Option<String>> {
        let account = self.ready.borrow().get(name).cloned();
        let account = account
            .with_context(|| format!("no account was made ready for {name}"))
            .map_err(NotPut::from)?;
        self.server.update(&account, value).await.map(|()| None)
    }
}

impl Dns for AcmeDns {
    fn make_ready<'a>(
        &'a self,
        name: &'a str,
        place: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        self.check(name, place).boxed_local()
    }

    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<Option<String>>> {
        self.set(name, value).boxed_local()
    }

    fn take_away<'a>(
        &'a self,
        _name: &'a str,
        _value: &'a str,
        _id: Option<&'a str>,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        ready(Ok(())).boxed_local()
    }
}

fn account(text: &str) -> Option<Account> {
    serde_json::from_str(text).ok()
}

/// A server of one's own answers at once; one across the world within a second.
const TIMEOUT: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
