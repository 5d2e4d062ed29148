//! Everything that is wrong with a configuration: where, what, and what to do.

use std::fmt;
use std::path::PathBuf;

/// Everything that is wrong with a configuration; `Display` shows all of it.
#[derive(Debug)]
pub struct Errors {
    /// In the order of the lines.
    pub errors: Vec<Error>,
}

/// One thing wrong: where, what, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// The file.
    pub file: PathBuf,
    /// Line from 1; none where the thing wrong is that something is missing from the whole file.
    pub line: Option<usize>,
    /// What is wrong: lower case, names the key.
    pub what: String,
    /// What to do.
    pub help: String,
}

impl fmt::Display for Errors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            if at > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{error}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Errors {}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, "{line}:")?;
        }
        // A name of several lines could write a `help:` line of its own.
        let what = self.what.replace('\n', "\\n");
        write!(f, " {what}\n  help: {}", self.help)
    }
}

impl std::error::Error for Error {}
