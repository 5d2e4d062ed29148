//! Requests that instant-acme does not make: signed by the account's key as RFC 8555, 6.2 says (JWS, RFC 7515; ES256).

use ::http::header::CONTENT_TYPE;
use ::http::{HeaderValue, Method};
use anyhow::anyhow;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use instant_acme::{Error, Problem};
use reqwest::{Request, Url};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::acme::{Line, patient};
use crate::http::Answer;

/// An account's key: ECDSA P-256, the only kind that instant-acme makes.
pub(super) struct AccountKey {
    pair: EcdsaKeyPair,
    pkcs8: Zeroizing<Vec<u8>>,
}

/// An account as the store keeps it, in instant-acme's form.
#[derive(Deserialize)]
pub(super) struct Kept {
    /// The account's URL, by which the CA knows it (`kid`).
    pub(super) id: String,
    key_pkcs8: Zeroizing<String>,
}

/// Who signs: a key, and the account that it is of. An account that is not registered yet is known by its key alone.
pub(super) struct Signer<'a> {
    pub(super) key: &'a AccountKey,
    pub(super) account: Option<&'a str>,
}

/// An account elsewhere that the CA wants ours to be bound to (RFC 8555, 7.3.4): its id there, and the key for its MAC.
pub(super) struct Binding {
    pub(super) key_id: String,
    pub(super) key: Zeroizing<Vec<u8>>,
}

impl AccountKey {
    /// A new one.
    pub(super) fn generate() -> anyhow::Result<Self> {
        let document =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_unspecified| anyhow!("no key could be made"))?;
        Self::read(document.as_ref())
    }

    fn read(pkcs8: &[u8]) -> anyhow::Result<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
            .map_err(|_rejected| anyhow!("the account's key is no ECDSA P-256 key"))?;
        Ok(Self { pair, pkcs8: Zeroizing::new(pkcs8.to_vec()) })
    }

    /// For the store: the account `id` at `directory` with this key.
    pub(super) fn kept(&self, id: &str, directory: &str) -> Zeroizing<String> {
        let key = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.pkcs8.as_slice()));
        let (id, directory) = (Value::from(id), Value::from(directory));
        Zeroizing::new(format!(
            r#"{{"id":{id},"key_pkcs8":"{}","directory":{directory}}}"#,
            key.as_str()
        ))
    }

    /// The public key (RFC 7517), its members in the order that its thumbprint needs.
    pub(super) fn jwk(&self) -> Value {
        // An uncompressed point: 4, x, y.
        let point = self.pair.public_key().as_ref();
        let (x, y) = point.get(1..).unwrap_or_default().split_at(point.len() / 2);
        let [x, y] = [x, y].map(|half| URL_SAFE_NO_PAD.encode(half));
        json!({"crv": "P-256", "kty": "EC", "x": x, "y": y})
    }

    /// The public key's thumbprint (RFC 7638).
    pub(super) fn thumbprint(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.jwk().to_string()))
    }

    /// A flattened JWS. No payload is POST-as-GET's (RFC 8555, 6.3).
    pub(super) fn sign(&self, protected: &Value, payload: Option<&Value>) -> anyhow::Result<Value> {
        flattened(protected, payload, |input| {
            let signature = self.pair.sign(&SystemRandom::new(), input);
            let signature =
                signature.map_err(|_unspecified| anyhow!("the account's key does not sign"))?;
            Ok(signature.as_ref().to_vec())
        })
    }
}

impl Binding {
    /// What newAccount at `url` carries of it: the new account's key, signed by the other account's (HS256).
    pub(super) fn sign(&self, key: &AccountKey, url: &str) -> anyhow::Result<Value> {
        let protected = json!({"alg": "HS256", "kid": self.key_id, "url": url});
        flattened(&protected, Some(&key.jwk()), |input| {
            let mut mac = Hmac::<Sha256>::new_from_slice(&self.key)?;
            mac.update(input);
            Ok(mac.finalize().into_bytes().to_vec())
        })
    }
}

fn flattened(
    protected: &Value,
    payload: Option<&Value>,
    sign: impl FnOnce(&[u8]) -> anyhow::Result<Vec<u8>>,
) -> anyhow::Result<Value> {
    let protected = URL_SAFE_NO_PAD.encode(protected.to_string());
    let payload =
        payload.map_or_else(String::new, |payload| URL_SAFE_NO_PAD.encode(payload.to_string()));
    let signature = sign(format!("{protected}.{payload}").as_bytes())?;
    let signature = URL_SAFE_NO_PAD.encode(signature);
    Ok(json!({"protected": protected, "payload": payload, "signature": signature}))
}

