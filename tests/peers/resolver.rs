//! A resolver as a CA has one: it asks the server of a name's zone, and goes on where a CNAME leads. It keeps nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use hickory_proto::op::{Message, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::{Builder, Runtime};

use super::names::ask;
use super::program::free;

/// Answers by UDP and TCP until it is dropped.
pub(crate) struct Resolver {
    pub(crate) address: SocketAddr,
    _runtime: Runtime,
}

/// Zones and their servers, which a resolver of the internet would find by NS records.
type Servers = Arc<Vec<(Name, SocketAddr)>>;

impl Resolver {
    /// Knows these zones alone, at this address.
    pub(crate) fn at(address: SocketAddr, zones: &[(&str, SocketAddr)]) -> Self {
        let name = |zone: &str| Name::from_ascii(format!("{zone}.")).unwrap();
        let zones: Servers =
            Arc::new(zones.iter().map(|(zone, server)| (name(zone), *server)).collect());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let udp = runtime.block_on(UdpSocket::bind(address)).unwrap();
        let tcp = runtime.block_on(TcpListener::bind(address)).unwrap();
        runtime.spawn(serve_udp(udp, Arc::clone(&zones)));
        runtime.spawn(serve_tcp(tcp, zones));
        Self { address, _runtime: runtime }
    }

    /// The same at a free address.
    pub(crate) fn start(zones: &[(&str, SocketAddr)]) -> Self {
        Self::at(free(), zones)
    }
}

async fn serve_udp(socket: UdpSocket, zones: Servers) {
    let mut bytes = [0; 4096];
    loop {
        let (length, from) = socket.recv_from(&mut bytes).await.unwrap();
        socket.send_to(&answer(&zones, &bytes[..length]), from).await.unwrap();
    }
}

async fn serve_tcp(listener: TcpListener, zones: Servers) {
    loop {
        let (stream, _from) = listener.accept().await.unwrap();
        tokio::spawn(serve_stream(stream, Arc::clone(&zones)));
    }
}

/// Questions on one connection, until the other side has no more.
async fn serve_stream(mut stream: TcpStream, zones: Servers) {
    while let Ok(length) = stream.read_u16().await {
        let mut bytes = vec![0; usize::from(length)];
        stream.read_exact(&mut bytes).await.unwrap();
        let answer = answer(&zones, &bytes);
        stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
        stream.write_all(&answer).await.unwrap();
    }
}

fn answer(zones: &Servers, question: &[u8]) -> Vec<u8> {
    let question = Message::from_vec(question).unwrap();
    let asked = question.queries.first().unwrap().clone();
    let found = resolve(zones, &asked);
    let mut answer = Message::response(question.metadata.id, question.metadata.op_code);
    answer.metadata.recursion_desired = question.metadata.recursion_desired;
    answer.metadata.recursion_available = true;
    answer.metadata.response_code = found.metadata.response_code;
    answer.add_query(asked);
    answer.add_answers(found.answers);
    answer.add_authorities(found.authorities);
    answer.to_vec().unwrap()
}

fn resolve(zones: &Servers, asked: &Query) -> Message {
    let mut at = asked.name().clone();
    let mut passed = Vec::new();
    loop {
        let Some(server) = server(zones, &at) else {
            let mut answer = Message::query();
            answer.metadata.response_code = ResponseCode::Refused;
            return answer;
        };
        let mut answer = ask(server, &at, asked.query_type());
        let next = elsewhere(&answer.answers, &at, asked.query_type());
        passed.append(&mut answer.answers);
        let Some(next) = next else {
            answer.answers = passed;
            return answer;
        };
        at = next;
        assert!(passed.len() < 20, "CNAMEs without an end: {passed:?}");
    }
}

/// That of the longest zone that holds the name.
fn server(zones: &Servers, name: &Name) -> Option<SocketAddr> {
    let holds = zones.iter().filter(|(zone, _)| zone.zone_of(name));
    holds.max_by_key(|(zone, _)| zone.num_labels()).map(|(_, server)| *server)
}

/// Where the CNAMEs of an answer lead, if what was asked for is not there as well.
fn elsewhere(answers: &[Record], asked: &Name, kind: RecordType) -> Option<Name> {
    let target = |record: &Record| {
        let RData::CNAME(target) = &record.data else { return None };
        Some(target.0.clone())
    };
    let cname = |name: &Name| answers.iter().filter(|record| record.name == *name).find_map(target);
    let mut end = asked.clone();
    while let Some(target) = cname(&end) {
        end = target;
    }
    let is_there = answers.iter().any(|record| record.name == end && record.record_type() == kind);
    (kind != RecordType::CNAME && end != *asked && !is_there).then_some(end)
}
