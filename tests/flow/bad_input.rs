//! Bad input: a clear message that names the thing and the remedy, the documented exit status, and no upload.

use std::fs;

use certferry_sandbox::cloud::{Account, Domain, Ending, Rules, Zone};

use crate::house::{House, KEY_ID, Leaf, SECRET};

/// What is wrong, and what must be said of it. No row may upload anything.
pub(crate) fn check(
    row: &str,
    spoil: impl FnOnce(&mut House),
    args: &str,
    code: i32,
    says: &[&str],
) {
    let mut house = House::new();
    spoil(&mut house);
    let ended = house.run(args);
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    for word in says {
        assert!(ended.stderr.contains(word), "{row}: nothing says `{word}`: {}", ended.all());
    }
    assert!(ended.stderr.contains("help:"), "{row}: no remedy: {}", ended.all());
    assert!(!ended.all().contains(SECRET), "{row}: the secret is told: {}", ended.all());
    let uploads = house.cloud.calls("SetDomainServerCertificate");
    assert!(uploads.iter().all(|call| call.ending != Ending::Done), "{row}: uploaded");
    assert_eq!(house.cloud.records("example.test").len(), 0, "{row}: left in DNS");
}

const DEPLOY: &str = "deploy --lineage live/a --domain cdn.example.test";

fn leaf(house: &House, change: impl FnOnce(&mut Leaf)) {
    let mut leaf = Leaf::new();
    change(&mut leaf);
    house.lineage("a", &leaf);
}

