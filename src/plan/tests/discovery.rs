//! What a certificate's names cover of an account's list, and whose a discovered target is.

use std::collections::BTreeSet;

use super::*;

fn texts(words: &str) -> Vec<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

/// The names of a certificate, a CDN domain in the cloud's list: is it covered, and how?
fn check(names: &str, listed: &str, expect: Option<Fit>) {
    let listing = Listing::new([(listed, "online")]);
    let fit = listing.covered(&texts(names)).first().map(|(_, fit)| *fit);
    assert_eq!(fit, expect, "{names} -> {listed}");
}

#[test]
fn what_names_cover() {
    use Fit::{Exact, Wildcard};
    check("cdn.example.com", "cdn.example.com", Some(Exact));
    check("cdn.example.com", "www.example.com", None);
    check("example.com", "cdn.example.com", None);
    check("cdn.example.com", "example.com", None);
    check("example.com", "notexample.com", None);
    check("*.example.com", "cdn.example.com", Some(Wildcard));
    check("*.example.com", "example.com", None);
    check("*.example.com", "a.cdn.example.com", None);
    check("*.example.com", "notexample.com", None);
    check("*.example.com", "cdn.notexample.com", None);
    check("*.example.com", ".example.com", Some(Exact));
    check("*.example.com", "*.example.com", Some(Exact));
    check("*.example.com", ".cdn.example.com", None);
    check("example.com", ".example.com", None);
    check("cdn.example.com", ".example.com", None);
    check("*.cdn.example.com", ".example.com", None);
    check("*.cdn.example.com", "a.cdn.example.com", Some(Wildcard));
    check("*.example.com cdn.example.com", "cdn.example.com", Some(Exact));
    check("cdn.example.com *.example.com", "cdn.example.com", Some(Exact));
    check("CDN.Example.COM", "cdn.example.com", Some(Exact));
    check("*.example.com", "CDN.Example.com", Some(Wildcard));
    check("münchen.example", "xn--mnchen-3ya.example", Some(Exact));
    check("xn--mnchen-3ya.example", "münchen.example", Some(Exact));
    check("XN--MNCHEN-3YA.example", "MÜNCHEN.example", Some(Exact));
    check("*.münchen.example", "cdn.xn--mnchen-3ya.example", Some(Wildcard));
    check("*.xn--mnchen-3ya.example", ".münchen.example", Some(Exact));
    check("*.例子.example", "cdn.xn--fsqu00a.example", Some(Wildcard));
    check("*.网址", "阿里云.网址", None);
    check("203.0.113.7", "203.0.113.7", None);
    check("*", "example.com", None);
    check("*.*.example.com", "a.b.example.com", None);
    check("", "example.com", None);
}

#[test]
fn a_long_list_is_looked_up_by_names() {
    let names: Vec<String> = (0..10_000).map(|at| format!("n{at}.example.com")).collect();
    let listed = names.iter().map(|name| (name.as_str(), "online"));
    let listing = Listing::new(listed.chain([(".example.com", "offline"), ("odd_one", "online")]));
    assert_eq!(listing.covered(&texts("*.example.com n5.example.com")).len(), 10_001);
    let five = listing.covered(&texts("n5.example.com"));
    assert_eq!((five.len(), five[0].0.domain.written.as_str()), (1, "n5.example.com"));
}

#[test]
fn which_status_is_a_target() {
    let check = |status: &str, online: bool| {
        assert_eq!(not_online(status).is_none(), online, "{status}");
    };
    check("online", true);
    check("configuring", true);
    check("", true);
    for status in
        ["offline", "configure_failed", "checking", "check_failed", "stopping", "deleting"]
    {
        check(status, false);
        assert!(not_online(status).is_some_and(|why| why.contains(status)), "{status}");
    }
}

