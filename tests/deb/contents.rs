//! What is in the package: by lintian, by the linker, by the files that people look for.

use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use super::machine::{host, package};

/// The C library of Debian 11 and Ubuntu 20.04.
const OLDEST_GLIBC: (u32, u32) = (2, 31);

/// What a container pulls (DESIGN, 15).
const LARGEST_BINARY: u64 = 9 * 1024 * 1024;

/// Tenths: what systemd-analyze calls the exposure of a unit.
const EXPOSURE: &str = "--threshold=15";

/// The package, unpacked.
fn unpacked() -> Option<(PathBuf, tempfile::TempDir)> {
    let package = package()?;
    let folder = tempfile::tempdir().unwrap();
    host("dpkg-deb", &["-x".as_ref(), package.as_ref(), folder.path().as_ref()]);
    Some((package, folder))
}

#[test]
fn lintian_has_nothing_to_say() {
    let Some(package) = package() else { return };
    let args =
        ["--allow-root", "--no-cfg", "--fail-on", "error,warning", "--tag-display-limit", "0"];
    let args = args.iter().map(OsStr::new).chain([package.as_ref()]);
    let said = host("lintian", &args.collect::<Vec<_>>());
    let found: Vec<&str> = said.lines().filter(|line| !line.starts_with("N:")).collect();
    assert!(found.is_empty(), "{said}");
    let listing = host("dpkg-deb", &["-c".as_ref(), package.as_ref()]);
    assert!(!listing.contains("lintian/overrides"), "{listing}");
}

#[test]
fn it_runs_on_the_oldest_glibc() {
    let Some((_, folder)) = unpacked() else { return };
    let binary = folder.path().join("usr/bin/certferry");
    let symbols = host("readelf", &["--version-info".as_ref(), binary.as_ref()]);
    let versions: BTreeSet<(u32, u32)> = symbols
        .split("GLIBC_")
        .skip(1)
        .filter_map(|rest| {
            let mut numbers = rest.split(|c: char| !c.is_ascii_digit()).map(str::parse);
            Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
        })
        .collect();
    let newest = versions.last().expect("it is linked with the C library");
    assert!(*newest <= OLDEST_GLIBC, "{versions:?}");
    let size = fs::metadata(&binary).unwrap().len();
    assert!(size <= LARGEST_BINARY, "{size}");
}

/// Its own architecture's loader and C library, where they are not this machine's.
const ARM64: [&str; 3] = ["qemu-aarch64-static", "-L", "/usr/aarch64-linux-gnu"];

/// The same line from every architecture.
#[test]
fn it_starts() {
    let Some((package, folder)) = unpacked() else { return };
    let field = |name: &str| {
        let args = ["--field".as_ref(), package.as_ref(), name.as_ref()];
        host("dpkg-deb", &args).trim().to_owned()
    };
    let through: &[&str] = match (field("Architecture").as_str(), ARCH) {
        ("amd64", "x86_64") | ("arm64", "aarch64") => &["env"],
        ("arm64", _) => &ARM64,
        (other, _) => panic!("nothing here runs a package for {other}"),
    };
    let binary = folder.path().join("usr/bin/certferry");
    let args = through[1..].iter().map(OsStr::new).chain([binary.as_ref(), "--version".as_ref()]);
    let said = host(through[0], &args.collect::<Vec<_>>());
    assert_eq!(said, concat!("certferry ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn no_path_of_the_builder_is_in_it() {
    let Some((_, folder)) = unpacked() else { return };
    let bytes = fs::read(folder.path().join("usr/bin/certferry")).unwrap();
    let text = String::from_utf8_lossy(&bytes);
    let home = std::env::var("HOME").unwrap() + "/.";
    let builder = [env!("CARGO_MANIFEST_DIR"), &home, "/.cargo/registry", "/.rustup/toolchains"];
    for place in builder {
        let at = text.find(place).map(|at| text[at..].chars().take(120).collect::<String>());
        assert_eq!(at, None);
    }
}

#[test]
fn every_command_has_its_page_and_every_shell_its_completions() {
    let Some((_, folder)) = unpacked() else { return };
    let help = host(env!("CARGO_BIN_EXE_certferry"), &["--help".as_ref()]);
    let commands: Vec<&str> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|word| *word != "help")
        .collect();
    assert!(commands.len() >= 11, "{help}");
    for command in &commands {
        let page = folder.path().join(format!("usr/share/man/man1/certferry-{command}.1.gz"));
        assert!(page.is_file(), "{}", page.display());
        for shell in [
            "bash-completion/completions/certferry",
            "zsh/vendor-completions/_certferry",
            "fish/vendor_completions.d/certferry.fish",
        ] {
            let text = fs::read_to_string(folder.path().join("usr/share").join(shell)).unwrap();
            assert!(text.contains(command), "{shell} does not know {command}");
            assert!(!text.contains("keeps-anything"), "{shell} offers what is hidden");
        }
    }
}

#[test]
fn all_hooks_are_in_it() {
    let Some((_, folder)) = unpacked() else { return };
    let (ours, theirs) = (root().join("hooks"), folder.path().join("usr/share/certferry/hooks"));
    let (want, got) = (files(&ours, &ours), files(&theirs, &theirs));
    assert!(want.len() >= 2, "{want:?}");
    assert_eq!(want, got);
}

/// Files under a folder, each with whether it may be run. In a checkout that is told by its first line.
fn files(top: &Path, folder: &Path) -> BTreeSet<(String, bool)> {
    use std::os::unix::fs::PermissionsExt as _;
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(top, &path));
            continue;
        }
        let runs = match top == root().join("hooks") {
            true => fs::read(&path).unwrap().starts_with(b"#!"),
            false => path.metadata().unwrap().permissions().mode() & 0o777 == 0o755,
        };
        found.insert((path.strip_prefix(top).unwrap().display().to_string(), runs));
    }
    found
}

/// Root without any capability, and all that a unit can be kept from beside it.
#[test]
fn the_service_is_as_closed_as_it_can_be() {
    let Some((_, folder)) = unpacked() else { return };
    let unit = folder.path().join("lib/systemd/system/certferry.service");
    let args = ["security", "--offline=true", "--no-pager", EXPOSURE].map(OsStr::new);
    host("systemd-analyze", &args.into_iter().chain([unit.as_ref()]).collect::<Vec<_>>());
}

#[test]
fn the_changelog_is_of_this_version() {
    let changelog = fs::read_to_string(root().join("packaging/debian/changelog")).unwrap();
    let want = format!("certferry ({}-1~upstream1) ", env!("CARGO_PKG_VERSION"));
    assert!(changelog.starts_with(&want), "its newest entry is not of {want}");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
