//! `hook`: another ACME client has a new certificate. Only a hint to run early: the claim comes first.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::SignedDuration;
use tokio::time::Instant;

use super::contest::{Lost, contest};
use super::discovery::{self, Discovery};
use super::no_target::no_target;
use super::{Ended, Form, Refusal, claims, configured_or_not, open};
use crate::cli::{Global, Hook as Flags};
use crate::config::{CdnDomain, Config, Target};
use crate::ground::Ground;
use crate::journal::Claim;
use crate::plan::{
    Asked, CertOutcome, Conflict, LeftOut, Lineage, Origin, Owned, Ownership, TargetOutcome,
    ownership,
};
use crate::report::{CertificateEnd, Ends, ErrorEnd, Meanwhile, Report, TargetEnd};
use crate::run::{Run, no_domain_of};
use crate::store::Store;
use crate::{told, walk};

mod call;
mod wish;

use call::Called;
use wish::{Said, Wish, wish};

/// A timer that has not run for two days does not run: it is set to every hour.
const TIMER_RUNS: SignedDuration = SignedDuration::from_hours(48);

/// What is left of the deadline for telling how far we came.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A call with what it is about: a certificate, or several of acmetool's.
struct Round<'a> {
    run: &'a Run,
    wishes: Vec<Wish>,
    /// The claims of earlier calls.
    stored: Vec<Claim>,
    /// Why claims cannot be left.
    unwritable: Option<anyhow::Error>,
}

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let (started, began) = (ground.clock.now(), Instant::now());
    let events = match call::called(flags, &ground).await? {
        Called::For(events) => events,
        Called::ForNothing(code) => return Ok(Ended { code, ..Ended::default() }),
    };
    let deadline =
        began + Duration::from_secs(flags.deadline.unwrap_or_else(|| call::patience(&events)));
    let config = configured_or_not(global, &ground)?;
    let (store, unwritable) = store_of(&config);
    let mut run = open(config, store, ground)?;
    run.deadline = Some(deadline - LAST_WORDS);
    let stored = claims::stored(&run).unwrap_or_else(|error| {
        run.warn(told::text(&error));
        Vec::new()
    });
    let shares = call::shared(&flags.domains, events);
    let wishes = shares.into_iter().map(|(event, domains)| {
        let (discover, aliyun) = (flags.discover, flags.aliyun.as_deref());
        wish(&run, &Said { domains: &domains, discover, aliyun }, event, &stored, started)
    });
    let wishes = wishes.collect::<Result<_, _>>()?;
    let mut round = Round { run: &run, wishes, stored, unwritable };
    let forgotten = round.remember_all(deadline).await;
    let ends = round.keep_all(deadline).await;
    if let Some(why) = &forgotten {
        run.warn(format!("not remembered, so `certferry renew` will not keep it in step: {why}"));
    }
    let ends = hand_over(&run, ends);
    let mut report = Report::new("hook", started, run.ground.clock.now(), ends);
    report.remembered = Some(forgotten.is_none());
    Ok(Ended::of(&report, global, Form::from(flags.json)))
}

/// The store, if only for reading; and why it cannot be written to. That never stops the upload.
fn store_of(config: &Config) -> (Option<Store>, Option<anyhow::Error>) {
    match Store::open(&config.store.path) {
        Ok(store) => (Some(store), None),
        Err(error) => (Store::existing(&config.store.path).ok().flatten(), Some(error)),
    }
}

