//! Secrets: how they are read from files of their own, and how text from outside is freed of them.

mod encoded;

use std::fs::{File, Metadata, OpenOptions};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::ground::Env;
use crate::told::leads_astray;

/// The variables that hold an AccessKey of ours, or the way to one. A program that we start is given all others: it has
/// its own work to do, and half a key would only confuse it.
pub(crate) const VARIABLES: [&str; 4] = [
    "ALIBABA_CLOUD_ACCESS_KEY_ID",
    "ALIBABA_CLOUD_ACCESS_KEY_SECRET",
    "ALIBABA_CLOUD_SECURITY_TOKEN",
    "ALIBABA_CLOUD_CREDENTIALS_URI",
];

/// Takes secrets out of text that came from outside. It knows those in memory; all others it finds by their pattern.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Lower case; longest forms and short pieces alike, each as a server may echo it.
    needles: Arc<Vec<Zeroizing<String>>>,
}

impl Redactor {
    /// Knows these secrets: as they are, percent-encoded once and twice, in base64 or hex wherever they stand in it, and
    /// every line of a PEM body.
    pub fn knowing(secrets: impl IntoIterator<Item = SecretString>) -> Self {
        let mut needles = Vec::new();
        for secret in secrets {
            add_needles(&mut needles, secret.expose_secret());
        }
        Self { needles: Arc::new(needles) }
    }

    /// The text without secrets, on one line, of at most 600 characters.
    #[must_use]
    pub fn clean(&self, text: &str) -> String {
        let text = encoded::unescaped(head(text, MOST_READ));
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        let mut hidden = Hidden(vec![false; text.len()]);
        for needle in self.needles.iter() {
            hidden
                .hide_all(lower.match_indices(needle.as_str()).map(|(at, hit)| at..at + hit.len()));
        }
        hidden.hide_all(encoded::words(&text, &|text| self.knows(text)));
        hidden.hide_all(key_blocks(&lower));
        hidden.hide_all(parameter_values(&lower));
        hidden.hide_all(lower.find(ECHO).map(|at| at + ECHO.len()..text.len()));
        hidden.render(&text)
    }

    /// Is one of the secrets in it, in any form?
    fn knows(&self, text: &str) -> bool {
        let lower = Zeroizing::new(text.to_ascii_lowercase());
        self.needles.iter().any(|needle| lower.contains(needle.as_str()))
    }
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Redactor")
    }
}

/// Reads a secret from a file of its own, without the line ends at its end. A relative name is looked for in `base`,
/// then in `$CREDENTIALS_DIRECTORY` (systemd.exec(5), LoadCredential=).
///
/// # Errors
/// No such file, no regular file, over 64 KiB, empty, not UTF-8, or others may read or write it; with the remedy.
pub fn read(path: &Path, env: &Env, base: Option<&Path>) -> anyhow::Result<SecretString> {
    let (file, path) = open(path, env, base)?;
    judge(&file, &path)?;
    let bytes = read_at_most(file, &path, MOST_SECRET)?;
    let text = std::str::from_utf8(&bytes)
        .with_context(|| format!("{} is not text (UTF-8)", path.display()))?
        .trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        anyhow::bail!("{} is empty\nhelp: write the secret into it", path.display());
    }
    Ok(SecretString::from(text))
}

/// Reads a file of another program that holds secrets; none: there is no such file. `forbidden` are the bits that its
/// mode may not have.
///
/// # Errors
/// It cannot be read, is no regular file, is over 1 MiB or not UTF-8, or its mode has such a bit; with the remedy. Nothing
/// of its text is told.
pub(crate) fn read_foreign(
    path: &Path,
    forbidden: u32,
) -> anyhow::Result<Option<Zeroizing<String>>> {
    let file = match open_place(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            return Err(error).with_context(|| format!("cannot open {}", path.display()));
        }
    };
    let facts = file.metadata().with_context(|| format!("cannot look at {}", path.display()))?;
    let (name, mode) = (path.display(), facts.mode() & 0o7777);
    anyhow::ensure!(facts.is_file(), "{name} is no regular file\nhelp: name a regular file");
    anyhow::ensure!(
        mode & forbidden == 0,
        "others may read or write {name} (mode {mode:04o})\nhelp: chmod 600 {name}"
    );
    let bytes = read_at_most(file, path, MOST_FOREIGN)?;
    let text =
        std::str::from_utf8(&bytes).with_context(|| format!("{name} is not text (UTF-8)"))?;
    Ok(Some(Zeroizing::new(text.to_owned())))
}

