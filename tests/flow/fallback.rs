//! Two CAs as tables: what the first one does; what was ordered at which, what was said, and what a next run finds to do.

use std::fs;

use certferry_sandbox::ca::{Ca, Seed as CaSeed};
use certferry_sandbox::fault::Fault;
use certferry_sandbox::world::Certificate;

use crate::ca_calls::{patient, slow_dns};
use crate::house::Ended;
use crate::issuing::Town;

/// A town with a second CA, `[acme.second]`, which stands in for the first.
struct Twin {
    town: Town,
    second: Ca,
}

impl Twin {
    fn new() -> Self {
        Self::with("fallback = \"second\"\n", |_| {})
    }

    /// With these lines in `[acme]`.
    fn with(more: &str, seed: impl FnOnce(&mut certferry_sandbox::world::Seed)) -> Self {
        let town = Town::new(|changed| {
            patient(changed);
            seed(changed);
        });
        // Another chance: two CAs share no serial numbers, nonces or keys.
        let second = Ca::start(CaSeed::new().chance(2).dns(&town.world.dns).rules(slow_dns));
        let folder = town.folder.path();
        fs::write(folder.join("ca2.pem"), second.tls_root_pem()).unwrap();
        let roots = town.world.ca.roots() + &second.roots();
        fs::write(folder.join("roots.pem"), roots).unwrap();
        let section = format!(
            "{more}\n[acme.second]\ndirectory = \"{}\"\nterms_agreed = true\nca_file = \"ca2.pem\"\n\n[store]\n",
            second.directory_url()
        );
        town.edit("\n[store]\n", &section);
        Self { town, second }
    }

    /// Certificates of the first and of the second CA.
    fn issued(&self) -> [usize; 2] {
        [self.town.world.ca.certificates().len(), self.second.certificates().len()]
    }

    /// Orders at the first and at the second CA.
    fn orders(&self) -> [usize; 2] {
        [self.town.world.ca.orders().len(), self.second.orders().len()]
    }

    fn fault(&self, fault: Fault) {
        self.town.world.ca.fault(fault);
    }

