//! certferry keeps what a CDN serves equal to what it should serve: for one domain or ten thousand.
//!
//! It is level-triggered, like a thermostat. The way through the house, which only this file knows:
//!
//! ```text
//! look    what is: certificates on disk, the CA's word on renewal, what each target serves  -> Seen
//! plan    what to do, and why: a pure function of (Config, Seen, now)     -> Plan, a list of Steps
//! issue   a Step -> a Cert, by ACME
//! check   may this Cert go to this Target? every Fault, not the first     (pure)
//! deploy  a Cert onto a Target; doing it twice is doing it once
//! verify  look again at what was deployed until it is so, or the time is over
//! report  what happened, to people and to machines                        (pure)
//! ```
//!
//! One failure never stops the next step; the exit status comes last. A failed upload heals on the next run.

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

// the way
pub mod config;
pub mod look;
pub mod plan;
pub mod issue;
pub mod check;
pub mod deploy;
pub mod verify;
pub mod report;
// what it walks on
pub mod cert;
pub mod caa;
pub mod persist;
pub mod ari;
pub mod journal;
pub mod store;
pub mod hook;
pub mod challenge;
pub mod dns;
pub mod aliyun;
pub mod http;
pub mod secret;
pub mod ground;
pub mod told;
pub mod run;
// the commands
pub mod cli;
pub mod policy;
pub mod doctor;
pub mod init;
// what tests call
#[cfg(test)]
mod testing;
// what fuzzers call
#[cfg(any(test, fuzzing))]
pub mod hostile;

mod commands;

use aliyun::Effort;
use check::Fault;
use look::OnDisk;
use plan::{Asked, CertOutcome, LeftOut, Lineage, Owned, Plan, Seen, TargetOutcome};
use report::{CertificateEnd, Ends, TargetEnd};
use run::{Looked, Reached, Run};

pub use commands::{Ended, run};

/// Lineages, and targets of a lineage, walked side by side. Issuing and uploading have narrower gates of their own;
/// this bounds memory.
const SIDE_BY_SIDE: usize = 256;

/// A place among those that are walked side by side. With its last clone it is free for the next: a cloud that takes a
/// minute to show its uploads would else hold back those to come.
#[derive(Clone, Default)]
pub(crate) struct Place {
    _permit: Option<Rc<OwnedSemaphorePermit>>,
}

/// The whole way for these lineages. Ends come in their order; one failure stops no other.
pub async fn walk(run: &Run, lineages: &[Lineage], asked: &Asked) -> Ends {
    let wanted: Vec<_> = lineages.iter().filter(|lineage| asked.wants(&lineage.name)).collect();
    let steps: usize = wanted.iter().map(|lineage| 1 + lineage.targets.len()).sum();
    run.ground.say.steps(u64::try_from(steps).unwrap_or(u64::MAX));
    let walks = wanted
        .into_iter()
        .map(|lineage| async move |place: Place| walk_lineage(run, lineage, asked, place).await);
    Ends::together(side_by_side(walks).await)
}

/// One lineage: look, plan, issue if it is due; then each target.
async fn walk_lineage(run: &Run, lineage: &Lineage, asked: &Asked, place: Place) -> Ends {
    let mut disk = run.disk(lineage).await;
    run.ask_renewal(lineage, &mut disk.seen).await;
    let pins = disk.seen.memory.pins.clone();
    let plan = plan_certificate(run, lineage, &disk, asked);
    let (end, mut disk) = match plan.issues(&lineage.name) {
        Some(_) => issue_lineage(run, lineage, disk, asked).await,
        None => (run.kept(lineage, &disk, &plan), disk),
    };
    run.remember(lineage, &pins, &mut disk).await;
    run.ground.say.step_done();
    // A Cert that was just issued is asked about while it is uploaded; of any other, nothing is to be asked again.
    let mut seen = disk.seen.clone();
    let (mut targets, ()) = tokio::join!(
        walk_targets(run, lineage, &disk, asked, place),
        run.ask_renewal(lineage, &mut seen)
    );
    targets.extend(lineage.left_out.iter().map(|one| left_out(lineage, one)));
    run.keep_version(lineage, &disk).await;
    if end.outcome == CertOutcome::Issued {
        run.prune(lineage).await;
    }
    Ends { certificates: vec![end], targets, warnings: Vec::new() }
}

