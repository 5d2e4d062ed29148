//! A program under ptrace: it is stopped at each system call, and ended or signalled at the effect that was asked for.
//!
//! Nothing is built into the program for this. All its threads are followed, and none outlives the tracer.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::effect::{Call, Effect};

/// What comes at an effect: this signal, at the effect of this number among those that count (from 1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Blow {
    pub(crate) signal: Signal,
    pub(crate) at: usize,
    pub(crate) counts: fn(&Effect) -> bool,
}

/// How a traced run went.
#[derive(Debug)]
pub(crate) struct Traced {
    /// All effects that count, up to the blow.
    pub(crate) effects: Vec<Effect>,
    /// The exit status, where it ended by itself.
    pub(crate) code: Option<i32>,
    /// From the blow to the end; none: it never fell.
    pub(crate) lived_on: Option<Duration>,
}

struct Tracer {
    program: Pid,
    blow: Blow,
    traced: Traced,
    fell: Option<Instant>,
}

/// Runs the program to its end, or to the blow, which falls before the effect: the kernel does not carry out what a killed
/// program was about to do. Its thread must have no other children.
pub(crate) fn trace(program: &Command, blow: Blow) -> Traced {
    #[expect(clippy::zombie_processes, reason = "the tracer waits for it")]
    let mut gate = gated(program).stdin(Stdio::piped()).spawn().unwrap();
    let pid = Pid::from_raw(gate.id().try_into().unwrap());
    let follow = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, follow).unwrap();
    gate.stdin.take().unwrap().write_all(b"go\n").unwrap();
    let watch = Watch::over(pid);
    let traced = Traced { effects: Vec::new(), code: None, lived_on: None };
    let tracer = Tracer { program: pid, blow, traced, fell: None };
    let traced = tracer.follow();
    drop(watch);
    traced
}

/// The program behind a shell that waits for a line: who is to be traced from its first step on must not have begun, and
/// what could be done between fork and exec is unsafe.
fn gated(program: &Command) -> Command {
    let mut gate = Command::new("/bin/sh");
    gate.args(["-c", "read -r go; exec \"$@\" </dev/null", "sh"]).arg(program.get_program());
    gate.args(program.get_args()).env_clear();
    let set = program.get_envs().filter_map(|(name, value)| Some((name, value?)));
    gate.envs(set).stdout(Stdio::null()).stderr(Stdio::null());
    gate
}

impl Tracer {
    fn follow(mut self) -> Traced {
        // Other threads trace programs of their own.
        let ours = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            match waitpid(None, Some(ours)) {
                Ok(WaitStatus::PtraceSyscall(thread)) => self.at_call(thread),
                Ok(WaitStatus::PtraceEvent(thread, ..)) => self.resume(thread, None),
                Ok(WaitStatus::Stopped(thread, signal)) => self.resume(thread, Some(signal)),
                Ok(WaitStatus::Exited(pid, code)) if pid == self.program => {
                    self.traced.code = Some(code);
                }
                Ok(_) => {}
                Err(Errno::EINTR) => {}
                Err(Errno::ECHILD) => break,
                Err(error) => panic!("{error}"),
            }
        }
        self.traced.lived_on = self.fell.map(|fell| fell.elapsed());
        self.traced
    }

    /// A thread is about to make a call, or has made one.
    fn at_call(&mut self, thread: Pid) {
        let effect = Call::of(thread).and_then(|call| call.effect(self.program, thread));
        if let Some(effect) = effect.filter(self.blow.counts).filter(|_| self.fell.is_none()) {
            self.traced.effects.push(effect);
            if self.traced.effects.len() == self.blow.at {
                self.fell = Some(Instant::now());
                kill(self.program, self.blow.signal).unwrap();
            }
        }
        self.resume(thread, None);
    }

    /// A thread may be gone by now, which its end tells.
    fn resume(&self, thread: Pid, signal: Option<Signal>) {
        let resumed = match self.fell {
            None => ptrace::syscall(thread, signal),
            Some(_) => ptrace::cont(thread, signal),
        };
        assert!(matches!(resumed, Ok(()) | Err(Errno::ESRCH)), "{resumed:?}");
    }
}

/// Ends a program that hangs.
struct Watch {
    _ended: mpsc::Sender<()>,
}

impl Watch {
    fn over(program: Pid) -> Self {
        let (ended, watched) = mpsc::channel::<()>();
        std::thread::spawn(move || {
            if watched.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
                kill(program, Signal::SIGKILL).unwrap();
            }
        });
        Self { _ended: ended }
    }
}

/// Many times what a traced run takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
