//! The kinds of DNS with the real program: what is told first, what it costs, and that nothing is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use certferry_sandbox::dns::{Behaviour, RecordType, ResponseCode};
use certferry_sandbox::names::{AUTH_ZONE, HOOK_PASSWORD, HOOK_USER, Names};
use certferry_sandbox::world::Provider;

use crate::house::Ended;
use crate::issuing::{ONE, Town};

/// What the config says of alidns, and what these tests say in its place.
const ALIDNS: &str = "provider = \"alidns\"\naliyun = \"default\"\n";

const CHALLENGE: &str = "_acme-challenge.example.test";

/// A town whose `[dns.default]` is this, and the services beside it.
fn town(provider: impl FnOnce(&Names) -> String) -> (Town, Names) {
    let town = Town::new(|_| {});
    let names = Names::start(&town.world.dns);
    town.edit(ALIDNS, &provider(&names));
    write_secret(&town, "password", HOOK_PASSWORD);
    (town, names)
}

fn write_secret(town: &Town, name: &str, text: &str) {
    let path = town.folder.path().join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
}

fn acme_dns(names: &Names) -> String {
    format!("provider = \"acme-dns\"\nserver = \"{}\"\n", names.url("acme-dns"))
}

fn hook(names: &Names) -> String {
    format!(
        "provider = \"webhook\"\nendpoint = \"{}\"\nusername = \"{HOOK_USER}\"\npassword_file = \"password\"\n",
        names.url("hook")
    )
}

fn powerdns(names: &Names) -> String {
    format!(
        "provider = \"powerdns\"\nendpoint = \"{}\"\napi_key_file = \"password\"\n",
        names.url("")
    )
}

/// The calls of a service by their verbs.
fn verbs(names: &Names, service: &str) -> Vec<String> {
    let path = format!("/{service}/");
    let calls = names.calls(&path).into_iter();
    calls.map(|call| call.path.trim_start_matches(&path).to_owned()).collect()
}

#[test]
fn acme_dns_tells_the_cname_then_issues_on_the_same_order() {
    let (town, names) = town(acme_dns);
    let first = town.run("renew -vv");
    assert_eq!((first.code, town.cost()), (1, [1, 0, 0, 0]), "{}", first.all());
    let record = format!("{CHALLENGE}. CNAME sub-0.{AUTH_ZONE}.");
    assert!(first.stderr.contains(&record), "{}", first.all());
    let again = town.run("renew -vv");
    assert!(again.code == 1 && again.stderr.contains(&record), "{}", again.all());
    assert_eq!(verbs(&names, "acme-dns"), ["register"], "one account is enough");

    let target = [format!("sub-0.{AUTH_ZONE}")];
    town.world.dns.zones().set("example.test", CHALLENGE, "CNAME", &target);
    let issued = town.run("renew -vv");
    assert_eq!((issued.code, town.cost()), (0, ONE), "{}", issued.all());
    assert_eq!(verbs(&names, "acme-dns"), ["register", "update", "update"]);

    let password = names.passwords().remove(0);
    let told = [first, again, issued].map(|ended| ended.all()).concat();
    assert!(!told.contains(&password), "{told}");
    let server = fs::read_dir(town.store("dns")).unwrap().next().unwrap().unwrap().path();
    let kept = server.join("example.test.json");
    assert!(fs::read_to_string(&kept).unwrap().contains(&password));
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn acme_dns_uses_the_account_of_another_program() {
    let (town, names) = town(|names| acme_dns(names) + "accounts_file = \"accounts.json\"\n");
    write_secret(&town, "accounts.json", "{}");
    assert_eq!(town.run("renew").code, 1);
    // What was registered is moved into the other program's file.
    let server = fs::read_dir(town.store("dns")).unwrap().next().unwrap().unwrap().path();
    let account = fs::read_to_string(server.join("example.test.json")).unwrap();
    fs::remove_dir_all(town.store("dns")).unwrap();
    write_secret(&town, "accounts.json", &format!("{{\"example.test\": {account}}}"));
    let target = [format!("sub-0.{AUTH_ZONE}")];
    town.world.dns.zones().set("example.test", CHALLENGE, "CNAME", &target);
    let issued = town.run("renew");
    assert_eq!((issued.code, town.cost()), (0, ONE), "{}", issued.all());
    assert_eq!(verbs(&names, "acme-dns"), ["register", "update", "update"]);
    assert!(!town.store("dns").exists());
}

#[test]
fn a_webhook_puts_and_takes_away() {
    let (town, names) = town(hook);
    let ended = town.run("renew");
    assert_eq!((ended.code, town.cost()), (0, ONE), "{}", ended.all());
    let verbs = verbs(&names, "hook");
    assert_eq!(verbs, ["present", "present", "cleanup", "cleanup"]);
    assert!(town.world.dns.zones().values(CHALLENGE, "TXT").is_empty());
}

#[test]
fn a_webhook_that_refuses_us_heals() {
    let (town, _names) = town(hook);
    write_secret(&town, "password", "canary-wrong-password");
    let ended = town.run("renew -vv");
    assert_eq!((ended.code, town.cost()), (1, [1, 0, 0, 0]), "{}", ended.all());
    for part in ["HTTP 401", "password_file", "help:"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.all());
    }
    assert!(!ended.all().contains("canary-wrong-password"), "{}", ended.all());
    write_secret(&town, "password", HOOK_PASSWORD);
    let healed = town.run("renew");
    assert_eq!((healed.code, town.cost()), (0, ONE), "{}", healed.all());
}

