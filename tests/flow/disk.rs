//! Disks that are full, read-only or another's, and files that are damaged or gone, with the real program: what is told,
//! which uploads leave all the same, that no secret is told, and that the next run comes to its end.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use certferry_sandbox::fault::Fault;
use jiff::SignedDuration;
use serde_json::Value;

use crate::ca_calls::patient;
use crate::house::{Ended, House};
use crate::issuing::Town;
use crate::rows::side_by_side;

/// What lies under the store, `store` in the test's folder.
#[derive(Clone, Copy, Debug)]
enum Disk {
    Sound,
    /// So many pages of 4096 bytes are free, and a small file takes one.
    Free(usize),
    ReadOnly,
}

/// The script makes the disk, runs the program and takes the disk away, in mounts of its own.
fn on(disk: Disk, folder: &Path, program: &Command) -> Ended {
    let (make, unmake) = match disk {
        Disk::Sound => (String::new(), ""),
        Disk::Free(pages) => (
            format!(
                "mkdir -p -m 700 store disk && mount -t tmpfs -o size=2M,mode=700 none disk && cp -a store/. disk\n\
                 dd if=/dev/zero of=disk/filler bs=4096 2>/dev/null || true\n\
                 truncate -s -{} disk/filler && mount --bind disk store\n",
                pages * 4096
            ),
            "umount store && rm -f disk/filler && rm -rf store && cp -a disk store",
        ),
        Disk::ReadOnly => (
            "mount --bind store store && mount -o remount,ro,bind store\n".to_owned(),
            "umount store",
        ),
    };
    let folder = folder.display();
    let script =
        format!("set -e\ncd {folder}\n{make}ended=0\n\"$@\" || ended=$?\n{unmake}\nexit $ended");
    // Root needs no user namespace, and elsewhere that makes one a root.
    let flag = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
    let mut command = Command::new("unshare");
    command.args([flag, "sh", "-c", &script, "sh"]).arg(program.get_program());
    command.args(program.get_args()).env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    command.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    Ended::of(&command.output().unwrap())
}

/// Wherever the disk is full, the next run comes to its end, and nothing that was issued is issued again.
#[test]
fn a_disk_that_is_full_at_any_point() {
    let rows: Vec<usize> = (0..16).collect();
    side_by_side(&rows, |&pages| {
        let row = format!("{pages} pages are free");
        let town = Town::new(patient);
        let ended = on(Disk::Free(pages), town.folder.path(), &town.logged("renew"));
        let ended = town.hunted(&row, ended);
        let uploaded = town.cost()[2] == 2;
        assert_eq!(ended.code == 0, uploaded, "{row}: {}", ended.all());
        let says = ["No space left on device", "help: free some space"];
        let is_told = says.iter().all(|word| ended.stderr.contains(word));
        assert!(is_told || pages > 14, "{row}: {}", ended.all());
        let healed = town.watched("renew example.test", &[]);
        let [orders, certificates, uploads, records] = town.cost();
        assert_eq!(
            (healed.code, certificates, uploads, records),
            (0, 1, 2, 0),
            "{row}: {}",
            healed.all()
        );
        assert!(orders <= 2, "{row}: {orders} orders: {}", healed.all());
        let plan = town.run("plan --json").json();
        assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{row}: a plan is left: {plan:#}");
    });
}

/// A store of one certificate, and a target out of step.
struct Row {
    name: &'static str,
    spoil: fn(&Town),
    disk: Disk,
    args: &'static str,
    /// Exit status, and orders and uploads so far.
    ends: (i32, [usize; 2]),
    says: &'static [&'static str],
    /// What the remedy asks for.
    remedy: fn(&Town),
    healed: [usize; 2],
}

const RENEW: Row = Row {
    name: "",
    spoil: |_| {},
    disk: Disk::Sound,
    args: "renew",
    ends: (0, [1, 3]),
    says: &[],
    remedy: |_| {},
    healed: [1, 3],
};

/// Nothing is done before people have put it right.
const STOPS: Row = Row { ends: (1, [1, 2]), ..RENEW };

/// The Cert is out of reach: its link is taken away, and the next run orders anew.
const UNLINKED: Row = Row {
    says: &["help: rm ", "live/example.test"],
    remedy: |town| fs::remove_file(town.store(LIVE)).unwrap(),
    healed: [2, 4],
    ..STOPS
};

const LIVE: &str = "live/example.test";
const ASIDE: &[&str] = &["is damaged", "set aside", "damaged-1"];
const FUTURE: &str = "2126-01-01T00:00:00Z";

