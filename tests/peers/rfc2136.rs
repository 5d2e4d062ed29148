//! `provider = "rfc2136"` against the real Knot, which Pebble asks too.

use std::net::SocketAddr;
use std::path::Path;

use super::knot::{Knot, SECRET};
use super::names::Names;
use super::pebble::{Flavour, Tricks, over_both};
use super::program::need_debian;
use super::renew::{again, from_nothing};
use super::world::{Ca, World};

/// A world whose DNS is Knot. The key lies in the file `tsig`.
pub(crate) fn world(flavour: &Flavour, knotd: &Path, algorithm: &str) -> (World, Knot) {
    let folder = tempfile::tempdir().unwrap();
    let names = Names::start(flavour, folder.path());
    let knot = Knot::start(knotd, folder.path(), algorithm);
    let world = World::asking(flavour, Tricks::SOME, folder, names, knot.address);
    world.secret("tsig", SECRET);
    (world, knot)
}

/// The lines of its `[dns.default]`.
pub(crate) fn access<C: Ca>(world: &World<C>, algorithm: &str) -> String {
    access_to(world.dns, algorithm)
}

/// The same by updates to this server.
pub(crate) fn access_to(server: SocketAddr, algorithm: &str) -> String {
    format!(
        "provider = \"rfc2136\"\nserver = \"{server}\"\nkey_name = \"acme\"\nkey_file = \"tsig\"\nalgorithm = \"{algorithm}\""
    )
}

#[test]
fn by_knot() {
    let (Some(knotd), Some(_)) = (need_debian("knotd", "knot"), need_debian("openssl", "openssl"))
    else {
        return;
    };
    over_both(|flavour| {
        for algorithm in ["hmac-sha256", "hmac-sha384", "hmac-sha512"] {
            let (world, _knot) = world(flavour, &knotd, algorithm);
            world.certificate(&access(&world, algorithm), "ecdsa-p256");
            from_nothing(algorithm, &world);
            again(algorithm, &world);
        }
    });
}
