//! The hooks of other ACME clients, as these call them: what was asked for is done, and `renew` keeps it so.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::process::Stdio;

use certferry_sandbox::cloud::Fault;

use crate::house::{Ended, House, Leaf, fingerprint};

/// A client: where it leaves chain and key, and how it calls. `$` stands for the house's folder.
struct Client {
    /// As claims name it.
    name: &'static str,
    chain: &'static str,
    key: &'static str,
    vars: &'static [(&'static str, &'static str)],
    args: &'static str,
    stdin: &'static str,
    /// How its certificate is told.
    says: &'static str,
}

const LEGO4: Client = Client {
    name: "lego",
    chain: "lego/certificates/cdn.example.test.crt",
    key: "lego/certificates/cdn.example.test.key",
    vars: &[
        ("LEGO_CERT_PATH", "lego/certificates/cdn.example.test.crt"),
        ("LEGO_CERT_KEY_PATH", "$/lego/certificates/cdn.example.test.key"),
        ("LEGO_CERT_DOMAIN", "cdn.example.test"),
    ],
    args: "hook",
    stdin: "",
    says: "lego 4: cdn.example.test ($/lego/certificates/cdn.example.test.crt)",
};

const ACMETOOL: Client = Client {
    name: "acmetool",
    chain: "acme/live/cdn.example.test/fullchain",
    key: "acme/live/cdn.example.test/privkey",
    vars: &[("ACME_STATE_DIR", "$/acme")],
    args: "hook -- live-updated",
    stdin: "cdn.example.test\n*.example.test\n",
    says: "acmetool: *.example.test ($/acme/live/*.example.test)",
};

const CLIENTS: [Client; 10] = [
    LEGO4,
    Client {
        name: "lego",
        chain: "lego/c.crt",
        key: "lego/c.key",
        vars: &[
            ("LEGO_HOOK_CERT_PATH", "$/lego/c.crt"),
            ("LEGO_HOOK_CERT_KEY_PATH", "$/lego/c.key"),
            ("LEGO_HOOK_CERT_NAME", "c"),
            ("LEGO_HOOK_CERT_DOMAINS", "cdn.example.test,*.example.test"),
        ],
        args: "hook -- lego",
        stdin: "",
        says: "lego 5: c ($/lego/c.crt)",
    },
    Client {
        name: "acme.sh",
        chain: "acme.sh/cdn.example.test_ecc/fullchain.cer",
        key: "acme.sh/cdn.example.test_ecc/cdn.example.test.key",
        vars: &[
            ("CERT_FULLCHAIN_PATH", "$/acme.sh/cdn.example.test_ecc/fullchain.cer"),
            ("CERT_KEY_PATH", "$/acme.sh/cdn.example.test_ecc/cdn.example.test.key"),
            ("CERT_PATH", "/nowhere"),
            ("Le_Domain", "cdn.example.test"),
        ],
        args: "hook",
        stdin: "",
        says: "acme.sh: cdn.example.test ($/acme.sh/cdn.example.test_ecc/fullchain.cer)",
    },
    Client {
        name: "acme.sh",
        chain: "f.cer",
        key: "k",
        vars: &[],
        args: "hook -- acme.sh cdn.example.test $/k /nowhere /nowhere $/f.cer",
        stdin: "",
        says: "acme.sh: cdn.example.test ($/f.cer)",
    },
    Client {
        name: "dehydrated",
        chain: "certs/x/fullchain.pem",
        key: "certs/x/privkey.pem",
        vars: &[],
        args: "hook -- deploy_cert x $/certs/x/privkey.pem /c $/certs/x/fullchain.pem /h 17",
        stdin: "",
        says: "dehydrated: x ($/certs/x)",
    },
    Client {
        name: "dehydrated",
        chain: "certs/x/fullchain-17.pem",
        key: "certs/x/privkey.pem",
        vars: &[],
        args: "hook -- dehydrated unchanged_cert x certs/x/privkey.pem /c certs/x/fullchain-17.pem /h",
        stdin: "",
        says: "dehydrated: x ($/certs/x/fullchain-17.pem)",
    },
    ACMETOOL,
    Client {
        name: "uacme",
        chain: "uacme/example.test/cert.pem",
        key: "uacme/private/example.test/key.pem",
        vars: &[],
        args: "hook -- uacme $/uacme *.example.test",
        stdin: "",
        says: "uacme: example.test ($/uacme/example.test/cert.pem)",
    },
    Client {
        name: "caddy",
        chain: "data/caddy/certificates/ca/w/w.crt",
        key: "data/caddy/certificates/ca/w/w.key",
        vars: &[("XDG_DATA_HOME", "$/data")],
        args: "hook -- caddy *.example.test certificates/ca/w/w.crt certificates/ca/w/w.key",
        stdin: "",
        says: "caddy: *.example.test ($/data/caddy/certificates/ca/w/w.crt)",
    },
    Client {
        name: "other",
        chain: "o/chain",
        key: "p/key",
        vars: &[],
        args: "hook --cert o/chain --key $/p/key --name mine",
        stdin: "",
        says: "another client: mine ($/o/chain)",
    },
];

