//! What the account says: its CDN domains, and what those serve that certificates at hand cover.

use std::collections::BTreeSet;

use futures_util::{StreamExt as _, stream};

use crate::aliyun::Error;
use crate::cert::Leaf;
use crate::config::CdnDomain;
use crate::init::{Cdn, Found};
use crate::plan::Listing;
use crate::run::Run;

/// Looks side by side: each is one small read, and the account's pace holds them.
const LOOKS: usize = 32;

/// The account's CDN domains, and what those serve that one of these covers.
///
/// # Errors
/// They cannot be listed.
pub(super) async fn ask(run: &Run, account: &str, found: &[Found]) -> Result<Cdn, Error> {
    let domains = run.cdn_domains(account).await?;
    let named = domains.iter().map(|domain| (domain.name.as_str(), domain.status.as_str()));
    let listing = Listing::new(named);
    let held = found.iter().filter_map(|one| one.held.as_ref().ok());
    let covered: BTreeSet<CdnDomain> = held
        .flat_map(|held| listing.covered(&held.leaf.names))
        .map(|(listed, _)| listed.domain.clone())
        .collect();
    let looks = covered.into_iter().map(async |domain| {
        let leaf = served(run, account, &domain).await?;
        Some((domain, (leaf.issuer, leaf.not_after)))
    });
    let serving: Vec<_> = stream::iter(looks).buffer_unordered(LOOKS).collect().await;
    Ok(Cdn { listing, serving: serving.into_iter().flatten().collect() })
}

/// What a CDN domain serves. Where that may not be read, nothing is known to be in the way.
async fn served(run: &Run, account: &str, domain: &CdnDomain) -> Option<Leaf> {
    let account = run.account(account).ok()?.until(run.deadline);
    let shown = account.describe_domain_certificate_info(&domain.api_name).await.ok()??;
    let pem = shown.certificate_pem.filter(|_| shown.status_on)?;
    Leaf::read(pem.as_bytes()).ok()
}
