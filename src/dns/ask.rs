//! Asks the DNS what DNS-01 needs to know: where a challenge's record belongs, whose zone that is, who serves it.

mod referral;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::doh::Doh;
use super::wire::{self, Recursion, Silence};

/// Asks the configured name servers; without any, the system's, and a zone's own where a record must be seen. Where none
/// of them answers, a resolver by HTTPS, if there is one.
#[derive(Debug)]
pub struct Asker {
    configured: Vec<SocketAddr>,
    /// Read when first needed: a run that asks nothing reads no file.
    system: OnceLock<Vec<SocketAddr>>,
    /// Where a zone's own servers listen: 53, but in tests.
    port: u16,
    doh: Option<Doh>,
    /// Nobody answered at port 53: it is not tried again.
    is_closed: AtomicBool,
}

/// A server that answers for a name, and how to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// Its name, or its address where it has none.
    pub(crate) name: String,
    pub(crate) way: Way,
}

/// How a server is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Plain(SocketAddr, Recursion),
    Https,
}

impl Asker {
    /// Asks these servers for everything; none: the system's and the zones' own.
    #[must_use]
    pub fn new(nameservers: &[SocketAddr]) -> Self {
        Self {
            configured: nameservers.to_vec(),
            system: OnceLock::new(),
            port: DNS_PORT,
            doh: None,
            is_closed: AtomicBool::new(false),
        }
    }

    /// The same, with a resolver that is asked by HTTPS where nobody answers at port 53.
    #[must_use]
    pub(crate) fn or_by_https(self, doh: Option<Doh>) -> Self {
        Self { doh, ..self }
    }

    /// Where a record for `name` really stands: the end of its CNAMEs, no dot at its end.
    ///
    /// # Errors
    /// CNAMEs in a circle or too many of them; no server answered.
    pub async fn follow(&self, name: &str) -> anyhow::Result<String> {
        let mut at = fqdn(name)?;
        let mut been = BTreeSet::from([at.clone()]);
        while let Some(target) = self.cname(&at).await? {
            if !been.insert(target.clone()) {
                bail!(
                    "the CNAMEs of {name} go in a circle at {target}\nhelp: correct the CNAME records"
                );
            }
            if been.len() > CNAMES {
                bail!(
                    "more than {CNAMES} CNAMEs follow one another from {name}\nhelp: let the first one point at the last name"
                );
            }
            at = target;
        }
        Ok(plain(&at))
    }

    /// The zone in which `name` stands, by its SOA (RFC 1034, 4.2); none if no server would say.
    ///
    /// # Errors
    /// No server answered.
    pub async fn zone(&self, name: &str) -> anyhow::Result<Option<String>> {
        Ok(self.cut(&fqdn(name)?).await?.map(|zone| plain(&zone)))
    }

    /// Each server that is asked whether `name` shows a record, and why it does not answer, if it does not.
    ///
    /// # Errors
    /// The zone's servers cannot be found.
    pub async fn reach(&self, name: &str) -> anyhow::Result<Vec<(String, Option<String>)>> {
        let at = fqdn(name)?;
        let servers = self.servers(name).await?;
        let ask = async |server: &Server| {
            let answer = self.ask(server, &at, RecordType::SOA).await;
            (server.to_string(), answer.err().map(|silence| silence.to_string()))
        };
        Ok(join_all(servers.iter().map(ask)).await)
    }

    /// Who is asked whether `name` shows a record.
    pub(crate) async fn servers(&self, name: &str) -> anyhow::Result<Vec<Server>> {
        let own =
            if self.configured.is_empty() { self.own_servers(name).await? } else { Vec::new() };
        if let (Some(by_https), true) = (self.by_https(), self.is_closed()) {
            return Ok(vec![by_https]);
        }
        if !own.is_empty() {
            return Ok(own);
        }
        let resolver = |address: &SocketAddr| Server {
            name: address.to_string(),
            way: Way::Plain(*address, Recursion::Desired),
        };
        Ok(self.resolvers().iter().map(resolver).collect())
    }

    /// The resolver that is asked by HTTPS.
    pub(crate) fn by_https(&self) -> Option<Server> {
        let doh = self.doh.as_ref()?;
        Some(Server { name: doh.url().to_owned(), way: Way::Https })
    }

