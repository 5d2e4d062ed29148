//! The word to stop at effects on the network: records are taken away, the journal is closed, the end comes soon.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::effect::Effect;
use crate::flow::{FIRST, Flow, HOOK, RENEWAL, REVOCATION, ROLLOVER};
use crate::points::{Tally, effects_of, is_long};
use crate::rows::side_by_side;
use crate::sound;
use crate::trace::{Blow, trace};

/// SIGTERM, as systemd sends it, and SIGINT, as a terminal does.
const WORDS: [Signal; 2] = [Signal::SIGTERM, Signal::SIGINT];

/// Supervisors kill what has not ended by then.
const SOON: Duration = Duration::from_secs(5);

fn stop(flow: &Flow, at: usize, signal: Signal, tally: &Tally) {
    let town = flow.town();
    let blow = Blow { signal, at, counts: is_on_network };
    let traced = trace(&(flow.run)(&town), blow);
    let last = traced.effects.last().map(ToString::to_string).unwrap_or_default();
    let row = format!("{}, {signal} at {at} on the network: {last}", flow.name);
    match traced.lived_on {
        None => tally.miss(at),
        Some(lived_on) => {
            tally.hit(traced.effects.last().unwrap().kind);
            assert!(lived_on < SOON, "{row}: {lived_on:?}");
        }
    }
    assert!(matches!(traced.code, Some(0 | 1)), "{row}: {:?}", traced.code);
    sound::is_whole(&row, &town);
    sound::has_no_records(&row, &town);
    flow.settle(&row, &town);
    let cost = flow.check(&row, &town);
    assert_eq!(cost.orders, 0, "{row}: an order more");
}

fn is_on_network(effect: &Effect) -> bool {
    effect.kind.is_network()
}

fn stopped_anywhere(flow: &Flow) {
    let effects = effects_of(flow, is_on_network);
    let every = if is_long() { 1 } else { effects.len().div_ceil(SPREAD) };
    let points = (1..=effects.len()).step_by(every);
    let rows: Vec<_> = points.flat_map(|at| WORDS.map(|word| (at, word))).collect();
    let tally = Tally::default();
    side_by_side(&rows, |(at, word)| stop(flow, *at, *word, &tally));
    tally.tell(&format!("{}, told to stop", flow.name), &effects);
}

#[test]
fn a_first_certificate_is_told_to_stop() {
    stopped_anywhere(&FIRST);
}

#[test]
fn a_renewal_is_told_to_stop() {
    stopped_anywhere(&RENEWAL);
}

#[test]
fn a_hook_is_told_to_stop() {
    stopped_anywhere(&HOOK);
}

/// Which of the two keys counts, the CA may have decided already: the next runs know.
#[test]
fn a_change_of_keys_is_told_to_stop() {
    stopped_anywhere(&ROLLOVER);
}

#[test]
fn a_revocation_is_told_to_stop() {
    stopped_anywhere(&REVOCATION);
}

/// Points of the short form.
const SPREAD: usize = 12;
