//! The cloud: keys, what they may read, and how the CDN domains stand.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;
use futures_util::{StreamExt, stream};
use tokio::time::Instant;

use super::{PATIENCE, issued, keys, told_code};
use crate::aliyun::{Account, Error, Kind, UserDomain, Zone};
use crate::cert::Leaf;
use crate::config::{EdgeAt, Provider, Verify};
use crate::doctor::{self, Check, State};
use crate::plan::{Foreign, Lineage, Owned};
use crate::run::Run;

/// Looks side by side: each is one small read, and the account's pace holds them.
const LOOKS: usize = 64;

/// What the accounts said.
#[derive(Default)]
pub(super) struct Cloud {
    pub(super) checks: Vec<Check>,
    /// The domains of Alibaba Cloud DNS by account, or why they are not known.
    pub(super) zones: BTreeMap<String, Result<Vec<Zone>, Error>>,
}

/// What is asked of one account.
struct Wanted<'a> {
    name: &'a str,
    targets: Vec<(&'a Lineage, &'a Owned)>,
    proves_names: bool,
    list: List,
}

/// What the list of its CDN domains is for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum List {
    /// To tell which of them are online.
    Told,
    /// To find the edges: without it, uploads are proved by the read-back alone.
    Edges,
    /// To find the targets: a run fails without it.
    Targets,
}

/// Asks all accounts side by side.
pub(super) async fn ask(run: &Run, lineages: &[Lineage]) -> Cloud {
    let wanted = wanted(run, lineages);
    let number: usize = wanted.iter().map(|one| one.targets.len()).sum();
    run.ground.say.steps(u64::try_from(number).unwrap_or(u64::MAX));
    let mut all = Cloud::default();
    for said in join_all(wanted.iter().map(|wanted| ask_account(run, wanted))).await {
        all.checks.extend(said.checks);
        all.zones.extend(said.zones);
    }
    all
}

fn wanted<'a>(run: &'a Run, lineages: &'a [Lineage]) -> Vec<Wanted<'a>> {
    let mut targets: BTreeMap<&str, Vec<(&Lineage, &Owned)>> = BTreeMap::new();
    for lineage in lineages {
        for owned in &lineage.targets {
            let of_account = targets.entry(&owned.target.aliyun).or_default();
            of_account.push((lineage, owned));
        }
    }
    let proving: BTreeSet<&str> =
        issued(run).filter_map(|one| alidns_account(run, one.puts_by()?)).collect();
    let discovering = lineages.iter().flat_map(|lineage| &lineage.discovers);
    for name in proving.iter().copied().chain(discovering.map(|wish| wish.aliyun.as_str())) {
        targets.entry(name).or_default();
    }
    if run.config.certificates.is_empty() {
        // What a hook would use.
        targets.entry("default").or_default();
    }
    let wanted = |(name, targets)| Wanted {
        name,
        targets,
        proves_names: proving.contains(name),
        list: list_for(name, lineages),
    };
    targets.into_iter().map(wanted).collect()
}

fn list_for(account: &str, lineages: &[Lineage]) -> List {
    let discovers =
        lineages.iter().flat_map(|one| &one.discovers).any(|wish| wish.aliyun == account);
    let at_edge = lineages
        .iter()
        .flat_map(|one| &one.targets)
        .any(|owned| owned.target.aliyun == account && owned.verify == Verify::Edge(EdgeAt::Cname));
    match (discovers, at_edge) {
        (true, _) => List::Targets,
        (false, true) => List::Edges,
        (false, false) => List::Told,
    }
}

fn alidns_account<'a>(run: &'a Run, dns: &str) -> Option<&'a str> {
    let Provider::Alidns { aliyun } = &run.config.dns.get(dns)?.provider else { return None };
    Some(aliyun)
}

async fn ask_account(run: &Run, wanted: &Wanted<'_>) -> Cloud {
    let mut said = Cloud::default();
    let account = match run.account(wanted.name) {
        Ok(account) => account,
        Err(error) => {
            said.checks.push(failed("credentials", wanted.name, &error));
            said.checks.extend(not_asked(wanted.name, wanted.targets.len()));
            return said;
        }
    };
    said.checks.extend(keys::found(run, &in_time(&account)).await);
    let is_bad = |check: &Check| check.state == State::Bad;
    if !said.checks.iter().any(is_bad) {
        said.checks.extend(keys::identity(&in_time(&account)).await);
    }
    if said.checks.iter().any(is_bad) {
        said.checks.extend(not_asked(wanted.name, wanted.targets.len()));
        return said;
    }
    let probed = probe(&mut said, wanted, &account).await;
    let off = account.clock_ahead();
    said.checks.extend(off.map(|ahead| doctor::clock(&format!("[aliyun.{}]", wanted.name), ahead)));
    match probed {
        Ok(domains) => said.checks.extend(targets(run, wanted, &account, &domains).await),
        Err(()) => said.checks.extend(not_asked(wanted.name, wanted.targets.len())),
    }
    said
}

/// Asks for the account's lists: its CDN domains, as far as they may be known.
///
/// # Errors
/// Every other call would fail in the same way; that is told already.
async fn probe(
    said: &mut Cloud,
    wanted: &Wanted<'_>,
    account: &Account,
) -> Result<Vec<UserDomain>, ()> {
    let mut domains = Vec::new();
    // An account that only holds zones may have no CDN at all.
    if !wanted.targets.is_empty() || !wanted.proves_names || wanted.list > List::Told {
        let list = in_time(account).describe_user_domains().await;
        said.checks.push(listed(wanted, &list));
        if list.as_ref().err().is_some_and(stops_all) {
            return Err(());
        }
        domains = list.unwrap_or_default();
    }
    if wanted.proves_names {
        let zones = in_time(account).describe_domains().await;
        said.zones.insert(wanted.name.to_owned(), zones);
    }
    Ok(domains)
}

