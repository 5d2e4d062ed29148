//! Which CDN domains of an account a lineage finds by its certificate's names, and whose they are. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::{LeftOut, Lineage, Owned, Ownership};
use crate::config::{CdnDomain, Target, Verify, dns_name};

/// A lineage's wish to be served by every CDN domain of an account that its certificate covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Discovers {
    /// Name of the `[aliyun.NAME]`.
    pub aliyun: String,
    /// How an upload is proved.
    pub verify: Verify,
    /// What happens to a certificate that somebody else has put there.
    pub foreign: Foreign,
    /// When a hook asked for it; none: the config says so.
    pub since: Option<Timestamp>,
}

/// What happens to a foreign certificate on a discovered target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// It stays until the last third of its life.
    LeftAlone,
    /// It is replaced at once.
    Replaced,
}

/// How a certificate's name covers a CDN domain. The closer comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fit {
    /// It is the CDN domain's own name; of a wildcard CDN domain the wildcard name.
    Exact,
    /// A wildcard name covers it, one label deep.
    Wildcard,
}

/// A CDN domain in an account's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The CDN domain.
    pub domain: CdnDomain,
    /// Its DomainStatus.
    pub status: String,
}

/// An account's list of CDN domains, to be looked up by a certificate's names.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    domains: Vec<Listed>,
    /// By the API's name.
    by_name: BTreeMap<String, usize>,
    /// By what stands behind the first label: `.example.com` for `cdn.example.com`.
    by_parent: BTreeMap<String, Vec<usize>>,
}

/// What is known when targets are discovered.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// The lists, by account. One that could not be had is not there.
    pub listings: BTreeMap<String, Listing>,
    /// The names of the lineages' certificates. Where they are not known there is nothing.
    pub names: BTreeMap<String, Vec<String>>,
    /// Lineages of other clients whose certificate's life is over.
    pub ended: BTreeSet<String>,
    /// What lineages found at an earlier run, by account.
    pub remembered: BTreeMap<String, BTreeMap<String, Vec<CdnDomain>>>,
}

/// A target that two lineages find.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested {
    /// The target.
    pub target: Target,
    /// The lineage that has it.
    pub winner: String,
    /// The one that has not.
    pub loser: String,
}

/// A target that a lineage finds, and how good its right is: the least wins.
struct Candidate {
    target: Target,
    right: Right,
    /// The place of the wish in its lineage.
    wish: usize,
    left_out: Option<String>,
}

/// The config before claims, what lives before what has ended, the closer name before the wildcard, the latest claim, the
/// first in the config.
type Right = (bool, bool, Fit, Reverse<Option<Timestamp>>, usize);

impl Listing {
    /// A list as the cloud gives it: names and statuses. What is no DNS name no certificate can cover.
    pub fn new<'a>(listed: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut listing = Self::default();
        for (name, status) in listed {
            let Ok(mut domain) = CdnDomain::read(name) else { continue };
            domain.written = with_star(&domain.api_name);
            let at = listing.domains.len();
            if listing.by_name.insert(domain.api_name.clone(), at).is_some() {
                continue;
            }
            if let Some(parent) = parent(&domain.api_name) {
                listing.by_parent.entry(parent.to_owned()).or_default().push(at);
            }
            listing.domains.push(Listed { domain, status: status.to_owned() });
        }
        listing
    }

    /// All that a certificate can be for, as the cloud lists them.
    pub fn all(&self) -> impl Iterator<Item = &Listed> {
        self.domains.iter()
    }

    /// The CDN domains that these names cover, in the order of their names, and how. A certificate's names may be
    /// written in either form of IDN and in any case.
    #[must_use]
    pub fn covered(&self, names: &[String]) -> Vec<(&Listed, Fit)> {
        let mut found: BTreeMap<usize, Fit> = BTreeMap::new();
        for name in names.iter().filter_map(|name| dns_name(name).ok()) {
            let parent = name.strip_prefix('*');
            let exact = self.by_name.get(parent.unwrap_or(&name)).map(|at| (*at, Fit::Exact));
            let below = parent.and_then(|parent| self.by_parent.get(parent));
            let below = below.into_iter().flatten().map(|at| (*at, Fit::Wildcard));
            for (at, fit) in exact.into_iter().chain(below) {
                let known = found.entry(at).or_insert(fit);
                *known = fit.min(*known);
            }
        }
        let mut covered: Vec<(&Listed, Fit)> =
            found.into_iter().map(|(at, fit)| (&self.domains[at], fit)).collect();
        covered.sort_by(|(one, _), (other, _)| one.domain.cmp(&other.domain));
        covered
    }
}

