//! Tests of the journal: what is put is found, what is damaged is said once, two runs at once lose nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::super::files::killed_after;
use super::super::tests::store;
use super::*;
use crate::config::CdnDomain;
use crate::journal::{Failures, Order};

fn target(api_name: &str) -> Target {
    let domain = CdnDomain { api_name: api_name.into(), written: api_name.into() };
    Target { aliyun: "default".into(), domain }
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

fn record(name: &str, value: &str, order: &str) -> Record {
    Record {
        lineage: "a".into(),
        dns: "default".into(),
        name: name.into(),
        value: value.into(),
        id: None,
        order: order.into(),
    }
}

#[test]
fn nothing_is_the_default() {
    let (_top, store) = store();
    assert_eq!(store.lineage("a").unwrap(), LineageMemory::default());
    assert_eq!(store.target(&target("a")).unwrap(), TargetMemory::default());
    assert_eq!(store.records().unwrap(), []);
    assert_eq!(store.last_renew().unwrap(), None);
}

#[test]
fn each_lineage_and_target_has_its_memory() {
    let (_top, store) = store();
    let names = ["a", "../a", "a/b", "", ".", "a\n", "x@y"];
    for (version, name) in (1..).zip(names) {
        store.update_lineage(name, |memory| memory.order = Some(order(version))).unwrap();
        let error = Some(format!("error {version}"));
        store.update_target(&target(name), |memory| memory.last_error = error).unwrap();
    }
    for (version, name) in (1..).zip(names) {
        assert_eq!(store.lineage(name).unwrap().order, Some(order(version)), "{name:?}");
        let error = store.target(&target(name)).unwrap().last_error;
        assert_eq!(error, Some(format!("error {version}")), "{name:?}");
    }
}

#[test]
fn a_change_sees_what_was_there() {
    let (_top, store) = store();
    let at = Timestamp::from_second(1_700_000_000).unwrap();
    for count in 1..=3 {
        store
            .update_lineage("a", |memory| {
                let before = memory.failures.take().map_or(0, |failures| failures.count);
                memory.failures = Some(Failures {
                    count: before + 1,
                    at,
                    not_before: at,
                    said_by_ca: true,
                    error: "x".into(),
                    asked: "y".into(),
                });
            })
            .unwrap();
        assert_eq!(store.lineage("a").unwrap().failures.unwrap().count, count);
    }
}

#[test]
fn a_change_of_nothing_writes_nothing() {
    let (_top, store) = store();
    store.update_lineage("a", |_| {}).unwrap();
    assert!(!store.lineage_path("a").exists());
}

#[test]
fn runs_at_once_lose_nothing() {
    let (_top, store) = store();
    let add = |_| {
        let store = store.clone();
        std::thread::spawn(move || {
            for _ in 0..10 {
                let count = |memory: &mut LineageMemory| {
                    let version = memory.order.as_ref().map_or(0, |order| order.version);
                    memory.order = Some(order(version + 1));
                };
                store.update_lineage("a", count).unwrap();
            }
        })
    };
    let runs: Vec<_> = (0..4).map(add).collect();
    runs.into_iter().for_each(|run| run.join().unwrap());
    assert_eq!(store.lineage("a").unwrap().order, Some(order(40)));
}

#[test]
fn records_are_put_replaced_and_dropped() {
    let (_top, store) = store();
    let apex = record("_acme-challenge.a", "v1", "o1");
    let wildcard = record("_acme-challenge.a", "v2", "o1");
    let later = record("_acme-challenge.b", "v1", "o1");
    let other = record("_acme-challenge.b", "v1", "o2");
    for record in [&later, &wildcard, &apex] {
        store.put_record(record).unwrap();
    }
    assert_eq!(store.records().unwrap(), [apex.clone(), wildcard.clone(), later.clone()]);
    let known = Record { id: Some("4711".into()), ..wildcard.clone() };
    store.put_record(&known).unwrap();
    store.put_record(&other).unwrap();
    assert_eq!(store.records().unwrap().len(), 4);
    for record in [&apex, &later, &other, &other] {
        store.drop_record(record).unwrap();
    }
    assert_eq!(store.records().unwrap(), [known]);
    store.drop_record(&wildcard).unwrap();
    assert_eq!(store.records().unwrap(), []);
}

#[test]
fn damaged_files_are_said_once_and_set_aside() {
    let good = record("n", "v", "o");
    let check = |name: &str,
                 path: &dyn Fn(&Store) -> PathBuf,
                 read: &dyn Fn(&Store) -> anyhow::Result<()>| {
        for content in ["", "{", "[1]", "{\"taken\":7,\"at\":1,\"order\":8}", "\u{0}\u{0}"] {
            let (_top, store) = store();
            store.put_record(&good).unwrap();
            let path = path(&store);
            files::write(&path, content.as_bytes()).unwrap();
            let reading = Store::existing(store.root()).unwrap().unwrap();
            for store in [&reading, &reading, &store] {
                let error = read(store).unwrap_err().to_string();
                let named = error.contains(&shown(&path)) && error.contains("\nhelp: ");
                assert!(named, "{name}, {content:?}: {error}");
            }
            read(&store).unwrap();
            let aside = PathBuf::from(format!("{}.damaged-1", path.display()));
            assert_eq!(std::fs::read_to_string(aside).unwrap(), content, "{name}");
        }
    };
    check("lineage", &|store| store.lineage_path("a"), &|store| store.lineage("a").map(drop));
    check("target", &|store| store.target_path(&target("a")), &|store| {
        store.target(&target("a")).map(drop)
    });
    check("renew", &|store| store.root.join(RENEW), &|store| store.last_renew().map(drop));
    check("record", &|store| store.record_path(&record("x", "y", "z")), &|store| {
        store.records().map(|records| assert_eq!(records, [record("n", "v", "o")]))
    });
}

#[test]
fn a_change_of_a_damaged_file_changes_nothing() {
    let (_top, store) = store();
    files::write(&store.lineage_path("a"), b"cut").unwrap();
    let change = |memory: &mut LineageMemory| memory.order = Some(order(1));
    store.update_lineage("a", change).unwrap_err();
    assert_eq!(store.lineage("a").unwrap(), LineageMemory::default());
    store.update_lineage("a", change).unwrap();
    assert_eq!(store.lineage("a").unwrap().order, Some(order(1)));
}

#[test]
fn a_killed_change_is_done_or_not() {
    for steps in 0..6 {
        let (_top, store) = store();
        store.update_lineage("a", |memory| memory.order = Some(order(1))).unwrap();
        let done = killed_after(steps, || {
            store.update_lineage("a", |memory| memory.order = Some(order(2)))
        });
        let now = store.lineage("a").unwrap().order;
        assert!(now == Some(order(1)) || now == Some(order(2)), "{steps}");
        assert!(done.is_err() || now == Some(order(2)), "{steps}");
        store.update_lineage("a", |memory| memory.order = None).unwrap();
    }
}

#[test]
fn renew_is_noted_and_clears_old_leftovers() {
    for folder in ["claims", "journal/records", "acme/ca.example-1", "dns/dns.example-1"] {
        let (_top, store) = store();
        let leftover = store.root().join(folder).join(".tmp-x");
        files::make_folder(leftover.parent().unwrap()).unwrap();
        files::write(&leftover, b"").unwrap();
        let written = std::fs::metadata(&leftover).unwrap().mtime();
        for (after, there) in [(0, true), (LEFTOVER_AGE, true), (LEFTOVER_AGE + 1, false)] {
            let at = Timestamp::from_second(written + after).unwrap();
            store.note_renew(at).unwrap();
            let seen = (store.last_renew().unwrap(), leftover.exists());
            assert_eq!(seen, (Some(at), there), "{folder}");
        }
    }
}

#[test]
fn how_far_apart_runs_are_is_known_after_two() {
    let (_top, store) = store();
    let at = |second| Timestamp::from_second(second).unwrap();
    let check = |row: &str, second: i64, wanted: Option<i64>| {
        store.note_renew(at(second)).unwrap();
        let interval = store.renew_interval().unwrap().map(|interval| interval.as_secs());
        assert_eq!(interval, wanted, "{row}");
    };
    check("the first", 1_700_000_000, None);
    check("the second", 1_700_003_600, Some(3600));
    check("a later one", 1_700_003_610, Some(10));
}
