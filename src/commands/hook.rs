//! `hook`: another ACME client has a new certificate. Only a hint to run early: the claim comes first.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::claims::source_of;
use super::contest::{Lost, contest};
use super::discovery::{self, Discovery};
use super::no_target::no_target;
use super::{Ended, Form, Refusal, account_of, claims, configured_or_not, open, told_error};
use crate::cli::{Global, Hook as Flags};
use crate::config::{CdnDomain, Certificate, Config, Target};
use crate::ground::Ground;
use crate::hook::{self, Event};
use crate::journal::Claim;
use crate::look;
use crate::plan::{
    Asked, CertOutcome, Conflict, LeftOut, Lineage, Origin, Owned, Ownership, TargetOutcome,
    ownership,
};
use crate::report::{CertificateEnd, Ends, ErrorEnd, Meanwhile, Report, TargetEnd};
use crate::run::{Run, no_domain_of};
use crate::store::Store;
use crate::{told, walk};

/// A timer that has not run for two days does not run: it is set to every hour.
const TIMER_RUNS: SignedDuration = SignedDuration::from_hours(48);

/// What is left of the deadline for telling how far we came.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// What the hook was asked to do.
struct Wish {
    /// The folder by which the lineage is known: the config's, if the config has it.
    event: Event,
    /// What is left in the store; none where the config says all of it.
    claim: Option<Claim>,
    /// The account of guessed targets.
    aliyun: String,
    /// Names of the certificate that cannot be CDN domains.
    no_domains: Vec<String>,
    /// The claims of earlier calls.
    stored: Vec<Claim>,
}

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let started = ground.clock.now();
    let deadline = Instant::now() + Duration::from_secs(flags.deadline);
    let event = hook::certbot(|name| ground.env.var(name))
        .map_err(|error| Refusal::Wrong(told_error(&error.into())))?;
    let config = configured_or_not(global, &ground)?;
    let (store, unwritable) = store_of(&config);
    let mut run = open(config, store, ground)?;
    run.deadline = Some(deadline - LAST_WORDS);
    let mut wish = wish(&run, flags, event, started)?;
    let mut forgotten = remember(&run, &wish, unwritable.as_ref());
    let kept = async {
        if wish.learn_names(started).await {
            forgotten = remember(&run, &wish, unwritable.as_ref());
        }
        keep_in_step(&run, &wish).await
    };
    let ends = match tokio::time::timeout_at(deadline, kept).await {
        Ok(ends) => ends,
        Err(_over) => not_in_time(&run, &wish),
    };
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

/// What this call means: by the flags, then the config, then an earlier call that named targets, then the
/// certificate's names.
fn wish(run: &Run, flags: &Flags, mut event: Event, now: Timestamp) -> Result<Wish, Refusal> {
    let aliyun = account_of(&run.config, flags.aliyun.as_deref())?;
    event.source = source_of(&run.config, &event.source);
    let configured = configured_lineage(&run.config, &event);
    if let Some(source) = configured.and_then(|certificate| certificate.source.clone()) {
        event.source = source;
    }
    let stored = claims::stored(run).unwrap_or_else(|error| {
        run.warn(told::text(&error));
        Vec::new()
    });
    // An entry of the config that says nothing of CDN domains leaves it to the flag.
    let says = |one: &Certificate| !flags.discover || !one.deploy.is_empty();
    let is_known = configured.is_some_and(says) && flags.domains.is_empty();
    let mut wish = Wish { event, claim: None, aliyun, no_domains: Vec::new(), stored };
    if is_known {
        return Ok(wish);
    }
    let earlier = wish.stored.iter().find(|old| wish.is_of(old)).cloned();
    let is_asked = flags.discover || !flags.domains.is_empty();
    let (targets, discovers) = match earlier.as_ref().filter(|old| !old.guessed) {
        Some(named) if !is_asked => (named.targets.clone(), named.discovers.clone()),
        _ if is_asked => {
            let discovers = flags.discover.then(|| wish.aliyun.clone());
            (targets(&flags.domains, &wish.aliyun)?, discovers)
        }
        _ => {
            wish.guess(earlier, now);
            return Ok(wish);
        }
    };
    let new = wish.new_claim(now);
    wish.claim = Some(Claim { targets, discovers, guessed: false, ..new });
    Ok(wish)
}

impl Wish {
    fn is_of(&self, claim: &Claim) -> bool {
        (claim.client.as_str(), &claim.source) == (self.event.client, &self.event.source)
    }

    /// The certificate's names stand for its targets; without names, what an earlier call told.
    fn guess(&mut self, earlier: Option<Claim>, now: Timestamp) {
        if let (true, Some(earlier)) = (self.event.names.is_empty(), earlier) {
            self.claim = Some(Claim { at: now, ..earlier });
            return;
        }
        let mut targets = Vec::new();
        for name in &self.event.names {
            match CdnDomain::read(name) {
                Ok(domain) => targets.push(Target { aliyun: self.aliyun.clone(), domain }),
                Err(_) => self.no_domains.push(name.clone()),
            }
        }
        self.claim = Some(Claim { targets, guessed: true, ..self.new_claim(now) });
    }

