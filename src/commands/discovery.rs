//! Discovered targets: what lineages find in the lists of their accounts, and what is told where a list cannot be had.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};

use crate::aliyun;
use crate::config::CdnDomain;
use crate::look;
use crate::plan::{Contested, Known, Lineage, Listing, Origin, Owned, Ownership, discover};
use crate::report::{Ends, ErrorEnd};
use crate::run::{Run, cloud_error};

/// Files that do not fit at the first look: what was found before does for this run.
const PATIENCE: Duration = Duration::from_millis(500);

/// Each reads a certificate or two: bounded for the sake of file descriptors.
const SIDE_BY_SIDE: usize = 64;

/// So many are named where many are told at once.
const TOLD: usize = 3;

/// By account.
type Found = BTreeMap<String, Vec<CdnDomain>>;

/// What comes of discovering beside the targets.
#[derive(Debug, Default)]
pub(super) struct Discovery {
    /// What is new, by the name under which the store remembers a lineage.
    news: Vec<(String, Found)>,
    /// Why the lists of lineages' accounts cannot be had, by lineage.
    unlisted: BTreeMap<String, ErrorEnd>,
    /// What two lineages find, with the winner and the loser.
    contested: Vec<(String, String, String)>,
    /// What lineages find nothing.
    nothing: Vec<String>,
}

impl Discovery {
    /// Remembers what was found: where a list cannot be had, that is kept in step.
    pub(super) async fn remember(&self, run: &Run) {
        for (name, found) in self.news.clone() {
            run.keep(move |store| store.update_lineage(&name, |memory| memory.discovered = found))
                .await;
        }
    }

    /// A lineage whose CDN domains cannot be listed is not as it should be.
    pub(super) fn tell(&self, ends: &mut Ends) {
        for end in ends.certificates.iter_mut().filter(|end| end.error.is_none()) {
            end.error = self.unlisted.get(&end.name).cloned();
        }
    }

    /// Tells people what they should decide, and who finds nothing.
    pub(super) fn warn(&self, run: &Run) {
        let contested = self.contested.iter().map(|(_, _, said)| said);
        contested.chain(&self.nothing).for_each(|said| run.warn(said.as_str()));
    }

    /// Tells people what this lineage shares with another.
    pub(super) fn warn_of(&self, run: &Run, lineage: &str) {
        let own = self
            .contested
            .iter()
            .filter(|(winner, loser, _)| [winner, loser].contains(&&lineage.to_owned()));
        own.for_each(|(_, _, said)| run.warn(said.as_str()));
    }

    /// Why the CDN domains of this lineage cannot be listed.
    pub(super) fn unlisted(&self, lineage: &str) -> Option<&ErrorEnd> {
        self.unlisted.get(lineage)
    }
}

/// Finds the targets of the lineages that discover some; each list is asked for once, and only where one of those looks
/// that are `wanted` in this run. In a list that is had all lineages find their own: whose a target is does not depend on
/// who is asked for.
pub(super) async fn complete(
    run: &Run,
    owners: &mut Ownership,
    wanted: impl Fn(&Lineage) -> bool,
) -> Discovery {
    let looking = owners.lineages.iter().filter(|lineage| wanted(lineage));
    let wishes = looking.flat_map(|lineage| &lineage.discovers);
    let accounts: BTreeSet<String> = wishes.map(|wish| wish.aliyun.clone()).collect();
    if accounts.is_empty() {
        return Discovery::default();
    }
    let mut known = Known::default();
    let refused = list(run, accounts, &mut known).await;
    learn(run, &owners.lineages, &mut known).await;
    let contested = discover(owners, &known);
    let lineages = || owners.lineages.iter().filter(|lineage| !lineage.discovers.is_empty());
    let unlisted = |one: &Lineage| Some((one.name.clone(), unlisted(one, &refused)?));
    Discovery {
        news: lineages().filter_map(|one| news(one, &known)).collect(),
        unlisted: lineages().filter_map(unlisted).collect(),
        contested: told_contested(&contested),
        nothing: lineages().flat_map(|one| nothing(one, &known)).collect(),
    }
}

/// The lists of these accounts, asked for side by side: one that does not answer holds up no other. Answers why those that
/// are lacking cannot be had.
async fn list(
    run: &Run,
    accounts: BTreeSet<String>,
    known: &mut Known,
) -> BTreeMap<String, aliyun::Error> {
    let lists = accounts.into_iter().map(|account| async move {
        let list = run.cdn_domains(&account).await;
        (account, list)
    });
    let mut refused = BTreeMap::new();
    for (account, list) in join_all(lists).await {
        match list {
            Ok(domains) => {
                let listed = domains.iter().map(|one| (one.name.as_str(), one.status.as_str()));
                known.listings.insert(account, Listing::new(listed));
            }
            Err(error) => {
                refused.insert(account, error);
            }
        }
    }
    refused
}

