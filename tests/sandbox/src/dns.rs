//! The authoritative DNS: one zone book, several servers of which some may be dead, broken or behind.
//!
//! hickory-server's catalogue answers, so that SOA, NXDOMAIN, CNAME and truncation are those of a server that others
//! use; what stands here is the world around it: who lags, who is silent, and what was asked.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hickory_server::Server;
use hickory_server::net::runtime::{Time, TokioRuntimeProvider};
use hickory_server::net::xfer::Protocol;
pub use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::op::{Header, HeaderCounts, Metadata};
pub use hickory_server::proto::rr::RecordType;
use hickory_server::proto::rr::rdata::{A, CNAME, NS, SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType};

use crate::stage::Stage;

#[cfg(test)]
mod tests;

/// TTL of every record, and of every 'there is none' (RFC 2308): long enough that a client which trusts a cache is seen.
const TTL: u32 = 600;

/// A TCP connection without a question for so long is closed.
const IDLE: Duration = Duration::from_secs(10);

/// How often a free port is looked for that is free on all addresses, UDP and TCP.
const TRIES: usize = 50;

/// The longest string of a TXT record (RFC 1035 section 3.3.14).
const TXT_STRING: usize = 255;

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

    /// Ends all servers.
    pub fn stop(&mut self) {
        drop(self.stage.take());
    }
}

/// The zones and their records, shared by whoever changes them.
#[derive(Clone)]
pub struct Zones {
    book: Arc<Mutex<Book>>,
}

impl Zones {
    /// Adds an empty zone, which has its SOA, NS and the addresses of those; one that is there stays as it is.
    pub fn add(&self, zone: &str) {
        let mut pages = self.book().latest();
        pages.entry(plain(zone)).or_default();
        self.book().turn(pages);
    }

    /// Removes a zone: its names are refused from now on.
    pub fn remove(&self, zone: &str) {
        let mut pages = self.book().latest();
        pages.remove(&plain(zone));
        self.book().turn(pages);
    }

    /// Sets all values of one type (`TXT`, `CNAME`, `A`, `NS`) at a full name; none takes the record away.
    /// Values of other types are not published.
    pub fn set(&self, zone: &str, fqdn: &str, kind: &str, values: &[String]) {
        let mut book = self.book();
        let mut pages = book.latest();
        let mut page = pages.get(&plain(zone)).map(|page| (**page).clone()).unwrap_or_default();
        let key = (plain(fqdn), kind.to_owned());
        match values {
            [] => drop(page.remove(&key)),
            values => drop(page.insert(key, values.to_vec())),
        }
        pages.insert(plain(zone), Arc::new(page));
        book.turn(pages);
    }

    /// The values of one type at a full name, in any zone.
    pub fn values(&self, fqdn: &str, kind: &str) -> Vec<String> {
        let key = (plain(fqdn), kind.to_owned());
        let pages = self.book().latest();
        pages.values().filter_map(|page| page.get(&key)).flatten().cloned().collect()
    }

    fn named(servers: usize) -> Self {
        let edition = Edition { at: Instant::now(), pages: Pages::new() };
        Self { book: Arc::new(Mutex::new(Book { servers, editions: vec![edition] })) }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("the zone book, whole")
    }
}

/// Zone -> ((full name, type) -> values).
type Pages = BTreeMap<String, Arc<BTreeMap<(String, String), Vec<String>>>>;

/// Every edition of the zones, so that a server can be behind.
struct Book {
    servers: usize,
    editions: Vec<Edition>,
}

struct Edition {
    at: Instant,
    pages: Pages,
}

impl Book {
    fn latest(&self) -> Pages {
        self.editions.last().map(|edition| edition.pages.clone()).unwrap_or_default()
    }

    fn turn(&mut self, pages: Pages) {
        self.editions.push(Edition { at: Instant::now(), pages });
    }

    /// The number of the edition that a server so far behind has; the first one it always has.
    fn known(&self, behind: Duration) -> usize {
        let old = |edition: &Edition| edition.at.elapsed() >= behind;
        self.editions.iter().rposition(old).unwrap_or(0)
    }

    fn catalog(&self, number: usize) -> Catalog {
        let mut catalog = Catalog::new();
        for (zone, page) in &self.editions[number].pages {
            let origin = name(zone);
            let serial = u32::try_from(number).unwrap_or(u32::MAX);
            let mut handler = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
                origin.clone(),
                ZoneType::Primary,
                AxfrPolicy::Deny,
            );
            for record in self.apex(zone, serial).into_iter().chain(records(page)) {
                handler.upsert_mut(record, serial);
            }
            catalog.upsert(LowerName::new(&origin), vec![Arc::new(handler)]);
        }
        catalog
    }

    /// SOA, NS, and the addresses of the name servers.
    fn apex(&self, zone: &str, serial: u32) -> Vec<Record> {
        let host = |server: usize| name(&format!("ns{}.{zone}", server + 1));
        // Refresh, retry and expire are for secondaries, of which there are none.
        let soa =
            SOA::new(host(0), name(&format!("hostmaster.{zone}")), serial, 900, 300, 86_400, TTL);
        let mut apex = vec![Record::from_rdata(name(zone), TTL, RData::SOA(soa))];
        for server in 0..self.servers {
            apex.push(Record::from_rdata(name(zone), TTL, RData::NS(NS(host(server)))));
            apex.push(Record::from_rdata(host(server), TTL, RData::A(A(loopback(server)))));
        }
        apex
    }
}

/// What the handle and the servers hold.
struct Shared {
    zones: Zones,
    behaviours: Mutex<Vec<Behaviour>>,
    queries: Mutex<Vec<Query>>,
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
        let catalog = self.catalog(behind);
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

fn records(page: &BTreeMap<(String, String), Vec<String>>) -> Vec<Record> {
    let mut records = Vec::new();
    for ((fqdn, kind), values) in page {
        // A set has each value once (RFC 2181 section 5), whatever the provider holds.
        let values: BTreeSet<&String> = values.iter().collect();
        let rdata = values.into_iter().filter_map(|value| rdata(kind, value));
        records.extend(rdata.map(|rdata| Record::from_rdata(name(fqdn), TTL, rdata)));
    }
    records
}

fn rdata(kind: &str, value: &str) -> Option<RData> {
    match kind {
        "TXT" => {
            let strings = value.as_bytes().chunks(TXT_STRING);
            let strings = strings.map(|string| String::from_utf8_lossy(string).into_owned());
            Some(RData::TXT(TXT::new(strings.collect())))
        }
        "CNAME" => Some(RData::CNAME(CNAME(name(value)))),
        "NS" => Some(RData::NS(NS(name(value)))),
        "A" => value.parse().ok().map(|address: Ipv4Addr| RData::A(A(address))),
        _ => None,
    }
}

fn loopback(server: usize) -> Ipv4Addr {
    let last = u8::try_from(server + 1).expect("fewer than 255 servers");
    Ipv4Addr::new(127, 0, 0, last)
}

fn name(text: &str) -> Name {
    let mut name =
        Name::from_utf8(text).unwrap_or_else(|error| panic!("DNS name {text:?}: {error}"));
    name.set_fqdn(true);
    name
}

/// Lower case, without the last dot.
fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}
