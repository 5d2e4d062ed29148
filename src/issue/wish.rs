//! What a new order asks for (RFC 8555, 7.4): names, profile, and the certificate that it replaces (RFC 9773, 5).

use anyhow::bail;
use instant_acme::{CertificateIdentifier, Error, Identifier, NewOrder, Order};
use serde::Deserialize as _;
use serde::de::value::{BorrowedStrDeserializer, Error as NoId};

use super::Failure;
use super::account::Session;
use super::acme::patient;
use super::heard::Heard;
use super::order::Job;
use super::refusal::{self, kind_of};
use crate::challenge::on_disk;

impl Job<'_> {
    /// Asks for a new order, naming the certificate that it replaces; where the CA refuses that, once more without. Where it
    /// does not know our account, once more with a new one.
    pub(super) async fn new_order(&self, session: Session) -> Result<(Session, Order), Failure> {
        if let Some(profile) = super::profile(&self.issuer.acme, self.certificate) {
            check_profile(profile, &session)?;
        }
        let replaces = self.replaces(&session).await;
        let mut order = self.ask(&session, replaces.as_deref()).await;
        if let Err(error) = &order
            && replaces.is_some()
        {
            let heard = session.line.heard();
            if let Some(url) = made(&heard) {
                tracing::debug!(
                    error = refusal::logged(error),
                    url,
                    "the order is made, but does not tell `replaces`"
                );
                order = patient(async || session.account.order(url.clone()).await).await;
            } else if refuses_replaces(error, heard.status) {
                tracing::debug!(
                    error = refusal::logged(error),
                    ?replaces,
                    "an order without `replaces`"
                );
                order = self.ask(&session, None).await;
            }
        }
        match order {
            Ok(order) => Ok((session, order)),
            Err(error) if kind_of(&error) == Some("accountDoesNotExist") => {
                // Its certificates are the old account's: they cannot be replaced by a new one's.
                let session = self.issuer.session_anew(&session).await?;
                let again = self.ask(&session, None).await;
                let order = again.map_err(|error| self.order_refused(&session, error))?;
                Ok((session, order))
            }
            Err(error) => Err(self.order_refused(&session, error)),
        }
    }

    async fn ask(&self, session: &Session, replaces: Option<&str>) -> Result<Order, Error> {
        let names: Vec<_> = self.certificate.domains.iter().cloned().map(Identifier::Dns).collect();
        let mut wish = NewOrder::new(&names);
        if let Some(profile) = super::profile(&self.issuer.acme, self.certificate) {
            wish = wish.profile(profile);
        }
        if let Some(id) = replaces.and_then(identifier) {
            wish = wish.replaces(id);
        }
        self.issuer.orders.turn().await;
        patient(async || session.account.new_order(&wish).await).await
    }

    /// The id of the live certificate, where this CA knows ARI, it was ordered by this account, and has a name in common
    /// with the new one. What cannot be read is not replaced: that costs the exemption from limits and nothing else.
    async fn replaces(&self, session: &Session) -> Option<String> {
        if !session.line.ca().has_ari() {
            return None;
        }
        let name = self.certificate.name.clone();
        let read = on_disk(&self.issuer.store, move |store| {
            Ok(store.lineage(&name)?.ordered_from.zip(store.live_leaf(&name)?))
        });
        let (from, leaf) = read.await.ok()??;
        let is_ours = from.directory == session.line.ca().directory()
            && from.account == session.account.id()
            && self.certificate.domains.iter().any(|name| leaf.names.contains(name));
        leaf.renewal_id.filter(|_| is_ours)
    }

    /// A new order that was refused. CAs limit the number of names, and not all of them say so plainly.
    fn order_refused(&self, session: &Session, error: Error) -> Failure {
        let count = self.certificate.domains.len();
        let is_of_names = matches!(kind_of(&error), Some("malformed" | "rejectedIdentifier"));
        let failure = session.failure("the order", error);
        if count <= FEWEST_LIMIT || !is_of_names {
            return failure;
        }
        failure.beside(&format!(
            "it asks for {count} names\nhelp: a CA may take fewer (Let's Encrypt 100, and 25 with its profiles tlsserver and \
             shortlived): split it into several [[certificate]]"
        ))
    }
}

/// The URL of an order that the CA did make: the crate's own error came after it.
fn made(heard: &Heard) -> Option<String> {
    heard.location.clone().filter(|_| heard.status == 201)
}

/// May the order be well without `replaces`? A CA that has no ARI, or knows the certificate no more, as replaced, or not
/// as ours (RFC 9773, 5; Boulder's answers).
fn refuses_replaces(error: &Error, status: u16) -> bool {
    match kind_of(error) {
        Some("alreadyReplaced" | "unauthorized" | "malformed") => true,
        Some("accountDoesNotExist" | "rateLimited" | "badNonce") => false,
        // Pebble 2.10.1 looks one serial in 256 up wrongly, those that begin with a zero byte in DER: a fault of its own that
        // would be the same in each run.
        Some("serverInternal") => speaks_of_certificate(error),
        Some(_) => matches!(status, 404 | 409),
        None => matches!(error, Error::Unsupported(_)),
    }
}

fn speaks_of_certificate(error: &Error) -> bool {
    let Error::Api(problem) = error else { return false };
    problem.detail.as_deref().is_some_and(|detail| detail.contains("certificate"))
}

fn identifier(id: &str) -> Option<CertificateIdentifier<'_>> {
    CertificateIdentifier::deserialize(BorrowedStrDeserializer::<NoId>::new(id)).ok()
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

/// Let's Encrypt's smallest limit of names.
const FEWEST_LIMIT: usize = 25;
