//! `[acme]` and `[acme.NAME]`: the CAs, which of them a certificate is asked of, and which stands in for it.

use std::collections::BTreeMap;

use super::said::{Place, Section, Value, did_you_mean};
use super::sections::{keep_out_secret, url, well_named};
use super::{Acme, Certificate, Challenge, Config, Eab, certificates};

/// The name of the CA of `[acme]`.
const DEFAULT: &str = "default";

/// The keys of a CA; a table of another name below `[acme]` is a CA of its own.
const KEYS: [&str; 9] = [
    "directory",
    "contact",
    "terms_agreed",
    "ca_file",
    "profile",
    "eab",
    "fallback",
    "preferred_chain",
    "orders_at_once",
];

/// The CAs that have a short name: the name, the directory, and whether an account needs an external binding.
/// Sources: letsencrypt.org/docs, zerossl.com/documentation/acme, cloud.google.com/certificate-manager/docs.
const DIRECTORIES: [(&str, &str, Binding); 4] = [
    ("letsencrypt", "https://acme-v02.api.letsencrypt.org/directory", Binding::None),
    (
        "letsencrypt-staging",
        "https://acme-staging-v02.api.letsencrypt.org/directory",
        Binding::None,
    ),
    ("zerossl", "https://acme.zerossl.com/v2/DV90", Binding::Needed),
    ("google", "https://dv.acme-v02.api.pki.goog/directory", Binding::Needed),
];

/// Where Let's Encrypt's directories are: the one that counts, and the one to try things at.
const LETS_ENCRYPT: [&str; 2] =
    ["https://acme-v02.api.letsencrypt.org/", "https://acme-staging-v02.api.letsencrypt.org/"];

/// Names that Let's Encrypt takes in one certificate, and with some of its profiles (letsencrypt.org/docs/profiles).
const MOST_NAMES: usize = 100;
const MOST_NAMES_OF: [(&str, usize); 2] = [("tlsserver", 25), ("shortlived", 25)];

/// Orders that bother a CA at once: few enough for its limits, and for small CAs.
const ORDERS_AT_ONCE: usize = 8;

/// As many orders as a run has under way: more at a CA would change nothing. Each holds two lock files, and a socket for each
/// server that is asked; most of them may wait for slow DNS.
pub const ORDERS_UNDER_WAY: usize = 64;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Binding {
    #[default]
    None,
    Needed,
}

/// The CAs of a file: that of `[acme]`, and all others by their names.
pub(super) type Cas = (Acme, BTreeMap<String, Acme>);

impl Default for Acme {
    fn default() -> Self {
        Self {
            name: DEFAULT.to_owned(),
            directory: DIRECTORIES[0].1.to_owned(),
            contact: Vec::new(),
            terms_agreed: false,
            ca_file: None,
            eab: None,
            profile: None,
            fallback: None,
            preferred_chain: None,
            orders_at_once: ORDERS_AT_ONCE,
        }
    }
}

impl Acme {
    /// Its section, for people: `[acme]`, `[acme.zerossl]`.
    #[must_use]
    pub fn section(&self) -> String {
        format!("[{}]", section_name(&self.name))
    }
}

impl Acme {
    /// How many names it takes in a certificate of this profile, where that is known. RFC 8555 has no limit.
    fn most_names(&self, profile: Option<&str>) -> Option<usize> {
        let directory = self.directory.to_ascii_lowercase();
        let is_known = LETS_ENCRYPT.iter().any(|place| directory.starts_with(place));
        let of_profile = MOST_NAMES_OF.iter().find(|(name, _)| Some(*name) == profile);
        is_known.then(|| of_profile.map_or(MOST_NAMES, |(_, most)| *most))
    }
}

impl Config {
    /// The CA of this name; `default` is that of `[acme]`.
    #[must_use]
    pub fn named_ca(&self, name: &str) -> Option<&Acme> {
        if name == DEFAULT { Some(&self.acme) } else { self.cas.get(name) }
    }

