//! `deploy --pin`: a certificate given by hand, held where a lineage would put its own.

use std::collections::BTreeMap;

use anyhow::Context;

use super::claims;
use crate::cert::Cert;
use crate::check::check;
use crate::config::Target;
use crate::journal::{LineageMemory, Pin};
use crate::plan::{Lineage, LineageSeen, Owned, pinned_until};
use crate::run::Run;
use crate::store::Store;

/// The targets as their owners want them, and the pins on them.
pub(super) struct Pinned {
    pub(super) targets: Vec<Owned>,
    pub(super) pins: Vec<Pin>,
}

const NO_STORE: &str = "without a store nothing can be pinned\n\
    help: give [store] a path that can be written to, or deploy without --pin";

/// Pins a Cert onto those of the targets that a lineage owns and that it may go to. It is kept in the store first:
/// without it nothing could be put right.
pub(super) async fn pin(run: &Run, cert: &Cert, targets: &[Target]) -> anyhow::Result<Pinned> {
    let (lineages, _discovery) = claims::lineages(run, &[]).await?;
    let mut held = Pinned { targets: Vec::new(), pins: Vec::new() };
    let mut owners = Vec::new();
    for target in targets {
        let Some((lineage, owned)) = owner(&lineages, target) else {
            let domain = &target.domain.written;
            run.warn(format!("{domain}: nothing is kept in step there, so nothing is pinned"));
            held.targets.push(Owned::plain(target.clone()));
            continue;
        };
        refuse_revoked(run, cert, lineage)?;
        held.targets.push(owned.clone());
        let pin = pin_of(run, cert, target);
        if check(cert, &target.domain, &run.roots, pin.at).is_empty() {
            owners.push((lineage, pin));
        }
    }
    if let Some((_, first)) = owners.first() {
        let store = run.store.as_ref().context(NO_STORE)?;
        let archive = first.archive("");
        // Held until all is pinned: what nobody has pinned is cleared away.
        let _lock = store.lock_lineage(&archive, run.lock_wait()).await?;
        store.keep_version(&archive, cert)?;
        for (lineage, pin) in owners {
            hold(run, store, lineage, &pin).await?;
            held.pins.push(pin);
        }
    }
    Ok(held)
}

/// What is seen of a Cert that was given by hand, with its pins.
pub(super) fn seen(cert: &Cert, pins: Vec<Pin>) -> LineageSeen {
    let leaf = cert.leaf().clone();
    let succession = vec![leaf.fingerprint];
    LineageSeen {
        pinned: BTreeMap::from([(leaf.fingerprint, Ok(leaf.clone()))]),
        memory: LineageMemory { succession, pins, ..LineageMemory::default() },
        leaf: Some(leaf),
        ..LineageSeen::default()
    }
}

fn owner<'a>(lineages: &'a [Lineage], target: &Target) -> Option<(&'a Lineage, &'a Owned)> {
    let of = |lineage: &'a Lineage| {
        Some((lineage, lineage.targets.iter().find(|o| o.target == *target)?))
    };
    lineages.iter().find_map(of)
}

/// What the owner's CA was told to count no more holds no target.
fn refuse_revoked(run: &Run, cert: &Cert, owner: &Lineage) -> anyhow::Result<()> {
    let store = run.store.as_ref().context(NO_STORE)?;
    let (memory, leaf) = (store.lineage(&owner.memory())?, cert.leaf().fingerprint);
    anyhow::ensure!(
        !memory.revoked.contains(&leaf),
        "the certificate {} was revoked and goes out no more\nhelp: give another one",
        leaf.short()
    );
    Ok(())
}

fn pin_of(run: &Run, cert: &Cert, target: &Target) -> Pin {
    let (at, leaf) = (run.ground.clock.now(), cert.leaf());
    let until = pinned_until(leaf, at);
    Pin { fingerprint: leaf.fingerprint, target: Some(target.clone()), at, until }
}

/// In the owner's memory, beside its newest Cert: one that comes later ends the pin.
async fn hold(run: &Run, store: &Store, lineage: &Lineage, pin: &Pin) -> anyhow::Result<()> {
    let newest = run.disk(lineage).await.seen.leaf.map(|leaf| leaf.fingerprint);
    store.update_lineage(&lineage.memory(), |memory| {
        if let Some(newest) = newest {
            memory.succeed(newest);
        }
        memory.pins.retain(|old| old.target != pin.target);
        memory.pins.push(pin.clone());
    })
}
