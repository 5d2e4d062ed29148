//! What is allowed for which configuration, as a table; and that both READMEs show what is printed.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::path::Path;

use super::*;
use crate::config::CdnDomain;

const START: &str = "[acme]\nterms_agreed = true\ncontact = [\"a@b.c\"]\n";
const ALIDNS: &str = "[dns.default]\nprovider = \"alidns\"\n";
const PUT: [&str; 3] = ["AddDomainRecord", "DeleteDomainRecord", "DescribeSubDomainRecords"];

fn read(text: &str) -> Config {
    Config::read(text, Path::new("/etc/certferry/config.toml")).unwrap()
}

fn claimed(targets: &[Target]) -> Claimed {
    Claimed { targets: targets.to_vec(), ..Claimed::default() }
}

fn discovers(account: &str, names: &[&str]) -> Claimed {
    let names = names.iter().map(|&name| name.to_owned()).collect();
    Claimed { discovers: vec![(account.to_owned(), names)], ..Claimed::default() }
}

fn target(aliyun: &str, domain: &str) -> Target {
    Target { aliyun: aliyun.to_owned(), domain: CdnDomain::read(domain).unwrap() }
}

/// The statements as lines: actions without their product, a space, the ends of the resources.
fn check_with(row: &str, config: &str, claimed: &Claimed, zones: &[&str], wanted: &[&str]) {
    let config = read(&format!("{START}{config}"));
    let zones: Vec<String> = zones.iter().map(|&zone| zone.to_owned()).collect();
    let policy = policy(&config, claimed, "default", &zones);
    let line = |statement: &Statement| {
        let end = |text: &String, by: char| text.rsplit(by).next().unwrap().to_owned();
        let actions: Vec<String> = statement.action.iter().map(|action| end(action, ':')).collect();
        let resources: Vec<String> = statement.resource.iter().map(|one| end(one, '/')).collect();
        format!("{} {}", actions.join(","), resources.join(","))
    };
    let lines: Vec<String> = policy.statement.iter().map(line).collect();
    assert_eq!(lines, wanted, "{row}");
}

fn check(row: &str, config: &str, wanted: &[&str]) {
    check_with(row, config, &Claimed::default(), &[], wanted);
}

fn issued(names: &str, more: &str) -> String {
    format!("[[certificate]]\ndomains = {names}\n{more}\n")
}

fn kept(domains: &str, more: &str) -> String {
    format!(
        "[[certificate]]\nsource = \"/live/a\"\n[[certificate.deploy]]\ndomains = {domains}\n{more}\n"
    )
}

#[test]
fn only_what_the_configuration_needs() {
    let upload = "SetDomainServerCertificate,DescribeDomainCertificateInfo";
    let put = PUT.join(",");
    let cdn = |domains: &str| format!("{upload} {domains}");
    let dns = |zones: &str| format!("{put} {zones}");
    let list = "DescribeDomains *";
    check("nothing", "", &[]);
    let stands = issued("[\"b.c\"]", "challenge = \"dns-persist-01\"");
    check("records that stand", &format!("{ALIDNS}{stands}"), &[]);
    check("and no access", &stands, &[]);
    check("a source", &kept("[\"a.b.c\"]", ""), &[&cdn("a.b.c")]);
    check("a wildcard by the API's name", &kept("[\"*.b.c\"]", ""), &[&cdn(".b.c")]);
    check("two, in order", &kept("[\"z.b.c\", \"a.b.c\"]", ""), &[&cdn("a.b.c,z.b.c")]);
    check(
        "another account's domains",
        &format!("{}[aliyun.other]\n", kept("[\"a.b.c\"]", "aliyun = \"other\"")),
        &[],
    );
    let issue = |names: &str| format!("{ALIDNS}{}", issued(names, ""));
    check("issued", &issue("[\"b.c\", \"*.b.c\"]"), &[&dns("b.c"), list]);
    check("every zone that may be", &issue("[\"x.y.b.c\"]"), &[&dns("b.c,x.y.b.c,y.b.c"), list]);
    check(
        "a DNS of another account",
        &format!(
            "[aliyun.other]\n[dns.default]\nprovider = \"alidns\"\naliyun = \"other\"\n{}",
            issued("[\"b.c\"]", "")
        ),
        &[],
    );
    check(
        "another DNS",
        &format!(
            "[dns.default]\nprovider = \"exec\"\nprogram = \"/bin/put\"\n{}",
            issued("[\"b.c\"]", "[[certificate.deploy]]\ndomains = [\"a.b.c\"]")
        ),
        &[&cdn("a.b.c")],
    );
    check(
        "a DNS that nobody uses",
        &format!("{ALIDNS}{}", kept("[\"a.b.c\"]", "")),
        &[&cdn("a.b.c")],
    );
    let both = issued("[\"b.c\"]", "[[certificate.deploy]]\ndomains = [\"a.b.c\"]");
    let both = format!("{ALIDNS}{both}");
    check("both services", &both, &[&cdn("a.b.c"), &dns("b.c"), list]);
    let claims = claimed(&[target("default", "*.d.e"), target("other", "f.g")]);
    check_with("a hook's claim", "", &claims, &[], &[&cdn(".d.e")]);
    let (none, known) = (Claimed::default(), ["z.z"]);
    let wanted = [&cdn("a.b.c"), &dns("z.z"), list];
    check_with("a zone that is known", &both, &none, &known, &wanted);
    check_with("a zone for nothing", &kept("[\"a.b.c\"]", ""), &none, &known, &[&cdn("a.b.c")]);
}

