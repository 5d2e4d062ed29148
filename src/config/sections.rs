//! `[acme]`, `[store]`, `[trust]`, `[aliyun.NAME]`, `[dns.NAME]`: what was said becomes what is meant.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;

use super::said::{Section, Value, did_you_mean};
use super::{Acme, Aliyun, Dns, Eab, Keys, Provider, StoreAt, Trust, TsigAlgorithm};

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

/// The documented limit of a user's uploads is 10 a second (API document of SetDomainServerCertificate); 104 ms apart are 9.6.
const MOST_CALLS_PER_SECOND: f64 = 9.6;

/// What slow providers need; the wait ends as soon as all servers show the record.
const USUAL_PROPAGATION: Duration = Duration::from_secs(600);

/// An authorization lives a week at least, a run of the timer should end within a day.
const LONGEST_PROPAGATION: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Binding {
    None,
    Needed,
}

impl Default for Acme {
    fn default() -> Self {
        Self {
            directory: DIRECTORIES[0].1.to_owned(),
            contact: Vec::new(),
            terms_agreed: false,
            ca_file: None,
            eab: None,
            profile: None,
            preferred_chain: None,
        }
    }
}

impl Default for StoreAt {
    fn default() -> Self {
        Self { path: PathBuf::from("/var/lib/certferry"), keep_versions: 5 }
    }
}

impl Default for Aliyun {
    fn default() -> Self {
        Self {
            keys: None,
            cdn_endpoint: "https://cdn.aliyuncs.com".to_owned(),
            dns_endpoint: "https://alidns.aliyuncs.com".to_owned(),
            calls_per_second: MOST_CALLS_PER_SECOND,
        }
    }
}

