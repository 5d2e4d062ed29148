//! RAM: whether an account may do something, by what is denied to it and by the policies that bind it.

use serde_json::Value;

use super::role::Identity;
use super::seed::Account;
use super::state::State;

/// What RAM says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Allowed,
    /// Nothing allows it.
    Implicit,
    /// Something denies it.
    Explicit,
}

/// Judges by the account's own rules, by those of its role as they are now, and by its session's policy.
pub(crate) fn judge(state: &State, account: &Account, action: &str, resource: &str) -> Verdict {
    let role = match &account.identity {
        Identity::Session { role, .. } => match state.roles.get(role) {
            Some(role) => Some(role),
            // A role that was deleted takes what it granted with it.
            None => return Verdict::Implicit,
        },
        Identity::Root | Identity::User(_) => None,
    };
    let matches = |(denied, on): &(String, String)| glob(denied, action) && glob(on, resource);
    let of_role = role.map(|role| role.denied.as_slice()).unwrap_or_default();
    if account.denied.iter().chain(of_role).any(matches) {
        return Verdict::Explicit;
    }
    let of_role = role.and_then(|role| role.policy.as_ref());
    let mut policies = account.policy.iter().chain(of_role).chain(&account.session_policy);
    if policies.all(|policy| allows(policy, action, resource)) {
        Verdict::Allowed
    } else {
        Verdict::Implicit
    }
}

/// Whether a RAM policy document is one: the least that its grammar asks for.
pub(crate) fn is_sound(policy: &Value) -> bool {
    let statements = policy["Statement"].as_array();
    let sound = |statement: &Value| {
        let effect = statement["Effect"].as_str();
        let filled = |name: &str| statement[name].is_string() || statement[name].is_array();
        matches!(effect, Some("Allow" | "Deny")) && filled("Action") && filled("Resource")
    };
    policy["Version"] == "1" && statements.is_some_and(|all| all.iter().all(sound))
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
pub(crate) fn glob(pattern: &str, text: &str) -> bool {
    let Some((head, tail)) = pattern.split_once('*') else { return pattern == text };
    let Some(rest) = text.strip_prefix(head) else { return false };
    let starts = rest.char_indices().map(|(at, _)| at).chain([rest.len()]);
    starts.into_iter().any(|at| glob(tail, &rest[at..]))
}

#[cfg(test)]
mod tests {
    use super::*;

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
