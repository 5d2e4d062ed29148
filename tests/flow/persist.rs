//! dns-persist-01 as tables: what stands in the DNS; what was said, what it cost at the CA, and that nothing was put.

use certferry_sandbox::ca::{Ca, Persist, Rules, Seed as CaSeed};
use certferry_sandbox::dns::{Behaviour, RecordType, ResponseCode};
use serde_json::Value;

use crate::house::Ended;
use crate::issuing::{ONE, Town, ca_rules, certificate_more};

const PLACE: &str = "_validation-persist.example.test";

/// A town whose certificate is proved by records that stand there for good.
fn town(rules: impl FnOnce(&mut Rules)) -> Town {
    Town::new(|seed| {
        certificate_more(seed, "challenge = \"dns-persist-01\"");
        ca_rules(seed, |all| {
            all.persist = Some(Persist::Url);
            rules(all);
        });
    })
}

fn set(town: &Town, records: &[&str]) {
    let records: Vec<String> = records.iter().map(|&record| record.to_owned()).collect();
    town.world.dns.zones().set("example.test", PLACE, "TXT", &records);
}

/// The value that an answer says to set.
fn told(ended: &Ended) -> String {
    let all = ended.all();
    let (_, rest) =
        all.split_once(&format!("set: {PLACE}. TXT \"")).unwrap_or_else(|| panic!("{all}"));
    rest.split_once('"').unwrap().0.to_owned()
}

fn says(row: &str, ended: &Ended, code: i32, words: &[&str]) {
    let all = ended.all();
    assert_eq!(ended.code, code, "{row}: {all}");
    words
        .iter()
        .for_each(|word| assert!(all.contains(word), "{row}: nothing says `{word}`: {all}"));
}

/// Nothing was put, by the cloud's DNS or anywhere.
fn nothing_was_put(row: &str, town: &Town) {
    assert!(town.world.cloud.calls("AddDomainRecord").is_empty(), "{row}");
}

