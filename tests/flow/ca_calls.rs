//! Each call of the CA under each fault, before and after its effect, with the real program: how the run ends, what it
//! cost, and that the next one comes to its end.

use std::process::Stdio;
use std::time::{Duration, Instant};

use certferry_sandbox::ca::Rules;
use certferry_sandbox::fault::Fault;
use certferry_sandbox::world::Seed;
use rustix::process::{Pid, Signal, kill_process};

use crate::faults::{DOUBLED, FAULTS, PATIENCE, Row, Side, Words, sides};
use crate::house::Ended;
use crate::issuing::{ONE, Town, ca_rules};
use crate::rows::side_by_side;

/// A call, and the run that makes it.
struct Call {
    kind: &'static str,
    /// Runs in a well world that come before.
    before: &'static [&'static str],
    args: &'static str,
    /// What the run has cost that the fault ends, before and after the call's effect.
    failed: [[usize; 4]; 2],
    /// The runs after which all is well.
    then: &'static [&'static str],
    /// What all has cost in the end.
    healed: [[usize; 4]; 2],
    /// It has no effect: before and after are one.
    reads: bool,
}

const NOTHING: [usize; 4] = [0; 4];
const ORDERED: [usize; 4] = [1, 0, 0, 0];
const ISSUED: [usize; 4] = [1, 1, 0, 0];
const TWICE: [usize; 4] = [2, 2, 4, 0];
/// The order whose answer was lost leads nowhere.
const LOST: [usize; 4] = [2, 1, 2, 0];

const RENEW: Call = Call {
    kind: "",
    before: &[],
    args: "renew",
    failed: [NOTHING; 2],
    then: &["renew example.test"],
    healed: [ONE; 2],
    reads: true,
};

/// A call for an account that is there; what comes after needs it.
const BY_HAND: Call =
    Call { before: &["renew"], failed: [ONE; 2], then: AGAIN, healed: [TWICE; 2], ..RENEW };

const AGAIN: &[&str] = &["account show", "renew example.test --force"];

const CALLS: &[Call] = &[
    Call { kind: "directory", ..RENEW },
    Call { kind: "newNonce", ..RENEW },
    Call { kind: "newAccount", reads: false, ..RENEW },
    Call {
        kind: "newOrder",
        failed: [NOTHING, ORDERED],
        healed: [ONE, LOST],
        reads: false,
        ..RENEW
    },
    Call { kind: "authorization", failed: [ORDERED; 2], ..RENEW },
    Call { kind: "challenge", failed: [ORDERED; 2], reads: false, ..RENEW },
    Call { kind: "order", failed: [ONE; 2], ..RENEW },
    Call { kind: "finalize", failed: [ORDERED, ISSUED], reads: false, ..RENEW },
    Call { kind: "certificate", failed: [ISSUED; 2], ..RENEW },
    Call { kind: "alternate", failed: [ONE; 2], ..RENEW },
    Call { kind: "renewalInfo", failed: [ONE; 2], ..RENEW },
    Call { kind: "account", args: "account show", ..BY_HAND },
    Call { kind: "account", args: "account update", reads: false, ..BY_HAND },
    Call { kind: "keyChange", args: "account rollover", reads: false, ..BY_HAND },
    Call {
        kind: "revokeCert",
        args: "revoke example.test",
        then: &["revoke example.test", "renew"],
        reads: false,
        ..BY_HAND
    },
];

/// A CA's words.
const WORDS: Words = Words {
    internal: "serverInternal",
    busy: "serverInternal",
    limit: "rateLimited",
    refused: ("malformed", 400),
};

/// Beside those that strike any call.
const OWN: &[Row] = &[
    ("a refused nonce", |f, _| f.answer("badNonce", 400)),
    ("unauthorized", |f, _| f.answer("unauthorized", 403)),
];

fn faults() -> impl Iterator<Item = &'static Row> {
    FAULTS.iter().chain(OWN)
}

/// With many rows side by side, the CA waits longer for its DNS.
pub(crate) fn patient(seed: &mut Seed) {
    ca_rules(seed, slow_dns);
}

pub(crate) fn slow_dns(rules: &mut Rules) {
    rules.dns_timeout = Duration::from_secs(10);
}

