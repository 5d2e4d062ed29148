//! `keeps-anything`: may a scheduled run be passed over? It touches no network and writes nothing.

use std::path::Path;

use super::{Ended, configured_or_not};
use crate::cli::Global;
use crate::config::Config;
use crate::ground::Ground;
use crate::store::Store;

/// Only a clear no passes a run over: whatever is wrong here, `renew` says it better.
pub(super) fn run(global: &Global, ground: &Ground) -> Ended {
    let Ok(config) = configured_or_not(global, ground) else { return Ended::default() };
    if !config.certificates.is_empty() || !is_empty(&config.store.path).unwrap_or(false) {
        return Ended::default();
    }
    let stdout = if global.quiet { String::new() } else { nothing(&config) };
    Ended { stdout, code: 1, ..Ended::default() }
}

/// No claim, and no TXT record that waits to be taken away. What is damaged counts as one.
fn is_empty(store: &Path) -> anyhow::Result<bool> {
    let Some(store) = Store::existing(store)? else { return Ok(true) };
    let found = store.claims()?;
    Ok(found.claims.is_empty() && found.warnings.is_empty() && store.records()?.is_empty())
}

fn nothing(config: &Config) -> String {
    let place = match &config.file {
        Some(file) => format!("no [[certificate]] in {}", file.display()),
        None => "no configuration".to_owned(),
    };
    format!(
        "nothing to keep in step: {place}, and no claim of a hook in {}\n",
        config.store.path.display()
    )
}
