//! certbot's hook: what was asked for is remembered, and `renew` keeps it so.

use std::fs;

use certferry_sandbox::cloud::Fault;

use crate::house::{Ended, House, Leaf, fingerprint};

const NAMES: &str = "cdn.example.test *.example.test";

fn check(row: &str, ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    for word in says {
        assert!(ended.all().contains(word), "{row}: nothing says `{word}`: {}", ended.all());
    }
}

#[test]
fn a_hook_deploys_and_says_so_on_stdout() {
    let mut house = House::new();
    house.renewed(NAMES);
    let ended = house.run("");
    check(
        "first",
        &ended,
        0,
        &["cdn.example.test: deployed, read back", "*.example.test: deployed"],
    );
    assert_eq!(ended.stderr, "", "certbot shows stderr as an error");
    let want = fingerprint(&house.read("live/a/fullchain.pem"));
    for domain in ["cdn.example.test", ".example.test"] {
        assert_eq!(house.cloud.served_fingerprint(domain), Some(want.clone()), "{domain}");
    }
    check("again", &house.run("hook"), 0, &["cdn.example.test: in step"]);
    assert_eq!(house.uploads(), 2, "doing it twice is doing it once");
}

#[test]
fn a_renewed_certificate_replaces_the_old_one() {
    let mut house = House::new();
    house.renewed(NAMES);
    let old = fingerprint(&house.read("live/a/fullchain.pem"));
    check("first", &house.run("hook"), 0, &[]);
    let (chain, _) = house.lineage("a", &Leaf::new());
    let ended = house.run("hook --json");
    let report = ended.json();
    assert_eq!(report["targets"][0]["replaced"]["fingerprint"], old, "{report:#}");
    assert_eq!(report["certificates"][0]["fingerprint"], fingerprint(&chain));
    assert_eq!(
        (&report["remembered"], &report["changed"], &report["ok"]),
        (&true.into(), &true.into(), &true.into())
    );
}

#[test]
fn a_failed_hook_heals_by_renew_with_no_entry_in_the_config() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    house.cloud.fault(
        Fault::at("SetDomainServerCertificate")
            .always()
            .before()
            .answer("InvalidCertName.TooLong", 400),
    );
    check("refused", &house.run("hook"), 1, &["InvalidCertName.TooLong", "help:"]);
    house.cloud.heal();
    check("plan", &house.run("plan"), 0, &["deploy a -> cdn.example.test: HTTPS off until now"]);
    check("renew", &house.run("renew"), 0, &["cdn.example.test: deployed, read back"]);
    check("nothing to do", &house.run("renew"), 0, &["1 in step"]);
    assert!(house.cloud.served("cdn.example.test").is_some());
}

#[test]
fn a_hook_never_hangs_its_caller() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    let busy =
        || Fault::at("SetDomainServerCertificate").always().before().answer("ServiceBusy", 403);
    house.cloud.fault(busy());
    check(
        "no timer",
        &house.run("hook --deadline 4"),
        1,
        &["systemctl enable --now certferry.timer"],
    );
    house.cloud.heal();
    check("healed", &house.run("renew"), 0, &["deployed"]);
    house.lineage("a", &Leaf::new());
    house.cloud.fault(busy());
    check("the timer runs", &house.run("hook --deadline 4"), 0, &["waiting"]);
}

#[test]
fn which_targets() {
    let check = |row: &str, config: &str, names: &str, args: &str, code: i32, says: &[&str]| {
        let mut house = House::new();
        house.config = config.to_owned();
        house.renewed(names);
        check(row, &house.run(args), code, says);
    };
    let configured = "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n";
    let elsewhere = "[[certificate]]\nname = \"b\"\nsource = \"live/b\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n";
    check(
        "named",
        "",
        "x.test",
        "hook --domain cdn.example.test",
        0,
        &["cdn.example.test: deployed"],
    );
    check("by the config", configured, "x.test", "hook", 0, &["cdn.example.test: deployed"]);
    check(
        "skipped and named",
        "",
        "cdn.example.test y.test",
        "hook",
        0,
        &["y.test: skipped", "no CDN domain of the account"],
    );
    check(
        "owned by another",
        elsewhere,
        "cdn.example.test",
        "hook",
        1,
        &["the configuration gives it to b", "help:"],
    );
    check(
        "none left",
        "",
        "x.test y.test",
        "hook",
        1,
        &["certferry hook --domain '*.example.test' --domain 'cdn.example.test'"],
    );
    check(
        "an unknown account",
        "",
        "x.test",
        "hook --aliyun nobody",
        2,
        &["[aliyun.nobody]", "help:"],
    );
}

