//! The small acts of a run on one target: look, lock, upload, prove; each ends in a line of the report.

use std::time::Duration;

use tokio::time::Instant;

use super::Run;
use crate::aliyun::{self, Accepted, Account, Effort};
use crate::cert::{Cert, Leaf};
use crate::config::{Target, Verify};
use crate::journal::Pin;
use crate::look::{AtTarget, OnDisk};
use crate::plan::{
    Asked, Lineage, NOT_COVERED, Owned, Proof, Served, Standing, TargetOutcome, TargetSeen, Wanted,
    before, standing_of,
};
use crate::report::{ErrorEnd, Meanwhile, Replaced, TargetEnd, minute};
use crate::store::{Lock, LockError};
use crate::verify::{PATIENCE, Verdict};
use crate::{deploy, look, verify};

/// What a look at a target said.
#[derive(Debug)]
pub enum Looked {
    /// Nothing is to be done, or nothing can be.
    Settled(Box<TargetEnd>),
    /// It must be deployed.
    OutOfStep(Box<OutOfStep>),
}

/// How far the walk to a target came.
pub enum Reached {
    /// To its end.
    Ended(Box<TargetEnd>),
    /// The cloud has accepted the upload: it is to be proved.
    Deployed(Box<OutOfStep>, Box<TargetEnd>),
}

/// A target that must be deployed: what it serves now, and why.
#[derive(Debug)]
pub struct OutOfStep {
    /// The account of it.
    pub account: Account,
    /// What it must serve.
    pub cert: Cert,
    /// What it serves now.
    pub seen: TargetSeen,
    /// Why.
    pub reason: String,
    /// A pin says so.
    pub pinned: bool,
}

impl Run {
    /// Looks at a target and says whether it must be deployed.
    pub async fn look(
        &self,
        lineage: &Lineage,
        owned: &Owned,
        (cert, pin): (&Cert, Option<&Pin>),
        disk: &OnDisk,
        asked: &Asked,
    ) -> Looked {
        let settled = |mut end: TargetEnd| {
            end.pinned = pin.is_some();
            Looked::Settled(Box::new(end))
        };
        let account = match self.account(&owned.target.aliyun) {
            Ok(account) => account,
            Err(error) => return settled(self.failed(lineage, owned, &error).await),
        };
        let mut at = look::target(&account, &owned.target, self.store.as_ref()).await;
        if let Some(error) = at.decisive() {
            return settled(self.failed(lineage, owned, error).await);
        }
        at.seen.ours = self.ours(owned, &at);
        if let Some(warning) = at.warning.take() {
            self.warn(warning);
        }
        if let Some(error) =
            at.error.as_ref().filter(|error| error.kind == aliyun::Kind::Permission)
        {
            self.warn_of_blindness(owned, error);
        }
        let wanted = Wanted { leaf: cert.leaf(), pin };
        self.serving.borrow_mut().insert(owned.target.clone(), meanwhile(&at.seen.served));
        let now = self.ground.clock.now();
        let memory = &disk.seen.memory;
        let standing = standing_of(lineage, owned, &wanted, memory, &at.seen, asked, now);
        match self.settle(lineage, owned, wanted.leaf, &at, standing).await {
            Ok(end) => settled(end),
            Err(reason) => {
                let (cert, seen, pinned) = (cert.clone(), at.seen, pin.is_some());
                Looked::OutOfStep(Box::new(OutOfStep { account, cert, seen, reason, pinned }))
            }
        }
    }

