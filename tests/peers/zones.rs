//! More than one Knot: a primary and its copy, a delegated zone, an alias into somebody else's zone.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use hickory_proto::rr::{Name, RecordType};

use super::client::mounts;
use super::knot::{Knot, Role, SECRET, Zone};
use super::names::{Names, ask, txt};
use super::pebble::{Flavour, Tricks, over_both};
use super::program::{free, need_debian, port_53, wait_until};
use super::renew::{again, from_nothing};
use super::resolver::Resolver;
use super::rfc2136::access_to;
use super::world::{APEX, World};

const ALGORITHM: &str = "hmac-sha256";
const CHALLENGE: &str = "_acme-challenge.example.test";

/// The records by which the apex gives `_acme-challenge` away.
const DELEGATED: &str =
    "_acme-challenge 60 NS ns._acme-challenge\nns._acme-challenge 60 A 127.0.0.1\n";

/// A transfer on loopback takes milliseconds.
const IN_TIME: Duration = Duration::from_secs(20);

fn programs() -> Option<PathBuf> {
    let (knotd, openssl) = (need_debian("knotd", "knot"), need_debian("openssl", "openssl"));
    openssl.and(knotd)
}

/// A Knot with one zone of its own.
fn primary(knotd: &Path, folder: &Path, name: &str, records: &str) -> Knot {
    let zone = Zone { name, role: Role::Primary { records, notify: None } };
    Knot::at(free(), knotd, folder, ALGORITHM, &[zone])
}

/// A world in which certferry and Pebble ask `dns`, and certferry sends its updates to `server`.
fn world(
    flavour: &Flavour,
    folder: tempfile::TempDir,
    dns: SocketAddr,
    server: SocketAddr,
) -> World {
    let names = Names::start(flavour, folder.path());
    let world = World::asking(flavour, Tricks::SOME, folder, names, dns);
    world.secret("tsig", SECRET);
    world.certificate(&access_to(server, ALGORITHM), "ecdsa-p256");
    world
}

/// Has it taken an update, by its own log?
fn is_changed(knot: &Knot) -> bool {
    knot.said().contains("DDNS, finished")
}

#[test]
fn away_from_the_apex() {
    let Some(knotd) = programs() else { return };
    let rows = [
        ("a delegated zone", CHALLENGE, DELEGATED),
        ("an alias", "acme.other.test", "_acme-challenge 60 CNAME example.test.acme.other.test.\n"),
    ];
    over_both(|flavour| {
        for (row, zone, records) in rows {
            let folder = tempfile::tempdir().unwrap();
            let ours = primary(&knotd, folder.path(), APEX, records);
            let theirs = primary(&knotd, folder.path(), zone, "");
            let resolver = Resolver::start(&[(APEX, ours.address), (zone, theirs.address)]);
            let world = world(flavour, folder, resolver.address, theirs.address);
            from_nothing(row, &world);
            again(row, &world);
            assert_eq!((is_changed(&ours), is_changed(&theirs)), (false, true), "{row}");
        }
    });
}

/// A primary, and a copy that it tells of changes, after a second, and that hands updates on to it.
fn pair(knotd: &Path, folder: &Path, addresses: [SocketAddr; 2], records: &str) -> (Knot, Knot) {
    pair_of(knotd, folder, addresses, records, |of| Role::Secondary { of })
}

/// The same with another kind of copy.
fn pair_of<'a>(
    knotd: &Path,
    folder: &Path,
    [first, second]: [SocketAddr; 2],
    records: &'a str,
    copy: impl FnOnce(SocketAddr) -> Role<'a>,
) -> (Knot, Knot) {
    let role = Role::Primary { records, notify: Some(second) };
    let primary = Knot::at(first, knotd, folder, ALGORITHM, &[Zone { name: APEX, role }]);
    let zone = Zone { name: APEX, role: copy(first) };
    let secondary = Knot::at(second, knotd, folder, ALGORITHM, &[zone]);
    let apex = Name::from_ascii("example.test.").unwrap();
    let has_zone = || !ask(second, &apex, RecordType::SOA).answers.is_empty();
    assert!(wait_until(IN_TIME, has_zone), "{}", secondary.said());
    (primary, secondary)
}

#[test]
fn a_primary_and_its_copy() {
    let Some(knotd) = programs() else { return };
    over_both(|flavour| {
        for (row, by_copy) in [("updates to the primary", false), ("updates to the copy", true)] {
            let folder = tempfile::tempdir().unwrap();
            let (primary, copy) = pair(&knotd, folder.path(), [free(), free()], "");
            let names = Names::start(flavour, folder.path());
            // A CA may ask any of them.
            let mut world = World::asking(flavour, Tricks::SOME, folder, names, copy.address);
            world.dns = primary.address;
            world.secret("tsig", SECRET);
            let server = if by_copy { copy.address } else { primary.address };
            world.certificate(&access_to(server, ALGORITHM), "ecdsa-p256");
            let one = format!("\"{}\"", primary.address);
            world.amend(&format!("[{one}]"), &format!("[{one}, \"{}\"]", copy.address));
            from_nothing(row, &world);
            again(row, &world);
            let left = || txt(copy.address, &format!("{CHALLENGE}."));
            assert!(wait_until(IN_TIME, || left().is_empty()), "{row}: {:?}", left());
            assert!(is_changed(&primary) && !is_changed(&copy), "{row}: {}", copy.said());
        }
    });
}

