//! One call of the services: who calls, what it does to the zone book, and what is answered.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{ConnectInfo, State as Held};
use axum::response::Response;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use serde_json::{Value, json};
use tokio::net::{TcpListener, UdpSocket};

use super::{AUTH_ZONE, Account, Call, HOOK_PASSWORD, HOOK_USER, Shared};
use crate::door::{self, Cut, Door};
use crate::fault::{Kind, Side};
use crate::wire::{Answer, http_date};

/// The length of a challenge's value: 256 bits in base64url. acme-dns takes no other.
const VALUE: usize = 43;

/// The longest answer that a message by UDP has here.
const LONGEST: usize = 4096;

/// Where the PowerDNS keeps its zones.
const ZONES: &str = "/api/v1/servers/localhost/zones/";

/// Status, content type and body.
type Reply = (u16, &'static str, Vec<u8>);

/// Serves until it is dropped.
pub(super) async fn run(listener: std::net::TcpListener, shared: Arc<Shared>) {
    let listener = TcpListener::from_std(listener).expect("the services' listener");
    let router = Router::new().fallback(answer).with_state(shared);
    door::serve(Door(listener), router).await;
}

async fn answer(
    Held(shared): Held<Arc<Shared>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    request: Request<Body>,
) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, LONGEST).await.unwrap_or_default();
    let path = parts.uri.path().to_owned();
    let fault = shared.state().faults.striking(kind_of(&path), &[]);
    let (status, kind, body) = match &fault {
        Some(fault) if fault.side() == Side::Before => document(200, &json!({})),
        Some(_) | None => carried_out(&shared, &parts, &path, &body).await,
    };
    shared.state().calls.push(Call { path, status });
    let date = http_date(jiff::Timestamp::now());
    let mut answer = Answer::written(status, kind, String::from_utf8_lossy(&body).into_owned());
    let Some(fault) = fault else { return answer.respond(&date, Some(Body::from(body))) };
    if let Kind::Refuse(told) = &fault.kind {
        let code = told.code.as_deref().unwrap_or("internal error");
        let (status, kind, body) = document(told.status.unwrap_or(500), &json!({ "error": code }));
        answer = Answer::written(status, kind, String::from_utf8_lossy(&body).into_owned());
        let wait = told.retry_after.map(|wait| wait.div_ceil(1000).to_string());
        answer.headers.extend(wait.map(|wait| ("retry-after".to_owned(), wait)));
    }
    if matches!(fault.kind, Kind::Twice) {
        // A message of the DNS is no text.
        cut.twice();
        return answer.respond(&date, Some(Body::from(body)));
    }
    answer.struck(fault.kind, &date, &cut).await
}

/// The name that a fault is at.
fn kind_of(path: &str) -> &str {
    if path.starts_with(ZONES) { "zones" } else { path.rsplit('/').next().unwrap_or_default() }
}

async fn carried_out(shared: &Shared, parts: &Parts, path: &str, body: &Bytes) -> Reply {
    match (&parts.method, path) {
        (&Method::POST, "/acme-dns/register") => register(shared),
        (&Method::POST, "/acme-dns/update") => update(shared, &parts.headers, body),
        (&Method::POST, "/hook/present" | "/hook/cleanup") => {
            hook(shared, &parts.headers, path.ends_with("present"), body)
        }
        (&Method::POST, "/dns-query") => resolve(shared, &parts.headers, body).await,
        (method, path) if path.starts_with(ZONES) => {
            powerdns(shared, method, &parts.headers, path, body)
        }
        _ => text(404, "there is nothing here"),
    }
}

fn text(status: u16, said: &str) -> Reply {
    (status, "text/plain", said.as_bytes().to_vec())
}

fn document(status: u16, value: &Value) -> Reply {
    (status, "application/json", value.to_string().into_bytes())
}

fn register(shared: &Shared) -> Reply {
    let accounts = &mut shared.state().accounts;
    let number = accounts.len();
    let account = Account {
        username: format!("user-{number}"),
        password: format!("sandbox-password-of-account-{number}"),
        subdomain: format!("sub-{number}"),
        values: Vec::new(),
    };
    let told = json!({
        "username": account.username,
        "password": account.password,
        "fulldomain": format!("{}.{AUTH_ZONE}", account.subdomain),
        "subdomain": account.subdomain,
        "allowfrom": [],
    });
    accounts.push(account);
    document(201, &told)
}

