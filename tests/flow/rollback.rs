//! Rolled back: an earlier certificate goes out, stays out, and goes when its time is over.

use std::fs;

use certferry_sandbox::cloud::{Fault, Lag};

use crate::house::{Ended, House, Leaf, fingerprint};
use crate::issuing::Town;

const CONFIG: &str = "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\", \"*.example.test\"]\n";
const DOMAINS: [&str; 2] = ["cdn.example.test", ".example.test"];

fn check(row: &str, ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    for word in says {
        assert!(ended.all().contains(word), "{row}: nothing says `{word}`: {}", ended.all());
    }
}

/// A lineage of certbot's that was renewed so many times, kept in step by `renew`; the fingerprints, oldest first.
fn renewed(config: &str, leaves: &[Leaf]) -> (House, Vec<String>) {
    let mut house = House::new();
    config.clone_into(&mut house.config);
    let mut fingerprints = Vec::new();
    for leaf in leaves {
        let (chain, _) = house.lineage("a", leaf);
        fingerprints.push(fingerprint(&chain));
        check("renew", &house.run("renew"), 0, &["deployed"]);
    }
    house.cloud.forget_calls();
    (house, fingerprints)
}

fn assert_served(row: &str, house: &House, want: &str) {
    for domain in DOMAINS {
        let served = house.cloud.served_fingerprint(domain);
        assert_eq!(served.as_deref(), Some(want), "{row}: {domain}");
    }
}

#[test]
fn a_source_goes_back_and_stays_there() {
    let (house, versions) = renewed(CONFIG, &[Leaf::new(), Leaf::new(), Leaf::new()]);
    let ended = house.run("rollback a --json");
    let report = ended.json();
    assert_eq!((ended.code, &report["command"]), (0, &"rollback".into()), "{}", ended.all());
    for end in report["targets"].as_array().unwrap() {
        assert_eq!(
            (&end["outcome"], &end["proof"], &end["pinned"], &end["replaced"]["fingerprint"]),
            (&"deployed".into(), &"readback".into(), &true.into(), &versions[2].as_str().into()),
            "{report:#}"
        );
    }
    assert_served("back", &house, &versions[1]);
    check("renew keeps it", &house.run("renew"), 0, &["in step, read back, pinned"]);
    check("the hook too", &hook(&house), 0, &["pinned"]);
    house.cloud.switch_off("cdn.example.test");
    check("plan", &house.run("plan"), 0, &["deploy a -> cdn.example.test: pinned to", "HTTPS off"]);
    let healed = ["deployed, read back, pinned; HTTPS off until now", "1 deployed, 1 in step"];
    check("drift heals towards it", &house.run("renew"), 0, &healed);
    assert_served("healed", &house, &versions[1]);
    check("status", &house.run("status"), 0, &["pinned until"]);
    let status = house.run("status --json").json();
    let target = &status["certificates"][0]["targets"][0];
    assert_eq!((&target["pinned"], &target["in_step"]), (&true.into(), &true.into()));
    check("plan", &house.run("plan"), 0, &["skip   a -> cdn.example.test: pinned to"]);
    check("back once more", &house.run("rollback a"), 0, &["version 1, pinned until"]);
    assert_served("once more", &house, &versions[0]);
    let first = ["no earlier version of a is kept", "   3  ", "newest", "help:"];
    check("there is none before", &house.run("rollback a"), 1, &first);
    check("latest", &house.run("rollback a --to latest"), 0, &["2 deployed", "nothing is pinned"]);
    assert_served("latest", &house, &versions[2]);
    check("at rest", &house.run("renew"), 0, &["2 in step"]);
    assert_eq!(house.run("plan --json").json()["steps"].as_array().unwrap().len(), 0);
}

fn hook(house: &House) -> Ended {
    let mut command = house.command("hook");
    command.env("RENEWED_LINEAGE", house.path("live/a")).env("RENEWED_DOMAINS", "x.test");
    Ended::of(&command.output().unwrap())
}

#[test]
fn a_new_certificate_ends_the_pin_and_that_is_told_once() {
    let check_end = |row: &str, run: &dyn Fn(&House) -> Ended| {
        let (house, versions) = renewed(CONFIG, &[Leaf::new(), Leaf::new()]);
        check("back", &house.run("rollback a"), 0, &["2 deployed"]);
        assert_served(row, &house, &versions[0]);
        let (chain, _) = house.lineage("a", &Leaf::new());
        let told = ["the pin on", "has ended: there is a new certificate"];
        check(row, &run(&house), 0, &told);
        assert_served(row, &house, &fingerprint(&chain));
        let again = run(&house);
        check("again", &again, 0, &["in step"]);
        assert!(!again.all().contains("pin"), "{row}: {}", again.all());
    };
    check_end("renew", &|house| house.run("renew"));
    check_end("hook", &hook);
}

