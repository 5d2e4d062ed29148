//! Two runs at once, and one after a kill: who waits for whom, and that nothing is done twice or lost.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use certferry_sandbox::fault::Fault;
use rustix::process::{Pid, Signal, kill_process};

use crate::ca_calls::patient;
use crate::house::{Ended, House, Leaf};
use crate::issuing::{ONE, Town};

fn spawn(mut command: Command) -> Child {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

fn ended(child: Child) -> Ended {
    Ended::of(&child.wait_with_output().unwrap())
}

/// The process that `timeout` has started.
fn of_timeout(child: &Child) -> String {
    let id = child.id();
    let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap();
    children.trim().to_owned()
}

/// Waits until something has come about, for a minute at most.
fn until(what: &str, is_so: impl Fn() -> bool) {
    let patience = Instant::now() + Duration::from_secs(60);
    while !is_so() {
        assert!(Instant::now() < patience, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Each answer of the CA takes long enough for another run to come.
fn slow(town: &Town, latency: Duration) {
    town.world.ca.rules(|rules| rules.latency = latency);
}

#[test]
fn two_renews_issue_once() {
    let town = Town::new(patient);
    slow(&town, Duration::from_millis(150));
    let first = spawn(town.command("renew"));
    until("an order", || !town.world.ca.calls("newOrder").is_empty());
    let second = spawn(town.command("renew"));
    let (first, second) = (ended(first), ended(second));
    let all = format!("first: {}second: {}", first.all(), second.all());
    assert_eq!((first.code, second.code, town.cost()), (0, 0, ONE), "{all}");
    let waits = "waiting for process ";
    assert!(
        second.stderr.contains(waits) && second.stderr.contains("(issuing example.test)"),
        "{all}"
    );
    assert!(!first.stderr.contains("(issuing "), "{all}");
}

#[test]
fn a_killed_run_leaves_no_lock() {
    let town = Town::new(patient);
    town.world.ca.fault(Fault::at("newOrder").before().silence());
    let mut killed = spawn(town.program("renew"));
    until("an order", || town.world.ca.faults_left() == 0);
    killed.kill().unwrap();
    killed.wait().unwrap();
    let next = town.run("renew");
    assert_eq!((next.code, town.cost()), (0, ONE), "{}", next.all());
    assert!(!next.all().contains("waiting for"), "{}", next.all());
}

#[test]
fn a_rollback_while_a_renewal_is_under_way() {
    let town = Town::new(patient);
    for args in ["renew", "renew example.test --force"] {
        assert_eq!(town.run(args).code, 0, "{args}");
    }
    slow(&town, Duration::from_millis(150));
    let before = town.world.ca.calls("newOrder").len();
    let renew = spawn(town.command("renew example.test --force"));
    until("an order", || town.world.ca.calls("newOrder").len() > before);
    let back = spawn(town.command("rollback example.test"));
    let (renew, back) = (ended(renew), ended(back));
    let all = format!("renew: {}rollback: {}", renew.all(), back.all());
    assert_eq!((renew.code, back.code), (0, 0), "{all}");
    slow(&town, Duration::ZERO);
    let after = town.run("renew");
    assert_eq!(after.code, 0, "{}", after.all());
    let status = town.run("status --json").json();
    let targets = status["certificates"][0]["targets"].as_array().unwrap();
    // Whoever came last, both targets serve the same.
    assert_eq!(
        targets[0]["served_fingerprint"], targets[1]["served_fingerprint"],
        "{all}{status:#}"
    );
    assert!(targets.iter().all(|target| target["in_step"] == true), "{all}{status:#}");
}

/// While something is ordered with the account's key, that stays as it is.
#[test]
fn an_account_gets_its_new_key_between_orders() {
    let town = Town::new(patient);
    assert_eq!(town.run("renew").code, 0);
    slow(&town, Duration::from_millis(150));
    let before = town.world.ca.calls("newOrder").len();
    let renew = spawn(town.command("renew example.test --force"));
    until("an order", || town.world.ca.calls("newOrder").len() > before);
    let roll = spawn(town.command("account rollover"));
    let (renew, roll) = (ended(renew), ended(roll));
    let all = format!("renew: {}rollover: {}", renew.all(), roll.all());
    assert_eq!((renew.code, roll.code, town.world.ca.accounts().len()), (0, 0, 1), "{all}");
    let after = town.run("renew example.test --force");
    assert_eq!((after.code, town.cost()), (0, [3, 3, 6, 0]), "{}", after.all());
}

/// A revocation neither takes the key from a change of keys that is under way, nor is without one.
#[test]
fn a_revocation_while_the_account_gets_a_new_key() {
    let town = Town::new(patient);
    assert_eq!(town.run("renew").code, 0);
    slow(&town, Duration::from_millis(150));
    let roll = spawn(town.command("account rollover"));
    until("a change of keys", || !town.world.ca.calls("keyChange").is_empty());
    let revoke = spawn(town.command("revoke example.test"));
    let (roll, revoke) = (ended(roll), ended(revoke));
    let all = format!("rollover: {}revoke: {}", roll.all(), revoke.all());
    assert_eq!((roll.code, revoke.code), (0, 0), "{all}");
    let after = town.run("renew");
    assert_eq!((after.code, town.world.ca.accounts().len()), (0, 1), "{}", after.all());
}

/// A hook that comes while `renew` holds its target: its claim is there at once, it ends in time, and the next run does
/// what it could not.
#[test]
fn a_hook_hands_over_what_another_run_holds() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    for args in ["hook", "renew"] {
        let ended = house.run(args);
        assert_eq!(ended.code, 0, "{args}: {}", ended.all());
    }
    house.cloud.switch_off("cdn.example.test");
    house.cloud.fault(Fault::at("SetDomainServerCertificate").always().before().silence());
    let sent = house.uploads();
    let mut renew = spawn(house.command("renew"));
    until("an upload", || house.uploads() > sent);
    let (chain, _key) = house.lineage("a", &Leaf::new());
    let claims = house.path("store/claims");
    std::fs::remove_dir_all(&claims).unwrap();
    let begun = Instant::now();
    let mut hook = spawn(house.command("hook --json --deadline 4"));
    until("a claim", || claims.read_dir().is_ok_and(|mut claims| claims.next().is_some()));
    assert_eq!(hook.try_wait().unwrap(), None, "the claim comes first");
    let hook = ended(hook);
    let report = hook.json();
    let took = begun.elapsed();
    let held =
        format!("waiting for process {} (uploading to cdn.example.test)", of_timeout(&renew));
    assert!(hook.stderr.contains(&held), "nothing says `{held}`: {}", hook.all());
    assert!(
        took < Duration::from_secs(14),
        "{took:?} of 4 s, and a loaded machine's 10: {}",
        hook.all()
    );
    let end = (&report["targets"][0]["outcome"], hook.code, house.uploads());
    assert_eq!(end, (&"waiting".into(), 0, sent + 1), "{}", hook.all());
    // `timeout` passes it on; the second word ends what the first one asked to end.
    for _ in 0..2 {
        kill_process(Pid::from_child(&renew), Signal::TERM).unwrap();
    }
    renew.wait().unwrap();
    house.cloud.heal();
    let next = house.run("renew");
    let served = house.cloud.served("cdn.example.test").unwrap();
    assert_eq!((next.code, served.chain_pem == chain), (0, true), "{}", next.all());
    let plan = house.run("plan --json").json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{plan:#}");
}
