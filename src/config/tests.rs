//! What is meant by what is right; what is reported of what is wrong stands in `testdata/errors.txt`.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{
    CdnDomain, Config, EdgeAt, Errors, KeyType, Provider, Set, Source, Trust, TsigAlgorithm,
    Verify, dns_name, kinds, nearest,
};

const SHIPPED: &str = include_str!("../../packaging/config.toml");

fn read(text: &str) -> Result<Config, Errors> {
    Config::read(text, Path::new("/etc/certferry/config.toml"))
}

#[test]
fn what_is_wrong() {
    let cases = include_str!("testdata/errors.txt").split("\n# ").skip(1);
    for case in cases {
        let (name, rest) = case.split_once('\n').unwrap();
        let (text, expected) = rest.split_once("---\n").unwrap();
        let errors = read(text).map_or_else(|errors| errors.errors, |_| Vec::new());
        let got = errors.iter().map(|error| {
            format!("{}: {} | {}\n", error.line.unwrap_or_default(), error.what, error.help)
        });
        let got: String = got.collect();
        assert_eq!(got.trim_end(), expected.trim_end(), "{name}");
        assert!(!got.contains("S3CRET"), "{name}");
    }
}

#[test]
fn how_it_is_shown() {
    let errors = read("[acem]\n[store]\npaht = 'x'\n").unwrap_err();
    let file = "/etc/certferry/config.toml";
    let expected = format!(
        "{file}:1: `acem` is not known\n  help: did you mean `acme`?\n\
         {file}:3: `store.paht` is not known\n  help: did you mean `path`?"
    );
    assert_eq!(errors.to_string(), expected);
}

#[test]
fn nothing_said() {
    for config in [read("").unwrap(), Config::without_file(PathBuf::from("/var/lib/certferry"))] {
        assert_eq!(config.acme.directory, "https://acme-v02.api.letsencrypt.org/directory");
        assert_eq!(config.acme.orders_at_once, 8);
        assert_eq!(config.store.path, Path::new("/var/lib/certferry"));
        assert_eq!((config.store.keep_versions, config.trust), (5, Trust::Public));
        let account = &config.aliyun["default"];
        assert!(account.keys.is_none() && (account.calls_per_second - 9.6).abs() < 1e-9);
        assert_eq!(account.cdn_endpoint, "https://cdn.aliyuncs.com");
        assert_eq!(account.cdn_api, super::CdnApi::SetDomainServerCertificate);
        assert!(config.dns.is_empty() && config.certificates.is_empty());
    }
}

#[test]
fn everything_said() {
    let config = read(include_str!("testdata/everything.toml")).unwrap();
    assert_eq!(config.acme.directory, "http://127.0.0.1:14000/dir");
    assert_eq!(config.acme.contact, ["ops@example.com", "b@example.com"]);
    assert_eq!(config.acme.ca_file.as_deref(), Some(Path::new("/etc/certferry/ca.pem")));
    assert_eq!((config.acme.orders_at_once, config.cas["second"].orders_at_once), (64, 8));
    assert_eq!(config.acme.eab.unwrap().hmac_key_file, Path::new("eab-key"));
    assert_eq!(config.store.path, Path::new("/etc/certferry/store"));
    assert_eq!(config.store.keep_versions, 0);
    assert_eq!(config.trust, Trust::File(PathBuf::from("/etc/certferry/roots.pem")));
    assert_eq!(config.timeout, Some(Duration::from_secs(20)));
    let account = &config.aliyun["second"];
    assert_eq!(account.keys.as_ref().unwrap().access_key_id, "LTAI");
    assert_eq!(account.keys.as_ref().unwrap().access_key_secret_file, Path::new("secret"));
    assert_eq!(account.cdn_endpoint, "http://[::1]:8080");
    assert_eq!(account.dns_endpoint, "https://dns.example:8443");
    assert!((account.calls_per_second - 2.0).abs() < 1e-9);
    assert_eq!(account.cdn_api, super::CdnApi::Auto);
    assert_eq!(config.aliyun.len(), 3, "default is always there");
}

