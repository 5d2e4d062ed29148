//! What validations find in the DNS, a row each.

use super::*;
use crate::dns::{RecordType, ResponseCode};

/// What a challenge of the name comes to, once the book was changed; `PROOF` stands for the right value.
async fn check(
    name: &str,
    asked: &str,
    behaviours: &[Behaviour],
    records: &[(&str, &str, &str)],
    want: &str,
) {
    let dns = Dns::start(behaviours);
    dns.zones().add(NAME);
    dns.zones().add("other.test");
    let ca = Ca::start(Seed::new().dns(&dns));
    let client = Client::registered(&ca).await;
    let (url, order) = client.order(&[asked]).await;
    let authorization = order["authorizations"][0].as_str().unwrap();
    let challenge = client.challenge(&order["authorizations"][0]).await;
    let account = client.kid.clone().unwrap();
    for (fqdn, kind, value) in records {
        let zone = if fqdn.ends_with("other.test") { "other.test" } else { NAME };
        let value = value.replace("PROOF", &client.proof(&challenge)).replace("ACCT", &account);
        let mut values = dns.zones().values(fqdn, kind);
        values.push(value);
        dns.zones().set(zone, fqdn, kind, &values);
    }
    client.post(challenge["url"].as_str().unwrap(), "{}").await;
    let seen = client.poll(authorization, "pending").await;
    let error = seen["challenges"][0]["error"]["type"].as_str().unwrap_or("valid").to_owned();
    let error = error.trim_start_matches("urn:ietf:params:acme:error:");
    assert_eq!(error, want, "{name}: {seen}");
    let order = client.poll(&url, "pending").await;
    let status = if want == "valid" { "ready" } else { "invalid" };
    assert_eq!(order["status"], status, "{name}");
}

#[tokio::test]
#[rustfmt::skip]
async fn txt_records_decide() {
    let well = [Behaviour::Well, Behaviour::Well];
    let proof = (CHALLENGE, "TXT", "PROOF");
    check("there", NAME, &well, &[proof], "valid").await;
    check("of the wildcard", "*.example.test", &well, &[proof], "valid").await;
    check("among others", NAME, &well, &[(CHALLENGE, "TXT", "old"), proof], "valid").await;
    check("no name", NAME, &well, &[], "dns").await;
    check("no record", NAME, &well, &[(CHALLENGE, "A", "192.0.2.1")], "unauthorized").await;
    check("another", NAME, &well, &[(CHALLENGE, "TXT", "old")], "unauthorized").await;
    check("no zone", "nowhere.example", &well, &[], "dns").await;
    let there = ("w.other.test", "TXT", "PROOF");
    check("an alias", NAME, &well, &[(CHALLENGE, "CNAME", "w.other.test"), there], "valid").await;
    check("two aliases", NAME, &well, &[(CHALLENGE, "CNAME", "v.other.test"), ("v.other.test", "CNAME", "w.other.test"), there], "valid").await;
    check("a ring", NAME, &well, &[(CHALLENGE, "CNAME", "v.other.test"), ("v.other.test", "CNAME", CHALLENGE)], "dns").await;
    let hour = Duration::from_secs(3600);
    check("one dead", NAME, &[Behaviour::Closed, Behaviour::Well], &[proof], "valid").await;
    check("one broken", NAME, &[Behaviour::Answers(ResponseCode::ServFail, vec![]), Behaviour::Well], &[proof], "valid").await;
    check("all broken", NAME, &[Behaviour::Answers(ResponseCode::ServFail, vec![])], &[proof], "dns").await;
    check("all silent", NAME, &[Behaviour::Silent], &[proof], "dns").await;
    check("one before the zone came", NAME, &[Behaviour::Well, Behaviour::Behind(hour)], &[proof], "valid").await;
}

#[tokio::test]
#[rustfmt::skip]
async fn caa_records_decide() {
    let well = [Behaviour::Well];
    let check = async |name: &str, asked: &str, caa: &[(&str, &str)], want: &str| {
        let mut records = vec![("_acme-challenge.a.example.test", "TXT", "PROOF")];
        records.extend(caa.iter().map(|(fqdn, value)| (*fqdn, "CAA", *value)));
        check(name, asked, &well, &records, want).await;
    };
    let (a, wild) = ("a.example.test", "*.a.example.test");
    check("ours", a, &[(a, "0 issue \"ca.sandbox.example\"")], "valid").await;
    check("another's", a, &[(a, "0 issue \"ca.example\"")], "caa").await;
    check("the parent's", a, &[(NAME, "0 issue \";\"")], "caa").await;
    check("the closest counts", a, &[(NAME, "0 issue \";\""), (a, "0 issue \"ca.sandbox.example\"")], "valid").await;
    check("not the wildcard", wild, &[(NAME, "0 issue \"ca.sandbox.example\""), (NAME, "0 issuewild \";\"")], "caa").await;
    check("our account", a, &[(a, "0 issue \"ca.sandbox.example; accounturi=ACCT\"")], "valid").await;
    check("another account", a, &[(a, "0 issue \"ca.sandbox.example; accounturi=ACCT0\"")], "caa").await;
    check("another method", a, &[(a, "0 issue \"ca.sandbox.example; validationmethods=http-01\"")], "caa").await;
    check("critical and unknown", a, &[(a, "128 new \"x\"")], "caa").await;
}

#[tokio::test]
async fn a_broken_caa_answer_blocks() {
    let broken = Behaviour::Answers(ResponseCode::ServFail, vec![RecordType::CAA]);
    check("SERVFAIL", NAME, &[broken], &[(CHALLENGE, "TXT", "PROOF")], "dns").await;
    let refused = Behaviour::Answers(ResponseCode::Refused, vec![RecordType::CAA]);
    check("REFUSED", NAME, &[refused], &[(CHALLENGE, "TXT", "PROOF")], "dns").await;
}

#[tokio::test]
async fn a_server_that_lags_fails_it() {
    let (dns, ca) = world(|_| {});
    let client = Client::registered(&ca).await;
    let (_, order) = client.order(&[NAME]).await;
    let challenge = client.challenge(&order["authorizations"][0]).await;
    dns.behave(1, Behaviour::Behind(Duration::from_millis(200)));
    tokio::time::sleep(Duration::from_millis(250)).await;
    dns.zones().set(NAME, CHALLENGE, "TXT", &[client.proof(&challenge)]);
    client.post(challenge["url"].as_str().unwrap(), "{}").await;
    let seen = client.poll(order["authorizations"][0].as_str().unwrap(), "pending").await;
    assert_eq!(seen["status"], "invalid");
}
