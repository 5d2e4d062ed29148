//! The language of faults, one for the cloud and the CA: at which call, before or after its effect, what its client sees.

/// One thing that goes wrong: `Fault::at("SetDomainServerCertificate").nth(2).after().reset()`.
///
/// A fault strikes calls that passed the gate (signed well, fresh, allowed), so that a client which signs its second
/// attempt wrongly, or sends its nonce again, is caught all the same. By default it strikes the first such call, once,
/// before the effect, and answers the server's own internal error (`InternalError`, `serverInternal`).
///
/// The cloud's calls are named by their `Action`, the CA's by their resource: see [`crate::ca::Call::kind`].
#[derive(Clone, Debug)]
pub struct Fault {
    action: String,
    subject: Option<String>,
    nth: usize,
    times: usize,
    side: Side,
    pub(crate) kind: Kind,
    seen: usize,
}

/// Whether a call has had its effect when the fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

/// What an error answer tells; what is left out is the server's own.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    pub(crate) code: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) message: Option<String>,
    /// Milliseconds.
    pub(crate) retry_after: Option<u32>,
    pub(crate) headers: Vec<(String, String)>,
}

/// How a call ended. A call struck by a fault has two ends: what it did, and what its client saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It was carried out and said so.
    Done,
    /// It was refused with this code and had no effect.
    Refused(String),
    /// A fault struck before it was carried out: it had no effect.
    FaultBefore(String),
    /// A fault struck after it was carried out: it had its effect, or would have been refused with the code.
    FaultAfter(String, Option<String>),
}

impl Ending {
    /// The code of a refusal.
    pub(crate) fn refused_with(self) -> Option<String> {
        match self {
            Self::Refused(code) => Some(code),
            Self::Done | Self::FaultBefore(_) | Self::FaultAfter(..) => None,
        }
    }
}

/// What the client sees.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Refuse(Told),
    Reset,
    Silence,
    Drip,
    Html(u16),
    Page(u16, String),
    Xml(String, u16),
    Empty(u16),
    Truncated,
    Oversized,
    WrongType,
    Redirect(String),
    Twice,
}

