//! One renewal for all who wait, before the end and at the cloud's word, in paused time.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use futures_util::future::join_all;
use tokio::time::advance;

use super::*;
use crate::aliyun::{Kind, Zone};
use crate::config::{self, Aliyun};
use crate::ground::{Clock, Env, Ground, Say};
use crate::http::{Answer, Error as Lost, Http};

const START: &str = "2026-01-02T03:00:00Z";

/// A cloud whose STS hands out keys of 1000 s, numbered from 1.
#[derive(Clone, Default)]
struct World(Arc<Inside>);

#[derive(Default)]
struct Inside {
    assumed: AtomicUsize,
    /// What STS answers in place of keys.
    refusal: Mutex<Option<&'static str>>,
    /// Keys up to this one have expired, whatever was told.
    expired: AtomicUsize,
    calls: AtomicUsize,
}

impl World {
    /// An account that assumes a role on top of the environment's key, or has that key alone with a token.
    fn account(&self, role: Option<&str>) -> Account {
        let begun = Instant::now();
        let start: Timestamp = START.parse().unwrap();
        let now = move || start + SignedDuration::try_from(begun.elapsed()).unwrap();
        let role = role.map(|arn| config::Role {
            arn: arn.to_owned(),
            session_name: None,
            external_id: None,
        });
        let mut env = BTreeMap::from([
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", "LTAI"),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "s3cret"),
        ]);
        if role.is_none() {
            env.insert("ALIBABA_CLOUD_SECURITY_TOKEN", "t0ken");
        }
        let world = self.clone();
        let http = Http::scripted(Box::new(move |request| {
            let body = request.body().unwrap().as_bytes().unwrap();
            world.answer(&String::from_utf8_lossy(body), now())
        }));
        let ground = Ground {
            input: crate::ground::Input::nothing(),
            clock: Clock::new(now),
            env: Env::from_iter(env),
            stop: tokio_util::sync::CancellationToken::new(),
            say: Say::nothing(),
            ask: crate::ground::Ask::nobody(),
            width: 80,
        };
        let config = Aliyun { role, ..Aliyun::default() };
        Account::open("main", &config, None, http, &ground, Vec::new()).unwrap()
    }

