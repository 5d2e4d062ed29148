//! What a run has opened: config, store, accounts, trust, issuer.

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
use crate::cert::{Cert, Leaf};
use crate::challenge::Prover;
use crate::check::Roots;
use crate::config::{Config, Provider, Target, Trust};
use crate::dns::Accesses;
use crate::ground::Ground;
use crate::http::Http;
use crate::issue::{Failure, Issuer};
use crate::look::OnDisk;
use crate::plan::{CertOutcome, Lineage, Origin, Owned, Plan, Unusable, lives_on, renewal};
use crate::report::{CertificateEnd, ErrorEnd, Meanwhile, minute};
use crate::store::{Lock, LockError, Store, Wait};
use crate::{look, told};

pub use target::{Looked, OutOfStep, Reached, no_domain_of};

/// How a warning begins that is told once.
const NOT_REMEMBERED: &str = "not all of this run can be remembered";

/// A hook waits no longer for another run's locks: its caller waits too.
const HOOK_LOCK_WAIT: Duration = Duration::from_secs(20);

/// Enough that slow DNS of one does not hold back the others, few enough for a CA's limits.
const ORDERS_SIDE_BY_SIDE: usize = 8;

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
    http: Http,
    /// Clients that trust a CA's own root, by its file.
    acme_https: RefCell<BTreeMap<PathBuf, Http>>,
    /// By the directory of their CA.
    askers: RefCell<BTreeMap<String, Rc<Asker>>>,
    accounts: RefCell<BTreeMap<String, Account>>,
    issuer: OnceCell<Issuer>,
    issuing: Semaphore,
    uploading: Semaphore,
    /// What targets served when they were last looked at.
    serving: RefCell<BTreeMap<Target, Meanwhile>>,
}

