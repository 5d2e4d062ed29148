//! Level, not edge: whatever changed, the next run puts it right, and a run with nothing to do does nothing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use certferry_sandbox::cloud::{Fault, Lag};

use crate::house::{House, Leaf, fingerprint};

const CONFIG: &str = "[[certificate]]\nsource = \"live/a\"\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\", \"*.example.test\"]\n";

fn kept() -> House {
    let mut house = House::new();
    CONFIG.clone_into(&mut house.config);
    let ended = house.run("renew");
    assert_eq!(ended.code, 0, "{}", ended.all());
    house.cloud.forget_calls();
    house
}

/// Something changes; `renew` must put it right with so many uploads, then find nothing to do.
fn check(row: &str, change: impl FnOnce(&mut House), uploads: usize, says: &str) {
    let mut house = kept();
    change(&mut house);
    let planned = house.run("plan --json").json();
    let ended = house.run("renew");
    assert_eq!(ended.code, 0, "{row}: {}", ended.all());
    assert!(ended.stdout.contains(says), "{row}: nothing says `{says}`: {}", ended.all());
    assert_eq!(house.uploads(), uploads, "{row}: {}", ended.all());
    let deploys =
        planned["steps"].as_array().unwrap().iter().filter(|step| step["kind"] == "deploy").count();
    assert_eq!(deploys, uploads, "{row}: the plan was another: {planned:#}");
    let want = fingerprint(&house.read("live/a/fullchain.pem"));
    assert_eq!(house.cloud.served_fingerprint("cdn.example.test"), Some(want), "{row}");
    let second = house.run("renew --json").json();
    assert_eq!(
        (&second["changed"], house.uploads()),
        (&false.into(), uploads),
        "{row}: not at rest: {second:#}"
    );
    assert_eq!(
        house.run("plan --json").json()["steps"].as_array().unwrap().len(),
        0,
        "{row}: a plan is left"
    );
}

#[test]
fn drift_heals() {
    check("nothing changed", |_| {}, 0, "all is as it should be: 2 in step");
    check(
        "renewed",
        |house| {
            house.lineage("a", &Leaf::new());
        },
        2,
        "2 deployed",
    );
    check(
        "switched off",
        |house| house.cloud.switch_off("cdn.example.test"),
        1,
        "HTTPS off until now",
    );
    check(
        "changed in the console",
        |house| {
            let (chain, key) = house.make(&Leaf::new());
            house.cloud.set_served("cdn.example.test", "console", &chain, &key);
        },
        1,
        "in place of",
    );
    check(
        "the read-back lags",
        |house| {
            house.cloud.rules(|rules| rules.lag = Lag::Reads(2));
            house.lineage("a", &Leaf::new());
        },
        2,
        "2 deployed",
    );
    check(
        "the answer was lost",
        |house| {
            house.lineage("a", &Leaf::new());
            house.cloud.fault(
                Fault::at("SetDomainServerCertificate").on("cdn.example.test").after().reset(),
            );
        },
        2,
        "2 deployed",
    );
}

#[test]
fn force_uploads_again() {
    let house = kept();
    let ended = house.run("renew --force");
    assert_eq!((ended.code, house.uploads()), (0, 2), "{}", ended.all());
}

