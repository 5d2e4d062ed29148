//! Signals while a record is waited for: tidied up, ended in time, and the next run goes on with the same order.

use std::fs;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use super::names::Names;
use super::pebble::{Tricks, over_both};
use super::program::{script, wait_until};
use super::world::{ALIDNS, World};

/// What an impatient supervisor gives.
const IN_TIME: Duration = Duration::from_secs(5);

/// Starts a run that waits, ends it by this signal, and runs again with what `mend` changed: one order in all.
fn check(row: &str, world: &World, signal: Signal, waits: impl Fn() -> bool, mend: impl FnOnce()) {
    let mut run = world.start(&["renew"], "stopped");
    assert!(wait_until(Duration::from_secs(60), waits), "{row}: {}", run.said());
    kill_process(run.pid(), signal).unwrap();
    let status = run.ends_within(IN_TIME);
    let status = status.unwrap_or_else(|| panic!("{row}: it still runs: {}", run.said()));
    if signal != Signal::KILL {
        assert_eq!(status.code(), Some(1), "{row}: {}", run.said());
        assert_eq!(world.txt(), Vec::<String>::new(), "{row}: {}", run.said());
    }
    assert_eq!(world.orders(), 1, "{row}");
    mend();
    let (report, ran) = world.report(&["renew"]);
    assert_eq!(ran.code, Some(0), "{row}: {ran:#?}");
    assert_eq!(report["certificates"][0]["outcome"], "issued", "{row}: {report:#}");
    assert!(ran.stderr.contains("carrying on with the order"), "{row}: {}", ran.stderr);
    assert_eq!(world.orders(), 1, "{row}: the order of the first run");
    assert_eq!(world.txt(), Vec::<String>::new(), "{row}");
}

#[test]
fn by_a_program_that_puts_nothing() {
    let signals = [("SIGTERM", Signal::TERM), ("SIGINT", Signal::INT), ("SIGKILL", Signal::KILL)];
    over_both(|flavour| {
        for (row, signal) in signals {
            let world = World::new(flavour, Tricks::SOME);
            let exec = world.exec();
            let calls = world.folder().join("calls");
            let program = world.folder().join("exec");
            let works = fs::read_to_string(&program).unwrap();
            script(&program, &format!("#!/bin/sh\necho \"$1 $2 $3\" >>'{}'\n", calls.display()));
            world.certificate(&exec, "ecdsa-p256");
            let count = |verb: &str| {
                let calls = fs::read_to_string(&calls).unwrap_or_default();
                calls.lines().filter(|line| line.starts_with(verb)).count()
            };
            let cleaned = if signal == Signal::KILL { 0 } else { 2 };
            let mend = || {
                assert_eq!((count("present"), count("cleanup")), (2, cleaned), "{row}");
                script(&program, &works);
            };
            check(row, &world, signal, || count("present") == 2, mend);
            assert_eq!(count("cleanup"), cleaned + 2, "{row}");
        }
    });
}

#[test]
fn by_alidns_whose_values_do_not_show() {
    over_both(|flavour| {
        for (row, signal) in [("SIGTERM", Signal::TERM), ("SIGKILL", Signal::KILL)] {
            let mut world = World::new(flavour, Tricks::SOME);
            fs::create_dir(world.folder().join("other")).unwrap();
            let other = Names::start(flavour, &world.folder().join("other"));
            let asked = std::mem::replace(&mut world.dns, other.dns);
            world.certificate(ALIDNS, "ecdsa-p256");
            let values = || world.cloud.txt("_acme-challenge.example.test").len();
            let mend = || world.amend(&other.dns.to_string(), &asked.to_string());
            check(row, &world, signal, || values() == 2, mend);
        }
    });
}

#[test]
fn while_what_was_proved_is_taken_away() {
    over_both(|flavour| {
        let world = World::new(flavour, Tricks::SOME);
        let exec = world.exec();
        let (calls, hold) = (world.folder().join("calls"), world.folder().join("hold"));
        let program = world.folder().join("exec");
        let works = fs::read_to_string(&program).unwrap();
        // As long as the file is there, the clean-up hangs; then it fails.
        let hangs = format!(
            "case $1 in cleanup) while [ -e '{}' ]; do sleep 0.05; held=1; done; [ $held ] && exit 1 ;; esac",
            hold.display()
        );
        script(&program, &works.replacen("case ", &format!("{hangs}\ncase "), 1));
        fs::write(&hold, "").unwrap();
        world.certificate(&exec, "ecdsa-p256");
        let cleaned = || {
            let calls = fs::read_to_string(&calls).unwrap_or_default();
            calls.lines().filter(|line| line.starts_with("cleanup")).count()
        };
        let mend = || {
            assert_eq!(world.txt().len(), 2);
            fs::remove_file(&hold).unwrap();
        };
        check("SIGKILL", &world, Signal::KILL, || cleaned() == 1, mend);
        assert_eq!(cleaned(), 3);
    });
}
