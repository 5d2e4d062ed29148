//! Locks: one a lineage while issuing, one a target while uploading, the store's own only around its changes.
//!
//! They are `flock`s and die with their process, so there are no stale ones. Their files are never deleted: a run that
//! waits on a deleted file and a run that makes a new one would both hold "the" lock.

use std::fmt;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

use anyhow::bail;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Store, account, files, names};
use crate::config::Target;
use crate::ground::Say;

/// How long to wait for a lock, and whom to tell.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// Not longer than this; none: as long as it takes.
    pub until: Option<Instant>,
    /// Ends the wait.
    pub stop: &'a CancellationToken,
    /// Told once for whom we wait.
    pub say: &'a Say,
}

/// A lock that is held; dropped, it is free.
#[derive(Debug)]
#[must_use = "the lock is free when this is dropped"]
pub struct Lock {
    /// It was waited for: another run may have done the work, so look again.
    pub waited: bool,
    _file: File,
}

/// Why a lock is not ours.
#[derive(Debug)]
pub enum LockError {
    /// Another run held it all the time.
    Held {
        /// Who, and what for: `process 4711 (issuing example.com)`.
        by: String,
    },
    /// We were told to stop.
    Stopped,
    /// The lock file cannot be used.
    Io(anyhow::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Held { by } => write!(
                f,
                "held by {by}\nhelp: nothing is lost, the next run carries on; if that process hangs, end it"
            ),
            Self::Stopped => f.write_str("stopped while waiting for another run"),
            Self::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for LockError {}

impl Store {
    /// The lock of a lineage: held while it is issued and while its versions change.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn lock_lineage(&self, name: &str, wait: Wait<'_>) -> Result<Lock, LockError> {
        let path = self.locks().join(format!("lineage-{}.lock", names::file_name(name)));
        self.lock(path, &format!("issuing {}", names::quoted(name)), wait).await
    }

    /// The lock of a target: held while something is uploaded to it.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn lock_target(&self, target: &Target, wait: Wait<'_>) -> Result<Lock, LockError> {
        let name = names::joined(&[&target.aliyun, &target.domain.api_name]);
        let path = self.locks().join(format!("target-{name}.lock"));
        let purpose = format!("uploading to {}", names::quoted(&target.domain.written));
        self.lock(path, &purpose, wait).await
    }

    /// A share of the lock of the account at this directory: held while something is ordered with it.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn share_account(&self, directory: &str, wait: Wait<'_>) -> Result<Lock, LockError> {
        let path = self.account_lock(directory).map_err(LockError::Io)?;
        self.lock_by(try_share, path, "ordering", wait).await
    }

    /// The lock of the account at this directory, alone: held while its key changes or it ends.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn lock_account(&self, directory: &str, wait: Wait<'_>) -> Result<Lock, LockError> {
        let path = self.account_lock(directory).map_err(LockError::Io)?;
        self.lock(path, "changing the account", wait).await
    }

    /// The lock of who registers an account at this directory, so that all runs have one account. Its holder asks the CA
    /// once.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn lock_registering(
        &self,
        directory: &str,
        wait: Wait<'_>,
    ) -> Result<Lock, LockError> {
        let folder = account::folder_for(directory).map_err(LockError::Io)?;
        let path = self.locks().join(format!("registering-{folder}.lock"));
        self.lock(path, "registering an account", wait).await
    }

    fn account_lock(&self, directory: &str) -> anyhow::Result<PathBuf> {
        Ok(self.locks().join(format!("account-{}.lock", account::folder_for(directory)?)))
    }

    /// The store's own lock, for a change that reads and writes. Blocks, as its holder needs milliseconds.
    pub(super) fn lock_store(&self) -> anyhow::Result<Lock> {
        let path = self.locks().join("store.lock");
        let file = self.open_lock(&path)?;
        let waited = !try_lock(&file, &path)?;
        let file = if waited { queue(file, &path)? } else { file };
        note(&file, &path, "changing the store")?;
        Ok(Lock { waited, _file: file })
    }

    async fn lock(&self, path: PathBuf, purpose: &str, wait: Wait<'_>) -> Result<Lock, LockError> {
        self.lock_by(try_lock, path, purpose, wait).await
    }

    async fn lock_by(
        &self,
        take: fn(&File, &Path) -> anyhow::Result<bool>,
        path: PathBuf,
        purpose: &str,
        wait: Wait<'_>,
    ) -> Result<Lock, LockError> {
        let file = self.open_lock(&path).map_err(LockError::Io)?;
        let mut waited = false;
        for pause in pauses() {
            if wait.stop.is_cancelled() {
                return Err(LockError::Stopped);
            }
            if take(&file, &path).map_err(LockError::Io)? {
                note(&file, &path, purpose).map_err(LockError::Io)?;
                return Ok(Lock { waited, _file: file });
            }
            let now = Instant::now();
            let next = wait.until.map_or(now + pause, |until| until.min(now + pause));
            if next <= now {
                break;
            }
            if !waited {
                wait.say.line(format!("waiting for {}", holder(&path)));
            }
            waited = true;
            tokio::select! {
                () = wait.stop.cancelled() => return Err(LockError::Stopped),
                () = tokio::time::sleep_until(next) => {}
            }
        }
        Err(LockError::Held { by: holder(&path) })
    }

    fn open_lock(&self, path: &Path) -> anyhow::Result<File> {
        self.writable()?;
        files::make_folder(&self.locks())?;
        open(path)
    }
}

