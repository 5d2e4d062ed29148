//! The path from a leaf to a root, as a browser would look for it (RFC 5280, 6).

use std::time::Duration;

use jiff::Timestamp;
use rustls_pki_types::{CertificateDer, TrustAnchor, UnixTime};
use webpki::{EndEntityCert, Error, KeyUsage};

use super::{Fault, Roots};
use crate::cert::Chain;

/// What is wrong with the chain as such. The leaf's own dates are judged elsewhere and do not hide what else is wrong.
pub(super) fn fault(chain: &Chain, trust: &Roots, now: Timestamp) -> Option<Fault> {
    let leaf = chain.leaf();
    let alone = chain.ders().len() == 1 && !leaf.self_issued;
    let incomplete = || Fault::ChainIncomplete { issuer: leaf.issuer.clone() };
    let Roots::Anchors(anchors) = trust else { return alone.then(incomplete) };
    // An unsound validity (end before start) is a Fault by its dates, whatever the time asked for here.
    let within = now.max(leaf.not_before).min(leaf.not_after);
    let why = match (leaf.self_issued, verify(chain, anchors, within)) {
        (_, Ok(())) => return None,
        (true, Err(_)) if is_anchor(chain, anchors) => return None,
        (false, Err(Error::UnknownIssuer)) if alone => return Some(incomplete()),
        (true, Err(_)) | (false, Err(Error::UnknownIssuer)) => None,
        (false, Err(error)) => Some(in_words(&error)),
    };
    let (issuer, root) = (leaf.issuer.clone(), chain.leads_to().to_owned());
    Some(Fault::Untrusted { issuer, root, why })
}

/// A root from its certificate; none if it cannot be one.
pub(super) fn anchor(der: &[u8]) -> Option<TrustAnchor<'static>> {
    let der = CertificateDer::from(der);
    webpki::anchor_from_trusted_cert(&der).ok().map(|anchor| anchor.to_owned())
}

fn verify(chain: &Chain, anchors: &[TrustAnchor<'_>], at: Timestamp) -> Result<(), Error> {
    let mut ders = chain.ders().iter().map(|der| CertificateDer::from(der.as_slice()));
    let leaf = ders.next().ok_or(Error::BadDer)?;
    let issuers: Vec<_> = ders.collect();
    let at = Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    EndEntityCert::try_from(&leaf)?.verify_for_usage(
        webpki::ALL_VERIFICATION_ALGS,
        anchors,
        &issuers,
        UnixTime::since_unix_epoch(at),
        KeyUsage::server_auth(),
        None,
        None,
    )?;
    Ok(())
}

/// A self-signed leaf is trusted if it is itself one of the roots, which webpki does not ask.
fn is_anchor(chain: &Chain, anchors: &[TrustAnchor<'_>]) -> bool {
    let Some(own) = chain.ders().first().and_then(|der| anchor(der)) else { return false };
    anchors.iter().any(|anchor| {
        anchor.subject == own.subject
            && anchor.subject_public_key_info == own.subject_public_key_info
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "its list is open; all others say themselves")]
fn in_words(error: &Error) -> String {
    match error {
        Error::CertExpired { .. } => "a certificate of it has expired".to_owned(),
        Error::CertNotValidYet { .. } => "a certificate of it is not valid yet".to_owned(),
        Error::InvalidSignatureForPublicKey => "a signature in it is wrong".to_owned(),
        Error::CaUsedAsEndEntity => "its first certificate is a CA's, not a server's".to_owned(),
        Error::EndEntityUsedAsCa => "an issuer in it may not issue certificates".to_owned(),
        Error::RequiredEkuNotFoundContext(_) => "its leaf is not made for servers".to_owned(),
        Error::NameConstraintViolation => {
            "an issuer in it may not issue for these names".to_owned()
        }
        other => format!("{other}"),
    }
}
