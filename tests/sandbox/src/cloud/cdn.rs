//! The CDN's actions, Version 2018-05-10.
//!
//! <https://www.alibabacloud.com/help/en/cdn/api-setdomainservercertificate> and its neighbours.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::answer::Refusal;
use super::certificate;
use super::request::Request;
use super::seed::{ForceSet, OffShows};
use super::state::{DomainState, Served, State};

/// Every action that is known, case and all.
pub(crate) const ACTIONS: &[&str] = &[
    "SetDomainServerCertificate",
    "SetCdnDomainSSLCertificate",
    "DescribeDomainCertificateInfo",
    "DescribeUserDomains",
    "DescribeCdnDomainDetail",
];

/// Parameters that any call may hold.
pub(crate) const COMMON: &[&str] = &[
    "Action",
    "Version",
    "Format",
    "AccessKeyId",
    "Signature",
    "SignatureMethod",
    "SignatureVersion",
    "SignatureType",
    "SignatureNonce",
    "Timestamp",
    "SecurityToken",
    "RegionId",
];

/// The longest CertName, in characters; documented with its code.
const CERT_NAME_LIMIT: usize = 128;

/// The most domains of one DescribeUserDomains filter; documented.
const FILTER_LIMIT: usize = 50;

/// The names that one of the two upload actions gives its parameters and refusals.
struct Words {
    status: &'static str,
    chain: &'static str,
    key: &'static str,
    bad_status: &'static str,
    bad_parameter: &'static str,
    allowed: &'static [&'static str],
    types: &'static [&'static str],
}

const OLD: Words = Words {
    status: "ServerCertificateStatus",
    chain: "ServerCertificate",
    key: "PrivateKey",
    bad_status: "InvalidServerCertificateStatus.ValueNotSupported",
    bad_parameter: "SetDomainServerCertificate.ParameterError",
    allowed: &[
        "DomainName",
        "ServerCertificateStatus",
        "CertName",
        "CertType",
        "ServerCertificate",
        "PrivateKey",
        "ForceSet",
    ],
    types: &["upload", "cas", "free"],
};

const NEW: Words = Words {
    status: "SSLProtocol",
    chain: "SSLPub",
    key: "SSLPri",
    bad_status: "InvalidSSLProtocol.ValueNotSupported",
    bad_parameter: "InvalidParameter",
    allowed: &[
        "DomainName",
        "SSLProtocol",
        "CertName",
        "CertType",
        "SSLPub",
        "SSLPri",
        "CertId",
        "CertRegion",
        "Env",
    ],
    types: &["upload", "cas"],
};

/// Carries a call out.
pub(crate) fn call(state: &mut State, uid: &str, request: &Request) -> Result<Value, Refusal> {
    match request.text("Action") {
        "SetDomainServerCertificate" => set_certificate(state, uid, request, &OLD),
        "SetCdnDomainSSLCertificate" => set_certificate(state, uid, request, &NEW),
        "DescribeDomainCertificateInfo" => describe_certificate(state, uid, request),
        "DescribeUserDomains" => describe_domains(state, uid, request),
        "DescribeCdnDomainDetail" => describe_detail(state, uid, request),
        _ => Err(Refusal::new("InvalidApi.NotFound")),
    }
}

/// The RAM resource that a call is about.
pub(crate) fn resource(uid: &str, request: &Request) -> String {
    let domain = match request.text("Action") {
        "DescribeUserDomains" => "*",
        _ => request.text("DomainName"),
    };
    format!("acs:cdn:*:{uid}:domain/{domain}")
}

/// Refuses parameters that neither the action nor every call has.
pub(crate) fn only(request: &Request, allowed: &[&str]) -> Result<(), Refusal> {
    let unknown =
        |name: &&String| !COMMON.contains(&name.as_str()) && !allowed.contains(&name.as_str());
    match request.params.keys().find(unknown) {
        None => Ok(()),
        Some(name) => Err(Refusal::new("InvalidParameter")
            .saying(format!("The parameter {name} does not belong to this action."))),
    }
}

