//! The one HTTP client: time-outs, proxies, roots, and errors that say whether the request may have had its effect.

pub mod tls;

use std::error::Error as _;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::fmt::rfc2822;
use jiff::{SignedDuration, Timestamp};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, Request, Url};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;

mod pace;

pub use pace::Pace;

/// Sends requests. Nothing is built before the first one; clones share connections.
#[derive(Clone, Default)]
pub struct Http {
    built: Arc<Built>,
    /// No call waits longer for its answer, whatever its caller would give it.
    at_most: Option<Duration>,
}

/// An answer, read to its end.
#[derive(Clone)]
pub struct Answer {
    /// Status code (RFC 9110, section 15).
    pub status: u16,
    /// Header fields.
    pub headers: HeaderMap,
    /// The body, at most 1 MiB.
    pub body: Vec<u8>,
}

/// Why there is no answer. No text holds a URL's query or anything of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Error {
    /// The request surely had no effect: name not resolved, no connection, no TLS. Why.
    NotSent(String),
    /// The request may have had its effect: time-out, reset, an answer that was cut. Why.
    Unknown(String),
    /// The answer is larger than this many bytes.
    TooLarge(usize),
    /// The client or the request cannot be built. Why.
    Setup(String),
}

impl Http {
    /// Trusts the public roots (Mozilla's).
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts the public roots and those in this PEM text, which may hold several.
    #[must_use]
    pub fn trusting(extra_root_pem: Vec<u8>) -> Self {
        Self::of(Built { extra_root_pem: Some(extra_root_pem), ..Built::default() })
    }

    /// The same, by which no call waits longer than this for its answer; none: as long as its caller gives it.
    #[must_use]
    pub fn at_most(self, at_most: Option<Duration>) -> Self {
        Self { at_most, ..self }
    }

    /// Sends a request and reads the answer, whatever its status; redirects are not followed.
    ///
    /// # Errors
    /// [`Error`]: whether the request may have had its effect. `timeout` is for all of it.
    pub async fn send(&self, request: Request, timeout: Duration) -> Result<Answer, Error> {
        #[cfg(test)]
        if let Some((script, way)) = &self.built.script {
            tokio::time::sleep(*way).await;
            let answer = script(&request);
            tokio::time::sleep(*way).await;
            return answer;
        }
        let client = if is_loopback(request.url()) { self.direct()? } else { self.client()? };
        send_by(client, request, self.bounded(timeout)).await
    }

    /// The same past every proxy, for a service of this very machine's network: it is connected within a second, or is
    /// not there.
    ///
    /// # Errors
    /// As of [`Http::send`].
    pub async fn send_near(&self, request: Request, timeout: Duration) -> Result<Answer, Error> {
        #[cfg(test)]
        if let Some((script, _way)) = &self.built.script {
            return script(&request);
        }
        let client =
            self.build(&self.built.near, |builder| builder.no_proxy().connect_timeout(NEAR))?;
        send_by(client, request, self.bounded(timeout)).await
    }

    /// The client that honours `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`.
    fn client(&self) -> Result<&Client, Error> {
        self.build(&self.built.proxied, |builder| builder)
    }

    /// A loopback address is this machine: no proxy can reach it for us.
    fn direct(&self) -> Result<&Client, Error> {
        self.build(&self.built.direct, reqwest::ClientBuilder::no_proxy)
    }

    fn of(built: Built) -> Self {
        Self { built: Arc::new(built), at_most: None }
    }

    fn bounded(&self, timeout: Duration) -> Duration {
        self.at_most.map_or(timeout, |most| most.min(timeout))
    }

    fn build<'a>(
        &self,
        slot: &'a OnceLock<Result<Client, Error>>,
        change: fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<&'a Client, Error> {
        slot.get_or_init(|| build(self.built.extra_root_pem.as_deref(), change))
            .as_ref()
            .map_err(Clone::clone)
    }
}

impl std::fmt::Debug for Http {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Http")
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Answer({}, {} bytes)", self.status, self.body.len())
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSent(why) => write!(f, "not reached: {why}"),
            Self::Unknown(why) => write!(f, "{why}"),
            Self::TooLarge(most) => write!(f, "the answer is larger than {most} bytes"),
            Self::Setup(why) => write!(f, "the HTTP client cannot be built: {why}"),
        }
    }
}

impl std::error::Error for Error {}

/// Does the URL name this machine?
#[must_use]
pub fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    address.map_or_else(
        |_| host == "localhost" || host.ends_with(".localhost"),
        |address| address.is_loopback(),
    )
}