#[test]
fn a_pin_ends_before_its_certificate_does() {
    // The first has ten days left: it was due when it was chosen, and holds for five.
    let short = Leaf { days_before: 80, days_after: 10, ..Leaf::new() };
    let (house, versions) = renewed(CONFIG, &[short, Leaf::new()]);
    check("back", &house.run("rollback a"), 0, &["version 1, pinned until"]);
    check("it holds", &house.run("renew"), 0, &["pinned"]);
    let path = "store/journal/lineages/a.json";
    let mut memory: serde_json::Value = serde_json::from_str(&house.read(path)).unwrap();
    assert!(memory["pins"][0]["until"].is_string(), "{memory:#}");
    memory["pins"][0]["until"] = "2026-01-01T00:00:00Z".into();
    house.write(path, memory.to_string());
    check("plan", &house.run("plan"), 0, &["it serves the earlier certificate"]);
    check(
        "due",
        &house.run("renew"),
        0,
        &["has ended: the pinned certificate is due", "2 deployed"],
    );
    assert_served("due", &house, &versions[1]);
    assert_eq!(house.run("renew").stderr, "");
}

#[test]
fn what_must_not_go_out_is_refused_and_nothing_is_pinned() {
    let expired = Leaf { days_before: 90, days_after: -1, ..Leaf::new() };
    let (house, versions) = renewed(CONFIG, &[Leaf::new()]);
    house.lineage("a", &expired);
    check("an expired one comes", &house.run("renew"), 1, &["expired"]);
    let (chain, _) = house.lineage("a", &Leaf::new());
    check("and a good one", &house.run("renew"), 0, &["2 deployed"]);
    house.cloud.forget_calls();
    let ended = house.run("rollback a");
    check("the expired one", &ended, 1, &["expired", "help:", "2 refused"]);
    assert_eq!(house.uploads(), 0, "{}", ended.all());
    check("nothing is pinned", &house.run("renew"), 0, &["2 in step"]);
    assert_served("as it was", &house, &fingerprint(&chain));
    check("another version", &house.run("rollback a --to 1"), 0, &["2 deployed"]);
    assert_served("another", &house, &versions[0]);
    check("no such version", &house.run("rollback a --to 9"), 2, &["no version 9", "   1  "]);
    check("no number", &house.run("rollback a --to old"), 2, &["`latest`"]);
    check("no such name", &house.run("rollback b"), 2, &["no certificate `b`", "is it `a`?"]);
    house.write("roots.pem", house.make_self_signed(&Leaf::new()).0);
    check("not trusted", &house.run("rollback a --to 3"), 1, &["refused", "help:"]);
}

#[test]
fn what_an_earlier_one_does_not_cover_keeps_the_newest() {
    let narrow = Leaf { names: vec!["cdn.example.test"], ..Leaf::new() };
    let mut house = House::new();
    CONFIG.clone_into(&mut house.config);
    let (old, _) = house.lineage("a", &narrow);
    check("narrow", &house.run("renew"), 1, &["1 deployed", "1 refused"]);
    let (new, _) = house.lineage("a", &Leaf::new());
    check("wide", &house.run("renew"), 0, &["2 deployed"]);
    check("back", &house.run("rollback a"), 1, &["1 deployed, 1 refused"]);
    check("at rest", &house.run("renew"), 0, &["2 in step"]);
    let served = DOMAINS.map(|domain| house.cloud.served_fingerprint(domain).unwrap());
    assert_eq!(served, [fingerprint(&old), fingerprint(&new)]);
}

#[test]
fn a_failed_rollback_heals_towards_the_pinned_one() {
    let (house, versions) = renewed(CONFIG, &[Leaf::new(), Leaf::new()]);
    let refuse = Fault::at("SetDomainServerCertificate").always().before();
    house.cloud.fault(refuse.answer("DomainInProtectedMode", 403));
    let ended = house.run("rollback a --json");
    let report = ended.json();
    let end = &report["targets"][0];
    assert_eq!((ended.code, &end["outcome"], &end["pinned"]), (1, &"failed".into(), &true.into()));
    house.cloud.heal();
    check("renew", &house.run("renew"), 0, &["2 deployed"]);
    assert_served("healed", &house, &versions[0]);
}

