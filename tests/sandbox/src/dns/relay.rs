//! The way to a server, and what a network, or a server that is not well, does to messages on it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_server::proto::op::{Message, OpCode};
use hickory_server::proto::rr::rdata::{A, TXT};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};

use crate::stage::Stage;

/// Longer than any client waits for two bytes of an answer.
const DRIP: Duration = Duration::from_millis(500);

/// How long the server itself may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// What happens to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mangle {
    /// The question never arrives.
    Lost,
    /// The answer never arrives.
    LostAnswer,
    /// The answer arrives twice.
    Twice,
    /// By UDP, only that the answer did not fit.
    CutShort,
    /// The first half of the answer.
    Half,
    /// Bytes that are no message.
    Garbled,
    /// The answer to a message of another id.
    AnothersId,
    /// The answer to another question.
    AnothersQuestion,
    /// An answer of a type that was not asked for.
    WrongType,
    /// The truth among 50 kB of other records; by TCP, as it must be.
    Oversized,
    /// It did not fit, and the connection by TCP is reset.
    Reset,
    /// It did not fit, and comes by TCP a byte at a time.
    Drip,
}

/// Which messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// Questions of this type.
    Question(RecordType),
    /// Dynamic updates (RFC 2136).
    Update,
}

struct Rule {
    which: Which,
    what: Mangle,
    times: usize,
}

/// A running relay; it ends when it is dropped.
pub struct Relay {
    address: SocketAddr,
    rule: Arc<Mutex<Option<Rule>>>,
    _stage: Stage,
}

impl Relay {
    /// Starts one before this server, at a free port of 127.0.0.1.
    ///
    /// # Panics
    /// When no such port is found.
    pub fn start(server: SocketAddr) -> Self {
        let (udp, tcp) = (0..super::TRIES).find_map(|_| bind()).expect("a port for the relay");
        let address = udp.local_addr().expect("its own address");
        let rule = Arc::new(Mutex::new(None));
        let held = Arc::clone(&rule);
        let stage = Stage::open("relay", move || run(udp, tcp, server, held));
        Self { address, rule, _stage: stage }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The next messages of this kind, so many of them, are struck so.
    pub fn mangle(&self, which: Which, what: Mangle, times: usize) {
        *self.rule.lock().expect("the rule") = Some(Rule { which, what, times });
    }

    /// All is well again; answers how often it was not to strike any more.
    pub fn heal(&self) -> usize {
        self.rule.lock().expect("the rule").take().map_or(0, |rule| rule.times)
    }
}

fn bind() -> Option<(std::net::UdpSocket, std::net::TcpListener)> {
    let udp = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    let tcp = std::net::TcpListener::bind(udp.local_addr().ok()?).ok()?;
    udp.set_nonblocking(true).ok()?;
    tcp.set_nonblocking(true).ok()?;
    Some((udp, tcp))
}

async fn run(
    udp: std::net::UdpSocket,
    tcp: std::net::TcpListener,
    server: SocketAddr,
    rule: Arc<Mutex<Option<Rule>>>,
) {
    let udp = Arc::new(UdpSocket::from_std(udp).expect("a UDP socket"));
    let tcp = TcpListener::from_std(tcp).expect("a TCP listener");
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        tokio::select! {
            Ok((length, client)) = udp.recv_from(&mut buffer) => {
                let (udp, question) = (Arc::clone(&udp), buffer[..length].to_vec());
                let what = struck(&rule, &question);
                tokio::spawn(async move {
                    for answer in by_udp(server, &question, what).await {
                        drop(udp.send_to(&answer, client).await);
                    }
                });
            }
            Ok((stream, _)) = tcp.accept() => {
                let rule = Arc::clone(&rule);
                // A client that goes away concerns itself only.
                tokio::spawn(async move { drop(by_tcp(stream, server, &rule).await) });
            }
        }
    }
}

fn struck(rule: &Mutex<Option<Rule>>, question: &[u8]) -> Option<Mangle> {
    let mut held = rule.lock().expect("the rule");
    let rule = held.as_mut().filter(|rule| rule.times > 0)?;
    let message = Message::from_vec(question).ok()?;
    let is_struck = match rule.which {
        Which::Update => message.metadata.op_code == OpCode::Update,
        Which::Question(kind) => {
            message.metadata.op_code == OpCode::Query
                && message.queries.iter().any(|query| query.query_type() == kind)
        }
    };
    if !is_struck {
        return None;
    }
    rule.times = rule.times.saturating_sub(1);
    Some(rule.what)
}

