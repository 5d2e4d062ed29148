//! The configuration: what was said (TOML) becomes what is meant. Pure: it opens no file and knows no other module.

mod acme;
mod certificates;
mod credentials;
mod dns;
mod edge;
mod error;
pub mod kinds;
mod names;
mod said;
mod sections;
mod source;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use toml::de::DeTable;

pub use self::acme::ORDERS_UNDER_WAY;
pub use self::error::{Error, Errors};
pub use self::names::{dns_name, nearest};
use self::said::Said;
pub use self::source::Source;

/// What is meant. Built by [`Config::read`] or, where there is no file, by [`Config::without_file`].
#[derive(Clone, Debug)]
pub struct Config {
    /// The file it was read from; none in a run without one.
    pub file: Option<PathBuf>,
    /// The CA, for certificates that choose no other.
    pub acme: Acme,
    /// Further CAs by name.
    pub cas: BTreeMap<String, Acme>,
    /// The folder.
    pub store: StoreAt,
    /// Which chains may reach the CDN.
    pub trust: Trust,
    /// No call by HTTP waits longer for its answer; none: each kind of call has its own time.
    pub timeout: Option<std::time::Duration>,
    /// Alibaba Cloud accounts by name. `default` is always there.
    pub aliyun: BTreeMap<String, Aliyun>,
    /// DNS accesses by name.
    pub dns: BTreeMap<String, Dns>,
    /// The certificates, in the order of the file.
    pub certificates: Vec<Certificate>,
}

/// `[acme]`, `[acme.NAME]`: a CA and what it is told.
#[derive(Clone, Debug)]
pub struct Acme {
    /// Its name; `default` for `[acme]`.
    pub name: String,
    /// The directory's URL (RFC 8555, 7.1.1): https, or http only for a loopback address.
    pub directory: String,
    /// Mail addresses, without `mailto:`.
    pub contact: Vec<String>,
    /// The user has agreed to the CA's terms.
    pub terms_agreed: bool,
    /// Root for the CA's own HTTPS, beside the public ones.
    pub ca_file: Option<PathBuf>,
    /// External account binding (RFC 8555, 7.3.4).
    pub eab: Option<Eab>,
    /// The profile for certificates that name none.
    pub profile: Option<String>,
    /// The name of the CA that stands in for this one.
    pub fallback: Option<String>,
    /// The name of the root that the chain shall lead to, where the CA offers several.
    pub preferred_chain: Option<String>,
    /// So many orders bother it at once, from 1 to 64; those that wait for DNS do not count.
    pub orders_at_once: usize,
}

/// External account binding.
#[derive(Clone, Debug)]
pub struct Eab {
    /// The key id that the CA gave.
    pub key_id: String,
    /// The file with the base64url HMAC key.
    pub hmac_key_file: PathBuf,
}

/// `[store]`.
#[derive(Clone, Debug)]
pub struct StoreAt {
    /// The folder.
    pub path: PathBuf,
    /// How many versions of a lineage stay. 5 by default.
    pub keep_versions: usize,
}

/// `[trust]`: which chains may reach the CDN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Mozilla's roots.
    Public,
    /// The system's roots.
    System,
    /// The certificates of a PEM file.
    File(PathBuf),
    /// No path is built; all else is still checked.
    Any,
}

/// `[aliyun.NAME]`: an account.
#[derive(Clone, Debug)]
pub struct Aliyun {
    /// The AccessKey; none: that of `profile`, else the default credential chain.
    pub keys: Option<Keys>,
    /// A profile of the Aliyun CLI, or a section of the credentials file, by its name.
    pub profile: Option<String>,
    /// The RAM role that is assumed with that AccessKey.
    pub role: Option<Role>,
    /// Where STS is asked; none: `https://sts.aliyuncs.com`, or that of the region that the environment names.
    pub sts_endpoint: Option<String>,
    /// Where the instance's metadata service is asked: `http://100.100.100.200` by default.
    pub metadata_endpoint: String,
    /// `https://cdn.aliyuncs.com` by default; no path, no slash at its end.
    pub cdn_endpoint: String,
    /// `https://alidns.aliyuncs.com` by default.
    pub dns_endpoint: String,
    /// Which API takes the uploads.
    pub cdn_api: CdnApi,
    /// Uploads a second; at most 9.6.
    pub calls_per_second: f64,
}

/// Which API takes the uploads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CdnApi {
    /// `SetDomainServerCertificate`, the default: it replaces a certificate in place.
    SetDomainServerCertificate,
    /// `SetCdnDomainSSLCertificate`, its successor.
    SetCdnDomainSslCertificate,
    /// `auto`: the first, and its successor where the cloud does not know the first any more.
    Auto,
}

