//! Copies: versions of what another client issued, or somebody gave by hand. Nothing points at them from `live/`, as
//! the client has such a folder itself. A copy is filled under a temporary name and becomes visible by one rename.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;
use secrecy::ExposeSecret as _;

use super::versions::{KEY, LEAF, write_chain_files};
use super::{Store, files, names};
use crate::cert::{Cert, Fingerprint, Leaf};
use crate::journal::GIVEN;

impl Store {
    /// Keeps a Cert as the newest version of a lineage, and answers its number. One that is kept already is well.
    /// Called under the lineage's lock.
    ///
    /// # Errors
    /// The disk refuses; then there is no new version.
    pub fn keep_version(&self, lineage: &str, cert: &Cert) -> anyhow::Result<u32> {
        self.writable()?;
        if let Some(version) = self.version_number(lineage, cert.leaf().fingerprint)? {
            return Ok(version);
        }
        let archive = self.archive_path(lineage);
        files::make_folder(&archive)?;
        files::sweep_folders(&archive);
        let version = self.numbers(lineage)?.last().map_or(1, |last| last.saturating_add(1));
        let filled = files::new_folder_in(&archive)?;
        let kept = fill(&filled, cert)
            .and_then(|()| files::publish(&filled, &self.version_path(lineage, version)));
        match kept {
            Ok(()) => Ok(version),
            Err(error) => {
                // What stays all the same is swept by the next run.
                files::remove_folder(&filled).ok();
                Err(error)
            }
        }
    }

    /// Number of the complete version with this leaf, the newest first; none: no such version is kept.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn version_number(
        &self,
        lineage: &str,
        fingerprint: Fingerprint,
    ) -> anyhow::Result<Option<u32>> {
        for version in self.numbers(lineage)?.into_iter().rev() {
            let leaf = self.version_leaf(lineage, version)?;
            let is_it = leaf.is_some_and(|leaf| leaf.fingerprint == fingerprint);
            if is_it && self.is_complete(lineage, version)? {
                return Ok(Some(version));
            }
        }
        Ok(None)
    }

    /// The Cert of the version with this leaf; none: no such version is kept.
    ///
    /// # Errors
    /// The disk refuses, or the files are no Cert.
    pub fn version_with(
        &self,
        lineage: &str,
        fingerprint: Fingerprint,
    ) -> anyhow::Result<Option<Cert>> {
        match self.version_number(lineage, fingerprint)? {
            Some(version) => self.version(lineage, version),
            None => Ok(None),
        }
    }

    /// Facts of a version, without a look at its key; none where it has no leaf that can be read.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn version_leaf(&self, lineage: &str, version: u32) -> anyhow::Result<Option<Leaf>> {
        let content = files::read(&self.version_path(lineage, version).join(LEAF))?;
        Ok(content.and_then(|content| Leaf::read(&content).ok()))
    }

    /// The names of what was given by hand and is pinned by no lineage any more. A pin that is over holds nothing, also
    /// where nobody keeps its lineage in step who would end it.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn unpinned(&self, now: Timestamp) -> anyhow::Result<Vec<String>> {
        let start = names::file_name(GIVEN);
        let kept = files::names_in(&self.root.join("archive"))?;
        let given: Vec<String> = kept
            .iter()
            .filter_map(|name| name.to_str()?.strip_prefix(&start))
            .map(|fingerprint| format!("{GIVEN}{fingerprint}"))
            .collect();
        if given.is_empty() {
            return Ok(given);
        }
        let mut pins = self.all_pins()?;
        pins.retain(|pin| pin.until > now);
        let pinned: BTreeSet<String> =
            pins.iter().map(|pin| format!("{GIVEN}{}", pin.fingerprint)).collect();
        Ok(given.into_iter().filter(|name| !pinned.contains(name)).collect())
    }

    /// Drops all versions of a lineage that nobody points at. Called under its lock.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn drop_versions(&self, lineage: &str) -> anyhow::Result<()> {
        for version in self.numbers(lineage)? {
            self.drop_version(lineage, version)?;
        }
        files::remove_folder(&self.archive_path(lineage))
    }
}

fn fill(folder: &Path, cert: &Cert) -> anyhow::Result<()> {
    files::write(&folder.join(KEY), cert.key().pkcs8_pem().expose_secret().as_bytes())?;
    write_chain_files(folder, cert)
}

#[cfg(test)]
mod tests;
