//! The dialects as tables: what a client says, and what is understood.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::PathBuf;

use super::*;

/// `NAME=value` words of the environment, then `--` and the arguments.
fn hear_words(words: &[&str]) -> Result<Heard, Error> {
    let end = words.iter().position(|word| *word == "--").unwrap_or(words.len());
    let vars = words[..end].iter().map(|word| word.split_once('=').unwrap()).collect::<Vec<_>>();
    let args: Vec<String> = words[end..].iter().skip(1).map(|&word| word.to_owned()).collect();
    let var = |wanted: &str| {
        let found = vars.iter().find(|(name, _)| *name == wanted).map(|(_, value)| *value);
        found.filter(|value| !value.is_empty())
    };
    hear(&Call { var: &var, args: &args, files: None, here: Path::new("/here") })
}

/// How a certificate is shown: `client name chain-or-folder [key] [names]`.
fn shown(event: &Event) -> String {
    let Event { dialect, source, name, names } = event;
    let key = source.key.as_ref().map(|key| format!(" {}", key.display())).unwrap_or_default();
    let names = match names {
        Names::Told(names) => names.join(","),
        Names::InFiles => "in files".to_owned(),
    };
    format!("{dialect} {name} {source}{key} ({names})")
}

/// The certificate, the status of a silent end, or the error's beginning.
fn check(words: &[&str], expected: &str) {
    let said = match hear_words(words) {
        Ok(Heard::Certificate(event)) => shown(&event),
        Ok(Heard::Hosts(hosts)) => format!("{hosts:?}"),
        Ok(Heard::Nothing(status)) => format!("exit {status}"),
        Err(error) => error.to_string(),
    };
    assert!(said.starts_with(expected), "{words:?}: {said:?} is not {expected:?}");
    assert!(!said.contains('\n') || said.contains("\nhelp: "), "{said}");
}

#[test]
fn certbots_words() {
    let live = "RENEWED_LINEAGE=/etc/letsencrypt/live/example.com";
    let event = "certbot example.com /etc/letsencrypt/live/example.com";
    check(&[], "no ACME client has called this hook");
    check(&["RENEWED_LINEAGE="], "no ACME client has called this hook");
    let names = "RENEWED_DOMAINS=example.com *.Example.com";
    check(&[live, names], &format!("{event} (example.com,*.example.com)"));
    check(&["RENEWED_LINEAGE=/etc/letsencrypt/live/example.com/"], &format!("{event} ()"));
    check(&[live, "--", "certbot"], event);
    check(
        &["RENEWED_LINEAGE=/x\nhelp: y"],
        "RENEWED_LINEAGE has control characters in it: \"/x\\n",
    );
    check(&["RENEWED_LINEAGE=live/x"], "RENEWED_LINEAGE is not an absolute path: live/x");
    check(
        &["RENEWED_DOMAINS=a.example", "FAILED_DOMAINS="],
        "RENEWED_DOMAINS is set: certbot's post",
    );
    check(&["FAILED_DOMAINS=a.example"], "FAILED_DOMAINS is set: certbot's post-hook");
    check(&["--", "certbot"], "RENEWED_LINEAGE is not set");
}

#[test]
fn legos_words() {
    let (crt, key) = ("LEGO_CERT_PATH=/l/a.example.crt", "LEGO_CERT_KEY_PATH=/l/a.example.key");
    let files = "/l/a.example.crt /l/a.example.key";
    let v4 = [crt, key, "LEGO_CERT_DOMAIN=*.a.example", "LEGO_ACCOUNT_EMAIL=x@y"];
    check(&v4, &format!("lego 4 *.a.example {files} (in files)"));
    check(&[crt, key], &format!("lego 4 a.example {files} (in files)"));
    check(&[crt, key, "--", "lego"], "lego 4 a.example");
    check(&[crt], "LEGO_CERT_KEY_PATH is not set");
    let relative = ["LEGO_CERT_PATH=.lego/a.crt", "LEGO_CERT_KEY_PATH=./.lego/a.key"];
    check(&relative, "lego 4 a /here/.lego/a.crt /here/.lego/a.key (");
    let (crt, key) = ("LEGO_HOOK_CERT_PATH=/l/b.crt", "LEGO_HOOK_CERT_KEY_PATH=/l/b.key");
    let (name, names) = ("LEGO_HOOK_CERT_NAME=b", "LEGO_HOOK_CERT_DOMAINS=B.example,*.b.example,");
    check(&[crt, key, name, names], "lego 5 b /l/b.crt /l/b.key (b.example,*.b.example)");
    check(&[crt, key, "--", "lego"], "lego 5 b /l/b.crt /l/b.key (in files)");
    check(&[name, names], "LEGO_HOOK_CERT_NAME is set: lego's pre-hook or post-hook");
    check(&["--", "lego"], "LEGO_HOOK_CERT_PATH is not set");
}

