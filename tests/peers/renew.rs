//! `renew` from nothing to a served certificate, in one order; then nothing to do; then what heals.

use std::time::Duration;

use certferry_sandbox::cloud::Fault;

use super::pebble::{Tricks, over_both};
use super::program::need_debian;
use super::served;
use super::world::{ALIDNS, Ca, DOMAINS, World};

/// One run from an empty store: issued, deployed, read back, tidied up.
pub(crate) fn from_nothing<C: Ca>(row: &str, world: &World<C>) {
    let (report, ran) = world.report(&["renew"]);
    assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
    assert_eq!((&report["ok"], &report["changed"]), (&true.into(), &true.into()), "{row}");
    assert_eq!(report["warnings"], serde_json::json!([]), "{row}");
    let certificate = &report["certificates"][0];
    assert_eq!(certificate["outcome"], "issued", "{row}: {report:#}");
    assert_eq!(certificate["domains"], serde_json::json!(["example.test", "*.example.test"]));
    let targets = report["targets"].as_array().unwrap();
    assert_eq!(targets.len(), DOMAINS.len(), "{row}");
    for (target, (written, api_name)) in targets.iter().zip(DOMAINS) {
        assert_eq!(target["domain"], written, "{row}");
        assert_eq!(target["outcome"], "deployed", "{row}: {target:#}");
        assert_eq!(target["proof"], "readback", "{row}");
        assert_eq!(served::check(world, api_name), certificate["fingerprint"], "{row}: {written}");
    }
    assert_eq!(world.orders(), 1, "{row}");
    assert_eq!(world.txt(), Vec::<String>::new(), "{row}");
    served::private(&world.store().join("live/example.test"));
}

/// Nothing is due: no order, no upload.
pub(crate) fn again<C: Ca>(row: &str, world: &World<C>) {
    let (orders, uploads) = (world.orders(), world.uploads());
    let (report, ran) = world.report(&["renew"]);
    assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
    assert_eq!((&report["ok"], &report["changed"]), (&true.into(), &false.into()), "{row}");
    assert_eq!(report["certificates"][0]["outcome"], "kept", "{row}");
    for target in report["targets"].as_array().unwrap() {
        assert_eq!(target["outcome"], "unchanged", "{row}: {target:#}");
    }
    assert_eq!((world.orders(), world.uploads()), (orders, uploads), "{row}");
}

/// Due now, because somebody says so: another certificate in the place of the first one.
pub(crate) fn forced<C: Ca>(row: &str, world: &World<C>) {
    let first = world.cloud.served_fingerprint("cdn.example.test");
    let (report, ran) = world.report(&["renew", "--force"]);
    assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
    for (target, (_, api_name)) in report["targets"].as_array().unwrap().iter().zip(DOMAINS) {
        assert_eq!(target["replaced"]["fingerprint"], *first.as_ref().unwrap(), "{row}");
        let served = served::check(world, api_name);
        assert_eq!(served, report["certificates"][0]["fingerprint"], "{row}: {target:#}");
    }
    assert_ne!(world.cloud.served_fingerprint("cdn.example.test"), first, "{row}");
    assert_eq!(world.orders(), 2, "{row}");
    let names = world.cloud.cert_names(certferry_sandbox::cloud::DEFAULT_UID);
    assert_eq!(names.len(), DOMAINS.len(), "{row}: no heap of old ones: {names:?}");
}

#[test]
fn by_alidns_with_every_key_type() {
    if need_debian("openssl", "openssl").is_none() {
        return;
    }
    let rows = [
        ("ecdsa-p256", "-----BEGIN EC PRIVATE KEY-----"),
        ("ecdsa-p384", "-----BEGIN EC PRIVATE KEY-----"),
        ("rsa-2048", "-----BEGIN RSA PRIVATE KEY-----"),
    ];
    over_both(|flavour| {
        for (key_type, head) in rows {
            let world = World::new(flavour, Tricks::SOME);
            world.certificate(ALIDNS, key_type);
            from_nothing(key_type, &world);
            again(key_type, &world);
            forced(key_type, &world);
            let served = world.cloud.served("cdn.example.test").unwrap();
            assert!(served.key_pem.starts_with(head), "{key_type}");
        }
    });
}

#[test]
fn by_a_program() {
    if need_debian("openssl", "openssl").is_none() || need_debian("curl", "curl").is_none() {
        return;
    }
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::SOME);
        world.certificate(&world.exec(), "ecdsa-p256");
        from_nothing("exec", &world);
        again("exec", &world);
        let calls = std::fs::read_to_string(world.folder().join("calls")).unwrap();
        let count = |verb: &str| calls.lines().filter(|line| line.starts_with(verb)).count();
        assert_eq!((count("present"), count("cleanup")), (2, 2), "{calls}");
    });
}

#[test]
fn a_refused_upload_heals_without_a_new_order() {
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::SOME);
        world.certificate(ALIDNS, "ecdsa-p256");
        let refused = Fault::at("SetDomainServerCertificate").answer("Forbidden.RAM", 403);
        world.cloud.fault(refused.on("cdn.example.test"));
        let (report, ran) = world.report(&["renew"]);
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        assert_eq!(report["targets"][0]["outcome"], "failed", "{report:#}");
        assert_eq!(report["targets"][0]["error"]["code"], "Forbidden.RAM");
        assert_eq!(report["targets"][1]["outcome"], "deployed", "one failure stops no other");
        let issued = &report["certificates"][0]["fingerprint"];
        let (healed, ran) = world.report(&["renew"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        assert_eq!(healed["targets"][0]["outcome"], "deployed", "{healed:#}");
        assert_eq!(healed["targets"][1]["outcome"], "unchanged", "{healed:#}");
        assert_eq!(world.cloud.served_fingerprint("cdn.example.test").unwrap(), *issued);
        assert_eq!(world.orders(), 1);
    });
}

#[test]
fn two_runs_at_once_make_one_order() {
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::SOME);
        world.certificate(ALIDNS, "ecdsa-p256");
        let mut runs = ["one", "other"].map(|name| world.start(&["renew"], name));
        for run in &mut runs {
            let status = run.ends_within(Duration::from_secs(60));
            assert!(status.is_some_and(|status| status.success()), "{}", run.said());
        }
        assert_eq!(world.orders(), 1);
        again("afterwards", &world);
    });
}
