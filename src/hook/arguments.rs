//! Clients that tell of a certificate by arguments: acme.sh's deploy hooks, dehydrated, uacme, Caddy; and flags.

use std::path::{Path, PathBuf};

use super::signs::DEHYDRATED;
use super::words::{Base, Word, in_files};
use super::{Call, Dialect, Error, Event, Heard};
use crate::config::Source;

/// Where a Caddy that was installed as a service keeps its files.
const CADDYS_HOME: &str = "/var/lib/caddy/.local/share";

/// `DOMAIN KEY CERT CA FULLCHAIN`, as acme.sh calls the function of a deploy hook.
pub(super) fn acme_sh(args: &[String]) -> Result<Event, Error> {
    let dialect = Dialect::AcmeSh;
    let [domain, key, _cert, _ca, chain, ..] = args else {
        return Err(usage(dialect, "DOMAIN KEY CERT CA FULLCHAIN"));
    };
    let chain = Word::new("FULLCHAIN", chain).path(dialect, Base::Nowhere)?;
    let key = Word::new("KEY", key).path(dialect, Base::Nowhere)?;
    in_files(dialect, Source::files(chain, key), Some(Word::new("DOMAIN", domain)))
}

/// `deploy_cert DOMAIN KEY CERT FULLCHAIN CHAIN TIMESTAMP`, `unchanged_cert` with the same in each later run. Any other
/// handler, one not yet thought of included, must end well and say nothing.
pub(super) fn dehydrated(call: &Call<'_>, args: &[String]) -> Result<Heard, Error> {
    let dialect = Dialect::Dehydrated;
    if args.first().is_some_and(|word| !DEHYDRATED.contains(&word.as_str())) {
        return Ok(Heard::Nothing(0));
    }
    let [_handler, domain, key, _cert, chain, ..] = args else {
        return Err(usage(dialect, "deploy_cert DOMAIN KEY CERT FULLCHAIN CHAIN TIMESTAMP"));
    };
    let here = Base::Folder(call.here);
    let chain = Word::new("FULLCHAIN", chain).path(dialect, here)?;
    let key = Word::new("KEY", key).path(dialect, here)?;
    let source = Source::files(chain, key);
    in_files(dialect, source, Some(Word::new("DOMAIN", domain))).map(Heard::Certificate)
}

/// `CONFDIR IDENT`: uacme's folders have fixed names under these, without a wildcard's star.
pub(super) fn uacme(call: &Call<'_>, args: &[String]) -> Result<Event, Error> {
    let dialect = Dialect::Uacme;
    let [folder, ident, ..] = args else { return Err(usage(dialect, "CONFDIR IDENT")) };
    let ident = Word::new("IDENT", ident.strip_prefix("*.").unwrap_or(ident));
    let name = ident.tame(dialect)?;
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        let what = format!("the IDENT `{name}` is no name of a certificate");
        return Err(Error::new(what, "give the name that uacme has it under"));
    }
    let folder = Word::new("CONFDIR", folder).path(dialect, Base::Folder(call.here))?;
    let chain = folder.join(name).join("cert.pem");
    let key = folder.join("private").join(name).join("key.pem");
    in_files(dialect, Source::files(chain, key), Some(ident))
}

/// `IDENTIFIER CHAIN KEY`: paths begin at the root of Caddy's storage, unless they are whole.
pub(super) fn caddy(call: &Call<'_>, args: &[String]) -> Result<Event, Error> {
    let dialect = Dialect::Caddy;
    let [ident, chain, key, ..] = args else {
        let words =
            "{event.data.identifier} {event.data.certificate_path} {event.data.private_key_path}";
        return Err(usage(dialect, words));
    };
    let root = storage(call);
    let chain = Word::new("CHAIN", chain).path(dialect, Base::Folder(&root))?;
    let key = Word::new("KEY", key).path(dialect, Base::Folder(&root))?;
    in_files(dialect, Source::files(chain, key), Some(Word::new("IDENTIFIER", ident)))
}

/// `--cert FILE --key FILE`, perhaps `--name NAME`.
pub(super) fn files(call: &Call<'_>) -> Result<Event, Error> {
    let dialect = Dialect::Files;
    let Some(files) = call.files else {
        return Err(Error::new("no files are given", "say --cert FILE --key FILE"));
    };
    let path = |name, path: &Path| {
        Word::new(name, &path.to_string_lossy()).path(dialect, Base::Folder(call.here))
    };
    let source = Source::files(path("--cert", files.chain)?, path("--key", files.key)?);
    in_files(dialect, source, files.name.map(|name| Word::new("--name", name)))
}

/// Where Caddy keeps its files, by its own rule (caddy.AppDataDir): what it runs in, its hook runs in.
fn storage(call: &Call<'_>) -> PathBuf {
    let by_xdg = (call.var)("XDG_DATA_HOME").map(PathBuf::from);
    let by_home = || Some(Path::new((call.var)("HOME")?).join(".local/share"));
    by_xdg.or_else(by_home).unwrap_or_else(|| PathBuf::from(CADDYS_HOME)).join("caddy")
}

fn usage(dialect: Dialect, words: &str) -> Error {
    let client = dialect.client();
    Error::new(
        format!("{dialect} tells of no certificate: there are too few words after `--`"),
        format!("call it as `certferry hook -- {client} {words}`"),
    )
}
