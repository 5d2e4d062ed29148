//! Each call of the cloud, of its metadata service and of a DNS by HTTP under each fault, before and after its effect, with
//! the real program: how the run ends, that it tells no secret, and that the next one comes to its end.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use certferry_sandbox::cloud::{Oidc, Role};
use certferry_sandbox::fault::Fault;
use certferry_sandbox::names::{AUTH_ZONE, HOOK_PASSWORD, HOOK_USER, Names};
use certferry_sandbox::world::{OIDC_TOKEN, ROLE};

use crate::ca_calls::patient;
use crate::faults::{DOUBLED, FAULTS, PATIENCE, Row, Side, Words, sides};
use crate::house::Ended;
use crate::issuing::Town;
use crate::rows::side_by_side;

const NAME: &str = "_acme-challenge.example.test";

/// The cloud's words; the services have no others.
pub(crate) const WORDS: Words = Words {
    internal: "InternalError",
    busy: "ServiceUnavailable",
    limit: "Throttling.User",
    refused: ("OperationDenied", 403),
};

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Whom {
    Cloud,
    Instance,
    Names,
}

/// A call, and the world in which `renew` makes it.
struct Call {
    whom: Whom,
    action: &'static str,
    /// The first of these that is struck.
    nth: usize,
    set: fn(&mut Place),
    reads: bool,
    /// The faults with which the run fails, before and after the effect; it ends well with all others.
    fails: [&'static [&'static str]; 2],
    /// The same, but what it has put stands until the next run.
    leaves: [&'static [&'static str]; 2],
    /// With these it has said that nothing stands any more, which nobody looks at again.
    believed: &'static [&'static str],
}

const CALL: Call = Call {
    whom: Whom::Cloud,
    action: "",
    nth: 1,
    set: |_| {},
    reads: false,
    fails: [&[], &[]],
    leaves: [&[], &[]],
    believed: &[],
};

/// A town, the services beside it, and what its runs have in their environment.
struct Place {
    town: Town,
    names: Names,
    env: Vec<(&'static str, String)>,
}

impl Place {
    fn new(call: &Call) -> Self {
        let town = Town::new(patient);
        let names = Names::start(&town.world.dns);
        let mut place = Self { town, names, env: Vec::new() };
        place.town.edit("nameservers = ", "propagation_timeout = \"2s\"\nnameservers = ");
        (call.set)(&mut place);
        place
    }

    /// No AccessKey in the configuration.
    fn without_key(&self) {
        let text = fs::read_to_string(&self.town.config).unwrap();
        let lines = text.lines().filter(|line| !line.starts_with("access_key"));
        fs::write(&self.town.config, lines.map(|line| format!("{line}\n")).collect::<String>())
            .unwrap();
    }

