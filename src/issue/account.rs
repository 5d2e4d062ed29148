//! The account at the CA (RFC 8555, 7.3): restored from the store, registered where there is none.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use instant_acme::{Account, AccountCredentials, Error};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use zeroize::Zeroizing;

use super::acme::{Ca, Line};
use super::jws::{AccountKey, Binding, Signer};
use super::registered::kept;
use super::{Failure, Issuer, Standing, not_locked, refusal};
use crate::challenge::on_disk;
use crate::config::Eab;
use crate::secret;
use crate::store::Wait;

/// An account, and the line by which it speaks.
pub(super) struct Session {
    pub(super) account: Account,
    pub(super) line: Line,
}

impl Session {
    /// A call that failed.
    pub(super) fn failure(&self, doing: &str, error: Error) -> Failure {
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
            None => self.register_once(&ca, None, &mut refused).await,
        }
    }

    /// A session after the CA said that it does not know the account: a new one, unless another order was quicker.
    pub(super) async fn session_anew(&self, unknown: &Session) -> Result<Session, Failure> {
        let mut refused = self.registering.lock().await;
        self.register_once(unknown.line.ca(), Some(unknown.account.id()), &mut refused).await
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
        unknown: Option<&str>,
        refused: &mut Option<Standing>,
    ) -> Result<Session, Failure> {
        if let Some(refused) = refused {
            return Err(refused.again());
        }
        let registered = self.register(ca, unknown).await;
        *refused = registered.as_ref().err().map(Standing::of);
        registered
    }

    /// Registers in place of an account that is `unknown` to the CA, unless another run or order was quicker.
    async fn register(&self, ca: &Arc<Ca>, unknown: Option<&str>) -> Result<Session, Failure> {
        let wait = Wait { until: None, stop: &self.ground.stop, say: &self.ground.say };
        let lock = self.store.lock_registering(ca.directory(), wait).await;
        let _lock = lock.map_err(not_locked)?;
        if let Some(json) = self.stored_account(ca).await? {
            let session = self.restore(ca, &json).await?;
            if unknown != Some(session.account.id()) {
                return Ok(session);
            }
            self.ground.say.line(format!(
                "the CA does not know the account {} any more: registering a new one",
                session.account.id()
            ));
        }
        self.check_terms(ca)?;
        let binding = self.binding(ca)?;
        let (key, kept) = self.new_key(ca).await?;
        let line = Line::new(ca);
        let url = match self.ask_account(&line, &key, binding.as_ref()).await {
            Ok(url) => url,
            Err(error) => return Err(self.not_registered(&line, kept, error).await),
        };
        let json = SecretString::from(key.kept(&url, ca.directory()).to_string());
        let (directory, adopted) = (ca.directory().to_owned(), json.clone());
        self.act(move |store| store.adopt_new_account(&directory, &adopted)).await?;
        self.ground.say.line(format!("registered the account {url}"));
        self.restore(ca, &json).await
    }

    /// The key of an account to be registered, on disk before the CA hears of it. One that a killed run has left, or one
    /// whose answer was lost, may have an account already: newAccount gives that again (RFC 8555, 7.3).
    async fn new_key(&self, ca: &Ca) -> anyhow::Result<(AccountKey, KeyOf)> {
        let directory = ca.directory().to_owned();
        let left = on_disk(&self.store, move |store| store.new_account(&directory)).await?;
        let left = left.and_then(|json| kept(ca, &json).ok()?.key().ok());
        if let Some(key) = left {
            return Ok((key, KeyOf::EarlierRun));
        }
        let key = AccountKey::generate()?;
        let directory = ca.directory().to_owned();
        let json = SecretString::from(key.kept("", &directory).to_string());
        self.act(move |store| store.save_new_account(&directory, &json)).await?;
        Ok((key, KeyOf::ThisRun))
    }

    /// newAccount (RFC 8555, 7.3): the URL of the account that this key has from now on, or had before.
    async fn ask_account(
        &self,
        line: &Line,
        key: &AccountKey,
        binding: Option<&Binding>,
    ) -> Result<String, Error> {
        let url = &line.ca().urls().new_account;
        let contact: Vec<_> = self.acme.contact.iter().map(|to| format!("mailto:{to}")).collect();
        let mut wish = json!({"termsOfServiceAgreed": true});
        if !contact.is_empty() {
            wish["contact"] = contact.into();
        }
        if let Some(binding) = binding {
            let bound = binding.sign(key, url).map_err(|error| Error::Other(error.into()))?;
            wish["externalAccountBinding"] = bound;
        }
        let signer = Signer { key, account: None };
        line.post(&signer, url, Some(&wish)).await?;
        line.heard().location.ok_or(Error::Str("it gives no URL of the account"))
    }

    /// A key that the CA refuses in two runs is of no use: its account may have ended. A new one cannot be to blame, and
    /// with a refusal that is not the CA's word it may have an account all the same.
    async fn not_registered(&self, line: &Line, key: KeyOf, error: Error) -> Failure {
        let is_of_key = matches!(refusal::kind_of(&error), Some("unauthorized" | "badPublicKey"));
        let failure = refusal::of_account("the new account", error, line.heard());
        if key == KeyOf::ThisRun || !is_of_key {
            return failure;
        }
        let directory = line.ca().directory().to_owned();
        match self.act(move |store| store.drop_new_account(&directory)).await {
            Ok(()) => failure,
            Err(disk) => failure.beside(&format!("its key cannot be forgotten: {disk:#}")),
        }
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
    fn binding(&self, ca: &Ca) -> anyhow::Result<Option<Binding>> {
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
        Ok(Some(Binding { key_id: key_id.clone(), key }))
    }
}

/// Which run made the key of an account to be registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeyOf {
    ThisRun,
    EarlierRun,
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
