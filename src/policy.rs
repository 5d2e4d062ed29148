//! The smallest RAM policy with which a configuration can be kept: which actions, on which resources. Pure.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::config::{
    Aliyun, CdnApi, Certificate, Config, Deploy, EdgeAt, Provider, Target, Verify,
};

/// A RAM policy, as the console and `CreatePolicy` take it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Policy {
    /// Of RAM's grammar.
    pub version: &'static str,
    /// What is allowed.
    pub statement: Vec<Statement>,
}

/// Every action of it on every resource of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Statement {
    /// `Allow`.
    pub effect: &'static str,
    /// As RAM names them: the product, a colon, the API's name.
    pub action: Vec<String>,
    /// As RAM names them. The account's number is a star: a policy reaches no other account than its own.
    pub resource: Vec<String>,
}

/// What hooks have asked to keep in step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claimed {
    /// CDN domains by name.
    pub targets: Vec<Target>,
    /// Whatever CDN domain of an account these names of a certificate cover; no names: they are not known.
    pub discovers: Vec<(String, Vec<String>)>,
}

/// Characters that RAM takes of a custom policy (the quotas page of RAM).
pub const LONGEST: usize = 6144;

/// The accounts of which a configuration asks something, together with what hooks have claimed.
#[must_use]
pub fn accounts(config: &Config, claimed: &Claimed) -> BTreeSet<String> {
    let deploys = config.certificates.iter().flat_map(|certificate| &certificate.deploy);
    let proving = issued(config).filter_map(|certificate| alidns_account(config, certificate));
    deploys
        .map(|deploy| deploy.aliyun.clone())
        .chain(proving.map(ToOwned::to_owned))
        .chain(claimed.targets.iter().map(|target| target.aliyun.clone()))
        .chain(claimed.discovers.iter().map(|(account, _)| account.clone()))
        .collect()
}

/// What the account of this name must be allowed. `zones` are the domains at Alibaba Cloud DNS that hold the records;
/// empty: they are not known, and each that may hold a name is listed.
#[must_use]
pub fn policy(config: &Config, claimed: &Claimed, account: &str, zones: &[String]) -> Policy {
    let names = names_proved_by(config, account);
    let zones: BTreeSet<&str> = match (names.is_empty(), zones.is_empty()) {
        (true, _) => BTreeSet::new(),
        (false, false) => zones.iter().map(String::as_str).collect(),
        (false, true) => names.iter().flat_map(|name| possible_zones(name)).collect(),
    };
    let statement = [
        role(config, account),
        cdn(config, claimed, account),
        cdn_list(config, claimed, account),
        records(&zones),
        lists(&zones),
    ];
    Policy { version: "1", statement: statement.into_iter().flatten().collect() }
}

/// Uploads, and reading back what is served.
fn cdn(config: &Config, claimed: &Claimed, account: &str) -> Option<Statement> {
    let settings = config.aliyun.get(account)?;
    let named = domains(config, claimed, account).map(ToOwned::to_owned);
    let resources: BTreeSet<String> = named
        .chain(discovered(config, claimed, account))
        .map(|domain| format!("acs:cdn:*:*:domain/{domain}"))
        .collect();
    let reading = ["DescribeDomainCertificateInfo"];
    let actions = uploads(settings).iter().chain(&reading).map(|action| format!("cdn:{action}"));
    statement(actions.collect(), resources.into_iter().collect())
}

/// The API that takes the certificate.
fn uploads(settings: &Aliyun) -> &'static [&'static str] {
    match settings.cdn_api {
        CdnApi::SetDomainServerCertificate => &["SetDomainServerCertificate"],
        CdnApi::SetCdnDomainSslCertificate => &["SetCdnDomainSSLCertificate"],
        CdnApi::Auto => &["SetDomainServerCertificate", "SetCdnDomainSSLCertificate"],
    }
}

/// The list of CDN domains, for the edge's CNAME and for what is discovered: RAM cannot narrow a list.
fn cdn_list(config: &Config, claimed: &Claimed, account: &str) -> Option<Statement> {
    let mut deploys = config.certificates.iter().flat_map(|certificate| &certificate.deploy);
    let asks = |deploy: &&Deploy| {
        let is_at_edge = deploy.verify == Verify::Edge(EdgeAt::Cname);
        deploy.aliyun == account && (is_at_edge || deploy.discover)
    };
    let is_asked = deploys.any(|deploy| asks(&deploy))
        || claimed.discovers.iter().any(|(name, _)| name == account);
    let resource = is_asked.then(|| "acs:cdn:*:*:domain/*".to_owned());
    statement(vec!["cdn:DescribeUserDomains".to_owned()], resource.into_iter().collect())
}

