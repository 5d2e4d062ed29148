//! The person at the terminal: is shown what is asked, and answers with a line, which for a secret nobody sees.

use std::io::{IsTerminal, Stdin, Write, stdin, stdout};

use certferry::ground::{Ask, Wanted};
use certferry::told::shown;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{
    LocalModes, OptionalActions, SpecialCodeIndex, Termios, tcgetattr, tcsetattr,
};
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// A terminal gives no longer line at once (N_TTY_BUF_SIZE of Linux).
const LONGEST_LINE: usize = 4096;

/// How soon the word to stop is heard: a person feels no delay.
const GLANCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };

/// Somebody who sees what is asked and can answer; else nobody.
pub(crate) fn ask(stop: CancellationToken) -> Ask {
    if !stdin().is_terminal() || !stdout().is_terminal() {
        return Ask::nobody();
    }
    Ask::new(move |text, wanted| match wanted {
        Wanted::Nothing => {
            let _gone = show(text);
            None
        }
        Wanted::Line => line(text, &stop),
        Wanted::Secret => {
            let _unseen = Unseen::begin(stdin())?;
            line(text, &stop)
        }
    })
}

fn line(asked: &str, stop: &CancellationToken) -> Option<Zeroizing<String>> {
    show(asked).ok()?;
    let answer = read(stop);
    if answer.is_none() {
        let _gone = show("\n");
    }
    answer
}

fn show(text: &str) -> std::io::Result<()> {
    let mut out = stdout();
    out.write_all(shown(text).as_bytes())?;
    out.flush()
}

/// Polls, so that the word to stop ends it: a read would wait for the next key.
fn read(stop: &CancellationToken) -> Option<Zeroizing<String>> {
    let input = stdin();
    loop {
        if stop.is_cancelled() {
            return None;
        }
        match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&GLANCE)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(_) => return None,
        }
        let mut bytes = Zeroizing::new(vec![0; LONGEST_LINE]);
        let length = rustix::io::read(&input, &mut bytes[..]).ok().filter(|length| *length > 0)?;
        // What is no text is no answer, and is asked for again.
        let text = std::str::from_utf8(bytes.get(..length)?).unwrap_or_default();
        return Some(Zeroizing::new(text.trim_end_matches(['\r', '\n']).to_owned()));
    }
}

/// While it lives, the terminal shows nothing of what is typed but the line's end.
struct Unseen {
    terminal: Stdin,
    before: Termios,
}

impl Unseen {
    /// None: what is typed would be seen.
    fn begin(terminal: Stdin) -> Option<Self> {
        let before = tcgetattr(&terminal).ok()?;
        let mut unseen = before.clone();
        unseen.local_modes.remove(LocalModes::ECHO);
        unseen.local_modes.insert(LocalModes::ECHONL);
        // A shell to which this is handed back by ^Z would show the rest.
        unseen.special_codes[SpecialCodeIndex::VSUSP] = 0;
        tcsetattr(&terminal, OptionalActions::Now, &unseen).ok()?;
        Some(Self { terminal, before })
    }
}

impl Drop for Unseen {
    fn drop(&mut self) {
        let _gone = tcsetattr(&self.terminal, OptionalActions::Now, &self.before);
    }
}
