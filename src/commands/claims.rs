//! Who owns what in this run: the config's certificates and the claims that hooks have left.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::aliyun::UserDomain;
use crate::cert::Leaf;
use crate::config::{Config, Target};
use crate::journal::Claim;
use crate::look;
use crate::plan::{Lineage, Ownership, ownership};
use crate::run::{Run, no_domain_of};

/// A guessed target that is none, and why.
pub(super) struct LeftOut {
    pub(super) target: Target,
    pub(super) why: String,
}

/// The lineages of this run. Claims that the config overrules are told.
pub(super) async fn lineages(run: &Run) -> anyhow::Result<Vec<Lineage>> {
    let mut claims = stored(run)?;
    settle(run, &mut claims).await;
    warn_of_idle(run, &claims);
    yield_contested(run, &mut claims).await;
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
    let mut claims = found.claims;
    for claim in &mut claims {
        claim.source = source_of(&run.config, &claim.source);
    }
    Ok(claims)
}

/// A folder as the config spells it, if it is one of the config's, else with the links in its path resolved: one
/// lineage, one spelling.
pub(super) fn source_of(config: &Config, folder: &Path) -> PathBuf {
    let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let wanted = resolved(folder);
    let sources = config.certificates.iter().filter_map(|certificate| certificate.source.as_ref());
    let same = |source: &&PathBuf| source.as_path() == folder || resolved(source) == wanted;
    { sources }.find(same).cloned().unwrap_or(wanted)
}

/// A target that several claims want goes to one whose certificate can serve it: a hook that was called with a broken
/// lineage takes nothing away from one that works.
pub(super) async fn yield_contested(run: &Run, claims: &mut [Claim]) {
    let contested = contested(claims);
    if contested.is_empty() {
        return;
    }
    let mut leaves = Vec::new();
    for claim in claims.iter() {
        let contends = claim.targets.iter().any(|target| contested.contains(target));
        leaves.push(if contends { look::leaf_of(&claim.source).await } else { None });
    }
    let now = run.ground.clock.now();
    let serves = |leaf: &Option<Leaf>, target: &Target| {
        let leaf = leaf.as_ref().filter(|leaf| leaf.not_after > now);
        leaf.is_some_and(|leaf| leaf.covers(&target.domain.api_name))
    };
    for target in &contested {
        if !leaves.iter().any(|leaf| serves(leaf, target)) {
            continue;
        }
        for (claim, _) in claims.iter_mut().zip(&leaves).filter(|(_, leaf)| !serves(leaf, target)) {
            let wanted = claim.targets.len();
            claim.targets.retain(|other| other != target);
            if claim.targets.len() < wanted {
                run.warn(yielded(claim, target));
            }
        }
    }
}

fn contested(claims: &[Claim]) -> BTreeSet<Target> {
    let mut seen = BTreeSet::new();
    let all = claims.iter().flat_map(|claim| &claim.targets);
    all.filter(|target| !seen.insert(*target)).cloned().collect()
}

fn yielded(claim: &Claim, target: &Target) -> String {
    format!(
        "{}: the certificate in {} cannot serve it, another claim's goes on\nhelp: mend it, or `certferry forget '{}'`",
        target.domain.written,
        claim.source.display(),
        claim.name
    )
}

/// A claim that keeps nothing in step: its hook failed, but who reads that?
fn warn_of_idle(run: &Run, claims: &[Claim]) {
    for claim in claims.iter().filter(|claim| claim.guessed && claim.targets.is_empty()) {
        run.warn(format!(
            "the hook of {} asked for nothing that can be kept in step: none of its names is a CDN domain\n\
             help: give the hook --domain, or `certferry forget '{}'`",
            claim.source.display(),
            claim.name
        ));
    }
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
        None => Some(no_domain_of(&target.aliyun)),
        // A domain that is being configured will be online.
        Some(domain) if ["online", "configuring"].contains(&domain.status.as_str()) => None,
        Some(domain) => Some(format!("the CDN domain is not online but {}", domain.status)),
    }
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
