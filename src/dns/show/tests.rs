//! What several servers show, and when the wait is over.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::net::SocketAddr;

use super::*;
use crate::dns::doh::Doh;
use crate::dns::fake::{Fake, Zone};

const NAME: &str = "_acme-challenge.example.test";
const SHORT: Duration = Duration::from_millis(400);

fn wanted() -> Vec<Wanted> {
    let values = ["one", "two"].map(str::to_owned).into();
    vec![Wanted { name: NAME.to_owned(), values }]
}

fn both() -> Zone {
    Zone::default().txt(NAME, "one").txt(NAME, "two").txt(NAME, "of somebody else")
}

async fn check(row: &str, zones: &[Option<Zone>], silent: &[&str], error: Option<&[&str]>) {
    let mut servers: Vec<SocketAddr> = Vec::new();
    for zone in zones {
        servers.push(match zone {
            Some(zone) => Fake::start(zone.clone()).await.address,
            None => std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap(),
        });
    }
    let got = Asker::new(&servers).shown(&wanted(), SHORT).await.map_err(|e| e.to_string());
    let text = match got {
        Ok(silent) => silent.join("; "),
        Err(text) => format!("not shown: {text}"),
    };
    assert_eq!(text.starts_with("not shown"), error.is_some(), "{row}: {text}");
    let parts = error.unwrap_or(silent);
    assert!(parts.iter().all(|part| text.contains(part)), "{row}: {text}");
}

#[tokio::test]
async fn all_servers_must_show_all_values() {
    let one = Zone::default().txt(NAME, "one");
    let broken = Zone::default().code("", RecordType::TXT, ResponseCode::ServFail);
    check("both", &[Some(both())], &[], None).await;
    check("a dead one among two", &[Some(both()), None], &["did not say", "refused"], None).await;
    check(
        "a broken one among two",
        &[Some(broken.clone()), Some(both())],
        &["Server Failure"],
        None,
    )
    .await;
    check("one value", &[Some(one.clone())], &[], Some(&["lacks two of"])).await;
    check("a lagging one among two", &[Some(both()), Some(one)], &[], Some(&["lacks two of"]))
        .await;
    check("none", &[Some(Zone::default())], &[], Some(&["lacks one and two of", "help: "])).await;
    check("all dead", &[None], &[], Some(&["did not say"])).await;
    check("all broken", &[Some(broken)], &[], Some(&["Server Failure"])).await;
}

#[tokio::test]
async fn values_that_come_later_are_seen() {
    let fake = Fake::start(Zone::default().apex("example.test").txt(NAME, "one")).await;
    let later = fake.clone();
    tokio::spawn(async move {
        sleep(Duration::from_millis(150)).await;
        later.change(|zone| zone.txt(NAME, "two"));
    });
    let limit = Duration::from_secs(5);
    Asker::new(&[fake.address]).shown(&wanted(), limit).await.unwrap();
    assert!(fake.asked(NAME, RecordType::TXT) >= 2);
}

/// An Asker whose every server is a closed port, and a resolver by HTTPS that answers as `zone` does.
async fn by_https(zone: Zone, configured: &[SocketAddr]) -> (Fake, Asker) {
    let fake = Fake::start(zone).await;
    let doh = Doh::new("http://127.0.0.1/dns-query", fake.by_https());
    (fake, Asker::new(configured).or_by_https(Some(doh)))
}

fn closed() -> SocketAddr {
    std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn where_port_53_is_closed_a_resolver_is_asked_by_https() {
    let zone = both().apex("example.test").cname("_acme-challenge.www.test", NAME);
    let (fake, asker) = by_https(zone, &[closed()]).await;
    assert_eq!(asker.follow("_acme-challenge.www.test").await.unwrap(), NAME);
    assert_eq!(fake.asked(NAME, RecordType::TXT), 0, "not before it is put");
    assert_eq!(asker.zone(NAME).await.unwrap().as_deref(), Some("example.test"));
    assert_eq!(asker.shown(&wanted(), SHORT).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn only_the_zones_own_servers_may_be_closed() {
    // The resolver answers; the zone's own server, to which it leads, does not.
    let resolver = Fake::start(
        Zone::default().apex("example.test").ns("example.test", "n.test").a("n.test", "127.0.0.9"),
    )
    .await;
    let (fake, asker) = by_https(both(), &[]).await;
    let asker = asker.with_system(resolver.address, closed().port());
    let silent = asker.shown(&wanted(), Duration::from_secs(5)).await.unwrap();
    assert!(silent.iter().all(|text| text.contains("n.test (127.0.0.9")), "{silent:?}");
    assert_eq!((silent.len(), fake.asked(NAME, RecordType::TXT)), (1, 1));
}

#[tokio::test]
async fn https_is_not_asked_while_port_53_answers() {
    let open = Fake::start(both()).await;
    let (fake, asker) = by_https(both(), &[open.address]).await;
    assert_eq!(asker.shown(&wanted(), SHORT).await.unwrap(), Vec::<String>::new());
    assert_eq!(fake.asked(NAME, RecordType::TXT), 0);
}

#[tokio::test]
async fn both_ways_closed_are_both_named() {
    let (fake, asker) = by_https(Zone::default(), &[closed()]).await;
    fake.change(|zone| zone.silent_by_https());
    let error = asker.follow(NAME).await.unwrap_err().to_string();
    for part in ["/dns-query", "HTTP 500", "no name server answered for CNAME", "help: "] {
        assert!(error.contains(part), "{part}: {error}");
    }
}

/// A resolver's cache says that there is nothing, for a minute: that is waited for, whatever the limit.
#[tokio::test(start_paused = true)]
async fn what_a_cache_remembers_is_outlasted() {
    let (fake, asker) = by_https(Zone::default().apex("example.test"), &[closed()]).await;
    asker.follow(NAME).await.unwrap();
    let later = fake.clone();
    tokio::spawn(async move {
        sleep(Duration::from_secs(50)).await;
        later.change(|_| both());
    });
    assert_eq!(asker.shown(&wanted(), SHORT).await.unwrap(), Vec::<String>::new());
    let begun = Instant::now();
    fake.change(|_| Zone::default().apex("example.test"));
    let error = asker.shown(&wanted(), SHORT).await.unwrap_err().to_string();
    assert!(error.contains("/dns-query lacks one and two of"), "{error}");
    assert!(begun.elapsed() <= Duration::from_secs(60) + SHORT, "and no longer");
}

#[test]
fn who_may_have_a_cache() {
    let name = fqdn(NAME).unwrap();
    let check = |row: &str, way: Way, is_authoritative: bool, wanted: Option<u64>| {
        let server = Server { name: "n.test".to_owned(), way };
        let mut look = Look::new(&name, &BTreeSet::new(), server);
        let mut answer = Zone::default().apex("example.test").nothing(&name, RecordType::TXT);
        answer.metadata.authoritative = is_authoritative;
        look.see(Ok(answer));
        assert_eq!(look.cached, wanted.map(Duration::from_secs), "{row}");
    };
    let plain = |recursion| Way::Plain(closed(), recursion);
    check("by HTTPS", Way::Https, false, Some(60));
    check("a resolver that is set", plain(Recursion::Desired), false, Some(60));
    check("a zone's own that is set", plain(Recursion::Desired), true, None);
    check("a zone's own that was found", plain(Recursion::Off), true, None);
}