/// An AccessKey in a config: the secret is a file of its own.
#[derive(Clone, Debug)]
pub struct Keys {
    /// AccessKey ID; not a secret.
    pub access_key_id: String,
    /// The file with the secret.
    pub access_key_secret_file: PathBuf,
}

/// A RAM role that is assumed (STS, AssumeRole).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// `acs:ram::123456789012:role/certferry`
    pub arn: String,
    /// RoleSessionName: what the cloud's logs show. None: that of the environment, else `certferry`.
    pub session_name: Option<String>,
    /// ExternalId: what the role's trust policy asks for.
    pub external_id: Option<String>,
}

/// `[dns.NAME]`: how TXT records are put.
#[derive(Clone, Debug)]
pub struct Dns {
    /// Which kind, with its own settings.
    pub provider: Provider,
    /// Asked for everything that DNS-01 asks, in place of the system's and the zone's own. Empty: those.
    pub nameservers: Vec<std::net::SocketAddr>,
    /// How long records may take to show on all servers. 10 minutes by default.
    pub propagation_timeout: std::time::Duration,
    /// How long to wait after all servers have shown the records. Nothing by default.
    pub settle: std::time::Duration,
    /// Asked by HTTPS (RFC 8484) where no server answers at port 53.
    pub doh: Option<String>,
}

/// A kind of DNS access.
#[derive(Clone, Debug)]
pub enum Provider {
    /// Alibaba Cloud DNS, by the account of this name.
    Alidns {
        /// Name of the `[aliyun.NAME]`.
        aliyun: String,
    },
    /// Dynamic update (RFC 2136), signed by TSIG (RFC 8945).
    Rfc2136 {
        /// Where updates go, port 53 unless given; none: to the primary that the zone's SOA names.
        server: Option<std::net::SocketAddr>,
        /// Name of the TSIG key.
        key_name: String,
        /// `hmac-sha256` (default), `hmac-sha384` or `hmac-sha512`.
        algorithm: TsigAlgorithm,
        /// File with the key in base64.
        key_file: PathBuf,
    },
    /// A program: `PROGRAM present NAME VALUE`, `PROGRAM cleanup NAME VALUE`.
    Exec {
        /// Absolute path of the program.
        program: PathBuf,
    },
    /// A server that serves challenges alone: <https://github.com/joohoi/acme-dns>.
    AcmeDns {
        /// Its URL, without a slash at its end.
        server: String,
        /// Networks from which updates may come, told at registration. Empty: all.
        allow_from: Vec<String>,
        /// Registrations made by another program, in its JSON.
        accounts_file: Option<PathBuf>,
    },
    /// An HTTP service that takes what lego's `httpreq` sends.
    Webhook {
        /// Its URL, without a slash at its end.
        endpoint: String,
        /// User name, and the file with the password.
        login: Option<(String, PathBuf)>,
    },
    /// A service that the library dns-update knows.
    Library(Library),
}

/// A service that the library dns-update knows, and its settings.
#[derive(Clone, Debug)]
pub struct Library {
    /// Which.
    pub kind: &'static kinds::Kind,
    /// What was said, by the keys of the kind.
    pub settings: BTreeMap<&'static str, Set>,
    /// Time to live of the records, in seconds.
    pub ttl: u32,
}

/// A setting of a [`Library`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Set {
    /// As it stands, in its own words.
    Text(String),
    /// The file with a secret.
    File(PathBuf),
}

/// Algorithms of TSIG that we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TsigAlgorithm {
    /// hmac-sha256
    HmacSha256,
    /// hmac-sha384
    HmacSha384,
    /// hmac-sha512
    HmacSha512,
}

/// `[[certificate]]`: a lineage and where it goes.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// Name of the lineage: letters, digits, dot, dash, underscore.
    pub name: String,
    /// The names asked for, ASCII, lower case, `*.` allowed. Empty for a `source`.
    pub domains: Vec<String>,
    /// Name of the `[dns.NAME]`; not for a `source`. There may be none of that name where nothing is put.
    pub dns: String,
    /// How its names are proved.
    pub challenge: Challenge,
    /// Kind of the key.
    pub key_type: KeyType,
    /// The CA that it is asked of first; none: that of `[acme]`.
    pub ca: Option<String>,
    /// The profile, if not the CA's.
    pub profile: Option<String>,
    /// Keep the key at renewal.
    pub reuse_key: bool,
    /// Issued elsewhere, and only kept in step.
    pub source: Option<Source>,
    /// Where it goes.
    pub deploy: Vec<Deploy>,
    /// Line of its `[[certificate]]` in the file.
    pub line: usize,
}

