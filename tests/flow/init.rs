//! `init`: what other clients have is adopted and then served; a person answers and has a configuration that works.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use certferry_sandbox::world::World;

use crate::house::{Ended, House, KEY_ID, Leaf, SECRET, fingerprint};
use crate::person::Person;

/// A lineage as certbot keeps it: versions in the archive, links to the newest, all of it the owner's alone.
fn certbot(house: &House, name: &str, leaf: &Leaf) -> String {
    let (chain, key) = house.make(leaf);
    let files = [("fullchain", &chain), ("cert", &chain), ("chain", &chain), ("privkey", &key)];
    for (file, text) in files {
        house.write_secret(&format!("le/archive/{name}/{file}1.pem"), text, 0o600);
        fs::create_dir_all(house.path(&format!("le/live/{name}"))).unwrap();
        let target = format!("../../archive/{name}/{file}1.pem");
        symlink(target, house.path(&format!("le/live/{name}/{file}.pem"))).unwrap();
    }
    house.write("le/live/README", "This directory contains your keys and certificates.\n");
    house.write(&format!("le/renewal/{name}.conf"), "version = 5.6.0\n");
    house.chmod("le/live", 0o700);
    house.chmod("le/archive", 0o700);
    fingerprint(&chain)
}

/// How it ended and what it says; a word that begins with `!` is not said.
fn check(row: &str, ended: &Ended, code: i32, says: &[&str]) {
    assert_eq!(ended.code, code, "{row}: {}", ended.all());
    for word in says {
        let is_said = |word: &str| ended.all().contains(word);
        let is_well = word.strip_prefix('!').map_or_else(|| is_said(word), |word| !is_said(word));
        assert!(is_well, "{row}: `{word}`: {}", ended.all());
    }
    assert!(!ended.all().contains(SECRET) && !ended.all().contains("PRIVATE KEY"), "{row}");
}

/// What `--write` made of the configuration is what the next command reads.
fn adopt(house: &mut House, flags: &str) -> Ended {
    let ended = house.run(flags);
    house.config = format!("[[raw]]{}", house.read("config.toml"));
    ended
}

#[test]
fn what_certbot_has_is_adopted_once_and_served() {
    let mut house = House::new();
    house.config = "# my own words\n".to_owned();
    let served = certbot(&house, "example.test", &Leaf::new());
    let before = house.config_text();
    let printed = house.run("init --from-certbot=le");
    check(
        "printed",
        &printed,
        0,
        &[
            "cdn.example.test, *.example.test; ecdsa-p256, until",
            "for the CDN domains *.example.test, cdn.example.test",
            "--write adds it at the end",
        ],
    );
    assert!(printed.stdout.starts_with("# certbot: cdn.example.test"), "{}", printed.all());
    assert_eq!(house.read("config.toml"), before, "printing changes nothing");
    let written = adopt(&mut house, "init --from-certbot=le --write");
    check("written", &written, 0, &["1 certificate added to", "`certferry plan`"]);
    let after = house.read("config.toml");
    assert_eq!(after, format!("{before}\n{}", printed.stdout), "what stood there stays");
    let again = adopt(&mut house, "init --from-certbot=le --write");
    check("again", &again, 0, &["the configuration has it, as example.test", "nothing to add"]);
    assert_eq!((again.stdout.as_str(), house.read("config.toml")), ("", after));
    check("renew", &house.run("renew"), 0, &["2 deployed"]);
    assert_eq!(house.cloud.served_fingerprint("cdn.example.test"), Some(served));
}

