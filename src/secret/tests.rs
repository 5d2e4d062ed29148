//! Which secret files are read, and what is left of text that holds secrets.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::os::unix::fs::PermissionsExt;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use proptest::prelude::*;

use super::*;

/// A file with these bytes and this mode is read as `want`, or refused with words that hold `want`.
fn check_file(row: &str, bytes: &[u8], mode: u32, want: Result<&str, &str>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, bytes).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    let got = read(&path, &Env::default(), None);
    match (got, want) {
        (Ok(secret), Ok(want)) => assert_eq!(secret.expose_secret(), want, "{row}"),
        (Err(error), Err(want)) => {
            let text = format!("{error:#}");
            assert!(
                text.contains(want) && text.contains(&path.display().to_string()),
                "{row}: {text}"
            );
        }
        (got, want) => panic!("{row}: {:?}, wanted {want:?}", got.map(|_| "a secret")),
    }
}

#[test]
fn secret_files() {
    check_file("plain", b"abc", 0o600, Ok("abc"));
    check_file("read-only", b"abc\n", 0o400, Ok("abc"));
    check_file("line ends", b"abc\r\n\n", 0o600, Ok("abc"));
    check_file("spaces stay", b" abc \n", 0o600, Ok(" abc "));
    check_file("world may read", b"abc", 0o604, Err("help: chmod 600"));
    check_file("world may write", b"abc", 0o602, Err("help: chmod 600"));
    check_file("empty", b"\n", 0o600, Err("is empty"));
    check_file("no text", b"\xff\xfe", 0o600, Err("not text"));
    check_file("too large", &[b'a'; 64 * 1024 + 1], 0o600, Err("64 KiB"));
    check_file("just as large", &[b'a'; 64 * 1024], 0o600, Ok(&"a".repeat(64 * 1024)));
}

#[test]
fn groups_other_than_root_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("secret");
    std::fs::write(&path, "abc").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).unwrap();
    let of_root = std::fs::metadata(&path).unwrap().gid() == 0;
    assert_eq!(read(&path, &Env::default(), None).is_ok(), of_root);
    if of_root && std::os::unix::fs::chown(&path, None, Some(12345)).is_ok() {
        assert!(read(&path, &Env::default(), None).is_err());
    }
}

#[test]
fn relative_names() {
    let base = tempfile::tempdir().unwrap();
    let credentials = tempfile::tempdir().unwrap();
    let put = |folder: &Path, name: &str, text: &str| {
        std::fs::write(folder.join(name), text).unwrap();
        std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o600))
            .unwrap();
    };
    put(base.path(), "both", "of base");
    put(credentials.path(), "both", "of systemd");
    put(credentials.path(), "one", "of systemd");
    let env = Env::from_iter([("CREDENTIALS_DIRECTORY", credentials.path().to_str().unwrap())]);
    let read = |name: &str| read(Path::new(name), &env, Some(base.path()));
    assert_eq!(read("both").unwrap().expose_secret(), "of base");
    assert_eq!(read("one").unwrap().expose_secret(), "of systemd");
    let text = read("none").unwrap_err().to_string();
    assert!(
        text.contains(base.path().to_str().unwrap())
            && text.contains(credentials.path().to_str().unwrap())
    );
    assert!(
        self::read(base.path(), &env, None).unwrap_err().to_string().contains("no regular file")
    );
}

#[test]
fn a_pipe_does_not_hang_us() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    if made.is_ok_and(|status| status.success()) {
        assert!(
            read(&path, &Env::default(), None).unwrap_err().to_string().contains("no regular file")
        );
    }
}

const KEY: &str = "-----BEGIN RSA PRIVATE KEY-----
MIIEowIBAAKCAQEAv1+/aVeryLongLine0fBase64WhichIsAKeyOfN0body/+==
c2Vjb25kTGluZU9mVGhlS2V5VGhhdElzQWxzb1NlY3JldC8rLys9PT09PT09PT09
-----END RSA PRIVATE KEY-----
";

