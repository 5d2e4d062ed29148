//! The DNS's own tests: each answer as a client sees it on the wire.

use std::io::{Read, Write};
use std::net::TcpStream;

use hickory_server::proto::op::{Message, MessageType, OpCode, Query as Question};
use hickory_server::proto::rr::Record;

use super::book::name;
use super::*;

fn ask(dns: &Dns, server: usize, fqdn: &str, kind: RecordType) -> Option<Message> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    socket.connect(dns.addresses()[server]).unwrap();
    socket.send(&question(fqdn, kind)).ok()?;
    let mut buffer = [0; 4096];
    let length = socket.recv(&mut buffer).ok()?;
    Some(Message::from_vec(&buffer[..length]).unwrap())
}

fn ask_by_tcp(dns: &Dns, fqdn: &str, kind: RecordType) -> Message {
    let mut stream = TcpStream::connect(dns.addresses()[0]).unwrap();
    let question = question(fqdn, kind);
    let length = u16::try_from(question.len()).unwrap();
    stream.write_all(&[&length.to_be_bytes()[..], &question].concat()).unwrap();
    let mut length = [0; 2];
    stream.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut answer).unwrap();
    Message::from_vec(&answer).unwrap()
}

fn question(fqdn: &str, kind: RecordType) -> Vec<u8> {
    let mut message = Message::new(7, MessageType::Query, OpCode::Query);
    message.add_query(Question::query(name(fqdn), kind));
    message.to_vec().unwrap()
}

fn texts(records: &[Record]) -> Vec<String> {
    let mut texts: Vec<String> = records.iter().map(|record| record.data.to_string()).collect();
    texts.sort();
    texts
}

fn values(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

/// A zone with a TXT, a CNAME out of it, and a name under nothing.
fn world(behaviours: &[Behaviour]) -> Dns {
    let dns = Dns::start(behaviours);
    let zones = dns.zones();
    zones.add("example.com");
    zones.set("example.com", "_acme-challenge.example.com", "TXT", &values(&["one", "two"]));
    zones.set(
        "example.com",
        "_acme-challenge.w.example.com",
        "CNAME",
        &values(&["w.other.example"]),
    );
    zones.set("example.com", "a.b.example.com", "A", &values(&["192.0.2.1"]));
    dns
}

#[test]
fn answers_are_those_of_an_authority() {
    let dns = world(&[Behaviour::Well]);
    let check = |fqdn: &str, kind, code, answers: &[&str], soa: bool| {
        let answer = ask(&dns, 0, fqdn, kind).unwrap();
        assert_eq!(answer.metadata.response_code, code, "{fqdn} {kind}");
        assert_eq!(texts(&answer.answers), answers, "{fqdn} {kind}");
        let has_soa =
            answer.authorities.iter().any(|record| record.record_type() == RecordType::SOA);
        assert_eq!(has_soa, soa, "{fqdn} {kind}: {:?}", answer.authorities);
        assert!(answer.metadata.authoritative || code == ResponseCode::Refused, "{fqdn} {kind}");
    };
    let (fine, none) = (ResponseCode::NoError, ResponseCode::NXDomain);
    check("_acme-challenge.example.com", RecordType::TXT, fine, &["one", "two"], false);
    check("_ACME-challenge.Example.com", RecordType::TXT, fine, &["one", "two"], false);
    check("_acme-challenge.example.com", RecordType::A, fine, &[], true);
    check("_acme-challenge.w.example.com", RecordType::TXT, fine, &["w.other.example."], false);
    check("nothing.example.com", RecordType::TXT, none, &[], true);
    check("b.example.com", RecordType::TXT, fine, &[], true);
    check("example.com", RecordType::NS, fine, &["ns1.example.com."], false);
    check("ns1.example.com", RecordType::A, fine, &["127.0.0.1"], false);
    check("example.org", RecordType::SOA, ResponseCode::Refused, &[], false);
}

#[test]
fn what_is_too_long_for_udp_comes_by_tcp() {
    let dns = world(&[Behaviour::Well]);
    let many: Vec<String> = (0..40).map(|number| format!("{number:043}")).collect();
    dns.zones().set("example.com", "many.example.com", "TXT", &many);
    assert!(ask(&dns, 0, "many.example.com", RecordType::TXT).unwrap().metadata.truncation);
    assert_eq!(ask_by_tcp(&dns, "many.example.com", RecordType::TXT).answers.len(), 40);
    let tcp: Vec<bool> = dns.queries().iter().map(|query| query.tcp).collect();
    assert_eq!(tcp, [false, true]);
}

#[test]
fn servers_behave_each_in_its_way() {
    let hour = Duration::from_secs(3600);
    let refuses = Behaviour::Answers(ResponseCode::NotImp, vec![RecordType::SOA]);
    let dns = world(&[
        Behaviour::Well,
        Behaviour::Behind(hour),
        Behaviour::Silent,
        Behaviour::Closed,
        Behaviour::Answers(ResponseCode::ServFail, vec![]),
        refuses,
    ]);
    let code = |server, kind| {
        let answer = ask(&dns, server, "_acme-challenge.example.com", kind);
        answer.map(|answer| answer.metadata.response_code)
    };
    let (fine, refused) = (Some(ResponseCode::NoError), Some(ResponseCode::Refused));
    assert_eq!(code(0, RecordType::TXT), fine);
    assert_eq!(code(1, RecordType::TXT), refused, "an hour ago there was no such zone");
    assert_eq!(code(2, RecordType::TXT), None);
    assert_eq!(code(3, RecordType::TXT), None);
    assert_eq!(code(4, RecordType::TXT), Some(ResponseCode::ServFail));
    assert_eq!(code(5, RecordType::TXT), fine);
    assert_eq!(code(5, RecordType::SOA), Some(ResponseCode::NotImp));
    let asked: Vec<(usize, Option<ResponseCode>)> =
        dns.queries().iter().map(|query| (query.server, query.answer)).collect();
    let servfail = (4, Some(ResponseCode::ServFail));
    assert_eq!(asked[..4], [(0, fine), (1, refused), (2, None), servfail]);
    dns.behave(1, Behaviour::Well);
    assert_eq!(code(1, RecordType::TXT), fine);
}

#[test]
fn a_server_that_is_behind_catches_up() {
    let dns = world(&[Behaviour::Well, Behaviour::Behind(Duration::from_millis(400))]);
    let there = |server| {
        let answer = ask(&dns, server, "new.example.com", RecordType::TXT).unwrap();
        !answer.answers.is_empty()
    };
    dns.zones().set("example.com", "new.example.com", "TXT", &values(&["v"]));
    assert!(there(0) && !there(1));
    let start = Instant::now();
    while !there(1) {
        assert!(start.elapsed() < Duration::from_secs(5), "never caught up");
    }
    dns.zones().set("example.com", "new.example.com", "TXT", &[]);
    assert!(!there(0));
}
