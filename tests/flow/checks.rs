//! What is checked before anything is sent: what may not go reaches no cloud, and says why and what to do.

use certferry_sandbox::cloud::Domain;

use crate::house::{House, Leaf, fingerprint};
use crate::issuing::Town;

/// `deploy` of this certificate is refused, and no upload is tried.
fn check(row: &str, pem: &str, says: &[&str]) {
    let house = House::with(|seed| seed.domain(Domain::online("www.example.com")));
    house.write("old/chain.pem", pem);
    house.write_secret("old/key.pem", pem, 0o600);
    let args = "deploy --cert old/chain.pem --key old/key.pem --domain www.example.com";
    let ended = house.run(args);
    assert_eq!((ended.code, house.uploads()), (1, 0), "{row}: {}", ended.all());
    for word in says {
        assert!(ended.stderr.contains(word), "{row}: nothing says `{word}`: {}", ended.all());
    }
}

#[test]
fn what_was_good_once_goes_nowhere() {
    let says = ["is signed by ECDSA with SHA-1", "help: issue it again, from a CA that signs"];
    check("SHA-1", include_str!("../../src/check/testdata/sha1.pem"), &says);
    let says = ["no key of the kind RSA with 1024 bits", "help: issue again with a key of RSA"];
    check("RSA 1024", include_str!("../../src/check/testdata/rsa1024.pem"), &says);
}

#[test]
fn a_staging_certificate_never_goes_live() {
    let town = Town::new(|_| {});
    let roots = town.config.with_file_name("roots.pem").canonicalize().unwrap();
    town.edit(&format!("roots = \"{}\"", roots.display()), "roots = \"public\"");
    let ended = town.run("renew");
    assert_eq!(ended.code, 1, "{}", ended.all());
    for word in ["the chain cannot be trusted", "help: ", "`[trust] roots`"] {
        assert!(ended.stderr.contains(word), "nothing says `{word}`: {}", ended.all());
    }
    assert_eq!(town.world.cloud.calls("SetDomainServerCertificate").len(), 0);
}

#[test]
fn a_name_in_either_form_is_one_name() {
    let names = vec!["xn--bcher-kva.example", "*.xn--bcher-kva.example"];
    let mut house = House::with(|seed| {
        names
            .iter()
            .fold(seed, |seed, name| seed.domain(Domain::online(name.trim_start_matches('*'))))
    });
    let (chain, _) = house.lineage("a", &Leaf { names, ..Leaf::new() });
    "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"Bücher.example\", \"*.bücher.example\"]\n"
        .clone_into(&mut house.config);
    let ended = house.run("renew");
    assert!(ended.stdout.contains("*.bücher.example: deployed"), "{}", ended.all());
    for domain in ["xn--bcher-kva.example", ".xn--bcher-kva.example"] {
        assert_eq!(house.cloud.served_fingerprint(domain), Some(fingerprint(&chain)), "{domain}");
    }
}
