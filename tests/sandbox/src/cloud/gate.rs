//! The gate: what every call is checked for, in the gateway's order, before its action is looked at.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::answer::Refusal;
use super::request::Request;
use super::seed::Account;
use super::state::State;
use super::{alidns, cdn, sign};

/// A timestamp further away than this is refused; documented.
const SKEW: SignedDuration = SignedDuration::from_mins(15);

/// How long a nonce is remembered: both ends of the skew.
const NONCE_MEMORY: SignedDuration = SignedDuration::from_mins(30);

/// Every limit of the documents is one of a second.
const WINDOW: Duration = Duration::from_secs(1);

/// One of the services behind the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Cdn,
    Alidns,
}

impl Service {
    /// By the `Version`, which is the only thing that tells them apart here.
    fn of(version: &str) -> Option<Self> {
        match version {
            "2018-05-10" => Some(Self::Cdn),
            "2015-01-09" => Some(Self::Alidns),
            _ => None,
        }
    }

    fn knows(self, action: &str) -> bool {
        match self {
            Self::Cdn => cdn::ACTIONS.contains(&action),
            Self::Alidns => alidns::ACTIONS.contains(&action),
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
    common_parameters(request)?;
    let account = known_key(state, request)?;
    token(&account, request)?;
    let now = state.now();
    fresh(request, now)?;
    signed(&account, request)?;
    used_once(state, request, now)?;
    let caller = Caller { service, account };
    permitted(state, &caller, request)?;
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
    let fixed = |name: &str, allowed: &[&str]| {
        let value = request.text(name);
        if allowed.contains(&value) { Ok(()) } else { Err(Refusal::invalid(name)) }
    };
    fixed("SignatureMethod", &["HMAC-SHA1"])?;
    fixed("SignatureVersion", &["1.0"])?;
    fixed("SignatureType", &[""])?;
    fixed("Format", &["", "JSON", "json", "XML", "xml"])
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

fn token(account: &Account, request: &Request) -> Result<(), Refusal> {
    let code = match (account.token.as_deref(), request.param("SecurityToken")) {
        (None, None) => return Ok(()),
        (None, Some(_)) => "InvalidSecurityToken.Malformed",
        (Some(_), None) => "MissingSecurityToken",
        (Some(right), Some(sent)) if right != sent => "InvalidSecurityToken.MismatchWithAccessKey",
        (Some(_), Some(_)) if account.token_expired => "InvalidSecurityToken.Expired",
        (Some(_), Some(_)) => return Ok(()),
    };
    Err(Refusal::new(code))
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
    };
    let matches = |(denied, on): &(String, String)| glob(denied, &action) && glob(on, &resource);
    let denied = account.denied.iter().any(matches);
    let allowed = account.policy.as_ref().is_none_or(|policy| allows(policy, &action, &resource));
    if allowed && !denied {
        return Ok(());
    }
    let mut refusal = Refusal::new("Forbidden.RAM");
    refusal.denied = Some(json!({
        "AuthAction": action,
        "AuthPrincipalDisplayName": "200000000000000001",
        "AuthPrincipalOwnerId": account.uid,
        "AuthPrincipalType": "SubUser",
        "EncodedDiagnosticMessage": "AQEAAAAAZ0000000000000000000000000000000",
        "NoPermissionType": if denied { "ExplicitDeny" } else { "ImplicitDeny" },
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

/// Whether a RAM policy document allows it: some statement allows, none denies.
fn allows(policy: &Value, action: &str, resource: &str) -> bool {
    let statements = policy["Statement"].as_array().cloned().unwrap_or_default();
    let speaks = |statement: &&Value| {
        any(&statement["Action"], action) && any(&statement["Resource"], resource)
    };
    let effects: Vec<&str> =
        statements.iter().filter(speaks).filter_map(|s| s["Effect"].as_str()).collect();
    effects.contains(&"Allow") && !effects.contains(&"Deny")
}

/// Whether one of a policy's patterns, a string or a list of them, matches.
fn any(patterns: &Value, text: &str) -> bool {
    match patterns {
        Value::String(pattern) => glob(pattern, text),
        Value::Array(patterns) => patterns.iter().any(|pattern| any(pattern, text)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    }
}

/// A pattern in which `*` stands for any text.
fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.into_iter().any(|at| glob(tail, &rest[at..]))
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

    #[test]
    fn a_star_is_any_text() {
        let check = |pattern, text, fits| assert_eq!(glob(pattern, text), fits, "{pattern} {text}");
        check("*", "", true);
        check("cdn:*", "cdn:Set", true);
        check("cdn:*Certificate", "cdn:SetDomainServerCertificate", true);
        check("cdn:*Certificate", "cdn:SetDomainServerCertificates", false);
        check("acs:alidns:*:1:domain/x", "acs:alidns::1:domain/x", true);
        check("a", "ab", false);
    }
}
