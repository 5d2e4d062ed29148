//! Secrets stay where they are: every command, at the highest log level, while everything goes wrong that can.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use certferry::cli::Cli;
use certferry_sandbox::cloud::Domain;
use certferry_sandbox::fault::Fault;
use certferry_sandbox::names::{HOOK_PASSWORD, Names};
use certferry_sandbox::world::{Provider, Seed};
use clap::CommandFactory as _;

use crate::house::{Ended, House, SECRET};
use crate::hunt::{Hunt, files_of, forms};
use crate::issuing::Town;

const KEY_SECRET: &str = "canary/AccessKey+secret=0000";
const ENV_TOKEN: &str = "canary-token-of-the-environment";
const EAB_KEY: &[u8] = b"canary of the binding's key";

/// A town, and all that nobody may see of it.
struct Walk {
    town: Town,
    names: Names,
    /// What its town does not know of.
    secrets: Vec<(&'static str, String)>,
    /// Where a program writes what it was given.
    heard: std::path::PathBuf,
}

impl Walk {
    /// `provider`: what the config says of `[dns.default]`; none: what the seed says.
    fn new(
        change: impl FnOnce(&mut Seed),
        provider: impl FnOnce(&Names) -> Option<String>,
    ) -> Self {
        let town = Town::new(|seed| {
            seed.access_key_secret = KEY_SECRET.to_owned();
            seed.certificates[0].more = "key_type = \"rsa-2048\"\nreuse_key = true".to_owned();
            seed.ca = seed.ca.clone().rules(|rules| {
                rules.eab_required = true;
                rules.eab_keys = [("kid".to_owned(), EAB_KEY.to_vec())].into();
            });
            change(seed);
        });
        let names = Names::start(&town.world.dns);
        let heard = town.folder.path().join("heard");
        let secrets = vec![
            ("the binding's key", String::from_utf8(EAB_KEY.to_vec()).unwrap()),
            ("the webhook's password", HOOK_PASSWORD.to_owned()),
            ("the token of the environment", ENV_TOKEN.to_owned()),
        ];
        let walk = Self { town, names, secrets, heard };
        walk.secret("eab", &BASE64_URL_SAFE_NO_PAD.encode(EAB_KEY));
        walk.secret("password", HOOK_PASSWORD);
        walk.town.edit(
            "terms_agreed = true",
            "terms_agreed = true\neab = { key_id = \"kid\", hmac_key_file = \"eab\" }",
        );
        if let Some(provider) = provider(&walk.names) {
            walk.town.edit("provider = \"alidns\"\naliyun = \"default\"\n", &provider);
        }
        walk
    }

    fn secret(&self, name: &str, text: &str) {
        write_secret(&self.town.folder.path().join(name), text);
    }

    /// Runs it with all that can be logged, and looks everywhere.
    fn run(&self, args: &str) -> Ended {
        for format in ["json", "text"] {
            // The first is the one that changes something; both are looked at.
            let ended = self.run_once(&format!("-vv --log-format {format} {args}"));
            if format == "text" {
                return ended;
            }
        }
        unreachable!("the last format returns")
    }

    fn run_once(&self, args: &str) -> Ended {
        let mut command = self.town.command(args);
        command
            .env("RUST_LOG", "trace")
            .env("PATH", "/usr/bin:/bin")
            .env("HEARD", &self.heard)
            .env("ALIBABA_CLOUD_SECURITY_TOKEN", ENV_TOKEN);
        let ended = Ended::of(&command.output().unwrap());
        self.look(args, &ended);
        ended
    }

    fn look(&self, args: &str, ended: &Ended) {
        let mut hunt = Hunt::of_town(&self.town);
        for (name, secret) in &self.secrets {
            hunt.text(name, secret);
        }
        for password in self.names.passwords() {
            hunt.text("a password of the acme-dns", &password);
        }
        hunt.check_run(args, &self.town, ended);
        hunt.check(
            &format!("{args}: what programs got"),
            &fs::read(&self.heard).unwrap_or_default(),
        );
    }

