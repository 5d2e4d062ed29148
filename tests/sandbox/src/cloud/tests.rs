//! The cloud's own tests: the official vectors, every refusal, and what each call leaves behind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::Value;

use super::*;

mod codes;
mod effects;
mod faults;
mod refusals;
mod sts;
mod vectors;

/// Seconds.
const DAY: i64 = 86_400;
const KEY: &str = "testAccessKeyId";
const SECRET: &str = "testAccessKeySecret";
const DOMAIN: &str = "cdn.example.com";

/// A chain and its key, as an upload has them.
pub(super) struct Pair {
    pub(super) leaf: String,
    pub(super) intermediate: String,
    pub(super) key: String,
    pub(super) pkcs8: String,
}

impl Pair {
    pub(super) fn chain(&self) -> String {
        format!("{}{}", self.leaf, self.intermediate)
    }
}

pub(super) static GOOD: LazyLock<Pair> =
    LazyLock::new(|| pair(DAY, &rcgen::PKCS_ECDSA_P256_SHA256));
pub(super) static OTHER: LazyLock<Pair> =
    LazyLock::new(|| pair(DAY, &rcgen::PKCS_ECDSA_P384_SHA384));
pub(super) static OLD: LazyLock<Pair> =
    LazyLock::new(|| pair(-DAY, &rcgen::PKCS_ECDSA_P256_SHA256));
pub(super) static RSA: LazyLock<Pair> = LazyLock::new(|| pair(DAY, &rcgen::PKCS_RSA_SHA256));

/// A leaf that ends so many seconds from now, its intermediate, and the key in the document's format.
fn pair(seconds: i64, algorithm: &'static rcgen::SignatureAlgorithm) -> Pair {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::<String>::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.distinguished_name.push(rcgen::DnType::CommonName, "Sandbox Intermediate");
    let intermediate = ca.self_signed(&ca_key).unwrap();
    let key = KeyPair::generate_for(algorithm).unwrap();
    let mut leaf = CertificateParams::new(vec![DOMAIN.to_owned()]).unwrap();
    leaf.distinguished_name = rcgen::DistinguishedName::new();
    leaf.not_before = system_time(-9 * DAY).into();
    leaf.not_after = system_time(seconds).into();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let inner = pkcs8::PrivateKeyInfoRef::try_from(key.serialized_der()).unwrap();
    let rsa = std::ptr::eq(algorithm, &raw const rcgen::PKCS_RSA_SHA256);
    let label = if rsa { "RSA PRIVATE KEY" } else { "EC PRIVATE KEY" };
    Pair {
        leaf: pem("CERTIFICATE", leaf.der()),
        intermediate: pem("CERTIFICATE", intermediate.der()),
        key: pem(label, inner.private_key.as_bytes()),
        pkcs8: pem("PRIVATE KEY", key.serialized_der()),
    }
}

fn system_time(seconds: i64) -> std::time::SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let now = std::time::SystemTime::now();
    if seconds < 0 { now - distance } else { now + distance }
}

fn pem(label: &str, der: &[u8]) -> String {
    let lf = ::pem::EncodeConfig::new().set_line_ending(::pem::LineEnding::LF);
    ::pem::encode_config(&::pem::Pem::new(label, der), lf)
}

/// A cloud with one account, one online domain and one zone.
pub(super) fn world() -> Cloud {
    Cloud::start(seed())
}

pub(super) fn seed() -> Seed {
    Seed::new()
        .account(Account::new(KEY, SECRET))
        .domain(Domain::online(DOMAIN))
        .zone(Zone::new("example.com"))
}

/// A call that a test may spoil, before or after it is signed.
pub(super) struct Ask {
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) content_type: &'static str,
    /// Empty: the call is not signed.
    pub(super) secret: &'static str,
    pub(super) params: BTreeMap<String, String>,
    /// Parameters that go into the URL; the rest goes into the body.
    pub(super) in_query: BTreeSet<String>,
    /// Changed after the signature was made.
    pub(super) late: BTreeMap<String, String>,
    /// Appended to the body as it stands.
    pub(super) tail: &'static str,
}