/// A client's folder made by hand: where its chain and key are, and further files. Adopted, it is served.
fn check_client(flag: &str, chain_at: &str, key_at: &str, more: &[&str], source: &str) {
    let mut house = House::new();
    let (chain, key) = house.make(&Leaf::new());
    house.write(&format!("theirs/{chain_at}"), &chain);
    house.write_secret(&format!("theirs/{key_at}"), &key, 0o600);
    more.iter().for_each(|file| house.write(&format!("theirs/{file}"), &chain));
    let written = adopt(&mut house, &format!("init --from-{flag}=theirs --write"));
    check(flag, &written, 0, &["1 certificate added to", "!does not renew it any more"]);
    let folder = house.folder.path().join("theirs").display().to_string();
    let text = house.read("config.toml").replace(&folder, "");
    assert!(text.contains(source), "{flag}: {text}");
    check(flag, &house.run("renew"), 0, &["2 deployed"]);
    let served = house.cloud.served_fingerprint("cdn.example.test");
    assert_eq!(served, Some(fingerprint(&chain)), "{flag}");
    let again = adopt(&mut house, &format!("init --from-{flag}=theirs --write"));
    check(flag, &again, 0, &["nothing to add"]);
}

#[test]
fn what_the_others_have_is_adopted_and_served() {
    let apart = |name: &str, chain: &str, key: &str| {
        format!("[[certificate]]\n{name}source = \"/{chain}\"\nsource_key = \"/{key}\"\n")
    };
    let (chain, key) = ("cdn.example.test/fullchain.cer", "cdn.example.test/cdn.example.test.key");
    let more = ["cdn.example.test/cdn.example.test.conf", "cdn.example.test/cdn.example.test.cer"];
    check_client("acme-sh", chain, key, &more, &apart("", chain, key));
    let (chain, key) =
        ("*.example.test_ecc/fullchain.cer", "*.example.test_ecc/*.example.test.key");
    let more = ["*.example.test_ecc/*.example.test.conf", "ca/acme-v02/account.key"];
    check_client("acme-sh", chain, key, &more, &apart("", chain, key));
    let (chain, key) = ("certificates/_.example.test.crt", "certificates/_.example.test.key");
    let more = ["certificates/_.example.test.json", "certificates/_.example.test.issuer.crt"];
    check_client("lego", chain, key, &more, &apart("", chain, key));
    let (chain, key) = ("cdn.example.test/cert.pem", "private/cdn.example.test/key.pem");
    check_client("uacme", chain, key, &["private/key.pem"], &apart("", chain, key));
    let at = "certificates/acme-v02.api.letsencrypt.org-directory/wildcard_.example.test/wildcard_.example.test";
    let (chain, key) = (format!("{at}.crt"), format!("{at}.key"));
    let more = format!("{at}.json");
    check_client("caddy", &chain, &key, &[&more], &apart("", &chain, &key));
    let folder = "source = \"/certs/cdn.example.test\"\n[[certificate.deploy]]";
    let (chain, key) =
        ("certs/cdn.example.test/fullchain.pem", "certs/cdn.example.test/privkey.pem");
    check_client("dehydrated", chain, key, &["certs/cdn.example.test/cert.csr"], folder);
    let folder = "source = \"/live/cdn.example.test\"\n[[certificate.deploy]]";
    let (chain, key) = ("live/cdn.example.test/fullchain", "live/cdn.example.test/privkey");
    check_client("acmetool", chain, key, &["live/cdn.example.test/cert"], folder);
}

