//! One call of the metadata service: its kind, its token, its fault, its answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, State as Held};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::request::Parts;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::{Call, Rules, Shared, State, Tokens};
use crate::cloud::{Credentials, Issuing, instant};
use crate::door::{self, Cut, Door};
use crate::fault::{Ending, Kind, Side, Told};
use crate::wire::{Answer, http_date};

/// Where the credentials URI leads.
pub(crate) const URI: &str = "/credentials";

const TOKEN: &str = "/latest/api/token";
const ROLES: &str = "/latest/meta-data/ram/security-credentials";

/// The longest life of a token, in seconds; documented.
const TTL_LIMIT: i64 = 21_600;

/// What a call asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Asked {
    Token,
    Roles,
    Credentials(String),
    Uri,
}

impl Asked {
    fn of(path: &str) -> Option<Self> {
        match path {
            TOKEN => Some(Self::Token),
            URI => Some(Self::Uri),
            _ => match path.strip_prefix(ROLES)? {
                "" | "/" => Some(Self::Roles),
                name => Some(Self::Credentials(name.strip_prefix('/')?.to_owned())),
            },
        }
    }

    fn kind(&self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Roles => "roles",
            Self::Credentials(_) => "credentials",
            Self::Uri => "uri",
        }
    }

    fn method(&self) -> &'static str {
        if *self == Self::Token { "PUT" } else { "GET" }
    }
}

/// An answer that stands for itself, and the code of the refusal that it is.
struct Reply {
    answer: Answer,
    refused: Option<String>,
}

impl Reply {
    fn text(text: impl Into<String>) -> Self {
        Self { answer: Answer::written(200, "text/plain", text.into()), refused: None }
    }

    fn refusal(status: u16) -> Self {
        Self { answer: Answer::html(status), refused: Some(status.to_string()) }
    }

    fn ending(&self) -> Ending {
        self.refused.clone().map_or(Ending::Done, Ending::Refused)
    }
}

/// Serves until it is dropped.
pub(crate) async fn run(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("the metadata service's listener");
    let router = Router::new().fallback(answer).with_state(shared);
    door::serve(Door(listener), router).await;
}

async fn answer(
    Held(shared): Held<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: axum::extract::Request,
) -> Response {
    let (parts, _) = request.into_parts();
    let latency = shared.state().rules.latency;
    tokio::time::sleep(latency).await;
    let at = shared.issuing.now();
    let (mut reply, fault) = take(&mut shared.state(), &shared.issuing, &parts, at);
    let date = http_date(at);
    let Some(fault) = fault else { return reply.answer.respond(&date, None) };
    if let Kind::Refuse(told) = &fault {
        reply.answer = refused(told);
    }
    reply.answer.struck(fault, &date, &cut).await
}

/// Carries the call out and records it, in one step for whoever looks at the state.
fn take(
    state: &mut State,
    issuing: &Issuing,
    parts: &Parts,
    at: Timestamp,
) -> (Reply, Option<Kind>) {
    let asked = Asked::of(parts.uri.path());
    let headers = headers(parts);
    let (reply, fault, ending) =
        match asked.as_ref().ok_or(404).and_then(|asked| {
            pass(state, asked, parts.method.as_str(), &headers, at).map(|()| asked)
        }) {
            Err(status) => {
                let reply = Reply::refusal(status);
                let ending = reply.ending();
                (reply, None, ending)
            }
            Ok(asked) => carry_out(state, issuing, asked, &headers, at),
        };
    state.calls.push(Call {
        kind: asked.map_or("", |asked| asked.kind()).to_owned(),
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers,
        at,
        ending,
    });
    (reply, fault)
}

fn headers(parts: &Parts) -> BTreeMap<String, String> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    parts.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect()
}

/// The gate: method and token, or the status that refuses.
fn pass(
    state: &State,
    asked: &Asked,
    method: &str,
    headers: &BTreeMap<String, String>,
    at: Timestamp,
) -> Result<(), u16> {
    let tokens = state.rules.tokens;
    if *asked == Asked::Token && tokens == Tokens::Unknown {
        return Err(404);
    }
    if method != asked.method() {
        return Err(405);
    }
    if *asked == Asked::Token {
        // A token is for the instance itself, not for who comes through a proxy on it.
        return if headers.contains_key("x-forwarded-for") { Err(403) } else { Ok(()) };
    }
    let sent = headers.get("x-aliyun-ecs-metadata-token");
    match (asked, tokens, sent) {
        (Asked::Uri, ..) | (_, Tokens::Unknown, _) | (_, Tokens::Optional, None) => Ok(()),
        (_, Tokens::Required, None) => Err(403),
        (_, _, Some(token)) => match state.tokens.get(token) {
            Some(end) if *end > at => Ok(()),
            Some(_) | None => Err(401),
        },
    }
}