    /// The CA with this directory.
    #[must_use]
    pub fn ca_at(&self, directory: &str) -> Option<&Acme> {
        self.every_ca().find(|acme| acme.directory == directory)
    }

    /// All CAs, that of `[acme]` first.
    pub fn every_ca(&self) -> impl Iterator<Item = &Acme> {
        std::iter::once(&self.acme).chain(self.cas.values())
    }

    /// The CA that a certificate is asked of first.
    #[must_use]
    pub fn ca(&self, certificate: &Certificate) -> &Acme {
        let named = certificate.ca.as_ref().and_then(|name| self.named_ca(name));
        named.unwrap_or(&self.acme)
    }

    /// The CA that stands in for the first.
    #[must_use]
    pub fn fallback(&self, certificate: &Certificate) -> Option<&Acme> {
        self.named_ca(self.ca(certificate).fallback.as_ref()?)
    }
}

impl Certificate {
    /// As it is asked of a fallback CA: a profile said here is a word of the first CA's.
    #[must_use]
    pub fn at_fallback(&self) -> Self {
        Self { profile: None, ..self.clone() }
    }

    /// Name of the `[dns.NAME]` by which records are put; none where nothing is put.
    #[must_use]
    pub fn puts_by(&self) -> Option<&str> {
        (self.challenge == Challenge::Dns01).then_some(self.dns.as_str())
    }
}

pub(super) fn read(file: &Section<'_>) -> Cas {
    let Some(section) = file.section("acme") else { return Cas::default() };
    let others = section.tables_beside(&KEYS);
    let names: Vec<&str> = others.iter().map(|(name, _)| *name).collect();
    section.only(&[KEYS.as_slice(), &names].concat());
    let (said, binding) =
        section.value("directory").and_then(|value| directory(&value)).unwrap_or_default();
    let url = if said.is_empty() { Acme::default().directory } else { said };
    let acme = Acme { directory: url, ..ca(&section, DEFAULT, &[]) };
    needs_binding(&section, &acme.directory, binding);
    let cas = others.iter().map(|(name, other)| ((*name).to_owned(), named(other, name, &acme)));
    let cas: BTreeMap<String, Acme> = cas.collect();
    let all: BTreeMap<&str, &Acme> =
        cas.values().chain([&acme]).map(|acme| (acme.name.as_str(), acme)).collect();
    for (name, section) in others.iter().chain([&(DEFAULT, section.clone())]) {
        judge_fallback(section, name, &all);
        judge_directory(section, name, &all);
    }
    (acme, cas)
}

/// The CA that a `[[certificate]]` chooses.
pub(super) fn choice(section: &Section<'_>, meant: &Config) -> Option<String> {
    let value = section.value("acme")?;
    let all = meant.every_ca().map(|acme| (acme.name.as_str(), acme)).collect();
    Some(existing(&value, &all)?.name.clone())
}

/// More names than the CA takes, or the one that stands in for it, would cost a refused order in each run.
pub(super) fn judge_names(section: &Section<'_>, certificate: &Certificate, meant: &Config) {
    let Some(value) = section.value("domains") else { return };
    let first = meant.ca(certificate);
    let first = (first, certificate.profile.as_deref().or(first.profile.as_deref()));
    let second = meant.fallback(certificate).map(|second| (second, second.profile.as_deref()));
    let count = certificate.domains.len();
    for (acme, profile) in [Some(first), second].into_iter().flatten() {
        let Some(most) = acme.most_names(profile).filter(|most| count > *most) else { continue };
        let what = format!("has {count} names; Let's Encrypt (`{}`) takes {most}", acme.section());
        let help = "share them out among several `[[certificate]]`";
        match profile.filter(|_| most < MOST_NAMES) {
            None => value.wrong(what, help),
            Some(profile) => value.wrong(
                format!("{what} with the profile `{profile}`"),
                format!("{help}, or take another `profile`"),
            ),
        }
        return;
    }
}

