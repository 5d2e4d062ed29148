//! One message to one DNS server and its answer: by UDP, and by TCP where it did not fit or did not pass (RFC 1035, 4.2; RFC 7766).
//!
//! Sockets of our own: nothing runs in the background, a dropped question is gone, a closed port is known at once, and
//! the bytes of an unsigned TSIG error can be read.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use futures_util::future::{FutureExt as _, select_ok};
use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nothing came in time.
    TimedOut,
    /// There is no connection: nothing was sent.
    Unreached(String),
    /// The system says no: refused, unreachable, reset.
    Io(String),
    /// What came is no DNS message.
    Garbled(String),
}

/// May the server ask others?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Recursion {
    /// A resolver: it may.
    Desired,
    /// A zone's own server: what it knows by itself.
    Off,
}

impl fmt::Display for Silence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("no answer in time"),
            Self::Unreached(why) | Self::Io(why) => f.write_str(why),
            Self::Garbled(why) => write!(f, "a damaged answer: {why}"),
        }
    }
}

impl std::error::Error for Silence {}

impl From<std::io::Error> for Silence {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error.to_string())
    }
}

/// Asks one server one question. Of all questions of this process, so many are under way at once.
pub(crate) async fn ask(
    server: SocketAddr,
    name: &Name,
    kind: RecordType,
    recursion: Recursion,
) -> Result<Message, Silence> {
    let question = question(name, kind, recursion);
    let bytes = encode(&question)?;
    let _turn = ASKING.acquire().await;
    let silence = match once_by_udp(server, &question, &bytes).await {
        Ok(answer) if !answer.metadata.truncation => return Ok(answer),
        Ok(_cut_short) => return answer_to(&question, &by_tcp(server, &bytes).await?),
        Err(silence) => silence,
    };
    // A lost datagram is common; and some networks, and some servers, let only TCP through.
    let again = once_by_udp(server, &question, &bytes).boxed();
    let exchange = async { tcp_exchange(TcpStream::connect(server).await?, &bytes).await };
    let by_tcp = async { answer_to(&question, &within(UDP_TIMEOUT, exchange).await?) };
    let either = select_ok([again, by_tcp.boxed()]).await;
    either.map(|(answer, _other)| answer).map_err(|_both| silence)
}

/// A question with an id of its own.
pub(crate) fn question(name: &Name, kind: RecordType, recursion: Recursion) -> Message {
    let mut question = Message::query();
    question.metadata.recursion_desired = recursion == Recursion::Desired;
    question.add_query(Query::query(name.clone(), kind));
    question
}

/// The message in wire form.
pub(crate) fn encode(message: &Message) -> Result<Vec<u8>, Silence> {
    message.to_vec().map_err(|error| Silence::Garbled(error.to_string()))
}

/// The message from its wire form.
pub(crate) fn decode(bytes: &[u8]) -> Result<Message, Silence> {
    Message::from_vec(bytes).map_err(|error| Silence::Garbled(error.to_string()))
}

/// Sends a message by TCP and reads one answer.
pub(crate) async fn by_tcp(server: SocketAddr, message: &[u8]) -> Result<Vec<u8>, Silence> {
    let connected = within(CONNECT_TIMEOUT, async { Ok(TcpStream::connect(server).await?) }).await;
    let stream = connected.map_err(|silence| Silence::Unreached(silence.to_string()))?;
    within(TCP_TIMEOUT, tcp_exchange(stream, message)).await
}

async fn tcp_exchange(mut stream: TcpStream, message: &[u8]) -> Result<Vec<u8>, Silence> {
    let length = u16::try_from(message.len())
        .map_err(|error| Silence::Garbled(format!("the question is too long: {error}")))?;
    // One write: some servers read the length and the message from one segment only.
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await?;
    let mut answer = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    Ok(answer)
}

async fn once_by_udp(
    server: SocketAddr,
    question: &Message,
    bytes: &[u8],
) -> Result<Message, Silence> {
    within(UDP_TIMEOUT, udp_exchange(server, question, bytes)).await
}

async fn within<T>(
    limit: Duration,
    exchange: impl Future<Output = Result<T, Silence>>,
) -> Result<T, Silence> {
    timeout(limit, exchange).await.unwrap_or(Err(Silence::TimedOut))
}

/// A socket of its own for each try: its random port is half of what makes a forged answer unlikely (RFC 5452).
async fn udp_exchange(
    server: SocketAddr,
    question: &Message,
    bytes: &[u8],
) -> Result<Message, Silence> {
    let socket = UdpSocket::bind(any_port(server)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let answer = decode(buffer.get(..length).unwrap_or_default())?;
        if is_answer_to(&answer, question) {
            return Ok(answer);
        }
    }
}

/// By TCP there is one answer to wait for, and it must be this one's.
fn answer_to(question: &Message, bytes: &[u8]) -> Result<Message, Silence> {
    let answer = decode(bytes)?;
    if is_answer_to(&answer, question) {
        return Ok(answer);
    }
    Err(Silence::Garbled("it is of another question".to_owned()))
}

fn is_answer_to(answer: &Message, question: &Message) -> bool {
    answer.metadata.id == question.metadata.id && same_question(answer, question)
}

/// Error answers may leave the question out.
pub(crate) fn same_question(answer: &Message, question: &Message) -> bool {
    answer.queries.is_empty() || answer.queries == question.queries
}

fn any_port(server: SocketAddr) -> SocketAddr {
    if server.is_ipv4() {
        return SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    }
    SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))
}

/// A question has two sockets at most; a process has 1024 descriptors by default, and an order may ask for a hundred names.
static ASKING: Semaphore = Semaphore::const_new(128);

/// Ten times the slowest round trip on earth.
const UDP_TIMEOUT: Duration = Duration::from_secs(3);

/// A lost packet of the handshake is sent again after one second, and after three.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// An update that a primary writes to its disk.
const TCP_TIMEOUT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;
    use crate::dns::fake::{Fake, Zone};

    async fn check(row: &str, zone: Zone, wanted: impl Fn(&Result<Message, Silence>) -> bool) {
        let fake = Fake::start(zone).await;
        let name = Name::from_ascii("a.example.test.").unwrap();
        let answer = ask(fake.address, &name, RecordType::TXT, Recursion::Off).await;
        assert!(wanted(&answer), "{row}: {answer:?}");
    }

    #[tokio::test]
    async fn answers_come_by_udp_and_by_tcp() {
        check("fits", Zone::default().txt("a.example.test", "v"), |answer| {
            answer.as_ref().is_ok_and(|message| message.answers.len() == 1)
        })
        .await;
        check("cut short", Zone::default().txt("a.example.test", "v").truncating(), |answer| {
            answer.as_ref().is_ok_and(|message| message.answers.len() == 1)
        })
        .await;
        check("no UDP", Zone::default().txt("a.example.test", "v").by_tcp_alone(), |answer| {
            answer.as_ref().is_ok_and(|message| message.answers.len() == 1)
        })
        .await;
        check("another question's answer", Zone::default().answering_another(), |answer| {
            answer.as_ref().is_ok_and(|message| message.answers.is_empty())
        })
        .await;
    }

    #[tokio::test]
    async fn a_closed_port_is_known_at_once() {
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let name = Name::from_ascii("a.example.test.").unwrap();
        let answer = ask(closed, &name, RecordType::TXT, Recursion::Off).await;
        assert!(matches!(answer, Err(Silence::Io(_))), "{answer:?}");
    }
}
