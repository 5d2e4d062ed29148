//! What is read from text as people and tools leave it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use secrecy::ExposeSecret as _;

use super::testing::{self, Kind, Make};
use super::{Cert, Error, Fingerprint, Key, KeyKind, Leaf, blocks};
use crate::testing::check_table;

/// The names of the chain's certificates as they go out, `leaf` for the leaf.
fn sent(cert: &Cert) -> String {
    let ders = blocks::certificates(cert.chain_pem().as_bytes()).unwrap();
    let names = ders.iter().map(|der| {
        let text = blocks::armor("CERTIFICATE", der);
        if der == &cert.chain()[0] {
            return "leaf";
        }
        match text {
            text if text == testing::intermediate_pem().replace('\r', "") => "intermediate",
            text if text == testing::root_pem().replace('\r', "") => "root",
            _ => "stranger",
        }
    });
    names.collect::<Vec<_>>().join(" ")
}

fn check(name: &str, chain: &str, key: &str, expected: &str) {
    let got = match Cert::read(chain.as_bytes(), key.as_bytes()) {
        Ok(cert) => sent(&cert),
        Err(error) => error.to_string().lines().next().unwrap().to_owned(),
    };
    assert_eq!(got, expected, "{name}");
}

#[test]
fn chains() {
    let (chain, key) = testing::pair(&["example.com"]);
    let (other, other_key) = testing::pair(&["other.example"]);
    let (leaf, issuer) = (first(&chain), testing::intermediate_pem());
    let (root, stranger) = (testing::root_pem(), first(&other));
    let good = "leaf intermediate";
    check("as it should be", &chain, &key, good);
    check("CRLF", &chain.replace('\n', "\r\n"), &key.replace('\n', "\r\n"), good);
    check("blank lines", &chain.replace('\n', "\n\n"), &key.replace('\n', "\n \n"), good);
    check("trailing spaces", &chain.replace('\n', "  \n"), &key.replace('\n', "\t\n"), good);
    check("indented", &chain.replace('\n', "\n    "), &key.replace('\n', "\n  "), good);
    check("a byte order mark", &format!("\u{feff}{chain}"), &format!("\u{feff}{key}"), good);
    check(
        "text between",
        &format!("Bag Attributes\n  x: y\n{leaf}\ns:/CN=x\n{issuer}"),
        &key,
        good,
    );
    check("no line end between", &format!("{}{issuer}", leaf.trim_end()), &key, good);
    check("one line", &leaf.lines().collect::<Vec<_>>().join("\n"), &key, "leaf");
    check("issuer first", &format!("{issuer}{leaf}"), &key, good);
    check("root first", &format!("{root}{issuer}{leaf}"), &key, good);
    check("a root does not go", &format!("{chain}{root}"), &key, good);
    check("twice", &format!("{chain}{chain}"), &key, good);
    check("a stranger", &format!("{stranger}{chain}"), &key, good);
    check("one bundle", &format!("{key}{chain}"), &format!("{chain}{key}"), good);
    check("two keys", &chain, &format!("{other_key}{key}"), good);
    check("leaf alone", &leaf, &key, "leaf");
    check("old label", &chain.replace("CERTIFICATE", "X509 CERTIFICATE"), &key, good);
    let own = Make::new(&["example.com"]).self_signed().made();
    check("self-signed", &own.chain, &own.key, "leaf");
    let direct = Make::new(&["example.com"]).by_root().with_root().made();
    check("by the root", &direct.chain, &direct.key, "leaf");
}

