//! An order (RFC 8555, 7.4) from its beginning, or from where an earlier run left it, to a Cert in the store.

use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use instant_acme::{
    AuthorizationStatus, ChallengeStatus, ChallengeType, Error, Identifier, NewOrder, OrderStatus,
};
use tokio::time::{Instant, sleep};

use super::account::Session;
use super::acme::patient;
use super::refusal::{self, Reason, kind_of};
use super::{Failure, Issuer, key};
use crate::cert::{Cert, Key};
use crate::challenge::{Halt, Proof, Purpose, on_disk};
use crate::config::Certificate;
use crate::journal::{self, OrderedFrom, Turn};

/// What is to be issued, and with whom we speak about it.
pub(super) struct Job<'a> {
    issuer: &'a Issuer,
    certificate: &'a Certificate,
    asked: &'a str,
    turn: Turn,
}

/// An order, and the version of the store that holds its key.
struct UnderWay {
    session: Session,
    order: instant_acme::Order,
    version: u32,
    key: Key,
}

impl<'a> Job<'a> {
    pub(super) fn new(
        issuer: &'a Issuer,
        certificate: &'a Certificate,
        asked: &'a str,
        turn: Turn,
    ) -> Self {
        Self { issuer, certificate, asked, turn }
    }

    /// From nothing, or from what is under way, to a Cert in the store.
    pub(super) async fn run(self) -> Result<Cert, Failure> {
        let session = self.issuer.unless_stopped(self.issuer.session()).await?;
        let mut under_way = match self.resume(session).await? {
            Resumed::Order(under_way) => *under_way,
            Resumed::Nothing(session) => self.begin(session).await?,
        };
        let chain = self.drive(&mut under_way).await?;
        self.complete(under_way.version, chain).await
    }

    /// Does what the order's state asks for, until there is a chain.
    async fn drive(&self, under_way: &mut UnderWay) -> Result<String, Failure> {
        for _ in 0..MOVES {
            match under_way.order.state().status {
                OrderStatus::Pending => self.prove(under_way).await?,
                OrderStatus::Ready => self.issuer.unless_stopped(self.finalize(under_way)).await?,
                OrderStatus::Processing => {
                    self.issuer.unless_stopped(under_way.settle(OrderStatus::Processing)).await?;
                }
                OrderStatus::Valid => {
                    return self.issuer.unless_stopped(under_way.download()).await;
                }
                OrderStatus::Invalid => return Err(self.refused(under_way).await),
            }
        }
        let url = under_way.order.url();
        Err(Failure::of_ca(anyhow!("the order {url} does not come to an end")))
    }

    /// Puts the proofs, has the CA look at them, takes them away.
    async fn prove(&self, under_way: &mut UnderWay) -> Result<(), Failure> {
        let proofs = self.issuer.unless_stopped(under_way.proofs()).await?;
        let url = under_way.order.url().to_owned();
        let purpose =
            Purpose { lineage: &self.certificate.name, dns: &self.certificate.dns, order: &url };
        let body = async || {
            under_way.answer().await?;
            under_way.settle(OrderStatus::Pending).await
        };
        let proved = self.issuer.prover.prove(purpose, &proofs, body).await;
        for left in proved.left {
            self.say(&left);
        }
        proved.result.map_err(|halt| match halt {
            Halt::Stopped => Failure::stopped(),
            Halt::Unready(error) => Failure::free(error),
            Halt::Body(failure) => failure,
        })
    }

