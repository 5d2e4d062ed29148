//! `rollback`: an earlier version of a lineage back onto its targets, and pinned there. It makes no order, ever.

use anyhow::{Context, anyhow};

use super::{Ended, Form, Refusal, claims, configured_or_not, open, renew, told_error};
use crate::cert::{Cert, Fingerprint, Leaf};
use crate::check::check;
use crate::cli::{Global, Rollback as Flags, To};
use crate::ground::Ground;
use crate::journal::Pin;
use crate::look::OnDisk;
use crate::plan::{Asked, CertOutcome, Lineage, Owned, Unusable, earlier, ownership, pinned_until};
use crate::report::{self, CertificateEnd, Ends, Report, Version, Versions, minute};
use crate::run::Run;
use crate::store::Store;
use crate::{Place, refused, walk_targets};

/// What is to go back.
enum Choice {
    /// Nothing: the newest goes out again.
    Newest,
    /// The version with this number.
    Earlier(u32, Box<Cert>),
}

/// The versions of a lineage that are kept, the oldest first.
type Kept = Vec<(u32, Leaf)>;

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let started = ground.clock.now();
    let config = configured_or_not(global, &ground)?;
    if flags.list {
        let store = Store::existing(&config.store.path)?;
        return list(flags, &open(config, store, ground)?).await;
    }
    let store = Store::open(&config.store.path)?;
    let run = open(config, Some(store.clone()), ground)?;
    let named = std::slice::from_ref(&flags.name);
    let (lineages, discovery) = claims::lineages(&run, named).await?;
    let lineage = find(&run, flags, &lineages)?;
    let mut disk = run.disk(lineage).await;
    let pins = disk.seen.memory.pins.clone();
    run.remember(lineage, &pins, &mut disk).await;
    run.keep_version(lineage, &disk).await;
    let mut ends = match choose(&run, &store, lineage, &disk, flags.to)? {
        Choice::Newest => to_newest(&run, &store, lineage, &disk).await?,
        Choice::Earlier(number, cert) => to(&run, &store, lineage, number, &cert).await?,
    };
    discovery.tell(&mut ends);
    ends.warnings.extend(run.take_warnings());
    let report = Report::new("rollback", started, run.ground.clock.now(), ends);
    Ok(Ended::of(&report, global, Form::from(flags.json)))
}

/// The versions that there are. It takes no lock and writes nothing.
async fn list(flags: &Flags, run: &Run) -> Result<Ended, Refusal> {
    let owners = ownership(&run.config, &claims::stored(run)?);
    let lineage = find(run, flags, &owners.lineages)?;
    let disk = run.disk(lineage).await;
    let kept = match &run.store {
        Some(store) => kept(store, lineage)?,
        None => Kept::new(),
    };
    let versions = versions(run, lineage, &disk, &kept);
    let stdout = match Form::from(flags.json) {
        Form::Json => versions.json(),
        Form::Text => versions.text(),
    };
    Ok(Ended { stdout, stderr: super::plan::warnings(run), code: 0 })
}

fn find<'a>(run: &Run, flags: &Flags, lineages: &'a [Lineage]) -> Result<&'a Lineage, Refusal> {
    renew::refuse_nothing(&run.config, lineages)?;
    renew::known(std::slice::from_ref(&flags.name), lineages)?;
    let found = lineages.iter().find(|lineage| lineage.name == flags.name);
    let found = found.context("there is no such certificate")?;
    if !flags.list && found.targets.is_empty() {
        return Err(anyhow!("no CDN domain serves {}", found.name).into());
    }
    Ok(found)
}

