//! One target, one owner: the config before claims, among claims the latest. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::{Discovers, Foreign};
use crate::config::{Certificate, Config, Deploy, Source, Target, Verify};
use crate::journal::Claim;

/// A named succession of Certs and what must serve the newest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lineage {
    /// Its name, unique in a run.
    pub name: String,
    /// The names asked for; for a claim those that the client told.
    pub names: Vec<String>,
    /// Who issues it.
    pub origin: Origin,
    /// What must serve it.
    pub targets: Vec<Owned>,
    /// Where it finds more of them.
    pub discovers: Vec<Discovers>,
    /// What it has found and leaves alone.
    pub left_out: Vec<LeftOut>,
}

/// A target that is none as things are, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The target.
    pub target: Target,
    /// Why.
    pub why: String,
}

/// Who issues a lineage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// We do: the certificate of the config at this place.
    Issued(usize),
    /// Another client, said by the config: its files.
    Source(Source),
    /// Another client, said by its hook.
    Claimed {
        /// The client.
        client: String,
        /// Its files.
        source: Source,
    },
    /// Somebody, by hand: its files are read once.
    Given,
}

/// A target with its owner's wishes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owned {
    /// The target.
    pub target: Target,
    /// How the upload is proved.
    pub verify: Verify,
    /// CertName, if not ours.
    pub cert_name: Option<String>,
    /// It is a certificate's name as it stands: if it is no CDN domain of the account, it is skipped.
    pub guessed: bool,
    /// Nobody named it: it was found in the account's list. What happens to a foreign certificate there.
    pub discovered: Option<Foreign>,
}

/// A target that a claim wants and another lineage owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The claim's lineage.
    pub lineage: String,
    /// The claim's name, which `forget` takes.
    pub claim: String,
    /// The target.
    pub target: Target,
    /// Who owns it.
    pub owner: String,
}

/// Who owns what.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// In the order of the config, then of the claims.
    pub lineages: Vec<Lineage>,
    /// Claims that the config overrules.
    pub conflicts: Vec<Conflict>,
}

impl Lineage {
    /// A lineage that nothing must serve.
    #[must_use]
    pub fn bare(name: String, names: Vec<String>, origin: Origin) -> Self {
        let (targets, discovers, left_out) = (Vec::new(), Vec::new(), Vec::new());
        Self { name, names, origin, targets, discovers, left_out }
    }

    /// The name under which the store remembers it: one that other claims do not change.
    #[must_use]
    pub fn memory(&self) -> String {
        match &self.origin {
            Origin::Claimed { client, source } => claim_memory(client, &source.path),
            Origin::Issued(_) | Origin::Source(_) | Origin::Given => self.name.clone(),
        }
    }
}

impl Owned {
    /// A target with no wishes of its own: proved by the read-back, with our CertName.
    #[must_use]
    pub fn plain(target: Target) -> Self {
        Self { target, verify: Verify::Readback, cert_name: None, guessed: false, discovered: None }
    }

    /// It was not named: if it is no CDN domain of the account after all, it is skipped.
    #[must_use]
    pub fn is_found(&self) -> bool {
        self.guessed || self.discovered.is_some()
    }
}

/// The name under which the store remembers a claim's lineage.
#[must_use]
pub fn claim_memory(client: &str, source: &Path) -> String {
    format!("{client} {}", source.display())
}

/// Who owns what: the config before claims; among claims the latest.
#[must_use]
pub fn ownership(config: &Config, claims: &[Claim]) -> Ownership {
    let mut lineages = config_lineages(config);
    let places = places(&mut lineages, claims);
    let mut owners: BTreeMap<Target, usize> = BTreeMap::new();
    for (place, lineage) in lineages.iter().enumerate() {
        owners.extend(lineage.targets.iter().map(|owned| (owned.target.clone(), place)));
    }
    let configured: BTreeSet<Target> = owners.keys().cloned().collect();
    let mut conflicts = Vec::new();
    let mut latest_first: Vec<(&Claim, usize)> = claims.iter().zip(places).collect();
    latest_first.sort_by_key(|(claim, place)| (Reverse(claim.at), *place));
    for (claim, place) in latest_first {
        wish(&mut lineages[place], claim);
        for target in &claim.targets {
            match owners.get(target) {
                None => {
                    owners.insert(target.clone(), place);
                    let owned = Owned { guessed: claim.guessed, ..Owned::plain(target.clone()) };
                    lineages[place].targets.push(owned);
                }
                Some(owner) if *owner != place && configured.contains(target) => {
                    conflicts.push(conflict(claim, target, &lineages[place], &lineages[*owner]));
                }
                // The lineage's own, or a later claim's, whose hook has said so.
                Some(_) => {}
            }
        }
    }
    Ownership { lineages, conflicts }
}

