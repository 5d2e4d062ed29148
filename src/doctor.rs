//! What `doctor` finds: checks, each with its state and its remedy, for people and for machines. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{report, told};

mod judge;

pub use judge::{Held, Way, caa, certificate, clock, profile, room, serves, timer};

/// The answer of `doctor`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Diagnosis {
    /// Version of this document.
    pub schema: u32,
    /// Nothing is bad.
    pub ok: bool,
    /// What was looked at.
    pub checks: Vec<Check>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Check {
    /// What kind of thing: `store`, `target`, `caa`...
    pub name: &'static str,
    /// Which one; empty where there is one only.
    pub subject: String,
    /// How it is.
    pub state: State,
    /// What was found.
    pub text: String,
    /// What to do; empty where nothing is to be done.
    pub help: String,
    /// The lineage it belongs to: people read of many that are well in one line.
    #[serde(skip)]
    pub of: Option<String>,
}

/// How a thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub enum State {
    /// As it should be.
    Good,
    /// A run would succeed, and people should know all the same.
    Warning,
    /// A run would fail.
    Bad,
    /// It could not be found out.
    Unknown,
}

/// How much is shown to people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Only what is not well.
    Failures,
    /// Things of a kind that are well, together.
    Usual,
    /// Everything.
    All,
}

/// The signs before the lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Marks {
    /// For a terminal that knows UTF-8.
    Signs,
    /// For any other.
    Words,
}

impl Check {
    /// A thing in this state.
    #[must_use]
    pub fn new(
        name: &'static str,
        subject: impl Into<String>,
        state: State,
        text: impl Into<String>,
    ) -> Self {
        let (text, help) = told::split(&text.into());
        Self { name, subject: subject.into(), state, text, help, of: None }
    }

    /// A thing that is well.
    #[must_use]
    pub fn good(name: &'static str, subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name, subject, State::Good, text)
    }

    /// A thing by which a run would fail, as an error tells it.
    #[must_use]
    pub fn bad(name: &'static str, subject: impl Into<String>, error: &anyhow::Error) -> Self {
        Self::new(name, subject, State::Bad, told::text(error))
    }

    /// The same with a remedy, if it has none yet.
    #[must_use]
    pub fn or_help(mut self, help: impl Into<String>) -> Self {
        if self.help.is_empty() {
            self.help = help.into();
        }
        self
    }

    /// The same, as one of a lineage.
    #[must_use]
    pub fn of(mut self, lineage: &str) -> Self {
        self.of = Some(lineage.to_owned());
        self
    }
}

impl Diagnosis {
    /// What all checks say together. They stay in their order.
    #[must_use]
    pub fn new(checks: Vec<Check>) -> Self {
        let ok = checks.iter().all(|check| check.state != State::Bad);
        Self { schema: report::SCHEMA, ok, checks }
    }

    /// One JSON document, with a line end.
    #[must_use]
    pub fn json(&self) -> String {
        report::json(self)
    }

    /// Lines for people: each thing that is not well by itself, what is well together with its like.
    #[must_use]
    pub fn text(&self, shown: Shown, marks: Marks) -> String {
        let mut lines = String::new();
        for (name, checks) in self.by_name() {
            let (good, other): (Vec<&Check>, Vec<&Check>) =
                checks.into_iter().partition(|check| check.state == State::Good);
            let good = match shown {
                Shown::Failures => Vec::new(),
                Shown::Usual => together(&good),
                Shown::All => good.iter().map(|check| said(check)).collect(),
            };
            lines +=
                &good.iter().map(|text| line(marks, State::Good, name, text)).collect::<String>();
            for check in other {
                lines += &line(marks, check.state, name, &said(check));
                if !check.help.is_empty() {
                    lines += &format!("  help: {}\n", check.help);
                }
            }
        }
        if shown == Shown::Failures { lines } else { lines + &self.summary() }
    }

    fn summary(&self) -> String {
        let count = |state| self.checks.iter().filter(|check| check.state == state).count();
        let parts = [
            (count(State::Bad), "bad"),
            (count(State::Warning), "to be looked at"),
            (count(State::Unknown), "not known"),
        ];
        let verdict =
            if self.ok { "nothing here would make a run fail" } else { "a run would fail" };
        let said: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let of_all = format!("{} checks", self.checks.len());
        format!("{verdict}: {}\n", [vec![of_all], said].concat().join(", "))
    }

