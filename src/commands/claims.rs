//! Who owns what in this run: the config's certificates and the claims that hooks have left.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::contest::{PATIENCE, contest};
use super::discovery::{self, Discovery};
use crate::aliyun::UserDomain;
use crate::config::{CdnDomain, Config, Source, Target};
use crate::hook::Dialect;
use crate::journal::Claim;
use crate::look;
use crate::plan::{LeftOut, Lineage, Origin, Ownership, not_online, ownership};
use crate::run::{Run, no_domain_of};
use crate::store::Store;

/// The lineages of this run and what comes of discovering the targets of those with these `names`; of all, if there are
/// none. What claims lose is told. A claim that has nothing left is not looked at.
pub(super) async fn lineages(
    run: &Run,
    names: &[String],
) -> anyhow::Result<(Vec<Lineage>, Discovery)> {
    let mut claims = stored(run)?;
    learn(&mut claims).await;
    settle(run, &mut claims).await;
    warn_of_idle(run, &claims);
    for lost in contest(run, &mut claims, |_| true).await {
        run.warn(lost.told());
    }
    let mut owners = ownership(&run.config, &claims);
    warn_of_conflicts(run, &owners);
    let is_wanted = |one: &Lineage| names.is_empty() || names.contains(&one.name);
    let discovery = discovery::complete(run, &mut owners, is_wanted).await;
    discovery.warn(run);
    let has_wishes = |one: &Lineage| !one.targets.is_empty() || !one.discovers.is_empty();
    let is_idle = |one: &Lineage| matches!(one.origin, Origin::Claimed { .. }) && !has_wishes(one);
    owners.lineages.retain(|lineage| !is_idle(lineage));
    Ok((owners.lineages, discovery))
}

/// The claims in the store, their paths in one spelling, the earliest first; damaged ones are told.
pub(super) fn stored(run: &Run) -> anyhow::Result<Vec<Claim>> {
    let Some(store) = &run.store else { return Ok(Vec::new()) };
    let found = store.claims()?;
    for warning in found.warnings {
        run.warn(warning);
    }
    let mut latest: BTreeMap<(String, PathBuf), Claim> = BTreeMap::new();
    for mut claim in found.claims {
        claim.source = source_of(&run.config, &claim.client, &claim.source);
        latest.insert((claim.client.clone(), claim.source.path.clone()), claim);
    }
    let mut claims: Vec<Claim> = latest.into_values().collect();
    claims.sort_by_key(|claim| claim.at);
    Ok(claims)
}

/// Writes a claim, and drops what an earlier call left under another spelling of its path.
pub(super) fn put(run: &Run, store: &Store, claim: &Claim) -> anyhow::Result<()> {
    store.put_claim(claim)?;
    for old in twins(run, store, claim)?.iter().filter(|old| old.source.path != claim.source.path) {
        store.drop_claim(&old.client, &old.source.path)?;
    }
    Ok(())
}

/// Drops a claim, however its path was spelled.
pub(super) fn drop(run: &Run, store: &Store, claim: &Claim) -> anyhow::Result<()> {
    for old in twins(run, store, claim)? {
        store.drop_claim(&old.client, &old.source.path)?;
    }
    Ok(())
}

/// The stored claims of the same client and path.
fn twins(run: &Run, store: &Store, claim: &Claim) -> anyhow::Result<Vec<Claim>> {
    let mut found = store.claims()?.claims;
    let path = |old: &Claim| source_of(&run.config, &old.client, &old.source).path;
    found.retain(|old| old.client == claim.client && path(old) == claim.source.path);
    Ok(found)
}

/// A client's files as the config spells them, if they are some of the config's. Else one lineage has one spelling: with
/// the links in the path of certbot's folder resolved. Other clients' links may lead elsewhere after a renewal
/// (acmetool's live/HOST), so their paths stay as they were told.
pub(super) fn source_of(config: &Config, client: &str, told: &Source) -> Source {
    let resolved = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let wanted = resolved(&told.path);
    let sources = config.certificates.iter().filter_map(|certificate| certificate.source.as_ref());
    let same = |source: &&Source| source.path == told.path || resolved(&source.path) == wanted;
    let path = if client == Dialect::Certbot.client() { wanted.clone() } else { told.path.clone() };
    { sources }.find(same).cloned().unwrap_or_else(|| Source { path, key: told.key.clone() })
}

