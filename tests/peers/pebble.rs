//! Pebble, the CA that Let's Encrypt wrote for tests: Debian's of 2022 and the newest.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use serde_json::json;

use super::program::{Program, find, free, home, need};
use super::world::Ca;

/// A name that every Pebble of ours refuses.
pub(crate) const BLOCKED: &str = "blocked.test";

/// One of the Pebbles, with the flags of its own pebble-challtestsrv.
pub(crate) struct Flavour {
    pub(crate) name: &'static str,
    pub(crate) pebble: PathBuf,
    pub(crate) challtestsrv: PathBuf,
    pub(crate) dns_flag: &'static str,
    pub(crate) other_flags: &'static [&'static str],
}

/// How a Pebble behaves.
#[derive(Clone, Copy)]
pub(crate) struct Tricks {
    /// Percent of requests refused with badNonce.
    pub(crate) bad_nonces: u8,
    /// Key id and key that a new account must be bound to.
    pub(crate) eab: Option<(&'static str, &'static str)>,
    /// It offers the profiles `classic` (90 days) and `shortlived` (6 days), if it knows profiles at all.
    pub(crate) profiles: bool,
    /// So many other chains are on offer, each to a root of its own.
    pub(crate) alternates: usize,
}

impl Tricks {
    /// certbot tries a refused nonce again only once: no test of ours shall fail by that.
    pub(crate) const NONE: Self = Self { bad_nonces: 0, eab: None, profiles: false, alternates: 0 };
    /// Enough bad nonces that every run of some fifteen requests meets two.
    pub(crate) const SOME: Self = Self { bad_nonces: 15, ..Self::NONE };
}

/// A running Pebble.
pub(crate) struct Pebble {
    /// Its ACME directory.
    pub(crate) directory: String,
    /// The root of its own HTTPS.
    pub(crate) tls_root: PathBuf,
    /// The roots of what it issues, the default chain's first.
    pub(crate) root: PathBuf,
    /// Where it looks for HTTP-01 and TLS-ALPN-01.
    pub(crate) ports: [u16; 2],
    management: String,
    chains: usize,
    program: Option<Program>,
    launch: Box<dyn Fn() -> Program>,
}

/// Runs a test with each Pebble that is there.
pub(crate) fn over_both(test: impl Fn(&Flavour)) {
    for flavour in [debian(), newest()].into_iter().flatten() {
        // Shown only where the test fails.
        println!("--- {}", flavour.name);
        test(&flavour);
    }
}

/// Runs a test with one Pebble, the newest that is there.
pub(crate) fn over_one(test: impl Fn(&Flavour)) {
    one().iter().for_each(test);
}

/// The newest Pebble that is there.
pub(crate) fn one() -> Option<Flavour> {
    newest().or_else(debian)
}

/// Runs a test with the Pebble that knows ARI.
pub(crate) fn over_newest(test: impl Fn(&Flavour)) {
    newest().iter().for_each(test);
}

/// That of 2022.
pub(crate) fn debian() -> Option<Flavour> {
    let found = find("pebble").zip(find("pebble-challtestsrv"));
    let (pebble, challtestsrv) = need(found, "pebble", "apt-get install pebble")?;
    Some(flavour("pebble in PATH", pebble, challtestsrv))
}

fn newest() -> Option<Flavour> {
    let bin = home().join("bin");
    let (pebble, challtestsrv) = (bin.join("pebble"), bin.join("pebble-challtestsrv"));
    let found = (pebble.is_file() && challtestsrv.is_file()).then_some((pebble, challtestsrv));
    let remedy = "GOBIN=$CERTFERRY_PEERS_HOME/bin go install github.com/letsencrypt/pebble/v2/cmd/...@v2.10.1";
    let (pebble, challtestsrv) = need(found, "newest pebble", remedy)?;
    Some(flavour("newest pebble", pebble, challtestsrv))
}