    /// Called by hand, nobody tells the names: then the files do. Is the claim another one now?
    async fn learn_names(&mut self, now: Timestamp) -> bool {
        let is_empty = |claim: &Claim| claim.guessed && claim.targets.is_empty();
        if !self.event.names.is_empty() || !self.claim.as_ref().is_some_and(is_empty) {
            return false;
        }
        let Some(cert) = look::cert_of(&self.event.source).await else { return false };
        self.event.names.clone_from(&cert.leaf().names);
        self.guess(None, now);
        true
    }

    fn new_claim(&self, now: Timestamp) -> Claim {
        Claim {
            client: self.event.client.to_owned(),
            source: self.event.source.clone(),
            name: self.event.name.clone(),
            names: self.event.names.clone(),
            targets: Vec::new(),
            guessed: true,
            discovers: None,
            at: now,
        }
    }
}

/// The certificate of the config that is this lineage: by its folder, else a `source` of the same name.
fn configured_lineage<'a>(config: &'a Config, event: &Event) -> Option<&'a Certificate> {
    let sources = || config.certificates.iter().filter(|certificate| certificate.source.is_some());
    sources()
        .find(|certificate| certificate.source.as_ref() == Some(&event.source))
        .or_else(|| sources().find(|certificate| certificate.name == event.name))
}

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

/// Leaves the claim in the store, under no lock; answers why it could not.
fn remember(run: &Run, wish: &Wish, unwritable: Option<&anyhow::Error>) -> Option<String> {
    let claim = wish.claim.as_ref()?;
    if let Some(error) = unwritable {
        return Some(told::text(error));
    }
    let store = run.store.as_ref()?;
    claims::put(run, store, claim).err().map(|error| told::text(&error))
}

/// All claims, with this call's in place of its earlier one.
fn all_claims(wish: &Wish) -> Vec<Claim> {
    let mut all = wish.stored.clone();
    if let Some(claim) = &wish.claim {
        all.retain(|old| !wish.is_of(old));
        all.push(claim.clone());
    }
    all
}

async fn keep_in_step(run: &Run, wish: &Wish) -> Ends {
    let (mut own, mut all): (Vec<Claim>, Vec<Claim>) =
        all_claims(wish).into_iter().partition(|claim| claim.source == wish.event.source);
    let left_out = claims::settle(run, &mut own).await;
    let wanted: BTreeSet<Target> = own.iter().flat_map(|claim| claim.targets.clone()).collect();
    all.extend(own);
    let mut lost = contest(run, &mut all, |target| wanted.contains(target)).await;
    lost.retain(|one| one.claim.source == wish.event.source);
    let mut owners = ownership(&run.config, &all);
    let discovery = discover(run, wish, &mut owners).await;
    let Some(lineage) = owners.lineages.iter().find(|lineage| is_this(lineage, &wish.event)) else {
        return not_in_time(run, wish);
    };
    discovery.warn_of(run, &lineage.name);
    tell_takeovers(run, lineage, wish);
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

/// Finds what the lineage discovers. Where it discovers nothing, nobody is asked.
async fn discover(run: &Run, wish: &Wish, owners: &mut Ownership) -> Discovery {
    let discovery = discovery::complete(run, owners, |one| is_this(one, &wish.event)).await;
    discovery.remember(run).await;
    discovery
}

/// A target that is none: no CDN domain of the account, or not online.
fn is_none(end: &TargetEnd, lineage: &Lineage, account: &str) -> bool {
    let is_left_out = lineage.left_out.iter().any(|one| one.why == end.reason);
    end.outcome == TargetOutcome::Skipped && (is_left_out || end.reason == no_domain_of(account))
}

/// The deadline came before there was anything to tell.
fn not_in_time(run: &Run, wish: &Wish) -> Ends {
    let why = "not done in time; left to `certferry renew`";
    let owners = ownership(&run.config, &all_claims(wish));
    let found = owners.lineages.into_iter().find(|lineage| is_this(lineage, &wish.event));
    let lineage = found.unwrap_or_else(|| {
        let origin = Origin::Source(wish.event.source.clone());
        Lineage::bare(wish.event.name.clone(), wish.event.names.clone(), origin)
    });
    let waiting = |owned| TargetEnd::new(&lineage.name, owned, TargetOutcome::Waiting, why);
    let targets = lineage.targets.iter().map(waiting).collect();
    let certificates = vec![CertificateEnd::new(&lineage, None, CertOutcome::Waiting, why)];
    Ends { certificates, targets, warnings: Vec::new() }
}

fn is_this(lineage: &Lineage, event: &Event) -> bool {
    match &lineage.origin {
        Origin::Source(source) | Origin::Claimed { source, .. } => *source == event.source,
        Origin::Issued(_) | Origin::Given => false,
    }
}

/// A target that another claim held until now: people shall know.
fn tell_takeovers(run: &Run, lineage: &Lineage, wish: &Wish) {
    for owned in &lineage.targets {
        let mut holders =
            wish.stored.iter().rev().filter(|old| old.targets.contains(&owned.target));
        let Some(old) = holders.next().filter(|old| old.source != wish.event.source) else {
            continue;
        };
        run.ground.say.line(format!(
            "{}: from {} over to {}",
            owned.target.domain.written,
            old.source.display(),
            wish.event.source.display()
        ));
    }
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
