//! Dynamic update (RFC 2136), signed by TSIG (RFC 8945): one value more, or one value less.
//!
//! It goes to the configured `server`; from one that does not take it, on to the primary that the zone's SOA names, where
//! it goes at once if no `server` is configured. A server that takes updates is not left.

mod primary;
mod refusal;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use anyhow::{Context as _, anyhow};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::LocalBoxFuture;
use hickory_proto::op::{Message, update_message};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, RData, Record, RecordSet, TSigner};
use secrecy::{ExposeSecret as _, SecretString};
use zeroize::Zeroizing;

pub use self::primary::zone_at;
use self::refusal::Refusal;
pub(super) use self::refusal::refusal;
use super::ask::{Asker, Server, fqdn, plain};
use super::wire::{self, Silence};
use super::{Dns, NotPut};
use crate::config;
use crate::ground::Clock;

/// Where updates go, and the key that is known there.
pub(super) struct Rfc2136 {
    server: Option<SocketAddr>,
    /// Finds the primary of a zone.
    asker: Rc<Asker>,
    key: Key,
    clock: Clock,
    /// Who took the last update of a zone.
    taker: RefCell<BTreeMap<Name, Server>>,
}

/// A TSIG key.
pub(super) struct Key {
    name: String,
    signer: TSigner,
}

/// An update of a zone.
struct Update {
    zone: Name,
    message: Message,
}

/// A server that refused an update.
struct Refused {
    server: Server,
    refusal: Refusal,
}

impl Key {
    /// The key from its name and its base64 text.
    pub(super) fn new(
        name: &str,
        algorithm: config::TsigAlgorithm,
        secret: &SecretString,
    ) -> anyhow::Result<Self> {
        // base64's own error would quote a byte of the secret.
        let bytes = STANDARD.decode(secret.expose_secret().trim()).ok().with_context(|| {
            format!("the key file of the TSIG key {name} is no base64\nhelp: write the `secret` of the key alone into it")
        })?;
        let bytes = Zeroizing::new(bytes);
        let signer = TSigner::new(bytes.to_vec(), wire_algorithm(algorithm), fqdn(name)?, FUDGE)
            .with_context(|| format!("the TSIG key {name} cannot be used"))?;
        Ok(Self { name: name.to_owned(), signer })
    }
}

impl Rfc2136 {
    pub(super) fn new(
        server: Option<SocketAddr>,
        key: Key,
        asker: Rc<Asker>,
        clock: Clock,
    ) -> Self {
        Self { server, asker, key, clock, taker: RefCell::default() }
    }

    async fn add(&self, name: &str, value: &str) -> anyhow::Result<Option<String>> {
        let (zone, set) = self.rrset(name, value).await.map_err(NotPut::from)?;
        let message = update_message::append(set, zone.clone(), false, false);
        self.update(Update { zone, message }).await?;
        Ok(None)
    }

    async fn remove(&self, name: &str, value: &str) -> anyhow::Result<()> {
        let (zone, set) = self.rrset(name, value).await?;
        let message = update_message::delete_by_rdata(set, zone.clone(), false);
        self.update(Update { zone, message }).await
    }

    /// The zone that holds `name`, and the value as a set of one record.
    async fn rrset(&self, name: &str, value: &str) -> anyhow::Result<(Name, RecordSet)> {
        let zone = match self.server {
            Some(server) => zone_at(server, name).await?,
            None => primary::zone(&self.asker, name).await?,
        };
        let data = RData::TXT(TXT::new(vec![value.to_owned()]));
        Ok((fqdn(&zone)?, RecordSet::from(Record::from_rdata(fqdn(name)?, TTL, data))))
    }

    /// Has an update taken by somebody. Its error is a [`NotPut`] where all who were asked refused.
    async fn update(&self, update: Update) -> anyhow::Result<()> {
        let known = self.taker.borrow().get(&update.zone).cloned();
        let servers = match (&known, self.server) {
            (Some(known), _) => vec![known.clone()],
            (None, Some(server)) => vec![Server::at(server)],
            (None, None) => primary::servers(&self.asker, &self.asker, &update.zone)
                .await
                .map_err(NotPut::from)?,
        };
        let Some(refused) = self.offer(&servers, &update).await? else { return Ok(()) };
        match self.server.filter(|_| known.is_none() && refused.refusal.may_be_a_copys()) {
            Some(server) => self.go_on(server, &refused, &update).await,
            None => Err(NotPut::from(self.error(&refused, &update.zone)).into()),
        }
    }

