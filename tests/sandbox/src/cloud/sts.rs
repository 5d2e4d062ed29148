//! The actions of STS, Version 2015-04-01: temporary keys of a role, and who one is.
//!
//! <https://help.aliyun.com/zh/ram/developer-reference/api-sts-2015-04-01-errorcodes> and its neighbours.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256, Sha512};

use super::answer::Refusal;
use super::cdn::only;
use super::policy;
use super::request::Request;
use super::role::{Identity, Oidc, Role};
use super::seed::Account;
use super::state::State;

/// Every action that is known, case and all.
pub(crate) const ACTIONS: &[&str] = &["AssumeRole", "AssumeRoleWithOIDC", "GetCallerIdentity"];

/// The action that proves itself by its OIDC token in place of a signature.
pub(crate) const UNSIGNED: &str = "AssumeRoleWithOIDC";

/// The shortest session, in seconds; documented.
const LEAST_SECONDS: u32 = 900;

/// The longest session of a role that another role assumed, in seconds, and of whoever does not say; documented.
const USUAL_SECONDS: u32 = 3600;

/// The longest `Policy` in bytes; documented with its code.
const POLICY_LIMIT: usize = 1024;

/// The longest OIDC token in characters; documented.
const OIDC_LIMIT: usize = 20_000;

/// A temporary key with all that belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Credentials {
    pub(crate) access_key_id: String,
    pub(crate) secret: String,
    pub(crate) token: String,
    /// What is told, by the cloud's clock.
    pub(crate) expires: Timestamp,
}

/// Carries a call out.
pub(crate) fn call(state: &mut State, by: &Account, request: &Request) -> Result<Value, Refusal> {
    match request.text("Action") {
        "AssumeRole" => assume(state, by, request),
        UNSIGNED => assume_with_oidc(state, request),
        "GetCallerIdentity" => identify(by, request),
        _ => Err(Refusal::new("InvalidApi.NotFound")),
    }
}

/// The RAM resource that a call is about.
pub(crate) fn resource(request: &Request) -> String {
    request.param("RoleArn").unwrap_or("*").to_owned()
}

/// Opens a session of a role: its key is an account of the cloud until it expires.
pub(crate) fn open_session(
    state: &mut State,
    role: &Role,
    name: &str,
    asked: SignedDuration,
    policy: Option<Value>,
) -> Credentials {
    let id = state.next_id();
    // Hex and Base64 of hashes: nothing secret hangs on them, only that no two are alike.
    let seed = format!("{id} {name} {}", Timestamp::now());
    let hash = BASE64_STANDARD.encode(Sha512::digest(seed.as_bytes()));
    let plain: String = hash.chars().filter(char::is_ascii_alphanumeric).collect();
    let now = state.now();
    let told = Timestamp::from_second((now + asked).as_second()).unwrap_or(now);
    let credentials = Credentials {
        access_key_id: format!("STS.NU{}", &plain[..24]),
        secret: plain[24..68].to_owned(),
        // The characters that a URL or a form changes when they are not encoded.
        token: format!("CAIS+/{hash}"),
        expires: told,
    };
    let mut account = Account::new(&credentials.access_key_id, &credentials.secret)
        .uid(&role.uid)
        .token(&credentials.token);
    account.identity = Identity::Session { role: role.arn(), name: name.to_owned() };
    account.expires = Some(role.lives.map_or(credentials.expires, |lives| now + lives));
    account.session_policy = policy;
    state.accounts.insert(account.access_key_id.clone(), account);
    credentials
}

fn assume(state: &mut State, by: &Account, request: &Request) -> Result<Value, Refusal> {
    only(request, &["RoleArn", "RoleSessionName", "DurationSeconds", "Policy", "ExternalId"])?;
    let arn = role_arn(request)?;
    let name = session_name(request)?;
    let policy = session_policy(request)?;
    if by.identity == Identity::Root {
        return Err(Refusal::new("NoPermission").saying("Root accounts may not assume roles."));
    }
    let role = known_role(state, arn)?;
    let external = role.external_id.as_deref();
    let named = external.is_none_or(|id| id == request.text("ExternalId"));
    if !named || !role.trusts(&by.identity, &by.uid) {
        return Err(Refusal::new("NoPermission").saying("The role does not trust the caller."));
    }
    let chained = matches!(by.identity, Identity::Session { .. });
    let most = if chained { USUAL_SECONDS } else { role.most_seconds };
    let asked = duration(request, most.min(role.most_seconds))?;
    let credentials = open_session(state, &role, name, asked, policy);
    Ok(answered(&role, name, &credentials))
}

