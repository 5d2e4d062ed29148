//! What is: certificates on disk, and what each target serves. It changes nothing.

pub mod edge;

use std::collections::BTreeMap;

use crate::aliyun::{self, Account};
use crate::cert::{self, Cert, Fingerprint, Leaf};
use crate::config::{Certificate, Config, Source, Target};
use crate::journal::{LineageMemory, TargetMemory, asked, asked_of_fallback};
use crate::plan::{
    Fallback, Lineage, LineageSeen, Origin, Ours, Served, TargetSeen, Unusable, Wanted,
};
use crate::store::{self, Store};
use crate::told;

mod renewal;

pub use renewal::{renewal, to_ask};

/// What is on disk of a lineage: the facts for the plan, and the Cert itself for the deployment.
#[derive(Debug, Default)]
pub struct OnDisk {
    /// The facts.
    pub seen: LineageSeen,
    /// The Cert, if it could be read and was asked for.
    pub cert: Option<Cert>,
    /// The pinned Certs that could be read.
    pub pinned: Vec<Cert>,
    /// What people should know: a damaged file of the journal was set aside.
    pub warning: Option<String>,
}

impl OnDisk {
    /// The Cert that a target must serve.
    #[must_use]
    pub fn cert_of(&self, wanted: &Wanted<'_>) -> Option<&Cert> {
        let is_it = |cert: &&Cert| cert.leaf().fingerprint == wanted.leaf.fingerprint;
        self.cert.iter().chain(&self.pinned).find(is_it)
    }
}

/// What there is to know of a target.
#[derive(Debug)]
pub struct AtTarget {
    /// What it serves, and what is remembered of it.
    pub seen: TargetSeen,
    /// The CertName that the cloud shows.
    pub cert_name: Option<String>,
    /// Why it is not known what it serves.
    pub error: Option<aliyun::Error>,
    /// What people should know: a damaged file of the journal was set aside.
    pub warning: Option<String>,
}

impl AtTarget {
    /// The error by which an upload would fail in the same way: then it is not even tried, and the key stays here.
    #[must_use]
    pub fn decisive(&self) -> Option<&aliyun::Error> {
        self.error.as_ref().filter(|error| decides(error))
    }
}

/// Looks at a lineage's files. What cannot be read is told in the facts: one lineage never stops another.
pub async fn disk(lineage: &Lineage, config: &Config, store: Option<&Store>) -> OnDisk {
    let read = match source(lineage) {
        None => store.map_or(Ok(None), |store| store.live(&lineage.name)),
        Some(source) => store::read_source(source, caller()).await.map(Some),
    };
    let leaf = |cert: &Cert| cert.leaf().clone();
    let (cert, read) = match read {
        Ok(cert) => (cert.clone(), Ok(cert.as_ref().map(leaf))),
        Err(error) => (None, Err(error)),
    };
    OnDisk { cert, ..facts_of(lineage, config, store, read) }
}

/// The facts alone: of a lineage that we issue, the key stays unread.
pub async fn facts(lineage: &Lineage, config: &Config, store: Option<&Store>) -> OnDisk {
    let read = match source(lineage) {
        None => store.map_or(Ok(None), |store| store.live_leaf(&lineage.name)),
        Some(source) => {
            store::read_source(source, caller()).await.map(|cert| Some(cert.leaf().clone()))
        }
    };
    facts_of(lineage, config, store, read)
}

/// The Cert of another client, if there is one that can be used.
pub async fn cert_of(source: &Source) -> Option<Cert> {
    store::read_source(source, caller()).await.ok()
}

fn source(lineage: &Lineage) -> Option<&Source> {
    match &lineage.origin {
        Origin::Issued(_) | Origin::Given => None,
        Origin::Source(source) | Origin::Claimed { source, .. } => Some(source),
    }
}

fn facts_of(
    lineage: &Lineage,
    config: &Config,
    store: Option<&Store>,
    read: anyhow::Result<Option<Leaf>>,
) -> OnDisk {
    let memory = store
        .map_or_else(|| Ok(LineageMemory::default()), |store| store.lineage(&lineage.memory()));
    let (memory, warning) = or_warning(memory);
    let (pinned, pinned_certs) = pinned(lineage, &memory, store);
    let (leaf, unusable) = match read {
        Ok(leaf) => (leaf, None),
        Err(error) => (None, Some(unusable(&error))),
    };
    let (asked, fallback) = match &lineage.origin {
        Origin::Issued(place) => requests(config, &config.certificates[*place]),
        Origin::Source(_) | Origin::Claimed { .. } | Origin::Given => (String::new(), None),
    };
    let (tried, tick) = (false, None);
    let seen = LineageSeen { leaf, unusable, memory, asked, fallback, tried, pinned, tick };
    OnDisk { seen, cert: None, pinned: pinned_certs, warning }
}

type Leaves = BTreeMap<Fingerprint, Result<Leaf, String>>;

