//! The language of faults: at which call, before or after its effect, and what its client sees.

use serde_json::{Value, json};

use super::answer::Refusal;

/// Bytes of an oversized answer: more than any client that bounds its reading should take.
const OVERSIZED: usize = 8 * 1024 * 1024;

/// One thing that goes wrong: `Fault::at("SetDomainServerCertificate").nth(2).after().reset()`.
///
/// A fault strikes calls that passed the gate (signed well, fresh, allowed), so that a client which signs its second
/// attempt wrongly, or sends its nonce again, is caught all the same. By default it strikes the first such call, once,
/// before the effect, and answers `InternalError`.
#[derive(Clone, Debug)]
pub struct Fault {
    action: String,
    domain: Option<String>,
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

/// What the client sees.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Refuse(Refusal),
    Reset,
    Silence,
    Drip,
    Html(u16),
    Empty(u16),
    Truncated,
    Oversized,
    WrongType,
    Redirect(String),
}

impl Fault {
    /// A fault at calls of this action; `*` for any.
    pub fn at(action: impl Into<String>) -> Self {
        Self {
            action: action.into(),
            domain: None,
            nth: 1,
            times: 1,
            side: Side::Before,
            kind: Kind::Refuse(Refusal::new("InternalError")),
            seen: 0,
        }
    }

    /// Only at calls whose `DomainName` is this; only those are counted.
    #[must_use]
    pub fn on(mut self, domain: impl Into<String>) -> Self {
        self.domain = Some(domain.into());
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

    /// Answers an error with this code and status. Codes of a signature echo the string to sign.
    #[must_use]
    pub fn answer(self, code: &str, status: u16) -> Self {
        let refusal = Refusal { status, ..Refusal::new(code) };
        self.of(Kind::Refuse(refusal))
    }

    /// The text of the error answer.
    #[must_use]
    pub fn saying(mut self, message: impl Into<String>) -> Self {
        if let Kind::Refuse(refusal) = &mut self.kind {
            refusal.message = message.into();
        }
        self
    }

    /// The `x-acs-retry-after` header of the error answer, in milliseconds.
    #[must_use]
    pub fn retry_after(mut self, wait_ms: u32) -> Self {
        if let Kind::Refuse(refusal) = &mut self.kind {
            refusal.retry_after = Some(wait_ms);
        }
        self
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

    /// Sends the client elsewhere, keeping method and body (307): following it would hand the key to another host.
    #[must_use]
    pub fn redirect(self, location: impl Into<String>) -> Self {
        self.of(Kind::Redirect(location.into()))
    }

    /// Whether it has not struck as often as it should.
    pub(crate) fn is_left(&self) -> bool {
        self.times != usize::MAX && self.seen < self.nth.saturating_add(self.times) - 1
    }

    /// Counts a call, and says whether the fault strikes it.
    pub(crate) fn strikes(&mut self, action: &str, domain: &str) -> bool {
        let ours = (self.action == "*" || self.action == action)
            && self.domain.as_deref().is_none_or(|only| only == domain);
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

    fn of(mut self, kind: Kind) -> Self {
        self.kind = kind;
        self
    }
}

impl Kind {
    /// A word for the record.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Refuse(refusal) => refusal.code.clone(),
            Self::Reset => "reset".to_owned(),
            Self::Silence => "silence".to_owned(),
            Self::Drip => "drip".to_owned(),
            Self::Html(status) => format!("html {status}"),
            Self::Empty(status) => format!("empty {status}"),
            Self::Truncated => "truncated".to_owned(),
            Self::Oversized => "oversized".to_owned(),
            Self::WrongType => "wrong type".to_owned(),
            Self::Redirect(_) => "redirect".to_owned(),
        }
    }
}

/// The same document with every field of another type.
pub(crate) fn mistyped(document: &str) -> String {
    let Ok(Value::Object(fields)) = serde_json::from_str(document) else { return "[1]".to_owned() };
    let other = |field: Value| match field {
        Value::String(_) => json!({ "value": 1 }),
        Value::Array(_) | Value::Object(_) => json!("text"),
        Value::Null | Value::Bool(_) | Value::Number(_) => json!(["many"]),
    };
    Value::Object(fields.into_iter().map(|(name, field)| (name, other(field))).collect())
        .to_string()
}

/// The same document, valid, and far too long.
pub(crate) fn swollen(document: &str) -> String {
    let padding = " ".repeat(OVERSIZED);
    match document.strip_prefix('{') {
        Some(rest) => format!("{{{padding}{rest}"),
        None => format!("{padding}{document}"),
    }
}
