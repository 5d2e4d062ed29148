//! When a Cert is renewed, as a table: what the CA said, and what comes of it now.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::cert::Fingerprint;
use crate::journal::{LineageMemory, OrderedFrom};

/// Of 90 days; a third of its life is left from 2026-03-02 on.
const LIFE: [&str; 2] = ["2026-01-01T00:00:00Z", "2026-04-01T00:00:00Z"];
const LINK: &str = "https://ca.test/why";

fn at(text: &str) -> Timestamp {
    format!("2026-{text}Z").parse().unwrap()
}

/// A Cert, and a CA that wants it renewed from one to another time; an instant was drawn.
fn seen(window: Option<[&str; 3]>) -> LineageSeen {
    let leaf = Leaf {
        fingerprint: Fingerprint::of(&[1]),
        names: vec!["example.com".to_owned()],
        not_before: LIFE[0].parse().unwrap(),
        not_after: LIFE[1].parse().unwrap(),
        issuer: "R3".to_owned(),
        self_issued: false,
        renewal_id: Some("aki.1".to_owned()),
    };
    let window = window.map(|[start, end, instant]| Window {
        start: at(start),
        end: at(end),
        instant: at(instant),
        explanation: Some(LINK.to_owned()),
    });
    let ari = Ari { window, ..Ari::new("aki.1", None, DAY * 90, at("01-01T00:00:00")) };
    let memory = LineageMemory { ari: Some(ari), ..LineageMemory::default() };
    LineageSeen { leaf: Some(leaf), memory, ..LineageSeen::default() }
}

fn check_due(row: &str, seen: &LineageSeen, now: &str, wanted: bool) {
    let due = due(seen, seen.leaf.as_ref().unwrap(), at(now));
    assert_eq!(due.is_some(), wanted, "{row}: {due:?}");
}

fn check_at(row: &str, seen: &LineageSeen, wanted: &str, says: &[&str]) {
    let Renewal { at: got, reason, .. } = renewal(seen).unwrap();
    assert_eq!(got, at(wanted), "{row}: {reason}");
    assert!(says.iter().all(|word| reason.contains(word)), "{row}: {reason}");
}

const WIDE: [&str; 3] = ["02-01T00:00:00", "02-03T00:00:00", "02-02T00:00:00"];

#[test]
fn by_the_cas_word() {
    check_due("long before", &seen(Some(WIDE)), "01-15T00:00:00", false);
    check_due("within, before the instant", &seen(Some(WIDE)), "02-01T12:00:00", false);
    check_due("the instant", &seen(Some(WIDE)), "02-02T00:00:00", true);
    check_due("past the window", &seen(Some(WIDE)), "02-20T00:00:00", true);
    check_due("before the next run", &seen(Some(WIDE)), "02-01T23:00:01", true);
    check_due("at the next run", &seen(Some(WIDE)), "02-01T23:00:00", false);
    let passed = ["01-01T00:00:00", "01-01T00:30:00", "01-01T00:10:00"];
    check_due("an incident", &seen(Some(passed)), "01-01T01:00:00", true);
    let early = ["02-01T00:00:00", "02-03T00:00:00", "02-01T00:10:00"];
    check_due("early, open at the next run", &seen(Some(early)), "01-31T23:30:00", false);
    check_due("early, within by now", &seen(Some(early)), "02-01T00:01:00", true);
    let narrow = ["02-01T00:00:00", "02-01T00:20:00", "02-01T00:10:00"];
    check_due("early, closed at the next run", &seen(Some(narrow)), "01-31T23:30:00", true);
    check_due("narrow and far", &seen(Some(narrow)), "01-31T22:30:00", false);
}

#[test]
fn the_next_run_may_be_a_day_away() {
    let daily = |window| LineageSeen { tick: Some(DAY), ..seen(Some(window)) };
    check_due("the instant is before it", &daily(WIDE), "02-01T12:00:00", true);
    check_due("early, open at it", &daily(WIDE), "01-31T12:00:00", false);
    check_due("early, open at it, a minute", &daily(WIDE), "01-31T23:59:00", false);
    let short = ["02-01T00:00:00", "02-01T03:00:00", "02-01T02:00:00"];
    check_due("shut again by then", &daily(short), "01-31T06:00:00", true);
    check_due("not even near", &daily(short), "01-30T06:00:00", false);
}

