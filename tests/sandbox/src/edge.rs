//! The edge: TLS by SNI on both loopback addresses, with what the cloud was given.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::cloud::{Cloud, Served, Serving};
use crate::stage::Stage;

/// How often a port is looked for that is free on both addresses.
const TRIES: usize = 50;

/// A client that says nothing for so long is left.
const PATIENCE: Duration = Duration::from_secs(10);

/// The longest head of a request that is read.
const HEAD: usize = 16 * 1024;

/// A handshake that was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Handshake {
    /// The name that the client asked for.
    pub name: Option<String>,
    /// The CDN domain that serves it, `.example.com` for a wildcard; `None`: refused.
    pub domain: Option<String>,
    /// The SHA-256 of the leaf that was shown, lower hex.
    pub fingerprint: Option<String>,
    /// It came to the IPv6 address.
    pub ipv6: bool,
    /// It was carried through: the client took the certificate.
    pub done: bool,
    /// When it began.
    pub at: Instant,
}

/// A running edge; it ends when it is dropped.
pub struct Edge {
    addresses: Vec<SocketAddr>,
    shows: Shows,
    handshakes: Arc<Mutex<Vec<Handshake>>>,
    stage: Option<Stage>,
}

impl Edge {
    /// Starts an edge of this cloud on one free port of 127.0.0.1 and, where the machine has IPv6, of ::1.
    ///
    /// # Panics
    /// When no port can be bound.
    pub fn start(cloud: &Cloud) -> Self {
        let listeners = (0..TRIES).find_map(|_| bind()).expect("a free port on both addresses");
        let addresses = listeners.iter().map(|one| one.local_addr().expect("an address")).collect();
        let handshakes = Arc::new(Mutex::new(Vec::new()));
        let shows = Shows::default();
        let front = Front {
            shows: Arc::clone(&shows),
            cloud: cloud.serving(),
            keys: Arc::new(Mutex::new(HashMap::new())),
            handshakes: Arc::clone(&handshakes),
        };
        let stage = Stage::open("edge", move || run(listeners, front));
        Self { addresses, shows, handshakes, stage: Some(stage) }
    }

    /// The next so many handshakes with this host name get this chain and key, whatever the cloud was given: an edge
    /// that is late, or wrong.
    pub fn show(&self, host: &str, pair: (&str, &str), times: usize) {
        let pair = (pair.0.to_owned(), pair.1.to_owned());
        self.shows.lock().expect("what is shown").insert(host.to_lowercase(), (times, pair));
    }

    /// Its addresses: 127.0.0.1 first, then ::1 where there is one.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The one port of all its addresses.
    pub fn port(&self) -> u16 {
        self.addresses[0].port()
    }

    /// Every handshake so far, the oldest first.
    pub fn handshakes(&self) -> Vec<Handshake> {
        self.handshakes.lock().expect("handshakes").clone()
    }

    /// Forgets the handshakes so far.
    pub fn forget_handshakes(&self) {
        self.handshakes.lock().expect("handshakes").clear();
    }

    /// Ends the edge: its port refuses connections from now on.
    pub fn stop(&mut self) {
        drop(self.stage.take());
    }
}

/// By host name: for how many handshakes yet, and a chain and its key.
type Shows = Arc<Mutex<HashMap<String, (usize, (String, String))>>>;

/// What all connections share.
#[derive(Clone)]
struct Front {
    cloud: Serving,
    shows: Shows,
    /// Keys that were read before, by chain.
    keys: Arc<Mutex<HashMap<String, Arc<CertifiedKey>>>>,
    handshakes: Arc<Mutex<Vec<Handshake>>>,
}