impl Fault {
    /// A fault at calls of this action; `*` for any.
    pub fn at(action: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            subject: None,
            nth: 1,
            times: 1,
            side: Side::Before,
            kind: Kind::Refuse(Told::default()),
            seen: 0,
        }
    }

    /// Only at calls about this, and only those are counted: the cloud's `DomainName`
    /// or `RoleArn`, a name of the CA's order, the metadata service's role.
    #[must_use]
    pub fn on(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }

    /// The first call that it strikes, counted from 1 and from when the fault was added.
    #[must_use]
    pub fn nth(mut self, nth: usize) -> Self {
        self.nth = nth;
        self
    }

    /// How many calls in a row it strikes.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.times = times;
        self
    }

    /// Every call from the first that it strikes.
    #[must_use]
    pub fn always(self) -> Self {
        self.times(usize::MAX)
    }

    /// Strikes before the call is carried out: it has no effect.
    #[must_use]
    pub fn before(mut self) -> Self {
        self.side = Side::Before;
        self
    }

    /// Strikes after the call was carried out: it has its effect, and the client cannot know.
    #[must_use]
    pub fn after(mut self) -> Self {
        self.side = Side::After;
        self
    }

    /// Answers an error with this code and status: the cloud's `Code`, of which those of a signature echo the string to
    /// sign, or the last part of an ACME problem's type.
    #[must_use]
    pub fn answer(self, code: &str, status: u16) -> Self {
        let told = Told { code: Some(code.to_owned()), status: Some(status), ..Told::default() };
        self.of(Kind::Refuse(told))
    }

    /// The same with the status and the text that the documents give the code; 400 for one that is not documented.
    #[must_use]
    pub fn code(self, code: &str) -> Self {
        self.of(Kind::Refuse(Told { code: Some(code.to_owned()), ..Told::default() }))
    }

    /// The text of the error answer.
    #[must_use]
    pub fn saying(self, message: impl Into<String>) -> Self {
        self.telling(|told| told.message = Some(message.into()))
    }

    /// When to come again, in milliseconds: the cloud's `x-acs-retry-after`, the CA's `Retry-After` in whole seconds.
    #[must_use]
    pub fn retry_after(self, wait_ms: u32) -> Self {
        self.telling(|told| told.retry_after = Some(wait_ms))
    }

    /// A header of the error answer as it stands.
    #[must_use]
    pub fn header(self, name: &str, value: impl Into<String>) -> Self {
        self.telling(|told| told.headers.push((name.to_owned(), value.into())))
    }

    /// Resets the connection without a byte of an answer.
    #[must_use]
    pub fn reset(self) -> Self {
        self.of(Kind::Reset)
    }

    /// Never answers; the connection stays open.
    #[must_use]
    pub fn silence(self) -> Self {
        self.of(Kind::Silence)
    }

    /// Answers a byte every 100 ms, without end: a time-out between two bytes does not notice.
    #[must_use]
    pub fn drip(self) -> Self {
        self.of(Kind::Drip)
    }

    /// Answers a proxy's HTML page with this status.
    #[must_use]
    pub fn html(self, status: u16) -> Self {
        self.of(Kind::Html(status))
    }

    /// Answers a page that shows this, as some gateways show the request that they refuse.
    #[must_use]
    pub fn page(self, status: u16, words: &str) -> Self {
        self.of(Kind::Page(status, words.to_owned()))
    }

    /// Answers the error in XML, whatever format was asked for.
    #[must_use]
    pub fn xml(self, code: &str, status: u16) -> Self {
        self.of(Kind::Xml(code.to_owned(), status))
    }

    /// Answers nothing but this status.
    #[must_use]
    pub fn empty(self, status: u16) -> Self {
        self.of(Kind::Empty(status))
    }

    /// Cuts the connection in the middle of the true answer.
    #[must_use]
    pub fn truncated(self) -> Self {
        self.of(Kind::Truncated)
    }

    /// Answers the truth in 8 MiB.
    #[must_use]
    pub fn oversized(self) -> Self {
        self.of(Kind::Oversized)
    }

    /// Answers with every field of another type than documented.
    #[must_use]
    pub fn wrong_type(self) -> Self {
        self.of(Kind::WrongType)
    }

    /// Answers the truth twice, one behind the other: the second one is the answer to nothing.
    #[must_use]
    pub fn twice(self) -> Self {
        self.of(Kind::Twice)
    }

    /// Sends the client elsewhere, keeping method and body (307): following it would hand the key to another host.
    #[must_use]
    pub fn redirect(self, location: impl Into<String>) -> Self {
        self.of(Kind::Redirect(location.into()))
    }

    /// Whether it has not struck as often as it should.
    fn is_left(&self) -> bool {
        self.times != usize::MAX && self.seen < self.nth.saturating_add(self.times) - 1
    }

    /// Counts a call, and says whether the fault strikes it.
    fn strikes(&mut self, action: &str, subjects: &[String]) -> bool {
        let ours = (self.action == "*" || self.action == action)
            && self.subject.as_ref().is_none_or(|only| subjects.contains(only));
        if !ours {
            return false;
        }
        self.seen += 1;
        self.seen >= self.nth && self.seen - self.nth < self.times
    }

    /// Whether the effect comes first.
    pub(crate) fn side(&self) -> Side {
        self.side
    }

    fn telling(mut self, tell: impl FnOnce(&mut Told)) -> Self {
        if let Kind::Refuse(told) = &mut self.kind {
            tell(told);
        }
        self
    }

    fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

impl Kind {
    /// A word for the record.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Refuse(told) => told.code.clone().unwrap_or_else(|| "internal error".to_owned()),
            Self::Reset => "reset".to_owned(),
            Self::Silence => "silence".to_owned(),
            Self::Drip => "drip".to_owned(),
            Self::Html(status) | Self::Page(status, _) => format!("html {status}"),
            Self::Xml(code, status) => format!("{code} in XML, {status}"),
            Self::Empty(status) => format!("empty {status}"),
            Self::Truncated => "truncated".to_owned(),
            Self::Oversized => "oversized".to_owned(),
            Self::WrongType => "wrong type".to_owned(),
            Self::Redirect(_) => "redirect".to_owned(),
            Self::Twice => "twice".to_owned(),
        }
    }
}

/// The faults of a server, tried in the order in which they were added.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    /// Takes all away, spent or not.
    pub(crate) fn heal(&mut self) {
        self.0.clear();
    }

    /// How many have not struck as often as they should.
    pub(crate) fn left(&self) -> usize {
        self.0.iter().filter(|fault| fault.is_left()).count()
    }

    /// The first one that strikes this call. It alone counts the call for those after it.
    pub(crate) fn striking(&mut self, action: &str, subjects: &[String]) -> Option<Fault> {
        let mut faults = self.0.iter_mut();
        faults.find_map(|fault| fault.strikes(action, subjects).then(|| fault.clone()))
    }
}
