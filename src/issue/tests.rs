//! An Issuer before and beside its orders: what it remembers, what it asks once, what it says.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::sync::Mutex as Shelf;

use ::http::Method;
use reqwest::header::HeaderMap;

use super::*;
use crate::dns::Accesses;
use crate::ground::{Clock, Env, Say};
use crate::http::{Answer, Error as Lost};

const NOW: &str = "2026-11-24T00:00:00Z";

#[test]
fn the_journal_keeps_no_remedy() {
    let error = anyhow::anyhow!("no\nhelp: do it").context("the CA refused");
    let failure = Failure::free(error).beside("the disk is full\nhelp: make room");
    assert_eq!(failure.in_short(), "the disk is full: the CA refused: no");
}

/// The paths that were asked for.
type Asked = Arc<Shelf<Vec<String>>>;

/// A CA as far as its accounts. `down` is a path that does not answer.
fn ca(down: &'static str) -> (Http, Asked) {
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let http = Http::scripted(Box::new(move |request| {
        let path = request.url().path().trim_start_matches('/');
        seen.lock().unwrap().push(path.to_owned());
        if path == down {
            return Err(Lost::Unknown("no answer".to_owned()));
        }
        let body = match path {
            "dir" => {
                let url = |name: &str| format!("https://ca.test/{name}");
                serde_json::json!({"newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("order")})
            }
            _ => serde_json::json!({"status": "valid"}),
        };
        let fields = [
            ("replay-nonce", "bm9uY2U"),
            ("location", "https://ca.test/account/1"),
            ("content-type", "application/json"),
        ];
        let headers = fields.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        let status = if *request.method() == Method::POST { 201 } else { 200 };
        let headers = HeaderMap::from_iter(headers);
        Ok(Answer { status, headers, body: body.to_string().into() })
    }));
    (http, asked)
}

/// A store that keeps nothing, as on a disk that is full.
fn full(root: &std::path::Path) -> Store {
    Store::open(root).unwrap();
    Store::existing(root).unwrap().unwrap()
}

fn sound(root: &std::path::Path) -> Store {
    Store::open(root).unwrap()
}

fn issuer(folder: &tempfile::TempDir, http: Http, open: fn(&std::path::Path) -> Store) -> Issuer {
    let root = folder.path().join("store");
    let store = open(&root);
    let ground = Ground {
        input: crate::ground::Input::nothing(),
        clock: Clock::new(|| NOW.parse().unwrap()),
        env: Env::default(),
        stop: tokio_util::sync::CancellationToken::new(),
        say: Say::nothing(),
        ask: crate::ground::Ask::nobody(),
        width: 80,
    };
    let mut config = Config::without_file(root);
    "https://ca.test/dir".clone_into(&mut config.acme.directory);
    config.acme.terms_agreed = true;
    let accesses = Accesses::new(&config, std::collections::BTreeMap::new(), &ground);
    let prover = Rc::new(Prover::new(accesses, store.clone(), ground.clone()));
    Issuer::new(&config, &config.acme, http, prover, store, ground)
}

/// Three orders begin; all fail, and `down` was asked for once.
async fn check_once(row: &str, down: &'static str, says: &str) {
    let folder = tempfile::tempdir().unwrap();
    let (http, asked) = ca(down);
    let issuer = issuer(&folder, http, sound);
    for _ in 0..3 {
        let failure = issuer.session().await.err().unwrap();
        let text = told::text(&failure.error);
        assert!(text.contains(says), "{row}: {text}");
    }
    let asked = asked.lock().unwrap();
    assert_eq!(asked.iter().filter(|asked| *asked == down).count(), 1, "{row}: {asked:?}");
}

#[tokio::test]
async fn what_fails_for_all_is_tried_once() {
    check_once("the CA is down", "dir", "cannot be fetched").await;
    check_once("it registers nobody", "account", "the new account").await;
}

#[tokio::test]
async fn no_account_is_asked_for_that_cannot_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (http, asked) = ca("");
    let failure = issuer(&folder, http, full).session().await.err().unwrap();
    assert!(told::text(&failure.error).contains("open for reading only"));
    assert_eq!(*asked.lock().unwrap(), ["dir"]);
}

#[tokio::test]
async fn what_the_ca_said_outlives_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let issuer = issuer(&folder, ca("").0, full);
    let certificate = Certificate {
        name: "example.test".to_owned(),
        domains: vec!["example.test".to_owned()],
        dns: "default".to_owned(),
        challenge: config::Challenge::Dns01,
        key_type: config::KeyType::EcdsaP256,
        ca: None,
        profile: None,
        reuse_key: false,
        source: None,
        deploy: Vec::new(),
        line: 1,
    };
    let not_before: Option<Timestamp> = Some(NOW.parse().unwrap());
    let refusal = anyhow::anyhow!("the CA refused\nhelp: ask it");
    let failure = Failure { counted: true, not_before, ..Failure::free(refusal) };
    let failure =
        order::Job::new(&issuer, &certificate, "asked", Turn::First).give_up(1, failure).await;
    assert_eq!((failure.counted, failure.not_before), (true, not_before));
    let text = told::text(&failure.error);
    assert!(text.contains("the CA refused") && text.contains("open for reading only"), "{text}");
}