#[test]
fn an_unwritable_store_never_stops_the_upload() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    house.write("store", "a file where the folder should be");
    let ended = house.run("hook --json");
    let report = ended.json();
    assert_eq!(report["remembered"], false, "{}", ended.all());
    assert_eq!(report["targets"][0]["outcome"], "deployed", "{}", ended.all());
    assert!(ended.stderr.contains("not remembered"), "{}", ended.all());
}

#[test]
fn what_is_forgotten_is_not_kept_in_step() {
    let mut house = House::new();
    house.renewed(NAMES);
    check("claim", &house.run("hook"), 0, &[]);
    check("one of two", &house.run("forget a --domain *.example.test"), 0, &["forgotten"]);
    house.cloud.switch_off(".example.test");
    check("the other stays", &house.run("renew"), 0, &["1 in step"]);
    check("all", &house.run("forget a"), 0, &["forgotten"]);
    check("none", &house.run("forget a"), 2, &["no claim"]);
    assert!(house.cloud.served(".example.test").is_none());
}

#[test]
fn a_later_claim_takes_a_target_over_and_says_so() {
    let mut house = House::new();
    house.lineage("b", &Leaf::new());
    house.renewed("x.test");
    check("a", &house.run("hook --domain cdn.example.test"), 0, &[]);
    let live = house.path("live/b").display().to_string();
    house.var("RENEWED_LINEAGE", live);
    check("b", &house.run("hook --domain cdn.example.test"), 0, &["live/b", "deployed"]);
    check("no war", &house.run("renew"), 0, &["1 in step"]);
    let want = fingerprint(&house.read("live/b/fullchain.pem"));
    assert_eq!(house.cloud.served_fingerprint("cdn.example.test"), Some(want));
}

#[test]
fn tried_out_by_hand_the_claim_stays() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    check("certbot", &house.run("hook"), 0, &["1 deployed"]);
    house.var("RENEWED_DOMAINS", "");
    check("by hand, without names", &house.run(""), 0, &["cdn.example.test: in step"]);
    fs::remove_file(house.path("live/a/fullchain.pem")).unwrap();
    check("and without files", &house.run(""), 1, &["fullchain.pem"]);
    house.lineage("a", &Leaf::new());
    check("renew", &house.run("renew"), 0, &["cdn.example.test: deployed"]);
}

#[test]
fn named_targets_stay_named() {
    let mut house = House::new();
    house.renewed("x.test");
    check("named", &house.run("hook --domain cdn.example.test"), 0, &["1 deployed"]);
    check("called without", &house.run("hook"), 0, &["cdn.example.test: in step"]);
}

#[test]
fn odd_names_spoil_no_other() {
    let mut house = House::new();
    house.renewed("cdn.example.test 203.0.113.7 localhost");
    let says = ["cdn.example.test: deployed", "203.0.113.7: skipped", "localhost: skipped"];
    check("an address among the names", &house.run("hook"), 0, &says);
}

#[test]
fn a_domain_that_is_not_online_is_skipped_and_named() {
    let mut house = House::new();
    house.cloud.set_status(".example.test", "offline");
    house.renewed(NAMES);
    check(
        "hook",
        &house.run("hook"),
        0,
        &["*.example.test: skipped; the CDN domain is not online but offline"],
    );
    check("renew", &house.run("renew"), 0, &["1 in step"]);
}

#[test]
fn the_deadline_bounds_all_of_a_hook() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    let (_, key) = house.make(&Leaf::new());
    house.write_secret("live/a/privkey.pem", &key, 0o600);
    // Files that do not fit are looked at again for six seconds.
    let began = std::time::Instant::now();
    check(
        "files that do not fit",
        &house.run("hook --deadline 3"),
        1,
        &["left to `certferry renew`"],
    );
    assert!(began.elapsed() < std::time::Duration::from_secs(5), "{:?}", began.elapsed());
}

