//! What a CA starts with, and the rules that it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::dns::Dns;

/// What a CA starts with.
#[derive(Clone, Debug)]
pub struct Seed {
    pub(crate) chance: u64,
    pub(crate) rules: Rules,
}

impl Default for Seed {
    fn default() -> Self {
        // Any number; that it is always the same one makes every draw the same.
        Self { chance: 8555, rules: Rules::default() }
    }
}

impl Seed {
    /// A CA that asks no DNS yet: without [`Self::dns`] every validation fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks these servers for all that it validates.
    #[must_use]
    pub fn dns(self, dns: &Dns) -> Self {
        let servers = dns.addresses().to_vec();
        self.rules(|rules| rules.dns_servers = servers)
    }

    /// Changes the rules.
    #[must_use]
    pub fn rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(&mut self.rules);
        self
    }

    /// What chance decides comes from this number: nonces, intermediates, serial numbers, the order of lists.
    #[must_use]
    pub fn chance(mut self, number: u64) -> Self {
        self.chance = number;
        self
    }
}

/// What the CA is strict about, slow at, and lies about.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How far the CA's clock is ahead of the machine's; its `Date` header and its certificates tell the same.
    pub clock_ahead: SignedDuration,
    /// How far certificates begin before they are issued.
    pub backdated: SignedDuration,
    /// What every answer waits for.
    pub latency: Duration,
    /// So many percent of good nonces are refused.
    pub nonce_refusals: u32,
    /// `newAccount` must agree to the terms of service.
    pub terms: bool,
    /// External account bindings: key id -> HMAC key.
    pub eab_keys: BTreeMap<String, Vec<u8>>,
    /// `newAccount` must hold an external account binding.
    pub eab_required: bool,
    /// The profiles on offer; without any, the directory names none.
    pub profiles: BTreeMap<String, Profile>,
    /// The profile of an order that names none.
    pub default_profile: Profile,
    /// The names by which CAA records may allow this CA.
    pub caa_identities: Vec<String>,
    /// `dns-persist-01` is on offer.
    pub persist: Option<Persist>,
    /// By which domain names its records allow the CA, where they are other than `caa_identities`.
    pub persist_issuers: Option<Vec<String>>,
    /// Names that the CA refuses, and all below them: `rejectedIdentifier`.
    pub rejected: BTreeSet<String>,
    /// A valid authorization of the account is used again.
    pub reuse_authorizations: bool,
    /// An order that is still open is given again to its account for the same names and profile, as Boulder does.
    pub reuse_orders: bool,
    /// The servers that validations ask, each for every zone.
    pub dns_servers: Vec<SocketAddr>,
    /// How long a DNS server may take.
    pub dns_timeout: Duration,
    /// What a validation waits for before it asks.
    pub validation_delay: Duration,
    /// An order shows `processing` at so many polls after its finalization.
    pub finalize_polls: u32,
    /// Issuing fails with this text: the order becomes invalid with an error.
    pub issuing_fails: Option<String>,
    /// How `Retry-After` is written.
    pub retry_as: RetryAs,
    /// `Retry-After` of orders and authorizations that are not done, in seconds.
    pub poll_retry_after: Option<u32>,
    /// Calls of a kind that any client may make in so long a time; an absent kind is not limited.
    pub limits: BTreeMap<String, (usize, Duration)>,
    /// Certificates of one exact set of names in a week, those that replace another by ARI not counted.
    pub exact_set_limit: Option<usize>,
    /// Failed validations of a name by an account in an hour.
    pub failure_limit: Option<usize>,
    /// ARI is on offer.
    pub ari: bool,
    /// The order of a `replaces` tells it again, as RFC 9773 section 5 asks.
    pub echo_replaces: bool,
    /// When certificates shall be renewed, those with a window of their own left out.
    pub window: Window,
    /// `Retry-After` of renewal information, in seconds; none: the header is missing.
    pub renewal_retry_after: Option<u32>,
    /// The page that explains a window.
    pub explanation: Option<String>,
    /// Alternate chains are on offer.
    pub alternates: bool,
}

