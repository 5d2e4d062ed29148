//! `verify = "edge"`: what was uploaded is proved by a TLS handshake, and what the edge shows is told.

use certferry_sandbox::cloud::{Cloud, Domain, Lag, Seed};
use certferry_sandbox::edge::Edge;
use certferry_sandbox::world::Certificate;
use serde_json::Value;

use crate::house::{House, Leaf, fingerprint};
use crate::issuing::Town;

const CDN: &str = "cdn.example.test";

/// For so many handshakes: all of a test's.
const EVER: usize = 1000;

/// A house whose CDN domain is proved at `edge`; `PORT` is that of the edge.
fn house(domain: &str, at: &str) -> (House, Edge) {
    let mut house = House::new();
    let edge = Edge::start(&house.cloud);
    let at = at.replace("PORT", &edge.port().to_string());
    house.config = format!(
        "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"{domain}\"]\nverify = \"edge\"\n{at}\n"
    );
    (house, edge)
}

fn at_the_edge() -> (House, Edge) {
    house(CDN, "edge = \"127.0.0.1:PORT\"")
}

/// The first target of `renew --json` is this; answers the report.
#[track_caller]
fn check(row: &str, house: &House, code: i32, want: [&str; 2], says: &str) -> Value {
    let ended = house.run("renew --json");
    let report = ended.json();
    let end = &report["targets"][0];
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    assert_eq!([&end["outcome"], &end["proof"]], want, "{row}: {end:#}");
    assert!(end["reason"].as_str().unwrap().contains(says), "{row}: {end:#}");
    report
}

#[test]
fn an_upload_is_proved_at_the_edge() {
    let (house, edge) = at_the_edge();
    check("uploaded", &house, 0, ["deployed", "edge"], "HTTPS off until now");
    let shown = edge.handshakes().pop().unwrap();
    let want = fingerprint(&house.read("live/a/fullchain.pem"));
    assert_eq!((shown.name.as_deref(), shown.fingerprint), (Some(CDN), Some(want)));
    let store = crate::keeping_step::tree(&house.path("store/journal/targets"));
    check("in step", &house, 0, ["unchanged", "edge"], "it serves");
    assert_eq!((house.uploads(), edge.handshakes().len()), (1, 2), "one look, no upload");
    assert_eq!(
        crate::keeping_step::tree(&house.path("store/journal/targets")),
        store,
        "nothing is written"
    );
    assert_eq!(house.run("plan --json").json()["steps"], serde_json::json!([]));
    assert!(house.run("renew").stdout.contains("1 in step"));
}

#[test]
fn a_wildcard_is_asked_for_by_a_name_of_its_own() {
    let (house, edge) = house("*.example.test", "edge = \"127.0.0.1:PORT\"");
    check("wildcard", &house, 0, ["deployed", "edge"], "");
    assert_eq!(edge.handshakes()[0].name.as_deref(), Some("certferry-probe.example.test"));
}

#[test]
fn a_late_edge_is_waited_for() {
    let (house, edge) = at_the_edge();
    let (chain, key) = house.make(&Leaf::new());
    edge.show(CDN, (&chain, &key), 3);
    check("late", &house, 0, ["deployed", "edge"], "");
    assert_eq!(edge.handshakes().len(), 4);
    house.lineage("a", &Leaf::new());
    house.cloud.rules(|rules| rules.lag = Lag::Reads(2));
    check("and the read-back with it", &house, 0, ["deployed", "edge"], "it serves");
}

#[test]
fn every_address_of_a_name_is_asked() {
    let (house, edge) = house(CDN, "edge = \"localhost:PORT\"");
    check("by a name", &house, 0, ["deployed", "edge"], "");
    assert_eq!(edge.handshakes().iter().filter(|one| !one.ipv6).count(), 1);
}

#[test]
fn an_ipv6_address_is_an_address() {
    let (mut house, edge) = house(CDN, "edge = \"[::1]:PORT\"");
    if edge.addresses().len() == 2 {
        check("with IPv6", &house, 0, ["deployed", "edge"], "");
        assert!(edge.handshakes().iter().all(|one| one.ipv6));
        return;
    }
    let says = "the edge cannot be reached ([::1]:";
    let end = hook(&mut house);
    assert!(end["reason"].as_str().unwrap().contains(says), "without IPv6: {end:#}");
}