impl Run {
    /// Opens what the config names. `store` is opened by the caller: some commands may only read it.
    ///
    /// # Errors
    /// A trust file that cannot be read.
    pub fn new(config: Config, store: Option<Store>, ground: Ground) -> anyhow::Result<Self> {
        let roots = roots(&config.trust)?;
        Ok(Self {
            config,
            store,
            roots,
            ground,
            deadline: None,
            tick: None,
            warnings: RefCell::default(),
            http: Http::new(),
            acme_https: RefCell::default(),
            askers: RefCell::default(),
            accounts: RefCell::default(),
            issuer: OnceCell::new(),
            issuing: Semaphore::new(ORDERS_SIDE_BY_SIDE),
            uploading: Semaphore::new(UPLOADS_SIDE_BY_SIDE),
            serving: RefCell::default(),
        })
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

    /// What is on disk of a lineage.
    pub async fn disk(&self, lineage: &Lineage) -> OnDisk {
        let mut disk = look::disk(lineage, &self.config, self.store.as_ref()).await;
        if let Some(warning) = disk.warning.take() {
            self.warn(warning);
        }
        disk.seen.tick = self.tick;
        disk
    }

    /// What is on disk of a lineage now, if it is another Cert than was looked at.
    pub async fn newest(&self, lineage: &Lineage, disk: &OnDisk) -> Option<OnDisk> {
        if lineage.origin == Origin::Given {
            return None;
        }
        let mut newest = self.disk(lineage).await;
        let fingerprint = |disk: &OnDisk| disk.seen.leaf.as_ref().map(|leaf| leaf.fingerprint);
        // Files that cannot be read just now are no reason to drop the Cert in hand.
        if newest.cert.is_none() || fingerprint(&newest) == fingerprint(disk) {
            return None;
        }
        self.remember_succession(lineage, &mut newest).await;
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
        let locks = self.store.as_ref().and_then(Store::locks_folder);
        let account =
            Account::open(name, config, self.base(), self.http.clone(), &self.ground, locks)?;
        Ok(account.until(self.deadline))
    }

    /// Takes away the TXT values that killed runs left, but for those of orders that will be carried on.
    pub async fn repair(&self, lineages: &[Lineage]) {
        let issued = lineages.iter().filter(|lineage| matches!(lineage.origin, Origin::Issued(_)));
        let names: BTreeSet<&str> = issued.map(|lineage| lineage.name.as_str()).collect();
        let repaired = match self.issuer() {
            Ok(issuer) => issuer.repair(&names).await,
            Err(error) => Err(error),
        };
        match repaired {
            Ok(left) => left.into_iter().for_each(|line| self.warn(line)),
            Err(error) => {
                self.warn(format!("records of an earlier run cannot be taken away: {error:#}"))
            }
        }
    }

    /// The lock of a lineage, for issuing.
    ///
    /// # Errors
    /// Why it could not be had.
    pub async fn lock_lineage(&self, lineage: &Lineage) -> Result<Lock, Failure> {
        let store = self
            .store
            .as_ref()
            .ok_or_else(|| anyhow::anyhow!("there is no store to issue into"))?;
        store.lock_lineage(&lineage.name, self.lock_wait()).await.map_err(|error| match error {
            LockError::Io(error) => Failure::free(error),
            LockError::Held { by } => {
                Failure::free(anyhow::anyhow!("another run is issuing it ({by})"))
            }
            LockError::Stopped => {
                Failure { stopped: true, ..Failure::free(anyhow::anyhow!("stopped")) }
            }
        })
    }

    /// Issues a lineage; the caller holds its lock.
    ///
    /// # Errors
    /// The issuer's.
    pub async fn issue(&self, lineage: &Lineage) -> Result<Cert, Failure> {
        let Origin::Issued(place) = lineage.origin else {
            return Err(Failure::free(anyhow::anyhow!(
                "{} is issued by another client",
                lineage.name
            )));
        };
        let _permit = self.issuing.acquire().await;
        if self.ground.stop.is_cancelled() {
            return Err(Failure { stopped: true, ..Failure::free(anyhow::anyhow!("stopped")) });
        }
        self.ground.say.line(format!("{}: obtaining a certificate", lineage.name));
        let cert = self.issuer()?.issue(&self.config.certificates[place]).await?;
        self.tell_chain(&self.config.acme, &lineage.name, &cert);
        Ok(cert)
    }

    /// How a lineage ends that was due and got no certificate.
    #[must_use]
    pub fn not_issued(
        &self,
        lineage: &Lineage,
        disk: &OnDisk,
        failure: &Failure,
    ) -> CertificateEnd {
        let leaf = disk.seen.leaf.as_ref();
        if failure.stopped {
            return CertificateEnd::new(
                lineage,
                leaf,
                CertOutcome::Waiting,
                "stopped; the next run goes on",
            );
        }
        let mut end =
            CertificateEnd::new(lineage, leaf, CertOutcome::Failed, "it could not be issued");
        end.error = Some(ErrorEnd::of(&failure.error, "acme"));
        end
    }

    /// Opened by the first who issues.
    fn issuer(&self) -> anyhow::Result<&Issuer> {
        if let Some(issuer) = self.issuer.get() {
            return Ok(issuer);
        }
        let store = self.store.clone().context("there is no store to issue into")?;
        let http = self.acme_http(&self.config.acme)?;
        let accesses = Accesses::new(&self.config, self.dns_accounts(), &self.ground);
        let prover = Prover::new(accesses, store.clone(), self.ground.clone());
        let issuer = Issuer::new(&self.config, http, prover, store, self.ground.clone());
        Ok(self.issuer.get_or_init(|| issuer))
    }

    /// The accounts of the DNS accesses. One that cannot be opened says so when it is used.
    fn dns_accounts(&self) -> BTreeMap<String, Account> {
        let names = self.config.dns.values().filter_map(|dns| match &dns.provider {
            Provider::Alidns { aliyun } => Some(aliyun.clone()),
            Provider::Rfc2136 { .. } | Provider::Exec { .. } => None,
        });
        names.filter_map(|name| Some((name.clone(), self.account(&name).ok()?))).collect()
    }

    /// How a lineage ends for which nothing is issued.
    #[must_use]
    pub fn kept(&self, lineage: &Lineage, disk: &OnDisk, plan: &Plan) -> CertificateEnd {
        let leaf = disk.seen.leaf.as_ref();
        let end = |outcome, reason: String| CertificateEnd::new(lineage, leaf, outcome, reason);
        if let Some(step) = plan.waits(&lineage.name) {
            let until = step.not_before.map_or_else(String::new, minute);
            return end(CertOutcome::Waiting, format!("{}; not before {until}", step.reason));
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

    /// The succession grows by a leaf that was never seen.
    pub async fn remember_succession(&self, lineage: &Lineage, disk: &mut OnDisk) {
        let Some(fingerprint) = disk.seen.leaf.as_ref().map(|leaf| leaf.fingerprint) else {
            return;
        };
        if disk.seen.memory.succession.contains(&fingerprint) {
            return;
        }
        disk.seen.memory.succession.push(fingerprint);
        let name = lineage.memory();
        self.keep(move |store| {
            store.update_lineage(&name, |memory| {
                if !memory.succession.contains(&fingerprint) {
                    memory.succession.push(fingerprint);
                }
            })
        })
        .await;
    }

    /// Old versions go, but for those that a target took.
    pub async fn prune(&self, lineage: &Lineage) {
        let taken = |owned: &Owned| {
            let memory = self.store.as_ref()?.target(&owned.target).ok()?;
            memory.taken.map(|taken| taken.fingerprint)
        };
        let needed: Vec<_> = lineage.targets.iter().filter_map(taken).collect();
        let Some(store) = &self.store else { return };
        // Another run may be at work in the lineage's versions; it prunes when it is done.
        let at_once = Wait { until: Some(Instant::now()), ..self.lock_wait() };
        let Ok(_lock) = store.lock_lineage(&lineage.name, at_once).await else { return };
        let (name, keep) = (lineage.name.clone(), self.config.store.keep_versions);
        self.keep(move |store| store.prune(&name, keep, &needed)).await;
    }

    /// How long a run waits for a lock.
    #[must_use]
    pub fn lock_wait(&self) -> Wait<'_> {
        let until = self.deadline.map(|deadline| (Instant::now() + HOOK_LOCK_WAIT).min(deadline));
        Wait { until, stop: &self.ground.stop, say: &self.ground.say }
    }

    /// Does something to the store, where waiting for the disk holds up nobody. What fails is told and stops nothing.
    pub async fn keep(&self, act: impl FnOnce(&Store) -> anyhow::Result<()> + Send + 'static) {
        let Some(store) = self.store.clone().filter(|_| !self.is_forgetful()) else { return };
        let kept = match tokio::task::spawn_blocking(move || act(&store)).await {
            Ok(kept) => kept,
            Err(error) => Err(error.into()),
        };
        if let Err(error) = kept {
            self.warn_of_store(&error);
        }
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
