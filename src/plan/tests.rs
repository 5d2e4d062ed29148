//! The plan as a table: what is seen, what is to be done.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod discovery;
mod fallback;
mod fixpoint;
mod foreign;
mod older;
mod pins;

use super::*;
use crate::config::{CdnDomain, Certificate, Config, Deploy, KeyType, Verify};
use crate::journal::{Before, Claim, Failures, Taken, Turn};

const NOW: &str = "2026-06-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn days(from: Timestamp, days: i64) -> Timestamp {
    from.checked_add(SignedDuration::from_hours(24 * days)).unwrap()
}

/// The Cert number `number`, which ends `left` days from now and lives for 90.
fn leaf(number: u8, left: i64) -> Leaf {
    let not_after = days(at(NOW), left);
    Leaf {
        fingerprint: Fingerprint::of(&[number]),
        names: vec!["example.com".to_owned()],
        not_before: days(not_after, -90),
        not_after,
        issuer: "R3".to_owned(),
        self_issued: false,
        renewal_id: Some(format!("aki.{number}")),
    }
}

fn target(name: &str) -> Target {
    Target { aliyun: "default".to_owned(), domain: CdnDomain::read(name).unwrap() }
}

fn config(certificates: &[(&str, Option<&str>, &[&str])]) -> Config {
    let mut config = Config::without_file("/nowhere".into());
    config.certificates = certificates
        .iter()
        .map(|(name, source, targets)| Certificate {
            name: (*name).to_owned(),
            domains: if source.is_some() { vec![] } else { vec!["example.com".to_owned()] },
            dns: "default".to_owned(),
            challenge: crate::config::Challenge::Dns01,
            key_type: KeyType::EcdsaP256,
            ca: None,
            profile: None,
            reuse_key: false,
            source: source.map(Into::into),
            deploy: vec![Deploy {
                discover: false,
                replace_foreign: false,
                domains: targets.iter().map(|name| CdnDomain::read(name).unwrap()).collect(),
                aliyun: "default".to_owned(),
                verify: Verify::Readback,
                cert_name: None,
            }],
            line: 1,
        })
        .collect();
    config
}

fn claim(source: &str, hour: i64, targets: &[&str]) -> Claim {
    Claim {
        client: "certbot".to_owned(),
        source: source.into(),
        name: source.rsplit('/').next().unwrap().to_owned(),
        names: vec!["example.com".to_owned()],
        targets: targets.iter().map(|name| target(name)).collect(),
        guessed: false,
        discovers: None,
        at: at(NOW).checked_add(SignedDuration::from_hours(hour)).unwrap(),
    }
}

/// A world with one lineage `a` and one target, written in a line each.
#[derive(Default)]
struct World {
    leaf: Option<Leaf>,
    served: Option<Served>,
    taken: Option<Taken>,
    succession: Vec<u8>,
    failures: Option<Failures>,
    fallback: bool,
    fallback_failures: Option<Failures>,
    asked: Asked,
    tried: bool,
    source: Option<&'static str>,
    unusable: Option<Unusable>,
    was_asked: Option<&'static str>,
    order: bool,
    ours: bool,
    revoked: &'static [u8],
}

impl World {
    fn plan(&self) -> Vec<String> {
        let (lineages, seen) = self.seen();
        let plan = plan(&lineages, &seen, &self.asked, at(NOW));
        plan.steps.iter().map(|step| format!("{:?} {}", step.kind, step.reason)).collect()
    }