/// What a primary and a copy that takes no updates have to say: the primary is found by the SOA, at port 53.
#[test]
fn updates_follow_the_soa() {
    let addresses = [82, 83].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let (Some(knotd), Some([first, second])) = (programs(), port_53(addresses)) else { return };
    over_both(|flavour| {
        for row in ["from a copy to the primary", "to the primary at once"] {
            let folder = tempfile::tempdir().unwrap();
            let of_copy = |of| Role::Copy { of };
            let (primary, copy) = pair_of(&knotd, folder.path(), [first, second], "", of_copy);
            let mut world = world(flavour, folder, copy.address, copy.address);
            if row == "to the primary at once" {
                world.amend(&format!("server = \"{}\"\n", copy.address), "");
            }
            // Both are looked at: the copy lags by a transfer.
            let one = format!("[\"{}\"]", copy.address);
            let both = format!("[\"{}\", \"{}\"]", copy.address, primary.address);
            world.amend(&one, &both);
            world.dns = primary.address;
            from_nothing(row, &world);
            again(row, &world);
            assert!(is_changed(&primary) && !is_changed(&copy), "{row}: {}", copy.said());
        }
    });
}

/// Where neither takes it, both are named; what the CA did not count goes on with the same order.
#[test]
fn a_copy_and_a_primary_that_take_no_updates_are_both_named() {
    let addresses = [84, 85].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let (Some(knotd), Some([first, second])) = (programs(), port_53(addresses)) else { return };
    over_both(|flavour| {
        let folder = tempfile::tempdir().unwrap();
        let of_copy = |of| Role::Copy { of };
        let (primary, copy) = pair_of(&knotd, folder.path(), [first, second], "", of_copy);
        let mut world = world(flavour, folder, copy.address, copy.address);
        world.dns = primary.address;
        world.amend("key_name = \"acme\"", "key_name = \"acne\"");
        let (report, ran) = world.report(&["renew"]);
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        let error = &report["certificates"][0]["error"];
        let message = error["message"].as_str().unwrap();
        for server in [format!("the DNS server {second}"), format!("ns.{APEX} ({first})")] {
            assert!(message.contains(&server), "{server}: {error}");
        }
        assert!(error["help"].as_str().unwrap().contains("knows no key `acne`"), "{error}");
        assert!(!is_changed(&primary) && !is_changed(&copy));
        world.amend("acne", "acme");
        from_nothing("corrected", &world);
    });
}

#[test]
fn a_server_that_gave_the_zone_away_is_named_at_once() {
    let Some(knotd) = programs() else { return };
    over_both(|flavour| {
        let folder = tempfile::tempdir().unwrap();
        let ours = primary(&knotd, folder.path(), APEX, DELEGATED);
        let theirs = primary(&knotd, folder.path(), CHALLENGE, "");
        let resolver = Resolver::start(&[(APEX, ours.address), (CHALLENGE, theirs.address)]);
        let world = world(flavour, folder, resolver.address, ours.address);
        let (report, ran) = world.report(&["renew"]);
        assert_eq!(ran.code, Some(1), "{ran:#?}");
        let error = &report["certificates"][0]["error"];
        let refused = format!("{} refused the update of {CHALLENGE}", ours.address);
        assert!(error["message"].as_str().unwrap().contains(&refused), "{error}");
        // It went on to the servers of the zone that was given away, which listen at another port here.
        let went_on = format!("ns.{CHALLENGE} (127.0.0.1:53)");
        assert!(error["message"].as_str().unwrap().contains(&went_on), "{error}");
        assert!(error["help"].as_str().unwrap().contains("set `server`"), "{error}");
        assert!(!is_changed(&ours) && !is_changed(&theirs));
        assert_eq!(world.orders(), 1);
        // What the CA did not count goes on with the same order.
        world.amend(&ours.address.to_string(), &theirs.address.to_string());
        from_nothing("corrected", &world);
    });
}

/// A machine that only knows its resolver: the zone's servers are found by their NS records, a dead one among them.
#[test]
fn by_the_resolver_of_the_machine() {
    let addresses = [78, 79, 80].map(|last| Ipv4Addr::new(127, 0, 0, last));
    let (Some(knotd), Some([first, second, resolver])) = (programs(), port_53(addresses)) else {
        return;
    };
    let Some(namespace) = mounts() else { return };
    over_both(|flavour| {
        let folder = tempfile::tempdir().unwrap();
        let records = "@ 60 NS copy\ncopy 60 A 127.0.0.79\n@ 60 NS dead\ndead 60 A 127.0.0.81\n";
        let (primary, copy) = pair(&knotd, folder.path(), [first, second], records);
        let resolver = Resolver::at(resolver, &[(APEX, primary.address)]);
        let resolv = folder.path().join("resolv.conf");
        fs::write(&resolv, format!("nameserver {}\n", resolver.address.ip())).unwrap();
        let mount = format!("mount --bind '{}' /etc/resolv.conf && exec \"$@\"", resolv.display());
        let mut world = world(flavour, folder, copy.address, primary.address);
        world.within = ["unshare", namespace, "sh", "-c", &mount, "sh"].map(str::to_owned).into();
        world.dns = primary.address;
        world.amend(&format!("nameservers = [\"{}\"]\n", copy.address), "");
        from_nothing("by NS records", &world);
        again("by NS records", &world);
    });
}
