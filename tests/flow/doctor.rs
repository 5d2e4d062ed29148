//! `doctor`: what is wrong is found and has a remedy; finding it spends nothing, and tells no secret.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use certferry_sandbox::dns::{Behaviour, RecordType, ResponseCode};
use certferry_sandbox::fault::Fault;
use certferry_sandbox::world::Provider;
use jiff::SignedDuration;
use serde_json::Value;

use crate::cloud_calls::WORDS;
use crate::faults::{DOUBLED, FAULTS, PATIENCE};
use crate::house::Ended;
use crate::hunt::Hunt;
use crate::issuing::Town;
use crate::rows::side_by_side;

const KEY: &str = "LTAISandbox0000000000000";

/// Calls that change nothing.
const READS: [&str; 4] = [
    "DescribeUserDomains",
    "DescribeDomainCertificateInfo",
    "DescribeDomains",
    "GetCallerIdentity",
];

/// Every file below a folder, with its size and when it was written.
fn files(folder: &Path) -> BTreeMap<PathBuf, (u64, SystemTime)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        let facts = path.symlink_metadata().unwrap();
        if facts.is_dir() {
            found.extend(files(&path));
        }
        found.insert(path, (facts.len(), facts.modified().unwrap()));
    }
    found
}

/// Runs `doctor --json`; whatever it finds, nothing was spent.
fn examine(row: &str, town: &Town) -> (i32, Value) {
    town.world.cloud.forget_calls();
    town.world.ca.forget_calls();
    let updates = town.world.dns.updates().len();
    let before = files(&town.store(""));
    let ended = Ended::of(&town.logged("doctor --json").output().unwrap());
    Hunt::of_town(town).check_said(row, &ended);
    assert_eq!(files(&town.store("")), before, "{row}: the store was written");
    let calls = town.world.cloud.tally();
    assert!(calls.keys().all(|call| READS.contains(&call.as_str())), "{row}: {calls:?}");
    let asked = town.world.ca.all_calls();
    assert!(asked.iter().all(|call| call.kind == "directory"), "{row}: {asked:?}");
    assert_eq!(town.world.dns.updates().len(), updates, "{row}: a record was put");
    let document = ended.json();
    let bad = |check: &Value| check["state"] == "bad";
    let any_bad = document["checks"].as_array().unwrap().iter().any(bad);
    assert_eq!(document["ok"], !any_bad, "{row}: {document:#}");
    (ended.code, document)
}

/// One thing is not well: the exit status, which check says so in which state, and a part of its text or remedy.
fn check(row: &str, trouble: impl FnOnce(&Town), code: i32, wanted: [&str; 3]) {
    check_in(row, Town::new(|_| {}), trouble, code, wanted);
}

fn check_in(row: &str, town: Town, trouble: impl FnOnce(&Town), code: i32, wanted: [&str; 3]) {
    trouble(&town);
    let (got, document) = examine(row, &town);
    assert_eq!(got, code, "{row}: {document:#}");
    let [name, state, part] = wanted;
    let checks = document["checks"].as_array().unwrap();
    let says = |check: &&Value| {
        let text = format!("{} {} {}", check["subject"], check["text"], check["help"]);
        check["name"] == name && check["state"] == state && text.contains(part)
    };
    let found = checks.iter().find(says);
    let found = found.unwrap_or_else(|| panic!("{row}: no {wanted:?}: {document:#}"));
    assert!(state == "good" || found["help"] != "", "{row}: no remedy: {found:#}");
    let others = checks.iter().filter(|check| check["state"] == "bad" && check["name"] != name);
    assert_eq!(others.count(), 0, "{row}: more is bad than should be: {document:#}");
}

fn nothing(_: &Town) {}

#[test]
fn all_is_well() {
    let town = Town::new(|_| {});
    let (code, first) = examine("before the first run", &town);
    assert_eq!((code, first["ok"].as_bool()), (0, Some(true)), "{first:#}");
    assert_eq!(town.run("renew").code, 0);
    let (code, document) = examine("after it", &town);
    let states: Vec<&Value> =
        document["checks"].as_array().unwrap().iter().map(|check| &check["state"]).collect();
    assert!(code == 0 && states.iter().all(|state| *state == "good"), "{document:#}");
    let text = town.run("doctor");
    assert_eq!(text.code, 0, "{}", text.all());
    assert!(text.stdout.contains("target       example.test: 2 are well"), "{}", text.all());
    assert!(town.run("doctor -v").stdout.contains("target       *.example.test: online"));
    assert_eq!(town.run("doctor -q").stdout, "");
}

