//! What is: certificates on disk, and what each target serves. It changes nothing.

use crate::aliyun::{self, Account};
use crate::cert::{Cert, Leaf};
use crate::config::{Config, Target};
use crate::journal::{LineageMemory, TargetMemory, asked};
use crate::plan::{Lineage, LineageSeen, Origin, Served, TargetSeen};
use crate::store::{self, Store};
use crate::told;

/// What is on disk of a lineage: the facts for the plan, and the Cert itself for the deployment.
#[derive(Debug, Default)]
pub struct OnDisk {
    /// The facts.
    pub seen: LineageSeen,
    /// The Cert, if it could be read.
    pub cert: Option<Cert>,
}

/// Looks at a lineage's files. What cannot be read is told in the facts: one lineage never stops another.
pub async fn disk(lineage: &Lineage, config: &Config, store: Option<&Store>) -> OnDisk {
    let (memory, memory_error) = remembered(lineage, store);
    let read = match &lineage.origin {
        Origin::Issued(_) => store.map_or(Ok(None), |store| store.live(&lineage.name)),
        Origin::Source(folder) | Origin::Claimed { source: folder, .. } => {
            store::read_source(folder, caller()).await.map(Some)
        }
    };
    let (cert, unreadable) = match read {
        Ok(cert) => (cert, memory_error),
        Err(error) => (None, Some(told::text(&error))),
    };
    let leaf = cert.as_ref().map(|cert| cert.leaf().clone());
    let asked = match &lineage.origin {
        Origin::Issued(place) => asked(&config.acme, &config.certificates[*place]),
        Origin::Source(_) | Origin::Claimed { .. } => String::new(),
    };
    OnDisk { seen: LineageSeen { leaf, unreadable, memory, asked, tried: false }, cert }
}

/// Looks at what a target serves. An error that also decides the upload comes beside.
pub async fn target(
    account: &Account,
    target: &Target,
    store: Option<&Store>,
) -> (TargetSeen, Option<aliyun::Error>) {
    let memory = store.map_or_else(|| Ok(TargetMemory::default()), |store| store.target(target));
    let (served, error) = served(account, target).await;
    let seen = TargetSeen { served, memory: memory.unwrap_or_default() };
    (seen, error.filter(decides))
}

/// A target that cannot even be asked.
#[must_use]
pub fn unknown(target: &Target, store: Option<&Store>, error: &aliyun::Error) -> TargetSeen {
    let memory = store.and_then(|store| store.target(target).ok()).unwrap_or_default();
    TargetSeen { served: Served::Unknown(error.code.clone()), memory }
}

/// What a target serves, by `DescribeDomainCertificateInfo`.
pub async fn served(account: &Account, target: &Target) -> (Served, Option<aliyun::Error>) {
    let answer = match account.describe_domain_certificate_info(&target.domain.api_name).await {
        Ok(answer) => answer,
        Err(error) => return (Served::Unknown(error.code.clone()), Some(error)),
    };
    let Some(answer) = answer.filter(|answer| answer.status_on) else {
        return (Served::Off, None);
    };
    let served = match answer.certificate_pem.as_deref().map(|pem| Leaf::read(pem.as_bytes())) {
        Some(Ok(leaf)) => Served::Leaf(leaf),
        Some(Err(error)) => {
            Served::Unknown(format!("the certificate that the cloud shows cannot be read: {error}"))
        }
        None => Served::Unknown("the cloud shows no certificate".to_owned()),
    };
    (served, None)
}

/// The user whose files may be trusted beside root's.
#[must_use]
pub fn caller() -> u32 {
    rustix::process::geteuid().as_raw()
}

fn remembered(lineage: &Lineage, store: Option<&Store>) -> (LineageMemory, Option<String>) {
    match store.map(|store| store.lineage(&lineage.name)) {
        None => (LineageMemory::default(), None),
        Some(Ok(memory)) => (memory, None),
        Some(Err(error)) => (LineageMemory::default(), Some(told::text(&error))),
    }
}

/// Would an upload fail in the same way? Then it is not even tried: the key stays here.
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
