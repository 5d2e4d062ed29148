//! Problem documents (RFC 7807) with the types of RFC 8555 section 6.7 and its successors.

use serde_json::{Map, Value, json};

use crate::fault::Told;
use crate::wire::Answer;

/// What every type begins with.
const PREFIX: &str = "urn:ietf:params:acme:error:";

/// The types and the statuses that the largest CA answers them with.
const STATUSES: &[(&str, u16)] = &[
    ("accountDoesNotExist", 400),
    ("alreadyReplaced", 409),
    ("alreadyRevoked", 400),
    ("badCSR", 400),
    ("badNonce", 400),
    ("badPublicKey", 400),
    ("badRevocationReason", 400),
    ("badSignatureAlgorithm", 400),
    ("caa", 403),
    ("conflict", 409),
    ("connection", 400),
    ("dns", 400),
    ("externalAccountRequired", 403),
    ("invalidContact", 400),
    ("invalidProfile", 400),
    ("malformed", 400),
    ("orderNotReady", 403),
    ("rateLimited", 429),
    ("rejectedIdentifier", 400),
    ("serverInternal", 500),
    ("unauthorized", 403),
    ("unsupportedContact", 400),
    ("unsupportedIdentifier", 400),
    ("userActionRequired", 403),
];

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// The last part of its type.
    pub(crate) kind: String,
    pub(crate) status: u16,
    detail: String,
    /// (name, refusal of it); RFC 8555 section 6.7.1.
    subproblems: Vec<(String, Self)>,
    fields: Map<String, Value>,
    headers: Vec<(String, String)>,
}

impl Problem {
    pub(crate) fn new(kind: &str, detail: impl Into<String>) -> Self {
        let known = STATUSES.iter().find(|(known, _)| *known == kind);
        Self {
            kind: kind.to_owned(),
            status: known.map_or(400, |(_, status)| *status),
            detail: detail.into(),
            subproblems: Vec::new(),
            fields: Map::new(),
            headers: Vec::new(),
        }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new("malformed", detail)
    }

    pub(crate) fn unauthorized(detail: impl Into<String>) -> Self {
        Self::new("unauthorized", detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::malformed(detail).status(404)
    }

    /// One refusal of several names: that of the one, or all below a common roof.
    pub(crate) fn of_names(kind: &str, mut names: Vec<(String, Self)>) -> Self {
        if names.len() == 1 {
            return names.remove(0).1;
        }
        let list: Vec<&str> = names.iter().map(|(name, _)| name.as_str()).collect();
        let detail = format!("cannot issue for {} and others", list.first().unwrap_or(&""));
        Self { subproblems: names, ..Self::new(kind, detail) }
    }

    /// What a fault tells.
    pub(crate) fn told(told: &Told) -> Self {
        let mut problem = Self::new(
            told.code.as_deref().unwrap_or("serverInternal"),
            told.message.as_deref().unwrap_or("a fault of the sandbox"),
        );
        problem.status = told.status.unwrap_or(problem.status);
        if let Some(wait) = told.retry_after {
            problem = problem.header("retry-after", wait.div_ceil(1000).to_string());
        }
        problem.headers.extend(told.headers.clone());
        problem
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: String) -> Self {
        self.headers.push((name.to_owned(), value));
        self
    }

    pub(crate) fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn document(&self) -> Value {
        let mut document = self.fields.clone();
        document.insert("type".to_owned(), json!(format!("{PREFIX}{}", self.kind)));
        document.insert("detail".to_owned(), json!(self.detail));
        document.insert("status".to_owned(), json!(self.status));
        if !self.subproblems.is_empty() {
            let subproblems = self.subproblems.iter().map(|(name, problem)| {
                let mut document = problem.document();
                document["identifier"] = json!({ "type": "dns", "value": name });
                document
            });
            document.insert("subproblems".to_owned(), subproblems.collect());
        }
        Value::Object(document)
    }

    pub(crate) fn answer(&self) -> Answer {
        let body = self.document().to_string();
        let mut answer = Answer::written(self.status, "application/problem+json", body);
        answer.headers.extend(self.headers.clone());
        answer
    }
}
