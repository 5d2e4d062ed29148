//! The answer of `rollback --list`: the versions of a lineage that are kept. Pure.

use jiff::Timestamp;
use serde::Serialize;

use super::text::day;
use crate::cert::Leaf;

/// The answer of `rollback --list`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Versions {
    /// Version of this document.
    pub schema: u32,
    /// The lineage.
    pub name: String,
    /// The oldest first.
    pub versions: Vec<Version>,
}

/// A version that is kept.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Version {
    /// Its number.
    pub version: u32,
    /// Its leaf.
    pub fingerprint: String,
    /// Who issued it.
    pub issuer: String,
    /// The beginning of its life.
    #[cfg_attr(test, schemars(with = "String"))]
    pub not_before: Timestamp,
    /// The end of its life.
    #[cfg_attr(test, schemars(with = "String"))]
    pub not_after: Timestamp,
    /// It is the newest of its lineage.
    pub newest: bool,
    /// A pin holds it.
    pub pinned: bool,
    /// It was revoked, and goes out no more.
    pub revoked: bool,
    /// The CDN domains that took it last.
    pub taken_by: Vec<String>,
}

impl Version {
    /// A version that nobody has marked.
    #[must_use]
    pub fn new(version: u32, leaf: &Leaf) -> Self {
        Self {
            version,
            fingerprint: leaf.fingerprint.to_string(),
            issuer: leaf.issuer.clone(),
            not_before: leaf.not_before,
            not_after: leaf.not_after,
            newest: false,
            pinned: false,
            revoked: false,
            taken_by: Vec::new(),
        }
    }

    fn line(&self) -> String {
        let marks = [(self.newest, "newest"), (self.pinned, "pinned"), (self.revoked, "revoked")];
        let marks = marks.into_iter().filter(|(is, _)| *is).map(|(_, mark)| mark.to_owned());
        let taken = self.taken_by.iter().map(|domain| format!("on {domain}"));
        let marks: Vec<String> = marks.chain(taken).collect();
        let line = format!(
            "{:>4}  {}  {} to {}  by {}  {}",
            self.version,
            &self.fingerprint[..16],
            day(self.not_before),
            day(self.not_after),
            self.issuer,
            marks.join(", ")
        );
        line.trim_end().to_owned()
    }
}

impl Versions {
    /// A line each; none where there is none.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.versions.iter().map(Version::line).collect()
    }

    /// For people.
    #[must_use]
    pub fn text(&self) -> String {
        if self.versions.is_empty() {
            return format!("no version of {} is kept\n", self.name);
        }
        self.lines().join("\n") + "\n"
    }

    /// One JSON document, with a line end.
    #[must_use]
    pub fn json(&self) -> String {
        super::json(self)
    }
}
