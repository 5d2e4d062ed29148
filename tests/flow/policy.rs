//! The printed RAM policy is enough for a whole run, and nothing in it can be left out.

use certferry_sandbox::cloud::{Domain, Role};
use certferry_sandbox::fault::Fault;
use certferry_sandbox::world::ROLE;
use serde_json::{Value, json};

use crate::house::{House, KEY_ID};
use crate::issuing::Town;

const KEY: &str = "LTAISandbox0000000000000";

fn printed(town: &Town) -> Value {
    let ended = town.run("policy");
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{}", ended.all());
    assert!(town.world.cloud.all_calls().is_empty(), "policy asks nobody");
    ended.json()
}

/// A run from nothing under this policy: all is issued, served and proved, and no record is left.
fn succeeds(policy: &Value, trouble: &[Fault]) -> bool {
    let town = Town::new(|_| {});
    town.world.cloud.account(KEY, |account| account.policy = Some(policy.clone()));
    trouble.iter().for_each(|fault| town.world.cloud.fault(fault.clone()));
    let ended = town.run("renew --json");
    let report = ended.json();
    let targets = report["targets"].as_array().unwrap();
    let proved = targets.iter().filter(|target| target["proof"] == "readback").count();
    let left = town.world.cloud.txt("_acme-challenge.example.test").len();
    ended.code == 0 && (proved, left) == (2, 0)
}

/// An answer to a put that is lost: only then is a record looked for.
fn lost_answers() -> [Fault; 1] {
    [Fault::at("AddDomainRecord").after().reset()]
}

#[test]
fn the_policy_is_enough() {
    let policy = printed(&Town::new(|_| {}));
    assert!(succeeds(&policy, &[]));
    assert!(succeeds(&policy, &lost_answers()));
}

#[test]
fn nothing_of_it_can_be_left_out() {
    let policy = printed(&Town::new(|_| {}));
    let mut tried = Vec::new();
    for (place, statement) in policy["Statement"].as_array().unwrap().iter().enumerate() {
        for field in ["Action", "Resource"] {
            for (at, text) in statement[field].as_array().unwrap().iter().enumerate() {
                let mut less = policy.clone();
                less["Statement"][place][field].as_array_mut().unwrap().remove(at);
                assert!(!succeeds(&less, &lost_answers()), "a run succeeds without {text}");
                tried.push(text.as_str().unwrap().to_owned());
            }
        }
    }
    assert_eq!(tried.len(), 10, "{tried:?}");
}

/// A config, and how `policy` with these words ends: the code and a part of what is said.
fn check(row: &str, config: &str, args: &str, code: i32, part: &str) {
    let mut house = House::new();
    house.config = config.to_owned();
    let ended = house.run(&format!("policy {args}"));
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    assert!(ended.all().contains(part), "{row}: {}", ended.all());
    assert!(house.cloud.all_calls().is_empty(), "{row}: policy asks nobody");
}

#[test]
fn what_is_asked_for_is_told() {
    let two = "[aliyun.b]\n[[certificate]]\nsource = \"live/a\"\n\
               [[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n\
               [[certificate.deploy]]\ndomains = [\"b.example.test\"]\naliyun = \"b\"\n";
    check("nothing", "", "", 2, "needs nothing");
    check("two accounts", two, "", 2, "policy --aliyun b");
    check("one of them", two, "--aliyun b", 0, "domain/b.example.test");
    check("an account that is not there", two, "--aliyun c", 2, "no [aliyun.c]");
    check("no zone", two, "--aliyun b --zone nope", 2, "--zone nope");
    let deploy = |at: usize| format!("\"host-{at}-of-many.example.test\",");
    let many: String = (0..200).map(deploy).collect();
    let many = format!(
        "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [{many}]\n"
    );
    check("more than RAM takes", &many, "", 0, "RAM takes 6144");
}

/// The policy less a text, wherever it stands.
fn without(policy: &Value, text: &str) -> Value {
    let mut less = policy.clone();
    for statement in less["Statement"].as_array_mut().unwrap() {
        for field in ["Action", "Resource"] {
            statement[field].as_array_mut().unwrap().retain(|one| one != text);
        }
    }
    assert_ne!(&less, policy, "{text} is not in it");
    less
}

/// Whoever has the key may do what is said of roles; all else is for the role, where there is one.
fn grant(town: &Town, policy: &Value) {
    let statements = policy["Statement"].as_array().unwrap().iter().cloned();
    let (of_user, of_role): (Vec<Value>, Vec<Value>) =
        statements.partition(|statement| statement["Action"][0] == "sts:AssumeRole");
    let policy_of = |statement: Vec<Value>| json!({ "Version": "1", "Statement": statement });
    let assumes = !of_user.is_empty();
    let of_user = if assumes { policy_of(of_user) } else { policy.clone() };
    town.world.cloud.account(KEY, |account| account.policy = Some(of_user));
    if assumes {
        town.world.cloud.add_role(Role::new(ROLE).policy(policy_of(of_role)));
    }
}

