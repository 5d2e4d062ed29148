//! `[[certificate]]` and `[[certificate.deploy]]`: what was said becomes what is meant, and who owns what.

use std::collections::HashMap;
use std::path::PathBuf;

use super::said::{Section, Value};
use super::sections::must_exist;
use super::{
    CdnDomain, Certificate, Challenge, Config, Deploy, KeyType, Source, acme, dns_name, edge,
};

/// A CertName is at most 63 characters long (Certificate Management Service, newest document).
const LONGEST_CERT_NAME: usize = 63;

/// A folder is not called so: no name of a domain ends in one of these.
const ENDS_OF_CHAINS: [&str; 3] = ["pem", "crt", "cer"];

/// Settings of issuing; they have no sense beside `source`.
const OF_ISSUING: [&str; 7] =
    ["domains", "acme", "dns", "challenge", "key_type", "profile", "reuse_key"];

const CHALLENGES: [(&str, Challenge); 2] =
    [("dns-01", Challenge::Dns01), ("dns-persist-01", Challenge::DnsPersist01)];

const KEY_TYPES: [(&str, KeyType); 5] = [
    ("ecdsa-p256", KeyType::EcdsaP256),
    ("ecdsa-p384", KeyType::EcdsaP384),
    ("rsa-2048", KeyType::Rsa2048),
    ("rsa-3072", KeyType::Rsa3072),
    ("rsa-4096", KeyType::Rsa4096),
];

/// All certificates of the file. `meant` has all else already.
pub(super) fn read(file: &Section<'_>, meant: &Config) -> Vec<Certificate> {
    let mut owners = Owners::default();
    let sections = file.sections("certificate");
    let certificates: Vec<_> =
        sections.iter().filter_map(|section| certificate(section, meant, &mut owners)).collect();
    acme::terms(file, meant, &sections);
    certificates
}

/// Who has what: a second owner is an error that names both lines.
#[derive(Default)]
struct Owners {
    names: HashMap<String, usize>,
    /// By account and the API's name.
    targets: HashMap<(String, String), Owner>,
    /// By account and CertName: a forced name may change every domain that is bound to it.
    cert_names: HashMap<(String, String), Owner>,
    /// The lines of `discover`, by the line of their certificate and account.
    discovers: HashMap<(usize, String), usize>,
}

#[derive(Clone)]
struct Owner {
    certificate: String,
    line: usize,
}

fn certificate(section: &Section<'_>, meant: &Config, owners: &mut Owners) -> Option<Certificate> {
    section.only(&[&["name", "source", "source_key", "deploy"], OF_ISSUING.as_slice()].concat());
    let source = source(section);
    let domains = domains(section);
    let ca = acme::choice(section, meant);
    let challenge = section.value("challenge").and_then(|value| value.one_of(&CHALLENGES));
    let dns = dns(section, meant);
    let key_type = section.value("key_type").and_then(|value| value.one_of(&KEY_TYPES));
    let profile = section.owned("profile");
    let reuse_key = section.truth("reuse_key");
    let name = name(section, source.as_ref(), &domains);
    let line = section.place.line;
    let known_as = name.clone().unwrap_or_else(|| format!("of line {line}"));
    let owner = Owner { certificate: known_as, line };
    let parts = section.sections("deploy");
    let deploy = parts.iter().map(|part| deploy(part, meant, &owner, owners)).collect();
    let name = name?;
    own_name(section, &name, owners);
    let certificate = Certificate {
        name,
        domains,
        dns,
        challenge: challenge.unwrap_or(Challenge::Dns01),
        key_type: key_type.unwrap_or(KeyType::EcdsaP256),
        ca,
        profile,
        reuse_key: reuse_key.unwrap_or(false),
        source,
        deploy,
        line,
    };
    acme::judge_names(section, &certificate, meant);
    Some(certificate)
}

/// Is it issued elsewhere, whatever may be wrong with how that is said?
pub(super) fn is_source(section: &Section<'_>) -> bool {
    section.has("source") || section.has("source_key")
}