const ROWS: &[Row] = &[
    Row {
        name: "full",
        disk: Disk::Free(0),
        says: &["warning: not all of this run can be remembered", "help: free some space"],
        ..RENEW
    },
    Row {
        name: "read-only",
        disk: Disk::ReadOnly,
        says: &["warning: not all of this run can be remembered", "help: choose a writable"],
        ..RENEW
    },
    Row {
        name: "another's",
        spoil: |town| chown(town.store(""), Some(4711), None).unwrap(),
        says: &["belongs to uid 4711", "help: chown -R 0 "],
        remedy: |town| chown(town.store(""), Some(0), None).unwrap(),
        ..STOPS
    },
    Row {
        name: "of a newer certferry",
        spoil: |town| fs::write(town.store("version"), "2\n").unwrap(),
        says: &["format 2", "help: install the certferry that wrote it"],
        remedy: |town| fs::write(town.store("version"), "1\n").unwrap(),
        ..STOPS
    },
    Row {
        name: "a lineage's journal is damaged",
        spoil: |town| damage(&town.store("journal/lineages")),
        says: ASIDE,
        ..RENEW
    },
    Row {
        name: "the targets' journal is damaged",
        spoil: |town| damage(&town.store("journal/targets")),
        says: ASIDE,
        ..RENEW
    },
    Row {
        name: "when it ran last is damaged",
        spoil: |town| damage(&town.store("journal")),
        says: ASIDE,
        ..RENEW
    },
    Row {
        name: "a record's entry is damaged",
        spoil: |town| {
            // It was put, and its answer says no: the next run would take it away.
            let fault = Fault::at("AddDomainRecord").after().answer("OperationDenied", 403);
            town.world.cloud.fault(fault);
            assert_eq!(town.run("renew example.test --force").code, 1);
            assert_eq!(town.cost()[3], 1, "a value stands");
            damage(&town.store("journal/records"));
        },
        // The order goes on with the same value, whose entry is written anew.
        ends: (0, [2, 5]),
        healed: [2, 5],
        ..RENEW
    },
    Row {
        name: "the clock is behind the CA's",
        spoil: |town| {
            town.world.ca.rules(|rules| rules.clock_ahead = SignedDuration::from_mins(20))
        },
        args: "renew example.test --force",
        ends: (1, [1, 3]),
        says: &["no certificate is ordered with a wrong clock", "help: set the clock"],
        remedy: |town| town.world.ca.rules(|rules| rules.clock_ahead = SignedDuration::ZERO),
        ..RENEW
    },
    Row {
        name: "a link to a file",
        spoil: |town| {
            fs::remove_file(town.store(LIVE)).unwrap();
            symlink("../version", town.store(LIVE)).unwrap();
        },
        ..UNLINKED
    },
    Row {
        name: "the journal is gone",
        spoil: |town| fs::remove_dir_all(town.store("journal")).unwrap(),
        ..RENEW
    },
    Row {
        name: "a file in a folder's place",
        spoil: |town| {
            fs::remove_dir_all(town.store("journal/targets")).unwrap();
            fs::write(town.store("journal/targets"), "").unwrap();
            fs::set_permissions(town.store("journal/targets"), fs::Permissions::from_mode(0o600))
                .unwrap();
        },
        says: &["File exists", "help: something else has the name"],
        remedy: |town| fs::remove_file(town.store("journal/targets")).unwrap(),
        ..STOPS
    },
    Row {
        name: "the account is damaged",
        spoil: |town| damage(&account(town)),
        args: "renew example.test --force",
        ends: (1, [1, 3]),
        says: ASIDE,
        ..RENEW
    },
    Row {
        name: "no link",
        spoil: |town| fs::remove_file(town.store(LIVE)).unwrap(),
        ends: (0, [2, 4]),
        healed: [2, 4],
        ..RENEW
    },
    Row {
        name: "a link to nothing",
        spoil: |town| {
            fs::remove_file(town.store(LIVE)).unwrap();
            symlink("../archive/example.test/0009", town.store(LIVE)).unwrap();
        },
        ..UNLINKED
    },
    Row {
        name: "no archive",
        spoil: |town| fs::remove_dir_all(town.store("archive")).unwrap(),
        ..UNLINKED
    },
    Row { name: "no key", spoil: |town| remove(town, "privkey.pem"), ..UNLINKED },
    Row { name: "no chain", spoil: |town| remove(town, "fullchain.pem"), ..UNLINKED },
    // The chain has what is in these two.
    Row { name: "no leaf", spoil: |town| remove(town, "cert.pem"), ..RENEW },
    Row { name: "no issuers", spoil: |town| remove(town, "chain.pem"), ..RENEW },
    // A clock that was wrong is believed no more.
    Row {
        name: "taken in the future",
        spoil: |town| {
            change(&town.store("journal/targets"), |memory| memory["taken"]["at"] = FUTURE.into())
        },
        ..RENEW
    },
    Row {
        name: "run in the future",
        spoil: |town| change(&town.store("journal"), |memory| memory["at"] = FUTURE.into()),
        ..RENEW
    },
    Row {
        name: "the CA asked in the future",
        spoil: |town| {
            change(&town.store("journal/lineages"), |memory| {
                memory["ari"]["asked_at"] = FUTURE.into();
                memory["ari"]["ask_again_at"] = FUTURE.into();
                memory["ordered_from"]["at"] = FUTURE.into();
            })
        },
        ..RENEW
    },
    Row {
        name: "refused in the future",
        spoil: |town| {
            change(&town.store("journal/lineages"), |memory| {
                memory["failures"] = serde_json::json!({
                    "count": 3, "at": FUTURE, "not_before": FUTURE, "said_by_ca": true, "error": "no", "asked": memory["asked"],
                });
            });
            fs::remove_file(town.store(LIVE)).unwrap();
        },
        ends: (0, [2, 4]),
        healed: [2, 4],
        ..RENEW
    },
];

