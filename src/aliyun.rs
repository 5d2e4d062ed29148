//! A signed call to Alibaba Cloud: request in, typed answer out, or an [`Error`] of a kind, with the cloud's code and RequestId.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use futures_util::future::FutureExt;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Method, Request, Url};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod api;
mod cdn;
mod codes;
mod credentials;
mod dns;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod hostile;
mod pace;
mod pages;
mod retry;
mod sign;
mod upload;

pub use cdn::{DomainCertificate, UserDomain};
pub use credentials::{Found, Identity, PassedOver};
pub use dns::{DnsRecord, Zone};
pub use error::{Error, Kind};
pub use retry::Effort;
pub use upload::{Accepted, Upload, cert_name, is_name_of};

use crate::config::{self, CdnApi};
use crate::ground::Ground;
use crate::http::{self, Http};
use crate::secret::Redactor;
use api::{Api, Limit, Product};
use credentials::{Credentials, Keyring, Opened, Setup};
use error::{About, Failure};
use pages::{Pages, all_pages, list, text};
use retry::Again;
use sign::Stamp;

/// An account of Alibaba Cloud. Clones share its pace, its clock's correction and its credentials, which are read at
/// the first call.
#[derive(Clone)]
pub struct Account {
    inner: Rc<Inner>,
    deadline: Option<Instant>,
    /// The word to stop, as far as this clone hears it.
    stop: CancellationToken,
}

impl Account {
    /// The account `[aliyun.NAME]`. `base` is where relative names of its files start, `pace` the folders in the first
    /// usable of which all runs share the pace of an AccessKey (none: this run keeps its own).
    ///
    /// # Errors
    /// [`Kind::Config`]: an endpoint that is no URL, or http beyond this machine. Nothing is read or asked yet.
    pub fn open(
        name: &str,
        config: &config::Aliyun,
        base: Option<&Path>,
        http: Http,
        ground: &Ground,
        pace: Vec<PathBuf>,
    ) -> Result<Self, Error> {
        let cdn = endpoint(name, "cdn_endpoint", &config.cdn_endpoint)?;
        let dns = endpoint(name, "dns_endpoint", &config.dns_endpoint)?;
        let setup = Setup::new(name, config, base.map(Path::to_owned), ground.env.clone())?;
        let inner = Inner {
            name: name.to_owned(),
            cdn,
            dns,
            sts: setup.sts_or_usual()?,
            setup,
            uploads: upload_interval(config.calls_per_second),
            cdn_api: config.cdn_api,
            successor_first: Cell::new(false),
            http,
            stamp: Stamp::new(ground.clock.clone()),
            pace,
            keyring: Keyring::default(),
        };
        Ok(Self { inner: Rc::new(inner), deadline: None, stop: ground.stop.clone() })
    }

    /// The same account, whose calls and retries end at `deadline`.
    #[must_use]
    pub fn until(&self, deadline: Option<Instant>) -> Self {
        Self { deadline, ..self.clone() }
    }

    /// The same account, whose calls do not end at the word to stop: for what must be taken back then. Its caller has a
    /// limit of its own.
    #[must_use]
    pub fn unstoppable(&self) -> Self {
        Self { stop: CancellationToken::new(), ..self.clone() }
    }

