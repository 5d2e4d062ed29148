//! The cloud: the CDN, alidns and STS endpoints of Alibaba Cloud at one address, hostile by default.
//!
//! Written from the API documents alone and with nothing of the client's, so that an error in the client's
//! signature, parameters or PEM cannot hide here. See [`Rules`] for what is strict and [`Fault`] for what fails.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::{SignedDuration, Timestamp};

mod alidns;
mod answer;
mod cdn;
mod certificate;
mod gate;
mod policy;
mod record;
mod request;
mod role;
mod seed;
mod serve;
mod sign;
mod state;
mod sts;
#[cfg(test)]
mod tests;
mod txt;

pub use record::Call;
pub use role::{Identity, Oidc, Role};
pub use seed::{
    Account, DEFAULT_UID, Domain, ForceSet, KeyFormat, Lag, OffShows, Rules, Seed, Zone,
};
pub use state::{Served, ZoneRecord};

pub use crate::fault::{Ending, Fault};
use crate::stage::Stage;
pub(crate) use certificate::fingerprint;
use state::State;
pub(crate) use sts::{Credentials, instant};
use txt::Sinks;

/// The session that an instance's keys belong to.
const INSTANCE_SESSION: &str = "vm-ram-i-sandbox";

/// A running cloud; it ends when it is dropped.
pub struct Cloud {
    address: SocketAddr,
    shared: Arc<Shared>,
    stage: Option<Stage>,
}

/// What the handle and the server both hold.
pub(crate) struct Shared {
    state: Mutex<State>,
    sinks: Sinks,
}

impl Shared {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the cloud's state, whole: no call panicked")
    }
}

/// What the domains serve, for the edge.
#[derive(Clone)]
pub(crate) struct Serving(Arc<Shared>);

impl Serving {
    /// The domain that serves a host name, and what it serves.
    pub(crate) fn at(&self, host: &str) -> Option<(String, Served)> {
        self.0.state().serving(host)
    }
}

/// Temporary keys without a call, for the metadata service.
#[derive(Clone)]
pub(crate) struct Issuing(Arc<Shared>);

impl Issuing {
    /// A session of the role of this name; `None` when the cloud has no such role.
    pub(crate) fn open(&self, role: &str, lives: SignedDuration) -> Option<Credentials> {
        let mut state = self.0.state();
        let role = state.roles.values().find(|known| known.name == role).cloned()?;
        Some(sts::open_session(&mut state, &role, INSTANCE_SESSION, lives, None))
    }

    /// The cloud's clock.
    pub(crate) fn now(&self) -> Timestamp {
        self.0.state().now()
    }
}