fn choose(
    run: &Run,
    store: &Store,
    lineage: &Lineage,
    disk: &OnDisk,
    to: Option<To>,
) -> Result<Choice, Refusal> {
    let kept = kept(store, lineage)?;
    let number = match to {
        Some(To::Latest) => return Ok(Choice::Newest),
        Some(To::Version(number)) => {
            let is_kept = kept.iter().any(|(version, _)| *version == number);
            let what = || format!("{} has no version {number}", lineage.name);
            is_kept.then_some(number).ok_or_else(|| {
                let none = no_version(run, lineage, disk, &kept, &what());
                Refusal::Wrong(told_error(&none))
            })?
        }
        None => {
            let numbers: Vec<_> =
                kept.iter().map(|(number, leaf)| (*number, leaf.fingerprint)).collect();
            let before = now_served(disk).and_then(|leaf| earlier(&numbers, leaf));
            let what = || format!("no earlier version of {} is kept", lineage.name);
            before.ok_or_else(|| no_version(run, lineage, disk, &kept, &what()))?
        }
    };
    let cert = store.version(&lineage.memory(), number)?;
    let cert = cert.with_context(|| format!("version {number} has just been dropped"))?;
    if disk.seen.memory.revoked.contains(&cert.leaf().fingerprint) {
        let what = format!("version {number} of {} was revoked and goes out no more", lineage.name);
        return Err(no_version(run, lineage, disk, &kept, &what).into());
    }
    let newest = disk.seen.leaf.as_ref().map(|leaf| leaf.fingerprint);
    match newest == Some(cert.leaf().fingerprint) {
        true => Ok(Choice::Newest),
        false => Ok(Choice::Earlier(number, Box::new(cert))),
    }
}

/// The leaf that the lineage's targets are to serve now.
fn now_served(disk: &OnDisk) -> Option<Fingerprint> {
    let memory = &disk.seen.memory;
    let pin = memory.pins.iter().find(|pin| pin.target.is_none()).map(|pin| pin.fingerprint);
    let newest = disk.seen.leaf.as_ref().map(|leaf| leaf.fingerprint);
    pin.or(newest).or_else(|| memory.succession.last().copied())
}

fn kept(store: &Store, lineage: &Lineage) -> anyhow::Result<Kept> {
    let name = lineage.memory();
    let mut kept = Kept::new();
    for number in store.versions(&name)? {
        kept.extend(store.version_leaf(&name, number)?.map(|leaf| (number, leaf)));
    }
    Ok(kept)
}

fn versions(run: &Run, lineage: &Lineage, disk: &OnDisk, kept: &[(u32, Leaf)]) -> Versions {
    let seen = &disk.seen;
    let marked = |(number, leaf): &(u32, Leaf)| {
        let is_it = |fingerprint: Fingerprint| fingerprint == leaf.fingerprint;
        let has_taken = |owned: &&Owned| {
            let memory = run.store.as_ref().and_then(|store| store.target(&owned.target).ok());
            memory.and_then(|memory| memory.taken).is_some_and(|taken| is_it(taken.fingerprint))
        };
        let taken_by = lineage.targets.iter().filter(has_taken);
        Version {
            newest: seen.leaf.as_ref().is_some_and(|newest| is_it(newest.fingerprint)),
            pinned: seen.memory.pins.iter().any(|pin| is_it(pin.fingerprint)),
            revoked: seen.memory.revoked.contains(&leaf.fingerprint),
            taken_by: taken_by.map(|owned| owned.target.domain.written.clone()).collect(),
            ..Version::new(*number, leaf)
        }
    };
    let (schema, name) = (report::SCHEMA, lineage.name.clone());
    Versions { schema, name, versions: kept.iter().map(marked).collect() }
}

fn no_version(
    run: &Run,
    lineage: &Lineage,
    disk: &OnDisk,
    kept: &[(u32, Leaf)],
    what: &str,
) -> anyhow::Error {
    let lines = versions(run, lineage, disk, kept).lines();
    let help = match (run.config.store.keep_versions, lines.is_empty()) {
        (0, _) => "`keep_versions = 0` in [store] keeps no earlier version: let it keep some",
        (_, true) => "versions are kept from the first `certferry renew` on",
        (_, false) => "--to takes one of these numbers; `latest` ends a pin",
    };
    let there = match lines.is_empty() {
        true => "there is none".to_owned(),
        false => format!("there are\n{}", lines.join("\n")),
    };
    anyhow!("{what}; {there}\nhelp: {help}")
}

