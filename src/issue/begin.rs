//! An order's beginning: one of an earlier run, or a new one; and its end without a certificate.

use std::pin::pin;

use futures_util::future::{Either, select};
use instant_acme::{Error, OrderStatus};

use super::account::Session;
use super::acme::patient;
use super::order::{Job, UnderWay};
use super::refusal::{self, kind_of};
use super::{Failure, key};
use crate::cert::{Cert, Key};
use crate::challenge::on_disk;
use crate::config::Certificate;
use crate::journal::{self, OrderedFrom};

/// What an earlier run left.
pub(super) enum Resumed {
    Order(Box<UnderWay>),
    Nothing(Session),
}

impl Job<'_> {
    /// The order of an earlier run, if it is of use. One that is not is forgotten.
    pub(super) async fn resume(&self, session: Session) -> Result<Resumed, Failure> {
        let Some(mut known) = self.journaled().await? else { return Ok(Resumed::Nothing(session)) };
        let Some(key) = self.key_of(&mut known).await? else {
            self.abandon(&known).await?;
            return Ok(Resumed::Nothing(session));
        };
        let asked = patient(async || session.account.order(known.url.clone()).await);
        let found = self.issuer.unless_stopped(async { Ok(asked.await) }).await?;
        let reason = match found {
            Ok(mut order) => {
                if order.state().status != OrderStatus::Invalid {
                    self.say("carrying on with the order of an earlier run");
                    if order.state().status != OrderStatus::Pending {
                        self.tidy(&known).await?;
                    }
                    let version = known.version;
                    return Ok(Resumed::Order(Box::new(UnderWay { session, order, version, key })));
                }
                "it is invalid".to_owned()
            }
            Err(error) if is_unknown(&error, session.line.heard().status) => {
                refusal::logged(&error)
            }
            Err(error) => return Err(session.failure("to carry on with the order", error)),
        };
        tracing::debug!(order = known.url, reason, "an order of an earlier run is of no use");
        self.abandon(&known).await?;
        Ok(Resumed::Nothing(session))
    }

    /// The Cert of an order whose version is live: a run carried it to its end that was killed, or had no room on the
    /// disk, before it could say so. None: there is no such order, or it asked for something else.
    pub(super) async fn carried_through(&self) -> anyhow::Result<Option<Cert>> {
        let (name, at) = (self.certificate.name.clone(), self.issuer.ground.clock.now());
        let (wish, turn) = (self.asked.to_owned(), self.turn);
        on_disk(&self.issuer.store, move |store| {
            let Some(order) = store.lineage(&name)?.order else { return Ok(None) };
            let is_live = store.live_version(&name)? == Some(order.version);
            let live = if is_live { store.live(&name)? } else { None };
            let Some(live) = live else { return Ok(None) };
            let fingerprint = live.leaf().fingerprint;
            let journal::Order { directory, account, asked, .. } = order;
            let is_ours = asked == wish;
            let from = OrderedFrom { directory, account, at };
            store.update_lineage(&name, |memory| {
                if is_ours {
                    memory.went_well(turn);
                }
                memory.complete(fingerprint, asked, from);
            })?;
            Ok(is_ours.then_some(live))
        })
        .await
    }

    /// The order that the journal knows.
    async fn journaled(&self) -> anyhow::Result<Option<journal::Order>> {
        let name = self.certificate.name.clone();
        on_disk(&self.issuer.store, move |store| Ok(store.lineage(&name)?.order)).await
    }

    /// The key of an order that asks for what we ask for. One that a kill left without a key gets one now.
    async fn key_of(&self, known: &mut journal::Order) -> anyhow::Result<Option<Key>> {
        if known.asked != self.asked || known.directory != self.issuer.acme.directory {
            return Ok(None);
        }
        if known.version == 0 {
            let (version, key) = self.new_key().await?;
            known.version = version;
            self.note(known.clone()).await?;
            return Ok(Some(key));
        }
        let (name, version) = (self.certificate.name.clone(), known.version);
        on_disk(&self.issuer.store, move |store| store.version_key(&name, version)).await
    }

    /// A new order: while the CA makes it, the key is made and put on the disk. An order that is there before its key
    /// is journaled without it: a large RSA key takes seconds, and a kill in them would cost the order.
    pub(super) async fn begin(&self, session: Session) -> Result<UnderWay, Failure> {
        let key = pin!(self.new_key());
        let order = pin!(async {
            let ordered = self.issuer.ground.soon_after_stop(self.new_order(session)).await;
            ordered.unwrap_or_else(|| Err(Failure::stopped()))
        });
        let (key, ordered) = match select(key, order).await {
            Either::Left((key, order)) => (key, order.await),
            Either::Right((Ok((session, order)), key)) => {
                self.note(self.under_way(&session, &order, 0)).await?;
                (key.await, Ok((session, order)))
            }
            Either::Right((refused, key)) => (key.await, refused),
        };
        let (version, key) = key?;
        let (session, order) = match ordered {
            Ok(ordered) => ordered,
            Err(failure) => return Err(self.give_up(version, failure).await),
        };
        self.note(self.under_way(&session, &order, version)).await?;
        Ok(UnderWay { session, order, version, key })
    }

    fn under_way(
        &self,
        session: &Session,
        order: &instant_acme::Order,
        version: u32,
    ) -> journal::Order {
        journal::Order {
            url: order.url().to_owned(),
            directory: self.issuer.acme.directory.clone(),
            account: session.account.id().to_owned(),
            asked: self.asked.to_owned(),
            version,
        }
    }

    async fn note(&self, order: journal::Order) -> anyhow::Result<()> {
        let name = self.certificate.name.clone();
        on_disk(&self.issuer.store, move |store| {
            store.update_lineage(&name, |memory| memory.order = Some(order))
        })
        .await
    }

    /// A key in a version of its own, or the live one's again.
    async fn new_key(&self) -> anyhow::Result<(u32, Key)> {
        let Certificate { name, key_type, reuse_key, .. } = self.certificate;
        let (name, kind, reuse) = (name.clone(), *key_type, *reuse_key);
        on_disk(&self.issuer.store, move |store| {
            let live = if reuse { store.live(&name)? } else { None };
            // Whoever revokes may fear for the key.
            let revoked = store.lineage(&name)?.revoked;
            let live = live.filter(|cert| !revoked.contains(&cert.leaf().fingerprint));
            let kept = live.map(|cert| cert.key().clone()).filter(|key| key::is_of(kind, key));
            let key = kept.map_or_else(|| key::generate(kind), Ok)?;
            Ok((store.begin_version(&name, &key)?, key))
        })
        .await
    }

    /// An earlier run's order is of no use: what it put goes too.
    async fn abandon(&self, known: &journal::Order) -> anyhow::Result<()> {
        self.tidy(known).await?;
        self.forget(known.version).await
    }

    /// Takes away what an earlier run put for an order that needs no proof any more.
    async fn tidy(&self, known: &journal::Order) -> anyhow::Result<()> {
        let prover = &self.issuer.prover;
        for left in prover.abandon(&self.certificate.name, &known.url).await? {
            self.say(&left);
        }
        Ok(())
    }

    /// The order leads nowhere, for this reason: it and its key go. A disk that refuses hides no word of the CA.
    pub(super) async fn give_up(&self, version: u32, failure: Failure) -> Failure {
        match self.forget(version).await {
            Ok(()) => failure,
            Err(disk) => failure.beside(&format!("its order cannot be forgotten: {disk:#}")),
        }
    }

    /// It and its key go.
    async fn forget(&self, version: u32) -> anyhow::Result<()> {
        let name = self.certificate.name.clone();
        on_disk(&self.issuer.store, move |store| {
            store.update_lineage(&name, |memory| memory.order = None)?;
            store.drop_version(&name, version)
        })
        .await
    }
}

/// The CA knows the order no more, or not as ours. What may pass is no such answer.
fn is_unknown(error: &Error, status: u16) -> bool {
    match kind_of(error) {
        Some("rateLimited" | "serverInternal" | "badNonce" | "userActionRequired") => false,
        Some(_) => !refusal::is_own_fault(status),
        None => matches!(status, 404 | 410),
    }
}
