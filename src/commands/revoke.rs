//! `revoke`: the CA is told that a certificate counts no more. Its lineage is due at once.

use rustls_pki_types::CertificateDer;

use super::{Ended, Refusal, claims, configured_or_not, open, renew};
use crate::cli::{Global, Reason, Revoke as Flags};
use crate::config::Acme;
use crate::ground::Ground;
use crate::issue::{Failure, RevocationReason};
use crate::plan::{Lineage, Origin, ownership};
use crate::run::Run;
use crate::store::Store;
use crate::told;

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let config = configured_or_not(global, &ground)?;
    let store = Store::open(&config.store.path)?;
    let run = open(config, Some(store.clone()), ground)?;
    let lineages = ownership(&run.config, &claims::stored(&run)?).lineages;
    renew::known(std::slice::from_ref(&flags.name), &lineages)?;
    let lineage = lineages.iter().find(|lineage| lineage.name == flags.name);
    if let Some(client) = lineage.and_then(other_client) {
        return Err(of_another_client(&flags.name, &client));
    }
    let lineage = lineage.ok_or_else(|| anyhow::anyhow!("there is no such certificate"))?;
    let _lock = run.lock_lineage(lineage).await.map_err(|failure| failure.error)?;
    let cert = store.live(&flags.name)?.ok_or_else(|| nothing(&flags.name))?;
    let reason = flags.reason.map(RevocationReason::from);
    let der = CertificateDer::from(cert.chain().first().map_or(&[][..], Vec::as_slice));
    let issuer = run.issuer(issuer_of(&run, &store, lineage)?)?;
    let revoked = issuer.revoke(&der, reason).await;
    revoked.map_err(Failure::by_hand)?;
    let fingerprint = cert.leaf().fingerprint;
    let reuses = run.config.certificates.iter().any(|one| one.name == flags.name && one.reuse_key);
    store.update_lineage(&lineage.memory(), |memory| {
        memory.revoke(fingerprint);
        // An order under way has the same key, for which whoever revokes may fear.
        memory.order = memory.order.take().filter(|_| !reuses);
    })?;
    let stdout = format!(
        "{}: revoked ({}); a new one is due now: `certferry renew {}`\n",
        flags.name,
        fingerprint.short(),
        flags.name
    );
    Ok(Ended { stdout, ..Ended::default() })
}

impl From<Reason> for RevocationReason {
    fn from(reason: Reason) -> Self {
        match reason {
            Reason::Unspecified => Self::Unspecified,
            Reason::KeyCompromise => Self::KeyCompromise,
            Reason::AffiliationChanged => Self::AffiliationChanged,
            Reason::Superseded => Self::Superseded,
            Reason::CessationOfOperation => Self::CessationOfOperation,
        }
    }
}

/// The CA that has issued the newest Cert: with another one's account it could not be revoked.
fn issuer_of<'a>(run: &'a Run, store: &Store, lineage: &Lineage) -> anyhow::Result<&'a Acme> {
    let config = &run.config;
    let certificate = config.certificates.iter().find(|one| one.name == lineage.name);
    let first = certificate.map_or(&config.acme, |one| config.ca(one));
    match store.lineage(&lineage.memory())?.ordered_from {
        Some(from) => {
            config.ca_at(&from.directory).ok_or_else(|| unnamed(&lineage.name, &from.directory))
        }
        None => Ok(first),
    }
}

fn unnamed(name: &str, directory: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "`{name}` was issued by {directory}, which the configuration does not name\nhelp: write a section `[acme.NAME]` with `directory = \"{directory}\"`, and revoke it again"
    )
}

/// Who has issued it, if we have not.
fn other_client(lineage: &Lineage) -> Option<String> {
    match &lineage.origin {
        Origin::Issued(_) => None,
        Origin::Claimed { client, .. } => Some(client.clone()),
        Origin::Source(_) | Origin::Given => Some("another client".to_owned()),
    }
}

fn of_another_client(name: &str, client: &str) -> Refusal {
    let what = format!("`{name}` was issued by {client}, whose account alone may revoke it");
    let help = "revoke it there (`certbot revoke --cert-name NAME`), then renew it there: its hook brings the new one";
    Refusal::Wrong(told::lines("error", &what, help))
}

fn nothing(name: &str) -> anyhow::Error {
    anyhow::anyhow!(
        "`{name}` has no certificate to revoke\nhelp: `certferry renew {name}` obtains one"
    )
}
