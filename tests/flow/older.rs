//! An older certificate never replaces a newer one, whoever calls with it.

use std::fs;

use crate::house::{House, Leaf, fingerprint};

const CONFIG: &str = "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n";

const CDN: &str = "cdn.example.test";

/// A house whose lineage `a` went from one certificate to another that ends earlier, by hooks; the old files are kept in
/// the folder `old/a`. Answers the newest fingerprint.
fn renewed(config: &str) -> (House, String) {
    let mut house = House::new();
    config.clone_into(&mut house.config);
    house.renewed(CDN);
    assert_eq!(house.run("hook").code, 0);
    copy(&house, "live/a", "old/a");
    let (chain, _) = house.lineage("a", &Leaf { days_after: 6, ..Leaf::new() });
    assert_eq!(house.run("hook").code, 0);
    let newest = fingerprint(&chain);
    assert_eq!(house.cloud.served_fingerprint(CDN), Some(newest.clone()));
    (house, newest)
}

/// Copies a lineage's files.
fn copy(house: &House, from: &str, to: &str) {
    for file in ["fullchain.pem", "privkey.pem"] {
        let text = house.read(&format!("{from}/{file}"));
        house.write_secret(&format!("{to}/{file}"), &text, 0o600);
    }
}

/// After this change no run replaces the newest.
fn check(row: &str, config: &str, change: impl FnOnce(&mut House), says: &str) {
    let (mut house, newest) = renewed(config);
    let uploads = house.uploads();
    change(&mut house);
    let hook = house.run("hook");
    assert!(hook.all().contains(says), "{row}: nothing says `{says}`: {}", hook.all());
    for command in ["plan", "renew", "hook", "renew"] {
        let ended = house.run(command);
        assert_eq!(house.uploads(), uploads, "{row}: {command}: {}", ended.all());
    }
    assert_eq!(house.cloud.served_fingerprint(CDN), Some(newest), "{row}");
}

#[test]
fn a_hook_with_an_old_lineage_undoes_nothing() {
    let newer = "it serves a newer certificate of this lineage";
    check("its files are restored", "", |house| copy(house, "old/a", "live/a"), newer);
    check("and the config has it", CONFIG, |house| copy(house, "old/a", "live/a"), newer);
    let called = |house: &mut House| {
        let old = house.path("old/a").display().to_string();
        house.var("RENEWED_LINEAGE", old);
    };
    check("a copy of its folder", "", called, "older than the newest of");
    check("and the config has the other", CONFIG, called, "in step");
}

#[test]
fn a_restored_backup_of_everything_undoes_nothing() {
    let mut house = House::new();
    CONFIG.clone_into(&mut house.config);
    assert_eq!(house.run("renew").code, 0);
    let store = crate::keeping_step::tree(&house.path("store"));
    copy(&house, "live/a", "old/a");
    house.lineage("a", &Leaf { days_before: 0, ..Leaf::new() });
    assert_eq!(house.run("renew").code, 0);
    let newest = house.cloud.served_fingerprint(CDN);
    fs::remove_dir_all(house.path("store/journal")).unwrap();
    for (path, bytes) in
        store.iter().filter(|(path, _)| path.starts_with(house.path("store/journal")))
    {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    copy(&house, "old/a", "live/a");
    let ended = house.run("renew");
    assert!(ended.stdout.contains("it serves a newer certificate"), "{}", ended.all());
    assert_eq!((house.uploads(), house.cloud.served_fingerprint(CDN)), (2, newest));
    let forced = house.run("renew a --force");
    assert_eq!((forced.code, house.uploads()), (0, 3), "by hand it goes: {}", forced.all());
}

#[test]
fn an_expired_one_blocks_nothing() {
    let (house, _) = renewed("");
    let (chain, key) = house.make(&Leaf { days_before: 90, days_after: -1, ..Leaf::new() });
    house.cloud.set_served(CDN, "cf-cdn-example-test-1", &chain, &key);
    let ended = house.run("renew");
    assert_eq!((ended.code, house.uploads()), (0, 3), "{}", ended.all());
}
