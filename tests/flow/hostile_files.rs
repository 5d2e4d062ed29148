//! Files that are none, that others may change, that are endless, or that change while they are read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use certferry::cert::Cert;

use crate::bad_input::check;
use crate::house::{Ended, House, KEY_ID, Leaf};

const DEPLOY: &str = "deploy --lineage live/a --domain cdn.example.test";

/// Makes something at a path.
type Make = fn(&Path);

const DEVICE: &str = "an endless device";

/// What a place may hold in place of a file.
const NO_FILES: [(&str, Make); 5] = [
    ("a FIFO", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
    ("a folder", |path| fs::create_dir(path).unwrap()),
    (DEVICE, |path| symlink("/dev/zero", path).unwrap()),
    ("a circle", |path| symlink(path, path).unwrap()),
    ("a gigabyte", |path| {
        let file = fs::File::create(path).unwrap();
        file.set_len(1 << 30).unwrap();
        file.set_permissions(fs::Permissions::from_mode(0o600)).unwrap();
    }),
];

/// Each of them in place of this file; it is named, and nothing is uploaded.
fn no_file_at(name: &str, set: impl Fn(&mut House) + Sync, args: &str, code: i32) {
    std::thread::scope(|rows| {
        for (kind, make) in NO_FILES {
            let set = &set;
            rows.spawn(move || {
                let spoil = |house: &mut House| {
                    set(house);
                    let path = house.path(name);
                    let _none = fs::remove_file(&path);
                    fs::create_dir_all(path.parent().unwrap()).unwrap();
                    make(&path);
                };
                // Where links are followed, it is what they lead to that is named.
                let said = if kind == DEVICE { "no regular file" } else { name };
                check(&format!("{kind} as {name}"), spoil, args, code, &[said]);
            });
        }
    });
}

#[test]
fn what_is_no_file_is_named() {
    let none = |_: &mut House| {};
    no_file_at("live/a/fullchain.pem", none, DEPLOY, 1);
    no_file_at("live/a/privkey.pem", none, DEPLOY, 1);
    no_file_at("secret", none, DEPLOY, 1);
    no_file_at("roots.pem", none, DEPLOY, 2);
    let other = |house: &mut House| {
        let named = house.path("other.toml").display().to_string();
        house.var("CERTFERRY_CONFIG", named);
    };
    no_file_at("other.toml", other, "renew", 2);
}

/// A house whose AccessKey must come from a file of another program.
fn of_home(house: &mut House) {
    house.config = "[aliyun.default]\ncdn_endpoint = \"URL\"\nsts_endpoint = \"URL\"\n".to_owned();
    let home = house.folder.path().display().to_string();
    house.var("HOME", home);
}

fn of_token(house: &mut House) {
    of_home(house);
    house.var("ALIBABA_CLOUD_ROLE_ARN", "acs:ram::1:role/pod");
    house.var("ALIBABA_CLOUD_OIDC_PROVIDER_ARN", "acs:ram::1:oidc-provider/k8s");
    let token = house.path("token").display().to_string();
    house.var("ALIBABA_CLOUD_OIDC_TOKEN_FILE", token);
}

#[test]
fn what_is_no_file_of_another_program_is_named() {
    no_file_at(".aliyun/config.json", of_home, DEPLOY, 1);
    no_file_at(".alibabacloud/credentials", of_home, DEPLOY, 1);
    no_file_at("token", of_token, DEPLOY, 1);
}

/// A file that holds a secret, with this mode: the remedy is told, and nothing of it.
fn loose(name: &str, mode: u32, set: impl FnOnce(&mut House)) {
    let spoil = |house: &mut House| {
        set(house);
        house.write_secret(name, "canary of a loose file", mode);
    };
    let row = format!("{name} {mode:04o}");
    check(&row, spoil, &format!("{DEPLOY} -vv"), 1, &[name, "chmod"]);
}

#[test]
fn secrets_that_others_read_are_refused() {
    for mode in [0o644, 0o604, 0o602, 0o666] {
        loose("secret", mode, |_| {});
        loose("live/a/privkey.pem", mode, |_| {});
        loose(".aliyun/config.json", mode, of_home);
        loose(".alibabacloud/credentials", mode, of_home);
    }
    loose("token", 0o666, of_token);
    loose("live/a/fullchain.pem", 0o666, |_| {});
}

#[test]
fn a_folder_that_others_may_write() {
    check(
        "the lineage's",
        |house| house.chmod("live/a", 0o777),
        DEPLOY,
        1,
        &["live/a", "chmod go-w"],
    );
    check("one above", |house| house.chmod("live", 0o775), DEPLOY, 1, &["live", "chmod go-w"]);
}

/// Only root can give a file away; whoever is not root has the second row alone.
#[test]
fn files_of_another_user() {
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        let give =
            |house: &mut House| chown(house.path("live/a/privkey.pem"), Some(4242), None).unwrap();
        check("a key of another", give, DEPLOY, 1, &["privkey.pem", "4242", "chown"]);
    }
    // Somebody who is not root, with a store and files of his own.
    let house = House::new();
    let mut command = house.command(DEPLOY);
    if is_root {
        give_all(house.folder.path(), 4242);
        command.uid(4242).gid(4242);
    }
    let ended = Ended::of(&command.output().unwrap());
    assert_eq!((ended.code, house.uploads()), (0, 1), "{}", ended.all());
    assert!(house.path("store/journal").is_dir());
}

