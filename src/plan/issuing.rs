//! Is a lineage to be issued now, why, and whose turn is it? Pure.

use jiff::Timestamp;

use super::{Asked, Decision, Kind, Lineage, LineageSeen, Origin, Unusable, renewal};
use crate::cert::Leaf;
use crate::journal::{Failures, Turn};

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
    let told = tell(seen);
    match turns(lineage, seen, asked, now).as_slice() {
        [] => Some((Kind::Wait, format!("{reason}, but {told}"), earliest(seen))),
        [Turn::Fallback] => {
            Some((Kind::Issue, format!("{reason}; by {}, since {told}", second(seen)), None))
        }
        _ => Some((Kind::Issue, reason, None)),
    }
}

/// Whose turn it is now, in the order in which they are tried: all of the lineage's CAs that need not be waited for.
#[must_use]
pub fn turns(lineage: &Lineage, seen: &LineageSeen, asked: &Asked, now: Timestamp) -> Vec<Turn> {
    let goes = |turn: &Turn| {
        let Some(wish) = wish(seen, *turn) else { return false };
        let failures = seen.memory.failures_at(*turn);
        failures.is_none_or(|failures| !waits(failures, wish, asked, &lineage.name, now))
    };
    [Turn::First, Turn::Fallback].into_iter().filter(goes).collect()
}

/// Digest of what would be asked of it; none where there is no such CA.
fn wish(seen: &LineageSeen, turn: Turn) -> Option<&str> {
    match turn {
        Turn::First => Some(&seen.asked),
        Turn::Fallback => seen.fallback.as_ref().map(|fallback| fallback.asked.as_str()),
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
    if seen.memory.revoked.contains(&leaf.fingerprint) {
        return Some("it was revoked".to_owned());
    }
    if asked.forces(&lineage.name) {
        return Some("asked for by --force".to_owned());
    }
    if seen.memory.order.as_ref().is_some_and(|order| is_wish(seen, &order.asked)) {
        return Some("an order of an earlier run is under way".to_owned());
    }
    renewal::due(seen, leaf, now)
}

/// Is something else asked for than what the Cert was asked for? Where that is not remembered, its names must do. A CA
/// that adds names of its own is not asked again for that; what the fallback CA issued is as good until it is due.
fn request_changed(lineage: &Lineage, seen: &LineageSeen, leaf: &Leaf) -> Option<String> {
    match &seen.memory.asked {
        Some(asked) if is_wish(seen, asked) => None,
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

fn is_wish(seen: &LineageSeen, asked: &str) -> bool {
    [Turn::First, Turn::Fallback].into_iter().any(|turn| wish(seen, turn) == Some(asked))
}

/// Does a failure keep the lineage from being tried at that CA? The CA's own word stands; our ladder gives way to a hand
/// and to a changed config.
fn waits(failures: &Failures, wish: &str, asked: &Asked, lineage: &str, now: Timestamp) -> bool {
    let overridden = !failures.said_by_ca && (asked.by_hand(lineage) || failures.asked != wish);
    failures.is_waited_for(now) && !overridden
}

/// When the first of the CAs may be tried again.
fn earliest(seen: &LineageSeen) -> Option<Timestamp> {
    let of = |turn| {
        Some(seen.memory.failures_at(turn).filter(|_| wish(seen, turn).is_some())?.not_before)
    };
    [Turn::First, Turn::Fallback].into_iter().filter_map(of).min()
}

/// Why the CAs that wait do so.
fn tell(seen: &LineageSeen) -> String {
    let Some(first) = &seen.memory.failures else { return String::new() };
    if seen.fallback.is_none() {
        let who = if first.said_by_ca { "the CA asked to wait" } else { "it failed" };
        return format!("{who} {}", in_row(first));
    }
    let told = at_ca("the first CA", first);
    match &seen.memory.fallback_failures {
        Some(failures) => format!("{told}, {}", at_ca(&second(seen), failures)),
        None => told,
    }
}

fn at_ca(ca: &str, failures: &Failures) -> String {
    let what = if failures.said_by_ca { "asked to wait" } else { "failed" };
    format!("{ca} {what} {}", in_row(failures))
}

fn in_row(failures: &Failures) -> String {
    format!("({} in a row; last: {})", failures.count, failures.error)
}

fn second(seen: &LineageSeen) -> String {
    let section = seen.fallback.as_ref().map(|fallback| fallback.section.as_str());
    format!("the fallback {}", section.unwrap_or_default())
}
