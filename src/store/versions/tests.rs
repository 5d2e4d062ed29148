//! Tests of versions: what is live, what stays, and what a kill leaves.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::sync::LazyLock;

use proptest::prelude::*;

use super::super::files::killed_after;
use super::super::tests::{cert, key, pair, set_mode, store};
use super::*;
use crate::journal::Order;

/// Made once: keys and signatures take time.
static PAIRS: LazyLock<Vec<(String, String)>> =
    LazyLock::new(|| (0..8).map(|number| pair(&format!("n{number}.example"))).collect());

fn issue(store: &Store, lineage: &str, pair: &(String, String)) -> u32 {
    let version = store.begin_version(lineage, &key(&pair.1)).unwrap();
    store.complete_version(lineage, version, &pair.0).unwrap();
    version
}

fn live_leaf(store: &Store, lineage: &str) -> Option<Fingerprint> {
    let facts = store.live_leaf(lineage).unwrap();
    assert_eq!(facts.as_ref(), store.live(lineage).unwrap().as_ref().map(Cert::leaf));
    facts.map(|leaf| leaf.fingerprint)
}

fn leaf(number: usize) -> Fingerprint {
    cert(&PAIRS[number]).leaf().fingerprint
}

fn order(version: u32) -> Order {
    Order {
        url: "https://ca/o".into(),
        directory: "https://ca/".into(),
        account: String::new(),
        asked: "a".into(),
        version,
    }
}

#[test]
fn a_version_is_live_when_it_is_complete() {
    let (_top, store) = store();
    let version = store.begin_version("a.b", &key(&PAIRS[0].1)).unwrap();
    assert_eq!((version, live_leaf(&store, "a.b")), (1, None));
    assert!(store.version("a.b", 1).unwrap().is_none());
    assert!(store.version_key("a.b", 1).unwrap().is_some());
    assert!(store.version_key("a.b", 2).unwrap().is_none());
    for _ in 0..2 {
        let done = store.complete_version("a.b", 1, &PAIRS[0].0).unwrap();
        assert_eq!(done.leaf().fingerprint, leaf(0));
        assert_eq!(live_leaf(&store, "a.b"), Some(leaf(0)));
    }
    let link = std::fs::read_link(store.root().join("live/a.b")).unwrap();
    assert_eq!(link, Path::new("../archive/a.b/0001"));
    let names = files::names_in(&store.root().join("live/a.b")).unwrap();
    assert_eq!(names, ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]);
}