#[test]
fn acme_shs_words() {
    let chain = "CERT_FULLCHAIN_PATH=/opt/acme.sh/a.example_ecc/fullchain.cer";
    let key = "CERT_KEY_PATH=/opt/acme.sh/a.example_ecc/a.example.key";
    let more = ["CERT_PATH=/x", "CA_CERT_PATH=/y", "Le_Domain=a.example"];
    let files = "/opt/acme.sh/a.example_ecc/fullchain.cer /opt/acme.sh/a.example_ecc/a.example.key";
    let event = format!("acme.sh a.example {files} (in files)");
    check(&[&[chain, key], more.as_slice()].concat(), &event);
    check(&["Le_Domain=a.example", "Le_Alt=b.example"], "Le_Domain is set: acme.sh's pre-hook");
    check(&[chain, "Le_Domain=a.example"], "CERT_KEY_PATH is not set");
    let deploy = ["--", "acme.sh", "a.example", "/k", "/cert", "/ca", "/full.cer", "/pfx"];
    check(&deploy, "acme.sh a.example /full.cer /k (in files)");
    check(
        &["--", "acme.sh", "a.example", "k", "/cert", "/ca", "/full.cer"],
        "KEY is not an absolute",
    );
    check(
        &["--", "acme.sh", "a.example", "/k"],
        "acme.sh tells of no certificate: there are too few",
    );
}

#[test]
fn dehydrateds_words() {
    let nonsense = "this_hookscript_is_broken__dehydrated_is_working_fine__please_ignore_unknown_hooks_in_your_script";
    for word in ["startup_hook", "exit_hook", "deploy_challenge", "generate_csr", nonsense, ""] {
        check(&["--", word, "a.example"], "exit 0");
        check(&["--", "dehydrated", word, "a.example"], "exit 0");
        check(&["ACME_STATE_DIR=/var/lib/acme", "--", "dehydrated", word], "exit 0");
    }
    let d = "/d/certs/a.example";
    let [key, cert, full, chain] =
        ["privkey", "cert", "fullchain", "chain"].map(|name| format!("{d}/{name}.pem"));
    let event = format!("dehydrated a.example {d} (in files)");
    check(&["--", "deploy_cert", "a.example", &key, &cert, &full, &chain, "17"], &event);
    check(&["--", "unchanged_cert", "a.example", &key, &cert, &full, &chain], &event);
    check(&["--", "dehydrated", "unchanged_cert", "a.example", &key, &cert, &full, &chain], &event);
    check(
        &["--", "deploy_cert", "a", "d/k", "d/c", "d/f", "d/h"],
        "dehydrated a /here/d/f /here/d/k",
    );
    check(&["--", "deploy_cert", "a.example", "/k"], "dehydrated tells of no certificate");
    check(&["--", "deploy_cert", "a\nb", "/k", "/c", "/f", "/h"], "DOMAIN has control characters");
}

#[test]
fn acmetools_words() {
    let state = "ACME_STATE_DIR=/var/lib/acme";
    check(&[state, "--", "live-updated"], "Hosts { live: \"/var/lib/acme/live\" }");
    check(&[state, "--", "acmetool", "live-updated"], "Hosts");
    check(&[state, "--", "challenge-dns-start", "a.example", "", "x"], "exit 42");
    check(&[state, "--", "acmetool", "challenge-http-start"], "exit 42");
    check(&["--", "challenge-dns-start", "a.example", "", "x"], "exit 0");
    check(&["--", "live-updated"], "ACME_STATE_DIR is not set");
    check(&["ACME_STATE_DIR=acme", "--", "live-updated"], "ACME_STATE_DIR is not an absolute path");
    check(&[state], "ACME_STATE_DIR is set: acmetool, without its event");
    check(&[state, "--", "acmetool"], "acmetool's event is not given");
}

#[test]
fn acmetools_hostnames() {
    let Heard::Hosts(hosts) = hear_words(&["ACME_STATE_DIR=/s", "--", "live-updated"]).unwrap()
    else {
        panic!("no hosts")
    };
    let place = |link: &Path| match link.to_str().unwrap() {
        "/s/live/a.example" | "/s/live/www.a.example" => PathBuf::from("/s/certs/1"),
        other => PathBuf::from(other),
    };
    let check = |stdin: &str, expected: &[&str]| {
        let events = hosts.events(stdin, place).map_err(|error| error.to_string());
        let shown = events.map(|all| all.iter().map(shown).collect::<Vec<_>>());
        match shown {
            Ok(shown) => assert_eq!(shown, expected, "{stdin:?}"),
            Err(error) => assert!(error.starts_with(expected[0]), "{stdin:?}: {error}"),
        }
    };
    check("", &[]);
    check("\n\n", &[]);
    check("b.example\r\n", &["acmetool b.example /s/live/b.example (b.example)"]);
    check(
        "www.a.example\nb.example\na.example\nb.example",
        &[
            "acmetool a.example /s/live/a.example (a.example,www.a.example)",
            "acmetool b.example /s/live/b.example (b.example)",
        ],
    );
    check("../../etc\n", &["acmetool tells the hostname \"../../etc\", which is none"]);
    check("a.example\n\u{1b}[31m", &["acmetool tells the hostname \"\\u{1b}[31m\""]);
}

