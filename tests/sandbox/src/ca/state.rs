//! What the CA remembers.

use std::collections::{BTreeMap, HashSet};
use std::time::Instant;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::hierarchy::{Hierarchy, Issued};
use super::jose::Jwk;
use super::persist;
use super::problem::Problem;
use super::record::Call;
use super::seed::{Profile, RetryAs, Rules, Seed, Window};
use crate::dice::Dice;
use crate::fault::Faults;
use crate::wire::http_date;

/// All that the CA remembers. Everything is kept for ever, so places in the lists are ids.
pub(crate) struct State {
    pub(crate) rules: Rules,
    /// `https://127.0.0.1:PORT`.
    pub(crate) base: String,
    pub(crate) dice: Dice,
    pub(crate) hierarchy: Hierarchy,
    pub(crate) nonces: HashSet<String>,
    pub(crate) accounts: Vec<AccountState>,
    pub(crate) orders: Vec<OrderState>,
    pub(crate) authorizations: Vec<AuthorizationState>,
    pub(crate) certificates: Vec<CertificateState>,
    /// Public keys that no certificate may have, as their bit strings.
    pub(crate) blocked: HashSet<Vec<u8>>,
    /// When which validation failed: (account, name, time).
    pub(crate) failures: Vec<(usize, String, Timestamp)>,
    pub(crate) limited: BTreeMap<String, Vec<Instant>>,
    pub(crate) faults: Faults,
    pub(crate) calls: Vec<Call>,
}

pub(crate) struct AccountState {
    pub(crate) key: Jwk,
    pub(crate) contact: Vec<String>,
    pub(crate) active: bool,
    pub(crate) eab: Option<String>,
    pub(crate) agreed: bool,
}

pub(crate) struct OrderState {
    pub(crate) account: usize,
    /// Sorted, with their stars.
    pub(crate) names: Vec<String>,
    pub(crate) authorizations: Vec<usize>,
    pub(crate) profile_name: Option<String>,
    pub(crate) profile: Profile,
    pub(crate) replaces: Option<String>,
    pub(crate) expires: Timestamp,
    pub(crate) certificate: Option<usize>,
    /// Polls that still show `processing`.
    pub(crate) processing: u32,
    pub(crate) error: Option<Problem>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
    Deactivated,
    Expired,
}

impl Status {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Processing => "processing",
            Self::Valid => "valid",
            Self::Invalid => "invalid",
            Self::Deactivated => "deactivated",
            Self::Expired => "expired",
        }
    }
}

/// The ways to prove a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    Dns01,
    /// Where the rules have it.
    DnsPersist01,
    /// On offer as everywhere; nobody listens, so it fails.
    Http01,
    /// The same.
    TlsAlpn01,
}

impl Method {
    pub(crate) const ALL: [Self; 4] =
        [Self::Dns01, Self::DnsPersist01, Self::Http01, Self::TlsAlpn01];

    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Dns01 => "dns-01",
            Self::DnsPersist01 => "dns-persist-01",
            Self::Http01 => "http-01",
            Self::TlsAlpn01 => "tls-alpn-01",
        }
    }
}

pub(crate) struct AuthorizationState {
    pub(crate) account: usize,
    /// Without a star.
    pub(crate) name: String,
    pub(crate) wildcard: bool,
    pub(crate) status: Status,
    pub(crate) expires: Timestamp,
    /// How long it lasts once it is valid.
    pub(crate) life: SignedDuration,
    pub(crate) challenges: Vec<ChallengeState>,
}

pub(crate) struct ChallengeState {
    pub(crate) method: Method,
    pub(crate) token: String,
    pub(crate) status: Status,
    pub(crate) validated: Option<Timestamp>,
    pub(crate) error: Option<Problem>,
}

pub(crate) struct CertificateState {
    pub(crate) account: usize,
    pub(crate) order: usize,
    pub(crate) names: Vec<String>,
    pub(crate) issued: Issued,
    pub(crate) bits: Vec<u8>,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    pub(crate) revoked: Option<u64>,
    pub(crate) replaced: bool,
    pub(crate) window: Option<Window>,
    pub(crate) exempt: bool,
}