#[test]
fn without_its_word() {
    check_due("two thirds are over", &seen(None), "03-02T00:00:00", true);
    check_due("not yet", &seen(None), "03-01T00:00:00", false);
    let mut never = seen(None);
    never.memory.ari = None;
    check_due("never asked", &never, "03-02T00:00:00", true);
    let mut of_another = seen(Some(["01-01T00:00:00", "01-01T01:00:00", "01-01T00:00:00"]));
    of_another.memory.ari.as_mut().unwrap().id = "aki.0".to_owned();
    check_due("of the Cert before", &of_another, "01-15T00:00:00", false);
    let mut no_id = of_another.clone();
    no_id.leaf.as_mut().unwrap().renewal_id = None;
    check_due("without an id", &no_id, "01-15T00:00:00", false);
    check_at("a third", &seen(None), "03-02T00:00:00", &["a third of its life"]);
}

#[test]
fn it_is_told_when_and_why() {
    let says = ["between 2026-02-01T00:00:00Z and 2026-02-03T00:00:00Z", LINK];
    check_at("by the CA", &seen(Some(WIDE)), "02-02T00:00:00", &says);
    let late = ["03-30T00:00:00", "03-31T00:00:00", "03-30T12:00:00"];
    check_at("too late", &seen(Some(late)), "03-17T00:00:00", &["too near to its end"]);
    check_due("too late", &seen(Some(late)), "03-17T00:00:00", true);
    let beyond = ["05-01T00:00:00", "05-02T00:00:00", "05-01T12:00:00"];
    check_at("after its end", &seen(Some(beyond)), "03-17T00:00:00", &["too near to its end"]);
}

#[test]
fn a_ca_that_is_never_content_gets_one_a_day() {
    let passed = ["01-01T00:00:00", "01-01T00:30:00", "01-01T00:10:00"];
    let mut seen = seen(Some(passed));
    for (hurries, wanted) in [(0, true), (2, true), (3, false), (40, false)] {
        seen.memory.ari.as_mut().unwrap().hurries = hurries;
        check_due(&format!("{hurries} before it"), &seen, "01-01T01:00:00", wanted);
        check_due(&format!("{hurries} before it, a day later"), &seen, "01-02T00:00:00", true);
    }
    check_at("told", &seen, "01-02T00:00:00", &["once a day is enough"]);
}

#[test]
fn hurries_are_counted() {
    let born = at("01-01T00:00:00");
    let asked = |window| seen(Some(window)).memory.ari.unwrap();
    let next = |before: &Ari, now: &str| Ari::new("b", Some(before), DAY * 90, at(now)).hurries;
    assert_eq!(next(&asked(WIDE), "01-01T10:00:00"), 0, "its time had not come");
    let mut hurried = asked(["01-01T00:30:00", "01-01T02:00:00", "01-01T01:00:00"]);
    assert_eq!(next(&hurried, "01-01T10:00:00"), 1, "young and wanted");
    assert_eq!(next(&hurried, "01-01T00:01:00"), 1, "renewed before the instant, which is near");
    hurried.hurries = 5;
    assert_eq!(next(&hurried, "01-02T01:00:00"), 6, "a day's wait is young too");
    assert_eq!(next(&hurried, "01-04T00:00:00"), 0, "old enough");
    hurried.first_asked_at = at("05-01T00:00:00");
    assert_eq!(next(&hurried, "01-01T10:00:00"), 0, "asked in the future: a clock was wrong");
    assert_eq!(Ari::new("b", None, DAY * 90, born).hurries, 0, "none before");
}