    /// Nothing is to be done, and status finds all well.
    fn is_in_step(&self, row: &str) {
        let plan = self.town.run("plan --json").json();
        assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{row}: a plan is left: {plan:#}");
        let status = self.town.run("status");
        assert_eq!(status.code, 0, "{row}: {}", status.all());
        let left = self.town.world.cloud.txt("_acme-challenge.example.test");
        assert_eq!(left.len(), 0, "{row}: records are left");
    }
}

fn says(row: &str, ended: &Ended, code: i32, words: &[&str]) {
    let all = ended.all();
    assert_eq!(ended.code, code, "{row}: {all}");
    words
        .iter()
        .for_each(|word| assert!(all.contains(word), "{row}: nothing says `{word}`: {all}"));
}

/// One run with a first CA that is not well: the fallback issues, and all is in step.
fn stands_in(row: &str, trouble: impl FnOnce(&mut Twin), words: &[&str]) -> Twin {
    let mut twin = Twin::new();
    trouble(&mut twin);
    let ended = twin.town.run("renew");
    let common =
        ["[acme] failed: ", "trying [acme.second]", "by the fallback [acme.second]", "help: "];
    says(row, &ended, 0, &[&common, words].concat());
    assert_eq!(twin.issued(), [0, 1], "{row}: {}", ended.all());
    twin.is_in_step(row);
    twin
}

#[test]
fn the_fallback_issues_where_the_first_fails_by_its_own_fault() {
    std::thread::scope(|rows| {
        rows.spawn(|| {
            stands_in("down", |twin| twin.town.world.ca.stop(), &["cannot be fetched"]);
        });
        rows.spawn(|| {
            let page = |twin: &mut Twin| twin.fault(Fault::at("directory").always().html(503));
            stands_in("a page in its place", page, &["503"]);
        });
        rows.spawn(|| {
            let own = |twin: &mut Twin| twin.fault(Fault::at("newOrder").always());
            stands_in("its own fault", own, &["serverInternal"]);
        });
        rows.spawn(|| {
            let name = |twin: &mut Twin| {
                twin.town.world.ca.rules(|rules| {
                    rules.rejected.insert("example.test".to_owned());
                })
            };
            stands_in("a name that it refuses", name, &["rejectedIdentifier"]);
        });
        rows.spawn(|| {
            let account = |twin: &mut Twin| {
                twin.fault(Fault::at("newAccount").always().answer("unauthorized", 403))
            };
            stands_in("no account", account, &["unauthorized"]);
        });
        rows.spawn(|| {
            let invalid = |twin: &mut Twin| {
                twin.town
                    .world
                    .ca
                    .rules(|rules| rules.issuing_fails = Some("no more today".to_owned()))
            };
            stands_in("an order that it makes invalid", invalid, &["no more today"]);
        });
    });
}

#[test]
fn a_first_ca_that_asked_to_wait_is_left_alone() {
    let limit = Fault::at("newOrder").answer("rateLimited", 429).retry_after(7_200_000);
    let twin = stands_in("a limit", |twin| twin.fault(limit), &["rateLimited"]);
    let town = &twin.town;
    town.world.ca.forget_calls();
    let ended = town.run("renew example.test --force");
    says("next", &ended, 0, &["trying the fallback [acme.second]", "the first CA asked to wait"]);
    assert_eq!(
        town.world.ca.all_calls().len(),
        0,
        "asked before its time: {:#?}",
        town.world.ca.all_calls()
    );
    assert_eq!(twin.issued(), [0, 2]);
    twin.second.fault(Fault::at("newOrder").answer("rateLimited", 429).retry_after(3_600_000));
    says(
        "then",
        &town.run("renew example.test --force"),
        1,
        &["the fallback [acme.second] failed", "rateLimited"],
    );
    twin.second.forget_calls();
    let waits = town.run("renew example.test --force");
    says(
        "both wait",
        &waits,
        0,
        &["the first CA asked to wait", "not before", "the fallback [acme.second] asked to wait"],
    );
    let calls = town.world.ca.all_calls().len() + twin.second.all_calls().len();
    assert_eq!(calls, 0, "asked before their time");
}

#[test]
fn the_first_is_tried_first_again() {
    let twin = stands_in("its own fault", |twin| twin.fault(Fault::at("newOrder")), &[]);
    let ended = twin.town.run("renew example.test --force");
    says("well again", &ended, 0, &["issued"]);
    assert!(!ended.all().contains("acme.second"), "{}", ended.all());
    assert_eq!(twin.issued(), [1, 1]);
    twin.is_in_step("well again");
}

#[test]
fn both_fail_and_one_error_names_them() {
    let twin = Twin::new();
    twin.fault(Fault::at("newOrder").answer("caa", 403).saying("not by the first"));
    twin.second
        .fault(Fault::at("newOrder").answer("rejectedIdentifier", 400).saying("not by the second"));
    let ended = twin.town.run("renew --json");
    let report = ended.json();
    let error = &report["certificates"][0]["error"];
    let text = format!("{} {}", error["message"], error["help"]);
    assert_eq!(ended.code, 1, "{}", ended.all());
    for word in [
        "the CA of [acme] failed",
        "not by the first",
        "the fallback [acme.second] failed too",
        "not by the second",
        "CAA record",
        "take it out",
    ] {
        assert!(text.contains(word), "nothing says `{word}`: {text}");
    }
    let waits = twin.town.run("renew");
    says(
        "the next run",
        &waits,
        1,
        &["the first CA failed (1 in a row", "the fallback [acme.second] failed (1 in a row"],
    );
    let status = twin.town.run("status --json").json();
    assert_eq!(status["certificates"][0]["failures"], 1, "{status:#}");
}

#[test]
fn a_fallback_that_waits_is_left_alone_and_named() {
    let twin = Twin::new();
    twin.fault(Fault::at("newOrder").always());
    let limit = Fault::at("newOrder").answer("rateLimited", 429).retry_after(3_600_000);
    twin.second.fault(limit);
    says("both", &twin.town.run("renew"), 1, &["failed too", "rateLimited"]);
    twin.second.forget_calls();
    let words = ["serverInternal", "the fallback [acme.second] is not asked before", "rateLimited"];
    says("next", &twin.town.run("renew example.test"), 1, &words);
    assert_eq!(twin.second.all_calls().len(), 0, "asked before its time");
}

/// What is ours to put right is no reason to ask another CA.
fn stays(row: &str, trouble: impl FnOnce(&Twin), words: &[&str]) {
    let twin = Twin::new();
    trouble(&twin);
    for run in ["once", "again"] {
        let ended = twin.town.run("renew");
        says(&format!("{row}, {run}"), &ended, 1, words);
        assert_eq!(twin.second.all_calls().len(), 0, "{row}, {run}: {}", ended.all());
    }
}

#[test]
fn what_is_ours_to_put_right_asks_nothing_of_the_fallback() {
    std::thread::scope(|rows| {
        rows.spawn(|| {
            let hide = |twin: &Twin| {
                let nothing =
                    "provider = \"exec\"\nprogram = \"/bin/true\"\npropagation_timeout = \"1s\"\n";
                twin.town.edit("provider = \"alidns\"\naliyun = \"default\"\n", nothing);
            };
            stays("a record that never shows", hide, &["_acme-challenge.example.test"]);
        });
        rows.spawn(|| {
            let deny = |twin: &Twin| {
                let denied = Fault::at("AddDomainRecord").always().answer("Forbidden.RAM", 403);
                twin.town.world.cloud.fault(denied);
            };
            stays("a DNS that does not take it", deny, &["alidns:AddDomainRecord"]);
        });
        rows.spawn(|| {
            let profile =
                |twin: &Twin| twin.town.edit("fallback = ", "profile = \"longlived\"\nfallback = ");
            stays("an unknown profile", profile, &["the CA offers no profile `longlived`"]);
        });
        rows.spawn(|| {
            let ahead = |twin: &Twin| {
                let ahead = jiff::SignedDuration::from_mins(30);
                twin.town.world.ca.rules(|rules| rules.clock_ahead = ahead);
            };
            stays("a clock that is off", ahead, &["this machine's clock"]);
        });
        rows.spawn(|| {
            let contact = |twin: &Twin| {
                twin.fault(Fault::at("newAccount").always().answer("invalidContact", 400))
            };
            stays("a wrong contact", contact, &["correct the CA's `contact`"]);
        });
    });
}

#[test]
fn an_order_under_way_outlives_a_hiccup_but_not_two() {
    let begun = |row: &str| {
        let twin = Twin::new();
        twin.fault(Fault::at("finalize").always().before().reset());
        let ended = twin.town.run("renew");
        says(row, &ended, 1, &["the CA did not answer to issue the certificate"]);
        assert_eq!((twin.orders(), twin.second.all_calls().len()), ([1, 0], 0), "{row}");
        twin
    };
    let twin = begun("a hiccup");
    twin.town.world.ca.heal();
    says("it is over", &twin.town.run("renew"), 0, &["carrying on with the order"]);
    assert_eq!((twin.orders(), twin.issued()), ([1, 0], [1, 0]));
    twin.is_in_step("it is over");

    let twin = begun("more than a hiccup");
    says("it goes on", &twin.town.run("renew"), 0, &["trying [acme.second]"]);
    assert_eq!((twin.orders(), twin.issued()), ([1, 1], [0, 1]));
    twin.is_in_step("it goes on");
    let versions = fs::read_dir(twin.town.store("archive/example.test")).unwrap().count();
    assert_eq!(versions, 1, "the key of the abandoned order is gone");

    // A renewal later, an order begins anew: a hiccup is a hiccup again.
    let ended = twin.town.run("renew example.test --force");
    says("a renewal later", &ended, 1, &["the CA did not answer"]);
    assert_eq!((twin.orders(), twin.issued()), ([2, 1], [0, 1]));
}

/// The fallback's order is carried on by the fallback, while the first is still down.
#[test]
fn an_order_under_way_at_the_fallback_is_carried_on_there() {
    let mut twin = Twin::new();
    twin.town.world.ca.stop();
    twin.second.fault(Fault::at("finalize").times(3).before().reset());
    says("cut off", &twin.town.run("renew"), 1, &["failed too", "the CA did not answer"]);
    twin.second.heal();
    says("next", &twin.town.run("renew"), 0, &["carrying on with the order"]);
    assert_eq!((twin.orders(), twin.issued()), ([0, 1], [0, 1]));
    twin.is_in_step("next");
}

/// The fallback knows its own profile and nothing of the first one's.
#[test]
fn profiles_are_each_cas_own() {
    let mut twin = Twin::with("fallback = \"second\"\nprofile = \"tlsserver\"\n", |seed| {
        "profile = \"shortlived\"".clone_into(&mut seed.certificates[0].more);
    });
    assert_eq!(twin.town.run("renew").code, 0);
    assert_eq!(twin.town.world.ca.orders()[0].profile.as_deref(), Some("shortlived"));
    twin.town.world.ca.stop();
    assert_eq!(twin.town.run("renew example.test --force").code, 0);
    assert_eq!(twin.second.orders()[0].profile, None);
    twin.is_in_step("none");
    twin.town.edit("[acme.second]\n", "[acme.second]\nprofile = \"classic\"\n");
    says("another wish of the fallback", &twin.town.run("plan"), 0, &["asks for another"]);
    assert_eq!(twin.town.run("renew").code, 0);
    assert_eq!(twin.second.orders()[1].profile.as_deref(), Some("classic"));
    twin.is_in_step("its own");
}

#[test]
fn each_certificate_chooses_its_ca() {
    let twin = Twin::with("", |seed| {
        seed.domains = ["a.example.test", "b.example.test"].map(str::to_owned).into();
        seed.certificates = ["a", "b"]
            .map(|name| {
                let name = format!("{name}.example.test");
                Certificate::new(&[&name], &[&name])
            })
            .into();
        "acme = \"second\"".clone_into(&mut seed.certificates[1].more);
    });
    says("renew", &twin.town.run("renew"), 0, &["2 issued"]);
    let names =
        |ca: &Ca| ca.certificates().iter().flat_map(|one| one.names.clone()).collect::<Vec<_>>();
    assert_eq!(names(&twin.town.world.ca), ["a.example.test"]);
    assert_eq!(names(&twin.second), ["b.example.test"]);
    twin.is_in_step("both");

    let account = |args: &str| twin.town.run(args).json()["url"].as_str().unwrap().to_owned();
    assert_eq!(account("account show --json"), twin.town.world.ca.accounts()[0].url);
    assert_eq!(account("account --ca second show --json"), twin.second.accounts()[0].url);
    assert_eq!(account("account show --ca default --json"), twin.town.world.ca.accounts()[0].url);
    says(
        "misspelt",
        &twin.town.run("account show --ca secnod"),
        2,
        &["[acme.secnod]", "is it `second`?"],
    );
    says("unknown", &twin.town.run("account show --ca other"), 2, &["known are: default, second"]);

    says("revoke", &twin.town.run("revoke b.example.test"), 0, &["revoked"]);
    assert!(twin.second.certificates()[0].revoked.is_some());
    assert!(twin.town.world.ca.certificates()[0].revoked.is_none());
}

#[test]
fn a_certificate_is_revoked_where_it_was_issued() {
    let twin = stands_in("its own fault", |twin| twin.fault(Fault::at("newOrder")), &[]);
    let status = twin.town.run("status --json").json();
    let reason = status["certificates"][0]["renew_reason"].as_str().unwrap();
    assert!(reason.contains("issued by the fallback [acme.second]"), "{reason}");
    let (url, other) = (twin.second.directory_url(), "https://127.0.0.1:9/directory");
    twin.town.edit(&url, other);
    let words = [url.as_str(), "which the configuration does not name", "[acme.NAME]"];
    says("named no more", &twin.town.run("revoke example.test"), 1, &words);
    twin.town.edit(other, &url);
    says("revoke", &twin.town.run("revoke example.test"), 0, &["revoked"]);
    assert!(twin.second.certificates()[0].revoked.is_some());
    assert!(twin.town.world.ca.calls("revokeCert").is_empty());
    says("renew", &twin.town.run("renew"), 0, &["it was revoked"]);
    assert_eq!(twin.issued(), [1, 1], "the first is tried first");
    says("revoke again", &twin.town.run("revoke example.test"), 0, &["revoked"]);
    assert!(twin.town.world.ca.certificates()[0].revoked.is_some());
}
