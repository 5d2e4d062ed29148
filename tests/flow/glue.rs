//! The files of `hooks/`: a few lines of shell between a client and the program, run as the client runs them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::house::{Ended, House, Leaf, fingerprint};

fn hooks(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("hooks").join(name)
}

/// A house in which `certferry`, and programs of the test, are found by name.
fn house(programs: &[(&str, &str)]) -> House {
    let mut house = House::new();
    let built = Path::new(env!("CARGO_BIN_EXE_certferry")).parent().unwrap().display().to_string();
    let own = house.path("bin").display().to_string();
    house.var("PATH", format!("{own}:{built}:/usr/bin:/bin"));
    for (name, text) in programs {
        house.write(&format!("bin/{name}"), text);
        house.chmod(&format!("bin/{name}"), 0o755);
    }
    house
}

fn run(house: &House, program: &Path, args: &str) -> Ended {
    let mut command: Command = house.program(&program.display().to_string());
    Ended::of(&command.args(args.split_whitespace()).output().unwrap())
}

fn put(house: &House, chain: &str, key: &str) -> String {
    let (pem, secret) = house.make(&Leaf::new());
    house.write(chain, &pem);
    house.write_secret(key, &secret, 0o600);
    fingerprint(&pem)
}

fn served(house: &House) -> Option<String> {
    house.cloud.served_fingerprint("cdn.example.test")
}

#[test]
fn certbot_and_lego() {
    let mut house = house(&[]);
    house.renewed("cdn.example.test");
    let ended = run(&house, &hooks("certbot/certferry"), "");
    assert_eq!(ended.code, 0, "{}", ended.all());
    let want = Some(fingerprint(&house.read("live/a/fullchain.pem")));
    assert_eq!(served(&house), want);
    let ended = run(&house, &hooks("lego/certferry"), "");
    assert_eq!(ended.code, 2, "two clients: {}", ended.all());
    house.var("RENEWED_LINEAGE", "");
    for (name, path) in [("LEGO_HOOK_CERT_PATH", "l/c.crt"), ("LEGO_HOOK_CERT_KEY_PATH", "l/c.key")]
    {
        house.var(name, path);
    }
    let want = put(&house, "l/c.crt", "l/c.key");
    let ended = run(&house, &hooks("lego/certferry"), "");
    assert_eq!((ended.code, served(&house)), (0, Some(want)), "{}", ended.all());
}

#[test]
fn dehydrated_and_acmetool() {
    let mut house = house(&[]);
    let hook = hooks("dehydrated/certferry");
    let want = put(&house, "d/x/fullchain.pem", "d/x/privkey.pem");
    let words = "x d/x/privkey.pem d/x/cert.pem d/x/fullchain.pem d/x/chain.pem 17";
    let ended = run(&house, &hook, &format!("deploy_cert {words}"));
    assert_eq!((ended.code, served(&house)), (0, Some(want)), "{}", ended.all());
    for words in ["startup_hook", "exit_hook", "any_new_hook a b"] {
        let ended = run(&house, &hook, words);
        assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (0, "", ""), "{words}");
    }
    house.var("ACME_STATE_DIR", "/nowhere");
    assert_eq!(run(&house, &hook, "startup_hook").code, 0, "by name");
    assert_eq!(run(&house, &hooks("acmetool/certferry"), "challenge-dns-start a b c").code, 42);
}

/// acme.sh's own functions, as far as the hook calls them.
const ACME_SH: &str = r#"#!/bin/sh
_getdeployconf() { eval "saved=\$(cat conf/$1 2>/dev/null)"; eval ": \"\${$1:=\$saved}\""; }
_savedeployconf() { mkdir -p conf; printf '%s' "$2" >"conf/$1"; }
. "$1"
certferry_deploy cdn.example.test "$PWD/k" /cert /ca "$PWD/f.cer"
"#;

#[test]
fn acme_sh() {
    let mut house = house(&[("acme.sh", ACME_SH)]);
    let program = house.path("bin/acme.sh");
    let hook = hooks("acme.sh/certferry.sh").display().to_string();
    let want = put(&house, "f.cer", "k");
    house.var("CERTFERRY_DOMAINS", "*.example.test,cdn.example.test");
    let ended = run(&house, &program, &hook);
    assert_eq!((ended.code, served(&house)), (0, Some(want)), "{}", ended.all());
    assert_eq!(house.uploads(), 2, "{}", ended.all());
    house.var("CERTFERRY_DOMAINS", "");
    let want = put(&house, "f.cer", "k");
    let ended = run(&house, &program, &hook);
    assert_eq!((ended.code, served(&house)), (0, Some(want)), "kept: {}", ended.all());
    house.var("CERTFERRY_ALIYUN", "nobody");
    let ended = run(&house, &program, &hook);
    assert!(ended.code == 2 && ended.all().contains("[aliyun.nobody]"), "{}", ended.all());
}

const UACME: &str = "#!/bin/sh\necho \"uacme $*\"\nexit \"$UACME_ENDS\"\n";

#[test]
fn uacme() {
    let mut house = house(&[("uacme", UACME)]);
    let program = hooks("uacme/certferry-uacme");
    let words = "-v -c u -h /bin/true issue *.example.test cdn.example.test";
    let mut ends = |uacme: &str, words: &str, code: i32| {
        house.var("UACME_ENDS", uacme);
        let ended = run(&house, &program, words);
        assert_eq!(ended.code, code, "{words}: {}", ended.all());
        assert!(ended.stdout.starts_with(&format!("uacme {words}\n")), "{}", ended.all());
        served(&house)
    };
    assert_eq!(ends("2", words, 2), None);
    assert_eq!(ends("0", words, 2), None, "there are no files");
    assert_eq!(ends("0", "-y -c u new", 0), None);
    let want = Some(put(&house, "u/example.test/cert.pem", "u/private/example.test/key.pem"));
    let mut ends = |uacme: &str, words: &str, code: i32| {
        house.var("UACME_ENDS", uacme);
        assert_eq!(run(&house, &program, words).code, code, "{words}");
    };
    ends("1", words, 1);
    for words in [
        "issue -vvc u *.example.test",
        "--confdir=u -tEC issue *.example.test",
        "-cu --type RSA issue *.example.test",
    ] {
        ends("0", words, 0);
    }
    ends("0", "-c u issue config.toml", 2);
    assert_eq!((served(&house), house.uploads()), (want, 2));
}