#[test]
fn every_challenge_said() {
    let config = read(include_str!("testdata/everything.toml")).unwrap();
    let puts: Vec<_> = config.certificates.iter().map(super::Certificate::puts_by).collect();
    assert_eq!(puts[..3], [Some("own"), None, Some("default")]);
    assert_eq!(config.certificates[1].challenge, super::Challenge::DnsPersist01);
}

#[test]
fn every_credential_said() {
    let config = read(include_str!("testdata/everything.toml")).unwrap();
    let (second, third) = (&config.aliyun["second"], &config.aliyun["third"]);
    let role = second.role.as_ref().unwrap();
    assert_eq!(role.arn, "acs:ram::123456789012:role/certferry");
    assert_eq!(role.session_name.as_deref(), Some("web-1"));
    assert_eq!(role.external_id.as_deref(), Some("outside"));
    assert_eq!(second.sts_endpoint.as_deref(), Some("https://sts.cn-hangzhou.aliyuncs.com"));
    assert_eq!(second.metadata_endpoint, "http://127.0.0.1:8081");
    assert_eq!((second.profile.as_deref(), third.profile.as_deref()), (None, Some("prod")));
    assert_eq!((&third.role, &third.sts_endpoint), (&None, &None));
    assert_eq!(third.metadata_endpoint, "http://100.100.100.200");
}

#[test]
fn every_dns_said() {
    let config = read(include_str!("testdata/everything.toml")).unwrap();
    let dns = &config.dns["default"];
    assert!(matches!(&dns.provider, Provider::Alidns { aliyun } if aliyun == "second"));
    let servers: Vec<String> = dns.nameservers.iter().map(ToString::to_string).collect();
    assert_eq!(servers, ["127.0.0.1:53", "127.0.0.1:5353", "[::1]:53", "[::1]:54"]);
    assert_eq!(dns.propagation_timeout, Duration::from_secs(5430));
    let Provider::Rfc2136 { server, key_name, algorithm, key_file } = &config.dns["own"].provider
    else {
        panic!("rfc2136")
    };
    assert_eq!((*server, key_name.as_str()), ("192.0.2.53:53".parse().ok(), "key."));
    assert_eq!((*algorithm, key_file.as_path()), (TsigAlgorithm::HmacSha512, Path::new("tsig")));
    let alone = &config.dns["no-server"].provider;
    assert!(matches!(alone, Provider::Rfc2136 { server: None, .. }), "{alone:?}");
    let Provider::Exec { program } = &config.dns["program"].provider else { panic!("exec") };
    assert_eq!(program, Path::new("/etc/certferry/put-txt"));
}

#[test]
fn every_other_dns_said() {
    let config = read(include_str!("testdata/everything.toml")).unwrap();
    let delegated = &config.dns["delegated"];
    let Provider::AcmeDns { server, allow_from, accounts_file } = &delegated.provider else {
        panic!("acme-dns")
    };
    assert_eq!(server, "https://auth.example.org");
    assert_eq!(allow_from, &["192.0.2.0/24", "2001:db8::1"]);
    assert_eq!(accounts_file.as_deref(), Some(Path::new("accounts.json")));
    assert_eq!(delegated.settle, Duration::from_secs(30));
    assert_eq!(delegated.doh.as_deref(), Some("https://dns.alidns.com/dns-query"));
    let Provider::Webhook { endpoint, login } = &config.dns["hook"].provider else {
        panic!("webhook")
    };
    assert_eq!(endpoint, "http://127.0.0.1:8080/dns");
    assert_eq!(login.as_ref().unwrap(), &("u".to_owned(), PathBuf::from("password")));
    let Provider::Library(library) = &config.dns["tencent"].provider else { panic!("tencent") };
    assert_eq!((library.kind.name, library.ttl), ("tencent", 60));
    let text = |key: &str| library.settings.get(key).cloned();
    assert_eq!(text("secret_id"), Some(Set::Text("AKID".to_owned())));
    assert_eq!(text("secret_key_file"), Some(Set::File(PathBuf::from("tencent"))));
    assert_eq!(library.settings.len(), 2);
}

