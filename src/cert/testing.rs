//! Certificates for tests: one CA for each test process (a root and an intermediate), leaves as asked for.
#![allow(clippy::unwrap_used, dead_code, reason = "tests; each module uses what it needs")]

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, RsaKeySize,
};

use super::Cert;

/// Start of a leaf's validity, unless asked for another.
pub(crate) const NOT_BEFORE: &str = "2026-01-01T00:00:00Z";
/// End of a leaf's validity, unless asked for another: far off, so that any clock of a test is before it.
pub(crate) const NOT_AFTER: &str = "2036-01-01T00:00:00Z";

/// The intermediate's name.
pub(crate) const ISSUER: &str = "Test Issuing CA";

/// Kinds of keys of test leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    P256,
    P384,
    P521,
    Ed25519,
    Rsa2048,
}

/// Asks for a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Make {
    names: Vec<String>,
    common_name: Option<String>,
    not_before: Timestamp,
    not_after: Timestamp,
    kind: Kind,
    signer: Signer,
    with_root: bool,
    without_intermediate: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
    Intermediate,
    Root,
    Itself,
}

/// What was asked for, as PEM. The chain is leaf first; the key PKCS#8.
#[derive(Clone, Debug)]
pub(crate) struct Made {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// A chain (leaf, intermediate) and a key for these names.
pub(crate) fn pair(names: &[&str]) -> (String, String) {
    let made = Make::new(names).made();
    (made.chain, made.key)
}

/// The root of all test leaves, as PEM.
pub(crate) fn root_pem() -> String {
    ca().root_pem.clone()
}

/// The intermediate, as PEM.
pub(crate) fn intermediate_pem() -> String {
    ca().intermediate_pem.clone()
}

/// A certificate of the intermediate's name and another key.
pub(crate) fn impostor_pem() -> String {
    let params = ca_params(ISSUER);
    params.signed_by(&key(Kind::P256), &ca().root).unwrap().pem()
}

impl Make {
    pub(crate) fn new(names: &[&str]) -> Self {
        Self {
            names: names.iter().map(|&name| name.to_owned()).collect(),
            common_name: None,
            not_before: NOT_BEFORE.parse().unwrap(),
            not_after: NOT_AFTER.parse().unwrap(),
            kind: Kind::P256,
            signer: Signer::Intermediate,
            with_root: false,
            without_intermediate: false,
        }
    }

    pub(crate) fn not_before(mut self, at: &str) -> Self {
        self.not_before = at.parse().unwrap();
        self
    }

    pub(crate) fn not_after(mut self, at: &str) -> Self {
        self.not_after = at.parse().unwrap();
        self
    }

    pub(crate) fn kind(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }

    /// A subject; leaves have none otherwise.
    pub(crate) fn common_name(mut self, name: &str) -> Self {
        self.common_name = Some(name.to_owned());
        self
    }

    pub(crate) fn self_signed(mut self) -> Self {
        self.signer = Signer::Itself;
        self.common_name = self.common_name.or_else(|| Some("self-signed".to_owned()));
        self
    }

    /// Signed by the root itself, without an intermediate.
    pub(crate) fn by_root(mut self) -> Self {
        self.signer = Signer::Root;
        self
    }

    /// The chain's text ends in the root.
    pub(crate) fn with_root(mut self) -> Self {
        self.with_root = true;
        self
    }

    /// The chain's text lacks the intermediate.
    pub(crate) fn without_intermediate(mut self) -> Self {
        self.without_intermediate = true;
        self
    }

    pub(crate) fn made(&self) -> Made {
        let key = key(self.kind);
        let params = self.params();
        let leaf = match self.signer {
            Signer::Itself => params.self_signed(&key),
            Signer::Root => params.signed_by(&key, &ca().root),
            Signer::Intermediate => params.signed_by(&key, &ca().intermediate),
        };
        let mut chain = leaf.unwrap().pem();
        if self.signer == Signer::Intermediate && !self.without_intermediate {
            chain += &ca().intermediate_pem;
        }
        if self.with_root {
            chain += &ca().root_pem;
        }
        Made { chain, key: key.serialize_pem() }
    }

    pub(crate) fn cert(&self) -> Cert {
        let made = self.made();
        Cert::read(made.chain.as_bytes(), made.key.as_bytes()).unwrap()
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::new(self.names.clone()).unwrap();
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = &self.common_name {
            params.distinguished_name.push(DnType::CommonName, name.as_str());
        }
        params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(self.not_before);
        params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970(self.not_after);
        params.use_authority_key_identifier_extension = true;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
    }
}

struct Ca {
    root: Issuer<'static, KeyPair>,
    root_pem: String,
    intermediate: Issuer<'static, KeyPair>,
    intermediate_pem: String,
}

fn ca() -> &'static Ca {
    static CA: OnceLock<Ca> = OnceLock::new();
    CA.get_or_init(|| {
        let root_key = key(Kind::P256);
        let root_params = ca_params("Test Root");
        let root_pem = root_params.self_signed(&root_key).unwrap().pem();
        let root = Issuer::new(root_params, root_key);
        let own_key = key(Kind::P256);
        let params = ca_params(ISSUER);
        let intermediate_pem = params.signed_by(&own_key, &root).unwrap().pem();
        Ca { root, root_pem, intermediate: Issuer::new(params, own_key), intermediate_pem }
    })
}

fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params
}

fn key(kind: Kind) -> KeyPair {
    static RSA: OnceLock<String> = OnceLock::new();
    let rsa = || KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    match kind {
        Kind::P256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap(),
        Kind::P384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap(),
        Kind::P521 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap(),
        Kind::Ed25519 => KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(),
        // One for the process: making one takes longer than a test should.
        Kind::Rsa2048 => KeyPair::from_pem(RSA.get_or_init(|| rsa().serialize_pem())).unwrap(),
    }
}

fn since_1970(at: Timestamp) -> Duration {
    Duration::from_secs(u64::try_from(at.as_second()).unwrap())
}