    /// Asks for the certificate. A CSR that was refused would be refused again: with the order goes its key.
    async fn finalize(&self, under_way: &mut UnderWay) -> Result<(), Failure> {
        let names = self.certificate.domains.clone();
        let key = under_way.key.clone();
        let request = tokio::task::spawn_blocking(move || key::request(&names, &key));
        let request = request.await.context("the request was not made")??;
        let order = &mut under_way.order;
        let error = match patient(async || order.finalize_csr(&request).await).await {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if kind_of(&error) == Some("orderNotReady") {
            return under_way.refresh().await;
        }
        let is_limit = kind_of(&error) == Some("rateLimited");
        let failure = under_way.session.failure("to issue the certificate", error);
        if failure.counted && !is_limit {
            return Err(self.give_up(under_way.version, failure).await);
        }
        Err(failure)
    }

    /// Why the order is invalid, name by name; it is of no more use.
    async fn refused(&self, under_way: &mut UnderWay) -> Failure {
        let reasons = under_way.reasons().await;
        let failure = refusal::of_order(&reasons, under_way.order.state().error.as_ref());
        self.give_up(under_way.version, failure).await
    }

    async fn complete(&self, version: u32, chain: String) -> Result<Cert, Failure> {
        let (name, asked, turn) = (self.certificate.name.clone(), self.asked.to_owned(), self.turn);
        let Issuer { acme, ground, .. } = self.issuer;
        let from = OrderedFrom { directory: acme.directory.clone(), at: ground.clock.now() };
        let cert = on_disk(&self.issuer.store, move |store| {
            let cert = store.complete_version(&name, version, &chain)?;
            let fingerprint = cert.leaf().fingerprint;
            store.update_lineage(&name, |memory| {
                memory.went_well(turn);
                memory.complete(fingerprint, asked, from);
            })?;
            Ok(cert)
        })
        .await?;
        self.say(&format!(
            "issued by {}, valid until {:.0}",
            cert.leaf().issuer,
            cert.leaf().not_after
        ));
        Ok(cert)
    }

    fn say(&self, text: &str) {
        self.issuer.ground.say.line(format!("{}: {text}", self.certificate.name));
    }
}

/// What an earlier run left.
enum Resumed {
    Order(Box<UnderWay>),
    Nothing(Session),
}

/// An order's beginning, and its end without a certificate.
impl Job<'_> {
    /// The order of an earlier run, if it is of use. One that is not is forgotten.
    async fn resume(&self, session: Session) -> Result<Resumed, Failure> {
        let Some(known) = self.journaled().await? else { return Ok(Resumed::Nothing(session)) };
        let Some(key) = self.key_of(&known).await? else {
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
            Err(error) if is_unknown(&error, session.line.heard().status) => error.to_string(),
            Err(error) => return Err(session.failure("to carry on with the order", error)),
        };
        tracing::debug!(order = known.url, reason, "an order of an earlier run is of no use");
        self.abandon(&known).await?;
        Ok(Resumed::Nothing(session))
    }

    /// The order that the journal knows. One whose version is live was carried to its end by a run that was killed
    /// before it could say so.
    async fn journaled(&self) -> anyhow::Result<Option<journal::Order>> {
        let (name, at) = (self.certificate.name.clone(), self.issuer.ground.clock.now());
        on_disk(&self.issuer.store, move |store| {
            let Some(order) = store.lineage(&name)?.order else { return Ok(None) };
            let is_live = store.live_version(&name)? == Some(order.version);
            let live = if is_live { store.live(&name)? } else { None };
            let Some(live) = live else { return Ok(Some(order)) };
            let fingerprint = live.leaf().fingerprint;
            let from = OrderedFrom { directory: order.directory, at };
            store.update_lineage(&name, |memory| {
                memory.complete(fingerprint, order.asked, from);
            })?;
            Ok(None)
        })
        .await
    }

    /// The key of an order that asks for what we ask for.
    async fn key_of(&self, known: &journal::Order) -> anyhow::Result<Option<Key>> {
        if known.asked != self.asked || known.directory != self.issuer.acme.directory {
            return Ok(None);
        }
        let (name, version) = (self.certificate.name.clone(), known.version);
        on_disk(&self.issuer.store, move |store| store.version_key(&name, version)).await
    }

