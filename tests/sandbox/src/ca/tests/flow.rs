//! What good clients get: certificates, chains, renewal information, and accounts that change.

use x509_parser::prelude::FromDer;

use super::*;

/// Whether a chain ends at one of the roots, for TLS.
fn is_trusted(chain: &str, roots: &str) -> bool {
    let ders = |text: &str| -> Vec<CertificateDer<'static>> {
        let blocks = pem::parse_many(text).unwrap();
        blocks.into_iter().map(|block| CertificateDer::from(block.into_contents())).collect()
    };
    let mut store = rustls::RootCertStore::empty();
    store.add_parsable_certificates(ders(roots));
    let chain = ders(chain);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier =
        rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider)
            .build()
            .unwrap();
    let now = rustls::pki_types::UnixTime::now();
    let name = NAME.try_into().unwrap();
    rustls::client::danger::ServerCertVerifier::verify_server_cert(
        &*verifier,
        &chain[0],
        &chain[1..],
        &name,
        &[],
        now,
    )
    .is_ok()
}

#[tokio::test]
async fn a_certificate_from_nothing() {
    let (dns, ca) = world(|_| {});
    let client = Client::registered(&ca).await;
    let (url, certificate, key) = client.certificate(&dns, &[NAME, "*.example.test"]).await;
    let seen = client.post(&certificate, "").await;
    assert_eq!(seen.header("content-type"), "application/pem-certificate-chain");
    assert!(is_trusted(&seen.text, &ca.roots()), "{}", seen.text);
    let links: Vec<&str> =
        seen.headers.get_all("link").iter().map(|link| link.to_str().unwrap()).collect();
    let alternate = links.iter().find(|link| link.contains("alternate")).unwrap();
    let alternate = alternate.trim_start_matches('<').split('>').next().unwrap();
    let other = client.post(alternate, "").await;
    assert!(is_trusted(&other.text, &ca.roots()) && other.text != seen.text);
    assert_eq!(ca.orders()[0].status, "valid");
    assert_eq!(ca.orders()[0].url, url);
    let leaf = pem::parse(&seen.text).unwrap();
    let (_, leaf) = x509_parser::certificate::X509Certificate::from_der(leaf.contents()).unwrap();
    assert_eq!(*leaf.public_key().subject_public_key.data, *key.public_key_raw());
    assert!(
        ca.all_calls().iter().all(|call| call.ending == Ending::Done
            || call.ending == Ending::Refused("badNonce".to_owned()))
    );
}

#[tokio::test]
async fn every_kind_of_key_gets_its_chain() {
    let (dns, ca) = world(|rules| rules.reuse_authorizations = true);
    let client = Client::registered(&ca).await;
    for algorithm in
        [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_ECDSA_P384_SHA384, &rcgen::PKCS_RSA_SHA256]
    {
        let (url, order) = client.order(&[NAME]).await;
        if order["status"] == "pending" {
            client.prove(&dns, &order).await;
        }
        let key = KeyPair::generate_for(algorithm).unwrap();
        let request = request(&key, &[NAME], &[(DnType::CommonName, NAME)]);
        client.post(order["finalize"].as_str().unwrap(), json!({ "csr": b64(request) })).await;
        let order = client.poll(&url, "processing").await;
        assert_eq!(order["status"], "valid", "{order}");
    }
    for certificate in ca.certificates() {
        for chain in certificate.chains {
            assert!(is_trusted(&chain, &ca.roots()), "{chain}");
        }
    }
    assert_eq!(ca.calls("challenge").iter().filter(|call| call.ending == Ending::Done).count(), 1);
}

#[tokio::test]
async fn renewal_information_and_replacement() {
    let (dns, ca) = world(|_| {});
    let client = Client::registered(&ca).await;
    client.certificate(&dns, &[NAME]).await;
    let first = ca.certificates().remove(0);
    let info = client.get(&format!("/acme/renewal-info/{}", first.ari_id)).await;
    let start: Timestamp =
        info.json()["suggestedWindow"]["start"].as_str().unwrap().parse().unwrap();
    let life = first.not_after.duration_since(first.not_before);
    let at = start.duration_since(first.not_before).as_secs_f64() / life.as_secs_f64();
    assert!((0.65..0.66).contains(&at), "{at}");
    assert!(!info.header("retry-after").is_empty());
    ca.set_window(&first.serial, Window::Passed);
    let info = client.get(&format!("/acme/renewal-info/{}", first.ari_id)).await;
    let end: Timestamp = info.json()["suggestedWindow"]["end"].as_str().unwrap().parse().unwrap();
    assert!(end < ca.now());

    let mut wish = order_of(&[NAME]);
    wish["replaces"] = json!(first.ari_id);
    let order = client.post("/acme/new-order", &wish).await;
    assert_eq!((order.status, &order.json()["replaces"]), (201, &json!(first.ari_id)));
    client.prove(&dns, &order.json()).await;
    let csr = json!({ "csr": b64(csr(&KeyPair::generate().unwrap(), &[NAME])) });
    client.post(order.json()["finalize"].as_str().unwrap(), csr).await;
    assert!(ca.certificates()[0].replaced);
    let again = client.post("/acme/new-order", &wish).await;
    assert_eq!((again.status, again.problem().as_str()), (409, "alreadyReplaced"));
}

