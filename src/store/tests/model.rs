//! The store against a model of it: all that changes it, in any order, by two runs, and killed at any step.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use proptest::prelude::*;

use super::super::files::killed_after;
use super::*;
use crate::cert::Fingerprint;
use crate::journal::{Claim, Order};

/// Made once: keys and signatures take time.
static PAIRS: LazyLock<Vec<(String, String)>> =
    LazyLock::new(|| (0..6).map(|number| pair(&format!("n{number}.example"))).collect());

/// What a run does to the store.
#[derive(Clone, Debug)]
pub(super) enum Act {
    /// Begins a version of `ours` and remembers it as the order's.
    Begin(usize),
    /// Completes the order's version, and remembers that.
    Complete,
    /// Keeps a copy of what `theirs` is.
    Keep(usize),
    Prune(usize),
    Claim(usize),
    Forget(usize),
    /// `init` writes the configuration, which stands beside the store.
    Configure(usize),
    /// Another run opens the store.
    Open,
}

/// What must be there, whatever happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Model {
    /// Which pair is ordered.
    ordered: Option<usize>,
    /// Pairs that were issued, the newest last.
    succession: Vec<usize>,
    /// Claims by their source, and which call they are of.
    claims: BTreeMap<usize, usize>,
    /// What the configuration says.
    configured: Option<usize>,
}

impl Model {
    /// What is there after the act, if it comes to its end.
    pub(super) fn after(&self, act: &Act, call: usize) -> Self {
        let mut after = self.clone();
        match act {
            Act::Begin(pair) => after.ordered = after.ordered.or(Some(*pair)),
            Act::Complete => after.succession.extend(after.ordered.take()),
            Act::Claim(source) => drop(after.claims.insert(*source, call)),
            Act::Forget(source) => drop(after.claims.remove(source)),
            Act::Configure(text) => after.configured = Some(*text),
            Act::Keep(_) | Act::Prune(_) | Act::Open => {}
        }
        after
    }

    /// What the folder says.
    pub(super) fn of(store: &Store) -> Self {
        let memory = store.lineage("ours").unwrap();
        let known = store.claims().unwrap();
        assert_eq!(known.warnings, Vec::<String>::new(), "a claim is damaged");
        let number = |claim: &Claim| claim.source.path.to_str().unwrap()[1..].parse().unwrap();
        let call = |claim: &Claim| usize::try_from(claim.at.as_second()).unwrap();
        let held = |order: Order| store.version_key("ours", order.version).unwrap().unwrap();
        Self {
            ordered: memory.order.map(|order| pair_of(&held(order))),
            succession: memory.succession.iter().map(|leaf| number_of(*leaf)).collect(),
            claims: known.claims.iter().map(|claim| (number(claim), call(claim))).collect(),
            configured: configuration(store).map(|text| text.parse().unwrap()),
        }
    }
}

fn leaf(number: usize) -> Fingerprint {
    cert(&PAIRS[number]).leaf().fingerprint
}

fn number_of(fingerprint: Fingerprint) -> usize {
    (0..PAIRS.len()).find(|number| leaf(*number) == fingerprint).unwrap()
}

fn pair_of(held: &Key) -> usize {
    use secrecy::ExposeSecret as _;
    let is_it = |pair: &(String, String)| {
        key(&pair.1).pkcs8_pem().expose_secret() == held.pkcs8_pem().expose_secret()
    };
    PAIRS.iter().position(is_it).unwrap()
}

pub(super) fn act(store: &Store, act: &Act, call: usize) -> anyhow::Result<()> {
    let source = |number: usize| PathBuf::from(format!("/{number}"));
    match act {
        Act::Begin(pair) => begin(store, *pair),
        Act::Complete => complete(store),
        Act::Keep(pair) => store.keep_version("theirs", &cert(&PAIRS[*pair])).map(drop),
        Act::Prune(keep) => {
            store.prune("ours", *keep, &[])?;
            store.prune("theirs", keep + 1, &[])
        }
        Act::Claim(number) => store.put_claim(&Claim {
            client: "certbot".into(),
            source: crate::config::Source::folder(source(*number)),
            name: "a".into(),
            names: Vec::new(),
            targets: Vec::new(),
            guessed: false,
            discovers: None,
            at: Timestamp::from_second(i64::try_from(call)?)?,
        }),
        Act::Forget(number) => store.drop_claim("certbot", &source(*number)),
        Act::Configure(text) => configure(store, *text),
        Act::Open => Store::open(store.root()).map(drop),
    }
}

/// What stands beside the store.
fn configuration(store: &Store) -> Option<String> {
    std::fs::read_to_string(store.root().with_file_name("config.toml")).ok()
}