    fn secret(&self, name: &str, text: &str) {
        let path = self.town.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Values are put by another kind of DNS.
    fn by(&self, provider: &str) {
        self.secret("password", HOOK_PASSWORD);
        self.town.edit("provider = \"alidns\"\naliyun = \"default\"\n", provider);
    }

    fn fault(&self, whom: Whom, fault: Fault) {
        match whom {
            Whom::Cloud => self.town.world.cloud.fault(fault),
            Whom::Instance => self.town.world.metadata.fault(fault),
            Whom::Names => self.names.fault(fault),
        }
    }

    fn faults_left(&self) -> usize {
        let world = &self.town.world;
        world.cloud.faults_left() + world.metadata.faults_left() + self.names.faults_left()
    }

    fn heal(&self) {
        self.town.world.cloud.heal();
        self.town.world.metadata.heal();
        self.names.heal();
    }

    fn run(&self, args: &str) -> Ended {
        self.town.watched(args, &self.env)
    }

    fn left(&self) -> Vec<String> {
        self.town.world.dns.zones().values(NAME, "TXT")
    }
}

fn role(place: &mut Place) {
    let role = format!("role_arn = \"{}\"\n[dns.default]", Role::new(ROLE).arn());
    place.town.edit("\n[dns.default]", &role);
}

fn oidc(place: &mut Place) {
    place.without_key();
    place.secret("token", OIDC_TOKEN);
    let token = place.town.folder.path().join("token").display().to_string();
    place.env = vec![
        ("ALIBABA_CLOUD_ROLE_ARN", Role::new(ROLE).arn()),
        ("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", Oidc::new(ROLE).arn),
        ("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token),
    ];
}

fn uri(place: &mut Place) {
    place.without_key();
    place.town.world.metadata.rules(|rules| rules.role = None);
    place.env =
        vec![("ALIBABA_CLOUD_CREDENTIALS_URI", place.town.world.metadata.credentials_uri())];
}

fn acme_dns(place: &mut Place) {
    place.by(&format!("provider = \"acme-dns\"\nserver = \"{}\"\n", place.names.url("acme-dns")));
    let target = [format!("sub-0.{AUTH_ZONE}")];
    place.town.world.dns.zones().set("example.test", NAME, "CNAME", &target);
}

fn webhook(place: &mut Place) {
    place.by(&format!(
        "provider = \"webhook\"\nendpoint = \"{}\"\nusername = \"{HOOK_USER}\"\npassword_file = \"password\"\n",
        place.names.url("hook")
    ));
}

fn powerdns(place: &mut Place) {
    place.by(&format!(
        "provider = \"powerdns\"\nendpoint = \"{}\"\napi_key_file = \"password\"\n",
        place.names.url("")
    ));
}

fn doh(place: &mut Place) {
    let text = fs::read_to_string(&place.town.config).unwrap();
    let line = text.lines().find(|line| line.starts_with("nameservers")).unwrap();
    let doh =
        format!("nameservers = [\"127.0.0.1:1\"]\ndoh = \"{}\"", place.names.url("dns-query"));
    place.town.edit(line, &doh);
}

fn successor(place: &mut Place) {
    place.town.edit("cdn_endpoint", "cdn_api = \"SetCdnDomainSSLCertificate\"\ncdn_endpoint");
}

fn discovering(place: &mut Place) {
    place.town.edit("domains = [\"cdn.example.test\", \"*.example.test\"]", "discover = true");
}

/// An answer to the put is lost, so it is looked for.
fn lost_put(place: &mut Place) {
    place.town.world.cloud.fault(Fault::at("AddDomainRecord").after().reset());
}

/// Who says no.
const NO: &[&str] = &["refused", "HTML 403", "redirect"];
/// What would be so again.
const LASTING: &[&str] = &["refused", "HTML 403", "redirect", "oversized"];
const LASTING_OR_WRONG: &[&str] = &["refused", "HTML 403", "redirect", "oversized", "wrong types"];
/// Who says yes in words that mean nothing.
const MEANINGLESS: &[&str] = &["empty 200", "HTML 200", "wrong types"];
const NONE: &[&str] = &[];
/// Whatever is wrong: it is asked once in a run.
const ANY: &[&str] = &["*"];
/// The same, but whoever says yes is believed.
const UNLESS_YES: &[&str] = &["*", "-empty 200", "-HTML 200", "-wrong types"];
/// Nor is the rest of an answer waited for.
const UNLESS_STATUS: &[&str] = &["*", "-empty 200", "-HTML 200", "-wrong types", "-truncated"];

/// What the library bears.
#[rustfmt::skip]
const UNLESS_AGAIN: &[&str] = &[
    "*", "-empty 200", "-oversized", "-wrong types",
    "-429", "-429, come back", "-HTML 429", "-503", "-503, come back", "-HTML 503",
];
#[rustfmt::skip]
const UNLESS_AGAIN_AFTER: &[&str] = &[
    "*", "-empty 200", "-oversized",
    "-429", "-429, come back", "-HTML 429", "-503", "-503, come back", "-HTML 503",
];

const CALLS: &[Call] = &[
    Call { action: "SetDomainServerCertificate", fails: [LASTING_OR_WRONG, NO], ..CALL },
    Call {
        action: "SetCdnDomainSSLCertificate",
        set: successor,
        fails: [LASTING_OR_WRONG, NO],
        ..CALL
    },
    Call {
        action: "DescribeDomainCertificateInfo",
        reads: true,
        fails: [&["redirect"], NONE],
        ..CALL
    },
    // The first two are the looks before the uploads.
    Call { action: "DescribeDomainCertificateInfo", nth: 3, reads: true, ..CALL },
    Call {
        action: "DescribeUserDomains",
        set: discovering,
        reads: true,
        fails: [LASTING, NONE],
        ..CALL
    },
    Call { action: "DescribeDomains", reads: true, fails: [LASTING_OR_WRONG, NONE], ..CALL },
    Call {
        action: "AddDomainRecord",
        fails: [LASTING_OR_WRONG; 2],
        // Who says no has not done it: one that has done it all the same leaves the value to the next run.
        leaves: [NONE, NO],
        ..CALL
    },
    Call {
        action: "DescribeSubDomainRecords",
        set: lost_put,
        reads: true,
        fails: [LASTING_OR_WRONG, NONE],
        leaves: [NO, NONE],
        ..CALL
    },
    Call {
        action: "DeleteDomainRecord",
        leaves: [LASTING_OR_WRONG, NONE],
        believed: &["wrong types"],
        ..CALL
    },
    Call { action: "AssumeRole", set: role, fails: [LASTING_OR_WRONG; 2], ..CALL },
    // The next source of the chain, the instance's role, stands in.
    Call { action: "AssumeRoleWithOIDC", set: oidc, fails: [&["oversized"]; 2], ..CALL },
    Call {
        whom: Whom::Instance,
        action: "token",
        set: |place| place.without_key(),
        fails: [MEANINGLESS; 2],
        ..CALL
    },
    Call {
        whom: Whom::Instance,
        action: "roles",
        set: |place| place.without_key(),
        reads: true,
        fails: [ANY, NONE],
        ..CALL
    },
    Call {
        whom: Whom::Instance,
        action: "credentials",
        set: |place| place.without_key(),
        reads: true,
        fails: [ANY, NONE],
        ..CALL
    },
    Call { whom: Whom::Instance, action: "uri", set: uri, reads: true, fails: [ANY, NONE], ..CALL },
    Call { whom: Whom::Names, action: "register", set: acme_dns, fails: [ANY; 2], ..CALL },
    Call { whom: Whom::Names, action: "update", set: acme_dns, fails: [ANY, UNLESS_YES], ..CALL },
    Call {
        whom: Whom::Names,
        action: "present",
        set: webhook,
        fails: [ANY, UNLESS_STATUS],
        ..CALL
    },
    Call {
        whom: Whom::Names,
        action: "cleanup",
        set: webhook,
        leaves: [ANY, NONE],
        believed: MEANINGLESS,
        ..CALL
    },
    Call {
        whom: Whom::Names,
        action: "zones",
        set: powerdns,
        // The library itself calls again after some, and goes on without the list of what is there.
        fails: [UNLESS_AGAIN, UNLESS_AGAIN_AFTER],
        ..CALL
    },
    Call {
        whom: Whom::Names,
        action: "dns-query",
        set: doh,
        reads: true,
        fails: [ANY, NONE],
        ..CALL
    },
];

/// Is the fault in the list?
fn has(list: &[&str], fault: &str) -> bool {
    let but = format!("-{fault}");
    list.contains(&fault)
        || list.contains(&"*") && !list.contains(&but.as_str()) && fault != DOUBLED
}

impl Call {
    /// Exit status, and whether a value is left standing.
    fn end(&self, fault: &str, side: Side) -> (i32, bool) {
        let at = usize::from(side == Side::After);
        (i32::from(has(self.fails[at], fault)), has(self.leaves[at], fault))
    }
}

fn check(call: &Call, (name, fault): &Row, side: Side) {
    let row = format!("{} {}, {name}, {side:?}", call.action, call.nth);
    let place = Place::new(call);
    if ["silence", "a slow drip"].contains(name) {
        place.town.edit("[acme]\n", &format!("{PATIENCE}[acme]\n"));
    }
    place.fault(call.whom, side.of(fault(Fault::at(call.action), &WORDS)).nth(call.nth));
    let ended = place.run("renew");
    assert_eq!(place.faults_left(), 0, "{row}: it never struck: {}", ended.all());
    let end = (ended.code, !place.left().is_empty());
    assert_eq!(end, call.end(name, side), "{row}: {}", ended.all());
    if ended.code != 0 {
        let is_told =
            ["help: ", "the next run looks again"].iter().any(|word| ended.stderr.contains(word));
        assert!(ended.stderr.contains("error: ") && is_told, "{row}: {}", ended.all());
    }
    if call.action == "register" && ended.code != 0 {
        // The account whose answer was lost is lost, and another one is named.
        let target = [format!("sub-{}.{AUTH_ZONE}", place.names.passwords().len())];
        place.town.world.dns.zones().set("example.test", NAME, "CNAME", &target);
    }
    let is_believed = side == Side::Before && call.believed.contains(name);
    check_healed(&row, &place, usize::from(is_believed));
}

/// The world is well again: one certificate for one order is served, so many values stand, and nothing is left to do.
fn check_healed(row: &str, place: &Place, standing: usize) {
    place.heal();
    let world = &place.town.world;
    let healed = place.run("renew example.test");
    let [orders, certificates, ..] = place.town.cost();
    // What the cloud has called done is waited for, ten minutes at most; until then nothing is served.
    let is_believed = row.contains("Set") && row.contains("wrong types, Before");
    assert_eq!(
        (healed.code, orders, certificates, place.left().len()),
        (i32::from(is_believed), 1, 1, standing),
        "{row}, healed: {}",
        healed.all()
    );
    let plan = place.run("plan --json").json();
    let steps = plan["steps"].as_array().unwrap();
    assert!(steps.is_empty() || is_believed, "{row}: a plan is left: {plan:#}");
    for domain in ["cdn.example.test", ".example.test"] {
        assert!(world.cloud.served(domain).is_some() || is_believed, "{row}: {domain}");
    }
}

/// All rows of those who are called, and of these faults.
fn strike(whom: &[Whom], is_one: impl Fn(&str) -> bool) {
    let rows: Vec<_> = CALLS
        .iter()
        .filter(|call| whom.contains(&call.whom))
        .flat_map(|call| FAULTS.iter().map(move |fault| (call, fault)))
        .filter(|(_, fault)| is_one(fault.0))
        .flat_map(|(call, fault)| {
            sides(call.action, fault.0, call.reads).iter().map(move |side| (call, fault, *side))
        })
        .collect();
    side_by_side(&rows, |(call, fault, side)| check(call, fault, *side));
}

#[test]
fn one_fault_at_each_call_of_the_cloud() {
    strike(&[Whom::Cloud], |fault| fault != DOUBLED);
}

#[test]
fn one_fault_at_each_call_of_the_instance() {
    strike(&[Whom::Instance], |fault| fault != DOUBLED);
}

#[test]
fn one_fault_at_each_call_of_a_dns_service() {
    strike(&[Whom::Names], |fault| fault != DOUBLED);
}

#[test]
fn an_answer_that_comes_twice() {
    strike(&[Whom::Cloud, Whom::Instance, Whom::Names], |fault| fault == DOUBLED);
}
