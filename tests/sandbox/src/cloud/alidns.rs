//! The actions of alidns, Version 2015-01-09.
//!
//! <https://www.alibabacloud.com/help/en/dns/api-alidns-2015-01-09-adddomainrecord> and its neighbours.

use serde_json::{Value, json};

use super::answer::Refusal;
use super::cdn::{only, turn_to};
use super::request::Request;
use super::seed::Zone;
use super::state::{State, ZoneRecord};

/// Every action that is known, case and all.
pub(crate) const ACTIONS: &[&str] = &[
    "AddDomainRecord",
    "DeleteDomainRecord",
    "DeleteSubDomainRecords",
    "DescribeSubDomainRecords",
    "DescribeDomainRecords",
    "DescribeDomains",
];

/// Record types that AddDomainRecord takes.
const KINDS: &[&str] =
    &["A", "NS", "MX", "TXT", "CNAME", "SRV", "AAAA", "CAA", "REDIRECT_URL", "FORWARD_URL"];

/// The longest TTL of every edition, in seconds.
const MOST_TTL: u32 = 86_400;

/// Parameters of alidns that any call may hold besides the common ones.
const LANGUAGE: [&str; 2] = ["Lang", "UserClientIp"];

/// What a call did, and the names whose records changed by it.
pub(crate) struct Done {
    pub(crate) fields: Value,
    /// (zone, full name, type) that must be published before the call is answered.
    pub(crate) changed: Vec<(String, String, String)>,
}

impl Done {
    fn reading(fields: Value) -> Self {
        Self { fields, changed: Vec::new() }
    }
}

/// Carries a call out.
pub(crate) fn call(state: &mut State, uid: &str, request: &Request) -> Result<Done, Refusal> {
    match request.text("Action") {
        "AddDomainRecord" => add(state, uid, request),
        "DeleteDomainRecord" => delete(state, uid, request),
        "DeleteSubDomainRecords" => delete_all(state, uid, request),
        "DescribeSubDomainRecords" => describe_name(state, uid, request).map(Done::reading),
        "DescribeDomainRecords" => describe_zone(state, uid, request).map(Done::reading),
        "DescribeDomains" => describe_zones(state, uid, request).map(Done::reading),
        _ => Err(Refusal::new("InvalidApi.NotFound")),
    }
}

/// The RAM resource that a call is about; there is no region in it.
pub(crate) fn resource(state: &State, uid: &str, request: &Request) -> String {
    let named = request.param("DomainName").map(ToOwned::to_owned);
    let of_record = || zone_of_record(state, uid, request.text("RecordId"));
    let of_name = || zone_of_name(state, uid, request.text("SubDomain"));
    let zone = named.or_else(of_record).or_else(of_name);
    format!("acs:alidns::{uid}:domain/{}", zone.as_deref().unwrap_or("*"))
}

fn zone_of_record(state: &State, uid: &str, id: &str) -> Option<String> {
    let holds = |zone: &&Zone| zone.uid == uid && zone.records.iter().any(|record| record.id == id);
    state.zones.values().find(holds).map(|zone| zone.name.clone())
}

/// The longest zone of the account that a full name lies in.
fn zone_of_name(state: &State, uid: &str, fqdn: &str) -> Option<String> {
    let inside = |zone: &&Zone| {
        zone.uid == uid && (fqdn == zone.name || fqdn.ends_with(&format!(".{}", zone.name)))
    };
    state.zones.values().filter(inside).max_by_key(|zone| zone.name.len()).map(|z| z.name.clone())
}

fn own_zone<'a>(state: &'a mut State, uid: &str, name: &str) -> Result<&'a mut Zone, Refusal> {
    let own = state.zones.get_mut(name).filter(|zone| zone.uid == uid);
    own.ok_or_else(|| Refusal::new("InvalidDomainName.NoExist"))
}

