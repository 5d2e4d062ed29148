//! Puts a Cert onto a Target. Doing it twice is doing it once.

use jiff::Timestamp;

use crate::aliyun::{self, Accepted, Account, Effort, Upload};
use crate::cert::Cert;
use crate::journal::{Before, Taken};
use crate::plan::Owned;

/// Uploads chain and key. While the cloud configures the domain, `effort` rests and the caller comes again.
///
/// # Errors
/// What the cloud, or the way to it, answered after all tries that the time allows.
pub async fn deploy(
    account: &Account,
    cert: &Cert,
    owned: &Owned,
    effort: &mut Effort,
) -> Result<Accepted, aliyun::Error> {
    let upload = Upload {
        api_name: &owned.target.domain.api_name,
        cert_name: &cert_name(owned),
        fingerprint: cert.leaf().fingerprint,
        chain_pem: &cert.chain_pem(),
        key_pem: &cert.key().traditional_pem(),
    };
    account.upload(&upload, effort).await
}

/// What is remembered of an accepted upload.
#[must_use]
pub fn taken(accepted: &Accepted, cert: &Cert, before: Before, at: Timestamp) -> Taken {
    let fingerprint = cert.leaf().fingerprint;
    let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
    Taken { fingerprint, at, before, shown: false, cert_name: accepted.cert_name.clone() }
}

/// The CertName of a target: the config's, else one made of the target, unique in its account whatever hosts share it.
#[must_use]
pub fn cert_name(owned: &Owned) -> String {
    owned.cert_name.clone().unwrap_or_else(|| aliyun::cert_name(&owned.target.domain.api_name))
}