impl State {
    pub(crate) fn new(seed: Seed, base: String) -> Self {
        let mut dice = Dice::new(seed.chance);
        let hierarchy = Hierarchy::new(&mut dice);
        Self {
            rules: seed.rules,
            base,
            dice,
            hierarchy,
            nonces: HashSet::new(),
            accounts: Vec::new(),
            orders: Vec::new(),
            authorizations: Vec::new(),
            certificates: Vec::new(),
            blocked: HashSet::new(),
            failures: Vec::new(),
            limited: BTreeMap::new(),
            faults: Faults::default(),
            calls: Vec::new(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now() + self.rules.clock_ahead
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    pub(crate) fn account_url(&self, account: usize) -> String {
        self.url(&format!("/acme/acct/{}", account + 1))
    }

    pub(crate) fn order_url(&self, order: usize) -> String {
        self.url(&format!("/acme/order/{}", order + 1))
    }

    pub(crate) fn authorization_url(&self, authorization: usize) -> String {
        self.url(&format!("/acme/authz/{}", authorization + 1))
    }

    /// The account of a key.
    pub(crate) fn account_of(&self, key: &Jwk) -> Option<usize> {
        self.accounts.iter().position(|account| account.key == *key)
    }

    pub(crate) fn new_nonce(&mut self) -> String {
        let nonce = self.dice.token();
        self.nonces.insert(nonce.clone());
        nonce
    }

    /// `Retry-After`, in the way that the rules have it.
    pub(crate) fn retry_after(&mut self, seconds: u32) -> String {
        let as_date = match self.rules.retry_as {
            RetryAs::Seconds => false,
            RetryAs::Date => true,
            RetryAs::Either => self.dice.happens(50),
        };
        if as_date {
            http_date(self.now() + SignedDuration::from_secs(seconds.into()))
        } else {
            seconds.to_string()
        }
    }

    /// 429 (RFC 8555 section 6.6).
    pub(crate) fn rate_limited(&mut self, what: &str, wait: SignedDuration) -> Problem {
        let seconds = u32::try_from(wait.as_secs().max(0) + 1).unwrap_or(u32::MAX);
        let until = self.now() + SignedDuration::from_secs(seconds.into());
        let until = until.strftime("%Y-%m-%d %H:%M:%S UTC");
        let detail = format!("too many {what}, retry after {until}");
        let wait = self.retry_after(seconds);
        Problem::new("rateLimited", detail).header("retry-after", wait)
    }

    pub(crate) fn authorization_status(&self, id: usize) -> Status {
        let authorization = &self.authorizations[id];
        let alive = matches!(authorization.status, Status::Pending | Status::Valid);
        if alive && authorization.expires <= self.now() {
            return Status::Expired;
        }
        authorization.status
    }

    pub(crate) fn order_status(&self, id: usize) -> Status {
        let order = &self.orders[id];
        if order.error.is_some() {
            return if order.processing > 0 { Status::Processing } else { Status::Invalid };
        }
        if order.certificate.is_some() {
            return if order.processing > 0 { Status::Processing } else { Status::Valid };
        }
        let mut parts = order.authorizations.iter().map(|id| self.authorization_status(*id));
        if order.expires <= self.now()
            || parts.clone().any(|part| !matches!(part, Status::Pending | Status::Valid))
        {
            return Status::Invalid;
        }
        if parts.all(|part| part == Status::Valid) { Status::Ready } else { Status::Pending }
    }

    pub(crate) fn order_document(&self, id: usize) -> Value {
        let (order, url) = (&self.orders[id], self.order_url(id));
        let status = self.order_status(id);
        let identifiers: Vec<Value> =
            order.names.iter().map(|name| json!({ "type": "dns", "value": name })).collect();
        let authorizations = order.authorizations.iter().map(|id| self.authorization_url(*id));
        let mut document = json!({
            "status": status.word(),
            "expires": second(order.expires),
            "identifiers": identifiers,
            "authorizations": authorizations.collect::<Vec<_>>(),
            "finalize": format!("{url}/finalize"),
        });
        if let Some(profile) = &order.profile_name {
            document["profile"] = json!(profile);
        }
        if let Some(replaces) = order.replaces.as_ref().filter(|_| self.rules.echo_replaces) {
            document["replaces"] = json!(replaces);
        }
        if let Some(certificate) = order.certificate.filter(|_| status == Status::Valid) {
            document["certificate"] = json!(self.certificate_url(certificate));
        }
        if let Some(error) = order.error.as_ref().filter(|_| status == Status::Invalid) {
            document["error"] = error.document();
        }
        document
    }

    pub(crate) fn certificate_url(&self, id: usize) -> String {
        self.url(&format!("/acme/cert/{}", hex(&self.certificates[id].issued.serial)))
    }

    pub(crate) fn authorization_document(&self, id: usize) -> Value {
        let authorization = &self.authorizations[id];
        let shown = authorization.challenges.iter().enumerate().filter(|(_, challenge)| {
            // Of one that is decided only the challenge that decided it is left, as Boulder has it.
            authorization.status == Status::Pending || challenge.status != Status::Pending
        });
        let challenges: Vec<Value> =
            shown.map(|(place, _)| self.challenge_document(id, place)).collect();
        let mut document = json!({
            "identifier": { "type": "dns", "value": authorization.name },
            "status": self.authorization_status(id).word(),
            "expires": second(authorization.expires),
            "challenges": challenges,
        });
        if authorization.wildcard {
            document["wildcard"] = json!(true);
        }
        document
    }

    pub(crate) fn challenge_document(&self, id: usize, place: usize) -> Value {
        let challenge = &self.authorizations[id].challenges[place];
        let method = challenge.method.word();
        let mut document = json!({
            "type": method,
            "url": self.url(&format!("/acme/chall/{}/{method}", id + 1)),
            "status": challenge.status.word(),
        });
        match challenge.method {
            Method::DnsPersist01 => document[persist::field(self)] = json!(persist::issuers(self)),
            Method::Dns01 | Method::Http01 | Method::TlsAlpn01 => {
                document["token"] = json!(challenge.token);
            }
        }
        if let Some(at) = challenge.validated {
            document["validated"] = json!(second(at));
        }
        if let Some(error) = &challenge.error {
            document["error"] = error.document();
        }
        document
    }
}

/// RFC 3339, whole seconds.
pub(crate) fn second(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Lower hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
