//! The CSR of a finalization, checked as strictly as any CA does.

use std::collections::BTreeSet;

use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{BasicConstraints, GeneralName, ParsedExtension};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::hierarchy::{LeafKey, LeafKind};
use super::problem::Problem;

/// The signatures that a CSR may have: ECDSA and RSA PKCS#1 over SHA-2.
const SIGNATURES: [&str; 6] = [
    "1.2.840.10045.4.3.2",
    "1.2.840.10045.4.3.3",
    "1.2.840.10045.4.3.4",
    "1.2.840.113549.1.1.11",
    "1.2.840.113549.1.1.12",
    "1.2.840.113549.1.1.13",
];

/// What a CSR asks for.
pub(crate) struct Csr {
    pub(crate) key: LeafKey,
    pub(crate) common_name: Option<String>,
}

/// Checks a CSR for an order of these names.
pub(crate) fn check(der: &[u8], names: &[String]) -> Result<Csr, Problem> {
    read(der, names).map_err(|detail| Problem::new("badCSR", detail))
}

fn read(der: &[u8], names: &[String]) -> Result<Csr, String> {
    let (rest, csr) = X509CertificationRequest::from_der(der).map_err(|error| error.to_string())?;
    if !rest.is_empty() {
        return Err("bytes after the CSR".to_owned());
    }
    let signature = csr.signature_algorithm.algorithm.to_id_string();
    if !SIGNATURES.contains(&signature.as_str()) {
        return Err(format!("signed by {signature}"));
    }
    csr.verify_signature().map_err(|error| format!("the CSR's signature: {error}"))?;
    let wanted: BTreeSet<&str> = names.iter().map(String::as_str).collect();
    let common_name = subject(&csr, &wanted)?;
    let asked = alternative_names(&csr)?;
    let same = asked.iter().map(String::as_str).eq(wanted.iter().copied());
    if !same {
        return Err(format!("it names {asked:?}, the order {wanted:?}"));
    }
    let key = key(&csr.certification_request_info.subject_pki)?;
    Ok(Csr { key, common_name })
}

/// An empty subject, or one common name that is one of the order's.
fn subject(
    csr: &X509CertificationRequest<'_>,
    wanted: &BTreeSet<&str>,
) -> Result<Option<String>, String> {
    let subject = &csr.certification_request_info.subject;
    let common: Vec<&str> = subject
        .iter_common_name()
        .map(|name| name.as_str().map_err(|error| error.to_string()))
        .collect::<Result<_, _>>()?;
    if subject.iter_attributes().count() != common.len() {
        return Err(format!("the subject says more than a common name: {subject}"));
    }
    match common[..] {
        [] => Ok(None),
        [name] if wanted.contains(name) => Ok(Some(name.to_owned())),
        _ => Err(format!("the subject {subject} is no name of the order")),
    }
}

fn alternative_names(csr: &X509CertificationRequest<'_>) -> Result<BTreeSet<String>, String> {
    let mut names = BTreeSet::new();
    for extension in csr.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(found) = extension else {
            harmless(extension)?;
            continue;
        };
        for name in &found.general_names {
            let GeneralName::DNSName(name) = name else {
                return Err(format!("a name that is no DNS name: {name}"));
            };
            if !names.insert((*name).to_owned()) {
                return Err(format!("{name} stands twice"));
            }
        }
    }
    Ok(names)
}

/// Refuses what the CA would not put into a certificate: must-staple above all, since nobody answers OCSP any more.
fn harmless(extension: &ParsedExtension<'_>) -> Result<(), String> {
    let fine = matches!(
        extension,
        ParsedExtension::BasicConstraints(BasicConstraints { ca: false, .. })
            | ParsedExtension::KeyUsage(_)
            | ParsedExtension::ExtendedKeyUsage(_)
            | ParsedExtension::SubjectKeyIdentifier(_)
    );
    if fine { Ok(()) } else { Err(format!("it asks for an extension: {extension:?}")) }
}

fn key(spki: &SubjectPublicKeyInfo<'_>) -> Result<LeafKey, String> {
    let bits = spki.subject_public_key.data.to_vec();
    let parsed = spki.parsed().map_err(|error| format!("the key: {error}"))?;
    let kind = match &parsed {
        PublicKey::EC(point) => match point.key_size() {
            256 => LeafKind::P256,
            384 => LeafKind::P384,
            size => return Err(format!("an EC key of {size} bits")),
        },
        PublicKey::RSA(rsa) => {
            if ![2048, 3072, 4096].contains(&rsa.key_size()) || rsa.exponent != [1, 0, 1] {
                return Err(format!("an RSA key of {} bits", rsa.key_size()));
            }
            LeafKind::Rsa
        }
        PublicKey::DSA(_)
        | PublicKey::GostR3410(_)
        | PublicKey::GostR3410_2012(_)
        | PublicKey::Unknown(_) => return Err("a key of another kind".to_owned()),
    };
    Ok(LeafKey { kind, bits })
}

/// The bit string of a certificate's key.
pub(crate) fn bits_of_certificate(der: &[u8]) -> Option<Vec<u8>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(der).ok()?;
    Some(certificate.public_key().subject_public_key.data.to_vec())
}
