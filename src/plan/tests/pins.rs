//! Pins as a table: what is newest, what is pinned, what is served; what is to be done.

use super::*;
use crate::journal::Pin;

/// Holds the Cert of this number until so many minutes from now, on this target or on all.
type Pinned = (u8, i64, Option<&'static str>);

struct World {
    newest: Option<Leaf>,
    succession: Vec<u8>,
    pins: Vec<Pinned>,
    /// Numbers of the pinned Certs that are on the disk.
    kept: Vec<u8>,
    served: Served,
    asked: Asked,
    revoked: Vec<u8>,
}

impl Default for World {
    /// 3 is the newest and served; 2 is pinned.
    fn default() -> Self {
        Self {
            newest: Some(leaf(3, 80)),
            succession: vec![1, 2, 3],
            pins: vec![(2, 60, None)],
            kept: vec![2],
            served: Served::Leaf(leaf(3, 80)),
            asked: Asked::default(),
            revoked: vec![],
        }
    }
}

pub(super) fn pin((number, minutes, on): Pinned) -> Pin {
    let until = at(NOW).checked_add(SignedDuration::from_mins(minutes)).unwrap();
    let fingerprint = Fingerprint::of(&[number]);
    Pin { fingerprint, target: on.map(target), at: days(at(NOW), -1), until }
}

/// The Cert of this number as it is read from the store.
pub(super) fn kept(number: u8) -> (Fingerprint, Result<Leaf, String>) {
    let names = ["*.example.com", "*.com"].map(str::to_owned).into();
    let leaf = Leaf { names, ..leaf(number, 20) };
    (leaf.fingerprint, Ok(leaf))
}

impl World {
    fn seen(&self) -> LineageSeen {
        LineageSeen {
            leaf: self.newest.clone(),
            memory: LineageMemory {
                succession: self.succession.iter().map(|n| Fingerprint::of(&[*n])).collect(),
                pins: self.pins.iter().copied().map(pin).collect(),
                revoked: self.revoked.iter().map(|n| Fingerprint::of(&[*n])).collect(),
                ..LineageMemory::default()
            },
            pinned: self.kept.iter().copied().map(kept).collect(),
            ..LineageSeen::default()
        }
    }

    fn plan(&self, seen: LineageSeen, domain: &'static str) -> Vec<String> {
        let lineages = ownership(&config(&[("a", Some("/live/a"), &[domain])]), &[]).lineages;
        let served = self.served.clone();
        let at_target =
            TargetSeen { served, memory: TargetMemory::default(), ours: Ours::default() };
        let seen = Seen {
            lineages: [("a".to_owned(), seen)].into(),
            targets: [(target(domain), at_target)].into(),
        };
        let plan = plan(&lineages, &seen, &self.asked, at(NOW));
        plan.steps.iter().map(|step| format!("{:?} {}", step.kind, step.reason)).collect()
    }
}

fn check(row: &str, world: &World, expect: &[&str]) {
    let steps = world.plan(world.seen(), "cdn.example.com");
    let fits = steps.len() == expect.len()
        && steps.iter().zip(expect).all(|(step, want)| step.contains(want));
    assert!(fits, "{row}: {steps:#?} is not {expect:#?}");
}

fn serves(number: u8) -> Served {
    Served::Leaf(leaf(number, 20))
}

#[test]
fn a_pin_is_what_a_target_must_serve() {
    let short = |number| Fingerprint::of(&[number]).short();
    let two = format!("Deploy pinned to {}", short(2));
    check("the newer one is no obstacle", &World::default(), &[&two]);
    let drifted = World { served: serves(9), ..World::default() };
    check("drift heals towards it", &drifted, &[&two]);
    check("also from nothing", &World { served: Served::Off, ..World::default() }, &[&two]);
    let held = World { served: serves(2), ..World::default() };
    check("in step, and told", &held, &["Skip pinned to"]);
    let force = World { served: serves(2), asked: by_hand(Force::Yes), ..World::default() };
    check("forced: the pinned one again", &force, &[&two]);
    let unread = World { newest: None, ..World::default() };
    check("the newest cannot be read", &unread, &[&two]);
    let other = World { pins: vec![(2, 60, Some("x.com"))], ..World::default() };
    check("another target's", &other, &[]);
    let own = World {
        pins: vec![(2, 60, None), (1, 60, Some("cdn.example.com"))],
        kept: vec![1, 2],
        ..World::default()
    };
    check("its own before the lineage's", &own, &[&format!("Deploy pinned to {}", short(1))]);
}

#[test]
fn a_pin_ends() {
    let serving = || World { served: serves(2), ..World::default() };
    let newest = "Deploy it serves the earlier certificate";
    check("due", &World { pins: vec![(2, 0, None)], ..serving() }, &[newest]);
    check("a minute before", &World { pins: vec![(2, 1, None)], ..serving() }, &["Skip pinned"]);
    let renewed = World { newest: Some(leaf(4, 90)), ..serving() };
    check("a new fingerprint", &renewed, &[newest]);
    let restored = World { newest: Some(leaf(1, 40)), ..serving() };
    check("one that was seen is no new one", &restored, &["Skip pinned"]);
    check("gone from the store", &World { kept: vec![], ..serving() }, &[newest]);
    let revoked = World { revoked: vec![2], ..serving() };
    check("revoked", &revoked, &["Deploy what it serves"]);
    check("ended by hand", &World { pins: vec![], ..serving() }, &[newest]);
}

/// The cloud has accepted Cert `accepted`, in place of `before`, and still shows `before`.
fn check_under_way(row: &str, accepted: u8, pins: Vec<Pinned>, expect: &str) {
    let world = World { pins, ..World::default() };
    let lineages = ownership(&config(&[("a", None, &["cdn.example.com"])]), &[]).lineages;
    let seen = world.seen();
    let target = target("cdn.example.com");
    let wanted = wanted(&seen, &target, at(NOW)).unwrap();
    let before = Before::Leaf(wanted.leaf.fingerprint);
    let served = Served::Leaf(wanted.leaf.clone());
    let check = |minutes: i64, is_under_way: bool| {
        let memory =
            TargetMemory { taken: taken(accepted, minutes, before), ..TargetMemory::default() };
        let at_target = TargetSeen { served: served.clone(), memory, ours: Ours::default() };
        let asked = Asked::default();
        let stands = standing_of(
            &lineages[0],
            &lineages[0].targets[0],
            &wanted,
            &seen.memory,
            &at_target,
            &asked,
            at(NOW),
        );
        match &stands {
            Standing::OutOfStep(why) => {
                assert!(is_under_way && why.contains(expect), "{row}: {why}")
            }
            Standing::InStep(_) => assert!(!is_under_way, "{row}"),
            Standing::Lagging { .. }
            | Standing::Newer(_)
            | Standing::Foreign(_)
            | Standing::NotCovered
            | Standing::Unseen { .. } => panic!("{row}: {stands:?}"),
        }
    };
    check(1, true);
    check(10, false);
}

#[test]
fn what_shows_soon_is_not_in_step() {
    let three = Fingerprint::of(&[3]).short();
    check_under_way("rolled back at once", 3, vec![(2, 60, None)], &three);
    let two = Fingerprint::of(&[2]).short();
    check_under_way("and forth again", 2, vec![], &two);
}

#[test]
fn what_the_pinned_one_does_not_cover_gets_the_newest() {
    let world = World { served: Served::Off, ..World::default() };
    assert_eq!(world.plan(world.seen(), "a.b.example.com"), ["Deploy HTTPS off until now"]);
}

#[test]
fn what_was_revoked_goes_nowhere() {
    let newest = || World { revoked: vec![3], ..World::default() };
    let none = "Skip the newest certificate was revoked, and there is no new one yet";
    check("it stays where it is", &World { pins: vec![], ..newest() }, &[none]);
    let off = World { pins: vec![], served: Served::Off, ..newest() };
    check("nor where nothing is", &off, &[none]);
    check("what is pinned still goes", &newest(), &["Deploy pinned to"]);
    let both = World { revoked: vec![2, 3], served: Served::Off, ..World::default() };
    check("both", &both, &[none]);
}

#[test]
fn a_pinned_one_that_cannot_be_read_is_no_reason_for_the_newest() {
    let world = World::default();
    let mut seen = world.seen();
    seen.pinned.insert(Fingerprint::of(&[2]), Err("damaged".to_owned()));
    let expect = "Skip the pinned certificate cannot be used: damaged";
    assert_eq!(world.plan(seen, "cdn.example.com"), [expect]);
}

#[test]
fn why_a_pin_is_over() {
    let check = |row: &str, world: &World, minutes: i64, expect: Option<Over>| {
        assert_eq!(over(&world.seen(), &pin((2, minutes, None)), at(NOW)), expect, "{row}");
    };
    check("it stands", &World::default(), 60, None);
    let renewed = World { newest: Some(leaf(4, 90)), ..World::default() };
    check("a new one", &renewed, 60, Some(Over::Renewed));
    check("cleared with it", &World { pins: vec![], ..World::default() }, 60, Some(Over::Renewed));
    check("gone", &World { kept: vec![], ..World::default() }, 60, Some(Over::Gone));
    check("revoked", &World { revoked: vec![2], ..World::default() }, 60, Some(Over::Revoked));
    let newest = World { revoked: vec![3], ..World::default() };
    check("the newest was revoked", &newest, 60, None);
    let due = World { pins: vec![(2, -1, None)], ..World::default() };
    check("due", &due, -1, Some(Over::Due));
}

#[test]
fn how_long_a_pin_holds() {
    let check = |row: &str, left: i64, until: i64| {
        assert_eq!(pinned_until(&leaf(1, left), at(NOW)), days(at(NOW), until), "{row}");
    };
    check("until it is due", 80, 50);
    check("due in a day", 31, 1);
    check("due already: half of what is left", 30, 15);
    check("almost over", 2, 1);
    check("over", -1, 0);
}

#[test]
fn the_version_before() {
    let check = |row: &str, versions: &[u8], than: u8, expect: Option<u32>| {
        let versions: Vec<_> =
            (1..).zip(versions).map(|(number, leaf)| (number, Fingerprint::of(&[*leaf]))).collect();
        assert_eq!(earlier(&versions, Fingerprint::of(&[than])), expect, "{row}");
    };
    check("before the newest", &[7, 8, 9], 9, Some(2));
    check("before the pinned one", &[7, 8, 9], 8, Some(1));
    check("before the first", &[7, 8, 9], 7, None);
    check("none is kept", &[], 9, None);
    check("the newest is not kept", &[7, 8], 9, Some(2));
}

#[test]
fn a_new_fingerprint_ends_the_pins_with_the_same_change() {
    let mut memory = World::default().seen().memory;
    memory.succeed(Fingerprint::of(&[3]));
    assert_eq!(memory.pins.len(), 1, "known");
    memory.succeed(Fingerprint::of(&[4]));
    assert_eq!((memory.pins.len(), memory.succession.len()), (0, 4), "new");
}
