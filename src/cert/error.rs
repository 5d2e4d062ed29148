//! Why a chain and a key are no Cert, and what to do about it.

use std::fmt;

/// Why a chain and a key are no Cert.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// No certificate in the text.
    NoCertificate,
    /// A block that begins and does not end, or is no base64, or no certificate; with which (from 1; 0: the text as
    /// a whole) and why.
    Damaged(usize, String),
    /// No private key in the text.
    NoKey,
    /// The key needs a pass phrase.
    EncryptedKey,
    /// The key cannot be read; why.
    UnreadableKey(String),
    /// The key is not the leaf's: no certificate of the text has this key.
    KeyMismatch,
}

impl Error {
    fn help(&self) -> &'static str {
        match self {
            Self::NoCertificate => {
                "give the file with the chain (certbot and others call it `fullchain.pem`): PEM text with \
                 `-----BEGIN CERTIFICATE-----`"
            }
            Self::Damaged(..) => {
                "the file was cut or changed by hand; copy it again from where it was issued"
            }
            Self::NoKey => {
                "give the file with the private key (certbot and others call it `privkey.pem`): PEM text with \
                 `-----BEGIN PRIVATE KEY-----`"
            }
            Self::EncryptedKey => {
                "a CDN takes only keys without one; write a plain copy by `openssl pkey -in KEY -out PLAIN`"
            }
            Self::UnreadableKey(_) => "`openssl pkey -in KEY -noout -check` says more about it",
            Self::KeyMismatch => {
                "chain and key must be of the same issuance; take both from the same folder, or issue again"
            }
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoCertificate => f.write_str("there is no certificate in the text"),
            Self::Damaged(0, why) => write!(f, "the PEM text cannot be used: {why}"),
            Self::Damaged(number, why) => {
                write!(f, "block {number} of the PEM text is damaged: {why}")
            }
            Self::NoKey => f.write_str("there is no private key in the text"),
            Self::EncryptedKey => f.write_str("the private key needs a pass phrase"),
            Self::UnreadableKey(why) => write!(f, "the private key cannot be read: {why}"),
            Self::KeyMismatch => {
                f.write_str("no certificate of the chain belongs to the private key")
            }
        }?;
        write!(f, "\nhelp: {}", self.help())
    }
}

impl std::error::Error for Error {}