/// The name under which people know a claim's lineage.
pub(super) fn name_of(config: &Config, claims: &[Claim], claim: &Claim) -> String {
    let is_it = |lineage: &&Lineage| match &lineage.origin {
        Origin::Source(source) => source.path == claim.source.path,
        Origin::Claimed { client, source } => {
            (client, &source.path) == (&claim.client, &claim.source.path)
        }
        Origin::Issued(_) | Origin::Given => false,
    };
    let owners = ownership(config, claims);
    owners.lineages.iter().find(is_it).map_or_else(|| claim.name.clone(), |one| one.name.clone())
}

/// A claim that keeps nothing in step: its hook failed, but who reads that?
fn warn_of_idle(run: &Run, claims: &[Claim]) {
    for claim in claims.iter().filter(|claim| claim.guessed && claim.targets.is_empty()) {
        run.warn(format!(
            "the hook of {} asked for nothing that can be kept in step: none of its names is a CDN domain that is online\n\
             help: give the hook --domain, or `certferry forget '{}'`",
            claim.source,
            name_of(&run.config, claims, claim)
        ));
    }
}

fn warn_of_conflicts(run: &Run, owners: &Ownership) {
    for conflict in &owners.conflicts {
        run.warn(format!(
            "{} of the claim {} belongs to {} by the configuration\nhelp: `certferry forget '{}' --domain '{}'` takes it out of the claim",
            conflict.target.domain.written,
            conflict.lineage,
            conflict.owner,
            conflict.lineage,
            conflict.target.domain.written
        ));
    }
}

/// Guessed targets become the CDN domains among them that are online. Where the list may not be read, the guesses
/// stay and each is judged when it is looked at. Answers what is left out.
pub(super) async fn settle(run: &Run, claims: &mut [Claim]) -> Vec<LeftOut> {
    let mut left_out = Vec::new();
    for claim in claims.iter_mut().filter(|claim| claim.guessed) {
        let Some(name) = claim.targets.first().map(|target| target.aliyun.clone()) else {
            continue;
        };
        let Ok(domains) = run.cdn_domains(&name).await else { continue };
        claim.targets.retain(|target| match why_not(target, &domains) {
            None => true,
            Some(why) => {
                left_out.push(LeftOut { target: target.clone(), why });
                false
            }
        });
    }
    left_out
}

/// Names as CDN domains of this account, and those that cannot be any.
pub(super) fn guesses(names: &[&String], aliyun: &str) -> (Vec<Target>, Vec<String>) {
    let (mut targets, mut none) = (Vec::new(), Vec::new());
    for name in names {
        match CdnDomain::read(name) {
            Ok(domain) => targets.push(Target { aliyun: aliyun.to_owned(), domain }),
            Err(_) => none.push((*name).clone()),
        }
    }
    (targets, none)
}

/// Where the client did not tell the names, and its files could not be read when the hook was called: now they may be.
async fn learn(claims: &mut [Claim]) {
    let is_unlearned = |claim: &&mut Claim| claim.guessed && claim.names.is_empty();
    for claim in claims.iter_mut().filter(is_unlearned) {
        let read = tokio::time::timeout(PATIENCE, look::cert_of(&claim.source)).await;
        let Ok(Some(cert)) = read else { continue };
        claim.names.clone_from(&cert.leaf().names);
        let account = claim.targets.first().map_or("default", |target| &target.aliyun).to_owned();
        claim.targets = guesses(&claim.names.iter().collect::<Vec<_>>(), &account).0;
    }
}

/// Why a guess is no target.
fn why_not(target: &Target, domains: &[UserDomain]) -> Option<String> {
    let is_it = |domain: &&UserDomain| domain.name.eq_ignore_ascii_case(&target.domain.api_name);
    match domains.iter().find(is_it) {
        None => Some(no_domain_of(&target.aliyun)),
        Some(domain) => not_online(&domain.status),
    }
}
