//! `deploy`: one certificate onto CDN domains, once. Nothing of it is kept in step afterwards.

use std::path::{Path, PathBuf};

use super::hook::{owned_by_config, targets};
use super::{Ended, Form, Refusal, account_of, configured_or_not, discovery, open, pinned};
use crate::cert::Cert;
use crate::cli::{Deploy as Flags, Global};
use crate::config::{Source, Target};
use crate::ground::Ground;
use crate::journal::Pin;
use crate::look::{self, OnDisk};
use crate::plan::{Asked, CertOutcome, Conflict, Lineage, Origin, Owned, TargetOutcome, ownership};
use crate::report::{CertificateEnd, Ends, ErrorEnd, Report, TargetEnd};
use crate::run::Run;
use crate::store::{self, Store};
use crate::{Place, walk_targets};

pub(super) async fn run(flags: &Flags, global: &Global, ground: Ground) -> Result<Ended, Refusal> {
    let started = ground.clock.now();
    let config = configured_or_not(global, &ground)?;
    let aliyun = account_of(&config, flags.aliyun.as_deref())?;
    let targets = targets(&flags.domains, &aliyun)?;
    let store = Store::open(&config.store.path);
    let unwritable =
        store.as_ref().err().map(|error| format!("the upload will not be remembered: {error:#}"));
    let run = open(config, store.ok(), ground)?;
    if let Some(why) = unwritable {
        run.warn(why);
    }
    let (place, cert) = match read(flags).await {
        Ok(read) => read,
        Err(error) => {
            let ends = unread(flags, &targets, &error, run.take_warnings());
            let report = Report::new("deploy", started, run.ground.clock.now(), ends);
            return Ok(Ended::of(&report, global, Form::from(flags.json)));
        }
    };
    let (lineage, disk, refused) = if flags.pin {
        let held = pinned::pin(&run, &cert, &targets).await?;
        let (lineage, disk) = lineage(&place, cert, held.targets, held.pins);
        (lineage, disk, Vec::new())
    } else {
        let (free, refused) = unowned(&run, targets).await;
        let free = free.into_iter().map(Owned::plain).collect();
        let (lineage, disk) = lineage(&place, cert, free, Vec::new());
        (lineage, disk, refused)
    };
    let leaf = disk.seen.leaf.as_ref();
    let certificate = CertificateEnd::new(&lineage, leaf, CertOutcome::Kept, "given by hand");
    run.ground.say.steps(u64::try_from(lineage.targets.len()).unwrap_or(u64::MAX));
    let (asked, place) = (Asked::default(), Place::default());
    let mut targets = walk_targets(&run, &lineage, &disk, &asked, place).await;
    targets.extend(refused.iter().map(owned));
    let ends = Ends { certificates: vec![certificate], targets, warnings: run.take_warnings() };
    let report = Report::new("deploy", started, run.ground.clock.now(), ends);
    Ok(Ended::of(&report, global, Form::from(flags.json)))
}

/// The end of a target that the config gives to a lineage.
fn owned(conflict: &Conflict) -> TargetEnd {
    let mut end = owned_by_config(conflict);
    if let Some(error) = &mut end.error {
        error.help += "; or hold this certificate there for a while: --pin";
    }
    end
}

/// The targets that the config does not own, and those that it does: the next `renew` would put these back.
async fn unowned(run: &Run, targets: Vec<Target>) -> (Vec<Target>, Vec<Conflict>) {
    let mut configured = ownership(&run.config, &[]);
    let discovery = discovery::complete(run, &mut configured, |_| true).await;
    let configured = configured.lineages;
    for owner in &configured {
        if let Some(error) = discovery.unlisted(&owner.name) {
            let (name, message) = (&owner.name, &error.message);
            run.warn(format!(
                "{name} may own what it covers: {message}\nhelp: {}; until then `certferry renew` may undo this",
                error.help
            ));
        }
    }
    let mut refused = Vec::new();
    let mut free = Vec::new();
    for target in targets {
        let owns = |lineage: &&Lineage| lineage.targets.iter().any(|owned| owned.target == target);
        match configured.iter().find(owns) {
            None => free.push(target),
            Some(owner) => refused.push(Conflict {
                lineage: owner.name.clone(),
                claim: owner.name.clone(),
                owner: owner.name.clone(),
                target,
            }),
        }
    }
    (free, refused)
}

/// The files could not be used: so ends the certificate, and nothing goes to the targets.
fn unread(flags: &Flags, targets: &[Target], error: &anyhow::Error, warnings: Vec<String>) -> Ends {
    let given = flags.lineage.as_ref().or(flags.cert.as_ref());
    let name = given.map_or_else(String::new, |path| path.display().to_string());
    let targets: Vec<Owned> = targets.iter().cloned().map(Owned::plain).collect();
    let lineage = Lineage { targets, ..Lineage::bare(name, Vec::new(), Origin::Given) };
    let mut end = CertificateEnd::new(&lineage, None, CertOutcome::Failed, "it cannot be used");
    end.error = Some(ErrorEnd::of(error, "source"));
    let why = "there is no certificate to deploy";
    let skipped = |owned| TargetEnd::new(&lineage.name, owned, TargetOutcome::Skipped, why);
    let targets = lineage.targets.iter().map(skipped).collect();
    Ends { certificates: vec![end], targets, warnings }
}

/// Where the Cert is, and the Cert.
async fn read(flags: &Flags) -> anyhow::Result<(PathBuf, Cert)> {
    let caller = look::caller();
    let source = match (&flags.lineage, &flags.cert, &flags.key) {
        (Some(folder), _, _) => Source::folder(folder),
        (None, Some(chain), Some(key)) => Source { path: chain.clone(), key: Some(key.clone()) },
        (None, _, _) => anyhow::bail!(
            "no certificate was named\nhelp: --lineage DIR, or --cert FILE --key FILE"
        ),
    };
    let cert = store::read_source(&source, caller).await?;
    Ok((source.path, cert))
}

fn lineage(place: &Path, cert: Cert, targets: Vec<Owned>, pins: Vec<Pin>) -> (Lineage, OnDisk) {
    let leaf = cert.leaf();
    let name = place
        .file_name()
        .map_or_else(|| leaf.fingerprint.short(), |name| name.to_string_lossy().into_owned());
    let lineage = Lineage { targets, ..Lineage::bare(name, leaf.names.clone(), Origin::Given) };
    let seen = pinned::seen(&cert, pins);
    (lineage, OnDisk { seen, cert: Some(cert), ..OnDisk::default() })
}
