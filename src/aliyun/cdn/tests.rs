//! The CDN's calls: what goes out, what is read, and what happens when an answer is lost.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::super::Kind;
use super::super::tests::{Cloud, Said, no, ok, unknown};
use super::*;

const CHAIN: &str = "-----BEGIN CERTIFICATE-----\nTEVBRg==\n-----END CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\nSU5U\n-----END CERTIFICATE-----\n";

fn upload(key: &SecretString) -> Upload<'_> {
    Upload {
        api_name: ".example.com",
        cert_name: "cf-example-com-0",
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
    let accepted = account.set_domain_server_certificate(&upload(&key)).await.unwrap();
    assert_eq!(accepted, Accepted { request_id: "16A96B9A-F203".into(), attempts: 1 });
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
    let accepted = account.set_domain_server_certificate(&upload(&key)).await.unwrap();
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
    let error = account.set_domain_server_certificate(&upload(&key)).await.unwrap_err();
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
    let error = account.set_domain_server_certificate(&upload(&key)).await.unwrap_err();
    assert_eq!(error.kind, Kind::UnknownOutcome);
}

#[tokio::test(start_paused = true)]
async fn what_is_read_of_a_domain() {
    let full = r#"{"CertInfos":{"CertInfo":[{"ServerCertificateStatus":"on","ServerCertificate":"pem","CertName":"n",
        "CertExpireTime":"2026-03-04T05:06:07Z","Status":"success","CertId":12345}]},"RequestId":"R"}"#;
    let full_want = DomainCertificate {
        status_on: true,
        certificate_pem: Some("pem".into()),
        cert_name: Some("n".into()),
    };
    let empty = r#"{"CertInfos":{"CertInfo":[{"ServerCertificate":"","CertExpireTime":"soon"}]}}"#;
    let numbers =
        r#"{"CertInfos":{"CertInfo":[{"ServerCertificateStatus":"off","CertName":123}]}}"#;
    let numbers_want =
        DomainCertificate { cert_name: Some("123".into()), ..DomainCertificate::default() };
    let rows = [
        ("all", full, Some(full_want)),
        ("nothing in it", empty, Some(DomainCertificate::default())),
        ("numbers for strings", numbers, Some(numbers_want)),
        ("an empty list", r#"{"CertInfos":{"CertInfo":[]}}"#, None),
        ("no list", r#"{"RequestId":"R"}"#, None),
        ("a null", r#"{"CertInfos":null}"#, None),
    ];
    for (row, answer, want) in rows {
        let account = Cloud::default().account(move |_, _| ok(answer));
        let got = account.describe_domain_certificate_info("a.example.com").await.unwrap();
        assert_eq!(got, want, "{row}");
    }
}

/// The pages that are asked for, and the domains found, of a server with so many of them.
async fn check_pages(
    row: &str,
    total: usize,
    size: usize,
    count: fn(usize) -> Value,
    pages: usize,
) {
    let cloud = Cloud::default();
    let account = cloud.account(move |form, _| {
        let page: usize = form["PageNumber"].parse().unwrap();
        let names = ((page - 1) * size..(page * size).min(total))
            .map(|number| serde_json::json!({"DomainName": format!("{number}.example"), "DomainStatus": "online"}));
        let data: Vec<_> = names.collect();
        let body = serde_json::json!({
            "Domains": {"PageData": data}, "TotalCount": count(total), "PageSize": size, "PageNumber": page
        });
        ok(&body.to_string())
    });
    let domains = account.describe_user_domains().await.unwrap();
    assert_eq!((domains.len(), cloud.forms().len()), (total, pages), "{row}");
}

#[tokio::test(start_paused = true)]
async fn pages() {
    check_pages("none", 0, 500, |total| serde_json::json!(total), 1).await;
    check_pages("one page", 7, 500, |total| serde_json::json!(total), 1).await;
    check_pages("a full page", 500, 500, |total| serde_json::json!(total), 1).await;
    check_pages("three pages", 1001, 500, |total| serde_json::json!(total), 3).await;
    check_pages("the count as text", 1001, 500, |total| serde_json::json!(total.to_string()), 3)
        .await;
    check_pages("no count", 1001, 500, |_| Value::Null, 3).await;
    check_pages("smaller pages than asked for", 120, 50, |total| serde_json::json!(total), 3).await;
    check_pages("smaller pages, no count", 120, 50, |_| Value::Null, 3).await;
    check_pages("a count that is too large", 7, 500, |total| serde_json::json!(total + 1), 2).await;
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