#[test]
fn what_the_policy_allows_is_enough_for_it() {
    let town = Town::new(|_| {});
    let policy = town.run("policy").json();
    town.world.cloud.account(KEY, |account| account.policy = Some(policy));
    check_in("the smallest policy", town, nothing, 0, ["cloud", "unknown", "may not be listed"]);
}

#[test]
fn keys_and_permissions() {
    let deny = |action: &'static str| {
        move |town: &Town| {
            town.world
                .cloud
                .account(KEY, |account| account.denied.push((action.into(), "*".into())));
        }
    };
    let secret = |town: &Town| town.config.with_file_name("aliyun.secret");
    check(
        "no secret",
        |town| fs::remove_file(secret(town)).unwrap(),
        1,
        ["credentials", "bad", "aliyun.secret"],
    );
    check(
        "a secret for all to read",
        |town| chmod(&secret(town), 0o644),
        1,
        ["credentials", "bad", "chmod 600"],
    );
    check(
        "an unknown key",
        |town| town.edit(KEY, "LTAIother"),
        1,
        ["identity", "bad", "InvalidAccessKeyId"],
    );
    check(
        "no list",
        deny("cdn:DescribeUserDomains"),
        0,
        ["cloud", "unknown", "DescribeUserDomains"],
    );
    let no_list = |deploy: &'static str| {
        move |town: &Town| {
            town.edit("domains = [\"cdn.example.test\", \"*.example.test\"]", deploy);
            deny("cdn:DescribeUserDomains")(town);
        }
    };
    let found = no_list("discover = true");
    check("no list to find targets in", found, 1, ["cloud", "bad", "cdn:DescribeUserDomains"]);
    let edge = no_list("domains = [\"cdn.example.test\"]\nverify = \"edge\"");
    check("no list of edges", edge, 0, ["cloud", "warning", "grant `cdn:DescribeUserDomains`"]);
    let read = deny("cdn:DescribeDomainCertificateInfo");
    check("no reading", read, 0, ["target", "warning", "cdn:DescribeDomainCertificateInfo"]);
    let named = "domains = [\"cdn.example.test\", \"*.example.test\"]";
    let found = |town: &Town| {
        town.edit(named, "discover = true");
        read(town);
    };
    check("no reading of what may be another's", found, 1, ["target", "bad", "DescribeDomain"]);
    let unproved = |town: &Town| {
        town.edit(named, &format!("{named}\nverify = \"none\""));
        read(town);
    };
    check("no reading where none is wanted", unproved, 0, ["target", "good", "nor need it be"]);
    check("no zones", deny("alidns:DescribeDomains"), 1, ["zone", "bad", "alidns:DescribeDomains"]);
}

/// What would be so again.
const LASTING: &[&str] = &["refused", "HTML 403", "redirect", "oversized", "wrong types"];

/// STS is needed for nothing but this: one answer that is lost is asked for again, and no answer is no fault of the keys.
#[test]
fn whose_the_keys_are_under_each_fault() {
    let rows: Vec<_> = FAULTS.iter().flat_map(|row| [(row, false), (row, true)]).collect();
    side_by_side(&rows, |((name, fault), is_outage)| {
        let town = Town::new(|_| {});
        if ["silence", "a slow drip"].contains(name) {
            town.edit("[acme]\n", &format!("{PATIENCE}[acme]\n"));
        }
        let fault = fault(Fault::at("GetCallerIdentity"), &WORDS);
        let fault = if *name == DOUBLED { fault.after() } else { fault.before() };
        town.world.cloud.fault(if *is_outage { fault.always() } else { fault });
        let lasts = *is_outage || LASTING.contains(name);
        let state = if lasts && *name != DOUBLED { "unknown" } else { "good" };
        let row = format!("{name}, for ever: {is_outage}");
        let (code, document) = examine(&row, &town);
        let checks = document["checks"].as_array().unwrap();
        let whose = checks.iter().find(|check| check["name"] == "identity").unwrap();
        let asked = town.world.cloud.calls("GetCallerIdentity").len();
        assert_eq!((code, &whose["state"]), (0, &state.into()), "{row}: {document:#}");
        let is_struck = town.world.cloud.faults_left() == 0 && asked > 0;
        assert!(is_struck, "{row}: it never struck: {asked} calls");
        assert!(state == "good" || whose["help"] != "", "{row}: no remedy: {whose:#}");
    });
}

