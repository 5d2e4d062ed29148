//! PEM blocks out of text as people and tools leave it, and back again.

use std::collections::HashSet;

use zeroize::Zeroizing;

use super::{Error, Fingerprint, leaf};

/// Far above any real bundle (a chain is under 10 KiB); a bound for what a wrong path may point at.
const LONGEST_TEXT: usize = 1024 * 1024;

/// Real chains have two to five; a system's whole root store has about 140 and is no chain.
const MOST_CERTIFICATES: usize = 100;

const BEGIN: &str = "-----BEGIN ";
const END: &str = "-----END ";
const DASHES: &str = "-----";

/// One block, not yet decoded.
pub(super) struct Block<'a> {
    /// Its number in the text, from 1.
    pub(super) number: usize,
    /// `CERTIFICATE`
    pub(super) label: &'a str,
    body: &'a str,
}

/// The blocks of a text. What stands between them is of no account: bag attributes, what `openssl s_client` says,
/// a byte order mark; and two of them may meet on one line, as in files joined without a line end.
pub(super) fn find(text: &str) -> Result<Vec<Block<'_>>, Error> {
    let mut blocks = Vec::new();
    let mut rest = text;
    while let Some((_, after)) = rest.split_once(BEGIN) {
        let number = blocks.len() + 1;
        let (block, after) = one(number, after)?;
        blocks.push(block);
        rest = after;
    }
    Ok(blocks)
}

/// The certificates of a chain's text as DER, in its order, each once.
///
/// # Errors
/// [`Error::NoCertificate`], [`Error::Damaged`].
pub(super) fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let ders = store(pem)?;
    if ders.len() > MOST_CERTIFICATES {
        let what = format!("it holds more than {MOST_CERTIFICATES} certificates");
        return Err(Error::Damaged(0, what));
    }
    Ok(ders)
}

/// As [`certificates`], of a text that may be a whole store of roots.
pub(super) fn store(pem: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    let text = text(pem)?;
    let mut seen = HashSet::new();
    let mut ders: Vec<Vec<u8>> = Vec::new();
    for block in find(&text)?.iter().filter(|block| block.is_certificate()) {
        let der = block.certificate()?;
        if seen.insert(Fingerprint::of(&der)) {
            ders.push(der);
        }
    }
    if ders.is_empty() { Err(Error::NoCertificate) } else { Ok(ders) }
}

/// Bounded, and as characters; bytes that are none stand outside of the blocks or make one damaged.
pub(super) fn text(pem: &[u8]) -> Result<Zeroizing<String>, Error> {
    if pem.len() > LONGEST_TEXT {
        return Err(Error::Damaged(0, "it is longer than 1 MiB".to_owned()));
    }
    Ok(Zeroizing::new(String::from_utf8_lossy(pem).into_owned()))
}

/// DER as a block: wrapped at 64 characters (RFC 7468, 2), a line end after each line.
pub(super) fn armor(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}

impl Block<'_> {
    fn is_certificate(&self) -> bool {
        matches!(self.label, "CERTIFICATE" | "X509 CERTIFICATE" | "TRUSTED CERTIFICATE")
    }

    /// It says by a header that a pass phrase is needed (RFC 1421, 4.6.1.1).
    pub(super) fn is_encrypted(&self) -> bool {
        self.label.starts_with("ENCRYPTED ")
            || self.body.lines().any(|line| {
                line.trim_start().starts_with("Proc-Type:") && line.contains("ENCRYPTED")
            })
    }

    /// Its bytes.
    pub(super) fn decode(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let mut clean = Zeroizing::new(String::with_capacity(self.body.len() + 128));
        clean.push_str(&format!("{BEGIN}{}{DASHES}\n", self.label));
        let lines = self.body.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.contains(':')) {
            clean.push_str(line);
            clean.push('\n');
        }
        clean.push_str(&format!("{END}{}{DASHES}\n", self.label));
        match pem::parse(clean.as_str()) {
            Ok(block) if block.contents().is_empty() => Err(self.damaged("it is empty")),
            Ok(block) => Ok(Zeroizing::new(block.into_contents())),
            // The reason could quote the text, which may be a key's.
            Err(_) => Err(self.damaged("what it holds is no base64")),
        }
    }

    fn certificate(&self) -> Result<Vec<u8>, Error> {
        let der = self.decode()?;
        let rest = leaf::rest_after(&der).ok_or_else(|| self.damaged("it is no certificate"))?;
        // OpenSSL puts its own trust settings after a TRUSTED CERTIFICATE.
        if rest > 0 && self.label != "TRUSTED CERTIFICATE" {
            return Err(self.damaged("something follows the certificate in it"));
        }
        Ok(der[..der.len() - rest].to_vec())
    }

    fn damaged(&self, why: &str) -> Error {
        Error::Damaged(self.number, why.to_owned())
    }
}

/// The block whose BEGIN was just read, and what follows it.
fn one(number: usize, after: &str) -> Result<(Block<'_>, &str), Error> {
    let damaged = |why: &str| Error::Damaged(number, why.to_owned());
    let (label, after) = after
        .split_once(DASHES)
        .filter(|(label, _)| !label.contains('\n'))
        .ok_or_else(|| damaged("its first line does not end in five dashes"))?;
    let (body, after) =
        after.split_once(END).ok_or_else(|| damaged("it begins and does not end"))?;
    if body.contains(BEGIN) {
        return Err(damaged("it begins and does not end"));
    }
    let after = after
        .strip_prefix(label)
        .and_then(|after| after.strip_prefix(DASHES))
        .ok_or_else(|| damaged("it begins as one kind of block and ends as another"))?;
    Ok((Block { number, label, body }, after))
}
