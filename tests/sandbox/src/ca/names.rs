//! The identifiers of an order: what is a name, and which of them the CA refuses.

use std::collections::BTreeSet;

use serde_json::Value;

use super::problem::Problem;
use super::seed::Profile;
use super::state::{AuthorizationState, State};

/// The names of an order, sorted.
pub(crate) fn read(
    state: &State,
    identifiers: Option<&Value>,
    profile: &Profile,
) -> Result<Vec<String>, Problem> {
    let list = identifiers.and_then(Value::as_array).filter(|list| !list.is_empty());
    let list = list.ok_or_else(|| Problem::malformed("an order has identifiers"))?;
    let names: BTreeSet<String> = list.iter().map(name).collect::<Result<_, _>>()?;
    if names.len() != list.len() {
        return Err(Problem::malformed("a name stands twice"));
    }
    if names.len() > profile.most_names {
        let detail = format!("more than {} names", profile.most_names);
        return Err(Problem::malformed(detail));
    }
    for name in &names {
        if names.iter().any(|wild| covers(wild, name)) {
            return Err(Problem::malformed(format!("{name} is covered by a wildcard beside it")));
        }
    }
    let refused: Vec<(String, Problem)> =
        names.iter().filter_map(|name| Some((name.clone(), refusal(state, name)?))).collect();
    if refused.is_empty() {
        return Ok(names.into_iter().collect());
    }
    Err(Problem::of_names("rejectedIdentifier", refused))
}

fn name(identifier: &Value) -> Result<String, Problem> {
    let text = |field: &str| identifier.get(field).and_then(Value::as_str);
    let (Some(kind), Some(value)) = (text("type"), text("value")) else {
        return Err(Problem::malformed("an identifier has a type and a value"));
    };
    if kind != "dns" {
        return Err(Problem::new("unsupportedIdentifier", format!("identifiers of type {kind:?}")));
    }
    if is_name(value.strip_prefix("*.").unwrap_or(value)) {
        return Ok(value.to_owned());
    }
    Err(Problem::malformed(format!("{value:?} is no DNS name in lower-case A-labels")))
}

fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let mut bytes = label.bytes();
        let fine = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && bytes.all(fine)
    };
    let address = name.split('.').all(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    name.contains('.') && name.len() <= 253 && !address && name.split('.').all(label)
}

/// Whether a wildcard stands for the other name.
fn covers(wild: &str, name: &str) -> bool {
    let rest = name.split_once('.').map(|(_, rest)| rest);
    !name.starts_with('*') && wild.strip_prefix("*.").is_some_and(|base| rest == Some(base))
}

fn refusal(state: &State, name: &str) -> Option<Problem> {
    let plain = name.trim_start_matches("*.");
    let below = |refused: &&String| {
        plain
            .strip_suffix(refused.as_str())
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    let refused = state.rules.rejected.iter().find(below)?;
    let detail = format!("cannot issue for {name}: the CA's policy forbids {refused}");
    Some(Problem::new("rejectedIdentifier", detail))
}

impl AuthorizationState {
    /// Its name as the order wrote it.
    pub(crate) fn written(&self) -> String {
        if self.wildcard { format!("*.{}", self.name) } else { self.name.clone() }
    }
}
