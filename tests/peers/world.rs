//! A world: a cloud that serves, a CA that issues, a DNS between them, and a configuration that knows all three.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use certferry_sandbox::cloud::{Account, Cloud, Domain, Seed, Zone};
use serde_json::Value;

use super::client::Spot;
use super::names::{Names, txt};
use super::pebble::{Flavour, Pebble, Tricks};
use super::program::{Program, Ran, run};

/// The AccessKeyId of the account.
pub(crate) const ACCESS_KEY: &str = "LTAIpeers";

/// The zone and the apex of the certificate.
pub(crate) const APEX: &str = "example.test";

/// The CDN domains as a user writes them, and as the cloud does.
pub(crate) const DOMAINS: [(&str, &str); 2] =
    [("cdn.example.test", "cdn.example.test"), ("*.example.test", ".example.test")];

/// The lines of a `[dns.default]` by the cloud's own DNS.
pub(crate) const ALIDNS: &str = "provider = \"alidns\"\naliyun = \"default\"";

/// The certificate of the configuration.
const CERTIFICATE: &str = r#"
[[certificate]]
name = "example.test"
domains = ["example.test", "*.example.test"]
key_type = "KEY_TYPE"
[[certificate.deploy]]
domains = ["cdn.example.test", "*.example.test"]
"#;

/// What a world must know of its CA.
pub(crate) trait Ca {
    /// Its ACME directory.
    fn directory(&self) -> &str;
    /// The root of its own HTTPS.
    fn tls_root(&self) -> &Path;
    /// The root of what it issues.
    fn root(&self) -> &Path;
    /// How many orders it has made since it started, by its own log.
    fn orders(&self) -> usize;
}

/// All of it, on loopback and in one folder; it ends when it is dropped.
pub(crate) struct World<C = Pebble> {
    // The order of the fields is that of their end: servers before their folder.
    pub(crate) cloud: Cloud,
    pub(crate) ca: C,
    names: Option<Names>,
    /// Who is asked for TXT, by certferry and by the CA.
    pub(crate) dns: SocketAddr,
    /// A program that runs certferry, and its arguments before certferry's own; none: it runs by itself.
    pub(crate) within: Vec<String>,
    folder: tempfile::TempDir,
}

impl World {
    /// With no `[dns.default]` and no certificate yet. Pebble asks pebble-challtestsrv, to which alidns hands its values.
    pub(crate) fn new(flavour: &Flavour, tricks: Tricks) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let names = Names::start(flavour, folder.path());
        let dns = names.dns;
        Self::asking(flavour, tricks, folder, names, dns)
    }

    /// The same around a DNS that runs already.
    pub(crate) fn asking(
        flavour: &Flavour,
        tricks: Tricks,
        folder: tempfile::TempDir,
        names: Names,
        dns: SocketAddr,
    ) -> Self {
        let pebble = Pebble::start(flavour, folder.path(), dns, tricks);
        Self::of(pebble, folder, Some(names), dns)
    }

    /// The pebble-challtestsrv, to which alidns hands its values.
    pub(crate) fn names(&self) -> &Names {
        self.names.as_ref().unwrap()
    }

    /// Where a client of others obtains what certferry deploys.
    pub(crate) fn spot(&self) -> Spot {
        // certferry by its name: as users wire it.
        let ours = Path::new(env!("CARGO_BIN_EXE_certferry")).parent().unwrap().to_owned();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::iter::once(ours).chain(std::env::split_paths(&path));
        Spot {
            directory: self.ca.directory().to_owned(),
            tls_root: self.ca.tls_root().to_owned(),
            dns: self.dns,
            ports: Some(self.ca.ports),
            exec: self.names().exec(self.folder()),
            folder: self.folder().to_owned(),
            vars: vec![
                ("PATH", std::env::join_paths(path).unwrap()),
                ("CERTFERRY_CONFIG", self.config().into()),
            ],
            certferry: env!("CARGO_BIN_EXE_certferry").into(),
            within: Vec::new(),
        }
    }

    /// The lines of a `[dns.default]` whose program puts values into pebble-challtestsrv.
    pub(crate) fn exec(&self) -> String {
        format!("provider = \"exec\"\nprogram = \"{}\"", self.names().exec(self.folder()).display())
    }
}

