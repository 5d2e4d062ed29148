//! The actions that we call: of which product, how often, and for how long.

use std::time::Duration;

/// An action of the API.
pub(super) struct Api {
    pub(super) product: Product,
    pub(super) action: &'static str,
    pub(super) limit: Limit,
    pub(super) timeout: Duration,
}

/// How often an action may be called.
#[derive(Clone, Copy)]
pub(super) enum Limit {
    /// As configured: `calls_per_second`.
    Uploads,
    /// The documented limit of calls a second and account. We use half of it: others call too.
    PerSecond(u32),
}

#[derive(Clone, Copy)]
pub(super) enum Product {
    Cdn,
    Dns,
    Sts,
}

impl Product {
    pub(super) fn version(self) -> &'static str {
        match self {
            Self::Cdn => "2018-05-10",
            Self::Dns => "2015-01-09",
            Self::Sts => "2015-04-01",
        }
    }

    pub(super) fn ram(self) -> &'static str {
        match self {
            Self::Cdn => "cdn",
            Self::Dns => "alidns",
            Self::Sts => "sts",
        }
    }

    /// What a RAM policy calls the domain.
    pub(super) fn resource(self, subject: &str) -> String {
        match self {
            Self::Cdn => format!("acs:cdn:*:*:domain/{subject}"),
            Self::Dns if subject == "*" => "*".to_owned(),
            Self::Dns => format!("acs:alidns::*:domain/{subject}"),
            Self::Sts => subject.to_owned(),
        }
    }
}
