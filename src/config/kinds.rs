//! The kinds of DNS access and their settings: one table for the reader, for whoever opens them, and for the documents.

/// A kind of DNS access.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// As `provider` names it.
    pub name: &'static str,
    /// Whose DNS it is, for people.
    pub service: &'static str,
    /// Its settings, beside those that every `[dns.NAME]` has.
    pub settings: &'static [Setting],
}

/// A setting of a kind.
#[derive(Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key in the configuration.
    pub key: &'static str,
    /// What it must be.
    pub form: Form,
    /// Nothing goes without it.
    pub is_needed: bool,
}

/// What a setting must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A text.
    Text,
    /// The name of a host: no scheme, no path.
    Host,
    /// A URL: https, or http for a loopback address.
    Url,
    /// One of these words.
    Word(&'static [&'static str]),
    /// True or false.
    Truth,
    /// A whole number.
    Count,
    /// A file that holds a secret; its key ends in `_file`.
    Secret,
    /// What only its own reader knows.
    Own,
}

/// The settings that every `[dns.NAME]` has.
pub const COMMON: [&str; 5] = ["provider", "nameservers", "propagation_timeout", "settle", "doh"];

/// The kinds of our own.
pub const OWN: [Kind; 5] = [
    kind("alidns", "Alibaba Cloud DNS", &[may("aliyun", Form::Own)]),
    kind(
        "rfc2136",
        "BIND, Knot, PowerDNS and others, by dynamic update (RFC 2136)",
        &[
            must("key_name", Form::Text),
            must("key_file", Form::Own),
            may("server", Form::Own),
            may("algorithm", Form::Own),
        ],
    ),
    kind("exec", "a program of yours", &[must("program", Form::Own)]),
    kind(
        "acme-dns",
        "a server that serves challenges alone (joohoi's acme-dns)",
        &[must("server", Form::Own), may("allow_from", Form::Own), may("accounts_file", Form::Own)],
    ),
    kind(
        "webhook",
        "an HTTP service of yours, as lego's httpreq calls it",
        &[
            must("endpoint", Form::Url),
            may("username", Form::Text),
            may("password_file", Form::Own),
        ],
    ),
];

