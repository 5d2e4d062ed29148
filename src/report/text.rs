//! The report in words for people. What failed is apart from what went well: a hook's caller shows it as an error.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{CertificateEnd, ErrorEnd, Meanwhile, Report, TargetEnd};
use crate::plan::{CertOutcome, Proof, TargetOutcome};
use crate::told;

impl Report {
    /// What went well, a line each, and a last line that sums up.
    #[must_use]
    pub fn text(&self) -> String {
        let mut lines = Vec::new();
        let mut targets: BTreeMap<&str, Vec<&TargetEnd>> = BTreeMap::new();
        for target in self.targets.iter().filter(|target| self.is_quiet(target)) {
            targets.entry(&target.certificate).or_default().push(target);
        }
        for certificate in &self.certificates {
            if certificate.error.is_none() || certificate.outcome != CertOutcome::Failed {
                lines.push(certificate_line(certificate));
            }
            let own = targets.get(certificate.name.as_str());
            lines.extend(own.into_iter().flatten().map(|target| target_line(target)));
        }
        lines.push(self.summary());
        lines.join("\n") + "\n"
    }

    /// What failed, and what to do; empty if nothing did.
    #[must_use]
    pub fn errors(&self) -> String {
        let mut text = String::new();
        for end in &self.certificates {
            match &end.error {
                Some(_) if end.meanwhile == Meanwhile::Timer => {}
                Some(error) => text += &error_lines(&end.name, "", error),
                None if end.is_well(self.finished) => {}
                None => text += &told::lines("error", &format!("{}: {}", end.name, end.reason), ""),
            }
        }
        for alike in alike(self.targets.iter().filter(|target| !self.is_quiet(target))) {
            text += &target_errors(&alike);
        }
        for warning in &self.warnings {
            text += &warning_lines(warning);
        }
        text
    }

    /// What is not well is told apart; but what a running timer finishes is.
    fn is_quiet(&self, end: &TargetEnd) -> bool {
        let is_plain = end.error.is_none() && end.faults.is_empty() && end.is_well(self.finished);
        is_plain || end.meanwhile == Meanwhile::Timer
    }

    fn summary(&self) -> String {
        let issued =
            self.certificates.iter().filter(|end| end.outcome == CertOutcome::Issued).count();
        let count = |outcome| self.targets.iter().filter(|end| end.outcome == outcome).count();
        let parts = [
            (issued, "issued"),
            (count(TargetOutcome::Deployed), "deployed"),
            (count(TargetOutcome::Unchanged), "in step"),
            (count(TargetOutcome::Waiting), "waiting"),
            (count(TargetOutcome::Skipped), "skipped"),
            (count(TargetOutcome::Refused), "refused"),
            (count(TargetOutcome::Failed), "failed"),
            (
                self.certificates.iter().filter(|end| end.outcome == CertOutcome::Failed).count(),
                "not issued",
            ),
        ];
        let said: Vec<String> =
            parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
        let verdict = match (self.ok, self.command) {
            (true, _) => "all is as it should be",
            // Nothing keeps in step what was put there by hand.
            (false, "deploy" | "rollback") => "not all is as it should be",
            (false, _) => "not all is as it should be; the next run tries again",
        };
        match said.is_empty() {
            true => verdict.to_owned(),
            false => format!("{verdict}: {}", said.join(", ")),
        }
    }
}

/// A warning on a terminal.
#[must_use]
pub fn warning_lines(warning: &str) -> String {
    let (what, help) = told::split(warning);
    told::lines("warning", &what, &help)
}

/// A day for people, in UTC.
#[must_use]
pub(super) fn day(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d").to_string()
}

/// A time for people: to the minute, in UTC.
#[must_use]
pub fn minute(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M UTC").to_string()
}

