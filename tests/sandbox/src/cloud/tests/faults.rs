//! The language of faults, a row each: what the client sees, and whether the upload had its effect.

use super::*;

async fn check(
    name: &str,
    fault: fn(Fault) -> Fault,
    served: bool,
    sees: fn(reqwest::Result<(u16, String)>) -> bool,
) {
    let cloud = world();
    cloud.fault(fault(Fault::at("SetDomainServerCertificate")));
    assert_eq!(cloud.faults_left(), 1, "{name}");
    let seen = Ask::upload().send(&cloud).await;
    let text = format!("{seen:?}");
    assert!(sees(seen), "{name}: {:.300}", text);
    assert_eq!(cloud.served(DOMAIN).is_some(), served, "{name}");
    assert_eq!(cloud.faults_left(), 0, "{name}");
    let (status, _) = Ask::upload().send(&cloud).await.unwrap();
    assert_eq!(status, 200, "{name}: strikes once");
}

fn has(seen: reqwest::Result<(u16, String)>, status: u16, text: &str) -> bool {
    seen.is_ok_and(|(got, body)| got == status && body.contains(text))
}

#[tokio::test]
#[rustfmt::skip]
async fn faults_strike() {
    check("a code", |f| f.answer("ServiceBusy", 403), false, |s| has(s, 403, "\"Code\":\"ServiceBusy\"")).await;
    check("a code after", |f| f.after().answer("InternalError", 500), true, |s| has(s, 500, "InternalError")).await;
    check("a signature", |f| f.answer("IncompleteSignature", 400), false, |s| has(s, 400, "server string to sign is:POST&%2F&")).await;
    check("reset", |f| f.reset(), false, |s| s.is_err_and(|e| !e.is_timeout() && !e.is_connect())).await;
    check("reset after", |f| f.after().reset(), true, |s| s.is_err_and(|e| !e.is_timeout())).await;
    check("silence", |f| f.silence(), false, |s| s.is_err_and(|e| e.is_timeout())).await;
    check("drip", |f| f.after().drip(), true, |s| s.is_err_and(|e| e.is_timeout())).await;
    check("html", |f| f.html(502), false, |s| has(s, 502, "<html>")).await;
    check("xml", |f| f.xml("ServiceBusy", 403), false, |s| has(s, 403, "<Code>ServiceBusy</Code>")).await;
    check("empty", |f| f.empty(503), false, |s| s.is_ok_and(|(status, body)| status == 503 && body.is_empty())).await;
    check("truncated", |f| f.after().truncated(), true, |s| s.is_err_and(|e| e.is_body() || e.is_decode())).await;
    check("oversized", |f| f.after().oversized(), true, |s| s.is_ok_and(|(_, body)| body.len() > 8 << 20 && serde_json::from_str::<Value>(&body).is_ok())).await;
    check("wrong type", |f| f.after().wrong_type(), true, |s| has(s, 200, "{\"RequestId\":{\"value\":1}}")).await;
    check("redirect", |f| f.redirect("http://127.0.0.1:9/"), false, |s| has(s, 307, "")).await;
    check("twice", |f| f.after().twice(), true, |s| has(s, 200, "RequestId")).await;
}

#[tokio::test]
async fn faults_count_their_own_calls_in_turn() {
    let cloud = Cloud::start(seed().domain(Domain::online("b.example.com")));
    cloud.fault(Fault::at("*").on("b.example.com").nth(2).times(2).answer("Throttling", 400));
    cloud.fault(
        Fault::at("DescribeDomainCertificateInfo").answer("ServiceUnavailable", 503).retry_after(9),
    );
    let mut statuses = Vec::new();
    for domain in
        [DOMAIN, DOMAIN, "b.example.com", "b.example.com", "b.example.com", "b.example.com"]
    {
        statuses.push(Ask::read_back(domain).send(&cloud).await.unwrap().0);
    }
    assert_eq!(statuses, [503, 200, 200, 400, 400, 200]);
    cloud.fault(Fault::at("*").always());
    assert_eq!(Ask::read_back(DOMAIN).send(&cloud).await.unwrap().0, 500);
    cloud.heal();
    assert_eq!(Ask::read_back(DOMAIN).send(&cloud).await.unwrap().0, 200);
}

#[tokio::test]
async fn a_nonce_sent_again_after_a_fault_is_caught() {
    let cloud = world();
    cloud.fault(Fault::at("DescribeDomainCertificateInfo").answer("ServiceUnavailable", 503));
    let ask = || Ask::read_back(DOMAIN).set("SignatureNonce", "kept");
    assert_eq!(ask().refused(&cloud).await.0, 503);
    assert_eq!(ask().refused(&cloud).await.1, "SignatureNonceUsed");
    let endings: Vec<Ending> = cloud.all_calls().into_iter().map(|call| call.ending).collect();
    let before = Ending::FaultBefore("ServiceUnavailable".to_owned());
    assert_eq!(endings, [before, Ending::Refused("SignatureNonceUsed".to_owned())]);
}