/// The list of CDN domains. Where nothing depends on it, that it may not be read is no fault.
fn listed(wanted: &Wanted<'_>, domains: &Result<Vec<UserDomain>, Error>) -> Check {
    let account = wanted.name;
    match domains {
        Ok(domains) => {
            Check::good("cloud", account, format!("answers; CDN domains {}", domains.len()))
        }
        Err(error) if error.kind == Kind::Permission && wanted.list == List::Edges => {
            let text =
                "answers; its CDN domains may not be listed, so where their edges are is not known";
            Check::new("cloud", account, State::Warning, text).or_help(error.help.as_str())
        }
        Err(error) if error.kind == Kind::Permission && wanted.list == List::Told => {
            let text = "answers; its CDN domains may not be listed, so whether they are online is not known";
            let help =
                "not needed, but for hooks without --domain: RAM action cdn:DescribeUserDomains";
            Check::new("cloud", account, State::Unknown, text).or_help(help)
        }
        Err(error) => failed("cloud", account, error),
    }
}

/// Would every other call fail in the same way?
fn stops_all(error: &Error) -> bool {
    matches!(
        error.kind,
        Kind::Transport | Kind::UnknownOutcome | Kind::Clock | Kind::Credentials | Kind::Config
    )
}

fn not_asked(account: &str, number: usize) -> Option<Check> {
    let text = format!("CDN domains that were not asked for: {number}");
    let check = Check::new("target", account, State::Unknown, text);
    (number > 0).then(|| check.or_help("see what is said of the account and of the others"))
}

/// The CDN domains, each by itself. Where one round of them gets no answer, nor will the rest.
async fn targets(
    run: &Run,
    wanted: &Wanted<'_>,
    account: &Account,
    domains: &[UserDomain],
) -> Vec<Check> {
    let status: BTreeMap<String, &str> = domains
        .iter()
        .map(|domain| (domain.name.to_ascii_lowercase(), domain.status.as_str()))
        .filter(|(_, status)| !status.is_empty())
        .collect();
    let silent = Cell::new(0_usize);
    let (status, silent) = (&status, &silent);
    let looks = wanted.targets.iter().map(|(lineage, owned)| async move {
        run.ground.say.step_done();
        if silent.get() >= LOOKS {
            return None;
        }
        let status = status.get(&owned.target.domain.api_name).copied();
        let check = target(run, account, owned, status).await;
        silent.set(silent.get() + usize::from(check.state == State::Unknown));
        Some(check.of(&lineage.name))
    });
    let checks: Vec<Option<Check>> = stream::iter(looks).buffered(LOOKS).collect().await;
    let left = checks.iter().filter(|check| check.is_none()).count();
    checks.into_iter().flatten().chain(not_asked(wanted.name, left)).collect()
}

async fn target(run: &Run, account: &Account, owned: &Owned, status: Option<&str>) -> Check {
    let domain = &owned.target.domain;
    let read = in_time(account).describe_domain_certificate_info(&domain.api_name).await;
    let shown = match read {
        Ok(shown) => shown.filter(|shown| shown.status_on),
        Err(error) if error.kind == Kind::Permission && does_without(run, owned) => {
            return unread(owned, &error);
        }
        Err(error) => return failed("target", &domain.written, &error),
    };
    let pem = shown.and_then(|shown| shown.certificate_pem);
    let leaf = pem.and_then(|pem| Leaf::read(pem.as_bytes()).ok());
    doctor::serves(&domain.written, leaf.map(|leaf| leaf.not_after), status)
}

/// Would a run upload to it without a look? Not to a discovered one that has never taken ours: somebody else's may be there.
fn does_without(run: &Run, owned: &Owned) -> bool {
    let has_taken = || {
        let memory = run.store.as_ref().and_then(|store| store.target(&owned.target).ok());
        memory.is_some_and(|memory| memory.taken.is_some())
    };
    owned.discovered != Some(Foreign::LeftAlone) || has_taken()
}

/// A run takes the cloud's word in place of the read-back that it may not have, and says so.
fn unread(owned: &Owned, error: &Error) -> Check {
    let domain = owned.target.domain.written.as_str();
    if owned.verify == Verify::None {
        let text = "what it serves may not be read back, nor need it be (`verify = \"none\"`)";
        return Check::good("target", domain, text);
    }
    let text = format!(
        "what it serves may not be read back [{}]; what the cloud accepts must do\nhelp: grant \
         `cdn:DescribeDomainCertificateInfo` on it to the RAM user, or write `verify = \"none\"`",
        error.code
    );
    Check::new("target", domain, State::Warning, text)
}

/// Each call by itself has its time; the pace takes none of it from those that wait.
fn in_time(account: &Account) -> Account {
    account.until(Some(Instant::now() + PATIENCE))
}

/// A call that failed.
pub(super) fn failed(name: &'static str, subject: &str, error: &Error) -> Check {
    Check::new(name, subject, state_of(error), told_code(error))
}

/// It would fail again, or it says nothing.
pub(super) fn state_of(error: &Error) -> State {
    match error.kind {
        Kind::UnknownOutcome | Kind::Throttled | Kind::Busy | Kind::Server | Kind::NotEffective => {
            State::Unknown
        }
        Kind::Transport
        | Kind::Clock
        | Kind::Credentials
        | Kind::Permission
        | Kind::DomainNotFound
        | Kind::NoSuchApi
        | Kind::Config
        | Kind::Permanent => State::Bad,
    }
}
