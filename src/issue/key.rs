//! The key of a certificate and its CSR (RFC 2986).

use anyhow::Context as _;
use rcgen::{CertificateParams, DistinguishedName, KeyPair, RsaKeySize};
use secrecy::ExposeSecret as _;
use zeroize::Zeroizing;

use crate::cert::{Key, KeyKind};
use crate::config::KeyType;

/// A new key. An RSA key takes up to seconds of a processor.
pub(super) fn generate(kind: KeyType) -> anyhow::Result<Key> {
    let pair = match kind {
        KeyType::EcdsaP256 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256),
        KeyType::EcdsaP384 => KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384),
        KeyType::Rsa2048 => rsa(RsaKeySize::_2048),
        KeyType::Rsa3072 => rsa(RsaKeySize::_3072),
        KeyType::Rsa4096 => rsa(RsaKeySize::_4096),
    }
    .with_context(|| format!("no {} key can be made", word(kind)))?;
    let pem = Zeroizing::new(pair.serialize_pem());
    Ok(Key::read(pem.as_bytes())?)
}

/// The DER of a request for these names by this key.
pub(super) fn request(names: &[String], key: &Key) -> anyhow::Result<Vec<u8>> {
    let pair = KeyPair::from_pem(key.pkcs8_pem().expose_secret()).context("the key cannot sign")?;
    let mut params = CertificateParams::new(names).context("the names make no request")?;
    // rcgen's own is CN="rcgen self signed cert", which strict CAs refuse as a name that was not proved.
    params.distinguished_name = DistinguishedName::new();
    let request = params.serialize_request(&pair).context("the request cannot be signed")?;
    Ok(request.der().to_vec())
}

/// Is the key of this kind, so that it may stay?
pub(super) fn is_of(kind: KeyType, key: &Key) -> bool {
    let wanted = match kind {
        KeyType::EcdsaP256 => KeyKind::EcdsaP256,
        KeyType::EcdsaP384 => KeyKind::EcdsaP384,
        KeyType::Rsa2048 => KeyKind::Rsa(2048),
        KeyType::Rsa3072 => KeyKind::Rsa(3072),
        KeyType::Rsa4096 => KeyKind::Rsa(4096),
    };
    *key.kind() == wanted
}

/// Its name in a configuration.
pub(super) fn word(kind: KeyType) -> &'static str {
    match kind {
        KeyType::EcdsaP256 => "ecdsa-p256",
        KeyType::EcdsaP384 => "ecdsa-p384",
        KeyType::Rsa2048 => "rsa-2048",
        KeyType::Rsa3072 => "rsa-3072",
        KeyType::Rsa4096 => "rsa-4096",
    }
}

fn rsa(size: RsaKeySize) -> Result<KeyPair, rcgen::Error> {
    KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, size)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use x509_parser::certification_request::X509CertificationRequest;
    use x509_parser::extensions::ParsedExtension;
    use x509_parser::prelude::FromDer as _;

    use super::*;

    fn check(kind: KeyType) {
        let row = word(kind);
        let key = generate(kind).unwrap();
        assert!(is_of(kind, &key), "{row}: {:?}", key.kind());
        let names = ["example.test", "*.example.test"].map(str::to_owned);
        let der = request(&names, &key).unwrap();
        let (_, request) = X509CertificationRequest::from_der(&der).unwrap();
        assert_eq!(request.certification_request_info.subject.iter().count(), 0, "{row}");
        let mut asked = request.requested_extensions().unwrap();
        let asked = asked.find_map(|extension| {
            let ParsedExtension::SubjectAlternativeName(san) = extension else { return None };
            Some(san.general_names.len())
        });
        assert_eq!(asked, Some(names.len()), "{row}");
    }

    // RSA of 3072 and 4096 bits differ by a number only, and take seconds without optimization.
    #[test]
    fn keys_of_each_kind_make_a_request() {
        check(KeyType::EcdsaP256);
        check(KeyType::EcdsaP384);
        check(KeyType::Rsa2048);
    }
}