#[test]
fn what_settings_need_beside_it() {
    let cdn =
        |uploads: &str, domains: &str| format!("{uploads},DescribeDomainCertificateInfo {domains}");
    let (first, successor) = ("SetDomainServerCertificate", "SetCdnDomainSSLCertificate");
    let one = cdn(first, "a.b.c");
    let (list, all) = ("DescribeUserDomains *", "[\"a.b.c\"]");
    let api = |api: &str| format!("[aliyun.default]\ncdn_api = \"{api}\"\n{}", kept(all, ""));
    let both = format!("{first},{successor}");
    check("auto", &api("auto"), &[&cdn(&both, "a.b.c")]);
    check("the successor", &api(successor), &[&cdn(successor, "a.b.c")]);
    check("the edge by its CNAME", &kept(all, "verify = \"edge\""), &[&one, list]);
    let known = "verify = \"edge\"\nedge = \"e.f:443\"";
    check("an edge that is named", &kept(all, known), &[&one]);
    check("another client's", &kept(all, "discover = true"), &[&cdn(first, "*,a.b.c"), list]);
    let found = "[[certificate.deploy]]\ndiscover = true";
    let ours = issued("[\"b.c\", \"*.b.c\"]", found);
    let exec = format!("[dns.default]\nprovider = \"exec\"\nprogram = \"/bin/put\"\n{ours}");
    check("of ours", &exec, &[&cdn(first, "*.b.c,b.c"), list]);
    let role = "[aliyun.default]\nrole_arn = \"acs:ram::1:role/r\"\n";
    check("a role", &format!("{role}{}", kept(all, "")), &["AssumeRole r", &one]);
    let hook = |row: &str, names: &[&str], wanted: &str| {
        check_with(row, "", &discovers("default", names), &[], &[&cdn(first, wanted), list]);
    };
    hook("a hook that discovers", &["b.c", "*.b.c"], "*.b.c,b.c");
    hook("of names that are not known", &[], "*");
    check_with("another account's", "[aliyun.other]", &discovers("other", &[]), &[], &[]);
}

#[test]
fn resources_have_rams_form() {
    let config = read(&format!(
        "{START}{ALIDNS}{}",
        issued("[\"b.c\"]", "[[certificate.deploy]]\ndomains = [\"*.b.c\"]")
    ));
    let policy = policy(&config, &Claimed::default(), "default", &[]);
    let resources: Vec<&str> =
        policy.statement.iter().flat_map(|one| &one.resource).map(String::as_str).collect();
    assert_eq!(resources, ["acs:cdn:*:*:domain/.b.c", "acs:alidns::*:domain/b.c", "*"]);
    assert_eq!(policy.version, "1");
}

#[test]
fn accounts_in_use() {
    let check = |row: &str, config: &str, claims: &Claimed, wanted: &[&str]| {
        let config = read(&format!("{START}[aliyun.a]\n[aliyun.b]\n{config}"));
        assert!(accounts(&config, claims).iter().eq(wanted), "{row}");
    };
    let none = Claimed::default();
    check("none", "", &none, &[]);
    check("a target's", &kept("[\"a.b.c\"]", "aliyun = \"a\""), &none, &["a"]);
    let dns = "[dns.default]\nprovider = \"alidns\"\naliyun = \"b\"\n";
    check("a DNS that nobody uses", dns, &none, &[]);
    check("a DNS", &format!("{dns}{}", issued("[\"b.c\"]", "")), &none, &["b"]);
    check("a claim's", "", &claimed(&[target("default", "a.b.c")]), &["default"]);
    check("a claim's that discovers", "", &discovers("a", &[]), &["a"]);
}

/// The lines that stand indented after the one that names the configuration's file.
fn config_of(readme: &str) -> String {
    let (_, rest) = readme.split_once("`/etc/certferry/config.toml`").unwrap();
    let lines = rest.lines().skip_while(|line| !line.starts_with("    [acme]"));
    lines.take_while(|line| line.starts_with("    ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_readmes_show_what_is_printed() {
    for readme in [include_str!("../../README.md"), include_str!("../../README.zh-CN.md")] {
        let shown = readme.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        let policy = policy(&read(&config_of(readme)), &Claimed::default(), "default", &[]);
        assert_eq!(shown, serde_json::to_string_pretty(&policy).unwrap() + "\n");
    }
}
