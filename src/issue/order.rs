//! An order (RFC 8555, 7.4) from its beginning, or from where an earlier run left it, to a Cert in the store.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use instant_acme::{AuthorizationStatus, ChallengeStatus, ChallengeType, Error, OrderStatus};
use jiff::Timestamp;
use tokio::time::{Instant, sleep};

use super::account::Session;
use super::acme::patient;
use super::begin::Resumed;
use super::refusal::{self, Reason, kind_of};
use super::{Failure, Issuer, key, persist};
use crate::cert::{self, Cert, Key};
use crate::challenge::{Halt, Proof, Purpose, Seat, on_disk};
use crate::config::{Certificate, Challenge};
use crate::journal::{OrderedFrom, Turn};
use crate::secret::Redactor;

/// What is to be issued, and with whom we speak about it.
pub(super) struct Job<'a> {
    pub(super) issuer: &'a Issuer,
    pub(super) certificate: &'a Certificate,
    pub(super) asked: &'a str,
    pub(super) turn: Turn,
}

/// An order, and the version of the store that holds its key.
pub(super) struct UnderWay {
    pub(super) session: Session,
    pub(super) order: instant_acme::Order,
    pub(super) version: u32,
    pub(super) key: Key,
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
        if let Some(cert) = self.carried_through().await? {
            self.say("an earlier run has obtained it");
            return Ok(cert);
        }
        let mut seat = self.issuer.seats.seat();
        self.sit_down(&mut seat).await?;
        let session = self.issuer.unless_stopped(self.issuer.session()).await?;
        let mut under_way = match self.resume(session).await? {
            Resumed::Order(under_way) => *under_way,
            Resumed::Nothing(session) => {
                if self.certificate.challenge == Challenge::DnsPersist01 {
                    self.issuer.unless_stopped(self.granted(&session)).await?;
                }
                self.begin(session).await?
            }
        };
        let chain = self.drive(&mut under_way, &mut seat).await?;
        let from = OrderedFrom {
            directory: self.issuer.acme.directory.clone(),
            account: under_way.session.account.id().to_owned(),
            at: self.issuer.ground.clock.now(),
        };
        if let Some(end) = end_of(&chain).filter(|end| *end <= from.at) {
            return Err(self.give_up(under_way.version, ended(end)).await);
        }
        self.complete(under_way.version, chain, from).await
    }

    /// Does what the order's state asks for, until there is a chain.
    async fn drive(&self, under_way: &mut UnderWay, seat: &mut Seat) -> Result<String, Failure> {
        for _ in 0..MOVES {
            self.sit_down(seat).await?;
            match under_way.order.state().status {
                OrderStatus::Pending => self.prove(under_way, seat).await?,
                OrderStatus::Ready => self.issuer.unless_stopped(self.finalize(under_way)).await?,
                OrderStatus::Processing => {
                    self.issuer.unless_stopped(under_way.settle(OrderStatus::Processing)).await?;
                }
                OrderStatus::Valid => {
                    let wanted = self.issuer.acme.preferred_chain.as_deref();
                    return self.issuer.unless_stopped(under_way.chain(wanted)).await;
                }
                OrderStatus::Invalid => return Err(self.refused(under_way).await),
            }
        }
        let url = under_way.order.url();
        Err(Failure::of_ca(anyhow!("the order {url} does not come to an end")))
    }

    /// The CA is asked by a few orders at once; the others wait here.
    async fn sit_down(&self, seat: &mut Seat) -> Result<(), Failure> {
        let seated = async {
            seat.take().await;
            Ok(())
        };
        self.issuer.unless_stopped(seated).await
    }

    /// Puts the proofs, has the CA look at them, takes them away.
    async fn prove(&self, under_way: &mut UnderWay, seat: &mut Seat) -> Result<(), Failure> {
        let (kind, proofs) = match self.certificate.challenge {
            Challenge::Dns01 => {
                let proofs = self.issuer.unless_stopped(under_way.proofs()).await?;
                self.check_names(&proofs)?;
                (ChallengeType::Dns01, proofs)
            }
            Challenge::DnsPersist01 => {
                self.issuer.unless_stopped(self.check_offers(under_way)).await?;
                (persist::kind(), Vec::new())
            }
        };
        let url = under_way.order.url().to_owned();
        let purpose =
            Purpose { lineage: &self.certificate.name, dns: &self.certificate.dns, order: &url };
        let body = async || {
            under_way.answer(&kind).await?;
            under_way.settle(OrderStatus::Pending).await
        };
        let proved = self.issuer.prover.prove(purpose, &proofs, seat, body).await;
        for left in proved.left {
            self.say(&left);
        }
        proved.result.map_err(|halt| match halt {
            Halt::Stopped => Failure::stopped(),
            Halt::Unready(error) => Failure::free(error),
            Halt::Body(failure) => failure,
        })
    }

    /// Nobody's values are put but for what was ordered.
    fn check_names(&self, proofs: &[Proof]) -> Result<(), Failure> {
        let ordered = |name: &str| {
            let ordered = self.certificate.domains.iter();
            ordered.map(|domain| domain.trim_start_matches("*.")).any(|domain| domain == name)
        };
        match proofs.iter().find(|proof| !ordered(&proof.name)) {
            None => Ok(()),
            Some(Proof { name, .. }) => {
                let name = Redactor::default().clean(name);
                let help = "look at the CA's `directory` in the configuration";
                let error =
                    anyhow!("the CA wants a proof of {name}, which was not ordered\nhelp: {help}");
                Err(Failure::of_ca(error))
            }
        }
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

    async fn complete(
        &self,
        version: u32,
        chain: String,
        from: OrderedFrom,
    ) -> Result<Cert, Failure> {
        let (name, asked, turn) = (self.certificate.name.clone(), self.asked.to_owned(), self.turn);
        let cert = on_disk(&self.issuer.store, move |store| {
            let cert = store.complete_version(&name, version, &chain)?;
            let fingerprint = cert.leaf().fingerprint;
            store.update_lineage(&name, |memory| {
                memory.went_well(turn);
                memory.complete(fingerprint, asked, from);
            })?;
            Ok(cert)
        })
        .await;
        let cert = match cert {
            Ok(cert) => cert,
            Err(error) if is_for_another_key(&error) => {
                let failure = Failure { counted: true, ..Failure::of_ca(error) };
                return Err(self.give_up(version, failure).await);
            }
            Err(error) => return Err(error.into()),
        };
        self.say(&format!(
            "issued by {}, valid until {:.0}",
            cert.leaf().issuer,
            cert.leaf().not_after
        ));
        Ok(cert)
    }

    pub(super) fn say(&self, text: &str) {
        self.issuer.ground.say.line(format!("{}: {text}", self.certificate.name));
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
    async fn answer(&mut self, kind: &ChallengeType) -> Result<(), Failure> {
        let mut answered = answer_all(&mut self.order, kind).await;
        // Without an answer, the CA may look already, and what it looks for must stand until it has: it is asked how far
        // it is, and told again.
        if answered.as_ref().is_err_and(refusal::may_have_effect) {
            answered = match look_again(&mut self.order).await {
                Ok(()) => answer_all(&mut self.order, kind).await,
                Err(error) => Err(error),
            };
        }
        let Err(error) = answered else { return Ok(()) };
        let failure = self.session.failure("the challenge", error);
        // An order that this made invalid says more than the error, and one that is proved has no more to say.
        let looked = self.refresh().await;
        match looked {
            Ok(()) if self.order.state().status != OrderStatus::Pending => Ok(()),
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

    /// What the CA says of each name that it did not accept.
    async fn reasons(&mut self) -> Vec<Reason> {
        let mut reasons = Vec::new();
        let mut authorizations = self.order.authorizations();
        while let Some(next) = authorizations.next().await {
            let Ok(mut authorization) = next else { continue };
            if let Err(error) = patient(async || authorization.refresh().await.map(|_| ())).await {
                tracing::debug!(error = refusal::logged(&error), "an authorization cannot be read");
            }
            let name = authorization.identifier().to_string();
            let errors =
                authorization.challenges.iter().filter_map(|challenge| challenge.error.clone());
            reasons.extend(errors.map(|problem| Reason { name: name.clone(), problem }));
        }
        reasons
    }
}

/// When the certificate of a chain ends; one that cannot be read is judged with its key.
fn end_of(chain: &str) -> Option<Timestamp> {
    let chain = cert::roots(chain.as_bytes()).and_then(cert::Chain::of).ok()?;
    Some(chain.leaf().not_after)
}

/// It would be of no use, and due again at once: the ladder must hold back the next order.
fn ended(end: Timestamp) -> Failure {
    let help =
        "look at the CA's clock and status page; it is tried again by itself, less and less often";
    let error = anyhow!("the CA has issued a certificate that ended at {end:.0}\nhelp: {help}");
    Failure { counted: true, ..Failure::of_ca(error) }
}

/// No key of ours fits the certificate, and none ever will: the order is of no more use.
fn is_for_another_key(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(cert::Error::KeyMismatch))
}

async fn answer_all(order: &mut instant_acme::Order, kind: &ChallengeType) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        let mut authorization = next?;
        if authorization.status != AuthorizationStatus::Pending {
            continue;
        }
        let Some(mut challenge) = authorization.challenge(kind.clone()) else { continue };
        if challenge.status == ChallengeStatus::Pending {
            patient(async || challenge.set_ready().await).await?;
        }
    }
    Ok(())
}

/// How far the CA is with each name; else what was heard before is taken for so.
async fn look_again(order: &mut instant_acme::Order) -> Result<(), Error> {
    let mut authorizations = order.authorizations();
    while let Some(next) = authorizations.next().await {
        let mut authorization = next?;
        patient(async || authorization.refresh().await.map(|_state| ())).await?;
    }
    Ok(())
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
