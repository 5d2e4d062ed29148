//! A CA that says no, and a DNS that does not take the record: said clearly, and nothing is left anywhere.

use std::fs;

use serde_json::Value;

use super::names::Names;
use super::pebble::{BLOCKED, Tricks, over_both};
use super::program::{need_debian, script};
use super::world::{ACCESS_KEY, ALIDNS, World};
use super::{knot, rfc2136};

/// Exit 1, an error of these parts with a remedy; no TXT, no upload, no certificate, and `orders` at the CA.
fn check(row: &str, world: &World, orders: usize, parts: &[&str]) -> Value {
    let (report, ran) = world.report(&["renew"]);
    assert_eq!(ran.code, Some(1), "{row}: {ran:#?}");
    assert_eq!((&report["ok"], &report["changed"]), (&false.into(), &false.into()), "{row}");
    let certificate = &report["certificates"][0];
    assert_eq!(certificate["outcome"], "failed", "{row}: {report:#}");
    let message = certificate["error"]["message"].as_str().unwrap();
    for part in parts {
        assert!(message.contains(part), "{row}: {part:?} is not in {message:?}");
    }
    assert_ne!(certificate["error"]["help"], "", "{row}: {report:#}");
    assert_eq!(report["targets"][0]["outcome"], "skipped", "{row}: {report:#}");
    assert_eq!(world.txt(), Vec::<String>::new(), "{row}");
    assert_eq!(world.uploads(), 0, "{row}");
    assert!(!world.store().join("live/example.test").exists(), "{row}");
    assert_eq!(world.orders(), orders, "{row}");
    report
}

#[test]
fn a_ca_that_refuses_a_name() {
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::SOME);
        world.certificate(ALIDNS, "ecdsa-p256");
        let both = "\"example.test\", \"*.example.test\"]\nkey_type";
        let three = format!("\"example.test\", \"*.example.test\", \"{BLOCKED}\"]\nkey_type");
        world.amend(both, &three);
        check("blocked", &world, 0, &["the CA refused the order", BLOCKED, "rejectedIdentifier"]);
        // What the CA counted is not tried again at once.
        let (report, ran) = world.report(&["renew"]);
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        assert_eq!(report["certificates"][0]["outcome"], "waiting", "{report:#}");
    });
}

#[test]
fn a_ca_that_does_not_see_the_record() {
    over_both(|flavour| {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("other")).unwrap();
        let other = Names::start(flavour, &folder.path().join("other"));
        let names = Names::start(flavour, folder.path());
        let (ours, empty) = (names.dns, other.dns);
        let mut world = World::asking(flavour, Tricks::SOME, folder, names, empty);
        world.dns = ours;
        world.certificate(ALIDNS, "ecdsa-p256");
        let parts = ["the CA did not accept the proof", "example.test", "No TXT records found"];
        check("another DNS", &world, 1, &parts);
    });
}

#[test]
fn a_dns_that_does_not_take_the_record() {
    over_both(|flavour| {
        let rows: [(&str, &str, &[&str]); 3] = [
            ("fails", "echo 'no such zone' >&2; exit 1", &["no such zone", "exit status: 1"]),
            ("fails at the second value", "[ -e once ] && exit 1; touch once", &["present"]),
            ("puts nothing", "exit 0", &["_acme-challenge.example.test"]),
        ];
        for (row, body, parts) in rows {
            let world = World::new(flavour, Tricks::SOME);
            let folder = world.folder().display();
            let text = format!("#!/bin/sh\n[ $1 = cleanup ] && exit 0\ncd '{folder}'\n{body}\n");
            let program = script(&world.folder().join("program"), &text);
            let lines = format!(
                "provider = \"exec\"\nprogram = \"{}\"\npropagation_timeout = \"1s\"",
                program.display()
            );
            world.certificate(&lines, "ecdsa-p256");
            check(row, &world, 1, parts);
            // The CA counted nothing: the same order goes on.
            check(row, &world, 1, &[]);
        }
    });
}

#[test]
fn an_account_that_may_not_change_the_zone() {
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::SOME);
        world.certificate(ALIDNS, "ecdsa-p256");
        world.cloud.account(ACCESS_KEY, |account| {
            account.denied.push(("alidns:AddDomainRecord".to_owned(), "*".to_owned()));
        });
        check("alidns", &world, 1, &["Forbidden.RAM"]);
    });
}

#[test]
fn a_wrong_tsig_key() {
    let Some(knotd) = need_debian("knotd", "knot") else { return };
    over_both(|flavour| {
        let rows = [
            ("another secret", "b3RoZXIgdGhhbiB3aGF0IHRoZSBzZXJ2ZXIga25vd3M=", "acme", "BADSIG"),
            ("another name", knot::SECRET, "someone", "BADKEY"),
        ];
        for (row, secret, key_name, part) in rows {
            let (world, _knot) = rfc2136::world(flavour, &knotd, "hmac-sha256");
            world.secret("tsig", secret);
            let named = format!("key_name = \"{key_name}\"");
            let lines = rfc2136::access(&world, "hmac-sha256");
            world.certificate(&lines.replace("key_name = \"acme\"", &named), "ecdsa-p256");
            check(row, &world, 1, &[part]);
        }
    });
}
