//! Facts of an end-entity certificate.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate, X509Name};
use x509_parser::time::ASN1Time;

use super::{Error, Fingerprint, blocks};

/// Facts of an end-entity certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// SHA-256 of its DER.
    pub fingerprint: Fingerprint,
    /// DNS names of the SAN (else the CN), lower case.
    pub names: Vec<String>,
    /// Start of its validity.
    pub not_before: Timestamp,
    /// End of its validity.
    pub not_after: Timestamp,
    /// The issuer's name for people: its CN, else its O, else its whole DN.
    pub issuer: String,
    /// Issuer and subject are the same.
    pub self_issued: bool,
    /// By which its CA knows it for renewal (RFC 9773, 4.1): base64url(AKI key id) "." base64url(serial number). None
    /// without an AKI.
    pub renewal_id: Option<String>,
}

impl Leaf {
    /// Facts of the first certificate of PEM text (what a CDN says it serves).
    ///
    /// # Errors
    /// [`Error::NoCertificate`] or [`Error::Damaged`].
    pub fn read(pem: &[u8]) -> Result<Self, Error> {
        let ders = blocks::certificates(pem)?;
        let der = ders.first().ok_or(Error::NoCertificate)?;
        Ok(Self::of(&parse(der)?, der))
    }

    /// Is the name (lower case ASCII) covered? `*.example.com` covers one label; the target `.example.com` is covered
    /// by the name `*.example.com` alone.
    #[must_use]
    pub fn covers(&self, name: &str) -> bool {
        self.names.iter().any(|has| has == name || star_covers(has, name))
    }

    pub(super) fn of(cert: &X509Certificate<'_>, der: &[u8]) -> Self {
        Self {
            fingerprint: Fingerprint::of(der),
            names: names(cert),
            not_before: timestamp(cert.validity().not_before),
            not_after: timestamp(cert.validity().not_after),
            issuer: issuer_of(cert),
            self_issued: super::chain::is_self_issued(cert),
            renewal_id: renewal_id(cert),
        }
    }
}

/// A certificate of which [`rest_after`] was asked before.
pub(super) fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    let (_, cert) =
        X509Certificate::from_der(der).map_err(|why| Error::Damaged(0, why.to_string()))?;
    Ok(cert)
}

/// How many bytes follow the certificate that begins here; none: no certificate begins here.
pub(super) fn rest_after(der: &[u8]) -> Option<usize> {
    X509Certificate::from_der(der).ok().map(|(rest, _)| rest.len())
}

/// The issuer's name for people.
pub(super) fn issuer_of(cert: &X509Certificate<'_>) -> String {
    for_people(cert.issuer())
}

/// The serial number's DER content as it stands: a leading zero byte is part of it.
fn renewal_id(cert: &X509Certificate<'_>) -> Option<String> {
    let issuer = URL_SAFE_NO_PAD.encode(super::chain::authority_key_id(cert)?);
    Some(format!("{issuer}.{}", URL_SAFE_NO_PAD.encode(cert.raw_serial())))
}

/// `*.example.com` covers `www.example.com` (RFC 9525, 6.3), and what the CDN calls `.example.com`.
fn star_covers(has: &str, name: &str) -> bool {
    let Some(parent) = has.strip_prefix('*').filter(|parent| parent.starts_with('.')) else {
        return false;
    };
    name.strip_suffix(parent).is_some_and(|label| !label.contains(['.', '*']))
}

/// DNS names of the SAN, as they stand there.
pub(super) fn alternative_names<'a>(
    cert: &'a X509Certificate<'_>,
) -> impl Iterator<Item = &'a str> {
    let alternative = cert.subject_alternative_name().ok().flatten();
    let names = alternative.map(|san| san.value.general_names.as_slice()).unwrap_or_default();
    names.iter().filter_map(|name| {
        let GeneralName::DNSName(name) = name else { return None };
        Some(*name)
    })
}

fn names(cert: &X509Certificate<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in alternative_names(cert).map(|name| on_one_line(name).to_ascii_lowercase()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    if names.is_empty() {
        names.extend(common_name(cert.subject()).map(|name| name.to_ascii_lowercase()));
    }
    names
}

fn common_name(name: &X509Name<'_>) -> Option<String> {
    name.iter_common_name().find_map(|part| part.as_str().ok()).map(on_one_line)
}

fn for_people(name: &X509Name<'_>) -> String {
    common_name(name)
        .or_else(|| name.iter_organization().find_map(|part| part.as_str().ok()).map(on_one_line))
        .unwrap_or_else(|| on_one_line(&name.to_string()))
}

/// Whoever makes a certificate chooses its names: a line end would write a line of its own into our messages.
fn on_one_line(name: &str) -> String {
    name.chars().map(|letter| if letter.is_control() { '\u{fffd}' } else { letter }).collect()
}

/// RFC 5280 writes "never" as the end of the year 9999, a day beyond what a `Timestamp` can hold.
fn timestamp(time: ASN1Time) -> Timestamp {
    let edge = if time.timestamp() < 0 { Timestamp::MIN } else { Timestamp::MAX };
    Timestamp::from_second(time.timestamp()).unwrap_or(edge)
}
