//! The same questions by HTTPS (RFC 8484), for networks that let nothing through to port 53.

use std::time::Duration;

use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RecordType};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, Request, Url};

use super::wire::{self, Recursion, Silence};
use crate::http::{Answer, Http};

/// A resolver that is asked by HTTPS.
#[derive(Clone, Debug)]
pub(crate) struct Doh {
    url: String,
    http: Http,
}

impl Doh {
    pub(crate) fn new(url: &str, http: Http) -> Self {
        Self { url: url.to_owned(), http }
    }

    /// Its URL, for people.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Asks one question.
    pub(crate) async fn ask(&self, name: &Name, kind: RecordType) -> Result<Message, Silence> {
        let question = wire::question(name, kind, Recursion::Desired);
        let request = self.request(&question)?;
        let answer = self.http.send(request, TIMEOUT).await;
        let message = read(&answer.map_err(|error| Silence::Io(error.to_string()))?)?;
        if wire::same_question(&message, &question) {
            return Ok(message);
        }
        Err(Silence::Garbled("it answers another question".to_owned()))
    }

    fn request(&self, question: &Message) -> Result<Request, Silence> {
        let url = Url::parse(&self.url).map_err(|error| Silence::Io(error.to_string()))?;
        let mut request = Request::new(Method::POST, url);
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(MESSAGE));
        request.headers_mut().insert(ACCEPT, HeaderValue::from_static(MESSAGE));
        *request.body_mut() = Some(wire::encode(question)?.into());
        Ok(request)
    }
}

pub(super) fn read(answer: &Answer) -> Result<Message, Silence> {
    if answer.status != 200 {
        return Err(Silence::Io(format!("it answered HTTP {}", answer.status)));
    }
    if answer.headers.get(CONTENT_TYPE).is_none_or(|kind| kind != MESSAGE) {
        return Err(Silence::Garbled("no DNS message: is the URL right?".to_owned()));
    }
    wire::decode(&answer.body)
}

/// RFC 8484, 6.
const MESSAGE: &str = "application/dns-message";

/// A connection to the other end of the world, and a resolver that asks three servers.
const TIMEOUT: Duration = Duration::from_secs(10);
