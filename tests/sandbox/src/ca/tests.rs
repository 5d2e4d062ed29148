//! The CA's own tests: every refusal, and what each call leaves behind, by a client that can be made to err.

use std::time::Duration;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};
use serde_json::json;

use super::*;
use crate::dns::{Behaviour, Dns};

mod flow;
mod refusals;
mod states;
mod validation;

const NAME: &str = "example.test";
const CHALLENGE: &str = "_acme-challenge.example.test";

pub(super) fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// An answer.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
}

impl Seen {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> String {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default()
    }

    /// The last part of a problem's type.
    pub(super) fn problem(&self) -> String {
        let kind = self.json()["type"].as_str().unwrap_or_default().to_owned();
        kind.strip_prefix("urn:ietf:params:acme:error:").unwrap_or_default().to_owned()
    }
}

/// A key of an account.
pub(super) struct AccountKey(EcdsaKeyPair);

impl AccountKey {
    pub(super) fn new() -> Self {
        Self(EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap())
    }

    pub(super) fn of(key: &KeyPair) -> Self {
        let der = key.serialized_der();
        Self(EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).unwrap())
    }

    pub(super) fn jwk(&self) -> Value {
        let point = self.0.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "x": b64(&point[1..33]), "y": b64(&point[33..]) })
    }

    /// A flattened JWS.
    pub(super) fn sign(&self, protected: &Value, payload: &str) -> Value {
        let (protected, payload) = (b64(protected.to_string()), b64(payload));
        let text = format!("{protected}.{payload}");
        let signature = self.0.sign(&SystemRandom::new(), text.as_bytes()).unwrap();
        json!({ "protected": protected, "payload": payload, "signature": b64(signature) })
    }
}

/// A client of a CA, with an account once it made one.
pub(super) struct Client {
    http: reqwest::Client,
    pub(super) base: String,
    pub(super) key: AccountKey,
    pub(super) kid: Option<String>,
}

/// How one request differs from a good one.
pub(super) struct Spoil {
    pub(super) content_type: &'static str,
    pub(super) agent: &'static str,
    pub(super) protected: fn(&mut Value),
    pub(super) jws: fn(&mut Value),
    pub(super) by_key: Option<AccountKey>,
}

impl Default for Spoil {
    fn default() -> Self {
        Self {
            content_type: "application/jose+json",
            agent: "sandbox-test",
            protected: |_| {},
            jws: |_| {},
            by_key: None,
        }
    }
}

