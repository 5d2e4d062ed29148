//! `[dns.NAME]`: how TXT records are put; the settings of each kind by the table in `kinds.rs`.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::kinds::{Form, Kind, LIBRARY, OWN, Setting};
use super::said::{Section, Value};
use super::sections::{keep_out_secret, must_exist, url, well_named};
use super::{Aliyun, Dns, Library, Provider, Set, TsigAlgorithm, nearest};

/// What slow providers need; the wait ends as soon as all servers show the record.
const USUAL_PROPAGATION: Duration = Duration::from_secs(600);

/// An authorization lives a week at least, a run of the timer should end within a day.
const LONGEST_PROPAGATION: Duration = Duration::from_secs(24 * 3600);

/// Some CAs give an order no more than an hour.
const LONGEST_SETTLE: Duration = Duration::from_secs(3600);

/// Of `[http] timeout`: no call of ours is given more in any case.
const LONGEST_CALL: Duration = Duration::from_secs(60);

/// The lowest that all but a few providers take (NameSilo: an hour).
const USUAL_TTL: u32 = 600;

/// A day: a record that stood longer in caches than its proof lives.
const LONGEST_TTL: u32 = 86_400;

impl Default for Dns {
    fn default() -> Self {
        Self {
            provider: Provider::Alidns { aliyun: "default".to_owned() },
            nameservers: Vec::new(),
            propagation_timeout: USUAL_PROPAGATION,
            settle: Duration::ZERO,
            doh: None,
        }
    }
}

pub(super) fn dns(
    file: &Section<'_>,
    accounts: &BTreeMap<String, Aliyun>,
) -> BTreeMap<String, Dns> {
    let said = file.named("dns").into_iter();
    // One that is wrong is there all the same: who names it is not wrong too.
    said.map(|(name, section)| {
        (name.to_owned(), access(name, &section, accounts).unwrap_or_default())
    })
    .collect()
}

fn access(name: &str, section: &Section<'_>, accounts: &BTreeMap<String, Aliyun>) -> Option<Dns> {
    well_named(name, section);
    let kind = kind(&section.needed("provider", "\"alidns\"")?)?;
    let inline = inline_secrets(section, kind);
    let is_library = LIBRARY.iter().any(|known| known.name == kind.name);
    let mut keys = kind.keys();
    keys.extend(is_library.then_some("ttl"));
    section.only_beside(&inline, &keys);
    let provider = match kind.name {
        "alidns" => Some(alidns(section, accounts)),
        "rfc2136" => rfc2136(section),
        "exec" => exec(section),
        "acme-dns" => acme_dns(section),
        "webhook" => webhook(section),
        _ => library(section, kind).map(Provider::Library),
    };
    // All is read before anything is missed: every error at once.
    let dns = Dns {
        nameservers: nameservers(section),
        propagation_timeout: time(section, "propagation_timeout").unwrap_or(USUAL_PROPAGATION),
        settle: time(section, "settle").unwrap_or_default(),
        doh: section.value("doh").and_then(|value| url(&value)).map(String::from),
        ..Dns::default()
    };
    Some(Dns { provider: provider?, ..dns })
}

