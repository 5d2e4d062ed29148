//! Where another client keeps a Cert.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Where another client keeps a Cert: a folder with names that are known (certbot's, acmetool's), or a chain and a key
/// that are files of any name, wherever each lies. Its path alone decides whether two are one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Source {
    /// The folder, or the chain (leaf first).
    #[serde(rename = "source")]
    pub path: PathBuf,
    /// The key of a chain; none: the path is a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// Names of files that say nothing of the certificate in them: its folder does.
const PLAIN_NAMES: [&str; 6] = ["fullchain", "cert", "certificate", "chain", "bundle", "tls"];

/// What stands for a star in the file names of Caddy, lego and others.
const STARS: [&str; 4] = ["*.", "wildcard_.", "_wildcard.", "_."];

impl Source {
    /// A folder.
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), key: None }
    }

    /// A chain and its key. With certbot's names in one folder they are that folder: one place, one spelling.
    #[must_use]
    pub fn files(chain: PathBuf, key: PathBuf) -> Self {
        let is_named = |path: &Path, name: &str| path.file_name().is_some_and(|own| own == name);
        match chain.parent() {
            Some(folder)
                if key.parent() == Some(folder)
                    && is_named(&chain, "fullchain.pem")
                    && is_named(&key, "privkey.pem") =>
            {
                Self::folder(folder)
            }
            Some(_) | None => Self { path: chain, key: Some(key) },
        }
    }

    /// What it is called after its path; a wildcard's star and what stands for one is left out. None: the path says
    /// nothing.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        if self.key.is_none() {
            return name_of(&self.path).map(|name| name.strip_prefix("*.").unwrap_or(name));
        }
        let stem = self.path.file_stem()?.to_str()?;
        let is_plain = PLAIN_NAMES.contains(&stem);
        let name = if is_plain { name_of(self.path.parent()?)? } else { stem };
        Some(STARS.iter().find_map(|star| name.strip_prefix(star)).unwrap_or(name))
    }
}

fn name_of(path: &Path) -> Option<&str> {
    path.file_name()?.to_str()
}

impl From<&str> for Source {
    fn from(folder: &str) -> Self {
        Self::folder(folder)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn check(chain: &str, key: &str, path: &str, name: Option<&str>) {
        let source = Source::files(chain.into(), key.into());
        assert_eq!((source.path.to_str(), source.name()), (Some(path), name), "{chain}");
        let written = serde_json::to_string(&source).unwrap();
        assert_eq!(serde_json::from_str::<Source>(&written).unwrap(), source, "{written}");
    }

    #[test]
    fn files_have_one_spelling_and_a_name() {
        let crt = "/lego/a.example.crt";
        check("/live/a/fullchain.pem", "/live/a/privkey.pem", "/live/a", Some("a"));
        check("/a/fullchain.pem", "/b/privkey.pem", "/a/fullchain.pem", Some("a"));
        check("/a/cert.pem", "/private/a/key.pem", "/a/cert.pem", Some("a"));
        check(crt, "/lego/a.example.key", crt, Some("a.example"));
        check("/l/_.a.example.crt", "/l/_.a.example.key", "/l/_.a.example.crt", Some("a.example"));
        let wildcard = "/c/wildcard_.a.example/wildcard_.a.example.crt";
        check(wildcard, "/c/k", wildcard, Some("a.example"));
        check("/fullchain.pem", "/k", "/fullchain.pem", None);
    }

    #[test]
    fn a_folder_is_written_as_ever() {
        let written = serde_json::to_string(&Source::folder("/live/a")).unwrap();
        assert_eq!(written, r#"{"source":"/live/a"}"#);
        assert_eq!(Source::folder("/live/*.a.example").name(), Some("a.example"));
        assert_eq!(Source::folder("/").name(), None);
    }
}
