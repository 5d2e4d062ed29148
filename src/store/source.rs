//! Other clients' files: a chain and a key that another program owns, and may be changing while we look.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::anyhow;
use zeroize::Zeroizing;

use super::files::Bytes;
use super::judge::{self, Identity, Readers, Refusal};
use super::shown;
use crate::cert::{self, Cert};
use crate::config::Source;

/// Reads the Cert of another client: of its chain and key, or of its folder. There it is `privkey.pem` with
/// `fullchain.pem`, or with `cert.pem` and `chain.pem` (certbot's names; acmetool's are the same without `.pem`). While the
/// client changes its files, looks again after 1 and 5 seconds.
///
/// Links are followed. Root and the caller (`caller_uid`) must own what is at their end, and no one else may write it
/// or any folder on the way; a key may be read by a group.
///
/// # Errors
/// What is wrong with which file, and a `help:` line.
pub async fn read_source(source: &Source, caller_uid: u32) -> anyhow::Result<Cert> {
    let Some(key) = &source.key else {
        return read_folder(&source.path, caller_uid).await;
    };
    if source.path.is_dir() {
        let folder = shown(&source.path);
        return Err(anyhow!(
            "{folder} is a folder\nhelp: name the file of its chain, or leave out the key (`source_key`, `--key`)"
        ));
    }
    let parts = Parts { chain: vec![source.path.clone()], key: key.clone() };
    patiently(|| look(|| parts.clone(), caller_uid)).await
}

async fn read_folder(folder: &Path, caller_uid: u32) -> anyhow::Result<Cert> {
    // A folder that is not there or must not be trusted is no matter of waiting.
    let found = judge::resolve(folder, caller_uid).map_err(said)?;
    if !found.path().is_dir() {
        let folder = shown(folder);
        return Err(anyhow!(
            "{folder} is no folder\nhelp: name the folder that holds fullchain.pem, or with a chain its key too (`source_key`, `--key`)"
        ));
    }
    patiently(|| look(|| parts_of(folder), caller_uid)).await
}

/// The same at one glance, for whoever only looks: what a client is changing just now is told as it is.
///
/// # Errors
/// As [`read_source`].
pub fn glance(source: &Source, caller_uid: u32) -> anyhow::Result<Cert> {
    let parts = || match &source.key {
        Some(key) => Parts { chain: vec![source.path.clone()], key: key.clone() },
        None => parts_of(&source.path),
    };
    look(parts, caller_uid).map_err(|trouble| match trouble {
        Trouble::Unsteady(error) | Trouble::Lasting(error) => error,
    })
}

/// The files that make a Cert.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Parts {
    /// The leaf is in the first.
    chain: Vec<PathBuf>,
    key: PathBuf,
}

/// Why a look gave no Cert.
enum Trouble {
    /// It may pass: the client is changing its files.
    Unsteady(anyhow::Error),
    /// It does not pass.
    Lasting(anyhow::Error),
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Missing(error) => Self::Unsteady(error),
            Refusal::Fault(error) => Self::Lasting(error),
        }
    }
}

async fn patiently(look: impl Fn() -> Result<Cert, Trouble>) -> anyhow::Result<Cert> {
    for pause in PAUSES {
        match look() {
            Ok(cert) => return Ok(cert),
            Err(Trouble::Lasting(error)) => return Err(error),
            Err(Trouble::Unsteady(error)) => tracing::debug!(%error, ?pause, "looking again"),
        }
        tokio::time::sleep(pause).await;
    }
    match look() {
        Ok(cert) => Ok(cert),
        Err(Trouble::Lasting(error) | Trouble::Unsteady(error)) => Err(error),
    }
}

/// Resolve, read, resolve again: what was read is a Cert only if nothing was changing meanwhile.
fn look(parts_now: impl Fn() -> Parts, caller: u32) -> Result<Cert, Trouble> {
    let parts = parts_now();
    let before = resolve(&parts, caller)?;
    let (chain, key) = read(&before, caller)?;
    if parts_now() != parts || resolve(&parts, caller)? != before {
        let key = shown(&parts.key);
        return Err(Trouble::Unsteady(anyhow!(
            "{key} and its chain are being changed\nhelp: try again when the ACME client is done"
        )));
    }
    Cert::read(&chain, &key).map_err(|error| unfit(&parts, error))
}

fn resolve(parts: &Parts, caller: u32) -> Result<Vec<Identity>, Refusal> {
    let paths = std::iter::once(&parts.key).chain(&parts.chain);
    paths.map(|path| judge::resolve(path, caller)).collect()
}

/// The key is the first of them.
fn read(found: &[Identity], caller: u32) -> Result<(Bytes, Bytes), Refusal> {
    let mut chain = Zeroizing::new(Vec::new());
    let mut key = Zeroizing::new(Vec::new());
    for (index, identity) in found.iter().enumerate() {
        if index == 0 {
            key = judge::read(identity, caller, Readers::Group)?;
            continue;
        }
        chain.extend_from_slice(&judge::read(identity, caller, Readers::All)?);
        chain.push(b'\n');
    }
    Ok((chain, key))
}

fn parts_of(folder: &Path) -> Parts {
    let named = |ending: &str| {
        let path = |name: &str| folder.join(format!("{name}{ending}"));
        (path("fullchain"), path("cert"), path("chain"), path("privkey"))
    };
    let there = |path: &Path| path.symlink_metadata().is_ok();
    let (full, cert, chain, key) =
        if there(&named(".pem").3) || !there(&named("").3) { named(".pem") } else { named("") };
    if there(&full) || !there(&cert) {
        return Parts { chain: vec![full], key };
    }
    // A chain of its own is not always there: uacme's cert.pem holds all.
    let chain = Some(chain).filter(|chain| there(chain));
    Parts { chain: std::iter::once(cert).chain(chain).collect(), key }
}

fn unfit(parts: &Parts, error: cert::Error) -> Trouble {
    let (chain, key) = (parts.chain.first().map(|path| shown(path)), shown(&parts.key));
    let chain = chain.unwrap_or_default();
    Trouble::Unsteady(anyhow::Error::new(error).context(format!("{chain} and {key} are no Cert")))
}

fn said(refusal: Refusal) -> anyhow::Error {
    match refusal {
        Refusal::Missing(error) | Refusal::Fault(error) => error,
    }
}

/// certbot changes four links in a moment; a client that copies its files one after the other may take seconds.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

#[cfg(test)]
mod tests;
