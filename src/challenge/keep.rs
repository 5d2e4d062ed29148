//! What DNS accesses must remember is kept in the store.

use secrecy::SecretString;

use crate::dns::Keep;
use crate::store::Store;

/// The store. Its files are small and read once a run: it is not worth a thread of its own.
pub(super) struct InStore(pub(super) Store);

impl Keep for InStore {
    fn read(&self, server: &str, domain: &str) -> anyhow::Result<Option<SecretString>> {
        self.0.dns_account(server, domain)
    }

    fn save(&self, server: &str, domain: &str, account: &SecretString) -> anyhow::Result<()> {
        self.0.save_dns_account(server, domain, account)
    }
}
