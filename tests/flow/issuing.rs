//! Issuing as tables: what the world does; how it ended, what was said, what it cost, and what is left behind.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use certferry_sandbox::fault::Fault;
use certferry_sandbox::world::{Certificate, Provider, Seed, World};
use tempfile::TempDir;

use crate::house::Ended;
use crate::hunt::Hunt;

/// A world, and a store beside a config that knows it.
pub(crate) struct Town {
    pub(crate) world: World,
    pub(crate) folder: TempDir,
    pub(crate) config: PathBuf,
}

impl Town {
    pub(crate) fn new(change: impl FnOnce(&mut Seed)) -> Self {
        let mut seed = Seed::default();
        change(&mut seed);
        let world = World::with(seed);
        let folder = tempfile::tempdir().unwrap();
        let config = world.config(folder.path());
        Self { world, folder, config }
    }

    pub(crate) fn run(&self, args: &str) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    /// Runs it with all that can be logged, and hunts for this town's secrets in whatever it says and leaves. What is
    /// given back is what people see, without the log.
    pub(crate) fn watched(&self, args: &str, env: &[(&str, String)]) -> Ended {
        let mut command = self.logged(args);
        self.hunted(args, Ended::of(&command.envs(env.iter().cloned()).output().unwrap()))
    }

    /// The program with all that can be logged.
    pub(crate) fn logged(&self, args: &str) -> Command {
        self.command(&format!("-vv --log-format json {args}"))
    }

    /// Hunts for this town's secrets in what such a run has said and left, and gives back what people see of it.
    pub(crate) fn hunted(&self, args: &str, ended: Ended) -> Ended {
        Hunt::of_town(self).check_run(args, self, &ended);
        let told = ended.stderr.lines().filter(|line| !line.starts_with('{'));
        let stderr = told.map(|line| format!("{line}\n")).collect();
        Ended { stderr, ..ended }
    }

    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args(["100", env!("CARGO_BIN_EXE_certferry"), "--config"]).arg(&self.config);
        command.args(args.split_whitespace()).env_clear();
        command
    }

    /// The program itself, for who ends it by hand.
    pub(crate) fn program(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_certferry"));
        command.arg("--config").arg(&self.config).args(args.split_whitespace()).env_clear();
        command
    }

    /// Changes the text of the config.
    pub(crate) fn edit(&self, from: &str, to: &str) {
        let text = fs::read_to_string(&self.config).unwrap();
        assert!(text.contains(from), "{from} is not in {text}");
        fs::write(&self.config, text.replace(from, to)).unwrap();
    }

    /// Orders placed, certificates issued, uploads sent, TXT records left.
    pub(crate) fn cost(&self) -> [usize; 4] {
        [
            self.world.ca.orders().len(),
            self.world.ca.certificates().len(),
            self.world.cloud.calls("SetDomainServerCertificate").len(),
            self.world.cloud.txt("_acme-challenge.example.test").len(),
        ]
    }

    pub(crate) fn store(&self, path: &str) -> PathBuf {
        self.folder.path().join("store").join(path)
    }
}