fn set_certificate(
    state: &mut State,
    uid: &str,
    request: &Request,
    words: &Words,
) -> Result<Value, Refusal> {
    only(request, words.allowed)?;
    let name = request.required("DomainName")?.to_owned();
    let status = request.required(words.status)?;
    let cert_type = request.param("CertType").unwrap_or("upload");
    if !["on", "off"].contains(&status) {
        return Err(Refusal::new(words.bad_status));
    }
    if !words.types.contains(&cert_type) || !["", "1"].contains(&request.text("ForceSet")) {
        return Err(Refusal::new(words.bad_parameter));
    }
    if request.text("CertName").chars().count() > CERT_NAME_LIMIT {
        return Err(Refusal::new("InvalidCertName.TooLong"));
    }
    ready(own_domain(state, uid, &name)?)?;
    match (status, cert_type) {
        ("off", _) => switch_off(state, &name),
        (_, "upload") => upload(state, uid, &name, request, words)?,
        (_, "cas") => bind_stored(state, uid, &name, request)?,
        // A free certificate is applied for, which takes the CDN hours and a CNAME.
        _ => return Err(Refusal::new("Certificate.StatusError")),
    }
    Ok(json!({}))
}

/// A domain takes a change only while it is online.
fn ready(domain: &DomainState) -> Result<(), Refusal> {
    let code = match domain.status.as_str() {
        "online" => return Ok(()),
        "configuring" => "ServiceBusy",
        "offline" | "stopping" => "InvalidDomain.Offline",
        _ => "IllegalOperationDomain",
    };
    Err(Refusal::new(code))
}

fn own_domain<'a>(state: &'a State, uid: &str, name: &str) -> Result<&'a DomainState, Refusal> {
    let own = state.domains.get(name).filter(|domain| domain.uid == uid);
    own.ok_or_else(|| Refusal::new("InvalidDomain.NotFound"))
}

fn switch_off(state: &mut State, name: &str) {
    state.keep_shown(name);
    state.domain_mut(name).bound = None;
}

fn upload(
    state: &mut State,
    uid: &str,
    name: &str,
    request: &Request,
    words: &Words,
) -> Result<(), Refusal> {
    for pem in [words.chain, words.key] {
        if request.text(pem).is_empty() {
            return Err(Refusal::new(&format!("{pem}.MissingParameter")));
        }
        if request.text(pem).len() > state.rules.pem_limit {
            return Err(Refusal::new("InvalidCertificate.TooLong"));
        }
    }
    let (chain, key) = (request.text(words.chain), request.text(words.key));
    certificate::check(chain, key, state.rules.key_format, state.now()).map_err(|refusal| {
        // The successor names its parameters in these two codes.
        let code = refusal.code.replace("InvalidCertificate", &format!("Invalid{}", words.chain));
        let code = code.replace("InvalidPrivateKey", &format!("Invalid{}", words.key));
        let old = words.chain == OLD.chain;
        if old { refusal } else { Refusal { code, ..refusal } }
    })?;
    let force = request.text("ForceSet") == "1";
    let cert_name = match request.text("CertName") {
        "" => format!("cert-{}", state.next_id() % 100_000_000),
        given => given.to_owned(),
    };
    let exists = state.certificates.contains_key(&(uid.to_owned(), cert_name.clone()));
    if exists && !force {
        return Err(Refusal::new("Certificate.Duplicated"));
    }
    store(state, uid, name, &cert_name, (chain, key));
    Ok(())
}

/// Stores a certificate under its name and binds the domain to it, and with it whatever was bound to that name.
fn store(state: &mut State, uid: &str, name: &str, cert_name: &str, pair: (&str, &str)) {
    let mut touched: BTreeSet<String> = state.bound_to(uid, cert_name).into_iter().collect();
    if state.rules.force_set == ForceSet::OneDomain {
        part_from(state, uid, cert_name, &touched, name);
        touched.clear();
    }
    touched.insert(name.to_owned());
    touched.iter().for_each(|domain| state.keep_shown(domain));
    let (id, updated) = (state.next_id(), state.now());
    let served = Served {
        cert_name: cert_name.to_owned(),
        chain_pem: pair.0.to_owned(),
        key_pem: pair.1.to_owned(),
        fingerprint: certificate::fingerprint(pair.0).unwrap_or_default(),
        updated,
        cert_type: "upload".to_owned(),
        id,
    };
    state.certificates.insert((uid.to_owned(), cert_name.to_owned()), served);
    state.domain_mut(name).bound = Some(cert_name.to_owned());
}

