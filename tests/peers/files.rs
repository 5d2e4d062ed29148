//! A client that cannot call a hook: Debian's Caddy. The configuration names its files, and `renew` keeps them in step.

use certferry_sandbox::cloud::Fault;

use super::client::{Caddy, Client, Left, told};
use super::hooks::in_step;
use super::pebble::{Tricks, over_one};
use super::served;
use super::world::World;

const TARGETS: [&str; 1] = ["example.test"];

fn configure(world: &World, left: &Left) {
    told("caddy", "source_key = ");
    world.configure(&format!(
        "[[certificate]]\nsource = \"{}\"\nsource_key = \"{}\"\n\
         [[certificate.deploy]]\ndomains = [\"example.test\"]\n",
        left.chain.display(),
        left.key.display()
    ));
}

#[test]
fn caddy_of_debian() {
    let Some(caddy) = Caddy::of_debian().filter(|_| served::can_be_judged()) else { return };
    over_one(|flavour| {
        let world = World::new(flavour, Tricks::NONE);
        let spot = world.spot();
        caddy.obtain(&spot);
        let left = caddy.left(&spot);
        configure(&world, &left);
        let renew = |code, row| {
            let (report, ran) = world.report(&["renew"]);
            assert_eq!(ran.code, Some(code), "{row}: {ran:#?}");
            assert_eq!(report["certificates"][0]["name"], "example.test", "{row}: {report:#}");
        };
        renew(0, "first");
        let first = in_step("first", &world, &left, &TARGETS);
        caddy.again(&spot);
        renew(0, "replaced");
        let second = in_step("replaced", &world, &left, &TARGETS);
        assert_ne!(second, first);
        caddy.again(&spot);
        let refused = Fault::at("SetDomainServerCertificate").answer("Forbidden.RAM", 403);
        world.cloud.fault(refused.always());
        renew(1, "refused");
        assert_eq!(world.cloud.served_fingerprint(TARGETS[0]), Some(second));
        world.cloud.heal();
        renew(0, "healed");
        in_step("healed", &world, &left, &TARGETS);
        assert_eq!((world.orders(), world.uploads()), (3, 4), "Caddy's own orders; one in vain");
    });
}