#[test]
fn one_failure_stops_no_other() {
    let house = kept();
    house.lineage("a", &Leaf::new());
    house.cloud.fault(
        Fault::at("SetDomainServerCertificate")
            .on("cdn.example.test")
            .always()
            .before()
            .answer("DomainInProtectedMode", 403),
    );
    let ended = house.run("renew --json");
    let report = ended.json();
    assert_eq!((ended.code, report["ok"].as_bool()), (1, Some(false)), "{}", ended.all());
    let outcomes: Vec<_> = report["targets"]
        .as_array()
        .unwrap()
        .iter()
        .map(|end| end["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["failed", "deployed"], "{}", ended.all());
    let error = &report["targets"][0]["error"];
    assert_eq!(
        (&error["code"], &error["retryable"]),
        (&"DomainInProtectedMode".into(), &false.into()),
        "{error:#}"
    );
    assert!(
        error["request_id"].is_string() && error["help"].as_str().unwrap().len() > 10,
        "{error:#}"
    );
}

#[test]
fn without_permission_to_read_the_store_remembers() {
    let mut house = House::new();
    CONFIG.clone_into(&mut house.config);
    house.cloud.account(crate::house::KEY_ID, |account| {
        *account = account.clone().deny("cdn:DescribeDomainCertificateInfo", "*")
    });
    let first = house.run("renew --json").json();
    assert_eq!(
        (&first["targets"][0]["outcome"], &first["targets"][0]["proof"]),
        (&"deployed".into(), &"accepted".into()),
        "{first:#}"
    );
    let second = house.run("renew --json").json();
    assert_eq!(
        (&second["targets"][0]["outcome"], &second["targets"][0]["proof"]),
        (&"unchanged".into(), &"accepted".into()),
        "{second:#}"
    );
    assert_eq!(house.uploads(), 2, "deployed once each");
    let warnings = second["warnings"].as_array().unwrap();
    assert_eq!(warnings.len(), 1, "once for the account: {second:#}");
    assert!(warnings[0].as_str().unwrap().contains("cdn:DescribeDomainCertificateInfo"));
    house.config.push_str("verify = \"none\"\n");
    let third = house.run("renew --json").json();
    assert_eq!(third["warnings"], serde_json::json!([]), "nobody asked for it");
}

#[test]
fn the_upload_is_exactly_what_the_document_names() {
    let house = kept();
    house.run("renew --force");
    let call = &house.cloud.calls("SetDomainServerCertificate")[0];
    let common = [
        "AccessKeyId",
        "Action",
        "Format",
        "Signature",
        "SignatureMethod",
        "SignatureNonce",
        "SignatureVersion",
        "Timestamp",
        "Version",
    ];
    let own: Vec<&str> =
        call.params.keys().map(String::as_str).filter(|name| !common.contains(name)).collect();
    assert_eq!(
        own,
        [
            "CertName",
            "CertType",
            "DomainName",
            "ForceSet",
            "PrivateKey",
            "ServerCertificate",
            "ServerCertificateStatus"
        ]
    );
    let of = |name: &str| call.params[name].as_str();
    assert_eq!(
        (of("CertType"), of("ForceSet"), of("ServerCertificateStatus"), of("Format")),
        ("upload", "1", "on", "JSON")
    );
    assert!(of("PrivateKey").starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
    assert!(call.in_query.is_empty() && call.method == "POST", "nothing goes into the URL");
}

#[test]
fn status_says_who_is_in_step() {
    let house = kept();
    let ended = house.run("status");
    assert_eq!(ended.code, 0, "{}", ended.all());
    house.cloud.switch_off("cdn.example.test");
    let ended = house.run("status --json");
    let targets = &ended.json()["certificates"][0]["targets"];
    assert_eq!(
        (ended.code, &targets[0]["in_step"], &targets[1]["in_step"]),
        (1, &false.into(), &true.into()),
        "{targets:#}"
    );
}

/// Every file below a folder, with its bytes.
pub(crate) fn tree(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => folders.push(path),
                false => drop(files.insert(path.clone(), fs::read(&path).unwrap())),
            }
        }
    }
    files
}

#[test]
fn plan_and_status_write_nothing() {
    let mut house = House::new();
    CONFIG.clone_into(&mut house.config);
    house.run("plan");
    house.run("status");
    assert!(!house.path("store").exists());
    house.run("renew");
    fs::remove_dir_all(house.path("store/locks")).unwrap();
    fs::create_dir(house.path("store/locks")).unwrap();
    house.cloud.switch_off("cdn.example.test");
    let before = tree(&house.path("store"));
    house.run("plan");
    house.run("status");
    assert_eq!(tree(&house.path("store")), before);
}

#[test]
fn what_cannot_be_seen_is_said() {
    let house = kept();
    house.write_secret("secret", "another", 0o600);
    let plan = house.run("plan");
    assert_eq!(plan.code, 1, "{}", plan.all());
    assert!(
        plan.stderr.contains("help:") && !plan.stdout.contains("all is in step"),
        "{}",
        plan.all()
    );
    house.write_secret("secret", crate::house::SECRET, 0o600);
    fs::remove_dir_all(house.path("live/a")).unwrap();
    let plan = house.run("plan");
    assert!(plan.stdout.contains("its certificate cannot be used"), "{}", plan.all());
}

#[test]
fn an_expired_certificate_is_not_well_though_it_is_served() {
    let house = kept();
    let (chain, key) = house.lineage("a", &Leaf { days_before: 90, days_after: -1, ..Leaf::new() });
    for domain in ["cdn.example.test", ".example.test"] {
        house.cloud.set_served(domain, "old", &chain, &key);
    }
    assert_eq!((house.run("status").code, house.run("renew").code), (1, 1));
}

#[test]
fn a_client_that_has_stopped_renewing_is_noticed() {
    let check = |row: &str, before: i64, after: i64, code: i32, says: &str| {
        let house = kept();
        house.lineage("a", &Leaf { days_before: before, days_after: after, ..Leaf::new() });
        let ended = house.run("renew");
        assert_eq!(ended.code, code, "{row}: {}", ended.all());
        assert!(ended.stderr.contains(says), "{row}: {}", ended.all());
    };
    check("long to go", 60, 30, 0, "");
    check("six days to go", 84, 6, 0, "has not been renewed yet");
    check("expired", 90, -1, 1, "has not been renewed");
}

