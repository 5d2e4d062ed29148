//! ACME clients of others go from nothing to a certificate of the sandbox's CA, proved by the sandbox's DNS.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use certferry_sandbox::ca::{self, Ending, Fault, Window};
use certferry_sandbox::dns::ResponseCode;
use certferry_sandbox::manage::Manage;
use certferry_sandbox::world::{Seed, World};

use super::certbot;
use super::names::exec;
use super::program::{Ran, find, home, need, need_debian, run, script};
use super::served;

const APEX: &str = "example.test";
const WILDCARD: &str = "*.example.test";
const CHALLENGE: &str = "_acme-challenge.example.test";
const EMAIL: &str = "ops@example.test";

/// Where Debian's libcurl has its roots; it reads no environment.
const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// A sandbox, and a folder for one client. `ca.pem` and `roots.pem` lie in it.
struct Place {
    world: World,
    // Only the hooks speak to it.
    _manage: Manage,
    exec: PathBuf,
    folder: tempfile::TempDir,
}

/// The files that a client leaves.
struct Left {
    chain: PathBuf,
    key: PathBuf,
}

/// How a client is known, and what it can.
struct Client {
    /// What its User-Agent says.
    agent: &'static str,
    nonces: Nonces,
    way: Way,
}

/// What a client does when a good nonce is refused.
#[derive(PartialEq)]
enum Nonces {
    /// It tries again with another.
    Again,
    /// It gives up, against RFC 8555 section 6.5: it meets no refusal here.
    Once,
}

/// How the values come into the DNS.
#[derive(PartialEq)]
enum Way {
    /// By a hook and the sandbox's `manage`.
    Hook,
    /// By dynamic updates, signed with the world's TSIG key.
    Update,
}

impl Place {
    fn new() -> Self {
        let rules = |rules: &mut ca::Rules| rules.nonce_refusals = 0;
        let world = World::with(Seed { ca: ca::Seed::new().rules(rules), ..Seed::default() });
        let manage = Manage::start(world.dns.zones());
        let folder = tempfile::tempdir().unwrap();
        world.config(folder.path());
        let exec = exec(folder.path(), &manage.url());
        Self { world, _manage: manage, exec, folder }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A program whose environment holds nothing of this machine's.
    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().current_dir(self.folder.path()).env("HOME", self.folder.path());
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command
    }

    fn run(&self, command: Command) -> Ran {
        let shown = format!("{command:?}");
        let ran = run(command, self.folder.path());
        assert_eq!(ran.code, Some(0), "{shown}: {ran:#?}");
        ran
    }

    /// Writes a hook script, of this `case`, in which `$exec` puts and takes away.
    fn hook(&self, case: &str) -> PathBuf {
        let text = format!("#!/bin/sh\nexec='{}'\n{case}\n", self.exec.display());
        script(&self.at("hook"), &text)
    }

    /// The one certificate is what was asked for, and the CA and the DNS tell the same story.
    fn check(&self, client: &Client, left: &Left) {
        let row = client.agent;
        served::pair(row, &self.at("roots.pem"), &left.chain, &left.key);
        let [certificate] = &self.world.ca.certificates()[..] else { panic!("{row}: not one") };
        assert_eq!(certificate.names, [WILDCARD, APEX], "{row}");
        let fingerprint = served::fingerprint(self.folder.path(), &left.chain);
        assert_eq!(fingerprint, certificate.fingerprint, "{row}");
        let [order] = &self.world.ca.orders()[..] else { panic!("{row}: not one order") };
        assert_eq!((&*order.status, &order.names), ("valid", &certificate.names), "{row}");
        assert_eq!(order.url, certificate.order, "{row}");
        assert_eq!(self.world.ca.accounts()[0].contact, [format!("mailto:{EMAIL}")], "{row}");
        for call in self.world.ca.all_calls() {
            let agent = &call.headers["user-agent"];
            assert!(agent.contains(client.agent), "{row}: {agent}");
        }
        assert_eq!(self.world.ca.faults_left(), 0, "{row}: the refused nonce was never met");
        self.check_dns(client);
    }