pub(super) fn acme(file: &Section<'_>) -> Acme {
    let Some(section) = file.section("acme") else { return Acme::default() };
    section.only(&[
        "directory",
        "contact",
        "terms_agreed",
        "ca_file",
        "profile",
        "eab",
        "preferred_chain",
    ]);
    let eab = section.section("eab").and_then(|eab| binding(&eab));
    let (directory, needs) = section
        .value("directory")
        .and_then(|value| directory(&value))
        .unwrap_or_else(|| (Acme::default().directory, Binding::None));
    if needs == Binding::Needed && !section.has("eab") {
        section.said.missing(
            &section.place,
            format!("has no `eab`, which the CA at {directory} asks for"),
            "get a key from the CA, then write `eab = { key_id = \"...\", hmac_key_file = \"...\" }`",
        );
    }
    Acme {
        directory,
        contact: section.value("contact").map(|value| contact(&value)).unwrap_or_default(),
        terms_agreed: section.truth("terms_agreed").unwrap_or(false),
        ca_file: section.value("ca_file").and_then(|value| section.said.path(&value)),
        eab,
        profile: section.owned("profile"),
        preferred_chain: section.owned("preferred_chain"),
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

/// All accounts; `default` is always among them.
pub(super) fn aliyun(file: &Section<'_>) -> BTreeMap<String, Aliyun> {
    let said = file.named("aliyun").into_iter();
    let mut accounts: BTreeMap<_, _> =
        said.map(|(name, section)| (name.to_owned(), account(name, &section))).collect();
    accounts.entry("default".to_owned()).or_default();
    accounts
}

pub(super) fn dns(
    file: &Section<'_>,
    accounts: &BTreeMap<String, Aliyun>,
) -> BTreeMap<String, Dns> {
    let said = file.named("dns").into_iter();
    // One that is wrong is there all the same: who names it is not wrong too.
    let nothing = || Dns {
        provider: Provider::Alidns { aliyun: "default".to_owned() },
        nameservers: Vec::new(),
        propagation_timeout: USUAL_PROPAGATION,
    };
    said.map(|(name, section)| {
        (name.to_owned(), access(name, &section, accounts).unwrap_or_else(nothing))
    })
    .collect()
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

fn binding(section: &Section<'_>) -> Option<Eab> {
    let file = section.said.folder().join("eab-key");
    keep_out_secret(section, "hmac_key", "hmac_key_file", &file.display().to_string());
    section.only_beside("hmac_key", &["key_id", "hmac_key_file"]);
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

fn account(name: &str, section: &Section<'_>) -> Aliyun {
    let file = section.said.folder().join(format!("aliyun-{name}.secret"));
    let (secret, secret_file) = ("access_key_secret", "access_key_secret_file");
    keep_out_secret(section, secret, secret_file, &file.display().to_string());
    section.only_beside(
        secret,
        &[
            "access_key_id",
            secret_file,
            "cdn_endpoint",
            "dns_endpoint",
            "cdn_api",
            "calls_per_second",
        ],
    );
    well_named(name, section);
    if let Some(value) = section.value("cdn_api") {
        value.one_of(&[("SetDomainServerCertificate", ())]);
    }
    let meant = Aliyun::default();
    Aliyun {
        keys: keys(section),
        cdn_endpoint: endpoint(section, "cdn_endpoint").unwrap_or(meant.cdn_endpoint),
        dns_endpoint: endpoint(section, "dns_endpoint").unwrap_or(meant.dns_endpoint),
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

fn endpoint(section: &Section<'_>, key: &str) -> Option<String> {
    let value = section.value(key)?;
    let url = url(&value)?;
    if url.path() != "/" || url.query().is_some() {
        value.wrong("has a path", format!("write `{}`", url.origin().ascii_serialization()));
        return None;
    }
    Some(url.origin().ascii_serialization())
}

/// https, or http for a loopback address; no user name, no fragment.
fn url(value: &Value<'_>) -> Option<Url> {
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

fn access(name: &str, section: &Section<'_>, accounts: &BTreeMap<String, Aliyun>) -> Option<Dns> {
    well_named(name, section);
    let kinds = [("alidns", Kind::Alidns), ("rfc2136", Kind::Rfc2136), ("exec", Kind::Exec)];
    let kind = section.needed("provider", "\"alidns\"")?.one_of(&kinds)?;
    section.only(&[&["provider", "nameservers", "propagation_timeout"], kind.keys()].concat());
    let provider = match kind {
        Kind::Alidns => Some(alidns(section, accounts)),
        Kind::Rfc2136 => rfc2136(section),
        Kind::Exec => exec(section),
    };
    Some(Dns {
        provider: provider?,
        nameservers: nameservers(section),
        propagation_timeout: propagation_timeout(section).unwrap_or(USUAL_PROPAGATION),
    })
}

#[derive(Clone, Copy)]
enum Kind {
    Alidns,
    Rfc2136,
    Exec,
}

impl Kind {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Alidns => &["aliyun"],
            Self::Rfc2136 => &["server", "key_name", "key_file", "algorithm"],
            Self::Exec => &["program"],
        }
    }
}

fn alidns(section: &Section<'_>, accounts: &BTreeMap<String, Aliyun>) -> Provider {
    let value = section.value("aliyun");
    if let Some(value) = &value {
        must_exist(value, "aliyun", accounts);
    }
    let aliyun = value.and_then(|value| value.text()).unwrap_or("default").to_owned();
    Provider::Alidns { aliyun }
}

fn rfc2136(section: &Section<'_>) -> Option<Provider> {
    let server = section.needed("server", "\"192.0.2.53\"").and_then(|value| {
        let text = value.text()?;
        server(&value, text)
    });
    let key_name = section.needed("key_name", "\"...\"").and_then(|value| value.text());
    let key_file = section
        .needed("key_file", "\"...\"")
        .and_then(|value| section.said.path_as_written(&value));
    let algorithms = [
        ("hmac-sha256", TsigAlgorithm::HmacSha256),
        ("hmac-sha384", TsigAlgorithm::HmacSha384),
        ("hmac-sha512", TsigAlgorithm::HmacSha512),
    ];
    let algorithm = section.value("algorithm").and_then(|value| value.one_of(&algorithms));
    Some(Provider::Rfc2136 {
        server: server?,
        key_name: key_name?.to_owned(),
        algorithm: algorithm.unwrap_or(TsigAlgorithm::HmacSha256),
        key_file: key_file?,
    })
}

fn exec(section: &Section<'_>) -> Option<Provider> {
    let value = section.needed("program", "\"/usr/local/bin/...\"")?;
    Some(Provider::Exec { program: section.said.path(&value)? })
}

fn nameservers(section: &Section<'_>) -> Vec<SocketAddr> {
    let values = section.value("nameservers").and_then(|value| value.texts()).unwrap_or_default();
    values.into_iter().filter_map(|(value, text)| server(&value, text)).collect()
}

/// An address with or without a port; port 53 without (RFC 1035, 4.2).
fn server(value: &Value<'_>, text: &str) -> Option<SocketAddr> {
    let plain = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    let address = text.parse().or_else(|_| plain.map(|address| SocketAddr::new(address, 53)));
    if address.is_err() {
        value.wrong(
            format!("has `{text}`, which is no IP address"),
            "write an address with or without a port: `192.0.2.53`, `127.0.0.1:5353`, `[2001:db8::1]:53`",
        );
    }
    address.ok()
}

fn propagation_timeout(section: &Section<'_>) -> Option<Duration> {
    let value = section.value("propagation_timeout")?;
    let text = value.text()?;
    let meant = duration(text);
    match meant {
        Some(time) if !time.is_zero() && time <= LONGEST_PROPAGATION => meant,
        Some(_) => {
            value.wrong(format!("cannot be `{text}`"), "write a time above 0, at most `24h`");
            None
        }
        None => {
            let help = "write numbers with their units: `10m`, `90s`, `1h30m`";
            value.wrong(format!("has `{text}`, which is no length of time"), help);
            None
        }
    }
}

/// `1h30m`, `10m`, `90s`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut seconds = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let unit = match rest.as_bytes().get(digits)? {
            b'h' => 3600,
            b'm' => 60,
            b's' => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[digits + 1..];
    }
    (!text.is_empty()).then(|| Duration::from_secs(seconds))
}

/// The name goes into file names and messages.
fn well_named(name: &str, section: &Section<'_>) {
    if !super::is_plain(name) {
        let help = "letters, digits, dot, dash and underscore, and a letter or digit first";
        section.said.wrong(&section.place, "has a name that cannot be", help);
    }
}

/// A secret stands in the file that all may read.
fn keep_out_secret(section: &Section<'_>, key: &str, file_key: &str, file: &str) {
    if let Some(value) = section.value(key) {
        let help = format!(
            "put it in a file of its own: `(umask 077 && cat > {file})`, paste it, Enter, Ctrl-D; then write \
             `{file_key} = \"{file}\"` here; if others could read this file, make a new one and end the old"
        );
        value.wrong("is a secret, and this file may be read by all", help);
    }
}
