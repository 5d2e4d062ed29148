//! Uploads: one domain model behind the two APIs that take a certificate.
//!
//! `SetDomainServerCertificate` replaces in place (`ForceSet=1`), so a target has one CertName for ever. Its successor
//! `SetCdnDomainSSLCertificate` has no such word: there a name is taken once, so the leaf's fingerprint is part of it.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::error::{Error, Kind};
use super::pages::text;
use super::retry::Effort;
use super::{Account, Api, Call, Limit, Product, UPLOAD_TIME};
use crate::cert::Fingerprint;
use crate::config::CdnApi;

/// A certificate and its key, on the way to a CDN domain.
#[derive(Clone, Copy, Debug)]
pub struct Upload<'a> {
    /// The CDN domain as the API names it: `.example.com` for `*.example.com`.
    pub api_name: &'a str,
    /// The certificate's name in the account; see [`cert_name`].
    pub cert_name: &'a str,
    /// The leaf's.
    pub fingerprint: Fingerprint,
    /// The chain, PEM, leaf first.
    pub chain_pem: &'a str,
    /// The key, PEM, PKCS#1 or SEC1.
    pub key_pem: &'a SecretString,
}

/// The cloud took an upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its RequestId. Empty where the answer was lost, and a look showed that the upload had its effect.
    pub request_id: String,
    /// How often it was sent.
    pub attempts: u32,
    /// The CertName that it has in the account.
    pub cert_name: String,
    /// Stored, and not live: the cloud's word for it (Certificate.SettedNotEffect).
    pub not_live: Option<Error>,
}

/// The name that a certificate gets in the account: made of the target, so that it is unique there and an upload
/// replaces the one before. `cf-`, the domain with dots and star made plain, `-`, and 8 hex digits of its SHA-256; at
/// most 63 of `[A-Za-z0-9._-]` (the least of the documented limits).
#[must_use]
pub fn cert_name(api_name: &str) -> String {
    let plain = |letter: char| match letter {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '-' | '_' => letter,
        _ => '-',
    };
    let readable: String =
        api_name.trim_start_matches(['*', '.']).chars().map(plain).take(READABLE).collect();
    let digest = Sha256::digest(api_name.as_bytes());
    let hex: String = digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("cf-{readable}-{hex}")
}