    fn seen(&self) -> (Vec<Lineage>, Seen) {
        let config = config(&[("a", self.source, &["cdn.example.com"])]);
        let lineages = ownership(&config, &[]).lineages;
        let memory = LineageMemory {
            succession: self.succession.iter().map(|n| Fingerprint::of(&[*n])).collect(),
            failures: self.failures.clone(),
            fallback_failures: self.fallback_failures.clone(),
            ordered_from: None,
            asked: self.was_asked.map(str::to_owned),
            order: self.order.then(|| crate::journal::Order {
                url: "https://ca.test/order/1".to_owned(),
                directory: "https://ca.test/dir".to_owned(),
                account: "https://ca.test/account/1".to_owned(),
                asked: "what is asked".to_owned(),
                version: 2,
            }),
            revoked: self.revoked.iter().map(|n| Fingerprint::of(&[*n])).collect(),
            ..LineageMemory::default()
        };
        let seen = LineageSeen {
            leaf: self.leaf.clone(),
            unusable: self.unusable.clone(),
            memory,
            asked: "what is asked".to_owned(),
            fallback: self.fallback.then(|| Fallback {
                section: "[acme.other]".to_owned(),
                asked: "what the other is asked".to_owned(),
            }),
            tried: self.tried,
            pinned: BTreeMap::new(),
            tick: None,
        };
        let served = self.served.clone().unwrap_or(Served::Off);
        let memory = TargetMemory { taken: self.taken.clone(), ..TargetMemory::default() };
        let ours = Ours { by_name: self.ours, remembered: false };
        let seen = Seen {
            lineages: [("a".to_owned(), seen)].into(),
            targets: [(target("cdn.example.com"), TargetSeen { served, memory, ours })].into(),
        };
        (lineages, seen)
    }
}

fn taken(number: u8, minutes_ago: i64, before: Before) -> Option<Taken> {
    let at = at(NOW).checked_sub(SignedDuration::from_mins(minutes_ago)).unwrap();
    Some(Taken {
        fingerprint: Fingerprint::of(&[number]),
        at,
        before,
        shown: false,
        cert_name: String::new(),
    })
}

fn failures(minutes_left: i64, said_by_ca: bool, asked: &str) -> Option<Failures> {
    let not_before = at(NOW).checked_add(SignedDuration::from_mins(minutes_left)).unwrap();
    let (error, asked) = ("no".to_owned(), asked.to_owned());
    Some(Failures { count: 2, at: at(NOW), not_before, said_by_ca, error, asked })
}

fn by_hand(force: Force) -> Asked {
    Asked { names: vec!["a".to_owned()], force }
}

fn check(name: &str, world: World, expect: &[&str]) {
    let steps = world.plan();
    let fits = steps.len() == expect.len()
        && steps.iter().zip(expect).all(|(step, want)| step.contains(want));
    assert!(fits, "{name}: {steps:#?} is not {expect:#?}");
}

#[test]
fn certificates() {
    check(
        "from nothing",
        World::default(),
        &["Issue no certificate until now", "Deploy as soon as"],
    );
    check(
        "in step",
        World {
            leaf: Some(leaf(1, 60)),
            served: Some(Served::Leaf(leaf(1, 60))),
            ..World::default()
        },
        &[],
    );
    check(
        "due",
        World {
            leaf: Some(leaf(1, 29)),
            served: Some(Served::Leaf(leaf(1, 29))),
            ..World::default()
        },
        &["Issue due since", "Deploy"],
    );
    check(
        "not due yet",
        World {
            leaf: Some(leaf(1, 31)),
            served: Some(Served::Leaf(leaf(1, 31))),
            ..World::default()
        },
        &[],
    );
    check(
        "tried in this run",
        World {
            leaf: Some(leaf(1, 29)),
            served: Some(Served::Leaf(leaf(1, 29))),
            tried: true,
            ..World::default()
        },
        &[],
    );
    check(
        "forced",
        World { leaf: Some(leaf(1, 60)), asked: by_hand(Force::Yes), ..World::default() },
        &["Issue asked for by --force", "Deploy"],
    );
    let mut renamed = leaf(1, 60);
    renamed.names = vec!["old.example.com".to_owned()];
    check(
        "other names",
        World { leaf: Some(renamed), ..World::default() },
        &["Issue the certificate lacks example.com", "Deploy"],
    );
}

