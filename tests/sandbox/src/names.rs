//! Other ways into the same DNS: an acme-dns, a webhook as lego's httpreq calls it, a PowerDNS, and a resolver by HTTPS.
//!
//! <https://github.com/joohoi/acme-dns>, <https://go-acme.github.io/lego/dns/httpreq/>,
//! <https://doc.powerdns.com/authoritative/http-api/zone.html>, RFC 8484. What they are told goes into the zone book.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

mod serve;
#[cfg(test)]
mod tests;

use crate::dns::{Dns, Zones};
use crate::fault::{Fault, Faults};
use crate::stage::Stage;

/// The zone that the acme-dns serves.
pub const AUTH_ZONE: &str = "auth.test";

/// Who may call the webhook.
pub const HOOK_USER: &str = "ops";

/// And by which password; also the key of the PowerDNS.
pub const HOOK_PASSWORD: &str = "sandbox-password-of-the-hook";

/// One call as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// The path, without the query.
    pub path: String,
    /// The status that it was answered.
    pub status: u16,
}

/// The running services; they end when this is dropped.
pub struct Names {
    address: SocketAddr,
    shared: Arc<Shared>,
    _stage: Stage,
}

/// What the handle and the server both hold.
struct Shared {
    zones: Zones,
    /// Where the resolver asks.
    server: SocketAddr,
    state: Mutex<State>,
}

/// All that the services remember.
#[derive(Default)]
struct State {
    accounts: Vec<Account>,
    calls: Vec<Call>,
    faults: Faults,
}

/// An account of the acme-dns.
#[derive(Clone)]
struct Account {
    username: String,
    password: String,
    subdomain: String,
    /// The last two, the newest last.
    values: Vec<String>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the services' state, whole")
    }
}

impl Names {
    /// Starts the services on a free port of 127.0.0.1, plain HTTP; [`AUTH_ZONE`] is added to the zones.
    ///
    /// # Panics
    /// When no port can be bound.
    pub fn start(dns: &Dns) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("its own address");
        dns.zones().add(AUTH_ZONE);
        let (zones, server) = (dns.zones(), dns.addresses()[0]);
        let shared = Arc::new(Shared { zones, server, state: Mutex::default() });
        let served = Arc::clone(&shared);
        let stage = Stage::open("names", move || serve::run(listener, served));
        Self { address, shared, _stage: stage }
    }

    /// Where a service is: `acme-dns`, `hook`, `dns-query`, or nothing for the PowerDNS.
    pub fn url(&self, service: &str) -> String {
        format!("http://{}/{service}", self.address).trim_end_matches('/').to_owned()
    }

    /// The calls whose path begins so, the oldest first.
    pub fn calls(&self, path: &str) -> Vec<Call> {
        self.shared
            .state()
            .calls
            .iter()
            .filter(|call| call.path.starts_with(path))
            .cloned()
            .collect()
    }

    /// Adds a fault, at `register`, `update`, `present`, `cleanup`, `dns-query`, `zones` (the PowerDNS) or `*`.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().faults.add(fault);
    }

    /// Takes all faults away, spent or not.
    pub fn heal(&self) {
        self.shared.state().faults.heal();
    }

    /// How many faults have not struck as often as they should.
    pub fn faults_left(&self) -> usize {
        self.shared.state().faults.left()
    }

    /// The password of every account of the acme-dns.
    pub fn passwords(&self) -> Vec<String> {
        self.shared.state().accounts.iter().map(|account| account.password.clone()).collect()
    }
}
