//! Who may become whom: identities, RAM roles and the providers of OIDC tokens.

use std::collections::BTreeSet;

use jiff::SignedDuration;
use serde_json::Value;

use super::policy::glob;
use super::seed::DEFAULT_UID;

/// Who a key speaks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The main account itself, which may not assume a role.
    Root,
    /// A RAM user, by its name.
    User(String),
    /// A session of a role, which STS or the metadata service opened.
    Session {
        /// The role's ARN.
        role: String,
        /// The RoleSessionName.
        name: String,
    },
}

impl Identity {
    /// The ARN that GetCallerIdentity shows.
    pub(crate) fn arn(&self, uid: &str) -> String {
        match self {
            Self::Root => format!("acs:ram::{uid}:root"),
            Self::User(name) => format!("acs:ram::{uid}:user/{name}"),
            Self::Session { role, name } => {
                let (_, role) = role.split_once("role/").unwrap_or_default();
                format!("acs:ram::{uid}:assumed-role/{role}/{name}")
            }
        }
    }

    /// The ARN that a role's trust policy names: a session is trusted as its role.
    fn principal(&self, uid: &str) -> String {
        match self {
            Self::Session { role, .. } => role.clone(),
            Self::Root | Self::User(_) => self.arn(uid),
        }
    }
}

/// A RAM role.
#[derive(Clone, Debug)]
pub struct Role {
    /// The main account's id.
    pub uid: String,
    /// The role's name.
    pub name: String,
    /// Who may assume it: ARNs of RAM users, roles and OIDC providers, `*` for any text; `acs:ram::UID:root` is
    /// everybody in that account, as in a real trust policy.
    pub trusted: Vec<String>,
    /// What `ExternalId` must be.
    pub external_id: Option<String>,
    /// MaxSessionDuration, in seconds.
    pub most_seconds: u32,
    /// How long its keys really live, whatever was asked for and answered; `None`: as long as was asked for.
    pub lives: Option<SignedDuration>,
    /// RAM: (action, resource) patterns that are denied, `*` for any text.
    pub denied: Vec<(String, String)>,
    /// RAM: a policy document. With one, only what it allows is allowed.
    pub policy: Option<Value>,
}

impl Role {
    /// A role of the main account, all allowed, for everybody in the account, an hour at most as a new role is.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            uid: DEFAULT_UID.to_owned(),
            name: name.into(),
            trusted: vec![format!("acs:ram::{DEFAULT_UID}:root")],
            external_id: None,
            most_seconds: 3600,
            lives: None,
            denied: Vec::new(),
            policy: None,
        }
    }

    /// `acs:ram::UID:role/NAME`.
    pub fn arn(&self) -> String {
        format!("acs:ram::{}:role/{}", self.uid, self.name)
    }

    /// Belongs to another main account, and is for everybody in that one.
    #[must_use]
    pub fn uid(mut self, uid: impl Into<String>) -> Self {
        self.uid = uid.into();
        self.trusted = vec![format!("acs:ram::{}:root", self.uid)];
        self
    }

    /// One more who may assume it.
    #[must_use]
    pub fn trust(mut self, principal: impl Into<String>) -> Self {
        self.trusted.push(principal.into());
        self
    }

    /// Nobody may assume it; those that are added later still may.
    #[must_use]
    pub fn trust_nobody(mut self) -> Self {
        self.trusted.clear();
        self
    }

    /// Only with this ExternalId.
    #[must_use]
    pub fn external_id(mut self, id: impl Into<String>) -> Self {
        self.external_id = Some(id.into());
        self
    }

    /// Denies its sessions an action (`cdn:SetDomainServerCertificate`) on a resource (`*`); both are patterns.
    #[must_use]
    pub fn deny(mut self, action: impl Into<String>, resource: impl Into<String>) -> Self {
        self.denied.push((action.into(), resource.into()));
        self
    }

    /// Allows its sessions only what this RAM policy document allows.
    #[must_use]
    pub fn policy(mut self, policy: Value) -> Self {
        self.policy = Some(policy);
        self
    }

    /// Whether its trust policy names this one.
    pub(crate) fn trusts(&self, identity: &Identity, uid: &str) -> bool {
        let (principal, account) = (identity.principal(uid), format!("acs:ram::{uid}:root"));
        self.trusted.iter().any(|trusted| *trusted == account || glob(trusted, &principal))
    }

    /// Whether its trust policy names this OIDC provider.
    pub(crate) fn trusts_provider(&self, arn: &str) -> bool {
        self.trusted.iter().any(|trusted| glob(trusted, arn))
    }
}

/// A provider of OIDC tokens that the account has registered.
#[derive(Clone, Debug)]
pub struct Oidc {
    /// `acs:ram::UID:oidc-provider/NAME`.
    pub arn: String,
    /// The tokens that are good now, as they stand.
    pub tokens: BTreeSet<String>,
    /// The tokens that were good once.
    pub expired: BTreeSet<String>,
}

impl Oidc {
    /// A provider of the main account that has issued nothing yet.
    pub fn new(name: &str) -> Self {
        Self {
            arn: format!("acs:ram::{DEFAULT_UID}:oidc-provider/{name}"),
            tokens: BTreeSet::new(),
            expired: BTreeSet::new(),
        }
    }

    /// A token that is good.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.tokens.insert(token.into());
        self
    }

    /// The good tokens are too old from now on, and this one is good.
    pub fn rotate(&mut self, token: impl Into<String>) {
        self.expired.append(&mut self.tokens);
        self.tokens.insert(token.into());
    }
}
