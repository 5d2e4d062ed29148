//! Who owns what in this run: the config's certificates and the claims that hooks have left.

use std::collections::BTreeMap;

use crate::journal::Claim;
use crate::plan::{Lineage, Ownership, ownership};
use crate::run::Run;

/// The lineages of this run. Claims that the config overrules are told.
pub(super) async fn lineages(run: &Run) -> anyhow::Result<Vec<Lineage>> {
    let claims = settled(run, stored(run)?).await;
    Ok(told(run, ownership(&run.config, &claims)).lineages)
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

/// Tells people of claims that the config overrules.
pub(super) fn told(run: &Run, owners: Ownership) -> Ownership {
    for conflict in &owners.conflicts {
        run.warn(format!(
            "{} of the claim {} belongs to {} by the configuration\nhelp: `certferry forget '{}'` drops the claim",
            conflict.target.domain.written, conflict.lineage, conflict.owner, conflict.lineage
        ));
    }
    owners
}

/// Guessed targets become the CDN domains among them. Where the list may not be read, the guesses stay and each is
/// judged when it is looked at.
pub(super) async fn settled(run: &Run, mut claims: Vec<Claim>) -> Vec<Claim> {
    let mut known: BTreeMap<String, Option<Vec<String>>> = BTreeMap::new();
    for claim in claims.iter_mut().filter(|claim| claim.guessed) {
        let Some(name) = claim.targets.first().map(|target| target.aliyun.clone()) else {
            continue;
        };
        if !known.contains_key(&name) {
            known.insert(name.clone(), cdn_domains(run, &name).await);
        }
        if let Some(Some(domains)) = known.get(&name) {
            claim.targets.retain(|target| domains.contains(&target.domain.api_name));
        }
    }
    claims
}

/// The CDN domains of an account, if they may be listed.
pub(super) async fn cdn_domains(run: &Run, account: &str) -> Option<Vec<String>> {
    let domains = match run.account(account) {
        Ok(account) => account.describe_user_domains().await,
        Err(error) => Err(error),
    };
    match domains {
        Ok(domains) => Some(domains.into_iter().map(|domain| domain.name.to_lowercase()).collect()),
        Err(error) => {
            tracing::info!(code = error.code, "the CDN domains of the account cannot be listed");
            None
        }
    }
}
