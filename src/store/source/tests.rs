//! Tests of other clients' folders: which are read, which are refused, and what a change meanwhile does.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods, reason = "tests")]

use std::fs;
use std::os::unix::fs::{chown, symlink};

use rustix::fs::{CWD, FileType, Mode};

use super::super::tests::{cert, is_root, pair, set_mode};
use super::*;

/// certbot's folder: `live/a/X.pem -> ../../archive/a/X1.pem`.
struct Certbot {
    top: tempfile::TempDir,
    pair: (String, String),
}

impl Certbot {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        let made = Self { top, pair: pair("a.example") };
        for folder in ["live", "archive", "live/a", "archive/a"] {
            fs::create_dir(made.path(folder)).unwrap();
            set_mode(&made.path(folder), 0o700);
        }
        made.issue(1, &made.pair);
        made.switch(1);
        made
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join(name)
    }

    fn issue(&self, version: u32, (chain, key): &(String, String)) {
        for (name, content, mode) in
            [("fullchain", chain, 0o644), ("cert", chain, 0o644), ("privkey", key, 0o600)]
        {
            let path = self.path(&format!("archive/a/{name}{version}.pem"));
            fs::write(&path, content).unwrap();
            set_mode(&path, mode);
        }
        fs::write(self.path(&format!("archive/a/chain{version}.pem")), "").unwrap();
    }

    fn switch(&self, version: u32) {
        for name in ["cert", "chain", "fullchain", "privkey"] {
            self.link(name, version);
        }
    }

    /// As certbot does: not by one rename.
    fn link(&self, name: &str, version: u32) {
        let link = self.path(&format!("live/a/{name}.pem"));
        fs::remove_file(&link).ok();
        symlink(format!("../../archive/a/{name}{version}.pem"), link).unwrap();
    }
}

fn me() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// What a read says after `prepare`: `ok`, or the error's text.
async fn said_after(prepare: impl FnOnce(&Certbot)) -> String {
    let certbot = Certbot::new();
    prepare(&certbot);
    let found = read_folder(&certbot.path("live/a"), me()).await;
    // Folders that nobody may enter could not be removed.
    set_mode(&certbot.path("live"), 0o700);
    match found {
        Ok(found) => {
            assert_eq!(found.leaf().fingerprint, cert(&certbot.pair).leaf().fingerprint);
            "ok".to_owned()
        }
        Err(error) => format!("{error:#}"),
    }
}

fn remove(certbot: &Certbot, names: &[&str]) {
    names.iter().for_each(|name| fs::remove_file(certbot.path(name)).unwrap());
}

fn put(certbot: &Certbot, name: &str, content: &str) {
    fs::write(certbot.path(name), content).unwrap();
    set_mode(&certbot.path(name), 0o600);
}

async fn check(name: &str, prepare: impl FnOnce(&Certbot), expected: &[&str]) {
    let said = said_after(prepare).await;
    for part in expected {
        assert!(said.contains(part), "{name}: {said:?} has no {part:?}");
    }
    assert!(said == "ok" || said.contains("help: "), "{name}: {said}");
}

#[tokio::test(start_paused = true)]
async fn folders_that_are_read() {
    let ok = ["ok"];
    check("certbot's", |_| {}, &ok).await;
    check("a group may read the key", |c| set_mode(&c.path("archive/a/privkey1.pem"), 0o640), &ok)
        .await;
    check("all may enter", |c| set_mode(&c.path("live"), 0o755), &ok).await;
    check("cert.pem and chain.pem", |c| remove(c, &["live/a/fullchain.pem"]), &ok).await;
    check("cert.pem alone", |c| remove(c, &["live/a/fullchain.pem", "live/a/chain.pem"]), &ok)
        .await;
    check(
        "absolute links",
        |c| {
            remove(c, &["live/a/privkey.pem"]);
            symlink(c.path("archive/a/privkey1.pem"), c.path("live/a/privkey.pem")).unwrap();
        },
        &ok,
    )
    .await;
    check(
        "a link to the folder",
        |c| {
            fs::rename(c.path("live/a"), c.path("live/b")).unwrap();
            symlink("b", c.path("live/a")).unwrap();
        },
        &ok,
    )
    .await;
    check(
        "acmetool's names",
        |c| {
            for name in ["fullchain", "privkey"] {
                fs::rename(
                    c.path(&format!("live/a/{name}.pem")),
                    c.path(&format!("live/a/{name}")),
                )
                .unwrap();
            }
        },
        &ok,
    )
    .await;
    check("a sticky folder on the way", |c| set_mode(&c.path("live"), 0o1777), &ok).await;
}

