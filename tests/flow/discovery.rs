//! Targets by discovery: what the account's list has and the certificate covers, and what of it is somebody else's.

use certferry_sandbox::cloud::{Account, Domain, Fault, Seed};

use crate::house::{Ended, House, KEY_ID, Leaf, SECRET, fingerprint};

const FOUND: &str =
    "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndiscover = true\n";

fn check(row: &str, ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    for word in says {
        assert!(ended.all().contains(word), "{row}: nothing says `{word}`: {}", ended.all());
    }
}

/// A house whose config discovers for the lineage `a`.
fn found() -> House {
    let mut house = House::new();
    FOUND.clone_into(&mut house.config);
    house
}

/// As certbot calls it for the lineage `a`, without a config.
fn hooked() -> House {
    let mut house = House::new();
    house.renewed("cdn.example.test *.example.test");
    house
}

fn lists(house: &House) -> usize {
    house.cloud.calls("DescribeUserDomains").len()
}

/// Somebody else's certificate at a CDN domain; answers its fingerprint.
fn put_foreign(house: &House, domain: &str, days_before: i64, days_after: i64) -> String {
    let leaf = Leaf { days_before, days_after, ..Leaf::new() };
    let (chain, key) = house.make(&leaf);
    house.cloud.set_served(domain, "by-hand", &chain, &key);
    fingerprint(&chain)
}

fn set_permission(house: &House, action: Option<&str>) {
    let mut account = Account::new(KEY_ID, SECRET);
    if let Some(action) = action {
        account = account.deny(action, "*");
    }
    house.cloud.account(KEY_ID, |of_cloud| *of_cloud = account);
}

#[test]
fn what_the_certificate_covers_is_found_and_so_is_what_comes_later() {
    let house = found();
    house.cloud.add_domain(Domain::online("www.example.test"));
    house.cloud.add_domain(Domain::online("a.b.example.test"));
    house.cloud.add_domain(Domain::online("example.test"));
    house.cloud.add_domain(Domain::online("cdn.other.test"));
    let planned = house.run("plan");
    check("plan", &planned, 0, &["deploy a -> www.example.test", "deploy a -> *.example.test"]);
    let ended = house.run("renew");
    let says =
        ["cdn.example.test: deployed, read back", "www.example.test: deployed", "3 deployed"];
    check("renew", &ended, 0, &says);
    assert!(!ended.all().contains("other.test"), "what is not covered: not a word");
    assert!(!ended.all().contains("a.b.example.test"), "one label deep: {}", ended.all());
    house.cloud.add_domain(Domain::online("new.example.test"));
    check("one is added", &house.run("renew"), 0, &["new.example.test: deployed", "3 in step"]);
    house.cloud.remove_domain("new.example.test");
    check("and goes again", &house.run("renew"), 0, &["all is as it should be: 3 in step"]);
    check("at rest", &house.run("plan"), 0, &["nothing to do"]);
    check("status", &house.run("status"), 0, &["www.example.test"]);
}