/// The harmless reading of ForceSet: the others keep what they had, under a name of its own.
fn part_from(
    state: &mut State,
    uid: &str,
    cert_name: &str,
    bound: &BTreeSet<String>,
    target: &str,
) {
    let Some(old) = state.certificates.get(&(uid.to_owned(), cert_name.to_owned())).cloned() else {
        return;
    };
    for other in bound.iter().filter(|other| *other != target) {
        let kept = format!("{cert_name}-{}", state.next_id());
        let served = Served { cert_name: kept.clone(), ..old.clone() };
        state.certificates.insert((uid.to_owned(), kept.clone()), served);
        state.domain_mut(other).bound = Some(kept);
    }
}

fn bind_stored(state: &mut State, uid: &str, name: &str, request: &Request) -> Result<(), Refusal> {
    let (cert_name, id) = (request.text("CertName"), request.text("CertId"));
    let found = state.certificates.iter().find(|((owner, stored), served)| {
        owner == uid && (stored == cert_name || served.id.to_string() == id)
    });
    let Some(((_, stored), _)) = found else { return Err(Refusal::new("Certificate.NotFind")) };
    let stored = stored.clone();
    state.keep_shown(name);
    state.domain_mut(name).bound = Some(stored);
    Ok(())
}

fn describe_certificate(state: &mut State, uid: &str, request: &Request) -> Result<Value, Refusal> {
    only(request, &["DomainName"])?;
    let name = request.required("DomainName")?.to_owned();
    own_domain(state, uid, &name)?;
    let entry = match (state.shown(&name), state.rules.off_shows) {
        (Some(served), _) => vec![entry(&name, &served)],
        (None, OffShows::Nothing) => vec![],
        (None, OffShows::Entry) => vec![json!({
            "DomainName": name,
            "ServerCertificateStatus": "off",
            "DomainCnameStatus": "ok",
        })],
    };
    Ok(json!({ "CertInfos": { "CertInfo": entry } }))
}

fn entry(name: &str, served: &Served) -> Value {
    let facts = certificate::facts_of(&served.chain_pem);
    let text = |time: jiff::Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut entry = json!({
        "DomainName": name,
        "CertName": served.cert_name,
        "CertId": served.id.to_string(),
        "CertType": served.cert_type,
        "CertRegion": "cn-hangzhou",
        "CertUpdateTime": text(served.updated),
        "ServerCertificateStatus": "on",
        "ServerCertificate": served.chain_pem,
        "Status": "success",
        "DomainCnameStatus": "ok",
    });
    if let Some(facts) = facts {
        let days = facts.not_after.duration_since(facts.not_before).as_hours() / 24;
        entry["CertDomainName"] = json!(facts.common_name);
        entry["CertOrg"] = json!(facts.issuer);
        entry["CertLife"] = json!(format!("{days} days"));
        entry["CertStartTime"] = json!(text(facts.not_before));
        entry["CertExpireTime"] = json!(text(facts.not_after));
    }
    entry
}

fn describe_domains(state: &mut State, uid: &str, request: &Request) -> Result<Value, Refusal> {
    only(
        request,
        &[
            "PageNumber",
            "PageSize",
            "DomainName",
            "DomainSearchType",
            "DomainStatus",
            "CdnType",
            "Coverage",
            "CheckDomainShow",
        ],
    )?;
    let page = request.number("PageNumber", 1, 100_000)?;
    let size = request.number("PageSize", 20, 500)?;
    let filter = Filter::read(request)?;
    let own = state.domains.iter().filter(|(_, domain)| domain.uid == uid);
    let found: Vec<Value> = own
        .filter(|(name, domain)| filter.takes(name, domain))
        .map(|(name, domain)| listed(name, domain))
        .collect();
    let (size, items) = turn_to(&found, page, size, state.rules.page_limit);
    Ok(json!({
        "PageNumber": page,
        "PageSize": size,
        "TotalCount": found.len(),
        "Domains": { "PageData": items },
    }))
}

