//! Who owns what in this run: the config's certificates and the claims that hooks have left.

use std::collections::BTreeMap;

use crate::aliyun::UserDomain;
use crate::config::Target;
use crate::journal::Claim;
use crate::plan::{Lineage, Ownership, ownership};
use crate::run::Run;

/// A guessed target that is none, and why.
pub(super) struct LeftOut {
    pub(super) target: Target,
    pub(super) why: String,
}

/// The lineages of this run. Claims that the config overrules are told.
pub(super) async fn lineages(run: &Run) -> anyhow::Result<Vec<Lineage>> {
    let mut claims = stored(run)?;
    settle(run, &mut claims).await;
    let owners = ownership(&run.config, &claims);
    warn_of_conflicts(run, &owners);
    Ok(owners.lineages)
}

/// The claims in the store; damaged ones are told.
pub(super) fn stored(run: &Run) -> anyhow::Result<Vec<Claim>> {
    let Some(store) = &run.store else { return Ok(Vec::new()) };
    let found = store.claims()?;
    for warning in found.warnings {
        run.warn(warning);
    }
    Ok(found.claims)
}

fn warn_of_conflicts(run: &Run, owners: &Ownership) {
    for conflict in &owners.conflicts {
        run.warn(format!(
            "{} of the claim {} belongs to {} by the configuration\nhelp: `certferry forget '{}' --domain '{}'` takes it out of the claim",
            conflict.target.domain.written,
            conflict.claim,
            conflict.owner,
            conflict.claim,
            conflict.target.domain.written
        ));
    }
}

/// Guessed targets become the CDN domains among them that are online. Where the list may not be read, the guesses
/// stay and each is judged when it is looked at. Answers what is left out.
pub(super) async fn settle(run: &Run, claims: &mut [Claim]) -> Vec<LeftOut> {
    let mut known: BTreeMap<String, Option<Vec<UserDomain>>> = BTreeMap::new();
    let mut left_out = Vec::new();
    for claim in claims.iter_mut().filter(|claim| claim.guessed) {
        let Some(name) = claim.targets.first().map(|target| target.aliyun.clone()) else {
            continue;
        };
        if !known.contains_key(&name) {
            known.insert(name.clone(), cdn_domains(run, &name).await);
        }
        let Some(Some(domains)) = known.get(&name) else { continue };
        claim.targets.retain(|target| match why_not(target, domains) {
            None => true,
            Some(why) => {
                left_out.push(LeftOut { target: target.clone(), why });
                false
            }
        });
    }
    left_out
}

/// Why a guess is no target.
fn why_not(target: &Target, domains: &[UserDomain]) -> Option<String> {
    let is_it = |domain: &&UserDomain| domain.name.eq_ignore_ascii_case(&target.domain.api_name);
    match domains.iter().find(is_it) {
        None => Some(not_of_account(&target.aliyun)),
        // A domain that is being configured will be online.
        Some(domain) if ["online", "configuring"].contains(&domain.status.as_str()) => None,
        Some(domain) => Some(format!("the CDN domain is not online but {}", domain.status)),
    }
}

pub(super) fn not_of_account(account: &str) -> String {
    format!("it is no CDN domain of the account `{account}`")
}

/// The CDN domains of an account, if they may be listed.
pub(super) async fn cdn_domains(run: &Run, account: &str) -> Option<Vec<UserDomain>> {
    let list = async {
        match run.account(account) {
            Ok(account) => account.describe_user_domains().await,
            Err(error) => Err(error),
        }
    };
    let domains = tokio::select! {
        () = run.ground.stop.cancelled() => return None,
        domains = list => domains,
    };
    domains.inspect_err(|error| tracing::info!(error.code, "the CDN domains cannot be listed")).ok()
}