#[tokio::test]
async fn an_account_changes() {
    let (_dns, ca) = world(|_| {});
    let mut client = Client::registered(&ca).await;
    let url = client.kid.clone().unwrap();
    let seen = client.post(&url, json!({ "contact": ["mailto:a@example.test"] })).await;
    assert_eq!(seen.json()["contact"], json!(["mailto:a@example.test"]));
    let new = AccountKey::new();
    let change = format!("{}/acme/key-change", client.base);
    let payload = json!({ "account": url, "oldKey": client.key.jwk() }).to_string();
    let inner = new.sign(&json!({ "alg": "ES256", "jwk": new.jwk(), "url": change }), &payload);
    let seen = client.post(&change, inner).await;
    assert_eq!(seen.status, 200, "{seen:?}");
    let seen = client.post(&url, "").await;
    assert_eq!(seen.problem(), "malformed", "the old key is dead");
    client.key = new;
    assert_eq!(client.post(&url, "").await.status, 200);
    let seen = client.post(&url, json!({ "status": "deactivated" })).await;
    assert_eq!(seen.json()["status"], "deactivated");
    assert_eq!(client.post(&url, "").await.status, 401);
    assert_eq!(ca.accounts()[0].status, "deactivated");
}

#[tokio::test]
async fn revoked_by_its_account_alone() {
    let (dns, ca) = world(|_| {});
    let client = Client::registered(&ca).await;
    let (_, certificate, _) = client.certificate(&dns, &[NAME]).await;
    let chain = client.post(&certificate, "").await.text;
    let der = pem::parse(chain).unwrap().into_contents();
    let wish = json!({ "certificate": b64(&der), "reason": 4 });
    let strange = Spoil { by_key: Some(AccountKey::new()), ..Spoil::default() };
    ca.rules(|rules| rules.nonce_refusals = 0);
    let seen = client.once("/acme/revoke-cert", &wish.to_string(), strange).await.unwrap();
    assert_eq!(seen.problem(), "unauthorized");
    assert_eq!(client.post("/acme/revoke-cert", &wish).await.status, 200);
    assert_eq!(client.post("/acme/revoke-cert", &wish).await.problem(), "alreadyRevoked");
    assert_eq!(ca.certificates()[0].revoked, Some(4));
}

#[tokio::test]
async fn revoked_by_the_certificate_s_own_key() {
    let (dns, ca) = world(|rules| {
        rules.nonce_refusals = 0;
        rules.reuse_authorizations = true;
    });
    let client = Client::registered(&ca).await;
    let (_, certificate, key) = client.certificate(&dns, &[NAME]).await;
    let der = pem::parse(client.post(&certificate, "").await.text).unwrap().into_contents();
    let wish = json!({ "certificate": b64(&der), "reason": 1 }).to_string();
    let by_key = Spoil { by_key: Some(AccountKey::of(&key)), ..Spoil::default() };
    let seen = client.once("/acme/revoke-cert", &wish, by_key).await.unwrap();
    assert_eq!(seen.status, 200, "{seen:?}");
    assert_eq!(ca.certificates()[0].revoked, Some(1));
    let info = client.get(&format!("/acme/renewal-info/{}", ca.certificates()[0].ari_id)).await;
    let end: Timestamp = info.json()["suggestedWindow"]["end"].as_str().unwrap().parse().unwrap();
    assert!(end < ca.now(), "a revoked certificate is renewed at once");
    let (_, order) = client.order(&[NAME]).await;
    let csr = json!({ "csr": b64(csr(&key, &[NAME])) });
    let seen = client.post(order["finalize"].as_str().unwrap(), csr).await;
    assert_eq!(seen.problem(), "badCSR", "a compromised key is blocked");
}
