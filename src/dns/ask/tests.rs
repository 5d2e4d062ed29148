//! What is asked of servers that behave in every way, and what is made of their answers.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

use super::*;
use crate::dns::fake::{Fake, Zone};

const NAME: &str = "_acme-challenge.www.example.test";

fn zone() -> Zone {
    Zone::default().apex("example.test")
}

async fn followed(row: &str, zone: Zone, wanted: Result<&str, &str>) {
    let fake = Fake::start(zone).await;
    let got = Asker::new(&[fake.address]).follow(NAME).await.map_err(|error| error.to_string());
    match wanted {
        Ok(name) => assert_eq!(got.as_deref(), Ok(name), "{row}"),
        Err(part) => {
            assert!(got.as_ref().is_err_and(|text| text.contains(part)), "{row}: {got:?}")
        }
    }
    assert_eq!(fake.asked(NAME, RecordType::TXT), 0, "{row}: the record is not asked for");
}

#[tokio::test]
async fn cnames_are_followed() {
    let chain = |length: usize| {
        (0..length).fold(zone().cname(NAME, "c0.test"), |zone, at| {
            zone.cname(&format!("c{at}.test"), &format!("c{}.test", at + 1))
        })
    };
    let code = |code| zone().code("", RecordType::CNAME, code);
    followed("none", zone(), Ok(NAME)).await;
    followed("one", zone().cname(NAME, "Abc.Other.test"), Ok("abc.other.test")).await;
    followed("nine", chain(8), Ok("c8.test")).await;
    followed("too many", chain(12), Err("more than 10 CNAMEs")).await;
    followed("a circle", chain(1).cname("c1.test", NAME), Err("circle")).await;
    followed("not implemented", code(ResponseCode::NotImp), Ok(NAME)).await;
    followed("refused", code(ResponseCode::Refused), Ok(NAME)).await;
    followed("server failure", code(ResponseCode::ServFail), Ok(NAME)).await;
}

async fn cut(row: &str, zone: Zone, wanted: Option<&str>) {
    let fake = Fake::start(zone).await;
    let got = Asker::new(&[fake.address]).zone(NAME).await.unwrap();
    assert_eq!(got.as_deref(), wanted, "{row}");
}

#[tokio::test]
async fn zones_are_found_by_their_soa() {
    let at = |name| zone().code(name, RecordType::SOA, ResponseCode::ServFail);
    cut("by the authority section", zone(), Some("example.test")).await;
    let below = Zone::default().apex("www.example.test");
    cut("a zone of its own below", below, Some("www.example.test")).await;
    cut("the name is an apex", Zone::default().apex(NAME), Some(NAME)).await;
    cut("a name that fails on the way", at(NAME), Some("example.test")).await;
    cut("nobody says", zone().code("", RecordType::SOA, ResponseCode::NotImp), None).await;
    cut("a SOA of another zone", Zone::default().apex("other.test"), None).await;
}

#[tokio::test]
async fn configured_servers_are_asked_for_everything() {
    let fake = Fake::start(zone().ns("example.test", "ns1.example.test")).await;
    let servers = Asker::new(&[fake.address]).servers(NAME).await.unwrap();
    let ways: Vec<_> = servers.iter().map(|server| server.way).collect();
    assert_eq!(ways, [Way::Plain(fake.address, Recursion::Desired)]);
}

/// An Asker whose system and zones are the fake server alone.
fn without_configured(fake: &Fake) -> Asker {
    Asker::new(&[]).with_system(fake.address, fake.address.port())
}

async fn check_servers(row: &str, zone: Zone, wanted: (&str, Recursion)) {
    let fake = Fake::start(zone).await;
    let servers = without_configured(&fake).servers(NAME).await.unwrap();
    let [server] = servers.as_slice() else { panic!("{row}: {servers:?}") };
    let name = if wanted.0.is_empty() { fake.address.to_string() } else { wanted.0.to_owned() };
    assert_eq!((&server.name, server.way), (&name, Way::Plain(fake.address, wanted.1)), "{row}");
}

#[tokio::test]
async fn the_zones_own_servers_are_asked_for_records() {
    let ns = zone().ns("example.test", "ns1.example.test").a("ns1.example.test", "127.0.0.1");
    let no_soa = ns.clone().code("", RecordType::SOA, ResponseCode::NotImp);
    let no_address = zone().ns("example.test", "ns1.example.test");
    check_servers("its own", ns, ("ns1.example.test", Recursion::Off)).await;
    check_servers("no zone is known", no_soa, ("", Recursion::Desired)).await;
    check_servers("no address is known", no_address, ("", Recursion::Desired)).await;
}

#[tokio::test]
async fn silence_of_all_is_an_error_and_of_some_is_not() {
    let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let fake = Fake::start(zone().cname(NAME, "target.test")).await;
    let error = Asker::new(&[closed]).follow(NAME).await.unwrap_err().to_string();
    assert!(error.contains("no name server answered for CNAME"), "{error}");
    let asker = Asker::new(&[closed, fake.address]);
    assert_eq!(asker.follow(NAME).await.unwrap(), "target.test");
}

#[tokio::test]
async fn servers_may_have_ipv6_alone() {
    let zone = zone().ns("example.test", "n.test").aaaa("n.test", "::1").txt(NAME, "v");
    if std::net::UdpSocket::bind("[::1]:0").is_err() {
        eprintln!("this machine has no IPv6: asking by it is not tried here");
        return;
    }
    let fake = Fake::start_at("::1", zone).await;
    let asker = without_configured(&fake);
    let servers = asker.servers(NAME).await.unwrap();
    let ways: Vec<_> = servers.iter().map(|server| server.way).collect();
    assert_eq!(ways, [Way::Plain(fake.address, Recursion::Off)]);
    let answer = asker.ask(&servers[0], &fqdn(NAME).unwrap(), RecordType::TXT).await.unwrap();
    assert_eq!(answer.answers.len(), 1);
}

/// Whoever is asked for a TXT before it is there may remember that it was not (RFC 2308).
#[tokio::test]
async fn finding_the_place_asks_for_no_txt() {
    let fake = Fake::start(zone().ns("example.test", "n.test").a("n.test", "127.0.0.1")).await;
    let asker = without_configured(&fake);
    asker.follow(NAME).await.unwrap();
    asker.servers(NAME).await.unwrap();
    assert_eq!(fake.asked(NAME, RecordType::TXT), 0);
}
