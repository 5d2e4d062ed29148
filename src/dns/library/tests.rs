//! Every kind of the table is opened by its settings; one of them, PowerDNS, against a fake that checks what it gets.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::LazyLock;

use super::*;
use crate::config::kinds::{Form, Kind, LIBRARY, Setting};
use crate::dns::fake as dns_fake;
use crate::http::fake::{Asked, Fake, Reply, run};

const NAME: &str = "_acme-challenge.example.test";
const KEY: &str = "S3CRET-of-the-service";

fn kind(name: &str) -> &'static Kind {
    LIBRARY.iter().find(|kind| kind.name == name).unwrap()
}

fn said(setting: &Setting) -> Set {
    match setting.form {
        Form::Secret => Set::File(PathBuf::from(setting.key)),
        Form::Url => Set::Text("https://service.example".to_owned()),
        Form::Truth => Set::Text("true".to_owned()),
        Form::Count => Set::Text("4".to_owned()),
        Form::Word(words) => Set::Text(words[0].to_owned()),
        Form::Text | Form::Host | Form::Own => Set::Text("eu-west-1".to_owned()),
    }
}

/// Made once: it takes seconds.
static RSA: LazyLock<String> = LazyLock::new(|| {
    rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap().serialize_pem()
});

/// Keys of the kinds that do not take any text: an RSA key made for this test alone.
fn secret(file: &Path) -> anyhow::Result<SecretString> {
    let is_key = file.to_string_lossy().contains("private_key_file");
    let account = serde_json::json!({
        "client_email": "a@example.test",
        "private_key": "-----BEGIN PRIVATE KEY-----",
        "token_uri": "https://service.example/token",
    });
    Ok(match file.to_str() {
        Some("service_account_file") => account.to_string().into(),
        Some(_) | None if is_key => RSA.as_str().into(),
        Some(_) | None => KEY.into(),
    })
}

fn library(kind: &'static Kind, settings: BTreeMap<&'static str, Set>) -> config::Library {
    config::Library { kind, settings, ttl: 600 }
}

fn open_by(kind: &'static Kind, with: impl Fn(&&Setting) -> bool) -> anyhow::Result<Library> {
    let settings = kind.settings.iter().filter(with);
    let settings = settings.map(|setting| (setting.key, said(setting))).collect();
    open("own", &library(kind, settings), &secret, Rc::new(Asker::new(&[])))
}

#[test]
fn every_kind_is_opened_by_its_settings() {
    for kind in &LIBRARY {
        let all = open_by(kind, |_| true);
        assert!(all.is_ok(), "{}: {:#}", kind.name, all.err().unwrap());
        let needed = open_by(kind, |setting| setting.is_needed || setting.key == "auth_id");
        assert!(needed.is_ok(), "{}: {:#}", kind.name, needed.err().unwrap());
        for missing in kind.settings.iter().filter(|setting| setting.is_needed) {
            let settings = kind.settings.iter().filter(|setting| setting.key != missing.key);
            let settings = settings.map(|setting| (setting.key, said(setting))).collect();
            let library = library(kind, settings);
            let read = RefCell::default();
            let said = Said { name: "own", library: &library, secret: &secret, read };
            let error = openers::updater(&said).err();
            let text = format!("{:#}", error.unwrap_or_else(|| panic!("{}", missing.key)));
            assert!(text.contains(&format!("`dns.own.{}` is missing", missing.key)), "{text}");
        }
    }
}

