//! A way into the zone book for shell scripts: pebble-challtestsrv's HTTP API, as far as hooks use it.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::State as Held;
use axum::routing::post;
use http::StatusCode;
use serde_json::Value;

use crate::dns::Zones;
use crate::stage::Stage;

/// `POST /set-txt {"host":"_acme-challenge.example.test.","value":"…"}` adds a value, `/clear-txt` takes all of a host
/// away; `/set-cname` and `/clear-cname` take `target`, `/add-caa` and `/clear-caa` take `policies` of `tag` and `value`.
pub struct Manage {
    address: SocketAddr,
    _stage: Stage,
}

impl Manage {
    /// Starts it on a free port of 127.0.0.1, plain HTTP.
    ///
    /// # Panics
    /// When no port can be bound.
    pub fn start(zones: Zones) -> Self {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        let address = listener.local_addr().expect("its own address");
        let stage = Stage::open("manage", move || serve(listener, zones));
        Self { address, _stage: stage }
    }

    /// For example `http://127.0.0.1:40001`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

async fn serve(listener: std::net::TcpListener, zones: Zones) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    // The body is read whatever its Content-Type says: curl's -d calls everything a form.
    let route = |change: fn(&Zones, &Value) -> Option<()>| {
        post(move |Held(zones): Held<Zones>, body: String| async move {
            let asked = serde_json::from_str(&body).unwrap_or_default();
            change(&zones, &asked).map_or(StatusCode::BAD_REQUEST, |()| StatusCode::OK)
        })
    };
    let router = Router::new()
        .route("/set-txt", route(|zones, asked| add(zones, asked, "TXT", text(asked, "value")?)))
        .route("/clear-txt", route(|zones, asked| clear(zones, asked, "TXT")))
        .route("/set-cname", route(set_cname))
        .route("/clear-cname", route(|zones, asked| clear(zones, asked, "CNAME")))
        .route("/add-caa", route(add_caa))
        .route("/clear-caa", route(|zones, asked| clear(zones, asked, "CAA")))
        .with_state(zones);
    axum::serve(listener, router).await.expect("a server that only ends with its stage");
}

fn set_cname(zones: &Zones, asked: &Value) -> Option<()> {
    clear(zones, asked, "CNAME")?;
    add(zones, asked, "CNAME", text(asked, "target")?)
}

fn add_caa(zones: &Zones, asked: &Value) -> Option<()> {
    for policy in asked["policies"].as_array()? {
        let (tag, value) = (text(policy, "tag")?, text(policy, "value")?);
        add(zones, asked, "CAA", &format!("0 {tag} \"{value}\""))?;
    }
    Some(())
}

fn add(zones: &Zones, asked: &Value, kind: &str, value: &str) -> Option<()> {
    let host = text(asked, "host")?;
    let mut values = zones.values(host, kind);
    if !values.iter().any(|one| one == value) {
        values.push(value.to_owned());
    }
    zones.set(&zones.zone_of(host)?, host, kind, &values);
    Some(())
}

fn clear(zones: &Zones, asked: &Value, kind: &str) -> Option<()> {
    let host = text(asked, "host")?;
    zones.set(&zones.zone_of(host)?, host, kind, &[]);
    Some(())
}

fn text<'a>(asked: &'a Value, name: &str) -> Option<&'a str> {
    asked.get(name)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::dns::Dns;

    #[tokio::test]
    async fn hooks_reach_the_book() {
        let dns = Dns::well();
        dns.zones().add("example.test");
        let manage = Manage::start(dns.zones());
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let host = "_acme-challenge.example.test.";
        let check = async |path: &str, body: Value, kind: &str, want: &[&str]| {
            let url = format!("{}{path}", manage.url());
            let answer = client.post(url).body(body.to_string()).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
            assert_eq!(dns.zones().values(host, kind), want, "{path}");
        };
        check("/set-txt", json!({ "host": host, "value": "a" }), "TXT", &["a"]).await;
        check("/set-txt", json!({ "host": host, "value": "b" }), "TXT", &["a", "b"]).await;
        check("/clear-txt", json!({ "host": host }), "TXT", &[]).await;
        check("/set-cname", json!({ "host": host, "target": "x.test." }), "CNAME", &["x.test."])
            .await;
        let caa = json!({ "host": host, "policies": [{ "tag": "issue", "value": ";" }] });
        check("/add-caa", caa, "CAA", &["0 issue \";\""]).await;
        let answer = client.post(format!("{}/set-txt", manage.url())).body("{}").send().await;
        assert_eq!(answer.unwrap().status(), 400);
    }
}
