//! The one place that makes folders, writes files whole, and reads them bounded. Nothing else of the store writes.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, Metadata, Permissions};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use tempfile::TempDir;
use zeroize::Zeroizing;

use super::shown;

/// Bytes of a file, zeroed when dropped: many of them are keys.
pub(super) type Bytes = Zeroizing<Vec<u8>>;

/// Makes a folder, and its parents, for its owner alone (0700); durable when this returns.
///
/// # Errors
/// The disk refuses, or something else has the name.
pub(super) fn make_folder(path: &Path) -> anyhow::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent)?;
    }
    match make_new_folder(path) {
        // Another run was faster.
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made.map_err(|error| failed("make the folder", path, &error)),
    }
}

/// Makes one folder that must not exist yet; durable when this returns.
///
/// # Errors
/// As the system says; `AlreadyExists` among them.
pub(super) fn make_new_folder(path: &Path) -> io::Result<()> {
    step()?;
    DirBuilder::new().mode(FOLDER_MODE).create(path)?;
    step()?;
    sync_folder(folder_of(path))
}

/// Writes a file whole, for its owner alone (0600): whoever reads it sees the old content or the new, also after a
/// power cut.
///
/// # Errors
/// The disk refuses; the old content then stands.
pub(super) fn write(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    write_whole(path, content).map_err(|error| failed("write", path, &error))
}

/// Writes a file whole, for all to read (0644): it holds no secret. One that is there keeps mode and owner.
///
/// # Errors
/// The disk refuses; the old content then stands.
pub(super) fn write_for_all(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let written = absent_is_none(std::fs::metadata(path))
        .and_then(|before| write_as(path, content, before.as_ref()));
    written.map_err(|error| failed("write", path, &error))
}

/// Points a link at `target` by one rename, whatever it pointed at before; durable when this returns.
///
/// # Errors
/// The disk refuses; the link then is as it was.
pub(super) fn point(link: &Path, target: &Path) -> anyhow::Result<()> {
    point_whole(link, target).map_err(|error| failed("move the link", link, &error))
}

/// Gives a file the name of another, in whose place it comes; durable when this returns.
///
/// # Errors
/// The disk refuses; both are then as they were.
pub(super) fn rename(from: &Path, to: &Path) -> anyhow::Result<()> {
    rename_whole(from, to).map_err(|error| failed("rename", from, &error))
}

/// Reads a file of at most [`LIMIT`] bytes; none where there is none.
///
/// # Errors
/// The disk refuses, or the file is too large.
pub(super) fn read(path: &Path) -> anyhow::Result<Option<Bytes>> {
    let content = File::open(path).and_then(read_bounded);
    absent_is_none(content).map_err(|error| failed("read", path, &error))
}

/// Reads an open file of at most [`LIMIT`] bytes.
///
/// # Errors
/// As the system says; `FileTooLarge`.
pub(super) fn read_bounded(file: File) -> io::Result<Bytes> {
    let length = file.metadata()?.len();
    if length > LIMIT {
        return Err(ErrorKind::FileTooLarge.into());
    }
    // Room for all of it at once: a Vec that grows leaves copies of a key behind.
    let mut content = Zeroizing::new(Vec::with_capacity(usize::try_from(length).unwrap_or(0) + 1));
    file.take(LIMIT + 1).read_to_end(&mut content)?;
    if content.len() as u64 > LIMIT {
        return Err(ErrorKind::FileTooLarge.into());
    }
    Ok(content)
}

/// Facts of what is at `path`, links followed; none where there is nothing.
///
/// # Errors
/// The disk refuses.
pub(super) fn facts_of(path: &Path) -> anyhow::Result<Option<Metadata>> {
    absent_is_none(std::fs::metadata(path)).map_err(|error| failed("look at", path, &error))
}

/// Where a link points; none where there is none.
///
/// # Errors
/// The disk refuses, or it is no link.
pub(super) fn pointed_at(link: &Path) -> anyhow::Result<Option<PathBuf>> {
    absent_is_none(std::fs::read_link(link)).map_err(|error| failed("read the link", link, &error))
}

/// The names in a folder, in order, without the temporary ones; none where there is no folder.
///
/// # Errors
/// The disk refuses.
pub(super) fn names_in(folder: &Path) -> anyhow::Result<Vec<OsString>> {
    let names = all_names_in(folder).map_err(|error| failed("read the folder", folder, &error))?;
    Ok(names.into_iter().filter(|name| !is_temporary(name)).collect())
}