/// Issues under the lineage's lock. Whoever held it before may have done the work: look and plan again.
async fn issue_lineage(
    run: &Run,
    lineage: &Lineage,
    disk: OnDisk,
    asked: &Asked,
) -> (CertificateEnd, OnDisk) {
    let _lock = match run.lock_lineage(lineage).await {
        Ok(lock) => lock,
        Err(error) => return (run.not_issued(lineage, &disk, &error), disk),
    };
    let mut disk = run.disk(lineage).await;
    let plan = plan_certificate(run, lineage, &disk, asked);
    let Some(step) = plan.issues(&lineage.name) else {
        return (run.kept(lineage, &disk, &plan), disk);
    };
    let turns = plan::turns(lineage, &disk.seen, asked, run.ground.clock.now());
    match run.issue(lineage, &disk.seen, &turns).await {
        Ok(issued) => {
            let newest = run.disk(lineage).await;
            (run.issued(lineage, &newest, &step.reason, &issued), newest)
        }
        Err(failure) => {
            disk.seen.tried = true;
            (run.not_issued(lineage, &disk, &failure), disk)
        }
    }
}

/// The targets of a lineage, side by side. Its own place is free when all of them are reached.
pub(crate) async fn walk_targets(
    run: &Run,
    lineage: &Lineage,
    disk: &OnDisk,
    asked: &Asked,
    of_lineage: Place,
) -> Vec<TargetEnd> {
    let walks = lineage.targets.iter().map(move |owned| {
        let of_lineage = of_lineage.clone();
        async move |place: Place| {
            let reached = reach_target(run, lineage, owned, disk, asked);
            let reached = run.in_time(lineage, owned, reached).await;
            drop((place, of_lineage));
            let mut end = match reached {
                Reached::Ended(end) => *end,
                // From here on the upload is told whatever happens.
                Reached::Deployed(out, end) => run.verify(owned, &out, *end).await,
            };
            if end.outcome == TargetOutcome::Waiting {
                let now = run.ground.clock.now();
                end.pinned = plan::pinned(&disk.seen, &owned.target, now).is_some();
            }
            run.ground.say.step_done();
            end
        }
    });
    side_by_side(walks).await
}

/// One target: look, plan, check, deploy. While the cloud configures it, gate and lock are free for others, and all is
/// looked at again before the next try.
async fn reach_target(
    run: &Run,
    lineage: &Lineage,
    owned: &Owned,
    disk: &OnDisk,
    asked: &Asked,
) -> Reached {
    let mut effort = Effort::default();
    loop {
        let reached = try_target(run, lineage, owned, disk, asked, &mut effort).await;
        let Some(rest) = effort.rest() else { return reached };
        run.rest(owned, &effort, rest).await;
    }
}

async fn try_target(
    run: &Run,
    lineage: &Lineage,
    owned: &Owned,
    disk: &OnDisk,
    asked: &Asked,
    effort: &mut Effort,
) -> Reached {
    let out = match decide(run, lineage, owned, disk, asked).await {
        Looked::OutOfStep(out) => out,
        Looked::Settled(end) => return Reached::Ended(end),
    };
    let _gate = run.upload_gate().await;
    let lock = match run.lock_target(&owned.target).await {
        Ok(lock) => lock,
        Err(why) => return Reached::Ended(Box::new(run.waiting(lineage, owned, &why))),
    };
    // While we waited, another run may have done the work, or the lineage may have been renewed.
    let newest = run.newest(lineage, disk).await;
    let has_changed = newest.is_some() || lock.as_ref().is_some_and(|lock| lock.waited);
    let disk = newest.as_ref().unwrap_or(disk);
    let out = match has_changed {
        false => out,
        true => match decide(run, lineage, owned, disk, asked).await {
            Looked::OutOfStep(out) => out,
            Looked::Settled(end) => return Reached::Ended(end),
        },
    };
    match run.deploy(lineage, owned, &out, effort).await {
        Ok(mut end) => {
            end.pinned = out.pinned;
            Reached::Deployed(out, Box::new(end))
        }
        Err(mut end) => {
            end.pinned = out.pinned;
            Reached::Ended(end)
        }
    }
}