/// How names are proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// `dns-01`, the default: a TXT value for each order, put and taken away again.
    Dns01,
    /// `dns-persist-01`: a TXT record that the names' owner has set for good; nothing is put.
    DnsPersist01,
}

/// Kinds of keys that a CA takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyType {
    /// `ecdsa-p256`, the default.
    EcdsaP256,
    /// `ecdsa-p384`
    EcdsaP384,
    /// `rsa-2048`
    Rsa2048,
    /// `rsa-3072`
    Rsa3072,
    /// `rsa-4096`
    Rsa4096,
}

/// `[[certificate.deploy]]`.
#[derive(Clone, Debug)]
pub struct Deploy {
    /// The CDN domains.
    pub domains: Vec<CdnDomain>,
    /// Beside them, every online CDN domain of the account that the certificate covers.
    pub discover: bool,
    /// A certificate of somebody else on a discovered CDN domain is replaced at once.
    pub replace_foreign: bool,
    /// Name of the `[aliyun.NAME]`.
    pub aliyun: String,
    /// How the upload is proved.
    pub verify: Verify,
    /// CertName, if not ours.
    pub cert_name: Option<String>,
}

/// How an upload is proved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verify {
    /// By `DescribeDomainCertificateInfo`.
    Readback,
    /// By that, and by a TLS handshake with the edge.
    Edge(EdgeAt),
    /// Not at all: the cloud's answer is enough.
    None,
}

/// Where the edge of a CDN domain is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EdgeAt {
    /// At the CNAME that the cloud gave the CDN domain, port 443.
    Cname,
    /// At this host (a name or an IP address) and port.
    Host(String, u16),
}

/// A CDN domain: as the user wrote it, and as the API names it. The API's name alone decides whether two are one.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CdnDomain {
    /// As the API names it: ASCII, lower case, `.example.com` for `*.example.com`.
    pub api_name: String,
    /// As the user wrote it.
    pub written: String,
}

/// A target: a CDN domain of an account. One target has one owner.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct Target {
    /// Name of the `[aliyun.NAME]`.
    pub aliyun: String,
    /// The CDN domain.
    pub domain: CdnDomain,
}

impl Config {
    /// Reads a configuration. `file` is for messages and for relative paths (they start at its folder).
    ///
    /// # Errors
    /// All that is wrong, at once.
    pub fn read(text: &str, file: &Path) -> Result<Self, Errors> {
        match Self::read_in_part(text, file) {
            (config, None) => Ok(config),
            (_, Some(errors)) => Err(errors),
        }
    }

    /// The same as far as it can be read, and all that is wrong. What is wrong has its default here: nothing may be
    /// done by it, only looked at.
    #[must_use]
    pub fn read_in_part(text: &str, file: &Path) -> (Self, Option<Errors>) {
        // Editors on Windows put it there, and TOML knows no such character.
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let (table, no_toml) = DeTable::parse_recoverable(text);
        let said = Said::new(text, file, &no_toml);
        let config = meant(&said, table.get_ref(), file);
        let is_good = said.is_good();
        (config, (!is_good).then(|| said.into_errors()))
    }

    /// What is meant without a file: the default credential chain, public trust, a store at `store`.
    #[must_use]
    pub fn without_file(store: PathBuf) -> Self {
        Self {
            file: None,
            acme: Acme::default(),
            cas: BTreeMap::new(),
            store: StoreAt { path: store, ..StoreAt::default() },
            trust: Trust::Public,
            timeout: None,
            aliyun: BTreeMap::from([("default".to_owned(), Aliyun::default())]),
            dns: BTreeMap::new(),
            certificates: Vec::new(),
        }
    }
}

fn meant<'a>(said: &'a Said<'a>, table: &'a DeTable<'a>, file: &Path) -> Config {
    let whole = said.whole(table);
    whole.only(&["acme", "store", "trust", "http", "aliyun", "dns", "certificate"]);
    let aliyun = sections::aliyun(&whole);
    let (acme, cas) = acme::read(&whole);
    let mut config = Config {
        file: Some(file.to_owned()),
        acme,
        cas,
        store: sections::store(&whole),
        trust: sections::trust(&whole),
        timeout: sections::http(&whole),
        dns: dns::dns(&whole, &aliyun),
        aliyun,
        certificates: Vec::new(),
    };
    config.certificates = certificates::read(&whole, &config);
    config
}

/// Is it fit for a folder's name and for messages: letters, digits, dot, dash, underscore, no dot or dash first?
fn is_plain(name: &str) -> bool {
    // A file's name has at most 255 bytes; the store adds to it.
    let first = name.bytes().next();
    first.is_some_and(|byte| byte.is_ascii_alphanumeric())
        && name.len() <= 200
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
}