#[test]
fn the_files_are_private_and_have_certbots_content() {
    use std::os::unix::fs::PermissionsExt as _;
    let (_top, store) = store();
    let version = store.begin_version("a", &key(&PAIRS[0].1)).unwrap();
    let folder = store.version_path("a", version);
    store
        .complete_version("a", version, &PAIRS[0].0.replace("\r\n", "\n").replace('\n', "\r\n"))
        .unwrap();
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let same = PAIRS[0].0.replace("\r\n", "\n");
    assert_eq!(
        (text("cert.pem"), text("fullchain.pem"), text("chain.pem")),
        (same.clone(), same, String::new())
    );
    assert!(text("privkey.pem").starts_with("-----BEGIN PRIVATE KEY-----\n"));
    for name in files::names_in(&folder).unwrap() {
        let mode = std::fs::metadata(folder.join(&name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600, "{name:?}");
    }
    let both = to_pem(&[cert(&PAIRS[0]).chain(), cert(&PAIRS[1]).chain()].concat());
    assert_eq!(both.matches("BEGIN").count(), 2);
    assert!(!both.contains('\r') && !both.contains("\n\n"));
}

#[test]
fn a_chain_of_another_key_changes_nothing() {
    let (_top, store) = store();
    issue(&store, "a", &PAIRS[0]);
    let version = store.begin_version("a", &key(&PAIRS[1].1)).unwrap();
    store.complete_version("a", version, &PAIRS[2].0).unwrap_err();
    store.complete_version("a", version, "no chain").unwrap_err();
    store.complete_version("a", 77, &PAIRS[2].0).unwrap_err();
    assert_eq!((store.versions("a").unwrap(), live_leaf(&store, "a")), (vec![1], Some(leaf(0))));
}

#[test]
fn a_late_old_version_does_not_take_the_place_of_a_newer_one() {
    let (_top, store) = store();
    let old = store.begin_version("a", &key(&PAIRS[0].1)).unwrap();
    issue(&store, "a", &PAIRS[1]);
    store.complete_version("a", old, &PAIRS[0].0).unwrap();
    assert_eq!((store.versions("a").unwrap(), live_leaf(&store, "a")), (vec![1, 2], Some(leaf(1))));
}

#[test]
fn the_key_may_stay_the_same() {
    let (_top, store) = store();
    issue(&store, "a", &PAIRS[0]);
    issue(&store, "a", &PAIRS[0]);
    assert_eq!(store.live_version("a").unwrap(), Some(2));
}

#[test]
fn versions_grow_beyond_four_digits() {
    let (_top, store) = store();
    for (number, next) in [(9998, "9999"), (9999, "10000"), (10_000, "10001")] {
        std::fs::create_dir_all(store.version_path("a", number)).unwrap();
        let version = issue(&store, "a", &PAIRS[0]);
        assert_eq!(digits(version), next);
        assert_eq!(store.live_version("a").unwrap(), Some(version));
    }
    for odd in ["1", "00001", "0000", "x", "-001", "+001"] {
        assert_eq!(number(odd), None, "{odd}");
    }
}

#[test]
fn hostile_names_stay_inside() {
    let (top, store) = store();
    let names = ["../../x", "..", ".", "", "a/b", "a%2Fb", "a\nb", "\0", "a b"];
    for (index, name) in names.iter().enumerate() {
        issue(&store, name, &PAIRS[index % 8]);
    }
    for (index, name) in names.iter().enumerate() {
        assert_eq!(live_leaf(&store, name), Some(leaf(index % 8)), "{name:?}");
    }
    for folder in ["archive", "live"] {
        let made = files::names_in(&store.root().join(folder)).unwrap();
        assert_eq!(made.len(), names.len(), "{made:?}");
    }
    assert_eq!(files::names_in(top.path()).unwrap(), ["s"]);
}

#[test]
fn prune_keeps_what_is_held() {
    let check = |name: &str, keep, needed: &[usize], ordered, expected: &[u32]| {
        let (_top, store) = store();
        for pair in &PAIRS[..5] {
            issue(&store, "a", pair);
        }
        let sixth = store.begin_version("a", &key(&PAIRS[5].1)).unwrap();
        let seventh = store.begin_version("a", &key(&PAIRS[6].1)).unwrap();
        assert_eq!((sixth, seventh), (6, 7));
        store.update_lineage("a", |memory| memory.order = Option::map(ordered, order)).unwrap();
        let needed: Vec<Fingerprint> = needed.iter().map(|number| leaf(*number)).collect();
        for _ in 0..2 {
            store.prune("a", keep, &needed).unwrap();
            assert_eq!(store.numbers("a").unwrap(), expected, "{name}");
            assert_eq!(live_leaf(&store, "a"), Some(leaf(4)), "{name}");
        }
    };
    check("all", 9, &[], None, &[1, 2, 3, 4, 5]);
    check("the last two", 2, &[], None, &[4, 5]);
    check("only the live one", 0, &[], None, &[5]);
    check("a needed one", 1, &[1], None, &[2, 5]);
    check("a needed one of elsewhere", 1, &[7], None, &[5]);
    check("an order's", 1, &[], Some(6), &[5, 6]);
    check("another order's", 1, &[], Some(7), &[5, 7]);
    check("an order's complete one", 1, &[0], Some(3), &[1, 3, 5]);
}

#[test]
fn prune_clears_what_a_killed_write_left() {
    let (_top, store) = store();
    issue(&store, "a", &PAIRS[0]);
    let leftover = store.version_path("a", 1).join(".tmp-abc");
    std::fs::write(&leftover, "key").unwrap();
    store.prune("a", 5, &[]).unwrap();
    assert!(!leftover.exists());
}

#[test]
fn the_live_version_is_never_dropped() {
    let (_top, store) = store();
    issue(&store, "a", &PAIRS[0]);
    store.drop_version("a", 1).unwrap_err();
    issue(&store, "a", &PAIRS[1]);
    for _ in 0..2 {
        store.drop_version("a", 1).unwrap();
    }
    assert_eq!(store.numbers("a").unwrap(), [2]);
}

#[test]
fn a_link_that_leads_nowhere_is_said_and_heals() {
    let check = |name: &str, spoil: &dyn Fn(&Store)| {
        let (_top, store) = store();
        issue(&store, "a", &PAIRS[0]);
        spoil(&store);
        let error = format!("{:#}", store.live("a").unwrap_err());
        assert!(error.contains("live/a") || error.contains("0001/"), "{name}: {error}");
        issue(&store, "a", &PAIRS[1]);
        assert_eq!(live_leaf(&store, "a"), Some(leaf(1)), "{name}");
    };
    let link = |target: &'static str| {
        move |store: &Store| files::point(&store.live_path("a"), Path::new(target)).unwrap()
    };
    check("missing version", &link("../archive/a/0009"));
    check("elsewhere", &link("/etc"));
    check("another lineage", &link("../archive/b/0001"));
    check("no number", &link("../archive/a/one"));
    check("archive gone", &|store| std::fs::remove_dir_all(store.archive_path("a")).unwrap());
    check("chain damaged", &|store| {
        std::fs::write(store.version_path("a", 1).join(FULLCHAIN), "-----BEGIN").unwrap();
    });
}

