//! Versions: `archive/NAME/0001/{privkey,fullchain,cert,chain}.pem`, and `live/NAME`, the one pointer that moves.
//!
//! A version begins with its key alone, before the CSR leaves. `fullchain.pem` is written last and makes it complete;
//! then one rename moves `live/NAME`, so chain and key change together. Nothing here is ever overwritten.
//! All that changes versions is called under [`Store::lock_lineage`].

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use secrecy::ExposeSecret as _;

use super::files::Bytes;
use super::{Store, files, names, shown};
use crate::cert::{Cert, Fingerprint, Key, Leaf, to_pem};

impl Store {
    /// The Cert that counts; none before the first version was complete.
    ///
    /// # Errors
    /// The disk refuses, or the files are no Cert (which no run and no kill of ours leaves behind).
    pub fn live(&self, lineage: &str) -> anyhow::Result<Option<Cert>> {
        self.of_live(lineage, |version| self.version(lineage, version))
    }

    /// Facts of the Cert that counts, without a look into its key: for those who look at ten thousand.
    ///
    /// # Errors
    /// As [`Store::live`].
    pub fn live_leaf(&self, lineage: &str) -> anyhow::Result<Option<Leaf>> {
        self.of_live(lineage, |version| {
            if !self.is_complete(lineage, version)? {
                return Ok(None);
            }
            let path = self.version_path(lineage, version).join(LEAF);
            let Some(content) = files::read(&path)? else {
                // The chain begins with it too.
                return Ok(self.version(lineage, version)?.map(|cert| cert.leaf().clone()));
            };
            let leaf =
                Leaf::read(&content).with_context(|| format!("{} is damaged", shown(&path)))?;
            Ok(Some(leaf))
        })
    }

    /// Number of the version that counts.
    ///
    /// # Errors
    /// The disk refuses, or `live/NAME` is no link to a version.
    pub fn live_version(&self, lineage: &str) -> anyhow::Result<Option<u32>> {
        let link = self.live_path(lineage);
        let Some(target) = files::pointed_at(&link)? else {
            return Ok(None);
        };
        match target.file_name().and_then(|name| number(&name.to_string_lossy())) {
            Some(version) if target == live_target(lineage, version) => Ok(Some(version)),
            Some(_) | None => {
                let link = shown(&link);
                Err(anyhow!(
                    "the link {link} points at {}, which is no version of ours\n\
                     help: rm {link}; the next run makes it anew",
                    shown(&target)
                ))
            }
        }
    }

