//! Every refusal, a row each.

use super::*;

/// What the rows are about: an account with an order that is ready and a certificate, and a stranger.
struct Scene {
    dns: Dns,
    ca: Ca,
    client: Client,
    stranger: Client,
    certificate: String,
    ready: Value,
}

impl Scene {
    async fn new() -> Self {
        let (dns, ca) = world(|rules| {
            rules.nonce_refusals = 0;
            rules.rejected = ["evil.test".to_owned()].into();
        });
        let client = Client::registered(&ca).await;
        let stranger = Client::registered(&ca).await;
        let (_, certificate, _) = client.certificate(&dns, &[NAME]).await;
        let (_, ready) = client.order(&[NAME, "*.example.test"]).await;
        client.prove(&dns, &ready).await;
        Self { dns, ca, client, stranger, certificate, ready }
    }

    fn account(&self) -> String {
        self.client.kid.clone().unwrap()
    }

    /// A request that must be refused.
    async fn check(&self, name: &str, path: &str, payload: &str, spoil: Spoil, want: (u16, &str)) {
        let path = path.replace("CERT", &self.certificate).replace("ACCT", &self.account());
        let seen = self.client.once(&path, payload, spoil).await.unwrap();
        assert_eq!((seen.status, seen.problem().as_str()), want, "{name}: {seen:?}");
        assert_eq!(seen.header("content-type"), "application/problem+json", "{name}");
        assert!(!seen.header("replay-nonce").is_empty(), "{name}");
    }

    async fn order(&self, name: &str, payload: &Value, want: (u16, &str)) {
        self.check(name, "/acme/new-order", &payload.to_string(), Spoil::default(), want).await;
    }

    async fn finalize(
        &self,
        name: &str,
        key: &KeyPair,
        names: &[&str],
        subject: &[(DnType, &str)],
    ) {
        let csr = json!({ "csr": b64(request(key, names, subject)) }).to_string();
        let url = self.ready["finalize"].as_str().unwrap();
        self.check(name, url, &csr, Spoil::default(), (400, "badCSR")).await;
    }
}

fn protected(change: fn(&mut Value)) -> Spoil {
    Spoil { protected: change, ..Spoil::default() }
}

fn jws(change: fn(&mut Value)) -> Spoil {
    Spoil { jws: change, ..Spoil::default() }
}

#[tokio::test]
#[rustfmt::skip]
async fn of_a_request() {
    let scene = Scene::new().await;
    let order = order_of(&[NAME]).to_string();
    let check = async |name: &str, spoil: Spoil, want: (u16, &str)| {
        scene.check(name, "/acme/new-order", &order, spoil, want).await;
    };
    let malformed = (400, "malformed");
    check("no User-Agent", Spoil { agent: "", ..Spoil::default() }, malformed).await;
    check("content type", Spoil { content_type: "application/json", ..Spoil::default() }, (415, "malformed")).await;
    check("an unprotected header", jws(|jws| jws["header"] = json!({})), malformed).await;
    check("many signatures", jws(|jws| jws["signatures"] = json!([])), malformed).await;
    check("padded base64", jws(|jws| jws["payload"] = json!("e30=")), malformed).await;
    check("another payload", jws(|jws| jws["payload"] = json!("e30")), malformed).await;
    check("no signature", jws(|jws| jws["signature"] = json!("")), malformed).await;
    check("crit", protected(|header| header["crit"] = json!(["b64"])), malformed).await;
    check("none", protected(|header| header["alg"] = json!("none")), (400, "badSignatureAlgorithm")).await;
    check("HS256", protected(|header| header["alg"] = json!("HS256")), (400, "badSignatureAlgorithm")).await;
    check("another key's algorithm", protected(|header| header["alg"] = json!("RS256")), malformed).await;
    check("another URL", protected(|header| header["url"] = json!("https://127.0.0.1/")), (403, "unauthorized")).await;
    check("no URL", protected(|header| drop(header.as_object_mut().unwrap().remove("url"))), (403, "unauthorized")).await;
    check("no nonce", protected(|header| drop(header.as_object_mut().unwrap().remove("nonce"))), malformed).await;
    check("an unknown nonce", protected(|header| header["nonce"] = json!("bm9uY2U")), (400, "badNonce")).await;
    check("no nonce at all", protected(|header| header["nonce"] = json!("a nonce")), malformed).await;
    check("jwk and kid", protected(|header| header["jwk"] = json!({})), malformed).await;
    check("jwk where kid belongs", Spoil { by_key: Some(AccountKey::new()), ..Spoil::default() }, malformed).await;
    check("an unknown account", protected(|header| header["kid"] = json!("https://127.0.0.1/acme/acct/99")), (400, "accountDoesNotExist")).await;
    scene.check("nothing here", "/acme/order/99", "", Spoil::default(), (404, "malformed")).await;
    scene.check("POST for a GET", "/acme/new-nonce", "", Spoil::default(), (405, "malformed")).await;
    scene.check("a payload where none belongs", "CERT", "{}", Spoil::default(), malformed).await;
    assert_eq!(scene.client.get(&scene.certificate).await.status, 405);
    let strange = async |path: String| { scene.stranger.post(&path, "").await.problem() };
    for path in [scene.certificate.clone(), scene.account(), "/acme/order/1".to_owned(), "/acme/authz/1".to_owned()] {
        assert_eq!(strange(path.clone()).await, "unauthorized", "{path}");
    }
}

