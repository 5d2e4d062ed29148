//! What a cloud starts with: accounts, roles, CDN domains, zones, and the rules that it keeps.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::role::{Identity, Oidc, Role};
use super::state::ZoneRecord;
use crate::dns::Zones;

/// The account that everything belongs to unless it says otherwise.
pub const DEFAULT_UID: &str = "1234567890123456";

/// The QPS limits of a user that the API pages publish; what they leave out is limited like `DescribeDomainRecords`.
const LIMITS: &[(&str, usize)] = &[
    ("SetDomainServerCertificate", 10),
    ("SetCdnDomainSSLCertificate", 30),
    ("DescribeDomainCertificateInfo", 100),
    ("DescribeUserDomains", 100),
    ("DescribeCdnDomainDetail", 30),
    ("AddDomainRecord", 60),
    ("DeleteDomainRecord", 60),
    ("DeleteSubDomainRecords", 20),
    ("DescribeSubDomainRecords", 300),
    ("DescribeDomainRecords", 100),
    ("DescribeDomains", 100),
    // 6,000 a minute, as their documents say it.
    ("AssumeRole", 100),
    ("AssumeRoleWithOIDC", 100),
    ("GetCallerIdentity", 100),
];

/// What a cloud starts with.
#[derive(Default)]
pub struct Seed {
    pub(crate) accounts: Vec<Account>,
    pub(crate) domains: Vec<Domain>,
    pub(crate) zones: Vec<Zone>,
    pub(crate) roles: Vec<Role>,
    pub(crate) oidc: Vec<Oidc>,
    pub(crate) rules: Rules,
    pub(crate) challtestsrv: Option<String>,
    pub(crate) dns: Option<Zones>,
}

impl Seed {
    /// Nothing: no account, no domain, no zone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an account's AccessKey.
    #[must_use]
    pub fn account(mut self, account: Account) -> Self {
        self.accounts.push(account);
        self
    }

    /// Adds a CDN domain.
    #[must_use]
    pub fn domain(mut self, domain: Domain) -> Self {
        self.domains.push(domain);
        self
    }

    /// Adds an alidns zone.
    #[must_use]
    pub fn zone(mut self, zone: Zone) -> Self {
        self.zones.push(zone);
        self
    }

    /// Adds a RAM role.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.roles.push(role);
        self
    }

    /// Adds a provider of OIDC tokens.
    #[must_use]
    pub fn oidc(mut self, oidc: Oidc) -> Self {
        self.oidc.push(oidc);
        self
    }

    /// Changes the rules.
    #[must_use]
    pub fn rules(mut self, change: impl FnOnce(&mut Rules)) -> Self {
        change(&mut self.rules);
        self
    }

    /// Hands every TXT value on to a pebble-challtestsrv, by its management URL.
    #[must_use]
    pub fn challtestsrv(mut self, management_url: impl Into<String>) -> Self {
        self.challtestsrv = Some(management_url.into());
        self
    }

    /// Hands every record on to the sandbox's own DNS; zones that it does not know yet are added.
    #[must_use]
    pub fn dns(mut self, zones: Zones) -> Self {
        self.dns = Some(zones);
        self
    }
}

/// One AccessKey, of the main account or of a RAM user of it.
#[derive(Clone, Debug)]
pub struct Account {
    /// The main account's id: domains, zones, certificates and limits belong to it.
    pub uid: String,
    /// The AccessKeyId.
    pub access_key_id: String,
    /// The AccessKeySecret.
    pub secret: String,
    /// The STS token that every call must hold; `None` for a long-lived key.
    pub token: Option<String>,
    /// The token is too old, whatever `expires` says.
    pub token_expired: bool,
    /// When the token is too old, by the cloud's clock; `None`: never by itself.
    pub expires: Option<Timestamp>,
    /// Who it speaks for.
    pub identity: Identity,
    /// The key is in use; else `InvalidAccessKeyId.Inactive`.
    pub active: bool,
    /// RAM: (action, resource) patterns that are denied, `*` for any text.
    pub denied: Vec<(String, String)>,
    /// RAM: a policy document. With one, only what it allows is allowed.
    pub policy: Option<Value>,
    /// RAM: the `Policy` of an AssumeRole, which narrows what the role allows.
    pub session_policy: Option<Value>,
}

impl Account {
    /// A long-lived key of a RAM user, active, all allowed.
    pub fn new(access_key_id: impl Into<String>, secret: impl Into<String>) -> Self {
        Self {
            uid: DEFAULT_UID.to_owned(),
            access_key_id: access_key_id.into(),
            secret: secret.into(),
            token: None,
            token_expired: false,
            expires: None,
            identity: Identity::User("sandbox".to_owned()),
            active: true,
            denied: Vec::new(),
            policy: None,
            session_policy: None,
        }
    }

    /// A key of the main account itself.
    #[must_use]
    pub fn root(mut self) -> Self {
        self.identity = Identity::Root;
        self
    }

    /// Belongs to another main account.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = uid.into();
        self
    }

    /// Temporary: every call must hold this token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Denies an action (`cdn:SetDomainServerCertificate`) on a resource (`*`); both are patterns.
    #[must_use]
    pub fn deny(mut self, action: impl Into<String>, resource: impl Into<String>) -> Self {
        self.denied.push((action.into(), resource.into()));
        self
    }

    /// Allows only what this RAM policy document allows.
    #[must_use]
    pub fn policy(mut self, policy: Value) -> Self {
        self.policy = Some(policy);
        self
    }
}