/// `Retry-After` (RFC 9110, 10.2.3) as an instant: seconds or an HTTP date.
#[must_use]
pub fn retry_at(headers: &HeaderMap, now: Timestamp) -> Option<Timestamp> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match value.parse::<u32>() {
        Ok(seconds) => now.checked_add(SignedDuration::from_secs(seconds.into())).ok(),
        Err(_no_number) => http_date(value),
    }
}

/// A date of a header field (RFC 9110, 5.6.7).
#[must_use]
pub fn http_date(value: &str) -> Option<Timestamp> {
    rfc2822::DateTimeParser::new().parse_timestamp(value).ok()
}

#[derive(Default)]
struct Built {
    extra_root_pem: Option<Vec<u8>>,
    proxied: OnceLock<Result<Client, Error>>,
    direct: OnceLock<Result<Client, Error>>,
    near: OnceLock<Result<Client, Error>>,
    #[cfg(test)]
    script: Option<(Script, Duration)>,
}

/// Answers in place of a server, so that time may be paused.
#[cfg(test)]
pub(crate) type Script = Box<dyn Fn(&Request) -> Result<Answer, Error> + Send + Sync>;

#[cfg(test)]
impl Http {
    /// Answered by `script`.
    pub(crate) fn scripted(script: Script) -> Self {
        Self::scripted_far_off(Duration::ZERO, script)
    }

    /// Answered by `script`, to which it takes so long, and as long back.
    pub(crate) fn scripted_far_off(way: Duration, script: Script) -> Self {
        Self::of(Built { script: Some((script, way)), ..Built::default() })
    }
}

fn build(
    extra_root_pem: Option<&[u8]>,
    change: fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<Client, Error> {
    let builder = Client::builder()
        .tls_backend_preconfigured(tls(extra_root_pem)?)
        .user_agent(concat!("certferry/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        // A library turns these on for itself; what is small needs no inflating, and a bound on bytes read stays one.
        .no_gzip()
        .no_deflate()
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE);
    change(builder).build().map_err(|error| Error::Setup(causes(&error)))
}

fn tls(extra_root_pem: Option<&[u8]>) -> Result<rustls::ClientConfig, Error> {
    let mut roots = rustls::RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    for root in CertificateDer::pem_slice_iter(extra_root_pem.unwrap_or_default()) {
        let root =
            root.map_err(|error| Error::Setup(format!("the extra root's PEM: {error:?}")))?;
        roots.add(root).map_err(|error| Error::Setup(format!("the extra root: {error}")))?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| Error::Setup(error.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

async fn send_by(client: &Client, request: Request, timeout: Duration) -> Result<Answer, Error> {
    let host = request.url().host_str().unwrap_or("?").to_owned();
    // A query may hold what no log may show.
    let (method, path) = (request.method().clone(), request.url().path().to_owned());
    let begun = tokio::time::Instant::now();
    let answer = match tokio::time::timeout(timeout, exchange(client, request, &host)).await {
        Ok(result) => result,
        Err(_elapsed) => Err(Error::Unknown(format!("{host}: no answer within {timeout:.1?}"))),
    };
    let status = answer.as_ref().map_or(0, |answer| answer.status);
    tracing::debug!(%method, host, path, status, took = ?begun.elapsed(), "asked by HTTP");
    answer
}

async fn exchange(client: &Client, request: Request, host: &str) -> Result<Answer, Error> {
    let mut response = client.execute(request).await.map_err(|error| lost(error, host))?;
    let status = response.status().as_u16();
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| lost(error, host))? {
        if body.len() + chunk.len() > MOST {
            return Err(Error::TooLarge(MOST));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, headers, body })
}

/// A connection that never stood carried nothing. All else is unknown.
fn lost(error: reqwest::Error, host: &str) -> Error {
    let error = error.without_url();
    let text = format!("{host}: {}", causes(&error));
    if error.is_builder() {
        return Error::Setup(text);
    }
    if error.is_connect() { Error::NotSent(text) } else { Error::Unknown(text) }
}

/// The causes, outermost first; reqwest's own words only where there is nothing behind them.
fn causes(error: &reqwest::Error) -> String {
    let mut words = Vec::new();
    let mut next = error.source();
    while let Some(cause) = next {
        words.push(cause.to_string());
        next = cause.source();
    }
    words.dedup();
    if words.is_empty() { error.to_string() } else { words.join(": ") }
}

/// A TCP and TLS handshake with the other end of the world takes one; ten is a path that is gone.
const CONNECT: Duration = Duration::from_secs(10);
/// What official SDKs give an instance's metadata service: on its own network, it answers in milliseconds.
const NEAR: Duration = Duration::from_secs(1);
/// Shorter than the keep-alive of the servers we know (60 s, 75 s): a connection is ours to close, not theirs.
const IDLE: Duration = Duration::from_secs(25);
/// 500 CDN domains to a page are 300 kB, and no chain comes near.
const MOST: usize = 1024 * 1024;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
