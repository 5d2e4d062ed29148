//! What may be there after a kill, and what must be there after the next run.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{KeyPair, PublicKeyData as _};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::town::{NAMES, TARGETS, Town, below, fingerprint};

/// After a kill: each version that has a chain is a pair, `live/NAME` leads to one, and no file is half-written.
pub(crate) fn is_whole(row: &str, town: &Town) {
    let store = town.store();
    let all = below(&store);
    for chain in all.iter().filter(|path| path.ends_with("fullchain.pem")) {
        is_pair(row, chain.parent().unwrap());
    }
    for link in all.iter().filter(|path| path.parent() == Some(&store.join("live"))) {
        if !is_temporary(link) {
            assert!(link.is_symlink(), "{row}: {}", link.display());
            is_pair(row, link);
        }
    }
    let is_json = |path: &&PathBuf| path.extension().is_some_and(|end| end == "json");
    for path in all.iter().filter(is_json).filter(|path| !is_temporary(path)) {
        let read = serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap());
        assert!(read.is_ok(), "{row}: {} is no JSON", path.display());
    }
}

/// A folder with all that a version has, whose key is its leaf's.
fn is_pair(row: &str, folder: &Path) {
    let read = |name: &str| {
        fs::read_to_string(folder.join(name))
            .unwrap_or_else(|error| panic!("{row}: {}: {error}", folder.join(name).display()))
    };
    let key = KeyPair::from_pem(&read("privkey.pem")).unwrap();
    for name in ["fullchain.pem", "cert.pem"] {
        let der = pem::parse(read(name)).unwrap().into_contents();
        let (_, leaf) = X509Certificate::from_der(&der).unwrap();
        let is_fit = leaf.public_key().subject_public_key.data.as_ref() == key.der_bytes();
        assert!(is_fit, "{row}: {} and its key", folder.join(name).display());
    }
    pem::parse(read("chain.pem")).unwrap();
}

/// After the next run: nothing is left to do, to take away, or to sweep up; each target serves what it should.
pub(crate) fn is_at_rest(row: &str, town: &Town, live: &Path) {
    assert_eq!(town.plan(row), [(); 0].map(|()| serde_json::Value::Null), "{row}: a plan is left");
    is_whole(row, town);
    has_no_records(row, town);
    let wanted = Some(fingerprint(&live.join("fullchain.pem")));
    for target in TARGETS {
        assert_eq!(town.world.cloud.served_fingerprint(target), wanted, "{row}: {target}");
    }
    has_no_heap(row, town);
}

/// No TXT record stands in the DNS, and the journal knows of none.
pub(crate) fn has_no_records(row: &str, town: &Town) {
    let left = town.world.cloud.txt(&format!("_acme-challenge.{}", NAMES[0]));
    assert!(left.is_empty(), "{row}: left in the DNS: {left:?}");
    let known = below(&town.store().join("journal/records"));
    let known: Vec<_> = known.iter().filter(|path| !is_temporary(path)).collect();
    assert!(known.is_empty(), "{row}: left in the journal: {known:?}");
}

/// A kill leaves at most one temporary file for each thread that wrote, and an hour later a run sweeps them up. Of
/// versions and accounts, nothing half is left.
fn has_no_heap(row: &str, town: &Town) {
    let temporary = || below(&town.store()).into_iter().filter(|path| is_temporary(path));
    let left: Vec<_> = temporary().collect();
    assert!(left.len() <= 3, "{row}: {left:?}");
    if !left.is_empty() {
        left.iter().for_each(|path| make_old(path));
        town.must(row, "renew");
        let left: Vec<_> = temporary().collect();
        assert!(left.is_empty(), "{row}: never swept up: {left:?}");
    }
    for key in below(&town.store()).iter().filter(|path| path.ends_with("privkey.pem")) {
        is_pair(row, key.parent().unwrap());
    }
    let accounts = below(&town.store().join("acme"));
    let other: Vec<_> =
        accounts.iter().filter(|path| path.is_file() && !path.ends_with("account.json")).collect();
    assert!(other.is_empty(), "{row}: {other:?}");
}

fn make_old(path: &Path) {
    use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
    #[expect(clippy::disallowed_methods, reason = "tests")]
    let then = SystemTime::now() - Duration::from_secs(2 * 3600);
    let seconds = then.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let at = Timespec { tv_sec: seconds.cast_signed(), tv_nsec: 0 };
    let times = Timestamps { last_access: at, last_modification: at };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// A file or folder that is not under its name yet, or what is in one.
pub(crate) fn is_temporary(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str().to_string_lossy().starts_with(".tmp-"))
}
