//! Each question to the DNS, and each put and take-away of its kinds, under each fault, with the real program: how the run
//! ends, what it cost, what is left standing, that it tells no secret, and that the next one comes to its end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use certferry_sandbox::dns::{Behaviour, RecordType, ResponseCode, Zones};
use certferry_sandbox::fault::Fault;
use certferry_sandbox::world::Provider;

use crate::ca_calls::patient;
use crate::issuing::{ONE, Town};
use crate::rows::side_by_side;

pub(crate) const NAME: &str = "_acme-challenge.example.test";

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Well.
    Borne,
    /// Its order waits for the next run.
    Fails,
    /// Well, but for a value that the next run takes away.
    Leaves,
    /// Both. Who says no has not done it: one that has done it all the same leaves the value to the next run.
    FailsAndLeaves,
}

impl Fate {
    /// Exit status; orders, certificates, uploads.
    fn cost(self) -> (i32, [usize; 3]) {
        match self {
            Self::Borne | Self::Leaves => (0, [1, 1, 2]),
            Self::Fails | Self::FailsAndLeaves => (1, [1, 0, 0]),
        }
    }
}

fn check(row: &str, town: &Town, fate: Fate, heal: impl FnOnce(&Town)) {
    let ended = town.watched("renew", &[]);
    let [orders, certificates, uploads, _] = town.cost();
    let got = (ended.code, [orders, certificates, uploads]);
    assert_eq!(got, fate.cost(), "{row}: {}", ended.all());
    let left = town.world.dns.zones().values(NAME, "TXT");
    let leaves = matches!(fate, Fate::Leaves | Fate::FailsAndLeaves);
    assert_eq!(!left.is_empty(), leaves, "{row}: {left:?} is left: {}", ended.all());
    if fate != Fate::Borne {
        assert!(ended.stderr.contains("help: "), "{row}: {}", ended.all());
    }
    heal(town);
    let healed = town.watched("renew example.test", &[]);
    assert_eq!((healed.code, town.cost()), (0, ONE), "{row}, healed: {}", healed.all());
    let left = town.world.dns.zones().values(NAME, "TXT");
    assert!(left.is_empty(), "{row}, healed: {left:?} is left: {}", healed.all());
    let plan = town.run("plan --json").json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{row}: a plan is left: {plan:#}");
}

pub(crate) fn town_of(provider: Provider) -> Town {
    let town = Town::new(|seed| {
        seed.provider = provider;
        patient(seed);
    });
    town.edit("nameservers = ", "propagation_timeout = \"2s\"\nnameservers = ");
    town
}

#[test]
fn questions() {
    use ResponseCode::{FormErr, NXDomain, NotImp, Refused, ServFail};
    let mut rows = Vec::new();
    for provider in [Provider::Alidns, Provider::Rfc2136] {
        for kind in [RecordType::CNAME, RecordType::SOA, RecordType::NS, RecordType::TXT] {
            for code in [ServFail, Refused, NotImp, FormErr, NXDomain] {
                rows.extend([1, 2].map(|servers| (provider, kind, code, servers)));
            }
        }
    }
    side_by_side(&rows, |(provider, kind, code, servers)| {
        let row = format!("{provider:?}, {kind} is answered {code:?} by {servers} of 2");
        let town = town_of(*provider);
        for server in 0..*servers {
            town.world.dns.behave(server, Behaviour::Answers(*code, vec![*kind]));
        }
        let fate = match (provider, kind) {
            // One that says that there is nothing is waited for; one that says nothing is not, if another one does.
            (_, RecordType::TXT) if *code == NXDomain || *servers == 2 => Fate::Fails,
            // Only the primary says which zone it is, and takes the update.
            (Provider::Rfc2136, RecordType::SOA) => Fate::Fails,
            _ => Fate::Borne,
        };
        check(&row, &town, fate, |town| {
            for server in 0..*servers {
                town.world.dns.behave(server, Behaviour::Well);
            }
        });
    });
}

type Row = (&'static str, fn(Fault) -> Fault);

/// Faults of alidns that pass: the call is made again within the run.
const PASSING: &[Row] = &[
    ("reset", |f| f.reset()),
    ("truncated", |f| f.truncated()),
    ("empty 200", |f| f.empty(200)),
    ("HTML 200", |f| f.html(200)),
    ("HTML 502", |f| f.html(502)),
    ("500", |f| f.answer("InternalError", 500)),
    ("503, come back", |f| f.answer("ServiceUnavailable", 503).retry_after(300)),
    ("throttled", |f| f.answer("Throttling.User", 400)),
    ("429, come back", |f| f.answer("Throttling", 429).retry_after(300)),
];

/// Faults of alidns that do not.
const LASTING: &[Row] = &[
    ("refused", |f| f.answer("OperationDenied", 403)),
    ("HTML 403", |f| f.html(403)),
    ("redirect", |f| f.redirect("http://127.0.0.1:9/")),
    ("oversized", |f| f.oversized()),
];

#[test]
fn calls_of_alidns() {
    let mut rows = Vec::new();
    for action in ["DescribeDomains", "AddDomainRecord", "DeleteDomainRecord"] {
        for (name, fault) in PASSING {
            rows.extend([false, true].map(|after| (action, *name, *fault, after, Fate::Borne)));
        }
        for (name, fault) in LASTING {
            for after in [false, true] {
                let fate = match (action, after) {
                    ("DeleteDomainRecord", false) => Fate::Leaves,
                    ("DeleteDomainRecord", true) => Fate::Borne,
                    ("AddDomainRecord", true) if *name != "oversized" => Fate::FailsAndLeaves,
                    _ => Fate::Fails,
                };
                rows.push((action, *name, *fault, after, fate));
            }
        }
    }
    side_by_side(&rows, |(action, name, fault, after, fate)| {
        let town = town_of(Provider::Alidns);
        let fault = fault(Fault::at(*action));
        town.world.cloud.fault(if *after { fault.after() } else { fault.before() });
        let row = format!("{action}, {name}, after: {after}");
        check(&row, &town, *fate, |town| town.world.cloud.heal());
    });
}

/// Does what the program of `exec` left word of, as a DNS service would.
fn serve(calls: &Path, zones: &Zones, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        for entry in fs::read_dir(calls).unwrap().filter_map(Result::ok) {
            let path = entry.path();
            if path.extension().is_none_or(|kind| kind != "call") {
                continue;
            }
            let call = fs::read_to_string(&path).unwrap();
            let words: Vec<&str> = call.split_whitespace().collect();
            let [verb, name, value] = words[..] else { panic!("{call}") };
            let name = name.trim_end_matches('.');
            let mut values = zones.values(name, "TXT");
            values.retain(|other| other.trim_matches('"') != value);
            if verb == "present" {
                values.push(value.to_owned());
            }
            let zone = zones.zone_of(name).unwrap();
            zones.set(&zone, name, "TXT", &values);
            fs::remove_file(&path).unwrap();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A program that is struck once, at this verb, before or after its effect.
fn program(folder: &Path, verb: &str, side: &str, fault: &str) -> String {
    let folder = folder.display();
    format!(
        "#!/bin/sh\nPATH=/usr/bin:/bin\ncd {folder}\n\
         strike() {{ rm armed 2>/dev/null && {{ {fault}; }}; }}\n\
         [ \"$1 {side}\" = '{verb} before' ] && strike\n\
         echo \"$@\" > calls/$$ && mv calls/$$ calls/$$.call\n\
         while [ -e calls/$$.call ]; do sleep 0.01; done\n\
         [ \"$1 {side}\" = '{verb} after' ] && strike\n\
         exit 0\n"
    )
}

#[test]
fn programs() {
    let mut rows = Vec::new();
    for (name, fault) in [("it fails", "echo no >&2; exit 3"), ("it is killed", "kill -9 $$")] {
        rows.extend(["before", "after"].map(|side| (name, fault, "present", side, Fate::Fails)));
        rows.push((name, fault, "cleanup", "before", Fate::Leaves));
        // Done, and said to have failed: it is done again.
        rows.push((name, fault, "cleanup", "after", Fate::Borne));
    }
    for (name, fault) in [
        ("it says a lot", "head -c 200000 /dev/zero; exit 0"),
        ("it leaves a child with its pipes", "sleep 3 & exit 0"),
    ] {
        // Said to be done, and not done: what does not show is not asked about.
        rows.push((name, fault, "present", "before", Fate::Fails));
        rows.extend(["present", "cleanup"].map(|verb| (name, fault, verb, "after", Fate::Borne)));
    }
    side_by_side(&rows, |(name, fault, verb, side, fate)| {
        let town = town_of(Provider::Alidns);
        let (folder, script) = (town.folder.path(), town.folder.path().join("dns.sh"));
        fs::create_dir(folder.join("calls")).unwrap();
        fs::write(folder.join("armed"), "").unwrap();
        fs::write(&script, program(folder, verb, side, fault)).unwrap();
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
        let exec = format!("provider = \"exec\"\nprogram = \"{}\"\n", script.display());
        town.edit("provider = \"alidns\"\naliyun = \"default\"\n", &exec);
        let (zones, is_over) = (town.world.dns.zones(), AtomicBool::new(false));
        std::thread::scope(|threads| {
            threads.spawn(|| serve(&folder.join("calls"), &zones, &is_over));
            let _over = Over(&is_over);
            check(&format!("{verb}, {name}, {side} its effect"), &town, *fate, |_| {});
        });
    });
}

/// Ends the service, also of a row that failed.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