    /// Its name: the NAME of `[aliyun.NAME]`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Where the AccessKey in use came from, and what was passed over before it, each with why.
    ///
    /// # Errors
    /// [`Kind::Credentials`]: no source gives one, each with why; or why the one that is configured does not.
    pub async fn found(&self) -> Result<Found, Error> {
        let found = self.in_time("the AccessKey", self.inner.keyring.found(self));
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(stopped(Kind::Transport, "the AccessKey")),
            found = found => found,
        }
    }

    /// What people should know at the end of a run: sources of an AccessKey that are set up and broken.
    #[must_use]
    pub fn remarks(&self) -> Vec<String> {
        self.inner.keyring.remarks(&self.inner)
    }

    /// This machine's clock, if it is off: by how much, and what to do. Only the signatures were corrected.
    #[must_use]
    pub fn clock_remark(&self) -> Option<String> {
        let off = sign::off(self.inner.stamp.proved()?);
        let what = "calls were signed with the cloud's time, nothing else was corrected";
        Some(format!("this machine's clock is {off} the cloud's: {what}\nhelp: {}", codes::CLOCK))
    }

    /// How far the cloud's clock was ahead of this machine's at the last answer; none: it has not told.
    #[must_use]
    pub fn clock_ahead(&self) -> Option<jiff::SignedDuration> {
        self.inner.stamp.seen()
    }

    /// Calls until it is done, refused, the time is over, or the word to stop comes: that drops the attempt under way, and
    /// the next run looks what came of it. After an attempt that may have had its effect, `done` looks whether it had.
    async fn insist(
        &self,
        call: &Call<'_>,
        effort: &mut Effort,
        done: impl AsyncFn() -> bool,
    ) -> Result<Value, Error> {
        if self.stop.is_cancelled() {
            return Err(stopped(Kind::Transport, call.api.action));
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(stopped(Kind::UnknownOutcome, call.api.action)),
            ended = self.round(call, By::Account, effort, done) => ended,
        }
    }

    /// Calls until it is done or refused, the time is over, or the effort must rest.
    async fn round(
        &self,
        call: &Call<'_>,
        by: By<'_>,
        effort: &mut Effort,
        done: impl AsyncFn() -> bool,
    ) -> Result<Value, Error> {
        loop {
            let opened = self.opened(call, &by).await.map_err(|error| {
                let over = effort.last().filter(|_| error.code == DEADLINE);
                over.unwrap_or_else(|| error.after(effort.is_unsure()))
            })?;
            if !self.leave(opened.as_ref(), call).await {
                return Err(effort.last().unwrap_or_else(|| out_of_time(call.api.action)));
            }
            let begun = Instant::now();
            let mut failure = match self.attempt(call, &by, opened.as_ref()).await {
                Ok(value) => {
                    let attempts = effort.done();
                    tracing::info!(action = call.api.action, call.subject, attempts, "called");
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            if failure.again == Again::Keys && !effort.has_renewed() {
                failure = self.with_keys(failure, opened.as_ref()).await;
            }
            if let Some(opened) = opened.filter(|_| failure.again == Again::Throttled) {
                opened.pace(call.api.product).slow_down(call.api.action).await;
            }
            let error =
                effort.failed(failure.error, failure.again, failure.unsure, begun.elapsed());
            if effort.is_unsure() && done().await {
                return Ok(Value::Null);
            }
            let (action, code, attempts) = (call.api.action, &error.code, error.attempts);
            tracing::debug!(action, code, attempts, "an attempt failed");
            let wait = effort.wait(failure.again, failure.told, self.left(), luck());
            match (wait, failure.again) {
                // Whoever made the call knows what else it holds meanwhile.
                (None, _) | (Some(_), Again::Slowly) => return Err(error),
                (Some(wait), _) => tokio::time::sleep(wait).await,
            }
        }
    }

    /// A call that may be done twice without harm, and holds nothing that others need: it rests here.
    async fn ask(&self, call: &Call<'_>) -> Result<Value, Error> {
        let mut effort = Effort::default();
        loop {
            let answer = self.insist(call, &mut effort, async || false).await;
            let Some(rest) = effort.rest() else { return answer };
            tokio::select! {
                () = self.stop.cancelled() => return answer,
                () = tokio::time::sleep(rest) => {}
            }
        }
    }

    /// The account's AccessKey as it may be used now; none for a call on the way to one.
    async fn opened(&self, call: &Call<'_>, by: &By<'_>) -> Result<Option<Opened>, Error> {
        match by {
            By::Account => {
                // On the way to a key there may be calls: this one's future would hold itself.
                let opened = self.inner.keyring.opened(self).boxed_local();
                self.in_time(call.api.action, opened).await.map(Some)
            }
            By::Key(..) | By::Nobody(_) => Ok(None),
        }
    }

    /// What others may be at work on, until the deadline.
    async fn in_time<T>(
        &self,
        what: &str,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => Err(out_of_time(what)),
            Some(deadline) => match tokio::time::timeout_at(deadline, work).await {
                Ok(done) => done,
                Err(_elapsed) => Err(out_of_time(what)),
            },
            None => work.await,
        }
    }

    /// Waits for the pace; false: the deadline comes first.
    async fn leave(&self, opened: Option<&Opened>, call: &Call<'_>) -> bool {
        let Some(opened) = opened else { return true };
        let interval = match call.api.limit {
            Limit::Uploads => self.inner.uploads,
            Limit::PerSecond(documented) => Duration::from_secs(1) * 2 / documented,
        };
        let leave = opened.pace(call.api.product).leave(call.api.action, interval);
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => false,
            Some(deadline) => tokio::time::timeout_at(deadline, leave).await.is_ok(),
            None => {
                leave.await;
                true
            }
        }
    }

    /// One attempt, with a nonce, a time and a signature of its own. Its body lives no longer than it.
    async fn attempt(
        &self,
        call: &Call<'_>,
        by: &By<'_>,
        opened: Option<&Opened>,
    ) -> Result<Value, Failure> {
        let Inner { name, http, stamp, .. } = &*self.inner;
        let (credentials, endpoint) = match by {
            By::Key(key, sts) => (Some(*key), *sts),
            By::Nobody(sts) => (None, *sts),
            By::Account => {
                (opened.map(|opened| &*opened.credentials), self.inner.endpoint(call.api.product))
            }
        };
        let action = format!("{}:{}", call.api.product.ram(), call.api.action);
        let resource = call.api.product.resource(call.subject);
        let about = About {
            account: name,
            key: credentials.map_or("", |key| &key.id),
            action: &action,
            resource: &resource,
            subject: call.subject,
        };
        let mut params = vec![("Action", call.api.action), ("Version", call.api.product.version())];
        params.extend_from_slice(call.params);
        let signed = sign::sign(credentials, &params, stamp).map_err(|error| no_random(&error))?;
        let redactor = || redactor(credentials, call.secret);
        let request = request(endpoint, signed.body);
        let timeout = self.left().map_or(call.api.timeout, |left| left.min(call.api.timeout));
        let answer = http
            .send(request, timeout)
            .await
            .map_err(|error| Failure::lost(&error, &redactor(), &about))?;
        stamp.note(date_of(&answer));
        let judged = error::judge(&answer, &signed.string, &redactor(), &about)
            .map_err(|failure| self.with_clock(*failure, &answer));
        if !judged.as_ref().is_err_and(|failure| failure.error.kind == Kind::Clock) {
            stamp.prove();
        }
        judged
    }

    /// A refusal since the SecurityToken has expired: is there a fresh one? Of a key on the way to the account's there is
    /// none.
    async fn with_keys(&self, failure: Failure, opened: Option<&Opened>) -> Failure {
        let Some(opened) = opened else { return Failure { again: Again::Never, ..failure } };
        let renewed = self.inner.keyring.renew(self, opened).boxed_local();
        match self.in_time("the AccessKey", renewed).await {
            Ok(true) => failure,
            Ok(false) => Failure { again: Again::Never, ..failure },
            Err(error) => {
                let message = format!(
                    "{}; and it cannot be renewed: {}",
                    failure.error.message, error.message
                );
                Failure::for_good(Error {
                    message,
                    help: error.help,
                    kind: error.kind,
                    ..failure.error
                })
            }
        }
    }

    /// A refusal for the time's sake: takes the answer's `Date` as the time, and tells the difference.
    fn with_clock(&self, failure: Failure, answer: &http::Answer) -> Failure {
        if failure.again != Again::Clock {
            return failure;
        }
        let Some(skew) = self.inner.stamp.correct(date_of(answer)) else {
            return Failure { again: Again::Never, ..failure };
        };
        let help = format!(
            "this machine's clock is {} the cloud's: {}",
            sign::off(skew),
            failure.error.help
        );
        Failure { error: Error { help, ..failure.error }, ..failure }
    }

    fn left(&self) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()))
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Account({})", self.name())
    }
}

