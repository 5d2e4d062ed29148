//! One thing wrong with a Cert for its Target, in words.

use std::fmt;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use crate::cert::KeyKind;

/// So many names are shown of a certificate that may have a hundred.
const SHOWN_NAMES: usize = 5;

/// One thing wrong with a Cert for its Target. `Display` says what, [`Fault::help`] what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The certificate does not cover the target.
    NotCovered {
        /// The target as the user wrote it.
        target: String,
        /// The names that it covers.
        names: Vec<String>,
    },
    /// Its names stand in its subject alone (CN), which clients no longer read (RFC 9525, 2).
    NamesInSubject,
    /// Its life is over.
    Expired {
        /// When it ended.
        not_after: Timestamp,
    },
    /// Its life has not begun.
    NotYetValid {
        /// When it will.
        not_before: Timestamp,
    },
    /// No CDN serves keys of this kind.
    KeyKind(KeyKind),
    /// A signature in the chain is of a kind that can be forged.
    WeakSignature(&'static str),
    /// The leaf alone, without who issued it.
    ChainIncomplete {
        /// Who did.
        issuer: String,
    },
    /// The chain leads to no root that we trust.
    Untrusted {
        /// The leaf's issuer.
        issuer: String,
        /// The name of the root it leads to.
        root: String,
        /// What was wrong on the way; none: the root is not one of ours.
        why: Option<String>,
    },
    /// The chain is longer than any real one.
    TooBig {
        /// Its length as PEM.
        bytes: usize,
        /// The most that goes.
        most: usize,
    },
}

impl Fault {
    /// What to do about it.
    #[must_use]
    pub fn help(&self) -> String {
        match self {
            Self::NotCovered { target, .. } => {
                format!("issue a certificate with `{target}` among its names, or take the domain out")
            }
            Self::NamesInSubject => {
                "issue it again with its names as subjectAltName (every ACME CA does)".to_owned()
            }
            Self::WeakSignature(_) => {
                "issue it again, from a CA that signs with SHA-256 or better".to_owned()
            }
            Self::Expired { .. } => {
                "renew it: `certferry renew`, or the ACME client that issued it".to_owned()
            }
            Self::NotYetValid { .. } => {
                "wait, or set this machine's clock (`timedatectl`) if it is wrong".to_owned()
            }
            Self::KeyKind(_) => {
                "issue again with a key of RSA (2048 bits or more), ECDSA P-256 or P-384".to_owned()
            }
            Self::ChainIncomplete { .. } => {
                "give the full chain (certbot's `fullchain.pem`, not `cert.pem`); if the CA's root itself signs, \
                 name the root's file in `[trust] roots`"
                    .to_owned()
            }
            Self::Untrusted { .. } if self.is_staging() => {
                "it comes from a test CA, and no browser trusts it: issue it from the real one; to serve it all the \
                 same, set `[trust] roots` to the test root's file or to \"any\""
                    .to_owned()
            }
            Self::Untrusted { why: Some(_), .. } => {
                "`openssl verify -untrusted CHAIN LEAF` says more; issue it again".to_owned()
            }
            Self::Untrusted { .. } => {
                "if you trust this root, set `[trust] roots` to its PEM file; if an intermediate is missing, give the \
                 full chain"
                    .to_owned()
            }
            Self::TooBig { .. } => {
                "leave out of the file what does not belong to the chain".to_owned()
            }
        }
    }

    /// By the names that test CAs give themselves: Let's Encrypt's staging, old and new, and Pebble.
    fn is_staging(&self) -> bool {
        let Self::Untrusted { issuer, root, .. } = self else { return false };
        let names = format!("{issuer} {root}").to_ascii_lowercase();
        ["staging", "fake", "pebble"].iter().any(|word| names.contains(word))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCovered { target, names } => {
                write!(f, "the certificate does not cover `{target}`: {}", shown(names))
            }
            Self::NamesInSubject => f.write_str(
                "the certificate has its name in the subject (CN) alone, where no browser looks",
            ),
            Self::WeakSignature(kind) => {
                write!(f, "a certificate of the chain is signed by {kind}, which no browser trusts")
            }
            Self::Expired { not_after } => write!(f, "the certificate expired at {not_after}"),
            Self::NotYetValid { not_before } => {
                write!(f, "the certificate is not valid before {not_before}")
            }
            Self::KeyKind(kind) => write!(f, "the CDN serves no key of the kind {kind}"),
            Self::ChainIncomplete { issuer } => {
                write!(
                    f,
                    "the chain is incomplete: the certificate of its issuer `{issuer}` is missing"
                )
            }
            Self::Untrusted { why: Some(why), .. } => {
                write!(f, "the chain cannot be trusted: {why}")
            }
            Self::Untrusted { issuer, .. } if self.is_staging() => {
                write!(f, "the chain cannot be trusted: `{issuer}` is a test CA (staging)")
            }
            Self::Untrusted { root, .. } => {
                write!(
                    f,
                    "the chain cannot be trusted: it leads to `{root}`, which is no trusted root"
                )
            }
            Self::TooBig { bytes, most } => {
                write!(f, "the chain has {bytes} bytes; at most {most} go")
            }
        }
    }
}

/// As the text of `faults` in a report.
impl Serialize for Fault {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

fn shown(names: &[String]) -> String {
    if names.is_empty() {
        return "it has no names".to_owned();
    }
    let first: Vec<&str> = names.iter().take(SHOWN_NAMES).map(String::as_str).collect();
    let rest = names.len() - first.len();
    let more = if rest > 0 { format!(" and {rest} more") } else { String::new() };
    format!("its names are {}{more}", first.join(", "))
}