/// Where the files are. Whether a path is a folder or a chain's, only the disk knows; a name may tell.
fn source(section: &Section<'_>) -> Option<Source> {
    let (path, key) = (section.value("source"), section.value("source_key"));
    let Some(value) = path else {
        if let Some(key) = key {
            let help = "write `source` with the path of its chain";
            key.wrong("stands without `source`", help);
        }
        return None;
    };
    for key in OF_ISSUING {
        if let Some(other) = section.value(key) {
            let help = "take out either: `source` is issued elsewhere and only kept in step";
            other.wrong("stands beside `source`", help);
        }
    }
    let path = spelled(section, &value)?;
    if let Some(key) = key {
        return Some(Source::files(path, spelled(section, &key)?));
    }
    if path.extension().is_some_and(|end| ENDS_OF_CHAINS.iter().any(|known| end == *known)) {
        let help = "write the path of its key as `source_key`, or the folder of both as `source`";
        value.wrong("is a chain's file by its name, and its key is not said", help);
    }
    Some(Source::folder(path))
}

/// A path without what makes two ways to write one.
fn spelled(section: &Section<'_>, value: &Value<'_>) -> Option<PathBuf> {
    Some(section.said.path(value)?.components().collect())
}

fn domains(section: &Section<'_>) -> Vec<String> {
    if is_source(section) {
        return Vec::new();
    }
    let Some(value) = section.needed(
        "domains",
        "[\"example.com\"]`, or `source = \"/etc/letsencrypt/live/example.com\"",
    ) else {
        return Vec::new();
    };
    let mut names: Vec<String> = Vec::new();
    for (value, text) in value.texts().unwrap_or_default() {
        match dns_name(text) {
            Ok(name) if names.contains(&name) => {
                value.wrong(format!("has `{text}` twice"), "take one of them out");
            }
            Ok(name) => names.push(name),
            Err(why) => value.wrong(
                format!("has `{text}`, which {why}"),
                "write a name as in a browser's address line, `*.` before it for a wildcard",
            ),
        }
    }
    names
}

fn dns(section: &Section<'_>, meant: &Config) -> String {
    let value = section.value("dns");
    let name = value.as_ref().and_then(Value::text).unwrap_or("default").to_owned();
    if is_source(section) {
        return name;
    }
    match &value {
        Some(value) => must_exist(value, "dns", &meant.dns),
        None if meant.dns.contains_key(&name) || !puts_records(section) => {}
        None => {
            let help = match meant.dns.keys().next() {
                Some(other) => format!("write `dns = \"{other}\"`, or a section `[dns.default]`"),
                None => "write a section `[dns.default]` with `provider = \"alidns\"` (or rfc2136, exec)"
                    .to_owned(),
            };
            let what = "is to be issued, and there is no `[dns.default]` to prove its names by";
            section.said.missing(&section.place, what, help);
        }
    }
    name
}

/// A word that is none of the known ones was reported already.
fn puts_records(section: &Section<'_>) -> bool {
    section.value("challenge").is_none_or(|value| value.text() == Some("dns-01"))
}

fn name(section: &Section<'_>, source: Option<&Source>, domains: &[String]) -> Option<String> {
    let said = section.value("name");
    let derived = || {
        let theirs = source.and_then(Source::name);
        let name = theirs.or_else(|| domains.first().map(String::as_str))?;
        Some(name.strip_prefix("*.").unwrap_or(name).to_owned())
    };
    let name = match &said {
        Some(value) => value.text()?.to_owned(),
        None => derived()?,
    };
    if super::is_plain(&name) {
        return Some(name);
    }
    let place = said.map_or_else(|| section.place.clone(), |value| value.place);
    section.said.wrong(
        &place,
        format!("has the name `{name}`, which cannot be a folder's here"),
        "write a `name` of letters, digits, dot, dash and underscore, a letter or digit first",
    );
    None
}

fn own_name(section: &Section<'_>, name: &str, owners: &mut Owners) {
    let line = section.place.line;
    let first = *owners.names.entry(name.to_owned()).or_insert(line);
    if first != line {
        let what = format!("has the name `{name}`, as the one of line {first} has");
        section.said.wrong(&section.place, what, "give each a `name` of its own");
    }
}

