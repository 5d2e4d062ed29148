//! The plan: who owns what, what to do, and why. A pure function of (Config, Seen, now); the plan of a world in
//! which the plan was carried out is empty.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::cert::{Fingerprint, Leaf};
use crate::config::Target;
use crate::journal::{LineageMemory, TargetMemory};

mod discovery;
mod foreign;
mod issuing;
mod ownership;
mod pin;
mod renewal;
mod standing;

pub use discovery::{
    Contested, Discovers, Fit, Foreign, Known, Listed, Listing, discover, not_online,
};
pub use foreign::Ours;
pub use issuing::{renews, turns};
pub use ownership::{
    Conflict, LeftOut, Lineage, Origin, Owned, Ownership, claim_memory, ownership,
};
pub use pin::{Over, Wanted, earlier, over, pinned, pinned_until, standing_of, wanted};
pub use renewal::{Renewal, latest, renewal};
pub use standing::{LAG, NOT_COVERED, Proof, Standing, before};

/// A certificate that lives less than this is renewed at half of its life, not at a third left (what Let's Encrypt asks for).
const SHORT_LIFE: SignedDuration = SignedDuration::from_hours(10 * 24);

/// What is.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// By lineage.
    pub lineages: BTreeMap<String, LineageSeen>,
    /// By target.
    pub targets: BTreeMap<Target, TargetSeen>,
}

/// What is on disk of a lineage.
#[derive(Clone, Debug, Default)]
pub struct LineageSeen {
    /// The newest Cert's leaf.
    pub leaf: Option<Leaf>,
    /// Why the files could not be used.
    pub unusable: Option<Unusable>,
    /// What is remembered.
    pub memory: LineageMemory,
    /// Digest of what would be asked for now.
    pub asked: String,
    /// The CA that stands in for the first.
    pub fallback: Option<Fallback>,
    /// Issuing was tried in this run and failed.
    pub tried: bool,
    /// How long until `renew` runs again; none: not known.
    pub tick: Option<SignedDuration>,
    /// The leaves of the pinned Certs that are on the disk, or why they cannot be read.
    pub pinned: BTreeMap<Fingerprint, Result<Leaf, String>>,
}

/// The CA that stands in for a lineage's first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fallback {
    /// Its section of the config, for people.
    pub section: String,
    /// Digest of what would be asked of it now.
    pub asked: String,
}

/// Why a lineage's files could not be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// They are damaged or gone: a new Cert is the remedy where we issue.
    Damaged(String),
    /// They could not be read: no reason to issue anything.
    Unread(String),
}

/// What a target serves, and what is remembered of it.
#[derive(Clone, Debug)]
pub struct TargetSeen {
    /// What the read-back says.
    pub served: Served,
    /// What is remembered.
    pub memory: TargetMemory,
    /// What speaks for it that what it serves is ours.
    pub ours: Ours,
}

/// What a target serves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Served {
    /// This certificate.
    Leaf(Leaf),
    /// HTTPS is off.
    Off,
    /// It cannot be known; why.
    Unknown(String),
}

/// What the caller asked for beside the config.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// Lineages named by hand; empty: all.
    pub names: Vec<String>,
    /// They are due now.
    pub force: Force,
}

/// `--force`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Force {
    /// Only what is due.
    #[default]
    No,
    /// The named lineages are due now.
    Yes,
}

/// What to do, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The steps. Nothing to do: none.
    pub steps: Vec<Step>,
}

/// One thing to do, or not to do yet, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// What.
    pub kind: Kind,
    /// The lineage.
    pub certificate: String,
    /// The target; none for issuing.
    pub target: Option<Target>,
    /// Why.
    pub reason: String,
    /// Not before.
    pub not_before: Option<Timestamp>,
}

/// Kinds of steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum Kind {
    /// Obtain a new Cert.
    Issue,
    /// Put the Cert onto a target.
    Deploy,
    /// Not yet.
    Wait,
    /// Not at all, as things are.
    Skip,
}

/// How a lineage ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum CertOutcome {
    /// A new Cert was obtained.
    Issued,
    /// Nothing was due.
    Kept,
    /// Due, and not to be tried yet.
    Waiting,
    /// It failed.
    Failed,
}

/// How a target ended a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum TargetOutcome {
    /// Uploaded.
    Deployed,
    /// Nothing to do.
    Unchanged,
    /// Accepted and not shown yet, or handed to the next run.
    Waiting,
    /// Left alone on purpose.
    Skipped,
    /// Our own checks forbid it.
    Refused,
    /// It failed.
    Failed,
}

/// What to do, and why.
#[must_use]
pub fn plan(lineages: &[Lineage], seen: &Seen, asked: &Asked, now: Timestamp) -> Plan {
    let steps = lineages.iter().flat_map(|lineage| lineage_steps(lineage, seen, asked, now));
    Plan { steps: steps.collect() }
}

/// When a certificate is renewed if nobody says otherwise: a third of its own life before its end, half if it lives
/// under ten days. Never a constant of days.
#[must_use]
pub fn renew_at(leaf: &Leaf) -> Timestamp {
    let life = leaf.not_after.duration_since(leaf.not_before);
    let left = if life < SHORT_LIFE { life / 2 } else { life / 3 };
    let whole = SignedDuration::from_secs(left.as_secs());
    leaf.not_after.checked_sub(whole).unwrap_or(leaf.not_before)
}

/// Is what a target serves good for a while yet: for another third of its life or 7 days, whichever is less?
#[must_use]
pub fn lives_on(not_before: Timestamp, not_after: Timestamp, now: Timestamp) -> bool {
    let third = not_after.duration_since(not_before) / 3;
    not_after.duration_since(now) >= third.min(SignedDuration::from_hours(7 * 24))
}