#[test]
fn a_damaged_chain_is_written_again() {
    let (_top, store) = store();
    issue(&store, "a", &PAIRS[0]);
    let chain = store.version_path("a", 1).join(FULLCHAIN);
    std::fs::write(&chain, "cut").unwrap();
    set_mode(&chain, 0o644);
    store.complete_version("a", 1, &PAIRS[0].0).unwrap();
    assert_eq!(live_leaf(&store, "a"), Some(leaf(0)));
}

/// What a run does to a lineage.
#[derive(Clone, Debug)]
enum Act {
    /// Begins a version and remembers it as the order's.
    Begin,
    /// Completes the order's version.
    Complete,
    Prune(usize),
}

fn acts() -> impl Strategy<Value = Vec<(Act, Option<usize>)>> {
    let act = prop_oneof![
        3 => Just(Act::Begin),
        4 => Just(Act::Complete),
        1 => (0_usize..3).prop_map(Act::Prune),
    ];
    // The longest act has 20 file steps.
    let killed = prop_oneof![1 => Just(None), 2 => (0_usize..20).prop_map(Some)];
    prop::collection::vec((act, killed), 1..20)
}

/// The run as issue and look do it; the order is in the journal before anything else is done with its version.
fn act(store: &Store, act: &Act, next: usize) -> anyhow::Result<()> {
    let ordered = store.lineage("a")?.order.map(|order| order.version);
    match (act, ordered) {
        (Act::Begin, None) => {
            let version = store.begin_version("a", &key(&PAIRS[next].1))?;
            store.update_lineage("a", |memory| memory.order = Some(order(version)))
        }
        (Act::Complete, Some(version)) => {
            let held = store.version_key("a", version)?.unwrap();
            let made_for = |pair: &&(String, String)| {
                key(&pair.1).pkcs8_pem().expose_secret() == held.pkcs8_pem().expose_secret()
            };
            let pair = PAIRS.iter().find(made_for).unwrap();
            store.complete_version("a", version, &pair.0)?;
            store.update_lineage("a", |memory| memory.order = None)
        }
        (Act::Prune(keep), _) => store.prune("a", *keep, &[]),
        (Act::Begin, Some(_)) | (Act::Complete, None) => Ok(()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_kill_at_any_step_leaves_a_pair_that_fits(acts in acts()) {
        let (_top, store) = store();
        let mut before = None;
        for (index, (what, killed)) in acts.iter().enumerate() {
            let run = || act(&store, what, index % 8);
            let done = match killed {
                None => run(),
                Some(steps) => killed_after(*steps, run),
            };
            prop_assert!(done.is_ok() || killed.is_some(), "{done:?}");
            // Absent only as long as nothing was ever live, and then never an older version.
            let now = store.live_version("a").unwrap();
            prop_assert!(now >= before, "{before:?} -> {now:?}");
            prop_assert_eq!(store.live("a").unwrap().is_some(), now.is_some());
            before = now;
            // The order's key is there, whatever happened.
            if let Some(order) = store.lineage("a").unwrap().order {
                prop_assert!(store.version_key("a", order.version).unwrap().is_some());
            }
        }
        // The next run carries on: what is ordered is completed, and the leftovers go.
        act(&store, &Act::Complete, 0).unwrap();
        act(&store, &Act::Begin, 0).unwrap();
        act(&store, &Act::Complete, 0).unwrap();
        store.prune("a", 1, &[]).unwrap();
        let live = store.live_version("a").unwrap();
        prop_assert_eq!(store.numbers("a").unwrap(), Vec::from_iter(live));
        prop_assert!(store.live("a").unwrap().is_some());
    }
}
