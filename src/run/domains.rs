//! What a run asks once and many lineages need: the CDN domains of an account, and what the store knows as ours.

use std::collections::BTreeSet;
use std::rc::Rc;

use tokio::time::Instant;

use super::Run;
use crate::aliyun::{self, UserDomain};
use crate::cert::Fingerprint;
use crate::look::AtTarget;
use crate::plan::{Ours, Owned, Served};
use crate::{deploy, told};

/// The CDN domains of an account, or why they cannot be listed.
pub type Domains = Result<Rc<Vec<UserDomain>>, aliyun::Error>;

impl Run {
    /// The CDN domains of an account. Asked once in a run, whatever the answer.
    ///
    /// # Errors
    /// The list may not be read, or cannot be had.
    pub async fn cdn_domains(&self, account: &str) -> Domains {
        if let Some(known) = self.listed.borrow().get(account) {
            return known.clone();
        }
        // A hook must have time left to keep in step what was found before.
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        let until = self.deadline.map(|end| Instant::now() + left(end) / 2);
        let list = async { self.account(account)?.until(until).describe_user_domains().await };
        let domains = tokio::select! {
            biased;
            () = self.ground.stop.cancelled() => Err(stopped()),
            domains = list => domains,
        };
        let domains = domains.map(Rc::new).inspect_err(|error| {
            tracing::info!(error.code, "the CDN domains cannot be listed");
        });
        self.listed.borrow_mut().insert(account.to_owned(), domains.clone());
        domains
    }

    /// What speaks for it that what a target serves is ours.
    #[must_use]
    pub fn ours(&self, owned: &Owned, at: &AtTarget) -> Ours {
        let Served::Leaf(leaf) = &at.seen.served else { return Ours::default() };
        let taken = at.seen.memory.taken.as_ref().map(|taken| taken.cert_name.as_str());
        let is_given =
            |name: &str| aliyun::is_name_of(name, &deploy::cert_name(owned)) || Some(name) == taken;
        let by_name = at.cert_name.as_deref().is_some_and(is_given);
        // The whole store is read only where something depends on it: for what was discovered and does not have our name.
        let remembered = owned.discovered.is_some()
            && !by_name
            && self.fingerprints().contains(&leaf.fingerprint);
        Ours { remembered, by_name }
    }

    /// Every fingerprint that some lineage of the store has had, as it was when it was first asked for.
    fn fingerprints(&self) -> &BTreeSet<Fingerprint> {
        self.fingerprints.get_or_init(|| {
            match self.store.as_ref().map(|store| store.fingerprints()) {
                None => BTreeSet::new(),
                Some(Ok((all, damaged))) => {
                    damaged.into_iter().for_each(|said| self.warn(said));
                    all
                }
                Some(Err(error)) => {
                    self.warn(told::text(&error));
                    BTreeSet::new()
                }
            }
        })
    }
}

fn stopped() -> aliyun::Error {
    aliyun::Error {
        kind: aliyun::Kind::Transport,
        code: "Stopped".to_owned(),
        message: "stopped".to_owned(),
        help: "the next run goes on".to_owned(),
        request_id: None,
        attempts: 0,
    }
}