#[test]
fn the_record_is_told_then_used_for_good() {
    for (row, names) in [("by its URL", Persist::Url), ("by a hash", Persist::Hash)] {
        let town = town(|rules| rules.persist = Some(names));
        let first = town.run("renew");
        says(row, &first, 1, &["has no TXT record", "help: set these TXT records"]);
        assert_eq!(town.cost(), [0, 0, 0, 0], "{row}: nothing was ordered: {}", first.all());
        let record = told(&first);
        let account = &town.world.ca.accounts()[0].url;
        assert_eq!(record.contains(account.as_str()), names == Persist::Url, "{row}: {record}");
        assert!(record.ends_with("; policy=wildcard"), "{row}: {record}");

        let shown = town.run("account show --json").json();
        assert_eq!(shown["records"][0]["name"], PLACE, "{row}: {shown:#}");
        assert_eq!(shown["records"][0]["value"], Value::from(record.as_str()), "{row}");
        says(row, &town.run("account show"), 0, &[&format!("{PLACE}. TXT \"{record}\"")]);
        let doctor = town.run("doctor");
        says(row, &doctor, 1, &[PLACE, "has no TXT record"]);
        assert_eq!(told(&doctor), record, "{row}: doctor says the same");

        set(&town, &["v=of somebody else", &record]);
        says(row, &town.run("doctor"), 0, &["record"]);
        says(row, &town.run("renew"), 0, &["deployed"]);
        assert_eq!(town.cost(), ONE, "{row}");
        says(row, &town.run("renew --force example.test"), 0, &["issued"]);
        assert_eq!(town.cost()[..2], [2, 2], "{row}: renewed with the record that stands there");
        nothing_was_put(row, &town);
        let plan = town.run("plan --json").json();
        assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{row}: {plan:#}");
    }
}

#[test]
fn doctor_warns_before_a_record_ends() {
    let town = town(|_| {});
    let record = told(&town.run("renew"));
    let check = |row: &str, days: i64, state: &str| {
        let until = jiff::Timestamp::now().as_second() + days * 24 * 3600;
        set(&town, &[&format!("{record}; persistUntil={until}")]);
        let doctor = town.run("doctor --json").json();
        let checks = doctor["checks"].as_array().unwrap().iter();
        let states: Vec<_> = checks.filter(|check| check["name"] == "record").collect();
        assert_eq!(
            (states.len(), states[0]["state"].as_str()),
            (1, Some(state)),
            "{row}: {states:?}"
        );
    };
    check("next year", 365, "good");
    check("next week", 7, "warning");
    check("yesterday", -1, "bad");
}

/// One record that does not do, and no order; `URL` stands for our account's.
fn refuses(row: &str, record: &str, why: &str) {
    let town = town(|_| {});
    let good = told(&town.run("renew"));
    let account = town.world.ca.accounts()[0].url.clone();
    set(&town, &[&record.replace("URL", &account)]);
    let ended = town.run("renew");
    says(row, &ended, 1, &[why, &good]);
    assert_eq!(town.cost(), [0, 0, 0, 0], "{row}: {}", ended.all());
    says(row, &town.run("doctor"), 1, &[why, &good]);
    set(&town, &[&good]);
    says(row, &town.run("renew"), 0, &["deployed"]);
    assert_eq!(town.cost(), ONE, "{row}");
    nothing_was_put(row, &town);
}

#[test]
fn a_record_that_does_not_do_costs_no_order() {
    let with = |more: &str| format!("ca.sandbox.example; accounturi={more}");
    refuses("another account's", &with("URL0; policy=wildcard"), "is for the account");
    refuses("no wildcard", &with("URL"), "has no `policy=wildcard`");
    refuses("over", &with("URL; policy=wildcard; persistUntil=1767225600"), "ended at 2026-01-01");
    refuses("another CA's", "ca.example; accounturi=URL; policy=wildcard", "has no record for");
    refuses("half a record", &with("URL; policy"), "which is no parameter");
}

/// A CA asks from several places: a server that lacks it would fail it, one that is broken does not.
#[test]
fn all_servers_that_answer_must_show_it() {
    let town = town(|_| {});
    let record = told(&town.run("renew"));
    set(&town, &[&record]);
    let answers = |code| Behaviour::Answers(code, vec![RecordType::TXT]);
    town.world.dns.behave(1, answers(ResponseCode::NXDomain));
    let server = town.world.dns.addresses()[1].to_string();
    let ended = town.run("renew");
    says("one lacks it", &ended, 1, &["has no TXT record", &format!("({server} says)")]);
    assert_eq!(town.cost(), [0, 0, 0, 0], "{}", ended.all());
    town.world.dns.behave(1, answers(ResponseCode::ServFail));
    says("one is broken", &town.run("renew"), 0, &["deployed"]);
    assert_eq!(town.cost(), ONE);
}

#[test]
fn a_ca_that_has_it_not_is_told_once() {
    let town = town(|rules| rules.persist = None);
    let record = told(&town.run("renew"));
    set(&town, &[&record]);
    let ended = town.run("renew");
    says(
        "not offered",
        &ended,
        1,
        &["offers no dns-persist-01 for example.test; it offers", "dns-01"],
    );
    assert_eq!(town.cost(), [1, 0, 0, 0], "only an order tells what a CA offers");
    says("again", &town.run("renew"), 1, &["offers no dns-persist-01"]);
    assert_eq!(town.cost(), [1, 0, 0, 0], "the order is kept");
    town.edit("challenge = \"dns-persist-01\"\n", "");
    says("dns-01 instead", &town.run("renew"), 0, &["deployed"]);
    assert_eq!(town.cost(), ONE, "by the order that was kept");
}

#[test]
fn a_ca_that_wants_another_name_is_not_asked_to_look() {
    let town = town(|rules| rules.persist_issuers = Some(vec!["persist.example".to_owned()]));
    let record = told(&town.run("renew"));
    set(&town, &[&record]);
    let ended = town.run("renew");
    says("another name", &ended, 1, &["the CA wants one for persist.example"]);
    assert!(town.world.ca.calls("challenge").is_empty(), "{}", ended.all());
    town.world.ca.rules(|rules| rules.persist_issuers = None);
    says("put right", &town.run("renew"), 0, &["deployed"]);
    assert_eq!(town.cost(), ONE);
}

/// The fallback wants a record of its own; what is ours to do is not hidden by it.
#[test]
fn each_ca_has_its_own_record() {
    let town = town(|_| {});
    let second = Ca::start(
        CaSeed::new()
            .chance(2)
            .rules(|rules| rules.persist = Some(Persist::Hash))
            .dns(&town.world.dns),
    );
    std::fs::write(town.folder.path().join("ca2.pem"), second.tls_root_pem()).unwrap();
    let section = format!(
        "fallback = \"second\"\n\n[acme.second]\ndirectory = \"{}\"\nterms_agreed = true\nca_file = \"ca2.pem\"\n\n[store]\n",
        second.directory_url()
    );
    town.edit("\n[store]\n", &section);
    says("the first lacks it", &town.run("renew"), 1, &["has no TXT record"]);
    assert!(second.accounts().is_empty(), "the second CA is not asked in its stead");
    let shown = town.run("account show --ca second");
    says("not registered", &shown, 1, &["there is no account at"]);
}
