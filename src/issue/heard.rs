//! What the CA's answers say beside their bodies: when to ask again, what was made, what else there is.

use std::collections::BTreeMap;

use ::http::HeaderValue;
use ::http::header::{CONTENT_TYPE, HeaderMap, LINK, LOCATION};
use jiff::Timestamp;

use super::persist;
use super::refusal::is_link;
use crate::http::{Answer, retry_at};

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
    /// Where people are to go after a refusal: its `instance`, else the terms (RFC 8555, 7.3.3).
    pub(super) visit: Option<String>,
    /// The body, where it is a chain.
    pub(super) chain: Option<String>,
    /// What challenges told until now: by which domain names records allow the CA, by their URLs.
    pub(super) offers: BTreeMap<String, Vec<String>>,
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
            alternates: links(headers, "alternate"),
            visit: if *status >= 400 { visit(headers, body) } else { None },
            chain: is_chain.then(|| String::from_utf8_lossy(body).into_owned()),
            offers: persist::offers(body),
        }
    }
}

/// The page that a refusal leads people to.
fn visit(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    let problem: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let instance = problem.as_ref().and_then(|problem| problem.get("instance")?.as_str());
    let pages = instance.map(str::to_owned).into_iter().chain(links(headers, "terms-of-service"));
    { pages }.find(|page| is_link(page))
}

/// The targets of the links of this relation.
fn links(headers: &HeaderMap, relation: &str) -> Vec<String> {
    headers.get_all(LINK).iter().flat_map(|field| links_in(field, relation)).collect()
}

/// The targets of the links of this relation in one field (RFC 8288, 3).
fn links_in(field: &HeaderValue, relation: &str) -> Vec<String> {
    let links = field.to_str().unwrap_or_default().split('<').skip(1);
    let links = links.filter_map(|link| link.split_once('>'));
    let is_related = |parameter: &str| {
        let (name, value) = parameter.split_once('=').unwrap_or_default();
        let mut words = value.trim_matches(|letter| " \t,\"".contains(letter)).split(' ');
        name.trim().eq_ignore_ascii_case("rel")
            && words.any(|word| word.eq_ignore_ascii_case(relation))
    };
    links
        .filter(|(_, parameters)| parameters.split(';').any(is_related))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// The kind of a chain (RFC 8555, 9.1).
const CHAIN: &str = "application/pem-certificate-chain";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use ::http::header::{HeaderName, RETRY_AFTER};

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

    fn check_visit(row: &str, link: &str, body: &str, wanted: Option<&str>) {
        let answer = Answer { status: 403, headers: headers(LINK, link), body: body.into() };
        let got = Heard::of(&answer, NOW.parse().unwrap()).visit;
        assert_eq!(got.as_deref(), wanted, "{row}");
    }

    #[test]
    fn a_refusal_may_lead_to_a_page() {
        let terms = "<https://ca.test/terms>;rel=\"terms-of-service\"";
        let to_agree = Some("https://ca.test/agree");
        check_visit("its own", terms, "{\"instance\":\"https://ca.test/agree\"}", to_agree);
        check_visit("the terms", terms, "{}", Some("https://ca.test/terms"));
        check_visit(
            "no page",
            terms,
            "{\"instance\":\"/agree \\u001b\"}",
            Some("https://ca.test/terms"),
        );
        check_visit("none", "<https://ca.test/dir>;rel=\"index\"", "{\"instance\":7}", None);
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
}
