//! dig, kdig, nsupdate, knsupdate and openssl see in the sandbox's DNS and edge what was put there.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certferry_sandbox::dns::{Behaviour, ResponseCode, Zones};
use certferry_sandbox::world::{Seed, World};

use super::program::{Ran, need_debian, run};

const ZONE: &str = "example.test";

/// The last of a zone's SOA, the time for which a client may remember that there is none.
const SOA: &str = "ns1.example.test. hostmaster.example.test. * 900 300 86400 600";

/// A program that asks, and the program of the same house that updates.
struct House {
    ask: &'static str,
    update: &'static str,
    package: &'static str,
    /// What it says of an answer whose signature it cannot verify.
    distrusts: &'static str,
}

const HOUSES: [House; 2] = [
    House {
        ask: "dig",
        update: "nsupdate",
        package: "bind9-dnsutils",
        distrusts: "Couldn't verify signature",
    },
    House {
        ask: "kdig",
        update: "knsupdate",
        package: "knot-dnsutils",
        distrusts: "failed to verify TSIG",
    },
];

/// What dig and kdig print of an answer, in the words that both have.
struct Answer {
    text: String,
}

impl Answer {
    fn status(&self) -> &str {
        let (_, rest) = self.text.split_once("status: ").unwrap_or_else(|| panic!("{}", self.text));
        &rest[..rest.find([',', ';']).unwrap()]
    }

    /// The header's flags.
    fn flags(&self) -> &str {
        let line = self.text.lines().find(|line| line.to_lowercase().starts_with(";; flags:"));
        line.unwrap_or_default().split([':', ';']).nth(3).unwrap_or_default()
    }

    /// A section's records, sorted, each as `TYPE DATA`.
    fn section(&self, name: &str) -> Vec<String> {
        let lines = self.text.lines().skip_while(|line| *line != format!(";; {name} SECTION:"));
        let lines = lines.skip(1).take_while(|line| !line.is_empty() && !line.starts_with(";;"));
        let mut records: Vec<String> = lines.map(record).collect();
        records.sort();
        records
    }
}

/// `TYPE DATA` of a record's line: name, TTL, class, type, data.
fn record(line: &str) -> String {
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[1..3], ["600", "IN"], "{line}");
    match words[3] {
        // Its serial counts the changes of the world.
        "SOA" => format!("SOA {} {} * {}", words[4], words[5], words[7..].join(" ")),
        _ => words[3..].join(" "),
    }
}

/// A world with its DNS filled, and who asks it.
struct Asker<'a> {
    house: &'a House,
    world: World,
    folder: tempfile::TempDir,
}

impl Asker<'_> {
    fn run(&self, program: &str, args: &[&str]) -> Ran {
        let mut command = Command::new(program);
        // No ~/.digrc of the machine's.
        command.args(args).env("HOME", self.folder.path());
        run(command, self.folder.path())
    }

    fn ask(&self, args: &[&str]) -> Answer {
        let server = self.world.dns.addresses()[0];
        let (at, port) = (format!("@{}", server.ip()), server.port().to_string());
        let ran = self.run(self.house.ask, &[&[&*at, "-p", &port], args].concat());
        Answer { text: ran.stdout + &ran.stderr }
    }

    /// The answer's status and sections are these.
    fn check(&self, args: &[&str], status: &str, answer: &[&str], authority: &[&str]) {
        let row = format!("{} {args:?}", self.house.ask);
        let got = self.ask(args);
        assert_eq!(got.status(), status, "{row}: {}", got.text);
        assert_eq!(got.section("ANSWER"), answer, "{row}: {}", got.text);
        assert_eq!(got.section("AUTHORITY"), authority, "{row}: {}", got.text);
        let authoritative = got.flags().split_whitespace().any(|flag| flag == "aa");
        assert_eq!(authoritative, status != "REFUSED" && status != "SERVFAIL", "{row}");
    }

    /// Whether the questions since the last call came by TCP.
    fn by_tcp(&self) -> Vec<bool> {
        let queries = self.world.dns.queries();
        self.world.dns.forget_queries();
        queries.iter().map(|query| query.tcp).collect()
    }

    /// `ALGORITHM:NAME:SECRET`, as all four of them take it.
    fn key(&self, secret: &[u8]) -> String {
        let name = &self.world.tsig_key().name;
        format!("hmac-sha256:{name}:{}", BASE64_STANDARD.encode(secret))
    }
}