/// The Certs that are pinned. One that is no longer there is left out.
fn pinned(lineage: &Lineage, memory: &LineageMemory, store: Option<&Store>) -> (Leaves, Vec<Cert>) {
    let (mut leaves, mut certs) = (Leaves::new(), Vec::new());
    let Some(store) = store else { return (leaves, certs) };
    for pin in &memory.pins {
        let archive = pin.archive(&lineage.memory());
        match store.version_with(&archive, pin.fingerprint) {
            Ok(None) => {}
            Ok(Some(cert)) => {
                leaves.insert(pin.fingerprint, Ok(cert.leaf().clone()));
                certs.push(cert);
            }
            Err(error) => {
                // What to do about it is another thing here: to let go of the pin.
                leaves.insert(pin.fingerprint, Err(told::parts(&error).0));
            }
        }
    }
    (leaves, certs)
}

/// What would be asked of the certificate's CA now, and of the one that stands in for it.
fn requests(config: &Config, certificate: &Certificate) -> (String, Option<Fallback>) {
    let fallback = config.fallback(certificate).map(|acme| acme.section());
    let fallback = fallback.zip(asked_of_fallback(config, certificate));
    let fallback = fallback.map(|(section, asked)| Fallback { section, asked });
    (asked(config.ca(certificate), certificate), fallback)
}

/// Files that are damaged or gone stay so; anything else (no permission, no descriptor left) may be well next time.
fn unusable(error: &anyhow::Error) -> Unusable {
    let gone = |cause: &(dyn std::error::Error + 'static)| {
        cause
            .downcast_ref::<std::io::Error>()
            .is_some_and(|io| io.kind() == std::io::ErrorKind::NotFound)
            || cause.is::<cert::Error>()
    };
    let why = told::text(error);
    if error.chain().any(gone) { Unusable::Damaged(why) } else { Unusable::Unread(why) }
}

/// Looks at what a target serves.
pub async fn target(account: &Account, target: &Target, store: Option<&Store>) -> AtTarget {
    let (memory, warning) = remembered(target, store);
    let Shown { served, cert_name, error } = shown(account, target).await;
    AtTarget {
        seen: TargetSeen { served, memory, ours: Ours::default() },
        cert_name,
        error,
        warning,
    }
}

fn remembered(target: &Target, store: Option<&Store>) -> (TargetMemory, Option<String>) {
    or_warning(store.map_or_else(|| Ok(TargetMemory::default()), |store| store.target(target)))
}

fn or_warning<T: Default>(remembered: anyhow::Result<T>) -> (T, Option<String>) {
    match remembered {
        Ok(memory) => (memory, None),
        Err(error) => (T::default(), Some(told::text(&error))),
    }
}

/// A target that cannot even be asked.
#[must_use]
pub fn unasked(target: &Target, store: Option<&Store>, error: aliyun::Error) -> AtTarget {
    let (memory, warning) = remembered(target, store);
    let served = Served::Unknown(error.code.clone());
    let seen = TargetSeen { served, memory, ours: Ours::default() };
    AtTarget { seen, cert_name: None, error: Some(error), warning }
}

/// What a target serves, by `DescribeDomainCertificateInfo`.
pub async fn served(account: &Account, target: &Target) -> (Served, Option<aliyun::Error>) {
    let shown = shown(account, target).await;
    (shown.served, shown.error)
}

/// What the cloud shows of a target.
struct Shown {
    served: Served,
    cert_name: Option<String>,
    error: Option<aliyun::Error>,
}

async fn shown(account: &Account, target: &Target) -> Shown {
    let answer = match account.describe_domain_certificate_info(&target.domain.api_name).await {
        Ok(answer) => answer,
        Err(error) => {
            let served = Served::Unknown(error.code.clone());
            return Shown { served, cert_name: None, error: Some(error) };
        }
    };
    let Some(answer) = answer.filter(|answer| answer.status_on) else {
        return Shown { served: Served::Off, cert_name: None, error: None };
    };
    let served = match answer.certificate_pem.as_deref().map(|pem| Leaf::read(pem.as_bytes())) {
        Some(Ok(leaf)) => Served::Leaf(leaf),
        Some(Err(error)) => {
            Served::Unknown(format!("the certificate that the cloud shows cannot be read: {error}"))
        }
        None => Served::Unknown("the cloud shows no certificate".to_owned()),
    };
    Shown { served, cert_name: answer.cert_name, error: None }
}

/// The user whose files may be trusted beside root's.
#[must_use]
pub fn caller() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn decides(error: &aliyun::Error) -> bool {
    use aliyun::Kind;
    match error.kind {
        Kind::Transport | Kind::Credentials | Kind::Clock | Kind::DomainNotFound | Kind::Config => {
            true
        }
        Kind::UnknownOutcome
        | Kind::Throttled
        | Kind::Busy
        | Kind::Server
        | Kind::Permission
        | Kind::NoSuchApi
        | Kind::NotEffective
        | Kind::Permanent => false,
    }
}
