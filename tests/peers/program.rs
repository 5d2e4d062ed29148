//! Programs of others: found, started in a folder of their own, waited for, ended and reaped.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

/// No program of these tests needs longer to answer, also on a busy machine.
const READY: Duration = Duration::from_secs(30);

/// No run of these tests takes longer; certbot, the slowest, takes about five seconds.
const LIMIT: Duration = Duration::from_secs(120);

/// Below what the system gives to outgoing connections (32768), so that none of those takes one of ours meanwhile.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// A server that runs until it is dropped.
pub(crate) struct Program {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts it; what it says goes to `NAME.log` in the folder.
    pub(crate) fn start(mut command: Command, folder: &Path, name: &str) -> Self {
        let log = folder.join(format!("{name}.log"));
        let said = File::create(&log).unwrap();
        command.stdin(Stdio::null()).stdout(said.try_clone().unwrap()).stderr(said);
        let child = command.spawn().unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), child, log }
    }

    /// Everything that it has said so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Waits until it takes connections at these addresses.
    pub(crate) fn listens(mut self, addresses: &[SocketAddr]) -> Self {
        for address in addresses {
            let up = wait_until(READY, || {
                let ended = self.child.try_wait().unwrap();
                assert!(ended.is_none(), "{} ended: {}", self.name, self.said());
                TcpStream::connect(address).is_ok()
            });
            assert!(up, "{} does not answer at {address}: {}", self.name, self.said());
        }
        self
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    /// How it ended, if it does within `limit`.
    pub(crate) fn ends_within(&mut self, limit: Duration) -> Option<ExitStatus> {
        wait_until(limit, || self.child.try_wait().unwrap().is_some());
        self.child.try_wait().unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a program to its end, which must come within two minutes.
pub(crate) fn run(mut command: Command, folder: &Path) -> Ran {
    let (out, err) = (tempfile(folder), tempfile(folder));
    let file = |path: &Path| File::create(path).unwrap();
    command.stdin(Stdio::null()).stdout(file(&out)).stderr(file(&err));
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let ended = wait_until(LIMIT, || child.try_wait().unwrap().is_some());
    drop(child.kill());
    let code = child.wait().unwrap().code();
    let (stdout, stderr) = (fs::read_to_string(&out).unwrap(), fs::read_to_string(&err).unwrap());
    assert!(ended, "{command:?} did not end within {LIMIT:?}:\n{stdout}\n{stderr}");
    Ran { code, stdout, stderr }
}

/// Asks again until it is so, or the time is over; answers whether it is.
pub(crate) fn wait_until(limit: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    while !is_so() {
        if Instant::now() > end {
            return false;
        }
        // Short beside what is waited for, long beside one question.
        std::thread::sleep(Duration::from_millis(5));
    }
    true
}

/// A port of 127.0.0.1 that nobody has, by TCP and UDP, and that no other test of this process gets.
pub(crate) fn free() -> SocketAddr {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let size = PORTS.end - PORTS.start;
    // Another process of these tests begins elsewhere.
    let begin = u16::try_from(std::process::id() * 97 % u32::from(size)).unwrap();
    let next = NEXT.get_or_init(|| AtomicU16::new(begin));
    let is_free = |port: &u16| {
        TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
            && UdpSocket::bind((Ipv4Addr::LOCALHOST, *port)).is_ok()
    };
    let mut ports = (0..size).map(|_| PORTS.start + next.fetch_add(1, Ordering::Relaxed) % size);
    (Ipv4Addr::LOCALHOST, ports.find(is_free).expect("a free port")).into()
}

/// The port of the DNS at these addresses, each of which only one test uses; for what asks at no other.
pub(crate) fn port_53<const N: usize>(addresses: [Ipv4Addr; N]) -> Option<[SocketAddr; N]> {
    let addresses = addresses.map(|address| SocketAddr::from((address, 53)));
    let is_free = |at: &SocketAddr| TcpListener::bind(at).is_ok() && UdpSocket::bind(at).is_ok();
    let found = addresses.iter().all(is_free).then_some(addresses);
    need(found, "port 53", "root, and nobody else at that port of 127.0.0.77 to 127.0.0.85")
}

/// The folder of packages that `.ci/run` fills.
pub(crate) fn home() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    std::env::var_os("CERTFERRY_PEERS_HOME").map_or_else(default, PathBuf::from)
}

/// A program in `PATH`, or where Debian puts servers.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// What a test needs: with `CERTFERRY_PEERS=require` it must be there, but for what `CERTFERRY_PEERS_EXCEPT` names (by
/// commas); else the test is skipped, visibly.
pub(crate) fn need<T>(found: Option<T>, what: &str, remedy: &str) -> Option<T> {
    if found.is_none() {
        let said = |name| std::env::var(name).unwrap_or_default();
        let excepted = said("CERTFERRY_PEERS_EXCEPT").split(',').any(|one| one.trim() == what);
        let required = said("CERTFERRY_PEERS") == "require" && !excepted;
        assert!(!required, "no {what}, and CERTFERRY_PEERS=require\nhelp: {remedy}");
        skipped(what, remedy);
    }
    found
}

/// Says once what is missing; not by eprintln, which the test harness would swallow.
fn skipped(what: &str, remedy: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    if SAID.lock().unwrap().insert(what.to_owned()) {
        let line = format!("skipped: no {what} ({remedy})\n");
        std::io::stderr().write_all(line.as_bytes()).unwrap();
    }
}

/// A program that Debian has under its own name, or a skip.
pub(crate) fn need_debian(name: &str, package: &str) -> Option<PathBuf> {
    need(find(name), name, &format!("apt-get install {package}"))
}

/// Writes a script that may be run.
pub(crate) fn script(path: &Path, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    // By another name first: a program that is open for writing cannot be run (ETXTBSY).
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(&new, path).unwrap();
    path.to_owned()
}

fn tempfile(folder: &Path) -> PathBuf {
    let file = tempfile::Builder::new().prefix("said").tempfile_in(folder).unwrap();
    file.into_temp_path().keep().unwrap()
}
