//! JWS and JWK (RFC 7515, 7517, 7518, 7638), as narrow as RFC 8555 section 6.2 has them.

use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, RSA_PKCS1_2048_8192_SHA256,
    UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// What is signed with which keys.
const ALGORITHMS: [&str; 3] = ["ES256", "ES384", "RS256"];

/// A flattened JWS.
#[derive(Clone, Debug)]
pub(crate) struct Jws {
    pub(crate) protected: Map<String, Value>,
    pub(crate) payload: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
}

impl Jws {
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        let document = serde_json::from_slice(body)
            .map_err(|error| Problem::malformed(format!("the body is no JWS: {error}")))?;
        Self::read(&document)
    }

    pub(crate) fn read(document: &Value) -> Result<Self, Problem> {
        if document.get("header").is_some() || document.get("signatures").is_some() {
            return Err(Problem::malformed("no unprotected header, and only one signature"));
        }
        let text = |name: &str| {
            let text = document.get(name).and_then(Value::as_str);
            text.ok_or_else(|| Problem::malformed(format!("the JWS has no text {name:?}")))
        };
        let (protected, payload) = (text("protected")?, text("payload")?);
        let header = serde_json::from_slice(&bytes("protected", protected)?)
            .map_err(|error| Problem::malformed(format!("the protected header: {error}")))?;
        Ok(Self {
            protected: header,
            payload: bytes("payload", payload)?,
            signed: format!("{protected}.{payload}"),
            signature: bytes("signature", text("signature")?)?,
        })
    }

    /// A text of the protected header.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.protected.get(name).and_then(Value::as_str)
    }

    /// The payload as an object.
    pub(crate) fn object(&self) -> Result<Map<String, Value>, Problem> {
        serde_json::from_slice(&self.payload)
            .map_err(|error| Problem::malformed(format!("the payload is no object: {error}")))
    }

    /// Checks the algorithm alone, before any key is looked for.
    pub(crate) fn known_algorithm(&self) -> Result<(), Problem> {
        if self.protected.contains_key("crit") {
            return Err(Problem::malformed("crit is not understood"));
        }
        if self.text("alg").is_some_and(|algorithm| ALGORITHMS.contains(&algorithm)) {
            return Ok(());
        }
        let detail = format!("the algorithm {:?} is not accepted", self.protected.get("alg"));
        Err(Problem::new("badSignatureAlgorithm", detail).field("algorithms", json!(ALGORITHMS)))
    }

    pub(crate) fn verify(&self, key: &Jwk) -> Result<(), Problem> {
        if self.text("alg") != Some(key.kind.algorithm()) {
            return Err(Problem::malformed("the algorithm does not fit the key"));
        }
        let public = UnparsedPublicKey::new(key.kind.verifier(), key.bits());
        public
            .verify(self.signed.as_bytes(), &self.signature)
            .map_err(|_unspecified| Problem::malformed("the JWS's signature does not verify"))
    }

    /// HS256, for an external account binding.
    pub(crate) fn verify_hmac(&self, key: &[u8]) -> Result<(), Problem> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length");
        mac.update(self.signed.as_bytes());
        mac.verify_slice(&self.signature).map_err(|_mismatch| {
            Problem::unauthorized("the external account binding's signature does not verify")
        })
    }
}

/// A kind of account key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    P256,
    P384,
    Rsa,
}

impl Kind {
    fn algorithm(self) -> &'static str {
        match self {
            Self::P256 => "ES256",
            Self::P384 => "ES384",
            Self::Rsa => "RS256",
        }
    }

    fn verifier(self) -> &'static dyn VerificationAlgorithm {
        match self {
            Self::P256 => &ECDSA_P256_SHA256_FIXED,
            Self::P384 => &ECDSA_P384_SHA384_FIXED,
            Self::Rsa => &RSA_PKCS1_2048_8192_SHA256,
        }
    }
}

