//! The authoritative DNS: one zone book, several servers of which some may be dead, broken or behind.
//!
//! hickory-server's catalogue answers, so that SOA, NXDOMAIN, CNAME and truncation are those of a server that others
//! use; what stands here is the world around it: who lags, who is silent, and what was asked.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use hickory_server::Server;
use hickory_server::net::runtime::Time;
use hickory_server::net::xfer::Protocol;
pub use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata, OpCode};
pub use hickory_server::proto::rr::RecordType;
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::{Catalog, MessageResponseBuilder};

use crate::stage::Stage;

mod book;
mod relay;
mod signed;
#[cfg(test)]
mod tests;
mod tsig;
mod update;
#[cfg(test)]
mod update_tests;

pub use book::Zones;
use book::plain;
pub use relay::{Mangle, Relay, Which};
pub use tsig::{TsigAlgorithm, TsigKey};
pub use update::{Change, Update};

/// A TCP connection without a question for so long is closed.
const IDLE: Duration = Duration::from_secs(10);

/// How often a free port is looked for that is free on all addresses, UDP and TCP.
const TRIES: usize = 50;

/// How one server behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It answers what the book says.
    Well,
    /// It answers what the book said so long ago, as a secondary before its transfer.
    Behind(Duration),
    /// It takes questions and never answers.
    Silent,
    /// Nothing listens at its address; only at the start.
    Closed,
    /// It answers this code to questions of these types, and well to others; no types: to all.
    Answers(ResponseCode, Vec<RecordType>),
}

/// A question that came, and how it was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The server that was asked, counted from 0.
    pub server: usize,
    /// The full name in lower case, without its last dot.
    pub name: String,
    /// The type that was asked for.
    pub kind: RecordType,
    /// It came by TCP.
    pub tcp: bool,
    /// When.
    pub at: Instant,
    /// The code of the answer; `None` when there was none.
    pub answer: Option<ResponseCode>,
}

/// Running servers; they end when this is dropped.
pub struct Dns {
    addresses: Vec<SocketAddr>,
    shared: Arc<Shared>,
    stage: Option<Stage>,
}

impl Dns {
    /// Starts a server for each behaviour: the first at 127.0.0.1, the next at 127.0.0.2, all on one free port.
    ///
    /// # Panics
    /// When no such port is found.
    pub fn start(behaviours: &[Behaviour]) -> Self {
        let sockets = (0..TRIES).find_map(|_| bind(behaviours));
        let (addresses, sockets) = sockets.expect("a port that is free on all addresses");
        let shared = Arc::new(Shared {
            zones: Zones::named(behaviours.len()),
            behaviours: Mutex::new(behaviours.to_vec()),
            queries: Mutex::new(Vec::new()),
            keys: Mutex::new(Vec::new()),
            updates: Mutex::new(Vec::new()),
        });
        let served = Arc::clone(&shared);
        let stage = Stage::open("dns", move || run(sockets, served));
        Self { addresses, shared, stage: Some(stage) }
    }

    /// One server that behaves well.
    pub fn well() -> Self {
        Self::start(&[Behaviour::Well])
    }

    /// The servers' addresses; they are the NS of every zone, in this order, `ns1` first.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The book that all servers answer from.
    pub fn zones(&self) -> Zones {
        self.shared.zones.clone()
    }

    /// Changes how one server behaves.
    pub fn behave(&self, server: usize, behaviour: Behaviour) {
        self.shared.behaviours.lock().expect("behaviours")[server] = behaviour;
    }

    /// Every question so far, the oldest first.
    pub fn queries(&self) -> Vec<Query> {
        self.shared.queries.lock().expect("queries").clone()
    }

    /// Forgets the questions so far.
    pub fn forget_queries(&self) {
        self.shared.queries.lock().expect("queries").clear();
    }

    /// Lets a TSIG key change zones by dynamic updates (RFC 2136), sent to the first server.
    pub fn allow(&self, key: TsigKey) {
        self.shared.keys.lock().expect("keys").push(key);
    }

    /// Every dynamic update so far, the oldest first, refused ones too.
    pub fn updates(&self) -> Vec<Update> {
        self.shared.updates.lock().expect("updates").clone()
    }

    /// Ends all servers.
    pub fn stop(&mut self) {
        drop(self.stage.take());
    }
}

/// What the handle and the servers hold.
struct Shared {
    zones: Zones,
    behaviours: Mutex<Vec<Behaviour>>,
    queries: Mutex<Vec<Query>>,
    keys: Mutex<Vec<TsigKey>>,
    updates: Mutex<Vec<Update>>,
}

/// One server's way of answering.
struct Voice {
    server: usize,
    shared: Arc<Shared>,
    /// The catalogue of the edition that was answered from last.
    catalog: Mutex<Option<(usize, Arc<Catalog>)>>,
}

