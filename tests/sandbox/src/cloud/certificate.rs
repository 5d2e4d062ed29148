//! What an upload's PEM is checked for: as strictly as the document words it, so that a sloppy client is caught.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{InconsistentKeys, SignatureAlgorithm};
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::answer::Refusal;
use super::seed::KeyFormat;

/// The line length of RFC 7468 and of the document.
const LINE: usize = 64;

/// What the read-back tells of a certificate.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub(crate) common_name: String,
    pub(crate) issuer: String,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// Checks a chain and its key.
///
/// Not checked, as the real cloud does not: whether the certificate covers the domain, and whether anybody trusts it.
pub(crate) fn check(
    chain: &str,
    key: &str,
    format: KeyFormat,
    now: Timestamp,
) -> Result<(), Refusal> {
    let blocks = blocks(chain).map_err(bad_certificate)?;
    if blocks.iter().any(|(label, _)| label != "CERTIFICATE") {
        return Err(bad_certificate("a block that is no certificate".to_owned()));
    }
    let chain: Vec<&[u8]> = blocks.iter().map(|(_, der)| der.as_slice()).collect();
    check_order(&chain).map_err(bad_certificate)?;
    let key = read_key(key, format)?;
    check_pair(&chain, &key)?;
    if facts(chain[0]).is_some_and(|facts| facts.not_after < now) {
        return Err(Refusal::new("Certificate.Expired"));
    }
    Ok(())
}

/// SHA-256 of the first certificate, lower hex.
pub(crate) fn fingerprint(chain: &str) -> Option<String> {
    let first = ::pem::parse(chain).ok()?;
    Some(Sha256::digest(first.contents()).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// What the read-back tells of the first certificate of a chain.
pub(crate) fn facts_of(chain: &str) -> Option<Facts> {
    facts(::pem::parse(chain).ok()?.contents())
}

fn facts(der: &[u8]) -> Option<Facts> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let validity = certificate.validity();
    let name = certificate.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok());
    Some(Facts {
        // Certificates without one are usual by now; the cloud then shows the first DNS name.
        common_name: name.map_or_else(|| first_dns_name(&certificate), ToOwned::to_owned),
        issuer: certificate.issuer().to_string(),
        not_before: Timestamp::from_second(validity.not_before.timestamp()).ok()?,
        not_after: Timestamp::from_second(validity.not_after.timestamp()).ok()?,
    })
}

fn first_dns_name(certificate: &X509Certificate<'_>) -> String {
    let names = certificate.subject_alternative_name().ok().flatten();
    let text = names.and_then(|names| names.value.general_names.first().map(ToString::to_string));
    text.map(|text| text.trim_start_matches("DNSName(").trim_end_matches(')').to_owned())
        .unwrap_or_default()
}

/// The blocks of a PEM text that holds nothing else: no blank line, no other text, no CR, lines of 64.
fn blocks(pem: &str) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut blocks = Vec::new();
    let mut lines = pem.strip_suffix('\n').unwrap_or(pem).split('\n').enumerate();
    while let Some((at, line)) = lines.next() {
        let label = line.strip_prefix("-----BEGIN ").and_then(|line| line.strip_suffix("-----"));
        let label = label.ok_or_else(|| format!("line {}: no BEGIN line", at + 1))?;
        let end = format!("-----END {label}-----");
        let mut body = Vec::new();
        loop {
            match lines.next() {
                None => return Err(format!("no {end}")),
                Some((_, line)) if line == end => break,
                Some(line) => body.push(line),
            }
        }
        blocks.push((label.to_owned(), decode(&body)?));
    }
    Ok(blocks)
}

fn decode(lines: &[(usize, &str)]) -> Result<Vec<u8>, String> {
    let Some(((last, end), full)) = lines.split_last() else { return Err("an empty block".into()) };
    if let Some((at, _)) = full.iter().find(|(_, line)| line.len() != LINE) {
        return Err(format!("line {}: not {LINE} characters", at + 1));
    }
    if end.is_empty() || end.len() > LINE {
        return Err(format!("line {}: empty, or more than {LINE} characters", last + 1));
    }
    let text: String = lines.iter().map(|(_, line)| *line).collect();
    BASE64_STANDARD
        .decode(text)
        .map_err(|error| format!("the block up to line {}: {error}", last + 1))
}

/// Leaf first, and each certificate followed by its issuer's.
fn check_order(chain: &[&[u8]]) -> Result<(), String> {
    let parsed: Vec<X509Certificate<'_>> = chain
        .iter()
        .map(|der| match X509Certificate::from_der(der) {
            Ok(([], certificate)) => Ok(certificate),
            Ok(_) => Err("bytes after the certificate".to_owned()),
            Err(error) => Err(error.to_string()),
        })
        .collect::<Result<_, _>>()?;
    if parsed.first().is_some_and(|leaf| leaf.is_ca() && parsed.len() > 1) {
        return Err("the first certificate is a CA's, not the site's".to_owned());
    }
    let broken = parsed.windows(2).position(|pair| pair[0].issuer() != pair[1].subject());
    match broken {
        None => Ok(()),
        Some(at) => Err(format!("certificate {} is not the issuer of the one before it", at + 2)),
    }
}

fn read_key(pem: &str, format: KeyFormat) -> Result<PrivateKeyDer<'static>, Refusal> {
    let blocks = blocks(pem).map_err(bad_key)?;
    let [(label, der)] = blocks.as_slice() else {
        return Err(bad_key(format!("{} blocks, not one", blocks.len())));
    };
    match (label.as_str(), format) {
        ("RSA PRIVATE KEY", _) => Ok(PrivateKeyDer::Pkcs1(der.clone().into())),
        ("EC PRIVATE KEY", _) => Ok(PrivateKeyDer::Sec1(der.clone().into())),
        ("PRIVATE KEY", KeyFormat::Any) => Ok(PrivateKeyDer::Pkcs8(der.clone().into())),
        ("ENCRYPTED PRIVATE KEY", _) => Err(Refusal::new("Key.Malformed")),
        (other, _) => Err(bad_key(format!("{other} is no format of the document's"))),
    }
}

fn check_pair(chain: &[&[u8]], key: &PrivateKeyDer<'static>) -> Result<(), Refusal> {
    let key = any_supported_type(key).map_err(|error| bad_key(error.to_string()))?;
    if key.algorithm() == SignatureAlgorithm::ED25519 {
        return Err(bad_key("Ed25519 is not supported".to_owned()));
    }
    let chain = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    match CertifiedKey::new(chain, key).keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(_) => Err(Refusal::new("Certificate.MissMatch")),
    }
}

fn bad_certificate(why: String) -> Refusal {
    Refusal::new("InvalidCertificate").saying(format!("The certificate is malformed: {why}."))
}

fn bad_key(why: String) -> Refusal {
    Refusal::new("InvalidPrivateKey").saying(format!("The private key is malformed: {why}."))
}
