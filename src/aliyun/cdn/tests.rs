//! The CDN's reads: what is understood of them, whatever the cloud leaves out.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::super::tests::{Cloud, ok};
use super::*;

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