impl Kept {
    /// Its key.
    pub(super) fn key(&self) -> anyhow::Result<AccountKey> {
        // base64's own error would quote a byte of the key.
        let pkcs8 = URL_SAFE_NO_PAD.decode(self.key_pkcs8.as_bytes()).ok().map(Zeroizing::new);
        let pkcs8 = pkcs8.ok_or_else(|| anyhow!("the account's key is no base64url"))?;
        AccountKey::read(&pkcs8)
    }
}

impl Line {
    /// A signed request (POST, or POST-as-GET without a payload). A nonce that the CA refuses has had no effect: the
    /// request is made again with another.
    ///
    /// # Errors
    /// The CA's refusal, or why there is no answer.
    pub(super) async fn post(
        &self,
        signer: &Signer<'_>,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Answer, Error> {
        patient(async || self.post_once(signer, url, payload).await).await
    }

    async fn post_once(
        &self,
        signer: &Signer<'_>,
        url: &str,
        payload: Option<&Value>,
    ) -> Result<Answer, Error> {
        let nonce = self.nonce().await?;
        let mut protected = json!({"alg": "ES256", "nonce": nonce, "url": url});
        match signer.account {
            Some(account) => protected["kid"] = account.into(),
            None => protected["jwk"] = signer.key.jwk(),
        }
        let body = signer.key.sign(&protected, payload).map_err(|error| other(error.into()))?;
        let mut request = Request::new(Method::POST, parsed(url)?);
        request
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/jose+json"));
        *request.body_mut() = Some(body.to_string().into());
        let answer = self.hear(request).await?;
        if answer.status >= 400 {
            return Err(serde_json::from_slice::<Problem>(&answer.body)?.into());
        }
        Ok(answer)
    }

    async fn nonce(&self) -> Result<String, Error> {
        let url = parsed(&self.ca().urls().new_nonce)?;
        let answer = self.hear(Request::new(Method::HEAD, url)).await?;
        let nonce = answer.headers.get("replay-nonce").and_then(|nonce| nonce.to_str().ok());
        nonce.map(str::to_owned).ok_or(Error::Str("the CA gives no nonce"))
    }
}

fn parsed(url: &str) -> Result<Url, Error> {
    Url::parse(url).map_err(|error| other(error.into()))
}

fn other(error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    Error::Other(error)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};

    use super::*;

    #[test]
    fn what_is_signed_can_be_verified() {
        let key = AccountKey::generate().unwrap();
        let jws = key.sign(&json!({"alg": "ES256"}), Some(&json!({"a": 1}))).unwrap();
        let part = |name: &str| jws[name].as_str().unwrap().to_owned();
        let input = format!("{}.{}", part("protected"), part("payload"));
        let signature = URL_SAFE_NO_PAD.decode(part("signature")).unwrap();
        let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.pair.public_key());
        public.verify(input.as_bytes(), &signature).unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(part("payload")).unwrap(), br#"{"a":1}"#);
        assert_eq!(key.sign(&json!({}), None).unwrap()["payload"], "", "POST-as-GET");
    }

    #[test]
    fn a_binding_is_of_the_new_key_and_signed_by_the_other() {
        let key = AccountKey::generate().unwrap();
        let binding = Binding { key_id: "kid-1".to_owned(), key: Zeroizing::new(vec![7; 32]) };
        let jws = binding.sign(&key, "https://ca.test/new").unwrap();
        let part = |name: &str| jws[name].as_str().unwrap().to_owned();
        let read = |name: &str| -> Value {
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part(name)).unwrap()).unwrap()
        };
        let protected = json!({"alg": "HS256", "kid": "kid-1", "url": "https://ca.test/new"});
        assert_eq!((read("protected"), read("payload")), (protected, key.jwk()));
        let mut mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        mac.update(format!("{}.{}", part("protected"), part("payload")).as_bytes());
        mac.verify_slice(&URL_SAFE_NO_PAD.decode(part("signature")).unwrap()).unwrap();
    }

    #[test]
    fn a_kept_account_is_read_by_us_and_by_the_crate() {
        let key = AccountKey::generate().unwrap();
        let json = key.kept("https://ca.test/account/1", "https://ca.test/dir");
        let kept: Kept = serde_json::from_str(&json).unwrap();
        assert_eq!(kept.id, "https://ca.test/account/1");
        assert_eq!(kept.key().unwrap().jwk(), key.jwk());
        assert!(serde_json::from_str::<instant_acme::AccountCredentials>(&json).is_ok());
    }

    #[test]
    fn a_thumbprint_is_of_the_members_in_order() {
        let key = AccountKey::generate().unwrap();
        let jwk = key.jwk();
        let canonical =
            format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        assert_eq!(key.thumbprint(), URL_SAFE_NO_PAD.encode(Sha256::digest(canonical)));
        assert_eq!(jwk["x"].as_str().unwrap().len(), 43);
        assert_eq!(jwk["y"].as_str().unwrap().len(), 43);
    }
}
