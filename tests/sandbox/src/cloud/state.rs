//! What the cloud remembers: keys, domains, certificates, zones, nonces, faults and calls.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::Instant;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::certificate;
use super::record::Call;
use super::role::{Oidc, Role};
use super::seed::{Account, Domain, Lag, Rules, Seed, Zone};
use super::txt::Sinks;
use crate::fault::{Fault, Faults};

/// What a domain serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The certificate's name in the account.
    pub cert_name: String,
    /// The chain as it was uploaded.
    pub chain_pem: String,
    /// The key as it was uploaded.
    pub key_pem: String,
    /// SHA-256 of the leaf's DER, lower hex.
    pub fingerprint: String,
    /// When it was uploaded, by the cloud's clock.
    pub updated: Timestamp,
    /// `upload`, `cas` or `free`.
    pub cert_type: String,
    /// The certificate's id, as a number.
    pub id: u64,
}

/// A record of an alidns zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneRecord {
    /// The RecordId.
    pub id: String,
    /// The host part, `@` for the zone itself.
    pub rr: String,
    /// The record type, for example `TXT`.
    pub kind: String,
    /// The value.
    pub value: String,
    /// Seconds.
    pub ttl: u32,
    /// The resolution line.
    pub line: String,
    /// A locked record cannot be deleted.
    pub locked: bool,
    /// `ENABLE` or `DISABLE`.
    pub status: String,
}

impl ZoneRecord {
    /// An enabled record on the default line.
    pub fn new(id: &str, rr: &str, kind: &str, value: &str) -> Self {
        Self {
            id: id.to_owned(),
            rr: rr.to_owned(),
            kind: kind.to_owned(),
            value: value.to_owned(),
            ttl: 600,
            line: "default".to_owned(),
            locked: false,
            status: "ENABLE".to_owned(),
        }
    }

    /// The full name in this zone.
    pub fn fqdn(&self, zone: &str) -> String {
        if self.rr == "@" { zone.to_owned() } else { format!("{}.{zone}", self.rr) }
    }
}

/// A domain and the certificate that it is bound to, by name.
#[derive(Clone, Debug)]
pub(crate) struct DomainState {
    pub(crate) uid: String,
    pub(crate) status: String,
    pub(crate) cdn_type: String,
    pub(crate) cname: String,
    pub(crate) id: u64,
    pub(crate) bound: Option<String>,
    pub(crate) before: Option<Before>,
}

/// What the read-back still shows.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    served: Option<Served>,
    since: Instant,
    reads: u32,
}

impl Before {
    fn lags(&self, lag: Lag) -> bool {
        match lag {
            Lag::None => false,
            Lag::Reads(reads) => self.reads < reads,
            Lag::For(time) => self.since.elapsed() < time,
        }
    }
}

/// All that the cloud remembers.
pub(crate) struct State {
    pub(crate) rules: Rules,
    pub(crate) accounts: BTreeMap<String, Account>,
    /// By their ARNs, as the providers are.
    pub(crate) roles: BTreeMap<String, Role>,
    pub(crate) oidc: BTreeMap<String, Oidc>,
    pub(crate) domains: BTreeMap<String, DomainState>,
    pub(crate) certificates: BTreeMap<(String, String), Served>,
    pub(crate) zones: BTreeMap<String, Zone>,
    pub(crate) nonces: HashMap<(String, String), Timestamp>,
    pub(crate) windows: HashMap<(String, String), VecDeque<Instant>>,
    pub(crate) faults: Faults,
    pub(crate) calls: Vec<Call>,
    ids: u64,
}

impl State {
    pub(crate) fn seeded(seed: Seed) -> (Self, Sinks) {
        let mut state = Self {
            rules: seed.rules,
            accounts: BTreeMap::new(),
            roles: seed.roles.into_iter().map(|role| (role.arn(), role)).collect(),
            oidc: seed.oidc.into_iter().map(|oidc| (oidc.arn.clone(), oidc)).collect(),
            domains: BTreeMap::new(),
            certificates: BTreeMap::new(),
            zones: BTreeMap::new(),
            nonces: HashMap::new(),
            windows: HashMap::new(),
            faults: Faults::default(),
            calls: Vec::new(),
            ids: 0,
        };
        for account in seed.accounts {
            state.accounts.insert(account.access_key_id.clone(), account);
        }
        seed.domains.into_iter().for_each(|domain| state.add_domain(domain));
        for zone in seed.zones {
            state.zones.insert(zone.name.clone(), zone);
        }
        (state, Sinks::new(seed.challtestsrv, seed.dns))
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now() + self.rules.clock_ahead
    }

    /// A new id, the next in the order of time as the real ones are.
    pub(crate) fn next_id(&mut self) -> u64 {
        self.ids += 1;
        // Fifteen digits and more, like a RecordId: past 32 bits and past what a float of 32 bits keeps.
        700_000_000_000_000_000 + self.ids
    }

