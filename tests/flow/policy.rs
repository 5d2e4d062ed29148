//! The printed RAM policy is enough for a whole run, and nothing in it can be left out.

use certferry_sandbox::fault::Fault;
use serde_json::Value;

use crate::house::House;
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

#[test]
fn what_a_hook_has_asked_for_is_in_it() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    assert_eq!(house.run("hook --domain cdn.example.test").code, 0);
    let policy = house.run("policy").json();
    assert_eq!(policy["Statement"][0]["Resource"][0], "acs:cdn:*:*:domain/cdn.example.test");
}
