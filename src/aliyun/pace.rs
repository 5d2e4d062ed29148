//! When a call may leave: so far behind the last one of its kind, in all of this run and all runs on this machine.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;

/// The pace of an AccessKey. Each action of the API has a lane of its own, as the documented limits have.
pub(super) struct Pace {
    lanes: RefCell<BTreeMap<&'static str, Rc<Mutex<Lane>>>>,
    /// Slower until then: here, since a lane is locked by the one who waits in it.
    slow: RefCell<BTreeMap<&'static str, Duration>>,
    file: Option<PathBuf>,
    /// Someone hangs with the file's lock in its hand: this run goes on without the file.
    is_stuck: Cell<bool>,
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

impl Pace {
    /// The pace of this AccessKey; shared with other runs by a file in `locks`, if there is such a folder.
    pub(super) fn new(access_key_id: &str, locks: Option<&Path>) -> Self {
        let start = tokio::time::Instant::now();
        let ticks: Ticks = match locks {
            Some(_) => Arc::new(since_boot),
            None => Arc::new(move || start.elapsed()),
        };
        Self::ticking(access_key_id, locks, ticks)
    }

    fn ticking(access_key_id: &str, locks: Option<&Path>, ticks: Ticks) -> Self {
        let file = locks.map(|locks| locks.join(file_name(access_key_id)));
        Self {
            lanes: RefCell::default(),
            slow: RefCell::default(),
            file,
            is_stuck: Cell::new(false),
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

    /// The cloud said that we are too fast: half the pace for a minute.
    pub(super) fn slow_down(&self, action: &'static str) {
        self.slow.borrow_mut().insert(action, (self.ticks)() + SLOW);
    }

    /// Takes the slot of now, or says how long to wait. The file is asked only when this process would go.
    async fn claim(&self, action: &'static str, lane: &mut Lane, interval: Duration) -> Duration {
        lane.slow = lane.slow.max(self.slow.borrow().get(action).copied().unwrap_or_default());
        let mut tried = *lane;
        let wait = tried.claim((self.ticks)(), interval);
        if !wait.is_zero() {
            return wait;
        }
        let Some(file) = self.file.as_ref().filter(|_| !self.is_stuck.get()) else {
            *lane = tried;
            return wait;
        };
        match self.claim_shared(file, action, *lane, interval).await {
            Ok((wait, seen)) => {
                *lane = seen;
                wait
            }
            Err(error) => {
                self.is_stuck.set(error.kind() == ErrorKind::WouldBlock);
                tracing::debug!(?file, %error, "the pace is not shared with other runs");
                // The pace is this process' own then: better than no upload.
                lane.claim((self.ticks)(), interval)
            }
        }
    }

    /// Waits for other runs, each of which needs a moment, but not for ever.
    async fn claim_shared(
        &self,
        file: &Path,
        action: &'static str,
        ours: Lane,
        interval: Duration,
    ) -> io::Result<(Duration, Lane)> {
        for _ in 0..LOCK_TRIES {
            let (file, ticks) = (file.to_owned(), Arc::clone(&self.ticks));
            let claimed =
                spawn_blocking(move || claim_in_file(&file, action, ours, &ticks, interval))
                    .await?;
            match claimed {
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

/// The lane's slot among all processes. The lock is held for a read and a write; it goes with the file's closing. While
/// another has it: `WouldBlock`.
fn claim_in_file(
    path: &Path,
    action: &str,
    ours: Lane,
    ticks: &Ticks,
    interval: Duration,
) -> io::Result<(Duration, Lane)> {
    let mut file = open(path)?;
    file.try_lock()?;
    let mut text = String::new();
    // what is no text is as good as nothing: the next write makes it sound
    let readable = Read::by_ref(&mut file).take(LARGEST).read_to_string(&mut text).is_ok();
    let mut lanes = if readable { read_lanes(&text) } else { BTreeMap::new() };
    let now = ticks();
    let theirs = lanes.get(action).copied().unwrap_or_default().sound(now);
    let mut lane = Lane { next: theirs.next, slow: theirs.slow.max(ours.slow) };
    let wait = lane.claim(now, interval);
    if wait.is_zero() {
        lanes.insert(action.to_owned(), lane);
        file.rewind()?;
        file.set_len(0)?;
        file.write_all(write_lanes(&lanes).as_bytes())?;
    }
    Ok((wait, lane))
}

/// A pipe in its place must not hang us, nor a link lead us elsewhere.
fn open(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOFOLLOW;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(ErrorKind::InvalidInput.into()) }
}

/// A line for each action: its name, when the next may leave, until when it is slow; microseconds since boot.
fn read_lanes(text: &str) -> BTreeMap<String, Lane> {
    let lane = |line: &str| {
        let mut words = line.split(' ');
        let action = words.next()?.to_owned();
        let mut ticks = words.map_while(|word| word.parse().ok().map(Duration::from_micros));
        Some((action, Lane { next: ticks.next()?, slow: ticks.next()? }))
    };
    text.lines().filter_map(lane).collect()
}

fn write_lanes(lanes: &BTreeMap<String, Lane>) -> String {
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
fn file_name(access_key_id: &str) -> String {
    let digest = Sha256::digest(access_key_id.as_bytes());
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("pace-{hex}.lock")
}

/// How long a throttled answer slows us; the documented limits are per second or per minute.
const SLOW: Duration = Duration::from_secs(60);
/// Twice a call a minute, which is the slowest pace that can be configured: a throttled lane waits twice its interval.
const FARTHEST: Duration = Duration::from_secs(120);
/// The lock is held for microseconds; a disk that stalls for a second is worse than a pace of our own.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// Eight actions of 80 bytes are below a kilobyte.
const LARGEST: u64 = 16 * 1024;

#[cfg(test)]
mod tests;
