//! The plan of a world in which the plan was carried out is empty, whatever meets in it; and no plan issues what is not due.

use proptest::prelude::*;

use super::pins::{kept, pin};
use super::*;
use crate::journal::{Ari, Order, OrderedFrom, Window};

const NAMES: [&str; 4] = ["t0.com", "t1.com", "t2.com", "t3.com"];

/// What the lineage `a` asks its first CA for, and its fallback.
const WISHES: [&str; 2] = ["what is asked", "what the other is asked"];

/// Carries a plan out: what an ideal world would look like afterwards.
fn carry_out(plan: &Plan, seen: &mut Seen, now: Timestamp) {
    for step in &plan.steps {
        let of = seen.lineages.get_mut(&step.certificate).unwrap();
        match (step.kind, &step.target) {
            (Kind::Issue, _) => {
                // Each lineage's is its own.
                let number = step.certificate.as_bytes()[0];
                let fresh = Leaf { names: every_name(), ..leaf(number, 90) };
                let directory = "https://ca.test/dir".to_owned();
                let from = OrderedFrom { directory, account: String::new(), at: now };
                of.memory.complete(fresh.fingerprint, of.asked.clone(), from);
                of.leaf = Some(fresh);
            }
            (Kind::Deploy, Some(target)) => {
                let leaf = wanted(of, target, now).unwrap().leaf.clone();
                assert!(!of.memory.revoked.contains(&leaf.fingerprint), "revoked: {step:?}");
                let target = seen.targets.get_mut(target).unwrap();
                let before = before(&target.served);
                target.memory.taken = Some(Taken {
                    fingerprint: leaf.fingerprint,
                    at: now,
                    before,
                    shown: false,
                    cert_name: String::new(),
                });
                if !matches!(target.served, Served::Unknown(_)) {
                    target.served = Served::Leaf(leaf);
                    target.ours = Ours { by_name: true, remembered: true };
                }
            }
            (Kind::Deploy | Kind::Wait | Kind::Skip, _) => {}
        }
    }
}

fn every_name() -> Vec<String> {
    ["example.com", "*.com"].map(str::to_owned).into()
}

fn any_served() -> impl Strategy<Value = Served> {
    prop_oneof![
        (0_u8..6, -10_i64..80, any::<bool>()).prop_map(|(number, left, covers)| {
            let names = if covers { every_name() } else { vec!["example.com".to_owned()] };
            Served::Leaf(Leaf { names, ..leaf(number, left) })
        }),
        Just(Served::Off),
        Just(Served::Unknown("why".to_owned())),
    ]
}

/// What a CA has to do with a lineage: who failed until when, what the newest Cert and an order under way asked for.
fn any_issuing() -> impl Strategy<Value = LineageSeen> {
    let wait = || proptest::option::of((-5_i64..50, any::<bool>(), 0_usize..3));
    let wish = || proptest::option::of(0_usize..3);
    (wait(), wait(), any::<bool>(), wish(), wish()).prop_map(
        |(first, second, fallback, asked, under_way)| {
            let wish = |at: usize| WISHES.get(at).copied().unwrap_or("what was asked before");
            let failed = |(minutes, said, at)| failures(minutes, said, wish(at)).unwrap();
            let order = |at| Order {
                url: "https://ca.test/order/1".to_owned(),
                directory: "https://ca.test/dir".to_owned(),
                account: String::new(),
                asked: wish(at).to_owned(),
                version: 2,
            };
            LineageSeen {
                asked: WISHES[0].to_owned(),
                fallback: fallback.then(|| Fallback {
                    section: "[acme.other]".to_owned(),
                    asked: WISHES[1].to_owned(),
                }),
                memory: LineageMemory {
                    failures: first.map(failed),
                    fallback_failures: second.map(failed),
                    asked: asked.map(|at| wish(at).to_owned()),
                    order: under_way.map(order),
                    ..LineageMemory::default()
                },
                ..LineageSeen::default()
            }
        },
    )
}

fn any_leaf() -> impl Strategy<Value = Leaf> {
    (0_u8..6, -5_i64..80, any::<bool>(), any::<bool>()).prop_map(|(number, left, short, wide)| {
        let all = leaf(number, left);
        let names = if wide { every_name() } else { all.names };
        let life = if short { 6 } else { 90 };
        Leaf { names, not_before: days(all.not_after, -life), ..all }
    })
}

fn any_numbers() -> impl Strategy<Value = Vec<Fingerprint>> {
    proptest::collection::vec((0_u8..6).prop_map(|number| Fingerprint::of(&[number])), 0..4)
}

