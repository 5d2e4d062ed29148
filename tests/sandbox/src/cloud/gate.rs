//! The gate: what every call is checked for, in the gateway's order, before its action is looked at.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::answer::Refusal;
use super::policy::{self, Verdict};
use super::request::Request;
use super::seed::Account;
use super::state::State;
use super::{alidns, cdn, sign, sts};

/// A timestamp further away than this is refused; documented.
const SKEW: SignedDuration = SignedDuration::from_mins(15);

/// How long a nonce is remembered: both ends of the skew.
const NONCE_MEMORY: SignedDuration = SignedDuration::from_mins(30);

/// Every limit of the documents is one of a second.
const WINDOW: Duration = Duration::from_secs(1);

/// The values of `Format`; without one the answer is XML.
const FORMATS: &[&str] = &["", "JSON", "json", "XML", "xml"];

/// One of the services behind the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Cdn,
    Alidns,
    Sts,
}

impl Service {
    /// By the `Version`, which is the only thing that tells them apart here.
    fn of(version: &str) -> Option<Self> {
        match version {
            "2018-05-10" => Some(Self::Cdn),
            "2015-01-09" => Some(Self::Alidns),
            "2015-04-01" => Some(Self::Sts),
            _ => None,
        }
    }

    fn knows(self, action: &str) -> bool {
        match self {
            Self::Cdn => cdn::ACTIONS.contains(&action),
            Self::Alidns => alidns::ACTIONS.contains(&action),
            Self::Sts => sts::ACTIONS.contains(&action),
        }
    }
}

/// A call that passed the gate.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) service: Service,
    pub(crate) account: Account,
}

/// Lets a call through, or says what is wrong with it.
pub(crate) fn pass(state: &mut State, request: &Request) -> Result<Caller, Refusal> {
    let service = known_api(state, request)?;
    if service == Service::Sts && request.text("Action") == sts::UNSIGNED {
        return pass_unsigned(state, request);
    }
    common_parameters(request)?;
    let account = known_key(state, request)?;
    token(state, &account, request)?;
    let now = state.now();
    fresh(request, now)?;
    signed(&account, request)?;
    used_once(state, request, now)?;
    let caller = Caller { service, account };
    permitted(state, &caller, request)?;
    in_pace(state, &caller, request)?;
    Ok(caller)
}

/// A call without a signature is nobody's: what it carries must speak for it.
fn pass_unsigned(state: &mut State, request: &Request) -> Result<Caller, Refusal> {
    let now = state.now();
    fixed(request, "Format", FORMATS)?;
    if request.param("Timestamp").is_some() {
        fresh(request, now)?;
    }
    if request.param("SignatureNonce").is_some() {
        used_once(state, request, now)?;
    }
    let caller = Caller { service: Service::Sts, account: Account::new("", "") };
    in_pace(state, &caller, request)?;
    Ok(caller)
}

fn known_api(state: &State, request: &Request) -> Result<Service, Refusal> {
    let action = request.required("Action")?;
    let version = request.required("Version")?;
    let service = Service::of(version).ok_or_else(|| Refusal::new("InvalidVersion"))?;
    if service.knows(action) && !state.rules.gone.contains(action) {
        return Ok(service);
    }
    Err(Refusal::new("InvalidApi.NotFound"))
}

fn common_parameters(request: &Request) -> Result<(), Refusal> {
    let names =
        ["AccessKeyId", "Signature", "SignatureMethod", "SignatureVersion", "SignatureNonce"];
    for name in names.into_iter().chain(["Timestamp"]) {
        request.required(name)?;
    }
    fixed(request, "SignatureMethod", &["HMAC-SHA1"])?;
    fixed(request, "SignatureVersion", &["1.0"])?;
    fixed(request, "SignatureType", &[""])?;
    fixed(request, "Format", FORMATS)
}

fn fixed(request: &Request, name: &str, allowed: &[&str]) -> Result<(), Refusal> {
    if allowed.contains(&request.text(name)) { Ok(()) } else { Err(Refusal::invalid(name)) }
}

fn known_key(state: &State, request: &Request) -> Result<Account, Refusal> {
    let account = state.accounts.get(request.text("AccessKeyId"));
    let account = account.ok_or_else(|| Refusal::new("InvalidAccessKeyId.NotFound"))?;
    if account.active {
        Ok(account.clone())
    } else {
        Err(Refusal::new("InvalidAccessKeyId.Inactive"))
    }
}

