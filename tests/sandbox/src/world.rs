//! The world: DNS, cloud, metadata service, CA and edge wired together, and a certferry config that knows its way around in it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use crate::ca::{self, Ca};
use crate::cloud::{self, Account, Cloud, Domain, Oidc, Role, Zone};
use crate::dns::{Behaviour, Dns, TsigAlgorithm, TsigKey};
use crate::edge::Edge;
use crate::metadata::{self, Metadata};

/// The name of the TSIG key.
const TSIG_KEY: &str = "certferry";

/// The name of the role, the OIDC provider and the instance's role of [`Seed::default`].
pub const ROLE: &str = "certferry";

/// The OIDC token that [`Seed::default`]'s provider takes.
pub const OIDC_TOKEN: &str = "sandbox.oidc.token";

/// What a world starts with. `Seed::default()` is the zone `example.test` with the CDN domains `cdn.example.test` and
/// `.example.test`, online and without HTTPS, one certificate for both, and a role that the AccessKey, the instance
/// and the OIDC token may assume.
#[derive(Clone, Debug)]
pub struct Seed {
    /// The AccessKeyId.
    pub access_key_id: String,
    /// The AccessKeySecret.
    pub access_key_secret: String,
    /// The zones, at alidns and in the DNS.
    pub zones: Vec<String>,
    /// The CDN domains as the API names them; a wildcard is `.example.test`.
    pub domains: Vec<String>,
    /// The DNS servers, each the server of every zone.
    pub servers: Vec<Behaviour>,
    /// What the config asks for.
    pub certificates: Vec<Certificate>,
    /// How the config has TXT records put.
    pub provider: Provider,
    /// The CA's rules.
    pub ca: ca::Seed,
    /// The cloud's rules.
    pub cloud: cloud::Rules,
    /// The RAM roles.
    pub roles: Vec<Role>,
    /// The providers of OIDC tokens.
    pub oidc: Vec<Oidc>,
    /// The metadata service's rules.
    pub metadata: metadata::Rules,
}

/// A `[[certificate]]` of the config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The names that it is for.
    pub names: Vec<String>,
    /// The CDN domains that it goes to, as the API names them.
    pub domains: Vec<String>,
    /// More lines of TOML, for example `key_type = "rsa-2048"`.
    pub more: String,
}

impl Certificate {
    /// A certificate and its CDN domains.
    pub fn new(names: &[&str], domains: &[&str]) -> Self {
        Self { names: owned(names), domains: owned(domains), more: String::new() }
    }
}

/// How the config has TXT records put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// By the cloud's alidns.
    Alidns,
    /// By dynamic updates of the first DNS server.
    Rfc2136,
}

impl Default for Seed {
    fn default() -> Self {
        let oidc = Oidc::new(ROLE).token(OIDC_TOKEN);
        Self {
            access_key_id: "LTAISandbox0000000000000".to_owned(),
            access_key_secret: "SandboxSecret0000000000000000".to_owned(),
            zones: owned(&["example.test"]),
            domains: owned(&["cdn.example.test", ".example.test"]),
            servers: vec![Behaviour::Well, Behaviour::Well],
            certificates: vec![Certificate::new(
                &["example.test", "*.example.test"],
                &["cdn.example.test", ".example.test"],
            )],
            provider: Provider::Alidns,
            ca: ca::Seed::new(),
            cloud: cloud::Rules::default(),
            roles: vec![Role::new(ROLE).trust(&oidc.arn)],
            oidc: vec![oidc],
            metadata: metadata::Rules::of_role(ROLE),
        }
    }
}

impl Seed {
    fn of_cloud(&self, dns: &Dns) -> cloud::Seed {
        let mut cloud = cloud::Seed::new()
            .account(Account::new(&self.access_key_id, &self.access_key_secret))
            .rules(|rules| *rules = self.cloud.clone())
            .dns(dns.zones());
        for domain in &self.domains {
            cloud = cloud.domain(Domain::online(domain));
        }
        for zone in &self.zones {
            cloud = cloud.zone(Zone::new(zone));
        }
        for role in &self.roles {
            cloud = cloud.role(role.clone());
        }
        for oidc in &self.oidc {
            cloud = cloud.oidc(oidc.clone());
        }
        cloud
    }
}

/// A running world; it ends when it is dropped.
pub struct World {
    /// The DNS.
    pub dns: Dns,
    /// The cloud.
    pub cloud: Cloud,
    /// The instance's metadata service, and the credentials URI.
    pub metadata: Metadata,
    /// The CA.
    pub ca: Ca,
    /// The edge.
    pub edge: Edge,
    seed: Seed,
    tsig: TsigKey,
}

impl World {
    /// Starts the world of [`Seed::default`].
    pub fn start() -> Self {
        Self::with(Seed::default())
    }

    /// Starts a world.
    ///
    /// # Panics
    /// When there are no free ports.
    pub fn with(seed: Seed) -> Self {
        let dns = Dns::start(&seed.servers);
        let tsig = TsigKey {
            name: TSIG_KEY.to_owned(),
            algorithm: TsigAlgorithm::HmacSha256,
            secret: b"a key of the sandbox, 32 bytes !".to_vec(),
            zones: Vec::new(),
        };
        dns.allow(tsig.clone());
        let cloud = Cloud::start(seed.of_cloud(&dns));
        let metadata = Metadata::start(&cloud, seed.metadata.clone());
        let edge = Edge::start(&cloud);
        let ca = Ca::start(seed.ca.clone().dns(&dns));
        Self { dns, cloud, metadata, ca, edge, seed, tsig }
    }

