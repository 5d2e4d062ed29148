//! A chain without a key: what somebody serves, or the public part of a Cert.

use x509_parser::der_parser::Oid;
use x509_parser::der_parser::oid;
use x509_parser::prelude::{ParsedExtension, X509Certificate};

use super::{Error, Leaf, leaf};

/// Signature algorithms that no browser takes any more: MD5 and SHA-1 (RFC 3279, 2.2).
const WEAK: [(Oid<'static>, &str); 4] = [
    (oid!(1.2.840.113549.1.1.4), "RSA with MD5"),
    (oid!(1.2.840.113549.1.1.5), "RSA with SHA-1"),
    (oid!(1.2.840.10040.4.3), "DSA with SHA-1"),
    (oid!(1.2.840.10045.4.1), "ECDSA with SHA-1"),
];

/// Certificates, the leaf first, and the facts read from them. It may be incomplete, and nothing in it is judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    leaf: Leaf,
    ders: Vec<Vec<u8>>,
    leads_to: String,
    weak: Option<&'static str>,
    has_names: bool,
}

impl Chain {
    /// The chain of these certificates (DER), the leaf first, the others in any order.
    ///
    /// # Errors
    /// [`Error::NoCertificate`], [`Error::Damaged`].
    pub fn of(ders: Vec<Vec<u8>>) -> Result<Self, Error> {
        let certs = ders.iter().map(|der| leaf::parse(der)).collect::<Result<Vec<_>, _>>()?;
        let (first, der) = certs.first().zip(ders.first()).ok_or(Error::NoCertificate)?;
        let leaf = Leaf::of(first, der);
        let order = in_order(&certs, 0);
        let leads_to = order.last().map(|&at| leaf::issuer_of(&certs[at])).unwrap_or_default();
        let signed = order.iter().map(|&at| &certs[at]).filter(|cert| !is_self_issued(cert));
        let weak = { signed }.find_map(weak);
        let has_names = leaf::alternative_names(first).next().is_some();
        Ok(Self { leaf, ders, leads_to, weak, has_names })
    }

    /// Facts of the leaf.
    #[must_use]
    pub fn leaf(&self) -> &Leaf {
        &self.leaf
    }

    /// DER, leaf first.
    #[must_use]
    pub fn ders(&self) -> &[Vec<u8>] {
        &self.ders
    }

    /// The name for people of the root that it leads to, as its last certificate has it.
    #[must_use]
    pub fn leads_to(&self) -> &str {
        &self.leads_to
    }

    /// The algorithm of a signature in it that nobody trusts any more; a root's own signature is of no account.
    #[must_use]
    pub fn weak_signature(&self) -> Option<&'static str> {
        self.weak
    }

    /// Its leaf has names in the SAN; otherwise the CN stands for them.
    #[must_use]
    pub fn has_names(&self) -> bool {
        self.has_names
    }
}

fn weak(cert: &X509Certificate<'_>) -> Option<&'static str> {
    let algorithm = &cert.signature_algorithm.algorithm;
    WEAK.iter().find(|(weak, _)| weak == algorithm).map(|(_, name)| *name)
}

pub(super) fn is_self_issued(cert: &X509Certificate<'_>) -> bool {
    cert.subject().as_raw() == cert.issuer().as_raw()
}

/// From the leaf, each time the first certificate that may have issued the last one, up to a self-issued one.
pub(super) fn in_order(certs: &[X509Certificate<'_>], leaf: usize) -> Vec<usize> {
    let mut order = vec![leaf];
    let mut last = leaf;
    while !is_self_issued(&certs[last]) {
        let next = (0..certs.len())
            .find(|at| !order.contains(at) && may_have_issued(&certs[*at], &certs[last]));
        let Some(next) = next else { break };
        order.push(next);
        last = next;
    }
    order
}

/// By names, and by key identifiers where both have them (RFC 5280, 4.2.1.1 and 4.2.1.2).
fn may_have_issued(issuer: &X509Certificate<'_>, cert: &X509Certificate<'_>) -> bool {
    if issuer.subject().as_raw() != cert.issuer().as_raw() {
        return false;
    }
    match (subject_key_id(issuer), authority_key_id(cert)) {
        (Some(has), Some(wanted)) => has == wanted,
        (None, _) | (_, None) => true,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "one extension of many is looked for")]
fn subject_key_id<'a>(cert: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    cert.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0),
        _ => None,
    })
}

#[expect(clippy::wildcard_enum_match_arm, reason = "one extension of many is looked for")]
pub(super) fn authority_key_id<'a>(cert: &'a X509Certificate<'_>) -> Option<&'a [u8]> {
    cert.iter_extensions().find_map(|extension| match extension.parsed_extension() {
        ParsedExtension::AuthorityKeyIdentifier(id) => id.key_identifier.as_ref().map(|id| id.0),
        _ => None,
    })
}
