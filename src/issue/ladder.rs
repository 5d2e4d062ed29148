//! When issuing that failed may be tried again: what the CA counts climbs a ladder, and its word about that comes first.
//! Pure.

use jiff::{SignedDuration, Timestamp};

use super::Failure;
use crate::journal::Failures;

/// What is remembered after a failure: how many in a row the CA counted, and when to try again.
///
/// One that the CA did not count climbs nothing and is tried at the next tick, or when the CA says; neither does it
/// shorten a wait under way.
#[must_use]
pub fn after(
    before: Option<&Failures>,
    asked: &str,
    failure: &Failure,
    now: Timestamp,
) -> Failures {
    let before = before.filter(|before| before.asked == asked);
    let count = before.map_or(0, |before| before.count) + u32::from(failure.counted);
    let held = before.filter(|before| !failure.counted && before.is_waited_for(now));
    let own = match held {
        Some(held) => held.not_before,
        None if failure.counted => later(now, rung(count)),
        None => now,
    };
    let said = failure.not_before.map(|said| said.min(later(now, LONGEST)));
    // A 503's `Retry-After` is about the server's load, not about what is asked for.
    let said = said.filter(|said| failure.counted || *said >= own);
    Failures {
        count,
        at: now,
        not_before: said.unwrap_or(own),
        said_by_ca: said.is_some() || held.is_some_and(|held| held.said_by_ca),
        error: failure.in_short(),
        asked: asked.to_owned(),
    }
}

/// The wait after so many failures in a row.
fn rung(count: u32) -> SignedDuration {
    match count {
        0 | 1 => SignedDuration::from_mins(1),
        2 => SignedDuration::from_mins(10),
        3 => SignedDuration::from_mins(100),
        _ => SignedDuration::from_hours(24),
    }
}

fn later(now: Timestamp, wait: SignedDuration) -> Timestamp {
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// The longest limit that Let's Encrypt has is a week; what lies beyond is a CA's mistake, and nothing else would end it.
const LONGEST: SignedDuration = SignedDuration::from_hours(7 * 24);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use anyhow::anyhow;

    use super::*;

    const NOW: &str = "2026-11-24T00:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn before(count: u32, not_before: &str) -> Failures {
        Failures {
            count,
            at: at("2026-11-23T00:00:00Z"),
            not_before: at(not_before),
            said_by_ca: false,
            error: "earlier".to_owned(),
            asked: "asked".to_owned(),
        }
    }

    fn counted() -> Failure {
        Failure { counted: true, ..Failure::free(anyhow!("no\nhelp: none")) }
    }

    fn said(failure: Failure, when: &str) -> Failure {
        Failure { not_before: Some(at(when)), ..failure }
    }

    fn free() -> Failure {
        Failure::free(anyhow!("no"))
    }

    fn check(row: &str, before: Option<&Failures>, failure: &Failure, wanted: (u32, &str, bool)) {
        let got = after(before, "asked", failure, at(NOW));
        assert_eq!(
            (got.count, got.not_before, got.said_by_ca),
            (wanted.0, at(wanted.1), wanted.2),
            "{row}"
        );
        assert_eq!((got.error.as_str(), got.at), ("no", at(NOW)), "{row}");
    }

    #[test]
    fn what_the_ca_counts_climbs() {
        let old = |count| before(count, "2026-11-23T00:01:00Z");
        check("the first", None, &counted(), (1, "2026-11-24T00:01:00Z", false));
        check("the second", Some(&old(1)), &counted(), (2, "2026-11-24T00:10:00Z", false));
        check("the third", Some(&old(2)), &counted(), (3, "2026-11-24T01:40:00Z", false));
        check("the fourth", Some(&old(3)), &counted(), (4, "2026-11-25T00:00:00Z", false));
        check("the fortieth", Some(&old(39)), &counted(), (40, "2026-11-25T00:00:00Z", false));
    }

    #[test]
    fn what_it_does_not_count_does_not() {
        let waits = before(2, "2026-11-24T00:05:00Z");
        check("the first", None, &free(), (0, NOW, false));
        check(
            "after one that counts",
            Some(&before(1, "2026-11-23T00:01:00Z")),
            &free(),
            (1, NOW, false),
        );
        check("within a wait", Some(&waits), &free(), (2, "2026-11-24T00:05:00Z", false));
    }

    #[test]
    fn the_word_of_the_ca_comes_first() {
        let old = before(3, "2026-11-23T01:40:00Z");
        let soon = "2026-11-24T00:00:30Z";
        check("sooner", Some(&old), &said(counted(), soon), (4, soon, true));
        check(
            "later",
            None,
            &said(counted(), "2026-11-26T00:00:00Z"),
            (1, "2026-11-26T00:00:00Z", true),
        );
        check("not counted", None, &said(free(), soon), (0, soon, true));
        let day = before(4, "2026-11-24T20:00:00Z");
        check(
            "not counted, within a day's wait",
            Some(&day),
            &said(free(), soon),
            (4, "2026-11-24T20:00:00Z", false),
        );
        check(
            "not counted, beyond it",
            Some(&day),
            &said(free(), "2026-11-25T00:00:00Z"),
            (4, "2026-11-25T00:00:00Z", true),
        );
        let its = Failures { said_by_ca: true, ..day };
        check(
            "within a wait that it asked for",
            Some(&its),
            &free(),
            (4, "2026-11-24T20:00:00Z", true),
        );
        check(
            "absurd",
            None,
            &said(counted(), "2036-01-01T00:00:00Z"),
            (1, "2026-12-01T00:00:00Z", true),
        );
    }

    #[test]
    fn something_else_asked_for_begins_anew() {
        let mut old = before(5, "2026-11-25T00:00:00Z");
        old.asked = "something else".to_owned();
        check("counted", Some(&old), &counted(), (1, "2026-11-24T00:01:00Z", false));
        check("not counted", Some(&old), &free(), (0, NOW, false));
    }
}