impl Client {
    /// A new certificate, as the client leaves it. Answers its fingerprint.
    fn issue(&self, house: &House, number: usize) -> String {
        let (chain, key) = house.make(&Leaf::new());
        if self.name == "acmetool" {
            relink(house, number);
        }
        house.write(self.chain, &chain);
        house.write_secret(self.key, &key, 0o600);
        fingerprint(&chain)
    }

    fn call(&self, house: &mut House) -> Ended {
        for (name, value) in self.vars {
            let value = told(house, value);
            house.var(name, value);
        }
        fed(house, &told(house, self.args), self.stdin)
    }
}

/// acmetool's folders: a new one for each certificate, and a link for each of its names.
fn relink(house: &House, number: usize) {
    let new = house.path(&format!("acme/certs/{number}"));
    fs::create_dir_all(&new).unwrap();
    fs::create_dir_all(house.path("acme/live")).unwrap();
    for host in ["cdn.example.test", "*.example.test"] {
        let link = house.path("acme/live").join(host);
        fs::remove_file(&link).ok();
        symlink(&new, link).unwrap();
    }
}

fn told(house: &House, text: &str) -> String {
    text.replace('$', &house.folder.path().display().to_string())
}

/// Runs the program with this stdin.
fn fed(house: &House, args: &str, stdin: &str) -> Ended {
    let mut command = house.command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Who reads no stdin may be gone already.
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).ok();
    Ended::of(&child.wait_with_output().unwrap())
}

fn check(row: &str, ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    for word in says {
        assert!(ended.all().contains(word), "{row}: nothing says `{word}`: {}", ended.all());
    }
}

fn served(house: &House) -> [Option<String>; 2] {
    ["cdn.example.test", ".example.test"].map(|domain| house.cloud.served_fingerprint(domain))
}

fn claims(house: &House) -> usize {
    fs::read_dir(house.path("store/claims")).unwrap().count()
}

fn refuse(house: &House) {
    let refused = Fault::at("SetDomainServerCertificate").always().before();
    house.cloud.fault(refused.answer("InvalidCertName.TooLong", 400));
}

#[test]
fn every_client_deploys_replaces_and_heals() {
    for client in &CLIENTS {
        let row = client.says;
        let mut house = House::new();
        let first = client.issue(&house, 1);
        let ended = client.call(&mut house);
        check(row, &ended, 0, &[&told(&house, client.says), "2 deployed"]);
        assert_eq!(ended.stderr, "", "{row}: some clients show stderr as an error");
        assert_eq!(served(&house), [Some(first.clone()), Some(first)], "{row}");
        let second = client.issue(&house, 2);
        check(row, &client.call(&mut house), 0, &["2 deployed"]);
        assert_eq!(served(&house), [Some(second.clone()), Some(second)], "{row}");
        check(row, &client.call(&mut house), 0, &["2 in step"]);
        let third = client.issue(&house, 3);
        refuse(&house);
        check(row, &client.call(&mut house), 1, &["InvalidCertName.TooLong", "help:"]);
        house.cloud.heal();
        check(row, &house.run("renew"), 0, &["2 deployed"]);
        assert_eq!(served(&house), [Some(third.clone()), Some(third)], "{row}");
        let fourth = client.issue(&house, 4);
        check(row, &house.run("renew"), 0, &["2 deployed"]);
        assert_eq!(served(&house)[0], Some(fourth), "{row}: renew follows without a hook");
        let status = house.run("status --json").json();
        let why = format!("issued by {}", client.name);
        assert_eq!(status["certificates"][0]["renew_reason"], why, "{row}: {status:#}");
        assert_eq!(claims(&house), 1, "{row}");
    }
}

