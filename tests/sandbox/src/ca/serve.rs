//! One call from its bytes to its answer: enter, gate, fault, effect, fault, answer.

use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State as Held};
use axum::response::Response;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::gate::{self, Request, Signed};
use super::jose::Jws;
use super::place::Place;
use super::problem::Problem;
use super::record::Call;
use super::state::State;
use super::{Done, Shared, account, order, persist, renewal, revoke, validate};
use crate::door::{self, Cut, Door, TlsDoor};
use crate::fault::{Ending, Kind, Side};
use crate::wire::{Answer, http_date};

/// The largest request body: a CSR of a hundred names is a tenth of it.
const BODY_LIMIT: usize = 256 * 1024;

/// Serves until it is dropped.
pub(crate) async fn run(
    listener: std::net::TcpListener,
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
) {
    let listener = TcpListener::from_std(listener).expect("the CA's listener");
    let door = TlsDoor::open(Door(listener), acceptor);
    let router = Router::new().fallback(answer).with_state(shared);
    door::serve(door, router).await;
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
    let headers = parts.headers.iter().map(|(name, value)| {
        (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    let request = Request {
        method: parts.method.to_string(),
        path: parts.uri.path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: headers.collect(),
        body: body.to_vec(),
    };
    let turn = Turn::take(&mut shared.state(), &request);
    if let Some((id, place)) = turn.validate {
        tokio::spawn(validate::run(Arc::clone(&shared), id, place));
    }
    turn.respond(&cut).await
}

/// A call that has had its effect, or not, and what is to be answered.
struct Turn {
    answer: Answer,
    fault: Option<Kind>,
    validate: Option<(usize, usize)>,
    date: String,
}

impl Turn {
    /// Carries the call out and records it, in one step for whoever looks at the state.
    fn take(state: &mut State, request: &Request) -> Self {
        let at = state.now();
        let place = Place::of(state, request.path.split('?').next().unwrap_or_default());
        let jws = Jws::parse(&request.body).ok();
        let names = names(state, &place, jws.as_ref());
        let mut turn = Self {
            answer: Answer::written(200, "application/json", "{}".to_owned()),
            fault: None,
            validate: None,
            date: http_date(at),
        };
        let ending = match admit(state, request, &place) {
            Err(problem) => turn.refuse(&problem),
            Ok(signed) => turn.carry_out(state, request, &place, signed.as_ref(), &names),
        };
        turn.decorate(state, request, &place);
        let payload = |jws: &Jws| serde_json::from_slice(&jws.payload).unwrap_or_default();
        state.calls.push(Call {
            kind: place.kind().to_owned(),
            method: request.method.clone(),
            path: request.path.clone(),
            headers: request.headers.clone(),
            payload: jws.as_ref().map(payload).unwrap_or_default(),
            protected: jws.map(|jws| Value::Object(jws.protected)).unwrap_or_default(),
            names,
            at,
            ending,
        });
        turn
    }

    fn carry_out(
        &mut self,
        state: &mut State,
        request: &Request,
        place: &Place,
        signed: Option<&Signed>,
        names: &[String],
    ) -> Ending {
        let fault = state.faults.striking(place.kind(), names);
        if let Some(fault) = fault.as_ref().filter(|fault| fault.side() == Side::Before) {
            return self.strike(fault.kind.clone(), Ending::FaultBefore(fault.kind.name()));
        }
        let done = match signed {
            Some(signed) => signed_call(state, place, signed),
            None => open_call(state, place, request),
        };
        let ending = match done {
            Err(problem) => self.refuse(&problem),
            Ok(done) => {
                self.answer = done.answer;
                self.validate = done.validate;
                Ending::Done
            }
        };
        let Some(fault) = fault else { return ending };
        let ending = Ending::FaultAfter(fault.kind.name(), ending.refused_with());
        self.strike(fault.kind, ending)
    }

    fn strike(&mut self, kind: Kind, ending: Ending) -> Ending {
        if let Kind::Refuse(told) = &kind {
            self.answer = Problem::told(told).answer();
        }
        self.fault = Some(kind);
        ending
    }

    fn refuse(&mut self, problem: &Problem) -> Ending {
        self.answer = problem.answer();
        Ending::Refused(problem.kind.clone())
    }

    /// The headers of RFC 8555 sections 6.5.1 and 7.1.
    fn decorate(&mut self, state: &mut State, request: &Request, place: &Place) {
        let mut add = |name: &str, value: String| {
            self.answer.headers.push((name.to_owned(), value));
        };
        add("cache-control", "no-store".to_owned());
        if *place != Place::Directory {
            add("link", format!("<{}>;rel=\"index\"", state.url("/directory")));
        }
        if request.method == "POST" || *place == Place::NewNonce {
            add("replay-nonce", state.new_nonce());
        }
    }

    async fn respond(mut self, cut: &Cut) -> Response {
        match self.fault.take() {
            None => self.answer.respond(&self.date, None),
            Some(fault) => self.answer.struck(fault, &self.date, cut).await,
        }
    }
}

/// Who signed, where a signature is asked for.
fn admit(state: &mut State, request: &Request, place: &Place) -> Result<Option<Signed>, Problem> {
    gate::enter(state, request, place)?;
    if request.method != "POST" {
        return Ok(None);
    }
    gate::pass(state, request, place).map(Some)
}

fn open_call(state: &mut State, place: &Place, request: &Request) -> Result<Done, Problem> {
    match place {
        Place::Directory => Ok(Done::json(200, &directory(state))),
        Place::NewNonce => {
            let status = if request.method == "HEAD" { 200 } else { 204 };
            Ok(Done::of(Answer::written(status, "text/plain", String::new())))
        }
        Place::Terms => {
            let terms = "A sandbox promises nothing.\n".to_owned();
            Ok(Done::of(Answer::written(200, "text/plain", terms)))
        }
        Place::RenewalInfo(id) => renewal::inform(state, id),
        Place::NewAccount
        | Place::Account(_)
        | Place::Orders(_)
        | Place::NewOrder
        | Place::Order(_)
        | Place::Finalize(_)
        | Place::Authorization(_)
        | Place::Challenge(..)
        | Place::Certificate(..)
        | Place::Revoke
        | Place::KeyChange
        | Place::Nowhere => Err(Problem::malformed("a signature is missing")),
    }
}

fn signed_call(state: &mut State, place: &Place, signed: &Signed) -> Result<Done, Problem> {
    match *place {
        Place::NewAccount => account::create(state, signed),
        Place::Account(id) => account::change(state, signed, id),
        Place::Orders(id) => account::orders(state, signed, id),
        Place::KeyChange => account::roll_over(state, signed),
        Place::NewOrder => order::create(state, signed),
        Place::Order(id) => order::look(state, signed, id),
        Place::Finalize(id) => order::finalize(state, signed, id),
        Place::Authorization(id) => order::authorize(state, signed, id),
        Place::Challenge(id, place) => order::challenge(state, signed, id, place),
        Place::Certificate(id, chain) => revoke::download(state, signed, id, chain),
        Place::Revoke => revoke::revoke(state, signed),
        Place::Directory
        | Place::NewNonce
        | Place::RenewalInfo(_)
        | Place::Terms
        | Place::Nowhere => Err(Problem::malformed("nothing to be signed for")),
    }
}

/// RFC 8555 section 7.1.1, with the entries of ARI and of profiles.
fn directory(state: &mut State) -> Value {
    let mut directory = json!({
        "newNonce": state.url("/acme/new-nonce"),
        "newAccount": state.url("/acme/new-acct"),
        "newOrder": state.url("/acme/new-order"),
        "revokeCert": state.url("/acme/revoke-cert"),
        "keyChange": state.url("/acme/key-change"),
        "meta": {
            "caaIdentities": state.rules.caa_identities,
            "website": state.url("/"),
        },
    });
    // As Boulder does, so that no client trips over an entry that it does not know.
    directory[state.dice.token()] = json!("https://ca.sandbox.example/an-entry-that-means-nothing");
    if state.rules.ari {
        directory["renewalInfo"] = json!(state.url("/acme/renewal-info"));
    }
    persist::tell(state, &mut directory["meta"]);
    let meta = &mut directory["meta"];
    if state.rules.terms {
        meta["termsOfService"] = json!(state.url("/terms"));
    }
    if state.rules.eab_required {
        meta["externalAccountRequired"] = json!(true);
    }
    if !state.rules.profiles.is_empty() {
        let profiles = state.rules.profiles.iter();
        meta["profiles"] =
            profiles.map(|(name, profile)| (name.clone(), json!(profile.description))).collect();
    }
    directory
}

/// What the call is about.
fn names(state: &State, place: &Place, jws: Option<&Jws>) -> Vec<String> {
    if *place != Place::NewOrder {
        return place.names(state);
    }
    let asked = jws.and_then(|jws| jws.object().ok()).unwrap_or_default();
    let identifiers = asked.get("identifiers").and_then(Value::as_array).cloned();
    let value = |identifier: &Value| identifier["value"].as_str().map(ToOwned::to_owned);
    identifiers.unwrap_or_default().iter().filter_map(value).collect()
}
