//! One target, one owner: the config before claims, among claims the latest. Pure.

use std::path::PathBuf;

use crate::config::{Certificate, Config, Deploy, Target, Verify};
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
}

/// Who issues a lineage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// We do: the certificate of the config at this place.
    Issued(usize),
    /// Another client, said by the config: its folder.
    Source(PathBuf),
    /// Another client, said by its hook.
    Claimed {
        /// The client.
        client: String,
        /// Its folder.
        source: PathBuf,
    },
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
}

/// A target that a claim wants and another lineage owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The claim's lineage.
    pub lineage: String,
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

/// Who owns what: the config before claims; among claims the latest.
#[must_use]
pub fn ownership(config: &Config, claims: &[Claim]) -> Ownership {
    let mut owners = Ownership { lineages: config_lineages(config), conflicts: Vec::new() };
    let mut latest_first: Vec<&Claim> = claims.iter().collect();
    latest_first.sort_by(|a, b| (b.at, &b.client, &b.source).cmp(&(a.at, &a.client, &a.source)));
    let configured = owners.lineages.len();
    for claim in latest_first {
        let place = lineage_of_claim(&mut owners.lineages, claim);
        for target in &claim.targets {
            let owned = Owned {
                target: target.clone(),
                verify: Verify::Readback,
                cert_name: None,
                guessed: claim.guessed,
            };
            give(&mut owners, place, owned, configured);
        }
    }
    owners
}

fn config_lineages(config: &Config) -> Vec<Lineage> {
    let lineage = |(place, certificate): (usize, &Certificate)| Lineage {
        name: certificate.name.clone(),
        names: certificate.domains.clone(),
        origin: certificate.source.clone().map_or(Origin::Issued(place), Origin::Source),
        targets: certificate.deploy.iter().flat_map(owned).collect(),
    };
    config.certificates.iter().enumerate().map(lineage).collect()
}

fn owned(deploy: &Deploy) -> impl Iterator<Item = Owned> {
    deploy.domains.iter().map(|domain| Owned {
        target: Target { aliyun: deploy.aliyun.clone(), domain: domain.clone() },
        verify: deploy.verify,
        cert_name: deploy.cert_name.clone(),
        guessed: false,
    })
}

/// The place of the claim's lineage: one of the config with the same folder, or a new one.
fn lineage_of_claim(lineages: &mut Vec<Lineage>, claim: &Claim) -> usize {
    let same = |lineage: &Lineage| match &lineage.origin {
        Origin::Issued(_) => false,
        Origin::Source(source) => *source == claim.source,
        Origin::Claimed { client, source } => (client, source) == (&claim.client, &claim.source),
    };
    if let Some(place) = lineages.iter().position(same) {
        return place;
    }
    let name = free_name(lineages, claim);
    lineages.push(Lineage {
        name,
        names: claim.names.clone(),
        origin: Origin::Claimed { client: claim.client.clone(), source: claim.source.clone() },
        targets: Vec::new(),
    });
    lineages.len() - 1
}

/// The claim's name, told apart from others by its client, and by its folder if that is not enough.
fn free_name(lineages: &[Lineage], claim: &Claim) -> String {
    let long = format!("{} ({}, {})", claim.name, claim.client, claim.source.display());
    [claim.name.clone(), format!("{} ({})", claim.name, claim.client)]
        .into_iter()
        .find(|name| !lineages.iter().any(|lineage| lineage.name == *name))
        .unwrap_or(long)
}

/// Gives a claimed target to its lineage unless it has an owner: the config's word stands and is told; a later
/// claim's stands in silence (its hook has said so).
fn give(owners: &mut Ownership, place: usize, wanted: Owned, configured: usize) {
    let owns =
        |lineage: &Lineage| lineage.targets.iter().any(|owned| owned.target == wanted.target);
    match owners.lineages.iter().position(owns) {
        Some(owner) if owner == place => {}
        Some(owner) if owner < configured => owners.conflicts.push(Conflict {
            lineage: owners.lineages[place].name.clone(),
            target: wanted.target,
            owner: owners.lineages[owner].name.clone(),
        }),
        Some(_) => {}
        None => owners.lineages[place].targets.push(wanted),
    }
}
