//! What the service is asked, and what is made of its answers.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::http::fake::{Fake, Reply, run};

const NAME: &str = "_acme-challenge.example.test";
const PASSWORD: &str = "S3CRET-of-the-hook";

async fn webhook(reply: Reply) -> (Fake, Webhook) {
    let fake = Fake::start([reply]).await;
    let login = Some(("ops".to_owned(), SecretString::from(PASSWORD)));
    let webhook = Webhook::new(&format!("{}/dns", fake.url), login, Http::new());
    (fake, webhook)
}

#[test]
fn it_is_called_as_lego_calls_it() {
    run(async {
        let (fake, webhook) = webhook(Reply::json(204, "")).await;
        webhook.put(NAME, "VALUE").await.unwrap();
        webhook.take_away(NAME, "VALUE", None).await.unwrap();
        let asked = fake.asked();
        let firsts: Vec<_> = asked.iter().map(|asked| asked.head.lines().next().unwrap()).collect();
        assert_eq!(firsts, ["POST /dns/present HTTP/1.1", "POST /dns/cleanup HTTP/1.1"]);
        for asked in asked {
            assert_eq!(asked.body, format!(r#"{{"fqdn":"{NAME}.","value":"VALUE"}}"#));
            let head = asked.head.to_lowercase();
            assert!(head.contains("content-type: application/json"), "{head}");
            let basic = format!("Basic {}", STANDARD.encode(format!("ops:{PASSWORD}")));
            assert!(asked.head.contains(&basic), "{}", asked.head);
        }
    });
}

/// What the service answers, what is said of it, and whether it surely had no effect.
fn check(row: &str, reply: Reply, wanted: Result<(), &[&str]>) {
    run(async {
        let (_fake, webhook) = webhook(reply).await;
        let put = webhook.put(NAME, "VALUE").await;
        let Err(parts) = wanted else {
            assert!(put.is_ok(), "{row}: {put:?}");
            return;
        };
        let error = put.unwrap_err();
        let text = format!("{error:#}");
        for part in parts.iter().chain(&["help: "]) {
            assert!(text.contains(part), "{row}: {text}");
        }
        assert!(!text.contains(PASSWORD), "{row}: {text}");
        assert!(!error.is::<NotPut>(), "{row}: it may have had its effect");
    });
}

#[test]
fn answers_are_judged_by_their_status() {
    let echo = format!("wrong password {PASSWORD}");
    check("well", Reply::json(200, "{}"), Ok(()));
    check("made", Reply::json(201, ""), Ok(()));
    check("who?", Reply::json(401, &echo), Err(&["HTTP 401", "wrong password", "password_file"]));
    check("elsewhere", Reply::json(302, ""), Err(&["HTTP 302", "redirects are not followed"]));
    check("no such path", Reply::json(404, ""), Err(&["/dns/present", "POST"]));
    check("broken", Reply::json(500, "no zone"), Err(&["HTTP 500: no zone"]));
    check("hung up", Reply::Close, Err(&["/dns/present"]));
}

#[test]
fn one_that_is_not_there_had_no_effect() {
    run(async {
        let webhook = Webhook::new("http://127.0.0.1:1/dns", None, Http::new());
        let error = webhook.put(NAME, "VALUE").await.unwrap_err();
        assert!(error.is::<NotPut>(), "{error:#}");
        assert!(format!("{error:#}").contains("check `endpoint`"), "{error:#}");
        webhook.take_away(NAME, "VALUE", None).await.unwrap_err();
    });
}