fn deploy(section: &Section<'_>, meant: &Config, owner: &Owner, owners: &mut Owners) -> Deploy {
    section.only(&[
        "domains",
        "discover",
        "aliyun",
        "verify",
        "edge",
        "cert_name",
        "replace_foreign",
    ]);
    let aliyun = section.value("aliyun");
    if let Some(value) = &aliyun {
        must_exist(value, "aliyun", &meant.aliyun);
    }
    let aliyun = aliyun.and_then(|value| value.text()).unwrap_or("default").to_owned();
    let discover = discover(section, &aliyun, owner, owners);
    let values = match discover {
        true => section.value("domains"),
        false => section.needed("domains", "[\"cdn.example.com\"]`, or `discover = true"),
    };
    let values = values.and_then(|value| value.texts()).unwrap_or_default();
    let domains = values
        .into_iter()
        .filter_map(|(value, text)| {
            let domain = cdn_domain(&value, text)?;
            own_target(&value, &aliyun, &domain, owner, owners).then_some(domain)
        })
        .collect();
    Deploy {
        domains,
        discover,
        replace_foreign: replace_foreign(section, discover),
        cert_name: section.value("cert_name").and_then(|value| {
            let name = cert_name(&value, discover)?;
            own_cert_name(&value, &aliyun, &name, owner, owners);
            Some(name)
        }),
        aliyun,
        verify: edge::verify(section),
    }
}

/// Whether the account's CDN domains are to be discovered: said once for a certificate and account.
fn discover(section: &Section<'_>, aliyun: &str, owner: &Owner, owners: &mut Owners) -> bool {
    let Some(value) = section.value("discover") else { return false };
    if value.truth() != Some(true) {
        return false;
    }
    let key = (owner.line, aliyun.to_owned());
    if let Some(first) = owners.discovers.insert(key, value.place.line) {
        let what = format!("is said a second time for the account `{aliyun}`, after line {first}");
        value.wrong(what, "take one of the two out");
    }
    true
}

fn replace_foreign(section: &Section<'_>, discover: bool) -> bool {
    let Some(value) = section.value("replace_foreign") else { return false };
    let is_said = value.truth() == Some(true);
    if is_said && !discover {
        let help = "take it out: what is named in `domains` is replaced whatever it serves";
        value.wrong("stands without `discover = true`", help);
    }
    is_said
}

fn cdn_domain(value: &Value<'_>, text: &str) -> Option<CdnDomain> {
    match CdnDomain::read(text) {
        Ok(domain) => Some(domain),
        Err(why) => {
            let help =
                "write it as the console does: `cdn.example.com`; a wildcard as `*.example.com`";
            value.wrong(format!("has the CDN domain `{text}`, which {why}"), help);
            None
        }
    }
}

/// Whether the target is free, which it is no longer afterwards.
fn own_target(
    value: &Value<'_>,
    aliyun: &str,
    domain: &CdnDomain,
    owner: &Owner,
    owners: &mut Owners,
) -> bool {
    let mine = Owner { line: value.place.line, ..owner.clone() };
    let key = (aliyun.to_owned(), domain.api_name.clone());
    let Some(first) = owners.targets.insert(key, mine) else { return true };
    if first.certificate == owner.certificate {
        let what = format!("has `{}` a second time, after line {}", domain.written, first.line);
        value.wrong(what, "take one of the two out");
        return false;
    }
    value.wrong(
        format!(
            "gives `{}` of the account `{aliyun}` to the certificate `{}`; line {} gives it to `{}`",
            domain.written, owner.certificate, first.line, first.certificate
        ),
        "a CDN domain serves one certificate: take one of the two out",
    );
    false
}

fn cert_name(value: &Value<'_>, discover: bool) -> Option<String> {
    let name = value.text()?;
    if discover {
        let help = "take it out: under one name, an upload would replace what the others serve";
        value.wrong("stands beside `discover = true`", help);
        return None;
    }
    if name.chars().count() <= LONGEST_CERT_NAME && !name.chars().any(char::is_control) {
        return Some(name.to_owned());
    }
    let help = format!("write at most {LONGEST_CERT_NAME} characters, or leave it out");
    value.wrong("is no name that the cloud takes", help);
    None
}

fn own_cert_name(value: &Value<'_>, aliyun: &str, name: &str, owner: &Owner, owners: &mut Owners) {
    let mine = Owner { line: value.place.line, ..owner.clone() };
    let key = (aliyun.to_owned(), name.to_owned());
    let first = owners.cert_names.entry(key).or_insert_with(|| mine.clone());
    if first.certificate != mine.certificate {
        value.wrong(
            format!("is `{name}`, as for the certificate `{}` in line {}", first.certificate, first.line),
            "an upload replaces what has its name in the account: give each a name of its own, or none",
        );
    }
}