    /// Asks one server.
    pub(crate) async fn ask(
        &self,
        server: &Server,
        name: &Name,
        kind: RecordType,
    ) -> Result<Message, Silence> {
        match (server.way, &self.doh) {
            (Way::Plain(address, recursion), _) => wire::ask(address, name, kind, recursion).await,
            (Way::Https, Some(doh)) => doh.ask(name, kind).await,
            (Way::Https, None) => Err(Silence::Io("no `doh` is set".to_owned())),
        }
    }

    /// The zone's own servers with all their addresses.
    async fn own_servers(&self, name: &str) -> anyhow::Result<Vec<Server>> {
        let Some(zone) = self.cut(&fqdn(name)?).await? else { return Ok(Vec::new()) };
        let Some(answer) = self.resolve(&zone, RecordType::NS).await? else {
            return Ok(Vec::new());
        };
        let names: BTreeSet<Name> = answer.answers.iter().filter_map(ns_target).collect();
        let found = join_all(names.iter().map(|name| self.addresses(name))).await;
        Ok(found.into_iter().flatten().collect())
    }

    /// The primary server of a zone, as its SOA names it (RFC 1035, 3.3.13); none if it names nobody.
    pub(super) async fn primary(&self, zone: &Name) -> anyhow::Result<Option<Name>> {
        let Some(answer) = self.resolve(zone, RecordType::SOA).await? else { return Ok(None) };
        let named = answer.answers.iter().find_map(|record| {
            let RData::SOA(soa) = &record.data else { return None };
            Some(soa.mname.clone())
        });
        Ok(named.filter(|name| !name.is_root()))
    }

    /// A server at all its addresses that are known; none, if nobody says.
    pub(super) async fn addresses(&self, server: &Name) -> Vec<Server> {
        let kinds = [RecordType::A, RecordType::AAAA];
        let answers = join_all(kinds.map(|kind| self.resolve(server, kind))).await;
        let records = answers.into_iter().flatten().flatten().flat_map(|message| message.answers);
        records
            .filter_map(|record| record.data.ip_addr())
            .map(|ip| Server {
                name: plain(server),
                way: Way::Plain(SocketAddr::new(ip, self.port), Recursion::Off),
            })
            .collect()
    }

    async fn cname(&self, name: &Name) -> anyhow::Result<Option<Name>> {
        let answer = self.resolve(name, RecordType::CNAME).await?;
        Ok(answer
            .and_then(|message| message.answers.iter().find_map(|record| cname_of(record, name))))
    }

    /// Walks up until a SOA says where the zone begins. A server that refuses to tell of one name is asked for the next.
    pub(super) async fn cut(&self, name: &Name) -> anyhow::Result<Option<Name>> {
        let mut at = name.clone();
        while !at.is_root() {
            let answer = self.resolve(&at, RecordType::SOA).await?;
            let begins = |message| soa_owner(message, &at).or_else(|| referral::zone(message, &at));
            if let Some(zone) = answer.as_ref().and_then(begins) {
                return Ok(Some(zone));
            }
            at = at.base_name();
        }
        Ok(None)
    }

    /// An answer that says something; none where all who answered will not say.
    pub(super) async fn resolve(
        &self,
        name: &Name,
        kind: RecordType,
    ) -> anyhow::Result<Option<Message>> {
        let Some(doh) = &self.doh else { return self.resolve_plainly(name, kind).await };
        let plainly = match self.is_closed() {
            true => Err(anyhow::anyhow!("nobody answers at port 53")),
            false => self.resolve_plainly(name, kind).await,
        };
        let Err(closed) = plainly else { return plainly };
        match doh.ask(name, kind).await {
            Ok(answer) => {
                self.is_closed.store(true, Ordering::Relaxed);
                Ok(Some(answer).filter(says_something))
            }
            Err(silence) => Err(anyhow::anyhow!("{} ({silence}), and {closed}", doh.url())),
        }
    }

    /// The first answer that says something. All are asked at once: a dead one costs no time.
    async fn resolve_plainly(
        &self,
        name: &Name,
        kind: RecordType,
    ) -> anyhow::Result<Option<Message>> {
        let ask = async |server: SocketAddr| {
            (server, wire::ask(server, name, kind, Recursion::Desired).await)
        };
        let mut asked: FuturesUnordered<_> = self.resolvers().iter().copied().map(ask).collect();
        let mut silent = Vec::new();
        let mut answered = false;
        while let Some((server, heard)) = asked.next().await {
            match heard {
                Ok(answer) if says_something(&answer) => return Ok(Some(answer)),
                Ok(_unknown) => answered = true,
                Err(silence) => silent.push((server, silence)),
            }
        }
        if answered { Ok(None) } else { Err(self.nobody(name, kind, &silent)) }
    }

    fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Relaxed)
    }

    fn nobody(
        &self,
        name: &Name,
        kind: RecordType,
        silent: &[(SocketAddr, Silence)],
    ) -> anyhow::Error {
        let why: Vec<_> = silent.iter().map(|(server, why)| format!("{server}: {why}")).collect();
        let help = if self.configured.is_empty() {
            "check /etc/resolv.conf, or set `nameservers` of the `[dns.NAME]`, or `doh` where port 53 is closed"
        } else {
            "check the addresses in the `[dns.NAME]`, and that these servers run; where port 53 is closed, set `doh`"
        };
        let (name, why) = (plain(name), why.join("; "));
        anyhow::anyhow!("no name server answered for {kind} of {name} ({why})\nhelp: {help}")
    }

    fn resolvers(&self) -> &[SocketAddr] {
        if !self.configured.is_empty() {
            return &self.configured;
        }
        self.system.get_or_init(system_resolvers)
    }
}

impl Server {
    /// A zone's own server, known by its address.
    pub(super) fn at(address: SocketAddr) -> Self {
        Self { name: address.to_string(), way: Way::Plain(address, Recursion::Off) }
    }

    /// Where it listens at the DNS's own port, or another.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self.way {
            Way::Plain(address, _) => Some(address),
            Way::Https => None,
        }
    }
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, way } = self;
        write!(f, "{name}")?;
        match way {
            Way::Plain(address, _) if *name != address.to_string() => write!(f, " ({address})"),
            Way::Plain(..) | Way::Https => Ok(()),
        }
    }
}

/// A name in wire form.
pub(crate) fn fqdn(name: &str) -> anyhow::Result<Name> {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.')))
        .with_context(|| format!("`{name}` is no DNS name"))
}

/// A name for people and providers: lower case, no dot at its end.
pub(crate) fn plain(name: &Name) -> String {
    name.to_lowercase().to_ascii().trim_end_matches('.').to_owned()
}

/// NOTIMP, REFUSED and SERVFAIL say nothing about the name: many load balancers know some types only.
pub(crate) fn says_something(answer: &Message) -> bool {
    matches!(answer.metadata.response_code, ResponseCode::NoError | ResponseCode::NXDomain)
}

pub(super) fn cname_of(record: &Record, name: &Name) -> Option<Name> {
    let RData::CNAME(target) = &record.data else { return None };
    (record.name == *name).then(|| target.0.clone())
}

pub(super) fn ns_target(record: &Record) -> Option<Name> {
    let RData::NS(target) = &record.data else { return None };
    Some(target.0.clone())
}

/// The owner of the answer's SOA, in the answer for an apex, in the authority section below it (RFC 2308, 3).
pub(super) fn soa_owner(answer: &Message, name: &Name) -> Option<Name> {
    let sections = answer.answers.iter().chain(&answer.authorities);
    sections
        .filter(|record| record.record_type() == RecordType::SOA && record.name.zone_of(name))
        .map(|record| record.name.clone())
        .find(|zone| !zone.is_root())
}

/// The servers of `/etc/resolv.conf`; without one, the local host as resolv.conf(5) says.
fn system_resolvers() -> Vec<SocketAddr> {
    let ips: Vec<IpAddr> = match hickory_resolver::system_conf::read_system_conf() {
        Ok((config, _options)) => config.name_servers().iter().map(|server| server.ip).collect(),
        Err(error) => {
            tracing::debug!(%error, "no resolvers in /etc/resolv.conf");
            vec![IpAddr::V4(Ipv4Addr::LOCALHOST)]
        }
    };
    ips.into_iter().map(|ip| SocketAddr::new(ip, DNS_PORT)).collect()
}

/// RFC 1035, 4.2.
const DNS_PORT: u16 = 53;

/// As many as resolvers follow; a longer chain is a mistake.
const CNAMES: usize = 10;

#[cfg(test)]
impl Asker {
    /// Whose system is this resolver, and whose zones' own servers listen at this port.
    pub(crate) fn with_system(self, resolver: SocketAddr, port: u16) -> Self {
        Self { system: OnceLock::from(vec![resolver]), port, ..self }
    }
}

#[cfg(test)]
mod tests;
