//! A private key: read in any of its three forms, kept in two.

use std::fmt;

use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use pkcs8::der::{self, Decode as _, Encode as _, Header, SliceReader};
use pkcs8::spki::AlgorithmIdentifierRef;
use rcgen::KeyPair;
use rustls_pki_types::PrivatePkcs8KeyDer;
use sec1::{EcParameters, EcPrivateKey};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::Error;
use super::blocks::{self, Block};

const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The least that the cryptography library (and any CA) takes; smaller ones are read for their facts only.
const LEAST_RSA_BITS: usize = 2048;

/// A private key: its kind, and its PEM which nothing prints. Zeroed when dropped.
#[derive(Clone)]
pub struct Key {
    kind: KeyKind,
    pkcs8: SecretString,
    traditional: SecretString,
    /// The bits of its SubjectPublicKeyInfo's `subjectPublicKey` (RFC 5280, 4.1.2.7).
    public: Vec<u8>,
}

/// Kinds of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// RSA, with the modulus' bits.
    Rsa(usize),
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// Something that no CDN takes; its name for people.
    Other(String),
}

impl Key {
    /// Reads a key: PKCS#8, PKCS#1, SEC1. The first of the text that needs no pass phrase.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::EncryptedKey`], [`Error::UnreadableKey`], [`Error::Damaged`].
    pub fn read(pem: &[u8]) -> Result<Self, Error> {
        Self::read_all(pem)?.into_iter().next().ok_or(Error::NoKey)
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> &KeyKind {
        &self.kind
    }

    /// As the CDN wants it: RSA as PKCS#1, EC as SEC1 with its curve; any other as PKCS#8.
    #[must_use]
    pub fn traditional_pem(&self) -> SecretString {
        self.traditional.clone()
    }

    /// As PKCS#8 PEM, for files.
    #[must_use]
    pub fn pkcs8_pem(&self) -> SecretString {
        self.pkcs8.clone()
    }

    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// All keys of the text that need no pass phrase; at least one.
    pub(super) fn read_all(pem: &[u8]) -> Result<Vec<Self>, Error> {
        let text = blocks::text(pem)?;
        let blocks = blocks::find(&text)?;
        let of_keys: Vec<_> =
            blocks.iter().filter(|block| block.label.ends_with("PRIVATE KEY")).collect();
        let plain: Vec<_> = of_keys.iter().filter(|block| !block.is_encrypted()).collect();
        match (of_keys.is_empty(), plain.is_empty()) {
            (true, _) => Err(Error::NoKey),
            (false, true) => Err(Error::EncryptedKey),
            (false, false) => plain.into_iter().map(|block| Self::of_block(block)).collect(),
        }
    }

    fn of_block(block: &Block<'_>) -> Result<Self, Error> {
        let bytes = block.decode()?;
        let key = match block.label {
            "RSA PRIVATE KEY" => Self::of_rsa(&bytes),
            "EC PRIVATE KEY" => Self::of_ec(&bytes, None),
            "PRIVATE KEY" => Self::of_pkcs8(&bytes),
            other => return Err(unreadable(format!("`{other}` is no kind that we know"))),
        };
        key.map_err(|error| match error {
            Unread::Der(why) => unreadable(format!("its structure is broken ({why})")),
            Unread::Kind(why) => unreadable(why),
        })
    }

    fn of_pkcs8(bytes: &[u8]) -> Result<Self, Unread> {
        let info = PrivateKeyInfoRef::try_from(bytes).map_err(not_pkcs8)?;
        let inner = info.private_key.as_bytes();
        match info.algorithm.oid {
            RSA => Self::of_rsa(inner),
            EC => Self::of_ec(inner, Some(info.algorithm.parameters_oid().map_err(no_curve)?)),
            ED25519 => Self::of_other(bytes, "Ed25519"),
            other => Err(Unread::Kind(format!("its kind, {other}, is not known to us"))),
        }
    }

    /// RFC 8017, A.1.2.
    fn of_rsa(pkcs1: &[u8]) -> Result<Self, Unread> {
        let (bits, public) = rsa_public(pkcs1)?;
        let algorithm = AlgorithmIdentifierRef { oid: RSA, parameters: Some(AnyRef::NULL) };
        let pkcs8 = wrapped(algorithm, pkcs1)?;
        if bits >= LEAST_RSA_BITS {
            sound(&pkcs8)?;
        }
        Ok(Self {
            kind: KeyKind::Rsa(bits),
            pkcs8: secret("PRIVATE KEY", &pkcs8),
            traditional: secret("RSA PRIVATE KEY", pkcs1),
            public,
        })
    }

    /// RFC 5915. The curve stands in the key, in what is around it, or (as some tools write it) only in the length.
    fn of_ec(sec1: &[u8], curve: Option<ObjectIdentifier>) -> Result<Self, Unread> {
        let mut key = EcPrivateKey::try_from(sec1).map_err(not_sec1)?;
        let inside = key.parameters.and_then(EcParameters::named_curve);
        let curve = curve.or(inside).or_else(|| curve_by_length(key.private_key.len()));
        let curve = curve.ok_or_else(|| Unread::Kind("it does not say its curve".to_owned()))?;
        let kind = ec_kind(curve)?;
        let parameters = AnyRef::from(&curve);
        let algorithm = AlgorithmIdentifierRef { oid: EC, parameters: Some(parameters) };
        let public = sound(&wrapped(algorithm, sec1)?)?;
        key.public_key = Some(&public);
        key.parameters = None;
        let pkcs8 = wrapped(algorithm, &Zeroizing::new(key.to_der()?))?;
        key.parameters = Some(EcParameters::NamedCurve(curve));
        let traditional = secret("EC PRIVATE KEY", &Zeroizing::new(key.to_der()?));
        Ok(Self { kind, pkcs8: secret("PRIVATE KEY", &pkcs8), traditional, public })
    }

    fn of_other(pkcs8: &[u8], name: &str) -> Result<Self, Unread> {
        let public = sound(pkcs8)?;
        let text = secret("PRIVATE KEY", pkcs8);
        let kind = KeyKind::Other(name.to_owned());
        Ok(Self { kind, pkcs8: text.clone(), traditional: text, public })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.kind)
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.pkcs8.expose_secret() == other.pkcs8.expose_secret()
    }
}