#[test]
fn a_store_that_is_not_as_it_should_be() {
    side_by_side(ROWS, check);
}

fn check(row: &Row) {
    let name = row.name;
    let town = Town::new(patient);
    assert_eq!(town.run("renew").code, 0, "{name}");
    town.world.cloud.switch_off("cdn.example.test");
    (row.spoil)(&town);
    let ended = on(row.disk, town.folder.path(), &town.logged(row.args));
    let ended = town.hunted(name, ended);
    let paid = |town: &Town| [town.cost()[0], town.cost()[2]];
    assert_eq!((ended.code, paid(&town)), row.ends, "{name}: {}", ended.all());
    for word in row.says {
        assert!(ended.stderr.contains(word), "{name}: nothing says `{word}`: {}", ended.all());
    }
    (row.remedy)(&town);
    let healed = town.watched("renew example.test", &[]);
    assert_eq!((healed.code, paid(&town)), (0, row.healed), "{name}, healed: {}", healed.all());
    let plan = town.run("plan --json").json();
    assert_eq!(plan["steps"].as_array().unwrap().len(), 0, "{name}: a plan is left: {plan:#}");
}

/// What `plan` says of a store is what `renew` does with it.
#[test]
fn a_plan_of_a_store_that_is_not_whole() {
    let rows = ["privkey.pem", "fullchain.pem"];
    side_by_side(&rows, |file| {
        let town = Town::new(patient);
        assert_eq!(town.run("renew").code, 0);
        town.world.cloud.switch_off("cdn.example.test");
        remove(&town, file);
        let plan = town.run("plan --json").json();
        let kinds: Vec<_> =
            plan["steps"].as_array().unwrap().iter().map(|step| &step["kind"]).collect();
        assert_eq!(kinds, ["skip", "skip"], "{file}: {plan:#}");
    });
}

/// A hook uploads also where nothing can be remembered, and says so.
#[test]
fn a_hook_without_a_disk() {
    let check = |name: &str, disk: Disk, spoil: fn(&Path)| {
        let mut house = House::new();
        assert_eq!(house.run("plan").code, 0, "{name}");
        house.renewed("cdn.example.test");
        fs::create_dir(house.path("store")).unwrap();
        spoil(&house.path("store"));
        let ended = on(disk, house.folder.path(), &house.command("hook --json"));
        let report = ended.json();
        assert_eq!(house.uploads(), 1, "{name}: {}", ended.all());
        assert_eq!(
            (&report["remembered"], &report["targets"][0]["outcome"]),
            (&false.into(), &"deployed".into()),
            "{name}: {}",
            ended.all()
        );
        assert!(ended.all().contains("help"), "{name}: {}", ended.all());
    };
    check("full", Disk::Free(0), |_| {});
    check("read-only", Disk::ReadOnly, |_| {});
    check("another's", Disk::Sound, |store| chown(store, Some(4711), None).unwrap());
    check("newer", Disk::Sound, |store| fs::write(store.join("version"), "2\n").unwrap());
}

/// A claim that cannot be read is set aside; its client's next hook writes it anew, and nothing is guessed meanwhile.
#[test]
fn a_damaged_claim() {
    let mut house = House::new();
    house.renewed("cdn.example.test");
    assert_eq!(house.run("hook").code, 0);
    damage(&house.path("store/claims"));
    house.cloud.switch_off("cdn.example.test");
    let without = house.run("renew");
    assert_eq!(house.uploads(), 1, "{}", without.all());
    for word in ASIDE {
        assert!(without.stderr.contains(word), "nothing says `{word}`: {}", without.all());
    }
    let again = house.run("hook");
    assert_eq!((again.code, house.uploads()), (0, 2), "{}", again.all());
    assert!(house.path("store/claims").read_dir().unwrap().count() == 2, "and the damaged one");
    assert_eq!(house.run("renew").code, 0);
}

/// The JSON files of a folder.
fn documents(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|kind| kind == "json"))
}

/// As after a power cut on a disk that lies.
fn damage(folder: &Path) {
    documents(folder).for_each(|path| fs::write(path, "{\"cut").unwrap());
}

fn change(folder: &Path, change: fn(&mut Value)) {
    for path in documents(folder) {
        let mut document = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        change(&mut document);
        fs::write(&path, document.to_string()).unwrap();
    }
}

/// The folder of the account at the CA.
fn account(town: &Town) -> PathBuf {
    let mut accounts = fs::read_dir(town.store("acme")).unwrap();
    accounts.next().unwrap().unwrap().path()
}

/// A file of the live version.
fn remove(town: &Town, file: &str) {
    fs::remove_file(town.store(LIVE).join(file)).unwrap();
}