    /// The kinds in the order of their first.
    fn by_name(&self) -> Vec<(&'static str, Vec<&Check>)> {
        let mut kinds: Vec<(&'static str, Vec<&Check>)> = Vec::new();
        let mut places: BTreeMap<&'static str, usize> = BTreeMap::new();
        for check in &self.checks {
            let place = *places.entry(check.name).or_insert_with(|| {
                kinds.push((check.name, Vec::new()));
                kinds.len() - 1
            });
            kinds[place].1.push(check);
        }
        kinds
    }
}

impl Marks {
    fn of(self, state: State) -> &'static str {
        match (self, state) {
            (Self::Signs, State::Good) => "✓",
            (Self::Signs, State::Warning) => "!",
            (Self::Signs, State::Bad) => "✗",
            (Self::Signs, State::Unknown) => "?",
            (Self::Words, State::Good) => "ok     ",
            (Self::Words, State::Warning) => "warning",
            (Self::Words, State::Bad) => "BAD    ",
            (Self::Words, State::Unknown) => "unknown",
        }
    }
}

/// Things of one kind that are well: those of a lineage in one line, and all in one where there are many lines.
fn together(good: &[&Check]) -> Vec<String> {
    let mut lines: Vec<(Option<&str>, Vec<&Check>)> = Vec::new();
    for check in good {
        match lines.last_mut() {
            Some((of, like)) if of.is_some() && *of == check.of.as_deref() => like.push(check),
            Some(_) | None => lines.push((check.of.as_deref(), vec![check])),
        }
    }
    if lines.len() > MOST_LINES {
        return vec![format!("{} are well", good.len())];
    }
    let line = |(of, like): &(Option<&str>, Vec<&Check>)| match like.as_slice() {
        [one] => said(one),
        many => format!("{}: {} are well", of.unwrap_or_default(), many.len()),
    };
    lines.iter().map(line).collect()
}

fn said(check: &Check) -> String {
    match check.subject.is_empty() {
        true => check.text.clone(),
        false => format!("{}: {}", check.subject, check.text),
    }
}

fn line(marks: Marks, state: State, name: &str, text: &str) -> String {
    let text = text.replace('\n', "\n  ");
    format!("{} {name:<NAME_WIDTH$}  {text}\n", marks.of(state))
}

/// The longest name of a kind.
const NAME_WIDTH: usize = 11;

/// More lines of one kind that are well say no more than their number.
const MOST_LINES: usize = 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    fn check(row: &str, checks: &[Check], shown: Shown, wanted: &str) {
        let text = Diagnosis::new(checks.to_vec()).text(shown, Marks::Signs);
        assert_eq!(text, wanted, "{row}");
    }

    fn targets(lineages: usize, each: usize) -> Vec<Check> {
        let names = (0..lineages).flat_map(|lineage| (0..each).map(move |at| (lineage, at)));
        names
            .map(|(lineage, at)| {
                Check::good("target", format!("{at}.{lineage}.test"), "HTTPS is off")
                    .of(&format!("{lineage}.test"))
            })
            .collect()
    }

    #[test]
    fn what_is_well_is_told_together() {
        let usual = Shown::Usual;
        check(
            "one",
            &targets(1, 1),
            usual,
            "✓ target       0.0.test: HTTPS is off\nnothing here would make a run fail: 1 checks\n",
        );
        check(
            "two of a lineage",
            &targets(1, 2),
            usual,
            "✓ target       0.test: 2 are well\nnothing here would make a run fail: 2 checks\n",
        );
        check(
            "many lineages",
            &targets(11, 2),
            usual,
            "✓ target       22 are well\nnothing here would make a run fail: 22 checks\n",
        );
        check(
            "all are asked for",
            &targets(1, 2),
            Shown::All,
            "✓ target       0.0.test: HTTPS is off\n✓ target       1.0.test: HTTPS is off\n\
             nothing here would make a run fail: 2 checks\n",
        );
    }

    #[test]
    fn what_is_not_well_stands_by_itself() {
        let bad = Check::new("target", "a.test", State::Bad, "it is offline\nhelp: switch it on");
        let mixed = [targets(1, 2), vec![bad]].concat();
        let line = "✗ target       a.test: it is offline\n  help: switch it on\n";
        let summary = "a run would fail: 3 checks, 1 bad\n";
        check(
            "bad",
            &mixed,
            Shown::Usual,
            &format!("✓ target       0.test: 2 are well\n{line}{summary}"),
        );
        check("nothing else is asked for", &mixed, Shown::Failures, line);
        let unsure = Check::new("caa", "", State::Unknown, "nobody says");
        check(
            "unknown is not bad",
            &[unsure],
            Shown::Usual,
            "? caa          nobody says\nnothing here would make a run fail: 1 checks, 1 not known\n",
        );
    }
}