/// Who has something issued must have agreed to the terms of each CA that may issue it.
pub(super) fn terms(file: &Section<'_>, meant: &Config, certificates: &[Section<'_>]) {
    let mut judged: Vec<&str> = Vec::new();
    for issued in certificates.iter().filter(|section| !certificates::is_source(section)) {
        let name = issued.text("acme").unwrap_or(DEFAULT);
        let Some(first) = meant.named_ca(name) else { continue };
        let second = first.fallback.as_ref().and_then(|name| meant.named_ca(name));
        let line = issued.place.line;
        let why = [
            format!("the certificate of line {line} is to be issued"),
            format!("the certificate of line {line} may fall back to it"),
        ];
        for (acme, why) in [Some(first), second].into_iter().flatten().zip(why) {
            if !judged.contains(&acme.name.as_str()) {
                judged.push(&acme.name);
                terms_of(file, acme, line, &why);
            }
        }
    }
}

fn terms_of(file: &Section<'_>, acme: &Acme, line: usize, why: &str) {
    let section = file.section("acme");
    let section = match acme.name.as_str() {
        DEFAULT => section,
        name => section.and_then(|all| all.section(name)),
    };
    let said = section.as_ref().and_then(|section| section.value("terms_agreed"));
    if acme.terms_agreed || said.as_ref().is_some_and(|value| !value.is_truth()) {
        return;
    }
    let place = said.map(|value| value.place).or_else(|| section.map(|section| section.place));
    let line = place.map_or(line, |place| place.line);
    let name = format!("{}.terms_agreed", section_name(&acme.name));
    let of_ca = match acme.name.as_str() {
        DEFAULT => " (letsencrypt.org/repository)",
        _ => "",
    };
    file.said.missing(
        &Place { name, line },
        format!("is not true, and {why}"),
        format!(
            "read the terms of the CA{of_ca}, then write `terms_agreed = true` under `{}`",
            acme.section()
        ),
    );
}

fn section_name(name: &str) -> String {
    if name == DEFAULT { "acme".to_owned() } else { format!("acme.{name}") }
}

/// A CA beside that of `[acme]`. Whoever may be written to is the same everywhere unless said; terms are each CA's own.
fn named(section: &Section<'_>, name: &str, default: &Acme) -> Acme {
    well_named(name, section);
    if name == DEFAULT {
        let help = "write its keys under `[acme]`, or give it another name";
        section.said.wrong(&section.place, "is the name of the CA of `[acme]`", help);
    }
    section.only(&KEYS);
    let said = section.needed("directory", "\"zerossl\"").and_then(|value| directory(&value));
    let (directory, binding) = said.unwrap_or_default();
    needs_binding(section, &directory, binding);
    Acme { directory, ..ca(section, name, &default.contact) }
}

/// All of a CA but its directory.
fn ca(section: &Section<'_>, name: &str, contact_before: &[String]) -> Acme {
    let contact = section.value("contact").map(|value| contact(&value));
    Acme {
        name: name.to_owned(),
        directory: String::new(),
        contact: contact.unwrap_or_else(|| contact_before.to_vec()),
        terms_agreed: section.truth("terms_agreed").unwrap_or(false),
        ca_file: section.value("ca_file").and_then(|value| section.said.path(&value)),
        eab: section.section("eab").and_then(|eab| eab_of(&eab)),
        profile: section.owned("profile"),
        fallback: section.owned("fallback"),
        preferred_chain: section.owned("preferred_chain"),
        orders_at_once: orders_at_once(section).unwrap_or(ORDERS_AT_ONCE),
    }
}

fn orders_at_once(section: &Section<'_>) -> Option<usize> {
    let value = section.value("orders_at_once")?;
    let number = value.count()?;
    if (1..=ORDERS_UNDER_WAY).contains(&number) {
        return Some(number);
    }
    let what = "is not a number of orders that a CA can be asked at once";
    value.wrong(what, format!("write one from 1 to {ORDERS_UNDER_WAY}"));
    None
}

fn needs_binding(section: &Section<'_>, directory: &str, binding: Binding) {
    if binding == Binding::Needed && !section.has("eab") {
        section.said.missing(
            &section.place,
            format!("has no `eab`, which the CA at {directory} asks for"),
            "get a key from the CA, then write `eab = { key_id = \"...\", hmac_key_file = \"...\" }`",
        );
    }
}

