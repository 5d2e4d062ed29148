//! States and their ways: what expires, what takes its time, what fails late, what chance decides.

use super::*;

#[tokio::test]
async fn an_order_that_fails_late_tells_why() {
    let (dns, ca) = world(|rules| {
        rules.issuing_fails = Some("the HSM is on fire".to_owned());
        rules.finalize_polls = 3;
    });
    let client = Client::registered(&ca).await;
    let (url, order) = client.order(&[NAME]).await;
    client.prove(&dns, &order).await;
    let csr = json!({ "csr": b64(csr(&KeyPair::generate().unwrap(), &[NAME])) });
    client.post(order["finalize"].as_str().unwrap(), csr).await;
    for _ in 0..3 {
        assert_eq!(client.post(&url, "").await.json()["status"], "processing");
    }
    let after = client.post(&url, "").await.json();
    assert_eq!(
        (&after["status"], &after["error"]["detail"]),
        (&json!("invalid"), &json!("the HSM is on fire"))
    );
    assert!(ca.certificates().is_empty());
}

#[tokio::test]
async fn what_is_old_is_worth_nothing() {
    let (dns, ca) = world(|rules| rules.reuse_authorizations = true);
    let client = Client::registered(&ca).await;
    let (url, order) = client.order(&[NAME]).await;
    client.prove(&dns, &order).await;
    assert_eq!(client.post(&url, "").await.json()["status"], "ready");
    ca.expire_authorizations();
    let authorization = order["authorizations"][0].as_str().unwrap();
    assert_eq!(client.post(authorization, "").await.json()["status"], "expired");
    assert_eq!(client.post(&url, "").await.json()["status"], "invalid");
    let (_, next) = client.order(&[NAME]).await;
    assert_ne!(next["authorizations"], order["authorizations"], "nothing to use again");
    let again = next["authorizations"][0].as_str().unwrap();
    let wish = json!({ "status": "deactivated" });
    assert_eq!(client.post(again, wish).await.json()["status"], "deactivated");
    assert_eq!(ca.orders()[1].status, "invalid");
}

#[tokio::test]
async fn an_open_order_is_given_again_where_the_rules_have_it() {
    let (dns, ca) = world(|rules| rules.reuse_orders = true);
    let (client, other) = (Client::registered(&ca).await, Client::registered(&ca).await);
    let (url, order) = client.order(&[NAME]).await;
    assert_eq!(client.order(&[NAME]).await.0, url, "pending");
    assert_ne!(client.order(&[NAME, "*.example.test"]).await.0, url, "other names");
    assert_ne!(other.order(&[NAME]).await.0, url, "another account");
    client.prove(&dns, &order).await;
    assert_eq!(client.order(&[NAME]).await.0, url, "ready");
    let csr = json!({ "csr": b64(csr(&KeyPair::generate().unwrap(), &[NAME])) });
    client.post(order["finalize"].as_str().unwrap(), csr).await;
    assert_ne!(client.order(&[NAME]).await.0, url, "finalized");
    ca.rules(|rules| rules.reuse_orders = false);
    assert_ne!(client.order(&[NAME]).await.0, client.order(&[NAME]).await.0, "the rule's default");
}

#[tokio::test]
async fn waiting_is_asked_for() {
    let (dns, ca) = world(|rules| {
        rules.poll_retry_after = Some(7);
        rules.retry_as = RetryAs::Seconds;
    });
    let client = Client::registered(&ca).await;
    let (url, order) = client.order(&[NAME]).await;
    let authorization = order["authorizations"][0].as_str().unwrap();
    for url in [url.as_str(), authorization] {
        assert_eq!(client.post(url, "").await.header("retry-after"), "7");
    }
    client.prove(&dns, &order).await;
    for url in [url.as_str(), authorization] {
        assert_eq!(client.post(url, "").await.header("retry-after"), "");
    }
}

#[tokio::test]
async fn the_directory_says_what_is_on_offer() {
    let (_dns, ca) = world(|rules| rules.eab_required = true);
    let client = Client::new(&ca);
    let seen = client.get("/directory").await.json();
    let meta = &seen["meta"];
    assert_eq!(meta["externalAccountRequired"], true);
    assert_eq!(meta["caaIdentities"][0], "ca.sandbox.example");
    assert!(meta["profiles"]["shortlived"].is_string());
    assert_eq!(client.get(meta["termsOfService"].as_str().unwrap()).await.status, 200);
    assert!(seen["renewalInfo"].is_string());
    ca.rules(|rules| {
        rules.ari = false;
        rules.profiles.clear();
        rules.terms = false;
    });
    let seen = client.get("/directory").await.json();
    assert!(seen.get("renewalInfo").is_none() && seen["meta"].get("profiles").is_none());
    assert!(seen["meta"].get("termsOfService").is_none());
}

#[tokio::test]
async fn a_profile_decides_how_long() {
    let (dns, ca) = world(|rules| rules.reuse_authorizations = true);
    let client = Client::registered(&ca).await;
    client.certificate(&dns, &[NAME]).await;
    let mut wish = order_of(&[NAME]);
    wish["profile"] = json!("shortlived");
    let order = client.post("/acme/new-order", wish).await.json();
    assert_eq!((&order["profile"], &order["status"]), (&json!("shortlived"), &json!("ready")));
    let csr = json!({ "csr": b64(csr(&KeyPair::generate().unwrap(), &[NAME])) });
    client.post(order["finalize"].as_str().unwrap(), csr).await;
    let hours = |at: usize| {
        let certificate = &ca.certificates()[at];
        (certificate.not_after.duration_since(certificate.not_before).as_secs() + 1) / 3600
    };
    assert_eq!((hours(0), hours(1)), (90 * 24, 160));
}

#[tokio::test]
async fn chance_refuses_nonces_and_can_be_repeated() {
    let refusals = async |percent: u32, chance: u64| {
        let ca =
            Ca::start(Seed::new().chance(chance).rules(|rules| rules.nonce_refusals = percent));
        let client = Client::registered(&ca).await;
        for _ in 0..20 {
            client.post(&client.kid.clone().unwrap(), "").await;
        }
        let refused = |call: &Call| call.ending == Ending::Refused("badNonce".to_owned());
        ca.all_calls().iter().map(refused).collect::<Vec<bool>>()
    };
    assert!(!refusals(0, 1).await.contains(&true));
    let first = refusals(50, 1).await;
    assert!(first.contains(&true));
    assert_eq!(first, refusals(50, 1).await);
    assert_ne!(first, refusals(50, 2).await);
}