#[test]
fn kinds_have_names_and_keys_of_their_own() {
    let all: Vec<_> = kinds::OWN.iter().chain(&kinds::LIBRARY).collect();
    let mut names: Vec<_> = all.iter().map(|kind| kind.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all.len(), "a name twice");
    for kind in all {
        let mut keys = kind.keys();
        keys.push("ttl");
        keys.sort_unstable();
        let number = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), number, "{}: a key twice", kind.name);
        for setting in kind.settings.iter().filter(|s| s.form == kinds::Form::Secret) {
            assert!(setting.key.ends_with("_file"), "{}: {}", kind.name, setting.key);
        }
    }
}

/// A document's row of a kind: its name, and its settings as the code has them.
fn row_of(document: &str, kind: &kinds::Kind) -> Option<String> {
    let start = format!("| `{}` |", kind.name);
    let row = document.lines().find(|line| line.starts_with(&start))?;
    row.split(" | ").nth(2).map(str::to_owned)
}

#[test]
fn the_documents_tables_are_the_codes() {
    let keys = |kind: &kinds::Kind, is_needed: bool| -> Vec<String> {
        let those = kind.settings.iter().filter(|setting| setting.is_needed == is_needed);
        those.map(|setting| format!("`{}`", setting.key)).collect()
    };
    for document in [include_str!("../../docs/dns.md"), include_str!("../../docs/dns.zh-CN.md")] {
        for kind in kinds::OWN.iter().chain(&kinds::LIBRARY) {
            let (must, may) = (keys(kind, true).join(", "), keys(kind, false).join(", "));
            let may = if may.is_empty() { may } else { format!("({may})") };
            let cell = [must, may].into_iter().filter(|part| !part.is_empty());
            let cell = cell.collect::<Vec<_>>().join(" ");
            assert_eq!(row_of(document, kind), Some(cell), "{}", kind.name);
        }
        for key in kinds::COMMON {
            assert!(document.contains(&format!("| `{key}` |")), "{key}");
        }
        let rows = document.lines().filter(|line| line.starts_with("| `")).count();
        let all = kinds::OWN.len() + kinds::LIBRARY.len() + kinds::COMMON.len();
        assert_eq!(rows, all, "a row of no kind");
    }
}

#[test]
fn every_certificate_said() {
    let config = read(include_str!("testdata/everything.toml")).unwrap();
    let [full, short, source, files] = config.certificates.as_slice() else { panic!("four") };
    assert_eq!(full.name, "main");
    assert_eq!(full.domains, ["xn--mnchen-3ya.example", "*.example.com"]);
    assert_eq!((full.dns.as_str(), full.key_type), ("own", KeyType::Rsa4096));
    assert_eq!((full.profile.as_deref(), full.reuse_key), (Some("shortlived"), true));
    assert_eq!(full.deploy.len(), 2);
    assert_eq!(full.deploy[0].domains[1].api_name, ".example.com");
    assert_eq!(full.deploy[0].domains[1].written, "*.example.com");
    assert_eq!((full.deploy[0].aliyun.as_str(), &full.deploy[0].verify), ("second", &Verify::None));
    assert_eq!(full.deploy[0].cert_name.as_deref(), Some("my-name"));
    assert_eq!(
        (full.deploy[1].aliyun.as_str(), &full.deploy[1].verify),
        ("default", &Verify::Readback)
    );
    let edges: Vec<&Verify> = short.deploy.iter().map(|deploy| &deploy.verify).collect();
    let at = EdgeAt::Host("2001:db8::1".to_owned(), 8443);
    assert_eq!(edges, [&Verify::Edge(EdgeAt::Cname), &Verify::Edge(at)]);
    assert_eq!(full.deploy.iter().map(|one| one.discover).collect::<Vec<_>>(), [false, true]);
    assert_eq!(
        full.deploy.iter().map(|one| one.replace_foreign).collect::<Vec<_>>(),
        [false, true]
    );
    let found = &source.deploy[0];
    assert!(found.discover && !found.replace_foreign && found.domains.is_empty());
    assert_eq!((short.name.as_str(), short.dns.as_str()), ("example.org", "default"));
    assert_eq!((short.key_type, short.profile.as_deref()), (KeyType::EcdsaP256, None));
    assert_eq!(source.name, "example.net");
    assert_eq!(source.source, Some(Source::folder("/etc/letsencrypt/live/example.net")));
    assert!(source.domains.is_empty() && files.domains.is_empty());
    let path = "/var/lib/lego/certificates/_.example.edu.crt".into();
    let key = Some("/etc/certferry/keys/example.net.key".into());
    assert_eq!((files.name.as_str(), &files.source), ("example.edu", &Some(Source { path, key })));
    let lines: Vec<usize> =
        config.certificates.iter().map(|certificate| certificate.line).collect();
    let text = include_str!("testdata/everything.toml").lines();
    let headers = (1..).zip(text).filter(|(_, line)| *line == "[[certificate]]");
    assert_eq!(lines, headers.map(|(line, _)| line).collect::<Vec<usize>>());
}