#[test]
fn what_an_edge_shows_instead_is_told() {
    let (house, edge) = at_the_edge();
    check("deployed", &house, 0, ["deployed", "edge"], "");
    let (chain, key) = house.make(&Leaf { days_after: 60, ..Leaf::new() });
    let print = &fingerprint(&chain)[..16];
    edge.show(CDN, (&chain, &key), EVER);
    let says = format!("serves {print} by House Root, until ");
    let report = check("another", &house, 0, ["waiting", "readback"], &says);
    assert_eq!(report["warnings"], serde_json::json!([]), "it may be late: {report:#}");
    age(&house);
    let report = check("for long", &house, 0, ["waiting", "readback"], &says);
    let warning = report["warnings"][0].as_str().unwrap();
    assert!(warning.contains(&says) && warning.contains("help: "), "{report:#}");
    let status = house.run("status --json").json();
    let told = &status["certificates"][0]["targets"][0]["last_error"];
    assert!(told.as_str().unwrap().contains(&says), "{status:#}");
    assert_eq!(house.uploads(), 1, "the cloud has it already");
    let (chain, key) = house.make(&Leaf { days_before: 60, days_after: 1, ..Leaf::new() });
    edge.show(CDN, (&chain, &key), EVER);
    check("which ends soon", &house, 1, ["waiting", "readback"], "until ");
    edge.show(CDN, (&chain, &key), 0);
    check("well again", &house, 0, ["unchanged", "edge"], "it serves");
    let status = house.run("status --json").json();
    assert_eq!(status["certificates"][0]["targets"][0]["last_error"], Value::Null);
}

/// The upload was long ago.
fn age(house: &House) {
    let folder = house.path("store/journal/targets");
    for (path, bytes) in crate::keeping_step::tree(&folder) {
        let Ok(mut memory) = serde_json::from_slice::<Value>(&bytes) else { continue };
        if memory["taken"]["at"].is_string() {
            memory["taken"]["at"] = "2026-01-01T00:00:00Z".into();
            std::fs::write(path, memory.to_string()).unwrap();
        }
    }
}

/// The first target's end of a hook that has a few seconds, and is well though its edge is not.
#[track_caller]
fn hook(house: &mut House) -> Value {
    house.renewed(CDN);
    let ended = house.run("hook --deadline 4 --json");
    let end = ended.json()["targets"][0].clone();
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert_eq!(end["outcome"], "waiting", "{end:#}");
    end
}

#[test]
fn an_edge_that_cannot_be_reached_is_told_and_is_no_error() {
    let (mut house, mut edge) = at_the_edge();
    check("deployed", &house, 0, ["deployed", "edge"], "");
    edge.stop();
    let says = format!("the edge cannot be reached (127.0.0.1:{}: Connection refused", edge.port());
    check("it was there", &house, 0, ["unchanged", "readback"], &says);
    house.lineage("a", &Leaf::new());
    let end = hook(&mut house);
    assert_eq!((&end["proof"], &end["error"]), (&"readback".into(), &Value::Null), "{end:#}");
    assert!(end["reason"].as_str().unwrap().contains(&says), "{end:#}");
    let report = check("never there", &house, 0, ["waiting", "readback"], &says);
    assert_eq!(report["warnings"], serde_json::json!([]), "it may come: {report:#}");
    age(&house);
    let report = check("never there, for long", &house, 0, ["waiting", "readback"], &says);
    assert!(report["warnings"][0].as_str().unwrap().contains("by TCP"), "{report:#}");
    assert_eq!(house.uploads(), 2);
}

#[test]
fn an_edge_that_does_not_know_the_domain_is_told() {
    let (mut house, _edge) = at_the_edge();
    let other = Cloud::start(Seed::new());
    let stranger = Edge::start(&other);
    house.config = house.config.replace("edge = \"127.0.0.1:", "# ");
    house.config.push_str(&format!("edge = \"127.0.0.1:{}\"\n", stranger.port()));
    let end = hook(&mut house);
    assert!(end["reason"].as_str().unwrap().contains("the edge cannot be reached"), "{end:#}");
    assert!(end["reason"].as_str().unwrap().contains("alert"), "{end:#}");
}