#[test]
fn what_is_in_the_way_of_adopting() {
    let with = |change: &dyn Fn(&House)| {
        let house = House::new();
        certbot(&house, "example.test", &Leaf::new());
        change(&house);
        house
    };
    let flags = "init --from-certbot=le";
    let row = |row: &str, change: &dyn Fn(&House), code: i32, says: &[&str]| {
        check(row, &with(change).run(flags), code, says);
    };
    let key = "le/archive/example.test/privkey1.pem";
    let remedy =
        ["left out: ", "everyone may read (mode 0644)", "help: chmod o-rwx", "![[certificate]]"];
    row("a key for all to read", &|house| house.chmod(key, 0o644), 1, &remedy);
    let strange = |house: &House| house.write("roots.pem", World::start().ca.roots());
    row("of a CA that is not trusted", &strange, 1, &["left out: ", "help: ", "![[certificate]]"]);
    let gone = |house: &House| fs::remove_file(house.path(key)).unwrap();
    row("a key that is gone", &gone, 1, &["left out: ", "privkey1.pem", "![[certificate]]"]);
    let over = |house: &House| {
        fs::remove_dir_all(house.path("le")).unwrap();
        certbot(house, "old.test", &Leaf { days_before: 91, days_after: -1, ..Leaf::new() });
    };
    row(
        "an old one",
        &over,
        0,
        &["left out: it has expired", "nothing to add", "![[certificate]]"],
    );
    let mail = |house: &House| {
        fs::remove_dir_all(house.path("le")).unwrap();
        certbot(house, "mail.test", &Leaf { names: vec!["mail.test"], ..Leaf::new() });
    };
    row("no CDN domain", &mail, 0, &["left out: no CDN domain of the account", "![[certificate]]"]);
    let left = |house: &House| {
        fs::remove_file(house.path("le/renewal/example.test.conf")).unwrap();
    };
    row("left behind", &left, 0, &["certbot does not renew it any more", "[[certificate]]"]);
    let paid = |house: &House| {
        let (chain, key) = house.make(&Leaf { days_after: 300, ..Leaf::new() });
        house.cloud.set_served("cdn.example.test", "paid", &chain, &key);
    };
    let says = [
        "left alone: cdn.example.test serves one of House Root until",
        "domains = [\"*.example.test\"]",
        "# domains = [\"cdn.example.test\"]",
    ];
    row("a paid one is served", &paid, 0, &says);
    let keyless = |house: &House| fs::remove_file(house.path("secret")).unwrap();
    let says = ["were not asked for", "there is no secret file", "discover = true"];
    row("no key", &keyless, 0, &says);
    let empty = |house: &House| {
        fs::remove_dir_all(house.path("le")).unwrap();
        fs::create_dir(house.path("le")).unwrap();
    };
    row("nothing there", &empty, 0, &["certbot: nothing in", "nothing to add"]);
    let circle = |house: &House| {
        fs::remove_dir_all(house.path("le")).unwrap();
        fs::create_dir(house.path("le")).unwrap();
        symlink("live", house.path("le/live")).unwrap();
    };
    row("it cannot be looked through", &circle, 1, &["le/live cannot be read: ", "help: run this"]);
    let none = |house: &House| fs::remove_dir_all(house.path("le")).unwrap();
    row("no folder", &none, 2, &["there is no folder le", "--from-certbot=DIR"]);
}

#[test]
fn machines_get_one_document() {
    let house = House::new();
    certbot(&house, "example.test", &Leaf::new());
    let ended = house.run("init --from-certbot=le --json");
    check("json", &ended, 0, &[]);
    let document = ended.json();
    let found = &document["found"][0];
    let told = [&found["client"], &found["state"], &found["certificate"], &found["key_type"]];
    assert_eq!(told, ["certbot", "new", "example.test", "ecdsa-p256"], "{document:#}");
    assert_eq!(found["domains"], serde_json::json!(["*.example.test", "cdn.example.test"]));
    assert_eq!((&document["ok"], &document["written"]), (&true.into(), &serde_json::Value::Null));
    assert_eq!(ended.stderr, "");
}