    /// The TSIG key that may change all zones.
    pub fn tsig_key(&self) -> &TsigKey {
        &self.tsig
    }

    /// Writes a certferry config with all that belongs to it into a folder, which is made where there is none:
    /// `config.toml`, `aliyun.secret`, `tsig.key`, `ca.pem` (root of the CA's HTTPS), `roots.pem` (roots of its chains); the
    /// store will be `store` beside them. Gives the config's path.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn config(&self, folder: &Path) -> PathBuf {
        self.config_for(folder, &self.seed.certificates)
    }

    /// The same for other certificates than the seed's.
    ///
    /// # Panics
    /// When the folder cannot be written.
    pub fn config_for(&self, folder: &Path, certificates: &[Certificate]) -> PathBuf {
        fs::create_dir_all(folder).expect("the config's folder");
        let folder = folder.canonicalize().expect("the config's folder");
        let secret = self.seed.access_key_secret.as_str();
        write(&folder.join("aliyun.secret"), 0o600, secret);
        write(&folder.join("tsig.key"), 0o600, &BASE64_STANDARD.encode(&self.tsig.secret));
        write(&folder.join("ca.pem"), 0o644, self.ca.tls_root_pem());
        write(&folder.join("roots.pem"), 0o644, &self.ca.roots());
        let config = folder.join("config.toml");
        write(&config, 0o644, &self.toml(&folder, certificates));
        config
    }

    fn toml(&self, folder: &Path, certificates: &[Certificate]) -> String {
        let path = |name: &str| quoted(&folder.join(name).display().to_string());
        let mut text = format!(
            "[acme]\ndirectory = {}\ncontact = [\"ops@example.test\"]\nterms_agreed = true\nca_file = {}\n\n\
             [store]\npath = {}\n\n[trust]\nroots = {}\n\n\
             [aliyun.default]\naccess_key_id = {}\naccess_key_secret_file = {}\n",
            quoted(&self.ca.directory_url()),
            path("ca.pem"),
            path("store"),
            path("roots.pem"),
            quoted(&self.seed.access_key_id),
            path("aliyun.secret"),
        );
        for endpoint in ["cdn_endpoint", "dns_endpoint", "sts_endpoint"] {
            text += &format!("{endpoint} = {}\n", quoted(&self.cloud.url()));
        }
        text += &format!("metadata_endpoint = {}\n", quoted(&self.metadata.url()));
        text += &self.dns_toml(&path("tsig.key"));
        for certificate in certificates {
            text += &certificate.toml();
        }
        text
    }

    fn dns_toml(&self, key_file: &str) -> String {
        let servers: Vec<String> = self.dns.addresses().iter().map(ToString::to_string).collect();
        let provider = match self.seed.provider {
            Provider::Alidns => "provider = \"alidns\"\naliyun = \"default\"\n".to_owned(),
            Provider::Rfc2136 => format!(
                "provider = \"rfc2136\"\nserver = {}\nkey_name = {}\nkey_file = {key_file}\n\
                 algorithm = \"hmac-sha256\"\n",
                quoted(&servers[0]),
                quoted(TSIG_KEY),
            ),
        };
        format!("\n[dns.default]\n{provider}nameservers = {}\n", list(&servers))
    }
}

impl Certificate {
    fn toml(&self) -> String {
        let star = |domain: &String| match domain.strip_prefix('.') {
            Some(rest) => format!("*.{rest}"),
            None => domain.clone(),
        };
        let mut text = format!("\n[[certificate]]\ndomains = {}\n", list(&self.names));
        if !self.more.is_empty() {
            text += &format!("{}\n", self.more);
        }
        if !self.domains.is_empty() {
            let domains: Vec<String> = self.domains.iter().map(star).collect();
            text += &format!("[[certificate.deploy]]\ndomains = {}\n", list(&domains));
        }
        text
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

fn list(texts: &[String]) -> String {
    let texts: Vec<String> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A basic string of TOML; JSON writes the same for the texts of a sandbox.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn write(path: &Path, mode: u32, text: &str) {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create(true).truncate(true).mode(mode).open(path);
    let mut file = file.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    file.write_all(text.as_bytes()).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_config_and_what_belongs_to_it() {
        let world = World::with(Seed { provider: Provider::Rfc2136, ..Seed::default() });
        let folder = tempfile::tempdir().unwrap();
        let config = world.config(&folder.path().join("etc"));
        let text = fs::read_to_string(&config).unwrap();
        for line in [
            format!("directory = \"{}\"", world.ca.directory_url()),
            format!("dns_endpoint = \"{}\"", world.cloud.url()),
            format!("server = \"{}\"", world.dns.addresses()[0]),
            "domains = [\"cdn.example.test\", \"*.example.test\"]".to_owned(),
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        let secret = config.with_file_name("aliyun.secret");
        assert_eq!(fs::metadata(secret).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(world.dns.zones().zone_of("a.example.test").as_deref(), Some("example.test"));
    }

    #[tokio::test]
    async fn the_instances_keys_are_the_clouds() {
        let world = World::start();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let keys = client.get(world.metadata.credentials_uri()).send().await.unwrap();
        let keys: serde_json::Value = serde_json::from_str(&keys.text().await.unwrap()).unwrap();
        assert_eq!(world.cloud.temporary_keys(), [keys["AccessKeyId"].as_str().unwrap()]);
        assert_eq!(world.metadata.calls("uri").len(), 1);
    }
}
