//! dns-persist-01: what the CA tells about it, and which records it takes.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::problem::Problem;
use super::seed::Persist;
use super::state::State;

/// By which words a record may name an account, and the CA.
pub(crate) struct Grantee {
    issuers: Vec<String>,
    accounts: Vec<String>,
}

/// What the directory's `meta` says about it.
pub(crate) fn tell(state: &State, meta: &mut Value) {
    if state.rules.persist == Some(Persist::Hash) {
        meta["issuerDomainNames"] = json!(issuers(state));
        meta["accountHashPrefix"] = json!(prefix(state));
    }
}

/// The name of the challenge's field that holds [`issuers`].
pub(crate) fn field(state: &State) -> &'static str {
    match state.rules.persist {
        Some(Persist::Hash) => "issuerDomainNames",
        Some(Persist::Url) | None => "issuer-domain-names",
    }
}

/// By which domain names records allow the CA.
pub(crate) fn issuers(state: &State) -> Vec<String> {
    state.rules.persist_issuers.clone().unwrap_or_else(|| state.rules.caa_identities.clone())
}

fn prefix(state: &State) -> String {
    state.url("/account-hash/")
}

impl Grantee {
    pub(crate) fn of(state: &State, account: usize, name: &str) -> Self {
        let url = state.account_url(account);
        let thumbprint = state.accounts[account].key.thumbprint();
        let hashed = |name: &str| {
            let length = u8::try_from(name.len()).expect("a DNS name");
            let input = [&[length], name.as_bytes(), thumbprint.as_bytes(), url.as_bytes()];
            let hash = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(input.concat()));
            format!("{}sha-256/{hash}", prefix(state))
        };
        let accounts = match state.rules.persist {
            Some(Persist::Hash) => vec![hashed(name), hashed("*")],
            Some(Persist::Url) | None => vec![url.clone()],
        };
        Self { issuers: issuers(state), accounts }
    }

    /// Is there a record that allows it?
    pub(crate) fn check(
        &self,
        place: &str,
        texts: &[String],
        wildcard: bool,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let mut refusal = Problem::unauthorized(format!("no valid TXT record found at {place}"));
        for text in texts {
            let (issuer, parameters) = text.split_once(';').unwrap_or((text, ""));
            if !self.issuers.iter().any(|known| known == issuer.trim()) {
                continue;
            }
            match self.check_parameters(parameters, wildcard, now) {
                Ok(()) => return Ok(()),
                Err(problem) => refusal = problem,
            }
        }
        Err(refusal)
    }

    fn check_parameters(&self, text: &str, wildcard: bool, now: Timestamp) -> Result<(), Problem> {
        let (mut account, mut policy, mut until) = (None, None, None);
        for parameter in text.split(';') {
            let Some((tag, value)) = parameter.split_once('=') else {
                return Err(Problem::malformed(format!("{parameter:?} is no parameter")));
            };
            let known = match tag.trim().to_ascii_lowercase().as_str() {
                "accounturi" => &mut account,
                "policy" => &mut policy,
                "persistuntil" => &mut until,
                _ => continue,
            };
            if known.replace(value.trim()).is_some() {
                return Err(Problem::malformed(format!("{tag} twice")));
            }
        }
        let account = account.ok_or_else(|| Problem::malformed("no accounturi"))?;
        if !self.accounts.iter().any(|known| known == account) {
            return Err(Problem::unauthorized(format!("accounturi mismatch: {account}")));
        }
        if wildcard && !policy.is_some_and(|word| word.eq_ignore_ascii_case("wildcard")) {
            return Err(Problem::unauthorized("policy mismatch: no wildcard"));
        }
        let Some(until) = until else { return Ok(()) };
        match until.parse().map(Timestamp::from_second) {
            Ok(Ok(until)) if now <= until => Ok(()),
            Ok(Ok(_)) => Err(Problem::unauthorized(format!("persistUntil {until} is over"))),
            Ok(Err(_)) | Err(_) => Err(Problem::malformed("persistUntil is no time")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kind of the refusal, for a plain name and for a wildcard.
    fn check(row: &str, texts: &[&str], wanted: [&str; 2]) {
        let one = |text: &str| vec![text.to_owned()];
        let grantee = Grantee { issuers: one("ca.example"), accounts: one("https://ca/1") };
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let now = "2026-11-24T00:00:00Z".parse().unwrap();
        for (wildcard, wanted) in [(false, wanted[0]), (true, wanted[1])] {
            let got = grantee.check("p", &texts, wildcard, now);
            let kind = got.err().map_or_else(|| "valid".to_owned(), |problem| problem.kind);
            assert_eq!(kind, wanted, "{row}, wildcard {wildcard}");
        }
    }

    #[test]
    fn records_decide() {
        let (refused, malformed) = (["unauthorized"; 2], ["malformed"; 2]);
        let (ours, wild) = (
            "ca.example; accounturi=https://ca/1",
            "ca.example;POLICY=Wildcard;accountURI = https://ca/1",
        );
        check("none", &[], refused);
        check("ours", &[ours], ["valid", "unauthorized"]);
        check("for a wildcard", &[wild], ["valid", "valid"]);
        check("among others", &["x", "ca.example; accounturi=x", wild], ["valid", "valid"]);
        check("another account's", &["ca.example; accounturi=https://ca/2"], refused);
        check("another CA's", &["ca.test; accounturi=https://ca/1"], refused);
        check("nobody's", &["ca.example; policy=wildcard"], malformed);
        check("an open end", &["ca.example; accounturi=https://ca/1;"], malformed);
        check("over", &[&format!("{wild}; persistUntil=1767225600")], refused);
        check("not yet over", &[&format!("{wild}; persistUntil=4102444800")], ["valid", "valid"]);
    }
}
