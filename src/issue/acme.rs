//! The CA's line: instant-acme's requests over our `http`, and what the crate does not keep of the answers.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::header::{DATE, HeaderMap, USER_AGENT};
use ::http::{HeaderValue, Method};
use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use jiff::Timestamp;
use reqwest::{Request, Url};
use serde::Deserialize;

use super::answer::{judge, words};
use super::heard::Heard;
use super::{Failure, Introduction, persist};
use crate::ground::Clock;
use crate::http::{Answer, Http, http_date, retry_at};
use crate::journal::CLOCKS_APART;
use crate::secret::Redactor;

/// A CA as its directory describes it, which is fetched once a run.
pub(super) struct Ca {
    http: Http,
    directory: String,
    page: Answer,
    meta: Meta,
    urls: Urls,
    clock: Clock,
}

/// The directory's URLs that we call ourselves.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Urls {
    pub(super) new_nonce: String,
    pub(super) new_account: String,
    #[serde(default)]
    pub(super) key_change: Option<String>,
    #[serde(default)]
    renewal_info: Option<String>,
}

/// `meta` of a directory (RFC 8555, 7.1.1; draft-ietf-acme-profiles), as far as we ask for it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Meta {
    pub(super) terms_of_service: Option<String>,
    pub(super) external_account_required: bool,
    pub(super) profiles: BTreeMap<String, String>,
    pub(super) caa_identities: Vec<String>,
    #[serde(deserialize_with = "persist::or_none")]
    pub(super) issuer_domain_names: Vec<String>,
    #[serde(deserialize_with = "persist::or_none")]
    pub(super) account_hash_prefix: Option<String>,
}

/// A line to the CA for one order. It remembers the last answer, so orders side by side need a line each.
#[derive(Clone)]
pub(super) struct Line {
    ca: Arc<Ca>,
    heard: Arc<Mutex<Heard>>,
}

/// What makes a page a directory, and what else we read of it.
#[derive(Deserialize)]
pub(super) struct Directory {
    #[serde(rename = "newOrder")]
    _new_order: String,
    #[serde(flatten)]
    urls: Urls,
    #[serde(default)]
    meta: Meta,
}

impl Ca {
    /// Fetches the directory, and compares the CA's clock with ours.
    ///
    /// # Errors
    /// The CA cannot be reached or is none; the clocks differ by more than ten minutes.
    pub(super) async fn connect(
        http: Http,
        directory: &str,
        clock: Clock,
    ) -> Result<Arc<Self>, Failure> {
        let page = fetch(&http, directory).await.map_err(Failure::of_ca)?;
        if page.status >= 400 {
            return Err(closed(&page, directory, clock.now()));
        }
        compare_clocks(&page.headers, clock.now())?;
        let Directory { meta, urls, .. } = read(&page, directory).map_err(Failure::of_ca)?;
        Ok(Arc::new(Self { http, directory: directory.to_owned(), page, meta, urls, clock }))
    }

    pub(super) fn meta(&self) -> &Meta {
        &self.meta
    }

    pub(super) fn urls(&self) -> &Urls {
        &self.urls
    }

    /// Does it know ARI (RFC 9773)?
    pub(super) fn has_ari(&self) -> bool {
        self.urls.renewal_info.is_some()
    }

    pub(super) fn directory(&self) -> &str {
        &self.directory
    }

    /// One exchange, by our name; the answer is an ACME server's.
    async fn exchange(&self, mut request: Request) -> Result<(Answer, Heard), Error> {
        request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(OUR_NAME));
        let answer = self.http.send(request, TIMEOUT).await;
        let answer = answer.map_err(|error| Error::Other(Box::new(error)))?;
        let heard = Heard::of(&answer, self.clock.now());
        Ok((answer, heard))
    }
}

/// What a CA says of itself, for whoever wants to order nothing.
///
/// # Errors
/// The CA cannot be reached or is none.
pub(super) async fn introduce(http: &Http, directory: &str) -> anyhow::Result<Introduction> {
    let page = fetch(http, directory).await?;
    let Directory { meta, .. } = read(&page, directory)?;
    Ok(Introduction {
        date: date(&page.headers),
        issuers: meta.issuers(),
        terms: meta.terms_of_service,
        binding_required: meta.external_account_required,
        profiles: meta.profiles.into_keys().collect(),
        caa_identities: meta.caa_identities,
        account_hash_prefix: meta.account_hash_prefix,
    })
}

async fn fetch(http: &Http, directory: &str) -> anyhow::Result<Answer> {
    let url = Url::parse(directory).with_context(|| format!("{directory} is no URL"))?;
    let mut request = Request::new(Method::GET, url);
    request.headers_mut().insert(USER_AGENT, HeaderValue::from_static(OUR_NAME));
    let page = http.send(request, TIMEOUT).await.map_err(|error| {
        anyhow!(
            "the CA's directory {directory} cannot be fetched: {error}\nhelp: check the network and its proxy; a CA of your own \
             needs its `ca_file`"
        )
    })?;
    judge(&page).with_context(|| format!("{directory} is no ACME directory"))?;
    Ok(page)
}

/// A CA that shows nobody its directory now, and may say until when.
fn closed(page: &Answer, directory: &str, now: Timestamp) -> Failure {
    let error = anyhow!(
        "the CA does not show its directory {directory}: it answers {} (`{}`)\nhelp: nothing: the next run tries again; if it \
         stays so, look at the CA's status page, and at its `directory` in the configuration",
        page.status,
        words(&page.body)
    );
    Failure { not_before: retry_at(&page.headers, now), ..Failure::of_ca(error) }
}

