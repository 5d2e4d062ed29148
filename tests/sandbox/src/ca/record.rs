//! What a test may look at: calls, accounts, orders, certificates.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;

use super::state::{State, hex};
use crate::fault::Ending;

/// One call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it was for: `directory`, `newNonce`, `newAccount`, `account`, `orders`, `newOrder`, `order`, `finalize`,
    /// `authorization`, `challenge`, `certificate`, `alternate`, `revokeCert`, `keyChange`, `renewalInfo`, `terms`, or
    /// empty for what the CA does not know.
    pub kind: String,
    /// The HTTP method.
    pub method: String,
    /// The path, with its query if there was one.
    pub path: String,
    /// The request's headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The JWS's protected header; null where there was none that could be read.
    pub protected: Value,
    /// The JWS's payload; null where it was empty or could not be read.
    pub payload: Value,
    /// The names that it was about: those of the order.
    pub names: Vec<String>,
    /// When it came, by the CA's clock.
    pub at: Timestamp,
    /// How it ended.
    pub ending: Ending,
}

/// An account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its URL.
    pub url: String,
    /// What it was told to write to.
    pub contact: Vec<String>,
    /// `valid` or `deactivated`.
    pub status: String,
    /// The RFC 7638 thumbprint of its key.
    pub thumbprint: String,
    /// The key id of its external account binding.
    pub eab: Option<String>,
}

/// An order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Its URL.
    pub url: String,
    /// Its account's URL.
    pub account: String,
    /// The names, sorted.
    pub names: Vec<String>,
    /// RFC 8555's word.
    pub status: String,
    /// The profile that it named.
    pub profile: Option<String>,
    /// The ARI id of the certificate that it replaces.
    pub replaces: Option<String>,
}

/// A certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// Its serial number in lower hex.
    pub serial: String,
    /// SHA-256 of its DER, lower hex.
    pub fingerprint: String,
    /// Its account's URL.
    pub account: String,
    /// Its order's URL.
    pub order: String,
    /// Its names, sorted.
    pub names: Vec<String>,
    /// The chains in PEM, the default first.
    pub chains: Vec<String>,
    /// The id of RFC 9773.
    pub ari_id: String,
    /// From when it is valid.
    pub not_before: Timestamp,
    /// Until when.
    pub not_after: Timestamp,
    /// The reason of its revocation.
    pub revoked: Option<u64>,
    /// A later order named it in `replaces` and was finalized.
    pub replaced: bool,
}

impl State {
    pub(crate) fn show_accounts(&self) -> Vec<Account> {
        let show = |(id, account): (usize, &super::state::AccountState)| Account {
            url: self.account_url(id),
            contact: account.contact.clone(),
            status: if account.active { "valid" } else { "deactivated" }.to_owned(),
            thumbprint: account.key.thumbprint(),
            eab: account.eab.clone(),
        };
        self.accounts.iter().enumerate().map(show).collect()
    }

    pub(crate) fn show_orders(&self) -> Vec<Order> {
        let show = |(id, order): (usize, &super::state::OrderState)| Order {
            url: self.order_url(id),
            account: self.account_url(order.account),
            names: order.names.clone(),
            status: self.order_status(id).word().to_owned(),
            profile: order.profile_name.clone(),
            replaces: order.replaces.clone(),
        };
        self.orders.iter().enumerate().map(show).collect()
    }

    pub(crate) fn show_certificates(&self) -> Vec<Certificate> {
        let show = |certificate: &super::state::CertificateState| Certificate {
            serial: hex(&certificate.issued.serial),
            fingerprint: certificate.fingerprint(),
            account: self.account_url(certificate.account),
            order: self.order_url(certificate.order),
            names: certificate.names.clone(),
            chains: certificate.issued.chains.clone(),
            ari_id: certificate.ari_id(),
            not_before: certificate.from,
            not_after: certificate.until,
            revoked: certificate.revoked,
            replaced: certificate.replaced,
        };
        self.certificates.iter().map(show).collect()
    }
}
