//! Issues a Cert by ACME (RFC 8555) and DNS-01: account, order, proof, finalize. What was begun is carried on.

mod account;
mod acme;
mod answer;
mod begin;
mod chain;
mod heard;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
mod jws;
mod key;
mod ladder;
mod order;
mod persist;
mod refusal;
mod registered;
mod wish;

use std::borrow::Cow;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Mutex, OnceCell};

use self::acme::Ca;
use crate::cert::Cert;
use crate::challenge::{Prover, Seats, on_disk};
use crate::config::{self, Certificate, Config};
use crate::ground::Ground;
use crate::http::{Http, Pace};
use crate::journal::{Failures, Turn, asked};
use crate::secret::Redactor;
use crate::store::{Lock, LockError, Store, Wait};
use crate::told;

pub use self::ladder::after;
pub use self::persist::party;
pub use self::registered::Registered;
pub use instant_acme::RevocationReason;

/// Issues certificates from one CA of a configuration. Several at once share the directory and the account.
pub struct Issuer {
    acme: config::Acme,
    /// The configuration's folder: relative key files start there.
    base: Option<PathBuf>,
    http: Http,
    store: Store,
    ground: Ground,
    prover: Rc<Prover>,
    ca: OnceCell<Result<Arc<Ca>, Standing>>,
    /// So many orders bother the CA at once.
    seats: Seats,
    /// New orders leave one after another.
    orders: Pace,
    /// Held while the account is read or registered, so that there is one; and why it could not be.
    registering: Mutex<Option<Standing>>,
}

/// What a CA says of itself in its directory (RFC 8555, 7.1.1).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Introduction {
    /// Its clock.
    pub date: Option<Timestamp>,
    /// Where its terms stand.
    pub terms: Option<String>,
    /// It takes only accounts that are bound to one on its website.
    pub binding_required: bool,
    /// Its profiles; none: it has no choice.
    pub profiles: Vec<String>,
    /// By which names CAA records allow it.
    pub caa_identities: Vec<String>,
    /// By which names records of dns-persist-01 allow it.
    pub issuers: Vec<String>,
    /// What comes before the hash of an account in such a record; none: the account's URL stands there.
    pub account_hash_prefix: Option<String>,
}

/// Asks a CA for its directory, and for nothing else.
///
/// # Errors
/// The CA cannot be reached or is none.
pub async fn introduction(http: &Http, directory: &str) -> anyhow::Result<Introduction> {
    acme::introduce(http, directory).await
}

/// Why there is no new Cert.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong, with a `help:` line.
    pub error: anyhow::Error,
    /// The CA counted it: an authorization became invalid, an order or a CSR was refused, a limit was reached.
    pub counted: bool,
    /// The CA's `Retry-After`.
    pub not_before: Option<Timestamp>,
    /// The word to stop came: no failure at all.
    pub stopped: bool,
    /// Whose it is.
    pub side: Side,
}

/// Whose a failure is. Another CA can help only where it is the CA's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The configuration's, the DNS's, this machine's: another CA would meet it too, or it must be put right here.
    Ours,
    /// The CA could not be reached, had a fault of its own, or refused.
    Ca,
}

impl Issuer {
    /// Issues by the CA `acme` of `config`. `http` trusts its `ca_file` where there is one. Nothing is asked yet.
    #[must_use]
    pub fn new(
        config: &Config,
        acme: &config::Acme,
        http: Http,
        prover: Rc<Prover>,
        store: Store,
        ground: Ground,
    ) -> Self {
        Self {
            acme: acme.clone(),
            base: config.file.as_deref().and_then(std::path::Path::parent).map(ToOwned::to_owned),
            http,
            prover,
            store,
            ground,
            ca: OnceCell::new(),
            seats: Seats::new(acme.orders_at_once),
            orders: Pace::new(ORDERS_APART),
            registering: Mutex::default(),
        }
    }

    /// Issues what `certificate` asks for, or carries on with its order: as the CA that is tried first, or as the one that
    /// stands in for it. The new Cert is live in the store, its fingerprint the last of the succession. A failure is
    /// remembered in the lineage's journal. The caller holds the lineage's lock.
    ///
    /// # Errors
    /// [`Failure`]: whose it is, whether the CA counted it, and when to try again.
    pub async fn issue(&self, certificate: &Certificate, turn: Turn) -> Result<Cert, Failure> {
        let certificate = match turn {
            Turn::First => Cow::Borrowed(certificate),
            Turn::Fallback => Cow::Owned(certificate.at_fallback()),
        };
        let asked = asked(&self.acme, &certificate);
        self.check_retry_after(&certificate, turn).await?;
        let _share = self.share_account().await?;
        let issued = order::Job::new(self, &certificate, &asked, turn).run().await;
        match issued {
            Err(failure) if !failure.stopped => {
                Err(self.remember(&certificate.name, turn, &asked, failure).await)
            }
            other => other,
        }
    }

