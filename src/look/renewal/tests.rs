//! What is asked and remembered, as tables.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::cert::{Fingerprint, Leaf};
use crate::journal::{LineageMemory, OrderedFrom};

const NOW: &str = "2026-11-24T00:00:00Z";
const LATER: &str = "2026-11-24T06:00:00Z";
const LIFE: SignedDuration = SignedDuration::from_hours(90 * 24);
const CA: &str = "https://ca.test/dir";
const WINDOW: [&str; 2] = ["2026-12-01T00:00:00Z", "2026-12-03T00:00:00Z"];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn word([start, end]: [&str; 2]) -> Word {
    let explanation = Some("https://ca.test/why".to_owned());
    Word::Window { start: at(start), end: at(end), explanation }
}

/// What is remembered after this answer, with the middle drawn.
fn after(before: Option<&Ari>, answer: Word) -> Option<Ari> {
    let said = Said { answer, retry_at: Some(at(LATER)) };
    let chance = Chance { random: 1 << 63, latest: Timestamp::MAX };
    let known = before.filter(|ari| ari.id == "aki.1").cloned();
    let ari = known.unwrap_or_else(|| Ari::new("aki.1", before, LIFE, at(NOW)));
    remembered(ari, said, chance, at(NOW))
}

fn drawn(ari: Option<&Ari>) -> Option<Timestamp> {
    ari?.window.as_ref().map(|window| window.instant)
}

#[test]
fn an_instant_is_drawn_once_for_a_window() {
    let first = after(None, word(WINDOW)).unwrap();
    assert_eq!((first.ask_again_at, first.failures), (at(LATER), 0));
    let middle = Some(at("2026-12-02T00:00:00Z"));
    assert_eq!(drawn(Some(&first)), middle);
    let mut early = first.clone();
    early.window.as_mut().unwrap().instant = at("2026-12-01T03:00:00Z");
    let check = |row: &str, answer: Word, wanted: Option<Timestamp>| {
        assert_eq!(drawn(after(Some(&early), answer).as_ref()), wanted, "{row}");
    };
    let stays = Some(at("2026-12-01T03:00:00Z"));
    check("the same window", word(WINDOW), stays);
    check(
        "another end",
        word([WINDOW[0], "2026-12-02T00:00:00Z"]),
        Some(at("2026-12-01T12:00:00Z")),
    );
    check(
        "another start",
        word(["2026-12-02T00:00:00Z", WINDOW[1]]),
        Some(at("2026-12-02T12:00:00Z")),
    );
    check("no answer of use", Word::Refused("404".to_owned()), stays);
    check("no answer", Word::Silent("away".to_owned()), stays);
    check("no ARI any more", Word::NotOffered, None);
    assert_eq!(after(Some(&early), Word::Away("away".to_owned())), None, "nobody was asked");
    let silent = after(Some(&early), Word::Silent("away".to_owned())).unwrap();
    assert_eq!(after(Some(&silent), Word::Silent("away".to_owned())).unwrap().failures, 2);
    assert_eq!(after(Some(&silent), word(WINDOW)).unwrap().failures, 0);
    let mut of_another = early.clone();
    of_another.id = "aki.0".to_owned();
    assert_eq!(drawn(after(Some(&of_another), word(WINDOW)).as_ref()), middle, "another Cert");
    assert_eq!(drawn(after(Some(&of_another), Word::Silent(String::new())).as_ref()), None);
}

#[test]
fn no_instant_is_drawn_too_near_to_a_certs_end() {
    let check = |row: &str, latest: &str, wanted: &str| {
        let chance = Chance { random: 1 << 63, latest: at(latest) };
        assert_eq!(chance.draw(at(WINDOW[0]), at(WINDOW[1])), at(wanted), "{row}");
    };
    check("the whole window", "2026-12-03T00:00:00Z", "2026-12-02T00:00:00Z");
    check("a half of it", "2026-12-02T00:00:00Z", "2026-12-01T12:00:00Z");
    check("a window that is too late as a whole", "2026-11-30T00:00:00Z", "2026-12-02T00:00:00Z");
}

/// A lineage of ours, with a Cert that was ordered from this CA.
fn world() -> (Lineage, LineageSeen) {
    let leaf = Leaf {
        fingerprint: Fingerprint::of(&[1]),
        names: Vec::new(),
        not_before: at("2026-11-01T00:00:00Z"),
        not_after: at("2027-01-30T00:00:00Z"),
        issuer: "R3".to_owned(),
        self_issued: false,
        renewal_id: Some("aki.1".to_owned()),
    };
    let (directory, account) = (CA.to_owned(), String::new());
    let from = OrderedFrom { directory, account, at: at(NOW) };
    let memory = LineageMemory { ordered_from: Some(from), ..LineageMemory::default() };
    let lineage = Lineage::bare("a".to_owned(), Vec::new(), Origin::Issued(0));
    (lineage, LineageSeen { leaf: Some(leaf), memory, ..LineageSeen::default() })
}

fn check(row: &str, change: impl FnOnce(&mut Lineage, &mut LineageSeen), wanted: bool) {
    let (mut lineage, mut seen) = world();
    change(&mut lineage, &mut seen);
    let wanted = wanted.then_some((CA, "aki.1"));
    assert_eq!(to_ask(&lineage, &seen, at(NOW)), wanted, "{row}");
}

#[test]
fn who_is_asked_when() {
    let known = |ask_again: &str| {
        let mut ari = Ari::new("aki.1", None, LIFE, at("2026-11-23T00:00:00Z"));
        ari.ask_again_at = at(ask_again);
        Some(ari)
    };
    check("never asked", |_, _| {}, true);
    check("it is time", |_, seen| seen.memory.ari = known(NOW), true);
    check("not yet", |_, seen| seen.memory.ari = known("2026-11-24T00:00:01Z"), false);
    check(
        "about the Cert before",
        |_, seen| {
            seen.memory.ari = known(LATER);
            seen.memory.ari.as_mut().unwrap().id = "aki.0".to_owned();
        },
        true,
    );
    check(
        "asked in the future: a clock was wrong",
        |_, seen| {
            seen.memory.ari = known(LATER);
            seen.memory.ari.as_mut().unwrap().asked_at = at("2030-01-01T00:00:00Z");
        },
        true,
    );
    check("expired", |_, seen| seen.leaf.as_mut().unwrap().not_after = at(NOW), false);
    check("no Cert", |_, seen| seen.leaf = None, false);
    check("no id", |_, seen| seen.leaf.as_mut().unwrap().renewal_id = None, false);
    check("nobody knows which CA", |_, seen| seen.memory.ordered_from = None, false);
    check("a source", |lineage, _| lineage.origin = Origin::Source("/l".into()), false);
    check("by hand", |lineage, _| lineage.origin = Origin::Given, false);
}
