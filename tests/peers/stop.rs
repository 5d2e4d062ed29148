//! SIGTERM and SIGINT while a record is waited for: tidied up, ended in time, and the next run goes on with the order.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Signal, kill_process};

use super::names::Names;
use super::pebble::{Tricks, over_both};
use super::program::{script, wait_until};
use super::world::World;

/// What an impatient supervisor gives.
const IN_TIME: Duration = Duration::from_secs(5);

/// Starts a run that waits, stops it, and runs again with what `mend` changed: one order in all.
fn check(
    row: &str,
    world: &World,
    signal: Signal,
    waits: impl FnMut() -> bool,
    mend: impl FnOnce(),
) {
    let mut run = world.start(&["renew"]);
    assert!(wait_until(Duration::from_secs(60), waits), "{row}: {}", run.said());
    let since = Instant::now();
    kill_process(run.pid(), signal).unwrap();
    let code = run.ends_within(IN_TIME);
    assert!(code.is_some_and(|code| code != 0), "{row}: {code:?}: {}", run.said());
    assert!(since.elapsed() < IN_TIME, "{row}");
    assert_eq!(world.txt(), Vec::<String>::new(), "{row}: {}", run.said());
    assert_eq!(world.pebble.orders(), 1, "{row}");
    mend();
    let (report, ran) = world.report(&["renew"]);
    assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
    assert_eq!(report["certificates"][0]["outcome"], "issued", "{row}: {report:#}");
    assert!(ran.stderr.contains("carrying on with the order"), "{row}: {}", ran.stderr);
    assert_eq!(world.pebble.orders(), 1, "{row}: the order of the first run");
    assert_eq!(world.txt(), Vec::<String>::new(), "{row}");
}

#[test]
fn by_a_program_that_puts_nothing() {
    over_both(|flavour| {
        for (row, signal) in [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT)] {
            let world = World::new(flavour, Tricks::SOME);
            let exec = world.exec();
            let calls = world.folder().join("calls");
            let program = world.folder().join("exec");
            let text = format!("#!/bin/sh\necho \"$1 $2 $3\" >>'{}'\n", calls.display());
            let works = fs::read_to_string(&program).unwrap();
            script(&program, &text);
            world.certificate(&exec, "ecdsa-p256");
            let count = |verb: &str| {
                let calls = fs::read_to_string(&calls).unwrap_or_default();
                calls.lines().filter(|line| line.starts_with(verb)).count()
            };
            let mend = || {
                assert_eq!((count("present"), count("cleanup")), (2, 2), "{row}");
                script(&program, &works);
            };
            check(row, &world, signal, || count("present") == 2, mend);
        }
    });
}

#[test]
fn by_alidns_whose_values_do_not_show() {
    over_both(|flavour| {
        let mut world = World::new(flavour, Tricks::SOME);
        fs::create_dir(world.folder().join("other")).unwrap();
        let other = Names::start(flavour, &world.folder().join("other"));
        let true_dns = std::mem::replace(&mut world.dns, other.dns);
        let alidns = "provider = \"alidns\"\naliyun = \"default\"";
        world.certificate(alidns, "ecdsa-p256");
        let config = fs::read_to_string(world.config()).unwrap();
        let mended = config.replace(&other.dns.to_string(), &true_dns.to_string());
        let waits = || world.cloud.txt("_acme-challenge.example.test").len() == 2;
        check("alidns", &world, Signal::TERM, waits, || {
            fs::write(world.config(), &mended).unwrap();
        });
    });
}