#[test]
fn back_and_forth_while_the_read_back_lags() {
    let config = CONFIG.to_owned() + "verify = \"none\"\n";
    let (house, versions) = renewed(&config, &[Leaf::new()]);
    let (chain, _) = house.lineage("a", &Leaf::new());
    house.cloud.rules(|rules| rules.lag = Lag::Reads(2));
    check("accepted, not shown yet", &house.run("renew"), 0, &["2 deployed"]);
    check("back", &house.run("rollback a --json"), 0, &["was accepted and may show soon"]);
    check("forth", &house.run("rollback a --to latest"), 0, &["2 deployed"]);
    house.cloud.rules(|rules| rules.lag = Lag::None);
    check("at rest", &house.run("renew"), 0, &["2 in step"]);
    assert_served("forth", &house, &fingerprint(&chain));
    assert_ne!(versions[0], fingerprint(&chain));
}

#[test]
fn a_claim_goes_back_without_a_configuration() {
    let mut house = House::new();
    house.renewed("cdn.example.test *.example.test");
    let first = fingerprint(&house.read("live/a/fullchain.pem"));
    check("first", &house.run("hook"), 0, &["2 deployed"]);
    let (second, _) = house.lineage("a", &Leaf::new());
    check("second", &house.run("hook"), 0, &["2 deployed"]);
    check("back", &house.run("rollback a"), 0, &["version 1, pinned until", "2 deployed"]);
    assert_served("back", &house, &first);
    check("at rest", &house.run("renew"), 0, &["2 in step"]);
    let list = house.run("rollback a --list");
    let lines: Vec<&str> = list.stdout.lines().collect();
    assert_eq!((list.code, lines.len()), (0, 2), "{}", list.all());
    assert!(lines[0].contains(&first[..16]), "{}", list.all());
    assert!(lines[0].ends_with("pinned, on cdn.example.test, on *.example.test"), "{}", list.all());
    assert!(lines[1].ends_with("newest"), "{}", list.all());
    let json = house.run("rollback a --list --json").json();
    assert_eq!(json["versions"][1]["fingerprint"], fingerprint(&second), "{json:#}");
    let kept = || fs::read_dir(house.path("store/archive")).unwrap().count();
    assert_eq!(kept(), 1);
    check("forget", &house.run("forget a"), 0, &["forgotten"]);
    assert_eq!(kept(), 0, "its keys are not ours to keep");
}