fn open(path: &Path) -> anyhow::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(|error| files::failed("open the lock", path, &error))
}

fn try_lock(file: &File, path: &Path) -> anyhow::Result<bool> {
    is_ours(file.try_lock(), path)
}

fn try_share(file: &File, path: &Path) -> anyhow::Result<bool> {
    is_ours(file.try_lock_shared(), path)
}

fn is_ours(tried: Result<(), TryLockError>, path: &Path) -> anyhow::Result<bool> {
    match tried {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(files::failed("lock", path, &error)),
    }
}

/// Waits in the kernel's queue, by a thread, as that wait has no end of its own: a process that was halted in the
/// middle of a change would halt us too.
fn queue(file: File, path: &Path) -> anyhow::Result<File> {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let locked = file.lock().map(|()| file);
        // Where nobody waits any more, the lock comes back as an error, is dropped and free.
        drop(sender.send(locked));
    });
    match receiver.recv_timeout(STORE_PATIENCE) {
        Ok(locked) => locked.map_err(|error| files::failed("lock", path, &error)),
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => bail!(
            "the store is locked by {}\nhelp: that takes milliseconds, so it hangs: end that process",
            holder(path)
        ),
    }
}

/// Writes who holds the lock, for those who wait. No fsync: it says nothing after a power cut.
fn note(mut file: &File, path: &Path, purpose: &str) -> anyhow::Result<()> {
    let text = format!("{} ({purpose})\n", std::process::id());
    let written = file
        .rewind()
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.set_len(text.len() as u64));
    match written {
        // A full disk must not keep us from uploading: the lock itself needs no room.
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => Ok(()),
        written => written.map_err(|error| files::failed("write", path, &error)),
    }
}

fn holder(path: &Path) -> String {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(HOLDER_LIMIT).read_to_string(&mut text));
    match (read, text.lines().next()) {
        (Ok(_), Some(who)) => format!("process {who}"),
        (Ok(_) | Err(_), _) => "another run".to_owned(),
    }
}

/// Pauses between tries: 50 ms, for a lock that is freed in a moment; doubling to 500 ms, as a wait of minutes for an
/// order under way needs no better.
fn pauses() -> impl Iterator<Item = Duration> {
    let next = |pause: &Duration| Some((*pause * 2).min(Duration::from_millis(500)));
    std::iter::successors(Some(Duration::from_millis(50)), next)
}

/// A change takes two fsyncs, 20 ms on a slow disk, and a run has some hundred of them at once in the queue. A hook
/// has 100 s in all.
const STORE_PATIENCE: Duration = Duration::from_secs(10);

