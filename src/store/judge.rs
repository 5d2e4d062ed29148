//! May a file be trusted? Follows a path as the system does and judges every folder, link and file on the way.
//!
//! Whoever may write a folder on the way may put another key at its end, so owners and modes count everywhere.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::anyhow;
use rustix::fs::{Mode, OFlags};

use super::files::{self, Bytes};
use super::shown;

/// Why a file is not read.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is not there; while its client changes links, that may pass.
    Missing(anyhow::Error),
    /// It must not be trusted, or it cannot be read. That does not pass.
    Fault(anyhow::Error),
}

/// Who may read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Readers {
    /// Everyone: a chain.
    All,
    /// Its owner and a group: a key.
    Group,
}

/// Which file it was, and when it was last written: the same again means that nothing has changed between two looks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    path: PathBuf,
    device: u64,
    inode: u64,
    size: u64,
    written: (i64, i64),
}

/// Where `path` ends when all links are followed. Every folder and link on the way is judged; a file at its end is
/// judged by [`read`].
///
/// # Errors
/// [`Refusal`]; also where the way ends at something that is neither a folder nor a regular file.
pub(super) fn resolve(path: &Path, caller: u32) -> Result<Identity, Refusal> {
    let absolute = std::path::absolute(path).map_err(|error| refused(path, &error))?;
    let mut rest = names(&absolute);
    let mut at = folder(Path::new("/"), caller)?;
    let mut links = 0;
    while let Some(name) = rest.pop_front() {
        let next = step(&at, &name, caller)?;
        if !next.facts.is_symlink() {
            if !next.facts.is_dir() && !rest.is_empty() {
                let path = shown(&next.path);
                return Err(Refusal::Fault(anyhow!("{path} is no folder\nhelp: ls -ld {path}")));
            }
            at = next;
            continue;
        }
        links += 1;
        if links > MOST_LINKS {
            let path = shown(path);
            return Err(Refusal::Fault(anyhow!(
                "{path} is a circle of links
help: namei -l {path} shows where it goes"
            )));
        }
        let target = std::fs::read_link(&next.path).map_err(|error| refused(&next.path, &error))?;
        if target.is_absolute() {
            at = folder(Path::new("/"), caller)?;
        }
        names(&target).into_iter().rev().for_each(|name| rest.push_front(name));
    }
    Ok(Identity::of(at))
}

/// Reads the regular file that [`resolve`] has found, if its owner and mode are fit for what it holds.
///
/// # Errors
/// [`Refusal`].
pub(super) fn read(found: &Identity, caller: u32, readers: Readers) -> Result<Bytes, Refusal> {
    let path = &found.path;
    // Not to wait for the writer of a FIFO, nor to follow a link that came meanwhile.
    let flags =
        OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = rustix::fs::open(path, flags, Mode::empty())
        .map(File::from)
        .map_err(|error| refused(path, &error.into()))?;
    let facts = file.metadata().map_err(|error| refused(path, &error))?;
    judge_kind(path, &facts)?;
    judge_owner(path, &facts, caller)?;
    judge_mode(path, &facts, readers)?;
    files::read_bounded(file).map_err(|error| refused(path, &error))
}

/// Who is trusted, for people.
pub(super) fn callers(caller: u32) -> String {
    match caller {
        0 => "root".to_owned(),
        _ => format!("root or you (uid {caller})"),
    }
}

impl Identity {
    /// The path, with no link in it.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn of(Place { path, facts }: Place) -> Self {
        Self {
            path,
            device: facts.dev(),
            inode: facts.ino(),
            size: facts.size(),
            written: (facts.mtime(), facts.mtime_nsec()),
        }
    }
}

/// Something on the way: no link is in its path.
struct Place {
    path: PathBuf,
    facts: Metadata,
}

/// One name further. A link is returned, not followed.
fn step(at: &Place, name: &OsStr, caller: u32) -> Result<Place, Refusal> {
    if name == ".." {
        return folder(at.path.parent().unwrap_or(&at.path), caller);
    }
    let next = look(at.path.join(name))?;
    if at.facts.mode() & OTHERS_WRITE != 0 {
        // In a sticky folder (it was judged) others may add names but not take over those of root and the caller.
        judge_owner(&next.path, &next.facts, caller)?;
    }
    if next.facts.is_dir() {
        judge_folder(&next.path, &next.facts, caller)?;
    } else if !next.facts.is_symlink() {
        judge_kind(&next.path, &next.facts)?;
    }
    Ok(next)
}

fn folder(path: &Path, caller: u32) -> Result<Place, Refusal> {
    let place = look(path.to_owned())?;
    judge_folder(&place.path, &place.facts, caller)?;
    Ok(place)
}

fn look(path: PathBuf) -> Result<Place, Refusal> {
    match std::fs::symlink_metadata(&path) {
        Ok(facts) => Ok(Place { path, facts }),
        Err(error) => Err(refused(&path, &error)),
    }
}

fn judge_folder(path: &Path, facts: &Metadata, caller: u32) -> Result<(), Refusal> {
    judge_owner(path, facts, caller)?;
    let mode = facts.mode() & MODE;
    if mode & OTHERS_WRITE != 0 && mode & STICKY == 0 {
        return fault(path, &format!("may be written by others (mode {mode:04o})"), "chmod go-w");
    }
    Ok(())
}

fn judge_owner(path: &Path, facts: &Metadata, caller: u32) -> Result<(), Refusal> {
    let owner = facts.uid();
    if owner == 0 || owner == caller {
        return Ok(());
    }
    let path = shown(path);
    Err(Refusal::Fault(anyhow!(
        "{path} belongs to uid {owner}, not to {}\n\
         help: chown {caller} {path}, or run certferry as uid {owner} with a [store] of its own",
        callers(caller)
    )))
}

fn judge_kind(path: &Path, facts: &Metadata) -> Result<(), Refusal> {
    if facts.is_file() {
        return Ok(());
    }
    let path = shown(path);
    Err(Refusal::Fault(anyhow!("{path} is no regular file\nhelp: ls -ld {path}")))
}

fn judge_mode(path: &Path, facts: &Metadata, readers: Readers) -> Result<(), Refusal> {
    let mode = facts.mode() & MODE;
    if mode & OTHERS_WRITE != 0 {
        return fault(path, &format!("may be written by others (mode {mode:04o})"), "chmod go-w");
    }
    if readers == Readers::Group && mode & 0o007 != 0 {
        let what = format!("is a private key that everyone may read (mode {mode:04o})");
        return fault(path, &what, "chmod o-rwx");
    }
    Ok(())
}

fn fault(path: &Path, what: &str, remedy: &str) -> Result<(), Refusal> {
    let path = shown(path);
    Err(Refusal::Fault(anyhow!("{path} {what}\nhelp: {remedy} {path}")))
}

fn refused(path: &Path, error: &io::Error) -> Refusal {
    let said = files::failed("read", path, error);
    if error.kind() == ErrorKind::NotFound { Refusal::Missing(said) } else { Refusal::Fault(said) }
}

fn names(path: &Path) -> VecDeque<OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        Component::Prefix(_) | Component::RootDir | Component::CurDir => None,
    };
    path.components().filter_map(name).collect()
}

/// As many links as Linux follows (path_resolution(7)).
const MOST_LINKS: usize = 40;

const MODE: u32 = 0o7777;

/// Group and others may write. No group is trusted with that, root's neither: it has no use.
const OTHERS_WRITE: u32 = 0o022;

/// Only the owner of a name may rename or remove it, as in `/tmp`.
const STICKY: u32 = 0o1000;
