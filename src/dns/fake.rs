//! A DNS server for tests, on loopback: a zone as a value, and the ways in which servers misbehave.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CAA, CNAME, NS, SOA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::http::{Answer, Http};

/// What the server knows, and how it misbehaves.
#[derive(Clone, Default)]
pub(crate) struct Zone {
    apex: Option<Name>,
    records: Vec<Record>,
    codes: BTreeMap<(Option<Name>, RecordType), ResponseCode>,
    update: Option<ResponseCode>,
    primary: Option<Name>,
    truncates: bool,
    only_tcp: bool,
    no_https: bool,
    another_first: bool,
}

/// A server under way; it ends with the test's runtime.
#[derive(Clone)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
    asked: Arc<Mutex<Vec<(String, RecordType)>>>,
    updates: Arc<Mutex<usize>>,
}

impl Zone {
    pub(crate) fn apex(mut self, name: &str) -> Self {
        self.apex = Some(fqdn(name));
        self
    }

    pub(crate) fn txt(self, name: &str, value: &str) -> Self {
        // A string of a record has at most 255 letters (RFC 1035, 3.3.14).
        let strings = value.as_bytes().chunks(255).map(|part| String::from_utf8_lossy(part).into());
        self.record(name, RData::TXT(TXT::new(strings.collect())))
    }

    pub(crate) fn cname(self, name: &str, target: &str) -> Self {
        self.record(name, RData::CNAME(CNAME(fqdn(target))))
    }

    /// An `issue` record.
    pub(crate) fn caa(self, name: &str, value: &str) -> Self {
        let mut caa = CAA::new_issue(false, None, Vec::new());
        caa.value = value.as_bytes().to_vec();
        self.record(name, RData::CAA(caa))
    }

    pub(crate) fn a(self, name: &str, address: &str) -> Self {
        self.record(name, RData::A(A(address.parse().unwrap())))
    }

    pub(crate) fn aaaa(self, name: &str, address: &str) -> Self {
        self.record(name, RData::AAAA(AAAA(address.parse().unwrap())))
    }

    pub(crate) fn ns(self, name: &str, server: &str) -> Self {
        self.record(name, RData::NS(NS(fqdn(server))))
    }

    /// Answers this type with this code, at this name or (empty) at every one.
    pub(crate) fn code(mut self, name: &str, kind: RecordType, code: ResponseCode) -> Self {
        let name = (!name.is_empty()).then(|| fqdn(name));
        self.codes.insert((name, kind), code);
        self
    }

    /// Answers updates with this code, unsigned.
    pub(crate) fn update(mut self, code: ResponseCode) -> Self {
        self.update = Some(code);
        self
    }

    /// Its SOA names this primary, else its apex.
    pub(crate) fn primary(mut self, name: &str) -> Self {
        self.primary = Some(fqdn(name));
        self
    }

    pub(crate) fn truncating(mut self) -> Self {
        self.truncates = true;
        self
    }

    /// Datagrams are swallowed.
    pub(crate) fn by_tcp_alone(mut self) -> Self {
        self.only_tcp = true;
        self
    }

    /// By HTTPS it answers an error.
    pub(crate) fn silent_by_https(mut self) -> Self {
        self.no_https = true;
        self
    }

    pub(crate) fn answering_another(mut self) -> Self {
        self.another_first = true;
        self
    }

    fn record(mut self, name: &str, data: RData) -> Self {
        self.records.push(Record::from_rdata(fqdn(name), 60, data));
        self
    }

    fn answer(&self, question: &Message) -> Message {
        let query = question.queries.first().unwrap();
        let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
        answer.add_query(query.clone());
        if let (OpCode::Update, Some(code)) = (question.metadata.op_code, self.update) {
            answer.metadata.response_code = code;
            return answer;
        }
        let (name, kind) = (query.name().clone(), query.query_type());
        let said =
            self.codes.get(&(Some(name.clone()), kind)).or_else(|| self.codes.get(&(None, kind)));
        if let Some(code) = said {
            answer.metadata.response_code = *code;
            return answer;
        }
        self.fill(&mut answer, &name, kind);
        answer
    }

    /// The answer to a question about what is not there.
    pub(crate) fn nothing(&self, name: &Name, kind: RecordType) -> Message {
        let mut answer = Message::query();
        self.fill(&mut answer, name, kind);
        answer
    }

