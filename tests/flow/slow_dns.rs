//! Many lineages whose DNS is slow, and one whose DNS is not: that one waits for none of them.

use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

use certferry_sandbox::world::Certificate;
use rustix::process::{Pid, Signal, kill_process};

use crate::issuing::Town;

/// More than a CA is asked for at once.
const SLOW: usize = 20;

/// Far from what the fast one needs, also on a busy machine, and from the `propagation_timeout` of the slow ones.
const PATIENCE: Duration = Duration::from_secs(90);

/// Nothing that it is told to put ever shows.
const NOWHERE: &str = "[dns.slow]\nprovider = \"exec\"\nprogram = \"/bin/true\"\npropagation_timeout = \"1h\"\nnameservers = ";

/// The slow ones first, so that they are ahead in every queue.
fn town() -> Town {
    let town = Town::new(|seed| {
        let fast = seed.certificates.remove(0);
        let name = |number: usize| format!("shop{number}.example.test");
        let slow = (0..SLOW).map(|number| Certificate {
            more: "dns = \"slow\"".to_owned(),
            ..Certificate::new(&[&name(number)], &[])
        });
        seed.certificates = slow.chain([fast]).collect();
    });
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