impl Cloud {
    /// Starts a cloud on a free port of 127.0.0.1, plain HTTP, on a thread of its own.
    ///
    /// # Panics
    /// When no port can be bound.
    pub fn start(seed: Seed) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("a free port of 127.0.0.1 for the cloud");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("the cloud's own address");
        let (state, sinks) = State::seeded(seed);
        sinks.fill(&state);
        let shared = Arc::new(Shared { state: Mutex::new(state), sinks });
        let served = Arc::clone(&shared);
        let stage = Stage::open("cloud", move || serve::run(listener, served));
        Self { address, shared, stage: Some(stage) }
    }

    /// The address of all its endpoints, for example `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Ends the cloud: its port refuses connections from now on. Its state can still be looked at.
    pub fn stop(&mut self) {
        drop(self.stage.take());
    }

    /// Adds a fault; faults are tried in the order in which they were added.
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

    /// Changes the rules of the running cloud.
    pub fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.shared.state().rules);
    }

    /// Changes an account, found by its AccessKeyId: switched off, a new token, other permissions.
    ///
    /// # Panics
    /// When there is no such account.
    pub fn account(&self, access_key_id: &str, change: impl FnOnce(&mut Account)) {
        let mut state = self.shared.state();
        let account = state.accounts.get_mut(access_key_id);
        change(account.unwrap_or_else(|| panic!("the cloud has no AccessKey {access_key_id:?}")));
    }

    /// Adds an account's AccessKey, or replaces the one of its AccessKeyId.
    pub fn add_account(&self, account: Account) {
        self.shared.state().accounts.insert(account.access_key_id.clone(), account);
    }

    /// The AccessKeyIds of all temporary keys that STS and the metadata service gave so far, expired ones too.
    pub fn temporary_keys(&self) -> Vec<String> {
        let state = self.shared.state();
        let is_temporary =
            |account: &&Account| matches!(account.identity, Identity::Session { .. });
        let keys = state.accounts.values().filter(is_temporary);
        keys.map(|account| account.access_key_id.clone()).collect()
    }

    /// All temporary keys have expired from now on, whatever was told about them.
    pub fn expire_temporary_keys(&self) {
        for key in self.temporary_keys() {
            self.account(&key, |account| account.token_expired = true);
        }
    }

    /// Adds a RAM role, or replaces the one of its ARN; its sessions go by the new one at once.
    pub fn add_role(&self, role: Role) {
        self.shared.state().roles.insert(role.arn(), role);
    }

    /// Deletes a RAM role: nobody can assume it, and its sessions may do nothing.
    pub fn remove_role(&self, arn: &str) {
        self.shared.state().roles.remove(arn);
    }

    /// Changes a provider of OIDC tokens, for example by [`Oidc::rotate`].
    ///
    /// # Panics
    /// When there is no such provider.
    pub fn oidc(&self, arn: &str, change: impl FnOnce(&mut Oidc)) {
        let mut state = self.shared.state();
        let oidc = state.oidc.get_mut(arn);
        change(oidc.unwrap_or_else(|| panic!("the cloud has no OIDC provider {arn:?}")));
    }

    /// Every call of this action so far, the oldest first.
    pub fn calls(&self, action: &str) -> Vec<Call> {
        self.shared.state().calls.iter().filter(|call| call.action == action).cloned().collect()
    }

    /// Every call so far, the oldest first.
    pub fn all_calls(&self) -> Vec<Call> {
        self.shared.state().calls.clone()
    }

    /// Forgets the calls so far, so that a test can speak of its second part alone.
    pub fn forget_calls(&self) {
        self.shared.state().calls.clear();
    }

    /// Adds a CDN domain, or replaces the one of its name with all that it serves.
    pub fn add_domain(&self, domain: Domain) {
        self.shared.state().add_domain(domain);
    }

    /// Removes a CDN domain, as its owner would in the console.
    pub fn remove_domain(&self, name: &str) {
        self.shared.state().domains.remove(name);
    }

    /// Changes a CDN domain's status: `online`, `offline`, `configuring`, …
    ///
    /// # Panics
    /// When there is no such domain.
    pub fn set_status(&self, name: &str, status: &str) {
        self.shared.state().domain_mut(name).status = status.to_owned();
    }

    /// What the domain serves now, whatever the read-back shows; `None` while its HTTPS is off.
    ///
    /// # Panics
    /// When there is no such domain.
    pub fn served(&self, name: &str) -> Option<Served> {
        self.shared.state().served(name)
    }

    /// The SHA-256 of the leaf that the domain serves, lower hex.
    pub fn served_fingerprint(&self, name: &str) -> Option<String> {
        self.served(name).map(|served| served.fingerprint)
    }

    /// What the metadata service takes its keys from; it stays good when the cloud has stopped.
    pub(crate) fn issuing(&self) -> Issuing {
        Issuing(Arc::clone(&self.shared))
    }

    /// What the cloud's edge looks at; it stays good when the cloud has stopped.
    pub(crate) fn serving(&self) -> Serving {
        Serving(Arc::clone(&self.shared))
    }

    /// A change in the console: the domain serves this chain from now on, shown at once.
    ///
    /// # Panics
    /// When there is no such domain, or the chain holds no certificate.
    pub fn set_served(&self, name: &str, cert_name: &str, chain_pem: &str, key_pem: &str) {
        self.shared.state().set_served(name, cert_name, chain_pem, key_pem);
    }

    /// A change in the console: HTTPS of the domain is off from now on, shown at once.
    ///
    /// # Panics
    /// When there is no such domain.
    pub fn switch_off(&self, name: &str) {
        let mut state = self.shared.state();
        let domain = state.domain_mut(name);
        domain.bound = None;
        domain.before = None;
    }

    /// The names of all certificates that the account holds: a heap here is a client that cleans up nothing.
    pub fn cert_names(&self, uid: &str) -> Vec<String> {
        let state = self.shared.state();
        let names = state.certificates.keys().filter(|(owner, _)| owner == uid);
        names.map(|(_, name)| name.clone()).collect()
    }

    /// The records of an alidns zone, the oldest first; empty when there is no such zone.
    pub fn records(&self, zone: &str) -> Vec<ZoneRecord> {
        self.shared.state().zones.get(zone).map(|zone| zone.records.clone()).unwrap_or_default()
    }

    /// The TXT values at one name, in the order in which they were added.
    pub fn txt(&self, fqdn: &str) -> Vec<String> {
        self.shared.state().values_at(fqdn, "TXT")
    }

    /// The cloud's clock: the machine's, moved by [`Rules::clock_ahead`].
    pub fn now(&self) -> Timestamp {
        self.shared.state().now()
    }

    /// How many calls of each action there were, for a test's one-line assertion.
    pub fn tally(&self) -> BTreeMap<String, usize> {
        let mut tally = BTreeMap::new();
        for call in &self.shared.state().calls {
            *tally.entry(call.action.clone()).or_insert(0) += 1;
        }
        tally
    }
}