#[test]
fn without_a_terminal_it_is_the_example() {
    let house = House::new();
    let example = include_str!("../../packaging/config.toml");
    let ended = house.run("init");
    assert_eq!((ended.code, ended.stdout.as_str()), (0, example));
    let ended = house.run("init --config new/config.toml");
    check("a file", &ended, 0, &["is written: the commented example"]);
    assert_eq!(house.read("new/config.toml"), example);
    let mode = fs::metadata(house.path("new/config.toml")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
    house.write("new/config.toml", "[store]\npath = \"/mine\"\n");
    let ended = house.run("init --config new/config.toml");
    check("it is there", &ended, 2, &["is there already", "help: "]);
    assert_eq!(house.read("new/config.toml"), "[store]\npath = \"/mine\"\n");
    check("by force", &house.run("init --force --config new/config.toml"), 0, &["is written"]);
    assert_eq!(house.read("new/config.toml"), example);
}

/// A program at a terminal, whose configuration is in this folder.
fn asked(folder: &Path, more: impl FnOnce(&mut Command)) -> Person {
    let mut command = Command::new(env!("CARGO_BIN_EXE_certferry"));
    command.args(["init", "--config"]).arg(folder.join("config.toml")).env_clear();
    command.env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true").env("LANG", "C.UTF-8");
    more(&mut command);
    Person::at(command)
}

fn certferry(folder: &Path, args: &str) -> Ended {
    let mut command = Command::new("timeout");
    command.args(["100", env!("CARGO_BIN_EXE_certferry"), "--config"]);
    command.arg(folder.join("config.toml")).args(args.split_whitespace()).env_clear();
    command.env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
    Ended::of(&command.output().unwrap())
}

/// Where cloud, DNS and store of the sandbox are: no question asks for that.
fn of_sandbox(world: &World, folder: &Path) -> String {
    world.config(folder);
    let (url, folder) = (world.cloud.url(), folder.display());
    let servers: Vec<_> = world.dns.addresses().iter().map(|at| format!("\"{at}\"")).collect();
    format!(
        "# of the sandbox\n[store]\npath = \"{folder}/store\"\n[trust]\nroots = \"roots.pem\"\n\
         [aliyun.default]\ncdn_endpoint = \"{url}\"\ndns_endpoint = \"{url}\"\nsts_endpoint = \"{url}\"\n\
         [dns.default]\nprovider = \"alidns\"\nnameservers = [{}]\n",
        servers.join(", ")
    )
}

const ID: &str = "LTAISandbox0000000000000";
const TYPED: &str = "SandboxSecret0000000000000000";

/// Whatever certificates this machine has by chance, they are none of the test's.
fn passes_over_others(person: &mut Person, next: &str) {
    if person.hears(&["Which to keep in step", next]) == 0 {
        person.types("none");
        person.hears(&[next]);
    }
}

#[test]
fn a_person_answers_and_it_is_served() {
    let world = World::start();
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let before = of_sandbox(&world, folder);
    fs::write(folder.join("config.toml"), &before).unwrap();
    let mut person = asked(folder, |_| {});
    person.hears(&["says stays; what it lacks comes behind it"]);
    person.answers("Which [1]: ", "1");
    person.answers("AccessKey ID: ", ID);
    person.answers("AccessKey secret (not shown while you type): ", "a wrong one");
    person.hears(&["no AccessKey"]);
    person.answers("Which [1]: ", "");
    person.answers("AccessKey ID: ", ID);
    person.answers("AccessKey secret (not shown while you type): ", TYPED);
    person.hears(&["AccessKey: as typed; acs:ram::"]);
    passes_over_others(&mut person, "(Enter: no more): ");
    person.types("9");
    person.hears(&["`9` is no number of the list"]);
    person.answers("(Enter: no more): ", "example.test *.example.test");
    person.hears(&["It goes to the CDN domains *.example.test, cdn.example.test."]);
    person.answers("as they come? [y/N]: ", "");
    person.answers("(Enter: no more): ", "");
    person.answers("Which [1]: ", &world.ca.directory_url());
    person.answers("there is none): ", &folder.join("ca.pem").display().to_string());
    person.answers("(Enter: none): ", "no address");
    person.hears(&["that cannot be"]);
    person.answers("(Enter: none): ", "ops@example.test");
    person.answers("Do you agree to them? [y/N]: ", "y");
    person.hears(&["as typed; it goes into"]);
    person.answers("config.toml? [Y/n]: ", "");
    assert_eq!(person.leaves(), 0, "{}", person.shown);
    for secret in [TYPED, "a wrong one"] {
        assert!(!person.shown.contains(secret), "shown: {}", person.shown);
    }
    let text = fs::read_to_string(folder.join("config.toml")).unwrap();
    assert!(!text.contains(TYPED) && text.starts_with("# of the sandbox\n[store]"), "{text}");
    let mode = |path: &str| fs::metadata(folder.join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("secrets"), mode("secrets/aliyun-default")), (0o700, 0o600));
    let doctor = certferry(folder, "doctor");
    check("doctor", &doctor, 0, &["from configuration", "nothing here would make a run fail"]);
    check("renew", &certferry(folder, "renew"), 0, &["2 deployed"]);
    check("plan", &certferry(folder, "plan --json"), 0, &["\"steps\":[]"]);
}

