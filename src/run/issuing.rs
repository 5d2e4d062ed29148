//! Issuing in a run: the lineage's lock, its CAs one after the other, and how it ended.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use anyhow::{Context, anyhow};

use super::Run;
use crate::aliyun::Account;
use crate::challenge::{Prover, on_disk};
use crate::config::{Acme, Certificate, Provider};
use crate::dns::Accesses;
use crate::issue::{Failure, Issuer, Side};
use crate::journal::{LineageMemory, Turn};
use crate::look::OnDisk;
use crate::plan::{CertOutcome, Lineage, LineageSeen, Origin};
use crate::report::{CertificateEnd, ErrorEnd, minute};
use crate::store::{Lock, LockError};
use crate::told;

/// A lineage got a new Cert.
#[derive(Debug)]
pub struct Issued {
    /// Which CA it is by, and why, where the plan did not foresee it.
    pub by: Option<String>,
}

/// A certificate's first CA has failed: who they are, and what was remembered before.
struct Handover<'a> {
    certificate: &'a Certificate,
    first: &'a Acme,
    seen: &'a LineageSeen,
}

impl Run {
    /// Takes away the TXT values that killed runs left, but for those of orders that will be carried on.
    pub async fn repair(&self, lineages: &[Lineage]) {
        let issued = lineages.iter().filter(|lineage| matches!(lineage.origin, Origin::Issued(_)));
        let names: BTreeSet<&str> = issued.map(|lineage| lineage.name.as_str()).collect();
        let repaired = match self.prover() {
            Ok(prover) => prover.repair(&names).await,
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
        let store =
            self.store.as_ref().ok_or_else(|| anyhow!("there is no store to issue into"))?;
        store.lock_lineage(&lineage.name, self.lock_wait()).await.map_err(|error| match error {
            LockError::Io(error) => Failure::free(error),
            LockError::Held { by } => Failure::free(anyhow!("another run is issuing it ({by})")),
            LockError::Stopped => Failure { stopped: true, ..Failure::free(anyhow!("stopped")) },
        })
    }

    /// Issues a lineage at the CAs whose `turns` it is, the next where the one before failed by its own fault; the caller
    /// holds its lock.
    ///
    /// # Errors
    /// The issuers'.
    pub async fn issue(
        &self,
        lineage: &Lineage,
        seen: &LineageSeen,
        turns: &[Turn],
    ) -> Result<Issued, Failure> {
        let Origin::Issued(place) = lineage.origin else {
            return Err(Failure::free(anyhow!("{} is issued by another client", lineage.name)));
        };
        let _permit = self.issuing.acquire().await;
        if self.ground.stop.is_cancelled() {
            return Err(Failure { stopped: true, ..Failure::free(anyhow!("stopped")) });
        }
        self.ground.say.line(format!("{}: obtaining a certificate", lineage.name));
        let certificate = &self.config.certificates[place];
        let first = self.config.ca(certificate);
        let handover = Handover { certificate, first, seen };
        let failure = match turns {
            [Turn::Fallback] => return self.issue_by_fallback(&handover, None).await,
            _ => match self.issue_at(first, certificate, Turn::First).await {
                Ok(()) => return Ok(Issued { by: None }),
                Err(failure) => failure,
            },
        };
        match self.config.fallback(certificate) {
            Some(_) if !self.hands_over(&handover, &failure).await => Err(failure),
            Some(fallback) if !turns.contains(&Turn::Fallback) => {
                Err(not_taken(failure, fallback, seen))
            }
            Some(_) => self.issue_by_fallback(&handover, Some(failure)).await,
            None => Err(failure),
        }
    }

    /// The CA that stands in. `failure` is the first one's in this run; none: the first one waits.
    async fn issue_by_fallback(
        &self,
        handover: &Handover<'_>,
        failure: Option<Failure>,
    ) -> Result<Issued, Failure> {
        let Handover { certificate, first, .. } = handover;
        let fallback = self.config.fallback(certificate).context("there is no fallback CA")?;
        let (first, second) = (first.section(), fallback.section());
        let Some(failure) = failure else {
            self.ground.say.line(format!("{}: trying the fallback {second}", certificate.name));
            let issued = self.issue_at(fallback, certificate, Turn::Fallback).await;
            return issued.map(|()| Issued { by: None }).map_err(|failure| Failure {
                error: failure.error.context(format!("the fallback {second} failed")),
                ..failure
            });
        };
        let (what, help) = told::parts(&failure.error);
        let name = &certificate.name;
        self.ground.say.line(format!("{name}: the CA of {first} failed: {what}; trying {second}"));
        match self.issue_at(fallback, certificate, Turn::Fallback).await {
            Ok(()) => {
                let by = format!("by the fallback {second}, since {first} failed: {what}");
                self.warn(format!("{name}: the CA of {first} failed: {what}\nhelp: {help}"));
                Ok(Issued { by: Some(by) })
            }
            Err(stopped) if stopped.stopped => Err(stopped),
            Err(too) => Err(Failure { error: both(&failure, &too, &first, &second), ..too }),
        }
    }

    async fn issue_at(
        &self,
        acme: &Acme,
        certificate: &Certificate,
        turn: Turn,
    ) -> Result<(), Failure> {
        let cert = self.issuer(acme)?.issue(certificate, turn).await?;
        self.tell_chain(acme, &certificate.name, &cert);
        Ok(())
    }

    /// Does the fallback's turn come after this failure of the first?
    async fn hands_over(&self, handover: &Handover<'_>, failure: &Failure) -> bool {
        let (Some(store), name) = (&self.store, handover.certificate.name.clone()) else {
            return false;
        };
        // What the first CA has left behind decides; a journal that cannot be read is our own failure.
        let memory = on_disk(store, move |store| store.lineage(&name)).await;
        memory.is_ok_and(|now| hands_over(handover, failure, &now))
    }

    /// How a lineage ends that got a new Cert.
    #[must_use]
    pub fn issued(
        &self,
        lineage: &Lineage,
        disk: &OnDisk,
        why: &str,
        issued: &Issued,
    ) -> CertificateEnd {
        let by = issued.by.as_ref().map_or_else(String::new, |by| format!("; {by}"));
        let leaf = disk.seen.leaf.as_ref();
        CertificateEnd::new(lineage, leaf, CertOutcome::Issued, format!("{why}{by}"))
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
            let why = "stopped; the next run goes on";
            return CertificateEnd::new(lineage, leaf, CertOutcome::Waiting, why);
        }
        let mut end =
            CertificateEnd::new(lineage, leaf, CertOutcome::Failed, "it could not be issued");
        end.error = Some(ErrorEnd::of(&failure.error, "acme"));
        end
    }

