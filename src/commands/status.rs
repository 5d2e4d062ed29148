//! `status`: every lineage and target. It takes no lock and writes nothing.

use jiff::Timestamp;

use super::plan::{look_at, warnings};
use super::{Ended, Form, Refusal, claims, configured_or_not, open};
use crate::cert::Leaf;
use crate::cli::{Global, Status as Flags};
use crate::ground::Ground;
use crate::journal::{Failures, Turn};
use crate::plan::{
    Asked, Lineage, LineageSeen, Origin, Owned, Seen, Served, Standing, TargetSeen, Unusable,
    lives_on, pinned, renews, standing_of, wanted,
};
use crate::report::{self, Status, StatusCertificate, StatusTarget};
use crate::run::Run;
use crate::store::Store;
use crate::told;

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let config = configured_or_not(global, &ground)?;
    let store = Store::existing(&config.store.path)?;
    let mut run = open(config, store, ground)?;
    run.only_looks();
    let (mut lineages, discovery) = claims::lineages(&run, &[]).await?;
    let seen = look_at(&run, &mut lineages).await?.seen;
    let unlisted =
        |lineage: &Lineage| discovery.unlisted(&lineage.name).map(|error| error.message.clone());
    let certificate = |lineage: &Lineage| {
        let shown = certificate(&run, lineage, &seen);
        let last_error = shown.last_error.or_else(|| unlisted(lineage));
        StatusCertificate { last_error, ..shown }
    };
    let certificates = lineages.iter().map(certificate).collect();
    let status = Status { schema: report::SCHEMA, certificates };
    let stdout = match Form::from(flags.json) {
        Form::Json => status.json(),
        Form::Text => status.text(run.ground.width),
    };
    let code = u8::from(!status.ok(run.ground.clock.now()));
    Ok(Ended { stdout, stderr: warnings(&run), code })
}

fn certificate(run: &Run, lineage: &Lineage, seen: &Seen) -> StatusCertificate {
    let nothing = LineageSeen::default();
    let of = seen.lineages.get(&lineage.name).unwrap_or(&nothing);
    let renewal = renews(lineage, of, run.ground.clock.now());
    let failures = open_failures(of);
    StatusCertificate {
        name: lineage.name.clone(),
        domains: of.leaf.as_ref().map_or_else(|| lineage.names.clone(), |leaf| leaf.names.clone()),
        source: source(&lineage.origin),
        not_before: of.leaf.as_ref().map(|leaf| leaf.not_before),
        not_after: of.leaf.as_ref().map(|leaf| leaf.not_after),
        fingerprint: of.leaf.as_ref().map(|leaf| leaf.fingerprint.to_string()),
        renew_at: renewal.as_ref().map(|renewal| renewal.at),
        explanation: renewal.as_ref().and_then(|renewal| renewal.explanation.clone()),
        renew_reason: renewal.map_or_else(
            || renew_reason(lineage),
            |renewal| {
                by_fallback(of).map_or_else(
                    || renewal.reason.clone(),
                    |by| format!("{}; {by}", renewal.reason),
                )
            },
        ),
        failures: failures.map_or(0, |failures| failures.count),
        last_error: failures.map(|failures| failures.error.clone()).or_else(|| unfit(of)),
        targets: lineage
            .targets
            .iter()
            .map(|owned| target(run, lineage, of, owned, seen))
            .collect(),
    }
}

/// What failed since the newest Cert was issued: where both CAs failed, the later one tells.
pub(super) fn open_failures(of: &LineageSeen) -> Option<&Failures> {
    let turns = [Turn::First, Turn::Fallback].into_iter();
    turns.filter_map(|turn| of.memory.failed_since(turn)).max_by_key(|failures| failures.at)
}

/// Why the newest Cert must not be relied on.
fn unfit(of: &LineageSeen) -> Option<String> {
    match &of.unusable {
        Some(Unusable::Damaged(why) | Unusable::Unread(why)) => Some(told::split(why).0),
        None => of.is_revoked().then(|| "it was revoked".to_owned()),
    }
}

fn source(origin: &Origin) -> Option<String> {
    match origin {
        Origin::Issued(_) | Origin::Given => None,
        Origin::Source(source) | Origin::Claimed { source, .. } => Some(source.to_string()),
    }
}

/// Why there is no time of its renewal.
fn renew_reason(lineage: &Lineage) -> String {
    match &lineage.origin {
        Origin::Issued(_) => "no certificate until now".to_owned(),
        Origin::Source(_) | Origin::Given => "issued by another client".to_owned(),
        Origin::Claimed { client, .. } => format!("issued by {client}"),
    }
}

fn by_fallback(seen: &LineageSeen) -> Option<String> {
    let fallback = seen.fallback.as_ref()?;
    let is_by_it = seen.memory.asked.as_ref() == Some(&fallback.asked);
    is_by_it.then(|| format!("issued by the fallback {}", fallback.section))
}

fn target(
    run: &Run,
    lineage: &Lineage,
    of: &LineageSeen,
    owned: &Owned,
    seen: &Seen,
) -> StatusTarget {
    let target = seen.targets.get(&owned.target);
    let leaf = target.and_then(served);
    let now = run.ground.clock.now();
    let pin = pinned(of, &owned.target, now);
    let wanted = wanted(of, &owned.target, now);
    let standing = target.zip(wanted.as_ref().ok()).map(|(target, wanted)| {
        standing_of(lineage, owned, wanted, &of.memory, target, &Asked::default(), now)
    });
    StatusTarget {
        domain: owned.target.domain.written.clone(),
        aliyun: owned.target.aliyun.clone(),
        served_fingerprint: leaf.map(|leaf| leaf.fingerprint.to_string()),
        served_not_after: leaf.map(|leaf| leaf.not_after),
        in_step: matches!(standing, Some(Standing::InStep(_))),
        foreign: matches!(standing, Some(Standing::Foreign(_))),
        left: standing.zip(target).and_then(|(standing, target)| left(&standing, target, now)),
        pinned: pin.is_some(),
        pinned_until: pin.map(|pin| pin.until),
        last_error: target.and_then(last_error).or_else(|| wanted.err().filter(|_| pin.is_some())),
    }
}

/// In a word, why all is well with a target that is not in step: `renew` leaves it so, or has done what it can.
fn left(standing: &Standing, target: &TargetSeen, now: Timestamp) -> Option<&'static str> {
    let lives = |leaf: &Leaf| lives_on(leaf.not_before, leaf.not_after, now);
    match standing {
        Standing::Foreign(_) => Some("not ours"),
        Standing::Newer(_) => Some("newer"),
        Standing::NotCovered => Some("not covered"),
        Standing::Lagging { .. } => served(target).is_some_and(lives).then_some("soon"),
        Standing::InStep(_) | Standing::Unseen { .. } | Standing::OutOfStep(_) => None,
    }
}

fn served(target: &TargetSeen) -> Option<&Leaf> {
    match &target.served {
        Served::Leaf(leaf) => Some(leaf),
        Served::Off | Served::Unknown(_) => None,
    }
}

fn last_error(target: &TargetSeen) -> Option<String> {
    match &target.served {
        Served::Unknown(why) => Some(why.clone()),
        Served::Leaf(_) | Served::Off => target.memory.last_error.clone(),
    }
}
