//! `status`: every lineage and target. It takes no lock and writes nothing.

use super::plan::{look_at, warnings};
use super::{Ended, Form, Refusal, claims, configured_or_not, open};
use crate::cli::{Global, Status as Flags};
use crate::ground::Ground;
use crate::plan::{
    Asked, Lineage, LineageSeen, Origin, Owned, Seen, Served, Standing, TargetSeen, Unusable,
    renewal, standing,
};
use crate::report::{self, Status, StatusCertificate, StatusTarget};
use crate::run::Run;
use crate::store::Store;
use crate::told;

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let config = configured_or_not(global, &ground)?;
    let store = Store::existing(&config.store.path)?;
    let run = open(config, store, ground)?;
    let mut lineages = claims::lineages(&run).await?;
    let seen = look_at(&run, &mut lineages).await?.seen;
    let certificates = lineages.iter().map(|lineage| certificate(&run, lineage, &seen)).collect();
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
    let renewal = renewal(of).filter(|_| matches!(lineage.origin, Origin::Issued(_)));
    let failures = of.memory.failures.as_ref();
    StatusCertificate {
        name: lineage.name.clone(),
        domains: of.leaf.as_ref().map_or_else(|| lineage.names.clone(), |leaf| leaf.names.clone()),
        source: source(&lineage.origin),
        not_before: of.leaf.as_ref().map(|leaf| leaf.not_before),
        not_after: of.leaf.as_ref().map(|leaf| leaf.not_after),
        fingerprint: of.leaf.as_ref().map(|leaf| leaf.fingerprint.to_string()),
        renew_at: renewal.as_ref().map(|renewal| renewal.at),
        explanation: renewal.as_ref().and_then(|renewal| renewal.explanation.clone()),
        renew_reason: renewal.map_or_else(|| renew_reason(lineage), |renewal| renewal.reason),
        failures: failures.map_or(0, |failures| failures.count),
        last_error: failures.map(|failures| failures.error.clone()).or_else(|| unusable(of)),
        targets: lineage
            .targets
            .iter()
            .map(|owned| target(run, lineage, of, owned, seen))
            .collect(),
    }
}

fn unusable(of: &LineageSeen) -> Option<String> {
    match &of.unusable {
        Some(Unusable::Damaged(why) | Unusable::Unread(why)) => Some(told::split(why).0),
        None => None,
    }
}

fn source(origin: &Origin) -> Option<String> {
    match origin {
        Origin::Issued(_) | Origin::Given => None,
        Origin::Source(folder) | Origin::Claimed { source: folder, .. } => {
            Some(folder.display().to_string())
        }
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

fn target(
    run: &Run,
    lineage: &Lineage,
    of: &LineageSeen,
    owned: &Owned,
    seen: &Seen,
) -> StatusTarget {
    let target = seen.targets.get(&owned.target);
    let leaf = target.and_then(served);
    StatusTarget {
        domain: owned.target.domain.written.clone(),
        aliyun: owned.target.aliyun.clone(),
        served_fingerprint: leaf.map(|leaf| leaf.fingerprint.to_string()),
        served_not_after: leaf.map(|leaf| leaf.not_after),
        in_step: target.is_some_and(|target| in_step(run, lineage, of, target)),
        pinned: false,
        last_error: target.and_then(last_error),
    }
}

fn served(target: &TargetSeen) -> Option<&crate::cert::Leaf> {
    match &target.served {
        Served::Leaf(leaf) => Some(leaf),
        Served::Off | Served::Unknown(_) => None,
    }
}

fn in_step(run: &Run, lineage: &Lineage, of: &LineageSeen, target: &TargetSeen) -> bool {
    let now = run.ground.clock.now();
    of.leaf.as_ref().is_some_and(|leaf| {
        let standing = standing(lineage, leaf, &of.memory, target, &Asked::default(), now);
        matches!(standing, Standing::InStep(_))
    })
}

fn last_error(target: &TargetSeen) -> Option<String> {
    match &target.served {
        Served::Unknown(why) => Some(why.clone()),
        Served::Leaf(_) | Served::Off => target.memory.last_error.clone(),
    }
}