/// Must this target be deployed, and may it be?
async fn decide(
    run: &Run,
    lineage: &Lineage,
    owned: &Owned,
    disk: &OnDisk,
    asked: &Asked,
) -> Looked {
    let now = run.ground.clock.now();
    let wanted = plan::wanted(&disk.seen, &owned.target, now);
    let cert = wanted.as_ref().ok().and_then(|wanted| disk.cert_of(wanted));
    let (Ok(wanted), Some(cert)) = (&wanted, cert) else {
        let why = wanted.err().unwrap_or_else(|| "there is no certificate to deploy".to_owned());
        return Looked::Settled(Box::new(run.nothing_to_deploy(lineage, owned, disk, &why)));
    };
    let looked = run.look(lineage, owned, (cert, wanted.pin), disk, asked).await;
    let faults = check::check(cert, &owned.target.domain, &run.roots, now);
    match looked {
        Looked::Settled(end) if end.outcome == TargetOutcome::Failed => {
            Looked::Settled(Box::new(end.with_faults(in_words(&faults))))
        }
        Looked::OutOfStep(_) if !faults.is_empty() => {
            let mut end = refused(&lineage.name, owned, &faults);
            end.pinned = wanted.pin.is_some();
            Looked::Settled(Box::new(end))
        }
        Looked::Settled(_) | Looked::OutOfStep(_) => looked,
    }
}

/// The end of a target that was found and is none as things are.
fn left_out(lineage: &Lineage, one: &LeftOut) -> TargetEnd {
    let owned = Owned::plain(one.target.clone());
    TargetEnd::new(&lineage.name, &owned, TargetOutcome::Skipped, one.why.as_str())
}

/// All of them at once, as far as there are places; a slow one holds back no other. Answers in their order.
async fn side_by_side<T>(walks: impl Iterator<Item = impl AsyncFnOnce(Place) -> T>) -> Vec<T> {
    let places = Arc::new(Semaphore::new(SIDE_BY_SIDE));
    let mut waiting: VecDeque<_> = walks.enumerate().collect();
    let (mut under_way, mut ends) = (FuturesUnordered::new(), Vec::with_capacity(waiting.len()));
    loop {
        let place = Arc::clone(&places).acquire_owned();
        tokio::select! {
            Ok(place) = place, if !waiting.is_empty() => {
                let place = Place { _permit: Some(Rc::new(place)) };
                under_way.extend(waiting.pop_front().map(|(number, walk)| async move {
                    (number, walk(place).await)
                }));
            }
            Some(end) = under_way.next() => ends.push(end),
            else => break,
        }
    }
    ends.sort_by_key(|(number, _)| *number);
    ends.into_iter().map(|(_, end)| end).collect()
}

/// The end of a target onto which our own checks let no Cert with these faults.
pub(crate) fn refused(lineage: &str, owned: &Owned, faults: &[Fault]) -> TargetEnd {
    let why = "our own checks forbid it";
    TargetEnd::new(lineage, owned, TargetOutcome::Refused, why).with_faults(in_words(faults))
}

/// Faults in the words of the report: each with its remedy.
fn in_words(faults: &[Fault]) -> Vec<String> {
    faults.iter().map(|fault| format!("{fault}\nhelp: {}", fault.help())).collect()
}

/// The plan of a lineage's certificate; its targets are planned when they have been looked at.
fn plan_certificate(run: &Run, lineage: &Lineage, disk: &OnDisk, asked: &Asked) -> Plan {
    let lineages = [(lineage.name.clone(), disk.seen.clone())].into();
    let seen = Seen { lineages, ..Seen::default() };
    plan::plan(std::slice::from_ref(lineage), &seen, asked, run.ground.clock.now())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test]
    async fn a_slow_one_holds_back_no_other() {
        let others = SIDE_BY_SIDE * 2;
        let (done, all) = (Cell::new(0), tokio::sync::Notify::new());
        let (done, all) = (&done, &all);
        let walks = (0..=others).map(|number| {
            async move |_place: Place| {
                if number == 0 {
                    all.notified().await;
                } else {
                    done.set(done.get() + 1);
                }
                if done.get() == others {
                    all.notify_one();
                }
                number
            }
        });
        let ends = side_by_side(walks).await;
        assert!(ends.into_iter().eq(0..=others), "in their order");
    }

    /// As many as there are places, all of which wait for one that comes after them.
    #[tokio::test]
    async fn a_place_that_is_free_is_for_the_next() {
        let last = SIDE_BY_SIDE;
        let (came, under_way) = (Semaphore::new(0), Cell::new(0_usize));
        let (came, under_way) = (&came, &under_way);
        let walks = (0..=last).map(|number| {
            async move |place: Place| {
                under_way.set(under_way.get() + 1);
                assert!(under_way.get() <= SIDE_BY_SIDE);
                tokio::task::yield_now().await;
                under_way.set(under_way.get() - 1);
                drop(place);
                if number == last {
                    came.add_permits(last);
                }
                let _came = came.acquire().await;
            }
        });
        assert_eq!(side_by_side(walks).await.len(), last + 1);
    }
}