    fn fill(&self, answer: &mut Message, name: &Name, kind: RecordType) {
        let soa = self.apex.clone().map(|apex| {
            let primary = self.primary.clone().unwrap_or_else(|| apex.clone());
            let soa = SOA::new(primary, apex.clone(), 1, 60, 60, 60, 60);
            Record::from_rdata(apex, 60, RData::SOA(soa))
        });
        let at_name = |record: &&Record| record.name == *name;
        let found: Vec<_> = self
            .records
            .iter()
            .filter(at_name)
            .filter(|record| [kind, RecordType::CNAME].contains(&record.record_type()))
            .cloned()
            .collect();
        if kind == RecordType::SOA && self.apex.as_ref() == Some(name) {
            answer.add_answers(soa);
            return;
        }
        if found.is_empty() {
            answer.add_authorities(soa);
            if !self.records.iter().any(|record| record.name == *name) {
                answer.metadata.response_code = ResponseCode::NXDomain;
            }
        }
        answer.add_answers(found);
    }
}

impl Fake {
    /// Starts a server on a free port of loopback.
    pub(crate) async fn start(zone: Zone) -> Self {
        Self::start_at("127.0.0.1", zone).await
    }

    /// Starts a server on a free port of this address.
    pub(crate) async fn start_at(address: &str, zone: Zone) -> Self {
        let (udp, tcp) = sockets(address).await;
        let fake = Self {
            address: udp.local_addr().unwrap(),
            zone: Arc::new(Mutex::new(zone)),
            asked: Arc::default(),
            updates: Arc::default(),
        };
        tokio::spawn(fake.clone().serve_udp(udp));
        tokio::spawn(fake.clone().serve_tcp(tcp));
        fake
    }

    /// Changes what the server knows.
    pub(crate) fn change(&self, change: impl FnOnce(Zone) -> Zone) {
        let mut zone = self.zone.lock().unwrap();
        *zone = change(zone.clone());
    }

    /// So many questions of this type came for this name.
    pub(crate) fn asked(&self, name: &str, kind: RecordType) -> usize {
        let wanted = (fqdn(name).to_ascii(), kind);
        self.asked.lock().unwrap().iter().filter(|asked| **asked == wanted).count()
    }

    /// So many updates came.
    pub(crate) fn updates(&self) -> usize {
        *self.updates.lock().unwrap()
    }

    /// The same answers by HTTPS (RFC 8484), whatever URL is asked.
    pub(crate) fn by_https(&self) -> Http {
        let fake = self.clone();
        Http::scripted(Box::new(move |request| {
            assert_eq!(request.headers()["content-type"], "application/dns-message");
            let question = request.body().and_then(|body| body.as_bytes()).unwrap();
            let answer = fake.answer(&Message::from_vec(question).unwrap()).to_vec().unwrap();
            let status = if fake.zone.lock().unwrap().no_https { 500 } else { 200 };
            let kind =
                ("content-type".parse().unwrap(), "application/dns-message".parse().unwrap());
            let headers = std::iter::once(kind).collect();
            Ok(Answer { status, headers, body: answer })
        }))
    }

    async fn serve_udp(self, socket: UdpSocket) {
        let mut buffer = [0; 4096];
        loop {
            let (length, from) = socket.recv_from(&mut buffer).await.unwrap();
            for answer in self.by_udp(&Message::from_vec(&buffer[..length]).unwrap()) {
                socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
            }
        }
    }

    fn by_udp(&self, question: &Message) -> Vec<Message> {
        if self.zone.lock().unwrap().only_tcp {
            return Vec::new();
        }
        let answer = self.own_answer(question);
        let zone = self.zone.lock().unwrap();
        let another = zone.another_first.then(|| {
            let mut another = answer.clone();
            another.metadata.id = another.metadata.id.wrapping_add(1);
            another
        });
        let answer = if zone.truncates { answer.truncate() } else { answer };
        another.into_iter().chain([answer]).collect()
    }

    async fn serve_tcp(self, listener: TcpListener) {
        loop {
            let (mut stream, _from) = listener.accept().await.unwrap();
            let mut bytes = vec![0; usize::from(stream.read_u16().await.unwrap())];
            stream.read_exact(&mut bytes).await.unwrap();
            let answer = self.own_answer(&Message::from_vec(&bytes).unwrap()).to_vec().unwrap();
            stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
            stream.write_all(&answer).await.unwrap();
        }
    }

    /// At port 53 it is the zone's own server.
    fn own_answer(&self, question: &Message) -> Message {
        let mut answer = self.answer(question);
        answer.metadata.authoritative = true;
        answer
    }

    fn answer(&self, question: &Message) -> Message {
        let query = question.queries.first().unwrap();
        if question.metadata.op_code == OpCode::Update {
            *self.updates.lock().unwrap() += 1;
        } else {
            self.asked.lock().unwrap().push((query.name().to_ascii(), query.query_type()));
        }
        self.zone.lock().unwrap().answer(question)
    }
}

/// The same free port for UDP and TCP.
async fn sockets(address: &str) -> (UdpSocket, TcpListener) {
    loop {
        let tcp = TcpListener::bind((address, 0)).await.unwrap();
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (udp, tcp);
        }
    }
}

fn fqdn(name: &str) -> Name {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).unwrap()
}
