//! explore
use std::fs;
use std::process::Command;

use crate::ca_calls::patient;
use crate::house::Ended;
use crate::issuing::Town;
use crate::rows::side_by_side;

pub(crate) fn on_a_disk(town: &Town, free: Option<usize>, args: &str) -> Ended {
    let folder = town.folder.path().display();
    let way = match free {
        Some(pages) => format!(
            "mkdir -p store disk && mount -t tmpfs -o size=2M none disk && cp -a store/. disk && \
             {{ dd if=/dev/zero of=disk/filler bs=4096 2>/dev/null; true; }} && \
             truncate -s -{} disk/filler && mount --bind disk store",
            pages * 4096
        ),
        None => "mount --bind store store && mount -o remount,ro,bind store".to_owned(),
    };
    let back = match free {
        Some(_) => "umount store && rm disk/filler && rm -rf store/* && cp -a disk/. store",
        None => "umount store",
    };
    let script = format!("cd {folder} && {way} && {{ \"$@\"; ended=$?; }} && {back} && exit $ended");
    let program = town.command(args);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-ec", &script, "sh"]).arg(program.get_program()).args(program.get_args());
    command.env_clear().env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin");
    Ended::of(&command.output().unwrap())
}

#[test]
fn explore() {
    let out = std::sync::Mutex::new(Vec::new());
    let rows: Vec<usize> = (0..26).collect();
    side_by_side(&rows, |pages| {
        let town = Town::new(patient);
        let ended = on_a_disk(&town, Some(*pages), "renew");
        let first = town.cost();
        let healed = town.run("renew example.test");
        out.lock().unwrap().push(format!("full {pages:02} | {} {first:?} | {} {:?} acc {} | {} | {}", ended.code, healed.code, town.cost(), town.world.ca.accounts().len(), ended.stderr.replace('\n', "/"), healed.stderr.replace('\n', "/")));
    });
    let spoil = |name: &'static str, act: fn(&Town), args: &'static str, disk: Option<Option<usize>>| (name, act, args, disk);
    let first = |town: &Town, folder: &str| fs::read_dir(town.store(folder)).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some_and(|e| e == "json")).unwrap();
    let _ = first;
    fn future(town: &Town, folder: &str, change: fn(&mut serde_json::Value)) {
        for entry in fs::read_dir(town.store(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|e| e != "json") { continue }
            let mut value: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            change(&mut value);
            fs::write(&path, value.to_string()).unwrap();
        }
    }
    fn damage(town: &Town, folder: &str) {
        for entry in fs::read_dir(town.store(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|e| e == "json") { fs::write(path, "{\"cut").unwrap() }
        }
    }
    fn account(town: &Town) { let folder = fs::read_dir(town.store("acme")).unwrap().next().unwrap().unwrap().path(); fs::write(folder.join("account.json"), "{\"cut").unwrap(); }
    fn gone(town: &Town, name: &str) { fs::remove_file(town.store("live/example.test").join(name)).unwrap(); }
    let rows = [
        spoil("full", |_| {}, "renew", Some(Some(0))),
        spoil("full hook", |_| {}, "hook --json -- x", Some(Some(0))),
        spoil("read-only", |_| {}, "renew", Some(None)),
        spoil("wrong owner", |t| std::os::unix::fs::chown(t.store(""), Some(4711), None).unwrap(), "renew", None),
        spoil("newer", |t| fs::write(t.store("version"), "2\n").unwrap(), "renew", None),
        spoil("lineage damaged", |t| damage(t, "journal/lineages"), "renew", None),
        spoil("target damaged", |t| damage(t, "journal/targets"), "renew", None),
        spoil("renew.json damaged", |t| damage(t, "journal"), "renew", None),
        spoil("account damaged", account, "renew example.test --force", None),
        spoil("live gone", |t| fs::remove_file(t.store("live/example.test")).unwrap(), "renew", None),
        spoil("live dangling", |t| { fs::remove_file(t.store("live/example.test")).unwrap(); std::os::unix::fs::symlink("../archive/example.test/0009", t.store("live/example.test")).unwrap() }, "renew", None),
        spoil("no privkey", |t| gone(t, "privkey.pem"), "renew", None),
        spoil("no fullchain", |t| gone(t, "fullchain.pem"), "renew", None),
        spoil("no cert", |t| gone(t, "cert.pem"), "renew", None),
        spoil("no chain", |t| gone(t, "chain.pem"), "renew", None),
        spoil("archive gone", |t| fs::remove_dir_all(t.store("archive/example.test")).unwrap(), "renew", None),
        spoil("journal gone", |t| fs::remove_dir_all(t.store("journal")).unwrap(), "renew", None),
        spoil("journal a file", |t| { fs::remove_dir_all(t.store("journal/targets")).unwrap(); fs::write(t.store("journal/targets"), "").unwrap() }, "renew", None),
        spoil("taken in the future", |t| future(t, "journal/targets", |v| v["taken"]["at"] = "2126-01-01T00:00:00Z".into()), "renew", None),
        spoil("renew in the future", |t| future(t, "journal", |v| v["at"] = "2126-01-01T00:00:00Z".into()), "renew", None),
        spoil("ari in the future", |t| future(t, "journal/lineages", |v| { v["ari"]["ask_again_at"] = "2126-01-01T00:00:00Z".into(); v["ordered_from"]["at"] = "2126-01-01T00:00:00Z".into() }), "renew", None),
    ];
    side_by_side(&rows, |(name, act, args, disk)| {
        let town = Town::new(patient);
        assert_eq!(town.run("renew").code, 0);
        town.world.cloud.switch_off("cdn.example.test");
        act(&town);
        let ended = match disk { None => town.run(args), Some(free) => on_a_disk(&town, *free, args) };
        let first = town.cost();
        let healed = town.run("renew example.test");
        let third = town.run("renew example.test");
        let plan = town.run("plan");
        out.lock().unwrap().push(format!("{name} | {} {first:?} | {} {} {:?} | {} // {} | {} // {} | {}", ended.code, healed.code, third.code, town.cost(), ended.stderr.replace('\n', "/"), ended.stdout.replace('\n', "/"), healed.stderr.replace('\n', "/"), healed.stdout.replace('\n', "/"), plan.all().replace('\n', "/")));
    });
    let mut out = out.into_inner().unwrap();
    out.sort();
    fs::write("/tmp/disk_explore.txt", out.join("\n")).unwrap();
}