fn carry_out(
    state: &mut State,
    issuing: &Issuing,
    asked: &Asked,
    headers: &BTreeMap<String, String>,
    at: Timestamp,
) -> (Reply, Option<Kind>, Ending) {
    let role = match asked {
        Asked::Uri => state.rules.uri_role.clone(),
        Asked::Token | Asked::Roles | Asked::Credentials(_) => state.rules.role.clone(),
    };
    let subjects: Vec<String> = role.iter().cloned().collect();
    let fault = state.faults.striking(asked.kind(), &subjects);
    if let Some(fault) = fault.as_ref().filter(|fault| fault.side() == Side::Before) {
        let ending = Ending::FaultBefore(fault.kind.name());
        return (Reply::text("{}"), Some(fault.kind.clone()), ending);
    }
    let reply = match (asked, role) {
        (Asked::Token, _) => new_token(state, headers, at),
        (Asked::Roles, Some(role)) => Reply::text(role),
        (Asked::Credentials(name), Some(role)) if *name == role => keys(state, issuing, &role, at),
        (Asked::Uri, Some(role)) => keys(state, issuing, &role, at),
        (Asked::Roles | Asked::Credentials(_) | Asked::Uri, _) => Reply::refusal(404),
    };
    let ending = reply.ending();
    let Some(fault) = fault else { return (reply, None, ending) };
    let ending = Ending::FaultAfter(fault.kind.name(), ending.refused_with());
    (reply, Some(fault.kind), ending)
}

fn new_token(state: &mut State, headers: &BTreeMap<String, String>, at: Timestamp) -> Reply {
    let ttl = headers.get("x-aliyun-ecs-metadata-token-ttl-seconds");
    let seconds = ttl.and_then(|text| text.parse().ok()).unwrap_or(0_i64);
    if !(1..=TTL_LIMIT).contains(&seconds) {
        return Reply::refusal(400);
    }
    let seed = format!("{} {at}", state.calls.len());
    let token = BASE64_STANDARD.encode(Sha256::digest(seed.as_bytes()));
    state.tokens.insert(token.clone(), at + SignedDuration::from_secs(seconds));
    Reply::text(token)
}

/// The role's keys, new ones when the old are near their end.
fn keys(state: &mut State, issuing: &Issuing, role: &str, at: Timestamp) -> Reply {
    let Rules { lives, renewed, .. } = state.rules;
    let fresh = |keys: &&(Credentials, Timestamp)| keys.0.expires.duration_since(at) >= renewed;
    let kept = state.current.get(role).filter(fresh).cloned();
    let opened = || issuing.open(role, lives).map(|keys| (keys, at));
    let Some((keys, since)) = kept.or_else(opened) else { return no_keys() };
    state.current.insert(role.to_owned(), (keys.clone(), since));
    let document = json!({
        "AccessKeyId": keys.access_key_id,
        "AccessKeySecret": keys.secret,
        "Expiration": instant(keys.expires),
        "SecurityToken": keys.token,
        "LastUpdated": instant(since),
        "Code": "Success",
    });
    Reply { answer: Answer::written(200, "application/json", document.to_string()), refused: None }
}

/// The role is attached, but the cloud does not have it: an answer that is well in all but what it holds.
fn no_keys() -> Reply {
    const CODE: &str = "EntityNotExist.Role";
    let body = json!({ "Code": CODE }).to_string();
    Reply { answer: Answer::written(200, "application/json", body), refused: Some(CODE.to_owned()) }
}

/// What a fault tells: its status, and its code in a document as keys would be in.
fn refused(told: &Told) -> Answer {
    let body = json!({
        "Code": told.code.as_deref().unwrap_or("InternalError"),
        "Message": told.message.as_deref().unwrap_or("The metadata service failed."),
    });
    let status = told.status.unwrap_or(500);
    let mut answer = Answer::written(status, "application/json", body.to_string());
    answer.headers.extend(told.headers.clone());
    answer
}
