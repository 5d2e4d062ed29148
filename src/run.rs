//! What a run has opened: config, store, accounts, trust, issuers.

mod cloud;
mod domains;
mod edge;
mod issuing;
mod kept;
mod renewal;
mod target;

use std::cell::{OnceCell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use jiff::SignedDuration;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::aliyun::{self, Account};
use crate::ari::Asker;
use crate::cert::{Fingerprint, Leaf};
use crate::challenge::Prover;
use crate::check::Roots;
use crate::config::{self, Config, Target, Trust};
use crate::ground::Ground;
use crate::http::Http;
use crate::issue::Issuer;
use crate::look::OnDisk;
use crate::plan::{CertOutcome, Lineage, Origin, Plan, Unusable, lives_on, renewal};
use crate::report::{CertificateEnd, ErrorEnd, Meanwhile, minute};
use crate::store::{Store, Wait};
use crate::{look, told, verify};

pub use domains::Domains;
pub use issuing::Issued;
pub use target::{Looked, OutOfStep, Reached, cloud_error, no_domain_of};

/// How a warning begins that is told once.
const NOT_REMEMBERED: &str = "not all of this run can be remembered";

/// A hook waits no longer for another run's locks: its caller waits too.
const HOOK_LOCK_WAIT: Duration = Duration::from_secs(20);

/// Each holds a lock file and a connection: far under the 1024 descriptors that a process may have by default. At ten
/// uploads a second it is enough for a cloud that answers after six.
const UPLOADS_SIDE_BY_SIDE: usize = 64;

/// A run.
pub struct Run {
    /// What is meant.
    pub config: Config,
    /// The folder; none where it cannot be used.
    pub store: Option<Store>,
    /// Which chains may reach the CDN.
    pub roots: Roots,
    /// Clock, environment, stop, progress.
    pub ground: Ground,
    /// A hook's end.
    pub deadline: Option<Instant>,
    /// How long until `renew` runs again, where that is known.
    pub tick: Option<SignedDuration>,
    /// What people should know at the end.
    pub warnings: RefCell<Vec<String>>,
    /// Where the pace of an AccessKey is shared with other runs.
    pace_folders: Vec<PathBuf>,
    http: Http,
    /// Clients that trust a CA's own root, by its file.
    acme_https: RefCell<BTreeMap<PathBuf, Http>>,
    /// By the directory of their CA.
    askers: RefCell<BTreeMap<String, Rc<Asker>>>,
    accounts: RefCell<BTreeMap<String, Account>>,
    prover: OnceCell<Rc<Prover>>,
    /// By the names of their CAs.
    issuers: RefCell<BTreeMap<String, Rc<Issuer>>>,
    issuing: Semaphore,
    uploading: Semaphore,
    edges: edge::Edges,
    looking_again: Semaphore,
    /// What targets served when they were last looked at.
    serving: RefCell<BTreeMap<Target, Meanwhile>>,
    /// The CDN domains of accounts, as far as they were asked for.
    listed: RefCell<BTreeMap<String, Domains>>,
    /// What some lineage has had, once somebody asked.
    fingerprints: OnceCell<BTreeSet<Fingerprint>>,
}

impl Run {
    /// Opens what the config names. `store` is opened by the caller: some commands may only read it.
    ///
    /// # Errors
    /// A trust file that cannot be read.
    pub fn new(config: Config, store: Option<Store>, ground: Ground) -> anyhow::Result<Self> {
        let roots = roots(&config.trust)?;
        Ok(Self { roots, ..Self::trusting_all(config, store, ground) })
    }

    /// The same without a look at `[trust]`, for whoever uploads nothing.
    #[must_use]
    pub fn trusting_all(config: Config, store: Option<Store>, ground: Ground) -> Self {
        let pace_folders = cloud::pace_folders(&ground.env, store.as_ref(), look::caller());
        Self {
            http: Http::new().at_most(config.timeout),
            config,
            store,
            roots: Roots::Any,
            ground,
            deadline: None,
            tick: None,
            warnings: RefCell::default(),
            pace_folders,
            acme_https: RefCell::default(),
            askers: RefCell::default(),
            accounts: RefCell::default(),
            prover: OnceCell::new(),
            issuers: RefCell::default(),
            issuing: Semaphore::new(config::ORDERS_UNDER_WAY),
            uploading: Semaphore::new(UPLOADS_SIDE_BY_SIDE),
            edges: edge::Edges::default(),
            looking_again: Semaphore::new(verify::SIDE_BY_SIDE),
            serving: RefCell::default(),
            listed: RefCell::default(),
            fingerprints: OnceCell::new(),
        }
    }

    /// The folder of the configuration: relative names of secrets begin there.
    #[must_use]
    pub fn base(&self) -> Option<&Path> {
        self.config.file.as_deref().and_then(Path::parent)
    }

    /// Tells people something at the end of the run, once.
    pub fn warn(&self, text: impl Into<String>) {
        let (text, mut warnings) = (text.into(), self.warnings.borrow_mut());
        if !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// What people should know at the end of the run, with what the accounts have to say.
    #[must_use]
    pub fn take_warnings(&self) -> Vec<String> {
        let accounts = self.accounts.borrow();
        let mut clock = None;
        for account in accounts.values() {
            account.remarks().into_iter().for_each(|remark| self.warn(remark));
            // It is one clock: accounts may see it a second apart.
            clock = clock.or_else(|| account.clock_remark());
        }
        clock.into_iter().for_each(|remark| self.warn(remark));
        self.warnings.take()
    }

    /// What is on disk of a lineage.
    pub async fn disk(&self, lineage: &Lineage) -> OnDisk {
        let mut disk = look::disk(lineage, &self.config, self.store.as_ref()).await;
        if let Some(warning) = disk.warning.take() {
            self.warn(warning);
        }
        disk.seen.tick = self.tick;
        disk
    }

    /// What is on disk of a lineage now, if it is another Cert than was looked at, or another pin.
    pub async fn newest(&self, lineage: &Lineage, disk: &OnDisk) -> Option<OnDisk> {
        if lineage.origin == Origin::Given {
            return None;
        }
        let mut newest = self.disk(lineage).await;
        // Files that cannot be read just now are no reason to drop the Cert in hand.
        if newest.cert.is_none() {
            newest.cert.clone_from(&disk.cert);
            newest.seen.leaf.clone_from(&disk.seen.leaf);
        }
        let fingerprint = |disk: &OnDisk| disk.seen.leaf.as_ref().map(|leaf| leaf.fingerprint);
        let (old, new) = (&disk.seen.memory.pins, newest.seen.memory.pins.clone());
        match fingerprint(&newest) == fingerprint(disk) {
            true if *old == new => return None,
            // Pinned or let go by another run, which has said so.
            true => self.remember(lineage, &new, &mut newest).await,
            false => self.remember(lineage, old, &mut newest).await,
        }
        Some(newest)
    }

    /// Waits for a place among the uploads.
    pub async fn upload_gate(&self) -> Option<SemaphorePermit<'_>> {
        self.uploading.acquire().await.ok()
    }

    /// The account of this name, opened at its first use.
    ///
    /// # Errors
    /// An account that the config does not name, or that cannot be opened.
    pub fn account(&self, name: &str) -> Result<Account, aliyun::Error> {
        if let Some(account) = self.accounts.borrow().get(name) {
            return Ok(account.clone());
        }
        let account = self.open_account(name)?;
        self.accounts.borrow_mut().insert(name.to_owned(), account.clone());
        Ok(account)
    }

    fn open_account(&self, name: &str) -> Result<Account, aliyun::Error> {
        let config = self.config.aliyun.get(name).ok_or_else(|| unknown_account(name))?;
        let pace = self.pace_folders.clone();
        let account =
            Account::open(name, config, self.base(), self.http.clone(), &self.ground, pace)?;
        Ok(self.recall(account).until(self.deadline))
    }

    /// How a lineage ends for which nothing is issued.
    #[must_use]
    pub fn kept(&self, lineage: &Lineage, disk: &OnDisk, plan: &Plan) -> CertificateEnd {
        let leaf = disk.seen.leaf.as_ref();
        let end = |outcome, reason: String| CertificateEnd::new(lineage, leaf, outcome, reason);
        if let Some(step) = plan.waits(&lineage.name) {
            let until = step.not_before.map_or_else(String::new, minute);
            let reason = format!("{}; not before {until}", step.reason);
            let waiting = end(CertOutcome::Waiting, reason);
            // Nobody should rely on one that was revoked, however long it lives.
            let is_relied_on = !disk.seen.is_revoked();
            let meanwhile = if is_relied_on { waiting.meanwhile } else { Meanwhile::Nothing };
            return CertificateEnd { meanwhile, ..waiting };
        }
        match (leaf, &disk.seen.unusable) {
            (None, Some(Unusable::Damaged(why) | Unusable::Unread(why))) => {
                let mut failed = end(CertOutcome::Failed, "its files cannot be used".to_owned());
                let why = format!("{why}{}", forgettable(lineage));
                failed.error = Some(ErrorEnd::of(&anyhow::anyhow!(why), "source"));
                failed
            }
            (Some(_), _) if matches!(lineage.origin, Origin::Issued(_)) => {
                let said = renewal(&disk.seen).map(|renewal| {
                    format!("renews from {}{}", minute(renewal.at), renewal.in_short())
                });
                end(CertOutcome::Kept, said.unwrap_or_default())
            }
            (Some(leaf), _) => self.of_another_client(lineage, leaf),
            (None, None) => end(CertOutcome::Kept, "issued by another client".to_owned()),
        }
    }

    /// Another client renews it; if that has stopped, nobody else might notice in time.
    fn of_another_client(&self, lineage: &Lineage, leaf: &Leaf) -> CertificateEnd {
        let now = self.ground.clock.now();
        let help = "see why its ACME client does not renew it (`certbot renew --dry-run`)";
        if leaf.not_after <= now {
            let mut end =
                CertificateEnd::new(lineage, Some(leaf), CertOutcome::Failed, "it has expired");
            let what = format!(
                "it expired at {} and has not been renewed\nhelp: {help}",
                minute(leaf.not_after)
            );
            end.error = Some(ErrorEnd::of(&anyhow::anyhow!(what), "Expired"));
            return end;
        }
        if !lives_on(leaf.not_before, leaf.not_after, now) {
            self.warn(format!(
                "{} ends at {} and has not been renewed yet\nhelp: {help}",
                lineage.name,
                minute(leaf.not_after)
            ));
        }
        CertificateEnd::new(lineage, Some(leaf), CertOutcome::Kept, "issued by another client")
    }

    /// How long a run waits for a lock.
    #[must_use]
    pub fn lock_wait(&self) -> Wait<'_> {
        let until = self.deadline.map(|deadline| (Instant::now() + HOOK_LOCK_WAIT).min(deadline));
        Wait { until, stop: &self.ground.stop, say: &self.ground.say }
    }

    /// Does something to the store, where waiting for the disk holds up nobody. What fails is told and stops nothing.
    pub async fn keep(&self, act: impl FnOnce(&Store) -> anyhow::Result<()> + Send + 'static) {
        if let Err(error) = self.try_keep(act).await {
            self.warn_of_store(&error);
        }
    }

    /// As [`Run::keep`], and the caller tells.
    async fn try_keep(
        &self,
        act: impl FnOnce(&Store) -> anyhow::Result<()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let Some(store) = self.store.clone().filter(|_| !self.is_forgetful()) else {
            return Ok(());
        };
        tokio::task::spawn_blocking(move || act(&store)).await?
    }

    /// A store that could not be written to is let alone for the rest of the run: waiting for it once is enough.
    fn is_forgetful(&self) -> bool {
        self.warnings.borrow().iter().any(|warning| warning.starts_with(NOT_REMEMBERED))
    }

    /// A store that cannot be written to is told once: it is the same for every target.
    fn warn_of_store(&self, error: &anyhow::Error) {
        if !self.is_forgetful() {
            self.warn(format!("{NOT_REMEMBERED}: {}", told::text(error)));
        }
    }
}