/// A public key: two numbers, x and y or n and e.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Jwk {
    kind: Kind,
    first: Vec<u8>,
    second: Vec<u8>,
}

impl Jwk {
    pub(crate) fn read(document: &Value) -> Result<Self, Problem> {
        let bad = |detail: String| Problem::new("badPublicKey", detail);
        let text = |name: &str| document.get(name).and_then(Value::as_str).unwrap_or_default();
        if ["d", "p", "q", "dp", "dq", "qi", "k"].iter().any(|name| document.get(*name).is_some()) {
            return Err(Problem::malformed("the JWK holds a private key"));
        }
        let (kind, names, size) = match (text("kty"), text("crv")) {
            ("EC", "P-256") => (Kind::P256, ["x", "y"], Some(32)),
            ("EC", "P-384") => (Kind::P384, ["x", "y"], Some(48)),
            ("RSA", _) => (Kind::Rsa, ["n", "e"], None),
            (kind, curve) => return Err(bad(format!("keys of {kind:?} {curve:?}"))),
        };
        let [first, second] = names.map(|name| bytes(name, text(name)));
        let key = Self { kind, first: first?, second: second? };
        match size {
            Some(size) if key.first.len() != size || key.second.len() != size => {
                Err(bad(format!("a coordinate has {size} bytes")))
            }
            None if !(256..=512).contains(&key.first.len()) || key.first[0] < 0x80 => {
                Err(bad("an RSA key has 2048 to 4096 bits, and no zeros before them".to_owned()))
            }
            None if key.second != [1, 0, 1] => Err(bad("an exponent of 65537".to_owned())),
            Some(_) | None => Ok(key),
        }
    }

    /// RFC 7638.
    pub(crate) fn thumbprint(&self) -> String {
        let [first, second] =
            [&self.first, &self.second].map(|number| BASE64_URL_SAFE_NO_PAD.encode(number));
        let canonical = match self.kind {
            Kind::P256 => format!(r#"{{"crv":"P-256","kty":"EC","x":"{first}","y":"{second}"}}"#),
            Kind::P384 => format!(r#"{{"crv":"P-384","kty":"EC","x":"{first}","y":"{second}"}}"#),
            Kind::Rsa => format!(r#"{{"e":"{second}","kty":"RSA","n":"{first}"}}"#),
        };
        BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(canonical.as_bytes()))
    }

    /// What the bit string of a SubjectPublicKeyInfo would hold.
    pub(crate) fn bits(&self) -> Vec<u8> {
        match self.kind {
            Kind::P256 | Kind::P384 => [&[4], &self.first[..], &self.second[..]].concat(),
            Kind::Rsa => {
                let numbers = [number(&self.first), number(&self.second)].concat();
                element(0x30, &numbers)
            }
        }
    }
}

/// Strict base64url: no padding, no bits left over.
pub(crate) fn bytes(what: &str, text: &str) -> Result<Vec<u8>, Problem> {
    BASE64_URL_SAFE_NO_PAD
        .decode(text)
        .map_err(|error| Problem::malformed(format!("{what} is no base64url: {error}")))
}

/// A DER INTEGER of a positive number.
fn number(bytes: &[u8]) -> Vec<u8> {
    let sign: &[u8] = if bytes.first().is_some_and(|first| *first >= 0x80) { &[0] } else { &[] };
    element(2, &[sign, bytes].concat())
}

/// A DER element.
fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().take_while(|byte| **byte == 0).count()..];
    let head = match *length {
        [short] if short < 0x80 => vec![tag, short],
        ref long => [&[tag, 0x80 | u8::try_from(long.len()).unwrap_or(8)], long].concat(),
    };
    [&head, content].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thumbprint_of_the_rfc() {
        // The example of RFC 7638 section 3.1.
        let key = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB",
            "alg": "RS256",
            "kid": "2011-04-29",
        });
        let key = Jwk::read(&key).unwrap();
        assert_eq!(key.thumbprint(), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }
}