/// A CDN domain.
#[derive(Clone, Debug)]
pub struct Domain {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) cdn_type: String,
    pub(crate) cname: String,
}

impl Domain {
    /// An online domain without HTTPS; a wildcard domain is written `.example.com`.
    pub fn online(name: impl Into<String>) -> Self {
        Self::with_status(name, "online")
    }

    /// A domain in any status: `online`, `offline`, `configuring`, `configure_failed`, `checking`, `check_failed`,
    /// `stopping` or `deleting`.
    pub fn with_status(name: impl Into<String>, status: impl Into<String>) -> Self {
        let name = name.into();
        let cname = format!("{}.w.sandbox.example", name.trim_start_matches('.'));
        Self {
            uid: DEFAULT_UID.to_owned(),
            name,
            status: status.into(),
            cdn_type: "web".to_owned(),
            cname,
        }
    }

    /// Belongs to another main account.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = uid.into();
        self
    }

    /// The name that the CDN serves it under.
    #[must_use]
    pub fn cname(mut self, cname: impl Into<String>) -> Self {
        self.cname = cname.into();
        self
    }
}

/// An alidns zone.
#[derive(Clone, Debug)]
pub struct Zone {
    pub(crate) uid: String,
    pub(crate) name: String,
    pub(crate) puny_code: String,
    pub(crate) records: Vec<ZoneRecord>,
    pub(crate) least_ttl: u32,
}

impl Zone {
    /// An empty zone of the free edition, whose TTLs are 600 s or more.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            uid: DEFAULT_UID.to_owned(),
            puny_code: name.clone(),
            name,
            records: Vec::new(),
            // The floor of the free edition.
            least_ttl: 600,
        }
    }

    /// Belongs to another main account.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = uid.into();
        self
    }

    /// The zone's A-label form, where its name is written in Unicode.
    #[must_use]
    pub fn puny_code(mut self, puny_code: impl Into<String>) -> Self {
        self.puny_code = puny_code.into();
        self
    }

    /// A record that is there from the start.
    #[must_use]
    pub fn record(mut self, rr: &str, kind: &str, value: &str) -> Self {
        let id = format!("{}{:04}", 900_000_000_000_000_u64, self.records.len());
        self.records.push(ZoneRecord::new(&id, rr, kind, value));
        self
    }
}

/// What the cloud is strict about, and what it is slow at.
#[derive(Clone, Debug)]
pub struct Rules {
    /// How far the cloud's clock is ahead of the machine's; its `Date` header tells the same.
    pub clock_ahead: SignedDuration,
    /// Calls of an action that an account may make in any second; an absent action is not limited.
    pub limits: BTreeMap<String, usize>,
    /// The `x-acs-retry-after` header of a throttled answer, in milliseconds.
    pub retry_after: Option<u32>,
    /// What every answer waits for.
    pub latency: Duration,
    /// When the read-back shows a change by API.
    pub lag: Lag,
    /// What an upload with `ForceSet=1` and a name that exists does.
    pub force_set: ForceSet,
    /// What the read-back of a domain without HTTPS is.
    pub off_shows: OffShows,
    /// Which key formats an upload may have.
    pub key_format: KeyFormat,
    /// The longest certificate or key, in bytes. The real limit is not published.
    pub pem_limit: usize,
    /// Fields that answers leave out, whatever call they belong to.
    pub left_out: BTreeSet<String>,
    /// Actions that the gateway no longer knows: `InvalidApi.NotFound`.
    pub gone: BTreeSet<String>,
    /// The largest page, whatever page size was asked for; 0 keeps the documented ones.
    pub page_limit: usize,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            clock_ahead: SignedDuration::ZERO,
            limits: LIMITS.iter().map(|(action, limit)| ((*action).to_owned(), *limit)).collect(),
            retry_after: None,
            latency: Duration::ZERO,
            lag: Lag::None,
            force_set: ForceSet::Shared,
            off_shows: OffShows::Entry,
            key_format: KeyFormat::Traditional,
            // Four times the longest chain seen in the field.
            pem_limit: 64 * 1024,
            left_out: BTreeSet::new(),
            gone: BTreeSet::new(),
            page_limit: 0,
        }
    }
}

/// When DescribeDomainCertificateInfo shows a change that was made by API.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lag {
    /// At once.
    None,
    /// After so many reads that still show what was before.
    Reads(u32),
    /// After so long.
    For(Duration),
}

/// The two readings of ForceSet's one sentence in the API document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForceSet {
    /// The dangerous one: the account's certificate of that name is replaced, on every domain bound to it.
    Shared,
    /// Only the named domain changes.
    OneDomain,
}

/// What DescribeDomainCertificateInfo answers for a domain without HTTPS; the document does not say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffShows {
    /// One entry with `ServerCertificateStatus` off.
    Entry,
    /// An empty list.
    Nothing,
}

/// Which private keys are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFormat {
    /// `RSA PRIVATE KEY` and `EC PRIVATE KEY`, the ones that the document names.
    Traditional,
    /// `PRIVATE KEY` (PKCS#8) too.
    Any,
}
