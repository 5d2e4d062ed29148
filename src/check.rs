//! May this Cert go to this Target? Every Fault, not the first. Pure.

mod fault;
mod path;
#[cfg(test)]
mod tests;

use jiff::Timestamp;
use rustls_pki_types::TrustAnchor;

pub use self::fault::Fault;
use crate::cert::{self, Cert, Chain, KeyKind};
use crate::config::CdnDomain;

/// No document gives the cloud's limit (`InvalidCertificate.TooLong` exists). Real chains are under 10 KiB, one with a
/// hundred names and RSA-4096 throughout stays under 20 KiB, and TLS clients refuse a Certificate message of much more
/// (OpenSSL: 100 KiB of DER).
const LONGEST_CHAIN: usize = 64 * 1024;

/// The least that any CA signs and any browser takes (CA/B Forum Baseline Requirements, 6.1.5).
const LEAST_RSA_BITS: usize = 2048;

/// What a chain must lead to.
#[derive(Clone, Debug)]
pub enum Roots {
    /// Anything: no path is built.
    Any,
    /// One of these.
    Anchors(Vec<TrustAnchor<'static>>),
}

impl Roots {
    /// Mozilla's roots, as they were when this program was built.
    #[must_use]
    pub fn public() -> Self {
        Self::Anchors(webpki_roots::TLS_SERVER_ROOTS.to_vec())
    }

    /// The roots of PEM text; those that cannot be roots are left out.
    ///
    /// # Errors
    /// [`cert::Error::Damaged`]; [`cert::Error::NoCertificate`] where none is left.
    pub fn read(pem: &[u8]) -> Result<Self, cert::Error> {
        let ders = cert::roots(pem)?;
        let anchors: Vec<_> = ders.iter().filter_map(|der| path::anchor(der)).collect();
        if anchors.is_empty() {
            return Err(cert::Error::NoCertificate);
        }
        Ok(Self::Anchors(anchors))
    }
}

/// All that speaks against this Cert on this target at this time; empty: it may go.
#[must_use]
pub fn check(cert: &Cert, target: &CdnDomain, trust: &Roots, now: Timestamp) -> Vec<Fault> {
    let bytes = cert.chain_pem().len();
    let mut faults = served(cert.as_chain(), target, trust, now);
    faults.extend(
        [
            (!is_served(cert.key().kind())).then(|| Fault::KeyKind(cert.key().kind().clone())),
            (bytes > LONGEST_CHAIN).then_some(Fault::TooBig { bytes, most: LONGEST_CHAIN }),
        ]
        .into_iter()
        .flatten(),
    );
    faults
}

/// All that a client of this target would find wrong with a chain that is served there.
#[must_use]
pub fn served(chain: &Chain, target: &CdnDomain, trust: &Roots, now: Timestamp) -> Vec<Fault> {
    let leaf = chain.leaf();
    let covers = leaf.covers(&target.api_name);
    let weak = chain.weak_signature().map(Fault::WeakSignature);
    let faults = [
        (!covers).then(|| Fault::NotCovered {
            target: target.written.clone(),
            names: leaf.names.clone(),
        }),
        (covers && !chain.has_names()).then_some(Fault::NamesInSubject),
        (now > leaf.not_after).then_some(Fault::Expired { not_after: leaf.not_after }),
        (now < leaf.not_before).then_some(Fault::NotYetValid { not_before: leaf.not_before }),
        // No path is looked for through a signature that nobody trusts.
        weak.or_else(|| path::fault(chain, trust, now)),
    ];
    faults.into_iter().flatten().collect()
}

fn is_served(kind: &KeyKind) -> bool {
    match kind {
        KeyKind::Rsa(bits) => *bits >= LEAST_RSA_BITS,
        KeyKind::EcdsaP256 | KeyKind::EcdsaP384 => true,
        KeyKind::Other(_) => false,
    }
}