#[test]
fn what_is_at_hand_is_offered_and_not_asked_for() {
    let house = House::new();
    let (chain, key) = house.make(&Leaf::new());
    let at = "home/.acme.sh/cdn.example.test_ecc";
    house.write(&format!("{at}/fullchain.cer"), &chain);
    house.write_secret(&format!("{at}/cdn.example.test.key"), &key, 0o600);
    house.write(&format!("{at}/cdn.example.test.conf"), "Le_Domain='cdn.example.test'\n");
    let (folder, url) = (house.folder.path(), house.cloud.url());
    let before = format!(
        "[store]\npath = \"store\"\n[trust]\nroots = \"roots.pem\"\n\
         [aliyun.default]\ncdn_endpoint = \"{url}\"\nsts_endpoint = \"{url}\"\n"
    );
    house.write("config.toml", before);
    let mut person = asked(folder, |command| {
        command.env("HOME", folder.join("home"));
        command.env("ALIBABA_CLOUD_ACCESS_KEY_ID", KEY_ID);
        command.env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", SECRET);
    });
    person.hears(&["AccessKey: from environment; acs:ram::"]);
    person.answers("in a file for the timer? [Y/n]: ", "");
    person.hears(&[".acme.sh/cdn.example.test_ecc/fullchain.cer"]);
    person.answers("`all` or `none` [all]: ", "all");
    person.answers("(Enter: no more): ", "");
    person.answers("config.toml? [Y/n]: ", "y");
    assert_eq!(person.leaves(), 0, "{}", person.shown);
    assert!(!person.shown.contains(SECRET), "shown: {}", person.shown);
    check("renew", &certferry(folder, "renew"), 0, &["2 deployed"]);
    assert_eq!(house.cloud.served_fingerprint("cdn.example.test"), Some(fingerprint(&chain)));
    let mut person = asked(folder, |command| {
        command.env("HOME", folder.join("home"));
    });
    person.hears(&["AccessKey: from configuration", "the configuration has it, as"]);
    person.answers("(Enter: no more): ", "");
    assert_eq!(person.leaves(), 0, "{}", person.shown);
    assert!(person.shown.contains("nothing to add to"), "{}", person.shown);
}

#[test]
fn who_has_no_key_yet_is_told_and_may_leave() {
    let folder = tempfile::tempdir().unwrap();
    let mut person = asked(folder.path(), |_| {});
    person.answers("Which [1]: ", "three");
    person.hears(&["a number from 1 to 3"]);
    person.answers("Which [1]: ", "3");
    passes_over_others(&mut person, "(Enter: no more): ");
    person.types("");
    person.hears(&["✗ credentials", "a run would fail"]);
    person.answers("all the same? [y/N]: ", "");
    assert_eq!(person.leaves(), 0, "{}", person.shown);
    assert!(person.shown.contains("nothing was written"), "{}", person.shown);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn who_stops_leaves_everything_as_it_was() {
    let stop = |row: &str, stops: &dyn Fn(&mut Person)| {
        let folder = tempfile::tempdir().unwrap();
        let mut person = asked(folder.path(), |_| {});
        person.hears(&["This makes"]);
        stops(&mut person);
        assert_eq!(person.leaves(), 1, "{row}: {}", person.shown);
        assert!(person.shown.contains("stopped; nothing was written"), "{row}: {}", person.shown);
        let left: Vec<_> = fs::read_dir(folder.path()).unwrap().collect();
        assert!(left.is_empty(), "{row}: {left:?}");
    };
    stop("at the first question", &|person| {
        person.hears(&["Which [1]: "]);
        person.interrupts();
    });
    stop("at the secret: what is typed can be seen again", &|person| {
        person.answers("Which [1]: ", "1");
        person.answers("AccessKey ID: ", ID);
        person.hears(&["while you type): "]);
        assert!(!person.sees());
        person.interrupts();
        person.hears(&["nothing was written"]);
        assert!(person.sees());
    });
    stop("the end of what is typed", &|person| {
        person.answers("Which [1]: ", "1");
        person.hears(&["AccessKey ID: "]);
        person.types_end();
    });
}
