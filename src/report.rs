//! What happened, to people and to machines: the report of a run, its JSON, and the exit status. Pure.

use jiff::Timestamp;
use serde::Serialize;

use crate::cert::Leaf;
use crate::plan::{CertOutcome, Lineage, Owned, Proof, TargetOutcome, lives_on};
use crate::told;

mod status;
mod text;
mod versions;

pub use status::{Status, StatusCertificate, StatusTarget};
pub use text::{minute, warning_lines};
pub use versions::{Version, Versions};

/// Version of the JSON documents. Fields are added without a new number, never taken away.
pub const SCHEMA: u32 = 1;

/// The report of `renew`, `hook`, `deploy` and `rollback`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Report {
    /// Version of this document.
    pub schema: u32,
    /// The command.
    pub command: &'static str,
    /// When it began.
    #[cfg_attr(test, schemars(with = "String"))]
    pub started: Timestamp,
    /// When it ended.
    #[cfg_attr(test, schemars(with = "String"))]
    pub finished: Timestamp,
    /// All is as it should be.
    pub ok: bool,
    /// Something was issued or deployed.
    pub changed: bool,
    /// A hook's claim is in the store (or the config holds what it would say); none for other commands.
    pub remembered: Option<bool>,
    /// The lineages of the run.
    pub certificates: Vec<CertificateEnd>,
    /// Their targets.
    pub targets: Vec<TargetEnd>,
    /// What people should know beside the outcomes: a claim overruled, a damaged file set aside.
    pub warnings: Vec<String>,
}

/// How a lineage ended.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CertificateEnd {
    /// Its name.
    pub name: String,
    /// Its names.
    pub domains: Vec<String>,
    /// The newest leaf.
    pub fingerprint: Option<String>,
    /// Its end.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub not_after: Option<Timestamp>,
    /// How it ended.
    pub outcome: CertOutcome,
    /// Why.
    pub reason: String,
    /// What failed.
    pub error: Option<ErrorEnd>,
    /// What holds until a waiting one is done; decides the exit status.
    #[serde(skip)]
    pub meanwhile: Meanwhile,
}

/// How a target ended.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TargetEnd {
    /// The CDN domain as the user wrote it.
    pub domain: String,
    /// Its lineage.
    pub certificate: String,
    /// Its account.
    pub aliyun: String,
    /// How it ended.
    pub outcome: TargetOutcome,
    /// Why.
    pub reason: String,
    /// How it is known.
    pub proof: Option<Proof>,
    /// What it served before.
    pub replaced: Option<Replaced>,
    /// A pin holds it.
    pub pinned: bool,
    /// What our own checks found.
    pub faults: Vec<String>,
    /// The CertName of the upload.
    pub cert_name: Option<String>,
    /// The cloud's RequestId.
    pub request_id: Option<String>,
    /// How many times the upload was sent.
    pub attempts: u32,
    /// What failed.
    pub error: Option<ErrorEnd>,
    /// What holds until a waiting one is done; decides the exit status.
    #[serde(skip)]
    pub meanwhile: Meanwhile,
}

/// What holds until something that waits is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Meanwhile {
    /// Nothing that could be relied on.
    #[default]
    Nothing,
    /// A certificate, with its validity.
    Serves(Timestamp, Timestamp),
    /// A timer that runs `renew`, and has run it lately.
    Timer,
}

/// What an upload replaced.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Replaced {
    /// The leaf.
    pub fingerprint: String,
    /// Its issuer.
    pub issuer: String,
    /// Its end.
    #[cfg_attr(test, schemars(with = "String"))]
    pub not_after: Timestamp,
}

/// An error as it is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ErrorEnd {
    /// The cloud's Code, the CA's problem type, or a word of ours.
    pub code: String,
    /// What went wrong, redacted.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The cloud's RequestId.
    pub request_id: Option<String>,
    /// The next run may succeed without anybody's doing.
    pub retryable: bool,
}

impl TargetEnd {
    /// An end without an upload.
    #[must_use]
    pub fn new(
        lineage: &str,
        owned: &Owned,
        outcome: TargetOutcome,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            domain: owned.target.domain.written.clone(),
            certificate: lineage.to_owned(),
            aliyun: owned.target.aliyun.clone(),
            outcome,
            reason: reason.into(),
            proof: None,
            replaced: None,
            pinned: false,
            faults: Vec::new(),
            cert_name: None,
            request_id: None,
            attempts: 0,
            error: None,
            meanwhile: Meanwhile::Nothing,
        }
    }

    /// The same end with what our own checks found beside.
    #[must_use]
    pub fn with_faults(mut self, faults: Vec<String>) -> Self {
        self.faults = faults;
        self
    }

    /// Is this end as it should be, at `now`?
    #[must_use]
    pub fn is_well(&self, now: Timestamp) -> bool {
        match self.outcome {
            TargetOutcome::Deployed | TargetOutcome::Unchanged | TargetOutcome::Skipped => true,
            TargetOutcome::Waiting => self.meanwhile.holds(now),
            TargetOutcome::Refused | TargetOutcome::Failed => false,
        }
    }
}

