//! ARI as tables: what a CA answers, what is made of it, which instant is drawn, when it is asked again.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::{Arc, Mutex};

use reqwest::header::HeaderMap;

use super::*;

const NOW: &str = "2026-11-24T00:00:00Z";
const DATES: [&str; 2] = ["2026-12-01T00:00:00Z", "2026-12-03T00:00:00Z"];

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn check_draw(row: &str, start: &str, end: &str, random: u64, wanted: &str) {
    assert_eq!(draw(at(start), at(end), random), at(wanted), "{row}");
}

#[test]
fn an_instant_is_drawn_evenly() {
    let [start, end] = DATES;
    check_draw("the least", start, end, 0, start);
    check_draw("the greatest", start, end, u64::MAX, "2026-12-02T23:59:59Z");
    check_draw("the middle", start, end, 1 << 63, "2026-12-02T00:00:00Z");
    check_draw("a quarter", start, end, 1 << 62, "2026-12-01T12:00:00Z");
    check_draw("a second's window", start, "2026-12-01T00:00:01Z", u64::MAX, start);
    let odd = "2026-12-01T00:00:00.5Z";
    check_draw("never before the start", odd, "2026-12-01T00:00:00.9Z", 7, odd);
    check_draw("no window", end, start, u64::MAX, end);
    check_draw(
        "ten thousand years",
        "-009000-01-01T00:00:00Z",
        "9990-01-01T00:00:00Z",
        0,
        "-009000-01-01T00:00:00Z",
    );
}

fn window() -> Word {
    Word::Window { start: at(DATES[0]), end: at(DATES[1]), explanation: None }
}

fn check_again(row: &str, answer: Word, retry: Option<&str>, failures: u32, wanted: &str) {
    let said = Said { answer, retry_at: retry.map(at) };
    assert_eq!(ask_again(&said, failures, at(NOW)), at(wanted), "{row}");
}

#[test]
fn the_ca_says_when_to_ask_again_within_reason() {
    let silent = || Word::Silent("no".to_owned());
    let refused = || Word::Refused("no".to_owned());
    let six = "2026-11-24T06:00:00Z";
    check_again("its word", window(), Some("2026-11-24T05:00:00Z"), 0, "2026-11-24T05:00:00Z");
    check_again("a second", window(), Some("2026-11-24T00:00:01Z"), 0, "2026-11-24T00:01:00Z");
    check_again("gone by", window(), Some("2026-11-23T00:00:00Z"), 0, "2026-11-24T00:01:00Z");
    check_again("a year", window(), Some("2027-11-24T00:00:00Z"), 0, "2026-11-25T00:00:00Z");
    check_again("no word", window(), None, 0, six);
    check_again("no ARI", Word::NotOffered, None, 0, six);
    check_again("refused", refused(), None, 0, six);
    check_again(
        "refused, its word",
        refused(),
        Some("2026-11-24T02:00:00Z"),
        0,
        "2026-11-24T02:00:00Z",
    );
    check_again("silent", silent(), None, 1, "2026-11-24T00:01:00Z");
    check_again("silent again", silent(), None, 2, "2026-11-24T00:04:00Z");
    check_again("a third time", silent(), None, 3, "2026-11-24T00:16:00Z");
    check_again("a fifth time", silent(), None, 5, "2026-11-24T04:16:00Z");
    check_again("a sixth time", silent(), None, 6, six);
    check_again("for ever", silent(), None, u32::MAX, six);
    check_again(
        "busy, its word",
        silent(),
        Some("2026-11-24T00:30:00Z"),
        9,
        "2026-11-24T00:30:00Z",
    );
}

fn check_word(row: &str, status: u16, body: &str, wanted: &str) {
    let answer = Answer { status, headers: HeaderMap::new(), body: body.into() };
    let got = format!("{:?}", word(&answer));
    assert!(got.contains(wanted), "{row}: {got}");
}