/// The flag for DNS changed its name; asked, so that it does not matter which Pebble a machine has in its PATH.
fn flavour(name: &'static str, pebble: PathBuf, challtestsrv: PathBuf) -> Flavour {
    let usage = Command::new(&challtestsrv).arg("-help").output().unwrap();
    let old = String::from_utf8_lossy(&usage.stderr).contains("-dns01");
    let (dns_flag, other_flags): (_, &'static [_]) =
        if old { ("-dns01", &[]) } else { ("-dnsserver", &["-doh"]) };
    Flavour { name, pebble, challtestsrv, dns_flag, other_flags }
}

impl Pebble {
    /// Starts it; it asks `dns`.
    pub(crate) fn start(flavour: &Flavour, folder: &Path, dns: SocketAddr, tricks: Tricks) -> Self {
        let (acme, management) = (free(), free());
        let ports = [free().port(), free().port()];
        let config = folder.join("pebble.json");
        fs::write(&config, configuration(folder, [acme, management], ports, tricks).to_string())
            .unwrap();
        let tls_root = tls(folder);
        let (program, folder) = (flavour.pebble.clone(), folder.to_owned());
        let root = folder.join("root.pem");
        let launch = move || {
            let mut command = Command::new(&program);
            command.arg("-config").arg(&config).args(["-dnsserver", &dns.to_string()]);
            command.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
            command.env("PEBBLE_ALTERNATE_ROOTS", tricks.alternates.to_string());
            command.env("PEBBLE_WFE_NONCEREJECT", tricks.bad_nonces.to_string());
            Program::start(command, &folder, "pebble").listens(&[acme, management])
        };
        let directory = format!("https://localhost:{}/dir", acme.port());
        let management = format!("https://localhost:{}", management.port());
        let program = Some(launch());
        let chains = 1 + tricks.alternates;
        let launch = Box::new(launch);
        let pebble = Self { directory, tls_root, root, ports, management, chains, program, launch };
        pebble.keep_root();
        pebble
    }

    /// Starts it anew: it knows no account and no order any more, and has another root.
    pub(crate) fn forget(&mut self) {
        drop(self.program.take());
        self.program = Some((self.launch)());
        self.keep_root();
    }

    /// Does its directory offer profiles?
    pub(crate) fn has_profiles(&self) -> bool {
        let directory = self.fetch(&self.directory);
        serde_json::from_slice::<serde_json::Value>(&directory).unwrap()["meta"]["profiles"]
            .is_object()
    }

    /// The root of a chain in PEM; the default's is the first.
    pub(crate) fn root_of(&self, chain: usize) -> Vec<u8> {
        self.fetch(&format!("{}/roots/{chain}", self.management))
    }

    /// Has it answer this when it is asked about the renewal of a certificate (ARI).
    pub(crate) fn set_renewal(&self, certificate_pem: &str, answer: &str) {
        let url = format!("{}/set-renewal-info/", self.management).parse().unwrap();
        let mut request = reqwest::Request::new(reqwest::Method::POST, url);
        let wish = json!({ "Certificate": certificate_pem, "ARIResponse": answer });
        *request.body_mut() = Some(wish.to_string().into());
        self.send(request);
    }

    fn keep_root(&self) {
        let roots: Vec<u8> = (0..self.chains).flat_map(|chain| self.root_of(chain)).collect();
        fs::write(&self.root, roots).unwrap();
    }

    fn fetch(&self, url: &str) -> Vec<u8> {
        self.send(reqwest::Request::new(reqwest::Method::GET, url.parse().unwrap()))
    }

    fn send(&self, request: reqwest::Request) -> Vec<u8> {
        let url = request.url().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let http = certferry::http::Http::trusting(fs::read(&self.tls_root).unwrap());
        // A server on this machine has answered by then, or has none.
        let answer = runtime.block_on(http.send(request, Duration::from_secs(10))).unwrap();
        assert_eq!(answer.status, 200, "{url}");
        answer.body
    }
}

impl Ca for Pebble {
    fn directory(&self) -> &str {
        &self.directory
    }

    fn tls_root(&self) -> &Path {
        &self.tls_root
    }

    fn root(&self) -> &Path {
        &self.root
    }

    fn orders(&self) -> usize {
        let said = self.program.as_ref().map(Program::said);
        said.unwrap_or_default().matches("Added order ").count()
    }
}

fn configuration(
    folder: &Path,
    [acme, management]: [SocketAddr; 2],
    [http, tls]: [u16; 2],
    tricks: Tricks,
) -> serde_json::Value {
    let mut config = json!({ "pebble": {
        "listenAddress": acme.to_string(),
        "managementListenAddress": management.to_string(),
        "certificate": folder.join("tls.pem"),
        "privateKey": folder.join("tls.key"),
        "httpPort": http,
        "tlsPort": tls,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": tricks.eab.is_some(),
        "domainBlocklist": [BLOCKED],
    }});
    if let Some((id, key)) = tricks.eab {
        config["pebble"]["externalAccountMACKeys"] = json!({ id: key });
    }
    if tricks.profiles {
        config["pebble"]["profiles"] = json!({
            "classic": { "description": "of 90 days", "validityPeriod": 7_776_000 },
            "shortlived": { "description": "of 6 days", "validityPeriod": 518_400 },
        });
    }
    config
}

/// A root for a CA's own HTTPS, and beside it `tls.pem` and `tls.key`; answers the root's file.
pub(crate) fn tls(folder: &Path) -> PathBuf {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    // Under one name with its root, a leaf would look self-signed.
    params.distinguished_name.push(DnType::CommonName, "a root for tests");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let root = params.self_signed(&key).unwrap();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
    let mut params = CertificateParams::new(names).unwrap();
    params.use_authority_key_identifier_extension = true;
    let leaf = params.signed_by(&key, &issuer).unwrap();
    fs::write(folder.join("tls.pem"), leaf.pem()).unwrap();
    fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
    let file = folder.join("tls-root.pem");
    fs::write(&file, root.pem()).unwrap();
    file
}
