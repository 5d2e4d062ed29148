//! May the store be written, and is there room? Looks only: nothing is made or written.

use std::path::Path;

use anyhow::Context as _;
use rustix::fs::{Access, AtFlags, CWD, accessat, statvfs};
use rustix::io::Errno;

use super::{FOLDERS, Store, files, shown};

/// What there is for the next run to write into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    /// The store is there; otherwise the first run makes it.
    pub exists: bool,
    /// Bytes that are free on its file system.
    pub free: u64,
    /// So many more files fit; none: the file system does not count them.
    pub free_files: Option<u64>,
}

/// Looks whether a store at `root` can be used, or made.
///
/// # Errors
/// As [`Store::existing`]. A folder of it, or the one that it would be made in, may not be written.
pub fn room(root: &Path) -> anyhow::Result<Room> {
    let exists = Store::existing(root)?.is_some();
    let base = if exists { root } else { nearest_folder(root)? };
    writable(base)?;
    for folder in FOLDERS.iter().filter(|_| exists).map(|folder| root.join(folder)) {
        if files::facts_of(&folder)?.is_some() {
            writable(&folder)?;
        }
    }
    let facts = statvfs(base)
        .map_err(|error| files::failed("look at the file system of", base, &error.into()))?;
    let free_files = (facts.f_files > 0).then_some(facts.f_favail);
    Ok(Room { exists, free: facts.f_bavail.saturating_mul(facts.f_frsize), free_files })
}

/// The nearest of the folders that `root` would be in.
fn nearest_folder(root: &Path) -> anyhow::Result<&Path> {
    let mut above = root.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
    above.find(|path| path.exists()).with_context(|| {
        format!("nothing of {} is there\nhelp: write the whole path of the [store]", shown(root))
    })
}

/// By the rights of this process, with root's powers and with a mount that is read-only.
fn writable(folder: &Path) -> anyhow::Result<()> {
    let ways = Access::WRITE_OK | Access::EXEC_OK;
    accessat(CWD, folder, ways, AtFlags::EACCESS)
        .map_err(|error: Errno| files::failed("write into", folder, &error.into()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::super::tests::store;
    use super::*;

    #[test]
    fn looking_makes_nothing() {
        let (top, store) = store();
        let names = |folder: &Path| files::names_in(folder).unwrap();
        let before = names(store.root());
        let seen = room(store.root()).unwrap();
        assert!(seen.exists && seen.free > 0, "{seen:?}");
        assert_eq!(names(store.root()), before);

        let below = top.path().join("not/yet");
        assert!(!room(&below).unwrap().exists);
        assert!(!top.path().join("not").exists());

        std::fs::File::create(top.path().join("file")).unwrap();
        let error = room(&top.path().join("file/store")).unwrap_err();
        assert!(format!("{error:#}").contains("help: "), "{error:#}");
    }
}