    /// Two values were put, and none is left.
    fn check_dns(&self, client: &Client) {
        let row = client.agent;
        assert_eq!(self.world.dns.zones().values(CHALLENGE, "TXT"), [""; 0], "{row}: left");
        let calls = fs::read_to_string(self.at("calls")).unwrap_or_default();
        let count = |verb: &str| {
            let line = format!("{verb} {CHALLENGE}. ");
            calls.lines().filter(|call| call.starts_with(&line)).count()
        };
        let updates = self.world.dns.updates();
        match client.way {
            Way::Hook => {
                assert_eq!((count("present"), count("cleanup")), (2, 2), "{row}: {calls}");
                assert!(updates.is_empty(), "{row}: {updates:?}");
            }
            Way::Update => {
                assert_eq!(calls, "", "{row}");
                let key = Some(self.world.tsig_key().name.clone());
                let good = |code| code == ResponseCode::NoError;
                assert!(updates.len() >= 4, "{row}: two values put, and taken away: {updates:?}");
                assert!(
                    updates.iter().all(|one| one.key == key && good(one.answer)),
                    "{row}: {updates:?}"
                );
            }
        }
    }
}

fn check(client: &Client, obtain: impl FnOnce(&Place) -> Left) {
    for (name, package) in [("openssl", "openssl"), ("curl", "curl")] {
        if need_debian(name, package).is_none() {
            return;
        }
    }
    let place = Place::new();
    if client.nonces == Nonces::Again {
        place.world.ca.fault(Fault::at("newOrder").answer("badNonce", 400));
    }
    let left = obtain(&place);
    let refused = |ending: &Ending| matches!(ending, Ending::Refused(_));
    for call in place.world.ca.all_calls().iter().filter(|call| refused(&call.ending)) {
        // uacme looks for an account of its key before it makes one.
        let looked = call.payload["onlyReturnExisting"] == true;
        assert!(looked, "{}: {} {:?}", client.agent, call.path, call.ending);
    }
    place.check(client, &left);
}

fn by_certbot(place: &Place, program: &Path) -> Left {
    let hook = |verb| certbot::hook(place.folder.path(), &place.exec, verb);
    let mut command = place.command(program);
    command.env("REQUESTS_CA_BUNDLE", place.at("ca.pem"));
    command.args(["certonly", "--non-interactive", "--server", &place.world.ca.directory_url()]);
    command.args(["--agree-tos", "--email", EMAIL, "--no-eff-email"]);
    command.args(["--manual", "--preferred-challenges", "dns"]);
    command.args(["--manual-auth-hook", &hook("present")]);
    command.args(["--manual-cleanup-hook", &hook("cleanup")]);
    for name in ["config", "work", "logs"] {
        command.arg(format!("--{name}-dir")).arg(place.at("certbot").join(name));
    }
    command.args(["-d", APEX, "-d", WILDCARD]);
    place.run(command);
    let live = place.at("certbot/config/live/example.test");
    Left { chain: live.join("fullchain.pem"), key: live.join("privkey.pem") }
}

#[test]
fn certbot_of_debian() {
    let Some(program) = need_debian("certbot", "certbot") else { return };
    let client = Client { agent: "CertbotACMEClient/", nonces: Nonces::Again, way: Way::Hook };
    check(&client, |place| by_certbot(place, &program));
}

#[test]
fn certbot_of_pypi() {
    let Some(program) = certbot_5() else { return };
    let client = Client { agent: "CertbotACMEClient/5.", nonces: Nonces::Again, way: Way::Hook };
    check(&client, |place| by_certbot(place, &program));
}

fn certbot_5() -> Option<PathBuf> {
    let program = home().join("certbot/bin/certbot");
    let found = program.is_file().then_some(program);
    let remedy =
        "python3 -m venv $CERTFERRY_PEERS_HOME/certbot, then its pip install certbot==5.8.0";
    need(found, "newest certbot", remedy)
}

/// A lego, v4 or v5: both have their flags where the other does not.
struct Lego {
    program: PathBuf,
    new: bool,
}