/// The place of each claim's lineage: one of the config with the same folder, or a new one. In the order of their
/// folders, so that a name does not depend on who was called last.
fn places(lineages: &mut Vec<Lineage>, claims: &[Claim]) -> Vec<usize> {
    let mut known: BTreeMap<(&str, &Path), usize> = BTreeMap::new();
    let mut names: BTreeSet<String> = lineages.iter().map(|lineage| lineage.name.clone()).collect();
    let sources: BTreeMap<PathBuf, usize> =
        lineages.iter().enumerate().filter_map(by_source).collect();
    let mut in_order: Vec<&Claim> = claims.iter().collect();
    in_order.sort_by_key(|claim| (&claim.client, &claim.source.path));
    for claim in in_order {
        let key = (claim.client.as_str(), claim.source.path.as_path());
        if known.contains_key(&key) {
            continue;
        }
        let place = sources.get(&claim.source.path).copied().unwrap_or_else(|| {
            lineages.push(claimed(claim, free_name(&mut names, claim)));
            lineages.len() - 1
        });
        known.insert(key, place);
    }
    claims
        .iter()
        .map(|claim| known[&(claim.client.as_str(), claim.source.path.as_path())])
        .collect()
}

fn by_source((place, lineage): (usize, &Lineage)) -> Option<(PathBuf, usize)> {
    match &lineage.origin {
        Origin::Source(source) => Some((source.path.clone(), place)),
        Origin::Issued(_) | Origin::Claimed { .. } | Origin::Given => None,
    }
}

fn claimed(claim: &Claim, name: String) -> Lineage {
    let origin = Origin::Claimed { client: claim.client.clone(), source: claim.source.clone() };
    Lineage::bare(name, claim.names.clone(), origin)
}

/// What a claim wants to find, if the lineage does not find it already.
fn wish(lineage: &mut Lineage, claim: &Claim) {
    let Some(aliyun) = &claim.discovers else { return };
    if lineage.discovers.iter().all(|wish| wish.aliyun != *aliyun) {
        let (verify, foreign) = (Verify::Readback, Foreign::LeftAlone);
        let since = Some(claim.at);
        lineage.discovers.push(Discovers { aliyun: aliyun.clone(), verify, foreign, since });
    }
}

/// The claim's name, told apart from others by its client, and by its folder if that is not enough.
fn free_name(names: &mut BTreeSet<String>, claim: &Claim) -> String {
    let long = format!("{} ({}, {})", claim.name, claim.client, claim.source);
    let short = [claim.name.clone(), format!("{} ({})", claim.name, claim.client)];
    let name = short.into_iter().find(|name| !names.contains(name)).unwrap_or(long);
    names.insert(name.clone());
    name
}

fn conflict(claim: &Claim, target: &Target, lineage: &Lineage, owner: &Lineage) -> Conflict {
    Conflict {
        lineage: lineage.name.clone(),
        claim: claim.name.clone(),
        target: target.clone(),
        owner: owner.name.clone(),
    }
}

fn config_lineages(config: &Config) -> Vec<Lineage> {
    let lineage = |(place, certificate): (usize, &Certificate)| Lineage {
        name: certificate.name.clone(),
        names: certificate.domains.clone(),
        origin: certificate.source.clone().map_or(Origin::Issued(place), Origin::Source),
        targets: certificate.deploy.iter().flat_map(owned).collect(),
        discovers: certificate.deploy.iter().filter_map(discovers).collect(),
        left_out: Vec::new(),
    };
    config.certificates.iter().enumerate().map(lineage).collect()
}

fn owned(deploy: &Deploy) -> impl Iterator<Item = Owned> {
    deploy.domains.iter().map(|domain| Owned {
        verify: deploy.verify.clone(),
        cert_name: deploy.cert_name.clone(),
        ..Owned::plain(Target { aliyun: deploy.aliyun.clone(), domain: domain.clone() })
    })
}

fn discovers(deploy: &Deploy) -> Option<Discovers> {
    let foreign = if deploy.replace_foreign { Foreign::Replaced } else { Foreign::LeftAlone };
    let (aliyun, verify) = (deploy.aliyun.clone(), deploy.verify.clone());
    deploy.discover.then_some(Discovers { aliyun, verify, foreign, since: None })
}
