//! Killed anywhere: each run is ended at every effect that it has on files and on the network, and the next run carries on.
//!
//! `cargo test` kills at one effect of each sort; `CERTFERRY_KILL=all` at every single one, which takes many minutes.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]
#![allow(clippy::print_stdout, reason = "what was struck")]
#![cfg(target_os = "linux")]

mod effect;
mod flow;
mod points;
#[path = "../flow/rows.rs"]
mod rows;
mod sound;
mod stop;
mod town;
mod trace;

use nix::sys::signal::Signal;

use crate::flow::{FIRST, Flow, GIVEN_AGAIN, HOOK, RENEWAL, REVOCATION, ROLLOVER};
use crate::points::{Tally, effects_of, points};
use crate::rows::side_by_side;
use crate::trace::{Blow, trace};

/// Kills one run at its effect of this number, looks at what is there, and lets the next run carry on.
fn kill(flow: &Flow, at: usize, tally: &Tally) {
    let town = flow.town();
    let blow = Blow { signal: Signal::SIGKILL, at, counts: |_| true };
    let traced = trace(&(flow.run)(&town), blow);
    let last = traced.effects.last().map(ToString::to_string).unwrap_or_default();
    let row = format!("{}, killed at {at}: {last}", flow.name);
    if traced.lived_on.is_none() {
        assert_eq!(traced.code, Some(0), "{row}: it was not killed, and failed");
        tally.miss(at);
    } else {
        assert_eq!(traced.code, None, "{row}: it ended by itself");
        tally.hit(traced.effects.last().unwrap().kind);
    }
    sound::is_whole(&row, &town);
    flow.settle(&row, &town);
    let cost = flow.check(&row, &town);
    assert!(cost.orders <= flow.lost, "{row}: {} orders too many", cost.orders);
    tally.add(&row, cost);
}

fn killed_anywhere(flow: &Flow) {
    let effects = effects_of(flow, |_| true);
    let tally = Tally::default();
    side_by_side(&points(&effects), |at| kill(flow, *at, &tally));
    tally.tell(flow.name, &effects);
}

#[test]
fn a_first_certificate() {
    killed_anywhere(&FIRST);
}

#[test]
fn a_first_certificate_of_a_ca_that_gives_an_order_again() {
    killed_anywhere(&GIVEN_AGAIN);
}

#[test]
fn a_renewal() {
    killed_anywhere(&RENEWAL);
}

#[test]
fn a_hook() {
    killed_anywhere(&HOOK);
}

#[test]
fn a_change_of_keys() {
    killed_anywhere(&ROLLOVER);
}

#[test]
fn a_revocation() {
    killed_anywhere(&REVOCATION);
}
