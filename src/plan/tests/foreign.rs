//! What somebody else has put onto a discovered target, and when it goes.

use super::*;

/// A certificate that lives for so many days and ends so many from now.
fn living(number: u8, life: i64, left: i64) -> Leaf {
    let not_after = days(at(NOW), left);
    Leaf {
        not_before: days(not_after, -life),
        not_after,
        issuer: "R9".to_owned(),
        ..leaf(number, left)
    }
}

/// A discovered target of the lineage `a`, whose newest Cert is number 5.
struct Case {
    served: Served,
    succession: Vec<u8>,
    ours: Ours,
    discovered: Option<Foreign>,
    taken: Option<Taken>,
    force: Force,
    newest: Leaf,
    pin: Option<crate::journal::Pin>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            served: Served::Leaf(living(1, 90, 80)),
            succession: vec![5],
            ours: Ours::default(),
            discovered: Some(Foreign::LeftAlone),
            taken: None,
            force: Force::No,
            newest: covering(leaf(5, 60)),
            pin: None,
        }
    }
}

impl Case {
    fn standing(&self) -> Standing {
        let source = Origin::Source("/l/a".into());
        let lineage = Lineage::bare("a".to_owned(), vec!["*.example.com".to_owned()], source);
        let owned =
            Owned { discovered: self.discovered, ..Owned::plain(target("cdn.example.com")) };
        let succession = self.succession.iter().map(|n| Fingerprint::of(&[*n])).collect();
        let memory = LineageMemory { succession, ..LineageMemory::default() };
        let taken = TargetMemory { taken: self.taken.clone(), ..TargetMemory::default() };
        let seen = TargetSeen { served: self.served.clone(), memory: taken, ours: self.ours };
        let asked = Asked { names: vec!["a".to_owned()], force: self.force };
        let wanted = Wanted { leaf: &self.newest, pin: self.pin.as_ref() };
        standing_of(&lineage, &owned, &wanted, &memory, &seen, &asked, at(NOW))
    }
}

fn covering(leaf: Leaf) -> Leaf {
    Leaf { names: vec!["*.example.com".to_owned()], ..leaf }
}

fn check(row: &str, case: Case, expect: &str) {
    let standing = format!("{:?}", case.standing());
    assert!(standing.starts_with(expect), "{row}: {standing} is not {expect}");
}

fn served(life: i64, left: i64) -> Case {
    Case { served: Served::Leaf(living(1, life, left)), ..Case::default() }
}

#[test]
fn a_foreign_certificate_stays_until_its_last_third() {
    check("two thirds gone, all but a day", served(90, 31), "Foreign");
    check("its last third", served(90, 30), "OutOfStep");
    check("six days, three left", served(6, 3), "Foreign");
    check("six days, two left", served(6, 2), "OutOfStep");
    check("ten years, four left", served(3650, 1460), "Foreign");
    check("expired", served(90, 0), "OutOfStep(\"what it serves expired");
    check("not valid yet", served(90, 100), "Foreign");
    check("HTTPS off", Case { served: Served::Off, ..Case::default() }, "OutOfStep(\"HTTPS off");
}

#[test]
fn who_gives_way() {
    let named = Case { discovered: None, ..Case::default() };
    check("named: consent", named, "OutOfStep");
    let replaced = Case { discovered: Some(Foreign::Replaced), ..Case::default() };
    check("replace_foreign", replaced, "OutOfStep");
    let forced = Case { force: Force::Yes, ..Case::default() };
    check("--force names no target", forced, "Foreign");
    let pinned = |on| Case { pin: Some(pins::pin((5, 60, on))), ..Case::default() };
    check("rolled back: no target is named", pinned(None), "Foreign");
    check("pinned by hand: it is", pinned(Some("cdn.example.com")), "OutOfStep");
    let forced = Case { force: Force::Yes, discovered: None, ..Case::default() };
    check("--force, named", forced, "OutOfStep(\"asked for");
}