#[test]
fn uacmes_words() {
    let event = "uacme a.example /etc/ssl/uacme/a.example/cert.pem /etc/ssl/uacme/private/a.example/key.pem";
    check(&["--", "uacme", "/etc/ssl/uacme/", "a.example"], event);
    check(&["--", "uacme", "c", "a"], "uacme a /here/c/a/cert.pem /here/c/private/a/key.pem (");
    check(&["--", "uacme", "/c", "*.a"], "uacme a /c/a/cert.pem /c/private/a/key.pem (");
    check(&["--", "uacme", "/c"], "uacme tells of no certificate");
    for ident in ["../a", "", "."] {
        check(&["--", "uacme", "/c", ident], "the IDENT");
    }
}

#[test]
fn caddys_words() {
    let relative = [
        "--",
        "caddy",
        "*.a.example",
        "certificates/ca/wildcard_.a.example/w.crt",
        "certificates/w.key",
    ];
    let at = |root: &str| {
        format!(
            "caddy *.a.example {root}/certificates/ca/wildcard_.a.example/w.crt {root}/certificates/w.key (in files)"
        )
    };
    check(&relative, &at("/var/lib/caddy/.local/share/caddy"));
    check(&[&["HOME=/home/c"], relative.as_slice()].concat(), &at("/home/c/.local/share/caddy"));
    let xdg = ["XDG_DATA_HOME=/data", "HOME=/home/c"];
    check(&[&xdg, relative.as_slice()].concat(), &at("/data/caddy"));
    check(
        &[&["HOME=/a\nhelp: do"], relative.as_slice()].concat(),
        "CHAIN lies where control characters are in the path: \"/a\\nhelp: do",
    );
    check(&["HOME=/h", "--", "caddy", "a", "/s/a.crt", "/s/a.key"], "caddy a /s/a.crt /s/a.key (");
    check(&["--", "caddy", "a.example"], "caddy tells of no certificate");
}

#[test]
fn flags_are_for_any_other_client() {
    let hear_files = |chain: &str, key: &str, name: Option<&str>| {
        let files = Files { chain: Path::new(chain), key: Path::new(key), name };
        let call = Call { var: &|_| None, args: &[], files: Some(files), here: Path::new("/here") };
        match hear(&call) {
            Ok(Heard::Certificate(event)) => shown(&event),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(hear_files("a.crt", "/k", None), "another client a /here/a.crt /k (in files)");
    assert_eq!(hear_files("/a.crt", "/k", Some("n")), "another client n /a.crt /k (in files)");
    let folder = hear_files("/d/fullchain.pem", "/d/privkey.pem", None);
    assert_eq!(folder, "another client d /d (in files)");
}

#[test]
fn two_that_contradict_are_refused() {
    let live = "RENEWED_LINEAGE=/live/a";
    let deploy = ["--", "deploy_cert", "a.example", "/k", "/c", "/f", "/h"];
    let state = ["ACME_STATE_DIR=/s"];
    let both = |vars: &[&'static str], args: &[&'static str]| [vars, args].concat();
    let lego = ["LEGO_CERT_PATH=/a", "LEGO_CERT_KEY_PATH=/b"];
    check(
        &both(&[live], &deploy),
        "two ACME clients are meant: certbot (RENEWED_LINEAGE is set) and dehydrated (`deploy_cert` stands after `--`)",
    );
    check(&both(&[live], &["--", "caddy", "a", "/c", "/k"]), "two ACME clients are meant: certbot");
    check(
        &both(&[live], &lego),
        "two ACME clients are meant: certbot (RENEWED_LINEAGE is set) and lego 4 (LEGO_CERT_PATH is set)",
    );
    check(&both(&lego, &["LEGO_HOOK_CERT_PATH=/c"]), "two ACME clients are meant: lego 4");
    check(
        &both(&state, &deploy),
        "two ACME clients are meant: dehydrated (`deploy_cert` stands after `--`) and acmetool (ACME_STATE_DIR is set)",
    );
    check(
        &both(&[live], &["--", "a\nhelp: do"]),
        "two ACME clients are meant: certbot (RENEWED_LINEAGE is set) and dehydrated (`a\\nhelp: do` stands after `--`)",
    );
    check(&both(&state, &["--", "dehydrated", "exit_hook"]), "exit 0");
    check(&both(&[live], &state), "certbot a /live/a");
}
