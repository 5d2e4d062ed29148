//! What is remembered between runs, as values: the store keeps them, the plan reads them. Pure.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cert::Fingerprint;
use crate::config::{Acme, Certificate, Target};

mod renewal;

pub use renewal::{Ari, OrderedFrom, Window};

/// What is remembered of a lineage.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LineageMemory {
    /// Fingerprints of its Certs in the order in which they came; the last is the newest.
    pub succession: Vec<Fingerprint>,
    /// Digest of what the newest Cert was asked for.
    pub asked: Option<String>,
    /// Issuing that failed.
    pub failures: Option<Failures>,
    /// An order under way.
    pub order: Option<Order>,
    /// Where the newest Cert was ordered.
    pub ordered_from: Option<OrderedFrom>,
    /// What its CA said about the renewal of the newest Cert.
    pub ari: Option<Ari>,
}

impl LineageMemory {
    /// An order has come to its end: the newest Cert is what was asked for.
    pub fn complete(&mut self, fingerprint: Fingerprint, asked: String, from: OrderedFrom) {
        self.order = None;
        self.asked = Some(asked);
        self.ordered_from = Some(from);
        if self.succession.last() != Some(&fingerprint) {
            self.succession.push(fingerprint);
        }
    }
}

/// Issuing that failed, and when it may be tried again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures {
    /// How many in a row the CA counted.
    pub count: u32,
    /// When the last one was.
    pub at: Timestamp,
    /// Not tried again before.
    pub not_before: Timestamp,
    /// `not_before` is the CA's own word (Retry-After): nothing overrides it.
    pub said_by_ca: bool,
    /// The last error, redacted.
    pub error: String,
    /// Digest of what was asked for: a changed config overrides our ladder.
    pub asked: String,
}

/// An ACME order under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its URL.
    pub url: String,
    /// The directory's URL of its CA.
    pub directory: String,
    /// The URL of our account there.
    #[serde(default)]
    pub account: String,
    /// Digest of what was asked for; another one now: this order is of no use.
    pub asked: String,
    /// Number of the version that holds its key; 0 while there is none yet.
    pub version: u32,
}

/// A TXT record that we put, or were about to put.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The lineage it is for.
    pub lineage: String,
    /// Name of the `[dns.NAME]` that put it.
    pub dns: String,
    /// The name at which it stands (after CNAMEs), no dot at its end.
    pub name: String,
    /// Its value.
    pub value: String,
    /// The provider's id; none before the put was answered, or where the kind has none.
    pub id: Option<String>,
    /// The order it belongs to.
    pub order: String,
}

/// What a target last took from us.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// The leaf.
    pub fingerprint: Fingerprint,
    /// When the cloud accepted it.
    pub at: Timestamp,
    /// What the target served before.
    pub before: Before,
    /// A read-back has shown it since.
    pub shown: bool,
    /// The CertName it was given.
    pub cert_name: String,
}

/// What a target served before our upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Before {
    /// This leaf.
    Leaf(Fingerprint),
    /// HTTPS was off.
    Off,
    /// Not known.
    Unknown,
}

/// What is remembered of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetMemory {
    /// What it last took.
    pub taken: Option<Taken>,
    /// The last error, redacted; none after a success.
    pub last_error: Option<String>,
}

/// What a hook asked to keep in step. Known by (client, source).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The ACME client: `certbot`.
    pub client: String,
    /// Where its files are.
    pub source: PathBuf,
    /// Name of the lineage for people.
    pub name: String,
    /// Names of the certificate, as the client said.
    pub names: Vec<String>,
    /// What is to serve it.
    pub targets: Vec<Target>,
    /// The targets are the certificate's names as they stand: those that are no CDN domain of the account are skipped.
    #[serde(default)]
    pub guessed: bool,
    /// When the hook was called.
    pub at: Timestamp,
}

/// Digest of what is asked of a CA for a certificate, not of how: another one means that a failure, an order, or the
/// newest Cert is about something else.
#[must_use]
pub fn asked(acme: &Acme, certificate: &Certificate) -> String {
    use sha2::Digest;
    let mut names = certificate.domains.clone();
    names.sort();
    let profile = certificate.profile.as_ref().or(acme.profile.as_ref());
    let said =
        format!("{}\n{}\n{:?}\n{profile:?}", acme.directory, names.join(" "), certificate.key_type);
    let digest = sha2::Sha256::digest(said.as_bytes());
    digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KeyType;

    fn acme() -> Acme {
        Acme {
            directory: "https://ca.test/dir".to_owned(),
            contact: Vec::new(),
            terms_agreed: true,
            ca_file: None,
            eab: None,
            profile: None,
            preferred_chain: None,
        }
    }

    fn certificate() -> Certificate {
        Certificate {
            name: "example.test".to_owned(),
            domains: ["example.test", "*.example.test"].map(str::to_owned).into(),
            dns: "default".to_owned(),
            key_type: KeyType::EcdsaP256,
            profile: None,
            reuse_key: false,
            source: None,
            deploy: Vec::new(),
            line: 1,
        }
    }

    /// Does this change make another thing that is asked for?
    fn check(row: &str, change: impl FnOnce(&mut Acme, &mut Certificate), differs: bool) {
        let (mut acme, mut certificate) = (acme(), certificate());
        let before = asked(&acme, &certificate);
        change(&mut acme, &mut certificate);
        assert_eq!(asked(&acme, &certificate) != before, differs, "{row}");
    }

    #[test]
    fn what_is_asked_for_has_a_digest() {
        check("nothing", |_, _| {}, false);
        check("another CA", |acme, _| acme.directory.push('2'), true);
        check("a name less", |_, certificate| certificate.domains.truncate(1), true);
        check("another order of names", |_, certificate| certificate.domains.reverse(), false);
        check("another key", |_, certificate| certificate.key_type = KeyType::Rsa2048, true);
        check("a profile", |_, certificate| certificate.profile = Some("short".to_owned()), true);
        check("the same for all", |acme, _| acme.profile = Some("short".to_owned()), true);
        check("where it goes", |_, certificate| certificate.line = 9, false);
        check("how it is proved", |_, certificate| certificate.dns.push('2'), false);
        check("which chain", |acme, _| acme.preferred_chain = Some("X1".to_owned()), false);
        check("who asks", |acme, _| acme.contact.push("ops@example.test".to_owned()), false);
    }
}
