//! The metadata service of an ECS instance, and a credentials URI: temporary keys for whoever can reach the address.
//!
//! <https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata>; what the page leaves open (the statuses of
//! refusals, how early keys are renewed) is our own reading.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

mod serve;
#[cfg(test)]
mod tests;

use crate::cloud::{Cloud, Credentials, Issuing};
use crate::fault::{Ending, Fault, Faults};
use crate::stage::Stage;

/// How the instance lets itself be asked; the document's two modes, and what was before them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// IMDSv1 and v2: a call needs no token, but one that is sent must be good.
    Optional,
    /// IMDSv2 only: a call without a good token is refused.
    Required,
    /// IMDSv1 only: there is no token to be had.
    Unknown,
}

/// How the service behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The name of the role that is attached to the instance. One that the cloud does not have gives no keys.
    pub role: Option<String>,
    /// The name of the role whose keys the credentials URI hands out.
    pub uri_role: Option<String>,
    /// How it lets itself be asked.
    pub tokens: Tokens,
    /// How long keys live.
    pub lives: SignedDuration,
    /// New keys are handed out when those of before live for less than this.
    pub renewed: SignedDuration,
    /// What every answer waits for.
    pub latency: Duration,
}

impl Rules {
    /// No role anywhere, asked in either way; keys of six hours, renewed half an hour before their end.
    pub fn new() -> Self {
        Self {
            role: None,
            uri_role: None,
            tokens: Tokens::Optional,
            lives: SignedDuration::from_hours(6),
            renewed: SignedDuration::from_mins(30),
            latency: Duration::ZERO,
        }
    }

    /// The same with this role at the instance and at the URI.
    pub fn of_role(name: impl Into<String>) -> Self {
        let name = name.into();
        Self { role: Some(name.clone()), uri_role: Some(name), ..Self::new() }
    }
}

impl Default for Rules {
    fn default() -> Self {
        Self::new()
    }
}

/// One call as it came.
#[derive(Clone, Debug)]
pub struct Call {
    /// What it asked for, the name that a [`Fault`] is at: `token`, `roles`, `credentials`, `uri`; empty for anything else.
    pub kind: String,
    /// The HTTP method.
    pub method: String,
    /// The path with its query.
    pub path: String,
    /// The request's headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// When it came, by the cloud's clock.
    pub at: Timestamp,
    /// How it ended; the code of a refusal is its HTTP status, or `Code` of a document that holds no keys.
    pub ending: Ending,
}

/// A running metadata service; it ends when it is dropped.
pub struct Metadata {
    address: SocketAddr,
    shared: Arc<Shared>,
    stage: Option<Stage>,
}

/// What the handle and the server both hold.
pub(crate) struct Shared {
    state: Mutex<State>,
    issuing: Issuing,
}

/// All that the service remembers.
pub(crate) struct State {
    rules: Rules,
    /// Until when each token is good.
    tokens: BTreeMap<String, Timestamp>,
    /// The keys of each role as they are handed out now, and since when.
    current: BTreeMap<String, (Credentials, Timestamp)>,
    faults: Faults,
    calls: Vec<Call>,
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("the service's state, whole: no call panicked")
    }
}

impl Metadata {
    /// Starts the service on a free port of 127.0.0.1, plain HTTP, on a thread of its own; its keys are good at this cloud.
    ///
    /// # Panics
    /// When no port can be bound.
    pub fn start(cloud: &Cloud, rules: Rules) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .expect("a free port of 127.0.0.1 for the metadata service");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("its own address");
        let state = State {
            rules,
            tokens: BTreeMap::new(),
            current: BTreeMap::new(),
            faults: Faults::default(),
            calls: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), issuing: cloud.issuing() });
        let served = Arc::clone(&shared);
        let stage = Stage::open("metadata", move || serve::run(listener, served));
        Self { address, shared, stage: Some(stage) }
    }

    /// What stands for `http://100.100.100.200`, for example `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A value of ALIBABA_CLOUD_CREDENTIALS_URI.
    pub fn credentials_uri(&self) -> String {
        format!("http://{}{}", self.address, serve::URI)
    }

    /// Ends the service: its port refuses connections from now on.
    pub fn stop(&mut self) {
        drop(self.stage.take());
    }

    /// Adds a fault, at `token`, `roles`, `credentials`, `uri` or `*`; they are tried in the order in which they were added.
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

    /// Changes the rules of the running service.
    pub fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.shared.state().rules);
    }

    /// Other keys from now on; those of before stay good until they expire.
    pub fn rotate(&self) {
        self.shared.state().current.clear();
    }

    /// No token that was handed out is good any more.
    pub fn forget_tokens(&self) {
        self.shared.state().tokens.clear();
    }

    /// Every call of this kind so far, the oldest first.
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
}
