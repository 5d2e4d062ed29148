//! One call from its bytes to its answer: read, gate, fault, effect, publication, fault, answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State as Held};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::answer::{Format, Refusal};
use super::gate::{self, Service};
use super::record::Call;
use super::request::Request;
use super::state::State;
use super::{Shared, alidns, cdn, sign, sts};
use crate::door::{self, Cut, Door};
use crate::fault::{Ending, Kind, Side};
use crate::wire::{Answer, http_date};

/// The largest request body; eight times the longest certificate with its key, percent-encoded.
const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// Serves until it is dropped.
pub(crate) async fn run(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("the cloud's listener");
    let router = Router::new().fallback(answer).with_state(shared);
    door::serve(Door(listener), router).await;
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
        return Answer::html(413).respond("", None);
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
        let subjects = ["DomainName", "RoleArn"].map(|name| request.text(name).to_owned());
        let fault = state.fault_for(request.text("Action"), &subjects);
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
            Service::Sts => {
                sts::call(state, &caller.account, request).map(|fields| (fields, Vec::new()))
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
        Ending::FaultAfter(fault.kind.name(), ending.refused_with())
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
        if let Kind::Refuse(told) = &fault {
            let refusal = echoing(Refusal::told(told), request);
            self.answer = self.refusal(request, &refusal);
            self.answer.headers.extend(told.headers.clone());
        }
        self.answer.struck(fault, &self.date, cut).await
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
