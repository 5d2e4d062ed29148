//! One call from its bytes to its answer: read, gate, fault, effect, publication, fault, answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, State as Held};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::answer::{Answer, Format, Refusal};
use super::door::{Cut, Door};
use super::fault::{Kind, Side, mistyped, swollen};
use super::gate::{self, Service};
use super::record::{Call, Ending};
use super::request::Request;
use super::state::State;
use super::{Shared, alidns, cdn, sign};

/// The largest request body; eight times the longest certificate with its key, percent-encoded.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// The pause between two bytes of a dripping answer.
const DRIP: Duration = Duration::from_millis(100);

/// Serves until it is dropped.
pub(crate) async fn run(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("the cloud's listener");
    let router = Router::new().fallback(answer).with_state(shared);
    let service = router.into_make_service_with_connect_info::<Cut>();
    axum::serve(Door(listener), service).await.expect("a server that only ends with its stage");
}

async fn answer(
    Held(shared): Held<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: axum::extract::Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let latency = shared.state().rules.latency;
    tokio::time::sleep(latency).await;
    let Ok(body) = axum::body::to_bytes(body, BODY_LIMIT).await else {
        return html(413).respond("", None);
    };
    let (request, read) = Request::read(&parts, &body);
    let turn = Turn::take(&mut shared.state(), &request, read);
    if !turn.changed.is_empty() {
        publish(&shared, &turn.changed).await;
    }
    turn.respond(&request, &cut).await
}

/// On a task of its own: a client that is killed meanwhile takes nothing of its call's effect with it.
async fn publish(shared: &Arc<Shared>, changed: &[(String, String, String)]) {
    let (shared, changed) = (Arc::clone(shared), changed.to_vec());
    let published = tokio::spawn(async move { shared.sinks.publish(&shared, &changed).await });
    published.await.expect("published");
}

/// A call that has had its effect, or not, and what is to be answered.
struct Turn {
    answer: Answer,
    fault: Option<Kind>,
    changed: Vec<(String, String, String)>,
    format: Format,
    id: String,
    date: String,
}

impl Turn {
    /// Carries the call out and records it, in one step for whoever looks at the state.
    fn take(state: &mut State, request: &Request, read: Result<(), Refusal>) -> Self {
        let at = state.now();
        let mut turn = Self {
            answer: Answer::written(200, "", String::new()),
            fault: None,
            changed: Vec::new(),
            format: Format::asked(request.param("Format")),
            id: state.next_request_id(),
            date: http_date(at),
        };
        let ending = match read.and_then(|()| gate::pass(state, request)) {
            Err(refusal) => turn.refuse(request, &refusal),
            Ok(caller) => turn.carry_out(state, request, &caller),
        };
        state.calls.push(Call {
            action: request.text("Action").to_owned(),
            method: request.method.clone(),
            params: request.params.clone(),
            in_query: request.in_query.clone(),
            headers: request.headers.clone(),
            at,
            ending,
        });
        turn
    }

    fn carry_out(&mut self, state: &mut State, request: &Request, caller: &gate::Caller) -> Ending {
        let domain = request.text("DomainName");
        let fault = state.fault_for(request.text("Action"), domain);
        if let Some(fault) = fault.as_ref().filter(|fault| fault.side() == Side::Before) {
            self.succeed(state, request, json!({}));
            self.fault = Some(fault.kind.clone());
            return Ending::FaultBefore(fault.kind.name());
        }
        let uid = &caller.account.uid;
        let done = match caller.service {
            Service::Cdn => cdn::call(state, uid, request).map(|fields| (fields, Vec::new())),
            Service::Alidns => {
                alidns::call(state, uid, request).map(|done| (done.fields, done.changed))
            }
        };
        let ending = match done {
            Err(refusal) => self.refuse(request, &refusal),
            Ok((fields, changed)) => {
                self.changed = changed;
                self.succeed(state, request, fields);
                Ending::Done
            }
        };
        let Some(fault) = fault else { return ending };
        self.fault = Some(fault.kind.clone());
        Ending::FaultAfter(fault.kind.name(), refused_with(ending))
    }

    fn succeed(&mut self, state: &State, request: &Request, mut fields: Value) {
        for name in &state.rules.left_out {
            leave_out(&mut fields, name);
        }
        self.answer = Answer::success(self.format, request.text("Action"), &self.id, fields);
    }

    fn refuse(&mut self, request: &Request, refusal: &Refusal) -> Ending {
        self.answer = self.refusal(request, refusal);
        Ending::Refused(refusal.code.clone())
    }

    fn refusal(&self, request: &Request, refusal: &Refusal) -> Answer {
        let host = request.headers.get("host").map_or("sandbox", String::as_str);
        Answer::refusal(self.format, &self.id, host, refusal)
    }

    async fn respond(mut self, request: &Request, cut: &Cut) -> Response {
        let Some(fault) = self.fault.take() else { return self.answer.respond(&self.date, None) };
        let mut answer = self.answer.clone();
        let mut body = None;
        match fault {
            Kind::Refuse(refusal) => answer = self.refusal(request, &echoing(refusal, request)),
            Kind::Reset => cut.now(),
            Kind::Silence => std::future::pending().await,
            Kind::Drip => body = Some(drip()),
            Kind::Html(status) => answer = html(status),
            Kind::Empty(status) => answer = Answer::written(status, "text/plain", String::new()),
            Kind::Truncated => {
                answer.headers.push(("content-length", answer.body.len().to_string()));
                body = Some(half(&answer.body));
            }
            Kind::Oversized => answer.body = swollen(&answer.body),
            Kind::WrongType => answer.body = mistyped(&answer.body),
            Kind::Redirect(location) => {
                answer = html(307);
                answer.headers.push(("location", location));
            }
        }
        answer.respond(&self.date, body)
    }
}

/// A refusal of a signature by a fault echoes the string to sign as a true one does.
fn echoing(refusal: Refusal, request: &Request) -> Refusal {
    if !["SignatureDoesNotMatch", "IncompleteSignature"].contains(&refusal.code.as_str()) {
        return refusal;
    }
    let echo = sign::string_to_sign(&request.method, &request.params);
    Refusal { message: Refusal::of_signature(&refusal.code, &echo).message, ..refusal }
}

fn refused_with(ending: Ending) -> Option<String> {
    match ending {
        Ending::Refused(code) => Some(code),
        Ending::Done | Ending::FaultBefore(_) | Ending::FaultAfter(..) => None,
    }
}

/// Removes a field wherever it stands.
fn leave_out(value: &mut Value, name: &str) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|item| leave_out(item, name)),
        Value::Object(fields) => {
            fields.remove(name);
            fields.values_mut().for_each(|field| leave_out(field, name));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn html(status: u16) -> Answer {
    let page = format!("<html><head><title>{status}</title></head><body>proxy</body></html>");
    Answer::written(status, "text/html", page)
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

fn http_date(at: Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}