/// The text is cleaned to `want`, by a redactor that knows the key and an AccessKey secret.
fn check_clean(row: &str, text: &str, want: &str) {
    let redactor = Redactor::knowing([KEY.into(), "s3cr3t/of+the=AccessKey".into(), "x".into()]);
    assert_eq!(redactor.clean(text), want, "{row}");
}

#[test]
fn cleaned_texts() {
    let once = percent_encoded(KEY.trim());
    let twice = percent_encoded(&once);
    let line = KEY.lines().nth(1).unwrap();
    check_clean("harmless", "the domain is offline", "the domain is offline");
    check_clean("letters of other alphabets", "域名不存在 é", "域名不存在 é");
    check_clean("known secret", "a s3cr3t/of+the=AccessKey b", "a [removed] b");
    check_clean("once encoded", "a s3cr3t%2Fof%2Bthe%3DAccessKey b", "a [removed] b");
    check_clean("once, lower hex", "a s3cr3t%2fof%2bthe%3dAccessKey b", "a [removed] b");
    check_clean("twice encoded", "a s3cr3t%252Fof%252Bthe%253DAccessKey b", "a [removed] b");
    check_clean("known key", &format!("a {} b", KEY.trim()), "a [removed] b");
    check_clean("key once", &format!("a {} b", once.as_str()), "a [removed] b");
    check_clean("key twice", &format!("a {} b", twice.as_str()), "a [removed] b");
    check_clean("a line", &format!("a {line} b"), "a [removed] b");
    check_clean(
        "a line, encoded",
        &format!("a {} b", percent_encoded(line).as_str()),
        "a [removed] b",
    );
    check_clean("a piece", &format!("a.{} b", &line[..16]), "a.[removed] b");
    check_clean(
        "echo",
        "Bad. Server string to sign is:POST&%2F&Abc",
        "Bad. Server string to sign is:[removed]",
    );
    check_clean("JSON's slash", r"a s3cr3t\/of+the=AccessKey b", "a [removed] b");
    check_clean("JSON's numbers", r"a s3cr3t\u002Fof\u002Bthe\u003dAccessKey b", "a [removed] b");
    check_clean("escaped twice", r"a s3cr3t\\/of\\u002bthe=AccessKey b", "a [removed] b");
    check_clean("a backslash", r"C:\new\user \u12 \ud800 \", r"C:\new\user \u12 \ud800 \");
    check_clean("control characters", "a\nb\tc\u{1b}[31md\u{202e}e", "a b c [31md e");
    check_clean("a parameter", "x Signature=abc%3D&y=1", "x Signature=[removed]&y=1");
    check_clean("not its method", "SignatureMethod=HMAC-SHA1&y", "SignatureMethod=HMAC-SHA1&y");
    check_clean("once", "SecurityToken%3Dabc%252F%26y", "SecurityToken%3D[removed]%26y");
    check_clean("twice", "SecurityToken%253Dabc%2525%2526y", "SecurityToken%253D[removed]%2526y");
    check_clean("JSON", r#"{"PrivateKey":"a b\n","b":1}"#, r#"{"PrivateKey":"[removed]","b":1}"#);
    check_clean(
        "JSON with a space",
        r#"{"SSLPri": "a b","b":1}"#,
        r#"{"SSLPri": "[removed]","b":1}"#,
    );
}

#[test]
fn base64_at_every_place() {
    let alphabets: [fn(&str) -> String; 2] =
        [|text| BASE64_STANDARD.encode(text), |text| BASE64_URL_SAFE.encode(text)];
    for (before, secret) in
        (0..7).flat_map(|before| [(before, "s3cr3t?of+the=~~~"), (before, KEY.trim())])
    {
        let all = format!("{}{secret}, and more", "u".repeat(before));
        let redactor = Redactor::knowing([SecretString::from(secret)]);
        for text in alphabets.map(|encode| encode(&all)) {
            let shown = redactor.clean(&format!("Basic {text}"));
            assert!(shown.contains(REMOVED), "{before}: {shown}");
            // What stands around it, and of a key less than a piece: a part of its END line.
            let left = shown.replace(REMOVED, " ");
            let longest = left.split(' ').map(str::len).max().unwrap();
            assert!(longest < PIECE + 20, "{before}: {shown}");
        }
    }
}

type Encode = fn(&str) -> String;

/// What a server may have made of what it got, and what that is called.
fn twice_encoded(text: &str) -> Vec<(String, String)> {
    let encodings: [(&str, Encode); 4] = [
        ("base64", |text| BASE64_STANDARD.encode(text)),
        ("base64url", |text| BASE64_URL_SAFE.encode(text)),
        ("hex", |text| text.bytes().map(|byte| format!("{byte:02X}")).collect()),
        ("percent", |text| percent_encoded(text).to_string()),
    ];
    let once = encodings.iter().map(|(name, encode)| ((*name).to_owned(), encode(text)));
    let twice = encodings.iter().flat_map(|(first, inner)| {
        let inner = inner(text);
        encodings.map(|(second, outer)| (format!("{second} of {first}"), outer(&inner)))
    });
    once.chain(twice).collect()
}

#[test]
fn encoded_once_and_twice() {
    for secret in [
        "s3cr3t/of+the=AccessKey",
        "-----BEGIN PRIVATE KEY-----\nMIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgVt\n-----END PRIVATE KEY-----",
    ] {
        let redactor = Redactor::knowing([SecretString::from(secret)]);
        for around in ["", "u", "us:", "user:"] {
            for (row, text) in twice_encoded(&format!("{around}{secret}{around}")) {
                let shown = redactor.clean(&format!("got: {text} (bad)"));
                assert!(shown.contains(REMOVED) && shown.len() < 60, "{row}, {around:?}: {shown}");
            }
        }
    }
}

#[test]
fn what_is_encoded_and_no_secret_stays() {
    let text = BASE64_STANDARD.encode("nothing that anybody must not see");
    let shown = Redactor::knowing(["s3cr3t/of+the=AccessKey".into()]).clean(&text);
    assert_eq!(shown, text);
}

#[test]
fn keys_that_nobody_knows() {
    let own = "-----BEGIN PRIVATE KEY-----\nAAAAB3NzaC1yc2EA\n-----END PRIVATE KEY-----\n";
    let once = percent_encoded(own);
    let twice = percent_encoded(&once);
    for (row, text) in [("raw", own), ("once", &once), ("twice", &twice)] {
        let all = format!("before {text} after");
        let shown = Redactor::default().clean(&all);
        assert!(shown.starts_with("before ") && shown.ends_with(" after"), "{row}: {shown}");
        for cut in all.find("AAAA").unwrap()..all.len() {
            let shown = Redactor::default().clean(&all[..cut]);
            assert!(!shown.contains("AAA"), "{row} cut at {cut}: {shown}");
        }
        let tail = &all[all.find("B3Nz").unwrap()..];
        assert!(!Redactor::default().clean(tail).contains("B3Nz"), "{row}: the tail");
    }
}

#[test]
fn at_most_600_characters() {
    let shown = Redactor::default().clean(&"é".repeat(700));
    assert_eq!(shown.chars().count(), 601);
    assert!(shown.ends_with('…'));
    assert_eq!(Redactor::default().clean(&"é".repeat(600)).chars().count(), 600);
}

#[test]
fn it_prints_nothing_of_itself() {
    assert_eq!(format!("{:?}", Redactor::knowing(["the secret".into()])), "Redactor");
}

proptest! {
    /// Whatever surrounds a secret, in whatever form, it does not come through.
    #[test]
    fn no_secret_comes_through(before in ".{0,80}", after in ".{0,80}", secret in "[A-Za-z0-9/+=]{12,40}", form in 0..3) {
        let mut text = secret.clone();
        for _ in 0..form {
            text = percent_encoded(&text).to_string();
        }
        let shown = Redactor::knowing([SecretString::from(secret)]).clean(&format!("{before}{text}{after}"));
        prop_assume!(!before.contains(&text) && !after.contains(&text));
        prop_assert!(!shown.contains(&text));
    }

    #[test]
    fn encoding_is_strict(text in ".{0,60}") {
        let encoded = percent_encoded(&text);
        prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte)));
        prop_assert!(encoded.capacity() <= 3 * text.len().max(8));
    }
}
