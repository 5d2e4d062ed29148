//! The account at the CA as a table: what was asked, what goes wrong on the way, and whether the next run can still order.

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;

use certferry_sandbox::fault::{Ending, Fault};
use certferry_sandbox::world::Certificate;
use serde_json::Value;

use crate::house::Ended;
use crate::issuing::{Town, ca_rules};

/// A town whose first certificate has been issued: there is an account.
fn town() -> Town {
    let town = Town::new(|_| {});
    let ended = town.run("renew");
    assert_eq!(ended.code, 0, "{}", ended.all());
    town
}

fn account(town: &Town) -> certferry_sandbox::ca::Account {
    let [account] = town.world.ca.accounts().try_into().unwrap_or_else(|all| panic!("{all:?}"));
    account
}

fn says(row: &str, ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    let all = ended.all();
    words
        .iter()
        .for_each(|word| assert!(all.contains(word), "{row}: nothing says `{word}`: {all}"));
}

/// Another certificate can be had, with the same account, and no key is left over.
fn can_order(row: &str, town: &Town) {
    let before = town.world.ca.certificates().len();
    let ended = town.run("renew example.test --force");
    assert_eq!(ended.code, 0, "{row}: {}", ended.all());
    assert_eq!(town.world.ca.certificates().len(), before + 1, "{row}");
    let folder = std::fs::read_dir(town.store("acme")).unwrap().next().unwrap().unwrap().path();
    let files = std::fs::read_dir(folder).unwrap().count();
    assert_eq!(files, 1, "{row}: one account, one file");
}

#[test]
fn it_is_shown_as_the_ca_has_it() {
    let town = town();
    let known = account(&town);
    let shown = town.run("account show");
    says("text", &shown, 0, &[&known.url, "valid", &known.thumbprint, "account.json"]);
    let json = town.run("account --json show").json();
    assert_eq!(json["url"], Value::from(known.url.as_str()));
    assert_eq!((&json["schema"], &json["status"]), (&Value::from(1), &Value::from("valid")));
    let none = Town::new(|_| {}).run("account show");
    says("none", &none, 1, &["there is no account at", "help: ", "certferry renew"]);
}

/// A registration whose answer never came: the next run has the same account, as the configuration has it.
fn registers_once(row: &str, eab: &str, fault: Fault) {
    let town = Town::new(|seed| {
        ca_rules(seed, |rules| {
            rules.eab_keys.insert("kid-1".to_owned(), vec![7; 32]);
            rules.eab_required = !eab.is_empty();
        });
    });
    town.edit("terms_agreed = true", &format!("terms_agreed = true\n{eab}"));
    write_mac_key(&town);
    town.world.ca.fault(fault);
    let mut child = town.program("renew").spawn().unwrap();
    while town.world.ca.faults_left() > 0 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert_eq!(child.try_wait().unwrap(), None, "{row}: it ended before its time");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let ended = town.run("renew example.test");
    assert_eq!(ended.code, 0, "{row}: {}", ended.all());
    let account = account(&town);
    assert_eq!(account.contact, ["mailto:ops@example.test"], "{row}");
    assert_eq!(account.eab.is_some(), !eab.is_empty(), "{row}");
    can_order(row, &town);
}

