//! When a lineage is renewed, and why then: by the CA's word (RFC 9773), else by the Cert's own life. Pure.

use jiff::{SignedDuration, Timestamp};

use super::{LineageSeen, renew_at};
use crate::cert::Leaf;
use crate::journal::{Ari, Window};

/// When a lineage is renewed, and why then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Renewal {
    /// From then on.
    pub at: Timestamp,
    /// Why then.
    pub reason: String,
    /// The CA asks for it.
    pub asked_for: bool,
    /// The page by which the CA explains it.
    pub explanation: Option<String>,
}

impl Renewal {
    /// Who wants it then, in a few words after its time; the whole reason is `status`' answer.
    #[must_use]
    pub fn in_short(&self) -> String {
        match (self.asked_for, &self.explanation) {
            (false, _) => String::new(),
            (true, None) => ", as the CA asks".to_owned(),
            (true, Some(page)) => format!(", as the CA asks, see {page}"),
        }
    }
}

/// When the newest Cert is renewed; none without one.
#[must_use]
pub fn renewal(seen: &LineageSeen) -> Option<Renewal> {
    let leaf = seen.leaf.as_ref()?;
    let Some((ari, window)) = suggested(seen, leaf) else {
        let at = by_life(seen, leaf);
        let reason = match at > renew_at(leaf) {
            false => "a third of its life is left then, or half of a short one",
            true => {
                "most of its life was over when it was issued; two thirds of the rest are left then"
            }
        };
        let reason = reason.to_owned();
        return Some(Renewal { at, reason, asked_for: false, explanation: None });
    };
    let at = instant(seen, leaf, ari, window);
    let mut reason = wish(window);
    if at > window.instant {
        reason += "; the CA wanted its predecessors replaced too, and once a day is enough";
    } else if at < window.instant {
        reason += "; that is too near to its end";
    }
    Some(Renewal { at, reason, asked_for: true, explanation: window.explanation.clone() })
}

/// The latest time for the newest Cert's renewal, whatever its CA says: what fails then can still be put right.
#[must_use]
pub fn latest(seen: &LineageSeen, leaf: &Leaf) -> Timestamp {
    let life = leaf.not_after.duration_since(leaf.not_before);
    let whole = SignedDuration::from_secs((life / LATEST).as_secs());
    not_at_once(seen, leaf, leaf.not_after.checked_sub(whole).unwrap_or(leaf.not_before))
}

/// Why the newest Cert is renewed now, if it is.
pub(super) fn due(seen: &LineageSeen, leaf: &Leaf, now: Timestamp) -> Option<String> {
    let Some((ari, window)) = suggested(seen, leaf) else {
        let at = by_life(seen, leaf);
        return (at <= now).then(|| format!("due since {at}; it ends at {}", leaf.not_after));
    };
    let at = instant(seen, leaf, ari, window);
    let next_run = now.checked_add(seen.tick.unwrap_or(HOUR)).unwrap_or(Timestamp::MAX);
    is_now(at, window, now, next_run).then(|| wish(window))
}

/// Past, or before the next run: now. But an order before its window loses the CA's exemption from limits: while the
/// window is still open at the next run, that one does it.
fn is_now(at: Timestamp, window: &Window, now: Timestamp, next_run: Timestamp) -> bool {
    let is_early = now < window.start && window.end > next_run;
    at <= now || at < next_run && !is_early
}

/// The instant that was drawn, within reason: a Cert shall not run out by a CA's mistake, nor be renewed in every run.
fn instant(seen: &LineageSeen, leaf: &Leaf, ari: &Ari, window: &Window) -> Timestamp {
    let latest = latest(seen, leaf);
    let at = window.instant.min(latest);
    if ari.hurries < HURRIES {
        return at;
    }
    let earliest = ari.first_asked_at.checked_add(DAY).unwrap_or(at);
    // A Cert may live for a day only, and the clock may have run ahead when it was asked about.
    at.max(earliest.min(latest))
}

/// When the newest Cert is renewed if its CA says nothing.
fn by_life(seen: &LineageSeen, leaf: &Leaf) -> Timestamp {
    not_at_once(seen, leaf, renew_at(leaf))
}

/// What our own arithmetic says, but not before a part of what the Cert had left when it was issued is over. The dates of
/// a CA that backdates far would else have it renewed in every run, for ever.
fn not_at_once(seen: &LineageSeen, leaf: &Leaf, at: Timestamp) -> Timestamp {
    let memory = &seen.memory;
    let is_remembered = memory.succession.last() == Some(&leaf.fingerprint);
    let Some(from) = memory.ordered_from.as_ref().filter(|_| is_remembered) else { return at };
    // None is issued that has ended: a clock ran ahead.
    let rest = leaf.not_after.duration_since(from.at).max(SignedDuration::ZERO);
    let part = SignedDuration::from_secs((rest / REST).as_secs());
    let earliest = from.at.checked_add(part).unwrap_or(at);
    if rest.is_zero() { at } else { at.max(earliest) }
}

/// The CA's word, if it is about this leaf.
fn suggested<'a>(seen: &'a LineageSeen, leaf: &Leaf) -> Option<(&'a Ari, &'a Window)> {
    let ari = seen.memory.ari.as_ref().filter(|ari| Some(&ari.id) == leaf.renewal_id.as_ref())?;
    Some((ari, ari.window.as_ref()?))
}

fn wish(window: &Window) -> String {
    let Window { start, end, explanation, .. } = window;
    let page = explanation.as_ref().map_or_else(String::new, |page| format!(", see {page}"));
    format!("the CA asks for renewal between {start:.0} and {end:.0} (ARI{page})")
}

/// The timer is hourly: where nothing else is known, it comes in an hour.
const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// A sixth of its life before a Cert's end (15 days of 90): half of what is left where the CA says nothing. There are CAs
/// whose window ends with the certificate (acme2certifier).
const LATEST: i32 = 6;

/// A third: no Cert reaches it that is backdated by less than a quarter of its life, and two thirds are left for tries.
const REST: i32 = 3;

/// So many in a row may be an incident and its correction; more are a CA's mistake, and cost five certificates a week.
const HURRIES: u32 = 3;

#[cfg(test)]
mod tests;