impl CertificateEnd {
    /// An end of a lineage whose newest Cert has this leaf.
    #[must_use]
    pub fn new(
        lineage: &Lineage,
        leaf: Option<&Leaf>,
        outcome: CertOutcome,
        reason: impl Into<String>,
    ) -> Self {
        let asked = || lineage.names.clone();
        Self {
            name: lineage.name.clone(),
            domains: leaf.map_or_else(asked, |leaf| leaf.names.clone()),
            fingerprint: leaf.map(|leaf| leaf.fingerprint.to_string()),
            not_after: leaf.map(|leaf| leaf.not_after),
            outcome,
            reason: reason.into(),
            error: None,
            meanwhile: leaf.map_or(Meanwhile::Nothing, Meanwhile::of),
        }
    }

    /// Is this end as it should be, at `now`?
    #[must_use]
    pub fn is_well(&self, now: Timestamp) -> bool {
        match self.outcome {
            // With an error beside: its CDN domains could not be listed.
            CertOutcome::Issued | CertOutcome::Kept => self.error.is_none(),
            CertOutcome::Waiting => self.meanwhile.holds(now),
            CertOutcome::Failed => false,
        }
    }
}

impl Meanwhile {
    /// This certificate.
    #[must_use]
    pub fn of(leaf: &Leaf) -> Self {
        Self::Serves(leaf.not_before, leaf.not_after)
    }

    fn holds(self, now: Timestamp) -> bool {
        match self {
            Self::Nothing => false,
            Self::Serves(from, to) => lives_on(from, to, now),
            Self::Timer => true,
        }
    }
}

impl Replaced {
    /// What this leaf was.
    #[must_use]
    pub fn of(leaf: &Leaf) -> Self {
        let fingerprint = leaf.fingerprint.to_string();
        Self { fingerprint, issuer: leaf.issuer.clone(), not_after: leaf.not_after }
    }
}

impl ErrorEnd {
    /// From an error whose text may end in `help:` lines.
    #[must_use]
    pub fn of(error: &anyhow::Error, code: &str) -> Self {
        let (message, help) = told::parts(error);
        let retryable = true;
        Self { code: code.to_owned(), message, help, request_id: None, retryable }
    }
}

/// The parts of a report that a run knows.
#[derive(Debug, Default)]
pub struct Ends {
    /// The lineages.
    pub certificates: Vec<CertificateEnd>,
    /// The targets.
    pub targets: Vec<TargetEnd>,
    /// What people should know.
    pub warnings: Vec<String>,
}

impl Ends {
    /// The ends of several walks, in their order.
    #[must_use]
    pub fn together(walks: Vec<Self>) -> Self {
        walks.into_iter().fold(Self::default(), |mut all, walk| {
            all.certificates.extend(walk.certificates);
            all.targets.extend(walk.targets);
            all.warnings.extend(walk.warnings);
            all
        })
    }
}

impl Report {
    /// Puts the ends of a run together.
    #[must_use]
    pub fn new(command: &'static str, started: Timestamp, finished: Timestamp, ends: Ends) -> Self {
        let Ends { certificates, targets, warnings } = ends;
        let ok = certificates.iter().all(|end| end.is_well(finished))
            && targets.iter().all(|target| target.is_well(finished));
        let changed = certificates.iter().any(|end| end.outcome == CertOutcome::Issued)
            || targets.iter().any(|end| {
                end.outcome == TargetOutcome::Deployed || end.attempts > 0 && end.proof.is_some()
            });
        Self {
            schema: SCHEMA,
            command,
            started: whole_second(started),
            finished: whole_second(finished),
            ok,
            changed,
            remembered: None,
            certificates,
            targets,
            warnings,
        }
    }

    /// One JSON document, with a line end.
    #[must_use]
    pub fn json(&self) -> String {
        json(self)
    }
}

/// One JSON document, with a line end.
#[must_use]
pub fn json(document: &impl Serialize) -> String {
    // Only maps with keys that are no strings fail to serialize; our documents have none.
    serde_json::to_string(document)
        .map_or_else(|error| format!("{{\"error\":\"{error}\"}}\n"), |text| text + "\n")
}

/// Fractions of a second say nothing here, and some readers of the JSON stumble over them.
fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod schema;
#[cfg(test)]
mod tests;