impl Round<'_> {
    /// Leaves the claims, then those of which the files tell more. Answers why one could not be left.
    async fn remember_all(&mut self, deadline: Instant) -> Option<String> {
        let mut forgotten: Vec<_> = self.wishes.iter().map(|wish| self.remember(wish)).collect();
        let learn = join_all(self.wishes.iter_mut().map(|wish| wish.learn_names()));
        let learned = tokio::time::timeout_at(deadline, learn).await.unwrap_or_default();
        for (place, _) in learned.iter().enumerate().filter(|(_, has_learned)| **has_learned) {
            forgotten[place] = self.remember(&self.wishes[place]);
        }
        forgotten.into_iter().flatten().next()
    }

    /// Leaves the claim in the store, under no lock; answers why it could not.
    fn remember(&self, wish: &Wish) -> Option<String> {
        let claim = wish.claim.as_ref()?;
        if let Some(error) = &self.unwritable {
            return Some(told::text(error));
        }
        let store = self.run.store.as_ref()?;
        claims::put(self.run, store, claim).err().map(|error| told::text(&error))
    }

    /// Keeps all in step, side by side. What is not done by the deadline is told.
    async fn keep_all(&self, deadline: Instant) -> Ends {
        let kept = self.wishes.iter().map(async |wish| {
            let kept = tokio::time::timeout_at(deadline, self.keep_in_step(wish)).await;
            kept.unwrap_or_else(|_over| self.not_in_time(wish))
        });
        Ends::together(join_all(kept).await)
    }

    /// All claims, with this call's in place of its earlier ones.
    fn all_claims(&self) -> Vec<Claim> {
        let mut all = self.stored.clone();
        for (wish, claim) in
            self.wishes.iter().filter_map(|wish| Some((wish, wish.claim.as_ref()?)))
        {
            all.retain(|old| !wish.is_of(old));
            all.push(claim.clone());
        }
        all
    }

    async fn keep_in_step(&self, wish: &Wish) -> Ends {
        let (run, path) = (self.run, &wish.event.source.path);
        let (mut own, mut all): (Vec<Claim>, Vec<Claim>) =
            self.all_claims().into_iter().partition(|claim| claim.source.path == *path);
        let left_out = claims::settle(run, &mut own).await;
        let wanted: BTreeSet<Target> = own.iter().flat_map(|claim| claim.targets.clone()).collect();
        all.extend(own);
        let mut lost = contest(run, &mut all, |target| wanted.contains(target)).await;
        lost.retain(|one| one.claim.source.path == *path);
        let mut owners = ownership(&run.config, &all);
        let discovery = discover(run, wish, &mut owners).await;
        let Some(lineage) = owners.lineages.iter().find(|lineage| wish.is_for(lineage)) else {
            return self.not_in_time(wish);
        };
        discovery.warn_of(run, &lineage.name);
        self.tell_takeovers(lineage, wish);
        let refused: Vec<_> =
            owners.conflicts.iter().filter(|one| one.lineage == lineage.name).collect();
        let mut ends = walk(run, std::slice::from_ref(lineage), &Asked::default()).await;
        discovery.tell(&mut ends);
        ends.targets.extend(refused.iter().copied().map(owned_by_config));
        ends.targets.extend(lost.into_iter().map(given_up));
        let is_served = ends.targets.iter().any(|end| !is_none(end, lineage, &wish.aliyun));
        ends.targets.extend(left_out.into_iter().map(|one| skipped(lineage, one)));
        for name in &wish.no_domains {
            run.ground.say.line(format!("{name}: skipped; it cannot be a CDN domain"));
        }
        if !is_served && discovery.unlisted(&lineage.name).is_none() {
            let account = lineage.discovers.first().map_or(&wish.aliyun, |wish| &wish.aliyun);
            ends.certificates = vec![no_target(run, account, lineage).await];
        }
        ends
    }

    /// The deadline came before there was anything to tell.
    fn not_in_time(&self, wish: &Wish) -> Ends {
        let why = "not done in time; left to `certferry renew`";
        let owners = ownership(&self.run.config, &self.all_claims());
        let found = owners.lineages.into_iter().find(|lineage| wish.is_for(lineage));
        let lineage = found.unwrap_or_else(|| {
            let (name, names) = (wish.event.name.clone(), wish.event.names.told().to_vec());
            Lineage::bare(name, names, Origin::Source(wish.event.source.clone()))
        });
        let waiting = |owned| TargetEnd::new(&lineage.name, owned, TargetOutcome::Waiting, why);
        let targets = lineage.targets.iter().map(waiting).collect();
        let certificates = vec![CertificateEnd::new(&lineage, None, CertOutcome::Waiting, why)];
        Ends { certificates, targets, warnings: Vec::new() }
    }

    /// A target that another claim held until now: people shall know.
    fn tell_takeovers(&self, lineage: &Lineage, wish: &Wish) {
        let source = &wish.event.source;
        for owned in &lineage.targets {
            let mut holders =
                self.stored.iter().rev().filter(|old| old.targets.contains(&owned.target));
            let Some(old) = holders.next().filter(|old| old.source.path != source.path) else {
                continue;
            };
            let domain = &owned.target.domain.written;
            self.run.ground.say.line(format!("{domain}: from {} over to {source}", old.source));
        }
    }
}

/// Finds what the lineage discovers. Where it discovers nothing, nobody is asked.
async fn discover(run: &Run, wish: &Wish, owners: &mut Ownership) -> Discovery {
    let discovery = discovery::complete(run, owners, |one| wish.is_for(one)).await;
    discovery.remember(run).await;
    discovery
}