#[test]
fn chains_that_are_none() {
    let (chain, key) = testing::pair(&["example.com"]);
    let (_, other_key) = testing::pair(&["example.com"]);
    let half = &chain[..chain.len() - 30];
    let holed: String = chain
        .lines()
        .enumerate()
        .filter(|(at, _)| *at != 2)
        .fold(String::new(), |text, (_, line)| text + line + "\n");
    let bound = testing::pair(&["x.example"]).0.len();
    check("empty", "", &key, "there is no certificate in the text");
    check("a key as chain", &key, &key, "there is no certificate in the text");
    check("no key", &chain, &chain, "there is no private key in the text");
    check(
        "a wrong key",
        &chain,
        &other_key,
        "no certificate of the chain belongs to the private key",
    );
    let cut = "block 2 of the PEM text is damaged: it begins and does not end";
    check("cut", half, &key, cut);
    check("cut, then another", &format!("{half}\n{chain}"), &key, cut);
    check("a line lost", &holed, &key, "block 1 of the PEM text is damaged: it is no certificate");
    check(
        "no base64",
        &chain.replacen("MI", "M?", 1),
        &key,
        "block 1 of the PEM text is damaged: what it holds is no base64",
    );
    check(
        "another end",
        &chain.replacen("END CERTIFICATE", "END PRIVATE KEY", 1),
        &key,
        "block 1 of the PEM text is damaged: it begins as one kind of block and ends as another",
    );
    check(
        "too long",
        &"#".repeat(1_048_577),
        &key,
        "the PEM text cannot be used: it is longer than 1 MiB",
    );
    let many: String = (0..101).map(|_| first(&testing::pair(&["x.example"]).0)).collect();
    assert!(many.len() < 101 * bound);
    check(
        "too many",
        &many,
        &key,
        "the PEM text cannot be used: it holds more than 100 certificates",
    );
}

#[test]
fn keys() {
    for (kind, expected, label) in [
        (Kind::P256, KeyKind::EcdsaP256, "EC PRIVATE KEY"),
        (Kind::P384, KeyKind::EcdsaP384, "EC PRIVATE KEY"),
        (Kind::P521, KeyKind::Other("ECDSA on P-521".to_owned()), "EC PRIVATE KEY"),
        (Kind::Ed25519, KeyKind::Other("Ed25519".to_owned()), "PRIVATE KEY"),
        (Kind::Rsa2048, KeyKind::Rsa(2048), "RSA PRIVATE KEY"),
    ] {
        let cert = Make::new(&["example.com"]).kind(kind).cert();
        let key = cert.key();
        assert_eq!(key.kind(), &expected);
        let (traditional, pkcs8) = (key.traditional_pem(), key.pkcs8_pem());
        let (traditional, pkcs8) = (traditional.expose_secret(), pkcs8.expose_secret());
        assert!(traditional.starts_with(&format!("-----BEGIN {label}-----\n")), "{kind:?}");
        assert!(pkcs8.starts_with("-----BEGIN PRIVATE KEY-----\n"), "{kind:?}");
        for text in [traditional, pkcs8, &traditional.replace('\n', "\r\n\r\n")] {
            assert_eq!(&Key::read(text.as_bytes()).unwrap(), key, "{kind:?}");
        }
        assert_eq!(format!("{key:?}"), format!("Key({expected})"));
    }
}

#[test]
fn keys_that_are_none() {
    let (chain, key) = testing::pair(&["example.com"]);
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    let read = |text: &str| Key::read(text.as_bytes()).unwrap_err();
    assert_eq!(read(&chain), Error::NoKey);
    assert_eq!(read(&encrypted), Error::EncryptedKey);
    assert_eq!(read(old), Error::EncryptedKey);
    assert!(Key::read(format!("{old}{key}").as_bytes()).is_ok());
    assert!(matches!(read(&key.replace("PRIVATE", "EC PRIVATE")), Error::UnreadableKey(_)));
    assert!(matches!(read(&key.replace("PRIVATE", "RSA PRIVATE")), Error::UnreadableKey(_)));
    assert!(matches!(read(&key.replace("PRIVATE", "DSA PRIVATE")), Error::UnreadableKey(_)));
    for error in [Error::NoKey, read(old), read(&key.replace("PRIVATE", "DSA PRIVATE"))] {
        assert!(error.to_string().contains("\nhelp: "), "{error}");
    }
}