/// One hop: the fallback is asked last. Two CAs may stand in for each other.
fn judge_fallback(section: &Section<'_>, name: &str, all: &BTreeMap<&str, &Acme>) {
    let Some(value) = section.value("fallback") else { return };
    let Some(fallback) = existing(&value, all) else { return };
    if fallback.name == name {
        value.wrong("names the CA itself", "name another, or take the line out");
        return;
    }
    if let Some(third) = fallback.fallback.as_deref().filter(|third| *third != name) {
        value.wrong(
            format!("names `{}`, whose own fallback is `{third}`", fallback.section()),
            "a fallback is asked last: take one of the two `fallback` lines out",
        );
    }
}

/// An account belongs to a directory: two sections for one would share it.
fn judge_directory(section: &Section<'_>, name: &str, all: &BTreeMap<&str, &Acme>) {
    let (Some(value), Some(mine)) = (section.value("directory"), all.get(name)) else { return };
    let is_same = |other: &&&Acme| {
        other.name != name && other.directory == mine.directory && !mine.directory.is_empty()
    };
    let Some(other) = all.values().find(is_same) else { return };
    // One of the two is told.
    if name != DEFAULT && (other.name == DEFAULT || other.name.as_str() < name) {
        value.wrong(
            format!("is the directory of `{}` too", other.section()),
            "one section is enough for a CA; a certificate may have a `profile` of its own",
        );
    }
}

/// The CA that a value names.
fn existing<'a>(value: &Value<'_>, all: &BTreeMap<&str, &'a Acme>) -> Option<&'a Acme> {
    let name = value.text()?;
    if let Some(acme) = all.get(name) {
        return Some(acme);
    }
    let known: Vec<&str> = all.keys().copied().collect();
    let help = match super::nearest(name, &known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            format!("write a section `[acme.{name}]`, or name one of: {}", known.join(", "))
        }
    };
    value.missing(format!("names `[acme.{name}]`, which is not there"), help);
    None
}

fn eab_of(section: &Section<'_>) -> Option<Eab> {
    let file = section.said.folder().join("eab-key");
    keep_out_secret(section, "hmac_key", "hmac_key_file", &file.display().to_string());
    section.only_beside(&["hmac_key"], &["key_id", "hmac_key_file"]);
    let key_id = section.needed("key_id", "\"...\"");
    let file = section.needed("hmac_key_file", "\"...\"");
    Some(Eab {
        key_id: key_id?.text()?.to_owned(),
        hmac_key_file: section.said.path_as_written(&file?)?,
    })
}

fn directory(value: &Value<'_>) -> Option<(String, Binding)> {
    let written = value.text()?;
    if let Some((_, url, binding)) = DIRECTORIES.iter().find(|(name, ..)| *name == written) {
        return Some(((*url).to_owned(), *binding));
    }
    if !written.contains([':', '.', '/']) {
        let names: Vec<&str> = DIRECTORIES.iter().map(|(name, ..)| *name).collect();
        let help = format!("{} (or write the URL of its directory)", did_you_mean(written, &names));
        value.wrong(format!("is no CA that we know: `{written}`"), help);
        return None;
    }
    url(value).map(|_| (written.to_owned(), Binding::None))
}

fn contact(value: &Value<'_>) -> Vec<String> {
    let texts = value.texts().unwrap_or_default().into_iter();
    texts.filter_map(|(value, text)| address(&value, text)).collect()
}

fn address(value: &Value<'_>, text: &str) -> Option<String> {
    let plain = text.strip_prefix("mailto:").unwrap_or(text);
    let (local, domain) = plain.rsplit_once('@').unwrap_or_default();
    if local.is_empty() || domain.is_empty() || plain.contains([' ', ',', '<', '?']) {
        value.wrong(
            format!("has `{text}`, which is no mail address"),
            "write it as `ops@example.com`, each in quotes of its own",
        );
        return None;
    }
    Some(plain.to_owned())
}
