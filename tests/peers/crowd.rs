//! A hundred lineages at once against a Pebble that refuses many nonces: each is issued by one order, and nothing is left.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::pebble::{Tricks, over_both};
use super::world::{ALIDNS, APEX, World};

/// As many as a mid-sized operator has.
const LINEAGES: usize = 100;

/// One certificate for each, apex and wildcard: two values at each name.
fn configure(world: &World, key_type: &str) {
    let mut text = world.access(ALIDNS);
    for number in 0..LINEAGES {
        let name = format!("shop{number}.{APEX}");
        write!(
            text,
            "[[certificate]]\nname = \"{name}\"\ndomains = [\"{name}\", \"*.{name}\"]\nkey_type = \"{key_type}\"\n"
        )
        .unwrap();
    }
    world.configure(&text);
}

/// Everything is due: a run issues each once.
fn all_issued(row: &str, world: &World, orders: usize) {
    let (report, ran) = world.report(&["renew"]);
    assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
    let certificates = report["certificates"].as_array().unwrap();
    let issued = certificates.iter().filter(|one| one["outcome"] == "issued");
    assert_eq!(issued.count(), LINEAGES, "{row}: {report:#}");
    let leaves: BTreeSet<&str> =
        certificates.iter().filter_map(|one| one["fingerprint"].as_str()).collect();
    assert_eq!(leaves.len(), LINEAGES, "{row}: a certificate of its own for each");
    assert_eq!(world.orders(), orders, "{row}");
    for number in 0..LINEAGES {
        let left = world.txt_at(&format!("_acme-challenge.shop{number}.{APEX}"));
        assert_eq!(left, Vec::<String>::new(), "{row}");
    }
}

#[test]
fn a_hundred_lineages_are_renewed_in_one_run() {
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::SOME);
        configure(&world, "ecdsa-p256");
        all_issued("at first", &world, LINEAGES);
        configure(&world, "ecdsa-p384");
        all_issued("renewed", &world, 2 * LINEAGES);
        let (report, ran) = world.report(&["renew"]);
        assert_eq!((ran.code, &report["changed"]), (Some(0), &false.into()), "{report:#}");
        assert_eq!(world.orders(), 2 * LINEAGES);
    });
}