fn any_lineage() -> impl Strategy<Value = LineageSeen> {
    (
        proptest::option::of(any_leaf()),
        any_numbers(),
        any_issuing(),
        proptest::collection::vec((0_u8..6, -5_i64..50, proptest::option::of(0_usize..4)), 0..3),
        proptest::collection::vec(0_u8..6, 0..4),
        proptest::option::of((0_u8..6, -3_i64..3, 0_u32..5)),
        any_numbers(),
        any::<bool>(),
    )
        .prop_map(|(leaf, succession, issuing, pins, on_disk, ari, revoked, is_cut)| {
            let pin = |(number, left, on): (u8, i64, Option<usize>)| {
                pin((number, left, on.map(|at| NAMES[at])))
            };
            LineageSeen {
                unusable: leaf.is_none().then(|| match is_cut {
                    true => Unusable::Damaged("cut".to_owned()),
                    false => Unusable::Unread("no descriptor left".to_owned()),
                }),
                leaf,
                memory: LineageMemory {
                    succession,
                    pins: pins.into_iter().map(pin).collect(),
                    ari: ari.map(|(number, start, hurries)| wish(number, start, hurries)),
                    revoked,
                    ..issuing.memory
                },
                pinned: on_disk.into_iter().map(kept).collect(),
                ..issuing
            }
        })
}

/// The CA wants the Cert number `number` renewed within two days from `start` days from now on.
fn wish(number: u8, start: i64, hurries: u32) -> Ari {
    let [start, instant, end] = [0, 1, 2].map(|more| days(at(NOW), start + more));
    let window = Some(Window { start, end, instant, explanation: None });
    Ari {
        window,
        hurries,
        ..Ari::new(&format!("aki.{number}"), None, SignedDuration::MAX, at(NOW))
    }
}

fn any_target() -> impl Strategy<Value = TargetSeen> {
    let taken = (0_u8..6, 0_i64..30, any_served())
        .prop_map(|(number, ago, was)| taken(number, ago, before(&was)).unwrap());
    let ours = (any::<bool>(), any::<bool>());
    (any_served(), proptest::option::of(taken), ours).prop_map(
        |(served, taken, (by_name, remembered))| {
            let memory = TargetMemory { taken, ..TargetMemory::default() };
            TargetSeen { served, memory, ours: Ours { by_name, remembered } }
        },
    )
}

/// Is a Cert due, by DESIGN's words: there is none that can be used, it was revoked, another is asked for, an order is under
/// way, or its time has come.
fn is_due(names: &[String], seen: &LineageSeen, now: Timestamp) -> bool {
    let Some(leaf) = &seen.leaf else {
        return !matches!(seen.unusable, Some(Unusable::Unread(_)));
    };
    let wishes: Vec<&str> = match seen.fallback {
        Some(_) => WISHES.into(),
        None => WISHES[..1].into(),
    };
    let is_wish = |asked: &String| wishes.contains(&asked.as_str());
    let is_another = match &seen.memory.asked {
        Some(asked) => !is_wish(asked),
        None => leaf.names != names,
    };
    let is_under_way = seen.memory.order.as_ref().is_some_and(|order| is_wish(&order.asked));
    let is_revoked = seen.memory.revoked.contains(&leaf.fingerprint);
    is_another || is_under_way || is_revoked || is_its_time(leaf, &seen.memory, now)
}

/// The CA's instant is in the past or before the timer comes again; where the CA says nothing, a third of the life is left,
/// or half of less than ten days. Who hurries on and on gets one a day. With a sixth of the life left it is time always.
fn is_its_time(leaf: &Leaf, memory: &LineageMemory, now: Timestamp) -> bool {
    let hours = |span: SignedDuration| span.as_hours();
    let (life, left) = (
        hours(leaf.not_after.duration_since(leaf.not_before)),
        hours(leaf.not_after.duration_since(now)),
    );
    let ari = memory.ari.as_ref().filter(|ari| leaf.renewal_id.as_ref() == Some(&ari.id));
    let Some((ari, window)) = ari.and_then(|ari| Some((ari, ari.window.as_ref()?))) else {
        let share = if life < 240 { 2 } else { 3 };
        return left * share <= life;
    };
    let is_late = (left - 1) * 6 < life;
    let is_soon = hours(window.instant.duration_since(now)) < 1;
    let is_young = ari.hurries >= 3 && hours(now.duration_since(ari.first_asked_at)) < 23;
    is_late || is_soon && !is_young
}

/// May one of the lineage's CAs be asked now? Its own word stands, our ladder gives way to another wish.
fn may_ask(seen: &LineageSeen, now: Timestamp) -> bool {
    let may = |failures: &Option<Failures>, wish: &str| {
        let waits = failures.as_ref().filter(|failures| failures.not_before > now);
        waits.is_none_or(|failures| !failures.said_by_ca && failures.asked != wish)
    };
    may(&seen.memory.failures, WISHES[0])
        || seen.fallback.is_some() && may(&seen.memory.fallback_failures, WISHES[1])
}