/// Ends the pins; the newest goes out.
async fn to_newest(
    run: &Run,
    store: &Store,
    lineage: &Lineage,
    disk: &OnDisk,
) -> anyhow::Result<Ends> {
    let Some(newest) = &disk.seen.leaf else {
        let why = match &disk.seen.unusable {
            Some(Unusable::Damaged(why) | Unusable::Unread(why)) => why.as_str(),
            None => "there is none",
        };
        return Err(anyhow!("the newest version of {} cannot go out: {why}", lineage.name));
    };
    if disk.seen.is_revoked() {
        return Err(anyhow!(
            "the newest version of {0} cannot go out: it was revoked\nhelp: `certferry renew '{0}'` obtains a new one, which ends the pin",
            lineage.name
        ));
    }
    store.update_lineage(&lineage.memory(), |memory| memory.pins.clear())?;
    let disk = run.disk(lineage).await;
    let targets = walk_targets(run, lineage, &disk, &Asked::default(), Place::default()).await;
    let reason = "the newest; nothing is pinned";
    let end = CertificateEnd::new(lineage, Some(newest), CertOutcome::Kept, reason);
    Ok(Ends { certificates: vec![end], targets, warnings: Vec::new() })
}

/// Pins a version and puts it onto the targets. Where our own checks forbid it on all of them, nothing is pinned.
async fn to(
    run: &Run,
    store: &Store,
    lineage: &Lineage,
    number: u32,
    cert: &Cert,
) -> anyhow::Result<Ends> {
    let (now, leaf) = (run.ground.clock.now(), cert.leaf());
    let faults = |owned: &Owned| check(cert, &owned.target.domain, &run.roots, now);
    let (fit, unfit): (Vec<_>, Vec<_>) = lineage
        .targets
        .iter()
        .map(|owned| (owned, faults(owned)))
        .partition(|(_, faults)| faults.is_empty());
    let refused = unfit.iter().map(|(owned, faults)| refused(&lineage.name, owned, faults));
    let mut targets: Vec<_> = refused.collect();
    let mut reason = format!("version {number}; it was not put back");
    if !fit.is_empty() {
        let until = pinned_until(leaf, now);
        hold(
            run,
            store,
            lineage,
            Pin { fingerprint: leaf.fingerprint, target: None, at: now, until },
        )
        .await?;
        let fit = fit.into_iter().map(|(owned, _)| owned.clone()).collect();
        let lineage = Lineage { targets: fit, ..lineage.clone() };
        let disk = run.disk(&lineage).await;
        targets
            .extend(walk_targets(run, &lineage, &disk, &Asked::default(), Place::default()).await);
        reason = format!("version {number}, pinned until {}", minute(until));
    }
    let end = CertificateEnd::new(lineage, Some(leaf), CertOutcome::Kept, reason);
    Ok(Ends { certificates: vec![end], targets, warnings: Vec::new() })
}

/// The pin in place of all others of the lineage. The newest Cert is remembered with it: one that comes later ends it.
async fn hold(run: &Run, store: &Store, lineage: &Lineage, pin: Pin) -> anyhow::Result<()> {
    let newest = run.disk(lineage).await.seen.leaf.map(|leaf| leaf.fingerprint);
    let mut others = Vec::new();
    store.update_lineage(&lineage.memory(), |memory| {
        if let Some(newest) = newest {
            memory.succeed(newest);
        }
        others = std::mem::replace(&mut memory.pins, vec![pin]);
    })?;
    for target in others.into_iter().filter_map(|pin| pin.target) {
        run.warn(format!("{}: what was pinned there by hand is no longer", target.domain.written));
    }
    Ok(())
}
