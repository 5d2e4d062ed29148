//! What can be done with an account that is registered: shown, its contact and its key changed, ended; and what it has
//! issued revoked (RFC 8555, 7.3.2 to 7.3.6 and 7.6).

use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use instant_acme::{Error, RevocationReason, RevocationRequest};
use rustls_pki_types::CertificateDer;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use super::acme::{Ca, Line, patient};
use super::jws::{AccountKey, Kept, Signer};
use super::{Failure, Issuer, refusal};
use crate::challenge::on_disk;
use crate::persist::Party;
use crate::store::Store;

/// An account as the CA describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// What records name: its URL (`accounturi` of a CAA record, RFC 8657), and its key's thumbprint.
    pub party: Party,
    /// `valid`, `deactivated` or `revoked`.
    pub status: String,
    /// Mail addresses that the CA keeps.
    pub contact: Vec<String>,
}

/// RFC 8555, 7.1.2, as far as we show it.
#[derive(Deserialize)]
struct Document {
    status: String,
    #[serde(default)]
    contact: Vec<String>,
}

/// An account of the store, and a line to its CA.
struct Held {
    ca: Arc<Ca>,
    line: Line,
    url: String,
    key: AccountKey,
}

impl Issuer {
    /// The account as the CA describes it; none where none is registered.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn account(&self) -> Result<Option<Registered>, Failure> {
        let Some(held) = self.held().await? else { return Ok(None) };
        held.ask("to show the account", None).await.map(Some)
    }

    /// Tells the CA the configuration's `contact`; none where no account is registered.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn update_contact(&self) -> Result<Option<Registered>, Failure> {
        let Some(held) = self.held().await? else { return Ok(None) };
        let contact: Vec<_> = self.acme.contact.iter().map(|to| format!("mailto:{to}")).collect();
        held.ask("the new contact", Some(&json!({"contact": contact}))).await.map(Some)
    }

    /// Gives the account a new key. The new one is on disk before the CA hears of it, so that a key that works is there
    /// at any instant; which one it is, is asked when a run was killed in between. None where no account is registered.
    /// The caller holds the account's lock.
    ///
    /// # Errors
    /// [`Failure`]; the old key then still counts, or which one counts is found out by the next who needs the account.
    pub async fn roll_over(&self) -> Result<Option<Registered>, Failure> {
        let Some(held) = self.held().await? else { return Ok(None) };
        let directory = held.ca.directory().to_owned();
        let key = AccountKey::generate()?;
        let json = SecretString::from(key.kept(&held.url, &directory).to_string());
        self.act(move |store| store.save_next_account(&directory, &json)).await?;
        let failure = match held.change_key(&key).await {
            Ok(()) => not_taken(),
            Err(error) => refusal::of_account("the new key", error, held.line.heard()),
        };
        self.settle_change(&held.ca, &key, failure).await?;
        Held { key, ..held }.ask("to show the account", None).await.map(Some)
    }

    /// A change of keys without an answer, or with a refusal, may have had its effect all the same; and whatever stands
    /// between here and the CA may say that all is well. With the wrong one of both keys gone, the account is lost: the CA
    /// is asked which one counts.
    async fn settle_change(
        &self,
        ca: &Arc<Ca>,
        key: &AccountKey,
        failure: Failure,
    ) -> Result<(), Failure> {
        if let Err(unsettled) = self.settle_next(ca).await {
            return Err(failure.beside(&format!("{:#}", unsettled.error)));
        }
        let json = self.stored_account(ca).await?.context("the account is gone")?;
        match kept(ca, &json)?.key()?.thumbprint() == key.thumbprint() {
            true => Ok(()),
            false => Err(failure),
        }
    }

    /// Ends the account for good, and forgets its key. None where no account is registered. The caller holds the
    /// account's lock.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn deactivate(&self) -> Result<Option<Registered>, Failure> {
        let Some(held) = self.held().await? else { return Ok(None) };
        let ended = held.ask("to end the account", Some(&json!({"status": "deactivated"}))).await?;
        let directory = held.ca.directory().to_owned();
        self.act(move |store| store.drop_account(&directory)).await?;
        Ok(Some(ended))
    }

    /// Revokes a certificate that this account has been issued. One that was revoked before is well.
    ///
    /// # Errors
    /// [`Failure`].
    pub async fn revoke(
        &self,
        certificate: &CertificateDer<'_>,
        reason: Option<RevocationReason>,
    ) -> Result<(), Failure> {
        let _share = self.share_account().await?;
        let session = self.session().await?;
        let request = RevocationRequest { certificate, reason };
        let revoked = patient(async || session.account.revoke(&request).await).await;
        match revoked {
            Err(error) if refusal::kind_of(&error) == Some("alreadyRevoked") => Ok(()),
            revoked => revoked.map_err(|error| session.failure("to revoke", error)),
        }
    }

    /// After a change of keys that did not come to its end: the key that counts stays, the other goes.
    pub(super) async fn settle_next(&self, ca: &Arc<Ca>) -> Result<(), Failure> {
        let directory = ca.directory().to_owned();
        let next = on_disk(&self.store, move |store| store.next_account(&directory)).await?;
        let Some(next) = next else { return Ok(()) };
        let directory = ca.directory().to_owned();
        if counts(ca, &next).await? {
            return Ok(self.act(move |store| store.adopt_next_account(&directory)).await?);
        }
        // Where neither counts, the account has ended or is forgotten, and the old key tells that as well.
        let Some(old) = self.stored_account(ca).await? else { return Ok(()) };
        if counts(ca, &old).await? {
            self.act(move |store| store.drop_next_account(&directory)).await?;
        }
        Ok(())
    }

    async fn held(&self) -> Result<Option<Held>, Failure> {
        let ca = self.ca().await?;
        self.settle_next(&ca).await?;
        let Some(json) = self.stored_account(&ca).await? else { return Ok(None) };
        let kept = kept(&ca, &json)?;
        let key = kept.key().with_context(|| format!("the account for {}", ca.directory()))?;
        let line = Line::new(&ca);
        Ok(Some(Held { line, url: kept.id, key, ca }))
    }

    pub(super) async fn act(
        &self,
        act: impl FnOnce(&Store) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        on_disk(&self.store, act).await
    }
}

