//! The CA: RFC 8555 over HTTPS with ARI, profiles and external accounts, hostile by default.
//!
//! Written from the RFCs alone and with nothing of the client's. It validates by really asking the sandbox's DNS. See
//! [`Rules`] for what is strict and slow, and [`Fault`] for what fails.

#![allow(clippy::result_large_err, reason = "a refusal is no larger than the answer beside it")]

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value;
use tokio_rustls::TlsAcceptor;

mod account;
mod ask;
mod caa;
mod csr;
mod gate;
mod hierarchy;
mod jose;
mod names;
mod order;
mod persist;
mod place;
mod problem;
mod record;
mod renewal;
mod revoke;
mod seed;
mod serve;
mod state;
#[cfg(test)]
mod tests;
mod validate;

pub use crate::fault::{Ending, Fault};
pub use record::{Account, Call, Certificate, Order};
pub use seed::{Persist, Profile, RetryAs, Rules, Seed, Window};

use crate::stage::Stage;
use crate::wire::Answer;
use state::State;

/// A running CA; it ends when it is dropped.
pub struct Ca {
    address: SocketAddr,
    tls_root: String,
    shared: Arc<Shared>,
    stage: Option<Stage>,
}

/// What the handle and the server both hold.
pub(crate) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the CA's state, whole: no call panicked")
    }
}

impl Ca {
    /// Starts a CA on a free port of 127.0.0.1, on a thread of its own, with issuers and a TLS root of its own.
    ///
    /// # Panics
    /// When no port can be bound.
    pub fn start(seed: Seed) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("a free port of 127.0.0.1 for the CA");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("the CA's own address");
        let (tls_root, acceptor) = tls();
        let state = State::new(seed, format!("https://{address}"));
        let shared = Arc::new(Shared { state: Mutex::new(state) });
        let served = Arc::clone(&shared);
        let stage = Stage::open("ca", move || serve::run(listener, acceptor, served));
        Self { address, tls_root, shared, stage: Some(stage) }
    }

    /// The directory, for example `https://127.0.0.1:40001/directory`.
    pub fn directory_url(&self) -> String {
        format!("https://{}/directory", self.address)
    }

    /// The root of the CA's own HTTPS, in PEM.
    pub fn tls_root_pem(&self) -> &str {
        &self.tls_root
    }

    /// The roots that all chains end at, in PEM: `Sandbox Root E` (ECDSA) and `Sandbox Root R` (RSA).
    pub fn roots(&self) -> String {
        self.shared.state().hierarchy.roots.clone()
    }

    /// Ends the CA: its port refuses connections from now on. Its state can still be looked at.
    pub fn stop(&mut self) {
        drop(self.stage.take());
    }

    /// Adds a fault; faults are tried in the order in which they were added. They strike calls that passed the gate.
    pub fn fault(&self, fault: Fault) {
        self.shared.state().faults.add(fault);
    }

    /// Takes all faults away, spent or not.
    pub fn heal(&self) {
        self.shared.state().faults.heal();
    }

    /// How many faults have not struck as often as they should: a test that leaves some has tested nothing.
    pub fn faults_left(&self) -> usize {
        self.shared.state().faults.left()
    }

    /// Changes the rules of the running CA.
    pub fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.shared.state().rules);
    }

    /// Every call of this kind so far, the oldest first; see [`Call::kind`].
    pub fn calls(&self, kind: &str) -> Vec<Call> {
        self.shared.state().calls.iter().filter(|call| call.kind == kind).cloned().collect()
    }

    /// Every call so far, the oldest first.
    pub fn all_calls(&self) -> Vec<Call> {
        self.shared.state().calls.clone()
    }

    /// Forgets the calls so far, so that a test can speak of its second part alone.
    pub fn forget_calls(&self) {
        self.shared.state().calls.clear();
    }

    /// All accounts, the oldest first.
    pub fn accounts(&self) -> Vec<Account> {
        self.shared.state().show_accounts()
    }

    /// All orders, the oldest first.
    pub fn orders(&self) -> Vec<Order> {
        self.shared.state().show_orders()
    }

    /// All certificates, the oldest first.
    pub fn certificates(&self) -> Vec<Certificate> {
        self.shared.state().show_certificates()
    }

    /// Gives one certificate a renewal window of its own.
    ///
    /// # Panics
    /// When there is no certificate of this serial number (lower hex).
    pub fn set_window(&self, serial: &str, window: Window) {
        self.change(serial, |certificate| certificate.window = Some(window));
    }

    /// Revokes a certificate, for a reason that its owner did not give.
    ///
    /// # Panics
    /// When there is no certificate of this serial number (lower hex).
    pub fn revoke(&self, serial: &str) {
        self.change(serial, |certificate| certificate.revoked = Some(4));
    }

    /// Says of a certificate that another one has replaced it already.
    ///
    /// # Panics
    /// When there is no certificate of this serial number (lower hex).
    pub fn call_replaced(&self, serial: &str) {
        self.change(serial, |certificate| certificate.replaced = true);
    }

    fn change(&self, serial: &str, change: impl FnOnce(&mut state::CertificateState)) {
        let mut state = self.shared.state();
        let mut all = state.certificates.iter_mut();
        let found = all.find(|one| state::hex(&one.issued.serial) == serial);
        change(found.unwrap_or_else(|| panic!("the CA has no certificate {serial:?}")));
    }

    /// Blocks the key of a certificate in PEM: no CSR may have it any more.
    ///
    /// # Panics
    /// When it is no certificate.
    pub fn block_key(&self, certificate_pem: &str) {
        let der = pem::parse(certificate_pem).expect("a certificate in PEM");
        let bits = csr::bits_of_certificate(der.contents()).expect("a certificate");
        self.shared.state().blocked.insert(bits);
    }

    /// Forgets all nonces, as a CA does that is restarted.
    pub fn forget_nonces(&self) {
        self.shared.state().nonces.clear();
    }

    /// Lets all authorizations run out now.
    pub fn expire_authorizations(&self) {
        let mut state = self.shared.state();
        let now = state.now();
        state.authorizations.iter_mut().for_each(|one| one.expires = now);
    }

    /// The CA's clock: the machine's, moved by [`Rules::clock_ahead`].
    pub fn now(&self) -> Timestamp {
        self.shared.state().now()
    }
}

/// A call that was carried out: its answer, and the challenge that is to be validated.
pub(crate) struct Done {
    pub(crate) answer: Answer,
    pub(crate) validate: Option<(usize, usize)>,
}

impl Done {
    fn of(answer: Answer) -> Self {
        Self { answer, validate: None }
    }

    fn json(status: u16, document: &Value) -> Self {
        Self::of(Answer::written(status, "application/json", document.to_string()))
    }

    fn header(mut self, name: &str, value: String) -> Self {
        self.answer.headers.push((name.to_owned(), value));
        self
    }
}

fn tls() -> (String, TlsAcceptor) {
    let (root, certificate, key) = hierarchy::tls_identity();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("protocol versions")
        .with_no_client_auth()
        .with_single_cert(
            vec![CertificateDer::from(certificate)],
            PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key)),
        )
        .expect("the CA's own certificate and key");
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    (root, TlsAcceptor::from(Arc::new(config)))
}
