//! Accounts are made once, kept, and used; what a person must set is said exactly.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::*;
use crate::http::fake::{Asked, Fake, Reply, run};

const NAME: &str = "_acme-challenge.example.test";
const FULL: &str = "d420c923.auth.example";
const ACCOUNT: &str = r#"{"username":"c36f50e8","password":"S3CRET-of-the-account",
    "fulldomain":"d420c923.auth.example","subdomain":"d420c923","allowfrom":[]}"#;

/// A store in memory.
#[derive(Default)]
struct Kept(RefCell<BTreeMap<(String, String), SecretString>>);

impl Keep for Kept {
    fn read(&self, server: &str, domain: &str) -> anyhow::Result<Option<SecretString>> {
        Ok(self.0.borrow().get(&(server.to_owned(), domain.to_owned())).cloned())
    }

    fn save(&self, server: &str, domain: &str, account: &SecretString) -> anyhow::Result<()> {
        self.0.borrow_mut().insert((server.to_owned(), domain.to_owned()), account.clone());
        Ok(())
    }
}

/// An acme-dns that checks what it gets.
fn answer(asked: &Asked) -> Reply {
    let body: Value = serde_json::from_str(&asked.body).unwrap();
    if asked.head.starts_with("POST /register ") {
        assert_eq!(body, json!({ "allowfrom": ["192.0.2.0/24"] }));
        return Reply::json(201, ACCOUNT);
    }
    assert!(asked.head.starts_with("POST /update "), "{}", asked.head);
    assert!(asked.head.contains("x-api-user: c36f50e8"), "{}", asked.head);
    assert!(asked.head.contains("x-api-key: S3CRET-of-the-account"), "{}", asked.head);
    assert_eq!(body["subdomain"], "d420c923");
    Reply::json(200, &json!({ "txt": body["txt"] }).to_string())
}

fn acme_dns(url: &str, known: Option<&str>, keep: &Rc<Kept>) -> anyhow::Result<AcmeDns> {
    let server = Server::new(url, &["192.0.2.0/24".to_owned()], Http::new());
    AcmeDns::new(server, known.map(SecretString::from).as_ref(), Rc::clone(keep) as Rc<dyn Keep>)
}

fn verbs(fake: &Fake) -> Vec<String> {
    let verb = |asked: Asked| asked.head.split(' ').nth(1).unwrap().to_owned();
    fake.asked().into_iter().map(verb).collect()
}

#[test]
fn the_cname_is_told_and_the_account_is_kept() {
    run(async {
        let fake = Fake::answering(answer).await;
        let keep = Rc::new(Kept::default());
        let first = acme_dns(&fake.url, None, &keep).unwrap();
        let error = first.make_ready(NAME, NAME).await.unwrap_err().to_string();
        let record = format!("help: set this record, once: {NAME}. CNAME {FULL}.");
        assert!(error.contains("has no CNAME yet") && error.contains(&record), "{error}");
        let error = first.make_ready(NAME, "elsewhere.test").await.unwrap_err().to_string();
        assert!(error.contains("leads to elsewhere.test") && error.contains(&record), "{error}");
        // The next run, when the record is there.
        let next = acme_dns(&fake.url, None, &keep).unwrap();
        next.make_ready(NAME, FULL).await.unwrap();
        next.put(FULL, "one").await.unwrap();
        next.put(FULL, "two").await.unwrap();
        next.take_away(FULL, "one", None).await.unwrap();
        assert_eq!(verbs(&fake), ["/register", "/update", "/update"]);
    });
}

#[test]
fn accounts_of_other_programs_are_used() {
    let goacmedns = ACCOUNT
        .replace("username", "Username")
        .replace("password", "Password")
        .replace("fulldomain", "FullDomain")
        .replace("subdomain", "SubDomain");
    for account in [ACCOUNT, &goacmedns] {
        run(async {
            let fake = Fake::answering(answer).await;
            let known = format!(r#"{{"example.test": {account}}}"#);
            let keep = Rc::new(Kept::default());
            let acme_dns = acme_dns(&fake.url, Some(&known), &keep).unwrap();
            acme_dns.make_ready(NAME, FULL).await.unwrap();
            acme_dns.put(FULL, "one").await.unwrap();
            assert_eq!(verbs(&fake), ["/update"]);
        });
    }
}

/// What register or update answers, and what is said of it.
fn check(row: &str, register: Reply, update: Reply, wanted: &[&str]) {
    run(async {
        let fake = Fake::start([register, update]).await;
        let keep = Rc::new(Kept::default());
        let acme_dns = acme_dns(&fake.url, None, &keep).unwrap();
        let done = match acme_dns.make_ready(NAME, FULL).await {
            Ok(()) => acme_dns.put(FULL, "one").await.map(drop),
            error => error,
        };
        let text = format!("{:#}", done.unwrap_err());
        for part in wanted.iter().chain(&["help: "]) {
            assert!(text.contains(part), "{row}: {text}");
        }
        assert!(!text.contains("S3CRET"), "{row}: {text}");
    });
}

#[test]
fn refusals_say_what_to_do() {
    let well = || Reply::json(201, ACCOUNT);
    let echo = r#"{"error":"forbidden for S3CRET-of-the-account"}"#;
    check("closed", Reply::json(404, ""), well(), &["/register", "HTTP 404", "accounts_file"]);
    check("no acme-dns", Reply::json(200, "{}"), well(), &["answered no account"]);
    check("half an account", Reply::json(201, &ACCOUNT[..80]), well(), &["answered no account"]);
    check("from elsewhere", well(), Reply::json(401, echo), &["HTTP 401", "allow_from"]);
    check("broken", well(), Reply::json(500, ""), &["/update", "HTTP 500"]);
    check("hung up", well(), Reply::Close, &["check `server`"]);
}

#[test]
fn a_file_that_holds_no_accounts_is_not_quoted() {
    let keep = Rc::new(Kept::default());
    let error = acme_dns("http://127.0.0.1:1", Some(r#"{"a": "S3CRET"}"#), &keep).err().unwrap();
    let text = error.to_string();
    assert!(text.contains("accounts_file") && !text.contains("S3CRET"), "{text}");
}