#[test]
fn a_broken_lineage_takes_nothing_away_from_one_that_works() {
    let mut house = House::new();
    house.renewed("x.test");
    check("a", &house.run("hook --domain cdn.example.test"), 0, &["deployed"]);
    house.lineage("b", &Leaf { names: vec!["other.test"], ..Leaf::new() });
    let live = house.path("live/b").display().to_string();
    house.var("RENEWED_LINEAGE", live);
    check(
        "b does not cover it",
        &house.run("hook --domain cdn.example.test"),
        1,
        &["another claim's certificate goes on"],
    );
    fs::remove_dir_all(house.path("live/b")).unwrap();
    house.lineage("a", &Leaf::new());
    check(
        "renew",
        &house.run("renew"),
        0,
        &["cdn.example.test: deployed, read back", "certferry forget 'b'"],
    );
    check("forget", &house.run("forget b"), 0, &[]);
    check("at rest", &house.run("renew"), 0, &["1 in step"]);
}

#[test]
fn one_folder_in_two_spellings_is_one_lineage() {
    let mut house = House::new();
    house.renewed("x.test");
    check("as it is", &house.run("hook --domain cdn.example.test"), 0, &["deployed"]);
    std::os::unix::fs::symlink(house.path("live"), house.path("linked")).unwrap();
    let linked = house.path("linked/a").display().to_string();
    house.var("RENEWED_LINEAGE", linked);
    check("by a link", &house.run("hook"), 0, &["1 in step"]);
    fs::remove_file(house.path("linked")).unwrap();
    check("the link is gone", &house.run("renew"), 0, &["1 in step"]);
    let claims = fs::read_dir(house.path("store/claims")).unwrap().count();
    assert_eq!(claims, 1);
}

#[test]
fn a_hook_that_asked_for_nothing_is_not_forgotten_in_silence() {
    let mut house = House::new();
    house.renewed("x.test");
    check("hook", &house.run("hook"), 1, &["NoTarget"]);
    check(
        "renew",
        &house.run("renew"),
        0,
        &["asked for nothing that can be kept in step", "certferry forget 'a'"],
    );
    house.cloud.account(crate::house::KEY_ID, |account| {
        *account = account.clone().deny("cdn:DescribeUserDomains", "*");
    });
    check("the list may not be read", &house.run("hook"), 1, &["NoTarget"]);
}

/// Calls the hook of another lineage.
fn hook_of(house: &mut House, lineage: &str, args: &str) -> Ended {
    let live = house.path("live").join(lineage).display().to_string();
    house.var("RENEWED_LINEAGE", live);
    house.run(&format!("hook {args}"))
}

#[test]
fn who_gets_a_contested_target() {
    let mut house = House::new();
    house.renewed("x.test");
    let named = "--domain cdn.example.test";
    let served = |house: &House| house.cloud.served_fingerprint("cdn.example.test");
    let of = |house: &House, lineage: &str| {
        Some(fingerprint(&house.read(&format!("live/{lineage}/fullchain.pem"))))
    };
    check("a", &hook_of(&mut house, "a", named), 0, &["deployed"]);
    let (chain, key) = house.make_self_signed(&Leaf::new());
    house.write("live/b/fullchain.pem", chain);
    house.write_secret("live/b/privkey.pem", &key, 0o600);
    check(
        "a self-signed one",
        &hook_of(&mut house, "b", named),
        1,
        &["another claim's certificate goes on"],
    );
    house.lineage("a", &Leaf::new());
    check("a is renewed all the same", &house.run("renew"), 0, &["deployed"]);
    assert_eq!(served(&house), of(&house, "a"));
    house.lineage("b", &Leaf::new());
    check("a good b", &hook_of(&mut house, "b", named), 0, &["deployed"]);
    let key = house.read("live/b/privkey.pem");
    fs::remove_file(house.path("live/b/privkey.pem")).unwrap();
    check("b cannot be read just now", &house.run("renew"), 1, &["privkey.pem"]);
    assert_eq!(served(&house), of(&house, "b"), "it was not put back");
    house.write_secret("live/b/privkey.pem", &key, 0o600);
    check("at rest, and in silence", &house.run("renew"), 0, &["1 in step"]);
    assert_eq!(house.run("renew").stderr, "");
}

