//! The runs that are ended, what comes before and after each, and what all may have cost.

use std::path::PathBuf;
use std::process::Command;

use certferry_sandbox::ca::Window;
use certferry_sandbox::world::Seed;

use crate::sound;
use crate::town::{NAMES, TARGETS, Town, below};

/// A run in a world that is well.
pub(crate) struct Flow {
    pub(crate) name: &'static str,
    seed: fn(&mut Seed),
    /// What comes before it.
    before: fn(&Town),
    pub(crate) run: fn(&Town) -> Command,
    /// The runs after which all is well, whatever became of it.
    then: fn(&Town) -> Vec<&'static str>,
    /// Certificates, and orders, in the end.
    costs: usize,
    /// Orders that a kill may cost: the one whose answer it kept from the journal.
    pub(crate) lost: usize,
}

/// What a kill has cost beyond what the run costs anyway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    pub(crate) orders: usize,
}

pub(crate) const FIRST: Flow = Flow {
    name: "a first certificate",
    seed: |_| {},
    before: |_| {},
    run: |town| town.program("renew"),
    then: |_| vec!["renew"],
    costs: 1,
    lost: 1,
};

/// Of a CA that does as Let's Encrypt does: an order that is still open is given again, so none is lost.
pub(crate) const GIVEN_AGAIN: Flow = Flow {
    name: "a first certificate, of a CA that gives an open order again",
    seed: |seed| seed.ca = seed.ca.clone().rules(|rules| rules.reuse_orders = true),
    lost: 0,
    ..FIRST
};

pub(crate) const RENEWAL: Flow = Flow { name: "a renewal", before: due, costs: 2, ..FIRST };

pub(crate) const HOOK: Flow = Flow {
    name: "a hook",
    before: |town| drop(town.other_client()),
    run: hook,
    // What is remembered needs no second call: certbot would not make one.
    then: |town| if has_claim(town) { vec!["renew"] } else { Vec::new() },
    lost: 0,
    ..FIRST
};

pub(crate) const ROLLOVER: Flow = Flow {
    name: "a change of keys",
    before: first,
    run: |town| town.program("account rollover"),
    then: |_| vec!["renew example.test --force"],
    costs: 2,
    lost: 0,
    ..FIRST
};

pub(crate) const REVOCATION: Flow = Flow {
    name: "a revocation",
    before: first,
    run: |town| town.program("revoke example.test"),
    then: |_| vec!["revoke example.test", "renew"],
    costs: 2,
    lost: 0,
    ..FIRST
};

impl Flow {
    pub(crate) fn town(&self) -> Town {
        let town = Town::new(self.seed);
        (self.before)(&town);
        town
    }

    /// The runs that come after it.
    pub(crate) fn settle(&self, row: &str, town: &Town) {
        let then = (self.then)(town);
        if then.is_empty() {
            let ended = (self.run)(town).output().unwrap();
            assert!(ended.status.success(), "{row}: {}", String::from_utf8_lossy(&ended.stdout));
        }
        then.iter().for_each(|args| drop(town.must(row, args)));
    }

    /// All is well in the end, and this is what it cost too much.
    pub(crate) fn check(&self, row: &str, town: &Town) -> Cost {
        sound::is_at_rest(row, town, &self.live(town));
        let accounts = town.world.ca.accounts();
        assert_eq!(accounts.len(), 1, "{row}: {accounts:?}");
        assert_eq!(town.world.ca.certificates().len(), self.costs, "{row}: certificates");
        // What a killed run had uploaded is seen to be there, not uploaded again.
        assert_eq!(town.uploads(), self.costs * TARGETS.len(), "{row}: uploads");
        Cost { orders: town.orders() - self.costs }
    }

    fn live(&self, town: &Town) -> PathBuf {
        match self.name {
            "a hook" => lineage(town),
            _ => town.store().join("live").join(NAMES[0]),
        }
    }
}

fn first(town: &Town) {
    town.must("before", "renew");
}

/// The CA wants what it has just issued to be renewed at once, and the next one as usual.
fn due(town: &Town) {
    town.world.ca.rules(|rules| rules.window = Window::Passed);
    town.must("before", "renew");
    town.world.ca.rules(|rules| rules.window = Window::Usual);
    assert!(!town.plan("before").is_empty(), "it is not due");
}

fn has_claim(town: &Town) -> bool {
    below(&town.store().join("claims")).iter().any(|path| !sound::is_temporary(path))
}

fn hook(town: &Town) -> Command {
    let mut hook = town.program("hook");
    hook.env("RENEWED_LINEAGE", lineage(town))
        .env("RENEWED_DOMAINS", "cdn.example.test *.example.test");
    hook
}

fn lineage(town: &Town) -> PathBuf {
    town.store().with_file_name("other/store/live").join(NAMES[0])
}