/// Why a CDN domain of this DomainStatus is no target. One that is being configured will be online; where the cloud
/// does not say, an upload will tell.
#[must_use]
pub fn not_online(status: &str) -> Option<String> {
    let is_online = ["online", "configuring", ""].contains(&status);
    (!is_online).then(|| format!("the CDN domain is not online but {status}"))
}

/// Gives every CDN domain that lineages discover to one of them. What has been named for a lineage is that one's.
/// Answers what two of them found.
pub fn discover(owners: &mut Ownership, known: &Known) -> Vec<Contested> {
    let named: BTreeSet<Target> =
        owners.lineages.iter().flat_map(|one| &one.targets).map(|own| own.target.clone()).collect();
    let places = 0..owners.lineages.len();
    let mut all: Vec<Candidate> =
        places.flat_map(|place| candidates(&owners.lineages[place], place, known)).collect();
    all.retain(|candidate| !named.contains(&candidate.target));
    all.sort_by(|one, other| (&one.target, one.right).cmp(&(&other.target, other.right)));
    let mut contested = Vec::new();
    let mut last: Option<(Target, usize)> = None;
    for candidate in all {
        let place = candidate.right.4;
        match last.as_ref().filter(|(target, _)| *target == candidate.target) {
            Some((_, winner)) if *winner == place => {}
            Some((_, winner)) => contested.push(Contested {
                target: candidate.target,
                winner: owners.lineages[*winner].name.clone(),
                loser: owners.lineages[place].name.clone(),
            }),
            None => {
                last = Some((candidate.target.clone(), place));
                give(&mut owners.lineages[place], candidate);
            }
        }
    }
    contested
}

fn candidates(lineage: &Lineage, place: usize, known: &Known) -> Vec<Candidate> {
    let has_ended = known.ended.contains(&lineage.name);
    let wishes = lineage.discovers.iter().enumerate();
    let of = |(at, wish)| found(lineage, wish, known).into_iter().map(move |one| (at, wish, one));
    let candidate = |(at, wish, (domain, fit, left_out)): (usize, &Discovers, Found)| Candidate {
        target: Target { aliyun: wish.aliyun.clone(), domain },
        right: (wish.since.is_some(), has_ended, fit, Reverse(wish.since), place),
        wish: at,
        left_out,
    };
    wishes.flat_map(of).map(candidate).collect()
}

/// A CDN domain, how it is covered, and why it is left out.
type Found = (CdnDomain, Fit, Option<String>);

/// What a lineage finds: by the list and its names, else what it had.
fn found(lineage: &Lineage, wish: &Discovers, known: &Known) -> Vec<Found> {
    let listing = known.listings.get(&wish.aliyun);
    let names = known.names.get(&lineage.name).filter(|names| !names.is_empty());
    if let (Some(listing), Some(names)) = (listing, names) {
        let listed =
            |(one, fit): (&Listed, Fit)| (one.domain.clone(), fit, not_online(&one.status));
        return listing.covered(names).into_iter().map(listed).collect();
    }
    let had = known.remembered.get(&lineage.name).and_then(|had| had.get(&wish.aliyun));
    had.into_iter().flatten().map(|domain| (domain.clone(), Fit::Exact, None)).collect()
}

fn give(lineage: &mut Lineage, candidate: Candidate) {
    if let Some(why) = candidate.left_out {
        lineage.left_out.push(LeftOut { target: candidate.target, why });
        return;
    }
    let wish = &lineage.discovers[candidate.wish];
    let owned = Owned {
        verify: wish.verify.clone(),
        discovered: Some(wish.foreign),
        ..Owned::plain(candidate.target)
    };
    lineage.targets.push(owned);
}

/// `.example.com` for `cdn.example.com`; none for a wildcard CDN domain, which no other wildcard name covers.
fn parent(api_name: &str) -> Option<&str> {
    api_name.find('.').filter(|at| *at > 0).map(|at| &api_name[at..])
}

/// A CDN domain as people write it.
fn with_star(api_name: &str) -> String {
    if api_name.starts_with('.') { format!("*{api_name}") } else { api_name.to_owned() }
}