fn kind(value: &Value<'_>) -> Option<&'static Kind> {
    let word = value.text()?;
    let found = OWN.iter().chain(&LIBRARY).find(|kind| kind.name == word);
    if found.is_none() {
        let names: Vec<&str> = OWN.iter().chain(&LIBRARY).map(|kind| kind.name).collect();
        let own: Vec<&str> = OWN.iter().map(|kind| kind.name).collect();
        let help = match nearest(word, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!(
                "known are: {}, and {} services (docs/dns.md), among them cloudflare, route53, tencent, huawei",
                own.join(", "),
                LIBRARY.len()
            ),
        };
        value.wrong(format!("cannot be `{word}`"), help);
    }
    found
}

/// Secrets that stand in the file itself are reported, and known from then on.
fn inline_secrets(section: &Section<'_>, kind: &Kind) -> Vec<&'static str> {
    let files = kind.settings.iter().map(|setting| setting.key);
    let secrets = files.filter_map(|key| Some((key, key.strip_suffix("_file")?)));
    let inline = secrets.filter(|(_, key)| section.has(key));
    let mut found = Vec::new();
    for (file_key, key) in inline {
        let name = section.place.name.replace('.', "-");
        let file = section.said.folder().join(format!("{name}.{}", key.replace('_', "-")));
        keep_out_secret(section, key, file_key, &file.display().to_string());
        found.push(key);
    }
    found
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
    let server = section.value("server").map(|value| {
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
        // One that is wrong is not as good as none.
        server: server.map_or(Some(None), |server| server.map(Some))?,
        key_name: key_name?.to_owned(),
        algorithm: algorithm.unwrap_or(TsigAlgorithm::HmacSha256),
        key_file: key_file?,
    })
}

fn exec(section: &Section<'_>) -> Option<Provider> {
    let value = section.needed("program", "\"/usr/local/bin/...\"")?;
    Some(Provider::Exec { program: section.said.path(&value)? })
}

fn acme_dns(section: &Section<'_>) -> Option<Provider> {
    let server = section.needed("server", "\"https://auth.example.org\"");
    let networks = section.value("allow_from").map(|value| networks(&value));
    let accounts = section.value("accounts_file");
    let accounts_file = accounts.and_then(|value| section.said.path_as_written(&value));
    let server = server.and_then(|value| base(&value))?;
    Some(Provider::AcmeDns { server, allow_from: networks.unwrap_or_default(), accounts_file })
}

/// Addresses or networks (RFC 4632), as acme-dns takes them.
fn networks(value: &Value<'_>) -> Vec<String> {
    let texts = value.texts().unwrap_or_default().into_iter();
    let network = |(value, text): (Value<'_>, &str)| {
        let (address, length) = text.split_once('/').unwrap_or((text, "0"));
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => Some(32),
            Ok(IpAddr::V6(_)) => Some(128),
            Err(_) => None,
        };
        if !length.parse::<u8>().is_ok_and(|length| most.is_some_and(|most| length <= most)) {
            let what = format!("has `{text}`, which is no network");
            value.wrong(what, "write networks or addresses: `192.0.2.0/24`, `2001:db8::/32`");
            return None;
        }
        Some(text.to_owned())
    };
    texts.filter_map(network).collect()
}

fn webhook(section: &Section<'_>) -> Option<Provider> {
    let endpoint = section.needed("endpoint", "\"https://dns.example.org/hook\"");
    let (username, file) = (section.owned("username"), section.value("password_file"));
    let half = "needs its other half";
    if let (Some(_), None) = (&username, &file) {
        let help = "write `password_file = \"...\"`, or take `username` out";
        section.said.missing(&section.place, format!("has a `username`, which {half}"), help);
    }
    if let (None, Some(_)) = (&username, &file) {
        let help = "write `username = \"...\"`, or take `password_file` out";
        section.said.missing(&section.place, format!("has a `password_file`, which {half}"), help);
    }
    let password_file = file.and_then(|value| section.said.path_as_written(&value));
    Some(Provider::Webhook { endpoint: base(&endpoint?)?, login: username.zip(password_file) })
}

/// A URL that paths are put behind: no query, no slash at its end.
fn base(value: &Value<'_>) -> Option<String> {
    let url = url(value)?;
    if url.query().is_some() {
        value.wrong("has a query", "write the URL without it");
        return None;
    }
    Some(url.as_str().trim_end_matches('/').to_owned())
}

fn library(section: &Section<'_>, kind: &'static Kind) -> Option<Library> {
    let mut settings = BTreeMap::new();
    let mut is_whole = true;
    for setting in kind.settings {
        match said(section, setting) {
            Some(set) => drop(settings.insert(setting.key, set)),
            None => is_whole &= !setting.is_needed && !section.has(setting.key),
        }
    }
    let ttl = section.value("ttl").and_then(|value| ttl(&value)).unwrap_or(USUAL_TTL);
    is_whole.then_some(Library { kind, settings, ttl })
}

fn said(section: &Section<'_>, setting: &Setting) -> Option<Set> {
    // A secret in the file itself was reported already, with this key as its remedy.
    let is_inline = setting.key.strip_suffix("_file").is_some_and(|key| section.has(key));
    let value = match setting.is_needed && !is_inline {
        true => section.needed(setting.key, "\"...\"")?,
        false => section.value(setting.key)?,
    };
    let text = match setting.form {
        Form::Secret => return section.said.path_as_written(&value).map(Set::File),
        Form::Text | Form::Own => value.text()?.to_owned(),
        Form::Host => host(&value)?,
        Form::Url => base(&value)?,
        Form::Truth => value.truth()?.to_string(),
        Form::Count => value.count()?.to_string(),
        Form::Word(words) => {
            let words: Vec<(&str, &str)> = words.iter().map(|word| (*word, *word)).collect();
            value.one_of(&words)?.to_owned()
        }
    };
    Some(Set::Text(text))
}

fn host(value: &Value<'_>) -> Option<String> {
    let text = value.text()?;
    if text.contains(['/', ':', '@', '?', '#', ' ']) {
        value.wrong(
            "is no name of a host",
            "write the name alone, without `https://`, port or path",
        );
        return None;
    }
    Some(text.to_owned())
}

fn ttl(value: &Value<'_>) -> Option<u32> {
    let seconds = value.count()?;
    let meant = u32::try_from(seconds).ok().filter(|ttl| (1..=LONGEST_TTL).contains(ttl));
    if meant.is_none() {
        value.wrong(format!("cannot be {seconds}"), format!("write seconds, 1 to {LONGEST_TTL}"));
    }
    meant
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

/// `propagation_timeout` or `timeout`, which cannot be nothing, or `settle`, which can.
pub(super) fn time(section: &Section<'_>, key: &str) -> Option<Duration> {
    let value = section.value(key)?;
    let text = value.text()?;
    let (least, longest, range) = match key {
        "settle" => (Duration::ZERO, LONGEST_SETTLE, "write a time, at most `1h`"),
        "timeout" => (Duration::from_secs(1), LONGEST_CALL, "write a time from `1s` to `1m`"),
        _ => (Duration::from_secs(1), LONGEST_PROPAGATION, "write a time above 0, at most `24h`"),
    };
    match duration(text) {
        Some(time) if (least..=longest).contains(&time) => Some(time),
        Some(_) => {
            value.wrong(format!("cannot be `{text}`"), range);
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