/// The names of the lineages' certificates, and what they found before. A claim whose files cannot be used finds what it
/// had, and takes nothing more from others.
async fn learn(run: &Run, lineages: &[Lineage], known: &mut Known) {
    let discovering = lineages.iter().filter(|lineage| !lineage.discovers.is_empty());
    let looks = discovering.map(|lineage| async move {
        let look = look::facts(lineage, &run.config, run.store.as_ref());
        (lineage, tokio::time::timeout(PATIENCE, look).await.ok())
    });
    let looked: Vec<_> = stream::iter(looks).buffer_unordered(SIDE_BY_SIDE).collect().await;
    let now = run.ground.clock.now();
    for (lineage, disk) in looked {
        let mut names = asked_for(lineage);
        if let Some(disk) = disk {
            disk.warning.into_iter().for_each(|warning| run.warn(warning));
            known.remembered.insert(lineage.name.clone(), disk.seen.memory.discovered);
            let has_ended = disk.seen.leaf.as_ref().is_some_and(|leaf| leaf.not_after <= now);
            if has_ended && !matches!(lineage.origin, Origin::Issued(_)) {
                known.ended.insert(lineage.name.clone());
            }
            names.extend(disk.seen.leaf.into_iter().flat_map(|leaf| leaf.names));
        }
        known.names.insert(lineage.name.clone(), names);
    }
}

/// What we ask a CA for counts before the certificate is there: its targets are found in the run that issues it.
fn asked_for(lineage: &Lineage) -> Vec<String> {
    match lineage.origin {
        Origin::Issued(_) => lineage.names.clone(),
        Origin::Source(_) | Origin::Claimed { .. } | Origin::Given => Vec::new(),
    }
}

/// What the lineage has by discovery now, if it is not what is remembered. Accounts that were not listed stay.
fn news(lineage: &Lineage, known: &Known) -> Option<(String, Found)> {
    let had = known.remembered.get(&lineage.name)?;
    let mut found = Found::new();
    for wish in &lineage.discovers {
        let of_account = lineage
            .targets
            .iter()
            .filter(|owned| owned.discovered.is_some() && owned.target.aliyun == wish.aliyun);
        let domains: Vec<_> = of_account.map(|owned| owned.target.domain.clone()).collect();
        if !domains.is_empty() {
            found.insert(wish.aliyun.clone(), domains);
        }
    }
    (found != *had).then(|| (lineage.memory(), found))
}

/// What is told of a lineage whose account cannot be listed.
fn unlisted(lineage: &Lineage, refused: &BTreeMap<String, aliyun::Error>) -> Option<ErrorEnd> {
    let (account, error) =
        lineage.discovers.iter().find_map(|wish| refused.get_key_value(&wish.aliyun))?;
    let found = |target: &&Owned| target.discovered.is_some() && target.target.aliyun == *account;
    let kept = match lineage.targets.iter().filter(found).count() {
        0 => "none was found before".to_owned(),
        1 => "the one that was found before is kept in step".to_owned(),
        many => format!("the {many} that were found before are kept in step"),
    };
    let what = "the CDN domains of the account";
    let message = format!("{what} `{account}` cannot be listed; {kept}: {}", error.message);
    Some(ErrorEnd { message, ..cloud_error(error) })
}

/// Two lineages that find the same: that is decided, but somebody should decide it by name.
fn told_contested(contested: &[Contested]) -> Vec<(String, String, String)> {
    let mut pairs: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for one in contested {
        let domains = pairs.entry((&one.winner, &one.loser)).or_default();
        domains.push(&one.target.domain.written);
    }
    let told = |((winner, loser), domains): ((&str, &str), Vec<&str>)| {
        let said = format!(
            "{winner} and {loser} both discover {}: {winner} has it\n\
             help: name it in the `domains` of one of them",
            several(&domains)
        );
        (winner.to_owned(), loser.to_owned(), said)
    };
    pairs.into_iter().map(told).collect()
}

/// `a, b, c and 7 more`.
fn several(all: &[&str]) -> String {
    let told = all.iter().take(TOLD).copied().collect::<Vec<&str>>().join(", ");
    match all.len().saturating_sub(TOLD) {
        0 => told,
        more => format!("{told} and {more} more"),
    }
}

/// What is told of a lineage that finds nothing: perhaps it looks into the wrong account.
fn nothing(lineage: &Lineage, known: &Known) -> Vec<String> {
    let Some(names) = known.names.get(&lineage.name).filter(|names| !names.is_empty()) else {
        return Vec::new();
    };
    let is_empty = |account: &str| {
        known.listings.get(account).is_some_and(|listing| listing.covered(names).is_empty())
    };
    let accounts = lineage.discovers.iter().map(|wish| wish.aliyun.as_str());
    let told = |account: &str| {
        format!(
            "{} covers no CDN domain of the account `{account}`: {}\n\
             help: is it another account (`aliyun` of the deploy entry, --aliyun of the hook)?",
            lineage.name,
            names.join(", ")
        )
    };
    accounts.filter(|account| is_empty(account)).map(told).collect()
}
