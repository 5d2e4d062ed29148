//! Two CAs: whose turn it is, what is said of it, and what the second one issued.

use super::*;

const FIRST: &str = "what is asked";
const SECOND: &str = "what the other is asked";

/// A lineage without a Cert, with a fallback.
fn two(first: Option<Failures>, second: Option<Failures>) -> World {
    World { failures: first, fallback_failures: second, fallback: true, ..World::default() }
}

#[test]
fn whose_turn_it_is() {
    let none = "Issue no certificate until now";
    check("all is well", two(None, None), &[none, "Deploy"]);
    check(
        "the first waits",
        two(failures(5, false, FIRST), None),
        &[
            "Issue no certificate until now; by the fallback [acme.other], since the first CA failed (2 in a row; last: no)",
            "Deploy",
        ],
    );
    check(
        "the first asked for it",
        two(failures(5, true, FIRST), failures(0, false, SECOND)),
        &["by the fallback [acme.other], since the first CA asked to wait", "Deploy"],
    );
    check(
        "both wait",
        two(failures(5, true, FIRST), failures(3, false, SECOND)),
        &[
            "Wait no certificate until now, but the first CA asked to wait (2 in a row; last: no), the fallback [acme.other] failed (2 in a row; last: no)",
            "Skip",
        ],
    );
    check("the second waits", two(None, failures(5, true, SECOND)), &[none, "Deploy"]);
    let ahead = |minutes| {
        let noted = at(NOW).checked_add(SignedDuration::from_hours(9000)).unwrap();
        failures(minutes, true, FIRST).map(|failures| Failures { at: noted, ..failures })
    };
    check("noted by a clock that ran ahead", two(ahead(540_000), None), &[none, "Deploy"]);
    check(
        "both, by hand",
        World {
            asked: by_hand(Force::No),
            ..two(failures(5, true, FIRST), failures(3, false, SECOND))
        },
        &["by the fallback", "Deploy"],
    );
    check(
        "another was asked of the second",
        two(failures(5, true, FIRST), failures(3, false, "another")),
        &["by the fallback", "Deploy"],
    );
    check(
        "what it failed at is no fallback any more",
        World { fallback: false, ..two(failures(5, false, FIRST), failures(0, false, SECOND)) },
        &["Wait no certificate until now, but it failed", "Skip"],
    );
}

#[test]
fn when_either_may_be_asked_again() {
    let until = |world: World, minutes: Option<i64>| {
        let (lineages, seen) = world.seen();
        let step = plan(&lineages, &seen, &Asked::default(), at(NOW)).steps.remove(0);
        let wanted =
            minutes.map(|minutes| at(NOW).checked_add(SignedDuration::from_mins(minutes)).unwrap());
        assert_eq!(step.not_before, wanted, "{step:?}");
    };
    until(two(failures(5, true, FIRST), failures(3, false, SECOND)), Some(3));
    until(two(failures(5, true, FIRST), failures(9, true, SECOND)), Some(5));
    until(two(failures(5, true, FIRST), None), None);
}

#[test]
fn what_the_second_issued_is_as_good() {
    let issued_by = |was_asked| World {
        leaf: Some(leaf(1, 60)),
        served: Some(Served::Leaf(leaf(1, 60))),
        was_asked: Some(was_asked),
        ..two(failures(5, true, FIRST), None)
    };
    check("by the second", issued_by(SECOND), &[]);
    check("by the first", issued_by(FIRST), &[]);
    check("by a third", issued_by("another"), &["Issue the configuration asks for", "Deploy"]);
    check(
        "the second is no fallback any more",
        World { fallback: false, failures: None, ..issued_by(SECOND) },
        &["Issue the configuration asks for", "Deploy"],
    );
    let due = World { leaf: Some(leaf(1, 20)), failures: None, ..issued_by(SECOND) };
    check("due again, the first is asked first", due, &["Issue due since", "Deploy"]);
}

#[test]
fn turns_come_in_their_order() {
    let order = |row: &str, world: World, wanted: &[Turn]| {
        let (lineages, seen) = world.seen();
        let got = turns(&lineages[0], &seen.lineages["a"], &world.asked, at(NOW));
        assert_eq!(got, wanted, "{row}");
    };
    order("both", two(None, None), &[Turn::First, Turn::Fallback]);
    order("no second", World { fallback: false, ..two(None, None) }, &[Turn::First]);
    order("the first waits", two(failures(5, true, FIRST), None), &[Turn::Fallback]);
    order("the second waits", two(None, failures(5, true, SECOND)), &[Turn::First]);
    order("both wait", two(failures(5, true, FIRST), failures(5, false, SECOND)), &[]);
}
