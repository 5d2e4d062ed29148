//! Dynamic updates, a row each, signed by a library that the server does not use.

use std::io::{Read, Write};
use std::net::TcpStream;

use hickory_proto::op::{Message, update_message};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm as Algorithm, TsigError};
use hickory_proto::rr::{Name, RData, Record, RecordSet, TSigner};

use super::*;

const ZONE: &str = "example.com";
const TXT_NAME: &str = "_acme-challenge.example.com";

fn key(algorithm: TsigAlgorithm, zones: &[&str]) -> TsigKey {
    let zones = zones.iter().map(|zone| (*zone).to_owned()).collect();
    TsigKey { name: "acme-key".to_owned(), algorithm, secret: b"secret".to_vec(), zones }
}

fn name(text: &str) -> Name {
    Name::from_utf8(format!("{text}.")).unwrap()
}

fn signer(algorithm: Algorithm, key: &str, secret: &[u8]) -> TSigner {
    TSigner::new(secret.to_vec(), algorithm, name(key), 300).unwrap()
}

fn txt(fqdn: &str, value: &str) -> RecordSet {
    let data = RData::TXT(TXT::new(vec![value.to_owned()]));
    RecordSet::from(Record::from_rdata(name(fqdn), 60, data))
}

fn now() -> u64 {
    u64::try_from(jiff::Timestamp::now().as_second()).unwrap()
}

