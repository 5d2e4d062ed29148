//! Dynamic updates (RFC 2136) of the zone book, signed by TSIG.

use std::time::Instant;

use hickory_server::proto::op::ResponseCode;
use hickory_server::proto::rr::{DNSClass, RData, Record, RecordType};
use hickory_server::server::{Request, ResponseHandler, ResponseInfo};
use hickory_server::zone_handler::MessageResponseBuilder;

use super::book::{Page, plain};
use super::{Voice, signed, tsig};

/// A dynamic update that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// The server that was asked, counted from 0.
    pub server: usize,
    /// The zone.
    pub zone: String,
    /// The name of the TSIG key that signed; `None`: nobody, or an unknown key.
    pub key: Option<String>,
    /// What it asked for, in its order.
    pub changes: Vec<Change>,
    /// It came by TCP.
    pub tcp: bool,
    /// When.
    pub at: Instant,
    /// The code of the answer.
    pub answer: ResponseCode,
    /// The TSIG error of the answer: 16 BADSIG, 17 BADKEY, 18 BADTIME.
    pub tsig_error: Option<u16>,
}

/// One line of an update section (RFC 2136 section 2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// One value more: full name, type, value.
    Add(String, String, String),
    /// One value less: full name, type, value.
    Take(String, String, String),
    /// All values of a type away: full name, type.
    TakeSet(String, String),
    /// All of a name away.
    TakeName(String),
}

/// What an update came to.
struct Ruling {
    code: ResponseCode,
    verdict: Option<tsig::Verdict>,
}

impl Voice {
    /// Carries an update out, or refuses it, and records it.
    pub(super) async fn update<R: ResponseHandler>(
        &self,
        request: &Request,
        mut reply: R,
    ) -> Option<ResponseInfo> {
        let now = tsig::now();
        let zone = request.queries.queries().first().map(|zone| plain(&zone.name().to_string()));
        let changes: Vec<Change> = request.authorities.iter().filter_map(change).collect();
        let ruling = self.rule(request, zone.as_deref(), &changes, now);
        self.shared.updates.lock().expect("updates").push(Update {
            server: self.server,
            zone: zone.unwrap_or_default(),
            key: ruling
                .verdict
                .as_ref()
                .and_then(|one| one.key.as_ref())
                .map(|key| key.name.clone()),
            changes,
            tcp: request.protocol() == super::Protocol::Tcp,
            at: Instant::now(),
            answer: ruling.code,
            tsig_error: ruling.verdict.as_ref().and_then(|one| one.error).map(u16::from),
        });
        let answer = signed::refusal(request, ruling.code);
        if let Some(verdict) = &ruling.verdict {
            return signed::send(request, &answer, verdict, reply).await;
        }
        let answer =
            MessageResponseBuilder::new(&request.queries, None).build_no_records(answer.metadata);
        reply.send_response(answer).await.ok()
    }

    /// RFC 2136 section 3: zone, prerequisites, permission, update.
    fn rule(&self, request: &Request, zone: Option<&str>, changes: &[Change], now: u64) -> Ruling {
        let keys = self.shared.keys.lock().expect("keys").clone();
        let verdict = request
            .signature
            .as_ref()
            .map(|record| tsig::judge(&keys, record, request.as_slice(), now));
        let ruled = match &verdict {
            None => Err(ResponseCode::Refused),
            Some(verdict) if verdict.error.is_some() => Err(ResponseCode::NotAuth),
            Some(verdict) => self.carry_out(request, zone, changes, verdict),
        };
        Ruling { code: ruled.err().unwrap_or(ResponseCode::NoError), verdict }
    }

