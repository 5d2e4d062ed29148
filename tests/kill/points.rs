//! Which effects are struck, and what came of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use nix::sys::signal::Signal;

use crate::effect::{Effect, Kind};
use crate::flow::{Cost, Flow};
use crate::sound;
use crate::trace::{Blow, trace};

/// All effects of a run that nobody ends.
pub(crate) fn effects_of(flow: &Flow, counts: fn(&Effect) -> bool) -> Vec<Effect> {
    let town = flow.town();
    let blow = Blow { signal: Signal::SIGKILL, at: usize::MAX, counts };
    let traced = trace(&(flow.run)(&town), blow);
    assert_eq!(traced.code, Some(0), "{}: a run that nobody ends", flow.name);
    flow.settle(flow.name, &town);
    assert_eq!(flow.check(flow.name, &town), Cost::default(), "{}", flow.name);
    traced.effects
}

/// The numbers of those that are struck: every one, and some more, as no two runs have quite as many; or the first of each
/// sort, and some between.
pub(crate) fn points(effects: &[Effect]) -> Vec<usize> {
    if is_long() {
        return (1..=effects.len() * MORE / 4).collect();
    }
    let mut sorts = BTreeSet::new();
    let is_first = |effect: &Effect| sorts.insert(sort(effect));
    let firsts = effects.iter().map(is_first).collect::<Vec<_>>();
    let is_point = |at: &usize| firsts[at - 1] || at.is_multiple_of(SPREAD);
    (1..=effects.len()).filter(is_point).collect()
}

/// The long form was asked for.
pub(crate) fn is_long() -> bool {
    std::env::var_os("CERTFERRY_KILL").is_some_and(|word| word == "all")
}

/// Effects of one sort are of one kind, on one file or in one folder, or on any socket.
fn sort(effect: &Effect) -> (Kind, PathBuf) {
    let path = &effect.path;
    let sort = match path.file_name().is_some_and(|_| sound::is_temporary(path)) {
        true => path.parent(),
        false if effect.kind.is_network() => None,
        false => Some(path.as_path()),
    };
    (effect.kind, sort.unwrap_or_else(|| Path::new("")).to_owned())
}

/// What came of many ends.
#[derive(Default)]
pub(crate) struct Tally(Mutex<Counts>);

#[derive(Default)]
struct Counts {
    by_kind: BTreeMap<Kind, usize>,
    missed: Vec<usize>,
    /// Rows that cost an order, or an upload, more.
    dear: Vec<String>,
}

impl Tally {
    pub(crate) fn hit(&self, kind: Kind) {
        *self.0.lock().unwrap().by_kind.entry(kind).or_default() += 1;
    }

    /// The run had no effect of this number.
    pub(crate) fn miss(&self, at: usize) {
        self.0.lock().unwrap().missed.push(at);
    }

    pub(crate) fn add(&self, row: &str, cost: Cost) {
        if cost.orders > 0 {
            self.0.lock().unwrap().dear.push(row.to_owned());
        }
    }

    /// Says what was struck, and fails where too much was missed: then the runs are not what was counted.
    pub(crate) fn tell(self, name: &str, effects: &[Effect]) {
        let Counts { by_kind, mut missed, dear } = self.0.into_inner().unwrap();
        missed.sort_unstable();
        let all: usize = by_kind.values().sum();
        println!(
            "{name}: {all} ends at {} effects: {by_kind:?}; never reached: {missed:?}",
            effects.len()
        );
        dear.iter().for_each(|row| println!("one order more: {row}"));
        let latest = effects.len().saturating_sub((effects.len() / 10).max(PIECES));
        assert!(missed.first().is_none_or(|first| *first > latest), "{name}: {missed:?}");
    }
}

/// An answer may come in one piece or in several, and each is an effect: of a short run that is more than a tenth.
const PIECES: usize = 6;

/// Of the short form: each of so many is struck too.
const SPREAD: usize = 12;

/// Quarters of the effects that were counted: some runs have a tenth more.
const MORE: usize = 5;
