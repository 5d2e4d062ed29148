//! The services refuse what the real ones refuse, and what they take stands in the zone book.

use reqwest::Client;
use serde_json::{Value, json};

use super::*;

const VALUE: &str = "LHDhK3oGRvkiefQnx7OOczTY5Tic_xZ6HcMOc_gmtoM";

async fn post(url: &str, headers: &[(&str, &str)], body: &Value) -> (u16, Value) {
    let client = Client::builder().no_proxy().build().unwrap();
    let mut request = client.post(url).body(body.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default())
}

#[tokio::test]
async fn acme_dns_keeps_the_last_two() {
    let dns = Dns::well();
    let names = Names::start(&dns);
    let url = names.url("acme-dns");
    let (status, account) = post(&format!("{url}/register"), &[], &json!({})).await;
    assert_eq!(status, 201);
    let text = |key: &str| account[key].as_str().unwrap().to_owned();
    let (user, key) = (text("username"), text("password"));
    let login = [("x-api-user", user.as_str()), ("x-api-key", key.as_str())];
    let update = format!("{url}/update");
    for last in ["A", "B", "C"] {
        let body =
            json!({ "subdomain": text("subdomain"), "txt": format!("{}{last}", &VALUE[1..]) });
        assert_eq!(post(&update, &login, &body).await.0, 200);
    }
    let held = dns.zones().values(&text("fulldomain"), "TXT");
    assert_eq!(held, ["B", "C"].map(|last| format!("{}{last}", &VALUE[1..])));
    let short = json!({ "subdomain": text("subdomain"), "txt": "short" });
    assert_eq!(post(&update, &login, &short).await.0, 400);
    assert_eq!(post(&update, &[login[0], ("x-api-key", "wrong")], &short).await.0, 401);
    assert_eq!(
        post(&update, &login, &json!({ "subdomain": "another", "txt": VALUE })).await.0,
        401
    );
}

#[tokio::test]
async fn the_hook_knows_who_calls() {
    let dns = Dns::well();
    dns.zones().add("example.test");
    let names = Names::start(&dns);
    let present = format!("{}/present", names.url("hook"));
    let body = json!({ "fqdn": "_acme-challenge.example.test.", "value": VALUE });
    assert_eq!(post(&present, &[], &body).await.0, 401);
    // `ops:sandbox-password-of-the-hook`
    let login = [("authorization", "Basic b3BzOnNhbmRib3gtcGFzc3dvcmQtb2YtdGhlLWhvb2s=")];
    assert_eq!(post(&present, &login, &body).await.0, 200);
    assert_eq!(post(&present, &login, &json!({ "fqdn": "a.other.", "value": VALUE })).await.0, 404);
    assert_eq!(dns.zones().values("_acme-challenge.example.test", "TXT"), [VALUE]);
    let clean_up = format!("{}/cleanup", names.url("hook"));
    assert_eq!(post(&clean_up, &login, &body).await.0, 200);
    assert!(dns.zones().values("_acme-challenge.example.test", "TXT").is_empty());
    assert_eq!(names.calls("/hook").len(), 4);
}