impl Lego {
    /// Runs it with the provider of this name and its settings.
    fn obtain(&self, place: &Place, provider: &str, settings: &[(&str, String)]) -> Left {
        let mut command = place.command(&self.program);
        command.env("LEGO_CA_CERTIFICATES", place.at("ca.pem"));
        command.envs(settings.iter().map(|(name, value)| (name, value)));
        if self.new {
            command.arg("run");
        }
        command.args(["--accept-tos", "--email", EMAIL, "--dns", provider]);
        command.args(["--server", &place.world.ca.directory_url()]);
        command.args(["--dns.resolvers", &place.world.dns.addresses()[0].to_string()]);
        command.arg("--path").arg(place.at("lego")).args(["-d", APEX, "-d", WILDCARD]);
        // It would ask the zone's name servers at port 53, where nothing of the sandbox is.
        if self.new {
            command.args(["--dns.propagation.disable-ans", "--no-random-sleep"]);
        } else {
            command.args(["--dns.disable-cp", "run"]);
        }
        place.run(command);
        let kept = place.at("lego/certificates");
        Left { chain: kept.join("example.test.crt"), key: kept.join("example.test.key") }
    }

    fn by_hook(&self, place: &Place) -> Left {
        let settings = [
            ("EXEC_PATH", place.exec.display().to_string()),
            ("EXEC_SEQUENCE_INTERVAL", "0".to_owned()),
            ("EXEC_POLLING_INTERVAL", "1".to_owned()),
        ];
        self.obtain(place, "exec", &settings)
    }

    fn by_update(&self, place: &Place) -> Left {
        let key = place.world.tsig_key();
        let prefix = if self.new { "DNSUPDATE" } else { "RFC2136" };
        let settings = [
            ("NAMESERVER", place.world.dns.addresses()[0].to_string()),
            ("TSIG_KEY", format!("{}.", key.name)),
            ("TSIG_ALGORITHM", "hmac-sha256.".to_owned()),
            ("TSIG_SECRET", BASE64_STANDARD.encode(&key.secret)),
            ("SEQUENCE_INTERVAL", "0".to_owned()),
            ("POLLING_INTERVAL", "1".to_owned()),
        ]
        .map(|(name, value)| (format!("{prefix}_{name}"), value));
        let settings: Vec<_> =
            settings.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        self.obtain(place, &prefix.to_lowercase(), &settings)
    }

    /// Side by side: it waits five seconds before it looks at a challenge again.
    fn check(&self, agent: &'static str) {
        let client = |way| Client { agent, nonces: Nonces::Again, way };
        std::thread::scope(|scope| {
            scope.spawn(|| check(&client(Way::Hook), |place| self.by_hook(place)));
            scope.spawn(|| check(&client(Way::Update), |place| self.by_update(place)));
        });
    }
}

#[test]
fn lego_of_debian() {
    let Some(program) = need_debian("lego", "lego") else { return };
    let usage = Command::new(&program).args(["run", "--help"]).output().unwrap();
    let new = String::from_utf8_lossy(&usage.stdout).contains("--dns.propagation.disable-ans");
    Lego { program, new }.check("xenolf-acme/");
}

#[test]
fn lego_v5() {
    if let Some(lego) = lego_5() {
        lego.check("xenolf-acme/5.");
    }
}

fn lego_5() -> Option<Lego> {
    let program = home().join("bin/lego");
    let found = program.is_file().then_some(program);
    let program = need(found, "lego v5", "see .ci/run, which builds it by Go")?;
    Some(Lego { program, new: true })
}

/// A client that asks when its certificate shall be renewed (ARI): at once here, and not again then. Does its order say
/// what it replaces?
fn heeds(row: &str, obtain: impl Fn(&Place), tells: bool) {
    if need_debian("curl", "curl").is_none() {
        return;
    }
    let place = Place::new();
    let ca = &place.world.ca;
    obtain(&place);
    let [first] = &ca.certificates()[..] else { panic!("{row}: not one") };
    ca.set_window(&first.serial, Window::Passed);
    obtain(&place);
    obtain(&place);
    let [replaced, second] = &ca.certificates()[..] else { panic!("{row}: not two") };
    assert_eq!((replaced.replaced, second.replaced), (tells, false), "{row}");
    let [_, order] = &ca.orders()[..] else { panic!("{row}: not two orders") };
    assert_eq!(order.replaces, tells.then(|| first.ari_id.clone()), "{row}");
    let path = format!("/renewal-info/{}", first.ari_id);
    assert!(ca.all_calls().iter().any(|call| call.path.ends_with(&path)), "{row}");
}

