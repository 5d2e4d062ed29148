//! The Store: a folder of versioned Certs, one atomic pointer a lineage, locks, journal and claims.
//!
//! ```text
//! version                      the format, `1`
//! locks/                       empty but for who holds them; never deleted
//! acme/HOST/account.json       ACME accounts
//! dns/SERVER/DOMAIN.json       accounts at DNS servers
//! archive/NAME/0001/*.pem      the versions of a lineage, also of what other clients issue; what is pinned by hand
//! live/NAME                    a link to the version that counts
//! journal/                     lineages/, targets/, records/, renew.json
//! claims/                      what hooks asked for, a file each
//! ```

mod account;
mod claims;
mod copies;
mod dns;
mod files;
mod journal;
mod judge;
mod locks;
mod names;
mod room;
mod settings;
mod source;
mod versions;
#[cfg(test)]
mod tests;

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::bail;

pub use claims::Claims;
pub use locks::{Lock, LockError, Wait};
pub use room::{Room, room};
pub use settings::{remove_secret, write_config, write_secret};
pub use source::{glance, read_source};

/// The store. Cheap to clone; may be moved to a blocking thread, where its calls belong (they wait for the disk).
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
    access: Access,
}

impl Store {
    /// Opens the store at `root` for all that there is to do, and makes it where there is none (folders 0700).
    ///
    /// # Errors
    /// A root that others may write or that belongs to neither the caller nor root, a newer format, a disk that refuses.
    pub fn open(root: &Path) -> anyhow::Result<Self> {
        let store = Self { root: root.to_owned(), access: Access::Whole };
        if files::facts_of(root)?.is_none() {
            files::make_folder(root)?;
        }
        store.check_root()?;
        let known = store.check_format()?;
        for folder in FOLDERS {
            files::make_folder(&root.join(folder))?;
        }
        if known == Format::None {
            files::write(&root.join("version"), format!("{FORMAT}\n").as_bytes())?;
        }
        Ok(store)
    }

    /// Opens the store at `root` for reading alone: makes and writes nothing, also later. None where there is none.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn existing(root: &Path) -> anyhow::Result<Option<Self>> {
        let store = Self { root: root.to_owned(), access: Access::Reading };
        if files::facts_of(root)?.is_none() {
            return Ok(None);
        }
        store.check_root()?;
        store.check_format()?;
        Ok(Some(store))
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folder of the lock files; none in a store that is open for reading: it locks nothing.
    #[must_use]
    pub fn locks_folder(&self) -> Option<PathBuf> {
        match self.access {
            Access::Whole => Some(self.locks()),
            Access::Reading => None,
        }
    }

    fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// Refuses to change what was opened for reading.
    fn writable(&self) -> anyhow::Result<()> {
        match self.access {
            Access::Whole => Ok(()),
            Access::Reading => bail!("the store {} is open for reading only", shown(&self.root)),
        }
    }

    fn check_root(&self) -> anyhow::Result<()> {
        let root = shown(&self.root);
        let Some(facts) = files::facts_of(&self.root)? else {
            bail!("the store {root} is gone");
        };
        if !facts.is_dir() {
            bail!(
                "the store {root} is no folder\nhelp: name another path in [store], or move that file away"
            );
        }
        let caller = rustix::process::geteuid().as_raw();
        if facts.uid() != 0 && facts.uid() != caller {
            bail!(
                "the store {root} belongs to uid {}, not to {}\nhelp: chown -R {caller} {root}",
                facts.uid(),
                judge::callers(caller)
            );
        }
        let mode = facts.permissions().mode() & 0o7777;
        if mode & 0o022 != 0 {
            bail!("others may write the store {root} (mode {mode:04o})\nhelp: chmod go-w {root}");
        }
        Ok(())
    }

    fn check_format(&self) -> anyhow::Result<Format> {
        let path = self.root.join("version");
        let Some(text) = files::read(&path)? else {
            return Ok(Format::None);
        };
        let said = std::str::from_utf8(&text).ok().and_then(|text| text.trim().parse::<u32>().ok());
        match said {
            Some(format) if (1..=FORMAT).contains(&format) => Ok(Format::Ours),
            Some(format) if format > FORMAT => bail!(
                "the store {} is of format {format}, this certferry knows {FORMAT}\n\
                 help: install the certferry that wrote it, or a newer one",
                shown(&self.root)
            ),
            Some(_) | None => bail!(
                "{} holds no format number\nhelp: if the store is sound: echo {FORMAT} > {}",
                shown(&path),
                shown(&path)
            ),
        }
    }
}

/// What may be done with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    Whole,
    Reading,
}

/// What the `version` file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    None,
    Ours,
}

/// A path for people, fit for a shell: the help lines are commands to copy.
fn shown(path: &Path) -> String {
    names::quoted(&path.to_string_lossy())
}

/// The format that this code writes. It grows when an older certferry would misread the folder.
const FORMAT: u32 = 1;

const FOLDERS: [&str; 10] = [
    "locks",
    "acme",
    "archive",
    "live",
    "journal",
    "journal/lineages",
    "journal/targets",
    "journal/records",
    "journal/aliyun",
    "claims",
];
