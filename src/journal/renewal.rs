//! What a CA said about the renewal of a Cert, as it is remembered. Pure.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// Where a Cert was ordered, and when it was issued.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderedFrom {
    /// The directory's URL of its CA.
    pub directory: String,
    /// The URL of our account there.
    #[serde(default)]
    pub account: String,
    /// When it was issued.
    pub at: Timestamp,
}

/// What a CA said about the renewal of a Cert (RFC 9773), and when it may be asked again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ari {
    /// RFC 9773's id of the certificate that it is about: for another one it is void.
    pub id: String,
    /// When this certificate was first asked about.
    pub first_asked_at: Timestamp,
    /// When it was last asked about.
    pub asked_at: Timestamp,
    /// Not asked again before.
    pub ask_again_at: Timestamp,
    /// Asked in vain, in a row.
    #[serde(default)]
    pub failures: u32,
    /// Certs before this one that the CA wanted replaced while they were young, in a row.
    #[serde(default)]
    pub hurries: u32,
    /// The last answer of use.
    #[serde(default)]
    pub window: Option<Window>,
}

/// When a CA wants a certificate renewed, and the instant that we drew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its start.
    pub start: Timestamp,
    /// Its end, after its start.
    pub end: Timestamp,
    /// The instant in it, drawn at random once.
    pub instant: Timestamp,
    /// The page that explains it.
    #[serde(default)]
    pub explanation: Option<String>,
}

/// A Cert that a CA wants replaced before this age is young.
const YOUNG: SignedDuration = SignedDuration::from_hours(48);

impl Ari {
    /// Nothing is known yet of the certificate `id`, which followed the one that `before` is about.
    #[must_use]
    pub fn new(id: &str, before: Option<&Self>, now: Timestamp) -> Self {
        let hurried = before.filter(|before| {
            let wanted = before.window.as_ref().is_some_and(|window| window.instant <= now);
            wanted && now.duration_since(before.first_asked_at) < YOUNG
        });
        Self {
            id: id.to_owned(),
            first_asked_at: now,
            asked_at: now,
            ask_again_at: now,
            failures: 0,
            hurries: hurried.map_or(0, |before| before.hurries.saturating_add(1)),
            window: None,
        }
    }
}