impl Held {
    /// Asks at the account's URL. `doing` fits after "the CA refused ".
    async fn ask(&self, doing: &str, payload: Option<&Value>) -> Result<Registered, Failure> {
        let signer = Signer { key: &self.key, account: Some(&self.url) };
        let answer = self.line.post(&signer, &self.url, payload).await;
        let answer =
            answer.map_err(|error| refusal::of_account(doing, error, self.line.heard()))?;
        let Document { status, contact } = serde_json::from_slice(&answer.body)
            .map_err(|error| anyhow!("the CA describes the account in no way we know: {error}\nhelp: {UNKNOWN_ANSWER}"))?;
        let mail = |url: String| url.trim_start_matches("mailto:").to_owned();
        let meta = self.ca.meta();
        let party = Party {
            issuers: meta.issuers(),
            account: self.url.clone(),
            thumbprint: self.key.thumbprint(),
            hash_prefix: meta.account_hash_prefix.clone(),
        };
        let contact = contact.into_iter().map(mail).collect();
        Ok(Registered { party, status, contact })
    }

    /// RFC 8555, 7.3.5: the new key signs that it wants to be this account's, the old key signs all of that.
    async fn change_key(&self, key: &AccountKey) -> Result<(), Error> {
        let url = self.ca.urls().key_change.as_deref();
        let url = url.ok_or(Error::Str("it offers no change of keys"))?;
        let protected = json!({"alg": "ES256", "jwk": key.jwk(), "url": url});
        let payload = json!({"account": self.url, "oldKey": self.key.jwk()});
        let inner = key.sign(&protected, Some(&payload));
        let inner = inner.map_err(|error| Error::Other(error.into()))?;
        let signer = Signer { key: &self.key, account: Some(&self.url) };
        self.line.post(&signer, url, Some(&inner)).await.map(drop)
    }
}

/// Does the account's key of this file count: does the CA answer at the account's URL (RFC 8555, 7.3)? A look-up by the key
/// (`onlyReturnExisting`) would not do: some CAs compare how a key is written.
async fn counts(ca: &Arc<Ca>, json: &SecretString) -> Result<bool, Failure> {
    let kept = kept(ca, json)?;
    let (key, line) = (kept.key()?, Line::new(ca));
    let signer = Signer { key: &key, account: Some(&kept.id) };
    match line.post(&signer, &kept.id, None).await {
        Ok(_shown) => Ok(true),
        Err(Error::Api(problem)) if (400..500).contains(&line.heard().status) => {
            tracing::debug!(kind = refusal::kind(&problem), "the CA refuses a key of the account");
            Ok(false)
        }
        Err(error) => Err(refusal::of_account("to show the account", error, line.heard())),
    }
}

/// The CA's word against what it does.
fn not_taken() -> Failure {
    Failure::of_ca(anyhow!(
        "the CA said that the account has its new key, and still counts the old one\nhelp: {UNKNOWN_ANSWER}"
    ))
}

pub(super) fn kept(ca: &Ca, json: &SecretString) -> anyhow::Result<Kept> {
    serde_json::from_str(json.expose_secret())
        .map_err(|error| super::account::damaged(ca.directory(), &error))
}

/// For an answer that no CA gives.
const UNKNOWN_ANSWER: &str = "look at what stands between here and the CA (a proxy?), and at the CA's status page; then run it again";
