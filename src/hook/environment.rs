//! Clients that tell of a certificate by variables: certbot, lego, acme.sh.

use super::words::{Base, Word, in_files};
use super::{Call, Dialect, Error, Event, Names};
use crate::config::Source;

/// `RENEWED_LINEAGE` and `RENEWED_DOMAINS` (certbot's documentation, "renewing certificates").
pub(super) fn certbot(call: &Call<'_>) -> Result<Event, Error> {
    let dialect = Dialect::Certbot;
    let folder = Word::var(call, dialect, "RENEWED_LINEAGE")?.path(dialect, Base::Nowhere)?;
    let name =
        folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let names = (call.var)("RENEWED_DOMAINS").unwrap_or_default();
    let names = Names::Told(names.split_whitespace().map(str::to_lowercase).collect());
    Ok(Event { dialect, source: Source::folder(folder), name, names })
}

/// `LEGO_CERT_PATH`, `LEGO_CERT_KEY_PATH`, and `LEGO_CERT_DOMAIN`, which is one name of several.
pub(super) fn lego4(call: &Call<'_>) -> Result<Event, Error> {
    let dialect = Dialect::Lego4;
    let source = source(call, dialect, ["LEGO_CERT_PATH", "LEGO_CERT_KEY_PATH"])?;
    in_files(dialect, source, word(call, "LEGO_CERT_DOMAIN"))
}

/// `LEGO_HOOK_CERT_PATH`, `LEGO_HOOK_CERT_KEY_PATH`, `LEGO_HOOK_CERT_NAME`, and all names in `LEGO_HOOK_CERT_DOMAINS`.
pub(super) fn lego5(call: &Call<'_>) -> Result<Event, Error> {
    let dialect = Dialect::Lego5;
    let source = source(call, dialect, ["LEGO_HOOK_CERT_PATH", "LEGO_HOOK_CERT_KEY_PATH"])?;
    let event = in_files(dialect, source, word(call, "LEGO_HOOK_CERT_NAME"))?;
    let Some(names) = (call.var)("LEGO_HOOK_CERT_DOMAINS") else { return Ok(event) };
    let names = names.split(',').map(str::trim).filter(|name| !name.is_empty());
    Ok(Event { names: Names::Told(names.map(str::to_lowercase).collect()), ..event })
}

/// `CERT_FULLCHAIN_PATH`, `CERT_KEY_PATH`, and `Le_Domain`, which is one name of several.
pub(super) fn acme_sh(call: &Call<'_>) -> Result<Event, Error> {
    let dialect = Dialect::AcmeSh;
    let chain = Word::var(call, dialect, "CERT_FULLCHAIN_PATH")?.path(dialect, Base::Nowhere)?;
    let key = Word::var(call, dialect, "CERT_KEY_PATH")?.path(dialect, Base::Nowhere)?;
    in_files(dialect, Source::files(chain, key), word(call, "Le_Domain"))
}

/// lego runs its hook where it was called, and may have been given a relative `--path`.
fn source(
    call: &Call<'_>,
    dialect: Dialect,
    [chain, key]: [&'static str; 2],
) -> Result<Source, Error> {
    let here = Base::Folder(call.here);
    let chain = Word::var(call, dialect, chain)?.path(dialect, here)?;
    let key = Word::var(call, dialect, key)?.path(dialect, here)?;
    Ok(Source::files(chain, key))
}

fn word<'a>(call: &Call<'a>, name: &'a str) -> Option<Word<'a>> {
    (call.var)(name).map(|said| Word::new(name, said))
}