#[test]
fn json_is_one_document_whatever_happens() {
    let check = |row: &str, config: &str, args: &str, code: i32| {
        let mut house = House::new();
        config.clone_into(&mut house.config);
        let ended = house.run(args);
        assert_eq!(ended.code, code, "{row}: {}", ended.all());
        assert!(ended.json().is_object(), "{row}: {}", ended.all());
    };
    check("well", CONFIG, "renew --json", 0);
    check("broken config", "[[raw]][x", "renew --json", 2);
    check("no hook's call", "", "hook --json", 2);
    check("no lineage", "", "deploy --json --lineage live/none --domain cdn.example.test", 1);
    check("a wrong flag", "", "renew --json --nope", 2);
    check("plan", CONFIG, "plan --json", 0);
    check("status", CONFIG, "status --json", 1);
}

#[test]
fn fields_that_the_cloud_leaves_out_are_borne() {
    let check = |left_out: &[&str], proof: &str| {
        let house = kept();
        house.cloud.rules(|rules| {
            rules.left_out = left_out.iter().map(|&field| field.to_owned()).collect()
        });
        let report = house.run("renew --json").json();
        let end = &report["targets"][0];
        assert_eq!(
            (&end["outcome"], &end["proof"]),
            (&"unchanged".into(), &proof.into()),
            "{left_out:?}: {end:#}"
        );
    };
    check(&["ServerCertificateStatus"], "readback");
    check(&["ServerCertificate"], "accepted");
    check(&["CertName", "CertExpireTime", "Status", "DomainName"], "readback");
}

#[test]
fn the_plan_foresees_what_will_be_refused() {
    let house = kept();
    house.lineage("a", &Leaf { names: vec!["cdn.example.test"], ..Leaf::new() });
    let plan = house.run("plan");
    assert!(
        plan.stdout.contains("skip   a -> *.example.test: it would be refused"),
        "{}",
        plan.all()
    );
    assert!(plan.stdout.contains("deploy a -> cdn.example.test"), "{}", plan.all());
}

#[test]
fn an_error_that_is_over_is_over() {
    let house = kept();
    house.write_secret("secret", "another", 0o600);
    assert_eq!(house.run("renew").code, 1);
    house.write_secret("secret", crate::house::SECRET, 0o600);
    assert_eq!(house.run("renew").code, 0);
    let status = house.run("status --json").json();
    assert_eq!(status["certificates"][0]["targets"][0]["last_error"], serde_json::Value::Null);
}

#[test]
fn chain_and_key_may_lie_apart() {
    let mut house = House::new();
    let put = |house: &House| {
        let (chain, key) = house.make(&Leaf::new());
        house.write("lego/a b.crt", &chain);
        house.write_secret("private/a.key", &key, 0o600);
        fingerprint(&chain)
    };
    let says = "domains = [\"cdn.example.test\"]\n";
    house.config = format!(
        "[[certificate]]\nname = \"a\"\nsource = \"lego/a b.crt\"\nsource_key = \"private/a.key\"\n[[certificate.deploy]]\n{says}"
    );
    for _ in 0..2 {
        let want = put(&house);
        let ended = house.run("renew");
        assert_eq!(ended.code, 0, "{}", ended.all());
        assert_eq!(house.cloud.served_fingerprint("cdn.example.test"), Some(want));
    }
    let status = house.run("status --json").json();
    let path = house.path("lego/a b.crt").display().to_string();
    assert_eq!(status["certificates"][0]["source"], path, "{status:#}");
    house.chmod("private/a.key", 0o644);
    let ended = house.run("renew");
    assert!(ended.code == 1 && ended.all().contains("private/a.key"), "{}", ended.all());
}

#[test]
fn a_folder_and_a_file_are_told_apart_when_they_are_read() {
    let check = |said: &str, says: &str| {
        let mut house = House::new();
        house.write("files/chain", house.read("live/a/fullchain.pem"));
        house.config = format!(
            "[[certificate]]\nname = \"a\"\n{said}\n[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n"
        );
        let ended = house.run("renew");
        assert_eq!(ended.code, 1, "{said}: {}", ended.all());
        assert!(
            ended.all().contains(says) && ended.all().contains("source_key"),
            "{}",
            ended.all()
        );
    };
    check("source = \"files/chain\"", "files/chain is no folder");
    check("source = \"live/a\"\nsource_key = \"live/a/privkey.pem\"", "live/a is a folder");
}
