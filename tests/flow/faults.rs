//! The faults that strike each call of the flow, whoever is called: one table.

use certferry_sandbox::fault::Fault;

/// How long an answer is waited for: a loaded machine may need seconds for a good one.
pub(crate) const PATIENCE: &str = "[http]\ntimeout = \"8s\"\n";

/// A service's own words for what may be wrong.
pub(crate) struct Words {
    pub(crate) internal: &'static str,
    pub(crate) busy: &'static str,
    pub(crate) limit: &'static str,
    pub(crate) refused: (&'static str, u16),
}

pub(crate) type Row = (&'static str, fn(Fault, &Words) -> Fault);

/// Milliseconds until one may come back: the least that `Retry-After` can say.
const SOON: u32 = 1000;

/// An answer that comes once more, to nothing.
pub(crate) const DOUBLED: &str = "twice";

#[rustfmt::skip]
pub(crate) const FAULTS: &[Row] = &[
    ("reset", |f, _| f.reset()),
    ("silence", |f, _| f.silence()),
    ("a slow drip", |f, _| f.drip()),
    ("truncated", |f, _| f.truncated()),
    (DOUBLED, |f, _| f.twice()),
    ("oversized", |f, _| f.oversized()),
    ("wrong types", |f, _| f.wrong_type()),
    ("empty 200", |f, _| f.empty(200)),
    ("HTML 200", |f, _| f.html(200)),
    ("redirect", |f, _| f.redirect("https://127.0.0.1:9/")),
    ("refused", |f, words| f.answer(words.refused.0, words.refused.1)),
    ("HTML 403", |f, _| f.html(403)),
    ("429", |f, words| f.answer(words.limit, 429)),
    ("429, come back", |f, words| f.answer(words.limit, 429).retry_after(SOON)),
    ("HTML 429", |f, _| f.html(429)),
    ("500", |f, words| f.answer(words.internal, 500)),
    ("500, come back", |f, words| f.answer(words.internal, 500).retry_after(SOON)),
    ("HTML 500", |f, _| f.html(500)),
    ("502", |f, words| f.answer(words.internal, 502)),
    ("502, come back", |f, words| f.answer(words.internal, 502).retry_after(SOON)),
    ("HTML 502", |f, _| f.html(502)),
    ("503", |f, words| f.answer(words.busy, 503)),
    ("503, come back", |f, words| f.answer(words.busy, 503).retry_after(SOON)),
    ("HTML 503", |f, _| f.html(503)),
    ("empty 504", |f, _| f.empty(504)),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Before,
    After,
}

const SIDES: [Side; 2] = [Side::Before, Side::After];

/// The sides on which a call is struck: one that only reads has no effect, and an answer that comes twice is a true one.
/// All others have both by `CERTFERRY_FAULTS=all`. Else it is one of them by turns: each call meets each fault, and each
/// fault strikes before the effect of some calls and after that of others.
pub(crate) fn sides(call: &str, fault: &str, reads: bool) -> &'static [Side] {
    match (fault, reads) {
        (DOUBLED, _) => &SIDES[1..],
        (_, true) => &SIDES[..1],
        (_, false) if std::env::var_os("CERTFERRY_FAULTS").is_some_and(|word| word == "all") => {
            &SIDES
        }
        (_, false) => {
            let turn = call.bytes().chain(fault.bytes()).fold(0, |sum, byte| sum ^ byte) & 1;
            let turn = usize::from(turn);
            &SIDES[turn..=turn]
        }
    }
}

impl Side {
    pub(crate) fn of(self, fault: Fault) -> Fault {
        if self == Self::After { fault.after() } else { fault.before() }
    }
}