impl Default for Rules {
    fn default() -> Self {
        let profile = |name: &str, profile: Profile| (name.to_owned(), profile);
        Self {
            clock_ahead: SignedDuration::ZERO,
            // As Boulder does, for clocks that are behind.
            backdated: SignedDuration::from_hours(1),
            latency: Duration::ZERO,
            // Pebble's number: often enough that a test of a whole order meets one now and then.
            nonce_refusals: 5,
            terms: true,
            eab_keys: BTreeMap::new(),
            eab_required: false,
            profiles: [
                profile("classic", Profile::classic()),
                profile("tlsserver", Profile::tls_server()),
                profile("shortlived", Profile::short_lived()),
            ]
            .into(),
            default_profile: Profile::classic(),
            caa_identities: vec!["ca.sandbox.example".to_owned()],
            persist: None,
            persist_issuers: None,
            rejected: BTreeSet::new(),
            reuse_authorizations: false,
            reuse_orders: false,
            dns_servers: Vec::new(),
            // On loopback an answer takes less than a millisecond; a silent server shall not cost a test more.
            dns_timeout: Duration::from_millis(300),
            validation_delay: Duration::ZERO,
            finalize_polls: 1,
            issuing_fails: None,
            retry_as: RetryAs::Either,
            poll_retry_after: None,
            limits: BTreeMap::new(),
            exact_set_limit: None,
            failure_limit: None,
            ari: true,
            echo_replaces: true,
            window: Window::Usual,
            // What Let's Encrypt and Pebble send.
            renewal_retry_after: Some(6 * 3600),
            explanation: None,
            alternates: true,
        }
    }
}

/// A kind of certificate.
#[derive(Clone, Debug)]
pub struct Profile {
    /// What the directory says about it.
    pub description: String,
    /// How long a certificate lives.
    pub life: SignedDuration,
    /// Names in a certificate.
    pub most_names: usize,
    /// How long an order and its authorizations can be worked on.
    pub order_life: SignedDuration,
    /// How long a valid authorization lasts.
    pub authorization_life: SignedDuration,
    /// The subject has a common name.
    pub common_name: bool,
}

impl Profile {
    /// Let's Encrypt's `classic` of 2026: 90 days, 100 names.
    pub fn classic() -> Self {
        Self {
            description: "90 days, with a common name".to_owned(),
            life: SignedDuration::from_hours(90 * 24),
            most_names: 100,
            order_life: SignedDuration::from_hours(7 * 24),
            authorization_life: SignedDuration::from_hours(30 * 24),
            common_name: true,
        }
    }

    /// Let's Encrypt's `tlsserver` of 2026: 45 days, 25 names.
    pub fn tls_server() -> Self {
        Self {
            description: "45 days, without a common name".to_owned(),
            life: SignedDuration::from_hours(45 * 24),
            most_names: 25,
            order_life: SignedDuration::from_hours(1),
            authorization_life: SignedDuration::from_hours(7),
            common_name: false,
        }
    }

    /// Let's Encrypt's `shortlived` of 2026: 160 hours, 25 names.
    pub fn short_lived() -> Self {
        Self {
            description: "160 hours".to_owned(),
            life: SignedDuration::from_hours(160),
            ..Self::tls_server()
        }
    }
}

/// How the records of `dns-persist-01` name an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Persist {
    /// By its URL, as draft-ietf-acme-dns-persist-01 and Pebble 2.10 have it.
    Url,
    /// By a hash, as its -02 has it; the directory says so.
    Hash,
}

/// How `Retry-After` is written (RFC 9110 section 10.2.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryAs {
    /// In seconds.
    Seconds,
    /// As a date.
    Date,
    /// One or the other, by chance.
    Either,
}

/// When a certificate shall be renewed (RFC 9773 section 4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Window {
    /// A fiftieth of its life around two thirds of it; a half of it where it lives under ten days.
    Usual,
    /// At once, as after an incident: the window has passed.
    Passed,
    /// From and to.
    Between(Timestamp, Timestamp),
    /// An end before its start.
    Reversed,
    /// The CA knows nothing: 404.
    Unknown,
}
