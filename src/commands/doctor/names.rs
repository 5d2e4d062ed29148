//! The names that are issued for: where their proof goes, who holds that zone, and which CAA records rule them.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};

use super::authority::{self, Authorities, Authority};
use super::cloud::{Cloud, state_of};
use super::{grants, issued, patient, told_code};
use crate::caa::Wish;
use crate::config::{self, Certificate, Challenge, Provider};
use crate::dns::{Asker, CaaSet, Texts, zone_at, zone_of};
use crate::doctor::{self, Check, State};
use crate::persist::{METHOD, Need};
use crate::run::Run;
use crate::told;

/// Names side by side: some questions each, to servers of one's own.
const NAMES: usize = 16;

/// What the DNS said.
#[derive(Default)]
pub(super) struct Names {
    checks: Vec<Check>,
    /// None: it was not asked for.
    seen: Vec<Option<Seen>>,
}

/// A name without `*.`, and in which forms it is asked for.
struct Name {
    lineage: String,
    dns: String,
    name: String,
    forms: Vec<Form>,
    challenge: Challenge,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Plain,
    Wildcard,
}

struct Seen {
    name: Name,
    proof: Proof,
    caa: anyhow::Result<CaaSet>,
}

/// What is to be seen of a name's proof.
enum Proof {
    /// It will be put.
    Put {
        /// Where it goes, after CNAMEs.
        place: anyhow::Result<String>,
        /// The zone, where the name server of the access says it.
        zone: Option<anyhow::Result<String>>,
    },
    /// It stands there for good.
    Stands(anyhow::Result<Vec<Texts>>),
}

/// Asks the DNS of all names; those of an access whose servers are all silent are not asked.
pub(super) async fn ask(run: &Run) -> Names {
    let mut all = Names::default();
    let mut silent = BTreeSet::new();
    let accesses = first_names(run).into_iter().filter_map(|(dns, first)| {
        let access = run.config.dns.get(dns)?;
        Some(async move { (dns, servers(dns, access, first).await) })
    });
    for (dns, mut checks) in join_all(accesses).await {
        let is_bad = |check: &Check| check.state == State::Bad;
        if checks.iter().all(is_bad) {
            silent.insert(dns);
        } else {
            // A dead server among several blocks nothing.
            let dead = checks.iter_mut().filter(|check| is_bad(check));
            dead.for_each(|check| check.state = State::Warning);
        }
        all.checks.extend(checks);
    }
    let names = issued(run).flat_map(names).filter(|name| !silent.contains(name.dns.as_str()));
    all.seen = look_at(run, names).await;
    let left = all.seen.iter().filter(|seen| seen.is_none()).count();
    let text = format!("names that were not asked for: {left}");
    let check =
        Check::new("zone", "", State::Unknown, text).or_help("see what is said of the others");
    all.checks.extend((left > 0).then_some(check));
    all
}

/// Names side by side, in their order. Where one round of them gets no answer, nor will the rest: none.
async fn look_at(run: &Run, names: impl Iterator<Item = Name>) -> Vec<Option<Seen>> {
    let unanswered = &Cell::new(0_usize);
    let looks = names.map(|name| async move {
        if unanswered.get() >= NAMES {
            return None;
        }
        let access = run.config.dns.get(&name.dns);
        let seen = look(name, access).await;
        let is_unanswered = seen.proof.is_unanswered() && seen.caa.is_err();
        unanswered.set(unanswered.get() + usize::from(is_unanswered));
        Some(seen)
    });
    stream::iter(looks).buffered(NAMES).collect().await
}

/// One name of each access that is in use.
fn first_names(run: &Run) -> BTreeMap<&str, &str> {
    let mut first = BTreeMap::new();
    for certificate in issued(run) {
        if let Some(name) = certificate.domains.first() {
            let plain = name.strip_prefix("*.").unwrap_or(name);
            first.entry(certificate.dns.as_str()).or_insert(plain);
        }
    }
    first
}