/// The answer to a message: (code, TSIG error), once its signature was verified.
fn send(
    dns: &Dns,
    server: usize,
    mut message: Message,
    signer: Option<&TSigner>,
    at: u64,
) -> (ResponseCode, Option<TsigError>) {
    let verifier = signer.and_then(|signer| message.finalize(signer, at).unwrap());
    let bytes = message.to_vec().unwrap();
    let mut stream = TcpStream::connect(dns.addresses()[server]).unwrap();
    let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
    stream.write_all(&[&length[..], &bytes].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    let seen = Message::from_vec(&answer).unwrap();
    let error = seen.signature().and_then(|record| record.data.error);
    if let Some(mut verifier) = verifier.filter(|_| error.is_none()) {
        verifier.verify(&answer).unwrap();
    }
    (seen.metadata.response_code, error)
}

fn append(value: &str) -> Message {
    update_message::append(txt(TXT_NAME, value), name(ZONE), false, false)
}

#[test]
fn values_come_and_go() {
    for (ours, theirs) in [
        (TsigAlgorithm::HmacSha256, Algorithm::HmacSha256),
        (TsigAlgorithm::HmacSha384, Algorithm::HmacSha384),
        (TsigAlgorithm::HmacSha512, Algorithm::HmacSha512),
    ] {
        let dns = Dns::well();
        dns.zones().add(ZONE);
        dns.allow(key(ours, &[]));
        let signer = signer(theirs, "acme-key", b"secret");
        let send = |message| send(&dns, 0, message, Some(&signer), now());
        let fine = (ResponseCode::NoError, None);
        assert_eq!(send(append("one")), fine);
        assert_eq!(send(append("two")), fine);
        assert_eq!(send(append("two")), fine, "a set has each value once");
        assert_eq!(dns.zones().values(TXT_NAME, "TXT"), ["one", "two"]);
        let take = update_message::delete_by_rdata(txt(TXT_NAME, "one"), name(ZONE), false);
        assert_eq!(send(take), fine);
        assert_eq!(dns.zones().values(TXT_NAME, "TXT"), ["two"]);
        let must_exist = update_message::append(txt("b.example.com", "x"), name(ZONE), true, false);
        assert_eq!(send(must_exist), (ResponseCode::NXRRSet, None));
        let create = update_message::create(txt(TXT_NAME, "three"), name(ZONE), false);
        assert_eq!(send(create), (ResponseCode::YXRRSet, None));
        let set = Record::update0(name(TXT_NAME), 0, RecordType::TXT);
        assert_eq!(send(update_message::delete_rrset(set, name(ZONE), false)), fine);
        assert_eq!(dns.zones().values(TXT_NAME, "TXT"), [""; 0]);
        let change = Change::Add(TXT_NAME.to_owned(), "TXT".to_owned(), "one".to_owned());
        assert_eq!(dns.updates()[0].changes, [change]);
    }
}

#[test]
fn a_signed_question_has_a_signed_answer() {
    let dns = Dns::well();
    let values: Vec<String> = (0..9).map(|number| format!("{number:043}")).collect();
    dns.zones().set(ZONE, TXT_NAME, "TXT", &values);
    dns.allow(key(TsigAlgorithm::HmacSha256, &[]));
    let ask = |fqdn: &str, kind, signer: &TSigner| {
        let mut message = Message::query();
        message.add_query(hickory_proto::op::Query::query(name(fqdn), kind));
        send(&dns, 0, message, Some(signer), now())
    };
    let good = signer(Algorithm::HmacSha256, "acme-key", b"secret");
    assert_eq!(ask(ZONE, RecordType::SOA, &good), (ResponseCode::NoError, None));
    assert_eq!(ask(TXT_NAME, RecordType::TXT, &good), (ResponseCode::NoError, None));
    assert_eq!(ask("b.example.com", RecordType::TXT, &good), (ResponseCode::NXDomain, None));
    let other = signer(Algorithm::HmacSha256, "acme-key", b"other");
    let bad = (ResponseCode::NotAuth, Some(TsigError::BadSig));
    assert_eq!(ask(ZONE, RecordType::SOA, &other), bad);
}

#[test]
fn refusals_name_their_reason() {
    let dns = Dns::start(&[Behaviour::Well, Behaviour::Well]);
    dns.zones().add(ZONE);
    dns.zones().add("example.net");
    dns.allow(key(TsigAlgorithm::HmacSha256, &[ZONE]));
    let good = signer(Algorithm::HmacSha256, "acme-key", b"secret");
    let check = |row: &str, server, message, signer: Option<&TSigner>, at, want| {
        assert_eq!(send(&dns, server, message, signer, at), want, "{row}");
    };
    let not_auth = |error| (ResponseCode::NotAuth, error);
    check("unsigned", 0, append("x"), None, now(), (ResponseCode::Refused, None));
    let other = signer(Algorithm::HmacSha256, "other", b"secret");
    check("unknown key", 0, append("x"), Some(&other), now(), not_auth(Some(TsigError::BadKey)));
    let other = signer(Algorithm::HmacSha512, "acme-key", b"secret");
    check("algorithm", 0, append("x"), Some(&other), now(), not_auth(Some(TsigError::BadKey)));
    let other = signer(Algorithm::HmacSha256, "acme-key", b"secrets");
    check("secret", 0, append("x"), Some(&other), now(), not_auth(Some(TsigError::BadSig)));
    let late = not_auth(Some(TsigError::BadTime));
    check("time", 0, append("x"), Some(&good), now() - 400, late);
    check("no primary", 1, append("x"), Some(&good), now(), not_auth(None));
    let of =
        |fqdn: &str, zone: &str| update_message::append(txt(fqdn, "x"), name(zone), false, false);
    check("no zone", 0, of("a.test", "a.test"), Some(&good), now(), not_auth(None));
    let foreign = of("a.example.net", "example.net");
    check("not allowed", 0, foreign, Some(&good), now(), (ResponseCode::Refused, None));
    let mut outside = of("a.example.org", "example.org");
    outside.queries[0].set_name(name(ZONE));
    check("outside", 0, outside, Some(&good), now(), (ResponseCode::NotZone, None));
    assert!(dns.zones().values(TXT_NAME, "TXT").is_empty());
    let errors: Vec<Option<u16>> = dns.updates().iter().map(|one| one.tsig_error).collect();
    assert_eq!(errors[..5], [None, Some(17), Some(17), Some(16), Some(18)]);
}