#[test]
fn answers() {
    let page = |start: &str, end: &str, more: &str| {
        format!(r#"{{"suggestedWindow":{{"start":"{start}","end":"{end}"}}{more}}}"#)
    };
    let [start, end] = DATES;
    let good = page(start, end, "");
    let link = |url: &str| page(start, end, &format!(r#","explanationURL":"{url}""#));
    check_word(
        "a window",
        200,
        &good,
        "Window { start: 2026-12-01T00:00:00Z, end: 2026-12-03T00:00:00Z, explanation: None }",
    );
    check_word(
        "an offset",
        200,
        &page("2026-12-01T01:00:00+01:00", end, ""),
        "start: 2026-12-01T00:00:00Z",
    );
    check_word(
        "a page",
        200,
        &link("https://ca.test/why?x=1"),
        r#"Some("https://ca.test/why?x=1")"#,
    );
    check_word(
        "a page that turns a terminal",
        200,
        &link("https://ca.test/\\u001b[2J"),
        r#"Some("https://ca.test/%1B"#,
    );
    check_word("a page that is none", 200, &link("javascript:alert(1)"), "explanation: None");
    check_word(
        "a page without end",
        200,
        &link(&format!("https://ca.test/{}", "x".repeat(400))),
        "explanation: None",
    );
    check_word("no page", 200, &page(start, end, r#","explanationURL":null"#), "explanation: None");
    check_word("more than we know", 200, &page(start, end, r#","x":[1]"#), "Window");
    check_word("reversed", 200, &page(end, start, ""), "Refused(\"a window from");
    check_word("empty", 200, &page(start, start, ""), "Refused(\"a window from");
    check_word("no window", 200, "{}", "Refused(\"the answer cannot be read");
    check_word("no JSON", 200, "<html>", "Refused(\"the answer cannot be read");
    check_word("no date", 200, &page("soon", end, ""), "Refused(\"the answer cannot be read");
    check_word("unknown", 404, "{}", "Refused(\"the CA answers 404");
    check_word("a redirect", 301, "", "Refused(\"the CA answers 301");
    check_word("busy", 429, "{}", "Silent(\"the CA answers 429");
    check_word("down", 503, "", "Silent(\"the CA answers 503");
}

/// An asker whose CA has this directory, and the paths that it was asked for.
fn asker(directory: &'static str) -> (Asker, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&asked);
    let http = Http::scripted(Box::new(move |request| {
        let path = request.url().path().to_owned();
        seen.lock().unwrap().push(path.clone());
        let body = if path == "/dir" {
            directory.to_owned()
        } else {
            r#"{"suggestedWindow":{"start":"2026-12-01T00:00:00Z","end":"2026-12-03T00:00:00Z"}}"#
                .to_owned()
        };
        let headers =
            HeaderMap::from_iter([(reqwest::header::RETRY_AFTER, "21600".parse().unwrap())]);
        Ok(Answer { status: if body.is_empty() { 502 } else { 200 }, headers, body: body.into() })
    }));
    (Asker::new(http, "https://ca.test/dir"), asked)
}

#[tokio::test(start_paused = true)]
async fn many_are_asked_about_with_one_directory_and_at_a_pace() {
    let (asker, asked) = asker(r#"{"renewalInfo":"https://ca.test/ari/"}"#);
    let begun = tokio::time::Instant::now();
    let asks = (0..50).map(|number| {
        let asker = &asker;
        async move { asker.ask(&format!("aki.{number}"), at(NOW)).await }
    });
    let said = futures_util::future::join_all(asks).await;
    let wanted = Said { answer: window(), retry_at: Some(at("2026-11-24T06:00:00Z")) };
    assert!(said.iter().all(|said| *said == wanted), "{said:?}");
    let asked = asked.lock().unwrap();
    assert_eq!((asked.len(), asked[0].as_str(), asked[1].as_str()), (51, "/dir", "/ari/aki.0"));
    assert_eq!(begun.elapsed(), APART * 49);
}

async fn check_none(row: &str, directory: &'static str, wanted: &str) {
    let (asker, asked) = asker(directory);
    for _ in 0..2 {
        let got = format!("{:?}", asker.ask("aki.1", at(NOW)).await.answer);
        assert!(got.contains(wanted), "{row}: {got}");
    }
    assert_eq!(*asked.lock().unwrap(), ["/dir"], "{row}: asked once");
}

#[tokio::test]
async fn a_ca_without_ari_is_not_asked() {
    check_none("no ARI", r#"{"newOrder":"https://ca.test/order"}"#, "NotOffered").await;
    check_none("null", r#"{"renewalInfo":null}"#, "NotOffered").await;
    check_none("away", "", "Away").await;
    check_none("no directory", "<html>", "Away").await;
}

#[tokio::test(start_paused = true)]
async fn a_ca_that_does_not_answer_is_let_alone() {
    let asked = Arc::<Mutex<u32>>::default();
    let seen = Arc::clone(&asked);
    let http = Http::scripted(Box::new(move |request| {
        if request.url().path() == "/dir" {
            let body = br#"{"renewalInfo":"https://ca.test/ari"}"#.to_vec();
            return Ok(Answer { status: 200, headers: HeaderMap::new(), body });
        }
        *seen.lock().unwrap() += 1;
        Err(crate::http::Error::Unknown("no answer".to_owned()))
    }));
    let asker = Asker::new(http, "https://ca.test/dir");
    let mut words = Vec::new();
    for number in 0..100 {
        words.push(asker.ask(&format!("aki.{number}"), at(NOW)).await.answer);
    }
    assert_eq!(*asked.lock().unwrap(), GIVEN_UP);
    assert!(matches!(words[..3], [Word::Silent(_), Word::Silent(_), Word::Silent(_)]));
    assert!(words[3..].iter().all(|word| matches!(word, Word::Away(_))), "{words:?}");
}
