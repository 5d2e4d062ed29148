//! Validation (RFC 8555 section 8): what is asked of the DNS, and what the answers decide.

use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hickory_server::proto::rr::{RData, RecordType};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Shared;
use super::ask::{Asker, Found, Lost};
use super::caa::{Property, Wish};
use super::persist::Grantee;
use super::problem::Problem;
use super::state::{Method, State, Status};

/// All that a validation needs to know, so that no lock is held while it asks.
struct Job {
    asker: Asker,
    name: String,
    wildcard: bool,
    method: Method,
    /// What the TXT record must hold.
    expected: String,
    account: String,
    identities: Vec<String>,
    /// What a record of `dns-persist-01` may name, and the time that ends one.
    grantee: Grantee,
    now: Timestamp,
}

/// Validates a challenge, and writes down what came of it.
pub(crate) async fn run(shared: Arc<Shared>, id: usize, place: usize) {
    let delay = shared.state().rules.validation_delay;
    tokio::time::sleep(delay).await;
    let job = Job::of(&shared.state(), id, place);
    let proof = job.prove().await;
    settle(&mut shared.state(), id, place, proof);
}

fn settle(state: &mut State, id: usize, place: usize, proof: Result<(), Problem>) {
    let now = state.now();
    let authorization = &mut state.authorizations[id];
    if authorization.status != Status::Pending {
        return;
    }
    let challenge = &mut authorization.challenges[place];
    challenge.validated = Some(now);
    match proof {
        Ok(()) => {
            challenge.status = Status::Valid;
            authorization.status = Status::Valid;
            authorization.expires = now + authorization.life;
        }
        Err(problem) => {
            challenge.status = Status::Invalid;
            challenge.error = Some(problem);
            authorization.status = Status::Invalid;
            state.failures.push((authorization.account, authorization.name.clone(), now));
        }
    }
}

impl Job {
    fn of(state: &State, id: usize, place: usize) -> Self {
        let authorization = &state.authorizations[id];
        let challenge = &authorization.challenges[place];
        let thumbprint = state.accounts[authorization.account].key.thumbprint();
        let proof = format!("{}.{thumbprint}", challenge.token);
        Self {
            asker: Asker {
                servers: state.rules.dns_servers.clone(),
                timeout: state.rules.dns_timeout,
            },
            name: authorization.name.clone(),
            wildcard: authorization.wildcard,
            method: challenge.method,
            expected: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(proof.as_bytes())),
            account: state.account_url(authorization.account),
            identities: state.rules.caa_identities.clone(),
            grantee: Grantee::of(state, authorization.account, &authorization.name),
            now: state.now(),
        }
    }

    async fn prove(&self) -> Result<(), Problem> {
        match self.method {
            Method::Dns01 => self.prove_by_dns().await?,
            Method::DnsPersist01 => self.prove_by_grant().await?,
            Method::Http01 | Method::TlsAlpn01 => {
                let detail = format!("{}: connection refused", self.name);
                return Err(Problem::new("connection", detail));
            }
        }
        self.check_caa().await
    }

    async fn prove_by_dns(&self) -> Result<(), Problem> {
        let name = format!("_acme-challenge.{}", self.name);
        for found in self.ask(&name, RecordType::TXT).await? {
            let texts: Vec<String> = found.records.iter().filter_map(text).collect();
            if texts.contains(&self.expected) {
                continue;
            }
            // Every server is asked, as a CA with several vantage points asks several: one that lags fails it.
            return Err(match texts.first() {
                Some(first) => Problem::unauthorized(format!(
                    "incorrect TXT record {first:?} (and {} more) found at {name}",
                    texts.len() - 1
                )),
                None => Problem::unauthorized(format!("no TXT record found at {name}")),
            });
        }
        Ok(())
    }

    async fn prove_by_grant(&self) -> Result<(), Problem> {
        let name = format!("_validation-persist.{}", self.name);
        for found in self.ask(&name, RecordType::TXT).await? {
            let texts: Vec<String> = found.records.iter().filter_map(text).collect();
            self.grantee.check(&name, &texts, self.wildcard, self.now)?;
        }
        Ok(())
    }

    /// Climbs to the closest CAA records (RFC 8659 section 3), up to below the top-level domain, which is not here.
    async fn check_caa(&self) -> Result<(), Problem> {
        let mut name = self.name.as_str();
        while name.contains('.') {
            if self.is_served(name).await {
                let sets = self.ask(name, RecordType::CAA).await?;
                if sets.iter().any(|found| !found.records.is_empty()) {
                    return self.granted(name, &sets);
                }
            }
            name = name.split_once('.').map_or("", |(_, parent)| parent);
        }
        Ok(())
    }

    fn granted(&self, name: &str, sets: &[Found]) -> Result<(), Problem> {
        let wish = Wish {
            identities: &self.identities,
            wildcard: self.wildcard,
            account: &self.account,
            method: self.method.word(),
        };
        let properties = |found: &Found| -> Vec<Property> {
            found.records.iter().filter_map(property).collect()
        };
        if sets.iter().all(|found| wish.is_granted(&properties(found))) {
            return Ok(());
        }
        Err(Problem::new("caa", format!("the CAA record for {name} prevents issuance")))
    }

    /// Whether the sandbox has a zone for the name: above its zones there is nothing to ask.
    async fn is_served(&self, name: &str) -> bool {
        let answers = self.asker.everywhere(name, RecordType::SOA).await;
        let refused =
            |answer: &Result<Found, Lost>| answer.as_ref().err().is_some_and(|lost| lost.refused);
        answers.iter().any(Result::is_ok) || !answers.iter().any(refused)
    }

    /// The answers of all servers that have one; those that are dead or broken are passed over while one is not.
    async fn ask(&self, name: &str, kind: RecordType) -> Result<Vec<Found>, Problem> {
        let answers = self.asker.everywhere(name, kind).await;
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        for answer in answers {
            match answer {
                Ok(answer) => found.push(answer),
                Err(lost) => failed.push(lost.why),
            }
        }
        if found.is_empty() {
            let why = failed.into_iter().next().unwrap_or_else(|| "no DNS server".to_owned());
            return Err(Problem::new("dns", format!("DNS problem: {why}")));
        }
        if kind == RecordType::TXT && found.iter().all(|found| found.is_no_name) {
            let detail = format!("DNS problem: NXDOMAIN looking up {kind} for {name}");
            return Err(Problem::new("dns", detail));
        }
        Ok(found)
    }
}

/// The strings of a TXT record as one.
fn text(record: &RData) -> Option<String> {
    let RData::TXT(txt) = record else { return None };
    let bytes: Vec<u8> = txt.txt_data.iter().flat_map(|string| string.iter().copied()).collect();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn property(record: &RData) -> Option<Property> {
    let RData::CAA(caa) = record else { return None };
    Some(Property {
        critical: caa.issuer_critical,
        tag: caa.tag.clone(),
        value: String::from_utf8_lossy(&caa.value).into_owned(),
    })
}
