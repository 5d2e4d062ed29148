//! The dialects of other ACME clients: what a client says by environment becomes lineage, names and event. Pure.

use std::path::PathBuf;

use crate::config::Source;

/// certbot's name.
pub const CERTBOT: &str = "certbot";

/// What a client told its hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The client.
    pub client: &'static str,
    /// Where the files are.
    pub source: Source,
    /// The lineage's name: the folder's last part.
    pub name: String,
    /// The certificate's names, as the client said.
    pub names: Vec<String>,
}

/// Why a call is no hook's call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// No dialect's variables are set.
    NoDialect,
    /// The lineage's folder is no absolute path.
    Relative(PathBuf),
    /// The lineage's folder has control characters in its name.
    Odd(PathBuf),
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoDialect => f.write_str(
                "RENEWED_LINEAGE is not set: no ACME client has called this hook\n\
                 help: use it as certbot's --deploy-hook, or `certferry deploy --lineage DIR --domain D` by hand",
            ),
            Self::Relative(path) => write!(
                f,
                "RENEWED_LINEAGE is not an absolute path: {}\n\
                 help: certbot gives the whole path, as /etc/letsencrypt/live/example.com",
                path.display()
            ),
            // Quoted: a line end in it would let it write a line of its own into our messages.
            Self::Odd(path) => write!(
                f,
                "RENEWED_LINEAGE has control characters in it: {path:?}\n\
                 help: certbot gives none: look at what has called this hook"
            ),
        }
    }
}

impl std::error::Error for Error {}

/// Reads certbot's dialect: `RENEWED_LINEAGE` and `RENEWED_DOMAINS` (certbot's documentation, "renewing certificates").
///
/// # Errors
/// [`Error`].
pub fn certbot<'a>(var: impl Fn(&str) -> Option<&'a str>) -> Result<Event, Error> {
    let source = PathBuf::from(var("RENEWED_LINEAGE").ok_or(Error::NoDialect)?);
    if source.to_string_lossy().contains(char::is_control) {
        return Err(Error::Odd(source));
    }
    if !source.is_absolute() {
        return Err(Error::Relative(source));
    }
    // Components drop a slash at the end and doubled ones: one folder, one spelling.
    let source: PathBuf = source.components().collect();
    let name =
        source.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let names = var("RENEWED_DOMAINS").unwrap_or_default();
    let names = names.split_whitespace().map(str::to_lowercase).collect();
    Ok(Event { client: CERTBOT, source: Source::folder(source), name, names })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn check(
        name: &str,
        vars: &[(&str, &'static str)],
        expect: Result<(&str, &str, &[&str]), Error>,
    ) {
        let event =
            certbot(|wanted| vars.iter().find(|(var, _)| *var == wanted).map(|(_, value)| *value));
        let expect = expect.map(|(source, lineage, names)| Event {
            client: "certbot",
            source: source.into(),
            name: lineage.to_owned(),
            names: names.iter().map(|&name| name.to_owned()).collect(),
        });
        assert_eq!(event, expect, "{name}");
    }

    #[test]
    fn certbots_words() {
        let live = "/etc/letsencrypt/live/example.com";
        check("none", &[], Err(Error::NoDialect));
        check(
            "both",
            &[
                ("RENEWED_LINEAGE", "/etc/letsencrypt/live/example.com"),
                ("RENEWED_DOMAINS", "example.com *.Example.com"),
            ],
            Ok((live, "example.com", &["example.com", "*.example.com"])),
        );
        check(
            "no names",
            &[("RENEWED_LINEAGE", "/etc/letsencrypt/live/example.com/")],
            Ok((live, "example.com", &[])),
        );
        let odd = "/x\nhelp: y";
        check("a line end", &[("RENEWED_LINEAGE", odd)], Err(Error::Odd(odd.into())));
        check("relative", &[("RENEWED_LINEAGE", "live/x")], Err(Error::Relative("live/x".into())));
    }
}
