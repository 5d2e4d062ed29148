//! `[store]`, `[trust]`, `[aliyun.NAME]`: what was said becomes what is meant.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::said::{Section, Value};
use super::{Aliyun, CdnApi, Keys, StoreAt, Trust, credentials, dns};

/// The documented limit of a user's uploads is 10 a second (API document of SetDomainServerCertificate); 104 ms apart are 9.6.
const MOST_CALLS_PER_SECOND: f64 = 9.6;

impl Default for StoreAt {
    fn default() -> Self {
        Self { path: PathBuf::from("/var/lib/certferry"), keep_versions: 5 }
    }
}

impl Default for Aliyun {
    fn default() -> Self {
        Self {
            keys: None,
            profile: None,
            role: None,
            sts_endpoint: None,
            metadata_endpoint: "http://100.100.100.200".to_owned(),
            cdn_endpoint: "https://cdn.aliyuncs.com".to_owned(),
            dns_endpoint: "https://alidns.aliyuncs.com".to_owned(),
            cdn_api: CdnApi::SetDomainServerCertificate,
            calls_per_second: MOST_CALLS_PER_SECOND,
        }
    }
}

pub(super) fn store(file: &Section<'_>) -> StoreAt {
    let meant = StoreAt::default();
    let Some(section) = file.section("store") else { return meant };
    section.only(&["path", "keep_versions"]);
    let path = section.value("path").and_then(|value| section.said.path(&value));
    let keep = section.value("keep_versions").and_then(|value| value.count());
    StoreAt { path: path.unwrap_or(meant.path), keep_versions: keep.unwrap_or(meant.keep_versions) }
}

pub(super) fn trust(file: &Section<'_>) -> Trust {
    let Some(section) = file.section("trust") else { return Trust::Public };
    section.only(&["roots"]);
    let Some(value) = section.value("roots") else { return Trust::Public };
    match value.text() {
        // A path has a slash or a dot in it; a word without is a slip.
        Some(path) if path.contains(['/', '.']) => {
            section.said.path(&value).map_or(Trust::Public, Trust::File)
        }
        Some(_) => {
            let words = [("public", Trust::Public), ("system", Trust::System), ("any", Trust::Any)];
            value.one_of(&words).unwrap_or(Trust::Public)
        }
        None => Trust::Public,
    }
}

/// `timeout` of `[http]`.
pub(super) fn http(file: &Section<'_>) -> Option<Duration> {
    let section = file.section("http")?;
    section.only(&["timeout"]);
    dns::time(&section, "timeout")
}

/// All accounts; `default` is always among them.
pub(super) fn aliyun(file: &Section<'_>) -> BTreeMap<String, Aliyun> {
    let said = file.named("aliyun").into_iter();
    let mut accounts: BTreeMap<_, _> =
        said.map(|(name, section)| (name.to_owned(), account(name, &section))).collect();
    accounts.entry("default".to_owned()).or_default();
    accounts
}

/// Reports a name of a `[KIND.NAME]` that is not there.
pub(super) fn must_exist<T>(value: &Value<'_>, kind: &str, all: &BTreeMap<String, T>) {
    let Some(name) = value.text() else { return };
    if !all.contains_key(name) {
        let known: Vec<&str> = all.keys().map(String::as_str).collect();
        let help = match super::nearest(name, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write a section `[{kind}.{name}]`, or name another"),
        };
        value.missing(format!("names `[{kind}.{name}]`, which is not there"), help);
    }
}

fn account(name: &str, section: &Section<'_>) -> Aliyun {
    let file = section.said.folder().join(format!("aliyun-{name}.secret"));
    let (secret, secret_file) = ("access_key_secret", "access_key_secret_file");
    keep_out_secret(section, secret, secret_file, &file.display().to_string());
    section.only_beside(
        &[secret],
        &[
            "access_key_id",
            secret_file,
            "profile",
            "role_arn",
            "role_session_name",
            "external_id",
            "sts_endpoint",
            "metadata_endpoint",
            "cdn_endpoint",
            "dns_endpoint",
            "cdn_api",
            "calls_per_second",
        ],
    );
    well_named(name, section);
    let meant = Aliyun::default();
    Aliyun {
        keys: keys(section),
        profile: credentials::profile(section),
        role: credentials::role(section),
        sts_endpoint: endpoint(section, "sts_endpoint"),
        metadata_endpoint: credentials::metadata_endpoint(section)
            .unwrap_or(meant.metadata_endpoint),
        cdn_endpoint: endpoint(section, "cdn_endpoint").unwrap_or(meant.cdn_endpoint),
        dns_endpoint: endpoint(section, "dns_endpoint").unwrap_or(meant.dns_endpoint),
        cdn_api: cdn_api(section).unwrap_or(meant.cdn_api),
        calls_per_second: calls_per_second(section).unwrap_or(meant.calls_per_second),
    }
}

