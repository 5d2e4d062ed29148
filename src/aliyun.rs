//! A signed call to Alibaba Cloud: request in, typed answer out, or an [`Error`] of a kind, with the cloud's code and RequestId.

use std::cell::{Cell, OnceCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderValue};
use reqwest::{Method, Request, Url};
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

mod cdn;
mod codes;
mod credentials;
mod dns;
mod error;
mod pace;
mod pages;
mod retry;
mod sign;
mod upload;

pub use cdn::{DomainCertificate, UserDomain};
pub use dns::{DnsRecord, Zone};
pub use error::{Error, Kind};
pub use retry::Effort;
pub use upload::{Accepted, Upload, cert_name};

use crate::config::{self, CdnApi};
use crate::ground::{Env, Ground};
use crate::http::{self, Http};
use crate::secret::Redactor;
use credentials::Credentials;
use error::{About, Failure};
use pace::Pace;
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
        let inner = Inner {
            name: name.to_owned(),
            cdn: endpoint(name, "cdn_endpoint", &config.cdn_endpoint)?,
            dns: endpoint(name, "dns_endpoint", &config.dns_endpoint)?,
            uploads: upload_interval(config.calls_per_second),
            cdn_api: config.cdn_api,
            successor_first: Cell::new(false),
            keys: config.keys.clone(),
            base: base.map(Path::to_owned),
            env: ground.env.clone(),
            http,
            stamp: Stamp::new(ground.clock.clone()),
            pace,
            opened: OnceCell::new(),
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

    /// Calls until it is done, refused, the time is over, or the word to stop comes: that drops the attempt under way, and
    /// the next run looks what came of it. After an attempt that may have had its effect, `done` looks whether it had.
    async fn insist(
        &self,
        call: &Call<'_>,
        effort: &mut Effort,
        done: impl AsyncFn() -> bool,
    ) -> Result<Value, Error> {
        if self.stop.is_cancelled() {
            return Err(stopped(Kind::Transport, call));
        }
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(stopped(Kind::UnknownOutcome, call)),
            ended = self.round(call, effort, done) => ended,
        }
    }

    /// Calls until it is done or refused, the time is over, or the effort must rest.
    async fn round(
        &self,
        call: &Call<'_>,
        effort: &mut Effort,
        done: impl AsyncFn() -> bool,
    ) -> Result<Value, Error> {
        let opened = self.inner.opened()?;
        loop {
            if !self.leave(opened, call).await {
                return Err(effort.last().unwrap_or_else(|| out_of_time(call)));
            }
            let begun = Instant::now();
            let failure = match self.attempt(opened, call).await {
                Ok(value) => {
                    let attempts = effort.done();
                    tracing::info!(action = call.api.action, call.subject, attempts, "called");
                    return Ok(value);
                }
                Err(failure) => failure,
            };
            if failure.again == Again::Throttled {
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

    /// Waits for the pace; false: the deadline comes first.
    async fn leave(&self, opened: &Opened, call: &Call<'_>) -> bool {
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
    async fn attempt(&self, opened: &Opened, call: &Call<'_>) -> Result<Value, Failure> {
        let Inner { name, http, stamp, .. } = &*self.inner;
        let action = format!("{}:{}", call.api.product.ram(), call.api.action);
        let resource = call.api.product.resource(call.subject);
        let about = About {
            account: name,
            key: &opened.credentials.id,
            action: &action,
            resource: &resource,
            subject: call.subject,
        };
        let mut params = vec![("Action", call.api.action), ("Version", call.api.product.version())];
        params.extend_from_slice(call.params);
        let signed = sign::sign(&opened.credentials, &params, stamp).map_err(|error| {
            let why = format!("no random numbers from the system: {error}");
            Failure::for_good(Error::new(
                Kind::Config,
                "NoRandom",
                &why,
                "see that getrandom(2) is allowed",
            ))
        })?;
        let redactor = || opened.redactor(call.secret);
        let request = request(self.inner.endpoint(call.api.product), signed.body);
        let timeout = self.left().map_or(call.api.timeout, |left| left.min(call.api.timeout));
        let answer = http
            .send(request, timeout)
            .await
            .map_err(|error| Failure::lost(&error, &redactor(), &about))?;
        error::judge(&answer, &signed.string, &redactor(), &about)
            .map_err(|failure| self.with_clock(*failure, &answer))
    }

    /// A refusal for the time's sake: takes the answer's `Date` as the time, and tells the difference.
    fn with_clock(&self, failure: Failure, answer: &http::Answer) -> Failure {
        if failure.again != Again::Clock {
            return failure;
        }
        let date = answer.headers.get(DATE).and_then(|date| date.to_str().ok()).unwrap_or_default();
        let Some(skew) = self.inner.stamp.correct(date) else {
            return Failure { again: Again::Never, ..failure };
        };
        let side = if skew.is_negative() { "ahead of" } else { "behind" };
        let off = jiff::SignedDuration::from_secs(skew.abs().as_secs());
        let help =
            format!("this machine's clock is {off:#} {side} the cloud's: {}", failure.error.help);
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
    uploads: Duration,
    cdn_api: CdnApi,
    /// As `auto` has learned it: the first API is gone, its successor takes the uploads.
    successor_first: Cell<bool>,
    keys: Option<config::Keys>,
    base: Option<PathBuf>,
    env: Env,
    http: Http,
    stamp: Stamp,
    /// Where the pace is shared.
    pace: Vec<PathBuf>,
    opened: OnceCell<Opened>,
}

/// What is known once the AccessKey is.
struct Opened {
    credentials: Credentials,
    cdn: Pace,
    dns: Pace,
}

impl Inner {
    fn opened(&self) -> Result<&Opened, Error> {
        if let Some(opened) = self.opened.get() {
            return Ok(opened);
        }
        let credentials =
            credentials::find(&self.name, self.keys.as_ref(), &self.env, self.base.as_deref())?;
        // The documented limits are those of a user at an endpoint.
        let pace = |url| Pace::new(&credentials.id, &authority(url), &self.pace);
        let (cdn, dns) = (pace(&self.cdn), pace(&self.dns));
        Ok(self.opened.get_or_init(|| Opened { credentials, cdn, dns }))
    }

    fn endpoint(&self, product: Product) -> &Url {
        match product {
            Product::Cdn => &self.cdn,
            Product::Dns => &self.dns,
        }
    }
}

impl Opened {
    fn pace(&self, product: Product) -> &Pace {
        match product {
            Product::Cdn => &self.cdn,
            Product::Dns => &self.dns,
        }
    }

    /// Made only where there is text to clean.
    fn redactor(&self, secret: Option<&SecretString>) -> Redactor {
        let Credentials { secret: key, token, .. } = &self.credentials;
        Redactor::knowing([Some(key), token.as_ref(), secret].into_iter().flatten().cloned())
    }
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

/// An action of the API.
struct Api {
    product: Product,
    action: &'static str,
    limit: Limit,
    timeout: Duration,
}

/// How often an action may be called.
#[derive(Clone, Copy)]
enum Limit {
    /// As configured: `calls_per_second`.
    Uploads,
    /// The documented limit of calls a second and account. We use half of it: others call too.
    PerSecond(u32),
}

#[derive(Clone, Copy)]
enum Product {
    Cdn,
    Dns,
}

impl Product {
    fn version(self) -> &'static str {
        match self {
            Self::Cdn => "2018-05-10",
            Self::Dns => "2015-01-09",
        }
    }

    fn ram(self) -> &'static str {
        match self {
            Self::Cdn => "cdn",
            Self::Dns => "alidns",
        }
    }

    /// What a RAM policy calls the domain.
    fn resource(self, subject: &str) -> String {
        match self {
            Self::Cdn => format!("acs:cdn:*:*:domain/{subject}"),
            Self::Dns if subject == "*" => "*".to_owned(),
            Self::Dns => format!("acs:alidns::*:domain/{subject}"),
        }
    }
}

fn endpoint(name: &str, key: &str, text: &str) -> Result<Url, Error> {
    let wrong = |what: &str| {
        let help = format!("write {key} = \"https://HOST\" into [aliyun.{name}], or leave it out");
        Error::new(Kind::Config, "Endpoint", &format!("{key} of [aliyun.{name}] {what}"), &help)
    };
    let url: Url = text.parse().map_err(|error| wrong(&format!("is no URL: {error}")))?;
    match url.scheme() {
        "https" => Ok(url),
        "http" if http::is_loopback(&url) => Ok(url),
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

fn out_of_time(call: &Call<'_>) -> Error {
    let what = format!("there was no time left for {}", call.api.action);
    Error::new(Kind::Transport, "Deadline", &what, "nothing to do: the next run tries again")
}

fn stopped(kind: Kind, call: &Call<'_>) -> Error {
    let what = format!("stopped at {}", call.api.action);
    Error::new(kind, "Stopped", &what, "nothing to do: the next run goes on")
}

/// From 0 to 1, for jitter. Without random numbers, the middle is no worse.
fn luck() -> f64 {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes)
        .map_or(0.5, |()| f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
}

/// An upload may wait for the cloud's own machinery.
const UPLOAD_TIME: Duration = Duration::from_secs(60);
/// Reads, and changes of a DNS record.
const READ_TIME: Duration = Duration::from_secs(15);
const FASTEST: Duration = Duration::from_millis(104);
const SLOWEST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
