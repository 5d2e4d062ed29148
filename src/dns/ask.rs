//! Asks the DNS what DNS-01 needs to know: where a challenge's record belongs, whose zone that is, who serves it.

mod referral;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::OnceLock;

use anyhow::{Context as _, bail};
use futures_util::future::join_all;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::wire::{self, Recursion, Silence};

/// Asks the configured name servers; without any, the system's, and a zone's own where a record must be seen.
#[derive(Clone, Debug)]
pub struct Asker {
    configured: Vec<SocketAddr>,
    /// Read when first needed: a run that asks nothing reads no file.
    system: OnceLock<Vec<SocketAddr>>,
    /// Where a zone's own servers listen: 53, but in tests.
    port: u16,
}

/// A server that answers for a name, and how to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// Its name, or its address where it has none.
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) recursion: Recursion,
}

impl Asker {
    /// Asks these servers for everything; none: the system's and the zones' own.
    #[must_use]
    pub fn new(nameservers: &[SocketAddr]) -> Self {
        Self { configured: nameservers.to_vec(), system: OnceLock::new(), port: DNS_PORT }
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

    /// Who is asked whether `name` shows a record.
    pub(crate) async fn servers(&self, name: &str) -> anyhow::Result<Vec<Server>> {
        let own =
            if self.configured.is_empty() { self.own_servers(name).await? } else { Vec::new() };
        if !own.is_empty() {
            return Ok(own);
        }
        let resolver = |address: &SocketAddr| Server {
            name: address.to_string(),
            address: *address,
            recursion: Recursion::Desired,
        };
        Ok(self.resolvers().iter().map(resolver).collect())
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

    async fn addresses(&self, server: &Name) -> Vec<Server> {
        let kinds = [RecordType::A, RecordType::AAAA];
        let answers = join_all(kinds.map(|kind| self.resolve(server, kind))).await;
        let records = answers.into_iter().flatten().flatten().flat_map(|message| message.answers);
        records
            .filter_map(|record| record.data.ip_addr())
            .map(|ip| Server {
                name: plain(server),
                address: SocketAddr::new(ip, self.port),
                recursion: Recursion::Off,
            })
            .collect()
    }

    async fn cname(&self, name: &Name) -> anyhow::Result<Option<Name>> {
        let answer = self.resolve(name, RecordType::CNAME).await?;
        Ok(answer
            .and_then(|message| message.answers.iter().find_map(|record| cname_of(record, name))))
    }

    /// Walks up until a SOA says where the zone begins. A server that refuses to tell of one name is asked for the next.
    async fn cut(&self, name: &Name) -> anyhow::Result<Option<Name>> {
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

    /// The first answer that says something; none where all who answered will not say. All are asked at once: a dead one
    /// costs no time.
    async fn resolve(&self, name: &Name, kind: RecordType) -> anyhow::Result<Option<Message>> {
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

    fn nobody(
        &self,
        name: &Name,
        kind: RecordType,
        silent: &[(SocketAddr, Silence)],
    ) -> anyhow::Error {
        let why: Vec<_> = silent.iter().map(|(server, why)| format!("{server}: {why}")).collect();
        let help = if self.configured.is_empty() {
            "check /etc/resolv.conf, or set `nameservers` of the `[dns.NAME]`"
        } else {
            "check the addresses in the `[dns.NAME]`, and that these servers run"
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

fn cname_of(record: &Record, name: &Name) -> Option<Name> {
    let RData::CNAME(target) = &record.data else { return None };
    (record.name == *name).then(|| target.0.clone())
}

fn ns_target(record: &Record) -> Option<Name> {
    let RData::NS(target) = &record.data else { return None };
    Some(target.0.clone())
}

/// The owner of the answer's SOA, in the answer for an apex, in the authority section below it (RFC 2308, 3).
fn soa_owner(answer: &Message, name: &Name) -> Option<Name> {
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
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

    use super::*;
    use crate::dns::fake::{Fake, Zone};

    const NAME: &str = "_acme-challenge.www.example.test";

    fn zone() -> Zone {
        Zone::default().apex("example.test")
    }

    async fn followed(row: &str, zone: Zone, wanted: Result<&str, &str>) {
        let fake = Fake::start(zone).await;
        let got = Asker::new(&[fake.address]).follow(NAME).await.map_err(|error| error.to_string());
        match wanted {
            Ok(name) => assert_eq!(got.as_deref(), Ok(name), "{row}"),
            Err(part) => {
                assert!(got.as_ref().is_err_and(|text| text.contains(part)), "{row}: {got:?}")
            }
        }
        assert_eq!(fake.asked(NAME, RecordType::TXT), 0, "{row}: the record is not asked for");
    }

    #[tokio::test]
    async fn cnames_are_followed() {
        let chain = |length: usize| {
            (0..length).fold(zone().cname(NAME, "c0.test"), |zone, at| {
                zone.cname(&format!("c{at}.test"), &format!("c{}.test", at + 1))
            })
        };
        let code = |code| zone().code("", RecordType::CNAME, code);
        followed("none", zone(), Ok(NAME)).await;
        followed("one", zone().cname(NAME, "Abc.Other.test"), Ok("abc.other.test")).await;
        followed("nine", chain(8), Ok("c8.test")).await;
        followed("too many", chain(12), Err("more than 10 CNAMEs")).await;
        followed("a circle", chain(1).cname("c1.test", NAME), Err("circle")).await;
        followed("not implemented", code(ResponseCode::NotImp), Ok(NAME)).await;
        followed("refused", code(ResponseCode::Refused), Ok(NAME)).await;
        followed("server failure", code(ResponseCode::ServFail), Ok(NAME)).await;
    }

    async fn cut(row: &str, zone: Zone, wanted: Option<&str>) {
        let fake = Fake::start(zone).await;
        let got = Asker::new(&[fake.address]).zone(NAME).await.unwrap();
        assert_eq!(got.as_deref(), wanted, "{row}");
    }

    #[tokio::test]
    async fn zones_are_found_by_their_soa() {
        let at = |name| zone().code(name, RecordType::SOA, ResponseCode::ServFail);
        cut("by the authority section", zone(), Some("example.test")).await;
        cut("the name is an apex", Zone::default().apex(NAME), Some(NAME)).await;
        cut("a name that fails on the way", at(NAME), Some("example.test")).await;
        cut("nobody says", zone().code("", RecordType::SOA, ResponseCode::NotImp), None).await;
        cut("a SOA of another zone", Zone::default().apex("other.test"), None).await;
    }

    #[tokio::test]
    async fn configured_servers_are_asked_for_everything() {
        let fake = Fake::start(zone().ns("example.test", "ns1.example.test")).await;
        let servers = Asker::new(&[fake.address]).servers(NAME).await.unwrap();
        assert_eq!(servers.iter().map(|server| server.address).collect::<Vec<_>>(), [fake.address]);
    }

    /// An Asker whose system and zones are the fake server alone.
    fn without_configured(fake: &Fake) -> Asker {
        let system = OnceLock::from(vec![fake.address]);
        Asker { configured: Vec::new(), system, port: fake.address.port() }
    }

    async fn check_servers(row: &str, zone: Zone, wanted: (&str, Recursion)) {
        let fake = Fake::start(zone).await;
        let servers = without_configured(&fake).servers(NAME).await.unwrap();
        let [server] = servers.as_slice() else { panic!("{row}: {servers:?}") };
        let name = if wanted.0.is_empty() { fake.address.to_string() } else { wanted.0.to_owned() };
        assert_eq!((&server.name, server.recursion), (&name, wanted.1), "{row}");
        assert_eq!(server.address, fake.address, "{row}");
    }

    #[tokio::test]
    async fn the_zones_own_servers_are_asked_for_records() {
        let ns = zone().ns("example.test", "ns1.example.test").a("ns1.example.test", "127.0.0.1");
        let no_soa = ns.clone().code("", RecordType::SOA, ResponseCode::NotImp);
        let no_address = zone().ns("example.test", "ns1.example.test");
        check_servers("its own", ns, ("ns1.example.test", Recursion::Off)).await;
        check_servers("no zone is known", no_soa, ("", Recursion::Desired)).await;
        check_servers("no address is known", no_address, ("", Recursion::Desired)).await;
    }

    #[tokio::test]
    async fn silence_of_all_is_an_error_and_of_some_is_not() {
        let closed = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let fake = Fake::start(zone().cname(NAME, "target.test")).await;
        let error = Asker::new(&[closed]).follow(NAME).await.unwrap_err().to_string();
        assert!(error.contains("no name server answered for CNAME"), "{error}");
        let asker = Asker::new(&[closed, fake.address]);
        assert_eq!(asker.follow(NAME).await.unwrap(), "target.test");
    }
}