    /// The end of a target on which nothing is put.
    ///
    /// # Errors
    /// Why something must be.
    async fn settle(
        &self,
        lineage: &Lineage,
        owned: &Owned,
        leaf: &Leaf,
        at: &AtTarget,
        standing: Standing,
    ) -> Result<TargetEnd, String> {
        let seen = &at.seen;
        let skipped = |why| TargetEnd::new(&lineage.name, owned, TargetOutcome::Skipped, why);
        Ok(match standing {
            Standing::OutOfStep(reason) => return Err(reason),
            Standing::InStep(proof) => {
                let end = self.in_step(lineage, owned, seen, proof).await;
                self.at_edge(owned, seen, leaf, end).await
            }
            Standing::Lagging { until } => {
                let from = minute(until);
                let why = format!("accepted, not shown yet; from {from} on it is uploaded again");
                self.at_edge(owned, seen, leaf, lagging(lineage, owned, seen, &why)).await
            }
            Standing::Newer(newer) => skipped(format!(
                "it serves a newer certificate of this lineage ({})",
                newer.short()
            )),
            Standing::Foreign(why) => skipped(why),
            Standing::NotCovered => skipped(NOT_COVERED.to_owned()),
            Standing::Unseen { why, remedy } => match &at.error {
                Some(error) => self.unseen(lineage, owned, error, &why, &remedy).await,
                None => skipped(format!("{why}; to replace it, {remedy}")),
            },
        })
    }

    /// The lock of a target; none without a store. Waiting has an end in a hook.
    ///
    /// # Errors
    /// Why it could not be had, for people.
    pub async fn lock_target(&self, target: &Target) -> Result<Option<Lock>, String> {
        let Some(store) = &self.store else { return Ok(None) };
        match store.lock_target(target, self.lock_wait()).await {
            Ok(lock) => Ok(Some(lock)),
            Err(LockError::Held { by }) => Err(format!("another run holds it ({by})")),
            Err(LockError::Stopped) => Err("stopped; the next run goes on".to_owned()),
            Err(LockError::Io(error)) => {
                // An unwritable store never stops an upload; doing it twice is doing it once.
                self.warn_of_store(&error);
                Ok(None)
            }
        }
    }

    /// Uploads, and remembers it. While the cloud configures the domain, `effort` rests: then the end is not the last.
    ///
    /// # Errors
    /// The end of a target that did not take it.
    pub async fn deploy(
        &self,
        lineage: &Lineage,
        owned: &Owned,
        out: &OutOfStep,
        effort: &mut Effort,
    ) -> Result<TargetEnd, Box<TargetEnd>> {
        let was_superseded = out.account.is_superseded();
        let accepted = match deploy::deploy(&out.account, &out.cert, owned, effort).await {
            Ok(accepted) => accepted,
            Err(error) if effort.rests() => {
                return Err(Box::new(self.waiting(lineage, owned, &error.code)));
            }
            Err(error) => return Err(Box::new(self.failed(lineage, owned, &error).await)),
        };
        self.learn(&out.account, was_superseded).await;
        self.remember_taken(owned, &accepted, &out.cert, &out.seen.served).await;
        let mut end = match &accepted.not_live {
            None => {
                TargetEnd::new(&lineage.name, owned, TargetOutcome::Deployed, out.reason.as_str())
            }
            Some(_) => lagging(lineage, owned, &out.seen, "stored by the cloud, not in effect yet"),
        };
        end.request_id = Some(accepted.request_id).filter(|id| !id.is_empty());
        end.attempts = accepted.attempts;
        end.cert_name = Some(accepted.cert_name);
        if let Some(error) = &accepted.not_live {
            end.error = Some(cloud_error(error));
            return Err(Box::new(end));
        }
        end.replaced = replaced(&out.seen.served);
        end.meanwhile = meanwhile(&out.seen.served);
        Ok(end)
    }

    /// Waits between two rounds of an upload, with neither gate nor lock.
    pub async fn rest(&self, owned: &Owned, effort: &Effort, rest: Duration) {
        if effort.attempts() == 1 {
            let domain = &owned.target.domain.written;
            self.ground.say.line(format!("{domain}: the cloud is configuring it; waiting"));
        }
        tokio::time::sleep(rest).await;
    }