#[tokio::test(start_paused = true)]
async fn modes_that_are_refused() {
    let mode = |name: &'static str, mode: u32| move |c: &Certbot| set_mode(&c.path(name), mode);
    let key = "archive/a/privkey1.pem";
    check("all may read the key", mode(key, 0o604), &["privkey1.pem", "0604", "chmod o-rwx"]).await;
    check("a group may write the key", mode(key, 0o660), &["0660", "help: chmod go-w /"]).await;
    check("all may write the key", mode(key, 0o602), &["0602", "help: chmod go-w /"]).await;
    check("a group may write the chain", mode("archive/a/fullchain1.pem", 0o664), &["0664"]).await;
    for folder in ["live/a", "archive/a", "live", "archive", ""] {
        check("others may write", mode(folder, 0o777), &["may be written", "0777", "chmod go-w"])
            .await;
        check("a group may write", mode(folder, 0o770), &["may be written", "0770"]).await;
    }
}

#[tokio::test(start_paused = true)]
async fn owners_that_are_refused() {
    if !is_root() {
        return;
    }
    let give =
        |name: &'static str| move |c: &Certbot| chown(c.path(name), Some(4711), None).unwrap();
    for name in ["archive/a/privkey1.pem", "archive/a/fullchain1.pem", "live/a", "archive"] {
        check(name, give(name), &[name, "belongs to uid 4711, not to root\nhelp: chown 0 /"]).await;
    }
    check(
        "a link in a safe folder is the folder's",
        |c| {
            std::os::unix::fs::lchown(c.path("live/a/privkey.pem"), Some(4711), None).unwrap();
        },
        &["ok"],
    )
    .await;
    check(
        "another's link in a sticky folder",
        |c| {
            set_mode(&c.path("live"), 0o1777);
            fs::rename(c.path("live/a"), c.path("b")).unwrap();
            symlink("../b", c.path("live/a")).unwrap();
            std::os::unix::fs::lchown(c.path("live/a"), Some(4711), None).unwrap();
        },
        &["live/a belongs to uid 4711"],
    )
    .await;
    check(
        "another's folder in a sticky folder",
        |c| {
            set_mode(&c.path("live"), 0o1777);
            give("live/a")(c);
        },
        &["live/a belongs to uid 4711"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn the_callers_own_files_are_his() {
    if !is_root() {
        return;
    }
    let certbot = Certbot::new();
    for name in ["live/a", "archive/a", "archive/a/privkey1.pem"] {
        chown(certbot.path(name), Some(4711), None).unwrap();
    }
    read_folder(&certbot.path("live/a"), 4711).await.unwrap();
    let error = read_folder(&certbot.path("live/a"), 4712).await.unwrap_err().to_string();
    assert!(error.contains("not to root or you (uid 4712)\nhelp: chown 4712 /"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn things_that_are_no_files() {
    let key = "live/a/privkey.pem";
    check(
        "a FIFO",
        |c| {
            remove(c, &[key]);
            let mode = Mode::from_raw_mode(0o600);
            rustix::fs::mknodat(CWD, c.path(key), FileType::Fifo, mode, 0).unwrap();
        },
        &["no regular file"],
    )
    .await;
    check(
        "a device",
        |c| {
            remove(c, &[key]);
            symlink("/dev/zero", c.path(key)).unwrap();
        },
        &["/dev/zero is no regular file"],
    )
    .await;
    check(
        "a folder",
        |c| {
            remove(c, &[key]);
            fs::create_dir(c.path(key)).unwrap();
            set_mode(&c.path(key), 0o700);
        },
        &["no regular file"],
    )
    .await;
    check(
        "links in a circle",
        |c| {
            remove(c, &[key]);
            symlink("privkey.pem", c.path(key)).unwrap();
        },
        &["circle"],
    )
    .await;
    check(
        "too large",
        |c| put(c, "archive/a/privkey1.pem", &"x".repeat((1 << 20) + 1)),
        &["large"],
    )
    .await;
    check("no folder", |c| fs::rename(c.path("live/a"), c.path("live/b")).unwrap(), &["live/a"])
        .await;
    check(
        "the folder is a file",
        |c| {
            fs::rename(c.path("live/a"), c.path("live/b")).unwrap();
            put(c, "live/a", "");
        },
        &["no folder"],
    )
    .await;
    check(
        "a file on the way",
        |c| {
            fs::rename(c.path("live"), c.path("b")).unwrap();
            put(c, "live", "");
        },
        &[""],
    )
    .await;
}

/// What a read finds, after how many seconds, while `client` does its work.
async fn raced(certbot: &Certbot, client: impl Future<Output = ()>) -> (anyhow::Result<Cert>, u64) {
    let start = tokio::time::Instant::now();
    let folder = certbot.path("live/a");
    let look = async { (read_folder(&folder, me()).await, start.elapsed().as_secs()) };
    tokio::join!(look, client).0
}

async fn at(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_client_at_work_is_waited_for() {
    let certbot = Certbot::new();
    let renewed = pair("b.example");
    certbot.issue(2, &renewed);
    for (done_at, seconds) in [(500, 1), (3000, 6)] {
        certbot.switch(1);
        certbot.link("privkey", 2);
        let (found, after) = raced(&certbot, async {
            at(done_at).await;
            certbot.switch(2);
        })
        .await;
        assert_eq!(found.unwrap().leaf().fingerprint, cert(&renewed).leaf().fingerprint);
        assert_eq!(after, seconds);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pair_that_never_fits_is_said() {
    let certbot = Certbot::new();
    certbot.issue(2, &pair("b.example"));
    certbot.link("privkey", 2);
    let (found, after) = raced(&certbot, async {}).await;
    let error = format!("{:#}", found.unwrap_err());
    assert!(error.contains("fullchain.pem") && error.contains("privkey.pem"), "{error}");
    assert_eq!(after, 6);
}

#[tokio::test(start_paused = true)]
async fn a_missing_file_may_come_and_a_missing_folder_not() {
    let certbot = Certbot::new();
    remove(&certbot, &["live/a/privkey.pem"]);
    let (found, after) = raced(&certbot, async {
        at(10).await;
        certbot.link("privkey", 1);
    })
    .await;
    assert!(found.is_ok() && after == 1, "{found:?} after {after}");
    fs::remove_dir_all(certbot.path("live/a")).unwrap();
    let (found, after) = raced(&certbot, async {}).await;
    assert!(found.is_err() && after == 0, "{found:?} after {after}");
}

#[test]
fn a_change_within_a_look_is_seen() {
    let certbot = Certbot::new();
    certbot.issue(2, &certbot.pair);
    let folder = certbot.path("live/a");
    let calls = std::cell::Cell::new(0);
    let change = |change: &dyn Fn()| {
        calls.set(0);
        look(
            || {
                // The second time is after the read.
                calls.set(calls.get() + 1);
                if calls.get() == 2 {
                    change();
                }
                parts_of(&folder)
            },
            me(),
        )
    };
    let unsteady = |result| matches!(result, Err(Trouble::Unsteady(_)));
    assert!(change(&|| {}).is_ok());
    assert!(unsteady(change(&|| certbot.link("fullchain", 2))), "link moved");
    assert!(unsteady(change(&|| fs::write(certbot.path("archive/a/privkey1.pem"), "x").unwrap())));
    assert!(unsteady(change(&|| remove(&certbot, &["live/a/fullchain.pem"]))), "link gone");
}

#[tokio::test(start_paused = true)]
async fn a_pair_of_any_names_is_read() {
    let certbot = Certbot::new();
    put(&certbot, "a.crt", &certbot.pair.0);
    put(&certbot, "a b.key", &certbot.pair.1);
    let key = certbot.path("a b.key");
    let source = Source::files(certbot.path("a.crt"), key.clone());
    read_source(&source, me()).await.unwrap();
    set_mode(&key, 0o644);
    let error = read_source(&source, me()).await.unwrap_err().to_string();
    assert!(error.ends_with(&format!("help: chmod o-rwx '{}'", key.display())), "{error}");
}
