//! How a target stands to what it should serve: in step, not yet, newer, somebody else's, or out of step and why. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{Asked, Lineage, Origin, Owned, Served, TargetSeen, foreign, lives_on};
use crate::cert::{Fingerprint, Leaf};
use crate::journal::{Before, LineageMemory, Taken};

/// How long a target may still show what it served before our accepted upload: the documents say "within a
/// minute", users of other tools waited up to six; ten is beyond doubt.
pub const LAG: SignedDuration = SignedDuration::from_mins(10);

/// What is told of a discovered target that the Cert in hand does not cover.
pub const NOT_COVERED: &str = "the newest certificate does not cover it";

/// How a target stands to what it should serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It serves it.
    InStep(Proof),
    /// It accepted it and does not show it yet.
    Lagging {
        /// From then on it is drift.
        until: Timestamp,
    },
    /// It serves a newer Cert of the same lineage: nothing is undone.
    Newer(Fingerprint),
    /// It was discovered and serves somebody else's Cert, which stays for now; whose, how long, and how to replace it.
    Foreign(String),
    /// It was discovered, and what it serves cannot be known: it may be somebody else's.
    Unseen {
        /// Why.
        why: String,
        /// How to replace it all the same.
        remedy: String,
    },
    /// It was discovered, and the Cert in hand does not cover it yet.
    NotCovered,
    /// It does not serve it; why.
    OutOfStep(String),
}

/// How it is known that a target serves a Cert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Proof {
    /// The edge serves it.
    Edge,
    /// The cloud shows it.
    Readback,
    /// The cloud accepted it.
    Accepted,
}

/// How a target of `lineage` stands to its newest Cert, whose leaf is `leaf`.
pub(super) fn standing(
    lineage: &Lineage,
    owned: &Owned,
    leaf: &Leaf,
    memory: &LineageMemory,
    target: &TargetSeen,
    asked: &Asked,
    now: Timestamp,
) -> Standing {
    let wanted = leaf.fingerprint;
    if let Some(apart) = foreign::apart(lineage, owned, Some(leaf), memory, target, now) {
        return apart;
    }
    if asked.forces(&lineage.name) && !matches!(lineage.origin, Origin::Issued(_)) {
        return Standing::OutOfStep("asked for by --force".to_owned());
    }
    let taken = target.memory.taken.as_ref().filter(|taken| taken.fingerprint == wanted);
    match &target.served {
        Served::Leaf(served) if served.fingerprint == wanted => Standing::InStep(Proof::Readback),
        Served::Unknown(_) if taken.is_some() => Standing::InStep(Proof::Accepted),
        Served::Unknown(why) => Standing::OutOfStep(format!(
            "what it serves is not known ({why}), and no upload of this certificate is on record"
        )),
        Served::Leaf(_) | Served::Off => taken
            .and_then(|taken| lagging(taken, &target.served, now))
            .unwrap_or_else(|| out_of_step(lineage, owned, leaf, memory, target, now)),
    }
}

/// What a target served, as it is remembered.
#[must_use]
pub fn before(served: &Served) -> Before {
    match served {
        Served::Leaf(leaf) => Before::Leaf(leaf.fingerprint),
        Served::Off => Before::Off,
        Served::Unknown(_) => Before::Unknown,
    }
}

/// An accepted upload that has never been shown may still come, while nothing else has changed.
pub(super) fn lagging(taken: &Taken, served: &Served, now: Timestamp) -> Option<Standing> {
    let until = taken.at.checked_add(LAG).ok()?;
    let may_come = taken.at <= now && until > now && !taken.shown && taken.before == before(served);
    may_come.then_some(Standing::Lagging { until })
}

/// What stands under our name and is not known here was uploaded by a store that is ahead: another host's, or this one
/// before a backup was restored. No succession tells which is newer, so their beginnings must; but only while what
/// is served is good for long, so that it blocks nothing that is needed. What is given by hand is not held up.
fn is_later(
    lineage: &Lineage,
    owned: &Owned,
    leaf: &Leaf,
    served: &Leaf,
    target: &TargetSeen,
    now: Timestamp,
) -> bool {
    let is_ours = target.ours.by_name && served.covers(&owned.target.domain.api_name);
    let is_later =
        served.not_before > leaf.not_before && lives_on(served.not_before, served.not_after, now);
    is_ours && is_later && !is_known(target, served) && lineage.origin != Origin::Given
}

/// This store itself has put it there, for a pin that is over or another lineage, or was to replace it.
fn is_known(target: &TargetSeen, served: &Leaf) -> bool {
    let leaf = served.fingerprint;
    let is_it = |taken: &Taken| taken.fingerprint == leaf || taken.before == Before::Leaf(leaf);
    target.memory.taken.as_ref().is_some_and(is_it)
}

fn out_of_step(
    lineage: &Lineage,
    owned: &Owned,
    leaf: &Leaf,
    memory: &LineageMemory,
    target: &TargetSeen,
    now: Timestamp,
) -> Standing {
    let Served::Leaf(served) = &target.served else {
        return Standing::OutOfStep("HTTPS off until now".to_owned());
    };
    if served.not_after <= now {
        return Standing::OutOfStep(format!("what it serves expired at {}", served.not_after));
    }
    if memory.revoked.contains(&served.fingerprint) {
        return Standing::OutOfStep(format!(
            "what it serves ({}) was revoked",
            served.fingerprint.short()
        ));
    }
    let place = |fingerprint| memory.succession.iter().position(|one| *one == fingerprint);
    match (place(served.fingerprint), place(leaf.fingerprint)) {
        (Some(theirs), Some(ours)) if theirs > ours => Standing::Newer(served.fingerprint),
        (None, _) if is_later(lineage, owned, leaf, served, target, now) => {
            Standing::Newer(served.fingerprint)
        }
        (Some(_), _) => Standing::OutOfStep(format!(
            "it serves the earlier certificate {}, until {}",
            served.fingerprint.short(),
            served.not_after
        )),
        (None, _) => Standing::OutOfStep(format!(
            "it serves {} by {}, until {}",
            served.fingerprint.short(),
            served.issuer,
            served.not_after
        )),
    }
}
