//! Names as people write them: DNS names, CDN domains, and the nearest of the known words.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use super::CdnDomain;

/// Longest DNS name in text, without the dot at its end (RFC 1035, 2.3.4: 255 bytes on the wire).
const LONGEST_NAME: usize = 253;
/// Longest label (RFC 1035, 2.3.4).
const LONGEST_LABEL: usize = 63;

impl PartialEq for CdnDomain {
    fn eq(&self, other: &Self) -> bool {
        self.api_name == other.api_name
    }
}

impl Eq for CdnDomain {}

impl PartialOrd for CdnDomain {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CdnDomain {
    fn cmp(&self, other: &Self) -> Ordering {
        self.api_name.cmp(&other.api_name)
    }
}

impl Hash for CdnDomain {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.api_name.hash(state);
    }
}

impl CdnDomain {
    /// Reads a CDN domain as users write it: `cdn.example.com`, `*.example.com`, `.example.com`, IDN in either form.
    ///
    /// # Errors
    /// What is wrong with it, in words that fit after "the CDN domain `x` ".
    pub fn read(written: &str) -> Result<Self, String> {
        let star = written.strip_prefix("*.").or_else(|| written.strip_prefix('.'));
        let name = plain_name(star.unwrap_or(written))?;
        let api_name = if star.is_some() { format!(".{name}") } else { name };
        Ok(Self { api_name, written: written.to_owned() })
    }
}

/// A DNS name for a certificate: ASCII (IDN by punycode), lower case, `*.` allowed as the first label.
///
/// # Errors
/// What is wrong with it (an IP address, an empty label, a star elsewhere, too long, a single label...), in words
/// that fit after "`x` ".
pub fn dns_name(written: &str) -> Result<String, String> {
    if is_address(written) {
        return Err("is an IP address: DNS-01 cannot prove an IP address".to_owned());
    }
    match written.strip_prefix("*.") {
        Some(parent) => Ok(format!("*.{}", plain_name(parent)?)),
        None if written.starts_with('.') => {
            Err(format!("begins with a dot; a certificate's wildcard is written `*{written}`"))
        }
        None => plain_name(written),
    }
}

/// The one of the known words that was probably meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = folded(word);
    // A third of the letters wrong is still a slip of the finger; more is another word.
    let bound = (word.chars().count() / 3).max(1);
    known
        .iter()
        .map(|&candidate| (strsim::damerau_levenshtein(&word, &folded(candidate)), candidate))
        .filter(|(distance, _)| *distance <= bound)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn folded(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

fn is_address(written: &str) -> bool {
    written.starts_with('[') || written.parse::<IpAddr>().is_ok()
}

fn plain_name(written: &str) -> Result<String, String> {
    if is_address(written) {
        return Err("is an IP address".to_owned());
    }
    if let Some(wrong) = written.chars().find(|c| c.is_whitespace() || "/:@,;?#".contains(*c)) {
        return Err(format!("has {wrong:?} in it: the name alone, no URL, port or list"));
    }
    if written.contains('*') {
        return Err("has a star elsewhere than as its whole first label".to_owned());
    }
    let written = written.strip_suffix('.').unwrap_or(written);
    let name = idna::domain_to_ascii(written)
        .ok()
        .ok_or_else(|| "has letters that no internationalized domain name can have".to_owned())?;
    well_formed(&name)?;
    Ok(name)
}

/// RFC 1034, 3.5, as RFC 1123, 2.1 widened it.
fn well_formed(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("is empty".to_owned());
    }
    if name.len() > LONGEST_NAME {
        return Err(format!("is longer than {LONGEST_NAME} characters"));
    }
    let labels: Vec<&str> = name.split('.').collect();
    labels.iter().try_for_each(|label| well_formed_label(label))?;
    match labels.as_slice() {
        [_] => Err("has a single label: a public name has a dot in it".to_owned()),
        [.., last] if last.bytes().all(|byte| byte.is_ascii_digit()) => {
            Err("ends in a number, as an IP address does".to_owned())
        }
        _ => Ok(()),
    }
}

fn well_formed_label(label: &str) -> Result<(), String> {
    if label.is_empty() {
        return Err("has an empty label: two dots meet, or one stands at its start".to_owned());
    }
    if label.len() > LONGEST_LABEL {
        return Err(format!("has a label of more than {LONGEST_LABEL} characters"));
    }
    if let Some(wrong) = label.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-') {
        return Err(format!("has {wrong:?} in it: letters, digits and dashes only"));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Err("has a label that begins or ends with a dash".to_owned());
    }
    Ok(())
}
