//! A person at a terminal of their own: hears what is asked, and types.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

/// Nothing that is waited for takes longer, on a busy machine neither.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Person {
    master: File,
    child: Child,
    /// All that was shown.
    pub(crate) shown: String,
    /// How much of it was heard.
    heard: usize,
}

impl Person {
    /// Starts a program on a terminal of its own.
    pub(crate) fn at(mut command: Command) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave =
            || OpenOptions::new().read(true).write(true).open(name.to_str().unwrap()).unwrap();
        command.env("TERM", "xterm").stdin(slave()).stdout(slave()).stderr(slave());
        let child = command.spawn().unwrap();
        // The command holds the other end too: without it, that end closes with the program.
        drop(command);
        Self { master: File::from(master), child, shown: String::new(), heard: 0 }
    }

    /// Waits for one of these to be shown, and answers which.
    pub(crate) fn hears(&mut self, any: &[&str]) -> usize {
        let end = Instant::now() + PATIENCE;
        loop {
            let new = &self.shown[self.heard..];
            let first = any.iter().enumerate().filter_map(|(at, part)| Some((new.find(part)?, at)));
            if let Some((place, which)) = first.min() {
                self.heard += place + any[which].len();
                return which;
            }
            assert!(Instant::now() < end && self.read(), "nothing says {any:?}: {}", self.shown);
        }
    }

    pub(crate) fn types(&mut self, line: &str) {
        self.master.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// ^D: the end of what is typed.
    pub(crate) fn types_end(&mut self) {
        self.master.write_all(b"\x04").unwrap();
    }

    /// Hears a question, and answers it.
    pub(crate) fn answers(&mut self, question: &str, line: &str) {
        self.hears(&[question]);
        self.types(line);
    }

    /// Sends the word to stop, as ^C does.
    pub(crate) fn interrupts(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Does the terminal show what is typed?
    pub(crate) fn sees(&self) -> bool {
        let modes = rustix::termios::tcgetattr(&self.master).unwrap().local_modes;
        modes.contains(rustix::termios::LocalModes::ECHO)
    }

    /// Waits for the program's end, and answers its exit status.
    pub(crate) fn leaves(&mut self) -> i32 {
        let end = Instant::now() + PATIENCE;
        while self.read() {
            assert!(Instant::now() < end, "it does not end: {}", self.shown);
        }
        self.child.wait().unwrap().code().unwrap()
    }

    /// Reads on. False: the other end is closed.
    fn read(&mut self) -> bool {
        let wait = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
        if poll(&mut [PollFd::new(&self.master, PollFlags::IN)], Some(&wait)).unwrap() == 0 {
            return true;
        }
        let mut bytes = [0; 4096];
        // Where the other end is closed, reading is an error of its own.
        let length = self.master.read(&mut bytes).unwrap_or(0);
        self.shown += &String::from_utf8_lossy(&bytes[..length]);
        length > 0
    }
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ended = self.child.kill();
        let _reaped = self.child.wait();
    }
}
