//! What is certbot's own about a hook: nobody reads its exit status, its stderr is shown as an error, and a dry run may
//! call it with the old certificate.

use certferry_sandbox::cloud::Fault;

use super::client::{Certbot, Client as _, Deploys, glue, told};
use super::hooks::{BOTH, in_step};
use super::pebble::{Tricks, over_both, over_one};
use super::program::script;
use super::served;
use super::world::World;

#[test]
fn a_failed_hook_heals_with_no_entry_in_the_configuration() {
    let Some(certbot) = Certbot::of_debian(Deploys::Yes).filter(|_| served::can_be_judged()) else {
        return;
    };
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::NONE);
        let spot = world.spot();
        let refused = Fault::at("SetDomainServerCertificate").answer("Forbidden.RAM", 403);
        world.cloud.fault(refused.always());
        let ran = certbot.obtain(&spot);
        assert!(ran.stderr.contains("RAM does not allow"), "certbot shows it: {ran:#?}");
        assert!(BOTH.iter().all(|target| world.cloud.served(target).is_none()));
        world.cloud.heal();
        let (report, ran) = world.report(&["renew"]);
        assert_eq!(ran.code, Some(0), "{ran:#?}");
        assert_eq!(report["changed"], true, "{report:#}");
        in_step("healed", &world, &certbot.left(&spot), &BOTH);
        assert_eq!(world.orders(), 1, "certbot's own");
    });
}

#[test]
fn the_file_for_all_certificates_is_such_a_hook() {
    let Some(certbot) = Certbot::of_debian(Deploys::No).filter(|_| served::can_be_judged()) else {
        return;
    };
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::NONE);
        let spot = world.spot();
        let ran = certbot.obtain(&spot);
        assert_eq!((ran.code, world.uploads()), (Some(0), 0), "{ran:#?}");
        told("certbot", "/etc/letsencrypt/renewal-hooks/deploy/certferry");
        let hooks = spot.at("certbot/config/renewal-hooks/deploy");
        script(&hooks.join("certferry"), &glue("certbot/certferry"));
        certbot.again(&spot);
        in_step("renewed", &world, &certbot.left(&spot), &BOTH);
    });
}

#[test]
fn what_is_well_is_no_error_to_it() {
    let Some(certbot) = Certbot::of_debian(Deploys::Yes).filter(|_| served::can_be_judged()) else {
        return;
    };
    over_one(|flavour| {
        let world = World::new(flavour, Tricks::NONE);
        let ran = certbot.obtain(&world.spot());
        assert!(!ran.stderr.contains("error output"), "stderr is an error to certbot: {ran:#?}");
        assert!(ran.stdout.contains("deployed"), "{ran:#?}");
    });
}

#[test]
fn a_dry_run_uploads_nothing() {
    let Some(certbot) = Certbot::of_pypi(Deploys::Yes).filter(|_| served::can_be_judged()) else {
        return;
    };
    over_one(|flavour| {
        let world = World::new(flavour, Tricks::NONE);
        let spot = world.spot();
        certbot.obtain(&spot);
        let issued = in_step("obtained", &world, &certbot.left(&spot), &BOTH);
        let (uploads, orders) = (world.uploads(), world.orders());
        // Else it would go to Let's Encrypt's staging.
        let here = ["--server", &spot.directory];
        let ran = certbot.renew(&spot, &[&["--dry-run", "--run-deploy-hooks"], &here[..]].concat());
        assert!(
            ran.stdout.contains("all is as it should be: 2 in step"),
            "the hook has run: {ran:#?}"
        );
        assert_eq!(world.uploads(), uploads, "{ran:#?}");
        assert_eq!(world.orders(), orders + 1, "what was obtained to try is thrown away");
        assert_eq!(in_step("tried", &world, &certbot.left(&spot), &BOTH), issued);
    });
}