    /// The account's key stays as it is while something is ordered with it.
    async fn share_account(&self) -> Result<Lock, Failure> {
        let wait = Wait { until: None, stop: &self.ground.stop, say: &self.ground.say };
        let share = self.store.share_account(&self.acme.directory, wait).await;
        share.map_err(not_locked)
    }

    /// Another run may have heard it since the plan was made.
    async fn check_retry_after(
        &self,
        certificate: &Certificate,
        turn: Turn,
    ) -> Result<(), Failure> {
        let name = certificate.name.clone();
        let memory = on_disk(&self.store, move |store| store.lineage(&name)).await?;
        let now = self.ground.clock.now();
        match memory.failures_at(turn) {
            Some(failures) if failures.said_by_ca && failures.hold(now) => {
                let Failures { not_before, error, .. } = failures;
                let error = anyhow::anyhow!(
                    "the CA asked not to be asked before {not_before:.0}: {error}\nhelp: nothing: it is tried again by itself"
                );
                Err(Failure { not_before: Some(*not_before), ..Failure::of_ca(error) })
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn remember(&self, lineage: &str, turn: Turn, asked: &str, failure: Failure) -> Failure {
        let now = self.ground.clock.now();
        let (name, asked) = (lineage.to_owned(), asked.to_owned());
        let noted = on_disk(&self.store, {
            let short = Failure { error: anyhow::anyhow!(failure.in_short()), ..failure };
            move |store| {
                store.update_lineage(&name, |memory| {
                    let failures = after(memory.failures_at(turn), &asked, &short, now);
                    memory.fail(turn, failures);
                })
            }
        })
        .await;
        match noted {
            Ok(()) => failure,
            Err(disk) => failure.beside(&format!("this failure cannot be remembered: {disk:#}")),
        }
    }

    /// The CA; its directory is fetched by the first who asks.
    async fn ca(&self) -> Result<Arc<Ca>, Failure> {
        let connect = || async {
            let (http, clock) = (self.http.clone(), self.ground.clock.clone());
            let connected = Ca::connect(http, &self.acme.directory, clock).await;
            connected.map_err(|failure| Standing::of(&failure))
        };
        self.ca.get_or_init(connect).await.as_ref().map(Arc::clone).map_err(Standing::again)
    }

    /// Work that may be dropped at the word to stop: nothing of it needs to be taken back.
    async fn unless_stopped<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.ground.stop.cancelled() => Err(Failure::stopped()),
            done = work => done,
        }
    }
}

impl Failure {
    /// One that the CA did not count.
    #[must_use]
    pub fn free(error: anyhow::Error) -> Self {
        Self { error, counted: false, not_before: None, stopped: false, side: Side::Ours }
    }

    /// One that the CA did not count, and that is its own.
    fn of_ca(error: anyhow::Error) -> Self {
        Self { side: Side::Ca, ..Self::free(error) }
    }

    /// The error of a command that no timer repeats: where others need do nothing, it is to be run again.
    #[must_use]
    pub fn by_hand(self) -> anyhow::Error {
        match told::parts(&self.error) {
            (what, help) if help.starts_with("nothing: ") => {
                anyhow::anyhow!(
                    "{what}\nhelp: run it again a little later: no timer repeats this command"
                )
            }
            (_what, _help) => self.error,
        }
    }

    fn stopped() -> Self {
        Self { stopped: true, ..Self::free(anyhow::anyhow!("stopped; the next run carries on")) }
    }

    /// Something else went wrong too, by which nothing is decided.
    fn beside(self, what: &str) -> Self {
        Self { error: self.error.context(what.to_owned()), ..self }
    }

    /// Its text without the remedy and without secrets, as the journal keeps it.
    fn in_short(&self) -> String {
        let (what, _help) = told::parts(&self.error);
        Redactor::default().clean(&what)
    }
}

/// A failure that stands for the rest of the run: of 170 orders, each would wait for the same time-out, or ask the CA for
/// one more account that nobody can keep.
struct Standing {
    text: String,
    counted: bool,
    not_before: Option<Timestamp>,
    side: Side,
}

impl Standing {
    fn of(failure: &Failure) -> Self {
        let Failure { error, counted, not_before, side, .. } = failure;
        Self { text: told::text(error), counted: *counted, not_before: *not_before, side: *side }
    }

    fn again(&self) -> Failure {
        let Self { text, counted, not_before, side } = self;
        let failure = Failure::free(anyhow::anyhow!("{text}"));
        Failure { counted: *counted, not_before: *not_before, side: *side, ..failure }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::free(error)
    }
}

fn not_locked(error: LockError) -> Failure {
    match error {
        LockError::Stopped => Failure::stopped(),
        LockError::Held { .. } | LockError::Io(_) => Failure::free(error.into()),
    }
}

/// Ten a second: Let's Encrypt allows an address 300. Orders that end at once, refused, are no flood.
const ORDERS_APART: Duration = Duration::from_millis(100);

fn profile<'a>(acme: &'a config::Acme, certificate: &'a Certificate) -> Option<&'a str> {
    certificate.profile.as_deref().or(acme.profile.as_deref())
}

#[cfg(test)]
mod tests;
