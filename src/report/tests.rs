//! The report as a table: ends in; text, JSON and exit status out.
#![allow(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::config::{CdnDomain, Target, Verify};
use crate::plan::Origin;

const NOW: &str = "2026-06-01T00:00:00.5Z";

fn owned() -> Owned {
    let domain = CdnDomain::read("*.example.com").unwrap();
    let target = Target { aliyun: "default".to_owned(), domain };
    Owned { target, verify: Verify::Readback, cert_name: None, guessed: false, discovered: None }
}

fn end(outcome: TargetOutcome) -> TargetEnd {
    TargetEnd::new("a", &owned(), outcome, "because")
}

fn certificate(outcome: CertOutcome) -> CertificateEnd {
    let names = vec!["*.example.com".to_owned()];
    let lineage = Lineage::bare("a".to_owned(), names, Origin::Issued(0));
    CertificateEnd::new(&lineage, None, outcome, "because")
}

fn report(certificates: Vec<CertificateEnd>, targets: Vec<TargetEnd>) -> Report {
    let now = NOW.parse().unwrap();
    Report::new("renew", now, now, Ends { certificates, targets, warnings: Vec::new() })
}

fn error(help: &str) -> Option<ErrorEnd> {
    Some(ErrorEnd {
        code: "Code".to_owned(),
        message: "it is so".to_owned(),
        help: help.to_owned(),
        request_id: Some("R-1".to_owned()),
        retryable: true,
    })
}

fn check(row: &str, targets: Vec<TargetEnd>, ok: bool, changed: bool, text: &str, errors: &str) {
    let report = report(vec![], targets);
    assert_eq!((report.ok, report.changed), (ok, changed), "{row}");
    assert_eq!(report.errors(), errors, "{row}");
    let last = report.text().lines().last().unwrap().to_owned();
    assert_eq!(last, text, "{row}");
}

#[test]
fn what_fails_in_the_same_way_is_told_once() {
    let failed = |domain: &str, request_id: Option<&str>| {
        let told = error("do")
            .map(|told| ErrorEnd { request_id: request_id.map(ToOwned::to_owned), ..told });
        TargetEnd { domain: domain.to_owned(), error: told, ..end(TargetOutcome::Failed) }
    };
    let said = |who: &str, id: &str| format!("error: {who}: it is so [Code{id}]\n  help: do\n");
    let check = |row: &str, ends: Vec<TargetEnd>, wanted: &str| {
        assert_eq!(report(vec![], ends).errors(), wanted, "{row}");
    };
    let two = vec![failed("a.b", None), failed("c.d", None)];
    check("before any call", two, &said("a.b (a), c.d (a)", ""));
    let two = vec![failed("a.b", Some("R-1")), failed("c.d", Some("R-2"))];
    let each = said("a.b (a)", ", RequestId R-1") + &said("c.d (a)", ", RequestId R-2");
    check("the cloud's answers", two, &each);
    let two = vec![failed("a.b", Some("R-1")), failed("c.d", Some("R-1"))];
    check("one answer for both", two, &said("a.b (a), c.d (a)", ", RequestId R-1"));
}

#[test]
fn ends_decide() {
    let not = "not all is as it should be; the next run tries again";
    check("nothing", vec![], true, false, "all is as it should be", "");
    check(
        "deployed",
        vec![end(TargetOutcome::Deployed)],
        true,
        true,
        "all is as it should be: 1 deployed",
        "",
    );
    check(
        "unchanged",
        vec![end(TargetOutcome::Unchanged)],
        true,
        false,
        "all is as it should be: 1 in step",
        "",
    );
    check(
        "skipped",
        vec![end(TargetOutcome::Skipped)],
        true,
        false,
        "all is as it should be: 1 skipped",
        "",
    );
    let refused = end(TargetOutcome::Refused).with_faults(vec!["no\nhelp: do".to_owned()]);
    let said = "error: *.example.com (a): no\n  help: do\n";
    check("refused", vec![refused], false, false, &format!("{not}: 1 refused"), said);
    let failed = TargetEnd { error: error("do"), ..end(TargetOutcome::Failed) };
    let said = "error: *.example.com (a): it is so [Code, RequestId R-1]\n  help: do\n";
    check("failed", vec![failed], false, false, &format!("{not}: 1 failed"), said);
}

