//! The way onto the wire: an answer, and what a fault makes of it.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use http::StatusCode;
use http::header::{CONTENT_TYPE, DATE};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::door::Cut;
use crate::fault::Kind;

/// The pause between two bytes of a dripping answer.
const DRIP: Duration = Duration::from_millis(100);

/// Bytes of an oversized answer: more than any client that bounds its reading should take.
const OVERSIZED: usize = 8 * 1024 * 1024;

/// An answer that is ready but for its way onto the wire.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    /// Any answer.
    pub(crate) fn written(status: u16, content_type: &str, body: String) -> Self {
        Self { status, content_type: content_type.to_owned(), headers: Vec::new(), body }
    }

    /// Onto the wire, with the server's own idea of the time.
    pub(crate) fn respond(self, date: &str, body: Option<Body>) -> Response {
        let mut response = Response::builder()
            .status(StatusCode::from_u16(self.status).expect("a status of three digits"))
            .header(CONTENT_TYPE, self.content_type)
            .header(DATE, date);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let body = body.unwrap_or_else(|| Body::from(self.body));
        response.body(body).expect("a response of valid headers")
    }
    /// Onto the wire as the fault has it; a refusal is written before.
    pub(crate) async fn struck(mut self, fault: Kind, date: &str, cut: &Cut) -> Response {
        let mut body = None;
        match fault {
            Kind::Refuse(_) => {}
            Kind::Reset => cut.now(),
            Kind::Twice => cut.twice(),
            Kind::Silence => std::future::pending().await,
            Kind::Drip => body = Some(drip()),
            Kind::Html(status) => self = Self::html(status),
            Kind::Page(status, words) => {
                let text = format!("<html><body><h1>Refused</h1><pre>{words}</pre></body></html>");
                self = Self::written(status, "text/html", text);
            }
            Kind::Xml(code, status) => {
                let text = format!("<Error><RequestId>X-1</RequestId><Code>{code}</Code></Error>");
                self = Self::written(status, "text/xml", text);
            }
            Kind::Empty(status) => self = Self::written(status, "text/plain", String::new()),
            Kind::Truncated => {
                self.headers.push(("content-length".to_owned(), self.body.len().to_string()));
                body = Some(half(&self.body));
            }
            Kind::Oversized => self.body = swollen(&self.body),
            Kind::WrongType => self.body = mistyped(&self.body),
            Kind::Redirect(location) => {
                self = Self::html(307);
                self.headers.push(("location".to_owned(), location));
            }
        }
        self.respond(date, body)
    }

    /// A proxy's page.
    pub(crate) fn html(status: u16) -> Self {
        let page = format!("<html><head><title>{status}</title></head><body>proxy</body></html>");
        Self::written(status, "text/html", page)
    }
}

/// A byte now and then, without end.
fn drip() -> Body {
    Body::from_stream(stream::unfold((), |()| async {
        tokio::time::sleep(DRIP).await;
        Some((Ok::<_, Infallible>(Bytes::from_static(b" ")), ()))
    }))
}

/// The first half, then an end that the announced length contradicts.
fn half(text: &str) -> Body {
    let first = Bytes::copy_from_slice(&text.as_bytes()[..text.len() / 2]);
    let first = stream::iter([Ok(first)]);
    let end = stream::once(async {
        // The first half must have left before the connection ends, else nothing of it does.
        tokio::time::sleep(DRIP).await;
        Err(std::io::Error::from(std::io::ErrorKind::BrokenPipe))
    });
    Body::from_stream(first.chain(end))
}

/// As HTTP writes a time (RFC 9110 section 5.6.7).
pub(crate) fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// The same document with every field of another type.
fn mistyped(document: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(document) else { return "[1]".to_owned() };
    let other = |field: Value| match field {
        Value::String(_) => json!({ "value": 1 }),
        Value::Array(_) | Value::Object(_) => json!("text"),
        Value::Null | Value::Bool(_) | Value::Number(_) => json!(["many"]),
    };
    Value::Object(fields.into_iter().map(|(name, field)| (name, other(field))).collect())
        .to_string()
}

/// The same document, valid, and far too long.
fn swollen(document: &str) -> String {
    let padding = " ".repeat(OVERSIZED);
    match document.strip_prefix('{') {
        Some(rest) => format!("{{{padding}{rest}"),
        None => format!("{padding}{document}"),
    }
}
