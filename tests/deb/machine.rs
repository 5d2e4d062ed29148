//! A Debian in a container of its own, with its own systemd or none. What it writes is gone with it.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A container that hangs is ended by then; a whole life takes half a minute on an idle machine.
const LIFE: &str = "600";

/// One command in it. The longest is a run of certferry with an upload that is looked at again.
const LIMIT: &str = "120";

const BOOT: Duration = Duration::from_secs(120);

/// The package, its architecture and version, or a visible word that there is none.
pub(crate) fn package() -> Option<PathBuf> {
    use std::io::Write as _;
    let named = std::env::var_os("CERTFERRY_DEB").map(PathBuf::from);
    match &named {
        Some(file) => assert!(file.is_file(), "CERTFERRY_DEB: {} is not there", file.display()),
        None => {
            let line = "skipped: no CERTFERRY_DEB (packaging/build-deb makes one)\n";
            // Not by eprintln, which the test harness would swallow.
            std::io::stderr().write_all(line.as_bytes()).unwrap();
        }
    }
    named
}

/// Runs a program on this machine, and answers its stdout; it must be well.
pub(crate) fn host(program: &str, args: &[&OsStr]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let stdout = text(&output.stdout);
    assert!(output.status.success(), "{program} {args:?}: {stdout}{}", text(&output.stderr));
    stdout
}

/// How a script ended, with stdout and stderr as they came.
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) said: String,
}

/// A booted Debian.
pub(crate) struct Machine {
    release: String,
    nspawn: Child,
    /// Its PID 1, as this machine counts.
    leader: String,
    /// Its control group.
    group: PathBuf,
}

impl Machine {
    /// Boots it; `shared` is its `/test`.
    pub(crate) fn boot(release: &str, shared: &Path) -> Self {
        let said = File::create(shared.join("boot.log")).unwrap();
        let mut command = nspawn(release, shared);
        command.arg("--boot").stdout(said.try_clone().unwrap()).stderr(said);
        let nspawn = command.spawn().unwrap();
        let mut machine = Self {
            release: release.to_owned(),
            nspawn,
            leader: String::new(),
            group: group(shared),
        };
        let end = Instant::now() + BOOT;
        while !machine.is_up() {
            let log = || fs::read_to_string(shared.join("boot.log")).unwrap();
            assert!(machine.nspawn.try_wait().unwrap().is_none(), "{release} ended: {}", log());
            assert!(Instant::now() < end, "{release} does not boot: {}", log());
            std::thread::sleep(Duration::from_millis(200));
        }
        machine
    }

    /// All units are up: the time at which nothing starts by itself any more.
    fn is_up(&mut self) -> bool {
        // `timeout` has one child, nspawn; that has one, the container's PID 1.
        let Some(leader) = child(&self.nspawn.id().to_string()).and_then(|nspawn| child(&nspawn))
        else {
            return false;
        };
        self.leader = leader;
        self.run("systemctl is-system-running").said.trim() == "running"
    }

    /// A script in it, bounded in time.
    pub(crate) fn command(&self, script: &str) -> Command {
        let mut command = Command::new("timeout");
        command.args([LIMIT, "nsenter", "--target", &self.leader]);
        command.args(["--mount", "--uts", "--ipc", "--pid", "--", "sh", "-c"]);
        command.arg(format!("exec 2>&1; cd /; {script}"));
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
        command
    }

    /// Runs a script in it.
    pub(crate) fn run(&self, script: &str) -> Ran {
        let output = self.command(script).stdin(Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        Ran { code: output.status.code(), said }
    }

    /// The same; it must end so and say all of these.
    pub(crate) fn check(&self, row: &str, script: &str, code: i32, says: &[&str]) -> String {
        let ran = self.run(script);
        let all = format!("{}: {row}: {script}: {:?}\n{}", self.release, ran.code, ran.said);
        assert_eq!(ran.code, Some(code), "{all}");
        for word in says {
            assert!(ran.said.contains(word), "nothing says `{word}`: {all}");
        }
        ran.said
    }

    /// The same; it must be well, and say this alone.
    pub(crate) fn is(&self, row: &str, script: &str, said: &str) {
        let ran = self.run(script);
        assert_eq!(ran.said.trim(), said, "{}: {row}: {script}: {:?}", self.release, ran.code);
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // With its PID 1 all of it ends, and nspawn tidies up after it.
        if !self.leader.is_empty() {
            drop(Command::new("kill").args(["-KILL", &self.leader]).status());
            drop(self.nspawn.wait());
        }
        drop(self.nspawn.kill());
        drop(self.nspawn.wait());
        take_away(&self.group);
    }
}

/// Runs a script in a Debian without systemd, to its end.
pub(crate) fn without_systemd(release: &str, shared: &Path, script: &str) -> Ran {
    let mut command = nspawn(release, shared);
    command.args(["--as-pid2", "--pipe", "sh", "-c"]).arg(format!("exec 2>&1; cd /; {script}"));
    let output = command.output().unwrap();
    take_away(&group(shared));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    Ran { code: output.status.code(), said }
}

/// The container. Its network is ours: the cloud of these tests is on loopback.
fn nspawn(release: &str, shared: &Path) -> Command {
    let tree = home().join("chroots").join(release);
    let remedy = "`.ci/run` makes it";
    assert!(tree.join("etc/os-release").exists(), "no {}; {remedy}", tree.display());
    let name = format!("certferry-{release}-{}", shared.file_name().unwrap().display());
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", LIFE, "sh", "-c", IN_A_GROUP, "sh"]).arg(group(shared));
    command.args(["systemd-nspawn", "--quiet", "--register=no"]);
    command.args(["--keep-unit", "--volatile=overlay", "--directory"]).arg(tree);
    command.arg(format!("--machine={}", name.replace(['.', '_'], "")));
    command.arg(format!("--bind={}:/test", shared.display()));
    // Whatever this machine has; the newest systemd takes no other.
    command.env("UNIFIED_CGROUP_HIERARCHY", "1").stdin(Stdio::null());
    command
}

/// A control group for each: two systemds in one would take each other's services away.
const IN_A_GROUP: &str = r#"mkdir -p "$1" && echo $$ >"$1/cgroup.procs" && shift && exec "$@""#;

fn group(shared: &Path) -> PathBuf {
    let mounts = fs::read_to_string("/proc/mounts").unwrap();
    let of_two = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2"));
    let top = of_two.expect("control groups, version 2").split(' ').nth(1).unwrap();
    Path::new(top).join(format!("certferry{}", shared.file_name().unwrap().display()))
}

/// Those below it first, as they must be; nothing is in them any more.
fn take_away(group: &Path) {
    let each = ["-depth", "-type", "d", "-exec", "rmdir", "{}", ";"];
    drop(Command::new("find").arg(group).args(each).stderr(Stdio::null()).status());
}

fn child(pid: &str) -> Option<String> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    children.split_whitespace().next().map(str::to_owned)
}

/// The folder that `.ci/run` fills.
fn home() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers");
    std::env::var_os("CERTFERRY_PEERS_HOME").map_or_else(default, PathBuf::from)
}
