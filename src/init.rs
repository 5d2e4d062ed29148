//! `init`: what other clients have and what a person answered becomes the text of a configuration. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::cert::{KeyKind, Leaf};
use crate::config::{CdnDomain, Certificate, Config, Source};
use crate::plan::{Fit, Listing, not_online};

mod answers;
mod layouts;
mod told;
#[cfg(test)]
mod tests;

pub use answers::{Answers, Authority, Goes, Issue, Keys, Prove, Standing, text};
pub use layouts::{Caught, LAYOUTS, Layout};
pub use told::{Document, DocumentFound, entry, list};

/// The commented example: all that can be said.
pub const EXAMPLE: &str = include_str!("../packaging/config.toml");

/// The account that certificates go to, unless another one is named.
pub const ACCOUNT: &str = "default";

/// A certificate that another client has.
#[derive(Clone, Debug)]
pub struct Found {
    /// The client.
    pub client: &'static str,
    /// Its name there.
    pub name: String,
    /// Where it is.
    pub source: Source,
    /// What it is, or why it cannot be used, with the remedy.
    pub held: Result<Held, String>,
    /// Its client renews it, as far as that can be seen.
    pub is_renewed: bool,
}

/// A certificate, as far as adopting goes.
#[derive(Clone, Debug)]
pub struct Held {
    /// Its facts.
    pub leaf: Leaf,
    /// The kind of its key.
    pub key: KeyKind,
    /// For what no CDN domain may have it, each with its remedy; its dates are no part of this.
    pub faults: Vec<String>,
}

/// The account's CDN domains, and what some of them serve.
#[derive(Clone, Debug, Default)]
pub struct Cdn {
    /// All of them.
    pub listing: Listing,
    /// What they serve, as far as it is known: issuer and end of its life.
    pub serving: BTreeMap<CdnDomain, (String, Timestamp)>,
}

/// A certificate and what becomes of it.
#[derive(Clone, Debug)]
pub struct Adoption {
    /// The certificate.
    pub found: Found,
    /// What becomes of it.
    pub state: State,
    /// Its lineage's name.
    pub lineage: String,
    /// Name of the `[aliyun.NAME]` that it goes to.
    pub account: String,
    /// The CDN domains that it goes to; none: the account was not asked.
    pub targets: Option<Vec<Adopted>>,
}

/// What becomes of a certificate that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// The configuration lacks it.
    New,
    /// The configuration has it.
    Already,
    /// It cannot be used: why, with the remedy.
    Unfit(String),
    /// It is over.
    Expired,
    /// No CDN domain of the account is left for it.
    Nowhere,
}

/// A CDN domain that a certificate would go to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adopted {
    /// The CDN domain.
    pub domain: CdnDomain,
    /// Issuer and end of what it serves, where that outlives the certificate: somebody else's, and perhaps paid for.
    pub outlives: Option<(String, Timestamp)>,
}

/// What becomes of each certificate, in their order. They go to `account`; `cdn` is none where that was not asked.
#[must_use]
pub fn adopt(
    found: Vec<Found>,
    config: &Config,
    account: &str,
    cdn: Option<&Cdn>,
    now: Timestamp,
) -> Vec<Adoption> {
    let taken = cdn.map(|cdn| taken(config, &found, account, &cdn.listing)).unwrap_or_default();
    let mut names: BTreeSet<String> =
        config.certificates.iter().map(|one| one.name.clone()).collect();
    let mut adoptions: Vec<Adoption> = Vec::with_capacity(found.len());
    for one in found {
        let (lineage, state) = match already(config, &one) {
            Some(has) => (has.name.clone(), State::Already),
            None => (free_name(&one, &names), state(&one, now)),
        };
        if state == State::New {
            names.insert(lineage.clone());
        }
        let account = account.to_owned();
        adoptions.push(Adoption { found: one, state, lineage, account, targets: None });
    }
    if let Some(cdn) = cdn {
        share_out(&mut adoptions, &taken, cdn);
    }
    adoptions
}