impl Call {
    /// Does the run come to a good end all the same?
    fn is_borne(&self, fault: &str, side: Side) -> bool {
        match (self.kind, fault, side) {
            (_, DOUBLED, _) => true,
            // Nothing is signed there.
            ("directory", _, _) | ("newNonce", "a refused nonce", _) => false,
            (_, "a refused nonce", _) => true,
            // The poll is made again; nothing waits for the other two.
            ("order" | "alternate" | "renewalInfo", _, _) => true,
            // It is answered twice, else the record would go while the CA looks for it.
            ("challenge", "429" | "429, come back" | "refused" | "unauthorized", _) => false,
            ("challenge", _, _) => true,
            // An answer to HEAD has no body that could be spoilt.
            ("newNonce", "truncated" | "a slow drip" | "oversized" | "wrong types", _) => true,
            // The URL stands in a header.
            ("newAccount", "wrong types", Side::After) => true,
            // Which key counts is asked.
            ("keyChange", _, Side::After) => true,
            // Done is done; the body is empty anyway.
            ("revokeCert", "empty 200" | "wrong types", _) => true,
            ("revokeCert", "truncated", Side::After) => true,
            _ => false,
        }
    }

    /// What all has cost in the end.
    fn healed(&self, fault: &str, side: Side) -> [usize; 4] {
        let [before, after] = self.healed;
        match (self.kind, fault, side) {
            // The order is given up with a CSR that the CA does not like.
            ("finalize", "refused" | "unauthorized", Side::Before) => LOST,
            ("finalize", "refused" | "unauthorized", Side::After) => [2, 2, 2, 0],
            // It is as if nothing were.
            (_, DOUBLED, _) | (_, _, Side::Before) => before,
            (_, _, Side::After) => after,
        }
    }

    fn failed(&self, side: Side) -> [usize; 4] {
        self.failed[usize::from(side == Side::After)]
    }

    fn town(&self) -> Town {
        let town = Town::new(patient);
        if self.kind == "alternate" {
            town.edit("terms_agreed = true", "terms_agreed = true\npreferred_chain = \"Nobody\"");
        }
        for args in self.before {
            assert_eq!(town.run(args).code, 0, "{args}");
        }
        town
    }
}

/// A run that says what is wrong and what to do, and nothing that only a programmer understands.
fn check_told(row: &str, ended: &Ended) {
    for word in ["error: ", "help: "] {
        assert!(ended.stderr.contains(word), "{row}: nothing says `{word}`: {}", ended.all());
    }
    let is_by_hand = !row.contains("renew");
    let waits = ended.stderr.contains("help: nothing");
    assert!(!(is_by_hand && waits), "{row}: no timer repeats it: {}", ended.all());
}

