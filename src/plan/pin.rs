//! Pins: what is served in place of a lineage's newest Cert, and when that is over. Pure.

use jiff::{SignedDuration, Timestamp};

use super::standing::{lagging, standing};
use super::{Asked, Lineage, LineageSeen, Owned, Standing, TargetSeen, no_certificate, renew_at};
use crate::cert::{Fingerprint, Leaf};
use crate::config::Target;
use crate::journal::{LineageMemory, Pin};

/// What a target must serve.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Its leaf.
    pub leaf: &'a Leaf,
    /// The pin that says so; none: it is the newest.
    pub pin: Option<&'a Pin>,
}

/// Why a pin holds no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Over {
    /// The lineage has a newer Cert than when it was pinned.
    Renewed,
    /// The pinned Cert is due by its own life.
    Due,
    /// The pinned Cert is no longer on the disk.
    Gone,
    /// The pinned Cert was revoked.
    Revoked,
}

impl Over {
    /// For people, after "the pin has ended: ".
    #[must_use]
    pub fn why(self) -> &'static str {
        match self {
            Self::Renewed => "there is a new certificate",
            Self::Due => "the pinned certificate is due for renewal",
            Self::Gone => "the pinned certificate is no longer in the store",
            Self::Revoked => "the pinned certificate was revoked",
        }
    }
}

/// What a target of a lineage must serve: what is pinned there, else the newest Cert. One that was revoked never is.
///
/// # Errors
/// Why that cannot be used, for people.
pub fn wanted<'a>(
    seen: &'a LineageSeen,
    target: &Target,
    now: Timestamp,
) -> Result<Wanted<'a>, String> {
    if let Some(pin) = pinned(seen, target, now)
        && let Some(read) = seen.pinned.get(&pin.fingerprint)
    {
        return match read {
            Ok(leaf) => Ok(Wanted { leaf, pin: Some(pin) }),
            Err(why) => Err(format!("the pinned certificate cannot be used: {why}")),
        };
    }
    let leaf = seen.leaf.as_ref().ok_or_else(|| no_certificate(seen))?;
    if seen.is_revoked() {
        return Err("the newest certificate was revoked, and there is no new one yet".to_owned());
    }
    Ok(Wanted { leaf, pin: None })
}

/// The pin that holds a target: its own before the lineage's. One whose Cert does not cover the target holds it not.
#[must_use]
pub fn pinned<'a>(seen: &'a LineageSeen, target: &Target, now: Timestamp) -> Option<&'a Pin> {
    let pins = &seen.memory.pins;
    let own = pins.iter().filter(|pin| pin.target.as_ref() == Some(target));
    let of_all = pins.iter().filter(|pin| pin.target.is_none());
    let holds = |pin: &&Pin| over(seen, pin, now).is_none() && may_go(seen, pin, target);
    own.chain(of_all).find(holds)
}

/// Why a pin holds no longer; none: it stands.
#[must_use]
pub fn over(seen: &LineageSeen, pin: &Pin, now: Timestamp) -> Option<Over> {
    let memory = &seen.memory;
    let is_new = |leaf: &Leaf| !memory.succession.contains(&leaf.fingerprint);
    if !memory.pins.contains(pin) || seen.leaf.as_ref().is_some_and(is_new) {
        return Some(Over::Renewed);
    }
    if memory.revoked.contains(&pin.fingerprint) {
        return Some(Over::Revoked);
    }
    if pin.until <= now {
        return Some(Over::Due);
    }
    (!seen.pinned.contains_key(&pin.fingerprint)).then_some(Over::Gone)
}

/// Until when a Cert may be pinned from `at` on: until it is due by its own life. The one before the newest mostly is
/// due already, as that is why there is a newer: then until half of what it has left is over.
#[must_use]
pub fn pinned_until(leaf: &Leaf, at: Timestamp) -> Timestamp {
    let due = renew_at(leaf);
    if due > at {
        return due;
    }
    let at = Timestamp::from_second(at.as_second()).unwrap_or(at);
    let half = SignedDuration::from_secs(leaf.not_after.duration_since(at).as_secs() / 2);
    at.checked_add(half.max(SignedDuration::ZERO)).unwrap_or(at)
}

/// How a target stands to what it must serve. A pin undoes on purpose: what is newer is no obstacle. Who pins a target by
/// hand has named it, so that what is foreign there is none either.
#[must_use]
pub fn standing_of(
    lineage: &Lineage,
    owned: &Owned,
    wanted: &Wanted<'_>,
    memory: &LineageMemory,
    target: &TargetSeen,
    asked: &Asked,
    now: Timestamp,
) -> Standing {
    if owned.discovered.is_some() && wanted.pin.is_some_and(|pin| pin.target.is_some()) {
        let named = Owned { discovered: None, ..owned.clone() };
        return standing_of(lineage, &named, wanted, memory, target, asked, now);
    }
    match (standing(lineage, owned, wanted.leaf, memory, target, asked, now), wanted.pin) {
        // Found by a name that was asked for, and the certificate in hand may be an older one.
        (Standing::OutOfStep(_), _)
            if owned.discovered.is_some() && !wanted.leaf.covers(&owned.target.domain.api_name) =>
        {
            Standing::NotCovered
        }
        (Standing::Newer(newer), Some(_)) => {
            Standing::OutOfStep(format!("it serves the newer {}", newer.short()))
        }
        (Standing::InStep(proof), _) => under_way(wanted.leaf.fingerprint, target, now).map_or(
            Standing::InStep(proof),
            |other| {
                Standing::OutOfStep(format!("{} was accepted and may show soon", other.short()))
            },
        ),
        (stands, _) => stands,
    }
}

/// The number of the version before the one with this leaf; the last one, if that is none of them. `versions` come
/// oldest first.
#[must_use]
pub fn earlier(versions: &[(u32, Fingerprint)], than: Fingerprint) -> Option<u32> {
    let end = versions.iter().position(|(_, leaf)| *leaf == than).unwrap_or(versions.len());
    versions[..end].last().map(|(number, _)| *number)
}

/// Why a target in step does not get the newest.
pub(super) fn held(pin: &Pin) -> String {
    format!("{}; the newest is held back", pinned_to(pin))
}

/// Why a target is to be deployed, with the pin that says so.
pub(super) fn told(pin: Option<&Pin>, why: String) -> String {
    match pin {
        Some(pin) => format!("{}; {why}", pinned_to(pin)),
        None => why,
    }
}

fn pinned_to(pin: &Pin) -> String {
    format!("pinned to {} until {}", pin.fingerprint.short(), pin.until)
}

/// What cannot be read is left alone: who knows what it covers?
fn may_go(seen: &LineageSeen, pin: &Pin, target: &Target) -> bool {
    match seen.pinned.get(&pin.fingerprint) {
        Some(Ok(leaf)) => leaf.covers(&target.domain.api_name),
        Some(Err(_)) => true,
        None => false,
    }
}

/// What the cloud has accepted in place of the wanted Cert and does not show yet. Who goes back and forth within
/// minutes would else find in step what is about to change.
fn under_way(wanted: Fingerprint, target: &TargetSeen, now: Timestamp) -> Option<Fingerprint> {
    let taken = target.memory.taken.as_ref().filter(|taken| taken.fingerprint != wanted)?;
    lagging(taken, &target.served, now).map(|_| taken.fingerprint)
}
