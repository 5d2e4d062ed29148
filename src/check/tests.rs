//! One row for each Fault, and for what must be none.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use super::{Fault, LONGEST_CHAIN, Roots, check, served};
use crate::cert::testing::{self, Kind, Make};
use crate::cert::{Cert, Chain, KeyKind};
use crate::config::CdnDomain;
use crate::testing::check_table;

const NOW: &str = "2026-06-01T00:00:00Z";

fn ours() -> Roots {
    Roots::read(testing::root_pem().as_bytes()).unwrap()
}

fn faults(cert: &Cert, target: &str, trust: &Roots) -> Vec<Fault> {
    check(cert, &CdnDomain::read(target).unwrap(), trust, NOW.parse().unwrap())
}

#[track_caller]
fn row(make: &Make, target: &str, trust: &Roots, expected: &[&str]) {
    let faults = faults(&make.cert(), target, trust);
    let got: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(got, expected);
    assert!(faults.iter().all(|fault| !fault.help().is_empty()));
}

#[test]
fn what_may_go() {
    let names = ["www.example.com", "*.example.com"];
    let make = Make::new(&names);
    let own = make.clone().self_signed();
    let own_root = Roots::read(own.made().chain.as_bytes());
    assert!(own_root.is_ok());
    for (make, target, trust) in [
        (make.clone(), "www.example.com", ours()),
        (make.clone(), "WWW.Example.com", ours()),
        (make.clone(), "*.example.com", ours()),
        (make.clone(), ".example.com", ours()),
        (make.clone().with_root(), "a.example.com", ours()),
        (make.clone().kind(Kind::Rsa2048), "www.example.com", ours()),
        (make.clone().kind(Kind::P384), "www.example.com", ours()),
        (make.clone().by_root(), "www.example.com", ours()),
        (make.clone().by_root().with_root(), "www.example.com", Roots::Any),
        (make.clone(), "www.example.com", Roots::Any),
        (own, "www.example.com", Roots::Any),
        (make.clone().not_after(NOW), "www.example.com", ours()),
        (make.clone().not_before(NOW), "www.example.com", ours()),
    ] {
        row(&make, target, &trust, &[]);
    }
}

#[test]
fn what_may_not() {
    let make = Make::new(&["www.example.com"]);
    let www = "www.example.com";
    let cannot = "the chain cannot be trusted: it leads to";
    let missing =
        "the chain is incomplete: the certificate of its issuer `Test Issuing CA` is missing";
    let by_root = "the chain is incomplete: the certificate of its issuer `Test Root` is missing";
    row(
        &make,
        "example.com",
        &ours(),
        &["the certificate does not cover `example.com`: its names are www.example.com"],
    );
    row(
        &make,
        "*.example.com",
        &ours(),
        &["the certificate does not cover `*.example.com`: its names are www.example.com"],
    );
    row(
        &make.clone().not_after("2026-05-01T00:00:00Z"),
        www,
        &ours(),
        &["the certificate expired at 2026-05-01T00:00:00Z"],
    );
    row(
        &make.clone().not_before("2026-07-01T00:00:00Z"),
        www,
        &ours(),
        &["the certificate is not valid before 2026-07-01T00:00:00Z"],
    );
    row(
        &make.clone().kind(Kind::Ed25519),
        www,
        &ours(),
        &["the CDN serves no key of the kind Ed25519"],
    );
    row(
        &make.clone().kind(Kind::P521),
        www,
        &ours(),
        &["the CDN serves no key of the kind ECDSA on P-521"],
    );
    row(&make.clone().without_intermediate(), www, &ours(), &[missing]);
    row(&make.clone().without_intermediate(), www, &Roots::Any, &[missing]);
    row(&make.clone().by_root(), www, &Roots::Any, &[by_root]);
    row(&make.clone().by_root(), www, &Roots::public(), &[by_root]);
    row(
        &make,
        www,
        &Roots::public(),
        &[&format!("{cannot} `Test Root`, which is no trusted root")],
    );
    row(
        &make.clone().self_signed(),
        www,
        &ours(),
        &[&format!("{cannot} `self-signed`, which is no trusted root")],
    );
}