/// The servers that must show a record: does each answer?
async fn servers(dns: &str, access: &config::Dns, name: &str) -> Vec<Check> {
    let help = format!("name servers that can be asked from here: `nameservers` of [dns.{dns}]");
    let reached = match patient(Asker::new(&access.nameservers).reach(name)).await {
        Ok(reached) => reached,
        Err(error) => return vec![Check::bad("nameserver", "", &error).or_help(help)],
    };
    let check = |(server, why): (String, Option<String>)| match why {
        None => Check::good("nameserver", server, format!("answers ([dns.{dns}])")).of(dns),
        Some(why) => Check::new("nameserver", server, State::Bad, why).or_help(help.as_str()),
    };
    reached.into_iter().map(check).collect()
}

fn names(certificate: &Certificate) -> Vec<Name> {
    let mut forms: BTreeMap<&str, Vec<Form>> = BTreeMap::new();
    for written in &certificate.domains {
        let (name, form) = match written.strip_prefix("*.") {
            Some(name) => (name, Form::Wildcard),
            None => (written.as_str(), Form::Plain),
        };
        forms.entry(name).or_default().push(form);
    }
    let name = |(name, forms): (&str, Vec<Form>)| Name {
        lineage: certificate.name.clone(),
        dns: certificate.dns.clone(),
        name: name.to_owned(),
        forms,
        challenge: certificate.challenge,
    };
    forms.into_iter().map(name).collect()
}

/// Where records stand for good there may be no access.
async fn look(name: Name, access: Option<&config::Dns>) -> Seen {
    let nameservers = access.map(|access| access.nameservers.as_slice()).unwrap_or_default();
    let asker = &Asker::new(nameservers);
    let (proof, caa) = tokio::join!(proof(&name, asker, access), patient(asker.caa(&name.name)));
    Seen { name, proof, caa }
}

async fn proof(name: &Name, asker: &Asker, access: Option<&config::Dns>) -> Proof {
    if name.challenge == Challenge::DnsPersist01 {
        return Proof::Stands(patient(asker.texts(&name.need().place())).await);
    }
    let place = patient(asker.follow(&format!("_acme-challenge.{}", name.name))).await;
    let mut zone = None;
    let provider = access.map(|access| &access.provider);
    if let (Some(Provider::Rfc2136 { server, .. }), Ok(place)) = (provider, &place) {
        zone = Some(match server {
            Some(server) => patient(zone_at(*server, place)).await,
            None => patient(asker.zone_of_primary(place)).await,
        });
    }
    Proof::Put { place, zone }
}

impl Names {
    /// The checks, once the CA and the cloud have answered.
    pub(super) fn judged(self, run: &Run, authorities: &Authorities, cloud: &Cloud) -> Vec<Check> {
        let seen = || self.seen.iter().flatten();
        let zones = seen().flat_map(|seen| seen.proof_checks(run, authorities, cloud));
        let caa = seen().flat_map(|seen| seen.caa_of_each(run, authorities));
        let more: Vec<Check> = zones.chain(caa).collect();
        self.checks.into_iter().chain(more).collect()
    }
}

impl Name {
    fn need(&self) -> Need {
        Need { name: self.name.clone(), wildcard: self.forms.contains(&Form::Wildcard) }
    }
}

impl Proof {
    fn is_unanswered(&self) -> bool {
        match self {
            Self::Put { place, .. } => place.is_err(),
            Self::Stands(shown) => shown.is_err(),
        }
    }
}

impl Seen {
    fn proof_checks(&self, run: &Run, authorities: &Authorities, cloud: &Cloud) -> Vec<Check> {
        match &self.proof {
            Proof::Put { place, zone } => {
                vec![self.zone_check(run, cloud, place.as_deref(), zone.as_ref())]
            }
            Proof::Stands(shown) => {
                let need = self.name.need();
                let check = |ca| grants::check(run, &need, shown, ca).of(&self.name.lineage);
                self.cas(run, authorities).map(check).collect()
            }
        }
    }

