//! The CAs: their directories, and what the store knows of our accounts there.

use std::collections::BTreeMap;

use futures_util::future::join_all;
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::{issued, patient};
use crate::config::{Acme, Certificate};
use crate::doctor::{self, Check, State};
use crate::issue::{self, Introduction};
use crate::persist::Party;
use crate::run::Run;

/// What the CA said.
#[derive(Default)]
pub(super) struct Authority {
    pub(super) checks: Vec<Check>,
    /// By which names CAA records allow it.
    pub(super) identities: Vec<String>,
    /// The account's URL.
    pub(super) account: Option<String>,
    /// What records of dns-persist-01 name; none before the account is registered.
    pub(super) party: Option<Party>,
}

/// The one field of a stored account that is no secret.
#[derive(Deserialize)]
struct Stored {
    id: String,
}

/// The CAs that certificates are asked of or may fall back to, by their names.
pub(super) type Authorities = BTreeMap<String, Authority>;

/// Asks each CA that is used for its directory.
pub(super) async fn ask(run: &Run) -> Authorities {
    let used: BTreeMap<&str, &Acme> =
        issued(run).flat_map(|one| of(run, one)).map(|acme| (acme.name.as_str(), acme)).collect();
    let asks = used.into_values().map(async |acme| (acme.name.clone(), ask_one(run, acme).await));
    join_all(asks).await.into_iter().collect()
}

/// The CA of a certificate, and the one that stands in for it.
pub(super) fn of<'a>(run: &'a Run, one: &'a Certificate) -> impl Iterator<Item = &'a Acme> {
    std::iter::once(run.config.ca(one)).chain(run.config.fallback(one))
}

async fn ask_one(run: &Run, acme: &Acme) -> Authority {
    let url = &acme.directory;
    let asked = patient(async { issue::introduction(&run.acme_http(acme)?, url).await }).await;
    let (account, account_check) = account(run, acme, asked.as_ref().ok());
    let said = match asked {
        Ok(said) => said,
        Err(error) => {
            let checks = vec![Check::bad("ca", url, &error), account_check];
            return Authority { checks, account, ..Authority::default() };
        }
    };
    let mut checks = vec![Check::good("ca", url, "answers; its certificate is trusted")];
    let ahead = said.date.map(|date| date.duration_since(run.ground.clock.now()));
    checks.extend(ahead.map(|ahead| doctor::clock("the CA", ahead)));
    let agreed = format!("agreed to in {}", acme.section());
    checks.extend(said.terms.iter().map(|terms| Check::good("terms", terms, agreed.as_str())));
    checks.push(account_check);
    checks.extend(profiles(run, acme, &said));
    let party = party(run, acme, &said);
    Authority { checks, identities: said.caa_identities, account, party }
}

/// An account that cannot be read is told by its own check.
fn party(run: &Run, acme: &Acme, said: &Introduction) -> Option<Party> {
    let stored = run.store.as_ref()?.account(&acme.directory).ok()??;
    issue::party(&stored, said.issuers.clone(), said.account_hash_prefix.clone()).ok()
}

/// The account by the store: asking the CA would need our key, and could tell no more before an order.
fn account(run: &Run, acme: &Acme, said: Option<&Introduction>) -> (Option<String>, Check) {
    let stored = run.store.as_ref().map_or(Ok(None), |store| store.account(&acme.directory));
    let stored = match stored {
        Ok(stored) => stored,
        Err(error) => return (None, Check::bad("account", "", &error)),
    };
    let url = stored.and_then(|json| serde_json::from_str::<Stored>(json.expose_secret()).ok());
    if let Some(Stored { id }) = url {
        let check = Check::good("account", &*id, "registered");
        return (Some(id), check);
    }
    if acme.eab.is_none() && said.is_some_and(|said| said.binding_required) {
        let text = "the CA takes only accounts that are bound to one on its website";
        let check = Check::new("account", "", State::Bad, text);
        return (None, check.or_help("set the CA's `eab` as it gave it to you"));
    }
    (None, Check::good("account", "", "none yet: the first run registers one"))
}

fn profiles(run: &Run, acme: &Acme, said: &Introduction) -> Vec<Check> {
    let own = issued(run).filter(|one| run.config.ca(one).name == acme.name);
    let asked = own.filter_map(|one| {
        let profile = one.profile.as_deref().or(acme.profile.as_deref())?;
        Some((one.name.as_str(), profile))
    });
    asked.map(|(lineage, asked)| doctor::profile(lineage, asked, &said.profiles)).collect()
}