/// Appends `text` percent-encoded as RFC 3986, section 2.1 and 2.3 say: all but unreserved bytes, in upper case hex.
pub(crate) fn percent_encode_onto(out: &mut String, text: &str) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.extend(['%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

/// `text` percent-encoded. Three bytes for one are the most: the buffer never moves, so it leaves no copy behind.
pub(crate) fn percent_encoded(text: &str) -> Zeroizing<String> {
    let mut out = Zeroizing::new(String::with_capacity(3 * text.len()));
    percent_encode_onto(&mut out, text);
    out
}

/// May others than its owner read or write a file that holds a secret? `what` names it in the error, `path` in the
/// command that helps. Group root is root itself, and systemd's credentials are so.
pub(crate) fn judge_mode(facts: &Metadata, what: &str, path: &str) -> anyhow::Result<()> {
    let mode = facts.mode() & 0o7777;
    let group = mode & 0o070 != 0 && facts.gid() != 0;
    if mode & 0o007 != 0 || group {
        anyhow::bail!("others may read or write {what} (mode {mode:04o})\nhelp: chmod 600 {path}");
    }
    Ok(())
}

/// Opens the first of the places where `path` may be.
fn open(path: &Path, env: &Env, base: Option<&Path>) -> anyhow::Result<(File, PathBuf)> {
    let places = places(path, env, base);
    for place in &places {
        match open_place(place) {
            Ok(file) => return Ok((file, place.clone())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot open the secret file {}", place.display()));
            }
        }
    }
    let places: Vec<String> = places.iter().map(|place| place.display().to_string()).collect();
    anyhow::bail!(
        "there is no secret file {}\nhelp: write the secret into a file of its own, chmod 600, and name it in the configuration",
        places.join(" or ")
    )
}

/// Without blocking: a pipe without a writer would hang us.
fn open_place(place: &Path) -> std::io::Result<File> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    OpenOptions::new().read(true).custom_flags(nonblocking).open(place)
}

fn read_at_most(file: File, path: &Path, most: usize) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let size = file.metadata().map_or(0, |facts| facts.len());
    // Large enough from the start, so that no copy stays behind.
    let room = usize::try_from(size).unwrap_or(most).clamp(4096, most) + 1;
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    file.take(most as u64 + 1)
        .read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() > most {
        anyhow::bail!(
            "{} is larger than {} KiB\nhelp: name the file that holds the secret and nothing else",
            path.display(),
            most / 1024
        );
    }
    Ok(bytes)
}

fn places(path: &Path, env: &Env, base: Option<&Path>) -> Vec<PathBuf> {
    if path.is_absolute() {
        return vec![path.to_owned()];
    }
    let first = base.map_or_else(|| path.to_owned(), |base| base.join(path));
    let credentials = env.var("CREDENTIALS_DIRECTORY").map(|folder| Path::new(folder).join(path));
    std::iter::once(first).chain(credentials).collect()
}

/// May a secret be in this file?
fn judge(file: &File, path: &Path) -> anyhow::Result<()> {
    let facts = file.metadata().with_context(|| format!("cannot look at {}", path.display()))?;
    if !facts.is_file() {
        anyhow::bail!(
            "{} is no regular file\nhelp: name a file that holds the secret and nothing else",
            path.display()
        );
    }
    let path = path.display().to_string();
    judge_mode(&facts, &format!("the secret file {path}"), &path)
}

/// Which bytes of a text are not shown.
struct Hidden(Vec<bool>);

impl Hidden {
    fn hide_all(&mut self, ranges: impl IntoIterator<Item = Range<usize>>) {
        for range in ranges {
            if let Some(bytes) = self.0.get_mut(range) {
                bytes.fill(true);
            }
        }
    }

    fn render(&self, text: &str) -> String {
        let mut shown = String::new();
        let mut count = 0;
        let mut was_hidden = false;
        for (at, letter) in text.char_indices() {
            let hidden = self.0.get(at).copied().unwrap_or(true);
            if count >= MOST_SHOWN {
                shown.push('…');
                break;
            }
            if hidden && !was_hidden {
                shown.push_str(REMOVED);
                count += REMOVED.len();
            } else if !hidden {
                shown.push(if leads_astray(letter) { ' ' } else { letter });
                count += 1;
            }
            was_hidden = hidden;
        }
        shown
    }
}

fn add_needles(needles: &mut Vec<Zeroizing<String>>, secret: &str) {
    add_forms(needles, secret.trim());
    add_base64(needles, secret.trim());
    if !secret.contains("-----BEGIN") {
        return;
    }
    for line in secret.lines().map(str::trim).filter(|line| !line.starts_with("-----")) {
        add_forms(needles, line);
        // a server may wrap at another width
        let pieces =
            line.as_bytes().chunks_exact(PIECE).filter_map(|piece| std::str::from_utf8(piece).ok());
        pieces.for_each(|piece| add_forms(needles, piece));
    }
}

/// As it is, percent-encoded once and twice.
fn add_forms(needles: &mut Vec<Zeroizing<String>>, secret: &str) {
    if secret.len() < SHORTEST {
        return;
    }
    let once = percent_encoded(secret);
    let twice = percent_encoded(&once);
    for form in [secret, once.as_str(), twice.as_str()] {
        needles.push(Zeroizing::new(form.to_ascii_lowercase()));
    }
}

