//! Claims: what hooks asked to keep in step. A file each, written by rename and under no lock, so that a hook never
//! waits before it has left its word.

use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::{Store, files, names};
use crate::journal::Claim;

/// The claims, and what is to be said about those that cannot be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// In the order in which the hooks were called; at one instant, by client and source.
    pub claims: Vec<Claim>,
    /// A text with a `help:` line for each damaged one. Where the store may be written they have been set aside.
    pub warnings: Vec<String>,
}

impl Store {
    /// All claims, the latest hook call last.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn claims(&self) -> anyhow::Result<Claims> {
        let (mut claims, warnings) = self.entries::<Claim>(&self.root.join("claims"))?;
        claims.sort_by(|a, b| {
            (a.at, &a.client, &a.source.path).cmp(&(b.at, &b.client, &b.source.path))
        });
        Ok(Claims { claims, warnings })
    }

    /// Writes a claim in place of the one with the same client and source's path. Makes the store's folder if it is gone.
    ///
    /// # Errors
    /// The disk refuses, or the path of the source is not UTF-8.
    pub fn put_claim(&self, claim: &Claim) -> anyhow::Result<()> {
        self.put_entry(&self.claim_path(&claim.client, &claim.source.path), claim)
    }

    /// Forgets a claim; one that is forgotten already is well.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn drop_claim(&self, client: &str, source: &Path) -> anyhow::Result<()> {
        self.writable()?;
        files::remove(&self.claim_path(client, source))
    }

    fn claim_path(&self, client: &str, source: &Path) -> PathBuf {
        let name = names::digest(&[client.as_bytes(), source.as_os_str().as_bytes()]);
        self.root.join("claims").join(format!("{name}.json"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use std::ffi::OsStr;

    use jiff::Timestamp;

    use super::super::tests::store;
    use super::*;
    use crate::config::Source;

    fn claim(client: &str, source: &str, second: i64) -> Claim {
        Claim {
            client: client.into(),
            source: source.into(),
            name: "../../x\n".into(),
            names: vec!["*.example.com".into()],
            targets: Vec::new(),
            guessed: false,
            discovers: None,
            at: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn the_latest_call_is_last() {
        let (_top, store) = store();
        let sorted = [
            claim("lego", "/z", 1),
            claim("certbot", "/a", 2),
            claim("certbot", "/b", 2),
            claim("lego", "/a", 2),
            claim("certbot", "/../\n%2F", 3),
        ];
        for claim in sorted.iter().rev() {
            store.put_claim(claim).unwrap();
        }
        assert_eq!(store.claims().unwrap(), Claims { claims: sorted.into(), warnings: vec![] });
    }

    #[test]
    fn a_claim_is_known_by_client_and_source() {
        let (_top, store) = store();
        store.put_claim(&claim("certbot", "/a", 1)).unwrap();
        store.put_claim(&claim("certbot", "/a", 5)).unwrap();
        store.put_claim(&claim("certbo", "t/a", 6)).unwrap();
        store.drop_claim("certbo", Path::new("t/a")).unwrap();
        store.drop_claim("certbo", Path::new("t/a")).unwrap();
        assert_eq!(store.claims().unwrap().claims, [claim("certbot", "/a", 5)]);
    }

    #[test]
    fn a_claim_needs_no_folder_and_no_lock() {
        let (top, store) = store();
        std::fs::remove_dir_all(store.root()).unwrap();
        store.put_claim(&claim("certbot", "/a", 1)).unwrap();
        let _held = store.lock_store().unwrap();
        store.put_claim(&claim("certbot", "/b", 1)).unwrap();
        assert_eq!(store.claims().unwrap().claims.len(), 2);
        assert!(top.path().join("s/claims").is_dir());
    }

    #[test]
    fn a_damaged_claim_is_said_and_set_aside() {
        let (_top, store) = store();
        store.put_claim(&claim("certbot", "/a", 1)).unwrap();
        files::write(&store.claim_path("certbot", Path::new("/b")), b"{\"client\":").unwrap();
        let reading = Store::existing(store.root()).unwrap().unwrap();
        for (store, times) in [(&reading, 2), (&store, 1)] {
            for _ in 0..times {
                let found = store.claims().unwrap();
                assert_eq!((found.claims.len(), found.warnings.len()), (1, 1), "{found:?}");
                assert!(found.warnings[0].contains("\nhelp: "), "{found:?}");
            }
        }
        assert_eq!(store.claims().unwrap().warnings, Vec::<String>::new());
        assert_eq!(files::names_in(&store.root().join("claims")).unwrap().len(), 2);
    }

    #[test]
    fn a_path_that_is_no_text_is_refused() {
        let (_top, store) = store();
        let mut odd = claim("certbot", "/a", 1);
        odd.source = Source::folder(OsStr::from_bytes(b"/\xff"));
        store.put_claim(&odd).unwrap_err();
        assert_eq!(store.claims().unwrap(), Claims::default());
    }
}
