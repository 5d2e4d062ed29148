//! Where updates go and what refusals say, with servers that cannot sign. Those that take an update are real ones:
//! tests/peers.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::RecordType;
use jiff::Timestamp;

use super::*;
use crate::dns::fake::{Fake, Zone};

const PRIMARY: &str = "ns.example.test";

fn key(text: &str) -> anyhow::Result<Key> {
    Key::new("acme-key", config::TsigAlgorithm::HmacSha256, &SecretString::from(text))
}

fn zone() -> Zone {
    Zone::default().apex("example.test")
}

/// What comes of a put by `server`, with this resolver and a port for primaries; and whether it surely had no effect.
async fn put(server: Option<SocketAddr>, resolver: SocketAddr, port: u16) -> (String, bool) {
    let clock = Clock::new(|| Timestamp::UNIX_EPOCH);
    let asker = Rc::new(Asker::new(&[]).with_system(resolver, port));
    let access = Rfc2136::new(server, key("c2VjcmV0").unwrap(), asker, clock);
    let error = access.put("_acme-challenge.example.test", "value").await.unwrap_err();
    (format!("{error:#}"), error.is::<NotPut>())
}

/// By a configured server; what its SOA names as primary has no address.
async fn check(row: &str, zone: Zone, wanted: &[&str]) {
    let fake = Fake::start(zone).await;
    let (text, _) = put(Some(fake.address), fake.address, fake.address.port()).await;
    assert!(wanted.iter().all(|part| text.contains(part)), "{row}: {text}");
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let code = |code| zone().code("", RecordType::SOA, code).update(code);
    check("no zone", Zone::default(), &["holds no zone", "help: `server` must be"]).await;
    // The primary by its own SOA: nobody else is to be asked.
    let itself = || zone().a("example.test", "127.0.0.1");
    let refused = itself().update(ResponseCode::Refused);
    check("refused", refused, &["Query Refused", "allow the key"]).await;
    let other = itself().update(ResponseCode::NotAuth);
    check("not its zone", other, &["no primary of example.test"]).await;
    check("switched off", itself().update(ResponseCode::NotImp), &["switched off"]).await;
    check("broken", zone().update(ResponseCode::ServFail), &["log of the server"]).await;
    let unsigned = &["not signed by the TSIG key acme-key"];
    check("not signed", zone().update(ResponseCode::NoError), unsigned).await;
    check("nothing works", code(ResponseCode::Refused), &["holds no zone"]).await;
}

/// A copy that answers an update in this way, and a primary that answers so; what is said, by whom the update was
/// answered last, and whether it surely had no effect.
async fn check_pair(row: &str, copy: ResponseCode, primary: ResponseCode, says: &[&str]) {
    let names = || zone().primary(PRIMARY).a(PRIMARY, "127.0.0.1");
    let primary = Fake::start(names().update(primary)).await;
    let copy = Fake::start(names().update(copy)).await;
    let (text, is_not_put) = put(Some(copy.address), copy.address, primary.address.port()).await;
    let whole = |part: &&str| {
        let part = part.replace("COPY", &copy.address.to_string());
        text.contains(&part.replace("PRIMARY", &format!("{PRIMARY} ({})", primary.address)))
    };
    assert!(says.iter().all(whole), "{row}: {text}");
    let is_refused = !text.contains("not signed");
    assert_eq!((is_not_put, text.matches("help:").count()), (is_refused, 1), "{row}: {text}");
    let went_on = usize::from(text.contains(&primary.address.to_string()));
    assert_eq!(primary.updates(), went_on, "{row}: {text}");
    assert_eq!(copy.updates(), 1, "{row}: once is enough");
}

#[tokio::test]
async fn a_copy_that_takes_none_leads_to_the_primary() {
    use ResponseCode::{NoError, NotAuth, NotImp, NotZone, Refused, ServFail};
    let took = &["not signed by"][..];
    check_pair("it is not asked rightly", NotAuth, NoError, took).await;
    check_pair("it may not", Refused, NoError, took).await;
    check_pair("it cannot", NotImp, NoError, took).await;
    let both = [
        "the DNS server COPY refused the update of example.test: ",
        "; the DNS server PRIMARY refused the update of example.test: Query Refused\nhelp: allow the key",
    ];
    check_pair("the primary refuses too", NotAuth, Refused, &both).await;
    // Whoever takes it, or fails by itself, is not left.
    check_pair("it takes it", NoError, Refused, took).await;
    check_pair("it is broken", ServFail, NoError, &["COPY", "log of the server"]).await;
    check_pair("outside of its zone", NotZone, NoError, &["COPY", "look at its delegations"]).await;
}

#[tokio::test]
async fn a_primary_that_cannot_be_found_is_named() {
    let copy = zone().primary(PRIMARY).update(ResponseCode::Refused);
    let row = async |row: &str, copy: Zone, port: u16, not_put: bool, says: &[&str]| {
        let copy = Fake::start(copy).await;
        let (text, is_not_put) = put(Some(copy.address), copy.address, port).await;
        assert!(says.iter().all(|part| text.contains(part)), "{row}: {text}");
        assert!(text.contains(&copy.address.to_string()), "{row}: {text}");
        assert_eq!((is_not_put, text.matches("help:").count()), (not_put, 1), "{row}: {text}");
    };
    let no_address = ["names ns.example.test as its primary, which has no address", "set `server`"];
    row("no address", copy.clone(), 53, true, &no_address).await;
    let none = copy.clone().primary(".");
    row("no name", none, 53, true, &["names no primary server"]).await;
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let silent = copy.a(PRIMARY, "127.0.0.1");
    row("out of reach", silent, closed, true, &["no DNS server took the update", PRIMARY]).await;
}

#[tokio::test]
async fn without_a_server_the_primary_is_asked_at_once() {
    let names = || zone().primary(PRIMARY).a(PRIMARY, "127.0.0.1");
    let primary = Fake::start(names().update(ResponseCode::NoError)).await;
    let resolver = Fake::start(names().update(ResponseCode::Refused)).await;
    let (text, _) = put(None, resolver.address, primary.address.port()).await;
    assert!(text.contains(&format!("{} is not signed", primary.address)), "{text}");
    assert_eq!((primary.updates(), resolver.updates()), (1, 0));
    primary.change(|zone| zone.update(ResponseCode::Refused));
    let (text, is_not_put) = put(None, resolver.address, primary.address.port()).await;
    assert!(is_not_put && text.contains("allow the key"), "{text}");
    let nothing = Fake::start(Zone::default()).await;
    let (text, is_not_put) = put(None, nothing.address, 53).await;
    assert!(is_not_put && text.contains("no name server says in which zone"), "{text}");
}

#[test]
fn a_key_that_is_no_base64_is_not_quoted() {
    let text = format!("{:#}", key("not-base64!").err().unwrap());
    assert!(text.contains("no base64\nhelp: ") && !text.contains("33"), "{text}");
}
