//! The journal: what is remembered between runs, a JSON file for each thing, written whole.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use jiff::{SignedDuration, Timestamp};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Access, Store, files, names, shown};
use crate::cert::Fingerprint;
use crate::config::Target;
use crate::journal::{AccountMemory, LineageMemory, Pin, Record, TargetMemory};

impl Store {
    /// What is remembered of a lineage; nothing (the default) if there is nothing.
    ///
    /// # Errors
    /// The disk refuses. Or the file was damaged: it has been set aside and the next call finds nothing.
    pub fn lineage(&self, name: &str) -> anyhow::Result<LineageMemory> {
        Ok(self.entry(&self.lineage_path(name))?.unwrap_or_default())
    }

    /// Every fingerprint in the succession of any lineage, and what is to be said of damaged files.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn fingerprints(&self) -> anyhow::Result<(BTreeSet<Fingerprint>, Vec<String>)> {
        let (lineages, damaged) = self.entries::<LineageMemory>(&self.root.join(LINEAGES))?;
        let all = lineages.into_iter().flat_map(|memory| memory.succession);
        Ok((all.collect(), damaged))
    }

    /// Changes what is remembered of a lineage. Reads, changes, writes under the store's lock; waits for the disk.
    ///
    /// # Errors
    /// As [`Store::lineage`]; then nothing was changed.
    pub fn update_lineage(
        &self,
        name: &str,
        change: impl FnOnce(&mut LineageMemory),
    ) -> anyhow::Result<()> {
        self.update(&self.lineage_path(name), change)
    }

    /// The pins of all lineages.
    ///
    /// # Errors
    /// The disk refuses, or the memory of a lineage is damaged: then it is not known what is pinned.
    pub(super) fn all_pins(&self) -> anyhow::Result<Vec<Pin>> {
        let (lineages, damaged) = self.entries::<LineageMemory>(&self.root.join(LINEAGES))?;
        if !damaged.is_empty() {
            return Err(anyhow!(damaged.join("\n")));
        }
        Ok(lineages.into_iter().flat_map(|memory| memory.pins).collect())
    }

    /// What is remembered of a target; nothing (the default) if there is nothing.
    ///
    /// # Errors
    /// As [`Store::lineage`].
    pub fn target(&self, target: &Target) -> anyhow::Result<TargetMemory> {
        Ok(self.entry(&self.target_path(target))?.unwrap_or_default())
    }

    /// Changes what is remembered of a target. Reads, changes, writes under the store's lock; waits for the disk.
    ///
    /// # Errors
    /// As [`Store::lineage`]; then nothing was changed.
    pub fn update_target(
        &self,
        target: &Target,
        change: impl FnOnce(&mut TargetMemory),
    ) -> anyhow::Result<()> {
        self.update(&self.target_path(target), change)
    }

    /// What is remembered of the account `[aliyun.NAME]`; nothing (the default) if there is nothing.
    ///
    /// # Errors
    /// As [`Store::lineage`].
    pub fn aliyun(&self, name: &str) -> anyhow::Result<AccountMemory> {
        Ok(self.entry(&self.aliyun_path(name))?.unwrap_or_default())
    }

    /// Remembers this of the account `[aliyun.NAME]`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn put_aliyun(&self, name: &str, memory: &AccountMemory) -> anyhow::Result<()> {
        self.put_entry(&self.aliyun_path(name), memory)
    }

    /// All TXT records that we put or were about to put, ordered by lineage, name and value.
    ///
    /// # Errors
    /// The disk refuses. Or some were damaged: all of those are named and have been set aside, and the next call
    /// finds the others.
    pub fn records(&self) -> anyhow::Result<Vec<Record>> {
        let (mut records, damaged) = self.entries::<Record>(&self.root.join(RECORDS))?;
        if !damaged.is_empty() {
            return Err(anyhow!(damaged.join("\n")));
        }
        records
            .sort_by(|a, b| (&a.lineage, &a.name, &a.value).cmp(&(&b.lineage, &b.name, &b.value)));
        Ok(records)
    }

    /// Remembers a TXT record, in place of the one with the same dns, name, value and order.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn put_record(&self, record: &Record) -> anyhow::Result<()> {
        self.put_entry(&self.record_path(record), record)
    }

    /// Forgets the TXT record with the same dns, name, value and order; one that is forgotten already is well.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn drop_record(&self, record: &Record) -> anyhow::Result<()> {
        self.writable()?;
        files::remove(&self.record_path(record))
    }

    /// When `renew` last ran; none: never.
    ///
    /// # Errors
    /// As [`Store::lineage`].
    pub fn last_renew(&self) -> anyhow::Result<Option<Timestamp>> {
        Ok(self.entry::<Renew>(&self.root.join(RENEW))?.map(|renew| renew.at))
    }

    /// How far apart the last two runs of `renew` were; none: there were no two.
    ///
    /// # Errors
    /// As [`Store::lineage`].
    pub fn renew_interval(&self) -> anyhow::Result<Option<SignedDuration>> {
        let noted = self.entry::<Renew>(&self.root.join(RENEW))?;
        Ok(noted.and_then(|renew| Some(renew.at.duration_since(renew.before?))))
    }

    /// Notes that `renew` ran. Also clears away what killed runs left.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn note_renew(&self, at: Timestamp) -> anyhow::Result<()> {
        let before = self.last_renew().ok().flatten();
        self.put_entry(&self.root.join(RENEW), &Renew { at, before })?;
        let oldest = at.as_second() - LEFTOVER_AGE;
        let flat = ["", "live", "claims", "journal", LINEAGES, TARGETS, RECORDS, ALIYUN];
        let flat = flat.map(|folder| self.root.join(folder));
        // A folder for each CA, and for each DNS server.
        let deep = ["acme", "dns"].into_iter().flat_map(|folder| {
            let folder = self.root.join(folder);
            let names = files::names_in(&folder).unwrap_or_default();
            names.into_iter().map(move |name| folder.join(name))
        });
        for folder in flat.into_iter().chain(deep) {
            files::sweep(&folder, |facts| facts.mtime() < oldest);
        }
        Ok(())
    }

    /// One JSON file, if it is there.
    pub(super) fn entry<T: DeserializeOwned>(&self, path: &Path) -> anyhow::Result<Option<T>> {
        let Some(content) = files::read(path)? else {
            return Ok(None);
        };
        match serde_json::from_slice(&content) {
            Ok(entry) => Ok(Some(entry)),
            Err(error) => match self.damaged(path, &content, &error.to_string())? {
                Some(said) => Err(anyhow!(said)),
                None => self.entry(path),
            },
        }
    }

    /// All JSON files of a folder, and what is to be said of the damaged ones.
    pub(super) fn entries<T: DeserializeOwned>(
        &self,
        folder: &Path,
    ) -> anyhow::Result<(Vec<T>, Vec<String>)> {
        let (mut entries, mut damaged) = (Vec::new(), Vec::new());
        for name in files::names_in(folder)? {
            let path = folder.join(name);
            if path.extension().is_none_or(|extension| extension != "json") {
                continue;
            }
            match self.entry(&path) {
                Ok(entry) => entries.extend(entry),
                Err(error) => damaged.push(error.to_string()),
            }
        }
        Ok((entries, damaged))
    }

    /// Writes one JSON file, whole.
    pub(super) fn put_entry<T: Serialize>(&self, path: &Path, entry: &T) -> anyhow::Result<()> {
        self.writable()?;
        let mut text = serde_json::to_vec_pretty(entry)
            .with_context(|| format!("{} cannot be written as JSON", shown(path)))?;
        text.push(b'\n');
        if let Some(folder) = path.parent() {
            files::make_folder(folder)?;
        }
        files::write(path, &text)
    }

    /// Sets a damaged file aside and says so in words for people. None: another run has put something else there.
    pub(super) fn damaged(
        &self,
        path: &Path,
        content: &[u8],
        why: &str,
    ) -> anyhow::Result<Option<String>> {
        let said = format!("{} is damaged ({why})", shown(path));
        if self.access == Access::Reading {
            return Ok(Some(format!("{said}\nhelp: the next `certferry renew` sets it aside")));
        }
        let aside = files::set_aside(path, content).with_context(|| said.clone())?;
        Ok(aside.map(|aside| {
            let aside = shown(&aside);
            format!("{said} and was set aside\nhelp: it is now {aside}; the next run does without")
        }))
    }

    fn update<T>(&self, path: &Path, change: impl FnOnce(&mut T)) -> anyhow::Result<()>
    where
        T: Clone + Default + PartialEq + Serialize + DeserializeOwned,
    {
        let _lock = self.lock_store()?;
        let old: T = self.entry(path)?.unwrap_or_default();
        let mut new = old.clone();
        change(&mut new);
        if new == old {
            return Ok(());
        }
        self.put_entry(path, &new)
    }

    fn lineage_path(&self, name: &str) -> PathBuf {
        self.root.join(LINEAGES).join(format!("{}.json", names::file_name(name)))
    }

    fn target_path(&self, target: &Target) -> PathBuf {
        let name = names::joined(&[&target.aliyun, &target.domain.api_name]);
        self.root.join(TARGETS).join(format!("{name}.json"))
    }

    fn aliyun_path(&self, name: &str) -> PathBuf {
        self.root.join(ALIYUN).join(format!("{}.json", names::file_name(name)))
    }

    fn record_path(&self, record: &Record) -> PathBuf {
        let known_by = [&record.dns, &record.name, &record.value, &record.order];
        let name = names::digest(&known_by.map(|text| text.as_bytes()));
        self.root.join(RECORDS).join(format!("{name}.json"))
    }
}

/// `journal/renew.json`.
#[derive(Serialize, Deserialize)]
struct Renew {
    at: Timestamp,
    /// The run before.
    #[serde(default)]
    before: Option<Timestamp>,
}

const LINEAGES: &str = "journal/lineages";
const TARGETS: &str = "journal/targets";
const RECORDS: &str = "journal/records";
const ALIYUN: &str = "journal/aliyun";
const RENEW: &str = "journal/renew.json";

/// Seconds: a temporary file so old belongs to no run that lives, as its life is milliseconds.
const LEFTOVER_AGE: i64 = 3600;

#[cfg(test)]
mod tests;
