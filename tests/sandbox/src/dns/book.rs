//! The zone book: every edition of every zone, so that a server can be behind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::{A, AAAA, CAA, CNAME, NS, SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};

use super::loopback;

/// TTL of every record, and of every 'there is none' (RFC 2308): long enough that a client which trusts a cache is seen.
const TTL: u32 = 600;

/// The longest string of a TXT record (RFC 1035 section 3.3.14).
const TXT_STRING: usize = 255;

/// The zones and their records, shared by whoever changes them.
#[derive(Clone)]
pub struct Zones {
    book: Arc<Mutex<Book>>,
}

impl Zones {
    /// Adds an empty zone, which has its SOA, NS and the addresses of those; one that is there stays as it is.
    pub fn add(&self, zone: &str) {
        let mut pages = self.book().latest();
        pages.entry(plain(zone)).or_default();
        self.book().turn(pages);
    }

    /// Removes a zone: its names are refused from now on.
    pub fn remove(&self, zone: &str) {
        let mut pages = self.book().latest();
        pages.remove(&plain(zone));
        self.book().turn(pages);
    }

    /// Sets all values of one type (`TXT`, `CNAME`, `A`, `AAAA`, `NS`, `CAA` as `0 issue "ca.example"`) at a full name;
    /// none takes the record away.
    /// Values of other types are not published.
    pub fn set(&self, zone: &str, fqdn: &str, kind: &str, values: &[String]) {
        let key = (plain(fqdn), kind.to_owned());
        let mut book = self.book();
        let mut page = book.page(zone);
        match values {
            [] => drop(page.remove(&key)),
            values => drop(page.insert(key, values.to_vec())),
        }
        book.turn_page(zone, page);
    }

    /// The zone that a full name lies in: the longest of those that are there.
    pub fn zone_of(&self, fqdn: &str) -> Option<String> {
        let (fqdn, pages) = (plain(fqdn), self.book().latest());
        let holds = |zone: &&String| {
            fqdn.strip_suffix(zone.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        pages.keys().filter(holds).max_by_key(|zone| zone.len()).cloned()
    }

    /// The values of one type at a full name, in any zone.
    pub fn values(&self, fqdn: &str, kind: &str) -> Vec<String> {
        let key = (plain(fqdn), kind.to_owned());
        let pages = self.book().latest();
        pages.values().filter_map(|page| page.get(&key)).flatten().cloned().collect()
    }

    pub(super) fn named(servers: usize) -> Self {
        let edition = Edition { at: Instant::now(), pages: Pages::new() };
        Self { book: Arc::new(Mutex::new(Book { servers, editions: vec![edition] })) }
    }

    pub(super) fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().expect("the zone book, whole")
    }
}

/// Zone -> ((full name, type) -> values).
type Pages = BTreeMap<String, Arc<Page>>;

/// (full name, type) -> values.
pub(super) type Page = BTreeMap<(String, String), Vec<String>>;

/// Every edition of the zones, so that a server can be behind.
pub(super) struct Book {
    servers: usize,
    editions: Vec<Edition>,
}

struct Edition {
    at: Instant,
    pages: Pages,
}

impl Book {
    pub(super) fn latest(&self) -> Pages {
        self.editions.last().map(|edition| edition.pages.clone()).unwrap_or_default()
    }

    /// A zone as it stands; empty when it is not there.
    pub(super) fn page(&self, zone: &str) -> Page {
        self.latest().get(&plain(zone)).map(|page| (**page).clone()).unwrap_or_default()
    }

    /// A new edition in which this zone is so.
    pub(super) fn turn_page(&mut self, zone: &str, page: Page) {
        let mut pages = self.latest();
        pages.insert(plain(zone), Arc::new(page));
        self.turn(pages);
    }

    pub(super) fn has(&self, zone: &str) -> bool {
        self.latest().contains_key(&plain(zone))
    }

