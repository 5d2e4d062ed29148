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

/// A Cert that a CA wants replaced before this age is young; one of a short life sooner.
const YOUNG: SignedDuration = SignedDuration::from_hours(48);

/// CAs that know what they do ask for a half of a Cert's life at least (Boulder: for two thirds).
const YOUNG_PART: i32 = 4;

impl Ari {
    /// Nothing is known yet of the certificate `id`, which lives so long and followed the one that `before` is about.
    #[must_use]
    pub fn new(id: &str, before: Option<&Self>, life: SignedDuration, now: Timestamp) -> Self {
        let hurried = before.filter(|before| before.was_wanted_young(life, now));
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

    /// Did its CA want it replaced while it was young, and was it? The window's start decides, not the instant: the run
    /// before the instant renews too.
    fn was_wanted_young(&self, life: SignedDuration, now: Timestamp) -> bool {
        let Some(window) = &self.window else { return false };
        let age_at = |at: Timestamp| at.duration_since(self.first_asked_at);
        let is_age = |age: SignedDuration| !age.is_negative() && age < YOUNG;
        age_at(window.start) < YOUNG.min(life / YOUNG_PART) && is_age(age_at(now))
    }
}