/// In base64 (RFC 4648, 4 and 5), whatever stands before and behind it: `user:password` in a header, a whole request.
fn add_base64(needles: &mut Vec<Zeroizing<String>>, secret: &str) {
    if secret.len() < SHORTEST {
        return;
    }
    for before in 0..3 {
        let bytes = Zeroizing::new([&[0; 3][..before], secret.as_bytes()].concat());
        let text = Zeroizing::new(STANDARD_NO_PAD.encode(bytes.as_slice()).to_ascii_lowercase());
        // A letter holds six bits: those at the ends hold some of a neighbour's.
        let own = text.get((before * 8).div_ceil(6)..bytes.len() * 8 / 6).unwrap_or_default();
        let width = if own.len() > WRAPPED { PIECE } else { own.len() };
        for piece in
            own.as_bytes().chunks_exact(width).filter_map(|piece| str::from_utf8(piece).ok())
        {
            let of_urls = piece.replace('+', "-").replace('/', "_");
            if of_urls != piece {
                needles.push(Zeroizing::new(of_urls));
            }
            needles.push(Zeroizing::new(piece.to_owned()));
        }
    }
}

/// Where private keys stand in PEM: to their END, to the text's end without one, and from its start for an END alone.
fn key_blocks(lower: &str) -> Vec<Range<usize>> {
    let mut blocks = Vec::new();
    let mut from = 0;
    while let Some(begin) = key_mark(lower, "begin", from) {
        let end = key_mark(lower, "end", begin).map_or(lower.len(), |end| after_mark(lower, end));
        blocks.push(begin..end);
        from = end;
    }
    if let Some(end) = key_mark(lower, "end", from) {
        blocks.push(from..after_mark(lower, end));
    }
    blocks
}

/// The next `word` behind a dash (`-` or `%2D`, `%252D`) whose label speaks of a private key, or is cut off.
fn key_mark(lower: &str, word: &str, from: usize) -> Option<usize> {
    let rest = lower.get(from..)?;
    rest.match_indices(word).map(|(at, _)| from + at).find(|at| {
        let before = lower.get(..*at).unwrap_or_default();
        let label = head(lower.get(at + word.len()..).unwrap_or_default(), LABEL);
        let cut = label.len() < LABEL && !label.contains("--");
        let of_key = label
            .find("private")
            .is_some_and(|key| !label.get(..key).unwrap_or_default().contains("--"));
        (before.ends_with('-') || before.ends_with("2d")) && (of_key || cut)
    })
}

/// The end of the label that begins at `mark`.
fn after_mark(lower: &str, mark: usize) -> usize {
    lower.get(mark..).and_then(|rest| rest.find("key")).map_or(lower.len(), |at| mark + at + 3)
}

/// Where the values of secret parameters stand: in a form, percent-encoded once or twice, or in JSON.
fn parameter_values(lower: &str) -> Vec<Range<usize>> {
    let names = NAMES.iter().flat_map(|name| lower.match_indices(name));
    names.filter_map(|(at, name)| value_at(lower, at + name.len())).collect()
}

fn value_at(lower: &str, at: usize) -> Option<Range<usize>> {
    let rest = lower.get(at..)?;
    let (between, stops) = BETWEEN.iter().find(|(between, _)| rest.starts_with(between))?;
    let value = rest.get(between.len()..)?;
    let length = stops.iter().filter_map(|stop| value.find(stop)).min().unwrap_or(value.len());
    Some(at + between.len()..at + between.len() + length)
}

/// At most `most` bytes from the start, ending where a letter ends.
fn head(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end));
    text.get(..end.unwrap_or(0)).unwrap_or_default()
}

/// What stands in place of a secret.
const REMOVED: &str = "[removed]";
/// What the gateway writes before the whole string that it signed, which holds every parameter (facts of the API, 2.4).
const ECHO: &str = "server string to sign is:";
/// Parameters whose values nobody may see; a Signature is good for fifteen minutes.
const NAMES: [&str; 5] = ["securitytoken", "accesskeysecret", "signature", "privatekey", "sslpri"];
/// What stands between a name and its value, and what ends the value there.
const BETWEEN: [(&str, &[&str]); 6] = [
    ("=", &["&", " ", "\n", "\"", "'"]),
    ("%3d", &["%26", "&", " ", "\n", "\""]),
    ("%253d", &["%2526", "%26", "&", " ", "\n", "\""]),
    ("\":\"", &["\""]),
    ("\": \"", &["\""]),
    (": ", &[" ", "\n", ",", "\""]),
];
/// A line for people: about seven lines of a terminal.
const MOST_SHOWN: usize = 600;
/// An answer's text beyond it cannot matter for 600 letters.
const MOST_READ: usize = 128 * 1024;
/// No secret that we know is larger; a larger file was named by mistake.
const MOST_SECRET: usize = 64 * 1024;
/// A configuration of the Aliyun CLI with hundreds of profiles is smaller.
const MOST_FOREIGN: usize = 1024 * 1024;
/// Shorter ones would blacken every text, and are no secrets.
const SHORTEST: usize = 6;
/// Bytes of a PEM body that are looked for by themselves: too long to meet by chance, short enough for other widths.
const PIECE: usize = 16;
/// Letters that a line of base64 has at least, wherever it is wrapped (PEM: 64, MIME: 76).
const WRAPPED: usize = 64;
/// Bytes that the label of a PEM block may have, twice encoded.
const LABEL: usize = 48;

#[cfg(test)]
mod tests;
