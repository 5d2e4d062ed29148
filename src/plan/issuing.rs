//! Is a lineage to be issued now, and why? Pure.

use jiff::Timestamp;

use super::{Asked, Decision, Kind, Lineage, LineageSeen, Origin, Unusable, renewal};
use crate::cert::Leaf;
use crate::journal::Failures;

/// Is the lineage to be issued now? Only a reason and no open wait together make it so.
pub(super) fn decision(
    lineage: &Lineage,
    seen: &LineageSeen,
    asked: &Asked,
    now: Timestamp,
) -> Option<Decision> {
    if !matches!(lineage.origin, Origin::Issued(_)) || seen.tried {
        return None;
    }
    let reason = reason(lineage, seen, asked, now)?;
    match seen
        .memory
        .failures
        .as_ref()
        .and_then(|failures| wait(failures, seen, asked, &lineage.name, now))
    {
        Some(not_before) => {
            Some((Kind::Wait, format!("{reason}, but {}", tell(seen)), Some(not_before)))
        }
        None => Some((Kind::Issue, reason, None)),
    }
}

fn reason(lineage: &Lineage, seen: &LineageSeen, asked: &Asked, now: Timestamp) -> Option<String> {
    let Some(leaf) = &seen.leaf else {
        return match &seen.unusable {
            None => Some("no certificate until now".to_owned()),
            Some(Unusable::Damaged(why)) => {
                Some(format!("the certificate on disk cannot be used: {why}"))
            }
            Some(Unusable::Unread(_)) => None,
        };
    };
    if let Some(change) = request_changed(lineage, seen, leaf) {
        return Some(change);
    }
    if asked.forces(&lineage.name) {
        return Some("asked for by --force".to_owned());
    }
    if seen.memory.order.as_ref().is_some_and(|order| order.asked == seen.asked) {
        return Some("an order of an earlier run is under way".to_owned());
    }
    renewal::due(seen, leaf, now)
}

/// Is something else asked for than what the Cert was asked for? Where that is not remembered, its names must do. A CA
/// that adds names of its own is not asked again for that.
fn request_changed(lineage: &Lineage, seen: &LineageSeen, leaf: &Leaf) -> Option<String> {
    match &seen.memory.asked {
        Some(asked) if *asked == seen.asked => None,
        Some(_) => Some(names_changed(&lineage.names, &leaf.names).unwrap_or_else(|| {
            "the configuration asks for another certificate (CA, key type or profile)".to_owned()
        })),
        None => names_changed(&lineage.names, &leaf.names),
    }
}

fn names_changed(wanted: &[String], has: &[String]) -> Option<String> {
    let lacking: Vec<&str> =
        wanted.iter().filter(|name| !has.contains(name)).map(String::as_str).collect();
    let extra: Vec<&str> =
        has.iter().filter(|name| !wanted.contains(name)).map(String::as_str).collect();
    match (lacking.is_empty(), extra.is_empty()) {
        (true, true) => None,
        (false, _) => Some(format!("the certificate lacks {}", lacking.join(", "))),
        (true, false) => {
            Some(format!("the certificate has names no longer wanted: {}", extra.join(", ")))
        }
    }
}

/// Until when a failure keeps the lineage from being tried. The CA's own word stands; our ladder gives way to a hand
/// and to a changed config.
fn wait(
    failures: &Failures,
    seen: &LineageSeen,
    asked: &Asked,
    lineage: &str,
    now: Timestamp,
) -> Option<Timestamp> {
    let overridden =
        !failures.said_by_ca && (asked.by_hand(lineage) || failures.asked != seen.asked);
    (failures.not_before > now && !overridden).then_some(failures.not_before)
}

fn tell(seen: &LineageSeen) -> String {
    seen.memory.failures.as_ref().map_or_else(String::new, |failures| {
        let who = if failures.said_by_ca { "the CA asked to wait" } else { "it failed" };
        format!("{who} ({} in a row; last: {})", failures.count, failures.error)
    })
}
