//! Whether an answer is an ACME server's at all.

use std::fmt;

use crate::http::Answer;
use crate::secret::Redactor;
use ::http::header::{CONTENT_TYPE, HeaderName, LOCATION};

/// An answer that no ACME server gives: a proxy's page, a redirect.
#[derive(Debug)]
pub(super) struct Unusable(String);

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
    if *status >= 400 && body.is_empty() {
        return Err(Unusable(format!(
            "the CA answered with status {status} and nothing else\nhelp: nothing: the next run carries on; if it stays so, look at \
             the CA's status page, and at what stands between here and it (a proxy?)"
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
pub(super) fn words(body: &[u8]) -> String {
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

/// Bytes of a page that are looked at for words.
const PAGE_READ: usize = 4096;

/// Characters of a page in an error: its title.
const PAGE_SHOWN: usize = 160;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use ::http::{HeaderMap, HeaderValue};

    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
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