#[test]
fn what_is_not_online_is_named_with_its_status() {
    let house = found();
    house.cloud.set_status("cdn.example.test", "offline");
    house.cloud.add_domain(Domain::with_status("x.example.test", "check_failed"));
    house.cloud.add_domain(Domain::with_status("gone.other.test", "offline"));
    let report = house.run("renew --json").json();
    let ends: Vec<String> = report["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|end| format!("{} {} {}", end["domain"], end["outcome"], end["reason"]))
        .collect();
    let expect = [
        "\"*.example.test\" \"deployed\" \"HTTPS off until now\"",
        "\"cdn.example.test\" \"skipped\" \"the CDN domain is not online but offline\"",
        "\"x.example.test\" \"skipped\" \"the CDN domain is not online but check_failed\"",
    ];
    assert_eq!((ends.as_slice(), &report["ok"]), (&expect.map(str::to_owned)[..], &true.into()));
    check(
        "plan",
        &house.run("plan"),
        0,
        &["skip   a -> cdn.example.test: the CDN domain is not online"],
    );
    house.cloud.set_status("cdn.example.test", "online");
    check("online again", &house.run("renew"), 0, &["cdn.example.test: deployed"]);
}

#[test]
fn a_hook_finds_without_a_config_and_renew_keeps_it() {
    let mut house = hooked();
    house.cloud.add_domain(Domain::online("www.example.test"));
    let says =
        ["cdn.example.test: deployed, read back", "www.example.test: deployed", "3 deployed"];
    let ended = house.run("hook --discover");
    check("hook", &ended, 0, &says);
    assert_eq!(ended.stderr, "", "certbot shows stderr as an error");
    check("called without the flag", &house.run("hook"), 0, &["3 in step"]);
    house.cloud.add_domain(Domain::online("new.example.test"));
    check("renew", &house.run("renew"), 0, &["new.example.test: deployed", "3 in step"]);
    house.lineage("a", &Leaf::new());
    check("a new certificate", &house.run("hook"), 0, &["4 deployed"]);
    check(
        "one of it cannot be forgotten",
        &house.run("forget a --domain new.example.test"),
        2,
        &["it discovers what the certificate covers", "--domain"],
    );
    check("but named others", &house.run("hook --domain cdn.example.test"), 0, &["1 in step"]);
    house.cloud.switch_off("new.example.test");
    check("no more", &house.run("renew"), 0, &["all is as it should be: 1 in step"]);
    check("again", &house.run("hook --discover"), 0, &["new.example.test: deployed"]);
    check("all", &house.run("forget a"), 0, &["forgotten"]);
    house.var("RENEWED_LINEAGE", "");
    check("none is left", &house.run("status"), 0, &["no certificate is configured"]);
}

#[test]
fn by_hand_the_names_are_those_of_the_file() {
    let mut house = House::new();
    house.renewed("");
    check("hook", &house.run("hook --discover"), 0, &["2 deployed"]);
}

#[test]
fn six_hundred_domains_are_one_list_and_one_run() {
    let mut house = House::with(|seed| {
        let named = (0..600).map(|at| format!("n{at}.other.test"));
        let seed = named.fold(seed, |seed: Seed, name| seed.domain(Domain::online(name)));
        seed.domain(Domain::online("zzz.example.test"))
    });
    house.lineage("b", &Leaf { names: vec!["n1.other.test", "n599.other.test"], ..Leaf::new() });
    house.config = format!("{FOUND}{}", FOUND.replace("live/a", "live/b"));
    let ended = house.run("renew");
    let says = ["zzz.example.test: deployed", "n599.other.test: deployed", "5 deployed"];
    check("renew", &ended, 0, &says);
    assert_eq!(lists(&house), 2, "603 domains are two pages, asked for once");
    assert_eq!(house.run("renew --json").json()["changed"], false);
}

#[test]
fn small_pages_are_all_read() {
    let house = found();
    house.cloud.rules(|rules| rules.page_limit = 1);
    house.cloud.add_domain(Domain::online("www.example.test"));
    check("renew", &house.run("renew"), 0, &["3 deployed"]);
    assert_eq!(lists(&house), 3);
}

#[test]
fn without_the_permission_what_was_found_before_is_kept_in_step() {
    let house = found();
    check("found", &house.run("renew"), 0, &["2 deployed"]);
    set_permission(&house, Some("cdn:DescribeUserDomains"));
    house.cloud.add_domain(Domain::online("new.example.test"));
    house.cloud.switch_off("cdn.example.test");
    let says = [
        "cdn.example.test: deployed",
        "the 2 that were found before are kept in step",
        "cdn:DescribeUserDomains",
        "help:",
    ];
    let ended = house.run("renew");
    check("renew", &ended, 1, &says);
    assert!(house.cloud.served("new.example.test").is_none());
    let report = house.run("renew --json").json();
    let end = &report["certificates"][0];
    assert_eq!((&end["outcome"], &end["error"]["retryable"]), (&"kept".into(), &false.into()));
    assert_eq!((&report["ok"], &report["changed"]), (&false.into(), &false.into()));
    check("plan", &house.run("plan"), 1, &["cdn:DescribeUserDomains", "as far as could be seen"]);
    check("status", &house.run("status --json"), 1, &["cannot be listed"]);
    house.cloud.remove_domain("cdn.example.test");
    check(
        "one is gone",
        &house.run("renew"),
        1,
        &["cdn.example.test: skipped; it is no CDN domain"],
    );
    set_permission(&house, None);
    check("granted", &house.run("renew"), 0, &["new.example.test: deployed", "1 in step"]);
}

#[test]
fn a_hook_without_the_permission_names_it() {
    let house = hooked();
    set_permission(&house, Some("cdn:DescribeUserDomains"));
    let says = ["none was found before", "cdn:DescribeUserDomains", "help:"];
    check("hook", &house.run("hook --discover"), 1, &says);
    set_permission(&house, None);
    check("renew", &house.run("renew"), 0, &["2 deployed"]);
}

#[test]
fn a_list_that_cannot_be_had_just_now_is_left_to_the_timer() {
    let house = hooked();
    let away = || Fault::at("DescribeUserDomains").always().before().answer("InternalError", 500);
    house.cloud.fault(away());
    check("no timer", &house.run("hook --discover --deadline 4"), 1, &["certferry.timer"]);
    house.cloud.heal();
    check("renew", &house.run("renew"), 0, &["2 deployed"]);
    house.lineage("a", &Leaf::new());
    house.cloud.fault(away());
    let ended = house.run("hook --deadline 6");
    check("what was found before is done", &ended, 0, &["2 deployed", "left to `certferry renew`"]);
    assert_eq!(ended.stderr, "", "{}", ended.all());
}

#[test]
fn a_foreign_certificate_is_left_alone_until_its_last_third() {
    let mut house = found();
    let theirs = put_foreign(&house, "cdn.example.test", 1, 89);
    let says = [
        "cdn.example.test: skipped; it serves a certificate that is not ours, by House Root",
        "`replace_foreign = true`",
        "1 deployed, 1 skipped",
    ];
    check("left alone", &house.run("renew"), 0, &says);
    assert_eq!(house.cloud.served_fingerprint("cdn.example.test"), Some(theirs));
    check(
        "plan",
        &house.run("plan"),
        0,
        &["skip   a -> cdn.example.test: it serves a certificate"],
    );
    check("status", &house.run("status"), 0, &["not ours"]);
    let target = &house.run("status --json").json()["certificates"][0]["targets"][1];
    assert_eq!((&target["in_step"], &target["foreign"]), (&false.into(), &true.into()));
    let theirs = put_foreign(&house, "cdn.example.test", 61, 29);
    let report = house.run("renew --json").json();
    let end = &report["targets"][1];
    assert_eq!(
        (&end["outcome"], &end["replaced"]["fingerprint"]),
        (&"deployed".into(), &theirs.into()),
        "{report:#}"
    );
    check("at rest", &house.run("renew"), 0, &["2 in step"]);
    put_foreign(&house, "cdn.example.test", 1, 89);
    house.config = format!("{FOUND}replace_foreign = true\n");
    check(
        "replace_foreign",
        &house.run("renew"),
        0,
        &["cdn.example.test: deployed", "in place of"],
    );
    put_foreign(&house, "cdn.example.test", 1, 89);
    house.config = format!("{FOUND}domains = [\"cdn.example.test\"]\n");
    check("named", &house.run("renew"), 0, &["cdn.example.test: deployed", "in place of"]);
}

#[test]
fn a_hook_names_what_it_shall_replace() {
    let house = hooked();
    put_foreign(&house, "cdn.example.test", 1, 89);
    let flag = "certferry hook --discover --domain 'cdn.example.test'";
    check("left alone", &house.run("hook --discover"), 0, &["not ours", flag]);
    check("named", &house.run("hook --discover --domain cdn.example.test"), 0, &["1 deployed"]);
}

#[test]
fn what_another_lineage_of_the_store_had_is_ours() {
    let mut house = found();
    house.lineage("b", &Leaf::new());
    house.config = FOUND.replace("live/a", "live/b");
    check("b", &house.run("renew"), 0, &["2 deployed"]);
    let (chain, key) = (house.read("live/b/fullchain.pem"), house.read("live/b/privkey.pem"));
    house.cloud.set_served("cdn.example.test", "renamed-in-the-console", &chain, &key);
    FOUND.clone_into(&mut house.config);
    check("a", &house.run("renew"), 0, &["cdn.example.test: deployed", "2 deployed"]);
}

#[test]
fn a_store_that_lost_its_memory_knows_its_own_by_the_cert_name() {
    let house = found();
    check("first", &house.run("renew"), 0, &["2 deployed"]);
    std::fs::remove_dir_all(house.path("store")).unwrap();
    house.lineage("a", &Leaf::new());
    check("renewed", &house.run("renew"), 0, &["2 deployed"]);
}

#[test]
fn what_cannot_be_seen_is_not_replaced_unless_named() {
    let mut house = found();
    set_permission(&house, Some("cdn:DescribeDomainCertificateInfo"));
    let says = ["may be somebody else's", "cdn:DescribeDomainCertificateInfo"];
    check("found", &house.run("renew"), 1, &says);
    assert_eq!(house.uploads(), 0);
    check(
        "plan",
        &house.run("plan"),
        0,
        &["skip   a -> cdn.example.test: what it serves is not known"],
    );
    house.config = format!("{FOUND}domains = [\"cdn.example.test\", \"*.example.test\"]\n");
    check("named", &house.run("renew"), 0, &["2 deployed"]);
}

#[test]
fn two_that_find_the_same_are_told() {
    let mut house = House::new();
    house.lineage("b", &Leaf { names: vec!["cdn.example.test"], ..Leaf::new() });
    house.lineage("a", &Leaf { names: vec!["*.example.test"], ..Leaf::new() });
    house.config = format!("{FOUND}{}", FOUND.replace("live/a", "live/b"));
    let says = ["b and a both discover cdn.example.test: b has it", "help: name it", "2 deployed"];
    check("renew", &house.run("renew"), 0, &says);
    let want = fingerprint(&house.read("live/b/fullchain.pem"));
    assert_eq!(house.cloud.served_fingerprint("cdn.example.test"), Some(want));
    let by_hand = house.run("deploy --lineage live/a --domain cdn.example.test");
    check("by hand", &by_hand, 1, &["the configuration gives it to b"]);
    house.config =
        format!("{FOUND}{}domains = [\"cdn.example.test\"]\n", FOUND.replace("/a", "/b"));
    let ended = house.run("renew");
    check("named for b: silence", &ended, 0, &["2 in step"]);
    assert_eq!(ended.stderr, "");
}

#[test]
fn what_has_ended_takes_nothing_from_what_lives() {
    let mut house = House::new();
    let ended = Leaf { days_before: 90, days_after: -1, ..Leaf::new() };
    house.lineage("b", &Leaf { names: vec!["cdn.example.test"], ..ended });
    house.lineage("a", &Leaf { names: vec!["*.example.test"], ..Leaf::new() });
    house.config = format!("{}{FOUND}", FOUND.replace("live/a", "live/b"));
    let says = ["a and b both discover cdn.example.test: a has it", "2 deployed", "it expired at"];
    check("renew", &house.run("renew"), 1, &says);
    let want = fingerprint(&house.read("live/a/fullchain.pem"));
    assert_eq!(house.cloud.served_fingerprint("cdn.example.test"), Some(want));
}

#[test]
fn names_of_other_scripts_are_found_in_either_form() {
    let house = found();
    house.lineage("a", &Leaf { names: vec!["*.xn--mnchen-3ya.test"], ..Leaf::new() });
    house.cloud.add_domain(Domain::online("cdn.xn--mnchen-3ya.test"));
    house.cloud.add_domain(Domain::online(".xn--mnchen-3ya.test"));
    check("renew", &house.run("renew"), 0, &["cdn.xn--mnchen-3ya.test: deployed", "2 deployed"]);
}

#[test]
fn a_lineage_that_finds_nothing_says_so() {
    let mut house = found();
    house.lineage("a", &Leaf { names: vec!["x.test"], ..Leaf::new() });
    check(
        "renew",
        &house.run("renew"),
        0,
        &["covers no CDN domain of the account `default`: x.test"],
    );
    house.config.clear();
    house.renewed("x.test");
    let says = ["NoTarget", "covers no CDN domain that is online and free", "--aliyun NAME"];
    check("hook", &house.run("hook --discover"), 1, &says);
}

#[test]
fn the_last_resort_of_a_hook_names_both_flags() {
    let mut house = House::new();
    house.renewed("x.test");
    let says = [
        "certferry hook --domain '*.example.test' --domain 'cdn.example.test'",
        "certferry hook --discover",
    ];
    check("none of the names", &house.run("hook"), 1, &says);
    house.cloud.set_status("cdn.example.test", "offline");
    house.renewed("cdn.example.test");
    check("not online", &house.run("hook"), 1, &["NoTarget", "--domain '*.example.test'"]);
}

#[test]
fn what_the_config_says_of_a_lineage_goes_before_the_flag() {
    let mut house = hooked();
    "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n"
        .clone_into(&mut house.config);
    check("named there", &house.run("hook --discover"), 0, &["1 deployed"]);
    "[[certificate]]\nsource = \"live/a\"\n".clone_into(&mut house.config);
    check("nothing said there", &house.run("hook --discover"), 0, &["1 deployed", "1 in step"]);
}

#[test]
fn hundreds_of_targets_of_one_lineage() {
    let mut house = House::with(|seed| {
        let named = (0..300).map(|at| format!("n{at}.example.test"));
        let seed = named.fold(seed, |seed: Seed, name| seed.domain(Domain::online(name)));
        seed.rules(|rules| rules.limits.clear())
    });
    house.lineage("a", &Leaf { names: vec!["*.example.test"], ..Leaf::new() });
    FOUND.clone_into(&mut house.config);
    let (chain, key) = (house.read("live/a/fullchain.pem"), house.read("live/a/privkey.pem"));
    for at in 0..290 {
        house.cloud.set_served(&format!("n{at}.example.test"), "shared", &chain, &key);
    }
    check("renew", &house.run("renew"), 0, &["12 deployed, 290 in step"]);
    assert_eq!(lists(&house), 1);
}
