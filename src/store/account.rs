//! ACME accounts: `acme/HOST/account.json`, one for each directory. Each holds the account's private key. While that
//! changes, `next.json` beside it holds the key that may already count; while an account is registered, `new.json` its key.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use reqwest::Url;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::IgnoredAny;

use super::{Store, files, names, shown};
use crate::secret;

impl Store {
    /// The account (JSON) at the CA with this directory URL; none if there is none yet.
    ///
    /// # Errors
    /// Others may read the file. The disk refuses. The file was damaged: it has been set aside, and the next call
    /// finds none.
    pub fn account(&self, directory: &str) -> anyhow::Result<Option<SecretString>> {
        self.read_account(self.account_path(directory)?)
    }

    /// The account with the key that was to replace its own, if a change of keys was begun and not ended.
    ///
    /// # Errors
    /// As [`Store::account`].
    pub fn next_account(&self, directory: &str) -> anyhow::Result<Option<SecretString>> {
        self.read_account(self.next_path(directory)?)
    }

    /// The account (JSON) that is being registered, or was when a run was killed: the CA may know its key already.
    ///
    /// # Errors
    /// As [`Store::account`].
    pub fn new_account(&self, directory: &str) -> anyhow::Result<Option<SecretString>> {
        self.read_account(self.new_path(directory)?)
    }

    fn read_account(&self, path: PathBuf) -> anyhow::Result<Option<SecretString>> {
        let Some(facts) = files::facts_of(&path)? else {
            return Ok(None);
        };
        let said = shown(&path);
        secret::judge_mode(&facts, &format!("the account key {said}"), &said)?;
        let Some(content) = files::read(&path)? else {
            return Ok(None);
        };
        let text =
            std::str::from_utf8(&content).map_err(|error| error.to_string()).and_then(|text| {
                // The error's text has a line and a column, and nothing of the key.
                let json = serde_json::from_str::<IgnoredAny>(text);
                json.map(|_| SecretString::from(text)).map_err(|error| error.to_string())
            });
        match text {
            Ok(text) => Ok(Some(text)),
            Err(why) => match self.damaged(&path, &content, &why)? {
                Some(said) => bail!(said),
                None => self.read_account(path),
            },
        }
    }

    /// Remembers the account (JSON) with the key that is about to replace its own.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save_next_account(&self, directory: &str, json: &SecretString) -> anyhow::Result<()> {
        self.write_account(&self.next_path(directory)?, json)
    }

    /// The next account's key counts: it takes the place of the old one by one rename.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn adopt_next_account(&self, directory: &str) -> anyhow::Result<()> {
        self.writable()?;
        files::rename(&self.next_path(directory)?, &self.account_path(directory)?)
    }

    /// The next account's key does not count and never will.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn drop_next_account(&self, directory: &str) -> anyhow::Result<()> {
        self.writable()?;
        files::remove(&self.next_path(directory)?)
    }

    /// Remembers the account (JSON) that is about to be registered.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save_new_account(&self, directory: &str, json: &SecretString) -> anyhow::Result<()> {
        self.write_account(&self.new_path(directory)?, json)
    }

    /// The new account is registered, as this JSON has it: it takes the place of any other by one rename.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn adopt_new_account(&self, directory: &str, json: &SecretString) -> anyhow::Result<()> {
        self.save_new_account(directory, json)?;
        files::rename(&self.new_path(directory)?, &self.account_path(directory)?)
    }

    /// The CA takes no account with the new account's key, and never will.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn drop_new_account(&self, directory: &str) -> anyhow::Result<()> {
        self.writable()?;
        files::remove(&self.new_path(directory)?)
    }

    /// Forgets the account at the CA with this directory URL: it has ended.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn drop_account(&self, directory: &str) -> anyhow::Result<()> {
        self.writable()?;
        files::remove(&self.account_path(directory)?)
    }

    /// Where the account at the CA with this directory URL is kept.
    ///
    /// # Errors
    /// It is no URL.
    pub fn account_path(&self, directory: &str) -> anyhow::Result<PathBuf> {
        Ok(self.account_folder(directory)?.join("account.json"))
    }

    fn next_path(&self, directory: &str) -> anyhow::Result<PathBuf> {
        Ok(self.account_folder(directory)?.join("next.json"))
    }

    fn new_path(&self, directory: &str) -> anyhow::Result<PathBuf> {
        Ok(self.account_folder(directory)?.join("new.json"))
    }

    fn account_folder(&self, directory: &str) -> anyhow::Result<PathBuf> {
        Ok(self.root.join("acme").join(folder_for(directory)?))
    }

    fn write_account(&self, path: &Path, json: &SecretString) -> anyhow::Result<()> {
        self.writable()?;
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
        }
        files::write(path, json.expose_secret().as_bytes())
    }
}

