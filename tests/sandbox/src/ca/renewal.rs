//! ARI (RFC 9773): ids, windows, and what `replaces` may name.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::Done;
use super::jose;
use super::problem::Problem;
use super::seed::Window;
use super::state::{CertificateState, State, hex, second};

/// Below this life the window lies at a half of it, as Boulder has it.
const SHORT: SignedDuration = SignedDuration::from_hours(10 * 24);

impl CertificateState {
    /// base64url(key id of the issuer) "." base64url(serial number as DER has it); section 4.1.
    pub(crate) fn ari_id(&self) -> String {
        let serial = &self.issued.serial;
        let sign: &[u8] = if serial[0] >= 0x80 { &[0] } else { &[] };
        let [issuer, serial] = [self.issued.issuer_key_id.clone(), [sign, serial].concat()]
            .map(|part| BASE64_URL_SAFE_NO_PAD.encode(part));
        format!("{issuer}.{serial}")
    }

    pub(crate) fn fingerprint(&self) -> String {
        hex(&Sha256::digest(&self.issued.der))
    }

    fn window(&self, rules: &Window, now: Timestamp) -> Option<(Timestamp, Timestamp)> {
        let passed = || {
            let start = now - SignedDuration::from_hours(1);
            (start, start + SignedDuration::from_mins(30))
        };
        if self.revoked.is_some() {
            return Some(passed());
        }
        let usual = || {
            let life = self.until.duration_since(self.from);
            let middle = if life < SHORT { life / 2 } else { life / 3 * 2 };
            (self.from + middle - life / 100, self.from + middle + life / 100)
        };
        match self.window.as_ref().unwrap_or(rules) {
            Window::Usual => Some(usual()),
            Window::Passed => Some(passed()),
            Window::Between(start, end) => Some((*start, *end)),
            Window::Reversed => Some(usual()).map(|(start, end)| (end, start)),
            Window::Unknown => None,
        }
    }
}

/// A certificate's renewal information.
pub(crate) fn inform(state: &mut State, id: &str) -> Result<Done, Problem> {
    if !state.rules.ari {
        return Err(Problem::not_found("there is nothing of this name"));
    }
    let certificate = &state.certificates[find(state, id)?];
    let window = certificate.window(&state.rules.window, state.now());
    let (start, end) = window.ok_or_else(|| unknown(id))?;
    let mut document = json!({ "suggestedWindow": { "start": second(start), "end": second(end) } });
    if let Some(page) = &state.rules.explanation {
        document["explanationURL"] = json!(page);
    }
    let done = Done::json(200, &document);
    Ok(match state.rules.renewal_retry_after {
        Some(wait) => done.header("retry-after", state.retry_after(wait)),
        None => done,
    })
}

/// Checks the `replaces` of an order; section 5.
pub(crate) fn replaced(
    state: &State,
    account: usize,
    names: &[String],
    id: &Value,
) -> Result<String, Problem> {
    let id = id.as_str().ok_or_else(|| Problem::malformed("replaces is a text"))?;
    if !state.rules.ari {
        return Err(Problem::malformed("replaces is not understood here"));
    }
    let certificate = &state.certificates[find(state, id)?];
    if certificate.account != account {
        return Err(Problem::unauthorized("replaces names another account's certificate"));
    }
    if !certificate.names.iter().any(|name| names.contains(name)) {
        return Err(Problem::malformed("replaces names a certificate of other names"));
    }
    if certificate.replaced {
        return Err(Problem::new("alreadyReplaced", "the certificate was replaced already"));
    }
    Ok(id.to_owned())
}

/// The order that replaces this certificate was finalized.
pub(crate) fn note_replaced(state: &mut State, id: &str) {
    if let Ok(found) = find(state, id) {
        state.certificates[found].replaced = true;
    }
}

fn find(state: &State, id: &str) -> Result<usize, Problem> {
    let parts: Vec<&str> = id.split('.').collect();
    let [issuer, serial] = parts[..] else {
        return Err(Problem::malformed(format!("{id:?} is not two parts with a dot between")));
    };
    jose::bytes("the key id", issuer)?;
    let serial = jose::bytes("the serial number", serial)?;
    let minimal = match serial[..] {
        [] => false,
        [0, next, ..] => next >= 0x80,
        [first, ..] => first < 0x80,
    };
    if !minimal {
        return Err(Problem::malformed("the serial number is not as DER has a positive number"));
    }
    let found = state.certificates.iter().position(|certificate| certificate.ari_id() == id);
    found.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Problem {
    Problem::not_found(format!("there is no certificate {id}"))
}