/// Where another run was faster, what it wrote stands.
fn configure(store: &Store, text: usize) -> anyhow::Result<()> {
    let file = store.root().with_file_name("config.toml");
    let before = configuration(store);
    let written = write_config(&file, before.as_deref(), &text.to_string());
    let is_late = |error: &anyhow::Error| {
        let said = error.to_string();
        said.contains("has been changed meanwhile") || said.contains("something else has the name")
    };
    written.or_else(|error| if is_late(&error) { Ok(()) } else { Err(error) })
}

fn begin(store: &Store, pair: usize) -> anyhow::Result<()> {
    if store.lineage("ours")?.order.is_some() {
        return Ok(());
    }
    let version = store.begin_version("ours", &key(&PAIRS[pair].1))?;
    let (url, directory, account, asked) = Default::default();
    let order = Order { url, directory, account, asked, version };
    store.update_lineage("ours", |memory| memory.order = Some(order))
}

fn complete(store: &Store) -> anyhow::Result<()> {
    let Some(order) = store.lineage("ours")?.order else { return Ok(()) };
    let held = store.version_key("ours", order.version)?.unwrap();
    let cert = store.complete_version("ours", order.version, &PAIRS[pair_of(&held)].0)?;
    let leaf = cert.leaf().fingerprint;
    store.update_lineage("ours", |memory| {
        memory.order = None;
        memory.succession.push(leaf);
    })
}

pub(super) fn an_act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (0_usize..6).prop_map(Act::Begin),
        4 => Just(Act::Complete),
        2 => (0_usize..6).prop_map(Act::Keep),
        1 => (0_usize..3).prop_map(Act::Prune),
        2 => (0_usize..3).prop_map(Act::Claim),
        1 => (0_usize..3).prop_map(Act::Forget),
        1 => (0_usize..3).prop_map(Act::Configure),
        1 => Just(Act::Open),
    ]
}

fn acts() -> impl Strategy<Value = Vec<(Act, bool, Option<usize>)>> {
    // The longest act has 20 file steps.
    let killed = prop_oneof![1 => Just(None), 1 => (0_usize..20).prop_map(Some)];
    prop::collection::vec((an_act(), any::<bool>(), killed), 1..24)
}

/// Each version that is complete is a Cert, and so is what `live` points at.
pub(super) fn check_versions(store: &Store) {
    for lineage in ["ours", "theirs"] {
        for version in store.versions(lineage).unwrap() {
            assert!(store.version(lineage, version).unwrap().is_some(), "{lineage} {version}");
        }
    }
    let live = store.live_version("ours").unwrap();
    assert_eq!(store.live("ours").unwrap().is_some(), live.is_some());
    let newest = store.live_leaf("ours").unwrap().map(|leaf| number_of(leaf.fingerprint));
    // The link moves before the journal knows; it never lags behind.
    let told = store.lineage("ours").unwrap().succession.last().map(|leaf| number_of(*leaf));
    let ordered = Model::of(store).ordered;
    assert!(
        newest == told || newest == ordered,
        "{newest:?} is live, {told:?} told, {ordered:?} ordered"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn what_is_there_is_what_was_done(acts in acts()) {
        let (_top, store) = store();
        let runs = [store.clone(), Store::open(store.root()).unwrap()];
        let mut model = Model::default();
        for (call, (what, run, killed)) in acts.iter().enumerate() {
            let run = &runs[usize::from(*run)];
            let done = match killed {
                None => act(run, what, call),
                Some(steps) => killed_after(*steps, || act(run, what, call)),
            };
            prop_assert!(done.is_ok() || killed.is_some(), "{what:?}: {done:?}");
            let after = model.after(what, call);
            let now = Model::of(&store);
            // One that was killed has been, or has not; nothing lies between.
            prop_assert!(now == after || done.is_err() && now == model, "{what:?}: {now:?}, not {after:?}");
            if let (Act::Keep(pair), Ok(())) = (what, &done) {
                prop_assert!(store.version_with("theirs", leaf(*pair)).unwrap().is_some());
            }
            check_versions(&store);
            model = now;
        }
        // The next run clears away what the killed ones left.
        act(&store, &Act::Complete, 0).unwrap();
        store.keep_version("theirs", &cert(&PAIRS[0])).unwrap();
        store.prune("ours", 1, &[]).unwrap();
        store.prune("theirs", 1, &[]).unwrap();
        let live = store.live_version("ours").unwrap();
        prop_assert_eq!(store.versions("ours").unwrap(), Vec::from_iter(live));
        prop_assert_eq!(store.versions("theirs").unwrap().len(), 1);
    }
}