#[test]
fn what_was_asked_for_decides() {
    let extra = || {
        let mut leaf = leaf(1, 60);
        leaf.names.push("www.example.com".to_owned());
        Some(leaf)
    };
    let same = Some("what is asked");
    let off = "Deploy HTTPS off";
    check(
        "a CA that adds a name",
        World { leaf: extra(), was_asked: same, ..World::default() },
        &[off],
    );
    check(
        "a name too many, not remembered",
        World { leaf: extra(), ..World::default() },
        &["Issue the certificate has names no longer wanted: www", "Deploy"],
    );
    check(
        "another CA",
        World { leaf: Some(leaf(1, 60)), was_asked: Some("from staging"), ..World::default() },
        &["Issue the configuration asks for another", "Deploy"],
    );
    check(
        "revoked",
        World { leaf: Some(leaf(1, 60)), revoked: &[1], ..World::default() },
        &["Issue it was revoked", "Deploy"],
    );
    check(
        "revoked and followed",
        World { leaf: Some(leaf(2, 60)), revoked: &[1], ..World::default() },
        &[off],
    );
    check(
        "a killed order",
        World { leaf: Some(leaf(1, 60)), order: true, ..World::default() },
        &["Issue an order of an earlier run", "Deploy"],
    );
    let damaged = || Some(Unusable::Damaged("cut".to_owned()));
    check(
        "damaged",
        World { unusable: damaged(), ..World::default() },
        &["Issue the certificate on disk cannot be used: cut", "Deploy"],
    );
    let unread = || Some(Unusable::Unread("too many open files".to_owned()));
    check(
        "not read",
        World { unusable: unread(), ..World::default() },
        &["Skip its certificate cannot be used: too many"],
    );
}

#[test]
fn failures_wait() {
    let asked = "what is asked";
    check(
        "waits",
        World { failures: failures(5, false, asked), ..World::default() },
        &["Wait no certificate until now, but it failed", "Skip"],
    );
    check(
        "over",
        World { failures: failures(0, false, asked), ..World::default() },
        &["Issue", "Deploy"],
    );
    check(
        "by hand",
        World {
            failures: failures(5, false, asked),
            asked: by_hand(Force::No),
            ..World::default()
        },
        &["Issue", "Deploy"],
    );
    check(
        "changed config",
        World { failures: failures(5, false, "another"), ..World::default() },
        &["Issue", "Deploy"],
    );
    check(
        "the CA's word, by hand",
        World {
            failures: failures(5, true, asked),
            asked: by_hand(Force::Yes),
            ..World::default()
        },
        &["Wait", "Skip"],
    );
    check(
        "the CA's word, changed config",
        World { failures: failures(5, true, "another"), ..World::default() },
        &["Wait", "Skip"],
    );
}

#[test]
fn targets() {
    let good = || Some(leaf(2, 60));
    let old = || Some(Served::Leaf(leaf(1, 20)));
    let was = Before::Leaf(Fingerprint::of(&[1]));
    let unknown = || Some(Served::Unknown("no permission".to_owned()));
    check("off", World { leaf: good(), ..World::default() }, &["Deploy HTTPS off until now"]);
    check(
        "earlier",
        World { leaf: good(), served: old(), succession: vec![1, 2], ..World::default() },
        &["Deploy it serves the earlier certificate"],
    );
    check(
        "a stranger",
        World { leaf: good(), served: old(), succession: vec![2], ..World::default() },
        &["Deploy it serves"],
    );
    check(
        "unknown, no record",
        World { leaf: good(), served: unknown(), ..World::default() },
        &["Deploy what it serves is not known"],
    );
    check(
        "unknown, accepted",
        World { leaf: good(), served: unknown(), taken: taken(2, 9000, was), ..World::default() },
        &[],
    );
    check(
        "unknown, another accepted",
        World { leaf: good(), served: unknown(), taken: taken(1, 1, was), ..World::default() },
        &["Deploy"],
    );
    check(
        "lags",
        World { leaf: good(), served: old(), taken: taken(2, 9, was), ..World::default() },
        &["Wait accepted, not shown yet"],
    );
    check(
        "lags too long",
        World { leaf: good(), served: old(), taken: taken(2, 10, was), ..World::default() },
        &["Deploy"],
    );
    check(
        "lags, but changed to another",
        World { leaf: good(), served: old(), taken: taken(2, 1, Before::Off), ..World::default() },
        &["Deploy"],
    );
    let shown = taken(2, 1, was).map(|taken| Taken { shown: true, ..taken });
    check(
        "was shown, then drifted",
        World { leaf: good(), served: old(), taken: shown, ..World::default() },
        &["Deploy"],
    );
    check(
        "off after we turned it on",
        World { leaf: good(), taken: taken(2, 1, Before::Off), ..World::default() },
        &["Wait"],
    );
}