#[test]
fn the_cdn() {
    let domain = "cdn.example.test";
    check(
        "no such domain",
        |town| town.world.cloud.remove_domain(domain),
        1,
        ["target", "bad", domain],
    );
    let set = |status: &'static str| move |town: &Town| town.world.cloud.set_status(domain, status);
    check("offline", set("offline"), 1, ["target", "bad", "is offline"]);
    check("being configured", set("configuring"), 0, ["target", "warning", "configured"]);
    let garbled = |town: &Town| {
        town.world.cloud.fault(Fault::at("DescribeDomainCertificateInfo").always().oversized());
    };
    check("an answer without end", garbled, 0, ["target", "unknown", "AnswerTooLarge"]);
}

#[test]
fn names_and_their_dns() {
    let caa = |value: &'static str| {
        move |town: &Town| {
            town.world.dns.zones().set("example.test", "example.test", "CAA", &[value.to_owned()])
        }
    };
    check("another CA", caa("0 issue other.example"), 1, ["caa", "bad", "CAA 0 issue"]);
    check("no wildcards", caa("0 issuewild ;"), 1, ["caa", "bad", "*.example.test"]);
    check("our CA", caa("0 issue ca.sandbox.example"), 0, ["caa", "good", "allow"]);
    let account = caa("0 issue ca.sandbox.example; accounturi=https://ca/1");
    check("an account", account, 0, ["caa", "unknown", "https://ca/1"]);
    let fails = |town: &Town| {
        let broken = Behaviour::Answers(ResponseCode::ServFail, vec![RecordType::CAA]);
        (0..2).for_each(|server| town.world.dns.behave(server, broken.clone()));
    };
    check("CAA that cannot be asked", fails, 0, ["caa", "warning", "dig example.test CAA"]);
    let alias = |town: &Town| {
        let to = ["elsewhere.test".to_owned()];
        town.world.dns.zones().set("example.test", "_acme-challenge.example.test", "CNAME", &to);
    };
    check("a CNAME out of the account", alias, 1, ["zone", "bad", "elsewhere.test"]);
    let other =
        |town: &Town| town.edit("domains = [\"example.test\", ", "domains = [\"a.other.test\", ");
    check("a zone of somebody else", other, 1, ["zone", "bad", "a.other.test"]);
    let servers = |town: &Town| {
        town.world.dns.addresses().iter().map(|one| format!("\"{one}\"")).collect::<Vec<_>>()
    };
    let one_dead = |town: &Town| town.edit(&servers(town)[1], "\"127.0.0.1:1\"");
    check("a dead server of two", one_dead, 0, ["nameserver", "warning", "127.0.0.1:1"]);
    let all_dead = |town: &Town| town.edit(&servers(town).join(", "), "\"127.0.0.1:1\"");
    check("no server", all_dead, 1, ["nameserver", "bad", "127.0.0.1:1"]);
    let program = |town: &Town| {
        town.edit(
            "provider = \"alidns\"\naliyun = \"default\"",
            "provider = \"exec\"\nprogram = \"put\"",
        )
    };
    check("no program", program, 1, ["program", "bad", "put"]);
    let plain_file = |town: &Town| {
        program(town);
        fs::write(town.config.with_file_name("put"), "#!/bin/sh\n").unwrap();
    };
    check("a program that is none", plain_file, 1, ["program", "bad", "chmod +x"]);
    let rfc2136 = || Town::new(|seed| seed.provider = Provider::Rfc2136);
    let zone = "the zone example.test";
    check_in("a primary", rfc2136(), nothing, 0, ["zone", "good", zone]);
    let no_server = |town: &Town| {
        let text = fs::read_to_string(&town.config).unwrap();
        let line = text.lines().find(|line| line.starts_with("server = ")).unwrap().to_owned();
        town.edit(&line, "");
    };
    check_in("the primary that the SOA names", rfc2136(), no_server, 0, ["zone", "good", zone]);
    let nowhere = |town: &Town| {
        no_server(town);
        for server in [0, 1] {
            let kinds = vec![RecordType::A, RecordType::AAAA];
            town.world.dns.behave(server, Behaviour::Answers(ResponseCode::NXDomain, kinds));
        }
    };
    check_in("which has no address", rfc2136(), nowhere, 1, ["zone", "bad", "set `server`"]);
    let key =
        |town: &Town| fs::write(town.config.with_file_name("tsig.key"), "no base64!").unwrap();
    check_in("a key that is none", rfc2136(), key, 1, ["secret", "bad", "base64"]);
}

