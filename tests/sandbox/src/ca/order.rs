//! Orders (RFC 8555 section 7.4): made, looked at, finalized.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

use super::csr;
use super::gate::Signed;
use super::hierarchy::{Leaf, LeafKey};
use super::names;
use super::problem::Problem;
use super::renewal;
use super::seed::Profile;
use super::state::{
    AuthorizationState, CertificateState, ChallengeState, Method, OrderState, State, Status,
};
use super::{Done, jose};

/// A week, the time of the exact set's limit.
const WEEK: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The time of the limit of failed validations.
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// `newOrder`.
pub(crate) fn create(state: &mut State, signed: &Signed) -> Result<Done, Problem> {
    let account = signed.account()?;
    let asked = signed.jws.object()?;
    if asked.contains_key("notBefore") || asked.contains_key("notAfter") {
        return Err(Problem::malformed("notBefore and notAfter are not for the client to say"));
    }
    let (profile_name, profile) = profile(state, &asked)?;
    let names = names::read(state, asked.get("identifiers"), &profile)?;
    let replaces = match asked.get("replaces") {
        None => None,
        Some(id) => Some(renewal::replaced(state, account, &names, id)?),
    };
    if let Some(id) = open_order(state, account, &names, profile_name.as_deref()) {
        return Ok(shown(state, id, 201));
    }
    within_limits(state, account, &names, replaces.is_some())?;
    let expires = state.now() + profile.order_life;
    let mut authorizations: Vec<usize> =
        names.iter().map(|name| authorization(state, account, name, &profile)).collect();
    state.dice.shuffle(&mut authorizations);
    state.orders.push(OrderState {
        account,
        names,
        authorizations,
        profile_name,
        profile,
        replaces,
        expires,
        certificate: None,
        processing: 0,
        error: None,
    });
    Ok(shown(state, state.orders.len() - 1, 201))
}

/// The order that is given again, where the rules have it.
fn open_order(
    state: &State,
    account: usize,
    names: &[String],
    profile: Option<&str>,
) -> Option<usize> {
    let is_same = |id: &usize| {
        let order = &state.orders[*id];
        order.account == account && order.names == names && order.profile_name.as_deref() == profile
    };
    let is_open = |id: &usize| matches!(state.order_status(*id), Status::Pending | Status::Ready);
    let found = (0..state.orders.len()).rev().find(|id| is_same(id) && is_open(id));
    found.filter(|_| state.rules.reuse_orders)
}

/// An order's own URL.
pub(crate) fn look(state: &mut State, signed: &Signed, id: usize) -> Result<Done, Problem> {
    signed.owns(state.orders[id].account)?;
    signed.only_get()?;
    let done = shown(state, id, 200);
    let order = &mut state.orders[id];
    order.processing = order.processing.saturating_sub(1);
    Ok(done)
}

/// An order's finalization.
pub(crate) fn finalize(state: &mut State, signed: &Signed, id: usize) -> Result<Done, Problem> {
    signed.owns(state.orders[id].account)?;
    let asked = signed.jws.object()?;
    let status = state.order_status(id);
    if status != Status::Ready {
        let detail = format!("the order is {}, not ready", status.word());
        return Err(Problem::new("orderNotReady", detail));
    }
    let csr = asked.get("csr").and_then(Value::as_str);
    let csr = csr.ok_or_else(|| Problem::malformed("no csr"))?;
    let csr = jose::bytes("csr", csr)?;
    let csr = csr::check(&csr, &state.orders[id].names)?;
    if state.accounts.iter().any(|account| account.key.bits() == csr.key.bits) {
        return Err(Problem::new("badCSR", "the key is that of an account"));
    }
    if state.blocked.contains(&csr.key.bits) {
        return Err(Problem::new("badCSR", "the key is blocked"));
    }
    state.orders[id].processing = state.rules.finalize_polls;
    match state.rules.issuing_fails.clone() {
        Some(why) => state.orders[id].error = Some(Problem::new("serverInternal", why)),
        None => issue(state, id, csr.key, csr.common_name),
    }
    Ok(shown(state, id, 200))
}

fn issue(state: &mut State, id: usize, key: LeafKey, common_name: Option<String>) {
    let now = state.now();
    let order = &state.orders[id];
    let first = || order.names.iter().find(|name| name.len() < 64).cloned();
    let named = order.profile.common_name.then(|| common_name.or_else(first)).flatten();
    let from = now - state.rules.backdated;
    // The last second belongs to the certificate's life.
    let until = from + order.profile.life - SignedDuration::from_secs(1);
    let bits = key.bits.clone();
    let leaf = Leaf { names: order.names.clone(), common_name: named, key, from, until };
    let issued = state.hierarchy.issue(&mut state.dice, &leaf);
    let order = &mut state.orders[id];
    order.certificate = Some(state.certificates.len());
    state.certificates.push(CertificateState {
        account: order.account,
        order: id,
        names: order.names.clone(),
        issued,
        bits,
        from,
        until,
        revoked: None,
        replaced: false,
        window: None,
        exempt: order.replaces.is_some(),
    });
    if let Some(replaced) = order.replaces.clone() {
        renewal::note_replaced(state, &replaced);
    }
}

fn shown(state: &mut State, id: usize, status: u16) -> Done {
    let done =
        Done::json(status, &state.order_document(id)).header("location", state.order_url(id));
    let open = matches!(state.order_status(id), Status::Pending | Status::Processing);
    match state.rules.poll_retry_after.filter(|_| open) {
        Some(seconds) => done.header("retry-after", state.retry_after(seconds)),
        None => done,
    }
}

