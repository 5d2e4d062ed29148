//! Names and keys as tables: many, wildcards alone, of other alphabets, refused one by one; what the CA was asked for, what was said.

use certferry_sandbox::world::Certificate;

use crate::issuing::{Town, certificate_more};

/// One certificate with these names for these CDN domains, from nothing to in step with one order.
fn issues(row: &str, names: &[&str], targets: &[&str], served: &[&str], ordered: &[&str]) {
    let town = Town::new(|seed| {
        seed.domains = served.iter().map(|&name| name.to_owned()).collect();
        seed.certificates = vec![Certificate::new(names, targets)];
    });
    let ended = town.run("renew");
    assert_eq!(ended.code, 0, "{row}: {}", ended.all());
    let orders = town.world.ca.orders();
    let mut ordered: Vec<_> = ordered.iter().map(|&name| name.to_owned()).collect();
    ordered.sort();
    assert_eq!((orders.len(), &orders[0].names), (1, &ordered), "{row}");
    for name in served {
        assert!(town.world.cloud.served(name).is_some(), "{row}: {name} serves nothing");
    }
    let plan = town.run("plan --json").json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{row}: a plan is left: {plan:#}");
    let left = town.world.cloud.records("example.test");
    assert_eq!(left.len(), 0, "{row}: records are left: {left:#?}");
}

#[test]
fn all_kinds_of_names_are_ordered() {
    let hundred: Vec<String> = (0..100).map(|number| format!("n{number}.example.test")).collect();
    let hundred: Vec<&str> = hundred.iter().map(String::as_str).collect();
    let star = ["*.example.test"];
    let stars = ["*.example.test", "*.a.example.test"];
    issues("a hundred names", &hundred, &hundred[..1], &hundred[..1], &hundred);
    issues("a wildcard alone", &star, &[".example.test"], &[".example.test"], &star);
    issues("wildcards alone", &stars, &[".a.example.test"], &[".a.example.test"], &stars);
    let (written, ascii) = ("München.example.test", "xn--mnchen-3ya.example.test");
    issues("other letters", &[written], &[written], &[ascii], &[ascii]);
    let (written, ascii) = ("*.例子.example.test", "*.xn--fsqu00a.example.test");
    let served = [".xn--fsqu00a.example.test"];
    issues("other letters below a star", &[written], &[".例子.example.test"], &served, &[ascii]);
}

#[test]
fn names_that_the_ca_refuses_are_told_one_by_one() {
    let town = Town::new(|seed| {
        let names = ["good.example.test", "bad.example.test", "worse.example.test"];
        seed.domains = vec!["good.example.test".to_owned()];
        seed.certificates = vec![Certificate::new(&names, &["good.example.test"])];
        seed.ca = seed.ca.clone().rules(|rules| {
            rules.rejected = ["bad.example.test", "worse.example.test"].map(str::to_owned).into();
        });
    });
    let report = town.run("renew --json").json();
    let error = &report["certificates"][0]["error"];
    let text = error["message"].as_str().unwrap();
    for word in ["bad.example.test: ", "worse.example.test: ", "(rejectedIdentifier)"] {
        assert!(text.contains(word), "nothing says `{word}`: {text}");
    }
    assert!(!text.contains("good.example.test"), "{text}");
    assert!(error["help"].as_str().unwrap().contains("take it out of `domains`"), "{error}");
}

#[test]
fn a_key_stays_or_goes() {
    for (more, stays) in [("reuse_key = true", true), ("reuse_key = false", false)] {
        let town = Town::new(|seed| certificate_more(seed, more));
        let key = || std::fs::read(town.store("live/example.test/privkey.pem")).unwrap();
        assert_eq!(town.run("renew").code, 0, "{more}");
        let first = key();
        assert_eq!(town.run("renew --force").code, 0, "{more}");
        assert_eq!((key() == first, town.cost()[1]), (stays, 2), "{more}");
        // A key of another kind is none to keep.
        town.edit(more, &format!("{more}\nkey_type = \"rsa-2048\""));
        assert_eq!(town.run("renew").code, 0, "{more}, of another kind");
        assert_ne!(key(), first, "{more}, of another kind");
    }
}

#[test]
fn more_names_than_a_ca_takes_cost_no_order() {
    let names: Vec<String> = (0..26).map(|number| format!("n{number}.example.test")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let town = Town::new(|seed| seed.certificates = vec![Certificate::new(&names, &[])]);
    let directory = town.world.ca.directory_url();
    let known = "https://acme-v02.api.letsencrypt.org/directory\"\nprofile = \"shortlived";
    town.edit(&directory, known);
    let ended = town.run("renew");
    assert_eq!((ended.code, town.cost()), (2, [0, 0, 0, 0]), "{}", ended.all());
    for said in ["config.toml:", "has 26 names", "takes 25", "help: share them out"] {
        assert!(ended.stderr.contains(said), "{said}: {}", ended.all());
    }
}
