//! `policy`: the smallest RAM policy for this configuration. It touches no network.

use super::{Ended, Refusal, configured_or_not};
use crate::cli::{Global, Policy as Flags};
use crate::config::{Config, dns_name};
use crate::ground::Ground;
use crate::journal::Claim;
use crate::policy::{Claimed, LONGEST, accounts, policy};
use crate::store::Store;
use crate::told;

pub(super) fn run(flags: &Flags, global: &Global, ground: &Ground) -> Result<Ended, Refusal> {
    let config = configured_or_not(global, ground)?;
    let (claimed, mut stderr) = claimed(&config);
    let account = account(flags, &config, &claimed)?;
    let policy = policy(&config, &claimed, &account, &zones(flags)?);
    if policy.statement.is_empty() {
        return Err(needs_nothing(&account));
    }
    // Only maps with keys that are no strings fail to serialize.
    let text = serde_json::to_string_pretty(&policy).map_err(anyhow::Error::from)?;
    if let Some(role) = config.aliyun.get(&account).and_then(|settings| settings.role.as_ref()) {
        stderr += &two_identities(&role.arn);
    }
    if text.len() > LONGEST {
        stderr += &too_long(text.len());
    }
    Ok(Ended { stdout: text + "\n", stderr, code: 0 })
}

/// What hooks have asked for; where that cannot be read, the configuration alone counts, and that is told.
fn claimed(config: &Config) -> (Claimed, String) {
    let read = || {
        let Some(store) = Store::existing(&config.store.path)? else { return Ok(Vec::new()) };
        Ok(store.claims()?.claims)
    };
    match read() {
        Ok(claims) => (asked_for(&claims), String::new()),
        Err(error) => {
            let (why, help) = told::parts(&error);
            let what = format!("what hooks have asked for is not in it: {why}");
            (Claimed::default(), told::lines("warning", &what, &help))
        }
    }
}

fn asked_for(claims: &[Claim]) -> Claimed {
    let discovers = |claim: &Claim| {
        let names = claim.names.iter().filter_map(|name| dns_name(name).ok()).collect();
        Some((claim.discovers.clone()?, names))
    };
    Claimed {
        targets: claims.iter().flat_map(|claim| claim.targets.clone()).collect(),
        discovers: claims.iter().filter_map(discovers).collect(),
    }
}

fn account(flags: &Flags, config: &Config, claimed: &Claimed) -> Result<String, Refusal> {
    if let Some(name) = &flags.aliyun {
        return super::account_of(config, Some(name));
    }
    let in_use = Vec::from_iter(accounts(config, claimed));
    match in_use.as_slice() {
        [] => Err(needs_nothing("default")),
        [one] => Ok(one.clone()),
        [first, ..] => {
            let what = format!("this configuration uses {}", in_use.join(", "));
            let help =
                format!("each account needs its own policy: `certferry policy --aliyun {first}`");
            Err(Refusal::Wrong(told::lines("error", &what, &help)))
        }
    }
}

fn zones(flags: &Flags) -> Result<Vec<String>, Refusal> {
    let read = |zone: &String| {
        dns_name(zone).map_err(|why| {
            let help = "write the domain as the console of Alibaba Cloud DNS shows it";
            Refusal::Wrong(told::lines("error", &format!("--zone {zone} {why}"), help))
        })
    };
    flags.zones.iter().map(read).collect()
}

fn needs_nothing(account: &str) -> Refusal {
    let what = format!("this configuration needs nothing of [aliyun.{account}]");
    let help = "write a [[certificate.deploy]], or let a hook run once: it is remembered what it asked for";
    Refusal::Wrong(told::lines("error", &what, help))
}

/// All in one is valid for both, and more than either needs.
fn two_identities(role: &str) -> String {
    let what = format!(
        "this is for two: the statement with sts:AssumeRole for the user whose AccessKey it is, all others for {role}"
    );
    told::lines("warning", &what, "make two policies of it, and grant each to its own")
}

fn too_long(length: usize) -> String {
    let what = format!("the policy has {length} characters, and RAM takes {LONGEST}");
    let help = "write patterns in place of names that have an end in common (`domain/*.example.com`), or share the names out \
                among several policies of the same user";
    told::lines("warning", &what, help)
}