impl Ask {
    /// A call as a good client makes it: all in the body.
    pub(super) fn new(version: &str, action: &str, params: &[(&str, &str)]) -> Self {
        static NONCE: AtomicU32 = AtomicU32::new(0);
        let nonce = format!("nonce-{}", NONCE.fetch_add(1, Ordering::SeqCst));
        let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let common = [
            ("Action", action),
            ("Version", version),
            ("Format", "JSON"),
            ("AccessKeyId", KEY),
            ("SignatureMethod", "HMAC-SHA1"),
            ("SignatureVersion", "1.0"),
            ("SignatureNonce", &nonce),
            ("Timestamp", &now),
        ];
        let all = common.iter().chain(params);
        Self {
            method: "POST",
            path: "/",
            content_type: "application/x-www-form-urlencoded",
            secret: SECRET,
            params: all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            in_query: BTreeSet::new(),
            late: BTreeMap::new(),
            tail: "",
        }
    }

    /// An upload as a good client makes it.
    pub(super) fn upload() -> Self {
        Self::upload_of(&GOOD, DOMAIN, "cf-test")
    }

    pub(super) fn upload_of(pair: &Pair, domain: &str, name: &str) -> Self {
        let chain = pair.chain();
        Self::cdn(
            "SetDomainServerCertificate",
            &[
                ("DomainName", domain),
                ("ServerCertificateStatus", "on"),
                ("CertType", "upload"),
                ("CertName", name),
                ("ServerCertificate", &chain),
                ("PrivateKey", &pair.key),
                ("ForceSet", "1"),
            ],
        )
    }

    pub(super) fn cdn(action: &str, params: &[(&str, &str)]) -> Self {
        Self::new("2018-05-10", action, params)
    }

    pub(super) fn alidns(action: &str, params: &[(&str, &str)]) -> Self {
        Self::new("2015-01-09", action, params)
    }

    pub(super) fn read_back(domain: &str) -> Self {
        Self::cdn("DescribeDomainCertificateInfo", &[("DomainName", domain)])
    }

    pub(super) fn set(mut self, name: &str, value: &str) -> Self {
        self.params.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(super) fn without(mut self, name: &str) -> Self {
        self.params.remove(name);
        self
    }

    pub(super) fn late(mut self, name: &str, value: &str) -> Self {
        self.late.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Everything into the URL.
    pub(super) fn all_in_query(mut self) -> Self {
        self.in_query = self.params.keys().cloned().chain(["Signature".to_owned()]).collect();
        self
    }

    /// The pairs of the URL and of the body, signed.
    fn signed(&mut self) -> (String, String) {
        let text = sign::string_to_sign(self.method, &self.params);
        if !self.secret.is_empty() {
            self.params.insert("Signature".to_owned(), sign::signature(self.secret, &text));
        }
        self.params.append(&mut self.late);
        let pairs = |queried: bool| -> String {
            let queried = |name: &String| self.in_query.contains(name) == queried;
            let here = self.params.iter().filter(|(name, _)| queried(name));
            let pairs = here.map(|(k, v)| format!("{}={}", sign::encode(k), sign::encode(v)));
            pairs.collect::<Vec<_>>().join("&")
        };
        (pairs(true), format!("{}{}", pairs(false), self.tail))
    }

    pub(super) fn signed_body(mut self) -> String {
        self.signed().1
    }

    pub(super) async fn send(mut self, cloud: &Cloud) -> reqwest::Result<(u16, String)> {
        thread_local! {
            // One a test, since each test has a thread and a runtime; building one takes longer than a call.
            static CLIENT: reqwest::Client = reqwest::Client::builder()
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .timeout(Duration::from_secs(2))
                .build()
                .unwrap();
        }
        let (query, body) = self.signed();
        let url = format!("{}{}?{query}", cloud.url(), self.path);
        let method = reqwest::Method::from_bytes(self.method.as_bytes()).unwrap();
        let mut request = CLIENT.with(|client| client.request(method, url));
        if !body.is_empty() {
            request = request.header("content-type", self.content_type).body(body);
        }
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The answer of a call that must succeed.
    pub(super) async fn ok(self, cloud: &Cloud) -> Value {
        let action = self.params.get("Action").cloned();
        let (status, body) = self.send(cloud).await.unwrap();
        assert_eq!(status, 200, "{action:?}: {body}");
        serde_json::from_str(&body).unwrap()
    }

    /// The code of a call that must be refused.
    pub(super) async fn refused(self, cloud: &Cloud) -> (u16, String) {
        let (status, body) = self.send(cloud).await.unwrap();
        // A request that could not be read names no format, so its refusal is XML.
        let xml = body.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>"));
        let json = || serde_json::from_str::<Value>(&body).ok()?["Code"].as_str().map(String::from);
        (status, xml.map_or_else(|| json().unwrap_or_default(), |(code, _)| code.to_owned()))
    }
}
