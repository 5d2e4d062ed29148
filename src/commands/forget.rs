//! `forget`: drops a claim, or one CDN domain of it.

use super::hook::bad_domain;
use super::{Ended, Refusal, claims, configured_or_not, open};
use crate::cli::{Forget, Global};
use crate::config::CdnDomain;
use crate::ground::Ground;
use crate::journal::Claim;
use crate::plan::{Lineage, Origin, ownership};
use crate::store::Store;

pub(super) async fn run(flags: &Forget, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let config = configured_or_not(global, &ground)?;
    let store = Store::open(&config.store.path)?;
    let run = open(config, Some(store.clone()), ground)?;
    let stored = claims::stored(&run)?;
    let lineages = ownership(&run.config, &stored).lineages;
    let claim = find(&flags.name, &stored, &lineages)?;
    let said = match &flags.domain {
        None => {
            store.drop_claim(&claim.client, &claim.source)?;
            format!(
                "{}: forgotten, until its hook is called again; what its CDN domains serve stays as it is\n",
                flags.name
            )
        }
        Some(domain) => {
            let rest = without(claim, domain)?;
            match rest.targets.is_empty() {
                true => store.drop_claim(&claim.client, &claim.source)?,
                false => store.put_claim(&rest)?,
            }
            format!(
                "{}: {domain} forgotten, until the hook names it again; what it serves stays as it is\n",
                flags.name
            )
        }
    };
    Ok(Ended { stdout: said, ..Ended::default() })
}

/// The claim that `status` shows under this name.
fn find<'a>(name: &str, claims: &'a [Claim], lineages: &[Lineage]) -> Result<&'a Claim, Refusal> {
    let source = lineages.iter().find(|lineage| lineage.name == name).and_then(|lineage| {
        match &lineage.origin {
            Origin::Claimed { client, source } => Some((client, source)),
            Origin::Issued(_) | Origin::Source(_) | Origin::Given => None,
        }
    });
    let known = |claim: &&Claim| {
        source == Some((&claim.client, &claim.source)) || source.is_none() && claim.name == name
    };
    claims.iter().find(known).ok_or_else(|| Refusal::Wrong(no_claim(name, claims, lineages)))
}

fn no_claim(name: &str, claims: &[Claim], lineages: &[Lineage]) -> String {
    let help = match (lineages.iter().any(|lineage| lineage.name == name), claims.is_empty()) {
        (true, _) => "it stands in the configuration: take it out there".to_owned(),
        (false, true) => "no hook has left a claim".to_owned(),
        (false, false) => {
            let all: Vec<&str> = claims.iter().map(|claim| claim.name.as_str()).collect();
            format!("the claims are: {}", all.join(", "))
        }
    };
    format!("error: there is no claim `{name}`\n  help: {help}\n")
}

/// The claim without a CDN domain.
fn without(claim: &Claim, domain: &str) -> Result<Claim, Refusal> {
    let wanted = CdnDomain::read(domain).map_err(|why| bad_domain(domain, &why))?;
    let mut rest = claim.clone();
    rest.targets.retain(|target| target.domain != wanted);
    if rest.targets.len() == claim.targets.len() {
        let all: Vec<&str> =
            claim.targets.iter().map(|target| target.domain.written.as_str()).collect();
        return Err(Refusal::Wrong(format!(
            "error: the claim `{}` has no CDN domain `{domain}`\n  help: it has {}\n",
            claim.name,
            all.join(", ")
        )));
    }
    Ok(rest)
}
