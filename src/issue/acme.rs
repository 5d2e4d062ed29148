//! The CA's line: instant-acme's requests over our `http`, and what the crate does not keep of the answers.

use std::collections::BTreeMap;
use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::http::header::{CONTENT_TYPE, DATE, HeaderMap, HeaderName, LINK, LOCATION, USER_AGENT};
use ::http::{HeaderValue, Method};
use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use jiff::{SignedDuration, Timestamp};
use reqwest::{Request, Url};
use serde::Deserialize;

use super::{Failure, Introduction};
use crate::ground::Clock;
use crate::http::{Answer, Http, http_date, retry_at};
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
}

/// A line to the CA for one order. It remembers the last answer, so orders side by side need a line each.
#[derive(Clone)]
pub(super) struct Line {
    ca: Arc<Ca>,
    heard: Arc<Mutex<Heard>>,
}

/// What the last answer said beside its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Heard {
    /// HTTP status; 0 before the first answer.
    pub(super) status: u16,
    /// `Retry-After` (RFC 9110, 10.2.3) as an instant.
    pub(super) retry_at: Option<Timestamp>,
    /// `Location`: of what was made.
    pub(super) location: Option<String>,
    /// `Link: rel="alternate"` (RFC 8555, 7.4.2): other chains.
    pub(super) alternates: Vec<String>,
    /// The body, where it is a chain.
    pub(super) chain: Option<String>,
}

/// An answer that no ACME server gives: a proxy's page, a redirect.
#[derive(Debug)]
pub(super) struct Unusable(String);

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
        terms: meta.terms_of_service,
        binding_required: meta.external_account_required,
        profiles: meta.profiles.into_keys().collect(),
        caa_identities: meta.caa_identities,
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
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = heard;
        judge(&answer).map_err(|unusable| Error::Other(Box::new(unusable)))?;
        Ok(answer)
    }
}

impl Heard {
    pub(super) fn of(answer: &Answer, now: Timestamp) -> Self {
        let Answer { status, headers, body } = answer;
        let field = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let is_chain =
            *status == 200 && field(CONTENT_TYPE).is_some_and(|kind| kind.starts_with(CHAIN));
        Self {
            status: *status,
            retry_at: retry_at(headers, now),
            location: field(LOCATION).map(ToOwned::to_owned),
            alternates: headers.get_all(LINK).iter().flat_map(alternates).collect(),
            chain: is_chain.then(|| String::from_utf8_lossy(body).into_owned()),
        }
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

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

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

/// Is this an ACME server's answer? Errors of the server itself are: problem documents (RFC 8555, 6.7).
pub(super) fn judge(answer: &Answer) -> Result<(), Unusable> {
    let Answer { status, headers, body } = answer;
    let field = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    if (300..400).contains(status) {
        let to = field(LOCATION).unwrap_or("nowhere");
        return Err(Unusable(format!(
            "the CA answered {status}, a redirect to {to}\nhelp: if that is right, set it as the CA's `directory`"
        )));
    }
    let is_page = field(CONTENT_TYPE).is_some_and(|kind| kind.starts_with("text/html"));
    let is_problem =
        || serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(body).is_ok();
    if is_page || *status >= 400 && !is_problem() {
        return Err(Unusable(format!(
            "the answer is no ACME answer: status {status}, `{}`\nhelp: look at what stands between here and the CA (a proxy?), \
             and at the CA's status page",
            words(body)
        )));
    }
    Ok(())
}

/// The first words of a page, without its tags.
fn words(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body.get(..body.len().min(PAGE_READ)).unwrap_or_default());
    let mut in_tag = false;
    let plain = text.chars().filter(|&letter| {
        let was_in_tag = in_tag;
        in_tag = letter == '<' || in_tag && letter != '>';
        !was_in_tag && !in_tag
    });
    let plain: String = plain.collect();
    let plain = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    Redactor::default().clean(&plain.chars().take(PAGE_SHOWN).collect::<String>())
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    http_date(headers.get(DATE)?.to_str().ok()?)
}

/// The targets of the links with `rel="alternate"` in one field (RFC 8288, 3).
fn alternates(field: &HeaderValue) -> Vec<String> {
    let links = field.to_str().unwrap_or_default().split('<').skip(1);
    let links = links.filter_map(|link| link.split_once('>'));
    let is_alternate = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let mut words = value.trim_matches(|letter| " \t,\"".contains(letter)).split(' ');
        name.trim().eq_ignore_ascii_case("rel")
            && words.any(|word| word.eq_ignore_ascii_case("alternate"))
    };
    links
        .filter(|(_, parameters)| parameters.split(';').any(is_alternate))
        .map(|(target, _)| target.to_owned())
        .collect()
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

/// The kind of a chain (RFC 8555, 9.1).
const CHAIN: &str = "application/pem-certificate-chain";

/// The CA sees who calls; RFC 8555, 6.1 demands a name.
const OUR_NAME: &str = concat!("certferry/", env!("CARGO_PKG_VERSION"));

/// A CA that has not answered by then has lost the request; Let's Encrypt's own limit is shorter.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Times three tries of the crate's own. At one nonce in two refused, one call in a thousand million fails.
const NONCES: usize = 10;

/// Further apart than drift explains; DESIGN's limit.
const CLOCKS_APART: SignedDuration = SignedDuration::from_mins(10);

/// Bytes of a page that are looked at for words.
const PAGE_READ: usize = 4096;

/// Characters of a page in an error: its title.
const PAGE_SHOWN: usize = 160;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use ::http::header::RETRY_AFTER;