fn certificate_line(end: &CertificateEnd) -> String {
    let outcome = match end.outcome {
        CertOutcome::Issued => "issued",
        CertOutcome::Kept => "kept",
        CertOutcome::Waiting => "waiting",
        CertOutcome::Failed => "failed",
    };
    let until = end.not_after.map_or_else(String::new, |at| format!(", ends {}", minute(at)));
    format!("{}: {outcome}{until}; {}", end.name, end.reason)
}

fn target_line(end: &TargetEnd) -> String {
    let proof = match end.proof {
        Some(Proof::Edge) => ", served at the edge",
        Some(Proof::Readback) => ", read back",
        Some(Proof::Accepted) => ", accepted by the cloud",
        None => "",
    };
    let replaced = end.replaced.as_ref().map_or_else(String::new, |old| {
        format!(
            ", in place of {} by {} until {}",
            &old.fingerprint[..16],
            old.issuer,
            minute(old.not_after)
        )
    });
    let why = match end.outcome {
        TargetOutcome::Unchanged => String::new(),
        TargetOutcome::Deployed if end.replaced.is_some() => String::new(),
        TargetOutcome::Deployed => format!("; {}", end.reason),
        TargetOutcome::Waiting
        | TargetOutcome::Skipped
        | TargetOutcome::Refused
        | TargetOutcome::Failed => format!("; {}", end.reason),
    };
    let pinned = if end.pinned { ", pinned" } else { "" };
    format!("  {}: {}{proof}{pinned}{replaced}{why}", end.domain, outcome(end.outcome))
}

/// The targets that failed in the same way, in the order of their first: one AccessKey that is missing is told once,
/// with all CDN domains that wait for it. What the cloud answered to each call is each one's own.
fn alike<'a>(targets: impl Iterator<Item = &'a TargetEnd>) -> Vec<Vec<&'a TargetEnd>> {
    let mut all: Vec<Vec<&TargetEnd>> = Vec::new();
    let mut places: BTreeMap<[&str; 4], usize> = BTreeMap::new();
    for end in targets {
        let Some(error) = end.error.as_ref().filter(|_| end.faults.is_empty()) else {
            all.push(vec![end]);
            continue;
        };
        let id = error.request_id.as_deref().unwrap_or_default();
        let place =
            *places.entry([&error.code, &error.message, &error.help, id]).or_insert(all.len());
        match all.get_mut(place) {
            Some(like) => like.push(end),
            None => all.push(vec![end]),
        }
    }
    all
}

fn target_errors(alike: &[&TargetEnd]) -> String {
    let [end, others @ ..] = alike else { return String::new() };
    let mut text = String::new();
    for fault in &end.faults {
        let (what, help) = told::split(fault);
        text +=
            &told::lines("error", &format!("{} ({}): {what}", end.domain, end.certificate), &help);
    }
    if end.error.is_none() && end.faults.is_empty() {
        let what = format!("{} ({}): {}", end.domain, end.certificate, end.reason);
        text += &told::lines("error", &what, "");
    }
    if let Some(error) = &end.error {
        let more = others.iter().map(|end| format!(", {} ({})", end.domain, end.certificate));
        let beside = format!(" ({}){}", end.certificate, more.collect::<String>());
        text += &error_lines(&end.domain, &beside, error);
    }
    text
}

fn error_lines(name: &str, beside: &str, error: &ErrorEnd) -> String {
    // The code is for a search, the RequestId for the cloud's support.
    let id = error.request_id.as_ref().map_or_else(String::new, |id| format!(", RequestId {id}"));
    let what = format!("{name}{beside}: {} [{}{id}]", error.message, error.code);
    told::lines("error", &what, &error.help)
}

fn outcome(outcome: TargetOutcome) -> &'static str {
    match outcome {
        TargetOutcome::Deployed => "deployed",
        TargetOutcome::Unchanged => "in step",
        TargetOutcome::Waiting => "waiting",
        TargetOutcome::Skipped => "skipped",
        TargetOutcome::Refused => "refused",
        TargetOutcome::Failed => "failed",
    }
}