impl Voice {
    fn behaviour(&self) -> Behaviour {
        self.shared.behaviours.lock().expect("behaviours")[self.server].clone()
    }

    fn catalog(&self, behind: Duration) -> Arc<Catalog> {
        let book = self.shared.zones.book();
        let number = book.known(behind);
        let mut last = self.catalog.lock().expect("the last catalogue");
        match &*last {
            Some((same, catalog)) if *same == number => Arc::clone(catalog),
            Some(_) | None => {
                let catalog = Arc::new(book.catalog(number));
                *last = Some((number, Arc::clone(&catalog)));
                catalog
            }
        }
    }

    fn note(&self, request: &Request, answer: Option<ResponseCode>) {
        let Ok(asked) = request.request_info() else { return };
        if request.metadata.op_code != OpCode::Query {
            return;
        }
        self.shared.queries.lock().expect("queries").push(Query {
            server: self.server,
            name: plain(&asked.query.name().to_string()),
            kind: asked.query.query_type(),
            tcp: asked.protocol == Protocol::Tcp,
            at: Instant::now(),
            answer,
        });
    }

    async fn answer<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        mut reply: R,
    ) -> Option<ResponseInfo> {
        let kind = request.request_info().ok().map(|asked| asked.query.query_type());
        let struck = |kinds: &Vec<RecordType>| {
            kinds.is_empty() || kind.is_some_and(|kind| kinds.contains(&kind))
        };
        let behind = match self.behaviour() {
            Behaviour::Silent | Behaviour::Closed => return None,
            Behaviour::Answers(code, kinds) if struck(&kinds) => {
                let answer = MessageResponseBuilder::new(&request.queries, None)
                    .error_msg(&request.metadata, code);
                return reply.send_response(answer).await.ok();
            }
            Behaviour::Behind(behind) => behind,
            Behaviour::Well | Behaviour::Answers(..) => Duration::ZERO,
        };
        if request.metadata.op_code == OpCode::Update {
            return self.update(request, reply).await;
        }
        let catalog = self.catalog(behind);
        if let Some(record) = &request.signature {
            return self.answer_signed::<R, T>(request, &catalog, record, reply).await;
        }
        Some(catalog.handle_request::<R, T>(request, reply).await)
    }
}

#[async_trait::async_trait]
impl RequestHandler for Voice {
    async fn handle_request<R: ResponseHandler, T: Time>(
        &self,
        request: &Request,
        reply: R,
    ) -> ResponseInfo {
        let answer = self.answer::<R, T>(request, reply).await;
        self.note(request, answer.as_ref().map(|answer| answer.response_code));
        answer.unwrap_or_else(|| {
            let metadata = Metadata::response_from_request(&request.metadata);
            ResponseInfo::from(Header { metadata, counts: HeaderCounts::default() })
        })
    }
}

/// The sockets of one server; none of one that is closed.
type Sockets = Option<(UdpSocket, TcpListener)>;

fn bind(behaviours: &[Behaviour]) -> Option<(Vec<SocketAddr>, Vec<Sockets>)> {
    let port = UdpSocket::bind((loopback(0), 0)).ok()?.local_addr().ok()?.port();
    let mut sockets = Vec::new();
    for (server, behaviour) in behaviours.iter().enumerate() {
        let address = (loopback(server), port);
        let udp = UdpSocket::bind(address).ok()?;
        let tcp = TcpListener::bind(address).ok()?;
        udp.set_nonblocking(true).ok()?;
        tcp.set_nonblocking(true).ok()?;
        sockets.push((*behaviour != Behaviour::Closed).then_some((udp, tcp)));
    }
    let addresses = (0..behaviours.len()).map(|server| (loopback(server), port).into()).collect();
    Some((addresses, sockets))
}

async fn run(sockets: Vec<Sockets>, shared: Arc<Shared>) {
    let mut servers = Vec::new();
    for (server, sockets) in sockets.into_iter().enumerate() {
        let Some((udp, tcp)) = sockets else { continue };
        let shared = Arc::clone(&shared);
        let mut running = Server::new(Voice { server, shared, catalog: Mutex::new(None) });
        running.register_socket(tokio::net::UdpSocket::from_std(udp).expect("a UDP socket"));
        let tcp = tokio::net::TcpListener::from_std(tcp).expect("a TCP listener");
        running.register_listener(tcp, IDLE, 32);
        servers.push(running);
    }
    std::future::pending::<()>().await;
    drop(servers);
}

fn loopback(server: usize) -> Ipv4Addr {
    let last = u8::try_from(server + 1).expect("fewer than 255 servers");
    Ipv4Addr::new(127, 0, 0, last)
}
