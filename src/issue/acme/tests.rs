//! Tests of what is read of the CA's answers.
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
    check_alternates("a title that says so", &[&format!("<{one}>;title=\"rel=alternate\"")], &[]);
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
    for (row, kind, wanted) in [("a nonce", "badNonce", 10), ("anything else", "malformed", 1)] {
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
