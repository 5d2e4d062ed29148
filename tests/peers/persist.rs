//! dns-persist-01, as Pebble has it.

use std::process::Command;

use super::pebble::{Tricks, over_newest};
use super::program::Ran;
use super::world::{ALIDNS, APEX, World};

/// The value that an error says to set at the place.
fn told(ran: &Ran) -> String {
    let start = format!("set: _validation-persist.{APEX}. TXT \"");
    let (_, rest) = ran.stderr.split_once(&start).unwrap_or_else(|| panic!("{ran:#?}"));
    rest.split_once('"').unwrap().0.to_owned()
}

fn set(world: &World, value: &str) {
    let place = format!("_validation-persist.{APEX}.");
    let mut command = Command::new(world.names().exec(world.folder()));
    let put = command.args(["present", &place, value]).output().unwrap();
    assert!(put.status.success(), "{put:?}");
}

#[test]
fn a_record_that_stands_for_good() {
    over_newest(|flavour| {
        let mut world = World::new(flavour, Tricks::SOME);
        world.certificate(ALIDNS, "ecdsa-p256");
        world.amend("key_type", "challenge = \"dns-persist-01\"\nkey_type");
        let missing = world.run(&["renew"]);
        let record = told(&missing);
        assert_eq!((missing.code, world.orders()), (Some(1), 0), "{missing:#?}");
        assert!(record.starts_with("pebble.letsencrypt.org; accounturi=https://"), "{record}");

        set(&world, &record.replace("; policy=wildcard", ""));
        let plain = world.run(&["renew"]);
        assert!(plain.stderr.contains("has no `policy=wildcard`"), "{plain:#?}");
        assert_eq!((told(&plain), world.orders()), (record.clone(), 0), "{plain:#?}");

        set(&world, &record);
        for orders in [1, 2] {
            let (issued, ran) = world.report(&["renew", "--force"]);
            assert_eq!(issued["certificates"][0]["outcome"], "issued", "{ran:#?}");
            assert_eq!(world.orders(), orders, "{ran:#?}");
        }
        assert!(world.cloud.calls("AddDomainRecord").is_empty(), "nothing is put");

        // A CA that has lost the account: the new one wants a new record, also for the order that is made by then.
        world.ca.forget();
        let lost = world.run(&["renew", "--force"]);
        assert_eq!((lost.code, world.orders()), (Some(1), 1), "{lost:#?}");
        assert_ne!(told(&lost), record, "{lost:#?}");
        set(&world, &told(&lost));
        let again = world.run(&["renew", "--force"]);
        assert_eq!((again.code, world.orders()), (Some(0), 1), "{again:#?}");
    });
}
