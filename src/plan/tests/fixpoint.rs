//! The plan of a world in which the plan was carried out is empty.

use proptest::prelude::*;

use super::pins::{kept, pin};
use super::*;
use crate::journal::{Ari, Window};

const NAMES: [&str; 4] = ["t0.com", "t1.com", "t2.com", "t3.com"];

/// Carries a plan out: what an ideal world would look like afterwards.
fn carry_out(plan: &Plan, seen: &mut Seen, now: Timestamp) {
    for step in &plan.steps {
        let of = seen.lineages.get_mut(&step.certificate).unwrap();
        match (step.kind, &step.target) {
            (Kind::Issue, _) => {
                let fresh = leaf(200, 90);
                of.memory.succeed(fresh.fingerprint);
                of.leaf = Some(fresh);
            }
            (Kind::Deploy, Some(target)) => {
                let leaf = wanted(of, target, now).unwrap().leaf.clone();
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
                }
            }
            (Kind::Deploy | Kind::Wait | Kind::Skip, _) => {}
        }
    }
}

fn any_served() -> impl Strategy<Value = Served> {
    prop_oneof![
        (0_u8..6, -10_i64..80).prop_map(|(number, left)| Served::Leaf(leaf(number, left))),
        Just(Served::Off),
        Just(Served::Unknown("why".to_owned())),
    ]
}

fn any_lineage() -> impl Strategy<Value = LineageSeen> {
    (
        proptest::option::of((0_u8..6, -5_i64..80)),
        proptest::collection::vec(0_u8..6, 0..4),
        proptest::option::of(-5_i64..50),
        proptest::collection::vec((0_u8..6, -5_i64..50, proptest::option::of(0_usize..4)), 0..3),
        proptest::collection::vec(0_u8..6, 0..4),
        proptest::option::of((0_u8..6, -3_i64..3, 0_u32..5)),
    )
        .prop_map(|(cert, succession, wait, pins, on_disk, ari)| LineageSeen {
            leaf: cert.map(|(number, left)| leaf(number, left)),
            memory: LineageMemory {
                succession: succession.iter().map(|n| Fingerprint::of(&[*n])).collect(),
                failures: wait.and_then(|minutes| failures(minutes, false, "")),
                pins: pins
                    .into_iter()
                    .map(|(n, left, on)| pin((n, left, on.map(|at| NAMES[at]))))
                    .collect(),
                ari: ari.map(|(number, start, hurries)| wish(number, start, hurries)),
                ..LineageMemory::default()
            },
            pinned: on_disk.into_iter().map(kept).collect(),
            ..LineageSeen::default()
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

fn any_taken() -> impl Strategy<Value = Option<Taken>> {
    proptest::option::of(
        (0_u8..6, 0_i64..30, any_served())
            .prop_map(|(n, ago, was)| taken(n, ago, before(&was)).unwrap()),
    )
}

proptest! {
    #[test]
    fn the_plan_of_a_world_in_which_it_was_carried_out_is_empty(
        lineages in proptest::collection::vec(any_lineage(), 3),
        targets in proptest::collection::vec((any_served(), any_taken(), any::<bool>()), 4),
        found in proptest::collection::vec(any::<bool>(), 4),
        claimed in proptest::collection::vec((0_usize..4, 0_i64..3, 0_usize..2), 0..4),
    ) {
        let names = NAMES;
        let config = config(&[("a", None, &names[..1]), ("b", Some("/l/b"), &names[1..2])]);
        let claims: Vec<Claim> = claimed.iter().map(|(t, hour, source)| claim(["/l/b", "/l/c"][*source], *hour, &names[*t..=*t])).collect();
        let mut owned = ownership(&config, &claims).lineages;
        for (own, found) in owned.iter_mut().flat_map(|lineage| &mut lineage.targets).zip(&found) {
            own.discovered = found.then_some(Foreign::LeftAlone);
        }
        let mut seen = Seen {
            lineages: owned.iter().zip(lineages).map(|(lineage, seen)| (lineage.name.clone(), seen)).collect(),
            targets: names.iter().zip(targets).map(|(name, (served, taken, by_name))| {
                let memory = TargetMemory { taken, ..TargetMemory::default() };
                (target(name), TargetSeen { served, memory, ours: Ours { by_name, remembered: false } })
            }).collect(),
        };
        let now = at(NOW);
        let first = plan(&owned, &seen, &Asked::default(), now);
        for step in first.steps.iter().filter(|step| step.kind == Kind::Issue) {
            let next_run = now.checked_add(SignedDuration::from_hours(1)).unwrap();
            let due = renewal(&seen.lineages[&step.certificate]).is_none_or(|renewal| renewal.at < next_run);
            prop_assert!(due, "issued though not due: {step:?}");
        }
        carry_out(&first, &mut seen, now);
        let second = plan(&owned, &seen, &Asked::default(), now);
        prop_assert!(second.is_empty(), "{second:#?}");
    }
}
