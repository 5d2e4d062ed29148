//! The calls of DNS: what goes out, what is read, and what counts as done.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::super::tests::{Cloud, no, ok, unknown};
use super::*;

const RECORDS: &str = r#"{"TotalCount":"3","PageSize":100,"DomainRecords":{"Record":[
    {"RecordId":"1","DomainName":"example.com","RR":"_acme-challenge","Type":"TXT","Value":"other","Locked":false},
    {"RecordId":2,"DomainName":"example.com","RR":"_acme-challenge","Type":"TXT","Value":"\"value\"","Locked":true,"Status":"ENABLE"},
    {"RR":"no-id"}]}}"#;

#[tokio::test(start_paused = true)]
async fn adding() {
    let cloud = Cloud::default();
    let account = cloud.account(|_, _| ok(r#"{"RecordId":"77","RequestId":"R"}"#));
    assert_eq!(account.add_domain_record("example.com", "@", "value").await.unwrap(), "77");
    let form = cloud.forms().remove(0);
    let want = [
        ("Action", "AddDomainRecord"),
        ("Version", "2015-01-09"),
        ("DomainName", "example.com"),
        ("RR", "@"),
        ("Type", "TXT"),
        ("Value", "value"),
    ];
    for (name, value) in want {
        assert_eq!(form[name], value);
    }
}

/// What AddDomainRecord gives, answered first by `first`: the RecordId, or the code.
async fn check_duplicate(row: &str, value: &'static str, want: Result<&str, &str>) {
    let cloud = Cloud::default();
    let account = cloud.account(|form, before| match (form["Action"].as_str(), before) {
        ("AddDomainRecord", 0) => unknown(),
        ("AddDomainRecord", _) => no(400, "DomainRecordDuplicate"),
        _ => ok(RECORDS),
    });
    let got = account.add_domain_record("example.com", "_acme-challenge", value).await;
    let got = got.as_ref().map(String::as_str).map_err(|error| error.code.as_str());
    assert_eq!(got, want, "{row}");
    let form = cloud.forms().pop().unwrap();
    assert_eq!(
        (form["SubDomain"].as_str(), form["DomainName"].as_str()),
        ("_acme-challenge.example.com", "example.com")
    );
}

#[tokio::test(start_paused = true)]
async fn a_record_that_is_there_already() {
    check_duplicate("a lost answer, then a duplicate", "value", Ok("2")).await;
    check_duplicate("another's", "no such value", Err("DomainRecordDuplicate")).await;
}

#[tokio::test(start_paused = true)]
async fn no_record_id() {
    let account = Cloud::default().account(|_, _| ok(r#"{"RequestId":"R"}"#));
    let error = account.add_domain_record("example.com", "@", "value").await.unwrap_err();
    assert_eq!(error.kind, Kind::UnknownOutcome);
}

#[tokio::test(start_paused = true)]
async fn deleting() {
    let check = async |row: &str, code: &'static str, want: bool| {
        let account = Cloud::default()
            .account(move |_, _| if code.is_empty() { ok("{}") } else { no(400, code) });
        assert_eq!(account.delete_domain_record("77").await.is_ok(), want, "{row}");
    };
    check("deleted", "", true).await;
    check("gone", "DomainRecordNotBelongToUser", true).await;
    check("never there", "InvalidRR.NoExist", true).await;
    check("forbidden", "Forbidden.RAM", false).await;
}

#[tokio::test(start_paused = true)]
async fn records() {
    let account =
        Cloud::default().account(|_, before| if before == 0 { ok(RECORDS) } else { ok("{}") });
    let records = account
        .describe_sub_domain_records("_acme-challenge.example.com", "example.com")
        .await
        .unwrap();
    let second = DnsRecord { id: "2".into(), rr: "_acme-challenge".into(), value: "value".into() };
    assert_eq!((records.len(), &records[1]), (2, &second));
}

#[tokio::test(start_paused = true)]
async fn zones() {
    let body = r#"{"TotalCount":2,"Domains":{"Domain":[{"DomainName":"example.com","PunyCode":"example.com"},{"DomainName":"例子.com"}]}}"#;
    let account = Cloud::default().account(move |_, _| ok(body));
    let zones = account.describe_domains().await.unwrap();
    assert_eq!(
        zones[0],
        Zone { name: "example.com".into(), puny_code: Some("example.com".into()) }
    );
    assert_eq!(zones[1], Zone { name: "例子.com".into(), puny_code: None });
}