#[tokio::test]
#[rustfmt::skip]
async fn of_an_account() {
    let scene = Scene::new().await;
    let check = async |name: &str, payload: Value, want: (u16, &str)| {
        let fresh = Client::new(&scene.ca);
        let seen = fresh.once("/acme/new-acct", &payload.to_string(), Spoil::default()).await.unwrap();
        assert_eq!((seen.status, seen.problem().as_str()), want, "{name}: {seen:?}");
    };
    let with_contact = |contact: &str| json!({ "termsOfServiceAgreed": true, "contact": [contact] });
    check("terms", json!({}), (403, "userActionRequired")).await;
    check("none yet", json!({ "onlyReturnExisting": true }), (400, "accountDoesNotExist")).await;
    check("a telephone", with_contact("tel:1"), (400, "unsupportedContact")).await;
    check("two addresses", with_contact("mailto:a@b.test,c@d.test"), (400, "invalidContact")).await;
    check("header fields", with_contact("mailto:a@b.test?subject=x"), (400, "invalidContact")).await;
    scene.ca.rules(|rules| rules.eab_required = true);
    check("no binding", json!({ "termsOfServiceAgreed": true }), (403, "externalAccountRequired")).await;
    let url = format!("{}/acme/new-acct", scene.client.base);
    let weak = protected(|header| header["jwk"] = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB" }));
    let fresh = Client::new(&scene.ca).once(&url, "{}", weak).await.unwrap();
    assert_eq!(fresh.problem(), "badPublicKey");
}

#[tokio::test]
async fn of_an_external_account() {
    use hmac::{Hmac, KeyInit, Mac};
    let (_dns, ca) = world(|rules| {
        rules.eab_required = true;
        rules.eab_keys = [("kid-1".to_owned(), b"secret".to_vec())].into();
    });
    let bound = async |kid: &str, secret: &[u8], url: &str| {
        let client = Client::new(&ca);
        let header = b64(json!({ "alg": "HS256", "kid": kid, "url": url }).to_string());
        let payload = b64(client.key.jwk().to_string());
        let mut mac = Hmac::<sha2::Sha256>::new_from_slice(secret).unwrap();
        mac.update(format!("{header}.{payload}").as_bytes());
        let signature = b64(mac.finalize().into_bytes());
        let eab = json!({ "protected": header, "payload": payload, "signature": signature });
        let wish = json!({ "termsOfServiceAgreed": true, "externalAccountBinding": eab });
        let seen = client.post("/acme/new-acct", wish).await;
        (seen.status, seen.problem())
    };
    let url = ca.directory_url().replace("directory", "acme/new-acct");
    assert_eq!(bound("kid-2", b"secret", &url).await, (403, "unauthorized".to_owned()));
    assert_eq!(bound("kid-1", b"other", &url).await, (403, "unauthorized".to_owned()));
    assert_eq!(bound("kid-1", b"secret", "https://x/").await, (400, "malformed".to_owned()));
    assert_eq!(bound("kid-1", b"secret", &url).await, (201, String::new()));
    assert_eq!(ca.accounts()[0].eab.as_deref(), Some("kid-1"));
}

#[tokio::test]
async fn of_a_change_of_keys() {
    let scene = Scene::new().await;
    let (url, base) = (scene.account(), &scene.client.base);
    let change = format!("{base}/acme/key-change");
    let new = AccountKey::new();
    let check =
        async |name: &str, key: &AccountKey, at: &str, account: &str, old: &AccountKey, want| {
            let payload = json!({ "account": account, "oldKey": old.jwk() }).to_string();
            let inner = key.sign(&json!({ "alg": "ES256", "jwk": key.jwk(), "url": at }), &payload);
            let path = "/acme/key-change";
            scene.check(name, path, &inner.to_string(), Spoil::default(), want).await;
        };
    let (own, malformed) = (&scene.client.key, (400, "malformed"));
    let taken = &scene.stranger.key;
    check("another URL", &new, "https://x/", &url, own, malformed).await;
    check("another account", &new, &change, "https://x/", own, malformed).await;
    check("another old key", &new, &change, &url, &new, malformed).await;
    check("a key that is taken", taken, &change, &url, own, (409, "conflict")).await;
    scene.check("no inner JWS", "/acme/key-change", "{}", Spoil::default(), malformed).await;
}

#[tokio::test]
#[rustfmt::skip]
async fn of_an_order() {
    let scene = Scene::new().await;
    let malformed = (400, "malformed");
    let check = async |name: &str, names: &[&str], want: (u16, &str)| scene.order(name, &order_of(names), want).await;
    check("no names", &[], malformed).await;
    check("twice", &[NAME, NAME], malformed).await;
    check("upper case", &["Example.test"], malformed).await;
    check("Unicode", &["bücher.test"], malformed).await;
    check("a dot at its end", &["example.test."], malformed).await;
    check("one label", &["test"], malformed).await;
    check("an address", &["192.0.2.1"], malformed).await;
    check("an underscore", &["_a.example.test"], malformed).await;
    check("a star within", &["a.*.example.test"], malformed).await;
    check("covered", &["a.example.test", "*.example.test"], malformed).await;
    check("forbidden", &["www.evil.test"], (400, "rejectedIdentifier")).await;
    let many: Vec<String> = (0..101).map(|number| format!("n{number}.example.test")).collect();
    check("too many", &many.iter().map(String::as_str).collect::<Vec<_>>(), malformed).await;
    let ip = json!({ "identifiers": [{ "type": "ip", "value": "192.0.2.1" }] });
    scene.order("an IP", &ip, (400, "unsupportedIdentifier")).await;
    let with = |name: &str, value: Value| {
        let mut order = order_of(&[NAME]);
        order[name] = value;
        order
    };
    scene.order("notAfter", &with("notAfter", json!("2030-01-01T00:00:00Z")), malformed).await;
    scene.order("profile", &with("profile", json!("gold")), (400, "invalidProfile")).await;
    let id = scene.ca.certificates()[0].ari_id.clone();
    scene.order("replaces: padded", &with("replaces", json!(format!("{id}="))), malformed).await;
    scene.order("replaces: no dot", &with("replaces", json!(id.replace('.', ""))), malformed).await;
    scene.order("replaces: unknown", &with("replaces", json!("AAAA.AQ")), (404, "malformed")).await;
    scene.order("replaces: zeros", &with("replaces", json!("AAAA.AAE")), malformed).await;
    let mut other = order_of(&["other.example.test"]);
    other["replaces"] = json!(id);
    scene.order("replaces: other names", &other, malformed).await;
    let seen = scene.stranger.post("/acme/new-order", with("replaces", json!(id))).await;
    assert_eq!(seen.problem(), "unauthorized");
    let seen = scene.client.post("/acme/new-order", order_of(&["a.evil.test", "evil.test", NAME])).await;
    let parts = seen.json()["subproblems"].as_array().unwrap().len();
    assert_eq!((seen.problem().as_str(), parts), ("rejectedIdentifier", 2), "{seen:?}");
}

#[tokio::test]
#[rustfmt::skip]
async fn of_a_csr() {
    let scene = Scene::new().await;
    let key = KeyPair::generate().unwrap();
    let names = [NAME, "*.example.test"];
    scene.finalize("a name less", &key, &[NAME], &[]).await;
    scene.finalize("a name more", &key, &[NAME, "*.example.test", "a.test"], &[]).await;
    scene.finalize("rcgen's own subject", &key, &names, &[(DnType::CommonName, "rcgen self signed cert")]).await;
    scene.finalize("an organization", &key, &names, &[(DnType::OrganizationName, "x")]).await;
    let p521 = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
    scene.finalize("P-521", &p521, &names, &[]).await;
    let ed25519 = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    scene.finalize("Ed25519", &ed25519, &names, &[]).await;
    let account = scene.client.key.0.to_pkcs8v1().unwrap();
    let account = KeyPair::try_from(account.as_ref()).unwrap();
    scene.finalize("an account's key", &account, &names, &[]).await;
    scene.ca.block_key(&scene.ca.certificates()[0].chains[0]);
    let check = async |name: &str, csr: &[u8]| {
        let csr = json!({ "csr": b64(csr) }).to_string();
        let url = scene.ready["finalize"].as_str().unwrap();
        scene.check(name, url, &csr, Spoil::default(), (400, "badCSR")).await;
    };
    let good = csr(&key, &names);
    check("bytes after it", &[&good[..], &[0]].concat()).await;
    let mut forged = good.clone();
    *forged.last_mut().unwrap() ^= 1;
    check("a broken signature", &forged).await;
    check("no CSR", b"csr").await;
    let (_, pending) = scene.client.order(&["b.example.test"]).await;
    let csr = json!({ "csr": b64(&good) }).to_string();
    scene.check("too early", pending["finalize"].as_str().unwrap(), &csr, Spoil::default(), (403, "orderNotReady")).await;
    let seen = scene.client.post(scene.ready["finalize"].as_str().unwrap(), &csr).await;
    assert_eq!(seen.json()["status"], "processing", "the order was ready all the time: {seen:?}");
    assert!(scene.dns.queries().len() > 10);
}

#[tokio::test]
async fn of_a_blocked_key() {
    let (dns, ca) = world(|rules| rules.reuse_authorizations = true);
    let client = Client::registered(&ca).await;
    let (_, _, key) = client.certificate(&dns, &[NAME]).await;
    ca.block_key(&ca.certificates()[0].chains[0]);
    let (_, order) = client.order(&[NAME]).await;
    let csr = json!({ "csr": b64(csr(&key, &[NAME])) });
    let seen = client.post(order["finalize"].as_str().unwrap(), csr).await;
    assert_eq!(seen.problem(), "badCSR");
}

#[tokio::test]
async fn of_who_asks_too_often() {
    let (dns, ca) = world(|rules| {
        rules.exact_set_limit = Some(1);
        rules.retry_as = RetryAs::Seconds;
    });
    let client = Client::registered(&ca).await;
    client.certificate(&dns, &[NAME]).await;
    let seen = client.post("/acme/new-order", order_of(&[NAME])).await;
    assert_eq!((seen.status, seen.problem().as_str()), (429, "rateLimited"));
    let wait: i64 = seen.header("retry-after").parse().unwrap();
    assert!((604_000..604_810).contains(&wait), "{wait}");
    let mut renewal = order_of(&[NAME]);
    renewal["replaces"] = json!(ca.certificates()[0].ari_id);
    assert_eq!(client.post("/acme/new-order", renewal).await.status, 201, "ARI is exempt");
    ca.rules(|rules| {
        rules.retry_as = RetryAs::Date;
        rules.limits.insert("newOrder".to_owned(), (1, Duration::from_secs(60)));
    });
    client.post("/acme/new-order", order_of(&["a.example.test"])).await;
    let seen = client.post("/acme/new-order", order_of(&["a.example.test"])).await;
    assert_eq!(seen.status, 429);
    assert!(seen.header("retry-after").ends_with(" GMT"), "{seen:?}");
}

#[tokio::test]
#[rustfmt::skip]
async fn faults_strike_after_the_gate() {
    let scene = Scene::new().await;
    let check = async |name: &str, fault: Fault, sees: fn(reqwest::Result<Seen>) -> bool| {
        scene.ca.fault(fault);
        let payload = order_of(&[NAME]).to_string();
        let (before, seen) = (scene.ca.orders().len(), scene.client.once("/acme/new-order", &payload, Spoil::default()).await);
        let text = format!("{seen:.300?}");
        assert!(sees(seen), "{name}: {text}");
        assert_eq!(scene.ca.faults_left(), 0, "{name}");
        scene.ca.orders().len() - before
    };
    let at = || Fault::at("newOrder");
    let has = |seen: &reqwest::Result<Seen>, status| seen.as_ref().is_ok_and(|seen| seen.status == status);
    assert!(has(&scene.client.once("/acme/new-order", "{}", Spoil::default()).await, 400));
    assert_eq!(check("a problem", at().answer("rateLimited", 429).retry_after(1500), |seen| seen.is_ok_and(|seen| seen.problem() == "rateLimited" && seen.header("retry-after") == "2")).await, 0);
    assert_eq!(check("a date", at().answer("serverInternal", 503).header("retry-after", "Fri, 01 Jan 2038 00:00:00 GMT"), |seen| seen.is_ok_and(|seen| seen.status == 503 && seen.header("retry-after").ends_with("GMT"))).await, 0);
    assert_eq!(check("the default", at().on(NAME), |seen| seen.is_ok_and(|seen| seen.problem() == "serverInternal")).await, 0);
    assert_eq!(check("reset after", at().after().reset(), |seen| seen.is_err_and(|error| !error.is_timeout())).await, 1);
    assert_eq!(check("html", at().html(502), |seen| seen.is_ok_and(|seen| seen.text.contains("<html>"))).await, 0);
    assert_eq!(check("truncated", at().after().truncated(), |seen| seen.is_err()).await, 1);
    assert_eq!(check("oversized", at().after().oversized(), |seen| seen.is_ok_and(|seen| seen.text.len() > 8 << 20)).await, 1);
    assert_eq!(check("wrong type", at().after().wrong_type(), |seen| seen.is_ok_and(|seen| seen.json()["identifiers"] == "text")).await, 1);
    assert_eq!(check("redirect", at().redirect("https://127.0.0.1:9/"), |seen| seen.is_ok_and(|seen| seen.status == 307)).await, 0);
    scene.ca.fault(at().on("elsewhere.test").reset());
    assert_eq!(scene.client.order(&[NAME]).await.1["status"], "pending");
    assert_eq!(scene.ca.faults_left(), 1);
}
