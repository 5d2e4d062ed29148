//! The small acts of a run on what it keeps of a lineage: its succession, its versions, its pins.

use tokio::time::Instant;

use super::Run;
use crate::journal::Pin;
use crate::look::OnDisk;
use crate::plan::{Lineage, Origin, Over, Owned, TargetOutcome, over, pinned};
use crate::report::{ErrorEnd, TargetEnd};
use crate::store::{Lock, Store, Wait};
use crate::told;

impl Run {
    /// What is new on the disk of a lineage is remembered. Pins that are over end, which is told once; `pins` are those
    /// of the first look.
    pub async fn remember(&self, lineage: &Lineage, pins: &[Pin], disk: &mut OnDisk) {
        self.remember_succession(lineage, disk).await;
        self.end_pins(lineage, pins, disk).await;
    }

    /// The succession grows by a leaf that was never seen.
    async fn remember_succession(&self, lineage: &Lineage, disk: &mut OnDisk) {
        let Some(fingerprint) = disk.seen.leaf.as_ref().map(|leaf| leaf.fingerprint) else {
            return;
        };
        if disk.seen.memory.succession.contains(&fingerprint) {
            return;
        }
        disk.seen.memory.succeed(fingerprint);
        let name = lineage.memory();
        self.keep(move |store| store.update_lineage(&name, |memory| memory.succeed(fingerprint)))
            .await;
    }

    async fn end_pins(&self, lineage: &Lineage, pins: &[Pin], disk: &mut OnDisk) {
        let now = self.ground.clock.now();
        let is_over = |pin: &Pin| over(&disk.seen, pin, now).map(|over| (pin.clone(), over));
        let ended: Vec<(Pin, Over)> = pins.iter().filter_map(is_over).collect();
        if ended.is_empty() {
            return;
        }
        for (pin, over) in &ended {
            let held = pin.target.as_ref().map_or(&lineage.name, |target| &target.domain.written);
            let (which, why) = (pin.fingerprint.short(), over.why());
            self.warn(format!("{held}: the pin on {which} has ended: {why}; the newest goes out"));
        }
        let stays = move |pin: &Pin| !ended.iter().any(|(over, _)| over == pin);
        disk.seen.memory.pins.retain(&stays);
        let name = lineage.memory();
        self.keep(move |store| store.update_lineage(&name, |memory| memory.pins.retain(stays)))
            .await;
    }

    /// What another client issued is kept as a version of ours, so that it can be rolled back to. Not before the
    /// uploads: they do not need it. What fails is told, and the next run does it.
    pub async fn keep_version(&self, lineage: &Lineage, disk: &OnDisk) {
        let (Some(store), Some(cert)) = (&self.store, &disk.cert) else { return };
        let keep = self.config.store.keep_versions;
        let name = lineage.memory();
        let is_at_rest = match (&lineage.origin, keep) {
            (Origin::Issued(_) | Origin::Given, _) => true,
            (Origin::Source(_) | Origin::Claimed { .. }, 0) => {
                store.versions(&name).is_ok_and(|versions| versions.is_empty())
            }
            (Origin::Source(_) | Origin::Claimed { .. }, _) => {
                store.version_number(&name, cert.leaf().fingerprint).is_ok_and(|it| it.is_some())
            }
        };
        if is_at_rest {
            return;
        }
        // Another run may be at work in the lineage's versions; then the next one does this.
        let Some(_lock) = self.lock_at_once(store, &name).await else { return };
        if keep > 0 {
            let (name, cert) = (name.clone(), cert.clone());
            let kept = self.try_keep(move |store| store.keep_version(&name, &cert).map(drop)).await;
            // Told by itself: what else is to be remembered must not go with it.
            if let Err(error) = kept {
                let (what, why) = (&lineage.name, told::text(&error));
                return self.warn(format!("{what} cannot be kept for a rollback: {why}"));
            }
        }
        self.prune_locked(lineage, name).await;
    }

    /// Old versions go, but for those that a target took or a pin holds.
    pub async fn prune(&self, lineage: &Lineage) {
        let (Some(store), name) = (&self.store, lineage.memory()) else { return };
        // Another run may be at work in the lineage's versions; it prunes when it is done.
        let Some(_lock) = self.lock_at_once(store, &name).await else { return };
        self.prune_locked(lineage, name).await;
    }

    /// What was given by hand goes when no pin holds it any more.
    pub async fn drop_unpinned(&self) {
        let Some(store) = &self.store else { return };
        let now = self.ground.clock.now();
        let unpinned = match store.unpinned(now) {
            Ok(unpinned) => unpinned,
            Err(error) => return self.warn(told::text(&error)),
        };
        for name in unpinned {
            // Whoever pins it just now holds its lock until it is pinned.
            let Some(_lock) = self.lock_at_once(store, &name).await else { continue };
            if store.unpinned(now).is_ok_and(|unpinned| unpinned.contains(&name)) {
                self.keep(move |store| store.drop_versions(&name)).await;
            }
        }
    }

    /// All versions of a lineage go, with their keys, and its pins: nothing keeps it in step any more.
    pub async fn drop_versions(&self, name: String) {
        let Some(store) = &self.store else { return };
        let Some(_lock) = self.lock_at_once(store, &name).await else { return };
        self.keep(move |store| {
            store.update_lineage(&name, |memory| memory.pins.clear())?;
            store.drop_versions(&name)
        })
        .await;
    }

    /// The end of a target for which there is no Cert. A pinned one that cannot be read is a failure: what it serves is
    /// left alone, and that is not what was asked for.
    #[must_use]
    pub fn nothing_to_deploy(
        &self,
        lineage: &Lineage,
        owned: &Owned,
        disk: &OnDisk,
        why: &str,
    ) -> TargetEnd {
        let now = self.ground.clock.now();
        let end = |outcome, why| TargetEnd::new(&lineage.name, owned, outcome, why);
        if pinned(&disk.seen, &owned.target, now).is_none() {
            // The rest of it is told with the certificate itself.
            return end(TargetOutcome::Skipped, told::split(why).0);
        }
        let what = "the pinned certificate cannot be used".to_owned();
        let mut end = end(TargetOutcome::Failed, what);
        let help = format!("`certferry rollback '{}' --to latest` ends the pin", lineage.name);
        let error = anyhow::anyhow!("{why}\nhelp: {help}");
        end.error = Some(ErrorEnd::of(&error, "Pinned"));
        end.pinned = true;
        end
    }

    async fn prune_locked(&self, lineage: &Lineage, name: String) {
        let taken = |owned: &Owned| {
            let memory = self.store.as_ref()?.target(&owned.target).ok()?;
            memory.taken.map(|taken| taken.fingerprint)
        };
        let needed: Vec<_> = lineage.targets.iter().filter_map(taken).collect();
        let keep = self.config.store.keep_versions;
        self.keep(move |store| store.prune(&name, keep, &needed)).await;
    }

    async fn lock_at_once(&self, store: &Store, name: &str) -> Option<Lock> {
        let at_once = Wait { until: Some(Instant::now()), ..self.lock_wait() };
        store.lock_lineage(name, at_once).await.ok()
    }
}