#[test]
fn a_certificate_without_its_key_proves_nothing() {
    let (mut house, edge) = at_the_edge();
    let (_, other) = house.make(&Leaf::new());
    edge.show(CDN, (&house.read("live/a/fullchain.pem"), &other), EVER);
    let end = hook(&mut house);
    assert_eq!(end["proof"], "readback", "{end:#}");
    assert!(end["reason"].as_str().unwrap().contains("BadSignature"), "{end:#}");
}

#[test]
fn without_permission_to_read_back_the_edge_proves() {
    let (house, _edge) = at_the_edge();
    house.cloud.account(crate::house::KEY_ID, |account| {
        *account = account.clone().deny("cdn:DescribeDomainCertificateInfo", "*")
    });
    check("uploaded", &house, 0, ["deployed", "edge"], "");
    check("in step", &house, 0, ["unchanged", "edge"], "");
    assert_eq!(house.uploads(), 1);
}

#[test]
fn the_cname_is_where_the_edge_is() {
    let check = |row: &str, change: fn(&House), says: &str, warns: bool| {
        let (mut house, _edge) = house(CDN, "");
        change(&house);
        let end = hook(&mut house);
        assert!(end["reason"].as_str().unwrap().contains(says), "{row}: {end:#}");
        assert_eq!(end["proof"], "readback", "{row}: {end:#}");
        let report = house.run("renew --json").json();
        let warnings = report["warnings"].to_string();
        assert_eq!(warnings.contains("cdn:DescribeUserDomains"), warns, "{row}: {warnings}");
        assert_eq!(house.cloud.calls("DescribeUserDomains").len(), 2, "{row}: once a run");
    };
    check(
        "it is asked at port 443",
        // An address of this machine on which nobody listens.
        |house| house.cloud.add_domain(Domain::online(CDN).cname("127.93.17.5")),
        "the edge cannot be reached (127.93.17.5:443: ",
        false,
    );
    check(
        "there is none",
        |house| house.cloud.add_domain(Domain::online(CDN).cname("")),
        "the cloud tells no CNAME of it",
        false,
    );
    check(
        "it may not be known",
        |house| {
            house.cloud.account(crate::house::KEY_ID, |account| {
                *account = account.clone().deny("cdn:DescribeUserDomains", "*")
            })
        },
        "its CNAME is not known: Forbidden.RAM",
        true,
    );
}

#[test]
fn one_list_tells_targets_and_edges() {
    let (mut house, _edge) = house(CDN, "");
    house.config = house.config.replace(&format!("domains = [\"{CDN}\"]"), "discover = true");
    house.cloud.remove_domain(".example.test");
    house.cloud.add_domain(Domain::online(CDN).cname("127.93.17.5"));
    let end = hook(&mut house);
    assert!(end["reason"].as_str().unwrap().contains("127.93.17.5:443"), "{end:#}");
    assert_eq!(house.cloud.calls("DescribeUserDomains").len(), 1);
}

#[test]
fn a_chain_that_clients_do_not_take_is_told() {
    let certificate = Certificate::new(&["example.test", "*.example.test"], &[CDN]);
    let town = Town::new(|seed| seed.certificates = vec![certificate]);
    let edge = &town.world.edge;
    let deploy = format!("domains = [\"{CDN}\"]\n");
    let more = format!("{deploy}verify = \"edge\"\nedge = \"127.0.0.1:{}\"\n", edge.port());
    town.edit(&deploy, &more);
    let end = |code: i32| {
        let ended = town.run("renew --json");
        assert_eq!(ended.code, code, "{}", ended.all());
        ended.json()["targets"][0].clone()
    };
    let first = end(0);
    assert_eq!([&first["outcome"], &first["proof"]], ["deployed", "edge"], "{first:#}");
    let served = town.world.cloud.served(CDN).unwrap();
    let leaf = pem::parse_many(&served.chain_pem).unwrap().remove(0);
    edge.show(CDN, (&pem::encode(&leaf), &served.key_pem), EVER);
    let second = end(1);
    assert_eq!([&second["outcome"], &second["proof"]], ["waiting", "readback"], "{second:#}");
    let reason = second["reason"].as_str().unwrap();
    assert!(reason.contains("serves it wrongly: the chain is incomplete"), "{second:#}");
}
