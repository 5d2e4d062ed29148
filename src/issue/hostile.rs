//! Any bytes as a CA's answer, and as an account that was kept.

use ::http::header::{CONTENT_TYPE, LINK, RETRY_AFTER};
use ::http::{HeaderMap, HeaderValue};
use instant_acme::{Error, Problem};
use jiff::Timestamp;

use super::heard::Heard;
use super::jws::Kept;
use super::refusal::{self, Reason};
use crate::hostile::assert_tame;
use crate::http::Answer;

/// The first byte chooses status and kind of page; the first line is also what header fields hold.
pub(crate) fn answer(bytes: &[u8]) {
    let Some((first, body)) = bytes.split_first() else { return };
    let (status, kind) = PAGES[usize::from(*first) % PAGES.len()];
    let line = body.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let mut headers = HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
    if let Ok(value) = HeaderValue::from_bytes(line) {
        headers.insert(LINK, value.clone());
        headers.insert(RETRY_AFTER, value);
    }
    let answer = Answer { status, headers, body: body.to_vec() };
    let heard = Heard::of(&answer, Timestamp::UNIX_EPOCH);
    if let Err(unusable) = super::answer::judge(&answer) {
        assert_tame(&unusable.to_string());
    }
    if let Err(error) = super::acme::read(&answer, "https://ca.test/directory") {
        tell(&error);
    }
    refused(body, heard);
    let _key = serde_json::from_slice::<Kept>(body).map(|kept| kept.key().is_ok());
}

fn refused(body: &[u8], heard: Heard) {
    match serde_json::from_slice::<Problem>(body) {
        Ok(problem) => {
            let reason = Reason { name: "example.test".to_owned(), problem: problem.clone() };
            tell(&refusal::of_order(&[reason], Some(&problem)).error);
            tell(&refusal::of_account("the account", Error::Api(problem), heard).error);
        }
        Err(error) => tell(&refusal::failure("the order", Error::Json(error), heard).error),
    }
}

/// It is for people.
fn tell(error: &anyhow::Error) {
    let text = format!("{error:#}");
    assert_tame(&text);
    assert!(text.len() < 8000, "too much is told: {}", text.len());
}

const PAGES: [(u16, &str); 6] = [
    (200, "application/json"),
    (200, "application/pem-certificate-chain"),
    (200, "text/html"),
    (400, "application/problem+json"),
    (503, "text/html"),
    (301, "text/html"),
];
