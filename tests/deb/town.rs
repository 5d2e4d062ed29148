//! What surrounds a machine: the cloud on loopback, certbot's certificate, and the packages, the new and an older one.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use certferry_sandbox::cloud::{Account, Cloud, Domain, Fault, Seed};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use tempfile::TempDir;

use super::machine::host;

const KEY_ID: &str = "AKID";
const SECRET: &str = "canary-secret-of-the-access-key";

/// The CDN domain, which is a name of the certificate.
pub(crate) const DOMAIN: &str = "cdn.example.test";

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Lays certbot's folders as certbot does: root's alone, `live` by links into `archive`.
pub(crate) const CERTBOT: &str = "\
mkdir -p /etc/letsencrypt/live/a /etc/letsencrypt/archive/a
chmod 0700 /etc/letsencrypt/live /etc/letsencrypt/archive
install -m 0644 /test/fullchain.pem /etc/letsencrypt/archive/a/fullchain1.pem
install -m 0600 /test/privkey.pem /etc/letsencrypt/archive/a/privkey1.pem
for one in fullchain privkey; do ln -s ../../archive/a/${one}1.pem /etc/letsencrypt/live/a/$one.pem; done";

/// Writes what is said below the package's own configuration, and the secret where it tells to keep it.
pub(crate) const CONFIGURE: &str = "\
cat /test/config.toml >>/etc/certferry/config.toml
install -m 0600 /test/secret /etc/certferry/secrets/aliyun
install -m 0644 /test/roots.pem /etc/certferry/roots.pem";

/// certbot's call of its deploy hook.
pub(crate) const HOOK: &str = "\
RENEWED_LINEAGE=/etc/letsencrypt/live/a RENEWED_DOMAINS=cdn.example.test certferry";

pub(crate) struct Town {
    pub(crate) folder: TempDir,
    pub(crate) cloud: Cloud,
    /// certbot's certificate.
    chain: String,
}

impl Town {
    pub(crate) fn new(package: &Path) -> Self {
        let account = Account::new(KEY_ID, SECRET);
        let cloud = Cloud::start(Seed::new().account(account).domain(Domain::online(DOMAIN)));
        let folder = tempfile::tempdir().unwrap();
        let root = root();
        let key = KeyPair::generate().unwrap();
        let chain = leaf().signed_by(&key, &root).unwrap().pem();
        let town = Self { folder, cloud, chain };
        town.write("roots.pem", &root.pem());
        town.write("fullchain.pem", &town.chain);
        town.write("privkey.pem", &key.serialize_pem());
        town.write("secret", SECRET);
        town.write("config.toml", &town.config());
        fs::copy(package, town.folder.path().join("new.deb")).unwrap();
        town.repack();
        town
    }

    /// The cloud fails, at each upload.
    pub(crate) fn fail(&self) {
        let upload = Fault::at("SetDomainServerCertificate").always().before();
        self.cloud.fault(upload.answer("InternalError", 500));
    }

    /// The CDN serves certbot's certificate.
    pub(crate) fn serves(&self) -> bool {
        self.cloud.served(DOMAIN).is_some_and(|served| served.chain_pem.trim() == self.chain.trim())
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join(name), text).unwrap();
    }

    fn config(&self) -> String {
        let url = self.cloud.url();
        let endpoints: String =
            ["cdn", "dns", "sts"].map(|one| format!("{one}_endpoint = \"{url}\"\n")).concat();
        format!(
            "[trust]\nroots = \"roots.pem\"\n[aliyun.default]\naccess_key_id = \"{KEY_ID}\"\n\
             access_key_secret_file = \"secrets/aliyun\"\n{endpoints}"
        )
    }

    /// The package of an older version: this one by another number.
    fn repack(&self) {
        let (new, tree) = (self.folder.path().join("new.deb"), self.folder.path().join("tree"));
        host("dpkg-deb", &["-R".as_ref(), new.as_ref(), tree.as_ref()]);
        let control = tree.join("DEBIAN/control");
        let text = fs::read_to_string(&control).unwrap();
        let version = text.lines().find(|line| line.starts_with("Version: ")).unwrap();
        fs::write(&control, text.replace(version, "Version: 0.0.9-1")).unwrap();
        let old = self.folder.path().join("old.deb");
        // The least of compressions: it is unpacked at once.
        host("dpkg-deb", &["-z0".as_ref(), "-b".as_ref(), tree.as_ref(), old.as_ref()]);
        fs::remove_dir_all(tree).unwrap();
    }
}

fn root() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, "Town Root");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn leaf() -> CertificateParams {
    let mut params = CertificateParams::new(vec![DOMAIN.to_owned()]).unwrap();
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + 89 * DAY).into();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params
}
