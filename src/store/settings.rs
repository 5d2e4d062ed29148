//! What `init` writes outside of the store: the configuration, and secrets in files of their own.

use std::path::Path;

use anyhow::{anyhow, bail};
use secrecy::{ExposeSecret as _, SecretString};

use super::files::{self, Bytes};
use super::shown;

/// Writes a configuration whole. `before` is what it was made from: none where there was no file. Mode and owner stay, a new
/// one may be read by all (it holds no secret). Links are followed.
///
/// # Errors
/// The file is another one by now, or the disk refuses; it is then as it was.
pub fn write_config(file: &Path, before: Option<&str>, text: &str) -> anyhow::Result<()> {
    let place = std::fs::canonicalize(file).unwrap_or_else(|_none| file.to_owned());
    let now: Option<Bytes> = files::read(&place)?;
    if now.as_ref().map(|bytes| bytes.as_slice()) != before.map(str::as_bytes) {
        let help = "see what it says now, and try again";
        bail!("{} has been changed meanwhile\nhelp: {help}", shown(file));
    }
    if let Some(folder) = place.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        files::make_folder(folder)?;
    }
    files::write_for_all(&place, text.as_bytes())
}

/// Writes a secret into a file that must not exist yet (0600), in a folder of its owner alone (0700), which is made where
/// there is none.
///
/// # Errors
/// The file is there, or the disk refuses.
pub fn write_secret(file: &Path, secret: &SecretString) -> anyhow::Result<()> {
    if files::facts_of(file)?.is_some() {
        return Err(anyhow!("{} is there already\nhelp: move it away", shown(file)));
    }
    files::make_folder(file.parent().unwrap_or_else(|| Path::new("/")))?;
    let content = Bytes::new([secret.expose_secret().as_bytes(), b"\n"].concat());
    files::write(file, &content)
}

/// Takes away a secret that nothing names.
///
/// # Errors
/// The disk refuses.
pub fn remove_secret(file: &Path) -> anyhow::Result<()> {
    files::remove(file)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]

    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        path.metadata().unwrap().permissions().mode() & 0o7777
    }

    #[test]
    fn a_configuration_stays_whose_it_is() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("etc/config.toml");
        write_config(&file, None, "one").unwrap();
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o644, 0o700));
        assert!(write_config(&file, None, "two").is_err(), "it is there");
        assert!(write_config(&file, Some("other"), "two").is_err(), "it was changed");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).unwrap();
        let link = top.path().join("link.toml");
        symlink("etc/config.toml", &link).unwrap();
        write_config(&link, Some("one"), "two").unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "two");
        assert!(mode(&file) == 0o640 && link.is_symlink());
    }

    #[test]
    fn a_secret_is_its_owners_alone() {
        let top = tempfile::tempdir().unwrap();
        let file = top.path().join("secrets/key");
        write_secret(&file, &SecretString::from("s3cret")).unwrap();
        assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "s3cret\n");
        assert!(write_secret(&file, &SecretString::from("other")).is_err());
        remove_secret(&file).unwrap();
        assert!(!file.exists());
    }
}