fn assume_with_oidc(state: &mut State, request: &Request) -> Result<Value, Refusal> {
    let own = ["OIDCProviderArn", "OIDCToken"];
    let shared = ["RoleArn", "RoleSessionName", "DurationSeconds", "Policy"];
    only(request, &[own.as_slice(), shared.as_slice()].concat())?;
    let arn = role_arn(request)?;
    let name = session_name(request)?;
    let policy = session_policy(request)?;
    let provider = state.oidc.get(request.required("OIDCProviderArn")?);
    let provider = provider.ok_or_else(|| {
        Refusal::new("AuthenticationFail.NoPermission").saying("The OIDC provider is not known.")
    })?;
    accepted(provider, request.text("OIDCToken"))?;
    let provider = provider.arn.clone();
    let role = known_role(state, arn)?;
    if !role.trusts_provider(&provider) {
        return Err(Refusal::new("AuthenticationFail.NoPermission"));
    }
    let asked = duration(request, role.most_seconds)?;
    let credentials = open_session(state, &role, name, asked, policy);
    let mut answer = answered(&role, name, &credentials);
    answer["OIDCTokenInfo"] = json!({
        "Subject": "system:serviceaccount:sandbox:certferry",
        "Issuer": "https://oidc.sandbox.example",
        "ClientIds": "sts.aliyuncs.com",
        "VerificationInfo": "Success",
    });
    Ok(answer)
}

fn accepted(provider: &Oidc, token: &str) -> Result<(), Refusal> {
    let code = match token {
        good if provider.tokens.contains(good) => return Ok(()),
        old if provider.expired.contains(old) => "AuthenticationFail.OIDCToken.Expired",
        long if long.chars().count() > OIDC_LIMIT => "AuthenticationFail.OIDCToken.Invalid",
        jwt if jwt.split('.').count() == 3 => "AuthenticationFail.OIDCToken.InvalidSignature",
        _ => "AuthenticationFail.OIDCToken.Invalid",
    };
    Err(Refusal::new(code))
}

fn role_arn(request: &Request) -> Result<&str, Refusal> {
    let arn = request.required("RoleArn")?;
    let parts: Vec<&str> = arn.split(':').collect();
    match parts.as_slice() {
        ["acs", "ram", "", uid, path] if !uid.is_empty() && path.contains('/') => Ok(arn),
        _ => Err(Refusal::new("InvalidParameter.RoleArn")),
    }
}

fn session_name(request: &Request) -> Result<&str, Refusal> {
    let name = request.required("RoleSessionName")?;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || ".@-_".contains(letter);
    if (2..=64).contains(&name.len()) && name.chars().all(fits) {
        return Ok(name);
    }
    Err(Refusal::new("InvalidParameter.RoleSessionName"))
}

fn session_policy(request: &Request) -> Result<Option<Value>, Refusal> {
    let Some(text) = request.param("Policy") else { return Ok(None) };
    if text.len() > POLICY_LIMIT {
        return Err(Refusal::new("InvalidParameter.PolicySize"));
    }
    let policy = serde_json::from_str(text).ok().filter(policy::is_sound);
    policy.map(Some).ok_or_else(|| Refusal::new("InvalidParameter.PolicyGrammar"))
}

fn duration(request: &Request, most: u32) -> Result<SignedDuration, Refusal> {
    let usual = USUAL_SECONDS.min(most);
    let seconds = request.param("DurationSeconds").map_or(Ok(usual), str::parse);
    match seconds {
        Ok(seconds) if (LEAST_SECONDS..=most).contains(&seconds) => {
            Ok(SignedDuration::from_secs(i64::from(seconds)))
        }
        Ok(_) | Err(_) => Err(Refusal::new("InvalidParameter.DurationSeconds")),
    }
}

fn known_role(state: &State, arn: &str) -> Result<Role, Refusal> {
    state.roles.get(arn).cloned().ok_or_else(|| Refusal::new("EntityNotExist.Role"))
}

fn answered(role: &Role, name: &str, credentials: &Credentials) -> Value {
    json!({
        "AssumedRoleUser": {
            "Arn": format!("{}/{name}", role.arn()),
            "AssumedRoleId": format!("{}:{name}", number(&role.arn())),
        },
        "Credentials": {
            "AccessKeyId": credentials.access_key_id,
            "AccessKeySecret": credentials.secret,
            "SecurityToken": credentials.token,
            "Expiration": instant(credentials.expires),
        },
    })
}

/// As STS and the metadata service write a time.
pub(crate) fn instant(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn identify(by: &Account, request: &Request) -> Result<Value, Refusal> {
    only(request, &[])?;
    let arn = by.identity.arn(&by.uid);
    let (kind, principal, own) = match &by.identity {
        Identity::Root => ("Account", by.uid.clone(), None),
        Identity::User(_) => ("RAMUser", number(&arn), Some(("UserId", number(&arn)))),
        Identity::Session { role, name } => {
            let id = number(role);
            ("AssumedRoleUser", format!("{id}:{name}"), Some(("RoleId", id)))
        }
    };
    let mut fields = json!({
        "IdentityType": kind,
        "AccountId": by.uid,
        "PrincipalId": principal,
        "Arn": arn,
    });
    if let Some((name, id)) = own {
        fields[name] = json!(id);
    }
    Ok(fields)
}

/// The number of a user or role, always the same for the same ARN: eighteen digits, as the real ones have.
fn number(arn: &str) -> String {
    let hash = Sha256::digest(arn.as_bytes());
    let number = hash.iter().take(8).fold(0_u64, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("3{:017}", number % 100_000_000_000_000_000)
}