    /// A RequestId: an upper-case UUID.
    pub(crate) fn next_request_id(&mut self) -> String {
        let seed = format!("{} {}", self.next_id(), Timestamp::now());
        let hash = Sha256::digest(seed.as_bytes());
        let hex: String = hash.iter().take(16).map(|byte| format!("{byte:02X}")).collect();
        let (a, b, c, d, e) = (&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
        format!("{a}-{b}-{c}-{d}-{e}")
    }

    /// The fault that strikes this call.
    pub(crate) fn fault_for(&mut self, action: &str, subjects: &[String]) -> Option<Fault> {
        self.faults.striking(action, subjects)
    }

    pub(crate) fn add_domain(&mut self, domain: Domain) {
        let id = self.next_id();
        let state = DomainState {
            uid: domain.uid,
            status: domain.status,
            cdn_type: domain.cdn_type,
            cname: domain.cname,
            id,
            bound: None,
            before: None,
        };
        self.domains.insert(domain.name, state);
    }

    pub(crate) fn domain_mut(&mut self, name: &str) -> &mut DomainState {
        self.domains.get_mut(name).unwrap_or_else(|| panic!("the cloud has no domain {name:?}"))
    }

    /// What the domain serves in truth.
    pub(crate) fn served(&self, name: &str) -> Option<Served> {
        let domain = self.domains.get(name);
        let domain = domain.unwrap_or_else(|| panic!("the cloud has no domain {name:?}"));
        let bound = domain.bound.clone()?;
        self.certificates.get(&(domain.uid.clone(), bound)).cloned()
    }

    /// The online domain that serves a host name, a wildcard domain (`.example.com`) where there is none of its own.
    pub(crate) fn serving(&self, host: &str) -> Option<(String, Served)> {
        let wildcard = host.split_once('.').map(|(_, parent)| format!(".{parent}"));
        let names = [Some(host.to_owned()), wildcard];
        let name = names.into_iter().flatten().find(|name| self.domains.contains_key(name))?;
        let online = self.domains.get(&name)?.status == "online";
        let served = self.served(&name).filter(|_| online)?;
        Some((name, served))
    }

    /// What the read-back shows, which may lag; asking is what moves a lag of reads on.
    pub(crate) fn shown(&mut self, name: &str) -> Option<Served> {
        let lag = self.rules.lag;
        let domain = self.domain_mut(name);
        // Once the truth was shown it stays so, whatever the rules become.
        domain.before = domain.before.take().filter(|before| before.lags(lag));
        let Some(before) = &mut domain.before else { return self.served(name) };
        before.reads += 1;
        before.served.clone()
    }

    /// Remembers what the read-back shall go on showing, before a change by API.
    pub(crate) fn keep_shown(&mut self, name: &str) {
        let (lag, served) = (self.rules.lag, self.served(name));
        let domain = self.domain_mut(name);
        let lagging = domain.before.take().filter(|before| before.lags(lag));
        let served = lagging.map_or(served, |before| before.served);
        let before = Before { served, since: Instant::now(), reads: 0 };
        domain.before = (lag != Lag::None).then_some(before);
    }

    /// The domains of the account that are bound to a certificate of this name.
    pub(crate) fn bound_to(&self, uid: &str, cert_name: &str) -> Vec<String> {
        let bound = |(_, domain): &(&String, &DomainState)| {
            domain.uid == uid && domain.bound.as_deref() == Some(cert_name)
        };
        self.domains.iter().filter(bound).map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn set_served(&mut self, name: &str, cert_name: &str, chain: &str, key: &str) {
        let fingerprint =
            certificate::fingerprint(chain).expect("a chain of one certificate or more");
        let (id, updated) = (self.next_id(), self.now());
        let domain = self.domain_mut(name);
        domain.bound = Some(cert_name.to_owned());
        domain.before = None;
        let uid = domain.uid.clone();
        let served = Served {
            cert_name: cert_name.to_owned(),
            chain_pem: chain.to_owned(),
            key_pem: key.to_owned(),
            fingerprint,
            updated,
            cert_type: "upload".to_owned(),
            id,
        };
        self.certificates.insert((uid, cert_name.to_owned()), served);
    }

    /// The enabled values of one kind at a full name, in any zone.
    pub(crate) fn values_at(&self, fqdn: &str, kind: &str) -> Vec<String> {
        let mut values = Vec::new();
        for (name, zone) in &self.zones {
            let here = zone.records.iter().filter(|record| {
                record.kind == kind && record.status == "ENABLE" && record.fqdn(name) == fqdn
            });
            values.extend(here.map(|record| record.value.clone()));
        }
        values
    }
}