fn token(state: &State, account: &Account, request: &Request) -> Result<(), Refusal> {
    let expired = account.token_expired || account.expires.is_some_and(|end| end <= state.now());
    let code = match (account.token.as_deref(), request.param("SecurityToken")) {
        (None, None) => return Ok(()),
        (Some(_), None) => "MissingSecurityToken",
        (Some(right), Some(sent)) if right == sent && expired => "InvalidSecurityToken.Expired",
        (Some(right), Some(sent)) if right == sent => return Ok(()),
        (None | Some(_), Some(sent)) if is_anothers(state, sent) => {
            "InvalidSecurityToken.MismatchWithAccessKey"
        }
        (None | Some(_), Some(_)) => "InvalidSecurityToken.Malformed",
    };
    Err(Refusal::new(code))
}

/// Whether the cloud knows the token at all.
fn is_anothers(state: &State, token: &str) -> bool {
    state.accounts.values().any(|account| account.token.as_deref() == Some(token))
}

fn fresh(request: &Request, now: Timestamp) -> Result<(), Refusal> {
    let text = request.text("Timestamp");
    // Exactly `YYYY-MM-DDTHH:MM:SSZ`, which jiff's own reading is laxer than.
    let shape: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let time = if shape == "0000-00-00T00:00:00Z" { text.parse::<Timestamp>().ok() } else { None };
    let time = time.ok_or_else(|| Refusal::new("InvalidTimeStamp.Format"))?;
    if now.duration_since(time).abs() > SKEW {
        return Err(Refusal::new("InvalidTimeStamp.Expired"));
    }
    Ok(())
}

fn signed(account: &Account, request: &Request) -> Result<(), Refusal> {
    let ours = sign::string_to_sign(&request.method, &request.params);
    if sign::signature(&account.secret, &ours) == request.text("Signature") {
        return Ok(());
    }
    Err(Refusal::of_signature("SignatureDoesNotMatch", &ours))
}

fn used_once(state: &mut State, request: &Request, now: Timestamp) -> Result<(), Refusal> {
    state.nonces.retain(|_, used| now.duration_since(*used) < NONCE_MEMORY);
    let nonce = (request.text("AccessKeyId").to_owned(), request.text("SignatureNonce").to_owned());
    match state.nonces.insert(nonce, now) {
        None => Ok(()),
        Some(_) => Err(Refusal::new("SignatureNonceUsed")),
    }
}

fn permitted(state: &State, caller: &Caller, request: &Request) -> Result<(), Refusal> {
    let account = &caller.account;
    let action = request.text("Action");
    let (action, resource) = match caller.service {
        Service::Cdn => (format!("cdn:{action}"), cdn::resource(&account.uid, request)),
        Service::Alidns => {
            (format!("alidns:{action}"), alidns::resource(state, &account.uid, request))
        }
        Service::Sts => (format!("sts:{action}"), sts::resource(request)),
    };
    let verdict = policy::judge(state, account, &action, &resource);
    // Who one is, one may always ask; only an explicit denial forbids it.
    let asks_itself = action == "sts:GetCallerIdentity" && verdict == Verdict::Implicit;
    if verdict == Verdict::Allowed || asks_itself {
        return Ok(());
    }
    let of_sts = caller.service == Service::Sts;
    let mut refusal = Refusal::new(if of_sts { "NoPermission" } else { "Forbidden.RAM" });
    refusal.denied = Some(json!({
        "AuthAction": action,
        "AuthPrincipalDisplayName": "200000000000000001",
        "AuthPrincipalOwnerId": account.uid,
        "AuthPrincipalType": "SubUser",
        "EncodedDiagnosticMessage": "AQEAAAAAZ0000000000000000000000000000000",
        "NoPermissionType": if verdict == Verdict::Explicit { "ExplicitDeny" } else { "ImplicitDeny" },
        "PolicyType": "AccountLevelIdentityBasedPolicy",
    }));
    Err(refusal)
}

fn in_pace(state: &mut State, caller: &Caller, request: &Request) -> Result<(), Refusal> {
    let action = request.text("Action").to_owned();
    let Some(limit) = state.rules.limits.get(&action).copied() else { return Ok(()) };
    let retry_after = state.rules.retry_after;
    let window = state.windows.entry((caller.account.uid.clone(), action)).or_default();
    if admit(window, limit, Instant::now()) {
        return Ok(());
    }
    Err(Refusal { retry_after, ..Refusal::new("Throttling.User") })
}

/// Whether one more call fits into the second that ends now; a refused one does not count.
fn admit(window: &mut VecDeque<Instant>, limit: usize, now: Instant) -> bool {
    window.retain(|call| now.duration_since(*call) < WINDOW);
    let fits = window.len() < limit;
    if fits {
        window.push_back(now);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_slides() {
        let (start, mut window) = (Instant::now(), VecDeque::new());
        let mut at = |ms| admit(&mut window, 2, start + Duration::from_millis(ms));
        assert_eq!(
            [at(0), at(600), at(999), at(1000), at(1001), at(1600)],
            [true, true, false, true, false, true]
        );
    }
}