#[test]
fn the_ca() {
    let down =
        |town: &Town| town.world.ca.fault(Fault::at("directory").always().before().html(503));
    check("a page in its place", down, 1, ["ca", "bad", "status page"]);
    let stranger = |town: &Town| {
        let text = fs::read_to_string(&town.config).unwrap();
        let line = text.lines().find(|line| line.starts_with("ca_file")).unwrap().to_owned();
        town.edit(&line, "");
    };
    check("not trusted", stranger, 1, ["ca", "bad", "ca_file"]);
    let profile =
        |town: &Town| town.edit("[[certificate]]", "[[certificate]]\nprofile = \"clasic\"");
    check("no such profile", profile, 1, ["profile", "bad", "classic"]);
    let bound = |town: &Town| town.world.ca.rules(|rules| rules.eab_required = true);
    check("it wants a binding", bound, 1, ["account", "bad", "eab"]);
}

#[test]
fn clocks() {
    let ca = |minutes| {
        move |town: &Town| {
            town.world.ca.rules(|rules| rules.clock_ahead = SignedDuration::from_mins(minutes));
        }
    };
    let cloud = |minutes| {
        move |town: &Town| {
            town.world.cloud.rules(|rules| rules.clock_ahead = SignedDuration::from_mins(minutes));
        }
    };
    check("five minutes", ca(5), 0, ["clock", "warning", "behind it"]);
    check("an hour", ca(60), 1, ["clock", "bad", "timedatectl"]);
    check("of the cloud", cloud(-60), 1, ["clock", "bad", "ahead of it"]);
}

#[test]
fn the_house() {
    let open = |town: &Town| {
        fs::create_dir(town.store("")).unwrap();
        chmod(&town.store(""), 0o777);
    };
    check("a store for all to write", open, 1, ["store", "bad", "chmod go-w"]);
    let note = |town: &Town| {
        assert_eq!(town.run("renew").code, 0);
        fs::write(town.store("journal/renew.json"), "{\"at\":\"2026-01-01T00:00:00Z\"}").unwrap();
    };
    check("a timer that stopped", note, 1, ["timer", "bad", "certferry.timer"]);
    let source = |town: &Town| {
        town.edit(
            "domains = [\"example.test\", \"*.example.test\"]\n[[certificate.deploy]]",
            "source = \"/nowhere/live/a\"\n[[certificate.deploy]]",
        );
    };
    check("a source that is not there", source, 1, ["certificate", "bad", "/nowhere"]);
    let roots = |town: &Town| town.edit("roots.pem", "no-roots.pem");
    check("roots that are not there", roots, 1, ["trust", "bad", "no-roots.pem"]);
}

#[test]
fn a_wrong_configuration_is_told_and_nobody_is_asked() {
    let town = Town::new(|_| {});
    town.edit("terms_agreed = true", "terms_agreed = true\ntypo = 1\nprofil = \"a\"");
    let (code, document) = examine("two slips", &town);
    assert_eq!(code, 2, "{document:#}");
    assert!(town.world.cloud.all_calls().is_empty() && town.world.ca.all_calls().is_empty());
    let names = |state: &str| -> Vec<String> {
        let checks = document["checks"].as_array().unwrap().iter();
        let of_state = checks.filter(|check| check["state"] == state);
        of_state.map(|check| check["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("bad"), ["config", "config"], "{document:#}");
    assert_eq!(names("unknown"), ["network"], "{document:#}");
    assert!(names("good").contains(&"store".to_owned()), "{document:#}");

    fs::write(&town.config, "[acme\n").unwrap();
    assert_eq!(examine("no TOML", &town).0, 2);
    fs::remove_file(&town.config).unwrap();
    let (code, document) = examine("no file", &town);
    assert_eq!((code, &document["checks"][0]["name"]), (2, &"config".into()), "{document:#}");
}

fn chmod(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}