pub(super) fn read(page: &Answer, directory: &str) -> anyhow::Result<Directory> {
    serde_json::from_slice(&page.body).map_err(|error| {
        let why = Redactor::default().clean(&error.to_string());
        anyhow!("{directory} is no ACME directory: {why}\nhelp: correct the CA's `directory`")
    })
}

impl Line {
    pub(super) fn new(ca: &Arc<Ca>) -> Self {
        Self { ca: Arc::clone(ca), heard: Arc::default() }
    }

    pub(super) fn ca(&self) -> &Arc<Ca> {
        &self.ca
    }

    pub(super) fn heard(&self) -> Heard {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The time of day.
    pub(super) fn now(&self) -> Timestamp {
        self.ca.clock.now()
    }

    async fn exchange(
        self,
        request: ::http::Request<BodyWrapper<Bytes>>,
    ) -> Result<BytesResponse, Error> {
        if request.method() == Method::GET && request.uri() == self.ca.directory.as_str() {
            return response(self.ca.page.clone());
        }
        response(self.hear(ours(request).await?).await?)
    }

    /// One exchange, whose answer is remembered.
    pub(super) async fn hear(&self, request: Request) -> Result<Answer, Error> {
        let (answer, heard) = self.ca.exchange(request).await?;
        let mut last = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut *last, heard).offers;
        last.offers.extend(before);
        drop(last);
        judge(&answer).map_err(|unusable| Error::Other(Box::new(unusable)))?;
        Ok(answer)
    }
}

impl HttpClient for Line {
    fn request(
        &self,
        request: ::http::Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().exchange(request))
    }
}

/// Calls again while the CA refuses our nonce: that has had no effect (RFC 8555, 6.5). The crate itself gives up after
/// three, and some CAs refuse many.
///
/// # Errors
/// What the call answers in the end.
pub(super) async fn patient<T>(
    mut call: impl AsyncFnMut() -> Result<T, Error>,
) -> Result<T, Error> {
    for _ in 1..NONCES {
        match call().await {
            Err(Error::Api(problem)) if super::refusal::kind(&problem) == "badNonce" => {}
            done => return done,
        }
    }
    call().await
}

/// The request as our client sends it, with a body that may be sent again on a new connection.
async fn ours(request: ::http::Request<BodyWrapper<Bytes>>) -> Result<Request, Error> {
    let (parts, body) = request.into_parts();
    let url = Url::parse(&parts.uri.to_string()).map_err(|error| Error::Other(Box::new(error)))?;
    let Ok(body) = body.collect().await;
    let mut ours = Request::new(parts.method, url);
    *ours.headers_mut() = parts.headers;
    *ours.body_mut() = Some(body.to_bytes().into());
    Ok(ours)
}

fn response(answer: Answer) -> Result<BytesResponse, Error> {
    let (mut parts, ()) = ::http::Response::builder().status(answer.status).body(())?.into_parts();
    parts.headers = answer.headers;
    Ok(BytesResponse { parts, body: Box::new(Bytes::from(answer.body)) })
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// With a wrong clock, certificates look expired or not yet valid, and every time that we keep is wrong.
fn compare_clocks(headers: &HeaderMap, now: Timestamp) -> anyhow::Result<()> {
    let Some(date) = date(headers) else { return Ok(()) };
    let off = date.duration_since(now).abs();
    if off > CLOCKS_APART {
        bail!(
            "this machine's clock says {now:.0}, the CA's {date:.0}: no certificate is ordered with a wrong clock\nhelp: set the \
             clock: timedatectl set-ntp true"
        );
    }
    Ok(())
}

/// The CA sees who calls; RFC 8555, 6.1 demands a name.
const OUR_NAME: &str = concat!("certferry/", env!("CARGO_PKG_VERSION"));

/// A CA that has not answered by then has lost the request; Let's Encrypt's own limit is shorter.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Times three tries of the crate's own. At one nonce in two refused, one call in a thousand million fails.
const NONCES: usize = 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    const NOW: &str = "2026-11-24T04:11:03Z";

    fn headers(name: ::http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn check_clock(row: &str, date: &str, wanted: bool) {
        let got = compare_clocks(&headers(DATE, date), NOW.parse().unwrap());
        assert_eq!(got.is_ok(), wanted, "{row}: {got:?}");
    }

    #[test]
    fn clocks_may_differ_by_ten_minutes() {
        check_clock("same", "Tue, 24 Nov 2026 04:11:03 GMT", true);
        check_clock("ten minutes behind", "Tue, 24 Nov 2026 04:21:03 GMT", true);
        check_clock("more", "Tue, 24 Nov 2026 04:21:04 GMT", false);
        check_clock("an hour ahead", "Tue, 24 Nov 2026 03:11:03 GMT", false);
        check_clock("no date", "now", true);
    }

    #[tokio::test]
    async fn a_refused_nonce_is_tried_again_ten_times() {
        let problem = |kind: &str| -> instant_acme::Problem {
            serde_json::from_str(&format!("{{\"type\":\"urn:ietf:params:acme:error:{kind}\"}}"))
                .unwrap()
        };
        for (row, kind, wanted) in [("a nonce", "badNonce", 10), ("anything else", "malformed", 1)]
        {
            let mut calls = 0;
            let got = patient(async || {
                calls += 1;
                Err::<(), _>(Error::Api(problem(kind)))
            })
            .await;
            assert!(got.is_err(), "{row}");
            assert_eq!(calls, wanted, "{row}");
        }
    }
}