    pub(super) fn turn(&mut self, pages: Pages) {
        self.editions.push(Edition { at: Instant::now(), pages });
    }

    /// The number of the edition that a server so far behind has; the first one it always has.
    pub(super) fn known(&self, behind: Duration) -> usize {
        let old = |edition: &Edition| edition.at.elapsed() >= behind;
        self.editions.iter().rposition(old).unwrap_or(0)
    }

    pub(super) fn catalog(&self, number: usize) -> Catalog {
        let mut catalog = Catalog::new();
        for (zone, page) in &self.editions[number].pages {
            let origin = name(zone);
            let serial = u32::try_from(number).unwrap_or(u32::MAX);
            let mut handler = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
                origin.clone(),
                ZoneType::Primary,
                AxfrPolicy::Deny,
            );
            for record in self.apex(zone, serial).into_iter().chain(records(page)) {
                handler.upsert_mut(record, serial);
            }
            catalog.upsert(LowerName::new(&origin), vec![Arc::new(handler)]);
        }
        catalog
    }

    /// SOA, NS, and the addresses of the name servers.
    fn apex(&self, zone: &str, serial: u32) -> Vec<Record> {
        let host = |server: usize| name(&format!("ns{}.{zone}", server + 1));
        // Refresh, retry and expire are for secondaries, of which there are none.
        let soa =
            SOA::new(host(0), name(&format!("hostmaster.{zone}")), serial, 900, 300, 86_400, TTL);
        let mut apex = vec![Record::from_rdata(name(zone), TTL, RData::SOA(soa))];
        for server in 0..self.servers {
            apex.push(Record::from_rdata(name(zone), TTL, RData::NS(NS(host(server)))));
            apex.push(Record::from_rdata(host(server), TTL, RData::A(A(loopback(server)))));
        }
        apex
    }
}

fn records(page: &Page) -> Vec<Record> {
    let mut records = Vec::new();
    for ((fqdn, kind), values) in page {
        // A set has each value once (RFC 2181 section 5), whatever the provider holds.
        let values: BTreeSet<&String> = values.iter().collect();
        let rdata = values.into_iter().filter_map(|value| rdata(kind, value));
        records.extend(rdata.map(|rdata| Record::from_rdata(name(fqdn), TTL, rdata)));
    }
    records
}

fn rdata(kind: &str, value: &str) -> Option<RData> {
    match kind {
        "TXT" => {
            let strings = value.as_bytes().chunks(TXT_STRING);
            let strings = strings.map(|string| String::from_utf8_lossy(string).into_owned());
            Some(RData::TXT(TXT::new(strings.collect())))
        }
        "CNAME" => Some(RData::CNAME(CNAME(name(value)))),
        "NS" => Some(RData::NS(NS(name(value)))),
        "A" => value.parse().ok().map(|address: Ipv4Addr| RData::A(A(address))),
        "AAAA" => value.parse().ok().map(|address: Ipv6Addr| RData::AAAA(AAAA(address))),
        "CAA" => caa(value),
        _ => None,
    }
}

/// Flags, tag and value (RFC 8659 section 4.1.1), the value with or without quotes.
fn caa(text: &str) -> Option<RData> {
    let mut parts = text.splitn(3, ' ');
    let critical = parts.next()?.parse::<u8>().ok()? >= 128;
    let mut caa = CAA::new_issue(critical, None, Vec::new());
    caa.tag = parts.next()?.to_owned();
    caa.value = parts.next()?.trim_matches('"').as_bytes().to_vec();
    Some(RData::CAA(caa))
}

pub(super) fn name(text: &str) -> Name {
    let mut name =
        Name::from_utf8(text).unwrap_or_else(|error| panic!("DNS name {text:?}: {error}"));
    name.set_fqdn(true);
    name
}

/// Lower case, without the last dot.
pub(super) fn plain(name: &str) -> String {
    name.trim_end_matches('.').to_lowercase()
}