/// Removes a file; one that is gone already is well.
///
/// # Errors
/// The disk refuses.
pub(super) fn remove(path: &Path) -> anyhow::Result<()> {
    remove_durably(path).map_err(|error| failed("remove", path, &error))
}

/// Removes a folder with all that is in it; one that is gone already is well.
///
/// # Errors
/// The disk refuses.
pub(super) fn remove_folder(path: &Path) -> anyhow::Result<()> {
    let removed = step().and_then(|()| absent_is_none(std::fs::remove_dir_all(path)));
    removed.map(drop).map_err(|error| failed("remove the folder", path, &error))
}

/// Makes a temporary folder in `folder`, to be filled and then made visible by [`publish`].
///
/// # Errors
/// The disk refuses.
pub(super) fn new_folder_in(folder: &Path) -> anyhow::Result<PathBuf> {
    let made = step().and_then(|()| {
        let mode = Permissions::from_mode(FOLDER_MODE);
        tempfile::Builder::new().prefix(TEMPORARY).permissions(mode).tempdir_in(folder)
    });
    made.map(TempDir::keep).map_err(|error| failed("make a folder in", folder, &error))
}

/// Gives a filled folder its name, which nothing may have yet, by one rename; durable when this returns.
///
/// # Errors
/// The disk refuses; the folder then is not visible.
pub(super) fn publish(filled: &Path, path: &Path) -> anyhow::Result<()> {
    let renamed = step()
        .and_then(|()| Ok(renameat_with(CWD, filled, CWD, path, RenameFlags::NOREPLACE)?))
        .and_then(|()| step())
        .and_then(|()| sync_folder(folder_of(path)));
    renamed.map_err(|error| failed("make visible", path, &error))
}

/// Removes the temporary folders that killed runs left in a folder. As far as it goes: they do no harm.
pub(super) fn sweep_folders(folder: &Path) {
    for name in all_names_in(folder).unwrap_or_default().iter().filter(|name| is_temporary(name)) {
        let path = folder.join(name);
        if path.is_dir()
            && let Err(error) = remove_folder(&path)
        {
            tracing::debug!(path = %path.display(), %error, "a temporary folder stays");
        }
    }
}

/// Removes the temporary files that killed runs left in a folder: those for which `stale` says so. As far as it goes:
/// they do no harm.
pub(super) fn sweep(folder: &Path, stale: impl Fn(&Metadata) -> bool) {
    for name in all_names_in(folder).unwrap_or_default().iter().filter(|name| is_temporary(name)) {
        let path = folder.join(name);
        let old = std::fs::symlink_metadata(&path).is_ok_and(|facts| stale(&facts));
        if old && let Err(error) = std::fs::remove_file(&path) {
            tracing::debug!(path = %path.display(), %error, "a temporary file stays");
        }
    }
}

/// Renames a file whose content is `damaged` to `NAME.damaged-N`, and says where it is now. None: meanwhile another
/// run has put something else there, which stands.
///
/// # Errors
/// The disk refuses.
pub(super) fn set_aside(path: &Path, damaged: &[u8]) -> anyhow::Result<Option<PathBuf>> {
    set_aside_unless_changed(path, damaged).map_err(|error| failed("set aside", path, &error))
}

/// What went wrong with a file, and what to do.
pub(super) fn failed(what: &str, path: &Path, error: &io::Error) -> anyhow::Error {
    let path = shown(path);
    anyhow!("cannot {what} {path}: {error}{}", remedy(error.kind(), &path))
}

fn remedy(kind: ErrorKind, path: &str) -> String {
    if kind == ErrorKind::NotFound || kind == ErrorKind::NotADirectory {
        return format!("\nhelp: see where the way ends: namei -l {path}");
    }
    if kind == ErrorKind::StorageFull || kind == ErrorKind::QuotaExceeded {
        return "\nhelp: free some space on its file system; the next run carries on".to_owned();
    }
    if kind == ErrorKind::PermissionDenied {
        return format!("\nhelp: run this as root, or as the user that owns it: ls -ld {path}");
    }
    if kind == ErrorKind::ReadOnlyFilesystem {
        return "\nhelp: choose a writable [store] path; in a systemd unit: StateDirectory=certferry"
            .to_owned();
    }
    if kind == ErrorKind::AlreadyExists {
        return format!("\nhelp: something else has the name, move it away: ls -ld {path}");
    }
    if kind == ErrorKind::FileTooLarge {
        return format!(
            "\nhelp: at most {LIMIT} bytes are read, no certificate needs more: ls -l {path}"
        );
    }
    String::new()
}

fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = folder_of(path);
    step()?;
    let mut temporary = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(folder)?;
    temporary.write_all(content)?;
    temporary.as_file().sync_all()?;
    step()?;
    temporary.persist(path).map_err(|error| error.error)?;
    step()?;
    sync_folder(folder)
}

fn write_as(path: &Path, content: &[u8], before: Option<&Metadata>) -> io::Result<()> {
    let folder = folder_of(path);
    step()?;
    let mut temporary = tempfile::Builder::new().prefix(TEMPORARY).tempfile_in(folder)?;
    temporary.write_all(content)?;
    let mode = before.map_or(OPEN_MODE, |facts| facts.permissions().mode());
    if let Some(facts) = before {
        std::os::unix::fs::fchown(temporary.as_file(), Some(facts.uid()), Some(facts.gid()))?;
    }
    temporary.as_file().set_permissions(Permissions::from_mode(mode))?;
    temporary.as_file().sync_all()?;
    step()?;
    match before {
        Some(_) => temporary.persist(path),
        None => temporary.persist_noclobber(path),
    }
    .map_err(|error| error.error)?;
    step()?;
    sync_folder(folder)
}

fn point_whole(link: &Path, target: &Path) -> io::Result<()> {
    let folder = folder_of(link);
    step()?;
    let temporary = tempfile::Builder::new()
        .prefix(TEMPORARY)
        .make_in(folder, |path| std::os::unix::fs::symlink(target, path))?;
    step()?;
    temporary.persist(link).map_err(|error| error.error)?;
    step()?;
    sync_folder(folder)
}

fn rename_whole(from: &Path, to: &Path) -> io::Result<()> {
    step()?;
    std::fs::rename(from, to)?;
    step()?;
    sync_folder(folder_of(to))
}

fn remove_durably(path: &Path) -> io::Result<()> {
    step()?;
    match absent_is_none(std::fs::remove_file(path))? {
        Some(()) => sync_folder(folder_of(path)),
        None => Ok(()),
    }
}

fn set_aside_unless_changed(path: &Path, damaged: &[u8]) -> io::Result<Option<PathBuf>> {
    let aside = free_name_beside(path);
    if absent_is_none(std::fs::rename(path, &aside))?.is_none() {
        return Ok(None);
    }
    let taken = File::open(&aside).and_then(read_bounded);
    if taken.is_ok_and(|taken| taken.as_slice() != damaged) {
        // A claim is written under no lock: what was renamed is a sound new one. Back, unless a newer one is there.
        return match renameat_with(CWD, &aside, CWD, path, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(None),
            Err(rustix::io::Errno::EXIST) => std::fs::remove_file(&aside).map(|()| None),
            Err(error) => Err(error.into()),
        };
    }
    sync_folder(folder_of(path))?;
    Ok(Some(aside))
}

fn free_name_beside(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let candidate = |number: u32| path.with_file_name(format!("{name}.damaged-{number}"));
    (1..).map(candidate).find(|aside| !aside.exists()).unwrap_or_else(|| candidate(0))
}

fn all_names_in(folder: &Path) -> io::Result<Vec<OsString>> {
    let Some(entries) = absent_is_none(std::fs::read_dir(folder))? else {
        return Ok(Vec::new());
    };
    let mut names = entries
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<OsString>>>()?;
    names.sort();
    Ok(names)
}

fn is_temporary(name: &OsString) -> bool {
    name.as_encoded_bytes().starts_with(TEMPORARY.as_bytes())
}

fn absent_is_none<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The folder that a path is in. `.` for a bare name.
fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(not(test))]
#[expect(clippy::unnecessary_wraps, reason = "tests have another one, which fails")]
const fn step() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
use tests::step;
#[cfg(test)]
pub(super) use tests::{halted_before, killed_after};

/// Folders are their owner's alone.
const FOLDER_MODE: u32 = 0o700;

/// And so are files.
const FILE_MODE: u32 = 0o600;

/// What all may read.
const OPEN_MODE: u32 = 0o644;

/// Temporary files begin like this, and nothing else in the store does.
const TEMPORARY: &str = ".tmp-";

/// Bytes of the largest file that is read: a chain of ten RSA-4096 certificates has 20 KiB.
const LIMIT: u64 = 1 << 20;

#[cfg(test)]
mod tests;
