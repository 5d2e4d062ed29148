//! The account at the CA: bound to another one, forgotten by the CA; and the profiles that a CA offers.

use serde_json::Value;

use super::pebble::{Tricks, over_both};
use super::world::{ALIDNS, Ca, World};

const KEY: (&str, &str) =
    ("kid-1", "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W");

/// An account that has a certificate is shown, gets another contact and another key, revokes, renews, and ends.
pub(crate) fn to_its_end<C: Ca>(row: &str, world: &World<C>) {
    let says = |args: &[&str], part: &str| {
        let ran = world.run(args);
        assert_eq!(ran.code, Some(0), "{row}: {args:?}: {ran:#?}");
        assert!(ran.stdout.contains(part), "{row}: {args:?}: {part:?} is not in {ran:#?}");
        ran.stdout
    };
    let thumbprint =
        |text: &str| text.lines().find(|line| line.starts_with("thumbprint")).map(str::to_owned);
    let first = says(&["account", "show"], "ops@example.test");
    world.amend("ops@example.test", "new@example.test");
    says(&["account", "update"], "new@example.test");
    let second = says(&["account", "rollover"], "a new key");
    assert_ne!(thumbprint(&first), thumbprint(&second), "{row}");
    assert_eq!(thumbprint(&second), thumbprint(&says(&["account", "show"], "valid")), "{row}");
    says(&["revoke", "example.test", "--reason", "superseded"], "revoked");
    let (report, ran) = world.report(&["renew"]);
    assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
    assert_eq!(report["certificates"][0]["outcome"], "issued", "{row}: {report:#}");
    says(&["account", "deactivate"], "has ended");
    issued("with a new account", world);
}

fn issued<C: Ca>(row: &str, world: &World<C>) -> Value {
    let (report, ran) = world.report(&["renew", "--force"]);
    assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
    assert_eq!(report["certificates"][0]["outcome"], "issued", "{row}: {report:#}");
    report
}

fn refused(row: &str, world: &World, part: &str) {
    let (report, ran) = world.report(&["renew", "--force"]);
    assert_eq!(ran.code, Some(1), "{row}: {ran:#?}");
    let error = &report["certificates"][0]["error"];
    let message = error["message"].as_str().unwrap();
    assert!(message.contains(part), "{row}: {part:?} is not in {message:?}");
    assert_ne!(error["help"], "", "{row}: {report:#}");
    assert_eq!(world.orders(), 0, "{row}");
}

#[test]
fn bound_to_another_account() {
    over_both(|flavour| {
        let world = World::new(flavour, Tricks { eab: Some(KEY), ..Tricks::SOME });
        world.certificate(ALIDNS, "ecdsa-p256");
        refused("without a binding", &world, "takes only accounts that are bound");
        let (id, key) = KEY;
        world.secret("eab", "bm90IHRoZSBrZXkgdGhhdCB0aGUgQ0Ega25vd3M");
        let eab = format!("[acme]\neab = {{ key_id = \"{id}\", hmac_key_file = \"eab\" }}\n");
        world.amend("[acme]\n", &eab);
        refused("with another key", &world, "external account binding");
        world.secret("eab", key);
        issued("bound", &world);
    });
}

#[test]
fn forgotten_by_the_ca() {
    over_both(|flavour| {
        let mut world = World::new(flavour, Tricks::SOME);
        world.certificate(ALIDNS, "ecdsa-p256");
        issued("at first", &world);
        world.ca.forget();
        issued("with a new account", &world);
        assert_eq!(world.orders(), 1);
    });
}

#[test]
fn profiles() {
    over_both(|flavour| {
        let world = World::new(flavour, Tricks { profiles: true, ..Tricks::SOME });
        world.certificate(ALIDNS, "ecdsa-p256");
        let profile = |name: &str| format!("[acme]\nprofile = \"{name}\"\n");
        world.amend("[acme]\n", &profile("longlived"));
        if !world.ca.has_profiles() {
            refused("a CA without profiles", &world, "the CA offers no profiles");
            return;
        }
        refused("unknown", &world, "the CA offers no profile `longlived`");
        world.amend(&profile("longlived"), &profile("shortlived"));
        let report = issued("shortlived", &world);
        let at = |value: &Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
        let life =
            at(&report["certificates"][0]["not_after"]).duration_since(at(&report["started"]));
        assert!((5..7).contains(&(life.as_hours() / 24)), "{life}");
    });
}

#[test]
fn shown_changed_revoked_and_ended() {
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::SOME);
        world.certificate(ALIDNS, "ecdsa-p256");
        issued("at first", &world);
        to_its_end(flavour.name, &world);
    });
}
