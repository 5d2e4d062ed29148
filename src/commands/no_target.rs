//! The last resort of a hook: nothing can serve its certificate. What would, and the exact flag to type.

use crate::look;
use crate::plan::{CertOutcome, Lineage, Listing, Unusable, not_online};
use crate::report::{CertificateEnd, ErrorEnd};
use crate::run::Run;

/// So many flags are a line that can be copied; more is what --discover is for.
const FLAGS: usize = 20;

/// No target is left: what the certificate would cover in `account`, and the exact flag to type.
pub(super) async fn no_target(run: &Run, account: &str, lineage: &Lineage) -> CertificateEnd {
    let disk = look::disk(lineage, &run.config, run.store.as_ref()).await;
    let leaf = disk.seen.leaf.as_ref();
    let why = "there is no CDN domain to put it onto";
    let mut end = CertificateEnd::new(lineage, leaf, CertOutcome::Failed, why);
    if let Some(Unusable::Damaged(why) | Unusable::Unread(why)) = &disk.seen.unusable {
        end.error = Some(ErrorEnd::of(&anyhow::anyhow!("{why}"), "source"));
        return end;
    }
    let names = leaf.map_or(&lineage.names, |leaf| &leaf.names);
    let covered = covered(run, account, names).await;
    let has_searched = !lineage.discovers.is_empty();
    let what = match has_searched {
        true => "it covers no CDN domain that is online and free in the account",
        false => "none of its names is a CDN domain of the account",
    };
    end.error = Some(ErrorEnd {
        code: "NoTarget".to_owned(),
        message: format!("{what} `{account}`: {}", names.join(", ")),
        help: match (covered.as_deref(), has_searched) {
            (None, _) => "name the CDN domains: --domain cdn.example.com (the account's list may not be read: RAM action cdn:DescribeUserDomains)".to_owned(),
            (Some([]), _) => format!("the certificate covers no CDN domain of the account `{account}`; is it another account? --aliyun NAME"),
            (Some(covered), true) => format!("what it covers belongs to other certificates, as `certferry status` shows: {}", covered.join(", ")),
            (Some(covered), false) => format!("the certificate covers CDN domains of the account; name those that shall serve it: {}; or all of them, and later ones too: certferry hook --discover", flags(covered)),
        },
        request_id: None,
        retryable: false,
    });
    end
}

/// The online CDN domains of the account that these names cover, as people write them; none: nobody can tell.
async fn covered(run: &Run, account: &str, names: &[String]) -> Option<Vec<String>> {
    let domains = run.cdn_domains(account).await.ok()?;
    let listing = Listing::new(domains.iter().map(|one| (one.name.as_str(), one.status.as_str())));
    let covered = listing.covered(names).into_iter().map(|(listed, _)| listed);
    let online = covered.filter(|listed| not_online(&listed.status).is_none());
    Some(online.map(|listed| listed.domain.written.clone()).collect())
}

fn flags(covered: &[String]) -> String {
    let flags = covered.iter().take(FLAGS).map(|domain| format!(" --domain '{domain}'"));
    let more = match covered.len().saturating_sub(FLAGS) {
        0 => String::new(),
        more => format!(" (and {more} more)"),
    };
    format!("certferry hook{}{more}", flags.collect::<String>())
}