    /// A new order: while the CA makes it, the key is made and put on the disk.
    async fn begin(&self, mut session: Session) -> Result<UnderWay, Failure> {
        let (key, order) =
            tokio::join!(self.new_key(), self.issuer.unless_stopped(self.new_order(&mut session)));
        let (version, key) = key?;
        let order = match order {
            Ok(order) => order,
            Err(failure) => return Err(self.give_up(version, failure).await),
        };
        let name = self.certificate.name.clone();
        let under_way = journal::Order {
            url: order.url().to_owned(),
            directory: self.issuer.acme.directory.clone(),
            asked: self.asked.to_owned(),
            version,
        };
        on_disk(&self.issuer.store, move |store| {
            store.update_lineage(&name, |memory| memory.order = Some(under_way))
        })
        .await?;
        Ok(UnderWay { session, order, version, key })
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

    /// Asks for a new order; where the CA does not know our account, once more with a new one.
    async fn new_order(&self, session: &mut Session) -> Result<instant_acme::Order, Failure> {
        let names: Vec<_> = self.certificate.domains.iter().cloned().map(Identifier::Dns).collect();
        let mut wish = NewOrder::new(&names);
        if let Some(profile) = super::profile(&self.issuer.acme, self.certificate) {
            check_profile(profile, session)?;
            wish = wish.profile(profile);
        }
        let first = patient(async || session.account.new_order(&wish).await).await;
        match first {
            Err(error) if kind_of(&error) == Some("accountDoesNotExist") => {}
            done => return done.map_err(|error| session.failure("the order", error)),
        }
        *session = self.issuer.session_anew(session).await?;
        let again = patient(async || session.account.new_order(&wish).await).await;
        again.map_err(|error| session.failure("the order", error))
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

impl UnderWay {
    /// What must be proved; names that the CA holds for proved are left out.
    async fn proofs(&mut self) -> Result<Vec<Proof>, Failure> {
        let Self { order, session, .. } = self;
        let found = patient(async || open_proofs(order).await).await;
        let found =
            found.map_err(|error| session.failure("to show what is to be proved", error))?;
        if let Some(name) = found.iter().find_map(|(name, value)| value.is_none().then_some(name)) {
            return Err(Failure::of_ca(anyhow!(
                "the CA offers no dns-01 for {name}\nhelp: take the name out of `domains`, or choose another CA"
            )));
        }
        Ok(found
            .into_iter()
            .filter_map(|(name, value)| Some(Proof { name, value: value? }))
            .collect())
    }

    /// Has the CA look at what stands in the DNS. Challenges that it looks at already are let alone.
    async fn answer(&mut self) -> Result<(), Failure> {
        let mut refused = None;
        let mut authorizations = self.order.authorizations();
        while let Some(next) = authorizations.next().await {
            let mut authorization = match next {
                Ok(authorization) => authorization,
                Err(error) => {
                    refused = Some(error);
                    break;
                }
            };
            if authorization.status != AuthorizationStatus::Pending {
                continue;
            }
            let Some(mut challenge) = authorization.challenge(ChallengeType::Dns01) else {
                continue;
            };
            if challenge.status != ChallengeStatus::Pending {
                continue;
            }
            if let Err(error) = patient(async || challenge.set_ready().await).await {
                refused = Some(error);
                break;
            }
        }
        let Some(error) = refused else { return Ok(()) };
        let failure = self.session.failure("the challenge", error);
        // An order that this made invalid says more than the error.
        let looked = self.refresh().await;
        match looked {
            Ok(()) if self.order.state().status == OrderStatus::Invalid => Ok(()),
            Ok(()) | Err(_) => Err(failure),
        }
    }

    async fn refresh(&mut self) -> Result<(), Failure> {
        let Self { order, session, .. } = self;
        let seen = patient(async || order.refresh().await.map(|_state| ())).await;
        seen.map_err(|error| session.failure("to show the order", error))
    }

    /// Waits until the order leaves this state: first a moment, then as the CA says. A poll that fails is no end.
    async fn settle(&mut self, from: OrderStatus) -> Result<(), Failure> {
        let end = Instant::now() + PATIENCE;
        let mut pause = FIRST_POLL;
        let mut failures = 0;
        while self.order.state().status == from {
            if Instant::now() + pause > end {
                return Err(self.too_slow());
            }
            sleep(pause).await;
            let seen = self.refresh().await;
            failures = if seen.is_ok() { 0 } else { failures + 1 };
            if failures >= POLLS_FAILED {
                return seen;
            }
            pause = self.next_pause(pause);
        }
        Ok(())
    }

    /// The CA's word, else twice the pause before: 'at once' for ever is no word.
    fn next_pause(&self, before: Duration) -> Duration {
        let line = &self.session.line;
        let wait = line.heard().retry_at.map(|at| at.duration_since(line.now()));
        let wait = wait.and_then(|wait| Duration::try_from(wait).ok());
        wait.filter(|wait| *wait > FIRST_POLL).unwrap_or_else(|| LONGEST_POLL.min(before * 2))
    }

    fn too_slow(&self) -> Failure {
        let error = anyhow!(
            "the CA has not come to an end with the order within {} minutes\nhelp: nothing: the next run carries on with it",
            PATIENCE.as_secs() / 60
        );
        Failure { not_before: self.session.line.heard().retry_at, ..Failure::of_ca(error) }
    }

    async fn download(&mut self) -> Result<String, Failure> {
        let Self { order, session, .. } = self;
        let chain = patient(async || order.certificate().await).await;
        let chain = chain.map_err(|error| Failure {
            counted: false,
            ..session.failure("to hand out the certificate", error)
        })?;
        let nothing = || anyhow!("the CA calls the order valid and has no certificate for it");
        chain.ok_or_else(|| Failure::of_ca(nothing()))
    }

    /// What the CA says of each name that it did not accept.
    async fn reasons(&mut self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let mut authorizations = self.order.authorizations();
        while let Some(next) = authorizations.next().await {
            let Ok(mut authorization) = next else { continue };
            if let Err(error) = patient(async || authorization.refresh().await.map(|_| ())).await {
                tracing::debug!(%error, "an authorization cannot be read");
            }
            let name = authorization.identifier().to_string();
            let errors =
                authorization.challenges.iter().filter_map(|challenge| challenge.error.clone());
            reasons.extend(errors.map(|problem| Reason { name: name.clone(), problem }));
        }
        reasons
    }
}

/// Names that are not proved, and their values: none where the CA offers no dns-01.
async fn open_proofs(
    order: &mut instant_acme::Order,
) -> Result<Vec<(String, Option<String>)>, Error> {
    let mut proofs = Vec::new();
    let mut authorizations = order.authorizations();
    while let Some(authorization) = authorizations.next().await {
        let mut authorization = authorization?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let shown = authorization.identifier();
        let name = shown.identifier.authorized(false).to_string();
        let challenge = authorization.challenge(ChallengeType::Dns01);
        proofs.push((name, challenge.map(|found| found.key_authorization().dns_value())));
    }
    Ok(proofs)
}

/// The CA knows the order no more, or not as ours. What may pass is no such answer.
fn is_unknown(error: &Error, status: u16) -> bool {
    match kind_of(error) {
        Some(kind) => !matches!(kind, "rateLimited" | "serverInternal" | "badNonce"),
        None => matches!(status, 404 | 410),
    }
}

fn check_profile(profile: &str, session: &Session) -> anyhow::Result<()> {
    let offered = &session.line.ca().meta().profiles;
    if offered.contains_key(profile) {
        return Ok(());
    }
    if offered.is_empty() {
        bail!(
            "the CA offers no profiles\nhelp: take `profile = \"{profile}\"` out of the configuration"
        );
    }
    let names: Vec<_> = offered.keys().map(String::as_str).collect();
    bail!(
        "the CA offers no profile `{profile}`\nhelp: set `profile` to one of: {}",
        names.join(", ")
    )
}

/// An order has four states before its end; each is left once, and a CA may surprise us once or twice.
const MOVES: usize = 8;

/// A proof or a certificate that takes longer waits for the next run, which carries on.
const PATIENCE: Duration = Duration::from_secs(300);

/// A CA on the same machine has looked by then, and another loses nothing.
const FIRST_POLL: Duration = Duration::from_millis(30);

/// Where the CA says nothing; LE says 3 s.
const LONGEST_POLL: Duration = Duration::from_secs(5);

/// One lost answer is common, three in a row are an outage.
const POLLS_FAILED: u32 = 3;