struct Inner {
    name: String,
    cdn: Url,
    dns: Url,
    sts: Url,
    uploads: Duration,
    cdn_api: CdnApi,
    /// As `auto` has learned it: the first API is gone, its successor takes the uploads.
    successor_first: Cell<bool>,
    setup: Setup,
    http: Http,
    stamp: Stamp,
    /// Where the pace is shared.
    pace: Vec<PathBuf>,
    keyring: Keyring,
}

impl Inner {
    fn endpoint(&self, product: Product) -> &Url {
        match product {
            Product::Cdn => &self.cdn,
            Product::Dns => &self.dns,
            Product::Sts => &self.sts,
        }
    }
}

/// In whose name a call is made.
enum By<'a> {
    /// The account's, at its pace.
    Account,
    /// Of an AccessKey on the way to the account's, at this STS.
    Key(&'a Credentials, &'a Url),
    /// Nobody's, at this STS: what it carries speaks for it.
    Nobody(&'a Url),
}

/// A call, as it is made: which, with what, about whom.
struct Call<'a> {
    api: &'static Api,
    params: &'a [(&'a str, &'a str)],
    /// The domain or zone that an error names; `*` for a list of all.
    subject: &'a str,
    /// What no text may show, beside the credentials.
    secret: Option<&'a SecretString>,
}