/// The world is well again: the next runs come to a good end, and then nothing is left to do.
fn check_healed(row: &str, town: &Town, call: &Call, cost: [usize; 4]) {
    town.world.ca.heal();
    for args in call.then {
        let healed = town.run(args);
        assert_eq!(healed.code, 0, "{row}, then {args}: {}", healed.all());
    }
    let mut costs = vec![cost];
    if row.contains(DOUBLED) {
        costs.push(call.healed[1]);
    }
    if call.kind == "challenge" || row.contains(DOUBLED) {
        // A CA that says no and looks all the same may find the record gone.
        costs.push(LOST);
    }
    let paid = town.cost();
    assert!(costs.contains(&paid), "{row}, healed: {paid:?}, not {cost:?}");
    let accounts = town.world.ca.accounts();
    assert_eq!(accounts.len(), 1, "{row}: {accounts:?}");
    let plan = town.run("plan --json").json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{row}: a plan is left: {plan:#}");
}

fn check(call: &Call, (name, fault): &Row, side: Side) {
    let row = format!("{} of `{}`, {name}, {side:?}", call.kind, call.args);
    let town = call.town();
    if ["silence", "a slow drip"].contains(name) {
        town.edit("[acme]\n", &format!("{PATIENCE}[acme]\n"));
    }
    town.world.ca.fault(side.of(fault(Fault::at(call.kind), &WORDS)));
    let ended = town.watched(call.args, &[]);
    assert_eq!(town.world.ca.faults_left(), 0, "{row}: it never struck: {}", ended.all());
    if *name == DOUBLED && ended.code == 1 {
        // What comes late enough is taken for the answer to the next call.
        check_told(&row, &ended);
    } else if call.is_borne(name, side) {
        assert_eq!(ended.code, 0, "{row}: {}", ended.all());
    } else {
        assert_eq!((ended.code, town.cost()), (1, call.failed(side)), "{row}: {}", ended.all());
        check_told(&row, &ended);
        if name.ends_with("come back") {
            std::thread::sleep(Duration::from_secs(2));
        }
    }
    check_healed(&row, &town, call, call.healed(name, side));
}

#[test]
fn one_fault_at_each_call_of_the_ca() {
    strike(|fault| fault != DOUBLED);
}

#[test]
fn an_answer_of_the_ca_that_comes_twice() {
    strike(|fault| fault == DOUBLED);
}

fn strike(is_one: impl Fn(&str) -> bool) {
    let rows: Vec<_> = CALLS
        .iter()
        .flat_map(|call| faults().map(move |fault| (call, fault)))
        .filter(|(_, fault)| is_one(fault.0))
        .flat_map(|(call, fault)| {
            sides(call.kind, fault.0, call.reads).iter().map(move |side| (call, fault, *side))
        })
        // A nonce that is refused has had no effect (RFC 8555, 6.5).
        .filter(|(_, fault, side)| (fault.0, *side) != ("a refused nonce", Side::After))
        .collect();
    side_by_side(&rows, |(call, fault, side)| check(call, fault, *side));
}

/// At a CA that gives an order again while it is open, as Let's Encrypt does, not even an order is lost.
#[test]
fn an_order_whose_answer_was_lost_is_found_where_the_ca_gives_it_again() {
    let town = Town::new(|seed| ca_rules(seed, |rules| rules.reuse_orders = true));
    town.world.ca.fault(Fault::at("newOrder").after().reset());
    let ended = town.run("renew");
    assert_eq!((ended.code, town.cost()), (1, ORDERED), "{}", ended.all());
    let healed = town.run("renew");
    assert_eq!((healed.code, town.cost()), (0, ONE), "{}", healed.all());
}

/// A call that fails for as long as the run lasts.
fn check_outage(call: &Call, (name, fault): &Row) {
    let row = format!("{} of `{}`, {name} for ever", call.kind, call.args);
    let town = call.town();
    town.world.ca.fault(fault(Fault::at(call.kind), &WORDS).before().always());
    let ended = town.watched(call.args, &[]);
    match call.kind {
        "alternate" | "renewalInfo" => assert_eq!(ended.code, 0, "{row}: {}", ended.all()),
        _ => {
            assert_eq!(ended.code, 1, "{row}: {}", ended.all());
            check_told(&row, &ended);
        }
    }
    check_healed(&row, &town, call, call.healed("", Side::Before));
}

#[test]
fn an_outage_of_each_call_of_the_ca() {
    let outages = ["reset", "HTML 502", "a refused nonce"];
    let rows: Vec<_> = CALLS
        .iter()
        .flat_map(|call| faults().map(move |fault| (call, fault)))
        .filter(|(_, fault)| outages.contains(&fault.0))
        .collect();
    side_by_side(&rows, |(call, fault)| check_outage(call, fault));
}

/// A CA that never answers, or a byte at a time without end, is left at the word to stop: its time-out of 30 s is not
/// waited for.
fn check_stop(call: &Call, name: &str, fault: Fault, side: Side) {
    let row = format!("{} of `{}`, {name}, {side:?}", call.kind, call.args);
    let town = call.town();
    town.world.ca.fault(side.of(fault));
    let mut program = town.program(call.args);
    let mut run = program.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while town.world.ca.faults_left() > 0 {
        assert!(Instant::now() < patience, "{row}: it never struck");
        assert_eq!(run.try_wait().unwrap(), None, "{row}: it ended by itself");
        std::thread::sleep(Duration::from_millis(5));
    }
    kill_process(Pid::from_child(&run), Signal::TERM).unwrap();
    let ended = run.wait().unwrap();
    assert!(ended.code().is_some(), "{row}: {ended}");
    check_healed(&row, &town, call, call.healed("", side));
}

#[test]
fn a_silent_ca_and_the_word_to_stop() {
    let rows: Vec<_> = CALLS
        .iter()
        .filter(|call| call.args == "renew" && !matches!(call.kind, "alternate" | "renewalInfo"))
        .flat_map(|call| faults().map(move |fault| (call, fault)))
        .filter(|(_, fault)| ["silence", "a slow drip"].contains(&fault.0))
        .flat_map(|(call, fault)| {
            sides(call.kind, fault.0, call.reads).iter().map(move |side| (call, fault, *side))
        })
        .collect();
    side_by_side(&rows, |(call, (name, fault), side)| {
        check_stop(call, name, fault(Fault::at(call.kind), &WORDS), *side)
    });
}
