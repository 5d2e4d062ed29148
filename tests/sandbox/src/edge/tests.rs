//! The edge's own tests: what a TLS client sees.

use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::cloud::{Domain, Seed};

/// A self-signed chain and its key, of these names.
fn pair(names: &[&str]) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    (CertificateParams::new(names).unwrap().self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// What HTTPS to the name gives: the body, or an error.
async fn ask(address: SocketAddr, root: &str, name: &str) -> reqwest::Result<String> {
    let root = reqwest::Certificate::from_pem(root.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .resolve(name, address)
        .tls_certs_only([root])
        .timeout(Duration::from_secs(5))
        .build()
        .unwrap();
    client.get(format!("https://{name}:{}/", address.port())).send().await?.text().await
}

#[tokio::test]
async fn the_name_decides() {
    let seed = Seed::new()
        .domain(Domain::online("cdn.example.test"))
        .domain(Domain::online(".example.test"))
        .domain(Domain::online("off.example.test"))
        .domain(Domain::with_status("gone.example.test", "offline"));
    let cloud = Cloud::start(seed);
    let (chain, key) = pair(&["cdn.example.test"]);
    let (wild, wild_key) = pair(&["*.example.test", "a.b.example.test"]);
    cloud.set_served("cdn.example.test", "one", &chain, &key);
    cloud.set_served("gone.example.test", "one", &chain, &key);
    cloud.set_served(".example.test", "two", &wild, &wild_key);
    let edge = Edge::start(&cloud);
    for address in edge.addresses() {
        let check = async |root: &str, name: &str, want: Option<&str>| {
            let seen = ask(*address, root, name).await;
            assert_eq!(seen.as_deref().ok(), want, "{address} {name}: {seen:?}");
        };
        check(&chain, "cdn.example.test", Some("cdn.example.test")).await;
        check(&wild, "www.example.test", Some(".example.test")).await;
        check(&wild, "a.b.example.test", None).await;
        check(&wild, "off.example.test", None).await;
        check(&chain, "gone.example.test", None).await;
        check(&wild, "cdn.example.test", None).await;
    }
    let seen = edge.handshakes();
    assert_eq!(seen[0].domain.as_deref(), Some("cdn.example.test"));
    assert_eq!(seen[0].fingerprint, cloud.served_fingerprint("cdn.example.test"));
    let done: Vec<bool> = seen.iter().take(6).map(|handshake| handshake.done).collect();
    assert_eq!(done, [true, true, false, false, false, false]);
    assert_eq!(seen.iter().any(|one| one.ipv6), edge.addresses().len() == 2);
    cloud.set_served("cdn.example.test", "one", &wild, &wild_key);
    assert!(ask(edge.addresses()[0], &chain, "cdn.example.test").await.is_err());
    edge.show("cdn.example.test", (&chain, &key), 1);
    assert!(ask(edge.addresses()[0], &chain, "cdn.example.test").await.is_ok());
    assert!(ask(edge.addresses()[0], &chain, "cdn.example.test").await.is_err());
}