fn date_of(answer: &http::Answer) -> &str {
    answer.headers.get(DATE).and_then(|date| date.to_str().ok()).unwrap_or_default()
}

fn endpoint(name: &str, key: &str, text: &str) -> Result<Url, Error> {
    let wrong = |what: &str| {
        let help = format!("write {key} = \"https://HOST\" into [aliyun.{name}], or leave it out");
        Error::new(Kind::Config, "Endpoint", &format!("{key} of [aliyun.{name}] {what}"), &help)
    };
    let url: Url = text.parse().map_err(|error| wrong(&format!("is no URL: {error}")))?;
    let is_metadata = key == "metadata_endpoint" && url.host_str() == Some("100.100.100.200");
    match url.scheme() {
        "https" => Ok(url),
        "http" if http::is_loopback(&url) || is_metadata => Ok(url),
        _ => Err(wrong("must be https: keys go there")),
    }
}

/// Host and port.
fn authority(url: &Url) -> String {
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{}:{port}", url.host_str().unwrap_or_default())
}

/// At least 104 ms: the documented limit is ten a second.
fn upload_interval(calls_per_second: f64) -> Duration {
    let wanted = Duration::try_from_secs_f64(1.0 / calls_per_second).unwrap_or(SLOWEST);
    wanted.clamp(FASTEST, SLOWEST)
}

/// Everything is in the body; the buffer is zeroed when the last of the client lets it go.
fn request(endpoint: &Url, body: zeroize::Zeroizing<Vec<u8>>) -> Request {
    let mut url = endpoint.clone();
    url.set_path("/");
    let mut request = Request::new(Method::POST, url);
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    request.headers_mut().insert(CONTENT_TYPE, form);
    request.headers_mut().insert(ACCEPT, HeaderValue::from_static("application/json"));
    *request.body_mut() = Some(bytes::Bytes::from_owner(body).into());
    request
}

/// Made only where there is text to clean.
fn redactor(credentials: Option<&Credentials>, secret: Option<&SecretString>) -> Redactor {
    let key = credentials.map(|key| [Some(&key.secret), key.token.as_ref()]);
    Redactor::knowing(key.into_iter().flatten().chain([secret]).flatten().cloned())
}

fn no_random(error: &getrandom::Error) -> Failure {
    let why = format!("no random numbers from the system: {error}");
    let help = "see that getrandom(2) is allowed";
    Failure::for_good(Error::new(Kind::Config, "NoRandom", &why, help))
}

fn out_of_time(what: &str) -> Error {
    let what = format!("there was no time left for {what}");
    Error::new(Kind::Transport, DEADLINE, &what, "nothing to do: the next run tries again")
}

fn stopped(kind: Kind, at: &str) -> Error {
    let what = format!("stopped at {at}");
    Error::new(kind, "Stopped", &what, "nothing to do: the next run goes on")
}

/// From 0 to 1, for jitter. Without random numbers, the middle is no worse.
fn luck() -> f64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .map_or(0.5, |()| f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
}

/// Our code for a call that its deadline left no time for.
const DEADLINE: &str = "Deadline";
/// An upload may wait for the cloud's own machinery.
const UPLOAD_TIME: Duration = Duration::from_secs(60);
/// Reads, and changes of a DNS record.
const READ_TIME: Duration = Duration::from_secs(15);
const FASTEST: Duration = Duration::from_millis(104);
const SLOWEST: Duration = Duration::from_secs(60);
#[cfg(test)]
mod tests;
