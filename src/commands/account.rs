//! `account`: what the CA knows of us, and how to change or end it.

use serde::Serialize;

use super::{Ended, Form, Refusal, configured_or_not, open};
use crate::cli::{Account as Flags, AccountAct, Global};
use crate::config::{Acme, Challenge, Config, nearest};
use crate::ground::Ground;
use crate::issue::{Failure, Issuer, Registered};
use crate::persist::{Grant, Party, needs};
use crate::report;
use crate::run::Run;
use crate::store::{Lock, LockError, Store, Wait};
use crate::told;

/// The answer of `account --json`.
#[derive(Debug, Serialize)]
struct Document<'a> {
    schema: u32,
    directory: &'a str,
    url: &'a str,
    status: &'a str,
    contact: &'a [String],
    thumbprint: &'a str,
    /// Where its key is kept.
    file: String,
    /// What the certificates that are proved by dns-persist-01 need in the DNS.
    records: Vec<Grant>,
}

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let config = configured_or_not(global, &ground)?;
    let acme = chosen(&config, flags.ca.as_deref())?.clone();
    let directory = acme.directory.clone();
    let store = Store::open(&config.store.path)?;
    let file = store.account_path(&directory)?.display().to_string();
    let run = open(config, Some(store.clone()), ground)?;
    let _lock = lock(&run, &store, &directory, flags.act).await?;
    let found = act(&*run.issuer(&acme)?, flags.act).await.map_err(Failure::by_hand);
    let found = found.map_err(|error| error.context(format!("the account {file}")))?;
    let found = found.ok_or_else(|| none(&directory))?;
    let Registered { party, status, contact } = &found;
    let document = Document {
        schema: report::SCHEMA,
        directory: &directory,
        url: &party.account,
        status,
        contact,
        thumbprint: &party.thumbprint,
        file,
        records: match flags.act {
            AccountAct::Deactivate => Vec::new(),
            AccountAct::Show | AccountAct::Update | AccountAct::Rollover => {
                records(&run.config, &acme, party)
            }
        },
    };
    let stdout = match Form::from(flags.json) {
        Form::Json => report::json(&document),
        Form::Text => text(&document, flags.act),
    };
    Ok(Ended { stdout, ..Ended::default() })
}

/// The CA of `--ca`, else that of `[acme]`.
fn chosen<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a Acme, Refusal> {
    let Some(name) = name else { return Ok(&config.acme) };
    config.named_ca(name).ok_or_else(|| {
        let known: Vec<&str> = config.every_ca().map(|acme| acme.name.as_str()).collect();
        let help = match nearest(name, &known) {
            Some(near) => format!("is it `{near}`?"),
            None => format!("known are: {}", known.join(", ")),
        };
        let what = format!("the configuration has no `[acme.{name}]`");
        Refusal::Wrong(told::lines("error", &what, &help))
    })
}

/// The records for the certificates that are asked of this CA, first or in another's stead.
fn records(config: &Config, acme: &Acme, party: &Party) -> Vec<Grant> {
    let certificates = config.certificates.iter().filter(|one| {
        let mut cas = std::iter::once(config.ca(one)).chain(config.fallback(one));
        one.challenge == Challenge::DnsPersist01 && cas.any(|ca| ca.name == acme.name)
    });
    let names: Vec<String> = certificates.flat_map(|one| one.domains.iter().cloned()).collect();
    needs(&names).iter().filter_map(|need| party.grant(need)).collect()
}

async fn act(issuer: &Issuer, act: AccountAct) -> Result<Option<Registered>, Failure> {
    match act {
        AccountAct::Show => issuer.account().await,
        AccountAct::Update => issuer.update_contact().await,
        AccountAct::Rollover => issuer.roll_over().await,
        AccountAct::Deactivate => issuer.deactivate().await,
    }
}

/// Orders under way need the account as it is.
async fn lock(run: &Run, store: &Store, directory: &str, act: AccountAct) -> anyhow::Result<Lock> {
    let wait = Wait { until: None, stop: &run.ground.stop, say: &run.ground.say };
    let lock = match act {
        AccountAct::Show | AccountAct::Update => store.share_account(directory, wait).await,
        AccountAct::Rollover | AccountAct::Deactivate => store.lock_account(directory, wait).await,
    };
    lock.map_err(|error: LockError| error.into())
}

fn none(directory: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "there is no account at {directory}\nhelp: the first certificate that is issued there registers one: `certferry renew`"
    )
}

fn text(document: &Document<'_>, act: AccountAct) -> String {
    let Document { directory, url, status, contact, thumbprint, file, records, .. } = document;
    let contact = match contact.is_empty() {
        true => "none (or the CA does not show it)".to_owned(),
        false => contact.join(", "),
    };
    let (done, key) = match act {
        AccountAct::Show => ("", file.as_str()),
        AccountAct::Update => ("the CA has the new contact\n", file.as_str()),
        AccountAct::Rollover => ("the account has a new key\n", file.as_str()),
        AccountAct::Deactivate => ("the account has ended\n", "deleted"),
    };
    let records: String = records.iter().map(|grant| format!("record      {grant}\n")).collect();
    format!(
        "{done}account     {url}\nCA          {directory}\nstatus      {status}\ncontact     {contact}\nthumbprint  {thumbprint}\nkey         {key}\n{records}"
    )
}