/// Its words, where nothing else is well: no config that can be read, and no cloud.
fn silent(row: &str, vars: &[(&str, &str)], args: &str, code: i32) {
    let mut house = House::new();
    "[[raw]]this is no TOML".clone_into(&mut house.config);
    for (name, value) in vars {
        house.var(name, *value);
    }
    let ended = house.run(args);
    assert_eq!((ended.code, &*ended.stdout, &*ended.stderr), (code, "", ""), "{row}");
    assert!(!house.path("store").exists(), "{row}: a store was made");
}

#[test]
fn what_is_no_business_of_ours_ends_in_silence() {
    let nonsense = "hook -- this_hookscript_is_broken__dehydrated_is_working_fine";
    let state = [("ACME_STATE_DIR", "/var/lib/acme")];
    for words in ["startup_hook", "exit_hook failed", "deploy_challenge a t v", "generate_csr a"] {
        silent(words, &[], &format!("hook -- {words}"), 0);
        silent(words, &[], &format!("hook --domain cdn.example.test -- dehydrated {words}"), 0);
        silent(words, &state, &format!("hook -- dehydrated {words}"), 0);
    }
    silent("its test of the script", &[], nonsense, 0);
    silent("acmetool's other events", &state, "hook -- challenge-dns-start a  x", 42);
    silent("by name", &state, "hook -- acmetool challenge-http-stop", 42);
    silent("without its folder", &[], "hook -- challenge-dns-start a  x", 0);
}

#[test]
fn two_clients_at_once_are_refused() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    let args = told(&house, "hook -- deploy_cert x $/k $/c $/f $/h");
    let says = ["certbot (RENEWED_LINEAGE is set)", "dehydrated (`deploy_cert`", "help:"];
    check("certbot and dehydrated", &house.run(&args), 2, &says);
    let ended = house.run("hook --cert /c --key /k --json");
    assert_eq!((ended.code, &ended.json()["ok"]), (2, &false.into()), "{}", ended.all());
    assert_eq!(house.uploads(), 0);
    assert!(!house.path("store/claims").exists());
}

#[test]
fn hooks_that_are_told_of_no_certificate_say_so() {
    let check = |vars: &[(&str, &str)], says: &str| {
        let mut house = House::new();
        vars.iter().for_each(|(name, value)| house.var(name, *value));
        check(says, &house.run("hook"), 2, &[says, "help: wire it as"]);
    };
    check(&[("FAILED_DOMAINS", "a.test"), ("RENEWED_DOMAINS", "")], "certbot's post-hook");
    check(&[("LEGO_HOOK_CERT_NAME", "a")], "lego's pre-hook or post-hook");
    check(&[("Le_Domain", "a.test"), ("Le_Alt", "no")], "acme.sh's pre-hook");
}

#[test]
fn a_dry_run_uploads_nothing() {
    let mut house = House::new();
    house.renewed("cdn.example.test *.example.test");
    check("issued", &house.run("hook"), 0, &["2 deployed"]);
    let served_before = served(&house);
    house.var("FAILED_DOMAINS", "cdn.example.test");
    check("certbot renew --dry-run --run-deploy-hooks", &house.run("hook"), 0, &["2 in step"]);
    check("the timer after it", &house.run("renew"), 0, &["2 in step"]);
    assert_eq!((house.uploads(), served(&house)), (2, served_before));
    assert_eq!(claims(&house), 1);
}

#[test]
fn names_that_could_not_be_read_are_learned_by_the_timer() {
    let mut house = House::new();
    let want = LEGO4.issue(&house, 1);
    house.chmod(LEGO4.key, 0o644);
    check(
        "a key that all may read",
        &LEGO4.call(&mut house),
        1,
        &["cdn.example.test.key", "chmod"],
    );
    house.chmod(LEGO4.key, 0o600);
    check("plan", &house.run("plan"), 0, &["-> cdn.example.test", "-> *.example.test"]);
    check("renew", &house.run("renew"), 0, &["2 deployed"]);
    assert_eq!(served(&house), [Some(want.clone()), Some(want)]);
}

