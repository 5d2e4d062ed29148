//! Where features meet: pins, discovery, foreign and revoked certificates, claims and the configuration, as tables of steps.

use std::fs;

use certferry_sandbox::cloud::{Domain, Fault};

use crate::house::{Ended, House, KEY_ID, Leaf, fingerprint};
use crate::issuing::{Town, certificate_more};

const NAMED: &str = "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n";
const FOUND: &str =
    "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndiscover = true\n";
const CDN: &str = "cdn.example.test";
const PIN: &str = "deploy --lineage live/given --pin --domain cdn.example.test";

/// A command, its exit status, and what it says.
type Step<'a> = (&'a str, i32, &'a [&'a str]);

/// Each step ends as it should, and says so.
fn steps(row: &str, run: impl Fn(&str) -> Ended, all: &[Step<'_>]) {
    for (args, code, says) in all {
        let ended = run(args);
        assert_eq!(ended.code, *code, "{row}: {args}: {}", ended.all());
        for word in *says {
            let all = ended.all();
            assert!(all.contains(word), "{row}: {args}: nothing says `{word}`: {all}");
        }
    }
}

/// The steps in this house; then the certificate in `live/NAME` is served, and nothing is left to do.
fn check(row: &str, house: &House, all: &[Step<'_>], name: &str) {
    steps(row, |args| house.run(args), all);
    let want = fingerprint(&house.read(&format!("live/{name}/fullchain.pem")));
    assert_eq!(house.cloud.served_fingerprint(CDN), Some(want), "{row}: {name}'s is served");
    let uploads = house.uploads();
    let ended = house.run("renew");
    assert_eq!(house.uploads(), uploads, "{row}: not at rest: {}", ended.all());
}

/// The lineage `a` began ten days ago; whatever is made beside it is younger.
fn house(config: &str) -> House {
    let mut house = House::new();
    config.clone_into(&mut house.config);
    house.lineage("a", &Leaf { days_before: 10, ..Leaf::new() });
    house.lineage("given", &Leaf::new());
    house
}

fn put(house: &House, name: &str, cert_name: &str) {
    let [chain, key] =
        ["fullchain", "privkey"].map(|file| house.read(&format!("live/{name}/{file}.pem")));
    house.cloud.set_served(CDN, cert_name, &chain, &key);
}

#[test]
fn what_is_pinned_by_hand_goes_with_its_pin_however_young_it_is() {
    let pinned = [("renew", 0, &["1 deployed"][..]), (PIN, 0, &["1 deployed", "pinned"])];
    let by_hand = house(NAMED);
    check("pinned", &by_hand, &pinned, "given");
    let latest: &[Step<'_>] =
        &[("rollback a --to latest", 0, &["1 deployed", "nothing is pinned"])];
    check("ended by hand", &by_hand, latest, "a");

    let due = house(NAMED);
    check("pinned", &due, &pinned, "given");
    let path = "store/journal/lineages/a.json";
    let mut memory: serde_json::Value = serde_json::from_str(&due.read(path)).unwrap();
    memory["pins"][0]["until"] = "2026-01-01T00:00:00Z".into();
    due.write(path, memory.to_string());
    let over: &[Step<'_>] = &[
        ("plan", 0, &["deploy a -> cdn.example.test: it serves"]),
        ("renew", 0, &["has ended: the pinned certificate is due", "1 deployed"]),
    ];
    check("due", &due, over, "a");
    assert_eq!(fs::read_dir(due.path("store/archive")).unwrap().count(), 1, "a's alone");
}

#[test]
fn what_a_claim_has_put_there_gives_way_to_the_configuration() {
    let mut taken_over = house("");
    taken_over.renewed(CDN);
    taken_over.var("RENEWED_LINEAGE", taken_over.path("live/given").display().to_string());
    check("a claim", &taken_over, &[("hook", 0, &["1 deployed"])], "given");
    NAMED.clone_into(&mut taken_over.config);
    let all: &[Step<'_>] = &[
        ("plan", 0, &["deploy a -> cdn.example.test"]),
        ("status", 1, &["NO"]),
        ("renew", 0, &["1 deployed", "belongs to a by the configuration"]),
        ("status", 0, &["yes"]),
    ];
    check("the configuration, with an older one", &taken_over, all, "a");
}

#[test]
fn what_another_host_has_uploaded_later_is_left_alone_and_all_say_so() {
    let behind = house(NAMED);
    check("first", &behind, &[("renew", 0, &["1 deployed"])], "a");
    let name = behind.cloud.served(CDN).unwrap().cert_name;
    put(&behind, "given", &name);
    let newer = "it serves a newer certificate of this lineage";
    let all: &[Step<'_>] = &[
        ("plan", 0, &["skip", newer]),
        ("renew", 0, &[newer]),
        ("status", 0, &["newer"]),
        ("status --json", 0, &["\"in_step\":false"]),
    ];
    check("behind", &behind, all, "given");
    fs::remove_dir_all(behind.path("store")).unwrap();
    let by_hand: &[Step<'_>] = &[
        ("renew", 0, &[newer]),
        ("deploy --lineage live/a --domain .example.test", 0, &["1 deployed"]),
    ];
    check("without a memory", &behind, by_hand, "given");
    let free = house("");
    put(&free, "given", &name);
    let by_hand: &[Step<'_>] =
        &[("deploy --lineage live/a --domain cdn.example.test", 0, &["1 deployed"])];
    steps("by hand it goes", |args| free.run(args), by_hand);
}

#[test]
fn who_pins_a_discovered_domain_by_hand_has_named_it() {
    let foreign = house(FOUND);
    foreign.lineage("theirs", &Leaf::new());
    put(&foreign, "theirs", "by-hand");
    let all: &[Step<'_>] = &[
        ("renew", 0, &["that is not ours", "1 deployed, 1 skipped"]),
        (PIN, 0, &["1 deployed", "pinned"]),
        ("plan", 0, &["skip   a -> cdn.example.test: pinned to"]),
        ("status", 0, &["pinned until"]),
    ];
    check("pinned", &foreign, all, "given");
    put(&foreign, "theirs", "by-hand");
    check("drift heals towards it", &foreign, &[("renew", 0, &["1 deployed"])], "given");
    check("ended", &foreign, &[("rollback a --to latest", 0, &["1 deployed"])], "a");
}

#[test]
fn a_hook_of_what_the_configuration_discovers() {
    let mut found = house(FOUND);
    found.renewed("cdn.example.test *.example.test");
    put(&found, "given", "by-hand");
    let all: &[Step<'_>] = &[("hook", 0, &["that is not ours", "1 deployed, 1 skipped"])];
    check("nothing is named", &found, all, "given");
    assert_eq!(fs::read_dir(found.path("store/claims")).unwrap().count(), 0, "a claim is left");
    check("named", &found, &[("hook --domain cdn.example.test", 0, &["1 deployed, 1 in"])], "a");
}

#[test]
fn by_hand_nobody_knows_whose_it_is_while_the_list_cannot_be_had() {
    let found = house(FOUND);
    found.cloud.fault(Fault::at("DescribeUserDomains").always().answer("Forbidden.RAM", 403));
    let says = &["1 deployed", "a may own what it covers", "`certferry renew` may undo this"];
    let deploy = "deploy --lineage live/given --domain cdn.example.test";
    steps("by hand", |args| found.run(args), &[(deploy, 0, says)]);
    found.cloud.heal();
    check("and so it does", &found, &[("renew", 0, &["2 deployed"])], "a");
}

#[test]
fn a_long_name_by_the_successor_is_known_without_a_memory() {
    let long = "a-name-that-is-longer-than-a-certificate-name-may-be.example.test";
    let mut lost = house("");
    lost.cloud.add_domain(Domain::online(long));
    let url = lost.cloud.url();
    lost.config = format!(
        "[aliyun.default]\naccess_key_id = \"{KEY_ID}\"\naccess_key_secret_file = \"secret\"\ncdn_endpoint = \"{url}\"\n\
         cdn_api = \"SetCdnDomainSSLCertificate\"\n{FOUND}"
    );
    check("first", &lost, &[("renew", 0, &["3 deployed"])], "a");
    fs::remove_dir_all(lost.path("store")).unwrap();
    lost.lineage("a", &Leaf::new());
    check("renewed", &lost, &[("renew", 0, &["3 deployed"])], "a");
}

#[test]
fn a_claim_without_its_files_finds_nothing_new() {
    let mut two = house("");
    two.renewed("cdn.example.test *.example.test");
    check("a", &two, &[("hook --discover", 0, &["2 deployed"])], "a");
    two.var("RENEWED_LINEAGE", two.path("live/b").display().to_string());
    steps("b", |args| two.run(args), &[("hook --discover", 1, &["live/b"])]);
    two.lineage("a", &Leaf::new());
    check("a goes on", &two, &[("renew", 1, &["2 deployed", "live/b", "forget 'b'"])], "a");
}

#[test]
fn only_the_lists_are_asked_for_that_a_named_certificate_needs() {
    let two = house(&format!("{NAMED}{}", FOUND.replace("live/a", "live/given")));
    steps("named", |args| two.run(args), &[("renew a", 0, &["1 deployed"])]);
    assert_eq!(two.cloud.calls("DescribeUserDomains").len(), 0, "it discovers nothing");
    two.cloud.fault(Fault::at("DescribeUserDomains").always().answer("Forbidden.RAM", 403));
    let all: &[Step<'_>] = &[("plan a", 0, &["nothing to do"]), ("plan", 1, &["cannot be listed"])];
    check("who discovers cannot", &two, all, "a");
    two.cloud.heal();
    check("all", &two, &[("renew", 0, &["1 deployed, 1 in step"])], "a");
}

#[test]
fn the_last_domain_of_a_claim_takes_its_copies_along() {
    let mut claimed = house("");
    claimed.renewed(CDN);
    let all: &[Step<'_>] = &[
        ("hook --domain cdn.example.test", 0, &["1 deployed"]),
        ("forget a --domain cdn.example.test", 0, &["forgotten"]),
    ];
    steps("claimed", |args| claimed.run(args), all);
    assert_eq!(fs::read_dir(claimed.path("store/archive")).unwrap().count(), 0);
}

/// A town whose lineage went from one certificate to a second, which was revoked; its CA has this trouble since.
fn revoked(trouble: Fault) -> Town {
    let town = Town::new(|_| {});
    let all: &[Step<'_>] = &[
        ("renew", 0, &["1 issued"]),
        ("renew --force", 0, &["1 issued"]),
        ("revoke example.test", 0, &["revoked"]),
        ("plan", 0, &["issue", "it was revoked", "the next renewal: example.test"]),
        ("status", 1, &["it was revoked"]),
    ];
    steps("revoked", |args| town.run(args), all);
    town.world.ca.fault(trouble);
    town
}

fn served(town: &Town) -> Option<String> {
    town.world.cloud.served_fingerprint(CDN)
}

#[test]
fn what_was_revoked_goes_out_no_more() {
    let town = revoked(Fault::at("newOrder").always());
    town.world.cloud.switch_off(CDN);
    let none = "the newest certificate was revoked, and there is no new one yet";
    let given = town.store("archive/example.test/0002").display().to_string();
    let pin = format!("deploy --lineage {given} --pin --domain cdn.example.test");
    let all: &[Step<'_>] = &[
        ("renew", 1, &[none, "help:"]),
        (&pin, 1, &["was revoked and goes out no more"]),
        ("rollback example.test --to latest", 1, &["it was revoked"]),
        ("rollback example.test --list", 0, &["newest, revoked"]),
    ];
    steps("no new one", |args| town.run(args), all);
    assert_eq!(served(&town), None, "it was not put where nothing was");
    let all: &[Step<'_>] = &[
        ("rollback example.test", 0, &["version 1, pinned until", "2 deployed"]),
        ("renew", 1, &["pinned"]),
    ];
    steps("the one before", |args| town.run(args), all);
    let first = served(&town);
    town.world.ca.heal();
    let all: &[Step<'_>] = &[
        ("renew", 0, &["it was revoked", "1 issued", "the pin on", "2 deployed"]),
        ("rollback example.test", 1, &["version 2", "was revoked", "--to takes one"]),
        ("rollback example.test --to 1", 0, &["2 deployed"]),
        ("status", 0, &["pinned until"]),
    ];
    steps("a new one", |args| town.run(args), all);
    assert!(first.is_some() && served(&town) == first);
}

#[test]
fn a_key_that_was_revoked_is_not_in_the_order_under_way() {
    let town = Town::new(|seed| certificate_more(seed, "reuse_key = true"));
    let key = |path: &str| fs::read_to_string(town.store(path).join("privkey.pem")).unwrap();
    steps("first", |args| town.run(args), &[("renew", 0, &["1 issued"])]);
    town.world.ca.fault(Fault::at("finalize").always());
    steps("cut short", |args| town.run(args), &[("renew --force", 1, &["help:"])]);
    let first = key("archive/example.test/0001");
    assert_eq!(key("archive/example.test/0002"), first, "it is used again");
    town.world.ca.heal();
    let all: &[Step<'_>] =
        &[("revoke example.test", 0, &["revoked"]), ("renew", 0, &["it was revoked", "1 issued"])];
    steps("revoked", |args| town.run(args), all);
    assert_ne!(key("live/example.test"), first);
}

#[test]
fn a_revoked_one_that_waits_for_its_ca_is_not_well() {
    let limit = Fault::at("newOrder").answer("rateLimited", 429);
    let town = revoked(limit.retry_after(3_600_000));
    let all: &[Step<'_>] = &[
        ("renew", 1, &["rateLimited"]),
        ("renew", 1, &["it was revoked, but the CA asked to wait"]),
        ("plan", 0, &["wait   example.test: it was revoked", "skip"]),
        ("status", 1, &["rateLimited"]),
    ];
    steps("waits", |args| town.run(args), all);
}