    fn carry_out(
        &self,
        request: &Request,
        zone: Option<&str>,
        changes: &[Change],
        verdict: &tsig::Verdict,
    ) -> Result<(), ResponseCode> {
        let one_soa =
            matches!(request.queries.queries(), [one] if one.query_type() == RecordType::SOA);
        let zone = zone.filter(|_| one_soa).ok_or(ResponseCode::FormErr)?;
        let mut book = self.shared.zones.book();
        // Only the primary of the zone takes updates, and that is the first server.
        if self.server != 0 || !book.has(zone) {
            return Err(ResponseCode::NotAuth);
        }
        let inside = |record: &Record| {
            let name = plain(&record.name.to_string());
            name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        if !request.authorities.iter().chain(&request.answers).all(inside) {
            return Err(ResponseCode::NotZone);
        }
        let mut page = book.page(zone);
        request.answers.iter().try_for_each(|record| prerequisite(&page, record))?;
        let allowed = verdict.key.as_ref().is_some_and(|key| {
            key.zones.is_empty() || key.zones.iter().any(|allowed| plain(allowed) == zone)
        });
        if !allowed {
            return Err(ResponseCode::Refused);
        }
        if changes.len() != request.authorities.len() {
            return Err(ResponseCode::FormErr);
        }
        changes.iter().for_each(|change| apply(&mut page, change));
        book.turn_page(zone, page);
        Ok(())
    }
}

/// RFC 2136 section 3.2.
fn prerequisite(page: &Page, record: &Record) -> Result<(), ResponseCode> {
    let (name, kind) = (plain(&record.name.to_string()), record.record_type());
    let set = page.get(&(name.clone(), kind.to_string()));
    let any = page.keys().any(|(owner, _)| *owner == name);
    let (met, code) = match (record.dns_class, kind) {
        (DNSClass::ANY, RecordType::ANY) => (any, ResponseCode::NXDomain),
        (DNSClass::ANY, _) => (set.is_some(), ResponseCode::NXRRSet),
        (DNSClass::NONE, RecordType::ANY) => (!any, ResponseCode::YXDomain),
        (DNSClass::NONE, _) => (set.is_none(), ResponseCode::YXRRSet),
        _ => {
            let value = value(&record.data);
            let there = set.is_some_and(|set| value.is_some_and(|value| set.contains(&value)));
            (there, ResponseCode::NXRRSet)
        }
    };
    if met { Ok(()) } else { Err(code) }
}

/// A line of the update section; `None`: one that this server does not understand.
fn change(record: &Record) -> Option<Change> {
    let (name, kind) = (plain(&record.name.to_string()), record.record_type().to_string());
    let change = match (record.dns_class, record.record_type()) {
        (DNSClass::ANY, RecordType::ANY) => Change::TakeName(name),
        (DNSClass::ANY, _) => Change::TakeSet(name, kind),
        (DNSClass::NONE, _) => Change::Take(name, kind, value(&record.data)?),
        (DNSClass::IN, _) => Change::Add(name, kind, value(&record.data)?),
        _ => return None,
    };
    Some(change)
}

fn apply(page: &mut Page, change: &Change) {
    match change {
        Change::Add(name, kind, value) => {
            let set = page.entry((name.clone(), kind.clone())).or_default();
            if !set.contains(value) {
                set.push(value.clone());
            }
        }
        Change::Take(name, kind, value) => {
            let key = (name.clone(), kind.clone());
            let set = page.entry(key.clone()).or_default();
            set.retain(|one| one != value);
            if set.is_empty() {
                page.remove(&key);
            }
        }
        Change::TakeSet(name, kind) => drop(page.remove(&(name.clone(), kind.clone()))),
        Change::TakeName(name) => page.retain(|(owner, _), _| owner != name),
    }
}

/// A record's value as the book writes it.
fn value(rdata: &RData) -> Option<String> {
    if let RData::TXT(txt) = rdata {
        let bytes: Vec<u8> =
            txt.txt_data.iter().flat_map(|string| string.iter().copied()).collect();
        return String::from_utf8(bytes).ok();
    }
    let kind = rdata.record_type().to_string();
    let known = ["A", "AAAA", "CNAME", "NS", "CAA"].contains(&kind.as_str());
    known.then(|| rdata.to_string().trim_end_matches('.').to_owned())
}