#[test]
fn every_ca_said() {
    let config = read(include_str!("testdata/everything.toml")).unwrap();
    let [full, short, ..] = config.certificates.as_slice() else { panic!("two") };
    let name = |acme: Option<&super::Acme>| acme.map(|acme| acme.name.clone());
    let of =
        |certificate| (config.ca(certificate).name.clone(), name(config.fallback(certificate)));
    assert_eq!(of(full), ("default".to_owned(), Some("second".to_owned())));
    assert_eq!(of(short), ("in-house".to_owned(), None));
    let all: Vec<String> = config.every_ca().map(super::Acme::section).collect();
    assert_eq!(all, ["[acme]", "[acme.in-house]", "[acme.second]"]);
    let second = config.named_ca("second").unwrap();
    assert_eq!(second.directory, "https://acme.zerossl.com/v2/DV90");
    assert_eq!(second.contact, config.acme.contact, "the same unless said");
    assert_eq!((second.profile.as_deref(), &second.ca_file), (None, &None), "its own alone");
    assert_eq!(config.cas["in-house"].contact, ["pki@example.com"]);
    assert_eq!(
        config.fallback(full).unwrap().fallback.as_deref(),
        Some("default"),
        "a pair is well"
    );
}

#[test]
fn short_names_of_directories() {
    for (name, url) in [
        ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory"),
        ("letsencrypt-staging", "https://acme-staging-v02.api.letsencrypt.org/directory"),
        ("zerossl", "https://acme.zerossl.com/v2/DV90"),
        ("google", "https://dv.acme-v02.api.pki.goog/directory"),
        ("https://ca.example:14000/dir?x=1", "https://ca.example:14000/dir?x=1"),
        ("http://localhost/dir", "http://localhost/dir"),
    ] {
        let eab = "eab = { key_id = 'x', hmac_key_file = 'y' }";
        let config = read(&format!("[acme]\ndirectory = '{name}'\n{eab}\n")).unwrap();
        assert_eq!(config.acme.directory, url);
    }
}

#[test]
fn what_is_shipped() {
    let config = read(SHIPPED).unwrap();
    assert!(config.certificates.is_empty() && config.dns.is_empty(), "nothing is said in it");
    let said: String = SHIPPED
        .lines()
        .filter_map(|line| line.strip_prefix("# "))
        .skip_while(|line| *line != "[acme]")
        .map(|line| format!("{line}\n"))
        .collect();
    let config = read(&said).unwrap_or_else(|errors| panic!("{errors}\n{said}"));
    assert_eq!((config.certificates.len(), config.dns.len()), (3, 6));
    assert_eq!(config.certificates[1].name, "example.org");
    assert_eq!(config.certificates[2].name, "example.net");
}

#[test]
fn text_of_editors() {
    assert!(read("\u{feff}[store]\r\npath = '/x'\r\n").is_ok());
    let errors = read("[store]\r\n\r\npaht = '/x'\r\n").unwrap_err();
    assert_eq!(errors.errors[0].line, Some(3));
}

