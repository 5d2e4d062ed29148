//! What is found becomes entries, and answers become a configuration that can be read.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

use std::path::Path;

use super::*;
use crate::cert::Fingerprint;

const NOW: &str = "2026-06-01T00:00:00Z";

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn found(client: &'static str, path: &str, names: &str, ends: &str) -> Found {
    let path = Path::new(path);
    let leaf = Leaf {
        fingerprint: Fingerprint::of(path.to_str().unwrap().as_bytes()),
        names: names.split_whitespace().map(str::to_owned).collect(),
        not_before: at("2026-05-01T00:00:00Z"),
        not_after: at(ends),
        issuer: "E7".to_owned(),
        self_issued: false,
        renewal_id: None,
    };
    Found {
        client,
        name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        source: Source::folder(path),
        held: Ok(Held { leaf, key: KeyKind::EcdsaP256, faults: Vec::new() }),
        is_renewed: true,
    }
}

fn certbot(name: &str, names: &str, ends: &str) -> Found {
    found("certbot", &format!("/etc/letsencrypt/live/{name}"), names, ends)
}

fn cdn(listed: &str, serving: &[(&str, &str)]) -> Cdn {
    let listing = Listing::new(listed.split_whitespace().map(|name| (name, "online")));
    let serves = |(name, until): &(&str, &str)| {
        (CdnDomain::read(name).unwrap(), ("Some CA".to_owned(), at(until)))
    };
    Cdn { listing, serving: serving.iter().map(serves).collect() }
}