#[test]
fn a_name_more_in_the_certificate_is_kept_in_step() {
    let mut house = House::new();
    let leaf = Leaf { names: vec!["cdn.example.test"], ..Leaf::new() };
    let (chain, key) = house.make(&leaf);
    house.write(LEGO4.chain, &chain);
    house.write_secret(LEGO4.key, &key, 0o600);
    check("one name", &LEGO4.call(&mut house), 0, &["1 deployed"]);
    LEGO4.issue(&house, 2);
    check("two names", &LEGO4.call(&mut house), 0, &["2 deployed"]);
    check("at rest", &house.run("renew"), 0, &["2 in step"]);
}

/// acmetool with a certificate for each of the two hostnames.
fn two_certificates() -> House {
    let mut house = House::new();
    let state = house.path("acme").display().to_string();
    house.var("ACME_STATE_DIR", state);
    for (host, name) in
        [("cdn.example.test", "cdn.example.test"), ("a.example.test", "*.example.test")]
    {
        let (chain, key) = house.make(&Leaf { names: vec![name, host], ..Leaf::new() });
        let folder = house.path("acme/certs").join(host);
        house.write(&format!("acme/certs/{host}/fullchain"), &chain);
        house.write_secret(&format!("acme/certs/{host}/privkey"), &key, 0o600);
        fs::create_dir_all(house.path("acme/live")).unwrap();
        symlink(folder, house.path("acme/live").join(host)).unwrap();
    }
    house
}

#[test]
fn several_certificates_in_one_call_are_one_report() {
    let house = two_certificates();
    let hosts = "cdn.example.test\na.example.test\n";
    let args = "hook --json --domain *.example.test --domain cdn.example.test -- live-updated";
    let ended = fed(&house, args, hosts);
    let report = ended.json();
    let targets = report["targets"].as_array().unwrap();
    let outcome = |domain: &str| {
        let of = targets.iter().find(|target| target["domain"] == domain);
        of.map(|target| (target["certificate"].clone(), target["outcome"].clone()))
    };
    let deployed = |name: &str| Some((name.into(), "deployed".into()));
    assert_eq!(outcome("cdn.example.test"), deployed("cdn.example.test"), "{report:#}");
    assert_eq!(outcome("*.example.test"), deployed("a.example.test"), "{report:#}");
    assert_eq!(report["certificates"].as_array().unwrap().len(), 2, "{report:#}");
    assert_eq!((ended.code, &report["remembered"]), (0, &true.into()), "{report:#}");
    let renew = house.run("renew");
    check("at rest", &renew, 0, &["2 in step"]);
}

#[test]
fn one_of_several_that_fails_stops_no_other() {
    let house = two_certificates();
    fs::remove_file(house.path("acme/certs/a.example.test/privkey")).unwrap();
    let ended = fed(&house, "hook -- live-updated", "a.example.test\ncdn.example.test\n");
    check("one has no key", &ended, 1, &["cdn.example.test: deployed", "privkey"]);
    check("no hostname", &fed(&house, "hook -- live-updated", "\n"), 0, &[]);
    let says = ["tells the hostname", "help:"];
    check("none", &fed(&house, "hook -- live-updated", "../../etc/x\n"), 2, &says);
}

#[test]
fn a_caller_that_never_ends_stdin_is_not_waited_for() {
    let house = two_certificates();
    let mut command = house.command("hook -- live-updated");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"cdn.example.test\n").unwrap();
    let output = std::thread::spawn(move || child.wait_with_output()).join().unwrap().unwrap();
    drop(stdin);
    check("an open pipe", &Ended::of(&output), 1, &["stdin does not end", "help:"]);
}

#[test]
fn a_source_of_the_config_is_known_by_its_chain_or_its_folder() {
    let deploy = "[[certificate.deploy]]\ndomains = [\"cdn.example.test\"]\n";
    let check = |client: &Client, said: &str| {
        let mut house = House::new();
        house.config = told(&house, &format!("[[certificate]]\nname = \"n\"\n{said}\n{deploy}"));
        client.issue(&house, 1);
        check(said, &client.call(&mut house), 0, &["1 deployed"]);
        assert_eq!(claims(&house), 0, "{said}: the config says it all");
    };
    let files = "source = \"$/lego/certificates/cdn.example.test.crt\"\nsource_key = \"$/lego/certificates/cdn.example.test.key\"";
    check(&LEGO4, files);
    check(&CLIENTS[4], "source = \"certs/x\"");
    check(&CLIENTS[4], "source = \"certs/x/fullchain.pem\"\nsource_key = \"certs/x/privkey.pem\"");
    check(&ACMETOOL, "source = \"acme/live/cdn.example.test\"");
}
