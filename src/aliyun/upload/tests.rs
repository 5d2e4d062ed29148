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
    assert_eq!(
        (accepted.request_id.as_str(), accepted.attempts, accepted.cert_name.as_str()),
        want
    );
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

const FIRST: &str = "SetDomainServerCertificate";
const SUCCESSOR: &str = "SetCdnDomainSSLCertificate";

#[tokio::test(start_paused = true)]
async fn the_successor_gets_exactly_these_parameters() {
    let cloud = Cloud::default();
    let api = CdnApi::SetCdnDomainSslCertificate;
    let account = cloud.account_by(api, |_, _| ok(r#"{"RequestId":"R"}"#));
    let key = "the-key".into();
    let name = format!("cf-example-com-0-{}", Fingerprint::of(b"LEAF").short());
    assert_eq!(put(&account, &upload(&key)).await.unwrap().cert_name, name);
    let form = cloud.forms().remove(0);
    let common = ["AccessKeyId", "Action", "Format", "Timestamp", "Version"];
    let is_own = |name: &&str| !name.starts_with("Signature") && !common.contains(name);
    let own: Vec<&str> = form.keys().map(String::as_str).filter(is_own).collect();
    assert_eq!(own, ["CertName", "CertType", "DomainName", "SSLPri", "SSLProtocol", "SSLPub"]);
    let values = own.iter().map(|name| form[*name].as_str()).collect::<Vec<_>>();
    assert_eq!(values, [&name, "upload", ".example.com", "the-key", "on", CHAIN]);
}

/// The successor answers so, first and then, and a look shows this: the calls made, and the name that it has now.
async fn check_name(row: &str, first: Said, then: Said, look: Said, want: &str, name: &str) {
    let cloud = Cloud::default();
    let api = CdnApi::SetCdnDomainSslCertificate;
    let account =
        cloud.account_by(api, move |form, before| match (form["Action"].as_str(), before) {
            (SUCCESSOR, 0) => first.clone(),
            (SUCCESSOR, _) => then.clone(),
            _ => look.clone(),
        });
    let key = "the-key".into();
    let ended = put(&account, &upload(&key)).await;
    let calls: String = cloud.actions().iter().filter_map(|action| action.chars().next()).collect();
    assert_eq!(calls, want, "{row}");
    let names: Vec<_> =
        cloud.forms().iter().filter_map(|form| form.get("CertName").cloned()).collect();
    match ended {
        Ok(accepted) => {
            assert_eq!(Some(&accepted.cert_name), names.last(), "{row}");
            let least = format!("cf-example-com-0-{}", Fingerprint::of(b"LEAF").short());
            let more = accepted.cert_name.strip_prefix(&least).unwrap();
            assert_eq!(more.is_empty(), name == "the same", "{row}: {more}");
        }
        Err(error) => assert_eq!(error.code, name, "{row}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_name_that_the_account_has_already() {
    let (served, other) = (|| info("on", CHAIN), || info("off", ""));
    let (yes, taken) = (|| ok(r#"{"RequestId":"R"}"#), || no(400, "Certificate.Duplicated"));
    check_name("taken, and served", taken(), yes(), served(), "SD", "the same").await;
    check_name("taken, not served", taken(), yes(), other(), "SDS", "another").await;
    check_name("taken, not known", taken(), yes(), no(403, "Forbidden.RAM"), "SDS", "another")
        .await;
    check_name("all are taken", taken(), taken(), other(), "SDS", "Certificate.Duplicated").await;
    check_name("lost, then taken", unknown(), taken(), other(), "SDSDSD", "Certificate.Duplicated")
        .await;
    let same = no(400, "CertificateContent.Duplicated");
    check_name("uploaded already, and served", same.clone(), yes(), served(), "SD", "the same")
        .await;
    let code = "CertificateContent.Duplicated";
    check_name("uploaded already, not served", same, yes(), other(), "SD", code).await;
}

/// Which of the two APIs are called by uploads behind each other, each shortened to a digit; and how the last ends.
async fn check_auto(row: &str, api: CdnApi, gone: [&'static str; 2], want: &str, says: &str) {
    let cloud = Cloud::default();
    let account = cloud.account_by(api, move |form, _| {
        let code = if form["Action"] == FIRST { gone[0] } else { gone[1] };
        if code.is_empty() { ok(r#"{"RequestId":"R"}"#) } else { no(404, code) }
    });
    let key = "the-key".into();
    drop(put(&account, &upload(&key)).await);
    let ended = put(&account, &upload(&key)).await;
    let digit = |action: &String| if action == FIRST { '1' } else { '2' };
    assert_eq!(cloud.actions().iter().map(digit).collect::<String>(), want, "{row}");
    let text = ended.map_or_else(|error| error.to_string(), |_| "taken".to_owned());
    assert!(text.contains(says), "{row}: {text}");
    assert_eq!(account.is_superseded(), row.contains("gone") && says == "taken", "{row}");
}

#[tokio::test(start_paused = true)]
async fn which_api_takes_it() {
    let (auto, fixed) = (CdnApi::Auto, CdnApi::SetDomainServerCertificate);
    let gone = "InvalidApi.NotFound";
    check_auto("the default", fixed, ["", ""], "11", "taken").await;
    check_auto("auto", auto, ["", ""], "11", "taken").await;
    check_auto("the first is gone", auto, [gone, ""], "122", "taken").await;
    check_auto("gone by another word", auto, ["ApiDeprecated", ""], "122", "taken").await;
    check_auto("gone by an action", auto, ["InvalidAction.NotFound", ""], "122", "taken").await;
    check_auto("neither is there", auto, [gone, gone], "1212", "see cdn_endpoint").await;
    check_auto("refused by the first", auto, ["Forbidden.RAM", ""], "11", "cdn:SetDomain").await;
    let denied = "`cdn:SetCdnDomainSSLCertificate`";
    check_auto("not granted by the second", auto, [gone, "Forbidden.RAM"], "1212", denied).await;
    let help = "write cdn_api = \"auto\" into [aliyun.main]";
    check_auto("the default, absent", fixed, [gone, ""], "11", help).await;
    let successor = CdnApi::SetCdnDomainSslCertificate;
    check_auto("the successor, absent", successor, ["", gone], "22", help).await;
    let version = "InvalidVersion";
    check_auto("another endpoint", fixed, [version, ""], "11", "help: see cdn_endpoint").await;
}

/// What a run before has learned, and that it is unlearned where it is no longer so.
#[tokio::test(start_paused = true)]
async fn what_was_learned_is_asked_first() {
    let cloud = Cloud::default();
    let account = cloud.account_by(CdnApi::Auto, |form, before| {
        match (form["Action"] == SUCCESSOR, before) {
            (true, 1) => no(404, "InvalidApi.NotFound"),
            _ => ok(r#"{"RequestId":"R"}"#),
        }
    });
    let account = account.superseded();
    let key = "the-key".into();
    for _ in 0..3 {
        put(&account, &upload(&key)).await.unwrap();
    }
    assert_eq!(cloud.actions(), [SUCCESSOR, SUCCESSOR, FIRST, FIRST]);
    assert!(!account.is_superseded());
}

#[tokio::test(start_paused = true)]
async fn stored_and_not_live_is_no_success() {
    let account = Cloud::default().account(|_, _| no(400, "Certificate.SettedNotEffect"));
    let key = "the-key".into();
    let accepted = put(&account, &upload(&key)).await.unwrap();
    let error = accepted.not_live.unwrap();
    assert_eq!((error.kind, error.retryable(), error.attempts), (Kind::NotEffective, true, 1));
    assert_eq!(accepted.request_id, "R-1");
}

#[test]
fn names_of_leaves() {
    let key = "the-key".into();
    let leaf = Fingerprint::of(b"LEAF").short();
    let check = |base: &str, want: &str| {
        let upload = Upload { cert_name: base, ..upload(&key) };
        assert_eq!(named_by_leaf(&upload), format!("{want}-{leaf}"), "{base}");
        let (one, other) = (never_given(&upload).unwrap(), never_given(&upload).unwrap());
        assert!(one != other && one.contains(&leaf), "{one}");
        for name in [one, other, named_by_leaf(&upload)] {
            assert!(name.chars().count() <= 63, "{name}");
            assert!(is_name_of(&name, base), "{name} is of {base}");
            assert!(!is_name_of(&format!("{name}-x"), base) && !is_name_of("other", base));
        }
        assert!(is_name_of(base, base), "{base}");
        for other in [format!("{base}-2"), format!("{base}-{}", &leaf[1..]), format!("x{base}")] {
            assert!(!is_name_of(&other, base), "{other} is not of {base}");
        }
    };
    check("cf-a-01234567", "cf-a-01234567");
    check("x", "x");
    let long = cert_name(&"a".repeat(200));
    check(&long, &format!("cf-{}{}", "a".repeat(34), &long[54..]));
    check(&"证".repeat(63), &"证".repeat(46));
}
