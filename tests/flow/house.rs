//! A house for one test: a folder with certificates and a config, a cloud on loopback, and the real program.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use certferry_sandbox::cloud::{Account, Cloud, Domain, Seed, Zone};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SignatureAlgorithm,
};
use tempfile::TempDir;

pub(crate) const KEY_ID: &str = "AKID";
pub(crate) const SECRET: &str = "canary-secret-of-the-access-key";

/// A CDN domain of the account, and the lineage `a` whose names are it and `*.example.test`.
pub(crate) struct House {
    pub(crate) folder: TempDir,
    pub(crate) cloud: Cloud,
    root: CertifiedIssuer<'static, KeyPair>,
    /// What replaces `[aliyun.default]` and what stands behind it.
    pub(crate) config: String,
    env: Vec<(String, String)>,
}

/// Half of the largest file that a test makes; a debug build with all its threads needs a tenth.
const MEMORY: &str = "--data=536870912";

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A leaf to be made; `Leaf::new()` is good in every way.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) names: Vec<&'static str>,
    pub(crate) days_before: i64,
    pub(crate) days_after: i64,
    pub(crate) algorithm: &'static SignatureAlgorithm,
}

impl Leaf {
    pub(crate) fn new() -> Self {
        Self {
            names: vec!["cdn.example.test", "*.example.test"],
            days_before: 1,
            days_after: 89,
            algorithm: &rcgen::PKCS_ECDSA_P256_SHA256,
        }
    }
}

impl House {
    pub(crate) fn new() -> Self {
        Self::with(|seed| seed)
    }

    pub(crate) fn with(more: impl FnOnce(Seed) -> Seed) -> Self {
        let seed = Seed::new()
            .account(Account::new(KEY_ID, SECRET))
            .domain(Domain::online("cdn.example.test"))
            .domain(Domain::online(".example.test"))
            .zone(Zone::new("example.test"));
        let house = Self {
            folder: tempfile::tempdir().unwrap(),
            cloud: Cloud::start(more(seed)),
            root: root(),
            config: String::new(),
            env: Vec::new(),
        };
        fs::write(house.path("roots.pem"), house.root.pem()).unwrap();
        house.write_secret("secret", SECRET, 0o600);
        house.lineage("a", &Leaf::new());
        house
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn write_secret(&self, name: &str, text: &str, mode: u32) {
        self.write(name, text);
        self.chmod(name, mode);
    }

    pub(crate) fn chmod(&self, name: &str, mode: u32) {
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Makes (or renews) the lineage `live/NAME` as certbot would leave it, and answers its chain and key.
    pub(crate) fn lineage(&self, name: &str, leaf: &Leaf) -> (String, String) {
        let (chain, key) = self.make(leaf);
        self.write(&format!("live/{name}/fullchain.pem"), &chain);
        self.write_secret(&format!("live/{name}/privkey.pem"), &key, 0o600);
        (chain, key)
    }

    pub(crate) fn make(&self, leaf: &Leaf) -> (String, String) {
        let key = KeyPair::generate_for(leaf.algorithm).unwrap();
        let params = leaf_params(leaf);
        (params.signed_by(&key, &self.root).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn make_self_signed(&self, leaf: &Leaf) -> (String, String) {
        let key = KeyPair::generate_for(leaf.algorithm).unwrap();
        (leaf_params(leaf).self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    pub(crate) fn var(&mut self, name: &str, value: impl Into<String>) {
        self.env.push((name.to_owned(), value.into()));
    }

    /// certbot's words for the lineage `a`.
    pub(crate) fn renewed(&mut self, names: &str) {
        let live = self.path("live/a").display().to_string();
        self.var("RENEWED_LINEAGE", live);
        self.var("RENEWED_DOMAINS", names);
    }

    /// Runs the program with this config.
    pub(crate) fn run(&self, args: &str) -> Ended {
        Ended::of(&self.command(args).output().unwrap())
    }

    /// The program with this config.
    pub(crate) fn command(&self, args: &str) -> Command {
        let mut command = self.program(env!("CARGO_BIN_EXE_certferry"));
        command.args(args.split_whitespace());
        command
    }

    /// Any program, in this house. Bounded: `timeout` ends one that hangs, and one that reads without end has no memory left.
    pub(crate) fn program(&self, program: &str) -> Command {
        self.write("config.toml", self.config_text());
        let mut command = Command::new("prlimit");
        command.args([MEMORY, "timeout", "60", program]);
        command
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("CERTFERRY_CONFIG", self.path("config.toml"))
            // No test asks for an instance that it is not on.
            .env("ALIBABA_CLOUD_ECS_METADATA_DISABLED", "true");
        command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .current_dir(self.folder.path());
        command
    }

    /// The config that the next run has.
    pub(crate) fn config_text(&self) -> String {
        if self.config.starts_with("[[raw]]") {
            return self.config.replace("[[raw]]", "");
        }
        let (folder, url) = (self.folder.path().display(), self.cloud.url());
        let own = if self.config.contains("[aliyun.default]") {
            String::new()
        } else {
            format!(
                "[aliyun.default]\naccess_key_id = \"{KEY_ID}\"\naccess_key_secret_file = \"secret\"\ncdn_endpoint = \"{url}\"\ndns_endpoint = \"{url}\"\nsts_endpoint = \"{url}\"\n"
            )
        };
        let more = self.config.replace("URL", &url);
        format!("[store]\npath = \"{folder}/store\"\n[trust]\nroots = \"roots.pem\"\n{own}{more}\n")
    }

    /// How many uploads were sent.
    pub(crate) fn uploads(&self) -> usize {
        self.cloud.calls("SetDomainServerCertificate").len()
    }
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    pub(crate) fn all(&self) -> String {
        format!("exit {}\n--- stdout\n{}--- stderr\n{}", self.code, self.stdout, self.stderr)
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.all()))
    }
}

/// The SHA-256 of a PEM's first certificate, as the reports show it.
pub(crate) fn fingerprint(chain: &str) -> String {
    use sha2::Digest;
    let der = pem::parse(chain).unwrap().into_contents();
    sha2::Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn root() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "House Root");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf_params(leaf: &Leaf) -> CertificateParams {
    let names: Vec<String> = leaf.names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let from_now = |days: i64| {
        let now = std::time::SystemTime::now();
        let span = day * u32::try_from(days.unsigned_abs()).unwrap();
        if days < 0 { now - span } else { now + span }
    };
    params.not_before = from_now(-leaf.days_before).into();
    params.not_after = from_now(leaf.days_after).into();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}
