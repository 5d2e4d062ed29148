//! The signed call as a whole: retries in paused time by scripted answers, and the wire by a server on loopback.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::*;
use crate::ground::{Clock, Env, Say};
use crate::http::fake::{Fake, Reply, run};
use crate::http::{Answer, Error as Lost};

/// Answers as a script says, and remembers the forms that it was sent.
#[derive(Clone, Default)]
pub(super) struct Cloud {
    forms: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
}

/// What a script answers.
#[derive(Clone)]
pub(super) enum Said {
    Json(u16, String),
    Dated(u16, String, &'static str),
    Lost(Lost),
}

pub(super) fn ok(body: &str) -> Said {
    Said::Json(200, body.into())
}

pub(super) fn no(status: u16, code: &str) -> Said {
    Said::Json(status, format!(r#"{{"Code":"{code}","Message":"words","RequestId":"R-1"}}"#))
}

pub(super) fn unknown() -> Said {
    Said::Lost(Lost::Unknown("cut".into()))
}

impl Cloud {
    /// An account whose calls are answered by `script`, which sees the form and how many of its action came before.
    pub(super) fn account(
        &self,
        script: impl Fn(&BTreeMap<String, String>, usize) -> Said + Send + Sync + 'static,
    ) -> Account {
        let forms = Arc::clone(&self.forms);
        let http = Http::scripted(Box::new(move |request| {
            let form = decode(request.body().unwrap().as_bytes().unwrap());
            let mut forms = forms.lock().unwrap();
            let before = forms.iter().filter(|other| other["Action"] == form["Action"]).count();
            let said = script(&form, before);
            forms.push(form);
            said.answer()
        }));
        open("http://127.0.0.1:1", http)
    }

    /// The same, with uploads by this API.
    pub(super) fn account_by(
        &self,
        cdn_api: CdnApi,
        script: impl Fn(&BTreeMap<String, String>, usize) -> Said + Send + Sync + 'static,
    ) -> Account {
        let mut account = self.account(script);
        Rc::get_mut(&mut account.inner).unwrap().cdn_api = cdn_api;
        account
    }

    pub(super) fn forms(&self) -> Vec<BTreeMap<String, String>> {
        self.forms.lock().unwrap().clone()
    }

    /// The actions that were called, in their order.
    pub(super) fn actions(&self) -> Vec<String> {
        self.forms().iter().map(|form| form["Action"].clone()).collect()
    }
}

impl Said {
    fn answer(self) -> Result<Answer, Lost> {
        let mut headers = reqwest::header::HeaderMap::new();
        let (status, body) = match self {
            Self::Lost(error) => return Err(error),
            Self::Json(status, body) => (status, body),
            Self::Dated(status, body, date) => {
                headers.insert(DATE, date.parse().unwrap());
                (status, body)
            }
        };
        Ok(Answer { status, headers, body: body.into() })
    }
}

fn decode(form: &[u8]) -> BTreeMap<String, String> {
    Url::parse(&format!("http://x/?{}", std::str::from_utf8(form).unwrap()))
        .unwrap()
        .query_pairs()
        .into_owned()
        .collect()
}

fn settings(endpoint: &str) -> config::Aliyun {
    config::Aliyun {
        cdn_endpoint: endpoint.into(),
        dns_endpoint: endpoint.into(),
        sts_endpoint: Some(endpoint.into()),
        metadata_endpoint: endpoint.into(),
        cdn_api: CdnApi::SetDomainServerCertificate,
        ..config::Aliyun::default()
    }
}

fn ground() -> Ground {
    let env = [
        ("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI1"),
        ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "the-s3cret"),
    ];
    Ground {
        input: crate::ground::Input::nothing(),
        clock: Clock::new(|| "2026-01-02T03:04:05Z".parse().unwrap()),
        env: Env::from_iter(env),
        stop: CancellationToken::new(),
        say: Say::nothing(),
        ask: crate::ground::Ask::nobody(),
        width: 80,
    }
}

fn open(endpoint: &str, http: Http) -> Account {
    Account::open("main", &settings(endpoint), None, http, &ground(), Vec::new()).unwrap()
}

/// An upload to its end, whose rests are slept through.
pub(super) async fn put(account: &Account, upload: &Upload<'_>) -> Result<Accepted, Error> {
    let mut effort = Effort::default();
    loop {
        let ended = account.upload(upload, &mut effort).await;
        let Some(rest) = effort.rest() else { return ended };
        tokio::time::sleep(rest).await;
    }
}

/// The seconds that an upload takes, which is answered so again and again: result's kind, and attempts.
async fn persistence(said: Said) -> (Kind, u32, u64) {
    let account = Cloud::default().account(move |form, _| match form["Action"].as_str() {
        "SetDomainServerCertificate" => said.clone(),
        _ => no(403, "Forbidden.RAM"),
    });
    let begun = Instant::now();
    let key = "the-key".into();
    let error = put(&account, &upload(&key)).await.unwrap_err();
    (error.kind, error.attempts, begun.elapsed().as_secs())
}

fn upload(key: &SecretString) -> Upload<'_> {
    let fingerprint = crate::cert::Fingerprint::of(b"leaf");
    let (api_name, cert_name, chain_pem) = ("a.example.com", "cf-a", "chain");
    Upload { api_name, cert_name, fingerprint, chain_pem, key_pem: key }
}

#[tokio::test(start_paused = true)]
async fn how_long_it_insists() {
    let soon = |row: &str, (kind, attempts, seconds): (Kind, u32, u64), want| {
        assert_eq!(kind, want, "{row}");
        assert!(
            (10..60).contains(&attempts) && (45..=62).contains(&seconds),
            "{row}: {attempts} in {seconds} s"
        );
    };
    soon("not reached", persistence(Said::Lost(Lost::NotSent("x".into()))).await, Kind::Transport);
    soon("no answer", persistence(unknown()).await, Kind::UnknownOutcome);
    soon("5xx", persistence(no(500, "InternalError")).await, Kind::Server);
    soon("throttled", persistence(no(400, "Throttling.User")).await, Kind::Throttled);
    soon("nonce", persistence(no(400, "SignatureNonceUsed")).await, Kind::Server);
    let (kind, attempts, seconds) = persistence(no(403, "ServiceBusy")).await;
    assert_eq!((kind, attempts), (Kind::Busy, 11));
    assert!((255..258).contains(&seconds), "{seconds}");
    assert_eq!(persistence(no(403, "Forbidden.RAM")).await, (Kind::Permission, 1, 0));
    assert_eq!(persistence(no(404, "InvalidDomain.NotFound")).await, (Kind::DomainNotFound, 1, 0));
    assert_eq!(persistence(no(404, "Brand.New")).await, (Kind::Permanent, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_bounds_it() {
    for said in [no(403, "ServiceBusy"), no(400, "Throttling"), unknown()] {
        let account = Cloud::default().account(move |_, _| said.clone());
        let begun = Instant::now();
        let bounded = account.until(Some(begun + Duration::from_secs(7)));
        bounded.describe_domain_certificate_info("a.example.com").await.unwrap_err();
        assert!(begun.elapsed() <= Duration::from_secs(7));
    }
    let cloud = Cloud::default();
    let late = cloud.account(|_, _| ok("{}")).until(Some(Instant::now()));
    let error = late.describe_user_domains().await.unwrap_err();
    assert_eq!((error.kind, error.attempts, cloud.forms().len()), (Kind::Transport, 0, 0));
    assert!(error.retryable());
}

#[tokio::test(start_paused = true)]
async fn each_attempt_is_signed_anew() {
    let cloud = Cloud::default();
    let account = cloud.account(|_, before| match before {
        0 => no(503, "ServiceUnavailable"),
        1 => no(400, "SignatureNonceUsed"),
        _ => ok(r#"{"RequestId":"R"}"#),
    });
    account.describe_domain_certificate_info("a.example.com").await.unwrap();
    let forms = cloud.forms();
    assert_eq!(forms.len(), 3);
    assert_ne!(forms[0]["SignatureNonce"], forms[1]["SignatureNonce"]);
    assert_ne!(forms[1]["SignatureNonce"], forms[2]["SignatureNonce"]);
    assert_ne!(forms[0]["Signature"], forms[1]["Signature"]);
    assert!(forms.iter().all(|form| form["Format"] == "JSON" && form["AccessKeyId"] == "LTAI1"));
}

const EXPIRED: &str = r#"{"Code":"InvalidTimeStamp.Expired","Message":"words"}"#;

#[tokio::test(start_paused = true)]
async fn the_clock_is_corrected_once() {
    let cloud = Cloud::default();
    let account = cloud.account(|form, _| match form["Timestamp"].as_str() {
        "2026-01-02T04:04:05Z" => ok(r#"{"RequestId":"R"}"#),
        _ => Said::Dated(400, EXPIRED.into(), "Fri, 02 Jan 2026 04:04:05 GMT"),
    });
    account.describe_domain_certificate_info("a.example.com").await.unwrap();
    account.describe_domain_certificate_info("a.example.com").await.unwrap();
    assert_eq!(cloud.forms().len(), 3, "the second call knows the time");
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_stays_wrong() {
    let cloud = Cloud::default();
    let account =
        cloud.account(|_, _| Said::Dated(400, EXPIRED.into(), "Fri, 02 Jan 2026 04:05:05 GMT"));
    let error = account.describe_domain_certificate_info("a.example.com").await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (Kind::Clock, 2));
    assert!(
        error.help.contains("1h 1m behind the cloud's") && error.help.contains("set-ntp"),
        "{error}"
    );
    let account = Cloud::default().account(|_, _| Said::Json(400, EXPIRED.into()));
    let error = account.describe_domain_certificate_info("a.example.com").await.unwrap_err();
    assert_eq!((error.kind, error.attempts), (Kind::Clock, 1), "no Date, no correction");
}

/// A call that fails again and again, and the word to stop after so long: how it ends, and when.
async fn check_stop(row: &str, after: u64, which: fn(&Account) -> Account, want: (&str, Kind)) {
    let cloud = Cloud::default();
    let account = cloud.account(|_, _| no(503, "ServiceUnavailable"));
    let begun = Instant::now();
    let word = async {
        tokio::time::sleep(Duration::from_secs(after)).await;
        account.stop.cancel();
    };
    let called = which(&account);
    let ((), ended) = futures_util::join!(word, called.describe_domains());
    let error = ended.unwrap_err();
    assert_eq!((error.code.as_str(), error.kind), want, "{row}");
    let seconds = begun.elapsed().as_secs();
    assert_eq!(seconds > 40, error.code != "Stopped", "{row}: {seconds} s");
    assert_eq!(cloud.forms().is_empty(), error.kind == Kind::Transport, "{row}");
}

#[tokio::test(start_paused = true)]
async fn the_word_to_stop_is_heard_between_attempts() {
    let unknown = ("Stopped", Kind::UnknownOutcome);
    let not_heard = ("ServiceUnavailable", Kind::Server);
    check_stop("a few attempts", 3, Account::clone, unknown).await;
    check_stop("with a deadline", 3, |account| account.until(None), unknown).await;
    check_stop("before the first", 0, Account::clone, ("Stopped", Kind::Transport)).await;
    check_stop("what must be taken back", 3, Account::unstoppable, not_heard).await;
}

#[test]
fn endpoints() {
    let check = |url: &str, sound: bool| {
        let opened =
            Account::open("main", &settings(url), None, Http::new(), &ground(), Vec::new());
        assert_eq!(opened.is_ok(), sound, "{url}");
        if let Err(error) = opened {
            assert!(
                error.kind == Kind::Config && error.message.contains("cdn_endpoint"),
                "{error}"
            );
        }
    };
    check("https://cdn.aliyuncs.com", true);
    check("http://127.0.0.1:8080", true);
    check("http://[::1]:8080", true);
    check("http://cdn.aliyuncs.com", false);
    check("cdn.aliyuncs.com", false);
    check("ftp://127.0.0.1", false);
}

#[test]
fn intervals() {
    let check = |rate: f64, ms: u128| assert_eq!(upload_interval(rate).as_millis(), ms, "{rate}");
    check(9.6, 104);
    check(100.0, 104);
    check(2.0, 500);
    check(0.0, 60_000);
    check(-1.0, 60_000);
    check(f64::NAN, 60_000);
}

/// On the wire: one POST to `/`, all of it in the body, nothing secret in head or error.
#[test]
fn the_wire() {
    let (asked, error) = run(async {
        let fake = Fake::answering(|asked| {
            let echo = format!("no. server string to sign is:{}", asked.body);
            let json = serde_json::json!({"Code": "SignatureDoesNotMatch", "Message": echo});
            Reply::json(400, &json.to_string())
        })
        .await;
        let key = "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEEIAbcdefghijkl+/=\n-----END EC PRIVATE KEY-----\n".into();
        let error = put(&open(&fake.url, Http::new()), &upload(&key)).await;
        (fake.asked(), error.unwrap_err())
    });
    assert_eq!(asked.len(), 1);
    let head = asked[0].head.to_lowercase();
    assert!(head.starts_with("post / http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-www-form-urlencoded"), "{head}");
    assert!(asked[0].body.contains("PrivateKey=-----BEGIN%20EC%20PRIVATE%20KEY-----%0AMHcC"));
    assert_eq!(asked[0].param("Timestamp").as_deref(), Some("2026-01-02T03:04:05Z"));
    assert_eq!(asked[0].param("Signature").unwrap().len(), 28);
    let text = format!("{error} {error:?}");
    assert!(
        !text.contains("MHcC") && !text.contains("the-s3cret") && !text.contains("BEGIN"),
        "{text}"
    );
}

#[test]
fn a_server_that_hangs_up() {
    let error = run(async {
        let fake = Fake::start([Reply::Close]).await;
        let account = open(&fake.url, Http::new());
        let soon = Instant::now() + Duration::from_millis(80);
        account
            .until(Some(soon))
            .describe_domain_certificate_info("a.example.com")
            .await
            .unwrap_err()
    });
    assert_eq!((error.kind, error.code.as_str()), (Kind::UnknownOutcome, "NoAnswer"));
    assert!(error.retryable() && error.help.contains("[aliyun.main]"), "{error}");
}