/// A configuration, claims and an account's list, as numbers that make one.
#[derive(Clone, Debug)]
struct Said {
    /// Of each certificate: is it issued elsewhere, does it discover, is what is foreign replaced there?
    certificates: Vec<(bool, bool, bool)>,
    /// To which of them each name is given; to none, if there is no such one.
    given: Vec<usize>,
    /// Of each claim: its folder, the hour of its hook, which names it wants, does it discover?
    claims: Vec<(usize, i64, Vec<bool>, bool)>,
    /// Which of the names the account's list has.
    listed: Vec<bool>,
}

/// Two of them are folders that a configuration may name.
const FOLDERS: [&str; 4] = ["/l/a", "/l/b", "/l/x", "/l/y"];

const CERTIFICATES: [&str; 4] = ["a", "b", "c", "d"];

fn any_said() -> impl Strategy<Value = Said> {
    use proptest::collection::vec;
    let names = || vec(any::<bool>(), NAMES.len());
    (
        vec((any::<bool>(), any::<bool>(), any::<bool>()), 0..=CERTIFICATES.len()),
        vec(0..=CERTIFICATES.len(), NAMES.len()),
        vec((0..FOLDERS.len(), 0_i64..3, names(), any::<bool>()), 0..6),
        names(),
    )
        .prop_map(|(certificates, given, claims, listed)| Said {
            certificates,
            given,
            claims,
            listed,
        })
}

/// Those of the names whose place is true.
fn chosen(places: impl IntoIterator<Item = bool>) -> Vec<&'static str> {
    NAMES.into_iter().zip(places).filter(|(_, is_it)| *is_it).map(|(name, _)| name).collect()
}

impl Said {
    /// Who owns what by it, what is discovered included.
    fn owned(&self) -> Vec<Lineage> {
        let mut owners = ownership(&self.config(), &self.claims());
        let listed = chosen(self.listed.iter().copied()).into_iter();
        let listing = Listing::new(listed.map(|name| (name, "online")));
        let names = owners.lineages.iter().map(|lineage| (lineage.name.clone(), every_name()));
        let known = Known {
            names: names.collect(),
            listings: [("default".to_owned(), listing)].into(),
            ..Known::default()
        };
        discover(&mut owners, &known);
        owners.lineages
    }

    fn config(&self) -> Config {
        let given: Vec<Vec<&str>> = (0..self.certificates.len())
            .map(|at| chosen(self.given.iter().map(|owner| *owner == at)))
            .collect();
        let folders = ["/l/a", "/l/b", "/l/c", "/l/d"];
        let rows: Vec<_> = (self.certificates.iter().enumerate())
            .map(|(at, (is_source, ..))| {
                (CERTIFICATES[at], is_source.then_some(folders[at]), given[at].as_slice())
            })
            .collect();
        let mut config = config(&rows);
        for (certificate, (_, discovers, replaces)) in
            config.certificates.iter_mut().zip(&self.certificates)
        {
            certificate.deploy[0].discover = *discovers;
            certificate.deploy[0].replace_foreign = *replaces;
        }
        config
    }

    fn claims(&self) -> Vec<Claim> {
        let claim = |(folder, hour, wants, discovers): &(usize, i64, Vec<bool>, bool)| Claim {
            discovers: discovers.then(|| "default".to_owned()),
            ..claim(FOLDERS[*folder], *hour, &chosen(wants.iter().copied()))
        };
        // A client and its folder have one claim.
        let latest: BTreeMap<_, _> =
            self.claims.iter().map(claim).map(|claim| (claim.source.clone(), claim)).collect();
        latest.into_values().collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn the_plan_of_a_world_in_which_it_was_carried_out_is_empty(
        said in any_said(),
        lineages in proptest::collection::vec(any_lineage(), CERTIFICATES.len() + FOLDERS.len()),
        targets in proptest::collection::vec(any_target(), NAMES.len()),
    ) {
        let owned = said.owned();
        let mut seen = Seen {
            lineages: owned.iter().zip(lineages).map(|(lineage, seen)| (lineage.name.clone(), seen)).collect(),
            targets: NAMES.iter().zip(targets).map(|(name, seen)| (target(name), seen)).collect(),
        };
        let now = at(NOW);
        let first = plan(&owned, &seen, &Asked::default(), now);
        for lineage in &owned {
            let of = &seen.lineages[&lineage.name];
            let is_issued = matches!(lineage.origin, Origin::Issued(_));
            let must = is_issued && is_due(&lineage.names, of, now) && may_ask(of, now);
            prop_assert_eq!(first.issues(&lineage.name).is_some(), must, "{}: {:#?}", lineage.name, of);
        }
        let mut deployed: Vec<_> = first.steps.iter().filter(|step| step.kind == Kind::Deploy).map(|step| step.target.clone()).collect();
        let steps = deployed.len();
        deployed.sort();
        deployed.dedup();
        prop_assert_eq!(deployed.len(), steps, "two lineages deploy one target: {:#?}", first);
        carry_out(&first, &mut seen, now);
        let second = plan(&owned, &seen, &Asked::default(), now);
        prop_assert!(second.is_empty(), "{second:#?}");
    }
}