async fn by_udp(server: SocketAddr, question: &[u8], what: Option<Mangle>) -> Vec<Vec<u8>> {
    if what == Some(Mangle::Lost) {
        return Vec::new();
    }
    let asked = async {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.ok()?;
        socket.send_to(question, server).await.ok()?;
        let mut answer = vec![0; usize::from(u16::MAX)];
        let length = socket.recv(&mut answer).await.ok()?;
        answer.truncate(length);
        Some(answer)
    };
    let Ok(Some(answer)) = tokio::time::timeout(PATIENCE, asked).await else { return Vec::new() };
    let is_long = [Mangle::CutShort, Mangle::Oversized, Mangle::Reset, Mangle::Drip];
    match what {
        Some(what) if is_long.contains(&what) => vec![cut_short(question)],
        Some(what) => mangled(what, answer),
        None => vec![answer],
    }
}

async fn by_tcp(
    mut client: TcpStream,
    server: SocketAddr,
    rule: &Mutex<Option<Rule>>,
) -> std::io::Result<()> {
    loop {
        let question = read(&mut client).await?;
        let what = struck(rule, &question);
        if what == Some(Mangle::Lost) {
            return std::future::pending().await;
        }
        let mut own = TcpStream::connect(server).await?;
        write(&mut own, &question).await?;
        let answer = read(&mut own).await?;
        match what {
            Some(Mangle::Reset) => return client.set_zero_linger(),
            Some(Mangle::Drip) => {
                for byte in framed(&answer) {
                    client.write_all(&[byte]).await?;
                    tokio::time::sleep(DRIP).await;
                }
            }
            Some(what) => {
                for answer in mangled(what, answer) {
                    write(&mut client, &answer).await?;
                }
            }
            None => write(&mut client, &answer).await?,
        }
    }
}

async fn read(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut message = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn write(stream: &mut TcpStream, message: &[u8]) -> std::io::Result<()> {
    stream.write_all(&framed(message)).await
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("a message that fits");
    [&length.to_be_bytes(), message].concat()
}

/// The question with the bits of an answer that did not fit.
fn cut_short(question: &[u8]) -> Vec<u8> {
    let Ok(asked) = Message::from_vec(question) else { return Vec::new() };
    let mut answer = Message::response(asked.metadata.id, asked.metadata.op_code);
    answer.metadata.truncation = true;
    answer.add_queries(asked.queries);
    answer.to_vec().expect("a message")
}

fn mangled(what: Mangle, mut answer: Vec<u8>) -> Vec<Vec<u8>> {
    let changed = |change: fn(&mut Message)| {
        let mut message = Message::from_vec(&answer).expect("the server's answer");
        change(&mut message);
        vec![message.to_vec().expect("a message")]
    };
    match what {
        Mangle::LostAnswer | Mangle::Lost => Vec::new(),
        Mangle::Twice => vec![answer.clone(), answer],
        Mangle::Half => {
            answer.truncate(answer.len() / 2);
            vec![answer]
        }
        Mangle::Garbled => vec![vec![0xff; 40]],
        Mangle::AnothersId => {
            answer[0] ^= 0xff;
            vec![answer]
        }
        Mangle::AnothersQuestion => changed(|message| {
            let other = Name::from_ascii("another.example.test.").expect("a name");
            for query in &mut message.queries {
                query.set_name(other.clone());
            }
        }),
        Mangle::WrongType => changed(|message| {
            let name = message.queries.first().map(|query| query.name().clone());
            let address = RData::A(A(Ipv4Addr::new(192, 0, 2, 1)));
            message.answers = vec![Record::from_rdata(name.unwrap_or_default(), 60, address)];
        }),
        Mangle::Oversized => changed(|message| {
            let name = message.queries.first().map(|query| query.name().clone());
            let long = RData::TXT(TXT::new(vec!["x".repeat(250)]));
            let record = Record::from_rdata(name.unwrap_or_default(), 60, long);
            message.answers.extend(std::iter::repeat_n(record, 180));
        }),
        Mangle::CutShort | Mangle::Reset | Mangle::Drip => vec![answer],
    }
}
