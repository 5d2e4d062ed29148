//! Many lineages at once: slow DNS holds up no other, and few of them bother the CA.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use certferry_sandbox::ca::Call;
use certferry_sandbox::world::{Certificate, Seed};
use jiff::SignedDuration;
use rustix::process::{Pid, Signal, kill_process};

use crate::issuing::{Town, ca_rules};

/// More than a CA is asked for at once.
const SLOW: usize = 20;

/// Far from what the fast one needs, also on a busy machine, and from the `propagation_timeout` of the slow ones.
const PATIENCE: Duration = Duration::from_secs(90);

/// Nothing that it is told to put ever shows.
const NOWHERE: &str = "[dns.slow]\nprovider = \"exec\"\nprogram = \"/bin/true\"\npropagation_timeout = \"1h\"\nnameservers = ";

/// So many more certificates, before all others; each says this, and goes nowhere.
fn many(seed: &mut Seed, number: usize, more: &str) {
    let name = |number: usize| format!("shop{number}.example.test");
    let certificate =
        |number| Certificate { more: more.to_owned(), ..Certificate::new(&[&name(number)], &[]) };
    let others = seed.certificates.drain(..).collect::<Vec<_>>();
    seed.certificates = (0..number).map(certificate).chain(others).collect();
}

/// The slow ones first, so that they are ahead in every queue.
fn town() -> Town {
    let town = Town::new(|seed| many(seed, SLOW, "dns = \"slow\""));
    let text = fs::read_to_string(&town.config).unwrap();
    let servers = text.lines().find_map(|line| line.strip_prefix("nameservers = ")).unwrap();
    fs::write(&town.config, format!("{text}\n{NOWHERE}{servers}\n")).unwrap();
    town
}

fn records(town: &Town) -> usize {
    fs::read_dir(town.store("journal/records")).map_or(0, Iterator::count)
}

#[test]
fn slow_dns_holds_up_no_other_order() {
    let town = town();
    let mut program = town.program("renew");
    let mut run = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let end = Instant::now() + PATIENCE;
    let all_wait = || records(&town) == SLOW && town.cost()[0] == SLOW + 1;
    while town.cost() != [SLOW + 1, 1, 2, 0] || !all_wait() {
        assert_eq!(run.try_wait().unwrap(), None, "it ended by itself");
        assert!(Instant::now() < end, "held up: {:?}, {} records", town.cost(), records(&town));
        std::thread::sleep(Duration::from_millis(20));
    }
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    assert!(run.wait().unwrap().code().is_some(), "it took its records away");
    assert_eq!((records(&town), town.cost()), (0, [SLOW + 1, 1, 2, 0]));
    // The orders are carried on, whoever proves them now.
    town.edit("dns = \"slow\"", "dns = \"default\"");
    let ended = town.run("renew");
    assert_eq!((ended.code, town.cost()), (0, [SLOW + 1, SLOW + 1, 2, 0]), "{}", ended.all());
}

/// A call takes the CA so long.
const LATENCY: Duration = Duration::from_millis(200);

/// An order makes one call after the other: as many as are answered within one latency have a seat.
fn most_at_once(more: &str, most: usize) {
    let town = Town::new(|seed| {
        many(seed, SLOW, "");
        ca_rules(seed, |rules| rules.latency = LATENCY);
    });
    town.edit("terms_agreed = true", &format!("terms_agreed = true\n{more}"));
    let ended = town.run("renew");
    assert_eq!((ended.code, town.cost()), (0, [SLOW + 1, SLOW + 1, 2, 0]), "{}", ended.all());
    let of_orders = ["newOrder", "order", "authorization", "challenge", "finalize", "certificate"];
    let calls = town.world.ca.all_calls();
    let calls: Vec<_> =
        calls.iter().filter(|call| of_orders.contains(&call.kind.as_str())).collect();
    // Less than a latency, for clocks that differ.
    let span = SignedDuration::from_millis(190);
    let until = |from: usize| {
        let within = |call: &&&Call| call.at.duration_since(calls[from].at) < span;
        calls[from..].iter().take_while(within).count()
    };
    let seen = (0..calls.len()).map(until).max().unwrap();
    assert!((2..=most).contains(&seen), "{more}: {seen} at once");
}

#[test]
fn few_orders_bother_the_ca_at_once() {
    most_at_once("", 8);
    most_at_once("orders_at_once = 2", 2);
}
