//! `forget`: drops a claim, or one CDN domain of it.

use super::hook::bad_domain;
use super::{Ended, Refusal, claims, configured_or_not, open};
use crate::cli::{Forget, Global};
use crate::config::{CdnDomain, Config};
use crate::ground::Ground;
use crate::journal::Claim;
use crate::plan::claim_memory;
use crate::run::Run;
use crate::store::Store;
use crate::told;

pub(super) async fn run(flags: &Forget, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let config = configured_or_not(global, &ground)?;
    let store = Store::open(&config.store.path)?;
    let run = open(config, Some(store.clone()), ground)?;
    let stored = claims::stored(&run)?;
    let claim = find(&flags.name, &stored, &run.config)?;
    let (name, said) = match &flags.domain {
        None => {
            drop(&run, &store, claim).await?;
            (
                &flags.name,
                "forgotten, until its hook is called again; what its CDN domains serve stays",
            )
        }
        Some(domain) => {
            let rest = without(claim, domain)?;
            match rest.targets.is_empty() && rest.discovers.is_none() {
                true => drop(&run, &store, claim).await?,
                false => claims::put(&run, &store, &rest)?,
            }
            (domain, "forgotten, until the hook names it again; what it serves stays")
        }
    };
    let stdout = format!("{name}: {said} as it is\n");
    Ok(Ended { stdout, stderr: super::plan::warnings(&run), code: 0 })
}

/// Drops a claim, with the copies of its certificates: their keys are not ours to keep.
async fn drop(run: &Run, store: &Store, claim: &Claim) -> anyhow::Result<()> {
    claims::drop(run, store, claim)?;
    run.drop_versions(claim_memory(&claim.client, &claim.source.path)).await;
    Ok(())
}

/// The claim that people know by this name: that of its lineage, else its own if it is the only one.
fn find<'a>(name: &str, claims: &'a [Claim], config: &Config) -> Result<&'a Claim, Refusal> {
    let of_lineage = |claim: &&Claim| claims::name_of(config, claims, claim) == name;
    let own: Vec<&Claim> = claims.iter().filter(|claim| claim.name == name).collect();
    match (claims.iter().find(of_lineage), own.as_slice()) {
        (Some(claim), _) => Ok(claim),
        (None, [only]) => Ok(only),
        (None, _) => Err(no_claim(name, claims, config)),
    }
}

fn no_claim(name: &str, claims: &[Claim], config: &Config) -> Refusal {
    let all: Vec<String> =
        claims.iter().map(|claim| claims::name_of(config, claims, claim)).collect();
    let is_configured = config.certificates.iter().any(|one| one.name == name);
    let help = match (is_configured, all.is_empty()) {
        (true, _) => "it stands in the configuration: take it out there".to_owned(),
        (false, true) => "no hook has left a claim".to_owned(),
        (false, false) => format!("the claims are: {}", all.join(", ")),
    };
    Refusal::Wrong(told::lines("error", &format!("there is no claim `{name}`"), &help))
}

/// The claim without a CDN domain.
fn without(claim: &Claim, domain: &str) -> Result<Claim, Refusal> {
    let wanted = CdnDomain::read(domain).map_err(|why| bad_domain(domain, &why))?;
    let mut rest = claim.clone();
    rest.targets.retain(|target| target.domain != wanted);
    if rest.targets.len() == claim.targets.len() {
        let all: Vec<&str> =
            claim.targets.iter().map(|target| target.domain.written.as_str()).collect();
        let what = format!("the claim `{}` has no CDN domain `{domain}`", claim.name);
        let help = match &claim.discovers {
            None => format!("it has {}", all.join(", ")),
            Some(account) => format!(
                "it discovers what the certificate covers in the account `{account}`; call the hook with --domain to name what shall serve it"
            ),
        };
        return Err(Refusal::Wrong(told::lines("error", &what, &help)));
    }
    Ok(rest)
}
