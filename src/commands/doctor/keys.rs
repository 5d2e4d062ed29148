//! Where the keys of an account come from, and whose they are.

use super::cloud::failed;
use crate::aliyun::{Account, Kind};
use crate::doctor::{Check, State};
use crate::run::Run;

/// Whether an account has keys, and from where; sources before it that are set up and broken are told by themselves.
pub(super) async fn found(_run: &Run, account: &Account) -> Vec<Check> {
    let name = account.name();
    let found = match account.found().await {
        Ok(found) => found,
        Err(error) => return vec![failed("credentials", name, &error)],
    };
    let passed: Vec<String> =
        found.passed_over.iter().map(|one| format!("{}: {}", one.source, one.why)).collect();
    let mut text = format!("from {}", found.source);
    if !passed.is_empty() {
        text += &format!(" (before it: {})", passed.join("; "));
    }
    let broken = account.remarks().into_iter();
    let broken = broken.map(|text| Check::new("credentials", name, State::Warning, text));
    std::iter::once(Check::good("credentials", name, text)).chain(broken).collect()
}

/// Whose they are. STS is needed for nothing else: that it cannot be asked is no fault, but keys that it refuses are.
pub(super) async fn identity(account: &Account) -> Option<Check> {
    let name = account.name();
    Some(match account.caller_identity().await {
        Ok(whose) => {
            let text = format!("{} of the account {}", whose.arn, whose.account_id);
            Check::good("identity", name, text)
        }
        Err(error) if error.kind == Kind::Credentials => failed("identity", name, &error),
        Err(error) => Check { state: State::Unknown, ..failed("identity", name, &error) },
    })
}
