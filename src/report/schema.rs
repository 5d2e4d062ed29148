//! The JSON Schemas that are kept in `schema/` are those of the documents: a change shows in a review.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

use schemars::{JsonSchema, Schema, schema_for};

use super::{Report, Status, Versions};

use crate::doctor::Diagnosis;
use crate::init::Document;
use crate::plan::Kind;

/// The answer of `plan --json`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape, never a value")]
struct Plan {
    schema: u32,
    steps: Vec<Step>,
    certificates: Vec<Renews>,
}

/// When a certificate that we issue is renewed, and why then.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape, never a value")]
struct Renews {
    name: String,
    renew_at: String,
    renew_reason: String,
}

#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape, never a value")]
struct Step {
    kind: Kind,
    certificate: String,
    domain: Option<String>,
    reason: String,
    not_before: Option<String>,
}

/// The answer of `account --json`.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape, never a value")]
struct Account {
    schema: u32,
    directory: String,
    url: String,
    status: String,
    contact: Vec<String>,
    thumbprint: String,
    file: String,
    records: Vec<Grant>,
}

/// A TXT record to be set for good.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "a shape, never a value")]
struct Grant {
    name: String,
    value: String,
}

fn check(name: &str, schema: &Schema) {
    let file = format!("{}/schema/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("CERTFERRY_WRITE_SCHEMAS").is_some() {
        std::fs::write(&file, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(kept, text, "{file}: CERTFERRY_WRITE_SCHEMAS=1 cargo test --lib schema writes it");
}

#[test]
fn schemas_are_kept() {
    check("report", &schema_for!(Report));
    check("status", &schema_for!(Status));
    check("plan", &schema_for!(Plan));
    check("account", &schema_for!(Account));
    check("versions", &schema_for!(Versions));
    check("doctor", &schema_for!(Diagnosis));
    check("init", &schema_for!(Document));
}