fn write_mac_key(town: &Town) {
    let path = town.folder.path().join("mac.key");
    std::fs::write(&path, "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc").unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

#[test]
fn a_killed_registration_leaves_no_second_account() {
    let eab = "eab = { key_id = \"kid-1\", hmac_key_file = \"mac.key\" }";
    registers_once("before the effect", "", Fault::at("newAccount").before().silence());
    registers_once("after the effect", "", Fault::at("newAccount").after().silence());
    registers_once("bound", eab, Fault::at("newAccount").after().silence());
}

/// The key of a registration that was killed belongs to an account that has ended since: a new one is had.
#[test]
fn a_key_that_the_ca_refuses_twice_is_given_up() {
    let town = Town::new(|_| {});
    for row in ["a new key", "the same key"] {
        town.world.ca.fault(Fault::at("newAccount").before().answer("unauthorized", 403));
        says(row, &town.run("renew"), 1, &["unauthorized"]);
    }
    let keys = jwks(&town);
    assert_eq!(keys[0], keys[1], "a refusal may be a lie");
    says("a third run", &town.run("renew"), 0, &["registered the account"]);
    assert_ne!(jwks(&town)[2], keys[1]);
    account(&town);
}

/// The key of each call of newAccount.
fn jwks(town: &Town) -> Vec<Value> {
    let calls = town.world.ca.calls("newAccount");
    let heard = calls.iter().filter(|call| call.ending != Ending::Refused("badNonce".to_owned()));
    heard.map(|call| call.protected["jwk"].clone()).collect()
}

#[test]
fn two_runs_at_once_register_one_account() {
    let town = Town::new(|seed| {
        ca_rules(seed, |rules| rules.latency = std::time::Duration::from_millis(100));
        seed.certificates.push(Certificate::new(&["other.example.test"], &[]));
    });
    let runs = ["renew example.test", "renew other.example.test"];
    let runs = runs.map(|args| town.command(args).stderr(Stdio::piped()).spawn().unwrap());
    for run in runs {
        let ended = run.wait_with_output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
    account(&town);
    let calls = town.world.ca.calls("newAccount");
    let done = calls.iter().filter(|call| call.ending == Ending::Done);
    assert_eq!(done.count(), 1, "asked by one of both");
}

#[test]
fn its_contact_is_the_configurations() {
    let town = town();
    town.edit("ops@example.test", "new@example.test");
    says("update", &town.run("account update"), 0, &["new contact", "new@example.test"]);
    assert_eq!(account(&town).contact, ["mailto:new@example.test"]);
    can_order("after an update", &town);
}

/// A change of keys on which this goes wrong: does it end well, and is there a new key afterwards?
fn rolls(row: &str, fault: Option<Fault>, code: i32, is_new: bool) {
    let town = town();
    let before = account(&town);
    fault.into_iter().for_each(|fault| town.world.ca.fault(fault));
    let ended = town.run("account rollover");
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    town.world.ca.heal();
    can_order(row, &town);
    let after = account(&town);
    assert_eq!(after.url, before.url, "{row}: the account stays");
    assert_eq!(after.thumbprint != before.thumbprint, is_new, "{row}: {}", ended.all());
}

#[test]
fn it_gets_a_new_key_and_is_never_without_one() {
    rolls("all is well", None, 0, true);
    rolls("refused", Some(Fault::at("keyChange").answer("malformed", 400)), 1, false);
    rolls("a nonce refused", Some(Fault::at("keyChange").answer("badNonce", 400)), 0, true);
    rolls("cut off before", Some(Fault::at("keyChange").before().reset()), 1, false);
    rolls("cut off after", Some(Fault::at("keyChange").after().reset()), 0, true);
    rolls("a page after", Some(Fault::at("keyChange").after().html(502)), 0, true);
}

/// Killed after the CA has heard of the new key: the next who needs the account finds out which counts.
#[test]
fn a_killed_change_of_keys_is_settled_by_the_next_run() {
    for (row, fault, is_new) in [
        ("before the effect", Fault::at("keyChange").before().silence(), false),
        ("after the effect", Fault::at("keyChange").after().silence(), true),
    ] {
        let town = town();
        let before = account(&town);
        town.world.ca.fault(fault);
        let mut child = town.program("account rollover").spawn().unwrap();
        while town.world.ca.calls("keyChange").is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert_eq!(child.try_wait().unwrap(), None, "{row}: it ended before it was killed");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        town.world.ca.heal();
        can_order(row, &town);
        assert_eq!(account(&town).thumbprint != before.thumbprint, is_new, "{row}");
    }
}

/// Whoever found the next key of a change under way would ask the CA which one counts, and throw away the wrong one.
#[test]
fn who_needs_the_account_waits_for_a_change_of_keys() {
    for other in ["revoke example.test", "renew example.test --force", "account show"] {
        let town = town();
        town.world.ca.fault(Fault::at("keyChange").before().silence());
        let mut child = town.program("account rollover").spawn().unwrap();
        while town.world.ca.calls("keyChange").is_empty() {
            std::thread::sleep(std::time::Duration::from_millis(20));
            assert_eq!(child.try_wait().unwrap(), None, "{other}: it ended before its time");
        }
        let mut waiting = town.command(other).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines =
            BufReader::new(waiting.stderr.take().unwrap()).lines().map_while(Result::ok);
        let is_told = lines.any(|line| line.contains("waiting for"));
        let folder = std::fs::read_dir(town.store("acme")).unwrap().next().unwrap().unwrap().path();
        let is_there = folder.join("next.json").exists();
        child.kill().unwrap();
        child.wait().unwrap();
        town.world.ca.heal();
        let rest: Vec<_> = lines.collect();
        assert!(waiting.wait().unwrap().success(), "{other}: {rest:?}");
        assert!(is_told && is_there, "{other}: told {is_told}, there {is_there}");
    }
}

/// Another machine has ended the account: nothing is undone by itself, and the way out is told.
#[test]
fn one_that_was_ended_elsewhere_is_told_with_the_way_out() {
    let town = town();
    let folder = std::fs::read_dir(town.store("acme")).unwrap().next().unwrap().unwrap().path();
    let (file, copy) = (folder.join("account.json"), folder.join("copy"));
    std::fs::copy(&file, &copy).unwrap();
    says("end", &town.run("account deactivate"), 0, &["has ended"]);
    std::fs::rename(&copy, &file).unwrap();
    let words = ["unauthorized", "move its account.json away", "registers a new one"];
    says("renew", &town.run("renew example.test --force"), 1, &words);
    let shown = file.display().to_string();
    says("show", &town.run("account show"), 1, &[&shown, "unauthorized"]);
    says("deactivate", &town.run("account deactivate"), 1, &[&shown, "unauthorized"]);
    std::fs::remove_file(file).unwrap();
    assert_eq!(town.run("renew example.test --force").code, 0, "the way out");
}

#[test]
fn it_ends_for_good() {
    let town = town();
    says("end", &town.run("account deactivate"), 0, &["has ended", "deactivated"]);
    assert_eq!(account(&town).status, "deactivated");
    says("then", &town.run("account show"), 1, &["there is no account"]);
    let ended = town.run("renew example.test --force");
    assert_eq!(ended.code, 0, "a new one is registered: {}", ended.all());
    assert_eq!(town.world.ca.accounts().len(), 2);
}

#[test]
fn what_is_revoked_is_due_at_once() {
    let town = town();
    let revoked = town.run("revoke example.test --reason key-compromise");
    says("revoke", &revoked, 0, &["revoked", "certferry renew example.test"]);
    assert_eq!(town.world.ca.certificates()[0].revoked, Some(1));
    says("again", &town.run("revoke example.test"), 0, &["revoked"]);
    says("plan", &town.run("plan"), 0, &["issue", "it was revoked"]);
    says("renew", &town.run("renew"), 0, &["deployed"]);
    assert_eq!(town.world.ca.certificates().len(), 2);
    let plan = town.run("plan --json").json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{plan:#}");
    says("unknown", &town.run("revoke exmaple.test"), 2, &["is it `example.test`?"]);
    let none = Town::new(|_| {});
    says("nothing", &none.run("revoke example.test"), 1, &["no certificate to revoke"]);
}