/// One run in a world that is not well; then the world is healed, and one more run must end with all in step.
fn check(
    row: &str,
    seed: impl FnOnce(&mut Seed),
    trouble: impl FnOnce(&Town),
    heal: impl FnOnce(&Town),
    says: &[&str],
    costs: [[usize; 4]; 2],
) {
    let town = Town::new(seed);
    trouble(&town);
    let ended = town.run("renew");
    assert_eq!(ended.code, 1, "{row}: {}", ended.all());
    for word in says.iter().chain(&["help:"]) {
        assert!(ended.stderr.contains(word), "{row}: nothing says `{word}`: {}", ended.all());
    }
    assert_eq!(
        town.cost(),
        costs[0],
        "{row}: orders, certificates, uploads, records: {}",
        ended.all()
    );
    town.world.ca.heal();
    town.world.cloud.heal();
    heal(&town);
    let healed = town.run("renew example.test");
    assert_eq!(healed.code, 0, "{row}, healed: {}", healed.all());
    assert_eq!(
        town.cost(),
        costs[1],
        "{row}, healed: orders, certificates, uploads, records: {}",
        healed.all()
    );
    let plan = town.run("plan --json").json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{row}: a plan is left: {plan:#}");
}

/// What one good run from nothing costs.
pub(crate) const ONE: [usize; 4] = [1, 1, 2, 0];

#[test]
fn from_nothing_to_in_step() {
    let check = |row: &str, change: fn(&mut Seed)| {
        let town = Town::new(change);
        let ended = town.run("renew --json");
        let report = ended.json();
        assert_eq!((ended.code, town.cost()), (0, ONE), "{row}: {}", ended.all());
        assert_eq!(report["certificates"][0]["outcome"], "issued", "{row}");
        let outcomes: Vec<_> = report["targets"]
            .as_array()
            .unwrap()
            .iter()
            .map(|end| (end["outcome"].as_str().unwrap(), end["proof"].as_str().unwrap()))
            .collect();
        assert_eq!(outcomes, [("deployed", "readback"); 2], "{row}: {report:#}");
        let again = town.run("renew");
        assert_eq!((again.code, town.cost()), (0, ONE), "{row}, again: {}", again.all());
    };
    check("alidns", |_| {});
    check("rfc2136", |seed| seed.provider = Provider::Rfc2136);
    check("ecdsa-p384", |seed| certificate_more(seed, "key_type = \"ecdsa-p384\""));
    check("rsa-2048", |seed| certificate_more(seed, "key_type = \"rsa-2048\""));
    check("a profile", |seed| certificate_more(seed, "profile = \"shortlived\""));
    check("every third nonce is refused", |seed| ca_rules(seed, |rules| rules.nonce_refusals = 33));
}

pub(crate) fn ca_rules(seed: &mut Seed, change: impl FnOnce(&mut certferry_sandbox::ca::Rules)) {
    seed.ca = seed.ca.clone().rules(change);
}

pub(crate) fn certificate_more(seed: &mut Seed, more: &str) {
    more.clone_into(&mut seed.certificates[0].more);
}

#[test]
fn the_files_are_ours_alone_and_the_web_server_finds_them() {
    let town = Town::new(|_| {});
    assert_eq!(town.run("renew").code, 0);
    let mode = |path: &str| fs::metadata(town.store(path)).unwrap().permissions().mode() & 0o777;
    for file in ["privkey.pem", "fullchain.pem", "cert.pem", "chain.pem"] {
        assert_eq!(mode(&format!("live/example.test/{file}")), 0o600, "{file}");
    }
    for folder in [
        "",
        "archive",
        "archive/example.test",
        "archive/example.test/0001",
        "live",
        "acme",
        "journal",
        "claims",
        "locks",
    ] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    let link = fs::read_link(town.store("live/example.test")).unwrap();
    assert_eq!(link.to_str(), Some("../archive/example.test/0001"));
}

#[test]
fn what_goes_wrong_heals_and_costs_no_more_than_it_must() {
    std::thread::scope(|rows| {
        let none = |_: &Town| {};
        let plain = |_: &mut Seed| {};
        rows.spawn(move || {
            let refuse = |town: &Town| {
                town.world.cloud.fault(
                    Fault::at("SetDomainServerCertificate")
                        .always()
                        .before()
                        .answer("DomainInProtectedMode", 403),
                )
            };
            check(
                "a refused upload",
                plain,
                refuse,
                none,
                &["DomainInProtectedMode"],
                [[1, 1, 2, 0], [1, 1, 4, 0]],
            );
        });
        rows.spawn(move || {
            let refuse = |town: &Town| {
                town.world.ca.rules(|rules| {
                    rules.rejected.insert("example.test".to_owned());
                })
            };
            let take = |town: &Town| town.world.ca.rules(|rules| rules.rejected.clear());
            check(
                "a name that the CA refuses",
                plain,
                refuse,
                take,
                &["example.test"],
                [[0, 0, 0, 0], ONE],
            );
        });
        rows.spawn(move || {
            let deny = |town: &Town| {
                town.world.cloud.fault(
                    Fault::at("AddDomainRecord").always().before().answer("Forbidden.RAM", 403),
                )
            };
            check(
                "a DNS that does not take the record",
                plain,
                deny,
                none,
                &["alidns:AddDomainRecord"],
                [[1, 0, 0, 0], ONE],
            );
        });
        rows.spawn(move || {
            let seed = |seed: &mut Seed| seed.provider = Provider::Rfc2136;
            let wrong =
                |town: &Town| fs::write(town.folder.path().join("tsig.key"), "d3Jvbmc=").unwrap();
            let right = |town: &Town| {
                town.world.config(town.folder.path());
            };
            check(
                "a wrong TSIG key",
                seed,
                wrong,
                right,
                &["BADSIG", "key_file"],
                [[1, 0, 0, 0], ONE],
            );
        });
        rows.spawn(move || {
            let hide = |town: &Town| {
                let nothing =
                    "provider = \"exec\"\nprogram = \"/bin/true\"\npropagation_timeout = \"1s\"\n";
                town.edit("provider = \"alidns\"\naliyun = \"default\"\n", nothing);
            };
            let show = |town: &Town| {
                town.world.config(town.folder.path());
            };
            check(
                "a record that never shows",
                plain,
                hide,
                show,
                &["_acme-challenge.example.test", "127.0.0.2"],
                [[1, 0, 0, 0], ONE],
            );
        });
        rows.spawn(move || {
            let html = |town: &Town| {
                town.world.ca.fault(Fault::at("directory").always().before().html(502))
            };
            check(
                "a web server in the CA's place",
                plain,
                html,
                none,
                &["502"],
                [[0, 0, 0, 0], ONE],
            );
        });
        rows.spawn(move || {
            let lost =
                |town: &Town| town.world.ca.fault(Fault::at("finalize").always().after().reset());
            check("the answer to the CSR is lost", plain, lost, none, &[], [[1, 1, 0, 0], ONE]);
        });
        rows.spawn(move || {
            let lost =
                |town: &Town| town.world.ca.fault(Fault::at("newOrder").always().after().reset());
            check(
                "the answer to the order is lost",
                plain,
                lost,
                none,
                &[],
                [[1, 0, 0, 0], [2, 1, 2, 0]],
            );
        });
        rows.spawn(move || {
            let ahead = |town: &Town| {
                town.world.ca.rules(|rules| rules.clock_ahead = jiff::SignedDuration::from_mins(30))
            };
            let right = |town: &Town| {
                town.world.ca.rules(|rules| rules.clock_ahead = jiff::SignedDuration::ZERO)
            };
            check("a clock that is off", plain, ahead, right, &["clock"], [[0, 0, 0, 0], ONE]);
        });
    });
}

/// Nothing is ordered with a wrong clock, and what needs no order goes on.
#[test]
fn with_a_wrong_clock_uploads_go_on() {
    for minutes in [11, -11] {
        let town = Town::new(|_| {});
        assert_eq!(town.run("renew").code, 0);
        town.world.ca.rules(|rules| rules.clock_ahead = jiff::SignedDuration::from_mins(minutes));
        town.world.cloud.switch_off("cdn.example.test");
        let ended = town.run("renew example.test --force");
        assert_eq!((ended.code, town.cost()), (1, [1, 1, 3, 0]), "{minutes}: {}", ended.all());
        assert!(ended.stderr.contains("no certificate is ordered with a wrong clock"), "{minutes}");
    }
}

#[test]
fn the_cas_limits_are_sacred() {
    let shut = ["newOrder", "directory"];
    for (at, (code, status)) in [
        (shut[0], ("rateLimited", 429)),
        (shut[0], ("serverInternal", 503)),
        (shut[1], ("rateLimited", 503)),
    ] {
        let town = Town::new(|_| {});
        town.world
            .ca
            .fault(Fault::at(at).times(1).before().answer(code, status).retry_after(7_200_000));
        let ended = town.run("renew");
        assert!(ended.code == 1 && ended.stderr.contains(code), "{}", ended.all());
        let asked = town.world.ca.calls(at).len();
        for args in ["renew", "renew example.test", "renew example.test --force"] {
            let ended = town.run(args);
            let waits = ended.code == 1 && ended.stdout.contains("not before");
            assert!(waits, "{code}: {args}: {}", ended.all());
        }
        assert_eq!(town.world.ca.calls(at).len(), asked, "{at}: {code}: asked before its time");
        let planned = town.run("plan --json").json();
        assert_eq!(planned["steps"][0]["kind"], "wait", "{code}: {planned:#}");
    }
}

#[test]
fn what_the_ca_counted_climbs_the_ladder() {
    let town = Town::new(|_| {});
    town.world.ca.fault(Fault::at("finalize").times(1).before().answer("badCSR", 400));
    assert_eq!(town.run("renew").code, 1);
    let ended = town.run("renew");
    assert!(ended.code == 1 && ended.stdout.contains("not before"), "{}", ended.all());
    assert_eq!(town.run("status --json").json()["certificates"][0]["failures"], 1);
    assert_eq!(town.run("renew example.test").code, 0, "by hand it is tried at once");
}

#[test]
fn targets_are_found_by_the_names_that_are_asked_for() {
    let town = Town::new(|_| {});
    town.edit("domains = [\"cdn.example.test\", \"*.example.test\"]", "discover = true");
    let ended = town.run("renew");
    assert_eq!((ended.code, town.cost()), (0, ONE), "{}", ended.all());
    let says = "deployed, read back";
    assert_eq!(ended.stdout.matches(says).count(), 2, "in the run that issues: {}", ended.all());
    town.edit("domains = [\"example.test\", \"*.example.test\"]", "domains = [\"example.test\"]");
    town.world.cloud.switch_off("cdn.example.test");
    let ended = town.run("renew");
    assert_eq!(ended.code, 0, "{}", ended.all());
    let says = "cdn.example.test: skipped; the newest certificate does not cover it";
    assert!(ended.stdout.contains(says), "{}", ended.all());
    let after = town.run("renew");
    assert!(!after.all().contains("cdn.example.test"), "a name less: {}", after.all());
}

#[test]
fn plan_and_status_write_nothing() {
    let town = Town::new(|_| {});
    assert_eq!(town.run("renew").code, 0);
    let locks = || fs::read_dir(town.store("locks")).unwrap().map(|entry| entry.unwrap().path());
    locks().for_each(|lock| fs::remove_file(lock).unwrap());
    for args in ["plan", "status"] {
        let ended = town.run(args);
        assert_eq!((ended.code, locks().collect::<Vec<_>>()), (0, vec![]), "{}", ended.all());
    }
}

/// A config that asks for something else is told from a CA that adds a name.
#[test]
fn what_was_asked_for_is_remembered() {
    let town = Town::new(|_| {});
    assert_eq!(town.run("renew").code, 0);
    let text = fs::read_to_string(town.store("journal/lineages/example.test.json")).unwrap();
    let memory: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert!(memory["asked"].is_string(), "{memory:#}");
}

#[test]
fn one_bad_certificate_spoils_no_other() {
    let town = Town::new(|seed| {
        seed.domains = ["a.example.test", "b.example.test"].map(str::to_owned).into();
        seed.certificates = ["a", "b"]
            .map(|name| {
                Certificate::new(
                    &[&format!("{name}.example.test")],
                    &[&format!("{name}.example.test")],
                )
            })
            .into();
        ca_rules(seed, |rules| {
            rules.rejected.insert("a.example.test".to_owned());
        });
    });
    let ended = town.run("renew --json");
    let report = ended.json();
    let outcomes = [&report["certificates"][0]["outcome"], &report["certificates"][1]["outcome"]];
    assert_eq!(
        (ended.code, outcomes),
        (1, [&"failed".into(), &"issued".into()]),
        "{}",
        ended.all()
    );
    assert!(town.world.cloud.served("b.example.test").is_some());
}

#[test]
fn the_log_tells_the_way_and_no_secret() {
    let town = Town::new(|_| {});
    town.world.cloud.fault(
        Fault::at("SetDomainServerCertificate")
            .times(1)
            .before()
            .answer("SignatureDoesNotMatch", 400),
    );
    let first = town.run("renew -vv --log-format json");
    let second = town.run("renew -vv");
    let log = first.all() + &second.all();
    for word in ["SetDomainServerCertificate", "/acme/", "took"] {
        assert!(
            log.to_lowercase().contains(&word.to_lowercase()),
            "the log does not tell {word}: {log}"
        );
    }
    let key = fs::read_to_string(town.store("live/example.test/privkey.pem")).unwrap();
    let account = fs::read_to_string(town.folder.path().join("aliyun.secret")).unwrap();
    let lines = key.lines().filter(|line| !line.starts_with("-----")).chain([account.trim()]);
    for secret in lines {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}