/// A PowerDNS that holds the values of one name.
fn powerdns(values: &mut Vec<String>, asked: &Asked) -> Reply {
    let first = asked.head.lines().next().unwrap();
    assert!(first.contains("/api/v1/servers/localhost/zones/example.test."), "{first}");
    assert!(asked.head.to_lowercase().contains(&format!("x-api-key: {KEY}").to_lowercase()));
    let quoted = |value: &String| serde_json::json!({ "content": value, "disabled": false });
    if first.starts_with("GET ") {
        let records: Vec<_> = values.iter().map(quoted).collect();
        let set = serde_json::json!({
            "name": format!("{NAME}."), "type": "TXT", "ttl": 600, "records": records
        });
        let sets = if records.is_empty() { vec![] } else { vec![set] };
        return Reply::json(200, &serde_json::json!({ "rrsets": sets }).to_string());
    }
    let change: serde_json::Value = serde_json::from_str(&asked.body).unwrap();
    let set = &change["rrsets"][0];
    assert_eq!((&set["name"], &set["type"]), (&format!("{NAME}.").into(), &"TXT".into()));
    let records = set["records"].as_array().cloned().unwrap_or_default();
    let content = |record: serde_json::Value| record["content"].as_str().unwrap().to_owned();
    *values = records.into_iter().map(content).collect();
    Reply::json(204, "")
}

async fn at(url: &str, dns: &dns_fake::Fake) -> Library {
    let settings = BTreeMap::from([
        ("endpoint", Set::Text(url.to_owned())),
        ("api_key_file", Set::File(PathBuf::from("key"))),
    ]);
    let asker = Rc::new(Asker::new(&[dns.address]));
    open("own", &library(kind("powerdns"), settings), &secret, asker).unwrap()
}

async fn zone() -> dns_fake::Fake {
    dns_fake::Fake::start(dns_fake::Zone::default().apex("example.test")).await
}

#[test]
fn one_value_is_added_and_taken_away_among_others() {
    run(async {
        let dns = zone().await;
        let held = Rc::new(RefCell::new(vec!["\"of somebody else\"".to_owned()]));
        let values = Rc::clone(&held);
        let fake = Fake::answering(move |asked| powerdns(&mut values.borrow_mut(), asked)).await;
        let library = at(&fake.url, &dns).await;
        // Two at once, as two lineages would: neither overwrites the other.
        let (one, two) = tokio::join!(library.put(NAME, "one"), library.put(NAME, "two"));
        assert!(one.is_ok() && two.is_ok(), "{one:?} {two:?}");
        let sorted = |held: &RefCell<Vec<String>>| {
            let mut values = held.borrow().clone();
            values.sort();
            values
        };
        assert_eq!(sorted(&held), ["\"of somebody else\"", "\"one\"", "\"two\""]);
        library.put(NAME, "one").await.unwrap();
        library.take_away(NAME, "one", None).await.unwrap();
        library.take_away(NAME, "one", None).await.unwrap();
        assert_eq!(sorted(&held), ["\"of somebody else\"", "\"two\""]);
    });
}

fn check(row: &str, reply: Reply, is_sure: bool, wanted: &[&str]) {
    run(async {
        let dns = zone().await;
        let fake = Fake::start([reply]).await;
        let error = at(&fake.url, &dns).await.put(NAME, "one").await.unwrap_err();
        let text = format!("{error:#}");
        for part in wanted.iter().chain(&["PowerDNS", NAME, "help: ", "[dns.own]"]) {
            assert!(text.contains(part), "{row}: {text}");
        }
        assert!(!text.contains(KEY), "{row}: {text}");
        assert_eq!(error.is::<NotPut>(), is_sure, "{row}");
    });
}

#[test]
fn refusals_are_told_without_secrets() {
    let echo = format!("the key {KEY} is wrong");
    check("who?", Reply::json(401, &echo), true, &["Unauthorized", "the keys"]);
    check("no zone", Reply::json(404, ""), false, &["must hold the zone example.test"]);
    check("an echo", Reply::json(422, &echo), false, &["HTTP 422", "the key [removed]"]);
    check("no JSON", Reply::json(200, "<html>"), false, &["help: "]);
}

#[test]
fn a_zone_that_nobody_knows_is_told_before_anything_is_sent() {
    run(async {
        let dns = dns_fake::Fake::start(dns_fake::Zone::default()).await;
        let error = at("http://127.0.0.1:1", &dns).await.put(NAME, "one").await.unwrap_err();
        assert!(error.is::<NotPut>(), "{error:#}");
        assert!(error.to_string().contains("in which zone"), "{error:#}");
    });
}