fn fill(zones: &Zones) {
    let own = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    zones.add("other.test");
    zones.set(ZONE, "_acme-challenge.example.test", "TXT", &own(&["one", "two"]));
    zones.set(ZONE, "_acme-challenge.www.example.test", "CNAME", &own(&["away.other.test"]));
    zones.set("other.test", "away.other.test", "TXT", &own(&["there"]));
    let many: Vec<String> = (0..40).map(|number| format!("{number:0>64}")).collect();
    zones.set(ZONE, "many.example.test", "TXT", &many);
}

fn over_houses(test: impl Fn(&Asker<'_>)) {
    for house in &HOUSES {
        let [Some(_), Some(_)] =
            [house.ask, house.update].map(|name| need_debian(name, house.package))
        else {
            continue;
        };
        let asker = Asker { house, world: World::start(), folder: tempfile::tempdir().unwrap() };
        fill(&asker.world.dns.zones());
        test(&asker);
    }
}

#[test]
fn dns_answers_as_an_authority() {
    over_houses(|asker| {
        let soa = format!("SOA {SOA}");
        let servers = ["NS ns1.example.test.", "NS ns2.example.test."];
        let challenge = "_acme-challenge.example.test";
        let two = ["TXT \"one\"", "TXT \"two\""];
        let away = ["CNAME away.other.test."];
        asker.check(&[ZONE, "SOA"], "NOERROR", &[&soa], &servers);
        asker.check(&[ZONE, "NS"], "NOERROR", &servers, &[]);
        asker.check(&["ns2.example.test", "A"], "NOERROR", &["A 127.0.0.2"], &[]);
        asker.check(&["none.example.test", "TXT"], "NXDOMAIN", &[], &[&soa]);
        asker.check(&[challenge, "A"], "NOERROR", &[], &[&soa]);
        asker.check(&["_acme-challenge.www.example.test", "TXT"], "NOERROR", &away, &[]);
        asker.check(&["away.other.test", "TXT"], "NOERROR", &["TXT \"there\""], &[]);
        asker.check(&["elsewhere.invalid", "A"], "REFUSED", &[], &[]);
        assert!(asker.by_tcp().iter().all(|tcp| !tcp), "{}", asker.house.ask);
        asker.check(&[challenge, "TXT", "+tcp"], "NOERROR", &two, &[]);
        assert_eq!(asker.by_tcp(), [true], "{}", asker.house.ask);
        let many = asker.ask(&["many.example.test", "TXT"]).section("ANSWER");
        assert_eq!(many.len(), 40, "{}: cut by UDP, whole by TCP", asker.house.ask);
        assert_eq!(asker.by_tcp(), [false, true], "{}", asker.house.ask);
        asker.world.dns.behave(0, Behaviour::Answers(ResponseCode::ServFail, Vec::new()));
        asker.check(&[challenge, "TXT"], "SERVFAIL", &[], &[]);
    });
}

#[test]
fn dns_checks_and_signs_by_tsig() {
    over_houses(|asker| {
        let row = asker.house.ask;
        let good = asker.key(&asker.world.tsig_key().secret);
        for tcp in ["+notcp", "+tcp"] {
            let got = asker.ask(&["-y", &good, ZONE, "NS", tcp]);
            assert_eq!(got.status(), "NOERROR", "{row}: {}", got.text);
            assert!(got.text.contains("TSIG PSEUDOSECTION"), "{row}: {}", got.text);
            assert_eq!(got.section("ANSWER").len(), 2, "{row}: {}", got.text);
            // Both check the answer's signature and say only when it is wrong.
            assert!(!got.text.contains("WARNING: reply"), "{row}: {}", got.text);
            assert!(!got.text.contains("could not be validated"), "{row}: {}", got.text);
            assert!(!got.text.contains(asker.house.distrusts), "{row}: {}", got.text);
        }
        let got = asker.ask(&["-y", &asker.key(b"of 32 bytes, but of another door"), ZONE, "NS"]);
        assert!(got.text.contains(asker.house.distrusts), "{row}: {}", got.text);
        assert!(got.text.contains("BADSIG"), "{row}: {}", got.text);
        assert!(got.section("ANSWER").is_empty(), "{row}: {}", got.text);
    });
}

#[test]
fn dns_takes_updates() {
    over_houses(|asker| {
        let house = asker.house;
        let server = asker.world.dns.addresses()[0];
        let update = |key: &[u8], line: &str| {
            let file = asker.folder.path().join("update");
            let (ip, port) = (server.ip(), server.port());
            let text = format!("server {ip} {port}\nzone {ZONE}.\nupdate {line}\nsend\n");
            std::fs::write(&file, text).unwrap();
            let ran = asker.run(house.update, &["-y", &asker.key(key), file.to_str().unwrap()]);
            let updates = asker.world.dns.updates();
            let last =
                updates.last().unwrap_or_else(|| panic!("{} sent none: {ran:?}", house.update));
            (ran.code, last.answer)
        };
        let key = asker.world.tsig_key().secret.clone();
        let name = "updated.example.test.";
        let one = format!("add {name} 60 TXT \"one\"");
        assert_eq!(update(&key, &one), (Some(0), ResponseCode::NoError), "{}", house.update);
        asker.check(&[name, "TXT"], "NOERROR", &["TXT \"one\""], &[]);
        let away = format!("delete {name} TXT \"one\"");
        let (code, answer) = update(b"of 32 bytes, but of another door", &away);
        assert_ne!(code, Some(0), "{}", house.update);
        assert_eq!(answer, ResponseCode::NotAuth, "{}", house.update);
        asker.check(&[name, "TXT"], "NOERROR", &["TXT \"one\""], &[]);
        assert_eq!(update(&key, &away), (Some(0), ResponseCode::NoError), "{}", house.update);
        assert_eq!(asker.ask(&[name, "TXT"]).status(), "NXDOMAIN", "{}", house.ask);
    });
}

/// A handshake by `openssl s_client`, which must verify chain and name.
fn handshake(folder: &Path, at: SocketAddr, name: &str, host: &str, version: &str) -> Ran {
    let mut command = Command::new("openssl");
    command
        .args(["s_client", "-connect", &at.to_string(), "-CAfile"])
        .arg(folder.join("roots.pem"));
    command.args(["-verify_return_error", "-verify_hostname", host, version]);
    match name {
        "" => command.arg("-noservername"),
        name => command.args(["-servername", name]),
    };
    run(command, folder)
}

#[test]
fn the_edge_serves_what_the_cloud_was_given() {
    if need_debian("openssl", "openssl").is_none() {
        return;
    }
    let mut seed = Seed::default();
    seed.domains.push("off.example.test".to_owned());
    let world = World::with(seed);
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_certferry"));
    command.args(["renew", "--config"]).arg(world.config(folder.path())).env_clear();
    let ran = run(command, folder.path());
    assert_eq!(ran.code, Some(0), "{ran:#?}");
    let versions = ["-tls1_2", "-tls1_3"];
    let cases = [
        ("cdn.example.test", Some("cdn.example.test")),
        ("www.example.test", Some(".example.test")),
        ("off.example.test", None),
        ("deep.www.example.test", None),
        ("example.org", None),
        ("", None),
    ];
    for address in world.edge.addresses() {
        for (name, domain) in cases {
            for version in versions {
                world.edge.forget_handshakes();
                let ran = handshake(folder.path(), *address, name, name, version);
                let row = format!("{address} {name:?} {version}: {ran:#?}");
                assert_eq!(ran.code == Some(0), domain.is_some(), "{row}");
                let [seen] = &world.edge.handshakes()[..] else { panic!("{row}") };
                assert_eq!(seen.domain.as_deref(), domain, "{row}");
                assert_eq!((seen.ipv6, seen.done), (address.is_ipv6(), domain.is_some()), "{row}");
                shows(&row, &ran, domain.and_then(|domain| world.cloud.served(domain)));
            }
        }
    }
}

/// The client saw this leaf and a chain that verifies, or no certificate.
fn shows(row: &str, ran: &Ran, served: Option<certferry_sandbox::cloud::Served>) {
    let Some(served) = served else {
        assert!(ran.stdout.contains("no peer certificate available"), "{row}");
        return;
    };
    assert!(ran.stdout.contains("Verify return code: 0 (ok)"), "{row}");
    let (_, rest) = ran.stdout.split_once("-----BEGIN CERTIFICATE-----").unwrap();
    let (leaf, _) = rest.split_once("-----END CERTIFICATE-----").unwrap();
    assert!(served.chain_pem.contains(leaf.trim()), "{row}: another leaf");
}