#[test]
fn dns_names() {
    let long = format!("{}.example", "a".repeat(64));
    let longer = format!("{}example", "abcdefgh.".repeat(28));
    for (written, expected) in [
        ("Example.COM", Ok("example.com")),
        ("example.com.", Ok("example.com")),
        ("*.Example.com", Ok("*.example.com")),
        ("münchen.example", Ok("xn--mnchen-3ya.example")),
        ("XN--mnchen-3ya.example", Ok("xn--mnchen-3ya.example")),
        ("例子.example", Ok("xn--fsqu00a.example")),
        ("r3---sn.example", Ok("r3---sn.example")),
        ("", Err("is empty")),
        ("*.", Err("is empty")),
        ("*", Err("has a star elsewhere than as its whole first label")),
        ("*.*.example", Err("has a star elsewhere than as its whole first label")),
        ("w*.example", Err("has a star elsewhere than as its whole first label")),
        (
            ".example.com",
            Err("begins with a dot; a certificate's wildcard is written `*.example.com`"),
        ),
        ("192.0.2.1", Err("is an IP address: DNS-01 cannot prove an IP address")),
        ("2001:db8::1", Err("is an IP address: DNS-01 cannot prove an IP address")),
        ("[::1]", Err("is an IP address: DNS-01 cannot prove an IP address")),
        ("localhost", Err("has a single label: a public name has a dot in it")),
        ("*.com", Err("has a single label: a public name has a dot in it")),
        ("a..example", Err("has an empty label: two dots meet, or one stands at its start")),
        ("a_b.example", Err("has '_' in it: letters, digits and dashes only")),
        ("-a.example", Err("has a label that begins or ends with a dash")),
        ("a b.example", Err("has ' ' in it: the name alone, no URL, port or list")),
        ("https://a.example", Err("has ':' in it: the name alone, no URL, port or list")),
        ("1.2.3.4.5", Err("ends in a number, as an IP address does")),
        ("xn--a.example", Err("has letters that no internationalized domain name can have")),
        (&long, Err("has a label of more than 63 characters")),
        (&longer, Err("is longer than 253 characters")),
    ] {
        let got = dns_name(written);
        assert_eq!(got.as_deref().map_err(String::as_str), expected, "{written}");
    }
}

#[test]
fn cdn_domains() {
    for (written, expected) in [
        ("CDN.Example.com", Ok("cdn.example.com")),
        ("*.Example.com", Ok(".example.com")),
        (".example.com", Ok(".example.com")),
        ("*.münchen.example", Ok(".xn--mnchen-3ya.example")),
        ("192.0.2.1", Err("is an IP address")),
        ("*.com", Err("has a single label: a public name has a dot in it")),
        ("..example.com", Err("has an empty label: two dots meet, or one stands at its start")),
    ] {
        let got = CdnDomain::read(written);
        let got = got.as_ref().map(|domain| domain.api_name.as_str()).map_err(String::as_str);
        assert_eq!(got, expected, "{written}");
    }
    assert_eq!(CdnDomain::read("*.A.example").unwrap().written, "*.A.example");
}

#[test]
fn nearest_words() {
    let known = ["renew", "plan", "status", "keep_versions"];
    for (word, expected) in [
        ("renwe", Some("renew")),
        ("Plan", Some("plan")),
        ("keep-version", Some("keep_versions")),
        ("satus", Some("status")),
        ("deploy", None),
        ("", None),
    ] {
        assert_eq!(nearest(word, &known), expected, "{word}");
    }
}

#[test]
fn ten_thousand_certificates_read_in_no_time() {
    let one = |at: usize| {
        format!(
            "[[certificate]]\nsource = '/s/n{at}'\n[[certificate.deploy]]\ndomains = ['n{at}.example']\n"
        )
    };
    let text: String = (0..10_000).map(one).collect();
    assert_eq!(read(&text).unwrap().certificates[9_999].line, 39_997);
}

proptest::proptest! {
    /// Whatever was done to the text, it is a Config or errors with lines and remedies.
    #[test]
    fn damage_is_said(at in 0_usize..1270, cut in 0_usize..80, put in "[-a-z0-9.,*'\"=\\[\\] \n]{0,12}") {
        let text = include_str!("testdata/everything.toml").replace('Ü', "u");
        let at = at.min(text.len());
        let damaged = format!("{}{put}{}", &text[..at], &text[(at + cut).min(text.len())..]);
        if let Err(errors) = read(&damaged) {
            assert!(!errors.errors.is_empty());
            assert!(errors.errors.iter().all(|error| error.line.is_some() && !error.help.is_empty()));
        }
    }
}
