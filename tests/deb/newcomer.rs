//! A new user on a fresh Debian 12: the README's commands as they stand there, from the package to a served certificate.
//!
//! Only what has another answer in the real world is said beforehand, in the keys that the configuration has for it: where
//! cloud and DNS of the sandbox are, and whose chains may go live. The CA's directory, its root and all else `init` asks.
//! It is root who types, so each `sudo` is left out: a fresh Debian may have none.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use certferry_sandbox::metadata::Rules;
use certferry_sandbox::world::{Seed, World};
use tempfile::TempDir;

use super::machine::{Machine, host, package};
use super::person::Person;

/// No more commands than these lead there.
const MOST: usize = 5;

/// What has made `CERTFERRY_DEB`, on the builder's machine.
const BUILT: &str = "packaging/build-deb";

/// Where it leaves the package, below the folder that the user is in.
const PLACE: &str = "target/debian";

const DOMAIN: &str = "cdn.example.test";

/// What a person may install without any other machine: what the package recommends is elsewhere.
const ALONE: &str = "rm -r /var/lib/apt/lists; rm -rf /etc/apt/sources.list*";

/// What the real world needs no word about.
const SANDBOX: &str = "\
install -m 0644 /test/ca.pem /test/roots.pem /etc/certferry/ && cat /test/sandbox.toml >>/etc/certferry/config.toml";

/// The commands of the README that lead from nothing to a served certificate.
fn commands() -> Vec<String> {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md"));
    let readme = readme.unwrap();
    let (_, section) = readme.split_once("\n## From nothing to a served certificate\n\n").unwrap();
    let block = section.lines().map_while(|line| line.strip_prefix("    "));
    let command = |line: &str| line.split(" #").next().unwrap().trim().to_owned();
    block.map(command).collect()
}

/// The world, and what of it is shared with the machine: the package in its place, certificates of CAs, configuration.
fn world(package: &Path) -> (World, TempDir) {
    let seed = Seed::default();
    // The instance has no role: a new user has an AccessKey.
    let world = World::with(Seed { metadata: Rules::new(), ..seed });
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at(PLACE)).unwrap();
    fs::copy(package, at(PLACE).join(package.file_name().unwrap())).unwrap();
    fs::write(at("ca.pem"), world.ca.tls_root_pem()).unwrap();
    fs::write(at("roots.pem"), world.ca.roots()).unwrap();
    fs::write(at("sandbox.toml"), sandbox(&world)).unwrap();
    (world, folder)
}

fn sandbox(world: &World) -> String {
    let (cloud, metadata) = (world.cloud.url(), world.metadata.url());
    let endpoints: String =
        ["cdn", "dns", "sts"].map(|one| format!("{one}_endpoint = \"{cloud}\"\n")).concat();
    let servers: Vec<_> = world.dns.addresses().iter().map(|at| format!("\"{at}\"")).collect();
    format!(
        "[trust]\nroots = \"roots.pem\"\n[aliyun.default]\n{endpoints}metadata_endpoint = \"{metadata}\"\n\
         [dns.default]\nprovider = \"alidns\"\nnameservers = [{}]\n",
        servers.join(", ")
    )
}

#[test]
fn from_nothing_to_a_served_certificate() {
    let Some(package) = package() else { return };
    let commands = commands();
    assert!(commands.len() <= MOST && commands[0] == BUILT, "{commands:?}");
    let (world, folder) = world(&package);
    let machine = Machine::boot("bookworm", folder.path());
    machine.check("a machine alone", ALONE, 0, &[]);
    for command in &commands[1..] {
        let command = command.strip_prefix("sudo ").unwrap_or(command);
        let script = format!("cd /test && {command}");
        match command {
            "certferry init" => answers(&machine, &world, &script),
            "certferry renew" => drop(machine.check(command, &script, 0, &["2 deployed"])),
            "certferry status" => drop(machine.check(command, &script, 0, &[DOMAIN, "  yes"])),
            _ if command.starts_with("apt install ") => {
                machine.check(command, &script, 0, &["Setting up certferry"]);
                machine.check("the sandbox's own", SANDBOX, 0, &[]);
            }
            _ => panic!("nothing here knows what `{command}` should say"),
        }
    }
    is_served(&world, &folder);
    goes_on_by_itself(&machine);
}

/// A person answers what `init` asks, at a terminal.
fn answers(machine: &Machine, world: &World, script: &str) {
    let mut person = Person::at(machine.command(script));
    person.hears(&["What /etc/certferry/config.toml says stays"]);
    person.answers("Which [1]: ", "");
    let seed = Seed::default();
    person.answers("AccessKey ID: ", &seed.access_key_id);
    person.answers("AccessKey secret (not shown while you type): ", &seed.access_key_secret);
    person.hears(&["AccessKey: as typed; acs:ram::"]);
    person.answers("(Enter: no more): ", "example.test *.example.test");
    person.hears(&["It goes to the CDN domains *.example.test, cdn.example.test."]);
    person.answers("as they come? [y/N]: ", "");
    person.answers("(Enter: no more): ", "");
    person.answers("Which [1]: ", &world.ca.directory_url());
    person.answers("there is none): ", "/etc/certferry/ca.pem");
    person.answers("(Enter: none): ", "ops@example.test");
    person.answers("Do you agree to them? [y/N]: ", "y");
    person.answers("config.toml? [Y/n]: ", "");
    assert_eq!(person.leaves(), 0, "{}", person.shown);
    assert!(!person.shown.contains(&seed.access_key_secret), "shown: {}", person.shown);
}

/// Cloud and edge have it, and curl, which trusts the sandbox's roots alone, takes it.
fn is_served(world: &World, folder: &TempDir) {
    let served = world.cloud.served_fingerprint(DOMAIN);
    assert!(served.is_some());
    assert_eq!(world.cloud.served_fingerprint(".example.test"), served);
    let (port, roots) = (world.edge.port(), folder.path().join("roots.pem"));
    let (name, url) = (format!("{DOMAIN}:{port}:127.0.0.1"), format!("https://{DOMAIN}:{port}/"));
    let args = ["-q", "-sS", "--noproxy", "*", "--max-time", "20", "--resolve", &name, "--cacert"];
    let args = args.iter().map(OsStr::new).chain([roots.as_os_str(), url.as_ref()]);
    assert_eq!(host("curl", &args.collect::<Vec<_>>()), DOMAIN);
    let handshakes = world.edge.handshakes();
    let last = handshakes.last().unwrap();
    assert!(last.done && last.fingerprint == served, "{last:?}");
}

/// The timer is there, and what it starts finds all in step.
fn goes_on_by_itself(machine: &Machine) {
    let row = "from now on";
    machine.is(row, "systemctl is-enabled certferry.timer", "enabled");
    machine.is(row, "systemctl is-active certferry.timer", "active");
    let run = "systemctl start certferry.service; journalctl -u certferry.service -o cat";
    machine.check(row, run, 0, &["all is as it should be: 2 in step"]);
    machine.is(row, "systemctl is-failed certferry.service", "inactive");
}
