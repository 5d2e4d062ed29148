//! Two runs in the store at the same moment: wherever one is halted, the other one does its act or waits for a lock, and
//! what is there in the end is what one after the other would have left.

use std::sync::mpsc;
use std::time::Duration;

use proptest::prelude::*;
use tokio_util::sync::CancellationToken;

use super::super::files::halted_before;
use super::super::{Lock, Wait};
use super::model::{Act, Model, act, an_act, check_versions};
use super::*;
use crate::ground::Say;

/// How long one that is halted waits for the other, who may be waiting for it.
const HALT: Duration = Duration::from_millis(30);

/// The locks that a run holds around this act.
fn locked(store: &Store, what: &Act) -> Vec<Lock> {
    let names: &[&str] = match what {
        Act::Begin(_) | Act::Complete => &["ours"],
        Act::Keep(_) => &["theirs"],
        Act::Prune(_) => &["ours", "theirs"],
        Act::Claim(_) | Act::Forget(_) | Act::Configure(_) | Act::Open => &[],
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let (stop, say) = (CancellationToken::new(), Say::nothing());
    let wait = Wait { until: None, stop: &stop, say: &say };
    let lock = |name: &&str| runtime.block_on(store.lock_lineage(name, wait)).unwrap();
    names.iter().map(lock).collect()
}

fn run(store: &Store, what: &Act, call: usize) {
    let _locks = locked(store, what);
    act(store, what, call).unwrap();
}

/// Both acts, the second one as soon as the first has come to its file step number `steps`, or has ended before.
fn interleaved(store: &Store, steps: usize, first: (&Act, usize), second: (&Act, usize)) {
    let other = Store::open(store.root()).unwrap();
    std::thread::scope(|runs| {
        let (begin, begins) = mpsc::channel::<()>();
        let (end, ends) = mpsc::channel();
        runs.spawn(move || {
            // Without a word, the first one is done.
            begins.recv().ok();
            run(&other, second.0, second.1);
            end.send(()).ok();
        });
        let halt = move || {
            begin.send(()).unwrap();
            ends.recv_timeout(HALT).ok();
        };
        halted_before(steps, Box::new(halt), || run(store, first.0, first.1));
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn one_after_the_other(
        before in prop::collection::vec(an_act(), 0..5),
        first in an_act(),
        second in an_act(),
        steps in 0_usize..20,
    ) {
        let (_top, store) = store();
        let mut model = Model::default();
        for (call, what) in before.iter().enumerate() {
            run(&store, what, call);
            model = model.after(what, call);
        }
        let (one, two) = (before.len(), before.len() + 1);
        interleaved(&store, steps, (&first, one), (&second, two));
        let ends = [
            model.after(&first, one).after(&second, two),
            model.after(&second, two).after(&first, one),
        ];
        let now = Model::of(&store);
        prop_assert!(ends.contains(&now), "{first:?} and {second:?}: {now:?}, not one of {ends:?}");
        check_versions(&store);
    }
}
