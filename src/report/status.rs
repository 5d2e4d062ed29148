//! The answer of `status`: every lineage and target, its expiry, its next renewal, in step or not. Pure.

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use serde::Serialize;

use super::text::day;
use crate::plan::lives_on;

/// The answer of `status`.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Status {
    /// Version of this document.
    pub schema: u32,
    /// Every lineage.
    pub certificates: Vec<StatusCertificate>,
}

/// A lineage.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StatusCertificate {
    /// Its name.
    pub name: String,
    /// Its names.
    pub domains: Vec<String>,
    /// Where another client keeps it: its folder, or its chain.
    pub source: Option<String>,
    /// The beginning of the newest Cert.
    #[serde(skip)]
    pub not_before: Option<Timestamp>,
    /// The end of the newest Cert.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub not_after: Option<Timestamp>,
    /// Its leaf.
    pub fingerprint: Option<String>,
    /// When it is renewed; none where another client does it.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub renew_at: Option<Timestamp>,
    /// Why then.
    pub renew_reason: String,
    /// The page by which the CA explains it.
    #[serde(skip)]
    pub explanation: Option<String>,
    /// Failures in a row.
    pub failures: u32,
    /// The last one.
    pub last_error: Option<String>,
    /// Its targets.
    pub targets: Vec<StatusTarget>,
}

/// A target.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StatusTarget {
    /// The CDN domain as the user wrote it.
    pub domain: String,
    /// Its account.
    pub aliyun: String,
    /// What it serves; none where HTTPS is off or it cannot be known.
    pub served_fingerprint: Option<String>,
    /// Until when.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub served_not_after: Option<Timestamp>,
    /// It serves this lineage's newest certificate, or has accepted it.
    pub in_step: bool,
    /// It was discovered and serves a certificate that is not ours, which is left alone until its last third. Then
    /// `in_step` is false, and all is as it should be.
    pub foreign: bool,
    /// In a word, why all is well though it is not in step.
    #[serde(skip)]
    pub left: Option<&'static str>,
    /// A pin holds it.
    pub pinned: bool,
    /// Until when, at the latest.
    #[cfg_attr(test, schemars(with = "Option<String>"))]
    pub pinned_until: Option<Timestamp>,
    /// The last error.
    pub last_error: Option<String>,
}

impl Status {
    /// Is everything in step, without a failure, and good for a while?
    #[must_use]
    pub fn ok(&self, now: Timestamp) -> bool {
        self.certificates.iter().all(|one| one.is_well(now))
    }

    /// One JSON document, with a line end.
    #[must_use]
    pub fn json(&self) -> String {
        super::json(self)
    }

    /// A table for people, at most `width` columns wide.
    #[must_use]
    pub fn text(&self, width: u16) -> String {
        if self.certificates.is_empty() {
            return "no certificate is configured, and no hook has left a claim\n".to_owned();
        }
        let mut table = Table::new();
        table.load_style(presets::NOTHING);
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        table.set_header(["CERTIFICATE", "CDN DOMAIN", "ENDS", "IN STEP", "NOTE"]);
        for certificate in &self.certificates {
            add_rows(&mut table, certificate);
        }
        let lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n") + "\n"
    }
}

impl StatusCertificate {
    fn is_well(&self, now: Timestamp) -> bool {
        let lives =
            self.not_before.zip(self.not_after).is_some_and(|(from, to)| lives_on(from, to, now));
        lives
            && self.last_error.is_none()
            && self.targets.iter().all(|target| target.in_step || target.left.is_some())
    }
}

fn add_rows(table: &mut Table, certificate: &StatusCertificate) {
    let ends = certificate.not_after.map_or_else(|| "-".to_owned(), day);
    table.add_row([
        certificate.name.clone(),
        String::new(),
        ends,
        String::new(),
        note(certificate),
    ]);
    for target in &certificate.targets {
        let ends = target.served_not_after.map_or_else(|| "-".to_owned(), day);
        let in_step = if target.in_step { "yes" } else { target.left.unwrap_or("NO") };
        let note = target.last_error.clone().unwrap_or_else(|| pinned(target));
        table.add_row([String::new(), target.domain.clone(), ends, in_step.to_owned(), note]);
    }
}

fn pinned(target: &StatusTarget) -> String {
    target.pinned_until.map_or_else(String::new, |until| format!("pinned until {}", day(until)))
}

fn note(certificate: &StatusCertificate) -> String {
    match (&certificate.last_error, certificate.renew_at) {
        (Some(error), _) if certificate.failures > 0 => {
            format!("{} failures in a row: {error}", certificate.failures)
        }
        (Some(error), _) => error.clone(),
        (None, Some(at)) => match &certificate.explanation {
            Some(page) => format!("renews {}, see {page}", day(at)),
            None => format!("renews {}", day(at)),
        },
        (None, None) => certificate.renew_reason.clone(),
    }
}