#[test]
fn what_is_ours_is_not_foreign() {
    let of_another = Ours { remembered: true, by_name: false };
    let by_name = Ours { remembered: false, by_name: true };
    check("the newest", Case { served: Served::Leaf(leaf(5, 60)), ..Case::default() }, "InStep");
    check(
        "the newest, not in the succession yet",
        Case { served: Served::Leaf(leaf(5, 60)), succession: vec![], ..Case::default() },
        "InStep",
    );
    check(
        "after a change of CA",
        Case { succession: vec![1, 5], ..Case::default() },
        "OutOfStep(\"it serves the earlier",
    );
    check(
        "90 days, followed by 6",
        Case { succession: vec![1, 5], newest: covering(living(5, 6, 5)), ..Case::default() },
        "OutOfStep(\"it serves the earlier",
    );
    let twin = Leaf { fingerprint: Fingerprint::of(&[1]), ..leaf(5, 60) };
    check(
        "two in one second",
        Case { served: Served::Leaf(twin), succession: vec![1, 5], ..Case::default() },
        "OutOfStep(\"it serves the earlier",
    );
    check("a newer one of ours", Case { succession: vec![5, 1], ..Case::default() }, "Newer");
    check("another lineage's", Case { ours: of_another, ..Case::default() }, "OutOfStep");
    check(
        "a restored backup: the store lost its memory, the CertName did not",
        Case { ours: by_name, succession: vec![], ..Case::default() },
        "OutOfStep",
    );
    check(
        "the store lost its memory, and the name is somebody else's",
        Case { succession: vec![], ..Case::default() },
        "Foreign",
    );
}

#[test]
fn what_the_certificate_in_hand_does_not_cover_waits_for_the_next() {
    let narrow = || Leaf { names: vec!["example.com".to_owned()], ..leaf(5, 60) };
    let off =
        |discovered| Case { served: Served::Off, newest: narrow(), discovered, ..Case::default() };
    check("discovered", off(Some(Foreign::LeftAlone)), "NotCovered");
    check("whatever is there", off(Some(Foreign::Replaced)), "NotCovered");
    check("named: our checks refuse it", off(None), "OutOfStep");
}

#[test]
fn what_cannot_be_seen_may_be_foreign() {
    let unknown = || Served::Unknown("Forbidden.RAM".to_owned());
    let was = Before::Leaf(Fingerprint::of(&[1]));
    let case = |taken| Case { served: unknown(), taken, ..Case::default() };
    check("never ours", case(None), "Unseen");
    check("took an earlier one of ours", case(taken(4, 9000, was)), "OutOfStep");
    check("took the newest", case(taken(5, 9000, was)), "InStep(Accepted)");
    check("named", Case { discovered: None, ..case(None) }, "OutOfStep");
    check(
        "taken over in its last third, and the read-back lags",
        Case {
            served: Served::Leaf(living(1, 90, 30)),
            taken: taken(5, 1, was),
            ..Case::default()
        },
        "Lagging",
    );
}

#[test]
fn it_is_told_whose_it_is_and_how_to_replace_it() {
    let Standing::Foreign(why) = Case::default().standing() else { unreachable!() };
    let end = days(at(NOW), 80).to_string();
    let third = days(at(NOW), 50).to_string();
    for word in ["R9", &end, &third, "`domains`", "`replace_foreign = true`"] {
        assert!(why.contains(word), "{why} does not say {word}");
    }
}

#[test]
fn the_plan_leaves_it_alone_also_when_it_issues() {
    let check = |row: &str, left: i64, expect: &[Kind]| {
        let mut config = config(&[("a", None, &[])]);
        config.certificates[0].deploy[0].discover = true;
        let mut owners = ownership(&config, &[]);
        let owned = Owned {
            discovered: Some(Foreign::LeftAlone),
            ..Owned::plain(target("cdn.example.com"))
        };
        owners.lineages[0].targets.push(owned);
        let why = "the CDN domain is not online but offline".to_owned();
        owners.lineages[0].left_out.push(LeftOut { target: target("x.com"), why });
        let mine = LineageSeen { leaf: Some(leaf(5, left)), ..LineageSeen::default() };
        let memory = TargetMemory::default();
        let served = Served::Leaf(living(1, 90, 80));
        let theirs = TargetSeen { served, memory, ours: Ours::default() };
        let seen = Seen {
            lineages: [("a".to_owned(), mine)].into(),
            targets: [(target("cdn.example.com"), theirs)].into(),
        };
        let plan = plan(&owners.lineages, &seen, &Asked::default(), at(NOW));
        let kinds: Vec<Kind> = plan.steps.iter().map(|step| step.kind).collect();
        assert_eq!(kinds, expect, "{row}");
    };
    check("not due", 60, &[Kind::Skip, Kind::Skip]);
    check("due", 20, &[Kind::Issue, Kind::Skip, Kind::Skip]);
}
