//! Puts a Cert onto a Target. Doing it twice is doing it once.

use jiff::Timestamp;

use crate::aliyun::{self, Accepted, Account, Upload};
use crate::cert::Cert;
use crate::config::Target;
use crate::journal::{Before, Taken};
use crate::plan::Owned;
use crate::store::Store;

/// The CertName of a target: the config's, else one made of the target, unique in its account whatever hosts share it.
#[must_use]
pub fn cert_name(owned: &Owned) -> String {
    owned.cert_name.clone().unwrap_or_else(|| aliyun::cert_name(&owned.target.domain.api_name))
}

/// Uploads chain and key by `SetDomainServerCertificate`.
///
/// # Errors
/// What the cloud, or the way to it, answered after all tries that the time allows.
pub async fn deploy(
    account: &Account,
    cert: &Cert,
    owned: &Owned,
) -> Result<Accepted, aliyun::Error> {
    let upload = Upload {
        api_name: &owned.target.domain.api_name,
        cert_name: &cert_name(owned),
        chain_pem: &cert.chain_pem(),
        key_pem: &cert.key().traditional_pem(),
    };
    account.set_domain_server_certificate(&upload).await
}

/// Remembers that a target took a Cert.
///
/// # Errors
/// The store's.
pub fn remember(
    store: &Store,
    owned: &Owned,
    cert: &Cert,
    before: Before,
    at: Timestamp,
) -> anyhow::Result<()> {
    let taken = Taken {
        fingerprint: cert.leaf().fingerprint,
        at,
        before,
        shown: false,
        cert_name: cert_name(owned),
    };
    store.update_target(&owned.target, |memory| {
        memory.taken = Some(taken);
        memory.last_error = None;
    })
}

/// Remembers that a target took nothing, and why.
///
/// # Errors
/// The store's.
pub fn remember_error(store: &Store, target: &Target, error: &str) -> anyhow::Result<()> {
    store.update_target(target, |memory| memory.last_error = Some(error.to_owned()))
}