#[test]
fn what_is_young_is_a_matter_of_the_life() {
    let born = at("01-01T00:00:00");
    let check = |row: &str, life: SignedDuration, start: SignedDuration, wanted: u32| {
        let start = born + start;
        let window = Window { start, end: start + HOUR, instant: start, explanation: None };
        let before = Ari { window: Some(window), ..Ari::new("a", None, life, born) };
        assert_eq!(Ari::new("b", Some(&before), life, start).hurries, wanted, "{row}");
    };
    check("90 days, after a day", DAY * 90, DAY, 1);
    check("160 hours, half of them over", HOUR * 160, HOUR * 80, 0);
    check("a day, two thirds of it over", DAY, HOUR * 16, 0);
    check("a day, at once", DAY, HOUR, 1);
}

#[test]
fn once_a_day_is_no_reason_to_let_one_expire() {
    let passed = ["01-01T00:00:00", "01-01T00:30:00", "01-01T00:10:00"];
    let mut hurried = seen(Some(passed));
    hurried.memory.ari.as_mut().unwrap().hurries = HURRIES;
    let mut of_a_day = hurried.clone();
    of_a_day.leaf.as_mut().unwrap().not_after = at("01-02T00:00:00");
    check_due("of a day", &of_a_day, "01-01T20:00:00", true);
    hurried.memory.ari.as_mut().unwrap().first_asked_at = at("11-01T00:00:00");
    check_due("asked in the future: a clock was wrong", &hurried, "03-17T00:00:00", true);
}

/// The same Cert, issued at this time by our own clock.
fn issued(seen: LineageSeen, at_time: &str) -> LineageSeen {
    let mut seen = seen;
    seen.memory.succession = vec![seen.leaf.as_ref().unwrap().fingerprint];
    let (directory, account) = ("https://ca.test/dir".to_owned(), String::new());
    seen.memory.ordered_from = Some(OrderedFrom { directory, account, at: at(at_time) });
    seen
}

#[test]
fn what_was_just_issued_is_not_due_again() {
    let mut never = seen(None);
    never.memory.ari = None;
    let usual = issued(never.clone(), "01-01T01:00:00");
    check_at("backdated by an hour", &usual, "03-02T00:00:00", &["a third of its life"]);
    // 2026-03-02 is over: 21 days are left of 90.
    let late = issued(never.clone(), "03-11T00:00:00");
    check_at("backdated far", &late, "03-18T00:00:00", &["was over when it was issued"]);
    check_due("backdated far, at once", &late, "03-11T00:00:00", false);
    check_due("backdated far, at the next run", &late, "03-11T01:00:00", false);
    check_due("backdated far, a third of the rest later", &late, "03-18T00:00:00", true);
    let last = issued(never.clone(), "03-31T21:00:00");
    check_due("three hours are left", &last, "03-31T21:30:00", false);
    check_due("two hours are left", &last, "03-31T22:00:00", true);
    let mut of_another = late.clone();
    of_another.memory.succession.push(Fingerprint::of(&[2]));
    check_due("issued was another", &of_another, "03-11T00:00:00", true);
    let ahead = issued(never, "05-01T00:00:00");
    check_due("issued by a clock that ran ahead", &ahead, "03-02T00:00:00", true);
}

#[test]
fn nor_by_a_word_that_comes_too_late() {
    let late = ["03-30T00:00:00", "03-31T00:00:00", "03-30T12:00:00"];
    let late = issued(seen(Some(late)), "03-20T00:00:00");
    check_due("the last sixth, at once", &late, "03-20T00:00:00", false);
    check_at("the last sixth", &late, "03-24T00:00:00", &["too near to its end"]);
    let passed = ["01-01T00:00:00", "01-01T00:30:00", "01-01T00:10:00"];
    let mut hurried = issued(seen(Some(passed)), "03-20T00:00:00");
    let ari = hurried.memory.ari.as_mut().unwrap();
    ari.first_asked_at = at("03-20T00:00:00");
    check_due("an incident", &hurried, "03-20T01:00:00", true);
    hurried.memory.ari.as_mut().unwrap().hurries = HURRIES;
    check_due("never content", &hurried, "03-20T01:00:00", false);
    check_due("never content, a day later", &hurried, "03-21T00:00:00", true);
}
