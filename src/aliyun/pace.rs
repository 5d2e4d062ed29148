//! When a call may leave: so far behind the last one of its kind, in all of this run and all runs on this machine.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// The pace of an AccessKey at an endpoint. Each action of the API has a lane of its own, as the documented limits have.
pub(super) struct Pace {
    endpoint: String,
    lanes: RefCell<BTreeMap<&'static str, Rc<Mutex<Lane>>>>,
    /// Slower until then: here, since a lane is locked by the one who waits in it.
    slow: RefCell<BTreeMap<&'static str, Duration>>,
    /// Where it is shared: the first that can be used.
    files: Vec<PathBuf>,
    /// So many of the files could not be used; all of them: the pace is this run's own.
    unusable: Cell<usize>,
    ticks: Ticks,
}

/// A clock that nobody sets: the one that all processes of this boot share, or this run's own.
type Ticks = Arc<dyn Fn() -> Duration + Send + Sync>;

/// When the next call may leave, and until when the pace is halved: in ticks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Lane {
    next: Duration,
    slow: Duration,
}

/// All lanes of a file, by endpoint and action.
type Lanes = BTreeMap<String, Lane>;

impl Pace {
    /// The pace of `id` (an AccessKey, or what stands for it) at `endpoint` (host and port), shared with other runs by a
    /// file in the first of `folders` that can be used; without one it is this run's own.
    pub(super) fn new(id: &str, endpoint: &str, folders: &[PathBuf]) -> Self {
        let start = tokio::time::Instant::now();
        let ticks: Ticks = match folders {
            [] => Arc::new(move || start.elapsed()),
            [_, ..] => Arc::new(since_boot),
        };
        Self::ticking(id, endpoint, folders, ticks)
    }

    fn ticking(id: &str, endpoint: &str, folders: &[PathBuf], ticks: Ticks) -> Self {
        Self {
            endpoint: endpoint.to_owned(),
            lanes: RefCell::default(),
            slow: RefCell::default(),
            files: folders.iter().map(|folder| folder.join(file_name(id))).collect(),
            unusable: Cell::new(0),
            ticks,
        }
    }

    /// Returns when a call of `action` may leave, at least `interval` behind the one before. First come, first served.
    pub(super) async fn leave(&self, action: &'static str, interval: Duration) {
        let lane = Rc::clone(self.lanes.borrow_mut().entry(action).or_default());
        let mut lane = lane.lock().await;
        loop {
            let wait = self.claim(action, &mut lane, interval).await;
            if wait.is_zero() {
                return;
            }
            sleep(wait).await;
        }
    }

    /// The cloud said that we are too fast: half the pace for a minute, for all runs.
    pub(super) async fn slow_down(&self, action: &'static str) {
        let until = (self.ticks)() + SLOW;
        self.slow.borrow_mut().insert(action, until);
        self.shared(action, move |lane, _| lane.slow = lane.slow.max(until)).await;
    }

    /// Takes the slot of now, or says how long to wait. The file is asked only when this process would go.
    async fn claim(&self, action: &'static str, lane: &mut Lane, interval: Duration) -> Duration {
        lane.slow = lane.slow.max(self.slow.borrow().get(action).copied().unwrap_or_default());
        let mut tried = *lane;
        let wait = tried.claim((self.ticks)(), interval);
        if !wait.is_zero() {
            return wait;
        }
        let slow = lane.slow;
        let claim = move |theirs: &mut Lane, now| {
            theirs.slow = theirs.slow.max(slow);
            (theirs.claim(now, interval), *theirs)
        };
        match self.shared(action, claim).await {
            Some((wait, seen)) => {
                *lane = seen;
                wait
            }
            // The pace is this process' own then: better than no upload. Asking may have taken a while.
            None => lane.claim((self.ticks)(), interval),
        }
    }

    /// Changes the lane that all runs share; none: nothing is shared.
    async fn shared<T: Send + 'static>(
        &self,
        action: &'static str,
        change: impl FnOnce(&mut Lane, Duration) -> T + Clone + Send + 'static,
    ) -> Option<T> {
        loop {
            let number = self.unusable.get();
            let file = self.files.get(number)?;
            match self.change_file(file, action, change.clone()).await {
                Ok(changed) => return Some(changed),
                Err(error) => {
                    tracing::debug!(?file, %error, "the pace cannot be shared by this file");
                    // Someone hangs with the lock in its hand: all runs are held up there, so no other file is shared.
                    let is_stuck = error.kind() == ErrorKind::WouldBlock;
                    let next = if is_stuck { self.files.len() } else { number + 1 };
                    self.unusable.set(self.unusable.get().max(next));
                }
            }
        }
    }

    /// Waits for other runs, each of which needs a moment, but not for ever.
    async fn change_file<T: Send + 'static>(
        &self,
        file: &Path,
        action: &'static str,
        change: impl FnOnce(&mut Lane, Duration) -> T + Clone + Send + 'static,
    ) -> io::Result<T> {
        let lane = format!("{}/{action}", self.endpoint);
        for _ in 0..LOCK_TRIES {
            let (file, lane, ticks) = (file.to_owned(), lane.clone(), Arc::clone(&self.ticks));
            let change = change.clone();
            let changed = spawn_blocking(move || change_lane(&file, &lane, &ticks, change)).await?;
            match changed {
                Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(LOCK_PAUSE).await,
                done => return done,
            }
        }
        Err(ErrorKind::WouldBlock.into())
    }
}

