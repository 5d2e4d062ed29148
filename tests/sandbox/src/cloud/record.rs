//! The record of a call: what came, and how it ended.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::fault::Ending;

/// One call as it came, secrets included: tests look for them where they must not be.
#[derive(Clone, Debug)]
pub struct Call {
    /// The `Action`, as written; empty when there was none.
    pub action: String,
    /// The HTTP method.
    pub method: String,
    /// Every parameter of query and body together, `Signature` included.
    pub params: BTreeMap<String, String>,
    /// The names of those that came in the URL, where secrets must not be.
    pub in_query: BTreeSet<String>,
    /// The request's headers, names in lower case.
    pub headers: BTreeMap<String, String>,
    /// When it came, by the cloud's clock.
    pub at: Timestamp,
    /// How it ended.
    pub ending: Ending,
}

impl Call {
    /// The parameter's value, empty when it was absent.
    pub fn param(&self, name: &str) -> &str {
        self.params.get(name).map_or("", String::as_str)
    }
}