/// Keys that OpenSSL made: `ecparam -genkey` (curve parameters first), a key without its public half, RSA of 1024 bits.
#[test]
fn keys_of_openssl() {
    let check = |text: &str, kind: KeyKind| {
        let key = Key::read(text.as_bytes()).unwrap();
        assert_eq!(key.kind(), &kind);
        let again = Key::read(key.traditional_pem().expose_secret().as_bytes()).unwrap();
        assert_eq!(key, again);
    };
    check(include_str!("testdata/ecparam.pem"), KeyKind::EcdsaP256);
    check(include_str!("testdata/no-public.pem"), KeyKind::EcdsaP384);
    check(include_str!("testdata/rsa-1024.pem"), KeyKind::Rsa(1024));
}

#[test]
fn text_that_goes_out() {
    let cert = Make::new(&["example.com"]).with_root().cert();
    let text = cert.chain_pem();
    assert_eq!(text, cert.leaf_pem() + &cert.issuers_pem());
    assert!(text.ends_with("-----END CERTIFICATE-----\n") && !text.contains("\r"));
    assert!(!text.contains("\n\n") && text.lines().all(|line| line.len() <= 64));
    assert_eq!(cert.chain().len(), 3, "the root is known, though it does not go");
    let debug = format!("{cert:?}");
    assert!(!debug.contains("PRIVATE") && debug.contains("example.com"), "{debug}");
}

#[test]
fn facts() {
    let cert = Make::new(&["WWW.Example.com", "*.example.com", "192.0.2.1"])
        .common_name("ignored.example")
        .not_after("2026-04-01T00:00:00Z")
        .cert();
    let leaf = cert.leaf();
    assert_eq!(leaf.names, ["www.example.com", "*.example.com"]);
    assert_eq!(leaf.not_before.to_string(), "2026-01-01T00:00:00Z");
    assert_eq!(leaf.not_after.to_string(), "2026-04-01T00:00:00Z");
    assert_eq!((leaf.issuer.as_str(), leaf.self_issued), (testing::ISSUER, false));
    assert_eq!(leaf.fingerprint, Fingerprint::of(&cert.chain()[0]));
    assert_eq!(&Leaf::read(cert.chain_pem().as_bytes()).unwrap(), leaf);
    let never = Make::new(&[]).common_name("Cn.Example").not_after("9999-12-30T00:00:00Z").cert();
    assert_eq!(never.leaf().names, ["cn.example"]);
    assert!(Make::new(&["example.com"]).self_signed().cert().leaf().self_issued);
}

#[test]
fn covered_names() {
    let leaf = |names: &[&str]| Make::new(names).cert().leaf().clone();
    for (names, name, expected) in [
        (&["example.com"][..], "example.com", true),
        (&["example.com"], "www.example.com", false),
        (&["example.com"], ".example.com", false),
        (&["*.example.com"], "www.example.com", true),
        (&["*.example.com"], "example.com", false),
        (&["*.example.com"], "a.b.example.com", false),
        (&["*.example.com"], ".example.com", true),
        (&["*.example.com"], "*.example.com", true),
        (&["*.example.com"], ".b.example.com", false),
        (&["*.example.com"], "*.b.example.com", false),
        (&["www.example.com"], "wwwwexample.com", false),
        (&["a.example", "b.example"], "b.example", true),
    ] {
        assert_eq!(leaf(names).covers(name), expected, "{names:?} {name}");
    }
}

#[test]
fn fingerprints() {
    let print = Fingerprint::of(b"abc");
    let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!((print.to_string().as_str(), format!("{print:?}").as_str()), (text, text));
    assert_eq!(print.short(), "ba7816bf8f01cfea");
    assert_eq!(text.to_uppercase().parse(), Ok(print));
    assert_eq!(serde_json::to_string(&print).unwrap(), format!("\"{text}\""));
    assert_eq!(serde_json::from_str::<Fingerprint>(&format!("\"{text}\"")).unwrap(), print);
    for wrong in ["", "ba78", &text.replace('b', "g"), &format!("{text}00")] {
        assert!(wrong.parse::<Fingerprint>().is_err(), "{wrong}");
    }
}