#[test]
fn the_newest_heed_renewal_information() {
    let (lego, certbot) = (lego_5(), certbot_5());
    // Side by side: both mostly wait.
    std::thread::scope(|scope| {
        if let Some(lego) = &lego {
            scope.spawn(|| heeds("lego v5", |place| drop(lego.by_hook(place)), true));
        }
        if let Some(certbot) = &certbot {
            scope.spawn(|| heeds("certbot 5", |place| drop(by_certbot(place, certbot)), false));
        }
    });
}

#[test]
fn uacme() {
    let (Some(program), Some(namespace)) = (need_debian("uacme", "uacme"), mounts()) else {
        return;
    };
    let client = Client { agent: "uacme/", nonces: Nonces::Again, way: Way::Hook };
    check(&client, |place| {
        let hook = place.hook(
            r#"case "$1 $2" in
"begin dns-01") exec "$exec" present "_acme-challenge.$3." "$5" ;;
"done dns-01" | "failed dns-01") exec "$exec" cleanup "_acme-challenge.$3." "$5" ;;
esac
exit 1"#,
        );
        let run = |args: &[&str]| {
            let mut command = place.command(Path::new("unshare"));
            let text = format!(r#"mount --bind ca.pem {ROOTS} && exec "$@""#);
            command.arg(namespace).args(["sh", "-c", &text, "sh"]).arg(&program);
            command.args(["--acme-url", &place.world.ca.directory_url(), "--confdir"]);
            place.run({
                command.arg(place.at("uacme")).args(args);
                command
            })
        };
        run(&["--yes", "new", EMAIL]);
        run(&["--no-ocsp", "--hook", hook.to_str().unwrap(), "issue", APEX, WILDCARD]);
        let folder = place.at("uacme");
        let key = folder.join("private/example.test/key.pem");
        Left { chain: folder.join("example.test/cert.pem"), key }
    });
}

/// The flag by which unshare gives a program mounts of its own: root's, or by a user namespace.
pub(crate) fn mounts() -> Option<&'static str> {
    let works = |flag: &&str| {
        let mut command = Command::new("unshare");
        command.args([flag, "sh", "-c"]).arg(format!("mount --bind {ROOTS} {ROOTS}"));
        command.output().is_ok_and(|output| output.status.success())
    };
    let found = find("unshare").and_then(|_| ["-m", "-rm"].into_iter().find(works));
    need(found, "private mounts", "root, or user namespaces, and ca-certificates")
}

#[test]
fn dehydrated() {
    let Some(program) = need_debian("dehydrated", "dehydrated") else { return };
    let client = Client { agent: "dehydrated/", nonces: Nonces::Once, way: Way::Hook };
    check(&client, |place| {
        let hook = place.hook(
            r#"case "$1" in
deploy_challenge) exec "$exec" present "_acme-challenge.$2." "$4" ;;
clean_challenge) exec "$exec" cleanup "_acme-challenge.$2." "$4" ;;
esac"#,
        );
        let base = place.at("dehydrated");
        fs::create_dir(&base).unwrap();
        let config = format!(
            "CA={}\nCHALLENGETYPE=dns-01\nHOOK='{}'\nBASEDIR='{}'\nCURL_OPTS='--cacert {}'\n\
             CONTACT_EMAIL={EMAIL}\nKEYSIZE=2048\n",
            place.world.ca.directory_url(),
            hook.display(),
            base.display(),
            place.at("ca.pem").display(),
        );
        fs::write(place.at("dehydrated.conf"), config).unwrap();
        let run = |args: &[&str]| {
            let mut command = place.command(&program);
            command.args(["--config", "dehydrated.conf"]).args(args);
            place.run(command)
        };
        run(&["--register", "--accept-terms"]);
        run(&["--cron", "--domain", APEX, "--domain", WILDCARD]);
        let kept = base.join("certs/example.test");
        Left { chain: kept.join("fullchain.pem"), key: kept.join("privkey.pem") }
    });
}