fn give_all(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        fs::read_dir(path).unwrap().for_each(|entry| give_all(&entry.unwrap().path(), user));
    }
}

#[test]
fn a_group_may_read_a_key() {
    let house = House::new();
    house.chmod("live/a/privkey.pem", 0o640);
    let ended = house.run(DEPLOY);
    assert_eq!((ended.code, house.uploads()), (0, 1), "{}", ended.all());
}

/// `..data` is what changes; the names lead through it.
#[test]
fn a_secret_as_kubernetes_mounts_it() {
    let house = House::new();
    let versions = ["..2026_01", "..2026_02"].map(|version| {
        let (chain, key) = house.make(&Leaf::new());
        house.write(&format!("pod/{version}/tls.crt"), &chain);
        house.write_secret(&format!("pod/{version}/tls.key"), &key, 0o400);
        (version, chain)
    });
    for name in ["tls.crt", "tls.key"] {
        symlink(format!("..data/{name}"), house.path("pod").join(name)).unwrap();
    }
    for (version, chain) in versions {
        symlink(version, house.path("pod/..tmp")).unwrap();
        fs::rename(house.path("pod/..tmp"), house.path("pod/..data")).unwrap();
        let ended =
            house.run("deploy --cert pod/tls.crt --key pod/tls.key --domain cdn.example.test");
        assert_eq!(ended.code, 0, "{}", ended.all());
        let served = house.cloud.served_fingerprint("cdn.example.test").unwrap();
        assert_eq!(served, crate::house::fingerprint(&chain), "{version}");
    }
}

#[test]
fn ten_thousand_certificates_in_a_file() {
    let house = House::new();
    let (chain, _key) = house.make(&Leaf::new());
    let own = house.read("live/a/fullchain.pem");
    house.write("live/a/fullchain.pem", chain.repeat(10_000));
    let ended = house.run(DEPLOY);
    assert_eq!((ended.code, house.uploads()), (1, 0), "{}", ended.all());
    assert!(ended.stderr.contains("fullchain.pem"), "{}", ended.all());
    // As many as are read: what belongs to the leaf is found among them.
    let most = (1 << 20) / chain.len() - 2;
    house.write("live/a/fullchain.pem", own + &chain.repeat(most));
    let ended = house.run(DEPLOY);
    assert!(ended.code <= 1, "{}", ended.all());
}

/// A client that renews, over and over, with all four links and a moment between them.
#[test]
fn a_pair_that_does_not_fit_is_never_uploaded() {
    let house = House::new();
    for version in ["1", "2"] {
        let (chain, key) = house.make(&Leaf::new());
        house.write(&format!("archive/fullchain{version}.pem"), &chain);
        house.write_secret(&format!("archive/privkey{version}.pem"), &key, 0o600);
    }
    let switch = |name: &str, version: &str| {
        let link = house.path(&format!("live/a/{name}.pem"));
        symlink(house.path(&format!("archive/{name}{version}.pem")), link.with_extension("new"))
            .unwrap();
        fs::rename(link.with_extension("new"), link).unwrap();
    };
    ["privkey", "fullchain"].iter().for_each(|name| switch(name, "1"));
    let is_over = AtomicBool::new(false);
    std::thread::scope(|rows| {
        rows.spawn(|| {
            for version in ["2", "1"].iter().cycle() {
                switch("privkey", version);
                std::thread::sleep(Duration::from_millis(3));
                switch("fullchain", version);
                std::thread::sleep(Duration::from_millis(1));
                if is_over.load(Ordering::Relaxed) {
                    return;
                }
            }
        });
        for _ in 0..4 {
            let ended = house.run(DEPLOY);
            assert!(ended.code <= 1, "{}", ended.all());
        }
        is_over.store(true, Ordering::Relaxed);
    });
    let ended = house.run(DEPLOY);
    assert_eq!(ended.code, 0, "{}", ended.all());
    for call in house.cloud.calls("SetDomainServerCertificate") {
        assert_eq!(call.param("AccessKeyId"), KEY_ID);
        let (chain, key) = (call.param("ServerCertificate"), call.param("PrivateKey"));
        assert!(Cert::read(chain.as_bytes(), key.as_bytes()).is_ok(), "a pair that does not fit");
    }
}