#[test]
fn names_in_either_form() {
    let check = |names: &[&str], target: &str, covered: bool| {
        let faults = faults(&Make::new(names).cert(), target, &ours());
        let want = usize::from(!covered);
        assert_eq!(faults.len(), want, "{names:?} for {target}: {faults:?}");
        assert!(covered || matches!(faults[0], Fault::NotCovered { .. }), "{faults:?}");
    };
    check(&["xn--bcher-kva.example"], "bücher.example", true);
    check(&["xn--bcher-kva.example"], "BÜCHER.example", true);
    check(&["XN--BCHER-KVA.example"], "xn--bcher-kva.example", true);
    check(&["*.xn--bcher-kva.example"], "*.bücher.example", true);
    check(&["*.xn--bcher-kva.example"], "bücher.example", false);
    check(&["*.example.com"], "bücher.example.com", true);
    check(&["*.example.com"], "example.com", false);
    check(&["*.example.com"], "a.b.example.com", false);
    check(&["*.b.example.com"], "a.b.example.com", true);
    check(&["*.example.com"], "*.b.example.com", false);
    check(&["www.example.com", "example.com"], ".example.com", false);
    check(&["example.com"], "www.example.com", false);
}

#[test]
fn a_name_in_the_subject_alone() {
    let make = Make::new(&[]).common_name("www.example.com");
    let in_subject =
        "the certificate has its name in the subject (CN) alone, where no browser looks";
    row(&make, "www.example.com", &ours(), &[in_subject]);
    row(&make, "www.example.com", &Roots::Any, &[in_subject]);
}

/// A chain up to its root and a key that no library makes any more; whatever is trusted, these are its faults.
#[track_caller]
fn old_row(pem: &str, expected: &[&str]) {
    let cert = Cert::read(pem.as_bytes(), pem.as_bytes()).unwrap();
    for trust in [Roots::Any, Roots::read(pem.as_bytes()).unwrap()] {
        let faults = faults(&cert, "www.example.com", &trust);
        let got: Vec<String> = faults.iter().map(ToString::to_string).collect();
        assert_eq!(got, expected, "{trust:?}");
    }
}

#[test]
fn what_was_good_once() {
    old_row(
        include_str!("testdata/sha1.pem"),
        &["a certificate of the chain is signed by ECDSA with SHA-1, which no browser trusts"],
    );
    old_row(
        include_str!("testdata/rsa1024.pem"),
        &["the CDN serves no key of the kind RSA with 1024 bits"],
    );
}

#[test]
fn what_is_served_is_judged_without_a_key() {
    let chain = |make: Make| Chain::of(make.cert().chain().to_vec()).unwrap();
    let check = |row: &str, make: Make, trust: &Roots, want: &str| {
        let target = CdnDomain::read("www.example.com").unwrap();
        let faults = served(&chain(make), &target, trust, NOW.parse().unwrap());
        let told: String = faults.iter().map(ToString::to_string).collect();
        assert!(told.contains(want) && told.is_empty() == want.is_empty(), "{row}: {told}");
    };
    let make = Make::new(&["www.example.com"]);
    check("well", make.clone(), &ours(), "");
    check("to the root", make.clone().with_root(), &ours(), "");
    check("the leaf alone", make.clone().without_intermediate(), &ours(), "incomplete");
    check("another root", make.clone(), &Roots::public(), "no trusted root");
    check("over", make.clone().not_after("2026-05-01T00:00:00Z"), &ours(), "expired");
    check("another name", Make::new(&["example.com"]), &ours(), "does not cover");
    check("a key that others serve", make.kind(Kind::P521), &ours(), "");
}

#[test]
fn all_at_once() {
    let make = Make::new(&["a.example"]).kind(Kind::P521).not_after("2026-05-01T00:00:00Z");
    let faults = faults(&make.without_intermediate().cert(), "b.example", &Roots::public());
    assert_eq!(faults.len(), 4, "{faults:?}");
    let text = serde_json::to_string(&faults).unwrap();
    assert!(text.starts_with("[\"the certificate does not cover `b.example`: "), "{text}");
}