/// The folder of a run without a configured one. Root has one place, whoever calls: a hook's claim must be where the
/// timer looks for it.
#[must_use]
pub fn default_store(ground: &Ground) -> PathBuf {
    if look::caller() == 0 {
        return PathBuf::from("/var/lib/certferry");
    }
    let home = || ground.env.var("HOME").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let of_user = || {
        ground.env.var("XDG_STATE_HOME").map_or_else(|| home().join(".local/state"), PathBuf::from)
    };
    let of_unit = ground.env.var("STATE_DIRECTORY").and_then(|list| list.split(':').next());
    of_unit.map_or_else(|| of_user().join("certferry"), PathBuf::from)
}

fn roots(trust: &Trust) -> anyhow::Result<Roots> {
    match trust {
        Trust::Any => Ok(Roots::Any),
        Trust::Public => Ok(Roots::public()),
        Trust::File(path) => Ok(Roots::read(&read_roots(path, "[trust] roots")?)?),
        Trust::System => system_roots(),
    }
}

/// The system's whole list is a quarter of this.
const MOST_ROOTS: u64 = 4 * 1024 * 1024;

fn read_roots(file: &Path, said_by: &str) -> anyhow::Result<Vec<u8>> {
    read_at_most(file, MOST_ROOTS).with_context(|| {
        format!(
            "{said_by} cannot be read: {}\nhelp: name a PEM file that certferry may read",
            file.display()
        )
    })
}