    /// Proves an upload.
    pub async fn verify(&self, owned: &Owned, out: &OutOfStep, mut end: TargetEnd) -> TargetEnd {
        end.proof = Some(Proof::Accepted);
        if owned.verify == Verify::None {
            return end;
        }
        let patience = Instant::now() + PATIENCE;
        let until = self.deadline.map_or(patience, |deadline| patience.min(deadline));
        let wanted = out.cert.leaf().fingerprint;
        let gate = &self.looking_again;
        let readback = verify::readback(gate, &out.account, &owned.target, wanted, until);
        let verdict = tokio::select! {
            biased;
            () = self.ground.stop.cancelled() => Verdict::NotYet(out.seen.served.clone()),
            verdict = readback => verdict,
        };
        match verdict {
            Verdict::Proved => {
                end.proof = Some(Proof::Readback);
                self.remember_shown(&owned.target).await;
            }
            Verdict::Blind(error) => {
                end.reason = format!("{}; it cannot be read back: {}", end.reason, error.code);
            }
            // Not known what it serves, but known to have been accepted: that is in step.
            Verdict::NotYet(Served::Unknown(why)) => {
                end.reason = format!("{}; it cannot be read back: {why}", end.reason);
            }
            Verdict::NotYet(Served::Leaf(_) | Served::Off) => {
                end.outcome = TargetOutcome::Waiting;
                end.reason = "accepted, not shown yet; the next run looks again".to_owned();
            }
        }
        match &owned.verify {
            Verify::Edge(at) => self.prove_at_edge(at, owned, out, end).await,
            Verify::Readback | Verify::None => end,
        }
    }

    /// A target that is in step by all else, as its edge shows it, where the edge is to be asked.
    async fn at_edge(
        &self,
        owned: &Owned,
        seen: &TargetSeen,
        leaf: &Leaf,
        end: TargetEnd,
    ) -> TargetEnd {
        match &owned.verify {
            Verify::Edge(at) => self.watch_edge(at, owned, seen, leaf, end).await,
            Verify::Readback | Verify::None => end,
        }
    }

    /// Said once for an account: it is the same for all its CDN domains.
    fn warn_of_blindness(&self, owned: &Owned, error: &aliyun::Error) {
        if owned.verify == Verify::None {
            return;
        }
        self.warn(format!(
            "account `{}`: what its CDN domains serve may not be read back [{}]; what the cloud accepted must do\n\
             help: grant `cdn:DescribeDomainCertificateInfo` on them to the RAM user, or write `verify = \"none\"`",
            owned.target.aliyun, error.code
        ));
    }

    /// Ends the walk to a target at the run's deadline, or when it is told to stop.
    pub async fn in_time(
        &self,
        lineage: &Lineage,
        owned: &Owned,
        walk: impl Future<Output = Reached>,
    ) -> Reached {
        let waiting = |why| Reached::Ended(Box::new(self.waiting(lineage, owned, why)));
        tokio::select! {
            biased;
            () = self.ground.stop.cancelled() => waiting("stopped; the next run goes on"),
            () = over(self.deadline) => waiting("not done in time; left to `certferry renew`"),
            reached = walk => reached,
        }
    }

    /// The end of a target that must wait; what it served when it was last looked at holds until then.
    #[must_use]
    pub fn waiting(&self, lineage: &Lineage, owned: &Owned, why: &str) -> TargetEnd {
        let mut end = TargetEnd::new(&lineage.name, owned, TargetOutcome::Waiting, why);
        end.meanwhile = self.serving.borrow().get(&owned.target).copied().unwrap_or_default();
        end
    }

