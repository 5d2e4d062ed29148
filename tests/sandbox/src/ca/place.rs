//! Paths: which resource a request is for.

use super::state::{Method, State, hex};

/// A resource of the CA; ids are places in the state's lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Directory,
    NewNonce,
    NewAccount,
    Account(usize),
    Orders(usize),
    NewOrder,
    Order(usize),
    Finalize(usize),
    Authorization(usize),
    /// Authorization, and the challenge's place in it.
    Challenge(usize, usize),
    /// Certificate, and which of its chains.
    Certificate(usize, usize),
    Revoke,
    KeyChange,
    RenewalInfo(String),
    Terms,
    Nowhere,
}

impl Place {
    pub(crate) fn of(state: &State, path: &str) -> Self {
        let pieces: Vec<&str> = path.split('/').skip(1).collect();
        match pieces[..] {
            ["directory"] => Self::Directory,
            ["terms"] => Self::Terms,
            ["acme", resource] => Self::plain(resource),
            ["acme", resource, id] => Self::with_id(state, resource, id),
            ["acme", resource, id, more] => Self::deep(state, resource, id, more),
            _ => Self::Nowhere,
        }
    }

    fn plain(resource: &str) -> Self {
        match resource {
            "new-nonce" => Self::NewNonce,
            "new-acct" => Self::NewAccount,
            "new-order" => Self::NewOrder,
            "revoke-cert" => Self::Revoke,
            "key-change" => Self::KeyChange,
            _ => Self::Nowhere,
        }
    }

    fn with_id(state: &State, resource: &str, id: &str) -> Self {
        let of = |count: usize, place: fn(usize) -> Self| number(id, count).map(place);
        let place = match resource {
            "acct" => of(state.accounts.len(), Self::Account),
            "order" => of(state.orders.len(), Self::Order),
            "authz" => of(state.authorizations.len(), Self::Authorization),
            "cert" => certificate(state, id).map(|id| Self::Certificate(id, 0)),
            "renewal-info" => Some(Self::RenewalInfo(id.to_owned())),
            _ => None,
        };
        place.unwrap_or(Self::Nowhere)
    }

    fn deep(state: &State, resource: &str, id: &str, more: &str) -> Self {
        let place = match (resource, more) {
            ("acct", "orders") => number(id, state.accounts.len()).map(Self::Orders),
            ("order", "finalize") => number(id, state.orders.len()).map(Self::Finalize),
            ("cert", chain) => certificate(state, id).and_then(|id| {
                let chains = state.certificates[id].issued.chains.len();
                let chain = chain.parse().ok().filter(|chain| (1..chains).contains(chain))?;
                Some(Self::Certificate(id, chain))
            }),
            ("chall", method) => number(id, state.authorizations.len()).and_then(|id| {
                let method = Method::ALL.into_iter().find(|known| known.word() == method)?;
                let mut challenges = state.authorizations[id].challenges.iter();
                Some(Self::Challenge(id, challenges.position(|one| one.method == method)?))
            }),
            _ => None,
        };
        place.unwrap_or(Self::Nowhere)
    }

    /// The name of its calls, for records, faults and limits.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::NewNonce => "newNonce",
            Self::NewAccount => "newAccount",
            Self::Account(_) => "account",
            Self::Orders(_) => "orders",
            Self::NewOrder => "newOrder",
            Self::Order(_) => "order",
            Self::Finalize(_) => "finalize",
            Self::Authorization(_) => "authorization",
            Self::Challenge(..) => "challenge",
            Self::Certificate(_, 0) => "certificate",
            Self::Certificate(..) => "alternate",
            Self::Revoke => "revokeCert",
            Self::KeyChange => "keyChange",
            Self::RenewalInfo(_) => "renewalInfo",
            Self::Terms => "terms",
            Self::Nowhere => "",
        }
    }

    /// The methods that it takes.
    pub(crate) fn methods(&self) -> &'static [&'static str] {
        match self {
            Self::Directory | Self::NewNonce | Self::RenewalInfo(_) | Self::Terms => {
                &["GET", "HEAD"]
            }
            Self::NewAccount
            | Self::Account(_)
            | Self::Orders(_)
            | Self::NewOrder
            | Self::Order(_)
            | Self::Finalize(_)
            | Self::Authorization(_)
            | Self::Challenge(..)
            | Self::Certificate(..)
            | Self::Revoke
            | Self::KeyChange => &["POST"],
            Self::Nowhere => &["GET", "HEAD", "POST"],
        }
    }

    /// The names that it is about, stars and all.
    pub(crate) fn names(&self, state: &State) -> Vec<String> {
        match self {
            Self::Order(id) | Self::Finalize(id) => state.orders[*id].names.clone(),
            Self::Certificate(id, _) => state.certificates[*id].names.clone(),
            Self::Authorization(id) | Self::Challenge(id, _) => {
                vec![state.authorizations[*id].written()]
            }
            Self::Directory
            | Self::NewNonce
            | Self::NewAccount
            | Self::Account(_)
            | Self::Orders(_)
            | Self::NewOrder
            | Self::Revoke
            | Self::KeyChange
            | Self::RenewalInfo(_)
            | Self::Terms
            | Self::Nowhere => Vec::new(),
        }
    }
}

/// An id of a list of so many, as it stands in a path.
fn number(text: &str, count: usize) -> Option<usize> {
    let id = text.parse::<usize>().ok()?.checked_sub(1)?;
    (id < count).then_some(id)
}

fn certificate(state: &State, serial: &str) -> Option<usize> {
    state.certificates.iter().position(|certificate| hex(&certificate.issued.serial) == serial)
}