impl Lane {
    /// Takes the slot of `now` (then the wait is zero), or says how long to wait for the next.
    fn claim(&mut self, now: Duration, interval: Duration) -> Duration {
        let wait = self.next.saturating_sub(now);
        if wait.is_zero() {
            let slow = self.slow > now;
            self.next = now + if slow { interval * 2 } else { interval };
        }
        wait
    }

    /// What another process, or this one, left; what lies too far ahead is from before a reboot.
    fn sound(self, now: Duration) -> Self {
        let sound = |at: Duration, most| if at > now + most { Duration::ZERO } else { at };
        Self { next: sound(self.next, FARTHEST), slow: sound(self.slow, SLOW) }
    }
}

/// Changes a lane among all processes. The lock is held for a read and a write; it goes with the file's closing. While
/// another has it: `WouldBlock`.
fn change_lane<T>(
    path: &Path,
    name: &str,
    ticks: &Ticks,
    change: impl FnOnce(&mut Lane, Duration) -> T,
) -> io::Result<T> {
    let mut file = open(path)?;
    file.try_lock()?;
    let mut text = String::new();
    // what is no text is as good as nothing: the next write makes it sound
    let readable = Read::by_ref(&mut file).take(LARGEST).read_to_string(&mut text).is_ok();
    let mut lanes = if readable { read_lanes(&text) } else { Lanes::new() };
    let now = ticks();
    lanes.values_mut().for_each(|lane| *lane = lane.sound(now));
    let mut lane = lanes.get(name).copied().unwrap_or_default();
    let before = lane;
    let changed = change(&mut lane, now);
    if lane != before {
        lanes.insert(name.to_owned(), lane);
        // what is over holds back nobody
        lanes.retain(|_, lane| lane.next > now || lane.slow > now);
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(write_lanes(&lanes).as_bytes())?;
    }
    Ok(changed)
}

/// The file, in a folder that is made if need be. Nothing of somebody else's is trusted: another's file would be
/// another's pace. A pipe in its place must not hang us, nor a link lead us elsewhere.
fn open(path: &Path) -> io::Result<File> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let facts = std::fs::symlink_metadata(folder)?;
    if !facts.is_dir() || !is_ours(&facts) {
        return Err(ErrorKind::PermissionDenied.into());
    }
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    let facts = file.metadata()?;
    if facts.is_file() && is_ours(&facts) { Ok(file) } else { Err(ErrorKind::InvalidInput.into()) }
}

/// Nobody but us, and root, may change it.
fn is_ours(facts: &Metadata) -> bool {
    let us = rustix::process::geteuid().as_raw();
    (facts.uid() == us || facts.uid() == 0) && facts.mode() & 0o022 == 0
}

/// A line for each lane: endpoint and action, when the next may leave, until when it is slow; microseconds since boot.
fn read_lanes(text: &str) -> Lanes {
    let lane = |line: &str| {
        let mut words = line.split(' ');
        let action = words.next()?.to_owned();
        let mut ticks = words.map_while(|word| word.parse().ok().map(Duration::from_micros));
        Some((action, Lane { next: ticks.next()?, slow: ticks.next()? }))
    };
    text.lines().filter_map(lane).collect()
}

fn write_lanes(lanes: &Lanes) -> String {
    let line = |(action, lane): (&String, &Lane)| {
        format!("{action} {} {}\n", lane.next.as_micros(), lane.slow.as_micros())
    };
    lanes.iter().map(line).collect()
}

fn since_boot() -> Duration {
    let ticks = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let (seconds, nanos) = (ticks.tv_sec.unsigned_abs(), ticks.tv_nsec.unsigned_abs());
    Duration::from_secs(seconds) + Duration::from_nanos(nanos)
}

/// The AccessKey ID is no secret, but no business of a folder's listing either.
fn file_name(id: &str) -> String {
    let digest = Sha256::digest(id.as_bytes());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("pace-{hex}.lock")
}

/// How long a throttled answer slows us; the documented limits are per second or per minute.
const SLOW: Duration = Duration::from_secs(60);
/// Twice a call a minute, which is the slowest pace that can be configured: a throttled lane waits twice its interval.
const FARTHEST: Duration = Duration::from_secs(120);
/// The lock is held for microseconds; a disk that stalls for a second is worse than a pace of our own. A longer pause
/// would be felt: an upload leaves every 104 ms.
const LOCK_TRIES: u32 = 500;
const LOCK_PAUSE: Duration = Duration::from_millis(2);
/// Eight actions of 80 bytes at each of two endpoints are little over a kilobyte.
const LARGEST: u64 = 16 * 1024;

#[cfg(test)]
mod tests;
