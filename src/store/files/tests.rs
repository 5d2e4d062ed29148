//! Tests of the file steps, and the kill that other tests use.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::cell::Cell;

use super::*;

/// So many file steps more, and then this.
type Halt = (usize, Box<dyn FnOnce()>);

thread_local! {
    static STEPS_LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    static HALT: Cell<Option<Halt>> = const { Cell::new(None) };
}

/// Runs `work` as a process that is killed before its file step number `steps` (from 0): that step and all after it
/// fail.
pub(in crate::store) fn killed_after<T>(steps: usize, work: impl FnOnce() -> T) -> T {
    STEPS_LEFT.set(Some(steps));
    let outcome = work();
    STEPS_LEFT.set(None);
    outcome
}

/// Runs `work`, and `halt` in its midst: before its file step number `steps` (from 0).
pub(in crate::store) fn halted_before<T>(
    steps: usize,
    halt: Box<dyn FnOnce()>,
    work: impl FnOnce() -> T,
) -> T {
    HALT.set(Some((steps, halt)));
    let outcome = work();
    HALT.set(None);
    outcome
}

pub(super) fn step() -> io::Result<()> {
    match HALT.take() {
        Some((0, halt)) => halt(),
        Some((left, halt)) => HALT.set(Some((left - 1, halt))),
        None => {}
    }
    match STEPS_LEFT.get() {
        Some(0) => Err(io::Error::other("killed")),
        Some(left) => {
            STEPS_LEFT.set(Some(left - 1));
            Ok(())
        }
        None => Ok(()),
    }
}

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn folders_and_files_are_their_owners_alone() {
    let top = tempfile::tempdir().unwrap();
    let folder = top.path().join("a/b");
    make_folder(&folder).unwrap();
    make_folder(&folder).unwrap();
    let file = folder.join("f");
    write(&file, b"one").unwrap();
    write(&file, b"two").unwrap();
    assert_eq!(read(&file).unwrap().unwrap().as_slice(), b"two");
    assert_eq!((mode(&top.path().join("a")), mode(&folder), mode(&file)), (0o700, 0o700, 0o600));
    assert_eq!(names_in(&folder).unwrap(), ["f"]);
}

#[test]
fn a_wide_file_is_narrowed_by_the_next_write() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("f");
    write(&file, b"one").unwrap();
    std::fs::set_permissions(&file, Permissions::from_mode(0o666)).unwrap();
    write(&file, b"two").unwrap();
    assert_eq!(mode(&file), 0o600);
}

#[test]
fn nothing_is_none() {
    let top = tempfile::tempdir().unwrap();
    let missing = top.path().join("no/such");
    assert!(read(&missing).unwrap().is_none());
    assert!(facts_of(&missing).unwrap().is_none());
    assert!(pointed_at(&missing).unwrap().is_none());
    assert!(names_in(&missing).unwrap().is_empty());
    remove(&missing).unwrap();
    remove_folder(&missing).unwrap();
}

#[test]
fn a_file_over_the_limit_is_refused() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("large");
    write(&file, &vec![b'x'; usize::try_from(LIMIT).unwrap()]).unwrap();
    assert!(read(&file).unwrap().is_some());
    write(&file, &vec![b'x'; usize::try_from(LIMIT).unwrap() + 1]).unwrap();
    let error = read(&file).unwrap_err().to_string();
    assert!(error.contains("large") && error.contains("help: "), "{error}");
}

#[test]
fn a_killed_write_leaves_the_old_or_the_new() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("f");
    for write_it in [write, write_for_all] {
        for steps in 0..4 {
            write(&file, b"old").unwrap();
            let finished = killed_after(steps, || write_it(&file, b"new")).is_ok();
            let content = read(&file).unwrap().unwrap();
            let expected: &[u8] = if steps < 2 { b"old" } else { b"new" };
            assert_eq!((content.as_slice(), finished), (expected, steps == 3), "{steps} steps");
        }
    }
}

/// Another run was faster: what it wrote where there was nothing stands.
#[test]
fn a_new_file_for_all_takes_nothings_place() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("f");
    let other = file.clone();
    let halt = Box::new(move || write(&other, b"theirs").unwrap());
    let written = halted_before(1, halt, || write_for_all(&file, b"ours"));
    let error = written.unwrap_err().to_string();
    assert!(error.contains("something else has the name"), "{error}");
    assert_eq!(read(&file).unwrap().unwrap().as_slice(), b"theirs");
}

#[test]
fn a_link_moves_by_one_rename() {
    let top = tempfile::tempdir().unwrap();
    let link = top.path().join("l");
    for target in ["../a/0001", "../a/0002"] {
        point(&link, Path::new(target)).unwrap();
        assert_eq!(pointed_at(&link).unwrap().unwrap(), Path::new(target));
    }
    assert_eq!(names_in(top.path()).unwrap(), ["l"]);
}

#[test]
fn set_aside_keeps_every_damaged_one() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("f.json");
    for number in 1..=2 {
        write(&file, b"bad").unwrap();
        let aside = set_aside(&file, b"bad").unwrap().unwrap();
        assert_eq!(aside, top.path().join(format!("f.json.damaged-{number}")));
        assert!(!file.exists());
    }
    assert!(set_aside(&file, b"bad").unwrap().is_none(), "gone already");
}

#[test]
fn set_aside_leaves_what_was_written_meanwhile() {
    let top = tempfile::tempdir().unwrap();
    let file = top.path().join("f.json");
    write(&file, b"good").unwrap();
    assert!(set_aside(&file, b"bad").unwrap().is_none());
    assert_eq!(names_in(top.path()).unwrap(), ["f.json"]);
}

#[test]
fn sweep_takes_only_stale_temporary_files() {
    let top = tempfile::tempdir().unwrap();
    let leftover = top.path().join(format!("{TEMPORARY}x"));
    write(&leftover, b"").unwrap();
    write(&top.path().join("kept"), b"").unwrap();
    sweep(top.path(), |_| false);
    assert!(leftover.exists());
    sweep(top.path(), |_| true);
    assert!(!leftover.exists());
    assert_eq!(names_in(top.path()).unwrap(), ["kept"]);
}