    /// Numbers of the complete versions, the oldest first.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn versions(&self, lineage: &str) -> anyhow::Result<Vec<u32>> {
        let mut complete = Vec::new();
        for version in self.numbers(lineage)? {
            if self.is_complete(lineage, version)? {
                complete.push(version);
            }
        }
        Ok(complete)
    }

    /// The Cert of a version; none where it is not complete.
    ///
    /// # Errors
    /// The disk refuses, or the files are no Cert.
    pub fn version(&self, lineage: &str, version: u32) -> anyhow::Result<Option<Cert>> {
        let folder = self.version_path(lineage, version);
        let (chain, key) = (files::read(&folder.join(FULLCHAIN))?, files::read(&folder.join(KEY))?);
        let (Some(chain), Some(key)) = (chain, key) else {
            return Ok(None);
        };
        let cert = Cert::read(&chain, &key).with_context(|| {
            format!("{} and its key are no Cert", shown(&folder.join(FULLCHAIN)))
        })?;
        Ok(Some(cert))
    }

    /// Begins a version: its key is on the disk, also after a power cut, when this returns its number.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn begin_version(&self, lineage: &str, key: &Key) -> anyhow::Result<u32> {
        self.writable()?;
        files::make_folder(&self.archive_path(lineage))?;
        let version = self.numbers(lineage)?.last().map_or(1, |last| last.saturating_add(1));
        let folder = self.version_path(lineage, version);
        files::make_new_folder(&folder)
            .map_err(|error| files::failed("make the folder", &folder, &error))?;
        files::write(&folder.join(KEY), key.pkcs8_pem().expose_secret().as_bytes())?;
        Ok(version)
    }

    /// The key of a version, complete or not; none where there is none.
    ///
    /// # Errors
    /// The disk refuses, or the file holds no key.
    pub fn version_key(&self, lineage: &str, version: u32) -> anyhow::Result<Option<Key>> {
        let path = self.version_path(lineage, version).join(KEY);
        let Some(content) = files::read(&path)? else {
            return Ok(None);
        };
        let key = Key::read(&content).with_context(|| format!("{} is damaged", shown(&path)))?;
        Ok(Some(key))
    }

    /// Completes a version by its chain, and makes it the one that counts unless a newer one does. Doing it again, or
    /// after a kill, is doing it once.
    ///
    /// # Errors
    /// The chain is not the key's; the version is complete with another leaf; the disk refuses. The old version then
    /// counts.
    pub fn complete_version(
        &self,
        lineage: &str,
        version: u32,
        chain_pem: &str,
    ) -> anyhow::Result<Cert> {
        let key = self.key_bytes(lineage, version)?;
        let cert = Cert::read(chain_pem.as_bytes(), &key).with_context(|| {
            format!(
                "the chain for version {version:04} of {} is not its key's",
                names::quoted(lineage)
            )
        })?;
        self.complete(lineage, version, &cert)?;
        Ok(cert)
    }

    /// Drops a version that leads nowhere; one that is gone already is well. An order that needs it is forgotten first.
    ///
    /// # Errors
    /// It is the one that counts, or the disk refuses.
    pub fn drop_version(&self, lineage: &str, version: u32) -> anyhow::Result<()> {
        self.writable()?;
        if self.live_version(lineage)? == Some(version) {
            bail!("version {version:04} of {} is the one that counts", names::quoted(lineage));
        }
        // Without its chain it is no complete version any more: a kill in the middle leaves nothing half.
        files::remove(&self.version_path(lineage, version).join(FULLCHAIN))?;
        files::remove_folder(&self.version_path(lineage, version))
    }

    /// Drops versions, but for: the last `keep` complete ones, those with a leaf in `needed`, the one that counts, the
    /// pinned one, and the one that holds the key of the order under way. Called between orders, never within one.
    ///
    /// # Errors
    /// The disk refuses, or the journal of the lineage is damaged; what was not dropped is dropped the next time.
    pub fn prune(&self, lineage: &str, keep: usize, needed: &[Fingerprint]) -> anyhow::Result<()> {
        self.writable()?;
        let live = self.live_version(lineage)?;
        let memory = self.lineage(lineage)?;
        let ordered = memory.order.map(|order| order.version);
        let pinned = memory.pins.iter().map(|pin| pin.fingerprint);
        let needed: Vec<Fingerprint> = needed.iter().copied().chain(pinned).collect();
        let complete = self.versions(lineage)?;
        let last = &complete[complete.len().saturating_sub(keep)..];
        for version in self.numbers(lineage)? {
            let held = live == Some(version) || ordered == Some(version) || last.contains(&version);
            if held || self.is_needed(lineage, version, &needed) {
                files::sweep(&self.version_path(lineage, version), |_| true);
            } else {
                self.drop_version(lineage, version)?;
            }
        }
        Ok(())
    }

    fn of_live<T>(
        &self,
        lineage: &str,
        read: impl Fn(u32) -> anyhow::Result<Option<T>>,
    ) -> anyhow::Result<Option<T>> {
        let mut seen = None;
        while let Some(version) = self.live_version(lineage)? {
            if let Some(found) = read(version)? {
                return Ok(Some(found));
            }
            // Between the two looks another run may have moved the link and dropped the version.
            if seen == Some(version) {
                let link = shown(&self.live_path(lineage));
                bail!(
                    "the link {link} points at version {version:04}, which is not complete\n\
                     help: rm {link}; the next run makes it anew"
                );
            }
            seen = Some(version);
        }
        Ok(None)
    }

    fn complete(&self, lineage: &str, version: u32, cert: &Cert) -> anyhow::Result<()> {
        self.writable()?;
        self.write_chain(lineage, version, cert)?;
        if self.counts_or_newer(lineage, version) {
            return Ok(());
        }
        let link = self.live_path(lineage);
        if let Some(folder) = link.parent() {
            files::make_folder(folder)?;
        }
        files::point(&link, &live_target(lineage, version))
    }

    fn write_chain(&self, lineage: &str, version: u32, cert: &Cert) -> anyhow::Result<()> {
        let folder = self.version_path(lineage, version);
        // What is there and cannot be read was not written by us whole: it is written again.
        if let Ok(Some(there)) = self.version(lineage, version) {
            if there.leaf().fingerprint != cert.leaf().fingerprint {
                bail!(
                    "version {version:04} of {} is complete with another certificate",
                    names::quoted(lineage)
                );
            }
            if there.chain() == cert.chain() {
                return Ok(());
            }
        }
        write_chain_files(&folder, cert)
    }

    /// This version or a newer one counts. Not so if that cannot be read: then it must not stand in the way.
    fn counts_or_newer(&self, lineage: &str, version: u32) -> bool {
        let live = self.live_version(lineage).ok().flatten().filter(|live| *live >= version);
        live.is_some_and(|live| matches!(self.version(lineage, live), Ok(Some(_))))
    }

    fn is_needed(&self, lineage: &str, version: u32, needed: &[Fingerprint]) -> bool {
        if needed.is_empty() {
            return false;
        }
        // One that cannot be read can be uploaded nowhere.
        let cert = self.version(lineage, version).ok().flatten();
        cert.is_some_and(|cert| needed.contains(&cert.leaf().fingerprint))
    }

    pub(super) fn is_complete(&self, lineage: &str, version: u32) -> anyhow::Result<bool> {
        let folder = self.version_path(lineage, version);
        let there = |name: &str| files::facts_of(&folder.join(name)).map(|facts| facts.is_some());
        Ok(there(FULLCHAIN)? && there(KEY)?)
    }

    fn key_bytes(&self, lineage: &str, version: u32) -> anyhow::Result<Bytes> {
        let path = self.version_path(lineage, version).join(KEY);
        files::read(&path)?.with_context(|| format!("there is no {}", shown(&path)))
    }

    /// Numbers of all versions, complete or not, ascending.
    pub(super) fn numbers(&self, lineage: &str) -> anyhow::Result<Vec<u32>> {
        let names = files::names_in(&self.archive_path(lineage))?;
        let mut numbers: Vec<u32> =
            names.iter().filter_map(|name| number(&name.to_string_lossy())).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    pub(super) fn archive_path(&self, lineage: &str) -> PathBuf {
        self.root.join("archive").join(names::file_name(lineage))
    }

    pub(super) fn version_path(&self, lineage: &str, version: u32) -> PathBuf {
        self.archive_path(lineage).join(digits(version))
    }

    fn live_path(&self, lineage: &str) -> PathBuf {
        self.root.join("live").join(names::file_name(lineage))
    }
}

/// The chain, `fullchain.pem` last.
pub(super) fn write_chain_files(folder: &Path, cert: &Cert) -> anyhow::Result<()> {
    files::write(&folder.join(LEAF), cert.leaf_pem().as_bytes())?;
    files::write(&folder.join("chain.pem"), cert.issuers_pem().as_bytes())?;
    // With its root, where a private CA hands it out: our own checks see by it where the chain leads.
    files::write(&folder.join(FULLCHAIN), to_pem(cert.chain()).as_bytes())
}

/// Relative, so that the whole store may be moved or mounted elsewhere.
fn live_target(lineage: &str, version: u32) -> PathBuf {
    Path::new("../archive").join(names::file_name(lineage)).join(digits(version))
}

/// Four digits sort well in `ls`; the 10,000th version has five.
fn digits(version: u32) -> String {
    format!("{version:04}")
}

fn number(name: &str) -> Option<u32> {
    name.parse().ok().filter(|version| *version > 0 && digits(*version) == name)
}

pub(super) const KEY: &str = "privkey.pem";
pub(super) const LEAF: &str = "cert.pem";

/// Written last: it makes a version complete.
pub(super) const FULLCHAIN: &str = "fullchain.pem";

#[cfg(test)]
mod tests;