    /// The CAs that may be asked for the name.
    fn cas<'a>(
        &'a self,
        run: &'a Run,
        authorities: &'a Authorities,
    ) -> impl Iterator<Item = (&'a config::Acme, &'a Authority)> {
        let one = issued(run).find(|one| one.name == self.name.lineage);
        let cas = one.into_iter().flat_map(|one| authority::of(run, one));
        cas.filter_map(|acme| Some((acme, authorities.get(&acme.name)?)))
    }

    fn zone_check(
        &self,
        run: &Run,
        cloud: &Cloud,
        place: Result<&str, &anyhow::Error>,
        said: Option<&anyhow::Result<String>>,
    ) -> Check {
        let Name { name, lineage, dns, .. } = &self.name;
        let challenge = format!("_acme-challenge.{name}");
        let place = match place {
            Ok(place) => place,
            Err(error) => return Check::bad("zone", challenge, error).of(lineage),
        };
        let alias = match place == challenge {
            true => String::new(),
            false => format!("a CNAME leads to {place}; "),
        };
        let check = match self.zone(run, cloud, place, said) {
            Ok(Some(zone)) => {
                Check::good("zone", challenge, format!("{alias}[dns.{dns}] holds the zone {zone}"))
            }
            Ok(None) => Check::good("zone", challenge, format!("{alias}[dns.{dns}] puts it")),
            Err((state, text)) => Check::new("zone", challenge, state, text),
        };
        check.of(lineage)
    }

    /// The zone that holds the proof; none where the access does not tell.
    fn zone(
        &self,
        run: &Run,
        cloud: &Cloud,
        place: &str,
        said: Option<&anyhow::Result<String>>,
    ) -> Result<Option<String>, (State, String)> {
        let bad = |error: &anyhow::Error| (State::Bad, told::text(error));
        if let Some(zone) = said {
            return zone.as_ref().map(|zone| Some(zone.clone())).map_err(bad);
        }
        let access = run.config.dns.get(&self.name.dns).map(|access| &access.provider);
        let Some(Provider::Alidns { aliyun }) = access else { return Ok(None) };
        match cloud.zones.get(aliyun) {
            Some(Ok(zones)) => zone_of(zones, place, aliyun)
                .map(|zone| Some(zone.to_owned()))
                .map_err(|error| bad(&error)),
            Some(Err(error)) => Err((state_of(error), told_code(error))),
            None => {
                let text = "the account was not asked\nhelp: see what is said of it";
                Err((State::Unknown, text.to_owned()))
            }
        }
    }

    /// What the records say to each CA that may be asked for the name.
    fn caa_of_each(&self, run: &Run, authorities: &Authorities) -> Vec<Check> {
        self.cas(run, authorities).flat_map(|(_, authority)| self.caa_checks(authority)).collect()
    }

    fn caa_checks(&self, authority: &Authority) -> Vec<Check> {
        let Name { name, lineage, forms, .. } = &self.name;
        let set = match &self.caa {
            Ok(set) => set,
            Err(error) => {
                let check = Check::new("caa", name, State::Warning, told::text(error));
                return vec![check.of(lineage)];
            }
        };
        let check = |form: &Form| {
            let wildcard = *form == Form::Wildcard;
            let star = if wildcard { "*." } else { "" };
            let (identities, account) = (&authority.identities, authority.account.as_deref());
            let method = match self.name.challenge {
                Challenge::Dns01 => "dns-01",
                Challenge::DnsPersist01 => METHOD,
            };
            let wish = Wish { identities, account, wildcard, method };
            doctor::caa(&format!("{star}{name}"), &set.at, &set.properties, &wish).of(lineage)
        };
        forms.iter().map(check).collect()
    }
}