/// A lineage: its name, its certificate's names, what is named for it; a claim has the hour of its hook, and
/// everybody discovers.
type Row<'a> = (&'a str, &'a str, &'a [&'a str], Option<i64>);

/// Who has what, who leaves out what, and who shares what with whom.
fn owners(listed: &[(&str, &str)], rows: &[Row<'_>]) -> Vec<String> {
    owners_if(listed, rows, BTreeSet::new())
}

/// The same where the certificates of some have ended.
fn owners_if(listed: &[(&str, &str)], rows: &[Row<'_>], ended: BTreeSet<String>) -> Vec<String> {
    let mut of_config = Vec::new();
    let mut claims = Vec::new();
    for (name, _, named, hour) in rows {
        match hour {
            None => of_config.push((*name, None, *named)),
            Some(hour) => claims.push(Claim {
                discovers: Some("default".to_owned()),
                ..claim(&format!("/l/{name}"), *hour, named)
            }),
        }
    }
    let mut config = config(&of_config);
    for certificate in &mut config.certificates {
        certificate.deploy[0].discover = true;
    }
    let names = rows.iter().map(|(name, names, ..)| ((*name).to_owned(), texts(names))).collect();
    let listings = [("default".to_owned(), Listing::new(listed.iter().copied()))].into();
    let known = Known { names, listings, ended, ..Known::default() };
    told(ownership(&config, &claims), &known)
}

fn told(mut owners: Ownership, known: &Known) -> Vec<String> {
    let contested = discover(&mut owners, known);
    let mut told = Vec::new();
    for lineage in &owners.lineages {
        let name = &lineage.name;
        let how = |owned: &Owned| if owned.discovered.is_some() { "found" } else { "named" };
        told.extend(
            lineage
                .targets
                .iter()
                .map(|own| format!("{name} {} {}", own.target.domain.written, how(own))),
        );
        told.extend(
            lineage
                .left_out
                .iter()
                .map(|one| format!("{name} leaves {}: {}", one.target.domain.written, one.why)),
        );
    }
    let shared = |one: &Contested| {
        format!("{} before {} at {}", one.winner, one.loser, one.target.domain.written)
    };
    told.extend(contested.iter().map(shared));
    told
}

#[test]
fn whose_a_discovered_target_is() {
    let check = |row: &str, listed: &[(&str, &str)], rows: &[Row<'_>], expect: &[&str]| {
        assert_eq!(owners(listed, rows), expect, "{row}");
    };
    let cdn = &[("cdn.x.com", "online")];
    check("alone", cdn, &[("a", "*.x.com", &[], None)], &["a cdn.x.com found"]);
    check("not covered: not a word", cdn, &[("a", "y.com", &[], None)], &[]);
    check(
        "offline",
        &[("cdn.x.com", "offline"), (".x.com", "configuring"), ("cdn.y.com", "offline")],
        &[("a", "*.x.com", &[], None)],
        &["a *.x.com found", "a leaves cdn.x.com: the CDN domain is not online but offline"],
    );
    check(
        "named and found: named",
        cdn,
        &[("a", "*.x.com", &["cdn.x.com"], None)],
        &["a cdn.x.com named"],
    );
    check(
        "named for another, in silence",
        cdn,
        &[("a", "cdn.x.com", &[], None), ("b", "*.x.com", &["cdn.x.com"], None)],
        &["b cdn.x.com named"],
    );
    check(
        "named by a hook, in silence",
        cdn,
        &[("a", "cdn.x.com", &[], None), ("b", "*.x.com", &["cdn.x.com"], Some(0))],
        &["b cdn.x.com named"],
    );
    check(
        "the first in the config",
        cdn,
        &[("b", "*.x.com", &[], None), ("a", "*.x.com", &[], None)],
        &["b cdn.x.com found", "b before a at cdn.x.com"],
    );
    check(
        "the exact name before the wildcard",
        cdn,
        &[("a", "*.x.com", &[], None), ("b", "cdn.x.com", &[], None)],
        &["b cdn.x.com found", "b before a at cdn.x.com"],
    );
    check(
        "the wildcard name is a wildcard CDN domain's own",
        &[(".x.com", "online")],
        &[("a", "*.x.com", &[], None), ("b", "x.com", &[], None)],
        &["a *.x.com found"],
    );
    check(
        "the config before a claim",
        cdn,
        &[("a", "*.x.com", &[], None), ("b", "cdn.x.com", &[], Some(0))],
        &["a cdn.x.com found", "a before b at cdn.x.com"],
    );
    check(
        "the latest claim",
        cdn,
        &[("a", "*.x.com", &[], Some(0)), ("b", "*.x.com", &[], Some(1))],
        &["b cdn.x.com found", "b before a at cdn.x.com"],
    );
    check(
        "three",
        cdn,
        &[("a", "*.x.com", &[], None), ("b", "*.x.com", &[], None), ("c", "cdn.x.com", &[], None)],
        &["c cdn.x.com found", "c before a at cdn.x.com", "c before b at cdn.x.com"],
    );
}

#[test]
fn what_has_ended_takes_nothing_from_what_lives() {
    let check = |row: &str, rows: &[Row<'_>], ended: &[&str], expect: &[&str]| {
        let ended = ended.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(owners_if(&[("cdn.x.com", "online")], rows, ended), expect, "{row}");
    };
    let claims: &[Row<'_>] = &[("a", "*.x.com", &[], Some(0)), ("b", "cdn.x.com", &[], Some(1))];
    let (a, b) = ("a before b at cdn.x.com", "b before a at cdn.x.com");
    check("both live", claims, &[], &["b cdn.x.com found", b]);
    check("the latest has ended", claims, &["b"], &["a cdn.x.com found", a]);
    check("both have", claims, &["a", "b"], &["b cdn.x.com found", b]);
    check("alone, it keeps what it finds", &claims[1..], &["b"], &["b cdn.x.com found"]);
    let of_config: &[Row<'_>] = &[("a", "cdn.x.com", &[], None), ("b", "*.x.com", &[], None)];
    check("in the config", of_config, &["a"], &["b cdn.x.com found", b]);
    let mixed: &[Row<'_>] = &[("a", "cdn.x.com", &[], None), ("b", "*.x.com", &[], Some(0))];
    check("the config goes before claims", mixed, &["a"], &["a cdn.x.com found", a]);
}

#[test]
fn what_was_found_is_kept_where_the_list_cannot_be_had() {
    let had = |names: &[&str]| {
        let domains = names.iter().map(|name| CdnDomain::read(name).unwrap()).collect();
        [("default".to_owned(), domains)].into()
    };
    let mut config = config(&[("a", None, &[]), ("b", None, &["y.x.com"])]);
    config.certificates[0].deploy[0].discover = true;
    let mut known = Known {
        remembered: [("a".to_owned(), had(&["cdn.x.com", "y.x.com"]))].into(),
        names: [("a".to_owned(), texts("*.x.com"))].into(),
        ..Known::default()
    };
    let expect = ["a cdn.x.com found", "b y.x.com named"];
    assert_eq!(told(ownership(&config, &[]), &known), expect, "no list");
    known.listings = [("default".to_owned(), Listing::new([("new.x.com", "online")]))].into();
    let expect_new = ["a new.x.com found", "b y.x.com named"];
    assert_eq!(told(ownership(&config, &[]), &known), expect_new, "a list");
    known.names.clear();
    assert_eq!(told(ownership(&config, &[]), &known), expect, "the names are not known");
}

#[test]
fn the_wishes_of_the_entry_hold() {
    let mut config = config(&[("a", None, &[])]);
    let deploy = &mut config.certificates[0].deploy[0];
    (deploy.discover, deploy.replace_foreign, deploy.verify) = (true, true, Verify::None);
    let claims = [Claim { discovers: Some("default".to_owned()), ..claim("/l/b", 0, &[]) }];
    let mut owners = ownership(&config, &claims);
    let listing = Listing::new([("a.com", "online"), ("b.com", "online")]);
    let known = Known {
        listings: [("default".to_owned(), listing)].into(),
        names: [("a".to_owned(), texts("a.com")), ("b".to_owned(), texts("b.com"))].into(),
        ..Known::default()
    };
    assert_eq!(discover(&mut owners, &known), []);
    let of = |at: usize| {
        let owned = &owners.lineages[at].targets[0];
        (owned.verify.clone(), owned.discovered, owned.cert_name.as_deref())
    };
    assert_eq!(of(0), (Verify::None, Some(Foreign::Replaced), None), "the config's");
    assert_eq!(of(1), (Verify::Readback, Some(Foreign::LeftAlone), None), "a hook's");
}