/// Host, port if it is not the scheme's own, and 8 hex digits of the whole URL's digest: two directories of one host
/// are two CAs.
pub(super) fn folder_for(directory: &str) -> anyhow::Result<String> {
    let url = Url::parse(directory)
        .with_context(|| format!("the address {} is no URL", names::quoted(directory)))?;
    let host = url.host_str().unwrap_or("none");
    let port = url.port().map(|port| format!("_{port}")).unwrap_or_default();
    let digest = names::digest(&[url.as_str().as_bytes()]);
    Ok(names::file_name(&format!("{host}{port}-{}", &digest[..8])))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::tests::store;
    use super::*;

    const CA: &str = "https://ca.example/dir";

    #[test]
    fn each_directory_has_its_account() {
        let (_top, store) = store();
        let directories = [
            "https://ca.example/dir",
            "https://ca.example/other",
            "https://ca.example:14000/dir",
            "http://ca.example/dir",
            "https://[::1]:14000/dir",
            "https://ca.example/dir?a",
        ];
        for directory in directories {
            assert!(store.account(directory).unwrap().is_none(), "{directory}");
            store
                .adopt_new_account(directory, &format!("{{\"at\":\"{directory}\"}}").into())
                .unwrap();
        }
        for directory in directories {
            let account = store.account(directory).unwrap().unwrap();
            assert_eq!(account.expose_secret(), format!("{{\"at\":\"{directory}\"}}"));
        }
        assert!(store.account("HTTPS://CA.example:443/dir").unwrap().is_some(), "the same URL");
        store.account("no url").unwrap_err();
    }

    #[test]
    fn a_next_key_waits_beside_the_old_one_until_it_counts() {
        let (_top, store) = store();
        let read = |found: anyhow::Result<Option<SecretString>>| {
            found.unwrap().map(|json| json.expose_secret().to_owned())
        };
        store.adopt_new_account(CA, &"1".into()).unwrap();
        store.save_next_account(CA, &"2".into()).unwrap();
        let both = (read(store.account(CA)), read(store.next_account(CA)));
        assert_eq!(both, (Some("1".to_owned()), Some("2".to_owned())));
        store.drop_next_account(CA).unwrap();
        assert_eq!(read(store.next_account(CA)), None);
        store.save_next_account(CA, &"3".into()).unwrap();
        store.adopt_next_account(CA).unwrap();
        let both = (read(store.account(CA)), read(store.next_account(CA)));
        assert_eq!(both, (Some("3".to_owned()), None));
        store.drop_account(CA).unwrap();
        assert_eq!(read(store.account(CA)), None);
    }

    #[test]
    fn a_new_accounts_key_waits_until_it_is_registered() {
        let (_top, store) = store();
        let read = |found: anyhow::Result<Option<SecretString>>| {
            found.unwrap().map(|json| json.expose_secret().to_owned())
        };
        let both = || (read(store.account(CA)), read(store.new_account(CA)));
        store.adopt_new_account(CA, &"1".into()).unwrap();
        store.save_new_account(CA, &"2".into()).unwrap();
        assert_eq!(both(), (Some("1".to_owned()), Some("2".to_owned())));
        store.adopt_new_account(CA, &"3".into()).unwrap();
        assert_eq!(both(), (Some("3".to_owned()), None));
        store.save_new_account(CA, &"4".into()).unwrap();
        store.drop_new_account(CA).unwrap();
        store.drop_new_account(CA).unwrap();
        assert_eq!(both(), (Some("3".to_owned()), None));
    }

    #[test]
    fn folders_have_the_hosts_name() {
        let check = |directory: &str, start: &str| {
            let folder = folder_for(directory).unwrap();
            let digest = folder.strip_prefix(start).unwrap();
            assert!(digest.len() == 8 && digest.bytes().all(|c| c.is_ascii_hexdigit()), "{folder}");
        };
        check("https://acme-v02.api.letsencrypt.org/directory", "acme-v02.api.letsencrypt.org-");
        check("https://127.0.0.1:14000/dir", "127.0.0.1_14000-");
        check("https://[::1]/dir", "%5B%3A%3A1%5D-");
    }

    #[test]
    fn an_account_that_others_may_read_is_refused() {
        let (_top, store) = store();
        store.adopt_new_account(CA, &"{}".into()).unwrap();
        let path = store.account_path(CA).unwrap();
        for (mode, fine) in [(0o600, true), (0o400, true), (0o604, false), (0o602, false)] {
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let found = store.account(CA);
            assert_eq!(found.is_ok(), fine, "{mode:o}");
            assert!(
                found.map_or_else(
                    |error| error.to_string().contains("\nhelp: chmod 600 "),
                    |_| true
                )
            );
        }
    }

    #[test]
    fn a_damaged_account_is_said_and_set_aside() {
        let (_top, store) = store();
        for damaged in ["", "{\"key\":\"s3cret", "\u{0}"] {
            store.adopt_new_account(CA, &damaged.into()).unwrap();
            let error = store.account(CA).unwrap_err().to_string();
            assert!(error.contains("damaged") && !error.contains("s3cret"), "{error}");
            assert!(store.account(CA).unwrap().is_none());
        }
    }
}