    async fn in_step(
        &self,
        lineage: &Lineage,
        owned: &Owned,
        seen: &TargetSeen,
        proof: Proof,
    ) -> TargetEnd {
        let is_news = seen.memory.taken.as_ref().is_some_and(|taken| !taken.shown);
        // What was wrong at the edge is over when the edge shows it.
        let is_over = seen.memory.last_error.is_some() && !matches!(owned.verify, Verify::Edge(_));
        if proof == Proof::Readback && (is_news || is_over) {
            self.remember_shown(&owned.target).await;
        }
        let mut end = TargetEnd::new(
            &lineage.name,
            owned,
            TargetOutcome::Unchanged,
            "it serves this certificate",
        );
        end.proof = Some(proof);
        end.cert_name = seen.memory.taken.as_ref().map(|taken| taken.cert_name.clone());
        end
    }

    /// The end of a discovered target of which nobody can tell whose certificate it serves.
    async fn unseen(
        &self,
        lineage: &Lineage,
        owned: &Owned,
        error: &aliyun::Error,
        why: &str,
        remedy: &str,
    ) -> TargetEnd {
        let message = format!("{why}: {}", error.message);
        let help = format!("{}; or {remedy}", error.help);
        let mut end = self.failed(lineage, owned, error).await;
        end.error = end.error.map(|told| ErrorEnd { message, help, ..told });
        end
    }

    /// The end of a target that failed; remembered for `status`.
    async fn failed(&self, lineage: &Lineage, owned: &Owned, error: &aliyun::Error) -> TargetEnd {
        if owned.is_found() && error.kind == aliyun::Kind::DomainNotFound {
            let why = no_domain_of(&owned.target.aliyun);
            return TargetEnd::new(&lineage.name, owned, TargetOutcome::Skipped, why);
        }
        let (target, code) = (owned.target.clone(), error.code.clone());
        self.keep(move |store| {
            store.update_target(&target, |memory| memory.last_error = Some(code))
        })
        .await;
        let mut end =
            TargetEnd::new(&lineage.name, owned, TargetOutcome::Failed, error.code.as_str());
        end.request_id.clone_from(&error.request_id);
        end.attempts = error.attempts;
        end.error = Some(cloud_error(error));
        end
    }

    async fn remember_taken(
        &self,
        owned: &Owned,
        accepted: &Accepted,
        cert: &Cert,
        served: &Served,
    ) {
        let taken = deploy::taken(accepted, cert, before(served), self.ground.clock.now());
        let target = owned.target.clone();
        self.keep(move |store| {
            store.update_target(&target, |memory| {
                memory.taken = Some(taken);
                memory.last_error = None;
            })
        })
        .await;
    }

    async fn remember_shown(&self, target: &Target) {
        let target = target.clone();
        self.keep(move |store| {
            store.update_target(&target, |memory| {
                memory.last_error = None;
                if let Some(taken) = &mut memory.taken {
                    taken.shown = true;
                }
            })
        })
        .await;
    }
}

/// Why a guessed target is none.
#[must_use]
pub fn no_domain_of(account: &str) -> String {
    format!("it is no CDN domain of the account `{account}`")
}

async fn over(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

fn lagging(lineage: &Lineage, owned: &Owned, seen: &TargetSeen, reason: &str) -> TargetEnd {
    let mut end = TargetEnd::new(&lineage.name, owned, TargetOutcome::Waiting, reason);
    end.proof = Some(Proof::Accepted);
    end.meanwhile = meanwhile(&seen.served);
    end
}

fn meanwhile(served: &Served) -> Meanwhile {
    match served {
        Served::Leaf(leaf) => Meanwhile::of(leaf),
        Served::Off | Served::Unknown(_) => Meanwhile::Nothing,
    }
}

fn replaced(served: &Served) -> Option<Replaced> {
    match served {
        Served::Leaf(leaf) => Some(Replaced::of(leaf)),
        Served::Off | Served::Unknown(_) => None,
    }
}

/// An error of the cloud, as it is reported.
#[must_use]
pub fn cloud_error(error: &aliyun::Error) -> ErrorEnd {
    ErrorEnd {
        code: error.code.clone(),
        message: error.message.clone(),
        help: error.help.clone(),
        request_id: error.request_id.clone(),
        retryable: error.retryable(),
    }
}