#[test]
fn so_many_versions_are_kept() {
    let versions_of = |house: &House| {
        let names = fs::read_dir(house.path("store/archive/a")).into_iter().flatten();
        let mut names: Vec<_> = names.map(|name| name.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let leaves = [(); 4].map(|()| Leaf::new());
    let (mut house, versions) = renewed(CONFIG, &leaves);
    assert_eq!(versions_of(&house), ["0001", "0002", "0003", "0004"]);
    check("pinned", &house.run("rollback a --to 1"), 0, &["2 deployed"]);
    let keep = |house: &mut House, number: u32| {
        let text = house.read("config.toml");
        let text = text.replace("[trust]", &format!("keep_versions = {number}\n[trust]"));
        house.config = format!("[[raw]]{text}");
    };
    keep(&mut house, 0);
    check("the pinned one stays", &house.run("renew"), 0, &["2 in step"]);
    assert_eq!(versions_of(&house), ["0001"]);
    assert_served("pinned", &house, &versions[0]);
    check("latest", &house.run("rollback a --to latest"), 0, &["2 deployed"]);
    assert_served("latest", &house, &versions[3]);
    check("renew", &house.run("renew"), 0, &["2 in step"]);
    assert_eq!(versions_of(&house), Vec::<&str>::new());
    let none = ["no earlier version", "there is none", "keep_versions = 0"];
    check("turned off", &house.run("rollback a"), 1, &none);
}

#[test]
fn a_store_that_cannot_be_written_stops_no_upload_but_a_rollback() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    house.write("store", "a file where the folder should be");
    check("hook", &house.run("hook"), 0, &["1 deployed"]);
    CONFIG.clone_into(&mut house.config);
    let ended = house.run("rollback a");
    assert_eq!((ended.code, ended.stderr.contains("help:")), (1, true), "{}", ended.all());
}

#[test]
fn a_copy_that_cannot_be_kept_stops_nothing() {
    let mut house = House::new();
    CONFIG.clone_into(&mut house.config);
    house.write("store/archive/a", "a file where the folder should be");
    for folder in ["store", "store/archive"] {
        house.chmod(folder, 0o700);
    }
    let says = ["2 deployed", "a cannot be kept for a rollback"];
    check("deployed", &house.run("renew"), 0, &says);
    check("and remembered", &house.run("renew"), 0, &["2 in step"]);
    fs::remove_file(house.path("store/archive/a")).unwrap();
    let healed = house.run("renew");
    assert_eq!((healed.code, healed.stderr.as_str()), (0, ""), "{}", healed.all());
    check("kept", &house.run("rollback a --list"), 0, &["   1  ", "newest"]);
}

#[test]
fn a_pinned_version_that_is_damaged_or_gone() {
    let (house, versions) = renewed(CONFIG, &[Leaf::new(), Leaf::new()]);
    check("back", &house.run("rollback a"), 0, &["2 deployed"]);
    house.cloud.switch_off("cdn.example.test");
    house.write("store/archive/a/0001/fullchain.pem", "cut");
    let says = ["the pinned certificate cannot be used", "rollback 'a' --to latest"];
    check("damaged", &house.run("renew"), 1, &says);
    check("status", &house.run("status --json"), 1, &["the pinned certificate cannot be used"]);
    assert!(house.cloud.served("cdn.example.test").is_none(), "it is let alone");
    fs::remove_dir_all(house.path("store/archive/a/0001")).unwrap();
    check("gone", &house.run("renew"), 0, &["is no longer in the store", "2 deployed"]);
    assert_served("gone", &house, &versions[1]);
}

#[test]
fn deploy_pins_what_was_given_by_hand() {
    let (house, versions) = renewed(CONFIG, &[Leaf::new()]);
    let (given, _) = house.lineage("given", &Leaf::new());
    let given = fingerprint(&given);
    let deploy = "deploy --lineage live/given --domain cdn.example.test";
    check("refused", &house.run(deploy), 1, &["the configuration gives it to a", "--pin"]);
    assert_eq!(house.uploads(), 0);
    let report = house.run(&format!("{deploy} --pin --json")).json();
    let end = &report["targets"][0];
    assert_eq!((&end["outcome"], &end["pinned"]), (&"deployed".into(), &true.into()), "{report:#}");
    // The files that were given may go: the store has its own.
    fs::remove_dir_all(house.path("live/given")).unwrap();
    let served = |domain: &str| house.cloud.served_fingerprint(domain).unwrap();
    check("at rest", &house.run("renew"), 0, &["2 in step", "pinned"]);
    house.cloud.switch_off("cdn.example.test");
    check("drift heals", &house.run("renew"), 0, &["1 deployed, 1 in step"]);
    assert_eq!([served("cdn.example.test"), served(".example.test")], [given, versions[0].clone()]);
    let pinned = house.run("status --json").json()["certificates"][0]["targets"].clone();
    assert_eq!((&pinned[0]["pinned"], &pinned[1]["pinned"]), (&true.into(), &false.into()));
    let kept = || fs::read_dir(house.path("store/archive")).unwrap().count();
    assert_eq!(kept(), 2);
    house.lineage("a", &Leaf::new());
    check("renewed", &house.run("renew"), 0, &["cdn.example.test: the pin on", "2 deployed"]);
    assert_eq!((served("cdn.example.test"), kept()), (served(".example.test"), 1));
}

#[test]
fn deploy_pins_nothing_where_nothing_is_kept_in_step() {
    let house = House::new();
    house.lineage("given", &Leaf::new());
    let deploy = "deploy --lineage live/given --pin --domain cdn.example.test";
    check("deployed", &house.run(deploy), 0, &["1 deployed", "nothing is pinned"]);
    let bad = Leaf { names: vec!["other.test"], ..Leaf::new() };
    let (mut house, _) = renewed(CONFIG, &[Leaf::new()]);
    house.lineage("given", &bad);
    check("does not cover it", &house.run(deploy), 1, &["1 refused"]);
    check("as it was", &house.run("renew"), 0, &["2 in step"]);
    house.config = String::new();
    check("an unknown name", &house.run("rollback a"), 2, &["none is configured"]);
}

#[test]
fn what_we_issue_goes_back_without_an_order() {
    let town = Town::new(|_| {});
    let served = || town.world.cloud.served_fingerprint("cdn.example.test").unwrap();
    check("first", &town.run("renew"), 0, &["1 issued"]);
    let first = served();
    check("second", &town.run("renew --force"), 0, &["1 issued"]);
    let (second, orders) = (served(), town.cost()[0]);
    assert_ne!(first, second);
    check(
        "back",
        &town.run("rollback example.test"),
        0,
        &["version 1, pinned until", "2 deployed"],
    );
    check("renew keeps it", &town.run("renew"), 0, &["2 in step", "pinned"]);
    assert_eq!((served(), town.cost()[0]), (first, orders));
    let link = fs::read_link(town.store("live/example.test")).unwrap();
    assert_eq!(link.to_str(), Some("../archive/example.test/0002"), "the web server's stays");
    check("forced", &town.run("renew --force"), 0, &["1 issued", "the pin on", "2 deployed"]);
    assert_ne!(served(), second);
    check("at rest", &town.run("renew"), 0, &["2 in step"]);
}