    /// The upload's key, as it is on disk.
    fn key(&self) -> String {
        fs::read_to_string(self.town.store("live/example.test/privkey.pem")).unwrap()
    }
}

fn write_secret(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Keys are where keys belong.
fn is_secret(path: &str) -> bool {
    path.ends_with("/privkey.pem")
}

/// Every command, one after the other; renewals again while this goes wrong.
fn walk(walk: &Walk, fault: impl Fn(&Walk)) {
    let town = &walk.town;
    let first = walk.run("renew");
    assert_eq!(first.code, 0, "{}", first.all());
    fault(walk);
    walk.run("renew example.test --force");
    town.world.ca.heal();
    town.world.cloud.heal();
    hooked(walk);
    ALONE.iter().for_each(|args| drop(walk.run(args)));
}

/// What needs nothing but a store; the account's end comes last.
const ALONE: &[&str] = &[
    "renew --json",
    "status --json",
    "status",
    "plan",
    "doctor",
    "policy",
    "keeps-anything",
    "rollback example.test --list",
    "rollback example.test",
    "rollback example.test --to latest",
    "account show",
    "account update",
    "account rollover",
    "revoke example.test",
    "account deactivate",
];

/// What is about files that another client has: the pair of ours, as lego would keep it.
fn hooked(walk: &Walk) {
    let (town, cloud) = (&walk.town, &walk.town.world.cloud);
    let theirs = town.folder.path().join("certificates");
    fs::create_dir(&theirs).unwrap();
    let [chain, key] = ["crt", "key"].map(|kind| theirs.join(format!("theirs.{kind}")));
    write_secret(
        &chain,
        &fs::read_to_string(town.store("live/example.test/fullchain.pem")).unwrap(),
    );
    write_secret(&key, &walk.key());
    fs::write(theirs.join("theirs.json"), "{}").unwrap();
    let files = format!("--cert {} --key {}", chain.display(), key.display());
    cloud.add_domain(Domain::online("hooked.example.test"));
    let hook = format!("hook --json {files} --name theirs --domain hooked.example.test");
    // Its answer gives back what it got.
    cloud.fault(Fault::at("SetDomainServerCertificate").answer("Strange", 400).saying(walk.key()));
    let refused = walk.run_once(&format!("-vv --log-format json {hook}"));
    assert_eq!((refused.code, cloud.faults_left()), (1, 0), "{}", refused.all());
    let well = walk.run(&hook);
    assert_eq!(well.code, 0, "{}", well.all());
    let forgotten = walk.run_once("-vv --log-format json forget theirs");
    assert_eq!(forgotten.code, 0, "{}", forgotten.all());
    let adopted = walk.run(&format!("init --from-lego={} --write", town.folder.path().display()));
    assert_eq!(adopted.code, 0, "{}", adopted.all());
    walk.run(&format!("deploy --pin {files} --domain cdn.example.test"));
}

/// No command is left out of the walk.
#[test]
fn all_that_there_is_is_walked() {
    let walked: Vec<&str> =
        ALONE.iter().chain(&["hook", "forget", "init", "deploy"]).copied().collect();
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let acts: Vec<String> =
            command.get_subcommands().map(|act| format!("{name} {}", act.get_name())).collect();
        for act in if acts.is_empty() { vec![name.to_owned()] } else { acts } {
            assert!(walked.iter().any(|args| args.starts_with(&act)), "{act}");
        }
    }
}

#[test]
fn nobody_is_told_a_secret() {
    std::thread::scope(|rows| {
        rows.spawn(|| {
            walk(&Walk::new(|_| {}, |_| None), |walk| {
                let cloud = &walk.town.world.cloud;
                cloud.fault(
                    Fault::at("SetDomainServerCertificate").answer("SignatureDoesNotMatch", 400),
                );
                cloud.fault(Fault::at("SetDomainServerCertificate").nth(2).oversized());
                cloud.fault(Fault::at("AddDomainRecord").answer("IncompleteSignature", 400));
                cloud.fault(Fault::at("DescribeDomainCertificateInfo").wrong_type());
            });
        });
        rows.spawn(|| {
            walk(&Walk::new(|seed| seed.provider = Provider::Rfc2136, |_| None), |walk| {
                let words = format!("PrivateKey={}", walk.key());
                let ca = &walk.town.world.ca;
                ca.fault(Fault::at("newOrder").answer("malformed", 400).saying(words));
            });
        });
        rows.spawn(|| {
            let hook = |names: &Names| {
                Some(format!(
                    "provider = \"webhook\"\nendpoint = \"{}\"\nusername = \"ops\"\npassword_file = \"password\"\n",
                    names.url("hook")
                ))
            };
            walk(&Walk::new(|_| {}, hook), |walk| walk.secret("password", "canary-wrong-password"));
        });
    });
}

#[test]
fn an_acme_dns_and_a_program() {
    let server = |names: &Names| {
        Some(format!("provider = \"acme-dns\"\nserver = \"{}\"\n", names.url("acme-dns")))
    };
    let of_acme_dns = Walk::new(|_| {}, server);
    of_acme_dns.run_once("-vv renew");
    let zones = of_acme_dns.town.world.dns.zones();
    let target = [format!("sub-0.{}", certferry_sandbox::names::AUTH_ZONE)];
    zones.set("example.test", "_acme-challenge.example.test", "CNAME", &target);
    walk(&of_acme_dns, |_| {});
}

/// What a program of ours that is no certferry is given: `heard` gets it.
const PROGRAM: &str = "#!/bin/sh\n{ env; tr '\\0' '\\n' < /proc/$PPID/cmdline; tr '\\0' '\\n' < /proc/$$/cmdline; grep core /proc/$PPID/limits; } >> \"$HEARD\"\n";

#[test]
fn programs_get_no_secret_and_leave_no_core() {
    let mut house = House::new();
    let program = house.path("program");
    house.write("program", PROGRAM.to_owned() + "echo '{\"mode\": \"AK\", \"access_key_id\": \"AKID\", \"access_key_secret\": \"canary-secret-of-the-access-key\"}'\n");
    house.chmod("program", 0o755);
    let config = format!(
        "{{\"current\": \"p\", \"profiles\": [{{\"name\": \"p\", \"mode\": \"External\", \"process_command\": \"{}\"}}]}}",
        program.display()
    );
    house.write_secret(".aliyun/config.json", &config, 0o600);
    let heard = house.path("heard").display().to_string();
    for (name, value) in [
        ("HOME", house.folder.path().display().to_string()),
        ("HEARD", heard),
        ("ALIBABA_CLOUD_SECURITY_TOKEN", "canary-token".to_owned()),
        ("ALIBABA_CLOUD_CREDENTIALS_URI", "https://127.0.0.1:1/canary-path".to_owned()),
        ("KEPT", "a variable of its own".to_owned()),
    ] {
        house.var(name, value);
    }
    house.config = "[aliyun.default]\ncdn_endpoint = \"URL\"\ndns_endpoint = \"URL\"\n".to_owned();
    let ended = house.run("-vv deploy --lineage live/a --domain cdn.example.test");
    assert_eq!(ended.code, 0, "{}", ended.all());
    let heard = house.read("heard");
    assert!(!heard.contains("canary"), "{heard}");
    assert!(heard.contains("KEPT=a variable of its own"), "{heard}");
    let core = heard.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    assert!(!ended.all().contains(SECRET), "{}", ended.all());
}

#[test]
fn an_exec_dns_gets_no_secret() {
    let program = |_: &Names| Some("provider = \"exec\"\nprogram = \"PROGRAM\"\n".to_owned());
    let walk = Walk::new(|_| {}, program);
    let path = walk.town.folder.path().join("program");
    fs::write(&path, format!("{PROGRAM}exit 1\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    walk.town.edit("PROGRAM", &path.display().to_string());
    let ended = walk.run_once("-vv renew");
    assert_eq!(ended.code, 1, "nothing was put: {}", ended.all());
    let heard = fs::read_to_string(&walk.heard).unwrap();
    assert!(heard.contains("present") && heard.contains("PATH="), "{heard}");
    assert!(!heard.contains("ALIBABA_CLOUD"), "{heard}");
}

/// The cloud gives back what it got, in this form, by an unknown code and by a page.
#[test]
fn what_the_cloud_gives_back_is_not_told() {
    for algorithm in [&rcgen::PKCS_ECDSA_P256_SHA256, &rcgen::PKCS_RSA_SHA256] {
        let house = House::new();
        let mut leaf = crate::house::Leaf::new();
        leaf.algorithm = algorithm;
        let (chain, key) = house.lineage("a", &leaf);
        let mut hunt = Hunt::default();
        hunt.key(&key);
        hunt.public(&chain);
        hunt.text("the AccessKey's secret", SECRET);
        assert_eq!(house.run("deploy --lineage live/a --domain cdn.example.test").code, 0);
        let sent =
            house.cloud.calls("SetDomainServerCertificate")[0].param("PrivateKey").to_owned();
        hunt.key(&sent);
        for (form, text) in forms(&sent).into_iter().chain(forms(SECRET)) {
            for fault in [
                Fault::at("SetDomainServerCertificate").answer("Strange", 400).saying(&text),
                Fault::at("SetDomainServerCertificate").page(403, &text),
            ] {
                house.lineage("a", &leaf);
                house.cloud.fault(fault);
                // The same key again, so that what comes back is what was sent.
                house.write("live/a/fullchain.pem", &chain);
                house.write_secret("live/a/privkey.pem", &key, 0o600);
                house.cloud.switch_off("cdn.example.test");
                let ended =
                    house.run("-vv deploy --lineage live/a --domain cdn.example.test --json");
                hunt.check(&format!("{form}: stdout"), ended.stdout.as_bytes());
                hunt.check(&format!("{form}: stderr"), ended.stderr.as_bytes());
                assert_eq!(
                    house.cloud.faults_left(),
                    0,
                    "{form}: nothing came back: {}",
                    ended.all()
                );
                for (path, text) in files_of(&house.path("store")) {
                    if !is_secret(&path) {
                        hunt.check(&format!("{form}: {path}"), text.as_bytes());
                    }
                }
            }
        }
    }
}
