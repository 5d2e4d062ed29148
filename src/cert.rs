//! A Cert: a chain and its key, checked to belong together, and the facts read from them. Pure.

mod blocks;
mod chain;
mod error;
mod fingerprint;
mod key;
mod leaf;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::fmt;

use x509_parser::prelude::X509Certificate;

pub use self::chain::Chain;
pub use self::error::Error;
pub use self::fingerprint::{Fingerprint, NoFingerprint};
pub use self::key::{Key, KeyKind};
pub use self::leaf::Leaf;

/// A chain and the key of its leaf. `Debug` shows facts, never the key.
#[derive(Clone)]
pub struct Cert {
    /// In order; certificates that do not belong are left out.
    chain: Chain,
    /// So many of them, from the first on, go out: a self-issued one can only be the last.
    sent: usize,
    key: Key,
}

impl Cert {
    /// Reads a chain (leaf anywhere in it) and a key from PEM text; either may hold stray text, blank lines, CRLF,
    /// and the blocks of the other. Certificates that lead nowhere and second copies are left out.
    ///
    /// # Errors
    /// [`Error`], whose `Display` has a `help:` line.
    pub fn read(chain: &[u8], key: &[u8]) -> Result<Self, Error> {
        let ders = blocks::certificates(chain)?;
        let keys = Key::read_all(key)?;
        let parsed = ders.iter().map(|der| leaf::parse(der)).collect::<Result<Vec<_>, _>>()?;
        let (first, key) = keys
            .into_iter()
            .find_map(|key| Some((parsed.iter().position(|cert| belongs(cert, &key))?, key)))
            .ok_or(Error::KeyMismatch)?;
        let order = chain::in_order(&parsed, first);
        let roots = order.iter().skip(1).filter(|&&at| chain::is_self_issued(&parsed[at])).count();
        let in_order = order.iter().map(|&at| ders[at].clone()).collect();
        Ok(Self { chain: Chain::of(in_order)?, sent: order.len() - roots, key })
    }

    /// Facts of the leaf.
    #[must_use]
    pub fn leaf(&self) -> &Leaf {
        self.chain.leaf()
    }

    /// The chain's DER, leaf first; a self-issued certificate, where the text had it, last.
    #[must_use]
    pub fn chain(&self) -> &[Vec<u8>] {
        self.chain.ders()
    }

    /// The same with its facts.
    #[must_use]
    pub fn as_chain(&self) -> &Chain {
        &self.chain
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// The chain as the CDN wants it: PEM, leaf first, wrapped at 64, no blank lines, no self-issued certificate after the leaf.
    #[must_use]
    pub fn chain_pem(&self) -> String {
        to_pem(&self.chain()[..self.sent])
    }

    /// The leaf alone, as PEM (certbot's `cert.pem`).
    #[must_use]
    pub fn leaf_pem(&self) -> String {
        to_pem(&self.chain()[..1])
    }

    /// What of the chain goes out after the leaf, as PEM (certbot's `chain.pem`); may be empty.
    #[must_use]
    pub fn issuers_pem(&self) -> String {
        to_pem(&self.chain()[1..self.sent])
    }
}

/// The certificates of PEM text as DER, each once: a store of roots, of any number up to a megabyte.
///
/// # Errors
/// [`Error::NoCertificate`], [`Error::Damaged`].
pub fn roots(pem: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
    blocks::store(pem)
}

/// The name for people of the root that a chain leads to, as its last certificate has it. The text holds the leaf first.
///
/// # Errors
/// [`Error::NoCertificate`], [`Error::Damaged`].
pub fn leads_to(chain: &[u8]) -> Result<String, Error> {
    let ders = blocks::certificates(chain)?;
    let parsed = ders.iter().map(|der| leaf::parse(der)).collect::<Result<Vec<_>, _>>()?;
    if parsed.is_empty() {
        return Err(Error::NoCertificate);
    }
    let order = chain::in_order(&parsed, 0);
    Ok(order.last().map(|&at| leaf::issuer_of(&parsed[at])).unwrap_or_default())
}

impl fmt::Debug for Cert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cert")
            .field("leaf", self.leaf())
            .field("chain", &self.chain().len())
            .field("key", &self.key)
            .finish()
    }
}

fn belongs(cert: &X509Certificate<'_>, key: &Key) -> bool {
    cert.public_key().subject_public_key.data.as_ref() == key.public()
}

/// Certificates as PEM: a block each, no blank lines between.
pub(crate) fn to_pem(ders: &[Vec<u8>]) -> String {
    ders.iter().map(|der| blocks::armor("CERTIFICATE", der)).collect()
}