fn profile(
    state: &State,
    asked: &Map<String, Value>,
) -> Result<(Option<String>, Profile), Problem> {
    let Some(name) = asked.get("profile") else {
        return Ok((None, state.rules.default_profile.clone()));
    };
    let known = name.as_str().and_then(|name| state.rules.profiles.get_key_value(name));
    let (name, profile) =
        known.ok_or_else(|| Problem::new("invalidProfile", format!("no profile {name}")))?;
    Ok((Some(name.clone()), profile.clone()))
}

fn within_limits(
    state: &mut State,
    account: usize,
    names: &[String],
    exempt: bool,
) -> Result<(), Problem> {
    let now = state.now();
    if let Some(limit) = state.rules.exact_set_limit.filter(|_| !exempt) {
        let same = state.certificates.iter().filter(|one| one.names == names && !one.exempt);
        let at: Vec<Timestamp> = same.map(|one| one.from + state.rules.backdated).collect();
        over(state, limit, &at, WEEK, now, "certificates of this exact set of names")?;
    }
    let Some(limit) = state.rules.failure_limit else { return Ok(()) };
    for name in names {
        let ours = |(by, failed, _): &&(usize, String, Timestamp)| {
            *by == account && failed == name.trim_start_matches("*.")
        };
        let at: Vec<Timestamp> =
            state.failures.iter().filter(ours).map(|failure| failure.2).collect();
        over(state, limit, &at, HOUR, now, &format!("failed validations of {name}"))?;
    }
    Ok(())
}

/// Refuses when so many of these fell into the time that ends now.
fn over(
    state: &mut State,
    limit: usize,
    at: &[Timestamp],
    per: SignedDuration,
    now: Timestamp,
    what: &str,
) -> Result<(), Problem> {
    let recent: Vec<Timestamp> = at.iter().filter(|at| **at + per > now).copied().collect();
    match recent.iter().min() {
        Some(oldest) if recent.len() >= limit => {
            Err(state.rate_limited(what, (*oldest + per).duration_since(now)))
        }
        Some(_) | None => Ok(()),
    }
}

fn authorization(state: &mut State, account: usize, name: &str, profile: &Profile) -> usize {
    let wildcard = name.starts_with("*.");
    let plain = name.trim_start_matches("*.");
    let reusable = |id: &usize| {
        let one = &state.authorizations[*id];
        one.account == account
            && one.name == plain
            && one.wildcard == wildcard
            && state.authorization_status(*id) == Status::Valid
    };
    let reused = (0..state.authorizations.len()).rev().find(reusable);
    if let Some(id) = reused.filter(|_| state.rules.reuse_authorizations) {
        return id;
    }
    let mut methods = Method::ALL.to_vec();
    methods.retain(|method| match method {
        Method::Dns01 => true,
        Method::DnsPersist01 => state.rules.persist.is_some(),
        Method::Http01 | Method::TlsAlpn01 => !wildcard,
    });
    state.dice.shuffle(&mut methods);
    let challenge = |method| ChallengeState {
        method,
        token: state.dice.token(),
        status: Status::Pending,
        validated: None,
        error: None,
    };
    let challenges = methods.into_iter().map(challenge).collect();
    state.authorizations.push(AuthorizationState {
        account,
        name: plain.to_owned(),
        wildcard,
        status: Status::Pending,
        expires: state.now() + profile.order_life,
        life: profile.authorization_life,
        challenges,
    });
    state.authorizations.len() - 1
}

/// An authorization's own URL.
pub(crate) fn authorize(state: &mut State, signed: &Signed, id: usize) -> Result<Done, Problem> {
    signed.owns(state.authorizations[id].account)?;
    if !signed.is_get() {
        let asked = signed.jws.object()?;
        if asked.get("status") != Some(&json!("deactivated")) {
            return Err(Problem::malformed("an authorization can only be deactivated"));
        }
        state.authorizations[id].status = Status::Deactivated;
    }
    let done = Done::json(200, &state.authorization_document(id));
    let open = state.authorization_status(id) == Status::Pending;
    match state.rules.poll_retry_after.filter(|_| open) {
        Some(seconds) => Ok(done.header("retry-after", state.retry_after(seconds))),
        None => Ok(done),
    }
}

/// A challenge's own URL: looked at, or answered.
pub(crate) fn challenge(
    state: &mut State,
    signed: &Signed,
    id: usize,
    place: usize,
) -> Result<Done, Problem> {
    signed.owns(state.authorizations[id].account)?;
    let up = format!("<{}>;rel=\"up\"", state.authorization_url(id));
    if signed.is_get() {
        return Ok(Done::json(200, &state.challenge_document(id, place)).header("link", up));
    }
    if !signed.jws.object()?.is_empty() {
        return Err(Problem::malformed("a challenge is answered by {}"));
    }
    if state.authorization_status(id) != Status::Pending {
        let status = state.authorization_status(id).word();
        return Err(Problem::malformed(format!("the authorization is {status}")));
    }
    let challenge = &mut state.authorizations[id].challenges[place];
    // Answered twice is answered once.
    let first = challenge.status == Status::Pending;
    challenge.status = Status::Processing;
    let mut done = Done::json(200, &state.challenge_document(id, place)).header("link", up);
    done.validate = first.then_some((id, place));
    Ok(done)
}