impl<C: Ca> World<C> {
    /// A world around this CA, which runs already.
    pub(crate) fn of(
        ca: C,
        folder: tempfile::TempDir,
        names: Option<Names>,
        dns: SocketAddr,
    ) -> Self {
        let account = Account::new(ACCESS_KEY, "secret-of-the-peers");
        let mut seed = Seed::new().account(account).zone(Zone::new(APEX));
        if let Some(names) = &names {
            seed = seed.challtestsrv(names.management());
        }
        let seed = DOMAINS.iter().fold(seed, |seed, (_, api)| seed.domain(Domain::online(*api)));
        let cloud = Cloud::start(seed.domain(Domain::online(APEX)));
        let world = Self { cloud, ca, names, dns, within: Vec::new(), folder };
        world.secret("aliyun", "secret-of-the-peers");
        world.configure("");
        world
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A secret in a file of its own.
    pub(crate) fn secret(&self, name: &str, text: &str) {
        let file = self.folder().join(name);
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes the configuration: what every test has, and `more`.
    pub(crate) fn configure(&self, more: &str) {
        let (directory, url) = (self.ca.directory(), self.cloud.url());
        let (tls_root, root) = (self.ca.tls_root().display(), self.ca.root().display());
        let text = format!(
            r#"[acme]
directory = "{directory}"
contact = ["ops@example.test"]
terms_agreed = true
ca_file = "{tls_root}"
[store]
path = "store"
[trust]
roots = "{root}"
[aliyun.default]
access_key_id = "{ACCESS_KEY}"
access_key_secret_file = "aliyun"
cdn_endpoint = "{url}"
dns_endpoint = "{url}"
{more}"#
        );
        fs::write(self.config(), text).unwrap();
    }

    /// Configures the certificate and the DNS access that proves its names.
    pub(crate) fn certificate(&self, access: &str, key_type: &str) {
        self.configure(&(self.access(access) + &CERTIFICATE.replace("KEY_TYPE", key_type)));
    }

    /// Changes the configuration, in which `from` must stand.
    pub(crate) fn amend(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.config()).unwrap();
        assert!(text.contains(from), "{from:?} is not in the configuration:\n{text}");
        fs::write(self.config(), text.replace(from, to)).unwrap();
    }

    /// The `[dns.default]` that begins with these lines.
    pub(crate) fn access(&self, lines: &str) -> String {
        let dns = self.dns;
        format!("[dns.default]\nnameservers = [\"{dns}\"]\n{lines}\n")
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("config.toml")
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.folder().join("store")
    }

    /// A certferry with this configuration and an environment that holds nothing else.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let ours = env!("CARGO_BIN_EXE_certferry").to_owned();
        let mut words = self.within.iter().chain([&ours]);
        let mut command = Command::new(words.next().unwrap_or(&ours));
        command.args(words).args(args).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.folder()).env("CERTFERRY_CONFIG", self.config());
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        run(self.command(args), self.folder())
    }

    /// Starts it beside the test; `name` is its log's.
    pub(crate) fn start(&self, args: &[&str], name: &str) -> Program {
        Program::start(self.command(args), self.folder(), name)
    }

    /// Runs it with `--json`: the report, and how it ended.
    pub(crate) fn report(&self, args: &[&str]) -> (Value, Ran) {
        let ran = self.run(&[args, &["--json"]].concat());
        let report =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error} in {ran:#?}"));
        (report, ran)
    }

    /// How many orders the CA has made.
    pub(crate) fn orders(&self) -> usize {
        self.ca.orders()
    }

    /// How often the cloud was asked to take a certificate, also in vain.
    pub(crate) fn uploads(&self) -> usize {
        self.cloud.calls("SetDomainServerCertificate").len()
    }

    /// The TXT values that still stand, in the zone of the cloud and in the DNS.
    pub(crate) fn txt(&self) -> Vec<String> {
        self.txt_at(&format!("_acme-challenge.{APEX}"))
    }

    /// The TXT values that still stand at this name.
    pub(crate) fn txt_at(&self, name: &str) -> Vec<String> {
        let mut left = txt(self.dns, &format!("{name}."));
        left.extend(self.cloud.txt(name));
        left
    }
}