impl LineageSeen {
    /// The newest Cert was revoked.
    #[must_use]
    pub fn is_revoked(&self) -> bool {
        let leaf = self.leaf.as_ref().map(|leaf| leaf.fingerprint);
        leaf.is_some_and(|leaf| self.memory.revoked.contains(&leaf))
    }
}

impl Plan {
    /// Nothing is to be done.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.steps.iter().any(|step| matches!(step.kind, Kind::Issue | Kind::Deploy))
    }

    /// Why the lineage is to be issued, if it is.
    #[must_use]
    pub fn issues(&self, lineage: &str) -> Option<&Step> {
        self.of(lineage).find(|step| step.kind == Kind::Issue)
    }

    /// The step of a lineage that says "not yet" to issuing.
    #[must_use]
    pub fn waits(&self, lineage: &str) -> Option<&Step> {
        self.of(lineage).find(|step| step.kind == Kind::Wait && step.target.is_none())
    }

    fn of(&self, lineage: &str) -> impl Iterator<Item = &Step> {
        self.steps.iter().filter(move |step| step.certificate == lineage)
    }
}

impl Asked {
    /// Is this lineage part of the run?
    #[must_use]
    pub fn wants(&self, lineage: &str) -> bool {
        self.names.is_empty() || self.by_hand(lineage)
    }

    fn by_hand(&self, lineage: &str) -> bool {
        self.names.iter().any(|name| name == lineage)
    }

    fn forces(&self, lineage: &str) -> bool {
        self.force == Force::Yes && self.wants(lineage)
    }
}

impl Serialize for Step {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut step = serializer.serialize_struct("Step", 5)?;
        step.serialize_field("kind", &self.kind)?;
        step.serialize_field("certificate", &self.certificate)?;
        step.serialize_field("domain", &self.target.as_ref().map(|target| &target.domain.written))?;
        step.serialize_field("reason", &self.reason)?;
        step.serialize_field("not_before", &self.not_before)?;
        step.end()
    }
}

/// A step without its lineage: what, why, not before when.
type Decision = (Kind, String, Option<Timestamp>);

fn lineage_steps(lineage: &Lineage, seen: &Seen, asked: &Asked, now: Timestamp) -> Vec<Step> {
    let nothing = LineageSeen::default();
    let of = seen.lineages.get(&lineage.name).unwrap_or(&nothing);
    let issue = issuing::decision(lineage, of, asked, now);
    let fresh = matches!(issue, Some((Kind::Issue, ..)));
    let mut steps: Vec<Step> =
        issue.into_iter().map(|decision| step(lineage, None, decision)).collect();
    for owned in &lineage.targets {
        let target = seen.targets.get(&owned.target);
        let decision = if fresh {
            Some(fresh_decision(lineage, owned, of, target, now))
        } else {
            target_decision(lineage, owned, of, target, asked, now)
        };
        steps.extend(decision.map(|decision| step(lineage, Some(&owned.target), decision)));
    }
    let left_out =
        |one: &LeftOut| step(lineage, Some(&one.target), (Kind::Skip, one.why.clone(), None));
    steps.extend(lineage.left_out.iter().map(left_out));
    steps
}

fn step(lineage: &Lineage, target: Option<&Target>, decision: Decision) -> Step {
    let (kind, reason, not_before) = decision;
    Step { kind, certificate: lineage.name.clone(), target: target.cloned(), reason, not_before }
}

fn target_decision(
    lineage: &Lineage,
    owned: &Owned,
    seen: &LineageSeen,
    target: Option<&TargetSeen>,
    asked: &Asked,
    now: Timestamp,
) -> Option<Decision> {
    let wanted = match wanted(seen, &owned.target, now) {
        Ok(wanted) => wanted,
        Err(why) => return Some((Kind::Skip, why, None)),
    };
    match standing_of(lineage, owned, &wanted, &seen.memory, target?, asked, now) {
        Standing::InStep(_) => wanted.pin.map(|pin| (Kind::Skip, pin::held(pin), None)),
        Standing::Lagging { until } => {
            Some((Kind::Wait, "accepted, not shown yet".to_owned(), Some(until)))
        }
        Standing::Newer(newer) => Some((
            Kind::Skip,
            format!("it serves a newer certificate of this lineage ({})", newer.short()),
            None,
        )),
        Standing::Foreign(why) | Standing::Unseen { why, .. } => Some((Kind::Skip, why, None)),
        Standing::NotCovered => Some((Kind::Skip, NOT_COVERED.to_owned(), None)),
        Standing::OutOfStep(why) => Some((Kind::Deploy, pin::told(wanted.pin, why), None)),
    }
}

/// A new certificate goes to every target but those that are left alone.
fn fresh_decision(
    lineage: &Lineage,
    owned: &Owned,
    seen: &LineageSeen,
    target: Option<&TargetSeen>,
    now: Timestamp,
) -> Decision {
    let leaf = seen.leaf.as_ref();
    let apart = |target| foreign::apart(lineage, owned, leaf, &seen.memory, target, now);
    match target.and_then(apart) {
        Some(Standing::Foreign(why) | Standing::Unseen { why, .. }) => (Kind::Skip, why, None),
        Some(_) | None => {
            (Kind::Deploy, "as soon as the new certificate is there".to_owned(), None)
        }
    }
}

fn no_certificate(seen: &LineageSeen) -> String {
    match &seen.unusable {
        None => "there is no certificate to deploy".to_owned(),
        Some(Unusable::Damaged(why) | Unusable::Unread(why)) => {
            format!("its certificate cannot be used: {why}")
        }
    }
}

#[cfg(test)]
mod tests;