/// In a town that is changed so, the printed policy is enough for so many targets, and it is not without one of `needed`.
fn check_setting(row: &str, change: impl Fn(&Town), targets: usize, needed: &[&str]) {
    let town = Town::new(|_| {});
    change(&town);
    let printed = town.run("policy");
    assert_eq!(printed.code, 0, "{row}: {}", printed.all());
    let policy = printed.json();
    let run = |policy: &Value| {
        let town = Town::new(|_| {});
        change(&town);
        grant(&town, policy);
        let ended = town.run("renew --json");
        let report = ended.json();
        let all = report["targets"].as_array().unwrap();
        let proved = all.iter().filter(|target| target["proof"] == "readback").count();
        (ended.code == 0 && proved == targets, ended)
    };
    let (is_enough, ended) = run(&policy);
    assert!(is_enough, "{row}: {}", ended.all());
    for text in needed {
        assert!(!run(&without(&policy, text)).0, "{row}: a run succeeds without {text}");
    }
}

#[test]
fn what_settings_need_is_in_it_and_needed() {
    let api = |api: &'static str| {
        move |town: &Town| {
            town.edit("[aliyun.default]", &format!("[aliyun.default]\ncdn_api = \"{api}\""));
        }
    };
    let (first, successor) = ("SetDomainServerCertificate", "SetCdnDomainSSLCertificate");
    let [of_first, of_successor] = [first, successor].map(|action| format!("cdn:{action}"));
    check_setting("auto", api("auto"), 2, &[&of_first]);
    let gone = |town: &Town| {
        api("auto")(town);
        town.world.cloud.rules(|rules| rules.gone.extend([first.to_owned()]));
    };
    check_setting("auto, where the first is gone", gone, 2, &[&of_successor]);
    check_setting("the successor", api(successor), 2, &[&of_successor]);
    let role = |town: &Town| {
        let arn = Role::new(ROLE).arn();
        town.edit("[aliyun.default]", &format!("[aliyun.default]\nrole_arn = \"{arn}\""));
    };
    check_setting("a role", role, 2, &["sts:AssumeRole", &of_first, "alidns:AddDomainRecord"]);
    let found = |town: &Town| {
        town.edit("domains = [\"cdn.example.test\", \"*.example.test\"]", "discover = true");
        town.world.cloud.add_domain(Domain::online("example.test"));
    };
    let resources = ["acs:cdn:*:*:domain/example.test", "acs:cdn:*:*:domain/*.example.test"];
    let needed = ["cdn:DescribeUserDomains", resources[0], resources[1]];
    check_setting("what is discovered", found, 3, &needed);
}

#[test]
fn a_role_has_a_policy_of_its_own() {
    let town = Town::new(|_| {});
    town.edit("[aliyun.default]", "[aliyun.default]\nrole_arn = \"acs:ram::1:role/r\"");
    let ended = town.run("policy");
    assert_eq!(ended.json()["Statement"][0]["Resource"][0], "acs:ram::1:role/r");
    assert!(ended.stderr.contains("make two policies of it"), "{}", ended.all());
}

#[test]
fn an_edge_is_found_by_its_cname() {
    let cdn = "cdn.example.test";
    let reason = |less: &[&str]| {
        let mut house = House::new();
        house.config = format!(
            "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"{cdn}\"]\nverify = \"edge\"\n"
        );
        // An address of this machine on which nobody listens.
        house.cloud.add_domain(Domain::online(cdn).cname("127.93.17.5"));
        let policy = house.run("policy").json();
        let policy = less.iter().fold(policy, |policy, text| without(&policy, text));
        house.cloud.account(KEY_ID, |account| account.policy = Some(policy));
        house.renewed(cdn);
        house.run("hook --deadline 4 --json").json()["targets"][0]["reason"].to_string()
    };
    let with = reason(&[]);
    assert!(with.contains("127.93.17.5:443"), "{with}");
    let less = reason(&["cdn:DescribeUserDomains"]);
    assert!(less.contains("its CNAME is not known: Forbidden.RAM"), "{less}");
}

/// `hook --discover` under the policy that is printed after such a hook: it finds what is new, and not without the list.
#[test]
fn what_a_hook_discovers_is_in_it() {
    let mut house = House::new();
    house.renewed("cdn.example.test *.example.test");
    assert_eq!(house.run("hook --discover").code, 0);
    let policy = house.run("policy").json();
    house.cloud.add_domain(Domain::online("new.example.test"));
    let code_under = |policy: Value| {
        house.cloud.account(KEY_ID, |account| account.policy = Some(policy));
        house.run("renew").code
    };
    assert_eq!(code_under(without(&policy, "cdn:DescribeUserDomains")), 1);
    assert_eq!(code_under(policy), 0);
    assert_eq!(house.uploads(), 3);
}

#[test]
fn what_a_hook_has_asked_for_is_in_it() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    assert_eq!(house.run("hook --domain cdn.example.test").code, 0);
    let policy = house.run("policy").json();
    assert_eq!(policy["Statement"][0]["Resource"][0], "acs:cdn:*:*:domain/cdn.example.test");
}
