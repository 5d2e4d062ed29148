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

use futures_util::StreamExt;
use futures_util::stream;

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
mod commands;

use check::Fault;
use look::OnDisk;
use plan::{Asked, CertOutcome, Lineage, Owned, Plan, Seen, TargetOutcome};
use report::{CertificateEnd, Ends, TargetEnd};
use run::{Looked, Reached, Run};

pub use commands::{Ended, run};

/// Lineages, and targets of a lineage, walked side by side. Issuing and uploading have narrower gates of their own;
/// this bounds memory.
const SIDE_BY_SIDE: usize = 256;

/// The whole way for these lineages. Ends come in their order; one failure stops no other.
pub async fn walk(run: &Run, lineages: &[Lineage], asked: &Asked) -> Ends {
    let wanted: Vec<_> = lineages.iter().filter(|lineage| asked.wants(&lineage.name)).collect();
    let steps: usize = wanted.iter().map(|lineage| 1 + lineage.targets.len()).sum();
    run.ground.say.steps(u64::try_from(steps).unwrap_or(u64::MAX));
    let walks = wanted.into_iter().map(|lineage| walk_lineage(run, lineage, asked));
    Ends::together(side_by_side(walks).await)
}

/// One lineage: look, plan, issue if it is due; then each target.
async fn walk_lineage(run: &Run, lineage: &Lineage, asked: &Asked) -> Ends {
    let mut disk = run.disk(lineage).await;
    run.ask_renewal(lineage, &mut disk.seen).await;
    let plan = plan_certificate(run, lineage, &disk, asked);
    let (end, mut disk) = match plan.issues(&lineage.name) {
        Some(_) => issue_lineage(run, lineage, disk, asked).await,
        None => (run.kept(lineage, &disk, &plan), disk),
    };
    run.remember_succession(lineage, &mut disk).await;
    run.ground.say.step_done();
    // A Cert that was just issued is asked about while it is uploaded; of any other, nothing is to be asked again.
    let mut seen = disk.seen.clone();
    let (targets, ()) =
        tokio::join!(walk_targets(run, lineage, &disk, asked), run.ask_renewal(lineage, &mut seen));
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
    match run.issue(lineage).await {
        Ok(_cert) => {
            let newest = run.disk(lineage).await;
            let leaf = newest.seen.leaf.as_ref();
            let reason = step.reason.as_str();
            (CertificateEnd::new(lineage, leaf, CertOutcome::Issued, reason), newest)
        }
        Err(failure) => {
            disk.seen.tried = true;
            (run.not_issued(lineage, &disk, &failure), disk)
        }
    }
}

/// The targets of a lineage, side by side.
pub(crate) async fn walk_targets(
    run: &Run,
    lineage: &Lineage,
    disk: &OnDisk,
    asked: &Asked,
) -> Vec<TargetEnd> {
    let walks = lineage.targets.iter().map(|owned| async move {
        let reached = reach_target(run, lineage, owned, disk, asked);
        let end = match run.in_time(lineage, owned, reached).await {
            Reached::Ended(end) => *end,
            // From here on the upload is told whatever happens.
            Reached::Deployed(out, end) => run.verify(owned, &out, *end).await,
        };
        run.ground.say.step_done();
        end
    });
    side_by_side(walks).await
}

/// One target: look, plan, check, deploy.
async fn reach_target(
    run: &Run,
    lineage: &Lineage,
    owned: &Owned,
    disk: &OnDisk,
    asked: &Asked,
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
    match run.deploy(lineage, owned, &out).await {
        Ok(end) => Reached::Deployed(out, Box::new(end)),
        Err(end) => Reached::Ended(end),
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
    let Some(cert) = &disk.cert else {
        let why = "there is no certificate to deploy";
        let end = TargetEnd::new(&lineage.name, owned, TargetOutcome::Skipped, why);
        return Looked::Settled(Box::new(end));
    };
    let looked = run.look(lineage, owned, cert, disk, asked).await;
    let faults = check::check(cert, &owned.target.domain, &run.roots, run.ground.clock.now());
    match looked {
        Looked::Settled(end) if end.outcome == TargetOutcome::Failed => {
            Looked::Settled(Box::new(end.with_faults(in_words(&faults))))
        }
        Looked::OutOfStep(_) if !faults.is_empty() => {
            let why = "our own checks forbid it";
            let end = TargetEnd::new(&lineage.name, owned, TargetOutcome::Refused, why);
            Looked::Settled(Box::new(end.with_faults(in_words(&faults))))
        }
        Looked::Settled(_) | Looked::OutOfStep(_) => looked,
    }
}

/// All of them at once, up to a limit; a slow one holds back no other. Answers in their order.
async fn side_by_side<T>(walks: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let numbered = walks.enumerate().map(|(number, walk)| async move { (number, walk.await) });
    let mut ends: Vec<(usize, T)> =
        stream::iter(numbered).buffer_unordered(SIDE_BY_SIDE).collect().await;
    ends.sort_by_key(|(number, _)| *number);
    ends.into_iter().map(|(_, end)| end).collect()
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
        let walks = (0..=others).map(|number| async move {
            if number == 0 {
                all.notified().await;
            } else {
                done.set(done.get() + 1);
            }
            if done.get() == others {
                all.notify_one();
            }
            number
        });
        let ends = side_by_side(walks).await;
        assert!(ends.into_iter().eq(0..=others), "in their order");
    }
}