    /// The configured server may hold a copy of the zone: on to the primary.
    async fn go_on(
        &self,
        server: SocketAddr,
        refused: &Refused,
        update: &Update,
    ) -> anyhow::Result<()> {
        let first = refused.told(&update.zone);
        let of_server = Asker::new(&[server]);
        let found = primary::servers(&of_server, &self.asker, &update.zone).await;
        let mut primaries = found.map_err(|why| NotPut::from(anyhow!("{first}; {why:#}")))?;
        primaries.retain(|primary| primary.address() != Some(server));
        if primaries.is_empty() {
            return Err(NotPut::from(self.error(refused, &update.zone)).into());
        }
        let (second, is_put) = match self.offer(&primaries, update).await {
            Ok(None) => return Ok(()),
            Ok(Some(second)) => (self.error(&second, &update.zone), false),
            Err(silence) => {
                let is_put = !silence.is::<NotPut>();
                (silence, is_put)
            }
        };
        let both = anyhow!("{first}; {second:#}");
        Err(if is_put { both } else { NotPut::from(both).into() })
    }

    /// Offers an update to the first of these servers that answers; none refused it: it was taken.
    async fn offer(&self, servers: &[Server], update: &Update) -> anyhow::Result<Option<Refused>> {
        let (mut silent, mut is_sent) = (Vec::new(), false);
        for server in servers {
            let Some(address) = server.address() else { continue };
            match self.send(address, update.message.clone()).await? {
                Ok(None) => {
                    self.taker.borrow_mut().insert(update.zone.clone(), server.clone());
                    return Ok(None);
                }
                Ok(Some(refusal)) => {
                    self.taker.borrow_mut().remove(&update.zone);
                    return Ok(Some(Refused { server: server.clone(), refusal }));
                }
                Err(silence) => {
                    is_sent |= !matches!(silence, Silence::Unreached(_));
                    silent.push(format!("{server}: {silence}"));
                }
            }
        }
        let error = anyhow!(
            "no DNS server took the update of {} ({})\nhelp: set `server` of the `[dns.NAME]` to one that can be reached from \
             here and takes updates by TCP",
            plain(&update.zone),
            silent.join("; ")
        );
        Err(if is_sent { error } else { NotPut::from(error).into() })
    }

    /// Sends an update. An answer that refuses is not verified: those of the key itself are not signed (RFC 8945, 5.3.2).
    async fn send(
        &self,
        server: SocketAddr,
        mut message: Message,
    ) -> anyhow::Result<Result<Option<Refusal>, Silence>> {
        let now = u64::try_from(self.clock.now().as_second()).unwrap_or_default();
        let verifier =
            message.finalize(&self.key.signer, now).context("the update cannot be signed")?;
        let heard = wire::by_tcp(server, &wire::encode(&message)?).await;
        let (answer, bytes) = match heard.and_then(|bytes| Ok((wire::decode(&bytes)?, bytes))) {
            Ok(heard) => heard,
            Err(silence) => return Ok(Err(silence)),
        };
        let refusal = refusal(&answer);
        if let (Some(mut verifier), None) = (verifier, refusal) {
            verifier.verify(&bytes).map_err(|error| {
                anyhow!(
                    "the answer of the DNS server {server} is not signed by the TSIG key {}: {error}\nhelp: something between here and \
                     there changes answers, or the clocks differ by more than {FUDGE} s",
                    self.key.name
                )
            })?;
        }
        Ok(Ok(refusal))
    }

    fn error(&self, refused: &Refused, zone: &Name) -> anyhow::Error {
        let help = refused.refusal.remedy(&plain(zone), &self.key.name);
        anyhow!("{}\nhelp: {help}", refused.told(zone))
    }
}

impl Refused {
    /// Without a remedy.
    fn told(&self, zone: &Name) -> String {
        let Self { server, refusal } = self;
        format!("the DNS server {server} refused the update of {}: {refusal}", plain(zone))
    }
}

impl Dns for Rfc2136 {
    fn put<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
    ) -> LocalBoxFuture<'a, anyhow::Result<Option<String>>> {
        Box::pin(self.add(name, value))
    }

    fn take_away<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        _id: Option<&'a str>,
    ) -> LocalBoxFuture<'a, anyhow::Result<()>> {
        Box::pin(self.remove(name, value))
    }
}

fn wire_algorithm(algorithm: config::TsigAlgorithm) -> TsigAlgorithm {
    match algorithm {
        config::TsigAlgorithm::HmacSha256 => TsigAlgorithm::HmacSha256,
        config::TsigAlgorithm::HmacSha384 => TsigAlgorithm::HmacSha384,
        config::TsigAlgorithm::HmacSha512 => TsigAlgorithm::HmacSha512,
    }
}

/// Seconds; what RFC 8945 (10) recommends.
const FUDGE: u16 = 300;

/// Seconds a resolver may keep the value: the record lives for a minute or two.
const TTL: u32 = 60;

#[cfg(test)]
mod tests;