fn config(text: &str) -> Config {
    Config::read(text, Path::new("/etc/certferry/config.toml"))
        .unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

/// What was found beside a configuration: a word of state and the CDN domains, for each.
fn check(row: &str, all: Vec<Found>, said: &str, cdn: Option<&Cdn>, expect: &[&str]) {
    let adoptions = adopt(all, &config(said), ACCOUNT, cdn, at(NOW));
    let told = adoptions.iter().map(|one| {
        let domains = one.targets.iter().flatten().map(|target| target.domain.written.as_str());
        let state = format!("{:?}", one.state);
        let words = [state.as_str(), &one.lineage].into_iter().chain(domains);
        words.collect::<Vec<_>>().join(" ")
    });
    assert_eq!(told.collect::<Vec<_>>(), expect, "{row}");
    // Whatever it is, it can be read; and then nothing is lacking.
    let lacking = adoptions.iter().filter(|one| one.state == State::New);
    let adopted = lacking.map(|one| entry(one, false)).collect();
    let text = text(said, &Answers { adopted, ..Answers::default() });
    let found = adoptions.iter().map(|one| one.found.clone()).collect();
    let again = adopt(found, &config(&text), ACCOUNT, cdn, at(NOW));
    assert!(again.iter().all(|one| one.state != State::New), "{row}: {text}");
}

const SUMMER: &str = "2026-08-01T00:00:00Z";
const AUTUMN: &str = "2026-09-01T00:00:00Z";

#[test]
fn what_becomes_of_what_was_found() {
    let one = || certbot("a.test", "a.test *.a.test", SUMMER);
    let both = cdn("a.test cdn.a.test b.test", &[]);
    check("nobody was asked", vec![one()], "", None, &["New a.test"]);
    check("it is covered", vec![one()], "", Some(&both), &["New a.test a.test cdn.a.test"]);
    check("nothing is", vec![one()], "", Some(&cdn("b.test", &[])), &["Nowhere a.test"]);
    let over = certbot("a.test", "a.test", "2026-05-02T00:00:00Z");
    check("it is over", vec![over], "", Some(&both), &["Expired a.test"]);
    let mut staging = one();
    if let Ok(held) = &mut staging.held {
        held.faults.push("no root\nhelp: do".to_owned());
    }
    check("it may go nowhere", vec![staging], "", None, &["Unfit(\"no root\\nhelp: do\") a.test"]);
    let unfit = Found { held: Err("no\nhelp: do".to_owned()), ..one() };
    check("it cannot be used", vec![unfit], "", None, &["Unfit(\"no\\nhelp: do\") a.test"]);
    let said = "[[certificate]]\nname = \"mine\"\nsource = \"/etc/letsencrypt/live/a.test/\"\n";
    check("it is there", vec![one()], said, Some(&both), &["Already mine"]);
    let said =
        "[[certificate]]\nsource = \"/x/a.test\"\n[[certificate.deploy]]\ndomains = [\"A.test\"]\n";
    let expect = ["New a.test-certbot cdn.a.test"];
    check("name and CDN domain are taken", vec![one()], said, Some(&both), &expect);
    let said = "[acme]\nterms_agreed = true\n[dns.default]\nprovider = \"alidns\"\n[[certificate]]\nname = \"x\"\n\
                domains = [\"*.a.test\"]\n[[certificate.deploy]]\ndiscover = true\n";
    check("another discovers it", vec![one()], said, Some(&both), &["New a.test a.test"]);
    let said = "[[certificate]]\nsource = \"/etc/letsencrypt/live/b.test\"\n[[certificate.deploy]]\ndiscover = true\n";
    let all = vec![certbot("b.test", "*.a.test", SUMMER), one()];
    check("one found does", all, said, Some(&both), &["Already b.test", "New a.test a.test"]);
}

#[test]
fn a_cdn_domain_goes_to_the_one_that_covers_it_best() {
    let wild = || certbot("wild.test", "*.a.test", AUTUMN);
    let exact = || certbot("exact.test", "cdn.a.test", SUMMER);
    let again = || certbot("exact.test-0001", "cdn.a.test", AUTUMN);
    let all = cdn("cdn.a.test www.a.test", &[]);
    let all = Some(&all);
    let expect = ["New wild.test www.a.test", "New exact.test cdn.a.test"];
    check("its own name", vec![wild(), exact()], "", all, &expect);
    let expect = ["Nowhere exact.test", "New exact.test-0001 cdn.a.test"];
    check("the longer life", vec![exact(), again()], "", all, &expect);
    let twice = vec![exact(), found("lego", "/lego/exact.test", "www.a.test", SUMMER)];
    let expect = ["New exact.test cdn.a.test", "New exact.test-lego www.a.test"];
    check("names are unique", twice, "", all, &expect);
    let files = Source::files("/lego/_.a.test.crt".into(), "/lego/_.a.test.key".into());
    let apart = Found { source: files, ..found("lego", "/lego/_.a.test", "*.a.test", SUMMER) };
    check("a chain and its key", vec![apart], "", all, &["New a.test cdn.a.test www.a.test"]);
    let odd = vec![found("acme.sh", "/acme/*.a.test", "*.a.test", SUMMER)];
    check("no star in a name", odd, "", all, &["New a.test cdn.a.test www.a.test"]);
}

#[test]
fn an_entry_says_what_it_does_and_what_it_leaves() {
    let entry_of = |found, cdn: Option<&Cdn>, discover| {
        let adoptions = adopt(vec![found], &config(""), ACCOUNT, cdn, at(NOW));
        entry(&adoptions[0], discover)
    };
    let one = || certbot("a.test", "a.test *.a.test", SUMMER);
    let head =
        "# certbot: a.test, *.a.test\n[[certificate]]\nsource = \"/etc/letsencrypt/live/a.test\"\n";
    let discovers = format!("{head}[[certificate.deploy]]\ndiscover = true\n");
    assert_eq!(entry_of(one(), None, false), discovers);
    let serving = [("www.a.test", "2026-08-02T00:00:00Z"), ("cdn.a.test", "2026-07-01T00:00:00Z")];
    let all = cdn("cdn.a.test www.a.test *.a.test", &serving);
    assert_eq!(entry_of(one(), Some(&all), true), discovers);
    let named = format!(
        "{head}[[certificate.deploy]]\ndomains = [\"*.a.test\", \"cdn.a.test\"]\n\
         # It serves a certificate of Some CA until 2026-08-02 00:00 UTC, longer than this one lives. To have it replaced:\n\
         # [[certificate.deploy]]\n# domains = [\"www.a.test\"]\n"
    );
    assert_eq!(entry_of(one(), Some(&all), false), named);
    let of_shop = adopt(vec![one()], &config(""), "shop", Some(&all), at(NOW));
    let text = entry(&of_shop[0], false);
    assert_eq!(text.matches("aliyun = \"shop\"").count(), 2, "{text}");
    let hostile = found("certbot", "/x/a\"\nb", "a.test\u{2028}[acme]", SUMMER);
    let text = entry_of(Found { is_renewed: false, ..hostile }, None, false);
    let read = config(&text);
    assert_eq!(read.certificates[0].source, Some(Source::folder("/x/a\"\nb")), "{text}");
    assert!(text.contains("# certbot does not renew it any more"), "{text}");
}

#[test]
fn the_example_says_nothing_and_can_be_read() {
    config(EXAMPLE);
    assert_eq!(Standing::of(EXAMPLE), Standing::default());
}

fn everything() -> Answers {
    Answers {
        store: Some("/home/u/store".into()),
        keys: Some(Keys::Key { id: "LTAI".to_owned(), secret_file: "secrets/key".to_owned() }),
        authority: Some(Authority {
            directory: "letsencrypt-staging".to_owned(),
            contact: "ops@a.test".to_owned(),
            ca_file: Some("/ca.pem".to_owned()),
        }),
        prove: Some(Prove::Alidns),
        issues: vec![
            Issue {
                names: vec!["a.test".to_owned(), "*.a.test".to_owned()],
                goes: Goes::To(vec![CdnDomain::read("*.a.test").unwrap()]),
            },
            Issue { names: vec!["b.test".to_owned()], goes: Goes::Discovered },
        ],
        adopted: vec![
            "[[certificate]]\nsource = \"/x\"\n[[certificate.deploy]]\ndiscover = true\n"
                .to_owned(),
        ],
    }
}

#[test]
fn answers_become_a_configuration() {
    let check = |row: &str, before: &str, answers: &Answers| -> (String, Config) {
        let text = text(before, answers);
        let config = config(&text);
        let names: Vec<&str> = config.certificates.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["a.test", "b.test", "x"], "{row}: {text}");
        let keys = config.aliyun["default"].keys.clone().unwrap();
        assert!(keys.access_key_secret_file.ends_with("secrets/key"), "{row}: {keys:?}");
        (text, config)
    };
    let (text, meant) = check("nothing was there", "", &everything());
    assert!(text.starts_with("# What certferry keeps in step"), "{text}");
    assert_eq!(meant.store.path, Path::new("/home/u/store"));
    assert_eq!(meant.acme.contact, ["ops@a.test"]);
    let (text, _) = check("comments alone", EXAMPLE, &everything());
    assert!(text.starts_with(EXAMPLE), "what was there stays");
    let before = "# mine\n[aliyun.default] # of the shop\ncdn_endpoint = \"https://cdn.ap-southeast-1.aliyuncs.com\"\n";
    let (text, meant) = check("a section that stands", before, &everything());
    assert!(text.contains("[aliyun.default] # of the shop\naccess_key_id"), "{text}");
    assert_eq!(meant.aliyun["default"].cdn_endpoint, "https://cdn.ap-southeast-1.aliyuncs.com");
    check("no line end", before.trim_end(), &everything());
    let standing = "[acme]\nterms_agreed = true\n[store]\npath = \"/s\"\n[dns.default]\nprovider = \"alidns\"\n";
    let left = Answers { store: None, authority: None, prove: None, ..everything() };
    check("the rest", standing, &left);
    let all = Standing { anything: true, store: true, acme: true, aliyun: false, dns: true };
    assert_eq!(Standing::of(standing), all);
}
