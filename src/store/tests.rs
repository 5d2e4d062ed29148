//! Tests of opening, and what the other tests share.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

mod interleaved;
mod model;

use std::fs::Permissions;
use std::os::unix::fs::chown;

use super::*;
use crate::cert::{Cert, Key};

/// A store of its own.
pub(super) fn store() -> (tempfile::TempDir, Store) {
    let top = tempfile::tempdir().unwrap();
    let store = Store::open(&top.path().join("s")).unwrap();
    (top, store)
}

/// A self-signed chain and its key, as PEM.
pub(super) fn pair(name: &str) -> (String, String) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    (made.cert.pem(), made.signing_key.serialize_pem())
}

pub(super) fn key(pem: &str) -> Key {
    Key::read(pem.as_bytes()).unwrap()
}

pub(super) fn cert((chain, key): &(String, String)) -> Cert {
    Cert::read(chain.as_bytes(), key.as_bytes()).unwrap()
}

pub(super) fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

/// Files can be given away by root alone; elsewhere the rows that need it are left out.
pub(super) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[test]
fn a_new_store_is_its_owners_alone_and_opens_again() {
    let top = tempfile::tempdir().unwrap();
    let root = top.path().join("a/s");
    assert!(Store::existing(&root).unwrap().is_none());
    assert!(!root.exists(), "existing makes nothing");
    for _ in 0..2 {
        let store = Store::open(&root).unwrap();
        assert_eq!(
            (store.root(), store.locks_folder()),
            (root.as_path(), Some(root.join("locks")))
        );
    }
    assert_eq!(std::fs::read_to_string(root.join("version")).unwrap(), "1\n");
    for folder in FOLDERS.iter().chain(&[""]) {
        let mode = std::fs::metadata(root.join(folder)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o700, "{folder}");
    }
    assert!(Store::existing(&root).unwrap().is_some());
}

#[test]
fn a_store_that_must_not_be_used_is_refused_with_a_remedy() {
    let check = |name: &str, spoil: &dyn Fn(&Path), expected: &str| {
        let (_top, store) = store();
        let root = store.root();
        spoil(root);
        for result in [Store::open(root), Store::existing(root).map(Option::unwrap)] {
            let error = result.unwrap_err().to_string();
            assert!(error.contains(expected) && error.contains("\nhelp: "), "{name}: {error}");
        }
    };
    let version =
        |text: &'static str| move |root: &Path| std::fs::write(root.join("version"), text).unwrap();
    check("newer", &version("2\n"), "format 2, this certferry knows 1");
    check("much newer", &version("4294967295"), "format 4294967295");
    check("zero", &version("0"), "no format number");
    check("no number", &version("one"), "no format number");
    check("empty", &version(""), "no format number");
    check("group may write", &|root| set_mode(root, 0o770), "mode 0770");
    check("all may write", &|root| set_mode(root, 0o1777), "mode 1777");
    if is_root() {
        let given = |root: &Path| chown(root, Some(4711), None).unwrap();
        check("another's", &given, "belongs to uid 4711, not to root\nhelp: chown -R 0 ");
    }
    check(
        "a file",
        &|root| {
            std::fs::remove_dir_all(root).unwrap();
            std::fs::write(root, "").unwrap();
        },
        "",
    );
}

#[test]
fn a_readable_root_is_fine() {
    let (_top, store) = store();
    set_mode(store.root(), 0o755);
    Store::open(store.root()).unwrap();
}

#[test]
fn a_store_for_reading_changes_nothing() {
    let (_top, store) = store();
    let reading = Store::existing(store.root()).unwrap().unwrap();
    let (_chain, pem) = pair("a.example");
    let record = crate::journal::Record {
        lineage: "a".into(),
        dns: "default".into(),
        name: "_acme-challenge.a".into(),
        value: "v".into(),
        id: None,
        order: "o".into(),
    };
    assert_eq!(reading.locks_folder(), None, "an account would keep its pace there");
    let refused = [
        reading.begin_version("a", &key(&pem)).map(drop),
        reading.update_lineage("a", |_| {}),
        reading.put_record(&record),
        reading.drop_record(&record),
        reading.save_new_account("https://a/", &"{}".into()),
        reading.note_renew(jiff::Timestamp::UNIX_EPOCH),
        reading.drop_claim("certbot", Path::new("/a")),
        reading.drop_version("a", 1),
        reading.prune("a", 0, &[]),
    ];
    for (row, result) in refused.into_iter().enumerate() {
        let error = result.unwrap_err().to_string();
        assert!(error.contains("reading only"), "{row}: {error}");
    }
}