fn update(shared: &Shared, headers: &HeaderMap, body: &Bytes) -> Reply {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let (user, key) = (header(headers, "x-api-user"), header(headers, "x-api-key"));
    let mut state = shared.state();
    let account = state.accounts.iter_mut().find(|one| {
        one.username == user && one.password == key && said["subdomain"] == one.subdomain
    });
    let Some(account) = account else {
        return document(401, &json!({ "error": format!("forbidden for the key {key}") }));
    };
    let Some(value) = said["txt"].as_str().filter(|value| value.len() == VALUE) else {
        return document(400, &json!({ "error": "bad_txt" }));
    };
    account.values.push(value.to_owned());
    let oldest = account.values.len().saturating_sub(2);
    account.values.drain(..oldest);
    let name = format!("{}.{AUTH_ZONE}", account.subdomain);
    shared.zones.set(AUTH_ZONE, &name, "TXT", &account.values);
    document(200, &json!({ "txt": value }))
}

fn hook(shared: &Shared, headers: &HeaderMap, is_present: bool, body: &Bytes) -> Reply {
    let pair = BASE64_STANDARD.encode(format!("{HOOK_USER}:{HOOK_PASSWORD}"));
    let said_pair = header(headers, "authorization");
    if said_pair != format!("Basic {pair}") {
        return text(401, &format!("{said_pair} is nobody here"));
    }
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let name = said["fqdn"].as_str().and_then(|fqdn| fqdn.strip_suffix('.'));
    let (Some(name), Some(value)) = (name, said["value"].as_str()) else {
        return text(400, "fqdn or value is missing");
    };
    let Some(zone) = shared.zones.zone_of(name) else { return text(404, "no such zone") };
    let mut values = shared.zones.values(name, "TXT");
    values.retain(|known| known != value);
    if is_present {
        values.push(value.to_owned());
    }
    shared.zones.set(&zone, name, "TXT", &values);
    text(200, "")
}

fn powerdns(
    shared: &Shared,
    method: &Method,
    headers: &HeaderMap,
    path: &str,
    body: &Bytes,
) -> Reply {
    if header(headers, "x-api-key") != HOOK_PASSWORD {
        return document(401, &json!({ "error": "Unauthorized" }));
    }
    let zone = path.rsplit('/').next().unwrap_or_default().trim_end_matches('.');
    if shared.zones.zone_of(zone).as_deref() != Some(zone) {
        return document(404, &json!({ "error": "Not Found" }));
    }
    if method == Method::GET {
        return document(200, &json!({ "rrsets": challenges(shared, zone) }));
    }
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    for set in said["rrsets"].as_array().into_iter().flatten() {
        let name = set["name"].as_str().unwrap_or_default().trim_end_matches('.');
        let records = set["records"].as_array().cloned().unwrap_or_default();
        let content = |record: Value| {
            record["content"].as_str().map(|text| text.trim_matches('"').to_owned())
        };
        let values: Vec<String> = records.into_iter().filter_map(content).collect();
        shared.zones.set(zone, name, "TXT", &values);
    }
    text(204, "")
}

/// The sets of TXT values that a zone's challenge has; of other names nobody asks.
fn challenges(shared: &Shared, zone: &str) -> Vec<Value> {
    let name = format!("_acme-challenge.{zone}");
    let values = shared.zones.values(&name, "TXT");
    let record = |value: String| json!({ "content": format!("\"{value}\""), "disabled": false });
    let records: Vec<Value> = values.into_iter().map(record).collect();
    match records.is_empty() {
        true => Vec::new(),
        false => {
            vec![
                json!({ "name": format!("{name}."), "type": "TXT", "ttl": 600, "records": records }),
            ]
        }
    }
}

/// Passes the question on to the first DNS server.
async fn resolve(shared: &Shared, headers: &HeaderMap, body: &Bytes) -> Reply {
    if header(headers, "content-type") != "application/dns-message" {
        return text(415, "RFC 8484, 6");
    }
    let mut answer = vec![0; LONGEST];
    let asked = async {
        let socket = UdpSocket::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        socket.connect(shared.server).await?;
        socket.send(body).await?;
        socket.recv(&mut answer).await
    };
    match asked.await {
        Ok(length) => (200, "application/dns-message", answer[..length].to_vec()),
        Err(error) => text(502, &error.to_string()),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}