#[test]
fn self_signed_roots() {
    let made = Make::new(&["a.example"]).self_signed().made();
    let cert = Cert::read(made.chain.as_bytes(), made.key.as_bytes()).unwrap();
    assert_eq!(faults(&cert, "a.example", &Roots::read(made.chain.as_bytes()).unwrap()), []);
}

#[test]
fn a_wrong_signature() {
    // An intermediate of the right name and another key: the leaf is not its work.
    let made = Make::new(&["a.example"]).without_intermediate().made();
    let chain = made.chain + &testing::impostor_pem();
    let cert = Cert::read(chain.as_bytes(), made.key.as_bytes()).unwrap();
    let faults = faults(&cert, "a.example", &ours());
    assert!(matches!(faults.as_slice(), [Fault::ChainIncomplete { .. }]), "{faults:?}");
}

#[test]
fn test_cas_are_named() {
    let fault = |issuer: &str, root: &str| Fault::Untrusted {
        issuer: issuer.to_owned(),
        root: root.to_owned(),
        why: None,
    };
    for (issuer, root, staging) in [
        ("(STAGING) Counterfeit Cashew R10", "(STAGING) Pretend Pear X1", true),
        ("Fake LE Intermediate X1", "Fake LE Root X1", true),
        ("Pebble Intermediate CA 28cc28", "Pebble Root CA 1f5b2f", true),
        ("R10", "ISRG Root X1", false),
    ] {
        let fault = fault(issuer, root);
        assert_eq!(fault.to_string().contains("test CA (staging)"), staging, "{issuer}");
        assert_eq!(fault.help().contains("test CA"), staging, "{issuer}");
        assert!(fault.help().contains("`[trust] roots`"), "{issuer}");
    }
}

#[test]
fn many_names_are_cut_short() {
    let names: Vec<String> = (0..8).map(|at| format!("n{at}.example")).collect();
    let fault = Fault::NotCovered { target: "x.example".to_owned(), names };
    assert!(fault.to_string().ends_with("n3.example, n4.example and 3 more"), "{fault}");
}

#[test]
fn a_chain_too_long() {
    let names: Vec<String> = (0..3000).map(|at| format!("a-long-name-{at}.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let faults = faults(&Make::new(&names).cert(), "a-long-name-7.example", &Roots::Any);
    assert!(matches!(faults.as_slice(), [Fault::TooBig { .. }]), "{faults:?}");
}

#[test]
fn roots() {
    let Roots::Anchors(public) = Roots::public() else { panic!("anchors") };
    assert!(public.len() > 50);
    assert!(Roots::read(b"").is_err());
    assert!(Roots::read(b"-----BEGIN CERTIFICATE-----\nAA").is_err());
}

#[test]
fn tables_of_faults() {
    let word = str::to_owned;
    let untrusted = |issuer: &str, why: Option<&str>| Fault::Untrusted {
        issuer: word(issuer),
        root: word("ROOT"),
        why: why.map(word),
    };
    let faults = [
        Fault::NotCovered { target: word("DOMAIN"), names: vec![word("NAMES")] },
        Fault::NamesInSubject,
        Fault::Expired { not_after: NOW.parse().unwrap() },
        Fault::NotYetValid { not_before: NOW.parse().unwrap() },
        Fault::KeyKind(KeyKind::Other(word("KIND"))),
        Fault::WeakSignature("SHA-1"),
        Fault::ChainIncomplete { issuer: word("ISSUER") },
        untrusted("(STAGING) ISSUER", None),
        untrusted("ISSUER", None),
        untrusted("ISSUER", Some("WHY")),
        Fault::TooBig { bytes: LONGEST_CHAIN + 1, most: LONGEST_CHAIN },
    ];
    let rows = faults.map(|fault| [fault.to_string().replace(NOW, "TIME"), fault.help()]);
    check_table("faults", &rows);
}
