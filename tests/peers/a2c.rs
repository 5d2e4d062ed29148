//! acme2certifier, a CA in Python: it checks a CSR strictly and offers ARI, but says nothing of an order's `replaces`.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyIdMethod, KeyPair,
    KeyUsagePurpose,
};
use sha1::{Digest as _, Sha1};

use super::account;
use super::knot::{Knot, Role, SECRET, Zone};
use super::pebble::tls;
use super::program::{Program, free, home, need, need_debian, port_53};
use super::renew::{again, forced, from_nothing};
use super::rfc2136;
use super::world::{APEX, Ca, World};

/// Where it asks for TXT, always at port 53; nobody else listens there.
const DNS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 77);

/// A running acme2certifier.
struct A2c {
    directory: String,
    tls_root: PathBuf,
    root: PathBuf,
    program: Program,
}

impl A2c {
    fn start(python: &Path, folder: &Path) -> Self {
        let address = free();
        let tls_root = tls(folder);
        let root = hierarchy(folder);
        fs::create_dir(folder.join("issued")).unwrap();
        fs::write(folder.join("acme_srv.cfg"), configuration(address)).unwrap();
        let mut command = Command::new(python);
        let serve = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/a2c/serve.py");
        command.arg(serve).arg(address.port().to_string()).current_dir(folder);
        command.env("ACME_SRV_CONFIGFILE", folder.join("acme_srv.cfg"));
        let program = Program::start(command, folder, "a2c").listens(&[address]);
        Self { directory: format!("https://{address}/directory"), tls_root, root, program }
    }
}

impl Ca for A2c {
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
        self.program.said().matches("\"POST /acme/neworders HTTP/1.1\" 201").count()
    }
}

/// A root, and below it what issues: `issuing.pem` and `issuing.key`. Answers the root's file.
fn hierarchy(folder: &Path) -> PathBuf {
    let params = |name: &str| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        params
    };
    let (root, key) = (params("acme2certifier's root"), KeyPair::generate().unwrap());
    let file = folder.join("root.pem");
    fs::write(&file, root.self_signed(&key).unwrap().pem()).unwrap();
    let issuing = KeyPair::generate().unwrap();
    let mut below = params("acme2certifier");
    // By this method it names the issuer in what it issues, whatever the issuer's certificate has.
    let id = Sha1::digest(issuing.public_key_raw()).to_vec();
    below.key_identifier_method = KeyIdMethod::PreSpecified(id);
    let certificate = below.signed_by(&issuing, &Issuer::new(root, key));
    fs::write(folder.join("issuing.pem"), certificate.unwrap().pem()).unwrap();
    fs::write(folder.join("issuing.key"), issuing.serialize_pem()).unwrap();
    file
}

/// Its files by names in its own folder.
fn configuration(address: SocketAddr) -> String {
    format!(
        r#"[DEFAULT]
server_name: {address}
dns_server_list: ["{DNS}"]
[CAhandler]
handler_module: acme2certifier.cahandlers.openssl_ca_handler
issuing_ca_key: issuing.key
issuing_ca_cert: issuing.pem
issuing_ca_crl: crl.pem
ca_cert_chain_list: ["root.pem"]
cert_validity_days: 90
cert_save_path: issued
[DBhandler]
handler: wsgi
dbfile: a2c.db
[Renewalinfo]
renewalthreshold_pctg: 66
retry_after_timeout: 21600
"#
    )
}

/// The Python that has it.
fn python() -> Option<PathBuf> {
    let bin = home().join("a2c/bin");
    let found = bin.join("a2c-cli").is_file().then(|| bin.join("python"));
    let remedy =
        "python3 -m venv $CERTFERRY_PEERS_HOME/a2c, then its pip install acme2certifier==0.46.3";
    need(found, "acme2certifier", remedy)
}

#[test]
fn issued_renewed_and_revoked() {
    let (Some(python), Some([address])) = (python(), port_53([DNS])) else { return };
    let (Some(knotd), Some(_)) = (need_debian("knotd", "knot"), need_debian("openssl", "openssl"))
    else {
        return;
    };
    for key_type in ["ecdsa-p256", "rsa-2048"] {
        let folder = tempfile::tempdir().unwrap();
        let zone = Zone { name: APEX, role: Role::Primary { records: "", notify: None } };
        let knot = Knot::at(address, &knotd, folder.path(), "hmac-sha256", &[zone]);
        let a2c = A2c::start(&python, folder.path());
        let world = World::of(a2c, folder, None, knot.address);
        world.secret("tsig", SECRET);
        world.certificate(&rfc2136::access(&world, "hmac-sha256"), key_type);
        from_nothing(key_type, &world);
        again(key_type, &world);
        forced(key_type, &world);
        again(key_type, &world);
        account::to_its_end(key_type, &world);
        assert_eq!(world.orders(), 4, "{key_type}: one for each certificate");
    }
}
