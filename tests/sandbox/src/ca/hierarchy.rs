//! The issuers: two roots, two intermediates below each, and cross-signs; new ones at each start.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime};

use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PublicKeyData, SerialNumber, SignatureAlgorithm,
};

use crate::dice::Dice;

/// RSA keys take long to make; a process makes these once, and only their certificates are new.
static RSA: LazyLock<Vec<String>> = LazyLock::new(|| {
    let key = || KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).expect("an RSA key");
    (0..3).map(|_| key().serialize_pem()).collect()
});

/// The kind of a leaf's key, which decides its issuer and how it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LeafKind {
    P256,
    P384,
    Rsa,
}

/// A public key as it came in a CSR.
pub(crate) struct LeafKey {
    pub(crate) kind: LeafKind,
    pub(crate) bits: Vec<u8>,
}

impl PublicKeyData for LeafKey {
    fn der_bytes(&self) -> &[u8] {
        &self.bits
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        match self.kind {
            LeafKind::P256 => &rcgen::PKCS_ECDSA_P256_SHA256,
            LeafKind::P384 => &rcgen::PKCS_ECDSA_P384_SHA384,
            LeafKind::Rsa => &rcgen::PKCS_RSA_SHA256,
        }
    }
}

/// What a leaf shall say.
pub(crate) struct Leaf {
    pub(crate) names: Vec<String>,
    pub(crate) common_name: Option<String>,
    pub(crate) key: LeafKey,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
}

/// What was issued.
pub(crate) struct Issued {
    pub(crate) serial: Vec<u8>,
    pub(crate) issuer_key_id: Vec<u8>,
    pub(crate) der: Vec<u8>,
    /// The chains in PEM, leaf first; the first of them is the default.
    pub(crate) chains: Vec<String>,
}

/// An intermediate with the ways up from it.
struct Branch {
    issuer: Issuer<'static, KeyPair>,
    key_id: Vec<u8>,
    /// What stands after the leaf, in PEM.
    ways: Vec<String>,
}

/// All issuers.
pub(crate) struct Hierarchy {
    pub(crate) roots: String,
    ecdsa: Vec<Branch>,
    rsa: Vec<Branch>,
}

/// A CA's certificate in the making.
struct Authority {
    params: CertificateParams,
    key: KeyPair,
}

impl Authority {
    fn new(name: &str, edition: &str, key: KeyPair, path: BasicConstraints) -> Self {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.distinguished_name = DistinguishedName::new();
        // The edition keeps roots of two starts apart, which have names in common but no keys.
        params.distinguished_name.push(DnType::OrganizationName, format!("Sandbox {edition}"));
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(path);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        params.not_before = time(Timestamp::now() - SignedDuration::from_hours(365 * 24)).into();
        params.not_after =
            time(Timestamp::now() + SignedDuration::from_hours(10 * 365 * 24)).into();
        Self { params, key }
    }

    fn root(name: &str, edition: &str, key: KeyPair) -> Self {
        Self::new(name, edition, key, BasicConstraints::Unconstrained)
    }

    fn pem(&self) -> String {
        self.params.self_signed(&self.key).expect("a root").pem()
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key)
    }

    fn signed_by(&self, other: &Self) -> String {
        self.params.signed_by(&self.key, &other.issuer()).expect("an intermediate").pem()
    }

    fn branch(self, ways: Vec<String>) -> Branch {
        let key_id = self.params.key_identifier(&self.key);
        Branch { issuer: Issuer::new(self.params, self.key), key_id, ways }
    }
}