fn add(state: &mut State, uid: &str, request: &Request) -> Result<Done, Refusal> {
    only(
        request,
        &["DomainName", "RR", "Type", "Value", "TTL", "Line", "Priority", LANGUAGE[0], LANGUAGE[1]],
    )?;
    let id = state.next_id().to_string();
    let name = request.required("DomainName")?;
    let mut record = ZoneRecord::new(
        &id,
        request.required("RR")?,
        request.required("Type")?,
        request.required("Value")?,
    );
    record.line = request.param("Line").unwrap_or("default").to_owned();
    let zone = own_zone(state, uid, name)?;
    record.ttl = ttl(request, zone.least_ttl)?;
    check_record(&record, name)?;
    let twin = |other: &ZoneRecord| {
        (&other.rr, &other.kind, &other.value, &other.line)
            == (&record.rr, &record.kind, &record.value, &record.line)
    };
    if zone.records.iter().any(twin) {
        return Err(Refusal::new("DomainRecordDuplicate"));
    }
    let changed = vec![(name.to_owned(), record.fqdn(name), record.kind.clone())];
    zone.records.push(record);
    Ok(Done { fields: json!({ "RecordId": id }), changed })
}

fn ttl(request: &Request, least: u32) -> Result<u32, Refusal> {
    let Some(text) = request.param("TTL") else { return Ok(least.max(600)) };
    let ttl = text.parse().unwrap_or(0);
    if (least..=MOST_TTL).contains(&ttl) { Ok(ttl) } else { Err(Refusal::new("QuotaExceeded.TTL")) }
}

fn check_record(record: &ZoneRecord, zone: &str) -> Result<(), Refusal> {
    if !KINDS.contains(&record.kind.as_str()) {
        return Err(Refusal::invalid("Type"));
    }
    // A full name in place of the host part is the mistake that this catches: `_acme-challenge.example.com`.
    let whole = record.rr == zone || record.rr.ends_with(&format!(".{zone}"));
    let broken = record.rr.split('.').any(str::is_empty) || record.rr.contains(char::is_whitespace);
    if whole || broken {
        return Err(Refusal::new("SubDomainInvalid.Format").saying("The RR is not valid."));
    }
    // Quotes are a zone file's; here they would become part of the value.
    if record.kind == "TXT" && (record.value.contains('"') || record.value.len() > 512) {
        return Err(Refusal::new("DomainRecordValueInvalid").saying("The Value is not valid."));
    }
    Ok(())
}

fn delete(state: &mut State, uid: &str, request: &Request) -> Result<Done, Refusal> {
    only(request, &["RecordId", LANGUAGE[0], LANGUAGE[1]])?;
    let id = request.required("RecordId")?;
    let zone = zone_of_record(state, uid, id);
    let zone = zone.ok_or_else(|| Refusal::new("DomainRecordNotBelongToUser"))?;
    let records = &mut own_zone(state, uid, &zone)?.records;
    let at = records.iter().position(|record| record.id == id);
    let at = at.ok_or_else(|| Refusal::new("DomainRecordNotBelongToUser"))?;
    if records[at].locked {
        return Err(Refusal::new("DomainRecordLocked"));
    }
    let record = records.remove(at);
    let changed = vec![(zone.clone(), record.fqdn(&zone), record.kind)];
    Ok(Done { fields: json!({ "RecordId": id }), changed })
}

fn delete_all(state: &mut State, uid: &str, request: &Request) -> Result<Done, Refusal> {
    only(request, &["DomainName", "RR", "Type", LANGUAGE[0], LANGUAGE[1]])?;
    let (name, rr) = (request.required("DomainName")?, request.required("RR")?);
    let kind = request.text("Type");
    let zone = own_zone(state, uid, name)?;
    let goes = |record: &ZoneRecord| record.rr == rr && (kind.is_empty() || record.kind == kind);
    let gone: Vec<ZoneRecord> = zone.records.iter().filter(|r| goes(r)).cloned().collect();
    zone.records.retain(|record| !goes(record));
    let changed = gone.iter().map(|r| (name.to_owned(), r.fqdn(name), r.kind.clone())).collect();
    // A string, as the document and the SDK's model have it.
    Ok(Done { fields: json!({ "RR": rr, "TotalCount": gone.len().to_string() }), changed })
}

