//! Where alidns publishes: a pebble-challtestsrv, and the sandbox's own DNS.

use serde_json::json;
use tokio::sync::{Mutex, OnceCell};

use super::Shared;
use super::state::State;
use crate::dns::Zones;

/// The servers that shall answer with what alidns holds.
pub(crate) struct Sinks {
    challtestsrv: Option<String>,
    client: OnceCell<reqwest::Client>,
    dns: Option<Zones>,
    /// One publication at a time, so that an older state never comes after a newer one.
    turn: Mutex<()>,
}

impl Sinks {
    pub(crate) fn new(challtestsrv: Option<String>, dns: Option<Zones>) -> Self {
        let challtestsrv = challtestsrv.map(|url| url.trim_end_matches('/').to_owned());
        Self { challtestsrv, client: OnceCell::new(), dns, turn: Mutex::new(()) }
    }

    /// Hands the DNS what was there from the start.
    pub(crate) fn fill(&self, state: &State) {
        let Some(dns) = &self.dns else { return };
        for (name, zone) in &state.zones {
            dns.add(name);
            for record in &zone.records {
                let fqdn = record.fqdn(name);
                dns.set(name, &fqdn, &record.kind, &state.values_at(&fqdn, &record.kind));
            }
        }
    }

    /// Publishes what now stands at these (zone, full name, type).
    pub(crate) async fn publish(&self, shared: &Shared, changed: &[(String, String, String)]) {
        let turn = self.turn.lock().await;
        for (zone, fqdn, kind) in changed {
            let values = shared.state().values_at(fqdn, kind);
            if let Some(dns) = &self.dns {
                dns.set(zone, fqdn, kind, &values);
            }
            if kind == "TXT" {
                self.replace_txt(fqdn, &values).await;
            }
        }
        drop(turn);
    }

    /// challtestsrv can add a value and clear a name, not take one value away.
    async fn replace_txt(&self, fqdn: &str, values: &[String]) {
        let Some(url) = &self.challtestsrv else { return };
        let host = format!("{fqdn}.");
        self.post(&format!("{url}/clear-txt"), &json!({ "host": host })).await;
        for value in values {
            self.post(&format!("{url}/set-txt"), &json!({ "host": host, "value": value })).await;
        }
    }

    async fn post(&self, url: &str, body: &serde_json::Value) {
        let build = || async { reqwest::Client::builder().no_proxy().build().expect("a client") };
        let client = self.client.get_or_init(build).await;
        let answer = client.post(url).body(body.to_string()).send().await;
        let answer = answer.unwrap_or_else(|error| panic!("challtestsrv at {url}: {error}"));
        assert!(answer.status().is_success(), "challtestsrv at {url}: {}", answer.status());
    }
}