/// Bytes that are read of who holds a lock.
const HOLDER_LIMIT: u64 = 1024;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use std::sync::{Arc, Mutex};

    use super::super::tests::store;
    use super::*;
    use crate::config::CdnDomain;
    use crate::ground::Progress;

    fn in_seconds(seconds: u64) -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(seconds))
    }

    #[tokio::test(start_paused = true)]
    async fn a_held_lock_names_its_holder_and_is_said_once() {
        let (_top, store) = store();
        let (stop, lines) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
        let heard = Arc::clone(&lines);
        let say = Say::new(move |progress: Progress| heard.lock().unwrap().push(progress));
        let wait = |until| Wait { until, stop: &stop, say: &say };
        let first = store.lock_lineage("a.b", wait(None)).await.unwrap();
        assert!(!first.waited);
        let error = store.lock_lineage("a.b", wait(in_seconds(20))).await.unwrap_err();
        let expected = format!("process {} (issuing a.b)", std::process::id());
        let LockError::Held { by } = error else { panic!("{error}") };
        assert_eq!(by, expected);
        let said = Progress::Line(format!("waiting for {expected}"));
        assert_eq!(*lines.lock().unwrap(), [said]);
        drop(first);
        assert!(!store.lock_lineage("a.b", wait(None)).await.unwrap().waited);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_knows_it() {
        let (_top, store) = store();
        let (stop, say) = (CancellationToken::new(), Say::nothing());
        let wait = Wait { until: in_seconds(20), stop: &stop, say: &say };
        let first = store.lock_lineage("a", wait).await.unwrap();
        let second = store.lock_lineage("a", wait);
        let freed = async {
            tokio::time::sleep(Duration::from_secs(3)).await;
            drop(first);
        };
        let (second, ()) = tokio::join!(second, freed);
        assert!(second.unwrap().waited);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_wait() {
        let (_top, store) = store();
        let (stop, say) = (CancellationToken::new(), Say::nothing());
        let wait = Wait { until: None, stop: &stop, say: &say };
        let _first = store.lock_lineage("a", wait).await.unwrap();
        let stopping = async {
            tokio::time::sleep(Duration::from_secs(60)).await;
            stop.cancel();
        };
        let (second, ()) = tokio::join!(store.lock_lineage("a", wait), stopping);
        assert!(matches!(second, Err(LockError::Stopped)), "{second:?}");
        let third = store.lock_lineage("free", wait).await;
        assert!(matches!(third, Err(LockError::Stopped)), "{third:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn different_things_have_different_locks() {
        let (_top, store) = store();
        let (stop, say) = (CancellationToken::new(), Say::nothing());
        let wait = Wait { until: in_seconds(0), stop: &stop, say: &say };
        let mut held = Vec::new();
        for name in ["a", "b", "../store", "a/b", "a%2Fb", ".", "..", "", "a\nb"] {
            held.push(store.lock_lineage(name, wait).await.unwrap());
        }
        for (aliyun, api_name) in [("a", "b"), ("a", ".b"), ("a@b", ""), ("a", "b@")] {
            let domain = CdnDomain { api_name: api_name.into(), written: api_name.into() };
            let target = Target { aliyun: aliyun.into(), domain };
            held.push(store.lock_target(&target, wait).await.unwrap());
            let again = store.lock_target(&target, wait).await;
            assert!(matches!(again, Err(LockError::Held { .. })), "{again:?}");
        }
        let files = files::names_in(&store.locks()).unwrap();
        assert_eq!(files.len(), held.len(), "{files:?}");
        let _own = store.lock_store().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn orders_share_an_account_that_a_change_has_alone() {
        let (_top, store) = store();
        let (stop, say) = (CancellationToken::new(), Say::nothing());
        let wait = Wait { until: in_seconds(0), stop: &stop, say: &say };
        let ca = "https://ca.example/dir";
        let first = store.share_account(ca, wait).await.unwrap();
        let second = store.share_account(ca, wait).await.unwrap();
        store.lock_account(ca, wait).await.unwrap_err();
        let other = store.lock_account("https://ca.example/other", wait).await;
        assert!(other.is_ok(), "another account: {other:?}");
        drop((first, second));
        let _alone = store.lock_account(ca, wait).await.unwrap();
        store.share_account(ca, wait).await.unwrap_err();
    }

    #[test]
    fn the_error_has_a_remedy() {
        let error = LockError::Held { by: "process 1 (issuing a)".to_owned() };
        assert!(error.to_string().starts_with("held by process 1 (issuing a)\nhelp: "));
    }
}
