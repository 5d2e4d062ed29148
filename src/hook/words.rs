//! Words of a client, judged: paths that are whole, texts without orders in them.

use std::path::{Path, PathBuf};

use super::{Call, Dialect, Error, Event, Names};
use crate::config::Source;

/// Where a client's relative path begins.
#[derive(Clone, Copy)]
pub(super) enum Base<'a> {
    /// Nowhere: the client gives whole paths.
    Nowhere,
    /// In this folder.
    Folder(&'a Path),
}

/// A word of a client: what it is, for messages, and what it says.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) name: &'a str,
    pub(super) said: &'a str,
}

impl<'a> Word<'a> {
    pub(super) fn new(name: &'a str, said: &'a str) -> Self {
        Self { name, said }
    }

    /// A variable that must be set.
    pub(super) fn var(
        call: &Call<'a>,
        dialect: Dialect,
        name: &'static str,
    ) -> Result<Self, Error> {
        let said = (call.var)(name).ok_or_else(|| {
            let help = format!("{dialect} sets it: look at what has called this hook");
            Error::new(format!("{name} is not set"), help)
        })?;
        Ok(Self { name, said })
    }

    /// A path in one spelling: whole, without doubled slashes or one at its end.
    pub(super) fn path(self, dialect: Dialect, base: Base<'_>) -> Result<PathBuf, Error> {
        let path = Path::new(self.tame(dialect)?);
        let whole = match base {
            Base::Nowhere => path.to_owned(),
            Base::Folder(folder) => folder.join(path),
        };
        if !whole.is_absolute() {
            let help = if dialect == Dialect::Certbot {
                "certbot gives the whole path, as /etc/letsencrypt/live/example.com".to_owned()
            } else {
                format!("{dialect} gives the whole path: look at what has called this hook")
            };
            let what = format!("{} is not an absolute path: {}", self.name, path.display());
            return Err(Error::new(what, help));
        }
        if whole.to_string_lossy().contains(char::is_control) {
            return Err(Error::new(
                format!("{} lies where control characters are in the path: {whole:?}", self.name),
                "look at HOME and XDG_DATA_HOME, and at the folder that the hook runs in",
            ));
        }
        Ok(whole.components().collect())
    }

    /// The text, if it has no control characters: a line end in it would write a line of its own into our messages.
    pub(super) fn tame(self, dialect: Dialect) -> Result<&'a str, Error> {
        if !self.said.contains(char::is_control) {
            return Ok(self.said);
        }
        Err(Error::new(
            format!("{} has control characters in it: {:?}", self.name, self.said),
            format!("{dialect} gives none: look at what has called this hook"),
        ))
    }
}

/// A certificate whose names stand in its files, called as the client says or after its path.
pub(super) fn in_files(
    dialect: Dialect,
    source: Source,
    name: Option<Word<'_>>,
) -> Result<Event, Error> {
    let name = match name {
        Some(name) => Some(name.tame(dialect)?),
        None => source.name(),
    };
    let name = name.map_or_else(|| source.to_string(), ToOwned::to_owned);
    Ok(Event { dialect, source, name, names: Names::InFiles })
}
