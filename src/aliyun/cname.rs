//! Where the CDN serves its domains: the CNAME of each.

use std::collections::BTreeMap;

use super::cdn::DESCRIBE_USER_DOMAINS;
use super::{Account, Error, Pages, all_pages, text};

impl Account {
    /// The CNAME of each CDN domain of the account, by DomainName in lower case (DescribeUserDomains).
    ///
    /// # Errors
    /// [`Error`], after the retries that its kind allows.
    pub async fn describe_cnames(&self) -> Result<BTreeMap<String, String>, Error> {
        let pages = Pages {
            api: &DESCRIBE_USER_DOMAINS,
            subject: "*",
            size: 500,
            outer: "Domains",
            inner: "PageData",
        };
        let domains = all_pages(self, &pages, &[]).await?;
        let cname = |domain| {
            let cname = text(domain, "Cname").filter(|cname| !cname.is_empty())?;
            Some((text(domain, "DomainName")?.to_ascii_lowercase(), cname))
        };
        Ok(domains.iter().filter_map(cname).collect())
    }
}