impl Client {
    pub(super) fn new(ca: &Ca) -> Self {
        let root = reqwest::Certificate::from_pem(ca.tls_root_pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .tls_certs_only([root])
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        let base = ca.directory_url().replace("/directory", "");
        Self { http, base, key: AccountKey::new(), kid: None }
    }

    /// A client with an account.
    pub(super) async fn registered(ca: &Ca) -> Self {
        let mut client = Self::new(ca);
        let seen = client.post("/acme/new-acct", json!({ "termsOfServiceAgreed": true })).await;
        assert_eq!(seen.status, 201, "{seen:?}");
        client.kid = Some(seen.header("location"));
        client
    }

    pub(super) async fn get(&self, url: &str) -> Seen {
        self.send(self.http.get(self.url(url)).header("user-agent", "sandbox-test")).await.unwrap()
    }

    pub(super) async fn nonce(&self) -> String {
        let head = self.http.head(self.url("/acme/new-nonce")).header("user-agent", "sandbox-test");
        self.send(head).await.unwrap().header("replay-nonce")
    }

    /// A good request; tried again while its nonce is refused by chance.
    pub(super) async fn post(&self, url: &str, payload: impl ToString) -> Seen {
        loop {
            let seen = self.once(url, &payload.to_string(), Spoil::default()).await.unwrap();
            if !seen.text.contains("refused by chance") {
                return seen;
            }
        }
    }

    pub(super) async fn once(
        &self,
        url: &str,
        payload: &str,
        spoil: Spoil,
    ) -> reqwest::Result<Seen> {
        let url = self.url(url);
        let mut protected = json!({ "alg": "ES256", "nonce": self.nonce().await, "url": url });
        let key = spoil.by_key.as_ref().unwrap_or(&self.key);
        match self.kid.as_ref().filter(|_| spoil.by_key.is_none()) {
            Some(kid) => protected["kid"] = json!(kid),
            None => protected["jwk"] = key.jwk(),
        }
        (spoil.protected)(&mut protected);
        let mut jws = key.sign(&protected, payload);
        (spoil.jws)(&mut jws);
        let post = self.http.post(url).header("content-type", spoil.content_type);
        self.send(post.header("user-agent", spoil.agent).body(jws.to_string())).await
    }

    pub(super) async fn order(&self, names: &[&str]) -> (String, Value) {
        let seen = self.post("/acme/new-order", order_of(names)).await;
        assert_eq!(seen.status, 201, "{seen:?}");
        (seen.header("location"), seen.json())
    }

    /// What the TXT record of a challenge must hold.
    pub(super) fn proof(&self, challenge: &Value) -> String {
        let thumbprint = jose::Jwk::read(&self.key.jwk()).unwrap().thumbprint();
        let text = format!("{}.{thumbprint}", challenge["token"].as_str().unwrap());
        b64(<sha2::Sha256 as sha2::Digest>::digest(text.as_bytes()))
    }

    /// The dns-01 challenge of an authorization.
    pub(super) async fn challenge(&self, authorization: &Value) -> Value {
        let seen = self.post(authorization.as_str().unwrap(), "").await.json();
        let all = seen["challenges"].as_array().unwrap();
        all.iter().find(|one| one["type"] == "dns-01").unwrap().clone()
    }

    /// Polls until the status is another one.
    pub(super) async fn poll(&self, url: &str, while_status: &str) -> Value {
        for _ in 0..200 {
            let seen = self.post(url, "").await.json();
            if seen["status"] != while_status {
                return seen;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{url} stays {while_status}");
    }

    /// Proves all names of an order, whose TXT records are put into the book.
    pub(super) async fn prove(&self, dns: &Dns, order: &Value) {
        for authorization in order["authorizations"].as_array().unwrap() {
            let challenge = self.challenge(authorization).await;
            let mut values = dns.zones().values(CHALLENGE, "TXT");
            values.push(self.proof(&challenge));
            dns.zones().set(NAME, CHALLENGE, "TXT", &values);
            let answered = self.post(challenge["url"].as_str().unwrap(), "{}").await;
            assert_eq!(answered.status, 200, "{answered:?}");
            let after = self.poll(authorization.as_str().unwrap(), "pending").await;
            assert_eq!(after["status"], "valid", "{after}");
        }
    }

    /// A certificate of the name, from nothing: (order's URL, certificate's URL, its key).
    pub(super) async fn certificate(&self, dns: &Dns, names: &[&str]) -> (String, String, KeyPair) {
        let (url, order) = self.order(names).await;
        self.prove(dns, &order).await;
        let key = KeyPair::generate().unwrap();
        let csr = json!({ "csr": b64(csr(&key, names)) });
        let seen = self.post(order["finalize"].as_str().unwrap(), csr).await;
        assert_eq!(seen.json()["status"], "processing", "{seen:?}");
        let order = self.poll(&url, "processing").await;
        (url, order["certificate"].as_str().unwrap_or_else(|| panic!("{order}")).to_owned(), key)
    }

    fn url(&self, url: &str) -> String {
        if url.starts_with('/') { format!("{}{url}", self.base) } else { url.to_owned() }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> reqwest::Result<Seen> {
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Seen { status, headers, text: answer.text().await? })
    }
}

pub(super) fn order_of(names: &[&str]) -> Value {
    let identifiers = names.iter().map(|name| json!({ "type": "dns", "value": name }));
    json!({ "identifiers": identifiers.collect::<Vec<_>>() })
}

/// A CSR with an empty subject.
pub(super) fn csr(key: &KeyPair, names: &[&str]) -> Vec<u8> {
    request(key, names, &[])
}

pub(super) fn request(key: &KeyPair, names: &[&str], subject: &[(DnType, &str)]) -> Vec<u8> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    for (kind, value) in subject {
        params.distinguished_name.push(kind.clone(), *value);
    }
    params.serialize_request(key).unwrap().der().to_vec()
}

/// A DNS with the zone, and a CA that asks it.
pub(super) fn world(change: impl FnOnce(&mut Rules)) -> (Dns, Ca) {
    let dns = Dns::start(&[Behaviour::Well, Behaviour::Well]);
    dns.zones().add(NAME);
    let ca = Ca::start(Seed::new().dns(&dns).rules(change));
    (dns, ca)
}
