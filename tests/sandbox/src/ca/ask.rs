//! Questions to the sandbox's DNS: every server is asked, aliases are followed from zone to zone.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use hickory_server::proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_server::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

/// Aliases in a row; Unbound's own limit is 11.
const HOPS: usize = 10;

/// Whoever asks.
pub(crate) struct Asker {
    pub(crate) servers: Vec<SocketAddr>,
    pub(crate) timeout: Duration,
}

/// A server's answer after all aliases.
pub(crate) struct Found {
    /// There is no such name: NXDOMAIN.
    pub(crate) is_no_name: bool,
    pub(crate) records: Vec<RData>,
}

/// Why a server has no answer to give.
pub(crate) struct Lost {
    /// It does not have the zone.
    pub(crate) refused: bool,
    pub(crate) why: String,
}

impl Lost {
    fn new(why: String) -> Self {
        Self { refused: false, why }
    }
}

impl Asker {
    /// What each server answers, in their order.
    pub(crate) async fn everywhere(
        &self,
        name: &str,
        kind: RecordType,
    ) -> Vec<Result<Found, Lost>> {
        join_all(self.servers.iter().map(|server| self.chase(*server, name, kind))).await
    }

    /// One server's answer; every server of the sandbox has every zone.
    async fn chase(&self, server: SocketAddr, name: &str, kind: RecordType) -> Result<Found, Lost> {
        let bad_name = |error| Lost::new(format!("{name}: {error}"));
        let mut name = Name::from_utf8(format!("{name}.")).map_err(bad_name)?;
        for _ in 0..HOPS {
            let answer = self.ask(server, &name, kind).await?;
            let code = answer.metadata.response_code;
            if !matches!(code, ResponseCode::NoError | ResponseCode::NXDomain) {
                let why = format!("{code} looking up {kind} for {name}");
                return Err(Lost { refused: code == ResponseCode::Refused, why });
            }
            let last = follow(&answer.answers, name);
            let here = |record: &&Record| record.record_type() == kind && record.name == last.name;
            let records: Vec<RData> =
                answer.answers.iter().filter(here).map(|record| record.data.clone()).collect();
            if !records.is_empty() || !last.moved {
                return Ok(Found { is_no_name: code == ResponseCode::NXDomain, records });
            }
            name = last.name;
        }
        Err(Lost::new(format!("too many aliases looking up {kind}")))
    }

    async fn ask(
        &self,
        server: SocketAddr,
        name: &Name,
        kind: RecordType,
    ) -> Result<Message, Lost> {
        let mut question = Message::new(rand_id(name), MessageType::Query, OpCode::Query);
        question.add_query(Query::query(name.clone(), kind));
        let bytes = question.to_vec().map_err(|error| Lost::new(error.to_string()))?;
        let talk = async {
            let answer = by_udp(server, &bytes).await?;
            let answer = Message::from_vec(&answer).map_err(std::io::Error::other)?;
            if !answer.metadata.truncation {
                return Ok(answer);
            }
            Message::from_vec(&by_tcp(server, &bytes).await?).map_err(std::io::Error::other)
        };
        match tokio::time::timeout(self.timeout, talk).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(Lost::new(format!("{error} looking up {kind} for {name}"))),
            Err(_elapsed) => {
                Err(Lost::new(format!("query timed out looking up {kind} for {name}")))
            }
        }
    }
}

/// Where the aliases of one answer lead.
struct Last {
    name: Name,
    moved: bool,
}

fn follow(answers: &[Record], name: Name) -> Last {
    let mut last = Last { name, moved: false };
    for _ in 0..HOPS {
        let alias = answers.iter().find_map(|record| {
            let RData::CNAME(target) = &record.data else { return None };
            (record.name == last.name).then(|| target.0.clone())
        });
        let Some(name) = alias else { break };
        last = Last { name, moved: true };
    }
    last
}

/// An id from the name: nobody on loopback guesses at answers.
fn rand_id(name: &Name) -> u16 {
    name.to_string().bytes().fold(1, |id: u16, byte| id.wrapping_mul(31).wrapping_add(byte.into()))
}

async fn by_udp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let own: SocketAddr =
        if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0; 16], 0).into() };
    let socket = UdpSocket::bind(own).await?;
    socket.connect(server).await?;
    socket.send(question).await?;
    let mut answer = vec![0; 4096];
    let length = socket.recv(&mut answer).await?;
    answer.truncate(length);
    Ok(answer)
}

async fn by_tcp(server: SocketAddr, question: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(question.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}
