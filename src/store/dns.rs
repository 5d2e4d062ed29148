//! Accounts that we made at DNS servers: `dns/SERVER/DOMAIN.json`. Each holds what lets us set a domain's challenges.

use std::path::PathBuf;

use anyhow::bail;
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::IgnoredAny;

use super::account::folder_for;
use super::{Store, files, names, shown};
use crate::secret;

impl Store {
    /// The account (JSON) for `domain` at the server with this URL; none if there is none yet.
    ///
    /// # Errors
    /// Others may read the file. The disk refuses. The file is damaged: it is not made anew by itself, since a CNAME
    /// leads to what it holds.
    pub fn dns_account(&self, server: &str, domain: &str) -> anyhow::Result<Option<SecretString>> {
        let path = self.dns_account_path(server, domain)?;
        let Some(facts) = files::facts_of(&path)? else { return Ok(None) };
        let said = shown(&path);
        secret::judge_mode(&facts, &format!("the account file {said}"), &said)?;
        let Some(content) = files::read(&path)? else { return Ok(None) };
        let text = std::str::from_utf8(&content).ok();
        match text.filter(|text| serde_json::from_str::<IgnoredAny>(text).is_ok()) {
            Some(text) => Ok(Some(SecretString::from(text))),
            None => bail!(
                "{said} is damaged\nhelp: put it back from a backup; else remove it, and set the CNAME of {domain} anew when you are told"
            ),
        }
    }

    /// Remembers an account (JSON).
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save_dns_account(
        &self,
        server: &str,
        domain: &str,
        account: &SecretString,
    ) -> anyhow::Result<()> {
        self.writable()?;
        let path = self.dns_account_path(server, domain)?;
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
        }
        files::write(&path, account.expose_secret().as_bytes())
    }

    fn dns_account_path(&self, server: &str, domain: &str) -> anyhow::Result<PathBuf> {
        let file = format!("{}.json", names::file_name(domain));
        Ok(self.root.join("dns").join(folder_for(server)?).join(file))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::tests::store;
    use super::*;

    const SERVER: &str = "https://auth.example.org";

    #[test]
    fn each_domain_has_its_account_at_each_server() {
        let (_top, store) = store();
        let places = [
            (SERVER, "example.com"),
            (SERVER, "example.net"),
            ("https://auth.example.org:8443", "example.com"),
        ];
        for (server, domain) in places {
            assert!(store.dns_account(server, domain).unwrap().is_none(), "{server} {domain}");
            let account = format!("{{\"for\":\"{domain} at {server}\"}}");
            store.save_dns_account(server, domain, &account.into()).unwrap();
        }
        for (server, domain) in places {
            let account = store.dns_account(server, domain).unwrap().unwrap();
            assert!(account.expose_secret().contains(&format!("{domain} at {server}")));
            let path = store.dns_account_path(server, domain).unwrap();
            let mode = std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600);
        }
    }

    #[test]
    fn one_that_cannot_be_used_is_said_and_stays() {
        let (_top, store) = store();
        let path = store.dns_account_path(SERVER, "example.com").unwrap();
        let says = |part: &str| {
            let error = store.dns_account(SERVER, "example.com").unwrap_err().to_string();
            assert!(error.contains(part) && error.contains("help: "), "{error}");
            assert!(path.exists());
        };
        store.save_dns_account(SERVER, "example.com", &"{\"password\":\"S3C".into()).unwrap();
        says("damaged");
        std::fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
        says("chmod 600");
    }
}