    use super::*;

    const NOW: &str = "2026-11-24T04:11:03Z";

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    fn check_retry(row: &str, value: &str, wanted: Option<&str>) {
        let got = retry_at(&headers(RETRY_AFTER, value), NOW.parse().unwrap());
        assert_eq!(got, wanted.map(|at| at.parse().unwrap()), "{row}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        check_retry("seconds", "57", Some("2026-11-24T04:12:00Z"));
        check_retry("spaces", " 57 ", Some("2026-11-24T04:12:00Z"));
        check_retry("a date", "Tue, 24 Nov 2026 05:00:00 GMT", Some("2026-11-24T05:00:00Z"));
        check_retry("nonsense", "soon", None);
        check_retry("negative", "-5", None);
    }

    fn check_alternates(row: &str, fields: &[&str], wanted: &[&str]) {
        let mut all = HeaderMap::new();
        for field in fields {
            all.append(LINK, HeaderValue::from_str(field).unwrap());
        }
        let answer = Answer { status: 200, headers: all, body: Vec::new() };
        assert_eq!(Heard::of(&answer, NOW.parse().unwrap()).alternates, wanted, "{row}");
    }

    #[test]
    fn links_to_other_chains() {
        let (one, two) = ("https://ca.test/cert/1/1", "https://ca.test/cert/1/2");
        check_alternates("none", &[], &[]);
        check_alternates(
            "a field each",
            &[&format!("<{one}>;rel=\"alternate\""), &format!("<{two}>; rel=alternate")],
            &[one, two],
        );
        check_alternates(
            "one field",
            &[&format!("<{one}>; rel=\"alternate\", <{two}>;rel=\"alternate\"")],
            &[one, two],
        );
        check_alternates(
            "others too",
            &[&format!(
                "<https://ca.test/dir>;rel=\"index\", <{one}>;title=\"x\";REL=\"up Alternate\""
            )],
            &[one],
        );
        check_alternates("no link", &["alternate", "<", "<x>", "rel=\"alternate\""], &[]);
        check_alternates(
            "a title that says so",
            &[&format!("<{one}>;title=\"rel=alternate\"")],
            &[],
        );
    }

    fn check_heard(row: &str, status: u16, kind: &str, wanted: Option<&str>) {
        let answer = Answer { status, headers: headers(CONTENT_TYPE, kind), body: b"PEM".to_vec() };
        assert_eq!(Heard::of(&answer, NOW.parse().unwrap()).chain.as_deref(), wanted, "{row}");
    }

    #[test]
    fn a_chain_is_kept() {
        check_heard("a chain", 200, "application/pem-certificate-chain", Some("PEM"));
        check_heard("with a parameter", 200, "application/pem-certificate-chain; x=y", Some("PEM"));
        check_heard("an order", 200, "application/json", None);
        check_heard("an error", 404, "application/pem-certificate-chain", None);
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

    fn check_judge(row: &str, status: u16, kind: &str, body: &str, wanted: Option<&str>) {
        let answer = Answer { status, headers: headers(CONTENT_TYPE, kind), body: body.into() };
        let got = judge(&answer).map_err(|unusable| unusable.to_string());
        match wanted {
            None => assert_eq!(got, Ok(()), "{row}"),
            Some(part) => {
                assert!(got.as_ref().is_err_and(|text| text.contains(part)), "{row}: {got:?}")
            }
        }
    }

    #[test]
    fn pages_are_no_answers() {
        let (json, html) = ("application/problem+json", "text/html; charset=utf-8");
        let page = "<html><head><title>503 Service\n Unavailable</title></head></html>";
        check_judge("a problem", 429, json, "{\"type\":\"x\"}", None);
        check_judge("an order", 200, "application/json", "{}", None);
        check_judge("a chain", 200, "application/pem-certificate-chain", "-----BEGIN", None);
        check_judge("an error page", 503, html, page, Some("`503 Service Unavailable`"));
        check_judge("a captive portal", 200, html, "<p>Log in</p>", Some("`Log in`"));
        check_judge("no body", 503, json, "", Some("status 503"));
        check_judge("half a problem", 500, json, "{\"type\":", Some("status 500"));
        check_judge("a redirect", 301, html, "", Some("redirect to nowhere"));
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