#[test]
fn certificates_that_may_not_go() {
    // Side by side: files that do not fit are looked at again after 1 s and 5 s.
    std::thread::scope(|rows| {
        rows.spawn(|| {
            check(
                "no lineage",
                |_| {},
                "deploy --lineage live/none --domain cdn.example.test",
                1,
                &["live/none"],
            )
        });
        rows.spawn(|| {
            check(
                "a lineage without its key",
                |house| fs::remove_file(house.path("live/a/privkey.pem")).unwrap(),
                DEPLOY,
                1,
                &["privkey.pem"],
            )
        });
        rows.spawn(|| {
            check(
                "a key that others read",
                |house| house.chmod("live/a/privkey.pem", 0o644),
                DEPLOY,
                1,
                &["privkey.pem", "chmod"],
            )
        });
        rows.spawn(|| {
            check(
                "a key that does not fit",
                |house| {
                    let (_, key) = house.make(&Leaf::new());
                    house.write_secret("live/a/privkey.pem", &key, 0o600);
                },
                DEPLOY,
                1,
                &["key"],
            )
        });
        rows.spawn(|| {
            check(
                "another domain",
                |_| {},
                "deploy --lineage live/a --domain www.other.test",
                1,
                &["www.other.test", "cdn.example.test"],
            )
        });
        rows.spawn(|| {
            check(
                "a wildcard target by a plain name",
                |house| leaf(house, |leaf| leaf.names = vec!["example.test"]),
                "deploy --lineage live/a --domain *.example.test",
                1,
                &["*.example.test"],
            )
        });
        rows.spawn(|| {
            check(
                "expired",
                |house| {
                    leaf(house, |leaf| {
                        leaf.days_before = 90;
                        leaf.days_after = -1;
                    })
                },
                DEPLOY,
                1,
                &["expired"],
            )
        });
        rows.spawn(|| {
            check(
                "not yet valid",
                |house| leaf(house, |leaf| leaf.days_before = -2),
                DEPLOY,
                1,
                &["not valid before"],
            )
        });
        rows.spawn(|| check(
        "an encrypted key",
        |house| {
            house.write_secret("live/a/privkey.pem", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIB\n-----END ENCRYPTED PRIVATE KEY-----\n", 0o600);
        },
        DEPLOY,
        1,
        &["pass phrase"],
    ));
        rows.spawn(|| {
            check(
                "Ed25519",
                |house| leaf(house, |leaf| leaf.algorithm = &rcgen::PKCS_ED25519),
                DEPLOY,
                1,
                &["Ed25519"],
            )
        });
        rows.spawn(|| {
            check(
                "an empty chain",
                |house| house.write("live/a/fullchain.pem", ""),
                DEPLOY,
                1,
                &["fullchain.pem"],
            )
        });
        rows.spawn(|| {
            check(
                "a cut chain",
                |house| {
                    let chain = house.read("live/a/fullchain.pem");
                    house.write("live/a/fullchain.pem", &chain[..chain.len() / 2]);
                },
                DEPLOY,
                1,
                &["fullchain.pem"],
            )
        });
        rows.spawn(|| {
            check(
                "self-signed",
                |house| {
                    let (chain, key) = house.make_self_signed(&Leaf::new());
                    house.write("live/a/fullchain.pem", chain);
                    house.write_secret("live/a/privkey.pem", &key, 0o600);
                },
                DEPLOY,
                1,
                &["trust"],
            )
        });
    });
}

#[test]
fn a_cloud_that_says_no() {
    check(
        "not a domain of the account",
        |house| house.cloud.remove_domain("cdn.example.test"),
        DEPLOY,
        1,
        &["cdn.example.test"],
    );
    check(
        "offline",
        |house| house.cloud.set_status("cdn.example.test", "offline"),
        DEPLOY,
        1,
        &["offline"],
    );
    check(
        "an unknown AccessKey",
        |house| house.config = account("LTAInone", "secret"),
        DEPLOY,
        1,
        &["InvalidAccessKeyId.NotFound"],
    );
    check(
        "a wrong secret",
        |house| house.write_secret("secret", "another", 0o600),
        DEPLOY,
        1,
        &["secret"],
    );
    check(
        "no permission",
        |house| {
            house.cloud.account(KEY_ID, |account| {
                *account = account.clone().deny("cdn:SetDomainServerCertificate", "*")
            })
        },
        DEPLOY,
        1,
        &["cdn:SetDomainServerCertificate"],
    );
    check("a secret that others read", |house| house.chmod("secret", 0o644), DEPLOY, 1, &["chmod"]);
    check("no secret file", |house| house.config = account(KEY_ID, "none"), DEPLOY, 1, &["none"]);
    check(
        "no keys at all",
        |house| house.config = "[aliyun.default]\ncdn_endpoint = \"URL\"\n".to_owned(),
        DEPLOY,
        1,
        &["ALIBABA_CLOUD_ACCESS_KEY_ID"],
    );
    check(
        "nobody there",
        |house| {
            house.config = "[aliyun.default]\naccess_key_id = \"x\"\naccess_key_secret_file = \"secret\"\ncdn_endpoint = \"http://127.0.0.1:1\"\n".to_owned()
        },
        "hook --domain cdn.example.test --deadline 3",
        2,
        &["RENEWED_LINEAGE"],
    );
}

fn account(key: &str, file: &str) -> String {
    format!(
        "[aliyun.default]\naccess_key_id = \"{key}\"\naccess_key_secret_file = \"{file}\"\ncdn_endpoint = \"URL\"\ndns_endpoint = \"URL\"\n"
    )
}

#[test]
fn a_clock_that_is_off_is_corrected_for_the_signature_alone() {
    let house = House::with(|seed| {
        seed.rules(|rules: &mut Rules| rules.clock_ahead = jiff::SignedDuration::from_mins(20))
    });
    let ended = house.run(DEPLOY);
    assert_eq!(ended.code, 0, "{}", ended.all());
    assert!(house.cloud.served("cdn.example.test").is_some());
}

#[test]
fn a_wrong_command_line_or_config() {
    let raw = |text: &str| format!("[[raw]]{text}");
    check(
        "no such config",
        |house| house.var("CERTFERRY_CONFIG", "/nowhere/config.toml"),
        "renew",
        2,
        &["/nowhere/config.toml"],
    );
    check("broken TOML", |house| house.config = raw("[acme\n"), "renew", 2, &["config.toml:1"]);
    check(
        "all errors at once",
        |house| house.config = raw("[acme]\ndirektory = \"x\"\n[store]\npath = 7\n"),
        "renew",
        2,
        &["config.toml:2", "directory", "config.toml:4"],
    );
    check(
        "an unknown certificate",
        |house| house.config = source("a"),
        "renew b",
        2,
        &["`b`", "a"],
    );
    check(
        "--force for all",
        |house| house.config = source("a") + &source("b").replace("cdn.", "www."),
        "renew --force",
        2,
        &["--force"],
    );
    check(
        "an unknown account",
        |_| {},
        "deploy --lineage live/a --domain cdn.example.test --aliyun other",
        2,
        &["other"],
    );
    check(
        "a bad CDN domain",
        |_| {},
        "deploy --lineage live/a --domain https://x",
        2,
        &["https://x"],
    );
    check(
        "a target of the config",
        |house| house.config = source("b"),
        DEPLOY,
        1,
        &["the configuration gives it to b"],
    );
    check("an unknown claim", |_| {}, "forget x", 2, &["`x`"]);
    check("a hook that nobody called", |_| {}, "hook", 2, &["RENEWED_LINEAGE"]);
}

fn source(name: &str) -> String {
    format!(
        "[[certificate]]\nname = \"{name}\"\nsource = \"live/{name}\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n"
    )
}

#[test]
fn a_key_in_another_account() {
    let house = House::with(|seed| {
        seed.account(Account::new("OTHER", "x").uid("2"))
            .domain(Domain::online("theirs.example.test").uid("2"))
            .zone(Zone::new("other.test").uid("2"))
    });
    let ended = house.run("deploy --lineage live/a --domain theirs.example.test");
    assert_eq!((ended.code, house.uploads()), (1, 0), "{}", ended.all());
    assert!(ended.stderr.contains("theirs.example.test"), "{}", ended.all());
}