/// A regular file, if it is not larger than `most` bytes.
///
/// # Errors
/// It cannot be read, is no regular file, or is larger.
pub fn read_at_most(file: &Path, most: u64) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let facts = std::fs::metadata(file)?;
    anyhow::ensure!(facts.is_file(), "it is no regular file");
    let mut bytes = Vec::new();
    std::fs::File::open(file)?.take(most + 1).read_to_end(&mut bytes)?;
    anyhow::ensure!(u64::try_from(bytes.len())? <= most, "it is larger than {most} bytes");
    Ok(bytes)
}

fn system_roots() -> anyhow::Result<Roots> {
    let found = rustls_native_certs::load_native_certs();
    let pem: String = found
        .certs
        .iter()
        .map(|der| pem::encode(&pem::Pem::new("CERTIFICATE", der.to_vec())))
        .collect();
    Roots::read(pem.as_bytes()).context(
        "the system has no roots\nhelp: install ca-certificates, or say [trust] roots = \"public\"",
    )
}

/// A claim outlives the files that its client has deleted.
fn forgettable(lineage: &Lineage) -> String {
    match lineage.origin {
        Origin::Claimed { .. } => {
            format!("\nhelp: if they are gone for good: certferry forget '{}'", lineage.name)
        }
        Origin::Issued(_) | Origin::Source(_) | Origin::Given => String::new(),
    }
}

fn unknown_account(name: &str) -> aliyun::Error {
    aliyun::Error {
        kind: aliyun::Kind::Config,
        code: "UnknownAccount".to_owned(),
        message: format!("the configuration has no [aliyun.{name}]"),
        help: format!("add [aliyun.{name}] to the configuration, or name another account"),
        request_id: None,
        attempts: 0,
    }
}

#[cfg(test)]
mod tests;
