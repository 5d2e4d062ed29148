//! Every refusal, a row each.

use super::*;

async fn check(name: &str, spoil: impl FnOnce(&Cloud), ask: Ask, status: u16, code: &str) {
    let cloud = world();
    spoil(&cloud);
    assert_eq!(ask.refused(&cloud).await, (status, code.to_owned()), "{name}");
    let call = cloud.all_calls().pop().unwrap();
    assert_eq!(call.ending, Ending::Refused(code.to_owned()), "{name}");
    assert_eq!(cloud.served(DOMAIN), None, "{name}: a refused call has no effect");
    assert!(cloud.records("example.com").is_empty(), "{name}: a refused call has no effect");
}

fn well(_: &Cloud) {}

fn add(rr: &str, value: &str) -> Ask {
    Ask::alidns(
        "AddDomainRecord",
        &[("DomainName", "example.com"), ("RR", rr), ("Type", "TXT"), ("Value", value)],
    )
}

fn at(seconds: i64) -> String {
    let time = Timestamp::now() + SignedDuration::from_secs(seconds);
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[tokio::test]
#[rustfmt::skip]
async fn the_gate_refuses() {
    let up = Ask::upload;
    check("no action", well, up().without("Action"), 400, "MissingAction").await;
    check("no version", well, up().without("Version"), 400, "MissingVersion").await;
    check("wrong version", well, up().set("Version", "2014-11-11"), 404, "InvalidVersion").await;
    check("wrong case", well, up().set("Action", "setDomainServerCertificate"), 404, "InvalidApi.NotFound").await;
    check("the other service's action", well, up().set("Action", "DescribeDomains"), 404, "InvalidApi.NotFound").await;
    check("gone", |c| c.rules(|r| r.gone.extend(["SetDomainServerCertificate".into()])), up(), 404, "InvalidApi.NotFound").await;
    check("another path", well, Ask { path: "/cdn", ..up() }, 404, "InvalidApi.NotFound").await;
    check("another method", well, Ask { method: "PUT", ..up() }, 400, "UnsupportedHTTPMethod").await;
    check("another body", well, Ask { content_type: "text/plain", ..up() }, 400, "InvalidParameter.Format").await;
    check("broken encoding", well, Ask { tail: "&Foo=%G0", ..up() }, 400, "InvalidParameter.Format").await;
    check("not UTF-8", well, Ask { tail: "&Foo=%FF", ..up() }, 400, "InvalidParameter.Format").await;
    check("twice in the body", well, Ask { tail: "&DomainName=x", ..up() }, 400, "InvalidParameter").await;
    check("in query and body", well, Ask { in_query: ["Format".to_owned()].into(), tail: "&Format=JSON", ..up() }, 400, "InvalidParameter").await;
    check("no key", well, up().without("AccessKeyId"), 400, "MissingAccessKeyId").await;
    check("no nonce", well, up().without("SignatureNonce"), 400, "MissingSignatureNonce").await;
    check("no time", well, up().without("Timestamp"), 400, "MissingTimestamp").await;
    check("empty signature", well, up().late("Signature", ""), 400, "MissingSignature").await;
    check("another method of signature", well, up().set("SignatureMethod", "HMAC-SHA256"), 400, "InvalidSignatureMethod").await;
    check("another version of signature", well, up().set("SignatureVersion", "2.0"), 400, "InvalidSignatureVersion").await;
    check("bearer token", well, up().set("SignatureType", "BEARERTOKEN"), 400, "InvalidSignatureType").await;
    check("unknown key", well, up().set("AccessKeyId", "other"), 404, "InvalidAccessKeyId.NotFound").await;
    check("inactive key", |c| c.account(KEY, |a| a.active = false), up(), 400, "InvalidAccessKeyId.Inactive").await;
    check("a token too many", well, up().set("SecurityToken", "t"), 400, "InvalidSecurityToken.Malformed").await;
    let token = |c: &Cloud| c.account(KEY, |a| a.token = Some("right".into()));
    check("no token", token, up(), 400, "MissingSecurityToken").await;
    check("no token at all", token, up().set("SecurityToken", "t"), 400, "InvalidSecurityToken.Malformed").await;
    let theirs = |c: &Cloud| { token(c); c.add_account(Account::new("STS.b", "s").token("t")); };
    check("another's token", theirs, up().set("SecurityToken", "t"), 400, "InvalidSecurityToken.MismatchWithAccessKey").await;
    let end = |c: &Cloud| { token(c); let now = c.now(); c.account(KEY, |a| a.expires = Some(now)); };
    check("a token at its end", end, up().set("SecurityToken", "right"), 400, "InvalidSecurityToken.Expired").await;
    check("an old token", |c| { token(c); c.account(KEY, |a| a.token_expired = true); }, up().set("SecurityToken", "right"), 400, "InvalidSecurityToken.Expired").await;
    check("milliseconds", well, up().set("Timestamp", "2026-01-02T03:04:05.000Z"), 400, "InvalidTimeStamp.Format").await;
    check("local time", well, up().set("Timestamp", "2026-01-02T03:04:05+08:00"), 400, "InvalidTimeStamp.Format").await;
    check("no such time", well, up().set("Timestamp", "2026-13-02T03:04:05Z"), 400, "InvalidTimeStamp.Format").await;
    check("too old", well, up().set("Timestamp", &at(-902)), 400, "InvalidTimeStamp.Expired").await;
    check("too new", well, up().set("Timestamp", &at(902)), 400, "InvalidTimeStamp.Expired").await;
    check("clock ahead", |c| c.rules(|r| r.clock_ahead = SignedDuration::from_mins(16)), up(), 400, "InvalidTimeStamp.Expired").await;
    check("wrong secret", well, Ask { secret: "other", ..up() }, 400, "SignatureDoesNotMatch").await;
    check("changed on its way", well, up().late("DomainName", "x"), 400, "SignatureDoesNotMatch").await;
    check("lost on its way", well, Ask { tail: "&Extra=1", ..up() }, 400, "SignatureDoesNotMatch").await;
    check("denied", |c| c.account(KEY, |a| *a = a.clone().deny("cdn:Set*", "*")), up(), 403, "Forbidden.RAM").await;
    check("no limit left", |c| c.rules(|r| r.limits.extend([("SetDomainServerCertificate".into(), 0)])), up(), 400, "Throttling.User").await;
}

#[tokio::test]
#[rustfmt::skip]
async fn an_upload_is_refused() {
    let up = Ask::upload;
    let leaf = GOOD.leaf.trim_end().to_owned();
    check("unknown parameter", well, up().set("Foo", "1"), 400, "InvalidParameter").await;
    check("the successor's parameter", well, up().set("SSLPub", "x"), 400, "InvalidParameter").await;
    check("no domain", well, up().without("DomainName"), 400, "MissingDomainName").await;
    check("no status", well, up().without("ServerCertificateStatus"), 400, "MissingServerCertificateStatus").await;
    check("wrong status", well, up().set("ServerCertificateStatus", "On"), 400, "InvalidServerCertificateStatus.ValueNotSupported").await;
    check("wrong type", well, up().set("CertType", "pem"), 400, "SetDomainServerCertificate.ParameterError").await;
    check("wrong force", well, up().set("ForceSet", "true"), 400, "SetDomainServerCertificate.ParameterError").await;
    check("name of 129", well, up().set("CertName", &"名".repeat(129)), 400, "InvalidCertName.TooLong").await;
    check("unknown domain", well, up().set("DomainName", "other.example.com"), 404, "InvalidDomain.NotFound").await;
    check("two domains", well, up().set("DomainName", "cdn.example.com,cdn.example.com"), 404, "InvalidDomain.NotFound").await;
    check("a star", well, up().set("DomainName", "*.example.com"), 404, "InvalidDomain.NotFound").await;
    check("another's domain", |c| c.add_domain(Domain::online("b.example.com").uid("2")), up().set("DomainName", "b.example.com"), 404, "InvalidDomain.NotFound").await;
    check("offline", |c| c.set_status(DOMAIN, "offline"), up(), 400, "InvalidDomain.Offline").await;
    check("configuring", |c| c.set_status(DOMAIN, "configuring"), up(), 403, "ServiceBusy").await;
    check("checking", |c| c.set_status(DOMAIN, "checking"), up(), 400, "IllegalOperationDomain").await;
    check("no certificate", well, up().set("ServerCertificate", ""), 400, "ServerCertificate.MissingParameter").await;
    check("no key", well, up().without("PrivateKey"), 400, "PrivateKey.MissingParameter").await;
    check("64 KiB", well, up().set("ServerCertificate", &"A".repeat(64 * 1024 + 1)), 400, "InvalidCertificate.TooLong").await;
    check("no PEM", well, up().set("ServerCertificate", "hello"), 400, "InvalidCertificate").await;
    check("a blank line", well, up().set("ServerCertificate", &format!("{leaf}\n\n{}", GOOD.intermediate)), 400, "InvalidCertificate").await;
    check("a blank line at the end", well, up().set("ServerCertificate", &format!("{leaf}\n\n")), 400, "InvalidCertificate").await;
    check("text around", well, up().set("ServerCertificate", &format!("subject=x\n{leaf}\n")), 400, "InvalidCertificate").await;
    check("CRLF", well, up().set("ServerCertificate", &GOOD.leaf.replace('\n', "\r\n")), 400, "InvalidCertificate").await;
    check("lines of 76", well, up().set("ServerCertificate", &rewrapped(&GOOD.leaf)), 400, "InvalidCertificate").await;
    check("no END", well, up().set("ServerCertificate", leaf.rsplit_once('\n').unwrap().0), 400, "InvalidCertificate").await;
    check("a key among them", well, up().set("ServerCertificate", &format!("{}{}", GOOD.leaf, GOOD.key)), 400, "InvalidCertificate").await;
    check("issuer first", well, up().set("ServerCertificate", &format!("{}{}", GOOD.intermediate, GOOD.leaf)), 400, "InvalidCertificate").await;
    check("twice the leaf", well, up().set("ServerCertificate", &format!("{0}{0}", GOOD.leaf)), 400, "InvalidCertificate").await;
    check("PKCS#8", well, up().set("PrivateKey", &GOOD.pkcs8), 400, "InvalidPrivateKey").await;
    check("encrypted", well, up().set("PrivateKey", &GOOD.key.replace("EC PRIVATE", "ENCRYPTED PRIVATE")), 400, "Key.Malformed").await;
    check("two keys", well, up().set("PrivateKey", &format!("{0}{0}", GOOD.key)), 400, "InvalidPrivateKey").await;
    check("a damaged key", well, up().set("PrivateKey", &pem("EC PRIVATE KEY", b"damaged")), 400, "InvalidPrivateKey").await;
    check("another's key", well, up().set("PrivateKey", &OTHER.key), 400, "Certificate.MissMatch").await;
    check("expired", well, Ask::upload_of(&OLD, DOMAIN, "cf-test"), 400, "Certificate.Expired").await;
    check("cas without one", well, up().set("CertType", "cas"), 400, "Certificate.NotFind").await;
    check("free", well, up().set("CertType", "free"), 400, "Certificate.StatusError").await;
    let new = || Ask::cdn("SetCdnDomainSSLCertificate", &[("DomainName", DOMAIN), ("SSLProtocol", "on"), ("SSLPub", &GOOD.leaf), ("SSLPri", &GOOD.key)]);
    check("successor: ForceSet", well, new().set("ForceSet", "1"), 400, "InvalidParameter").await;
    check("successor: status", well, new().set("SSLProtocol", "yes"), 400, "InvalidSSLProtocol.ValueNotSupported").await;
    check("successor: no chain", well, new().without("SSLPub"), 400, "SSLPub.MissingParameter").await;
    check("successor: chain", well, new().set("SSLPub", "x"), 400, "InvalidSSLPub").await;
    check("successor: key", well, new().set("SSLPri", "x"), 400, "InvalidSSLPri").await;
}

#[tokio::test]
#[rustfmt::skip]
async fn a_read_is_refused() {
    let list = |name: &str, value: &str| Ask::cdn("DescribeUserDomains", &[(name, value)]);
    check("unknown domain", well, Ask::read_back("x"), 404, "InvalidDomain.NotFound").await;
    check("no domain", well, Ask::read_back(""), 400, "MissingDomainName").await;
    check("page 0", well, list("PageNumber", "0"), 400, "InvalidPageNumber").await;
    check("page of 501", well, list("PageSize", "501"), 400, "InvalidPageSize").await;
    check("no kind of search", well, list("DomainSearchType", "like"), 400, "InvalidDomainSearchType").await;
    check("alidns page of 101", well, Ask::alidns("DescribeDomains", &[("PageSize", "101")]), 400, "InvalidPageSize").await;
}

#[tokio::test]
#[rustfmt::skip]
async fn a_record_is_refused() {
    let rr = "_acme-challenge";
    check("no such zone", well, add(rr, "v").set("DomainName", "sub.example.com"), 400, "InvalidDomainName.NoExist").await;
    check("empty RR", well, add("", "v"), 400, "MissingRR").await;
    check("whole name as RR", well, add("_acme-challenge.example.com", "v"), 400, "SubDomainInvalid.Format").await;
    check("dot at the end", well, add("_acme-challenge.", "v"), 400, "SubDomainInvalid.Format").await;
    check("quotes", well, add(rr, "\"v\""), 400, "DomainRecordValueInvalid").await;
    check("TTL of the paid editions", well, add(rr, "v").set("TTL", "60"), 400, "QuotaExceeded.TTL").await;
    check("no such type", well, add(rr, "v").set("Type", "TEXT"), 400, "InvalidType").await;
    check("unknown record", well, Ask::alidns("DeleteDomainRecord", &[("RecordId", "1")]), 400, "DomainRecordNotBelongToUser").await;
    check("no record", well, Ask::alidns("DeleteDomainRecord", &[]), 400, "MissingRecordId").await;
    check("unknown parameter", well, Ask::alidns("DescribeDomains", &[("DomainName", "x")]), 400, "InvalidParameter").await;
    check("name in no zone", well, Ask::alidns("DescribeSubDomainRecords", &[("SubDomain", "x.org")]), 400, "InvalidDomainName.NoExist").await;
}

fn rewrapped(pem: &str) -> String {
    let inner: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let lines: Vec<&str> =
        inner.as_bytes().chunks(76).map(|c| std::str::from_utf8(c).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}