/// Is it the name that an upload as `cert_name` gives: that itself, or where a name is taken once, with a leaf behind it?
#[must_use]
pub fn is_name_of(name: &str, cert_name: &str) -> bool {
    let Some((rest, last)) = name.rsplit_once('-') else { return name == cert_name };
    let by_leaf = |start: &str, leaf: &str, end: usize| {
        is_hex(leaf, LEAF) && start == shortened(cert_name, LONGEST - end)
    };
    let is_unique = || {
        let (start, leaf) = rest.rsplit_once('-')?;
        Some(is_hex(last, RANDOM) && by_leaf(start, leaf, LEAF + RANDOM + 2))
    };
    name == cert_name || by_leaf(rest, last, LEAF + 1) || is_unique().unwrap_or(false)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl Account {
    /// Does it find out by itself which API takes the uploads?
    #[must_use]
    pub fn is_auto(&self) -> bool {
        self.inner.cdn_api == CdnApi::Auto
    }

    /// The same account, whose `auto` has learned that the first API is gone: its successor is asked first.
    #[must_use]
    pub fn superseded(self) -> Self {
        self.inner.successor_first.set(true);
        self
    }

    /// Has `auto` learned that the first API is gone?
    #[must_use]
    pub fn is_superseded(&self) -> bool {
        self.inner.successor_first.get()
    }

    /// Uploads a certificate onto a CDN domain and switches HTTPS on, by the API that the configuration names. Doing it
    /// twice is doing it once; when an answer is lost, a look comes before a second time. While the domain is being
    /// configured it does not wait: `effort` rests then, and the caller comes again when it has rested.
    ///
    /// # Errors
    /// [`Error`], after the retries that its kind allows.
    pub async fn upload(
        &self,
        upload: &Upload<'_>,
        effort: &mut Effort,
    ) -> Result<Accepted, Error> {
        let (first, other) = self.takers();
        let ended = match (self.upload_by(first, upload, effort).await, other) {
            (Err(error), Some(other)) if error.kind == Kind::NoSuchApi => {
                let ended = self.upload_by(other, upload, effort).await;
                if ended.is_ok() {
                    self.inner.successor_first.set(other == Taker::Successor);
                }
                ended
            }
            (ended, _) => ended,
        };
        ended.map_err(|error| self.advised(error))
    }

    /// Who is asked, and who if the cloud does not know that call (any more).
    fn takers(&self) -> (Taker, Option<Taker>) {
        match (self.inner.cdn_api, self.is_superseded()) {
            (CdnApi::SetDomainServerCertificate, _) => (Taker::First, None),
            (CdnApi::SetCdnDomainSslCertificate, _) => (Taker::Successor, None),
            (CdnApi::Auto, false) => (Taker::First, Some(Taker::Successor)),
            (CdnApi::Auto, true) => (Taker::Successor, Some(Taker::First)),
        }
    }

    async fn upload_by(
        &self,
        taker: Taker,
        upload: &Upload<'_>,
        effort: &mut Effort,
    ) -> Result<Accepted, Error> {
        if taker == Taker::First {
            return self.send(taker, upload, upload.cert_name, effort).await;
        }
        let name = named_by_leaf(upload);
        match self.send(taker, upload, &name, effort).await {
            Err(error) if error.code == NAME_TAKEN => {
                self.send_again(upload, name, effort, error).await
            }
            ended => ended,
        }
    }

    /// This certificate was put into the account before, by a run that was cut short, or for another target. If this
    /// one serves it, all is done; else it goes under a name that nobody has.
    async fn send_again(
        &self,
        upload: &Upload<'_>,
        name: String,
        effort: &mut Effort,
        taken: Error,
    ) -> Result<Accepted, Error> {
        // After a lost answer that was looked at already.
        if !effort.is_unsure() && self.serves(upload.api_name, upload.chain_pem).await {
            let (request_id, attempts) = (String::new(), effort.attempts());
            return Ok(Accepted { request_id, attempts, cert_name: name, not_live: None });
        }
        let Some(unique) = never_given(upload) else { return Err(taken) };
        self.send(Taker::Successor, upload, &unique, effort).await
    }

    async fn send(
        &self,
        taker: Taker,
        upload: &Upload<'_>,
        cert_name: &str,
        effort: &mut Effort,
    ) -> Result<Accepted, Error> {
        let params = taker.params(upload, cert_name);
        let call = Call {
            api: taker.api(),
            params: &params,
            subject: upload.api_name,
            secret: Some(upload.key_pem),
        };
        let done = async || self.serves(upload.api_name, upload.chain_pem).await;
        let (answer, not_live) = match self.insist(&call, effort, done).await {
            Ok(answer) => (answer, None),
            Err(error) if error.kind == Kind::NotEffective => (Value::Null, Some(error)),
            Err(error) => return Err(error),
        };
        let of_error = || not_live.as_ref().and_then(|error| error.request_id.clone());
        let request_id = text(&answer, "RequestId").or_else(of_error).unwrap_or_default();
        let (attempts, cert_name) = (effort.attempts(), cert_name.to_owned());
        Ok(Accepted { request_id, attempts, cert_name, not_live })
    }

    /// Where the cloud does not know the call that the configuration names, the other one may be the remedy.
    fn advised(&self, error: Error) -> Error {
        let is_gone = error.kind == Kind::NoSuchApi
            && !["InvalidVersion", "InvalidProduct"]
                .iter()
                .any(|code| error.code.starts_with(code));
        let other = match self.inner.cdn_api {
            CdnApi::SetDomainServerCertificate => Taker::Successor,
            CdnApi::SetCdnDomainSslCertificate => Taker::First,
            CdnApi::Auto => return error,
        };
        if !is_gone {
            return error;
        }
        let (name, action) = (self.name(), other.api().action);
        let help = format!(
            "write cdn_api = \"auto\" into [aliyun.{name}] and grant `cdn:{action}`, which takes the uploads then; {}",
            error.help
        );
        Error { help, ..error }
    }
}

/// Who takes an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taker {
    /// SetDomainServerCertificate.
    First,
    /// SetCdnDomainSSLCertificate.
    Successor,
}

