//! The CA: its directory, and what the store knows of our account there.

use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::{issued, patient};
use crate::doctor::{self, Check, State};
use crate::issue::{self, Introduction};
use crate::run::Run;

/// What the CA said.
#[derive(Default)]
pub(super) struct Authority {
    pub(super) checks: Vec<Check>,
    /// By which names CAA records allow it.
    pub(super) identities: Vec<String>,
    /// The account's URL.
    pub(super) account: Option<String>,
}

/// The one field of a stored account that is no secret.
#[derive(Deserialize)]
struct Stored {
    id: String,
}

/// Asks for the directory, if anything is issued.
pub(super) async fn ask(run: &Run) -> Authority {
    if issued(run).next().is_none() {
        return Authority::default();
    }
    let url = &run.config.acme.directory;
    let asked = patient(async { issue::introduction(&run.ca_http()?, url).await }).await;
    let (account, account_check) = account(run, asked.as_ref().ok());
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
    checks
        .extend(said.terms.iter().map(|terms| Check::good("terms", terms, "agreed to in [acme]")));
    checks.push(account_check);
    checks.extend(profiles(run, &said));
    Authority { checks, identities: said.caa_identities, account }
}

/// The account by the store: asking the CA would need our key, and could tell no more before an order.
fn account(run: &Run, said: Option<&Introduction>) -> (Option<String>, Check) {
    let acme = &run.config.acme;
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
        return (None, check.or_help("set `eab` of [acme] as the CA gave it to you"));
    }
    (None, Check::good("account", "", "none yet: the first run registers one"))
}

fn profiles(run: &Run, said: &Introduction) -> Vec<Check> {
    let asked = issued(run).filter_map(|one| Some((one.name.as_str(), one.profile.as_deref()?)));
    asked.map(|(lineage, asked)| doctor::profile(lineage, asked, &said.profiles)).collect()
}
