//! RPC signature 1.0 (API documentation "Request signatures"): parameters in, form body out. Also the one place that
//! corrects the clock.

use std::cell::Cell;

use base64::Engine;
use hmac::{Hmac, KeyInit, Mac};
use jiff::{SignedDuration, Timestamp};
use secrecy::ExposeSecret;
use sha1::{Digest, Sha1};
use zeroize::Zeroizing;

use super::credentials::Credentials;
use crate::ground::Clock;
use crate::secret::percent_encode_onto;

/// A request in the form in which it leaves, and the string that was signed, to be compared with the server's.
pub(super) struct Signed {
    /// `application/x-www-form-urlencoded`, with the Signature.
    pub(super) body: Zeroizing<Vec<u8>>,
    /// StringToSign.
    pub(super) string: Zeroizing<String>,
}

/// The time as the cloud sees it: our clock, and by how much its `Date` was seen to differ.
pub(super) struct Stamp {
    clock: Clock,
    skew: Cell<SignedDuration>,
    /// The cloud took the corrected time.
    is_proved: Cell<bool>,
    /// How far ahead of us the last answer's `Date` was.
    seen: Cell<Option<SignedDuration>>,
}

impl Stamp {
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, skew: Cell::default(), is_proved: Cell::new(false), seen: Cell::new(None) }
    }

    /// Takes the cloud's `Date` (RFC 9110, section 6.6.1) as the time of now, and returns how far ahead of us it is.
    pub(super) fn correct(&self, date: &str) -> Option<SignedDuration> {
        let date = jiff::fmt::rfc2822::parse(date).ok()?.timestamp();
        let skew = date.duration_since(self.clock.now());
        self.skew.set(skew);
        Some(skew)
    }

    /// The cloud took our time.
    pub(super) fn prove(&self) {
        self.is_proved.set(true);
    }

    /// How far ahead of us the cloud is, if that had to be corrected and was right.
    pub(super) fn proved(&self) -> Option<SignedDuration> {
        Some(self.skew.get()).filter(|skew| self.is_proved.get() && !skew.is_zero())
    }

    /// Notes the `Date` of an answer; our time stays as it is.
    pub(super) fn note(&self, date: &str) {
        let date = jiff::fmt::rfc2822::parse(date).map(|date| date.timestamp());
        self.seen.set(date.ok().map(|date| date.duration_since(self.clock.now())));
    }

    /// How far ahead of us the cloud's clock was at the last answer; none: it has not told.
    pub(super) fn seen(&self) -> Option<SignedDuration> {
        self.seen.get()
    }

    /// The time of now, corrected.
    pub(super) fn now(&self) -> Timestamp {
        let now = self.clock.now();
        now.checked_add(self.skew.get()).unwrap_or(now)
    }
}

/// How far this machine's clock is off, as people say it: the cloud is `skew` ahead.
pub(super) fn off(skew: SignedDuration) -> String {
    let side = if skew.is_negative() { "ahead of" } else { "behind" };
    format!("{:#} {side}", SignedDuration::from_secs(skew.abs().as_secs()))
}

/// Signs one attempt: a new nonce, the time of now, everything in the body of a POST. Without credentials, all but the
/// signature.
pub(super) fn sign(
    credentials: Option<&Credentials>,
    params: &[(&str, &str)],
    stamp: &Stamp,
) -> Result<Signed, getrandom::Error> {
    let nonce = nonce()?;
    let timestamp = stamp.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut all = vec![
        ("Format", "JSON"),
        ("SignatureNonce", nonce.as_str()),
        ("Timestamp", timestamp.as_str()),
    ];
    all.extend_from_slice(params);
    let Some(credentials) = credentials else {
        return Ok(Signed { body: body(&all), string: Zeroizing::default() });
    };
    all.extend([
        ("AccessKeyId", credentials.id.as_str()),
        ("SignatureMethod", "HMAC-SHA1"),
        ("SignatureVersion", "1.0"),
    ]);
    all.extend(credentials.token.as_ref().map(|token| ("SecurityToken", token.expose_secret())));
    let string = string_to_sign("POST", &all);
    let signature = signature(credentials.secret.expose_secret(), &string);
    all.push(("Signature", &signature));
    Ok(Signed { body: body(&all), string })
}

fn body(params: &[(&str, &str)]) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(encoded(params).as_bytes().to_vec())
}

/// METHOD, an encoded slash, and the encoded canonical form of the parameters. Their order does not matter.
fn string_to_sign(method: &str, params: &[(&str, &str)]) -> Zeroizing<String> {
    let mut sorted = params.to_vec();
    sorted.sort_unstable();
    let canonical = encoded(&sorted);
    let mut string = Zeroizing::new(String::with_capacity(method.len() + 5 + 3 * canonical.len()));
    string.push_str(method);
    string.push_str("&%2F&");
    percent_encode_onto(&mut string, &canonical);
    string
}

/// Base64 of HMAC-SHA1 (RFC 2104) under the secret and an ampersand.
fn signature(secret: &str, string: &str) -> String {
    let mut mac = Hmac::<Sha1>::new(&(*hmac_key(secret)).into());
    mac.update(string.as_bytes());
    base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes())
}

/// The secret and an ampersand as a block of HMAC: filled up with zeros, or hashed where it is longer (RFC 2104, 2).
fn hmac_key(secret: &str) -> Zeroizing<[u8; 64]> {
    let text = Zeroizing::new([secret.as_bytes(), b"&"].concat());
    let mut block = Zeroizing::new([0; 64]);
    let hash: Zeroizing<[u8; 20]> = Zeroizing::new(Sha1::digest(&text).into());
    let key = if text.len() > block.len() { &hash[..] } else { &text[..] };
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    block
}

