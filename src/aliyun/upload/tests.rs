//! Uploads: what goes out, by which of the two APIs, and what happens when an answer is lost or a name is taken.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::super::tests::{Cloud, Said, no, ok, put, unknown};
use super::*;

const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nTEVBRg==\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nSU5U\n-----END CERTIFICATE-----\n";

fn upload(key: &SecretString) -> Upload<'_> {
    Upload {
        api_name: ".example.com",
        cert_name: "cf-example-com-0",
        fingerprint: Fingerprint::of(b"LEAF"),
        chain_pem: CHAIN,
        key_pem: key,
    }
}

fn info(status: &str, pem: &str) -> Said {
    let info = serde_json::json!({"ServerCertificateStatus": status, "ServerCertificate": pem});
    Said::Json(
        200,
        serde_json::json!({"CertInfos": {"CertInfo": [info]}, "RequestId": "R"}).to_string(),
    )
}

#[tokio::test(start_paused = true)]
async fn exactly_these_parameters() {
    let cloud = Cloud::default();
    let account = cloud.account(|_, _| ok(r#"{"RequestId":"16A96B9A-F203"}"#));
    let key = "the-key".into();
    let accepted = put(&account, &upload(&key)).await.unwrap();
    let want = ("16A96B9A-F203", 1, "cf-example-com-0");
    assert_eq!((accepted.request_id.as_str(), accepted.attempts, accepted.cert_name.as_str()), want);
    assert_eq!(accepted.not_live, None);
    let mut form = cloud.forms().remove(0);
    for common in [
        "AccessKeyId",
        "Signature",
        "SignatureMethod",
        "SignatureNonce",
        "SignatureVersion",
        "Timestamp",
    ] {
        assert!(form.remove(common).is_some(), "{common}");
    }
    let form: Vec<_> = form.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let want = [
        ("Action", "SetDomainServerCertificate"),
        ("CertName", "cf-example-com-0"),
        ("CertType", "upload"),
        ("DomainName", ".example.com"),
        ("ForceSet", "1"),
        ("Format", "JSON"),
        ("PrivateKey", "the-key"),
        ("ServerCertificate", CHAIN),
        ("ServerCertificateStatus", "on"),
        ("Version", "2018-05-10"),
    ];
    assert_eq!(form, want);
}

/// The first upload is answered by `first`, each look by `look`: the calls made, shortened to a letter.
async fn check(row: &str, first: Said, look: Said, want: &str, attempts: u32) {
    let cloud = Cloud::default();
    let account = cloud.account(move |form, before| match (form["Action"].as_str(), before) {
        ("SetDomainServerCertificate", 0) => first.clone(),
        ("SetDomainServerCertificate", _) => ok(r#"{"RequestId":"R"}"#),
        _ => look.clone(),
    });
    let key = "the-key".into();
    let accepted = put(&account, &upload(&key)).await.unwrap();
    let calls: String = cloud.actions().iter().filter_map(|action| action.chars().next()).collect();
    assert_eq!((calls.as_str(), accepted.attempts), (want, attempts), "{row}");
}

#[tokio::test(start_paused = true)]
async fn lost_answers() {
    let served = || info("on", &CHAIN.replace('\n', "\r\n"));
    let other = || info("on", "-----BEGIN CERTIFICATE-----\nSU5U\n-----END CERTIFICATE-----\n");
    let html = || Said::Json(200, "<html>".into());
    check("it had its effect", unknown(), served(), "SD", 1).await;
    check("it had none", unknown(), other(), "SDS", 2).await;
    check("it is switched off", unknown(), info("off", CHAIN), "SDS", 2).await;
    check("nothing is there", unknown(), ok(r#"{"CertInfos":{"CertInfo":[]}}"#), "SDS", 2).await;
    check("we may not look", unknown(), no(403, "Forbidden.RAM"), "SDS", 2).await;
    check("a nonce used", no(400, "SignatureNonceUsed"), served(), "SD", 1).await;
    check("an error within", no(500, "InternalError"), served(), "SD", 1).await;
    check("an unreadable success", html(), served(), "SD", 1).await;
    check("uploaded already", no(400, "CertificateContent.Duplicated"), served(), "SD", 1).await;
    check("surely refused: no look", no(400, "Throttling"), served(), "SS", 2).await;
    check("not available: no look", no(503, "ServiceUnavailable"), served(), "SS", 2).await;
    check("busy: no look", no(403, "ServiceBusy"), served(), "SS", 2).await;
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_that_is_not_served_stays_an_error() {
    let account = Cloud::default().account(|form, _| match form["Action"].as_str() {
        "SetDomainServerCertificate" => no(400, "CertificateContent.Duplicated"),
        _ => info("off", ""),
    });
    let key = "the-key".into();
    let error = put(&account, &upload(&key)).await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (Kind::Permanent, 1));
}

/// After a lost answer, 'never reached' is no longer the truth.
#[tokio::test(start_paused = true)]
async fn unknown_stays_unknown() {
    let account =
        Cloud::default().account(|form, before| match (form["Action"].as_str(), before) {
            ("SetDomainServerCertificate", 0) => unknown(),
            _ => Said::Lost(crate::http::Error::NotSent("away".into())),
        });
    let key = "the-key".into();
    let error = put(&account, &upload(&key)).await.unwrap_err();
    assert_eq!(error.kind, Kind::UnknownOutcome);
}

#[test]
fn cert_names() {
    let check = |name: &str, want: &str| {
        let got = cert_name(name);
        assert!(got.starts_with(want) && got.len() == want.len() + 8, "{name}: {got}");
        assert!(
            got.len() <= 63
                && got.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)),
            "{got}"
        );
    };
    check("cdn.example.com", "cf-cdn-example-com-");
    check(".example.com", "cf-example-com-");
    check("xn--fiqs8s.example", "cf-xn--fiqs8s-example-");
    check(&"a".repeat(200), &format!("cf-{}-", "a".repeat(51)));
    assert_eq!(cert_name("example.com"), "cf-example-com-a379a6f6");
    assert_ne!(cert_name("example.com"), cert_name(".example.com"));
}