/// The kinds that the library dns-update knows, each in its service's own words. Left out are those that hold a single
/// TXT value at a name (DuckDNS, FreeMyIP, DDNSS, Hurricane Electric): apex and wildcard need two.
pub const LIBRARY: [Kind; 67] = [
    kind("arvancloud", "ArvanCloud", &[secret("api_key_file")]),
    kind(
        "autodns",
        "InterNetX AutoDNS",
        &[text("username"), secret("password_file"), may("context", Form::Count)],
    ),
    kind(
        "azure",
        "Azure DNS",
        &[
            text("tenant_id"),
            text("client_id"),
            secret("client_secret_file"),
            text("subscription_id"),
            text("resource_group"),
            may("environment", Form::Word(&["public", "china", "usgovernment"])),
        ],
    ),
    kind("baidu", "Baidu Cloud DNS", &[text("access_key"), secret("secret_key_file")]),
    kind(
        "bluecat",
        "BlueCat Address Manager v2",
        &[
            must("server_url", Form::Url),
            text("username"),
            secret("password_file"),
            text("config_name"),
            text("view_name"),
            may("skip_deploy", Form::Truth),
        ],
    ),
    kind("bunny", "Bunny DNS", &[secret("api_key_file")]),
    kind("cloudflare", "Cloudflare", &[secret("api_token_file")]),
    kind(
        "cloudns",
        "ClouDNS",
        &[may("auth_id", Form::Text), may("sub_auth_id", Form::Text), secret("auth_password_file")],
    ),
    kind("constellix", "Constellix", &[text("api_key"), secret("secret_key_file")]),
    kind(
        "cpanel",
        "cPanel",
        &[must("base_url", Form::Url), text("username"), secret("api_token_file")],
    ),
    kind("desec", "deSEC", &[secret("api_token_file")]),
    kind("digitalocean", "DigitalOcean", &[secret("api_token_file")]),
    kind("dnsimple", "DNSimple", &[secret("api_token_file"), text("account_id")]),
    kind("dnsmadeeasy", "DNS Made Easy", &[text("api_key"), secret("api_secret_file")]),
    kind("domeneshop", "Domeneshop", &[text("api_token"), secret("api_secret_file")]),
    kind("dreamhost", "DreamHost", &[secret("api_key_file")]),
    kind("dynu", "Dynu", &[secret("api_key_file")]),
    kind("easydns", "easyDNS", &[text("api_token"), secret("api_key_file")]),
    kind(
        "edgedns",
        "Akamai Edge DNS",
        &[
            must("host", Form::Host),
            text("client_token"),
            secret("client_secret_file"),
            secret("access_token_file"),
            may("account_switch_key", Form::Text),
        ],
    ),
    kind("exoscale", "Exoscale", &[text("api_key"), secret("api_secret_file")]),
    kind("gandi", "Gandi LiveDNS", &[secret("api_token_file")]),
    kind(
        "gcloud",
        "Google Cloud DNS",
        &[
            secret("service_account_file"),
            text("project_id"),
            may("managed_zone", Form::Text),
            may("impersonate_service_account", Form::Text),
        ],
    ),
    kind("gcore", "Gcore", &[secret("api_token_file")]),
    kind("glesys", "GleSYS", &[text("username"), secret("api_key_file")]),
    kind("godaddy", "GoDaddy", &[text("api_key"), secret("api_secret_file")]),
    kind("hetzner", "Hetzner Cloud DNS", &[secret("api_token_file")]),
    kind("hostingde", "hosting.de", &[secret("api_key_file")]),
    kind("hostinger", "Hostinger", &[secret("api_token_file")]),
    kind(
        "huawei",
        "Huawei Cloud DNS",
        &[text("access_key"), secret("secret_key_file"), text("region")],
    ),
    kind("ibmcloud", "IBM Cloud (SoftLayer)", &[text("username"), secret("api_key_file")]),
    kind(
        "infoblox",
        "Infoblox NIOS",
        &[
            must("host", Form::Host),
            may("port", Form::Count),
            text("username"),
            secret("password_file"),
            may("wapi_version", Form::Text),
            may("dns_view", Form::Text),
        ],
    ),
    kind("infomaniak", "Infomaniak", &[secret("api_token_file")]),
    kind("inwx", "INWX", &[text("username"), secret("password_file")]),
    kind("ionos", "IONOS", &[secret("api_key_file")]),
    kind("ipv64", "IPv64", &[secret("api_key_file")]),
    kind("joker", "Joker", &[secret("api_key_file")]),
    kind(
        "lightsail",
        "AWS Lightsail",
        &[
            text("access_key_id"),
            secret("secret_access_key_file"),
            may("session_token_file", Form::Secret),
            may("region", Form::Text),
        ],
    ),
    kind("linode", "Linode (Akamai)", &[secret("api_token_file")]),
    kind("luadns", "LuaDNS", &[text("username"), secret("api_token_file")]),
    kind("mythicbeasts", "Mythic Beasts", &[text("username"), secret("password_file")]),
    kind(
        "namecheap",
        "Namecheap",
        &[text("api_user"), secret("api_key_file"), text("client_ip"), may("username", Form::Text)],
    ),
    kind("namedotcom", "Name.com", &[text("username"), secret("api_token_file")]),
    kind("namesilo", "NameSilo", &[secret("api_key_file")]),
    kind(
        "netcup",
        "netcup",
        &[text("customer_number"), secret("api_key_file"), secret("api_password_file")],
    ),
    kind("netlify", "Netlify", &[secret("api_token_file")]),
    kind("nifcloud", "Nifcloud", &[text("access_key"), secret("secret_key_file")]),
    kind("ns1", "NS1", &[secret("api_key_file")]),
    kind(
        "oraclecloud",
        "Oracle Cloud DNS",
        &[
            text("tenancy_ocid"),
            text("user_ocid"),
            text("fingerprint"),
            secret("private_key_file"),
            text("region"),
            text("compartment_ocid"),
        ],
    ),
    kind(
        "ovh",
        "OVHcloud",
        &[
            text("application_key"),
            secret("application_secret_file"),
            secret("consumer_key_file"),
            may("endpoint", Form::Word(&OVH)),
        ],
    ),
    kind("plesk", "Plesk", &[must("base_url", Form::Url), secret("api_key_file")]),
    kind("porkbun", "Porkbun", &[text("api_key"), secret("secret_api_key_file")]),
    kind(
        "powerdns",
        "PowerDNS, by its HTTP API",
        &[secret("api_key_file"), must("endpoint", Form::Url), may("server_name", Form::Text)],
    ),
    kind(
        "route53",
        "AWS Route 53",
        &[
            text("access_key_id"),
            secret("secret_access_key_file"),
            may("session_token_file", Form::Secret),
            may("region", Form::Text),
            may("hosted_zone_id", Form::Text),
        ],
    ),
    kind("safedns", "ANS SafeDNS", &[secret("api_token_file")]),
    kind("scaleway", "Scaleway", &[secret("api_token_file")]),
    kind(
        "selectel",
        "Selectel v2",
        &[text("username"), secret("password_file"), text("account_id"), text("project_id")],
    ),
    kind("simply", "Simply.com", &[text("account_name"), secret("api_key_file")]),
    kind("spaceship", "Spaceship", &[text("api_key"), secret("api_secret_file")]),
    kind(
        "tencent",
        "Tencent Cloud DNSPod",
        &[
            text("secret_id"),
            secret("secret_key_file"),
            may("session_token_file", Form::Secret),
            may("region", Form::Text),
        ],
    ),
    kind(
        "transip",
        "TransIP",
        &[text("login"), secret("private_key_file"), may("global_key", Form::Truth)],
    ),
    kind("ultradns", "UltraDNS", &[text("username"), secret("password_file")]),
    kind("vercel", "Vercel", &[secret("api_token_file"), may("team_id", Form::Text)]),
    kind(
        "volcengine",
        "Volcengine",
        &[text("access_key"), secret("secret_key_file"), may("region", Form::Text)],
    ),
    kind("vultr", "Vultr", &[secret("api_key_file")]),
    kind("websupport", "Websupport", &[text("api_key"), secret("secret_file")]),
    kind("yandexcloud", "Yandex Cloud DNS", &[secret("iam_key_file"), text("folder_id")]),
    kind("zoneeu", "Zone.eu", &[text("username"), secret("api_key_file")]),
];

/// Regions and brands of OVHcloud, each with an API of its own.
const OVH: [&str; 7] =
    ["ovh-eu", "ovh-us", "ovh-ca", "kimsufi-eu", "kimsufi-ca", "soyoustart-eu", "soyoustart-ca"];

impl Kind {
    /// All keys that a `[dns.NAME]` of this kind may have.
    #[must_use]
    pub fn keys(&self) -> Vec<&'static str> {
        COMMON.into_iter().chain(self.settings.iter().map(|setting| setting.key)).collect()
    }
}

const fn kind(name: &'static str, service: &'static str, settings: &'static [Setting]) -> Kind {
    Kind { name, service, settings }
}

const fn must(key: &'static str, form: Form) -> Setting {
    Setting { key, form, is_needed: true }
}

const fn may(key: &'static str, form: Form) -> Setting {
    Setting { key, form, is_needed: false }
}

const fn text(key: &'static str) -> Setting {
    must(key, Form::Text)
}

const fn secret(key: &'static str) -> Setting {
    must(key, Form::Secret)
}