/// `name=value&...`, strictly encoded. The buffer is large enough from the start, so that no copy stays behind.
fn encoded(params: &[(&str, &str)]) -> Zeroizing<String> {
    let most = params.iter().map(|(name, value)| 3 * (name.len() + value.len()) + 2).sum();
    let mut out = Zeroizing::new(String::with_capacity(most));
    for (name, value) in params {
        if !out.is_empty() {
            out.push('&');
        }
        percent_encode_onto(&mut out, name);
        out.push('=');
        percent_encode_onto(&mut out, value);
    }
    out
}

/// 128 random bits in hex: the cloud remembers them for 15 minutes at least.
fn nonce() -> Result<String, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use secrecy::SecretString;

    use super::*;

    /// A vector of tests/vectors/aliyun-rpc-v1.json; made by the official SDKs.
    #[derive(serde::Deserialize)]
    struct Vector {
        name: String,
        method: String,
        access_key_secret: String,
        params: BTreeMap<String, String>,
        string_to_sign: String,
        signature: String,
    }

    #[test]
    fn vectors_of_the_official_sdks() {
        let text = include_str!("../../tests/vectors/aliyun-rpc-v1.json");
        let vectors: Vec<Vector> = serde_json::from_str(text).unwrap();
        assert_eq!(vectors.len(), 16);
        for vector in vectors {
            let params: Vec<_> = vector
                .params
                .iter()
                .rev()
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect();
            let string = string_to_sign(&vector.method, &params);
            assert_eq!(*string, vector.string_to_sign, "{}", vector.name);
            assert_eq!(
                signature(&vector.access_key_secret, &string),
                vector.signature,
                "{}",
                vector.name
            );
        }
    }

    /// The key of HMAC may have any length: against the library's own way.
    #[test]
    fn secrets_of_any_length() {
        for length in [0, 1, 30, 62, 63, 64, 65, 200] {
            let secret = "k".repeat(length);
            let mut mac = Hmac::<Sha1>::new_from_slice(format!("{secret}&").as_bytes()).unwrap();
            mac.update(b"text");
            let want =
                base64::engine::general_purpose::STANDARD.encode(mac.finalize().into_bytes());
            assert_eq!(signature(&secret, "text"), want, "{length}");
        }
    }

    fn signed(token: Option<&str>) -> BTreeMap<String, String> {
        let credentials = Credentials {
            id: "key".into(),
            secret: "secret".into(),
            token: token.map(SecretString::from),
            expires: None,
        };
        let stamp = Stamp::new(Clock::new(|| "2026-01-02T03:04:05.678Z".parse().unwrap()));
        let signed = sign(Some(&credentials), &[("Action", "A b")], &stamp).unwrap();
        let body = std::str::from_utf8(&signed.body).unwrap();
        body.split('&')
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(n, v)| (n.into(), v.into()))
            .collect()
    }

    #[test]
    fn what_an_attempt_holds() {
        let form = signed(None);
        assert_eq!(form["Timestamp"], "2026-01-02T03%3A04%3A05Z");
        assert_eq!(form["Action"], "A%20b");
        assert_eq!(form["Format"], "JSON");
        assert_eq!(form["SignatureNonce"].len(), 32);
        assert!(!form.contains_key("SecurityToken") && form.contains_key("Signature"));
        assert_eq!(signed(Some("a/b"))["SecurityToken"], "a%2Fb");
    }

    #[test]
    fn nonces_are_fresh() {
        let nonces: BTreeSet<_> = (0..50).map(|_| signed(None)["SignatureNonce"].clone()).collect();
        assert_eq!(nonces.len(), 50);
    }

    #[test]
    fn the_clock_is_corrected_here() {
        let stamp = Stamp::new(Clock::new(|| "2026-01-02T03:04:05Z".parse().unwrap()));
        assert_eq!(stamp.correct("nonsense"), None);
        assert_eq!(stamp.now().to_string(), "2026-01-02T03:04:05Z");
        let skew = stamp.correct("Fri, 02 Jan 2026 02:04:05 GMT");
        assert_eq!(skew, Some(SignedDuration::from_hours(-1)));
        assert_eq!(stamp.now().to_string(), "2026-01-02T02:04:05Z");
    }

    proptest! {
        #[test]
        fn order_never_matters(
            (params, shuffled) in prop::collection::btree_map("[A-Za-z.0-9]{1,8}", ".{0,12}", 0..12)
                .prop_map(|map| map.into_iter().collect::<Vec<_>>())
                .prop_flat_map(|params| (Just(params.clone()), Just(params).prop_shuffle()))
        ) {
            let borrow = |params: &[(String, String)]| {
                let pairs: Vec<_> = params.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                string_to_sign("POST", &pairs).to_string()
            };
            prop_assert_eq!(borrow(&params), borrow(&shuffled));
        }

        /// Nothing moved: the buffers were large enough for anything.
        #[test]
        fn buffers_are_large_enough(value in ".{0,40}") {
            let params = [("Name", value.as_str()), ("Other", value.as_str())];
            let most = params.iter().map(|(n, v)| 3 * (n.len() + v.len()) + 2).sum::<usize>();
            prop_assert!(encoded(&params).capacity() <= most.max(8));
        }
    }
}
