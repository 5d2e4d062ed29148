//! What an answer of a CA says beside its body, and whether it is one at all.

use std::collections::BTreeMap;
use std::fmt;

use ::http::HeaderValue;
use ::http::header::{CONTENT_TYPE, HeaderName, LINK, LOCATION};
use jiff::Timestamp;

use super::persist;
use crate::http::{Answer, retry_at};
use crate::secret::Redactor;

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
    /// What challenges told until now: by which domain names records allow the CA, by their URLs.
    pub(super) offers: BTreeMap<String, Vec<String>>,
}

/// An answer that no ACME server gives: a proxy's page, a redirect.
#[derive(Debug)]
pub(super) struct Unusable(String);

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
            offers: persist::offers(body),
        }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

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

/// The kind of a chain (RFC 8555, 9.1).
const CHAIN: &str = "application/pem-certificate-chain";

/// Bytes of a page that are looked at for words.
const PAGE_READ: usize = 4096;

/// Characters of a page in an error: its title.
const PAGE_SHOWN: usize = 160;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use ::http::HeaderMap;
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
}