impl Eq for Key {}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "RSA with {bits} bits"),
            Self::EcdsaP256 => f.write_str("ECDSA on P-256"),
            Self::EcdsaP384 => f.write_str("ECDSA on P-384"),
            Self::Other(name) => f.write_str(name),
        }
    }
}

/// Why bytes are no key of ours.
enum Unread {
    Der(der::Error),
    Kind(String),
}

impl From<der::Error> for Unread {
    fn from(error: der::Error) -> Self {
        Self::Der(error)
    }
}

fn unreadable(why: String) -> Error {
    Error::UnreadableKey(why)
}

fn not_pkcs8(error: pkcs8::Error) -> Unread {
    Unread::Kind(format!("its structure is broken ({error})"))
}

fn not_sec1(error: sec1::Error) -> Unread {
    Unread::Kind(format!("its structure is broken ({error})"))
}

fn no_curve(error: pkcs8::spki::Error) -> Unread {
    Unread::Kind(format!("its curve has no name ({error})"))
}

fn ec_kind(curve: ObjectIdentifier) -> Result<KeyKind, Unread> {
    match curve {
        P256 => Ok(KeyKind::EcdsaP256),
        P384 => Ok(KeyKind::EcdsaP384),
        P521 => Ok(KeyKind::Other("ECDSA on P-521".to_owned())),
        other => Err(Unread::Kind(format!("its curve, {other}, is not known to us"))),
    }
}

fn curve_by_length(bytes: usize) -> Option<ObjectIdentifier> {
    match bytes {
        32 => Some(P256),
        48 => Some(P384),
        66 => Some(P521),
        _ => None,
    }
}

/// Bits of the modulus, and the public half (RFC 8017, A.1.1), which a private key holds as its first numbers.
fn rsa_public(pkcs1: &[u8]) -> Result<(usize, Vec<u8>), der::Error> {
    let mut reader = SliceReader::new(pkcs1)?;
    Header::decode(&mut reader)?.tag().assert_eq(der::Tag::Sequence)?;
    u8::decode(&mut reader)?;
    let modulus = UintRef::decode(&mut reader)?;
    let exponent = UintRef::decode(&mut reader)?;
    let bytes = modulus.as_bytes();
    let leading = bytes.first().map_or(0, |byte| byte.leading_zeros() as usize);
    Ok((bytes.len() * 8 - leading, vec![modulus, exponent].to_der()?))
}

fn wrapped(
    algorithm: AlgorithmIdentifierRef<'_>,
    inner: &[u8],
) -> Result<Zeroizing<Vec<u8>>, der::Error> {
    let info = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(inner)?);
    Ok(Zeroizing::new(info.to_der()?))
}

/// The public half, worked out by the cryptography library, which also finds keys that are wrong in themselves.
fn sound(pkcs8: &[u8]) -> Result<Vec<u8>, Unread> {
    match KeyPair::try_from(&PrivatePkcs8KeyDer::from(pkcs8)) {
        Ok(pair) => Ok(pair.public_key_raw().to_vec()),
        Err(why) => Err(Unread::Kind(format!("its numbers do not fit together ({why})"))),
    }
}

fn secret(label: &str, der: &[u8]) -> SecretString {
    SecretString::from(blocks::armor(label, der))
}