#[test]
fn a_lineage_whose_life_is_over_gives_way() {
    let mut house = House::new();
    house.renewed("x.test");
    let named = "--domain cdn.example.test";
    check("a", &hook_of(&mut house, "a", named), 0, &["deployed"]);
    house.lineage("b", &Leaf::new());
    check("b takes it over", &hook_of(&mut house, "b", named), 0, &["deployed"]);
    house.lineage("b", &Leaf { days_before: 90, days_after: -1, ..Leaf::new() });
    let says = ["cdn.example.test: deployed", "expired at", "certferry forget 'b'"];
    check("b has ended", &house.run("renew"), 0, &says);
    let of_a = fingerprint(&house.read("live/a/fullchain.pem"));
    assert_eq!(house.cloud.served_fingerprint("cdn.example.test"), Some(of_a));
    check("at rest", &house.run("renew"), 0, &["1 in step"]);
}

/// The clock ran ahead at the first call by ten years; the second call is the later one all the same.
#[test]
fn a_call_from_the_future_is_no_later_one() {
    let mut house = House::new();
    house.renewed("x.test");
    let named = "--domain cdn.example.test";
    check("a", &hook_of(&mut house, "a", named), 0, &["deployed"]);
    let file = fs::read_dir(house.path("store/claims")).unwrap().next().unwrap().unwrap().path();
    let mut claim: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let ahead = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(10 * 365 * 24);
    claim["at"] = ahead.to_string().into();
    fs::write(&file, claim.to_string()).unwrap();
    house.lineage("b", &Leaf::new());
    check("b takes it over", &hook_of(&mut house, "b", named), 0, &["deployed", "over to"]);
    let of_b = fingerprint(&house.read("live/b/fullchain.pem"));
    check("and keeps it", &house.run("renew"), 0, &["1 in step"]);
    assert_eq!(house.cloud.served_fingerprint("cdn.example.test"), Some(of_b));
    check("until a is called again", &hook_of(&mut house, "a", named), 0, &["deployed"]);
}

#[test]
fn forget_finds_what_status_shows() {
    let mut house = House::new();
    house.renewed("x.test");
    check("a", &house.run("hook --domain cdn.example.test"), 0, &[]);
    fs::rename(house.path("live"), house.path("moved")).unwrap();
    std::os::unix::fs::symlink(house.path("moved"), house.path("live")).unwrap();
    check("its folder was moved and linked", &house.run("renew"), 0, &["1 in step"]);
    check("forget", &house.run("forget a"), 0, &["forgotten"]);
    check("again", &house.run("forget a"), 2, &["no claim"]);
    house.lineage("../other/a", &Leaf::new());
    check("one a", &house.run("hook --domain cdn.example.test"), 0, &[]);
    let other = house.path("other/a").display().to_string();
    house.var("RENEWED_LINEAGE", other);
    check("another a", &house.run("hook --domain *.example.test"), 0, &[]);
    check("by its own name", &house.run("forget b"), 2, &["a (certbot)"]);
}

#[test]
fn a_hook_without_a_timer_is_not_well_before_it_is_done() {
    let mut house = House::new();
    "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n"
        .clone_into(&mut house.config);
    house.renewed("x.test");
    check("first", &house.run("hook"), 0, &["deployed"]);
    house.lineage("a", &Leaf::new());
    house.cloud.fault(Fault::at("SetDomainServerCertificate").always().before().silence());
    check(
        "an upload that hangs",
        &house.run("hook --deadline 3"),
        1,
        &["left to `certferry renew`"],
    );
    house.cloud.heal();
    let (_, key) = house.make(&Leaf::new());
    house.write_secret("live/a/privkey.pem", &key, 0o600);
    check("files that do not fit", &house.run("hook --deadline 2"), 1, &["certferry.timer"]);
}

#[test]
fn an_accepted_upload_is_told_though_its_proof_hangs() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    house
        .cloud
        .fault(Fault::at("DescribeDomainCertificateInfo").nth(2).always().before().silence());
    let report = house.run("hook --deadline 4 --json").json();
    let end = &report["targets"][0];
    assert_eq!(
        (&end["proof"], &end["attempts"], &report["changed"]),
        (&"accepted".into(), &1.into(), &true.into()),
        "{report:#}"
    );
}