#[test]
fn waiting_is_well_while_something_holds() {
    let at = |text: &str| text.parse::<Timestamp>().unwrap();
    let serves = |to| Meanwhile::Serves(at("2026-03-05T00:00:00Z"), at(to));
    let check = |row: &str, meanwhile, ok| {
        let waiting = TargetEnd { meanwhile, ..end(TargetOutcome::Waiting) };
        assert_eq!(report(vec![], vec![waiting]).ok, ok, "{row}");
    };
    check("nothing is served", Meanwhile::Nothing, false);
    check("a timer runs", Meanwhile::Timer, true);
    check("it lives on", serves("2026-06-09T00:00:00Z"), true);
    check("it ends soon", serves("2026-06-04T00:00:00Z"), false);
}

#[test]
fn an_upload_and_how_it_is_known() {
    let check = |proof, attempts, outcome, changed, says: &str| {
        let end = TargetEnd { proof, attempts, ..end(outcome) };
        let report = report(vec![certificate(CertOutcome::Kept)], vec![end]);
        assert_eq!(report.changed, changed, "{says}");
        let shown = report.text() + &report.errors();
        assert!(shown.contains(says), "{shown} is not {says}");
    };
    use TargetOutcome::{Deployed, Unchanged, Waiting};
    check(Some(Proof::Edge), 1, Deployed, true, "deployed, served at the edge; because");
    check(Some(Proof::Readback), 1, Deployed, true, "deployed, read back");
    check(Some(Proof::Accepted), 1, Deployed, true, "deployed, accepted by the cloud");
    check(Some(Proof::Edge), 0, Unchanged, false, "in step, served at the edge");
    check(Some(Proof::Readback), 1, Waiting, true, "because");
    check(Some(Proof::Readback), 0, Waiting, false, "because");
    check(None, 3, Waiting, false, "because");
}

#[test]
fn what_a_timer_finishes_is_no_error() {
    let waiting =
        TargetEnd { error: error(""), meanwhile: Meanwhile::Timer, ..end(TargetOutcome::Waiting) };
    assert_eq!(report(vec![], vec![waiting]).errors(), "");
}

#[test]
fn certificates_decide_too() {
    let check = |outcome, ok, changed| {
        let report = report(vec![certificate(outcome)], vec![]);
        assert_eq!((report.ok, report.changed), (ok, changed), "{outcome:?}");
    };
    check(CertOutcome::Issued, true, true);
    check(CertOutcome::Kept, true, false);
    check(CertOutcome::Waiting, false, false);
    check(CertOutcome::Failed, false, false);
}

#[test]
fn the_document_has_the_fields_that_are_promised() {
    let failed = TargetEnd { error: error("do"), ..end(TargetOutcome::Failed) };
    let json: serde_json::Value =
        serde_json::from_str(&report(vec![certificate(CertOutcome::Kept)], vec![failed]).json())
            .unwrap();
    let names = |value: &serde_json::Value| {
        value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        names(&json),
        "certificates changed command finished ok remembered schema started targets warnings"
    );
    assert_eq!(
        names(&json["certificates"][0]),
        "domains error fingerprint name not_after outcome reason"
    );
    assert_eq!(
        names(&json["targets"][0]),
        "aliyun attempts cert_name certificate domain error faults outcome pinned proof reason replaced request_id"
    );
    assert_eq!(names(&json["targets"][0]["error"]), "code help message request_id retryable");
    assert_eq!(
        (&json["started"], &json["targets"][0]["domain"]),
        (&"2026-06-01T00:00:00Z".into(), &"*.example.com".into())
    );
}
