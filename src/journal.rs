//! What is remembered between runs, as values: the store keeps them, the plan reads them. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::cert::Fingerprint;
use crate::config::{Acme, CdnDomain, Certificate, Config, Source, Target};

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
    /// Where the newest Cert was ordered, and when it was issued.
    pub ordered_from: Option<OrderedFrom>,
    /// Issuing that failed at the first CA.
    pub failures: Option<Failures>,
    /// Issuing that failed at the fallback CA.
    pub fallback_failures: Option<Failures>,
    /// An order under way.
    pub order: Option<Order>,
    /// Certs that were revoked, among those of the succession.
    pub revoked: Vec<Fingerprint>,
    /// What is served in place of the newest Cert; at most one for all targets, and one for each target.
    pub pins: Vec<Pin>,
    /// What its CA said about the renewal of the newest Cert.
    pub ari: Option<Ari>,
    /// The CDN domains that were last discovered for it, by account: kept in step where the list cannot be had.
    pub discovered: BTreeMap<String, Vec<CdnDomain>>,
}

impl LineageMemory {
    /// This is the lineage's newest Cert. One that was never seen before ends the pins.
    pub fn succeed(&mut self, fingerprint: Fingerprint) {
        if !self.succession.contains(&fingerprint) {
            self.succession.push(fingerprint);
            self.pins.clear();
        }
    }

    /// A Cert that counts no more.
    pub fn revoke(&mut self, fingerprint: Fingerprint) {
        if !self.revoked.contains(&fingerprint) {
            self.revoked.push(fingerprint);
        }
    }

    /// An order has come to its end: the newest Cert is what was asked for.
    pub fn complete(&mut self, fingerprint: Fingerprint, asked: String, from: OrderedFrom) {
        self.order = None;
        self.asked = Some(asked);
        self.ordered_from = Some(from);
        self.succeed(fingerprint);
    }

    /// What failed at one of the two CAs.
    #[must_use]
    pub fn failures_at(&self, turn: Turn) -> Option<&Failures> {
        match turn {
            Turn::First => self.failures.as_ref(),
            Turn::Fallback => self.fallback_failures.as_ref(),
        }
    }

    /// What failed since the newest Cert was issued: the other CA may have issued it.
    #[must_use]
    pub fn failed_since(&self, turn: Turn) -> Option<&Failures> {
        let issued = self.ordered_from.as_ref().map(|from| from.at);
        self.failures_at(turn).filter(|failed| issued.is_none_or(|issued| failed.at > issued))
    }

    /// Issuing failed at one of the two CAs.
    pub fn fail(&mut self, turn: Turn, failures: Failures) {
        match turn {
            Turn::First => self.failures = Some(failures),
            Turn::Fallback => self.fallback_failures = Some(failures),
        }
    }

    /// Issuing went well at one of the two CAs. What the first one said still holds after the fallback's success.
    pub fn went_well(&mut self, turn: Turn) {
        self.fallback_failures = None;
        if turn == Turn::First {
            self.failures = None;
        }
    }
}

/// Which of a certificate's two CAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The one that is tried first.
    First,
    /// The one that stands in for it.
    Fallback,
}

/// A Cert that is served in place of a lineage's newest, for a time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Its leaf.
    pub fingerprint: Fingerprint,
    /// The target that it holds, with a Cert given by hand; none: all of the lineage's, with a version of its own.
    pub target: Option<Target>,
    /// Since when.
    pub at: Timestamp,
    /// From then on the newest Cert goes out again: a pin lets no certificate expire.
    pub until: Timestamp,
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

impl Failures {
    /// Must the CA be left alone now? Not for what a clock noted that ran ahead of this one: it may have been years.
    #[must_use]
    pub fn hold(&self, now: Timestamp) -> bool {
        self.not_before > now && self.at.duration_since(now) <= CLOCKS_APART
    }
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
    /// The leaf that its edge last showed when it showed what it should.
    pub at_edge: Option<Fingerprint>,
}

/// What is remembered of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AccountMemory {
    /// When `cdn_api = "auto"` found that the cloud does not know SetDomainServerCertificate any more.
    pub superseded: Option<Timestamp>,
}

impl AccountMemory {
    /// Is the successor asked first? After thirty days the first has its chance again: the cloud may have been wrong.
    #[must_use]
    pub fn is_superseded(&self, now: Timestamp) -> bool {
        let age = self.superseded.map(|at| now.duration_since(at));
        age.is_some_and(|age| !age.is_negative() && age < AGAIN_AFTER)
    }
}

/// A call in vain for each run, once a month, costs nothing; and a slip of the cloud does not last.
const AGAIN_AFTER: SignedDuration = SignedDuration::from_hours(30 * 24);

/// With clocks further apart than this, no CA is asked for a certificate.
pub const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(10);

/// What a hook asked to keep in step. Known by client and source's path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The ACME client: `certbot`.
    pub client: String,
    /// Where its files are: `source`, and `key` where the source is a chain.
    #[serde(flatten)]
    pub source: Source,
    /// Name of the lineage for people.
    pub name: String,
    /// Names of the certificate, as the client said or its files; none as long as neither has.
    pub names: Vec<String>,
    /// What is to serve it.
    pub targets: Vec<Target>,
    /// The targets are the certificate's names as they stand: those that are no CDN domain of the account are skipped.
    #[serde(default)]
    pub guessed: bool,
    /// Beside them, every online CDN domain of this account that the certificate covers.
    #[serde(default)]
    pub discovers: Option<String>,
    /// When the hook was called.
    pub at: Timestamp,
}

impl Pin {
    /// The name under which the store keeps the Cert, for a lineage that it remembers as `lineage`.
    #[must_use]
    pub fn archive(&self, lineage: &str) -> String {
        match self.target {
            None => lineage.to_owned(),
            Some(_) => format!("{GIVEN}{}", self.fingerprint),
        }
    }
}

/// So begins the name of what was given by hand. No lineage is named so: the config's names have no space, and
/// claims are remembered by a client and a folder.
pub const GIVEN: &str = "given ";

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

/// The same for the CA that stands in for the first, where there is one.
#[must_use]
pub fn asked_of_fallback(config: &Config, certificate: &Certificate) -> Option<String> {
    Some(asked(config.fallback(certificate)?, &certificate.at_fallback()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::KeyType;

    fn acme() -> Acme {
        Acme { directory: "https://ca.test/dir".to_owned(), terms_agreed: true, ..Acme::default() }
    }

    fn certificate() -> Certificate {
        Certificate {
            name: "example.test".to_owned(),
            domains: ["example.test", "*.example.test"].map(str::to_owned).into(),
            dns: "default".to_owned(),
            challenge: crate::config::Challenge::Dns01,
            key_type: KeyType::EcdsaP256,
            ca: None,
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
        check("who stands in", |acme, _| acme.fallback = Some("other".to_owned()), false);
        check("which chain", |acme, _| acme.preferred_chain = Some("X1".to_owned()), false);
        check("who asks", |acme, _| acme.contact.push("ops@example.test".to_owned()), false);
    }
}