impl Front {
    /// Serves one connection: the domain's name, by HTTP.
    async fn serve(self, stream: TcpStream, ipv6: bool) -> io::Result<()> {
        let choice = Arc::new(Choice { front: self.clone(), ipv6, place: Mutex::new(None) });
        let resolver: Arc<dyn ResolvesServerCert> = Arc::<Choice>::clone(&choice);
        let mut stream = TlsAcceptor::from(Arc::new(config(resolver))).accept(stream).await?;
        let name = self.finish(&choice);
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD {
            if stream.read_buf(&mut head).await? == 0 {
                return Ok(());
            }
        }
        let length = name.len();
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{name}"
        );
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    }

    /// Notes that a handshake was carried through, and tells the domain.
    fn finish(&self, choice: &Choice) -> String {
        let place = *choice.place.lock().expect("a place");
        let mut all = self.handshakes.lock().expect("handshakes");
        let Some(handshake) = place.and_then(|place| all.get_mut(place)) else {
            return String::new();
        };
        handshake.done = true;
        handshake.domain.clone().unwrap_or_default()
    }

    /// What the domain of this host name serves, or what it was told to show.
    fn at(&self, host: &str) -> Option<(String, Served)> {
        let (domain, served) = self.cloud.at(host)?;
        let mut shows = self.shows.lock().expect("what is shown");
        let Some((left, (chain, key))) = shows.get_mut(host).filter(|(left, _)| *left > 0) else {
            return Some((domain, served));
        };
        *left -= 1;
        let fingerprint = crate::cloud::fingerprint(chain).unwrap_or_default();
        let (chain_pem, key_pem) = (chain.clone(), key.clone());
        Some((domain, Served { chain_pem, key_pem, fingerprint, ..served }))
    }

    fn key(&self, served: &Served) -> Option<Arc<CertifiedKey>> {
        let mut keys = self.keys.lock().expect("keys");
        if let Some(key) = keys.get(&served.chain_pem) {
            return Some(Arc::clone(key));
        }
        let chain = CertificateDer::pem_slice_iter(served.chain_pem.as_bytes());
        let chain = chain.collect::<Result<Vec<_>, _>>().ok()?;
        let key = PrivateKeyDer::from_pem_slice(served.key_pem.as_bytes()).ok()?;
        let key = Arc::new(CertifiedKey::new(chain, any_supported_type(&key).ok()?));
        keys.insert(served.chain_pem.clone(), Arc::clone(&key));
        Some(key)
    }
}

/// One handshake's choice of a certificate.
struct Choice {
    front: Front,
    ipv6: bool,
    /// Where the handshake stands in the record.
    place: Mutex<Option<usize>>,
}

impl fmt::Debug for Choice {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Choice")
    }
}

impl ResolvesServerCert for Choice {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().map(str::to_lowercase);
        let serving = name.as_deref().and_then(|name| self.front.at(name));
        let mut all = self.front.handshakes.lock().expect("handshakes");
        *self.place.lock().expect("a place") = Some(all.len());
        all.push(Handshake {
            name,
            domain: serving.as_ref().map(|(domain, _)| domain.clone()),
            fingerprint: serving.as_ref().map(|(_, served)| served.fingerprint.clone()),
            ipv6: self.ipv6,
            done: false,
            at: Instant::now(),
        });
        drop(all);
        serving.and_then(|(_, served)| self.front.key(&served))
    }
}

fn config(resolver: Arc<dyn ResolvesServerCert>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions");
    let mut config = builder.with_no_client_auth().with_cert_resolver(resolver);
    // A resumed session would show no certificate, and a client asks for what is served now.
    config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config
}

fn bind() -> Option<Vec<TcpListener>> {
    let first = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    let port = first.local_addr().ok()?.port();
    let mut listeners = vec![first];
    match TcpListener::bind((Ipv6Addr::LOCALHOST, port)) {
        Ok(second) => listeners.push(second),
        // A machine without IPv6 has an edge without it; a port that is taken is another matter.
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => return None,
        Err(_) => {}
    }
    for listener in &listeners {
        listener.set_nonblocking(true).ok()?;
    }
    Some(listeners)
}

async fn run(listeners: Vec<TcpListener>, front: Front) {
    let accepting = listeners.into_iter().map(|listener| accept(listener, front.clone()));
    futures_util::future::join_all(accepting).await;
}

async fn accept(listener: TcpListener, front: Front) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the edge's listener");
    loop {
        let Ok((stream, from)) = listener.accept().await else { continue };
        let ipv6 = matches!(from.ip(), IpAddr::V6(_));
        let serving = front.clone().serve(stream, ipv6);
        // How a connection ends concerns its client only.
        tokio::spawn(async move { drop(tokio::time::timeout(PATIENCE, serving).await) });
    }
}

#[cfg(test)]
mod tests;
