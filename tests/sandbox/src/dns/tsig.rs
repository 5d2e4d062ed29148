//! TSIG (RFC 8945), from the RFC alone: what the client's library signs is verified by other code.

use hickory_server::proto::rr::rdata::tsig::make_tsig_record;
use hickory_server::proto::rr::rdata::tsig::{TSIG, TsigAlgorithm as Algorithm, TsigError};
use hickory_server::proto::rr::{Name, Record};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Sha256, Sha384, Sha512};

use super::book::plain;

/// Seconds that clocks may differ by; the RFC's advice.
const FUDGE: u16 = 300;

/// A key that may change zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TsigKey {
    /// Its name.
    pub name: String,
    /// Its algorithm.
    pub algorithm: TsigAlgorithm,
    /// Its bytes.
    pub secret: Vec<u8>,
    /// The zones that it may change; none: all.
    pub zones: Vec<String>,
}

/// The algorithms of RFC 8945 that are still to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// `hmac-sha256`
    HmacSha256,
    /// `hmac-sha384`
    HmacSha384,
    /// `hmac-sha512`
    HmacSha512,
}

impl TsigAlgorithm {
    fn name(self) -> &'static str {
        match self {
            Self::HmacSha256 => "hmac-sha256",
            Self::HmacSha384 => "hmac-sha384",
            Self::HmacSha512 => "hmac-sha512",
        }
    }

    fn mac(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        fn by<M: KeyInit + Mac>(key: &[u8], message: &[u8]) -> Vec<u8> {
            let mut mac = <M as KeyInit>::new_from_slice(key).expect("a key of any length");
            Mac::update(&mut mac, message);
            mac.finalize().into_bytes().to_vec()
        }
        match self {
            Self::HmacSha256 => by::<Hmac<Sha256>>(key, message),
            Self::HmacSha384 => by::<Hmac<Sha384>>(key, message),
            Self::HmacSha512 => by::<Hmac<Sha512>>(key, message),
        }
    }
}

/// What a signature came to.
#[derive(Clone, Debug)]
pub(super) struct Verdict {
    /// The key that signed; `None`: an unknown one.
    pub(super) key: Option<TsigKey>,
    pub(super) error: Option<TsigError>,
    record: Box<Record<TSIG>>,
}

/// Seconds since 1970.
pub(super) fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default()
}

/// Judges a request's signature, in the order of RFC 8945 section 5.2: key, MAC, time.
pub(super) fn judge(keys: &[TsigKey], record: &Record<TSIG>, request: &[u8], now: u64) -> Verdict {
    let (owner, algorithm) = (record.name.to_string(), record.data.algorithm.to_name());
    let fits = |key: &&TsigKey| {
        plain(&key.name) == plain(&owner) && key.algorithm.name() == plain(&algorithm.to_string())
    };
    let verdict = |key: Option<&TsigKey>, error| Verdict {
        key: key.cloned(),
        error,
        record: Box::new(record.clone()),
    };
    let Some(key) = keys.iter().find(fits) else { return verdict(None, Some(TsigError::BadKey)) };
    let unsigned = unsigned(request, record.data.oid);
    let signed = unsigned.map(|message| [message, variables(&record.name, &record.data)].concat());
    let mac = signed.map(|signed| key.algorithm.mac(&key.secret, &signed));
    if mac.as_ref() != Some(&record.data.mac) {
        return verdict(Some(key), Some(TsigError::BadSig));
    }
    if now.abs_diff(record.data.time) > u64::from(record.data.fudge) {
        return verdict(Some(key), Some(TsigError::BadTime));
    }
    verdict(Some(key), None)
}

impl Verdict {
    /// The record that signs an answer; that of an unknown key or a wrong MAC holds no MAC (section 5.3.2).
    pub(super) fn sign(&self, answer: &[u8], now: u64) -> Box<Record<TSIG>> {
        let asked = &self.record.data;
        let bad_time = self.error == Some(TsigError::BadTime);
        // The client's own time is what it can check the answer by; the server's stands beside it.
        let time = if bad_time { asked.time } else { now };
        let other = if bad_time { now.to_be_bytes()[2..].to_vec() } else { Vec::new() };
        let algorithm = Algorithm::from_name(asked.algorithm.to_name());
        let tsig = TSIG::new(algorithm, time, FUDGE, Vec::new(), asked.oid, self.error, other);
        let signs = !matches!(self.error, Some(TsigError::BadKey | TsigError::BadSig));
        let tsig = match self.key.as_ref().filter(|_| signs) {
            None => tsig,
            Some(key) => {
                let length = u16::try_from(asked.mac.len()).expect("a MAC").to_be_bytes();
                let rest = variables(&self.record.name, &tsig);
                let signed = [&length[..], &asked.mac, answer, &rest].concat();
                tsig.set_mac(key.algorithm.mac(&key.secret, &signed))
            }
        };
        Box::new(make_tsig_record(self.record.name.clone(), tsig))
    }
}

/// The TSIG variables (section 4.3.3).
fn variables(owner: &Name, tsig: &TSIG) -> Vec<u8> {
    let mut bytes = wire(owner);
    // Class ANY, TTL 0.
    bytes.extend([0, 255, 0, 0, 0, 0]);
    bytes.extend(wire(&tsig.algorithm.to_name()));
    bytes.extend(&tsig.time.to_be_bytes()[2..]);
    bytes.extend(tsig.fudge.to_be_bytes());
    bytes.extend(tsig.error.map_or(0, u16::from).to_be_bytes());
    bytes.extend(u16::try_from(tsig.other.len()).unwrap_or(0).to_be_bytes());
    bytes.extend(&tsig.other);
    bytes
}

/// A name in its canonical wire form.
fn wire(name: &Name) -> Vec<u8> {
    let mut bytes = Vec::new();
    for label in plain(&name.to_string()).split('.').filter(|label| !label.is_empty()) {
        bytes.push(u8::try_from(label.len()).unwrap_or(0));
        bytes.extend(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

/// A message as it was before its TSIG was added: one record less, and the id of then.
fn unsigned(message: &[u8], id: u16) -> Option<Vec<u8>> {
    let count = |at: usize| Some(u16::from_be_bytes([*message.get(at)?, *message.get(at + 1)?]));
    let additional = count(10)?.checked_sub(1)?;
    let mut at = 12;
    for _ in 0..count(4)? {
        at = after_name(message, at)? + 4;
    }
    let records = u32::from(count(6)?) + u32::from(count(8)?) + u32::from(additional);
    for _ in 0..records {
        let fixed = after_name(message, at)?;
        at = fixed + 10 + usize::from(count(fixed + 8)?);
    }
    let mut bytes = message.get(..at)?.to_vec();
    bytes[..2].copy_from_slice(&id.to_be_bytes());
    bytes[10..12].copy_from_slice(&additional.to_be_bytes());
    Some(bytes)
}

/// Where the name that stands here ends.
fn after_name(message: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *message.get(at)? {
            0 => return Some(at + 1),
            pointer if pointer >= 0xC0 => return Some(at + 2),
            length => at += usize::from(length) + 1,
        }
    }
}