fn keys(section: &Section<'_>) -> Option<Keys> {
    if !section.has("access_key_id") && !section.has("access_key_secret_file") {
        return None;
    }
    let id = section.needed("access_key_id", "\"LTAI...\"");
    // A secret in the file itself was reported already, with this key as its remedy.
    let file = match section.has("access_key_secret") {
        true => section.value("access_key_secret_file"),
        false => section.needed("access_key_secret_file", "\"...\""),
    };
    Some(Keys {
        access_key_id: id?.text()?.to_owned(),
        access_key_secret_file: section.said.path_as_written(&file?)?,
    })
}

pub(super) fn endpoint(section: &Section<'_>, key: &str) -> Option<String> {
    let value = section.value(key)?;
    let url = url(&value)?;
    if url.path() != "/" || url.query().is_some() {
        value.wrong("has a path", format!("write `{}`", url.origin().ascii_serialization()));
        return None;
    }
    Some(url.origin().ascii_serialization())
}

/// https, or http for a loopback address; no user name, no fragment.
pub(super) fn url(value: &Value<'_>) -> Option<Url> {
    let written = value.text()?;
    let whole =
        if written.contains("://") { written.to_owned() } else { format!("https://{written}") };
    let Some(url) = Url::parse(&whole).ok().filter(Url::has_host) else {
        value.wrong("is no URL", "write it as `https://name.example/path`");
        return None;
    };
    if !written.contains("://") {
        value.wrong("is no URL: it has no `https://`", format!("write `{whole}`"));
        return None;
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        value.wrong("has a user, a password or a `#` in it", "write the URL without them");
        return None;
    }
    if url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url)) {
        return Some(url);
    }
    let help = "write `https://`; plain `http://` is for loopback addresses only";
    value.wrong("must be https", help);
    None
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or(host == "localhost", |address| address.is_loopback())
}

fn cdn_api(section: &Section<'_>) -> Option<CdnApi> {
    let choices = [
        ("SetDomainServerCertificate", CdnApi::SetDomainServerCertificate),
        ("SetCdnDomainSSLCertificate", CdnApi::SetCdnDomainSslCertificate),
        ("auto", CdnApi::Auto),
    ];
    section.value("cdn_api")?.one_of(&choices)
}

fn calls_per_second(section: &Section<'_>) -> Option<f64> {
    let value = section.value("calls_per_second")?;
    let number = value.number()?;
    if number > 0.0 && number <= MOST_CALLS_PER_SECOND {
        return Some(number);
    }
    let help = format!("write a number above 0, at most {MOST_CALLS_PER_SECOND}");
    value.wrong("is beyond what the cloud allows a user", help);
    None
}

/// The name goes into file names and messages.
pub(super) fn well_named(name: &str, section: &Section<'_>) {
    if !super::is_plain(name) {
        let help = "letters, digits, dot, dash and underscore, and a letter or digit first";
        section.said.wrong(&section.place, "has a name that cannot be", help);
    }
}

/// A secret stands in the file that all may read.
pub(super) fn keep_out_secret(section: &Section<'_>, key: &str, file_key: &str, file: &str) {
    if let Some(value) = section.value(key) {
        let help = format!(
            "put it in a file of its own: `(umask 077 && cat > {file})`, paste it, Enter, Ctrl-D; then write \
             `{file_key} = \"{file}\"` here; if others could read this file, make a new one and end the old"
        );
        value.wrong("is a secret, and this file may be read by all", help);
    }
}
