//! The account at the CA (RFC 8555, 7.3): restored from the store, registered where there is none.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountCredentials, ExternalAccountKey, NewAccount};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

use super::acme::{Ca, Line, patient};
use super::{Failure, Issuer, Standing, refusal};
use crate::challenge::on_disk;
use crate::config::Eab;
use crate::secret;

/// An account, and the line by which it speaks.
pub(super) struct Session {
    pub(super) account: Account,
    pub(super) line: Line,
}

impl Session {
    /// A call that failed.
    pub(super) fn failure(&self, doing: &str, error: instant_acme::Error) -> Failure {
        refusal::failure(doing, error, self.line.heard())
    }
}

impl Issuer {
    /// A session for one order. The account is registered by the first that needs it; the others wait for that.
    pub(super) async fn session(&self) -> Result<Session, Failure> {
        let ca = self.ca().await?;
        let mut refused = self.registering.lock().await;
        self.settle_next(&ca).await?;
        match self.stored_account(&ca).await? {
            Some(json) => self.restore(&ca, &json).await,
            None => self.register_once(&ca, &mut refused).await,
        }
    }

    /// A session after the CA said that it does not know the account: a new one, unless another order was quicker.
    pub(super) async fn session_anew(&self, unknown: &Session) -> Result<Session, Failure> {
        let ca = unknown.line.ca();
        let mut refused = self.registering.lock().await;
        if let Some(json) = self.stored_account(ca).await? {
            let session = self.restore(ca, &json).await?;
            if session.account.id() != unknown.account.id() {
                return Ok(session);
            }
        }
        self.ground.say.line(format!(
            "the CA does not know the account {} any more: registering a new one",
            unknown.account.id()
        ));
        self.register_once(ca, &mut refused).await
    }

    pub(super) async fn stored_account(&self, ca: &Ca) -> anyhow::Result<Option<SecretString>> {
        let directory = ca.directory().to_owned();
        on_disk(&self.store, move |store| store.account(&directory)).await
    }

    async fn restore(&self, ca: &Arc<Ca>, json: &SecretString) -> Result<Session, Failure> {
        let credentials: AccountCredentials = serde_json::from_str(json.expose_secret())
            .map_err(|error| damaged(ca.directory(), &error))?;
        let line = Line::new(ca);
        let builder = Account::builder_with_http(Box::new(line.clone()));
        match builder.from_credentials(credentials).await {
            Ok(account) => Ok(Session { account, line }),
            Err(error) => Err(refusal::of_account("the account", error, line.heard())),
        }
    }

    /// Registers, unless that failed before in this run.
    async fn register_once(
        &self,
        ca: &Arc<Ca>,
        refused: &mut Option<Standing>,
    ) -> Result<Session, Failure> {
        if let Some(refused) = refused {
            return Err(refused.again());
        }
        let registered = self.register(ca).await;
        *refused = registered.as_ref().err().map(Standing::of);
        registered
    }

    async fn register(&self, ca: &Arc<Ca>) -> Result<Session, Failure> {
        self.check_terms(ca)?;
        let eab = self.eab(ca)?;
        let contact: Vec<_> = self.acme.contact.iter().map(|to| format!("mailto:{to}")).collect();
        let contact: Vec<_> = contact.iter().map(String::as_str).collect();
        let wish = NewAccount {
            contact: &contact,
            terms_of_service_agreed: true,
            only_return_existing: false,
        };
        let line = Line::new(ca);
        let (account, credentials) = patient(async || {
            let builder = Account::builder_with_http(Box::new(line.clone()));
            builder.create(&wish, ca.directory().to_owned(), eab.as_ref()).await
        })
        .await
        .map_err(|error| refusal::of_account("the new account", error, line.heard()))?;
        self.save(ca.directory(), &credentials).await?;
        self.ground.say.line(format!("registered the account {}", account.id()));
        Ok(Session { account, line })
    }

    async fn save(&self, directory: &str, credentials: &AccountCredentials) -> anyhow::Result<()> {
        let json = serde_json::to_string(credentials).context("the account cannot be written")?;
        let (directory, json) = (directory.to_owned(), SecretString::from(json));
        on_disk(&self.store, move |store| store.save_account(&directory, &json)).await
    }

    fn check_terms(&self, ca: &Ca) -> anyhow::Result<()> {
        if self.acme.terms_agreed {
            return Ok(());
        }
        let terms = ca.meta().terms_of_service.as_deref().unwrap_or("see its website");
        bail!(
            "the terms of the CA ({terms}) are not agreed to\nhelp: read them, then set `terms_agreed = true` in {}",
            self.acme.section()
        )
    }

    /// The external account binding (RFC 8555, 7.3.4), where one is set.
    fn eab(&self, ca: &Ca) -> anyhow::Result<Option<ExternalAccountKey>> {
        let Some(Eab { key_id, hmac_key_file }) = &self.acme.eab else {
            if ca.meta().external_account_required {
                bail!(
                    "the CA {} takes only accounts that are bound to one on its website\nhelp: set `eab` of {} as the CA \
                     gave it to you",
                    ca.directory(),
                    self.acme.section()
                );
            }
            return Ok(None);
        };
        let text = secret::read(hmac_key_file, &self.ground.env, self.base.as_deref())?;
        let key = hmac_key(text.expose_secret())
            .with_context(|| format!("{} holds no key", hmac_key_file.display()))?;
        Ok(Some(ExternalAccountKey::new(key_id.clone(), &key)))
    }
}

/// CAs give the key in base64url, some with its padding, some in plain base64.
fn hmac_key(text: &str) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let plain =
        Zeroizing::new(text.trim().trim_end_matches('=').replace('+', "-").replace('/', "_"));
    // base64's own error would quote a byte of the key.
    let bytes = URL_SAFE_NO_PAD.decode(plain.as_bytes()).ok();
    bytes.map(Zeroizing::new).context(
        "it is no base64url\nhelp: write the HMAC key into it as the CA shows it, and nothing else",
    )
}

pub(super) fn damaged(directory: &str, error: &serde_json::Error) -> anyhow::Error {
    // The parser's text may quote the file, which holds the key: only where it is wrong is said.
    anyhow!(
        "the stored account for {directory} is damaged at line {}, column {}\nhelp: move its account.json away; a new account is \
         registered then",
        error.line(),
        error.column()
    )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;

    fn check(row: &str, text: &str, wanted: Option<&[u8]>) {
        let got = hmac_key(text).ok();
        assert_eq!(got.as_ref().map(|key| key.as_slice()), wanted, "{row}");
    }

    #[test]
    fn hmac_keys_are_base64_of_any_kind() {
        check("base64url", "-_8", Some(&[0xfb, 0xff]));
        check("with padding", "-_8=\n", Some(&[0xfb, 0xff]));
        check("base64", "+/8=", Some(&[0xfb, 0xff]));
        check("something else", "not a key!", None);
    }

    #[test]
    fn a_damaged_account_does_not_show_its_key() {
        let error =
            serde_json::from_str::<AccountCredentials>(r#"{"id":"x","key_pkcs8":"SECRET!"}"#);
        let text = damaged("https://ca.test", &error.err().unwrap()).to_string();
        assert!(!text.contains("SECRET") && text.contains("line 1"), "{text}");
    }
}
