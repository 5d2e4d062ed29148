//! The gate: what every signed request is checked for (RFC 8555 section 6), before its resource is looked at.

use std::time::Instant;

use jiff::SignedDuration;
use serde_json::Value;

use super::jose::{self, Jwk, Jws};
use super::place::Place;
use super::problem::Problem;
use super::state::State;

/// A request taken apart.
#[derive(Clone, Debug, Default)]
pub(crate) struct Request {
    pub(crate) method: String,
    /// With its query, if it has one.
    pub(crate) path: String,
    pub(crate) headers: std::collections::BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

/// Who signed what.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    /// `None`: signed by a key that stood in the request.
    pub(crate) account: Option<usize>,
    pub(crate) key: Jwk,
    pub(crate) jws: Jws,
    pub(crate) url: String,
}

impl Signed {
    /// The account that signed.
    pub(crate) fn account(&self) -> Result<usize, Problem> {
        self.account.ok_or_else(|| Problem::malformed("signed by no account"))
    }

    /// Whether it is a POST-as-GET (RFC 8555 section 6.3).
    pub(crate) fn is_get(&self) -> bool {
        self.jws.payload.is_empty()
    }

    /// Refuses what is not a POST-as-GET.
    pub(crate) fn only_get(&self) -> Result<(), Problem> {
        if self.is_get() { Ok(()) } else { Err(Problem::malformed("a POST-as-GET has no payload")) }
    }

    /// Refuses what belongs to another account.
    pub(crate) fn owns(&self, account: usize) -> Result<(), Problem> {
        if self.account()? == account {
            return Ok(());
        }
        Err(Problem::unauthorized("it belongs to another account"))
    }
}

/// What is asked of every request, signed or not.
pub(crate) fn enter(state: &mut State, request: &Request, place: &Place) -> Result<(), Problem> {
    if request.headers.get("user-agent").is_none_or(|agent| agent.trim().is_empty()) {
        return Err(Problem::malformed("a request has a User-Agent (RFC 8555 section 6.1)"));
    }
    if *place == Place::Nowhere {
        return Err(Problem::not_found("there is nothing of this name"));
    }
    if !place.methods().contains(&request.method.as_str()) {
        return Err(Problem::malformed(format!("{} is not allowed", request.method)).status(405));
    }
    in_pace(state, place.kind())
}

/// Checks a signed request. Its nonce is spent even when something after it is wrong.
pub(crate) fn pass(state: &mut State, request: &Request, place: &Place) -> Result<Signed, Problem> {
    if request.headers.get("content-type").map(String::as_str) != Some("application/jose+json") {
        let detail = "the Content-Type is application/jose+json";
        return Err(Problem::malformed(detail).status(415));
    }
    let jws = Jws::parse(&request.body)?;
    jws.known_algorithm()?;
    let url = state.url(&request.path);
    if jws.text("url") != Some(&url) {
        let detail = format!("the JWS is for {:?}, not for {url}", jws.protected.get("url"));
        return Err(Problem::unauthorized(detail));
    }
    let (account, key) = signer(state, &jws, place)?;
    jws.verify(&key)?;
    nonce(state, &jws)?;
    if account.is_some_and(|account| !state.accounts[account].active) {
        return Err(Problem::unauthorized("the account is deactivated").status(401));
    }
    Ok(Signed { account, key, jws, url })
}

/// The signer, named in the one way that the resource allows.
fn signer(state: &State, jws: &Jws, place: &Place) -> Result<(Option<usize>, Jwk), Problem> {
    let by_key = matches!(place, Place::NewAccount | Place::Revoke);
    let by_account = *place != Place::NewAccount;
    match (jws.protected.get("jwk"), jws.protected.get("kid")) {
        (Some(jwk), None) if by_key => Ok((None, Jwk::read(jwk)?)),
        (None, Some(Value::String(kid))) if by_account => {
            let found = (0..state.accounts.len()).find(|id| state.account_url(*id) == *kid);
            let id = found.ok_or_else(|| {
                Problem::new("accountDoesNotExist", format!("there is no account {kid}"))
            })?;
            Ok((Some(id), state.accounts[id].key.clone()))
        }
        _ => Err(Problem::malformed("a jwk for newAccount, a kid for all else, never both")),
    }
}

fn nonce(state: &mut State, jws: &Jws) -> Result<(), Problem> {
    let nonce = jws.text("nonce").ok_or_else(|| Problem::malformed("no nonce"))?;
    jose::bytes("nonce", nonce)?;
    if !state.nonces.remove(nonce) {
        return Err(Problem::new("badNonce", "the nonce was never given out, or is spent"));
    }
    let percent = state.rules.nonce_refusals;
    if state.dice.happens(percent) {
        return Err(Problem::new("badNonce", "a good nonce, refused by chance"));
    }
    Ok(())
}

fn in_pace(state: &mut State, kind: &str) -> Result<(), Problem> {
    let Some((limit, per)) = state.rules.limits.get(kind).copied() else { return Ok(()) };
    let calls = state.limited.entry(kind.to_owned()).or_default();
    calls.retain(|call| call.elapsed() < per);
    if calls.len() < limit {
        calls.push(Instant::now());
        return Ok(());
    }
    let oldest = calls.first().map_or(per, |call| per.saturating_sub(call.elapsed()));
    let wait = SignedDuration::try_from(oldest).unwrap_or(SignedDuration::MAX);
    Err(state.rate_limited(&format!("calls of {kind}"), wait))
}