    fn answer(&self, body: &str, now: Timestamp) -> Result<Answer, Lost> {
        let said = |status, body: String| {
            let headers = reqwest::header::HeaderMap::new();
            Ok(Answer { status, headers, body: body.into_bytes() })
        };
        let no = |code: &str| said(400, format!(r#"{{"Code":"{code}","Message":"words"}}"#));
        if body.contains("Action=AssumeRole") {
            let number = self.0.assumed.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some(code) = *self.0.refusal.lock().unwrap() {
                return no(code);
            }
            let end = now + SignedDuration::from_secs(1000);
            return said(
                200,
                format!(
                    r#"{{"Credentials":{{"AccessKeyId":"STS.{number}","AccessKeySecret":"s","SecurityToken":"t","Expiration":"{end}"}}}}"#
                ),
            );
        }
        self.0.calls.fetch_add(1, Ordering::Relaxed);
        let number = body.split("AccessKeyId=STS.").nth(1).and_then(|rest| rest.split('&').next());
        let number: usize = number.map_or(0, |number| number.parse().unwrap());
        if number <= self.0.expired.load(Ordering::Relaxed) {
            return no("InvalidSecurityToken.Expired");
        }
        said(200, r#"{"Domains":{"Domain":[]},"TotalCount":0}"#.to_owned())
    }

    fn refuse(&self, code: Option<&'static str>) {
        *self.0.refusal.lock().unwrap() = code;
    }

    fn assumed(&self) -> usize {
        self.0.assumed.load(Ordering::Relaxed)
    }

    fn calls(&self) -> usize {
        self.0.calls.load(Ordering::Relaxed)
    }
}

async fn many(account: &Account) -> Vec<Result<Vec<Zone>, Error>> {
    join_all((0..100).map(|_| account.describe_domains())).await
}

const ROLE: Option<&str> = Some("acs:ram::1:role/x");

#[tokio::test(start_paused = true)]
async fn one_finds_it_for_all() {
    let world = World::default();
    let account = world.account(ROLE);
    assert!(many(&account).await.iter().all(Result::is_ok));
    assert_eq!((world.assumed(), world.calls()), (1, 100));
}

#[tokio::test(start_paused = true)]
async fn one_fails_for_all_and_it_is_tried_again_later() {
    let world = World::default();
    world.refuse(Some("EntityNotExist.Role"));
    let account = world.account(ROLE);
    let ends = many(&account).await;
    assert!(
        ends.iter().all(|end| end.as_ref().is_err_and(|error| error.code == "EntityNotExist.Role"))
    );
    assert_eq!((world.assumed(), world.calls()), (1, 0));
    world.refuse(None);
    advance(AGAIN).await;
    account.describe_domains().await.unwrap();
    assert_eq!(world.assumed(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_is_renewed_before_its_end() {
    let world = World::default();
    let account = world.account(ROLE);
    let first = account.inner.keyring.opened(&account).await.unwrap();
    advance(Duration::from_secs(819)).await;
    account.describe_domains().await.unwrap();
    assert_eq!(world.assumed(), 1, "181 s are left");
    advance(Duration::from_secs(1)).await;
    assert!(many(&account).await.iter().all(Result::is_ok));
    assert_eq!(world.assumed(), 2, "180 s were left");
    let second = account.inner.keyring.opened(&account).await.unwrap();
    assert_eq!((first.credentials.id.as_str(), second.credentials.id.as_str()), ("STS.1", "STS.2"));
    assert!(Rc::ptr_eq(&first.pace, &second.pace), "the pace goes on");
}

#[tokio::test(start_paused = true)]
async fn a_renewal_that_fails_while_the_key_lives() {
    let world = World::default();
    let account = world.account(ROLE);
    account.describe_domains().await.unwrap();
    advance(Duration::from_secs(900)).await;
    world.refuse(Some("NoPermission"));
    assert!(many(&account).await.iter().all(Result::is_ok), "the old one is good");
    assert_eq!(world.assumed(), 2, "one tried for all");
    advance(AGAIN).await;
    account.describe_domains().await.unwrap();
    assert_eq!(world.assumed(), 3, "and again later");
    advance(Duration::from_secs(100)).await;
    let error = account.describe_domains().await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (Kind::Permission, "NoPermission"));
    world.refuse(None);
    advance(AGAIN).await;
    account.describe_domains().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_cloud_says_that_it_has_expired() {
    let world = World::default();
    let account = world.account(ROLE);
    account.describe_domains().await.unwrap();
    world.0.expired.store(1, Ordering::Relaxed);
    assert!(many(&account).await.iter().all(Result::is_ok));
    assert_eq!(world.assumed(), 2, "one renewed it for all");
    world.0.expired.store(1000, Ordering::Relaxed);
    let error = account.describe_domains().await.unwrap_err();
    assert_eq!((error.code.as_str(), error.attempts), ("InvalidSecurityToken.Expired", 2));
    assert_eq!(world.assumed(), 3, "once");
}

#[tokio::test(start_paused = true)]
async fn an_expired_key_that_cannot_be_renewed() {
    let world = World::default();
    let account = world.account(ROLE);
    account.describe_domains().await.unwrap();
    world.0.expired.store(1000, Ordering::Relaxed);
    world.refuse(Some("EntityNotExist.Role"));
    let error = account.describe_domains().await.unwrap_err();
    assert_eq!(error.attempts, 1);
    assert!(
        error.message.contains("cannot be renewed: there is no RAM role acs:ram::1:role/x"),
        "{error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_token_of_the_environment_cannot_be_renewed() {
    let world = World::default();
    world.0.expired.store(1, Ordering::Relaxed);
    let error = world.account(None).describe_domains().await.unwrap_err();
    assert_eq!((error.kind, error.attempts, world.calls()), (Kind::Credentials, 1, 1));
}

/// With a clock that is a day ahead every key looks old. The cloud's word counts, and STS is not asked for each call.
#[tokio::test(start_paused = true)]
async fn a_clock_that_is_wrong_asks_for_no_key_a_call() {
    let world = World::default();
    let account = world.account(ROLE);
    account.inner.stamp.correct("Sat, 03 Jan 2026 03:00:00 GMT").unwrap();
    for _ in 0..20 {
        account.describe_domains().await.unwrap();
    }
    assert_eq!(world.assumed(), 1);
}
