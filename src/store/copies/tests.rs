//! Tests of copies: kept once, whole or not at all, and dropped when nobody needs them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use jiff::Timestamp;

use super::super::files::killed_after;
use super::super::tests::{cert, pair, store};
use super::*;
use crate::config::{CdnDomain, Target};
use crate::journal::Pin;

fn made(name: &str) -> Cert {
    cert(&pair(name))
}

fn pin_of(cert: &Cert) -> Pin {
    let domain = CdnDomain::read("cdn.example.com").unwrap();
    Pin {
        fingerprint: cert.leaf().fingerprint,
        target: Some(Target { aliyun: "default".into(), domain }),
        at: Timestamp::UNIX_EPOCH,
        until: Timestamp::MAX,
    }
}

#[test]
fn a_copy_is_kept_once_and_nothing_points_at_it() {
    let (_top, store) = store();
    let certs = [made("a.example"), made("b.example")];
    for _ in 0..2 {
        let kept = certs.each_ref().map(|cert| store.keep_version("certbot /l/a", cert).unwrap());
        assert_eq!(kept, [1, 2]);
    }
    for (number, cert) in (1..).zip(&certs) {
        let fingerprint = cert.leaf().fingerprint;
        assert_eq!(store.version_number("certbot /l/a", fingerprint).unwrap(), Some(number));
        let kept = store.version_with("certbot /l/a", fingerprint).unwrap().unwrap();
        assert_eq!((kept.leaf(), kept.chain()), (cert.leaf(), cert.chain()));
    }
    let none = made("c.example").leaf().fingerprint;
    assert!(store.version_with("certbot /l/a", none).unwrap().is_none());
    assert!(store.live("certbot /l/a").unwrap().is_none());
}

#[test]
fn a_copy_is_its_owners_alone() {
    let (_top, store) = store();
    store.keep_version("a", &made("a.example")).unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    let folder = store.root().join("archive/a/0001");
    assert_eq!(mode(&folder), 0o700);
    let names = files::names_in(&folder).unwrap();
    assert_eq!(names, ["cert.pem", "chain.pem", "fullchain.pem", "privkey.pem"]);
    for name in names {
        assert_eq!(mode(&folder.join(&name)), 0o600, "{name:?}");
    }
}

#[test]
fn a_kill_at_any_step_leaves_no_half_version() {
    let [first, second, third] = ["a.example", "b.example", "c.example"].map(made);
    // A copy has some 18 file steps: killed before each of them, and not at all in the last rows.
    let mut whole = 0;
    for steps in 0..30 {
        let (_top, store) = store();
        store.keep_version("a", &first).unwrap();
        let kept = killed_after(steps, || store.keep_version("a", &second));
        whole += usize::from(kept.is_ok());
        let there = store.numbers("a").unwrap();
        assert_eq!(there, store.versions("a").unwrap(), "killed before step {steps}");
        for number in there {
            store.version("a", number).unwrap().unwrap();
        }
        // The next run carries on, and clears away.
        assert_eq!(store.keep_version("a", &second).unwrap(), 2);
        assert_eq!(store.keep_version("a", &third).unwrap(), 3);
        let all = std::fs::read_dir(store.root().join("archive/a")).unwrap().count();
        assert_eq!(all, 3, "killed before step {steps}");
    }
    assert!((5..20).contains(&whole), "{whole} of 30 were not killed");
}

#[test]
fn prune_keeps_what_is_pinned() {
    let (_top, store) = store();
    let certs: Vec<Cert> = (0..4).map(|number| made(&format!("n{number}.example"))).collect();
    for cert in &certs {
        store.keep_version("a", cert).unwrap();
    }
    let pin = Pin { target: None, ..pin_of(&certs[0]) };
    store.update_lineage("a", |memory| memory.pins = vec![pin]).unwrap();
    let taken = certs[1].leaf().fingerprint;
    let check = |keep: usize, needed: &[Fingerprint], expect: &[u32]| {
        store.prune("a", keep, needed).unwrap();
        assert_eq!(store.versions("a").unwrap(), expect, "keep {keep}");
    };
    check(2, &[taken], &[1, 2, 3, 4]);
    check(1, &[], &[1, 4]);
    check(0, &[], &[1]);
    store.update_lineage("a", |memory| memory.pins.clear()).unwrap();
    check(0, &[], &[]);
}

#[test]
fn what_was_given_by_hand_goes_with_its_last_pin() {
    let (_top, store) = store();
    let cert = made("a.example");
    let pin = pin_of(&cert);
    let archive = pin.archive("a");
    store.keep_version("a", &cert).unwrap();
    store.keep_version(&archive, &cert).unwrap();
    let now = pin.until.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
    assert_eq!(store.unpinned(now).unwrap(), std::slice::from_ref(&archive));
    for lineage in ["a", "b"] {
        store.update_lineage(lineage, |memory| memory.pins = vec![pin.clone()]).unwrap();
    }
    for lineage in ["a", "b"] {
        assert_eq!(store.unpinned(now).unwrap(), Vec::<String>::new());
        assert_eq!(store.unpinned(pin.until).unwrap().len(), 1, "a pin that is over holds nothing");
        store.update_lineage(lineage, |memory| memory.pins.clear()).unwrap();
    }
    for name in store.unpinned(now).unwrap() {
        store.drop_versions(&name).unwrap();
    }
    assert_eq!(store.unpinned(now).unwrap(), Vec::<String>::new());
    assert_eq!(files::names_in(&store.root().join("archive")).unwrap(), ["a"]);
}

#[test]
fn a_store_for_reading_keeps_nothing() {
    let (_top, store) = store();
    let reading = Store::existing(store.root()).unwrap().unwrap();
    let error = reading.keep_version("a", &made("a.example")).unwrap_err().to_string();
    assert!(error.contains("reading only"), "{error}");
}
