//! The two APIs that take a certificate: which is asked, what is remembered of it, and what is said.

use certferry_sandbox::cloud::Fault;

use crate::house::{House, KEY_ID, Leaf, fingerprint};

const FIRST: &str = "SetDomainServerCertificate";
const SUCCESSOR: &str = "SetCdnDomainSSLCertificate";

/// A house that keeps two CDN domains in step by this API.
fn house(cdn_api: &str) -> House {
    let mut house = House::new();
    let url = house.cloud.url();
    house.config = format!(
        "[aliyun.default]\naccess_key_id = \"{KEY_ID}\"\naccess_key_secret_file = \"secret\"\ncdn_endpoint = \"{url}\"\ncdn_api = \"{cdn_api}\"\n\
         [[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\", \"*.example.test\"]\n"
    );
    house
}

fn gone(house: &House, actions: &[&str]) {
    let actions = actions.iter().map(|&action| action.to_owned()).collect();
    house.cloud.rules(|rules| rules.gone = actions);
}

/// A renewal while the cloud does not know these: how it ends, how often each API was called, and what is said.
fn check(row: &str, house: &House, none: &[&str], calls: [usize; 2], code: i32, says: &str) {
    gone(house, none);
    house.cloud.forget_calls();
    let (chain, _) = house.lineage("a", &Leaf::new());
    let ended = house.run("renew");
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    for (action, want) in [FIRST, SUCCESSOR].into_iter().zip(calls) {
        let made = house.cloud.calls(action).len();
        // Of two uploads side by side, one may already know what the other has just learned.
        let made = if none.contains(&action) && made == 1 { 2 } else { made };
        assert_eq!(made, want, "{row}: {action}: {}", ended.all());
    }
    assert!(ended.all().contains(says), "{row}: nothing says `{says}`: {}", ended.all());
    for domain in ["cdn.example.test", ".example.test"] {
        let served = house.cloud.served_fingerprint(domain);
        assert_eq!(served == Some(fingerprint(&chain)), code == 0, "{row}: {domain}");
    }
    if code == 0 {
        let second = house.run("renew --json").json();
        assert_eq!(second["changed"], false, "{row}: not at rest: {second:#}");
    }
}

#[test]
fn the_first_is_the_default_and_its_end_names_the_remedy() {
    let fixed = house(FIRST);
    check("there", &fixed, &[], [2, 0], 0, "2 deployed");
    check("gone", &fixed, &[FIRST], [2, 0], 1, "cdn_api = \"auto\"");
}

#[test]
fn the_successor_keeps_a_domain_in_step() {
    let fixed = house(SUCCESSOR);
    check("first", &fixed, &[], [0, 2], 0, "2 deployed");
    check("renewed", &fixed, &[FIRST], [0, 2], 0, "2 deployed");
    let names = fixed.cloud.cert_names(certferry_sandbox::cloud::DEFAULT_UID);
    let leaf = fingerprint(&fixed.read("live/a/fullchain.pem"));
    let of_leaf = names.iter().filter(|name| name.ends_with(&leaf[..16])).count();
    assert_eq!((names.len(), of_leaf), (4, 2), "{names:?}");
    assert!(names.iter().all(|name| name.len() <= 63), "{names:?}");
    check("gone", &fixed, &[SUCCESSOR], [0, 2], 1, "cdn_api = \"auto\"");
}

#[test]
fn the_same_certificate_twice_by_the_successor() {
    let fixed = house(SUCCESSOR);
    check("first", &fixed, &[], [0, 2], 0, "2 deployed");
    let sent = || fixed.cloud.calls(SUCCESSOR).len();
    fixed.cloud.forget_calls();
    assert_eq!(fixed.run("renew --force").code, 0);
    assert_eq!(sent(), 2, "its name is there, and it is served");
    fixed.cloud.forget_calls();
    fixed.cloud.switch_off("cdn.example.test");
    let ended = fixed.run("renew --json");
    let report = ended.json();
    assert_eq!((ended.code, sent()), (0, 2), "its name is there, and it is not: {report:#}");
    let name = report["targets"][0]["cert_name"].as_str().unwrap().to_owned();
    assert_eq!(fixed.cloud.served("cdn.example.test").unwrap().cert_name, name);
    fixed.cloud.forget_calls();
    fixed.cloud.switch_off("cdn.example.test");
    fixed.cloud.fault(Fault::at(SUCCESSOR).nth(2).after().reset());
    assert_eq!((fixed.run("renew").code, sent()), (0, 2), "the answer was lost, a look found it");
}

#[test]
fn auto_falls_over_and_remembers_it() {
    let auto = house("auto");
    check("both are there", &auto, &[], [2, 0], 0, "2 deployed");
    let warning = "does not know SetDomainServerCertificate any more";
    check("the first is gone", &auto, &[FIRST], [2, 2], 0, warning);
    check("it is remembered", &auto, &[FIRST], [0, 2], 0, "2 deployed");
    let memory = "store/journal/aliyun/default.json";
    assert!(auto.read(memory).contains("superseded"));
    auto.write(memory, "{\"superseded\":\"2020-01-01T00:00:00Z\"}");
    check("long ago: the first has its chance", &auto, &[], [2, 0], 0, "2 deployed");
    check("gone again", &auto, &[FIRST], [2, 2], 0, warning);
    check("back, and the successor is gone", &auto, &[SUCCESSOR], [2, 2], 0, "2 deployed");
    check("that is remembered too", &auto, &[], [2, 0], 0, "2 deployed");
    check("neither", &auto, &[FIRST, SUCCESSOR], [2, 2], 1, "cdn_endpoint");
    auto.write(memory, "no json");
    check("a damaged memory", &auto, &[], [2, 0], 0, "was set aside");
}

#[test]
fn auto_names_the_permission_that_it_lacks() {
    let auto = house("auto");
    auto.cloud.account(KEY_ID, |account| {
        *account = account.clone().deny("cdn:SetCdnDomainSSLCertificate", "*");
    });
    let grant = "grant `cdn:SetCdnDomainSSLCertificate` on `acs:cdn:*:*:domain/cdn.example.test`";
    check("not granted", &auto, &[FIRST], [2, 2], 1, grant);
    assert!(!auto.path("store/journal/aliyun/default.json").exists(), "nothing was learned");
}
