//! ARI, `replaces` and alternate chains, as Pebble has them.

use std::fs;

use serde_json::{Value, json};

use super::pebble::{Tricks, over_newest};
use super::renew::from_nothing;
use super::world::{ALIDNS, World};

const PAGE: &str = "https://ca.example/an-incident";

fn live(world: &World, file: &str) -> String {
    fs::read_to_string(world.store().join("live/example.test").join(file)).unwrap()
}

/// Lets the CA be asked again now, and answers what is remembered.
fn let_ask(world: &World) -> Value {
    let file = world.store().join("journal/lineages/example.test.json");
    let mut memory: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let before = memory.clone();
    memory["ari"]["ask_again_at"] = json!("2026-01-01T00:00:00Z");
    fs::write(file, memory.to_string()).unwrap();
    before
}

fn why(world: &World) -> String {
    let status = world.report(&["status"]).0;
    status["certificates"][0]["renew_reason"].as_str().unwrap().to_owned()
}

#[test]
fn renewal_as_the_ca_wants_it() {
    over_newest(|flavour| {
        let world = World::new(flavour, Tricks { profiles: true, ..Tricks::SOME });
        world.certificate(ALIDNS, "ecdsa-p256");
        from_nothing("issued", &world);
        assert!(why(&world).contains("ARI"), "{}", why(&world));
        let first = live(&world, "cert.pem");

        world.ca.set_renewal(&first, "no JSON at all");
        let before = let_ask(&world)["ari"]["window"].clone();
        let (kept, ran) = world.report(&["renew"]);
        assert_eq!(kept["certificates"][0]["outcome"], "kept", "{ran:#?}");
        assert_eq!(let_ask(&world)["ari"]["window"], before, "a bad answer changes nothing");

        let passed = json!({
            "suggestedWindow": { "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z" },
            "explanationURL": PAGE,
        });
        world.ca.set_renewal(&first, &passed.to_string());
        let (issued, ran) = world.report(&["renew"]);
        assert_eq!(issued["certificates"][0]["outcome"], "issued", "{ran:#?}");
        assert!(issued["certificates"][0]["reason"].as_str().unwrap().contains(PAGE), "{ran:#?}");
        assert_eq!(world.orders(), 2);

        // Back to the first certificate, which the second one's order said that it replaces.
        let link = world.store().join("live/example.test");
        fs::remove_file(&link).unwrap();
        std::os::unix::fs::symlink("../archive/example.test/0001", &link).unwrap();
        let again = world.run(&["renew", "--force", "-vv"]);
        assert_eq!(again.code, Some(0), "{again:#?}");
        assert!(again.stderr.contains("already has a replacement order"), "{again:#?}");
        assert_eq!(world.orders(), 3, "one order without `replaces`, none left behind");
        let said = world.run(&["renew", "--force", "-vv"]);
        assert_eq!((said.code, world.orders()), (Some(0), 4), "{said:#?}");
        assert!(!said.stderr.contains("without `replaces`"), "{said:#?}");
    });
}

#[test]
fn the_chain_that_is_preferred() {
    over_newest(|flavour| {
        let world = World::new(flavour, Tricks { alternates: 2, ..Tricks::SOME });
        let name = |chain| certferry::cert::Leaf::read(&world.ca.root_of(chain)).unwrap().issuer;
        for (row, wanted, gets, warns) in [
            ("the default", name(0), name(0), false),
            ("the second alternate", name(2), name(2), false),
            ("the first alternate", name(1), name(1), false),
            ("none of this name", "ISRG Root X1".to_owned(), name(0), true),
        ] {
            world.certificate(ALIDNS, "ecdsa-p256");
            world.amend("[acme]\n", &format!("[acme]\npreferred_chain = \"{wanted}\"\n"));
            let (report, ran) = world.report(&["renew", "--force"]);
            assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
            assert_eq!(report["certificates"][0]["outcome"], "issued", "{row}: {ran:#?}");
            let chain = live(&world, "fullchain.pem");
            assert_eq!(certferry::cert::leads_to(chain.as_bytes()).unwrap(), gets, "{row}");
            assert_eq!(report["warnings"].to_string().contains("no chain to"), warns, "{row}");
        }
    });
}