#[test]
fn renewal_is_a_share_of_life() {
    let check = |life_hours: i64, expect_hours: i64| {
        let from = at(NOW);
        let hours = |n| from.checked_add(SignedDuration::from_hours(n)).unwrap();
        let leaf = Leaf { not_before: from, not_after: hours(life_hours), ..leaf(1, 1) };
        assert_eq!(renew_at(&leaf), hours(expect_hours), "{life_hours} h");
    };
    check(90 * 24, 60 * 24);
    check(45 * 24, 30 * 24);
    check(160, 80);
}

#[test]
fn waiting_is_well_while_it_lives() {
    let check = |name: &str, life: i64, left: i64, well: bool| {
        let to = days(at(NOW), left);
        assert_eq!(lives_on(days(to, -life), to, at(NOW)), well, "{name}");
    };
    check("long life, a week", 90, 7, true);
    check("long life, six days", 90, 6, false);
    check("six days, two left", 6, 2, true);
    check("six days, one left", 6, 1, false);
    check("expired", 90, -1, false);
}

fn owners(config: &Config, claims: &[Claim]) -> Vec<String> {
    let owners = ownership(config, claims);
    let mut lines: Vec<String> = owners
        .lineages
        .iter()
        .flat_map(|lineage| {
            lineage
                .targets
                .iter()
                .map(|owned| format!("{} {}", lineage.name, owned.target.domain.written))
        })
        .collect();
    lines.extend(
        owners.conflicts.iter().map(|one| {
            format!("{}: {} is {}'s", one.lineage, one.target.domain.written, one.owner)
        }),
    );
    lines
}

#[test]
fn one_target_one_owner() {
    let check = |name: &str, config: &Config, claims: &[Claim], expect: &[&str]| {
        assert_eq!(owners(config, claims), expect, "{name}");
    };
    let none = config(&[]);
    let one = config(&[("a", None, &["x.com"])]);
    check("config", &one, &[], &["a x.com"]);
    check("a claim", &none, &[claim("/l/b", 0, &["y.com"])], &["b y.com"]);
    check(
        "config before claim",
        &one,
        &[claim("/l/b", 0, &["x.com", "y.com"])],
        &["a x.com", "b y.com", "b: x.com is a's"],
    );
    let two = [claim("/l/b", 0, &["x.com", "y.com"]), claim("/l/c", 1, &["y.com"])];
    check("the latest claim", &none, &two, &["b x.com", "c y.com"]);
    let source = config(&[("a", Some("/l/b"), &["x.com"])]);
    check(
        "a claim of the config's own folder",
        &source,
        &[claim("/l/b", 0, &["z.com"])],
        &["a x.com", "a z.com"],
    );
    check(
        "spelled another way",
        &one,
        &[claim("/l/b", 0, &["X.com"])],
        &["a x.com", "b: X.com is a's"],
    );
    let same = [claim("/l/n", 0, &["p.com"]), claim("/m/n", 1, &["q.com"])];
    check("one name, two folders", &none, &same, &["n p.com", "n (certbot) q.com"]);
}
