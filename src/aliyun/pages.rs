//! What is read of an answer: its fields, and lists that come in pages.

use serde_json::Value;

use super::{Account, Api, Call, Error};

/// A list that comes in pages.
pub(super) struct Pages<'a> {
    pub(super) api: &'static Api,
    pub(super) subject: &'a str,
    /// The largest that the API gives.
    pub(super) size: usize,
    pub(super) outer: &'static str,
    pub(super) inner: &'static str,
}

/// All items of a list that comes in pages. It ends where TotalCount is reached, or with a page that is not full.
pub(super) async fn all_pages(
    account: &Account,
    pages: &Pages<'_>,
    params: &[(&str, &str)],
) -> Result<Vec<Value>, Error> {
    let size = pages.size.to_string();
    let mut items = Vec::new();
    for page in 1..=MOST_PAGES {
        let page = page.to_string();
        let params = [params, &[("PageNumber", &page), ("PageSize", &size)]].concat();
        let call = Call { api: pages.api, params: &params, subject: pages.subject, secret: None };
        let answer = account.ask(&call).await?;
        let found = list(&answer, pages.outer, pages.inner);
        items.extend_from_slice(found);
        let full = number(&answer, "PageSize").unwrap_or(pages.size).min(pages.size);
        let more =
            number(&answer, "TotalCount").map_or(found.len() >= full, |total| items.len() < total);
        if found.is_empty() || !more {
            break;
        }
    }
    Ok(items)
}

/// A field as text; the cloud writes numbers now as numbers, now as strings. Empty counts as absent.
pub(super) fn text(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn number(value: &Value, name: &str) -> Option<usize> {
    text(value, name)?.parse().ok()
}

/// A list of the API: `outer` holds `inner`, which holds the items.
pub(super) fn list<'a>(value: &'a Value, outer: &str, inner: &str) -> &'a [Value] {
    value
        .get(outer)
        .and_then(|outer| outer.get(inner))
        .and_then(Value::as_array)
        .map_or(&[], Vec::as_slice)
}

/// 500 to a page: half a million domains. A server that never ends its list must not keep us.
const MOST_PAGES: usize = 1000;
