//! A target that several claims want: the latest call has it, unless its certificate has never gone there and cannot.
//!
//! A hook that was called with a broken lineage takes nothing away from one that works. But a lineage that has once
//! been served is not displaced by an older one because its files cannot be read just now; it is, once its life is over.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::claims::name_of;
use crate::cert::{Cert, Fingerprint};
use crate::check::check;
use crate::config::{Certificate, Source, Target};
use crate::journal::{Claim, LineageMemory};
use crate::look;
use crate::plan::claim_memory;
use crate::run::Run;

/// Files that do not fit at the first look are as good as none here: nobody waits for them twice.
pub(super) const PATIENCE: Duration = Duration::from_millis(500);

/// A target that a claim does not get, and why.
pub(super) struct Lost {
    /// The claim.
    pub(super) claim: Claim,
    /// The target.
    pub(super) target: Target,
    /// Why its certificate cannot go there.
    pub(super) why: String,
    /// The name under which people know the claim's lineage.
    pub(super) name: String,
}

impl Lost {
    /// For people.
    pub(super) fn told(&self) -> String {
        format!(
            "{}: the certificate in {} cannot go there, another claim's goes on: {}\nhelp: mend it, or `certferry forget '{}'`",
            self.target.domain.written, self.claim.source, self.why, self.name
        )
    }
}

/// The Certs of claims, as far as they can be read. Each is read once: two claims may contest a thousand targets.
#[derive(Default)]
struct Certs(BTreeMap<Source, Option<Rc<Cert>>>);

impl Certs {
    async fn of(&mut self, claim: &Claim) -> Option<Rc<Cert>> {
        if let Some(known) = self.0.get(&claim.source) {
            return known.clone();
        }
        let read = tokio::time::timeout(PATIENCE, look::cert_of(&claim.source)).await;
        let cert = read.ok().flatten().map(Rc::new);
        self.0.insert(claim.source.clone(), cert.clone());
        cert
    }
}

/// Takes contested targets, of those that are `wanted`, from claims whose certificate cannot go there.
pub(super) async fn contest(
    run: &Run,
    claims: &mut [Claim],
    wanted: impl Fn(&Target) -> bool,
) -> Vec<Lost> {
    let all = claims.to_vec();
    let (mut certs, mut lost) = (Certs::default(), Vec::new());
    for (target, claimants) in contested(&all, wanted) {
        for (loser, why) in losers(run, &all, &mut certs, &claimants, &target).await {
            let claim = all[loser].clone();
            claims[loser].targets.retain(|other| *other != target);
            let name = name_of(&run.config, &all, &claim);
            lost.push(Lost { claim, target: target.clone(), why, name });
        }
    }
    lost
}

/// Targets that more than one claim wants, with the places of these claims, the latest first.
fn contested(claims: &[Claim], wanted: impl Fn(&Target) -> bool) -> Vec<(Target, Vec<usize>)> {
    let mut by_target: BTreeMap<&Target, Vec<usize>> = BTreeMap::new();
    for (place, claim) in claims.iter().enumerate() {
        for target in claim.targets.iter().filter(|target| wanted(target)) {
            by_target.entry(target).or_default().push(place);
        }
    }
    let many = by_target.into_iter().filter(|(_, places)| places.len() > 1);
    let latest_first = |(target, mut places): (&Target, Vec<usize>)| {
        places.sort_by_key(|place| Reverse(claims[*place].at));
        (target.clone(), places)
    };
    many.map(latest_first).collect()
}

/// The later claims that must stand back for an earlier one, each with why; none if no earlier one is better.
async fn losers(
    run: &Run,
    claims: &[Claim],
    certs: &mut Certs,
    claimants: &[usize],
    target: &Target,
) -> Vec<(usize, String)> {
    let now = run.ground.clock.now();
    let mut losers = Vec::new();
    for place in claimants {
        let claim = &claims[*place];
        let cert = certs.of(claim).await;
        let has_ended = cert.as_ref().is_some_and(|cert| cert.leaf().not_after <= now);
        if losers.is_empty() && !has_ended && has_delivered(run, claim, target) {
            return losers;
        }
        match why_not(run, cert.as_deref(), target, &rivals(claims, claimants, claim)) {
            None => return losers,
            Some(why) => losers.push((*place, why)),
        }
    }
    Vec::new()
}

/// The other claims of these.
fn rivals<'a>(claims: &'a [Claim], claimants: &[usize], claim: &Claim) -> Vec<&'a Claim> {
    claimants.iter().map(|place| &claims[*place]).filter(|rival| *rival != claim).collect()
}

/// The target has last taken a certificate of this claim's lineage, or one that is pinned there.
fn has_delivered(run: &Run, claim: &Claim, target: &Target) -> bool {
    let Some(store) = &run.store else { return false };
    let taken = store.target(target).ok().and_then(|memory| memory.taken);
    let memory = memory(run, claim);
    let is_its = |leaf| {
        memory.succession.contains(&leaf) || memory.pins.iter().any(|pin| pin.fingerprint == leaf)
    };
    taken.is_some_and(|taken| is_its(taken.fingerprint))
}

/// What is remembered of this claim's lineage.
fn memory(run: &Run, claim: &Claim) -> LineageMemory {
    let is_its = |one: &&Certificate| {
        one.source.as_ref().is_some_and(|source| source.path == claim.source.path)
    };
    let of_config = run.config.certificates.iter().find(is_its);
    let name = of_config
        .map_or_else(|| claim_memory(&claim.client, &claim.source.path), |one| one.name.clone());
    run.store.as_ref().and_then(|store| store.lineage(&name).ok()).unwrap_or_default()
}

/// A folder of old files, a backup or a copy: the claim whose lineage has gone on from this Cert.
fn overtaken_by<'a>(run: &Run, leaf: Fingerprint, rivals: &[&'a Claim]) -> Option<&'a Claim> {
    let has_gone_on = |rival: &&&Claim| {
        let memory = memory(run, rival);
        let newest_and_before = memory.succession.split_last();
        newest_and_before.is_some_and(|(newest, before)| *newest != leaf && before.contains(&leaf))
    };
    rivals.iter().find(has_gone_on).copied()
}

/// Why a claim's certificate cannot go onto the target, as things are.
fn why_not(run: &Run, cert: Option<&Cert>, target: &Target, rivals: &[&Claim]) -> Option<String> {
    let Some(cert) = cert else { return Some("its files cannot be used".to_owned()) };
    let faults = check(cert, &target.domain, &run.roots, run.ground.clock.now());
    faults.first().map(ToString::to_string).or_else(|| {
        let newer = overtaken_by(run, cert.leaf().fingerprint, rivals)?;
        Some(format!("its certificate is older than the newest of {}", newer.source))
    })
}