/// Taking on the account's role. This one is for the user whose keys these are; all else is for the role.
fn role(config: &Config, account: &str) -> Option<Statement> {
    let role = config.aliyun.get(account)?.role.as_ref()?;
    statement(vec!["sts:AssumeRole".to_owned()], vec![role.arn.clone()])
}

fn domains<'a>(
    config: &'a Config,
    claimed: &'a Claimed,
    account: &'a str,
) -> impl Iterator<Item = &'a str> {
    let deploys = config.certificates.iter().flat_map(|certificate| &certificate.deploy);
    let of_hooks = claimed.targets.iter().filter(move |target| target.aliyun == account);
    deploys
        .filter(move |deploy| deploy.aliyun == account)
        .flat_map(|deploy| &deploy.domains)
        .chain(of_hooks.map(|target| &target.domain))
        .map(|domain| domain.api_name.as_str())
}

/// What may be discovered: what the names of a certificate cover (RAM's star is not bound to one label). Where they are
/// not known, that may be anything.
fn discovered(config: &Config, claimed: &Claimed, account: &str) -> Vec<String> {
    let anything = || vec!["*".to_owned()];
    let discovers = |certificate: &&Certificate| {
        certificate.deploy.iter().any(|deploy| deploy.discover && deploy.aliyun == account)
    };
    let covered = |certificate: &Certificate| match &certificate.source {
        Some(_) => anything(),
        None => certificate.domains.clone(),
    };
    let hooks = claimed.discovers.iter().filter(|(name, _)| name == account);
    let of_hooks = |(_, names): &(String, Vec<String>)| match names.as_slice() {
        [] => anything(),
        [_, ..] => names.clone(),
    };
    let of_config = config.certificates.iter().filter(discovers).flat_map(covered);
    of_config.chain(hooks.flat_map(of_hooks)).collect()
}

/// TXT records: put, taken away by their id, and found again where the answer to a put was lost.
fn records(zones: &BTreeSet<&str>) -> Option<Statement> {
    let actions = ["AddDomainRecord", "DeleteDomainRecord", "DescribeSubDomainRecords"];
    let resources = zones.iter().map(|zone| format!("acs:alidns::*:domain/{zone}"));
    statement(actions.map(|action| format!("alidns:{action}")).into(), resources.collect())
}

/// Which domains the account has at all: RAM cannot narrow a list.
fn lists(zones: &BTreeSet<&str>) -> Option<Statement> {
    let resource = (!zones.is_empty()).then(|| "*".to_owned());
    statement(vec!["alidns:DescribeDomains".to_owned()], resource.into_iter().collect())
}

/// None without a resource.
fn statement(action: Vec<String>, resource: Vec<String>) -> Option<Statement> {
    (!resource.is_empty()).then_some(Statement { effect: "Allow", action, resource })
}

fn issued(config: &Config) -> impl Iterator<Item = &Certificate> {
    config.certificates.iter().filter(|certificate| certificate.source.is_none())
}

fn names_proved_by<'a>(config: &'a Config, account: &str) -> BTreeSet<&'a str> {
    issued(config)
        .filter(|certificate| alidns_account(config, certificate) == Some(account))
        .flat_map(|certificate| &certificate.domains)
        .map(|name| name.strip_prefix("*.").unwrap_or(name))
        .collect()
}

/// The account at whose Alibaba Cloud DNS a certificate's names are proved.
fn alidns_account<'a>(config: &'a Config, certificate: &Certificate) -> Option<&'a str> {
    let Provider::Alidns { aliyun } = &config.dns.get(certificate.puts_by()?)?.provider else {
        return None;
    };
    Some(aliyun)
}

/// The name and its parents, down to two labels. Which of them is the zone, the cloud alone knows; one that is nobody's
/// or a public suffix (`co.uk`) is no domain of the account, and allows nothing.
fn possible_zones(name: &str) -> impl Iterator<Item = &str> {
    let parents = std::iter::successors(Some(name), |name| Some(name.split_once('.')?.1));
    parents.filter(|zone| zone.contains('.'))
}

#[cfg(test)]
mod tests;