#[test]
fn doh_is_enough_where_port_53_is_closed() {
    let town = Town::new(|_| {});
    let names = Names::start(&town.world.dns);
    let servers = town.world.dns.addresses().iter().map(|server| format!("\"{server}\""));
    let servers = servers.collect::<Vec<_>>().join(", ");
    town.edit(&format!("nameservers = [{servers}]"), "nameservers = [\"127.0.0.1:1\"]");
    let closed = town.run("renew");
    assert_eq!(closed.code, 1, "{}", closed.all());
    assert!(closed.stderr.contains("set `doh`"), "{}", closed.all());
    let doh = format!("nameservers = [\"127.0.0.1:1\"]\ndoh = \"{}\"", names.url("dns-query"));
    town.edit("nameservers = [\"127.0.0.1:1\"]", &doh);
    let open = town.run("renew");
    assert_eq!((open.code, town.cost()), (0, ONE), "{}", open.all());
    assert!(names.calls("/dns-query").len() >= 2, "the CNAME and the TXT");
}

#[test]
fn a_name_server_that_does_not_say_is_named_and_outvoted() {
    let check = |row: &str, behaviour: Behaviour, why: &str| {
        let town = Town::new(|seed| seed.servers = vec![Behaviour::Well, behaviour]);
        let ended = town.run("renew");
        assert_eq!((ended.code, town.cost()), (0, ONE), "{row}: {}", ended.all());
        let server = town.world.dns.addresses()[1];
        let said = format!("the DNS server {server} did not say for {CHALLENGE}: {why}");
        assert!(ended.stderr.contains(&said), "{row}: {said}: {}", ended.all());
    };
    check("dead", Behaviour::Closed, "");
    let failing = Behaviour::Answers(ResponseCode::ServFail, vec![RecordType::TXT]);
    check("broken", failing, "it answered Server Failure");
}

/// Two certificates for one name, renewed side by side: each takes away its own values alone.
fn two_lineages(row: &str, town: &Town) {
    let text = fs::read_to_string(&town.config).unwrap();
    let second =
        "\n[[certificate]]\nname = \"second\"\ndomains = [\"*.example.test\", \"example.test\"]\n";
    fs::write(&town.config, text + second).unwrap();
    let ended = town.run("renew");
    assert_eq!((ended.code, town.cost()), (0, [2, 2, 2, 0]), "{row}: {}", ended.all());
    assert!(town.world.dns.zones().values(CHALLENGE, "TXT").is_empty(), "{row}");
}

#[test]
fn two_lineages_of_one_name_do_not_disturb_each_other() {
    two_lineages("alidns", &Town::new(|_| {}));
    two_lineages("rfc2136", &Town::new(|seed| seed.provider = Provider::Rfc2136));
    let (by_hook, _names) = town(hook);
    two_lineages("webhook", &by_hook);
}

#[test]
fn a_service_of_the_library_puts_and_takes_away() {
    let (town, names) = town(powerdns);
    let ended = town.run("renew");
    assert_eq!((ended.code, town.cost()), (0, ONE), "{}", ended.all());
    assert!(town.world.dns.zones().values(CHALLENGE, "TXT").is_empty());
    let calls = names.calls("/api");
    assert!(calls.iter().all(|call| call.status < 300) && calls.len() >= 8, "{calls:?}");
}

#[test]
fn two_lineages_at_a_service_of_the_library() {
    let (town, _names) = town(powerdns);
    two_lineages("powerdns", &town);
}

/// The library would end the process.
#[test]
fn a_system_without_roots_is_told() {
    let (town, _names) = town(powerdns);
    let mut command = town.command("renew");
    command.env("SSL_CERT_FILE", "/nonexistent").env("SSL_CERT_DIR", "/nonexistent");
    let ended = Ended::of(&command.output().unwrap());
    assert_eq!(ended.code, 1, "{}", ended.all());
    assert!(ended.stderr.contains("help: install ca-certificates"), "{}", ended.all());
}

#[test]
fn zones_and_values_are_found_on_any_page() {
    let zones = ["a.test", "b.test", "example.test", "c.test"];
    let town = Town::new(|seed| seed.zones = zones.map(str::to_owned).into());
    town.world.cloud.rules(|rules| rules.page_limit = 1);
    let ended = town.run("renew");
    assert_eq!((ended.code, town.cost()), (0, ONE), "{}", ended.all());
    assert_eq!(town.world.cloud.calls("DescribeDomains").len(), zones.len());
}
