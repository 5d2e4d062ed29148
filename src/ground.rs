//! What every run stands on: the clock, the environment, stdin, the word to stop, where progress goes, and who answers.
//!
//! `main` makes one from the real things; tests make one of their own. Nothing else reads them.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// The outside of a run, as values.
#[derive(Clone, Debug)]
pub struct Ground {
    /// The time of day.
    pub clock: Clock,
    /// The environment variables.
    pub env: Env,
    /// stdin.
    pub input: Input,
    /// Cancelled by SIGTERM and SIGINT: stop what you do, take away what you put, return.
    pub stop: CancellationToken,
    /// Where progress goes.
    pub say: Say,
    /// Who answers questions.
    pub ask: Ask,
    /// Columns of the terminal.
    pub width: u16,
}

impl Ground {
    /// Work whose answer costs something when it is lost: at the word to stop it has a moment left. None: that was over.
    pub async fn soon_after_stop<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let over = async {
            self.stop.cancelled().await;
            tokio::time::sleep(MOMENT).await;
        };
        tokio::select! {
            biased;
            done = work => Some(done),
            () = over => None,
        }
    }
}

/// Tells the time of day. An argument, so that tests may choose it.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// A clock that answers with what `now` says.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The time of day, UTC.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Clock({})", self.now())
    }
}

/// The environment as it was when the run began. Its values may be secrets: `Debug` prints names only, and they are
/// zeroed when dropped.
#[derive(Clone, Default)]
pub struct Env(Arc<BTreeMap<String, Zeroizing<String>>>);

impl Env {
    /// The variable `name`; an empty one counts as not set.
    #[must_use]
    pub fn var(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|value| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The same with these variables, in place of those of their names.
    #[must_use]
    pub fn with<'a>(&self, vars: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut all = (*self.0).clone();
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned().into());
        all.extend(vars.into_iter().map(owned));
        Self(Arc::new(all))
    }
}

impl<K: Into<String>, V: Into<String>> FromIterator<(K, V)> for Env {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(vars: I) -> Self {
        let owned = |(name, value): (K, V)| (name.into(), Zeroizing::new(value.into()));
        Self(Arc::new(vars.into_iter().map(owned).collect()))
    }
}

impl std::fmt::Debug for Env {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// stdin, opened where somebody is expected to tell something there.
#[derive(Clone)]
pub struct Input(Arc<dyn Fn() -> Box<dyn Read + Send> + Send + Sync>);

impl Input {
    /// stdin is what `open` answers.
    pub fn new(open: impl Fn() -> Box<dyn Read + Send> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// Nobody tells anything.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(|| Box::new(io::empty()))
    }

    /// All of it, to its end.
    ///
    /// # Errors
    /// It cannot be read, has more than `most` bytes ([`ErrorKind::FileTooLarge`]), or does not end within `patience`
    /// ([`ErrorKind::TimedOut`]).
    pub async fn text(&self, most: u64, patience: Duration) -> io::Result<String> {
        let open = Arc::clone(&self.0);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            open().take(most.saturating_add(1)).read_to_end(&mut bytes)?;
            if u64::try_from(bytes.len()).is_ok_and(|length| length <= most) {
                return Ok(String::from_utf8_lossy(&bytes).into_owned());
            }
            Err(ErrorKind::FileTooLarge.into())
        });
        match tokio::time::timeout(patience, read).await {
            Ok(read) => read?,
            Err(_over) => Err(ErrorKind::TimedOut.into()),
        }
    }
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Input")
    }
}

/// Where progress goes: one line of text for people at a time.
#[derive(Clone)]
pub struct Say(Arc<dyn Fn(Progress) + Send + Sync>);

/// One piece of progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Something happened that a person may want to read.
    Line(String),
    /// So many steps are to be done in this run.
    Steps(u64),
    /// One of them has ended.
    StepDone,
}

impl Say {
    /// Progress goes to `sink`.
    pub fn new(sink: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        Self(Arc::new(sink))
    }

    /// Progress goes nowhere.
    #[must_use]
    pub fn nothing() -> Self {
        Self::new(|_| {})
    }

    /// A line for people.
    pub fn line(&self, text: impl Into<String>) {
        (self.0)(Progress::Line(text.into()));
    }

    /// So many steps are to be done.
    pub fn steps(&self, number: u64) {
        (self.0)(Progress::Steps(number));
    }

    /// One step has ended.
    pub fn step_done(&self) {
        (self.0)(Progress::StepDone);
    }
}

impl std::fmt::Debug for Say {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Say")
    }
}

/// Who answers questions: a person at a terminal, or nobody.
#[derive(Clone)]
pub struct Ask(Option<Arc<Person>>);

/// Is shown a text, and what is wanted of them.
type Person = dyn Fn(&str, Wanted) -> Option<Zeroizing<String>> + Send + Sync;

/// What is wanted of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That they read it.
    Nothing,
    /// A line.
    Line,
    /// A line that nobody sees.
    Secret,
}

impl Ask {
    /// `person` is shown a text, and answers with a line where one is wanted. None: there is no answer, or the word to stop
    /// came.
    pub fn new(
        person: impl Fn(&str, Wanted) -> Option<Zeroizing<String>> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(person)))
    }

    /// There is no terminal.
    #[must_use]
    pub const fn nobody() -> Self {
        Self(None)
    }

    /// Is anybody there?
    #[must_use]
    pub const fn has_somebody(&self) -> bool {
        self.0.is_some()
    }

    /// Shows a text.
    pub fn tell(&self, text: &str) {
        let _nothing = self.0.as_ref().and_then(|person| person(text, Wanted::Nothing));
    }

    /// The answer, without its line end. It is waited for: call this where that holds up nothing.
    #[must_use]
    pub fn line(&self, asked: &str, wanted: Wanted) -> Option<Zeroizing<String>> {
        self.0.as_ref()?(asked, wanted)
    }
}

impl std::fmt::Debug for Ask {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ask")
    }
}

/// Many round trips, and what a CA needs to look at the DNS; less than half of the five seconds after which impatient
/// supervisors kill.
pub const MOMENT: Duration = Duration::from_secs(2);
