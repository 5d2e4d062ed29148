//! The metadata service's own tests: every refusal, every fault, and keys that are good at the cloud.

use serde_json::Value;

use super::*;
use crate::cloud::{Role, Seed};

const ROLES: &str = "/latest/meta-data/ram/security-credentials/";
const KEYS: &str = "/latest/meta-data/ram/security-credentials/ferry";
const TTL: (&str, &str) = ("X-aliyun-ecs-metadata-token-ttl-seconds", "60");
const TOKEN: &str = "x-aliyun-ecs-metadata-token";

fn world() -> (Cloud, Metadata) {
    let cloud = Cloud::start(Seed::new().role(Role::new("ferry")));
    let metadata = Metadata::start(&cloud, Rules::of_role("ferry"));
    (cloud, metadata)
}

async fn send(
    metadata: &Metadata,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> reqwest::Result<(u16, String)> {
    thread_local! {
        // One a test, since each test has a thread and a runtime; building one takes longer than a call.
        static CLIENT: reqwest::Client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(Duration::from_secs(1))
            .build()
            .unwrap();
    }
    let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
    let url = format!("{}{path}", metadata.url());
    let mut request = CLIENT.with(|client| client.request(method, url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await?;
    Ok((answer.status().as_u16(), answer.text().await?))
}

async fn token(metadata: &Metadata) -> String {
    let (status, token) = send(metadata, "PUT", "/latest/api/token", &[TTL]).await.unwrap();
    assert_eq!(status, 200);
    token
}

async fn document(metadata: &Metadata, path: &str) -> Value {
    let (status, body) = send(metadata, "GET", path, &[]).await.unwrap();
    assert_eq!(status, 200, "{body}");
    serde_json::from_str(&body).unwrap()
}

async fn check(
    name: &str,
    change: fn(&mut Rules),
    call: (&str, &str),
    headers: &[(&str, &str)],
    status: u16,
) {
    let (cloud, metadata) = world();
    metadata.rules(change);
    let (seen, _) = send(&metadata, call.0, call.1, headers).await.unwrap();
    assert_eq!(seen, status, "{name}");
    let ending = metadata.all_calls().pop().unwrap().ending;
    let wanted = if status == 200 { Ending::Done } else { Ending::Refused(status.to_string()) };
    assert_eq!(ending, wanted, "{name}");
    assert!(status == 200 || cloud.temporary_keys().is_empty(), "{name}");
}

fn well(_: &mut Rules) {}

#[tokio::test]
#[rustfmt::skip]
async fn calls_are_answered_or_refused() {
    let put = ("PUT", "/latest/api/token");
    let (roles, keys, uri) = (("GET", ROLES), ("GET", KEYS), ("GET", "/credentials"));
    check("token", well, put, &[TTL], 200).await;
    check("no TTL", well, put, &[], 400).await;
    check("TTL of 0", well, put, &[(TTL.0, "0")], 400).await;
    check("TTL too long", well, put, &[(TTL.0, "21601")], 400).await;
    check("through a proxy", well, put, &[TTL, ("X-Forwarded-For", "192.0.2.1")], 403).await;
    check("GET a token", well, ("GET", put.1), &[TTL], 405).await;
    check("no tokens here", |r| r.tokens = Tokens::Unknown, put, &[TTL], 404).await;
    check("v1", well, roles, &[], 200).await;
    check("no slash", well, ("GET", ROLES.trim_end_matches('/')), &[], 200).await;
    check("v1 only", |r| r.tokens = Tokens::Unknown, keys, &[(TOKEN, "any")], 200).await;
    check("v1 forbidden", |r| r.tokens = Tokens::Required, roles, &[], 403).await;
    check("v1 forbidden for keys", |r| r.tokens = Tokens::Required, keys, &[], 403).await;
    check("another token", well, keys, &[(TOKEN, "any")], 401).await;
    check("no role: list", |r| r.role = None, roles, &[], 404).await;
    check("no role: keys", |r| r.role = None, keys, &[], 404).await;
    check("another role", well, ("GET", "/latest/meta-data/ram/security-credentials/x"), &[], 404).await;
    check("POST", well, ("POST", KEYS), &[], 405).await;
    check("unknown path", well, ("GET", "/latest/meta-data/"), &[], 404).await;
    check("uri", |r| r.tokens = Tokens::Required, uri, &[], 200).await;
    check("uri of nothing", |r| r.uri_role = None, uri, &[], 404).await;
}

#[tokio::test]
async fn keys_by_token_are_good_at_the_cloud() {
    let (cloud, metadata) = world();
    metadata.rules(|rules| rules.tokens = Tokens::Required);
    let token = token(&metadata).await;
    let with = [(TOKEN, token.as_str())];
    assert_eq!(send(&metadata, "GET", ROLES, &with).await.unwrap(), (200, "ferry".to_owned()));
    let (_, body) = send(&metadata, "GET", KEYS, &with).await.unwrap();
    let keys: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(keys["Code"], "Success");
    assert_eq!(cloud.temporary_keys(), [keys["AccessKeyId"].as_str().unwrap()]);
    cloud.account(keys["AccessKeyId"].as_str().unwrap(), |account| {
        assert_eq!(account.secret, keys["AccessKeySecret"]);
        assert_eq!(account.token.as_deref(), keys["SecurityToken"].as_str());
    });
    let kinds: Vec<String> = metadata.all_calls().into_iter().map(|call| call.kind).collect();
    assert_eq!(kinds, ["token", "roles", "credentials"]);
    cloud.rules(|rules| rules.clock_ahead = SignedDuration::from_secs(61));
    assert_eq!(send(&metadata, "GET", KEYS, &with).await.unwrap().0, 401, "too old");
    metadata.forget_tokens();
    assert_eq!(send(&metadata, "GET", KEYS, &with).await.unwrap().0, 401, "forgotten");
}

#[tokio::test]
async fn keys_are_renewed_before_their_end() {
    let (cloud, metadata) = world();
    let first = document(&metadata, KEYS).await;
    assert_eq!(document(&metadata, "/credentials").await, first, "one role, one pair of keys");
    let end: Timestamp = first["Expiration"].as_str().unwrap().parse().unwrap();
    let since: Timestamp = first["LastUpdated"].as_str().unwrap().parse().unwrap();
    let lived = end.duration_since(since).as_secs();
    assert!((6 * 3600 - 1..=6 * 3600).contains(&lived), "{lived}");
    cloud.rules(|rules| rules.clock_ahead = SignedDuration::from_mins(5 * 60 + 25));
    assert_eq!(document(&metadata, KEYS).await, first);
    cloud.rules(|rules| rules.clock_ahead = SignedDuration::from_mins(5 * 60 + 35));
    let second = document(&metadata, KEYS).await;
    assert_ne!(second["AccessKeyId"], first["AccessKeyId"]);
    metadata.rotate();
    assert_ne!(document(&metadata, KEYS).await["AccessKeyId"], second["AccessKeyId"]);
    assert_eq!(cloud.temporary_keys().len(), 3);
}

#[tokio::test]
async fn a_role_that_was_deleted_gives_no_keys() {
    let (cloud, metadata) = world();
    cloud.remove_role(&Role::new("ferry").arn());
    let (status, body) = send(&metadata, "GET", KEYS, &[]).await.unwrap();
    assert_eq!((status, body.as_str()), (200, "{\"Code\":\"EntityNotExist.Role\"}"));
    let ending = metadata.calls("credentials").pop().unwrap().ending;
    assert_eq!(ending, Ending::Refused("EntityNotExist.Role".to_owned()));
}

const EVERYWHERE: &[(&str, &str, &str)] = &[
    ("token", "PUT", "/latest/api/token"),
    ("roles", "GET", ROLES),
    ("credentials", "GET", KEYS),
    ("uri", "GET", "/credentials"),
];

async fn check_fault(
    name: &str,
    calls: &[(&str, &str, &str)],
    fault: fn(Fault) -> Fault,
    sees: fn(reqwest::Result<(u16, String)>) -> bool,
) {
    for (kind, method, path) in calls.iter().copied() {
        let (_, metadata) = world();
        metadata.fault(fault(Fault::at(kind)));
        let seen = send(&metadata, method, path, &[TTL]).await;
        let text = format!("{seen:?}");
        assert!(sees(seen), "{name} at {kind}: {text:.300}");
        assert_eq!(metadata.faults_left(), 0, "{name} at {kind}");
        assert_eq!(send(&metadata, method, path, &[TTL]).await.unwrap().0, 200, "{name} at {kind}");
    }
}

fn has(seen: reqwest::Result<(u16, String)>, status: u16, text: &str) -> bool {
    seen.is_ok_and(|(got, body)| got == status && body.contains(text))
}

#[tokio::test]
#[rustfmt::skip]
async fn faults_strike() {
    // Those that cost a time-out.
    let one = &EVERYWHERE[..1];
    check_fault("internal error", EVERYWHERE, |f| f, |s| has(s, 500, "InternalError")).await;
    check_fault("a code", EVERYWHERE, |f| f.answer("Failed", 200).saying("no"), |s| has(s, 200, "{\"Code\":\"Failed\",\"Message\":\"no\"}")).await;
    check_fault("reset", EVERYWHERE, |f| f.reset(), |s| s.is_err_and(|e| !e.is_timeout() && !e.is_connect())).await;
    check_fault("silence", one, |f| f.silence(), |s| s.is_err_and(|e| e.is_timeout())).await;
    check_fault("drip", one, |f| f.after().drip(), |s| s.is_err_and(|e| e.is_timeout())).await;
    check_fault("html", EVERYWHERE, |f| f.html(200), |s| has(s, 200, "<html>")).await;
    check_fault("empty", EVERYWHERE, |f| f.empty(200), |s| s.is_ok_and(|(status, body)| status == 200 && body.is_empty())).await;
    check_fault("truncated", EVERYWHERE, |f| f.after().truncated(), |s| s.is_err_and(|e| e.is_body() || e.is_decode())).await;
    check_fault("oversized", EVERYWHERE, |f| f.after().oversized(), |s| s.is_ok_and(|(_, body)| body.len() > 8 << 20)).await;
    check_fault("wrong type", EVERYWHERE, |f| f.after().wrong_type(), |s| s.is_ok_and(|(_, body)| body.contains("[1]") || body.contains("{\"value\":1}"))).await;
    check_fault("redirect", EVERYWHERE, |f| f.redirect("http://127.0.0.1:9/"), |s| has(s, 307, "")).await;
}

#[tokio::test]
async fn a_service_can_be_slow_or_gone() {
    let (_cloud, mut metadata) = world();
    metadata.rules(|rules| rules.latency = Duration::from_secs(5));
    assert!(send(&metadata, "GET", KEYS, &[]).await.unwrap_err().is_timeout());
    metadata.rules(|rules| rules.latency = Duration::ZERO);
    metadata.fault(Fault::at("*").on("another").always());
    metadata.fault(Fault::at("credentials").on("ferry").after());
    assert_eq!(send(&metadata, "GET", KEYS, &[]).await.unwrap().0, 500);
    let ending = metadata.calls("credentials").pop().unwrap().ending;
    assert_eq!(ending, Ending::FaultAfter("internal error".to_owned(), None));
    metadata.heal();
    metadata.forget_calls();
    metadata.stop();
    assert!(std::net::TcpStream::connect(metadata.address).is_err());
    assert!(metadata.all_calls().is_empty());
}