impl Hierarchy {
    pub(crate) fn new(dice: &mut Dice) -> Self {
        let edition: String = dice.bytes(4).iter().map(|byte| format!("{byte:02x}")).collect();
        let edition = format!("{edition}-{:x}", Timestamp::now().as_microsecond());
        let rsa = |at: usize| KeyPair::from_pem(&RSA[at]).expect("the RSA key");
        let ecdsa = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
        let root_e = Authority::root("Sandbox Root E", &edition, ecdsa());
        let root_r = Authority::root("Sandbox Root R", &edition, rsa(0));
        let cross_e = root_e.signed_by(&root_r);
        let below =
            |name: &str, key| Authority::new(name, &edition, key, BasicConstraints::Constrained(0));
        // As the largest CA's chains of 2026: the default goes the long way over a cross-sign.
        let ecdsa = ["Sandbox E1", "Sandbox E2"].map(|name| {
            let intermediate = below(name, ecdsa());
            let short = intermediate.signed_by(&root_e);
            intermediate.branch(vec![format!("{short}{cross_e}"), short])
        });
        let rsa = [("Sandbox R1", 1), ("Sandbox R2", 2)].map(|(name, at)| {
            let intermediate = below(name, rsa(at));
            let ways = vec![intermediate.signed_by(&root_r), intermediate.signed_by(&root_e)];
            intermediate.branch(ways)
        });
        let roots = format!("{}{}", root_e.pem(), root_r.pem());
        Self { roots, ecdsa: ecdsa.into(), rsa: rsa.into() }
    }

    /// Issues by an intermediate that chance draws.
    pub(crate) fn issue(&self, dice: &mut Dice, leaf: &Leaf) -> Issued {
        let branches = match leaf.key.kind {
            LeafKind::P256 | LeafKind::P384 => &self.ecdsa,
            LeafKind::Rsa => &self.rsa,
        };
        let branch = &branches[dice.below(branches.len())];
        let mut serial = dice.bytes(16);
        // DER drops zeros in front, and adds one before a high bit: half of all serial numbers begin with it.
        serial[0] = serial[0].max(1);
        let certificate = leaf.params(&serial).signed_by(&leaf.key, &branch.issuer);
        let certificate = certificate.expect("a leaf of checked names");
        let chain = |way: &String| format!("{}{way}", certificate.pem());
        Issued {
            serial,
            issuer_key_id: branch.key_id.clone(),
            der: certificate.der().to_vec(),
            chains: branch.ways.iter().map(chain).collect(),
        }
    }
}

impl Leaf {
    fn params(&self, serial: &[u8]) -> CertificateParams {
        let mut params = CertificateParams::new(self.names.clone()).expect("checked names");
        params.distinguished_name = DistinguishedName::new();
        if let Some(name) = &self.common_name {
            params.distinguished_name.push(DnType::CommonName, name);
        }
        params.serial_number = Some(SerialNumber::from_slice(serial));
        params.not_before = time(self.from).into();
        params.not_after = time(self.until).into();
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if self.key.kind == LeafKind::Rsa {
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params
    }
}

/// The CA's own HTTPS: (root in PEM, certificate in DER, its key), for localhost and both loopback addresses.
pub(crate) fn tls_identity() -> (String, Vec<u8>, Vec<u8>) {
    let key = || KeyPair::generate().expect("a key");
    let root = Authority::root("Sandbox TLS root", "TLS", key());
    let names = ["localhost", "127.0.0.1", "::1"].map(ToOwned::to_owned);
    let mut params = CertificateParams::new(names).expect("names of loopback");
    params.distinguished_name = DistinguishedName::new();
    params.use_authority_key_identifier_extension = true;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.not_before = time(Timestamp::now() - SignedDuration::from_hours(24)).into();
    // Some clients take no longer life than the CA/B Forum's limit of 2026.
    params.not_after = time(Timestamp::now() + SignedDuration::from_hours(199 * 24)).into();
    let key = key();
    let certificate = params.signed_by(&key, &root.issuer()).expect("the CA's own certificate");
    (root.pem(), certificate.der().to_vec(), key.serialize_der())
}

fn time(at: Timestamp) -> SystemTime {
    let seconds = u64::try_from(at.as_second()).expect("a time after 1970");
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}