/// One page of a list, and the page size that was really used.
pub(crate) fn turn_to(
    found: &[Value],
    page: usize,
    size: usize,
    limit: usize,
) -> (usize, Vec<Value>) {
    let size = if limit == 0 { size } else { size.min(limit) };
    (size, found.iter().skip((page - 1) * size).take(size).cloned().collect())
}

/// The filters of DescribeUserDomains.
struct Filter {
    names: Vec<String>,
    search: String,
    status: String,
    cdn_type: String,
}

impl Filter {
    fn read(request: &Request) -> Result<Self, Refusal> {
        let names: Vec<String> = request
            .text("DomainName")
            .split(',')
            .filter(|name| !name.is_empty())
            .map(String::from)
            .collect();
        let search = request.param("DomainSearchType").unwrap_or("full_match").to_owned();
        let kinds = ["fuzzy_match", "pre_match", "suf_match", "full_match"];
        if names.len() > FILTER_LIMIT || !kinds.contains(&search.as_str()) {
            return Err(Refusal::invalid("DomainSearchType"));
        }
        let (status, cdn_type) = (request.text("DomainStatus"), request.text("CdnType"));
        Ok(Self { names, search, status: status.to_owned(), cdn_type: cdn_type.to_owned() })
    }

    fn takes(&self, name: &str, domain: &DomainState) -> bool {
        let fits = |wanted: &String| match self.search.as_str() {
            "fuzzy_match" => name.contains(wanted),
            "pre_match" => name.starts_with(wanted),
            "suf_match" => name.ends_with(wanted),
            _ => name == wanted,
        };
        let named = self.names.is_empty() || self.names.iter().any(fits);
        let in_status = self.status.is_empty() || self.status == domain.status;
        named && in_status && (self.cdn_type.is_empty() || self.cdn_type == domain.cdn_type)
    }
}

fn listed(name: &str, domain: &DomainState) -> Value {
    json!({
        "DomainName": name,
        "DomainId": domain.id,
        "Cname": domain.cname,
        "CdnType": domain.cdn_type,
        "Coverage": "domestic",
        "DomainStatus": domain.status,
        "SslProtocol": if domain.bound.is_some() { "on" } else { "off" },
        // Seconds are missing at times, as they are in the real answers.
        "GmtCreated": "2019-09-11T15:03Z",
        "GmtModified": "2019-09-11T15:03:04Z",
        "Sandbox": "normal",
        "Description": "",
        "ResourceGroupId": "rg-sandbox",
        "Sources": { "Source": [
            { "Content": "192.0.2.1", "Port": 80, "Priority": "20", "Type": "ipaddr", "Weight": "10" },
        ] },
    })
}

fn describe_detail(state: &mut State, uid: &str, request: &Request) -> Result<Value, Refusal> {
    only(request, &["DomainName"])?;
    let name = request.required("DomainName")?;
    let domain = own_domain(state, uid, name)?;
    Ok(json!({ "GetDomainDetailModel": {
        "DomainName": name,
        "DomainStatus": domain.status,
        "Cname": domain.cname,
        "HttpsCname": domain.cname,
        "CdnType": domain.cdn_type,
        "Scope": "domestic",
        "ServerCertificateStatus": if domain.bound.is_some() { "on" } else { "off" },
        "GmtCreated": "2019-09-11T15:03Z",
        "GmtModified": "2019-09-11T15:03:04Z",
        "Description": "",
        "ResourceGroupId": "rg-sandbox",
        "SourceModels": { "SourceModel": [] },
    } }))
}