proptest::proptest! {
    /// Whatever was done to the text, it is a Cert or an Error with a remedy.
    #[test]
    fn damage_is_said(at in 0_usize..2000, cut in 0_usize..80, put in "[-A-Za-z0-9+/=: \n]{0,12}") {
        let (chain, key) = testing::pair(&["example.com"]);
        let damaged = |text: &str| {
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            format!("{}{put}{}", &text[..at], &text[end..])
        };
        for (chain, key) in [(damaged(&chain), key.clone()), (chain, damaged(&key))] {
            if let Err(error) = Cert::read(chain.as_bytes(), key.as_bytes()) {
                assert!(error.to_string().contains("\nhelp: "));
            }
        }
    }
}

fn first(chain: &str) -> String {
    let end = chain.find("-----END CERTIFICATE-----").unwrap() + "-----END CERTIFICATE-----".len();
    chain[..end].to_owned() + "\n"
}

fn check_id(row: &str, serial: &[u8], key_id: &[u8], wanted: &str) {
    use rcgen::{CertificateParams, IsCa, Issuer, KeyIdMethod, KeyPair, SerialNumber};
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.key_identifier_method = KeyIdMethod::PreSpecified(key_id.to_vec());
    let issuer = Issuer::new(ca, KeyPair::generate().unwrap());
    let mut params = CertificateParams::new(vec!["example.com".to_owned()]).unwrap();
    params.serial_number = Some(SerialNumber::from_slice(serial));
    params.use_authority_key_identifier_extension = true;
    let pem = params.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().pem();
    assert_eq!(Leaf::read(pem.as_bytes()).unwrap().renewal_id.as_deref(), Some(wanted), "{row}");
}

/// The first is RFC 9773's own, 4.1.
#[test]
fn a_ca_knows_a_certificate_by_its_issuers_key_and_its_number() {
    let key_id = [
        0x69, 0x88, 0x5b, 0x6b, 0x87, 0x46, 0x40, 0x41, 0xe1, 0xb3, 0x7b, 0x84, 0x7b, 0xa0, 0xae,
        0x2c, 0xde, 0x01, 0xc8, 0xd4,
    ];
    let high = [0x87, 0x65, 0x43, 0x21];
    check_id("a high bit in front", &high, &key_id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.AIdlQyE");
    check_id("none", &[0x07, 0x65, 0x43, 0x21], &key_id, "aYhba4dGQEHhs3uEe6CuLN4ByNQ.B2VDIQ");
    check_id("short", &[0x01], &[0xff], "_w.AQ");
}

#[test]
fn a_chain_leads_to_the_root_that_its_last_certificate_names() {
    let (chain, _key) = testing::pair(&["example.com"]);
    let (leaf, root) = (first(&chain), testing::root_pem());
    let check = |row: &str, pem: &str, wanted: Option<&str>| {
        assert_eq!(super::leads_to(pem.as_bytes()).ok().as_deref(), wanted, "{row}");
    };
    let name = Leaf::read(root.as_bytes()).unwrap().issuer;
    check("to its end", &chain, Some(&name));
    check("with the root", &format!("{chain}{root}"), Some(&name));
    check("the leaf alone", &leaf, Some(testing::ISSUER));
    check("no certificate", "nothing", None);
}

#[test]
fn tables_of_files() {
    let errors = [
        Error::NoCertificate,
        Error::Damaged(0, "WHY".to_owned()),
        Error::Damaged(1, "WHY".to_owned()),
        Error::NoKey,
        Error::EncryptedKey,
        Error::UnreadableKey("WHY".to_owned()),
        Error::KeyMismatch,
    ];
    let rows = errors.map(|error| {
        let text = error.to_string();
        let (what, help) = text.split_once("\nhelp: ").unwrap();
        [what.to_owned(), help.to_owned()]
    });
    check_table("files", &rows);
}