/// A target that is none: no CDN domain of the account, or not online.
fn is_none(end: &TargetEnd, lineage: &Lineage, account: &str) -> bool {
    let is_left_out = lineage.left_out.iter().any(|one| one.why == end.reason);
    end.outcome == TargetOutcome::Skipped && (is_left_out || end.reason == no_domain_of(account))
}

/// CDN domains, as somebody has written them.
pub(super) fn targets(wanted: &[String], aliyun: &str) -> Result<Vec<Target>, Refusal> {
    let read = |written: &String| {
        let domain = CdnDomain::read(written).map_err(|why| bad_domain(written, &why))?;
        Ok(Target { aliyun: aliyun.to_owned(), domain })
    };
    wanted.iter().map(read).collect()
}

/// A CDN domain that is none.
pub(super) fn bad_domain(written: &str, why: &str) -> Refusal {
    let what = format!("the CDN domain `{written}` {why}");
    let help = "write it as cdn.example.com, a wildcard CDN domain as *.example.com";
    Refusal::Wrong(told::lines("error", &what, help))
}

/// A target that stays with another claim, whose certificate can go there.
fn given_up(lost: Lost) -> TargetEnd {
    let owned = Owned::plain(lost.target);
    let why = "another claim's certificate goes on there";
    let mut end = TargetEnd::new(&lost.name, &owned, TargetOutcome::Refused, why);
    let help = format!("mend the certificate, or `certferry forget '{}'`", lost.name);
    end.faults = vec![format!("{}; {why}\nhelp: {help}", lost.why)];
    end
}

pub(super) fn owned_by_config(conflict: &Conflict) -> TargetEnd {
    let owned = Owned::plain(conflict.target.clone());
    let why = format!("the configuration gives it to {}", conflict.owner);
    let mut end = TargetEnd::new(&conflict.lineage, &owned, TargetOutcome::Refused, why.as_str());
    end.error = Some(ErrorEnd {
        code: "OwnedByAnother".to_owned(),
        message: why,
        help: format!(
            "take it out of the certificate {} in the configuration, or do not name it here",
            conflict.owner
        ),
        request_id: None,
        retryable: false,
    });
    end
}

fn skipped(lineage: &Lineage, one: LeftOut) -> TargetEnd {
    TargetEnd::new(&lineage.name, &Owned::plain(one.target), TargetOutcome::Skipped, one.why)
}

/// What is not done is left to the timer, if one runs.
fn hand_over(run: &Run, mut ends: Ends) -> Ends {
    let runs = timer_runs(run);
    let mut left = false;
    for end in ends.targets.iter_mut().filter(|end| is_for_the_next_run(end)) {
        if let Some(error) = end.error.as_ref().filter(|_| end.outcome == TargetOutcome::Failed) {
            end.reason = format!("{}; left to `certferry renew`", error.message);
        }
        end.outcome = TargetOutcome::Waiting;
        // What the cloud has accepted needs no timer to become true.
        if runs || end.proof.is_none() {
            end.meanwhile = if runs { Meanwhile::Timer } else { Meanwhile::Nothing };
        }
        left |= !runs;
    }
    let is_again = |end: &CertificateEnd| end.error.as_ref().is_some_and(|error| error.retryable);
    for end in &mut ends.certificates {
        if end.outcome == CertOutcome::Kept && is_again(end) {
            end.outcome = CertOutcome::Waiting;
            "its CDN domains are left to `certferry renew`".clone_into(&mut end.reason);
        }
    }
    for end in ends.certificates.iter_mut().filter(|end| end.outcome == CertOutcome::Waiting) {
        end.meanwhile = if runs { Meanwhile::Timer } else { Meanwhile::Nothing };
        left |= !runs;
    }
    if left {
        run.warn("`certferry renew` must finish this, but has not run in the last 48 hours\nhelp: `systemctl enable --now certferry.timer`, or `certferry renew` once an hour by cron");
    }
    ends.warnings.extend(run.take_warnings());
    ends
}

/// Not done, and the next run may do it.
fn is_for_the_next_run(end: &TargetEnd) -> bool {
    let again = end.error.as_ref().is_some_and(|error| error.retryable);
    end.outcome == TargetOutcome::Waiting || end.outcome == TargetOutcome::Failed && again
}

fn timer_runs(run: &Run) -> bool {
    let noted = run.store.as_ref().map_or(Ok(None), Store::last_renew);
    let last = noted.unwrap_or_else(|damaged| {
        run.warn(told::text(&damaged));
        None
    });
    let age = last.map(|last| run.ground.clock.now().duration_since(last));
    age.is_some_and(|age| !age.is_negative() && age < TIMER_RUNS)
}

#[cfg(test)]
mod tests;