fn describe_name(state: &mut State, uid: &str, request: &Request) -> Result<Value, Refusal> {
    only(
        request,
        &[
            "SubDomain",
            "DomainName",
            "Type",
            "Line",
            "PageNumber",
            "PageSize",
            LANGUAGE[0],
            LANGUAGE[1],
        ],
    )?;
    let fqdn = request.required("SubDomain")?;
    let size = request.number("PageSize", 20, 100)?;
    let zone = match request.param("DomainName") {
        Some(name) => own_zone(state, uid, name)?.clone(),
        None => zone_of_name(state, uid, fqdn)
            .and_then(|name| state.zones.get(&name).cloned())
            .ok_or_else(|| Refusal::new("InvalidDomainName.NoExist"))?,
    };
    let (kind, line) = (request.text("Type"), request.text("Line"));
    let taken = |record: &ZoneRecord| {
        record.fqdn(&zone.name) == fqdn
            && (kind.is_empty() || record.kind == kind)
            && (line.is_empty() || record.line == line)
    };
    page(state, request, size, &zone, taken)
}

fn describe_zone(state: &mut State, uid: &str, request: &Request) -> Result<Value, Refusal> {
    only(
        request,
        &[
            "DomainName",
            "RRKeyWord",
            "TypeKeyWord",
            "ValueKeyWord",
            "KeyWord",
            "Type",
            "SearchMode",
            "Status",
            "PageNumber",
            "PageSize",
            LANGUAGE[0],
            LANGUAGE[1],
        ],
    )?;
    let zone = own_zone(state, uid, request.required("DomainName")?)?.clone();
    let size = request.number("PageSize", 20, 500)?;
    let word = |name: &str, text: &str| {
        let wanted = request.text(name).to_lowercase();
        wanted.is_empty() || text.to_lowercase().contains(&wanted)
    };
    let taken = |record: &ZoneRecord| {
        word("RRKeyWord", &record.rr)
            && word("TypeKeyWord", &record.kind)
            && word("ValueKeyWord", &record.value)
            && word("Type", &record.kind)
            && word("KeyWord", &record.rr)
    };
    page(state, request, size, &zone, taken)
}

fn page(
    state: &State,
    request: &Request,
    size: usize,
    zone: &Zone,
    taken: impl Fn(&ZoneRecord) -> bool,
) -> Result<Value, Refusal> {
    let page = request.number("PageNumber", 1, 100_000)?;
    let records = zone.records.iter().filter(|record| taken(record));
    let found: Vec<Value> = records.map(|record| listed(record, &zone.name)).collect();
    let (size, items) = turn_to(&found, page, size, state.rules.page_limit);
    Ok(json!({
        "PageNumber": page,
        "PageSize": size,
        "TotalCount": found.len(),
        "DomainRecords": { "Record": items },
    }))
}

fn listed(record: &ZoneRecord, zone: &str) -> Value {
    json!({
        "RecordId": record.id,
        "DomainName": zone,
        "RR": record.rr,
        "Type": record.kind,
        "Value": record.value,
        "TTL": record.ttl,
        "Line": record.line,
        "Status": record.status,
        "Locked": record.locked,
        "Weight": 1,
    })
}

fn describe_zones(state: &mut State, uid: &str, request: &Request) -> Result<Value, Refusal> {
    only(
        request,
        &["KeyWord", "SearchMode", "GroupId", "PageNumber", "PageSize", LANGUAGE[0], LANGUAGE[1]],
    )?;
    let page = request.number("PageNumber", 1, 100_000)?;
    let size = request.number("PageSize", 20, 100)?;
    let word = request.text("KeyWord");
    let exact = request.text("SearchMode") == "EXACT";
    let taken = |zone: &&Zone| {
        zone.uid == uid && if exact { zone.name == word } else { zone.name.contains(word) }
    };
    let found: Vec<Value> = state.zones.values().filter(taken).map(listed_zone).collect();
    let (size, items) = turn_to(&found, page, size, state.rules.page_limit);
    Ok(json!({
        "PageNumber": page,
        "PageSize": size,
        "TotalCount": found.len(),
        "Domains": { "Domain": items },
    }))
}

fn listed_zone(zone: &Zone) -> Value {
    json!({
        "DomainName": zone.name,
        "DomainId": format!("sandbox-{}", zone.name),
        "PunyCode": zone.puny_code,
        "VersionCode": "mianfei",
        "AliDomain": false,
        "RecordCount": zone.records.len(),
        "DnsServers": { "DnsServer": ["ns1.sandbox.example", "ns2.sandbox.example"] },
    })
}