/// The CDN domains of the account that the configuration gives to somebody: by name, or by a `discover` whose certificate's
/// names are known.
#[must_use]
pub fn taken(
    config: &Config,
    found: &[Found],
    account: &str,
    listing: &Listing,
) -> BTreeSet<CdnDomain> {
    let mut taken = BTreeSet::new();
    for one in &config.certificates {
        let of_source = found.iter().find(|found| is_of(one, found));
        let names = match of_source.map(|found| found.held.as_ref()) {
            Some(Ok(held)) => &held.leaf.names,
            Some(Err(_)) | None => &one.domains,
        };
        for deploy in one.deploy.iter().filter(|deploy| deploy.aliyun == account) {
            taken.extend(deploy.domains.iter().cloned());
            let covered = if deploy.discover { listing.covered(names) } else { Vec::new() };
            taken.extend(covered.into_iter().map(|(listed, _)| listed.domain.clone()));
        }
    }
    taken
}

fn already<'a>(config: &'a Config, found: &Found) -> Option<&'a Certificate> {
    config.certificates.iter().find(|one| is_of(one, found))
}

fn is_of(one: &Certificate, found: &Found) -> bool {
    one.source.as_ref().is_some_and(|source| source.path == found.source.path)
}

fn state(found: &Found, now: Timestamp) -> State {
    match &found.held {
        Err(why) => State::Unfit(why.clone()),
        Ok(held) if held.leaf.not_after <= now => State::Expired,
        Ok(held) if !held.faults.is_empty() => State::Unfit(held.faults.join("\n")),
        Ok(_) => State::New,
    }
}

/// A name that can be a folder's in the store, and that no other lineage has.
fn free_name(found: &Found, names: &BTreeSet<String>) -> String {
    let name = found.source.name().unwrap_or(&found.name);
    let plain = |letter: char| {
        let is_plain = letter.is_ascii_alphanumeric() || "._-".contains(letter);
        if is_plain { letter } else { '-' }
    };
    let name: String = name.chars().map(plain).take(LONGEST_NAME).collect();
    let name = name.trim_start_matches(['.', '_', '-']);
    let name = if name.is_empty() { "adopted".to_owned() } else { name.to_owned() };
    let with_client = format!("{name}-{}", found.client.to_ascii_lowercase());
    let numbered = (2..).map(|number| format!("{with_client}-{number}"));
    let mut candidates = [name, with_client.clone()].into_iter().chain(numbered);
    candidates.find(|name| !names.contains(name)).unwrap_or(with_client)
}

/// Gives each CDN domain to the one that covers it best: by its own name before a wildcard, then the one that lives longest.
fn share_out(adoptions: &mut [Adoption], taken: &BTreeSet<CdnDomain>, cdn: &Cdn) {
    let mut best: BTreeMap<&CdnDomain, (Fit, Reverse<Timestamp>, usize)> = BTreeMap::new();
    for (place, one) in adoptions.iter().enumerate().filter(|(_, one)| one.state == State::New) {
        let Ok(held) = &one.found.held else { continue };
        for (listed, fit) in cdn.listing.covered(&held.leaf.names) {
            if not_online(&listed.status).is_some() || taken.contains(&listed.domain) {
                continue;
            }
            let mine = (fit, Reverse(held.leaf.not_after), place);
            let first = best.entry(&listed.domain).or_insert(mine);
            *first = mine.min(*first);
        }
    }
    for (place, one) in adoptions.iter_mut().enumerate().filter(|(_, one)| one.state == State::New)
    {
        let Ok(held) = &one.found.held else { continue };
        let ends = held.leaf.not_after;
        let mine = best.iter().filter(|(_, (_, _, winner))| *winner == place);
        let adopted = |domain: &CdnDomain| Adopted {
            domain: domain.clone(),
            outlives: cdn.serving.get(domain).filter(|(_, other)| *other > ends).cloned(),
        };
        let targets: Vec<Adopted> = mine.map(|(domain, _)| adopted(domain)).collect();
        if targets.is_empty() {
            one.state = State::Nowhere;
        }
        one.targets = Some(targets);
    }
}

/// Leaves room for the client's name behind it; the configuration takes 200.
const LONGEST_NAME: usize = 180;