    /// Opened by the first who issues at this CA.
    ///
    /// # Errors
    /// There is no store; the CA's root cannot be read.
    pub fn issuer(&self, acme: &Acme) -> anyhow::Result<Rc<Issuer>> {
        if let Some(issuer) = self.issuers.borrow().get(&acme.name) {
            return Ok(Rc::clone(issuer));
        }
        let prover = self.prover()?;
        let store = self.store.clone().context("there is no store to issue into")?;
        let http = self.acme_http(acme)?;
        let issuer = Issuer::new(&self.config, acme, http, prover, store, self.ground.clone());
        let issuer = Rc::new(issuer);
        self.issuers.borrow_mut().insert(acme.name.clone(), Rc::clone(&issuer));
        Ok(issuer)
    }

    /// One for all CAs: what stands in the DNS is no CA's own.
    fn prover(&self) -> anyhow::Result<Rc<Prover>> {
        let store = self.store.clone().context("there is no store to issue into")?;
        let open = || {
            let accesses = Accesses::new(&self.config, self.dns_accounts(), &self.ground);
            Rc::new(Prover::new(accesses, store, self.ground.clone()))
        };
        Ok(Rc::clone(self.prover.get_or_init(open)))
    }

    /// The accounts of the DNS accesses. One that cannot be opened says so when it is used.
    fn dns_accounts(&self) -> BTreeMap<String, Account> {
        let names = self.config.dns.values().filter_map(|dns| match &dns.provider {
            Provider::Alidns { aliyun } => Some(aliyun.clone()),
            Provider::Rfc2136 { .. }
            | Provider::Exec { .. }
            | Provider::AcmeDns { .. }
            | Provider::Webhook { .. }
            | Provider::Library(_) => None,
        });
        names.filter_map(|name| Some((name.clone(), self.account(&name).ok()?))).collect()
    }
}

/// The fallback's turn comes where the failure is the CA's, and no order would be abandoned for a hiccup: one that is under
/// way at the first CA gets a second run.
fn hands_over(handover: &Handover<'_>, failure: &Failure, now: &LineageMemory) -> bool {
    let Handover { first, seen, .. } = handover;
    if failure.stopped || failure.side == Side::Ours {
        return false;
    }
    let is_under_way = now.order.as_ref().is_some_and(|order| order.directory == first.directory);
    let before = seen.memory.failed_since(Turn::First);
    !is_under_way || before.is_some_and(|failed| failed.asked == seen.asked)
}

/// The first one failed, and the other waits.
fn not_taken(failure: Failure, fallback: &Acme, seen: &LineageSeen) -> Failure {
    let Some(waits) = seen.memory.failures_at(Turn::Fallback) else { return failure };
    let until = minute(waits.not_before);
    let (what, help) = told::parts(&failure.error);
    let section = fallback.section();
    let error = anyhow!(
        "{what}; the fallback {section} is not asked before {until}: {}\nhelp: {help}",
        waits.error
    );
    Failure { error, ..failure }
}

/// One error that names both.
fn both(first: &Failure, second: &Failure, of_first: &str, of_second: &str) -> anyhow::Error {
    let ((what, help), (too, help_too)) = (told::parts(&first.error), told::parts(&second.error));
    let help = if help == help_too { help } else { format!("{help}; {of_second}: {help_too}") };
    anyhow!(
        "the CA of {of_first} failed: {what}; the fallback {of_second} failed too: {too}\nhelp: {help}"
    )
}
