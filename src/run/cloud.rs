//! What runs share of the cloud's accounts: the pace of an AccessKey, and which API takes the uploads.

use std::path::PathBuf;

use super::Run;
use crate::aliyun::Account;
use crate::ground::Env;
use crate::journal::AccountMemory;
use crate::store::Store;
use crate::told;

/// The folders in the first usable of which the pace is shared: the host's for this user, then the store's own.
pub(super) fn pace_folders(env: &Env, store: Option<&Store>, user: u32) -> Vec<PathBuf> {
    let of_host = match user {
        0 => Some(PathBuf::from("/run")),
        _ => env.var("XDG_RUNTIME_DIR").map(PathBuf::from),
    };
    let of_host = of_host.map(|folder| folder.join("certferry"));
    of_host.into_iter().chain(store.and_then(Store::locks_folder)).collect()
}

impl Run {
    /// Nothing is uploaded in this run, and nothing is written for the sake of others.
    pub fn only_looks(&mut self) {
        self.pace_folders.clear();
    }

    /// The account, as far as earlier runs have learned which API takes its uploads.
    pub(super) fn recall(&self, account: Account) -> Account {
        let Some(store) = self.store.as_ref().filter(|_| account.is_auto()) else { return account };
        let now = self.ground.clock.now();
        match store.aliyun(account.name()) {
            Ok(memory) if memory.is_superseded(now) => account.superseded(),
            Ok(_) => account,
            Err(error) => {
                self.warn(told::text(&error));
                account
            }
        }
    }

    /// What an upload has taught of the account, for the runs to come.
    pub(super) async fn learn(&self, account: &Account, was_superseded: bool) {
        let is_superseded = account.is_superseded();
        if is_superseded == was_superseded {
            return;
        }
        let name = account.name().to_owned();
        if is_superseded {
            self.warn(format!(
                "the cloud does not know SetDomainServerCertificate any more: SetCdnDomainSSLCertificate takes the uploads of [aliyun.{name}] for the next 30 days\nhelp: write cdn_api = \"SetCdnDomainSSLCertificate\" into [aliyun.{name}] to ask for nothing else"
            ));
        }
        let superseded = is_superseded.then(|| self.ground.clock.now());
        self.keep(move |store| store.put_aliyun(&name, &AccountMemory { superseded })).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn where_the_pace_is_shared() {
        let top = tempfile::tempdir().unwrap();
        let store = Store::open(&top.path().join("s")).unwrap();
        let locks = store.locks_folder().unwrap();
        let reading = Store::existing(store.root()).unwrap();
        let check = |row: &str, user: u32, runtime: &str, store: Option<&Store>, want: &[&str]| {
            let env = Env::from_iter([("XDG_RUNTIME_DIR", runtime)]);
            let mut want: Vec<PathBuf> = want.iter().map(PathBuf::from).collect();
            want.extend(store.and_then(Store::locks_folder));
            assert_eq!(pace_folders(&env, store, user), want, "{row}");
        };
        check("root", 0, "/run/user/0", Some(&store), &["/run/certferry"]);
        check("root without a store", 0, "", None, &["/run/certferry"]);
        check("a store that cannot be written", 0, "", reading.as_ref(), &["/run/certferry"]);
        check("a user", 1000, "/run/user/1000", Some(&store), &["/run/user/1000/certferry"]);
        check("a user who has not logged in", 1000, "", Some(&store), &[]);
        assert!(locks.starts_with(top.path()), "the store's own is the last");
    }
}