impl Taker {
    fn api(self) -> &'static Api {
        match self {
            Self::First => &SET_DOMAIN_SERVER_CERTIFICATE,
            Self::Successor => &SET_CDN_DOMAIN_SSL_CERTIFICATE,
        }
    }

    fn params<'a>(self, upload: &Upload<'a>, cert_name: &'a str) -> Vec<(&'a str, &'a str)> {
        let (status, chain, key) = match self {
            Self::First => ("ServerCertificateStatus", "ServerCertificate", "PrivateKey"),
            Self::Successor => ("SSLProtocol", "SSLPub", "SSLPri"),
        };
        let mut params = vec![
            ("DomainName", upload.api_name),
            (status, "on"),
            ("CertType", "upload"),
            ("CertName", cert_name),
            (chain, upload.chain_pem),
            (key, upload.key_pem.expose_secret()),
        ];
        if self == Self::First {
            params.push(("ForceSet", "1"));
        }
        params
    }
}

/// The CertName where a name is taken once: the leaf's fingerprint follows.
fn named_by_leaf(upload: &Upload<'_>) -> String {
    let leaf = upload.fingerprint.short();
    format!("{}-{leaf}", shortened(upload.cert_name, LONGEST - 1 - leaf.len()))
}

/// The same with six random digits; none without random numbers.
fn never_given(upload: &Upload<'_>) -> Option<String> {
    let mut bytes = [0; 3];
    getrandom::fill(&mut bytes).ok()?;
    let random: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let end = format!("{}-{random}", upload.fingerprint.short());
    Some(format!("{}-{end}", shortened(upload.cert_name, LONGEST - 1 - end.len())))
}

/// At most so many characters. What tells one name from another stands at its end: that stays.
fn shortened(name: &str, most: usize) -> String {
    let letters: Vec<char> = name.chars().collect();
    let over = letters.len().saturating_sub(most);
    let kept = most.min(letters.len()) - HASH.min(most).min(letters.len());
    let end = letters.iter().skip(kept + over);
    letters.iter().take(kept).chain(end).collect()
}

/// The successor's word for a name that exists.
const NAME_TAKEN: &str = "Certificate.Duplicated";
/// Of a certificate's name: the least of the documented limits.
const LONGEST: usize = 63;
/// Digits of a leaf's short fingerprint, and those that make a name unique.
const LEAF: usize = 16;
const RANDOM: usize = 6;
/// A dash and 8 digits.
const HASH: usize = 9;
/// 63, less `cf-`, a dash and 8 digits.
const READABLE: usize = LONGEST - 3 - HASH;

/// Documented: 10 calls a second and user.
static SET_DOMAIN_SERVER_CERTIFICATE: Api = api("SetDomainServerCertificate");
/// Documented: 30 calls a second and user. It leaves at the pace of the first all the same: `calls_per_second` is one
/// promise to whoever shares the account, `auto` must not change it, and 9.6 a second is enough for 10,000 targets in
/// 20 minutes.
static SET_CDN_DOMAIN_SSL_CERTIFICATE: Api = api("SetCdnDomainSSLCertificate");

const fn api(action: &'static str) -> Api {
    Api { product: Product::Cdn, action, limit: Limit::Uploads, timeout: UPLOAD_TIME }
}

#[cfg(test)]
mod tests;
