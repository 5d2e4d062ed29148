//! Which system calls are effects: on files, and on the network; what a peer did counts where the program hears of it.

use std::ffi::OsString;
use std::fmt;
use std::fs::{self, File};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use nix::libc;
use nix::sys::ptrace;
use nix::unistd::Pid;

/// One effect of a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effect {
    pub(crate) kind: Kind,
    /// The file that it is on, where it is on one.
    pub(crate) path: PathBuf,
}

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    MakeFile,
    MakeFolder,
    Write,
    Cut,
    SetMode,
    Sync,
    Rename,
    Link,
    Remove,
    Connect,
    Send,
    Receive,
}

impl Kind {
    /// Does it cross the network?
    pub(crate) fn is_network(self) -> bool {
        matches!(self, Self::Connect | Self::Send | Self::Receive)
    }
}

impl fmt::Display for Effect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.path.display())
    }
}

/// A system call at its beginning, or at its end.
pub(crate) struct Call {
    number: i64,
    arguments: [u64; 5],
    /// What it answers, at its end.
    answer: Option<i64>,
}

/// Where a call names what it is on.
#[derive(Clone, Copy)]
enum Place {
    /// An open file, by the argument of this index.
    Open(usize),
    /// A path, by the argument of this index.
    Named(usize),
}

impl Call {
    /// The call at which this thread is stopped; none: the thread is gone.
    pub(crate) fn of(thread: Pid) -> Option<Self> {
        let is_end = match ptrace::syscall_info(thread).ok()?.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => false,
            libc::PTRACE_SYSCALL_INFO_EXIT => true,
            _ => return None,
        };
        let registers = ptrace::getregset::<ptrace::regset::NT_PRSTATUS>(thread).ok()?;
        Some(Self::read(&registers, is_end))
    }

    #[cfg(target_arch = "x86_64")]
    fn read(registers: &libc::user_regs_struct, is_end: bool) -> Self {
        let r = registers;
        Self {
            number: r.orig_rax.cast_signed(),
            arguments: [r.rdi, r.rsi, r.rdx, r.r10, r.r8],
            answer: is_end.then_some(r.rax.cast_signed()),
        }
    }

    /// The answer takes the place of the first argument.
    #[cfg(target_arch = "aarch64")]
    fn read(registers: &libc::user_regs_struct, is_end: bool) -> Self {
        let r = registers.regs;
        Self {
            number: r[8].cast_signed(),
            arguments: [r[0], r[1], r[2], r[3], r[4]],
            answer: is_end.then_some(r[0].cast_signed()),
        }
    }

    /// What it is about to do, or has brought from a peer. What it says to whoever started it is no effect.
    pub(crate) fn effect(&self, program: Pid, thread: Pid) -> Option<Effect> {
        if let Some(bytes) = self.answer {
            let is_received = bytes > 0 && RECEIVING.contains(&self.number);
            let peer = Place::Open(0);
            let from = is_received.then(|| self.path(peer, program, thread)).flatten();
            return from
                .filter(|path| is_socket(path))
                .map(|path| Effect { kind: Kind::Receive, path });
        }
        let (kind, place) = self.meant()?;
        let path = self.path(place, program, thread)?;
        let kind = match (kind, is_socket(&path)) {
            (Kind::Write, true) => Kind::Send,
            (Kind::Write, false) if !is_file(&path) => return None,
            (Kind::Connect | Kind::Send, false) => return None,
            (kind, _) => kind,
        };
        Some(Effect { kind, path })
    }

    fn meant(&self) -> Option<(Kind, Place)> {
        let row = CALLS.iter().find(|(number, ..)| *number == self.number);
        let &(_, kind, place) = row?;
        if self.number == libc::SYS_openat && self.arguments[2] & MAKES == 0 {
            return None;
        }
        Some((kind, place))
    }

    fn path(&self, place: Place, program: Pid, thread: Pid) -> Option<PathBuf> {
        match place {
            Place::Open(index) => {
                let file = i32::try_from(self.arguments[index]).ok().filter(|file| *file > 2)?;
                fs::read_link(format!("/proc/{program}/fd/{file}")).ok()
            }
            Place::Named(index) => Some(text_at(thread, self.arguments[index])),
        }
    }
}

/// A text of the program's memory, up to its end; empty where it cannot be read.
fn text_at(thread: Pid, address: u64) -> PathBuf {
    let mut text = vec![0; LONGEST_PATH];
    let read = File::open(format!("/proc/{thread}/mem"))
        .and_then(|memory| memory.read_at(&mut text, address));
    text.truncate(read.unwrap_or(0));
    let end = text.iter().position(|byte| *byte == 0).unwrap_or(0);
    text.truncate(end);
    OsString::from_vec(text).into()
}

fn is_socket(path: &Path) -> bool {
    path.to_string_lossy().starts_with("socket:")
}

/// Not a pipe, an event, a terminal.
fn is_file(path: &Path) -> bool {
    path.is_absolute() && !path.starts_with("/dev") && !path.starts_with("/proc")
}

const LONGEST_PATH: usize = 512;

const MAKES: u64 = libc::O_CREAT as u64;

const RECEIVING: [i64; 4] =
    [libc::SYS_read, libc::SYS_readv, libc::SYS_recvfrom, libc::SYS_recvmsg];

/// Calls that change something, what they do, and where they say on what.
const CALLS: &[(i64, Kind, Place)] = &[
    (libc::SYS_openat, Kind::MakeFile, Place::Named(1)),
    (libc::SYS_mkdirat, Kind::MakeFolder, Place::Named(1)),
    (libc::SYS_write, Kind::Write, Place::Open(0)),
    (libc::SYS_writev, Kind::Write, Place::Open(0)),
    (libc::SYS_pwrite64, Kind::Write, Place::Open(0)),
    (libc::SYS_ftruncate, Kind::Cut, Place::Open(0)),
    (libc::SYS_fchmod, Kind::SetMode, Place::Open(0)),
    (libc::SYS_fchmodat, Kind::SetMode, Place::Named(1)),
    (libc::SYS_fsync, Kind::Sync, Place::Open(0)),
    (libc::SYS_fdatasync, Kind::Sync, Place::Open(0)),
    (libc::SYS_renameat, Kind::Rename, Place::Named(3)),
    (libc::SYS_renameat2, Kind::Rename, Place::Named(3)),
    (libc::SYS_linkat, Kind::Link, Place::Named(3)),
    (libc::SYS_symlinkat, Kind::Link, Place::Named(2)),
    (libc::SYS_unlinkat, Kind::Remove, Place::Named(1)),
    (libc::SYS_connect, Kind::Connect, Place::Open(0)),
    (libc::SYS_sendto, Kind::Send, Place::Open(0)),
    (libc::SYS_sendmsg, Kind::Send, Place::Open(0)),
    (libc::SYS_sendmmsg, Kind::Send, Place::Open(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_mkdir, Kind::MakeFolder, Place::Named(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_chmod, Kind::SetMode, Place::Named(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rename, Kind::Rename, Place::Named(1)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_link, Kind::Link, Place::Named(1)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_symlink, Kind::Link, Place::Named(1)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_unlink, Kind::Remove, Place::Named(0)),
    #[cfg(target_arch = "x86_64")]
    (libc::SYS_rmdir, Kind::Remove, Place::Named(0)),
];
